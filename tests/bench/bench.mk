# Tools of scripts/bench. Included by the Makefile, whose variables it uses.
#   load    puts a server under load, and times its answers
#   serve   a server that costs next to nothing
#   meter   run statistics of the programs of a running wsvitals

BENCH := $(BUILD)/tests/bench
BENCH_TOOLS := $(BENCH)/load $(BENCH)/serve $(BENCH)/meter

.PHONY: bench-tools
bench-tools: $(BENCH_TOOLS) ## what scripts/bench needs

$(BENCH)/load $(BENCH)/serve: $(BENCH)/%: tests/bench/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MT $@ -MF $@.d $< -o $@

$(BENCH)/meter.bpf.o: tests/bench/meter.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $@.d -c $< -o $@.tmp
	$(Q)$(BPFTOOL) gen object $@ $@.tmp && rm $@.tmp

$(BENCH)/meter.skel.h: $(BENCH)/meter.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name meter_bpf > $@

$(BENCH)/meter: tests/bench/meter.c $(BENCH)/meter.skel.h
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -MT $@ -MF $@.d -I$(BENCH) $< -lbpf -o $@

-include $(wildcard $(BENCH)/*.d)

# Tests in C, layers 1 to 4 of DESIGN.md §5. Included by the Makefile, whose variables it uses.
#   tests/unit/test_X.c    cmocka; built twice, the second time with ASan and UBSan
#   tests/fuzz/fuzz_X.c    libFuzzer with ASan and UBSan; without libFuzzer: replay of the corpus
#   tests/bpf/             the pure headers in the kernel against the host, and the verifier's opinion
# Tests of the pure headers need no object of user/; all others link with all of them but main.o.

PURE := hist brief ws resync pair http1 accept

LOAD_SECONDS ?= 600
LOAD_ROUNDS ?= 5
STORM_CONNECTIONS ?= 100000

UNITS := $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

TEST_CPPFLAGS = $(CPPFLAGS) -Itests/unit -Itests/fuzz
TEST_DEPS = -MMD -MP -MT $@ -MF $@.d
# libseccomp's comparisons leave a member out, which clang's -Wextra minds and gcc's does not
FUZZ_CFLAGS = -O1 -g -std=gnu17 -Wall -Wextra -Wno-missing-field-initializers -Werror \
	-fno-sanitize-recover=undefined
FUZZ_SANITIZE := address,undefined

UNIT_OBJECTS := $(filter-out %/main.o,$(OBJECTS))
UNIT_ASAN_OBJECTS := $(filter-out %/main.o,$(ASAN_OBJECTS))
UNIT_FUZZ_OBJECTS := $(filter-out %/main.o,$(SOURCES:%.c=$(BUILD)/fuzz/%.o))

UNIT_BINARIES := $(UNITS:%=$(BUILD)/tests/unit/test_%)
UNIT_ASAN_BINARIES := $(UNITS:%=$(BUILD)/asan/tests/unit/test_%)
FUZZ_BINARIES := $(FUZZERS:%=$(BUILD)/tests/fuzz/fuzz_%)
REPLAY_BINARIES := $(FUZZERS:%=$(BUILD)/tests/replay/replay_%)
HARNESS := $(BUILD)/tests/bpf/harness.bpf.o

.PHONY: check-unit check-replay check-fuzz check-bpf fuzz unit-tests fuzz-targets bpf-tests corpus \
	corpus-merge $(FUZZERS:%=run-fuzz-%)

# ---- unit

impure = $(filter-out $(PURE:%=$(BUILD)$(1)/tests/$(2)_%),$(3))

$(call impure,,unit/test,$(UNIT_BINARIES)): $(UNIT_OBJECTS)
$(call impure,/asan,unit/test,$(UNIT_ASAN_BINARIES)): $(UNIT_ASAN_OBJECTS)

# objects come in as prerequisites; a pure header's test has none and needs no library either
libs = $(if $(filter %.o,$^),$(LDLIBS))

$(UNIT_BINARIES): $(BUILD)/tests/unit/test_%: tests/unit/test_%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(TEST_DEPS) $(TEST_CPPFLAGS) $< $(filter %.o,$^) -lcmocka $(libs) -o $@

$(UNIT_ASAN_BINARIES): $(BUILD)/asan/tests/unit/test_%: tests/unit/test_%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) $(TEST_DEPS) $(TEST_CPPFLAGS) $< $(filter %.o,$^) -lcmocka \
		$(libs) -o $@

unit-tests: $(UNIT_BINARIES) $(UNIT_ASAN_BINARIES)

check-unit: unit-tests ## unit tests, also with ASan and UBSan
	$(Q)failed=0; for test in $(UNIT_BINARIES) $(UNIT_ASAN_BINARIES); do \
		if $$test >$$test.log 2>&1; then \
			printf '  %-8s %s %s\n' PASS $$test "($$(grep -c '^\[       OK' $$test.log))"; \
		else \
			grep -v '^\[ RUN\|^\[       OK' $$test.log; printf '  %-8s %s\n' FAIL $$test; failed=1; \
		fi; \
	done; exit $$failed

# ---- fuzz

$(BUILD)/fuzz/user/%.o: user/%.c | $(SKELETON) $(SCHEMA) $(OPENAPI)
	$(call say,FUZZ-CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) $(TEST_DEPS) $(CPPFLAGS) -fsanitize=fuzzer-no-link,$(FUZZ_SANITIZE) \
		-c $< -o $@

$(filter-out $(PURE:%=$(BUILD)/tests/fuzz/fuzz_%),$(FUZZ_BINARIES)): $(UNIT_FUZZ_OBJECTS)
$(filter-out $(PURE:%=$(BUILD)/tests/replay/replay_%),$(REPLAY_BINARIES)): $(UNIT_ASAN_OBJECTS)

$(FUZZ_BINARIES): $(BUILD)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) $(TEST_DEPS) $(TEST_CPPFLAGS) -fsanitize=fuzzer,$(FUZZ_SANITIZE) $< \
		$(filter %.o,$^) $(libs) -o $@

# two sources in one command: no dependency file can hold both, so headers are named
$(REPLAY_BINARIES): $(BUILD)/tests/replay/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c \
		$(wildcard bpf/*.h tests/unit/*.h tests/fuzz/*.h user/*.h)
	$(call say,REPLAY,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -MMD -MP,$(CFLAGS)) $(SANITIZE) $(TEST_CPPFLAGS) $(filter %.c,$^) \
		$(filter %.o,$^) $(libs) -o $@

fuzz-targets: $(FUZZ_BINARIES)

check-replay: $(REPLAY_BINARIES) ## all corpora once, with ASan and UBSan
	$(Q)for name in $(FUZZERS); do \
		printf '  %-8s %s ' REPLAY $$name; \
		$(BUILD)/tests/replay/replay_$$name tests/corpus/$$name || exit 1; \
	done

# What is found goes to build/corpus; tests/corpus is only read here (see corpus-merge).
$(FUZZERS:%=run-fuzz-%): run-fuzz-%: $(BUILD)/tests/fuzz/fuzz_%
	$(Q)mkdir -p $(BUILD)/corpus/$*
	$(Q)if ! $< -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
		-print_final_stats=1 -artifact_prefix=$(BUILD)/tests/fuzz/$*- \
		$(BUILD)/corpus/$* $(wildcard tests/corpus/$*) >$<.log 2>&1; then \
		tail -n 40 $<.log; printf '  %-8s %s\n' FAIL $*; exit 1; \
	fi
	$(Q)printf '  %-8s %-10s %s runs, %s new inputs\n' FUZZ $* \
		"$$(sed -n 's/^stat::number_of_executed_units: *//p' $<.log)" \
		"$$(sed -n 's/^stat::new_units_added: *//p' $<.log)"

# Two at a time: they are single-threaded, and the machine may have more to do.
check-fuzz: fuzz-targets ## every fuzz target for SECONDS=20
	$(Q)$(MAKE) --no-print-directory -j2 -k SECONDS=$(SECONDS) $(FUZZERS:%=run-fuzz-%)

fuzz: check-fuzz ## the same, for as long as asked: SECONDS=3600

corpus: ## writes the seeds of tests/corpus anew
	$(Q)python3 tests/corpus/make.py

corpus-merge: fuzz-targets ## adds to tests/corpus what build/corpus covers and it does not
	$(Q)for name in $(FUZZERS); do \
		[ ! -d $(BUILD)/corpus/$$name ] || \
		$(BUILD)/tests/fuzz/fuzz_$$name -merge=1 -max_len=512 tests/corpus/$$name \
			$(BUILD)/corpus/$$name >$(BUILD)/tests/fuzz/merge-$$name.log 2>&1 || exit 1; \
		printf '  %-8s %s %s files\n' CORPUS $$name "$$(ls tests/corpus/$$name | wc -l)"; \
	done; du -sb tests/corpus

# ---- the store: faults that need processes and disks, and figures

$(BUILD)/tests/unit/test_store_file $(BUILD)/asan/tests/unit/test_store_file: | $(SCHEMA)

STORE_PROGRAMS := $(addprefix $(BUILD)/tests/store/,faults weeks past store_fill)

$(BUILD)/tests/store/faults: tests/store/faults.c $(UNIT_OBJECTS)
$(BUILD)/tests/store/weeks: tests/store/weeks.c $(UNIT_OBJECTS)
$(BUILD)/tests/store/store_fill: tests/bench/store_fill.c $(UNIT_OBJECTS)
$(BUILD)/tests/store/past: tests/store/past.c $(UNIT_OBJECTS)

$(STORE_PROGRAMS):
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(TEST_DEPS) $(TEST_CPPFLAGS) $< $(filter %.o,$^) $(LDLIBS) -o $@

.PHONY: check-store campaign-store bench-store

check-store: $(BUILD)/tests/store/faults ## kills, full and read-only disks (root)
	$(Q)$< 20

campaign-store: $(BUILD)/tests/store/faults ## the same, ten times as long
	$(Q)$< 200

bench-store: $(BUILD)/tests/store/store_fill ## 30 days of 200 channels: minutes
	$(Q)dir=$$(mktemp -d $(BUILD)/store.XXXXXX) && $< $$dir $(DAYS); status=$$?; rm -rf $$dir; \
		exit $$status

# ---- the kernel

$(HARNESS): tests/bpf/harness.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -Itests/bpf $(TEST_DEPS) -c $< -o $@.tmp
	$(Q)$(BPFTOOL) gen object $@ $@.tmp && rm $@.tmp

$(BUILD)/tests/bpf/harness.skel.h: $(HARNESS)
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name harness > $@

$(BUILD)/tests/bpf/differential: tests/bpf/differential.c $(BUILD)/tests/bpf/harness.skel.h
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(TEST_DEPS) $(CPPFLAGS) -Itests/bpf -I$(@D) $< -lbpf -o $@

$(BUILD)/tests/bpf/verifier: tests/bpf/verifier.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(TEST_DEPS) $(CPPFLAGS) $< -lbpf -ljansson -o $@

BPF_TESTS := $(BUILD)/tests/bpf/differential $(BUILD)/tests/bpf/verifier

bpf-tests: $(BPF_TESTS)

# Both run even if the first fails: they tell different things.
check-bpf: bpf-tests $(HARNESS) $(SKELETON) ## headers in the kernel against the host; verifier (root)
	$(Q)failed=0; \
	$(BUILD)/tests/bpf/differential tests/corpus || failed=1; \
	$(BUILD)/tests/bpf/verifier --json $(BUILD)/verifier.json $(HARNESS) $(SKELETON:.skel.h=.bpf.o) || \
		failed=1; \
	exit $$failed

# ---- campaigns

# The tests of load for as long as it takes to believe them; the result is kept in the repository.
.PHONY: campaign campaign-load campaign-kernels campaign-page

campaign: campaign-kernels campaign-load campaign-store campaign-page ## the tests that have a long form, in it (root, some three hours)

campaign-load: all bench-tools ## load tests in their long form, into docs/campaign.md (root, some 15 minutes)
	$(Q)LOAD_SECONDS=$(LOAD_SECONDS) LOAD_ROUNDS=$(LOAD_ROUNDS) STORM_CONNECTIONS=$(STORM_CONNECTIONS) /usr/bin/python3 -m pytest \
		tests/e2e/test_load.py tests/e2e/test_storm.py -q -p no:cacheprovider --figures docs/campaign.md

campaign-page: all ## the dashboard open for two hours, refreshing every second (root)
	$(Q)PAGE_SECONDS=7200 /usr/bin/python3 -m pytest tests/e2e/test_page.py -q -p no:cacheprovider -k test_memory_stays_flat

campaign-kernels: all bench-tools bpf-tests ## other kernels in virtual machines (root; downloads kernels)
	$(Q)for tool in qemu-system-x86_64:qemu-system-x86 cpio:cpio busybox:busybox; do \
		command -v $${tool%:*} >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get \
			-o DPkg::Lock::Timeout=600 -qq install -y --no-install-recommends $${tool#*:} || exit 1; \
	done
	$(Q)/usr/bin/python3 -m pytest tests/vm -q -p no:cacheprovider

-include $(wildcard $(BUILD)/tests/*/*.d $(BUILD)/asan/tests/*/*.d $(BUILD)/fuzz/user/*.d)

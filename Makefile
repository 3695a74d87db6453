# wsvitals. `make` builds build/wsvitals; `make help` lists the rest. V=1 shows the commands.

PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= /usr/sbin/bpftool
BUILD ?= build
V ?= 0
SECONDS ?= 20

VERSION := 0.1.0
ARCH := x86

ifeq ($(V),1)
Q :=
say =
else
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
endif

CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu17 -Wall -Wextra -Werror -MMD -MP
override CPPFLAGS += -Ibpf -Iuser -I$(BUILD)/bpf -I$(BUILD)/user -DWSVITALS_VERSION='"$(VERSION)"'
LDLIBS := -lbpf -ljansson -lsodium -lsqlite3 -linih -lmicrohttpd -lseccomp -lcap-ng -lcurl -lz -lm
override CPPFLAGS += -DPAGE_DIRECTORY='"$(BUILD)/page"'
LDLIBS += -lgnutls
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

# -mcpu=v3: atomics that return values (Linux 5.12). Unused: BPF_PROG makes a ctx that few need.
BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Werror \
	-Wno-unused-parameter -Ibpf -Ivmlinux -I/usr/include/$(shell uname -m)-linux-gnu

SOURCES := $(wildcard user/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
ASAN_OBJECTS := $(SOURCES:%.c=$(BUILD)/asan/%.o)
TRIAL_OBJECTS := $(SOURCES:%.c=$(BUILD)/trial/%.o)
SKELETON := $(BUILD)/bpf/socket.skel.h
SCHEMA := $(BUILD)/user/schema.sql.h
OPENAPI := $(BUILD)/user/openapi.json.h

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all asan trial clean install uninstall format lint help

all: $(BUILD)/wsvitals

asan: $(BUILD)/asan/wsvitals ## the program with AddressSanitizer and UBSan

trial: $(BUILD)/trial/wsvitals ## the program with what tests of its confinement need

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@.tmp -MT $@ -MF $(@:.o=.d)
	$(Q)$(BPFTOOL) gen object $@ $@.tmp && rm $@.tmp

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BUILD)/user/%.o: user/%.c | $(SKELETON)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -c $< -o $@

$(BUILD)/asan/user/%.o: user/%.c | $(SKELETON)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) $(SANITIZE) -c $< -o $@

$(BUILD)/trial/user/%.o: user/%.c | $(SKELETON)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -DWSVITALS_TRIAL -c $< -o $@

$(BUILD)/user/loader.o $(BUILD)/asan/user/loader.o $(BUILD)/trial/user/loader.o: $(SKELETON)

# the file as one string
$(SCHEMA): user/schema.sql
	$(call say,EMBED,$@)
	$(Q)mkdir -p $(@D)
	$(Q)(echo 'static const char schema_sql[] ='; \
		sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $<; echo ';') > $@

$(OPENAPI): user/openapi.json
	$(call say,EMBED,$@)
	$(Q)mkdir -p $(@D)
	$(Q)(echo 'static const char openapi_json[] ='; \
		sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $<; echo ';') > $@

$(BUILD)/user/store_file.o $(BUILD)/asan/user/store_file.o $(BUILD)/trial/user/store_file.o: $(SCHEMA)
$(BUILD)/user/api_history.o $(BUILD)/asan/user/api_history.o $(BUILD)/trial/user/api_history.o: $(OPENAPI)

# The dashboard, as web/build.js made it (it is committed: this build needs no npm).
PAGE := $(patsubst web/dist/%,$(BUILD)/page/%.gz,$(wildcard web/dist/*))

$(BUILD)/page/%.gz: web/dist/%
	$(call say,GZIP,$@)
	$(Q)mkdir -p $(@D)
	$(Q)gzip -9nc $< > $@

$(BUILD)/user/page.o $(BUILD)/asan/user/page.o $(BUILD)/trial/user/page.o \
	$(BUILD)/fuzz/user/page.o: $(PAGE)

$(BUILD)/wsvitals: $(OBJECTS)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BUILD)/asan/wsvitals: $(ASAN_OBJECTS)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(SANITIZE) $^ $(LDLIBS) -o $@

$(BUILD)/trial/wsvitals: $(TRIAL_OBJECTS)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

-include tests/tests.mk
-include tests/bench/bench.mk

install: all ## into $(DESTDIR)$(PREFIX), with unit, configuration and (without DESTDIR) the user
	install -D -m 0755 $(BUILD)/wsvitals $(DESTDIR)$(PREFIX)/sbin/wsvitals
	install -D -m 0644 README.md $(DESTDIR)$(PREFIX)/share/doc/wsvitals/README.md
	install -D -m 0644 docs/troubleshooting.md \
		$(DESTDIR)$(PREFIX)/share/doc/wsvitals/troubleshooting.md
	install -d $(DESTDIR)/usr/lib/systemd/system $(DESTDIR)/etc/wsvitals/wsvitals.conf.d
	sed 's|/usr/local|$(PREFIX)|' etc/wsvitals.service \
		>$(DESTDIR)/usr/lib/systemd/system/wsvitals.service
	chmod 0644 $(DESTDIR)/usr/lib/systemd/system/wsvitals.service
	install -D -m 0644 etc/wsvitals.sysusers $(DESTDIR)/usr/lib/sysusers.d/wsvitals.conf
	[ -e $(DESTDIR)/etc/wsvitals/wsvitals.conf ] || \
		install -m 0644 etc/wsvitals.conf $(DESTDIR)/etc/wsvitals/wsvitals.conf
	[ -n "$(DESTDIR)" ] || getent passwd wsvitals >/dev/null || \
		useradd --system --user-group --home-dir /nonexistent --no-create-home \
			--shell /usr/sbin/nologin wsvitals

uninstall: ## all but configuration, store and user
	rm -f $(DESTDIR)$(PREFIX)/sbin/wsvitals $(DESTDIR)/usr/lib/systemd/system/wsvitals.service \
		$(DESTDIR)/usr/lib/sysusers.d/wsvitals.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/wsvitals

FORMATTED = $(shell git ls-files '*.c' '*.h')

format: ## formats every C file in place
	$(Q)clang-format -i $(FORMATTED)

lint: $(SKELETON) $(SCHEMA) $(OPENAPI) ## clang-format and clang-tidy
	$(call say,FORMAT,"C files")
	$(Q)clang-format --dry-run --Werror $(FORMATTED)
	$(call say,TIDY,"user/*.c")
	$(Q)printf '%s\n' $(SOURCES) | xargs -P 2 -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- \
		-std=gnu17 $(CPPFLAGS) 2>/dev/null

clean:
	rm -rf $(BUILD)

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

-include $(OBJECTS:.o=.d) $(ASAN_OBJECTS:.o=.d) $(TRIAL_OBJECTS:.o=.d) $(wildcard $(BUILD)/bpf/*.d)

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * wsvitals doctor: what this host can and cannot observe, and why, and how the running agent is. Looks,
 * loads nothing. Exit status 0 when everything that counting needs is there and the agent, if there is
 * one, is well.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "loader.h"
#include "log.h"
#include "options.h"

struct examination {
	bool sound;
};

static void finding(bool good, const char *what, const char *detail)
{
	printf("  %-4s %-32s %s\n", good ? "ok" : "NO", what, detail);
}

static int examine_hook(const struct loader_hook *hook, void *ctx)
{
	struct examination *exam = ctx;
	char detail[256];

	if (hook->available)
		snprintf(detail, sizeof(detail), "%s", hook->purpose);
	else
		snprintf(detail, sizeof(detail), "%s: %s; %s", hook->purpose, hook->reason,
			 hook->required
				 ? "nothing can be counted without it (use Linux 6.3 or newer)"
				 : "this will not be measured");
	finding(hook->available, hook->name, detail);
	exam->sound &= hook->available || !hook->required;
	return 0;
}

static void examine_option_memory(void)
{
	FILE *file = fopen("/proc/sys/net/core/optmem_max", "re");
	char detail[128], text[32];

	if (!file || !fgets(text, sizeof(text), file)) {
		finding(false, "net.core.optmem_max", "cannot be read");
	} else {
		long bytes = strtol(text, NULL, 10);

		snprintf(detail, sizeof(detail),
			 "%ld bytes a socket; the state of a connection takes 184 of them", bytes);
		finding(bytes >= 4096, "net.core.optmem_max", detail);
	}
	if (file)
		fclose(file);
}

/* What the running agent says of itself; without one, how to start it. */
static void examine_agent(const struct settings *settings, struct examination *exam)
{
	struct client_answer answer;
	char error[512];
	int err = client_ask(settings_text(settings, SETTING_RUN_DIR), false, "/local/doctor",
			     &answer, error, sizeof(error));

	if (err) {
		printf("Agent\n");
		finding(err == -ENOENT, "running", error);
		exam->sound &= err == -ENOENT;
		return;
	}
	fputs(answer.body, stdout);
	exam->sound &= answer.status == 200;
	free(answer.body);
}

int cli_doctor(int argc, char **argv)
{
	struct examination exam = {.sound = true};
	struct options options;
	struct settings settings;
	struct utsname host = {0};
	char error[512];
	bool btf, root, cgroup2;

	if (options_parse(argc, argv, OPTIONS_PLACES, &options, error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	if (options.help) {
		printf("wsvitals doctor: what this host can and cannot observe, and why\n\n"
		       "Options:\n");
		options_describe(OPTIONS_PLACES);
		return EXIT_OK;
	}
	options_places(&options, &settings);
	uname(&host);
	btf = !access("/sys/kernel/btf/vmlinux", R_OK);
	root = !geteuid();
	cgroup2 = !access("/sys/fs/cgroup/cgroup.controllers", F_OK) ||
		  !access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK) ||
		  !access("/sys/fs/cgroup/unified/cgroup.procs", F_OK);
	exam.sound = btf && root;

	printf("Host\n");
	finding(true, "kernel", host.release);
	finding(btf, "type information (BTF)",
		btf ? "/sys/kernel/btf/vmlinux"
		    : "missing: use a kernel built with CONFIG_DEBUG_INFO_BTF=y");
	finding(root, "privilege",
		root ? "root" : "run it with sudo: CAP_BPF and CAP_PERFMON are needed");
	finding(cgroup2, "cgroup2",
		cgroup2 ? "mounted: --cgroup works" : "not mounted: --cgroup cannot be used");
	examine_option_memory();

	printf("\nHooks\n");
	loader_probe(examine_hook, &exam);
	putchar('\n');
	examine_agent(&settings, &exam);

	printf("\nNot covered by this version\n"
	       "  TLS inside the server, HTTP/2 and HTTP/3 WebSockets, 32-bit processes, MPTCP "
	       "peers,\n"
	       "  io_uring before Linux 6.10 and its zero-copy receive. Connections that were "
	       "open before\n"
	       "  counting began are recognised by their frames, mostly within 3 messages; path "
	       "and user\n"
	       "  of these stay unknown.\n\n%s\n",
	       exam.sound ? "All is well." : "Something is wrong: see NO above.");
	return exam.sound ? EXIT_OK : EXIT_FAILED;
}

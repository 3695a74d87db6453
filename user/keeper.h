/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The small process that keeps privilege (DESIGN 4): it holds the links to the kernel's hooks, reads
 * what processes are for the labels, re-reads the configuration, speaks to systemd, and ends with
 * the agent. It never sees payload, HTTP or SQL.
 */
#ifndef WSVITALS_KEEPER_H
#define WSVITALS_KEEPER_H

#include <sys/types.h>

#include "certificate.h"
#include "loader.h"
#include "settings.h"

struct keeper {
	int fd;      /* the socketpair to the agent */
	pid_t agent; /* its process, a child */
	struct loader *loader;
	/* The configuration as it is now; 0, or a negative errno and a sentence. */
	int (*read_settings)(struct settings *ret_settings, char *ret_error, size_t error_size,
			     void *ctx);
	/* The agent serves. */
	void (*ready)(void *ctx);
	void *ctx;
	struct settings *settings;           /* in force */
	const char *socket;                  /* path of the local socket, removed at the end */
	struct certificate_seen certificate; /* as it was when it was read */
};

/* Until a signal, or the end of the agent; SIGTERM, SIGINT, SIGHUP and SIGCHLD are blocked. Returns
 * the exit status. */
int keeper_run(struct keeper *keeper);

#endif

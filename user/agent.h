/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The process without privilege (DESIGN 4): reads the maps and the ring buffer, aggregates, serves
 * HTTP. One thread, one event loop. In: what was opened while privileged. Out: answers.
 */
#ifndef WSVITALS_AGENT_H
#define WSVITALS_AGENT_H

#include <stdint.h>

#include "certificate.h"
#include "label.h"
#include "loader.h"
#include "sandbox.h"
#include "settings.h"

struct agent_config {
	int keeper_fd; /* the socketpair */
	int tcp_fd, local_fd;
	struct loader *loader; /* attached */
	struct settings *settings;
	const struct identity *identity;
	const char *scope;  /* in words */
	const char *socket; /* path of the local socket, removed at the end */
	const char *login_code;
	const struct certificate *certificate; /* NULL: no TLS */
	uint64_t start_ns, start_wall_ns;      /* before the hooks were attached */
	uint8_t key[LABEL_KEY_BYTES];
};

/* Gives up everything and serves until the keeper is gone or a signal comes; SIGTERM, SIGINT and
 * SIGHUP are blocked. Returns the exit status. */
int agent_run(const struct agent_config *config);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What is to be observed (SPEC 6). In: values of options and settings, as text. Out: numbers and
 * names. The options narrow each other, the values of one option add up; an option without values
 * does not narrow. Applied in the kernel by loader.c.
 */
#ifndef WSVITALS_SCOPE_H
#define WSVITALS_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "event.h"

#define SCOPE_VALUES 64 /* values of one option */

enum scope_kind { SCOPE_PORT, SCOPE_PID, SCOPE_COMM, SCOPE_CGROUP, SCOPE_NETNS };

struct scope {
	uint16_t ports[SCOPE_VALUES]; /* listening ports, host order */
	size_t nr_ports;
	pid_t pids[SCOPE_VALUES]; /* with their descendants */
	size_t nr_pids;
	char comms[SCOPE_VALUES][COMM_LEN]; /* NUL-terminated, as in /proc/PID/comm */
	size_t nr_comms;
	const char
		*cgroups[SCOPE_VALUES]; /* paths, absolute or below the cgroup2 mount; borrowed */
	size_t nr_cgroups;
	const char *netns
		[SCOPE_VALUES]; /* paths such as /run/netns/NAME or /proc/PID/ns/net; borrowed */
	size_t nr_netns;
};

/*
 * Adds one value ("8000,8001" for ports); paths are borrowed. name: of the option or setting, for
 * the sentence that -EINVAL leaves in ret_error.
 */
int scope_add(struct scope *scope, enum scope_kind kind, const char *name, const char *value,
	      char *ret_error, size_t error_size);

/* "port 8000, 8001; process 4711", or "every server of this host"; fit to be shown. */
void scope_describe(const struct scope *scope, char *ret_words, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Labels of the open connections, by id, from their open record to their close record. Bounded:
 * when it is full, further connections have no label and are counted as such.
 */
#ifndef WSVITALS_CONNECTION_H
#define WSVITALS_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

#define CONNECTIONS_MAX (3u << 16) /* 196 608: twice the largest host of SPEC 8, 8 MB */

struct connection {
	uint64_t id; /* not 0 */
	uint64_t user;
	uint64_t open_ns;
	uint16_t channel; /* slot */
	uint16_t server;  /* slot */
	uint32_t seen;    /* the walk that last saw it */
};

struct connections;

struct connections *connections_new(void); /* NULL: out of memory */
void connections_free(struct connections *connections);

/* Adds or replaces. 0; -ENOSPC when full; -ENOMEM. */
int connections_put(struct connections *connections, const struct connection *connection);
/* NULL: not there. Valid until the next put, remove or sweep. */
struct connection *connections_find(struct connections *connections, uint64_t id);
void connections_remove(struct connections *connections, uint64_t id);
/* Forgets all that this walk did not see. */
void connections_sweep(struct connections *connections, uint32_t seen);
size_t connections_count(const struct connections *connections);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Labels of the open connections, by id, from their open record (or the walk that first saw them) to
 * their close record, and how much of their traffic has been counted for these labels. Bounded: when
 * it is full, further connections have no label and are counted as such.
 */
#ifndef WSVITALS_CONNECTION_H
#define WSVITALS_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

#define CONNECTIONS_MAX (3u << 16) /* 196 608: twice the largest host of SPEC 8, 16 MB */

struct connection {
	uint64_t id; /* not 0 */
	uint64_t user;
	uint64_t open_ns;
	uint64_t bytes_received, bytes_sent; /* counted so far */
	uint32_t received, sent;             /* the same; they wrap, as the kernel's do */
	uint16_t channel;                    /* slot */
	uint16_t server;                     /* slot */
	uint32_t row;                        /* of its labels in usage.h, or USAGE_NONE */
	uint32_t seen : 30;                  /* the walk that last saw it */
	uint32_t over : 1;                   /* it had been closed before counting began anew */
	uint32_t resync : 1;                 /* it was open before anybody watched */
};
_Static_assert(sizeof(struct connection) == 64, "memory of SPEC 8");

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
/* One after the other; *at begins as 0. NULL: that was the last. */
struct connection *connections_next(struct connections *connections, size_t *at);
size_t connections_count(const struct connections *connections);

#endif

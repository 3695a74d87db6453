/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the aggregation has counted for history and not handed over yet. In: shares of connections as
 * account.c counts them, records that end something, samples. Out: intervals for the store.
 *
 * It counts on its own and from the kernel's cumulative numbers, so that `wsvitals reset` changes
 * nothing in history. A number that falls (a connection that got a better label, an outcome that was
 * corrected) is no negative count: it is taken off what comes.
 *
 * Bounded: users beyond LEDGER_USERS in one interval are "other"; rows beyond INTERVAL_ROWS_MAX are
 * counted as lost.
 */
#ifndef WSVITALS_LEDGER_H
#define WSVITALS_LEDGER_H

#include "interval.h"
#include "state.h"

#define LEDGER_USERS 32768 /* different ones in one interval */

struct ledger;

struct ledger *ledger_new(uint64_t start_ns); /* NULL: out of memory */
void ledger_free(struct ledger *ledger);

/* The ledger may be NULL: nothing is kept. A connection's labels are those in it. */
void ledger_opened(struct ledger *ledger, const struct connection *connection);
void ledger_traffic(struct ledger *ledger, const struct connection *connection,
		    const struct traffic *more);
/* Better labels became known; what the connection has counted so far moves along. */
void ledger_moved(struct ledger *ledger, const struct connection *connection, uint64_t user,
		  uint16_t channel);
void ledger_closed(struct ledger *ledger, const struct event_close *close,
		   const struct connection *connection, enum error_type error);
void ledger_failed(struct ledger *ledger, const struct recent *recent);

/* Every sample: the exact extremes of the last seconds. */
void ledger_sample(struct ledger *ledger, const struct reading *reading);

/* The rows since the last call, with their names. 0 or -ENOMEM. */
int ledger_rows(struct ledger *ledger, const struct aggregate *a, struct interval *interval);
/* Points and users since the last call; the last sample had all parts. 0 or -ENOMEM. */
int ledger_points(struct ledger *ledger, struct aggregate *a, struct interval *interval);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A span, covered once by points of all tiers. In: a span and the coarsest tier that may be used.
 * Out: each interval once, in the order of time, whichever file it is in. Not for others than
 * store*.c.
 */
#ifndef WSVITALS_STORE_COVER_H
#define WSVITALS_STORE_COVER_H

#include "store_private.h"

/* What is done with each file and interval; 0, or other than 0 to end it. */
struct cover {
	struct store *store;
	int (*file)(struct cover *cover, struct db *db);
	int (*interval)(struct cover *cover, struct db *db, int64_t time_s, int64_t covered_ms);
};

/*
 * [from, to) with intervals of the coarsest tier where it has them, finer ones at the edges and for
 * what is not rolled up yet. The store's files must have been listed.
 */
int cover_span(struct cover *cover, enum tier coarsest, int64_t from_s, int64_t to_s);

/* The oldest time of which points of this tier or a finer one may be left. */
int64_t cover_oldest(const struct store *store, enum tier tier);
bool cover_has_older(const struct store *store, enum tier tier, int64_t time_s);

/* -EINVAL for a span that cannot be; lists the store's files. */
int cover_check(struct store *store, int64_t from_s, int64_t to_s);
/* To what is left: whole intervals of the finest tier that reaches so far back. */
void cover_widen(const struct store *store, int64_t *from_s, int64_t *to_s);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * How much a second. In: cumulative counts, one sample a second. Out: rates over a window of up to
 * fifteen minutes, or over the time counted so far when that is shorter. Pure but for memory.
 */
#ifndef WSVITALS_RATE_H
#define WSVITALS_RATE_H

#include <stdint.h>

#include "event.h"

enum rate_of { RATE_MESSAGES, RATE_ERRORS, NR_RATES };

struct rates;

/* start_ns: when all counts were 0. NULL: out of memory. */
struct rates *rates_new(uint64_t start_ns);
void rates_free(struct rates *rates);

/* A server's count as it is now; 0 or -ENOMEM. The others keep what they had. */
int rates_set(struct rates *rates, uint32_t slot, enum rate_of what, uint64_t count);
/* All counts belong to this moment. */
void rates_sample(struct rates *rates, uint64_t now_ns);

/* Per second. */
double rates_get(const struct rates *rates, uint32_t slot, enum rate_of what, uint64_t window_ns);

#endif

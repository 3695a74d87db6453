/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * How much a second. In: cumulative counts of any number of series, one sample a step. Out: rates
 * over a window of up to fifteen minutes, or over the time counted so far when that is shorter. The
 * window begins at a sample, so it is up to a step longer than asked, and divided by what it is.
 * Pure but for memory: 16 bytes for a sample of a series.
 */
#ifndef WSVITALS_RATE_H
#define WSVITALS_RATE_H

#include <stdint.h>

enum rate_of { RATE_MESSAGES, RATE_ERRORS, NR_RATES };

struct rates;

struct rates_config {
	uint64_t start_ns; /* when all counts were 0 */
	uint64_t step_ns;  /* between two samples; what comes sooner replaces the last one */
	uint32_t nr_series;
	uint32_t nr_samples; /* that are kept */
};

/* NULL: out of memory. */
struct rates *rates_new(const struct rates_config *config);
void rates_free(struct rates *rates);
/* Begins anew: what is counted so far is the 0 of all rates from now on. */
void rates_restart(struct rates *rates, uint64_t now_ns);

/* A series' count as it is now; 0 or -ENOMEM. The others keep what they had. */
int rates_set(struct rates *rates, uint32_t series, enum rate_of what, uint64_t count);
/* All counts belong to this moment. */
void rates_sample(struct rates *rates, uint64_t now_ns);

/* Per second. */
double rates_get(const struct rates *rates, uint32_t series, enum rate_of what, uint64_t window_ns);

#endif

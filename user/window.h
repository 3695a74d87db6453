/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Latency and queue wait over the last minutes, of any number of series (servers, channels). In:
 * cumulative histograms and counts and, where there are any, the exact extremes of each second.
 * Out: the histogram of a window of up to an hour, in steps of ten seconds and with the step that is
 * not complete yet.
 *
 * A step keeps only buckets that changed. Memory is bounded: when it is used up the oldest steps go
 * first, but never those that the configuration calls sure.
 */
#ifndef WSVITALS_WINDOW_H
#define WSVITALS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

#define WINDOW_STEP_NS 10000000000ull
#define WINDOW_STEPS 360     /* an hour */
#define WINDOW_STEPS_SURE 31 /* the default window of five minutes */

enum measure { MEASURE_LATENCY, MEASURE_QUEUE_WAIT, NR_MEASURES };

struct window_sum {
	struct hist hist[NR_MEASURES];
	uint64_t min[NR_MEASURES], max[NR_MEASURES]; /* as for spread_of */
	uint64_t received, timed;
	uint64_t from_ns; /* what is in it began here */
};

struct window;

struct window_config {
	uint64_t start_ns; /* when all counts were 0 */
	uint32_t nr_series;
	uint32_t steps_sure; /* kept whatever they cost */
	size_t bytes_max;    /* of all other steps */
};

/* NULL: out of memory. */
struct window *window_new(const struct window_config *config);
void window_free(struct window *window);
/* Begins anew: what is counted so far is the 0 of all that comes. */
void window_restart(struct window *window, uint64_t now_ns);

/* A server's exact extremes: every second. 0 or -ENOMEM. */
int window_extremes(struct window *window, uint32_t series, const struct server_counters *counters);
/* A series' histogram of one measure, and its counts, as they are now. 0 or -ENOMEM. */
int window_hist(struct window *window, uint32_t series, enum measure measure,
		const struct hist *hist);
int window_counts(struct window *window, uint32_t series, uint64_t received, uint64_t timed);
/* All histograms and counts belong to this moment: ends a step when it is due. 0 or -ENOMEM. */
int window_sample(struct window *window, uint64_t now_ns);

/* Adds this series' share of the window before now; *sum begins as window_sum_empty(). */
void window_add(const struct window *window, uint32_t series, uint64_t window_ns, uint64_t now_ns,
		struct window_sum *sum);
void window_sum_empty(const struct window *window, uint64_t window_ns, uint64_t now_ns,
		      struct window_sum *ret_sum);

size_t window_bytes(const struct window *window); /* of all steps */

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What a histogram says in a few numbers (SPEC 1). In: log-linear buckets and, where it is known,
 * the exact range of the values. Out: percentiles that are at most 3.2 % wrong, and count, average,
 * minimum and maximum that are exact. Pure.
 */
#ifndef WSVITALS_SPREAD_H
#define WSVITALS_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

struct spread {
	bool available;      /* false: this kernel has no hook for it, or the filter no source */
	bool no_percentiles; /* nothing but count, average, minimum and maximum is known */
	uint64_t count;      /* 0: the others mean nothing */
	double p50_ns, p95_ns, p99_ns, avg_ns, min_ns, max_ns;
};

/*
 * min and max as they were seen; (UINT64_MAX, 0) when they were not. Each is only believed within
 * the outermost bucket in use, else that bucket's bound stands for it: seconds that were missed, or
 * that belong to a neighbouring window, cost at most a bucket's width. unit_ns: nanoseconds in one
 * unit of the values.
 */
struct spread spread_of(const struct hist *hist, uint64_t min, uint64_t max, uint64_t unit_ns);

uint64_t hist_count(const struct hist *hist);
/* How many values lie below a bound that is the bound of a bucket: exact. */
uint64_t hist_below(const struct hist *hist, uint64_t bound);
/* *sum += (after - before) */
void hist_add_difference(struct hist *sum, const struct hist *after, const struct hist *before);

#endif

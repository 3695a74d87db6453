// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "spread.h"

/* The largest value that a bucket holds; the last one holds everything that is too large. */
static uint64_t bucket_last(uint32_t bucket)
{
	return bucket == HIST_BUCKETS - 1 ? UINT64_MAX : hist_upper(bucket) - 1;
}

uint64_t hist_count(const struct hist *hist)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		count += hist->bucket[i];
	return count;
}

uint64_t hist_below(const struct hist *hist, uint64_t bound)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS && bucket_last(i) < bound; i++)
		count += hist->bucket[i];
	return count;
}

void hist_add_difference(struct hist *sum, const struct hist *after, const struct hist *before)
{
	sum->sum += after->sum - before->sum;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		sum->bucket[i] += after->bucket[i] - before->bucket[i];
}

/* Nearest rank: the smallest bucket that has at least this share of the values at or below it. */
static double percentile(const struct hist *hist, uint64_t count, unsigned percent, uint64_t min,
			 uint64_t max)
{
	uint64_t rank = (count * percent + 99) / 100, seen = 0;
	double middle;
	uint32_t i = 0;

	for (; i < HIST_BUCKETS - 1; i++) {
		seen += hist->bucket[i];
		if (seen >= rank)
			break;
	}
	if (i == HIST_BUCKETS - 1) /* it has no upper end */
		middle = (double)hist_lower(i);
	else
		middle = ((double)hist_lower(i) + (double)(hist_upper(i) - 1)) / 2;
	if (middle < (double)min)
		return (double)min;
	return middle > (double)max ? (double)max : middle;
}

struct spread spread_of(const struct hist *hist, uint64_t min, uint64_t max, uint64_t unit_ns)
{
	struct spread spread = {.available = true, .count = hist_count(hist)};
	uint32_t first = 0, last = HIST_BUCKETS - 1;
	double unit = (double)unit_ns;

	if (spread.count == 0)
		return spread;
	while (!hist->bucket[first])
		first++;
	while (!hist->bucket[last])
		last--;
	if (min < hist_lower(first) || min > bucket_last(first))
		min = hist_lower(first);
	if (max < hist_lower(last) || max > bucket_last(last))
		max = last == HIST_BUCKETS - 1 ? hist_lower(last) : bucket_last(last);

	spread.min_ns = (double)min * unit;
	spread.max_ns = (double)max * unit;
	spread.avg_ns = (double)hist->sum / (double)spread.count * unit;
	spread.p50_ns = percentile(hist, spread.count, 50, min, max) * unit;
	spread.p95_ns = percentile(hist, spread.count, 95, min, max) * unit;
	spread.p99_ns = percentile(hist, spread.count, 99, min, max) * unit;
	return spread;
}

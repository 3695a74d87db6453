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

/* Of a bucket, within the range of all values. */
static double middle_of(uint32_t bucket, uint64_t min, uint64_t max)
{
	double middle;

	if (bucket == HIST_BUCKETS - 1) /* it has no upper end */
		middle = (double)hist_lower(bucket);
	else
		middle = ((double)hist_lower(bucket) + (double)bucket_last(bucket)) / 2;
	if (middle < (double)min)
		return (double)min;
	return middle > (double)max ? (double)max : middle;
}

struct spread spread_of(const struct hist *hist, uint64_t min, uint64_t max, uint64_t unit_ns)
{
	struct spread spread = {.available = true, .count = hist_count(hist)};
	const struct {
		unsigned percent;
		double *ret_ns;
	} ranks[] = {{50, &spread.p50_ns}, {95, &spread.p95_ns}, {99, &spread.p99_ns}};
	uint32_t first = 0, last = HIST_BUCKETS - 1, at;
	double unit = (double)unit_ns;
	uint64_t seen;

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
	/* Nearest rank: the smallest bucket that has at least this share of the values at or below
	 * it. */
	at = first;
	seen = hist->bucket[at];
	for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
		uint64_t rank = (spread.count * ranks[i].percent + 99) / 100;

		while (seen < rank && at < last)
			seen += hist->bucket[++at];
		*ranks[i].ret_ns = middle_of(at, min, max) * unit;
	}
	return spread;
}

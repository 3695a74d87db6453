/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A connection's latencies in the eight bytes that its state has left: how many, their sum, and the
 * bucket of the largest. In: values in ns. Out: count, average and maximum.
 *
 * The average is exact to half a microsecond, the maximum to a bucket of hist.h (3.2 %). When count or
 * sum has no more room both are halved: of a connection with millions of them the later ones count more.
 */
#ifndef WSVITALS_BRIEF_H
#define WSVITALS_BRIEF_H

#include "hist.h"

#define BRIEF_UNIT_BITS 10 /* the sum's unit is 1024 ns */
#define BRIEF_COUNT_BITS 22
#define BRIEF_COUNT_MAX ((1u << BRIEF_COUNT_BITS) - 1)
_Static_assert(HIST_BUCKETS <= 1 << (32 - BRIEF_COUNT_BITS),
	       "the largest's bucket has the other bits");

PURE __u32 brief_count(__u32 top)
{
	return top & BRIEF_COUNT_MAX;
}

/* n > 0 values of ns each. *sum and *top are zero at the start. */
PURE void brief_add(__u32 *sum, __u32 *top, __u64 ns, __u32 n)
{
	__u32 largest = *top >> BRIEF_COUNT_BITS, bucket = hist_bucket(ns);
	__u64 units = ((ns + (1u << (BRIEF_UNIT_BITS - 1))) >> BRIEF_UNIT_BITS) * n + *sum;
	__u64 count = (__u64)brief_count(*top) + n;

	if (units >> 32 || count > BRIEF_COUNT_MAX) {
		units >>= 1;
		count >>= 1;
	}
	/* many or long ones at a time: they would need more halvings than one, and say enough as they are */
	*sum = units >> 32 ? ~0u : (__u32)units;
	if (count > BRIEF_COUNT_MAX)
		count = BRIEF_COUNT_MAX;
	*top = (bucket > largest ? bucket : largest) << BRIEF_COUNT_BITS | (__u32)count;
}

/* ns; 0 when there is none */
PURE __u64 brief_average(__u32 sum, __u32 top)
{
	__u32 count = brief_count(top);

	return count ? ((__u64)sum << BRIEF_UNIT_BITS) / count : 0;
}

/* ns: the middle of its bucket, but not below the average */
PURE __u64 brief_maximum(__u32 sum, __u32 top)
{
	__u32 bucket = top >> BRIEF_COUNT_BITS;
	__u64 middle = (hist_lower(bucket) + hist_upper(bucket)) / 2;
	__u64 average = brief_average(sum, top);

	return middle > average ? middle : average;
}

#endif

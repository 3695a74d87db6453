/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Log-linear histogram: every power of two is cut into 16 buckets, so a bucket is at most 6.25 %
 * wide and its midpoint at most 3.2 % wrong (SPEC 1). The same rule in the kernel, in user space
 * and in the tests. Values are whatever unit the owner says: ns up to 137 s (2^37 - 1), or ms up to
 * four years; larger values fall in the last bucket.
 */
#ifndef WSVITALS_HIST_H
#define WSVITALS_HIST_H

#include "types.h"

#define HIST_SUB_BITS 4
#define HIST_SUB (1u << HIST_SUB_BITS)
#define HIST_MAX_BITS 37
#define HIST_BUCKETS ((HIST_MAX_BITS - HIST_SUB_BITS + 1) * HIST_SUB) /* 544 */

/* count is the sum of buckets: one number less that could disagree. */
struct hist {
	__u64 sum; /* of the values themselves, so that an average is exact */
	__u64 bucket[HIST_BUCKETS];
};

/* 1 if v, below 2^63, is larger than limit. BPF compares only in branches, and what a latency is
 * next, no branch predictor knows. */
PURE __u32 hist_above(__u64 v, __u64 limit)
{
	return (__u32)((limit - v) >> 63);
}

/* Position of the highest set bit, 0 for 0. BPF has no such instruction. */
PURE __u32 hist_msb(__u64 v)
{
	__u32 msb = hist_above(v >> 1, 0x7fffffff) << 5;

	msb += hist_above(v >> msb, 0xffff) << 4;
	msb += hist_above(v >> msb, 0xff) << 3;
	msb += hist_above(v >> msb, 0xf) << 2;
	msb += hist_above(v >> msb, 3) << 1;
	return msb + hist_above(v >> msb, 1);
}

/* value -> bucket, always < HIST_BUCKETS */
PURE __u32 hist_bucket(__u64 v)
{
	__u32 shift;

	if (v < 2 * HIST_SUB)
		return (__u32)v;
	if (v >> HIST_MAX_BITS)
		return HIST_BUCKETS - 1;
	shift = hist_msb(v) - HIST_SUB_BITS;
	return (shift << HIST_SUB_BITS) + (__u32)(v >> shift);
}

/* smallest value of a bucket */
PURE __u64 hist_lower(__u32 bucket)
{
	if (bucket < 2 * HIST_SUB)
		return bucket;
	return (__u64)((bucket & (HIST_SUB - 1)) | HIST_SUB) << ((bucket >> HIST_SUB_BITS) - 1);
}

/* first value beyond a bucket */
PURE __u64 hist_upper(__u32 bucket)
{
	return hist_lower(bucket + 1);
}

#endif

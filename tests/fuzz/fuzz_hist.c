// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* hist.h: every pair of values of eight bytes keeps bound, order and inverse. */
#include <stdint.h>
#include <string.h>

#include "hist.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t before = 0;
	uint64_t last = 0;

	for (; size >= 8; data += 8, size -= 8) {
		uint64_t v, lower, upper, mid;
		uint32_t b;

		memcpy(&v, data, 8);
		b = hist_bucket(v);
		REQUIRE(b < HIST_BUCKETS);
		lower = hist_lower(b);
		upper = hist_upper(b);
		mid = lower + (upper - lower) / 2;
		REQUIRE(lower < upper && hist_bucket(lower) == b && hist_bucket(upper - 1) == b);
		if (v >> HIST_MAX_BITS) {
			REQUIRE(b == HIST_BUCKETS - 1);
		} else {
			REQUIRE(v >= lower && v < upper);
			REQUIRE((mid > v ? mid - v : v - mid) * 1000 <= v * 32);
		}
		REQUIRE(v < last ? b <= before : b >= before);
		before = b;
		last = v;
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* hist.h: the error bound of SPEC 1 is a property of every value, so every value is tried. */
#include "check.h"
#include "hist.h"
#include "random.h"

#define EXHAUSTIVE (1u << 22)
#define LAST_VALUE ((1ull << HIST_MAX_BITS) - 1)

/* The rule itself, found by walking up the buckets' widths. */
static uint64_t slow_lower(uint32_t bucket)
{
	uint64_t lower = 0, width = 1;

	for (uint32_t i = 0; i < bucket; i++) {
		lower += width;
		if (lower >= 2 * HIST_SUB && lower == width * 2 * HIST_SUB)
			width *= 2;
	}
	return lower;
}

static void check_value(uint64_t v)
{
	uint32_t b = hist_bucket(v);
	uint64_t lower = hist_lower(b), upper = hist_upper(b), mid = lower + (upper - lower) / 2;
	uint64_t off = mid > v ? mid - v : v - mid;

	if (b >= HIST_BUCKETS || v < lower || v >= upper || off * 1000 > v * 32)
		fail_msg("value %llu: bucket %u = [%llu, %llu), midpoint off by %llu",
			 (unsigned long long)v, b, (unsigned long long)lower,
			 (unsigned long long)upper, (unsigned long long)off);
}

static void small_values_are_within_the_bound(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < EXHAUSTIVE; v++)
		check_value(v);
}

static void random_values_are_within_the_bound(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 4000000; i++)
		check_value(random_next(&seed) >> (64 - HIST_MAX_BITS + random_below(&seed, 20)));
	check_value(LAST_VALUE);
}

static void powers_of_two_and_neighbours(void **state)
{
	(void)state;
	for (int bit = 1; bit < HIST_MAX_BITS; bit++) {
		check_value((1ull << bit) - 1);
		check_value(1ull << bit);
		check_value((1ull << bit) + 1);
	}
}

static void buckets_grow_with_values(void **state)
{
	uint64_t seed = 2;
	uint32_t before = 0;

	(void)state;
	for (uint64_t v = 0; v < EXHAUSTIVE; v++) {
		uint32_t b = hist_bucket(v);

		assert_true(b == before || b == before + 1);
		before = b;
	}
	for (int i = 0; i < 1000000; i++) {
		uint64_t a = random_next(&seed) >> random_below(&seed, 64);
		uint64_t b = random_next(&seed) >> random_below(&seed, 64);

		assert_true(a <= b ? hist_bucket(a) <= hist_bucket(b)
				   : hist_bucket(a) >= hist_bucket(b));
	}
}

static void bounds_are_the_inverse(void **state)
{
	(void)state;
	for (uint32_t b = 0; b < HIST_BUCKETS; b++) {
		assert_int_equal(hist_bucket(hist_lower(b)), b);
		assert_int_equal(hist_bucket(hist_upper(b) - 1), b);
	}
}

static void bounds_follow_the_rule(void **state)
{
	(void)state;
	for (uint32_t b = 0; b <= HIST_BUCKETS; b++)
		assert_int_equal(hist_lower(b), slow_lower(b));
}

static void buckets_leave_no_hole(void **state)
{
	(void)state;
	assert_int_equal(hist_lower(0), 0);
	for (uint32_t b = 0; b + 1 < HIST_BUCKETS; b++)
		assert_int_equal(hist_upper(b), hist_lower(b + 1));
	assert_int_equal(hist_upper(HIST_BUCKETS - 1), LAST_VALUE + 1);
}

static void large_values_share_the_last_bucket(void **state)
{
	(void)state;
	assert_int_equal(hist_bucket(LAST_VALUE), HIST_BUCKETS - 1);
	for (int bit = HIST_MAX_BITS; bit < 64; bit++)
		assert_int_equal(hist_bucket(1ull << bit), HIST_BUCKETS - 1);
	assert_int_equal(hist_bucket(~0ull), HIST_BUCKETS - 1);
}

static void highest_bit_is_found(void **state)
{
	(void)state;
	assert_int_equal(hist_msb(0), 0);
	for (int bit = 0; bit < 64; bit++) {
		assert_int_equal(hist_msb(1ull << bit), bit);
		assert_int_equal(hist_msb(~0ull >> (63 - bit)), bit);
	}
}

/* Every host, every version: other bounds could not be merged (DESIGN 4). */
static void bounds_are_those_of_all_hosts(void **state)
{
	(void)state;
	assert_int_equal(HIST_BUCKETS, 544);
	assert_int_equal(hist_lower(543), 31ull << 32);
	assert_int_equal(hist_bucket(1000000), 270);
	assert_int_equal(hist_lower(270), 983040);
}

static void promised_range_is_covered(void **state)
{
	(void)state;
	assert_true(LAST_VALUE >= 137000000000ull);           /* SPEC 1: 137 s in ns */
	assert_true(LAST_VALUE >= 4ull * 365 * 86400 * 1000); /* four years in ms */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("every value below 4 M is within 3.2 % of its bucket's midpoint",
			 small_values_are_within_the_bound),
		SENTENCE("4 M random values up to 2^37 are within 3.2 %",
			 random_values_are_within_the_bound),
		SENTENCE("powers of two and their neighbours are within 3.2 %",
			 powers_of_two_and_neighbours),
		SENTENCE("a larger value never has a smaller bucket", buckets_grow_with_values),
		SENTENCE("a bucket's first and last value fall into it", bounds_are_the_inverse),
		SENTENCE("every power of two is cut into 16 buckets", bounds_follow_the_rule),
		SENTENCE("a bucket ends where the next begins", buckets_leave_no_hole),
		SENTENCE("values of 2^37 and more fall into the last bucket",
			 large_values_share_the_last_bucket),
		SENTENCE("the highest set bit is found for all 64", highest_bit_is_found),
		SENTENCE("there are 544 buckets, with the bounds of all hosts",
			 bounds_are_those_of_all_hosts),
		SENTENCE("137 s in ns and four years in ms have a bucket of their own",
			 promised_range_is_covered),
	};

	return check_run("hist", NULL, NULL, 0, 0, tests, COUNT(tests));
}

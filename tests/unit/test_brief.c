// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* bpf/brief.h: count, average and maximum of a connection's latencies in eight bytes. */
#include "brief.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void nothing_is_nothing(void **state)
{
	(void)state;
	assert_int_equal(brief_count(0), 0);
	assert_int_equal(brief_average(0, 0), 0);
	assert_int_equal(brief_maximum(0, 0), 0);
}

static void one_value_is_its_own_average_and_maximum(void **state)
{
	static const uint64_t values[] = {0,
					  1,
					  511,
					  512,
					  1000,
					  30000,
					  999999,
					  1000000,
					  123456789,
					  1000000000,
					  5 * 1000000000ull,
					  60 * 1000000000ull};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint32_t sum = 0, top = 0;
		uint64_t v = values[i];

		brief_add(&sum, &top, v, 1);
		assert_int_equal(brief_count(top), 1);
		assert_in_range(brief_average(sum, top), v > 512 ? v - 512 : 0, v + 512);
		assert_true(brief_maximum(sum, top) >= v - v / 16);
		assert_true(brief_maximum(sum, top) <= v + v / 16 + 512);
	}
}

/* Against the values themselves. */
static void many_values_keep_their_average_and_maximum(void **state)
{
	uint32_t sum = 0, top = 0, count = 0;
	uint64_t total = 0, largest = 0;

	(void)state;
	srand(5);
	for (int i = 0; i < 100000; i++) {
		uint64_t v = 1000ull * (uint64_t)(rand() % 20000);
		uint32_t n = 1 + (uint32_t)rand() % 3;

		brief_add(&sum, &top, v, n);
		total += v * n;
		count += n;
		largest = v > largest ? v : largest;
	}
	assert_int_equal(brief_count(top), count);
	assert_in_range(brief_average(sum, top), total / count - 512, total / count + 512);
	assert_in_range(brief_maximum(sum, top), largest - largest / 16, largest + largest / 16);
}

static void without_room_both_are_halved_and_the_average_stays(void **state)
{
	uint32_t sum = 0, top = 0;

	(void)state;
	for (uint32_t i = 0; i < 3 * BRIEF_COUNT_MAX; i++)
		brief_add(&sum, &top, 50 * 1024, 1);
	assert_in_range(brief_count(top), BRIEF_COUNT_MAX / 2, BRIEF_COUNT_MAX);
	assert_in_range(brief_average(sum, top), 50 * 1024 - 512, 50 * 1024 + 512);
	sum = top = 0;
	for (int i = 0; i < 100000; i++) /* 28 hours */
		brief_add(&sum, &top, 1000000000, 1);
	assert_in_range(brief_count(top), 1000, 100000);
	assert_in_range(brief_average(sum, top), 999000000, 1001000000);
}

static void what_has_no_room_at_all_is_cut(void **state)
{
	uint32_t sum = 0, top = 0;

	(void)state;
	brief_add(&sum, &top, 1ull << 40, ~0u);
	assert_int_equal(brief_count(top), BRIEF_COUNT_MAX);
	assert_int_equal(sum, ~0u);
	assert_int_equal(top >> BRIEF_COUNT_BITS, HIST_BUCKETS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_nothing),
		cmocka_unit_test(one_value_is_its_own_average_and_maximum),
		cmocka_unit_test(many_values_keep_their_average_and_maximum),
		cmocka_unit_test(without_room_both_are_halved_and_the_average_stays),
		cmocka_unit_test(what_has_no_room_at_all_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

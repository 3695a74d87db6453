// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* json_line.c: numbers as jansson writes them, and braces that close. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guard.h"
#include "json_line.h"
#include "random.h"

#define NR_RANDOM 200000

/* {"n": …} */
static void text_of_number(double value, unsigned decimals, char text[128])
{
	struct json_line line;

	line_begin(&line, text, 127);
	line_open(&line, NULL);
	line_number(&line, "n", value, decimals);
	line_close(&line);
	text[line_end(&line, text)] = '\0';
}

static const struct row {
	const char *sentence;
	double value;
	unsigned decimals;
	const char *text;
} rows[] = {
	{"nothing", 0, 6, "{\"n\":0.0}"},
	{"a whole number has a decimal, as reals of jansson have", 12, 6, "{\"n\":12.0}"},
	{"zeros at the end are left out", 1.5, 6, "{\"n\":1.5}"},
	{"zeros behind the point are not", 1.000002, 6, "{\"n\":1.000002}"},
	{"the last decimal is rounded", 0.00000051, 6, "{\"n\":0.000001}"},
	{"less than half of the last decimal", 0.00000049, 6, "{\"n\":0.0}"},
	{"up to a whole number", 1.9999999, 6, "{\"n\":2.0}"},
	{"below nothing", -0.25, 4, "{\"n\":-0.25}"},
	{"nothing has no sign", -0.00001, 4, "{\"n\":0.0}"},
	{"of a week in milliseconds", 604800000.123456, 6, "{\"n\":604800000.123456}"},
	{"too large for decimals", 1e300, 6, "{\"n\":1.0000000000000001e+300}"},
	{"one decimal", 3.14, 1, "{\"n\":3.1}"},
	{"JSON has no infinity", INFINITY, 3, "{\"n\":null}"},
	{"JSON has no NaN", NAN, 3, "{\"n\":null}"},
};

static void check_row(void **state)
{
	const struct row *row = *state;
	char text[128];

	text_of_number(row->value, row->decimals, text);
	assert_string_equal(text, row->text);
}

static void test_rounding(void **state)
{
	uint64_t seed = 88172645463325252ull;
	char text[128];

	(void)state;
	for (int i = 0; i < NR_RANDOM; i++) {
		double value = ldexp((double)(random_next(&seed) >> 11),
				     -(int)random_below(&seed, 53) - 20);
		double want = round(value * 1e6) / 1e6, got;

		text_of_number(value, 6, text);
		got = strtod(text + strlen("{\"n\":"), NULL);
		if (got != want)
			fail_msg("%.17g is written as %s", value, text);
	}
}

static void test_commas(void **state)
{
	struct json_line line;
	char text[256];

	(void)state;
	line_begin(&line, text, sizeof(text));
	line_open(&line, NULL);
	line_time(&line, "at", 1764079500);
	line_open(&line, "empty");
	line_close(&line);
	line_open(&line, "full");
	line_count(&line, "most", UINT64_MAX);
	line_count(&line, "least", 0);
	line_close(&line);
	line_null(&line, "none");
	line_list(&line, "cells");
	for (uint64_t i = 0; i < 2; i++) {
		line_list(&line, NULL);
		line_number(&line, NULL, 0.5, 6);
		line_count(&line, NULL, i);
		line_list_end(&line);
	}
	line_list_end(&line);
	line_close(&line);
	text[line_end(&line, text)] = '\0';
	assert_string_equal(text, "{\"at\":\"2025-11-25T14:05:00Z\",\"empty\":{},"
				  "\"full\":{\"most\":9223372036854775807,\"least\":0},"
				  "\"none\":null,\"cells\":[[0.5,0],[0.5,1]]}");
}

/* Behind its room is no memory. */
static void test_a_row_that_finds_no_room_says_so(void **state)
{
	static const char whole[] = "{\"count\":1234567,\"number\":0.5}";
	struct guard guard = guard_new(sizeof(whole));

	(void)state;
	for (size_t size = 0; size < sizeof(whole) + 3; size++) {
		char *text = (char *)guard.map + guard.room - size;
		struct json_line line;
		size_t len;

		line_begin(&line, text, size);
		line_open(&line, NULL);
		line_count(&line, "count", 1234567);
		line_number(&line, "number", 0.5, 6);
		line_close(&line);
		len = line_end(&line, text);
		assert_int_equal(len, size < sizeof(whole) - 1 ? 0 : sizeof(whole) - 1);
		assert_true(!len || !memcmp(text, whole, len));
	}
	guard_free(&guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("any number is what rounding makes of it", test_rounding),
		SENTENCE("commas are where they belong", test_commas),
		SENTENCE("a row that finds no room says so", test_a_row_that_finds_no_room_says_so),
	};

	return check_run("json_line", check_row, rows, sizeof(rows[0]), COUNT(rows), tests,
			 COUNT(tests));
}

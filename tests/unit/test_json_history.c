// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* json_history.c: rows that jansson reads, whatever the numbers; null for what is not known. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "json_history.h"

static void fill(struct point *point, uint64_t count, uint64_t value)
{
	point_reset(point);
	for (size_t i = 0; i < sizeof(point->counts) / sizeof(uint64_t); i++)
		((uint64_t *)&point->counts)[i] = count;
	for (size_t i = 0; i < NR_POINT_HISTS; i++) {
		point->hist[i].bucket[hist_bucket(value)] = count;
		point->hist[i].sum = value;
		point->min[i] = point->max[i] = value;
	}
}

/* The answer's only row. */
static json_t *row_of(const struct point *point, double covered_s, enum sheet_part part)
{
	struct history_point history = {
		.time_s = 1764079500, .step_s = 10, .covered_s = covered_s, .sum = point};
	struct sheet_head head = {.to_s = 10, .store = "ok", .step_s = 10};
	struct sheet *sheet = sheet_new(SHEET_POINTS, false, true);
	json_error_t error;
	json_t *root, *row;
	size_t len;
	char *text;

	assert_int_equal(sheet_point(sheet, &history, part, true), 0);
	text = sheet_text(sheet, &head, &len);
	assert_non_null(text);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s at %d of %s", error.text, error.position, text);
	row = json_incref(json_array_get(json_object_get(root, "data"), 0));
	json_decref(root);
	free(text);
	return row;
}

static void test_point(void **state)
{
	static const uint64_t values[] = {0, 1, 1000000, UINT64_MAX - 1};
	static const double covered[] = {0, 10, 300.001};
	static struct point point;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		for (size_t k = 0; k < sizeof(covered) / sizeof(covered[0]); k++)
			for (enum sheet_part part = PART_WHOLE; part <= PART_BINARY; part++) {
				json_t *row, *messages;

				fill(&point, values[i], values[i]);
				row = row_of(&point, covered[k], part);
				messages = json_object_get(row, "messages");
				assert_int_equal(json_object_size(row), 6);
				assert_true(
					covered[k] > 0
						? json_is_real(json_object_get(messages, "rate"))
						: json_is_null(json_object_get(messages, "rate")));
				/* of messages of both types directions are not known */
				assert_true(json_is_null(json_object_get(messages, "received")) ==
					    (part > PART_USER && values[i]));
				json_decref(row);
			}
}

static void check_type(const struct point *point, enum sheet_part part, int count, int received)
{
	json_t *row = row_of(point, 10, part), *messages = json_object_get(row, "messages");
	json_t *latency = json_object_get(messages, "latency");
	const char *key = part == PART_TEXT ? "text" : "binary";

	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(messages, "by_type"), key)),
		count);
	assert_true(json_real_value(json_object_get(messages, "rate")) == count / 10.0);
	if (received < 0) {
		assert_true(json_is_null(json_object_get(messages, "received")));
		assert_true(json_is_null(latency));
	} else {
		assert_int_equal(json_integer_value(json_object_get(messages, "received")),
				 received);
		assert_int_equal(json_integer_value(json_object_get(latency, "count")), received);
	}
	assert_true(json_is_null(json_object_get(messages, "bytes_sent")));
	json_decref(row);
}

/* 3 received and answered; the kernel knows how many were text, not which. */
static void test_types(void **state)
{
	static struct point point;
	struct server_counters_fields *n = &point.counts.n;

	(void)state;
	point_reset(&point);
	n->received = n->sent = n->timed = 3;
	point.hist[POINT_LATENCY].bucket[100] = 3;
	n->text = 6;
	check_type(&point, PART_TEXT, 6, 3);
	check_type(&point, PART_BINARY, 0, 0);
	n->text = 4;
	n->binary = 2;
	check_type(&point, PART_TEXT, 4, -1);
	check_type(&point, PART_BINARY, 2, -1);
	n->text = 5; /* a message that was counted in two intervals */
	n->binary = 0;
	check_type(&point, PART_TEXT, 5, -1);
}

/* A week ago nobody counted, so "same time last week" is not known (NAN). */
static void test_accuracy(void **state)
{
	static struct forecast forecast = {
		.weekly = true,
		.nr_hours = 1,
		.yesterday = {.known = true, .error = 2, .naive_error = NAN, .hours = 24},
	};
	struct sheet_head head = {
		.store = "ok", .connections = &forecast, .rate = &forecast, .to_s = 3600};
	struct sheet *sheet = sheet_new(SHEET_FORECAST, false, true);
	json_t *root, *accuracy;
	size_t len;
	char *text;

	(void)state;
	assert_int_equal(sheet_forecast(sheet, &forecast.hours[0], &forecast.hours[0]), 0);
	text = sheet_text(sheet, &head, &len);
	assert_non_null(text);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	accuracy = json_object_get(json_object_get(root, "yesterday"), "connections");
	assert_true(json_is_null(json_object_get(accuracy, "naive_error")));
	assert_true(json_real_value(json_object_get(accuracy, "error")) == 2);
	json_decref(root);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("a point is a row, however large its numbers", test_point),
		SENTENCE("of one type alone directions and latency are known", test_types),
		SENTENCE("an accuracy that is not known is null", test_accuracy),
	};

	return check_run("json_history", NULL, NULL, 0, 0, tests, COUNT(tests));
}

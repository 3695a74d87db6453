// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* error.c: the table of SPEC 3, for every code and status that there is. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "error.h"

/* Codes from first to last are of this type; what no row names is websocket_error. */
struct row {
	const char *sentence;
	uint16_t first, last;
	const char *type;
};

static const struct row closes[] = {
	{"a normal close is no error", 1000, 1001, "none"},
	{"a close without a code is no error", 1005, 1005, "none"},
	{"protocol error and unsupported data", 1002, 1003, "protocol_error"},
	{"invalid payload", 1007, 1007, "protocol_error"},
	{"policy", 1008, 1008, "policy_violation"},
	{"too big", 1009, 1009, "message_too_big"},
	{"a missing extension", 1010, 1010, "protocol_error"},
	{"internal error", 1011, 1011, "internal_error"},
	{"restart", 1012, 1012, "service_restart"},
	{"try again later", 1013, 1013, "rate_limit_error"},
	{"bad gateway", 1014, 1014, "internal_error"},
	{"unauthorized", 3000, 3000, "authentication_error"},
	{"registered codes up to forbidden", 3001, 3002, "application_error"},
	{"forbidden", 3003, 3003, "authentication_error"},
	{"codes of applications up to 4029", 3004, 4028, "application_error"},
	{"429 short", 4029, 4029, "rate_limit_error"},
	{"codes of applications up to 4401", 4030, 4400, "application_error"},
	{"401", 4401, 4401, "authentication_error"},
	{"402", 4402, 4402, "application_error"},
	{"403", 4403, 4403, "authentication_error"},
	{"codes of applications up to 4429", 4404, 4428, "application_error"},
	{"429", 4429, 4429, "rate_limit_error"},
	{"the other codes of applications", 4430, 4999, "application_error"},
	{"codes of applications beyond the table's bound", CLOSE_OTHER_APPLICATION,
	 CLOSE_OTHER_APPLICATION, "application_error"},
};

static void one_range(void **state)
{
	const struct row *row = *state;

	for (unsigned code = row->first; code <= row->last; code++)
		assert_string_equal(error_key(error_of_close((uint16_t)code)), row->type);
}

static void any_other_code_is_a_websocket_error(void **state)
{
	(void)state;
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		bool named = false;

		for (size_t i = 0; i < COUNT(closes); i++)
			named |= code >= closes[i].first && code <= closes[i].last;
		if (!named)
			assert_int_equal(error_of_close((uint16_t)code), ERROR_WEBSOCKET);
	}
}

static void a_refusal_is_authentication_rate_limit_or_handshake(void **state)
{
	(void)state;
	for (unsigned status = 0; status <= 999; status++) {
		const char *type = status == 401 || status == 403 ? "authentication_error"
				   : status == 429                ? "rate_limit_error"
								  : "handshake_error";

		assert_string_equal(error_key(error_of_status((uint16_t)status)), type);
	}
}

static void every_key_is_different_and_unknown_is_none_of_them(void **state)
{
	const char *keys[NR_ERROR_TYPES + NR_CAUSES + NR_VIOLATIONS];
	size_t nr = 0;

	(void)state;
	for (int i = ERROR_NONE + 1; i < NR_ERROR_TYPES; i++)
		keys[nr++] = error_key(i);
	for (int i = 0; i < NR_CAUSES; i++)
		keys[nr++] = cause_key(i);
	for (int i = VIOLATION_NONE + 1; i < NR_VIOLATIONS; i++)
		keys[nr++] = violation_key(i);
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(strspn(keys[i], "abcdefghijklmnopqrstuvwxyz_"), strlen(keys[i]));
		assert_string_not_equal(keys[i], "unknown");
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(keys[i], keys[j]);
	}
	assert_string_equal(error_key(NR_ERROR_TYPES), "unknown");
	assert_string_equal(cause_key(NR_CAUSES), "unknown");
	assert_string_equal(violation_key(NR_VIOLATIONS), "unknown");
	assert_string_equal(error_key((enum error_type) ~0u), "unknown");
}

static void every_code_has_a_class_that_names_it(void **state)
{
	(void)state;
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		size_t class = close_class((uint16_t)code);
		char text[8], expected[8] = "other";

		if (code >= 1000 && code <= 1015)
			snprintf(expected, sizeof(expected), "%u", code);
		else if (code >= 3000 && code <= 4999)
			snprintf(expected, sizeof(expected), "%cxxx", code < 4000 ? '3' : '4');
		assert_true(class < CLOSE_CLASSES);
		close_class_text(class, text);
		assert_string_equal(text, expected);
	}
}

static void a_class_that_is_none_is_other(void **state)
{
	char text[8];

	(void)state;
	close_class_text(CLOSE_CLASSES, text);
	assert_string_equal(text, "other");
	close_class_text(SIZE_MAX, text);
	assert_string_equal(text, "other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("any other code is a websocket error",
			 any_other_code_is_a_websocket_error),
		SENTENCE("a refusal is authentication, rate limit or handshake",
			 a_refusal_is_authentication_rate_limit_or_handshake),
		SENTENCE("every key is different, and unknown is none of them",
			 every_key_is_different_and_unknown_is_none_of_them),
		SENTENCE("every code has a class that names it",
			 every_code_has_a_class_that_names_it),
		SENTENCE("a class that is none is other", a_class_that_is_none_is_other),
	};

	return check_run("error", one_range, closes, sizeof(closes[0]), COUNT(closes), tests,
			 COUNT(tests));
}

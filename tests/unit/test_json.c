// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* json.c: the shape of SPEC 4, and text that any parser takes. */
#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "json.h"
#include "synthetic.h"

static json_t *dump_of(const struct summary *summary)
{
	char *text = json_of_summary(summary);
	json_error_t error;
	json_t *root;

	assert_non_null(text);
	root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s at line %d of %s", error.text, error.line, text);
	free(text);
	return root;
}

/* "connections.by_user" */
static json_t *at(json_t *value, const char *path)
{
	char key[64];

	while (value && *path) {
		size_t len = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		value = json_object_get(value, key);
		path += len + (path[len] == '.');
	}
	return value;
}

/* One letter each: i integer, r real, n null, o object, a array, s string, b boolean */
struct row {
	const char *sentence; /* the path itself */
	char type;
};

static const struct row rows[] = {
	{"timestamp", 's'},
	{"counting_since", 's'},
	{"uptime_seconds", 'r'},
	{"connections.total", 'i'},
	{"connections.peak", 'i'},
	{"connections.created", 'i'},
	{"connections.closed", 'i'},
	{"connections.by_user", 'o'},
	{"connections.by_channel", 'o'},
	{"connections.by_server", 'o'},
	{"connections.open_age.avg", 'n'},
	{"connections.open_age.median", 'n'},
	{"connections.open_age.min", 'n'},
	{"connections.open_age.max", 'n'},
	{"connections.open_age.count", 'i'},
	{"connections.handshake.p50", 'n'},
	{"messages.rate_1m", 'r'},
	{"messages.rate_5m", 'r'},
	{"messages.rate_15m", 'r'},
	{"messages.received", 'i'},
	{"messages.sent", 'i'},
	{"messages.bytes_received", 'i'},
	{"messages.bytes_sent", 'i'},
	{"messages.by_type.text", 'i'},
	{"messages.by_type.binary", 'i'},
	{"messages.types", 'o'},
	{"messages.latency.p50", 'r'},
	{"messages.latency.p95", 'r'},
	{"messages.latency.p99", 'r'},
	{"messages.latency.avg", 'r'},
	{"messages.latency.min", 'r'},
	{"messages.latency.max", 'r'},
	{"messages.latency.count", 'i'},
	{"messages.latency.timed_share", 'r'},
	{"messages.queue_wait.p50", 'n'},
	{"messages.queue_wait.count", 'i'},
	{"messages.ping_rtt.count", 'i'},
	{"messages.unpaired.push", 'i'},
	{"messages.unpaired.ambiguous", 'i'},
	{"messages.unpaired.unanswered", 'i'},
	{"messages.unpaired.waiting", 'i'},
	{"messages.control.received.close", 'i'},
	{"messages.control.received.ping", 'i'},
	{"messages.control.received.pong", 'i'},
	{"messages.control.sent.close", 'i'},
	{"messages.control.sent.ping", 'i'},
	{"messages.control.sent.pong", 'i'},
	{"errors.total", 'i'},
	{"errors.by_type", 'o'},
	{"errors.rate", 'r'},
	{"errors.recent", 'a'},
	{"errors.close_codes", 'o'},
	{"errors.refused", 'o'},
	{"errors.causes", 'o'},
	{"errors.violations", 'o'},
	{"errors.quiet", 'o'},
	{"connection_duration.avg", 'n'},
	{"connection_duration.median", 'n'},
	{"connection_duration.count", 'i'},
	{"upstream.connections", 'i'},
	{"upstream.messages", 'i'},
	{"capture.balanced", 'b'},
	{"capture.unbalanced", 'a'},
	{"capture.bytes.received.seen", 'i'},
	{"capture.bytes.sent.gap", 'i'},
	{"capture.connections.opened", 'i'},
	{"capture.connections.closed", 'i'},
	{"capture.connections.active", 'i'},
	{"capture.messages.answers_to_ambiguous", 'i'},
	{"capture.events.submitted", 'i'},
	{"capture.events.received", 'i'},
	{"capture.events.dropped.ring", 'i'},
	{"capture.events.dropped.undecodable", 'i'},
	{"capture.losses.heads_full", 'i'},
	{"capture.losses.tls", 'i'},
	{"capture.losses.missed_runs", 'i'},
	{"capture.hooks", 'a'},
};

static char type_of(const json_t *value)
{
	static const char letters[] = {
		[JSON_OBJECT] = 'o', [JSON_ARRAY] = 'a', [JSON_STRING] = 's', [JSON_INTEGER] = 'i',
		[JSON_REAL] = 'r',   [JSON_TRUE] = 'b',  [JSON_FALSE] = 'b',  [JSON_NULL] = 'n',
	};

	return value ? letters[json_typeof(value)] : '-';
}

static void a_field_has_its_type(void **state)
{
	const struct row *row = *state;
	struct world *w = world_new();
	json_t *root;

	world_latency(w, SERVER, 1500001, SECOND / 2);
	root = dump_of(world_sample(w, SECOND));
	assert_int_equal(type_of(at(root, row->sentence)), row->type);
	json_decref(root);
	world_free(w);
}

static void numbers_are_in_the_units_of_the_contract(void **state)
{
	struct world *w = world_new();
	const struct summary *s;
	json_t *root;

	(void)state;
	world_latency(w, SERVER, 15500001, SECOND / 2);
	world_walk(w, (struct walk_record){.id = 1, .open_ns = START});
	world_counters(w, SERVER)->opened = 1;
	s = world_sample(w, 90 * SECOND);
	root = dump_of(s);
	/* every nanosecond of a millisecond is there */
	assert_true(json_real_value(at(root, "messages.latency.min")) == 15.500001);
	assert_true(json_real_value(at(root, "messages.latency.avg")) == 15.500001);
	assert_true(json_real_value(at(root, "connections.open_age.max")) == 90.0);
	assert_string_equal(json_string_value(at(root, "timestamp")), "2024-01-01T12:01:30Z");
	assert_string_equal(json_string_value(at(root, "counting_since")), "2024-01-01T12:00:00Z");
	assert_true(json_real_value(at(root, "uptime_seconds")) == 90);
	assert_int_equal(
		json_integer_value(
			at(json_object_get(at(root, "connections.by_server"), "node:8000"), "")),
		1);
	json_decref(root);
	world_free(w);
}

static void a_measure_without_a_hook_is_null(void **state)
{
	struct world *w = world_new();
	json_t *root;

	(void)state;
	w->reading->hooks[0].attached = false;
	w->reading->hooks[0].reason = "no such tracepoint";
	root = dump_of(world_sample(w, SECOND));
	assert_int_equal(type_of(at(root, "messages.queue_wait")), 'n');
	assert_string_equal(
		json_string_value(at(json_array_get(at(root, "capture.hooks"), 0), "reason")),
		"no such tracepoint");
	json_decref(root);
	world_free(w);
}

static void an_error_has_all_its_fields(void **state)
{
	struct world *w = world_new();
	json_t *root, *row;
	uint64_t id;

	(void)state;
	id = world_open(w, 0, (struct open_args){.path = "/\"<b>\\\xff"});
	world_reason(w, id, BY_CLIENT, 0, "\x0f\xa0\x1b]0;\"", 7);
	world_close(w, SECOND,
		    (struct event_close){.event.id = id, .has_close = 1, .close_code = 4000});
	world_outcome(w, SERVER, OUTCOME_CLOSE, 4000, BY_CLIENT, 0, 1);
	world_outcome(w, SERVER, OUTCOME_CLOSE, CLOSE_INVALID, BY_SERVER, 0, 2);
	world_outcome(w, SERVER, OUTCOME_REFUSED, 0, BY_SERVER, 0, 3);
	world_open(w, 0, (struct open_args){.type = EVENT_REFUSED, .status = 0, .response = ""});
	root = dump_of(world_sample(w, 2 * SECOND));
	row = json_array_get(at(root, "errors.recent"), 1);
	assert_string_equal(json_string_value(at(row, "type")), "application_error");
	assert_string_equal(json_string_value(at(row, "message")), "\xef\xbf\xbd]0;\"");
	assert_string_equal(json_string_value(at(row, "channel")), "/\"<b>\\\xef\xbf\xbd");
	assert_string_equal(json_string_value(at(row, "initiator")), "client");
	assert_int_equal(json_integer_value(at(row, "code")), 4000);
	assert_int_equal(type_of(at(row, "cause")), 'n');
	assert_int_equal(type_of(at(row, "status")), 'n');
	assert_int_equal(json_integer_value(at(root, "errors.close_codes.4000.client")), 1);
	assert_int_equal(json_integer_value(at(root, "errors.close_codes.invalid.server")), 2);
	assert_int_equal(json_integer_value(at(root, "errors.refused.0")), 3);
	row = json_array_get(at(root, "errors.recent"), 0);
	assert_int_equal(json_integer_value(at(row, "status")), 0);
	assert_int_equal(type_of(at(row, "initiator")), 'n');
	json_decref(root);
	world_free(w);
}

static void what_does_not_balance_is_named(void **state)
{
	struct world *w = world_new();
	json_t *root;

	(void)state;
	world_counters(w, SERVER)->gap_sent = 1;
	world_counters(w, SLOT_UPSTREAM)->push = 1;
	root = dump_of(world_sample(w, SECOND));
	assert_true(json_is_false(at(root, "capture.balanced")));
	assert_string_equal(json_string_value(json_array_get(at(root, "capture.unbalanced"), 0)),
			    "bytes.sent");
	assert_string_equal(json_string_value(json_array_get(at(root, "capture.unbalanced"), 1)),
			    "upstream.messages.sent");
	json_decref(root);
	world_free(w);
}

static void other_is_the_last_label(void **state)
{
	struct world *w = world_new();
	const char *key = NULL, *last = NULL;
	json_t *root, *value;
	char path[16];

	(void)state;
	for (int i = 0; i < 101; i++) {
		snprintf(path, sizeof(path), "/%c%d", 'z' - i % 26, i);
		world_walk(w, (struct walk_record){
				      .id = world_open(w, 0, (struct open_args){.path = path})});
	}
	root = dump_of(world_sample(w, SECOND));
	assert_int_equal(json_object_size(at(root, "connections.by_channel")), 101);
	json_object_foreach (at(root, "connections.by_channel"), key, value)
		last = key;
	assert_string_equal(last, "other");
	json_decref(root);
	world_free(w);
}

/* What has no source for a filter is null, never 0. */
struct filtered_row {
	const char *path;
	char by_server, by_channel, by_user; /* types, as above */
};

static const struct filtered_row filtered_rows[] = {
	{"filter.server", 's', 'n', 'n'},
	{"filter.channel", 'n', 's', 'n'},
	{"filter.user", 'n', 'n', 's'},
	{"filter.partial", 'b', 'b', 'b'},
	{"connections.total", 'i', 'i', 'i'},
	{"connections.peak", 'i', 'i', 'n'},
	{"connections.created", 'i', 'i', 'i'},
	{"connections.closed", 'i', 'i', 'i'},
	{"connections.by_user", 'o', 'o', 'o'},
	{"connections.by_channel", 'o', 'o', 'o'},
	{"connections.by_server", 'o', 'o', 'o'},
	{"connections.open_age.median", 'r', 'r', 'r'},
	{"connections.handshake", 'o', 'n', 'n'},
	{"messages.rate_1m", 'r', 'r', 'n'},
	{"messages.rate_5m", 'r', 'r', 'n'},
	{"messages.rate_15m", 'r', 'r', 'n'},
	{"messages.received", 'i', 'i', 'i'},
	{"messages.sent", 'i', 'i', 'i'},
	{"messages.bytes_received", 'i', 'i', 'i'},
	{"messages.bytes_sent", 'i', 'i', 'i'},
	{"messages.by_type", 'o', 'o', 'o'},
	{"messages.by_type.text", 'i', 'n', 'n'},
	{"messages.by_type.binary", 'i', 'n', 'n'},
	{"messages.latency", 'o', 'o', 'n'},
	{"messages.queue_wait", 'o', 'n', 'n'},
	{"messages.ping_rtt", 'o', 'n', 'n'},
	{"messages.unpaired", 'o', 'o', 'o'},
	{"messages.unpaired.push", 'i', 'n', 'n'},
	{"messages.unpaired.ambiguous", 'i', 'n', 'n'},
	{"messages.unpaired.unanswered", 'i', 'n', 'n'},
	{"messages.unpaired.waiting", 'i', 'i', 'i'},
	{"messages.control", 'o', 'n', 'n'},
	{"errors.total", 'i', 'i', 'i'},
	{"errors.by_type", 'o', 'o', 'o'},
	{"errors.rate", 'r', 'r', 'n'},
	{"errors.recent", 'a', 'a', 'a'},
	{"errors.close_codes", 'o', 'o', 'o'},
	{"connection_duration.count", 'i', 'i', 'i'},
	{"connection_duration.avg", 'r', 'r', 'r'},
	{"connection_duration.median", 'r', 'n', 'n'},
	{"upstream.connections", 'n', 'n', 'n'},
	{"upstream.messages", 'n', 'n', 'n'},
	{"capture.bytes", 'o', 'n', 'n'},
	{"capture.connections.opened", 'i', 'i', 'i'},
	{"capture.messages.received", 'i', 'i', 'i'},
	{"capture.messages.timed", 'i', 'n', 'n'},
	{"capture.messages.waiting", 'i', 'i', 'i'},
	{"capture.balanced", 'b', 'b', 'b'},
	{"capture.hooks", 'a', 'a', 'a'},
};

static void assert_types(const struct summary *summary, size_t column)
{
	json_t *root = dump_of(summary);

	for (size_t i = 0; i < COUNT(filtered_rows); i++) {
		const struct filtered_row *row = &filtered_rows[i];
		const char types[] = {row->by_server, row->by_channel, row->by_user};
		char type = type_of(at(root, row->path));

		if (type != types[column])
			fail_msg("%s is `%c', not `%c', with filter %zu", row->path, type,
				 types[column], column);
	}
	json_decref(root);
}

static void what_a_filter_has_no_source_for_is_null(void **state)
{
	struct world *w = world_new();
	struct server_rare *rare = w->reading->servers[SERVER].rare;
	uint64_t id[2];
	json_t *root;

	(void)state;
	for (int i = 0; i < 2; i++)
		id[i] = world_open(w, 0, (struct open_args){.path = "/a"});
	world_close(w, SECOND,
		    (struct event_close){.event.id = id[1],
					 .duration_ns = SECOND,
					 .has_close = 1,
					 .close_code = 4000});
	world_outcome(w, SERVER, OUTCOME_CLOSE, 4000, BY_CLIENT, 0, 1);
	rare->duration_ms.bucket[hist_bucket(1000)]++;
	rare->duration_ms.sum = 1000;
	world_walk(w, (struct walk_record){.id = id[0]});
	world_sample(w, 2 * SECOND);
	assert_types(world_filter(w, (struct filter){.server = "node:8000"}), 0);
	assert_types(world_filter(w, (struct filter){.channel = "/a"}), 1);
	assert_types(world_filter(w, (struct filter){.user = "192.0.2.1"}), 2);
	root = dump_of(world_filter(w, (struct filter){.user = "192.0.2.1"}));
	/* the asker may know the true value, the answer does not repeat it */
	assert_int_equal(strlen(json_string_value(at(root, "filter.user"))), 12);
	json_decref(root);
	root = dump_of(world_filter(w, (struct filter){.channel = "\"\x1b[0m\xff"}));
	assert_string_equal(json_string_value(at(root, "filter.channel")),
			    "\"\xef\xbf\xbd[0m\xef\xbf\xbd");
	json_decref(root);
	root = dump_of(world_filter(w, (struct filter){.window_ns = 60 * SECOND}));
	assert_null(at(root, "filter"));
	json_decref(root);
	world_free(w);
}

static void the_window_of_latency_is_told(void **state)
{
	struct world *w = world_new();
	json_t *root;

	(void)state;
	for (uint64_t t = 1; t <= 600; t++) {
		world_latency(w, SERVER, 1000, t * SECOND - 1);
		world_sample_parts(w, t * SECOND, t % 10 ? 0 : READING_HISTS);
	}
	root = dump_of(world_filter(w, (struct filter){.window_ns = 60 * SECOND}));
	assert_true(json_real_value(at(root, "messages.latency.window_seconds")) == 60);
	assert_int_equal(json_integer_value(at(root, "messages.latency.count")), 60);
	json_decref(root);
	root = dump_of(world_filter(w, (struct filter){.server = "node:8000"}));
	assert_true(json_real_value(at(root, "messages.latency.window_seconds")) == 300);
	json_decref(root);
	root = dump_of(world_filter(w, (struct filter){.window_ns = 3600 * SECOND}));
	assert_true(json_real_value(at(root, "messages.latency.window_seconds")) == 600);
	json_decref(root);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("numbers are in the units of the contract",
			 numbers_are_in_the_units_of_the_contract),
		SENTENCE("a measure without a hook is null", a_measure_without_a_hook_is_null),
		SENTENCE("an error has all its fields", an_error_has_all_its_fields),
		SENTENCE("what does not balance is named", what_does_not_balance_is_named),
		SENTENCE("other is the last label", other_is_the_last_label),
		SENTENCE("what a filter has no source for is null",
			 what_a_filter_has_no_source_for_is_null),
		SENTENCE("the window of latency is told", the_window_of_latency_is_told),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("json", a_field_has_its_type, rows, sizeof(rows[0]), COUNT(rows), tests,
			 COUNT(tests));
}

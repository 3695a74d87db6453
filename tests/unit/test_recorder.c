// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* ledger.c and recorder.c: intervals hold what came since the one before, whatever falls or jumps. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "recorder.h"
#include "store_model.h"
#include "store_query.h"
#include "synthetic.h"

#define OTHER_SERVER (SLOT_FIRST + 1)

static int setup(void **state)
{
	*state = world_new_for(true);
	world_sample(*state, SECOND);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* What came since the last call, after a sample at this time. */
static struct interval *interval_at(struct world *w, uint64_t after_ns)
{
	struct interval *interval = interval_new((int64_t)START_WALL, (int64_t)START_WALL, 0);

	assert_non_null(interval);
	world_sample(w, after_ns);
	assert_int_equal(aggregate_rows(w->aggregate, interval), 0);
	assert_int_equal(aggregate_points(w->aggregate, interval), 0);
	return interval;
}

/* The point of a series; all zero when it is absent. Of one series at a time. */
static const struct point *point_of(const struct interval *interval, enum series_kind kind,
				    const char *server, const char *label)
{
	static struct point point;
	struct point_gauge gauge = {0};

	point_reset(&point);
	for (size_t i = 0; i < interval->nr_points; i++) {
		const struct interval_point *p = &interval->points[i];

		if (p->series.kind != kind || strcmp(p->series.server, server) != 0 ||
		    strcmp(p->series.label, label) != 0)
			continue;
		assert_int_equal(point_add_blob(&point, &gauge, p->blob, p->len), 0);
	}
	point.counts.active = gauge.active;
	point.counts.peak = gauge.peak;
	return &point;
}

static const struct roster_numbers *user_of(const struct interval *interval, const char *user)
{
	for (size_t i = 0; i < interval->nr_users; i++)
		if (!strcmp(interval->users[i].user, user))
			return &interval->users[i].n;
	return NULL;
}

static struct walk_record walked(uint64_t id, uint32_t received, uint32_t sent, const char *path)
{
	return (struct walk_record){
		.id = id,
		.received = received,
		.sent = sent,
		.bytes_received = received * 10,
		.bytes_sent = sent * 20,
		.path_hash = path_hash(path),
	};
}

static void an_interval_is_the_difference_to_the_last(void **state)
{
	struct world *w = *state;
	struct server_counters_fields *n = world_counters(w, SERVER);
	uint64_t id = world_open(w, SECOND, (struct open_args){.path = "/room/1"});
	struct interval *interval;
	const struct point *point;

	world_latency(w, SERVER, 5000, 2 * SECOND);
	n->bytes_received += 10;
	world_walk(w, walked(id, 1, 1, "/room/1"));
	interval = interval_at(w, 10 * SECOND);
	point = point_of(interval, SERIES_SERVER, "node:8000", "");
	assert_int_equal(point->counts.n.opened, 1);
	assert_int_equal(point->counts.n.received, 1);
	assert_int_equal(point->counts.active, 1);
	assert_int_equal(hist_count(&point->hist[POINT_LATENCY]), 1);
	assert_int_equal(point->min[POINT_LATENCY], 5000);
	point = point_of(interval, SERIES_CHANNEL, "node:8000", "/room/1");
	assert_int_equal(point->counts.n.opened, 1);
	assert_int_equal(point->counts.n.bytes_sent, 20);
	interval_free(interval);

	w->reading->walk[0] = walked(id, 4, 3, "/room/1");
	for (int i = 0; i < 2; i++)
		world_latency(w, SERVER, 900, 12 * SECOND);
	interval = interval_at(w, 20 * SECOND);
	point = point_of(interval, SERIES_TOTAL, "", "");
	assert_int_equal(point->counts.n.opened, 0);
	assert_int_equal(point->counts.n.received, 2);
	assert_int_equal(point->counts.active, 1);
	assert_int_equal(hist_count(&point->hist[POINT_LATENCY]), 2);
	assert_int_equal(point->max[POINT_LATENCY], 900); /* not the 5000 of before */
	point = point_of(interval, SERIES_CHANNEL, "node:8000", "/room/1");
	assert_int_equal(point->counts.n.received, 3);
	assert_int_equal(point->counts.n.sent, 2);
	interval_free(interval);
}

static void what_did_nothing_is_absent(void **state)
{
	struct interval *interval = interval_at(*state, 10 * SECOND);

	assert_int_equal(interval->nr_points, 0);
	assert_int_equal(interval->nr_users, 0);
	interval_free(interval);
}

/* Counts of all intervals, with resets between them or without. */
static void sum_of_a_day(bool resets, struct point_counts *ret_sum, struct roster_numbers *ret_user)
{
	struct world *w = world_new_for(true);
	struct server_counters_fields *n = world_counters(w, SERVER);
	uint64_t ids[3];
	char user[LABEL_USER_SIZE];

	memset(ret_sum, 0, sizeof(*ret_sum));
	memset(ret_user, 0, sizeof(*ret_user));
	world_sample(w, SECOND);
	assert_true(aggregate_user(w->aggregate, "192.0.2.1", user));
	for (int i = 0; i < 3; i++)
		ids[i] = world_open(w, SECOND, (struct open_args){.path = "/room/1"});
	for (uint64_t i = 1; i <= 6; i++) {
		uint64_t now = i * 10 * SECOND;
		struct interval *interval;
		const struct point *point;
		const struct roster_numbers *numbers;

		n->received += 5;
		n->sent += 7;
		w->reading->nr_walk = 0;
		if (i < 4)
			for (int k = 0; k < 3; k++)
				world_walk(w, walked(ids[k], (uint32_t)i * 2, (uint32_t)i * 3,
						     "/room/1"));
		if (i == 4)
			for (int k = 0; k < 3; k++)
				world_close(w, now - SECOND,
					    (struct event_close){.event.id = ids[k],
								 .received = 8,
								 .sent = 12,
								 .bytes_received = 80,
								 .bytes_sent = 240,
								 .has_close = 1,
								 .close_code = 1011});
		if (resets && i != 2) {
			world_sample(w, now - SECOND / 2);
			assert_int_equal(aggregate_reset(w->aggregate, w->reading), 0);
		}
		interval = interval_at(w, now);
		point = point_of(interval, SERIES_CHANNEL, "node:8000", "/room/1");
		assert_true(point->counts.n.received <= 6 && point->counts.n.sent <= 9);
		ret_sum->n.opened += point->counts.n.opened;
		ret_sum->n.closed += point->counts.n.closed;
		ret_sum->n.bytes_received += point->counts.n.bytes_received;
		ret_sum->errors += point->counts.errors;
		point = point_of(interval, SERIES_TOTAL, "", "");
		assert_int_equal(point->counts.n.received, 5);
		ret_sum->n.received += point->counts.n.received;
		ret_sum->n.sent += point->counts.n.sent;
		numbers = user_of(interval, user);
		if (numbers)
			roster_add(ret_user, numbers);
		interval_free(interval);
	}
	world_free(w);
}

static void a_reset_changes_nothing_in_history(void **state)
{
	struct point_counts plain, reset;
	struct roster_numbers user, user_reset;

	(void)state;
	sum_of_a_day(false, &plain, &user);
	sum_of_a_day(true, &reset, &user_reset);
	assert_int_equal(plain.n.opened, 3);
	assert_int_equal(plain.n.closed, 3);
	assert_int_equal(plain.n.bytes_received, 3 * 80);
	assert_int_equal(plain.errors, 3);
	assert_int_equal(plain.n.sent, 42);
	assert_int_equal(user.opened, 3);
	assert_int_equal(user.closed, 3);
	assert_int_equal(user.received, 3 * 8);
	assert_int_equal(user.active, 0);
	assert_memory_equal(&plain, &reset, sizeof(plain));
	assert_memory_equal(&user, &user_reset, sizeof(user));
}

static void a_corrected_outcome_counts_once_in_the_end(void **state)
{
	struct world *w = *state;
	uint64_t abnormal = 0, internal = 0;
	struct interval *interval;

	for (uint64_t i = 1; i <= 3; i++) {
		const struct point *point;

		if (i == 1)
			world_outcome(w, SERVER, OUTCOME_ABNORMAL, CAUSE_RESET_BY_PEER, 0, 0, 1);
		if (i == 2) { /* it was a close frame after all */
			w->reading->outcomes[0].count = 0;
			world_outcome(w, SERVER, OUTCOME_CLOSE, 1011, BY_SERVER, 0, 1);
		}
		if (i == 3)
			w->reading->outcomes[0].count = 1;
		interval = interval_at(w, i * 10 * SECOND);
		point = point_of(interval, SERIES_SERVER, "node:8000", "");
		abnormal += point->counts.by_type[ERROR_ABNORMAL];
		internal += point->counts.by_type[ERROR_INTERNAL];
		assert_int_equal(point->counts.errors,
				 point->counts.by_type[ERROR_ABNORMAL] +
					 point->counts.by_type[ERROR_INTERNAL]);
		interval_free(interval);
	}
	assert_int_equal(abnormal, 1);
	assert_int_equal(internal, 1);
}

static void a_peak_belongs_to_its_interval(void **state)
{
	struct world *w = *state;
	struct interval *interval;
	uint64_t ids[4];

	for (int i = 0; i < 4; i++)
		ids[i] = world_open(w, 2 * SECOND, (struct open_args){.path = "/a"});
	for (int i = 0; i < 3; i++)
		world_close(w, 3 * SECOND,
			    (struct event_close){.event.id = ids[i],
						 .open_ns = START + 2 * SECOND,
						 .duration_ns = SECOND});
	world_walk(w, walked(ids[3], 0, 0, "/a"));
	interval = interval_at(w, 10 * SECOND);
	assert_int_equal(point_of(interval, SERIES_SERVER, "node:8000", "")->counts.peak, 4);
	assert_int_equal(point_of(interval, SERIES_TOTAL, "", "")->counts.peak, 4);
	assert_int_equal(point_of(interval, SERIES_CHANNEL, "node:8000", "/a")->counts.peak, 4);
	assert_int_equal(point_of(interval, SERIES_TOTAL, "", "")->counts.active, 1);
	interval_free(interval);
	interval = interval_at(w, 20 * SECOND);
	assert_int_equal(point_of(interval, SERIES_SERVER, "node:8000", "")->counts.peak, 1);
	assert_int_equal(point_of(interval, SERIES_TOTAL, "", "")->counts.peak, 1);
	assert_int_equal(point_of(interval, SERIES_CHANNEL, "node:8000", "/a")->counts.peak, 1);
	interval_free(interval);
}

static void beyond_the_top_users_are_other(void **state)
{
	struct world *w = *state;
	struct interval *interval;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < 150; i++) {
		struct walk_record walk;
		uint64_t id = world_open(
			w, SECOND,
			(struct open_args){.path = "/a", .ip = {10, 0, 0, (uint8_t)(i + 1)}});

		walk = walked(id, i + 1, 0, "/a");
		address_v4(walk.peer.addr, 10, 0, 0, (uint8_t)(i + 1));
		world_walk(w, walk);
	}
	interval = interval_at(w, 10 * SECOND);
	assert_int_equal(interval->nr_users, ROSTER_MAX);
	assert_non_null(user_of(interval, INTERVAL_OTHER));
	assert_int_equal(user_of(interval, INTERVAL_OTHER)->active, 50);
	assert_int_equal(user_of(interval, INTERVAL_OTHER)->received, 50 * 51 / 2);
	for (size_t i = 0; i < interval->nr_users; i++)
		sum += interval->users[i].n.received;
	assert_int_equal(sum, 150 * 151 / 2);
	interval_free(interval);
}

static void rows_get_the_name_that_a_server_gets_later(void **state)
{
	struct world *w = *state;
	struct interval *interval;
	uint64_t id;

	world_server(w, OTHER_SERVER, "late", 9000);
	id = world_open(w, SECOND * 3 / 2,
			(struct open_args){.path = "/x", .server = OTHER_SERVER});
	world_reason(w, id, BY_SERVER, 0, "\x03\xf3oops", 6);
	world_close(w, 2 * SECOND,
		    (struct event_close){.event.id = id,
					 .server = OTHER_SERVER,
					 .open_ns = START + SECOND * 3 / 2,
					 .duration_ns = SECOND / 2,
					 .received = 3,
					 .has_close = 1,
					 .closed_by = BY_SERVER,
					 .close_code = 1011});
	world_open(w, 3 * SECOND,
		   (struct open_args){.type = EVENT_REFUSED,
				      .status = 403,
				      .path = "/secret",
				      .response = "HTTP/1.1 403 No\r\n\r\n"});
	interval = interval_at(w, 10 * SECOND);
	assert_int_equal(interval->nr_connections, 1);
	assert_string_equal(interval->connections[0].server, "late:9000");
	assert_string_equal(interval->connections[0].channel, "/x");
	assert_int_equal(strlen(interval->connections[0].user), 12);
	assert_int_equal(interval->connections[0].closed_ns, START_WALL + 2 * SECOND);
	assert_int_equal(interval->connections[0].error, ERROR_INTERNAL);
	assert_int_equal(interval->nr_errors, 2);
	assert_string_equal(interval->errors[0].message, "oops");
	assert_string_equal(interval->errors[0].server, "late:9000");
	assert_int_equal(interval->errors[1].status, 403);
	assert_string_equal(interval->errors[1].channel, "/secret");
	assert_int_equal(interval->errors[1].at_ns, START_WALL + 3 * SECOND);
	interval_free(interval);
	interval = interval_at(w, 20 * SECOND);
	assert_int_equal(interval->nr_connections + interval->nr_errors, 0);
	interval_free(interval);
}

/* The walk meets a connection before its open record: what it did moves to the label it gets. */
static void a_better_label_takes_the_counts_along(void **state)
{
	struct world *w = *state;
	struct interval *interval;
	uint64_t other = 0, room = 0;

	w->next_id = 77;
	world_walk(w, walked(77, 5, 5, "/room/9"));
	world_counters(w, SERVER)->opened++;
	for (uint64_t i = 1; i <= 3; i++) {
		interval = interval_at(w, i * 10 * SECOND);
		other +=
			point_of(interval, SERIES_CHANNEL, "node:8000", "other")->counts.n.received;
		room += point_of(interval, SERIES_CHANNEL, "node:8000", "/room/9")
				->counts.n.received;
		interval_free(interval);
		if (i == 1)
			world_open(w, 11 * SECOND,
				   (struct open_args){.path = "/room/9", .id = 77, .counted = 1});
		w->reading->walk[0] = walked(77, 5 + (uint32_t)i, 5, "/room/9");
	}
	assert_int_equal(room, 7);
	assert_int_equal(other, 5); /* already handed over; it would be taken off what comes */
}

/* --- recorder.c --- */

struct place {
	char dir[64];
	struct world *w;
	struct settings settings;
	struct recorder *recorder;
};

static void put_setting(struct settings *settings, enum setting_id id, const char *value)
{
	char error[256];

	if (settings_set(settings, id, value, false, "x", "test", error, sizeof(error)))
		fail_msg("%s", error);
}

static int setup_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	strcpy(place->dir, "/tmp/wsvitals-recorder-XXXXXX");
	assert_non_null(mkdtemp(place->dir));
	place->w = world_new_for(true);
	settings_default(&place->settings);
	put_setting(&place->settings, SETTING_DB, place->dir);
	assert_int_equal(recorder_new(place->w->aggregate, &place->settings, START, START_WALL,
				      &place->recorder),
			 0);
	world_sample(place->w, SECOND);
	*state = place;
	return 0;
}

static int teardown_place(void **state)
{
	struct place *place = *state;

	recorder_free(place->recorder);
	world_free(place->w);
	model_remove_all(place->dir);
	free(place);
	return 0;
}

static int write_at(struct place *place, uint64_t after_ns)
{
	world_sample(place->w, after_ns);
	return recorder_write(place->recorder, place->w->reading);
}

static int add_up(const struct history_point *point, void *ctx)
{
	struct server_counters_fields *sum = ctx;

	sum->received += point->sum->counts.n.received;
	sum->opened++; /* points */
	return 0;
}

static struct server_counters_fields history_of(struct place *place, int64_t from_s, int64_t to_s)
{
	struct history_query query = {.from_s = from_s, .to_s = to_s, .step_s = 10};
	struct server_counters_fields sum = {0};
	int64_t step_s;

	assert_int_equal(
		store_history(recorder_store(place->recorder), &query, add_up, &sum, &step_s), 0);
	return sum;
}

#define WALL_S ((int64_t)(START_WALL / SECOND))

static void an_interval_ends_at_a_multiple_of_ten_seconds(void **state)
{
	struct place *place = *state;
	struct recorder *r = place->recorder;

	assert_false(recorder_is_due(r, START + 9 * SECOND, START_WALL + 9 * SECOND));
	/* a tick that comes a little early is still that second's */
	assert_true(recorder_is_due(r, START + 10 * SECOND, START_WALL + 10 * SECOND - 1000000));
	assert_int_equal(write_at(place, 10 * SECOND), 0);
	assert_false(recorder_is_due(r, START + 12 * SECOND, START_WALL + 12 * SECOND));
	assert_true(recorder_is_due(r, START + 20 * SECOND, START_WALL + 20 * SECOND));
	/* the clock was set: at once; it stands still: after ten seconds */
	assert_true(recorder_is_due(r, START + 11 * SECOND, START_WALL - 7200 * SECOND));
	assert_true(recorder_is_due(r, START + 11 * SECOND, START_WALL + 7200 * SECOND));
	assert_true(recorder_is_due(r, START + 22 * SECOND, START_WALL + 11 * SECOND));
}

static void history_goes_on_when_the_clock_jumps(void **state)
{
	struct place *place = *state;
	struct server_counters_fields *n = world_counters(place->w, SERVER), sum;
	static const int64_t jumps[] = {0, 0, 7200, 7200, 0, 0};

	for (uint64_t i = 0; i < COUNT(jumps); i++) {
		n->received += 3;
		place->w->wall_jump_ns = (uint64_t)jumps[i] * SECOND;
		assert_int_equal(write_at(place, (i + 1) * 10 * SECOND), 0);
	}
	sum = history_of(place, WALL_S - 60, WALL_S + 10000);
	assert_int_equal(sum.received, 18);
	assert_int_equal(sum.opened, 6);
}

static void a_store_that_cannot_be_written_is_told_and_tried_again(void **state)
{
	struct place *place = *state;
	struct server_counters_fields *n = world_counters(place->w, SERVER);
	char text[RECORDER_TEXT], away[80];

	recorder_state(place->recorder, text);
	assert_string_equal(text, "ok");
	n->received = 1;
	assert_int_equal(write_at(place, 10 * SECOND), 0);
	snprintf(away, sizeof(away), "%s.away", place->dir);
	assert_int_equal(rename(place->dir, away), 0);
	n->received = 2;
	assert_int_equal(write_at(place, 20 * SECOND), -ENOENT);
	recorder_state(place->recorder, text);
	assert_memory_equal(text, "unavailable since 2024-01-01T12:00:20Z: ", 40);
	n->received = 4;
	assert_int_equal(write_at(place, 30 * SECOND), -ENOENT);
	recorder_state(place->recorder, text);
	assert_memory_equal(text, "unavailable since 2024-01-01T12:00:20Z: ", 40);
	assert_int_equal(rename(away, place->dir), 0);
	n->received = 8;
	assert_int_equal(write_at(place, 40 * SECOND), 0);
	recorder_state(place->recorder, text);
	assert_string_equal(text, "ok");
	assert_int_equal(history_of(place, WALL_S, WALL_S + 60).received, 8);
	assert_int_equal(history_of(place, WALL_S, WALL_S + 60).opened, 4);
}

struct events {
	size_t nr;
	enum store_event_kind kinds[16];
	char texts[16][256];
};

static int take_event(const struct store_event *event, void *ctx)
{
	struct events *events = ctx;

	assert_true(events->nr < 16);
	events->kinds[events->nr] = event->kind;
	snprintf(events->texts[events->nr++], 256, "%s %s", event->server, event->text);
	return 0;
}

static void gone(pid_t pid, struct process *ret_process, void *ctx)
{
	(void)pid;
	memset(ret_process, 0, sizeof(*ret_process));
	ret_process->gone = *(bool *)ctx;
}

static void servers_and_settings_make_events(void **state)
{
	static const enum store_event_kind want[] = {
		STORE_EVENT_SERVER_SEEN, STORE_EVENT_CONFIG_CHANGED, STORE_EVENT_SERVER_GONE,
		STORE_EVENT_SERVER_SEEN, STORE_EVENT_SERVER_GONE,    STORE_EVENT_AGENT_STOP};
	struct place *place = *state;
	struct reading *reading = place->w->reading;
	struct server_counters_fields *n = world_counters(place->w, SERVER);
	struct settings other = place->settings;
	struct events events = {0};
	bool is_gone = false;

	reading->process_fn = gone;
	reading->process_ctx = &is_gone;
	reading->servers[SERVER].info.first_ns = START + SECOND;
	n->opened = n->closed = 1;
	assert_int_equal(write_at(place, 10 * SECOND), 0);
	recorder_settings(place->recorder, &place->settings, &other, START_WALL);
	put_setting(&other, SETTING_LOG_LEVEL, "debug");
	recorder_settings(place->recorder, &place->settings, &other, START_WALL + 11 * SECOND);
	is_gone = true; /* idle, and its process has ended */
	assert_int_equal(write_at(place, 20 * SECOND), 0);
	assert_int_equal(write_at(place, 30 * SECOND), 0);
	n->opened = 3; /* somebody else listens there now */
	assert_int_equal(write_at(place, 40 * SECOND), 0);
	n->closed = 3; /* and ends with two open */
	world_outcome(place->w, SERVER, OUTCOME_ABNORMAL, CAUSE_SERVER_EXIT, 0, 0, 2);
	assert_int_equal(write_at(place, 50 * SECOND), 0);
	world_sample(place->w, 55 * SECOND);
	assert_int_equal(recorder_end(place->recorder, reading, "bye"), 0);
	assert_int_equal(store_events(recorder_store(place->recorder), WALL_S, WALL_S + 100, 0,
				      take_event, &events),
			 0);
	assert_int_equal(events.nr, COUNT(want));
	for (size_t i = 0; i < COUNT(want); i++)
		assert_int_equal(events.kinds[i], want[i]);
	assert_string_equal(events.texts[0], "node:8000 its first WebSocket upgrade");
	assert_string_equal(events.texts[1], " changed: [agent] log-level");
	assert_string_equal(events.texts[4],
			    "node:8000 its process ended, and 2 connections with it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_interval_is_the_difference_to_the_last, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_did_nothing_is_absent, setup, teardown),
		cmocka_unit_test(a_reset_changes_nothing_in_history),
		cmocka_unit_test_setup_teardown(a_corrected_outcome_counts_once_in_the_end, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_peak_belongs_to_its_interval, setup, teardown),
		cmocka_unit_test_setup_teardown(beyond_the_top_users_are_other, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_get_the_name_that_a_server_gets_later, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_better_label_takes_the_counts_along, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_interval_ends_at_a_multiple_of_ten_seconds,
						setup_place, teardown_place),
		cmocka_unit_test_setup_teardown(history_goes_on_when_the_clock_jumps, setup_place,
						teardown_place),
		cmocka_unit_test_setup_teardown(
			a_store_that_cannot_be_written_is_told_and_tried_again, setup_place,
			teardown_place),
		cmocka_unit_test_setup_teardown(servers_and_settings_make_events, setup_place,
						teardown_place),
	};

	return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}

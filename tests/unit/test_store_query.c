// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* store_query.h: rows, series, users and events, filtered, sorted, searched and paged. */
#define _GNU_SOURCE
#include <errno.h>
#include <sqlite3.h>

#include "check.h"
#include "store_model.h"
#include "store_query.h"

#define T0 1764028800ll /* 2025-11-25 00:00:00 UTC */
#define DAY 86400ll
#define NR 900 /* connections, over three days */

struct place {
	char dir[64];
	struct store *store;
};

/* Of row i: times differ, so do the values that are sorted by; labels repeat. */
static void connection(unsigned i, char texts[3][64], struct closed_connection *ret_connection)
{
	snprintf(texts[0], 64, "node:%u", 8000 + i % 3);
	snprintf(texts[1], 64, "/Room/%u", i % 7);
	snprintf(texts[2], 64, "%012x", i % 11);
	*ret_connection = (struct closed_connection){
		.closed_ns = (T0 + (int64_t)i * (3 * DAY / NR)) * MODEL_NS_S,
		.server = texts[0],
		.channel = texts[1],
		.user = texts[2],
		.received = (i * 7919) % NR,
		.sent = 1,
		.bytes_received = (i * 104729) % NR,
		.bytes_sent = 5,
		.has_latency = i % 2,
		.latency_count = i,
		.latency_avg_ns = (i * 31) % NR,
		.latency_max_ns = 1000 + i,
		.has_close = i % 4 != 0,
		.code = (uint16_t)(1000 + i % 12),
		.initiator = i % 8 < 4 ? BY_SERVER : BY_CLIENT,
		.cause = (enum cause)(i % NR_CAUSES),
		.violation = (enum violation)(i % NR_VIOLATIONS),
		.error = (enum error_type)(i % NR_ERROR_TYPES),
		.resync = i % 5 == 0,
	};
	ret_connection->opened_ns = ret_connection->closed_ns -
				    (int64_t)((i * 15485863) % NR + 1) * 1000 * 1000000;
	if (!ret_connection->has_latency)
		ret_connection->latency_count = ret_connection->latency_avg_ns =
			ret_connection->latency_max_ns = 0;
	if (ret_connection->has_close) {
		ret_connection->cause = 0;
	} else {
		ret_connection->code = 0;
		ret_connection->initiator = 0;
	}
}

static int setup(void **state)
{
	static const char hostile[] = "'); DROP TABLE error; --";
	struct place *place = calloc(1, sizeof(*place));
	struct store_config config = {.dir = place->dir};

	assert_non_null(place);
	strcpy(place->dir, access("/dev/shm", W_OK) ? "/tmp/wsvitals-query-XXXXXX"
						    : "/dev/shm/wsvitals-query-XXXXXX");
	assert_non_null(mkdtemp(place->dir));
	assert_int_equal(store_new(&config, &place->store), 0);
	for (unsigned i = 0; i < NR; i++) {
		char texts[3][64];
		struct closed_connection c;
		struct interval *interval;
		struct error_entry e = {
			.server = texts[0],
			.channel = texts[1],
			.user = texts[2],
			.message = i == 77 ? hostile
				   : i % 2 ? "Reset by PEER"
					   : "bad token",
			.has_cause = i % 2,
			.cause = CAUSE_RESET_BY_PEER,
			.has_status = !(i % 2),
			.status = 401,
		};
		int64_t end_s;

		connection(i, texts, &c);
		e.at_ns = c.closed_ns;
		e.type = i % 2 ? ERROR_ABNORMAL : ERROR_AUTHENTICATION;
		end_s = c.closed_ns / MODEL_NS_S - c.closed_ns / MODEL_NS_S % 10 + 10;
		interval = model_interval(end_s - 10, 2, 6);
		assert_non_null(interval);
		assert_int_equal(interval_add_connection(interval, &c), 0);
		assert_int_equal(interval_add_error(interval, &e), 0);
		if (i % 100 == 0)
			assert_int_equal(
				interval_add_event(interval,
						   &(struct store_event){
							   .at_ns = c.closed_ns,
							   .kind = STORE_EVENT_CONFIG_CHANGED,
							   .server = "node:8000",
							   .text = "[agent] listen",
						   }),
				0);
		assert_int_equal(store_write(place->store, interval), 0);
	}
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	store_free(place->store);
	model_remove_all(place->dir);
	free(place);
	return 0;
}

/* Rows as numbers: which i a row is, by its unique count of messages. */
struct found {
	size_t nr;
	unsigned i[NR];
	uint64_t last_key;
};

static int find_connection(const struct closed_connection *c, void *ctx)
{
	struct found *found = ctx;

	for (unsigned i = 0; i < NR; i++) {
		char texts[3][64];
		struct closed_connection want;

		connection(i, texts, &want);
		if (want.received != c->received)
			continue;
		assert_string_equal(c->server, want.server);
		assert_string_equal(c->channel, want.channel);
		assert_string_equal(c->user, want.user);
		want.server = c->server;
		want.channel = c->channel;
		want.user = c->user;
		want.key = c->key;
		/* the store keeps milliseconds */
		want.opened_ns -= want.opened_ns % 1000000;
		want.closed_ns -= want.closed_ns % 1000000;
		assert_memory_equal(c, &want, sizeof(want));
		assert_in_range(found->nr, 0, NR - 1);
		found->i[found->nr++] = i;
		found->last_key = c->key;
		return 0;
	}
	fail_msg("a row that was never written");
	return -1;
}

static struct rows_query everything(void)
{
	return (struct rows_query){.from_s = T0, .to_s = T0 + 3 * DAY, .error = -1, .limit = NR};
}

static struct found *ask(struct place *place, struct rows_query query, size_t want_nr)
{
	static struct found found;
	size_t nr = 0;

	found.nr = 0;
	assert_int_equal(store_connections(place->store, &query, find_connection, &found, &nr), 0);
	assert_int_equal(nr, want_nr);
	return &found;
}

static void every_row_is_found_newest_first(void **state)
{
	struct found *found = ask(*state, everything(), NR);

	assert_int_equal(found->nr, NR);
	for (unsigned i = 0; i < NR; i++)
		assert_int_equal(found->i[i], NR - 1 - i);
}

static void filters_narrow_each_other(void **state)
{
	struct rows_query query = everything();
	size_t want = 0;
	struct found *found;

	query.filter = (struct store_filter){.server = "node:8001", .channel = "/Room/3"};
	query.error = ERROR_PROTOCOL;
	for (unsigned i = 0; i < NR; i++)
		want += i % 3 == 1 && i % 7 == 3 && i % NR_ERROR_TYPES == ERROR_PROTOCOL;
	assert_true(want > 3);
	found = ask(*state, query, want);
	assert_int_equal(found->nr, want);
	for (size_t i = 0; i < found->nr; i++)
		assert_true(found->i[i] % 3 == 1 && found->i[i] % 7 == 3);
	query.filter.user = "nobody";
	ask(*state, query, 0);
}

static void spans_cut_at_the_second(void **state)
{
	struct rows_query query = everything();

	query.from_s = T0 + 100 * (3 * DAY / NR);
	query.to_s = T0 + 200 * (3 * DAY / NR);
	assert_int_equal(ask(*state, query, 100)->i[99], 100);
	query.to_s = query.from_s + 1;
	assert_int_equal(ask(*state, query, 1)->i[0], 100);
}

static int64_t weight(unsigned i, enum rows_sort sort)
{
	char texts[3][64];
	struct closed_connection c;

	connection(i, texts, &c);
	switch (sort) {
	case ROWS_BY_DURATION:
		return c.closed_ns - c.opened_ns;
	case ROWS_BY_MESSAGES:
		return (int64_t)(c.received + c.sent);
	case ROWS_BY_BYTES:
		return (int64_t)(c.bytes_received + c.bytes_sent);
	case ROWS_BY_LATENCY:
		return c.has_latency ? (int64_t)c.latency_avg_ns : -1;
	default:
		return (int64_t)i;
	}
}

static void every_sort_is_in_order_over_all_files(void **state)
{
	for (enum rows_sort sort = 0; sort < NR_ROWS_SORTS; sort++)
		for (int ascending = 0; ascending < 2; ascending++) {
			struct rows_query query = everything();
			struct found *found;

			query.sort = sort;
			query.ascending = ascending;
			found = ask(*state, query, NR);
			assert_int_equal(found->nr, NR);
			for (unsigned i = 1; i < NR; i++) {
				int64_t a = weight(found->i[i - 1], sort);
				int64_t b = weight(found->i[i], sort);

				assert_true(ascending ? a <= b : a >= b);
			}
		}
}

static void pages_follow_each_other(void **state)
{
	for (enum rows_sort sort = 0; sort < NR_ROWS_SORTS; sort++) {
		struct rows_query query = everything();
		static struct found whole;
		size_t at = 0;

		query.sort = sort;
		whole = *ask(*state, query, NR);
		query.limit = 70;
		for (query.offset = 0; query.offset < NR; query.offset += query.limit) {
			struct found *page = ask(*state, query, NR);

			for (size_t i = 0; i < page->nr; i++)
				assert_int_equal(weight(page->i[i], sort),
						 weight(whole.i[at++], sort));
		}
		assert_int_equal(at, NR);
	}
}

static void an_export_goes_on_behind_its_last_row(void **state)
{
	struct place *place = *state;

	for (int ascending = 0; ascending < 2; ascending++) {
		struct rows_query query = everything();
		static struct found found;
		size_t seen = 0;

		query.ascending = ascending;
		query.limit = 64;
		do {
			found.nr = 0;
			assert_int_equal(store_connections(place->store, &query, find_connection,
							   &found, NULL),
					 0);
			for (size_t i = 0; i < found.nr; i++, seen++)
				assert_int_equal(found.i[i], ascending ? seen : NR - 1 - seen);
			query.after_key = found.last_key;
		} while (found.nr);
		assert_int_equal(seen, NR);
	}
}

static void a_search_looks_into_labels_whatever_the_case(void **state)
{
	struct rows_query query = everything();
	size_t want = 0;

	query.search = "rOOM/5";
	for (unsigned i = 0; i < NR; i++)
		want += i % 7 == 5;
	ask(*state, query, want);
	query.search = "%";
	ask(*state, query, 0);
	query.search = "_";
	ask(*state, query, 0);
}

static void statements_in_values_are_values(void **state)
{
	static const char *const attempts[] = {
		"'); DROP TABLE connection; --",
		"' OR '1'='1",
		"\" OR \"\"=\"",
		"node:8000' UNION SELECT * FROM meta --",
		"1; ATTACH '/tmp/x' AS x",
		"\\",
		"%00",
		"../../etc/passwd",
	};

	for (size_t i = 0; i < COUNT(attempts); i++) {
		struct rows_query query = everything();
		struct place *place = *state;
		struct history_query points = {
			T0, T0 + DAY, 3600, {.server = attempts[i], .channel = attempts[i]}};
		struct store_total total;
		struct store_filter filter = {.user = attempts[i]};

		query.filter = (struct store_filter){attempts[i], attempts[i], attempts[i]};
		ask(place, query, 0);
		query.filter = (struct store_filter){0};
		query.search = attempts[i];
		ask(place, query, 0);
		assert_int_equal(store_total(place->store, T0, T0 + DAY, &points.filter, &total),
				 0);
		assert_int_equal(total.sum.counts.n.received, 0);
		assert_int_equal(store_total(place->store, T0, T0 + DAY, &filter, &total), 0);
		assert_int_equal(total.sum.counts.n.received, 0);
	}
	ask(*state, everything(), NR);
}

static void questions_that_are_too_large_are_refused(void **state)
{
	struct place *place = *state;
	struct rows_query query = everything();
	static struct found found;
	struct history_query points = {T0, T0, 10, {0}};
	int64_t step;

	query.sort = ROWS_BY_BYTES;
	query.offset = STORE_SORTED_MAX - 10;
	query.limit = 11;
	assert_int_equal(store_connections(place->store, &query, find_connection, &found, NULL),
			 -E2BIG);
	query.offset = SIZE_MAX;
	assert_int_equal(store_connections(place->store, &query, find_connection, &found, NULL),
			 -E2BIG);
	query.from_s = query.to_s;
	query.sort = ROWS_BY_TIME;
	assert_int_equal(store_connections(place->store, &query, find_connection, &found, NULL),
			 -EINVAL);
	query.from_s = 0;
	query.to_s = INT64_MAX;
	assert_int_equal(store_connections(place->store, &query, find_connection, &found, NULL),
			 -EINVAL);
	assert_int_equal(store_history(place->store, &points, NULL, NULL, &step), -EINVAL);
}

static void steps_keep_the_bound_on_points(void **state)
{
	(void)state;
	assert_int_equal(store_step(T0, T0 + DAY, 0), 300);
	assert_int_equal(store_step(T0, T0 + 7 * DAY, 0), 600);
	assert_int_equal(store_step(T0, T0 + 3600, 0), 10);
	assert_int_equal(store_step(T0, T0 + 3600, 45), 60);
	for (int64_t span = 1; span < 100ll * 366 * DAY; span = span * 3 / 2 + 1)
		for (int64_t wish = 0; wish < 90000; wish = wish * 2 + 7) {
			int64_t from = T0 + 7, step = store_step(from, from + span, wish);
			int64_t points = (from + span + step - 1) / step - from / step;

			assert_true(step >= wish && step % 10 == 0);
			assert_in_range(points, 1, STORE_POINTS_MAX);
		}
}

/* ---- errors, events */

struct error_count {
	size_t nr;
	int64_t last_ns;
	bool hostile;
};

static int take_error(const struct error_entry *e, void *ctx)
{
	struct error_count *count = ctx;

	assert_true(!count->nr || e->at_ns <= count->last_ns);
	assert_true(e->has_cause == (e->type == ERROR_ABNORMAL));
	assert_true(e->has_status == (e->type == ERROR_AUTHENTICATION));
	assert_int_equal(e->has_status ? e->status : 401, 401);
	count->hostile |= strstr(e->message, "DROP TABLE") != NULL;
	count->last_ns = e->at_ns;
	count->nr++;
	return 0;
}

static void errors_are_filtered_and_searched(void **state)
{
	struct place *place = *state;
	struct rows_query query = everything();
	struct error_count count = {0};
	size_t nr;

	assert_int_equal(store_errors(place->store, &query, take_error, &count, &nr), 0);
	assert_true(count.nr == NR && nr == NR && count.hostile);
	query.error = ERROR_AUTHENTICATION;
	count = (struct error_count){0};
	assert_int_equal(store_errors(place->store, &query, take_error, &count, &nr), 0);
	assert_true(count.nr == NR / 2 && nr == NR / 2);
	query.error = -1;
	query.search = "reset by peer";
	count = (struct error_count){0};
	assert_int_equal(store_errors(place->store, &query, take_error, &count, &nr), 0);
	assert_int_equal(count.nr, NR / 2 - 1);
	query.sort = ROWS_BY_BYTES;
	assert_int_equal(store_errors(place->store, &query, take_error, &count, &nr), -EINVAL);
}

static int take_event(const struct store_event *event, void *ctx)
{
	int64_t *seen = ctx;

	/* jumps of the clock are the store's own */
	if (event->kind == STORE_EVENT_CONFIG_CHANGED) {
		assert_string_equal(event->text, "[agent] listen");
		++*seen;
	}
	return 0;
}

static void events_are_kept(void **state)
{
	struct place *place = *state;
	int64_t seen = 0;

	assert_int_equal(store_events(place->store, T0, T0 + 3 * DAY, 0, take_event, &seen), 0);
	assert_int_equal(seen, NR / 100);
	seen = 0;
	assert_int_equal(store_events(place->store, T0 - 99 * DAY, T0, 0, take_event, &seen), 0);
	assert_int_equal(seen, 0);
}

/* ---- series, users */

struct series_rows {
	size_t nr;
	uint64_t received;
	double last;
	enum series_sort sort;
	bool labels;
};

static int take_series(const struct series_total *total, void *ctx)
{
	struct series_rows *rows = ctx;
	double now = rows->sort == SERIES_BY_LATENCY
			     ? total->latency.p95_ns
			     : (double)(total->counts.n.received + total->counts.n.sent);

	if (rows->nr && (rows->sort == SERIES_BY_LATENCY || rows->sort == SERIES_BY_MESSAGES))
		assert_true(now <= rows->last);
	assert_int_equal(total->latency.count, total->counts.n.timed);
	assert_true((*total->series.label != '\0') == rows->labels);
	rows->last = now;
	rows->received += total->counts.n.received;
	rows->nr++;
	return 0;
}

static void series_add_up_to_the_total(void **state)
{
	struct place *place = *state;
	static struct store_total total;
	struct store_filter filter = {0};

	assert_int_equal(store_total(place->store, T0 + 500, T0 + 2 * DAY + 70, &filter, &total),
			 0);
	assert_true(total.sum.counts.n.received > 1000);
	for (enum series_sort sort = 0; sort < NR_SERIES_SORTS; sort++) {
		struct series_query query = {.from_s = T0 + 500,
					     .to_s = T0 + 2 * DAY + 70,
					     .kind = SERIES_CHANNEL,
					     .sort = sort,
					     .limit = 100};
		struct series_rows rows = {.sort = sort, .labels = true};
		size_t nr;

		assert_int_equal(store_series(place->store, &query, take_series, &rows, &nr), 0);
		assert_true(nr == 6 && rows.nr == 6);
		assert_int_equal(rows.received, total.sum.counts.n.received);
		query.kind = SERIES_SERVER;
		rows = (struct series_rows){.sort = sort};
		assert_int_equal(store_series(place->store, &query, take_series, &rows, &nr), 0);
		assert_true(nr == 2 && rows.nr == 2);
		assert_int_equal(rows.received, total.sum.counts.n.received);
		query.kind = SERIES_CHANNEL;
		query.server = "node:8001@chat.service";
		query.offset = 1;
		query.limit = 1;
		rows = (struct series_rows){.sort = sort, .labels = true};
		assert_int_equal(store_series(place->store, &query, take_series, &rows, &nr), 0);
		assert_true(nr == 3 && rows.nr == 1);
	}
}

static int take_user(const struct user_counts *counts, void *ctx)
{
	uint64_t *sum = ctx;

	sum[0]++;
	sum[1] += counts->n.received;
	sum[2] += counts->n.sent;
	return 0;
}

static void users_are_summed_up(void **state)
{
	struct place *place = *state;
	struct users_query query = {.from_s = T0, .to_s = T0 + 3 * DAY, .limit = 100};
	uint64_t sum[3] = {0}, want = 0;
	size_t nr;

	for (unsigned i = 0; i < NR; i++) {
		int64_t time_s = T0 + (int64_t)i * (3 * DAY / NR);

		for (unsigned u = 0; u < 20; u++)
			want += (uint64_t)((time_s - time_s % 10) / 10 + u) % 7;
	}
	assert_int_equal(store_users(place->store, &query, take_user, sum, &nr), 0);
	assert_true(nr == 20 && sum[0] == 20);
	assert_int_equal(sum[1], want);
	assert_int_equal(sum[2], NR * 190);
}

static int stop(const struct user_counts *counts, void *ctx)
{
	(void)counts;
	++*(int *)ctx;
	return -ECANCELED;
}

static void who_asks_can_stop(void **state)
{
	struct place *place = *state;
	struct users_query query = {.from_s = T0, .to_s = T0 + 3 * DAY, .limit = 100};
	int calls = 0;
	size_t nr;

	assert_int_equal(store_users(place->store, &query, stop, &calls, &nr), -ECANCELED);
	assert_int_equal(calls, 1);
}

static void two_periods_stand_side_by_side(void **state)
{
	struct place *place = *state;
	static struct store_total total;
	struct store_filter filter = {.server = "node:8000@chat.service"};
	struct store_side side;

	assert_int_equal(store_total(place->store, T0, T0 + DAY, &filter, &total), 0);
	store_side_of(&total, &side);
	assert_true(side.covered_s == 10.0 * NR / 3);
	assert_true(side.received_rate * side.covered_s == (double)total.sum.counts.n.received);
	assert_true(side.hist[POINT_LATENCY].count == total.sum.counts.n.timed);
	assert_int_equal(store_total(place->store, T0 - 9 * DAY, T0 - 8 * DAY, &filter, &total), 0);
	store_side_of(&total, &side);
	assert_true(side.covered_s == 0 && side.received_rate == 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("every row is found, newest first", every_row_is_found_newest_first),
		SENTENCE("filters narrow each other", filters_narrow_each_other),
		SENTENCE("spans cut at the second", spans_cut_at_the_second),
		SENTENCE("every sort is in order over all files",
			 every_sort_is_in_order_over_all_files),
		SENTENCE("pages follow each other", pages_follow_each_other),
		SENTENCE("an export goes on behind its last row",
			 an_export_goes_on_behind_its_last_row),
		SENTENCE("a search looks into labels, whatever the case",
			 a_search_looks_into_labels_whatever_the_case),
		SENTENCE("statements in values are values", statements_in_values_are_values),
		SENTENCE("questions that are too large are refused",
			 questions_that_are_too_large_are_refused),
		SENTENCE("steps keep the bound on points", steps_keep_the_bound_on_points),
		SENTENCE("errors are filtered and searched", errors_are_filtered_and_searched),
		SENTENCE("events are kept", events_are_kept),
		SENTENCE("series add up to the total", series_add_up_to_the_total),
		SENTENCE("users are summed up", users_are_summed_up),
		SENTENCE("who asks can stop", who_asks_can_stop),
		SENTENCE("two periods stand side by side", two_periods_stand_side_by_side),
	};

	return cmocka_run_group_tests_name("store_query", tests, setup, teardown);
}

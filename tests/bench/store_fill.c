// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * store_fill DIR [DAYS [CHANNELS]] | store_fill DIR ask SECONDS: fills a store through its own code
 * with days of a busy host, ten seconds at a time (30 days of 200 channels on 4 servers), then asks
 * it what the API asks and prints times, bytes a point, and memory. With ask: only asks a store that
 * was filled up to that time. Exits with 1 when a figure of SPEC 8 is missed by a wide margin: the
 * machine may be shared. Over HTTP: history_api.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "json_history.h"
#include "random.h"
#include "store_query.h"
#include "value.h"

#define NS_S 1000000000ll
#define SERVERS 4
#define T0 1764028800ll /* 2025-11-25 00:00:00 UTC */
#define ASKED 21        /* times each; the median counts */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static long resident_kb(void)
{
	long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file && fscanf(file, "%ld %ld", &pages, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return resident * 4;
}

/* A log-normal latency: most around 2 ms, a long tail. Sum of uniforms for the normal. */
static uint64_t latency(uint64_t *state)
{
	double normal = 0;

	for (int i = 0; i < 4; i++)
		normal += (double)random_below(state, 1000) / 1000 - 0.5;
	return (uint64_t)(2e6 * exp(normal * 1.7));
}

static void channel_point(uint64_t *state, unsigned channel, double load, struct point *point)
{
	uint64_t nr;

	point_reset(point);
	/* a few busy channels, many quiet ones */
	nr = (uint64_t)(load * 400 / (1 + channel) + (double)random_below(state, 6));
	point->counts.n.received = nr;
	point->counts.n.sent = nr + random_below(state, 4);
	point->counts.n.bytes_received = nr * (40 + random_below(state, 100));
	point->counts.n.bytes_sent = nr * (60 + random_below(state, 900));
	point->counts.n.opened = random_below(state, 2);
	point->counts.n.closed = random_below(state, 2);
	point->counts.active = 20 + (uint64_t)(load * 30);
	point->counts.peak = point->counts.active + random_below(state, 3);
	for (uint64_t i = 0; i < nr; i++)
		value_add(point, POINT_LATENCY, latency(state));
}

/* What a server has and a channel has not. */
static void server_point(uint64_t *state, struct point *point)
{
	struct server_counters_fields *n = &point->counts.n;
	uint64_t reads = n->received / 2 + 1;

	n->text = n->received + n->sent;
	n->timed = n->received;
	n->push = n->sent - n->received;
	n->payload_received = n->bytes_received;
	n->payload_sent = n->bytes_sent;
	n->header_received = n->received * 6;
	n->header_sent = n->sent * 4;
	n->seen_received = n->payload_received + n->header_received;
	n->seen_sent = n->payload_sent + n->header_sent;
	for (uint64_t i = 0; i < reads; i++)
		value_add(point, POINT_QUEUE_WAIT, latency(state) / 40);
	for (uint64_t i = 0; i < n->closed; i++)
		value_add(point, POINT_DURATION, 1000 + random_below(state, 3600000));
}

static struct interval *make(int64_t time_s, unsigned channels, uint64_t *state)
{
	static struct point point, total, servers[SERVERS];
	struct interval *interval = interval_new(time_s * NS_S, (time_s + 10) * NS_S, 10 * NS_S);
	double load = 1 + 0.8 * sin((double)(time_s % 86400) / 86400 * 2 * M_PI);
	char server[64], label[64];
	int err = interval ? 0 : -ENOMEM;

	point_reset(&total);
	for (int i = 0; i < SERVERS; i++)
		point_reset(&servers[i]);
	for (unsigned i = 0; !err && i < channels; i++) {
		snprintf(server, sizeof(server), "node:%u@chat.service", 8000 + i % SERVERS);
		snprintf(label, sizeof(label), "/ws/project/%u", i);
		channel_point(state, i, load, &point);
		point_add(&servers[i % SERVERS], &point);
		servers[i % SERVERS].counts.active += point.counts.active;
		servers[i % SERVERS].counts.peak += point.counts.peak;
		err = interval_add_point(interval, &(struct series){SERIES_CHANNEL, server, label},
					 &point);
	}
	for (int i = 0; !err && i < SERVERS; i++) {
		snprintf(server, sizeof(server), "node:%d@chat.service", 8000 + i);
		server_point(state, &servers[i]);
		point_add(&total, &servers[i]);
		total.counts.active += servers[i].counts.active;
		total.counts.peak += servers[i].counts.peak;
		err = interval_add_point(interval, &(struct series){SERIES_SERVER, server, ""},
					 &servers[i]);
	}
	if (!err)
		err = interval_add_point(interval, &(struct series){SERIES_TOTAL, "", ""}, &total);
	for (unsigned i = 0; !err && i < 100; i++) {
		struct user_counts counts = {.user = label};

		snprintf(label, sizeof(label), "%012llx",
			 (unsigned long long)(i * 7919 + (uint64_t)time_s / 3600 % 50));
		counts.n.active = 1 + i % 3;
		counts.n.received = random_below(state, 50);
		counts.n.sent = random_below(state, 90);
		counts.n.bytes_received = counts.n.received * 80;
		counts.n.bytes_sent = counts.n.sent * 200;
		err = interval_add_user(interval, &counts);
	}
	for (unsigned i = 0; !err && i < 20; i++) {
		struct closed_connection c = {
			.opened_ns = (time_s - (int64_t)random_below(state, 4000)) * NS_S,
			.closed_ns = time_s * NS_S + i * 1000000,
			.server = server,
			.channel = "/ws/project/7",
			.user = label,
			.received = random_below(state, 4000),
			.sent = random_below(state, 9000),
			.bytes_received = random_below(state, 400000),
			.bytes_sent = random_below(state, 900000),
			.has_close = i % 8 != 0,
			.code = 1001,
			.error = i % 8 ? ERROR_NONE : ERROR_ABNORMAL,
			.cause = CAUSE_TIMEOUT,
		};

		snprintf(label, sizeof(label), "%012llx",
			 (unsigned long long)random_below(state, 5000));
		err = interval_add_connection(interval, &c);
	}
	if (!err)
		return interval;
	interval_free(interval);
	return NULL;
}

/* ---- questions */

struct question {
	const char *name;
	double limit_ms; /* SPEC 8; 0: none is stated */
	int (*ask)(struct store *store, int64_t end_s, size_t *rows);
};

struct answer {
	struct sheet *sheet;
	size_t rows;
};

static int take_point(const struct history_point *point, void *ctx)
{
	struct answer *answer = ctx;

	answer->rows++;
	return sheet_point(answer->sheet, point, PART_WHOLE, true);
}

/* All that the API does for it, but for HTTP. */
static int history(struct store *store, int64_t from_s, int64_t to_s, int64_t step_s,
		   struct store_filter filter, size_t *rows)
{
	struct history_query query = {from_s, to_s, step_s, filter};
	struct sheet_head head = {.from_s = from_s, .to_s = to_s, .store = "ok"};
	struct answer answer = {.sheet = sheet_new(SHEET_POINTS, false, true)};
	int err = answer.sheet ? store_history(store, &query, take_point, &answer, &head.step_s)
			       : -ENOMEM;
	size_t len;
	char *text;

	if (err) {
		sheet_free(answer.sheet);
		return err;
	}
	text = sheet_text(answer.sheet, &head, &len);
	free(text);
	*rows = answer.rows;
	return text ? 0 : -ENOMEM;
}

static int day(struct store *store, int64_t end_s, size_t *rows)
{
	return history(store, end_s - 86400, end_s, 300, (struct store_filter){0}, rows);
}

static int week(struct store *store, int64_t end_s, size_t *rows)
{
	return history(store, end_s - 7 * 86400, end_s, 300, (struct store_filter){0}, rows);
}

static int week_of_channel(struct store *store, int64_t end_s, size_t *rows)
{
	return history(store, end_s - 7 * 86400, end_s, 300,
		       (struct store_filter){.channel = "/ws/project/3"}, rows);
}

static int week_of_user(struct store *store, int64_t end_s, size_t *rows)
{
	return history(store, end_s - 7 * 86400, end_s, 300,
		       (struct store_filter){.user = "000000001eef"}, rows);
}

static int hour(struct store *store, int64_t end_s, size_t *rows)
{
	return history(store, end_s - 3600, end_s, 10, (struct store_filter){0}, rows);
}

static int month(struct store *store, int64_t end_s, size_t *rows)
{
	return history(store, end_s - 30 * 86400, end_s, 3600, (struct store_filter){0}, rows);
}

static int total_week(struct store *store, int64_t end_s, size_t *rows)
{
	static struct store_total total;
	struct store_filter filter = {0};

	*rows += 1;
	return store_total(store, end_s - 7 * 86400 - 3333, end_s - 77, &filter, &total);
}

static int take_series(const struct series_total *total, void *ctx)
{
	(void)total;
	++*(size_t *)ctx;
	return 0;
}

static int channels_day(struct store *store, int64_t end_s, size_t *rows)
{
	struct series_query query = {.from_s = end_s - 86400,
				     .to_s = end_s,
				     .kind = SERIES_CHANNEL,
				     .sort = SERIES_BY_LATENCY,
				     .limit = 100};
	size_t nr;

	return store_series(store, &query, take_series, rows, &nr);
}

static int channels_week(struct store *store, int64_t end_s, size_t *rows)
{
	struct series_query query = {
		.from_s = end_s - 7 * 86400, .to_s = end_s, .kind = SERIES_CHANNEL, .limit = 100};
	size_t nr;

	return store_series(store, &query, take_series, rows, &nr);
}

static int take_user(const struct user_counts *counts, void *ctx)
{
	(void)counts;
	++*(size_t *)ctx;
	return 0;
}

static int users_day(struct store *store, int64_t end_s, size_t *rows)
{
	struct users_query query = {.from_s = end_s - 86400, .to_s = end_s, .limit = 100};
	size_t nr;

	return store_users(store, &query, take_user, rows, &nr);
}

static int take_connection(const struct closed_connection *connection, void *ctx)
{
	(void)connection;
	++*(size_t *)ctx;
	return 0;
}

static int connections(struct store *store, int64_t end_s, struct rows_query query, size_t *rows)
{
	size_t nr;

	query.from_s = end_s - 86400;
	query.to_s = end_s;
	query.error = -1;
	query.limit = 100;
	return store_connections(store, &query, take_connection, rows, &nr);
}

static int connections_newest(struct store *store, int64_t end_s, size_t *rows)
{
	return connections(store, end_s, (struct rows_query){0}, rows);
}

static int connections_longest(struct store *store, int64_t end_s, size_t *rows)
{
	return connections(store, end_s, (struct rows_query){.sort = ROWS_BY_DURATION}, rows);
}

static int connections_searched(struct store *store, int64_t end_s, size_t *rows)
{
	return connections(store, end_s, (struct rows_query){.search = "0abc"}, rows);
}

static int by_time(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static const struct question questions[] = {
	{"history, 24 h by 5 min", 20, day},
	{"history, 7 d by 10 min", 50, week},
	{"history, 7 d, of a channel", 50, week_of_channel},
	{"history, 7 d, of a user", 50, week_of_user},
	{"history, 1 h by 10 s", 20, hour},
	{"history, 30 d by 1 h", 50, month},
	{"total of 7 d, exact edges", 0, total_week},
	{"channels of 24 h, by p95", 0, channels_day},
	{"channels of 7 d, by messages", 0, channels_week},
	{"users of 24 h", 0, users_day},
	{"connections of 24 h, newest", 0, connections_newest},
	{"connections of 24 h, longest", 0, connections_longest},
	{"connections of 24 h, searched", 0, connections_searched},
};

static int ask_all(struct store *store, int64_t end_s)
{
	int failed = 0;

	printf("%-32s %8s %8s %6s  %s\n", "question", "median", "worst", "rows", "limit");
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		double times[ASKED];
		size_t rows = 0;
		int err = 0;

		for (int k = 0; k < ASKED && !err; k++) {
			double begin = now();

			rows = 0;
			err = questions[i].ask(store, end_s, &rows);
			times[k] = (now() - begin) * 1000;
		}
		if (err) {
			printf("%-32s %s\n", questions[i].name, strerror(-err));
			failed = 1;
			continue;
		}
		qsort(times, ASKED, sizeof(*times), by_time);
		printf("%-32s %6.1f ms %5.1f ms %6zu", questions[i].name, times[ASKED / 2],
		       times[ASKED - 1], rows);
		if (questions[i].limit_ms > 0)
			printf("  %.0f ms", questions[i].limit_ms);
		putchar('\n');
		failed |= !rows || (questions[i].limit_ms > 0 &&
				    times[ASKED / 2] > 2 * questions[i].limit_ms);
	}
	return failed;
}

struct sizes {
	uint64_t bytes[8];
	int64_t points[8];
	const char *tier[8];
	int nr;
};

static int take_file(const struct store_file_info *info, void *ctx)
{
	struct sizes *sizes = ctx;
	int i = 0;

	while (i < sizes->nr && strcmp(sizes->tier[i], info->tier))
		i++;
	if (i == sizes->nr)
		sizes->tier[sizes->nr++] = info->tier;
	sizes->bytes[i] += info->bytes;
	sizes->points[i] += info->points ? info->points : info->rows;
	return 0;
}

int main(int argc, char **argv)
{
	unsigned days = argc > 2 ? (unsigned)atoi(argv[2]) : 30;
	unsigned channels = argc > 3 ? (unsigned)atoi(argv[3]) : 200;
	struct store_config config = {.dir = argc > 1 ? argv[1] : ".", .bytes_max = 8ull << 30};
	uint64_t state = 88172645463325252ull, written = 0;
	double spent = 0, worst = 0, begin = now();
	int64_t end_s = T0 + (int64_t)days * 86400 - 140; /* something is not rolled up yet */
	struct sizes sizes = {0};
	long before_kb = resident_kb();
	struct store *store;
	int failed;

	if (argc == 4 && !strcmp(argv[2], "ask")) {
		end_s = atoll(argv[3]);
		days = 0;
	} else if (argc < 2 || !days || !channels) {
		fprintf(stderr, "store_fill DIR [DAYS [CHANNELS]] | store_fill DIR ask SECONDS\n");
		return 2;
	}
	if (store_new(&config, &store))
		return 1;
	for (int64_t time_s = T0; days && time_s < end_s; time_s += 10, written++) {
		struct interval *interval = make(time_s, channels, &state);
		double from = now(), took;

		if (!interval || store_write(store, interval)) {
			struct store_state why;

			store_state(store, &why);
			fprintf(stderr, "cannot write: %s\n", why.reason);
			return 1;
		}
		took = now() - from;
		spent += took;
		worst = took > worst ? took : worst;
		if (time_s % 86400 == 0)
			fprintf(stderr, "\rday %lld", (long long)((time_s - T0) / 86400));
	}
	fprintf(stderr, "\r");
	printf("%llu intervals of %u channels in %.0f s; store_write: %.2f ms on average, %.1f ms "
	       "at "
	       "worst\n",
	       (unsigned long long)written, channels, now() - begin,
	       spent / (double)(written ? written : 1) * 1000, worst * 1000);
	printf("memory: %ld KB resident (%ld KB before), of which SQLite %lld KB\n", resident_kb(),
	       before_kb, (long long)sqlite3_memory_used() / 1024);
	if (store_files(store, false, take_file, &sizes))
		return 1;
	for (int i = 0; i < sizes.nr; i++)
		printf("%-8s %8.1f MB %9lld rows %6.1f bytes each\n", sizes.tier[i],
		       (double)sizes.bytes[i] / 1048576, (long long)sizes.points[i],
		       (double)sizes.bytes[i] / (double)(sizes.points[i] ? sizes.points[i] : 1));
	failed = ask_all(store, end_s);
	printf("memory: %ld KB resident, of which SQLite %lld KB at most\n", resident_kb(),
	       (long long)sqlite3_memory_highwater(0) / 1024);
	store_free(store);
	return failed;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* store*.c: what is written is there, in every tier, after every fault that a directory can have. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "check.h"
#include "store_model.h"
#include "store_query.h"

#define T0 1764028800ll /* 2025-11-25 00:00:00 UTC */
#define DAY 86400ll
#define SERVERS 2
#define CHANNELS 6

struct place {
	char dir[64];
	struct store *store;
	struct store_config config;
	char notes[4096];
};

static void keep_note(const char *text, void *ctx)
{
	struct place *place = ctx;
	size_t len = strlen(place->notes);

	snprintf(place->notes + len, sizeof(place->notes) - len, "%s\n", text);
}

static void reopen(struct place *place)
{
	store_free(place->store);
	place->store = NULL;
	assert_int_equal(store_new(&place->config, &place->store), 0);
}

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	/* in memory where there is such a place: these tests are about content, not about disks */
	strcpy(place->dir, access("/dev/shm", W_OK) ? "/tmp/wsvitals-store-XXXXXX"
						    : "/dev/shm/wsvitals-store-XXXXXX");
	assert_non_null(mkdtemp(place->dir));
	place->config = (struct store_config){.dir = place->dir, .note = keep_note, .ctx = place};
	reopen(place);
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

static int put(struct place *place, int64_t time_s)
{
	struct interval *interval = model_interval(time_s, SERVERS, CHANNELS);

	assert_non_null(interval);
	return store_write(place->store, interval);
}

static void put_all(struct place *place, int64_t from_s, int64_t to_s)
{
	for (int64_t time_s = from_s; time_s < to_s; time_s += 10)
		assert_int_equal(put(place, time_s), 0);
}

static struct store_state state_of(const struct place *place)
{
	struct store_state state;

	store_state(place->store, &state);
	return state;
}

static bool has_file(const struct place *place, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", place->dir, name);
	return !access(path, F_OK);
}

static size_t count_files(const struct place *place, const char *part)
{
	DIR *dir = opendir(place->dir);
	struct dirent *entry;
	size_t nr = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		nr += strstr(entry->d_name, part) != NULL;
	closedir(dir);
	return nr;
}

static void remove_raw(const struct place *place)
{
	char command[100];

	snprintf(command, sizeof(command), "rm %s/raw-*", place->dir);
	assert_int_equal(system(command), 0);
}

/* ---- history as an array */

#define ROWS 2100
struct rows {
	size_t nr;
	struct row {
		int64_t time_s;
		double covered_s;
		struct point_counts counts;
		uint64_t latency_count;
		double p95;
	} row[ROWS];
};

static int keep_row(const struct history_point *point, void *ctx)
{
	struct rows *rows = ctx;
	struct spread spread = spread_of(&point->sum->hist[POINT_LATENCY],
					 point->sum->min[POINT_LATENCY],
					 point->sum->max[POINT_LATENCY], 1);

	assert_in_range(rows->nr, 0, ROWS - 1);
	rows->row[rows->nr++] = (struct row){point->time_s, point->covered_s, point->sum->counts,
					     spread.count, spread.p95_ns};
	return 0;
}

static struct rows *history(struct place *place, int64_t from_s, int64_t to_s, int64_t step_s,
			    struct store_filter filter)
{
	static struct rows rows;
	struct history_query query = {from_s, to_s, step_s, filter};
	int64_t step;

	rows.nr = 0;
	assert_int_equal(store_history(place->store, &query, keep_row, &rows, &step), 0);
	for (size_t i = 0; i < rows.nr; i++) {
		assert_int_equal(rows.row[i].time_s % step, 0);
		assert_true(!i || rows.row[i].time_s > rows.row[i - 1].time_s);
	}
	return &rows;
}

static struct store_filter all(void)
{
	return (struct store_filter){0};
}

/* What the model says of one channel, or of all (-1). */
static void expect_sum(int64_t from_s, int64_t to_s, int channel, struct point *ret_sum)
{
	static struct point part;

	point_reset(ret_sum);
	for (int64_t time_s = from_s; time_s < to_s; time_s += 10) {
		uint64_t active = 0;

		for (int i = 0; i < CHANNELS; i++) {
			if (channel >= 0 && i != channel)
				continue;
			model_point(time_s, (unsigned)i, &part, NULL);
			point_add(ret_sum, &part);
			active += part.counts.active;
		}
		ret_sum->counts.active = active;
	}
}

static void expect_row(const struct row *row, int64_t span_s, int channel)
{
	static struct point sum;
	struct spread spread;

	expect_sum(row->time_s, row->time_s + span_s, channel, &sum);
	spread = spread_of(&sum.hist[POINT_LATENCY], sum.min[POINT_LATENCY], sum.max[POINT_LATENCY],
			   1);
	assert_memory_equal(&row->counts.n, &sum.counts.n, sizeof(sum.counts.n));
	assert_int_equal(row->counts.errors, sum.counts.errors);
	assert_int_equal(row->counts.active, sum.counts.active);
	assert_int_equal(row->latency_count, spread.count);
	assert_true(row->p95 == spread.p95_ns);
	assert_true(row->covered_s == (double)span_s);
}

/* ---- what is written is there */

static void an_interval_is_there_when_it_was_acknowledged(void **state)
{
	struct place *place = *state;
	struct rows *rows;
	char server[64], label[64];

	assert_int_equal(put(place, T0), 0);
	for (int again = 0; again < 2; again++) {
		rows = history(place, T0, T0 + 60, 10, all());
		assert_int_equal(rows->nr, 1);
		expect_row(&rows->row[0], 10, -1);
		for (int i = 0; i < CHANNELS; i++) {
			model_series((unsigned)i, SERVERS, server, label);
			rows = history(place, T0, T0 + 60, 10,
				       (struct store_filter){.server = server, .channel = label});
			assert_int_equal(rows->nr, 1);
			expect_row(&rows->row[0], 10, i);
		}
		reopen(place);
	}
	assert_true(has_file(place, "raw-2025-11-25.db"));
}

static void points_roll_up_to_the_sums_of_what_they_are_made_of(void **state)
{
	struct place *place = *state;
	char server[64], label[64];
	struct rows *rows;

	/* over midnight and the end of a month: five files */
	put_all(place, T0 + 6 * DAY - 5400, T0 + 6 * DAY + 5400 + 20);
	model_series(3, SERVERS, server, label);
	for (int64_t step = 10; step <= 3600; step = step == 10 ? 300 : step * 12) {
		int64_t from = T0 + 6 * DAY - 3600;

		rows = history(place, from, from + 7200, step, all());
		assert_int_equal(rows->nr, 7200 / step);
		for (size_t i = 0; i < rows->nr; i++)
			expect_row(&rows->row[i], step, -1);
		rows = history(place, from, from + 7200, step,
			       (struct store_filter){.server = server, .channel = label});
		for (size_t i = 0; i < rows->nr; i++)
			expect_row(&rows->row[i], step, 3);
	}
	assert_true(has_file(place, "5m-2025-11.db") && has_file(place, "5m-2025-12.db"));
	assert_true(has_file(place, "1h-2025.db"));
	/* the same without the points of 10 s: it came from the coarser tiers */
	store_free(place->store);
	place->store = NULL;
	remove_raw(place);
	reopen(place);
	rows = history(place, T0 + 6 * DAY - 3600, T0 + 6 * DAY + 3600, 300, all());
	assert_int_equal(rows->nr, 24);
	for (size_t i = 0; i < rows->nr; i++)
		expect_row(&rows->row[i], 300, -1);
}

static void what_is_not_rolled_up_yet_is_in_the_answer(void **state)
{
	struct place *place = *state;
	struct rows *rows;

	put_all(place, T0, T0 + 3600 + 610);
	rows = history(place, T0, T0 + 7200, 3600, all());
	assert_int_equal(rows->nr, 2);
	expect_row(&rows->row[0], 3600, -1);
	assert_true(rows->row[1].covered_s == 610);
}

/* Nearest rank over the values themselves, as spread.c does over buckets. */
static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void percentiles_over_a_day_are_those_of_all_values(void **state)
{
	struct place *place = *state;
	static uint64_t values[8640 * CHANNELS * 24];
	static struct store_total total;
	static struct point part;
	struct store_filter filter = {0};
	struct spread spread;
	uint64_t chunk[64];
	size_t nr = 0;

	for (int64_t time_s = T0; time_s < T0 + DAY; time_s += 10)
		for (unsigned i = 0; i < CHANNELS; i++) {
			size_t n = model_point(time_s, i, &part, chunk);

			memcpy(values + nr, chunk, n * sizeof(*chunk));
			nr += n;
		}
	qsort(values, nr, sizeof(*values), by_value);
	put_all(place, T0, T0 + DAY + 3600);
	assert_int_equal(store_total(place->store, T0, T0 + DAY, &filter, &total), 0);
	spread = spread_of(&total.sum.hist[POINT_LATENCY], total.sum.min[POINT_LATENCY],
			   total.sum.max[POINT_LATENCY], 1);
	assert_int_equal(spread.count, nr);
	for (int i = 0; i < 3; i++) {
		static const unsigned percents[] = {50, 95, 99};
		double truth = (double)values[(nr * percents[i] + 99) / 100 - 1];
		double said = i == 0 ? spread.p50_ns : i == 1 ? spread.p95_ns : spread.p99_ns;

		print_message("p%u: %.0f ns, truly %.0f ns, %.2f %% off\n", percents[i], said,
			      truth, 100 * fabs(said - truth) / truth);
		assert_true(fabs(said - truth) <= 0.032 * truth);
	}
	assert_true(spread.min_ns == (double)values[0]);
	assert_true(spread.max_ns == (double)values[nr - 1]);
	/* edges that fit no coarser tier are exact too */
	assert_int_equal(store_total(place->store, T0 + 1230, T0 + 70150, &filter, &total), 0);
	expect_sum(T0 + 1230, T0 + 70150, -1, &part);
	assert_memory_equal(&total.sum.counts.n, &part.counts.n, sizeof(part.counts.n));
	assert_true(total.covered_s == 70150 - 1230);
}

static void a_series_that_is_gone_has_no_connections(void **state)
{
	struct place *place = *state;
	static struct point point;
	struct series series = {SERIES_SERVER, "gone:1", ""};
	struct rows *rows;

	model_point(T0, 1, &point, NULL);
	for (int64_t time_s = T0; time_s < T0 + 620; time_s += 10) {
		struct interval *interval = interval_new(
			time_s * MODEL_NS_S, (time_s + 10) * MODEL_NS_S, 10 * MODEL_NS_S);

		if (time_s < T0 + 100)
			assert_int_equal(interval_add_point(interval, &series, &point), 0);
		assert_int_equal(store_write(place->store, interval), 0);
	}
	rows = history(place, T0, T0 + 600, 300, (struct store_filter){.server = "gone:1"});
	assert_int_equal(rows->nr, 2);
	assert_int_equal(rows->row[0].counts.active, 0);
	assert_int_equal(rows->row[0].counts.peak, point.counts.peak);
	assert_int_equal(rows->row[0].counts.n.received, 10 * point.counts.n.received);
	assert_int_equal(rows->row[1].counts.n.received, 0);
}

static void time_without_an_agent_is_absent(void **state)
{
	struct place *place = *state;
	struct rows *rows;

	put_all(place, T0, T0 + 600);
	reopen(place);
	put_all(place, T0 + 3000, T0 + 3600);
	rows = history(place, T0, T0 + 3600, 300, all());
	assert_int_equal(rows->nr, 4);
	assert_int_equal(rows->row[1].time_s, T0 + 300);
	assert_int_equal(rows->row[2].time_s, T0 + 3000);
}

/* ---- time */

static int put_at(struct place *place, int64_t from_s, int64_t to_s, int64_t covered_s,
		  uint64_t received)
{
	struct interval *interval = interval_new(from_s * MODEL_NS_S, to_s * MODEL_NS_S,
						 (uint64_t)(covered_s * MODEL_NS_S));
	static struct point point;

	assert_non_null(interval);
	point_reset(&point);
	point.counts.n.received = received;
	assert_int_equal(
		interval_add_point(interval, &(struct series){SERIES_TOTAL, "", ""}, &point), 0);
	assert_int_equal(
		interval_add_user(interval, &(struct user_counts){"u", {.received = received}}), 0);
	return store_write(place->store, interval);
}

static void a_restart_within_ten_seconds_adds_to_them(void **state)
{
	struct place *place = *state;
	struct rows *rows;

	assert_int_equal(put_at(place, T0, T0 + 4, 4, 3), 0);
	reopen(place);
	assert_int_equal(put_at(place, T0 + 6, T0 + 10, 4, 5), 0);
	rows = history(place, T0, T0 + 10, 10, all());
	assert_int_equal(rows->nr, 1);
	assert_int_equal(rows->row[0].counts.n.received, 8);
	assert_true(rows->row[0].covered_s == 8);
	rows = history(place, T0, T0 + 10, 10, (struct store_filter){.user = "u"});
	assert_int_equal(rows->row[0].counts.n.received, 8);
}

static void a_clock_that_goes_back_changes_nothing_that_is_written(void **state)
{
	struct place *place = *state;
	static struct rows before;
	struct rows *rows;

	put_all(place, T0, T0 + 3600);
	before = *history(place, T0, T0 + 3600, 10, all());
	/* an hour back: lived twice */
	for (int64_t time_s = T0; time_s < T0 + 1200; time_s += 10)
		assert_int_equal(put_at(place, time_s, time_s + 10, 10, 1000000), 0);
	rows = history(place, T0, T0 + 3600, 10, all());
	assert_int_equal(rows->nr, 360);
	/* the last five minutes are not rolled up yet, but the clock did not come so far */
	assert_memory_equal(rows, &before, sizeof(before.nr) + 360 * sizeof(struct row));
	rows = history(place, T0, T0 + 3600, 300, all());
	assert_int_equal(rows->nr, 12);
	for (size_t i = 0; i < rows->nr; i++)
		expect_row(&rows->row[i], 300, -1);
	assert_int_equal(state_of(place).skipped, 120);
	assert_non_null(strstr(place->notes, "the clock went back by 3600 s"));
	/* and goes on behind what is written */
	put_all(place, T0 + 3600, T0 + 3900);
	assert_int_equal(history(place, T0, T0 + 3900, 10, all())->nr, 390);
}

static void a_clock_that_goes_forward_leaves_a_gap(void **state)
{
	struct place *place = *state;
	struct rows *rows;

	put_all(place, T0, T0 + 600);
	/* the jump is in the middle of an interval */
	assert_int_equal(put_at(place, T0 + 600, T0 + 7210, 10, 7), 0);
	put_all(place, T0 + 7210, T0 + 7800);
	rows = history(place, T0, T0 + 7800, 10, all());
	assert_int_equal(rows->nr, 60 + 60);
	assert_int_equal(rows->row[60].time_s, T0 + 7200);
	assert_int_equal(rows->row[60].counts.n.received, 7);
	assert_non_null(strstr(place->notes, "the clock went forward by 6600 s"));
}

static void a_clock_that_was_in_the_far_future_spoils_nothing(void **state)
{
	struct place *place = *state;
	struct rows *rows;

	put_all(place, T0, T0 + 1200);
	put_all(place, T0 + 4000 * DAY, T0 + 4000 * DAY + 1200);
	put_all(place, T0 + 1200, T0 + 2410);
	assert_true(has_file(place, "raw-2025-11-25.db"));
	rows = history(place, T0, T0 + 2400, 300, all());
	assert_int_equal(rows->nr, 8);
	for (size_t i = 0; i < rows->nr; i++)
		expect_row(&rows->row[i], 300, -1);
}

static void times_that_cannot_be_are_refused(void **state)
{
	struct place *place = *state;

	assert_int_equal(put_at(place, -20, -10, 10, 1), -EINVAL);
	assert_int_equal(put_at(place, 5000000000000000ll / MODEL_NS_S, 0, 10, 1), -EINVAL);
	assert_int_equal(put_at(place, T0, T0 + 10, 100000, 1), -EINVAL);
	assert_int_equal(count_files(place, ".db"), 0);
}

/* ---- bounds */

static void what_is_older_than_its_tier_keeps_goes(void **state)
{
	struct place *place = *state;

	place->config.raw_keep_s = 2 * DAY;
	place->config.rows_keep_s = DAY;
	reopen(place);
	put_all(place, T0, T0 + 300);
	put_all(place, T0 + DAY, T0 + DAY + 300);
	/* clock jumps of days: nothing goes before it went steadily for an hour */
	put_all(place, T0 + 4 * DAY, T0 + 4 * DAY + 3500);
	assert_true(has_file(place, "raw-2025-11-25.db"));
	put_all(place, T0 + 4 * DAY + 3500, T0 + 4 * DAY + 3700);
	assert_false(has_file(place, "raw-2025-11-25.db"));
	assert_false(has_file(place, "raw-2025-11-25.db-wal"));
	assert_false(has_file(place, "raw-2025-11-26.db"));
	assert_true(has_file(place, "raw-2025-11-29.db"));
	assert_true(has_file(place, "5m-2025-11.db"));
}

static void the_store_stays_within_its_limit(void **state)
{
	struct place *place = *state;
	uint64_t worst = 0;
	int err = 0;

	place->config.bytes_max = 16 << 20;
	place->config.raw_keep_s = 100 * DAY;
	reopen(place);
	for (int64_t day = 0; day < 12 && !err; day++)
		for (int64_t time_s = T0 + day * DAY; time_s < T0 + day * DAY + 7200;
		     time_s += 10) {
			struct interval *interval = model_interval(time_s, SERVERS, 40);

			err = store_write(place->store, interval);
			assert_int_equal(err, 0);
			if (time_s % 300 == 0) {
				struct stat st;
				DIR *dir = opendir(place->dir);
				struct dirent *entry;
				uint64_t bytes = 0;

				while ((entry = readdir(dir)))
					if (!fstatat(dirfd(dir), entry->d_name, &st, 0) &&
					    S_ISREG(st.st_mode))
						bytes += (uint64_t)st.st_size;
				closedir(dir);
				worst = bytes > worst ? bytes : worst;
			}
		}
	print_message("at most %.1f MB of 16\n", (double)worst / 1048576);
	assert_in_range(worst, 8 << 20, 16 << 20);
	assert_false(has_file(place, "raw-2025-11-25.db"));
	assert_true(has_file(place, "5m-2025-11.db"));
	assert_non_null(strstr(place->notes, "at its limit of 16 MB: raw-2025-11-25.db removed"));
	/* what is gone in 10 s is still there in 5 min */
	assert_int_equal(history(place, T0, T0 + 3600, 300, all())->nr, 12);
}

static void a_limit_that_todays_files_fill_stops_the_writing(void **state)
{
	struct place *place = *state;
	struct store_state before;
	int err = 0;

	place->config.bytes_max = 16 << 20;
	reopen(place);
	for (int64_t time_s = T0; time_s < T0 + DAY && !err; time_s += 10)
		err = store_write(place->store, model_interval(time_s, SERVERS, 120));
	assert_int_equal(err, -ENOSPC);
	before = state_of(place);
	assert_false(before.available);
	assert_non_null(strstr(before.reason, "all of the 16 MB"));
	assert_true(before.bytes <= before.bytes_max);
	/* the next day there is room again */
	assert_int_equal(put(place, T0 + DAY + 10), 0);
	assert_true(state_of(place).available);
}

static void an_unwritten_interval_waits_and_is_written_later(void **state)
{
	struct place *place = *state;
	char moved[80];

	put_all(place, T0, T0 + 100);
	snprintf(moved, sizeof(moved), "%s.away", place->dir);
	assert_int_equal(rename(place->dir, moved), 0);
	/* the files that are open are still there, so it is the directory that tells */
	for (int64_t time_s = T0 + 100; time_s < T0 + 200; time_s += 10)
		assert_int_equal(put(place, time_s), -ENOENT);
	assert_false(state_of(place).available);
	assert_int_equal(state_of(place).since_ns, (T0 + 110) * MODEL_NS_S);
	assert_int_equal(state_of(place).waiting, 10);
	assert_non_null(strstr(state_of(place).reason, "No such file or directory"));
	assert_int_equal(rename(moved, place->dir), 0);
	assert_int_equal(put(place, T0 + 200), 0);
	assert_true(state_of(place).available);
	assert_int_equal(state_of(place).lost, 0);
	assert_int_equal(history(place, T0, T0 + 300, 10, all())->nr, 21);
	assert_non_null(strstr(place->notes, "the store is written again after 100 s"));
}

static void too_many_that_wait_are_lost_and_counted(void **state)
{
	struct place *place = *state;
	char moved[80];

	snprintf(moved, sizeof(moved), "%s.away", place->dir);
	assert_int_equal(rename(place->dir, moved), 0);
	for (int64_t time_s = T0; time_s < T0 + 500; time_s += 10)
		assert_int_equal(put(place, time_s), -ENOENT);
	assert_int_equal(state_of(place).waiting, STORE_QUEUE);
	assert_int_equal(state_of(place).lost, 50 - STORE_QUEUE);
	assert_int_equal(rename(moved, place->dir), 0);
	assert_int_equal(put(place, T0 + 500), 0);
	assert_int_equal(history(place, T0, T0 + 600, 10, all())->nr, STORE_QUEUE);
}

/* ---- versions and damage */

static void run_sql(const struct place *place, const char *name, const char *sql)
{
	char path[200];
	sqlite3 *sqlite;

	snprintf(path, sizeof(path), "%s/%s", place->dir, name);
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(sqlite), SQLITE_OK);
}

/* Names, sizes, times and bytes of all files. */
static uint64_t fingerprint(const struct place *place)
{
	DIR *dir = opendir(place->dir);
	struct dirent *entry;
	uint64_t sum = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		uint64_t hash = 14695981039346656037u;
		static unsigned char bytes[1 << 20];
		struct stat st;
		ssize_t n;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
		assert_true(fd >= 0 && !fstat(fd, &st));
		hash ^= (uint64_t)st.st_mtim.tv_nsec;
		for (const char *c = entry->d_name; *c; c++)
			hash = (hash ^ (unsigned char)*c) * 1099511628211u;
		while ((n = read(fd, bytes, sizeof(bytes))) > 0)
			for (ssize_t i = 0; i < n; i++)
				hash = (hash ^ bytes[i]) * 1099511628211u;
		close(fd);
		sum += hash;
	}
	closedir(dir);
	return sum;
}

static void a_newer_schema_is_refused_and_nothing_touched(void **state)
{
	struct place *place = *state;
	static const char *const files[] = {"raw-2025-11-25.db", "5m-2025-11.db",
					    "rows-2025-11-01.db"};
	uint64_t before;

	put_all(place, T0, T0 + 610);
	store_free(place->store);
	place->store = NULL;
	for (size_t i = 0; i < COUNT(files); i++) {
		run_sql(place, files[i],
			i < 2 ? "UPDATE meta SET version = 2; PRAGMA user_version = 2"
			      : "CREATE TABLE meta(version); INSERT INTO meta VALUES (9); "
				"PRAGMA application_id = 1465079380; PRAGMA user_version = 9");
		before = fingerprint(place);
		reopen(place);
		assert_int_equal(put(place, T0 + 610), -EPROTONOSUPPORT);
		assert_int_equal(put(place, T0 + 50 * DAY), -EPROTONOSUPPORT);
		assert_false(state_of(place).available);
		assert_non_null(strstr(state_of(place).reason, "newer wsvitals"));
		assert_int_equal(fingerprint(place), before);
		store_free(place->store);
		place->store = NULL;
		if (i < 2)
			run_sql(place, files[i],
				"UPDATE meta SET version = 1; PRAGMA user_version = 1");
	}
}

static void a_version_that_only_the_head_says_is_damage(void **state)
{
	struct place *place = *state;

	put_all(place, T0, T0 + 100);
	store_free(place->store);
	place->store = NULL;
	run_sql(place, "raw-2025-11-25.db", "PRAGMA user_version = 3");
	reopen(place);
	assert_int_equal(put(place, T0 + 100), 0);
	assert_int_equal(count_files(place, "raw-2025-11-25.db.damaged-"), 1);
}

static void a_file_of_version_0_is_not_ours(void **state)
{
	struct place *place = *state;

	run_sql(place, "raw-2025-11-25.db", "CREATE TABLE point(id); INSERT INTO point VALUES (1)");
	assert_int_equal(put(place, T0), 0);
	assert_int_equal(count_files(place, "raw-2025-11-25.db.damaged-"), 1);
	assert_int_equal(history(place, T0, T0 + 10, 10, all())->nr, 1);
}

static void write_bytes(const struct place *place, const char *name, const char *bytes, size_t len)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", place->dir, name);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void every_damaged_file_is_set_aside_and_costs_its_period(void **state)
{
	static const char *const contents[] = {
		"",
		"SQLite format 3",
		"this is not a database, but it is long enough to be taken for the head of one, "
		"which has one hundred bytes",
	};
	struct place *place = *state;

	for (size_t i = 0; i < COUNT(contents); i++) {
		int64_t day = T0 + (int64_t)i * DAY;
		char name[32];

		put_all(place, day - DAY, day - DAY + 50);
		snprintf(name, sizeof(name), "raw-2025-11-%02zu.db", 25 + i);
		write_bytes(place, name, contents[i], strlen(contents[i]));
		assert_int_equal(put(place, day), 0);
		assert_int_equal(count_files(place, name), 3 + 1); /* db, wal, shm */
		assert_int_equal(history(place, day, day + 100, 10, all())->nr, 1);
		assert_int_equal(history(place, day - DAY, day - DAY + 50, 10, all())->nr, 5);
		assert_int_equal(state_of(place).damaged_files, i + 1);
		assert_non_null(strstr(place->notes, "is damaged and was set aside"));
	}
}

static void a_truncated_file_is_set_aside(void **state)
{
	struct place *place = *state;
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/raw-2025-11-25.db", place->dir);
	for (int64_t share = 1; share < 8; share++) {
		int64_t from = T0 + share * 5000;

		put_all(place, from, from + 1500);
		store_free(place->store);
		place->store = NULL;
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(truncate(path, st.st_size * share / 8), 0);
		reopen(place);
		put_all(place, from + 1500, from + 1600);
		assert_int_equal(history(place, from + 1500, from + 1600, 10, all())->nr, 10);
		/* what was rolled up before is not lost */
		assert_in_range(history(place, from, from + 1500, 300, all())->nr, 4, 6);
		assert_in_range(state_of(place).damaged_files, 1, 2);
		assert_int_equal(count_files(place, "5m-2025-11.db.damaged"), 0);
	}
}

static void the_5_minutes_are_rebuilt_from_what_is_left(void **state)
{
	struct place *place = *state;
	struct rows *rows;

	put_all(place, T0, T0 + 3600);
	store_free(place->store);
	place->store = NULL;
	write_bytes(place, "5m-2025-11.db", "gone", 4);
	reopen(place);
	put_all(place, T0 + 3600, T0 + 3800);
	assert_int_equal(count_files(place, "5m-2025-11.db.damaged-"), 1);
	store_free(place->store);
	place->store = NULL;
	remove_raw(place);
	reopen(place);
	rows = history(place, T0, T0 + 3600, 300, all());
	assert_int_equal(rows->nr, 12);
	for (size_t i = 0; i < rows->nr; i++)
		expect_row(&rows->row[i], 300, -1);
}

static int count_row(const struct closed_connection *connection, void *ctx)
{
	(void)connection;
	++*(size_t *)ctx;
	return 0;
}

static int count_event(const struct store_event *event, void *ctx)
{
	(void)event;
	++*(size_t *)ctx;
	return 0;
}

static int count_problem(const struct store_file_info *info, void *ctx)
{
	*(size_t *)ctx += info->damaged;
	return 0;
}

static void fill_rows(struct place *place, int64_t time_s, unsigned nr)
{
	struct interval *interval = model_interval(time_s, SERVERS, CHANNELS);

	for (unsigned i = 0; i < nr; i++) {
		char user[16];
		struct closed_connection c = {
			.opened_ns = (time_s - i) * MODEL_NS_S,
			.closed_ns = time_s * MODEL_NS_S + i * 1000000,
			.server = "node:8000",
			.channel = i % 2 ? "/a" : "/b",
			.user = user,
			.received = i,
			.sent = 2 * i,
			.has_close = i % 3 == 0,
			.code = 1000,
			.cause = CAUSE_TIMEOUT,
			.error = i % 3 ? ERROR_ABNORMAL : ERROR_NONE,
		};

		snprintf(user, sizeof(user), "%012x", i % 17);
		assert_int_equal(interval_add_connection(interval, &c), 0);
	}
	assert_int_equal(
		interval_add_event(interval, &(struct store_event){.at_ns = time_s * MODEL_NS_S,
								   .kind = STORE_EVENT_SERVER_SEEN,
								   .server = "node:8000",
								   .text = "it listens"}),
		0);
	assert_int_equal(store_write(place->store, interval), 0);
}

static void a_flipped_byte_anywhere_harms_at_most_its_file(void **state)
{
	static const char *const files[] = {"raw-2025-11-25.db", "5m-2025-11.db", "1h-2025.db",
					    "rows-2025-11-25.db", "events-2025.db"};
	struct place *place = *state;
	char saved[100], command[400];
	unsigned seen = 0, tried = 0;
	uint64_t seed = 99;

	put_all(place, T0, T0 + 7290);
	fill_rows(place, T0 + 7290, 300);
	store_free(place->store);
	place->store = NULL;
	snprintf(saved, sizeof(saved), "%s.saved", place->dir);
	snprintf(command, sizeof(command), "cp -r %s %s", place->dir, saved);
	assert_int_equal(system(command), 0);
	for (size_t i = 0; i < COUNT(files); i++)
		for (int64_t n = 0; n < (i == 0 || i == 3 ? 120 : 40); n++) {
			struct rows_query query = {
				.from_s = T0, .to_s = T0 + DAY, .error = -1, .limit = 1000};
			struct history_query points = {T0, T0 + 7200, 300, all()};
			static struct rows rows;
			size_t problems = 0, nr = 0, total;
			char path[200], byte;
			struct stat st;
			off_t at;
			int64_t step;
			int fd, err;

			snprintf(path, sizeof(path), "%s/%s", place->dir, files[i]);
			fd = open(path, O_RDWR);
			assert_true(fd >= 0 && !fstat(fd, &st));
			/* every byte of the head, where not of each file, then any */
			at = (off_t)random_below(&seed, n < 20 ? 100 : (uint64_t)st.st_size);
			if (n < 100 && (i == 0 || i == 3))
				at = n;
			assert_int_equal(pread(fd, &byte, 1, at), 1);
			byte ^= (char)(1 + random_below(&seed, 255));
			assert_int_equal(pwrite(fd, &byte, 1, at), 1);
			close(fd);
			reopen(place);
			assert_int_equal(store_files(place->store, true, count_problem, &problems),
					 0);
			/* questions first, then the writer: neither may fail or crash */
			rows.nr = 0;
			err = store_history(place->store, &points, keep_row, &rows, &step);
			assert_int_equal(err, 0);
			assert_int_equal(
				store_connections(place->store, &query, count_row, &nr, &total), 0);
			assert_int_equal(
				store_events(place->store, T0, T0 + DAY, 0, count_event, &nr), 0);
			assert_int_equal(put(place, T0 + 7300), 0);
			assert_int_equal(put(place, T0 + 7310), 0);
			assert_true(state_of(place).available);
			tried++;
			seen += problems || state_of(place).damaged_files;
			store_free(place->store);
			place->store = NULL;
			snprintf(command, sizeof(command), "rm -rf %s && cp -r %s %s", place->dir,
				 saved, place->dir);
			assert_int_equal(system(command), 0);
		}
	model_remove_all(saved);
	print_message("%u of %u flipped bytes were noticed\n", seen, tried);
	reopen(place);
	/* SQLite has no checksums of its own: free space and some texts may change unseen */
	assert_in_range(seen, tried / 4, tried);
}

static void a_flipped_byte_in_a_point_leaves_that_point_out(void **state)
{
	struct place *place = *state;
	static struct rows before;
	struct rows *rows;
	size_t problems = 0;

	put_all(place, T0, T0 + 100);
	before = *history(place, T0, T0 + 100, 10, all());
	store_free(place->store);
	place->store = NULL;
	run_sql(place, "raw-2025-11-25.db",
		"UPDATE point SET data = substr(data, 1, 5) || x'7f' || substr(data, 7) "
		"WHERE id >> 16 = 1764028850");
	reopen(place);
	rows = history(place, T0, T0 + 100, 10, all());
	assert_int_equal(rows->nr, 10);
	for (size_t i = 0; i < 10; i++)
		if (i == 5)
			assert_int_equal(rows->row[i].counts.n.received, 0);
		else
			assert_memory_equal(&rows->row[i], &before.row[i], sizeof(struct row));
	assert_int_equal(state_of(place).damaged_points, 1);
	assert_int_equal(store_files(place->store, true, count_problem, &problems), 0);
	assert_int_equal(problems, 1);
}

static void what_a_kill_left_half_made_is_removed(void **state)
{
	struct place *place = *state;

	write_bytes(place, "raw-2025-11-25.db.new", "half", 4);
	write_bytes(place, "notes.txt", "mine", 4);
	write_bytes(place, "raw-2025-99-25.db", "mine", 4);
	put_all(place, T0, T0 + 20);
	assert_false(has_file(place, "raw-2025-11-25.db.new"));
	assert_true(has_file(place, "notes.txt") && has_file(place, "raw-2025-99-25.db"));
}

int main(void)
{
#define IN_PLACE(text, fn)                                                                         \
	{                                                                                          \
		.name = (text), .test_func = (fn), .setup_func = setup, .teardown_func = teardown  \
	}
	static const struct CMUnitTest tests[] = {
		IN_PLACE("an interval is there when it was acknowledged",
			 an_interval_is_there_when_it_was_acknowledged),
		IN_PLACE("points roll up to the sums of what they are made of",
			 points_roll_up_to_the_sums_of_what_they_are_made_of),
		IN_PLACE("what is not rolled up yet is in the answer",
			 what_is_not_rolled_up_yet_is_in_the_answer),
		IN_PLACE("percentiles over a day are those of all values",
			 percentiles_over_a_day_are_those_of_all_values),
		IN_PLACE("a series that is gone has no connections",
			 a_series_that_is_gone_has_no_connections),
		IN_PLACE("time without an agent is absent", time_without_an_agent_is_absent),
		IN_PLACE("a restart within ten seconds adds to them",
			 a_restart_within_ten_seconds_adds_to_them),
		IN_PLACE("a clock that goes back changes nothing that is written",
			 a_clock_that_goes_back_changes_nothing_that_is_written),
		IN_PLACE("a clock that goes forward leaves a gap",
			 a_clock_that_goes_forward_leaves_a_gap),
		IN_PLACE("a clock that was in the far future spoils nothing",
			 a_clock_that_was_in_the_far_future_spoils_nothing),
		IN_PLACE("times that cannot be are refused", times_that_cannot_be_are_refused),
		IN_PLACE("what is older than its tier keeps goes",
			 what_is_older_than_its_tier_keeps_goes),
		IN_PLACE("the store stays within its limit", the_store_stays_within_its_limit),
		IN_PLACE("a limit that today's files fill stops the writing",
			 a_limit_that_todays_files_fill_stops_the_writing),
		IN_PLACE("an unwritten interval waits and is written later",
			 an_unwritten_interval_waits_and_is_written_later),
		IN_PLACE("too many that wait are lost and counted",
			 too_many_that_wait_are_lost_and_counted),
		IN_PLACE("a newer schema is refused and nothing touched",
			 a_newer_schema_is_refused_and_nothing_touched),
		IN_PLACE("a version that only the head says is damage",
			 a_version_that_only_the_head_says_is_damage),
		IN_PLACE("a file of version 0 is not ours", a_file_of_version_0_is_not_ours),
		IN_PLACE("every damaged file is set aside and costs its period",
			 every_damaged_file_is_set_aside_and_costs_its_period),
		IN_PLACE("a truncated file is set aside", a_truncated_file_is_set_aside),
		IN_PLACE("the 5 minutes are rebuilt from what is left",
			 the_5_minutes_are_rebuilt_from_what_is_left),
		IN_PLACE("a flipped byte anywhere harms at most its file",
			 a_flipped_byte_anywhere_harms_at_most_its_file),
		IN_PLACE("a flipped byte in a point leaves that point out",
			 a_flipped_byte_in_a_point_leaves_that_point_out),
		IN_PLACE("what a kill left half made is removed",
			 what_a_kill_left_half_made_is_removed),
	};

	return check_run("store", NULL, NULL, 0, 0, tests, COUNT(tests));
}

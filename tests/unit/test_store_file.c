// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * store_file.c: names, periods and versions of files. Migration is shown with schemas that do not
 * exist yet, on a file that this program wrote; and by files of every version that ever was, which
 * lie in tests/corpus/store.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>

#include "check.h"
#include "schema.sql.h"
#include "store_file.h"
#include "store_model.h"
#include "store_query.h"

#define T0 1764028800ll /* 2025-11-25 00:00:00 UTC */

static const struct name_row {
	const char *sentence, *name;
	int tier; /* -1: not ours */
	enum file_role role;
	int64_t begin_s, end_s;
} names[] = {
	{"a day", "raw-2025-11-25.db", TIER_RAW, FILE_DATABASE, T0, T0 + 86400},
	{"a month", "5m-2025-12.db", TIER_5M, FILE_DATABASE, T0 + 6 * 86400, T0 + 37 * 86400},
	{"a leap year", "1h-2024.db", TIER_1H, FILE_DATABASE, 1704067200, 1704067200 + 366 * 86400},
	{"a log", "rows-2025-11-25.db-wal", TIER_ROWS, FILE_SIDE, T0, T0 + 86400},
	{"an index", "events-2025.db-shm", TIER_EVENTS, FILE_SIDE, 1735689600, 1767225600},
	{"set aside", "raw-2025-11-25.db.damaged-1764028800", TIER_RAW, FILE_DAMAGED, T0,
	 T0 + 86400},
	{"not complete", "raw-2025-11-25.db.new-journal", TIER_RAW, FILE_NEW, T0, T0 + 86400},
	{"no month 13", "5m-2025-13.db", -1, 0, 0, 0},
	{"no day 0", "raw-2025-11-00.db", -1, 0, 0, 0},
	{"a copy", "raw-2025-11-25.db.bak", -1, 0, 0, 0},
	{"another tier's date", "raw-2025-11.db", -1, 0, 0, 0},
	{"a longer date", "1h-20255.db", -1, 0, 0, 0},
	{"a path", "../raw-2025-11-25.db", -1, 0, 0, 0},
	{"nothing", "", -1, 0, 0, 0},
	{"the key of the store", "key", -1, 0, 0, 0},
};

static void one_name(void **state)
{
	const struct name_row *row = *state;
	struct file_name found;

	assert_int_equal(file_name_parse(row->name, &found), row->tier >= 0);
	if (row->tier < 0)
		return;
	assert_int_equal(found.tier, row->tier);
	assert_int_equal(found.role, row->role);
	assert_int_equal(found.begin_s, row->begin_s);
	assert_int_equal(found.end_s, row->end_s);
}

static void every_time_has_one_file(void **state)
{
	(void)state;
	for (enum tier tier = 0; tier < NR_TIERS; tier++)
		for (int64_t time_s = -1000; time_s < STORE_TIME_MAX; time_s += 86399 * 37) {
			int64_t begin_s = tier_begin(tier, time_s), end_s = tier_end(tier, time_s);
			char name[STORE_NAME_MAX];
			struct file_name found;

			assert_true(time_s < 0 || (begin_s <= time_s && time_s < end_s));
			assert_int_equal(tier_begin(tier, end_s - 1), begin_s);
			tier_file_name(tier, time_s, name);
			assert_true(file_name_parse(name, &found));
			assert_int_equal(found.begin_s, begin_s);
			assert_int_equal(found.end_s, end_s);
		}
}

/* ---- migration */

static int setup(void **state)
{
	char *dir = strdup(access("/dev/shm", W_OK) ? "/tmp/wsvitals-file-XXXXXX"
						    : "/dev/shm/wsvitals-file-XXXXXX");

	assert_non_null(dir);
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	model_remove_all(*state);
	free(*state);
	return 0;
}

static int64_t ask(struct db *db, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t answer;

	assert_int_equal(db_prepare(db, sql, &statement), 0);
	assert_int_equal(db_step(db, statement), 1);
	answer = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return answer;
}

static char *with_sections(const char *more)
{
	char *sql;

	assert_true(asprintf(&sql, "%s%s", schema_sql, more) > 0);
	return sql;
}

#define SECTION_2                                                                                  \
	"--: points 2\nALTER TABLE interval ADD COLUMN note TEXT;\n"                               \
	"UPDATE interval SET note = 'of before';\n--: rows 2\nCREATE INDEX c ON "                  \
	"connection(user);\n"
#define SECTION_3 "--: points 3\nCREATE TABLE extra(id INTEGER PRIMARY KEY);\n"

static void an_older_file_runs_the_sections_that_it_lacks(void **state)
{
	char *sql2 = with_sections(SECTION_2), *sql3 = with_sections(SECTION_2 SECTION_3);
	struct schema two = {2, sql2}, three = {3, sql3};
	const char *dir = *state;
	char path[200];
	struct db *db;

	assert_int_equal(db_open(dir, TIER_RAW, T0, DB_WRITE, &db), 0);
	assert_int_equal(db_run(db, "INSERT INTO interval VALUES (7, 10000, NULL)"), 0);
	db_close(db);
	/* from 1 to 2 by a reader, who has to ask for it */
	assert_int_equal(db_open_as(dir, TIER_RAW, T0, DB_READ, &two, &db), 0);
	assert_int_equal(ask(db, "SELECT note = 'of before' FROM interval WHERE time = 7"), 1);
	assert_int_equal(ask(db, "SELECT version FROM meta"), 2);
	assert_int_equal(ask(db, "PRAGMA user_version"), 2);
	db_close(db);
	/* this program refuses it now */
	snprintf(path, sizeof(path), "%s/raw-2025-11-25.db", dir);
	assert_int_equal(file_look(path), -EPROTONOSUPPORT);
	assert_int_equal(db_open(dir, TIER_RAW, T0, DB_WRITE, &db), -EPROTONOSUPPORT);
	assert_int_equal(db_open(dir, TIER_RAW, T0, DB_READ, &db), -EPROTONOSUPPORT);
	/* from 2 to 3 */
	assert_int_equal(db_open_as(dir, TIER_RAW, T0, DB_WRITE, &three, &db), 0);
	assert_int_equal(ask(db, "SELECT count(*) FROM interval WHERE note = 'of before'"), 1);
	assert_int_equal(ask(db, "SELECT count(*) FROM extra"), 0);
	assert_int_equal(ask(db, "SELECT version FROM meta"), 3);
	db_close(db);
	/* from 1 to 3, and a new file at once at 3 */
	for (int64_t day = 1; day < 3; day++) {
		if (day == 1) {
			assert_int_equal(db_open(dir, TIER_RAW, T0 + 86400, DB_WRITE, &db), 0);
			db_close(db);
		}
		assert_int_equal(db_open_as(dir, TIER_RAW, T0 + day * 86400, DB_WRITE, &three, &db),
				 0);
		assert_int_equal(ask(db, "SELECT count(note) FROM interval"), 0);
		assert_int_equal(ask(db, "SELECT count(*) FROM extra"), 0);
		db_close(db);
	}
	free(sql2);
	free(sql3);
}

static void a_migration_that_fails_leaves_the_file_as_it_was(void **state)
{
	char *sql = with_sections("--: points 2\nCREATE TABLE half(id);\nINSERT INTO nowhere "
				  "VALUES (1);\n");
	struct schema bad = {2, sql};
	const char *dir = *state;
	struct db *db;

	assert_int_equal(db_open(dir, TIER_5M, T0, DB_WRITE, &db), 0);
	assert_int_equal(db_run(db, "INSERT INTO interval VALUES (7, 10000, NULL)"), 0);
	db_close(db);
	assert_true(db_open_as(dir, TIER_5M, T0, DB_WRITE, &bad, &db) < 0);
	assert_int_equal(db_open(dir, TIER_5M, T0, DB_WRITE, &db), 0);
	assert_int_equal(ask(db, "SELECT covered_ms FROM interval WHERE time = 7"), 10000);
	assert_int_equal(ask(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
	db_close(db);
	free(sql);
}

/* ---- files of every version that ever was */

struct answers {
	uint64_t received, points, connections, errors, events;
};

static int take_point(const struct history_point *point, void *ctx)
{
	struct answers *answers = ctx;

	answers->received += point->sum->counts.n.received;
	answers->points++;
	return 0;
}

static int take_connection(const struct closed_connection *connection, void *ctx)
{
	struct answers *answers = ctx;

	assert_string_equal(connection->channel, "/a");
	answers->connections++;
	return 0;
}

static int take_error(const struct error_entry *error, void *ctx)
{
	struct answers *answers = ctx;

	assert_string_equal(error->message, "bad token");
	answers->errors++;
	return 0;
}

static int take_event(const struct store_event *event, void *ctx)
{
	struct answers *answers = ctx;

	assert_string_equal(event->text, "it began");
	answers->events++;
	return 0;
}

/* What was written into those files: 15 minutes of two channels, a row of each kind at the hour. */
static int fill(const char *dir)
{
	struct store_config config = {.dir = dir};
	struct store *store;
	int err = store_new(&config, &store);

	for (int64_t time_s = T0 + 3000; !err && time_s < T0 + 3900; time_s += 10) {
		struct interval *interval = model_interval(time_s, 1, 2);

		if (time_s % 3600 == 0) {
			interval_add_connection(interval, &(struct closed_connection){
								  .closed_ns = time_s * MODEL_NS_S,
								  .channel = "/a"});
			interval_add_error(interval,
					   &(struct error_entry){.at_ns = time_s * MODEL_NS_S,
								 .message = "bad token"});
			interval_add_event(interval,
					   &(struct store_event){.at_ns = time_s * MODEL_NS_S,
								 .text = "it began"});
		}
		err = store_write(store, interval);
	}
	store_free(store);
	return err;
}

static struct answers ask_store(const char *dir)
{
	struct rows_query rows = {.from_s = T0, .to_s = T0 + 86400, .error = -1, .limit = 100};
	static const int64_t wishes[] = {10, 300, 3600};
	struct store_config config = {.dir = dir};
	struct answers answers = {0};
	struct store *store;
	int64_t step;

	assert_int_equal(store_new(&config, &store), 0);
	for (size_t i = 0; i < COUNT(wishes); i++) {
		struct history_query query = {T0, T0 + 7200, wishes[i], {0}};

		assert_int_equal(store_history(store, &query, take_point, &answers, &step), 0);
	}
	assert_int_equal(store_connections(store, &rows, take_connection, &answers, NULL), 0);
	assert_int_equal(store_errors(store, &rows, take_error, &answers, NULL), 0);
	assert_int_equal(store_events(store, T0, T0 + 86400, 0, take_event, &answers), 0);
	/* and it goes on in the same files */
	assert_int_equal(store_write(store, model_interval(T0 + 3900, 1, 2)), 0);
	store_free(store);
	return answers;
}

static void files_of_every_version_are_read_and_written(void **state)
{
	const char *dir = *state;

	for (int version = 1; version <= STORE_SCHEMA_VERSION; version++) {
		char old[300], fresh[300], command[1500];
		struct answers a, b;

		snprintf(old, sizeof(old), "%s/old-%d", dir, version);
		snprintf(fresh, sizeof(fresh), "%s/fresh-%d", dir, version);
		snprintf(command, sizeof(command),
			 "mkdir %s %s && cp tests/corpus/store/v%d/*.db %s && chmod u+w %s/*", old,
			 fresh, version, old, old);
		assert_int_equal(system(command), 0);
		assert_int_equal(fill(fresh), 0);
		a = ask_store(old);
		b = ask_store(fresh);
		assert_memory_equal(&a, &b, sizeof(a));
		assert_int_equal(a.points, 90 + 3 + 2);
		assert_true(a.connections == 1 && a.errors == 1 && a.events == 1);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("every time has one file", every_time_has_one_file),
		{.name = "an older file runs the sections that it lacks",
		 .test_func = an_older_file_runs_the_sections_that_it_lacks,
		 .setup_func = setup,
		 .teardown_func = teardown},
		{.name = "a migration that fails leaves the file as it was",
		 .test_func = a_migration_that_fails_leaves_the_file_as_it_was,
		 .setup_func = setup,
		 .teardown_func = teardown},
		{.name = "files of every version are read and written",
		 .test_func = files_of_every_version_are_read_and_written,
		 .setup_func = setup,
		 .teardown_func = teardown},
	};

	/* test_store_file fill DIR: when a version is left behind, its files for the corpus */
	if (argc == 3 && !strcmp(argv[1], "fill"))
		return fill(argv[2]) ? EXIT_FAILURE : EXIT_SUCCESS;
	return check_run("store_file", one_name, names, sizeof(names[0]), COUNT(names), tests,
			 COUNT(tests));
}

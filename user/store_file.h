/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * One database file of the store. In: a directory, a tier and a time. Out: an open database of the
 * schema that this program knows, or why not. Here are the names of files, their versions and what
 * becomes of a damaged one; what is in the tables is the business of store*.c. Not for others.
 *
 * Errors: -EUCLEAN damaged; -EPROTONOSUPPORT written by a newer program; -ENOENT, -ENOSPC, -EROFS,
 * -EIO, -EBUSY … as the system says. A damaged file is found when it is read, never guessed.
 */
#ifndef WSVITALS_STORE_FILE_H
#define WSVITALS_STORE_FILE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_SCHEMA_VERSION 1
#define STORE_SERIES_BITS 16
#define STORE_SERIES_MASK ((1 << STORE_SERIES_BITS) - 1)
#define STORE_TIME_MAX 253402300799ll /* end of the year 9999: names have four digits */

enum period { PERIOD_DAY, PERIOD_MONTH, PERIOD_YEAR };

/* X(NAME, key, kind in schema.sql, a file's period, seconds of an interval, default retention) */
#define TIERS(X)                                                                                   \
	X(RAW, "raw", "points", PERIOD_DAY, 10, 48 * 3600)                                         \
	X(5M, "5m", "points", PERIOD_MONTH, 300, 30 * 86400)                                       \
	X(1H, "1h", "points", PERIOD_YEAR, 3600, 730 * 86400)                                      \
	X(ROWS, "rows", "rows", PERIOD_DAY, 0, 7 * 86400)                                          \
	X(EVENTS, "events", "events", PERIOD_YEAR, 0, 730 * 86400)
#define X(NAME, ...) TIER_##NAME,
enum tier { TIERS(X) NR_TIERS };
#undef X
#define NR_POINT_TIERS 3 /* the first ones, from fine to coarse */

extern const struct tier_info {
	const char *key, *kind;
	enum period period;
	int64_t step_s, keep_s;
} tiers[NR_TIERS];

/* The period that a time falls in; times are clamped to 1970 … 9999. */
int64_t tier_begin(enum tier tier, int64_t time_s);
int64_t tier_end(enum tier tier, int64_t time_s);

#define STORE_NAME_MAX 64
void tier_file_name(enum tier tier, int64_t time_s, char ret_name[STORE_NAME_MAX]);

enum file_role {
	FILE_DATABASE,
	FILE_SIDE,    /* -wal, -shm, -journal */
	FILE_DAMAGED, /* set aside, its side files too */
	FILE_NEW,     /* not complete yet, or left by a kill */
};

struct file_name {
	enum tier tier;
	enum file_role role;
	int64_t begin_s, end_s;
};

/* False: no file of the store's. */
bool file_name_parse(const char *name, struct file_name *ret_name);

/* Whether a file was written by a newer program, looking without touching: 0 or an error above. */
int file_look(const char *path);

/* Renames the database and its side files; ret_name: what it is called now. */
int file_set_aside(const char *dir, const char *name, int64_t now_s, char ret_name[STORE_NAME_MAX]);

enum db_mode { DB_READ, DB_WRITE };

#define DB_STATEMENTS 32

/* What a file is brought up to; sections as in schema.sql. */
struct schema {
	int version;
	const char *sql;
};

struct db {
	sqlite3 *sqlite;
	const struct schema *schema;
	enum tier tier;
	int64_t begin_s;
	char name[STORE_NAME_MAX];
	bool damaged; /* something in it was not as it must be */
	struct {
		const char *sql; /* by address */
		sqlite3_stmt *statement;
	} prepared[DB_STATEMENTS];
	size_t nr_prepared;
};

/* DB_WRITE makes the file if it is missing, and brings it up to this version. */
int db_open(const char *dir, enum tier tier, int64_t time_s, enum db_mode mode, struct db **ret_db);
/* The same with another schema than this program's: migration is tested before there is one. */
int db_open_as(const char *dir, enum tier tier, int64_t time_s, enum db_mode mode,
	       const struct schema *schema, struct db **ret_db);
void db_close(struct db *db);
/* Closes a file that is complete, so that reading it needs no side files and no writing. */
void db_seal(struct db *db);

/*
 * A statement, ready to be bound; prepared once. The sql is a constant: it is known by its address.
 * Values are bound by position. Reset it with sqlite3_reset when done before it ended.
 */
int db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret_statement);
/* 1: a row; 0: the end, and it was reset; else an error, and it was reset. */
int db_step(struct db *db, sqlite3_stmt *statement);
int db_run(struct db *db, const char *sql);
int db_error(struct db *db, int code); /* SQLite's code as a negative errno; 0 for success */
int db_damaged(struct db *db);         /* what is in it cannot be: -EUCLEAN */

#endif

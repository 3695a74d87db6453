// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schema.sql.h"

#define APPLICATION_ID 0x57535654 /* "WSVT" */
#define HEAD_BYTES 100            /* SQLite's file format, 1.3 */
#define HEAD_WRITE_FORMAT 18      /* 1: rollback journal, 2: WAL */
#define HEAD_READ_FORMAT 19
#define HEAD_ENCODING 56
#define HEAD_VERSION 60     /* offset of user_version, big endian */
#define HEAD_APPLICATION 68 /* of application_id */
#define SECTION "--: "

/*
 * Memory: the agent has 16 MB, so caches are small. No mmap: a truncated file would be a SIGBUS.
 * synchronous NORMAL: a kill loses nothing that was committed, a power cut the last minutes, and a
 * commit does not wait for the disk. The log is copied back every 256 pages, so a write stays short.
 */
static const char pragmas[] = "PRAGMA synchronous = NORMAL;"
			      "PRAGMA temp_store = MEMORY;"
			      "PRAGMA cache_size = -384;"
			      "PRAGMA mmap_size = 0;"
			      "PRAGMA trusted_schema = OFF;"
			      "PRAGMA cell_size_check = ON;"
			      "PRAGMA wal_autocheckpoint = 256;"
			      "PRAGMA journal_size_limit = 1048576;";

static const struct schema own_schema = {STORE_SCHEMA_VERSION, schema_sql};

const struct tier_info tiers[NR_TIERS] = {
#define X(NAME, key, kind, period, step_s, keep_s) {key, kind, period, step_s, keep_s},
	TIERS(X)
#undef X
};

static int64_t clamp(int64_t time_s)
{
	return time_s < 0 ? 0 : time_s > STORE_TIME_MAX ? STORE_TIME_MAX : time_s;
}

static int64_t begin_of(enum tier tier, int64_t time_s, int further)
{
	time_t time = (time_t)clamp(time_s);
	struct tm tm;

	gmtime_r(&time, &tm);
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	switch (tiers[tier].period) {
	case PERIOD_DAY:
		tm.tm_mday += further;
		break;
	case PERIOD_MONTH:
		tm.tm_mday = 1;
		tm.tm_mon += further;
		break;
	case PERIOD_YEAR:
		tm.tm_mday = 1;
		tm.tm_mon = 0;
		tm.tm_year += further;
		break;
	}
	return (int64_t)timegm(&tm);
}

int64_t tier_begin(enum tier tier, int64_t time_s)
{
	return begin_of(tier, time_s, 0);
}

int64_t tier_end(enum tier tier, int64_t time_s)
{
	return begin_of(tier, time_s, 1);
}

void tier_file_name(enum tier tier, int64_t time_s, char ret_name[STORE_NAME_MAX])
{
	static const char *const formats[] = {
		[PERIOD_DAY] = "%Y-%m-%d", [PERIOD_MONTH] = "%Y-%m", [PERIOD_YEAR] = "%Y"};
	time_t time = (time_t)clamp(time_s);
	char date[16];
	struct tm tm;

	gmtime_r(&time, &tm);
	strftime(date, sizeof(date), formats[tiers[tier].period], &tm);
	snprintf(ret_name, STORE_NAME_MAX, "%s-%s.db", tiers[tier].key, date);
}

/* "-2026-11-25" -> numbers, as many as the period has; what follows is *ret_rest. */
static bool date_parse(const char *text, enum period period, int64_t *ret_time,
		       const char **ret_rest)
{
	static const int widths[] = {4, 2, 2};
	int parts[] = {1970, 1, 1}, nr = period == PERIOD_DAY ? 3 : period == PERIOD_MONTH ? 2 : 1;
	struct tm tm = {0};

	for (int i = 0; i < nr; i++) {
		if (*text++ != '-')
			return false;
		parts[i] = 0;
		for (int k = 0; k < widths[i]; k++, text++) {
			if (*text < '0' || *text > '9')
				return false;
			parts[i] = parts[i] * 10 + (*text - '0');
		}
	}
	if (parts[0] < 1970 || parts[1] < 1 || parts[1] > 12 || parts[2] < 1 || parts[2] > 31)
		return false;
	tm.tm_year = parts[0] - 1900;
	tm.tm_mon = parts[1] - 1;
	tm.tm_mday = parts[2];
	*ret_time = (int64_t)timegm(&tm);
	*ret_rest = text;
	return true;
}

static bool role_parse(const char *rest, enum file_role *ret_role)
{
	if (strncmp(rest, ".db", 3) != 0)
		return false;
	rest += 3;
	if (!*rest)
		*ret_role = FILE_DATABASE;
	else if (!strcmp(rest, "-wal") || !strcmp(rest, "-shm") || !strcmp(rest, "-journal"))
		*ret_role = FILE_SIDE;
	else if (!strncmp(rest, ".damaged-", 9))
		*ret_role = FILE_DAMAGED;
	else if (!strncmp(rest, ".new", 4))
		*ret_role = FILE_NEW;
	else
		return false;
	return true;
}

bool file_name_parse(const char *name, struct file_name *ret_name)
{
	for (enum tier tier = 0; tier < NR_TIERS; tier++) {
		size_t len = strlen(tiers[tier].key);
		struct file_name found = {.tier = tier};
		const char *rest;

		if (strncmp(name, tiers[tier].key, len) != 0 ||
		    !date_parse(name + len, tiers[tier].period, &found.begin_s, &rest) ||
		    !role_parse(rest, &found.role))
			continue;
		found.end_s = tier_end(tier, found.begin_s);
		*ret_name = found;
		return true;
	}
	return false;
}

static uint32_t big_endian(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Without locks or side files: for what nobody writes. False: the path cannot be written so. */
static bool immutable_uri(const char *path, char ret_uri[PATH_MAX + 64])
{
	if (strpbrk(path, "?#%")) /* they would end or change the path */
		return false;
	snprintf(ret_uri, PATH_MAX + 64, "file:%s?immutable=1", path);
	return true;
}

/* The version that the table in the file says, touching nothing; -1: it says none. */
static int64_t version_within(const char *path)
{
	sqlite3 *sqlite = NULL;
	sqlite3_stmt *statement = NULL;
	char uri[PATH_MAX + 64];
	int64_t version = -1;

	if (immutable_uri(path, uri) &&
	    sqlite3_open_v2(uri, &sqlite,
			    SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
			    NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(sqlite, "SELECT version FROM meta", -1, &statement, NULL) ==
		    SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		version = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(sqlite);
	return version;
}

static int look(const char *path, int known)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	unsigned char head[HEAD_BYTES];
	uint32_t version;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = pread(fd, head, sizeof(head), 0);
	if (n < 0) {
		n = -errno;
		close(fd);
		return (int)n;
	}
	close(fd);
	/*
	 * A file gets its name when it is complete, so an empty one was truncated. SQLite would open
	 * one of an unknown format read-only, and read texts in the encoding that stands there.
	 */
	if (n != HEAD_BYTES || memcmp(head, "SQLite format 3", 16) != 0 ||
	    big_endian(head + HEAD_APPLICATION) != APPLICATION_ID || head[HEAD_WRITE_FORMAT] > 2 ||
	    head[HEAD_READ_FORMAT] > 2 || big_endian(head + HEAD_ENCODING) != SQLITE_UTF8)
		return -EUCLEAN;
	version = big_endian(head + HEAD_VERSION);
	if (version > (uint32_t)known)
		return version_within(path) == version ? -EPROTONOSUPPORT : -EUCLEAN;
	return 0;
}

int file_look(const char *path)
{
	return look(path, STORE_SCHEMA_VERSION);
}

int file_set_aside(const char *dir, const char *name, int64_t now_s, char ret_name[STORE_NAME_MAX])
{
	static const char *const sides[] = {"-wal", "-shm", "-journal"};
	char from[PATH_MAX], to[PATH_MAX], aside[STORE_NAME_MAX];
	int n = snprintf(aside, sizeof(aside), "%.32s.damaged-%lld", name, (long long)now_s);

	if (n >= STORE_NAME_MAX || snprintf(from, sizeof(from), "%s/%s", dir, name) >= PATH_MAX ||
	    snprintf(to, sizeof(to), "%s/%s", dir, aside) >= PATH_MAX)
		return -ENAMETOOLONG;
	/* Never over one that was set aside in the same second. */
	for (int i = 1; i < 100 && !access(to, F_OK); i++) {
		snprintf(aside, sizeof(aside), "%.32s.damaged-%lld.%d", name, (long long)now_s, i);
		snprintf(to, sizeof(to), "%s/%s", dir, aside);
	}
	if (rename(from, to))
		return -errno;
	strcpy(ret_name, aside);
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
		if (snprintf(from, sizeof(from), "%s/%s%s", dir, name, sides[i]) < PATH_MAX &&
		    snprintf(to, sizeof(to), "%s/%s%s", dir, aside, sides[i]) < PATH_MAX)
			(void)rename(from, to); /* there may be none */
	}
	return 0;
}

int db_damaged(struct db *db)
{
	db->damaged = true;
	return -EUCLEAN;
}

int db_error(struct db *db, int code)
{
	int system = db->sqlite ? sqlite3_system_errno(db->sqlite) : 0;

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* our statements are right: a table or column is missing */
	case SQLITE_SCHEMA:
	case SQLITE_FORMAT:
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT: /* an index that does not fit its table */
	case SQLITE_TOOBIG:
		return db_damaged(db);
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_INTERRUPT:
		return -ETIME;
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_SHORT_READ)
			return db_damaged(db);
		return system > 0 ? -system : -EIO;
	case SQLITE_CANTOPEN:
		return system > 0 ? -system : -ENOENT;
	default:
		return -EIO;
	}
}

int db_run(struct db *db, const char *sql)
{
	return db_error(db, sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

int db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret_statement)
{
	sqlite3_stmt *statement;
	int code;

	for (size_t i = 0; i < db->nr_prepared; i++) {
		if (db->prepared[i].sql != sql)
			continue;
		statement = db->prepared[i].statement;
		sqlite3_reset(statement);
		sqlite3_clear_bindings(statement);
		*ret_statement = statement;
		return 0;
	}
	if (db->nr_prepared == DB_STATEMENTS)
		return -ENOBUFS;
	code = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
	if (code != SQLITE_OK)
		return db_error(db, code);
	db->prepared[db->nr_prepared].sql = sql;
	db->prepared[db->nr_prepared++].statement = statement;
	*ret_statement = statement;
	return 0;
}

int db_step(struct db *db, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement), err;

	if (code == SQLITE_ROW)
		return 1;
	err = db_error(db, code);
	sqlite3_reset(statement);
	return err;
}

static int64_t ask_number(struct db *db, const char *sql, int64_t otherwise)
{
	sqlite3_stmt *statement = NULL;
	int64_t number = otherwise;

	if (sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

/* Runs those sections of schema.sql that lead this kind beyond a version. */
static int run_sections(struct db *db, const char *kind, int version)
{
	const char *at = strstr(db->schema->sql, SECTION);

	while (at) {
		const char *next = strstr(at + 1, SECTION), *body = strchr(at, '\n');
		const char *name = at + strlen(SECTION);
		size_t len = strlen(kind);
		char *section;
		int err;

		if (!strncmp(name, kind, len) && name[len] == ' ' &&
		    strtol(name + len, NULL, 10) > version) {
			section = strndup(body, next ? (size_t)(next - body) : strlen(body));
			if (!section)
				return -ENOMEM;
			err = db_run(db, section);
			free(section);
			if (err)
				return err;
		}
		at = next;
	}
	return 0;
}

/* From the version that a file has to ours, all or nothing. */
static int migrate(struct db *db, int64_t version)
{
	char sql[128];
	int err = db_run(db, "BEGIN IMMEDIATE");

	if (err)
		return err;
	err = run_sections(db, tiers[db->tier].kind, (int)version);
	snprintf(sql, sizeof(sql),
		 "UPDATE meta SET version = %d; PRAGMA user_version = %d; PRAGMA application_id = "
		 "%d",
		 db->schema->version, db->schema->version, APPLICATION_ID);
	if (!err)
		err = db_run(db, sql);
	if (!err)
		err = db_run(db, "COMMIT");
	if (err) {
		db_run(db, "ROLLBACK");
		return err;
	}
	/* So that the version stands in the file itself, where file_look finds it. */
	return version ? db_run(db, "PRAGMA wal_checkpoint(TRUNCATE)") : 0;
}

static int connect(const char *path, int flags, struct db *db)
{
	int code = sqlite3_open_v2(path, &db->sqlite, flags | SQLITE_OPEN_NOMUTEX, NULL);

	if (code != SQLITE_OK)
		return db->sqlite ? db_error(db, code) : -ENOMEM;
	sqlite3_extended_result_codes(db->sqlite, 1);
	sqlite3_busy_timeout(db->sqlite, 100);
	sqlite3_limit(db->sqlite, SQLITE_LIMIT_LENGTH, 1 << 20);
	sqlite3_limit(db->sqlite, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return db_run(db, pragmas);
}

/* A complete file appears under its name at once, so a kill leaves none that is half made. */
static int create(const char *dir, const struct db *like, const char *path)
{
	struct db db = {.tier = like->tier, .schema = like->schema};
	char made[PATH_MAX];
	int fd, err;

	if (snprintf(made, sizeof(made), "%s/%s.new", dir, like->name) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (unlink(made) && errno != ENOENT)
		return -errno;
	fd = open(made, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	close(fd);
	err = connect(made, SQLITE_OPEN_READWRITE, &db);
	if (!err)
		err = db_run(&db, "PRAGMA journal_mode = MEMORY");
	if (!err)
		err = migrate(&db, 0);
	if (!err)
		err = db_run(&db, "PRAGMA journal_mode = WAL");
	sqlite3_close(db.sqlite);
	/* never over a file that appeared meanwhile */
	if (!err && renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE))
		err = -errno;
	if (err)
		unlink(made);
	return err;
}

static int connect_and_ask(const char *path, int flags, struct db *db, int64_t *ret_version)
{
	int err = connect(path, flags, db);
	int64_t version = err ? -1 : ask_number(db, "PRAGMA user_version", -1);

	if (!err && version < 0)
		err = db_error(db, sqlite3_extended_errcode(db->sqlite)) ?: db_damaged(db);
	if (!err)
		*ret_version = version;
	return err;
}

static bool disk_is_read_only(const char *path)
{
	return access(path, W_OK) && errno == EROFS;
}

/* The log's index cannot be made on a disk that is read-only; but there nobody writes either. */
static int connect_read_only(const char *path, struct db *db, int64_t *ret_version)
{
	char uri[PATH_MAX + 64];
	int err = connect_and_ask(path, SQLITE_OPEN_READONLY, db, ret_version);

	if (!err || !disk_is_read_only(path) || !immutable_uri(path, uri))
		return err;
	sqlite3_close(db->sqlite);
	db->sqlite = NULL;
	db->damaged = false;
	return connect_and_ask(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, db, ret_version);
}

/* -ESTALE: of an earlier version, to be opened for writing first. */
static int prepare_file(const char *dir, struct db *db, const char *path, enum db_mode mode)
{
	int64_t version = 0;
	int err = look(path, db->schema->version);

	if (err == -ENOENT && mode == DB_WRITE) {
		err = create(dir, db, path);
		if (err == -EUCLEAN) /* nothing is there yet that could be damaged */
			err = -EIO;
	}
	if (err)
		return err;
	if (mode == DB_READ)
		err = connect_read_only(path, db, &version);
	else if (disk_is_read_only(path))
		err = -EROFS;
	else
		err = connect_and_ask(path, SQLITE_OPEN_READWRITE, db, &version);
	if (err)
		return err;
	if (version > db->schema->version)
		return -EPROTONOSUPPORT;
	if (mode == DB_READ)
		return version == db->schema->version ? 0 : -ESTALE;
	err = db_run(db, "PRAGMA journal_mode = WAL");
	if (!err && version < db->schema->version)
		err = migrate(db, version);
	return err;
}

int db_open(const char *dir, enum tier tier, int64_t time_s, enum db_mode mode, struct db **ret_db)
{
	return db_open_as(dir, tier, time_s, mode, &own_schema, ret_db);
}

int db_open_as(const char *dir, enum tier tier, int64_t time_s, enum db_mode mode,
	       const struct schema *schema, struct db **ret_db)
{
	struct db *db = calloc(1, sizeof(*db));
	char path[PATH_MAX];
	int err;

	if (!db)
		return -ENOMEM;
	db->schema = schema;
	db->tier = tier;
	db->begin_s = tier_begin(tier, time_s);
	tier_file_name(tier, time_s, db->name);
	if (snprintf(path, sizeof(path), "%s/%s", dir, db->name) >= PATH_MAX)
		err = -ENAMETOOLONG;
	else
		err = prepare_file(dir, db, path, mode);
	if (err == -ESTALE) {
		struct db *migrated;

		db_close(db);
		err = db_open_as(dir, tier, time_s, DB_WRITE, schema, &migrated);
		if (err)
			return err;
		db_close(migrated);
		return db_open_as(dir, tier, time_s, DB_READ, schema, ret_db);
	}
	if (err) {
		db_close(db);
		return err;
	}
	*ret_db = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < db->nr_prepared; i++)
		sqlite3_finalize(db->prepared[i].statement);
	sqlite3_close(db->sqlite);
	free(db);
}

void db_seal(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < db->nr_prepared; i++)
		sqlite3_finalize(db->prepared[i].statement);
	db->nr_prepared = 0;
	(void)db_run(db, "PRAGMA journal_mode = DELETE"); /* somebody may be reading: then not */
	db_close(db);
}

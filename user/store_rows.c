// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Answers made of rows: closed connections, errors, events. Rows of one file come sorted from
 * SQLite; files follow each other in time, or, sorted by something else, are merged row by row.
 *
 * What a question may cost is bounded: SQLite's steps are counted over all files.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_private.h"
#include "store_query.h"

#define NS_MS 1000000ll
#define STEPS_AT_ONCE 100000 /* of SQLite's machine, between two looks at the budget */
#define BUDGET 600           /* so many of these: about half a second */
#define KEY_DAY_SHIFT 40     /* key = day << 40 | id */
#define LATE_S 60            /* a row is in the file of its interval, which ends after it */

/* the labels that the search means, looked for once and not for each row */
#define FOUND                                                                                      \
	"WITH found AS MATERIALIZED (SELECT id FROM label WHERE ?9 IS NOT NULL AND "               \
	"instr(lower(text), lower(?9)) > 0) "
#define WHERE(time, error)                                                                         \
	" WHERE " time " >= ?1 AND " time " < ?2"                                                  \
	" AND (?3 IS NULL OR server = ?3) AND (?4 IS NULL OR channel = ?4)"                        \
	" AND (?5 IS NULL OR user = ?5) AND (?6 IS NULL OR " error " = ?6)"                        \
	" AND (?7 IS NULL OR id > ?7) AND (?8 IS NULL OR id < ?8)"                                 \
	" AND (?9 IS NULL OR server IN found OR channel IN found OR user IN found"

#define CONNECTION(by)                                                                             \
	FOUND "SELECT " by " AS weight, " CONNECTION_COLUMNS                                       \
	      " FROM connection" WHERE("closed_ms", "error") ") ORDER BY weight "
#define CONNECTION_COLUMNS                                                                         \
	"id, opened_ms, closed_ms, server, channel, user, received, sent, bytes_received, "        \
	"bytes_sent, latency_count, latency_avg_ns, latency_max_ns, code, initiator, cause, "      \
	"violation, error, resync"

#define LARGEST(by) CONNECTION(by) "DESC LIMIT ?10"
#define SMALLEST(by) CONNECTION(by) "LIMIT ?10"
static const char *const connection_sql[NR_ROWS_SORTS][2] = {
	[ROWS_BY_TIME] = {LARGEST("id"), SMALLEST("id")},
	[ROWS_BY_DURATION] = {LARGEST("closed_ms - opened_ms"), SMALLEST("closed_ms - opened_ms")},
	[ROWS_BY_MESSAGES] = {LARGEST("received + sent"), SMALLEST("received + sent")},
	[ROWS_BY_BYTES] = {LARGEST("bytes_received + bytes_sent"),
			   SMALLEST("bytes_received + bytes_sent")},
	[ROWS_BY_LATENCY] = {LARGEST("coalesce(latency_avg_ns, -1)"),
			     SMALLEST("coalesce(latency_avg_ns, -1)")},
};
static const char connection_count[] = FOUND
	"SELECT count(*) FROM connection" WHERE("closed_ms", "error") ")";

#define ERROR_COLUMNS                                                                              \
	"id, at_ms, server, channel, user, type, code, initiator, cause, status, message"
/* the search looks into the message too */
#define ERROR_WHERE                                                                                \
	WHERE("at_ms", "type") " OR (?9 IS NOT NULL AND instr(lower(message), lower(?9)) > 0))"
#define ERRORS                                                                                     \
	FOUND "SELECT id AS weight, " ERROR_COLUMNS " FROM error" ERROR_WHERE " ORDER BY weight "
static const char *const error_sql[2] = {ERRORS "DESC LIMIT ?10", ERRORS "LIMIT ?10"};
static const char error_count[] = FOUND "SELECT count(*) FROM error" ERROR_WHERE;

struct request {
	struct store *store;
	const struct rows_query *query;
	const char *rows_sql, *count_sql;
	int budget;
	/* The row under the statement, to whoever asked. */
	int (*emit)(struct request *request, struct db *db, sqlite3_stmt *row);
	int (*connection)(const struct closed_connection *connection, void *ctx);
	int (*error)(const struct error_entry *error, void *ctx);
	void *ctx;
	size_t skip, left; /* of offset and limit */
};

/* A file with a row at hand, or none any more. */
struct cursor {
	struct db *db;
	sqlite3_stmt *row;
	int64_t weight, id;
};

static int spend(void *ctx)
{
	struct request *request = ctx;

	return --request->budget < 0;
}

static void bind_label(struct db *db, sqlite3_stmt *statement, int at, const char *text, int *err)
{
	int64_t id;
	int found;

	if (*err || !text)
		return;
	found = table_label_find(db, text, &id);
	if (found == -ENOENT) /* no row has it */
		id = -1;
	else if (found)
		*err = found;
	if (!*err)
		sqlite3_bind_int64(statement, at, id);
}

static int bind_query(const struct request *request, struct db *db, sqlite3_stmt *statement)
{
	const struct rows_query *query = request->query;
	int64_t day = db->begin_s / 86400, after_day = (int64_t)(query->after_key >> KEY_DAY_SHIFT);
	int err = 0;

	sqlite3_bind_int64(statement, 1, query->from_s * 1000);
	sqlite3_bind_int64(statement, 2, query->to_s * 1000);
	bind_label(db, statement, 3, query->filter.server, &err);
	bind_label(db, statement, 4, query->filter.channel, &err);
	bind_label(db, statement, 5, query->filter.user, &err);
	if (query->error >= 0)
		sqlite3_bind_int(statement, 6, query->error);
	if (query->after_key && day == after_day)
		sqlite3_bind_int64(statement, query->ascending ? 7 : 8,
				   (int64_t)(query->after_key & ((1ull << KEY_DAY_SHIFT) - 1)));
	if (query->search && *query->search)
		sqlite3_bind_text(statement, 9, query->search, -1, SQLITE_STATIC);
	return err;
}

static uint64_t key_of(const struct db *db, int64_t id)
{
	return (uint64_t)(db->begin_s / 86400) << KEY_DAY_SHIFT | (uint64_t)id;
}

static int emit(struct request *request, struct cursor *cursor)
{
	if (request->skip) {
		request->skip--;
		return 0;
	}
	request->left--;
	return request->emit(request, cursor->db, cursor->row);
}

/* 1: a row is at hand; 0: no more. */
static int advance(struct cursor *cursor)
{
	int err = db_step(cursor->db, cursor->row);

	if (err == 1) {
		cursor->weight = sqlite3_column_int64(cursor->row, 0);
		cursor->id = sqlite3_column_int64(cursor->row, 1);
	}
	return err;
}

static int open_cursor(struct request *request, int64_t begin_s, struct cursor *ret_cursor)
{
	struct cursor cursor = {0};
	size_t most = request->skip + request->left;
	int err = db_open(request->store->dir, TIER_ROWS, begin_s, DB_READ, &cursor.db);

	if (err)
		return err;
	sqlite3_progress_handler(cursor.db->sqlite, STEPS_AT_ONCE, spend, request);
	err = db_prepare(cursor.db, request->rows_sql, &cursor.row);
	if (!err)
		err = bind_query(request, cursor.db, cursor.row);
	if (err) {
		db_close(cursor.db);
		return err;
	}
	sqlite3_bind_int64(cursor.row, 10, most > INT32_MAX ? INT32_MAX : (int64_t)most);
	*ret_cursor = cursor;
	return 0;
}

/* Files that may have rows of the span, oldest first. */
static size_t find_files(const struct request *request, int64_t *ret_begins)
{
	const struct store *store = request->store;
	size_t nr = 0;

	for (size_t i = 0; i < store->nr_files; i++) {
		const struct file_name *name = &store->files[i].name;

		if (name->tier == TIER_ROWS && name->role == FILE_DATABASE &&
		    name->end_s + LATE_S > request->query->from_s &&
		    name->begin_s - LATE_S < request->query->to_s)
			ret_begins[nr++] = name->begin_s;
	}
	return nr;
}

static int survive(struct request *request, int err, int64_t begin_s)
{
	if (err == -EUCLEAN) {
		(void)store_damaged(request->store, TIER_ROWS, begin_s,
				    request->store->state.last_s);
		return 0;
	}
	return err == -ENOENT ? 0 : err;
}

static int one_after_another(struct request *request, const int64_t *begins, size_t nr)
{
	const struct rows_query *query = request->query;
	int64_t after_day = (int64_t)(query->after_key >> KEY_DAY_SHIFT);

	for (size_t i = 0; i < nr && request->left; i++) {
		int64_t begin_s = begins[query->ascending ? i : nr - 1 - i], day = begin_s / 86400;
		struct cursor cursor;
		int err;

		if (query->after_key && (query->ascending ? day < after_day : day > after_day))
			continue;
		err = open_cursor(request, begin_s, &cursor);
		if (!err) {
			while (request->left && (err = advance(&cursor)) == 1) {
				err = emit(request, &cursor);
				if (err)
					break;
			}
			db_close(cursor.db);
		}
		err = survive(request, err, begin_s);
		if (err)
			return err;
	}
	return 0;
}

static struct cursor *best(struct cursor *cursors, size_t nr, bool ascending)
{
	struct cursor *found = NULL;

	for (size_t i = 0; i < nr; i++) {
		if (!cursors[i].db)
			continue;
		if (!found || (ascending ? cursors[i].weight < found->weight
					 : cursors[i].weight > found->weight))
			found = &cursors[i];
	}
	return found;
}

static int merged(struct request *request, const int64_t *begins, size_t nr)
{
	struct cursor *cursors = calloc(nr ? nr : 1, sizeof(*cursors)), *next;
	int err = cursors ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < nr; i++) {
		err = open_cursor(request, begins[i], &cursors[i]);
		if (!err) {
			err = advance(&cursors[i]);
			if (err != 1) {
				db_close(cursors[i].db);
				cursors[i].db = NULL;
			} else {
				err = 0;
			}
		}
		err = survive(request, err, begins[i]);
	}
	while (!err && request->left && (next = best(cursors, nr, request->query->ascending))) {
		int64_t begin_s = next->db->begin_s;

		err = emit(request, next);
		if (err)
			break;
		err = advance(next);
		if (err == 1) {
			err = 0;
			continue;
		}
		db_close(next->db);
		next->db = NULL;
		err = survive(request, err, begin_s);
	}
	for (size_t i = 0; cursors && i < nr; i++)
		db_close(cursors[i].db);
	free(cursors);
	return err;
}

static int count_rows(struct request *request, const int64_t *begins, size_t nr, size_t *ret_nr)
{
	struct rows_query all = *request->query;
	struct request counting = *request;
	size_t sum = 0;

	all.after_key = 0;
	counting.query = &all;
	for (size_t i = 0; i < nr; i++) {
		sqlite3_stmt *count;
		struct db *db;
		int err = db_open(request->store->dir, TIER_ROWS, begins[i], DB_READ, &db);

		if (!err) {
			sqlite3_progress_handler(db->sqlite, STEPS_AT_ONCE, spend, &counting);
			err = db_prepare(db, request->count_sql, &count);
			if (!err)
				err = bind_query(&counting, db, count);
			if (!err)
				err = db_step(db, count);
			if (err == 1) {
				sum += (size_t)sqlite3_column_int64(count, 0);
				err = 0;
			}
			db_close(db);
		}
		err = survive(request, err, begins[i]);
		if (err)
			return err;
	}
	*ret_nr = sum;
	return 0;
}

static int answer(struct request *request, size_t *ret_nr)
{
	const struct rows_query *query = request->query;
	int64_t *begins;
	size_t nr;
	int err;

	if (query->from_s < 0 || query->from_s >= query->to_s || query->to_s > STORE_TIME_MAX)
		return -EINVAL;
	if (query->sort != ROWS_BY_TIME &&
	    (query->offset > STORE_SORTED_MAX || query->limit > STORE_SORTED_MAX - query->offset))
		return -E2BIG;
	err = store_list(request->store);
	if (err)
		return err;
	request->skip = query->offset;
	request->left = query->limit;
	request->budget = BUDGET;
	begins = calloc(request->store->nr_files + 1, sizeof(*begins));
	if (!begins)
		return -ENOMEM;
	nr = find_files(request, begins);
	if (ret_nr)
		err = count_rows(request, begins, nr, ret_nr);
	if (!err)
		err = query->sort == ROWS_BY_TIME ? one_after_another(request, begins, nr)
						  : merged(request, begins, nr);
	free(begins);
	return err;
}

/* NULL is "not known". Values of enums are checked: they index tables of names. */
static bool get_enum(sqlite3_stmt *row, int column, int nr, int *ret_value)
{
	int64_t value = sqlite3_column_int64(row, column);

	if (sqlite3_column_type(row, column) == SQLITE_NULL || value < 0 || value >= nr)
		return false;
	*ret_value = (int)value;
	return true;
}

struct three_labels {
	char text[3][STORE_TEXT_SIZE];
};

static int get_labels(struct db *db, sqlite3_stmt *row, int column, struct three_labels *ret_labels)
{
	for (int i = 0; i < 3; i++) {
		int err = table_label_text(db, sqlite3_column_int64(row, column + i),
					   ret_labels->text[i], STORE_TEXT_SIZE);

		if (err)
			return err;
	}
	return 0;
}

static int emit_connection(struct request *request, struct db *db, sqlite3_stmt *row)
{
	struct closed_connection c = {
		.key = key_of(db, sqlite3_column_int64(row, 1)),
		.opened_ns = sqlite3_column_int64(row, 2) * NS_MS,
		.closed_ns = sqlite3_column_int64(row, 3) * NS_MS,
		.received = (uint64_t)sqlite3_column_int64(row, 7),
		.sent = (uint64_t)sqlite3_column_int64(row, 8),
		.bytes_received = (uint64_t)sqlite3_column_int64(row, 9),
		.bytes_sent = (uint64_t)sqlite3_column_int64(row, 10),
		.has_latency = sqlite3_column_type(row, 11) != SQLITE_NULL,
		.latency_count = (uint64_t)sqlite3_column_int64(row, 11),
		.latency_avg_ns = (uint64_t)sqlite3_column_int64(row, 12),
		.latency_max_ns = (uint64_t)sqlite3_column_int64(row, 13),
		.has_close = sqlite3_column_type(row, 14) != SQLITE_NULL,
		.code = (uint16_t)sqlite3_column_int64(row, 14),
		.resync = sqlite3_column_int64(row, 19) != 0,
	};
	struct three_labels labels;
	int initiator = 0, cause = 0, violation = 0, error = 0, err;

	err = get_labels(db, row, 4, &labels);
	if (err)
		return err;
	if ((c.has_close && !get_enum(row, 15, 2, &initiator)) ||
	    (!c.has_close && !get_enum(row, 16, NR_CAUSES, &cause)) ||
	    !get_enum(row, 17, NR_VIOLATIONS, &violation) ||
	    !get_enum(row, 18, NR_ERROR_TYPES, &error))
		return db_damaged(db);
	c.server = labels.text[0];
	c.channel = labels.text[1];
	c.user = labels.text[2];
	c.initiator = (enum initiator)initiator;
	c.cause = (enum cause)cause;
	c.violation = (enum violation)violation;
	c.error = (enum error_type)error;
	return request->connection(&c, request->ctx);
}

static int emit_error(struct request *request, struct db *db, sqlite3_stmt *row)
{
	struct error_entry e = {
		.key = key_of(db, sqlite3_column_int64(row, 1)),
		.at_ns = sqlite3_column_int64(row, 2) * NS_MS,
		.message = (const char *)sqlite3_column_text(row, 11),
		.has_code = sqlite3_column_type(row, 7) != SQLITE_NULL,
		.code = (uint16_t)sqlite3_column_int64(row, 7),
		.has_status = sqlite3_column_type(row, 10) != SQLITE_NULL,
		.status = (uint16_t)sqlite3_column_int64(row, 10),
	};
	struct three_labels labels;
	int type, initiator = 0, cause = 0, err;

	err = get_labels(db, row, 3, &labels);
	if (err)
		return err;
	if (!get_enum(row, 6, NR_ERROR_TYPES, &type) || !e.message)
		return db_damaged(db);
	e.has_initiator = get_enum(row, 8, 2, &initiator);
	e.has_cause = get_enum(row, 9, NR_CAUSES, &cause);
	e.type = (enum error_type)type;
	e.initiator = (enum initiator)initiator;
	e.cause = (enum cause)cause;
	e.server = labels.text[0];
	e.channel = labels.text[1];
	e.user = labels.text[2];
	return request->error(&e, request->ctx);
}

int store_connections(struct store *store, const struct rows_query *query,
		      int (*row)(const struct closed_connection *connection, void *ctx), void *ctx,
		      size_t *ret_nr)
{
	struct request request = {
		.store = store,
		.query = query,
		.emit = emit_connection,
		.connection = row,
		.ctx = ctx,
		.count_sql = connection_count,
	};

	if (query->sort >= NR_ROWS_SORTS)
		return -EINVAL;
	request.rows_sql = connection_sql[query->sort][query->ascending];
	return answer(&request, ret_nr);
}

int store_errors(struct store *store, const struct rows_query *query,
		 int (*row)(const struct error_entry *error, void *ctx), void *ctx, size_t *ret_nr)
{
	struct request request = {
		.store = store,
		.query = query,
		.emit = emit_error,
		.error = row,
		.ctx = ctx,
		.rows_sql = error_sql[query->ascending],
		.count_sql = error_count,
	};

	if (query->sort != ROWS_BY_TIME)
		return -EINVAL;
	return answer(&request, ret_nr);
}

static int events_of(struct store *store, int64_t begin_s, const int64_t span_ms[2], size_t *left,
		     int (*row)(const struct store_event *event, void *ctx), void *ctx)
{
	sqlite3_stmt *list;
	struct db *db;
	int err = db_open(store->dir, TIER_EVENTS, begin_s, DB_READ, &db);

	if (err)
		return err;
	err = db_prepare(db,
			 "SELECT id, at_ms, kind, server, text FROM event WHERE at_ms >= ?1 AND "
			 "at_ms < ?2 ORDER BY at_ms, id LIMIT ?3",
			 &list);
	if (!err) {
		sqlite3_bind_int64(list, 1, span_ms[0]);
		sqlite3_bind_int64(list, 2, span_ms[1]);
		sqlite3_bind_int64(list, 3, (int64_t)*left);
	}
	while (!err && (err = db_step(db, list)) == 1) {
		struct store_event event = {
			.key = key_of(db, sqlite3_column_int64(list, 0)),
			.at_ns = sqlite3_column_int64(list, 1) * NS_MS,
			.server = (const char *)sqlite3_column_text(list, 3),
			.text = (const char *)sqlite3_column_text(list, 4),
		};
		int kind;

		if (!get_enum(list, 2, NR_STORE_EVENTS, &kind) || !event.server || !event.text) {
			err = db_damaged(db);
			break;
		}
		event.kind = (enum store_event_kind)kind;
		--*left;
		err = row(&event, ctx);
	}
	db_close(db);
	return err;
}

int store_events(struct store *store, int64_t from_s, int64_t to_s, size_t limit,
		 int (*row)(const struct store_event *event, void *ctx), void *ctx)
{
	const int64_t span_ms[] = {from_s * 1000, to_s * 1000};
	size_t left = limit ? limit : INT32_MAX;
	int err;

	if (from_s < 0 || from_s >= to_s || to_s > STORE_TIME_MAX)
		return -EINVAL;
	err = store_list(store);
	for (size_t i = 0; !err && left && i < store->nr_files; i++) {
		struct file_name name = store->files[i].name;

		if (name.tier != TIER_EVENTS || name.role != FILE_DATABASE ||
		    name.end_s + LATE_S <= from_s || name.begin_s - LATE_S >= to_s)
			continue;
		err = events_of(store, name.begin_s, span_ms, &left, row, ctx);
		if (err == -EUCLEAN) {
			(void)store_damaged(store, TIER_EVENTS, name.begin_s, store->state.last_s);
			err = 0;
		}
	}
	return err;
}

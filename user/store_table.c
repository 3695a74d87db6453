// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Labels, series, intervals and points of one file. In: what they are. Out: rows. Texts come from
 * strangers and are bound, never part of a statement.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store_private.h"

int table_label_find(struct db *db, const char *text, int64_t *ret_id)
{
	sqlite3_stmt *find;
	int err;

	if (!*text) {
		*ret_id = 0;
		return 0;
	}
	err = db_prepare(db, "SELECT id FROM label WHERE text = ?1", &find);
	if (err)
		return err;
	sqlite3_bind_text(find, 1, text, -1, SQLITE_STATIC);
	err = db_step(db, find);
	if (err != 1)
		return err ? err : -ENOENT;
	*ret_id = sqlite3_column_int64(find, 0);
	sqlite3_reset(find);
	return 0;
}

int table_label(struct db *db, const char *text, int64_t *ret_id)
{
	sqlite3_stmt *add;
	int err = table_label_find(db, text, ret_id);

	if (err != -ENOENT)
		return err;
	err = db_prepare(db, "INSERT INTO label(text) VALUES (?1)", &add);
	if (err)
		return err;
	sqlite3_bind_text(add, 1, text, -1, SQLITE_STATIC);
	err = db_step(db, add);
	if (!err)
		*ret_id = sqlite3_last_insert_rowid(db->sqlite);
	return err;
}

int table_label_text(struct db *db, int64_t id, char *ret_text, size_t size)
{
	sqlite3_stmt *find;
	int err;

	*ret_text = '\0';
	if (!id)
		return 0;
	err = db_prepare(db, "SELECT text FROM label WHERE id = ?1", &find);
	if (err)
		return err;
	sqlite3_bind_int64(find, 1, id);
	err = db_step(db, find);
	if (err == 1) {
		const char *text = (const char *)sqlite3_column_text(find, 0);

		snprintf(ret_text, size, "%s", text ? text : "");
		sqlite3_reset(find);
		return 0;
	}
	return err ? err : db_damaged(db); /* every id has its text */
}

int table_series(struct db *db, enum series_kind kind, int64_t server, int64_t label,
		 int64_t *ret_id)
{
	sqlite3_stmt *statement;
	int err;

	err = db_prepare(db, "SELECT id FROM series WHERE kind = ?1 AND server = ?2 AND label = ?3",
			 &statement);
	if (err)
		return err;
	sqlite3_bind_int(statement, 1, (int)kind);
	sqlite3_bind_int64(statement, 2, server);
	sqlite3_bind_int64(statement, 3, label);
	err = db_step(db, statement);
	if (err == 1) {
		*ret_id = sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
		return *ret_id > 0 && *ret_id <= STORE_SERIES_MASK ? 0 : db_damaged(db);
	}
	if (err)
		return err;
	err = db_prepare(db,
			 "INSERT INTO series(kind, server, label) SELECT ?1, ?2, ?3 "
			 "WHERE (SELECT coalesce(max(id), 0) FROM series) < ?4",
			 &statement);
	if (err)
		return err;
	sqlite3_bind_int(statement, 1, (int)kind);
	sqlite3_bind_int64(statement, 2, server);
	sqlite3_bind_int64(statement, 3, label);
	/* some are left for the "other" of each server */
	sqlite3_bind_int64(statement, 4, STORE_SERIES_MASK - (kind == SERIES_CHANNEL ? 1024 : 0));
	err = db_step(db, statement);
	if (err)
		return err;
	if (!sqlite3_changes(db->sqlite))
		return -ENOSPC;
	*ret_id = sqlite3_last_insert_rowid(db->sqlite);
	return 0;
}

int table_has_interval(struct db *db, int64_t time_s)
{
	sqlite3_stmt *find;
	int err = db_prepare(db, "SELECT 1 FROM interval WHERE time = ?1", &find);

	if (err)
		return err;
	sqlite3_bind_int64(find, 1, time_s);
	err = db_step(db, find);
	if (err == 1)
		sqlite3_reset(find);
	return err;
}

int table_users(struct db *db, int64_t time_s, struct roster_entry ret_entries[ROSTER_MAX],
		size_t *ret_nr)
{
	sqlite3_stmt *find;
	int err = db_prepare(db, "SELECT users FROM interval WHERE time = ?1", &find);

	*ret_nr = 0;
	if (err)
		return err;
	sqlite3_bind_int64(find, 1, time_s);
	err = db_step(db, find);
	if (err != 1)
		return err;
	/* what cannot be read is nobody */
	if (roster_decode(sqlite3_column_blob(find, 0), (size_t)sqlite3_column_bytes(find, 0),
			  ret_entries, ret_nr))
		*ret_nr = 0;
	sqlite3_reset(find);
	return 0;
}

int table_put_interval(struct db *db, int64_t time_s, int64_t covered_ms, const void *users,
		       size_t len)
{
	sqlite3_stmt *put;
	int err = db_prepare(db,
			     "INSERT INTO interval(time, covered_ms, users) VALUES (?1, ?2, ?3) "
			     "ON CONFLICT(time) DO UPDATE SET covered_ms = covered_ms + ?2, "
			     "users = ?3",
			     &put);

	if (err)
		return err;
	sqlite3_bind_int64(put, 1, time_s);
	sqlite3_bind_int64(put, 2, covered_ms);
	if (len)
		sqlite3_bind_blob(put, 3, users, (int)len, SQLITE_STATIC);
	return db_step(db, put);
}

/* The blob of both; it is the later one that says how many are open. */
static int merge(struct db *db, int64_t id, const void *blob, size_t len, struct point *scratch,
		 uint64_t *damaged)
{
	struct point_gauge before = {0}, after = {0};
	uint8_t merged[POINT_BLOB_MAX];
	sqlite3_stmt *statement;
	int err = db_prepare(db, "SELECT data FROM point WHERE id = ?1", &statement);

	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, id);
	err = db_step(db, statement);
	if (err != 1)
		return err ? err : db_damaged(db);
	point_reset(scratch);
	if (point_add_blob(scratch, &before, sqlite3_column_blob(statement, 0),
			   (size_t)sqlite3_column_bytes(statement, 0)))
		++*damaged;
	sqlite3_reset(statement);
	err = point_add_blob(scratch, &after, blob, len);
	if (err)
		return err;
	scratch->counts.active = after.active;
	scratch->counts.peak = before.peak > after.peak ? before.peak : after.peak;
	len = point_encode(scratch, merged);
	err = db_prepare(db, "UPDATE point SET data = ?2 WHERE id = ?1", &statement);
	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_blob(statement, 2, merged, (int)len, SQLITE_STATIC);
	err = db_step(db, statement);
	sqlite3_clear_bindings(statement);
	return err;
}

int table_put_point(struct db *db, int64_t time_s, int64_t series, const void *blob, size_t len,
		    struct point *scratch, uint64_t *damaged)
{
	int64_t id = time_s << STORE_SERIES_BITS | series;
	sqlite3_stmt *put;
	int err = db_prepare(db, "INSERT OR IGNORE INTO point(id, data) VALUES (?1, ?2)", &put);

	if (err)
		return err;
	sqlite3_bind_int64(put, 1, id);
	sqlite3_bind_blob(put, 2, blob, (int)len, SQLITE_STATIC);
	err = db_step(db, put);
	if (err || sqlite3_changes(db->sqlite))
		return err;
	return merge(db, id, blob, len, scratch, damaged);
}

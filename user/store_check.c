// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * What is in the store, file by file, and whether it is whole. In: the directory. Out: one line's
 * worth for each file. Changes nothing: what is found damaged is told, and set aside by the agent
 * when it comes across it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store_private.h"
#include "store_query.h"

static int64_t ask(struct db *db, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t number = -1;

	if (db_prepare(db, sql, &statement) || db_step(db, statement) != 1)
		return -1;
	number = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return number;
}

static int check_points(struct store *store, struct db *db, int64_t *ret_bad)
{
	struct roster_entry entries[ROSTER_MAX];
	struct point_gauge gauge = {0};
	sqlite3_stmt *list;
	int64_t bad = 0;
	size_t nr;
	int err = db_prepare(db, "SELECT data FROM point", &list);

	if (err)
		return err;
	point_reset(store->scratch);
	while ((err = db_step(db, list)) == 1)
		bad += point_add_blob(store->scratch, &gauge, sqlite3_column_blob(list, 0),
				      (size_t)sqlite3_column_bytes(list, 0)) != 0;
	if (!err)
		err = db_prepare(db, "SELECT users FROM interval WHERE users IS NOT NULL", &list);
	while (!err && (err = db_step(db, list)) == 1) {
		bad += roster_decode(sqlite3_column_blob(list, 0),
				     (size_t)sqlite3_column_bytes(list, 0), entries, &nr) != 0;
		err = 0;
	}
	*ret_bad = bad;
	return err;
}

/* Every page, every index against its table, every blob. */
static const char *check(struct store *store, struct db *db, struct store_file_info *info)
{
	sqlite3_stmt *statement;
	bool whole = false;

	if (!db_prepare(db, "PRAGMA integrity_check(1)", &statement) &&
	    db_step(db, statement) == 1) {
		whole = !strcmp((const char *)sqlite3_column_text(statement, 0), "ok");
		sqlite3_reset(statement);
	}
	if (!whole)
		return "damaged: the database is not whole";
	if (db->tier < NR_POINT_TIERS && check_points(store, db, &info->bad_points))
		return "damaged: cannot be read";
	return info->bad_points ? "damaged: some points are not what was written" : NULL;
}

static void look(struct store *store, const struct found_file *found, bool checks,
		 struct store_file_info *info)
{
	struct db *db;
	int err = db_open(store->dir, found->name.tier, found->name.begin_s, DB_READ, &db);

	if (err) {
		info->damaged = err == -EUCLEAN;
		info->problem = err == -EUCLEAN           ? "damaged: no database of the store's"
				: err == -EPROTONOSUPPORT ? "written by a newer wsvitals"
							  : strerror(-err);
		return;
	}
	if (found->name.tier < NR_POINT_TIERS) {
		info->intervals = ask(db, "SELECT count(*) FROM interval");
		info->points = ask(db, "SELECT count(*) FROM point");
		info->series = ask(db, "SELECT count(*) FROM series");
	} else if (found->name.tier == TIER_ROWS) {
		info->rows = ask(db, "SELECT (SELECT count(*) FROM connection) + "
				     "(SELECT count(*) FROM error)");
	} else {
		info->rows = ask(db, "SELECT count(*) FROM event");
	}
	if (checks)
		info->problem = check(store, db, info);
	else if (db->damaged)
		info->problem = "damaged: cannot be read";
	info->damaged = info->problem != NULL;
	db_close(db);
}

int store_files(struct store *store, bool check,
		int (*file)(const struct store_file_info *info, void *ctx), void *ctx)
{
	int err = store_list(store);

	for (size_t i = 0; !err && i < store->nr_files; i++) {
		const struct found_file *found = &store->files[i];
		struct store_file_info info = {
			.name = found->text,
			.tier = tiers[found->name.tier].key,
			.bytes = found->bytes,
		};

		if (found->name.role == FILE_SIDE)
			continue;
		if (found->name.role == FILE_DAMAGED) {
			info.damaged = true;
			info.problem = "set aside";
		} else {
			for (size_t k = 0; k < store->nr_files; k++)
				if (store->files[k].name.role == FILE_SIDE &&
				    store->files[k].name.tier == found->name.tier &&
				    store->files[k].name.begin_s == found->name.begin_s)
					info.bytes += store->files[k].bytes;
			look(store, found, check, &info);
		}
		err = file(&info, ctx);
	}
	return err;
}

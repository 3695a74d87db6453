// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* See store_cover.h: coarse inside, finer at the edges. */
#include "store_cover.h"

#include <errno.h>

/* Any file of this tier that begins before that time. */
bool cover_has_older(const struct store *store, enum tier tier, int64_t time_s)
{
	for (size_t i = 0; i < store->nr_files; i++)
		if (store->files[i].name.tier == tier &&
		    store->files[i].name.role == FILE_DATABASE &&
		    store->files[i].name.begin_s < time_s)
			return true;
	return false;
}

int64_t cover_oldest(const struct store *store, enum tier tier)
{
	int64_t oldest = INT64_MAX;

	for (size_t i = 0; i < store->nr_files; i++)
		if (store->files[i].name.tier <= tier &&
		    store->files[i].name.role == FILE_DATABASE &&
		    store->files[i].name.begin_s < oldest)
			oldest = store->files[i].name.begin_s;
	return oldest;
}

static int read_intervals(struct cover *cover, struct db *db, int64_t from_s, int64_t to_s,
			  int64_t *last_end_s)
{
	sqlite3_stmt *list;
	int err = cover->file(cover, db);

	if (!err)
		err = db_prepare(db,
				 "SELECT time, covered_ms FROM interval WHERE time >= ?1 AND "
				 "time < ?2 ORDER BY time",
				 &list);
	if (err)
		return err;
	sqlite3_bind_int64(list, 1, from_s);
	sqlite3_bind_int64(list, 2, to_s);
	while ((err = db_step(db, list)) == 1) {
		int64_t time_s = sqlite3_column_int64(list, 0);

		err = cover->interval(cover, db, time_s, sqlite3_column_int64(list, 1));
		if (err) {
			sqlite3_reset(list);
			return err;
		}
		*last_end_s = time_s + tiers[db->tier].step_s;
	}
	return err;
}

/* One tier alone. *last_end_s: where the last interval that was found ends. */
static int read_tier(struct cover *cover, enum tier tier, int64_t from_s, int64_t to_s,
		     int64_t *last_end_s)
{
	struct store *store = cover->store;

	for (size_t i = 0; i < store->nr_files; i++) {
		struct file_name name = store->files[i].name;
		struct db *db;
		int err;

		if (name.tier != tier || name.role != FILE_DATABASE || name.end_s <= from_s ||
		    name.begin_s >= to_s)
			continue;
		err = db_open(store->dir, tier, name.begin_s, DB_READ, &db);
		if (!err) {
			err = read_intervals(cover, db, from_s, to_s, last_end_s);
			db_close(db);
		}
		if (err == -EUCLEAN) {
			(void)store_damaged(store, tier, name.begin_s, store->state.last_s);
			err = 0; /* the rest of the answer is still worth having */
		}
		if (err && err != -ENOENT) /* it may have gone since it was listed */
			return err;
	}
	return 0;
}

int cover_span(struct cover *cover, enum tier coarsest, int64_t from_s, int64_t to_s)
{
	int64_t step_s = tiers[coarsest].step_s;
	int64_t first_s = (from_s + step_s - 1) / step_s * step_s, last_end_s = first_s;
	int err;

	if (from_s >= to_s)
		return 0;
	if (coarsest == TIER_RAW)
		return read_tier(cover, TIER_RAW, from_s, to_s, &last_end_s);
	if (first_s > to_s)
		first_s = last_end_s = to_s;
	err = cover_span(cover, coarsest - 1, from_s, first_s);
	if (!err)
		err = read_tier(cover, coarsest, first_s, to_s - to_s % step_s, &last_end_s);
	return err ? err : cover_span(cover, coarsest - 1, last_end_s, to_s);
}

/* Widened so that no edge is lost where finer points are gone. */
void cover_widen(const struct store *store, int64_t *from_s, int64_t *to_s)
{
	*from_s -= *from_s % STORE_INTERVAL_S;
	*to_s = (*to_s + STORE_INTERVAL_S - 1) / STORE_INTERVAL_S * STORE_INTERVAL_S;
	for (enum tier tier = TIER_RAW; tier < NR_POINT_TIERS - 1; tier++) {
		int64_t oldest = cover_oldest(store, tier), step_s = tiers[tier + 1].step_s;

		if (*from_s < oldest)
			*from_s -= *from_s % step_s;
		if (*to_s <= oldest)
			*to_s = (*to_s + step_s - 1) / step_s * step_s;
	}
}

int cover_check(struct store *store, int64_t from_s, int64_t to_s)
{
	return from_s < 0 || from_s >= to_s || to_s > STORE_TIME_MAX ? -EINVAL : store_list(store);
}

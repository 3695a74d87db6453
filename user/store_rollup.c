// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * From points of ten seconds to those of five minutes, from these to hours. In: a window that is
 * over. Out: one interval of the coarser tier, written once and never again.
 *
 * One series at a time, so that memory does not grow with their number. What a series did is added
 * up; a series that is absent from the last interval has no connection any more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_private.h"

#define WINDOWS_A_CALL 3 /* behind after a damaged file: catches up, but each write stays short */
#define TIMES_MAX 64     /* intervals in a window: 30, 12 */
#define ROSTER_SUM 4096  /* users in a window; beyond: other */

struct window {
	struct db *from, *to;
	int64_t begin_s, end_s;
	int64_t times[TIMES_MAX];
	size_t nr_times;
	int64_t covered_ms;
};

static int read_times(struct window *window)
{
	sqlite3_stmt *list;
	int err = db_prepare(window->from,
			     "SELECT time, covered_ms FROM interval WHERE time >= ?1 AND time < ?2 "
			     "ORDER BY time",
			     &list);

	if (err)
		return err;
	sqlite3_bind_int64(list, 1, window->begin_s);
	sqlite3_bind_int64(list, 2, window->end_s);
	while ((err = db_step(window->from, list)) == 1) {
		if (window->nr_times == TIMES_MAX) {
			sqlite3_reset(list);
			return db_damaged(
				window->from); /* more than there are multiples of the step */
		}
		window->times[window->nr_times++] = sqlite3_column_int64(list, 0);
		window->covered_ms += sqlite3_column_int64(list, 1);
	}
	return err;
}

/* What one series did in the window. */
static int sum_series(struct store *store, struct window *window, int64_t series)
{
	struct point *sum = store->scratch;
	sqlite3_stmt *find;
	int err;

	point_reset(sum);
	for (size_t i = 0; i < window->nr_times; i++) {
		struct point_gauge gauge = {0};

		err = db_prepare(window->from, "SELECT data FROM point WHERE id = ?1", &find);
		if (err)
			return err;
		sqlite3_bind_int64(find, 1, window->times[i] << STORE_SERIES_BITS | series);
		err = db_step(window->from, find);
		if (err == 1 && point_add_blob(sum, &gauge, sqlite3_column_blob(find, 0),
					       (size_t)sqlite3_column_bytes(find, 0)))
			store->state.damaged_points++;
		if (err == 1)
			sqlite3_reset(find);
		else if (err)
			return err;
		sum->counts.active = gauge.active;
		if (gauge.peak > sum->counts.peak)
			sum->counts.peak = gauge.peak;
	}
	return 0;
}

/* The same label in the other file. */
static int carry_label(struct window *window, int64_t from, int64_t *ret_to)
{
	char text[INTERVAL_TEXT_MAX + 1];
	int err = table_label_text(window->from, from, text, sizeof(text));

	return err ? err : table_label(window->to, text, ret_to);
}

static int carry_series(struct store *store, struct window *window, int64_t from, int kind,
			int64_t server, int64_t label)
{
	uint8_t blob[POINT_BLOB_MAX];
	int64_t series;
	int err = sum_series(store, window, from);

	if (err)
		return err;
	if (point_is_empty(store->scratch))
		return 0;
	err = carry_label(window, server, &server);
	if (!err)
		err = carry_label(window, label, &label);
	if (!err)
		err = table_series(window->to, (enum series_kind)kind, server, label, &series);
	if (err == -ENOSPC) {
		err = table_label(window->to, INTERVAL_OTHER, &label);
		if (!err)
			err = table_series(window->to, (enum series_kind)kind, server, label,
					   &series);
		if (err == -ENOSPC) {
			store->state.rows_lost++;
			return 0;
		}
	}
	if (err)
		return err;
	return table_put_point(window->to, window->begin_s, series, blob,
			       point_encode(store->scratch, blob), store->scratch,
			       &store->state.damaged_points);
}

static int carry_points(struct store *store, struct window *window)
{
	sqlite3_stmt *list;
	int err = db_prepare(window->from, "SELECT id, kind, server, label FROM series", &list);

	if (err)
		return err;
	while ((err = db_step(window->from, list)) == 1) {
		err = carry_series(store, window, sqlite3_column_int64(list, 0),
				   sqlite3_column_int(list, 1), sqlite3_column_int64(list, 2),
				   sqlite3_column_int64(list, 3));
		if (err) {
			sqlite3_reset(list);
			return err;
		}
	}
	return err;
}

static struct roster_entry *find_entry(struct roster_entry *entries, size_t nr, uint64_t label)
{
	for (size_t i = 0; i < nr; i++)
		if (entries[i].label == label)
			return &entries[i];
	return NULL;
}

static int sum_users(struct window *window, struct roster_entry *sum, size_t *ret_nr)
{
	struct roster_entry now[ROSTER_MAX];
	size_t nr_now, nr = 0;
	int64_t other = 0;
	int err = table_label_find(window->from, INTERVAL_OTHER, &other);

	if (err && err != -ENOENT)
		return err;
	for (size_t i = 0; i < window->nr_times; i++) {
		err = table_users(window->from, window->times[i], now, &nr_now);
		if (err)
			return err;
		for (size_t k = 0; k < nr; k++)
			sum[k].n.active = 0;
		for (size_t k = 0; k < nr_now; k++) {
			struct roster_entry *entry = find_entry(sum, nr, now[k].label);

			if (!entry && nr == ROSTER_SUM) /* the first one, where all others are */
				entry = find_entry(sum, nr, (uint64_t)other) ?: &sum[0];
			if (!entry) {
				entry = &sum[nr++];
				*entry = (struct roster_entry){.label = now[k].label};
			}
			now[k].n.active += entry->n.active;
			roster_add(&entry->n, &now[k].n);
		}
	}
	*ret_nr = roster_cut(sum, nr, (uint64_t)other);
	return 0;
}

static int carry_users(struct window *window)
{
	struct roster_entry *sum = calloc(ROSTER_SUM, sizeof(*sum));
	uint8_t blob[ROSTER_BLOB_MAX];
	size_t nr = 0, len = 0;
	int64_t label = 0;
	int err;

	if (!sum)
		return -ENOMEM;
	err = sum_users(window, sum, &nr);
	for (size_t i = 0; !err && i < nr; i++) {
		if (sum[i].label)
			err = carry_label(window, (int64_t)sum[i].label, &label);
		else /* more than the top, but the file has no "other" yet */
			err = table_label(window->to, INTERVAL_OTHER, &label);
		sum[i].label = (uint64_t)label;
	}
	if (!err && nr)
		len = roster_encode(sum, nr, blob);
	free(sum);
	return err ? err
		   : table_put_interval(window->to, window->begin_s, window->covered_ms, blob, len);
}

static int carry(struct store *store, struct window *window)
{
	int err = table_has_interval(window->to, window->begin_s);

	if (err)
		return err < 0 ? err : 0;
	err = db_run(window->to, "BEGIN IMMEDIATE");
	if (err)
		return err;
	err = read_times(window);
	if (!err)
		err = carry_points(store, window);
	if (!err)
		err = carry_users(window);
	if (!err)
		err = db_run(window->to, "COMMIT");
	if (err)
		db_run(window->to, "ROLLBACK");
	return err;
}

/*
 * The time of this tier that follows the last one written before now, in its newest two files; 0:
 * none. *ret_file: the time of the file that was looked into last.
 */
static int look_up_rolled(struct store *store, enum tier tier, int64_t now_s, int64_t *ret_time,
			  int64_t *ret_file)
{
	int64_t last = 0;

	*ret_file = now_s;
	for (int i = 0; i < 2 && !last; i++) {
		sqlite3_stmt *find;
		struct db *db;
		int err;

		if (i)
			*ret_file = tier_begin(tier, *ret_file) - 1;
		err = db_open(store->dir, tier, *ret_file, DB_READ, &db);
		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		err = db_prepare(db, "SELECT coalesce(max(time), 0) FROM interval WHERE time < ?1",
				 &find);
		if (!err) {
			sqlite3_bind_int64(find, 1, now_s);
			err = db_step(db, find);
		}
		if (err == 1)
			last = sqlite3_column_int64(find, 0);
		db_close(db);
		if (err < 0)
			return err;
	}
	*ret_time = last ? last + tiers[tier].step_s : 0;
	return 0;
}

/* The first interval of a tier from a time on, before limit_s; limit_s when there is none. */
static int find_first(struct store *store, enum tier tier, int64_t from_s, int64_t limit_s,
		      int64_t *ret_time, int64_t *ret_file)
{
	*ret_time = limit_s;
	for (size_t i = 0; i < store->nr_files; i++) {
		const struct file_name *name = &store->files[i].name;
		sqlite3_stmt *find;
		struct db *db;
		int err;

		if (name->tier != tier || name->role != FILE_DATABASE || name->end_s <= from_s ||
		    name->begin_s >= limit_s)
			continue;
		*ret_file = name->begin_s;
		err = db_open(store->dir, tier, name->begin_s, DB_READ, &db);
		if (err)
			return err;
		err = db_prepare(db,
				 "SELECT time FROM interval WHERE time >= ?1 ORDER BY time LIMIT 1",
				 &find);
		if (!err) {
			sqlite3_bind_int64(find, 1, from_s);
			err = db_step(db, find);
		}
		if (err == 1)
			*ret_time = sqlite3_column_int64(find, 0);
		db_close(db);
		if (err)
			return err < 0 ? err : 0;
	}
	return 0;
}

static int roll_window(struct store *store, enum tier tier, int64_t begin_s, enum tier *ret_damaged)
{
	struct window window = {.begin_s = begin_s, .end_s = begin_s + tiers[tier].step_s};
	struct db *own = NULL;
	int err;

	*ret_damaged = tier;
	err = store_writer(store, tier, begin_s, &window.to);
	if (err)
		return err;
	window.from = store->writing[tier - 1];
	if (!window.from || window.from->begin_s != tier_begin(tier - 1, begin_s)) {
		*ret_damaged = tier - 1;
		err = db_open(store->dir, tier - 1, begin_s, DB_READ, &own);
		if (err)
			return err;
		window.from = own;
	}
	err = carry(store, &window);
	*ret_damaged = window.from->damaged ? tier - 1 : tier;
	db_close(own);
	return err;
}

/* The next window of this tier, if it ends by limit_s, a multiple of the step. 1, 0, an error. */
static int roll_next(struct store *store, enum tier tier, int64_t limit_s, enum tier *ret_damaged,
		     int64_t *ret_file)
{
	int64_t *rolled_s = &store->rolled_s[tier], step_s = tiers[tier].step_s;
	int64_t first_s = limit_s;
	int err;

	if (*rolled_s + step_s > limit_s)
		return 0;
	*ret_damaged = tier - 1;
	err = find_first(store, tier - 1, *rolled_s, limit_s, &first_s, ret_file);
	if (err)
		return err;
	first_s -= first_s % step_s;
	if (first_s + step_s > limit_s) {
		*rolled_s = limit_s;
		return 0;
	}
	*ret_file = first_s;
	err = roll_window(store, tier, first_s, ret_damaged);
	if (err)
		return err;
	*rolled_s = first_s + step_s;
	return 1;
}

static int roll_tier(struct store *store, enum tier tier, int64_t limit_s, int64_t now_s)
{
	enum tier damaged = tier;
	int64_t file_s = now_s;
	int err = 1;

	if (store->rolled_s[tier] < 0)
		err = look_up_rolled(store, tier, now_s, &store->rolled_s[tier], &file_s) ?: 1;
	for (int i = 0; i < WINDOWS_A_CALL && err == 1; i++)
		err = roll_next(store, tier, limit_s, &damaged, &file_s);
	if (err == -EUCLEAN) /* again with the next interval */
		return store_damaged(store, damaged, file_s, now_s);
	return err < 0 ? err : 0;
}

int store_rollup(struct store *store, int64_t now_s)
{
	int64_t raw_end_s = store->state.last_s - store->state.last_s % tiers[TIER_5M].step_s;
	int64_t m5_end_s;
	int err;

	if (!store->state.last_s)
		return 0;
	err = roll_tier(store, TIER_5M, raw_end_s, now_s);
	m5_end_s = store->rolled_s[TIER_5M] - store->rolled_s[TIER_5M] % tiers[TIER_1H].step_s;
	if (!err && m5_end_s > 0)
		err = roll_tier(store, TIER_1H, m5_end_s, now_s);
	if (err && !store->state.reason[0])
		snprintf(store->state.reason, sizeof(store->state.reason), "cannot roll up: %s",
			 strerror(-err));
	return err;
}

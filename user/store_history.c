// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* Answers made of points over time: history, and totals of a span. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_cover.h"
#include "store_query.h"

#define MATCHES_MAX 256 /* series that one filter may stand for: a channel name of many servers */

struct feed {
	struct cover cover;
	const struct store_filter *filter;
	int64_t step_s; /* 0: one sum */
	int64_t time_s;
	bool any;
	int64_t covered_ms;
	struct point *sum;
	int64_t ids[MATCHES_MAX];
	size_t nr_ids;
	int64_t user;
	int (*point)(const struct history_point *point, void *ctx);
	void *ctx;
};

static const int64_t steps[] = {10,   20,   30,   60,    120,   300,   600,   900,
				1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800};

int64_t store_step(int64_t from_s, int64_t to_s, int64_t wish_s)
{
	int64_t least = (to_s - from_s + STORE_POINTS_MAX - 1) / STORE_POINTS_MAX, step = 604800;

	if (!wish_s) /* as SPEC 4 has it for a day */
		wish_s = to_s - from_s > 6 * 3600 ? 300 : to_s - from_s > 3600 ? 60 : 10;
	if (least < wish_s)
		least = wish_s;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		/* widened to whole steps there may be one more */
		if (steps[i] < least ||
		    (to_s - from_s + 2 * steps[i] - 1) / steps[i] > STORE_POINTS_MAX)
			continue;
		return steps[i];
	}
	while ((to_s - from_s) / step + 2 > STORE_POINTS_MAX || step < least)
		step *= 2;
	return step;
}

static enum tier coarsest_for(int64_t step_s)
{
	enum tier tier = NR_POINT_TIERS - 1;

	while (tier > TIER_RAW && step_s % tiers[tier].step_s)
		tier--;
	return tier;
}

/* Which series of this file the filter means. */
static int find_series(struct feed *feed, struct db *db)
{
	const struct store_filter *filter = feed->filter;
	enum series_kind kind = filter->channel  ? SERIES_CHANNEL
				: filter->server ? SERIES_SERVER
						 : SERIES_TOTAL;
	int64_t server = 0, label_id = 0;
	sqlite3_stmt *find;
	int err = 0;

	if (filter->server)
		err = table_label_find(db, filter->server, &server);
	if (!err && filter->channel)
		err = table_label_find(db, filter->channel, &label_id);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = db_prepare(
		db,
		"SELECT id FROM series WHERE kind = ?1 AND (?2 IS NULL OR server = ?2) AND "
		"label = ?3",
		&find);
	if (err)
		return err;
	sqlite3_bind_int(find, 1, (int)kind);
	if (filter->server || kind == SERIES_TOTAL)
		sqlite3_bind_int64(find, 2, server);
	sqlite3_bind_int64(find, 3, label_id);
	while ((err = db_step(db, find)) == 1) {
		if (feed->nr_ids == MATCHES_MAX) {
			sqlite3_reset(find);
			break;
		}
		feed->ids[feed->nr_ids++] = sqlite3_column_int64(find, 0);
	}
	return err < 0 ? err : 0;
}

static int feed_file(struct cover *cover, struct db *db)
{
	struct feed *feed = (struct feed *)cover;
	int err;

	feed->nr_ids = 0;
	feed->user = 0;
	if (!feed->filter->user)
		return find_series(feed, db);
	err = table_label_find(db, feed->filter->user, &feed->user);
	return err == -ENOENT ? 0 : err;
}

static int emit(struct feed *feed)
{
	struct history_point point = {
		.time_s = feed->time_s,
		.step_s = feed->step_s,
		.covered_s = (double)feed->covered_ms / 1000,
		.sum = feed->sum,
	};
	int err;

	if (!feed->any || !feed->point)
		return 0;
	err = feed->point(&point, feed->ctx);
	point_reset(feed->sum);
	feed->covered_ms = 0;
	feed->any = false;
	return err;
}

static int add_user(struct feed *feed, struct db *db, int64_t time_s, struct point_gauge *gauge)
{
	struct roster_entry entries[ROSTER_MAX];
	struct point_counts *counts = &feed->sum->counts;
	size_t nr;
	int err = table_users(db, time_s, entries, &nr);

	for (size_t i = 0; !err && i < nr; i++) {
		if (!feed->user || entries[i].label != (uint64_t)feed->user)
			continue;
		gauge->active = gauge->peak = entries[i].n.active;
		counts->n.opened += entries[i].n.opened;
		counts->n.closed += entries[i].n.closed;
		counts->n.received += entries[i].n.received;
		counts->n.sent += entries[i].n.sent;
		counts->n.bytes_received += entries[i].n.bytes_received;
		counts->n.bytes_sent += entries[i].n.bytes_sent;
	}
	return err;
}

static int add_series(struct feed *feed, struct db *db, int64_t time_s, struct point_gauge *gauge)
{
	sqlite3_stmt *find;
	int err = db_prepare(db, "SELECT data FROM point WHERE id = ?1", &find);

	for (size_t i = 0; !err && i < feed->nr_ids; i++) {
		sqlite3_bind_int64(find, 1, time_s << STORE_SERIES_BITS | feed->ids[i]);
		err = db_step(db, find);
		if (err != 1)
			continue;
		if (point_add_blob(feed->sum, gauge, sqlite3_column_blob(find, 0),
				   (size_t)sqlite3_column_bytes(find, 0)))
			feed->cover.store->state.damaged_points++;
		err = 0;
		sqlite3_reset(find);
	}
	return err;
}

static int feed_interval(struct cover *cover, struct db *db, int64_t time_s, int64_t covered_ms)
{
	struct feed *feed = (struct feed *)cover;
	int64_t begin_s = feed->step_s ? time_s - time_s % feed->step_s : feed->time_s;
	struct point_gauge gauge = {0};
	int err = 0;

	if (begin_s != feed->time_s)
		err = emit(feed);
	if (err)
		return err;
	feed->time_s = begin_s;
	feed->any = true;
	feed->covered_ms += covered_ms;
	err = feed->filter->user ? add_user(feed, db, time_s, &gauge)
				 : add_series(feed, db, time_s, &gauge);
	if (gauge.peak > feed->sum->counts.peak)
		feed->sum->counts.peak = gauge.peak;
	feed->sum->counts.active = gauge.active;
	return err;
}

int store_history(struct store *store, const struct history_query *query,
		  int (*point)(const struct history_point *point, void *ctx), void *ctx,
		  int64_t *ret_step_s)
{
	struct feed *feed;
	enum tier tier;
	int64_t step_s, from_s;
	int err;

	if (query->step_s < 0 || query->step_s > STORE_TIME_MAX)
		return -EINVAL;
	err = cover_check(store, query->from_s, query->to_s);
	if (err)
		return err;
	step_s = store_step(query->from_s, query->to_s, query->step_s);
	tier = coarsest_for(step_s);
	/* Coarser points where finer ones are gone already. */
	while (tier < NR_POINT_TIERS - 1 && query->from_s < cover_oldest(store, tier) &&
	       cover_has_older(store, tier + 1, cover_oldest(store, tier))) {
		tier++;
		step_s = store_step(query->from_s, query->to_s,
				    step_s > tiers[tier].step_s ? step_s : tiers[tier].step_s);
	}
	feed = calloc(1, sizeof(*feed));
	if (!feed || !(feed->sum = malloc(sizeof(*feed->sum)))) {
		free(feed);
		return -ENOMEM;
	}
	feed->cover = (struct cover){.store = store, .file = feed_file, .interval = feed_interval};
	feed->filter = &query->filter;
	feed->step_s = step_s;
	feed->time_s = -1;
	feed->point = point;
	feed->ctx = ctx;
	point_reset(feed->sum);
	*ret_step_s = step_s;
	from_s = query->from_s - query->from_s % step_s;
	err = cover_span(&feed->cover, tier, from_s, (query->to_s + step_s - 1) / step_s * step_s);
	if (!err)
		err = emit(feed);
	free(feed->sum);
	free(feed);
	return err;
}

int store_total(struct store *store, int64_t from_s, int64_t to_s,
		const struct store_filter *filter, struct store_total *ret_total)
{
	struct feed feed = {
		.cover = {.store = store, .file = feed_file, .interval = feed_interval},
		.filter = filter,
		.sum = &ret_total->sum,
	};
	int err = cover_check(store, from_s, to_s);

	if (err)
		return err;
	cover_widen(store, &from_s, &to_s);
	point_reset(feed.sum);
	feed.time_s = from_s;
	err = cover_span(&feed.cover, TIER_1H, from_s, to_s);
	ret_total->from_s = from_s;
	ret_total->to_s = to_s;
	ret_total->covered_s = (double)feed.covered_ms / 1000;
	return err;
}

void store_side_of(const struct store_total *total, struct store_side *ret_side)
{
	const struct point *sum = &total->sum;
	double seconds = total->covered_s > 0 ? total->covered_s : 1; /* then all counts are 0 */

	*ret_side = (struct store_side){
		.covered_s = total->covered_s,
		.received_rate = (double)sum->counts.n.received / seconds,
		.sent_rate = (double)sum->counts.n.sent / seconds,
		.opened_rate = (double)sum->counts.n.opened / seconds,
		.error_rate = (double)sum->counts.errors / seconds,
		.peak = sum->counts.peak,
		.counts = sum->counts,
	};
	for (enum point_hist i = 0; i < NR_POINT_HISTS; i++)
		ret_side->hist[i] = spread_of(&sum->hist[i], sum->min[i], sum->max[i],
					      point_hist_unit(i));
}

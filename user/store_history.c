// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* Answers made of points: history, totals, series and users. */
#define _GNU_SOURCE
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
	const char *label = filter->type ? filter->type : filter->channel;
	enum series_kind kind = filter->type      ? SERIES_TYPE
				: filter->channel ? SERIES_CHANNEL
				: filter->server  ? SERIES_SERVER
						  : SERIES_TOTAL;
	int64_t server = 0, label_id = 0;
	sqlite3_stmt *find;
	int err = 0;

	if (filter->server)
		err = table_label_find(db, filter->server, &server);
	if (!err && label)
		err = table_label_find(db, label, &label_id);
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

	if (query->from_s < 0 || query->from_s >= query->to_s || query->to_s > STORE_TIME_MAX ||
	    query->step_s < 0 || query->step_s > STORE_TIME_MAX)
		return -EINVAL;
	err = store_list(store);
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

/* Widened so that no edge is lost where finer points are gone. */
static void widen(const struct store *store, int64_t *from_s, int64_t *to_s)
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

static int check_span(struct store *store, int64_t from_s, int64_t to_s)
{
	return from_s < 0 || from_s >= to_s || to_s > STORE_TIME_MAX ? -EINVAL : store_list(store);
}

int store_total(struct store *store, int64_t from_s, int64_t to_s,
		const struct store_filter *filter, struct store_total *ret_total)
{
	struct feed feed = {
		.cover = {.store = store, .file = feed_file, .interval = feed_interval},
		.filter = filter,
		.sum = &ret_total->sum,
	};
	int err = check_span(store, from_s, to_s);

	if (err)
		return err;
	widen(store, &from_s, &to_s);
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

/* ---- many series at once */

struct sums {
	struct cover cover;
	const struct series_query *query;
	struct sum {
		char server[STORE_TEXT_SIZE], label[STORE_TEXT_SIZE];
		int64_t seen_s;           /* the last interval that it is in */
		struct point_gauge gauge; /* of that one */
		struct spread latency;
		struct point_brief brief;
	} * *rows; /* one allocation each, so that memory grows with what there is */
	size_t nr;
	int64_t covered_ms, last_s;
	uint16_t *known; /* of the current file: by series id: 1 + row; 0 = not looked up yet */
};

#define NOT_WANTED UINT16_MAX

static int sums_file(struct cover *cover, struct db *db)
{
	struct sums *sums = (struct sums *)cover;

	(void)db;
	memset(sums->known, 0, (STORE_SERIES_MASK + 1) * sizeof(*sums->known));
	return 0;
}

static int new_sum(struct sums *sums, const char *server, const char *label, size_t *ret_at)
{
	struct sum *sum = malloc(sizeof(*sum));

	if (!sum)
		return -ENOMEM;
	memset(sum, 0, sizeof(*sum));
	sum->brief.min = UINT64_MAX;
	strcpy(sum->server, server);
	strcpy(sum->label, label);
	*ret_at = sums->nr;
	sums->rows[sums->nr++] = sum;
	return 0;
}

static int place_sum(struct sums *sums, const char *server, const char *label, size_t *ret_at)
{
	for (size_t i = 0; i < sums->nr; i++)
		if (!strcmp(sums->rows[i]->label, label) &&
		    !strcmp(sums->rows[i]->server, server)) {
			*ret_at = i;
			return 0;
		}
	/* the last place is for all that find none */
	if (sums->nr + 1 >= STORE_SERIES_MAX && strcmp(label, INTERVAL_OTHER) != 0)
		return place_sum(sums, "", INTERVAL_OTHER, ret_at);
	if (sums->nr == STORE_SERIES_MAX) {
		*ret_at = STORE_SERIES_MAX - 1;
		return 0;
	}
	return new_sum(sums, server, label, ret_at);
}

/* Which sum a series of this file belongs to, if to any. */
static int look_up(struct sums *sums, struct db *db, int64_t series)
{
	char server[STORE_TEXT_SIZE], label[STORE_TEXT_SIZE];
	int64_t kind, server_id, label_id;
	sqlite3_stmt *find;
	size_t at;
	int err = db_prepare(db, "SELECT kind, server, label FROM series WHERE id = ?1", &find);

	if (err)
		return err;
	sqlite3_bind_int64(find, 1, series);
	err = db_step(db, find);
	if (err != 1)
		return err ? err : db_damaged(db);
	kind = sqlite3_column_int64(find, 0);
	server_id = sqlite3_column_int64(find, 1);
	label_id = sqlite3_column_int64(find, 2);
	sqlite3_reset(find);
	sums->known[series] = NOT_WANTED;
	if (kind != (int64_t)sums->query->kind)
		return 0;
	err = table_label_text(db, server_id, server, sizeof(server));
	if (!err)
		err = table_label_text(db, label_id, label, sizeof(label));
	if (err || (sums->query->server && strcmp(sums->query->server, server) != 0))
		return err;
	err = place_sum(sums, server, label, &at);
	if (!err)
		sums->known[series] = (uint16_t)(at + 1);
	return err;
}

static int sums_interval(struct cover *cover, struct db *db, int64_t time_s, int64_t covered_ms)
{
	struct sums *sums = (struct sums *)cover;
	sqlite3_stmt *list;
	int err = db_prepare(db, "SELECT id & 65535, data FROM point WHERE id BETWEEN ?1 AND ?2",
			     &list);

	if (err)
		return err;
	sums->covered_ms += covered_ms;
	sums->last_s = time_s;
	sqlite3_bind_int64(list, 1, time_s << STORE_SERIES_BITS);
	sqlite3_bind_int64(list, 2, time_s << STORE_SERIES_BITS | STORE_SERIES_MASK);
	while ((err = db_step(db, list)) == 1) {
		int64_t series = sqlite3_column_int64(list, 0);
		struct sum *sum;

		err = sums->known[series] ? 0 : look_up(sums, db, series);
		if (err) {
			sqlite3_reset(list);
			return err;
		}
		if (sums->known[series] == NOT_WANTED)
			continue;
		sum = sums->rows[sums->known[series] - 1];
		if (sum->seen_s != time_s)
			sum->gauge = (struct point_gauge){0};
		sum->seen_s = time_s;
		if (point_add_blob_brief(&sum->brief, &sum->gauge, sqlite3_column_blob(list, 1),
					 (size_t)sqlite3_column_bytes(list, 1)))
			sums->cover.store->state.damaged_points++;
		if (sum->gauge.peak > sum->brief.counts.peak)
			sum->brief.counts.peak = sum->gauge.peak;
	}
	return err;
}

static double weight_of(const struct sum *sum, enum series_sort sort)
{
	const struct server_counters_fields *n = &sum->brief.counts.n;

	switch (sort) {
	case SERIES_BY_CONNECTIONS:
		return (double)sum->brief.counts.peak;
	case SERIES_BY_ERRORS:
		return (double)sum->brief.counts.errors;
	case SERIES_BY_LATENCY:
		return sum->latency.count ? sum->latency.p95_ns : -1;
	case SERIES_BY_BYTES:
		return (double)(n->bytes_received + n->bytes_sent);
	default:
		return (double)(n->received + n->sent);
	}
}

static int compare_names(const struct sum *a, const struct sum *b)
{
	int order = strcmp(a->server, b->server);

	return order ? order : strcmp(a->label, b->label);
}

static int compare_sums(const void *a, const void *b, void *ctx)
{
	const struct sum *x = *(struct sum *const *)a, *y = *(struct sum *const *)b;
	enum series_sort sort = *(const enum series_sort *)ctx;
	double wx = weight_of(x, sort), wy = weight_of(y, sort);

	if (sort != SERIES_BY_NAME && wx != wy)
		return wx < wy ? 1 : -1;
	return compare_names(x, y);
}

static int emit_sums(struct sums *sums, int (*row)(const struct series_total *total, void *ctx),
		     void *ctx)
{
	const struct series_query *query = sums->query;
	enum series_sort sort = query->sort;

	for (size_t i = 0; i < sums->nr; i++) {
		struct sum *sum = sums->rows[i];

		sum->latency = spread_of(&sum->brief.latency, sum->brief.min, sum->brief.max, 1);
		sum->brief.counts.active = sum->seen_s == sums->last_s ? sum->gauge.active : 0;
	}
	if (sums->nr)
		qsort_r(sums->rows, sums->nr, sizeof(struct sum *), compare_sums, &sort);
	for (size_t i = query->offset; i < sums->nr && i - query->offset < query->limit; i++) {
		struct series_total total = {
			.series = {.kind = query->kind,
				   .server = sums->rows[i]->server,
				   .label = sums->rows[i]->label},
			.covered_s = (double)sums->covered_ms / 1000,
			.counts = sums->rows[i]->brief.counts,
			.latency = sums->rows[i]->latency,
		};
		int err = row(&total, ctx);

		if (err)
			return err;
	}
	return 0;
}

int store_series(struct store *store, const struct series_query *query,
		 int (*row)(const struct series_total *total, void *ctx), void *ctx, size_t *ret_nr)
{
	struct sums sums = {
		.cover = {.store = store, .file = sums_file, .interval = sums_interval},
		.query = query,
	};
	int64_t from_s = query->from_s, to_s = query->to_s;
	int err = check_span(store, from_s, to_s);

	if (err)
		return err;
	widen(store, &from_s, &to_s);
	sums.rows = calloc(STORE_SERIES_MAX, sizeof(struct sum *));
	sums.known = calloc(STORE_SERIES_MASK + 1, sizeof(*sums.known));
	err = sums.rows && sums.known ? cover_span(&sums.cover, TIER_1H, from_s, to_s) : -ENOMEM;
	if (!err) {
		*ret_nr = sums.nr;
		err = emit_sums(&sums, row, ctx);
	}
	for (size_t i = 0; i < sums.nr; i++)
		free(sums.rows[i]);
	free(sums.rows);
	free(sums.known);
	return err;
}

/* ---- users */

struct crowd {
	struct cover cover;
	struct person {
		char *user;
		struct roster_numbers n;
		int64_t seen_s;
		uint64_t peak;
	} * people;
	uint16_t *table; /* by hash of the user: 1 + place among people */
	size_t nr;
	int64_t last_s;
};

#define CROWD_TABLE (STORE_USERS_MAX * 2)

static int crowd_file(struct cover *cover, struct db *db)
{
	(void)cover;
	(void)db;
	return 0;
}

static struct person *crowd_place(struct crowd *crowd, const char *user)
{
	uint64_t hash = 14695981039346656037u;
	size_t at;

	for (const char *c = user; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 1099511628211u;
	for (at = (hash ^ hash >> 32) % CROWD_TABLE; crowd->table[at]; at = (at + 1) % CROWD_TABLE)
		if (!strcmp(crowd->people[crowd->table[at] - 1].user, user))
			return &crowd->people[crowd->table[at] - 1];
	/* the last place is for all that find none */
	if (crowd->nr + 1 >= STORE_USERS_MAX) {
		if (strcmp(user, INTERVAL_OTHER) != 0)
			return crowd_place(crowd, INTERVAL_OTHER);
		if (crowd->nr == STORE_USERS_MAX)
			return &crowd->people[STORE_USERS_MAX - 1];
	}
	crowd->people[crowd->nr].user = strdup(user);
	if (!crowd->people[crowd->nr].user)
		return NULL;
	crowd->table[at] = (uint16_t)++crowd->nr;
	return &crowd->people[crowd->nr - 1];
}

static int crowd_interval(struct cover *cover, struct db *db, int64_t time_s, int64_t covered_ms)
{
	struct crowd *crowd = (struct crowd *)cover;
	struct roster_entry entries[ROSTER_MAX];
	char user[STORE_TEXT_SIZE];
	size_t nr;
	int err = table_users(db, time_s, entries, &nr);

	(void)covered_ms;
	crowd->last_s = time_s;
	for (size_t i = 0; !err && i < nr; i++) {
		struct person *person;

		err = table_label_text(db, (int64_t)entries[i].label, user, sizeof(user));
		if (err)
			break;
		person = crowd_place(crowd, user);
		if (!person)
			return -ENOMEM;
		roster_add(&person->n, &entries[i].n);
		person->seen_s = time_s;
		if (entries[i].n.active > person->peak)
			person->peak = entries[i].n.active;
	}
	return err;
}

static double person_weight(const struct person *person, enum series_sort sort)
{
	if (sort == SERIES_BY_CONNECTIONS)
		return (double)person->peak;
	if (sort == SERIES_BY_BYTES)
		return (double)(person->n.bytes_received + person->n.bytes_sent);
	return (double)(person->n.received + person->n.sent);
}

static int compare_people(const void *a, const void *b, void *ctx)
{
	const struct person *x = a, *y = b;
	enum series_sort sort = *(const enum series_sort *)ctx;
	double wx = person_weight(x, sort), wy = person_weight(y, sort);

	if (sort != SERIES_BY_NAME && wx != wy)
		return wx < wy ? 1 : -1;
	return strcmp(x->user, y->user);
}

int store_users(struct store *store, const struct users_query *query,
		int (*row)(const struct user_counts *counts, void *ctx), void *ctx, size_t *ret_nr)
{
	struct crowd crowd = {
		.cover = {.store = store, .file = crowd_file, .interval = crowd_interval},
	};
	int64_t from_s = query->from_s, to_s = query->to_s;
	enum series_sort sort = query->sort;
	int err = check_span(store, from_s, to_s);

	if (err)
		return err;
	widen(store, &from_s, &to_s);
	crowd.people = calloc(STORE_USERS_MAX, sizeof(*crowd.people));
	crowd.table = calloc(CROWD_TABLE, sizeof(*crowd.table));
	err = crowd.people && crowd.table ? cover_span(&crowd.cover, TIER_1H, from_s, to_s)
					  : -ENOMEM;
	if (!err) {
		*ret_nr = crowd.nr;
		if (crowd.nr)
			qsort_r(crowd.people, crowd.nr, sizeof(*crowd.people), compare_people,
				&sort);
		for (size_t i = query->offset;
		     !err && i < crowd.nr && i - query->offset < query->limit; i++) {
			struct user_counts counts = {.user = crowd.people[i].user,
						     .n = crowd.people[i].n};

			if (crowd.people[i].seen_s != crowd.last_s)
				counts.n.active = 0;
			err = row(&counts, ctx);
		}
	}
	for (size_t i = 0; i < crowd.nr; i++)
		free(crowd.people[i].user);
	free(crowd.people);
	free(crowd.table);
	return err;
}

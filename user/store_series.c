// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Answers made of points of many at once: series and users of a span, summed up in one pass, then
 * sorted and paged. Memory grows with what there is, up to a bound; what finds no room is other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_cover.h"
#include "store_query.h"

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
	int err = cover_check(store, from_s, to_s);

	if (err)
		return err;
	cover_widen(store, &from_s, &to_s);
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
	int err = cover_check(store, from_s, to_s);

	if (err)
		return err;
	cover_widen(store, &from_s, &to_s);
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

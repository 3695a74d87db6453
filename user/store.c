// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Writing. In: intervals, and those that waited. Out: their parts in the files of their day, each
 * part in one transaction and remembered as done, so that a part is never written twice.
 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_private.h"

#define NS_S 1000000000ll
#define NS_MS 1000000ll
#define JUMP_NS (2 * NS_S) /* more than a clock is corrected by while it runs */
/* Beyond the rows: the logs of three files, which are copied back at once. */
#define FILE_BYTES (3u << 20)

enum part { PART_POINTS = 1, PART_ROWS = 2, PART_EVENTS = 4 };

int store_new(const struct store_config *config, struct store **ret_store)
{
	struct store *store;

	if (config->bytes_max && config->bytes_max < STORE_BYTES_MIN)
		return -EINVAL;
	if (strlen(config->dir) >= sizeof(store->dir))
		return -ENAMETOOLONG;
	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	store->scratch = malloc(sizeof(*store->scratch));
	if (!store->scratch) {
		free(store);
		return -ENOMEM;
	}
	store->config = *config;
	store->config.dir = NULL; /* the caller's */
	strcpy(store->dir, config->dir);
	for (enum tier tier = 0; tier < NR_TIERS; tier++) {
		store->keep_s[tier] = tiers[tier].keep_s;
		store->rolled_s[tier] = -1;
	}
	if (config->raw_keep_s)
		store->keep_s[TIER_RAW] = config->raw_keep_s;
	if (config->m5_keep_s)
		store->keep_s[TIER_5M] = config->m5_keep_s;
	if (config->h1_keep_s)
		store->keep_s[TIER_1H] = store->keep_s[TIER_EVENTS] = config->h1_keep_s;
	if (config->rows_keep_s)
		store->keep_s[TIER_ROWS] = config->rows_keep_s;
	if (!store->config.rows_max)
		store->config.rows_max = STORE_ROWS_DEFAULT;
	store->state.bytes_max = config->bytes_max ? config->bytes_max : STORE_BYTES_DEFAULT;
	store->state.available = true;
	/* Per process, and only SQLite's: caches give back before it takes more. */
	sqlite3_soft_heap_limit64(3 << 20);
	*ret_store = store;
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	store_close_writers(store);
	for (unsigned i = 0; i < store->nr_queue; i++)
		interval_free(store->queue[i].interval);
	free(store->files);
	free(store->scratch);
	free(store);
}

void store_state(const struct store *store, struct store_state *ret_state)
{
	*ret_state = store->state;
	ret_state->waiting = store->nr_queue;
}

static int64_t key_of(const struct interval *interval)
{
	/* from the end: what was before a jump of the clock is not in this clock */
	int64_t middle_s = (interval->to_ns - (int64_t)(interval->covered_ns / 2)) / NS_S;

	return middle_s - middle_s % STORE_INTERVAL_S;
}

/* ---- the parts of an interval, one transaction each */

static int put_points(struct store *store, struct db *db, const struct interval *interval,
		      int64_t time_s)
{
	int64_t server = 0, label, series;
	const char *last = NULL;
	int err;

	for (size_t i = 0; i < interval->nr_points; i++) {
		const struct interval_point *point = &interval->points[i];

		/* texts are kept once, so the same text is at the same address */
		err = point->series.server == last ? 0
						   : table_label(db, point->series.server, &server);
		if (err)
			return err;
		last = point->series.server;
		err = table_label(db, point->series.label, &label);
		if (err)
			return err;
		err = table_series(db, point->series.kind, server, label, &series);
		if (err == -ENOSPC) {
			err = table_label(db, INTERVAL_OTHER, &label);
			if (!err)
				err = table_series(db, point->series.kind, server, label, &series);
			if (err == -ENOSPC) {
				store->state.rows_lost++;
				continue;
			}
		}
		if (!err)
			err = table_put_point(db, time_s, series, point->blob, point->len,
					      store->scratch, &store->state.damaged_points);
		if (err)
			return err;
	}
	return 0;
}

static int put_users(struct db *db, const struct interval *interval, int64_t time_s)
{
	struct roster_entry entries[2 * ROSTER_MAX];
	uint8_t blob[ROSTER_BLOB_MAX];
	size_t nr, len = 0;
	int64_t other;
	int err = table_users(db, time_s, entries, &nr); /* of before a restart */

	for (size_t i = 0; !err && i < interval->nr_users; i++) {
		struct roster_entry entry = {.n = interval->users[i].n};
		size_t at = 0;
		int64_t label;

		err = table_label(db, interval->users[i].user, &label);
		entry.label = (uint64_t)label;
		if (err || !label)
			continue;
		while (at < nr && entries[at].label != entry.label)
			at++;
		if (at < nr)
			roster_add(&entries[at].n, &entry.n);
		else if (nr < 2 * ROSTER_MAX)
			entries[nr++] = entry;
	}
	if (!err && nr) {
		err = table_label(db, INTERVAL_OTHER, &other);
		if (!err)
			len = roster_encode(entries, roster_cut(entries, nr, (uint64_t)other),
					    blob);
	}
	if (err)
		return err;
	return table_put_interval(db, time_s, (int64_t)interval->covered_ns / NS_MS, blob, len);
}

/* Whether a time that is there may still be added to: it has not been rolled up. 1, 0, error. */
static int may_merge(struct store *store, int64_t time_s)
{
	struct db *coarse;
	int err = store_writer(store, TIER_5M, time_s, &coarse);

	if (err)
		return err;
	err = table_has_interval(coarse, time_s - time_s % tiers[TIER_5M].step_s);
	return err < 0 ? err : !err;
}

static int write_points(struct store *store, const struct interval *interval, enum tier *ret_tier)
{
	int64_t time_s = key_of(interval);
	struct db *db;
	int err;

	*ret_tier = TIER_RAW;
	err = store_writer(store, TIER_RAW, time_s, &db);
	if (err)
		return err;
	err = table_has_interval(db, time_s);
	if (err < 0)
		return err;
	if (err) {
		*ret_tier = TIER_5M;
		err = may_merge(store, time_s);
		if (err < 0)
			return err;
		*ret_tier = TIER_RAW;
		if (!err) {
			store->state.skipped++;
			return 0;
		}
	}
	err = db_run(db, "BEGIN IMMEDIATE");
	if (!err)
		err = put_points(store, db, interval, time_s);
	if (!err)
		err = put_users(db, interval, time_s);
	if (!err)
		err = db_run(db, "COMMIT");
	if (err) {
		db_run(db, "ROLLBACK");
		return err;
	}
	store->state.last_s = time_s;
	return 0;
}

static void bind_known(sqlite3_stmt *statement, int at, bool known, int64_t value)
{
	if (known)
		sqlite3_bind_int64(statement, at, value);
}

static int labels(struct db *db, sqlite3_stmt *statement, int at, const char *const texts[3])
{
	for (int i = 0; i < 3; i++) {
		int64_t id;
		int err = table_label(db, texts[i], &id);

		if (err)
			return err;
		sqlite3_bind_int64(statement, at + i, id);
	}
	return 0;
}

static int put_connection(struct db *db, const struct closed_connection *c)
{
	const char *texts[] = {c->server, c->channel, c->user};
	sqlite3_stmt *put;
	int err = db_prepare(db,
			     "INSERT INTO connection(opened_ms, closed_ms, server, channel, user, "
			     "received, sent, bytes_received, bytes_sent, latency_count, "
			     "latency_avg_ns, latency_max_ns, code, initiator, cause, violation, "
			     "error, resync) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
			     "?12, ?13, ?14, ?15, ?16, ?17, ?18)",
			     &put);

	if (err)
		return err;
	err = labels(db, put, 3, texts);
	if (err)
		return err;
	sqlite3_bind_int64(put, 1, c->opened_ns / NS_MS);
	sqlite3_bind_int64(put, 2, c->closed_ns / NS_MS);
	sqlite3_bind_int64(put, 6, (int64_t)c->received);
	sqlite3_bind_int64(put, 7, (int64_t)c->sent);
	sqlite3_bind_int64(put, 8, (int64_t)c->bytes_received);
	sqlite3_bind_int64(put, 9, (int64_t)c->bytes_sent);
	bind_known(put, 10, c->has_latency, (int64_t)c->latency_count);
	bind_known(put, 11, c->has_latency, (int64_t)c->latency_avg_ns);
	bind_known(put, 12, c->has_latency, (int64_t)c->latency_max_ns);
	bind_known(put, 13, c->has_close, c->code);
	bind_known(put, 14, c->has_close, c->initiator);
	bind_known(put, 15, !c->has_close, c->cause);
	sqlite3_bind_int64(put, 16, c->violation);
	sqlite3_bind_int64(put, 17, c->error);
	sqlite3_bind_int64(put, 18, c->resync);
	return db_step(db, put);
}

static int put_error(struct db *db, const struct error_entry *e)
{
	const char *texts[] = {e->server, e->channel, e->user};
	sqlite3_stmt *put;
	int err = db_prepare(db,
			     "INSERT INTO error(at_ms, type, server, channel, user, code, "
			     "initiator, cause, status, message) "
			     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
			     &put);

	if (err)
		return err;
	err = labels(db, put, 3, texts);
	if (err)
		return err;
	sqlite3_bind_int64(put, 1, e->at_ns / NS_MS);
	sqlite3_bind_int64(put, 2, e->type);
	bind_known(put, 6, e->has_code, e->code);
	bind_known(put, 7, e->has_initiator, e->initiator);
	bind_known(put, 8, e->has_cause, e->cause);
	bind_known(put, 9, e->has_status, e->status);
	sqlite3_bind_text(put, 10, e->message, -1, SQLITE_STATIC);
	return db_step(db, put);
}

/* How many rows this table may still take. */
static int room(const struct store *store, struct db *db, const char *sql, size_t *ret_room)
{
	sqlite3_stmt *last;
	int err = db_prepare(db, sql, &last);
	int64_t id;

	if (err)
		return err;
	err = db_step(db, last);
	if (err != 1)
		return err ? err : db_damaged(db);
	id = sqlite3_column_int64(last, 0);
	sqlite3_reset(last);
	*ret_room = id < 0 || id >= (int64_t)store->config.rows_max
			    ? 0
			    : store->config.rows_max - (size_t)id;
	return 0;
}

static int put_rows(const struct store *store, struct db *db, const struct interval *interval,
		    uint64_t *lost)
{
	size_t connections = 0, errors = 0;
	int err;

	err = room(store, db, "SELECT coalesce(max(id), 0) FROM connection", &connections);
	if (!err)
		err = room(store, db, "SELECT coalesce(max(id), 0) FROM error", &errors);
	for (size_t i = 0; !err && i < interval->nr_connections && i < connections; i++)
		err = put_connection(db, &interval->connections[i]);
	for (size_t i = 0; !err && i < interval->nr_errors && i < errors; i++)
		err = put_error(db, &interval->errors[i]);
	if (err)
		return err;
	if (interval->nr_connections > connections)
		*lost += interval->nr_connections - connections;
	if (interval->nr_errors > errors)
		*lost += interval->nr_errors - errors;
	return 0;
}

static int write_rows(struct store *store, const struct interval *interval)
{
	uint64_t lost = interval->lost;
	struct db *db;
	int err;

	if (interval->nr_connections || interval->nr_errors) {
		err = store_writer(store, TIER_ROWS, key_of(interval), &db);
		if (!err)
			err = db_run(db, "BEGIN IMMEDIATE");
		if (err)
			return err;
		err = put_rows(store, db, interval, &lost);
		if (!err)
			err = db_run(db, "COMMIT");
		if (err) {
			db_run(db, "ROLLBACK");
			return err;
		}
	}
	store->state.rows_lost += lost;
	return 0;
}

static int put_event(struct db *db, const struct store_event *event)
{
	sqlite3_stmt *put;
	int err = db_prepare(
		db, "INSERT INTO event(at_ms, kind, server, text) VALUES (?1, ?2, ?3, ?4)", &put);

	if (err)
		return err;
	sqlite3_bind_int64(put, 1, event->at_ns / NS_MS);
	sqlite3_bind_int64(put, 2, event->kind);
	sqlite3_bind_text(put, 3, event->server, -1, SQLITE_STATIC);
	sqlite3_bind_text(put, 4, event->text, -1, SQLITE_STATIC);
	return db_step(db, put);
}

static int write_events(struct store *store, const struct interval *interval)
{
	struct db *db;
	int err;

	if (!interval->nr_events && !store->nr_own)
		return 0;
	err = store_writer(store, TIER_EVENTS, key_of(interval), &db);
	if (!err)
		err = db_run(db, "BEGIN IMMEDIATE");
	if (err)
		return err;
	for (size_t i = 0; !err && i < interval->nr_events; i++)
		err = put_event(db, &interval->events[i]);
	for (unsigned i = 0; !err && i < store->nr_own; i++)
		err = put_event(db, &(struct store_event){
					    .kind = store->own[i].kind,
					    .at_ns = store->own[i].at_ns,
					    .server = "",
					    .text = store->own[i].text,
				    });
	if (!err)
		err = db_run(db, "COMMIT");
	if (err) {
		db_run(db, "ROLLBACK");
		return err;
	}
	store->nr_own = 0;
	return 0;
}

/* Parts that are on disk are not written again, whatever becomes of the others. */
static int write_parts(struct store *store, struct pending *pending, enum tier *ret_tier)
{
	const struct interval *interval = pending->interval;
	int err;

	if (!(pending->done & PART_POINTS)) {
		err = write_points(store, interval, ret_tier);
		if (err)
			return err;
		pending->done |= PART_POINTS;
	}
	*ret_tier = TIER_ROWS;
	if (!(pending->done & PART_ROWS)) {
		err = write_rows(store, interval);
		if (err)
			return err;
		pending->done |= PART_ROWS;
	}
	*ret_tier = TIER_EVENTS;
	if (!(pending->done & PART_EVENTS)) {
		err = write_events(store, interval);
		if (err)
			return err;
		pending->done |= PART_EVENTS;
	}
	return 0;
}

/* A damaged file is set aside and the interval goes into a new one. */
static int write_one(struct store *store, struct pending *pending, int64_t now_s)
{
	int64_t time_s = key_of(pending->interval);
	enum tier tier = TIER_RAW;
	int err = 0;

	for (enum tier tries = 0; tries < NR_TIERS; tries++) {
		err = write_parts(store, pending, &tier);
		if (err != -EUCLEAN || store_damaged(store, tier, time_s, now_s))
			break;
	}
	if (err && !store->state.reason[0]) {
		char name[STORE_NAME_MAX];

		tier_file_name(tier, time_s, name);
		snprintf(store->state.reason, sizeof(store->state.reason), "cannot write %s: %s",
			 name, strerror(-err));
	}
	return err;
}

/* ---- intervals that wait */

static void drop_first(struct store *store)
{
	interval_free(store->queue[0].interval);
	store->nr_queue--;
	memmove(store->queue, store->queue + 1, store->nr_queue * sizeof(store->queue[0]));
}

static void enqueue(struct store *store, struct interval *interval)
{
	size_t bytes = interval->bytes;

	for (unsigned i = 0; i < store->nr_queue; i++)
		bytes += store->queue[i].interval->bytes;
	while (store->nr_queue && (store->nr_queue == STORE_QUEUE || bytes > STORE_QUEUE_BYTES)) {
		bytes -= store->queue[0].interval->bytes;
		/* a part of it may be on disk, but nobody was told so */
		store->state.lost++;
		drop_first(store);
	}
	store->queue[store->nr_queue++] = (struct pending){.interval = interval};
}

static uint64_t bytes_needed(const struct store *store)
{
	uint64_t bytes = FILE_BYTES;

	for (unsigned i = 0; i < store->nr_queue; i++)
		bytes += 3 * (uint64_t)store->queue[i].interval->bytes; /* file, log, index */
	return bytes;
}

static int flush(struct store *store, int64_t now_s)
{
	int err = store_look(store);

	if (err)
		return err;
	store_expire(store, now_s);
	err = store_make_room(store, bytes_needed(store), now_s);
	while (!err && store->nr_queue) {
		err = write_one(store, &store->queue[0], now_s);
		if (err)
			break;
		store->state.written++;
		drop_first(store);
	}
	return err;
}

/* A jump is seen in the interval in which it happened, or between two of them. */
static void look_at_clock(struct store *store, const struct interval *interval)
{
	int64_t jump_ns = interval->to_ns - interval->from_ns - (int64_t)interval->covered_ns;

	if (store->last_to_ns)
		jump_ns += interval->from_ns - store->last_to_ns;
	store->last_to_ns = interval->to_ns;
	if (jump_ns > -JUMP_NS && jump_ns < JUMP_NS) {
		store->steady_ns += (int64_t)interval->covered_ns;
		return;
	}
	store->steady_ns = 0;
	for (enum tier tier = 0; tier < NR_TIERS; tier++)
		store->rolled_s[tier] = -1;
	store_event(store, STORE_EVENT_CLOCK_JUMPED, interval->to_ns,
		    jump_ns < 0 ? "the clock went back by %lld s: times that are written already "
				  "are not written again"
				: "the clock went forward by %lld s, or the host slept",
		    (long long)(llabs(jump_ns) / NS_S));
}

static void settle(struct store *store, int err, int64_t now_ns)
{
	struct store_state *state = &store->state;

	if (!err) {
		if (!state->available)
			store_event(
				store, STORE_EVENT_STORE_RESUMED, now_ns,
				"the store is written again after %lld s, %llu intervals are lost",
				(long long)((now_ns - state->since_ns) / NS_S),
				(unsigned long long)state->lost);
		state->available = true;
		state->error = 0;
		state->reason[0] = '\0';
		return;
	}
	/* Opened anew next time: the disk may have been mounted or emptied meanwhile. */
	store_close_writers(store);
	if (!state->reason[0])
		snprintf(state->reason, sizeof(state->reason), "cannot use %.180s: %s", store->dir,
			 strerror(-err));
	if (state->available) {
		state->available = false;
		state->since_ns = now_ns;
		store_note(store, "the store is unavailable: %s", state->reason);
	}
	state->error = err;
}

int store_write(struct store *store, struct interval *interval)
{
	int64_t now_ns = interval->to_ns, now_s = now_ns / NS_S;
	int err;

	if (now_s <= 86400 || now_s > STORE_TIME_MAX - 86400 ||
	    interval->covered_ns > 86400ull * NS_S) {
		interval_free(interval);
		return -EINVAL;
	}
	store->state.reason[0] = '\0';
	look_at_clock(store, interval);
	enqueue(store, interval);
	err = flush(store, now_s);
	/* What is written is acknowledged; what could not be rolled up stays to be. */
	settle(store, err ? err : store_rollup(store, now_s), now_ns);
	return err;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * In: checked questions (ask.h). Out: what the store and the last walk answer, as sheets
 * (json_history.h). History may be incomplete where the store is not available: each answer says so.
 */
#define _GNU_SOURCE
#include "api_history.h"

#include <errno.h>
#include <stdlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "json_history.h"
#include "table_history.h"

#define CSV_TYPE "text/csv; charset=utf-8; header=present"
#define NS_S 1000000000ll

/* One answer from history in the making. */
struct answer {
	struct call *call;
	const char *name; /* of a file of it */
	struct ask ask;
	struct store *store;
	struct sheet *sheet;
	struct sheet_head head;
	enum sheet_part part;
	bool has_queue_wait;
	char state[RECORDER_TEXT];
};

/* Returns 1 when the answer is made: something was wrong. */
static int begin(struct answer *answer, struct call *call, const struct ask_form *form,
		 enum sheet_of of, int *ret_err)
{
	struct api *api = call->api;

	memset(answer, 0, sizeof(*answer));
	answer->call = call;
	if (!api->recorder || !api->counted) {
		call->answer->retry_s = 1;
		*ret_err = answer_error(call, 503,
					"counting has only just begun; ask again in a second");
		return 1;
	}
	if (ask_of(call, form, &answer->ask, ret_err))
		return 1;
	answer->name = form->name;
	answer->store = recorder_store(api->recorder);
	answer->has_queue_wait = aggregate_has_queue_wait(api->aggregate);
	answer->sheet = sheet_new(of, answer->ask.csv, true);
	if (!answer->sheet) {
		*ret_err = -ENOMEM;
		return 1;
	}
	answer->head = (struct sheet_head){
		.from_s = answer->ask.span.from_s,
		.to_s = answer->ask.span.to_s,
		.store = answer->state,
		.limit = answer->ask.limit,
		.offset = answer->ask.offset,
	};
	return 0;
}

static void answer_ok(struct answer *answer)
{
	struct api_answer *out = answer->call->answer;
	time_t now = answer->call->request->wall;
	char at[32] = "";
	struct tm tm;

	out->status = 200;
	out->type = answer->ask.csv ? CSV_TYPE : JSON_TYPE;
	if (answer->ask.csv && gmtime_r(&now, &tm) &&
	    strftime(at, sizeof(at), "%Y%m%dT%H%M%SZ", &tm))
		snprintf(out->file, sizeof(out->file), "wsvitals-%s-%s.csv", answer->name, at);
}

/* err: of the store's answer. */
static int finish(struct answer *answer, int err)
{
	struct call *call = answer->call;
	struct api_answer *out = call->answer;

	recorder_state(call->api->recorder, answer->state);
	if (err == -ENOMEM) {
		sheet_free(answer->sheet);
		return err;
	}
	if (err) {
		sheet_free(answer->sheet);
		if (err == -E2BIG)
			return answer_error(
				call, 400,
				"offset and limit are at most %d together when rows are "
				"sorted by other than time",
				STORE_SORTED_MAX);
		if (err == -ETIME)
			return answer_error(call, 400,
					    "there are too many rows to look at in this time: take "
					    "a shorter one");
		out->retry_s = 10;
		return answer_error(call, 503, "history cannot be read: %s; the store is %s",
				    strerror(-err), answer->state);
	}
	out->body = sheet_text(answer->sheet, &answer->head, &out->len);
	if (!out->body)
		return -ENOMEM;
	answer_ok(answer);
	return 0;
}

/* --- points --- */

/* SPEC 5: as long as no rule names others. The kernel counts them by server, in both directions. */
static const struct {
	const char *type;
	enum sheet_part part;
} message_types[] = {{"text", PART_TEXT}, {"binary", PART_BINARY}};

static void take_part(struct answer *answer)
{
	struct store_filter *filter = &answer->ask.filter;
	const char *type = answer->ask.type;

	if (filter->user)
		answer->part = PART_USER;
	else if (filter->channel)
		answer->part = PART_CHANNEL;
	for (size_t i = 0; type && i < sizeof(message_types) / sizeof(message_types[0]); i++)
		if (!strcmp(type, message_types[i].type))
			answer->part = message_types[i].part;
	answer->head.filter = filter;
	answer->head.type = type;
	answer->head.partial = filter->user != NULL;
}

/* The store keeps a user's counts by interval, whatever the server, channel and type. Returns 1 when
 * the answer is made. */
static int refuse_mixture(struct answer *answer, int *ret_err)
{
	const struct store_filter *filter = &answer->ask.filter;
	const char *type = answer->ask.type, *why = NULL;

	if (filter->user && (filter->server || filter->channel || type))
		why = "history knows a user's counts over all servers: give user alone";
	else if (type && filter->channel)
		why = "history knows types by server, not by channel: give type or channel";
	else if (type && answer->part != PART_TEXT && answer->part != PART_BINARY)
		why = "type takes text or binary: messages are not counted by other types";
	if (!why)
		return 0;
	sheet_free(answer->sheet);
	*ret_err = answer_error(answer->call, 400, "%s", why);
	return 1;
}

static struct history_query query_of(struct answer *answer)
{
	const struct ask *ask = &answer->ask;
	struct history_query query = {
		.from_s = ask->span.from_s, .to_s = ask->span.to_s, .filter = ask->filter};

	query.step_s = store_step(query.from_s, query.to_s, ask->step_s);
	if (ask->hours) { /* whole steps, the last one not over yet: 24 hours are 288 points */
		query.to_s = (query.to_s + query.step_s - 1) / query.step_s * query.step_s;
		query.from_s = query.to_s - (int64_t)ask->hours * 3600;
	}
	answer->head.from_s = query.from_s;
	answer->head.to_s = query.to_s;
	answer->head.hours = ask->hours;
	answer->head.step_s = query.step_s;
	return query;
}

typedef int (*point_fn)(const struct history_point *point, void *ctx);

/* --- points as CSV: as they are sent --- */

#define EXPORT_POINTS 100 /* at a time: a few milliseconds */

/* What a filter points to, when the request is gone. */
struct kept_filter {
	char server[256], channel[256], user[256];
};

static const char *copy_of(const char *text, char *copy, size_t size)
{
	if (!text)
		return NULL;
	snprintf(copy, size, "%s", text);
	return copy;
}

static void filter_keep(struct store_filter *filter, struct kept_filter *kept)
{
	filter->server = copy_of(filter->server, kept->server, sizeof(kept->server));
	filter->channel = copy_of(filter->channel, kept->channel, sizeof(kept->channel));
	filter->user = copy_of(filter->user, kept->user, sizeof(kept->user));
}

struct points_export {
	struct api_stream stream;
	struct answer answer; /* without call and ask, which are gone */
	struct history_query query;
	int64_t next_s;
	point_fn point;
	struct kept_filter kept;
};

static void points_free(struct api_stream *stream)
{
	struct points_export *export = (struct points_export *)stream;

	sheet_free(export->answer.sheet);
	free(export);
}

static int points_more(struct api_stream *stream, char **ret_text, size_t *ret_len)
{
	struct points_export *export = (struct points_export *)stream;
	int64_t end_s = export->query.to_s, step_s;
	struct history_query query = export->query;
	char *text;
	int err;

	/* a piece may be empty, but for the names of columns before the first */
	do {
		if (export->next_s >= end_s)
			return -ENODATA;
		query.from_s = export->next_s;
		query.to_s = query.from_s + EXPORT_POINTS * query.step_s;
		if (query.to_s > end_s)
			query.to_s = end_s;
		err = store_history(export->answer.store, &query, export->point, &export->answer,
				    &step_s);
		if (err)
			return err;
		export->next_s = query.to_s;
		text = sheet_piece(export->answer.sheet, ret_len);
		if (!text)
			return -ENOMEM;
		if (!*ret_len)
			free(text);
	} while (!*ret_len);
	*ret_text = text;
	return 0;
}

/* The step is known before the first point is. */
static int stop_at_once(const struct history_point *point, void *ctx)
{
	(void)point, (void)ctx;
	return -ECANCELED;
}

static int start_points(struct answer *answer, const struct history_query *query, point_fn point)
{
	struct points_export *export = calloc(1, sizeof(*export));
	int64_t step_s = query->step_s;
	int err = export ? store_history(answer->store, query, stop_at_once, NULL, &step_s)
			 : -ENOMEM;

	if (err && err != -ECANCELED) {
		free(export);
		return finish(answer, err);
	}
	*export = (struct points_export){
		.stream = {.more = points_more, .free = points_free},
		.answer = {.store = answer->store,
			   .sheet = answer->sheet,
			   .part = answer->part,
			   .has_queue_wait = answer->has_queue_wait},
		.query = *query,
		.next_s = query->from_s - query->from_s % step_s,
		.point = point,
	};
	export->query.step_s = step_s;
	filter_keep(&export->query.filter, &export->kept);
	answer_ok(answer);
	answer->call->answer->stream = &export->stream;
	return 0;
}

static int add_point(const struct history_point *point, void *ctx)
{
	struct answer *answer = ctx;

	return sheet_point(answer->sheet, point, answer->part, answer->has_queue_wait);
}

static int add_heat(const struct history_point *point, void *ctx)
{
	struct answer *answer = ctx;

	return sheet_heat(answer->sheet, point, answer->part != PART_USER);
}

static int get_points(struct call *call, const struct ask_form *form, enum sheet_of of,
		      point_fn point)
{
	struct history_query query;
	struct answer answer;
	int err;

	if (begin(&answer, call, form, of, &err))
		return err;
	take_part(&answer);
	if (refuse_mixture(&answer, &err))
		return err;
	query = query_of(&answer);
	if (answer.ask.csv)
		return start_points(&answer, &query, point);
	return finish(&answer,
		      store_history(answer.store, &query, point, &answer, &answer.head.step_s));
}

int history_get(struct call *call)
{
	static const struct ask_form form = {.keys = ASK_SPAN | ASK_STEP | ASK_FILTER | ASK_TYPE |
						     ASK_FORMAT,
					     .name = "history",
					     .hours_default = 24};

	return get_points(call, &form, SHEET_POINTS, add_point);
}

int heatmap_get(struct call *call)
{
	static const struct ask_form form = {.keys = ASK_SPAN | ASK_STEP | ASK_FILTER | ASK_FORMAT,
					     .name = "heatmap",
					     .hours_default = 24};

	return get_points(call, &form, SHEET_HEATMAP, add_heat);
}

/* --- connections: those that are open, and those in the store --- */

static const char *const connection_sorts[] = {"time",  "duration", "messages",
					       "bytes", "latency",  NULL};

/* A copy, because the walk's texts do not last. */
struct open_row {
	struct open_connection connection;
	char server[LABEL_SIZE], channel[LABEL_SIZE], user[LABEL_USER_SIZE];
	uint64_t key; /* what it is sorted by */
};

struct open_rows {
	const struct ask *ask;
	uint64_t now_wall_ns;
	struct open_row *rows;
	size_t nr, max;
};

static bool is_found(const char *text, const char *search)
{
	return strcasestr(text, search) != NULL;
}

static uint64_t open_key(const struct open_rows *open, const struct open_connection *c)
{
	switch (open->ask->sort) {
	case ROWS_BY_MESSAGES:
		return c->received + c->sent;
	case ROWS_BY_BYTES:
		return c->bytes_received + c->bytes_sent;
	case ROWS_BY_LATENCY:
		return 0; /* not known of a connection */
	case ROWS_BY_DURATION:
		return open->now_wall_ns > c->open_wall_ns ? open->now_wall_ns - c->open_wall_ns
							   : 0;
	default:
		return c->open_wall_ns;
	}
}

static int take_open(const struct open_connection *c, void *ctx)
{
	struct open_rows *open = ctx;
	const char *search = open->ask->search;
	struct open_row *row;

	if (search && !is_found(c->server, search) && !is_found(c->channel, search) &&
	    !is_found(c->user, search))
		return 0;
	if (open->nr == open->max) {
		size_t max = open->max ? open->max * 2 : 64;
		struct open_row *more = realloc(open->rows, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		open->rows = more;
		open->max = max;
	}
	row = &open->rows[open->nr++];
	row->connection = *c;
	snprintf(row->server, sizeof(row->server), "%s", c->server);
	snprintf(row->channel, sizeof(row->channel), "%s", c->channel);
	snprintf(row->user, sizeof(row->user), "%s", c->user);
	row->key = open_key(open, c);
	return 0;
}

static int largest_first(const void *a, const void *b)
{
	const struct open_row *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? 1 : -1;
	return x->connection.id < y->connection.id   ? 1
	       : x->connection.id > y->connection.id ? -1
						     : 0;
}

static int smallest_first(const void *a, const void *b)
{
	return largest_first(b, a);
}

static int add_open(struct answer *answer, const struct open_rows *open, size_t i)
{
	struct open_connection c = open->rows[i].connection;

	c.server = open->rows[i].server;
	c.channel = open->rows[i].channel;
	c.user = open->rows[i].user;
	return sheet_open(answer->sheet, &c, open->now_wall_ns);
}

/* Closed ones between the open ones, where the order wants them. */
struct merge {
	struct answer *answer;
	struct open_rows open;
	size_t at;         /* next open one */
	size_t skip, left; /* of all rows, in order */
};

static uint64_t closed_key(const struct merge *merge, const struct closed_connection *c)
{
	switch (merge->answer->ask.sort) {
	case ROWS_BY_MESSAGES:
		return c->received + c->sent;
	case ROWS_BY_BYTES:
		return c->bytes_received + c->bytes_sent;
	case ROWS_BY_LATENCY:
		return c->latency_avg_ns;
	default:
		return (uint64_t)(c->closed_ns - c->opened_ns);
	}
}

/* 1: it is in the answer. */
static int is_in(struct merge *merge)
{
	if (merge->skip) {
		merge->skip--;
		return 0;
	}
	if (!merge->left)
		return 0;
	merge->left--;
	return 1;
}

static int merge_open(struct merge *merge)
{
	size_t i = merge->at++;

	return is_in(merge) ? add_open(merge->answer, &merge->open, i) : 0;
}

static int merge_closed(const struct closed_connection *c, void *ctx)
{
	struct merge *merge = ctx;
	bool ascending = merge->answer->ask.ascending;
	int err = 0;

	while (!err && merge->at < merge->open.nr) {
		uint64_t open = merge->open.rows[merge->at].key, closed = closed_key(merge, c);

		if (ascending ? open > closed : open < closed)
			break;
		err = merge_open(merge);
	}
	return err ? err : is_in(merge) ? sheet_closed(merge->answer->sheet, c) : 0;
}

static int just_closed(const struct closed_connection *c, void *ctx)
{
	return sheet_closed(((struct answer *)ctx)->sheet, c);
}

static struct rows_query rows_of(const struct ask *ask, int error)
{
	return (struct rows_query){
		.from_s = ask->span.from_s,
		.to_s = ask->span.to_s,
		.filter = ask->filter,
		.search = ask->search,
		.error = error,
		.sort = (enum rows_sort)ask->sort,
		.ascending = ask->ascending,
		.offset = ask->offset,
		.limit = ask->limit,
	};
}

static int take_all_open(struct answer *answer, struct open_rows *open)
{
	const struct ask *ask = &answer->ask;
	struct filter filter = {.server = ask->filter.server,
				.channel = ask->filter.channel,
				.user = ask->filter.user};
	struct timespec now = {0};
	int err;

	clock_gettime(CLOCK_REALTIME, &now);
	*open = (struct open_rows){
		.ask = ask, .now_wall_ns = (uint64_t)now.tv_sec * NS_S + (uint64_t)now.tv_nsec};
	if (ask->state == ASK_STATE_CLOSED)
		return 0;
	err = aggregate_connections(answer->call->api->aggregate, &filter, take_open, open);
	if (!err && open->nr)
		qsort(open->rows, open->nr, sizeof(*open->rows),
		      ask->ascending ? smallest_first : largest_first);
	return err;
}

/* By time: what is open has no end yet, so it is newer than all that has closed. */
static int connections_by_time(struct answer *answer, struct open_rows *open)
{
	const struct ask *ask = &answer->ask;
	struct rows_query query = rows_of(ask, -1);
	size_t closed = 0, begin = ask->offset, end = ask->offset + ask->limit, open_at = 0;
	int err = 0;

	if (ask->ascending && ask->state != ASK_STATE_OPEN) {
		err = store_connections(answer->store, &query, just_closed, answer, &closed);
		open_at = closed;
	}
	for (size_t i = 0; !err && i < open->nr; i++)
		if (open_at + i >= begin && open_at + i < end)
			err = add_open(answer, open, i);
	if (!err && !ask->ascending && ask->state != ASK_STATE_OPEN) {
		size_t shown = end < open->nr ? end : open->nr;

		query.offset = begin > open->nr ? begin - open->nr : 0;
		query.limit = ask->limit - (shown > begin ? shown - begin : 0);
		if (!query.limit) { /* only how many there are */
			query.limit = 1;
			query.offset = INT32_MAX;
		}
		err = store_connections(answer->store, &query, just_closed, answer, &closed);
	}
	answer->head.total = open->nr + closed;
	return err;
}

static int connections_by_size(struct answer *answer, struct open_rows *open)
{
	const struct ask *ask = &answer->ask;
	struct rows_query query = rows_of(ask, -1);
	struct merge merge = {
		.answer = answer, .open = *open, .skip = ask->offset, .left = ask->limit};
	size_t closed = 0;
	int err = 0;

	query.offset = 0;
	query.limit = ask->offset + ask->limit;
	if (ask->state != ASK_STATE_OPEN)
		err = store_connections(answer->store, &query, merge_closed, &merge, &closed);
	while (!err && merge.at < open->nr && merge.left)
		err = merge_open(&merge);
	answer->head.total = open->nr + closed;
	return err;
}

/* --- exports: all rows by time, as they are sent --- */

#define EXPORT_PIECE 500 /* rows */

struct export
{
	struct api_stream stream;
	struct store *store;
	struct rows_query query;
	enum sheet_of of;
	struct sheet *sheet;
	uint64_t last_key;
	size_t taken;          /* of the piece */
	bool ended, only_head; /* nothing of the store follows */
	struct kept_filter kept;
	char search[256];
};

static void export_free(struct api_stream *stream)
{
	struct export *export = (struct export *)stream;

	sheet_free(export->sheet);
	free(export);
}

static int export_closed(const struct closed_connection *c, void *ctx)
{
	struct export *export = ctx;

	export->last_key = c->key;
	export->taken++;
	return sheet_closed(export->sheet, c);
}

static int export_error(const struct error_entry *e, void *ctx)
{
	struct export *export = ctx;

	export->last_key = e->key;
	export->taken++;
	return sheet_error(export->sheet, e);
}

static int export_more(struct api_stream *stream, char **ret_text, size_t *ret_len)
{
	struct export *export = (struct export *)stream;
	char *text;
	int err;

	if (export->ended)
		return -ENODATA;
	export->taken = 0;
	export->query.after_key = export->last_key;
	if (export->only_head)
		err = 0;
	else
		err = export->of == SHEET_CONNECTIONS
			      ? store_connections(export->store, &export->query, export_closed,
						  export, NULL)
			      : store_errors(export->store, &export->query, export_error, export,
					     NULL);
	if (err)
		return err;
	export->ended = export->taken < EXPORT_PIECE;
	export->only_head = false;
	text = sheet_piece(export->sheet, ret_len);
	if (!text)
		return -ENOMEM;
	if (!*ret_len) {
		free(text);
		return -ENODATA;
	}
	*ret_text = text;
	return 0;
}

/* All rows, not a page of them. */
static bool is_export(const struct ask *ask)
{
	/* what is open comes first, so the oldest cannot be the first to be sent */
	return ask->csv && !ask->has_limit && !ask->offset && ask->sort == ROWS_BY_TIME &&
	       (!ask->ascending || ask->state == ASK_STATE_CLOSED);
}

/* What is in the sheet already goes first. closed: whether rows of the store follow. */
static int start_export(struct answer *answer, enum sheet_of of, int error, bool closed)
{
	struct export *export = calloc(1, sizeof(*export));

	if (!export)
		return finish(answer, -ENOMEM);
	*export = (struct export){
		.stream = {.more = export_more, .free = export_free},
		.store = answer->store,
		.query = rows_of(&answer->ask, error),
		.of = of,
		.sheet = answer->sheet,
		.only_head = !closed,
	};
	filter_keep(&export->query.filter, &export->kept);
	export->query.search = copy_of(export->query.search, export->search,
				       sizeof(export->search));
	export->query.limit = EXPORT_PIECE;
	answer_ok(answer);
	answer->call->answer->stream = &export->stream;
	return 0;
}

static int export_connections(struct answer *answer, const struct open_rows *open)
{
	int err = 0;

	for (size_t i = 0; !err && i < open->nr; i++)
		err = add_open(answer, open, i);
	return err ? finish(answer, err)
		   : start_export(answer, SHEET_CONNECTIONS, -1,
				  answer->ask.state != ASK_STATE_OPEN);
}

int connections_get(struct call *call)
{
	static const struct ask_form form = {.name = "connections",
					     .keys = ASK_SPAN | ASK_FILTER | ASK_SEARCH |
						     ASK_STATE | ASK_SORT | ASK_ORDER | ASK_PAGE |
						     ASK_FORMAT,
					     .sorts = connection_sorts,
					     .hours_default = 24};
	struct answer answer;
	struct open_rows open;
	int err;

	if (begin(&answer, call, &form, SHEET_CONNECTIONS, &err))
		return err;
	answer.head.filter = &answer.ask.filter;
	answer.head.has_total = true;
	err = take_all_open(&answer, &open);
	if (!err && is_export(&answer.ask)) {
		err = export_connections(&answer, &open);
		free(open.rows);
		return err;
	}
	if (!err)
		err = answer.ask.sort == ROWS_BY_TIME ? connections_by_time(&answer, &open)
						      : connections_by_size(&answer, &open);
	free(open.rows);
	return finish(&answer, err);
}

/* --- errors --- */

static int error_of_key(const char *key)
{
	for (int type = ERROR_NONE + 1; type < NR_ERROR_TYPES; type++)
		if (!strcmp(key, error_key((enum error_type)type)))
			return type;
	return -1;
}

static int refuse_type(struct answer *answer)
{
	char known[256] = "";
	size_t len = 0;

	sheet_free(answer->sheet);
	for (int type = ERROR_NONE + 1; type < NR_ERROR_TYPES; type++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					error_key((enum error_type)type));
	return answer_error(answer->call, 400, "type takes one of %s", known);
}

static int add_error(const struct error_entry *error, void *ctx)
{
	return sheet_error(((struct answer *)ctx)->sheet, error);
}

int errors_get(struct call *call)
{
	static const struct ask_form form = {.name = "errors",
					     .keys = ASK_SPAN | ASK_FILTER | ASK_TYPE | ASK_SEARCH |
						     ASK_ORDER | ASK_PAGE | ASK_FORMAT,
					     .hours_default = 24};
	struct rows_query query;
	struct answer answer;
	int err, type = -1;

	if (begin(&answer, call, &form, SHEET_ERRORS, &err))
		return err;
	if (answer.ask.type) {
		type = error_of_key(answer.ask.type);
		if (type < 0)
			return refuse_type(&answer);
	}
	answer.head.filter = &answer.ask.filter;
	answer.head.type = answer.ask.type;
	answer.head.has_total = true;
	answer.ask.state = ASK_STATE_CLOSED; /* none is open */
	if (is_export(&answer.ask))
		return start_export(&answer, SHEET_ERRORS, type, true);
	query = rows_of(&answer.ask, type);
	return finish(&answer,
		      store_errors(answer.store, &query, add_error, &answer, &answer.head.total));
}

/* --- servers, channels, users --- */

static const char *const series_sorts[] = {"messages", "connections", "errors", "latency",
					   "bytes",    "name",        NULL};
static const char *const user_sorts[] = {"messages", "connections", "bytes", "name", NULL};

static int add_series(const struct series_total *total, void *ctx)
{
	return sheet_series(((struct answer *)ctx)->sheet, total);
}

static int get_series(struct call *call, enum series_kind kind, const char *name, unsigned keys)
{
	const struct ask_form form = {.name = name,
				      .keys = keys | ASK_SPAN | ASK_SORT | ASK_PAGE | ASK_FORMAT,
				      .sorts = series_sorts,
				      .hours_default = 24};
	struct series_query query = {.kind = kind};
	struct answer answer;
	int err;

	if (begin(&answer, call, &form, SHEET_SERIES, &err))
		return err;
	query.from_s = answer.ask.span.from_s;
	query.to_s = answer.ask.span.to_s;
	query.server = answer.ask.filter.server;
	query.sort = (enum series_sort)answer.ask.sort;
	query.offset = answer.ask.offset;
	query.limit = answer.ask.limit;
	answer.head.filter = &answer.ask.filter;
	answer.head.has_total = true;
	return finish(&answer,
		      store_series(answer.store, &query, add_series, &answer, &answer.head.total));
}

int servers_get(struct call *call)
{
	return get_series(call, SERIES_SERVER, "servers", 0);
}

int channels_get(struct call *call)
{
	return get_series(call, SERIES_CHANNEL, "channels", ASK_SERVER);
}

static int add_user(const struct user_counts *counts, void *ctx)
{
	return sheet_user(((struct answer *)ctx)->sheet, counts);
}

int users_get(struct call *call)
{
	static const struct ask_form form = {.name = "users",
					     .keys = ASK_SPAN | ASK_SORT | ASK_PAGE | ASK_FORMAT,
					     .sorts = user_sorts,
					     .hours_default = 24};
	static const enum series_sort sorts[] = {SERIES_BY_MESSAGES, SERIES_BY_CONNECTIONS,
						 SERIES_BY_BYTES, SERIES_BY_NAME};
	struct users_query query;
	struct answer answer;
	int err;

	if (begin(&answer, call, &form, SHEET_USERS, &err))
		return err;
	query = (struct users_query){
		.from_s = answer.ask.span.from_s,
		.to_s = answer.ask.span.to_s,
		.sort = sorts[answer.ask.sort],
		.offset = answer.ask.offset,
		.limit = answer.ask.csv && !answer.ask.has_limit ? STORE_USERS_MAX
								 : answer.ask.limit,
	};
	answer.head.has_total = true;
	return finish(&answer,
		      store_users(answer.store, &query, add_user, &answer, &answer.head.total));
}

/* --- events --- */

static int add_event(const struct store_event *event, void *ctx)
{
	return sheet_event(((struct answer *)ctx)->sheet, event);
}

int events_get(struct call *call)
{
	static const struct ask_form form = {
		.name = "events", .keys = ASK_SPAN | ASK_LIMIT | ASK_FORMAT, .hours_default = 24};
	struct answer answer;
	int err;

	if (begin(&answer, call, &form, SHEET_EVENTS, &err))
		return err;
	err = store_events(answer.store, answer.ask.span.from_s, answer.ask.span.to_s,
			   answer.ask.has_limit ? answer.ask.limit : STORE_SORTED_MAX, add_event,
			   &answer);
	return finish(&answer, err);
}

/* --- two periods --- */

static int refuse_periods(struct call *call)
{
	return answer_error(call, 400,
			    "give two periods: a=FROM/TO and b=FROM/TO, as in "
			    "a=2026-11-24T14:00Z/2026-11-24T15:00Z");
}

/* Both sums, for free(). */
static int compare_totals(struct answer *answer, struct store_total **ret_totals)
{
	const struct ask *ask = &answer->ask;
	struct store_total *totals = calloc(2, sizeof(*totals));
	int err = totals ? 0 : -ENOMEM;

	take_part(answer);
	if (!err)
		err = store_total(answer->store, ask->a.from_s, ask->a.to_s, &ask->filter,
				  &totals[0]);
	if (!err)
		err = store_total(answer->store, ask->b.from_s, ask->b.to_s, &ask->filter,
				  &totals[1]);
	if (err)
		free(totals);
	else
		*ret_totals = totals;
	return err;
}

int compare_get(struct call *call)
{
	static const struct ask_form form = {
		.name = "compare", .keys = ASK_A | ASK_B | ASK_SERVER | ASK_CHANNEL | ASK_FORMAT};
	struct api_answer *out = call->answer;
	struct store_total *totals = NULL;
	struct answer answer;
	int err;

	if (begin(&answer, call, &form, SHEET_COMPARE, &err))
		return err;
	sheet_free(answer.sheet);
	answer.sheet = NULL;
	if (!answer.ask.a.to_s || !answer.ask.b.to_s)
		return refuse_periods(call);
	err = compare_totals(&answer, &totals);
	recorder_state(call->api->recorder, answer.state);
	if (!err) {
		out->body = json_of_compare(&totals[0], &totals[1], answer.part,
					    answer.has_queue_wait, &answer.head, answer.ask.csv,
					    &out->len);
		err = out->body ? 0 : -ENOMEM;
		answer_ok(&answer);
	}
	free(totals);
	return err && err != -ENOMEM ? finish(&answer, err) : err;
}

/* --- forecast --- */

struct past {
	int64_t begin_s;
	double connections[FORECAST_PAST_MAX], rate[FORECAST_PAST_MAX];
	struct forecast connections_forecast, rate_forecast;
};

static int take_hour(const struct history_point *point, void *ctx)
{
	struct past *past = ctx;
	int64_t at = (point->time_s - past->begin_s) / FORECAST_STEP_S;
	const struct point_counts *n = &point->sum->counts;

	/* half an hour says little of an hour */
	if (point->step_s != FORECAST_STEP_S || at < 0 || at >= FORECAST_PAST_MAX ||
	    point->covered_s < FORECAST_STEP_S / 2.0)
		return 0;
	past->connections[at] = (double)n->peak;
	past->rate[at] = (double)(n->n.received + n->n.sent) / point->covered_s;
	return 0;
}

static int look_ahead(struct answer *answer, struct past *past)
{
	struct history_query query = {.step_s = FORECAST_STEP_S, .filter = answer->ask.filter};
	int64_t now_s = answer->call->request->wall, step_s;
	int err;

	query.to_s = now_s - now_s % FORECAST_STEP_S;
	query.from_s = past->begin_s = query.to_s - (int64_t)FORECAST_PAST_MAX * FORECAST_STEP_S;
	for (size_t i = 0; i < FORECAST_PAST_MAX; i++)
		past->connections[i] = past->rate[i] = NAN;
	answer->head.from_s = query.to_s;
	answer->head.to_s = query.to_s + (int64_t)answer->ask.hours * FORECAST_STEP_S;
	err = store_history(answer->store, &query, take_hour, past, &step_s);
	if (!err)
		err = forecast_make(past->begin_s, past->connections, FORECAST_PAST_MAX,
				    answer->ask.hours, &past->connections_forecast,
				    &answer->head.missing_hours);
	if (!err)
		err = forecast_make(past->begin_s, past->rate, FORECAST_PAST_MAX, answer->ask.hours,
				    &past->rate_forecast, &answer->head.missing_hours);
	return err;
}

int forecast_get(struct call *call)
{
	static const struct ask_form form = {
		.name = "forecast", .keys = ASK_HOURS | ASK_SERVER | ASK_CHANNEL | ASK_FORMAT};
	struct answer answer;
	struct past *past;
	char why[96];
	int err;

	if (begin(&answer, call, &form, SHEET_FORECAST, &err))
		return err;
	past = calloc(1, sizeof(*past));
	if (!past)
		return finish(&answer, -ENOMEM);
	if (!answer.ask.hours)
		answer.ask.hours = 24;
	answer.head.filter = &answer.ask.filter;
	err = look_ahead(&answer, past);
	if (err == -ENODATA) {
		snprintf(why, sizeof(why), "the history is too short: %zu more hours are needed",
			 answer.head.missing_hours);
		answer.head.why = why;
		err = 0;
	} else if (!err) {
		answer.head.connections = &past->connections_forecast;
		answer.head.rate = &past->rate_forecast;
		for (size_t i = 0; !err && i < past->connections_forecast.nr_hours; i++)
			err = sheet_forecast(answer.sheet, &past->connections_forecast.hours[i],
					     &past->rate_forecast.hours[i]);
	}
	err = finish(&answer, err);
	free(past);
	return err;
}

/* --- the same for people, on the local socket --- */

#define LOCAL_KEYS (ASK_WIDTH | ASK_BOLD)

/* A page for the answer's text; begin's sheet is not needed. Returns 1 when the answer is made. */
static int begin_page(struct answer *answer, struct call *call, const struct ask_form *form,
		      struct page *ret_page, char **text, size_t *len, int *ret_err)
{
	if (begin(answer, call, form, SHEET_POINTS, ret_err))
		return 1;
	sheet_free(answer->sheet);
	answer->sheet = NULL;
	*ret_page = (struct page){
		.out = open_memstream(text, len),
		.width = answer->ask.width ? answer->ask.width : 132,
		.bold = answer->ask.bold,
	};
	if (ret_page->out)
		return 0;
	*ret_err = -ENOMEM;
	return 1;
}

static int finish_page(struct answer *answer, const struct page *page, char **text, int err)
{
	struct api_answer *out = answer->call->answer;

	recorder_state(answer->call->api->recorder, answer->state);
	if (!err && strcmp(answer->state, "ok") != 0)
		fprintf(page->out, "\nThe store is %s\n", answer->state);
	if (fclose(page->out) && !err)
		err = -ENOMEM;
	if (err) {
		free(*text);
		return finish(answer, err);
	}
	out->status = 200;
	out->type = TEXT_TYPE;
	out->body = *text;
	out->len = strlen(*text);
	return 0;
}

static int table_point(const struct history_point *point, void *ctx)
{
	history_table_add(ctx, point);
	return 0;
}

static int line_point(const struct history_point *point, void *ctx)
{
	history_lines_add(ctx, point);
	return 0;
}

/* So many points of the span, or fewer. */
static int tabulate(const struct answer *answer, int64_t most, point_fn point, void *ctx,
		    int64_t *ret_step_s)
{
	const struct ask_span *span = &answer->ask.span;
	struct history_query query = {
		.from_s = span->from_s,
		.to_s = span->to_s,
		.step_s = (span->to_s - span->from_s + most - 1) / most,
		.filter = answer->ask.filter,
	};

	if (query.step_s < STORE_INTERVAL_S)
		query.step_s = STORE_INTERVAL_S;
	return store_history(answer->store, &query, point, ctx, ret_step_s);
}

int history_local(struct call *call)
{
	static const struct ask_form form = {.keys = ASK_SPAN | ASK_FILTER | LOCAL_KEYS,
					     .hours_default = 24};
	int64_t step_s, line_step_s = STORE_INTERVAL_S, room;
	struct history_table *table;
	struct answer answer;
	struct page page;
	char *text;
	size_t len;
	int err;

	if (begin_page(&answer, call, &form, &page, &text, &len, &err))
		return err;
	table = history_table_new(&page);
	if (!table)
		return finish_page(&answer, &page, &text, -ENOMEM);
	err = tabulate(&answer, TABLE_POINTS / 2, table_point, table, &step_s);
	room = (int64_t)page.width - LINE_AROUND < LINE_POINTS ? (int64_t)page.width - LINE_AROUND
							       : LINE_POINTS;
	if (!err && page.bold && room > 0) /* widened to whole steps there may be one more */
		err = tabulate(&answer, room - 1 ? room - 1 : 1, line_point, table, &line_step_s);
	history_table_print(table, line_step_s);
	return finish_page(&answer, &page, &text, err);
}

static int table_closed(const struct closed_connection *c, void *ctx)
{
	connections_table_closed(ctx, c);
	return 0;
}

int connections_local(struct call *call)
{
	static const struct ask_form form = {.keys = ASK_SPAN | ASK_FILTER | ASK_SEARCH |
						     ASK_LIMIT | LOCAL_KEYS,
					     .hours_default = 24};
	struct rows_table *table;
	struct open_rows open;
	struct answer answer;
	struct page page;
	size_t len, closed = 0;
	char *text;
	int err;

	if (begin_page(&answer, call, &form, &page, &text, &len, &err))
		return err;
	err = take_all_open(&answer, &open);
	table = err ? NULL : connections_table_new(&page, answer.ask.limit);
	if (table) {
		struct rows_query query = rows_of(&answer.ask, -1);

		for (size_t i = 0; i < open.nr; i++) {
			struct open_connection c = open.rows[i].connection;

			c.server = open.rows[i].server;
			c.channel = open.rows[i].channel;
			c.user = open.rows[i].user;
			connections_table_open(table, &c, open.now_wall_ns);
		}
		err = store_connections(answer.store, &query, table_closed, table, &closed);
		rows_table_print(table, "connections", open.nr + closed);
	} else if (!err) {
		err = -ENOMEM;
	}
	free(open.rows);
	return finish_page(&answer, &page, &text, err);
}

static int table_error(const struct error_entry *e, void *ctx)
{
	errors_table_add(ctx, e);
	return 0;
}

int errors_local(struct call *call)
{
	static const struct ask_form form = {.keys = ASK_SPAN | ASK_FILTER | ASK_SEARCH |
						     ASK_LIMIT | LOCAL_KEYS,
					     .hours_default = 24};
	struct rows_table *table;
	struct rows_query query;
	struct answer answer;
	struct page page;
	size_t len, total = 0;
	char *text;
	int err;

	if (begin_page(&answer, call, &form, &page, &text, &len, &err))
		return err;
	table = errors_table_new(&page, answer.ask.limit);
	if (!table)
		return finish_page(&answer, &page, &text, -ENOMEM);
	query = rows_of(&answer.ask, -1);
	err = store_errors(answer.store, &query, table_error, table, &total);
	rows_table_print(table, "errors", total);
	return finish_page(&answer, &page, &text, err);
}

int compare_local(struct call *call)
{
	static const struct ask_form form = {.keys = ASK_A | ASK_B | ASK_SERVER | ASK_CHANNEL |
						     LOCAL_KEYS};
	struct store_total *totals = NULL;
	struct answer answer;
	struct page page;
	size_t len;
	char *text;
	int err;

	if (begin_page(&answer, call, &form, &page, &text, &len, &err))
		return err;
	if (!answer.ask.a.to_s || !answer.ask.b.to_s) {
		fclose(page.out);
		free(text);
		return refuse_periods(call);
	}
	err = compare_totals(&answer, &totals);
	if (!err)
		compare_table_print(&page, &totals[0], &totals[1]);
	free(totals);
	return finish_page(&answer, &page, &text, err);
}

/* --- what all of this is --- */

#include "openapi.json.h" /* openapi_json: user/openapi.json as one string */

int openapi_get(struct call *call)
{
	int err;

	return no_parameters(call, &err) ? err
					 : answer_text(call, 200, JSON_TYPE, strdup(openapi_json));
}

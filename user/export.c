// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- points --- */

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

int export_points(struct answer *answer, const struct history_query *query, point_fn point)
{
	struct points_export *export = calloc(1, sizeof(*export));
	int64_t step_s = query->step_s;
	int err = export ? store_history(answer->store, query, stop_at_once, NULL, &step_s)
			 : -ENOMEM;

	if (err && err != -ECANCELED) {
		free(export);
		return answer_finish(answer, err);
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

/* --- rows --- */

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

bool export_is_wanted(const struct ask *ask)
{
	/* what is open comes first, so the oldest cannot be the first to be sent */
	return ask->csv && !ask->has_limit && !ask->offset && ask->sort == ROWS_BY_TIME &&
	       (!ask->ascending || ask->state == ASK_STATE_CLOSED);
}

int export_rows(struct answer *answer, enum sheet_of of, int error, bool closed)
{
	struct export *export = calloc(1, sizeof(*export));

	if (!export)
		return answer_finish(answer, -ENOMEM);
	*export = (struct export){
		.stream = {.more = export_more, .free = export_free},
		.store = answer->store,
		.query = answer_rows(&answer->ask, error),
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

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * In: checked questions (ask.h). Out: what the store and the last walk answer, as sheets
 * (json_history.h).
 */
#include "api_history.h"

#include <errno.h>
#include <stdlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "export.h"
#include "open_rows.h"

/* --- points --- */

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

	if (answer_begin(&answer, call, form, of, &err))
		return err;
	answer_take_part(&answer);
	if (answer_refuse_mixture(&answer, &err))
		return err;
	query = query_of(&answer);
	if (answer.ask.csv)
		return export_points(&answer, &query, point);
	return answer_finish(
		&answer, store_history(answer.store, &query, point, &answer, &answer.head.step_s));
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

static int add_open(struct answer *answer, const struct open_rows *open, size_t i)
{
	struct open_connection c = open_rows_at(open, i);

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

/* By time: what is open has no end yet, so it is newer than all that has closed. */
static int connections_by_time(struct answer *answer, struct open_rows *open)
{
	const struct ask *ask = &answer->ask;
	struct rows_query query = answer_rows(ask, -1);
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
	struct rows_query query = answer_rows(ask, -1);
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

static int export_connections(struct answer *answer, const struct open_rows *open)
{
	int err = 0;

	for (size_t i = 0; !err && i < open->nr; i++)
		err = add_open(answer, open, i);
	return err ? answer_finish(answer, err)
		   : export_rows(answer, SHEET_CONNECTIONS, -1,
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

	if (answer_begin(&answer, call, &form, SHEET_CONNECTIONS, &err))
		return err;
	answer.head.filter = &answer.ask.filter;
	answer.head.has_total = true;
	err = open_rows_take(call->api->aggregate, &answer.ask, &open);
	if (!err && export_is_wanted(&answer.ask)) {
		err = export_connections(&answer, &open);
		free(open.rows);
		return err;
	}
	if (!err)
		err = answer.ask.sort == ROWS_BY_TIME ? connections_by_time(&answer, &open)
						      : connections_by_size(&answer, &open);
	free(open.rows);
	return answer_finish(&answer, err);
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

	if (answer_begin(&answer, call, &form, SHEET_ERRORS, &err))
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
	if (export_is_wanted(&answer.ask))
		return export_rows(&answer, SHEET_ERRORS, type, true);
	query = answer_rows(&answer.ask, type);
	return answer_finish(&answer, store_errors(answer.store, &query, add_error, &answer,
						   &answer.head.total));
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

	if (answer_begin(&answer, call, &form, SHEET_SERIES, &err))
		return err;
	query.from_s = answer.ask.span.from_s;
	query.to_s = answer.ask.span.to_s;
	query.server = answer.ask.filter.server;
	query.sort = (enum series_sort)answer.ask.sort;
	query.offset = answer.ask.offset;
	query.limit = answer.ask.limit;
	answer.head.filter = &answer.ask.filter;
	answer.head.has_total = true;
	return answer_finish(&answer, store_series(answer.store, &query, add_series, &answer,
						   &answer.head.total));
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

	if (answer_begin(&answer, call, &form, SHEET_USERS, &err))
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
	return answer_finish(
		&answer, store_users(answer.store, &query, add_user, &answer, &answer.head.total));
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

	if (answer_begin(&answer, call, &form, SHEET_EVENTS, &err))
		return err;
	err = store_events(answer.store, answer.ask.span.from_s, answer.ask.span.to_s,
			   answer.ask.has_limit ? answer.ask.limit : STORE_SORTED_MAX, add_event,
			   &answer);
	return answer_finish(&answer, err);
}

/* --- two periods --- */

int compare_get(struct call *call)
{
	static const struct ask_form form = {
		.name = "compare", .keys = ASK_A | ASK_B | ASK_SERVER | ASK_CHANNEL | ASK_FORMAT};
	struct api_answer *out = call->answer;
	struct store_total *totals = NULL;
	struct answer answer;
	int err;

	if (answer_begin(&answer, call, &form, SHEET_COMPARE, &err))
		return err;
	sheet_free(answer.sheet);
	answer.sheet = NULL;
	if (!answer.ask.a.to_s || !answer.ask.b.to_s)
		return answer_refuse_periods(call);
	err = answer_totals(&answer, &totals);
	recorder_state(call->api->recorder, answer.state);
	if (!err) {
		out->body = json_of_compare(&totals[0], &totals[1], answer.part,
					    answer.has_queue_wait, &answer.head, answer.ask.csv,
					    &out->len);
		err = out->body ? 0 : -ENOMEM;
		answer_ok(&answer);
	}
	free(totals);
	return err && err != -ENOMEM ? answer_finish(&answer, err) : err;
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

	if (answer_begin(&answer, call, &form, SHEET_FORECAST, &err))
		return err;
	past = calloc(1, sizeof(*past));
	if (!past)
		return answer_finish(&answer, -ENOMEM);
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
	err = answer_finish(&answer, err);
	free(past);
	return err;
}

/* --- what all of this is --- */

#include "openapi.json.h" /* openapi_json: user/openapi.json as one string */

int openapi_get(struct call *call)
{
	int err;

	return no_parameters(call, &err) ? err
					 : answer_text(call, 200, JSON_TYPE, strdup(openapi_json));
}

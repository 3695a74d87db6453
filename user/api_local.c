// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "api_local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "open_rows.h"
#include "table_history.h"

#define LOCAL_KEYS (ASK_WIDTH | ASK_BOLD)

/* A page for the answer's text; begin's sheet is not needed. Returns 1 when the answer is made. */
static int begin_page(struct answer *answer, struct call *call, const struct ask_form *form,
		      struct page *ret_page, char **text, size_t *len, int *ret_err)
{
	if (answer_begin(answer, call, form, SHEET_POINTS, ret_err))
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
		return answer_finish(answer, err);
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
static int tabulate(const struct answer *answer, int64_t most,
		    int (*point)(const struct history_point *point, void *ctx), void *ctx,
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
	err = open_rows_take(call->api->aggregate, &answer.ask, &open);
	table = err ? NULL : connections_table_new(&page, answer.ask.limit);
	if (table) {
		struct rows_query query = answer_rows(&answer.ask, -1);

		for (size_t i = 0; i < open.nr; i++) {
			struct open_connection c = open_rows_at(&open, i);

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
	query = answer_rows(&answer.ask, -1);
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
		return answer_refuse_periods(call);
	}
	err = answer_totals(&answer, &totals);
	if (!err)
		compare_table_print(&page, &totals[0], &totals[1]);
	free(totals);
	return finish_page(&answer, &page, &text, err);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* History may be incomplete where the store is not available: each answer says so. */
#include "answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CSV_TYPE "text/csv; charset=utf-8; header=present"

int answer_begin(struct answer *answer, struct call *call, const struct ask_form *form,
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

void answer_ok(struct answer *answer)
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

int answer_finish(struct answer *answer, int err)
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

/* SPEC 5: as long as no rule names others. The kernel counts them by server, in both directions. */
static const struct {
	const char *type;
	enum sheet_part part;
} message_types[] = {{"text", PART_TEXT}, {"binary", PART_BINARY}};

void answer_take_part(struct answer *answer)
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

int answer_refuse_mixture(struct answer *answer, int *ret_err)
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

struct rows_query answer_rows(const struct ask *ask, int error)
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

/* --- two periods --- */

int answer_refuse_periods(struct call *call)
{
	return answer_error(call, 400,
			    "give two periods: a=FROM/TO and b=FROM/TO, as in "
			    "a=2026-11-24T14:00Z/2026-11-24T15:00Z");
}

int answer_totals(struct answer *answer, struct store_total **ret_totals)
{
	const struct ask *ask = &answer->ask;
	struct store_total *totals = calloc(2, sizeof(*totals));
	int err = totals ? 0 : -ENOMEM;

	answer_take_part(answer);
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

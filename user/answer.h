/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * An answer from history in the making: what the files that make them share. In: a request's call, what
 * it may ask for (ask.h), and what the store said. Out: the answer, or why there is none.
 */
#ifndef WSVITALS_ANSWER_H
#define WSVITALS_ANSWER_H

#include "ask.h"
#include "json_history.h"

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

/* Checks what was asked and makes an empty sheet. Returns 1 when the answer is made: something was
 * wrong. */
int answer_begin(struct answer *answer, struct call *call, const struct ask_form *form,
		 enum sheet_of of, int *ret_err);
/* Its status and type; a CSV gets a name. */
void answer_ok(struct answer *answer);
/* Takes the sheet. err: of the store's answer. */
int answer_finish(struct answer *answer, int err);

/* Which numbers the filter leaves known. */
void answer_take_part(struct answer *answer);
/* The store keeps a user's counts by interval, whatever the server, channel and type. Returns 1 when the
 * answer is made. */
int answer_refuse_mixture(struct answer *answer, int *ret_err);

/* error: enum error_type; -1: any */
struct rows_query answer_rows(const struct ask *ask, int error);

/* Both sums of two periods, for free(). */
int answer_totals(struct answer *answer, struct store_total **ret_totals);
int answer_refuse_periods(struct call *call);

#endif

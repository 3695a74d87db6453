/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What is asked of history. In: a request's parameters. Out: checked values; or the answer 400, which
 * says what was wrong and what is accepted.
 *
 * Times are seconds since 1970 or 2026-11-25T14:05:00Z (also without seconds, or only the date).
 */
#ifndef WSVITALS_ASK_H
#define WSVITALS_ASK_H

#include "call.h"
#include "store_query.h"

/* X(NAME, key) */
#define ASKS(X)                                                                                    \
	X(HOURS, "hours")                                                                          \
	X(FROM, "from")                                                                            \
	X(TO, "to")                                                                                \
	X(STEP, "step")                                                                            \
	X(SERVER, "server")                                                                        \
	X(CHANNEL, "channel")                                                                      \
	X(USER, "user")                                                                            \
	X(TYPE, "type")                                                                            \
	X(SEARCH, "search")                                                                        \
	X(STATE, "state")                                                                          \
	X(SORT, "sort")                                                                            \
	X(ORDER, "order")                                                                          \
	X(LIMIT, "limit")                                                                          \
	X(OFFSET, "offset")                                                                        \
	X(A, "a")                                                                                  \
	X(B, "b")                                                                                  \
	X(WIDTH, "width")                                                                          \
	X(BOLD, "bold")                                                                            \
	X(FORMAT, "format")
#define X(NAME, key) ASK_AT_##NAME,
enum ask_at { ASKS(X) NR_ASKS };
#undef X
#define X(NAME, key) ASK_##NAME = 1u << ASK_AT_##NAME,
enum ask_key { ASKS(X) };
#undef X

#define ASK_SPAN (ASK_HOURS | ASK_FROM | ASK_TO)
#define ASK_FILTER (ASK_SERVER | ASK_CHANNEL | ASK_USER)
#define ASK_PAGE (ASK_LIMIT | ASK_OFFSET)

#define ASK_HOURS_MAX 168 /* SPEC 4 */
#define ASK_LIMIT_DEFAULT 100

enum ask_state { ASK_STATE_ALL, ASK_STATE_OPEN, ASK_STATE_CLOSED };

struct ask_span {
	int64_t from_s, to_s;
};

struct ask {
	struct ask_span span;
	unsigned hours; /* 0: from and to say it */
	int64_t step_s; /* 0: not given */
	struct store_filter filter;
	const char *type;           /* of message, or of error */
	char user[LABEL_USER_SIZE]; /* what filter.user points to, if the user can be somebody */
	const char *search;
	enum ask_state state;
	int sort; /* index into the words that were accepted */
	bool ascending, has_order;
	bool has_limit;
	size_t limit, offset;
	struct ask_span a, b;
	unsigned width;
	bool bold, csv;
};

/* What an endpoint takes. */
struct ask_form {
	unsigned keys;            /* of enum ask_key */
	const char *name;         /* what a file of it is called */
	const char *const *sorts; /* NULL-terminated; the first is the default */
	unsigned hours_default;
};

/* Returns 1 when the answer is made: something was wrong. */
int ask_of(struct call *call, const struct ask_form *form, struct ask *ret_ask, int *ret_err);

#endif

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOUR_S 3600
#define TIME_MOST 4102444800ll /* 2100-01-01 */
#define TIMES "seconds since 1970 or a time such as 2026-11-25T14:05:00Z"

#define X(NAME, key) key,
static const char *const keys[] = {ASKS(X)};
#undef X

/* A parameter's value in the making of a 400. */
struct look {
	struct call *call;
	const char *key, *value;
	int *ret_err;
};

/* "KEY takes WHAT, not `VALUE'" */
static int refuse(const struct look *look, const char *what)
{
	char shown[64];

	label_clean((struct text){look->value, strlen(look->value)}, shown, sizeof(shown));
	*look->ret_err = answer_error(look->call, 400, "%s takes %s, not `%s'", look->key, what,
				      shown);
	return 1;
}

static bool parse_whole(const char *text, uint64_t most, uint64_t *ret_number)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 12 || text[digits])
		return false;
	*ret_number = strtoull(text, NULL, 10);
	return *ret_number <= most;
}

/* Of as many characters as the pattern, with digits where it has 0. */
static bool looks_like(const char *text, const char *pattern)
{
	for (; *pattern; pattern++, text++)
		if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern)
			return false;
	return !*text;
}

/* Of a text that looks like it. */
static int digits(const char *text, int nr)
{
	int number = 0;

	while (nr--)
		number = number * 10 + (*text++ - '0');
	return number;
}

static bool parse_time(const char *text, int64_t *ret_time_s)
{
	static const char *const patterns[] = {"0000-00-00", "0000-00-00T00:00Z",
					       "0000-00-00T00:00:00Z", "0000-00-00T00:00:00.000Z"};
	struct tm tm = {0}, again;
	uint64_t seconds;
	bool known = false;
	time_t at;

	if (parse_whole(text, TIME_MOST, &seconds)) {
		*ret_time_s = (int64_t)seconds;
		return true;
	}
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		known |= looks_like(text, patterns[i]);
	if (!known)
		return false;
	tm.tm_year = digits(text, 4) - 1900;
	tm.tm_mon = digits(text + 5, 2) - 1;
	tm.tm_mday = digits(text + 8, 2);
	if (text[10]) {
		tm.tm_hour = digits(text + 11, 2);
		tm.tm_min = digits(text + 14, 2);
		tm.tm_sec = text[16] == ':' ? digits(text + 17, 2) : 0;
	}
	again = tm;
	at = timegm(&again);
	/* the 31st of June becomes the 1st of July */
	if (again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday ||
	    again.tm_hour != tm.tm_hour || again.tm_min != tm.tm_min || at < 0 || at > TIME_MOST)
		return false;
	*ret_time_s = at;
	return true;
}

/* "FROM/TO" */
static bool parse_span(const char *text, struct ask_span *ret_span)
{
	const char *slash = strchr(text, '/');
	char from[32];

	if (!slash || (size_t)(slash - text) >= sizeof(from))
		return false;
	snprintf(from, sizeof(from), "%.*s", (int)(slash - text), text);
	return parse_time(from, &ret_span->from_s) && parse_time(slash + 1, &ret_span->to_s) &&
	       ret_span->from_s < ret_span->to_s;
}

static int take_word(const struct look *look, const char *const *words, int *ret_word)
{
	char accepted[256] = "";
	size_t len = 0;

	for (int i = 0; words[i]; i++) {
		if (!strcmp(look->value, words[i])) {
			*ret_word = i;
			return 0;
		}
		len += (size_t)snprintf(accepted + len, sizeof(accepted) - len, "%s%s",
					i == 0         ? ""
					: words[i + 1] ? ", "
						       : " or ",
					words[i]);
	}
	return refuse(look, accepted);
}

static int take_number(const struct look *look, uint64_t least, uint64_t most, uint64_t *ret_number)
{
	char what[96];

	if (parse_whole(look->value, most, ret_number) && *ret_number >= least)
		return 0;
	snprintf(what, sizeof(what), "a whole number from %llu to %llu", (unsigned long long)least,
		 (unsigned long long)most);
	return refuse(look, what);
}

static int take_time(const struct look *look, int64_t *ret_time_s)
{
	return parse_time(look->value, ret_time_s) ? 0 : refuse(look, TIMES);
}

static int take_span(const struct look *look, struct ask_span *ret_span)
{
	return parse_span(look->value, ret_span)
		       ? 0
		       : refuse(look, "FROM/TO, FROM before TO, each " TIMES);
}

static void take_user(const struct look *look, struct ask *ask)
{
	/* nobody's name is asked for as it is, and nobody is found */
	ask->filter.user = look->value;
	if (strcmp(look->value, INTERVAL_OTHER) != 0 &&
	    aggregate_user(look->call->api->aggregate, look->value, ask->user))
		ask->filter.user = ask->user;
}

static int take(const struct look *look, const struct ask_form *form, enum ask_at at,
		struct ask *ask)
{
	static const char *const formats[] = {"json", "csv", NULL};
	static const char *const orders[] = {"desc", "asc", NULL};
	static const char *const states[] = {"all", "open", "closed", NULL};
	uint64_t number = 0;
	int word = 0, bad = 0;

	switch (at) {
	case ASK_AT_HOURS:
		bad = take_number(look, 1, ASK_HOURS_MAX, &number);
		ask->hours = (unsigned)number;
		break;
	case ASK_AT_FROM:
		return take_time(look, &ask->span.from_s);
	case ASK_AT_TO:
		return take_time(look, &ask->span.to_s);
	case ASK_AT_STEP:
		bad = take_number(look, STORE_INTERVAL_S, 366 * 86400, &number);
		ask->step_s = (int64_t)number;
		break;
	case ASK_AT_SERVER:
		ask->filter.server = look->value;
		break;
	case ASK_AT_CHANNEL:
		ask->filter.channel = look->value;
		break;
	case ASK_AT_USER:
		take_user(look, ask);
		break;
	case ASK_AT_TYPE:
		ask->type = look->value;
		break;
	case ASK_AT_SEARCH:
		ask->search = look->value;
		break;
	case ASK_AT_STATE:
		bad = take_word(look, states, &word);
		ask->state = (enum ask_state)word;
		break;
	case ASK_AT_SORT:
		return take_word(look, form->sorts, &ask->sort);
	case ASK_AT_ORDER:
		bad = take_word(look, orders, &word);
		ask->ascending = word == 1;
		ask->has_order = true;
		break;
	case ASK_AT_LIMIT:
		bad = take_number(look, 1, STORE_SORTED_MAX, &number);
		ask->limit = number;
		ask->has_limit = true;
		break;
	case ASK_AT_OFFSET:
		bad = take_number(look, 0, 100000000, &number);
		ask->offset = number;
		break;
	case ASK_AT_A:
		return take_span(look, &ask->a);
	case ASK_AT_B:
		return take_span(look, &ask->b);
	case ASK_AT_WIDTH:
		bad = take_number(look, 20, 1000, &number);
		ask->width = (unsigned)number;
		break;
	case ASK_AT_BOLD:
		ask->bold = true;
		break;
	case ASK_AT_FORMAT:
		bad = take_word(look, formats, &word);
		ask->csv = word == 1;
		break;
	default:
		break;
	}
	return bad;
}

static int close_span(struct call *call, const struct ask_form *form, struct ask *ask, int *ret_err)
{
	bool from = parameter(call, "from") != NULL, to = parameter(call, "to") != NULL;
	struct ask_span *span = &ask->span;
	int64_t now_s = call->request->wall;

	if (ask->hours && from && to) {
		*ret_err = answer_error(call, 400, "give two of hours, from and to, not all three");
		return 1;
	}
	if (!ask->hours && !(from && to))
		ask->hours = form->hours_default;
	if (!to)
		span->to_s = from && parameter(call, "hours")
				     ? span->from_s + (int64_t)ask->hours * HOUR_S
				     : now_s;
	if (!from)
		span->from_s = span->to_s - (int64_t)ask->hours * HOUR_S;
	if (from || to)
		ask->hours = 0;
	if (span->from_s < 0 || span->from_s >= span->to_s) {
		*ret_err = answer_error(call, 400, "from (%lld) must be before to (%lld)",
					(long long)span->from_s, (long long)span->to_s);
		return 1;
	}
	return 0;
}

/* What is finer than may be given is refused, so that nobody takes the answer for what he asked. */
static int check_step(struct call *call, const struct ask *ask, int *ret_err)
{
	int64_t length_s = ask->span.to_s - ask->span.from_s;

	if (!ask->step_s || length_s / ask->step_s <= STORE_POINTS_MAX)
		return 0;
	*ret_err = answer_error(
		call, 400,
		"step=%lld would be %lld points, and at most %d are given: take "
		"step=%lld or more, or a shorter time",
		(long long)ask->step_s, (long long)(length_s / ask->step_s), STORE_POINTS_MAX,
		(long long)store_step(ask->span.from_s, ask->span.to_s, ask->step_s));
	return 1;
}

int ask_of(struct call *call, const struct ask_form *form, struct ask *ret_ask, int *ret_err)
{
	const char *known[NR_ASKS];
	char accepted[256] = "";
	size_t nr = 0, len = 0;

	*ret_ask = (struct ask){.limit = ASK_LIMIT_DEFAULT};
	for (int at = 0; at < NR_ASKS; at++) {
		if (!(form->keys >> at & 1))
			continue;
		len += (size_t)snprintf(accepted + len, sizeof(accepted) - len, "%s%s",
					nr ? ", " : "", keys[at]);
		known[nr++] = keys[at];
	}
	if (check_parameters(call, known, nr, accepted, ret_err))
		return 1;
	for (int at = 0; at < NR_ASKS; at++) {
		struct look look = {call, keys[at], parameter(call, keys[at]), ret_err};

		if (look.value && take(&look, form, (enum ask_at)at, ret_ask))
			return 1;
	}
	/* a file is wanted, not a page */
	if (ret_ask->csv && !ret_ask->has_limit && ret_ask->offset < STORE_SORTED_MAX)
		ret_ask->limit = STORE_SORTED_MAX - ret_ask->offset;
	if (form->keys & ASK_FROM && close_span(call, form, ret_ask, ret_err))
		return 1;
	return form->keys & ASK_STEP ? check_step(call, ret_ask, ret_err) : 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * What a filter matches. In: names as people write them. Out: slots, series and a pseudonym. A name
 * that nobody has matches nothing, which is no error.
 */
#include <string.h>

#include "state.h"

static void match_servers(const struct aggregate *a, const char *server, struct match *match)
{
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		const char *name = slot == SLOT_OTHER ? "other" : a->names[slot];

		match->servers[slot] = server ? slot != SLOT_UPSTREAM && *name &&
							strcmp(name, server) == 0
					      : reading_in_totals(a->reading, slot);
	}
}

/* Two servers may have a channel of the same name. */
static void match_series(const struct aggregate *a, const char *channel, struct match *match)
{
	for (uint16_t slot = CHANNEL_FIRST; slot < channels_end(a->channels); slot++)
		match->series[slot] = match->servers[channels_server(a->channels, slot)] &&
				      (!channel ||
				       strcmp(channels_name(a->channels, slot), channel) == 0);
	if (channel && strcmp(channel, channels_name(a->channels, CHANNEL_OTHER)) != 0)
		return;
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		match->series[MAX_CHANNELS + slot] = match->servers[slot];
	match->other = true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* 12 hex digits, as label_user_text writes them. */
static bool parse_pseudonym(const char *text, uint64_t *ret_user)
{
	uint64_t user = 0;

	if (strlen(text) != LABEL_USER_SIZE - 1)
		return false;
	for (; *text; text++) {
		if (hex_value(*text) < 0)
			return false;
		user = user << 4 | (uint64_t)hex_value(*text);
	}
	*ret_user = user;
	return true;
}

static void match_user(const struct aggregate *a, const char *user, struct match *match)
{
	uint8_t addr[16];

	match->by_user = user != NULL;
	if (!user || parse_pseudonym(user, &match->user))
		return;
	if (label_parse_address((struct text){user, strlen(user)}, addr))
		match->user = label_user(a->config.key, addr, (struct text){0});
	else
		match->nobody = true;
}

void match_of(const struct aggregate *a, const struct filter *filter, struct match *ret_match)
{
	static const struct filter none;

	if (!filter)
		filter = &none;
	memset(ret_match, 0, sizeof(*ret_match));
	ret_match->window_ns = filter->window_ns ? filter->window_ns : AGGREGATE_WINDOW_NS;
	ret_match->by_server = filter->server != NULL;
	ret_match->by_channel = filter->channel != NULL;
	match_servers(a, filter->server, ret_match);
	match_series(a, filter->channel, ret_match);
	match_user(a, filter->user, ret_match);
}

static bool match_labels(const struct match *match, uint32_t server, uint32_t series, uint64_t user)
{
	return match->servers[server] && match->series[series] &&
	       (!match->by_user || (!match->nobody && match->user == user));
}

bool match_row(const struct match *match, const struct usage_row *row)
{
	return match_labels(match, row->server, usage_series(row->server, row->channel), row->user);
}

bool match_connection(const struct match *match, const struct connection *connection)
{
	return match_labels(match, connection->server,
			    usage_series(connection->server, connection->channel),
			    connection->user);
}

bool aggregate_user(const struct aggregate *aggregate, const char *text,
		    char ret_user[LABEL_USER_SIZE])
{
	struct match match = {0};

	match_user(aggregate, text, &match);
	if (match.nobody)
		return false;
	label_user_text(match.user, ret_user);
	return true;
}

bool match_recent(const struct match *match, const struct recent *recent)
{
	return match_labels(match, recent->server, usage_series(recent->server, recent->channel),
			    recent->user);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "open_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_S 1000000000ll

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

int open_rows_take(struct aggregate *aggregate, const struct ask *ask, struct open_rows *open)
{
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
	err = aggregate_connections(aggregate, &filter, take_open, open);
	if (!err && open->nr)
		qsort(open->rows, open->nr, sizeof(*open->rows),
		      ask->ascending ? smallest_first : largest_first);
	return err;
}

struct open_connection open_rows_at(const struct open_rows *open, size_t i)
{
	struct open_connection c = open->rows[i].connection;

	c.server = open->rows[i].server;
	c.channel = open->rows[i].channel;
	c.user = open->rows[i].user;
	return c;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * weeks DIR END: fills a store through its own code with the last 25 days of a host whose days and
 * weeks have a rhythm, and noise: 4 servers, 40 channels, up to END (seconds since 1970). For tests
 * of whole answers, so it is quick: what is older than 8 days comes as intervals of half an hour,
 * the rest as intervals of five minutes, as when the agent stood still that long.
 *
 * curve_at is what an hour is expected to bring; tests/e2e/test_weeks.py has the same formula.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "store_query.h"
#include "value.h"

#define NS_S 1000000000ll
#define DAY_S 86400
#define DAYS 25
#define FINE_DAYS 8
#define SERVERS 4
#define CHANNELS 40
#define TIMED 60 /* a channel's messages whose latency is kept */
#define NOISE 60 /* of connections, one standard deviation */

/* Busy at noon, less on two days of seven, whose noon is later. */
static double curve_at(int64_t hour)
{
	bool weekend = hour / 24 % 7 >= 5;
	double angle = 2 * M_PI * ((double)(hour % 24) - (weekend ? 16 : 12)) / 24;

	return (weekend ? 400 : 1000) + (weekend ? 150 : 600) * cos(angle);
}

/* Sum of twelve uniforms: normal enough, and the same for the whole hour. */
static double connections_at(int64_t hour)
{
	uint64_t state = (uint64_t)hour * 2654435761u + 1;
	double sum = -6;

	random_next(&state);
	for (int i = 0; i < 12; i++)
		sum += (double)random_below(&state, 1000000) / 1e6;
	return fmax(curve_at(hour) + NOISE * sum, 0);
}

/* Each channel has its share of the host, two messages a second and connection. */
static void channel_point(uint64_t *state, double connections, int64_t length_s,
			  struct point *point)
{
	struct server_counters_fields *n = &point->counts.n;
	uint64_t active = (uint64_t)lround(connections / CHANNELS);

	point_reset(point);
	point->counts.active = point->counts.peak = active;
	n->received = n->sent = active * (uint64_t)length_s;
	n->bytes_received = n->received * 80;
	n->bytes_sent = n->sent * 300;
	n->opened = n->closed = random_below(state, 3);
	n->timed = TIMED;
	n->ambiguous = n->received > TIMED ? n->received - TIMED : 0;
	n->answers_to_ambiguous = n->sent > TIMED ? n->sent - TIMED : 0;
	if (!random_below(state, 40)) {
		point->counts.by_type[ERROR_ABNORMAL] = 1;
		point->counts.errors = 1;
	}
	for (int i = 0; i < TIMED; i++) {
		uint64_t value = 200000 + (random_next(state) >> (38 + random_below(state, 8)));

		value_add(point, POINT_LATENCY, value);
	}
}

/* What a server has and a channel has not. */
static void server_point(struct point *point)
{
	struct server_counters_fields *n = &point->counts.n;

	n->binary = n->received / 4;
	n->text = n->received + n->sent - n->binary;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		if (point->hist[POINT_LATENCY].bucket[i])
			value_add(point, POINT_QUEUE_WAIT, hist_lower(i) / 16);
	for (uint64_t i = 0; i < n->closed; i++)
		value_add(point, POINT_DURATION, 1000 + i * 60000);
}

static void sum_up(struct point *sum, const struct point *part)
{
	point_add(sum, part);
	sum->counts.active += part->counts.active;
	sum->counts.peak += part->counts.peak;
}

static int add_points(struct interval *interval, uint64_t *state, int64_t time_s, int64_t length_s)
{
	static struct point point, total, servers[SERVERS];
	double connections = connections_at(time_s / 3600);
	char server[64], label[64];
	int err = 0;

	point_reset(&total);
	for (int i = 0; i < SERVERS; i++)
		point_reset(&servers[i]);
	for (unsigned i = 0; !err && i < CHANNELS; i++) {
		snprintf(server, sizeof(server), "node:%u@chat.service", 8000 + i % SERVERS);
		snprintf(label, sizeof(label), "/ws/project/%u", i);
		channel_point(state, connections, length_s, &point);
		sum_up(&servers[i % SERVERS], &point);
		err = interval_add_point(interval, &(struct series){SERIES_CHANNEL, server, label},
					 &point);
	}
	for (int i = 0; !err && i < SERVERS; i++) {
		snprintf(server, sizeof(server), "node:%d@chat.service", 8000 + i);
		server_point(&servers[i]);
		sum_up(&total, &servers[i]);
		err = interval_add_point(interval, &(struct series){SERIES_SERVER, server, ""},
					 &servers[i]);
	}
	return err ? err
		   : interval_add_point(interval, &(struct series){SERIES_TOTAL, "", ""}, &total);
}

static int add_rows(struct interval *interval, uint64_t *state, int64_t time_s)
{
	char user[16];
	struct closed_connection connection = {
		.opened_ns = (time_s - (int64_t)random_below(state, 4000)) * NS_S,
		.closed_ns = time_s * NS_S,
		.server = "node:8000@chat.service",
		.channel = "/ws/project/7",
		.user = user,
		.received = random_below(state, 4000),
		.sent = random_below(state, 9000),
		.has_close = true,
		.code = 1000,
	};

	snprintf(user, sizeof(user), "%012llx", (unsigned long long)random_below(state, 500));
	return interval_add_connection(interval, &connection);
}

static int write_one(struct store *store, uint64_t *state, int64_t time_s, int64_t length_s)
{
	struct interval *interval = interval_new(time_s * NS_S, (time_s + length_s) * NS_S,
						 (uint64_t)(length_s * NS_S));
	int err = interval ? add_points(interval, state, time_s, length_s) : -ENOMEM;

	if (!err)
		err = add_rows(interval, state, time_s);
	if (!err)
		return store_write(store, interval);
	interval_free(interval);
	return err;
}

int main(int argc, char **argv)
{
	struct store_config config = {.dir = argc > 1 ? argv[1] : "."};
	int64_t end_s = argc > 2 ? atoll(argv[2]) / 300 * 300 : 0, time_s, length_s;
	uint64_t state = 88172645463325252ull;
	struct store *store;
	int err;

	if (argc != 3 || end_s < DAYS * DAY_S) {
		fprintf(stderr, "weeks DIR END\n");
		return 2;
	}
	err = store_new(&config, &store);
	for (time_s = (end_s - DAYS * DAY_S) / 3600 * 3600; !err && time_s < end_s;
	     time_s += length_s) {
		length_s = time_s < (end_s - FINE_DAYS * DAY_S) / 3600 * 3600 ? 1800 : 300;
		err = write_one(store, &state, time_s, length_s);
	}
	if (err)
		fprintf(stderr, "weeks: %s\n", strerror(-err));
	store_free(store);
	return err ? 1 : 0;
}

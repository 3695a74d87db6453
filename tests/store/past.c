// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * past DIR SERVER DAYS HOURS: gives an agent that has yet to be started a past, through the store's own
 * code: DAYS of SERVER until a minute ago, in intervals of ten seconds for the last HOURS and of five
 * minutes before. Days and weeks have a shape; errors are regular (one in five minutes), replies take
 * about 1.5 ms. For ten minutes, 110 to 100 minutes ago, no agent ran.
 *
 * What tests compare with it comes from the API: nothing but the orders of magnitude is promised.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "random.h"
#include "store.h"
#include "value.h"

#define NS_S 1000000000ll
#define CHANNELS 2
#define USERS 3
#define SPARSE_S 300
#define AWAY_FROM_S (110 * 60)
#define AWAY_TO_S (100 * 60)

static const char *const channels[CHANNELS] = {"/past/a", "/past/b"};
static const char *const users[USERS] = {"00000000000a", "00000000000b", "00000000000c"};

static double load_at(int64_t time_s)
{
	double day = (double)(time_s % 86400) / 86400, week = (double)(time_s / 86400 % 7) / 7;

	return 1 + 0.5 * sin(day * 2 * M_PI) + 0.2 * sin(week * 2 * M_PI);
}

static uint64_t latency(uint64_t *state)
{
	double normal = 0;

	for (int i = 0; i < 4; i++)
		normal += (double)random_below(state, 1000) / 1000 - 0.5;
	return (uint64_t)(1.5e6 * exp(normal * 0.5));
}

static void fill_channel(uint64_t *state, int64_t time_s, int64_t step_s, int channel,
			 struct point *point)
{
	struct server_counters_fields *n = &point->counts.n;
	uint64_t nr = (uint64_t)(load_at(time_s) * (double)step_s * (channel ? 2 : 6)) +
		      random_below(state, 5);

	point_reset(point);
	n->received = n->timed = nr;
	n->sent = nr + random_below(state, 5);
	n->push = n->sent - nr;
	n->bytes_received = nr * 50;
	n->bytes_sent = nr * 200;
	n->text = n->received + n->sent;
	n->opened = random_below(state, 3);
	n->closed = random_below(state, 3);
	point->counts.active = (uint64_t)(load_at(time_s) * (channel ? 10 : 30)) +
			       random_below(state, 3);
	point->counts.peak = point->counts.active + random_below(state, 3);
	for (uint64_t i = 0; i < nr; i++)
		value_add(point, POINT_LATENCY, latency(state));
	for (uint64_t i = 0; i < n->closed; i++)
		value_add(point, POINT_DURATION, 1000 + random_below(state, 600000));
}

static int add_error(struct interval *interval, struct point *point, int64_t time_s,
		     const char *server)
{
	struct error_entry entry = {
		.at_ns = time_s * NS_S,
		.type = ERROR_INTERNAL,
		.server = server,
		.channel = channels[0],
		.user = users[0],
		.message = "=of the past, <b>and not a formula</b>",
		.has_code = true,
		.code = 1011,
		.has_initiator = true,
		.initiator = BY_SERVER,
	};

	point->counts.by_type[ERROR_INTERNAL]++;
	point->counts.errors++;
	return interval_add_error(interval, &entry);
}

static struct interval *make(uint64_t *state, int64_t time_s, int64_t step_s, const char *server)
{
	static struct point point, total;
	struct interval *interval = interval_new(time_s * NS_S, (time_s + step_s) * NS_S,
						 (uint64_t)(step_s * NS_S));
	uint64_t active = 0, peak = 0;
	int err = interval ? 0 : -ENOMEM;

	point_reset(&total);
	for (int i = 0; !err && i < CHANNELS; i++) {
		fill_channel(state, time_s, step_s, i, &point);
		if (!i && time_s % SPARSE_S == 0)
			err = add_error(interval, &point, time_s, server);
		point_add(&total, &point);
		active += point.counts.active;
		peak += point.counts.peak;
		if (!err)
			err = interval_add_point(
				interval, &(struct series){SERIES_CHANNEL, server, channels[i]},
				&point);
	}
	total.counts.active = active;
	total.counts.peak = peak;
	if (!err)
		err = interval_add_point(interval, &(struct series){SERIES_SERVER, server, ""},
					 &total);
	if (!err)
		err = interval_add_point(interval, &(struct series){SERIES_TOTAL, "", ""}, &total);
	for (int i = 0; !err && i < USERS; i++) {
		struct user_counts counts = {.user = users[i]};

		counts.n.active = active / USERS;
		counts.n.received = total.counts.n.received / (uint64_t)(i + 2);
		counts.n.sent = total.counts.n.sent / (uint64_t)(i + 2);
		err = interval_add_user(interval, &counts);
	}
	if (!err)
		return interval;
	interval_free(interval);
	return NULL;
}

static int add_event(struct interval *interval, int64_t time_s, enum store_event_kind kind,
		     const char *server, const char *text)
{
	return interval_add_event(interval, &(struct store_event){.at_ns = time_s * NS_S,
								  .kind = kind,
								  .server = server,
								  .text = text});
}

static int add_start(struct interval *interval, int64_t time_s, const char *server)
{
	int err = add_event(interval, time_s, STORE_EVENT_AGENT_START, "", "of the past");

	return err ? err
		   : add_event(interval, time_s, STORE_EVENT_SERVER_SEEN, server,
			       "it has connections again");
}

static int write_until(const struct store_config *config, int64_t *time_s, int64_t until_s,
		       int64_t dense_s, int64_t away_to_s, const char *server)
{
	static uint64_t state = 88172645463325252ull;
	struct store *store;
	int err = store_new(config, &store);

	if (err)
		return err;
	while (!err && *time_s < until_s) {
		int64_t step_s = *time_s < dense_s ? SPARSE_S : STORE_INTERVAL_S;
		struct interval *interval = make(&state, *time_s, step_s, server);

		if (!interval)
			err = -ENOMEM;
		else if (*time_s == away_to_s)
			err = add_start(interval, *time_s, server);
		else if (*time_s + step_s >= until_s)
			err = add_event(interval, *time_s, STORE_EVENT_AGENT_STOP, "", "");
		if (!err)
			err = store_write(store, interval);
		*time_s += step_s;
	}
	store_free(store);
	return err;
}

int main(int argc, char **argv)
{
	struct store_config config = {.dir = argc > 1 ? argv[1] : "."};
	int64_t end_s = (time(NULL) - 60) / STORE_INTERVAL_S * STORE_INTERVAL_S;
	int64_t time_s, dense_s, away_from_s = end_s - AWAY_FROM_S, away_to_s = end_s - AWAY_TO_S;
	int err;

	if (argc != 5) {
		fputs("past DIR SERVER DAYS HOURS\n", stderr);
		return 2;
	}
	time_s = (end_s - atoll(argv[3]) * 86400) / SPARSE_S * SPARSE_S;
	dense_s = (end_s - atoll(argv[4]) * 3600) / SPARSE_S * SPARSE_S;
	err = write_until(&config, &time_s, away_from_s, dense_s, away_to_s, argv[2]);
	time_s = away_to_s;
	if (!err)
		err = write_until(&config, &time_s, end_s, dense_s, away_to_s, argv[2]);
	if (err)
		fprintf(stderr, "cannot write: %s\n", strerror(-err));
	return err ? 1 : 0;
}

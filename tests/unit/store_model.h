/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A host whose history is known in advance, for the tests of the store: what any interval holds is a
 * function of its time. In: a time. Out: the interval for the store, and the same numbers for the
 * test to compare with.
 */
#ifndef WSVITALS_TESTS_STORE_MODEL_H
#define WSVITALS_TESTS_STORE_MODEL_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interval.h"
#include "random.h"
#include "value.h"

#define MODEL_NS_S 1000000000ll

/* What a series did in the interval that begins at time_s. values: its latencies, if not NULL. */
static inline size_t model_point(int64_t time_s, unsigned series, struct point *ret_point,
				 uint64_t values[64])
{
	uint64_t state = (uint64_t)time_s * 2654435761u + series * 40503u + 1;
	size_t nr;

	random_next(&state);
	nr = random_below(&state, 24);
	point_reset(ret_point);
	ret_point->counts.n.received = nr;
	ret_point->counts.n.sent = nr + random_below(&state, 5);
	ret_point->counts.n.bytes_received = nr * (20 + random_below(&state, 200));
	ret_point->counts.n.bytes_sent = nr * (20 + random_below(&state, 900));
	ret_point->counts.n.text = ret_point->counts.n.received + ret_point->counts.n.sent;
	ret_point->counts.n.timed = nr;
	ret_point->counts.n.opened = random_below(&state, 3);
	ret_point->counts.n.closed = random_below(&state, 3);
	ret_point->counts.active = 5 + random_below(&state, 20);
	ret_point->counts.peak = ret_point->counts.active + random_below(&state, 4);
	if (!random_below(&state, 50)) {
		ret_point->counts.by_type[ERROR_ABNORMAL]++;
		ret_point->counts.errors++;
	}
	for (size_t i = 0; i < nr; i++) {
		/* 50 us to 50 ms, skewed */
		unsigned shift = 38 + (unsigned)random_below(&state, 8);
		uint64_t value = 50000 + (random_next(&state) >> shift);

		value_add(ret_point, POINT_LATENCY, value);
		value_add(ret_point, POINT_QUEUE_WAIT, value / 16);
		if (values)
			values[i] = value;
	}
	return nr;
}

static inline void model_series(unsigned series, unsigned servers, char server[64], char label[64])
{
	snprintf(server, 64, "node:%u@chat.service", 8000 + series % servers);
	snprintf(label, 64, "/ws/project/%u", series / servers);
}

/* The total, as many servers, and the channels that make up each server. NULL: no memory. */
static inline struct interval *model_interval(int64_t time_s, unsigned servers, unsigned channels)
{
	struct interval *interval = interval_new(time_s * MODEL_NS_S, (time_s + 10) * MODEL_NS_S,
						 10 * MODEL_NS_S);
	struct point *point = malloc(sizeof(*point)), *total = malloc(sizeof(*total)),
		     *by_server = malloc(servers * sizeof(*by_server));
	char server[64], label[64], user[16];
	int err = interval && point && total && by_server ? 0 : -1;

	if (!err) {
		point_reset(total);
		for (unsigned i = 0; i < servers; i++)
			point_reset(&by_server[i]);
	}
	for (unsigned i = 0; !err && i < channels; i++) {
		model_series(i, servers, server, label);
		model_point(time_s, i, point, NULL);
		point_add(total, point);
		point_add(&by_server[i % servers], point);
		total->counts.active += point->counts.active;
		by_server[i % servers].counts.active += point->counts.active;
		total->counts.peak = total->counts.active;
		by_server[i % servers].counts.peak = by_server[i % servers].counts.active;
		err = interval_add_point(interval, &(struct series){SERIES_CHANNEL, server, label},
					 point);
	}
	for (unsigned i = 0; !err && i < servers; i++) {
		model_series(i, servers, server, label);
		err = interval_add_point(interval, &(struct series){SERIES_SERVER, server, ""},
					 &by_server[i]);
	}
	if (!err)
		err = interval_add_point(interval, &(struct series){SERIES_TOTAL, "", ""}, total);
	for (unsigned i = 0; !err && i < 20; i++) {
		struct user_counts counts = {.user = user};

		snprintf(user, sizeof(user), "%012x", 0xabc000 + i);
		counts.n.active = 1 + i % 3;
		counts.n.received = (uint64_t)(time_s / 10 + i) % 7;
		counts.n.sent = i;
		err = interval_add_user(interval, &counts);
	}
	free(point);
	free(total);
	free(by_server);
	if (!err)
		return interval;
	interval_free(interval);
	return NULL;
}

static inline int model_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void model_remove_all(const char *dir)
{
	nftw(dir, model_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#endif

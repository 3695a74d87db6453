// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * How many connections were open at once. In: opens and closes with their times, and the counters
 * of each sample. Out: the peak, between two samples too, of all, each server and each channel.
 */
#include <stdlib.h>

#include "state.h"

void moment_add(struct aggregate *a, const struct moment *moment)
{
	struct moment *bigger;
	size_t more;

	if (a->nr_moments == a->max_moments) {
		more = a->max_moments ? a->max_moments * 2 : 256;
		bigger = more <= MOMENTS_MAX ? realloc(a->moments, more * sizeof(*bigger)) : NULL;
		if (!bigger) {
			a->moments_lost = a->series_moments_lost = true;
			return;
		}
		a->moments = bigger;
		a->max_moments = more;
	}
	a->moments[a->nr_moments++] = *moment;
}

static int compare_moments(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return x->change - y->change; /* a close first: no peak that never was */
}

/* From one sample's count towards the next one's. */
struct course {
	int64_t open, highest;
};

static void course_begin(struct course *course, const struct peak *peak)
{
	course->open = course->highest = (int64_t)peak->active;
}

static void course_go(struct course *course, int change)
{
	course->open += change;
	if (course->open > course->highest)
		course->highest = course->open;
}

/*
 * Between two samples the records say how many were open at once. They are believed if they lead
 * from the one count to the other: a lost record, or a close whose socket lingers, would make a
 * peak that never was.
 */
static void course_end(const struct course *course, bool lost, uint64_t end, struct peak *peak)
{
	if (!lost && course->open == (int64_t)end && (uint64_t)course->highest > peak->highest)
		peak->highest = (uint64_t)course->highest;
	if (!lost && course->open == (int64_t)end && (uint64_t)course->highest > peak->recent)
		peak->recent = (uint64_t)course->highest;
	if (end > peak->highest)
		peak->highest = end;
	if (end > peak->recent)
		peak->recent = end;
	peak->active = end;
}

static uint64_t count_open(const struct reading_server *server)
{
	const struct server_counters_fields *n = &server->counters.n;

	return server->used && n->opened > n->closed ? n->opened - n->closed : 0;
}

/* All servers, and each: from sample to sample, between their counters. */
static void peak_servers(struct aggregate *a, const struct reading *reading)
{
	struct course all, courses[MAX_SERVERS];
	uint64_t opened = 0, closed = 0;

	course_begin(&all, &a->peak);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		course_begin(&courses[slot], &a->server_peaks[slot]);
	for (size_t i = 0; i < a->nr_moments; i++) {
		const struct moment *moment = &a->moments[i];

		if (moment->at_ns <= a->sampled_ns || moment->at_ns > reading->now_ns)
			continue;
		if (reading_in_totals(reading, moment->server))
			course_go(&all, moment->change);
		course_go(&courses[moment->server], moment->change);
	}
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		const struct reading_server *server = &reading->servers[slot];

		course_end(&courses[slot], a->moments_lost, count_open(server),
			   &a->server_peaks[slot]);
		if (!server->used || !reading_in_totals(reading, slot))
			continue;
		opened += server->counters.n.opened;
		closed += server->counters.n.closed;
	}
	course_end(&all, a->moments_lost, opened > closed ? opened - closed : 0, &a->peak);
	a->moments_lost = false;
	a->sampled_ns = reading->now_ns;
}

/* Each channel: from walk to walk, as nothing else counts what is open on one. */
static void peak_series(struct aggregate *a, const struct reading *reading)
{
	struct course courses[NR_SERIES];

	for (uint32_t series = 0; series < NR_SERIES; series++)
		course_begin(&courses[series], &a->series_peaks[series]);
	for (size_t i = 0; i < a->nr_moments; i++) {
		const struct moment *moment = &a->moments[i];

		if (moment->at_ns > a->walked_ns && moment->at_ns <= reading->now_ns)
			course_go(&courses[moment->series], moment->change);
	}
	for (uint32_t series = 0; series < NR_SERIES; series++)
		course_end(&courses[series], a->series_moments_lost, a->walked.series[series],
			   &a->series_peaks[series]);
	a->series_moments_lost = false;
	a->walked_ns = reading->now_ns;
}

void peak_take(struct aggregate *a, const struct reading *reading)
{
	bool walk = reading->parts & READING_WALK;
	size_t kept = 0;

	if (a->nr_moments)
		qsort(a->moments, a->nr_moments, sizeof(*a->moments), compare_moments);
	peak_servers(a, reading);
	if (walk)
		peak_series(a, reading);
	for (size_t i = 0; i < a->nr_moments; i++)
		if (!walk || a->moments[i].at_ns > reading->now_ns)
			a->moments[kept++] = a->moments[i];
	a->nr_moments = kept;
}

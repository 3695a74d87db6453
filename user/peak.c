// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * How many connections were open at once. In: opens and closes with their times, and the counters
 * of each sample. Out: the peak, between two samples too.
 */
#include <stdlib.h>

#include "state.h"

void moment_add(struct aggregate *a, uint64_t at_ns, int change)
{
	struct moment *bigger;
	size_t more;

	if (a->nr_moments == a->max_moments) {
		more = a->max_moments ? a->max_moments * 2 : 256;
		bigger = more <= MOMENTS_MAX ? realloc(a->moments, more * sizeof(*bigger)) : NULL;
		if (!bigger) {
			a->moments_lost = true;
			return;
		}
		a->moments = bigger;
		a->max_moments = more;
	}
	a->moments[a->nr_moments++] = (struct moment){at_ns, change};
}

static int compare_moments(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return x->change - y->change; /* a close first: no peak that never was */
}

static uint64_t count_open(const struct reading *reading)
{
	uint64_t opened = 0, closed = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		if (!reading->servers[slot].used || slot == SLOT_UPSTREAM)
			continue;
		opened += reading->servers[slot].counters.n.opened;
		closed += reading->servers[slot].counters.n.closed;
	}
	return opened > closed ? opened - closed : 0;
}

/*
 * Between two samples the records say how many were open at once. They are believed if they lead
 * from the one count to the other: a lost record, or a close whose socket lingers, would make a
 * peak that never was.
 */
void peak_take(struct aggregate *a, const struct reading *reading)
{
	uint64_t end = count_open(reading);
	int64_t open = (int64_t)a->active, highest = open;
	size_t kept = 0;

	if (a->nr_moments)
		qsort(a->moments, a->nr_moments, sizeof(*a->moments), compare_moments);
	for (size_t i = 0; i < a->nr_moments; i++) {
		const struct moment *moment = &a->moments[i];

		if (moment->at_ns > reading->now_ns) {
			a->moments[kept++] = *moment;
		} else if (moment->at_ns > a->sampled_ns) {
			open += moment->change;
			if (open > highest)
				highest = open;
		}
	}
	a->nr_moments = kept;
	if (!a->moments_lost && open == (int64_t)end && (uint64_t)highest > a->peak)
		a->peak = (uint64_t)highest;
	if (end > a->peak)
		a->peak = end;
	a->moments_lost = false;
	a->active = end;
	a->sampled_ns = reading->now_ns;
}

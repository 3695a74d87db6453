// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <errno.h>
#include <stdlib.h>

#include "rate.h"

#define RATE_SAMPLES 1024         /* fifteen minutes of seconds, and some */
#define RATE_STEP_NS 900000000ull /* samples that come faster replace the last one */

struct rate_series {
	uint64_t now[NR_RATES];
	uint64_t at[RATE_SAMPLES][NR_RATES]; /* zero before the server was there */
};

struct rates {
	uint64_t start_ns;
	uint64_t now_ns;
	uint64_t at_ns[RATE_SAMPLES]; /* ring; the newest is at (nr - 1) % RATE_SAMPLES */
	uint64_t nr;
	struct rate_series *series[MAX_SERVERS];
};

struct rates *rates_new(uint64_t start_ns)
{
	struct rates *rates = calloc(1, sizeof(*rates));

	if (rates)
		rates->start_ns = rates->now_ns = start_ns;
	return rates;
}

void rates_free(struct rates *rates)
{
	if (!rates)
		return;
	for (size_t i = 0; i < MAX_SERVERS; i++)
		free(rates->series[i]);
	free(rates);
}

int rates_set(struct rates *rates, uint32_t slot, enum rate_of what, uint64_t count)
{
	if (!rates->series[slot])
		rates->series[slot] = calloc(1, sizeof(struct rate_series));
	if (!rates->series[slot])
		return -ENOMEM;
	rates->series[slot]->now[what] = count;
	return 0;
}

void rates_sample(struct rates *rates, uint64_t now_ns)
{
	size_t at = rates->nr % RATE_SAMPLES;

	rates->now_ns = now_ns;
	if (rates->nr && now_ns - rates->at_ns[(rates->nr - 1) % RATE_SAMPLES] < RATE_STEP_NS)
		return;
	rates->at_ns[at] = now_ns;
	for (size_t i = 0; i < MAX_SERVERS; i++) {
		struct rate_series *series = rates->series[i];

		for (size_t what = 0; series && what < NR_RATES; what++)
			series->at[at][what] = series->now[what];
	}
	rates->nr++;
}

double rates_get(const struct rates *rates, uint32_t slot, enum rate_of what, uint64_t window_ns)
{
	const struct rate_series *series = rates->series[slot];
	uint64_t kept = rates->nr < RATE_SAMPLES ? rates->nr : RATE_SAMPLES;
	uint64_t from_ns = rates->start_ns, from = 0;

	if (!series || rates->now_ns == rates->start_ns)
		return 0;
	/* Backwards to the first sample that is a window old; else the oldest, or the start. */
	for (uint64_t back = 1; back <= kept; back++) {
		size_t at = (rates->nr - back) % RATE_SAMPLES;

		if (rates->nr > RATE_SAMPLES || rates->at_ns[at] + window_ns <= rates->now_ns) {
			from_ns = rates->at_ns[at];
			from = series->at[at][what];
		}
		if (rates->at_ns[at] + window_ns <= rates->now_ns)
			break;
	}
	if (series->now[what] <= from || rates->now_ns <= from_ns)
		return 0;
	return (double)(series->now[what] - from) * 1e9 / (double)(rates->now_ns - from_ns);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rate.h"

#define STEP_SLACK 10 /* a sample may come a tenth of a step early */

struct rate_series {
	uint64_t now[NR_RATES];
	uint64_t start[NR_RATES]; /* when counting began; zero before the series was there */
	uint64_t at[][NR_RATES];  /* the same */
};

struct rates {
	struct rates_config config;
	uint64_t now_ns;
	uint64_t nr;     /* of samples; the newest is at (nr - 1) % nr_samples */
	uint64_t *at_ns; /* ring */
	struct rate_series *series[];
};

struct rates *rates_new(const struct rates_config *config)
{
	struct rates *rates;

	rates = calloc(1, sizeof(*rates) + config->nr_series * sizeof(struct rate_series *));
	if (!rates)
		return NULL;
	rates->config = *config;
	rates->now_ns = config->start_ns;
	rates->at_ns = calloc(config->nr_samples, sizeof(*rates->at_ns));
	if (!rates->at_ns) {
		free(rates);
		return NULL;
	}
	return rates;
}

void rates_free(struct rates *rates)
{
	if (!rates)
		return;
	for (uint32_t i = 0; i < rates->config.nr_series; i++)
		free(rates->series[i]);
	free(rates->at_ns);
	free(rates);
}

void rates_restart(struct rates *rates, uint64_t now_ns)
{
	rates->config.start_ns = rates->now_ns = now_ns;
	rates->nr = 0;
	for (uint32_t i = 0; i < rates->config.nr_series; i++)
		if (rates->series[i])
			memcpy(rates->series[i]->start, rates->series[i]->now,
			       sizeof(rates->series[i]->start));
}

int rates_set(struct rates *rates, uint32_t series, enum rate_of what, uint64_t count)
{
	struct rate_series **place = &rates->series[series];

	if (!*place)
		*place = calloc(1, sizeof(**place) +
					   rates->config.nr_samples * sizeof((*place)->at[0]));
	if (!*place)
		return -ENOMEM;
	(*place)->now[what] = count;
	return 0;
}

void rates_sample(struct rates *rates, uint64_t now_ns)
{
	uint64_t step_ns = rates->config.step_ns - rates->config.step_ns / STEP_SLACK;
	size_t nr_samples = rates->config.nr_samples, at = rates->nr % nr_samples;

	rates->now_ns = now_ns;
	if (rates->nr && now_ns - rates->at_ns[(rates->nr - 1) % nr_samples] < step_ns)
		return;
	rates->at_ns[at] = now_ns;
	for (uint32_t i = 0; i < rates->config.nr_series; i++) {
		struct rate_series *series = rates->series[i];

		for (size_t what = 0; series && what < NR_RATES; what++)
			series->at[at][what] = series->now[what];
	}
	rates->nr++;
}

double rates_get(const struct rates *rates, uint32_t series, enum rate_of what, uint64_t window_ns)
{
	const struct rate_series *of = rates->series[series];
	uint64_t nr_samples = rates->config.nr_samples, from_ns = rates->config.start_ns, from;
	uint64_t kept = rates->nr < nr_samples ? rates->nr : nr_samples;

	if (!of || rates->now_ns == rates->config.start_ns)
		return 0;
	from = of->start[what];
	/* Backwards to the first sample that is a window old; else the oldest, or the start. */
	for (uint64_t back = 1; back <= kept; back++) {
		size_t at = (rates->nr - back) % nr_samples;

		if (rates->nr > nr_samples || rates->at_ns[at] + window_ns <= rates->now_ns) {
			from_ns = rates->at_ns[at];
			from = of->at[at][what];
		}
		if (rates->at_ns[at] + window_ns <= rates->now_ns)
			break;
	}
	if (of->now[what] <= from || rates->now_ns <= from_ns)
		return 0;
	return (double)(of->now[what] - from) * 1e9 / (double)(rates->now_ns - from_ns);
}

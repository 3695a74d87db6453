// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "spread.h"
#include "window.h"

/* A sample that comes this much early still ends the step. */
#define STEP_SLACK_NS 500000000ull

struct cell {
	uint16_t bucket;
	uint16_t measure;
	uint32_t count;
};

/* One series' share of a step. */
struct part {
	uint32_t series;
	uint32_t nr_cells;
	uint64_t sum[NR_MEASURES];
	uint64_t min[NR_MEASURES], max[NR_MEASURES];
	uint64_t received, timed;
	struct cell cells[];
};

struct step {
	uint64_t start_ns, end_ns;
	struct part **parts; /* ascending series */
	uint32_t nr_parts;
	size_t bytes;
};

/* Cumulative as last read, and at the start of the step. */
struct cumulative {
	struct hist last, base;
};

struct window_series {
	struct cumulative *measures[NR_MEASURES]; /* NULL: nothing was ever measured */
	uint64_t last_received, base_received;
	uint64_t last_timed, base_timed;
	uint64_t min[NR_MEASURES], max[NR_MEASURES]; /* of the step */
};

struct window {
	struct window_config config;
	uint64_t step_ns; /* start of the step that is not complete */
	struct step steps[WINDOW_STEPS];
	uint64_t first, next; /* ring: steps[first % …] … steps[(next - 1) % …] */
	size_t bytes;
	struct window_series *series[];
};

static void extremes_reset(uint64_t *min, uint64_t *max)
{
	for (int m = 0; m < NR_MEASURES; m++) {
		min[m] = UINT64_MAX;
		max[m] = 0;
	}
}

static void extremes_fold(uint64_t *min, uint64_t *max, uint64_t other_min, uint64_t other_max)
{
	if (other_min < *min)
		*min = other_min;
	if (other_max > *max)
		*max = other_max;
}

struct window *window_new(const struct window_config *config)
{
	struct window *window;

	window = calloc(1, sizeof(*window) + config->nr_series * sizeof(struct window_series *));
	if (!window)
		return NULL;
	window->config = *config;
	window->step_ns = config->start_ns;
	return window;
}

static void step_free(struct window *window, struct step *step)
{
	for (uint32_t i = 0; i < step->nr_parts; i++)
		free(step->parts[i]);
	free(step->parts);
	window->bytes -= step->bytes;
	memset(step, 0, sizeof(*step));
}

static void steps_free(struct window *window)
{
	for (; window->first < window->next; window->first++)
		step_free(window, &window->steps[window->first % WINDOW_STEPS]);
}

void window_free(struct window *window)
{
	if (!window)
		return;
	steps_free(window);
	for (uint32_t i = 0; i < window->config.nr_series; i++) {
		struct window_series *series = window->series[i];

		for (int m = 0; series && m < NR_MEASURES; m++)
			free(series->measures[m]);
		free(series);
	}
	free(window);
}

static struct window_series *series_of(struct window *window, uint32_t at)
{
	struct window_series *series = window->series[at];

	if (series)
		return series;
	series = calloc(1, sizeof(*series));
	if (series)
		extremes_reset(series->min, series->max);
	window->series[at] = series;
	return series;
}

int window_extremes(struct window *window, uint32_t series, const struct server_counters *counters)
{
	struct window_series *of = series_of(window, series);

	if (!of)
		return -ENOMEM;
	for (size_t i = 0; i < EPOCH_SLOTS; i++) {
		const struct extreme *slots[NR_MEASURES] = {&counters->latency[i],
							    &counters->queue_wait[i]};

		/*
		 * Folding an epoch twice changes nothing, so the one that is not over yet is taken
		 * too, and again later. One that ends in this step may have begun in the last;
		 * spread_of only believes what the buckets allow.
		 */
		for (int m = 0; m < NR_MEASURES; m++)
			if (slots[m]->count &&
			    (slots[m]->epoch + 1) << EPOCH_SHIFT > window->step_ns)
				extremes_fold(&of->min[m], &of->max[m], slots[m]->min_ns,
					      slots[m]->max_ns);
	}
	return 0;
}

int window_hist(struct window *window, uint32_t series, enum measure measure,
		const struct hist *hist)
{
	struct window_series *of = series_of(window, series);

	if (!of)
		return -ENOMEM;
	if (!of->measures[measure])
		of->measures[measure] = calloc(1, sizeof(struct cumulative));
	if (!of->measures[measure])
		return -ENOMEM;
	of->measures[measure]->last = *hist;
	return 0;
}

int window_counts(struct window *window, uint32_t series, uint64_t received, uint64_t timed)
{
	struct window_series *of = series_of(window, series);

	if (!of)
		return -ENOMEM;
	of->last_received = received;
	of->last_timed = timed;
	return 0;
}

/* What was counted until now is the start of what comes. */
static void series_rebase(struct window_series *series)
{
	for (int m = 0; m < NR_MEASURES; m++)
		if (series->measures[m])
			series->measures[m]->base = series->measures[m]->last;
	series->base_received = series->last_received;
	series->base_timed = series->last_timed;
	extremes_reset(series->min, series->max);
}

static void step_begin(struct window *window, uint64_t now_ns)
{
	for (uint32_t i = 0; i < window->config.nr_series; i++)
		if (window->series[i])
			series_rebase(window->series[i]);
	window->step_ns = now_ns;
}

void window_restart(struct window *window, uint64_t now_ns)
{
	steps_free(window);
	step_begin(window, now_ns);
}

/* A step of an hour's absence may hold more than a cell can count: then it takes several. */
static uint32_t cells_needed(uint64_t count)
{
	return (uint32_t)(count / UINT32_MAX + (count % UINT32_MAX != 0));
}

static uint32_t count_cells(const struct window_series *series)
{
	uint32_t nr = 0;

	for (int m = 0; m < NR_MEASURES; m++) {
		const struct cumulative *of = series->measures[m];

		for (uint32_t i = 0; of && i < HIST_BUCKETS; i++)
			nr += cells_needed(of->last.bucket[i] - of->base.bucket[i]);
	}
	return nr;
}

static void fill_cells(struct part *part, const struct window_series *series)
{
	struct cell *cell = part->cells;

	for (unsigned m = 0; m < NR_MEASURES; m++) {
		const struct cumulative *of = series->measures[m];

		part->min[m] = series->min[m];
		part->max[m] = series->max[m];
		if (!of)
			continue;
		part->sum[m] = of->last.sum - of->base.sum;
		for (unsigned i = 0; i < HIST_BUCKETS; i++) {
			uint64_t left = of->last.bucket[i] - of->base.bucket[i];

			for (; left; cell++) {
				uint32_t take = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;

				*cell = (struct cell){(uint16_t)i, (uint16_t)m, take};
				left -= take;
			}
		}
	}
}

static int step_add(struct window *window, struct step *step, uint32_t at)
{
	const struct window_series *series = window->series[at];
	uint32_t nr = count_cells(series);
	size_t bytes = sizeof(struct part *) + sizeof(struct part) + nr * sizeof(struct cell);
	struct part *part;

	if (!nr && series->last_received == series->base_received &&
	    series->last_timed == series->base_timed)
		return 0;
	part = calloc(1, sizeof(struct part) + nr * sizeof(struct cell));
	if (!part)
		return -ENOMEM;
	part->series = at;
	part->nr_cells = nr;
	part->received = series->last_received - series->base_received;
	part->timed = series->last_timed - series->base_timed;
	fill_cells(part, series);
	step->parts[step->nr_parts++] = part;
	step->bytes += bytes;
	window->bytes += bytes;
	return 0;
}

static void forget_oldest(struct window *window)
{
	while (window->next - window->first >= WINDOW_STEPS ||
	       (window->bytes > window->config.bytes_max &&
		window->next - window->first > window->config.steps_sure)) {
		step_free(window, &window->steps[window->first % WINDOW_STEPS]);
		window->first++;
	}
}

static uint32_t count_series(const struct window *window)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < window->config.nr_series; i++)
		nr += window->series[i] != NULL;
	return nr;
}

int window_sample(struct window *window, uint64_t now_ns)
{
	struct part **fitting;
	struct step *step;
	uint32_t nr;
	int err = 0;

	if (now_ns + STEP_SLACK_NS < window->step_ns + WINDOW_STEP_NS)
		return 0;
	forget_oldest(window);
	step = &window->steps[window->next % WINDOW_STEPS];
	step->start_ns = window->step_ns;
	step->end_ns = now_ns;
	nr = count_series(window);
	step->parts = nr ? calloc(nr, sizeof(struct part *)) : NULL;
	if (nr && !step->parts)
		err = -ENOMEM;
	for (uint32_t i = 0; i < window->config.nr_series && !err; i++)
		if (window->series[i])
			err = step_add(window, step, i);
	if (err) { /* the step goes on: nothing is lost, and the next sample tries again */
		step_free(window, step);
		return err;
	}
	/* Most series are idle in most steps. Shrinking may fail, which does no harm. */
	fitting = step->nr_parts ? realloc(step->parts, step->nr_parts * sizeof(struct part *))
				 : NULL;
	if (fitting) {
		step->parts = fitting;
	} else if (!step->nr_parts) {
		free(step->parts);
		step->parts = NULL;
	}
	step_begin(window, now_ns);
	window->next++;
	return 0;
}

static bool step_is_within(const struct step *step, uint64_t window_ns, uint64_t now_ns)
{
	return step->end_ns + window_ns > now_ns;
}

void window_sum_empty(const struct window *window, uint64_t window_ns, uint64_t now_ns,
		      struct window_sum *ret_sum)
{
	memset(ret_sum, 0, sizeof(*ret_sum));
	extremes_reset(ret_sum->min, ret_sum->max);
	ret_sum->from_ns = window->step_ns;
	for (uint64_t i = window->next; i > window->first; i--) {
		const struct step *step = &window->steps[(i - 1) % WINDOW_STEPS];

		if (!step_is_within(step, window_ns, now_ns))
			break;
		ret_sum->from_ns = step->start_ns;
	}
}

static const struct part *part_of(const struct step *step, uint32_t series)
{
	uint32_t first = 0, end = step->nr_parts;

	while (first < end) {
		uint32_t middle = first + (end - first) / 2;

		if (step->parts[middle]->series == series)
			return step->parts[middle];
		if (step->parts[middle]->series < series)
			first = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

static void part_add(const struct part *part, struct window_sum *sum)
{
	for (uint32_t c = 0; c < part->nr_cells; c++)
		sum->hist[part->cells[c].measure].bucket[part->cells[c].bucket] +=
			part->cells[c].count;
	for (int m = 0; m < NR_MEASURES; m++) {
		sum->hist[m].sum += part->sum[m];
		extremes_fold(&sum->min[m], &sum->max[m], part->min[m], part->max[m]);
	}
	sum->received += part->received;
	sum->timed += part->timed;
}

void window_add(const struct window *window, uint32_t series, uint64_t window_ns, uint64_t now_ns,
		struct window_sum *sum)
{
	const struct window_series *of = window->series[series];

	if (!of)
		return;
	for (uint64_t i = window->next; i > window->first; i--) {
		const struct step *step = &window->steps[(i - 1) % WINDOW_STEPS];
		const struct part *part;

		if (!step_is_within(step, window_ns, now_ns))
			break;
		part = part_of(step, series);
		if (part)
			part_add(part, sum);
	}
	for (int m = 0; m < NR_MEASURES; m++) {
		if (of->measures[m])
			hist_add_difference(&sum->hist[m], &of->measures[m]->last,
					    &of->measures[m]->base);
		extremes_fold(&sum->min[m], &sum->max[m], of->min[m], of->max[m]);
	}
	sum->received += of->last_received - of->base_received;
	sum->timed += of->last_timed - of->base_timed;
}

size_t window_bytes(const struct window *window)
{
	return window->bytes;
}

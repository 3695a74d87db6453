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

/* One server's share of a step. */
struct part {
	struct part *next;
	uint32_t slot;
	uint32_t nr_cells;
	uint64_t sum[NR_MEASURES];
	uint64_t min[NR_MEASURES], max[NR_MEASURES];
	uint64_t received, timed;
	struct cell cells[];
};

struct step {
	uint64_t start_ns, end_ns;
	struct part *parts;
	size_t bytes;
};

/* One server: cumulative as last read, cumulative at the start of the step, the step's extremes. */
struct window_server {
	struct server_hists last, base;
	uint64_t last_received, base_received;
	uint64_t last_timed, base_timed;
	uint64_t min[NR_MEASURES], max[NR_MEASURES];
};

struct window {
	uint64_t step_ns; /* start of the step that is not complete */
	struct step steps[WINDOW_STEPS];
	uint64_t first, next; /* ring: steps[first % …] … steps[(next - 1) % …] */
	size_t bytes;
	struct window_server *servers[MAX_SERVERS];
};

static const struct hist *hist_of(const struct server_hists *hists, enum measure measure)
{
	return measure == MEASURE_LATENCY ? &hists->latency : &hists->queue_wait;
}

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

struct window *window_new(uint64_t start_ns)
{
	struct window *window = calloc(1, sizeof(*window));

	if (window)
		window->step_ns = start_ns;
	return window;
}

static void step_free(struct window *window, struct step *step)
{
	while (step->parts) {
		struct part *part = step->parts;

		step->parts = part->next;
		free(part);
	}
	window->bytes -= step->bytes;
	memset(step, 0, sizeof(*step));
}

void window_free(struct window *window)
{
	if (!window)
		return;
	for (; window->first < window->next; window->first++)
		step_free(window, &window->steps[window->first % WINDOW_STEPS]);
	for (size_t i = 0; i < MAX_SERVERS; i++)
		free(window->servers[i]);
	free(window);
}

static struct window_server *server_of(struct window *window, uint32_t slot)
{
	struct window_server *server = window->servers[slot];

	if (server)
		return server;
	server = calloc(1, sizeof(*server));
	if (server)
		extremes_reset(server->min, server->max);
	window->servers[slot] = server;
	return server;
}

int window_extremes(struct window *window, uint32_t slot, const struct server_counters *counters)
{
	struct window_server *server = server_of(window, slot);

	if (!server)
		return -ENOMEM;
	for (size_t i = 0; i < EPOCH_SLOTS; i++) {
		const struct extreme *of[NR_MEASURES] = {&counters->latency[i],
							 &counters->queue_wait[i]};

		/*
		 * Folding an epoch twice changes nothing, so the one that is not over yet is taken
		 * too, and again later. One that ends in this step may have begun in the last;
		 * spread_of only believes what the buckets allow.
		 */
		for (int m = 0; m < NR_MEASURES; m++)
			if (of[m]->count && (of[m]->epoch + 1) << EPOCH_SHIFT > window->step_ns)
				extremes_fold(&server->min[m], &server->max[m], of[m]->min_ns,
					      of[m]->max_ns);
	}
	return 0;
}

int window_hists(struct window *window, uint32_t slot, const struct server_hists *hists,
		 uint64_t received, uint64_t timed)
{
	struct window_server *server = server_of(window, slot);

	if (!server)
		return -ENOMEM;
	server->last = *hists;
	server->last_received = received;
	server->last_timed = timed;
	return 0;
}

/* A step of an hour's absence may hold more than a cell can count: then it takes several. */
static uint32_t cells_needed(uint64_t count)
{
	return (uint32_t)(count / UINT32_MAX + (count % UINT32_MAX != 0));
}

static uint32_t count_cells(const struct window_server *server)
{
	uint32_t nr = 0;

	for (int m = 0; m < NR_MEASURES; m++) {
		const struct hist *last = hist_of(&server->last, m),
				  *base = hist_of(&server->base, m);

		for (uint32_t i = 0; i < HIST_BUCKETS; i++)
			nr += cells_needed(last->bucket[i] - base->bucket[i]);
	}
	return nr;
}

static void fill_cells(struct part *part, const struct window_server *server)
{
	struct cell *cell = part->cells;

	for (unsigned m = 0; m < NR_MEASURES; m++) {
		const struct hist *last = hist_of(&server->last, m),
				  *base = hist_of(&server->base, m);

		part->sum[m] = last->sum - base->sum;
		part->min[m] = server->min[m];
		part->max[m] = server->max[m];
		for (unsigned i = 0; i < HIST_BUCKETS; i++) {
			uint64_t left = last->bucket[i] - base->bucket[i];

			for (; left; cell++) {
				uint32_t take = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;

				*cell = (struct cell){(uint16_t)i, (uint16_t)m, take};
				left -= take;
			}
		}
	}
}

static int step_add(struct window *window, struct step *step, uint32_t slot)
{
	struct window_server *server = window->servers[slot];
	uint32_t nr = count_cells(server);
	size_t bytes = sizeof(struct part) + nr * sizeof(struct cell);
	struct part *part;

	if (!nr && server->last_received == server->base_received &&
	    server->last_timed == server->base_timed)
		return 0;
	part = calloc(1, bytes);
	if (!part)
		return -ENOMEM;
	part->slot = slot;
	part->nr_cells = nr;
	part->received = server->last_received - server->base_received;
	part->timed = server->last_timed - server->base_timed;
	fill_cells(part, server);
	part->next = step->parts;
	step->parts = part;
	step->bytes += bytes;
	window->bytes += bytes;
	return 0;
}

static void forget_oldest(struct window *window)
{
	while (window->next - window->first >= WINDOW_STEPS ||
	       (window->bytes > WINDOW_BYTES_MAX &&
		window->next - window->first > WINDOW_STEPS_SURE)) {
		step_free(window, &window->steps[window->first % WINDOW_STEPS]);
		window->first++;
	}
}

int window_sample(struct window *window, uint64_t now_ns)
{
	struct step *step;
	int err = 0;

	if (now_ns + STEP_SLACK_NS < window->step_ns + WINDOW_STEP_NS)
		return 0;
	forget_oldest(window);
	step = &window->steps[window->next % WINDOW_STEPS];
	step->start_ns = window->step_ns;
	step->end_ns = now_ns;
	for (uint32_t slot = 0; slot < MAX_SERVERS && !err; slot++)
		if (window->servers[slot])
			err = step_add(window, step, slot);
	if (err) { /* the step goes on: nothing is lost, and the next sample tries again */
		step_free(window, step);
		return err;
	}
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		struct window_server *server = window->servers[slot];

		if (!server)
			continue;
		server->base = server->last;
		server->base_received = server->last_received;
		server->base_timed = server->last_timed;
		extremes_reset(server->min, server->max);
	}
	window->step_ns = now_ns;
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

void window_add(const struct window *window, uint32_t slot, uint64_t window_ns, uint64_t now_ns,
		struct window_sum *sum)
{
	const struct window_server *server = window->servers[slot];

	if (!server)
		return;
	for (uint64_t i = window->next; i > window->first; i--) {
		const struct step *step = &window->steps[(i - 1) % WINDOW_STEPS];
		const struct part *part = step->parts;

		if (!step_is_within(step, window_ns, now_ns))
			break;
		while (part && part->slot != slot)
			part = part->next;
		if (!part)
			continue;
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
	for (int m = 0; m < NR_MEASURES; m++) {
		hist_add_difference(&sum->hist[m], hist_of(&server->last, m),
				    hist_of(&server->base, m));
		extremes_fold(&sum->min[m], &sum->max[m], server->min[m], server->max[m]);
	}
	sum->received += server->last_received - server->base_received;
	sum->timed += server->last_timed - server->base_timed;
}

size_t window_bytes(const struct window *window)
{
	return window->bytes;
}

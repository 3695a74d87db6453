// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Counting that begins anew. In: a reading. Out: what has been counted since then. The kernel's maps
 * stay as they are, because their numbers must balance at any moment; what they held is remembered
 * and taken off. The books themselves are checked on the kernel's numbers (books.c), and taking the
 * same off on both sides changes no equation.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

void baseline_free(struct baseline *baseline)
{
	if (!baseline)
		return;
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		free(baseline->hists[slot]);
		free(baseline->hists_since[slot]);
		free(baseline->rare[slot]);
		free(baseline->rare_since[slot]);
	}
	free(baseline->outcomes);
	free(baseline);
}

/* --- what is taken off --- */

static int compare_outcomes(const void *a, const void *b)
{
	const struct reading_outcome *x = a, *y = b;

	return memcmp(&x->key, &y->key, sizeof(x->key));
}

/* What makes each equation of SPEC 2 hold with nothing open and nothing waiting. */
static void baseline_counters(const struct server_counters_fields *n,
			      struct server_counters_fields *ret_base)
{
	*ret_base = *n;
	ret_base->opened = n->closed;
	ret_base->received = n->timed + n->ambiguous + n->unanswered;
	ret_base->sent = n->timed + n->push + n->answers_to_ambiguous;
	ret_base->seen_received = n->header_received + n->payload_received + n->gap_received;
	ret_base->seen_sent = n->header_sent + n->payload_sent + n->gap_sent;
}

static void *copy_of(const void *from, size_t size)
{
	void *copy = malloc(size);

	if (copy)
		memcpy(copy, from, size);
	return copy;
}

static int baseline_server(struct baseline *base, uint32_t slot,
			   const struct reading_server *server)
{
	baseline_counters(&server->counters.n, &base->n[slot]);
	if (!server->hists || !server->rare)
		return 0;
	base->hists[slot] = copy_of(server->hists, sizeof(*server->hists));
	base->rare[slot] = copy_of(server->rare, sizeof(*server->rare));
	base->hists_since[slot] = malloc(sizeof(*server->hists));
	base->rare_since[slot] = malloc(sizeof(*server->rare));
	return base->hists[slot] && base->rare[slot] && base->hists_since[slot] &&
			       base->rare_since[slot]
		       ? 0
		       : -ENOMEM;
}

static struct baseline *baseline_new(const struct aggregate *a, const struct reading *reading)
{
	struct baseline *base = calloc(1, sizeof(*base));
	int err = 0;

	if (!base)
		return NULL;
	for (uint32_t slot = 0; slot < MAX_SERVERS && !err; slot++)
		if (reading->servers[slot].used)
			err = baseline_server(base, slot, &reading->servers[slot]);
	if (reading->nr_outcomes) {
		base->outcomes = copy_of(reading->outcomes,
					 reading->nr_outcomes * sizeof(*base->outcomes));
		if (!base->outcomes)
			err = -ENOMEM;
	}
	if (err) {
		baseline_free(base);
		return NULL;
	}
	base->nr_outcomes = reading->nr_outcomes;
	if (base->nr_outcomes)
		qsort(base->outcomes, base->nr_outcomes, sizeof(*base->outcomes), compare_outcomes);
	base->books = reading->books;
	/* What is on its way counts as submitted, as what is open does as opened. */
	base->books.events_submitted = a->events_at_sample + reading->books.events_dropped_ring;
	base->events_undecodable = a->events_undecodable;
	base->events_received = a->events_at_sample - a->events_undecodable;
	base->labels_full = a->labels_full;
	base->folded = a->folded;
	for (size_t i = 0; i < reading->nr_hooks; i++)
		base->missed_runs += reading->hooks[i].missed;
	return base;
}

/* --- what is left --- */

/* A reading may have caught half of an event: then a sum is lower than what is taken off. */
static uint64_t since(uint64_t now, uint64_t base)
{
	return now > base ? now - base : 0;
}

void since_counters(const struct aggregate *a, uint32_t slot, struct server_counters_fields *ret_n)
{
	*ret_n = a->reading->servers[slot].counters.n;
	if (!a->baseline)
		return;
#define X(name, text) ret_n->name = since(ret_n->name, a->baseline->n[slot].name);
	SERVER_COUNTERS(X)
#undef X
}

uint64_t since_outcome(const struct aggregate *a, const struct reading_outcome *outcome)
{
	const struct reading_outcome *base;

	if (!a->baseline || !a->baseline->nr_outcomes)
		return outcome->count;
	base = bsearch(outcome, a->baseline->outcomes, a->baseline->nr_outcomes, sizeof(*base),
		       compare_outcomes);
	return base ? since(outcome->count, base->count) : outcome->count;
}

static void hist_since(struct hist *ret_hist, const struct hist *now, const struct hist *base)
{
	memset(ret_hist, 0, sizeof(*ret_hist));
	hist_add_difference(ret_hist, now, base);
}

const struct server_hists *since_hists(struct aggregate *a, uint32_t slot)
{
	const struct server_hists *now = a->reading->servers[slot].hists;
	struct server_hists *left;

	if (!now || !a->baseline || !a->baseline->hists[slot])
		return now;
	left = a->baseline->hists_since[slot];
	hist_since(&left->latency, &now->latency, &a->baseline->hists[slot]->latency);
	hist_since(&left->queue_wait, &now->queue_wait, &a->baseline->hists[slot]->queue_wait);
	return left;
}

/* An extreme that is new since then is exact; else the buckets bound it (spread_of). */
static struct minmax range_since(const struct minmax *now, const struct minmax *base)
{
	return (struct minmax){
		.min = now->min < base->min ? now->min : UINT64_MAX,
		.max = now->max > base->max ? now->max : 0,
	};
}

const struct server_rare *since_rare(struct aggregate *a, uint32_t slot)
{
	const struct server_rare *now = a->reading->servers[slot].rare, *base;
	struct server_rare *left;

	if (!now || !a->baseline || !a->baseline->rare[slot])
		return now;
	base = a->baseline->rare[slot];
	left = a->baseline->rare_since[slot];
	hist_since(&left->handshake, &now->handshake, &base->handshake);
	hist_since(&left->ping_rtt, &now->ping_rtt, &base->ping_rtt);
	hist_since(&left->duration_ms, &now->duration_ms, &base->duration_ms);
	left->handshake_ns = range_since(&now->handshake_ns, &base->handshake_ns);
	left->ping_rtt_ns = range_since(&now->ping_rtt_ns, &base->ping_rtt_ns);
	left->duration_range_ms = range_since(&now->duration_range_ms, &base->duration_range_ms);
	return left;
}

void since_books(const struct aggregate *a, struct summary *s)
{
	static const struct baseline none;
	const struct baseline *base = a->baseline ? a->baseline : &none;
	const struct reading *reading = a->reading;
	uint64_t missed_runs = 0;

#define X(name, text) s->books.name = since(reading->books.name, base->books.name);
	BOOKS(X)
#undef X
	for (size_t i = 0; i < reading->nr_hooks; i++)
		missed_runs += reading->hooks[i].missed;
	s->missed_runs = since(missed_runs, base->missed_runs);
	s->events_undecodable = a->events_undecodable - base->events_undecodable;
	s->events_received = a->events_at_sample - a->events_undecodable - base->events_received;
	s->labels_full = a->labels_full - base->labels_full;
	s->folded = a->folded - base->folded;
}

/* --- the reset --- */

/* The open connections count as opened with their labels; those that had closed are over. */
static struct usage *usage_anew(struct aggregate *a)
{
	struct usage *usage = usage_new();
	struct connection *connection;
	uint32_t walk = a->walked.number;
	size_t at = 0;

	if (!usage)
		return NULL;
	while ((connection = connections_next(a->connections, &at))) {
		const struct usage_row *old = connection->row == USAGE_NONE
						      ? NULL
						      : usage_row(a->usage, connection->row);
		struct usage_row *row;

		connection->over |= connection->seen != walk;
		connection->row = connection->over
					  ? USAGE_NONE
					  : usage_place(usage, connection->server,
							connection->channel, connection->user);
		if (connection->row == USAGE_NONE)
			continue;
		row = usage_row(usage, connection->row);
		row->opened++;
		usage_change(row, walk, +1, 0);
		if (old && old->user == row->user && old->channel == row->channel)
			row->traffic.received = row->waiting = usage_waiting(old, walk);
	}
	return usage;
}

static void peaks_restart(struct aggregate *a)
{
	a->peak.highest = a->peak.active;
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		a->server_peaks[slot].highest = a->server_peaks[slot].active;
	for (uint32_t series = 0; series < NR_SERIES; series++)
		a->series_peaks[series].highest = a->series_peaks[series].active;
}

static int windows_restart(struct aggregate *a, const struct reading *reading)
{
	int err = 0;

	/* What waits counts as received, so that the share that is timed is one of what came. */
	for (uint32_t slot = 0; slot < MAX_SERVERS && !err; slot++)
		if (reading->servers[slot].used)
			err = window_counts(a->window, slot, a->baseline->n[slot].received,
					    a->baseline->n[slot].timed);
	window_restart(a->window, reading->now_ns);
	window_restart(a->channel_window, reading->now_ns);
	rates_restart(a->rates, reading->now_ns);
	rates_restart(a->channel_rates, reading->now_ns);
	return err;
}

int aggregate_reset(struct aggregate *aggregate, const struct reading *reading)
{
	struct aggregate *a = aggregate;
	struct baseline *base;
	struct usage *usage;
	int err = aggregate_sample(a, reading);

	if (err)
		return err;
	base = baseline_new(a, reading);
	if (!base)
		return -ENOMEM;
	usage = usage_anew(a);
	if (!usage) {
		baseline_free(base);
		return -ENOMEM;
	}
	usage_free(a->usage);
	a->usage = usage;
	baseline_free(a->baseline);
	a->baseline = base;
	a->since_ns = reading->now_ns;
	a->since_wall_ns = reading->wall_ns;
	a->nr_recent = 0;
	peaks_restart(a);
	return windows_restart(a, reading);
}

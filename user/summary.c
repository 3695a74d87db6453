// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* Numbers for people, out of the last reading and of what was kept of those before. */
#include <stdio.h>
#include <string.h>

#include "state.h"

enum error_type error_of_outcome(const struct outcome_key *key)
{
	switch (key->kind) {
	case OUTCOME_REFUSED:
		return error_of_status(key->code);
	case OUTCOME_VIOLATION:
		return ERROR_PROTOCOL;
	case OUTCOME_CLOSE:
		return key->shadowed ? ERROR_NONE : error_of_close(key->code);
	case OUTCOME_ABNORMAL:
		return key->shadowed ? ERROR_NONE : ERROR_ABNORMAL;
	default:
		return ERROR_NONE;
	}
}

static void counters_add(struct server_counters_fields *sum, const struct server_counters_fields *n)
{
#define X(name, text) sum->name += n->name;
	SERVER_COUNTERS(X)
#undef X
}

static bool counters_any(const struct server_counters_fields *n)
{
	uint64_t any = 0;

#define X(name, text) any |= n->name;
	SERVER_COUNTERS(X)
#undef X
	return any;
}

static void code_add(struct code_counts *counts, uint16_t code, unsigned by, uint64_t count)
{
	size_t i = 0;

	while (i < counts->nr && counts->rows[i].code < code)
		i++;
	if (i == counts->nr || counts->rows[i].code != code) {
		if (counts->nr == SUMMARY_CODES) {
			counts->other[by] += count;
			return;
		}
		memmove(&counts->rows[i + 1], &counts->rows[i],
			(counts->nr - i) * sizeof(counts->rows[0]));
		counts->rows[i] = (struct code_count){.code = code};
		counts->nr++;
	}
	counts->rows[i].count[by] += count;
}

/* One row of the outcomes into the numbers of its server and of all. */
static void summarise_outcome(struct summary *s, struct server_summary *server,
			      const struct reading_outcome *outcome)
{
	const struct outcome_key *key = &outcome->key;
	enum error_type type = error_of_outcome(key);
	unsigned by = key->initiator == BY_SERVER ? BY_SERVER : BY_CLIENT;
	uint64_t count = outcome->count;

	switch (key->kind) {
	case OUTCOME_REFUSED:
		code_add(&s->refused, key->code, BY_SERVER, count);
		server->refused[key->code < 600 ? key->code / 100 : 5] += count;
		break;
	case OUTCOME_VIOLATION:
		if (key->code < NR_VIOLATIONS) {
			s->violations[key->code] += count;
			server->violations[key->code] += count;
		}
		break;
	case OUTCOME_CLOSE:
		code_add(&s->close_codes, key->code, by, count);
		server->closes[close_class(key->code)][by] += count;
		break;
	case OUTCOME_ABNORMAL:
		if (key->code < NR_CAUSES && !key->shadowed) {
			s->causes[key->code] += count;
			server->causes[key->code] += count;
		}
		break;
	}
	if (type == ERROR_NONE)
		return;
	s->by_type[type] += count;
	s->errors += count;
	server->by_type[type] += count;
	server->errors += count;
}

static void summarise_outcomes(const struct reading *reading, struct summary *s,
			       struct server_summary *by_slot[MAX_SERVERS])
{
	for (size_t i = 0; i < reading->nr_outcomes; i++) {
		uint32_t slot = reading->outcomes[i].key.server;

		/* An outcome that was corrected leaves a 0 behind. */
		if (slot != SLOT_UPSTREAM && by_slot[slot] && reading->outcomes[i].count)
			summarise_outcome(s, by_slot[slot], &reading->outcomes[i]);
	}
}

/* "other" has a row when something is in it. */
static bool server_is_shown(const struct reading *reading, uint32_t slot)
{
	const struct reading_server *server = &reading->servers[slot];

	if (!server->used || slot == SLOT_UPSTREAM)
		return false;
	if (slot != SLOT_OTHER || counters_any(&server->counters.n))
		return true;
	for (size_t i = 0; i < reading->nr_outcomes; i++)
		if (reading->outcomes[i].key.server == SLOT_OTHER && reading->outcomes[i].count)
			return true;
	return false;
}

static void summarise_servers(struct aggregate *a, struct summary *s, uint64_t window_ns)
{
	const struct reading *reading = a->reading;
	struct server_summary *by_slot[MAX_SERVERS] = {0};
	struct window_sum sum;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		const struct reading_server *from = &reading->servers[slot];
		struct server_summary *server = &s->servers[s->nr_servers];

		if (!server_is_shown(reading, slot))
			continue;
		s->nr_servers++;
		by_slot[slot] = server;
		server->slot = slot;
		snprintf(server->name, sizeof(server->name), "%s",
			 slot == SLOT_OTHER ? "other" : a->names[slot]);
		server->n = from->counters.n;
		server->active = a->walked.active[slot];
		server->rate_1m = rates_get(a->rates, slot, RATE_MESSAGES, 60 * 1000000000ull);
		server->hists = from->hists;
		server->rare = from->rare;
		counters_add(&s->n, &from->counters.n);
		window_sum_empty(a->window, window_ns, reading->now_ns, &sum);
		window_add(a->window, slot, window_ns, reading->now_ns, &sum);
		server->latency = spread_of(&sum.hist[MEASURE_LATENCY], sum.min[MEASURE_LATENCY],
					    sum.max[MEASURE_LATENCY], 1);
	}
	summarise_outcomes(reading, s, by_slot);
}

static double rate_of_all(const struct aggregate *a, enum rate_of what, uint64_t seconds)
{
	double rate = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (slot != SLOT_UPSTREAM)
			rate += rates_get(a->rates, slot, what, seconds * 1000000000ull);
	return rate;
}

static bool hook_is_attached(const struct reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->nr_hooks; i++)
		if (reading->hooks[i].attached && strstr(reading->hooks[i].name, name))
			return true;
	return false;
}

static void summarise_window(struct aggregate *a, struct summary *s, uint64_t window_ns)
{
	const struct reading *reading = a->reading;
	struct window_sum sum;

	window_sum_empty(a->window, window_ns, reading->now_ns, &sum);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (slot != SLOT_UPSTREAM)
			window_add(a->window, slot, window_ns, reading->now_ns, &sum);
	s->window_s = (double)(reading->now_ns - sum.from_ns) / 1e9;
	s->window_received = sum.received;
	s->window_timed = sum.timed;
	s->latency = spread_of(&sum.hist[MEASURE_LATENCY], sum.min[MEASURE_LATENCY],
			       sum.max[MEASURE_LATENCY], 1);
	s->queue_wait = spread_of(&sum.hist[MEASURE_QUEUE_WAIT], sum.min[MEASURE_QUEUE_WAIT],
				  sum.max[MEASURE_QUEUE_WAIT], 1);
	s->queue_wait.available = hook_is_attached(reading, "sk_data_ready");
}

/* One distribution of struct server_rare over all servers. */
static struct spread spread_of_rare(const struct reading *reading, size_t hist_at, size_t range_at,
				    uint64_t unit_ns)
{
	static const struct hist none;
	struct hist sum = {0};
	uint64_t min = UINT64_MAX, max = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		const char *rare = (const char *)reading->servers[slot].rare;
		const struct minmax *range;

		if (slot == SLOT_UPSTREAM || !rare ||
		    !hist_count((const struct hist *)(rare + hist_at)))
			continue;
		range = (const struct minmax *)(rare + range_at);
		hist_add_difference(&sum, (const struct hist *)(rare + hist_at), &none);
		if (range->min < min)
			min = range->min;
		if (range->max > max)
			max = range->max;
	}
	return spread_of(&sum, min, max, unit_ns);
}

#define SPREAD_OF_RARE(reading, hist, range, unit_ns)                                              \
	spread_of_rare(reading, offsetof(struct server_rare, hist),                                \
		       offsetof(struct server_rare, range), unit_ns)

static void summarise_recent(const struct aggregate *a, struct summary *s)
{
	for (uint64_t i = 0; i < a->nr_recent && i < SUMMARY_RECENT; i++) {
		const struct recent *recent = &a->recent[(a->nr_recent - 1 - i) % RECENT_MAX];
		struct error_row *row = &s->recent[s->nr_recent++];

		*row = recent->row;
		/* The difference wraps for a record that is younger than the reading: as it should. */
		row->wall_ns = a->reading->wall_ns - (a->reading->now_ns - recent->now_ns);
		snprintf(row->server, sizeof(row->server), "%s",
			 recent->server == SLOT_OTHER ? "other" : a->names[recent->server]);
	}
}

static void summarise_books(const struct aggregate *a, struct summary *s)
{
	const struct reading *reading = a->reading;
	uint64_t ended[MAX_SERVERS], done = 0;

	books_ended(reading, ended);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (slot != SLOT_UPSTREAM)
			done += ended[slot];
	s->ending = s->n.closed > done ? s->n.closed - done : 0;
	s->unbalanced = a->unbalanced;
	s->upstream_unbalanced = a->upstream_unbalanced;
	s->settled = a->settled && !s->unbalanced && !s->upstream_unbalanced;
	s->books = reading->books;
	s->events_undecodable = a->events_undecodable;
	s->events_received = a->events_at_sample - a->events_undecodable;
	s->labels_full = a->labels_full;
	s->folded = a->folded;
	s->hooks = reading->hooks;
	s->nr_hooks = reading->nr_hooks;
	s->unseen = reading->unseen;
	s->nr_unseen = reading->nr_unseen;
	for (size_t i = 0; i < reading->nr_hooks; i++)
		s->missed_runs += reading->hooks[i].missed;
}

void aggregate_summary(struct aggregate *aggregate, const struct filter *filter,
		       struct summary *ret_summary)
{
	uint64_t window_ns = filter && filter->window_ns ? filter->window_ns : AGGREGATE_WINDOW_NS;
	struct aggregate *a = aggregate;
	const struct reading *reading = a->reading;
	struct summary *s = ret_summary;

	memset(s, 0, sizeof(*s));
	s->now_ns = reading->wall_ns;
	s->since_ns = a->config.start_wall_ns;
	s->uptime_s = (double)(reading->now_ns - a->config.start_ns) / 1e9;
	summarise_servers(a, s, window_ns);
	summarise_window(a, s, window_ns);

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		if (slot == SLOT_UPSTREAM)
			continue;
		s->active += a->walked.active[slot];
		s->waiting += a->walked.waiting[slot];
	}
	/* Between two walks of a large host, the counters are what is known now. */
	if (!(reading->parts & READING_WALK))
		s->active = a->active;
	s->peak = a->peak > s->active ? a->peak : s->active;
	s->by_user = a->walked.by_user;
	s->by_channel = a->walked.by_channel;
	s->open_age = spread_of(&a->walked.age_ms, a->walked.min_age_ms, a->walked.max_age_ms,
				1000000);
	s->duration = SPREAD_OF_RARE(reading, duration_ms, duration_range_ms, 1000000);
	s->handshake = SPREAD_OF_RARE(reading, handshake, handshake_ns, 1);
	s->ping_rtt = SPREAD_OF_RARE(reading, ping_rtt, ping_rtt_ns, 1);

	s->rate_1m = rate_of_all(a, RATE_MESSAGES, 60);
	s->rate_5m = rate_of_all(a, RATE_MESSAGES, 300);
	s->rate_15m = rate_of_all(a, RATE_MESSAGES, 900);
	s->error_rate = rate_of_all(a, RATE_ERRORS, 300) * 60;
	summarise_recent(a, s);

	s->upstream = reading->servers[SLOT_UPSTREAM].counters.n;
	s->upstream_active = a->walked.active[SLOT_UPSTREAM];
	summarise_books(a, s);
}

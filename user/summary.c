// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* Numbers for people, out of the last reading and of what was kept of those before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

#define SECOND_NS 1000000000ull

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

	if (code == CLOSE_OTHER || code == CLOSE_OTHER_APPLICATION) {
		counts->other[by] += count;
		return;
	}
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
			      const struct outcome_key *key, uint64_t count)
{
	uint64_t total = server->in_totals ? count : 0;
	enum error_type type = error_of_outcome(key);
	unsigned by = key->initiator == BY_SERVER ? BY_SERVER : BY_CLIENT;

	switch (key->kind) {
	case OUTCOME_REFUSED:
		if (total)
			code_add(&s->refused, key->code, BY_SERVER, total);
		server->refused[key->code < 600 ? key->code / 100 : 5] += count;
		break;
	case OUTCOME_VIOLATION:
		if (key->code < NR_VIOLATIONS) {
			s->violations[key->code] += total;
			server->violations[key->code] += count;
		}
		break;
	case OUTCOME_CLOSE:
		if (total)
			code_add(&s->close_codes, key->code, by, total);
		server->closes[close_class(key->code)][by] += count;
		break;
	case OUTCOME_ABNORMAL:
		if (key->code < NR_CAUSES && !key->shadowed) {
			s->causes[key->code] += total;
			server->causes[key->code] += count;
		}
		break;
	}
	if (type == ERROR_NONE)
		return;
	s->by_type[type] += total;
	s->errors += total;
	server->by_type[type] += count;
	server->errors += count;
}

/* "other" has a row when something is in it. */
static bool server_is_shown(const struct aggregate *a, uint32_t slot,
			    const struct server_counters_fields *n)
{
	const struct reading *reading = a->reading;

	if (!reading->servers[slot].used)
		return false;
	if (slot != SLOT_OTHER || counters_any(n))
		return true;
	for (size_t i = 0; i < reading->nr_outcomes; i++)
		if (reading->outcomes[i].key.server == SLOT_OTHER &&
		    since_outcome(a, &reading->outcomes[i]))
			return true;
	return false;
}

static struct server_summary *server_add(const struct aggregate *a, const struct match *match,
					 struct summary *s, uint32_t slot)
{
	struct server_summary *server = &s->servers[s->nr_servers++];

	server->slot = slot;
	server->proxy = a->reading->servers[slot].key.proxy;
	server->in_totals = match->servers[slot];
	snprintf(server->name, sizeof(server->name), "%s",
		 slot == SLOT_OTHER ? "other" : a->names[slot]);
	return server;
}

/* --- by server: from the kernel's counters --- */

static void summarise_servers(struct aggregate *a, const struct match *match, struct summary *s)
{
	const struct reading *reading = a->reading;
	struct server_summary *by_slot[MAX_SERVERS] = {0};
	struct window_sum sum;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		struct server_counters_fields n;
		struct server_summary *server;

		since_counters(a, slot, &n);
		/* A proxy has its row beside the servers that it passes to. */
		if (!match->servers[slot] &&
		    (match->by_server || slot == SLOT_UPSTREAM || reading_in_totals(reading, slot)))
			continue;
		if (!server_is_shown(a, slot, &n))
			continue;
		server = by_slot[slot] = server_add(a, match, s, slot);
		server->n = n;
		server->active = a->walked.active[slot];
		server->rate_1m = rates_get(a->rates, slot, RATE_MESSAGES, 60 * SECOND_NS);
		server->hists = since_hists(a, slot);
		server->rare = since_rare(a, slot);
		if (server->in_totals)
			counters_add(&s->n, &n);
		window_sum_empty(a->window, match->window_ns, reading->now_ns, &sum);
		window_add(a->window, slot, match->window_ns, reading->now_ns, &sum);
		server->latency = spread_of(&sum.hist[MEASURE_LATENCY], sum.min[MEASURE_LATENCY],
					    sum.max[MEASURE_LATENCY], 1);
	}
	for (size_t i = 0; i < reading->nr_outcomes; i++) {
		const struct outcome_key *key = &reading->outcomes[i].key;
		uint64_t count = since_outcome(a, &reading->outcomes[i]);

		/* An outcome that was corrected leaves a 0 behind. */
		if (by_slot[key->server] && count)
			summarise_outcome(s, by_slot[key->server], key, count);
	}
}

static double rate_of(const struct aggregate *a, const struct match *match, enum rate_of what,
		      uint64_t seconds)
{
	double rate = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (match->servers[slot])
			rate += rates_get(a->rates, slot, what, seconds * SECOND_NS);
	return rate;
}

static bool hook_is_attached(const struct reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->nr_hooks; i++)
		if (reading->hooks[i].attached && strstr(reading->hooks[i].name, name))
			return true;
	return false;
}

bool aggregate_has_queue_wait(const struct aggregate *aggregate)
{
	return hook_is_attached(aggregate->reading, "sk_data_ready");
}

static void summarise_window(const struct aggregate *a, const struct match *match,
			     struct summary *s)
{
	const struct reading *reading = a->reading;
	struct window_sum sum;

	window_sum_empty(a->window, match->window_ns, reading->now_ns, &sum);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (match->servers[slot])
			window_add(a->window, slot, match->window_ns, reading->now_ns, &sum);
	s->window_s = (double)(reading->now_ns - sum.from_ns) / 1e9;
	s->window_received = sum.received;
	s->window_timed = sum.timed;
	s->latency = spread_of(&sum.hist[MEASURE_LATENCY], sum.min[MEASURE_LATENCY],
			       sum.max[MEASURE_LATENCY], 1);
	s->queue_wait = spread_of(&sum.hist[MEASURE_QUEUE_WAIT], sum.min[MEASURE_QUEUE_WAIT],
				  sum.max[MEASURE_QUEUE_WAIT], 1);
	s->queue_wait.available = aggregate_has_queue_wait(a);
}

/* One distribution of struct server_rare over these servers. */
static struct spread spread_of_rare(const struct summary *s, size_t hist_at, size_t range_at,
				    uint64_t unit_ns)
{
	static const struct hist none;
	struct hist sum = {0};
	uint64_t min = UINT64_MAX, max = 0;

	for (size_t i = 0; i < s->nr_servers; i++) {
		const char *rare = (const char *)s->servers[i].rare;
		const struct minmax *range;

		if (!s->servers[i].in_totals || !rare ||
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

#define SPREAD_OF_RARE(s, hist, range, unit_ns)                                                    \
	spread_of_rare(s, offsetof(struct server_rare, hist), offsetof(struct server_rare, range), \
		       unit_ns)

static struct spread spread_of_ages(const struct aggregate *a, const struct match *match)
{
	static const struct hist none;
	struct age sum;

	age_empty(&sum);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		const struct age *age = a->walked.ages[slot];

		if (!match->servers[slot] || !age)
			continue;
		hist_add_difference(&sum.ms, &age->ms, &none);
		if (age->min_ms < sum.min_ms)
			sum.min_ms = age->min_ms;
		if (age->max_ms > sum.max_ms)
			sum.max_ms = age->max_ms;
	}
	return spread_of(&sum.ms, sum.min_ms, sum.max_ms, 1000000);
}

static void summarise_active(const struct aggregate *a, const struct match *match,
			     struct summary *s)
{
	uint64_t counted = 0;

	s->has_peak = true;
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		if (!match->servers[slot])
			continue;
		s->active += a->walked.active[slot];
		s->waiting += a->walked.waiting[slot];
		counted += a->server_peaks[slot].active;
		s->peak = a->server_peaks[slot].highest;
	}
	/* Between two walks of a large host, the counters are what is known now. */
	if (!(a->reading->parts & READING_WALK))
		s->active = counted;
	if (!match->by_server)
		s->peak = a->peak.highest;
	else if (s->nr_servers == 0)
		s->peak = 0;
	if (s->peak < s->active)
		s->peak = s->active;
}

static void summarise_by_server(struct aggregate *a, const struct match *match, struct summary *s)
{
	s->has_details = s->has_rates = true;
	summarise_servers(a, match, s);
	summarise_window(a, match, s);
	summarise_active(a, match, s);
	s->open_age = spread_of_ages(a, match);
	s->duration = SPREAD_OF_RARE(s, duration_ms, duration_range_ms, 1000000);
	s->handshake = SPREAD_OF_RARE(s, handshake, handshake_ns, 1);
	s->ping_rtt = SPREAD_OF_RARE(s, ping_rtt, ping_rtt_ns, 1);
	s->rate_1m = rate_of(a, match, RATE_MESSAGES, 60);
	s->rate_5m = rate_of(a, match, RATE_MESSAGES, 300);
	s->rate_15m = rate_of(a, match, RATE_MESSAGES, 900);
	s->error_rate = rate_of(a, match, RATE_ERRORS, 300) * 60;
}

/* --- by channel and user: from walks and records --- */

static struct server_summary *server_of(const struct aggregate *a, const struct match *match,
					struct summary *s,
					struct server_summary *by_slot[MAX_SERVERS], uint32_t slot)
{
	if (!by_slot[slot])
		by_slot[slot] = server_add(a, match, s, slot);
	return by_slot[slot];
}

static void row_add(struct server_counters_fields *n, const struct usage_row *row, uint64_t active)
{
	n->opened += row->opened > active ? row->opened : active;
	n->closed += row->opened > active ? row->opened - active : 0;
	n->received += row->traffic.received;
	n->sent += row->traffic.sent;
	n->bytes_received += row->traffic.bytes_received;
	n->bytes_sent += row->traffic.bytes_sent;
}

struct durations {
	uint64_t count, sum_ms, min_ms, max_ms;
};

static void durations_add(struct durations *durations, const struct usage_row *row)
{
	durations->count += row->durations;
	durations->sum_ms += row->duration_sum_ms;
	if (row->duration_min_ms < durations->min_ms)
		durations->min_ms = row->duration_min_ms;
	if (row->duration_max_ms > durations->max_ms)
		durations->max_ms = row->duration_max_ms;
}

static struct spread spread_of_durations(const struct durations *durations)
{
	struct spread spread = {
		.available = true, .no_percentiles = true, .count = durations->count};

	if (!spread.count)
		return spread;
	spread.avg_ns = (double)durations->sum_ms / (double)spread.count * 1e6;
	spread.min_ns = (double)durations->min_ms * 1e6;
	spread.max_ns = (double)durations->max_ms * 1e6;
	return spread;
}

static void summarise_rows(const struct aggregate *a, const struct match *match, struct summary *s)
{
	struct server_summary *by_slot[MAX_SERVERS] = {0};
	struct durations durations = {.min_ms = UINT64_MAX};
	const struct usage_outcome *outcome;
	size_t at = 0;

	for (uint32_t i = 0; i < usage_count(a->usage); i++) {
		const struct usage_row *row = usage_row(a->usage, i);
		uint64_t active = usage_active(row, a->walked.number);
		struct server_summary *server;

		if (!match_row(match, row))
			continue;
		server = server_of(a, match, s, by_slot, row->server);
		server->active += active;
		row_add(&server->n, row, active);
		row_add(&s->n, row, active);
		s->active += active;
		s->waiting += usage_waiting(row, a->walked.number);
		durations_add(&durations, row);
	}
	s->duration = spread_of_durations(&durations);
	while ((outcome = usage_outcome_next(a->usage, &at))) {
		const struct usage_row *row = usage_row(a->usage, outcome->row);

		if (match_row(match, row))
			summarise_outcome(s, server_of(a, match, s, by_slot, row->server),
					  &outcome->key, outcome->count);
	}
}

static struct spread spread_of_matching_ages(const struct aggregate *a, const struct match *match)
{
	const struct connection *connection;
	size_t at = 0;
	struct age age;

	age_empty(&age);
	while ((connection = connections_next(a->connections, &at)))
		if (connection->seen == a->walked.number && connection->row != USAGE_NONE &&
		    match_row(match, usage_row(a->usage, connection->row)))
			age_add(&age, a->reading->now_ns, connection->open_ns);
	return spread_of(&age.ms, age.min_ms, age.max_ms, 1000000);
}

static double channel_rate(const struct aggregate *a, const struct match *match, enum rate_of what,
			   uint64_t seconds)
{
	double rate = 0;

	for (uint32_t series = 0; series < NR_SERIES; series++)
		if (match->series[series])
			rate += rates_get(a->channel_rates, series, what, seconds * SECOND_NS);
	return rate;
}

/* The kernel times a channel's messages, but not those of "other", which has no slot there. */
static void summarise_channel_window(const struct aggregate *a, const struct match *match,
				     struct summary *s)
{
	uint64_t now_ns = a->reading->now_ns;
	struct window_sum sum;

	if (match->other)
		return;
	window_sum_empty(a->channel_window, match->window_ns, now_ns, &sum);
	for (uint32_t slot = CHANNEL_FIRST; slot < MAX_CHANNELS; slot++)
		if (match->series[slot])
			window_add(a->channel_window, slot, match->window_ns, now_ns, &sum);
	s->window_s = (double)(now_ns - sum.from_ns) / 1e9;
	s->window_received = sum.received;
	s->window_timed = sum.timed;
	s->latency = spread_of(&sum.hist[MEASURE_LATENCY], sum.min[MEASURE_LATENCY],
			       sum.max[MEASURE_LATENCY], 1);
}

/* Two peaks that were not at one time are no peak of both. */
static void summarise_channel_peak(const struct aggregate *a, const struct match *match,
				   struct summary *s)
{
	unsigned nr = 0;

	for (uint32_t series = 0; series < NR_SERIES; series++) {
		uint64_t highest = a->series_peaks[series].highest;

		if (!match->series[series] || !highest)
			continue;
		s->peak = highest;
		nr++;
	}
	s->has_peak = nr < 2;
	if (s->peak < s->active)
		s->peak = s->active;
}

static bool others_match(const struct aggregate *a, const struct match *match)
{
	struct match others = *match;

	if (usage_lost(a->usage))
		return true;
	others.nobody = false;
	others.user = USER_OTHER;
	for (uint32_t i = 0; i < usage_count(a->usage); i++)
		if (match_row(&others, usage_row(a->usage, i)))
			return true;
	return false;
}

static void summarise_by_labels(const struct aggregate *a, const struct match *match,
				struct summary *s)
{
	summarise_rows(a, match, s);
	s->open_age = spread_of_matching_ages(a, match);
	if (match->by_user) {
		s->partial = !match->nobody && others_match(a, match);
		return;
	}
	s->has_rates = true;
	s->rate_1m = channel_rate(a, match, RATE_MESSAGES, 60);
	s->rate_5m = channel_rate(a, match, RATE_MESSAGES, 300);
	s->rate_15m = channel_rate(a, match, RATE_MESSAGES, 900);
	s->error_rate = channel_rate(a, match, RATE_ERRORS, 300) * 60;
	summarise_channel_window(a, match, s);
	summarise_channel_peak(a, match, s);
}

/* --- labels and rows --- */

/* Without memory for more, everybody is "other". */
static void top_unknown(const struct summary *s, struct top *top)
{
	memset(top, 0, sizeof(*top));
	top->other = s->active;
	top->more = s->active > 0;
}

static void summarise_tops(const struct aggregate *a, const struct match *match, struct summary *s)
{
	size_t max = usage_count(a->usage) + 1, nr = 0;
	struct user_count *users;
	struct name_count *names;

	if (!s->filtered) {
		s->by_user = a->walked.by_user;
		s->by_channel = a->walked.by_channel;
		return;
	}
	users = calloc(max, sizeof(*users));
	names = calloc(max, sizeof(*names));
	for (uint32_t i = 0; users && names && i < usage_count(a->usage); i++) {
		const struct usage_row *row = usage_row(a->usage, i);
		uint64_t active = usage_active(row, a->walked.number);

		if (!active || !match_row(match, row))
			continue;
		users[nr] = (struct user_count){row->user, active};
		names[nr++] = (struct name_count){channels_name(a->channels, row->channel), active};
	}
	if (users && names) {
		top_users(users, nr, &s->by_user);
		top_names(names, nr, &s->by_channel);
	} else {
		top_unknown(s, &s->by_user);
		top_unknown(s, &s->by_channel);
	}
	free(users);
	free(names);
}

static void summarise_recent(const struct aggregate *a, const struct match *match,
			     struct summary *s)
{
	for (uint64_t i = 0; i < a->nr_recent && i < RECENT_MAX && s->nr_recent < SUMMARY_RECENT;
	     i++) {
		const struct recent *recent = &a->recent[(a->nr_recent - 1 - i) % RECENT_MAX];
		struct error_row *row;

		if (s->filtered && !match_recent(match, recent))
			continue;
		row = &s->recent[s->nr_recent++];
		*row = recent->row;
		/* The difference wraps for a record that is younger than the reading: as it should. */
		row->wall_ns = a->reading->wall_ns - (a->reading->now_ns - recent->now_ns);
		snprintf(row->server, sizeof(row->server), "%s",
			 recent->server == SLOT_OTHER ? "other" : a->names[recent->server]);
	}
}

static void summarise_filter(const struct match *match, const struct filter *filter,
			     struct summary *s)
{
	s->filtered = match->by_server || match->by_channel || match->by_user;
	if (match->by_server)
		label_clean((struct text){filter->server, strlen(filter->server)}, s->filter_server,
			    sizeof(s->filter_server));
	if (match->by_channel)
		label_clean((struct text){filter->channel, strlen(filter->channel)},
			    s->filter_channel, sizeof(s->filter_channel));
	if (match->by_user && !match->nobody)
		label_user_text(match->user, s->filter_user);
}

/* --- what is the host's, whatever the filter --- */

static void summarise_books(const struct aggregate *a, struct summary *s)
{
	const struct reading *reading = a->reading;
	uint64_t ended[MAX_SERVERS], closed = 0, done = 0;

	books_ended(reading, ended);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		if (slot == SLOT_UPSTREAM || !reading->servers[slot].used)
			continue;
		closed += reading->servers[slot].counters.n.closed;
		done += ended[slot];
	}
	s->ending = closed > done ? closed - done : 0;
	s->unbalanced = a->unbalanced;
	s->upstream_unbalanced = a->upstream_unbalanced;
	s->settled = a->settled && !s->unbalanced && !s->upstream_unbalanced;
	since_books(a, s);
	s->hooks = reading->hooks;
	s->nr_hooks = reading->nr_hooks;
	s->unseen = reading->unseen;
	s->nr_unseen = reading->nr_unseen;
}

void aggregate_summary(struct aggregate *aggregate, const struct filter *filter,
		       struct summary *ret_summary)
{
	struct aggregate *a = aggregate;
	struct summary *s = ret_summary;
	struct match match;

	memset(s, 0, sizeof(*s));
	match_of(a, filter, &match);
	summarise_filter(&match, filter, s);
	s->now_ns = a->reading->wall_ns;
	s->since_ns = a->since_wall_ns;
	s->uptime_s = (double)(a->reading->now_ns - a->config.start_ns) / 1e9;
	s->counted_s = (double)(a->reading->now_ns - a->since_ns) / 1e9;
	if (match.by_channel || match.by_user)
		summarise_by_labels(a, &match, s);
	else
		summarise_by_server(a, &match, s);
	summarise_tops(a, &match, s);
	summarise_recent(a, &match, s);

	s->has_upstream = !s->filtered;
	if (s->has_upstream) {
		since_counters(a, SLOT_UPSTREAM, &s->upstream);
		s->upstream_active = a->walked.active[SLOT_UPSTREAM];
	}
	s->unrecognised = a->reading->unrecognised;
	summarise_books(a, s);
}

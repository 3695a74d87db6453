// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"

struct aggregate *aggregate_new(const struct aggregate_config *config)
{
	/* Fifteen minutes of samples, and some: a sample may come a tenth of a step early. */
	struct rates_config rates = {.step_ns = 1000000000, .nr_samples = 1024};
	struct rates_config channel_rates = {.step_ns = 10000000000, .nr_samples = 104};
	struct window_config window = {.steps_sure = WINDOW_STEPS_SURE, .bytes_max = 12 << 20};
	struct window_config channel_window = {.bytes_max = 4 << 20};
	struct aggregate *a = calloc(1, sizeof(*a));

	rates.nr_series = window.nr_series = MAX_SERVERS;
	channel_rates.nr_series = NR_SERIES;
	channel_window.nr_series = MAX_CHANNELS;
	if (!a)
		return NULL;
	a->config = *config;
	a->sampled_ns = config->start_ns;
	a->since_ns = config->start_ns;
	a->since_wall_ns = config->start_wall_ns;
	a->walked_ns = config->start_ns;
	rates.start_ns = channel_rates.start_ns = config->start_ns;
	window.start_ns = channel_window.start_ns = config->start_ns;
	a->rates = rates_new(&rates);
	a->window = window_new(&window);
	a->channel_rates = rates_new(&channel_rates);
	a->channel_window = window_new(&channel_window);
	a->channels = channels_new(config->key);
	a->connections = connections_new();
	a->usage = usage_new();
	a->ledger = config->history ? ledger_new(config->start_ns) : NULL;
	if (!a->rates || !a->window || !a->channel_rates || !a->channel_window || !a->channels ||
	    !a->connections || !a->usage || (config->history && !a->ledger)) {
		aggregate_free(a);
		return NULL;
	}
	return a;
}

void aggregate_free(struct aggregate *aggregate)
{
	if (!aggregate)
		return;
	rates_free(aggregate->rates);
	window_free(aggregate->window);
	rates_free(aggregate->channel_rates);
	window_free(aggregate->channel_window);
	usage_free(aggregate->usage);
	ledger_free(aggregate->ledger);
	baseline_free(aggregate->baseline);
	channels_free(aggregate->channels);
	connections_free(aggregate->connections);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		free(aggregate->walked.ages[slot]);
	free(aggregate->moments);
	free(aggregate);
}

/* --- records --- */

static void record_open(struct aggregate *a, const struct record *record)
{
	const struct event_open *open = &record->open;
	struct channel_key key = {.path_hash = open->path_hash, .server = open->server};
	struct connection connection = {
		.id = open->event.id,
		.open_ns = open->event.now_ns,
		.server = open->server,
		.row = USAGE_NONE,
		.seen = a->walked.number,
	};
	struct handshake handshake;

	if (open->upstream)
		return;
	handshake_parse(record->request, record->response, &handshake);
	connection.user = label_user(a->config.key, open->peer.addr, handshake.forwarded_for);
	connection.channel = channels_place(a->channels, open->server, handshake.path);
	if (connection.channel == CHANNEL_OTHER)
		a->folded++;
	else if (channels_learn(a->channels, &key, connection.channel) && a->config.name_channel)
		a->config.name_channel(&key, connection.channel, a->config.ctx);
	account_open(a, &connection);
	moment_add(a, &(struct moment){
			      .at_ns = open->event.now_ns,
			      .change = +1,
			      .server = open->server,
			      .series = (uint16_t)usage_series(open->server, connection.channel),
		      });
}

static void record_refused(struct aggregate *a, const struct record *record)
{
	const struct event_open *open = &record->open;
	struct channel_key key = {.path_hash = open->path_hash, .server = open->server};
	struct handshake handshake;
	uint16_t channel;
	uint64_t user;

	if (open->upstream)
		return;
	handshake_parse(record->request, record->response, &handshake);
	user = label_user(a->config.key, open->peer.addr, handshake.forwarded_for);
	channel = channels_lookup(a->channels, &key);
	account_refused(a, open, user, channel);
	recent_refused(a, record, &handshake, user, channel);
}

static void record_close(struct aggregate *a, const struct record *record)
{
	const struct event_close *close = &record->close;
	struct connection *connection = connections_find(a->connections, close->event.id);
	uint16_t channel = connection ? connection->channel : close->channel;

	if (close->upstream)
		return;
	/* The record comes when the socket is gone, which may be long after the close. */
	moment_add(a, &(struct moment){
			      .at_ns = connection ? connection->open_ns + close->duration_ns
						  : close->event.now_ns,
			      .change = -1,
			      .server = close->server,
			      .series = (uint16_t)usage_series(close->server, channel),
		      });
	account_close(a, close, connection);
	ledger_closed(a->ledger, close, connection, error_of_record(close));
	recent_closed(a, record, connection);
	connections_remove(a->connections, close->event.id);
}

void aggregate_record(struct aggregate *aggregate, const struct record *record)
{
	aggregate->events_received++;
	switch (record->type) {
	case EVENT_OPEN:
		record_open(aggregate, record);
		break;
	case EVENT_REFUSED:
		record_refused(aggregate, record);
		break;
	case EVENT_REASON:
		recent_reason(aggregate, record);
		break;
	case EVENT_CLOSE:
		record_close(aggregate, record);
		break;
	}
}

void aggregate_undecodable(struct aggregate *aggregate)
{
	aggregate->events_undecodable++;
}

/* --- one sample --- */

static bool name_is_taken(const struct aggregate *a, uint32_t slot)
{
	for (uint32_t i = 0; i < MAX_SERVERS; i++)
		if (i != slot && strcmp(a->names[i], a->names[slot]) == 0)
			return true;
	return false;
}

/* The other half of a proxy has its name already. */
static bool twin_is_named(const struct aggregate *a, const struct reading *reading, uint32_t slot)
{
	const struct server_key *key = &reading->servers[slot].key;

	for (uint32_t i = SLOT_FIRST; i < MAX_SERVERS; i++) {
		const struct server_key *other = &reading->servers[i].key;

		if (i != slot && a->names[i][0] && other->port == key->port &&
		    other->netns == key->netns &&
		    memcmp(other->path, key->path, sizeof(key->path)) == 0)
			return true;
	}
	return false;
}

static void sample_names(struct aggregate *a, const struct reading *reading)
{
	for (uint32_t slot = SLOT_FIRST; slot < MAX_SERVERS; slot++) {
		const struct reading_server *server = &reading->servers[slot];
		char *name = a->names[slot];
		size_t len;

		if (!server->used || *name)
			continue;
		label_server(server->info.comm, &server->key, server->process.unit, name);
		/* What a proxy passes on and what it answers itself, where it does both; or the
		 * same program on the same port of another network namespace. */
		len = strlen(name);
		if (name_is_taken(a, slot) && twin_is_named(a, reading, slot))
			snprintf(name + (len < LABEL_MAX - 24 ? len : LABEL_MAX - 24), 24, "~%s",
				 server->key.proxy ? "proxy" : "direct");
		else if (name_is_taken(a, slot))
			snprintf(name + (len < LABEL_MAX - 24 ? len : LABEL_MAX - 24), 24,
				 "~net:%u", server->key.netns);
	}
}

static int sample_rates(struct aggregate *a, const struct reading *reading)
{
	uint64_t errors[MAX_SERVERS] = {0};
	int err = 0;

	for (size_t i = 0; i < reading->nr_outcomes; i++)
		if (error_of_outcome(&reading->outcomes[i].key) != ERROR_NONE)
			errors[reading->outcomes[i].key.server] += reading->outcomes[i].count;
	for (uint32_t slot = 0; slot < MAX_SERVERS && !err; slot++) {
		const struct server_counters_fields *n = &reading->servers[slot].counters.n;

		if (!reading->servers[slot].used)
			continue;
		err = rates_set(a->rates, slot, RATE_MESSAGES, n->received + n->sent);
		if (!err)
			err = rates_set(a->rates, slot, RATE_ERRORS, errors[slot]);
	}
	if (!err)
		rates_sample(a->rates, reading->now_ns);
	return err;
}

/* The counts of a channel are as of a walk, so its samples are, too. */
static int sample_channel_rates(struct aggregate *a, const struct reading *reading)
{
	int err = 0;

	for (uint32_t series = 0; series < NR_SERIES && !err; series++) {
		const struct total *total = &a->totals[series];

		if (!total->received && !total->sent && !total->errors)
			continue;
		err = rates_set(a->channel_rates, series, RATE_MESSAGES,
				total->received + total->sent);
		if (!err)
			err = rates_set(a->channel_rates, series, RATE_ERRORS, total->errors);
	}
	if (!err)
		rates_sample(a->channel_rates, reading->now_ns);
	return err;
}

static int sample_window(struct aggregate *a, uint32_t slot, const struct reading_server *server)
{
	int err = window_hist(a->window, slot, MEASURE_LATENCY, &server->hists->latency);

	if (!err)
		err = window_hist(a->window, slot, MEASURE_QUEUE_WAIT, &server->hists->queue_wait);
	if (!err)
		err = window_counts(a->window, slot, server->counters.n.received,
				    server->counters.n.timed);
	return err;
}

static int sample_windows(struct aggregate *a, const struct reading *reading)
{
	int err = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS && !err; slot++) {
		const struct reading_server *server = &reading->servers[slot];

		if (!server->used)
			continue;
		err = window_extremes(a->window, slot, &server->counters);
		if (!err && reading->parts & READING_HISTS)
			err = sample_window(a, slot, server);
	}
	if (!err && reading->parts & READING_HISTS)
		err = window_sample(a->window, reading->now_ns);
	return err;
}

/* The kernel has no extremes of a channel; what was received is known as of the walk. */
static int sample_channel_windows(struct aggregate *a, const struct reading *reading)
{
	int err = 0;

	for (uint32_t slot = CHANNEL_FIRST; slot < MAX_CHANNELS && !err; slot++) {
		const struct channel_stats *stats = reading->channels[slot];

		if (stats)
			err = window_hist(a->channel_window, slot, MEASURE_LATENCY,
					  &stats->latency);
		if (!err && (stats || a->totals[slot].received))
			err = window_counts(a->channel_window, slot, a->totals[slot].received,
					    stats ? hist_count(&stats->latency) : 0);
	}
	if (!err)
		err = window_sample(a->channel_window, reading->now_ns);
	return err;
}

int aggregate_sample(struct aggregate *aggregate, const struct reading *reading)
{
	int err = 0;

	aggregate->reading = reading;
	sample_names(aggregate, reading);
	if (reading->parts & READING_WALK)
		err = walk_take(aggregate, reading);
	books_take(aggregate, reading);
	ledger_sample(aggregate->ledger, reading);
	peak_take(aggregate, reading);
	if (!err)
		err = sample_rates(aggregate, reading);
	if (!err && reading->parts & READING_WALK)
		err = sample_channel_rates(aggregate, reading);
	if (!err)
		err = sample_windows(aggregate, reading);
	if (!err && reading->parts & READING_WALK && reading->parts & READING_CHANNELS)
		err = sample_channel_windows(aggregate, reading);
	return err;
}

/* --- history --- */

int aggregate_rows(struct aggregate *aggregate, struct interval *interval)
{
	return ledger_rows(aggregate->ledger, aggregate, interval);
}

int aggregate_points(struct aggregate *aggregate, struct interval *interval)
{
	return ledger_points(aggregate->ledger, aggregate, interval);
}

const char *aggregate_server(const struct aggregate *aggregate, uint32_t slot)
{
	return slot == SLOT_OTHER ? INTERVAL_OTHER : aggregate->names[slot];
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The open connections, as they were walked in the kernel. In: a reading with a walk, and the labels
 * that records brought. Out: how many are open, by server, user and channel, since when, and how
 * many messages wait on them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

/* Slots are of one server each; two servers may have a channel of the same name. */
static void walk_channels(struct aggregate *a, const uint32_t *active)
{
	struct name_count counts[MAX_CHANNELS];
	size_t nr = 0;

	for (uint16_t slot = 0; slot < MAX_CHANNELS; slot++)
		if (active[slot])
			counts[nr++] = (struct name_count){channels_name(a->channels, slot),
							   active[slot]};
	top_names(counts, nr, &a->walked.by_channel);
}

void age_empty(struct age *age)
{
	memset(age, 0, sizeof(*age));
	age->min_ms = UINT64_MAX;
}

void age_add(struct age *age, uint64_t now_ns, uint64_t open_ns)
{
	uint64_t ms = now_ns > open_ns ? (now_ns - open_ns) / 1000000 : 0;

	age->ms.bucket[hist_bucket(ms)]++;
	age->ms.sum += ms;
	if (ms < age->min_ms)
		age->min_ms = ms;
	if (ms > age->max_ms)
		age->max_ms = ms;
}

/* Memory for the ages of this server. 0 or -ENOMEM. */
static int age_new(struct walked *walked, uint32_t slot)
{
	if (walked->ages[slot])
		return 0;
	walked->ages[slot] = malloc(sizeof(*walked->ages[slot]));
	if (!walked->ages[slot])
		return -ENOMEM;
	age_empty(walked->ages[slot]);
	return 0;
}

static void walk_begin(struct walked *walked)
{
	walked->number++;
	memset(walked->active, 0, sizeof(walked->active));
	memset(walked->waiting, 0, sizeof(walked->waiting));
	memset(walked->series, 0, sizeof(walked->series));
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (walked->ages[slot])
			age_empty(walked->ages[slot]);
}

int walk_take(struct aggregate *a, const struct reading *reading)
{
	struct walked *walked = &a->walked;
	struct user_count *users = calloc(reading->nr_walk + 1, sizeof(*users));
	uint32_t channels[MAX_CHANNELS] = {0};
	size_t nr = 0, nr_labels = 0;
	int err = 0;

	if (!users)
		return -ENOMEM;
	walk_begin(walked);
	for (size_t i = 0; i < reading->nr_walk; i++) {
		const struct walk_record *walk = &reading->walk[i];
		uint32_t slot = walk->upstream ? SLOT_UPSTREAM : walk->server;
		uint16_t channel;

		walked->active[slot]++;
		walked->waiting[slot] += walk->waiting;
		if (slot == SLOT_UPSTREAM)
			continue;
		account_walk(a, walk, &users[nr].user, &channel);
		nr_labels++;
		if (reading_in_totals(reading, slot)) {
			users[nr++].count = 1;
			channels[channel]++;
		}
		walked->series[usage_series(walk->server, channel)]++;
		if (age_new(walked, slot))
			err = -ENOMEM;
		else
			age_add(walked->ages[slot], reading->now_ns, walk->open_ns);
	}
	top_users(users, nr, &walked->by_user);
	walk_channels(a, channels);
	/* Labels of connections whose close record was lost would stay for ever. */
	if (connections_count(a->connections) > 2 * nr_labels + LEAKED_LABELS)
		connections_sweep(a->connections, walked->number);
	free(users);
	return err;
}

int aggregate_connections(const struct aggregate *a, const struct filter *filter,
			  int (*each)(const struct open_connection *connection, void *ctx),
			  void *ctx)
{
	const struct reading *reading = a->reading;
	const struct connection *connection;
	struct match match;
	size_t at = 0;
	int err = 0;

	match_of(a, filter, &match);
	while (!err && (connection = connections_next(a->connections, &at))) {
		char user[LABEL_USER_SIZE] = "";
		struct open_connection open = {
			.id = connection->id,
			.open_wall_ns = reading->wall_ns - (reading->now_ns - connection->open_ns),
			.server = aggregate_server(a, connection->server),
			.channel = connection->channel == CHANNEL_NONE
					   ? ""
					   : channels_name(a->channels, connection->channel),
			.user = user,
			.received = connection->received,
			.sent = connection->sent,
			.bytes_received = connection->bytes_received,
			.bytes_sent = connection->bytes_sent,
			.resync = connection->resync,
		};

		if (connection->seen != a->walked.number || !match_connection(&match, connection))
			continue;
		if (connection->user != USER_OTHER)
			label_user_text(connection->user, user);
		err = each(&open, ctx);
	}
	return err;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The open connections, as they were walked in the kernel. In: a reading with a walk, and the labels
 * that records brought. Out: how many are open, by server, user and channel, since when, and how
 * many messages wait on them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct user_count {
	uint64_t user, count;
};

static int compare_users(const void *a, const void *b)
{
	const struct user_count *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->user < y->user ? -1 : x->user > y->user;
}

/* Adds one label to a top that is filled in descending order. */
static void top_add(struct top *top, const char *label, uint64_t count)
{
	if (top->nr == SUMMARY_TOP || strcmp(label, "other") == 0) {
		top->other += count;
		top->more = true;
		return;
	}
	snprintf(top->rows[top->nr].label, sizeof(top->rows[0].label), "%s", label);
	top->rows[top->nr++].count = count;
}

static int walk_users(struct walked *walked, uint64_t *users, size_t nr)
{
	struct user_count *counts = calloc(nr ? nr : 1, sizeof(*counts));
	char label[LABEL_USER_SIZE];
	size_t different = 0;

	if (!counts)
		return -ENOMEM;
	qsort(users, nr, sizeof(*users), compare_u64);
	for (size_t i = 0; i < nr; i++) {
		if (i == 0 || users[i] != users[i - 1])
			counts[different++].user = users[i];
		counts[different - 1].count++;
	}
	qsort(counts, different, sizeof(*counts), compare_users);
	memset(&walked->by_user, 0, sizeof(walked->by_user));
	for (size_t i = 0; i < different; i++) {
		label_user_text(counts[i].user, label);
		top_add(&walked->by_user, label, counts[i].count);
	}
	free(counts);
	return 0;
}

struct name_count {
	const char *name;
	uint64_t count;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name_count *)a)->name, ((const struct name_count *)b)->name);
}

static int compare_name_counts(const void *a, const void *b)
{
	const struct name_count *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* Slots are of one server each; two servers may have a channel of the same name. */
static void walk_channels(struct aggregate *a, const uint32_t *active)
{
	struct name_count counts[MAX_CHANNELS];
	size_t nr = 0, different = 0;

	for (uint16_t slot = 0; slot < MAX_CHANNELS; slot++)
		if (active[slot])
			counts[nr++] = (struct name_count){channels_name(a->channels, slot),
							   active[slot]};
	qsort(counts, nr, sizeof(*counts), compare_names);
	for (size_t i = 0; i < nr; i++) {
		if (different && strcmp(counts[different - 1].name, counts[i].name) == 0)
			counts[different - 1].count += counts[i].count;
		else
			counts[different++] = counts[i];
	}
	qsort(counts, different, sizeof(*counts), compare_name_counts);
	memset(&a->walked.by_channel, 0, sizeof(a->walked.by_channel));
	for (size_t i = 0; i < different; i++)
		top_add(&a->walked.by_channel, counts[i].name, counts[i].count);
}

static void walk_age(struct walked *walked, uint64_t age_ns)
{
	uint64_t ms = age_ns / 1000000;

	walked->age_ms.bucket[hist_bucket(ms)]++;
	walked->age_ms.sum += ms;
	if (ms < walked->min_age_ms)
		walked->min_age_ms = ms;
	if (ms > walked->max_age_ms)
		walked->max_age_ms = ms;
}

/* Whose connection it is; from the walk itself where its open record was lost. */
static void walk_label(struct aggregate *a, const struct walk_record *walk, uint64_t *ret_user,
		       uint16_t *ret_channel)
{
	struct channel_key key = {.path_hash = walk->path_hash, .server = walk->server};
	struct connection *connection = connections_find(a->connections, walk->id);

	if (connection) {
		connection->seen = a->walked.number;
		*ret_user = connection->user;
		*ret_channel = connection->channel;
		return;
	}
	*ret_user = label_user(a->config.key, walk->peer.addr, (struct text){0});
	*ret_channel = walk->channel ? walk->channel : channels_lookup(a->channels, &key);
}

int walk_take(struct aggregate *a, const struct reading *reading)
{
	struct walked *walked = &a->walked;
	uint64_t *users = calloc(reading->nr_walk ? reading->nr_walk : 1, sizeof(*users));
	uint32_t channels[MAX_CHANNELS] = {0};
	size_t nr = 0;
	int err;

	if (!users)
		return -ENOMEM;
	walked->number++;
	memset(walked->active, 0, sizeof(walked->active));
	memset(walked->waiting, 0, sizeof(walked->waiting));
	memset(&walked->age_ms, 0, sizeof(walked->age_ms));
	walked->min_age_ms = UINT64_MAX;
	walked->max_age_ms = 0;
	for (size_t i = 0; i < reading->nr_walk; i++) {
		const struct walk_record *walk = &reading->walk[i];
		uint32_t slot = walk->upstream ? SLOT_UPSTREAM : walk->server;
		uint16_t channel;

		walked->active[slot]++;
		walked->waiting[slot] += walk->waiting;
		if (slot == SLOT_UPSTREAM)
			continue;
		walk_label(a, walk, &users[nr++], &channel);
		channels[channel]++;
		walk_age(walked,
			 reading->now_ns > walk->open_ns ? reading->now_ns - walk->open_ns : 0);
	}
	err = walk_users(walked, users, nr);
	walk_channels(a, channels);
	/* Labels of connections whose close record was lost would stay for ever. */
	if (connections_count(a->connections) > 2 * nr + LEAKED_LABELS)
		connections_sweep(a->connections, walked->number);
	free(users);
	return err;
}

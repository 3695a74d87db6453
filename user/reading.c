// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader.h"
#include "reading.h"

#define RETRIES 8 /* a run lasts about 100 ns: two of them in the way of two readings are rare */

#define X(NAME, key, text) key,
static const char *const unseen_keys[] = {UNSEEN(X)};
#undef X
#define X(NAME, key, text) text,
static const char *const unseen_texts[] = {UNSEEN(X)};
#undef X

const char *unseen_key_text(enum unseen_reason reason)
{
	return reason < NR_UNSEEN ? unseen_keys[reason] : "unknown";
}

const char *unseen_words(enum unseen_reason reason)
{
	return reason < NR_UNSEEN ? unseen_texts[reason] : "cannot be seen";
}

static void read_process(pid_t pid, struct process *ret_process, void *ctx)
{
	(void)ctx;
	process_read(pid, ret_process);
}

struct reading *reading_new(reading_process_fn fn, void *ctx)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (!reading)
		return NULL;
	reading->process_fn = fn ? fn : read_process;
	reading->process_ctx = ctx;
	return reading;
}

void reading_free(struct reading *reading)
{
	if (!reading)
		return;
	for (size_t i = 0; i < MAX_SERVERS; i++) {
		free(reading->servers[i].hists);
		free(reading->servers[i].rare);
	}
	for (size_t i = 0; i < MAX_CHANNELS; i++)
		free(reading->channels[i]);
	free(reading->outcomes);
	free(reading->walk);
	free(reading);
}

unsigned reading_due(const struct reading *reading, uint64_t now_ns)
{
	unsigned parts = 0, servers = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		servers += reading->servers[slot].used;
	if (!reading->hists_ns || servers <= READING_FEW_SERVERS ||
	    now_ns - reading->hists_ns >= READING_EVERY_NS)
		parts |= READING_HISTS;
	if (!reading->walk_ns || reading->nr_walk < READING_FEW ||
	    now_ns - reading->walk_ns >= READING_EVERY_NS)
		parts |= READING_WALK;
	/* With a walk: what a channel received is known as of one, what was timed as of the other. */
	if (!reading->channels_ns || now_ns - reading->channels_ns >= READING_EVERY_NS)
		parts |= READING_CHANNELS | READING_WALK;
	return parts;
}

/* Makes room for one more element. */
static int array_grow(void **array, size_t nr, size_t *max, size_t size)
{
	size_t more = *max ? *max * 2 : 64;
	void *bigger;

	if (nr < *max)
		return 0;
	bigger = realloc(*array, more * size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*max = more;
	return 0;
}

/*
 * Counters are added by programs that may run on another CPU while the kernel copies them: a sum
 * can then lack half of one event. Such a reading does not balance, and the next one does.
 */
static bool counters_whole(const struct server_counters_fields *n)
{
	return n->seen_received == n->header_received + n->payload_received + n->gap_received &&
	       n->seen_sent == n->header_sent + n->payload_sent + n->gap_sent &&
	       n->sent == n->timed + n->push + n->answers_to_ambiguous;
}

static int read_counters(struct loader *loader, uint32_t slot, struct server_counters *ret_counters)
{
	int err;

	for (int i = 0; i < RETRIES; i++) {
		err = loader_counters(loader, slot, ret_counters);
		if (err || counters_whole(&ret_counters->n))
			break;
	}
	return err;
}

static int take_server(const struct server_key *key, const struct server_info *info, void *ctx)
{
	struct reading *reading = ctx;
	struct reading_server *server;

	if (info->slot < SLOT_FIRST || info->slot >= MAX_SERVERS)
		return 0;
	server = &reading->servers[info->slot];
	if (!server->used || server->info.tgid != info->tgid)
		reading->process_fn((pid_t)info->tgid, &server->process, reading->process_ctx);
	server->used = true;
	server->key = *key;
	server->info = *info;
	return 0;
}

static int take_outcome(const struct outcome_key *key, uint64_t count, void *ctx)
{
	struct reading *reading = ctx;
	void *outcomes = reading->outcomes;
	int err;

	if (reading->nr_outcomes >= MAX_OUTCOMES || key->server >= MAX_SERVERS)
		return 0;
	err = array_grow(&outcomes, reading->nr_outcomes, &reading->max_outcomes,
			 sizeof(*reading->outcomes));
	if (err)
		return err;
	reading->outcomes = outcomes;
	reading->outcomes[reading->nr_outcomes++] = (struct reading_outcome){*key, count};
	return 0;
}

static int take_connection(const struct walk_record *connection, void *ctx)
{
	struct reading *reading = ctx;
	void *walk = reading->walk;
	int err;

	if (connection->candidate) {
		reading->unrecognised++;
		return 0;
	}
	if (connection->server >= MAX_SERVERS || connection->channel >= MAX_CHANNELS)
		return 0;
	err = array_grow(&walk, reading->nr_walk, &reading->max_walk, sizeof(*reading->walk));
	if (err)
		return err;
	reading->walk = walk;
	reading->walk[reading->nr_walk++] = *connection;
	return 0;
}

/* Each process is looked at once: rows stay in their place. */
static int take_unseen(const struct unseen_key *key, uint64_t count, void *ctx)
{
	struct reading *reading = ctx;
	size_t i = 0;

	while (i < reading->nr_unseen && memcmp(&reading->unseen[i].key, key, sizeof(*key)) != 0)
		i++;
	if (i == READING_UNSEEN || key->reason >= NR_UNSEEN)
		return 0;
	if (i == reading->nr_unseen) {
		reading->unseen[i] = (struct reading_unseen){.key = *key};
		reading->process_fn((pid_t)key->tgid, &reading->unseen[i].process,
				    reading->process_ctx);
		reading->nr_unseen++;
	}
	reading->unseen[i].count = count;
	return 0;
}

static int take_hook(const struct loader_hook *hook, void *ctx)
{
	struct reading *reading = ctx;

	if (hook->needed && reading->nr_hooks < READING_HOOKS)
		reading->hooks[reading->nr_hooks++] = (struct reading_hook){
			.name = hook->name,
			.purpose = hook->purpose,
			.reason = hook->reason,
			.attached = hook->attached,
			.missed = hook->missed,
		};
	return 0;
}

static int take_hists(struct loader *loader, uint32_t slot, struct reading_server *server)
{
	int err;

	if (!server->hists)
		server->hists = calloc(1, sizeof(*server->hists));
	if (!server->rare)
		server->rare = calloc(1, sizeof(*server->rare));
	if (!server->hists || !server->rare)
		return -ENOMEM;
	err = loader_hists(loader, slot, server->hists);
	return err ? err : loader_rare(loader, slot, server->rare);
}

static int take_channel(uint16_t slot, const struct channel_stats *stats, void *ctx)
{
	struct reading *reading = ctx;

	if (slot >= MAX_CHANNELS)
		return 0;
	if (!reading->channels[slot])
		reading->channels[slot] = malloc(sizeof(*stats));
	if (!reading->channels[slot])
		return -ENOMEM;
	*reading->channels[slot] = *stats;
	return 0;
}

static int take_walk(struct loader *loader, struct reading *reading)
{
	struct server_counters counters;
	int err;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		if (!reading->servers[slot].used)
			continue;
		err = read_counters(loader, slot, &counters);
		if (err)
			return err;
		reading->servers[slot].before = counters.n;
	}
	reading->nr_walk = 0;
	reading->unrecognised = 0;
	return loader_walk(loader, take_connection, reading);
}

int reading_take(struct reading *reading, struct loader *loader, unsigned parts, uint64_t now_ns,
		 uint64_t wall_ns)
{
	int err;

	reading->now_ns = now_ns;
	reading->wall_ns = wall_ns;
	reading->parts = parts;

	/* First, because what the ring held has just been received. */
	err = loader_books(loader, &reading->books);
	if (err)
		return err;
	reading->servers[SLOT_OTHER].used = true;
	reading->servers[SLOT_UPSTREAM].used = true;
	err = loader_each_server(loader, take_server, reading);
	if (err)
		return err;
	if (parts & READING_WALK) {
		err = take_walk(loader, reading);
		if (err)
			return err;
		reading->walk_ns = now_ns;
	}
	reading->nr_outcomes = 0;
	err = loader_each_outcome(loader, take_outcome, reading);
	if (err)
		return err;
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		struct reading_server *server = &reading->servers[slot];

		if (!server->used)
			continue;
		err = read_counters(loader, slot, &server->counters);
		if (!err && parts & READING_HISTS)
			err = take_hists(loader, slot, server);
		if (err)
			return err;
	}
	if (parts & READING_HISTS) {
		reading->hists_ns = now_ns;
		err = loader_each_unseen(loader, take_unseen, reading);
		if (err)
			return err;
	}
	if (parts & READING_CHANNELS) {
		err = loader_each_channel(loader, take_channel, reading);
		if (err)
			return err;
		reading->channels_ns = now_ns;
	}
	reading->nr_hooks = 0;
	return loader_each_hook(loader, take_hook, reading);
}

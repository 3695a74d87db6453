/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* Readings and records as the kernel half would make them, for tests of what comes after. */
#ifndef WSVITALS_TESTS_SYNTHETIC_H
#define WSVITALS_TESTS_SYNTHETIC_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate.h"

#define SECOND 1000000000ull
#define START (1000 * SECOND) /* monotonic */
/* 2024-01-01T12:00:00Z */
#define START_WALL (1704110400 * SECOND)
#define SERVER SLOT_FIRST

struct world {
	struct reading *reading;
	struct aggregate *aggregate;
	struct summary *summary;
	unsigned named; /* calls of name_channel */
	struct channel_key last_key;
	uint16_t last_slot;
	uint64_t next_id;
	uint64_t wall_jump_ns; /* of the wall clock, against the other one; may wrap */
};

static inline void world_named(const struct channel_key *key, uint16_t slot, void *ctx)
{
	struct world *w = ctx;

	w->named++;
	w->last_key = *key;
	w->last_slot = slot;
}

static inline void world_server(struct world *w, uint32_t slot, const char *comm, uint16_t port)
{
	struct reading_server *server = &w->reading->servers[slot];

	server->used = true;
	server->key = (struct server_key){.netns = 4026531840u + slot, .port = port};
	server->info.slot = slot;
	snprintf(server->info.comm, sizeof(server->info.comm), "%s", comm);
	server->hists = calloc(1, sizeof(*server->hists));
	server->rare = calloc(1, sizeof(*server->rare));
	server->rare->handshake_ns.min = ~0ull;
	server->rare->ping_rtt_ns.min = ~0ull;
	server->rare->duration_range_ms.min = ~0ull;
}

static inline struct world *world_new_for(bool history)
{
	struct world *w = calloc(1, sizeof(*w));
	struct aggregate_config config = {
		.start_ns = START,
		.start_wall_ns = START_WALL,
		.key = "0123456789abcdef0123456789abcde",
		.name_channel = world_named,
		.ctx = w,
		.history = history,
	};

	w->reading = reading_new(NULL, NULL);
	w->summary = calloc(1, sizeof(*w->summary));
	w->aggregate = aggregate_new(&config);
	w->next_id = 1;
	if (!w->aggregate || !w->reading || !w->summary)
		abort();
	world_server(w, SLOT_OTHER, "", 0);
	world_server(w, SLOT_UPSTREAM, "", 0);
	world_server(w, SERVER, "node", 8000);
	w->reading->outcomes = calloc(MAX_OUTCOMES, sizeof(*w->reading->outcomes));
	w->reading->max_outcomes = MAX_OUTCOMES;
	w->reading->hooks[0] = (struct reading_hook){
		.name = "tp_btf/sk_data_ready", .purpose = "queue wait", .attached = true};
	w->reading->nr_hooks = 1;
	return w;
}

static inline struct world *world_new(void)
{
	return world_new_for(false);
}

static inline void world_free(struct world *w)
{
	aggregate_free(w->aggregate);
	reading_free(w->reading);
	free(w->summary);
	free(w);
}

static inline struct server_counters_fields *world_counters(struct world *w, uint32_t slot)
{
	return &w->reading->servers[slot].counters.n;
}

/* A full sample after so many ns since the start, without traffic during the reading. */
static inline const struct summary *world_sample_parts(struct world *w, uint64_t after_ns,
						       unsigned parts)
{
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		w->reading->servers[slot].before = w->reading->servers[slot].counters.n;
	w->reading->now_ns = START + after_ns;
	w->reading->wall_ns = START_WALL + after_ns + w->wall_jump_ns;
	w->reading->parts = parts;
	if (aggregate_sample(w->aggregate, w->reading))
		abort();
	aggregate_summary(w->aggregate, NULL, w->summary);
	return w->summary;
}

static inline const struct summary *world_filter(struct world *w, struct filter filter)
{
	aggregate_summary(w->aggregate, &filter, w->summary);
	return w->summary;
}

static inline const struct summary *world_sample(struct world *w, uint64_t after_ns)
{
	return world_sample_parts(w, after_ns, READING_ALL);
}

static inline void world_outcome(struct world *w, uint32_t slot, uint8_t kind, uint16_t code,
				 uint8_t initiator, uint8_t shadowed, uint64_t count)
{
	w->reading->outcomes[w->reading->nr_outcomes++] = (struct reading_outcome){
		.key = {.server = (uint16_t)slot,
			.code = code,
			.kind = kind,
			.initiator = initiator,
			.shadowed = shadowed},
		.count = count,
	};
}

/* Adds n values v to a server's latency at a time after the start, as count_latency does. */
static inline void world_latency(struct world *w, uint32_t slot, uint64_t v, uint64_t after_ns)
{
	struct reading_server *server = &w->reading->servers[slot];
	uint64_t epoch = (START + after_ns) >> EPOCH_SHIFT;
	struct extreme *e = &server->counters.latency[epoch % EPOCH_SLOTS];

	server->hists->latency.sum += v;
	server->hists->latency.bucket[hist_bucket(v)]++;
	server->counters.n.timed++;
	server->counters.n.received++;
	server->counters.n.sent++;
	if (e->epoch != epoch)
		*e = (struct extreme){.epoch = epoch, .min_ns = ~0ull};
	e->count++;
	if (v < e->min_ns)
		e->min_ns = v;
	if (v > e->max_ns)
		e->max_ns = v;
}

static inline struct channel_stats *world_channel(struct world *w, uint16_t slot)
{
	if (!w->reading->channels[slot])
		w->reading->channels[slot] = calloc(1, sizeof(struct channel_stats));
	return w->reading->channels[slot];
}

static inline void address_v4(uint8_t addr[16], uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t bytes[16] = {[10] = 0xff, 0xff, a, b, c, d};

	memcpy(addr, bytes, 16);
}

static inline uint64_t path_hash(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	while (*path)
		hash = (hash ^ (uint8_t)*path++) * 0x100000001b3ull;
	return hash;
}

/* One record that the kernel has submitted, decoded. */
static inline void world_record(struct world *w, const void *bytes, size_t len)
{
	struct record record;

	w->reading->books.events_submitted++;
	if (decode_record(bytes, len, &record))
		aggregate_undecodable(w->aggregate);
	else
		aggregate_record(w->aggregate, &record);
}

struct open_args {
	uint32_t type; /* EVENT_OPEN when 0 */
	uint32_t server;
	uint16_t status;
	const char *path, *headers, *response; /* headers end in CRLF each */
	uint8_t ip[4];
	uint64_t id;
	int upstream, accept_wrong, counted; /* counted: already, by the caller */
};

/* Counts, and tells the aggregate. Returns the connection's id. */
static inline uint64_t world_open(struct world *w, uint64_t after_ns, struct open_args args)
{
	struct {
		struct event_open open;
		char text[REQUEST_MAX + RESPONSE_MAX];
	} r = {0};
	const char *path = args.path ? args.path : "/";
	const char *response = args.response ? args.response : "HTTP/1.1 101 Switching\r\n\r\n";
	char known[REQUEST_MAX + 1];

	snprintf(known, sizeof(known), "%.*s", (int)strcspn(path, "?"), path);
	r.open.request_len = (uint16_t)snprintf(r.text, REQUEST_MAX,
						"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path,
						args.headers ? args.headers : "");
	r.open.response_len = (uint16_t)strlen(response);
	memcpy(r.text + r.open.request_len, response, r.open.response_len);
	r.open.event.type = args.type ? args.type : EVENT_OPEN;
	r.open.event.len = (uint32_t)sizeof(r.open) + r.open.request_len + r.open.response_len;
	r.open.event.id = args.id ? args.id : w->next_id++;
	r.open.event.now_ns = START + after_ns;
	r.open.server = (uint16_t)(args.server ? args.server : SERVER);
	r.open.status = args.type == EVENT_REFUSED ? args.status : 101;
	r.open.path_hash = path_hash(known);
	r.open.upstream = (uint8_t)args.upstream;
	r.open.accept_wrong = (uint8_t)args.accept_wrong;
	if (args.ip[0])
		address_v4(r.open.peer.addr, args.ip[0], args.ip[1], args.ip[2], args.ip[3]);
	else
		address_v4(r.open.peer.addr, 192, 0, 2, 1);
	if (!args.type && !args.counted)
		world_counters(w, args.upstream ? SLOT_UPSTREAM : r.open.server)->opened++;
	world_record(w, &r, r.open.event.len);
	return r.open.event.id;
}

/* Tells the aggregate of a close that was counted before: its socket lingered. */
static inline void world_close_record(struct world *w, uint64_t after_ns, struct event_close close)
{
	close.event.type = EVENT_CLOSE;
	close.event.len = sizeof(close);
	close.event.now_ns = START + after_ns;
	if (!close.server)
		close.server = SERVER;
	world_record(w, &close, sizeof(close));
}

/* Counts the close (not its outcome), and tells the aggregate. */
static inline void world_close(struct world *w, uint64_t after_ns, struct event_close close)
{
	if (!close.server)
		close.server = SERVER;
	world_counters(w, close.upstream ? SLOT_UPSTREAM : close.server)->closed++;
	world_close_record(w, after_ns, close);
}

/* A piece of a close frame's payload, masked when the client sent it. */
static inline void world_reason(struct world *w, uint64_t id, uint8_t by, uint8_t offset,
				const void *bytes, size_t len)
{
	struct event_reason r = {
		.event = {.type = EVENT_REASON, .len = sizeof(r), .id = id, .now_ns = START},
		.offset = offset,
		.text_len = (uint8_t)len,
		.by = by,
	};

	if (by == BY_CLIENT)
		memcpy(r.mask, "\x12\x34\x56\x78", 4);
	for (size_t i = 0; i < len; i++)
		r.text[i] = ((const uint8_t *)bytes)[i] ^ r.mask[(offset + i) & 3];
	world_record(w, &r, sizeof(r));
}

/* Puts a connection into the next walk. */
static inline void world_walk(struct world *w, struct walk_record walk)
{
	struct reading *r = w->reading;

	if (r->nr_walk == r->max_walk) {
		r->max_walk = r->max_walk ? 2 * r->max_walk : 64;
		r->walk = realloc(r->walk, r->max_walk * sizeof(*r->walk));
		if (!r->walk)
			abort();
	}
	if (!walk.server)
		walk.server = SERVER;
	if (!walk.open_ns)
		walk.open_ns = START;
	if (!walk.peer.addr[15])
		address_v4(walk.peer.addr, 192, 0, 2, 1);
	r->walk[r->nr_walk++] = walk;
}

static inline uint64_t top_count(const struct top *top, const char *label)
{
	for (size_t i = 0; i < top->nr; i++)
		if (strcmp(top->rows[i].label, label) == 0)
			return top->rows[i].count;
	return 0;
}

#endif

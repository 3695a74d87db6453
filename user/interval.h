/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * All that the store is to keep of one interval of ten seconds. In: points of series, counts of
 * users, closed connections, errors and events, as the agent has them. Out: the same, compact and
 * on its own: texts are kept once, points as blobs, so that an interval may wait for a broken disk.
 *
 * Bounded: beyond INTERVAL_ROWS_MAX rows of a kind the rest is counted as lost.
 */
#ifndef WSVITALS_INTERVAL_H
#define WSVITALS_INTERVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "point.h"
#include "roster.h"

#define INTERVAL_POINTS_MAX 4096 /* series */
#define INTERVAL_ROWS_MAX 16384  /* connections; errors; events */
#define INTERVAL_OTHER "other"   /* users beyond the top 100 */
#define INTERVAL_TEXT_MAX 255    /* bytes; longer texts are cut */

/* On disk by number: add at the end only. X(NAME, key) */
#define SERIES_KINDS(X)                                                                            \
	X(TOTAL, "total")     /* all servers, without upstream; no labels */                       \
	X(SERVER, "server")   /* server */                                                         \
	X(CHANNEL, "channel") /* server and channel */                                             \
	X(TYPE, "type")       /* server and message type; none yet: text and binary are counts */  \
	X(UPSTREAM, "upstream") /* no labels */
#define X(NAME, key) SERIES_##NAME,
enum series_kind { SERIES_KINDS(X) NR_SERIES_KINDS };
#undef X

struct series {
	enum series_kind kind;
	const char *server; /* "" = none, as the next */
	const char *label;  /* channel or message type */
};

struct user_counts {
	const char *user;
	struct roster_numbers n;
};

/* "" = not known; times are CLOCK_REALTIME */
struct closed_connection {
	uint64_t key; /* of the row in the store; not of the input */
	int64_t opened_ns, closed_ns;
	const char *server, *channel, *user;
	uint64_t received, sent, bytes_received, bytes_sent;
	bool has_latency;
	uint64_t latency_count, latency_avg_ns, latency_max_ns;
	bool has_close; /* code and initiator, else cause */
	uint16_t code;
	enum initiator initiator;
	enum cause cause;
	enum violation violation;
	enum error_type error; /* ERROR_NONE: a normal close */
	bool resync;           /* origin=resync */
};

struct error_entry {
	uint64_t key;
	int64_t at_ns;
	enum error_type type;
	const char *server, *channel, *user, *message;
	bool has_code, has_initiator, has_cause, has_status;
	uint16_t code;
	enum initiator initiator;
	enum cause cause;
	uint16_t status;
};

/* On disk by number: add at the end only. X(NAME, key) */
#define STORE_EVENTS(X)                                                                            \
	X(AGENT_START, "agent_start")                                                              \
	X(AGENT_STOP, "agent_stop")                                                                \
	X(SERVER_SEEN, "server_seen")                                                              \
	X(SERVER_GONE, "server_gone")                                                              \
	X(CONFIG_CHANGED, "config_changed")                                                        \
	X(CLOCK_JUMPED, "clock_jumped")                                                            \
	X(STORE_DAMAGED, "store_damaged")                                                          \
	X(STORE_RESUMED, "store_resumed")
#define X(NAME, key) STORE_EVENT_##NAME,
enum store_event_kind { STORE_EVENTS(X) NR_STORE_EVENTS };
#undef X
const char *store_event_key(enum store_event_kind kind);
const char *series_kind_key(enum series_kind kind);

struct store_event {
	uint64_t key;
	int64_t at_ns;
	enum store_event_kind kind;
	const char *server; /* "" where it is about none */
	const char *text;
};

/* Filled by the functions below, read by the store. */
struct interval {
	int64_t from_ns, to_ns; /* CLOCK_REALTIME */
	uint64_t covered_ns;    /* CLOCK_MONOTONIC between them: the clock may have jumped */
	struct interval_point {
		struct series series;
		const uint8_t *blob;
		size_t len;
	} * points;
	struct user_counts *users;
	struct closed_connection *connections;
	struct error_entry *errors;
	struct store_event *events;
	size_t nr_points, nr_users, nr_connections, nr_errors, nr_events;
	size_t max_points, max_users, max_connections, max_errors, max_events;
	uint64_t lost; /* that found no room */
	struct arena *arena;
	size_t bytes; /* of all of it */
};

/* NULL: out of memory. */
struct interval *interval_new(int64_t from_ns, int64_t to_ns, uint64_t covered_ns);
void interval_free(struct interval *interval);

/*
 * Each copies what it is given. 0; -ENOMEM; -ENOSPC: beyond the bound, counted in lost. An empty
 * point is left out: a series that is absent from an interval did nothing and had no connection.
 */
int interval_add_point(struct interval *interval, const struct series *series,
		       const struct point *point);
int interval_add_user(struct interval *interval, const struct user_counts *counts);
int interval_add_connection(struct interval *interval, const struct closed_connection *connection);
int interval_add_error(struct interval *interval, const struct error_entry *error);
int interval_add_event(struct interval *interval, const struct store_event *event);

#endif

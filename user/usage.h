/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Who did what where: counts by (server, channel, user), and how their connections ended. In: shares
 * of single connections. Out: rows to add up for a filter (SPEC 4).
 *
 * Bounded, so that a client that invents users or close codes harms nobody else: a server may take
 * half of the rows that are left, and what finds no row counts for the user "other" of its channel.
 * So the sum over a channel stays exact; a user's may be partial once there is an "other".
 */
#ifndef WSVITALS_USAGE_H
#define WSVITALS_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "event.h"

#define USAGE_ROWS 32768     /* 3 MB; each channel has one more, for the others */
#define USAGE_OUTCOMES 65536 /* different (row, outcome); a quarter more for the others. 2 MB */

#define USER_OTHER UINT64_MAX /* no pseudonym: these have 48 bits */
#define USAGE_NONE UINT32_MAX /* no row */

/*
 * A channel of its own has its slot as its series; "other", a slot that all servers share, has one
 * for each of them.
 */
#define NR_SERIES (MAX_CHANNELS + MAX_SERVERS)
static inline uint32_t usage_series(uint16_t server, uint16_t channel)
{
	return channel < CHANNEL_FIRST ? (uint32_t)MAX_CHANNELS + server : channel;
}

struct traffic {
	uint64_t received, sent; /* messages */
	uint64_t bytes_received, bytes_sent;
};

struct usage_row {
	uint64_t user;
	uint16_t server, channel; /* slots; CHANNEL_OTHER for what has none */
	uint32_t walk;            /* the walk that active and waiting are of; else they are 0 */
	uint32_t active, waiting;
	uint64_t opened;
	struct traffic traffic;
	uint64_t durations, duration_sum_ms, duration_min_ms, duration_max_ms;
};

struct usage_outcome {
	uint32_t row;
	uint32_t count; /* 0 = a free place */
	struct outcome_key key;
};

struct usage;

struct usage *usage_new(void); /* NULL: out of memory */
void usage_free(struct usage *usage);

/* The row of these labels, made if there is room; else that of "other"; USAGE_NONE: no memory. */
uint32_t usage_place(struct usage *usage, uint16_t server, uint16_t channel, uint64_t user);
size_t usage_count(const struct usage *usage); /* of rows */
/* Valid until the next usage_place(). */
struct usage_row *usage_row(const struct usage *usage, uint32_t row);
/* Open connections and their waiting messages as of this walk. */
uint32_t usage_active(const struct usage_row *row, uint32_t walk);
uint32_t usage_waiting(const struct usage_row *row, uint32_t walk);
/* A connection more or less is open (as of this walk). */
void usage_change(struct usage_row *row, uint32_t walk, int active, int waiting);

void usage_outcome(struct usage *usage, uint32_t row, const struct outcome_key *key);
/* One after the other; *at begins as 0. NULL: that was the last. */
const struct usage_outcome *usage_outcome_next(const struct usage *usage, size_t *at);
/* Outcomes that found no place at all. */
uint64_t usage_lost(const struct usage *usage);

#endif

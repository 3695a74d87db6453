/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * All maps of the kernel half at one moment. In: the loader and the clock. Out: plain numbers in
 * memory, which the aggregation reads without knowing where they come from.
 *
 * "One moment" is a short while in which counting goes on, so a full reading takes the counters
 * twice: everything that was walked lies between `before` and `counters` (SPEC 2, exact books).
 */
#ifndef WSVITALS_READING_H
#define WSVITALS_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "process.h"

#define READING_HOOKS 64
#define READING_UNSEEN 64
#define READING_EVERY_NS 10000000000ull /* between two of what is costly */
#define READING_FEW 2000                /* so many connections are walked every second */
#define READING_FEW_SERVERS 8           /* the hists of so many are read every second */

struct loader;

/* What a reading holds beside the counters, outcomes, books and hooks that it always does. */
enum reading_part {
	READING_HISTS = 1,    /* hists and rare of every used server */
	READING_WALK = 2,     /* before and walk */
	READING_CHANNELS = 4, /* channels */
	READING_ALL = READING_HISTS | READING_WALK | READING_CHANNELS,
};

struct reading_server {
	bool used;
	struct server_key key;   /* not of SLOT_OTHER and SLOT_UPSTREAM */
	struct server_info info; /* the same */
	struct process process;
	struct server_counters_fields before; /* before the walk */
	struct server_counters counters;      /* after it */
	struct server_hists *hists;           /* NULL until they were read once */
	struct server_rare *rare;             /* the same */
};

struct reading_outcome {
	struct outcome_key key;
	uint64_t count;
};

struct reading_hook {
	const char *name;
	const char *purpose;
	const char *reason; /* NULL when attached */
	bool attached;
	uint64_t missed;
};

struct reading_unseen { /* sockets of a process that cannot be followed */
	struct unseen_key key;
	uint64_t count;
	struct process process; /* as it was when first seen */
};

/* What the process of a server is: process_read, or somebody who may read more. */
typedef void (*reading_process_fn)(pid_t pid, struct process *ret_process, void *ctx);

struct reading {
	uint64_t now_ns;   /* CLOCK_MONOTONIC */
	uint64_t wall_ns;  /* CLOCK_REALTIME at that moment */
	unsigned parts;    /* enum reading_part: read this time; the others are as they were */
	uint64_t hists_ns; /* when these parts were last read; 0 = never */
	uint64_t walk_ns;
	uint64_t channels_ns;
	struct book_fields books;
	struct reading_server servers[MAX_SERVERS];   /* by slot */
	struct channel_stats *channels[MAX_CHANNELS]; /* by slot; NULL: nothing was counted */
	struct reading_outcome *outcomes;
	size_t nr_outcomes, max_outcomes;
	struct walk_record *walk;
	size_t nr_walk, max_walk;
	struct reading_unseen
		unseen[READING_UNSEEN]; /* with READING_HISTS; further ones are left out */
	size_t nr_unseen;
	uint64_t unrecognised; /* walked as well: candidates, not in walk */
	struct reading_hook hooks[READING_HOOKS];
	size_t nr_hooks;
	reading_process_fn process_fn; /* see reading_new */
	void *process_ctx;
};

const char *unseen_key_text(enum unseen_reason reason); /* "tls" */
const char *unseen_words(enum unseen_reason reason);    /* "speaks TLS itself" */

/*
 * Whether the slot's numbers are in the totals: not those of upstream legs, nor of connections that a
 * proxy passes on to a server that has them too (SPEC 1: a conversation counts once).
 */
static inline bool reading_in_totals(const struct reading *reading, uint32_t slot)
{
	return slot != SLOT_UPSTREAM && !reading->servers[slot].key.proxy;
}

/* One reading is used again and again, so that memory is taken once. fn: NULL for process_read.
 * NULL: out of memory. */
struct reading *reading_new(reading_process_fn fn, void *ctx);
void reading_free(struct reading *reading);

/* The parts that are due: what is costly only now and then (SPEC 8). */
unsigned reading_due(const struct reading *reading, uint64_t now_ns);

/* 0, or a negative errno of the loader or for want of memory; then it is not to be used. */
int reading_take(struct reading *reading, struct loader *loader, unsigned parts, uint64_t now_ns,
		 uint64_t wall_ns);

#endif

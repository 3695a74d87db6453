/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * From the agent's loop to the store: one interval every ten seconds of the wall clock. In: the
 * aggregate after its samples, and events as they happen. Out: intervals on disk, and in words
 * whether that works. Knows no clock: time comes with the readings.
 *
 * An interval that cannot be written waits in the store (store.h); the agent counts on.
 */
#ifndef WSVITALS_RECORDER_H
#define WSVITALS_RECORDER_H

#include "aggregate.h"
#include "settings.h"
#include "store.h"

#define RECORDER_TEXT 320

struct recorder;

/* aggregate: with history. 0, -ENOMEM, -EINVAL, -ENAMETOOLONG. */
int recorder_new(struct aggregate *aggregate, const struct settings *settings, uint64_t start_ns,
		 uint64_t start_wall_ns, struct recorder **ret_recorder);
void recorder_free(struct recorder *recorder);

struct store *recorder_store(struct recorder *recorder);

/* Whether the ten seconds are over: then a sample with all parts and recorder_write are due. */
bool recorder_is_due(const struct recorder *recorder, uint64_t now_ns, uint64_t wall_ns);
/* After every sample: what has ended gets its names. */
void recorder_take(struct recorder *recorder);
/* After a sample with all parts. 0, or a negative errno of the store, which tries again by itself. */
int recorder_write(struct recorder *recorder, const struct reading *reading);
/* The same at the end, with the event of it. */
int recorder_end(struct recorder *recorder, const struct reading *reading, const char *why);

void recorder_event(struct recorder *recorder, enum store_event_kind kind, uint64_t wall_ns,
		    const char *text);
/* Names the keys that differ, if any. */
void recorder_settings(struct recorder *recorder, const struct settings *before,
		       const struct settings *after, uint64_t wall_ns);

/* "ok", or "unavailable since 2026-11-25T14:05:00Z: why" */
void recorder_state(const struct recorder *recorder, char ret_text[RECORDER_TEXT]);

#endif

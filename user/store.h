/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * History that survives. In: one interval every ten seconds. Out: database files in one directory,
 * and whether that works. Questions are asked in store_query.h.
 *
 *   raw-2026-11-25.db   points of 10 s, a file a day         } rolled up from left to right by
 *   5m-2026-11.db       points of 5 min, a file a month      } merging, never by averaging
 *   1h-2026.db          points of an hour, a file a year     }
 *   rows-2026-11-25.db  closed connections and errors, a file a day
 *   events-2026.db      what explains a bend in a curve
 *
 * A file is opened when it is needed, so a directory that is missing or read-only is a state and no
 * failure: intervals wait (STORE_QUEUE of them), and the next store_write tries again. What has been
 * written is never changed but by a restart within the same ten seconds: when the clock goes back,
 * intervals whose time is already there are skipped; when it goes forward there is a gap. All times
 * are UTC.
 */
#ifndef WSVITALS_STORE_H
#define WSVITALS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interval.h"

#define STORE_INTERVAL_S 10
#define STORE_QUEUE 30 /* intervals that wait for a broken disk: five minutes */
#define STORE_QUEUE_BYTES (2u << 20)
#define STORE_BYTES_DEFAULT (2ull << 30)
#define STORE_BYTES_MIN (16ull << 20)
#define STORE_FREE_PERCENT 10 /* of the disk are left to others */
#define STORE_ROWS_DEFAULT 200000

struct store_config {
	const char *dir;     /* exists; copied */
	int64_t raw_keep_s;  /* 0: 48 hours; as all: 0 is the default of SPEC */
	int64_t m5_keep_s;   /* 0: 30 days */
	int64_t h1_keep_s;   /* 0: 2 years; of events too */
	int64_t rows_keep_s; /* 0: 7 days */
	uint64_t bytes_max;  /* of all files; 0: STORE_BYTES_DEFAULT */
	unsigned rows_max;   /* connections a day, and as many errors; 0: STORE_ROWS_DEFAULT */
	/* One sentence when something happened that people should know. May be NULL. */
	void (*note)(const char *text, void *ctx);
	void *ctx;
};

struct store_state {
	bool available;   /* the last interval was written */
	int64_t since_ns; /* unavailable since; CLOCK_REALTIME */
	int error;        /* negative errno */
	char reason[256];
	uint64_t written;        /* intervals; acknowledged by store_write or while catching up */
	uint64_t lost;           /* intervals that waited too long */
	uint64_t skipped;        /* whose time was already there: the clock went back */
	uint64_t rows_lost;      /* connections and errors beyond a bound */
	uint64_t damaged_files;  /* set aside */
	uint64_t damaged_points; /* blobs that were not what was written: left out */
	unsigned waiting;        /* intervals in the queue */
	uint64_t bytes, bytes_max;
	int64_t last_s; /* beginning of the last interval written; 0 = none yet */
};

struct store;

/* Touches nothing on disk. -ENOMEM, -EINVAL, -ENAMETOOLONG. */
int store_new(const struct store_config *config, struct store **ret_store);
void store_free(struct store *store);

/*
 * Takes the interval over in any case. 0: this one and all that waited are on disk. Else a negative
 * errno, the interval waits, and store_state says why: -ENOSPC, -EROFS, -EPROTONOSUPPORT (written
 * by a newer program: nothing is touched) … -EINVAL: its times cannot be.
 * The interval belongs to the ten seconds in which its middle lies: end them at multiples of 10 s.
 */
int store_write(struct store *store, struct interval *interval);

void store_state(const struct store *store, struct store_state *ret_state);

#endif

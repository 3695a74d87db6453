/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* What the parts of the store share (store*.c). Nobody else includes it. */
#ifndef WSVITALS_STORE_PRIVATE_H
#define WSVITALS_STORE_PRIVATE_H

#include <limits.h>

#include "store.h"
#include "store_file.h"

#define STORE_OWN_EVENTS 16

struct found_file {
	struct file_name name;
	char text[STORE_NAME_MAX];
	uint64_t bytes;
};

struct store {
	struct store_config config;
	char dir[PATH_MAX - STORE_NAME_MAX - 16];
	int64_t keep_s[NR_TIERS];
	struct db *writing[NR_TIERS]; /* NULL: not open */

	struct pending {
		struct interval *interval;
		unsigned done; /* bit per part */
	} queue[STORE_QUEUE];
	unsigned nr_queue;

	int64_t rolled_s[NR_TIERS]; /* windows before this are rolled up; -1 = to be looked up */
	int64_t last_to_ns;         /* end of the interval before; 0 = none */
	int64_t steady_ns;          /* for so long the clock has not jumped */

	struct own_event { /* the store's own, written with the next interval */
		enum store_event_kind kind;
		int64_t at_ns;
		char text[200];
	} own[STORE_OWN_EVENTS];
	unsigned nr_own;

	struct found_file *files; /* of the last look, by tier and time */
	size_t nr_files, max_files;

	struct point *scratch; /* one sum at a time */
	struct store_state state;
};

/* store_disk.c: files as files */
int store_list(struct store *store); /* fills files, by tier and time */
int store_look(struct store *store); /* 0, or why nothing may be written */
int store_make_room(struct store *store, uint64_t needed, int64_t now_s);
void store_expire(struct store *store, int64_t now_s);
/* Sets a file aside and says so. 0, or why it could not be. */
int store_damaged(struct store *store, enum tier tier, int64_t begin_s, int64_t now_s);
__attribute__((format(printf, 2, 3))) void store_note(struct store *store, const char *format, ...);
/* The sentence is the event's text too. */
__attribute__((format(printf, 4, 5))) void store_event(struct store *store,
						       enum store_event_kind kind, int64_t at_ns,
						       const char *format, ...);
/* The file that is written; kept open until its period is over. */
int store_writer(struct store *store, enum tier tier, int64_t time_s, struct db **ret_db);
void store_close_writers(struct store *store);

/* store_table.c: rows of the tables that all points share */
int table_label(struct db *db, const char *text, int64_t *ret_id);            /* adds it */
int table_label_find(struct db *db, const char *text, int64_t *ret_id);       /* -ENOENT */
int table_label_text(struct db *db, int64_t id, char *ret_text, size_t size); /* "" for 0 */
/* -ENOSPC: no more series fit in this file. */
int table_series(struct db *db, enum series_kind kind, int64_t server, int64_t label,
		 int64_t *ret_id);
int table_has_interval(struct db *db, int64_t time_s); /* 1, 0 or an error */
/* Nobody when the time is not there, or the blob is not what was written. */
int table_users(struct db *db, int64_t time_s, struct roster_entry ret_entries[ROSTER_MAX],
		size_t *ret_nr);
int table_put_interval(struct db *db, int64_t time_s, int64_t covered_ms, const void *users,
		       size_t len);
/* Adds to a point that is there; *damaged counts one that cannot be read and is replaced. */
int table_put_point(struct db *db, int64_t time_s, int64_t series, const void *blob, size_t len,
		    struct point *scratch, uint64_t *damaged);

/* store_rollup.c: the windows that are over, some of them a call */
int store_rollup(struct store *store, int64_t now_s);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Questions to the store. In: a span and what is wanted of it. Out: numbers, row by row through a
 * function, so that memory does not grow with the answer. Labels are compared as values and never
 * become part of a statement.
 *
 * A function that returns other than 0 ends the answer, and its value is returned: take
 * -ECANCELED, or a positive number. What is passed to it is valid until it returns. A damaged file is
 * set aside and its part of the answer is missing. Times are seconds UTC, spans [from, to).
 */
#ifndef WSVITALS_STORE_QUERY_H
#define WSVITALS_STORE_QUERY_H

#include "spread.h"
#include "store.h"

#define STORE_POINTS_MAX 2000 /* of one history */
#define STORE_SERIES_MAX 1024 /* summed up at once; beyond: INTERVAL_OTHER */
#define STORE_USERS_MAX 8192  /* the same */
#define STORE_SORTED_MAX 2000 /* offset + limit where rows are sorted by other than time */
#define STORE_TEXT_SIZE (INTERVAL_TEXT_MAX + 1)

/* NULL: not narrowed. With user, only counts are known, of the top 100 of each interval. */
struct store_filter {
	const char *server, *channel, *user;
};

struct history_query {
	int64_t from_s, to_s;
	int64_t step_s; /* 0: chosen; else a wish, see store_step */
	struct store_filter filter;
};

struct history_point {
	int64_t time_s, step_s; /* its beginning, a multiple of step_s */
	double covered_s;       /* how much of it was counted: what rates are divided by */
	const struct point *sum;
};

/* The step that is used: at least the wish, a round number, at most STORE_POINTS_MAX points. */
int64_t store_step(int64_t from_s, int64_t to_s, int64_t wish_s);

/*
 * In the order of time; what was not counted is absent. from and to are widened to whole steps. The
 * step may be longer than wished where only coarser points are left: *ret_step_s. 0, or -EINVAL:
 * from is not before to.
 */
int store_history(struct store *store, const struct history_query *query,
		  int (*point)(const struct history_point *point, void *ctx), void *ctx,
		  int64_t *ret_step_s);

/* One sum over a span, exact to 10 s where points of 10 s are left. */
struct store_total {
	int64_t from_s, to_s; /* widened to what is left */
	double covered_s;
	struct point sum;
};
int store_total(struct store *store, int64_t from_s, int64_t to_s,
		const struct store_filter *filter, struct store_total *ret_total);

/* SPEC of two periods side by side. 0 where nothing was counted. */
struct store_side {
	double covered_s;
	double received_rate, sent_rate, opened_rate, error_rate; /* per second */
	uint64_t peak;
	struct point_counts counts;
	struct spread hist[NR_POINT_HISTS];
};
void store_side_of(const struct store_total *total, struct store_side *ret_side);

enum series_sort {
	SERIES_BY_MESSAGES,
	SERIES_BY_CONNECTIONS, /* peak */
	SERIES_BY_ERRORS,
	SERIES_BY_LATENCY, /* p95 */
	SERIES_BY_BYTES,
	SERIES_BY_NAME, /* ascending; the others largest first */
	NR_SERIES_SORTS,
};

struct series_total {
	struct series series;
	double covered_s;
	struct point_counts counts;
	struct spread latency;
};

struct series_query {
	int64_t from_s, to_s;
	enum series_kind kind;
	const char *server; /* NULL: of all */
	enum series_sort sort;
	size_t offset, limit;
};

/* *ret_nr: how many there are without offset and limit. */
int store_series(struct store *store, const struct series_query *query,
		 int (*row)(const struct series_total *total, void *ctx), void *ctx,
		 size_t *ret_nr);

struct users_query {
	int64_t from_s, to_s;
	enum series_sort sort; /* but for errors and latency, which are not known */
	size_t offset, limit;
};
int store_users(struct store *store, const struct users_query *query,
		int (*row)(const struct user_counts *counts, void *ctx), void *ctx, size_t *ret_nr);

enum rows_sort {
	ROWS_BY_TIME, /* as they were written */
	ROWS_BY_DURATION,
	ROWS_BY_MESSAGES,
	ROWS_BY_BYTES,
	ROWS_BY_LATENCY, /* average */
	NR_ROWS_SORTS,
};

struct rows_query {
	int64_t from_s, to_s; /* closed, or happened */
	struct store_filter filter;
	const char *search;  /* part of a label or message, whatever its case; NULL: none */
	int error;           /* enum error_type; -1: any */
	enum rows_sort sort; /* errors: ROWS_BY_TIME only */
	bool ascending;      /* oldest, or smallest, first */
	/*
	 * ROWS_BY_TIME: go on behind this row; 0: from the beginning. An export asks again and
	 * again with the key of the last row, and holds nothing open in between.
	 */
	uint64_t after_key;
	size_t offset, limit;
};

/*
 * *ret_nr may be NULL; else how many rows there are without key, offset and limit, which costs a
 * look at each. -E2BIG: beyond STORE_SORTED_MAX; -ETIME: too many rows to look at.
 */
int store_connections(struct store *store, const struct rows_query *query,
		      int (*row)(const struct closed_connection *connection, void *ctx), void *ctx,
		      size_t *ret_nr);
int store_errors(struct store *store, const struct rows_query *query,
		 int (*row)(const struct error_entry *error, void *ctx), void *ctx, size_t *ret_nr);

/* In the order of time; limit 0: all. */
int store_events(struct store *store, int64_t from_s, int64_t to_s, size_t limit,
		 int (*row)(const struct store_event *event, void *ctx), void *ctx);

/* For wsvitals store: what is there, and whether it is whole. */
struct store_file_info {
	const char *name, *tier;
	bool damaged; /* set aside, or found so by the check */
	uint64_t bytes;
	int64_t intervals, points, rows; /* of a tier of points; of the others: rows */
	int64_t series;
	int64_t bad_points;  /* only after a check */
	const char *problem; /* NULL: none */
};
/* check: reads all of it. Changes nothing. */
int store_files(struct store *store, bool check,
		int (*file)(const struct store_file_info *info, void *ctx), void *ctx);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * History for people at a terminal. In: rows as the store gives them. Out: aligned text; on a terminal
 * with a small line of each measure.
 */
#ifndef WSVITALS_TABLE_HISTORY_H
#define WSVITALS_TABLE_HISTORY_H

#include "aggregate.h"
#include "grid.h"
#include "store_query.h"

#define TABLE_POINTS 60 /* of a history: what a page holds */
#define LINE_POINTS 240 /* of a small line */
#define LINE_AROUND 28  /* columns beside it: its name and its most */

struct history_table;

struct history_table *history_table_new(const struct page *page); /* NULL: out of memory */
void history_table_add(struct history_table *table, const struct history_point *point);
/* Points of the small lines above the table: without any, there are none. */
void history_lines_add(struct history_table *table, const struct history_point *point);
/* Frees it. line_step_s: of the points of the lines. */
void history_table_print(struct history_table *table, int64_t line_step_s);

struct rows_table;

struct rows_table *connections_table_new(const struct page *page, size_t max_rows);
void connections_table_open(struct rows_table *table, const struct open_connection *connection,
			    uint64_t now_wall_ns);
void connections_table_closed(struct rows_table *table, const struct closed_connection *connection);
struct rows_table *errors_table_new(const struct page *page, size_t max_rows);
void errors_table_add(struct rows_table *table, const struct error_entry *error);
/* Frees it. total: how many there are in all. */
void rows_table_print(struct rows_table *table, const char *what, size_t total);

void compare_table_print(const struct page *page, const struct store_total *a,
			 const struct store_total *b);

#endif

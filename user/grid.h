/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Aligned columns on paper of a width. In: texts, cleaned (label.h). Out: UTF-8 lines, none wider than
 * the page; columns give way, then the spare ones are left out.
 */
#ifndef WSVITALS_GRID_H
#define WSVITALS_GRID_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "label.h"

#define COLUMNS_MAX 12

struct page {
	FILE *out;
	unsigned width;
	bool bold;
};

/* Columns of paper that a text takes; and cut to so many, which shows as an ellipsis. */
unsigned text_width(const char *text);
void text_cut(char *text, unsigned width);
/* Runs of blanks as one, so that a stranger's text cannot pretend to be several columns. */
void text_squeeze(char *text);

/* Each returns text. */
const char *count_text(uint64_t count, char text[LABEL_SIZE]);
const char *bytes_text(uint64_t bytes, char text[LABEL_SIZE]);
const char *time_text(double ns, char text[LABEL_SIZE]);
const char *rate_text(double rate, char text[LABEL_SIZE]);

struct column {
	const char *title;
	bool right;     /* numbers */
	bool gives;     /* becomes narrower when the page is, down to its floor */
	unsigned min;   /* where there is room */
	unsigned floor; /* COLUMN_MIN when 0 */
	unsigned spare; /* left out when nothing else helps: 1 first; 0 never */
};

struct grid {
	const struct column *columns;
	size_t nr_columns, nr_rows;
	unsigned widths[COLUMNS_MAX];
	bool left_out[COLUMNS_MAX];
	char cells[][COLUMNS_MAX][LABEL_SIZE];
};

/* NULL: out of memory. */
struct grid *grid_new(const struct column *columns, size_t nr, size_t max_rows);
#define GRID_NEW(columns, max_rows)                                                                \
	grid_new(columns, sizeof(columns) / sizeof((columns)[0]), max_rows)
__attribute__((format(printf, 4, 5))) void grid_set(struct grid *grid, size_t row, size_t column,
						    const char *format, ...);
void grid_print_and_free(const struct page *page, struct grid *grid);

/* A title in bold; on a page that knows no bold, just the title. */
void page_title(const struct page *page, const char *text);
/* Words from a column on, continued below their beginning where the page ends. */
void page_words(const struct page *page, unsigned indent, const char *text);

#endif

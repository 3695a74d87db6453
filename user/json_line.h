/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * One row of JSON, written straight into memory. In: keys that are literals of this program, numbers
 * and times. Out: text that every reader of JSON takes. For rows of which one answer has a thousand:
 * a tree of values and a printf for each of them took five times as long.
 *
 * Nothing is escaped: texts that come from elsewhere have no business here, they go through jansson.
 */
#ifndef WSVITALS_JSON_LINE_H
#define WSVITALS_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_line {
	char *at, *end;
	bool first; /* of its object: no comma before it */
	bool full;  /* something had no room: the text is of no use */
};

void line_begin(struct json_line *ret_line, char *text, size_t size);
/* The length; 0: it was full. */
size_t line_end(struct json_line *line, const char *text);

/* key NULL: the row itself, or an element of a list */
void line_open(struct json_line *line, const char *key); /* an object */
void line_close(struct json_line *line);
void line_list(struct json_line *line, const char *key);
void line_list_end(struct json_line *line);
void line_null(struct json_line *line, const char *key);
void line_count(struct json_line *line, const char *key, uint64_t count);
/* Rounded to so many decimals, of which trailing zeros are left out but the first; at most 9. */
void line_number(struct json_line *line, const char *key, double value, unsigned decimals);
/* "2026-11-25T14:05:00Z" */
void line_time(struct json_line *line, const char *key, int64_t time_s);

#endif

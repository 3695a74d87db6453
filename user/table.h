/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A summary for people. In: a summary of everything (no filter), and how wide the paper is. Out: aligned UTF-8 text, no line
 * wider than asked, no control character but line feeds (and bold titles where they are asked for).
 */
#ifndef WSVITALS_TABLE_H
#define WSVITALS_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "aggregate.h"

#define TABLE_WIDTH_MIN 72
#define TABLE_WIDTH_MAX 132

struct table_style {
	unsigned width;    /* columns; brought into the limits above */
	bool bold;         /* titles stand out: a terminal */
	const char *scope; /* "port 8000", "every server of this host" */
	double left_s;     /* time left; negative when this is the final table */
};

void table_print(FILE *out, const struct summary *summary, const struct table_style *style);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Answers from history as CSV that are made while they are sent, a few milliseconds at a time: a file of a
 * week's connections has millions of rows. In: an answer that has begun. Out: its stream; between two
 * pieces nothing is held open.
 */
#ifndef WSVITALS_EXPORT_H
#define WSVITALS_EXPORT_H

#include "answer.h"

typedef int (*point_fn)(const struct history_point *point, void *ctx);

/* point: with an answer that has only store, sheet, part and has_queue_wait. */
int export_points(struct answer *answer, const struct history_query *query, point_fn point);

/* All rows, not a page of them. */
bool export_is_wanted(const struct ask *ask);
/* What is in the sheet already goes first. closed: whether rows of the store follow. */
int export_rows(struct answer *answer, enum sheet_of of, int error, bool closed);

#endif

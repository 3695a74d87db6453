/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The connections that are open, as rows of an answer. In: what is asked for, and the last walk. Out: those
 * that are meant, in the order that is asked for.
 */
#ifndef WSVITALS_OPEN_ROWS_H
#define WSVITALS_OPEN_ROWS_H

#include "ask.h"

/* A copy, because the walk's texts do not last. */
struct open_row {
	struct open_connection connection;
	char server[LABEL_SIZE], channel[LABEL_SIZE], user[LABEL_USER_SIZE];
	uint64_t key; /* what it is sorted by */
};

struct open_rows {
	const struct ask *ask;
	uint64_t now_wall_ns;
	struct open_row *rows;
	size_t nr, max;
};

/* None when only closed ones are asked for. 0 or -ENOMEM; free() rows in any case. */
int open_rows_take(struct aggregate *aggregate, const struct ask *ask, struct open_rows *ret_open);
/* Valid as long as the rows are. */
struct open_connection open_rows_at(const struct open_rows *open, size_t i);

#endif

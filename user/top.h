/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The largest of many counts. In: labels and counts in any order, labels more than once. Out: a top
 * of SUMMARY_TOP and what is left. Pure; the array that is given is used up.
 */
#ifndef WSVITALS_TOP_H
#define WSVITALS_TOP_H

#include "aggregate.h"

struct user_count {
	uint64_t user; /* USER_OTHER: goes to "other" */
	uint64_t count;
};

struct name_count {
	const char *name; /* "other" the same */
	uint64_t count;
};

void top_users(struct user_count *counts, size_t nr, struct top *ret_top);
void top_names(struct name_count *counts, size_t nr, struct top *ret_top);

#endif

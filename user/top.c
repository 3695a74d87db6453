// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "top.h"
#include "usage.h"

/* Adds one label to a top that is filled in descending order; NULL: "other". */
static void top_add(struct top *top, const char *label, uint64_t count)
{
	if (!label || top->nr == SUMMARY_TOP) {
		top->other += count;
		top->more = true;
		return;
	}
	snprintf(top->rows[top->nr].label, sizeof(top->rows[0].label), "%s", label);
	top->rows[top->nr++].count = count;
}

static int compare_users(const void *a, const void *b)
{
	const struct user_count *x = a, *y = b;

	return x->user < y->user ? -1 : x->user > y->user;
}

/*
 * Into the largest so far, in descending order; what falls out is "other". Most of a hundred
 * thousand users have one connection and fall through, which is why they are not sorted.
 */
static void best_add(struct user_count *best, size_t *nr, struct top *top, struct user_count count)
{
	size_t at = *nr;

	while (at > 0 && best[at - 1].count < count.count)
		at--;
	if (*nr == SUMMARY_TOP) {
		top_add(top, NULL, at < *nr ? best[*nr - 1].count : count.count);
		if (at == *nr)
			return;
		(*nr)--;
	}
	memmove(&best[at + 1], &best[at], (*nr - at) * sizeof(*best));
	best[at] = count;
	(*nr)++;
}

void top_users(struct user_count *counts, size_t nr, struct top *ret_top)
{
	struct user_count best[SUMMARY_TOP];
	char label[LABEL_USER_SIZE];
	size_t nr_best = 0;

	if (nr)
		qsort(counts, nr, sizeof(*counts), compare_users);
	memset(ret_top, 0, sizeof(*ret_top));
	for (size_t i = 0; i < nr; i++) {
		struct user_count sum = counts[i];

		while (i + 1 < nr && counts[i + 1].user == sum.user)
			sum.count += counts[++i].count;
		if (sum.user == USER_OTHER)
			top_add(ret_top, NULL, sum.count);
		else
			best_add(best, &nr_best, ret_top, sum);
	}
	for (size_t i = 0; i < nr_best; i++) {
		label_user_text(best[i].user, label);
		top_add(ret_top, label, best[i].count);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name_count *)a)->name, ((const struct name_count *)b)->name);
}

static int compare_name_counts(const void *a, const void *b)
{
	const struct name_count *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name, y->name);
}

void top_names(struct name_count *counts, size_t nr, struct top *ret_top)
{
	size_t different = 0;

	if (nr)
		qsort(counts, nr, sizeof(*counts), compare_names);
	for (size_t i = 0; i < nr; i++) {
		if (different && strcmp(counts[different - 1].name, counts[i].name) == 0)
			counts[different - 1].count += counts[i].count;
		else
			counts[different++] = counts[i];
	}
	if (different)
		qsort(counts, different, sizeof(*counts), compare_name_counts);
	memset(ret_top, 0, sizeof(*ret_top));
	for (size_t i = 0; i < different; i++)
		top_add(ret_top, strcmp(counts[i].name, "other") == 0 ? NULL : counts[i].name,
			counts[i].count);
}

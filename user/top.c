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

static int compare_user_counts(const void *a, const void *b)
{
	const struct user_count *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return compare_users(a, b);
}

void top_users(struct user_count *counts, size_t nr, struct top *ret_top)
{
	char label[LABEL_USER_SIZE];
	size_t different = 0;

	if (nr)
		qsort(counts, nr, sizeof(*counts), compare_users);
	for (size_t i = 0; i < nr; i++) {
		if (different && counts[different - 1].user == counts[i].user)
			counts[different - 1].count += counts[i].count;
		else
			counts[different++] = counts[i];
	}
	if (different)
		qsort(counts, different, sizeof(*counts), compare_user_counts);
	memset(ret_top, 0, sizeof(*ret_top));
	for (size_t i = 0; i < different; i++) {
		bool other = counts[i].user == USER_OTHER;

		if (!other)
			label_user_text(counts[i].user, label);
		top_add(ret_top, other ? NULL : label, counts[i].count);
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

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* page.c: what is embedded is web/dist, whole. Run from the top of the tree. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "page.h"

#define FILE_MAX (1 << 20)

struct row {
	const char *sentence;
	enum page_file file;
	const char *path;
};

#define X(NAME, file_, type) {file_ " is as it was built", PAGE_##NAME, "web/dist/" file_},
static const struct row rows[] = {PAGE_FILES(X)};
#undef X

static void is_whole(void **state)
{
	const struct row *row = *state;
	char *plain, *on_disk = malloc(FILE_MAX);
	FILE *file = fopen(row->path, "r");
	size_t len, disk_len;

	assert_non_null(on_disk);
	if (!file)
		fail_msg("cannot read %s: run this from the top of the tree", row->path);
	disk_len = fread(on_disk, 1, FILE_MAX, file);
	fclose(file);
	plain = page_plain(row->file, PAGE_MARK, &len);
	assert_non_null(plain);
	assert_int_equal(len, disk_len);
	assert_memory_equal(plain, on_disk, len);
	free(plain);
	free(on_disk);
}

static void has_message(void **state)
{
	static const char message[] = "No such token, which is longer than the mark itself.";
	size_t len, without_len;
	char *with = page_plain(PAGE_LOGIN, message, &len);
	char *without = page_plain(PAGE_LOGIN, "", &without_len);

	(void)state;
	assert_non_null(with);
	assert_non_null(without);
	assert_int_equal(len, without_len + strlen(message));
	assert_non_null(memmem(with, len, message, strlen(message)));
	assert_null(memmem(with, len, PAGE_MARK, strlen(PAGE_MARK)));
	assert_null(memmem(without, without_len, PAGE_MARK, strlen(PAGE_MARK)));
	assert_memory_equal(with + len - 15, "</body></html>\n", 15);
	free(with);
	free(without);
}

int main(void)
{
	const struct CMUnitTest tests[] = {SENTENCE("the login page takes a message", has_message)};

	return check_run("page", is_whole, rows, sizeof(rows[0]), COUNT(rows), tests, COUNT(tests));
}

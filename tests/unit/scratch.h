/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* A directory of a test's own, and files in it. Everything aborts when the test cannot go on. Needs
 * _GNU_SOURCE. */
#ifndef WSVITALS_TESTS_SCRATCH_H
#define WSVITALS_TESTS_SCRATCH_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
	char dir[64];
	char path[320]; /* of the file that was named last */
	char text[8192];
};

static inline void scratch_new(struct scratch *s)
{
	strcpy(s->dir, "/tmp/wsvitals-unit-XXXXXX");
	if (!mkdtemp(s->dir))
		abort();
}

static inline const char *scratch_path(struct scratch *s, const char *name)
{
	snprintf(s->path, sizeof(s->path), "%s/%s", s->dir, name);
	return s->path;
}

static inline void scratch_write_bytes(struct scratch *s, const char *name, const void *bytes,
				       size_t len)
{
	FILE *file = fopen(scratch_path(s, name), "we");

	if (!file || fwrite(bytes, 1, len, file) != len || fclose(file))
		abort();
}

static inline void scratch_write(struct scratch *s, const char *name, const char *text)
{
	scratch_write_bytes(s, name, text, strlen(text));
}

/* The file's text, valid until the next call; NULL when there is no such file. */
static inline const char *scratch_read(struct scratch *s, const char *name)
{
	FILE *file = fopen(scratch_path(s, name), "re");
	size_t len;

	if (!file)
		return NULL;
	len = fread(s->text, 1, sizeof(s->text) - 1, file);
	s->text[len] = '\0';
	fclose(file);
	return s->text;
}

static inline mode_t scratch_mode(struct scratch *s, const char *name)
{
	struct stat st;

	return lstat(scratch_path(s, name), &st) ? 0 : st.st_mode & 07777;
}

static inline unsigned scratch_files(const struct scratch *s)
{
	DIR *dir = opendir(s->dir);
	unsigned nr = 0;

	if (!dir)
		abort();
	for (struct dirent *entry; (entry = readdir(dir));)
		nr += entry->d_name[0] != '.';
	closedir(dir);
	return nr;
}

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void scratch_free(struct scratch *s)
{
	if (nftw(s->dir, scratch_remove, 8, FTW_DEPTH | FTW_PHYS))
		abort();
}

#endif

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The store's files as files: which there are, how large, which have to go, which one is written.
 * In: the directory. Out: room to write, or why there is none. Files that are not named like ours
 * are not touched and not counted.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store_private.h"

/* A clock that was set wrong must not empty the store: it has to go steadily for so long first. */
#define STEADY_NS (3600 * 1000000000ll)

void store_note(struct store *store, const char *format, ...)
{
	char text[256];
	va_list args;

	if (!store->config.note)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	store->config.note(text, store->config.ctx);
}

void store_event(struct store *store, enum store_event_kind kind, int64_t at_ns, const char *format,
		 ...)
{
	struct own_event event = {.kind = kind, .at_ns = at_ns};
	va_list args;

	va_start(args, format);
	vsnprintf(event.text, sizeof(event.text), format, args);
	va_end(args);
	store_note(store, "%s", event.text);
	if (store->nr_own < STORE_OWN_EVENTS)
		store->own[store->nr_own++] = event;
}

static int by_tier_and_time(const void *a, const void *b)
{
	const struct found_file *x = a, *y = b;

	if (x->name.tier != y->name.tier)
		return x->name.tier < y->name.tier ? -1 : 1;
	if (x->name.begin_s != y->name.begin_s)
		return x->name.begin_s < y->name.begin_s ? -1 : 1;
	return strcmp(x->text, y->text);
}

static int add_file(struct store *store, int dirfd, const char *name)
{
	struct found_file file;
	struct stat st;

	if (strlen(name) >= sizeof(file.text) || !file_name_parse(name, &file.name) ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return 0;
	/* Left by a kill: who makes a file is this process, and not now. */
	if (file.name.role == FILE_NEW) {
		unlinkat(dirfd, name, 0);
		return 0;
	}
	strcpy(file.text, name);
	/* What is taken from the disk: a file may have holes, or blocks beyond its end. */
	file.bytes = (uint64_t)st.st_blocks * 512;
	if ((uint64_t)st.st_size > file.bytes)
		file.bytes = (uint64_t)st.st_size;
	if (store->nr_files == store->max_files) {
		size_t max = store->max_files ? store->max_files * 2 : 64;
		struct found_file *files = realloc(store->files, max * sizeof(*files));

		if (!files)
			return -ENOMEM;
		store->files = files;
		store->max_files = max;
	}
	store->files[store->nr_files++] = file;
	store->state.bytes += file.bytes;
	return 0;
}

int store_list(struct store *store)
{
	DIR *dir = opendir(store->dir);
	struct dirent *entry;
	int err = 0;

	store->nr_files = 0;
	store->state.bytes = 0;
	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir)))
		err = add_file(store, dirfd(dir), entry->d_name);
	closedir(dir);
	if (store->nr_files)
		qsort(store->files, store->nr_files, sizeof(*store->files), by_tier_and_time);
	return err;
}

int store_look(struct store *store)
{
	char path[PATH_MAX];
	int err = store_list(store);

	if (err)
		return err;
	for (size_t i = 0; i < store->nr_files; i++) {
		if (store->files[i].name.role != FILE_DATABASE)
			continue;
		snprintf(path, sizeof(path), "%s/%s", store->dir, store->files[i].text);
		if (file_look(path) == -EPROTONOSUPPORT) {
			snprintf(store->state.reason, sizeof(store->state.reason),
				 "%s was written by a newer wsvitals; this one knows schema %d and "
				 "touches nothing",
				 store->files[i].text, STORE_SCHEMA_VERSION);
			return -EPROTONOSUPPORT;
		}
	}
	return 0;
}

/* A database with its side files, or what was set aside. */
static void remove_file(struct store *store, size_t which)
{
	static const char *const sides[] = {"", "-wal", "-shm", "-journal"};
	struct found_file *file = &store->files[which];
	struct db *db = store->writing[file->name.tier];
	char path[PATH_MAX];

	if (db && db->begin_s == file->name.begin_s && file->name.role == FILE_DATABASE) {
		db_close(db);
		store->writing[file->name.tier] = NULL;
	}
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s%s", store->dir, file->text, sides[i]);
		unlink(path);
	}
}

void store_expire(struct store *store, int64_t now_s)
{
	size_t gone = 0;

	if (store->steady_ns < STEADY_NS)
		return;
	for (size_t i = 0; i < store->nr_files; i++) {
		const struct file_name *name = &store->files[i].name;

		if (name->role == FILE_SIDE || name->end_s + store->keep_s[name->tier] > now_s)
			continue;
		remove_file(store, i);
		gone++;
	}
	if (gone)
		store_list(store);
}

/*
 * What costs least when it goes: damaged files, then points that are kept in a coarser tier too,
 * then rows, then the coarsest points. Files that are written now, and events, stay.
 */
static bool find_victim(const struct store *store, int64_t now_s, size_t *ret_which)
{
	static const enum tier order[] = {TIER_RAW, TIER_ROWS, TIER_5M, TIER_1H};

	for (size_t i = 0; i < store->nr_files; i++)
		if (store->files[i].name.role == FILE_DAMAGED) {
			*ret_which = i;
			return true;
		}
	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++)
		for (size_t i = 0; i < store->nr_files; i++) {
			const struct file_name *name = &store->files[i].name;

			if (name->tier == order[k] && name->role == FILE_DATABASE &&
			    name->begin_s != tier_begin(name->tier, now_s)) {
				*ret_which = i;
				return true;
			}
		}
	return false;
}

int store_make_room(struct store *store, uint64_t needed, int64_t now_s)
{
	struct statvfs disk;
	size_t which;

	while (store->state.bytes + needed > store->state.bytes_max) {
		if (!find_victim(store, now_s, &which)) {
			snprintf(store->state.reason, sizeof(store->state.reason),
				 "the files written now take all of the %llu MB that the store may "
				 "have",
				 (unsigned long long)(store->state.bytes_max >> 20));
			return -ENOSPC;
		}
		store_note(store, "the store is at its limit of %llu MB: %s removed",
			   (unsigned long long)(store->state.bytes_max >> 20),
			   store->files[which].text);
		remove_file(store, which);
		store_list(store);
	}
	if (statvfs(store->dir, &disk))
		return -errno;
	if ((uint64_t)disk.f_bavail * 100 <
	    (uint64_t)disk.f_blocks * STORE_FREE_PERCENT + needed / disk.f_frsize * 100) {
		snprintf(store->state.reason, sizeof(store->state.reason),
			 "less than %d %% of the disk is free, and the store leaves that to others",
			 STORE_FREE_PERCENT);
		return -ENOSPC;
	}
	return 0;
}

int store_damaged(struct store *store, enum tier tier, int64_t begin_s, int64_t now_s)
{
	char name[STORE_NAME_MAX], aside[STORE_NAME_MAX];
	struct db *db = store->writing[tier];
	int err;

	tier_file_name(tier, begin_s, name);
	if (db && db->begin_s == tier_begin(tier, begin_s)) {
		db_close(db);
		store->writing[tier] = NULL;
	}
	err = file_set_aside(store->dir, name, now_s, aside);
	if (err)
		return err;
	store->state.damaged_files++;
	for (enum tier i = 0; i < NR_TIERS; i++)
		store->rolled_s[i] = -1;
	store_event(store, STORE_EVENT_STORE_DAMAGED, now_s * 1000000000ll,
		    "%s is damaged and was set aside as %s: its period is lost", name, aside);
	return 0;
}

int store_writer(struct store *store, enum tier tier, int64_t time_s, struct db **ret_db)
{
	struct db **db = &store->writing[tier];
	int err;

	if (*db && (*db)->begin_s != tier_begin(tier, time_s)) {
		db_seal(*db);
		*db = NULL;
	}
	if (!*db) {
		err = db_open(store->dir, tier, time_s, DB_WRITE, db);
		if (err)
			return err;
	}
	*ret_db = *db;
	return 0;
}

void store_close_writers(struct store *store)
{
	for (enum tier tier = 0; tier < NR_TIERS; tier++) {
		db_close(store->writing[tier]);
		store->writing[tier] = NULL;
	}
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* Texts and blobs lie in chunks that do not move, so rows can point at them. */
#include "interval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (16u << 10)
#define TEXTS_MIN 256 /* a power of two, as all sizes */

/* Memory that does not move and is given back at once, and the texts in it, each kept once. */
struct arena {
	struct chunk {
		struct chunk *next;
		size_t used, size;
		char bytes[];
	} * chunks;
	const char **texts; /* open addressing; NULL = free */
	size_t nr_texts, max_texts;
};

const char *store_event_key(enum store_event_kind kind)
{
	static const char *const keys[] = {
#define X(NAME, key) key,
		STORE_EVENTS(X)
#undef X
	};

	return keys[kind];
}

const char *series_kind_key(enum series_kind kind)
{
	static const char *const keys[] = {
#define X(NAME, key) key,
		SERIES_KINDS(X)
#undef X
	};

	return keys[kind];
}

struct interval *interval_new(int64_t from_ns, int64_t to_ns, uint64_t covered_ns)
{
	struct interval *interval = calloc(1, sizeof(*interval));

	if (!interval)
		return NULL;
	interval->arena = calloc(1, sizeof(*interval->arena));
	if (!interval->arena) {
		free(interval);
		return NULL;
	}
	interval->from_ns = from_ns;
	interval->to_ns = to_ns;
	interval->covered_ns = covered_ns;
	interval->bytes = sizeof(*interval) + sizeof(*interval->arena);
	return interval;
}

void interval_free(struct interval *interval)
{
	struct chunk *chunk, *next;

	if (!interval)
		return;
	for (chunk = interval->arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(interval->arena->texts);
	free(interval->arena);
	free(interval->points);
	free(interval->users);
	free(interval->connections);
	free(interval->errors);
	free(interval->events);
	free(interval);
}

static void *take(struct interval *interval, size_t len)
{
	struct chunk *chunk = interval->arena->chunks;

	if (!chunk || chunk->size - chunk->used < len) {
		size_t size = len > CHUNK_BYTES / 4 ? len : CHUNK_BYTES;

		chunk = malloc(sizeof(*chunk) + size);
		if (!chunk)
			return NULL;
		*chunk = (struct chunk){.next = interval->arena->chunks, .size = size};
		interval->arena->chunks = chunk;
		interval->bytes += sizeof(*chunk) + size;
	}
	chunk->used += len;
	return chunk->bytes + chunk->used - len;
}

static size_t hash(const char *text, size_t len)
{
	size_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 1099511628211u;
	return h ^ h >> 32;
}

/* Where this text is or would be. */
static const char **place(struct arena *arena, const char *text, size_t len)
{
	size_t at = hash(text, len) & (arena->max_texts - 1);

	while (arena->texts[at] &&
	       (strncmp(arena->texts[at], text, len) != 0 || arena->texts[at][len]))
		at = (at + 1) & (arena->max_texts - 1);
	return &arena->texts[at];
}

static int texts_grow(struct interval *interval)
{
	struct arena *arena = interval->arena;
	struct arena bigger = {.max_texts = arena->max_texts ? arena->max_texts * 2 : TEXTS_MIN};

	if (arena->nr_texts < arena->max_texts / 4 * 3)
		return 0;
	bigger.texts = calloc(bigger.max_texts, sizeof(*bigger.texts));
	if (!bigger.texts)
		return -ENOMEM;
	for (size_t i = 0; i < arena->max_texts; i++)
		if (arena->texts[i])
			*place(&bigger, arena->texts[i], strlen(arena->texts[i])) = arena->texts[i];
	free(arena->texts);
	interval->bytes += (bigger.max_texts - arena->max_texts) * sizeof(*bigger.texts);
	arena->texts = bigger.texts;
	arena->max_texts = bigger.max_texts;
	return 0;
}

/* Replaces the text by one of our own. NULL counts as "". */
static int intern(struct interval *interval, const char **text)
{
	const char **at;
	size_t len;
	char *copy;

	if (!*text || !**text) {
		*text = "";
		return 0;
	}
	if (texts_grow(interval))
		return -ENOMEM;
	len = strnlen(*text, INTERVAL_TEXT_MAX + 1);
	if (len > INTERVAL_TEXT_MAX) /* between characters */
		for (len = INTERVAL_TEXT_MAX; len && ((*text)[len] & 0xc0) == 0x80;)
			len--;
	at = place(interval->arena, *text, len);
	if (!*at) {
		copy = take(interval, len + 1);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, *text, len);
		copy[len] = '\0';
		*at = copy;
		interval->arena->nr_texts++;
	}
	*text = *at;
	return 0;
}

/* Room for one more; *rows may move. */
static int grow(struct interval *interval, void *rows, size_t size, size_t nr, size_t *max,
		size_t bound)
{
	size_t want = *max ? *max * 2 : 16;
	void *more;

	if (nr >= bound) {
		interval->lost++;
		return -ENOSPC;
	}
	if (nr < *max)
		return 0;
	memcpy(&more, rows, sizeof(more)); /* whatever type it points to */
	more = realloc(more, want * size);
	if (!more)
		return -ENOMEM;
	memcpy(rows, &more, sizeof(more));
	interval->bytes += (want - *max) * size;
	*max = want;
	return 0;
}

#define GROW(interval, what, bound)                                                                \
	grow(interval, &(interval)->what, sizeof(*(interval)->what), (interval)->nr_##what,        \
	     &(interval)->max_##what, bound)

int interval_add_point(struct interval *interval, const struct series *series,
		       const struct point *point)
{
	struct interval_point entry = {.series = *series};
	uint8_t blob[POINT_BLOB_MAX], *copy;
	int err;

	if (point_is_empty(point))
		return 0;
	err = GROW(interval, points, INTERVAL_POINTS_MAX);
	if (err)
		return err;
	entry.len = point_encode(point, blob);
	copy = take(interval, entry.len);
	if (!copy || intern(interval, &entry.series.server) ||
	    intern(interval, &entry.series.label))
		return -ENOMEM;
	memcpy(copy, blob, entry.len);
	entry.blob = copy;
	interval->points[interval->nr_points++] = entry;
	return 0;
}

int interval_add_user(struct interval *interval, const struct user_counts *counts)
{
	struct user_counts entry = *counts;
	int err = GROW(interval, users, ROSTER_MAX);

	if (err)
		return err;
	if (intern(interval, &entry.user))
		return -ENOMEM;
	interval->users[interval->nr_users++] = entry;
	return 0;
}

int interval_add_connection(struct interval *interval, const struct closed_connection *connection)
{
	struct closed_connection entry = *connection;
	int err = GROW(interval, connections, INTERVAL_ROWS_MAX);

	if (err)
		return err;
	if (intern(interval, &entry.server) || intern(interval, &entry.channel) ||
	    intern(interval, &entry.user))
		return -ENOMEM;
	interval->connections[interval->nr_connections++] = entry;
	return 0;
}

int interval_add_error(struct interval *interval, const struct error_entry *error)
{
	struct error_entry entry = *error;
	int err = GROW(interval, errors, INTERVAL_ROWS_MAX);

	if (err)
		return err;
	if (intern(interval, &entry.server) || intern(interval, &entry.channel) ||
	    intern(interval, &entry.user) || intern(interval, &entry.message))
		return -ENOMEM;
	interval->errors[interval->nr_errors++] = entry;
	return 0;
}

int interval_add_event(struct interval *interval, const struct store_event *event)
{
	struct store_event entry = *event;
	int err = GROW(interval, events, INTERVAL_ROWS_MAX);

	if (err)
		return err;
	if (intern(interval, &entry.server) || intern(interval, &entry.text))
		return -ENOMEM;
	interval->events[interval->nr_events++] = entry;
	return 0;
}

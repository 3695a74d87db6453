// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Open addressing with linear probing; a removal moves the following entries up, so that there are
 * no graves. Ids are socket cookies: the kernel chooses them, no stranger can.
 */
#include <errno.h>
#include <stdlib.h>

#include "connection.h"

#define SIZE_MIN 256 /* a power of two, as all sizes */

struct connections {
	struct connection *table; /* id 0 = free */
	size_t size, count;
};

static size_t home_of(const struct connections *c, uint64_t id)
{
	return (size_t)(id * 0x9e3779b97f4a7c15ull >> 32) & (c->size - 1);
}

struct connections *connections_new(void)
{
	struct connections *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->size = SIZE_MIN;
	c->table = calloc(c->size, sizeof(*c->table));
	if (!c->table) {
		free(c);
		return NULL;
	}
	return c;
}

void connections_free(struct connections *connections)
{
	if (!connections)
		return;
	free(connections->table);
	free(connections);
}

/* Where the id is, or where it would be put. */
static size_t place_of(const struct connections *c, uint64_t id)
{
	size_t at = home_of(c, id);

	while (c->table[at].id && c->table[at].id != id)
		at = (at + 1) & (c->size - 1);
	return at;
}

static int grow(struct connections *c)
{
	struct connections bigger = {.size = c->size * 2, .count = c->count};

	bigger.table = calloc(bigger.size, sizeof(*bigger.table));
	if (!bigger.table)
		return -ENOMEM;
	for (size_t i = 0; i < c->size; i++)
		if (c->table[i].id)
			bigger.table[place_of(&bigger, c->table[i].id)] = c->table[i];
	free(c->table);
	*c = bigger;
	return 0;
}

int connections_put(struct connections *connections, const struct connection *connection)
{
	size_t at;
	int err;

	if (!connection->id)
		return -EINVAL;
	if (!connections_find(connections, connection->id)) {
		if (connections->count >= CONNECTIONS_MAX)
			return -ENOSPC;
		if (connections->count + 1 > connections->size / 4 * 3) {
			err = grow(connections);
			if (err)
				return err;
		}
		connections->count++;
	}
	at = place_of(connections, connection->id);
	connections->table[at] = *connection;
	return 0;
}

struct connection *connections_find(struct connections *connections, uint64_t id)
{
	struct connection *found;

	if (!id)
		return NULL;
	found = &connections->table[place_of(connections, id)];
	return found->id ? found : NULL;
}

static void remove_at(struct connections *c, size_t at)
{
	size_t mask = c->size - 1, next = at;

	for (;;) {
		c->table[at].id = 0;
		/* The next one that may move here: whose home is not between here and there. */
		do {
			next = (next + 1) & mask;
			if (!c->table[next].id) {
				c->count--;
				return;
			}
		} while (((next - home_of(c, c->table[next].id)) & mask) < ((next - at) & mask));
		c->table[at] = c->table[next];
		at = next;
	}
}

void connections_remove(struct connections *connections, uint64_t id)
{
	size_t at = id ? place_of(connections, id) : 0;

	if (id && connections->table[at].id)
		remove_at(connections, at);
}

void connections_sweep(struct connections *connections, uint32_t seen)
{
	for (size_t i = 0; i < connections->size;) {
		if (connections->table[i].id && connections->table[i].seen != seen)
			remove_at(connections, i); /* and look again: another may have moved here */
		else
			i++;
	}
}

struct connection *connections_next(struct connections *connections, size_t *at)
{
	while (*at < connections->size) {
		struct connection *connection = &connections->table[(*at)++];

		if (connection->id)
			return connection;
	}
	return NULL;
}

size_t connections_count(const struct connections *connections)
{
	return connections->count;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"

#define NAMES_SIZE (2ul * MAX_CHANNELS)   /* at most half full */
#define PATHS_SIZE (2ul * CHANNELS_PATHS) /* the same */

_Static_assert(LABEL_KEY_BYTES >= crypto_shorthash_KEYBYTES, "key of the tables");

static const char other[] = "other"; /* the name of CHANNEL_OTHER */

struct channel {
	char *name;
	uint16_t server;
};

struct path {
	uint64_t hash;
	uint16_t server;
	uint16_t slot; /* 0 = free */
};

struct channels {
	uint8_t key[crypto_shorthash_KEYBYTES];
	struct channel channels[MAX_CHANNELS]; /* by slot */
	uint16_t nr;
	uint16_t names[NAMES_SIZE]; /* slots by (server, name); 0 = free */
	struct path paths[PATHS_SIZE];
	size_t nr_paths;
	uint16_t nr_plain[MAX_SERVERS], nr_folded[MAX_SERVERS];
};

struct channels *channels_new(const uint8_t key[LABEL_KEY_BYTES])
{
	struct channels *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	memcpy(c->key, key, sizeof(c->key));
	c->nr = CHANNEL_FIRST;
	return c;
}

void channels_free(struct channels *channels)
{
	if (!channels)
		return;
	for (uint16_t slot = CHANNEL_FIRST; slot < channels->nr; slot++)
		free(channels->channels[slot].name);
	free(channels);
}

static size_t hash_of(const struct channels *c, uint16_t server, const void *at, size_t len)
{
	unsigned char hash[crypto_shorthash_BYTES];
	uint64_t value;

	crypto_shorthash(hash, at, len, c->key);
	memcpy(&value, hash, sizeof(value));
	return (size_t)((value + server) * 0x9e3779b97f4a7c15ull >> 32);
}

/* Where the slot of this name stands, or would. */
static uint16_t *name_place(struct channels *c, uint16_t server, const char *name)
{
	size_t at = hash_of(c, server, name, strlen(name)) % NAMES_SIZE;

	for (; c->names[at]; at = (at + 1) % NAMES_SIZE) {
		const struct channel *channel = &c->channels[c->names[at]];

		if (channel->server == server && strcmp(channel->name, name) == 0)
			break;
	}
	return &c->names[at];
}

static uint16_t channel_new(struct channels *c, uint16_t server, const char *name, uint16_t *place,
			    uint16_t *nr, uint16_t max)
{
	char *copy;

	if (*nr >= max || c->nr >= MAX_CHANNELS)
		return CHANNEL_OTHER;
	copy = strdup(name);
	if (!copy)
		return CHANNEL_OTHER;
	c->channels[c->nr] = (struct channel){copy, server};
	*place = c->nr++;
	(*nr)++;
	return *place;
}

uint16_t channels_place(struct channels *channels, uint16_t server, struct text path)
{
	char name[LABEL_SIZE], folded[LABEL_SIZE];
	uint16_t *place, slot;

	/* A target may be no path ("GET other"): one name, one channel. */
	if (!label_clean(path, name, sizeof(name)) || strcmp(name, other) == 0)
		return CHANNEL_OTHER;
	place = name_place(channels, server, name);
	if (*place)
		return *place;
	slot = channel_new(channels, server, name, place, &channels->nr_plain[server],
			   CHANNELS_PLAIN);
	if (slot != CHANNEL_OTHER)
		return slot;

	label_fold(name, folded, sizeof(folded));
	place = name_place(channels, server, folded);
	if (*place)
		return *place;
	return channel_new(channels, server, folded, place, &channels->nr_folded[server],
			   CHANNELS_FOLDED);
}

static size_t path_place(const struct channels *c, const struct channel_key *key)
{
	uint16_t server = (uint16_t)key->server;
	size_t at = hash_of(c, server, &key->path_hash, sizeof(key->path_hash)) % PATHS_SIZE;

	while (c->paths[at].slot &&
	       (c->paths[at].hash != key->path_hash || c->paths[at].server != server))
		at = (at + 1) % PATHS_SIZE;
	return at;
}

bool channels_learn(struct channels *channels, const struct channel_key *key, uint16_t slot)
{
	struct path *path = &channels->paths[path_place(channels, key)];

	if (path->slot || channels->nr_paths >= CHANNELS_PATHS)
		return false;
	*path = (struct path){key->path_hash, (uint16_t)key->server, slot};
	channels->nr_paths++;
	return true;
}

uint16_t channels_lookup(const struct channels *channels, const struct channel_key *key)
{
	return channels->paths[path_place(channels, key)].slot;
}

const char *channels_name(const struct channels *channels, uint16_t slot)
{
	if (slot < CHANNEL_FIRST || slot >= channels->nr)
		return other;
	return channels->channels[slot].name;
}

uint16_t channels_end(const struct channels *channels)
{
	return channels->nr;
}

uint16_t channels_server(const struct channels *channels, uint16_t slot)
{
	return channels->channels[slot].server;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Channels (SPEC 5): which path counts for which slot. In: a server and the path of an upgrade.
 * Out: a slot, with a name that is short and clean.
 *
 * Bounded for every server, so that a client that invents paths harms no neighbour: the first 200
 * paths have a channel each; after these, ids in paths are folded; what is new even then is
 * "other".
 */
#ifndef WSVITALS_CHANNEL_H
#define WSVITALS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "label.h"

#define CHANNELS_PLAIN 200  /* of a server: paths as they are */
#define CHANNELS_FOLDED 50  /* of a server: beyond these */
#define CHANNELS_PATHS 8192 /* path hashes that are remembered */

#define CHANNEL_NONE 0  /* not yet named */
#define CHANNEL_OTHER 1 /* of all servers */
#define CHANNEL_FIRST 2

struct channels;

/* The key keeps strangers from choosing where their paths fall in the table. NULL: no memory. */
struct channels *channels_new(const uint8_t key[LABEL_KEY_BYTES]);
void channels_free(struct channels *channels);

/* The slot for this path of this server, made if there is room; an empty path is CHANNEL_OTHER. */
uint16_t channels_place(struct channels *channels, uint16_t server, struct text path);
/* Remembers the slot of a path hash. True when it is new: the kernel is to be told. */
bool channels_learn(struct channels *channels, const struct channel_key *key, uint16_t slot);
/* The slot of a path hash, or CHANNEL_NONE. */
uint16_t channels_lookup(const struct channels *channels, const struct channel_key *key);
/* One beyond the last slot that has a name of its own. */
uint16_t channels_end(const struct channels *channels);
uint16_t channels_server(const struct channels *channels, uint16_t slot); /* of one of these */
const char *channels_name(const struct channels *channels, uint16_t slot);

#endif

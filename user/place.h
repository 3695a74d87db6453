/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The agent's places in the file system and on the network: its two directories, their locks, its
 * two sockets, the key of the pseudonyms. Opened as root before anything is given up. In: paths and
 * who they are to belong to. Out: descriptors.
 *
 * Functions return 0 (or a descriptor) or a negative errno with one sentence in ret_error.
 */
#ifndef WSVITALS_PLACE_H
#define WSVITALS_PLACE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "label.h"
#include "sandbox.h"
#include "settings.h"

#define PLACE_SOCKET "agent.sock" /* in the run directory */

/*
 * Makes the directory if it is missing, and gives it to the identity. One that is there must be the
 * identity's, or root's and either empty or ours: a mistyped path must not change hands. Then takes
 * its lock, which lasts as long as the returned descriptor: no two agents share a directory.
 */
int place_take(const char *dir, const char *what, mode_t mode, const struct identity *identity,
	       char *ret_error, size_t error_size);

/* A socket that listens for HTTP. */
int place_listen(const char *address, char *ret_error, size_t error_size);
/* The local socket: root and the identity's group, where that is ours, may open it. */
int place_listen_local(const char *path, const struct identity *identity, char *ret_error,
		       size_t error_size);

/* The key of the pseudonyms, made at first start and kept with the store. */
int place_key(const char *dir, const struct identity *identity, uint8_t ret_key[LABEL_KEY_BYTES],
	      char *ret_error, size_t error_size);

#endif

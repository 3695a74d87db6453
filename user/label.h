/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Names for people (SPEC 5): what a connection is about, who is connected, which server it is.
 * In: text from strangers (paths, reasons, process names, cgroup paths) and addresses. Out: short,
 * clean, NUL-terminated UTF-8. Pure.
 */
#ifndef WSVITALS_LABEL_H
#define WSVITALS_LABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "handshake.h"

#define LABEL_MAX 123              /* bytes of a label or message, as in SPEC 3 */
#define LABEL_SIZE (LABEL_MAX + 1) /* with its NUL */
#define LABEL_UNIT_SIZE 64
#define LABEL_KEY_BYTES 32
#define LABEL_USER_SIZE 13    /* 12 hex digits and NUL */
#define LABEL_ADDRESS_SIZE 46 /* INET6_ADDRSTRLEN */

/*
 * Copies text so that it may be shown anywhere: control characters, invalid UTF-8, line separators
 * and characters that reorder a line become U+FFFD each; cut between characters to size - 1 bytes.
 * Returns the length.
 */
size_t label_clean(struct text text, char *ret_label, size_t size);

/* Segments that are UUIDs, hex ids of 12 or more, or numbers become {id}; cut to size - 1. */
size_t label_fold(const char *path, char *ret_path, size_t size);

/*
 * The keyed hash of SPEC 5 (48 bits), and its 12 hex digits. The address is the peer's; of a
 * loopback peer it is the forwarded one, where there is one.
 */
uint64_t label_user(const uint8_t key[LABEL_KEY_BYTES], const uint8_t addr[16],
		    struct text forwarded_for);
void label_user_text(uint64_t user, char ret_text[LABEL_USER_SIZE]);

/* Also no address at all, which is what a Unix socket has. */
bool label_is_loopback(const uint8_t addr[16]);
/* "192.0.2.7", "192.0.2.7:1234", "2001:db8::1", "[2001:db8::1]:443" -> 16 bytes, v4-mapped. */
bool label_parse_address(struct text text, uint8_t ret_addr[16]);
/* The address as people write it; a v4-mapped one as v4. */
void label_address(const uint8_t addr[16], char ret_text[LABEL_ADDRESS_SIZE]);

/* comm:port or comm:/path, and @unit where there is one. */
void label_server(const char comm[COMM_LEN], const struct server_key *key, const char *unit,
		  char ret_label[LABEL_SIZE]);

/*
 * The service or container in the text of /proc/PID/cgroup: "chat.service", "3f4e5d6c7b8a", or ""
 * (login sessions, init, none).
 */
void label_unit(struct text cgroup, char ret_unit[LABEL_UNIT_SIZE]);

#endif

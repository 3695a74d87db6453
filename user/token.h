/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Access tokens (SPEC 7): 256 random bits that are shown once, kept as their SHA-256 in the file
 * `tokens` of the data directory, one line a token. In: the directory. Out: who a token is.
 *
 * Commands change the file under a lock, by writing a new one and renaming it; the agent only reads
 * it, and keeps when each token was last used in a file of its own, `tokens.used`.
 */
#ifndef WSVITALS_TOKEN_H
#define WSVITALS_TOKEN_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define TOKENS_MAX 128
#define TOKEN_NAME_SIZE 65
#define TOKEN_TEXT_SIZE 48 /* "wsv_", 43 characters of base64url, NUL */
#define TOKEN_HASH_BYTES 32

enum role { ROLE_NONE, ROLE_SCRAPE, ROLE_STAFF }; /* each may do what those before it may */

struct token {
	char name[TOKEN_NAME_SIZE];
	enum role role;
	time_t created;
	time_t used; /* 0 = never */
	uint8_t hash[TOKEN_HASH_BYTES];
};

struct tokens {
	struct token of[TOKENS_MAX];
	size_t nr;
};

const char *role_key(enum role role);

/* All functions: 0, or a negative errno with one sentence in ret_error. */

/* -EBADMSG: the file is broken; the sentence names the line. No file is no token. */
int tokens_read(const char *dir, struct tokens *ret_tokens, char *ret_error, size_t error_size);
int tokens_add(const char *dir, const char *name, enum role role, time_t now,
	       char ret_text[TOKEN_TEXT_SIZE], char *ret_error, size_t error_size);
int tokens_revoke(const char *dir, const char *name, char *ret_error, size_t error_size);
/* Writes when the tokens were used. */
int tokens_write_used(const char *dir, const struct tokens *tokens, char *ret_error,
		      size_t error_size);

/* The first token of a directory that has none; else nothing happens. Its text is kept in the file
 * `first-token` until token_first_done. */
int token_first(const char *dir, time_t now, char *ret_error, size_t error_size);
void token_first_done(const char *dir);

/* A new secret of 256 bits as base64url with a prefix. */
void token_make(char ret_text[TOKEN_TEXT_SIZE]);
void token_hash(const char *text, uint8_t ret_hash[TOKEN_HASH_BYTES]);
/* The token with this hash, in constant time; NULL: none. */
struct token *tokens_find(struct tokens *tokens, const uint8_t hash[TOKEN_HASH_BYTES]);

#endif

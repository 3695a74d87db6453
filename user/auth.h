/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Who asks, and whether now (SPEC 7). In: the credentials of a request, its address, the clock. Out:
 * a role, or why not. Tokens are re-read when their file changes; browser sessions live in memory.
 *
 * A token or session makes at most AUTH_REQUESTS requests a second. An address that has given
 * AUTH_FAILURES wrong credentials within a minute is answered 429 instead of 401 and cannot log in;
 * a token or session that is right still passes, so that a stranger behind the same proxy, or on the
 * same host, locks nobody out. (They have 256 bits: guessing is not what the limit is for, it keeps
 * the work and the log small.)
 */
#ifndef WSVITALS_AUTH_H
#define WSVITALS_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "token.h"

#define AUTH_REQUESTS 20
#define AUTH_FAILURES 10
#define AUTH_COOKIE "wsvitals_session"
#define AUTH_SESSION_S 43200 /* 12 h */

struct auth;

/* dir: the data directory, borrowed. login_code: of the one-time link, NULL = none. NULL: out of
 * memory. */
struct auth *auth_new(const char *dir, const char *login_code);
void auth_free(struct auth *auth);

/* Before each check: reads the tokens again if their file changed. On failure those known stay in
 * force, and ret_error says why. */
int auth_refresh(struct auth *auth, char *ret_error, size_t error_size);
/* Writes when tokens were used, if that has changed. */
int auth_save(struct auth *auth, char *ret_error, size_t error_size);

struct auth_request {
	const char *authorization; /* header; NULL = none */
	const char *cookie;        /* the same */
	const uint8_t *address;    /* 16 bytes, v4-mapped */
	uint64_t now_ns;           /* CLOCK_MONOTONIC */
	time_t wall;
};

enum auth_verdict {
	AUTH_GRANTED,  /* role says what for */
	AUTH_NONE,     /* no credentials */
	AUTH_WRONG,    /* some that nobody has */
	AUTH_TOO_MANY, /* requests of one token */
	AUTH_LOCKED,   /* wrong credentials from this address */
};

struct auth_answer {
	enum auth_verdict verdict;
	enum role role;
	unsigned retry_s; /* AUTH_TOO_MANY, AUTH_LOCKED */
};

void auth_check(struct auth *auth, const struct auth_request *request,
		struct auth_answer *ret_answer);

/* Logs in with the one-time code or a token: a new session's secret. AUTH_GRANTED, AUTH_WRONG or
 * AUTH_LOCKED. */
enum auth_verdict auth_login(struct auth *auth, const char *secret, const uint8_t address[16],
			     uint64_t now_ns, char ret_session[TOKEN_TEXT_SIZE],
			     unsigned *ret_retry_s);
/* Of the token that a session was opened with; "" when there is no such session. */
const char *auth_session_name(const struct auth *auth, const char *session, uint64_t now_ns);
/* Ends the session of this cookie header. */
void auth_logout(struct auth *auth, const char *cookie, uint64_t now_ns);

#endif

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "auth.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "log.h"

#define SECOND_NS 1000000000ull
#define MINUTE_NS (60 * SECOND_NS)
#define SESSIONS_MAX 256
#define ADDRESSES_MAX 1024 /* with failures; the one whose minute began first gives way */

/* When the last AUTH_REQUESTS requests were let through: one more may pass when the oldest of them is
 * a second old. */
struct pace {
	uint64_t at_ns[AUTH_REQUESTS];
	unsigned next;
};

struct session {
	uint8_t hash[TOKEN_HASH_BYTES];  /* of its secret */
	uint8_t token[TOKEN_HASH_BYTES]; /* that it was opened with */
	bool by_code;                    /* opened with the one-time link, and no first token */
	uint64_t opened_ns;              /* 0 = free */
	struct pace pace;
};

struct failures {
	uint8_t address[16];
	uint64_t since_ns; /* 0 = free */
	unsigned nr;
};

struct auth {
	const char *dir;
	struct tokens tokens;
	struct pace paces[TOKENS_MAX]; /* of tokens, by place */
	struct stat seen;              /* of the file when it was read */
	bool used_changed;
	uint8_t code[TOKEN_HASH_BYTES];
	bool has_code;
	struct session sessions[SESSIONS_MAX];
	struct failures failures[ADDRESSES_MAX];
};

struct auth *auth_new(const char *dir, const char *login_code)
{
	struct auth *auth = calloc(1, sizeof(*auth));

	if (!auth)
		return NULL;
	auth->dir = dir;
	if (login_code) {
		token_hash(login_code, auth->code);
		auth->has_code = true;
	}
	return auth;
}

void auth_free(struct auth *auth)
{
	free(auth);
}

/* --- the file --- */

static bool token_is_there(const struct auth *auth, const uint8_t hash[TOKEN_HASH_BYTES])
{
	for (size_t i = 0; i < auth->tokens.nr; i++)
		if (!sodium_memcmp(auth->tokens.of[i].hash, hash, TOKEN_HASH_BYTES))
			return true;
	return false;
}

/* What belongs to a token moves with it, what belongs to none goes. */
static void take_tokens(struct auth *auth, const struct tokens *fresh)
{
	struct pace paces[TOKENS_MAX] = {0};
	struct tokens old = auth->tokens;

	auth->tokens = *fresh;
	for (size_t i = 0; i < fresh->nr; i++) {
		struct token *before = tokens_find(&old, fresh->of[i].hash);

		if (!before) {
			/* at the start all are new, and nothing has changed */
			if (auth->seen.st_ino)
				log_info("token `%s' was added, role %s", fresh->of[i].name,
					 role_key(fresh->of[i].role));
			continue;
		}
		paces[i] = auth->paces[before - old.of];
		if (before->used > auth->tokens.of[i].used)
			auth->tokens.of[i].used = before->used;
	}
	for (size_t i = 0; i < old.nr; i++)
		if (!tokens_find(&auth->tokens, old.of[i].hash))
			log_info("token `%s' was revoked, its sessions end", old.of[i].name);
	memcpy(auth->paces, paces, sizeof(paces));
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (auth->sessions[i].opened_ns && !auth->sessions[i].by_code &&
		    !token_is_there(auth, auth->sessions[i].token))
			sodium_memzero(&auth->sessions[i], sizeof(auth->sessions[i]));
}

int auth_refresh(struct auth *auth, char *ret_error, size_t error_size)
{
	struct stat now = {0};
	struct tokens fresh;
	char path[512];
	int err;

	snprintf(path, sizeof(path), "%s/tokens", auth->dir);
	if (stat(path, &now) && errno != ENOENT) {
		snprintf(ret_error, error_size, "cannot look at %s: %s", path, strerror(errno));
		return -errno;
	}
	if (now.st_ino == auth->seen.st_ino && now.st_size == auth->seen.st_size &&
	    now.st_mtim.tv_sec == auth->seen.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == auth->seen.st_mtim.tv_nsec)
		return 0;
	err = tokens_read(auth->dir, &fresh, ret_error, error_size);
	if (err)
		return err;
	take_tokens(auth, &fresh);
	auth->seen = now;
	return 0;
}

int auth_save(struct auth *auth, char *ret_error, size_t error_size)
{
	int err;

	if (!auth->used_changed)
		return 0;
	err = tokens_write_used(auth->dir, &auth->tokens, ret_error, error_size);
	if (!err)
		auth->used_changed = false;
	return err;
}

/* --- limits --- */

/* Whether one more may pass now; if not, after how many seconds. */
static bool pace_allows(struct pace *pace, uint64_t now_ns, unsigned *ret_retry_s)
{
	uint64_t *oldest = &pace->at_ns[pace->next];

	if (*oldest && now_ns - *oldest < SECOND_NS) {
		*ret_retry_s = 1;
		return false;
	}
	*oldest = now_ns;
	pace->next = (pace->next + 1) % AUTH_REQUESTS;
	return true;
}

/* A v6 host has a /64 to choose addresses from, so that is what is limited. */
static void address_key(const uint8_t address[16], uint8_t ret_key[16])
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

	memcpy(ret_key, address, 16);
	if (memcmp(address, v4_mapped, sizeof(v4_mapped)) != 0)
		memset(ret_key + 8, 0, 8);
}

static struct failures *failures_find(struct auth *auth, const uint8_t address[16], uint64_t now_ns,
				      bool make)
{
	struct failures *oldest = &auth->failures[0];
	uint8_t key[16];

	address_key(address, key);
	for (size_t i = 0; i < ADDRESSES_MAX; i++) {
		struct failures *f = &auth->failures[i];

		if (f->since_ns && now_ns - f->since_ns >= MINUTE_NS)
			f->since_ns = 0;
		if (f->since_ns && !memcmp(f->address, key, sizeof(key)))
			return f;
		if (f->since_ns < oldest->since_ns)
			oldest = f;
	}
	if (!make)
		return NULL;
	*oldest = (struct failures){.since_ns = now_ns};
	memcpy(oldest->address, key, sizeof(key));
	return oldest;
}

static bool is_locked(struct auth *auth, const uint8_t address[16], uint64_t now_ns,
		      unsigned *ret_retry_s)
{
	struct failures *f = failures_find(auth, address, now_ns, false);

	if (!f || f->nr < AUTH_FAILURES)
		return false;
	*ret_retry_s = (unsigned)((MINUTE_NS - (now_ns - f->since_ns)) / SECOND_NS) + 1;
	return true;
}

static enum auth_verdict failed(struct auth *auth, const uint8_t address[16], uint64_t now_ns,
				unsigned *ret_retry_s)
{
	if (is_locked(auth, address, now_ns, ret_retry_s))
		return AUTH_LOCKED;
	failures_find(auth, address, now_ns, true)->nr++;
	return AUTH_WRONG;
}

/* --- who --- */

/* The value of our cookie in "a=b; wsvitals_session=…". */
static bool cookie_value(const char *header, char ret_value[TOKEN_TEXT_SIZE])
{
	static const char name[] = AUTH_COOKIE "=";
	size_t len;

	while (header && *header) {
		header += strspn(header, " ;");
		len = strcspn(header, ";");
		if (len > strlen(name) && !strncmp(header, name, strlen(name))) {
			len -= strlen(name);
			if (len >= TOKEN_TEXT_SIZE)
				return false;
			memcpy(ret_value, header + strlen(name), len);
			ret_value[len] = '\0';
			return true;
		}
		header += len;
	}
	return false;
}

static struct session *session_find(struct auth *auth, const char *cookie, uint64_t now_ns)
{
	char secret[TOKEN_TEXT_SIZE];
	struct session *found = NULL;
	uint8_t hash[TOKEN_HASH_BYTES];

	if (!cookie_value(cookie, secret))
		return NULL;
	token_hash(secret, hash);
	sodium_memzero(secret, sizeof(secret));
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &auth->sessions[i];

		if (s->opened_ns && now_ns - s->opened_ns > AUTH_SESSION_S * SECOND_NS)
			sodium_memzero(s, sizeof(*s));
		if (s->opened_ns && !sodium_memcmp(s->hash, hash, sizeof(hash)))
			found = s;
	}
	return found;
}

static void check_token(struct auth *auth, const struct auth_request *request, const char *text,
			struct auth_answer *answer)
{
	uint8_t hash[TOKEN_HASH_BYTES];
	struct token *token;

	token_hash(text, hash);
	token = tokens_find(&auth->tokens, hash);
	if (!token) {
		answer->verdict = failed(auth, request->address, request->now_ns, &answer->retry_s);
		return;
	}
	if (!pace_allows(&auth->paces[token - auth->tokens.of], request->now_ns,
			 &answer->retry_s)) {
		answer->verdict = AUTH_TOO_MANY;
		return;
	}
	if (token->used != request->wall) {
		token->used = request->wall;
		auth->used_changed = true;
	}
	answer->verdict = AUTH_GRANTED;
	answer->role = token->role;
}

void auth_check(struct auth *auth, const struct auth_request *request,
		struct auth_answer *ret_answer)
{
	struct auth_answer answer = {.verdict = AUTH_NONE};
	static const char scheme[] = "Bearer ";
	char ours[TOKEN_TEXT_SIZE];
	struct session *session;

	/* another scheme is not ours: a proxy in front that asks for a password passes it on */
	if (request->authorization &&
	    !strncasecmp(request->authorization, scheme, strlen(scheme))) {
		const char *text = request->authorization + strlen(scheme);

		check_token(auth, request, text + strspn(text, " "), &answer);
	} else if (cookie_value(request->cookie, ours)) {
		session = session_find(auth, request->cookie, request->now_ns);
		if (!session) {
			answer.verdict = failed(auth, request->address, request->now_ns,
						&answer.retry_s);
		} else if (!pace_allows(&session->pace, request->now_ns, &answer.retry_s)) {
			answer.verdict = AUTH_TOO_MANY;
		} else {
			answer.verdict = AUTH_GRANTED;
			answer.role = ROLE_STAFF;
		}
	}
	*ret_answer = answer;
}

/* --- sessions --- */

/* A free place, or that of the oldest. */
static struct session *session_place(struct auth *auth)
{
	struct session *place = &auth->sessions[0];

	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (auth->sessions[i].opened_ns < place->opened_ns)
			place = &auth->sessions[i];
	memset(place, 0, sizeof(*place));
	return place;
}

static const struct token *first_token(const struct auth *auth)
{
	for (size_t i = 0; i < auth->tokens.nr; i++)
		if (!strcmp(auth->tokens.of[i].name, "first"))
			return &auth->tokens.of[i];
	return NULL;
}

enum auth_verdict auth_login(struct auth *auth, const char *secret, const uint8_t address[16],
			     uint64_t now_ns, char ret_session[TOKEN_TEXT_SIZE],
			     unsigned *ret_retry_s)
{
	const struct token *token;
	struct session *session;
	uint8_t hash[TOKEN_HASH_BYTES];
	bool by_code;

	if (is_locked(auth, address, now_ns, ret_retry_s))
		return AUTH_LOCKED;
	token_hash(secret, hash);
	by_code = auth->has_code && !sodium_memcmp(hash, auth->code, sizeof(hash));
	token = by_code ? first_token(auth) : tokens_find(&auth->tokens, hash);
	if (!by_code && (!token || token->role != ROLE_STAFF))
		return failed(auth, address, now_ns, ret_retry_s);
	session = session_place(auth);
	token_make(ret_session);
	token_hash(ret_session, session->hash);
	session->opened_ns = now_ns;
	session->by_code = !token;
	if (token)
		memcpy(session->token, token->hash, sizeof(token->hash));
	if (by_code) {
		auth->has_code = false;
		sodium_memzero(auth->code, sizeof(auth->code));
	}
	/* the first token has been used, or is not needed any more */
	if (token && !strcmp(token->name, "first"))
		token_first_done(auth->dir);
	return AUTH_GRANTED;
}

const char *auth_session_name(const struct auth *auth, const char *session, uint64_t now_ns)
{
	uint8_t hash[TOKEN_HASH_BYTES];

	token_hash(session, hash);
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		const struct session *s = &auth->sessions[i];
		const struct token *token;

		if (!s->opened_ns || now_ns - s->opened_ns > AUTH_SESSION_S * SECOND_NS ||
		    sodium_memcmp(s->hash, hash, sizeof(hash)) != 0)
			continue;
		token = s->by_code ? NULL : tokens_find((struct tokens *)&auth->tokens, s->token);
		return token ? token->name : "";
	}
	return "";
}

void auth_logout(struct auth *auth, const char *cookie, uint64_t now_ns)
{
	struct session *session = session_find(auth, cookie, now_ns);

	if (session)
		sodium_memzero(session, sizeof(*session));
}

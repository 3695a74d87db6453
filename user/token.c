// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536 /* TOKENS_MAX lines and comments */
#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"
#define PREFIX "wsv_"

_Static_assert(TOKEN_HASH_BYTES == crypto_hash_sha256_BYTES, "SHA-256");
_Static_assert(TOKEN_TEXT_SIZE == sizeof(PREFIX) + 43, "32 bytes as base64url without padding");

__attribute__((format(printf, 4, 5))) static int fail(char *error, size_t size, int err,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return err;
}

const char *role_key(enum role role)
{
	static const char *const keys[] = {"none", "scrape", "staff"};

	return keys[role <= ROLE_STAFF ? role : ROLE_NONE];
}

void token_make(char ret_text[TOKEN_TEXT_SIZE])
{
	uint8_t secret[32];

	randombytes_buf(secret, sizeof(secret));
	strcpy(ret_text, PREFIX);
	sodium_bin2base64(ret_text + strlen(PREFIX), TOKEN_TEXT_SIZE - strlen(PREFIX), secret,
			  sizeof(secret), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(secret, sizeof(secret));
}

void token_hash(const char *text, uint8_t ret_hash[TOKEN_HASH_BYTES])
{
	crypto_hash_sha256(ret_hash, (const unsigned char *)text, strlen(text));
}

struct token *tokens_find(struct tokens *tokens, const uint8_t hash[TOKEN_HASH_BYTES])
{
	struct token *found = NULL;

	/* all of them, so that the time says nothing about which */
	for (size_t i = 0; i < tokens->nr; i++)
		if (!sodium_memcmp(tokens->of[i].hash, hash, TOKEN_HASH_BYTES))
			found = &tokens->of[i];
	return found;
}

static bool name_is_good(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	size_t len = strlen(name);

	return len && len < TOKEN_NAME_SIZE && !name[strspn(name, allowed)];
}

/* --- reading --- */

/* The whole file as text; *ret_text NULL when there is none. */
static int read_text(const char *dir, const char *name, char **ret_text, char *error, size_t size)
{
	char path[512], *text = NULL;
	ssize_t len, n;
	int fd;

	*ret_text = NULL;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	/* the directory belongs to a user whom root reads for: no other file, no wait for a pipe */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fail(error, size, -errno, "cannot read %s: %s", path, strerror(errno));
	text = malloc(FILE_BYTES_MAX + 1);
	for (len = 0, n = 1; text && n > 0 && len<FILE_BYTES_MAX; len += n> 0 ? n : 0)
		n = read(fd, text + len, (size_t)(FILE_BYTES_MAX - len));
	close(fd);
	if (!text || n < 0 || len == FILE_BYTES_MAX) {
		free(text);
		return fail(error, size, -EBADMSG, "%s cannot be read, or is longer than %d bytes",
			    path, FILE_BYTES_MAX - 1);
	}
	text[len] = '\0';
	if (strlen(text) != (size_t)len) {
		free(text);
		return fail(error, size, -EBADMSG, "%s is broken: it has a NUL byte", path);
	}
	*ret_text = text;
	return 0;
}

/* "NAME ROLE CREATED sha256:HEX" */
static bool parse_token(char *line, struct token *ret_token)
{
	char *rest = line, *name = strsep(&rest, " "), *role = strsep(&rest, " ");
	char *created = strsep(&rest, " "), *hash = rest;
	struct token token = {0};
	struct tm tm = {0};
	size_t len = 0;
	char *end;

	if (!hash || !name_is_good(name))
		return false;
	snprintf(token.name, sizeof(token.name), "%s", name);
	if (!strcmp(role, "staff"))
		token.role = ROLE_STAFF;
	else if (!strcmp(role, "scrape"))
		token.role = ROLE_SCRAPE;
	else
		return false;
	end = strptime(created, TIME_FORMAT, &tm);
	if (!end || *end)
		return false;
	token.created = timegm(&tm);
	if (strncmp(hash, "sha256:", 7) != 0 || strlen(hash + 7) != 2 * TOKEN_HASH_BYTES ||
	    sodium_hex2bin(token.hash, sizeof(token.hash), hash + 7, strlen(hash + 7), NULL, &len,
			   NULL) ||
	    len != TOKEN_HASH_BYTES)
		return false;
	*ret_token = token;
	return true;
}

static struct token *find_name(struct tokens *tokens, const char *name)
{
	for (size_t i = 0; i < tokens->nr; i++)
		if (!strcmp(tokens->of[i].name, name))
			return &tokens->of[i];
	return NULL;
}

/* When they were used is a nicety: a broken file of that is as good as none. */
static void read_used(const char *dir, struct tokens *tokens)
{
	char error[8], *text, *rest, *line, *end;
	struct token *token;
	long long used;

	if (read_text(dir, "tokens.used", &text, error, sizeof(error)) || !text)
		return;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		char *name = strsep(&line, " ");

		used = line ? strtoll(line, &end, 10) : 0;
		token = line && !*end ? find_name(tokens, name) : NULL;
		if (token && used >= token->created)
			token->used = (time_t)used;
	}
	free(text);
}

int tokens_read(const char *dir, struct tokens *ret_tokens, char *ret_error, size_t error_size)
{
	struct tokens tokens = {0};
	char *text, *rest, *line;
	int err = read_text(dir, "tokens", &text, ret_error, error_size), number = 0;

	if (err)
		return err;
	for (rest = text; !err && rest && (line = strsep(&rest, "\n"));) {
		struct token token;

		number++;
		if (!*line || *line == '#')
			continue;
		if (!parse_token(line, &token))
			err = fail(ret_error, error_size, -EBADMSG,
				   "%s/tokens:%d: this is no token; a line is NAME ROLE TIME "
				   "sha256:HEX (delete the line, or the file to lose all tokens)",
				   dir, number);
		else if (find_name(&tokens, token.name))
			err = fail(ret_error, error_size, -EBADMSG,
				   "%s/tokens:%d: there are two tokens of the name %s", dir, number,
				   token.name);
		else if (tokens.nr == TOKENS_MAX)
			err = fail(ret_error, error_size, -EBADMSG,
				   "%s/tokens:%d: there are more than %d tokens", dir, number,
				   TOKENS_MAX);
		else
			tokens.of[tokens.nr++] = token;
	}
	free(text);
	if (err)
		return err;
	read_used(dir, &tokens);
	*ret_tokens = tokens;
	return 0;
}

/* --- writing --- */

/* As new file and rename: a reader sees the old or the new one. It gets the directory's owner. */
static int write_text(const char *dir, const char *name, const char *text, char *error, size_t size)
{
	char path[512], fresh[520];
	struct stat st;
	ssize_t len = (ssize_t)strlen(text);
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	/* what a killed one has left, or anything else that stands there, is not written through */
	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(error, size, -errno, "cannot write %s: %s", fresh, strerror(errno));
	/* only root may, and only root needs to */
	if (!geteuid() && (stat(dir, &st) || fchown(fd, st.st_uid, st.st_gid)))
		err = -errno;
	if (!err && (write(fd, text, (size_t)len) != len || fsync(fd)))
		err = errno ? -errno : -EIO;
	close(fd);
	if (!err && rename(fresh, path))
		err = -errno;
	if (err) {
		unlink(fresh);
		return fail(error, size, err, "cannot write %s: %s", path, strerror(-err));
	}
	return 0;
}

static int write_tokens(const char *dir, const struct tokens *tokens, char *error, size_t size)
{
	char *text = NULL, created[32], hex[2 * TOKEN_HASH_BYTES + 1];
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct tm tm;
	int err;

	if (!out)
		return fail(error, size, -ENOMEM, "out of memory");
	fputs("# Tokens of wsvitals: change with `wsvitals token`.\n", out);
	for (size_t i = 0; i < tokens->nr; i++) {
		const struct token *token = &tokens->of[i];

		gmtime_r(&token->created, &tm);
		strftime(created, sizeof(created), TIME_FORMAT, &tm);
		sodium_bin2hex(hex, sizeof(hex), token->hash, sizeof(token->hash));
		fprintf(out, "%s %s %s sha256:%s\n", token->name, role_key(token->role), created,
			hex);
	}
	if (fclose(out)) {
		free(text);
		return fail(error, size, -ENOMEM, "out of memory");
	}
	err = write_text(dir, "tokens", text, error, size);
	free(text);
	return err;
}

/* Commands wait for each other; the kernel gives the lock back with the descriptor. */
static int lock(const char *dir, char *error, size_t size)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/tokens.lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(error, size, -errno, "cannot open %s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX)) {
		close(fd);
		return fail(error, size, -errno, "cannot lock %s: %s", path, strerror(errno));
	}
	return fd;
}

static int add_locked(const char *dir, const char *name, enum role role, time_t now,
		      const char *secret, char *error, size_t size)
{
	struct tokens tokens;
	struct token *token;
	int err = tokens_read(dir, &tokens, error, size);

	if (err)
		return err;
	if (find_name(&tokens, name))
		return fail(error, size, -EEXIST,
			    "there is a token of the name %s: choose another, or revoke it first",
			    name);
	if (tokens.nr == TOKENS_MAX)
		return fail(error, size, -ENOSPC, "there are %d tokens: revoke one first",
			    TOKENS_MAX);
	token = &tokens.of[tokens.nr++];
	*token = (struct token){.role = role, .created = now};
	snprintf(token->name, sizeof(token->name), "%s", name);
	token_hash(secret, token->hash);
	return write_tokens(dir, &tokens, error, size);
}

int tokens_add(const char *dir, const char *name, enum role role, time_t now,
	       char ret_text[TOKEN_TEXT_SIZE], char *ret_error, size_t error_size)
{
	char secret[TOKEN_TEXT_SIZE];
	int fd, err;

	if (!name_is_good(name))
		return fail(ret_error, error_size, -EINVAL,
			    "a token's name has 1 to %d letters, digits and -_. , not `%.80s'",
			    TOKEN_NAME_SIZE - 1, name);
	fd = lock(dir, ret_error, error_size);
	if (fd < 0)
		return fd;
	token_make(secret);
	err = add_locked(dir, name, role, now, secret, ret_error, error_size);
	close(fd);
	if (!err)
		memcpy(ret_text, secret, sizeof(secret));
	sodium_memzero(secret, sizeof(secret));
	return err;
}

int tokens_revoke(const char *dir, const char *name, char *ret_error, size_t error_size)
{
	int fd = lock(dir, ret_error, error_size), err;
	struct tokens tokens;
	struct token *token;

	if (fd < 0)
		return fd;
	err = tokens_read(dir, &tokens, ret_error, error_size);
	token = err ? NULL : find_name(&tokens, name);
	if (!err && !token)
		err = fail(ret_error, error_size, -ENOENT, "there is no token of the name %.80s",
			   name);
	if (!err && token) {
		memmove(token, token + 1,
			(size_t)(&tokens.of[tokens.nr] - (token + 1)) * sizeof(*token));
		tokens.nr--;
		err = write_tokens(dir, &tokens, ret_error, error_size);
	}
	close(fd);
	return err;
}

int tokens_write_used(const char *dir, const struct tokens *tokens, char *ret_error,
		      size_t error_size)
{
	char text[TOKENS_MAX * (TOKEN_NAME_SIZE + 24)];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < tokens->nr; i++)
		if (tokens->of[i].used)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %lld\n",
						tokens->of[i].name, (long long)tokens->of[i].used);
	return write_text(dir, "tokens.used", text, ret_error, error_size);
}

int token_first(const char *dir, time_t now, char *ret_error, size_t error_size)
{
	char path[512], secret[TOKEN_TEXT_SIZE], line[TOKEN_TEXT_SIZE + 1];
	int err;

	snprintf(path, sizeof(path), "%s/tokens", dir);
	if (!access(path, F_OK))
		return 0;
	err = tokens_add(dir, "first", ROLE_STAFF, now, secret, ret_error, error_size);
	if (!err) {
		snprintf(line, sizeof(line), "%s\n", secret);
		err = write_text(dir, "first-token", line, ret_error, error_size);
	}
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(line, sizeof(line));
	return err;
}

void token_first_done(const char *dir)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/first-token", dir);
	unlink(path);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* token.c: the file of the tokens, what it refuses, and who may change it when. */
#define _GNU_SOURCE
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "scratch.h"
#include "token.h"

#define NOW 1704110400 /* 2024-01-01T12:00:00Z */
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LINE "one staff 2024-01-01T12:00:00Z sha256:" HEX "\n"
#define NO_TOKEN                                                                                   \
	"this is no token; a line is NAME ROLE TIME sha256:HEX (delete the line, or the file to "  \
	"lose all tokens)"

/* A file, and either how many tokens it has, or the line and the words that refuse it. */
struct row {
	const char *sentence;
	const char *text;
	size_t nr;
	unsigned line;
	const char *refused;
};

static const struct row rows[] = {
	{"an empty file has no token", "", .nr = 0},
	{"a token", LINE, .nr = 1},
	{"comments and empty lines are passed over", "# x\n\n" LINE "\n#\n", .nr = 1},
	{"the last line may lack its end", "one staff 2024-01-01T12:00:00Z sha256:" HEX, .nr = 1},
	{"two tokens", LINE "two scrape 1999-12-31T23:59:59Z sha256:" HEX "\n", .nr = 2},
	{"capitals in the hash",
	 "one staff 2024-01-01T12:00:00Z sha256:0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"
	 "0123456789ABCDEF\n",
	 .nr = 1},
	{"a name twice", LINE "# x\n" LINE, .line = 3,
	 .refused = "there are two tokens of the name one"},
	{"a word", "x\n", .line = 1, .refused = NO_TOKEN},
	{"half a line", LINE "two staff 2024-01-01T12:00:00Z", .line = 2, .refused = NO_TOKEN},
	{"an unknown role", "one admin 2024-01-01T12:00:00Z sha256:" HEX "\n", .line = 1,
	 .refused = NO_TOKEN},
	{"a role in capitals", "one STAFF 2024-01-01T12:00:00Z sha256:" HEX "\n", .line = 1,
	 .refused = NO_TOKEN},
	{"no role", "one  2024-01-01T12:00:00Z sha256:" HEX "\n", .line = 1, .refused = NO_TOKEN},
	{"a name with a slash", "o/e staff 2024-01-01T12:00:00Z sha256:" HEX "\n", .line = 1,
	 .refused = NO_TOKEN},
	{"no name", " staff 2024-01-01T12:00:00Z sha256:" HEX "\n", .line = 1, .refused = NO_TOKEN},
	{"no time", "one staff x sha256:" HEX "\n", .line = 1, .refused = NO_TOKEN},
	{"a time with more behind it", "one staff 2024-01-01T12:00:00Zx sha256:" HEX "\n",
	 .line = 1, .refused = NO_TOKEN},
	{"another hash", "one staff 2024-01-01T12:00:00Z md5:" HEX "\n", .line = 1,
	 .refused = NO_TOKEN},
	{"a hash too short", "one staff 2024-01-01T12:00:00Z sha256:0123\n", .line = 1,
	 .refused = NO_TOKEN},
	{"a hash too long", "one staff 2024-01-01T12:00:00Z sha256:" HEX "00\n", .line = 1,
	 .refused = NO_TOKEN},
	{"a hash that is not hex",
	 "one staff 2024-01-01T12:00:00Z sha256:x123456789abcdef0123456789abcdef0123456789abcdef"
	 "0123456789abcdef\n",
	 .line = 1, .refused = NO_TOKEN},
	{"a word behind the hash", "one staff 2024-01-01T12:00:00Z sha256:" HEX " x\n", .line = 1,
	 .refused = NO_TOKEN},
	{"lines of another system", "one staff 2024-01-01T12:00:00Z sha256:" HEX "\r\n", .line = 1,
	 .refused = NO_TOKEN},
};

static void check_row(void **state)
{
	const struct row *row = *state;
	struct scratch s;
	struct tokens tokens = {.nr = 77};
	char error[512] = "", wanted[512];
	int err;

	scratch_new(&s);
	scratch_write(&s, "tokens", row->text);
	err = tokens_read(s.dir, &tokens, error, sizeof(error));
	if (row->refused) {
		snprintf(wanted, sizeof(wanted), "%s/tokens:%u: %s", s.dir, row->line,
			 row->refused);
		assert_int_equal(err, -EBADMSG);
		assert_string_equal(error, wanted);
		assert_int_equal(tokens.nr, 77); /* untouched */
	} else {
		assert_int_equal(err, 0);
		assert_int_equal(tokens.nr, row->nr);
	}
	scratch_free(&s);
}

static void all_members_are_read(void **state)
{
	struct scratch s;
	struct tokens tokens;
	char error[512];

	(void)state;
	scratch_new(&s);
	scratch_write(&s, "tokens", LINE "two scrape 1999-12-31T23:59:59Z sha256:" HEX "\n");
	scratch_write(&s, "tokens.used", "two 946684900\nnobody 5\none 3\nx\ntwo y\n");
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	assert_string_equal(tokens.of[0].name, "one");
	assert_int_equal(tokens.of[0].role, ROLE_STAFF);
	assert_int_equal(tokens.of[0].created, NOW);
	assert_int_equal(tokens.of[0].used,
			 0); /* before it was made: a token of that name before */
	assert_int_equal(tokens.of[0].hash[1], 0x23);
	assert_int_equal(tokens.of[1].role, ROLE_SCRAPE);
	assert_int_equal(tokens.of[1].created, 946684799);
	assert_int_equal(tokens.of[1].used, 946684900);
	scratch_free(&s);
}

static void no_file_is_no_token(void **state)
{
	struct scratch s;
	struct tokens tokens = {.nr = 77};
	char error[512];

	(void)state;
	scratch_new(&s);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens.nr, 0);
	scratch_free(&s);
}

static void a_file_that_is_no_text(void **state)
{
	static const char nul[] = LINE "\0" LINE;
	static char big[70000];
	struct scratch s;
	struct tokens tokens;
	char error[512];

	(void)state;
	scratch_new(&s);
	scratch_write_bytes(&s, "tokens", nul, sizeof(nul) - 1);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), -EBADMSG);
	assert_non_null(strstr(error, "is broken: it has a NUL byte"));
	memset(big, '#', sizeof(big));
	scratch_write_bytes(&s, "tokens", big, sizeof(big));
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), -EBADMSG);
	assert_non_null(strstr(error, "is longer than 65535 bytes"));
	unlink(scratch_path(&s, "tokens"));
	assert_int_equal(mkdir(scratch_path(&s, "tokens"), 0700), 0);
	assert_true(tokens_read(s.dir, &tokens, error, sizeof(error)) < 0);
	scratch_free(&s);
}

/* The agent's user owns the directory, and root reads there. */
static void what_is_no_file_is_refused(void **state)
{
	struct scratch s;
	struct tokens tokens;
	char error[512], target[320], secret[TOKEN_TEXT_SIZE];

	(void)state;
	scratch_new(&s);
	scratch_write(&s, "elsewhere", LINE);
	strcpy(target, s.path);
	assert_int_equal(symlink(target, scratch_path(&s, "tokens")), 0);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), -ELOOP);
	assert_int_equal(tokens_add(s.dir, "x", ROLE_STAFF, NOW, secret, error, sizeof(error)),
			 -ELOOP);
	assert_string_equal(scratch_read(&s, "elsewhere"), LINE);

	/* a pipe would let root wait for ever */
	unlink(scratch_path(&s, "tokens"));
	assert_int_equal(mkfifo(scratch_path(&s, "tokens"), 0600), 0);
	alarm(10);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	alarm(0);
	scratch_free(&s);
}

static void nothing_is_written_through(void **state)
{
	struct scratch s;
	char error[512], target[320], secret[TOKEN_TEXT_SIZE];

	(void)state;
	scratch_new(&s);
	scratch_write(&s, "victim", "precious");
	strcpy(target, s.path);
	assert_int_equal(symlink(target, scratch_path(&s, "tokens.new")), 0);
	assert_int_equal(tokens_add(s.dir, "a", ROLE_STAFF, NOW, secret, error, sizeof(error)), 0);
	assert_int_equal(link(target, scratch_path(&s, "tokens.new")), 0);
	assert_int_equal(tokens_add(s.dir, "b", ROLE_STAFF, NOW, secret, error, sizeof(error)), 0);
	assert_int_equal(mkfifo(scratch_path(&s, "tokens.new"), 0666), 0);
	alarm(10);
	assert_int_equal(tokens_add(s.dir, "c", ROLE_STAFF, NOW, secret, error, sizeof(error)), 0);
	alarm(0);
	assert_string_equal(scratch_read(&s, "victim"), "precious");
	assert_int_equal(scratch_mode(&s, "tokens"), 0600);
	unlink(scratch_path(&s, "tokens.lock"));
	assert_int_equal(symlink(target, scratch_path(&s, "tokens.lock")), 0);
	assert_int_equal(tokens_add(s.dir, "d", ROLE_STAFF, NOW, secret, error, sizeof(error)),
			 -ELOOP);
	scratch_free(&s);
}

static void added_listed_revoked(void **state)
{
	char error[512], staff[TOKEN_TEXT_SIZE], scrape[TOKEN_TEXT_SIZE];
	uint8_t hash[TOKEN_HASH_BYTES];
	struct scratch s;
	struct tokens tokens;

	(void)state;
	scratch_new(&s);
	assert_int_equal(tokens_add(s.dir, "ops", ROLE_STAFF, NOW, staff, error, sizeof(error)), 0);
	assert_int_equal(tokens_add(s.dir, "prom", ROLE_SCRAPE, NOW, scrape, error, sizeof(error)),
			 0);
	assert_int_equal(strlen(staff), TOKEN_TEXT_SIZE - 1);
	assert_int_equal(strncmp(staff, "wsv_", 4), 0);
	assert_int_equal(strspn(staff, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789-_"),
			 strlen(staff));
	assert_string_not_equal(staff, scrape);
	assert_null(strstr(scratch_read(&s, "tokens"), staff));
	assert_null(strstr(scratch_read(&s, "tokens"), staff + 4));
	assert_int_equal(scratch_mode(&s, "tokens"), 0600);
	assert_int_equal(scratch_mode(&s, "tokens.lock"), 0600);
	assert_int_equal(scratch_files(&s), 2);

	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens.nr, 2);
	token_hash(scrape, hash);
	assert_ptr_equal(tokens_find(&tokens, hash), &tokens.of[1]);
	assert_string_equal(tokens.of[1].name, "prom");
	assert_int_equal(tokens.of[1].role, ROLE_SCRAPE);
	assert_int_equal(tokens.of[1].created, NOW);
	hash[31] ^= 1;
	assert_null(tokens_find(&tokens, hash));

	assert_int_equal(tokens_revoke(s.dir, "ops", error, sizeof(error)), 0);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens.nr, 1);
	assert_string_equal(tokens.of[0].name, "prom");
	assert_int_equal(tokens_revoke(s.dir, "ops", error, sizeof(error)), -ENOENT);
	assert_string_equal(error, "there is no token of the name ops");
	assert_int_equal(tokens_revoke(s.dir, "prom", error, sizeof(error)), 0);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens.nr, 0);
	scratch_free(&s);
}

static void names(void **state)
{
	static const char *const bad[] = {"",
					  " ",
					  "a b",
					  "a/b",
					  "a\nb",
					  "ü",
					  "a#",
					  "../x",
					  "a234567890123456789012345678901234567890123456789012345"
					  "6789012345"};
	static const char *const good[] = {"a", "-", "A.b_c-9",
					   "a2345678901234567890123456789012345678901234567890123"
					   "45678901234"};
	char error[512], secret[TOKEN_TEXT_SIZE] = "untouched";
	struct scratch s;

	(void)state;
	scratch_new(&s);
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(
			tokens_add(s.dir, bad[i], ROLE_STAFF, NOW, secret, error, sizeof(error)),
			-EINVAL);
		assert_non_null(
			strstr(error, "a token's name has 1 to 64 letters, digits and -_. "));
	}
	assert_string_equal(secret, "untouched");
	assert_int_equal(scratch_files(&s), 0);
	for (size_t i = 0; i < COUNT(good); i++)
		assert_int_equal(
			tokens_add(s.dir, good[i], ROLE_STAFF, NOW, secret, error, sizeof(error)),
			0);
	assert_int_equal(tokens_add(s.dir, "a", ROLE_SCRAPE, NOW, secret, error, sizeof(error)),
			 -EEXIST);
	assert_string_equal(error, "there is a token of the name a: choose another, or revoke it "
				   "first");
	scratch_free(&s);
}

static void as_many_as_there_may_be(void **state)
{
	char error[512], secret[TOKEN_TEXT_SIZE], name[16];
	struct scratch s;
	struct tokens tokens;
	FILE *file;

	(void)state;
	scratch_new(&s);
	file = fopen(scratch_path(&s, "tokens"), "we");
	for (int i = 0; i < TOKENS_MAX; i++)
		fprintf(file, "t%d staff 2024-01-01T12:00:00Z sha256:" HEX "\n", i);
	fclose(file);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens.nr, TOKENS_MAX);
	assert_int_equal(tokens_add(s.dir, "x", ROLE_STAFF, NOW, secret, error, sizeof(error)),
			 -ENOSPC);
	assert_string_equal(error, "there are 128 tokens: revoke one first");
	for (size_t i = 0; i < tokens.nr; i++)
		tokens.of[i].used = NOW + (time_t)i;
	assert_int_equal(tokens_write_used(s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens.of[TOKENS_MAX - 1].used, NOW + TOKENS_MAX - 1);
	assert_int_equal(scratch_mode(&s, "tokens.used"), 0600);

	file = fopen(scratch_path(&s, "tokens"), "ae");
	snprintf(name, sizeof(name), "t%d", TOKENS_MAX);
	fprintf(file, "%s staff 2024-01-01T12:00:00Z sha256:" HEX "\n", name);
	fclose(file);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), -EBADMSG);
	assert_non_null(strstr(error, "/tokens:129: there are more than 128 tokens"));
	scratch_free(&s);
}

static void a_broken_file_is_not_overwritten(void **state)
{
	char error[512], secret[TOKEN_TEXT_SIZE];
	struct scratch s;

	(void)state;
	scratch_new(&s);
	scratch_write(&s, "tokens", LINE "garbage\n");
	assert_int_equal(tokens_add(s.dir, "x", ROLE_STAFF, NOW, secret, error, sizeof(error)),
			 -EBADMSG);
	assert_int_equal(tokens_revoke(s.dir, "one", error, sizeof(error)), -EBADMSG);
	assert_string_equal(scratch_read(&s, "tokens"), LINE "garbage\n");
	scratch_free(&s);
}

static void a_directory_that_cannot_be_written(void **state)
{
	char error[512], secret[TOKEN_TEXT_SIZE];

	(void)state;
	assert_int_equal(
		tokens_add("/nonexistent/x", "x", ROLE_STAFF, NOW, secret, error, sizeof(error)),
		-ENOENT);
	assert_string_equal(error, "cannot open /nonexistent/x/tokens.lock: No such file or "
				   "directory");
}

/* Eight processes add ten tokens each, while this one reads: always a whole file, nobody lost. */
static void commands_at_the_same_time(void **state)
{
	char error[512], secret[TOKEN_TEXT_SIZE], name[16];
	struct scratch s;
	struct tokens tokens;
	int status, left = 8;

	(void)state;
	scratch_new(&s);
	for (int i = 0; i < 8; i++) {
		if (fork())
			continue;
		for (int k = 0; k < 10; k++) {
			snprintf(name, sizeof(name), "t%d-%d", i, k);
			if (tokens_add(s.dir, name, ROLE_STAFF, NOW, secret, error, sizeof(error)))
				_exit(1);
		}
		_exit(0);
	}
	while (left) {
		assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
		if (waitpid(-1, &status, WNOHANG) <= 0)
			continue;
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
		left--;
	}
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens.nr, 80);
	scratch_free(&s);
}

static void the_first_token(void **state)
{
	char error[512], secret[TOKEN_TEXT_SIZE] = "";
	uint8_t hash[TOKEN_HASH_BYTES];
	struct scratch s;
	struct tokens tokens;

	(void)state;
	scratch_new(&s);
	assert_int_equal(token_first(s.dir, NOW, error, sizeof(error)), 0);
	assert_int_equal(scratch_mode(&s, "first-token"), 0600);
	assert_int_equal(strlen(scratch_read(&s, "first-token")), TOKEN_TEXT_SIZE);
	assert_int_equal(s.text[TOKEN_TEXT_SIZE - 1], '\n');
	memcpy(secret, s.text, TOKEN_TEXT_SIZE - 1);
	assert_int_equal(tokens_read(s.dir, &tokens, error, sizeof(error)), 0);
	token_hash(secret, hash);
	assert_non_null(tokens_find(&tokens, hash));
	assert_string_equal(tokens.of[0].name, "first");
	assert_int_equal(tokens.of[0].role, ROLE_STAFF);

	/* a second start makes no other */
	assert_int_equal(token_first(s.dir, NOW, error, sizeof(error)), 0);
	assert_int_equal(strncmp(scratch_read(&s, "first-token"), secret, strlen(secret)), 0);
	token_first_done(s.dir);
	assert_null(scratch_read(&s, "first-token"));
	assert_int_equal(token_first(s.dir, NOW, error, sizeof(error)), 0);
	assert_null(scratch_read(&s, "first-token"));
	scratch_free(&s);
}

static void secrets_are_as_long_as_they_say(void **state)
{
	char text[64][TOKEN_TEXT_SIZE];
	uint8_t seen[32] = {0}, secret[32];

	(void)state;
	for (int i = 0; i < 64; i++) {
		size_t len = 0;

		token_make(text[i]);
		assert_int_equal(sodium_base642bin(secret, sizeof(secret), text[i] + 4,
						   strlen(text[i] + 4), NULL, &len, NULL,
						   sodium_base64_VARIANT_URLSAFE_NO_PADDING),
				 0);
		assert_int_equal(len, 32);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(text[i], text[k]);
		for (size_t k = 0; k < sizeof(seen); k++)
			seen[k] |= secret[k];
	}
	for (size_t k = 0; k < sizeof(seen); k++)
		assert_int_equal(seen[k], 0xff); /* no bit is always 0 */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("every member of a token is read", all_members_are_read),
		SENTENCE("no file is no token", no_file_is_no_token),
		SENTENCE("NUL bytes, endless files and directories are refused",
			 a_file_that_is_no_text),
		SENTENCE("a symbolic link is refused, a pipe is not waited for",
			 what_is_no_file_is_refused),
		SENTENCE("nothing is written through links", nothing_is_written_through),
		SENTENCE("tokens are added, listed, revoked, and only their hash is kept",
			 added_listed_revoked),
		SENTENCE("names", names),
		SENTENCE("as many as there may be", as_many_as_there_may_be),
		SENTENCE("a broken file is not overwritten", a_broken_file_is_not_overwritten),
		SENTENCE("a directory that cannot be written", a_directory_that_cannot_be_written),
		SENTENCE("commands at the same time", commands_at_the_same_time),
		SENTENCE("the first token is kept until it was used", the_first_token),
		SENTENCE("secrets have 256 bits", secrets_are_as_long_as_they_say),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("token", check_row, rows, sizeof(rows[0]), COUNT(rows), tests,
			 COUNT(tests));
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* wsvitals token: adds, lists and revokes access tokens. A running agent sees the change at once. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "log.h"
#include "options.h"
#include "token.h"

#define GROUPS (OPTIONS_PLACES | OPTIONS_ROLE | 2 * OPTIONS_WORD)

static const char usage[] = "give `token add NAME [--role staff|scrape]', `token list' or "
			    "`token revoke NAME'";

static int add(const char *dir, const struct options *options)
{
	enum role role = options->role && !strcmp(options->role, "scrape") ? ROLE_SCRAPE
									   : ROLE_STAFF;
	char secret[TOKEN_TEXT_SIZE], error[512];

	if (tokens_add(dir, options->words[1], role, time(NULL), secret, error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_FAILED;
	}
	log_info("this is the only time that the token %s is shown:", options->words[1]);
	puts(secret);
	sodium_memzero(secret, sizeof(secret));
	return EXIT_OK;
}

static int revoke(const char *dir, const struct options *options)
{
	char error[512];

	if (tokens_revoke(dir, options->words[1], error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_FAILED;
	}
	log_info("the token %s and its sessions are revoked", options->words[1]);
	return EXIT_OK;
}

static void print_time(time_t at, const char *none)
{
	char text[32];
	struct tm tm;

	if (!at || !gmtime_r(&at, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm))
		snprintf(text, sizeof(text), "%s", none);
	printf("  %-20s", text);
}

static int list(const char *dir)
{
	struct tokens tokens;
	char error[512];

	if (tokens_read(dir, &tokens, error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_FAILED;
	}
	printf("%-24s  %-6s  %-20s  %s\n", "NAME", "ROLE", "CREATED", "LAST USED");
	for (size_t i = 0; i < tokens.nr; i++) {
		printf("%-24s  %-6s", tokens.of[i].name, role_key(tokens.of[i].role));
		print_time(tokens.of[i].created, "-");
		print_time(tokens.of[i].used, "never");
		putchar('\n');
	}
	return EXIT_OK;
}

int cli_token(int argc, char **argv)
{
	struct settings settings;
	struct options options;
	const char *dir, *word;
	char error[512];

	if (options_parse(argc, argv, GROUPS, &options, error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	if (options.help) {
		printf("wsvitals token: %s\n\nOptions:\n", usage);
		options_describe(GROUPS);
		return EXIT_OK;
	}
	if (options_settings(&options, &settings, error, sizeof(error)) || sodium_init() < 0) {
		log_error("%s", error);
		return EXIT_FAILED;
	}
	dir = settings_text(&settings, SETTING_DB);
	word = options.nr_words ? options.words[0] : "";
	if (!strcmp(word, "add") && options.nr_words == 2)
		return add(dir, &options);
	if (!strcmp(word, "revoke") && options.nr_words == 2)
		return revoke(dir, &options);
	if (!strcmp(word, "list") && options.nr_words == 1)
		return list(dir);
	log_error("%s", usage);
	return EXIT_USAGE;
}

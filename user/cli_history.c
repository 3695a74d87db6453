// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * wsvitals history, connections, errors, compare: history from the running agent, over its local
 * socket. It prints what the agent answers: a table, or the API's JSON or CSV.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "log.h"
#include "options.h"

#define PATH_SIZE 4096
#define PLAIN_WIDTH 132
#define HOUR_S 3600
#define DAY_S 86400

/* A path with its query, in the making. */
struct path {
	char text[PATH_SIZE];
	size_t len;
};

/* Every byte but the unreserved ones of RFC 3986 2.3 is escaped. */
static void add(struct path *path, const char *key, const char *value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_.~";

	if (!value)
		return;
	path->len += (size_t)snprintf(path->text + path->len, PATH_SIZE - path->len,
				      "%c%s=", strchr(path->text, '?') ? '&' : '?', key);
	for (; *value && path->len + 4 < PATH_SIZE; value++)
		path->len += (size_t)snprintf(path->text + path->len, PATH_SIZE - path->len,
					      strchr(plain, *value) ? "%c" : "%%%02X",
					      (unsigned char)*value);
}

static void add_number(struct path *path, const char *key, unsigned number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	if (number)
		add(path, key, text);
}

static void begin(struct path *path, const char *api, const char *local,
		  const struct options *options)
{
	bool table = options->output == OUTPUT_NONE || options->output == OUTPUT_TABLE;
	struct winsize size = {0};

	path->len = (size_t)snprintf(path->text, sizeof(path->text), "%s", table ? local : api);
	add(path, "server", options->server);
	add(path, "channel", options->channel);
	add(path, "user", options->user);
	add(path, "search", options->search);
	add_number(path, "limit", options->limit);
	add_number(path, "hours", options->hours);
	if (!table) {
		add(path, "format", options->output == OUTPUT_CSV ? "csv" : "json");
		return;
	}
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20 || size.ws_col > 1000) {
		add_number(path, "width", PLAIN_WIDTH);
	} else {
		add_number(path, "width", size.ws_col);
		add(path, "bold", "1");
	}
}

static int ask(const struct options *options, const struct path *path)
{
	struct client_answer answer;
	struct settings settings;
	char error[512];

	options_places(options, &settings);
	if (client_copy(settings_text(&settings, SETTING_RUN_DIR), path->text, stdout, &answer,
			error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_FAILED;
	}
	if (answer.status != 200)
		log_error("the agent answers %ld: %s", answer.status, answer.body);
	free(answer.body);
	return answer.status != 200 || fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
}

/* False: said, and *ret_status. */
static bool parse(int argc, char **argv, unsigned groups, const char *help,
		  struct options *ret_options, int *ret_status)
{
	char error[512];

	if (options_parse(argc, argv, groups, ret_options, error, sizeof(error))) {
		log_error("%s", error);
		*ret_status = EXIT_USAGE;
		return false;
	}
	if (ret_options->help) {
		printf("%s\n\nOptions:\n", help);
		options_describe(groups);
		*ret_status = EXIT_OK;
		return false;
	}
	return true;
}

int cli_history(int argc, char **argv)
{
	struct options options;
	struct path path;
	int status;

	if (!parse(argc, argv, OPTIONS_PLACES | OPTIONS_HISTORY | OPTIONS_HOURS | OPTIONS_USER,
		   "wsvitals history: what was counted, over time\n\nExamples:\n"
		   "  sudo wsvitals history --hours 6\n"
		   "  sudo wsvitals history --channel /chat --csv >chat.csv",
		   &options, &status))
		return status;
	begin(&path, "/api/websocket/metrics/history/", "/local/history", &options);
	return ask(&options, &path);
}

int cli_connections(int argc, char **argv)
{
	struct options options;
	struct path path;
	int status;

	if (!parse(argc, argv,
		   OPTIONS_PLACES | OPTIONS_HISTORY | OPTIONS_HOURS | OPTIONS_USER | OPTIONS_ROWS,
		   "wsvitals connections: those that are open, then those that have closed, newest "
		   "first\n\nExamples:\n"
		   "  sudo wsvitals connections --channel /chat --limit 20\n"
		   "  sudo wsvitals connections --hours 168 --csv >week.csv",
		   &options, &status))
		return status;
	begin(&path, "/api/websocket/connections/", "/local/connections", &options);
	return ask(&options, &path);
}

int cli_errors(int argc, char **argv)
{
	struct options options;
	struct path path;
	int status;

	if (!parse(argc, argv,
		   OPTIONS_PLACES | OPTIONS_HISTORY | OPTIONS_HOURS | OPTIONS_USER | OPTIONS_ROWS,
		   "wsvitals errors: newest first\n\nExamples:\n"
		   "  sudo wsvitals errors --hours 1\n"
		   "  sudo wsvitals errors --search reset_by_peer --json",
		   &options, &status))
		return status;
	begin(&path, "/api/websocket/errors/", "/local/errors", &options);
	return ask(&options, &path);
}

static void add_period(struct path *path, const char *key, long long from_s, long long to_s)
{
	char text[64];

	snprintf(text, sizeof(text), "%lld/%lld", from_s, to_s);
	add(path, key, text);
}

int cli_compare(int argc, char **argv)
{
	long long now_s = (long long)time(NULL);
	struct options options;
	struct path path;
	int status;

	if (!parse(argc, argv, OPTIONS_PLACES | OPTIONS_HISTORY | 2 * OPTIONS_WORD,
		   "wsvitals compare [FIRST SECOND]: two periods side by side; without any, the "
		   "last hour and the same\nhour a day ago. A period is FROM/TO, each seconds "
		   "since "
		   "1970 or a time in UTC\n\nExamples:\n"
		   "  sudo wsvitals compare\n"
		   "  sudo wsvitals compare 2026-11-18T14:00Z/2026-11-18T15:00Z "
		   "2026-11-25T14:00Z/2026-11-25T15:00Z",
		   &options, &status))
		return status;
	if (options.nr_words == 1) {
		log_error("compare takes two periods, FROM/TO each, or none");
		return EXIT_USAGE;
	}
	begin(&path, "/api/websocket/compare/", "/local/compare", &options);
	if (options.nr_words) {
		add(&path, "a", options.words[0]);
		add(&path, "b", options.words[1]);
	} else {
		add_period(&path, "a", now_s - DAY_S - HOUR_S, now_s - DAY_S);
		add_period(&path, "b", now_s - HOUR_S, now_s);
	}
	return ask(&options, &path);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* wsvitals reload, reset, config: commands to the running agent, over its local socket. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "log.h"
#include "options.h"

#define PLACES (OPTIONS_PLACES)

/* The options of a command and the configuration they lead to; false: said, and *ret_status. */
static bool begin(int argc, char **argv, unsigned groups, const char *help,
		  struct options *ret_options, struct settings *ret_settings, int *ret_status)
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
	options_places(ret_options, ret_settings);
	return true;
}

/* Asks the agent and prints what it says: to stdout when it did as asked, else to stderr. */
static int command(const struct settings *settings, bool post, const char *path)
{
	struct client_answer answer;
	char error[512];
	int status = EXIT_FAILED;

	if (client_ask(settings_text(settings, SETTING_RUN_DIR), post, path, &answer, error,
		       sizeof(error))) {
		log_error("%s", error);
		return EXIT_FAILED;
	}
	if (answer.status == 200) {
		fputs(answer.body, stdout);
		status = fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
	} else {
		answer.body[strcspn(answer.body, "\n")] = '\0';
		log_error("%s", answer.body);
	}
	free(answer.body);
	return status;
}

int cli_reload(int argc, char **argv)
{
	struct settings settings;
	struct options options;
	int status;

	if (!begin(argc, argv, PLACES,
		   "wsvitals reload: the running agent reads its configuration again; a bad one is "
		   "refused",
		   &options, &settings, &status))
		return status;
	return command(&settings, true, "/local/reload");
}

/* A person is asked; a script has to say --yes. */
static bool confirmed(const struct options *options)
{
	char answer[16];

	if (options->yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		log_error("reset asks before it zeroes counters, and nobody is there to answer: "
			  "give --yes");
		return false;
	}
	fputs("Zero all counters of the running agent? [y/N] ", stderr);
	if (fgets(answer, sizeof(answer), stdin) &&
	    (!strcasecmp(answer, "y\n") || !strcasecmp(answer, "yes\n")))
		return true;
	log_info("nothing was changed");
	return false;
}

int cli_reset(int argc, char **argv)
{
	struct settings settings;
	struct options options;
	int status;

	if (!begin(argc, argv, PLACES | OPTIONS_YES,
		   "wsvitals reset: all counters of the running agent become 0, after a question",
		   &options, &settings, &status))
		return status;
	return confirmed(&options) ? command(&settings, true, "/local/reset") : EXIT_FAILED;
}

int cli_config(int argc, char **argv)
{
	struct client_answer answer;
	struct settings settings;
	struct options options;
	char error[512];
	int status, err;

	if (!begin(argc, argv, PLACES,
		   "wsvitals config: the values in force, and where each came from", &options,
		   &settings, &status))
		return status;
	err = client_ask(settings_text(&settings, SETTING_RUN_DIR), false, "/local/config", &answer,
			 error, sizeof(error));
	if (err && err != -ENOENT) {
		log_error("%s", error);
		return EXIT_FAILED;
	}
	if (err) {
		/* begin() has said what is wrong with it */
		if (options_settings(&options, &settings, error, sizeof(error)))
			return EXIT_FAILED;
		log_info("no agent runs here: these are the values that one would start with");
		settings_print(stdout, &settings);
		return EXIT_OK;
	}
	fputs(answer.body, stdout);
	free(answer.body);
	return EXIT_OK;
}

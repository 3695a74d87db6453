// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* wsvitals version: of both sides */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "client.h"
#include "log.h"
#include "options.h"

int cli_version(int argc, char **argv)
{
	struct client_answer answer;
	struct settings settings;
	struct options options;
	char error[512];
	int err;

	if (options_parse(argc, argv, OPTIONS_PLACES, &options, error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	if (options.help) {
		printf("wsvitals version: of this program, and of the running agent\n\nOptions:\n");
		options_describe(OPTIONS_PLACES);
		return EXIT_OK;
	}
	printf("wsvitals %s\n", WSVITALS_VERSION);
	options_places(&options, &settings);
	/* What this program is does not depend on whether an agent can be asked. */
	err = client_ask(settings_text(&settings, SETTING_RUN_DIR), false, "/local/version",
			 &answer, error, sizeof(error));
	if (err) {
		printf("agent    %s\n", err == -ENOENT ? "none runs here" : "cannot be asked");
		return EXIT_OK;
	}
	printf("agent    %s", answer.body);
	free(answer.body);
	return EXIT_OK;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* wsvitals version */
#include <stdio.h>

#include "cli.h"
#include "log.h"
#include "options.h"

int cli_version(int argc, char **argv)
{
	struct options options;
	char error[256];

	if (options_parse(argc, argv, 0, &options, error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	printf("wsvitals %s\n", WSVITALS_VERSION);
	return EXIT_OK;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The command line of a command: a table of options, each with the kind of value it takes and where
 * the value goes. Adding an option is adding a row.
 */
#ifndef WSVITALS_OPTIONS_H
#define WSVITALS_OPTIONS_H

#include <stdbool.h>

#include "scope.h"

/* Exit statuses, SPEC 6. */
enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum output { OUTPUT_NONE, OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_PROMETHEUS };

struct options {
	struct scope scope;
	bool has_scope;
	double seconds; /* --for; 0 = not given */
	enum output output;
	bool help;
};

/* Which groups of options a command takes. */
enum option_group { OPTIONS_SCOPE = 1, OPTIONS_FOR = 2, OPTIONS_OUTPUT = 4 };

/*
 * Parses argv[1..]; argv[0] is the command's name. On bad input writes one sentence into ret_error
 * (the bad input and the accepted form) and returns -EINVAL. Strings of argv are borrowed.
 */
int options_parse(int argc, char **argv, unsigned groups, struct options *ret_options,
		  char *ret_error, size_t error_size);

/* Descriptions of the options of these groups, to stdout. */
void options_describe(unsigned groups);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The command line of a command: a table of options, each with the kind of value it takes and where
 * the value goes. Adding an option is adding a row.
 */
#ifndef WSVITALS_OPTIONS_H
#define WSVITALS_OPTIONS_H

#include <stdbool.h>

#include "scope.h"
#include "settings.h"

/* Exit statuses, SPEC 6. */
enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum output { OUTPUT_NONE, OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_PROMETHEUS, OUTPUT_CSV };

#define OPTIONS_MAX_WORDS 3

struct options {
	struct scope scope;
	bool has_scope;
	double seconds; /* --for; 0 = not given */
	enum output output;
	const char *config;    /* --config; NULL = not given */
	struct settings flags; /* keys of [agent] that were given as flags */
	const char *role;      /* --role; NULL = not given */
	unsigned hours;        /* --hours; 0 = not given, as the next */
	unsigned limit;        /* --limit */
	/* What is asked of history; NULL = not given. */
	const char *server, *channel, *user, *search;
	bool yes;
	bool help;
	const char *words[OPTIONS_MAX_WORDS]; /* arguments that are no options */
	unsigned nr_words;
};

/* Which groups of options a command takes; n * OPTIONS_WORD: and up to n other arguments. */
enum option_group {
	OPTIONS_SCOPE = 1,
	OPTIONS_FOR = 2,
	OPTIONS_OUTPUT = 4,
	OPTIONS_SETTINGS = 8, /* every key of [agent], and --config */
	OPTIONS_PLACES = 16,  /* --config, --db, --run-dir: where the agent's things are */
	OPTIONS_ROLE = 32,
	OPTIONS_YES = 64,
	OPTIONS_HISTORY = 128, /* --json, --csv, --server, --channel */
	OPTIONS_WORD = 256,
	OPTIONS_HOURS = 1024,
	OPTIONS_USER = 2048,
	OPTIONS_ROWS = 4096, /* --search, --limit */
};

/*
 * Parses argv[1..]; argv[0] is the command's name. On bad input writes one sentence into ret_error
 * (the bad input and the accepted form) and returns -EINVAL. Strings of argv are borrowed.
 */
int options_parse(int argc, char **argv, unsigned groups, struct options *ret_options,
		  char *ret_error, size_t error_size);

/* The configuration with these flags over it; 0, or a negative errno with one sentence. */
int options_settings(const struct options *options, struct settings *ret_settings, char *ret_error,
		     size_t error_size);

/*
 * The same for commands that only look for the running agent: it runs on even when the configuration
 * cannot be read any more, so that is said, and the flags and defaults are used.
 */
void options_places(const struct options *options, struct settings *ret_settings);

/* Descriptions of the options of these groups, to stdout. */
void options_describe(unsigned groups);

#endif

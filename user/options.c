// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* See options.h. Our own loop over a table instead of getopt_long, whose messages go to stderr by
 * themselves and do not name the accepted form. */
#define _GNU_SOURCE
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX (366.0 * 86400)

struct parse {
	struct options *options;
	const char *name;
	char *error;
	size_t error_size;
};

typedef int (*value_fn)(struct parse *parse, const char *value);

__attribute__((format(printf, 2, 3))) static int refuse(struct parse *parse, const char *format,
							...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(parse->error, parse->error_size, format, args);
	va_end(args);
	return -EINVAL;
}

static int add_scope(struct parse *parse, enum scope_kind kind, const char *value)
{
	return scope_add(&parse->options->scope, kind, parse->name, value, parse->error,
			 parse->error_size);
}

static int add_ports(struct parse *parse, const char *value)
{
	return add_scope(parse, SCOPE_PORT, value);
}

static int add_pid(struct parse *parse, const char *value)
{
	return add_scope(parse, SCOPE_PID, value);
}

static int add_comm(struct parse *parse, const char *value)
{
	return add_scope(parse, SCOPE_COMM, value);
}

static int add_cgroup(struct parse *parse, const char *value)
{
	return add_scope(parse, SCOPE_CGROUP, value);
}

static int add_netns(struct parse *parse, const char *value)
{
	return add_scope(parse, SCOPE_NETNS, value);
}

static int set_seconds(struct parse *parse, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	/* strtod also takes blanks, signs, exponents, hexadecimal and words. */
	if (value[strspn(value, "0123456789.")] || end == value || *end || seconds <= 0 ||
	    seconds > SECONDS_MAX)
		return refuse(parse, "%s takes seconds, more than 0 and at most %.0f, not `%s'",
			      parse->name, SECONDS_MAX, value);
	parse->options->seconds = seconds;
	return 0;
}

static int set_output(struct parse *parse, enum output output)
{
	if (parse->options->output != OUTPUT_NONE && parse->options->output != output)
		return refuse(parse, "give only one of --table, --json and --prometheus");
	parse->options->output = output;
	return 0;
}

static int set_table(struct parse *parse, const char *value)
{
	(void)value;
	return set_output(parse, OUTPUT_TABLE);
}

static int set_json(struct parse *parse, const char *value)
{
	(void)value;
	return set_output(parse, OUTPUT_JSON);
}

static int set_prometheus(struct parse *parse, const char *value)
{
	(void)value;
	return set_output(parse, OUTPUT_PROMETHEUS);
}

static int set_help(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->help = true;
	return 0;
}

static const struct option_row {
	unsigned group; /* 0: every command */
	const char *name;
	const char *value; /* NULL: takes none */
	value_fn set;
	const char *text;
} rows[] = {
	{OPTIONS_FOR, "--for", "SECONDS", set_seconds,
	 "count for so long, stand-alone, then print"},
	{OPTIONS_SCOPE, "--port", "N[,N]", add_ports, "only servers that listen on these ports"},
	{OPTIONS_SCOPE, "--pid", "N", add_pid, "only this process and its descendants"},
	{OPTIONS_SCOPE, "--comm", "NAME", add_comm, "only processes of this name"},
	{OPTIONS_SCOPE, "--cgroup", "PATH", add_cgroup,
	 "only processes in this cgroup (v2) or below"},
	{OPTIONS_SCOPE, "--netns", "PATH", add_netns, "only sockets of this network namespace"},
	{OPTIONS_OUTPUT, "--table", NULL, set_table, "for people (default)"},
	{OPTIONS_OUTPUT, "--json", NULL, set_json, "the answer of /api/websocket/metrics/"},
	{OPTIONS_OUTPUT, "--prometheus", NULL, set_prometheus, "Prometheus text format"},
	{0, "--help", NULL, set_help, "this text"},
};

static const struct option_row *find(const char *name, size_t len, unsigned groups)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len) &&
		    (!rows[i].group || (rows[i].group & groups)))
			return &rows[i];
	return NULL;
}

int options_parse(int argc, char **argv, unsigned groups, struct options *ret_options,
		  char *ret_error, size_t error_size)
{
	struct options options = {0};
	struct parse parse = {.options = &options, .error = ret_error, .error_size = error_size};

	for (int i = 1; i < argc; i++) {
		size_t len = strcspn(argv[i], "=");
		const struct option_row *row = find(argv[i], len, groups);
		const char *value = argv[i][len] ? argv[i] + len + 1 : NULL;
		int err;

		if (!row) /* cut, so that the advice behind it stays */
			return refuse(&parse, "`%s' takes no %s `%.80s'; see `wsvitals %s --help'",
				      argv[0], argv[i][0] == '-' ? "option" : "argument", argv[i],
				      argv[0]);
		parse.name = row->name;
		if (!row->value && value)
			return refuse(&parse, "%s takes no value, not `%s'", row->name, value);
		if (row->value && !value) {
			if (++i == argc)
				return refuse(&parse, "%s needs a value: %s %s", row->name,
					      row->name, row->value);
			value = argv[i];
		}
		err = row->set(&parse, value);
		if (err)
			return err;
		options.has_scope |= row->group == OPTIONS_SCOPE;
	}
	*ret_options = options;
	return 0;
}

void options_describe(unsigned groups)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char left[32];

		if (rows[i].group && !(rows[i].group & groups))
			continue;
		snprintf(left, sizeof(left), "%s %s", rows[i].name,
			 rows[i].value ? rows[i].value : "");
		printf("  %-18s %s\n", left, rows[i].text);
	}
}

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
#define HOURS_MAX 168 /* SPEC 4, as the API takes them */
#define LIMIT_MAX 2000
#define TEXT_MAX 256

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
		return refuse(parse, "give only one of --table, --json and %s",
			      output == OUTPUT_CSV || parse->options->output == OUTPUT_CSV
				      ? "--csv"
				      : "--prometheus");
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

static int set_csv(struct parse *parse, const char *value)
{
	(void)value;
	return set_output(parse, OUTPUT_CSV);
}

static int set_whole(struct parse *parse, const char *value, long most, unsigned *ret_number)
{
	char *end;
	long number = strtol(value, &end, 10);

	if (!*value || value[strspn(value, "0123456789")] || *end || number < 1 || number > most)
		return refuse(parse, "%s takes a whole number from 1 to %ld, not `%s'", parse->name,
			      most, value);
	*ret_number = (unsigned)number;
	return 0;
}

static int set_hours(struct parse *parse, const char *value)
{
	return set_whole(parse, value, HOURS_MAX, &parse->options->hours);
}

static int set_limit(struct parse *parse, const char *value)
{
	return set_whole(parse, value, LIMIT_MAX, &parse->options->limit);
}

static int set_text(struct parse *parse, const char *value, const char **ret_text)
{
	if (!*value || strlen(value) > TEXT_MAX)
		return refuse(parse, "%s takes 1 to %d bytes", parse->name, TEXT_MAX);
	*ret_text = value;
	return 0;
}

static int set_server(struct parse *parse, const char *value)
{
	return set_text(parse, value, &parse->options->server);
}

static int set_channel(struct parse *parse, const char *value)
{
	return set_text(parse, value, &parse->options->channel);
}

static int set_user(struct parse *parse, const char *value)
{
	return set_text(parse, value, &parse->options->user);
}

static int set_search(struct parse *parse, const char *value)
{
	return set_text(parse, value, &parse->options->search);
}

static int set_config(struct parse *parse, const char *value)
{
	if (!*value)
		return refuse(parse, "%s takes the path of a file, not an empty string",
			      parse->name);
	parse->options->config = value;
	return 0;
}

static int set_role(struct parse *parse, const char *value)
{
	if (strcmp(value, "staff") != 0 && strcmp(value, "scrape") != 0)
		return refuse(parse, "%s takes staff or scrape, not `%s'", parse->name, value);
	parse->options->role = value;
	return 0;
}

static int set_yes(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->yes = true;
	return 0;
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
	{OPTIONS_HOURS, "--hours", "N", set_hours, "so many hours until now, 1 to 168 (24)"},
	{OPTIONS_HISTORY, "--server", "NAME", set_server, "only this server, as in by_server"},
	{OPTIONS_HISTORY, "--channel", "NAME", set_channel, "only this channel"},
	{OPTIONS_USER, "--user", "NAME", set_user, "only this user: pseudonym or true value"},
	{OPTIONS_ROWS, "--search", "TEXT", set_search, "only rows with this in a label or message"},
	{OPTIONS_ROWS, "--limit", "N", set_limit, "at most so many rows, 1 to 2000"},
	{OPTIONS_OUTPUT | OPTIONS_HISTORY, "--table", NULL, set_table, "for people (default)"},
	{OPTIONS_OUTPUT | OPTIONS_HISTORY, "--json", NULL, set_json, "the answer of the API"},
	{OPTIONS_HISTORY, "--csv", NULL, set_csv, "for spreadsheets"},
	{OPTIONS_OUTPUT, "--prometheus", NULL, set_prometheus, "Prometheus text format"},
	{OPTIONS_ROLE, "--role", "ROLE", set_role,
	 "staff: everything (default); scrape: /metrics only"},
	{OPTIONS_YES, "--yes", NULL, set_yes, "do not ask"},
	{OPTIONS_SETTINGS | OPTIONS_PLACES, "--config", "FILE", set_config,
	 "configuration (" SETTINGS_FILE ")"},
	{0, "--help", NULL, set_help, "this text"},
};

/* An option of the table above, or a key of [agent] as a flag. */
struct option {
	const struct option_row *row; /* NULL: a setting */
	enum setting_id setting;
	char name[32];
	const char *value;
};

/* The commands that look for the agent need its places, the agent takes every key. */
static bool setting_is_option(enum setting_id id, unsigned groups)
{
	return ((groups & OPTIONS_SETTINGS) && !strcmp(settings_rows[id].section, "agent")) ||
	       ((groups & OPTIONS_PLACES) && (id == SETTING_DB || id == SETTING_RUN_DIR));
}

static bool find(const char *name, size_t len, unsigned groups, struct option *ret_option)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strlen(rows[i].name) != len || strncmp(rows[i].name, name, len) != 0 ||
		    (rows[i].group && !(rows[i].group & groups)))
			continue;
		*ret_option = (struct option){.row = &rows[i], .value = rows[i].value};
		snprintf(ret_option->name, sizeof(ret_option->name), "%s", rows[i].name);
		return true;
	}
	for (int id = 0; id < NR_SETTINGS && len > 2 && !strncmp(name, "--", 2); id++) {
		const struct settings_row *row = &settings_rows[id];

		if (strlen(row->key) != len - 2 || strncmp(row->key, name + 2, len - 2) != 0 ||
		    !setting_is_option((enum setting_id)id, groups))
			continue;
		*ret_option = (struct option){.setting = (enum setting_id)id, .value = row->value};
		snprintf(ret_option->name, sizeof(ret_option->name), "--%s", row->key);
		return true;
	}
	return false;
}

static int take(struct parse *parse, const struct option *option, const char *value)
{
	struct options *options = parse->options;
	enum setting_id id = option->setting;

	parse->name = option->name;
	if (option->row) {
		options->has_scope |= option->row->group == OPTIONS_SCOPE;
		return option->row->set(parse, value);
	}
	return settings_set(&options->flags, id, option->value ? value : "yes",
			    options->flags.of[id].nr > 0, option->name, option->name, parse->error,
			    parse->error_size);
}

int options_parse(int argc, char **argv, unsigned groups, struct options *ret_options,
		  char *ret_error, size_t error_size)
{
	struct options options = {0};
	struct parse parse = {.options = &options, .error = ret_error, .error_size = error_size};
	unsigned max_words = groups / OPTIONS_WORD & OPTIONS_MAX_WORDS;

	for (int i = 1; i < argc; i++) {
		size_t len = strcspn(argv[i], "=");
		const char *value = argv[i][len] ? argv[i] + len + 1 : NULL;
		struct option option;
		int err;

		if (argv[i][0] != '-' && options.nr_words < max_words) {
			options.words[options.nr_words++] = argv[i];
			continue;
		}
		if (!find(argv[i], len, groups, &option)) /* cut, so that the advice stays */
			return refuse(&parse, "`%s' takes no %s `%.80s'; see `wsvitals %s --help'",
				      argv[0], argv[i][0] == '-' ? "option" : "argument", argv[i],
				      argv[0]);
		if (!option.value && value)
			return refuse(&parse, "%s takes no value, not `%s'", option.name, value);
		if (option.value && !value) {
			if (++i == argc)
				return refuse(&parse, "%s needs a value: %s %s", option.name,
					      option.name, option.value);
			value = argv[i];
		}
		err = take(&parse, &option, value);
		if (err)
			return err;
	}
	*ret_options = options;
	return 0;
}

static void describe(const char *name, const char *value, const char *text)
{
	char left[48];

	snprintf(left, sizeof(left), "%s %s", name, value ? value : "");
	printf("  %-20s %s\n", left, text);
}

void options_describe(unsigned groups)
{
	char name[32];

	for (int id = 0; id < NR_SETTINGS; id++) {
		if (!setting_is_option((enum setting_id)id, groups))
			continue;
		snprintf(name, sizeof(name), "--%s", settings_rows[id].key);
		describe(name, settings_rows[id].value, settings_rows[id].text);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!rows[i].group || (rows[i].group & groups))
			describe(rows[i].name, rows[i].value, rows[i].text);
}

int options_settings(const struct options *options, struct settings *ret_settings, char *ret_error,
		     size_t error_size)
{
	struct settings settings;
	int err;

	settings_default(&settings);
	err = settings_read(&settings, options->config, ret_error, error_size);
	if (err)
		return err;
	settings_override(&settings, &options->flags);
	*ret_settings = settings;
	return 0;
}

void options_places(const struct options *options, struct settings *ret_settings)
{
	char error[512];

	if (!options_settings(options, ret_settings, error, sizeof(error)))
		return;
	log_warning("%s", error);
	settings_default(ret_settings);
	settings_override(ret_settings, &options->flags);
}

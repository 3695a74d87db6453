// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* The commands, by name. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "log.h"
#include "options.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *text;
} commands[] = {
	{"run", cli_run, "the agent: counts always, serves dashboard, API and metrics"},
	{"snapshot", cli_snapshot, "print the numbers: the agent's, or counted stand-alone"},
	{"history", cli_history, "how it was: by time, with small lines at a terminal"},
	{"connections", cli_connections, "connections one by one: open, and closed before"},
	{"errors", cli_errors, "errors one by one"},
	{"compare", cli_compare, "two periods side by side"},
	{"token", cli_token, "access tokens: add, list, revoke"},
	{"store", cli_store, "the history on disk: info, check"},
	{"config", cli_config, "the configuration in force, and where each value came from"},
	{"reload", cli_reload, "the agent reads its configuration again"},
	{"reset", cli_reset, "the agent's counters become 0"},
	{"doctor", cli_doctor, "what this host can and cannot observe, and why"},
	{"version", cli_version, "the version of this program"},
};
#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(void)
{
	printf("wsvitals: the vital signs of WebSocket servers, seen from the kernel\n\n"
	       "Examples:\n"
	       "  sudo wsvitals run                            the agent, for all servers\n"
	       "  sudo wsvitals snapshot --for 10              all servers of this host\n"
	       "  sudo wsvitals snapshot --for 60 --port 8000  one server, live\n"
	       "  sudo wsvitals history --hours 6              how was it?\n"
	       "  sudo wsvitals doctor                         can it work here?\n\n"
	       "Commands (each takes --help):\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		printf("  %-11s %s\n", commands[i].name, commands[i].text);
}

/* "there is no command `x'; the commands are run, snapshot, …" */
static int no_command(const char *name)
{
	char known[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < NR_COMMANDS && len < sizeof(known); i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
					commands[i].name);
	if (name)
		log_error("there is no command `%.80s'; the commands are %s", name, known);
	else
		log_error("give a command: %s; see `wsvitals --help'", known);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name)
		return no_command(NULL);
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		help();
		return EXIT_OK;
	}
	if (!strcmp(name, "--version"))
		name = "version";
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return no_command(name);
}

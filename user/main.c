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
	{"snapshot", cli_snapshot, "count WebSocket traffic and print the numbers"},
	{"doctor", cli_doctor, "what this host can and cannot observe, and why"},
	{"version", cli_version, "the version of this program"},
};
#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(void)
{
	printf("wsvitals: the vital signs of WebSocket servers, seen from the kernel\n\n"
	       "Examples:\n"
	       "  sudo wsvitals snapshot --for 10              all servers of this host\n"
	       "  sudo wsvitals snapshot --for 60 --port 8000  one server, live\n"
	       "  sudo wsvitals doctor                         can it work here?\n\n"
	       "Commands (each takes --help):\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].text);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name) {
		log_error("give a command: snapshot, doctor or version; see `wsvitals --help'");
		return EXIT_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		help();
		return EXIT_OK;
	}
	if (!strcmp(name, "--version"))
		name = "version";
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	log_error("there is no command `%s': snapshot, doctor or version; see `wsvitals --help'",
		  name);
	return EXIT_USAGE;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* The commands. Each takes its own argc and argv (argv[0] is its name) and returns the exit status. */
#ifndef WSVITALS_CLI_H
#define WSVITALS_CLI_H

int cli_run(int argc, char **argv);
int cli_snapshot(int argc, char **argv);
int cli_history(int argc, char **argv);
int cli_connections(int argc, char **argv);
int cli_errors(int argc, char **argv);
int cli_compare(int argc, char **argv);
int cli_token(int argc, char **argv);
int cli_store(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_reset(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_version(int argc, char **argv);

#endif

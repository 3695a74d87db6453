/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A command asks the running agent over its local socket. In: the run directory and a path. Out: a
 * status and a body. The only file that knows libcurl.
 */
#ifndef WSVITALS_CLIENT_H
#define WSVITALS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct client_answer {
	long status;
	char *body; /* for free(); never NULL */
};

/* 0; -ENOENT: no agent runs there; another negative errno. ret_error: one sentence. */
int client_ask(const char *run_dir, bool post, const char *path, struct client_answer *ret_answer,
	       char *ret_error, size_t error_size);

/* The same, but the body of a 200 goes to out as it comes; ret_answer's is then "". */
int client_copy(const char *run_dir, const char *path, FILE *out, struct client_answer *ret_answer,
		char *ret_error, size_t error_size);

#endif

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "scope.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "label.h"

struct addition {
	struct scope *scope;
	const char *name;
	char *error;
	size_t error_size;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct addition *add, const char *format,
							...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(add->error, add->error_size, format, args);
	va_end(args);
	return -EINVAL;
}

/* A decimal number and nothing else, at most INT_MAX; -1 when it is none. */
static long number(const char *text, size_t len)
{
	long n = 0;

	if (!len)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = n * 10 + (text[i] - '0');
		if (n > INT_MAX)
			return -1;
	}
	return n;
}

static int full(struct addition *add)
{
	return refuse(add, "%s takes at most %d values", add->name, SCOPE_VALUES);
}

static int add_ports(struct addition *add, const char *value)
{
	struct scope *scope = add->scope;
	const char *at = value;

	for (;;) {
		size_t len = strcspn(at, ",");
		long port = number(at, len);

		if (port < 1 || port > 65535)
			return refuse(
				add,
				"%s takes ports from 1 to 65535, separated by commas, not `%s'",
				add->name, value);
		if (scope->nr_ports == SCOPE_VALUES)
			return full(add);
		scope->ports[scope->nr_ports++] = (uint16_t)port;
		if (!at[len])
			return 0;
		at += len + 1;
	}
}

static int add_pid(struct addition *add, const char *value)
{
	struct scope *scope = add->scope;
	long pid = number(value, strlen(value));

	if (pid < 1)
		return refuse(add, "%s takes the number of a process, not `%s'", add->name, value);
	if (scope->nr_pids == SCOPE_VALUES)
		return full(add);
	scope->pids[scope->nr_pids++] = (pid_t)pid;
	return 0;
}

static int add_comm(struct addition *add, const char *value)
{
	struct scope *scope = add->scope;

	if (!*value || strlen(value) >= COMM_LEN)
		return refuse(
			add,
			"%s takes a process name of 1 to %d bytes, as in /proc/PID/comm, not `%s'",
			add->name, COMM_LEN - 1, value);
	if (scope->nr_comms == SCOPE_VALUES)
		return full(add);
	strcpy(scope->comms[scope->nr_comms++], value);
	return 0;
}

static int add_path(struct addition *add, const char *value, const char **paths, size_t *nr)
{
	if (!*value)
		return refuse(add, "%s takes a path, not an empty string", add->name);
	if (*nr == SCOPE_VALUES)
		return full(add);
	paths[(*nr)++] = value;
	return 0;
}

int scope_add(struct scope *scope, enum scope_kind kind, const char *name, const char *value,
	      char *ret_error, size_t error_size)
{
	struct addition add = {
		.scope = scope, .name = name, .error = ret_error, .error_size = error_size};

	switch (kind) {
	case SCOPE_PORT:
		return add_ports(&add, value);
	case SCOPE_PID:
		return add_pid(&add, value);
	case SCOPE_COMM:
		return add_comm(&add, value);
	case SCOPE_CGROUP:
		return add_path(&add, value, scope->cgroups, &scope->nr_cgroups);
	case SCOPE_NETNS:
		return add_path(&add, value, scope->netns, &scope->nr_netns);
	}
	return -EINVAL;
}

/* --- in words --- */

struct words {
	char text[1024];
	size_t len;
};

/* The next value of an option: "; port 8000" or ", 8000". */
__attribute__((format(printf, 4, 5))) static void words_add(struct words *words, const char *option,
							    bool first, const char *format, ...)
{
	size_t left = sizeof(words->text) - words->len;
	va_list args;
	int n;

	n = snprintf(words->text + words->len, left, "%s%s%s",
		     !first       ? ", "
		     : words->len ? "; "
				  : "",
		     first ? option : "", first ? " " : "");
	words->len += (size_t)n < left ? (size_t)n : left - 1;
	left = sizeof(words->text) - words->len;
	va_start(args, format);
	n = vsnprintf(words->text + words->len, left, format, args);
	va_end(args);
	words->len += (size_t)n < left ? (size_t)n : left - 1;
}

void scope_describe(const struct scope *scope, char *ret_words, size_t size)
{
	struct words words = {0};

	for (size_t i = 0; i < scope->nr_ports; i++)
		words_add(&words, "port", !i, "%u", scope->ports[i]);
	for (size_t i = 0; i < scope->nr_pids; i++)
		words_add(&words, "process", !i, "%d", (int)scope->pids[i]);
	for (size_t i = 0; i < scope->nr_comms; i++)
		words_add(&words, "name", !i, "%s", scope->comms[i]);
	for (size_t i = 0; i < scope->nr_cgroups; i++)
		words_add(&words, "cgroup", !i, "%s", scope->cgroups[i]);
	for (size_t i = 0; i < scope->nr_netns; i++)
		words_add(&words, "netns", !i, "%s", scope->netns[i]);
	if (!words.len)
		strcpy(words.text, "every server of this host");
	label_clean((struct text){words.text, strlen(words.text)}, ret_words, size);
}

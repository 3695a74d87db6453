/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The agent's configuration (SPEC 6): every key is one row here; those of [agent] are flags too. In:
 * INI files and flags. Out: checked values, each with where it came from. Of fixed size, so that it
 * can pass between processes as it is.
 *
 * Later sources win: the defaults, the file, its drop-ins by name, the flags. A key that takes
 * several values adds them up within one source.
 */
#ifndef WSVITALS_SETTINGS_H
#define WSVITALS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "log.h"
#include "scope.h"

#define SETTING_TEXT 1024  /* bytes of all values of a key */
#define SETTING_ORIGIN 300 /* "/etc/wsvitals/wsvitals.conf:12", cut */
#define SETTINGS_FILE "/etc/wsvitals/wsvitals.conf"
#define SETTINGS_BASE_MAX 128

/* X(NAME, key, value, default, what it is). A value of NULL: a switch, yes or no. Those of
 * SETTINGS_LIVE can be changed while the agent runs; the others need a restart. */
#define SETTINGS_FIXED(X)                                                                          \
	X(LISTEN, "listen", "ADDR:PORT", "127.0.0.1:9797", "where HTTP is served")                 \
	X(DB, "db", "DIR", "/var/lib/wsvitals", "directory of the store and the tokens")           \
	X(RUN_DIR, "run-dir", "DIR", "/run/wsvitals", "directory of the local socket")             \
	X(INSECURE_LISTEN, "insecure-listen", NULL, "no",                                          \
	  "serve HTTP without TLS beyond loopback")                                                \
	X(TLS_CERT, "tls-cert", "FILE", "", "serve HTTPS with this certificate chain (PEM)")       \
	X(TLS_KEY, "tls-key", "FILE", "", "and its private key (PEM)")                             \
	X(PORT, "port", "N[,N]", "", "only servers that listen on these ports")                    \
	X(PID, "pid", "N", "", "only this process and its descendants")                            \
	X(COMM, "comm", "NAME", "", "only processes of this name")                                 \
	X(CGROUP, "cgroup", "PATH", "", "only processes in this cgroup (v2) or below")             \
	X(NETNS, "netns", "PATH", "", "only sockets of this network namespace")
#define SETTINGS_LIVE(X)                                                                           \
	X(BASE_PATH, "base-path", "/PATH", "", "prefix of every path, for a reverse proxy")        \
	X(HOST, "host", "NAME[,NAME]", "", "names that requests may be addressed to")              \
	X(TRUSTED_PROXY, "trusted-proxy", "ADDR[/N]", "", "whose X-Forwarded-* headers count")     \
	X(LOG_LEVEL, "log-level", "LEVEL", "info", "error, warning, info or debug")
/* [verdict]: when the dashboard warns. */
#define SETTINGS_VERDICT(X)                                                                        \
	X(ERRORS_FACTOR, "errors-factor", "N", "3", "errors per minute: times their 24 h median")  \
	X(ERRORS_LEAST, "errors-least", "N", "1", "and at least so many a minute")                 \
	X(LATENCY_FACTOR, "latency-factor", "N", "3", "latency p95: times its 24 h median")        \
	X(LATENCY_LEAST, "latency-least", "MS", "5", "and at least so many milliseconds")          \
	X(DROP_PERCENT, "drop-percent", "N", "30", "fall of open connections within a minute")     \
	X(DROP_LEAST, "drop-least", "N", "10", "and from at least so many")
/* [store]: how much history is kept. Need a restart. */
#define SETTINGS_STORE(X)                                                                          \
	X(KEEP_RAW, "keep-raw", "TIME", "48h", "points of 10 seconds")                             \
	X(KEEP_5M, "keep-5m", "TIME", "30d", "points of 5 minutes")                                \
	X(KEEP_1H, "keep-1h", "TIME", "2y", "points of an hour, and events")                       \
	X(KEEP_ROWS, "keep-rows", "TIME", "7d", "closed connections and errors, one by one")       \
	X(ROWS_MAX, "rows-max", "N", "200000", "connections a day, and as many errors")            \
	X(STORE_MAX, "size-max", "SIZE", "2G", "all files of the store")
#define SETTINGS(X) SETTINGS_FIXED(X) SETTINGS_LIVE(X) SETTINGS_VERDICT(X) SETTINGS_STORE(X)

#define X(NAME, ...) SETTING_##NAME,
enum setting_id { SETTINGS(X) NR_SETTINGS };
#undef X

struct setting {
	char text[SETTING_TEXT]; /* values, each with its NUL */
	uint16_t len, nr;        /* bytes used, values; 0: not set */
	char origin[SETTING_ORIGIN];
};

struct settings {
	struct setting of[NR_SETTINGS];
};

struct settings_row {
	const char *section;
	const char *key;
	const char *value; /* NULL: a switch */
	const char *text;
	bool live;
};
extern const struct settings_row settings_rows[NR_SETTINGS];

/* Every key at its default. */
void settings_default(struct settings *ret_settings);

/*
 * One value from one source ("--listen", "FILE:LINE"); name is how the source calls the key. adds:
 * the same source has set it before. On -EINVAL ret_error says what was wrong and what is accepted.
 */
int settings_set(struct settings *settings, enum setting_id id, const char *value, bool adds,
		 const char *name, const char *origin, char *ret_error, size_t error_size);

/*
 * The file and FILE.d/(*).conf in the order of their names; NULL: SETTINGS_FILE, which may be
 * missing. 0, or a negative errno with a sentence that names file and line.
 */
int settings_read(struct settings *settings, const char *file, char *ret_error, size_t error_size);

/* What is set in `over` wins. */
void settings_override(struct settings *settings, const struct settings *over);

/* The first value, "" when there is none. */
const char *settings_text(const struct settings *settings, enum setting_id id);
double settings_number(const struct settings *settings, enum setting_id id);
/* Of a key with several values: each after the one before, NULL at the end. at: 0 at first. */
const char *settings_next(const struct settings *settings, enum setting_id id, size_t *at);
/* Of a TIME: seconds. Of a SIZE: bytes. */
uint64_t settings_amount(const struct settings *settings, enum setting_id id);
bool settings_yes(const struct settings *settings, enum setting_id id);
enum log_level settings_log_level(const struct settings *settings);
/* Borrows the paths of settings. Values were checked when they were set. */
void settings_scope(const struct settings *settings, struct scope *ret_scope);
/* The values as they would stand behind the key, separated by commas. */
void settings_show(const struct settings *settings, enum setting_id id, char *ret_text,
		   size_t size);
/* One line a key: value, and where it came from. */
void settings_print(FILE *out, const struct settings *settings);
bool settings_differ(const struct settings *a, const struct settings *b, enum setting_id id);

/* "127.0.0.1:9797", "[::1]:9797" */
struct listen_address {
	uint8_t addr[16]; /* network order, v4 as v4-mapped */
	uint16_t port;    /* host order */
	bool v6;
};
int listen_address_parse(const char *text, struct listen_address *ret_address);

#endif

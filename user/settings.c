// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* The INI grammar is libinih's; our reader under it counts lines, which libinih does not tell. */
#define _GNU_SOURCE
#include "settings.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "label.h"
#include "network.h"

#define AGENT "agent"
#define STORE "store"
#define SECTIONS "[" AGENT "], [verdict], [" STORE "]"

#define KEEP_YEARS_MAX 20
#define ROWS_MOST 10000000

#define ROW(NAME, section_, key_, value_, text_, live_)                                            \
	[SETTING_##NAME] = {section_, key_, value_, text_, live_},
const struct settings_row settings_rows[NR_SETTINGS] = {
#define X(NAME, key, value, default_, text) ROW(NAME, AGENT, key, value, text, false)
	SETTINGS_FIXED(X)
#undef X
#define X(NAME, key, value, default_, text) ROW(NAME, AGENT, key, value, text, true)
		SETTINGS_LIVE(X)
#undef X
#define X(NAME, key, value, default_, text) ROW(NAME, "verdict", key, value, text, true)
			SETTINGS_VERDICT(X)
#undef X
#define X(NAME, key, value, default_, text) ROW(NAME, STORE, key, value, text, false)
				SETTINGS_STORE(X)
#undef X
};
#undef ROW

#define X(NAME, key, value, default_, text) [SETTING_##NAME] = default_,
static const char *const defaults[NR_SETTINGS] = {SETTINGS(X)};
#undef X

static const char *const log_levels[] = {"error", "warning", "info", "debug"};

/* --- values --- */

struct check {
	const char *name;
	char *error;
	size_t error_size;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct check *check,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(check->error, check->error_size, format, args);
	va_end(args);
	return -EINVAL;
}

int listen_address_parse(const char *text, struct listen_address *ret_address)
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct listen_address address = {.v6 = text[0] == '['};
	const char *colon = strrchr(text, ':');
	char *end;
	long port;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	port = strtol(colon + 1, &end, 10);
	if (*end || port < 1 || port > 65535)
		return -EINVAL;
	/* label_parse_address takes a v6 address without brackets too, which here would be ambiguous */
	if (!address.v6 && memchr(text, ':', (size_t)(colon - text)))
		return -EINVAL;
	if (address.v6 && colon[-1] != ']')
		return -EINVAL;
	if (!label_parse_address((struct text){text, (size_t)(colon - text)}, address.addr))
		return -EINVAL;
	/* v4 in brackets, which a socket of v6 alone cannot have */
	if (address.v6 && !memcmp(address.addr, v4_mapped, sizeof(v4_mapped)))
		return -EINVAL;
	address.port = (uint16_t)port;
	*ret_address = address;
	return 0;
}

static int check_listen(const struct check *check, const char *value)
{
	struct listen_address address;

	if (listen_address_parse(value, &address))
		return refuse(check,
			      "%s takes an address and a port from 1 to 65535, as in "
			      "127.0.0.1:9797 or [::1]:9797, not `%s'",
			      check->name, value);
	return 0;
}

static int check_directory(const struct check *check, const char *value)
{
	if (value[0] != '/' || strlen(value) > 255)
		return refuse(check,
			      "%s takes the absolute path of a directory, at most 255 bytes, not "
			      "`%s'",
			      check->name, value);
	return 0;
}

/* Segments of RFC 3986 2.3's unreserved characters, so that nothing needs to be escaped anywhere. */
static int check_base_path(const struct check *check, const char *value)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_~./";
	size_t len = strlen(value);

	if (len &&
	    (value[0] != '/' || value[len - 1] == '/' || strstr(value, "//") ||
	     strstr(value, "/.") || value[strspn(value, allowed)] || len >= SETTINGS_BASE_MAX))
		return refuse(check,
			      "%s takes a path that begins with / and does not end with it, of "
			      "letters, digits and -_~. , not `%s'",
			      check->name, value);
	return 0;
}

static int check_file(const struct check *check, const char *value)
{
	if (*value && (value[0] != '/' || strlen(value) > 255))
		return refuse(check,
			      "%s takes the absolute path of a file, at most 255 bytes, not `%s'",
			      check->name, value);
	return 0;
}

/* "48h": a whole number and a unit, which is one of these letters. 0 and *ret_amount, or -EINVAL. */
static int amount_parse(const char *value, const char *letters, const uint64_t *units,
			uint64_t *ret_amount)
{
	size_t digits = strspn(value, "0123456789");
	const char *letter = value[digits] ? strchr(letters, value[digits]) : NULL;

	if (!digits || digits > 9 || !letter || value[digits + 1])
		return -EINVAL;
	*ret_amount = strtoull(value, NULL, 10) * units[letter - letters];
	return 0;
}

#define TIME_LETTERS "hdy"
static const uint64_t time_units[] = {3600, 86400, 365 * 86400};
#define SIZE_LETTERS "MGT"
static const uint64_t size_units[] = {1ull << 20, 1ull << 30, 1ull << 40};

static int check_keep(const struct check *check, const char *value)
{
	uint64_t seconds;

	if (amount_parse(value, TIME_LETTERS, time_units, &seconds) || seconds < 3600 ||
	    seconds > KEEP_YEARS_MAX * 365ull * 86400)
		return refuse(check,
			      "%s takes a time from 1h to %dy, as in 48h, 30d or 2y, not `%s'",
			      check->name, KEEP_YEARS_MAX, value);
	return 0;
}

static int check_size(const struct check *check, const char *value)
{
	uint64_t bytes;

	if (amount_parse(value, SIZE_LETTERS, size_units, &bytes) || bytes < 16ull << 20 ||
	    bytes > 64ull << 40)
		return refuse(check, "%s takes a size from 16M to 64T, as in 500M or 2G, not `%s'",
			      check->name, value);
	return 0;
}

static int check_host(const struct check *check, const char *value)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.,";

	if (!*value || value[strspn(value, allowed)])
		return refuse(check,
			      "%s takes names without a port, separated by commas, as in "
			      "metrics.example.org, not `%s'",
			      check->name, value);
	return 0;
}

static int check_proxy(const struct check *check, const char *value)
{
	char text[SETTING_TEXT], *at = text, *piece;

	snprintf(text, sizeof(text), "%s", value);
	while ((piece = strsep(&at, ","))) {
		struct network network;

		if (network_parse(piece, &network))
			return refuse(check,
				      "%s takes addresses or networks separated by commas, as in "
				      "192.0.2.7 or 10.0.0.0/8, not `%s'",
				      check->name, value);
	}
	return 0;
}

static int check_number(const struct check *check, const char *value)
{
	char *end;
	double number = strtod(value, &end);

	/* strtod also takes blanks, signs, exponents, hexadecimal and words. */
	if (value[strspn(value, "0123456789.")] || end == value || *end || number <= 0 ||
	    number > 1e6)
		return refuse(check, "%s takes a number above 0, at most 1000000, not `%s'",
			      check->name, value);
	return 0;
}

static int check_rows(const struct check *check, const char *value)
{
	size_t digits = strspn(value, "0123456789");
	long rows = strtol(value, NULL, 10);

	if (!digits || value[digits] || digits > 9 || rows < 1 || rows > ROWS_MOST)
		return refuse(check, "%s takes a whole number from 1 to %d, not `%s'", check->name,
			      ROWS_MOST, value);
	return 0;
}

static int check_switch(const struct check *check, const char *value)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return refuse(check, "%s takes yes or no, not `%s'", check->name, value);
	return 0;
}

static int log_level_of(const char *value)
{
	for (size_t i = 0; i < sizeof(log_levels) / sizeof(log_levels[0]); i++)
		if (!strcmp(value, log_levels[i]))
			return (int)i;
	return -1;
}

static int check_log_level(const struct check *check, const char *value)
{
	if (log_level_of(value) < 0)
		return refuse(check, "%s takes error, warning, info or debug, not `%s'",
			      check->name, value);
	return 0;
}

/* -1: no part of the scope */
static int scope_kind_of(enum setting_id id)
{
	switch (id) {
	case SETTING_PORT:
		return SCOPE_PORT;
	case SETTING_PID:
		return SCOPE_PID;
	case SETTING_COMM:
		return SCOPE_COMM;
	case SETTING_CGROUP:
		return SCOPE_CGROUP;
	case SETTING_NETNS:
		return SCOPE_NETNS;
	default:
		return -1;
	}
}

/* Several values add up, and the default is none. */
static bool is_list(enum setting_id id)
{
	return scope_kind_of(id) >= 0 || id == SETTING_HOST || id == SETTING_TRUSTED_PROXY;
}

static int check_value(const struct check *check, enum setting_id id, const char *value)
{
	struct scope scope = {0};

	switch (id) {
	case SETTING_LISTEN:
		return check_listen(check, value);
	case SETTING_DB:
	case SETTING_RUN_DIR:
		return check_directory(check, value);
	case SETTING_BASE_PATH:
		return check_base_path(check, value);
	case SETTING_INSECURE_LISTEN:
		return check_switch(check, value);
	case SETTING_TLS_CERT:
	case SETTING_TLS_KEY:
		return check_file(check, value);
	case SETTING_HOST:
		return check_host(check, value);
	case SETTING_TRUSTED_PROXY:
		return check_proxy(check, value);
	case SETTING_ERRORS_FACTOR:
	case SETTING_ERRORS_LEAST:
	case SETTING_LATENCY_FACTOR:
	case SETTING_LATENCY_LEAST:
	case SETTING_DROP_PERCENT:
	case SETTING_DROP_LEAST:
		return check_number(check, value);
	case SETTING_KEEP_RAW:
	case SETTING_KEEP_5M:
	case SETTING_KEEP_1H:
	case SETTING_KEEP_ROWS:
		return check_keep(check, value);
	case SETTING_ROWS_MAX:
		return check_rows(check, value);
	case SETTING_STORE_MAX:
		return check_size(check, value);
	case SETTING_LOG_LEVEL:
		return check_log_level(check, value);
	default:
		return scope_add(&scope, (enum scope_kind)scope_kind_of(id), check->name, value,
				 check->error, check->error_size);
	}
}

static void setting_put(struct setting *setting, const char *value, const char *origin)
{
	size_t len = strlen(value) + 1;

	memcpy(setting->text + setting->len, value, len);
	setting->len = (uint16_t)(setting->len + len);
	setting->nr++;
	snprintf(setting->origin, sizeof(setting->origin), "%s", origin);
}

void settings_default(struct settings *ret_settings)
{
	memset(ret_settings, 0, sizeof(*ret_settings));
	for (int id = 0; id < NR_SETTINGS; id++) {
		if (!is_list((enum setting_id)id))
			setting_put(&ret_settings->of[id], defaults[id], "default");
		else
			snprintf(ret_settings->of[id].origin, sizeof(ret_settings->of[id].origin),
				 "default");
	}
}

int settings_set(struct settings *settings, enum setting_id id, const char *value, bool adds,
		 const char *name, const char *origin, char *ret_error, size_t error_size)
{
	struct check check = {.name = name, .error = ret_error, .error_size = error_size};
	struct setting *setting = &settings->of[id];
	int err;

	if (adds && !is_list(id))
		return refuse(&check, "%s is set twice", name);
	err = check_value(&check, id, value);
	if (err)
		return err;
	if (!adds)
		memset(setting, 0, sizeof(*setting));
	if (setting->len + strlen(value) + 1 > sizeof(setting->text) || setting->nr == SCOPE_VALUES)
		return refuse(&check, "the values of %s are longer than %zu bytes together", name,
			      sizeof(setting->text));
	setting_put(setting, value, origin);
	return 0;
}

void settings_override(struct settings *settings, const struct settings *over)
{
	for (int id = 0; id < NR_SETTINGS; id++)
		if (over->of[id].nr)
			settings->of[id] = over->of[id];
}

const char *settings_text(const struct settings *settings, enum setting_id id)
{
	return settings->of[id].nr ? settings->of[id].text : "";
}

double settings_number(const struct settings *settings, enum setting_id id)
{
	return strtod(settings_text(settings, id), NULL);
}

const char *settings_next(const struct settings *settings, enum setting_id id, size_t *at)
{
	const struct setting *setting = &settings->of[id];
	const char *value = setting->text + *at;

	if (*at >= setting->len)
		return NULL;
	*at += strlen(value) + 1;
	return value;
}

uint64_t settings_amount(const struct settings *settings, enum setting_id id)
{
	const char *value = settings_text(settings, id);
	uint64_t amount = 0;

	if (amount_parse(value, TIME_LETTERS, time_units, &amount) &&
	    amount_parse(value, SIZE_LETTERS, size_units, &amount))
		amount = strtoull(value, NULL, 10);
	return amount;
}

bool settings_yes(const struct settings *settings, enum setting_id id)
{
	return !strcmp(settings_text(settings, id), "yes");
}

enum log_level settings_log_level(const struct settings *settings)
{
	int level = log_level_of(settings_text(settings, SETTING_LOG_LEVEL));

	return level < 0 ? LOG_INFO : (enum log_level)level;
}

void settings_scope(const struct settings *settings, struct scope *ret_scope)
{
	char error[256];

	memset(ret_scope, 0, sizeof(*ret_scope));
	for (int id = 0; id < NR_SETTINGS; id++) {
		const struct setting *setting = &settings->of[id];
		int kind = scope_kind_of((enum setting_id)id);
		const char *at = setting->text;

		for (unsigned i = 0; kind >= 0 && i < setting->nr; i++, at += strlen(at) + 1)
			(void)scope_add(ret_scope, (enum scope_kind)kind, settings_rows[id].key, at,
					error, sizeof(error));
	}
}

void settings_show(const struct settings *settings, enum setting_id id, char *ret_text, size_t size)
{
	const struct setting *setting = &settings->of[id];
	char text[SETTING_TEXT];

	memcpy(text, setting->text, sizeof(text));
	for (unsigned i = 0; i + 1 < setting->len; i++)
		if (!text[i])
			text[i] = ',';
	label_clean((struct text){text, setting->len ? setting->len - 1u : 0}, ret_text, size);
}

bool settings_differ(const struct settings *a, const struct settings *b, enum setting_id id)
{
	return a->of[id].len != b->of[id].len ||
	       memcmp(a->of[id].text, b->of[id].text, a->of[id].len) != 0;
}

/* --- files --- */

struct source {
	struct settings *settings;
	FILE *file;
	const char *path;
	int line;
	bool set[NR_SETTINGS]; /* by this file */
	bool failed;
	char *error;
	size_t error_size;
};

__attribute__((format(printf, 2, 3))) static void complain(struct source *source,
							   const char *format, ...)
{
	int n;
	va_list args;

	if (source->failed) /* the first one is the one to mend */
		return;
	source->failed = true;
	n = snprintf(source->error, source->error_size, "%s:%d: ", source->path, source->line);
	if (n < 0 || (size_t)n >= source->error_size)
		return;
	va_start(args, format);
	vsnprintf(source->error + n, source->error_size - (size_t)n, format, args);
	va_end(args);
}

/* libinih does not report a section without keys, so section lines are looked at here. */
static void check_section(struct source *source, const char *line)
{
	const char *at = line + strspn(line, " \t"), *end, *rest;

	if (*at != '[')
		return;
	end = strchr(at, ']');
	rest = end ? end + 1 + strspn(end + 1, " \t\r\n") : at;
	/* libinih passes over what stands behind the bracket */
	if (end && *rest && !strchr(";#", *rest)) {
		complain(source, "only a comment may stand behind `%.*s'", (int)(end - at + 1), at);
		return;
	}
	for (int id = 0; id < NR_SETTINGS && end; id++) {
		const char *section = settings_rows[id].section;

		if ((size_t)(end - at - 1) == strlen(section) &&
		    !strncmp(at + 1, section, strlen(section)))
			return;
	}
	complain(source, "there is no section `%.*s'; this version knows " SECTIONS,
		 end ? (int)(end - at + 1) : (int)strcspn(at, "\r\n"), at);
}

static char *next_line(char *buffer, int size, void *stream)
{
	struct source *source = stream;
	int len = 0, c = EOF;

	while (len < size - 1 && (c = getc(source->file)) != EOF) {
		if (!c) {
			source->line++;
			complain(source, "a NUL byte: this is no text file");
			return NULL;
		}
		buffer[len++] = (char)c;
		if (c == '\n')
			break;
	}
	if (!len)
		return NULL;
	buffer[len] = '\0';
	source->line++;
	if (c != '\n' && c != EOF) {
		complain(source, "this line is longer than %d bytes", size - 2);
		return NULL;
	}
	check_section(source, buffer);
	return source->failed ? NULL : buffer;
}

static void complain_key(struct source *source, const char *section, const char *key)
{
	char known[512] = "";
	size_t len = 0;

	for (int id = 0; id < NR_SETTINGS; id++)
		if (!strcmp(section, settings_rows[id].section))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						len ? ", " : "", settings_rows[id].key);
	complain(source, "[%s] has no key `%s'; it takes %s", section, key, known);
}

static int take_key(void *ctx, const char *section, const char *key, const char *value)
{
	struct source *source = ctx;
	char origin[SETTING_ORIGIN], error[512];

	if (!*section) {
		complain(source, "`%s' stands before any section; begin with [" AGENT "]", key);
		return 0;
	}
	for (int id = 0; id < NR_SETTINGS; id++) {
		if (strcmp(key, settings_rows[id].key) != 0 ||
		    strcmp(section, settings_rows[id].section) != 0)
			continue;
		snprintf(origin, sizeof(origin), "%s:%d", source->path, source->line);
		if (settings_set(source->settings, (enum setting_id)id, value, source->set[id], key,
				 origin, error, sizeof(error)))
			complain(source, "%s", error);
		source->set[id] = true;
		return !source->failed;
	}
	complain_key(source, section, key);
	return 0;
}

static int read_file(struct settings *settings, const char *path, bool must_exist, char *ret_error,
		     size_t error_size)
{
	struct source source = {
		.settings = settings, .path = path, .error = ret_error, .error_size = error_size};
	int line, err;

	source.file = fopen(path, "re");
	if (!source.file) {
		err = -errno;
		if (err == -ENOENT && !must_exist)
			return 0;
		snprintf(ret_error, error_size, "cannot read the configuration %s: %s", path,
			 strerror(-err));
		return err;
	}
	line = ini_parse_stream(next_line, &source, take_key, &source);
	if (line && !source.failed) {
		source.line = line > 0 ? line : source.line;
		complain(&source, "a line must be `[section]', `key = value' or begin with ; or #");
	}
	if (!source.failed && ferror(source.file)) {
		source.failed = true;
		snprintf(ret_error, error_size, "cannot read the configuration %s: %s", path,
			 strerror(EIO));
	}
	fclose(source.file);
	return source.failed ? -EINVAL : 0;
}

static int is_drop_in(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && !strcmp(entry->d_name + len - 5, ".conf");
}

int settings_read(struct settings *settings, const char *file, char *ret_error, size_t error_size)
{
	struct settings fresh = *settings;
	struct dirent **entries = NULL;
	char path[PATH_MAX];
	int nr, err;

	ini_allow_multiline = false; /* a line that begins with a blank is no continuation */
	err = read_file(&fresh, file ? file : SETTINGS_FILE, file, ret_error, error_size);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s.d", file ? file : SETTINGS_FILE);
	nr = scandir(path, &entries, is_drop_in, alphasort);
	if (nr < 0 && errno != ENOENT && errno != ENOTDIR) {
		err = -errno;
		snprintf(ret_error, error_size, "cannot read the directory %s: %s", path,
			 strerror(-err));
	}
	for (int i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "%s.d/%s", file ? file : SETTINGS_FILE,
			 entries[i]->d_name);
		if (!err)
			err = read_file(&fresh, path, true, ret_error, error_size);
		free(entries[i]);
	}
	free(entries);
	if (!err)
		*settings = fresh;
	return err;
}

void settings_print(FILE *out, const struct settings *settings)
{
	char text[SETTING_TEXT * 3];

	for (int id = 0; id < NR_SETTINGS; id++) {
		if (!id || strcmp(settings_rows[id].section, settings_rows[id - 1].section) != 0)
			fprintf(out, "%s[%s]\n", id ? "\n" : "", settings_rows[id].section);
		settings_show(settings, (enum setting_id)id, text, sizeof(text));
		fprintf(out, "%-16s = %-28s # %s\n", settings_rows[id].key, text,
			settings->of[id].origin);
	}
}

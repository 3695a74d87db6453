// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* settings.c: every key and what it takes, files and their order, errors with file and line. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "options.h"
#include "scratch.h"
#include "settings.h"

#define LISTEN                                                                                     \
	"listen takes an address and a port from 1 to 65535, as in 127.0.0.1:9797 or [::1]:9797, " \
	"not "
#define DIRECTORY(key) key " takes the absolute path of a directory, at most 255 bytes, not "
#define PATH                                                                                       \
	"base-path takes a path that begins with / and does not end with it, of letters, digits "  \
	"and -_~. , not "
#define LEVEL "log-level takes error, warning, info or debug, not "
#define SWITCH "insecure-listen takes yes or no, not "
#define PORTS "port takes ports from 1 to 65535, separated by commas, not "
#define PID "pid takes the number of a process, not "
#define COMM "comm takes a process name of 1 to 15 bytes, as in /proc/PID/comm, not "
#define LINE "a line must be `[section]', `key = value' or begin with ; or #"
#define KEYS                                                                                       \
	"it takes listen, db, run-dir, insecure-listen, tls-cert, tls-key, port, pid, comm, "      \
	"cgroup, netns, base-path, host, trusted-proxy, log-level"
#define VERDICT_KEYS                                                                               \
	"it takes errors-factor, errors-least, latency-factor, latency-least, drop-percent, "      \
	"drop-least"
#define FILE_PATH(key) key " takes the absolute path of a file, at most 255 bytes, not "
#define NUMBER(key) key " takes a number above 0, at most 1000000, not "
#define NAMES                                                                                      \
	"host takes names without a port, separated by commas, as in metrics.example.org, not "
#define PROXIES                                                                                    \
	"trusted-proxy takes addresses or networks separated by commas, as in 192.0.2.7 or "       \
	"10.0.0.0/8, not "
#define BYTES_50 "12345678901234567890123456789012345678901234567890"

/* A file, and either the values that it gives, "key value" each, or the line and why it is refused. */
struct row {
	const char *sentence;
	const char *text;
	const char *gives[4];
	unsigned line;
	const char *refused;
};

#define GOOD(words, key, value, shown)                                                             \
	{                                                                                          \
		.sentence = (words), .text = "[agent]\n" key " = " value "\n", .gives = {          \
			key " " shown                                                              \
		}                                                                                  \
	}
#define BAD(words, key, value, why)                                                                \
	{                                                                                          \
		.sentence = (words), .text = "# x\n[agent]\n" key " = " value "\n", .line = 3,     \
		.refused = why "`" value "'"                                                       \
	}

#define VERDICT(key, value)                                                                        \
	{                                                                                          \
		.sentence = key " is of the verdict", .text = "[verdict]\n" key " = " value "\n",  \
		.gives = {                                                                         \
			key " " value                                                              \
		}                                                                                  \
	}
#define BAD_VERDICT(words, key, value)                                                             \
	{                                                                                          \
		.sentence = (words), .text = "# x\n[verdict]\n" key " = " value "\n", .line = 3,   \
		.refused = NUMBER(key) "`" value "'"                                               \
	}

#define STORE(key, value)                                                                          \
	{                                                                                          \
		.sentence = key " = " value " is of the store",                                    \
		.text = "[store]\n" key " = " value "\n", .gives = {                               \
			key " " value                                                              \
		}                                                                                  \
	}
#define BAD_STORE(words, key, value, why)                                                          \
	{                                                                                          \
		.sentence = (words), .text = "# x\n[store]\n" key " = " value "\n", .line = 3,     \
		.refused = why "`" value "'"                                                       \
	}
#define KEEPS(key) key " takes a time from 1h to 20y, as in 48h, 30d or 2y, not "
#define SIZE "size-max takes a size from 16M to 64T, as in 500M or 2G, not "
#define ROWS "rows-max takes a whole number from 1 to 10000000, not "

static const struct row rows[] = {
	{"an empty file changes nothing", "",
	 .gives = {"listen 127.0.0.1:9797", "port ", "log-level info"}},
	{"a section without keys", "[agent]\n", .gives = {"db /var/lib/wsvitals"}},
	{"comments, blanks and empty lines",
	 "; x\n# [x]\n\n   \n\t[agent]\t; y\n  # z\n  port\t=  80  ; web\n", .gives = {"port 80"}},
	{"the section twice", "[agent]\nport = 80\n[agent]\npid = 1\n",
	 .gives = {"port 80", "pid 1"}},
	{"a colon for the equals sign", "[agent]\ndb: /x\n", .gives = {"db /x"}},
	{"a last line without an end", "[agent]\ndb = /x", .gives = {"db /x"}},
	{"lines of another system", "[agent]\r\ndb = /x\r\n", .gives = {"db /x"}},
	{"a byte order mark", "\xef\xbb\xbf[agent]\ndb = /x\n", .gives = {"db /x"}},
	{"a semicolon within a word is no comment", "[agent]\ndb = /x;y\n", .gives = {"db /x;y"}},
	{"a scope's key again adds", "[agent]\nport = 1,2\nport = 3\n", .gives = {"port 1,2,3"}},

	GOOD("an address and a port", "listen", "0.0.0.0:1", "0.0.0.0:1"),
	GOOD("a v6 address", "listen", "[2001:db8::1]:65535", "[2001:db8::1]:65535"),
	BAD("no port", "listen", "127.0.0.1", LISTEN),
	BAD("no address", "listen", ":9797", LISTEN),
	BAD("only a port", "listen", "9797", LISTEN),
	BAD("port 0", "listen", "127.0.0.1:0", LISTEN),
	BAD("a port above the last", "listen", "127.0.0.1:65536", LISTEN),
	BAD("a port that would wrap", "listen", "127.0.0.1:4294977093", LISTEN),
	BAD("a port with more behind it", "listen", "127.0.0.1:9797x", LISTEN),
	BAD("a negative port", "listen", "127.0.0.1:-1", LISTEN),
	BAD("a port with a plus", "listen", "127.0.0.1:+1", LISTEN),
	BAD("a port behind a blank", "listen", "127.0.0.1: 1", LISTEN),
	BAD("a v6 address without brackets", "listen", "::1:9797", LISTEN),
	BAD("brackets around nothing", "listen", "[]:9797", LISTEN),
	BAD("brackets around v4", "listen", "[127.0.0.1]:9797", LISTEN),
	BAD("v4 as v6", "listen", "[::ffff:127.0.0.1]:9797", LISTEN),
	BAD("half a bracket", "listen", "[::1:9797", LISTEN),
	BAD("a name", "listen", "localhost:9797", LISTEN),
	BAD("an address that is none", "listen", "127.0.0.256:9797", LISTEN),
	BAD("an empty listen", "listen", "", LISTEN),
	BAD("two addresses", "listen", "127.0.0.1:1,127.0.0.1:2", LISTEN),

	GOOD("a directory", "db", "/srv/x", "/srv/x"),
	BAD("a relative directory", "db", "srv/x", DIRECTORY("db")),
	BAD("an empty directory", "db", "", DIRECTORY("db")),
	GOOD("a run directory", "run-dir", "/run/x", "/run/x"),
	BAD("a relative run directory", "run-dir", "./x", DIRECTORY("run-dir")),
	BAD("no run directory", "run-dir", "", DIRECTORY("run-dir")),

	GOOD("a base path", "base-path", "/admin/ws-1_2~3.x", "/admin/ws-1_2~3.x"),
	GOOD("no base path", "base-path", "", ""),
	BAD("a base path that ends in a slash", "base-path", "/admin/", PATH),
	BAD("a slash only", "base-path", "/", PATH),
	BAD("a base path without a slash", "base-path", "admin", PATH),
	BAD("two slashes", "base-path", "/a//b", PATH),
	BAD("dots", "base-path", "/a/../b", PATH),
	BAD("one dot", "base-path", "/.", PATH),
	BAD("a blank in it", "base-path", "/a b", PATH),
	BAD("an escape in it", "base-path", "/a%20b", PATH),
	BAD("a query in it", "base-path", "/a?b", PATH),
	BAD("a quote in it", "base-path", "/a\"b", PATH),
	BAD("a base path that is too long", "base-path", "/" BYTES_50 BYTES_50 BYTES_50, PATH),

	GOOD("a level", "log-level", "debug", "debug"),
	BAD("a level in capitals", "log-level", "DEBUG", LEVEL),
	BAD("a level by number", "log-level", "3", LEVEL),
	BAD("an empty level", "log-level", "", LEVEL),
	GOOD("a switch that is on", "insecure-listen", "yes", "yes"),
	GOOD("a switch that is off", "insecure-listen", "no", "no"),
	BAD("a switch by number", "insecure-listen", "1", SWITCH),
	BAD("a switch in capitals", "insecure-listen", "Yes", SWITCH),
	BAD("an empty switch", "insecure-listen", "", SWITCH),

	GOOD("a certificate", "tls-cert", "/etc/x.pem", "/etc/x.pem"),
	GOOD("no certificate", "tls-cert", "", ""),
	BAD("a relative certificate", "tls-cert", "x.pem", FILE_PATH("tls-cert")),
	GOOD("a key", "tls-key", "/etc/x.key", "/etc/x.key"),
	BAD("a relative key", "tls-key", "x.key", FILE_PATH("tls-key")),
	GOOD("names of ours", "host", "a.example.org,b", "a.example.org,b"),
	BAD("a name with a port", "host", "a:80", NAMES),
	BAD("a name with a scheme", "host", "http://a", NAMES),
	BAD("no name", "host", "", NAMES),
	GOOD("proxies", "trusted-proxy", "10.0.0.0/8,::1", "10.0.0.0/8,::1"),
	BAD("a proxy by name", "trusted-proxy", "proxy", PROXIES),
	BAD("bits behind a network's length", "trusted-proxy", "10.0.0.1/8", PROXIES),
	BAD("a list of proxies with a hole", "trusted-proxy", "10.0.0.1,,::1", PROXIES),
	{"host again adds", "[agent]\nhost = a\nhost = b\n", .gives = {"host a,b"}},
	VERDICT("errors-factor", "2.5"),
	VERDICT("errors-least", "10"),
	VERDICT("latency-factor", "4"),
	VERDICT("latency-least", "0.25"),
	VERDICT("drop-percent", "50"),
	VERDICT("drop-least", "100"),
	BAD_VERDICT("a factor of nothing", "errors-factor", "0"),
	BAD_VERDICT("a negative factor", "errors-factor", "-1"),
	BAD_VERDICT("a factor in words", "latency-factor", "three"),
	BAD_VERDICT("a factor with an exponent", "latency-factor", "1e3"),
	BAD_VERDICT("an empty number", "drop-least", ""),
	{.sentence = "a key of the agent in the verdict",
	 .text = "[verdict]\nport = 80\n",
	 .line = 2,
	 .refused = "[verdict] has no key `port'; " VERDICT_KEYS},
	{.sentence = "a key of the verdict in the agent",
	 .text = "[agent]\ndrop-least = 1\n",
	 .line = 2,
	 .refused = "[agent] has no key `drop-least'; " KEYS},

	STORE("keep-raw", "1h"),
	STORE("keep-5m", "45d"),
	STORE("keep-1h", "20y"),
	STORE("keep-rows", "30d"),
	STORE("rows-max", "1"),
	STORE("size-max", "16M"),
	STORE("size-max", "64T"),
	BAD_STORE("a time without a unit", "keep-raw", "48", KEEPS("keep-raw")),
	BAD_STORE("a time of two units", "keep-raw", "1d12h", KEEPS("keep-raw")),
	BAD_STORE("a time that is none", "keep-5m", "", KEEPS("keep-5m")),
	BAD_STORE("a time that is too long", "keep-1h", "21y", KEEPS("keep-1h")),
	BAD_STORE("a time that would wrap", "keep-rows", "99999999999y", KEEPS("keep-rows")),
	BAD_STORE("a negative time", "keep-rows", "-1d", KEEPS("keep-rows")),
	BAD_STORE("no time at all", "keep-raw", "0h", KEEPS("keep-raw")),
	BAD_STORE("a size in kilobytes", "size-max", "99999K", SIZE),
	BAD_STORE("a size below the least", "size-max", "15M", SIZE),
	BAD_STORE("a size above the most", "size-max", "65T", SIZE),
	BAD_STORE("a size with a point", "size-max", "1.5G", SIZE),
	BAD_STORE("no rows", "rows-max", "0", ROWS),
	BAD_STORE("more rows than can be", "rows-max", "10000001", ROWS),
	BAD_STORE("rows in words", "rows-max", "many", ROWS),
	{.sentence = "a key of the agent in the store",
	 .text = "[store]\nport = 80\n",
	 .line = 2,
	 .refused = "[store] has no key `port'; it takes keep-raw, keep-5m, keep-1h, keep-rows, "
		    "rows-max, size-max"},

	GOOD("ports", "port", "80,443", "80,443"),
	BAD("a port by name", "port", "http", PORTS),
	BAD("ports apart from their comma", "port", "80, 443", PORTS),
	BAD("an empty port", "port", "", PORTS),
	GOOD("a process", "pid", "1", "1"),
	BAD("a process by name", "pid", "node", PID),
	GOOD("a name with a blank", "comm", "my server", "my server"),
	BAD("a name of 16 bytes", "comm", "sixteen-bytes-it", COMM),
	GOOD("a cgroup", "cgroup", "/system.slice", "/system.slice"),
	GOOD("a namespace", "netns", "/run/netns/x", "/run/netns/x"),
	{.sentence = "an empty cgroup",
	 .text = "[agent]\ncgroup =\n",
	 .line = 2,
	 .refused = "cgroup takes a path, not an empty string"},

	{.sentence = "an unknown key",
	 .text = "[agent]\nprot = 80\n",
	 .line = 2,
	 .refused = "[agent] has no key `prot'; " KEYS},
	{.sentence = "a key in capitals",
	 .text = "[agent]\nPort = 80\n",
	 .line = 2,
	 .refused = "[agent] has no key `Port'; " KEYS},
	{.sentence = "a key with underscores",
	 .text = "[agent]\nrun_dir = /x\n",
	 .line = 2,
	 .refused = "[agent] has no key `run_dir'; " KEYS},
	{.sentence = "no key",
	 .text = "[agent]\n= x\n",
	 .line = 2,
	 .refused = "[agent] has no key `'; " KEYS},
	{.sentence = "a key twice",
	 .text = "[agent]\ndb = /x\nport = 1\ndb = /x\n",
	 .line = 4,
	 .refused = "db is set twice"},
	{.sentence = "a key twice, in two sections",
	 .text = "[agent]\ndb = /x\n[agent]\ndb = /y\n",
	 .line = 4,
	 .refused = "db is set twice"},
	{.sentence = "a line without a value",
	 .text = "[agent]\nport = 1\ndb\n",
	 .line = 3,
	 .refused = LINE},
	{.sentence = "a continued line",
	 .text = "[agent]\nport = 1\n  2\n",
	 .line = 3,
	 .refused = LINE},
	{.sentence = "a key before any section",
	 .text = "\nport = 80\n",
	 .line = 2,
	 .refused = "`port' stands before any section; begin with [agent]"},
	{.sentence = "an unknown section",
	 .text = "[agent]\n[agents]\n",
	 .line = 2,
	 .refused =
		 "there is no section `[agents]'; this version knows [agent], [verdict], [store]"},
	{.sentence = "an unknown section with known keys",
	 .text = "[server]\nport = 1\n",
	 .line = 1,
	 .refused =
		 "there is no section `[server]'; this version knows [agent], [verdict], [store]"},
	{.sentence = "a section in capitals",
	 .text = "[Agent]\n",
	 .line = 1,
	 .refused =
		 "there is no section `[Agent]'; this version knows [agent], [verdict], [store]"},
	{.sentence = "a section with blanks",
	 .text = "[ agent ]\n",
	 .line = 1,
	 .refused =
		 "there is no section `[ agent ]'; this version knows [agent], [verdict], [store]"},
	{.sentence = "a section that does not end",
	 .text = "[agent\nport = 1\n",
	 .line = 1,
	 .refused = "there is no section `[agent'; this version knows [agent], [verdict], [store]"},
	{.sentence = "a key behind the section",
	 .text = "[agent] port = 80\n",
	 .line = 1,
	 .refused = "only a comment may stand behind `[agent]'"},
	{.sentence = "a line that is too long",
	 .text = "[agent]\ndb = /" BYTES_50 BYTES_50 BYTES_50 BYTES_50 "\n",
	 .line = 2,
	 .refused = "this line is longer than 198 bytes"},
	{.sentence = "the first error is told",
	 .text = "[agent]\nport = x\n[x]\ndb = y\n",
	 .line = 2,
	 .refused = PORTS "`x'"},
};

static enum setting_id id_of(const char *key, size_t len)
{
	for (int id = 0; id < NR_SETTINGS; id++)
		if (strlen(settings_rows[id].key) == len &&
		    !memcmp(settings_rows[id].key, key, len))
			return (enum setting_id)id;
	fail_msg("there is no key %s", key);
	return NR_SETTINGS;
}

static void check_row(void **state)
{
	const struct row *row = *state;
	struct settings settings, before;
	char error[512] = "", wanted[512], shown[4096];
	struct scratch s;
	int err;

	scratch_new(&s);
	scratch_write(&s, "x.conf", row->text);
	settings_default(&settings);
	before = settings;
	err = settings_read(&settings, scratch_path(&s, "x.conf"), error, sizeof(error));
	if (row->refused) {
		snprintf(wanted, sizeof(wanted), "%s:%u: %s", s.path, row->line, row->refused);
		assert_string_equal(error, wanted);
		assert_int_equal(err, -EINVAL);
		assert_memory_equal(&settings, &before, sizeof(before));
	} else {
		assert_string_equal(error, "");
		assert_int_equal(err, 0);
		for (size_t i = 0; i < COUNT(row->gives) && row->gives[i]; i++) {
			size_t len = strcspn(row->gives[i], " ");

			settings_show(&settings, id_of(row->gives[i], len), shown, sizeof(shown));
			assert_string_equal(shown, row->gives[i] + len + 1);
		}
	}
	scratch_free(&s);
}

static void every_key_has_a_row(void **state)
{
	static const char *const keys[] = {"listen",        "db",
					   "run-dir",       "insecure-listen",
					   "tls-cert",      "tls-key",
					   "port",          "pid",
					   "comm",          "cgroup",
					   "netns",         "base-path",
					   "host",          "trusted-proxy",
					   "log-level",     "errors-factor",
					   "errors-least",  "latency-factor",
					   "latency-least", "drop-percent",
					   "drop-least",    "keep-raw",
					   "keep-5m",       "keep-1h",
					   "keep-rows",     "rows-max",
					   "size-max"};

	(void)state;
	assert_int_equal(COUNT(keys), NR_SETTINGS);
	for (int id = 0; id < NR_SETTINGS; id++) {
		bool tried = false;

		assert_string_equal(settings_rows[id].key, keys[id]);
		for (size_t i = 0; i < COUNT(rows); i++)
			tried |= rows[i].gives[0] &&
				 !strncmp(rows[i].gives[0], keys[id], strlen(keys[id]));
		assert_true(tried);
	}
}

static void amounts_are_seconds_and_bytes(void **state)
{
	struct settings settings;

	(void)state;
	settings_default(&settings);
	assert_int_equal(settings_amount(&settings, SETTING_KEEP_RAW), 48 * 3600);
	assert_int_equal(settings_amount(&settings, SETTING_KEEP_5M), 30 * 86400);
	assert_int_equal(settings_amount(&settings, SETTING_KEEP_1H), 2 * 365 * 86400);
	assert_int_equal(settings_amount(&settings, SETTING_KEEP_ROWS), 7 * 86400);
	assert_int_equal(settings_amount(&settings, SETTING_ROWS_MAX), 200000);
	assert_int_equal(settings_amount(&settings, SETTING_STORE_MAX), 2ull << 30);
}

static void a_nul_byte(void **state)
{
	static const char text[] = "[agent]\nport = 80\ndb = /x\0y\n";
	struct settings settings;
	char error[512], wanted[512];
	struct scratch s;

	(void)state;
	scratch_new(&s);
	scratch_write_bytes(&s, "x.conf", text, sizeof(text) - 1);
	settings_default(&settings);
	assert_int_equal(settings_read(&settings, s.path, error, sizeof(error)), -EINVAL);
	snprintf(wanted, sizeof(wanted), "%s:3: a NUL byte: this is no text file", s.path);
	assert_string_equal(error, wanted);
	scratch_free(&s);
}

static void too_many_values(void **state)
{
	struct settings settings;
	char error[512], text[8192];
	struct scratch s;
	size_t len;

	(void)state;
	scratch_new(&s);
	/* as many as fit, then more bytes than fit */
	len = (size_t)snprintf(text, sizeof(text), "[agent]\n");
	for (int i = 0; i < 10; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"cgroup = /%d" BYTES_50 BYTES_50 BYTES_50 "\n", i);
	scratch_write(&s, "x.conf", text);
	settings_default(&settings);
	assert_int_equal(settings_read(&settings, s.path, error, sizeof(error)), -EINVAL);
	assert_non_null(
		strstr(error, ":8: the values of cgroup are longer than 1024 bytes together"));

	len = (size_t)snprintf(text, sizeof(text), "[agent]\n");
	for (int i = 0; i <= SCOPE_VALUES; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "pid = %d\n", i + 1);
	scratch_write(&s, "x.conf", text);
	settings_default(&settings);
	assert_int_equal(settings_read(&settings, s.path, error, sizeof(error)), -EINVAL);
	scratch_free(&s);
}

static void files_that_cannot_be_read(void **state)
{
	struct settings settings;
	char error[512], wanted[512];
	struct scratch s;

	(void)state;
	scratch_new(&s);
	settings_default(&settings);
	assert_int_equal(settings_read(&settings, scratch_path(&s, "none"), error, sizeof(error)),
			 -ENOENT);
	snprintf(wanted, sizeof(wanted),
		 "cannot read the configuration %s: No such file or directory", s.path);
	assert_string_equal(error, wanted);
	assert_true(settings_read(&settings, s.dir, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "cannot read the configuration /"));
	/* a drop-in that is a directory */
	scratch_write(&s, "x.conf", "");
	assert_int_equal(mkdir(scratch_path(&s, "x.conf.d"), 0700), 0);
	assert_int_equal(mkdir(scratch_path(&s, "x.conf.d/a.conf"), 0700), 0);
	assert_true(settings_read(&settings, scratch_path(&s, "x.conf"), error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "x.conf.d/a.conf"));
	scratch_free(&s);
}

static const char *value(const struct settings *settings, enum setting_id id)
{
	static char text[4096];

	settings_show(settings, id, text, sizeof(text));
	return text;
}

static void ends_with(const char *text, const char *end)
{
	assert_true(strlen(text) >= strlen(end));
	assert_string_equal(text + strlen(text) - strlen(end), end);
}

static void drop_ins_in_the_order_of_their_names(void **state)
{
	struct settings settings;
	char error[512];
	struct scratch s;

	(void)state;
	scratch_new(&s);
	assert_int_equal(mkdir(scratch_path(&s, "x.conf.d"), 0700), 0);
	scratch_write(&s, "x.conf.d/20-b.conf", "[agent]\ndb = /b\nport = 3\n");
	scratch_write(&s, "x.conf.d/10-a.conf", "[agent]\ndb = /a\nrun-dir = /a\nport = 2\n");
	scratch_write(&s, "x.conf.d/30-c.conf.bak", "[x]\n");
	scratch_write(&s, "x.conf.d/.hidden.conf", "[x]\n");
	scratch_write(&s, "x.conf.d/.conf", "[x]\n");
	scratch_write(&s, "x.conf.d/README", "[x]\n");
	scratch_write(&s, "x.conf", "[agent]\nport = 1\nport = 9\nlog-level = error\n");
	settings_default(&settings);
	assert_int_equal(settings_read(&settings, s.path, error, sizeof(error)), 0);
	assert_string_equal(value(&settings, SETTING_DB), "/b");
	assert_string_equal(value(&settings, SETTING_RUN_DIR), "/a");
	/* what a later file sets replaces, values add up within one only */
	assert_string_equal(value(&settings, SETTING_PORT), "3");
	assert_string_equal(value(&settings, SETTING_LOG_LEVEL), "error");
	assert_string_equal(settings.of[SETTING_LISTEN].origin, "default");
	ends_with(settings.of[SETTING_DB].origin, "/x.conf.d/20-b.conf:2");
	ends_with(settings.of[SETTING_RUN_DIR].origin, "/x.conf.d/10-a.conf:3");
	ends_with(settings.of[SETTING_LOG_LEVEL].origin, "/x.conf:4");

	/* an error in the last one, and nothing is taken from any */
	scratch_write(&s, "x.conf.d/40.conf", "\n[agent]\nport = x\n");
	settings_default(&settings);
	assert_int_equal(settings_read(&settings, scratch_path(&s, "x.conf"), error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "/x.conf.d/40.conf:3: " PORTS "`x'"));
	assert_string_equal(value(&settings, SETTING_DB), "/var/lib/wsvitals");
	scratch_free(&s);
}

static void flags_win_over_files(void **state)
{
	static char *argv[] = {"run",      "--config",    NULL,    "--port",           "7",
			       "--port=8", "--log-level", "debug", "--insecure-listen"};
	struct options options;
	struct settings settings;
	char error[512];
	struct scratch s;

	(void)state;
	scratch_new(&s);
	scratch_write(&s, "x.conf",
		      "[agent]\nport = 1\nlog-level = error\ninsecure-listen = no\ndb = /x\n");
	argv[2] = s.path;
	assert_int_equal(
		options_parse(COUNT(argv), argv, OPTIONS_SETTINGS, &options, error, sizeof(error)),
		0);
	assert_int_equal(options_settings(&options, &settings, error, sizeof(error)), 0);
	assert_string_equal(value(&settings, SETTING_PORT), "7,8");
	assert_string_equal(settings.of[SETTING_PORT].origin, "--port");
	assert_int_equal(settings_log_level(&settings), LOG_DEBUG);
	assert_true(settings_yes(&settings, SETTING_INSECURE_LISTEN));
	assert_string_equal(settings.of[SETTING_INSECURE_LISTEN].origin, "--insecure-listen");
	assert_string_equal(value(&settings, SETTING_DB), "/x");
	ends_with(settings.of[SETTING_DB].origin, "/x.conf:5");
	scratch_free(&s);
}

/* Every key of [agent] is a flag with the same checks. */
static void every_key_is_a_flag(void **state)
{
	static const char *const good[] = {"[::1]:1", "/d", "/r", NULL, "/c",  "/k", "1,2",    "3",
					   "c",       "g",  "n",  "/b", "h,i", "::", "warning"};
	char flag[64], error[512];

	(void)state;
	assert_int_equal(COUNT(good), SETTING_ERRORS_FACTOR); /* the first one of the verdict */
	for (int id = 0; id < SETTING_ERRORS_FACTOR; id++) {
		char *argv[3] = {"run", flag, (char *)(uintptr_t)good[id]};
		struct options options;

		snprintf(flag, sizeof(flag), "--%s", settings_rows[id].key);
		assert_int_equal(options_parse(good[id] ? 3 : 2, argv, OPTIONS_SETTINGS, &options,
					       error, sizeof(error)),
				 0);
		assert_string_equal(value(&options.flags, (enum setting_id)id),
				    good[id] ? good[id] : "yes");
		assert_string_equal(options.flags.of[id].origin, flag);
		if (!good[id])
			continue;
		argv[2] = "";
		if (id == SETTING_BASE_PATH)
			argv[2] = "/";
		if (id == SETTING_TLS_CERT || id == SETTING_TLS_KEY)
			argv[2] = "x";
		assert_int_equal(
			options_parse(3, argv, OPTIONS_SETTINGS, &options, error, sizeof(error)),
			-EINVAL);
		assert_int_equal(strncmp(error, flag, strlen(flag)), 0);
	}
}

static void what_is_printed_can_be_read_again(void **state)
{
	struct settings settings, again;
	char error[512], *text = NULL;
	struct scratch s;
	size_t len;
	FILE *out;

	(void)state;
	scratch_new(&s);
	scratch_write(&s, "x.conf",
		      "[agent]\nport = 1,2\nport = 3\nlisten = [::1]:5\ndb = /a b\n"
		      "base-path = /x\n");
	settings_default(&settings);
	assert_int_equal(settings_read(&settings, s.path, error, sizeof(error)), 0);
	out = open_memstream(&text, &len);
	settings_print(out, &settings);
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(text, "\nport             = 1,2,3                        # /"));
	assert_non_null(strstr(text, "/x.conf:3\n"));
	assert_non_null(
		strstr(text, "log-level        = info                         # default\n"));
	free(text);
	again = settings;
	assert_false(settings_differ(&settings, &again, SETTING_PORT));
	assert_int_equal(
		settings_set(&again, SETTING_PORT, "4", true, "port", "x", error, sizeof(error)),
		0);
	assert_true(settings_differ(&settings, &again, SETTING_PORT));
	scratch_free(&s);
}

static void the_scope_of_the_settings(void **state)
{
	struct settings settings;
	struct scope scope;
	char error[512];
	struct scratch s;

	(void)state;
	scratch_new(&s);
	scratch_write(
		&s, "x.conf",
		"[agent]\nport = 1,2\nport = 3\npid = 4\ncomm = a,b\ncgroup = /c\nnetns = n\n");
	settings_default(&settings);
	settings_scope(&settings, &scope);
	assert_int_equal(scope.nr_ports + scope.nr_pids + scope.nr_comms + scope.nr_cgroups +
				 scope.nr_netns,
			 0);
	assert_int_equal(settings_read(&settings, s.path, error, sizeof(error)), 0);
	settings_scope(&settings, &scope);
	assert_int_equal(scope.nr_ports, 3);
	assert_int_equal(scope.ports[2], 3);
	assert_int_equal(scope.nr_pids, 1);
	assert_string_equal(scope.comms[0], "a,b");
	assert_string_equal(scope.cgroups[0], "/c");
	assert_string_equal(scope.netns[0], "n");
	scratch_free(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("every key has a row, in this order", every_key_has_a_row),
		SENTENCE("a NUL byte", a_nul_byte),
		SENTENCE("too many values of a key", too_many_values),
		SENTENCE("files that cannot be read", files_that_cannot_be_read),
		SENTENCE("drop-ins in the order of their names",
			 drop_ins_in_the_order_of_their_names),
		SENTENCE("flags win over files", flags_win_over_files),
		SENTENCE("amounts are seconds and bytes", amounts_are_seconds_and_bytes),
		SENTENCE("every key is a flag", every_key_is_a_flag),
		SENTENCE("values are printed with where they came from",
			 what_is_printed_can_be_read_again),
		SENTENCE("the scope of the settings", the_scope_of_the_settings),
	};

	return check_run("settings", check_row, rows, sizeof(rows[0]), COUNT(rows), tests,
			 COUNT(tests));
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* options.c: what is accepted, and sentences that say what was wrong and what would be right. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "options.h"

#define ALL (OPTIONS_SCOPE | OPTIONS_FOR | OPTIONS_OUTPUT)
#define ARGS_MAX 160

/* Either what the options give, in the words of describe(), or the sentence that refuses them. */
struct row {
	const char *sentence;
	const char *args[8];
	const char *gives, *refused;
	const char *command; /* NULL: snapshot, which takes all groups; others take none */
};

#define PORTS "--port takes ports from 1 to 65535, separated by commas, not "
#define PID "--pid takes the number of a process, not "
#define COMM "--comm takes a process name of 1 to 15 bytes, as in /proc/PID/comm, not "
#define FOR "--for takes seconds, more than 0 and at most 31622400, not "
#define ONE_OUTPUT "give only one of --table, --json and --prometheus"

static const struct row rows[] = {
	{"nothing", {0}, .gives = ""},
	{"help", {"--help"}, .gives = "help"},
	{"help beside others", {"--for", "5", "--help", "--json"}, .gives = "for 5, json, help"},

	{"a port as the next word", {"--port", "8000"}, .gives = "scope, port 8000"},
	{"a port behind an equals sign", {"--port=8000"}, .gives = "scope, port 8000"},
	{"ports in a list",
	 {"--port", "1,443,65535"},
	 .gives = "scope, port 1, port 443, port 65535"},
	{"ports of both forms add up",
	 {"--port=80,81", "--port", "82"},
	 .gives = "scope, port 80, port 81, port 82"},
	{"a port twice is there twice", {"--port", "80,80"}, .gives = "scope, port 80, port 80"},
	{"zeros in front of a port", {"--port", "0080"}, .gives = "scope, port 80"},
	{"port 0", {"--port", "0"}, .refused = PORTS "`0'"},
	{"a port above the last", {"--port", "65536"}, .refused = PORTS "`65536'"},
	{"a port that would wrap to a good one",
	 {"--port", "4294967376"},
	 .refused = PORTS "`4294967376'"},
	{"a port that no number holds",
	 {"--port", "99999999999999999999999999"},
	 .refused = PORTS "`99999999999999999999999999'"},
	{"a negative port", {"--port", "-80"}, .refused = PORTS "`-80'"},
	{"a port with a sign", {"--port", "+80"}, .refused = PORTS "`+80'"},
	{"a port with a blank", {"--port", " 80"}, .refused = PORTS "` 80'"},
	{"a port in hexadecimal", {"--port", "0x50"}, .refused = PORTS "`0x50'"},
	{"a port by name", {"--port", "https"}, .refused = PORTS "`https'"},
	{"an empty port", {"--port="}, .refused = PORTS "`'"},
	{"a list that ends in a comma", {"--port", "80,"}, .refused = PORTS "`80,'"},
	{"a list that begins with a comma", {"--port", ",80"}, .refused = PORTS "`,80'"},
	{"a list with a hole", {"--port", "80,,81"}, .refused = PORTS "`80,,81'"},
	{"a list with one bad port names the whole list",
	 {"--port", "80,x"},
	 .refused = PORTS "`80,x'"},
	{"a port without a value", {"--port"}, .refused = "--port needs a value: --port N[,N]"},

	{"a process", {"--pid", "1"}, .gives = "scope, pid 1"},
	{"processes add up",
	 {"--pid=7", "--pid", "2147483647"},
	 .gives = "scope, pid 7, pid 2147483647"},
	{"process 0", {"--pid", "0"}, .refused = PID "`0'"},
	{"a negative process", {"--pid=-1"}, .refused = PID "`-1'"},
	{"a process that no pid_t holds", {"--pid", "2147483648"}, .refused = PID "`2147483648'"},
	{"a process by name", {"--pid", "node"}, .refused = PID "`node'"},
	{"processes in a list", {"--pid", "1,2"}, .refused = PID "`1,2'"},
	{"an empty process", {"--pid", ""}, .refused = PID "`'"},
	{"a process without a value", {"--pid"}, .refused = "--pid needs a value: --pid N"},

	{"a name", {"--comm", "node"}, .gives = "scope, comm node"},
	{"names add up", {"--comm=node", "--comm=nginx"}, .gives = "scope, comm node, comm nginx"},
	{"a name of 15 bytes",
	 {"--comm", "exactly-fifteen"},
	 .gives = "scope, comm exactly-fifteen"},
	{"a name with a comma is one name", {"--comm", "a,b"}, .gives = "scope, comm a,b"},
	{"a name that looks like an option", {"--comm", "--json"}, .gives = "scope, comm --json"},
	{"a name of 16 bytes",
	 {"--comm", "sixteen-bytes-it"},
	 .refused = COMM "`sixteen-bytes-it'"},
	{"an empty name", {"--comm="}, .refused = COMM "`'"},
	{"a name without a value", {"--comm"}, .refused = "--comm needs a value: --comm NAME"},

	{"a cgroup", {"--cgroup", "/system.slice"}, .gives = "scope, cgroup /system.slice"},
	{"cgroups add up", {"--cgroup=a", "--cgroup", "b"}, .gives = "scope, cgroup a, cgroup b"},
	{"a path with an equals sign, behind one", {"--cgroup=a=b"}, .gives = "scope, cgroup a=b"},
	{"a path with an equals sign, alone", {"--cgroup", "a=b"}, .gives = "scope, cgroup a=b"},
	{"an empty cgroup",
	 {"--cgroup", ""},
	 .refused = "--cgroup takes a path, not an empty string"},
	{"a cgroup without a value",
	 {"--cgroup"},
	 .refused = "--cgroup needs a value: --cgroup PATH"},
	{"a network namespace", {"--netns", "/run/netns/x"}, .gives = "scope, netns /run/netns/x"},
	{"network namespaces add up",
	 {"--netns=a", "--netns=b"},
	 .gives = "scope, netns a, netns b"},
	{"an empty network namespace",
	 {"--netns="},
	 .refused = "--netns takes a path, not an empty string"},
	{"a network namespace without a value",
	 {"--netns"},
	 .refused = "--netns needs a value: --netns PATH"},
	{"all of the scope",
	 {"--pid=3", "--netns=n", "--comm=c", "--port=2,1", "--cgroup=g"},
	 .gives = "scope, port 2, port 1, pid 3, comm c, cgroup g, netns n"},

	{"seconds", {"--for", "10"}, .gives = "for 10"},
	{"parts of a second", {"--for=0.25"}, .gives = "for 0.25"},
	{"seconds that begin with a point", {"--for", ".5"}, .gives = "for 0.5"},
	{"seconds of a leap year", {"--for", "31622400"}, .gives = "for 31622400"},
	{"the last --for counts", {"--for", "10", "--for=20"}, .gives = "for 20"},
	{"no seconds", {"--for", "0"}, .refused = FOR "`0'"},
	{"no seconds, in full", {"--for", "0.000"}, .refused = FOR "`0.000'"},
	{"negative seconds", {"--for", "-5"}, .refused = FOR "`-5'"},
	{"seconds above a year", {"--for", "31622401"}, .refused = FOR "`31622401'"},
	{"seconds that are no number", {"--for", "nan"}, .refused = FOR "`nan'"},
	{"endless seconds", {"--for", "inf"}, .refused = FOR "`inf'"},
	{"seconds with a unit", {"--for", "10s"}, .refused = FOR "`10s'"},
	{"seconds with two points", {"--for", "1.2.3"}, .refused = FOR "`1.2.3'"},
	{"seconds with a comma", {"--for", "1,5"}, .refused = FOR "`1,5'"},
	{"seconds with a blank", {"--for", " 5"}, .refused = FOR "` 5'"},
	{"seconds with a sign", {"--for", "+5"}, .refused = FOR "`+5'"},
	{"seconds in hexadecimal", {"--for", "0x10"}, .refused = FOR "`0x10'"},
	{"seconds with an exponent", {"--for", "1e3"}, .refused = FOR "`1e3'"},
	{"only a point", {"--for", "."}, .refused = FOR "`.'"},
	{"empty seconds", {"--for="}, .refused = FOR "`'"},
	{"--for without a value", {"--for"}, .refused = "--for needs a value: --for SECONDS"},
	{"--for before another option", {"--for", "--json"}, .refused = FOR "`--json'"},

	{"a table", {"--table"}, .gives = "table"},
	{"JSON", {"--json"}, .gives = "json"},
	{"Prometheus", {"--prometheus"}, .gives = "prometheus"},
	{"a format twice", {"--json", "--json"}, .gives = "json"},
	{"two formats", {"--json", "--prometheus"}, .refused = ONE_OUTPUT},
	{"two formats, with others between",
	 {"--table", "--for", "5", "--json"},
	 .refused = ONE_OUTPUT},
	{"a format with a value", {"--json=yes"}, .refused = "--json takes no value, not `yes'"},
	{"a format with an empty value", {"--json="}, .refused = "--json takes no value, not `'"},
	{"help with a value", {"--help=me"}, .refused = "--help takes no value, not `me'"},

	{"an unknown option",
	 {"--prot", "80"},
	 .refused = "`snapshot' takes no option `--prot'; see `wsvitals snapshot --help'"},
	{"an unknown option with a value",
	 {"--prot=80"},
	 .refused = "`snapshot' takes no option `--prot=80'; see `wsvitals snapshot --help'"},
	{"an option that was cut",
	 {"--por", "80"},
	 .refused = "`snapshot' takes no option `--por'; see `wsvitals snapshot --help'"},
	{"an option with one dash",
	 {"-port", "80"},
	 .refused = "`snapshot' takes no option `-port'; see `wsvitals snapshot --help'"},
	{"capitals",
	 {"--JSON"},
	 .refused = "`snapshot' takes no option `--JSON'; see `wsvitals snapshot --help'"},
	{"two dashes",
	 {"--"},
	 .refused = "`snapshot' takes no option `--'; see `wsvitals snapshot --help'"},
	{"only an equals sign",
	 {"=80"},
	 .refused = "`snapshot' takes no argument `=80'; see `wsvitals snapshot --help'"},
	{"a word too many",
	 {"--port", "80", "81"},
	 .refused = "`snapshot' takes no argument `81'; see `wsvitals snapshot --help'"},
	{"an empty word",
	 {""},
	 .refused = "`snapshot' takes no argument `'; see `wsvitals snapshot --help'"},
	{"the first mistake is the one that is told",
	 {"--port=x", "--pid=y"},
	 .refused = PORTS "`x'"},
	{"help does not hide a mistake", {"--help", "--pid=y"}, .refused = PID "`y'"},

	{"a command without options takes help", {"--help"}, .gives = "help", .command = "doctor"},
	{"an option of another command",
	 {"--port=80"},
	 .command = "doctor",
	 .refused = "`doctor' takes no option `--port=80'; see `wsvitals doctor --help'"},
	{"a format of another command",
	 {"--json"},
	 .command = "version",
	 .refused = "`version' takes no option `--json'; see `wsvitals version --help'"},
};

__attribute__((format(printf, 2, 3))) static void say(char *words, const char *format, ...)
{
	size_t len = strlen(words);
	va_list args;

	if (len)
		len += (size_t)snprintf(words + len, 512 - len, ", ");
	va_start(args, format);
	vsnprintf(words + len, 512 - len, format, args);
	va_end(args);
}

/* Options in words, in an order of their own. */
static void describe(const struct options *o, char words[512])
{
	static const char *const outputs[] = {"", "table", "json", "prometheus"};

	*words = '\0';
	if (o->has_scope)
		say(words, "scope");
	for (size_t i = 0; i < o->scope.nr_ports; i++)
		say(words, "port %d", o->scope.ports[i]);
	for (size_t i = 0; i < o->scope.nr_pids; i++)
		say(words, "pid %d", o->scope.pids[i]);
	for (size_t i = 0; i < o->scope.nr_comms; i++)
		say(words, "comm %s", o->scope.comms[i]);
	for (size_t i = 0; i < o->scope.nr_cgroups; i++)
		say(words, "cgroup %s", o->scope.cgroups[i]);
	for (size_t i = 0; i < o->scope.nr_netns; i++)
		say(words, "netns %s", o->scope.netns[i]);
	if (o->seconds != 0)
		say(words, "for %.10g", o->seconds);
	if (o->output != OUTPUT_NONE)
		say(words, "%s", outputs[o->output]);
	if (o->help)
		say(words, "help");
}

/* Words of a row as main() would hand them on. */
static int parse(const char *command, const char *const *args, size_t nr, struct options *options,
		 char *error, size_t error_size)
{
	char *argv[ARGS_MAX + 2] = {(char *)(command ? command : "snapshot")};

	assert_true(nr <= ARGS_MAX);
	for (size_t i = 0; i < nr; i++)
		argv[1 + i] = (char *)args[i];
	return options_parse((int)nr + 1, argv, command ? 0 : ALL, options, error, error_size);
}

static void one_line(void **state)
{
	const struct row *row = *state;
	struct options options, before;
	char error[256] = "untouched", words[512];
	size_t nr = 0;
	int err;

	while (nr < COUNT(row->args) && row->args[nr])
		nr++;
	memset(&options, 0xa5, sizeof(options));
	before = options;
	err = parse(row->command, row->args, nr, &options, error, sizeof(error));
	if (row->refused) {
		assert_int_equal(err, -EINVAL);
		assert_string_equal(error, row->refused);
		assert_memory_equal(&options, &before, sizeof(options));
		return;
	}
	assert_string_equal(error, "untouched");
	assert_int_equal(err, 0);
	describe(&options, words);
	assert_string_equal(words, row->gives);
}

static void an_option_takes_64_values(void **state)
{
	static const struct {
		const char *arg, *refused;
	} kinds[] = {
		{"--port=80", "--port takes at most 64 values"},
		{"--pid=1", "--pid takes at most 64 values"},
		{"--comm=x", "--comm takes at most 64 values"},
		{"--cgroup=x", "--cgroup takes at most 64 values"},
		{"--netns=x", "--netns takes at most 64 values"},
	};
	const char *args[COUNT(kinds) * SCOPE_VALUES + 1];
	size_t nr = 0;

	(void)state;
	assert_int_equal(SCOPE_VALUES, 64);
	for (size_t kind = 0; kind < COUNT(kinds); kind++) {
		struct options options;
		char error[256] = "";

		for (nr = 0; nr < SCOPE_VALUES; nr++)
			args[nr] = kinds[kind].arg;
		assert_int_equal(parse(NULL, args, nr, &options, error, sizeof(error)), 0);
		args[nr++] = kinds[kind].arg;
		assert_int_equal(parse(NULL, args, nr, &options, error, sizeof(error)), -EINVAL);
		assert_string_equal(error, kinds[kind].refused);
	}
}

static void one_list_may_fill_an_option_and_not_more(void **state)
{
	char list[] = "--port=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,"
		      "27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,"
		      "52,53,54,55,56,57,58,59,60,61,62,63,64,65";
	const char *args[] = {list};
	struct options options;
	char error[256] = "";

	(void)state;
	assert_int_equal(parse(NULL, args, 1, &options, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "--port takes at most 64 values");
	*strrchr(list, ',') = '\0';
	assert_int_equal(parse(NULL, args, 1, &options, error, sizeof(error)), 0);
	assert_int_equal(options.scope.nr_ports, 64);
	assert_int_equal(options.scope.ports[63], 64);
}

/* What to do must be there, however long the mistake is. */
static void a_long_mistake_does_not_push_the_advice_out(void **state)
{
	static const char *const advice[][2] = {
		{"", "see `wsvitals snapshot --help'"},
		{"--x", "see `wsvitals snapshot --help'"},
		{"--port=", "ports from 1 to 65535, separated by commas"},
		{"--pid=", "the number of a process"},
		{"--comm=", "1 to 15 bytes, as in /proc/PID/comm"},
		{"--for=", "seconds, more than 0 and at most 31622400"},
		{"--json=", "takes no value"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(advice); i++) {
		char word[1024];
		const char *args[] = {word};
		struct options options;
		char error[256];

		memset(word, 'y', sizeof(word) - 1);
		word[sizeof(word) - 1] = '\0';
		memcpy(word, advice[i][0], strlen(advice[i][0]));
		assert_int_equal(parse(NULL, args, 1, &options, error, sizeof(error)), -EINVAL);
		assert_non_null(strstr(error, advice[i][1]));
		assert_non_null(strstr(error, "yyy"));
	}
}

static void a_sentence_stays_within_its_buffer(void **state)
{
	const char *args[] = {"--port=http"};
	struct options options;

	(void)state;
	for (size_t size = 1; size < 128; size++) {
		char *error = malloc(size);

		assert_non_null(error);
		memset(error, 'x', size);
		assert_int_equal(parse(NULL, args, 1, &options, error, size), -EINVAL);
		assert_true(strnlen(error, size) < size);
		assert_memory_equal(error, PORTS "`http'", strlen(error));
		free(error);
	}
}

/* What options_describe() prints. */
static char *printed(unsigned groups)
{
	FILE *old = stdout;
	char *text = NULL;
	size_t len;

	stdout = open_memstream(&text, &len);
	assert_non_null(stdout);
	options_describe(groups);
	fclose(stdout);
	stdout = old;
	return text;
}

static void help_names_what_a_command_takes(void **state)
{
	static const struct {
		unsigned group;
		const char *line;
	} lines[] = {
		{OPTIONS_FOR, "  --for SECONDS "},   {OPTIONS_SCOPE, "  --port N[,N] "},
		{OPTIONS_SCOPE, "  --pid N "},       {OPTIONS_SCOPE, "  --comm NAME "},
		{OPTIONS_SCOPE, "  --cgroup PATH "}, {OPTIONS_SCOPE, "  --netns PATH "},
		{OPTIONS_OUTPUT, "  --table "},      {OPTIONS_OUTPUT, "  --json "},
		{OPTIONS_OUTPUT, "  --prometheus "}, {ALL, "  --help "},
	};

	(void)state;
	for (unsigned groups = 0; groups <= ALL; groups++) {
		char *text = printed(groups);
		size_t found = 0, newlines = 0;

		for (size_t i = 0; i < COUNT(lines); i++) {
			bool taken = lines[i].group == ALL || (lines[i].group & groups);

			assert_int_equal(strstr(text, lines[i].line) != NULL, taken);
			found += taken;
		}
		for (const char *at = text; (at = strchr(at, '\n')); at++)
			newlines++;
		assert_int_equal(newlines, found); /* and nothing else */
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("an option takes 64 values", an_option_takes_64_values),
		SENTENCE("one list may fill an option, and not more",
			 one_list_may_fill_an_option_and_not_more),
		SENTENCE("a long mistake does not push the advice out",
			 a_long_mistake_does_not_push_the_advice_out),
		SENTENCE("a sentence stays within its buffer", a_sentence_stays_within_its_buffer),
		SENTENCE("help names what a command takes, and nothing else",
			 help_names_what_a_command_takes),
	};

	return check_run("options", one_line, rows, sizeof(rows[0]), COUNT(rows), tests,
			 COUNT(tests));
}

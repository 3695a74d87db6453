// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* log.c: one clean line a message, and each distinct problem once a minute with a count. */
#define _GNU_SOURCE
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "log.h"

#define FFFD "\xef\xbf\xbd"
#define STAMP "^ts=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "

static time_t now = 1000; /* on the monotonic clock, of log.c too */

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	*ret_time = (struct timespec){.tv_sec = clock == CLOCK_MONOTONIC ? now : 1704110400};
	return 0;
}

/* What is written to stderr between the two. */
struct capture {
	FILE *file;
	int before;
	char text[16384];
};

static void capture_begin(struct capture *c)
{
	c->file = tmpfile();
	c->before = dup(STDERR_FILENO);
	assert_true(c->file && dup2(fileno(c->file), STDERR_FILENO) >= 0);
}

static const char *capture_end(struct capture *c)
{
	size_t len;

	assert_true(dup2(c->before, STDERR_FILENO) >= 0);
	close(c->before);
	rewind(c->file);
	len = fread(c->text, 1, sizeof(c->text) - 1, c->file);
	c->text[len] = '\0';
	fclose(c->file);
	return c->text;
}

static void matches(const char *text, const char *pattern)
{
	regex_t regex;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&regex, text, 0, NULL, 0))
		fail_msg("`%s' does not match %s", text, pattern);
	regfree(&regex);
}

static int plain(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_set_part(NULL);
	log_set_level(LOG_INFO);
	return 0;
}

static int structured(void **state)
{
	plain(state);
	log_set_part("agent");
	return 0;
}

static void commands_speak_plainly(void **state)
{
	struct capture c;

	(void)state;
	capture_begin(&c);
	log_error("cannot do %s", "it");
	assert_string_equal(capture_end(&c), "wsvitals: cannot do it\n");
}

static void the_agent_writes_fields(void **state)
{
	struct capture c;

	(void)state;
	capture_begin(&c);
	log_warning("it is %d o'clock", 5);
	matches(capture_end(&c), STAMP "level=warning part=agent msg=\"it is 5 o'clock\"\n$");
}

static void a_message_is_one_clean_line(void **state)
{
	const char *evil = "a\nlevel=error msg=\"b\"\r\t\x1b[2J\x7f\xc2\x9b\\\xe2\x80\xae\xff";
	struct capture c;

	(void)state;
	capture_begin(&c);
	log_info("%s", evil);
	matches(capture_end(&c), STAMP "level=info part=agent msg=\"a" FFFD
				       "level=error msg=\\\\\"b\\\\\"" FFFD FFFD FFFD
				       "\\[2J" FFFD FFFD "\\\\\\\\" FFFD FFFD "\"\n$");
	plain(state);
	capture_begin(&c);
	log_info("%s", evil);
	assert_string_equal(capture_end(&c),
			    "wsvitals: a" FFFD "level=error msg=\"b\"" FFFD FFFD FFFD
			    "[2J" FFFD FFFD "\\" FFFD FFFD "\n");
}

static void a_long_message_is_cut(void **state)
{
	static char text[5000];
	struct capture c;
	size_t len;

	(void)state;
	memset(text, '"', sizeof(text) - 1);
	capture_begin(&c);
	log_info("%s", text);
	capture_end(&c);
	len = strlen(c.text);
	assert_true(len > 2000 && len < 2200);
	assert_string_equal(c.text + len - 4, "\\\"\"\n");
	memset(text, 1, sizeof(text) - 1);
	capture_begin(&c);
	log_info("%s", text);
	capture_end(&c);
	len = strlen(c.text);
	assert_true(len > 3000 && len < 3200);
	assert_string_equal(c.text + len - 5, FFFD "\"\n");
}

static void levels(void **state)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	struct capture c;

	(void)state;
	for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		log_set_level((enum log_level)level);
		capture_begin(&c);
		for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
			log_message((enum log_level)i, "x");
		capture_end(&c);
		for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
			char wanted[32];

			snprintf(wanted, sizeof(wanted), "level=%s ", names[i]);
			assert_int_equal(!!strstr(c.text, wanted), i <= level);
		}
	}
}

static void the_journal_gets_priorities(void **state)
{
	struct capture c;
	char stream[64];
	struct stat st;

	(void)state;
	capture_begin(&c);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_set_part("keeper");
	log_set_level(LOG_DEBUG);
	log_error("a");
	log_warning("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(capture_end(&c), "<3>level=error part=keeper msg=\"a\"\n"
					     "<4>level=warning part=keeper msg=\"b\"\n"
					     "<6>level=info part=keeper msg=\"c\"\n"
					     "<7>level=debug part=keeper msg=\"d\"\n");
}

static void another_stream_is_no_journal(void **state)
{
	static const char *const streams[] = {"", "x", "1", "1:", ":1", "1:2", "0:0", "1:2:3"};
	struct capture c;

	(void)state;
	for (size_t i = 0; i < COUNT(streams); i++) {
		capture_begin(&c);
		setenv("JOURNAL_STREAM", streams[i], 1);
		log_set_part("agent");
		log_info("x");
		matches(capture_end(&c), STAMP "level=info");
	}
}

/* One place in the code, as log.c sees it. */
static void problem(int n)
{
	log_problem(LOG_WARNING, "the disk is full %d", n);
}

static void a_problem_once_a_minute(void **state)
{
	struct capture c;

	(void)state;
	capture_begin(&c);
	for (int i = 0; i < 100; i++)
		problem(i);
	log_flush();
	matches(capture_end(&c), STAMP "level=warning part=agent msg=\"the disk is full 0\"\n$");

	now += 59;
	capture_begin(&c);
	problem(100);
	log_flush();
	assert_string_equal(capture_end(&c), "");

	now += 1;
	capture_begin(&c);
	problem(101);
	problem(102);
	matches(capture_end(&c),
		STAMP "level=warning part=agent msg=\"the disk is full 101\" held_back=100\n$");

	/* what was held back is said even if it does not come again */
	now += 60;
	capture_begin(&c);
	log_flush();
	log_flush();
	matches(capture_end(&c),
		STAMP "level=warning part=agent msg=\"the disk is full 102\" held_back=1\n$");

	now += 60;
	capture_begin(&c);
	log_flush();
	problem(103);
	matches(capture_end(&c), STAMP "level=warning part=agent msg=\"the disk is full 103\"\n$");
}

static void problems_are_apart(void **state)
{
	struct capture c;

	(void)state;
	capture_begin(&c);
	for (int i = 0; i < 3; i++) {
		log_problem(LOG_ERROR, "one %d", i);
		log_problem(LOG_INFO, "two %d", i);
		log_problem(LOG_DEBUG, "not at this level %d", i);
	}
	matches(capture_end(&c), "level=error part=agent msg=\"one 0\"\n"
				 "ts=[^ ]* level=info part=agent msg=\"two 0\"\n$");
}

/* There is room for some; those beyond are written each time rather than lost. */
static void more_problems_than_are_remembered(void **state)
{
	static char formats[100][16];
	struct capture c;
	unsigned lines = 0;

	(void)state;
	capture_begin(&c);
	for (int i = 0; i < 100; i++) {
		snprintf(formats[i], sizeof(formats[i]), "many %d", i);
		for (int k = 0; k < 2; k++)
			log_problem(LOG_WARNING, formats[i], 0);
	}
	capture_end(&c);
	for (const char *at = c.text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_true(lines > 100 && lines < 200);
	assert_non_null(strstr(c.text, "\"many 99\""));
}

#define TEST(text, fn, setup)                                                                      \
	{                                                                                          \
		.name = (text), .test_func = (fn), .setup_func = (setup)                           \
	}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST("commands speak plainly", commands_speak_plainly, plain),
		TEST("the agent writes fields", the_agent_writes_fields, structured),
		TEST("a message is one clean line", a_message_is_one_clean_line, structured),
		TEST("a long message is cut", a_long_message_is_cut, structured),
		TEST("levels", levels, structured),
		TEST("the journal gets priorities", the_journal_gets_priorities, structured),
		TEST("another stream is no journal", another_stream_is_no_journal, structured),
		TEST("a problem once a minute, with a count", a_problem_once_a_minute, structured),
		TEST("problems are apart", problems_are_apart, structured),
		TEST("more problems than are remembered", more_problems_than_are_remembered,
		     structured),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "label.h"

#define LINE_MAX_BYTES 1024
#define CLEAN_MAX_BYTES (3 * LINE_MAX_BYTES) /* U+FFFD, for a byte, has three */
#define PROBLEMS 64            /* distinct ones that are remembered; further ones are not limited */
#define PROBLEM_NS 60000000000 /* once a minute */

struct problem {
	const char *format; /* its address is the place in the code */
	uint64_t written_ns;
	uint64_t held_back;
	enum log_level level;
	char last[LINE_MAX_BYTES]; /* the last one that was held back */
};

static enum log_level log_level = LOG_INFO;
static const char *log_part; /* NULL: plain */
static bool log_journal;
static struct problem problems[PROBLEMS];

void log_set_level(enum log_level level)
{
	log_level = level;
}

/* systemd.exec(5): JOURNAL_STREAM is device:inode of the stream that leads to the journal. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char *colon, *end;
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st))
		return false;
	return strtoull(stream, &colon, 10) == st.st_dev && *colon == ':' &&
	       strtoull(colon + 1, &end, 10) == st.st_ino && !*end;
}

void log_set_part(const char *part)
{
	log_part = part;
	log_journal = stderr_is_journal();
}

/* As a logfmt value between its quotes. */
static void quote(const char *text, char *to, size_t size)
{
	size_t len = 0;

	for (; *text && len + 3 < size; text++) {
		if (*text == '"' || *text == '\\')
			to[len++] = '\\';
		to[len++] = *text;
	}
	to[len] = '\0';
}

static void write_structured(enum log_level level, const char *text, uint64_t held_back)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"}; /* sd-daemon(3) */
	char quoted[2 * CLEAN_MAX_BYTES], stamp[64] = "", repeated[48] = "";
	struct timespec now;
	struct tm tm;

	quote(text, quoted, sizeof(quoted));
	if (!log_journal && !clock_gettime(CLOCK_REALTIME, &now) && gmtime_r(&now.tv_sec, &tm)) {
		size_t len = strftime(stamp, sizeof(stamp), "ts=%Y-%m-%dT%H:%M:%S", &tm);

		snprintf(stamp + len, sizeof(stamp) - len, ".%03ldZ ", now.tv_nsec / 1000000);
	}
	if (held_back)
		snprintf(repeated, sizeof(repeated), " held_back=%llu",
			 (unsigned long long)held_back);
	/* One write per line, so that lines of two processes do not mix. */
	dprintf(STDERR_FILENO, "%s%slevel=%s part=%s msg=\"%s\"%s\n",
		log_journal ? priorities[level] : "", stamp, names[level], log_part, quoted,
		repeated);
}

/* What a message quotes may come from anywhere: no control character reaches a terminal. */
static void write_line(enum log_level level, const char *text, uint64_t held_back)
{
	char clean[CLEAN_MAX_BYTES];

	label_clean((struct text){text, strlen(text)}, clean, sizeof(clean));
	if (log_part)
		write_structured(level, clean, held_back);
	else
		fprintf(stderr, "wsvitals: %s\n", clean);
}

void log_message(enum log_level level, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;

	if (level > log_level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	write_line(level, text, 0);
}

static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct problem *problem_of(const char *format)
{
	for (size_t i = 0; i < PROBLEMS; i++) {
		if (!problems[i].format)
			problems[i].format = format;
		if (problems[i].format == format)
			return &problems[i];
	}
	return NULL;
}

void log_problem(enum log_level level, const char *format, ...)
{
	struct problem *problem;
	char text[LINE_MAX_BYTES];
	uint64_t now = now_ns();
	va_list args;

	if (level > log_level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	problem = problem_of(format);
	if (problem && problem->written_ns && now - problem->written_ns < PROBLEM_NS) {
		problem->held_back++;
		problem->level = level;
		memcpy(problem->last, text, sizeof(text));
		return;
	}
	write_line(level, text, problem ? problem->held_back : 0);
	if (problem) {
		problem->held_back = 0;
		problem->written_ns = now;
	}
}

void log_flush(void)
{
	uint64_t now = now_ns();

	for (size_t i = 0; i < PROBLEMS && problems[i].format; i++) {
		struct problem *problem = &problems[i];

		if (!problem->held_back || now - problem->written_ns < PROBLEM_NS)
			continue;
		write_line(problem->level, problem->last, problem->held_back);
		problem->held_back = 0;
		problem->written_ns = now;
	}
}

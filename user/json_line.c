// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "json_line.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DIGITS_MAX 20 /* of 64 bits */

void line_begin(struct json_line *ret_line, char *text, size_t size)
{
	*ret_line = (struct json_line){.at = text, .end = text + size, .first = true};
}

size_t line_end(struct json_line *line, const char *text)
{
	return line->full ? 0 : (size_t)(line->at - text);
}

static void put_bytes(struct json_line *line, const char *bytes, size_t len)
{
	if (line->full || (size_t)(line->end - line->at) < len) {
		line->full = true;
		return;
	}
	memcpy(line->at, bytes, len);
	line->at += len;
}

static void put_key(struct json_line *line, const char *key)
{
	if (!line->first)
		put_bytes(line, ",", 1);
	line->first = false;
	if (!key)
		return;
	put_bytes(line, "\"", 1);
	put_bytes(line, key, strlen(key));
	put_bytes(line, "\":", 2);
}

/* With zeros before it up to so many digits. */
static void put_digits(struct json_line *line, uint64_t number, unsigned least)
{
	char digits[DIGITS_MAX], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) || digits + sizeof(digits) - at < (ptrdiff_t)least);
	put_bytes(line, at, (size_t)(digits + sizeof(digits) - at));
}

static void open_with(struct json_line *line, const char *key, const char *bracket)
{
	put_key(line, key);
	put_bytes(line, bracket, 1);
	line->first = true;
}

static void close_with(struct json_line *line, const char *bracket)
{
	put_bytes(line, bracket, 1);
	line->first = false;
}

void line_open(struct json_line *line, const char *key)
{
	open_with(line, key, "{");
}

void line_close(struct json_line *line)
{
	close_with(line, "}");
}

void line_list(struct json_line *line, const char *key)
{
	open_with(line, key, "[");
}

void line_list_end(struct json_line *line)
{
	close_with(line, "]");
}

void line_null(struct json_line *line, const char *key)
{
	put_key(line, key);
	put_bytes(line, "null", 4);
}

void line_count(struct json_line *line, const char *key, uint64_t count)
{
	put_key(line, key);
	/* more than readers of JSON hold comes from a damaged file only */
	put_digits(line, count > INT64_MAX ? INT64_MAX : count, 1);
}

void line_number(struct json_line *line, const char *key, double value, unsigned decimals)
{
	static const uint64_t powers[] = {1,      10,      100,      1000,      10000,
					  100000, 1000000, 10000000, 100000000, 1000000000};
	uint64_t steps = powers[decimals], fraction;
	double scaled = round(fabs(value) * (double)steps);
	char text[40];

	put_key(line, key);
	if (!isfinite(value)) { /* JSON has no such numbers */
		put_bytes(line, "null", 4);
		return;
	}
	if (scaled >= 0x1p63) { /* too large to have decimals */
		put_bytes(line, text, (size_t)snprintf(text, sizeof(text), "%.16e", value));
		return;
	}
	if (value < 0 && scaled > 0)
		put_bytes(line, "-", 1);
	put_digits(line, (uint64_t)scaled / steps, 1);
	put_bytes(line, ".", 1);
	for (fraction = (uint64_t)scaled % steps; decimals > 1 && fraction % 10 == 0; decimals--)
		fraction /= 10;
	put_digits(line, fraction, decimals);
}

void line_time(struct json_line *line, const char *key, int64_t time_s)
{
	time_t at = (time_t)time_s;
	char text[40];
	struct tm tm;
	size_t len = 0;

	if (gmtime_r(&at, &tm))
		len = strftime(text, sizeof(text), "\"%Y-%m-%dT%H:%M:%SZ\"", &tm);
	put_key(line, key);
	put_bytes(line, len ? text : "null", len ? len : 4);
}

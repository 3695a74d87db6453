// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* table.c, through its .c so that the texts of numbers can be tried alone. */
#include <sodium.h>

#include "check.h"
#include "random.h"
#include "synthetic.h"

/* The object is linked too. */
#define table_print table_print_here
#include "../../user/table.c"

enum what { TIME, BYTES, COUNTED, RATE, CUT, SQUEEZE };

struct row {
	const char *sentence;
	enum what what;
	double in;
	const char *text, *out;
};

static const struct row rows[] = {
	{"nothing takes no time", TIME, 0, NULL, "0 ns"},
	{"nanoseconds", TIME, 840, NULL, "840 ns"},
	{"almost a microsecond", TIME, 999.6, NULL, "1.00 µs"},
	{"microseconds", TIME, 65200, NULL, "65.2 µs"},
	{"three digits, not two", TIME, 9994999, NULL, "9.99 ms"},
	{"rounded into the next digit", TIME, 9996000, NULL, "10.0 ms"},
	{"rounded into the next unit", TIME, 999.9e6, NULL, "1.00 s"},
	{"a minute is still seconds", TIME, 90e9, NULL, "90.0 s"},
	{"minutes", TIME, 600e9, NULL, "10.0 min"},
	{"hours", TIME, 7200e9, NULL, "2.00 h"},
	{"days", TIME, 10 * 86400e9, NULL, "10.0 d"},
	{"bytes", BYTES, 999, NULL, "999 B"},
	{"kilobytes", BYTES, 1000, NULL, "1.00 kB"},
	{"rounded to a megabyte", BYTES, 999999, NULL, "1.00 MB"},
	{"exabytes", BYTES, 5e18, NULL, "5.00 EB"},
	{"a small count", COUNTED, 999, NULL, "999"},
	{"a count of four digits", COUNTED, 1000, NULL, "1,000"},
	{"a count of seven", COUNTED, 1234567, NULL, "1,234,567"},
	{"a slow rate", RATE, 0.126, NULL, "0.13"},
	{"a rate", RATE, 34.56, NULL, "34.6"},
	{"a fast rate", RATE, 12345.6, NULL, "12,346"},
	{"what fits is not cut", CUT, 5, "hello", "hello"},
	{"what does not fit ends in an ellipsis", CUT, 4, "hello", "hel…"},
	{"wide characters take two columns", CUT, 5, "亀亀亀", "亀亀…"},
	{"combining ones take none", CUT, 2,
	 "e\xcc\x81"
	 "e\xcc\x81"
	 "e",
	 "e\xcc\x81…"},
	{"runs of blanks are one", SQUEEZE, 0, "  a   b  ", "a b"},
};

static void one(void **state)
{
	const struct row *row = *state;
	char text[LABEL_SIZE] = "";

	switch (row->what) {
	case TIME:
		time_text(row->in, text);
		break;
	case BYTES:
		bytes_text((uint64_t)row->in, text);
		break;
	case COUNTED:
		count_text((uint64_t)row->in, text);
		break;
	case RATE:
		rate_text(row->in, text);
		break;
	case CUT:
		strcpy(text, row->text);
		text_cut(text, (unsigned)row->in);
		break;
	case SQUEEZE:
		strcpy(text, row->text);
		text_squeeze(text);
		break;
	}
	assert_string_equal(text, row->out);
}

static char *page_of(const struct summary *summary, unsigned width, bool bold, double left_s)
{
	struct table_style style = {
		.width = width, .bold = bold, .scope = "port 8000", .left_s = left_s};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	table_print(out, summary, &style);
	fclose(out);
	return text;
}

/* Everything at once: many servers, long names, every error. */
static struct world *busy_world(void)
{
	struct world *w = world_new();
	char path[300];

	world_server(w, SERVER + 1, "a-name-of-fifte", 65535);
	snprintf(w->reading->servers[SERVER + 1].process.unit, LABEL_UNIT_SIZE, "%s",
		 "a-very-long-unit-name-that-somebody-chose-for-it.service");
	for (int i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "/%d/%0*d/亀  \x1b[31m", i, 150, i);
		world_walk(w, (struct walk_record){
				      .id = world_open(w, 0, (struct open_args){.path = path}),
				      .open_ns = START});
		world_open(
			w, SECOND,
			(struct open_args){.type = EVENT_REFUSED,
					   .status = 401,
					   .path = path,
					   .response = "HTTP/1.1 401 \x1b]0;no\x07  way\r\n\r\n"});
	}
	for (uint16_t code = 1000; code < 1016; code++)
		world_outcome(w, SERVER, OUTCOME_CLOSE, code, BY_SERVER, 0, 1234567);
	for (uint16_t code = 4000; code < 4200; code++)
		world_outcome(w, SERVER, OUTCOME_CLOSE, code, BY_CLIENT, 0, 1234567);
	for (uint16_t cause = 0; cause < NR_CAUSES; cause++)
		world_outcome(w, SERVER, OUTCOME_ABNORMAL, cause, 0, 0, 1234567);
	world_outcome(w, SERVER, OUTCOME_REFUSED, 401, BY_SERVER, 0, 40);
	world_counters(w, SERVER)->received = 1234567890;
	world_counters(w, SERVER)->bytes_received = 1234567890;
	world_latency(w, SERVER, 4210000, SECOND);
	world_sample(w, 2 * SECOND);
	return w;
}

static void no_line_is_wider_than_the_page(void **state)
{
	struct world *w = busy_world();

	(void)state;
	for (unsigned width = TABLE_WIDTH_MIN; width <= TABLE_WIDTH_MAX; width += 4) {
		char *page = page_of(w->summary, width, false, -1), *save = NULL;

		for (char *line = strtok_r(page, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			if (text_width(line) > width)
				fail_msg("%u columns at width %u: %s", text_width(line), width,
					 line);
			if (line[strlen(line) - 1] == ' ')
				fail_msg("ends in a blank: `%s'", line);
		}
		free(page);
	}
	world_free(w);
}

static void no_control_byte_of_strangers_passes(void **state)
{
	struct world *w = busy_world();
	char *page = page_of(w->summary, 120, false, -1);

	(void)state;
	for (const char *at = page; *at; at++)
		assert_false(((unsigned char)*at < 0x20 && *at != '\n') || *at == 0x7f);
	assert_non_null(strstr(page, "\xef\xbf\xbd]0;no\xef\xbf\xbd way"));
	free(page);
	world_free(w);
}

static void on_a_terminal_only_titles_are_bold(void **state)
{
	struct world *w = busy_world();
	char *page = page_of(w->summary, 120, true, 12.4),
	     *plain = page_of(w->summary, 120, false, 12.4);
	char *to = page;

	(void)state;
	assert_non_null(strstr(page, "\033[1mwsvitals: port 8000, 12 s left\033[0m\n"));
	for (const char *at = page; *at;) {
		if (strncmp(at, "\033[1m", 4) == 0 || strncmp(at, "\033[0m", 4) == 0)
			at += 4;
		else
			*to++ = *at++;
	}
	*to = '\0';
	assert_string_equal(page, plain);
	free(page);
	free(plain);
	world_free(w);
}

static void the_final_table_says_what_was_counted(void **state)
{
	struct world *w = busy_world();
	char *page = page_of(w->summary, 130, false, -1);

	(void)state;
	assert_non_null(strstr(
		page, "wsvitals: port 8000, counted for 2.00 s until 2024-01-01 12:00:02 UTC\n"));
	assert_non_null(strstr(page, "THE BOOKS DO NOT BALANCE"));
	assert_non_null(strstr(page, "\nNOT BALANCED"));
	assert_non_null(strstr(page, "4.21 ms"));
	assert_non_null(strstr(page, "authentication_error"));
	assert_non_null(strstr(page, "all others"));
	free(page);
	world_free(w);
}

static void nothing_seen_is_said_calmly(void **state)
{
	struct world *w = world_new();
	char *page;

	(void)state;
	w->reading->servers[SERVER].used = false;
	page = page_of(world_sample(w, SECOND), 100, false, -1);
	assert_non_null(strstr(
		page, "0 connections open, 0.00 messages/s, no errors. All books balance.\n"));
	assert_non_null(strstr(page, "no WebSocket was opened yet\n"));
	assert_non_null(strstr(page, "nothing was lost"));
	assert_null(strstr(page, " nan"));
	free(page);
	world_free(w);
}

static void random_cuts_leave_whole_characters(void **state)
{
	static const char *const pieces[] = {"a", "é", "亀", "🐢", "e\xcc\x81", " ", "…"};
	uint64_t seed = 9;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[LABEL_SIZE] = "", clean[LABEL_SIZE];
		unsigned width = 1 + (unsigned)random_below(&seed, 60);

		while (strlen(text) < LABEL_SIZE - 5 && random_below(&seed, 40))
			strcat(text, pieces[random_below(&seed, COUNT(pieces))]);
		text_cut(text, width);
		assert_true(text_width(text) <= width);
		label_clean((struct text){text, strlen(text)}, clean, sizeof(clean));
		assert_string_equal(text, clean); /* still well-formed */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("no line is wider than the page", no_line_is_wider_than_the_page),
		SENTENCE("no control byte of strangers passes",
			 no_control_byte_of_strangers_passes),
		SENTENCE("on a terminal only titles are bold", on_a_terminal_only_titles_are_bold),
		SENTENCE("the final table says what was counted",
			 the_final_table_says_what_was_counted),
		SENTENCE("nothing seen is said calmly", nothing_seen_is_said_calmly),
		SENTENCE("random cuts leave whole characters", random_cuts_leave_whole_characters),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("table", one, rows, sizeof(rows[0]), COUNT(rows), tests, COUNT(tests));
}

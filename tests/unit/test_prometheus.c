// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* prometheus.c: text that says what the summary says, in a form that no stranger can break. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "prometheus.h"
#include "random.h"
#include "synthetic.h"

static char *text_in(const struct summary *summary, enum prometheus_format format)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	prometheus_print(out, summary, format);
	fclose(out);
	return text;
}

static char *text_of(const struct summary *summary)
{
	return text_in(summary, PROMETHEUS_TEXT);
}

/* The whole line is there. */
static void assert_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at++)
		if ((at == text || at[-1] == '\n') && at[len] == '\n')
			return;
	fail_msg("no line `%s'", line);
}

static void counters_are_per_server(void **state)
{
	struct world *w = world_new();
	char *text;

	(void)state;
	world_server(w, SERVER + 1, "python3", 9000);
	world_counters(w, SERVER)->received = 7;
	world_counters(w, SERVER)->unanswered = 7;
	world_counters(w, SERVER + 1)->bytes_sent = 1ull << 60;
	world_counters(w, SERVER)->opened = world_counters(w, SERVER)->closed = 4;
	world_outcome(w, SERVER, OUTCOME_CLOSE, 4999, BY_CLIENT, 0, 3);
	world_outcome(w, SERVER, OUTCOME_ABNORMAL, CAUSE_TIMEOUT, 0, 0, 1);
	world_outcome(w, SERVER, OUTCOME_REFUSED, 503, BY_SERVER, 0, 2);
	text = text_of(world_sample(w, SECOND));
	assert_line(text, "wsvitals_messages_total{server=\"node:8000\",direction=\"received\"} 7");
	assert_line(text,
		    "wsvitals_messages_total{server=\"python3:9000\",direction=\"received\"} 0");
	assert_line(text,
		    "wsvitals_message_bytes_total{server=\"python3:9000\",direction=\"sent\"} "
		    "1152921504606846976");
	assert_line(text,
		    "wsvitals_errors_total{server=\"node:8000\",type=\"application_error\"} 3");
	assert_line(
		text,
		"wsvitals_closes_total{server=\"node:8000\",code=\"4xxx\",initiator=\"client\"} 3");
	assert_line(text,
		    "wsvitals_abnormal_closures_total{server=\"node:8000\",cause=\"timeout\"} 1");
	assert_line(text, "wsvitals_upgrades_refused_total{server=\"node:8000\",status=\"5xx\"} 2");
	assert_line(text, "wsvitals_capture_balanced 1");
	assert_line(text, "# TYPE wsvitals_messages_total counter");
	free(text);
	world_free(w);
}

static void hostile_names_stay_inside_their_quotes(void **state)
{
	struct world *w = world_new();
	char *text;

	(void)state;
	world_server(w, SERVER + 1, "a\"} 1\n#\\", 1);
	text = text_of(world_sample(w, SECOND));
	assert_line(text, "wsvitals_connections{server=\"a\\\"} 1\xef\xbf\xbd#\\\\:1\"} 0");
	free(text);
	world_free(w);
}

static void every_family_has_help_and_type_once(void **state)
{
	struct world *w = world_new();
	char *text, *line, *save = NULL;
	char last[128] = "", names[64][128];
	size_t nr = 0;

	(void)state;
	world_server(w, SERVER + 1, "python3", 9000);
	text = text_of(world_sample(w, SECOND));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[128] = "";

		if (strncmp(line, "# HELP ", 7) == 0) {
			snprintf(last, sizeof(last), "%.*s", (int)strcspn(line + 7, " "), line + 7);
			for (size_t i = 0; i < nr; i++)
				assert_string_not_equal(names[i], last);
			assert_true(nr < COUNT(names));
			strcpy(names[nr++], last);
			assert_true(strlen(line) > 7 + strlen(last) + 1);
		} else if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_memory_equal(line + 7, last, strlen(last));
		} else { /* a sample of the family above it */
			snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, "{ "), line);
			assert_memory_equal(name, last, strlen(last));
		}
	}
	assert_true(nr > 20);
	free(text);
	world_free(w);
}

static void buckets_are_exact_and_end_with_all(void **state)
{
	struct world *w = world_new();
	uint64_t seed = 11, values[500], below = 0, sum = 0;
	char *text, line[160];

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		values[i] = random_next(&seed) >> (64 - 30);
		world_latency(w, SERVER, values[i], SECOND / 2);
		sum += values[i];
	}
	text = text_of(world_sample(w, SECOND));
	for (unsigned e = 16; e <= 37; e++) {
		below = 0;
		for (size_t i = 0; i < COUNT(values); i++)
			below += values[i] < 1ull << e;
		snprintf(line, sizeof(line),
			 "wsvitals_latency_seconds_bucket{server=\"node:8000\",le=\"%.9g\"} "
			 "%" PRIu64,
			 (double)(1ull << e) / 1e9, below);
		assert_line(text, line);
		if (e == 37)
			break;
		below = 0;
		for (size_t i = 0; i < COUNT(values); i++)
			below += values[i] < 3ull << (e - 1);
		snprintf(line, sizeof(line),
			 "wsvitals_latency_seconds_bucket{server=\"node:8000\",le=\"%.9g\"} "
			 "%" PRIu64,
			 (double)(3ull << (e - 1)) / 1e9, below);
		assert_line(text, line);
	}
	assert_line(text, "wsvitals_latency_seconds_bucket{server=\"node:8000\",le=\"+Inf\"} 500");
	assert_line(text, "wsvitals_latency_seconds_count{server=\"node:8000\"} 500");
	snprintf(line, sizeof(line), "wsvitals_latency_seconds_sum{server=\"node:8000\"} %.9f",
		 (double)sum / 1e9);
	assert_line(text, line);
	free(text);
	world_free(w);
}

static void a_measure_without_a_hook_has_no_series(void **state)
{
	struct world *w = world_new();
	char *text;

	(void)state;
	text = text_of(world_sample(w, SECOND));
	assert_non_null(strstr(text, "wsvitals_queue_wait_seconds_count"));
	free(text);
	w->reading->hooks[0].attached = false;
	text = text_of(world_sample(w, 2 * SECOND));
	assert_null(strstr(text, "wsvitals_queue_wait_seconds"));
	assert_line(
		text,
		"wsvitals_hook_attached{hook=\"tp_btf/sk_data_ready\",purpose=\"queue wait\"} 0");
	free(text);
	world_free(w);
}

static void series_are_bounded(void **state)
{
	struct world *w = world_new();
	size_t lines = 0;
	char *text;

	(void)state;
	for (uint32_t slot = SERVER + 1; slot < MAX_SERVERS; slot++)
		world_server(w, slot, "node", (uint16_t)slot);
	for (uint16_t code = 3000; code < 5000; code++)
		world_outcome(w, SERVER, OUTCOME_CLOSE, code, BY_CLIENT, 0, 1);
	text = text_of(world_sample(w, SECOND));
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	assert_true(lines < MAX_SERVERS * 320ul);
	free(text);
	world_free(w);
}

/* --- what others say of it --- */

/* Series of every kind, hostile names among them. */
static struct world *busy_world(void)
{
	struct world *w = world_new();
	struct server_rare *rare = w->reading->servers[SERVER].rare;
	uint64_t seed = 5;

	world_server(w, SERVER + 1, "a\"} 1\n#\\", 1);
	for (int i = 0; i < 100; i++) {
		uint64_t value = random_next(&seed) >> 36;

		world_latency(w, SERVER, value, SECOND / 2);
		rare->handshake.bucket[hist_bucket(value)]++;
		rare->ping_rtt.bucket[hist_bucket(value)]++;
		rare->duration_ms.bucket[hist_bucket(value)]++;
		rare->duration_ms.sum += value;
	}
	world_outcome(w, SERVER, OUTCOME_CLOSE, 1011, BY_SERVER, 0, 3);
	world_outcome(w, SERVER + 1, OUTCOME_ABNORMAL, CAUSE_TIMEOUT, 0, 0, 1);
	world_outcome(w, SERVER + 1, OUTCOME_REFUSED, 0, BY_SERVER, 0, 2);
	world_sample(w, SECOND);
	return w;
}

/* What the command says of the text: its exit status, and what it printed. */
static void assert_accepted(const char *text, const char *command)
{
	char line[512], path[] = "/tmp/wsvitals-exposition-XXXXXX";
	int fd = mkstemp(path), status;
	bool said = false;
	FILE *result;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	snprintf(line, sizeof(line), "%s <%s 2>&1", command, path);
	result = popen(line, "r");
	assert_non_null(result);
	while (fgets(line, sizeof(line), result)) {
		print_error("%s", line);
		said = true;
	}
	status = pclose(result);
	unlink(path);
	assert_false(said);
	assert_int_equal(status, 0);
}

static void promtool_has_no_complaint(void **state)
{
	struct world *w = busy_world();
	char *text = text_in(w->summary, PROMETHEUS_TEXT);

	(void)state;
	assert_accepted(text, "promtool check metrics");
	free(text);
	world_free(w);
}

/* Debian's parser of OpenMetrics 1.0.0, and that it finds what was put in. */
static void a_strict_parser_reads_open_metrics(void **state)
{
	struct world *w = busy_world();
	char *text = text_in(w->summary, PROMETHEUS_OPENMETRICS);

	(void)state;
	assert_true(strlen(text) > 6 && strcmp(text + strlen(text) - 6, "# EOF\n") == 0);
	assert_non_null(strstr(text, "# TYPE wsvitals_messages counter\n"));
	assert_non_null(strstr(text, "# TYPE wsvitals_build info\n"));
	assert_accepted(text, "/usr/bin/python3 tests/unit/openmetrics.py");
	free(text);
	world_free(w);
}

static void both_formats_have_the_same_samples(void **state)
{
	struct world *w = busy_world();
	char *one = text_in(w->summary, PROMETHEUS_TEXT);
	char *two = text_in(w->summary, PROMETHEUS_OPENMETRICS);
	char *save_one = NULL, *save_two = NULL, *a, *b;
	size_t nr = 0;

	(void)state;
	a = strtok_r(one, "\n", &save_one);
	b = strtok_r(two, "\n", &save_two);
	while (a || b) {
		if (a && *a == '#') {
			a = strtok_r(NULL, "\n", &save_one);
			continue;
		}
		if (b && *b == '#') {
			b = strtok_r(NULL, "\n", &save_two);
			continue;
		}
		assert_non_null(a);
		assert_non_null(b);
		assert_string_equal(a, b);
		a = strtok_r(NULL, "\n", &save_one);
		b = strtok_r(NULL, "\n", &save_two);
		nr++;
	}
	assert_true(nr > 500);
	free(one);
	free(two);
	world_free(w);
}

static void a_reset_is_to_a_scraper_as_a_restart(void **state)
{
	struct world *w = busy_world();
	char *text;

	(void)state;
	text = text_of(w->summary);
	assert_line(text, "wsvitals_latency_seconds_count{server=\"node:8000\"} 100");
	free(text);
	assert_int_equal(aggregate_reset(w->aggregate, w->reading), 0);
	aggregate_summary(w->aggregate, NULL, w->summary);
	text = text_of(w->summary);
	for (char *line = text; *line; line += strcspn(line, "\n") + 1) {
		char *end = line + strcspn(line, "\n"), *value = end;

		while (value[-1] != ' ')
			value--;
		if (*line == '#' || strncmp(line, "wsvitals_hook_attached", 22) == 0 ||
		    strncmp(line, "wsvitals_capture_balanced", 25) == 0 ||
		    strncmp(line, "wsvitals_counting_since", 23) == 0 ||
		    strncmp(line, "wsvitals_build_info", 19) == 0)
			continue;
		if (strtod(value, NULL) != 0)
			fail_msg("%.*s", (int)(end - line), line);
	}
	assert_line(text, "wsvitals_counting_since_timestamp_seconds 1704110401.000");
	free(text);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("counters are per server", counters_are_per_server),
		SENTENCE("hostile names stay inside their quotes",
			 hostile_names_stay_inside_their_quotes),
		SENTENCE("every family has its help and type once, above its samples",
			 every_family_has_help_and_type_once),
		SENTENCE("buckets are exact and end with all", buckets_are_exact_and_end_with_all),
		SENTENCE("a measure without a hook has no series",
			 a_measure_without_a_hook_has_no_series),
		SENTENCE("series are bounded", series_are_bounded),
		SENTENCE("promtool has no complaint", promtool_has_no_complaint),
		SENTENCE("a strict parser reads OpenMetrics", a_strict_parser_reads_open_metrics),
		SENTENCE("both formats have the same samples", both_formats_have_the_same_samples),
		SENTENCE("a reset is to a scraper as a restart",
			 a_reset_is_to_a_scraper_as_a_restart),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("prometheus", NULL, NULL, 0, 0, tests, COUNT(tests));
}

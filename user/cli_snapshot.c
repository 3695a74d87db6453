// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * wsvitals snapshot: prints what the running agent has counted. With --for SECONDS it counts
 * stand-alone and prints once; on a terminal the table is refreshed each second meanwhile. Wires the stages: loader -> decode -> aggregate -> output.
 * Nothing is pinned, so whatever ends this process, the kernel is left as it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "aggregate.h"
#include "cli.h"
#include "client.h"
#include "decode.h"
#include "json.h"
#include "loader.h"
#include "log.h"
#include "options.h"
#include "prometheus.h"
#include "reading.h"
#include "table.h"

#define GROUPS (OPTIONS_SCOPE | OPTIONS_FOR | OPTIONS_OUTPUT | OPTIONS_PLACES)
#define SECOND_NS 1000000000ull
#define RECEIVE_MS 100    /* a signal that comes just before a wait is seen after so long */
#define SETTLE_TRIES 20   /* last readings, until one falls into a moment without traffic */
#define SETTLE_NS 2000000 /* between two of these */
#define PLAIN_WIDTH 120   /* of the table where there is no terminal */
#define SCREEN_ROWS 24    /* of a terminal that does not say */

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

struct snapshot {
	const struct options *options;
	struct loader *loader;
	struct reading *reading;
	struct aggregate *aggregate;
	struct summary *summary;
	char scope[256];
	uint64_t start_ns, end_ns;
	bool live;           /* the table is refreshed on a terminal */
	unsigned live_lines; /* of it stand on the screen */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

/* --- stages --- */

static void take_record(const void *data, size_t len, void *ctx)
{
	struct snapshot *snapshot = ctx;
	struct record record;

	if (decode_record(data, len, &record))
		aggregate_undecodable(snapshot->aggregate);
	else
		aggregate_record(snapshot->aggregate, &record);
}

static void name_channel(const struct channel_key *key, uint16_t slot, void *ctx)
{
	struct snapshot *snapshot = ctx;

	/* A full map costs the kernel's numbers of this channel; its server counts on. */
	(void)loader_name_channel(snapshot->loader, key, slot);
}

static int receive(struct snapshot *snapshot, int timeout_ms)
{
	int nr = loader_receive(snapshot->loader, timeout_ms, take_record, snapshot);

	return nr == -EINTR ? 0 : nr;
}

static int receive_all(struct snapshot *snapshot)
{
	int nr;

	do {
		nr = receive(snapshot, 0);
	} while (nr > 0);
	return nr;
}

static int sample(struct snapshot *snapshot, unsigned parts)
{
	int err = receive_all(snapshot);

	if (!err)
		err = reading_take(snapshot->reading, snapshot->loader, parts,
				   clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME));
	if (!err)
		err = aggregate_sample(snapshot->aggregate, snapshot->reading);
	if (!err)
		aggregate_summary(snapshot->aggregate, NULL, snapshot->summary);
	return err;
}

/* --- the screen --- */

static struct winsize screen_size(void)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		size.ws_col = PLAIN_WIDTH;
	if (!size.ws_row)
		size.ws_row = SCREEN_ROWS;
	return size;
}

static void screen_clear(struct snapshot *snapshot)
{
	if (snapshot->live_lines)
		printf("\033[%uA\r\033[J", snapshot->live_lines);
	snapshot->live_lines = 0;
}

/* The table up to the last row of the screen, over the one that stands there. */
static int screen_refresh(struct snapshot *snapshot, uint64_t now_ns)
{
	struct winsize size = screen_size();
	struct table_style style = {
		.width = size.ws_col,
		.bold = true,
		.scope = snapshot->scope,
		.left_s = now_ns < snapshot->end_ns
				  ? (double)(snapshot->end_ns - now_ns) / (double)SECOND_NS
				  : 0,
	};
	char *text = NULL, *at;
	size_t len = 0;
	FILE *page = open_memstream(&text, &len);

	if (!page)
		return -errno;
	table_print(page, snapshot->summary, &style);
	if (fclose(page)) {
		free(text);
		return -ENOMEM;
	}
	screen_clear(snapshot);
	at = text;
	while (*at && snapshot->live_lines + 1 < size.ws_row) {
		size_t line = strcspn(at, "\n");

		line += at[line] == '\n';
		fwrite(at, 1, line, stdout);
		at += line;
		snapshot->live_lines++;
	}
	fflush(stdout);
	free(text);
	return 0;
}

/* --- the command --- */

static int print_json(const struct summary *summary)
{
	char *text = json_of_summary(summary);

	if (!text)
		return -ENOMEM;
	puts(text);
	free(text);
	return 0;
}

static int print_result(struct snapshot *snapshot)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct table_style style = {
		.width = terminal ? screen_size().ws_col : PLAIN_WIDTH,
		.bold = terminal,
		.scope = snapshot->scope,
		.left_s = -1,
	};
	int err = 0;

	screen_clear(snapshot);
	switch (snapshot->options->output) {
	case OUTPUT_JSON:
		err = print_json(snapshot->summary);
		break;
	case OUTPUT_PROMETHEUS:
		prometheus_print(stdout, snapshot->summary, PROMETHEUS_TEXT);
		break;
	default:
		table_print(stdout, snapshot->summary, &style);
	}
	if (!err && (fflush(stdout) || ferror(stdout)))
		err = -EIO;
	return err;
}

/* One sample a second until the time is over or somebody asks for the end. */
static int count(struct snapshot *snapshot)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC), next_ns = snapshot->start_ns + SECOND_NS;
	int err = 0;

	while (!err && !interrupted && now_ns < snapshot->end_ns) {
		uint64_t until_ns = next_ns < snapshot->end_ns ? next_ns : snapshot->end_ns;
		uint64_t wait_ms = now_ns < until_ns ? (until_ns - now_ns) / 1000000 + 1 : 0;
		int nr = receive(snapshot, (int)(wait_ms < RECEIVE_MS ? wait_ms : RECEIVE_MS));

		if (nr < 0)
			return nr;
		now_ns = clock_ns(CLOCK_MONOTONIC);
		if (now_ns < next_ns || now_ns >= snapshot->end_ns)
			continue;
		err = sample(snapshot, reading_due(snapshot->reading, now_ns) |
					       (snapshot->live ? READING_HISTS : 0));
		if (!err && snapshot->live)
			err = screen_refresh(snapshot, now_ns);
		while (next_ns <= now_ns)
			next_ns += SECOND_NS;
	}
	return err;
}

/* Traffic goes on while the last numbers are read: until no event fell in between, or enough. */
static int settle(struct snapshot *snapshot)
{
	const struct timespec pause = {.tv_nsec = SETTLE_NS};
	int err = 0;

	for (int i = 0; i < SETTLE_TRIES && !err; i++) {
		if (i)
			nanosleep(&pause, NULL);
		err = sample(snapshot, READING_ALL);
		if (!err && snapshot->summary->settled)
			break;
	}
	return err;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int prepare(struct snapshot *snapshot)
{
	struct aggregate_config config = {.name_channel = name_channel, .ctx = snapshot};

	snapshot->start_ns = config.start_ns = clock_ns(CLOCK_MONOTONIC);
	config.start_wall_ns = clock_ns(CLOCK_REALTIME);
	snapshot->end_ns = snapshot->start_ns +
			   (uint64_t)(snapshot->options->seconds * (double)SECOND_NS);
	/* Pseudonyms of one run mean nothing in the next: there is no store to keep a key. */
	randombytes_buf(config.key, sizeof(config.key));
	snapshot->reading = reading_new(NULL, NULL);
	snapshot->summary = calloc(1, sizeof(*snapshot->summary));
	snapshot->aggregate = aggregate_new(&config);
	sodium_memzero(config.key, sizeof(config.key));
	return snapshot->reading && snapshot->summary && snapshot->aggregate ? 0 : -ENOMEM;
}

static int run(struct snapshot *snapshot)
{
	int err = loader_new(&snapshot->options->scope, &snapshot->loader);

	if (err) {
		log_error("%s", loader_error(snapshot->loader));
		return err;
	}
	/* Before the first event, so that what is counted lies after the start. */
	err = prepare(snapshot);
	if (err) {
		log_error("%s", strerror(-err));
		return err;
	}
	catch_signals();
	err = loader_attach(snapshot->loader);
	if (err) {
		log_error("%s", loader_error(snapshot->loader));
		return err;
	}
	log_info("counting %s for %g s, Ctrl-C ends it early", snapshot->scope,
		 snapshot->options->seconds);
	err = count(snapshot);
	if (!err)
		err = settle(snapshot);
	if (!err)
		err = print_result(snapshot);
	if (err)
		log_error("cannot read or print what was counted: %s", strerror(-err));
	return err;
}

static void help(void)
{
	printf("wsvitals snapshot: the numbers, once: from the running agent, or with --for "
	       "counted "
	       "stand-alone\n\n"
	       "Examples:\n"
	       "  sudo wsvitals snapshot --json                       what the agent has counted\n"
	       "  sudo wsvitals snapshot --for 10                     every server of this host\n"
	       "  sudo wsvitals snapshot --for 60 --port 8000,8001    two of them, live\n"
	       "  sudo wsvitals snapshot --for 10 --port 8000 --json  for programs\n\n"
	       "Options:\n");
	options_describe(GROUPS);
}

/* The three forms, as the running agent writes them. */
static int ask_agent(const struct options *options)
{
	struct client_answer answer;
	struct settings settings;
	char error[512], path[64];
	int status = EXIT_FAILED, err;

	if (options->has_scope) {
		log_error("the scope of the running agent is its own: give --for SECONDS to count "
			  "stand-alone");
		return EXIT_USAGE;
	}
	options_places(options, &settings);
	if (options->output == OUTPUT_JSON)
		snprintf(path, sizeof(path), "/api/websocket/metrics/");
	else if (options->output == OUTPUT_PROMETHEUS)
		snprintf(path, sizeof(path), "/metrics");
	else
		snprintf(path, sizeof(path), "/local/table?width=%u%s",
			 isatty(STDOUT_FILENO) ? screen_size().ws_col : PLAIN_WIDTH,
			 isatty(STDOUT_FILENO) ? "&bold=1" : "");
	err = client_ask(settings_text(&settings, SETTING_RUN_DIR), false, path, &answer, error,
			 sizeof(error));
	if (err) {
		log_error("%s%s", error,
			  err == -ENOENT ? "; `wsvitals snapshot --for SECONDS' counts without one"
					 : "");
		return EXIT_FAILED;
	}
	if (answer.status == 200) {
		fputs(answer.body, stdout);
		if (options->output == OUTPUT_JSON)
			putchar('\n');
		status = fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
	} else {
		log_error("the agent answers %ld: %s", answer.status, answer.body);
	}
	free(answer.body);
	return status;
}

int cli_snapshot(int argc, char **argv)
{
	struct options options;
	struct snapshot snapshot = {.options = &options};
	char error[512];
	int err;

	if (options_parse(argc, argv, GROUPS, &options, error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	if (options.help) {
		help();
		return EXIT_OK;
	}
	if (!options.seconds)
		return ask_agent(&options);
	if (sodium_init() < 0) {
		log_error("cannot get random numbers for pseudonyms");
		return EXIT_FAILED;
	}
	scope_describe(&options.scope, snapshot.scope, sizeof(snapshot.scope));
	/* On a narrower screen lines would be broken, and the cursor would not find back. */
	snapshot.live = isatty(STDOUT_FILENO) && screen_size().ws_col >= TABLE_WIDTH_MIN &&
			(options.output == OUTPUT_NONE || options.output == OUTPUT_TABLE);
	err = run(&snapshot);
	loader_free(snapshot.loader);
	aggregate_free(snapshot.aggregate);
	reading_free(snapshot.reading);
	free(snapshot.summary);
	return err ? EXIT_FAILED : EXIT_OK;
}

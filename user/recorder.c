// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define SECOND_NS 1000000000ull
#define STEP_NS (STORE_INTERVAL_S * SECOND_NS)
/* The loop's ticks are whole seconds, which the clock's corrections move a little. */
#define SLACK_NS (SECOND_NS / 2)

/* A server, as history has told of it. */
struct watched {
	bool seen, gone;
	uint64_t opened, exits;
};

struct recorder {
	struct aggregate *aggregate;
	struct store *store;
	struct interval *interval; /* that goes on; NULL: no memory when it began */
	uint64_t from_ns, from_wall_ns;
	struct watched servers[MAX_SERVERS];
};

static void say(const char *text, void *ctx)
{
	(void)ctx;
	log_warning("%s", text);
}

/* The interval's end is not known yet: recorder_write sets it. */
static void begin(struct recorder *recorder, uint64_t now_ns, uint64_t wall_ns)
{
	recorder->from_ns = now_ns;
	recorder->from_wall_ns = wall_ns;
	recorder->interval = interval_new((int64_t)wall_ns, (int64_t)wall_ns, 0);
	if (!recorder->interval)
		log_problem(LOG_ERROR, "no memory for history: the next ten seconds are missing");
}

int recorder_new(struct aggregate *aggregate, const struct settings *settings, uint64_t start_ns,
		 uint64_t start_wall_ns, struct recorder **ret_recorder)
{
	struct store_config config = {
		.dir = settings_text(settings, SETTING_DB),
		.raw_keep_s = (int64_t)settings_amount(settings, SETTING_KEEP_RAW),
		.m5_keep_s = (int64_t)settings_amount(settings, SETTING_KEEP_5M),
		.h1_keep_s = (int64_t)settings_amount(settings, SETTING_KEEP_1H),
		.rows_keep_s = (int64_t)settings_amount(settings, SETTING_KEEP_ROWS),
		.bytes_max = settings_amount(settings, SETTING_STORE_MAX),
		.rows_max = (unsigned)settings_amount(settings, SETTING_ROWS_MAX),
		.note = say,
	};
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	int err = recorder ? store_new(&config, &recorder->store) : -ENOMEM;

	if (err) {
		free(recorder);
		return err;
	}
	recorder->aggregate = aggregate;
	begin(recorder, start_ns, start_wall_ns);
	*ret_recorder = recorder;
	return 0;
}

void recorder_free(struct recorder *recorder)
{
	if (!recorder)
		return;
	interval_free(recorder->interval);
	store_free(recorder->store);
	free(recorder);
}

struct store *recorder_store(struct recorder *recorder)
{
	return recorder->store;
}

bool recorder_is_due(const struct recorder *recorder, uint64_t now_ns, uint64_t wall_ns)
{
	/* Also when the clock went back, or the time stands still for somebody has set it. */
	return (wall_ns + SLACK_NS) / STEP_NS != (recorder->from_wall_ns + SLACK_NS) / STEP_NS ||
	       now_ns - recorder->from_ns >= STEP_NS + SECOND_NS;
}

void recorder_take(struct recorder *recorder)
{
	if (recorder->interval && aggregate_rows(recorder->aggregate, recorder->interval))
		log_problem(LOG_ERROR, "no memory for history: rows are missing");
}

/* --- events --- */

static void add_event(struct recorder *recorder, enum store_event_kind kind, uint64_t wall_ns,
		      const char *server, const char *text)
{
	struct store_event event = {
		.at_ns = (int64_t)wall_ns, .kind = kind, .server = server, .text = text};

	if (recorder->interval && interval_add_event(recorder->interval, &event) == -ENOMEM)
		log_problem(LOG_ERROR, "no memory for history: an event is missing");
}

void recorder_event(struct recorder *recorder, enum store_event_kind kind, uint64_t wall_ns,
		    const char *text)
{
	add_event(recorder, kind, wall_ns, "", text);
}

void recorder_settings(struct recorder *recorder, const struct settings *before,
		       const struct settings *after, uint64_t wall_ns)
{
	char text[INTERVAL_TEXT_MAX + 1] = "changed: ";
	size_t len = strlen(text), begin = len;

	for (int id = 0; id < NR_SETTINGS && len < sizeof(text); id++)
		if (settings_differ(before, after, (enum setting_id)id))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s[%s] %s",
						len > begin ? ", " : "", settings_rows[id].section,
						settings_rows[id].key);
	if (len > begin)
		recorder_event(recorder, STORE_EVENT_CONFIG_CHANGED, wall_ns, text);
}

static uint64_t exits_of(const struct reading *reading, uint32_t slot)
{
	uint64_t exits = 0;

	for (size_t i = 0; i < reading->nr_outcomes; i++) {
		const struct outcome_key *key = &reading->outcomes[i].key;

		if (key->server == slot && key->kind == OUTCOME_ABNORMAL &&
		    key->code == CAUSE_SERVER_EXIT)
			exits += reading->outcomes[i].count;
	}
	return exits;
}

static bool process_is_gone(const struct reading *reading, const struct reading_server *server)
{
	struct process process;

	reading->process_fn((pid_t)server->info.tgid, &process, reading->process_ctx);
	return process.gone;
}

static void see_servers(struct recorder *recorder, const struct reading *reading)
{
	for (uint32_t slot = SLOT_FIRST; slot < MAX_SERVERS; slot++) {
		const struct reading_server *server = &reading->servers[slot];

		if (!server->used || recorder->servers[slot].seen)
			continue;
		recorder->servers[slot].seen = true;
		add_event(recorder, STORE_EVENT_SERVER_SEEN,
			  reading->wall_ns - (reading->now_ns - server->info.first_ns),
			  aggregate_server(recorder->aggregate, slot),
			  "its first WebSocket upgrade");
	}
}

/*
 * A server is gone when connections ended because their process did, or when it is idle and its
 * first process is not there any more: one of several workers may end without the others.
 */
static void look_at_server(struct recorder *recorder, const struct reading *reading, uint32_t slot)
{
	const struct reading_server *server = &reading->servers[slot];
	const struct server_counters_fields *n = &server->counters.n;
	const char *name = aggregate_server(recorder->aggregate, slot);
	struct watched *watched = &recorder->servers[slot];
	uint64_t exits = exits_of(reading, slot), wall_ns = reading->wall_ns;
	bool opened = n->opened != watched->opened;
	char text[96];

	if (exits > watched->exits) {
		snprintf(text, sizeof(text), "its process ended, and %llu connections with it",
			 (unsigned long long)(exits - watched->exits));
		add_event(recorder, STORE_EVENT_SERVER_GONE, wall_ns, name, text);
		watched->gone = true;
	} else if (!watched->gone && n->opened <= n->closed && !opened &&
		   process_is_gone(reading, server)) {
		add_event(recorder, STORE_EVENT_SERVER_GONE, wall_ns, name,
			  "its process has ended");
		watched->gone = true;
	}
	if (watched->gone && (n->opened > n->closed || (opened && exits == watched->exits))) {
		add_event(recorder, STORE_EVENT_SERVER_SEEN, wall_ns, name,
			  "it has connections again");
		watched->gone = false;
	}
	watched->opened = n->opened;
	watched->exits = exits;
}

/* --- writing --- */

static int finish(struct recorder *recorder, const struct reading *reading)
{
	struct interval *interval;
	int err = 0;

	recorder_take(recorder);
	interval = recorder->interval;
	/* without one, what came is handed over with the next */
	if (interval) {
		interval->to_ns = (int64_t)reading->wall_ns;
		interval->covered_ns = reading->now_ns - recorder->from_ns;
		err = aggregate_points(recorder->aggregate, interval);
	}
	if (err) {
		log_problem(LOG_ERROR, "no memory for history: ten seconds are incomplete");
		err = 0;
	}
	if (interval)
		err = store_write(recorder->store, interval);
	begin(recorder, reading->now_ns, reading->wall_ns);
	return err;
}

int recorder_write(struct recorder *recorder, const struct reading *reading)
{
	see_servers(recorder, reading);
	for (uint32_t slot = SLOT_FIRST; slot < MAX_SERVERS; slot++)
		if (reading->servers[slot].used)
			look_at_server(recorder, reading, slot);
	return finish(recorder, reading);
}

int recorder_end(struct recorder *recorder, const struct reading *reading, const char *why)
{
	/* nobody is left who could be asked which servers are gone */
	see_servers(recorder, reading);
	recorder_event(recorder, STORE_EVENT_AGENT_STOP, reading->wall_ns, why);
	return finish(recorder, reading);
}

void recorder_state(const struct recorder *recorder, char ret_text[RECORDER_TEXT])
{
	struct store_state state;
	time_t since;
	struct tm tm;
	char at[32] = "?";

	store_state(recorder->store, &state);
	if (state.available) {
		snprintf(ret_text, RECORDER_TEXT, "ok");
		return;
	}
	since = (time_t)(state.since_ns / (int64_t)SECOND_NS);
	if (gmtime_r(&since, &tm))
		strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(ret_text, RECORDER_TEXT, "unavailable since %s: %s", at,
		 *state.reason ? state.reason : strerror(-state.error));
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "aggregate.h"
#include "api.h"
#include "auth.h"
#include "decode.h"
#include "http.h"
#include "log.h"
#include "message.h"
#include "options.h"
#include "reading.h"
#include "recorder.h"
#include "tls.h"

#define SECOND_NS 1000000000ull
#define EVENTS 8
#define FILES 2048          /* connections, maps and what else is open */
#define KEEPER_WAIT_MS 2000 /* for an answer of the keeper */
#define SAVE_S 60           /* between two writes of when tokens were used */

/* What wakes the loop up. */
enum wake { WAKE_RING, WAKE_HTTP, WAKE_KEEPER, WAKE_TIMER, WAKE_SIGNAL };

struct agent {
	const struct agent_config *config;
	struct settings settings;
	struct aggregate *aggregate;
	struct reading *reading;
	struct recorder *recorder;
	struct api api;
	struct http *http;
	int epoll, timer, signals;
	bool ending;
	int status;
	unsigned ticks;
	char sandbox[96];
	/* the answer that somebody waits for */
	struct message answer;
	bool answered;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

/* --- the keeper --- */

static void end(struct agent *agent, int status)
{
	agent->ending = true;
	if (status)
		agent->status = status;
}

static void take_message(struct agent *agent, const struct message *message)
{
	char error[256];

	switch (message->type) {
	case MESSAGE_SETTINGS:
		recorder_settings(agent->recorder, &agent->settings, &message->settings,
				  clock_ns(CLOCK_REALTIME));
		agent->settings = message->settings;
		log_set_level(settings_log_level(&agent->settings));
		/* fall through */
	case MESSAGE_REFUSED:
	case MESSAGE_PROCESS:
		agent->answer = *message;
		agent->answered = true;
		break;
	case MESSAGE_LOST:
		snprintf(agent->api.engine, sizeof(agent->api.engine),
			 "the engine has lost its hook %.400s; restart the agent", message->text);
		break;
	case MESSAGE_TLS:
		if (tls_use(&message->certificate, error, sizeof(error)))
			log_error("%s; the one before stays", error);
		else
			log_info("the TLS certificate has changed");
		break;
	case MESSAGE_END:
		end(agent, EXIT_OK);
		break;
	default:
		log_problem(LOG_WARNING, "the keeper sent a message of unknown type %u",
			    message->type);
	}
}

static void listen_to_keeper(struct agent *agent)
{
	struct message message;
	int err;

	while (!(err = message_receive(agent->config->keeper_fd, &message)))
		take_message(agent, &message);
	if (err == -EPIPE && !agent->ending) {
		log_error("the keeper is gone: the agent ends too");
		end(agent, EXIT_FAILED);
	}
}

static int tell_keeper(struct agent *agent, const struct message *message)
{
	int err = message_send(agent->config->keeper_fd, message);

	if (err && err != -EPIPE)
		log_problem(LOG_WARNING, "cannot speak to the keeper: %s", strerror(-err));
	return err;
}

/* Asks and waits for the answer, which is of this type or another. 0, or -ETIMEDOUT, -EPIPE. */
static int ask_keeper(struct agent *agent, const struct message *question, enum message_type type,
		      enum message_type other)
{
	struct pollfd fd = {.fd = agent->config->keeper_fd, .events = POLLIN};
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + KEEPER_WAIT_MS * 1000000ull;
	int err = tell_keeper(agent, question);

	while (!err && !agent->ending) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);

		agent->answered = false;
		if (now >= until || poll(&fd, 1, (int)((until - now) / 1000000) + 1) == 0)
			return -ETIMEDOUT;
		listen_to_keeper(agent);
		if (agent->answered && (agent->answer.type == type || agent->answer.type == other))
			return 0;
	}
	return err ? err : -EPIPE;
}

/* For the reading: what the process of a server is. Without an answer it has no unit. */
static void ask_process(pid_t pid, struct process *ret_process, void *ctx)
{
	struct agent *agent = ctx;
	struct message question = {.type = MESSAGE_ASK_PROCESS, .pid = pid};

	memset(ret_process, 0, sizeof(*ret_process));
	if (ask_keeper(agent, &question, MESSAGE_PROCESS, MESSAGE_PROCESS))
		log_problem(LOG_WARNING, "the keeper does not say what process %d is", (int)pid);
	else if (agent->answer.pid == pid)
		*ret_process = agent->answer.process;
}

/* --- counting --- */

static void take_record(const void *data, size_t len, void *ctx)
{
	struct agent *agent = ctx;
	struct record record;

	if (decode_record(data, len, &record))
		aggregate_undecodable(agent->aggregate);
	else
		aggregate_record(agent->aggregate, &record);
}

static void name_channel(const struct channel_key *key, uint16_t slot, void *ctx)
{
	struct agent *agent = ctx;

	/* A full map costs the kernel's numbers of this channel; its server counts on. */
	(void)loader_name_channel(agent->config->loader, key, slot);
}

static int receive(struct agent *agent)
{
	int nr;

	do {
		nr = loader_receive(agent->config->loader, 0, take_record, agent);
	} while (nr > 0);
	return nr;
}

static int sample(struct agent *agent, unsigned parts)
{
	int err = receive(agent);

	if (!err)
		err = reading_take(agent->reading, agent->config->loader, parts,
				   clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME));
	if (!err)
		err = aggregate_sample(agent->aggregate, agent->reading);
	if (!err)
		recorder_take(agent->recorder);
	if (err) {
		log_problem(LOG_ERROR, "cannot read what was counted: %s", strerror(-err));
		snprintf(agent->api.engine, sizeof(agent->api.engine),
			 "what was counted cannot be read: %s", strerror(-err));
	} else {
		agent->api.counted = true;
	}
	return err;
}

/* Ticks are the wall clock's whole seconds, as far as somebody does not set it; else an interval would
 * end up to a second late. */
static int tick_at_seconds(const struct agent *agent)
{
	uint64_t left = SECOND_NS - clock_ns(CLOCK_REALTIME) % SECOND_NS;
	struct itimerspec second = {.it_interval.tv_sec = 1};

	if (left < SECOND_NS / 10 || left > SECOND_NS - SECOND_NS / 10)
		left = SECOND_NS;
	second.it_value.tv_sec = left / SECOND_NS;
	second.it_value.tv_nsec = (long)(left % SECOND_NS);
	return timerfd_settime(agent->timer, 0, &second, NULL) ? -errno : 0;
}

static void tick(struct agent *agent)
{
	struct message beat = {.type = MESSAGE_BEAT};
	uint64_t now = clock_ns(CLOCK_MONOTONIC), wall = clock_ns(CLOCK_REALTIME), expirations;
	bool due = recorder_is_due(agent->recorder, now, wall);
	char error[256];

	if (read(agent->timer, &expirations, sizeof(expirations)) < 0)
		return;
	/* a store that cannot be written has said so itself */
	if (!sample(agent, due ? READING_ALL : reading_due(agent->reading, now)) && due)
		(void)recorder_write(agent->recorder, agent->reading);
	if (wall % SECOND_NS > SECOND_NS / 4 && agent->ticks % SAVE_S == 0)
		(void)tick_at_seconds(agent);
	tell_keeper(agent, &beat);
	http_expire(agent->http, now);
	/* here too, so that a change of tokens is on record and in force when nobody asks */
	if (auth_refresh(agent->api.auth, error, sizeof(error)))
		log_problem(LOG_ERROR, "the tokens known so far stay in force: %s", error);
	if (++agent->ticks % SAVE_S == 0 && auth_save(agent->api.auth, error, sizeof(error)))
		log_problem(LOG_WARNING, "%s", error);
	log_flush();
}

/* --- what commands ask for --- */

static int reset(char *ret_text, size_t size, void *ctx)
{
	struct agent *agent = ctx;
	int err = sample(agent, READING_ALL);

	if (!err)
		err = aggregate_reset(agent->aggregate, agent->reading);
	snprintf(ret_text, size, "%s", err ? strerror(-err) : "all counters are 0 from now on");
	if (!err)
		log_info("the counters were reset");
	return err;
}

static int reload(char *ret_text, size_t size, void *ctx)
{
	struct agent *agent = ctx;
	struct message question = {.type = MESSAGE_ASK_RELOAD};
	int err = ask_keeper(agent, &question, MESSAGE_SETTINGS, MESSAGE_REFUSED);

	if (err)
		snprintf(ret_text, size, "the keeper does not answer: %s", strerror(-err));
	else if (agent->answer.type == MESSAGE_REFUSED)
		snprintf(ret_text, size, "the configuration stays as it was: %s",
			 agent->answer.text);
	else if (*agent->answer.text)
		snprintf(ret_text, size,
			 "the configuration was read again; taken at the next start only: %s",
			 agent->answer.text);
	else
		snprintf(ret_text, size, "the configuration was read again");
	return err ? err : agent->answer.type == MESSAGE_REFUSED ? -EINVAL : 0;
}

/* --- start and loop --- */

static int watch(struct agent *agent, int fd, enum wake wake)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = wake};

	return epoll_ctl(agent->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_loop(struct agent *agent)
{
	sigset_t signals;
	int http[2], err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	agent->epoll = epoll_create1(EPOLL_CLOEXEC);
	agent->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	agent->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (agent->epoll < 0 || agent->timer < 0 || agent->signals < 0)
		return -errno;
	err = tick_at_seconds(agent);
	if (err)
		return err;
	http_fds(agent->http, http);
	err = watch(agent, loader_ring_fd(agent->config->loader), WAKE_RING);
	for (int i = 0; i < 2 && !err; i++)
		err = watch(agent, http[i], WAKE_HTTP);
	if (!err)
		err = watch(agent, agent->config->keeper_fd, WAKE_KEEPER);
	if (!err)
		err = watch(agent, agent->timer, WAKE_TIMER);
	return err ? err : watch(agent, agent->signals, WAKE_SIGNAL);
}

static int make_parts(struct agent *agent, char *error, size_t size)
{
	const struct agent_config *config = agent->config;
	struct aggregate_config counting = {
		.start_ns = config->start_ns,
		.start_wall_ns = config->start_wall_ns,
		.name_channel = name_channel,
		.ctx = agent,
		.history = true,
	};
	int err;

	memcpy(counting.key, config->key, sizeof(counting.key));
	agent->aggregate = aggregate_new(&counting);
	agent->reading = reading_new(ask_process, agent);
	err = agent->aggregate ? recorder_new(agent->aggregate, &agent->settings, config->start_ns,
					      config->start_wall_ns, &agent->recorder)
			       : -ENOMEM;
	if (err) {
		snprintf(error, size, "cannot keep history in %s: %s",
			 settings_text(&agent->settings, SETTING_DB), strerror(-err));
		return err;
	}
	agent->api = (struct api){
		.aggregate = agent->aggregate,
		.recorder = agent->recorder,
		.summary = calloc(1, sizeof(struct summary)),
		.auth = auth_new(settings_text(&agent->settings, SETTING_DB), config->login_code),
		.settings = &agent->settings,
		.scope = config->scope,
		.sandbox = agent->sandbox,
		.tls = config->certificate,
		.reset = reset,
		.reload = reload,
		.ctx = agent,
	};
	if (!agent->aggregate || !agent->reading || !agent->api.summary || !agent->api.auth) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	if (config->certificate && tls_use(config->certificate, error, size))
		return -EINVAL;
	agent->http = http_new(&agent->api, config->tcp_fd, config->local_fd, error, size);
	if (!agent->http)
		return -EIO;
	err = open_loop(agent);
	if (err)
		snprintf(error, size, "cannot wait for events: %s", strerror(-err));
	return err;
}

static int confine(struct agent *agent, char *error, size_t size)
{
	const struct rlimit files = {FILES, FILES};
	int landlock = 0, err;

	setrlimit(RLIMIT_NOFILE, &files); /* else fewer connections than might be */
	err = sandbox_agent(agent->config->identity, settings_text(&agent->settings, SETTING_DB),
			    settings_text(&agent->settings, SETTING_RUN_DIR), &landlock, error,
			    size);
	if (err)
		return err;
	if (landlock)
		snprintf(agent->sandbox, sizeof(agent->sandbox),
			 "user %s, no capability, seccomp, Landlock %d",
			 agent->config->identity->name, landlock);
	else
		snprintf(agent->sandbox, sizeof(agent->sandbox),
			 "user %s, no capability, seccomp; this kernel has no Landlock",
			 agent->config->identity->name);
	if (!landlock)
		log_warning(
			"this kernel has no Landlock: files are protected by their rights only");
	return 0;
}

static void take_signals(struct agent *agent)
{
	struct signalfd_siginfo info;

	/* SIGHUP is the keeper's to act on; a terminal sends it to both */
	while (read(agent->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGHUP)
			end(agent, EXIT_OK);
}

static void loop(struct agent *agent)
{
	struct epoll_event events[EVENTS];

	while (!agent->ending) {
		int nr = epoll_wait(agent->epoll, events, EVENTS, http_timeout_ms(agent->http));
		bool ticked = false;

		for (int i = 0; i < nr; i++) {
			switch (events[i].data.u32) {
			case WAKE_RING:
				receive(agent);
				break;
			case WAKE_KEEPER:
				listen_to_keeper(agent);
				break;
			case WAKE_TIMER:
				ticked = true;
				break;
			case WAKE_SIGNAL:
				take_signals(agent);
				break;
			}
		}
		if (ticked)
			tick(agent);
		http_run(agent->http);
	}
}

/* What has been counted since the last interval. */
static void write_last(struct agent *agent)
{
	const char *why = agent->status ? "it failed" : "it was told to";

	if (!sample(agent, READING_ALL) && recorder_end(agent->recorder, agent->reading, why))
		log_warning("the last seconds are not in the history");
}

static void take_apart(struct agent *agent)
{
	char error[256];

	if (agent->api.auth && auth_save(agent->api.auth, error, sizeof(error)))
		log_warning("%s", error);
	http_free(agent->http);
	tls_forget();
	auth_free(agent->api.auth);
	free(agent->api.summary);
	recorder_free(agent->recorder);
	reading_free(agent->reading);
	aggregate_free(agent->aggregate);
	/* the keeper does this too, unless it was killed */
	unlink(agent->config->socket);
}

int agent_run(const struct agent_config *config)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	struct message ready = {.type = MESSAGE_READY};
	char error[512] = "out of memory";
	int err = -ENOMEM, status = EXIT_FAILED;

	if (agent) {
		agent->config = config;
		agent->settings = *config->settings;
		err = make_parts(agent, error, sizeof(error));
	}
	if (!err)
		err = auth_refresh(agent->api.auth, error, sizeof(error));
	if (!err)
		err = confine(agent, error, sizeof(error));
	if (!err) {
		malloc_trim(0); /* what loading took is not needed again */
		err = sample(agent, READING_ALL);
		snprintf(error, sizeof(error), "cannot count: %s", strerror(-err));
	}
	if (err) {
		log_error("%s", error);
	} else {
		recorder_event(agent->recorder, STORE_EVENT_AGENT_START, config->start_wall_ns,
			       "wsvitals " WSVITALS_VERSION);
		tell_keeper(agent, &ready);
		loop(agent);
		write_last(agent);
		status = agent->status;
	}
	if (agent)
		take_apart(agent);
	free(agent);
	return status;
}

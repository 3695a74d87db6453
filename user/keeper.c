// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "notify.h"
#include "options.h"
#include "trial.h"

#define TICK_MS 500
#define END_NS 5000000000ull   /* the agent may take so long to end */
#define DEAF_NS 30000000000ull /* without a beat something is wrong with it */

struct state {
	struct keeper *keeper;
	uint64_t watchdog_ns, pinged_ns, beat_ns;
	uint64_t asked_ns; /* the agent was asked to end; 0 = not */
	bool ready;
	bool lost_told;
	bool gone; /* the agent is */
	int status;
};

static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void tell(struct state *state, const struct message *message)
{
	int err = message_send(state->keeper->fd, message);

	if (err && err != -EPIPE)
		log_problem(LOG_WARNING, "cannot speak to the agent: %s", strerror(-err));
}

/* --- configuration --- */

/* Takes what can change now; the rest stays as it is, named in text. */
static void settings_merge(const struct settings *now, struct settings *fresh, char *text,
			   size_t size)
{
	size_t len = 0;

	*text = '\0';
	for (int id = 0; id < NR_SETTINGS; id++) {
		if (settings_rows[id].live || !settings_differ(now, fresh, (enum setting_id)id))
			continue;
		len += (size_t)snprintf(text + len, len < size ? size - len : 0, "%s%s",
					len ? ", " : "", settings_rows[id].key);
		fresh->of[id] = now->of[id];
	}
}

static void reload(struct state *state)
{
	struct keeper *keeper = state->keeper;
	struct message message = {.type = MESSAGE_SETTINGS};
	char error[MESSAGE_TEXT];

	notify_send("RELOADING=1");
	if (keeper->read_settings(&message.settings, error, sizeof(error), keeper->ctx)) {
		message.type = MESSAGE_REFUSED;
		snprintf(message.text, sizeof(message.text), "%s", error);
		log_error("the configuration stays as it was: %s", error);
	} else {
		settings_merge(keeper->settings, &message.settings, message.text,
			       sizeof(message.text));
		*keeper->settings = message.settings;
		log_set_level(settings_log_level(keeper->settings));
		log_info("the configuration was read again");
		if (*message.text)
			log_warning("these settings are taken at the next start only: %s",
				    message.text);
	}
	tell(state, &message);
	notify_send("READY=1");
}

/* A certificate is replaced every few weeks, mostly by a program: no command is needed for it. */
static void look_at_certificate(struct state *state)
{
	struct keeper *keeper = state->keeper;
	const char *chain = settings_text(keeper->settings, SETTING_TLS_CERT);
	const char *key = settings_text(keeper->settings, SETTING_TLS_KEY);
	struct message message = {.type = MESSAGE_TLS};

	if (!*chain || !certificate_changed(chain, key, &keeper->certificate))
		return;
	if (certificate_read(chain, key, &message.certificate, message.text,
			     sizeof(message.text))) {
		log_problem(LOG_ERROR, "the TLS certificate stays as it was: %s", message.text);
		return;
	}
	tell(state, &message);
	sodium_memzero(&message, sizeof(message));
}

/* --- the agent --- */

static void take_message(struct state *state, const struct message *message)
{
	struct message answer = {.type = MESSAGE_PROCESS, .pid = message->pid};

	switch (message->type) {
	case MESSAGE_READY:
		state->ready = true;
		state->beat_ns = now_ns();
		state->keeper->ready(state->keeper->ctx);
		notify_send("READY=1");
		break;
	case MESSAGE_BEAT:
		state->beat_ns = now_ns();
		break;
	case MESSAGE_ASK_PROCESS:
		process_read(message->pid, &answer.process);
		tell(state, &answer);
		break;
	case MESSAGE_ASK_RELOAD:
		reload(state);
		break;
	default:
		log_problem(LOG_WARNING, "the agent sent a message of unknown type %u",
			    message->type);
	}
}

static void listen_to_agent(struct state *state)
{
	struct message message;
	int err;

	while (!(err = message_receive(state->keeper->fd, &message)))
		take_message(state, &message);
	if (err == -EBADMSG)
		log_problem(LOG_WARNING, "the agent sent a message of the wrong size");
}

static void describe_end(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "it was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "it ended with status %d", WEXITSTATUS(status));
}

/* Our only child is the agent. */
static void look_for_agent(struct state *state)
{
	char how[128];
	int status;

	if (waitpid(state->keeper->agent, &status, WNOHANG) != state->keeper->agent)
		return;
	state->gone = true;
	describe_end(status, how, sizeof(how));
	if (state->asked_ns && WIFEXITED(status)) {
		state->status = WEXITSTATUS(status) ? EXIT_FAILED : EXIT_OK;
	} else if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		log_info("the agent was asked to end, so the keeper ends too");
	} else {
		log_error("the agent is gone: %s; the keeper ends too", how);
		state->status = EXIT_FAILED;
	}
}

static void ask_agent_to_end(struct state *state)
{
	const struct message message = {.type = MESSAGE_END};

	if (state->asked_ns)
		return;
	state->asked_ns = now_ns();
	notify_send("STOPPING=1");
	tell(state, &message);
	shutdown(state->keeper->fd, SHUT_WR);
}

static void take_signals(struct state *state, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGHUP:
			reload(state);
			break;
		case SIGCHLD:
			look_for_agent(state);
			break;
		case SIGTERM:
		case SIGINT:
			if (!state->asked_ns)
				log_info("ending: signal %u (%s)", info.ssi_signo,
					 strsignal((int)info.ssi_signo));
			ask_agent_to_end(state);
			break;
		default:
			trial_keeper_signal((int)info.ssi_signo, state->keeper->loader);
		}
	}
}

static void tick(struct state *state)
{
	struct message message = {.type = MESSAGE_LOST};
	uint64_t now = now_ns();

	if (state->asked_ns && now - state->asked_ns > END_NS) {
		log_error("the agent does not end: killing it");
		kill(state->keeper->agent, SIGKILL);
		state->asked_ns = now;
	}
	if (!state->ready)
		return;
	look_at_certificate(state);
	if (now - state->beat_ns > DEAF_NS)
		log_problem(LOG_ERROR, "the agent has not given a sign of life for %u s",
			    (unsigned)((now - state->beat_ns) / 1000000000));
	/* Half of the time that systemd gives, as sd_watchdog_enabled(3) asks for. */
	if (state->watchdog_ns && now - state->pinged_ns >= state->watchdog_ns / 4 &&
	    now - state->beat_ns < state->watchdog_ns / 2) {
		notify_send("WATCHDOG=1");
		state->pinged_ns = now;
	}
	if (!state->lost_told &&
	    loader_lost_hook(state->keeper->loader, message.text, sizeof(message.text))) {
		log_error("a hook is not attached any more: %s", message.text);
		tell(state, &message);
		state->lost_told = true;
	}
	log_flush();
}

int keeper_run(struct keeper *keeper)
{
	struct state state = {.keeper = keeper, .watchdog_ns = notify_watchdog_ns()};
	struct pollfd fds[2] = {{.fd = keeper->fd, .events = POLLIN}, {.events = POLLIN}};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	trial_keeper_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	fds[1].fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fds[1].fd < 0) {
		log_error("cannot wait for signals: %s", strerror(errno));
		ask_agent_to_end(&state);
	}
	while (!state.gone) {
		poll(fds, 2, TICK_MS);
		/* gone sides are always readable; that the agent is gone, SIGCHLD tells */
		if (fds[0].revents & POLLIN)
			listen_to_agent(&state);
		if (fds[0].revents & (POLLHUP | POLLERR))
			fds[0].fd = -1;
		if (fds[1].revents & POLLIN)
			take_signals(&state, fds[1].fd);
		look_for_agent(&state);
		tick(&state);
	}
	if (fds[1].fd >= 0)
		close(fds[1].fd);
	if (unlink(keeper->socket) && errno != ENOENT)
		log_warning("cannot remove %s: %s", keeper->socket, strerror(errno));
	return state.status;
}

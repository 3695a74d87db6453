// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * wsvitals run: the agent. Opens everything as root, attaches, forks, and gives up what each of the
 * two processes does not need. Whatever fails on the way, nothing is left: no hook, no socket, no
 * child.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "cli.h"
#include "keeper.h"
#include "log.h"
#include "options.h"
#include "place.h"
#include "sandbox.h"
#include "token.h"

#define ERROR_SIZE 512

struct run {
	struct options options;
	struct settings settings;
	struct identity identity;
	struct scope scope;
	char scope_words[256];
	char socket[300];
	char login_code[TOKEN_TEXT_SIZE];
	int db_lock, run_lock, tcp, local;
	struct loader *loader;
	struct agent_config agent;
	struct certificate certificate;
	struct certificate_seen certificate_seen;
	char error[ERROR_SIZE];
};

static int is_loopback(const char *listen)
{
	struct listen_address at;

	return !listen_address_parse(listen, &at) && label_is_loopback(at.addr);
}

static int check(struct run *run)
{
	const char *listen, *cert, *key;

	if (options_settings(&run->options, &run->settings, run->error, sizeof(run->error)))
		return -EINVAL;
	listen = settings_text(&run->settings, SETTING_LISTEN);
	cert = settings_text(&run->settings, SETTING_TLS_CERT);
	key = settings_text(&run->settings, SETTING_TLS_KEY);
	log_set_level(settings_log_level(&run->settings));
	if (geteuid()) {
		snprintf(run->error, sizeof(run->error),
			 "the agent needs root to attach to the kernel: run it with sudo (it gives "
			 "up root once it has)");
		return -EPERM;
	}
	if (!*cert != !*key) {
		snprintf(run->error, sizeof(run->error),
			 "tls-cert and tls-key belong together: give both or none");
		return -EINVAL;
	}
	if (!*cert && !is_loopback(listen) &&
	    !settings_yes(&run->settings, SETTING_INSECURE_LISTEN)) {
		snprintf(run->error, sizeof(run->error),
			 "%s is not loopback, and there is no TLS: listen on 127.0.0.1 behind a "
			 "proxy or `ssh -L', give --tls-cert and --tls-key, or --insecure-listen",
			 listen);
		return -EINVAL;
	}
	return 0;
}

/* Here, because the key is for root alone. */
static int read_certificate(struct run *run)
{
	const char *cert = settings_text(&run->settings, SETTING_TLS_CERT);
	const char *key = settings_text(&run->settings, SETTING_TLS_KEY);

	(void)certificate_changed(cert, key, &run->certificate_seen);
	run->agent.certificate = &run->certificate;
	return certificate_read(cert, key, &run->certificate, run->error, sizeof(run->error));
}

/* Directories, locks, token, key, sockets. */
static int open_places(struct run *run)
{
	const char *db = settings_text(&run->settings, SETTING_DB);
	const char *run_dir = settings_text(&run->settings, SETTING_RUN_DIR);
	struct tokens tokens;
	int err;

	err = identity_find(&run->identity, run->error, sizeof(run->error));
	if (err)
		return err;
	run->db_lock = place_take(db, "data directory", 0700, &run->identity, run->error,
				  sizeof(run->error));
	if (run->db_lock < 0)
		return run->db_lock;
	run->run_lock = place_take(run_dir, "run directory", 0755, &run->identity, run->error,
				   sizeof(run->error));
	if (run->run_lock < 0)
		return run->run_lock;
	err = tokens_read(db, &tokens, run->error, sizeof(run->error));
	if (!err)
		err = token_first(db, time(NULL), run->error, sizeof(run->error));
	if (!err)
		err = place_key(db, &run->identity, run->agent.key, run->error, sizeof(run->error));
	if (err)
		return err;
	if (*settings_text(&run->settings, SETTING_TLS_CERT)) {
		err = read_certificate(run);
		if (err)
			return err;
	}
	run->tcp = place_listen(settings_text(&run->settings, SETTING_LISTEN), run->error,
				sizeof(run->error));
	if (run->tcp < 0)
		return run->tcp;
	snprintf(run->socket, sizeof(run->socket), "%s/" PLACE_SOCKET, run_dir);
	run->local = place_listen_local(run->socket, &run->identity, run->error,
					sizeof(run->error));
	if (run->local < 0) {
		*run->socket = '\0'; /* not ours to remove */
		return run->local;
	}
	token_make(run->login_code);
	return 0;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int attach(struct run *run)
{
	int err;

	settings_scope(&run->settings, &run->scope);
	scope_describe(&run->scope, run->scope_words, sizeof(run->scope_words));
	err = loader_new(&run->scope, &run->loader);
	run->agent.start_ns = clock_ns(CLOCK_MONOTONIC);
	run->agent.start_wall_ns = clock_ns(CLOCK_REALTIME);
	if (!err)
		err = loader_attach(run->loader);
	if (err)
		snprintf(run->error, sizeof(run->error), "%s", loader_error(run->loader));
	return err;
}

/* --- the keeper's part --- */

static int read_settings(struct settings *ret_settings, char *ret_error, size_t error_size,
			 void *ctx)
{
	struct run *run = ctx;

	return options_settings(&run->options, ret_settings, ret_error, error_size);
}

/* What a person who starts it by hand wants to know. In the journal no code is left lying about,
 * unless nobody has logged in yet. */
static void greet(void *ctx)
{
	struct run *run = ctx;
	const char *listen = settings_text(&run->settings, SETTING_LISTEN);
	const char *base = settings_text(&run->settings, SETTING_BASE_PATH);
	const char *run_dir = settings_text(&run->settings, SETTING_RUN_DIR);
	const char *port = strrchr(listen, ':') + 1;
	const char *scheme = run->agent.certificate ? "https" : "http";
	char first[300];

	log_info("serving on %s, watching %s", listen, run->scope_words);
	if (!is_loopback(listen))
		log_warning("serving beyond loopback without TLS: tokens can be read on the way");
	snprintf(first, sizeof(first), "%s/first-token", settings_text(&run->settings, SETTING_DB));
	printf("wsvitals watches %s\n\n  open         %s://%s%s/\n", run->scope_words, scheme,
	       listen, base);
	if (!getenv("JOURNAL_STREAM") || !access(first, F_OK))
		printf("  log in once  %s://%s%s/login?code=%s\n", scheme, listen, base,
		       run->login_code);
	printf("  from afar    ssh -L %s:%s THIS_HOST, then open the same addresses there\n"
	       "  dump         sudo %s snapshot --run-dir %s\n"
	       "  a token      sudo %s token add NAME --db %s\n\n",
	       port, listen, program_invocation_name, run_dir, program_invocation_name,
	       settings_text(&run->settings, SETTING_DB));
	fflush(stdout);
}

static int keep(struct run *run, int fd, pid_t agent)
{
	struct keeper keeper = {
		.fd = fd,
		.agent = agent,
		.loader = run->loader,
		.read_settings = read_settings,
		.ready = greet,
		.ctx = run,
		.settings = &run->settings,
		.socket = run->socket,
		.certificate = run->certificate_seen,
	};

	log_set_part("keeper");
	sodium_memzero(&run->certificate, sizeof(run->certificate));
	close(run->tcp);
	close(run->local);
	loader_keep_attaching(run->loader);
	if (sandbox_keeper(&run->identity, run->error, sizeof(run->error))) {
		log_error("%s", run->error);
		shutdown(fd, SHUT_WR); /* the agent ends, and then the keeper */
	}
	return keeper_run(&keeper);
}

/* --- the agent's --- */

static int be_agent(struct run *run, int fd)
{
	log_set_part("agent");
	loader_keep_reading(run->loader);
	run->agent.keeper_fd = fd;
	run->agent.tcp_fd = run->tcp;
	run->agent.local_fd = run->local;
	run->agent.loader = run->loader;
	run->agent.settings = &run->settings;
	run->agent.identity = &run->identity;
	run->agent.scope = run->scope_words;
	run->agent.socket = run->socket;
	run->agent.login_code = run->login_code;
	return agent_run(&run->agent);
}

/* --- */

static int split(struct run *run)
{
	sigset_t signals;
	int pair[2], status;
	pid_t pid;

	/* for signalfd in both; one that comes from now on waits */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		log_error("cannot connect keeper and agent: %s", strerror(errno));
		return EXIT_FAILED;
	}
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		log_error("cannot start the agent's process: %s (is the process table full?)",
			  strerror(errno));
		close(pair[0]);
		close(pair[1]);
		return EXIT_FAILED;
	}
	if (!pid) {
		close(pair[0]);
		status = be_agent(run, pair[1]);
		close(pair[1]);
	} else {
		close(pair[1]);
		status = keep(run, pair[0], pid);
		close(pair[0]);
	}
	return status;
}

static void help(void)
{
	printf("wsvitals run: the agent, in the foreground\n\n"
	       "Examples:\n"
	       "  sudo wsvitals run                     every server of this host\n"
	       "  sudo wsvitals run --port 8000,8001    two of them\n"
	       "  sudo wsvitals run --config FILE       configuration from elsewhere\n\n"
	       "Options (each but --config and --help is a key of [agent] in the "
	       "configuration):\n");
	options_describe(OPTIONS_SETTINGS);
}

int cli_run(int argc, char **argv)
{
	static struct run run = {.db_lock = -1, .run_lock = -1, .tcp = -1, .local = -1};
	int err, status = EXIT_FAILED;

	if (options_parse(argc, argv, OPTIONS_SETTINGS, &run.options, run.error,
			  sizeof(run.error))) {
		log_error("%s", run.error);
		return EXIT_USAGE;
	}
	if (run.options.help) {
		help();
		return EXIT_OK;
	}
	if (sodium_init() < 0) {
		log_error("cannot get random numbers for tokens");
		return EXIT_FAILED;
	}
	err = check(&run);
	if (!err)
		err = open_places(&run);
	if (!err)
		err = attach(&run);
	if (err)
		log_error("%s", run.error);
	else
		status = split(&run);
	/* of the two processes each removes what it can; before the fork this one does */
	if (*run.socket)
		unlink(run.socket);
	loader_free(run.loader);
	return status;
}

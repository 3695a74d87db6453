// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Puts a server under load and times its answers: one thread, one epoll, one send and one receive
 * call a message, so that the socket events of a run can be told from its messages.
 *
 *   load ws|http|raw|none [OPTIONS] ADDRESS PORT  load; prints one JSON object
 *     -c N     connections (64)              -s SECONDS  how long is measured (3)
 *     -r RATE  messages a second over all connections; 0 (default): each connection sends again as
 *              soon as it has its answer
 *     -w SECONDS  load before that (0.5)     -b BYTES    of a message (100)
 *     -p PID   processor time of this process is measured too; may be given again
 *     -n       keeps no times, for runs of more than MAX_SAMPLES messages
 *   load hold -c N ADDRESS PORT  opens N WebSockets, prints `open N', keeps them until its standard
 *                                input ends, closes them with an RST
 *
 * ws: masked text messages and their echo. http: GET on a connection that is kept alive. raw: bytes
 * that are neither, and their echo. none: reads that find nothing (its messages are these reads).
 *
 * With a rate, a time is measured from when the message was due, not from when it was sent: a server
 * that stalls is charged for all that it delayed. An answer that is not the expected one ends the run.
 *
 * `sent' and `answered' are of the whole run, warming up included: after what is measured it waits for
 * the answers that are still under way, so that both are the same and the server has read everything
 * when the connections end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define BUFFER 65536    /* the largest message with its header, or answer */
#define HANDSHAKE 2048  /* the largest answer to an upgrade */
#define OUTSTANDING 256 /* messages of one connection without an answer, with a rate */
#define OPENING 128     /* handshakes in flight */
#define ADDRESSES 8     /* client addresses: each has its own 28 000 ports */
#define MAX_SAMPLES 16000000
#define MAX_PIDS 4
#define FILES (1 << 20)
#define EVENTS 256
#define PAUSE_NS 10000000        /* how late the end of a run may be seen */
#define LAST_NS (10 * SECOND_NS) /* the answers that are still under way come within that time */

/* RFC 6455 1.3's own key, so that no random numbers and no SHA-1 are needed. */
static const char upgrade[] =
	"GET /bench HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/* as long as a browser's */
static const char get[] =
	"GET /items/4711?page=2 HTTP/1.1\r\nHost: bench.example\r\nConnection: keep-alive\r\n"
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
	"Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.8,de;q=0.5\r\n"
	"Accept-Encoding: gzip, deflate, br\r\nReferer: https://bench.example/items\r\n"
	"Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n"
	"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n\r\n";

enum mode { MODE_WS, MODE_HTTP, MODE_RAW, MODE_NONE, NR_MODES };
static const char *const modes[NR_MODES] = {"ws", "http", "raw", "none"};

struct peer {
	int fd;
	bool upgraded;
	uint32_t have;           /* bytes of the current answer */
	uint32_t oldest, newest; /* due[oldest..newest) wait for an answer */
	uint64_t *due;           /* OUTSTANDING of them */
};

static struct {
	enum mode mode;
	const char *address;
	int port;
	int connections;
	double seconds, warmup, rate;
	size_t bytes;
	pid_t pids[MAX_PIDS];
	int nr_pids;
	bool no_times;
} options = {.connections = 64, .seconds = 3, .warmup = 0.5, .bytes = 100};

static struct peer *peers;
static int epoll_fd;
static char request[BUFFER], answer[BUFFER], in[BUFFER];
static size_t request_len, answer_len;
static bool answer_known; /* byte for byte; of HTTP only the length is */
static uint32_t *samples; /* ns */
static size_t nr_samples;
static uint64_t nr_sent, nr_answered;
static uint64_t nr_skipped; /* messages that were due on a connection with OUTSTANDING others */

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
	exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		die("clock_gettime");
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

/* User and system time of all threads, those that ended included. */
static uint64_t cpu_ns(pid_t pid)
{
	clockid_t clock;

	errno = clock_getcpuclockid(pid, &clock);
	if (errno)
		die("no such process to measure");
	return now_ns(clock);
}

/* ---- what is said */

/* A text frame of options.bytes letters; the payload is not masked. Returns the header's length. */
static size_t frame(char *to, bool masked)
{
	size_t n = 2;

	to[0] = (char)0x81;
	if (options.bytes < 126) {
		to[1] = (char)options.bytes;
	} else {
		to[1] = 126;
		to[2] = (char)(options.bytes >> 8);
		to[3] = (char)options.bytes;
		n = 4;
	}
	if (masked) {
		to[1] = (char)(to[1] | 0x80);
		memcpy(to + n, "\x5a\xc3\x11\x8e", 4);
		n += 4;
	}
	memset(to + n, 'm', options.bytes);
	return n;
}

static void make_messages(void)
{
	size_t header;

	switch (options.mode) {
	case MODE_WS:
		header = frame(request, true);
		for (size_t i = 0; i < options.bytes; i++)
			request[header + i] ^= request[header - 4 + i % 4];
		request_len = header + options.bytes;
		answer_len = frame(answer, false) + options.bytes;
		answer_known = true;
		break;
	case MODE_HTTP:
		request_len = sizeof(get) - 1;
		memcpy(request, get, request_len);
		break;
	case MODE_RAW:
		request_len = answer_len = options.bytes;
		memset(request, '\xa5', request_len);
		memcpy(answer, request, answer_len);
		answer_known = true;
		break;
	default:
		break;
	}
}

static void say(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	if (n != (ssize_t)len)
		die(n < 0 && errno != EAGAIN ? "send" : "the server does not read any more");
}

/* ---- opening */

static void open_socket(struct peer *peer, int number)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
	uint32_t host = (uint32_t)(number % ADDRESSES + 1), net = (uint32_t)getpid() & 0xffff;
	int on = 1;

	if (inet_pton(AF_INET, options.address, &to.sin_addr) != 1)
		die("this is no IPv4 address");
	/* Every run comes from its own part of 127/8: ports of the last one may be in TIME_WAIT. */
	from.sin_addr.s_addr = htonl(127u << 24 | (net | 1u) << 8 | host);
	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->fd < 0)
		die("socket");
	setsockopt(peer->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(peer->fd, (struct sockaddr *)&from, sizeof(from)))
		die("bind");
	if (connect(peer->fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fcntl(peer->fd, F_SETFL, O_NONBLOCK))
		die("fcntl");
}

static void watch_peer(struct peer *peer)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, peer->fd, &event))
		die("epoll_ctl");
}

/* The whole answer to an upgrade; true when it is complete. Nothing but the answer may have come. */
static bool upgraded(struct peer *peer)
{
	char head[HANDSHAKE];
	ssize_t n = recv(peer->fd, head, sizeof(head), MSG_PEEK);

	if (n <= 0)
		die("the server closed during the handshake");
	if (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4)) {
		if (n == sizeof(head))
			die("the answer to the upgrade is too long");
		return false;
	}
	if (memcmp(head, "HTTP/1.1 101", 12))
		die("the server refused the upgrade");
	if (recv(peer->fd, head, (size_t)n, 0) != n)
		die("recv");
	return true;
}

/* Opens all connections, OPENING at a time; for WebSockets until each has its 101. */
static void open_all(void)
{
	struct epoll_event events[EVENTS];
	int opened = 0, ready = 0;

	while (ready < options.connections) {
		while (opened < options.connections && opened - ready < OPENING) {
			struct peer *peer = &peers[opened];

			open_socket(peer, opened++);
			watch_peer(peer);
			if (options.mode == MODE_WS)
				say(peer->fd, upgrade, sizeof(upgrade) - 1);
			else
				ready++;
		}
		if (options.mode != MODE_WS)
			continue;
		for (int i = 0, n = epoll_wait(epoll_fd, events, EVENTS, -1); i < n; i++) {
			struct peer *peer = events[i].data.ptr;

			if (peer->upgraded)
				die("the server speaks first");
			peer->upgraded = upgraded(peer);
			ready += peer->upgraded;
		}
	}
}

/* How long the answers of this HTTP server are: its first one says it. */
static void learn_http(void)
{
	size_t have = 0;
	char *body = NULL, *length;

	errno = 0;
	say(peers[0].fd, get, sizeof(get) - 1);
	fcntl(peers[0].fd, F_SETFL, 0);
	while (!body || have < answer_len) {
		ssize_t n = recv(peers[0].fd, in + have, sizeof(in) - 1 - have, 0);

		if (n <= 0)
			die("no answer to a GET");
		have += (size_t)n;
		in[have] = '\0';
		if (body || !(body = strstr(in, "\r\n\r\n")))
			continue;
		length = strcasestr(in, "\r\ncontent-length:");
		if (!length || length > body)
			die("the answer to a GET has no Content-Length");
		answer_len = (size_t)(body + 4 - in) + strtoul(length + 17, NULL, 10);
	}
	fcntl(peers[0].fd, F_SETFL, O_NONBLOCK);
}

/* ---- load */

static void send_message(struct peer *peer, uint64_t due)
{
	if (peer->newest - peer->oldest == OUTSTANDING) {
		nr_skipped++;
		return;
	}
	peer->due[peer->newest++ % OUTSTANDING] = due;
	nr_sent++;
	say(peer->fd, request, request_len);
}

/* Takes what has come; returns how many answers are complete now. */
static int receive(struct peer *peer)
{
	ssize_t n = recv(peer->fd, in, sizeof(in), 0);
	int complete = 0;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		die("the server closed a connection");
	for (size_t at = 0, len = (size_t)n; at < len;) {
		size_t take = answer_len - peer->have;

		if (take > len - at)
			take = len - at;
		if (peer->oldest + (uint32_t)complete == peer->newest)
			die("the server sends more than it was asked");
		if (answer_known && memcmp(in + at, answer + peer->have, take)) {
			errno = 0;
			die("the server answers something else");
		}
		at += take;
		peer->have += (uint32_t)take;
		if (peer->have == answer_len) {
			peer->have = 0;
			complete++;
			nr_answered++;
		}
	}
	return complete;
}

/* One time stands in the result: from due to now. */
static void sample(uint64_t ns)
{
	if (nr_samples == MAX_SAMPLES)
		die("more samples than there is room for");
	samples[nr_samples++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/*
 * Until `until`. With `closed` (no rate) each answer is followed by the next message; else messages
 * are due at *next, *next + interval, …, on one connection after the other. Answers are sampled when
 * `measure`. Returns how many there were.
 */
static uint64_t run_load(uint64_t until, uint64_t *next, uint64_t interval, bool measure)
{
	static uint64_t turn;
	struct epoll_event events[EVENTS];
	uint64_t answers = 0, now = now_ns(CLOCK_MONOTONIC);

	while (now < until) {
		struct timespec pause = {.tv_nsec = PAUSE_NS};
		int n;

		while (interval && *next <= now) {
			send_message(&peers[turn++ % (uint64_t)options.connections], *next);
			*next += interval;
		}
		if (interval && *next - now < PAUSE_NS)
			pause.tv_nsec = (long)(*next - now);
		n = epoll_pwait2(epoll_fd, events, EVENTS, &pause, NULL);
		now = now_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < n; i++) {
			struct peer *peer = events[i].data.ptr;

			for (int got = receive(peer); got; got--) {
				uint64_t due = peer->due[peer->oldest++ % OUTSTANDING];

				answers++;
				now = now_ns(CLOCK_MONOTONIC);
				if (measure && !options.no_times)
					sample(now - due);
				if (!interval)
					send_message(peer, now);
			}
		}
	}
	return answers;
}

/* Takes the answers that are still under way. */
static void finish_load(void)
{
	struct epoll_event events[EVENTS];
	uint64_t until = now_ns(CLOCK_MONOTONIC) + LAST_NS;

	errno = 0;
	while (nr_answered < nr_sent) {
		if (now_ns(CLOCK_MONOTONIC) > until)
			die("answers are missing at the end");
		for (int i = 0, n = epoll_wait(epoll_fd, events, EVENTS, 100); i < n; i++) {
			struct peer *peer = events[i].data.ptr;

			peer->oldest += (uint32_t)receive(peer);
		}
	}
}

/* Reads of connections on which nothing comes. Returns how many. */
static uint64_t run_none(uint64_t until)
{
	uint64_t reads = 0;

	while (now_ns(CLOCK_MONOTONIC) < until)
		for (int i = 0; i < options.connections; i++, reads++)
			if (recv(peers[i].fd, in, sizeof(in), 0) >= 0 || errno != EAGAIN)
				die("something came");
	return reads;
}

static uint64_t run(uint64_t until, uint64_t *next, uint64_t interval, bool measure)
{
	return options.mode == MODE_NONE ? run_none(until)
					 : run_load(until, next, interval, measure);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double percentile_us(double p)
{
	return nr_samples ? samples[(size_t)(p / 100 * (double)(nr_samples - 1))] / 1000.0 : 0;
}

static void load(void)
{
	uint64_t interval = options.rate > 0 ? (uint64_t)((double)SECOND_NS / options.rate) : 0;
	uint64_t start, next, answers, cpu[MAX_PIDS], took;

	samples = malloc(MAX_SAMPLES * sizeof(*samples));
	peers = calloc((size_t)options.connections, sizeof(*peers));
	if (!samples || !peers)
		die("memory");
	for (int i = 0; i < options.connections; i++)
		if (!(peers[i].due = malloc(OUTSTANDING * sizeof(*peers[i].due))))
			die("memory");
	open_all();
	if (options.mode == MODE_HTTP)
		learn_http();
	start = next = now_ns(CLOCK_MONOTONIC);
	if (!interval && options.mode != MODE_NONE)
		for (int i = 0; i < options.connections; i++)
			send_message(&peers[i], start);
	run(start + (uint64_t)(options.warmup * (double)SECOND_NS), &next, interval, false);
	for (int i = 0; i < options.nr_pids; i++)
		cpu[i] = cpu_ns(options.pids[i]);
	nr_skipped = 0;
	start = now_ns(CLOCK_MONOTONIC);
	answers = run(start + (uint64_t)(options.seconds * (double)SECOND_NS), &next, interval,
		      true);
	took = now_ns(CLOCK_MONOTONIC) - start;
	for (int i = 0; i < options.nr_pids; i++)
		cpu[i] = cpu_ns(options.pids[i]) - cpu[i];
	finish_load();
	qsort(samples, nr_samples, sizeof(*samples), compare);
	printf("{\"messages\": %llu, \"seconds\": %.6f, \"per_second\": %.1f, \"connections\": %d, "
	       "\"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f, \"skipped\": %llu, "
	       "\"sent\": %llu, \"answered\": %llu, \"cpu_ns\": [",
	       (unsigned long long)answers, (double)took / (double)SECOND_NS,
	       (double)answers * (double)SECOND_NS / (double)took, options.connections,
	       percentile_us(50), percentile_us(99), percentile_us(100),
	       (unsigned long long)nr_skipped, (unsigned long long)nr_sent,
	       (unsigned long long)nr_answered);
	for (int i = 0; i < options.nr_pids; i++)
		printf("%s%llu", i ? ", " : "", (unsigned long long)cpu[i]);
	printf("]}\n");
}

static void hold(void)
{
	struct linger reset = {.l_onoff = 1};
	char byte;

	peers = calloc((size_t)options.connections, sizeof(*peers));
	if (!peers)
		die("memory");
	open_all();
	printf("open %d\n", options.connections);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	/* no TIME_WAIT: the next one finds the kernel as this one did */
	for (int i = 0; i < options.connections; i++) {
		setsockopt(peers[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(peers[i].fd);
	}
}

/* ---- */

/* Returns the first argument that is no option. */
static int parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:s:r:w:b:p:n")) != -1) {
		switch (option) {
		case 'c':
			options.connections = atoi(optarg);
			break;
		case 's':
			options.seconds = atof(optarg);
			break;
		case 'r':
			options.rate = atof(optarg);
			break;
		case 'w':
			options.warmup = atof(optarg);
			break;
		case 'b':
			options.bytes = (size_t)atol(optarg);
			break;
		case 'p':
			if (options.nr_pids == MAX_PIDS)
				die("too many processes");
			options.pids[options.nr_pids++] = (pid_t)atoi(optarg);
			break;
		case 'n':
			options.no_times = true;
			break;
		default:
			exit(2);
		}
	}
	if (options.connections < 1 || !options.bytes || options.bytes > BUFFER - 16) {
		fprintf(stderr, "load: connections or bytes out of range\n");
		exit(2);
	}
	return optind;
}

/* Root may have as many descriptors as the kernel allows, unless it lacks CAP_SYS_RESOURCE. */
static void files_raise(void)
{
	struct rlimit files = {.rlim_cur = FILES, .rlim_max = FILES};

	if (!setrlimit(RLIMIT_NOFILE, &files) || getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	int at, mode;

	files_raise();
	/* else the kernel wakes us up to 50 us late, and that is what would be measured */
	prctl(PR_SET_TIMERSLACK, 1);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	at = argc > 1 ? parse(argc - 1, argv + 1) + 1 : 0;
	for (mode = 0; mode < NR_MODES && strcmp(command, modes[mode]); mode++)
		;
	if (at + 2 != argc || (mode == NR_MODES && strcmp(command, "hold"))) {
		fprintf(stderr, "usage: load ws|http|raw|none|hold [OPTIONS] ADDRESS PORT\n");
		return 2;
	}
	options.address = argv[at];
	options.port = atoi(argv[at + 1]);
	options.mode = mode == NR_MODES ? MODE_WS : (enum mode)mode;
	make_messages();
	if (mode == NR_MODES)
		hold();
	else
		load();
	return 0;
}

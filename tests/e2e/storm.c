/*
 * Opens and closes WebSocket connections as fast as the machine allows.
 *
 *   storm serve PORT            echo server: one epoll loop, any number of connections
 *   storm connect ADDR PORT N   N connections, WINDOW at a time; prints how many ended in each way
 *
 * Connection i ends by i % 4: 0, 1 closing handshake with 1000; 2 RST after the echo; 3 FIN without a close frame.
 * Key and accept are those of RFC 6455 1.3: the storm is about connections, not about SHA-1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW 128
#define MAX_FD 4096
#define BUFFER 1024

static const char request[] =
	"GET /storm HTTP/1.1\r\nHost: storm\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
static const char response[] =
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/* Masked with the key 0: "storm" and close 1000; the server's echo and close. */
static const char hello[] = "\x81\x85\0\0\0\0storm", bye[] = "\x88\x82\0\0\0\0\x03\xe8";
static const char hello_back[] = "\x81\x05storm", bye_back[] = "\x88\x02\x03\xe8";

/* Bytes that have arrived on a descriptor and are not consumed yet; `step` is the protocol's next move. */
struct peer {
	char in[BUFFER];
	size_t len;
	int step;
	long number;
};
static struct peer peers[MAX_FD];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void say(int fd, const char *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len && errno != EPIPE && errno != ECONNRESET)
		die("write");
}
#define SAY(fd, text) say(fd, text, sizeof(text) - 1)

/* If the input begins with these bytes, consume them. */
static int take(struct peer *p, const char *data, size_t len)
{
	if (p->len < len || memcmp(p->in, data, len))
		return 0;
	p->len -= len;
	memmove(p->in, p->in + len, p->len);
	return 1;
}
#define TAKE(p, text) take(p, text, sizeof(text) - 1)

/* 1: more has come; 0: the stream has ended. */
static int fill(int fd, struct peer *p)
{
	ssize_t n = read(fd, p->in + p->len, BUFFER - p->len);

	if (n <= 0)
		return 0;
	p->len += (size_t)n;
	return 1;
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	int on = 1;

	if (fd >= MAX_FD)
		die("too many descriptors");
	memset(&peers[fd], 0, sizeof(peers[fd]));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static void serve_peer(int fd)
{
	struct peer *p = &peers[fd];

	if (!fill(fd, p)) {
		close(fd);
		return;
	}
	if (TAKE(p, request))
		SAY(fd, response);
	if (TAKE(p, hello))
		SAY(fd, hello_back);
	if (TAKE(p, bye)) {
		SAY(fd, bye_back);
		close(fd);
	}
}

static void serve(int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1024))
		die("listen");
	watch(epoll, listener);
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				serve_peer(fd);
				continue;
			}
			fd = accept(listener, NULL, NULL);
			if (fd >= 0)
				watch(epoll, fd);
		}
	}
}

static long ended_clean, ended_reset, ended_fin;

static void open_one(int epoll, const struct sockaddr_in *to, long number)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		die("connect");
	watch(epoll, fd);
	peers[fd].number = number;
	SAY(fd, request);
}

/* 1: this connection has ended. */
static int connect_peer(int fd)
{
	struct linger now = {.l_onoff = 1};
	struct peer *p = &peers[fd];

	if (!fill(fd, p)) {
		if (p->step != 2 || p->len)
			die("the server ended a connection early");
		if (p->number % 4 == 3)
			ended_fin++;
		else
			ended_clean++;
		close(fd);
		return 1;
	}
	if (p->step == 0 && TAKE(p, response)) {
		p->step = 1;
		SAY(fd, hello);
	}
	if (p->step == 1 && TAKE(p, hello_back)) {
		p->step = 2;
		switch (p->number % 4) {
		case 2:
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
			close(fd);
			ended_reset++;
			return 1;
		case 3:
			shutdown(fd, SHUT_WR);
			break;
		default:
			SAY(fd, bye);
		}
	}
	if (p->step == 2)
		TAKE(p, bye_back);
	return 0;
}

static void connect_all(const char *host, int port, long total)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	long opened = 0, ended = 0;
	int epoll = epoll_create1(0);

	inet_pton(AF_INET, host, &to.sin_addr);
	while (ended < total) {
		struct epoll_event events[64];

		while (opened < total && opened - ended < WINDOW)
			open_one(epoll, &to, opened++);
		for (int i = 0, n = epoll_wait(epoll, events, 64, -1); i < n; i++)
			ended += connect_peer(events[i].data.fd);
	}
	printf("clean %ld reset %ld fin %ld\n", ended_clean, ended_reset, ended_fin);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(atoi(argv[2]));
	if (argc != 5 || strcmp(argv[1], "connect"))
		return 2;
	connect_all(argv[2], atoi(argv[3]), atol(argv[4]));
	return 0;
}

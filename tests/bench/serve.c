// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * A server that costs next to nothing, so that what is measured is wsvitals:
 *
 *   serve ADDRESS PORT    one thread, one epoll, until it is killed; several share a port
 *
 * The first bytes of a connection decide what it is: a GET with an Upgrade becomes a WebSocket whose
 * messages are sent back, any other GET is answered and the connection kept, other bytes are sent
 * back as they came. Each read is followed by one write of all that it asked for. It trusts its
 * clients (load.c): a stream that is none of these is cut off.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER 131072 /* more than the largest message (load.c) with its header */
#define EVENTS 256
#define FILES (1 << 20)

/* RFC 6455 1.3's own key and its answer: clients use no other. */
static const char key[] = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
static const char switching[] =
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char plain[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
			    "\r\nplain\n";

enum kind { KIND_NEW, KIND_HTTP, KIND_WS, KIND_RAW };

struct peer {
	int fd;
	enum kind kind;
	uint32_t len; /* bytes of kept: a request or frame that is not complete yet */
	char *kept;
};

static char in[BUFFER], out[2 * BUFFER];

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "serve: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Each of these takes what is complete of data, appends the answers to out and returns how much it
 * took: 0 when more is needed, -1 when this is nothing that it understands. */

static ssize_t take_request(struct peer *peer, char *data, size_t len, size_t *out_len)
{
	const char *end = memmem(data, len, "\r\n\r\n", 4), *answer = plain;
	size_t answer_len = sizeof(plain) - 1;

	if (!end)
		return 0;
	if (memmem(data, len, "Upgrade: websocket\r\n", 20)) {
		if (!memmem(data, len, key, sizeof(key) - 1))
			return -1;
		answer = switching;
		answer_len = sizeof(switching) - 1;
		peer->kind = KIND_WS;
	}
	memcpy(out + *out_len, answer, answer_len);
	*out_len += answer_len;
	return end + 4 - data;
}

/* The same frame back without its mask. Frames of 64 KiB and more do not come. */
static ssize_t take_frame(const char *data, size_t len, size_t *out_len)
{
	size_t header = 2, payload;
	uint32_t mask, word;
	char *to = out + *out_len;

	if (len < 8)
		return 0;
	payload = data[1] & 0x7f;
	if (!(data[1] & 0x80) || payload == 127)
		return -1;
	if (payload == 126) {
		payload = (size_t)(uint8_t)data[2] << 8 | (uint8_t)data[3];
		header = 4;
	}
	if (len < header + 4 + payload)
		return 0;
	memcpy(&mask, data + header, 4);
	memcpy(to, data, header);
	to[1] &= 0x7f;
	to += header;
	data += header + 4;
	for (size_t i = 0; i < payload; i += 4) { /* out has room for the three too many */
		memcpy(&word, data + i, 4);
		word ^= mask;
		memcpy(to + i, &word, 4);
	}
	*out_len += header + payload;
	return (ssize_t)(header + 4 + payload);
}

static ssize_t take(struct peer *peer, char *data, size_t len, size_t *out_len)
{
	if (peer->kind == KIND_NEW)
		peer->kind = len >= 4 && !memcmp(data, "GET ", 4) ? KIND_HTTP : KIND_RAW;
	switch (peer->kind) {
	case KIND_HTTP:
		return take_request(peer, data, len, out_len);
	case KIND_WS:
		return take_frame(data, len, out_len);
	default:
		memcpy(out + *out_len, data, len);
		*out_len += len;
		return (ssize_t)len;
	}
}

/* One read and one write; false when the connection is over. */
static bool serve(struct peer *peer)
{
	size_t len = peer->len, at = 0, out_len = 0;
	ssize_t n;

	if (len) {
		memcpy(in, peer->kept, len);
		free(peer->kept);
		peer->kept = NULL;
		peer->len = 0;
	}
	n = recv(peer->fd, in + len, sizeof(in) - 4 - len, MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	len += (size_t)n;
	while (at < len) {
		n = take(peer, in + at, len - at, &out_len);
		if (n < 0)
			return false;
		if (!n)
			break;
		at += (size_t)n;
	}
	if (at < len) {
		if (len - at > sizeof(in) / 2)
			return false;
		peer->kept = malloc(len - at);
		if (!peer->kept)
			die("memory");
		memcpy(peer->kept, in + at, len - at);
		peer->len = (uint32_t)(len - at);
	}
	return !out_len || send(peer->fd, out, out_len, MSG_NOSIGNAL) == (ssize_t)out_len;
}

static void accept_peer(int epoll_fd, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
	struct peer *peer;
	struct epoll_event event = {.events = EPOLLIN};

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			die("accept");
		return;
	}
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		die("memory");
	peer->fd = fd;
	event.data.ptr = peer;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
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
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
	int listener, epoll_fd, on = 1;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) {
		fprintf(stderr, "usage: serve ADDRESS PORT\n");
		return 2;
	}
	at.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	files_raise();
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (listener < 0 || epoll_fd < 0)
		die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 4096))
		die("listen");
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event))
		die("epoll_ctl");
	for (;;) {
		for (int i = 0, n = epoll_wait(epoll_fd, events, EVENTS, -1); i < n; i++) {
			struct peer *peer = events[i].data.ptr;

			if (!peer) {
				accept_peer(epoll_fd, listener);
			} else if (!serve(peer)) {
				close(peer->fd);
				free(peer->kept);
				free(peer);
			}
		}
	}
}

/*
 * TCP connections that are older than the monitor and speak something else, both ends in this process.
 *
 *   strangers PORT COUNT SOCKETS ROUNDS    COUNT connections of other protocols, in turn, then SOCKETS WebSockets
 *
 * Each connection first moves a few bytes both ways. `ready` is printed; at the next line on standard input every
 * connection moves ROUNDS messages each way, and `done` with the number of bytes is printed; at end of input all end.
 * Readers differ by connection: large reads, header and payload apart, small reads of any size.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 4096

struct message {
	uint8_t bytes[MESSAGE_MAX];
	size_t len;
	size_t head; /* what a reader that knows the protocol reads first */
};

struct connection {
	int client, server;
	uint64_t seed;
	unsigned protocol, reader;
	uint64_t state; /* of the protocol */
};

static uint64_t moved;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* xorshift64* */
static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

static uint32_t below(uint64_t *seed, uint32_t n)
{
	return (uint32_t)(next(seed) >> 33) % n;
}

static void put(struct message *m, const void *bytes, size_t len)
{
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}
#define PUT(m, text) put(m, text, sizeof(text) - 1)

static void put_random(struct message *m, uint64_t *seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		m->bytes[m->len++] = (uint8_t)next(seed);
}

static void put_number(struct message *m, uint64_t n, int bytes)
{
	while (bytes--)
		m->bytes[m->len++] = (uint8_t)(n >> 8 * bytes);
}

static void put_text(struct message *m, const char *format, unsigned n)
{
	m->len += (size_t)sprintf((char *)m->bytes + m->len, format, n);
}

/* What one side says next. up: client to server. */
static void http1(struct connection *c, struct message *m, int up)
{
	uint32_t size = below(&c->seed, 1500), parts = 1 + below(&c->seed, 3);

	if (up) {
		for (uint32_t i = 0; i < parts; i++) /* pipelined */
			put_text(m,
				 "GET /asset/%u HTTP/1.1\r\nHost: example.org\r\nCookie: "
				 "session=0a1b2c\r\n\r\n",
				 i);
		m->head = m->len;
		return;
	}
	put_text(m, "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %u\r\n\r\n",
		 size);
	m->head = m->len;
	put_random(m, &c->seed, size);
}

static void http1_chunked(struct connection *c, struct message *m, int up)
{
	uint32_t size = 1 + below(&c->seed, 1500);

	if (up)
		PUT(m, "POST /upload HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: "
		       "chunked\r\n\r\n");
	else
		PUT(m, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	m->head = m->len;
	put_text(m, "%x\r\n", size);
	put_random(m, &c->seed, size);
	PUT(m, "\r\n0\r\n\r\n");
}

static void http2(struct connection *c, struct message *m, int up)
{
	static const uint8_t types[] = {0, 0, 1, 8, 6, 4, 9};
	uint32_t frames = 1 + below(&c->seed, 3);

	m->head = 9;
	while (frames--) {
		uint8_t type = types[below(&c->seed, sizeof(types))];
		uint32_t len = type == 8 ? 4 : type == 6 ? 8 : type == 4 ? 6 : below(&c->seed, 800);

		put_number(m, len, 3);
		put_number(m, type, 1);
		put_number(m, type == 1 ? 4 : 0, 1);
		put_number(m, type == 6 || type == 4 ? 0 : 1 + 2 * below(&c->seed, 100) + !up, 4);
		put_random(m, &c->seed, len);
	}
}

static void tls(struct connection *c, struct message *m, int up)
{
	uint32_t len = 24 + below(&c->seed, 1400);

	(void)up;
	m->head = 5;
	PUT(m, "\x17\x03\x03");
	put_number(m, len, 2);
	put_random(m, &c->seed, len);
}

static void redis(struct connection *c, struct message *m, int up)
{
	uint32_t len = below(&c->seed, 300);

	if (up)
		put_text(m, "*3\r\n$3\r\nSET\r\n$5\r\nkey:1\r\n$%u\r\n", len);
	else
		put_text(m, "$%u\r\n", len);
	m->head = m->len;
	put_random(m, &c->seed, len);
	PUT(m, "\r\n");
}

static void postgresql(struct connection *c, struct message *m, int up)
{
	uint32_t len = 1 + below(&c->seed, 200);

	m->head = 5;
	if (up) {
		PUT(m, "B");
		put_number(m, 4 + 2 + len, 4);
		PUT(m, "\0\0");
		put_random(m, &c->seed, len);
		PUT(m, "E\0\0\0\x09\0\0\0\0\0S\0\0\0\4");
		return;
	}
	PUT(m, "2\0\0\0\4D");
	put_number(m, 4 + 2 + 4 + len, 4);
	PUT(m, "\0\1");
	put_number(m, len, 4);
	put_random(m, &c->seed, len);
	PUT(m, "C\0\0\0\rSELECT 1\0Z\0\0\0\5I");
	if (below(&c->seed, 4) == 0)
		PUT(m, "A\0\0\0\x80\0\0\0\1channel");
}

static void mqtt(struct connection *c, struct message *m, int up)
{
	uint32_t len = below(&c->seed, 100);

	m->head = 2;
	switch (below(&c->seed, 4)) {
	case 0:
		if (up)
			PUT(m, "\xc0\0");
		else
			PUT(m, "\xd0\0");
		break;
	case 1:
		if (up) {
			PUT(m, "\x82\x0a");
			put_number(m, next(&c->seed), 2);
			PUT(m, "\0\5topic\1");
		} else {
			PUT(m, "\x90\3\0\1\0");
		}
		break;
	case 2:
		PUT(m, "\x40\2");
		put_number(m, next(&c->seed), 2);
		break;
	default:
		PUT(m, "\x32");
		put_number(m, 9 + len, 1);
		PUT(m, "\0\5topic\0\1");
		put_random(m, &c->seed, len);
	}
}

static void ssh(struct connection *c, struct message *m, int up)
{
	uint32_t len = 16 * (1 + below(&c->seed, 30));

	(void)up;
	m->head = 4;
	if (c->seed & 1)
		put_number(m, len, 4); /* aes-gcm: the length is clear */
	else
		put_random(m, &c->seed, 4); /* chacha20: it is not */
	put_random(m, &c->seed, len + 16);
}

static void noise(struct connection *c, struct message *m, int up)
{
	(void)up;
	m->head = 1 + below(&c->seed, 10);
	put_random(m, &c->seed, 1 + below(&c->seed, 1u << (1 + below(&c->seed, 10))));
}

static void numbers(struct connection *c, struct message *m, int up)
{
	uint32_t len = 2 * (2 + below(&c->seed, 200));
	uint8_t value = 0x80 + below(&c->seed, 12);

	(void)up;
	m->head = 4;
	for (uint32_t i = 0; i < len; i += 2)
		put_number(m, value << 8, 2);
}

static void websocket(struct connection *c, struct message *m, int up)
{
	uint32_t len = 1 + below(&c->seed, 400);

	put_number(m, 0x82, 1);
	put_number(m, (up ? 0x80 : 0) | (len < 126 ? len : 126), 1);
	if (len > 125)
		put_number(m, len, 2);
	if (up)
		put_random(m, &c->seed, 4);
	m->head = m->len;
	put_random(m, &c->seed, len);
}

static void (*const protocols[])(struct connection *, struct message *, int) = {
	http1, http1_chunked, http2, tls, redis, postgresql, mqtt, ssh, noise, numbers, websocket,
};
#define NR_STRANGERS (sizeof(protocols) / sizeof(protocols[0]) - 1)
#define WEBSOCKET NR_STRANGERS

static void read_all(int fd, size_t len, size_t most)
{
	uint8_t bytes[MESSAGE_MAX];

	while (len) {
		ssize_t n = read(fd, bytes, len < most ? len : most);

		if (n <= 0)
			die("read");
		len -= (size_t)n;
	}
}

static void say(struct connection *c, int up)
{
	int from = up ? c->client : c->server, to = up ? c->server : c->client;
	struct message m = {.len = 0};

	protocols[c->protocol](c, &m, up);
	if (m.head > m.len)
		m.head = m.len;
	if (write(from, m.bytes, m.len) != (ssize_t)m.len)
		die("write");
	moved += m.len;
	switch (c->reader) {
	case 0:
		read_all(to, m.len, MESSAGE_MAX);
		break;
	case 1:
		read_all(to, m.head, m.head);
		if (m.len > m.head)
			read_all(to, m.len - m.head, MESSAGE_MAX);
		break;
	default:
		read_all(to, m.len, 1 + below(&c->seed, c->reader == 2 ? 16 : 512));
	}
}

static void open_one(struct connection *c, int listener, const struct sockaddr_in *at,
		     unsigned number, unsigned protocol)
{
	int one = 1;

	c->seed = 0x9e3779b97f4a7c15ull * (number + 1);
	c->protocol = protocol;
	c->reader = protocol == WEBSOCKET ? number & 1 : number / NR_STRANGERS & 3;
	c->client = socket(AF_INET, SOCK_STREAM, 0);
	if (c->client < 0 || connect(c->client, (const struct sockaddr *)at, sizeof(*at)))
		die("connect");
	c->server = accept(listener, NULL, NULL);
	if (c->server < 0)
		die("accept");
	setsockopt(c->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (write(c->client, "hello", 5) != 5 || write(c->server, "hello", 5) != 5)
		die("write");
	read_all(c->server, 5, 5);
	read_all(c->client, 5, 5);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	unsigned count, sockets, rounds;
	struct connection *all;
	int listener, one = 1;
	char line[16];

	if (argc != 5)
		return 2;
	at.sin_port = htons((uint16_t)atoi(argv[1]));
	count = (unsigned)atoi(argv[2]);
	sockets = (unsigned)atoi(argv[3]);
	rounds = (unsigned)atoi(argv[4]);
	if (getrlimit(RLIMIT_NOFILE, &files))
		die("getrlimit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		die("setrlimit");
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 1024))
		die("listen");
	all = calloc(count + sockets, sizeof(*all));
	if (!all)
		die("calloc");
	for (unsigned i = 0; i < count + sockets; i++)
		open_one(&all[i], listener, &at, i, i < count ? i % NR_STRANGERS : WEBSOCKET);
	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = count + sockets; i--;) {
			say(&all[i], 1);
			say(&all[i], 0);
		}
	printf("done %llu\n", (unsigned long long)moved);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	return 0;
}

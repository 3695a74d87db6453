/* The protocol of paths.c: an upgrade, then an echo of every message. Knows no way to move bytes. */
#include "paths.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct link *link_new(int fd, const struct mode *mode)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		die("calloc");
	link->fd = fd;
	link->mode = mode;
	return link;
}

void link_free(struct link *link)
{
	close(link->fd);
	if (link->aio)
		syscall(SYS_io_destroy, link->aio);
	free(link->message);
	free(link);
}

void link_end(struct link *link)
{
	longjmp(link->ended, 1);
}

/* ---- FIPS 180-4 SHA-1 of one message of at most 119 bytes, and RFC 4648 base64 */

static uint32_t rotate(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t *h, const uint8_t *p)
{
	static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (int i = 0; i < 80; i++) {
		uint32_t f, t;

		w[i] = i < 16 ? (uint32_t)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 |
					p[4 * i + 3]
			      : rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
		f = i < 20              ? (b & c) | (~b & d)
		    : i >= 40 && i < 60 ? (b & c) | (b & d) | (c & d)
					: b ^ c ^ d;
		t = rotate(a, 5) + f + e + k[i / 20] + w[i];
		e = d, d = c, c = rotate(b, 30), b = a, a = t;
	}
	h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

static void accept_of(const char *key, char *ret_accept)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t text[128] = {0}, sum[21] = {0};
	size_t len = (size_t)snprintf((char *)text, sizeof(text),
				      "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);

	text[len] = 0x80;
	text[126] = (uint8_t)(len * 8 >> 8);
	text[127] = (uint8_t)(len * 8);
	sha1_block(h, text);
	sha1_block(h, text + 64);
	for (int i = 0; i < 20; i++)
		sum[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
	for (int i = 0; i < 27; i++)
		ret_accept[i] =
			digits[(sum[i * 6 / 8] << 8 | sum[i * 6 / 8 + 1]) >> (10 - i * 6 % 8) & 63];
	strcpy(ret_accept + 27, "=");
}

/* ---- bytes */

/* At least want bytes of what has come are in buffer. */
static void need(struct link *link, size_t want)
{
	while (link->have < want) {
		ssize_t n = link->mode->get(link, link->buffer + link->have,
					    sizeof(link->buffer) - link->have, want - link->have);

		if (n <= 0)
			link_end(link);
		link->have += (size_t)n;
	}
}

static void used(struct link *link, size_t n)
{
	link->have -= n;
	memmove(link->buffer, link->buffer + n, link->have);
}

void link_upgrade(struct link *link)
{
	char accept[32], answer[256], *key;
	int len;

	do {
		need(link, link->have + 1);
		link->buffer[link->have] = '\0';
	} while (!strstr(link->buffer, "\r\n\r\n"));
	key = strcasestr(link->buffer, "sec-websocket-key: ");
	if (!key)
		link_end(link);
	accept_of(key + strlen("sec-websocket-key: "), accept);
	used(link, (size_t)(strstr(link->buffer, "\r\n\r\n") + 4 - link->buffer));
	len = snprintf(answer, sizeof(answer),
		       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		       accept);
	link->mode->put(link, answer, (size_t)len, (size_t)len);
	link->upgraded = 1;
}

/* One frame. What is control goes out as if it were all header: no mode hides a close code. */
static void put_frame(struct link *link, uint8_t first, const char *payload, uint64_t len)
{
	char *frame = malloc(len + 10);
	size_t header = len < 126 ? 2 : len < 65536 ? 4 : 10;

	if (!frame)
		die("malloc");
	frame[0] = (char)first;
	frame[1] = (char)(len < 126 ? len : len < 65536 ? 126 : 127);
	for (size_t i = 2; i < header; i++)
		frame[i] = (char)(len >> 8 * (header - 1 - i));
	memcpy(frame + header, payload, len);
	link->mode->put(link, frame, len + header, first & 8 ? len + header : header);
	free(frame);
}

/* The header of the next frame: its first byte, and its masking key. Returns the payload's length. */
static uint64_t take_header(struct link *link, uint8_t *ret_first, uint8_t *ret_key)
{
	uint8_t head[14];
	size_t size = 2;
	uint64_t len;

	need(link, 2);
	memcpy(head, link->buffer, 2);
	len = head[1] & 127;
	size += (len == 126 ? 2 : len == 127 ? 8 : 0) + (head[1] & 128 ? 4 : 0);
	need(link, size);
	memcpy(head, link->buffer, size);
	used(link, size);
	if (len >= 126) {
		size_t bytes = len == 126 ? 2 : 8;

		len = 0;
		for (size_t i = 0; i < bytes; i++)
			len = len << 8 | head[2 + i];
	}
	*ret_first = head[0];
	memset(ret_key, 0, 4);
	if (head[1] & 128)
		memcpy(ret_key, head + size - 4, 4);
	return len;
}

static void take_payload(struct link *link, char *to, uint64_t len, const uint8_t *key)
{
	for (uint64_t at = 0; at < len;) {
		size_t n = len - at < 65536 ? len - at : 65536;

		need(link, n);
		memcpy(to + at, link->buffer, n);
		used(link, n);
		at += n;
	}
	for (uint64_t i = 0; i < len; i++)
		to[i] ^= (char)key[i % 4];
}

void link_frames(struct link *link)
{
	uint8_t first, kind = 0, key[4];
	uint64_t have = 0;

	for (;;) {
		uint64_t len = take_header(link, &first, key);
		char control[125];

		if (first & 8) {
			take_payload(link, control, len, key);
			put_frame(link, first + ((first & 15) == 9), control, len);
			if ((first & 15) == 8)
				return;
			continue;
		}
		link->message = realloc(link->message, have + len + 1);
		if (!link->message)
			die("realloc");
		link->in_payload = 1;
		take_payload(link, link->message + have, len, key);
		link->in_payload = 0;
		have += len;
		kind = first & 15 ? first & 15 : kind;
		if (!(first & 128))
			continue;
		if (have == 5 && !memcmp(link->message, "exit:", 5))
			_exit(0);
		put_frame(link, 128 | kind, link->message, have);
		have = 0;
	}
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A head read line by line out of a whole buffer, to hold http1.h against. Of a head that has not
 * ended only `other`, `len`, and what the first line says are meant to be compared.
 */
#ifndef WSVITALS_TESTS_HTTP1_MODEL_H
#define WSVITALS_TESTS_HTTP1_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "http1.h"

struct http1_model {
	bool ended, other; /* neither: more is wanted */
	size_t len;        /* of the head, or up to the byte that made it none */
	uint64_t hash;
	uint32_t status;
	int flags; /* enum http1_flag */
	uint32_t body;
	size_t key_off, key_len;
};

/* FNV-1a, 64 bit: xor, then multiply by 2^40 + 0x1b3 */
static inline uint64_t http1_model_hash(const char *p, size_t n)
{
	uint64_t hash = 14695981039346656037ull;

	for (; n; n--, p++) {
		hash ^= (uint8_t)*p;
		hash = (hash << 40) + hash * 435;
	}
	return hash;
}

static inline bool http1_model_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static inline void http1_model_value(struct http1_model *m, const char *head, size_t at, size_t end,
				     bool is_upgrade)
{
	static const char token[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_.+";
	size_t n = 0;

	if (is_upgrade) {
		while (at < end) {
			for (n = 0; at + n < end && head[at + n] && strchr(token, head[at + n]);
			     n++)
				;
			if (n == 9 && !strncasecmp(head + at, "websocket", 9))
				m->flags |= HTTP1_UPGRADE;
			at += n + 1;
		}
		return;
	}
	if (m->key_off) {
		m->flags |= HTTP1_BAD;
		return;
	}
	while (at < end && http1_model_blank(head[at]))
		at++;
	while (at + n < end && !http1_model_blank(head[at + n]))
		n++;
	if (!n || at > 0xffff)
		return;
	m->key_off = at;
	m->key_len = n < 64 ? n : 64;
	if (n > 64)
		m->flags |= HTTP1_BAD;
}

/* The first number in a value; ~0 from 4 000 000 000 on. */
static inline uint32_t http1_model_number(const char *head, size_t at, size_t end)
{
	uint64_t n = 0;

	while (at < end && (head[at] < '0' || head[at] > '9'))
		at++;
	for (; at < end && head[at] >= '0' && head[at] <= '9'; at++)
		n = n < 400000000 ? n * 10 + (uint64_t)(head[at] - '0') : UINT32_MAX;
	return (uint32_t)n;
}

/* The first line; returns false when the head is none or is not complete that far. */
static inline bool http1_model_start(struct http1_model *m, const char *head, size_t n,
				     enum http1_kind kind)
{
	const char *want = kind == HTTP1_REQUEST ? "GET " : "HTTP/1.";
	size_t at = 0;

#define MODEL_WANT(condition)                                                                      \
	do {                                                                                       \
		if (at == n)                                                                       \
			return false;                                                              \
		if (!(condition)) {                                                                \
			m->other = true;                                                           \
			m->len = at + 1;                                                           \
			return false;                                                              \
		}                                                                                  \
		at++;                                                                              \
	} while (0)
	if (kind == HTTP1_ANY) {
		MODEL_WANT(head[at] >= 'A' && head[at] <= 'Z');
		while (at == n || head[at] != ' ')
			MODEL_WANT(at < 16 && head[at] >= 'A' && head[at] <= 'Z');
		return true;
	}
	for (; *want; want++)
		MODEL_WANT(head[at] == *want);
	if (kind == HTTP1_REQUEST) {
		size_t begin = at;

		while (at < n && head[at] && !strchr(" ?\r\n", head[at]))
			at++;
		while (at < n && !head[at]) { /* NUL is a byte like others */
			at++;
			while (at < n && head[at] && !strchr(" ?\r\n", head[at]))
				at++;
		}
		m->hash = http1_model_hash(head + begin, at - begin);
		return true;
	}
	MODEL_WANT(head[at] >= '0' && head[at] <= '9');
	MODEL_WANT(head[at] == ' ');
	for (int i = 0; i < 3; i++) {
		MODEL_WANT(head[at] >= (i ? '0' : '1') && head[at] <= '9');
		m->status = m->status * 10 + (uint32_t)(head[at - 1] - '0');
	}
	MODEL_WANT(head[at] == ' ' || head[at] == '\r' || head[at] == '\n');
#undef MODEL_WANT
	return true;
}

static inline struct http1_model http1_model_read(const char *head, size_t n, enum http1_kind kind)
{
	const char *key = kind == HTTP1_RESPONSE ? "sec-websocket-accept:" : "sec-websocket-key:";
	struct http1_model m = {.len = n};
	size_t at = 0;

	if (!http1_model_start(&m, head, n, kind))
		return m;
	for (bool first = true;; first = false) {
		const char *eol = memchr(head + at, '\n', n - at);
		size_t end = eol ? (size_t)(eol - head) : n, crs = 0;

		while (at + crs < end && head[at + crs] == '\r')
			crs++;
		if (eol && !first && at + crs == end) {
			m.ended = true;
			m.len = end + 1;
			return m;
		}
		if (!eol) /* what an unfinished line will say is not known here */
			return m;
		if (!first && end - at >= 8 && !strncasecmp(head + at, "upgrade:", 8))
			http1_model_value(&m, head, at + 8, end, true);
		else if (!first && end - at >= strlen(key) &&
			 !strncasecmp(head + at, key, strlen(key)))
			http1_model_value(&m, head, at + strlen(key), end, false);
		at = end + 1;
	}
}

#endif

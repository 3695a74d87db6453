/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The head of an upgrade request or of its response, byte by byte, so that it may arrive in any
 * number of pieces. Finds what the kernel must know: where the head ends, the status, whether
 * "Upgrade: websocket" is in it, where the key or accept value stands, and a hash of the path. It
 * keeps no text: the owner does, and offsets are relative to the head's first byte.
 *
 * RFC 9112 2.1–3, RFC 6455 4.1–4.2. Lines may end in LF alone (RFC 9112 2.2).
 */
#ifndef WSVITALS_HTTP1_H
#define WSVITALS_HTTP1_H

#include "types.h"

enum http1_phase {
	HTTP1_START = 0, /* matching "GET " or "HTTP/1.x " */
	HTTP1_PATH,      /* request: hashing up to '?', ' ' */
	HTTP1_STATUS,    /* response: three digits and the byte after */
	HTTP1_LINE,      /* rest of a line that says nothing to us */
	HTTP1_NAME,      /* header name */
	HTTP1_VALUE,     /* value of a header that we know */
	HTTP1_END,       /* the empty line has passed */
	HTTP1_OTHER,     /* not such a head */
};

enum http1_kind {
	HTTP1_REQUEST, /* GET, the only method that upgrades (RFC 6455 4.1) */
	HTTP1_RESPONSE,
	HTTP1_ANY, /* a request of any method: to know where its body ends */
};

enum http1_flag {
	HTTP1_UPGRADE = 1,  /* the Upgrade header names websocket */
	HTTP1_BAD = 2,      /* a key or accept that is repeated or longer than it may be */
	HTTP1_EXTENDED = 4, /* response: an extension was agreed on (RFC 6455 9.1) */
	HTTP1_CHUNKED = 8,  /* request: its body says itself where it ends (RFC 9112 7.1) */
};

/* Names of headers, as bits: which of them the current name may still become. */
enum http1_name {
	HTTP1_N_UPGRADE = 1,    /* "upgrade" */
	HTTP1_N_KEY = 2,        /* "sec-websocket-key" */
	HTTP1_N_ACCEPT = 4,     /* "sec-websocket-accept" */
	HTTP1_N_EXTENSIONS = 8, /* "sec-websocket-extensions" */
	HTTP1_N_LENGTH = 16,    /* "content-length" */
	HTTP1_N_CODING = 32,    /* "transfer-encoding" */
	HTTP1_N_REQUEST = HTTP1_N_UPGRADE | HTTP1_N_KEY | HTTP1_N_LENGTH | HTTP1_N_CODING,
	HTTP1_N_RESPONSE = HTTP1_N_UPGRADE | HTTP1_N_ACCEPT | HTTP1_N_EXTENSIONS,
};

/* All zero is the start of a head. */
struct http1 {
	__u64 path_hash; /* FNV-1a 64 of the path without the query; 0 before the first byte */
	__u32 len;       /* bytes of the head so far */
	__u32 body;      /* request: Content-Length; 0 = none, ~0 = more than can be told */
	__u16 status;    /* response */
	__u16 key_off;   /* Sec-WebSocket-Key or -Accept: offset of the value; 0 = none */
	__u8 key_len;
	__u8 phase; /* enum http1_phase */
	__u8 col;   /* how much of the name, or of the token "websocket", has matched */
	__u8 names; /* enum http1_name bits that still match */
	__u8 flags; /* enum http1_flag */
	__u8 eol;   /* 1: the previous byte ended a line */
	__u8 pad[6];
};
_Static_assert(sizeof(struct http1) == 32, "ABI of the differential test");

#define HTTP1_FNV_BASIS 0xcbf29ce484222325ull
#define HTTP1_FNV_PRIME 0x100000001b3ull

PURE __u8 http1_lower(__u8 c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/*
 * Byte i of a text of up to 32 bytes, packed with the first byte lowest; '\0' beyond its end. Words
 * in registers, not tables: the same code must load in BPF without a map lookup.
 */
PURE __u8 http1_at(__u8 i, __u64 w0, __u64 w1, __u64 w2, __u64 w3)
{
	__u64 w = i < 8 ? w0 : i < 16 ? w1 : i < 24 ? w2 : i < 32 ? w3 : 0;

	return (__u8)(w >> (8 * (i & 7)));
}

PURE __u8 http1_websocket_at(__u8 i)
{
	return http1_at(i, 0x656b636f73626577ull, 0x74ull, 0, 0); /* "websocket" */
}

/* What a name byte must be for each name, colon included. */
#define HTTP1_TEXT_UPGRADE 0x3a65646172677075ull, 0, 0, 0 /* "upgrade:" */
#define HTTP1_TEXT_KEY                                                                             \
	0x736265772d636573ull, 0x656b2d74656b636full, 0x3a79ull, 0 /* "sec-websocket-key:" */
#define HTTP1_TEXT_ACCEPT                                                                          \
	0x736265772d636573ull, 0x63612d74656b636full, 0x3a74706563ull,                             \
		0 /* "sec-websocket-accept:" */
#define HTTP1_TEXT_EXTENSIONS                                                                      \
	0x736265772d636573ull, 0x78652d74656b636full, 0x736e6f69736e6574ull,                       \
		0x3aull /* "sec-websocket-extensions:" */
#define HTTP1_TEXT_LENGTH 0x2d746e65746e6f63ull, 0x3a6874676e656cull, 0, 0 /* "content-length:" */
#define HTTP1_TEXT_CODING                                                                          \
	0x726566736e617274ull, 0x6e69646f636e652dull, 0x3a67ull, 0 /* "transfer-encoding:" */

/* The bit goes when the byte is not the name's. */
#define HTTP1_NARROW(h, bit, i, byte)                                                              \
	do {                                                                                       \
		if (((h)->names & HTTP1_N_##bit) && http1_at(i, HTTP1_TEXT_##bit) != (byte))       \
			(h)->names &= ~HTTP1_N_##bit;                                              \
	} while (0)

/* A byte that may stand in a token beside "websocket" (so "websockets" is no match). */
PURE int http1_token(__u8 c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '/' ||
	       c == '_' || c == '.' || c == '+';
}

PURE void http1_name_byte(struct http1 *h, __u8 c)
{
	__u8 lower = http1_lower(c);
	__u8 i = h->col;

	HTTP1_NARROW(h, UPGRADE, i, lower);
	HTTP1_NARROW(h, KEY, i, lower);
	HTTP1_NARROW(h, ACCEPT, i, lower);
	HTTP1_NARROW(h, EXTENSIONS, i, lower);
	HTTP1_NARROW(h, LENGTH, i, lower);
	HTTP1_NARROW(h, CODING, i, lower);
	if (i < 255)
		h->col++;
	if (!h->names) {
		h->phase = HTTP1_LINE;
	} else if (c == ':') {
		h->phase = HTTP1_VALUE;
		h->col = 0;
		if ((h->names & (HTTP1_N_KEY | HTTP1_N_ACCEPT)) && h->key_off) {
			h->flags |= HTTP1_BAD;
			h->phase = HTTP1_LINE;
		}
		if (h->names == HTTP1_N_LENGTH)
			h->body = 0;
	}
}

PURE void http1_value_byte(struct http1 *h, __u8 c)
{
	__u8 lower = http1_lower(c);

	if (h->names == HTTP1_N_UPGRADE) {
		/* col: 0..8 = matched so far, 9 = all of it, 255 = inside another token */
		if (!http1_token(lower)) {
			if (h->col == 9)
				h->flags |= HTTP1_UPGRADE;
			h->col = 0;
		} else if (h->col < 9 && http1_websocket_at(h->col) == lower) {
			h->col++;
		} else {
			h->col = 255;
		}
		return;
	}
	if (h->names == HTTP1_N_LENGTH) {
		/* "5, 5" and a second header repeat the length (RFC 9110 8.6); they do not add to it */
		if (c >= '0' && c <= '9') {
			h->body = h->body < 400000000 ? h->body * 10 + (c - '0') : ~0u;
			h->col = 1;
		} else if (h->col) {
			h->phase = HTTP1_LINE;
		}
		return;
	}
	if (h->names == HTTP1_N_EXTENSIONS || h->names == HTTP1_N_CODING) {
		if (http1_token(lower))
			h->flags |= h->names == HTTP1_N_CODING ? HTTP1_CHUNKED : HTTP1_EXTENDED;
		return;
	}
	if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
		if (h->key_off && c != '\n')
			h->phase = HTTP1_LINE; /* trailing blanks */
		return;
	}
	if (!h->key_off) {
		if (h->len > 0xffff) {
			h->phase = HTTP1_LINE;
			return;
		}
		h->key_off = (__u16)h->len;
	}
	if (h->key_len < 64)
		h->key_len++;
	else
		h->flags |= HTTP1_BAD;
}

PURE void http1_start_byte(struct http1 *h, __u8 c, enum http1_kind kind)
{
	__u32 i = h->len;
	__u8 want;

	if (kind == HTTP1_REQUEST) {
		want = i < 4 ? (__u8)(0x20544547u >> (8 * i)) : 0; /* "GET " */
		if (c != want)
			h->phase = HTTP1_OTHER;
		else if (i == 3) {
			h->phase = HTTP1_PATH;
			h->path_hash = HTTP1_FNV_BASIS;
		}
		return;
	}
	if (kind == HTTP1_ANY) {
		if (c == ' ' && i)
			h->phase = HTTP1_LINE; /* where it goes says nothing to us */
		else if (c < 'A' || c > 'Z' || i > 15)
			h->phase = HTTP1_OTHER;
		return;
	}
	if (i < 7)
		want = (__u8)(0x2e312f50545448ull >> (8 * i)); /* "HTTP/1." */
	else if (i == 7)
		want = c >= '0' && c <= '9' ? c : '0';
	else
		want = ' ';
	if (c != want)
		h->phase = HTTP1_OTHER;
	else if (i == 8)
		h->phase = HTTP1_STATUS;
}

/*
 * Takes the next byte. Returns 1 while more are wanted, 0 when the head has ended with this byte
 * (phase HTTP1_END) or is none (HTTP1_OTHER).
 */
PURE int http1_byte(struct http1 *h, __u8 c, enum http1_kind kind)
{
	switch (h->phase) {
	case HTTP1_START:
		http1_start_byte(h, c, kind);
		break;
	case HTTP1_PATH:
		if (c == ' ' || c == '?' || c == '\r' || c == '\n')
			h->phase = HTTP1_LINE;
		else
			h->path_hash = (h->path_hash ^ c) * HTTP1_FNV_PRIME;
		break;
	case HTTP1_STATUS:
		/* RFC 9112 4: three digits, and a space that some servers leave out before CRLF.
		 * The first digit is not 0: 0 is what the owner says when there was no answer. */
		if (h->len == 12)
			h->phase = c == ' ' || c == '\r' || c == '\n' ? HTTP1_LINE : HTTP1_OTHER;
		else if (c < '0' + (h->len == 9) || c > '9')
			h->phase = HTTP1_OTHER;
		else
			h->status = h->status * 10 + (c - '0');
		break;
	case HTTP1_NAME:
		http1_name_byte(h, c);
		break;
	case HTTP1_VALUE:
		http1_value_byte(h, c);
		break;
	default:
		break;
	}
	h->len++;
	if (h->phase == HTTP1_OTHER)
		return 0;
	if (c == '\n') {
		if (h->eol) {
			h->phase = HTTP1_END;
			return 0;
		}
		if (h->phase != HTTP1_START) {
			h->eol = 1;
			h->phase = HTTP1_NAME;
			h->names = kind == HTTP1_RESPONSE ? HTTP1_N_RESPONSE : HTTP1_N_REQUEST;
			h->col = 0;
		}
	} else if (c != '\r') {
		h->eol = 0;
	}
	return 1;
}

/*
 * Takes eight bytes at once, the first lowest in the word, where http1_byte would only pass over
 * them: most of a head is values that say nothing to us. Returns how many it took, 8 or 0.
 */
PURE __u32 http1_pass(struct http1 *h, __u64 word)
{
	__u64 ends = word ^ 0x0a0a0a0a0a0a0a0aull; /* a byte of 0 is a '\n' */

	if (h->phase != HTTP1_LINE || word == 0x0d0d0d0d0d0d0d0dull ||
	    ((ends - 0x0101010101010101ull) & ~ends & 0x8080808080808080ull))
		return 0;
	h->len += 8;
	h->eol = 0;
	return 8;
}

#endif

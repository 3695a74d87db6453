/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A second reading of RFC 6455, slow and over a whole buffer, to hold ws.h against; and what it means
 * that two carried states are the same. Shares no code with ws.h but its constants.
 */
#ifndef WSVITALS_TESTS_WS_MODEL_H
#define WSVITALS_TESTS_WS_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "ws.h"

struct ws_model {
	uint64_t header, payload, data, gap;
	uint64_t started, ended, text, binary, ping, pong, close;
	uint64_t left; /* of a frame whose payload is not all here */
	uint16_t code;
	bool told;
	int violation;
	uint8_t reason[128]; /* unmasked payload of the first close frame, code included */
	size_t reason_len;
};

static inline int ws_model_breach(const uint8_t *p, unsigned extended, uint64_t len,
				  bool in_message, int direction, bool agreed)
{
	unsigned opcode = p[0] & 15, small = p[1] & 127;
	bool masked = p[1] >> 7, fin = p[0] >> 7;

	if (direction == RECEIVED && !masked)
		return VIOLATION_UNMASKED_CLIENT_FRAME;
	if (direction == SENT && masked)
		return VIOLATION_MASKED_SERVER_FRAME;
	if (!strchr("\x10\x01\x02\x08\x09\x0a", opcode ? (int)opcode : 16))
		return VIOLATION_RESERVED_OPCODE;
	if (p[0] & (agreed ? 0x30 : 0x70))
		return VIOLATION_RESERVED_BITS;
	if (opcode & 8) {
		if (!fin)
			return VIOLATION_FRAGMENTED_CONTROL;
		return small >= 126 ? VIOLATION_LONG_CONTROL : VIOLATION_NONE;
	}
	if (!opcode && !in_message)
		return VIOLATION_UNEXPECTED_CONTINUATION;
	if (opcode && in_message)
		return VIOLATION_UNFINISHED_MESSAGE;
	if ((extended == 2 && len <= 125) || (extended == 8 && len <= 0xffff) ||
	    (extended == 8 && (p[2] & 0x80)))
		return VIOLATION_NON_MINIMAL_LENGTH;
	return VIOLATION_NONE;
}

/* agreed: on an extension, so RSV1 may mean something */
static inline struct ws_model ws_model_read(const uint8_t *p, size_t n, int direction, bool agreed)
{
	struct ws_model m = {0};
	bool in_message = false, binary = false, closed = false;
	size_t at = 0;

	while (at < n) {
		unsigned extended = 0, need = 2;
		const uint8_t *h = p + at;
		uint64_t len, here;

		if (n - at >= 2) {
			extended = (h[1] & 127) == 127 ? 8 : (h[1] & 127) == 126 ? 2 : 0;
			need += extended + (h[1] >> 7) * 4;
		}
		if (n - at < need) {
			m.header += n - at;
			break;
		}
		len = h[1] & 127;
		if (extended) {
			len = 0;
			for (unsigned i = 0; i < extended; i++)
				len = len * 256 + h[2 + i];
		}
		m.header += need;
		at += need;
		m.violation = ws_model_breach(h, extended, len, in_message, direction, agreed);
		if (m.violation) {
			m.gap = n - at;
			break;
		}
		here = n - at < len ? n - at : len;
		m.payload += here;
		m.left = len - here;
		if (!(h[0] & 8)) {
			m.data += here;
			if (h[0] & 15) {
				m.started++;
				in_message = true;
				binary = (h[0] & 15) == 2;
			}
			if (here == len && h[0] >> 7) {
				m.ended++;
				*(binary ? &m.binary : &m.text) += 1;
				in_message = false;
			}
		} else if ((h[0] & 15) == 8) {
			if (!closed) {
				for (size_t i = 0; i < here; i++)
					m.reason[i] = p[at + i] ^
						      (h[1] >> 7 ? h[need - 4 + i % 4] : 0);
				m.reason_len = here;
				if (here >= 2) {
					m.code = (uint16_t)(m.reason[0] * 256 + m.reason[1]);
					if (m.code < 1000 || m.code > 4999)
						m.code = CLOSE_INVALID;
					m.told = true;
				} else if (here == len) {
					m.code = 1005;
					m.told = true;
				}
			}
			closed = true;
			m.close += here == len;
		} else {
			*((h[0] & 15) == 9 ? &m.ping : &m.pong) += here == len;
		}
		at += here;
	}
	return m;
}

/* Adds the parts of a tally that add up; the close payload's place is of one step only. */
static inline void ws_tally_add(struct ws_tally *sum, const struct ws_tally *t)
{
	sum->header += t->header;
	sum->payload += t->payload;
	sum->data += t->data;
	sum->gap += t->gap;
	sum->started += t->started;
	sum->ended += t->ended;
	sum->text += t->text;
	sum->binary += t->binary;
	sum->ping += t->ping;
	sum->pong += t->pong;
	sum->close += t->close;
	sum->unread += t->unread;
	if (t->close_told) {
		sum->close_told++;
		sum->close_code = t->close_code;
	}
	if (!sum->violation)
		sum->violation = t->violation;
}

/* What a state says about the bytes to come; bytes of hdr[] that nobody will look at may differ. */
static inline bool ws_same(const struct ws_stream *a, const struct ws_stream *b)
{
	if (a->flags != b->flags)
		return false;
	if (a->flags & (WS_BROKEN | WS_UNKNOWN))
		return true;
	if (!(a->flags & WS_IN_FRAME))
		return a->hdr_len == b->hdr_len && !memcmp(a->hdr, b->hdr, a->hdr_len);
	if (a->payload_left != b->payload_left || a->hdr_len || b->hdr_len ||
	    memcmp(a->hdr, b->hdr, WS_KEY + 4))
		return false;
	if ((a->hdr[0] & 15) != WS_CLOSE)
		return true;
	if (a->hdr[WS_CLOSES_AHEAD] != b->hdr[WS_CLOSES_AHEAD])
		return false;
	/* the code's first byte matters between it and the second */
	return (a->hdr[1] & 127) - (int)a->payload_left != 1 || a->hdr[WS_CLOSES_AHEAD] ||
	       a->hdr[WS_CODE_HIGH] == b->hdr[WS_CODE_HIGH];
}

#endif

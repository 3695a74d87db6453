/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * RFC 6455 frames out of a stream that arrives in pieces.
 *
 * In: one direction's bytes, as contiguous pieces of user memory of any size. Out: a tally of what
 * the pieces held (messages, bytes, control frames, the first violation, close payload). Payload is
 * never read, except a close frame's: the parser jumps from header to header.
 *
 * The property that the fuzzer checks: cutting a stream anywhere gives the same tallies, added up,
 * and the same carried state.
 *
 * The includer defines the one seam first:
 *     static int ws_read(void *to, __u32 len, __u64 from);   0 on success
 */
#ifndef WSVITALS_WS_H
#define WSVITALS_WS_H

#include "event.h"

#define WS_HEADER_MAX 14 /* RFC 6455 5.2: 2 + 8 extended length + 4 masking key */

enum ws_opcode {
	WS_CONTINUATION = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_CLOSE = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xa,
};
#define WS_FIN 0x80
#define WS_RSV1 0x40 /* may be given a meaning by an extension, RFC 7692 */
#define WS_RSV23 0x30
#define WS_MASK 0x80

enum ws_flag {
	WS_IN_MESSAGE = 1, /* a data message has begun and its FIN frame has not ended */
	WS_IS_BINARY = 2,  /* of that message */
	WS_IN_FRAME = 4,   /* hdr[] is the complete header of a frame whose payload is passing */
	WS_SAW_CLOSE = 8,  /* the first close frame's header has passed */
	WS_BROKEN = 16,    /* violation: the rest of the stream is not parsed */
	WS_UNKNOWN = 32,   /* frame boundary lost */
	WS_EXTENDED = 64,  /* an extension was agreed on: RSV1 is no breach */
	WS_RESYNCED = 128, /* the boundary was found by resync.h, so a breach may be our mistake */
};

/* Where in hdr[] a frame's facts are while its payload passes; [0] and [1] stay as they came. */
enum {
	WS_KEY = 2,          /* 4 bytes: masking key, 0 when not masked */
	WS_CLOSES_AHEAD = 6, /* close frames: 1 = not the first */
	WS_CODE_HIGH = 7,    /* close frames: the code's first byte, until the second comes */
};
#define WS_SCRATCH (2 * 16)

/* A boundary that is being looked for (resync.h); it stands where payload_left does otherwise. */
struct ws_chain {
	__u32 left;   /* payload left of the chain's current frame */
	__u16 tries;  /* chains that were begun in vain, saturating */
	__u8 headers; /* plausible headers in a row */
	__u8 bits;    /* of evidence, saturating */
};

/* Carried from call to call, 24 bytes per direction. All zero is the start of a stream. */
struct ws_stream {
	union {
		__u64 payload_left;    /* of the current frame, when WS_IN_FRAME */
		struct ws_chain chain; /* when WS_UNKNOWN */
	};
	__u8 hdr[WS_HEADER_MAX];
	__u8 hdr_len; /* bytes of a header that is still incomplete; 0 when WS_IN_FRAME */
	__u8 flags;   /* enum ws_flag */
};
_Static_assert(sizeof(struct ws_stream) == 24, "kept in every connection");

/* What one event brought. The owner zeroes it before and adds it up after. */
struct ws_tally {
	__u64 header;  /* bytes of frame headers */
	__u64 payload; /* bytes of payload, control frames included */
	__u64 data;    /* of these payload of data frames */
	__u64 gap;     /* bytes passed over because the stream is BROKEN or UNKNOWN */
	__u32 started; /* data messages whose first byte is here */
	__u32 ended;   /* data messages whose last byte is here */
	__u32 text;    /* of the ended */
	__u32 binary;
	__u32 ping; /* control frames, counted at their last byte */
	__u32 pong;
	__u32 close;
	__u32 unread; /* failed reads of user memory: the frame boundary or the close code is lost */
	__u16 close_code; /* of the first close frame, valid when close_told */
	__u8 close_told;
	__u8 violation; /* enum violation: the first one here */
	/* Payload of the first close frame that passed in the last step; 0 bytes = none. */
	__u8 close_len;
	__u8 close_offset;
	__u8 close_mask[4]; /* 0 when not masked */
	__u8 pad[2];
	__u64 close_from; /* its address */
};

/* Without branches: the verifier would follow each length through all that comes after. */
PURE __u32 ws_header_len(__u8 b1)
{
	__u32 len = b1 & 0x7f;
	__u32 extended = (len + 2) >> 7;  /* 126 or 127 */
	__u32 long_form = (len + 1) >> 7; /* 127 */

	return 2 + 2 * extended + 6 * long_form + (b1 >> 7) * 4;
}

PURE __u64 ws_payload_len(const __u8 *h)
{
	__u32 len = h[1] & 0x7f;

	if (len == 126)
		return (__u64)h[2] << 8 | h[3];
	if (len == 127)
		return (__u64)h[2] << 56 | (__u64)h[3] << 48 | (__u64)h[4] << 40 |
		       (__u64)h[5] << 32 | (__u64)h[6] << 24 | (__u64)h[7] << 16 |
		       (__u64)h[8] << 8 | h[9];
	return len;
}

/* The frame boundary is lost: nothing is known of what comes, until resync.h finds it again. */
PURE void ws_lose(struct ws_stream *s)
{
	s->payload_left = 0;
	s->hdr_len = 0;
	s->flags &= WS_SAW_CLOSE | WS_EXTENDED | WS_BROKEN;
	s->flags |= WS_UNKNOWN;
}

/* Whether a header is a breach of RFC 6455, given what the stream is in the middle of. */
PURE enum violation ws_check(const __u8 *h, __u64 len, __u8 flags, __u8 direction)
{
	__u8 opcode = h[0] & 0x0f;
	__u8 masked = h[1] & WS_MASK;

	if (direction == RECEIVED && !masked)
		return VIOLATION_UNMASKED_CLIENT_FRAME; /* 5.1 */
	if (direction == SENT && masked)
		return VIOLATION_MASKED_SERVER_FRAME; /* 5.1 */
	if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
		return VIOLATION_RESERVED_OPCODE; /* 5.2 */
	if ((h[0] & WS_RSV23) || ((h[0] & WS_RSV1) && !(flags & WS_EXTENDED)))
		return VIOLATION_RESERVED_BITS; /* 5.2 */
	if (opcode >= WS_CLOSE) {
		if (!(h[0] & WS_FIN))
			return VIOLATION_FRAGMENTED_CONTROL; /* 5.5 */
		if (len > 125 || (h[1] & 0x7f) > 125)
			return VIOLATION_LONG_CONTROL; /* 5.5 */
		return VIOLATION_NONE;
	}
	if (opcode == WS_CONTINUATION && !(flags & WS_IN_MESSAGE))
		return VIOLATION_UNEXPECTED_CONTINUATION; /* 5.4 */
	if (opcode != WS_CONTINUATION && (flags & WS_IN_MESSAGE))
		return VIOLATION_UNFINISHED_MESSAGE; /* 5.4 */
	if ((h[1] & 0x7f) == 126 && len < 126)
		return VIOLATION_NON_MINIMAL_LENGTH; /* 5.2 */
	if ((h[1] & 0x7f) == 127 && (len < 65536 || len >> 63))
		return VIOLATION_NON_MINIMAL_LENGTH; /* 5.2 */
	return VIOLATION_NONE;
}

/* A code that may stand in a close frame; anything else is one bucket, so strangers cannot fill
 * tables. */
PURE __u16 ws_close_code(__u8 high, __u8 low)
{
	__u16 code = (__u16)(high << 8 | low);

	return code >= 1000 && code <= 4999 ? code : CLOSE_INVALID;
}

/* The last payload byte of the current frame has passed. */
PURE void ws_frame_end(struct ws_stream *s, struct ws_tally *t)
{
	__u8 opcode = s->hdr[0] & 0x0f;

	s->flags &= ~WS_IN_FRAME;
	if (opcode == WS_PING) {
		t->ping++;
	} else if (opcode == WS_PONG) {
		t->pong++;
	} else if (opcode == WS_CLOSE) {
		t->close++;
		/* 7.1.5: no code; a single byte is none either */
		if (!s->hdr[WS_CLOSES_AHEAD] && (s->hdr[1] & 0x7f) < 2) {
			t->close_code = CLOSE_NO_CODE;
			t->close_told = 1;
		}
	} else if (s->hdr[0] & WS_FIN) {
		t->ended++;
		if (s->flags & WS_IS_BINARY)
			t->binary++;
		else
			t->text++;
		s->flags &= ~(WS_IN_MESSAGE | WS_IS_BINARY);
	}
}

/* n bytes of a close frame's payload at address from; only the first close frame says why. */
PURE void ws_close_payload(struct ws_stream *s, struct ws_tally *t, __u64 from, __u32 n)
{
	__u8 offset = (s->hdr[1] & 0x7f) - (__u8)s->payload_left;
	__u8 b[2] = {0, 0};

	if (s->hdr[WS_CLOSES_AHEAD] || !n)
		return;
	if (offset < 2) {
		if (ws_read(b, n >= 2 ? 2 : 1, from)) {
			t->unread++;
			s->hdr[WS_CLOSES_AHEAD] = 1; /* the other half alone is no code */
			return;
		}
		if (offset == 0) {
			s->hdr[WS_CODE_HIGH] = b[0] ^ s->hdr[WS_KEY];
			b[0] = b[1];
		}
		if (offset + n >= 2) {
			t->close_code = ws_close_code(s->hdr[WS_CODE_HIGH],
						      b[0] ^ s->hdr[WS_KEY + 1]);
			t->close_told = 1;
		}
	}
	t->close_len = n;
	t->close_offset = offset;
	t->close_mask[0] = s->hdr[WS_KEY];
	t->close_mask[1] = s->hdr[WS_KEY + 1];
	t->close_mask[2] = s->hdr[WS_KEY + 2];
	t->close_mask[3] = s->hdr[WS_KEY + 3];
	t->close_from = from;
}

/* n bytes of payload pass at address from (0 = unknown, bytes that were not seen: see ws_gap). */
PURE void ws_payload(struct ws_stream *s, struct ws_tally *t, __u64 from, __u64 n)
{
	__u8 opcode = s->hdr[0] & 0x0f;

	if (opcode == WS_CLOSE)
		ws_close_payload(s, t, from, (__u32)n & 0x7f);
	if (opcode < WS_CLOSE)
		t->data += n;
	s->payload_left -= n;
	if (!s->payload_left)
		ws_frame_end(s, t);
}

/* A complete header, h, of a frame that breaks no rule: now its payload passes. */
PURE void ws_frame_begin(struct ws_stream *s, struct ws_tally *t, const __u8 *h, __u64 len)
{
	__u8 opcode = h[0] & 0x0f;
	__u32 key = (ws_header_len(h[1]) - 4) & 15;
	__u8 masked = h[1] & WS_MASK;

	s->hdr[0] = h[0];
	s->hdr[1] = h[1];
	s->hdr[WS_KEY] = masked ? h[key] : 0;
	s->hdr[WS_KEY + 1] = masked ? h[key + 1] : 0;
	s->hdr[WS_KEY + 2] = masked ? h[key + 2] : 0;
	s->hdr[WS_KEY + 3] = masked ? h[key + 3] : 0;
	s->hdr_len = 0;
	s->payload_left = len;
	s->flags |= WS_IN_FRAME;
	if (opcode == WS_TEXT || opcode == WS_BINARY) {
		s->flags |= WS_IN_MESSAGE | (opcode == WS_BINARY ? WS_IS_BINARY : 0);
		t->started++;
	} else if (opcode == WS_CLOSE) {
		s->hdr[WS_CLOSES_AHEAD] = !!(s->flags & WS_SAW_CLOSE);
		s->flags |= WS_SAW_CLOSE;
	}
}

/*
 * One step over a contiguous piece of len > 0 bytes at address from: passes over payload, or takes
 * one header and what follows it here. scratch holds WS_SCRATCH bytes and belongs to the caller
 * (the verifier cannot see that hdr_len + n <= 14, so there is room for both at their largest).
 * Returns how many bytes it took, 1..len; call until the piece is used up.
 */
PURE __u64 ws_step(struct ws_stream *s, struct ws_tally *t, __u8 *scratch, __u64 from, __u64 len,
		   __u8 direction)
{
	__u64 taken = 0;
	__u64 n;

	t->close_len = 0;
	if (s->flags & (WS_BROKEN | WS_UNKNOWN)) {
		t->gap += len;
		return len;
	}
	if (!(s->flags & WS_IN_FRAME)) {
		__u32 have = s->hdr_len & 15;
		__u32 want = WS_HEADER_MAX - have;
		__u32 need;
		__u64 payload;

		if (want > len)
			want = (__u32)len;
		want &= 15;
		if (have)
			__builtin_memcpy(scratch, s->hdr, WS_HEADER_MAX);
		if (ws_read(scratch + have, want, from)) {
			t->unread++;
			ws_lose(s);
			t->gap += len;
			return len;
		}
		need = have + want < 2 ? 2 : ws_header_len(scratch[1]);
		if (have + want < need) {
			__builtin_memcpy(s->hdr, scratch, WS_HEADER_MAX);
			s->hdr_len = have + want;
			t->header += want;
			return want;
		}
		taken = need - have;
		t->header += taken;
		payload = ws_payload_len(scratch);
		t->violation = ws_check(scratch, payload, s->flags, direction);
		if (t->violation && (s->flags & WS_RESYNCED)) {
			t->violation = VIOLATION_NONE;
			ws_lose(s);
			return taken;
		}
		if (t->violation) {
			s->flags |= WS_BROKEN;
			s->hdr_len = 0;
			return taken;
		}
		ws_frame_begin(s, t, scratch, payload);
	}
	n = len - taken;
	if (n > s->payload_left)
		n = s->payload_left;
	t->payload += n;
	ws_payload(s, t, from + taken, n);
	return taken + n;
}

/* Whether an event of n bytes lies inside one payload, so that its bytes need not be found. */
PURE int ws_inside_payload(const struct ws_stream *s, __u64 n)
{
	return (s->flags & (WS_IN_FRAME | WS_BROKEN | WS_UNKNOWN)) == WS_IN_FRAME &&
	       n <= s->payload_left && (s->hdr[0] & 0x0f) != WS_CLOSE;
}

/*
 * n bytes passed that nobody could read. Inside a payload the stream stays in step (a close frame
 * keeps its code if that has passed); anywhere else the frame boundary is lost.
 */
PURE void ws_gap(struct ws_stream *s, struct ws_tally *t, __u64 n)
{
	t->gap += n;
	if (!n || (s->flags & (WS_BROKEN | WS_UNKNOWN)))
		return;
	if (ws_inside_payload(s, n))
		ws_payload(s, t, 0, n);
	else
		ws_lose(s);
}

#endif

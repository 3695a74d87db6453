/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Where frames begin in a stream whose beginning nobody saw: a connection that was open before the
 * agent, or one that lost its boundary in a gap.
 *
 * In: one direction's bytes, event by event (one event = one read or write call), each as contiguous
 * pieces. Out: the moment at which the boundary is proven; from there on ws.h reads the stream.
 * Payload is not read, and there is no search: a chain of headers is begun only where an event
 * begins, and followed by stream position over any number of events. A server that reads header and
 * payload apart, or a message in many pieces, looks the same as one that does not.
 *
 * What proves it: a random header passes with a chance of 2^-5.5, so each is worth 5 bits; that a
 * frame ends exactly where its event of n bytes ends has a chance of 1/n, so it is worth log2(n)
 * bits, 8 at most. At least three headers and 25 bits, or two and 22 where the port is known to speak
 * WebSocket. Three messages in lock step do it, or five headers wherever they stand. At 10^6 chains
 * begun in random bytes that is one false proof in 30 or more.
 *
 * Structured protocols are no random bytes, so a header has to be more than legal: see
 * resync_plausible. Cutting an event into pieces changes nothing (the fuzzer checks it), as long as
 * its first piece holds a whole header or the event; where the events themselves end is evidence.
 *
 * The includer defines ws_read(), as for ws.h.
 */
#ifndef WSVITALS_RESYNC_H
#define WSVITALS_RESYNC_H

#include "ws.h"

#define RESYNC_HEADER_BITS 5
#define RESYNC_ALIGNED_MAX 8
#define RESYNC_ACCEPT_BITS (RESYNC_HEADER_BITS + 1) /* one frame that ended with an event */
#define RESYNC_LEN_MAX (1ull << 28)                 /* of a frame; longer ones prove nothing */
#define RESYNC_TRIES 64                             /* chains in vain until nobody looks any more */

/* How much proof is asked for. */
enum resync_need { RESYNC_UNKNOWN_PORT, RESYNC_KNOWN_PORT };

/*
 * What the frames of the chain held, should it be proven: then they count, from the first header of
 * the chain on. All that passed before it is a gap. 24 bytes per direction.
 */
struct resync_held {
	__u64 gap;
	__u32 data;    /* payload of data frames */
	__u32 skipped; /* of it, what passed unread */
	__u16 control; /* payload of control frames */
	__u8 header;
	__u8 text;
	__u8 binary;
	__u8 ping;
	__u8 pong;
	__u8 close;
};
_Static_assert(sizeof(struct resync_held) == 24, "kept in every connection");

/* The rest of one piece of an event. */
struct resync_piece {
	__u64 from;
	__u64 len;   /* > 0 */
	__u64 left;  /* bytes of the event from here on, this piece included */
	__u64 total; /* bytes of the event */
	__u8 direction;
	__u8 need; /* enum resync_need */
};

/* A chain has been begun. */
PURE int resync_alive(const struct ws_stream *s)
{
	return s->chain.headers || s->hdr_len;
}

/*
 * Whether it is worth to look at the next event of a stream that was lost: at every event first, at
 * one in 256 later. What is no WebSocket any more must not be taken for one by mere patience.
 */
PURE int resync_wanted(const struct ws_stream *s)
{
	return s->chain.tries < RESYNC_TRIES || !(s->chain.tries & 255) || resync_alive(s);
}

PURE void resync_tried(struct ws_stream *s)
{
	if (s->chain.tries < 0xffff)
		s->chain.tries++;
}

/* That a frame ends where its event of n > 0 bytes ends. */
PURE __u32 resync_aligned_bits(__u64 n)
{
	__u32 bits = 0;

	/* without branches, which the verifier would follow one by one */
	for (int i = 1; i <= RESYNC_ALIGNED_MAX; i++)
		bits += 1 ^ (__u32)(((n >> i) - 1) >> 63);
	return bits;
}

PURE int resync_proven(const struct ws_stream *s, __u8 need)
{
	return need == RESYNC_KNOWN_PORT ? s->chain.headers >= 2 && s->chain.bits >= 22
					 : s->chain.headers >= 3 && s->chain.bits >= 25;
}

/*
 * Whether a header is one that a chain may hold. Beyond RFC 6455:
 *  - RSV1 stands only where permessage-deflate puts it (RFC 7692 6), whether agreed on or not;
 *  - a continuation only after a beginning (2-byte length prefixes look like "00 n");
 *  - an empty frame only as an event of its own, from a server only a ping or pong, and these
 *    prove nothing: runs of equal numbers look like empty frames;
 *  - nothing after a close frame, and no close frame with half a code;
 *  - a masking key does not repeat itself, for the same reason; 0 is what lazy clients use.
 * alone: the header is the whole event.
 */
PURE int resync_plausible(const __u8 *h, __u64 len, __u8 flags, __u8 direction, int alone)
{
	__u8 opcode = h[0] & 0x0f;
	__u32 key = (ws_header_len(h[1]) - 4) & 15;

	if ((flags & WS_SAW_CLOSE) || len >= RESYNC_LEN_MAX ||
	    ws_check(h, len, flags | WS_EXTENDED, direction))
		return 0;
	if ((h[0] & WS_RSV1) && opcode != WS_TEXT && opcode != WS_BINARY)
		return 0;
	if (!len && (!alone || !(h[0] & WS_FIN) || (direction == SENT && opcode <= WS_CLOSE)))
		return 0;
	if (opcode == WS_CLOSE && len == 1)
		return 0;
	if (direction == RECEIVED && h[key] == h[key + 2] && h[key + 1] == h[key + 3] &&
	    (h[key] || h[key + 1]))
		return 0;
	return 1;
}

/* The chain's frames become a gap, but the chain goes on. */
PURE void resync_disown(struct resync_held *held)
{
	held->gap += (__u64)held->header + held->data + held->control;
	held->header = 0;
	held->data = held->skipped = 0;
	held->control = 0;
	held->text = held->binary = held->ping = held->pong = held->close = 0;
}

/* The chain was none. */
PURE void resync_drop(struct ws_stream *s, struct resync_held *held)
{
	resync_disown(held);
	resync_tried(s);
	/* no chain begins after a close frame, so the one that was seen is the chain's */
	if (s->chain.headers)
		s->flags &= ~WS_SAW_CLOSE;
	s->chain.left = 0;
	s->chain.headers = 0;
	s->chain.bits = 0;
	s->hdr_len = 0;
	s->flags &= ~(WS_IN_FRAME | WS_IN_MESSAGE | WS_IS_BINARY);
}

/* The boundary is known: ws.h may go on from here, left bytes before the end of the frame. */
PURE void resync_found(struct ws_stream *s, __u32 left)
{
	s->payload_left = left;
	s->flags &= ~WS_UNKNOWN;
	/* whether an extension was agreed on is not known */
	s->flags |= WS_RESYNCED | WS_EXTENDED;
}

/* The last byte of the chain's frame has passed. */
PURE void resync_frame_end(struct ws_stream *s, struct resync_held *held)
{
	struct ws_tally t = {};

	ws_frame_end(s, &t);
	held->text += t.text;
	held->binary += t.binary;
	held->ping += t.ping;
	held->pong += t.pong;
	held->close += t.close;
}

PURE void resync_add(struct ws_stream *s, __u32 bits)
{
	s->chain.bits = s->chain.bits + bits < 0xff ? s->chain.bits + bits : 0xff;
}

/* … and so has the event. */
PURE void resync_aligned(struct ws_stream *s, const struct resync_piece *p)
{
	resync_add(s, resync_aligned_bits(p->total));
	if (resync_proven(s, p->need))
		resync_found(s, 0);
}

/* n bytes of the chain's frame pass. */
PURE void resync_payload(struct ws_stream *s, struct resync_held *held, __u32 n)
{
	if ((s->hdr[0] & 0x0f) < WS_CLOSE)
		held->data += n;
	else
		held->control += n;
	s->chain.left -= n;
	if (!s->chain.left)
		resync_frame_end(s, held);
}

/*
 * A plausible header, h, that took `taken` bytes of this piece. When it completes the proof, its
 * frame is begun for ws.h, and t says so.
 */
PURE void resync_header(struct ws_stream *s, struct resync_held *held, struct ws_tally *t,
			const __u8 *h, __u32 len, __u32 taken, const struct resync_piece *p)
{
	struct ws_chain chain = s->chain;
	struct ws_tally none = {};

	held->header += taken;
	if (!len && p->direction == SENT) {
		if (held->header > 200)
			resync_disown(held); /* an idle server's pings: no room for more */
		ws_frame_begin(s, &none, h, len);
		s->chain = chain;
		resync_frame_end(s, held);
		return;
	}
	chain.headers++;
	s->chain = chain;
	resync_add(s, RESYNC_HEADER_BITS);
	chain = s->chain;
	if (resync_proven(s, p->need)) {
		ws_frame_begin(s, t, h, len);
		resync_found(s, len);
		if (!len)
			ws_payload(s, t, 0, 0);
		return;
	}
	ws_frame_begin(s, &none, h, len);
	chain.left = len;
	s->chain = chain;
	if (!len) {
		resync_frame_end(s, held);
		resync_aligned(s, p);
	}
}

/*
 * An unproven chain waits for the end of a long frame, and this event looks like one whole frame: the
 * chain probably began inside a payload, and this is the better place.
 */
PURE int resync_restarts(const struct ws_stream *s, __u8 *scratch, const struct resync_piece *p)
{
	__u32 n = p->len < WS_HEADER_MAX ? (__u32)p->len : WS_HEADER_MAX;
	__u8 flags = s->flags & WS_SAW_CLOSE;
	__u64 len;

	if (s->chain.headers != 1 || s->chain.bits != RESYNC_HEADER_BITS)
		return 0;
	n &= 15;
	if (ws_read(scratch, n, p->from) || n < 2 || n < ws_header_len(scratch[1]))
		return 0;
	len = ws_payload_len(scratch);
	return len && ws_header_len(scratch[1]) + len == p->total &&
	       resync_plausible(scratch, len, flags, p->direction, 0);
}

/*
 * One step over a piece: passes over payload, or takes one header. scratch: as for ws_step. Returns
 * how many bytes it took, 1..len; call it until the piece is used up or WS_UNKNOWN is cleared, then
 * go on with ws_step. Only the frame that completed the proof is in t.
 */
PURE __u64 resync_step(struct ws_stream *s, struct resync_held *held, struct ws_tally *t,
		       __u8 *scratch, const struct resync_piece *p)
{
	int start = p->left == p->total, first;
	__u32 have, want, need, taken;
	__u64 len, n;

	if ((s->flags & WS_IN_FRAME) && start && resync_restarts(s, scratch, p))
		resync_drop(s, held);
	if (s->flags & WS_IN_FRAME) {
		n = p->len < s->chain.left ? p->len : s->chain.left;
		resync_payload(s, held, (__u32)n);
		if (!(s->flags & WS_IN_FRAME) && n == p->left)
			resync_aligned(s, p);
		return n;
	}
	if (!start && !resync_alive(s)) {
		held->gap += p->len;
		return p->len;
	}
	have = s->hdr_len & 15;
	want = WS_HEADER_MAX - have;
	if (want > p->len)
		want = (__u32)p->len;
	want &= 15;
	if (have)
		__builtin_memcpy(scratch, s->hdr, WS_HEADER_MAX);
	if (ws_read(scratch + have, want, p->from)) {
		t->unread++;
		resync_drop(s, held);
		held->gap += p->len;
		return p->len;
	}
	need = have + want < 2 ? 2 : ws_header_len(scratch[1]);
	if (have + want < need) {
		__builtin_memcpy(s->hdr, scratch, WS_HEADER_MAX);
		s->hdr_len = have + want;
		held->header += want;
		return want;
	}
	taken = need - have;
	len = ws_payload_len(scratch);
	/* all that is kept of the header came from this event, which begins with it */
	first = p->total - p->left == have;
	if (!resync_plausible(scratch, len, s->flags, p->direction, first && p->total == need)) {
		/* what does not go on with the old chain may begin a new one */
		int again = s->chain.headers && first;

		resync_drop(s, held);
		if (!again ||
		    !resync_plausible(scratch, len, s->flags, p->direction, p->total == need)) {
			held->gap += p->len;
			return p->len;
		}
		held->gap -= have;
		held->header = have;
	}
	resync_header(s, held, t, scratch, (__u32)len, taken, p);
	return taken;
}

/* n bytes passed that nobody could read. */
PURE void resync_gap(struct ws_stream *s, struct resync_held *held, __u64 n)
{
	if (!n)
		return;
	if ((s->flags & WS_IN_FRAME) && n <= s->chain.left && (s->hdr[0] & 0x0f) < WS_CLOSE) {
		held->skipped += (__u32)n;
		resync_payload(s, held, (__u32)n);
		return;
	}
	resync_drop(s, held);
	held->gap += n;
}

/*
 * The connection was recognised by its other direction. A direction in which nothing has passed yet
 * stands at a boundary; a chain that was confirmed once is believed. Anything else has to be proven,
 * and what has passed is a gap.
 */
PURE void resync_accept(struct ws_stream *s, struct resync_held *held)
{
	if (!resync_alive(s) && !s->chain.tries && !held->gap)
		resync_found(s, 0);
	else if (s->chain.headers && s->chain.bits >= RESYNC_ACCEPT_BITS)
		resync_found(s, s->chain.left);
	else
		resync_disown(held);
}

#endif

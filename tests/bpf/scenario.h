/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the differential test feeds to the pure headers, and what it keeps of the outcome. The same
 * functions run in the kernel (harness.bpf.c) and on the host (differential.c); the includer brings
 * ws_read() and the loop. Everything in struct *_out is compared byte by byte, so nothing in it may
 * depend on more than the input: every scratch area starts at zero.
 */
#ifndef WSVITALS_TESTS_SCENARIO_H
#define WSVITALS_TESTS_SCENARIO_H

#include "accept.h"
#include "hist.h"
#include "http1.h"
#include "pair.h"
#include "resync.h"
#include "ws.h"

#define SCENARIO_PIECES 64 /* calls of one scenario; a power of two, used as an index mask */
#define SCENARIO_STEPS (1u << 17)
#define SCENARIO_OPS 256
#define SCENARIO_VALUES 256
#define SCENARIO_REASON 128

enum piece_kind { PIECE_BYTES, PIECE_GAP };

/* One read or write of the monitored process. */
struct piece {
	__u64 from; /* its address in the test's memory */
	__u64 len;
	__u64 now_ns;
	__u32 kind;      /* enum piece_kind */
	__u32 direction; /* enum direction */
};

struct ws_in {
	struct piece piece[SCENARIO_PIECES];
	__u32 pieces;
	__u32 extended; /* an extension was agreed on */
};

struct ws_trace { /* after a piece */
	struct ws_tally tally;
	struct ws_stream stream;
	struct pair pair;
	struct pair_tally pair_tally;
};

struct ws_out {
	struct ws_trace trace[SCENARIO_PIECES];
	struct ws_stream stream[NR_DIRECTIONS];
	struct pair pair;
	struct pair_tally closed;
	__u64 taken; /* of the current piece */
	__u32 piece; /* current */
	__u32 steps;
	__u32 unread_reasons;
	__u32 pad;
	__u8 reason[NR_DIRECTIONS][2 * SCENARIO_REASON]; /* as it passed: masked */
};

struct resync_in {
	struct piece piece[SCENARIO_PIECES]; /* each an event; the direction is the first's */
	__u32 pieces;
	__u32 need; /* enum resync_need */
};

struct resync_trace { /* after an event */
	struct ws_stream stream;
	struct resync_held held;
	struct ws_tally tally;
};

struct resync_out {
	struct resync_trace trace[SCENARIO_PIECES];
	struct ws_stream stream;
	struct resync_held held;
	__u64 taken;  /* of the current event */
	__u32 piece;  /* current */
	__u32 proven; /* events up to the proof */
	__u32 steps;
	__u32 pad;
};

struct http1_in {
	struct piece piece[SCENARIO_PIECES];
	__u32 pieces;
	__u32 kind; /* enum http1_kind */
};

struct http1_out {
	struct http1 trace[SCENARIO_PIECES]; /* after a piece */
	struct http1 head;
	__u64 taken;
	__u32 piece;
	__u32 unread;
	__u8 chunk[NR_CHUNK];
};

enum pair_op_kind { OP_RECEIVED, OP_SENT, OP_TOUCH, OP_CLOSED, NR_OP_KINDS };

struct pair_op {
	__u64 now_ns;
	__u32 kind; /* enum pair_op_kind */
	__u32 n;    /* received, or started */
	__u32 ended;
	__u32 pad;
};

struct pair_in {
	struct pair_op op[SCENARIO_OPS];
	__u32 ops;
	__u32 pad;
};

struct pair_out {
	struct pair_tally tally[SCENARIO_OPS];
	struct pair state[SCENARIO_OPS];
	__u32 waiting[SCENARIO_OPS];
	struct pair pair;
};

struct hist_in {
	__u64 value[SCENARIO_VALUES];
};

struct hist_out {
	__u64 lower[SCENARIO_VALUES];
	__u64 upper[SCENARIO_VALUES];
	__u32 bucket[SCENARIO_VALUES];
};

struct accept_in {
	__u8 key[ACCEPT_KEY_LEN];
	__u8 accept[ACCEPT_LEN];
	__u8 pad[4];
};

struct accept_out {
	struct accept_work work;
	__u32 fits;
};

/* The end of a piece: what the owner of a connection does with it. */
PURE void scenario_pair(struct pair *p, struct pair_tally *t, const struct ws_tally *w,
			__u32 direction, __u64 now)
{
	if (direction == RECEIVED && w->ended)
		pair_received(p, t, w->ended, now);
	if (direction == SENT && (w->started || w->ended))
		pair_sent(p, t, w->started, w->ended, now);
	pair_touch(p, now);
}

/* One step of one piece. Returns 1 when all pieces are used up. */
PURE int scenario_ws_step(const struct ws_in *in, struct ws_out *out)
{
	__u32 i = out->piece & (SCENARIO_PIECES - 1);
	const struct piece *p = &in->piece[i];
	struct ws_trace *trace = &out->trace[i];
	__u8 direction = p->direction & 1;
	struct ws_stream *s = &out->stream[direction];
	__u8 scratch[WS_SCRATCH] = {0};

	if (out->piece >= in->pieces || out->piece >= SCENARIO_PIECES) {
		pair_closed(&out->pair, &out->closed);
		return 1;
	}
	out->steps++;
	if (in->extended)
		s->flags |= WS_EXTENDED;
	if (p->kind == PIECE_GAP) {
		ws_gap(s, &trace->tally, p->len);
		out->taken = p->len;
	} else if (out->taken < p->len) {
		out->taken += ws_step(s, &trace->tally, scratch, p->from + out->taken,
				      p->len - out->taken, direction);
		if (trace->tally.close_len &&
		    ws_read(out->reason[direction] + (trace->tally.close_offset & 127),
			    trace->tally.close_len & 127, trace->tally.close_from))
			out->unread_reasons++;
	}
	if (out->taken < p->len)
		return 0;
	scenario_pair(&out->pair, &trace->pair_tally, &trace->tally, direction, p->now_ns);
	trace->stream = *s;
	trace->pair = out->pair;
	out->taken = 0;
	out->piece++;
	return 0;
}

/* One step of one event, until all are used up. */
PURE int scenario_resync_step(const struct resync_in *in, struct resync_out *out)
{
	__u32 i = out->piece & (SCENARIO_PIECES - 1);
	const struct piece *p = &in->piece[i];
	struct resync_trace *trace = &out->trace[i];
	struct ws_stream *s = &out->stream;
	__u8 scratch[WS_SCRATCH] = {0};
	struct resync_piece piece = {.direction = in->piece[0].direction & 1, .need = in->need & 1};

	if (out->piece >= in->pieces || out->piece >= SCENARIO_PIECES)
		return 1;
	if (!out->steps++)
		s->flags = WS_UNKNOWN;
	piece.from = p->from + out->taken;
	piece.len = p->len - out->taken;
	piece.left = piece.len;
	piece.total = p->len;
	if (p->kind == PIECE_GAP) {
		if (s->flags & WS_UNKNOWN)
			resync_gap(s, &out->held, p->len);
		else
			ws_gap(s, &trace->tally, p->len);
		out->taken = p->len;
	} else if (piece.len && (s->flags & WS_UNKNOWN)) {
		out->taken += resync_step(s, &out->held, &trace->tally, scratch, &piece);
		out->proven += !(s->flags & WS_UNKNOWN);
	} else if (piece.len) {
		out->taken += ws_step(s, &trace->tally, scratch, piece.from, piece.len,
				      piece.direction);
	}
	if (out->taken < p->len)
		return 0;
	trace->stream = *s;
	trace->held = out->held;
	out->taken = 0;
	out->piece++;
	return 0;
}

/* One byte of one piece, or eight that are passed over. Returns 1 when the head has ended or all pieces
 * are used up. */
PURE int scenario_http1_step(const struct http1_in *in, struct http1_out *out)
{
	__u32 i = out->piece & (SCENARIO_PIECES - 1);
	const struct piece *p = &in->piece[i];
	__u32 at = (__u32)out->taken & (NR_CHUNK - 1);
	__u64 left = p->len - out->taken;
	__u32 taken = 0;
	int more = 1;

	if (out->piece >= in->pieces || out->piece >= SCENARIO_PIECES)
		return 1;
	if (left) {
		if (!at) {
			__u64 n = left;

			KEEP(n); /* or the bound is known of another register than is used */
			if (n > NR_CHUNK)
				n = NR_CHUNK;
			if (ws_read(out->chunk, (__u32)n, p->from + out->taken)) {
				out->unread++;
				return 1;
			}
		}
		if (left >= 8 && at <= NR_CHUNK - 8) {
			__u64 word;

			__builtin_memcpy(&word, out->chunk + at, sizeof(word));
			taken = http1_pass(&out->head, word);
		}
		if (!taken) {
			more = http1_byte(&out->head, out->chunk[at], in->kind & 1);
			taken = 1;
		}
		out->taken += taken;
		left -= taken;
	}
	if (left && more)
		return 0;
	out->trace[i] = out->head;
	out->taken = 0;
	out->piece++;
	return !more;
}

PURE int scenario_pair_step(const struct pair_in *in, struct pair_out *out, __u32 i)
{
	const struct pair_op *op;

	i &= SCENARIO_OPS - 1;
	if (i >= in->ops)
		return 1;
	op = &in->op[i];
	switch (op->kind) {
	case OP_RECEIVED:
		pair_received(&out->pair, &out->tally[i], op->n, op->now_ns);
		pair_touch(&out->pair, op->now_ns);
		break;
	case OP_SENT:
		pair_sent(&out->pair, &out->tally[i], op->n, op->ended, op->now_ns);
		pair_touch(&out->pair, op->now_ns);
		break;
	case OP_TOUCH:
		pair_touch(&out->pair, op->now_ns);
		break;
	default:
		pair_closed(&out->pair, &out->tally[i]);
		break;
	}
	out->state[i] = out->pair;
	out->waiting[i] = pair_waiting(&out->pair);
	return 0;
}

PURE int scenario_hist_step(const struct hist_in *in, struct hist_out *out, __u32 i)
{
	i &= SCENARIO_VALUES - 1;
	out->bucket[i] = hist_bucket(in->value[i]);
	out->lower[i] = hist_lower(out->bucket[i]);
	out->upper[i] = hist_upper(out->bucket[i]);
	return 0;
}

#endif

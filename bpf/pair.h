/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The pairing rule of SPEC 2: which sent message answers which received one, and after how long.
 *
 * The messages whose last byte came out of one read are a batch with one start time; the next sent
 * messages answer it in order. A second batch while one waits makes both ambiguous, until as many
 * messages have been sent as were waiting; after a second of silence the waiting ones are
 * unanswered instead. Books: received = timed + ambiguous + unanswered + waiting and
 * sent = timed + push + answers_to_ambiguous, at any moment.
 *
 * A sent message is matched when its first bytes pass and counted when its last byte has passed;
 * in between it is `out_kind`, and the message that it answers still counts as waiting.
 */
#ifndef WSVITALS_PAIR_H
#define WSVITALS_PAIR_H

#include "types.h"

#define PAIR_SILENCE_NS 1000000000ull
#define PAIR_SKEW_MS 4096

enum pair_kind { PAIR_NONE = 0, PAIR_PUSH, PAIR_TIMED, PAIR_AMBIGUOUS };

/* Kept in every connection: 32 bytes. All zero is the start. */
struct pair {
	__u64 batch_ns;  /* when the waiting batch was read */
	__u64 out_ns;    /* latency of the message being sent, when out_kind is PAIR_TIMED */
	__u32 waiting;   /* messages of the batch without an answer */
	__u32 unordered; /* answers still to come to ambiguous messages */
	__u32 last_ms;   /* when anything last passed, in units of 2^20 ns (about 1 ms) */
	__u8 out_kind;   /* enum pair_kind of the message whose last byte has not been sent */
	__u8 pad[3];
};
_Static_assert(sizeof(struct pair) == 32, "kept in every connection");

/* What one event changed; the owner zeroes it before and adds it to the counters after. */
struct pair_tally {
	__u32 timed; /* of these, `timed` - `carried` took latency_ns */
	__u32 ambiguous;
	__u32 unanswered;
	__u32 push;
	__u32 answers_to_ambiguous;
	__u32 carried; /* 1: one of `timed` began in an earlier write and took carried_ns */
	__u64 latency_ns;
	__u64 carried_ns;
};

/* Any byte passed, either direction. Call it after pair_received of the same event. */
PURE void pair_touch(struct pair *p, __u64 now)
{
	p->last_ms = (__u32)(now >> 20);
}

PURE int pair_silent(const struct pair *p, __u64 now)
{
	/* what came in between on another CPU may be a little younger */
	__u32 ms = (__u32)(now >> 20) + PAIR_SKEW_MS - p->last_ms;

	return ms >= (__u32)(PAIR_SILENCE_NS >> 20) + PAIR_SKEW_MS;
}

/* One read returned the last byte of n > 0 messages. */
PURE void pair_received(struct pair *p, struct pair_tally *t, __u32 n, __u64 now)
{
	if ((p->waiting || p->unordered) && pair_silent(p, now)) {
		t->unanswered += p->waiting;
		p->waiting = 0;
		p->unordered = 0;
	}
	if (p->waiting || p->unordered) {
		t->ambiguous += p->waiting + n;
		p->unordered += p->waiting + n;
		p->waiting = 0;
		return;
	}
	p->waiting = n;
	p->batch_ns = now;
}

PURE void pair_count(struct pair_tally *t, __u8 kind, __u32 n)
{
	if (kind == PAIR_PUSH)
		t->push += n;
	else if (kind == PAIR_TIMED)
		t->timed += n;
	else if (kind == PAIR_AMBIGUOUS)
		t->answers_to_ambiguous += n;
}

/*
 * One write carried the first bytes of `started` messages and the last byte of `ended`. Messages
 * are sent one after the other, so all but the last started here also end here.
 */
PURE void pair_sent(struct pair *p, struct pair_tally *t, __u32 started, __u32 ended, __u64 now)
{
	__u32 unordered, timed, push;
	__u8 last = PAIR_NONE;

	/* else its end was lost, because all but the last of what began has ended */
	if (ended && ended >= started && p->out_kind) {
		if (p->out_kind == PAIR_TIMED) {
			t->carried = 1;
			t->carried_ns = p->out_ns;
		}
		pair_count(t, p->out_kind, 1);
		p->out_kind = PAIR_NONE;
		ended--;
	}
	/* begun before the stream was understood: it answers nothing known */
	if (ended > started) {
		t->push += ended - started;
		ended = started;
	}
	if (!started)
		return;
	/* a new message while one is being sent: its end was lost with the frame boundary */
	t->unanswered += p->out_kind == PAIR_TIMED;
	p->out_kind = PAIR_NONE;
	unordered = started < p->unordered ? started : p->unordered;
	timed = started - unordered < p->waiting ? started - unordered : p->waiting;
	push = started - unordered - timed;
	p->unordered -= unordered;
	p->waiting -= timed;
	/* the write may be older than the read, which came in between on another CPU */
	t->latency_ns = now > p->batch_ns ? now - p->batch_ns : 0;
	if (started > ended) { /* the last one is still being written */
		if (push) {
			last = PAIR_PUSH;
			push--;
		} else if (timed) {
			last = PAIR_TIMED;
			timed--;
		} else {
			last = PAIR_AMBIGUOUS;
			unordered--;
		}
		p->out_kind = last;
		p->out_ns = t->latency_ns;
	}
	t->push += push;
	t->timed += timed;
	t->answers_to_ambiguous += unordered;
}

/* Received messages that are neither timed nor ambiguous nor unanswered yet. */
PURE __u32 pair_waiting(const struct pair *p)
{
	return p->waiting + (p->out_kind == PAIR_TIMED);
}

/* The connection has closed: what still waits is unanswered. */
PURE void pair_closed(struct pair *p, struct pair_tally *t)
{
	t->unanswered += pair_waiting(p);
	p->waiting = 0;
	p->unordered = 0;
	p->out_kind = PAIR_NONE;
}

#endif

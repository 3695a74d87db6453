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
 * in between it is "being sent", and the message that it answers still counts as waiting.
 *
 * A read and a write of one connection may be under way on two CPUs, and the end of the connection
 * on a third, or in an interrupt of one of them. All that two of them change is therefore one word,
 * changed by compare-and-swap: a lock would cost more than the rule, and an interrupt could not wait.
 */
#ifndef WSVITALS_PAIR_H
#define WSVITALS_PAIR_H

#include "types.h"

#define PAIR_SILENCE_NS 1000000000ull
#define PAIR_SKEW_MS 4096

/* A swap fails only when another event of the same connection came first, and one event takes a
 * system call: more than one in a row is unheard of. Who gives up counts what balances the books:
 * ambiguous, or a push. */
#define PAIR_TRIES 4

enum pair_kind { PAIR_NONE = 0, PAIR_PUSH, PAIR_TIMED, PAIR_AMBIGUOUS };

/* struct pair.word: below these, how many messages of the batch wait, or answers are still to come to
 * ambiguous ones; one never happens with the other. */
#define PAIR_AMBIGUOUS_BIT 32 /* it is the answers */
#define PAIR_OUT_BIT 33       /* enum pair_kind of the message that is being sent */
#define PAIR_TURN_BIT 35      /* counts changes: a word that was replaced does not come back */

/* Kept in every connection: 32 bytes. All zero is the start. */
struct pair {
	__u64 word;
	__u64 batch_ns; /* when the waiting batch was read; written only while none waits */
	__u64 out_ns;   /* the sender's: latency of the message being sent, when it is PAIR_TIMED */
	__u32 last_ms;  /* when anything last passed, in units of 2^20 ns (about 1 ms) */
	__u32 spare;    /* the owner's */
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

/* Where other events may come in between: tests make them come. */
#ifndef PAIR_MEANWHILE
#define PAIR_MEANWHILE() ((void)0)
#endif

PURE __u64 pair_load(const struct pair *p)
{
	__u64 word = *(const volatile __u64 *)&p->word;

	/* batch_ns is of the word only if it is read after it, which else the compiler may turn round:
	 * an answer would be timed from the batch before */
	__asm__ volatile("" : : : "memory");
	PAIR_MEANWHILE();
	return word;
}

PURE __u32 pair_is_ambiguous(__u64 word)
{
	return word >> PAIR_AMBIGUOUS_BIT & 1;
}

PURE __u8 pair_sending(__u64 word)
{
	return word >> PAIR_OUT_BIT & 3;
}

/* Replaces `old` if it is still there: 1 when it was. */
PURE int pair_swap(struct pair *p, __u64 old, __u32 count, __u32 ambiguous, __u32 out)
{
	__u64 word = ((old >> PAIR_TURN_BIT) + 1) << PAIR_TURN_BIT;

	word |= (__u64)out << PAIR_OUT_BIT | count;
	if (count && ambiguous)
		word |= 1ull << PAIR_AMBIGUOUS_BIT;
	PAIR_MEANWHILE();
	return __sync_val_compare_and_swap(&p->word, old, word) == old;
}

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
	for (int i = 0; i < PAIR_TRIES; i++) {
		__u64 old = pair_load(p);
		__u32 count = (__u32)old;
		__u32 waiting = pair_is_ambiguous(old) ? 0 : count;

		if (!count) {
			p->batch_ns = now;
			if (pair_swap(p, old, n, 0, pair_sending(old)))
				return;
		} else if (pair_silent(p, now)) {
			/* batch_ns is not ours before nobody can read it any more */
			if (pair_swap(p, old, 0, 0, pair_sending(old)))
				t->unanswered += waiting;
		} else if (pair_swap(p, old, count + n, 1, pair_sending(old))) {
			t->ambiguous += waiting + n;
			return;
		}
	}
	t->ambiguous += n;
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

/* pair_sent's arithmetic: what becomes of `old`; 1 when that is what happened. */
PURE int pair_answer(struct pair *p, __u64 old, struct pair_tally *t, __u32 started, __u32 ended,
		     __u64 now)
{
	/* the write may be older than the read, which came in between on another CPU */
	__u64 latency = now > p->batch_ns ? now - p->batch_ns : 0, carried = p->out_ns;
	__u32 count = (__u32)old, taken;
	__u32 timed = 0, unordered = 0, push = 0, lost = 0;
	__u8 out = pair_sending(old), was = PAIR_NONE;

	/* else its end was lost, because all but the last of what began has ended */
	if (ended && ended >= started && out) {
		was = out;
		out = PAIR_NONE;
		ended--;
	}
	/* begun before the stream was understood: it answers nothing known */
	if (ended > started) {
		push = ended - started;
		ended = started;
	}
	if (started) {
		/* a new message while one is being sent: its end was lost with the frame boundary */
		lost = out == PAIR_TIMED;
		out = PAIR_NONE;
		taken = started < count ? started : count;
		if (pair_is_ambiguous(old))
			unordered = taken;
		else
			timed = taken;
		count -= taken;
		push += started - taken;
		if (started > ended) { /* the last one is still being written */
			if (started > taken) {
				out = PAIR_PUSH;
				push--;
			} else if (timed) {
				out = PAIR_TIMED;
				timed--;
			} else {
				out = PAIR_AMBIGUOUS;
				unordered--;
			}
		}
	}
	if ((count != (__u32)old || out != pair_sending(old)) &&
	    !pair_swap(p, old, count, pair_is_ambiguous(old), out))
		return 0;
	if (started > ended)
		p->out_ns = latency;
	t->latency_ns = latency;
	if (was == PAIR_TIMED) {
		t->carried = 1;
		t->carried_ns = carried;
	}
	pair_count(t, was, 1);
	t->unanswered += lost;
	t->push += push;
	t->timed += timed;
	t->answers_to_ambiguous += unordered;
	return 1;
}

/*
 * One write carried the first bytes of `started` messages and the last byte of `ended`. Messages
 * are sent one after the other, so all but the last started here also end here.
 */
PURE void pair_sent(struct pair *p, struct pair_tally *t, __u32 started, __u32 ended, __u64 now)
{
	for (int i = 0; i < PAIR_TRIES; i++)
		if (pair_answer(p, pair_load(p), t, started, ended, now))
			return;
	t->push += ended;
}

/* Received messages that are neither timed nor ambiguous nor unanswered yet. */
PURE __u32 pair_waiting_of(__u64 word)
{
	return (pair_is_ambiguous(word) ? 0 : (__u32)word) + (pair_sending(word) == PAIR_TIMED);
}

PURE __u32 pair_waiting(const struct pair *p)
{
	return pair_waiting_of(pair_load(p));
}

/* The connection has closed: what still waits is unanswered. */
PURE void pair_closed(struct pair *p, struct pair_tally *t)
{
	for (int i = 0; i < PAIR_TRIES; i++) {
		__u64 old = pair_load(p);

		if (!pair_swap(p, old, 0, 0, PAIR_NONE))
			continue;
		t->unanswered += pair_waiting_of(old);
		return;
	}
}

#endif

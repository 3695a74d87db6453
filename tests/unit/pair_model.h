/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The pairing rule of SPEC 2 as a list of messages, each with its own fate: slow, and without the
 * arithmetic of pair.h. It is held against pair.h after every step.
 */
#ifndef WSVITALS_TESTS_PAIR_MODEL_H
#define WSVITALS_TESTS_PAIR_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define PAIR_MODEL_MESSAGES 8192

enum fate { WAITS, BEING_ANSWERED, IS_TIMED, IS_AMBIGUOUS, IS_UNANSWERED, NR_FATES };

struct pair_model {
	struct {
		uint64_t read_ns;
		enum fate fate;
	} received[PAIR_MODEL_MESSAGES];
	size_t nr;
	uint64_t owed; /* answers still to come to ambiguous messages */
	uint64_t last_ns;

	bool sending; /* a message whose last byte has not been sent, and what it is */
	enum pair_kind kind;
	size_t answers; /* index into received, when kind is PAIR_TIMED */
	uint64_t latency_ns;

	uint64_t sent, push, answers_to_ambiguous;
	uint64_t took[PAIR_MODEL_MESSAGES]; /* latencies of this step, in order */
	size_t nr_took;
};

/* A model of a new connection; cheaper than zeroing all of it. */
static inline void pair_model_reset(struct pair_model *m)
{
	m->nr = 0;
	m->owed = 0;
	m->last_ns = 0;
	m->sending = false;
	m->sent = 0;
	m->push = 0;
	m->answers_to_ambiguous = 0;
	m->nr_took = 0;
}

static inline uint64_t pair_model_count(const struct pair_model *m, enum fate fate)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->nr; i++)
		n += m->received[i].fate == fate;
	return n;
}

static inline void pair_model_all(struct pair_model *m, enum fate from, enum fate to)
{
	for (size_t i = 0; i < m->nr; i++)
		if (m->received[i].fate == from)
			m->received[i].fate = to;
}

static inline void pair_model_received(struct pair_model *m, uint64_t n, uint64_t now)
{
	bool behind = m->owed || pair_model_count(m, WAITS);

	m->nr_took = 0;
	if (behind && now - m->last_ns >= 1000000000) {
		pair_model_all(m, WAITS, IS_UNANSWERED);
		m->owed = 0;
		behind = false;
	}
	if (behind)
		m->owed += pair_model_count(m, WAITS) + n;
	if (m->nr + n > PAIR_MODEL_MESSAGES)
		abort();
	while (n--) {
		m->received[m->nr].read_ns = now;
		m->received[m->nr++].fate = WAITS;
	}
	if (behind)
		pair_model_all(m, WAITS, IS_AMBIGUOUS);
	m->last_ns = now;
}

static inline void pair_model_begin(struct pair_model *m, uint64_t now)
{
	m->sending = true;
	m->kind = PAIR_PUSH;
	if (m->owed) {
		m->owed--;
		m->kind = PAIR_AMBIGUOUS;
		return;
	}
	for (size_t i = 0; i < m->nr; i++) {
		if (m->received[i].fate != WAITS)
			continue;
		m->received[i].fate = BEING_ANSWERED;
		m->answers = i;
		m->latency_ns = now - m->received[i].read_ns;
		m->kind = PAIR_TIMED;
		return;
	}
}

static inline void pair_model_end(struct pair_model *m)
{
	m->sent++;
	if (!m->sending || m->kind == PAIR_PUSH) {
		m->push++;
	} else if (m->kind == PAIR_AMBIGUOUS) {
		m->answers_to_ambiguous++;
	} else {
		m->received[m->answers].fate = IS_TIMED;
		m->took[m->nr_took++] = m->latency_ns;
	}
	m->sending = false;
}

/* All but the last of the started end here; an end may be of a message begun before we looked. */
static inline void pair_model_sent(struct pair_model *m, uint64_t started, uint64_t ended,
				   uint64_t now)
{
	m->nr_took = 0;
	if (m->sending && ended && ended >= started) {
		pair_model_end(m);
		ended--;
	}
	for (; ended > started; ended--)
		pair_model_end(m);
	for (; started; started--) {
		if (m->sending) /* its end was lost */
			pair_model_all(m, BEING_ANSWERED, IS_UNANSWERED);
		pair_model_begin(m, now);
		if (ended) {
			pair_model_end(m);
			ended--;
		}
	}
	m->last_ns = now;
}

static inline void pair_model_closed(struct pair_model *m)
{
	m->nr_took = 0;
	pair_model_all(m, WAITS, IS_UNANSWERED);
	pair_model_all(m, BEING_ANSWERED, IS_UNANSWERED);
	m->owed = 0;
	m->sending = false;
}

/* The counters that an owner keeps. */
struct pair_books {
	uint64_t received, sent;
	uint64_t timed, ambiguous, unanswered, push, answers_to_ambiguous;
};

static inline void pair_books_add(struct pair_books *b, const struct pair_tally *t)
{
	b->timed += t->timed;
	b->ambiguous += t->ambiguous;
	b->unanswered += t->unanswered;
	b->push += t->push;
	b->answers_to_ambiguous += t->answers_to_ambiguous;
}

/* NULL, or which part of SPEC 2 is broken. */
static inline const char *pair_model_differs(const struct pair_model *m, const struct pair_books *b,
					     const struct pair *p, const struct pair_tally *t)
{
	if (b->received != b->timed + b->ambiguous + b->unanswered + pair_waiting(p))
		return "received = timed + ambiguous + unanswered + waiting";
	if (b->sent != b->timed + b->push + b->answers_to_ambiguous)
		return "sent = timed + push + answers to ambiguous";
	if (b->received != m->nr || b->sent != m->sent)
		return "messages";
	if (b->timed != pair_model_count(m, IS_TIMED))
		return "timed";
	if (b->ambiguous != pair_model_count(m, IS_AMBIGUOUS))
		return "ambiguous";
	if (b->unanswered != pair_model_count(m, IS_UNANSWERED))
		return "unanswered";
	if (pair_waiting(p) != pair_model_count(m, WAITS) + pair_model_count(m, BEING_ANSWERED))
		return "waiting";
	if (b->push != m->push || b->answers_to_ambiguous != m->answers_to_ambiguous)
		return "push, answers to ambiguous";
	if (t->timed != m->nr_took || t->carried > t->timed || t->carried > 1)
		return "number of latencies";
	for (size_t i = 0; i < m->nr_took; i++)
		if (m->took[i] != (i < t->carried ? t->carried_ns : t->latency_ns))
			return "latency";
	return NULL;
}

#endif

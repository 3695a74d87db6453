/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* How four bytes of a corpus file become a step of a conversation, for pair.h's tests. */
#ifndef WSVITALS_TESTS_PAIR_STEPS_H
#define WSVITALS_TESTS_PAIR_STEPS_H

#include <stdint.h>

#define PAIR_STEPS 256

enum pair_step_kind {
	PAIR_STEP_RECEIVED,
	PAIR_STEP_SENT,
	PAIR_STEP_TOUCH,
	PAIR_STEP_CLOSED,
};

struct pair_step {
	enum pair_step_kind kind;
	uint32_t n; /* received, or started */
	uint32_t ended;
	uint64_t pause_ns;
};

/* sending: a message whose end has not been sent. What one write can have begun and ended follows
 * from it: messages are sent one after the other, at most the last stays open. */
static inline struct pair_step pair_step_read(const uint8_t *b, int sending)
{
	/* none between 0.998 s and 1 s: there pair.h may say either */
	static const uint64_t pauses[8] = {0,        1,         1000,       1000000,
					   40000000, 990000000, 1000000000, 86400000000000};
	struct pair_step s = {.pause_ns = pauses[b[3] & 7]};
	uint32_t below;

	if (b[0] < 96) {
		s.kind = PAIR_STEP_RECEIVED;
		s.n = 1 + b[1] % 8;
	} else if (b[0] < 224) {
		s.kind = PAIR_STEP_SENT;
		s.n = b[1] % 8;
		below = s.n && (!sending || s.n == 1); /* one fewer may end than began */
		s.ended = s.n - below + b[2] % (2 + below);
	} else {
		s.kind = b[0] < 248 ? PAIR_STEP_TOUCH : PAIR_STEP_CLOSED;
	}
	return s;
}

#endif

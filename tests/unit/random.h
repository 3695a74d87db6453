/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* The same pseudo-random numbers on every machine, so that a failing case can be run again. */
#ifndef WSVITALS_TESTS_RANDOM_H
#define WSVITALS_TESTS_RANDOM_H

#include <stdint.h>

/* xorshift64*; state must not be 0 */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	return (random_next(state) >> 11) % n;
}

#endif

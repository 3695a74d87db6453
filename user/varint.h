/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Unsigned numbers in as few bytes as they need: seven bits a byte, low ones first. Each number has
 * one encoding; a longer one is refused. Pure.
 */
#ifndef WSVITALS_VARINT_H
#define WSVITALS_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX 10 /* bytes of a number of 64 bits */

/* Where the next byte is read, and where the bytes end. */
struct varint_reader {
	const uint8_t *at, *end;
};

static inline uint8_t *varint_put(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

/* False: cut short, longer than needed, or beyond 64 bits; *ret_value untouched. */
static inline bool varint_get(struct varint_reader *reader, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (reader->at < reader->end && *reader->at < 0x80) { /* most of them */
		*ret_value = *reader->at++;
		return true;
	}
	for (unsigned shift = 0; reader->at < reader->end && shift < 64; shift += 7) {
		uint8_t byte = *reader->at++;

		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (!byte && shift)
			return false;
		*ret_value = value;
		return true;
	}
	return false;
}

#endif

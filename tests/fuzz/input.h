/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * How the bytes of a corpus file become a stream in pieces, for the fuzzers and for the differential
 * test. tests/corpus/make.py writes files of this form:
 *     [0] ws: bit 0 is the direction, bit 1 says that an extension was agreed on;
 *         http1: modulo 3, the kind of head
 *     [1] number of cuts, modulo INPUT_CUTS
 *     cuts, one byte each: 1..127 = so many bytes are a piece, 0 = 512 bytes are;
 *         0x80 | n = the next n < 64 bytes pass unread; 0xc0 | n = 2^n bytes that are not in the
 *         file pass unread
 *     the stream; what the cuts leave of it is the last piece
 */
#ifndef WSVITALS_TESTS_INPUT_H
#define WSVITALS_TESTS_INPUT_H

#include <stddef.h>
#include <stdint.h>

#define INPUT_CUTS 48

struct input_piece {
	const uint8_t *bytes; /* NULL when none of them are in the file */
	uint64_t len;
	int gap;
};

struct input {
	uint8_t what;
	const uint8_t *stream;
	size_t len;
	size_t nr;
	struct input_piece piece[INPUT_CUTS + 1];
};

static inline void input_parse(struct input *in, const uint8_t *data, size_t size)
{
	size_t cuts = size > 1 ? data[1] % INPUT_CUTS : 0;
	size_t at = 0;

	in->what = size ? data[0] : 0;
	in->nr = 0;
	if (size < 2 + cuts)
		cuts = size > 2 ? size - 2 : 0;
	in->len = size > 2 ? size - 2 - cuts : 0;
	in->stream = data + (size - in->len);
	for (size_t i = 0; i < cuts; i++) {
		uint8_t cut = data[2 + i];
		struct input_piece *p = &in->piece[in->nr];

		p->gap = cut >> 7;
		p->bytes = in->stream + at;
		if (cut >= 0xc0) {
			p->bytes = NULL;
			p->len = 1ull << (cut & 0x3f);
			in->nr++;
			continue;
		}
		p->len = cut & 0x7f ? cut & (p->gap ? 0x3f : 0x7f) : 512;
		if (p->len > in->len - at)
			p->len = in->len - at;
		at += p->len;
		in->nr += p->len != 0;
	}
	if (at < in->len)
		in->piece[in->nr++] = (struct input_piece){in->stream + at, in->len - at, 0};
}

#endif

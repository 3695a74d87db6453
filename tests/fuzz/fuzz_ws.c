// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * ws.h: cutting a stream anywhere gives the same tallies, added up, and the same carried state; no
 * byte is counted twice or lost; without gaps all is as the model reads it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "require.h"

#include "types.h"

static int ws_read(void *to, __u32 len, __u64 from)
{
	memcpy(to, (const void *)(uintptr_t)from, len);
	return 0;
}

#include "ws_model.h"

struct fed {
	struct ws_stream state;
	struct ws_tally sum;
	uint64_t bytes;
	uint8_t reason[128];
	size_t reason_len;
};

static void step_over(struct fed *f, const uint8_t *at, uint64_t len, uint8_t direction)
{
	uint64_t taken = 0;

	while (taken < len) {
		uint8_t scratch[WS_SCRATCH];
		struct ws_tally t = {0};
		uint64_t step;

		memset(scratch, 0xee, sizeof(scratch));
		step = ws_step(&f->state, &t, scratch, (uintptr_t)at + taken, len - taken,
			       direction);
		REQUIRE(step && step <= len - taken);
		REQUIRE(t.header + t.payload + t.gap == step);
		REQUIRE(t.ended == t.text + t.binary);
		REQUIRE(t.started <= 1 && t.ended + t.ping + t.pong + t.close <= 1);
		if (t.close_len) {
			REQUIRE(t.close_offset == f->reason_len &&
				t.close_offset + t.close_len <= 125);
			REQUIRE(t.close_from >= (uintptr_t)at + taken);
			REQUIRE(t.close_from + t.close_len <= (uintptr_t)at + taken + step);
			for (int i = 0; i < t.close_len; i++)
				f->reason[f->reason_len++] = at[t.close_from - (uintptr_t)at + i] ^
							     t.close_mask[(t.close_offset + i) & 3];
		}
		ws_tally_add(&f->sum, &t);
		taken += step;
	}
}

/* A copy of its own for every piece: AddressSanitizer sees the first byte too many. */
static void feed(struct fed *f, const struct input_piece *p, uint64_t at, uint64_t len,
		 uint8_t direction)
{
	uint8_t *copy;

	f->bytes += len;
	if (p->gap) {
		ws_gap(&f->state, &f->sum, len);
	} else {
		copy = malloc(len);
		REQUIRE(copy);
		memcpy(copy, p->bytes + at, len);
		step_over(f, copy, len, direction);
		free(copy);
	}
	REQUIRE(f->sum.header + f->sum.payload + f->sum.gap == f->bytes);
	REQUIRE(f->state.hdr_len < WS_HEADER_MAX);
	REQUIRE(!(f->state.flags & WS_IN_FRAME) || !f->state.hdr_len);
}

static void require_same(const struct fed *a, const struct fed *b)
{
	REQUIRE(!memcmp(&a->sum, &b->sum, offsetof(struct ws_tally, close_len)));
	REQUIRE(ws_same(&a->state, &b->state));
	REQUIRE(a->reason_len == b->reason_len);
	REQUIRE(!memcmp(a->reason, b->reason, a->reason_len));
}

static void require_model(const struct fed *f, const struct input *in)
{
	struct ws_model m = ws_model_read(in->stream, in->len, in->what & 1, in->what & 2);

	REQUIRE(f->sum.header == m.header && f->sum.payload == m.payload && f->sum.gap == m.gap);
	REQUIRE(f->sum.data == m.data && f->sum.started == m.started && f->sum.ended == m.ended);
	REQUIRE(f->sum.text == m.text && f->sum.binary == m.binary);
	REQUIRE(f->sum.ping == m.ping && f->sum.pong == m.pong && f->sum.close == m.close);
	REQUIRE(f->sum.close_told == m.told && f->sum.close_code == m.code);
	REQUIRE(f->sum.violation == m.violation && f->state.payload_left == m.left);
	REQUIRE(f->reason_len == m.reason_len && !memcmp(f->reason, m.reason, m.reason_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fed whole = {0}, cut = {0}, bits = {0};
	uint8_t direction;
	int gaps = 0;
	struct input in;

	input_parse(&in, data, size);
	direction = in.what & 1;
	if (in.what & 2)
		whole.state.flags = cut.state.flags = bits.state.flags = WS_EXTENDED;
	for (size_t i = 0; i < in.nr; i++) {
		struct input_piece *p = &in.piece[i], joined = *p;

		feed(&cut, p, 0, p->len, direction);
		for (uint64_t at = 0; at < p->len && !p->gap; at++)
			feed(&bits, p, at, 1, direction);
		gaps += p->gap;
		if (p->gap) {
			feed(&bits, p, 0, p->len, direction);
			feed(&whole, p, 0, p->len, direction);
		} else if (!i || p[-1].gap) {
			for (size_t j = i + 1; j < in.nr && !in.piece[j].gap; j++)
				joined.len += in.piece[j].len;
			feed(&whole, &joined, 0, joined.len, direction);
		}
	}
	require_same(&whole, &cut);
	require_same(&whole, &bits);
	if (!gaps)
		require_model(&whole, &in);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * resync.h: cutting an event into pieces gives the same state and the same counts, as long as its
 * first piece holds a whole header; every byte is accounted for at every moment; nothing is proven by
 * less than the stated evidence. The pieces of an input are its events.
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

#include "resync.h"

struct fed {
	struct ws_stream state;
	struct resync_held held;
	struct ws_tally sum;
	uint64_t bytes;
	unsigned events;
	unsigned proven; /* number of the event */
	uint8_t direction, need;
};

static void require_sound(const struct fed *f)
{
	const struct resync_held *h = &f->held;

	REQUIRE(h->gap + h->header + h->data + h->control + f->sum.header + f->sum.payload +
			f->sum.gap ==
		f->bytes);
	REQUIRE(h->skipped <= h->data);
	REQUIRE(f->state.hdr_len < WS_HEADER_MAX);
	REQUIRE(!(f->state.flags & WS_IN_FRAME) || !f->state.hdr_len);
	REQUIRE(f->sum.violation == VIOLATION_NONE);
	if (!f->proven) {
		REQUIRE(h->text + h->binary + h->ping + h->pong + h->close <= 105);
		REQUIRE(f->state.flags & WS_UNKNOWN);
		REQUIRE(f->state.chain.headers < 6 && f->state.chain.left < RESYNC_LEN_MAX);
		REQUIRE(!!(f->state.flags & WS_IN_FRAME) == !!f->state.chain.left);
	}
}

static void tally_add(struct ws_tally *sum, const struct ws_tally *t)
{
	sum->header += t->header;
	sum->payload += t->payload;
	sum->data += t->data;
	sum->gap += t->gap;
	sum->started += t->started;
	sum->ended += t->ended;
	sum->text += t->text;
	sum->binary += t->binary;
}

/* `left` of the event's `total` bytes are still to come, the first `len` of them now. */
static void piece(struct fed *f, const uint8_t *bytes, uint64_t len, uint64_t left, uint64_t total)
{
	uint8_t *copy = malloc(len);
	uint64_t taken = 0;

	REQUIRE(copy);
	memcpy(copy, bytes, len);
	f->bytes += len;
	while (taken < len) {
		struct resync_piece p = {
			.from = (uintptr_t)copy + taken,
			.len = len - taken,
			.left = left - taken,
			.total = total,
			.direction = f->direction,
			.need = f->need,
		};
		uint8_t scratch[WS_SCRATCH];
		struct ws_chain before = f->state.chain;
		struct ws_tally t = {0};
		uint64_t step;

		memset(scratch, 0xee, sizeof(scratch));
		if (f->state.flags & WS_UNKNOWN) {
			step = resync_step(&f->state, &f->held, &t, scratch, &p);
			if (!(f->state.flags & WS_UNKNOWN) && !f->proven) {
				f->proven = f->events;
				REQUIRE(before.headers + 1 >= (f->need ? 2 : 3));
				REQUIRE(before.bits + RESYNC_ALIGNED_MAX + RESYNC_HEADER_BITS >=
					(f->need ? 22 : 25));
			}
		} else {
			step = ws_step(&f->state, &t, scratch, p.from, p.len, f->direction);
		}
		tally_add(&f->sum, &t);
		REQUIRE(step && step <= len - taken);
		taken += step;
	}
	free(copy);
}

static void unseen(struct fed *f, uint64_t len)
{
	f->bytes += len;
	if (f->state.flags & WS_UNKNOWN)
		resync_gap(&f->state, &f->held, len);
	else
		ws_gap(&f->state, &f->sum, len);
}

/* The first proof opens a connection, which takes what is held; later there is none to hold it. */
static void event_end(struct fed *f)
{
	if (!f->proven)
		return;
	resync_disown(&f->held);
	f->sum.gap += f->held.gap;
	f->held.gap = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fed whole = {0}, cut;
	struct input in;

	input_parse(&in, data, size);
	whole.direction = in.what & 1;
	whole.need = in.what >> 1 & 1;
	whole.state.flags = WS_UNKNOWN;
	cut = whole;
	for (size_t i = 0; i < in.nr; i++) {
		const struct input_piece *p = &in.piece[i];
		uint64_t first = p->len < WS_HEADER_MAX ? p->len : WS_HEADER_MAX;

		if (!p->len)
			continue;
		whole.events++;
		cut.events++;
		if (p->gap) {
			unseen(&whole, p->len);
			unseen(&cut, p->len);
		} else {
			piece(&whole, p->bytes, p->len, p->len, p->len);
			piece(&cut, p->bytes, first, p->len, p->len);
			for (uint64_t at = first; at < p->len; at++)
				piece(&cut, p->bytes + at, 1, p->len - at, p->len);
		}
		event_end(&whole);
		event_end(&cut);
		require_sound(&whole);
		require_sound(&cut);
		REQUIRE(whole.proven == cut.proven);
		REQUIRE(whole.state.flags == cut.state.flags);
		REQUIRE(whole.state.payload_left == cut.state.payload_left ||
			!(whole.state.flags & (WS_UNKNOWN | WS_IN_FRAME)));
		REQUIRE(whole.state.hdr_len == cut.state.hdr_len);
		REQUIRE(!memcmp(whole.state.hdr, cut.state.hdr, whole.state.hdr_len));
		REQUIRE(!memcmp(&whole.held, &cut.held, sizeof(whole.held)));
		REQUIRE(!memcmp(&whole.sum, &cut.sum, sizeof(whole.sum)));
	}
	return 0;
}

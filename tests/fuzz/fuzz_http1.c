// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * http1.h: whatever comes in, what is found lies inside the head; at every cut, and at the end, all
 * is as the model reads it from the whole buffer, and the same when words are passed over at once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http1_model.h"
#include "input.h"
#include "require.h"

static void require_model(const struct http1 *h, const char *head, size_t n, enum http1_kind kind)
{
	struct http1_model m = http1_model_read(head, n, kind);

	REQUIRE((h->phase == HTTP1_END) == m.ended);
	REQUIRE((h->phase == HTTP1_OTHER) == m.other);
	REQUIRE(h->len == m.len);
	if (!m.ended)
		return;
	REQUIRE(h->status == m.status);
	REQUIRE(kind == HTTP1_REQUEST ? h->path_hash == m.hash : !h->path_hash);
	REQUIRE(kind != HTTP1_RESPONSE || (h->status >= 100 && h->status <= 999));
	REQUIRE(h->flags == m.flags && h->body == m.body);
	REQUIRE(h->key_off == m.key_off && h->key_len == m.key_len);
}

/* One piece, eight bytes at a time wherever http1_pass takes them. */
static void feed_fast(struct http1 *h, const uint8_t *bytes, uint64_t len, enum http1_kind kind)
{
	int more = 1;

	for (uint64_t at = 0; at < len && more;) {
		uint32_t taken = 0;
		uint64_t word;

		if (at + 8 <= len) {
			memcpy(&word, bytes + at, 8);
			taken = http1_pass(h, word);
		}
		if (!taken)
			more = http1_byte(h, bytes[at], kind);
		at += taken ? taken : 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http1 carried = {0}, fast = {0};
	enum http1_kind kind;
	struct input in;
	size_t fed = 0;
	int more = 1;

	input_parse(&in, data, size);
	kind = (enum http1_kind)(in.what % 3);
	for (size_t i = 0; i < in.nr && more; i++) {
		const struct input_piece *p = &in.piece[i];
		struct http1 h = carried; /* all that may pass from one piece to the next */

		if (!p->bytes)
			continue;
		for (uint64_t at = 0; at < p->len && more; at++, fed++)
			more = http1_byte(&h, p->bytes[at], kind);
		feed_fast(&fast, p->bytes, p->len, kind);
		REQUIRE(!memcmp(&h, &fast, sizeof(h)));
		REQUIRE(more == (h.phase != HTTP1_END && h.phase != HTTP1_OTHER));
		REQUIRE(h.len == fed);
		REQUIRE(h.key_off + h.key_len <= h.len && h.key_len <= 64);
		REQUIRE(!h.key_len == !h.key_off);
		require_model(&h, (const char *)in.stream, fed, kind);
		carried = h;
	}
	return 0;
}

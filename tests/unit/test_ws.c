// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * ws.h. Each row is a stream and what it holds. A row is run whole, cut in two at every byte, and
 * byte by byte; all must agree with the row, with the slow model and on the state that is carried.
 */
#include "check.h"

#include <stdio.h>

#include "guard.h"
#include "random.h"

#include "types.h"

static struct guard guard;
static uint64_t piece_from, piece_end; /* what may be read */
static int fail_reads;                 /* the next so many reads fail */

static int ws_read(void *to, __u32 len, __u64 from)
{
	if (from < piece_from || from + len > piece_end || len > piece_end - piece_from)
		fail_msg("read of %u bytes at %+lld of a piece of %llu", len,
			 (long long)(from - piece_from),
			 (unsigned long long)(piece_end - piece_from));
	if (fail_reads) {
		fail_reads--;
		return -14;
	}
	memcpy(to, (const void *)(uintptr_t)from, len);
	return 0;
}

#include "ws_model.h"

#define MAX_STREAM (3 * 65536)

enum { R = RECEIVED, S = SENT };

struct row {
	const char *name;
	int direction;
	const char *head; /* hex */
	uint32_t fill;    /* then so many zero bytes */
	const char *tail; /* then this, hex */
	uint64_t header, payload, data, gap;
	uint32_t started, ended, text, binary, ping, pong, close;
	int told; /* close_told, with code */
	int code;
	int violation;
	uint64_t left; /* carried */
	int partial;
	int flags;
};

/* What a message of one unmasked text frame leaves in the tally. */
#define TEXT(n) .started = 1, .ended = 1, .text = 1, .payload = (n), .data = (n)
#define BINARY(n) .started = 1, .ended = 1, .binary = 1, .payload = (n), .data = (n)
#define BROKEN(why) .violation = VIOLATION_##why, .flags = WS_BROKEN
#define CLOSED(n, what) .close = 1, .told = 1, .code = (what), .payload = (n), .flags = WS_SAW_CLOSE
#define KEY "a1b2c3d4" /* masking key */

/* clang-format off */
static const struct row rows[] = {
	/* lengths, RFC 6455 5.2 */
	{"nothing is nothing", S, "", .header = 0},
	{"an empty text message", S, "8100", .header = 2, TEXT(0)},
	{"an empty binary message", S, "8200", .header = 2, BINARY(0)},
	{"an empty masked message", R, "8180" KEY, .header = 6, TEXT(0)},
	{"one byte", S, "8101", 1, .header = 2, TEXT(1)},
	{"125 bytes need no extended length", S, "827d", 125, .header = 2, BINARY(125)},
	{"126 bytes need two bytes more", S, "827e007e", 126, .header = 4, BINARY(126)},
	{"127 bytes", S, "827e007f", 127, .header = 4, BINARY(127)},
	{"65535 bytes still fit in two", S, "827effff", 65535, .header = 4, BINARY(65535)},
	{"65536 bytes need eight", S, "827f0000000000010000", 65536, .header = 10, BINARY(65536)},
	{"125 masked bytes", R, "81fd" KEY, 125, .header = 6, TEXT(125)},
	{"126 masked bytes", R, "81fe007e" KEY, 126, .header = 8, TEXT(126)},
	{"65535 masked bytes", R, "81feffff" KEY, 65535, .header = 8, TEXT(65535)},
	{"65536 masked bytes", R, "81ff0000000000010000" KEY, 65536, .header = 14, TEXT(65536)},
	{"every byte of an extended length counts", S, "827f0102030405060708", 5, .header = 10,
	 .payload = 5, .data = 5, .started = 1, .left = 0x0102030405060708 - 5,
	 .flags = WS_IN_FRAME | WS_IN_MESSAGE | WS_IS_BINARY},
	{"2^32 bytes are not 0", S, "827f0000000100000000", 1, .header = 10, .payload = 1, .data = 1,
	 .started = 1, .left = 0xffffffff, .flags = WS_IN_FRAME | WS_IN_MESSAGE | WS_IS_BINARY},
	{"2^63 - 1 bytes are announced", R, "82ff7fffffffffffffff" KEY, 9, .header = 14, .payload = 9,
	 .data = 9, .started = 1, .left = 0x7fffffffffffffff - 9,
	 .flags = WS_IN_FRAME | WS_IN_MESSAGE | WS_IS_BINARY},
	{"2^63 bytes are a breach", R, "82ff8000000000000000" KEY, 9, .header = 14, .gap = 9,
	 BROKEN(NON_MINIMAL_LENGTH)},
	{"2^64 - 1 bytes are a breach", S, "827fffffffffffffffff", 9, .header = 10, .gap = 9,
	 BROKEN(NON_MINIMAL_LENGTH)},

	/* streams that stop early */
	{"one byte of a header", S, "81", .header = 1, .partial = 1},
	{"a header without its masking key", R, "8185", .header = 2, .partial = 2},
	{"a header with half of its masking key", R, "8185a1b2", .header = 4, .partial = 4},
	{"a header without its extended length", S, "817e", .header = 2, .partial = 2},
	{"a header one byte short of 14", R, "81ff0000000000010000a1b2c3", .header = 13, .partial = 13},
	{"a message that lacks its last byte has not ended", S, "8105", 4, .header = 2, .payload = 4,
	 .data = 4, .started = 1, .left = 1, .flags = WS_IN_FRAME | WS_IN_MESSAGE},
	{"a message whose payload has not begun has started", S, "8105", .header = 2, .started = 1,
	 .left = 5, .flags = WS_IN_FRAME | WS_IN_MESSAGE},
	{"a ping that lacks its last byte is not counted", S, "8903", 2, .header = 2, .payload = 2,
	 .left = 1, .flags = WS_IN_FRAME},

	/* several frames */
	{"two messages", S, "8102", 2, "820100", .header = 4, .payload = 3, .data = 3, .started = 2,
	 .ended = 2, .text = 1, .binary = 1},
	{"two masked messages", R, "8182" KEY, 2, "8281" KEY "00", .header = 12, .payload = 3, .data = 3,
	 .started = 2, .ended = 2, .text = 1, .binary = 1},
	{"empty messages in a row", S, "81008100820081008100", .header = 10, .started = 5, .ended = 5,
	 .text = 4, .binary = 1},
	{"a message and the first byte of the next", S, "8102", 2, "82", .header = 3, .payload = 2,
	 .data = 2, .started = 1, .ended = 1, .text = 1, .partial = 1},
	{"a long message and a short one", S, "827f0000000000010000", 65536, "810100", .header = 12,
	 .payload = 65537, .data = 65537, .started = 2, .ended = 2, .text = 1, .binary = 1},
	{"a masked header after an unfinished-looking payload", R, "8185" KEY "8180a1b2c3" "8180" KEY,
	 .header = 12, .payload = 5, .data = 5, .started = 2, .ended = 2, .text = 2},

	/* fragments, 5.4 */
	{"a message of two fragments is one message", S, "0102aaaa" "8001aa", .header = 4, TEXT(3)},
	{"a binary message of three fragments", S, "0201aa" "0001aa" "8001aa", .header = 6, BINARY(3)},
	{"empty fragments", S, "0100" "0000" "8000", .header = 6, TEXT(0)},
	{"fragments without the last", S, "0201aa" "0001aa", .header = 4, .payload = 2, .data = 2,
	 .started = 1, .flags = WS_IN_MESSAGE | WS_IS_BINARY},
	{"a text message after a binary one of fragments is text", S, "0201aa" "8001aa" "8101aa",
	 .header = 6, .payload = 3, .data = 3, .started = 2, .ended = 2, .text = 1, .binary = 1},
	{"a ping between fragments is no message and ends none", S, "0101aa" "8901aa" "8001aa",
	 .header = 6, .payload = 3, .data = 2, .started = 1, .ended = 1, .text = 1, .ping = 1},
	{"ping, pong and empty ping between masked fragments", R,
	 "0181" KEY "aa" "8981" KEY "aa" "8a80" KEY "8980" KEY "8081" KEY "aa", .header = 30, .payload = 3,
	 .data = 2, .started = 1, .ended = 1, .text = 1, .ping = 2, .pong = 1},
	{"a close between fragments leaves the message open", S, "0101aa" "880203e8", .header = 4,
	 .payload = 3, .data = 1, .started = 1, .close = 1, .told = 1, .code = 1000,
	 .flags = WS_IN_MESSAGE | WS_SAW_CLOSE},

	/* control frames, 5.5 */
	{"a ping", S, "8900", .header = 2, .ping = 1},
	{"a pong", S, "8a00", .header = 2, .pong = 1},
	{"a masked ping of 125 bytes", R, "89fd" KEY, 125, .header = 6, .payload = 125, .ping = 1},
	{"a pong of 125 bytes", S, "8a7d", 125, .header = 2, .payload = 125, .pong = 1},
	{"a close without a code is 1005", S, "8800", .header = 2, CLOSED(0, CLOSE_NO_CODE)},
	{"a masked close without a code", R, "8880" KEY, .header = 6, CLOSED(0, CLOSE_NO_CODE)},
	{"a close of one byte has no code", S, "8801ff", .header = 2, CLOSED(1, CLOSE_NO_CODE)},
	{"a masked close of one byte has no code", R, "8881" KEY "ff", .header = 6,
	 CLOSED(1, CLOSE_NO_CODE)},
	{"a close with 1000", S, "880203e8", .header = 2, CLOSED(2, 1000)},
	{"a masked close with 4401", R, "8882a1b2c3d4b083", .header = 6, CLOSED(2, 4401)},
	{"a close with 1011 and a reason", S, "880603f36f6f7073", .header = 2, CLOSED(6, 1011)},
	{"a masked close with 4000 and a reason", R, "8886a1b2c3d4ae12acbbd1c1", .header = 6,
	 CLOSED(6, 4000)},
	{"a close of 125 bytes", S, "887d03e9", 123, .header = 2, CLOSED(125, 1001)},
	{"a masked close of 125 bytes", R, "88fda1b2c3d4a25b", 123, .header = 6, CLOSED(125, 1001)},
	{"code 999 is invalid", S, "880203e7", .header = 2, CLOSED(2, CLOSE_INVALID)},
	{"code 4999 is the last", S, "88021387", .header = 2, CLOSED(2, 4999)},
	{"code 5000 is invalid", S, "88021388", .header = 2, CLOSED(2, CLOSE_INVALID)},
	{"code 0 is invalid", S, "88020000", .header = 2, CLOSED(2, CLOSE_INVALID)},
	{"code 65535 is invalid", S, "8802ffff", .header = 2, CLOSED(2, CLOSE_INVALID)},
	{"of two close frames the first tells the code", S, "880203e8" "880203f3", .header = 4,
	 .payload = 4, .close = 2, .told = 1, .code = 1000, .flags = WS_SAW_CLOSE},
	{"a second close does not give the code that the first lacks", S, "8800" "880203f3", .header = 4,
	 .payload = 2, .close = 2, .told = 1, .code = CLOSE_NO_CODE, .flags = WS_SAW_CLOSE},
	{"an empty second close tells nothing", S, "880203e8" "8800", .header = 4, .payload = 2,
	 .close = 2, .told = 1, .code = 1000, .flags = WS_SAW_CLOSE},
	{"a message after a close is still counted", S, "880203e8" "8101aa", .header = 4, .payload = 3,
	 .data = 1, .started = 1, .ended = 1, .text = 1, .close = 1, .told = 1, .code = 1000,
	 .flags = WS_SAW_CLOSE},
	{"a close that lacks its second byte tells no code", S, "880203", .header = 2, .payload = 1,
	 .left = 1, .flags = WS_IN_FRAME | WS_SAW_CLOSE},
	{"a close tells its code before its reason has ended", S, "880503e96f", .header = 2, .payload = 3,
	 .told = 1, .code = 1001, .left = 2, .flags = WS_IN_FRAME | WS_SAW_CLOSE},
	{"a ping after a close frame's reason", S, "880303e86f" "8900", .header = 4, .payload = 3,
	 .close = 1, .told = 1, .code = 1000, .ping = 1, .flags = WS_SAW_CLOSE},

	/* breaches; all that follows is a gap */
	{"an unmasked client frame", R, "8102aabb", .header = 2, .gap = 2,
	 BROKEN(UNMASKED_CLIENT_FRAME)},
	{"an unmasked client close", R, "8800", .header = 2, BROKEN(UNMASKED_CLIENT_FRAME)},
	{"a masked server frame", S, "8182" KEY "aabb", .header = 6, .gap = 2,
	 BROKEN(MASKED_SERVER_FRAME)},
	{"reserved opcode 3", S, "8300", .header = 2, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 4", S, "8400", .header = 2, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 5", S, "8500", .header = 2, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 6", S, "8600", .header = 2, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 7", R, "8780" KEY, .header = 6, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 11", S, "8b00", .header = 2, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 12", S, "8c00", .header = 2, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 13", S, "8d00", .header = 2, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 14", S, "8e00", .header = 2, BROKEN(RESERVED_OPCODE)},
	{"reserved opcode 15", R, "8f80" KEY, .header = 6, BROKEN(RESERVED_OPCODE)},
	{"RSV1 without an extension", S, "c102", .header = 2, BROKEN(RESERVED_BITS)},
	{"RSV2", S, "a100", .header = 2, BROKEN(RESERVED_BITS)},
	{"RSV3", S, "9100", .header = 2, BROKEN(RESERVED_BITS)},
	{"RSV2 and RSV3 with RSV1", S, "f100", .header = 2, BROKEN(RESERVED_BITS)},
	{"RSV2 on a masked ping", R, "a980" KEY, .header = 6, BROKEN(RESERVED_BITS)},
	{"a fragmented close", S, "0800", .header = 2, BROKEN(FRAGMENTED_CONTROL)},
	{"a fragmented ping", R, "0980" KEY, .header = 6, BROKEN(FRAGMENTED_CONTROL)},
	{"a fragmented pong", S, "0a00", .header = 2, BROKEN(FRAGMENTED_CONTROL)},
	{"a ping of 126 bytes", S, "897e007e", 126, .header = 4, .gap = 126, BROKEN(LONG_CONTROL)},
	{"a pong of 65536 bytes", S, "8a7f0000000000010000", .header = 10, BROKEN(LONG_CONTROL)},
	{"a masked close of 126 bytes", R, "88fe007e" KEY, 126, .header = 8, .gap = 126,
	 BROKEN(LONG_CONTROL)},
	{"a ping whose two-byte length would fit in one", S, "897e0001", .header = 4,
	 BROKEN(LONG_CONTROL)},
	{"a continuation without a start", S, "8001aa", .header = 2, .gap = 1,
	 BROKEN(UNEXPECTED_CONTINUATION)},
	{"a continuation after a finished message", S, "8101aa" "8000", .header = 4, TEXT(1),
	 BROKEN(UNEXPECTED_CONTINUATION)},
	{"a continuation after a finished message of fragments", S, "0100" "8000" "0000", .header = 6,
	 TEXT(0), BROKEN(UNEXPECTED_CONTINUATION)},
	{"a new text message inside a fragmented one", S, "0101aa" "8101aa", .header = 4, .payload = 1,
	 .data = 1, .started = 1, .gap = 1, .violation = VIOLATION_UNFINISHED_MESSAGE,
	 .flags = WS_BROKEN | WS_IN_MESSAGE},
	{"a new binary message inside a fragmented text", S, "0100" "0200", .header = 4, .started = 1,
	 .violation = VIOLATION_UNFINISHED_MESSAGE, .flags = WS_BROKEN | WS_IN_MESSAGE},
	{"a new message after a ping inside a fragmented one", S, "0100" "8900" "8100", .header = 6,
	 .started = 1, .ping = 1, .violation = VIOLATION_UNFINISHED_MESSAGE,
	 .flags = WS_BROKEN | WS_IN_MESSAGE},
	{"125 bytes in a two-byte length", S, "817e007d", 125, .header = 4, .gap = 125,
	 BROKEN(NON_MINIMAL_LENGTH)},
	{"0 bytes in a two-byte length", R, "81fe0000" KEY, .header = 8, BROKEN(NON_MINIMAL_LENGTH)},
	{"65535 bytes in an eight-byte length", S, "817f000000000000ffff", 9, .header = 10, .gap = 9,
	 BROKEN(NON_MINIMAL_LENGTH)},
	{"0 bytes in an eight-byte length", R, "81ff0000000000000000" KEY, .header = 14,
	 BROKEN(NON_MINIMAL_LENGTH)},
	{"a non-minimal continuation", S, "0100" "807e0001aa", .header = 6, .started = 1, .gap = 1,
	 .violation = VIOLATION_NON_MINIMAL_LENGTH, .flags = WS_BROKEN | WS_IN_MESSAGE},
	{"what passed before a breach stays counted", S, "8101aa" "8900" "880203e8" "83" "00" "8101aa",
	 .header = 8, .payload = 3, .data = 1, .started = 1, .ended = 1, .text = 1, .ping = 1, .close = 1,
	 .told = 1, .code = 1000, .gap = 3, .violation = VIOLATION_RESERVED_OPCODE,
	 .flags = WS_BROKEN | WS_SAW_CLOSE},
	{"frames after a breach are not counted", S, "8300" "8101aa" "880203e8" "8900", .header = 2,
	 .gap = 9, BROKEN(RESERVED_OPCODE)},
	{"only the first breach is told", S, "8300" "a100", .header = 2, .gap = 2,
	 BROKEN(RESERVED_OPCODE)},
	{"a breach is told when its header is complete, not before", R, "837f0000000000", .header = 7,
	 .partial = 7},
};
/* clang-format on */

static size_t hex(uint8_t *to, const char *s)
{
	size_t n = 0;
	unsigned byte;

	for (; s && *s; s += 2) {
		assert_int_equal(sscanf(s, "%2x", &byte), 1);
		to[n++] = (uint8_t)byte;
	}
	return n;
}

struct fed {
	struct ws_stream state;
	struct ws_tally sum;
	uint8_t reason[128]; /* joined and unmasked as user space does it */
	size_t reason_len;
};

/* One contiguous piece = one read or write of the monitored process. */
static void feed(struct fed *f, const uint8_t *bytes, size_t len, int direction)
{
	uint8_t scratch[WS_SCRATCH];
	const uint8_t *at = bytes;
	size_t taken = 0;

	if (len <= 4096)
		at = guard_copy(&guard, bytes, len);
	memset(scratch, 0xee, sizeof(scratch)); /* what another connection may have left there */
	while (taken < len) {
		struct ws_tally t = {0};
		uint64_t step;

		piece_from = (uintptr_t)at;
		piece_end = piece_from + len;
		step = ws_step(&f->state, &t, scratch, piece_from + taken, len - taken,
			       (uint8_t)direction);
		if (!step || step > len - taken)
			fail_msg("a step took %llu of %zu", (unsigned long long)step, len - taken);
		assert_int_equal(t.header + t.payload + t.gap, step);
		if (t.close_len) {
			assert_true(t.close_from >= piece_from + taken);
			assert_true(t.close_from + t.close_len <= piece_from + taken + step);
			assert_int_equal(t.close_offset, f->reason_len);
			for (int i = 0; i < t.close_len; i++)
				f->reason[f->reason_len++] = *(uint8_t *)(uintptr_t)(t.close_from +
										     i) ^
							     t.close_mask[(t.close_offset + i) & 3];
		}
		ws_tally_add(&f->sum, &t);
		taken += step;
	}
}

static void check_row(const struct row *r, const struct fed *f, const char *how, size_t cut)
{
	const struct ws_tally *t = &f->sum;

#define SAME(what, is, want)                                                                       \
	do {                                                                                       \
		if ((unsigned long long)(is) != (unsigned long long)(want))                        \
			fail_msg("%s at %zu: " what " is %llu, not %llu", how, cut,                \
				 (unsigned long long)(is), (unsigned long long)(want));            \
	} while (0)
	SAME("header", t->header, r->header);
	SAME("payload", t->payload, r->payload);
	SAME("data", t->data, r->data);
	SAME("gap", t->gap, r->gap);
	SAME("started", t->started, r->started);
	SAME("ended", t->ended, r->ended);
	SAME("text", t->text, r->text);
	SAME("binary", t->binary, r->binary);
	SAME("ping", t->ping, r->ping);
	SAME("pong", t->pong, r->pong);
	SAME("close", t->close, r->close);
	SAME("times a code was told", t->close_told, r->told);
	SAME("close code", t->close_code, r->code);
	SAME("violation", t->violation, r->violation);
	SAME("unread", t->unread, 0);
	SAME("payload_left", f->state.payload_left, r->left);
	SAME("hdr_len", f->state.hdr_len, r->partial);
	SAME("flags", f->state.flags, r->flags);
}

static void check_model(const struct ws_model *m, const struct fed *f)
{
	const struct ws_tally *t = &f->sum;

	assert_int_equal(t->header, m->header);
	assert_int_equal(t->payload, m->payload);
	assert_int_equal(t->data, m->data);
	assert_int_equal(t->gap, m->gap);
	assert_int_equal(t->started, m->started);
	assert_int_equal(t->ended, m->ended);
	assert_int_equal(t->text, m->text);
	assert_int_equal(t->binary, m->binary);
	assert_int_equal(t->ping, m->ping);
	assert_int_equal(t->pong, m->pong);
	assert_int_equal(t->close, m->close);
	assert_int_equal(t->close_told, m->told);
	assert_int_equal(t->close_code, m->code);
	assert_int_equal(t->violation, m->violation);
	assert_int_equal(f->state.payload_left, m->left);
	assert_int_equal(f->reason_len, m->reason_len);
	assert_memory_equal(f->reason, m->reason, m->reason_len);
}

static void row_is_read_the_same_however_it_is_cut(void **state)
{
	const struct row *r = *state;
	uint8_t *bytes = malloc(MAX_STREAM);
	size_t len = hex(bytes, r->head), tail;
	struct fed whole = {0}, bits = {0};

	memset(bytes + len, 0, r->fill);
	len += r->fill;
	tail = hex(bytes + len, r->tail);
	len += tail;

	feed(&whole, bytes, len, r->direction);
	check_row(r, &whole, "whole", 0);
	struct ws_model model = ws_model_read(bytes, len, r->direction, false);
	check_model(&model, &whole);

	for (size_t i = 0; i < len; i++)
		feed(&bits, bytes + i, 1, r->direction);
	check_row(r, &bits, "byte by byte", 0);
	check_model(&model, &bits);
	assert_true(ws_same(&whole.state, &bits.state));

	for (size_t cut = 1; cut < len; cut++) {
		struct fed two = {0};

		if (cut == 300 && len > 1000)
			cut = len - 300; /* nothing but payload in between */
		feed(&two, bytes, cut, r->direction);
		feed(&two, bytes + cut, len - cut, r->direction);
		check_row(r, &two, "cut", cut);
		assert_int_equal(two.reason_len, whole.reason_len);
		assert_memory_equal(two.reason, whole.reason, whole.reason_len);
		assert_true(ws_same(&whole.state, &two.state));
	}
	free(bytes);
}

/* A random frame, mostly in order; returns its length. */
static size_t random_frame(uint8_t *to, uint64_t *seed, int direction, bool *in_message)
{
	static const uint8_t controls[] = {0x88, 0x89, 0x8a};
	static const uint16_t lens[] = {0, 0, 1, 2, 3, 5, 16, 124, 125, 126, 127, 300};
	uint64_t len = lens[random_below(seed, COUNT(lens))];
	bool masked = direction == RECEIVED;
	size_t n = 2;

	if (random_below(seed, 4) == 0) {
		to[0] = controls[random_below(seed, 3)];
		if (len > 125)
			len = 125;
	} else {
		bool fin = random_below(seed, 3) != 0;

		to[0] = *in_message ? 0 : (uint8_t)(1 + random_below(seed, 2));
		to[0] |= fin ? 0x80 : 0;
		*in_message = !fin;
	}
	to[1] = (uint8_t)(len < 126 ? len : 126);
	if (len >= 126) {
		to[2] = (uint8_t)(len >> 8);
		to[3] = (uint8_t)len;
		n = 4;
	}
	if (masked) {
		to[1] |= 0x80;
		for (int i = 0; i < 4; i++)
			to[n++] = (uint8_t)random_next(seed);
	}
	for (uint64_t i = 0; i < len; i++)
		to[n++] = (uint8_t)random_next(seed);
	if (random_below(seed, 40) == 0) /* and now and then something is wrong */
		to[random_below(seed, 2)] ^= (uint8_t)(1u << random_below(seed, 8));
	return n;
}

static void random_streams_in_random_pieces(void **state)
{
	uint64_t seed = 42;
	uint8_t *bytes = malloc(MAX_STREAM);

	(void)state;
	for (int round = 0; round < 20000; round++) {
		int direction = (int)random_below(&seed, 2);
		bool in_message = false;
		size_t len = 0, at = 0;
		struct fed cut = {0};
		struct ws_model m;

		for (uint64_t n = random_below(&seed, 12); n; n--)
			len += random_frame(bytes + len, &seed, direction, &in_message);
		len -= random_below(&seed, 3) % (len + 1);
		cut.state.flags = round & 1 ? WS_EXTENDED : 0;
		m = ws_model_read(bytes, len, direction, round & 1);
		while (at < len) {
			size_t n = 1 + random_below(&seed, random_below(&seed, 2) ? 8 : 400);

			if (n > len - at)
				n = len - at;
			feed(&cut, bytes + at, n, direction);
			at += n;
		}
		check_model(&m, &cut);
	}
	free(bytes);
}

static void all_first_two_bytes(void **state)
{
	(void)state;
	for (int round = 0; round < 4; round++) {
		int fragment = round & 1, agreed = round >> 1;

		for (unsigned v = 0; v < 0x20000; v++) {
			uint8_t bytes[32] = {0x01, 0x80, 0, 0, 0, 0};
			int direction = v >> 16;
			size_t at = fragment ? 2 + 4 * (direction == RECEIVED) : 0;
			struct fed f = {0};
			struct ws_model m;

			bytes[1] = direction == RECEIVED ? 0x80 : 0;
			bytes[at] = (uint8_t)(v >> 8);
			bytes[at + 1] = (uint8_t)v;
			bytes[at + 5] = 1; /* a length that is minimal for eight bytes */
			f.state.flags = agreed ? WS_EXTENDED : 0;
			m = ws_model_read(bytes, at + 16, direction, agreed);
			feed(&f, bytes, at + 16, direction);
			check_model(&m, &f);
		}
	}
}

/* A stream whose state is what it is after these bytes. */
static struct fed after(const char *bytes_hex, int direction)
{
	uint8_t bytes[512];
	size_t len = hex(bytes, bytes_hex);
	struct fed f = {0};

	feed(&f, bytes, len, direction);
	memset(&f.sum, 0, sizeof(f.sum));
	return f;
}

static void feed_hex(struct fed *f, const char *bytes_hex, int direction)
{
	uint8_t bytes[512];

	feed(f, bytes, hex(bytes, bytes_hex), direction);
}

static void gap_in_payload_keeps_step(void **state)
{
	struct fed f = after("8105aa", S);

	(void)state;
	ws_gap(&f.state, &f.sum, 3);
	assert_int_equal(f.sum.gap, 3);
	assert_int_equal(f.sum.payload, 0);
	assert_int_equal(f.sum.data, 3);
	assert_int_equal(f.state.payload_left, 1);
	feed_hex(&f, "aa8900", S);
	assert_int_equal(f.sum.ended, 1);
	assert_int_equal(f.sum.ping, 1);
	assert_int_equal(f.sum.header + f.sum.payload + f.sum.gap, 3 + 3);
}

static void gap_to_the_end_of_payload_ends_the_message(void **state)
{
	struct fed f = after("8105aa", S);

	(void)state;
	ws_gap(&f.state, &f.sum, 4);
	assert_int_equal(f.sum.ended, 1);
	assert_int_equal(f.sum.text, 1);
	assert_int_equal(f.state.flags, 0);
}

static void gap_in_a_ping_is_no_data(void **state)
{
	struct fed f = after("8905aa", S);

	(void)state;
	ws_gap(&f.state, &f.sum, 4);
	assert_int_equal(f.sum.ping, 1);
	assert_int_equal(f.sum.data, 0);
}

static void gap_beyond_payload_loses_the_boundary(void **state)
{
	struct fed f = after("8105aa", S);

	(void)state;
	ws_gap(&f.state, &f.sum, 5);
	assert_true(f.state.flags & WS_UNKNOWN);
	assert_int_equal(f.sum.ended, 0);
	assert_false(ws_inside_payload(&f.state, 1));
	feed_hex(&f, "8101aa", S);
	assert_int_equal(f.sum.ended, 0);
	assert_int_equal(f.sum.gap, 5 + 3);
}

static void gap_between_frames_loses_the_boundary(void **state)
{
	struct fed f = after("8101aa", S);

	(void)state;
	ws_gap(&f.state, &f.sum, 1);
	assert_int_equal(f.state.flags, WS_UNKNOWN);
	assert_int_equal(f.sum.gap, 1);
}

static void gap_in_a_header_loses_the_boundary(void **state)
{
	struct fed f = after("817e00", S);

	(void)state;
	ws_gap(&f.state, &f.sum, 1);
	assert_int_equal(f.state.flags, WS_UNKNOWN);
}

static void gap_in_a_close_loses_the_boundary(void **state)
{
	struct fed f = after("880403", S);

	(void)state;
	assert_false(ws_inside_payload(&f.state, 1));
	ws_gap(&f.state, &f.sum, 1);
	assert_true(f.state.flags & WS_UNKNOWN);
	assert_int_equal(f.sum.close_told, 0);
	assert_false(ws_inside_payload(&f.state, 1));
	feed_hex(&f, "e8", S);
	assert_int_equal(f.sum.close_told, 0);
}

static void gap_after_a_breach_is_counted_and_no_more(void **state)
{
	struct fed f = after("8300", S);

	(void)state;
	ws_gap(&f.state, &f.sum, 7);
	assert_int_equal(f.sum.gap, 7);
	assert_int_equal(f.state.flags, WS_BROKEN);
}

static void gap_of_nothing_changes_nothing(void **state)
{
	static const char *const streams[] = {"", "81", "8101aa", "8102aa", "880403", "8300"};

	(void)state;
	for (size_t i = 0; i < COUNT(streams); i++) {
		struct fed f = after(streams[i], S);
		struct ws_stream before = f.state;

		ws_gap(&f.state, &f.sum, 0);
		assert_memory_equal(&f.state, &before, sizeof(before));
		assert_int_equal(f.sum.gap, 0);
	}
}

static void gap_of_2_62_bytes(void **state)
{
	struct fed f = after("827f4000000000000001aa", S);

	(void)state;
	ws_gap(&f.state, &f.sum, 1ull << 62);
	assert_int_equal(f.sum.ended, 1);
	assert_int_equal(f.sum.gap, 1ull << 62);
}

static void inside_payload_says_what_may_be_skipped(void **state)
{
	struct fed f = after("8105aa", S);

	(void)state;
	assert_true(ws_inside_payload(&f.state, 1));
	assert_true(ws_inside_payload(&f.state, 4));
	assert_false(ws_inside_payload(&f.state, 5));
	f = after("8101aa", S);
	assert_false(ws_inside_payload(&f.state, 1));
	f = after("81", S);
	assert_false(ws_inside_payload(&f.state, 1));
	f = after("8300", S);
	assert_false(ws_inside_payload(&f.state, 1));
	f = after("8905aa", S);
	assert_true(ws_inside_payload(&f.state, 4));
	f.state.flags |=
		WS_UNKNOWN; /* as the owner does when it cannot tell where an event begins */
	assert_false(ws_inside_payload(&f.state, 4));
}

static void failed_read_of_a_header(void **state)
{
	struct fed f = {0};

	(void)state;
	fail_reads = 1;
	feed_hex(&f, "8101aa", S);
	assert_int_equal(f.sum.unread, 1);
	assert_int_equal(f.state.flags, WS_UNKNOWN);
	assert_int_equal(f.sum.gap, 3);
	assert_int_equal(f.sum.started, 0);
}

static void failed_read_of_a_close_code(void **state)
{
	struct fed f = after("8804", S);

	(void)state;
	fail_reads = 1;
	feed_hex(&f, "03e86f6f8900", S);
	assert_int_equal(f.sum.unread, 1);
	assert_int_equal(f.sum.close_told, 0);
	assert_int_equal(f.sum.close, 1);
	assert_int_equal(f.sum.ping, 1); /* the frame's length is known all the same */
	assert_int_equal(f.reason_len, 0);
}

/* The first byte could not be read; the second alone is no code. */
static void failed_read_of_half_a_close_code(void **state)
{
	struct fed f = after("8101aa8804", S);

	(void)state;
	fail_reads = 1;
	feed_hex(&f, "03", S);
	feed_hex(&f, "e8", S);
	feed_hex(&f, "6f6f", S);
	assert_int_equal(f.sum.unread, 1);
	assert_int_equal(f.sum.close_told, 0);
	assert_int_equal(f.sum.close, 1);
}

/* Behind the header and 14 bytes for the read ahead lies a page that cannot be read. */
static void payload_is_never_read(void **state)
{
	uint8_t bytes[24] = {0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0};
	uint8_t scratch[WS_SCRATCH] = {0};
	struct ws_stream s = {0};
	struct ws_tally t = {0};

	(void)state;
	piece_from = (uintptr_t)guard_copy(&guard, bytes, sizeof(bytes));
	piece_end = piece_from + sizeof(bytes);
	assert_int_equal(ws_step(&s, &t, scratch, piece_from, 10 + 65536, SENT), 10 + 65536);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.binary, 1);
	s = (struct ws_stream){
		.payload_left = 1ull << 40, .hdr = {0x82, 127}, .flags = WS_IN_FRAME};
	assert_int_equal(ws_step(&s, &t, scratch, piece_end, 1ull << 40, SENT), 1ull << 40);
	assert_int_equal(t.ended, 2);
}

static void close_payload_is_told_where_it_is(void **state)
{
	uint8_t bytes[] = {0x88, 0x84, 1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t scratch[WS_SCRATCH] = {0};
	struct ws_stream s = {0};
	struct ws_tally t = {0};

	(void)state;
	piece_from = (uintptr_t)guard_copy(&guard, bytes, sizeof(bytes));
	piece_end = piece_from + sizeof(bytes);
	assert_int_equal(ws_step(&s, &t, scratch, piece_from, 9, RECEIVED), 9);
	assert_int_equal(t.close_from, piece_from + 6);
	assert_int_equal(t.close_len, 3);
	assert_int_equal(t.close_offset, 0);
	assert_memory_equal(t.close_mask, bytes + 2, 4);
	assert_int_equal(ws_step(&s, &t, scratch, piece_from + 9, 1, RECEIVED), 1);
	assert_int_equal(t.close_from, piece_from + 9);
	assert_int_equal(t.close_len, 1);
	assert_int_equal(t.close_offset, 3);
}

static void close_payload_of_an_earlier_step_is_forgotten(void **state)
{
	uint8_t bytes[] = {0x88, 0x02, 0x03, 0xe8, 0x89, 0x00};
	uint8_t scratch[WS_SCRATCH] = {0};
	struct ws_stream s = {0};
	struct ws_tally t = {0};

	(void)state;
	piece_from = (uintptr_t)guard_copy(&guard, bytes, sizeof(bytes));
	piece_end = piece_from + sizeof(bytes);
	assert_int_equal(ws_step(&s, &t, scratch, piece_from, 6, SENT), 4);
	assert_int_equal(t.close_len, 2);
	assert_int_equal(ws_step(&s, &t, scratch, piece_from + 4, 2, SENT), 2);
	assert_int_equal(t.close_len, 0);
	assert_int_equal(t.close_told, 1); /* the tally of the event keeps the code */
	assert_int_equal(t.close_code, 1000);
}

static void header_lengths(void **state)
{
	(void)state;
	for (unsigned b = 0; b < 256; b++) {
		unsigned len = b & 127, want = len == 127 ? 10 : len == 126 ? 4 : 2;

		assert_int_equal(ws_header_len((uint8_t)b), want + (b & 128 ? 4 : 0));
	}
}

static void rsv1_with_an_extension(void **state)
{
	static const __u8 compressed[] = {0xc1, 0x02, 0xaa, 0xbb};
	struct ws_stream stream = {.flags = WS_EXTENDED};
	struct ws_tally tally = {0};
	__u8 scratch[WS_SCRATCH];

	(void)state;
	piece_from = (uintptr_t)compressed;
	piece_end = piece_from + sizeof(compressed);
	assert_int_equal(ws_step(&stream, &tally, scratch, (__u64)(uintptr_t)compressed,
				 sizeof(compressed), SENT),
			 sizeof(compressed));
	assert_int_equal(tally.violation, VIOLATION_NONE);
	assert_int_equal(tally.text, 1);
	assert_int_equal(stream.flags, WS_EXTENDED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("RSV1 is no breach once an extension was agreed on",
			 rsv1_with_an_extension),
		SENTENCE("all first two bytes agree with the model, in and out of a fragmented "
			 "message",
			 all_first_two_bytes),
		SENTENCE("random streams in random pieces agree with the model",
			 random_streams_in_random_pieces),
		SENTENCE("a gap inside a payload keeps the stream in step",
			 gap_in_payload_keeps_step),
		SENTENCE("a gap to the end of a payload ends the message",
			 gap_to_the_end_of_payload_ends_the_message),
		SENTENCE("a gap inside a ping is no data", gap_in_a_ping_is_no_data),
		SENTENCE("a gap beyond a payload loses the frame boundary",
			 gap_beyond_payload_loses_the_boundary),
		SENTENCE("a gap between frames loses the frame boundary",
			 gap_between_frames_loses_the_boundary),
		SENTENCE("a gap inside a header loses the frame boundary",
			 gap_in_a_header_loses_the_boundary),
		SENTENCE("a gap inside a close loses the frame boundary and tells no code",
			 gap_in_a_close_loses_the_boundary),
		SENTENCE("a gap after a breach is counted and no more",
			 gap_after_a_breach_is_counted_and_no_more),
		SENTENCE("a gap of no bytes changes nothing", gap_of_nothing_changes_nothing),
		SENTENCE("a gap of 2^62 bytes ends a message of 2^62 and one", gap_of_2_62_bytes),
		SENTENCE("inside a payload is said only where bytes may be skipped",
			 inside_payload_says_what_may_be_skipped),
		SENTENCE("a header that cannot be read loses the frame boundary",
			 failed_read_of_a_header),
		SENTENCE("a close code that cannot be read is not told",
			 failed_read_of_a_close_code),
		SENTENCE("half a close code that cannot be read is not made up",
			 failed_read_of_half_a_close_code),
		SENTENCE("payload is never read", payload_is_never_read),
		SENTENCE("a close payload's address, place and mask are told in each step",
			 close_payload_is_told_where_it_is),
		SENTENCE("a step without close payload says so, and the code stays told",
			 close_payload_of_an_earlier_step_is_forgotten),
		SENTENCE("a header's length follows from its second byte", header_lengths),
	};

	guard = guard_new(4096);
	return check_run("ws", row_is_read_the_same_however_it_is_cut, rows, sizeof(rows[0]),
			 COUNT(rows), tests, COUNT(tests));
}

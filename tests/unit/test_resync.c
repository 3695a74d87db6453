// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * resync.h: what proves a frame boundary, how soon, and what never does. Each story feeds events, one
 * by one, to a stream that nobody saw begin; every byte of it is accounted for at every moment.
 */
#include "check.h"

#include <stdio.h>

#include "guard.h"
#include "random.h"

#include "types.h"

static int fail_reads; /* the next so many reads fail */

static int ws_read(void *to, __u32 len, __u64 from)
{
	if (fail_reads) {
		fail_reads--;
		return -14;
	}
	memcpy(to, (const void *)(uintptr_t)from, len);
	return 0;
}

#include "resync.h"

enum { R = RECEIVED, S = SENT };
#define FIN 0x80
#define RSV1 0x40
#define BYTES_MAX 300000

static struct guard guard;
static uint64_t seed = 7;

struct story {
	struct ws_stream s;
	struct resync_held held;
	struct ws_tally t;
	uint64_t bytes;
	unsigned events;
	unsigned proven; /* number of the event that completed the proof, 0 = none */
	uint8_t direction, need;
};

static struct story story_new(uint8_t direction, uint8_t need)
{
	return (struct story){.direction = direction, .need = need, .s.flags = WS_UNKNOWN};
}

static uint64_t story_accounted(const struct story *y)
{
	return y->held.gap + y->held.header + y->held.data + y->held.control + y->t.header +
	       y->t.payload + y->t.gap;
}

static void event(struct story *y, const uint8_t *bytes, size_t len)
{
	uint8_t *at = guard_copy(&guard, bytes, len);
	uint8_t scratch[WS_SCRATCH];
	size_t taken = 0;

	y->events++;
	y->bytes += len;
	while (taken < len) {
		struct resync_piece piece = {
			.from = (uintptr_t)at + taken,
			.len = len - taken,
			.left = len - taken,
			.total = len,
			.direction = y->direction,
			.need = y->need,
		};
		struct ws_tally t = {0};

		memset(scratch, 0xee, sizeof(scratch));
		if (y->s.flags & WS_UNKNOWN) {
			taken += resync_step(&y->s, &y->held, &y->t, scratch, &piece);
			if (!y->proven && !(y->s.flags & WS_UNKNOWN))
				y->proven = y->events;
		} else {
			taken += ws_step(&y->s, &t, scratch, piece.from, piece.len, y->direction);
			y->t.header += t.header;
			y->t.payload += t.payload;
			y->t.data += t.data;
			y->t.gap += t.gap;
			y->t.started += t.started;
			y->t.ended += t.ended;
			y->t.text += t.text;
			y->t.binary += t.binary;
			y->t.violation = t.violation;
		}
	}
	assert_int_equal(story_accounted(y), y->bytes);
}

static size_t frame(uint8_t *to, uint8_t first, uint32_t len, uint8_t direction)
{
	size_t at = 2;

	to[0] = first;
	to[1] = len < 126 ? len : len < 65536 ? 126 : 127;
	if (len > 125) {
		int bytes = len < 65536 ? 2 : 8;

		for (int i = 0; i < bytes; i++)
			to[at++] = (uint8_t)((uint64_t)len >> 8 * (bytes - 1 - i));
	}
	if (direction == R) {
		to[1] |= 0x80;
		for (int i = 0; i < 4; i++)
			to[at++] = (uint8_t)random_next(&seed);
	}
	for (uint32_t i = 0; i < len; i++)
		to[at++] = (uint8_t)random_next(&seed);
	return at;
}

/* One event that is one frame. */
static void frame_event(struct story *y, uint8_t first, uint32_t len)
{
	static uint8_t bytes[BYTES_MAX];

	event(y, bytes, frame(bytes, first, len, y->direction));
}

/* n frames, cut into events of `cut` bytes. */
static void frames_cut(struct story *y, unsigned n, uint32_t len, size_t cut)
{
	static uint8_t bytes[BYTES_MAX];
	size_t all = 0;

	for (unsigned i = 0; i < n; i++)
		all += frame(bytes + all, FIN | WS_BINARY, len, y->direction);
	for (size_t at = 0; at < all; at += cut)
		event(y, bytes + at, all - at < cut ? all - at : cut);
}

/* ------------------------------------------------------------------------------------------ */

/* After how many messages in lock step, one frame and event each, a boundary is proven. */
struct row {
	const char *name;
	uint8_t direction, need;
	uint8_t first;
	uint32_t len;
	unsigned proven;
};

/* clang-format off */
static const struct row rows[] = {
	{"messages from a client: the third proves it", R, RESYNC_UNKNOWN_PORT, FIN | WS_TEXT, 100, 3},
	{"messages from a server: the third proves it", S, RESYNC_UNKNOWN_PORT, FIN | WS_TEXT, 100, 3},
	{"binary messages are as good", S, RESYNC_UNKNOWN_PORT, FIN | WS_BINARY, 100, 3},
	{"compressed messages are as good", R, RESYNC_UNKNOWN_PORT, FIN | RSV1 | WS_TEXT, 100, 3},
	{"messages of one byte need a fourth", R, RESYNC_UNKNOWN_PORT, FIN | WS_TEXT, 1, 4},
	{"a server's messages of one byte need a fifth", S, RESYNC_UNKNOWN_PORT, FIN | WS_TEXT, 1, 5},
	{"medium messages", R, RESYNC_UNKNOWN_PORT, FIN | WS_BINARY, 5000, 3},
	{"large messages", S, RESYNC_UNKNOWN_PORT, FIN | WS_BINARY, 70000, 3},
	{"a server's pings prove it when they carry something", S, RESYNC_UNKNOWN_PORT, FIN | WS_PING, 4, 4},
	{"… and nothing when they are empty", S, RESYNC_UNKNOWN_PORT, FIN | WS_PING, 0, 0},
	{"a client's empty pongs prove it by their keys", R, RESYNC_UNKNOWN_PORT, FIN | WS_PONG, 0, 4},
	{"on a port known for WebSockets two messages do", R, RESYNC_KNOWN_PORT, FIN | WS_TEXT, 100, 2},
	{"… if they are not small", R, RESYNC_KNOWN_PORT, FIN | WS_TEXT, 5, 3},
	{"unmasked client frames prove nothing", R, RESYNC_UNKNOWN_PORT, 0, 0, 0},
};
/* clang-format on */

static void row_is_proven_after_so_many(void **state)
{
	const struct row *r = *state;
	struct story y = story_new(r->direction, r->need);

	if (!r->first) { /* the last row */
		struct story other = story_new(S, r->need);

		y.direction = R;
		for (int i = 0; i < 20; i++) {
			uint8_t bytes[BYTES_MAX / 100];

			event(&y, bytes, frame(bytes, FIN | WS_TEXT, 100, S));
			event(&other, bytes, frame(bytes, FIN | WS_TEXT, 100, R));
		}
		assert_int_equal(y.proven + other.proven, 0);
		return;
	}
	for (int i = 0; i < 8; i++)
		frame_event(&y, r->first, r->len);
	assert_int_equal(y.proven, r->proven);
	assert_int_equal(y.held.gap, 0);
	if ((r->first & 15) < WS_CLOSE) {
		assert_int_equal(y.held.text + y.held.binary + y.t.ended, 8);
		assert_int_equal(y.held.data + y.t.data, 8ull * r->len);
	}
	assert_int_equal(y.t.violation, VIOLATION_NONE);
}

/* ------------------------------------------------------------------------------------------ */

static void header_and_payload_apart(void **state)
{
	(void)state;
	for (uint8_t d = 0; d < NR_DIRECTIONS; d++) {
		struct story y = story_new(d, RESYNC_UNKNOWN_PORT);
		uint8_t bytes[200];
		unsigned messages = 0;

		while (!y.proven) {
			size_t len = frame(bytes, FIN | WS_TEXT, 50, d);
			size_t head = ws_header_len(bytes[1]);

			messages++;
			for (size_t at = 0; at < head && d == R; at += 2)
				event(&y, bytes + at, 2); /* first two bytes, then the key */
			if (d == S)
				event(&y, bytes, head);
			event(&y, bytes + head, len - head);
		}
		assert_in_range(messages, 3, 4);
		assert_int_equal(y.held.gap, 0);
	}
}

static void byte_by_byte(void **state)
{
	(void)state;
	struct story y = story_new(R, RESYNC_UNKNOWN_PORT);

	frames_cut(&y, 6, 20, 1);
	assert_int_not_equal(y.proven, 0);
	assert_in_range(y.held.binary, 4, 5);
	assert_int_equal(y.held.binary + y.t.ended, 6);
}

static void messages_longer_than_a_read(void **state)
{
	(void)state;
	struct story y = story_new(R, RESYNC_UNKNOWN_PORT);

	frames_cut(&y, 1, 70000, 16384);
	frames_cut(&y, 1, 70000, 16384);
	assert_int_equal(y.proven, 0);
	frames_cut(&y, 1, 70000, 16384);
	assert_int_not_equal(y.proven, 0);
	assert_int_equal(y.held.gap, 0);
	assert_int_equal(y.held.binary + y.t.ended, 3);
}

static void pipelined_messages_need_five(void **state)
{
	(void)state;
	struct story y = story_new(R, RESYNC_UNKNOWN_PORT);

	/* cuts that meet no boundary but the first */
	frames_cut(&y, 5, 997, 4096);
	assert_int_not_equal(y.proven, 0);
	assert_int_equal(y.held.binary, 4);
	assert_int_equal(y.held.binary + y.t.ended, 5);
}

static void joined_inside_a_message(void **state)
{
	(void)state;
	struct story y = story_new(S, RESYNC_UNKNOWN_PORT);
	uint8_t rest[5000];

	for (size_t i = 0; i < sizeof(rest); i++)
		rest[i] = 'a' + i % 26;
	event(&y, rest, sizeof(rest));
	for (int i = 0; i < 3; i++)
		frame_event(&y, FIN | WS_TEXT, 100);
	assert_int_equal(y.proven, 4);
	assert_int_equal(y.held.gap, sizeof(rest));
	assert_int_equal(y.held.text + y.t.ended, 3);
}

static void fragments_are_followed(void **state)
{
	(void)state;
	struct story y = story_new(R, RESYNC_UNKNOWN_PORT);

	frame_event(&y, WS_CONTINUATION, 100); /* of a message whose beginning nobody saw */
	frame_event(&y, FIN | WS_CONTINUATION, 100);
	frame_event(&y, WS_TEXT, 100);
	frame_event(&y, FIN | WS_PING, 10);
	frame_event(&y, FIN | WS_CONTINUATION, 100);
	frame_event(&y, FIN | WS_TEXT, 100);
	assert_int_equal(y.proven, 5);
	assert_int_equal(y.held.text + y.t.ended, 2);
	assert_int_equal(y.held.ping, 1);
	assert_int_equal(y.held.gap, 2 * 106);
}

/* An unproven chain that began inside a payload gives way to an event that is one whole frame. */
static void wrong_beginning_is_corrected(void **state)
{
	(void)state;
	struct story y = story_new(S, RESYNC_UNKNOWN_PORT);
	static const uint8_t like_a_header[] = {0x82, 0x7e, 0xff, 0xff, 1, 2, 3};

	event(&y, like_a_header, sizeof(like_a_header));
	assert_int_equal(y.s.chain.headers, 1);
	for (int i = 0; i < 3; i++)
		frame_event(&y, FIN | WS_TEXT, 100);
	assert_int_equal(y.proven, 4);
	assert_int_equal(y.held.gap, sizeof(like_a_header));
}

static void gap_in_a_payload_is_followed(void **state)
{
	(void)state;
	struct story y = story_new(R, RESYNC_UNKNOWN_PORT);
	uint8_t bytes[2000];

	for (int i = 0; i < 5 && !y.proven; i++) {
		size_t len = frame(bytes, FIN | WS_BINARY, 1000, R);

		event(&y, bytes, 100);
		if (y.s.flags & WS_UNKNOWN)
			resync_gap(&y.s, &y.held, len - 100);
		else
			ws_gap(&y.s, &y.t, len - 100);
		y.bytes += len - 100;
	}
	assert_int_equal(y.proven, 5);
	assert_int_equal(y.held.skipped, 4 * (1008 - 100));
	assert_int_equal(y.held.binary, 4);
}

static void gap_between_frames_begins_anew(void **state)
{
	(void)state;
	struct story y = story_new(R, RESYNC_UNKNOWN_PORT);

	frame_event(&y, FIN | WS_TEXT, 100);
	frame_event(&y, FIN | WS_TEXT, 100);
	resync_gap(&y.s, &y.held, 106);
	y.bytes += 106;
	assert_int_equal(y.held.gap, 3 * 106);
	for (int i = 0; i < 3; i++)
		frame_event(&y, FIN | WS_TEXT, 100);
	assert_int_equal(y.proven, 5);
	assert_int_equal(y.held.text + y.t.ended, 3);
}

static void breach_after_the_proof_is_a_loss(void **state)
{
	(void)state;
	struct story y = story_new(R, RESYNC_UNKNOWN_PORT);
	static const uint8_t breach[] = {0x83, 0x80, 1, 2, 3, 4};

	for (int i = 0; i < 3; i++)
		frame_event(&y, FIN | WS_TEXT, 100);
	event(&y, breach, sizeof(breach));
	assert_int_equal(y.t.violation, VIOLATION_NONE);
	assert_int_equal(y.s.flags & (WS_UNKNOWN | WS_BROKEN), WS_UNKNOWN);
}

static void close_frame_is_the_last(void **state)
{
	(void)state;
	struct story y = story_new(S, RESYNC_UNKNOWN_PORT);

	for (int i = 0; i < 10; i++)
		frame_event(&y, FIN | WS_CLOSE, 40);
	assert_int_equal(y.proven, 0);
}

static void failed_read_is_a_gap(void **state)
{
	(void)state;
	struct story y = story_new(R, RESYNC_UNKNOWN_PORT);

	frame_event(&y, FIN | WS_TEXT, 100);
	frame_event(&y, FIN | WS_TEXT, 100);
	fail_reads = 1;
	frame_event(&y, FIN | WS_TEXT, 100);
	fail_reads = 0;
	assert_int_equal(y.t.unread, 1);
	assert_int_equal(y.held.gap, 3 * 106);
	assert_false(resync_alive(&y.s));
}

static void other_direction_is_accepted_on_evidence(void **state)
{
	(void)state;
	struct story silent = story_new(S, RESYNC_UNKNOWN_PORT), once = silent, twice = silent;
	struct story lost = silent, begun = silent;
	static const uint8_t header[] = {FIN | WS_TEXT, 100};
	uint8_t text[] = "no frame at all";

	resync_accept(&silent.s, &silent.held);
	assert_int_equal(silent.s.flags, WS_RESYNCED | WS_EXTENDED);

	frame_event(&twice, FIN | WS_TEXT, 5);
	frame_event(&twice, FIN | WS_TEXT, 5);
	resync_accept(&twice.s, &twice.held);
	assert_int_equal(twice.s.flags, WS_RESYNCED | WS_EXTENDED);
	assert_int_equal(twice.held.text, 2);

	frame_event(&once, FIN | WS_TEXT, 1);
	resync_accept(&once.s, &once.held);
	assert_int_equal(once.s.flags, WS_RESYNCED | WS_EXTENDED);
	assert_int_equal(once.held.text, 1);

	event(&begun, header, sizeof(header));
	resync_accept(&begun.s, &begun.held);
	assert_true(begun.s.flags & WS_UNKNOWN);
	assert_int_equal(begun.held.gap, sizeof(header));
	assert_int_equal(begun.held.header, 0);

	event(&lost, text, sizeof(text));
	resync_accept(&lost.s, &lost.held);
	assert_true(lost.s.flags & WS_UNKNOWN);
}

static void lost_streams_are_looked_at_less_and_less(void **state)
{
	(void)state;
	struct ws_stream s = {.flags = WS_UNKNOWN};
	unsigned looked = 0;

	for (int i = 0; i < 1 << 17; i++) {
		looked += resync_wanted(&s);
		resync_tried(&s);
	}
	assert_int_equal(looked, RESYNC_TRIES + 255);
}

/* ------------------------------------------------------------------------------------------ */
/* What is no WebSocket */

struct stranger {
	const char *what;
	const char *bytes;
	size_t len;
};

#define B(text) text, sizeof(text) - 1
static const struct stranger strangers[] = {
	{"HTTP/1 request", B("GET /a HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n")},
	{"HTTP/1 response", B("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")},
	{"chunked body", B("82\r\n\x82\x05hello\r\n0\r\n\r\n")},
	{"HTTP/2 frames", B("\0\0\4\1\4\0\0\0\1\x82\x84\x87\x41\0\0\0\4\1\0\0\0\0")},
	{"HTTP/2 data", B("\0\0\5\0\1\0\0\0\1hello")},
	{"TLS records", B("\x17\x03\x03\0\x13\x81\x85\x01\x02\x03\x04hello12345678")},
	{"Redis", B("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")},
	{"Redis reply", B("$5\r\nhello\r\n")},
	{"PostgreSQL query", B("Q\0\0\0\rSELECT 1\0")},
	{"PostgreSQL rows", B("T\0\0\0\6\0\1D\0\0\0\x0b\0\1\0\0\0\1"
			      "1C\0\0\0\rSELECT 1\0Z\0\0\0\5I")},
	{"PostgreSQL notification", B("A\0\0\0\x80\0\0\0\1chan")},
	{"MQTT publish", B("\x30\x0c\0\5topichello")},
	{"MQTT subscribe", B("\x82\x0a\0\1\0\5topic\0\x90\x03\0\1\0")},
	{"MQTT pings", B("\xc0\0\xd0\0")},
	{"SSH packet",
	 B("\0\0\0\x10\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90")},
	{"2-byte length prefixes", B("\0\x20"
				     "01234567890123456789012345678901")},
	{"memcached", B("\x81\0\0\0\4\0\0\0\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1")},
	{"CQL", B("\x82\0\0\x08\0\0\0\4\0\0\0\1")},
	{"AMQP", B("\1\0\1\0\0\0\5\0\x3c\0\x28\0\xce")},
	{"equal bytes 82", B("\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82\x82")},
	{"equal bytes c1", B("\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1")},
	{"equal numbers 0081", B("\x81\0\x81\0\x81\0\x81\0\x81\0\x81\0\x81\0\x81\0\x81\0\x81\0")},
	{"equal numbers 0089", B("\x89\0\x89\0\x89\0\x89\0\x89\0\x89\0\x89\0\x89\0\x89\0\x89\0")},
	{"zeros", B("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
};

/* Over and over, in one event each, in events of every small size, and in halves. */
static void strangers_prove_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(strangers); i++)
		for (uint8_t d = 0; d < NR_DIRECTIONS; d++)
			for (size_t cut = 1; cut <= strangers[i].len; cut++) {
				const uint8_t *bytes = (const uint8_t *)strangers[i].bytes;
				struct story y = story_new(d, RESYNC_KNOWN_PORT);

				for (int n = 0; n < 100; n++)
					for (size_t at = 0; at < strangers[i].len; at += cut) {
						size_t left = strangers[i].len - at;

						event(&y, bytes + at, left < cut ? left : cut);
					}
				if (y.proven)
					fail_msg("%s in events of %zu bytes, direction %u",
						 strangers[i].what, cut, d);
			}
}

/* The arithmetic at the head of resync.h: about one in 2^25 chains, and here are 2^21. */
static void random_bytes_prove_nothing(void **state)
{
	(void)state;
	unsigned proven = 0;

	for (int stream = 0; stream < 1 << 15; stream++) {
		struct story y = story_new(stream & 1, RESYNC_UNKNOWN_PORT);
		uint64_t largest = 1ull << (1 + random_below(&seed, 9));

		while (y.s.flags & WS_UNKNOWN && y.s.chain.tries < RESYNC_TRIES) {
			uint8_t bytes[600];
			size_t len = 1 + random_below(&seed, largest);

			for (size_t i = 0; i < len; i++)
				bytes[i] = (uint8_t)random_next(&seed);
			event(&y, bytes, len);
		}
		proven += y.proven != 0;
	}
	assert_int_equal(proven, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("header and payload may be read apart", header_and_payload_apart),
		SENTENCE("a stream may be read byte by byte", byte_by_byte),
		SENTENCE("messages may be longer than a read", messages_longer_than_a_read),
		SENTENCE("five messages prove it wherever reads are cut",
			 pipelined_messages_need_five),
		SENTENCE("what passed before the first header is a gap", joined_inside_a_message),
		SENTENCE("fragments count once their beginning was seen", fragments_are_followed),
		SENTENCE("a chain that began inside a payload gives way to a whole frame",
			 wrong_beginning_is_corrected),
		SENTENCE("payload that passes unread keeps the chain",
			 gap_in_a_payload_is_followed),
		SENTENCE("a gap between frames begins anew", gap_between_frames_begins_anew),
		SENTENCE("a breach after the proof is a lost boundary, not the peer's fault",
			 breach_after_the_proof_is_a_loss),
		SENTENCE("nothing follows a close frame", close_frame_is_the_last),
		SENTENCE("a header that cannot be read ends the chain", failed_read_is_a_gap),
		SENTENCE("the other direction is believed when it was confirmed once",
			 other_direction_is_accepted_on_evidence),
		SENTENCE("a lost stream is looked at less and less",
			 lost_streams_are_looked_at_less_and_less),
		SENTENCE("other protocols prove nothing", strangers_prove_nothing),
		SENTENCE("random bytes prove nothing", random_bytes_prove_nothing),
	};

	guard = guard_new(BYTES_MAX);
	return check_run("resync", row_is_proven_after_so_many, rows, sizeof(rows[0]), COUNT(rows),
			 tests, COUNT(tests));
}

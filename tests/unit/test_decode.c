// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* decode.c: whatever is not exactly a record is refused, and nothing beyond its end is read. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "decode.h"
#include "guard.h"

#define ROOM (sizeof(struct event_open) + REQUEST_MAX + RESPONSE_MAX + 64)

enum field_of { OPEN, REASON, CLOSE };

/* One field of a good record set to a value. */
struct row {
	const char *sentence;
	enum field_of record;
	size_t at;
	uint64_t value;
	uint8_t size;
	int result;
};

#define FIELD(kind, field, v)                                                                      \
	.at = offsetof(struct event_##kind, field), .value = (v),                                  \
	.size = sizeof(((struct event_##kind *)0)->field)

static const struct row rows[] = {
	{"an open record as it should be", OPEN, FIELD(open, status, 101), 0},
	{"a refused record is decoded like an open one", OPEN,
	 FIELD(open, event.type, EVENT_REFUSED), 0},
	{"an unknown type is refused", OPEN, FIELD(open, event.type, 0), -EBADMSG},
	{"a type beyond the last is refused", OPEN, FIELD(open, event.type, EVENT_CLOSE + 1),
	 -EBADMSG},
	{"a record longer than what came is refused", OPEN, FIELD(open, event.len, ROOM), -EBADMSG},
	{"a record shorter than its fixed part is refused", OPEN,
	 FIELD(open, event.len, sizeof(struct event_open) - 1), -EBADMSG},
	{"heads beyond the record are refused", OPEN, FIELD(open, request_len, 11), -EBADMSG},
	{"a request beyond its bound is refused", OPEN, FIELD(open, request_len, REQUEST_MAX + 1),
	 -EBADMSG},
	{"a response beyond its bound is refused", OPEN,
	 FIELD(open, response_len, RESPONSE_MAX + 1), -EBADMSG},
	{"an empty request is fine", OPEN, FIELD(open, request_len, 0), 0},
	{"a server slot beyond the last is refused", OPEN, FIELD(open, server, MAX_SERVERS),
	 -EBADMSG},
	{"a status of four digits is refused", OPEN, FIELD(open, status, 1000), -EBADMSG},
	{"a flag that is no flag is refused", OPEN, FIELD(open, upstream, 2), -EBADMSG},
	{"the other flag too", OPEN, FIELD(open, accept_wrong, 255), -EBADMSG},
	{"and the third", OPEN, FIELD(open, proxy, 2), -EBADMSG},
	{"a close record as it should be", CLOSE, FIELD(close, close_code, 1000), 0},
	{"a close of a server that cannot be is refused", CLOSE, FIELD(close, server, MAX_SERVERS),
	 -EBADMSG},
	{"a channel that cannot be is refused", CLOSE, FIELD(close, channel, MAX_CHANNELS),
	 -EBADMSG},
	{"a cause that is none is refused", CLOSE, FIELD(close, cause, NR_CAUSES), -EBADMSG},
	{"a violation that is none is refused", CLOSE, FIELD(close, violation, NR_VIOLATIONS),
	 -EBADMSG},
	{"a closer who is neither side is refused", CLOSE, FIELD(close, closed_by, 2), -EBADMSG},
	{"a violator who is neither side is refused", CLOSE, FIELD(close, violated_by, 2),
	 -EBADMSG},
	{"a close cut short is refused", CLOSE,
	 FIELD(close, event.len, sizeof(struct event_close) - 8), -EBADMSG},
	{"a reason as it should be", REASON, FIELD(reason, by, BY_SERVER), 0},
	{"a reason longer than a control frame is refused", REASON, FIELD(reason, text_len, 126),
	 -EBADMSG},
	{"a reason that ends beyond a control frame is refused", REASON, FIELD(reason, offset, 121),
	 -EBADMSG},
	{"a reason of nobody is refused", REASON, FIELD(reason, by, 2), -EBADMSG},
};

static size_t good_record(enum field_of kind, uint8_t *bytes)
{
	struct event_open open = {
		.event = {.type = EVENT_OPEN, .len = sizeof(open) + 15, .id = 7},
		.status = 101,
		.request_len = 10,
		.response_len = 5,
	};
	struct event_close close = {.event = {.type = EVENT_CLOSE, .len = sizeof(close), .id = 7}};
	struct event_reason reason = {
		.event = {.type = EVENT_REASON, .len = sizeof(reason), .id = 7}, .text_len = 5};

	memset(bytes, 0, ROOM);
	switch (kind) {
	case OPEN:
		memcpy(bytes, &open, sizeof(open));
		memcpy(bytes + sizeof(open), "GET / HTTPHTTP/", 15);
		return open.event.len;
	case REASON:
		memcpy(bytes, &reason, sizeof(reason));
		return sizeof(reason);
	default:
		memcpy(bytes, &close, sizeof(close));
		return sizeof(close);
	}
}

static void one_field(void **state)
{
	const struct row *row = *state;
	struct guard guard = guard_new(ROOM);
	uint8_t bytes[ROOM];
	size_t len = good_record(row->record, bytes);
	struct record record;

	memcpy(bytes + row->at, &row->value, row->size);
	assert_int_equal(decode_record(guard_copy(&guard, bytes, len), len, &record), row->result);
	guard_free(&guard);
}

static void every_truncation_is_refused(void **state)
{
	struct guard guard = guard_new(ROOM);
	uint8_t bytes[ROOM];

	(void)state;
	for (enum field_of kind = OPEN; kind <= CLOSE; kind++) {
		size_t len = good_record(kind, bytes);

		for (size_t cut = 0; cut < len; cut++) {
			struct record record = {.type = 99};

			assert_int_equal(
				decode_record(guard_copy(&guard, bytes, cut), cut, &record),
				-EBADMSG);
			assert_int_equal(record.type, 99); /* untouched */
		}
	}
	guard_free(&guard);
}

static void heads_are_the_bytes_behind_the_fixed_part(void **state)
{
	uint8_t bytes[ROOM];
	size_t len = good_record(OPEN, bytes);
	struct record record;

	(void)state;
	/* the ring rounds up to 8: what follows the record's own length is nobody's */
	assert_int_equal(decode_record(bytes, len + 1, &record), 0);
	assert_int_equal(record.request.len, 10);
	assert_memory_equal(record.request.at, "GET / HTTP", 10);
	assert_int_equal(record.response.len, 5);
	assert_memory_equal(record.response.at, "HTTP/", 5);
	assert_int_equal(record.event.id, 7);
}

static void an_unaligned_record_is_read_as_well(void **state)
{
	uint8_t bytes[ROOM + 1], *odd = bytes + 1;
	size_t len;
	struct record record;
	uint8_t copy[ROOM];

	(void)state;
	len = good_record(CLOSE, copy);
	memcpy(odd, copy, len);
	assert_int_equal(decode_record(odd, len, &record), 0);
}

static void a_masked_reason_is_unmasked_from_its_offset(void **state)
{
	static const char clear[] = "\x0f\xa0going away";
	struct event_reason reason = {
		.event = {.type = EVENT_REASON, .len = sizeof(reason)},
		.mask = {1, 2, 3, 4},
		.offset = 3,
		.text_len = sizeof(clear) - 1 - 3,
	};
	struct record record;

	(void)state;
	for (size_t i = 0; i < reason.text_len; i++)
		reason.text[i] = (uint8_t)clear[3 + i] ^ reason.mask[(3 + i) % 4];
	assert_int_equal(decode_record(&reason, sizeof(reason), &record), 0);
	assert_memory_equal(record.reason.text, clear + 3, reason.text_len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("every truncation is refused and leaves the output alone",
			 every_truncation_is_refused),
		SENTENCE("the heads are the bytes behind the fixed part",
			 heads_are_the_bytes_behind_the_fixed_part),
		SENTENCE("an unaligned record is read as well",
			 an_unaligned_record_is_read_as_well),
		SENTENCE("a masked reason is unmasked from its offset",
			 a_masked_reason_is_unmasked_from_its_offset),
	};

	return check_run("decode", one_field, rows, sizeof(rows[0]), COUNT(rows), tests,
			 COUNT(tests));
}

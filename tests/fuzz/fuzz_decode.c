// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * decode.c: bytes are a record if and only if all that they say is within its bound, wherever they
 * lie and whatever comes behind them; nothing is lost, added, or read beyond the end. Input: how
 * far from its alignment the record lies, then what came out of the ring.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "brief.h"
#include "decode.h"
#include "require.h"

/* As much of a fixed part as there is; 0 behind it, which no bound forbids. */
static void fixed_part(void *part, size_t part_size, const uint8_t *data, size_t len)
{
	memset(part, 0, part_size);
	memcpy(part, data, len < part_size ? len : part_size);
}

static bool open_is_good(const uint8_t *data, size_t len)
{
	struct event_open open;

	fixed_part(&open, sizeof(open), data, len);
	return len >= sizeof(open) + open.request_len + open.response_len &&
	       open.request_len <= REQUEST_MAX && open.response_len <= RESPONSE_MAX &&
	       open.server < MAX_SERVERS && open.status < 1000 && open.upstream < 2 &&
	       open.accept_wrong < 2 && open.proxy < 2;
}

static bool reason_is_good(const uint8_t *data, size_t len)
{
	struct event_reason reason;

	fixed_part(&reason, sizeof(reason), data, len);
	return len >= offsetof(struct event_reason, text) + reason.text_len &&
	       reason.offset + reason.text_len <= 125 && reason.by < 2;
}

static bool close_is_good(const uint8_t *data, size_t len)
{
	struct event_close close;

	fixed_part(&close, sizeof(close), data, len);
	return len >= sizeof(close) && close.server < MAX_SERVERS && close.channel < MAX_CHANNELS &&
	       close.cause < NR_CAUSES && close.violation < NR_VIOLATIONS && close.closed_by < 2 &&
	       close.violated_by < 2 && close.has_close < 2 && close.upstream < 2 &&
	       close.resync < 2 && close.brief_top >> BRIEF_COUNT_BITS < HIST_BUCKETS;
}

/* How many of the bytes are a record; 0 when they are none. */
static size_t record_len(const uint8_t *data, size_t size)
{
	struct event event;
	bool good = false;

	fixed_part(&event, sizeof(event), data, size);
	if (size < sizeof(event) || event.len > size)
		return 0;
	if (event.type == EVENT_OPEN || event.type == EVENT_REFUSED)
		good = open_is_good(data, event.len);
	else if (event.type == EVENT_REASON)
		good = reason_is_good(data, event.len);
	else if (event.type == EVENT_CLOSE)
		good = close_is_good(data, event.len);
	return good ? event.len : 0;
}

static void require_reason(const struct event_reason *reason, const uint8_t *data)
{
	size_t at = offsetof(struct event_reason, text);

	REQUIRE(!memcmp(reason, data, at));
	for (size_t i = 0; i < sizeof(reason->text); i++)
		if (i < reason->text_len)
			REQUIRE((reason->text[i] ^ reason->mask[(reason->offset + i) % 4]) ==
				data[at + i]);
		else
			REQUIRE(!reason->text[i]); /* nothing of an earlier record */
}

static void require_record(const struct record *record, const uint8_t *data, size_t len)
{
	const char *at = (const char *)data + sizeof(record->open);
	struct event event;

	memcpy(&event, data, sizeof(event));
	REQUIRE(record->type == event.type && !memcmp(&record->event, &event, sizeof(event)));
	if (record->type == EVENT_REASON || record->type == EVENT_CLOSE)
		REQUIRE(!record->request.len && !record->response.len);
	if (record->type == EVENT_REASON) {
		require_reason(&record->reason, data);
	} else if (record->type == EVENT_CLOSE) {
		REQUIRE(!memcmp(&record->close, data, sizeof(record->close)));
	} else {
		REQUIRE(!memcmp(&record->open, data, sizeof(record->open)));
		REQUIRE(record->request.at == at);
		REQUIRE(record->request.len == record->open.request_len);
		REQUIRE(record->response.at == at + record->request.len);
		REQUIRE(record->response.len == record->open.response_len);
		REQUIRE(record->response.at + record->response.len <= (const char *)data + len);
	}
}

/* In memory that ends where the bytes end: AddressSanitizer sees the first byte too many. */
static void decode(const uint8_t *bytes, size_t size, size_t offset, bool good)
{
	uint8_t *memory = malloc(offset + size), *data = memory + offset;
	struct record record, before;

	REQUIRE(memory);
	if (size)
		memcpy(data, bytes, size);
	memset(&record, 0xa5, sizeof(record));
	memcpy(&before, &record, sizeof(record));
	if (decode_record(data, size, &record)) {
		REQUIRE(!good);
		REQUIRE(decode_record(data, size, &record) == -EBADMSG);
		REQUIRE(!memcmp(&record, &before, sizeof(record)));
	} else {
		REQUIRE(good);
		require_record(&record, data, size);
	}
	REQUIRE(!size || !memcmp(data, bytes, size));
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t offset = size ? data[0] % 8 : 0, len;

	if (!size)
		return 0;
	data++;
	size--;
	len = record_len(data, size);
	decode(data, size, offset, len);
	if (len) {
		decode(data, len, 0, true);           /* what the ring rounded up */
		decode(data, len - 1, offset, false); /* what the record says is not there */
	}
	return 0;
}

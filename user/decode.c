// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <errno.h>
#include <string.h>

#include "brief.h"
#include "decode.h"

#define STATUS_MAX 999 /* RFC 9110 15: a status has three digits */

static int decode_open(const char *data, size_t len, struct record *record)
{
	struct event_open *open = &record->open;

	if (len < sizeof(*open))
		return -EBADMSG;
	memcpy(open, data, sizeof(*open));
	if (open->request_len > REQUEST_MAX || open->response_len > RESPONSE_MAX)
		return -EBADMSG;
	if (sizeof(*open) + open->request_len + open->response_len > len)
		return -EBADMSG;
	if (open->server >= MAX_SERVERS || open->status > STATUS_MAX)
		return -EBADMSG;
	if (open->upstream > 1 || open->accept_wrong > 1 || open->proxy > 1)
		return -EBADMSG;

	record->request = (struct text){data + sizeof(*open), open->request_len};
	record->response = (struct text){record->request.at + record->request.len,
					 open->response_len};
	return 0;
}

static int decode_reason(const char *data, size_t len, struct record *record)
{
	struct event_reason *reason = &record->reason;
	size_t fixed = offsetof(struct event_reason, text);

	if (len < fixed)
		return -EBADMSG;
	memcpy(reason, data, fixed);
	/* Together a control frame's payload, so that joined pieces have an end too. */
	if (reason->offset + reason->text_len > sizeof(reason->text))
		return -EBADMSG;
	if (fixed + reason->text_len > len || reason->by > BY_SERVER)
		return -EBADMSG;
	for (size_t i = 0; i < reason->text_len; i++)
		reason->text[i] = (__u8)data[fixed + i] ^ reason->mask[(reason->offset + i) & 3];
	return 0;
}

static int decode_close(const char *data, size_t len, struct record *record)
{
	struct event_close *close = &record->close;

	if (len < sizeof(*close))
		return -EBADMSG;
	memcpy(close, data, sizeof(*close));
	if (close->server >= MAX_SERVERS || close->channel >= MAX_CHANNELS)
		return -EBADMSG;
	if (close->cause >= NR_CAUSES || close->violation >= NR_VIOLATIONS)
		return -EBADMSG;
	if (close->closed_by > BY_SERVER || close->violated_by > BY_SERVER)
		return -EBADMSG;
	if (close->brief_top >> BRIEF_COUNT_BITS >= HIST_BUCKETS)
		return -EBADMSG;
	if (close->has_close > 1 || close->upstream > 1 || close->resync > 1)
		return -EBADMSG;
	return 0;
}

int decode_record(const void *data, size_t len, struct record *ret_record)
{
	struct record record = {0};
	struct event event;
	int err;

	if (len < sizeof(event))
		return -EBADMSG;
	memcpy(&event, data, sizeof(event));
	/* The ring rounds up; a record that claims more than there is would read its neighbour. */
	if (event.len > len)
		return -EBADMSG;

	record.type = event.type;
	switch (event.type) {
	case EVENT_OPEN:
	case EVENT_REFUSED:
		err = decode_open(data, event.len, &record);
		break;
	case EVENT_REASON:
		err = decode_reason(data, event.len, &record);
		break;
	case EVENT_CLOSE:
		err = decode_close(data, event.len, &record);
		break;
	default:
		err = -EBADMSG;
	}
	if (!err)
		*ret_record = record;
	return err;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The last errors. In: records of refused upgrades, close frames' payloads and ends. Out: rows with
 * the labels of their connection. Which errors there were is counted elsewhere, by the kernel.
 */
#include <stdio.h>
#include <string.h>

#include "ledger.h"

static void recent_begin(const struct record *record, uint16_t server, enum error_type type,
			 struct recent *ret_recent)
{
	memset(ret_recent, 0, sizeof(*ret_recent));
	ret_recent->row.type = type;
	ret_recent->server = server;
	ret_recent->user = USER_OTHER;
	ret_recent->now_ns = record->event.now_ns;
}

/* The oldest goes. */
static void recent_keep(struct aggregate *a, const struct recent *recent)
{
	a->recent[a->nr_recent++ % RECENT_MAX] = *recent;
}

void recent_refused(struct aggregate *a, const struct record *record,
		    const struct handshake *handshake, uint64_t user, uint16_t channel)
{
	const struct event_open *open = &record->open;
	struct recent recent;
	struct error_row *row = &recent.row;

	recent_begin(record, open->server, error_of_status(open->status), &recent);
	recent.user = user;
	recent.channel = channel;
	label_user_text(user, row->user);
	/* A refused path gets no slot: scanners would use them up. */
	label_clean(handshake->path, row->channel, sizeof(row->channel));
	row->has_status = true;
	row->status = open->status;
	row->has_initiator = open->status != 0;
	row->initiator = BY_SERVER;
	if (open->accept_wrong)
		snprintf(row->message, sizeof(row->message), "wrong Sec-WebSocket-Accept");
	else if (!open->status)
		snprintf(row->message, sizeof(row->message), "no answer before the socket closed");
	else
		label_clean(handshake->status_line, row->message, sizeof(row->message));
	recent_keep(a, &recent);
	ledger_failed(a->ledger, &recent);
}

static struct reason *reason_find(struct aggregate *a, uint64_t id)
{
	for (size_t i = 0; i < REASONS_MAX && i < a->nr_reasons; i++)
		if (a->reasons[i].id == id)
			return &a->reasons[i];
	return NULL;
}

void recent_reason(struct aggregate *a, const struct record *record)
{
	const struct event_reason *piece = &record->reason;
	struct reason *reason;

	if (piece->offset == 0) {
		/* Most connections end well, and nobody reads the reason of that. */
		if (piece->text_len >= 2 &&
		    error_of_close((uint16_t)(piece->text[0] << 8 | piece->text[1])) == ERROR_NONE)
			return;
		reason = &a->reasons[a->nr_reasons++ % REASONS_MAX];
		*reason = (struct reason){.id = piece->event.id, .by = piece->by};
	} else {
		reason = reason_find(a, piece->event.id);
	}
	/* A piece was lost, or it is the other side's: what was read so far is the reason. */
	if (!reason || reason->by != piece->by || reason->len != piece->offset)
		return;
	memcpy(reason->text + reason->len, piece->text, piece->text_len);
	reason->len = (uint8_t)(reason->len + piece->text_len);
}

enum error_type error_of_record(const struct event_close *close)
{
	if (close->violation != VIOLATION_NONE)
		return ERROR_PROTOCOL;
	return close->has_close ? error_of_close(close->close_code) : ERROR_ABNORMAL;
}

static void close_describe(struct aggregate *a, const struct event_close *close,
			   struct error_row *row)
{
	struct reason *reason = reason_find(a, close->event.id);

	row->has_code = close->has_close;
	row->code = close->close_code;
	if (close->violation != VIOLATION_NONE) {
		snprintf(row->message, sizeof(row->message), "%s", violation_key(close->violation));
		row->has_initiator = true;
		row->initiator = close->violated_by;
	} else if (close->has_close) {
		if (reason && reason->len > 2)
			label_clean((struct text){reason->text + 2, reason->len - 2u}, row->message,
				    sizeof(row->message));
		row->has_initiator = true;
		row->initiator = close->closed_by;
	} else {
		snprintf(row->message, sizeof(row->message), "%s", cause_key(close->cause));
		row->has_cause = true;
		row->cause = close->cause;
		row->has_initiator = close->cause == CAUSE_SERVER_EXIT ||
				     close->cause == CAUSE_RESET_BY_SERVER ||
				     close->cause == CAUSE_RESET_BY_PEER;
		row->initiator = close->cause == CAUSE_RESET_BY_PEER ? BY_CLIENT : BY_SERVER;
	}
	if (reason)
		reason->id = 0;
}

void recent_closed(struct aggregate *a, const struct record *record,
		   const struct connection *connection)
{
	const struct event_close *close = &record->close;
	enum error_type type = error_of_record(close);
	uint16_t channel = connection ? connection->channel : close->channel;
	struct recent recent;
	struct error_row *row = &recent.row;

	if (type == ERROR_NONE)
		return;
	recent_begin(record, close->server, type, &recent);
	recent.channel = channel;
	if (channel != CHANNEL_NONE)
		snprintf(row->channel, sizeof(row->channel), "%s",
			 channels_name(a->channels, channel));
	if (connection) {
		recent.user = connection->user;
		label_user_text(connection->user, row->user);
	}
	close_describe(a, close, row);
	/* before counting began anew: no recent error, but history goes on */
	if (!connection || !connection->over)
		recent_keep(a, &recent);
	ledger_failed(a->ledger, &recent);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Answers from history, as JSON or as CSV. In: rows as the store gives them. Out: text, in which a
 * row of CSV is the same row of JSON, flattened. With json.c the only file that knows jansson.
 *
 * Text grows with what is asked for: at most 2,000 points or rows at a time.
 */
#ifndef WSVITALS_JSON_HISTORY_H
#define WSVITALS_JSON_HISTORY_H

#include "aggregate.h"
#include "forecast.h"
#include "store_query.h"

/* X(NAME, columns of CSV: members of a row, "." between levels) */
#define SHEETS(X)                                                                                  \
	X(POINTS,                                                                                  \
	  "timestamp connections.total connections.peak connections.created connections.closed "   \
	  "messages.rate messages.received messages.sent messages.bytes_received "                 \
	  "messages.bytes_sent messages.by_type.text messages.by_type.binary "                     \
	  "messages.latency.p50 messages.latency.p95 messages.latency.p99 messages.latency.avg "   \
	  "messages.latency.min messages.latency.max messages.latency.count "                      \
	  "messages.latency.timed_share messages.queue_wait.p50 messages.queue_wait.p95 "          \
	  "messages.queue_wait.p99 messages.queue_wait.avg messages.queue_wait.min "               \
	  "messages.queue_wait.max messages.queue_wait.count messages.ping_rtt.p50 "               \
	  "messages.ping_rtt.p95 messages.ping_rtt.count messages.unpaired.push "                  \
	  "messages.unpaired.ambiguous messages.unpaired.unanswered errors.total errors.rate "     \
	  "errors.by_type.* connection_duration.avg connection_duration.median "                   \
	  "connection_duration.min connection_duration.max connection_duration.count")             \
	X(HEATMAP, "timestamp from to count")                                                      \
	X(CONNECTIONS,                                                                             \
	  "id state opened closed duration server channel user origin received sent "              \
	  "bytes_received bytes_sent latency.avg latency.max latency.count close_code initiator "  \
	  "cause violation error")                                                                 \
	X(ERRORS, "timestamp type message server channel user code initiator cause status")        \
	X(SERIES,                                                                                  \
	  "server channel connections.total connections.peak connections.created "                 \
	  "connections.closed messages.rate messages.received messages.sent "                      \
	  "messages.bytes_received messages.bytes_sent messages.latency.p50 "                      \
	  "messages.latency.p95 messages.latency.p99 messages.latency.avg messages.latency.min "   \
	  "messages.latency.max messages.latency.count errors.total errors.rate "                  \
	  "errors.by_type.*")                                                                      \
	X(USERS,                                                                                   \
	  "user connections.total connections.created connections.closed messages.received "       \
	  "messages.sent messages.bytes_received messages.bytes_sent")                             \
	X(EVENTS, "timestamp type server text")                                                    \
	X(COMPARE, "measure a b difference change")                                                \
	X(FORECAST, "timestamp connections.value connections.low connections.high "                \
		    "message_rate.value message_rate.low message_rate.high")
#define X(NAME, columns) SHEET_##NAME,
enum sheet_of { SHEETS(X) NR_SHEETS };
#undef X

/* Rows of one answer. */
struct sheet;

/* NULL: out of memory. head: CSV begins with the names of its columns. */
struct sheet *sheet_new(enum sheet_of of, bool csv, bool head);
void sheet_free(struct sheet *sheet);
size_t sheet_rows(const struct sheet *sheet);
/* What has been written and not taken yet: for answers that are sent piece by piece. For free();
 * NULL: out of memory. */
char *sheet_piece(struct sheet *sheet, size_t *ret_len);

/* What the numbers of a point are of: the others have no source and are null. */
enum sheet_part { PART_WHOLE, PART_CHANNEL, PART_USER, PART_TEXT, PART_BINARY };

/* Rows. 0, or -ENOMEM. */
int sheet_point(struct sheet *sheet, const struct history_point *point, enum sheet_part part,
		bool has_queue_wait);
int sheet_heat(struct sheet *sheet, const struct history_point *point, bool known);
int sheet_open(struct sheet *sheet, const struct open_connection *connection, uint64_t now_wall_ns);
int sheet_closed(struct sheet *sheet, const struct closed_connection *connection);
int sheet_error(struct sheet *sheet, const struct error_entry *error);
int sheet_series(struct sheet *sheet, const struct series_total *total);
int sheet_user(struct sheet *sheet, const struct user_counts *counts);
int sheet_event(struct sheet *sheet, const struct store_event *event);
int sheet_forecast(struct sheet *sheet, const struct forecast_hour *connections,
		   const struct forecast_hour *rate);

/* What stands above the rows. */
struct sheet_head {
	int64_t from_s, to_s;
	const char *store;                 /* "ok", or why not all may be there */
	int64_t step_s;                    /* 0: no points */
	unsigned hours;                    /* 0: from and to were given */
	const struct store_filter *filter; /* NULL: cannot be narrowed */
	const char *type;                  /* of message; NULL: all */
	bool partial;   /* a user's: only intervals in which he was among the top 100 */
	bool has_total; /* how many rows there are without limit and offset */
	size_t total, limit, offset;
	const struct forecast *connections, *rate; /* NULL: no forecast */
	const char *why;                           /* there is none; NULL: there is */
	size_t missing_hours;
};

/* Frees the sheet. JSON: with the head; CSV: without. For free(); NULL: out of memory. */
char *sheet_text(struct sheet *sheet, const struct sheet_head *head, size_t *ret_len);

/* Two periods, all of them in one. For free(); NULL: out of memory. */
char *json_of_compare(const struct store_total *a, const struct store_total *b,
		      enum sheet_part part, bool has_queue_wait, const struct sheet_head *head,
		      bool csv, size_t *ret_len);

#endif

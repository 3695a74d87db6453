// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "json_history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "json_line.h"
#include "json_maker.h"

#define NS_S 1000000000ll
#define NS_MS 1000000ll
#define COLUMN_MAX 64
#define BY_TYPE "errors.by_type."
/* As json_maker.h has them. */
#define MS_DECIMALS 6
#define S_DECIMALS 3
#define RATE_DECIMALS 4
/* 15 digits: every rounded number comes out as it was rounded. */
#define COMPACT (JSON_COMPACT | JSON_REAL_PRECISION(15))

#define X(NAME, columns) columns,
static const char *const columns_of[] = {SHEETS(X)};
#undef X

struct sheet {
	enum sheet_of of;
	bool csv;
	size_t rows;
	char *text;
	size_t len;
	FILE *out;
};

/* --- CSV --- */

/* Calls for each column, with "*" as every type of error. */
static void each_column(enum sheet_of of, void (*each)(const char *column, void *ctx), void *ctx)
{
	const char *at = columns_of[of];

	while (*at) {
		size_t len = strcspn(at, " ");
		char column[COLUMN_MAX];

		memcpy(column, at, len);
		column[len] = '\0';
		if (at[len - 1] != '*')
			each(column, ctx);
		for (int type = ERROR_NONE + 1; at[len - 1] == '*' && type < NR_ERROR_TYPES;
		     type++) {
			snprintf(column, sizeof(column), "%.*s%s", (int)len - 1, at,
				 error_key(type));
			each(column, ctx);
		}
		at += len + strspn(at + len, " ");
	}
}

struct line {
	FILE *out;
	const json_t *row;
	bool any;
};

static void print_name(const char *column, void *ctx)
{
	struct line *line = ctx;

	fprintf(line->out, "%s%s", line->any ? "," : "", column);
	line->any = true;
}

static const json_t *member(const json_t *row, const char *column)
{
	char key[COLUMN_MAX];

	while (row && *column) {
		size_t len = strcspn(column, ".");

		memcpy(key, column, len);
		key[len] = '\0';
		row = json_object_get(row, key);
		column += len + (column[len] == '.');
	}
	return row;
}

static void print_value(FILE *out, const json_t *value)
{
	struct json_line line;
	char text[64];

	line_begin(&line, text, sizeof(text));
	if (json_is_string(value))
		csv_text(out, json_string_value(value));
	else if (json_is_integer(value))
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value)) /* none has more decimals */
		line_number(&line, NULL, json_real_value(value), MS_DECIMALS);
	else if (json_is_boolean(value))
		fputs(json_is_true(value) ? "true" : "false", out);
	fwrite(text, 1, line_end(&line, text), out);
}

static void print_member(const char *column, void *ctx)
{
	struct line *line = ctx;

	const json_t *value = member(line->row, column);

	if (line->any)
		putc(',', line->out);
	line->any = true;
	/* rows name the types that happened; the others did not, where errors are known at all */
	if (!value && !strncmp(column, BY_TYPE, strlen(BY_TYPE)) &&
	    json_is_integer(member(line->row, "errors.total")))
		putc('0', line->out);
	else
		print_value(line->out, value);
}

static void print_line(FILE *out, enum sheet_of of, const json_t *row)
{
	struct line line = {.out = out, .row = row};

	each_column(of, row ? print_member : print_name, &line);
	fputs("\r\n", out); /* RFC 4180 */
}

/* --- sheets --- */

struct sheet *sheet_new(enum sheet_of of, bool csv, bool head)
{
	struct sheet *sheet = calloc(1, sizeof(*sheet));

	if (!sheet)
		return NULL;
	sheet->of = of;
	sheet->csv = csv;
	sheet->out = open_memstream(&sheet->text, &sheet->len);
	if (!sheet->out) {
		free(sheet);
		return NULL;
	}
	if (csv && head)
		print_line(sheet->out, of, NULL);
	return sheet;
}

void sheet_free(struct sheet *sheet)
{
	if (!sheet)
		return;
	if (sheet->out)
		fclose(sheet->out);
	free(sheet->text);
	free(sheet);
}

size_t sheet_rows(const struct sheet *sheet)
{
	return sheet->rows;
}

/* Ends what is written so far; for free(). */
static char *sheet_take(struct sheet *sheet, size_t *ret_len)
{
	bool failed = ferror(sheet->out);
	char *text;

	failed |= fclose(sheet->out) != 0;
	sheet->out = NULL;
	text = sheet->text;
	sheet->text = NULL;
	*ret_len = sheet->len;
	if (failed) {
		free(text);
		return NULL;
	}
	return text;
}

char *sheet_piece(struct sheet *sheet, size_t *ret_len)
{
	char *text = sheet_take(sheet, ret_len);

	sheet->out = open_memstream(&sheet->text, &sheet->len);
	if (sheet->out)
		return text;
	free(text);
	return NULL;
}

/* Consumes the row. */
static int sheet_add(struct sheet *sheet, struct maker *m, json_t *row)
{
	int err = m->failed || !row ? -ENOMEM : 0;

	if (!err && sheet->csv) {
		print_line(sheet->out, sheet->of, row);
	} else if (!err) {
		fputs(sheet->rows ? ",\n" : "\n", sheet->out);
		if (json_dumpf(row, sheet->out, COMPACT))
			err = -ENOMEM;
	}
	sheet->rows++;
	json_decref(row);
	return err;
}

/* --- rows that are written straight: an answer has up to 2 000 of them --- */

#define LINE_SIZE 16384 /* more than a row takes whose numbers are all as long as they can be */

static int sheet_add_line(struct sheet *sheet, const char *text, size_t len)
{
	if (!len)
		return -ENOMEM;
	fputs(sheet->rows++ ? ",\n" : "\n", sheet->out);
	return fwrite(text, 1, len, sheet->out) == len ? 0 : -ENOMEM;
}

/* --- points --- */

static struct spread spread_of_point(const struct point *point, enum point_hist which)
{
	return spread_of(&point->hist[which], point->min[which], point->max[which],
			 point_hist_unit(which));
}

/* What only whole servers know. */
static bool is_whole(enum sheet_part part)
{
	return part == PART_WHOLE;
}

static bool is_typed(enum sheet_part part)
{
	return part == PART_TEXT || part == PART_BINARY;
}

static void line_count_if(struct json_line *line, const char *key, bool known, uint64_t count)
{
	if (known)
		line_count(line, key, count);
	else
		line_null(line, key);
}

static void line_number_if(struct json_line *line, const char *key, bool known, double value,
			   unsigned decimals)
{
	line_number(line, key, known ? value : NAN, decimals);
}

/* As put_latency, without its brace at the end. */
static void line_spread_open(struct json_line *line, const char *key, const struct spread *spread)
{
	const struct {
		const char *key;
		double ns;
	} rows[] = {
		{"p50", spread->p50_ns}, {"p95", spread->p95_ns}, {"p99", spread->p99_ns},
		{"avg", spread->avg_ns}, {"min", spread->min_ns}, {"max", spread->max_ns},
	};

	line_open(line, key);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		line_number_if(line, rows[i].key, spread->count, rows[i].ns / 1e6, MS_DECIMALS);
	line_count(line, "count", spread->count);
}

static void line_spread(struct json_line *line, const char *key, const struct point *point,
			enum point_hist which, bool known)
{
	struct spread spread;

	if (!known) {
		line_null(line, key);
		return;
	}
	spread = spread_of_point(point, which);
	line_spread_open(line, key, &spread);
	line_close(line);
}

/* With the share of the messages that it is of. */
static void line_reply_latency(struct json_line *line, const struct point *point, bool known)
{
	const struct server_counters_fields *n = &point->counts.n;
	struct spread spread;

	if (!known) {
		line_null(line, "latency");
		return;
	}
	spread = spread_of_point(point, POINT_LATENCY);
	line_spread_open(line, "latency", &spread);
	line_number_if(line, "timed_share", n->received, (double)n->timed / (double)n->received,
		       RATE_DECIMALS);
	line_count(line, "timed", n->timed);
	line_count(line, "received", n->received);
	line_close(line);
}

static void line_duration(struct json_line *line, const struct point *point, bool known)
{
	struct spread spread;

	if (!known) {
		line_null(line, "connection_duration");
		return;
	}
	spread = spread_of_point(point, POINT_DURATION);
	line_open(line, "connection_duration");
	line_number_if(line, "avg", spread.count, spread.avg_ns / 1e9, S_DECIMALS);
	line_number_if(line, "median", spread.count, spread.p50_ns / 1e9, S_DECIMALS);
	line_number_if(line, "min", spread.count, spread.min_ns / 1e9, S_DECIMALS);
	line_number_if(line, "max", spread.count, spread.max_ns / 1e9, S_DECIMALS);
	line_count(line, "count", spread.count);
	line_close(line);
}

static void line_connections(struct json_line *line, const struct point *point,
			     enum sheet_part part)
{
	const struct point_counts *n = &point->counts;
	bool known = part <= PART_USER;

	line_open(line, "connections");
	line_count_if(line, "total", known, n->active);
	line_count_if(line, "peak", known && part != PART_USER, n->peak);
	line_count_if(line, "created", known, n->n.opened);
	line_count_if(line, "closed", known, n->n.closed);
	line_spread(line, "handshake", point, POINT_HANDSHAKE, is_whole(part));
	line_close(line);
}

static uint64_t count_of_type(const struct server_counters_fields *n, enum sheet_part part)
{
	return part == PART_TEXT ? n->text : n->binary;
}

/* What is known of a type: of none of its messages all is. */
static const struct point *point_of(const struct point *sum, enum sheet_part part)
{
	static const struct point none;

	return is_typed(part) && !count_of_type(&sum->counts.n, part) ? &none : sum;
}

/* Whether all that was counted is of this type: then directions and latency are known of it. */
static bool is_pure(const struct server_counters_fields *n, enum sheet_part part)
{
	return count_of_type(n, part) == n->text + n->binary &&
	       n->text + n->binary == n->received + n->sent;
}

static void line_messages(struct json_line *line, const struct point *point, double covered_s,
			  enum sheet_part part, bool has_queue_wait)
{
	const struct server_counters_fields *n = &point->counts.n;
	bool known = !is_typed(part) || is_pure(n, part), timed = known && part != PART_USER;
	uint64_t all = is_typed(part) ? count_of_type(n, part) : n->received + n->sent;

	line_open(line, "messages");
	line_number_if(line, "rate", covered_s > 0, (double)all / covered_s, RATE_DECIMALS);
	line_count_if(line, "received", known, n->received);
	line_count_if(line, "sent", known, n->sent);
	/* also of messages that are not finished, whose type nobody counted */
	line_count_if(line, "bytes_received", !is_typed(part), n->bytes_received);
	line_count_if(line, "bytes_sent", !is_typed(part), n->bytes_sent);
	line_open(line, "by_type");
	line_count_if(line, "text", is_whole(part) || part == PART_TEXT, n->text);
	line_count_if(line, "binary", is_whole(part) || part == PART_BINARY, n->binary);
	line_close(line);
	line_open(line, "types");
	line_close(line);
	line_reply_latency(line, point, timed);
	line_spread(line, "queue_wait", point, POINT_QUEUE_WAIT, is_whole(part) && has_queue_wait);
	line_spread(line, "ping_rtt", point, POINT_PING_RTT, is_whole(part));
	line_open(line, "unpaired");
	line_count_if(line, "push", is_whole(part), n->push);
	line_count_if(line, "ambiguous", is_whole(part), n->ambiguous);
	line_count_if(line, "unanswered", is_whole(part), n->unanswered);
	line_close(line);
	line_close(line);
}

static void line_errors(struct json_line *line, const struct point_counts *counts, double covered_s,
			bool known)
{
	line_open(line, "errors");
	line_count_if(line, "total", known, counts->errors);
	line_open(line, "by_type");
	for (int type = ERROR_NONE + 1; known && type < NR_ERROR_TYPES; type++)
		if (counts->by_type[type])
			line_count(line, error_key(type), counts->by_type[type]);
	line_close(line);
	line_number_if(line, "rate", known && covered_s > 0,
		       (double)counts->errors / covered_s * 60, RATE_DECIMALS);
	line_close(line);
}

static void line_sum(struct json_line *line, const struct point *sum, double covered_s,
		     enum sheet_part part, bool has_queue_wait)
{
	line_connections(line, sum, part);
	line_messages(line, sum, covered_s, part, has_queue_wait);
	line_errors(line, &sum->counts, covered_s, is_whole(part) || part == PART_CHANNEL);
	line_duration(line, sum, is_whole(part));
}

static uint64_t ns_of(int64_t time_s)
{
	return (uint64_t)time_s * NS_S;
}

int sheet_point(struct sheet *sheet, const struct history_point *point, enum sheet_part part,
		bool has_queue_wait)
{
	struct maker m = {0};
	struct json_line line;
	char text[LINE_SIZE];
	size_t len;

	line_begin(&line, text, sizeof(text));
	line_open(&line, NULL);
	line_time(&line, "timestamp", point->time_s);
	line_number(&line, "covered_seconds", point->covered_s, S_DECIMALS);
	line_sum(&line, point_of(point->sum, part), point->covered_s, part, has_queue_wait);
	line_close(&line);
	len = line_end(&line, text);
	if (sheet->csv) /* its columns are members of a row */
		return sheet_add(sheet, &m, json_loadb(text, len, 0, NULL));
	return sheet_add_line(sheet, text, len);
}

/* --- heatmap --- */

#define HEAT_SUB 4 /* cells to a power of two: what an eye tells apart */

static int heat_line(struct sheet *sheet, int64_t time_s, const json_t *cell)
{
	static const char *const keys[] = {"from", "to", "count"};
	struct maker m = {0};
	json_t *row = json_object();

	put_time(&m, row, "timestamp", ns_of(time_s));
	for (size_t i = 0; i < 3; i++)
		put(&m, row, keys[i], json_incref(json_array_get(cell, i)));
	return sheet_add(sheet, &m, row);
}

/* [from, to, count] of each cell that is not empty, milliseconds. */
static void line_cells(struct json_line *line, const struct hist *hist)
{
	const uint32_t step = HIST_SUB / HEAT_SUB;

	for (uint32_t i = 0; i < HIST_BUCKETS; i += step) {
		uint64_t count = 0;

		for (uint32_t k = 0; k < step; k++)
			count += hist->bucket[i + k];
		if (!count)
			continue;
		line_list(line, NULL);
		line_number(line, NULL, (double)hist_lower(i) / 1e6, MS_DECIMALS);
		line_number(line, NULL, (double)hist_upper(i + step - 1) / 1e6, MS_DECIMALS);
		line_count(line, NULL, count);
		line_list_end(line);
	}
}

/* A line of CSV a cell. */
static int heat_lines(struct sheet *sheet, int64_t time_s, const json_t *row)
{
	const json_t *cells = json_object_get(row, "buckets");
	int err = 0;

	for (size_t i = 0; !err && i < json_array_size(cells); i++)
		err = heat_line(sheet, time_s, json_array_get(cells, i));
	return err;
}

int sheet_heat(struct sheet *sheet, const struct history_point *point, bool known)
{
	const struct hist *hist = &point->sum->hist[POINT_LATENCY];
	char text[LINE_SIZE];
	struct json_line line;
	json_t *row;
	int err;

	line_begin(&line, text, sizeof(text));
	line_open(&line, NULL);
	line_time(&line, "timestamp", point->time_s);
	if (known) {
		line_list(&line, "buckets");
		line_cells(&line, hist);
		line_list_end(&line);
	} else {
		line_null(&line, "buckets");
	}
	line_count_if(&line, "count", known, hist_count(hist));
	line_close(&line);
	if (!sheet->csv)
		return sheet_add_line(sheet, text, line_end(&line, text));
	row = json_loadb(text, line_end(&line, text), 0, NULL);
	err = row ? heat_lines(sheet, point->time_s, row) : -ENOMEM;
	json_decref(row);
	return err;
}

/* --- rows --- */

/* With milliseconds, which seconds would put in no order. */
static void put_moment(struct maker *m, json_t *row, const char *key, int64_t at_ns)
{
	time_t at = (time_t)(at_ns / NS_S);
	char text[40];
	struct tm tm;
	size_t len;

	if (!gmtime_r(&at, &tm) ||
	    !(len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))) {
		put(m, row, key, json_null());
		return;
	}
	snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)(at_ns % NS_S / NS_MS));
	put_text(m, row, key, text);
}

static void put_identity(struct maker *m, json_t *row, bool open, uint64_t key)
{
	char id[32];

	snprintf(id, sizeof(id), "%s:%llu", open ? "open" : "closed", (unsigned long long)key);
	put_text(m, row, "id", id);
	put_text(m, row, "state", open ? "open" : "closed");
}

int sheet_open(struct sheet *sheet, const struct open_connection *c, uint64_t now_wall_ns)
{
	static const char *const nothing[] = {"latency", "close_code", "initiator",
					      "cause",   "violation",  "error"};
	int64_t age_ns = (int64_t)(now_wall_ns - c->open_wall_ns);
	struct maker m = {0};
	json_t *row = json_object();

	put_identity(&m, row, true, c->id);
	put_moment(&m, row, "opened", (int64_t)c->open_wall_ns);
	put(&m, row, "closed", json_null());
	put(&m, row, "duration", seconds(age_ns > 0 ? (double)age_ns : 0));
	put_text(&m, row, "server", c->server);
	put_text(&m, row, "channel", c->channel);
	put_text(&m, row, "user", c->user);
	put_text(&m, row, "origin", c->resync ? "resync" : "handshake");
	put_count(&m, row, "received", c->received);
	put_count(&m, row, "sent", c->sent);
	put_count(&m, row, "bytes_received", c->bytes_received);
	put_count(&m, row, "bytes_sent", c->bytes_sent);
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		put(&m, row, nothing[i], json_null());
	return sheet_add(sheet, &m, row);
}

static void put_row_latency(struct maker *m, json_t *row, const struct closed_connection *c)
{
	json_t *latency;

	if (!c->has_latency) {
		put(m, row, "latency", json_null());
		return;
	}
	latency = put_object(m, row, "latency");
	put(m, latency, "avg", milliseconds((double)c->latency_avg_ns));
	put(m, latency, "max", milliseconds((double)c->latency_max_ns));
	put_count(m, latency, "count", c->latency_count);
}

int sheet_closed(struct sheet *sheet, const struct closed_connection *c)
{
	struct maker m = {0};
	json_t *row = json_object();

	put_identity(&m, row, false, c->key);
	put_moment(&m, row, "opened", c->opened_ns);
	put_moment(&m, row, "closed", c->closed_ns);
	put(&m, row, "duration", seconds((double)(c->closed_ns - c->opened_ns)));
	put_text(&m, row, "server", c->server);
	put_text(&m, row, "channel", c->channel);
	put_text(&m, row, "user", c->user);
	put_text(&m, row, "origin", c->resync ? "resync" : "handshake");
	put_count(&m, row, "received", c->received);
	put_count(&m, row, "sent", c->sent);
	put_count(&m, row, "bytes_received", c->bytes_received);
	put_count(&m, row, "bytes_sent", c->bytes_sent);
	put_row_latency(&m, row, c);
	put_count_if(&m, row, "close_code", c->has_close && c->code != CLOSE_INVALID, c->code);
	put_text(&m, row, "initiator", c->has_close ? initiator_key(c->initiator) : NULL);
	put_text(&m, row, "cause", c->has_close ? NULL : cause_key(c->cause));
	put_text(&m, row, "violation",
		 c->violation == VIOLATION_NONE ? NULL : violation_key(c->violation));
	put_text(&m, row, "error", c->error == ERROR_NONE ? NULL : error_key(c->error));
	return sheet_add(sheet, &m, row);
}

int sheet_error(struct sheet *sheet, const struct error_entry *e)
{
	struct maker m = {0};
	json_t *row = json_object();

	put_moment(&m, row, "timestamp", e->at_ns);
	put_text(&m, row, "type", error_key(e->type));
	put(&m, row, "message", json_string(e->message));
	put_text(&m, row, "server", e->server);
	put_text(&m, row, "channel", e->channel);
	put_text(&m, row, "user", e->user);
	put_count_if(&m, row, "code", e->has_code && e->code != CLOSE_INVALID, e->code);
	put_text(&m, row, "initiator", e->has_initiator ? initiator_key(e->initiator) : NULL);
	put_text(&m, row, "cause", e->has_cause ? cause_key(e->cause) : NULL);
	put_count_if(&m, row, "status", e->has_status, e->status);
	return sheet_add(sheet, &m, row);
}

static void put_series_errors(struct maker *m, json_t *row, const struct point_counts *counts,
			      double covered_s)
{
	json_t *errors = put_object(m, row, "errors"), *by_type;

	put_count(m, errors, "total", counts->errors);
	by_type = put_object(m, errors, "by_type");
	for (int type = ERROR_NONE + 1; type < NR_ERROR_TYPES; type++)
		if (counts->by_type[type])
			put_count(m, by_type, error_key(type), counts->by_type[type]);
	put(m, errors, "rate",
	    covered_s > 0 ? per_time((double)counts->errors / covered_s * 60) : json_null());
}

int sheet_series(struct sheet *sheet, const struct series_total *total)
{
	const struct point_counts *n = &total->counts;
	double covered_s = total->covered_s;
	json_t *row = json_object(), *object;
	struct maker m = {0};

	put_text(&m, row, "server", total->series.server);
	if (total->series.kind == SERIES_CHANNEL)
		put_text(&m, row, "channel", total->series.label);
	object = put_object(&m, row, "connections");
	put_count(&m, object, "total", n->active);
	put_count(&m, object, "peak", n->peak);
	put_count(&m, object, "created", n->n.opened);
	put_count(&m, object, "closed", n->n.closed);
	object = put_object(&m, row, "messages");
	put(&m, object, "rate",
	    covered_s > 0 ? per_time((double)(n->n.received + n->n.sent) / covered_s)
			  : json_null());
	put_count(&m, object, "received", n->n.received);
	put_count(&m, object, "sent", n->n.sent);
	put_count(&m, object, "bytes_received", n->n.bytes_received);
	put_count(&m, object, "bytes_sent", n->n.bytes_sent);
	put_latency(&m, object, "latency", &total->latency);
	put_series_errors(&m, row, n, covered_s);
	return sheet_add(sheet, &m, row);
}

int sheet_user(struct sheet *sheet, const struct user_counts *counts)
{
	const struct roster_numbers *n = &counts->n;
	json_t *row = json_object(), *object;
	struct maker m = {0};

	put_text(&m, row, "user", counts->user);
	object = put_object(&m, row, "connections");
	put_count(&m, object, "total", n->active);
	put_count(&m, object, "created", n->opened);
	put_count(&m, object, "closed", n->closed);
	object = put_object(&m, row, "messages");
	put_count(&m, object, "received", n->received);
	put_count(&m, object, "sent", n->sent);
	put_count(&m, object, "bytes_received", n->bytes_received);
	put_count(&m, object, "bytes_sent", n->bytes_sent);
	return sheet_add(sheet, &m, row);
}

int sheet_event(struct sheet *sheet, const struct store_event *event)
{
	struct maker m = {0};
	json_t *row = json_object();

	put_moment(&m, row, "timestamp", event->at_ns);
	put_text(&m, row, "type", store_event_key(event->kind));
	put_text(&m, row, "server", event->server);
	put(&m, row, "text", json_string(event->text));
	return sheet_add(sheet, &m, row);
}

static void put_hour(struct maker *m, json_t *row, const char *key,
		     const struct forecast_hour *hour)
{
	json_t *object = put_object(m, row, key);

	put(m, object, "value", per_time(hour->value));
	put(m, object, "low", per_time(hour->low));
	put(m, object, "high", per_time(hour->high));
}

int sheet_forecast(struct sheet *sheet, const struct forecast_hour *connections,
		   const struct forecast_hour *rate)
{
	struct maker m = {0};
	json_t *row = json_object();

	put_time(&m, row, "timestamp", ns_of(connections->time_s));
	put_hour(&m, row, "connections", connections);
	put_hour(&m, row, "message_rate", rate);
	return sheet_add(sheet, &m, row);
}

/* --- what stands above --- */

static json_t *whole_if(double number)
{
	return number == floor(number) ? json_integer((json_int_t)number) : real(number, 1e4);
}

static void put_accuracy(struct maker *m, json_t *root, const char *key,
			 const struct forecast *forecast)
{
	const struct forecast_accuracy *accuracy = &forecast->yesterday;
	json_t *object;

	if (!accuracy->known) {
		put(m, root, key, json_null());
		return;
	}
	object = put_object(m, root, key);
	put(m, object, "error", per_time(accuracy->error));
	put(m, object, "naive_error", per_time(accuracy->naive_error));
	put(m, object, "share_error", per_time(accuracy->share_error));
	put(m, object, "within", per_time(accuracy->within));
	put_count(m, object, "hours", accuracy->hours);
}

static void put_forecast_head(struct maker *m, json_t *root, const struct sheet_head *head)
{
	json_t *accuracy;

	put(m, root, "available", json_boolean(!head->why));
	put_text(m, root, "why", head->why);
	if (head->why) {
		put_count(m, root, "missing_hours", head->missing_hours);
		return;
	}
	put_text(m, root, "season", head->connections->weekly ? "weekly" : "daily");
	accuracy = put_object(m, root, "yesterday");
	put_accuracy(m, accuracy, "connections", head->connections);
	put_accuracy(m, accuracy, "message_rate", head->rate);
}

static void put_head_filter(struct maker *m, json_t *root, const struct sheet_head *head)
{
	const struct store_filter *f = head->filter;
	json_t *filter;

	if (!f || !(f->server || f->channel || f->user || head->type))
		return;
	filter = put_object(m, root, "filter");
	put_text(m, filter, "server", f->server);
	put_text(m, filter, "channel", f->channel);
	put_text(m, filter, "user", f->user);
	put_text(m, filter, "type", head->type);
	put(m, filter, "partial", json_boolean(head->partial));
}

static json_t *head_object(struct maker *m, const struct sheet_head *head, size_t rows)
{
	json_t *root = json_object();

	if (head->step_s) {
		double hours = head->hours ? head->hours
					   : (double)(head->to_s - head->from_s) / 3600;

		put(m, root, "hours", whole_if(hours));
		put(m, root, "interval_minutes", whole_if((double)head->step_s / 60));
		put_count(m, root, "interval_seconds", (uint64_t)head->step_s);
		put_count(m, root, "data_points", rows);
	}
	put_time(m, root, "from", ns_of(head->from_s));
	put_time(m, root, "to", ns_of(head->to_s));
	put_text(m, root, "store", head->store);
	put_head_filter(m, root, head);
	if (head->has_total) {
		put_count(m, root, "total", head->total);
		put_count(m, root, "limit", head->limit);
		put_count(m, root, "offset", head->offset);
	}
	if (head->why || head->connections)
		put_forecast_head(m, root, head);
	return root;
}

/* The head, and the rows as its last member. */
static char *join(const char *head, const char *rows, size_t rows_len, size_t *ret_len)
{
	static const char begin[] = ",\"data\":[", end[] = "\n]}\n";
	size_t head_len = strlen(head) - 1; /* without its brace */
	char *text = malloc(head_len + strlen(begin) + rows_len + sizeof(end)), *at = text;

	if (!text)
		return NULL;
	at = mempcpy(at, head, head_len);
	at = mempcpy(at, begin, strlen(begin));
	at = mempcpy(at, rows, rows_len);
	at = mempcpy(at, end, sizeof(end));
	*ret_len = (size_t)(at - text) - 1;
	return text;
}

char *sheet_text(struct sheet *sheet, const struct sheet_head *head, size_t *ret_len)
{
	struct maker m = {0};
	char *rows, *above, *text = NULL;
	size_t rows_len;
	json_t *root;

	rows = sheet_take(sheet, &rows_len);
	if (!rows || sheet->csv) {
		*ret_len = rows_len;
		sheet_free(sheet);
		return rows;
	}
	root = head_object(&m, head, sheet->rows);
	above = m.failed ? NULL : json_dumps(root, COMPACT);
	if (above)
		text = join(above, rows, rows_len, ret_len);
	json_decref(root);
	free(above);
	free(rows);
	sheet_free(sheet);
	return text;
}

/* --- two periods --- */

struct compare {
	struct maker m;
	struct sheet *sheet; /* CSV; NULL: none */
};

static json_t *change_of(double a, double b)
{
	return a != 0 ? real((b - a) / a * 100, 1e2) : json_null();
}

/* measure, a, b, difference, change (percent) */
static int compare_line(struct compare *c, const char *measure, const json_t *a, const json_t *b)
{
	json_t *row = json_object();
	double from = json_number_value(a), to = json_number_value(b);
	bool both = json_is_number(a) && json_is_number(b);

	put_text(&c->m, row, "measure", measure);
	put(&c->m, row, "a", json_incref((json_t *)a));
	put(&c->m, row, "b", json_incref((json_t *)b));
	put(&c->m, row, "difference", both ? real(to - from, 1e6) : json_null());
	put(&c->m, row, "change", both ? change_of(from, to) : json_null());
	return sheet_add(c->sheet, &c->m, row);
}

/* The same members as a and b have together, each {"difference", "change"}; null where one has none. */
static json_t *compare_objects(struct compare *c, const char *name, json_t *a, json_t *b)
{
	json_t *both = json_object(), *result = json_object(), *value;
	const char *key;

	json_object_update(both, b);
	json_object_update(both, a);
	json_object_foreach (both, key, value) {
		json_t *x = json_object_get(a, key), *y = json_object_get(b, key), *leaf;
		char path[COLUMN_MAX * 2];

		snprintf(path, sizeof(path), "%s%s%s", name, *name ? "." : "", key);
		if (json_is_object(value) || json_is_object(y)) {
			put(&c->m, result, key, compare_objects(c, path, x, y));
			continue;
		}
		if (c->sheet && compare_line(c, path, x ? x : json_null(), y ? y : json_null()))
			c->m.failed = true;
		leaf = put_object(&c->m, result, key);
		/* what is not there did not happen, but what is null is not known */
		if ((x && !json_is_number(x)) || (y && !json_is_number(y))) {
			put(&c->m, leaf, "difference", json_null());
			put(&c->m, leaf, "change", json_null());
			continue;
		}
		put(&c->m, leaf, "difference",
		    real(json_number_value(y) - json_number_value(x), 1e6));
		put(&c->m, leaf, "change", change_of(json_number_value(x), json_number_value(y)));
	}
	json_decref(both);
	return result;
}

static json_t *side(struct maker *m, const struct store_total *total, enum sheet_part part,
		    bool has_queue_wait)
{
	const struct server_counters_fields *n = &total->sum.counts.n;
	double s = total->covered_s;
	struct json_line line;
	char text[LINE_SIZE];
	json_t *object;

	line_begin(&line, text, sizeof(text));
	line_open(&line, NULL);
	line_sum(&line, &total->sum, s, part, has_queue_wait);
	line_close(&line);
	object = json_loadb(text, line_end(&line, text), 0, NULL);
	put(m, json_object_get(object, "connections"), "created_rate",
	    s > 0 ? per_time((double)n->opened / s) : json_null());
	return object;
}

static void put_side(struct maker *m, json_t *root, const char *key, const json_t *numbers,
		     const struct store_total *total)
{
	json_t *object = json_copy((json_t *)numbers);

	put_time(m, object, "from", ns_of(total->from_s));
	put_time(m, object, "to", ns_of(total->to_s));
	put(m, object, "covered_seconds", real(total->covered_s, 1e3));
	put(m, root, key, object);
}

char *json_of_compare(const struct store_total *a, const struct store_total *b,
		      enum sheet_part part, bool has_queue_wait, const struct sheet_head *head,
		      bool csv, size_t *ret_len)
{
	struct compare c = {.sheet = csv ? sheet_new(SHEET_COMPARE, true, true) : NULL};
	json_t *x = side(&c.m, a, part, has_queue_wait), *y = side(&c.m, b, part, has_queue_wait);
	json_t *root = json_object(), *difference = compare_objects(&c, "", x, y);
	char *text = NULL;

	if (csv && c.sheet && !c.m.failed) {
		text = sheet_text(c.sheet, head, ret_len);
		c.sheet = NULL;
	} else if (!csv) {
		put_text(&c.m, root, "store", head->store);
		put_head_filter(&c.m, root, head);
		put_side(&c.m, root, "a", x, a);
		put_side(&c.m, root, "b", y, b);
		put(&c.m, root, "difference", json_incref(difference));
		text = c.m.failed ? NULL : json_dumps(root, COMPACT);
		*ret_len = text ? strlen(text) : 0;
	}
	sheet_free(c.sheet);
	json_decref(difference);
	json_decref(x);
	json_decref(y);
	json_decref(root);
	return text;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "grid.h"

#define ROWS_MAX (MAX_SERVERS + 1)
#define TOP_SHOWN 10
/* Sections below each other look like one when their columns agree. */
#define LABEL_COLUMN 16
#define VALUE_COLUMN 8

static void named_line(const struct page *page, const char *label, const char *text)
{
	fprintf(page->out, "%-*s", LABEL_COLUMN + 2, label);
	page_words(page, LABEL_COLUMN + 2, text);
}

/* A list that is written piece by piece. */
struct list {
	char text[2048];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void list_add(struct list *list, const char *format,
							   ...)
{
	va_list args;
	int len;

	if (list->len && list->len + 2 < sizeof(list->text)) {
		memcpy(list->text + list->len, ", ", 3);
		list->len += 2;
	}
	va_start(args, format);
	len = vsnprintf(list->text + list->len, sizeof(list->text) - list->len, format, args);
	va_end(args);
	if (len > 0 && list->len + (size_t)len < sizeof(list->text))
		list->len += (size_t)len;
	else
		list->text[list->len] = '\0'; /* no half pieces */
}

/* --- sections --- */

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static void print_head(const struct page *page, const struct summary *s,
		       const struct table_style *style)
{
	char line[512], time[LABEL_SIZE], at[32] = "", count[LABEL_SIZE], rate[LABEL_SIZE];
	char sentence[sizeof((struct list){0}.text) + 48];
	time_t now = (time_t)(s->now_ns / 1000000000);
	struct list list = {0};
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(at, sizeof(at), "%Y-%m-%d %H:%M:%S UTC", &tm);
	if (style->left_s >= 0)
		snprintf(line, sizeof(line), "wsvitals: %s, %.0f s left", style->scope,
			 style->left_s);
	else
		snprintf(line, sizeof(line), "wsvitals: %s, counted for %s until %s", style->scope,
			 time_text(s->counted_s * 1e9, time), at);
	line[LABEL_MAX] = '\0';
	text_cut(line, page->width);
	page_title(page, line);

	list_add(&list, "%s connection%s open", count_text(s->active, count), plural(s->active));
	list_add(&list, "%s messages/s", rate_text(s->rate_1m, rate));
	if (s->latency.count)
		list_add(&list, "p95 latency %s", time_text(s->latency.p95_ns, time));
	list_add(&list, "%s error%s", s->errors ? count_text(s->errors, count) : "no",
		 s->errors == 1 ? "" : "s");
	snprintf(sentence, sizeof(sentence), "%s. %s", list.text,
		 summary_is_balanced(s) ? "All books balance."
					: "THE BOOKS DO NOT BALANCE: see below.");
	page_words(page, 0, sentence);
}

static int compare_servers(const void *a, const void *b)
{
	const struct server_summary *x = *(const struct server_summary *const *)a;
	const struct server_summary *y = *(const struct server_summary *const *)b;
	uint64_t n = x->n.received + x->n.sent, m = y->n.received + y->n.sent;

	if (n != m)
		return n < m ? 1 : -1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void print_servers(const struct page *page, const struct summary *s)
{
	static const struct column columns[] = {
		{.title = "Server", .gives = true, .min = LABEL_COLUMN},
		{.title = "open", .right = true},
		{.title = "opened", .right = true, .spare = 3},
		{.title = "closed", .right = true, .spare = 1},
		{.title = "received", .right = true},
		{.title = "sent", .right = true},
		{.title = "messages/s", .right = true},
		{.title = "p50", .right = true, .spare = 2},
		{.title = "p95", .right = true},
		{.title = "errors", .right = true},
	};
	const struct server_summary *sorted[MAX_SERVERS];
	struct grid *grid;
	char text[LABEL_SIZE];

	if (!s->nr_servers) {
		page_title(page, "Server");
		fputs("no WebSocket was opened yet\n", page->out);
		return;
	}
	grid = GRID_NEW(columns, ROWS_MAX);
	if (!grid)
		return;
	for (size_t i = 0; i < s->nr_servers; i++)
		sorted[i] = &s->servers[i];
	qsort(sorted, s->nr_servers, sizeof(const struct server_summary *), compare_servers);
	for (size_t i = 0; i < s->nr_servers; i++) {
		const struct server_summary *server = sorted[i];
		const struct spread *latency = &server->latency;
		size_t r = grid->nr_rows++;

		grid_set(grid, r, 0, "%s", server->name);
		grid_set(grid, r, 1, "%s", count_text(server->active, text));
		grid_set(grid, r, 2, "%s", count_text(server->n.opened, text));
		grid_set(grid, r, 3, "%s", count_text(server->n.closed, text));
		grid_set(grid, r, 4, "%s", count_text(server->n.received, text));
		grid_set(grid, r, 5, "%s", count_text(server->n.sent, text));
		grid_set(grid, r, 6, "%s", rate_text(server->rate_1m, text));
		grid_set(grid, r, 7, "%s", latency->count ? time_text(latency->p50_ns, text) : "-");
		grid_set(grid, r, 8, "%s", latency->count ? time_text(latency->p95_ns, text) : "-");
		grid_set(grid, r, 9, "%s", count_text(server->errors, text));
	}
	grid_print_and_free(page, grid);
}

static void print_connections(const struct page *page, const struct summary *s)
{
	static const struct column columns[] = {
		{.title = "Connections", .min = LABEL_COLUMN},
		{.title = "open", .right = true, .min = VALUE_COLUMN},
		{.title = "peak", .right = true, .min = VALUE_COLUMN},
		{.title = "opened", .right = true, .min = VALUE_COLUMN},
		{.title = "closed", .right = true, .min = VALUE_COLUMN},
	};
	struct grid *grid = GRID_NEW(columns, ROWS_MAX);
	char text[LABEL_SIZE];
	struct list list = {0};

	if (!grid)
		return;
	grid->nr_rows = s->upstream.opened ? 2 : 1;
	grid_set(grid, 0, 0, "to servers");
	grid_set(grid, 0, 1, "%s", count_text(s->active, text));
	grid_set(grid, 0, 2, "%s", count_text(s->peak, text));
	grid_set(grid, 0, 3, "%s", count_text(s->n.opened, text));
	grid_set(grid, 0, 4, "%s", count_text(s->n.closed, text));
	if (s->upstream.opened) {
		grid_set(grid, 1, 0, "upstream legs");
		grid_set(grid, 1, 1, "%s", count_text(s->upstream_active, text));
		grid_set(grid, 1, 2, "-");
		grid_set(grid, 1, 3, "%s", count_text(s->upstream.opened, text));
		grid_set(grid, 1, 4, "%s", count_text(s->upstream.closed, text));
	}
	grid_print_and_free(page, grid);
	if (s->unrecognised) {
		list_add(&list,
			 "%s more of these servers, open before counting began, silent since",
			 count_text(s->unrecognised, text));
		named_line(page, "not known", list.text);
	}
}

static void print_messages(const struct page *page, const struct summary *s)
{
	static const struct column columns[] = {
		{.title = "Messages", .min = LABEL_COLUMN},
		{.title = "count", .right = true, .min = VALUE_COLUMN},
		{.title = "payload", .right = true, .min = VALUE_COLUMN},
		{.title = "close", .right = true, .min = VALUE_COLUMN},
		{.title = "ping", .right = true, .min = VALUE_COLUMN},
		{.title = "pong", .right = true, .min = VALUE_COLUMN},
	};
	const struct server_counters_fields *n = &s->n;
	struct grid *grid = GRID_NEW(columns, ROWS_MAX);
	char text[LABEL_SIZE], five[LABEL_SIZE], fifteen[LABEL_SIZE];
	struct list list = {0};

	if (!grid)
		return;
	grid->nr_rows = 2;
	grid_set(grid, 0, 0, "received");
	grid_set(grid, 0, 1, "%s", count_text(n->received, text));
	grid_set(grid, 0, 2, "%s", bytes_text(n->bytes_received, text));
	grid_set(grid, 0, 3, "%s", count_text(n->close_received, text));
	grid_set(grid, 0, 4, "%s", count_text(n->ping_received, text));
	grid_set(grid, 0, 5, "%s", count_text(n->pong_received, text));
	grid_set(grid, 1, 0, "sent");
	grid_set(grid, 1, 1, "%s", count_text(n->sent, text));
	grid_set(grid, 1, 2, "%s", bytes_text(n->bytes_sent, text));
	grid_set(grid, 1, 3, "%s", count_text(n->close_sent, text));
	grid_set(grid, 1, 4, "%s", count_text(n->ping_sent, text));
	grid_set(grid, 1, 5, "%s", count_text(n->pong_sent, text));
	grid_print_and_free(page, grid);

	list_add(&list, "%s/s over 1 min", rate_text(s->rate_1m, text));
	list_add(&list, "%s/s over 5 min", rate_text(s->rate_5m, five));
	list_add(&list, "%s/s over 15 min", rate_text(s->rate_15m, fifteen));
	named_line(page, "rate", list.text);
	list = (struct list){0};
	list_add(&list, "%s text", count_text(n->text, text));
	list_add(&list, "%s binary", count_text(n->binary, text));
	named_line(page, "type", list.text);
}

static void time_row(struct grid *grid, const char *name, const struct spread *spread)
{
	const double values[] = {spread->p50_ns, spread->p95_ns, spread->p99_ns,
				 spread->avg_ns, spread->min_ns, spread->max_ns};
	size_t r = grid->nr_rows++;
	char text[LABEL_SIZE];

	grid_set(grid, r, 0, "%s", name);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		grid_set(grid, r, i + 1, "%s", spread->count ? time_text(values[i], text) : "-");
	if (spread->available)
		grid_set(grid, r, 7, "%s", count_text(spread->count, text));
	else
		grid_set(grid, r, 7, "no hook");
}

static void print_times(const struct page *page, const struct summary *s)
{
	static const struct column columns[] = {
		{.title = "Time", .min = LABEL_COLUMN},
		{.title = "p50", .right = true, .min = VALUE_COLUMN},
		{.title = "p95", .right = true, .min = VALUE_COLUMN},
		{.title = "p99", .right = true, .min = VALUE_COLUMN},
		{.title = "avg", .right = true, .min = VALUE_COLUMN},
		{.title = "min", .right = true, .min = VALUE_COLUMN, .spare = 1},
		{.title = "max", .right = true, .min = VALUE_COLUMN},
		{.title = "count", .right = true, .min = VALUE_COLUMN},
	};
	struct grid *grid = GRID_NEW(columns, ROWS_MAX);
	char text[LABEL_SIZE];
	struct list list = {0};

	if (!grid)
		return;
	time_row(grid, "latency", &s->latency);
	time_row(grid, "queue wait", &s->queue_wait);
	time_row(grid, "handshake", &s->handshake);
	time_row(grid, "ping to pong", &s->ping_rtt);
	time_row(grid, "age of open", &s->open_age);
	time_row(grid, "closed after", &s->duration);
	grid_print_and_free(page, grid);

	if (s->window_received)
		list_add(&list, "%.1f %% of the messages received in the last %s",
			 100.0 * (double)s->window_timed / (double)s->window_received,
			 time_text(s->window_s * 1e9, text));
	else
		list_add(&list, "nothing received");
	named_line(page, "timed", list.text);
	list = (struct list){0};
	list_add(&list, "%s push", count_text(s->n.push, text));
	list_add(&list, "%s ambiguous", count_text(s->n.ambiguous, text));
	list_add(&list, "%s unanswered", count_text(s->n.unanswered, text));
	list_add(&list, "%s waiting", count_text(s->waiting, text));
	named_line(page, "not timed", list.text);
}

static void print_codes(const struct page *page, const struct summary *s)
{
	char text[LABEL_SIZE], name[16];
	struct list closes = {0}, refused = {0};

	for (size_t i = 0; i < s->close_codes.nr; i++) {
		const struct code_count *row = &s->close_codes.rows[i];

		snprintf(name, sizeof(name), row->code == CLOSE_INVALID ? "invalid" : "%u",
			 row->code);
		if (row->count[BY_CLIENT])
			list_add(&closes, "%s by client: %s", name,
				 count_text(row->count[BY_CLIENT], text));
		if (row->count[BY_SERVER])
			list_add(&closes, "%s by server: %s", name,
				 count_text(row->count[BY_SERVER], text));
	}
	if (closes.len)
		named_line(page, "close codes", closes.text);
	for (size_t i = 0; i < s->refused.nr; i++) {
		const struct code_count *row = &s->refused.rows[i];

		if (row->code)
			list_add(&refused, "%u: %s", row->code,
				 count_text(row->count[BY_SERVER], text));
		else
			list_add(&refused, "no answer: %s",
				 count_text(row->count[BY_SERVER], text));
	}
	if (refused.len)
		named_line(page, "refused upgrades", refused.text);
}

static void print_causes(const struct page *page, const struct summary *s)
{
	struct list causes = {0}, violations = {0};
	char text[LABEL_SIZE];

	for (int i = 0; i < NR_CAUSES; i++)
		if (s->causes[i])
			list_add(&causes, "%s: %s", cause_key(i), count_text(s->causes[i], text));
	if (causes.len)
		named_line(page, "causes", causes.text);
	for (int i = VIOLATION_NONE + 1; i < NR_VIOLATIONS; i++)
		if (s->violations[i])
			list_add(&violations, "%s: %s", violation_key(i),
				 count_text(s->violations[i], text));
	if (violations.len)
		named_line(page, "violations", violations.text);
}

static void print_errors(const struct page *page, const struct summary *s)
{
	struct list types = {0};
	char text[LABEL_SIZE], rate[LABEL_SIZE];

	page_title(page, "Errors");
	for (int i = ERROR_NONE + 1; i < NR_ERROR_TYPES; i++)
		if (s->by_type[i])
			list_add(&types, "%s: %s", error_key(i), count_text(s->by_type[i], text));
	if (s->errors) {
		char line[2 * LABEL_SIZE + 32];

		snprintf(line, sizeof(line), "%s, %s a minute", count_text(s->errors, text),
			 rate_text(s->error_rate, rate));
		named_line(page, "in all", line);
		named_line(page, "by type", types.text);
	} else {
		named_line(page, "in all", "0");
	}
	print_codes(page, s);
	print_causes(page, s);
}

static void print_recent(const struct page *page, const struct summary *s)
{
	static const struct column columns[] = {
		{.title = "Time, UTC"},
		{.title = "Last errors"},
		{.title = "code", .right = true},
		{.title = "by", .spare = 2},
		{.title = "server", .gives = true, .floor = 12, .spare = 1},
		{.title = "channel", .gives = true, .floor = 12},
		{.title = "message", .gives = true, .floor = 18},
	};
	struct grid *grid;

	if (!s->nr_recent)
		return;
	grid = GRID_NEW(columns, ROWS_MAX);
	if (!grid)
		return;
	fputc('\n', page->out);
	for (size_t i = 0; i < s->nr_recent; i++) {
		const struct error_row *row = &s->recent[i];
		time_t at = (time_t)(row->wall_ns / 1000000000);
		char time[16] = "-";
		size_t r = grid->nr_rows++;
		struct tm tm;

		if (gmtime_r(&at, &tm))
			strftime(time, sizeof(time), "%H:%M:%S", &tm);
		grid_set(grid, r, 0, "%s", time);
		grid_set(grid, r, 1, "%s", error_key(row->type));
		if (row->has_status && row->status)
			grid_set(grid, r, 2, "%u", row->status);
		else if (row->has_code && row->code != CLOSE_INVALID)
			grid_set(grid, r, 2, "%u", row->code);
		else
			grid_set(grid, r, 2, "-");
		grid_set(grid, r, 3, "%s",
			 !row->has_initiator           ? "-"
			 : row->initiator == BY_SERVER ? "server"
						       : "client");
		grid_set(grid, r, 4, "%s", *row->server ? row->server : "-");
		grid_set(grid, r, 5, "%s", *row->channel ? row->channel : "-");
		grid_set(grid, r, 6, "%s", *row->message ? row->message : "-");
	}
	grid_print_and_free(page, grid);
}

static size_t top_rows(const struct top *top)
{
	return top->nr < TOP_SHOWN ? top->nr : TOP_SHOWN;
}

/* One half of the channels and users: the largest, then what is left. */
static void set_top(struct grid *grid, size_t column, const struct top *top)
{
	size_t shown = top_rows(top);
	uint64_t left = top->other;
	char text[LABEL_SIZE];

	for (size_t i = 0; i < shown; i++) {
		grid_set(grid, i, column, "%s", top->rows[i].label);
		grid_set(grid, i, column + 1, "%s", count_text(top->rows[i].count, text));
	}
	for (size_t i = shown; i < top->nr; i++)
		left += top->rows[i].count;
	if (left) {
		grid_set(grid, shown, column, "all others");
		grid_set(grid, shown, column + 1, "%s", count_text(left, text));
		shown++;
	}
	if (shown > grid->nr_rows)
		grid->nr_rows = shown;
}

static void print_tops(const struct page *page, const struct summary *s)
{
	static const struct column columns[] = {
		{.title = "Channel", .gives = true, .min = LABEL_COLUMN},
		{.title = "open", .right = true, .min = VALUE_COLUMN},
		{.title = "User", .gives = true},
		{.title = "open", .right = true, .min = VALUE_COLUMN},
	};
	struct grid *grid;

	if (!s->by_channel.nr && !s->by_channel.other && !s->by_user.nr)
		return;
	grid = GRID_NEW(columns, ROWS_MAX);
	if (!grid)
		return;
	set_top(grid, 0, &s->by_channel);
	set_top(grid, 2, &s->by_user);
	fputc('\n', page->out);
	grid_print_and_free(page, grid);
}

static void bytes_line(const struct page *page, const char *label, uint64_t seen, uint64_t header,
		       uint64_t payload, uint64_t gap)
{
	char a[LABEL_SIZE], b[LABEL_SIZE], c[LABEL_SIZE], d[LABEL_SIZE], line[5 * LABEL_SIZE];

	snprintf(line, sizeof(line), "%s seen = %s header + %s payload + %s gap",
		 count_text(seen, a), count_text(header, b), count_text(payload, c),
		 count_text(gap, d));
	named_line(page, label, line);
}

static void print_losses(const struct page *page, const struct summary *s)
{
	struct list list = {0};
	char text[LABEL_SIZE];

#define X(name, what)                                                                              \
	if (strcmp(#name, "events_submitted") != 0 && s->books.name)                               \
		list_add(&list, "%s: %s", #name, count_text(s->books.name, text));
	BOOKS(X)
#undef X
	if (s->missed_runs)
		list_add(&list, "missed_runs: %s", count_text(s->missed_runs, text));
	if (s->events_undecodable)
		list_add(&list, "undecodable: %s", count_text(s->events_undecodable, text));
	if (s->labels_full)
		list_add(&list, "labels_full: %s", count_text(s->labels_full, text));
	named_line(page, "not followed", list.len ? list.text : "nothing was lost");
}

static void print_unbalanced(const struct page *page, const struct summary *s)
{
	struct list list = {0};

	for (int i = 0; i < NR_BALANCES; i++) {
		if (s->unbalanced >> i & 1)
			list_add(&list, "%s", balance_key(i));
		if (s->upstream_unbalanced >> i & 1)
			list_add(&list, "upstream.%s", balance_key(i));
	}
	if (list.len)
		named_line(page, "NOT BALANCED", list.text);
}

static void print_books(const struct page *page, const struct summary *s)
{
	const struct server_counters_fields *n = &s->n;
	char a[LABEL_SIZE], b[LABEL_SIZE], c[LABEL_SIZE], d[LABEL_SIZE], e[LABEL_SIZE];
	char line[6 * LABEL_SIZE];
	size_t attached = 0;

	page_title(page, "Books");
	print_unbalanced(page, s);
	bytes_line(page, "bytes received", n->seen_received, n->header_received,
		   n->payload_received, n->gap_received);
	bytes_line(page, "bytes sent", n->seen_sent, n->header_sent, n->payload_sent, n->gap_sent);
	snprintf(line, sizeof(line), "%s opened = %s closed + %s active", count_text(n->opened, a),
		 count_text(n->closed, b), count_text(s->active, c));
	named_line(page, "connections", line);
	snprintf(line, sizeof(line),
		 "%s received = %s timed + %s ambiguous + %s unanswered + %s waiting",
		 count_text(n->received, a), count_text(n->timed, b), count_text(n->ambiguous, c),
		 count_text(n->unanswered, d), count_text(s->waiting, e));
	named_line(page, "messages", line);
	snprintf(line, sizeof(line), "%s sent = %s timed + %s push + %s answers to ambiguous",
		 count_text(n->sent, a), count_text(n->timed, b), count_text(n->push, c),
		 count_text(n->answers_to_ambiguous, d));
	named_line(page, "", line);
	snprintf(line, sizeof(line), "%s submitted = %s received + %s dropped",
		 count_text(s->books.events_submitted, a), count_text(s->events_received, b),
		 count_text(s->books.events_dropped_ring + s->events_undecodable, c));
	named_line(page, "events", line);
	print_losses(page, s);
	for (size_t i = 0; i < s->nr_hooks; i++)
		attached += s->hooks[i].attached;
	snprintf(line, sizeof(line), "%zu of %zu attached%s", attached, s->nr_hooks,
		 attached < s->nr_hooks ? " (`wsvitals doctor' says why)" : "");
	named_line(page, "hooks", line);
}

void table_print(FILE *out, const struct summary *summary, const struct table_style *style)
{
	struct page page = {.out = out, .width = style->width, .bold = style->bold};
	void (*const sections[])(const struct page *, const struct summary *) = {
		print_servers, print_connections, print_messages, print_times, print_errors,
	};

	if (page.width < TABLE_WIDTH_MIN)
		page.width = TABLE_WIDTH_MIN;
	if (page.width > TABLE_WIDTH_MAX)
		page.width = TABLE_WIDTH_MAX;
	print_head(&page, summary, style);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		fputc('\n', out);
		sections[i](&page, summary);
	}
	/* These bring their own blank line, as they may have nothing to say. */
	print_recent(&page, summary);
	print_tops(&page, summary);
	fputc('\n', out);
	print_books(&page, summary);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "table_history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_S 1000000000ll
#define NAME_FLOOR 14 /* less of a name says nothing: rather a column less */

static void when(int64_t at_ns, const char *format, char text[LABEL_SIZE])
{
	time_t at = (time_t)(at_ns / NS_S);
	struct tm tm;

	if (!gmtime_r(&at, &tm) || !strftime(text, LABEL_SIZE, format, &tm))
		snprintf(text, LABEL_SIZE, "?");
}

/* --- history --- */

enum line { LINE_OPEN, LINE_RATE, LINE_P95, LINE_ERRORS, NR_LINES };

struct history_table {
	struct page page;
	struct grid *grid;
	/* small lines: points of their own, because there is more room across than down */
	double values[NR_LINES][LINE_POINTS]; /* NAN: not measured */
	int64_t times_s[LINE_POINTS];
	size_t nr_points;
};

struct history_table *history_table_new(const struct page *page)
{
	static const struct column columns[] = {
		{.title = "Time (UTC)"},
		{.title = "open", .right = true},
		{.title = "peak", .right = true, .spare = 4},
		{.title = "opened", .right = true, .spare = 5},
		{.title = "closed", .right = true, .spare = 1},
		{.title = "received", .right = true},
		{.title = "sent", .right = true},
		{.title = "messages/s", .right = true},
		{.title = "p50", .right = true, .spare = 3},
		{.title = "p95", .right = true},
		{.title = "p99", .right = true, .spare = 2},
		{.title = "errors", .right = true},
	};
	struct history_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->page = *page;
	table->grid = GRID_NEW(columns, TABLE_POINTS);
	if (!table->grid) {
		free(table);
		return NULL;
	}
	return table;
}

static struct spread latency_of(const struct history_point *point)
{
	return spread_of(&point->sum->hist[POINT_LATENCY], point->sum->min[POINT_LATENCY],
			 point->sum->max[POINT_LATENCY], 1);
}

static double rate_of(const struct history_point *point)
{
	const struct server_counters_fields *n = &point->sum->counts.n;

	return (double)(n->received + n->sent) / (point->covered_s > 0 ? point->covered_s : 1);
}

void history_table_add(struct history_table *table, const struct history_point *point)
{
	const struct point_counts *n = &point->sum->counts;
	struct grid *grid = table->grid;
	struct spread latency = latency_of(point);
	const double percentiles[] = {latency.p50_ns, latency.p95_ns, latency.p99_ns};
	size_t r = grid->nr_rows;
	char text[LABEL_SIZE];

	if (r == TABLE_POINTS)
		return;
	grid->nr_rows++;
	when(point->time_s * NS_S, point->step_s < 60 ? "%m-%d %H:%M:%S" : "%m-%d %H:%M", text);
	grid_set(grid, r, 0, "%s", text);
	grid_set(grid, r, 1, "%s", count_text(n->active, text));
	grid_set(grid, r, 2, "%s", count_text(n->peak, text));
	grid_set(grid, r, 3, "%s", count_text(n->n.opened, text));
	grid_set(grid, r, 4, "%s", count_text(n->n.closed, text));
	grid_set(grid, r, 5, "%s", count_text(n->n.received, text));
	grid_set(grid, r, 6, "%s", count_text(n->n.sent, text));
	grid_set(grid, r, 7, "%s", rate_text(rate_of(point), text));
	for (size_t i = 0; i < 3; i++)
		grid_set(grid, r, 8 + i, "%s",
			 latency.count ? time_text(percentiles[i], text) : "-");
	grid_set(grid, r, 11, "%s", count_text(n->errors, text));
}

void history_lines_add(struct history_table *table, const struct history_point *point)
{
	const struct point_counts *n = &point->sum->counts;
	struct spread latency = latency_of(point);
	size_t i = table->nr_points;

	if (i == LINE_POINTS)
		return;
	table->nr_points++;
	table->times_s[i] = point->time_s;
	table->values[LINE_OPEN][i] = (double)n->peak;
	table->values[LINE_RATE][i] = rate_of(point);
	table->values[LINE_P95][i] = latency.count ? latency.p95_ns : NAN;
	table->values[LINE_ERRORS][i] = (double)n->errors;
}

/* One character a step, from nothing to the most of them; blank where nothing was counted. */
static void print_line(const struct history_table *table, enum line line, int64_t step_s)
{
	static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	const double *values = table->values[line];
	int64_t next_s = table->times_s[0];
	double most = 0;

	for (size_t i = 0; i < table->nr_points; i++)
		if (values[i] > most) /* not of NAN */
			most = values[i];
	for (size_t i = 0; i < table->nr_points; i++, next_s += step_s) {
		for (; next_s < table->times_s[i]; next_s += step_s)
			putc(' ', table->page.out);
		if (isnan(values[i]))
			putc(' ', table->page.out);
		else
			fputs(bars[most > 0 ? (int)(values[i] / most * 7 + 0.5) : 0],
			      table->page.out);
	}
}

static void print_lines(const struct history_table *table, int64_t step_s)
{
	static const char *const names[] = {"open, peak", "messages/s", "p95", "errors"};
	char text[LABEL_SIZE];

	for (enum line line = 0; line < NR_LINES; line++) {
		double most = 0;

		for (size_t i = 0; i < table->nr_points; i++)
			if (table->values[line][i] > most)
				most = table->values[line][i];
		fprintf(table->page.out, "%-12s", names[line]);
		print_line(table, line, step_s);
		fprintf(table->page.out, "  max %s\n",
			line == LINE_P95    ? time_text(most, text)
			: line == LINE_RATE ? rate_text(most, text)
					    : count_text((uint64_t)most, text));
	}
	putc('\n', table->page.out);
}

void history_table_print(struct history_table *table, int64_t line_step_s)
{
	if (!table->grid->nr_rows) {
		fputs("Nothing is known of this time.\n", table->page.out);
		free(table->grid);
	} else {
		if (table->nr_points)
			print_lines(table, line_step_s);
		grid_print_and_free(&table->page, table->grid);
	}
	free(table);
}

/* --- rows --- */

struct rows_table {
	struct page page;
	struct grid *grid;
	size_t max_rows;
};

static struct rows_table *rows_table_new(const struct page *page, const struct column *columns,
					 size_t nr, size_t max_rows)
{
	struct rows_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	*table = (struct rows_table){
		.page = *page, .grid = grid_new(columns, nr, max_rows), .max_rows = max_rows};
	if (!table->grid) {
		free(table);
		return NULL;
	}
	return table;
}

struct rows_table *connections_table_new(const struct page *page, size_t max_rows)
{
	static const struct column columns[] = {
		{.title = "Opened (UTC)", .spare = 3},
		{.title = "lasted", .right = true},
		{.title = "server", .gives = true, .floor = NAME_FLOOR, .spare = 4},
		{.title = "channel", .gives = true, .floor = NAME_FLOOR},
		{.title = "user", .spare = 2},
		{.title = "received", .right = true},
		{.title = "sent", .right = true},
		{.title = "payload", .right = true, .spare = 1},
		{.title = "end", .gives = true, .floor = 10},
	};

	return rows_table_new(page, columns, sizeof(columns) / sizeof(columns[0]), max_rows);
}

static void add_connection(struct rows_table *table, const struct closed_connection *c,
			   const char *end)
{
	struct grid *grid = table->grid;
	size_t r = grid->nr_rows;
	char text[LABEL_SIZE];

	if (r == table->max_rows)
		return;
	grid->nr_rows++;
	when(c->opened_ns, "%m-%d %H:%M:%S", text);
	grid_set(grid, r, 0, "%s", text);
	grid_set(grid, r, 1, "%s", time_text((double)(c->closed_ns - c->opened_ns), text));
	grid_set(grid, r, 2, "%s", c->server);
	grid_set(grid, r, 3, "%s", c->channel);
	grid_set(grid, r, 4, "%s", c->user);
	grid_set(grid, r, 5, "%s", count_text(c->received, text));
	grid_set(grid, r, 6, "%s", count_text(c->sent, text));
	grid_set(grid, r, 7, "%s", bytes_text(c->bytes_received + c->bytes_sent, text));
	grid_set(grid, r, 8, "%s", end);
}

void connections_table_open(struct rows_table *table, const struct open_connection *c,
			    uint64_t now_wall_ns)
{
	add_connection(table,
		       &(struct closed_connection){
			       .opened_ns = (int64_t)c->open_wall_ns,
			       .closed_ns = (int64_t)now_wall_ns,
			       .server = c->server,
			       .channel = c->channel,
			       .user = c->user,
			       .received = c->received,
			       .sent = c->sent,
			       .bytes_received = c->bytes_received,
			       .bytes_sent = c->bytes_sent,
		       },
		       "open");
}

void connections_table_closed(struct rows_table *table, const struct closed_connection *c)
{
	const char *error = c->error == ERROR_NONE ? "" : error_key(c->error);
	char end[LABEL_SIZE];

	if (c->has_close && c->code != CLOSE_INVALID)
		snprintf(end, sizeof(end), "%u by %s %s", c->code,
			 c->initiator == BY_SERVER ? "server" : "client", error);
	else
		snprintf(end, sizeof(end), "%s %s", c->has_close ? "" : cause_key(c->cause), error);
	add_connection(table, c, end);
}

struct rows_table *errors_table_new(const struct page *page, size_t max_rows)
{
	static const struct column columns[] = {
		{.title = "Time (UTC)"},
		{.title = "type"},
		{.title = "code", .right = true},
		{.title = "by", .spare = 1},
		{.title = "server", .gives = true, .floor = NAME_FLOOR, .spare = 3},
		{.title = "channel", .gives = true, .floor = NAME_FLOOR},
		{.title = "user", .spare = 2},
		{.title = "message", .gives = true, .floor = NAME_FLOOR},
	};

	return rows_table_new(page, columns, sizeof(columns) / sizeof(columns[0]), max_rows);
}

void errors_table_add(struct rows_table *table, const struct error_entry *e)
{
	struct grid *grid = table->grid;
	size_t r = grid->nr_rows;
	char text[LABEL_SIZE];

	if (r == table->max_rows)
		return;
	grid->nr_rows++;
	when(e->at_ns, "%m-%d %H:%M:%S", text);
	grid_set(grid, r, 0, "%s", text);
	grid_set(grid, r, 1, "%s", error_key(e->type));
	if (e->has_code || e->has_status)
		grid_set(grid, r, 2, "%u", e->has_code ? e->code : e->status);
	grid_set(grid, r, 3, "%s",
		 !e->has_initiator           ? ""
		 : e->initiator == BY_SERVER ? "server"
					     : "client");
	grid_set(grid, r, 4, "%s", e->server);
	grid_set(grid, r, 5, "%s", e->channel);
	grid_set(grid, r, 6, "%s", e->user);
	grid_set(grid, r, 7, "%s", e->message);
}

void rows_table_print(struct rows_table *table, const char *what, size_t total)
{
	size_t shown = table->grid->nr_rows;

	if (shown)
		grid_print_and_free(&table->page, table->grid);
	else
		free(table->grid);
	if (shown < total)
		fprintf(table->page.out, "\n%zu of %zu %s\n", shown, total, what);
	else if (!shown)
		fprintf(table->page.out, "No %s in this time.\n", what);
	free(table);
}

/* --- two periods --- */

struct measure {
	const char *name;
	double a, b; /* NAN: not known */
	enum { AS_COUNT, AS_RATE, AS_TIME } as;
};

static const char *measure_text(const struct measure *measure, double value, char text[LABEL_SIZE])
{
	if (isnan(value))
		return "-";
	if (measure->as == AS_TIME)
		return time_text(value, text);
	return measure->as == AS_RATE ? rate_text(value, text) : count_text((uint64_t)value, text);
}

static const char *change_text(double a, double b, char text[LABEL_SIZE])
{
	double percent = (b - a) / a * 100;

	if (!(a > 0) || isnan(b))
		return "-";
	if (fabs(percent) < 0.5) /* neither +0 nor -0 */
		return "0 %";
	snprintf(text, LABEL_SIZE, "%+.0f %%", percent);
	return text;
}

static double known(const struct store_side *side, enum point_hist which, double value)
{
	return side->hist[which].count ? value : NAN;
}

void compare_table_print(const struct page *page, const struct store_total *a,
			 const struct store_total *b)
{
	static const struct column columns[] = {
		{.title = "", .min = 20},
		{.title = "first", .right = true, .min = 12},
		{.title = "second", .right = true, .min = 12},
		{.title = "change", .right = true},
	};
	static struct store_side x, y; /* large, and one at a time */
	char first[LABEL_SIZE], second[LABEL_SIZE], text[LABEL_SIZE];
	struct grid *grid = GRID_NEW(columns, 24);
	const struct store_total *totals[] = {a, b};

	if (!grid)
		return;
	store_side_of(a, &x);
	store_side_of(b, &y);
	for (int i = 0; i < 2; i++) {
		when(totals[i]->from_s * NS_S, "%Y-%m-%d %H:%M:%S", first);
		when(totals[i]->to_s * NS_S, "%Y-%m-%d %H:%M:%S", second);
		fprintf(page->out, "%s  %s to %s UTC, counted for %s\n", i ? "second" : "first ",
			first, second, time_text(totals[i]->covered_s * 1e9, text));
	}
	putc('\n', page->out);
	{
		const struct measure measures[] = {
			{"peak connections", (double)x.peak, (double)y.peak, AS_COUNT},
			{"opened a second", x.opened_rate, y.opened_rate, AS_RATE},
			{"received a second", x.received_rate, y.received_rate, AS_RATE},
			{"sent a second", x.sent_rate, y.sent_rate, AS_RATE},
			{"errors", (double)x.counts.errors, (double)y.counts.errors, AS_COUNT},
			{"errors a minute", x.error_rate * 60, y.error_rate * 60, AS_RATE},
#define SPREAD(text, which, field)                                                                 \
	{text, known(&x, which, x.hist[which].field), known(&y, which, y.hist[which].field),       \
	 AS_TIME}
			SPREAD("latency p50", POINT_LATENCY, p50_ns),
			SPREAD("latency p95", POINT_LATENCY, p95_ns),
			SPREAD("latency p99", POINT_LATENCY, p99_ns),
			SPREAD("latency max", POINT_LATENCY, max_ns),
			SPREAD("queue wait p95", POINT_QUEUE_WAIT, p95_ns),
			SPREAD("handshake p95", POINT_HANDSHAKE, p95_ns),
			SPREAD("duration median", POINT_DURATION, p50_ns),
#undef SPREAD
		};

		for (size_t r = 0; r < sizeof(measures) / sizeof(measures[0]); r++) {
			const struct measure *m = &measures[r];

			grid->nr_rows = r + 1;
			grid_set(grid, r, 0, "%s", m->name);
			grid_set(grid, r, 1, "%s", measure_text(m, m->a, text));
			grid_set(grid, r, 2, "%s", measure_text(m, m->b, text));
			grid_set(grid, r, 3, "%s", change_text(m->a, m->b, text));
		}
	}
	grid_print_and_free(page, grid);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "prometheus.h"

struct exposition {
	FILE *out;
	enum prometheus_format format;
};

static bool text_ends_with(const char *text, size_t len, const char *end)
{
	size_t end_len = strlen(end);

	return len > end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

/*
 * The lines above a family's samples. OpenMetrics 1.0.0: a counter's family is named without the
 * _total of its samples, and a unit has a line of its own.
 */
static void family(const struct exposition *x, const char *name, const char *type, const char *help)
{
	static const char *const units[] = {"seconds", "bytes"};
	int len = (int)strlen(name);

	if (x->format == PROMETHEUS_OPENMETRICS && text_ends_with(name, strlen(name), "_total"))
		len -= 6;
	fprintf(x->out, "# HELP wsvitals_%.*s %s\n# TYPE wsvitals_%.*s %s\n", len, name, help, len,
		name, type);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (x->format == PROMETHEUS_OPENMETRICS &&
		    text_ends_with(name, (size_t)len, units[i]))
			fprintf(x->out, "# UNIT wsvitals_%.*s %s\n", len, name, units[i]);
}

/* A label value between its quotes. Control characters are gone since label_clean. */
static void label_value(const struct exposition *x, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', x->out);
		if (*value == '\n')
			fputs("\\n", x->out);
		else
			fputc(*value, x->out);
	}
}

/* One sample of a family with up to two labels besides the server; NULL ends them. */
static void sample(const struct exposition *x, const char *name, const char *server,
		   const char *label1, const char *value1, const char *label2, const char *value2,
		   uint64_t count)
{
	fprintf(x->out, "wsvitals_%s{server=\"", name);
	label_value(x, server);
	fputc('"', x->out);
	if (label1)
		fprintf(x->out, ",%s=\"%s\"", label1, value1);
	if (label2)
		fprintf(x->out, ",%s=\"%s\"", label2, value2);
	fprintf(x->out, "} %" PRIu64 "\n", count);
}

#define EACH_SERVER(s, server)                                                                     \
	for (const struct server_summary *server = (s)->servers;                                   \
	     server < (s)->servers + (s)->nr_servers; server++)

static void print_connections(const struct exposition *x, const struct summary *s)
{
	family(x, "connections", "gauge", "WebSocket connections open now.");
	EACH_SERVER(s, server)
	sample(x, "connections", server->name, NULL, NULL, NULL, NULL, server->active);
	family(x, "connections_opened_total", "counter", "WebSocket connections opened.");
	EACH_SERVER(s, server)
	sample(x, "connections_opened_total", server->name, NULL, NULL, NULL, NULL,
	       server->n.opened);
	family(x, "server_passes_on", "gauge",
	       "1: a proxy's connections, which the server behind it has too: leave it out of "
	       "sums.");
	EACH_SERVER(s, server)
	sample(x, "server_passes_on", server->name, NULL, NULL, NULL, NULL, server->proxy);
	family(x, "connections_resynced_total", "counter",
	       "Of the opened: open before counting began, and recognised by their frames.");
	EACH_SERVER(s, server)
	sample(x, "connections_resynced_total", server->name, NULL, NULL, NULL, NULL,
	       server->n.resynced);
	family(x, "connections_unrecognised", "gauge",
	       "Connections of these servers that were open before counting began, silent since.");
	fprintf(x->out, "wsvitals_connections_unrecognised %" PRIu64 "\n", s->unrecognised);
	family(x, "connections_closed_total", "counter", "WebSocket connections closed.");
	EACH_SERVER(s, server)
	sample(x, "connections_closed_total", server->name, NULL, NULL, NULL, NULL,
	       server->n.closed);
}

/* Counters that have one row per value of "direction" and perhaps of one more label. */
struct directed {
	const char *value; /* of the second label, NULL without */
	const char *direction;
	size_t at; /* in struct server_counters_fields */
};

#define AT(field) offsetof(struct server_counters_fields, field)

static void print_directed(const struct exposition *x, const struct summary *s, const char *name,
			   const char *help, const char *label, const struct directed *rows,
			   size_t nr)
{
	family(x, name, "counter", help);
	EACH_SERVER(s, server)
	for (size_t i = 0; i < nr; i++)
		sample(x, name, server->name, rows[i].direction ? "direction" : label,
		       rows[i].direction ? rows[i].direction : rows[i].value,
		       rows[i].direction && rows[i].value ? label : NULL, rows[i].value,
		       *(const __u64 *)((const char *)&server->n + rows[i].at));
}

static void print_messages(const struct exposition *x, const struct summary *s)
{
	static const struct directed messages[] = {
		{NULL, "received", AT(received)},
		{NULL, "sent", AT(sent)},
	};
	static const struct directed bytes[] = {
		{NULL, "received", AT(bytes_received)},
		{NULL, "sent", AT(bytes_sent)},
	};
	static const struct directed opcodes[] = {
		{"text", NULL, AT(text)},
		{"binary", NULL, AT(binary)},
	};
	static const struct directed control[] = {
		{"close", "received", AT(close_received)}, {"ping", "received", AT(ping_received)},
		{"pong", "received", AT(pong_received)},   {"close", "sent", AT(close_sent)},
		{"ping", "sent", AT(ping_sent)},           {"pong", "sent", AT(pong_sent)},
	};
	static const struct directed paired[] = {
		{"timed", "received", AT(timed)},
		{"ambiguous", "received", AT(ambiguous)},
		{"unanswered", "received", AT(unanswered)},
		{"timed", "sent", AT(timed)},
		{"push", "sent", AT(push)},
		{"answers_to_ambiguous", "sent", AT(answers_to_ambiguous)},
	};
	static const struct directed capture[] = {
		{"header", "received", AT(header_received)},
		{"payload", "received", AT(payload_received)},
		{"gap", "received", AT(gap_received)},
		{"header", "sent", AT(header_sent)},
		{"payload", "sent", AT(payload_sent)},
		{"gap", "sent", AT(gap_sent)},
	};
#define PRINT(name, help, label, rows)                                                             \
	print_directed(x, s, name, help, label, rows, sizeof(rows) / sizeof((rows)[0]))

	PRINT("messages_total", "Data messages; received is client to server.", NULL, messages);
	PRINT("message_bytes_total", "Payload bytes of data messages as they passed.", NULL, bytes);
	PRINT("messages_by_type_total", "Data messages of both directions.", "type", opcodes);
	PRINT("control_frames_total", "Control frames.", "type", control);
	PRINT("paired_messages_total", "How messages were paired for the reply latency.", "result",
	      paired);
	PRINT("seen_bytes_total", "Bytes that passed after the handshake, by what they were.",
	      "part", capture);
#undef PRINT
}

static void print_errors(const struct exposition *x, const struct summary *s)
{
	static const char *const hundreds[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	char class[8];

	family(x, "errors_total", "counter", "Errors by type, at most one a connection.");
	EACH_SERVER(s, server)
	for (int i = ERROR_NONE + 1; i < NR_ERROR_TYPES; i++)
		sample(x, "errors_total", server->name, "type", error_key(i), NULL, NULL,
		       server->by_type[i]);
	family(x, "abnormal_closures_total", "counter",
	       "Connections that ended without a close frame.");
	EACH_SERVER(s, server)
	for (int i = 0; i < NR_CAUSES; i++)
		sample(x, "abnormal_closures_total", server->name, "cause", cause_key(i), NULL,
		       NULL, server->causes[i]);
	family(x, "violations_total", "counter", "Breaches of RFC 6455 that were seen.");
	EACH_SERVER(s, server)
	for (int i = VIOLATION_NONE + 1; i < NR_VIOLATIONS; i++)
		sample(x, "violations_total", server->name, "violation", violation_key(i), NULL,
		       NULL, server->violations[i]);
	family(x, "closes_total", "counter", "Connections that ended with a close frame.");
	EACH_SERVER(s, server)
	for (size_t i = 0; i < CLOSE_CLASSES; i++) {
		close_class_text(i, class);
		sample(x, "closes_total", server->name, "code", class, "initiator", "client",
		       server->closes[i][BY_CLIENT]);
		sample(x, "closes_total", server->name, "code", class, "initiator", "server",
		       server->closes[i][BY_SERVER]);
	}
	family(x, "upgrades_refused_total", "counter",
	       "Upgrade requests that were refused, by status; 1xx: wrong Sec-WebSocket-Accept.");
	EACH_SERVER(s, server)
	for (size_t i = 0; i < sizeof(hundreds) / sizeof(hundreds[0]); i++)
		sample(x, "upgrades_refused_total", server->name, "status", hundreds[i], NULL, NULL,
		       server->refused[i]);
}

/* Bounds of a classic histogram: powers of two, and what lies in the middle of two, of its unit. */
struct bounds {
	unsigned first, last; /* exponents */
	unsigned halves;      /* 1: two bounds an octave */
	double unit_s;        /* seconds in one unit of the histogram */
};

static void print_bucket(const struct exposition *x, const char *name, const char *server,
			 const struct hist *hist, uint64_t bound, double unit_s)
{
	fprintf(x->out, "wsvitals_%s_bucket{server=\"", name);
	label_value(x, server);
	/* Whole units: a value that equals the bound counts above it, by one unit. */
	fprintf(x->out, "\",le=\"%.9g\"} %" PRIu64 "\n", (double)bound * unit_s,
		hist_below(hist, bound));
}

static void print_hist(const struct exposition *x, const char *name, const char *server,
		       const struct hist *hist, const struct bounds *bounds)
{
	uint64_t count = hist_count(hist);

	for (unsigned e = bounds->first; e <= bounds->last; e++) {
		print_bucket(x, name, server, hist, 1ull << e, bounds->unit_s);
		if (bounds->halves && e < bounds->last)
			print_bucket(x, name, server, hist, 3ull << (e - 1), bounds->unit_s);
	}
	fprintf(x->out, "wsvitals_%s_bucket{server=\"", name);
	label_value(x, server);
	fprintf(x->out, "\",le=\"+Inf\"} %" PRIu64 "\nwsvitals_%s_sum{server=\"", count, name);
	label_value(x, server);
	fprintf(x->out, "\"} %.9f\nwsvitals_%s_count{server=\"", (double)hist->sum * bounds->unit_s,
		name);
	label_value(x, server);
	fprintf(x->out, "\"} %" PRIu64 "\n", count);
}

static void print_hists(const struct exposition *x, const struct summary *s)
{
	static const struct bounds latency = {16, 37, 1, 1e-9}; /* 65 µs to 137 s */
	static const struct bounds duration = {6, 31, 0, 1e-3}; /* 64 ms to 25 days */

	family(x, "latency_seconds", "histogram",
	       "From the read of a message to the write of its answer.");
	EACH_SERVER(s, server)
	if (server->hists)
		print_hist(x, "latency_seconds", server->name, &server->hists->latency, &latency);
	if (s->queue_wait.available) {
		family(x, "queue_wait_seconds", "histogram",
		       "From bytes arriving at an empty receive queue to the read of them.");
		EACH_SERVER(s, server)
		if (server->hists)
			print_hist(x, "queue_wait_seconds", server->name,
				   &server->hists->queue_wait, &latency);
	}
	family(x, "handshake_seconds", "histogram", "From the upgrade request to its answer.");
	EACH_SERVER(s, server)
	if (server->rare)
		print_hist(x, "handshake_seconds", server->name, &server->rare->handshake,
			   &latency);
	family(x, "ping_rtt_seconds", "histogram", "From a server's ping to its pong.");
	EACH_SERVER(s, server)
	if (server->rare)
		print_hist(x, "ping_rtt_seconds", server->name, &server->rare->ping_rtt, &latency);
	family(x, "connection_duration_seconds", "histogram",
	       "How long closed connections were open.");
	EACH_SERVER(s, server)
	if (server->rare)
		print_hist(x, "connection_duration_seconds", server->name,
			   &server->rare->duration_ms, &duration);
}

static void print_capture(const struct exposition *x, const struct summary *s)
{
	family(x, "upstream_connections", "gauge",
	       "WebSocket connections that processes of this host have opened.");
	fprintf(x->out, "wsvitals_upstream_connections %" PRIu64 "\n", s->upstream_active);
	family(x, "upstream_messages_total", "counter", "Data messages on these.");
	fprintf(x->out, "wsvitals_upstream_messages_total %" PRIu64 "\n",
		(uint64_t)(s->upstream.received + s->upstream.sent));

	family(x, "capture_balanced", "gauge", "1 when all books balance.");
	fprintf(x->out, "wsvitals_capture_balanced %d\n", summary_is_balanced(s));
	family(x, "capture_events_total", "counter", "Records from the kernel half.");
	fprintf(x->out,
		"wsvitals_capture_events_total{result=\"received\"} %" PRIu64
		"\nwsvitals_capture_events_total{result=\"undecodable\"} %" PRIu64 "\n",
		s->events_received, s->events_undecodable);
	family(x, "capture_losses_total", "counter", "What could not be followed, by reason.");
#define X(name, text)                                                                              \
	if (strcmp(#name, "events_submitted") != 0)                                                \
		fprintf(x->out,                                                                    \
			"wsvitals_capture_losses_total{reason=\"" #name "\"} %" PRIu64 "\n",       \
			(uint64_t)s->books.name);
	BOOKS(X)
#undef X
	fprintf(x->out, "wsvitals_capture_losses_total{reason=\"missed_runs\"} %" PRIu64 "\n",
		s->missed_runs);
	fprintf(x->out, "wsvitals_capture_losses_total{reason=\"labels_full\"} %" PRIu64 "\n",
		s->labels_full);
	family(x, "hook_attached", "gauge", "1 when the kernel's hook is in use.");
	for (size_t i = 0; i < s->nr_hooks; i++) {
		fputs("wsvitals_hook_attached{hook=\"", x->out);
		label_value(x, s->hooks[i].name);
		/* Two programs may share a hook. */
		fputs("\",purpose=\"", x->out);
		label_value(x, s->hooks[i].purpose);
		fprintf(x->out, "\"} %d\n", s->hooks[i].attached);
	}
	family(x, "counting_since_timestamp_seconds", "gauge", "When the counters were 0.");
	fprintf(x->out, "wsvitals_counting_since_timestamp_seconds %.3f\n",
		(double)s->since_ns / 1e9);
}

/* The version as a label, as is the custom; in OpenMetrics a type of its own. */
static void print_build(const struct exposition *x)
{
	if (x->format == PROMETHEUS_OPENMETRICS)
		family(x, "build", "info", "The program that counts.");
	else
		family(x, "build_info", "gauge", "The program that counts.");
	fprintf(x->out, "wsvitals_build_info{version=\"" WSVITALS_VERSION "\"} 1\n");
}

void prometheus_print(FILE *out, const struct summary *summary, enum prometheus_format format)
{
	const struct exposition x = {out, format};

	print_build(&x);
	print_connections(&x, summary);
	print_messages(&x, summary);
	print_errors(&x, summary);
	print_hists(&x, summary);
	print_capture(&x, summary);
	if (format == PROMETHEUS_OPENMETRICS)
		fputs("# EOF\n", out);
}

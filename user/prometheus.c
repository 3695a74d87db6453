// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <inttypes.h>
#include <string.h>

#include "prometheus.h"

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP wsvitals_%s %s\n# TYPE wsvitals_%s %s\n", name, help, name, type);
}

/* A label value between its quotes. Control characters are gone since label_clean. */
static void label_value(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', out);
		if (*value == '\n')
			fputs("\\n", out);
		else
			fputc(*value, out);
	}
}

/* One sample of a family with up to two labels besides the server; NULL ends them. */
static void sample(FILE *out, const char *name, const char *server, const char *label1,
		   const char *value1, const char *label2, const char *value2, uint64_t count)
{
	fprintf(out, "wsvitals_%s{server=\"", name);
	label_value(out, server);
	fputc('"', out);
	if (label1)
		fprintf(out, ",%s=\"%s\"", label1, value1);
	if (label2)
		fprintf(out, ",%s=\"%s\"", label2, value2);
	fprintf(out, "} %" PRIu64 "\n", count);
}

#define EACH_SERVER(s, server)                                                                     \
	for (const struct server_summary *server = (s)->servers;                                   \
	     server < (s)->servers + (s)->nr_servers; server++)

static void print_connections(FILE *out, const struct summary *s)
{
	family(out, "connections", "gauge", "WebSocket connections open now.");
	EACH_SERVER(s, server)
	sample(out, "connections", server->name, NULL, NULL, NULL, NULL, server->active);
	family(out, "connections_opened_total", "counter", "WebSocket connections opened.");
	EACH_SERVER(s, server)
	sample(out, "connections_opened_total", server->name, NULL, NULL, NULL, NULL,
	       server->n.opened);
	family(out, "connections_closed_total", "counter", "WebSocket connections closed.");
	EACH_SERVER(s, server)
	sample(out, "connections_closed_total", server->name, NULL, NULL, NULL, NULL,
	       server->n.closed);
}

/* Counters that have one row per value of "direction" and perhaps of one more label. */
struct directed {
	const char *value; /* of the second label, NULL without */
	const char *direction;
	size_t at; /* in struct server_counters_fields */
};

#define AT(field) offsetof(struct server_counters_fields, field)

static void print_directed(FILE *out, const struct summary *s, const char *name, const char *help,
			   const char *label, const struct directed *rows, size_t nr)
{
	family(out, name, "counter", help);
	EACH_SERVER(s, server)
	for (size_t i = 0; i < nr; i++)
		sample(out, name, server->name, rows[i].direction ? "direction" : label,
		       rows[i].direction ? rows[i].direction : rows[i].value,
		       rows[i].direction && rows[i].value ? label : NULL, rows[i].value,
		       *(const __u64 *)((const char *)&server->n + rows[i].at));
}

static void print_messages(FILE *out, const struct summary *s)
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
	print_directed(out, s, name, help, label, rows, sizeof(rows) / sizeof((rows)[0]))

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

static void print_errors(FILE *out, const struct summary *s)
{
	static const char *const hundreds[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	char class[8];

	family(out, "errors_total", "counter", "Errors by type, at most one a connection.");
	EACH_SERVER(s, server)
	for (int i = ERROR_NONE + 1; i < NR_ERROR_TYPES; i++)
		sample(out, "errors_total", server->name, "type", error_key(i), NULL, NULL,
		       server->by_type[i]);
	family(out, "abnormal_closures_total", "counter",
	       "Connections that ended without a close frame.");
	EACH_SERVER(s, server)
	for (int i = 0; i < NR_CAUSES; i++)
		sample(out, "abnormal_closures_total", server->name, "cause", cause_key(i), NULL,
		       NULL, server->causes[i]);
	family(out, "violations_total", "counter", "Breaches of RFC 6455 that were seen.");
	EACH_SERVER(s, server)
	for (int i = VIOLATION_NONE + 1; i < NR_VIOLATIONS; i++)
		sample(out, "violations_total", server->name, "violation", violation_key(i), NULL,
		       NULL, server->violations[i]);
	family(out, "closes_total", "counter", "Connections that ended with a close frame.");
	EACH_SERVER(s, server)
	for (size_t i = 0; i < CLOSE_CLASSES; i++) {
		close_class_text(i, class);
		sample(out, "closes_total", server->name, "code", class, "initiator", "client",
		       server->closes[i][BY_CLIENT]);
		sample(out, "closes_total", server->name, "code", class, "initiator", "server",
		       server->closes[i][BY_SERVER]);
	}
	family(out, "upgrades_refused_total", "counter",
	       "Upgrade requests that were refused, by status; 1xx: wrong Sec-WebSocket-Accept.");
	EACH_SERVER(s, server)
	for (size_t i = 0; i < sizeof(hundreds) / sizeof(hundreds[0]); i++)
		sample(out, "upgrades_refused_total", server->name, "status", hundreds[i], NULL,
		       NULL, server->refused[i]);
}

/* Bounds of a classic histogram: powers of two, and what lies in the middle of two, of its unit. */
struct bounds {
	unsigned first, last; /* exponents */
	unsigned halves;      /* 1: two bounds an octave */
	double unit_s;        /* seconds in one unit of the histogram */
};

static void print_bucket(FILE *out, const char *name, const char *server, const struct hist *hist,
			 uint64_t bound, double unit_s)
{
	fprintf(out, "wsvitals_%s_bucket{server=\"", name);
	label_value(out, server);
	/* Whole units: a value that equals the bound counts above it, by one unit. */
	fprintf(out, "\",le=\"%.9g\"} %" PRIu64 "\n", (double)bound * unit_s,
		hist_below(hist, bound));
}

static void print_hist(FILE *out, const char *name, const char *server, const struct hist *hist,
		       const struct bounds *bounds)
{
	uint64_t count = hist_count(hist);

	for (unsigned e = bounds->first; e <= bounds->last; e++) {
		print_bucket(out, name, server, hist, 1ull << e, bounds->unit_s);
		if (bounds->halves && e < bounds->last)
			print_bucket(out, name, server, hist, 3ull << (e - 1), bounds->unit_s);
	}
	fprintf(out, "wsvitals_%s_bucket{server=\"", name);
	label_value(out, server);
	fprintf(out, "\",le=\"+Inf\"} %" PRIu64 "\nwsvitals_%s_sum{server=\"", count, name);
	label_value(out, server);
	fprintf(out, "\"} %.9f\nwsvitals_%s_count{server=\"", (double)hist->sum * bounds->unit_s,
		name);
	label_value(out, server);
	fprintf(out, "\"} %" PRIu64 "\n", count);
}

static void print_hists(FILE *out, const struct summary *s)
{
	static const struct bounds latency = {16, 37, 1, 1e-9}; /* 65 µs to 137 s */
	static const struct bounds duration = {6, 31, 0, 1e-3}; /* 64 ms to 25 days */

	family(out, "latency_seconds", "histogram",
	       "From the read of a message to the write of its answer.");
	EACH_SERVER(s, server)
	if (server->hists)
		print_hist(out, "latency_seconds", server->name, &server->hists->latency, &latency);
	if (s->queue_wait.available) {
		family(out, "queue_wait_seconds", "histogram",
		       "From bytes arriving at an empty receive queue to the read of them.");
		EACH_SERVER(s, server)
		if (server->hists)
			print_hist(out, "queue_wait_seconds", server->name,
				   &server->hists->queue_wait, &latency);
	}
	family(out, "handshake_seconds", "histogram", "From the upgrade request to its answer.");
	EACH_SERVER(s, server)
	if (server->rare)
		print_hist(out, "handshake_seconds", server->name, &server->rare->handshake,
			   &latency);
	family(out, "ping_rtt_seconds", "histogram", "From a server's ping to its pong.");
	EACH_SERVER(s, server)
	if (server->rare)
		print_hist(out, "ping_rtt_seconds", server->name, &server->rare->ping_rtt,
			   &latency);
	family(out, "connection_duration_seconds", "histogram",
	       "How long closed connections were open.");
	EACH_SERVER(s, server)
	if (server->rare)
		print_hist(out, "connection_duration_seconds", server->name,
			   &server->rare->duration_ms, &duration);
}

static void print_capture(FILE *out, const struct summary *s)
{
	family(out, "upstream_connections", "gauge",
	       "WebSocket connections that processes of this host have opened.");
	fprintf(out, "wsvitals_upstream_connections %" PRIu64 "\n", s->upstream_active);
	family(out, "upstream_messages_total", "counter", "Data messages on these.");
	fprintf(out, "wsvitals_upstream_messages_total %" PRIu64 "\n",
		(uint64_t)(s->upstream.received + s->upstream.sent));

	family(out, "capture_balanced", "gauge", "1 when all books balance.");
	fprintf(out, "wsvitals_capture_balanced %d\n", summary_is_balanced(s));
	family(out, "capture_events_total", "counter", "Records from the kernel half.");
	fprintf(out,
		"wsvitals_capture_events_total{result=\"received\"} %" PRIu64
		"\nwsvitals_capture_events_total{result=\"undecodable\"} %" PRIu64 "\n",
		s->events_received, s->events_undecodable);
	family(out, "capture_losses_total", "counter", "What could not be followed, by reason.");
#define X(name, text)                                                                              \
	if (strcmp(#name, "events_submitted") != 0)                                                \
		fprintf(out, "wsvitals_capture_losses_total{reason=\"" #name "\"} %" PRIu64 "\n",  \
			(uint64_t)s->books.name);
	BOOKS(X)
#undef X
	fprintf(out, "wsvitals_capture_losses_total{reason=\"missed_runs\"} %" PRIu64 "\n",
		s->missed_runs);
	fprintf(out, "wsvitals_capture_losses_total{reason=\"labels_full\"} %" PRIu64 "\n",
		s->labels_full);
	family(out, "hook_attached", "gauge", "1 when the kernel's hook is in use.");
	for (size_t i = 0; i < s->nr_hooks; i++) {
		fputs("wsvitals_hook_attached{hook=\"", out);
		label_value(out, s->hooks[i].name);
		/* Two programs may share a hook. */
		fputs("\",purpose=\"", out);
		label_value(out, s->hooks[i].purpose);
		fprintf(out, "\"} %d\n", s->hooks[i].attached);
	}
	family(out, "counting_since_timestamp_seconds", "gauge", "When the counters were 0.");
	fprintf(out, "wsvitals_counting_since_timestamp_seconds %.3f\n", (double)s->since_ns / 1e9);
}

void prometheus_print(FILE *out, const struct summary *summary)
{
	print_connections(out, summary);
	print_messages(out, summary);
	print_errors(out, summary);
	print_hists(out, summary);
	print_capture(out, summary);
}

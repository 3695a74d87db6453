// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "json_maker.h"

static void put_top(struct maker *m, json_t *parent, const char *key, const struct top *top)
{
	json_t *object = put_object(m, parent, key);

	for (size_t i = 0; i < top->nr; i++)
		put_count(m, object, top->rows[i].label, top->rows[i].count);
	if (top->more)
		put_count(m, object, "other", top->other);
}

static void put_connections(struct maker *m, json_t *root, const struct summary *s)
{
	json_t *connections = put_object(m, root, "connections"), *servers;

	put_count(m, connections, "total", s->active);
	put_count_if(m, connections, "peak", s->has_peak, s->peak);
	put_count(m, connections, "created", s->n.opened);
	put_count(m, connections, "closed", s->n.closed);
	put(m, connections, "resynced",
	    s->has_details ? json_integer((json_int_t)s->n.resynced) : json_null());
	put_count(m, connections, "unrecognised", s->unrecognised);
	put_top(m, connections, "by_user", &s->by_user);
	put_top(m, connections, "by_channel", &s->by_channel);
	servers = put_object(m, connections, "by_server");
	for (size_t i = 0; i < s->nr_servers; i++)
		put_count(m, servers, s->servers[i].name, s->servers[i].active);
	servers = put_object(m, connections, "by_proxy");
	for (size_t i = 0; i < s->nr_servers; i++)
		if (s->servers[i].proxy)
			put_count(m, servers, s->servers[i].name, s->servers[i].active);
	put_duration(m, connections, "open_age", &s->open_age);
	put_latency(m, connections, "handshake", &s->handshake);
}

static void put_control(struct maker *m, json_t *messages, const struct summary *s)
{
	const struct server_counters_fields *n = &s->n;
	json_t *control, *received, *sent;

	if (!s->has_details) {
		put(m, messages, "control", json_null());
		return;
	}
	control = put_object(m, messages, "control");
	received = put_object(m, control, "received");

	put_count(m, received, "close", n->close_received);
	put_count(m, received, "ping", n->ping_received);
	put_count(m, received, "pong", n->pong_received);
	sent = put_object(m, control, "sent");
	put_count(m, sent, "close", n->close_sent);
	put_count(m, sent, "ping", n->ping_sent);
	put_count(m, sent, "pong", n->pong_sent);
}

static void put_messages(struct maker *m, json_t *root, const struct summary *s)
{
	json_t *messages = put_object(m, root, "messages"), *latency, *object;
	double share = (double)s->window_timed /
		       (double)(s->window_received ? s->window_received : 1);

	put(m, messages, "rate_1m", s->has_rates ? per_time(s->rate_1m) : json_null());
	put(m, messages, "rate_5m", s->has_rates ? per_time(s->rate_5m) : json_null());
	put(m, messages, "rate_15m", s->has_rates ? per_time(s->rate_15m) : json_null());
	put_count(m, messages, "received", s->n.received);
	put_count(m, messages, "sent", s->n.sent);
	put_count(m, messages, "bytes_received", s->n.bytes_received);
	put_count(m, messages, "bytes_sent", s->n.bytes_sent);
	object = put_object(m, messages, "by_type");
	put_count_if(m, object, "text", s->has_details, s->n.text);
	put_count_if(m, object, "binary", s->has_details, s->n.binary);
	put_object(m, messages, "types");

	latency = put_latency(m, messages, "latency", &s->latency);
	if (latency) {
		put(m, latency, "timed_share", s->window_received ? per_time(share) : json_null());
		put_count(m, latency, "timed", s->window_timed);
		put_count(m, latency, "received", s->window_received);
		put(m, latency, "window_seconds", real(s->window_s, 10));
	}
	put_latency(m, messages, "queue_wait", &s->queue_wait);
	put_latency(m, messages, "ping_rtt", &s->ping_rtt);

	object = put_object(m, messages, "unpaired");
	put_count_if(m, object, "push", s->has_details, s->n.push);
	put_count_if(m, object, "ambiguous", s->has_details, s->n.ambiguous);
	put_count_if(m, object, "unanswered", s->has_details, s->n.unanswered);
	put_count(m, object, "waiting", s->waiting);
	put_control(m, messages, s);
}

static json_t *recent_row(struct maker *m, const struct error_row *row)
{
	json_t *object = json_object();

	put(m, object, "type", json_string(error_key(row->type)));
	put(m, object, "message", json_string(row->message));
	put_time(m, object, "timestamp", row->wall_ns);
	put_text(m, object, "server", row->server);
	put_text(m, object, "channel", row->channel);
	put_text(m, object, "user", row->user);
	put(m, object, "code",
	    row->has_code && row->code != CLOSE_INVALID ? json_integer(row->code) : json_null());
	put_text(m, object, "initiator", row->has_initiator ? initiator_key(row->initiator) : NULL);
	put_text(m, object, "cause", row->has_cause ? cause_key(row->cause) : NULL);
	put(m, object, "status", row->has_status ? json_integer(row->status) : json_null());
	return object;
}

static json_t *by_initiator(struct maker *m, const uint64_t count[2])
{
	json_t *object = json_object();

	put_count(m, object, "client", count[BY_CLIENT]);
	put_count(m, object, "server", count[BY_SERVER]);
	return object;
}

static void put_codes(struct maker *m, json_t *errors, const struct summary *s)
{
	json_t *codes = put_object(m, errors, "close_codes"), *refused;
	char key[16];

	for (size_t i = 0; i < s->close_codes.nr; i++) {
		const struct code_count *row = &s->close_codes.rows[i];

		snprintf(key, sizeof(key), "%u", row->code);
		put(m, codes, row->code == CLOSE_INVALID ? "invalid" : key,
		    by_initiator(m, row->count));
	}
	if (s->close_codes.other[BY_CLIENT] || s->close_codes.other[BY_SERVER])
		put(m, codes, "other", by_initiator(m, s->close_codes.other));

	refused = put_object(m, errors, "refused");
	for (size_t i = 0; i < s->refused.nr; i++) {
		snprintf(key, sizeof(key), "%u", s->refused.rows[i].code);
		put_count(m, refused, key, s->refused.rows[i].count[BY_SERVER]);
	}
	if (s->refused.other[BY_SERVER])
		put_count(m, refused, "other", s->refused.other[BY_SERVER]);
}

static void put_errors(struct maker *m, json_t *root, const struct summary *s)
{
	json_t *errors = put_object(m, root, "errors"), *object;

	put_count(m, errors, "total", s->errors);
	object = put_object(m, errors, "by_type");
	for (int i = ERROR_NONE + 1; i < NR_ERROR_TYPES; i++)
		if (s->by_type[i])
			put_count(m, object, error_key(i), s->by_type[i]);
	put(m, errors, "rate", s->has_rates ? per_time(s->error_rate) : json_null());
	object = json_array();
	put(m, errors, "recent", object);
	for (size_t i = 0; i < s->nr_recent; i++)
		if (json_array_append_new(object, recent_row(m, &s->recent[i])))
			m->failed = true;
	put_codes(m, errors, s);
	object = put_object(m, errors, "causes");
	for (int i = 0; i < NR_CAUSES; i++)
		if (s->causes[i])
			put_count(m, object, cause_key(i), s->causes[i]);
	object = put_object(m, errors, "violations");
	for (int i = VIOLATION_NONE + 1; i < NR_VIOLATIONS; i++)
		if (s->violations[i])
			put_count(m, object, violation_key(i), s->violations[i]);
	put_object(m, errors, "quiet");
}

static void put_bytes(struct maker *m, json_t *capture, const struct summary *s)
{
	const struct server_counters_fields *n = &s->n;
	json_t *bytes, *received, *sent;

	if (!s->has_details) {
		put(m, capture, "bytes", json_null());
		return;
	}
	bytes = put_object(m, capture, "bytes");
	received = put_object(m, bytes, "received");
	put_count(m, received, "seen", n->seen_received);
	put_count(m, received, "header", n->header_received);
	put_count(m, received, "payload", n->payload_received);
	put_count(m, received, "gap", n->gap_received);
	sent = put_object(m, bytes, "sent");
	put_count(m, sent, "seen", n->seen_sent);
	put_count(m, sent, "header", n->header_sent);
	put_count(m, sent, "payload", n->payload_sent);
	put_count(m, sent, "gap", n->gap_sent);
}

static void put_unbalanced(struct maker *m, json_t *capture, const struct summary *s)
{
	json_t *list = json_array();
	char text[64];

	put(m, capture, "unbalanced", list);
	for (unsigned i = 0; i < 2 * NR_BALANCES; i++) {
		bool upstream = i >= NR_BALANCES;
		unsigned bit = upstream ? i - NR_BALANCES : i;

		if (!((upstream ? s->upstream_unbalanced : s->unbalanced) >> bit & 1))
			continue;
		snprintf(text, sizeof(text), "%s%s", upstream ? "upstream." : "", balance_key(bit));
		if (json_array_append_new(list, json_string(text)))
			m->failed = true;
	}
}

static void put_losses(struct maker *m, json_t *capture, const struct summary *s)
{
	json_t *losses = put_object(m, capture, "losses");

	/* The two that are in "events" are no losses of their own. */
#define X(name, text)                                                                              \
	if (strcmp(#name, "events_submitted") != 0 && strcmp(#name, "events_dropped_ring") != 0)   \
		put_count(m, losses, #name, s->books.name);
	BOOKS(X)
#undef X
	put_count(m, losses, "missed_runs", s->missed_runs);
	put_count(m, losses, "labels_full", s->labels_full);
}

static void put_unseen(struct maker *m, json_t *capture, const struct summary *s)
{
	json_t *list = json_array();

	put(m, capture, "unseen", list);
	for (size_t i = 0; i < s->nr_unseen; i++) {
		const struct reading_unseen *unseen = &s->unseen[i];
		json_t *row = json_object();

		put_count(m, row, "pid", unseen->key.tgid);
		put_text(m, row, "name", unseen->process.comm);
		put_text(m, row, "executable", unseen->process.executable);
		put_text(m, row, "unit", unseen->process.unit);
		put_text(m, row, "reason", unseen_key_text(unseen->key.reason));
		put_count(m, row, "sockets", unseen->count);
		if (json_array_append_new(list, row))
			m->failed = true;
	}
}

static void put_capture(struct maker *m, json_t *root, const struct summary *s)
{
	const struct server_counters_fields *n = &s->n;
	json_t *capture = put_object(m, root, "capture"), *object, *dropped;

	put(m, capture, "balanced", json_boolean(summary_is_balanced(s)));
	put_unbalanced(m, capture, s);
	put_bytes(m, capture, s);
	object = put_object(m, capture, "connections");
	put_count(m, object, "opened", n->opened);
	put_count(m, object, "closed", n->closed);
	put_count(m, object, "active", s->active);
	put_count(m, capture, "ending", s->ending);

	object = put_object(m, capture, "messages");
	put_count(m, object, "received", n->received);
	put_count_if(m, object, "timed", s->has_details, n->timed);
	put_count_if(m, object, "ambiguous", s->has_details, n->ambiguous);
	put_count_if(m, object, "unanswered", s->has_details, n->unanswered);
	put_count(m, object, "waiting", s->waiting);
	put_count(m, object, "sent", n->sent);
	put_count_if(m, object, "push", s->has_details, n->push);
	put_count_if(m, object, "answers_to_ambiguous", s->has_details, n->answers_to_ambiguous);

	object = put_object(m, capture, "events");
	put_count(m, object, "submitted", s->books.events_submitted);
	put_count(m, object, "received", s->events_received);
	dropped = put_object(m, object, "dropped");
	put_count(m, dropped, "ring", s->books.events_dropped_ring);
	put_count(m, dropped, "undecodable", s->events_undecodable);
	put_losses(m, capture, s);
	put_unseen(m, capture, s);

	object = json_array();
	put(m, capture, "hooks", object);
	for (size_t i = 0; i < s->nr_hooks; i++) {
		const struct reading_hook *hook = &s->hooks[i];
		json_t *row = json_object();

		put_text(m, row, "name", hook->name);
		put_text(m, row, "purpose", hook->purpose);
		put(m, row, "attached", json_boolean(hook->attached));
		put_text(m, row, "reason", hook->attached ? NULL : hook->reason);
		if (json_array_append_new(object, row))
			m->failed = true;
	}
}

/* What the numbers are narrowed to; of a user always the pseudonym. */
static void put_filter(struct maker *m, json_t *root, const struct summary *s)
{
	json_t *filter = put_object(m, root, "filter");

	put_text(m, filter, "server", s->filter_server);
	put_text(m, filter, "channel", s->filter_channel);
	put_text(m, filter, "user", s->filter_user);
	put(m, filter, "partial", json_boolean(s->partial));
}

char *json_of_summary(const struct summary *summary)
{
	struct maker m = {0};
	json_t *root = json_object(), *upstream;
	char *text = NULL;

	put_time(&m, root, "timestamp", summary->now_ns);
	put_time(&m, root, "counting_since", summary->since_ns);
	put(&m, root, "uptime_seconds", real(summary->uptime_s, 1e3));
	if (summary->store)
		put_text(&m, root, "store", summary->store);
	if (summary->filtered)
		put_filter(&m, root, summary);
	put_connections(&m, root, summary);
	put_messages(&m, root, summary);
	put_errors(&m, root, summary);
	put_duration(&m, root, "connection_duration", &summary->duration);
	upstream = put_object(&m, root, "upstream");
	put_count_if(&m, upstream, "connections", summary->has_upstream, summary->upstream_active);
	put_count_if(&m, upstream, "messages", summary->has_upstream,
		     summary->upstream.received + summary->upstream.sent);
	put_capture(&m, root, summary);

	/* 15 digits: every rounded number comes out as it was rounded. */
	if (!m.failed)
		text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	json_decref(root);
	return text;
}

/* Consumes the object. */
static char *text_of(struct maker *m, json_t *root)
{
	char *text = m->failed ? NULL : json_dumps(root, JSON_COMPACT);

	json_decref(root);
	return text;
}

char *json_of_error(const char *error)
{
	struct maker m = {0};
	json_t *root = json_object();

	put(&m, root, "error", json_string(error));
	return text_of(&m, root);
}

char *json_of_about(const struct settings *settings, const char *scope, const char *engine)
{
	struct maker m = {0};
	json_t *root = json_object(), *verdict;

	put(&m, root, "version", json_string(WSVITALS_VERSION));
	put(&m, root, "scope", json_string(scope));
	put_text(&m, root, "engine", engine);
	verdict = put_object(&m, root, "verdict");
#define X(NAME, key, ...)                                                                          \
	put(&m, verdict, key, real(settings_number(settings, SETTING_##NAME), 1e3));
	SETTINGS_VERDICT(X)
#undef X
	return text_of(&m, root);
}

char *json_of_health(const char *problem)
{
	struct maker m = {0};
	json_t *root = json_object();

	put(&m, root, "status", json_string(problem ? "failed" : "ok"));
	put(&m, root, "engine", json_string(problem ? problem : "counting"));
	return text_of(&m, root);
}

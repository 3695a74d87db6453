// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* aggregate.c, error.c: SPEC 1 to 3 on synthetic readings and records. */
#include <math.h>
#include <sodium.h>
#include <string.h>

#include "check.h"
#include "channel.h"
#include "random.h"
#include "synthetic.h"

static int setup(void **state)
{
	*state = world_new();
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* --- errors --- */

struct row {
	const char *sentence;
	uint8_t kind;
	uint16_t code;
	enum error_type type;
};

static const struct row rows[] = {
	{"401 is an authentication error", OUTCOME_REFUSED, 401, ERROR_AUTHENTICATION},
	{"403 is an authentication error", OUTCOME_REFUSED, 403, ERROR_AUTHENTICATION},
	{"429 is a rate limit error", OUTCOME_REFUSED, 429, ERROR_RATE_LIMIT},
	{"404 is a handshake error", OUTCOME_REFUSED, 404, ERROR_HANDSHAKE},
	{"426 is a handshake error", OUTCOME_REFUSED, 426, ERROR_HANDSHAKE},
	{"503 is a handshake error", OUTCOME_REFUSED, 503, ERROR_HANDSHAKE},
	{"200 instead of 101 is a handshake error", OUTCOME_REFUSED, 200, ERROR_HANDSHAKE},
	{"no answer is a handshake error", OUTCOME_REFUSED, 0, ERROR_HANDSHAKE},
	{"a wrong accept is a handshake error", OUTCOME_REFUSED, 101, ERROR_HANDSHAKE},
	{"a violation is a protocol error", OUTCOME_VIOLATION, VIOLATION_RESERVED_OPCODE,
	 ERROR_PROTOCOL},
	{"1000 is no error", OUTCOME_CLOSE, 1000, ERROR_NONE},
	{"1001 is no error", OUTCOME_CLOSE, 1001, ERROR_NONE},
	{"a close without a code is no error", OUTCOME_CLOSE, CLOSE_NO_CODE, ERROR_NONE},
	{"1002 is a protocol error", OUTCOME_CLOSE, 1002, ERROR_PROTOCOL},
	{"1003 is a protocol error", OUTCOME_CLOSE, 1003, ERROR_PROTOCOL},
	{"1004 is a websocket error", OUTCOME_CLOSE, 1004, ERROR_WEBSOCKET},
	{"1006 on the wire is a websocket error", OUTCOME_CLOSE, 1006, ERROR_WEBSOCKET},
	{"1007 is a protocol error", OUTCOME_CLOSE, 1007, ERROR_PROTOCOL},
	{"1008 is a policy violation", OUTCOME_CLOSE, 1008, ERROR_POLICY},
	{"1009 is too big", OUTCOME_CLOSE, 1009, ERROR_TOO_BIG},
	{"1010 is a protocol error", OUTCOME_CLOSE, 1010, ERROR_PROTOCOL},
	{"1011 is an internal error", OUTCOME_CLOSE, 1011, ERROR_INTERNAL},
	{"1012 is a restart", OUTCOME_CLOSE, 1012, ERROR_RESTART},
	{"1013 is a rate limit error", OUTCOME_CLOSE, 1013, ERROR_RATE_LIMIT},
	{"1014 is an internal error", OUTCOME_CLOSE, 1014, ERROR_INTERNAL},
	{"2999 is a websocket error", OUTCOME_CLOSE, 2999, ERROR_WEBSOCKET},
	{"3000 is an authentication error", OUTCOME_CLOSE, 3000, ERROR_AUTHENTICATION},
	{"3001 is an application error", OUTCOME_CLOSE, 3001, ERROR_APPLICATION},
	{"3003 is an authentication error", OUTCOME_CLOSE, 3003, ERROR_AUTHENTICATION},
	{"4029 is a rate limit error", OUTCOME_CLOSE, 4029, ERROR_RATE_LIMIT},
	{"4401 is an authentication error", OUTCOME_CLOSE, 4401, ERROR_AUTHENTICATION},
	{"4403 is an authentication error", OUTCOME_CLOSE, 4403, ERROR_AUTHENTICATION},
	{"4429 is a rate limit error", OUTCOME_CLOSE, 4429, ERROR_RATE_LIMIT},
	{"4999 is an application error", OUTCOME_CLOSE, 4999, ERROR_APPLICATION},
	{"an invalid code is a websocket error", OUTCOME_CLOSE, CLOSE_INVALID, ERROR_WEBSOCKET},
	{"other codes are websocket errors", OUTCOME_CLOSE, CLOSE_OTHER, ERROR_WEBSOCKET},
	{"other application codes are application errors", OUTCOME_CLOSE, CLOSE_OTHER_APPLICATION,
	 ERROR_APPLICATION},
	{"no close frame is an abnormal closure", OUTCOME_ABNORMAL, CAUSE_TIMEOUT, ERROR_ABNORMAL},
};

static void one_outcome(void **state)
{
	const struct row *row = *state;
	struct world *w = world_new();
	const struct summary *s;

	world_counters(w, SERVER)->opened = world_counters(w, SERVER)->closed = 3;
	world_outcome(w, SERVER, row->kind, row->code, BY_SERVER, 0, 3);
	s = world_sample(w, 60 * SECOND);
	assert_int_equal(s->errors, row->type == ERROR_NONE ? 0 : 3);
	for (int type = 1; type < NR_ERROR_TYPES; type++)
		assert_int_equal(s->by_type[type], type == (int)row->type ? 3 : 0);
	assert_int_equal(s->servers[0].errors, s->errors);
	assert_true(fabs(s->error_rate - (double)s->errors) < 1e-9); /* a minute has passed */
	world_free(w);
}

static void a_shadowed_outcome_is_no_second_error(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	world_counters(w, SERVER)->opened = world_counters(w, SERVER)->closed = 5;
	world_outcome(w, SERVER, OUTCOME_VIOLATION, VIOLATION_LONG_CONTROL, BY_CLIENT, 0, 5);
	world_outcome(w, SERVER, OUTCOME_CLOSE, 1002, BY_SERVER, 1, 3);
	world_outcome(w, SERVER, OUTCOME_ABNORMAL, CAUSE_RESET_BY_SERVER, 0, 1, 2);
	s = world_sample(w, SECOND);
	assert_int_equal(s->errors, 5);
	assert_int_equal(s->by_type[ERROR_PROTOCOL], 5);
	assert_int_equal(s->violations[VIOLATION_LONG_CONTROL], 5);
	assert_int_equal(s->causes[CAUSE_RESET_BY_SERVER], 0);
	/* the code itself was there all the same */
	assert_int_equal(s->close_codes.nr, 1);
	assert_int_equal(s->close_codes.rows[0].code, 1002);
	assert_int_equal(s->close_codes.rows[0].count[BY_SERVER], 3);
	assert_true(summary_is_balanced(s));
}

static void codes_are_sorted_and_tell_who_closed(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	world_outcome(w, SERVER, OUTCOME_CLOSE, 4401, BY_SERVER, 0, 1);
	world_outcome(w, SERVER, OUTCOME_CLOSE, 1000, BY_CLIENT, 0, 2);
	world_outcome(w, SERVER, OUTCOME_CLOSE, 1000, BY_SERVER, 0, 3);
	world_outcome(w, SERVER, OUTCOME_CLOSE, 1001, BY_SERVER, 0, 0); /* was corrected */
	world_outcome(w, SERVER, OUTCOME_REFUSED, 404, BY_SERVER, 0, 4);
	world_outcome(w, SLOT_UPSTREAM, OUTCOME_CLOSE, 1011, BY_SERVER, 0, 9);
	s = world_sample(w, SECOND);
	assert_int_equal(s->close_codes.nr, 2);
	assert_int_equal(s->close_codes.rows[0].code, 1000);
	assert_int_equal(s->close_codes.rows[0].count[BY_CLIENT], 2);
	assert_int_equal(s->close_codes.rows[0].count[BY_SERVER], 3);
	assert_int_equal(s->close_codes.rows[1].code, 4401);
	assert_int_equal(s->refused.nr, 1);
	assert_int_equal(s->errors, 5);
}

static void codes_of_strangers_are_bounded(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	uint64_t sum = 0;

	for (uint16_t code = 3000; code < 4999; code++)
		world_outcome(w, SERVER, OUTCOME_CLOSE, code, BY_CLIENT, 0, 1);
	s = world_sample(w, SECOND);
	for (size_t i = 0; i < s->close_codes.nr; i++)
		sum += s->close_codes.rows[i].count[BY_CLIENT];
	assert_int_equal(s->close_codes.nr, SUMMARY_CODES);
	assert_int_equal(sum + s->close_codes.other[BY_CLIENT], 1999);
}

/* --- recent errors --- */

static void recent_errors_say_what_where_who_and_why(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	const struct error_row *row;
	uint64_t id;

	id = world_open(w, SECOND, (struct open_args){.path = "/chat?token=secret"});
	world_reason(w, id, BY_CLIENT, 0, "\x11\x31not welcome", 13);
	world_close(w, 2 * SECOND,
		    (struct event_close){.event.id = id,
					 .has_close = 1,
					 .close_code = 4401,
					 .closed_by = BY_CLIENT});
	world_open(w, 3 * SECOND,
		   (struct open_args){.type = EVENT_REFUSED,
				      .status = 429,
				      .path = "/x",
				      .response = "HTTP/1.1 429 Slow\x1b down\r\n\r\n"});
	id = world_open(w, 4 * SECOND, (struct open_args){.path = "/gone"});
	world_close(w, 5 * SECOND,
		    (struct event_close){.event.id = id, .cause = CAUSE_RESET_BY_PEER});
	id = world_open(w, 6 * SECOND, (struct open_args){.path = "/bad"});
	world_close(w, 7 * SECOND,
		    (struct event_close){.event.id = id,
					 .has_close = 1,
					 .close_code = 1002,
					 .closed_by = BY_SERVER,
					 .violated_by = BY_CLIENT,
					 .violation = VIOLATION_UNMASKED_CLIENT_FRAME});
	id = world_open(w, 8 * SECOND, (struct open_args){.path = "/fine"});
	world_close(w, 9 * SECOND,
		    (struct event_close){.event.id = id, .has_close = 1, .close_code = 1000});
	s = world_sample(w, 10 * SECOND);

	assert_int_equal(s->nr_recent, 4); /* newest first, without the one that went well */
	row = &s->recent[0];
	assert_int_equal(row->type, ERROR_PROTOCOL);
	assert_string_equal(row->message, "unmasked_client_frame");
	assert_int_equal(row->initiator, BY_CLIENT);
	assert_int_equal(row->code, 1002);
	row = &s->recent[1];
	assert_int_equal(row->type, ERROR_ABNORMAL);
	assert_string_equal(row->message, "reset_by_peer");
	assert_true(row->has_cause && row->cause == CAUSE_RESET_BY_PEER);
	assert_true(row->has_initiator && row->initiator == BY_CLIENT);
	assert_false(row->has_code || row->has_status);
	row = &s->recent[2];
	assert_int_equal(row->type, ERROR_RATE_LIMIT);
	assert_string_equal(row->message, "HTTP/1.1 429 Slow\xef\xbf\xbd down");
	assert_int_equal(row->status, 429);
	assert_string_equal(row->channel, "/x");
	assert_int_equal(strlen(row->user), 12);
	row = &s->recent[3];
	assert_int_equal(row->type, ERROR_AUTHENTICATION);
	assert_string_equal(row->message, "not welcome");
	assert_string_equal(row->channel, "/chat");
	assert_string_equal(row->server, "node:8000");
	assert_string_equal(row->user, s->recent[2].user);
	assert_true(row->has_code && row->code == 4401 && row->initiator == BY_CLIENT);
	assert_false(row->has_cause || row->has_status);
	assert_int_equal(row->wall_ns, START_WALL + 2 * SECOND);
}

static void refusals_without_an_answer_or_with_a_wrong_one(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	world_open(w, SECOND,
		   (struct open_args){.type = EVENT_REFUSED, .status = 0, .response = ""});
	world_open(w, 2 * SECOND,
		   (struct open_args){.type = EVENT_REFUSED, .status = 101, .accept_wrong = 1});
	s = world_sample(w, 3 * SECOND);
	assert_int_equal(s->recent[0].type, ERROR_HANDSHAKE);
	assert_int_equal(s->recent[0].status, 101);
	assert_string_equal(s->recent[0].message, "wrong Sec-WebSocket-Accept");
	assert_int_equal(s->recent[1].type, ERROR_HANDSHAKE);
	assert_false(s->recent[1].has_initiator);
	assert_int_equal(s->n.opened, 0);
	assert_int_equal(w->named, 0); /* scanners name no channels */
}

static void reason_in_pieces(struct world *w, uint64_t id, size_t first, size_t second_at)
{
	static const char payload[] = "\x0f\xa3"
				      "see you later";

	world_reason(w, id, BY_SERVER, 0, payload, first);
	world_reason(w, id, BY_SERVER, (uint8_t)second_at, payload + second_at,
		     sizeof(payload) - 1 - second_at);
	world_close(w, SECOND,
		    (struct event_close){.event.id = id,
					 .has_close = 1,
					 .close_code = 4003,
					 .closed_by = BY_SERVER});
}

static void a_reason_in_pieces_is_joined(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	for (uint64_t first = 1; first <= 14; first++)
		reason_in_pieces(w, world_open(w, 0, (struct open_args){0}), first, first);
	reason_in_pieces(w, world_open(w, 0, (struct open_args){0}), 5,
			 7); /* two bytes were lost */
	s = world_sample(w, 2 * SECOND);
	assert_string_equal(s->recent[0].message, "see");
	for (size_t i = 1; i < 15; i++)
		assert_string_equal(s->recent[i].message, "see you later");
}

static void twenty_of_a_hundred_are_shown(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	for (uint64_t i = 1; i <= 250; i++)
		world_open(w, i * SECOND, (struct open_args){.type = EVENT_REFUSED, .status = 404});
	s = world_sample(w, 300 * SECOND);
	assert_int_equal(s->nr_recent, SUMMARY_RECENT);
	assert_int_equal(s->recent[0].wall_ns, START_WALL + 250 * SECOND);
	assert_int_equal(s->recent[19].wall_ns, START_WALL + 231 * SECOND);
}

/* --- who is connected to what --- */

static void open_connections_are_counted_by_their_labels(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	uint64_t id[4];

	id[0] = world_open(w, 0, (struct open_args){.path = "/a"});
	id[1] = world_open(w, 0, (struct open_args){.path = "/a?x=1"});
	id[2] = world_open(w, 0, (struct open_args){.path = "/b", .ip = {192, 0, 2, 9}});
	id[3] = world_open(w, 0, (struct open_args){.path = "/b"});
	world_close(w, SECOND,
		    (struct event_close){.event.id = id[3], .has_close = 1, .close_code = 1000});
	world_outcome(w, SERVER, OUTCOME_CLOSE, 1000, BY_CLIENT, 0, 1);
	for (int i = 0; i < 3; i++)
		world_walk(w, (struct walk_record){.id = id[i]});
	s = world_sample(w, 2 * SECOND);
	assert_int_equal(s->active, 3);
	assert_int_equal(s->n.opened, 4);
	assert_int_equal(s->n.closed, 1);
	assert_int_equal(s->by_channel.nr, 2);
	assert_string_equal(s->by_channel.rows[0].label, "/a");
	assert_int_equal(s->by_channel.rows[0].count, 2);
	assert_int_equal(top_count(&s->by_channel, "/b"), 1);
	assert_int_equal(s->by_user.nr, 2);
	assert_int_equal(s->by_user.rows[0].count, 2);
	assert_int_equal(s->servers[0].active, 3);
	assert_string_equal(s->servers[0].name, "node:8000");
	assert_true(summary_is_balanced(s));
}

static void the_kernel_is_told_each_path_once(void **state)
{
	struct world *w = *state;

	world_open(w, 0, (struct open_args){.path = "/a"});
	assert_int_equal(w->named, 1);
	assert_int_equal(w->last_key.path_hash, path_hash("/a"));
	assert_int_equal(w->last_key.server, SERVER);
	assert_true(w->last_slot >= CHANNEL_FIRST && w->last_slot < MAX_CHANNELS);
	world_open(w, 0, (struct open_args){.path = "/a?again"});
	assert_int_equal(w->named, 1);
	world_open(w, 0, (struct open_args){.path = "/b"});
	assert_int_equal(w->named, 2);
	world_open(w, 0, (struct open_args){.path = "/c", .upstream = 1});
	assert_int_equal(w->named, 2);
}

static void behind_a_proxy_the_last_forwarded_address_is_the_user(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	const char *headers = "X-Forwarded-For: 6.6.6.6, 192.0.2.77\r\n";
	uint64_t id[3];

	id[0] = world_open(w, 0, (struct open_args){.ip = {127, 0, 0, 1}, .headers = headers});
	id[1] = world_open(w, 0, (struct open_args){.ip = {192, 0, 2, 77}});
	/* what a stranger writes there himself is not believed */
	id[2] = world_open(w, 0, (struct open_args){.ip = {192, 0, 2, 78}, .headers = headers});
	for (int i = 0; i < 3; i++)
		world_walk(w, (struct walk_record){.id = id[i]});
	s = world_sample(w, SECOND);
	assert_int_equal(s->by_user.nr, 2);
	assert_int_equal(s->by_user.rows[0].count, 2);
}

static void a_lost_record_costs_no_connection(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	struct walk_record lost = {.id = 99, .path_hash = path_hash("/a")};
	uint64_t id = world_open(w, 0, (struct open_args){.path = "/a"});

	world_counters(w, SERVER)->opened += 3;
	w->reading->books.events_submitted += 3;
	w->reading->books.events_dropped_ring += 3;
	world_walk(w, (struct walk_record){.id = id});
	world_walk(w, lost);
	lost.id = 100;
	lost.path_hash = path_hash("/never-seen");
	address_v4(lost.peer.addr, 192, 0, 2, 50);
	world_walk(w, lost);
	lost.id = 101; /* the kernel knows the slot */
	lost.channel = w->last_slot;
	world_walk(w, lost);
	s = world_sample(w, SECOND);
	assert_int_equal(s->active, 4);
	assert_int_equal(top_count(&s->by_channel, "/a"), 3);
	assert_int_equal(s->by_channel.other, 1);
	assert_int_equal(s->by_user.nr, 2);
	assert_int_equal(s->by_user.rows[0].count, 2);
	assert_true(summary_is_balanced(s));
}

static void a_hundred_labels_then_other(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	char path[32];
	uint64_t sum = 0;

	for (int i = 0; i < 150; i++) {
		uint64_t id;

		snprintf(path, sizeof(path), "/room/%03d", i);
		id = world_open(
			w, 0, (struct open_args){.path = path, .ip = {10, 0, 0, (uint8_t)(i + 1)}});
		world_walk(w, (struct walk_record){.id = id});
		if (i == 149) /* the largest is first */
			world_walk(w, (struct walk_record){.id = id});
	}
	world_counters(w, SERVER)->opened++;
	s = world_sample(w, SECOND);
	assert_int_equal(s->by_channel.nr, SUMMARY_TOP);
	assert_string_equal(s->by_channel.rows[0].label, "/room/149");
	assert_true(s->by_channel.more);
	assert_int_equal(s->by_channel.other, 50);
	for (size_t i = 0; i < s->by_user.nr; i++)
		sum += s->by_user.rows[i].count;
	assert_int_equal(sum + s->by_user.other, 151);
}

static void channels_of_two_servers_with_one_name_add_up(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	uint64_t id;

	world_server(w, SERVER + 1, "python3", 9000);
	id = world_open(w, 0, (struct open_args){.path = "/ws"});
	world_walk(w, (struct walk_record){.id = id});
	id = world_open(w, 0, (struct open_args){.path = "/ws", .server = SERVER + 1});
	world_walk(w, (struct walk_record){.id = id, .server = SERVER + 1});
	s = world_sample(w, SECOND);
	assert_int_equal(s->by_channel.nr, 1);
	assert_int_equal(s->by_channel.rows[0].count, 2);
	assert_int_equal(s->nr_servers, 2);
}

static void a_path_called_other_is_not_mistaken(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	uint64_t id = world_open(w, 0, (struct open_args){.path = "other"});

	world_walk(w, (struct walk_record){.id = id});
	s = world_sample(w, SECOND);
	assert_int_equal(s->by_channel.nr, 0);
	assert_int_equal(s->by_channel.other, 1);
}

static void servers_of_one_name_stay_apart(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	world_server(w, SERVER + 1, "node", 8000); /* another network namespace */
	strcpy(w->reading->servers[SERVER + 1].process.unit, "");
	world_server(w, SERVER + 2, "node", 8000);
	strcpy(w->reading->servers[SERVER + 2].process.unit, "chat.service");
	s = world_sample(w, SECOND);
	assert_int_equal(s->nr_servers, 3);
	assert_string_equal(s->servers[0].name, "node:8000");
	assert_string_equal(s->servers[1].name, "node:8000~net:4026531843");
	assert_string_equal(s->servers[2].name, "node:8000@chat.service");
}

static void labels_of_lost_closes_do_not_pile_up(void **state)
{
	struct world *w = *state;
	uint64_t id = 0;

	/* closes are never heard of; walks say who is still there */
	for (int i = 0; i < 300000; i++) {
		id = world_open(w, 0, (struct open_args){0});
		if (i % 1000 == 0) {
			w->reading->nr_walk = 0;
			world_walk(w, (struct walk_record){.id = id});
			world_sample(w, (uint64_t)i * 1000000);
		}
	}
	assert_int_equal(w->summary->labels_full, 0);
}

/* --- upstream --- */

static void upstream_legs_are_nobodys_connections(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	uint64_t id = world_open(w, 0, (struct open_args){.upstream = 1, .server = SLOT_UPSTREAM});

	world_counters(w, SLOT_UPSTREAM)->received = 5;
	world_counters(w, SLOT_UPSTREAM)->unanswered = 5;
	world_walk(w, (struct walk_record){.id = id, .upstream = 1, .server = SLOT_UPSTREAM});
	world_outcome(w, SLOT_UPSTREAM, OUTCOME_ABNORMAL, 0, 0, 0, 0);
	world_reason(w, id, BY_SERVER, 0, "\x0f\xa0x", 3);
	s = world_sample(w, SECOND);
	assert_int_equal(s->active, 0);
	assert_int_equal(s->peak, 0);
	assert_int_equal(s->n.opened, 0);
	assert_int_equal(s->upstream_active, 1);
	assert_int_equal(s->upstream.received, 5);
	assert_int_equal(s->by_user.nr, 0);
	assert_true(s->rate_1m == 0);
	world_close(w, SECOND,
		    (struct event_close){.event.id = id, .upstream = 1, .server = SLOT_UPSTREAM});
	world_outcome(w, SLOT_UPSTREAM, OUTCOME_ABNORMAL, 0, 0, 0, 1);
	w->reading->nr_walk = 0;
	s = world_sample(w, 2 * SECOND);
	assert_int_equal(s->errors, 0);
	assert_int_equal(s->nr_recent, 0);
	assert_true(summary_is_balanced(s));
}

/* --- proxies --- */

/* SPEC 1: a conversation counts once, at the server behind; the proxy's share shows by itself. */
static void what_a_proxy_passes_on_is_not_in_the_totals(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	uint32_t proxy = SERVER + 1;

	world_server(w, proxy, "nginx", 80);
	w->reading->servers[proxy].key.proxy = 1;
	for (uint32_t slot = SERVER; slot <= proxy; slot++) {
		struct event_open open = {.server = slot};

		world_counters(w, slot)->opened = 2;
		world_counters(w, slot)->closed = 1;
		world_counters(w, slot)->received = world_counters(w, slot)->ambiguous = 7;
		world_outcome(w, slot, OUTCOME_CLOSE, 1011, BY_SERVER, 0, 1);
		world_outcome(w, slot, OUTCOME_REFUSED, 401, BY_SERVER, 0, 3);
		world_walk(w, (struct walk_record){.id = 100 + slot, .server = open.server});
	}
	s = world_sample(w, 60 * SECOND);
	assert_int_equal(s->n.opened, 2);
	assert_int_equal(s->n.received, 7);
	assert_int_equal(s->active, 1);
	assert_int_equal(s->peak, 1);
	assert_int_equal(s->open_age.count, 1);
	assert_int_equal(s->by_user.rows[0].count, 1);
	assert_int_equal(s->errors, 4);
	assert_int_equal(s->close_codes.rows[0].count[BY_SERVER], 1);
	assert_int_equal(s->refused.rows[0].count[BY_SERVER], 3);
	assert_true(fabs(s->rate_1m - 7.0 / 60) < 1e-9);
	assert_int_equal(s->nr_servers, 2);
	assert_false(s->servers[0].proxy);
	assert_true(s->servers[1].proxy);
	assert_string_equal(s->servers[1].name, "nginx:80");
	assert_int_equal(s->servers[1].n.received, 7);
	assert_int_equal(s->servers[1].active, 1);
	assert_int_equal(s->servers[1].errors, 4);
	assert_true(summary_is_balanced(s));
}

static void both_halves_of_a_proxy_have_a_name(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	for (uint32_t slot = SERVER + 1; slot <= SERVER + 2; slot++) {
		world_server(w, slot, "nginx", 80);
		w->reading->servers[slot].key.netns = 1;
		w->reading->servers[slot].key.proxy = slot == SERVER + 2;
	}
	s = world_sample(w, SECOND);
	assert_string_equal(s->servers[1].name, "nginx:80");
	assert_string_equal(s->servers[2].name, "nginx:80~proxy");
}

/* --- peak --- */

static void the_peak_between_two_samples_is_seen(void **state)
{
	struct world *w = *state;
	uint64_t id[10];

	world_sample(w, SECOND);
	for (uint64_t i = 0; i < 10; i++)
		id[i] = world_open(w, SECOND + i + 1, (struct open_args){0});
	for (uint64_t i = 0; i < 10; i++)
		world_close(w, SECOND + 100 + i,
			    (struct event_close){.event.id = id[i],
						 .duration_ns = 50,
						 .has_close = 1,
						 .close_code = 1000});
	assert_int_equal(world_sample(w, 2 * SECOND)->peak, 10);
	assert_int_equal(world_sample(w, 3 * SECOND)->peak, 10);
}

static void one_after_the_other_is_a_peak_of_one(void **state)
{
	struct world *w = *state;
	uint64_t id[10];

	world_sample(w, SECOND);
	for (uint64_t i = 0; i < 10; i++)
		id[i] = world_open(w, SECOND + 10 * i + 1, (struct open_args){0});
	/* the records of closes come late: their sockets lingered */
	for (uint64_t i = 0; i < 10; i++)
		world_close(w, SECOND + 500 + i,
			    (struct event_close){.event.id = id[i],
						 .duration_ns = 5,
						 .has_close = 1,
						 .close_code = 1000});
	assert_int_equal(world_sample(w, 2 * SECOND)->peak, 1);
}

static void lost_records_make_no_peak(void **state)
{
	struct world *w = *state;

	world_sample(w, SECOND);
	/* ten connections, one at a time, whose close records were lost */
	for (uint64_t i = 0; i < 10; i++) {
		world_open(w, SECOND + i + 1, (struct open_args){0});
		world_counters(w, SERVER)->closed++;
	}
	assert_int_equal(world_sample(w, 2 * SECOND)->peak, 0);
	/* nor later */
	world_open(w, 2 * SECOND + 1, (struct open_args){0});
	assert_int_equal(world_sample(w, 3 * SECOND)->peak, 1);
}

/* --- messages and times --- */

static void rates_and_sums_are_over_all_servers(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	world_server(w, SERVER + 1, "python3", 9000);
	world_counters(w, SERVER)->received = 30;
	world_counters(w, SERVER)->unanswered = 30;
	world_counters(w, SERVER + 1)->sent = 90;
	world_counters(w, SERVER + 1)->push = 90;
	s = world_sample(w, 10 * SECOND);
	assert_int_equal(s->n.received, 30);
	assert_int_equal(s->n.sent, 90);
	assert_true(fabs(s->rate_1m - 12) < 1e-9 && fabs(s->rate_15m - 12) < 1e-9);
	assert_true(fabs(s->servers[1].rate_1m - 9) < 1e-9);
	assert_true(fabs(s->uptime_s - 10) < 1e-9);
	assert_true(summary_is_balanced(s));
}

static void latency_is_of_the_last_five_minutes(void **state)
{
	struct world *w = *state;
	const struct summary *s = NULL;

	for (uint64_t t = 1; t <= 400; t++) {
		world_latency(w, SERVER, t < 100 ? 1 : 1000000 + t, t * SECOND - 1);
		s = world_sample_parts(w, t * SECOND,
				       READING_WALK | (t % 10 == 0 ? READING_HISTS : 0));
	}
	assert_int_equal(s->latency.count, 300);
	assert_int_equal(s->window_received, 300);
	assert_int_equal(s->window_timed, 300);
	assert_true(fabs(s->window_s - 300) < 1e-9);
	assert_true(s->latency.min_ns >= 1000100 && s->latency.min_ns <= 1000101);
	assert_true(s->latency.max_ns == 1000400);
	assert_true(fabs(s->latency.p50_ns - 1000250) < 1000250 * 0.032);
	assert_int_equal(s->servers[0].latency.count, 300);
}

static void what_cannot_be_taken_is_not_zero(void **state)
{
	struct world *w = *state;

	assert_true(world_sample(w, SECOND)->queue_wait.available);
	w->reading->hooks[0].attached = false;
	w->reading->hooks[0].reason = "this kernel does not have it";
	assert_false(world_sample(w, 2 * SECOND)->queue_wait.available);
	w->reading->nr_hooks = 0;
	assert_false(world_sample(w, 3 * SECOND)->queue_wait.available);
}

static void durations_and_ages(void **state)
{
	struct world *w = *state;
	struct server_rare *rare;
	const struct summary *s;

	world_server(w, SERVER + 1, "idle", 9000); /* its ranges are empty and must not count */
	rare = w->reading->servers[SERVER].rare;
	for (uint64_t ms = 1000; ms <= 3000; ms += 1000) {
		rare->duration_ms.bucket[hist_bucket(ms)]++;
		rare->duration_ms.sum += ms;
	}
	rare->duration_range_ms = (struct minmax){1000, 3000};
	world_walk(w, (struct walk_record){.id = 1, .open_ns = START + 8 * SECOND});
	world_walk(w, (struct walk_record){.id = 2, .open_ns = START + 4 * SECOND});
	world_counters(w, SERVER)->opened = 2;
	s = world_sample(w, 10 * SECOND);
	assert_int_equal(s->duration.count, 3);
	assert_true(s->duration.min_ns == 1e9 && s->duration.max_ns == 3e9);
	assert_true(s->duration.avg_ns == 2e9);
	assert_true(fabs(s->duration.p50_ns - 2e9) < 2e9 * 0.032);
	assert_int_equal(s->open_age.count, 2);
	assert_true(s->open_age.min_ns == 2e9 && s->open_age.max_ns == 6e9);
	assert_true(s->open_age.avg_ns == 4e9);
	assert_int_equal(s->handshake.count, 0);
}

/* The wall clock goes back an hour, then forward a day: only what is a time of day follows it. */
static void a_clock_that_jumps_moves_nothing_but_timestamps(void **state)
{
	static const int64_t jumps[] = {0, -3600, 86400};
	struct world *w = *state, *calm = world_new();
	const struct summary *s = w->summary, *c = calm->summary;
	struct world *both[] = {w, calm};

	for (uint64_t t = 1; t <= 900; t++) {
		int64_t jump_s = jumps[t / 301];

		for (size_t i = 0; i < 2; i++) {
			world_latency(both[i], SERVER, 1000000 + t, t * SECOND - 1);
			if (t % 100 == 0)
				world_open(
					both[i], t * SECOND - SECOND / 2,
					(struct open_args){.type = EVENT_REFUSED, .status = 404});
			if (t % 100 == 0)
				world_outcome(both[i], SERVER, OUTCOME_REFUSED, 404, 1, 0, 1);
		}
		w->wall_jump_ns = (uint64_t)jump_s * SECOND;
		world_sample_parts(w, t * SECOND, READING_WALK | (t % 10 == 0 ? READING_HISTS : 0));
		world_sample_parts(calm, t * SECOND,
				   READING_WALK | (t % 10 == 0 ? READING_HISTS : 0));
		assert_true(s->rate_1m == c->rate_1m && s->rate_5m == c->rate_5m &&
			    s->rate_15m == c->rate_15m && s->error_rate == c->error_rate);
		assert_memory_equal(&s->latency, &c->latency, sizeof(s->latency));
		assert_true(s->window_s == c->window_s && s->uptime_s == c->uptime_s &&
			    s->counted_s == c->counted_s);
		assert_int_equal(s->now_ns, c->now_ns + w->wall_jump_ns);
		assert_int_equal(s->since_ns, START_WALL);
		assert_int_equal(s->nr_recent, c->nr_recent);
		for (size_t i = 0; i < s->nr_recent; i++)
			assert_int_equal(s->recent[i].wall_ns,
					 c->recent[i].wall_ns + w->wall_jump_ns);
		assert_true(summary_is_balanced(s));
	}
	assert_int_equal(s->latency.count, 300);
	world_free(calm);
}

/* --- the books --- */

static void every_equation_that_fails_has_its_name(void **state)
{
	static const struct {
		size_t field;
		enum balance balance;
	} wrong[] = {
		{offsetof(struct server_counters_fields, seen_received), BALANCE_BYTES_RECEIVED},
		{offsetof(struct server_counters_fields, gap_received), BALANCE_BYTES_RECEIVED},
		{offsetof(struct server_counters_fields, header_sent), BALANCE_BYTES_SENT},
		{offsetof(struct server_counters_fields, payload_sent), BALANCE_BYTES_SENT},
		{offsetof(struct server_counters_fields, opened), BALANCE_CONNECTIONS},
		{offsetof(struct server_counters_fields, received), BALANCE_MESSAGES_RECEIVED},
		{offsetof(struct server_counters_fields, ambiguous), BALANCE_MESSAGES_RECEIVED},
		{offsetof(struct server_counters_fields, unanswered), BALANCE_MESSAGES_RECEIVED},
		{offsetof(struct server_counters_fields, sent), BALANCE_MESSAGES_SENT},
		{offsetof(struct server_counters_fields, push), BALANCE_MESSAGES_SENT},
		{offsetof(struct server_counters_fields, answers_to_ambiguous),
		 BALANCE_MESSAGES_SENT},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		for (uint32_t slot = SLOT_OTHER; slot <= SERVER; slot++) {
			struct world *w = world_new();
			char *fields = (char *)world_counters(w, slot);
			const struct summary *s;
			unsigned bits;

			assert_true(world_sample(w, SECOND)->settled);
			(*(__u64 *)(fields + wrong[i].field))++;
			s = world_sample(w, 2 * SECOND);
			bits = slot == SLOT_UPSTREAM ? s->upstream_unbalanced : s->unbalanced;
			assert_int_equal(bits, 1u << wrong[i].balance);
			assert_false(summary_is_balanced(s) || s->settled);
			world_free(w);
		}
	}
}

static void traffic_during_the_walk_is_allowed_for_and_no_more(void **state)
{
	struct world *w = *state;
	struct reading_server *server = &w->reading->servers[SERVER];
	struct aggregate *a = w->aggregate;

	/* 10 open before, 2 closed and 3 opened while somebody walked and met 9 to 13 */
	for (uint64_t met = 7; met <= 14; met++) {
		bool possible = met >= 8 && met <= 13;

		server->before.opened = 10;
		server->counters.n.opened = 13;
		server->before.closed = 0;
		server->counters.n.closed = 2;
		w->reading->nr_outcomes = 0;
		world_outcome(w, SERVER, OUTCOME_CLOSE, 1000, 0, 0, 2);
		w->reading->nr_walk = 0;
		for (uint64_t i = 1; i <= met; i++)
			world_walk(w, (struct walk_record){.id = i});
		w->reading->now_ns = START + met * SECOND;
		w->reading->wall_ns = START_WALL + met * SECOND;
		w->reading->parts = READING_ALL;
		assert_int_equal(aggregate_sample(a, w->reading), 0);
		aggregate_summary(a, NULL, w->summary);
		assert_int_equal(summary_is_balanced(w->summary), possible);
		assert_int_equal(w->summary->settled, met == 11);
	}
}

static void waiting_messages_are_walked_too(void **state)
{
	struct world *w = *state;

	world_counters(w, SERVER)->opened = 1;
	world_counters(w, SERVER)->received = 5;
	world_counters(w, SERVER)->timed = 2;
	world_counters(w, SERVER)->sent = 2;
	world_walk(w, (struct walk_record){.id = 1, .waiting = 3});
	assert_true(world_sample(w, SECOND)->settled);
	assert_int_equal(w->summary->waiting, 3);
}

static void closes_without_outcome_are_missed_at_the_second_look(void **state)
{
	struct world *w = *state;

	world_counters(w, SERVER)->opened = 1;
	world_counters(w, SERVER)->closed = 1;
	assert_true(summary_is_balanced(world_sample(w, SECOND)));
	assert_false(w->summary->settled);
	assert_int_equal(w->summary->ending, 1);
	assert_int_equal(world_sample(w, 2 * SECOND)->unbalanced, 1u << BALANCE_OUTCOMES);
	/* a full table is a loss that is counted */
	w->reading->books.outcomes_full = 1;
	assert_true(world_sample(w, 3 * SECOND)->settled);
}

static void records_are_received_or_dropped(void **state)
{
	struct world *w = *state;
	uint8_t garbage[64] = {0};

	world_open(w, 0, (struct open_args){.type = EVENT_REFUSED, .status = 404});
	world_record(w, garbage, sizeof(garbage));
	w->reading->books.events_submitted += 2;
	w->reading->books.events_dropped_ring += 2;
	assert_true(world_sample(w, SECOND)->settled);
	assert_int_equal(w->summary->events_received, 1);
	assert_int_equal(w->summary->events_undecodable, 1);
	/* one is on its way */
	w->reading->books.events_submitted++;
	assert_true(summary_is_balanced(world_sample(w, 2 * SECOND)));
	assert_false(w->summary->settled);
	/* it never came */
	assert_int_equal(world_sample(w, 3 * SECOND)->unbalanced, 1u << BALANCE_EVENTS);
	/* more than were sent cannot be */
	w->reading->books.events_submitted = 1;
	assert_int_equal(world_sample(w, 4 * SECOND)->unbalanced, 1u << BALANCE_EVENTS);
}

static void between_walks_the_last_one_stands(void **state)
{
	struct world *w = *state;
	uint64_t id = world_open(w, 0, (struct open_args){.path = "/a"});

	world_walk(w, (struct walk_record){.id = id});
	world_sample(w, SECOND);
	world_open(w, SECOND, (struct open_args){.path = "/a"});
	world_sample_parts(w, 2 * SECOND, 0);
	assert_int_equal(w->summary->active, 2); /* as the counters say */
	assert_int_equal(top_count(&w->summary->by_channel, "/a"), 1);
	assert_true(summary_is_balanced(w->summary));
	assert_false(w->summary->settled);
}

static void servers_beyond_the_bound_are_other(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	assert_int_equal(world_sample(w, SECOND)->nr_servers, 1);
	world_counters(w, SLOT_OTHER)->text = 1;
	s = world_sample(w, 2 * SECOND);
	assert_int_equal(s->nr_servers, 2);
	assert_string_equal(s->servers[0].name, "other");
}

#define CASE(text, fn)                                                                             \
	{                                                                                          \
		.name = (text), .test_func = (fn), .setup_func = setup, .teardown_func = teardown  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE("a shadowed outcome is no second error",
		     a_shadowed_outcome_is_no_second_error),
		CASE("codes are sorted and tell who closed", codes_are_sorted_and_tell_who_closed),
		CASE("codes of strangers are bounded", codes_of_strangers_are_bounded),
		CASE("recent errors say what, where, who and why",
		     recent_errors_say_what_where_who_and_why),
		CASE("refusals without an answer, or with a wrong one",
		     refusals_without_an_answer_or_with_a_wrong_one),
		CASE("a reason in pieces is joined", a_reason_in_pieces_is_joined),
		CASE("twenty errors are shown, newest first", twenty_of_a_hundred_are_shown),
		CASE("open connections are counted by their labels",
		     open_connections_are_counted_by_their_labels),
		CASE("the kernel is told each path once", the_kernel_is_told_each_path_once),
		CASE("behind a proxy the last forwarded address is the user",
		     behind_a_proxy_the_last_forwarded_address_is_the_user),
		CASE("a lost record costs no connection", a_lost_record_costs_no_connection),
		CASE("a hundred labels, then other", a_hundred_labels_then_other),
		CASE("channels of two servers with one name add up",
		     channels_of_two_servers_with_one_name_add_up),
		CASE("a path called other is not mistaken", a_path_called_other_is_not_mistaken),
		CASE("servers of one name stay apart", servers_of_one_name_stay_apart),
		CASE("labels of lost closes do not pile up", labels_of_lost_closes_do_not_pile_up),
		CASE("upstream legs are nobody's connections",
		     upstream_legs_are_nobodys_connections),
		CASE("what a proxy passes on is in its own numbers, not in the totals",
		     what_a_proxy_passes_on_is_not_in_the_totals),
		CASE("a proxy that also answers itself has two names",
		     both_halves_of_a_proxy_have_a_name),
		CASE("the peak between two samples is seen", the_peak_between_two_samples_is_seen),
		CASE("one after the other is a peak of one, however late their sockets go",
		     one_after_the_other_is_a_peak_of_one),
		CASE("lost records make no peak", lost_records_make_no_peak),
		CASE("rates and sums are over all servers", rates_and_sums_are_over_all_servers),
		CASE("latency is of the last five minutes", latency_is_of_the_last_five_minutes),
		CASE("what cannot be taken is not zero", what_cannot_be_taken_is_not_zero),
		CASE("durations and ages", durations_and_ages),
		CASE("a clock that jumps moves nothing but timestamps",
		     a_clock_that_jumps_moves_nothing_but_timestamps),
		CASE("every equation that fails has its name",
		     every_equation_that_fails_has_its_name),
		CASE("traffic during the walk is allowed for, and no more",
		     traffic_during_the_walk_is_allowed_for_and_no_more),
		CASE("waiting messages are walked too", waiting_messages_are_walked_too),
		CASE("closes without an outcome are missed at the second look",
		     closes_without_outcome_are_missed_at_the_second_look),
		CASE("records are received or dropped", records_are_received_or_dropped),
		CASE("between walks the last one stands", between_walks_the_last_one_stands),
		CASE("servers beyond the bound are other", servers_beyond_the_bound_are_other),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("aggregate", one_outcome, rows, sizeof(rows[0]), COUNT(rows), tests,
			 COUNT(tests));
}

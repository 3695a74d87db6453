// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate.h"
#include "channel.h"
#include "connection.h"
#include "rate.h"
#include "window.h"

#define RECENT_MAX 100     /* SPEC 3 */
#define REASONS_MAX 1024   /* close frames whose connection has not ended yet */
#define MOMENTS_MAX 65536  /* opens and closes within one second */
#define LEAKED_LABELS 1024 /* so many labels without a connection are borne */

struct recent {
	struct error_row row; /* without server and time */
	uint16_t server;
	uint64_t now_ns;
};

/* The pieces of a close frame's payload, joined; a ring, so that what never ends goes away. */
struct reason {
	uint64_t id;
	uint8_t len;
	uint8_t by;
	char text[REASON_MAX + 2];
};

/* A connection opened (+1) or closed (-1). */
struct moment {
	uint64_t at_ns;
	int change;
};

/* What the last walk over the connections found. */
struct walked {
	uint32_t number; /* of the walk */
	uint64_t active[MAX_SERVERS], waiting[MAX_SERVERS];
	struct top by_user, by_channel;
	struct hist age_ms;
	uint64_t min_age_ms, max_age_ms;
	unsigned unbalanced, upstream_unbalanced;
	bool outcomes_off[MAX_SERVERS]; /* the outcomes did not add up to what has closed */
	bool settled;
};

struct aggregate {
	struct aggregate_config config;
	const struct reading *reading; /* the last one */
	struct rates *rates;
	struct window *window;
	struct channels *channels;
	struct connections *connections;
	char names[MAX_SERVERS][LABEL_SIZE]; /* "" = not known yet */
	struct walked walked;

	uint64_t events_received, events_undecodable;
	uint64_t events_expected; /* sent by the kernel until the reading before the last */
	uint64_t events_at_sample;
	uint64_t labels_full, folded;
	unsigned unbalanced, upstream_unbalanced;
	bool settled;

	uint64_t peak, active; /* at the last sample, all servers */
	uint64_t sampled_ns;
	struct moment *moments;
	size_t nr_moments, max_moments;
	bool moments_lost;

	struct recent recent[RECENT_MAX];
	uint64_t nr_recent;
	struct reason reasons[REASONS_MAX];
	uint64_t nr_reasons;
};

#define X(NAME, key) key,
static const char *const balance_keys[] = {BALANCES(X)};
#undef X

const char *balance_key(enum balance balance)
{
	return balance < NR_BALANCES ? balance_keys[balance] : "unknown";
}

bool summary_is_balanced(const struct summary *summary)
{
	return !summary->unbalanced && !summary->upstream_unbalanced;
}

struct aggregate *aggregate_new(const struct aggregate_config *config)
{
	struct aggregate *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->config = *config;
	a->sampled_ns = config->start_ns;
	a->rates = rates_new(config->start_ns);
	a->window = window_new(config->start_ns);
	a->channels = channels_new(config->key);
	a->connections = connections_new();
	if (!a->rates || !a->window || !a->channels || !a->connections) {
		aggregate_free(a);
		return NULL;
	}
	return a;
}

void aggregate_free(struct aggregate *aggregate)
{
	if (!aggregate)
		return;
	rates_free(aggregate->rates);
	window_free(aggregate->window);
	channels_free(aggregate->channels);
	connections_free(aggregate->connections);
	free(aggregate->moments);
	free(aggregate);
}

/* --- records --- */

static void moment_add(struct aggregate *a, uint64_t at_ns, int change)
{
	struct moment *bigger;
	size_t more;

	if (a->nr_moments == a->max_moments) {
		more = a->max_moments ? a->max_moments * 2 : 256;
		bigger = more <= MOMENTS_MAX ? realloc(a->moments, more * sizeof(*bigger)) : NULL;
		if (!bigger) {
			a->moments_lost = true;
			return;
		}
		a->moments = bigger;
		a->max_moments = more;
	}
	a->moments[a->nr_moments++] = (struct moment){at_ns, change};
}

/* Room for one more recent error; the oldest goes. */
static struct recent *recent_new(struct aggregate *a, const struct record *record, uint16_t server,
				 enum error_type type)
{
	struct recent *recent = &a->recent[a->nr_recent++ % RECENT_MAX];

	memset(recent, 0, sizeof(*recent));
	recent->row.type = type;
	recent->server = server;
	recent->now_ns = record->event.now_ns;
	return recent;
}

static void record_open(struct aggregate *a, const struct record *record)
{
	const struct event_open *open = &record->open;
	struct channel_key key = {.path_hash = open->path_hash, .server = open->server};
	struct connection connection = {
		.id = open->event.id,
		.open_ns = open->event.now_ns,
		.server = open->server,
		.seen = a->walked.number,
	};
	struct handshake handshake;

	if (open->upstream)
		return;
	handshake_parse(record->request, record->response, &handshake);
	connection.user = label_user(a->config.key, open->peer.addr, handshake.forwarded_for);
	connection.channel = channels_place(a->channels, open->server, handshake.path);
	if (connection.channel == CHANNEL_OTHER)
		a->folded++;
	else if (channels_learn(a->channels, &key, connection.channel) && a->config.name_channel)
		a->config.name_channel(&key, connection.channel, a->config.ctx);
	if (connections_put(a->connections, &connection))
		a->labels_full++;
	moment_add(a, open->event.now_ns, +1);
}

static void record_refused(struct aggregate *a, const struct record *record)
{
	const struct event_open *open = &record->open;
	enum error_type type = error_of_status(open->status);
	struct handshake handshake;
	struct error_row *row;

	if (open->upstream)
		return;
	handshake_parse(record->request, record->response, &handshake);
	row = &recent_new(a, record, open->server, type)->row;
	label_user_text(label_user(a->config.key, open->peer.addr, handshake.forwarded_for),
			row->user);
	/* A refused path gets no slot: scanners would use them up. */
	label_clean(handshake.path, row->channel, sizeof(row->channel));
	row->has_status = true;
	row->status = open->status;
	row->has_initiator = open->status != 0;
	row->initiator = BY_SERVER;
	if (open->accept_wrong)
		snprintf(row->message, sizeof(row->message), "wrong Sec-WebSocket-Accept");
	else if (!open->status)
		snprintf(row->message, sizeof(row->message), "no answer before the socket closed");
	else
		label_clean(handshake.status_line, row->message, sizeof(row->message));
}

static struct reason *reason_find(struct aggregate *a, uint64_t id)
{
	for (size_t i = 0; i < REASONS_MAX && i < a->nr_reasons; i++)
		if (a->reasons[i].id == id)
			return &a->reasons[i];
	return NULL;
}

static void record_reason(struct aggregate *a, const struct record *record)
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

static enum error_type error_of_record(const struct event_close *close)
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

static void record_close(struct aggregate *a, const struct record *record)
{
	const struct event_close *close = &record->close;
	const struct connection *connection = connections_find(a->connections, close->event.id);
	enum error_type type = error_of_record(close);
	uint16_t channel = connection ? connection->channel : close->channel;

	if (close->upstream)
		return;
	/* The record comes when the socket is gone, which may be long after the close. */
	moment_add(a, connection ? connection->open_ns + close->duration_ns : close->event.now_ns,
		   -1);
	if (type != ERROR_NONE) {
		struct error_row *row = &recent_new(a, record, close->server, type)->row;

		if (channel != CHANNEL_NONE)
			snprintf(row->channel, sizeof(row->channel), "%s",
				 channels_name(a->channels, channel));
		if (connection)
			label_user_text(connection->user, row->user);
		close_describe(a, close, row);
	}
	connections_remove(a->connections, close->event.id);
}

void aggregate_record(struct aggregate *aggregate, const struct record *record)
{
	aggregate->events_received++;
	switch (record->type) {
	case EVENT_OPEN:
		record_open(aggregate, record);
		break;
	case EVENT_REFUSED:
		record_refused(aggregate, record);
		break;
	case EVENT_REASON:
		record_reason(aggregate, record);
		break;
	case EVENT_CLOSE:
		record_close(aggregate, record);
		break;
	}
}

void aggregate_undecodable(struct aggregate *aggregate)
{
	aggregate->events_undecodable++;
}

/* --- the walk --- */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct user_count {
	uint64_t user, count;
};

static int compare_users(const void *a, const void *b)
{
	const struct user_count *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->user < y->user ? -1 : x->user > y->user;
}

/* Adds one label to a top that is filled in descending order. */
static void top_add(struct top *top, const char *label, uint64_t count)
{
	if (top->nr == SUMMARY_TOP || strcmp(label, "other") == 0) {
		top->other += count;
		top->more = true;
		return;
	}
	snprintf(top->rows[top->nr].label, sizeof(top->rows[0].label), "%s", label);
	top->rows[top->nr++].count = count;
}

static int walk_users(struct walked *walked, uint64_t *users, size_t nr)
{
	struct user_count *counts = calloc(nr ? nr : 1, sizeof(*counts));
	char label[LABEL_USER_SIZE];
	size_t different = 0;

	if (!counts)
		return -ENOMEM;
	qsort(users, nr, sizeof(*users), compare_u64);
	for (size_t i = 0; i < nr; i++) {
		if (i == 0 || users[i] != users[i - 1])
			counts[different++].user = users[i];
		counts[different - 1].count++;
	}
	qsort(counts, different, sizeof(*counts), compare_users);
	memset(&walked->by_user, 0, sizeof(walked->by_user));
	for (size_t i = 0; i < different; i++) {
		label_user_text(counts[i].user, label);
		top_add(&walked->by_user, label, counts[i].count);
	}
	free(counts);
	return 0;
}

struct name_count {
	const char *name;
	uint64_t count;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name_count *)a)->name, ((const struct name_count *)b)->name);
}

static int compare_name_counts(const void *a, const void *b)
{
	const struct name_count *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* Slots are of one server each; two servers may have a channel of the same name. */
static void walk_channels(struct aggregate *a, const uint32_t *active)
{
	struct name_count counts[MAX_CHANNELS];
	size_t nr = 0, different = 0;

	for (uint16_t slot = 0; slot < MAX_CHANNELS; slot++)
		if (active[slot])
			counts[nr++] = (struct name_count){channels_name(a->channels, slot),
							   active[slot]};
	qsort(counts, nr, sizeof(*counts), compare_names);
	for (size_t i = 0; i < nr; i++) {
		if (different && strcmp(counts[different - 1].name, counts[i].name) == 0)
			counts[different - 1].count += counts[i].count;
		else
			counts[different++] = counts[i];
	}
	qsort(counts, different, sizeof(*counts), compare_name_counts);
	memset(&a->walked.by_channel, 0, sizeof(a->walked.by_channel));
	for (size_t i = 0; i < different; i++)
		top_add(&a->walked.by_channel, counts[i].name, counts[i].count);
}

static void walk_age(struct walked *walked, uint64_t age_ns)
{
	uint64_t ms = age_ns / 1000000;

	walked->age_ms.bucket[hist_bucket(ms)]++;
	walked->age_ms.sum += ms;
	if (ms < walked->min_age_ms)
		walked->min_age_ms = ms;
	if (ms > walked->max_age_ms)
		walked->max_age_ms = ms;
}

/* Whose connection it is; from the walk itself where its open record was lost. */
static void walk_label(struct aggregate *a, const struct walk_record *walk, uint64_t *ret_user,
		       uint16_t *ret_channel)
{
	struct channel_key key = {.path_hash = walk->path_hash, .server = walk->server};
	struct connection *connection = connections_find(a->connections, walk->id);

	if (connection) {
		connection->seen = a->walked.number;
		*ret_user = connection->user;
		*ret_channel = connection->channel;
		return;
	}
	*ret_user = label_user(a->config.key, walk->peer.addr, (struct text){0});
	*ret_channel = walk->channel ? walk->channel : channels_lookup(a->channels, &key);
}

static int sample_walk(struct aggregate *a, const struct reading *reading)
{
	struct walked *walked = &a->walked;
	uint64_t *users = calloc(reading->nr_walk ? reading->nr_walk : 1, sizeof(*users));
	uint32_t channels[MAX_CHANNELS] = {0};
	size_t nr = 0;
	int err;

	if (!users)
		return -ENOMEM;
	walked->number++;
	memset(walked->active, 0, sizeof(walked->active));
	memset(walked->waiting, 0, sizeof(walked->waiting));
	memset(&walked->age_ms, 0, sizeof(walked->age_ms));
	walked->min_age_ms = UINT64_MAX;
	walked->max_age_ms = 0;
	for (size_t i = 0; i < reading->nr_walk; i++) {
		const struct walk_record *walk = &reading->walk[i];
		uint32_t slot = walk->upstream ? SLOT_UPSTREAM : walk->server;
		uint16_t channel;

		walked->active[slot]++;
		walked->waiting[slot] += walk->waiting;
		if (slot == SLOT_UPSTREAM)
			continue;
		walk_label(a, walk, &users[nr++], &channel);
		channels[channel]++;
		walk_age(walked,
			 reading->now_ns > walk->open_ns ? reading->now_ns - walk->open_ns : 0);
	}
	err = walk_users(walked, users, nr);
	walk_channels(a, channels);
	/* Labels of connections whose close record was lost would stay for ever. */
	if (connections_count(a->connections) > 2 * nr + LEAKED_LABELS)
		connections_sweep(a->connections, walked->number);
	free(users);
	return err;
}

/* --- the books --- */

static bool bytes_balance(uint64_t seen, uint64_t header, uint64_t payload, uint64_t gap)
{
	return seen == header + payload + gap;
}

/*
 * What was walked lies between two readings of what was counted: begun before - done after <=
 * walked <= begun after - done before. Without traffic in between both ends are one.
 */
static bool walk_balances(uint64_t begun_before, uint64_t begun_after, uint64_t done_before,
			  uint64_t done_after, uint64_t walked)
{
	return walked + done_after >= begun_before && walked + done_before <= begun_after;
}

static uint64_t received_done(const struct server_counters_fields *n)
{
	return n->timed + n->ambiguous + n->unanswered;
}

/* Bits of the equations that do not hold for the counters alone. */
static unsigned counters_unbalanced(const struct server_counters_fields *n)
{
	unsigned bits = 0;

	if (!bytes_balance(n->seen_received, n->header_received, n->payload_received,
			   n->gap_received))
		bits |= 1u << BALANCE_BYTES_RECEIVED;
	if (!bytes_balance(n->seen_sent, n->header_sent, n->payload_sent, n->gap_sent))
		bits |= 1u << BALANCE_BYTES_SENT;
	if (n->sent != n->timed + n->push + n->answers_to_ambiguous)
		bits |= 1u << BALANCE_MESSAGES_SENT;
	return bits;
}

/*
 * closed = outcomes. An outcome may still be corrected: it then moves from one entry of the map to
 * another, which a reading may see twice or not at all. So once is chance, and twice in a row is not.
 */
static bool outcomes_balance(const struct reading *reading, struct walked *walked, uint32_t slot,
			     uint64_t ended)
{
	const struct reading_server *server = &reading->servers[slot];
	bool off = ended > server->counters.n.closed ||
		   ended + reading->books.outcomes_full < server->before.closed;
	bool again = off && walked->outcomes_off[slot];

	walked->outcomes_off[slot] = off;
	return !again;
}

static unsigned walk_unbalanced(const struct reading *reading, struct walked *walked, uint32_t slot,
				uint64_t ended)
{
	const struct server_counters_fields *before = &reading->servers[slot].before;
	const struct server_counters_fields *after = &reading->servers[slot].counters.n;
	uint64_t active = walked->active[slot], waiting = walked->waiting[slot];
	unsigned bits = 0;

	if (!walk_balances(before->opened, after->opened, before->closed, after->closed, active))
		bits |= 1u << BALANCE_CONNECTIONS;
	if (!walk_balances(before->received, after->received, received_done(before),
			   received_done(after), waiting))
		bits |= 1u << BALANCE_MESSAGES_RECEIVED;
	if (!outcomes_balance(reading, walked, slot, ended))
		bits |= 1u << BALANCE_OUTCOMES;
	if (after->opened != after->closed + active ||
	    after->received != received_done(after) + waiting ||
	    after->closed > ended + reading->books.outcomes_full || after->closed < ended)
		walked->settled = false;
	return bits;
}

static void count_ended(const struct reading *reading, uint64_t ended[MAX_SERVERS])
{
	memset(ended, 0, MAX_SERVERS * sizeof(*ended));
	for (size_t i = 0; i < reading->nr_outcomes; i++) {
		const struct outcome_key *key = &reading->outcomes[i].key;

		if (key->kind == OUTCOME_CLOSE || key->kind == OUTCOME_ABNORMAL)
			ended[key->server] += reading->outcomes[i].count;
	}
}

static void sample_books(struct aggregate *a, const struct reading *reading)
{
	uint64_t sent = reading->books.events_submitted - reading->books.events_dropped_ring;
	uint64_t received = a->events_received + a->events_undecodable;
	uint64_t ended[MAX_SERVERS];
	bool walk = reading->parts & READING_WALK;

	count_ended(reading, ended);
	if (walk) {
		a->walked.unbalanced = a->walked.upstream_unbalanced = 0;
		a->walked.settled = true;
	}
	a->unbalanced = a->upstream_unbalanced = 0;
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		const struct reading_server *server = &reading->servers[slot];
		bool upstream = slot == SLOT_UPSTREAM;

		if (!server->used)
			continue;
		if (walk)
			*(upstream ? &a->walked.upstream_unbalanced : &a->walked.unbalanced) |=
				walk_unbalanced(reading, &a->walked, slot, ended[slot]);
		*(upstream ? &a->upstream_unbalanced
			   : &a->unbalanced) |= counters_unbalanced(&server->counters.n);
	}
	/* Between the last look into the ring and the reading more may have been sent. */
	if (received > sent || received < a->events_expected)
		a->unbalanced |= 1u << BALANCE_EVENTS;
	a->events_expected = sent;
	a->events_at_sample = received;
	a->settled = received == sent && a->walked.settled && walk;
	a->unbalanced |= a->walked.unbalanced;
	a->upstream_unbalanced |= a->walked.upstream_unbalanced;
}

/* --- one sample --- */

static bool name_is_taken(const struct aggregate *a, uint32_t slot)
{
	for (uint32_t i = 0; i < MAX_SERVERS; i++)
		if (i != slot && strcmp(a->names[i], a->names[slot]) == 0)
			return true;
	return false;
}

static void sample_names(struct aggregate *a, const struct reading *reading)
{
	for (uint32_t slot = SLOT_FIRST; slot < MAX_SERVERS; slot++) {
		const struct reading_server *server = &reading->servers[slot];
		char *name = a->names[slot];
		size_t len;

		if (!server->used || *name)
			continue;
		label_server(server->info.comm, server->key.port, server->process.unit, name);
		/* The same program on the same port of another network namespace. */
		len = strlen(name);
		if (name_is_taken(a, slot))
			snprintf(name + (len < LABEL_MAX - 24 ? len : LABEL_MAX - 24), 24,
				 "~net:%u", server->key.netns);
	}
}

static enum error_type error_of_outcome(const struct outcome_key *key)
{
	switch (key->kind) {
	case OUTCOME_REFUSED:
		return error_of_status(key->code);
	case OUTCOME_VIOLATION:
		return ERROR_PROTOCOL;
	case OUTCOME_CLOSE:
		return key->shadowed ? ERROR_NONE : error_of_close(key->code);
	case OUTCOME_ABNORMAL:
		return key->shadowed ? ERROR_NONE : ERROR_ABNORMAL;
	default:
		return ERROR_NONE;
	}
}

static int sample_rates(struct aggregate *a, const struct reading *reading)
{
	uint64_t errors[MAX_SERVERS] = {0};
	int err = 0;

	for (size_t i = 0; i < reading->nr_outcomes; i++)
		if (error_of_outcome(&reading->outcomes[i].key) != ERROR_NONE)
			errors[reading->outcomes[i].key.server] += reading->outcomes[i].count;
	for (uint32_t slot = 0; slot < MAX_SERVERS && !err; slot++) {
		const struct server_counters_fields *n = &reading->servers[slot].counters.n;

		if (!reading->servers[slot].used)
			continue;
		err = rates_set(a->rates, slot, RATE_MESSAGES, n->received + n->sent);
		if (!err)
			err = rates_set(a->rates, slot, RATE_ERRORS, errors[slot]);
	}
	if (!err)
		rates_sample(a->rates, reading->now_ns);
	return err;
}

static int sample_windows(struct aggregate *a, const struct reading *reading)
{
	int err = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS && !err; slot++) {
		const struct reading_server *server = &reading->servers[slot];

		if (!server->used)
			continue;
		err = window_extremes(a->window, slot, &server->counters);
		if (!err && reading->parts & READING_HISTS)
			err = window_hists(a->window, slot, server->hists,
					   server->counters.n.received, server->counters.n.timed);
	}
	if (!err && reading->parts & READING_HISTS)
		err = window_sample(a->window, reading->now_ns);
	return err;
}

static int compare_moments(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return x->change - y->change; /* a close first: no peak that never was */
}

static uint64_t count_open(const struct reading *reading)
{
	uint64_t opened = 0, closed = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		if (!reading->servers[slot].used || slot == SLOT_UPSTREAM)
			continue;
		opened += reading->servers[slot].counters.n.opened;
		closed += reading->servers[slot].counters.n.closed;
	}
	return opened > closed ? opened - closed : 0;
}

/*
 * Between two samples the records say how many were open at once. They are believed if they lead
 * from the one count to the other: a lost record, or a close whose socket lingers, would make a
 * peak that never was.
 */
static void sample_peak(struct aggregate *a, const struct reading *reading)
{
	uint64_t end = count_open(reading);
	int64_t open = (int64_t)a->active, highest = open;
	size_t kept = 0;

	if (a->nr_moments)
		qsort(a->moments, a->nr_moments, sizeof(*a->moments), compare_moments);
	for (size_t i = 0; i < a->nr_moments; i++) {
		const struct moment *moment = &a->moments[i];

		if (moment->at_ns > reading->now_ns) {
			a->moments[kept++] = *moment;
		} else if (moment->at_ns > a->sampled_ns) {
			open += moment->change;
			if (open > highest)
				highest = open;
		}
	}
	a->nr_moments = kept;
	if (!a->moments_lost && open == (int64_t)end && (uint64_t)highest > a->peak)
		a->peak = (uint64_t)highest;
	if (end > a->peak)
		a->peak = end;
	a->moments_lost = false;
	a->active = end;
	a->sampled_ns = reading->now_ns;
}

int aggregate_sample(struct aggregate *aggregate, const struct reading *reading)
{
	int err = 0;

	aggregate->reading = reading;
	sample_names(aggregate, reading);
	if (reading->parts & READING_WALK)
		err = sample_walk(aggregate, reading);
	sample_books(aggregate, reading);
	sample_peak(aggregate, reading);
	if (!err)
		err = sample_rates(aggregate, reading);
	if (!err)
		err = sample_windows(aggregate, reading);
	return err;
}

/* --- the summary --- */

static void counters_add(struct server_counters_fields *sum, const struct server_counters_fields *n)
{
#define X(name, text) sum->name += n->name;
	SERVER_COUNTERS(X)
#undef X
}

static bool counters_any(const struct server_counters_fields *n)
{
	uint64_t any = 0;

#define X(name, text) any |= n->name;
	SERVER_COUNTERS(X)
#undef X
	return any;
}

static void code_add(struct code_counts *counts, uint16_t code, unsigned by, uint64_t count)
{
	size_t i = 0;

	while (i < counts->nr && counts->rows[i].code < code)
		i++;
	if (i == counts->nr || counts->rows[i].code != code) {
		if (counts->nr == SUMMARY_CODES) {
			counts->other[by] += count;
			return;
		}
		memmove(&counts->rows[i + 1], &counts->rows[i],
			(counts->nr - i) * sizeof(counts->rows[0]));
		counts->rows[i] = (struct code_count){.code = code};
		counts->nr++;
	}
	counts->rows[i].count[by] += count;
}

/* One row of the outcomes into the numbers of its server and of all. */
static void summarise_outcome(struct summary *s, struct server_summary *server,
			      const struct reading_outcome *outcome)
{
	const struct outcome_key *key = &outcome->key;
	enum error_type type = error_of_outcome(key);
	unsigned by = key->initiator == BY_SERVER ? BY_SERVER : BY_CLIENT;
	uint64_t count = outcome->count;

	switch (key->kind) {
	case OUTCOME_REFUSED:
		code_add(&s->refused, key->code, BY_SERVER, count);
		server->refused[key->code < 600 ? key->code / 100 : 5] += count;
		break;
	case OUTCOME_VIOLATION:
		if (key->code < NR_VIOLATIONS) {
			s->violations[key->code] += count;
			server->violations[key->code] += count;
		}
		break;
	case OUTCOME_CLOSE:
		code_add(&s->close_codes, key->code, by, count);
		server->closes[close_class(key->code)][by] += count;
		break;
	case OUTCOME_ABNORMAL:
		if (key->code < NR_CAUSES && !key->shadowed) {
			s->causes[key->code] += count;
			server->causes[key->code] += count;
		}
		break;
	}
	if (type == ERROR_NONE)
		return;
	s->by_type[type] += count;
	s->errors += count;
	server->by_type[type] += count;
	server->errors += count;
}

static void summarise_outcomes(const struct reading *reading, struct summary *s,
			       struct server_summary *by_slot[MAX_SERVERS])
{
	for (size_t i = 0; i < reading->nr_outcomes; i++) {
		uint32_t slot = reading->outcomes[i].key.server;

		/* An outcome that was corrected leaves a 0 behind. */
		if (slot != SLOT_UPSTREAM && by_slot[slot] && reading->outcomes[i].count)
			summarise_outcome(s, by_slot[slot], &reading->outcomes[i]);
	}
}

/* "other" has a row when something is in it. */
static bool server_is_shown(const struct reading *reading, uint32_t slot)
{
	const struct reading_server *server = &reading->servers[slot];

	if (!server->used || slot == SLOT_UPSTREAM)
		return false;
	if (slot != SLOT_OTHER || counters_any(&server->counters.n))
		return true;
	for (size_t i = 0; i < reading->nr_outcomes; i++)
		if (reading->outcomes[i].key.server == SLOT_OTHER && reading->outcomes[i].count)
			return true;
	return false;
}

static void summarise_servers(struct aggregate *a, struct summary *s, uint64_t window_ns)
{
	const struct reading *reading = a->reading;
	struct server_summary *by_slot[MAX_SERVERS] = {0};
	struct window_sum sum;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		const struct reading_server *from = &reading->servers[slot];
		struct server_summary *server = &s->servers[s->nr_servers];

		if (!server_is_shown(reading, slot))
			continue;
		s->nr_servers++;
		by_slot[slot] = server;
		server->slot = slot;
		snprintf(server->name, sizeof(server->name), "%s",
			 slot == SLOT_OTHER ? "other" : a->names[slot]);
		server->n = from->counters.n;
		server->active = a->walked.active[slot];
		server->rate_1m = rates_get(a->rates, slot, RATE_MESSAGES, 60 * 1000000000ull);
		server->hists = from->hists;
		server->rare = from->rare;
		counters_add(&s->n, &from->counters.n);
		window_sum_empty(a->window, window_ns, reading->now_ns, &sum);
		window_add(a->window, slot, window_ns, reading->now_ns, &sum);
		server->latency = spread_of(&sum.hist[MEASURE_LATENCY], sum.min[MEASURE_LATENCY],
					    sum.max[MEASURE_LATENCY], 1);
	}
	summarise_outcomes(reading, s, by_slot);
}

static double rate_of_all(const struct aggregate *a, enum rate_of what, uint64_t seconds)
{
	double rate = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (slot != SLOT_UPSTREAM)
			rate += rates_get(a->rates, slot, what, seconds * 1000000000ull);
	return rate;
}

static bool hook_is_attached(const struct reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->nr_hooks; i++)
		if (reading->hooks[i].attached && strstr(reading->hooks[i].name, name))
			return true;
	return false;
}

static void summarise_window(struct aggregate *a, struct summary *s, uint64_t window_ns)
{
	const struct reading *reading = a->reading;
	struct window_sum sum;

	window_sum_empty(a->window, window_ns, reading->now_ns, &sum);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (slot != SLOT_UPSTREAM)
			window_add(a->window, slot, window_ns, reading->now_ns, &sum);
	s->window_s = (double)(reading->now_ns - sum.from_ns) / 1e9;
	s->window_received = sum.received;
	s->window_timed = sum.timed;
	s->latency = spread_of(&sum.hist[MEASURE_LATENCY], sum.min[MEASURE_LATENCY],
			       sum.max[MEASURE_LATENCY], 1);
	s->queue_wait = spread_of(&sum.hist[MEASURE_QUEUE_WAIT], sum.min[MEASURE_QUEUE_WAIT],
				  sum.max[MEASURE_QUEUE_WAIT], 1);
	s->queue_wait.available = hook_is_attached(reading, "sk_data_ready");
}

/* One distribution of struct server_rare over all servers. */
static struct spread spread_of_rare(const struct reading *reading, size_t hist_at, size_t range_at,
				    uint64_t unit_ns)
{
	static const struct hist none;
	struct hist sum = {0};
	uint64_t min = UINT64_MAX, max = 0;

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		const char *rare = (const char *)reading->servers[slot].rare;
		const struct minmax *range;

		if (slot == SLOT_UPSTREAM || !rare ||
		    !hist_count((const struct hist *)(rare + hist_at)))
			continue;
		range = (const struct minmax *)(rare + range_at);
		hist_add_difference(&sum, (const struct hist *)(rare + hist_at), &none);
		if (range->min < min)
			min = range->min;
		if (range->max > max)
			max = range->max;
	}
	return spread_of(&sum, min, max, unit_ns);
}

#define SPREAD_OF_RARE(reading, hist, range, unit_ns)                                              \
	spread_of_rare(reading, offsetof(struct server_rare, hist),                                \
		       offsetof(struct server_rare, range), unit_ns)

static void summarise_recent(const struct aggregate *a, struct summary *s)
{
	for (uint64_t i = 0; i < a->nr_recent && i < SUMMARY_RECENT; i++) {
		const struct recent *recent = &a->recent[(a->nr_recent - 1 - i) % RECENT_MAX];
		struct error_row *row = &s->recent[s->nr_recent++];

		*row = recent->row;
		/* The difference wraps for a record that is younger than the reading: as it should. */
		row->wall_ns = a->reading->wall_ns - (a->reading->now_ns - recent->now_ns);
		snprintf(row->server, sizeof(row->server), "%s",
			 recent->server == SLOT_OTHER ? "other" : a->names[recent->server]);
	}
}

static void summarise_books(const struct aggregate *a, struct summary *s)
{
	const struct reading *reading = a->reading;
	uint64_t ended[MAX_SERVERS], done = 0;

	count_ended(reading, ended);
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (slot != SLOT_UPSTREAM)
			done += ended[slot];
	s->ending = s->n.closed > done ? s->n.closed - done : 0;
	s->unbalanced = a->unbalanced;
	s->upstream_unbalanced = a->upstream_unbalanced;
	s->settled = a->settled && !s->unbalanced && !s->upstream_unbalanced;
	s->books = reading->books;
	s->events_undecodable = a->events_undecodable;
	s->events_received = a->events_at_sample - a->events_undecodable;
	s->labels_full = a->labels_full;
	s->folded = a->folded;
	s->hooks = reading->hooks;
	s->nr_hooks = reading->nr_hooks;
	for (size_t i = 0; i < reading->nr_hooks; i++)
		s->missed_runs += reading->hooks[i].missed;
}

void aggregate_summary(struct aggregate *aggregate, const struct filter *filter,
		       struct summary *ret_summary)
{
	uint64_t window_ns = filter && filter->window_ns ? filter->window_ns : AGGREGATE_WINDOW_NS;
	struct aggregate *a = aggregate;
	const struct reading *reading = a->reading;
	struct summary *s = ret_summary;

	memset(s, 0, sizeof(*s));
	s->now_ns = reading->wall_ns;
	s->since_ns = a->config.start_wall_ns;
	s->uptime_s = (double)(reading->now_ns - a->config.start_ns) / 1e9;
	summarise_servers(a, s, window_ns);
	summarise_window(a, s, window_ns);

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		if (slot == SLOT_UPSTREAM)
			continue;
		s->active += a->walked.active[slot];
		s->waiting += a->walked.waiting[slot];
	}
	/* Between two walks of a large host, the counters are what is known now. */
	if (!(reading->parts & READING_WALK))
		s->active = a->active;
	s->peak = a->peak > s->active ? a->peak : s->active;
	s->by_user = a->walked.by_user;
	s->by_channel = a->walked.by_channel;
	s->open_age = spread_of(&a->walked.age_ms, a->walked.min_age_ms, a->walked.max_age_ms,
				1000000);
	s->duration = SPREAD_OF_RARE(reading, duration_ms, duration_range_ms, 1000000);
	s->handshake = SPREAD_OF_RARE(reading, handshake, handshake_ns, 1);
	s->ping_rtt = SPREAD_OF_RARE(reading, ping_rtt, ping_rtt_ns, 1);

	s->rate_1m = rate_of_all(a, RATE_MESSAGES, 60);
	s->rate_5m = rate_of_all(a, RATE_MESSAGES, 300);
	s->rate_15m = rate_of_all(a, RATE_MESSAGES, 900);
	s->error_rate = rate_of_all(a, RATE_ERRORS, 300) * 60;
	summarise_recent(a, s);

	s->upstream = reading->servers[SLOT_UPSTREAM].counters.n;
	s->upstream_active = a->walked.active[SLOT_UPSTREAM];
	summarise_books(a, s);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Which labels a connection's numbers count for. In: records, and the walk's connections with their
 * cumulative counters. Out: rows of usage.h. A connection's traffic is counted in differences, from
 * walk to walk and with the close record; so nothing counts twice, a sum never falls, and what was
 * walked but has no close record yet (its socket may linger) is there all the same.
 */
#include "ledger.h"

struct counters {
	uint32_t received, sent; /* wrap */
	uint64_t bytes_received, bytes_sent;
};

static void traffic_add(struct aggregate *a, struct connection *connection,
			const struct counters *now)
{
	struct traffic more = {
		.received = now->received - connection->received, /* modulo 2^32 */
		.sent = now->sent - connection->sent,
		.bytes_received = now->bytes_received - connection->bytes_received,
		.bytes_sent = now->bytes_sent - connection->bytes_sent,
	};
	struct traffic *traffic;

	connection->received = now->received;
	connection->sent = now->sent;
	connection->bytes_received = now->bytes_received;
	connection->bytes_sent = now->bytes_sent;
	ledger_traffic(a->ledger, connection, &more);
	if (connection->row == USAGE_NONE)
		return;
	traffic = &usage_row(a->usage, connection->row)->traffic;
	traffic->received += more.received;
	traffic->sent += more.sent;
	traffic->bytes_received += more.bytes_received;
	traffic->bytes_sent += more.bytes_sent;
	a->totals[usage_series(connection->server, connection->channel)].received += more.received;
	a->totals[usage_series(connection->server, connection->channel)].sent += more.sent;
}

static void connection_begin(struct aggregate *a, struct connection *connection)
{
	connection->row = usage_place(a->usage, connection->server, connection->channel,
				      connection->user);
	ledger_opened(a->ledger, connection);
	if (connection->row != USAGE_NONE)
		usage_row(a->usage, connection->row)->opened++;
}

static void count_move(uint64_t *from, uint64_t *to, uint64_t count)
{
	if (count > *from)
		count = *from;
	*from -= count;
	*to += count;
}

/* Better labels became known. What was counted for the old ones moves along. */
static void connection_move(struct aggregate *a, struct connection *connection, uint64_t user,
			    uint16_t channel)
{
	uint32_t row = usage_place(a->usage, connection->server, channel, user);
	uint32_t walk = a->walked.number;

	if (user != connection->user || channel != connection->channel)
		ledger_moved(a->ledger, connection, user, channel);
	connection->user = user;
	connection->channel = channel;
	if (row == USAGE_NONE || row == connection->row)
		return;
	if (connection->row != USAGE_NONE) {
		struct usage_row *from = usage_row(a->usage, connection->row);
		struct usage_row *to = usage_row(a->usage, row);

		count_move(&from->opened, &to->opened, 1);
		count_move(&from->traffic.received, &to->traffic.received, connection->received);
		count_move(&from->traffic.sent, &to->traffic.sent, connection->sent);
		count_move(&from->traffic.bytes_received, &to->traffic.bytes_received,
			   connection->bytes_received);
		count_move(&from->traffic.bytes_sent, &to->traffic.bytes_sent,
			   connection->bytes_sent);
		if (connection->seen == walk) {
			usage_change(from, walk, -1, 0);
			usage_change(to, walk, +1, 0);
		}
	} else {
		usage_row(a->usage, row)->opened++;
	}
	connection->row = row;
}

void account_open(struct aggregate *a, const struct connection *labels)
{
	struct connection *connection = connections_find(a->connections, labels->id);

	/* It was opened between the last look into the ring and the walk, which met it first. */
	if (connection) {
		connection_move(a, connection, labels->user, labels->channel);
		return;
	}
	if (connections_put(a->connections, labels)) {
		a->labels_full++;
		return;
	}
	connection = connections_find(a->connections, labels->id);
	connection_begin(a, connection);
	if (connection->row != USAGE_NONE)
		usage_change(usage_row(a->usage, connection->row), a->walked.number, +1, 0);
}

/* Labels from the walk itself: the open record was lost, or is on its way. */
static struct connection *walk_begin(struct aggregate *a, const struct walk_record *walk)
{
	struct channel_key key = {.path_hash = walk->path_hash, .server = walk->server};
	struct connection labels = {
		.id = walk->id,
		.user = label_user(a->config.key, walk->peer.addr, (struct text){0}),
		.open_ns = walk->open_ns,
		.server = walk->server,
		.channel = walk->channel ? walk->channel : channels_lookup(a->channels, &key),
		.row = USAGE_NONE,
		.resync = walk->resync,
	};
	struct connection *connection;

	if (connections_put(a->connections, &labels))
		return NULL;
	connection = connections_find(a->connections, walk->id);
	connection_begin(a, connection);
	return connection;
}

void account_walk(struct aggregate *a, const struct walk_record *walk, uint64_t *ret_user,
		  uint16_t *ret_channel)
{
	struct connection *connection = connections_find(a->connections, walk->id);
	struct channel_key key = {.path_hash = walk->path_hash, .server = walk->server};

	if (!connection)
		connection = walk_begin(a, walk);
	if (!connection) {
		*ret_user = label_user(a->config.key, walk->peer.addr, (struct text){0});
		*ret_channel = walk->channel ? walk->channel : channels_lookup(a->channels, &key);
		return;
	}
	/* Somebody else has opened the same path meanwhile. */
	if (connection->channel == CHANNEL_NONE) {
		uint16_t channel = channels_lookup(a->channels, &key);

		if (channel != CHANNEL_NONE)
			connection_move(a, connection, connection->user, channel);
	}
	connection->seen = a->walked.number;
	if (connection->row != USAGE_NONE)
		usage_change(usage_row(a->usage, connection->row), a->walked.number, +1,
			     (int)walk->waiting);
	traffic_add(a, connection,
		    &(struct counters){walk->received, walk->sent, walk->bytes_received,
				       walk->bytes_sent});
	*ret_user = connection->user;
	*ret_channel = connection->channel;
}

/* As the kernel counts it (SPEC 3: at most one error a connection). */
static void count_outcomes(struct aggregate *a, const struct connection *connection,
			   const struct event_close *close)
{
	struct outcome_key key = {
		.server = close->server,
		.shadowed = close->violation != VIOLATION_NONE,
		.kind = close->has_close ? OUTCOME_CLOSE : OUTCOME_ABNORMAL,
		.code = close->has_close ? close->close_code : close->cause,
		.initiator = close->has_close ? close->closed_by : 0,
	};
	bool error = key.shadowed || error_of_outcome(&key) != ERROR_NONE;

	usage_outcome(a->usage, connection->row, &key);
	if (key.shadowed) {
		key = (struct outcome_key){
			.server = close->server,
			.kind = OUTCOME_VIOLATION,
			.code = close->violation,
			.initiator = close->violated_by,
		};
		usage_outcome(a->usage, connection->row, &key);
	}
	a->totals[usage_series(connection->server, connection->channel)].errors += error;
}

static void duration_add(struct usage_row *row, uint64_t ms)
{
	row->durations++;
	row->duration_sum_ms += ms;
	if (ms < row->duration_min_ms)
		row->duration_min_ms = ms;
	if (ms > row->duration_max_ms)
		row->duration_max_ms = ms;
}

void account_close(struct aggregate *a, const struct event_close *close,
		   struct connection *connection)
{
	struct connection lost = {
		.user = USER_OTHER,
		.server = close->server,
		.channel = close->channel,
	};

	if (!connection) {
		connection = &lost;
		connection_begin(a, connection);
	} else if (connection->row != USAGE_NONE && connection->seen == a->walked.number) {
		usage_change(usage_row(a->usage, connection->row), a->walked.number, -1, 0);
	}
	traffic_add(a, connection,
		    &(struct counters){close->received, close->sent, close->bytes_received,
				       close->bytes_sent});
	/* No memory; or it had closed before counting began anew, as had passed what it holds beyond
	 * the last walk. */
	if (connection->row == USAGE_NONE)
		return;
	count_outcomes(a, connection, close);
	duration_add(usage_row(a->usage, connection->row), close->duration_ns / 1000000);
}

void account_refused(struct aggregate *a, const struct event_open *open, uint64_t user,
		     uint16_t channel)
{
	struct outcome_key key = {
		.server = open->server,
		.kind = OUTCOME_REFUSED,
		.code = open->status,
		.initiator = BY_SERVER,
	};
	uint32_t row = usage_place(a->usage, open->server, channel, user);

	if (row == USAGE_NONE)
		return;
	usage_outcome(a->usage, row, &key);
	a->totals[usage_series(open->server, channel)].errors++;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* The equations of SPEC 2. In: a reading and what was received. Out: the names of those that fail. */
#include <string.h>

#include "state.h"

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

void books_ended(const struct reading *reading, uint64_t ended[MAX_SERVERS])
{
	memset(ended, 0, MAX_SERVERS * sizeof(*ended));
	for (size_t i = 0; i < reading->nr_outcomes; i++) {
		const struct outcome_key *key = &reading->outcomes[i].key;

		if (key->kind == OUTCOME_CLOSE || key->kind == OUTCOME_ABNORMAL)
			ended[key->server] += reading->outcomes[i].count;
	}
}

void books_take(struct aggregate *a, const struct reading *reading)
{
	uint64_t sent = reading->books.events_submitted - reading->books.events_dropped_ring;
	uint64_t received = a->events_received + a->events_undecodable;
	uint64_t ended[MAX_SERVERS];
	bool walk = reading->parts & READING_WALK;

	books_ended(reading, ended);
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

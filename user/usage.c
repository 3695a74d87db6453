// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Two tables with open addressing, which grow by doubling; nothing is ever removed. The pseudonym in
 * the key is a keyed hash, and slots are ours: no stranger chooses where his rows fall.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "usage.h"

#define SIZE_MIN 64 /* a power of two, as all sizes */
#define ROWS_MAX (USAGE_ROWS + NR_SERIES)
#define OUTCOMES_MAX (USAGE_OUTCOMES + USAGE_OUTCOMES / 4)

struct usage {
	struct usage_row *rows;
	uint32_t nr_rows, max_rows;
	uint32_t nr_named; /* rows of users that have a pseudonym */
	uint32_t nr_named_of[MAX_SERVERS];
	uint32_t *index; /* row + 1; 0 = free */
	size_t index_size;
	struct usage_outcome *outcomes;
	size_t outcomes_size, nr_outcomes;
	uint64_t lost;
};

struct usage *usage_new(void)
{
	struct usage *usage = calloc(1, sizeof(*usage));

	if (!usage)
		return NULL;
	usage->index_size = usage->outcomes_size = SIZE_MIN;
	usage->index = calloc(usage->index_size, sizeof(*usage->index));
	usage->outcomes = calloc(usage->outcomes_size, sizeof(*usage->outcomes));
	if (!usage->index || !usage->outcomes) {
		usage_free(usage);
		return NULL;
	}
	return usage;
}

void usage_free(struct usage *usage)
{
	if (!usage)
		return;
	free(usage->rows);
	free(usage->index);
	free(usage->outcomes);
	free(usage);
}

static size_t mix(uint64_t value)
{
	return (size_t)(value * 0x9e3779b97f4a7c15ull >> 32);
}

/* Where the row of these labels stands in the index, or would. */
static uint32_t *index_place(const struct usage *usage, uint16_t server, uint16_t channel,
			     uint64_t user)
{
	size_t at = mix(user ^ (uint64_t)server << 48 ^ (uint64_t)channel << 32);

	for (;; at++) {
		uint32_t *place = &usage->index[at & (usage->index_size - 1)];
		const struct usage_row *row = *place ? &usage->rows[*place - 1] : NULL;

		if (!row || (row->user == user && row->server == server && row->channel == channel))
			return place;
	}
}

static int index_grow(struct usage *usage)
{
	struct usage bigger = *usage;

	bigger.index_size *= 2;
	bigger.index = calloc(bigger.index_size, sizeof(*bigger.index));
	if (!bigger.index)
		return -ENOMEM;
	for (uint32_t i = 0; i < usage->nr_rows; i++)
		*index_place(&bigger, usage->rows[i].server, usage->rows[i].channel,
			     usage->rows[i].user) = i + 1;
	free(usage->index);
	usage->index = bigger.index;
	usage->index_size = bigger.index_size;
	return 0;
}

static int rows_grow(struct usage *usage)
{
	uint32_t more = usage->max_rows ? usage->max_rows * 2 : SIZE_MIN;
	struct usage_row *bigger;

	if (more > ROWS_MAX)
		more = ROWS_MAX;
	bigger = realloc(usage->rows, more * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	usage->rows = bigger;
	usage->max_rows = more;
	return 0;
}

static uint32_t row_new(struct usage *usage, uint16_t server, uint16_t channel, uint64_t user)
{
	bool named = user != USER_OTHER;

	if (named && usage->nr_named_of[server] >= USAGE_ROWS - usage->nr_named)
		return USAGE_NONE;
	if (usage->nr_rows == usage->max_rows && rows_grow(usage))
		return USAGE_NONE;
	if (usage->nr_rows >= usage->index_size / 2 && index_grow(usage))
		return USAGE_NONE;
	usage->rows[usage->nr_rows] = (struct usage_row){
		.user = user,
		.server = server,
		.channel = channel,
		.duration_min_ms = UINT64_MAX,
	};
	*index_place(usage, server, channel, user) = usage->nr_rows + 1;
	usage->nr_named += named;
	usage->nr_named_of[server] += named;
	return usage->nr_rows++;
}

uint32_t usage_place(struct usage *usage, uint16_t server, uint16_t channel, uint64_t user)
{
	uint32_t found, row;

	if (channel == CHANNEL_NONE)
		channel = CHANNEL_OTHER;
	found = *index_place(usage, server, channel, user);
	if (found)
		return found - 1;
	row = row_new(usage, server, channel, user);
	if (row != USAGE_NONE || user == USER_OTHER)
		return row;
	return usage_place(usage, server, channel, USER_OTHER);
}

size_t usage_count(const struct usage *usage)
{
	return usage->nr_rows;
}

struct usage_row *usage_row(const struct usage *usage, uint32_t row)
{
	return &usage->rows[row];
}

uint32_t usage_active(const struct usage_row *row, uint32_t walk)
{
	return row->walk == walk ? row->active : 0;
}

uint32_t usage_waiting(const struct usage_row *row, uint32_t walk)
{
	return row->walk == walk ? row->waiting : 0;
}

static uint32_t changed(uint32_t count, int change)
{
	return change < 0 && count < (uint32_t)-change ? 0 : count + (uint32_t)change;
}

void usage_change(struct usage_row *row, uint32_t walk, int active, int waiting)
{
	if (row->walk != walk) {
		row->walk = walk;
		row->active = row->waiting = 0;
	}
	row->active = changed(row->active, active);
	row->waiting = changed(row->waiting, waiting);
}

/* --- outcomes --- */

static bool keys_equal(const struct outcome_key *a, const struct outcome_key *b)
{
	return a->server == b->server && a->code == b->code && a->kind == b->kind &&
	       a->initiator == b->initiator && a->shadowed == b->shadowed;
}

static struct usage_outcome *outcome_place(const struct usage *usage, uint32_t row,
					   const struct outcome_key *key)
{
	size_t at = mix((uint64_t)row << 32 ^ (uint64_t)key->code << 8 ^ (uint64_t)key->kind << 4 ^
			(uint64_t)key->initiator << 1 ^ key->shadowed);

	for (;; at++) {
		struct usage_outcome *place = &usage->outcomes[at & (usage->outcomes_size - 1)];

		if (!place->count || (place->row == row && keys_equal(&place->key, key)))
			return place;
	}
}

static int outcomes_grow(struct usage *usage)
{
	struct usage bigger = *usage;

	bigger.outcomes_size *= 2;
	bigger.outcomes = calloc(bigger.outcomes_size, sizeof(*bigger.outcomes));
	if (!bigger.outcomes)
		return -ENOMEM;
	for (size_t i = 0; i < usage->outcomes_size; i++)
		if (usage->outcomes[i].count)
			*outcome_place(&bigger, usage->outcomes[i].row,
				       &usage->outcomes[i].key) = usage->outcomes[i];
	free(usage->outcomes);
	usage->outcomes = bigger.outcomes;
	usage->outcomes_size = bigger.outcomes_size;
	return 0;
}

/* True when it was counted. */
static bool outcome_add(struct usage *usage, uint32_t row, const struct outcome_key *key,
			size_t max)
{
	struct usage_outcome *place = outcome_place(usage, row, key);

	if (!place->count) {
		if (usage->nr_outcomes >= max)
			return false;
		if (usage->nr_outcomes >= usage->outcomes_size / 4 * 3) {
			if (outcomes_grow(usage))
				return false;
			place = outcome_place(usage, row, key);
		}
		*place = (struct usage_outcome){.row = row, .key = *key};
		usage->nr_outcomes++;
	}
	if (place->count < UINT32_MAX)
		place->count++;
	return true;
}

void usage_outcome(struct usage *usage, uint32_t row, const struct outcome_key *key)
{
	const struct usage_row *of = &usage->rows[row];
	bool named = of->user != USER_OTHER;

	if (named && outcome_add(usage, row, key, USAGE_OUTCOMES))
		return;
	if (named)
		row = usage_place(usage, of->server, of->channel, USER_OTHER);
	if (row == USAGE_NONE || !outcome_add(usage, row, key, OUTCOMES_MAX))
		usage->lost++;
}

const struct usage_outcome *usage_outcome_next(const struct usage *usage, size_t *at)
{
	while (*at < usage->outcomes_size) {
		const struct usage_outcome *outcome = &usage->outcomes[(*at)++];

		if (outcome->count)
			return outcome;
	}
	return NULL;
}

uint64_t usage_lost(const struct usage *usage)
{
	return usage->lost;
}

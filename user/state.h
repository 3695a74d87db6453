/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the aggregation keeps, for the files that it is made of and for no other: aggregate.c
 * (records and samples come in), recent.c (the last errors), walk.c (the open connections), peak.c,
 * books.c, summary.c (numbers go out). Everybody else includes aggregate.h.
 */
#ifndef WSVITALS_STATE_H
#define WSVITALS_STATE_H

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

/* recent.c: the records that make an error, or tell more about one. */
void recent_refused(struct aggregate *a, const struct record *record);
void recent_reason(struct aggregate *a, const struct record *record);
/* connection: NULL when its open record was lost. */
void recent_closed(struct aggregate *a, const struct record *record,
		   const struct connection *connection);

/* walk.c: the walk of a reading that has one. 0 or -ENOMEM. */
int walk_take(struct aggregate *a, const struct reading *reading);

/* peak.c */
void moment_add(struct aggregate *a, uint64_t at_ns, int change);
void peak_take(struct aggregate *a, const struct reading *reading);

/* books.c */
void books_take(struct aggregate *a, const struct reading *reading);
/* Connections whose outcome is known, by server. */
void books_ended(const struct reading *reading, uint64_t ended[MAX_SERVERS]);

/* summary.c: ERROR_NONE for what is none, or is not the error of its connection. */
enum error_type error_of_outcome(const struct outcome_key *key);

#endif

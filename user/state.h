/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the aggregation keeps, for the files that it is made of and for no other: aggregate.c
 * (records and samples come in), recent.c (the last errors), account.c (which labels a number counts
 * for), walk.c (the open connections), peak.c, books.c, summary.c and ledger.c (numbers go out).
 * Everybody else includes aggregate.h.
 */
#ifndef WSVITALS_STATE_H
#define WSVITALS_STATE_H

#include "aggregate.h"
#include "channel.h"
#include "connection.h"
#include "rate.h"
#include "top.h"
#include "usage.h"
#include "window.h"

#define RECENT_MAX 100     /* SPEC 3 */
#define REASONS_MAX 1024   /* close frames whose connection has not ended yet */
#define MOMENTS_MAX 65536  /* opens and closes from walk to walk */
#define LEAKED_LABELS 1024 /* so many labels without a connection are borne */

struct recent {
	struct error_row row;     /* without server and time */
	uint16_t server, channel; /* slots; CHANNEL_NONE: not known */
	uint64_t user;            /* USER_OTHER: not known */
	uint64_t now_ns;
};

/* The pieces of a close frame's payload, joined; a ring, so that what never ends goes away. */
struct reason {
	uint64_t id;
	uint8_t len;
	uint8_t by;
	char text[REASON_MAX + 2];
};

struct ledger;

/* A connection opened (+1) or closed (-1). */
struct moment {
	uint64_t at_ns;
	int16_t change;
	uint16_t server; /* slot */
	uint16_t series;
};

struct peak {
	uint64_t active;  /* at the last sample; of a channel: at the last walk */
	uint64_t highest; /* ever */
	uint64_t recent;  /* highest of the interval of history that goes on */
};

/* Of a channel, since the program began: what rates are made of. */
struct total {
	uint64_t received, sent, errors;
};

/* How long connections have been open. */
struct age {
	struct hist ms;
	uint64_t min_ms, max_ms;
};

/* What the last walk over the connections found. */
struct walked {
	uint32_t number; /* of the walk */
	uint64_t active[MAX_SERVERS], waiting[MAX_SERVERS];
	uint32_t series[NR_SERIES]; /* open connections */
	struct top by_user, by_channel;
	struct age *ages[MAX_SERVERS]; /* NULL: no connection was ever walked */
	unsigned unbalanced, upstream_unbalanced;
	bool outcomes_off[MAX_SERVERS]; /* the outcomes did not add up to what has closed */
	bool settled;
};

/* A filter, resolved. */
struct match {
	bool by_server, by_channel, by_user; /* what is narrowed */
	bool servers[MAX_SERVERS];           /* slots that make the totals; never SLOT_UPSTREAM */
	bool series[NR_SERIES];              /* of these servers */
	bool other;                          /* among them those of "other" */
	bool nobody;                         /* no user can have this name */
	uint64_t user;
	uint64_t window_ns;
};

/*
 * What had been counted when counting began anew: the kernel's maps go on, this is taken off. NULL
 * members: nothing of it.
 */
struct baseline {
	struct server_counters_fields n[MAX_SERVERS];
	struct server_hists *hists[MAX_SERVERS], *hists_since[MAX_SERVERS];
	struct server_rare *rare[MAX_SERVERS], *rare_since[MAX_SERVERS];
	struct reading_outcome *outcomes; /* in ascending order of keys */
	size_t nr_outcomes;
	struct book_fields books;
	uint64_t missed_runs, events_received, events_undecodable, labels_full, folded;
};

struct aggregate {
	struct aggregate_config config;
	const struct reading *reading;    /* the last one */
	uint64_t since_ns, since_wall_ns; /* when counting began */
	struct baseline *baseline;        /* NULL: counting began with the program */
	struct rates *rates;
	struct window *window;
	struct rates *channel_rates;   /* by series of usage.h */
	struct window *channel_window; /* by channel slot */
	struct channels *channels;
	struct connections *connections;
	struct usage *usage;
	struct ledger *ledger; /* NULL: no history is kept */
	struct total totals[NR_SERIES];
	char names[MAX_SERVERS][LABEL_SIZE]; /* "" = not known yet */
	struct walked walked;

	uint64_t events_received, events_undecodable;
	uint64_t events_expected; /* sent by the kernel until the reading before the last */
	uint64_t events_at_sample;
	uint64_t labels_full, folded;
	unsigned unbalanced, upstream_unbalanced;
	bool settled;

	struct peak peak, server_peaks[MAX_SERVERS], series_peaks[NR_SERIES];
	uint64_t sampled_ns, walked_ns;
	struct moment *moments;
	size_t nr_moments, max_moments;
	bool moments_lost, series_moments_lost; /* since the last sample, the last walk */

	struct recent recent[RECENT_MAX];
	uint64_t nr_recent;
	struct reason reasons[REASONS_MAX];
	uint64_t nr_reasons;
};

/* recent.c: the records that make an error, or tell more about one. */
void recent_refused(struct aggregate *a, const struct record *record,
		    const struct handshake *handshake, uint64_t user, uint16_t channel);
void recent_reason(struct aggregate *a, const struct record *record);
/* Of a close record, ERROR_NONE for a normal close. */
enum error_type error_of_record(const struct event_close *close);
/* connection: NULL when its open record was lost. */
void recent_closed(struct aggregate *a, const struct record *record,
		   const struct connection *connection);

/* account.c */
void account_open(struct aggregate *a, const struct connection *labels);
void account_refused(struct aggregate *a, const struct event_open *open, uint64_t user,
		     uint16_t channel);
/* connection: NULL when nothing is known of it but this. */
void account_close(struct aggregate *a, const struct event_close *close,
		   struct connection *connection);
/* One connection of a walk; its labels, for whoever counts labels. */
void account_walk(struct aggregate *a, const struct walk_record *walk, uint64_t *ret_user,
		  uint16_t *ret_channel);

/* walk.c */
void age_empty(struct age *age);
void age_add(struct age *age, uint64_t now_ns, uint64_t open_ns);
/* The walk of a reading that has one. 0 or -ENOMEM. */
int walk_take(struct aggregate *a, const struct reading *reading);

/* peak.c */
void moment_add(struct aggregate *a, const struct moment *moment);
void peak_take(struct aggregate *a, const struct reading *reading);

/* books.c */
void books_take(struct aggregate *a, const struct reading *reading);
/* Connections whose outcome is known, by server. */
void books_ended(const struct reading *reading, uint64_t ended[MAX_SERVERS]);

/* filter.c. filter: NULL for everything. */
void match_of(const struct aggregate *a, const struct filter *filter, struct match *ret_match);
bool match_row(const struct match *match, const struct usage_row *row);
bool match_connection(const struct match *match, const struct connection *connection);
bool match_recent(const struct match *match, const struct recent *recent);

/* reset.c: what was counted since counting began. */
void since_counters(const struct aggregate *a, uint32_t slot, struct server_counters_fields *ret_n);
uint64_t since_outcome(const struct aggregate *a, const struct reading_outcome *outcome);
/* Valid until the next call for this server. NULL: not read yet. */
const struct server_hists *since_hists(struct aggregate *a, uint32_t slot);
const struct server_rare *since_rare(struct aggregate *a, uint32_t slot);
void since_books(const struct aggregate *a, struct summary *s);
void baseline_free(struct baseline *baseline);

/* summary.c: ERROR_NONE for what is none, or is not the error of its connection. */
enum error_type error_of_outcome(const struct outcome_key *key);

#endif

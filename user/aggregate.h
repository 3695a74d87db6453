/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * From records and readings to the numbers that people read. In: decoded records as they come
 * (labels, recent errors) and one reading a second (everything that is counted). Out: a summary for
 * json.c, prometheus.c and table.c, which only print it.
 *
 * Bounded in memory, no I/O, no clock: time comes with the readings. Cumulative numbers are those
 * of the kernel's maps and never depend on a record; a lost record costs a label or a row.
 */
#ifndef WSVITALS_AGGREGATE_H
#define WSVITALS_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"
#include "error.h"
#include "label.h"
#include "reading.h"
#include "spread.h"

/* Equations of SPEC 2, per server. X(NAME, key) */
#define BALANCES(X)                                                                                \
	X(BYTES_RECEIVED, "bytes.received")                                                        \
	X(BYTES_SENT, "bytes.sent")                                                                \
	X(CONNECTIONS, "connections")                                                              \
	X(MESSAGES_RECEIVED, "messages.received")                                                  \
	X(MESSAGES_SENT, "messages.sent")                                                          \
	X(OUTCOMES, "outcomes")                                                                    \
	X(EVENTS, "events")
#define X(NAME, key) BALANCE_##NAME,
enum balance { BALANCES(X) NR_BALANCES };
#undef X
const char *balance_key(enum balance balance);

#define SUMMARY_TOP 100   /* labels before "other" */
#define SUMMARY_RECENT 20 /* errors shown */
#define SUMMARY_CODES 128 /* different close codes or statuses before "other" */

struct tally {
	char label[LABEL_SIZE];
	uint64_t count;
};

/* The largest counts, descending, then what is left as "other". */
struct top {
	struct tally rows[SUMMARY_TOP];
	size_t nr;
	uint64_t other;
	bool more; /* there is an "other" */
};

struct code_count { /* close codes, HTTP statuses */
	uint16_t code;
	uint64_t count[2]; /* by enum initiator; statuses: [BY_SERVER] */
};

struct code_counts {
	struct code_count rows[SUMMARY_CODES]; /* ascending code */
	size_t nr;
	uint64_t other[2];
};

struct error_row {
	enum error_type type;
	uint64_t wall_ns;
	char message[LABEL_SIZE];
	char server[LABEL_SIZE];    /* "" = not known */
	char channel[LABEL_SIZE];   /* "" = not known */
	char user[LABEL_USER_SIZE]; /* "" = not known */
	bool has_code, has_initiator, has_cause, has_status;
	uint16_t code;
	enum initiator initiator;
	enum cause cause;
	uint16_t status;
};

struct server_summary {
	uint32_t slot;
	char name[LABEL_SIZE];
	bool proxy;     /* its connections are passed on to a server that is watched too */
	bool in_totals; /* a proxy is not, unless the filter names it */
	struct server_counters_fields n;
	uint64_t active;
	double rate_1m; /* messages per second */
	uint64_t errors;
	uint64_t by_type[NR_ERROR_TYPES];
	uint64_t causes[NR_CAUSES];
	uint64_t violations[NR_VIOLATIONS];
	uint64_t closes[CLOSE_CLASSES][2]; /* by enum initiator */
	uint64_t refused[6];               /* by hundred of the status; [0] = no answer */
	struct spread latency;             /* over the window */
	const struct server_hists *hists;  /* since the start; NULL: not read yet */
	const struct server_rare *rare;
};

/* Valid until the next call of the aggregate that it came from. */
struct summary {
	uint64_t now_ns, since_ns; /* wall clock */
	double uptime_s;           /* of the program, whether counting began anew or not */
	double counted_s;          /* since counting began */

	/*
	 * With a filter all numbers are those of the connections that it matches, but for the books
	 * and hooks below, which are the host's. What has no source for such a part is not there:
	 * spreads say so themselves.
	 */
	bool filtered;
	bool partial;     /* some of this user's connections may be among the "other" */
	bool has_details; /* text, binary, control frames, outcomes of pairing, bytes seen */
	bool has_peak;
	bool has_rates; /* and error_rate */
	bool has_upstream;
	char filter_server[LABEL_SIZE], filter_channel[LABEL_SIZE]; /* "" = not narrowed */
	char filter_user[LABEL_USER_SIZE]; /* the pseudonym; "" also for what can be nobody's */
	double window_s; /* of latency and queue_wait; shorter when less was counted */

	struct server_counters_fields n; /* all servers, without upstream */
	uint64_t active, peak;
	uint64_t unrecognised; /* accepted before counting began by a server that speaks WebSocket,
				* and no frame was seen since that proves it of them */
	struct top by_user, by_channel;
	struct spread open_age, duration, handshake;

	double rate_1m, rate_5m, rate_15m;
	struct spread latency, queue_wait, ping_rtt;
	uint64_t window_received,
		window_timed; /* messages that latency could have timed, and did */
	uint64_t waiting;

	uint64_t errors;
	double error_rate; /* per minute over the last 5 minutes */
	uint64_t by_type[NR_ERROR_TYPES];
	uint64_t causes[NR_CAUSES];
	uint64_t violations[NR_VIOLATIONS];
	struct code_counts close_codes;
	struct code_counts refused;
	struct error_row recent[SUMMARY_RECENT]; /* newest first */
	size_t nr_recent;

	struct server_summary servers[MAX_SERVERS];
	size_t nr_servers;
	struct server_counters_fields upstream;
	uint64_t upstream_active;

	/* The books of SPEC 2. */
	unsigned unbalanced;          /* bit per enum balance */
	unsigned upstream_unbalanced; /* the same of the upstream legs */
	bool settled;    /* every equation holds without allowance for what went on meanwhile */
	uint64_t ending; /* closed, but the outcome is not known yet */
	struct book_fields books;
	uint64_t events_received; /* good records */
	uint64_t events_undecodable;
	uint64_t labels_full; /* connections that found no room for their label */
	uint64_t folded;      /* upgrades whose path went to "other" */
	uint64_t missed_runs;
	const struct reading_hook *hooks;
	size_t nr_hooks;
	const struct reading_unseen *unseen; /* processes whose sockets cannot be followed */
	size_t nr_unseen;
	const char
		*store; /* how the history is, in words; NULL: none is kept. Not of the aggregate */
};

/* Whether all books of SPEC 2 balance. */
bool summary_is_balanced(const struct summary *summary);
struct aggregate;

struct aggregate_config {
	uint64_t start_ns;      /* CLOCK_MONOTONIC when counting began: all maps were empty */
	uint64_t start_wall_ns; /* CLOCK_REALTIME at that moment */
	uint8_t key[LABEL_KEY_BYTES];
	/* A path got its channel slot. May be NULL. */
	void (*name_channel)(const struct channel_key *key, uint16_t slot, void *ctx);
	void *ctx;
	bool history; /* intervals will be asked for */
};

/* NULL: out of memory. */
struct aggregate *aggregate_new(const struct aggregate_config *config);
void aggregate_free(struct aggregate *aggregate);

void aggregate_record(struct aggregate *aggregate, const struct record *record);
void aggregate_undecodable(struct aggregate *aggregate);

/*
 * Once a second, after the ring was emptied. 0 or -ENOMEM, then this sample is missing. The reading
 * is borrowed until the next call.
 */
int aggregate_sample(struct aggregate *aggregate, const struct reading *reading);

/*
 * Counting begins anew with this reading, which is to have all parts: counters, rates, windows, the
 * peak and recent errors. Labels and names stay. Connections that are open count as opened, messages
 * that wait as received, so the books still balance. 0 or -ENOMEM, then everything goes on as it was.
 */
int aggregate_reset(struct aggregate *aggregate, const struct reading *reading);

struct interval;

/*
 * For history, whatever resets there were: what came since the last call, into an interval. Rows
 * after any sample, points and users after one with all parts. 0 or -ENOMEM, then it is incomplete.
 */
int aggregate_rows(struct aggregate *aggregate, struct interval *interval);
int aggregate_points(struct aggregate *aggregate, struct interval *interval);
/* A server's name, "" when it is not known yet. */
const char *aggregate_server(const struct aggregate *aggregate, uint32_t slot);

#define AGGREGATE_WINDOW_NS (300 * 1000000000ull) /* SPEC 4: the default */

/* Which connections a summary is about: those that match all that is given. */
struct filter {
	const char *server;  /* as in by_server; NULL: not narrowed, as the next two */
	const char *channel; /* as in by_channel */
	const char *user;    /* the pseudonym, or the true value: an address */
	uint64_t window_ns;  /* of latency and queue wait, at most an hour; 0: the default */
};

/* The pseudonym of a user who may be given by the true value. False: nobody can have this name. */
bool aggregate_user(const struct aggregate *aggregate, const char *text,
		    char ret_user[LABEL_USER_SIZE]);

/* As of the last walk. Texts are valid until the function returns. */
struct open_connection {
	uint64_t id;
	uint64_t open_wall_ns;
	const char *server, *channel, *user; /* "" = not known */
	uint64_t received, sent, bytes_received, bytes_sent;
	bool resync;
};

/* filter: NULL for all. A function that returns other than 0 ends it, and its value is returned. */
int aggregate_connections(const struct aggregate *aggregate, const struct filter *filter,
			  int (*each)(const struct open_connection *connection, void *ctx),
			  void *ctx);
bool aggregate_has_queue_wait(const struct aggregate *aggregate);

/*
 * After the first sample. filter: NULL for everything. The kernel counts by server. By channel and
 * user the sources are the walk and the records of closes: exact up to the last walk, but for
 * connections whose records were lost; rates of channels are sampled every 10 s.
 */
void aggregate_summary(struct aggregate *aggregate, const struct filter *filter,
		       struct summary *ret_summary);

#endif

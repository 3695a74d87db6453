// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brief.h"

#define OTHER_LABEL UINT64_MAX /* of a roster entry: all further users */
#define USERS_MIN 256

/* Of a channel (usage_series), since the program began. */
struct sums {
	uint64_t opened;
	struct traffic traffic;
	uint64_t by_type[NR_ERROR_TYPES];
};

/* What has been handed over, so that the next interval is the difference. */
struct server_before {
	struct server_counters_fields n;
	struct server_hists hists;
	struct server_rare rare;
	uint64_t by_type[NR_ERROR_TYPES];
	uint64_t min[NR_MEASURES], max[NR_MEASURES]; /* of the interval */
};

struct channel_before {
	struct sums sums;
	uint64_t closed;
	struct hist latency;
};

struct closed_row {
	uint64_t open_ns, duration_ns, user;
	uint64_t bytes_received, bytes_sent;
	uint32_t received, sent, brief_sum, brief_top;
	uint16_t server, channel, code;
	uint8_t initiator, has_close, cause, violation, resync, error;
};

struct failed_row {
	struct error_row row; /* without server and time */
	uint64_t now_ns;
	uint16_t server;
};

struct ledger {
	uint64_t since_ns; /* the interval began; CLOCK_MONOTONIC */
	struct sums sums[NR_SERIES];
	struct server_before *servers[MAX_SERVERS];
	struct channel_before *channels[NR_SERIES];
	struct roster_entry *users; /* hash by label; 0 = a free place */
	size_t nr_users, max_users; /* max: a power of two */
	struct closed_row *closed;
	struct failed_row *failed;
	size_t nr_closed, max_closed, nr_failed, max_failed;
	uint64_t lost;
	struct point scratch, total;
};

struct ledger *ledger_new(uint64_t start_ns)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (ledger)
		ledger->since_ns = start_ns;
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	for (size_t i = 0; i < MAX_SERVERS; i++)
		free(ledger->servers[i]);
	for (size_t i = 0; i < NR_SERIES; i++)
		free(ledger->channels[i]);
	free(ledger->users);
	free(ledger->closed);
	free(ledger->failed);
	free(ledger);
}

/* --- users --- */

/* A pseudonym has 48 bits and may be 0, a label may not. */
static uint64_t label_of_user(uint64_t user)
{
	return user == USER_OTHER ? OTHER_LABEL : user + 1;
}

static struct roster_entry *user_place(struct roster_entry *users, size_t max, uint64_t label)
{
	size_t at = (size_t)((label * 0x9e3779b97f4a7c15ull) >> 20) & (max - 1);

	while (users[at].label && users[at].label != label)
		at = (at + 1) & (max - 1);
	return &users[at];
}

static bool users_grow(struct ledger *ledger)
{
	size_t max = ledger->max_users ? ledger->max_users * 2 : USERS_MIN;
	struct roster_entry *users = calloc(max, sizeof(*users));

	if (!users)
		return false;
	for (size_t i = 0; i < ledger->max_users; i++)
		if (ledger->users[i].label)
			*user_place(users, max, ledger->users[i].label) = ledger->users[i];
	free(ledger->users);
	ledger->users = users;
	ledger->max_users = max;
	return true;
}

/* NULL: no memory, not even for "other". */
static struct roster_numbers *user_numbers(struct ledger *ledger, uint64_t user)
{
	uint64_t label = label_of_user(user);
	struct roster_entry *place;

	if (ledger->nr_users >= ledger->max_users / 4 * 3 && !users_grow(ledger) &&
	    ledger->nr_users + 1 >= ledger->max_users)
		return NULL;
	place = user_place(ledger->users, ledger->max_users, label);
	if (!place->label) {
		if (ledger->nr_users >= LEDGER_USERS && label != OTHER_LABEL)
			return user_numbers(ledger, USER_OTHER);
		place->label = label;
		ledger->nr_users++;
	}
	return &place->n;
}

/* --- shares of connections --- */

static struct sums *sums_of(struct ledger *ledger, const struct connection *connection)
{
	return &ledger->sums[usage_series(connection->server, connection->channel)];
}

void ledger_opened(struct ledger *ledger, const struct connection *connection)
{
	struct roster_numbers *user;

	if (!ledger)
		return;
	sums_of(ledger, connection)->opened++;
	user = user_numbers(ledger, connection->user);
	if (user)
		user->opened++;
}

void ledger_traffic(struct ledger *ledger, const struct connection *connection,
		    const struct traffic *more)
{
	struct roster_numbers *user;
	struct traffic *sum;

	if (!ledger || !(more->received | more->sent | more->bytes_received | more->bytes_sent))
		return;
	sum = &sums_of(ledger, connection)->traffic;
	sum->received += more->received;
	sum->sent += more->sent;
	sum->bytes_received += more->bytes_received;
	sum->bytes_sent += more->bytes_sent;
	user = user_numbers(ledger, connection->user);
	if (!user)
		return;
	user->received += more->received;
	user->sent += more->sent;
	user->bytes_received += more->bytes_received;
	user->bytes_sent += more->bytes_sent;
}

static void move(uint64_t *from, uint64_t *to, uint64_t count)
{
	if (count > *from)
		count = *from;
	*from -= count;
	*to += count;
}

void ledger_moved(struct ledger *ledger, const struct connection *connection, uint64_t user,
		  uint16_t channel)
{
	struct connection after = *connection;
	struct sums *from, *to;
	struct roster_entry before = {0};
	struct roster_numbers *numbers;

	if (!ledger)
		return;
	after.user = user;
	after.channel = channel;
	from = sums_of(ledger, connection);
	to = sums_of(ledger, &after);
	move(&from->opened, &to->opened, 1);
	move(&from->traffic.received, &to->traffic.received, connection->received);
	move(&from->traffic.sent, &to->traffic.sent, connection->sent);
	move(&from->traffic.bytes_received, &to->traffic.bytes_received,
	     connection->bytes_received);
	move(&from->traffic.bytes_sent, &to->traffic.bytes_sent, connection->bytes_sent);
	if (user == connection->user)
		return;
	/* of users only this interval is kept: what was handed over stays where it is */
	numbers = user_numbers(ledger, connection->user);
	if (!numbers)
		return;
	move(&numbers->opened, &before.n.opened, 1);
	move(&numbers->received, &before.n.received, connection->received);
	move(&numbers->sent, &before.n.sent, connection->sent);
	move(&numbers->bytes_received, &before.n.bytes_received, connection->bytes_received);
	move(&numbers->bytes_sent, &before.n.bytes_sent, connection->bytes_sent);
	numbers = user_numbers(ledger, user);
	if (numbers)
		roster_add(numbers, &before.n);
}

/* Room for one more row; false: it is lost. */
static bool rows_grow(struct ledger *ledger, void *rows, size_t size, size_t nr, size_t *max)
{
	size_t want = *max ? *max * 2 : 64;
	void *more;

	if (nr < *max)
		return true;
	memcpy(&more, rows, sizeof(more)); /* whatever type it points to */
	more = nr < INTERVAL_ROWS_MAX ? realloc(more, want * size) : NULL;
	if (!more) {
		ledger->lost++;
		return false;
	}
	memcpy(rows, &more, sizeof(more));
	*max = want;
	return true;
}

void ledger_closed(struct ledger *ledger, const struct event_close *close,
		   const struct connection *connection, enum error_type error)
{
	uint16_t channel = connection ? connection->channel : close->channel;
	uint64_t user = connection ? connection->user : USER_OTHER;
	struct roster_numbers *numbers;

	if (!ledger)
		return;
	if (error != ERROR_NONE)
		ledger->sums[usage_series(close->server, channel)].by_type[error]++;
	numbers = user_numbers(ledger, user);
	if (numbers)
		numbers->closed++;
	if (!rows_grow(ledger, &ledger->closed, sizeof(*ledger->closed), ledger->nr_closed,
		       &ledger->max_closed))
		return;
	ledger->closed[ledger->nr_closed++] = (struct closed_row){
		.open_ns = close->open_ns,
		.duration_ns = close->duration_ns,
		.user = user,
		.bytes_received = close->bytes_received,
		.bytes_sent = close->bytes_sent,
		.received = close->received,
		.sent = close->sent,
		.server = close->server,
		.channel = channel,
		.code = close->close_code,
		.initiator = close->closed_by,
		.has_close = close->has_close,
		.cause = close->cause,
		.violation = close->violation,
		.resync = close->resync,
		.brief_sum = close->brief_sum,
		.brief_top = close->brief_top,
		.error = (uint8_t)error,
	};
}

void ledger_failed(struct ledger *ledger, const struct recent *recent)
{
	if (!ledger)
		return;
	if (recent->row.has_status) /* refused: the others are counted where they close */
		ledger->sums[usage_series(recent->server, recent->channel)]
			.by_type[recent->row.type]++;
	if (rows_grow(ledger, &ledger->failed, sizeof(*ledger->failed), ledger->nr_failed,
		      &ledger->max_failed))
		ledger->failed[ledger->nr_failed++] = (struct failed_row){
			.row = recent->row, .now_ns = recent->now_ns, .server = recent->server};
}

/* --- rows --- */

static const char *server_name(const struct aggregate *a, uint16_t slot)
{
	return slot == SLOT_OTHER ? INTERVAL_OTHER : a->names[slot];
}

static const char *user_name(uint64_t user, char text[LABEL_USER_SIZE])
{
	if (user == USER_OTHER)
		return "";
	label_user_text(user, text);
	return text;
}

/* The wall clock's time of a moment, as this clock goes now. */
static int64_t wall_of(const struct reading *reading, uint64_t at_ns)
{
	return (int64_t)(reading->wall_ns - (reading->now_ns - at_ns));
}

static int closed_hand_over(const struct aggregate *a, const struct closed_row *row,
			    struct interval *interval)
{
	char user[LABEL_USER_SIZE];
	int64_t opened_ns = wall_of(a->reading, row->open_ns);
	struct closed_connection connection = {
		.opened_ns = opened_ns,
		.closed_ns = opened_ns + (int64_t)row->duration_ns,
		.server = server_name(a, row->server),
		.channel = row->channel == CHANNEL_NONE ? ""
							: channels_name(a->channels, row->channel),
		.user = user_name(row->user, user),
		.received = row->received,
		.sent = row->sent,
		.bytes_received = row->bytes_received,
		.bytes_sent = row->bytes_sent,
		.has_latency = brief_count(row->brief_top) > 0,
		.latency_count = brief_count(row->brief_top),
		.latency_avg_ns = brief_average(row->brief_sum, row->brief_top),
		.latency_max_ns = brief_maximum(row->brief_sum, row->brief_top),
		.has_close = row->has_close,
		.violation = row->violation,
		.error = row->error,
		.resync = row->resync,
	};

	if (row->has_close) {
		connection.code = row->code;
		connection.initiator = row->initiator;
	} else {
		connection.cause = row->cause;
	}
	return interval_add_connection(interval, &connection);
}

static int failed_hand_over(const struct aggregate *a, const struct failed_row *failed,
			    struct interval *interval)
{
	const struct error_row *row = &failed->row;

	return interval_add_error(interval, &(struct error_entry){
						    .at_ns = wall_of(a->reading, failed->now_ns),
						    .type = row->type,
						    .server = server_name(a, failed->server),
						    .channel = row->channel,
						    .user = row->user,
						    .message = row->message,
						    .has_code = row->has_code,
						    .has_initiator = row->has_initiator,
						    .has_cause = row->has_cause,
						    .has_status = row->has_status,
						    .code = row->code,
						    .initiator = row->initiator,
						    .cause = row->cause,
						    .status = row->status,
					    });
}

int ledger_rows(struct ledger *ledger, const struct aggregate *a, struct interval *interval)
{
	int err = 0;

	for (size_t i = 0; i < ledger->nr_closed && err != -ENOMEM; i++)
		err = closed_hand_over(a, &ledger->closed[i], interval);
	for (size_t i = 0; i < ledger->nr_failed && err != -ENOMEM; i++)
		err = failed_hand_over(a, &ledger->failed[i], interval);
	interval->lost += ledger->lost;
	ledger->nr_closed = ledger->nr_failed = 0;
	ledger->lost = 0;
	return err == -ENOSPC ? 0 : err;
}

/* --- points --- */

static struct server_before *server_before(struct ledger *ledger, uint32_t slot)
{
	struct server_before *before = ledger->servers[slot];

	if (before)
		return before;
	before = ledger->servers[slot] = calloc(1, sizeof(*before));
	if (!before)
		return NULL;
	for (int m = 0; m < NR_MEASURES; m++)
		before->min[m] = UINT64_MAX;
	/* as they are while nothing was measured */
	before->rare.handshake_ns.min = before->rare.ping_rtt_ns.min =
		before->rare.duration_range_ms.min = UINT64_MAX;
	return before;
}

/* An epoch that ends in this interval may have begun before it; spread_of believes an extreme only
 * as far as the buckets allow. */
static void fold(const struct extreme *extreme, uint64_t since_ns, uint64_t *min, uint64_t *max)
{
	if (!extreme->count || (extreme->epoch + 1) << EPOCH_SHIFT <= since_ns)
		return;
	if (extreme->min_ns < *min)
		*min = extreme->min_ns;
	if (extreme->max_ns > *max)
		*max = extreme->max_ns;
}

void ledger_sample(struct ledger *ledger, const struct reading *reading)
{
	for (uint32_t slot = 0; ledger && slot < MAX_SERVERS; slot++) {
		const struct server_counters *counters = &reading->servers[slot].counters;
		struct server_before *before;

		if (!reading->servers[slot].used || !(before = server_before(ledger, slot)))
			continue;
		for (int i = 0; i < EPOCH_SLOTS; i++) {
			fold(&counters->latency[i], ledger->since_ns, &before->min[MEASURE_LATENCY],
			     &before->max[MEASURE_LATENCY]);
			fold(&counters->queue_wait[i], ledger->since_ns,
			     &before->min[MEASURE_QUEUE_WAIT], &before->max[MEASURE_QUEUE_WAIT]);
		}
	}
}

static uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* What came since; a number that has fallen owes what it fell by. */
static uint64_t grown(uint64_t now, uint64_t *before)
{
	uint64_t more = since(now, *before);

	*before += more;
	return more;
}

static void count_errors(const uint64_t now[NR_ERROR_TYPES], uint64_t before[NR_ERROR_TYPES],
			 struct point_counts *counts)
{
	for (int type = ERROR_NONE + 1; type < NR_ERROR_TYPES; type++) {
		counts->by_type[type] = grown(now[type], &before[type]);
		counts->errors += counts->by_type[type];
	}
}

/* A cumulative extreme that is new was reached in this interval; else only the buckets know. */
static void add_rare(struct point *point, enum point_hist which, const struct hist *now,
		     struct hist *before, const struct minmax *range, struct minmax *range_before)
{
	point_add_hist(point, which, now, before,
		       range->min < range_before->min ? range->min : UINT64_MAX,
		       range->max > range_before->max ? range->max : 0);
	*before = *now;
	*range_before = *range;
}

static void add_hists(struct point *point, const struct reading_server *server,
		      struct server_before *before)
{
	struct server_hists *hists = &before->hists;
	struct server_rare *rare = &before->rare;

	if (!server->hists || !server->rare)
		return;
	point_add_hist(point, POINT_LATENCY, &server->hists->latency, &hists->latency,
		       before->min[MEASURE_LATENCY], before->max[MEASURE_LATENCY]);
	point_add_hist(point, POINT_QUEUE_WAIT, &server->hists->queue_wait, &hists->queue_wait,
		       before->min[MEASURE_QUEUE_WAIT], before->max[MEASURE_QUEUE_WAIT]);
	*hists = *server->hists;
	for (int m = 0; m < NR_MEASURES; m++) {
		before->min[m] = UINT64_MAX;
		before->max[m] = 0;
	}
	add_rare(point, POINT_DURATION, &server->rare->duration_ms, &rare->duration_ms,
		 &server->rare->duration_range_ms, &rare->duration_range_ms);
	add_rare(point, POINT_HANDSHAKE, &server->rare->handshake, &rare->handshake,
		 &server->rare->handshake_ns, &rare->handshake_ns);
	add_rare(point, POINT_PING_RTT, &server->rare->ping_rtt, &rare->ping_rtt,
		 &server->rare->ping_rtt_ns, &rare->ping_rtt_ns);
}

static void gauges(struct point_counts *counts, uint64_t active, struct peak *peak)
{
	counts->active = active;
	counts->peak = peak->recent > active ? peak->recent : active;
	peak->recent = peak->active;
}

static int add_server(struct ledger *ledger, struct aggregate *a, uint32_t slot,
		      const uint64_t by_type[NR_ERROR_TYPES], struct interval *interval)
{
	const struct reading_server *server = &a->reading->servers[slot];
	struct server_before *before = server_before(ledger, slot);
	struct point *point = &ledger->scratch;
	struct series series = {.kind = slot == SLOT_UPSTREAM ? SERIES_UPSTREAM : SERIES_SERVER,
				.server = slot == SLOT_UPSTREAM ? ""
								: server_name(a, (uint16_t)slot),
				.label = ""};

	if (!before)
		return -ENOMEM;
	point_reset(point);
#define X(name, text)                                                                              \
	point->counts.n.name = since(server->counters.n.name, before->n.name);                     \
	before->n.name += point->counts.n.name;
	SERVER_COUNTERS(X)
#undef X
	count_errors(by_type, before->by_type, &point->counts);
	add_hists(point, server, before);
	gauges(&point->counts, a->walked.active[slot], &a->server_peaks[slot]);
	if (slot != SLOT_UPSTREAM) {
		point_add(&ledger->total, point);
		ledger->total.counts.active += point->counts.active;
	}
	return interval_add_point(interval, &series, point);
}

static int add_servers(struct ledger *ledger, struct aggregate *a, struct interval *interval)
{
	uint64_t by_type[MAX_SERVERS][NR_ERROR_TYPES] = {0};
	const struct reading *reading = a->reading;
	int err = 0;

	for (size_t i = 0; i < reading->nr_outcomes; i++)
		by_type[reading->outcomes[i].key.server]
		       [error_of_outcome(&reading->outcomes[i].key)] += reading->outcomes[i].count;
	point_reset(&ledger->total);
	for (uint32_t slot = 0; slot < MAX_SERVERS && err != -ENOMEM; slot++)
		if (reading->servers[slot].used)
			err = add_server(ledger, a, slot, by_type[slot], interval);
	gauges(&ledger->total.counts, ledger->total.counts.active, &a->peak);
	if (err != -ENOMEM)
		err = interval_add_point(interval, &(struct series){SERIES_TOTAL, "", ""},
					 &ledger->total);
	return err;
}

static bool series_is_used(const struct aggregate *a, const struct ledger *ledger, uint32_t series,
			   const struct hist *latency)
{
	const struct sums *sums = &ledger->sums[series];
	uint64_t any = sums->opened | sums->traffic.received | sums->traffic.sent |
		       a->walked.series[series] | a->series_peaks[series].recent;

	for (int type = 0; type < NR_ERROR_TYPES; type++)
		any |= sums->by_type[type];
	return any || (latency && latency->sum);
}

static void channel_point(struct ledger *ledger, struct aggregate *a, uint32_t series,
			  const struct hist *latency, struct point *point)
{
	struct channel_before *before = ledger->channels[series];
	const struct sums *now = &ledger->sums[series];
	struct server_counters_fields *n = &point->counts.n;
	uint64_t active = a->walked.series[series];

	point_reset(point);
	n->opened = grown(now->opened, &before->sums.opened);
	n->closed = grown(now->opened > active ? now->opened - active : 0, &before->closed);
	n->received = grown(now->traffic.received, &before->sums.traffic.received);
	n->sent = grown(now->traffic.sent, &before->sums.traffic.sent);
	n->bytes_received = grown(now->traffic.bytes_received,
				  &before->sums.traffic.bytes_received);
	n->bytes_sent = grown(now->traffic.bytes_sent, &before->sums.traffic.bytes_sent);
	count_errors(now->by_type, before->sums.by_type, &point->counts);
	if (latency) {
		point_add_hist(point, POINT_LATENCY, latency, &before->latency, UINT64_MAX, 0);
		before->latency = *latency;
		n->timed = hist_count(&point->hist[POINT_LATENCY]);
	}
	gauges(&point->counts, active, &a->series_peaks[series]);
}

static int add_channels(struct ledger *ledger, struct aggregate *a, struct interval *interval)
{
	uint32_t end = channels_end(a->channels);
	int err = 0;

	for (uint32_t series = CHANNEL_FIRST; series < NR_SERIES && err != -ENOMEM; series++) {
		bool own = series < MAX_CHANNELS;
		const struct channel_stats *stats = own ? a->reading->channels[series] : NULL;
		const struct hist *latency = stats ? &stats->latency : NULL;
		uint16_t slot = own ? (uint16_t)series : CHANNEL_OTHER;
		uint16_t server = own ? 0 : (uint16_t)(series - MAX_CHANNELS);

		if ((own && series >= end) || !series_is_used(a, ledger, series, latency))
			continue;
		if (own)
			server = channels_server(a->channels, slot);
		if (!ledger->channels[series])
			ledger->channels[series] = calloc(1, sizeof(*ledger->channels[series]));
		if (!ledger->channels[series])
			return -ENOMEM;
		channel_point(ledger, a, series, latency, &ledger->scratch);
		err = interval_add_point(interval,
					 &(struct series){SERIES_CHANNEL, server_name(a, server),
							  channels_name(a->channels, slot)},
					 &ledger->scratch);
	}
	return err;
}

static int add_users(struct ledger *ledger, struct aggregate *a, struct interval *interval)
{
	char text[LABEL_USER_SIZE];
	size_t nr = 0;
	int err = 0;

	for (uint32_t i = 0; i < usage_count(a->usage); i++) {
		const struct usage_row *row = usage_row(a->usage, i);
		uint32_t active = usage_active(row, a->walked.number);
		struct roster_numbers *numbers;

		if (active && (numbers = user_numbers(ledger, row->user)))
			numbers->active += active;
	}
	for (size_t i = 0; i < ledger->max_users; i++)
		if (ledger->users[i].label)
			ledger->users[nr++] = ledger->users[i];
	if (nr)
		nr = roster_cut(ledger->users, nr, OTHER_LABEL);
	for (size_t i = 0; i < nr && err != -ENOMEM; i++) {
		uint64_t label = ledger->users[i].label;
		struct user_counts counts = {.user = INTERVAL_OTHER, .n = ledger->users[i].n};

		if (label != OTHER_LABEL)
			counts.user = user_name(label - 1, text);
		err = interval_add_user(interval, &counts);
	}
	free(ledger->users);
	ledger->users = NULL;
	ledger->nr_users = ledger->max_users = 0;
	return err;
}

int ledger_points(struct ledger *ledger, struct aggregate *a, struct interval *interval)
{
	int err = add_servers(ledger, a, interval);

	if (err != -ENOMEM)
		err = add_channels(ledger, a, interval);
	if (err != -ENOMEM)
		err = add_users(ledger, a, interval);
	ledger->since_ns = a->reading->now_ns;
	return err == -ENOSPC ? 0 : err;
}

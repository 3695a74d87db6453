// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * filter.c, account.c, usage.c, reset.c: with any filter, the numbers of a summary are those of the
 * connections that match, whatever order walks and records come in, and also after a reset. The
 * witness is a list of connections that knows nothing of rows and maps.
 */
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "channel.h"
#include "random.h"
#include "synthetic.h"
#include "top.h"
#include "usage.h"

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

static void assert_near(double value, double expected)
{
	if (fabs(value - expected) > 1e-9)
		fail_msg("%.12g is not %.12g", value, expected);
}

/* --- a witness --- */

#define FAKES 400
#define SERVERS 3
#define PATHS 4
#define USERS 5

enum fake_state { FAKE_NONE, FAKE_OPEN, FAKE_LINGERS, FAKE_GONE };

struct fake {
	enum fake_state state;
	uint64_t id, open_ns, close_ns;
	uint32_t server, path, user;
	/* Received, sent, their bytes: since counting began, ever, and since counting began as of the
	 * last walk: more of what lingers is not known yet. */
	uint64_t since[4], all[4], walked[4];
	uint32_t waiting;
	bool before; /* it had closed before counting began */
	bool told;   /* its open record has come */
	uint16_t code;
};

struct play {
	struct world *w;
	uint64_t seed, now;
	struct fake fakes[FAKES];
	size_t nr;
	bool known[SERVERS][PATHS];
};

static const char *const paths[PATHS] = {"/a", "/b", "/chat/7", "/very/long/path/of/a/channel"};
static const char *const addresses[USERS] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4",
					     "192.0.2.5"};
static const char *const server_names[SERVERS] = {"node:8000", "python3:9000", "java:9001"};

static void fake_tell(struct play *p, struct fake *fake)
{
	world_open(p->w, fake->open_ns,
		   (struct open_args){.id = fake->id,
				      .server = SERVER + fake->server,
				      .path = paths[fake->path],
				      .ip = {192, 0, 2, (uint8_t)(fake->user + 1)},
				      .counted = 1});
	fake->told = true;
}

static void fake_open(struct play *p)
{
	struct fake *fake = &p->fakes[p->nr++];

	*fake = (struct fake){
		.state = FAKE_OPEN,
		.id = 1000 + p->nr,
		.open_ns = p->now,
		.server = (uint32_t)random_below(&p->seed, SERVERS),
		.path = (uint32_t)random_below(&p->seed, PATHS),
		.user = (uint32_t)random_below(&p->seed, USERS),
	};
	world_counters(p->w, SERVER + fake->server)->opened++;
	/* Some records come only after the walk has met the connection; but without the first one of a
	 * path nobody knows its channel. */
	if (!p->known[fake->server][fake->path] || random_below(&p->seed, 4))
		fake_tell(p, fake);
	p->known[fake->server][fake->path] = true;
}

static void fake_traffic(struct play *p, struct fake *fake)
{
	struct server_counters_fields *n = world_counters(p->w, SERVER + fake->server);
	uint64_t messages[4] = {random_below(&p->seed, 5), random_below(&p->seed, 5),
				random_below(&p->seed, 1000), random_below(&p->seed, 1000)};

	for (size_t i = 0; i < 4; i++) {
		fake->all[i] += messages[i];
		fake->since[i] += messages[i];
	}
	n->received += messages[0];
	fake->waiting += (uint32_t)messages[0];
	if (random_below(&p->seed, 2)) {
		n->unanswered += fake->waiting;
		fake->waiting = 0;
	}
	n->sent += messages[1];
	n->push += messages[1];
	n->bytes_received += messages[2];
	n->bytes_sent += messages[3];
}

static void fake_close(struct play *p, struct fake *fake)
{
	static const uint16_t codes[] = {1000, 1001, 1011, 4000, 4001, 1008};

	if (!fake->told)
		fake_tell(p, fake);
	fake->state = FAKE_LINGERS;
	fake->close_ns = p->now;
	fake->code = codes[random_below(&p->seed, COUNT(codes))];
	world_counters(p->w, SERVER + fake->server)->closed++;
	world_counters(p->w, SERVER + fake->server)->unanswered += fake->waiting;
	fake->waiting = 0;
	world_outcome(p->w, SERVER + fake->server, OUTCOME_CLOSE, fake->code, BY_CLIENT, 0, 1);
}

static void fake_end(struct play *p, struct fake *fake)
{
	fake->state = FAKE_GONE;
	world_close_record(p->w, p->now,
			   (struct event_close){
				   .event.id = fake->id,
				   .server = (uint16_t)(SERVER + fake->server),
				   .has_close = 1,
				   .close_code = fake->code,
				   .closed_by = BY_CLIENT,
				   .duration_ns = fake->close_ns - fake->open_ns,
				   .received = (uint32_t)fake->all[0],
				   .sent = (uint32_t)fake->all[1],
				   .bytes_received = fake->all[2],
				   .bytes_sent = fake->all[3],
			   });
}

static void play_walk(struct play *p)
{
	p->w->reading->nr_walk = 0;
	for (size_t i = 0; i < p->nr; i++) {
		struct fake *fake = &p->fakes[i];
		struct walk_record walk = {
			.id = fake->id,
			.open_ns = START + fake->open_ns,
			.server = (uint16_t)(SERVER + fake->server),
			.path_hash = path_hash(paths[fake->path]),
			.received = (uint32_t)fake->all[0],
			.sent = (uint32_t)fake->all[1],
			.bytes_received = fake->all[2],
			.bytes_sent = fake->all[3],
			.waiting = fake->waiting,
		};

		address_v4(walk.peer.addr, 192, 0, 2, (uint8_t)(fake->user + 1));
		if (fake->state != FAKE_OPEN)
			continue;
		memcpy(fake->walked, fake->since, sizeof(fake->walked));
		world_walk(p->w, walk);
	}
}

/* One second of whatever may happen, then a sample with a walk. */
static void play_second(struct play *p)
{
	for (size_t i = 0; i < p->nr; i++) {
		struct fake *fake = &p->fakes[i];

		if (fake->state == FAKE_OPEN && random_below(&p->seed, 2))
			fake_traffic(p, fake);
		if (fake->state == FAKE_OPEN && !fake->told && random_below(&p->seed, 2))
			fake_tell(p, fake);
		if (fake->state == FAKE_OPEN && random_below(&p->seed, 12) == 0)
			fake_close(p, fake);
		else if (fake->state == FAKE_LINGERS && random_below(&p->seed, 3) == 0)
			fake_end(p, fake);
	}
	for (int i = 0; i < 3 && p->nr < FAKES; i++)
		fake_open(p);
	p->now += SECOND;
	play_walk(p);
	world_sample(p->w, p->now);
}

static struct play *play_new(struct world *w, uint64_t seed)
{
	struct play *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->w = w;
	p->seed = seed;
	world_server(w, SERVER + 1, "python3", 9000);
	world_server(w, SERVER + 2, "java", 9001);
	return p;
}

/* --- what the witness says --- */

struct truth {
	uint64_t active, opened, received, sent, bytes_received, bytes_sent, errors, ended;
	uint64_t application, internal, policy, waiting;
	uint64_t max_age_ns, max_duration_ns;
};

static bool fake_matches(const struct fake *fake, int server, int path, int user)
{
	return (server < 0 || (int)fake->server == server) &&
	       (path < 0 || (int)fake->path == path) && (user < 0 || (int)fake->user == user);
}

static void truth_outcome(struct truth *t, const struct fake *fake)
{
	t->application += fake->code == 4000 || fake->code == 4001;
	t->internal += fake->code == 1011;
	t->policy += fake->code == 1008;
	t->errors += fake->code != 1000 && fake->code != 1001;
	t->ended++;
	if (fake->close_ns - fake->open_ns > t->max_duration_ns)
		t->max_duration_ns = fake->close_ns - fake->open_ns;
}

static struct truth truth_of(const struct play *p, int server, int path, int user)
{
	struct truth t = {0};

	for (size_t i = 0; i < p->nr; i++) {
		const struct fake *fake = &p->fakes[i];
		const uint64_t *known;

		if (!fake_matches(fake, server, path, user))
			continue;
		t.opened += !fake->before;
		known = fake->state == FAKE_GONE ? fake->since : fake->walked;
		t.received += known[0];
		t.sent += known[1];
		t.bytes_received += known[2];
		t.bytes_sent += known[3];
		if (fake->state == FAKE_OPEN) {
			t.active++;
			t.waiting += fake->waiting;
			if (p->now - fake->open_ns > t.max_age_ns)
				t.max_age_ns = p->now - fake->open_ns;
		} else if (fake->state == FAKE_GONE && !fake->before) {
			truth_outcome(&t, fake);
		}
	}
	return t;
}

static void check_labels(const struct play *p, int server, int path, int user)
{
	struct filter filter = {
		.server = server < 0 ? NULL : server_names[server],
		.channel = path < 0 ? NULL : paths[path],
		.user = user < 0 ? NULL : addresses[user],
	};
	const struct summary *s = world_filter(p->w, filter);
	struct truth t = truth_of(p, server, path, user);
	uint64_t codes = 0;

	assert_true(s->filtered);
	assert_false(s->partial);
	assert_int_equal(s->active, t.active);
	assert_int_equal(s->waiting, t.waiting);
	assert_int_equal(s->n.opened, t.opened);
	assert_int_equal(s->n.closed, t.opened - t.active);
	assert_int_equal(s->n.received, t.received);
	assert_int_equal(s->n.sent, t.sent);
	assert_int_equal(s->n.bytes_received, t.bytes_received);
	assert_int_equal(s->n.bytes_sent, t.bytes_sent);
	assert_int_equal(s->errors, t.errors);
	assert_int_equal(s->by_type[ERROR_APPLICATION], t.application);
	assert_int_equal(s->by_type[ERROR_INTERNAL], t.internal);
	assert_int_equal(s->by_type[ERROR_POLICY], t.policy);
	for (size_t i = 0; i < s->close_codes.nr; i++)
		codes += s->close_codes.rows[i].count[BY_CLIENT];
	assert_int_equal(codes, t.ended);
	assert_int_equal(s->duration.count, t.ended);
	if (t.ended)
		assert_near(s->duration.max_ns, floor((double)t.max_duration_ns / 1e6) * 1e6);
	assert_int_equal(s->open_age.count, t.active);
	if (t.active)
		assert_near(s->open_age.max_ns, (double)t.max_age_ns);
	for (int i = 0; i < SERVERS; i++) {
		uint64_t active = 0;

		for (size_t k = 0; k < s->nr_servers; k++)
			if (strcmp(s->servers[k].name, server_names[i]) == 0)
				active = s->servers[k].active;
		assert_int_equal(active,
				 server < 0 || server == i ? truth_of(p, i, path, user).active : 0);
	}
	for (int i = 0; i < PATHS; i++)
		assert_int_equal(top_count(&s->by_channel, paths[i]),
				 path < 0 || path == i ? truth_of(p, server, i, user).active : 0);
	assert_true(summary_is_balanced(s));
}

static void check_all(const struct play *p)
{
	for (int server = -1; server < SERVERS; server++)
		for (int path = -1; path < PATHS; path++)
			for (int user = -1; user < USERS; user++)
				if (path >= 0 || user >= 0)
					check_labels(p, server, path, user);
}

static void every_filter_agrees_with_a_list_of_connections(void **state)
{
	struct play *p = play_new(*state, 7);

	for (int t = 0; t < 120; t++) {
		play_second(p);
		check_all(p);
	}
	assert_int_equal(p->nr, 360);
	assert_true(truth_of(p, -1, -1, -1).ended > 100);
	free(p);
}

/* What is counted by server comes from the kernel: the sums over servers are those of all. */
static void check_servers(const struct play *p)
{
	struct server_counters_fields sum = {0};
	const struct summary *s;
	uint64_t active = 0, errors = 0;

	for (int i = 0; i < SERVERS; i++) {
		struct truth t = truth_of(p, i, -1, -1);

		s = world_filter(p->w, (struct filter){.server = server_names[i]});
		assert_int_equal(s->nr_servers, 1);
		assert_string_equal(s->servers[0].name, server_names[i]);
		assert_int_equal(s->active, t.active);
		assert_int_equal(s->waiting, t.waiting);
		assert_int_equal(s->n.opened, t.opened);
		assert_int_equal(s->n.opened, s->n.closed + s->active);
#define X(name, text) sum.name += s->n.name;
		SERVER_COUNTERS(X)
#undef X
		active += s->active;
		errors += s->errors;
		for (int path = 0; path < PATHS; path++)
			assert_int_equal(top_count(&s->by_channel, paths[path]),
					 truth_of(p, i, path, -1).active);
	}
	aggregate_summary(p->w->aggregate, NULL, p->w->summary);
	s = p->w->summary;
	assert_false(s->filtered);
#define X(name, text) assert_int_equal(s->n.name, sum.name);
	SERVER_COUNTERS(X)
#undef X
	assert_int_equal(s->active, active);
	assert_int_equal(s->errors, errors);
	assert_int_equal(s->n.sent, s->n.timed + s->n.push + s->n.answers_to_ambiguous);
	assert_int_equal(s->n.received, s->n.timed + s->n.ambiguous + s->n.unanswered + s->waiting);
}

/* --- a reset --- */

static void play_reset(struct play *p)
{
	assert_int_equal(aggregate_reset(p->w->aggregate, p->w->reading), 0);
	aggregate_summary(p->w->aggregate, NULL, p->w->summary);
	for (size_t i = 0; i < p->nr; i++) {
		struct fake *fake = &p->fakes[i];

		fake->before |= fake->state != FAKE_OPEN;
		memset(fake->since, 0, sizeof(fake->since));
		memset(fake->walked, 0, sizeof(fake->walked));
		fake->since[0] = fake->walked[0] = fake->waiting;
	}
}

static void counting_begins_anew_for_every_filter(void **state)
{
	struct play *p = play_new(*state, 11);

	for (int t = 1; t <= 100; t++) {
		play_second(p);
		if (t % 30 == 0)
			play_reset(p);
		check_all(p);
		check_servers(p);
	}
	free(p);
}

static void after_a_reset_the_books_balance(void **state)
{
	struct world *w = *state;
	struct server_counters_fields *n = world_counters(w, SERVER);
	const struct summary *s;
	uint64_t id[3];

	for (int i = 0; i < 3; i++)
		id[i] = world_open(w, 1, (struct open_args){.path = "/a"});
	n->received = 10;
	n->timed = 5;
	n->ambiguous = 1;
	n->unanswered = 2;
	n->sent = 9;
	n->push = 4;
	n->bytes_sent = 1000;
	n->seen_sent = 1100;
	n->header_sent = 100;
	n->payload_sent = 1000;
	world_close(w, SECOND / 2,
		    (struct event_close){.event.id = id[2],
					 .duration_ns = SECOND / 2 - 1,
					 .has_close = 1,
					 .close_code = 4000});
	world_outcome(w, SERVER, OUTCOME_CLOSE, 4000, BY_CLIENT, 0, 1);
	world_walk(w, (struct walk_record){.id = id[0], .waiting = 2, .received = 10});
	world_walk(w, (struct walk_record){.id = id[1]});
	s = world_sample(w, SECOND);
	assert_true(s->settled);
	assert_int_equal(s->nr_recent, 1);
	assert_int_equal(s->peak, 3);
	w->reading->now_ns = START + 2 * SECOND;
	w->reading->wall_ns = START_WALL + 2 * SECOND;
	assert_int_equal(aggregate_reset(w->aggregate, w->reading), 0);

	aggregate_summary(w->aggregate, NULL, w->summary);
	assert_true(s->settled);
	assert_int_equal(s->since_ns, START_WALL + 2 * SECOND);
	assert_near(s->counted_s, 0);
	assert_near(s->uptime_s, 2);
	assert_int_equal(s->n.opened, 2);
	assert_int_equal(s->n.closed, 0);
	assert_int_equal(s->active, 2);
	assert_int_equal(s->peak, 2);
	assert_int_equal(s->n.received, 2); /* what waits */
	assert_int_equal(s->waiting, 2);
	assert_int_equal(s->n.sent, 0);
	assert_int_equal(s->n.bytes_sent, 0);
	assert_int_equal(s->n.seen_sent, 0);
	assert_int_equal(s->errors, 0);
	assert_int_equal(s->close_codes.nr, 0);
	assert_int_equal(s->nr_recent, 0);
	assert_int_equal(s->books.events_submitted, s->events_received);
	assert_int_equal(s->events_received, 0);
	assert_true(s->rate_1m == 0);
	/* names and labels stay */
	assert_string_equal(s->servers[0].name, "node:8000");
	assert_int_equal(top_count(&s->by_channel, "/a"), 2);
	assert_int_equal(world_filter(w, (struct filter){.channel = "/a"})->waiting, 2);
	assert_int_equal(w->summary->peak, 2);
	assert_int_equal(world_filter(w, (struct filter){.server = "node:8000"})->peak, 2);

	/* one of the two is answered, the other one never; the connection closes */
	n->timed++;
	n->sent++;
	n->unanswered++;
	n->bytes_sent += 7;
	world_close(w, 3 * SECOND,
		    (struct event_close){
			    .event.id = id[0], .has_close = 1, .close_code = 4000, .received = 10});
	w->reading->outcomes[0].count++;
	w->reading->nr_walk = 0;
	world_walk(w, (struct walk_record){.id = id[1]});
	s = world_sample(w, 12 * SECOND);
	assert_true(s->settled);
	assert_int_equal(s->n.opened, 2);
	assert_int_equal(s->n.closed, 1);
	assert_int_equal(s->n.received, 2);
	assert_int_equal(s->n.timed, 1);
	assert_int_equal(s->n.unanswered, 1);
	assert_int_equal(s->waiting, 0);
	assert_int_equal(s->n.sent, 1);
	assert_int_equal(s->n.bytes_sent, 7);
	assert_int_equal(s->errors, 1);
	assert_int_equal(s->close_codes.rows[0].count[BY_CLIENT], 1);
	assert_int_equal(s->nr_recent, 1);
	assert_int_equal(s->events_received, 1);
	assert_int_equal(s->books.events_submitted, 1);
	assert_int_equal(s->window_received, 2); /* or more would be timed than came */
	assert_int_equal(s->window_timed, 1);
	assert_near(s->rate_1m, 1 / 10.0);
	assert_near(s->error_rate, 60 / 10.0);
}

static void a_record_on_its_way_at_a_reset_is_not_lost(void **state)
{
	struct world *w = *state;

	world_open(w, 0, (struct open_args){.type = EVENT_REFUSED, .status = 404});
	w->reading->books.events_submitted += 2;
	w->reading->books.events_dropped_ring++;
	w->reading->books.heads_full = 5;
	w->reading->hooks[0].missed = 3;
	world_sample(w, SECOND);
	assert_int_equal(aggregate_reset(w->aggregate, w->reading), 0);
	w->reading->books.events_submitted--; /* world_open submits it again */
	world_open(w, SECOND, (struct open_args){.type = EVENT_REFUSED, .status = 404});
	w->reading->books.heads_full++;
	w->reading->hooks[0].missed++;
	assert_true(world_sample(w, 2 * SECOND)->settled);
	assert_int_equal(w->summary->books.events_submitted, 1);
	assert_int_equal(w->summary->books.events_dropped_ring, 0);
	assert_int_equal(w->summary->books.heads_full, 1);
	assert_int_equal(w->summary->missed_runs, 1);
	assert_int_equal(w->summary->events_received, 1);
}

static void distributions_begin_anew(void **state)
{
	struct world *w = *state;
	struct server_rare *rare = w->reading->servers[SERVER].rare;
	const struct summary *s;

	world_latency(w, SERVER, 1000000, SECOND);
	rare->duration_ms.bucket[hist_bucket(100)]++;
	rare->duration_ms.bucket[hist_bucket(9000)]++;
	rare->duration_ms.sum = 9100;
	rare->duration_range_ms = (struct minmax){101, 9000};
	world_sample(w, 10 * SECOND);
	assert_int_equal(w->summary->duration.count, 2);
	assert_int_equal(aggregate_reset(w->aggregate, w->reading), 0);
	aggregate_summary(w->aggregate, NULL, w->summary);
	s = w->summary;
	assert_int_equal(s->duration.count, 0);
	assert_int_equal(s->latency.count, 0);
	assert_int_equal(hist_count(&s->servers[0].hists->latency), 0);
	assert_int_equal(s->servers[0].hists->latency.sum, 0);

	world_latency(w, SERVER, 3000000, 15 * SECOND);
	rare->duration_ms.bucket[hist_bucket(500)]++;
	rare->duration_ms.bucket[hist_bucket(20000)]++;
	rare->duration_ms.sum += 20500;
	rare->duration_range_ms.max = 20000;
	s = world_sample(w, 20 * SECOND);
	assert_int_equal(s->duration.count, 2);
	assert_near(s->duration.max_ns, 20000e6); /* new, so it is exact */
	/* the least ever was before: what is known is the bucket */
	assert_near(s->duration.min_ns, (double)hist_lower(hist_bucket(500)) * 1e6);
	assert_near(s->duration.avg_ns, 10250e6);
	assert_int_equal(s->latency.count, 1);
	assert_near(s->latency.max_ns, 3000000);
	assert_int_equal(hist_count(&s->servers[0].hists->latency), 1);
	assert_int_equal(s->servers[0].hists->latency.sum, 3000000);
	assert_near(s->window_s, 10);
	/* an extreme from before it is not believed in a bucket that both share */
	assert_int_equal(aggregate_reset(w->aggregate, w->reading), 0);
	rare->duration_ms.bucket[hist_bucket(100)] += 2;
	s = world_sample(w, 20 * SECOND);
	assert_near(s->duration.min_ns, (double)hist_lower(hist_bucket(100)) * 1e6);
	assert_near(s->duration.max_ns, (double)(hist_upper(hist_bucket(100)) - 1) * 1e6);
	/* a server that comes after the reset has nothing to take off */
	world_server(w, SERVER + 1, "new", 1);
	world_latency(w, SERVER + 1, 1, 25 * SECOND);
	s = world_sample(w, 30 * SECOND);
	assert_int_equal(s->nr_servers, 2);
	assert_int_equal(hist_count(&s->servers[1].hists->latency), 1);
}

/* --- what only some filters have --- */

static void a_server_has_everything(void **state)
{
	struct world *w = *state;
	struct filter one = {.server = "node:8000"}, two = {.server = "python3:9000"};
	struct server_rare *rare;
	const struct summary *s;
	uint64_t id;

	world_server(w, SERVER + 1, "python3", 9000);
	rare = w->reading->servers[SERVER + 1].rare;
	rare->ping_rtt.bucket[hist_bucket(5000)]++;
	rare->ping_rtt_ns = (struct minmax){5000, 5000};
	rare->handshake.bucket[hist_bucket(7000)]++;
	rare->handshake_ns = (struct minmax){7000, 7000};
	world_latency(w, SERVER, 1000, SECOND);
	world_latency(w, SERVER + 1, 2000, SECOND);
	world_latency(w, SERVER + 1, 3000, SECOND);
	w->reading->servers[SERVER + 1].hists->queue_wait.bucket[hist_bucket(77)]++;
	world_counters(w, SERVER + 1)->text = 3;
	world_counters(w, SLOT_UPSTREAM)->received = 9;
	world_counters(w, SLOT_UPSTREAM)->unanswered = 9;
	id = world_open(w, SECOND, (struct open_args){.path = "/x"});
	world_walk(w, (struct walk_record){.id = id, .open_ns = START + SECOND, .waiting = 0});
	world_outcome(w, SERVER + 1, OUTCOME_REFUSED, 401, BY_SERVER, 0, 2);
	world_open(w, SECOND,
		   (struct open_args){.type = EVENT_REFUSED, .status = 401, .server = SERVER + 1});
	world_open(w, SECOND, (struct open_args){.type = EVENT_REFUSED, .status = 500});
	world_sample(w, 10 * SECOND);

	s = world_filter(w, two);
	assert_true(s->has_details && s->has_rates && s->has_peak && !s->has_upstream);
	assert_string_equal(s->filter_server, "python3:9000");
	assert_int_equal(s->n.text, 3);
	assert_int_equal(s->latency.count, 2);
	assert_int_equal(s->window_received, 2);
	assert_near(s->latency.min_ns, 2000);
	assert_int_equal(s->queue_wait.count, 1);
	assert_near(s->ping_rtt.max_ns, 5000);
	assert_near(s->handshake.max_ns, 7000);
	assert_near(s->rate_1m, 4 / 10.0);
	assert_near(s->error_rate, 60 * 2 / 10.0);
	assert_int_equal(s->refused.rows[0].code, 401);
	assert_int_equal(s->refused.rows[0].count[BY_SERVER], 2);
	assert_int_equal(s->nr_recent, 1);
	assert_int_equal(s->recent[0].status, 401);
	assert_int_equal(s->active, 0);
	assert_int_equal(s->open_age.count, 0);
	assert_int_equal(s->by_channel.nr, 0);
	s = world_filter(w, one);
	assert_int_equal(s->latency.count, 1);
	assert_int_equal(s->ping_rtt.count, 0);
	assert_int_equal(s->errors, 0);
	assert_int_equal(s->nr_recent, 1);
	assert_int_equal(s->recent[0].status, 500);
	assert_int_equal(s->active, 1);
	assert_near(s->open_age.max_ns, 9e9);
	assert_int_equal(s->by_user.nr, 1);
	assert_int_equal(top_count(&s->by_channel, "/x"), 1);
}

static void peaks_are_of_the_server_or_channel(void **state)
{
	struct world *w = *state;
	struct filter channel = {.channel = "/a"};
	uint64_t id[6];

	world_server(w, SERVER + 1, "python3", 9000);
	world_sample(w, SECOND);
	for (uint64_t i = 0; i < 6; i++)
		id[i] = world_open(w, SECOND + 10 + i,
				   (struct open_args){.server = SERVER + (i >= 2),
						      .path = i < 5 ? "/a" : "/b"});
	for (uint64_t i = 0; i < 6; i++)
		world_close(w, SECOND + 100 + i,
			    (struct event_close){.event.id = id[i],
						 .server = (uint16_t)(SERVER + (i >= 2)),
						 .duration_ns = 50,
						 .has_close = 1,
						 .close_code = 1000});
	assert_int_equal(world_sample(w, 2 * SECOND)->peak, 6);
	assert_int_equal(world_filter(w, (struct filter){.server = "node:8000"})->peak, 2);
	assert_int_equal(world_filter(w, (struct filter){.server = "python3:9000"})->peak, 4);
	channel.server = "python3:9000";
	assert_true(world_filter(w, channel)->has_peak);
	assert_int_equal(w->summary->peak, 3);
	/* of two channels that were not at their highest at one time nobody knows */
	channel.server = NULL;
	assert_false(world_filter(w, channel)->has_peak);
	assert_false(world_filter(w, (struct filter){.user = "192.0.2.1"})->has_peak);
	assert_int_equal(world_filter(w, (struct filter){.channel = "/b"})->peak, 1);
	assert_true(world_filter(w, (struct filter){.channel = "/none"})->has_peak);
	assert_int_equal(w->summary->peak, 0);
	/* and between two walks */
	id[0] = world_open(w, 2 * SECOND + 1, (struct open_args){.path = "/c"});
	id[1] = world_open(w, 2 * SECOND + 2, (struct open_args){.path = "/c"});
	world_sample_parts(w, 3 * SECOND, 0);
	for (int i = 0; i < 2; i++)
		world_close(w, 3 * SECOND + 3,
			    (struct event_close){.event.id = id[i],
						 .duration_ns = SECOND,
						 .has_close = 1,
						 .close_code = 1000});
	world_sample(w, 4 * SECOND);
	assert_int_equal(world_filter(w, (struct filter){.channel = "/c"})->peak, 2);
	assert_int_equal(w->summary->active, 0);
}

static void a_close_of_long_ago_spoils_no_peak(void **state)
{
	struct world *w = *state;
	uint64_t id[3];

	id[0] = world_open(w, 1, (struct open_args){.path = "/d"});
	world_walk(w, (struct walk_record){.id = id[0]});
	for (uint64_t t = 1; t <= 3; t++)
		world_sample(w, t * SECOND);
	assert_int_equal(world_filter(w, (struct filter){.channel = "/d"})->peak, 1);
	w->reading->nr_walk = 0;
	world_counters(w, SERVER)->closed++;
	world_sample(w, 4 * SECOND);
	/* its record comes between two others that are open at one time */
	for (int i = 1; i < 3; i++)
		id[i] = world_open(w, 4 * SECOND + 1, (struct open_args){.path = "/d"});
	world_close_record(w, 4 * SECOND + 2,
			   (struct event_close){.event.id = id[0],
						.duration_ns = 3 * SECOND,
						.has_close = 1,
						.close_code = 1000});
	for (int i = 1; i < 3; i++)
		world_close(w, 4 * SECOND + 3,
			    (struct event_close){.event.id = id[i],
						 .duration_ns = 1,
						 .has_close = 1,
						 .close_code = 1000});
	world_sample(w, 5 * SECOND);
	assert_int_equal(world_filter(w, (struct filter){.channel = "/d"})->peak, 2);
}

static void a_channel_has_rates_and_latency(void **state)
{
	struct world *w = *state;
	struct channel_stats *stats;
	const struct summary *s;
	uint64_t id = world_open(w, 0, (struct open_args){.path = "/a"});
	uint64_t other = world_open(w, 0, (struct open_args){.path = "/b"});

	stats = world_channel(w, CHANNEL_FIRST);
	for (uint32_t t = 1; t <= 40; t++) {
		/* 3 received, 2 timed and sent a second on /a, until 20 s; /b only receives */
		if (t <= 20) {
			stats->latency.bucket[hist_bucket(5000000)] += 2;
			stats->latency.sum += 2 * 5000000;
		}
		w->reading->nr_walk = 0;
		world_walk(w, (struct walk_record){.id = id,
						   .received = 3 * (t < 20 ? t : 20),
						   .sent = 2 * (t < 20 ? t : 20)});
		world_walk(w, (struct walk_record){.id = other, .received = 100 * t});
		world_sample_parts(w, t * SECOND, t % 10 ? READING_WALK : READING_ALL);
	}
	s = world_filter(w, (struct filter){.channel = "/a"});
	assert_true(s->has_rates && !s->has_details && s->latency.available);
	assert_false(s->queue_wait.available || s->ping_rtt.available || s->handshake.available);
	assert_near(s->rate_1m, 100 / 40.0);
	assert_int_equal(s->latency.count, 40);
	assert_int_equal(s->window_received, 60);
	assert_int_equal(s->window_timed, 40);
	assert_near(s->latency.avg_ns, 5e6);
	assert_true(fabs(s->latency.p99_ns - 5e6) < 5e6 * 0.032);
	assert_near(s->window_s, 40);
	/* a shorter window */
	s = world_filter(w, (struct filter){.channel = "/a", .window_ns = 20 * SECOND});
	assert_int_equal(s->latency.count, 0);
	assert_near(s->window_s, 20);
	s = world_filter(w, (struct filter){.channel = "/b"});
	assert_near(s->rate_5m, 100);
	assert_true(s->latency.available);
	assert_int_equal(s->latency.count, 0);
	assert_int_equal(s->window_received, 4000);
	s = world_filter(w, (struct filter){.channel = "/a", .user = "192.0.2.1"});
	assert_int_equal(s->n.received, 60);
	assert_false(s->has_rates || s->latency.available || s->has_peak);
	/* and both begin anew */
	assert_int_equal(aggregate_reset(w->aggregate, w->reading), 0);
	s = world_filter(w, (struct filter){.channel = "/a"});
	assert_int_equal(s->latency.count, 0);
	assert_near(s->rate_1m, 0);
	stats->latency.bucket[hist_bucket(7000)]++;
	w->reading->walk[0].received += 20;
	world_sample(w, 50 * SECOND);
	s = world_filter(w, (struct filter){.channel = "/a"});
	assert_int_equal(s->latency.count, 1);
	assert_int_equal(s->window_received, 20);
	assert_near(s->rate_15m, 2);
	/* the window parameter alone narrows nothing */
	s = world_filter(w, (struct filter){.window_ns = 60 * SECOND});
	assert_false(s->filtered);
	assert_true(s->has_upstream && s->has_details);
}

static void errors_of_a_channel_are_per_minute(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	for (int i = 0; i < 4; i++) {
		uint64_t id = world_open(w, SECOND, (struct open_args){.path = i ? "/a" : "/b"});

		world_close(w, 2 * SECOND,
			    (struct event_close){.event.id = id,
						 .cause = CAUSE_TIMEOUT,
						 .violation = i == 3 ? VIOLATION_LONG_CONTROL : 0,
						 .violated_by = BY_CLIENT});
	}
	world_sample(w, 60 * SECOND);
	s = world_filter(w, (struct filter){.channel = "/a"});
	assert_near(s->error_rate, 3);
	assert_int_equal(s->errors, 3);
	assert_int_equal(s->by_type[ERROR_ABNORMAL], 2);
	assert_int_equal(s->by_type[ERROR_PROTOCOL], 1);
	assert_int_equal(s->causes[CAUSE_TIMEOUT], 2);
	assert_int_equal(s->violations[VIOLATION_LONG_CONTROL], 1);
	assert_int_equal(s->nr_recent, 3);
	assert_int_equal(world_filter(w, (struct filter){.channel = "/b"})->nr_recent, 1);
}

static void refused_upgrades_are_their_users(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	world_open(w, 0, (struct open_args){.path = "/a"});
	world_open(w, SECOND,
		   (struct open_args){.type = EVENT_REFUSED,
				      .status = 403,
				      .path = "/a?x",
				      .ip = {192, 0, 2, 9}});
	world_open(w, SECOND,
		   (struct open_args){.type = EVENT_REFUSED, .status = 404, .path = "/scan"});
	world_sample(w, 2 * SECOND);
	s = world_filter(w, (struct filter){.user = "192.0.2.9"});
	assert_int_equal(s->errors, 1);
	assert_int_equal(s->by_type[ERROR_AUTHENTICATION], 1);
	assert_int_equal(s->refused.rows[0].code, 403);
	assert_int_equal(s->n.opened, 0);
	assert_int_equal(s->nr_recent, 1);
	s = world_filter(w, (struct filter){.channel = "/a"});
	assert_int_equal(s->errors, 1);
	assert_int_equal(s->nr_recent, 1);
	assert_int_equal(s->n.opened, 1);
	/* a path that only was refused has no channel */
	s = world_filter(w, (struct filter){.channel = "other"});
	assert_int_equal(s->errors, 1);
	assert_int_equal(s->by_type[ERROR_HANDSHAKE], 1);
	assert_string_equal(s->recent[0].channel, "/scan");
	assert_false(s->latency.available);
}

static void recent_errors_are_looked_for_in_the_last_hundred(void **state)
{
	struct world *w = *state;

	for (uint64_t i = 0; i < 100; i++)
		world_open(w, i + 1,
			   (struct open_args){.type = EVENT_REFUSED,
					      .status = 404,
					      .ip = {10, 0, 0, (uint8_t)(i < 30 ? 1 : 2)}});
	world_sample(w, SECOND);
	assert_int_equal(w->summary->recent[0].wall_ns, START_WALL + 100);
	assert_int_equal(world_filter(w, (struct filter){.user = "10.0.0.1"})->nr_recent,
			 SUMMARY_RECENT);
	assert_int_equal(w->summary->recent[0].wall_ns, START_WALL + 30);
	assert_int_equal(w->summary->recent[19].wall_ns, START_WALL + 11);
}

static void what_nobody_is_called_matches_nothing(void **state)
{
	static const struct filter nothing[] = {
		{.server = "node:8001"},
		{.server = ""},
		{.channel = "/none"},
		{.channel = ""},
		{.user = "192.0.2.99"},
		{.user = "somebody"},
		{.user = ""},
		{.user = "0123456789ab"},
		{.user = "0123456789abc"},
		{.server = "python3:9000", .channel = "/a"},
		{.server = "node:8000", .channel = "/a", .user = "::1"},
		{.server = "node:8001", .user = "192.0.2.1"},
	};
	struct world *w = *state;
	uint64_t id = world_open(w, 0, (struct open_args){.path = "/a"});

	world_server(w, SERVER + 1, "python3", 9000);
	world_latency(w, SERVER, 1000, SECOND / 2);
	world_open(w, 0, (struct open_args){.type = EVENT_REFUSED, .status = 404});
	/* of a server that has no name yet */
	world_open(w, 0,
		   (struct open_args){.type = EVENT_REFUSED, .status = 404, .server = SERVER + 2});
	world_outcome(w, SERVER, OUTCOME_REFUSED, 404, BY_SERVER, 0, 1);
	world_walk(w, (struct walk_record){.id = id, .received = 5});
	world_sample(w, SECOND);
	for (size_t i = 0; i < COUNT(nothing); i++) {
		const struct summary *s = world_filter(w, nothing[i]);

		assert_true(s->filtered);
		assert_int_equal(s->active, 0);
		assert_int_equal(s->peak, 0);
		assert_int_equal(s->n.opened, 0);
		assert_int_equal(s->n.received, 0);
		assert_int_equal(s->errors, 0);
		assert_int_equal(s->nr_recent, 0);
		assert_int_equal(s->nr_servers, 0);
		assert_int_equal(s->by_user.nr + s->by_channel.nr, 0);
		assert_int_equal(s->latency.count, 0);
		assert_int_equal(s->open_age.count, 0);
		assert_false(s->partial);
	}
}

static void a_user_is_known_by_both_names(void **state)
{
	struct world *w = *state;
	char pseudonym[LABEL_SIZE];
	uint64_t id = world_open(w, 0, (struct open_args){.path = "/a", .ip = {198, 51, 100, 7}});

	world_walk(w, (struct walk_record){.id = id});
	world_sample(w, SECOND);
	assert_int_equal(w->summary->by_user.nr, 1);
	strcpy(pseudonym, w->summary->by_user.rows[0].label);
	assert_int_equal(world_filter(w, (struct filter){.user = pseudonym})->active, 1);
	assert_int_equal(world_filter(w, (struct filter){.user = "198.51.100.7"})->active, 1);
	assert_int_equal(world_filter(w, (struct filter){.user = "::ffff:198.51.100.7"})->active,
			 1);
	/* the answer never has the true value */
	assert_string_equal(w->summary->filter_user, pseudonym);
}

static void what_lingers_is_closed_but_not_forgotten(void **state)
{
	struct world *w = *state;
	struct filter channel = {.channel = "/a"};
	const struct summary *s;
	uint64_t id = world_open(w, 0, (struct open_args){.path = "/a"});

	world_walk(w, (struct walk_record){.id = id, .received = 7, .bytes_sent = 70});
	world_sample(w, SECOND);
	w->reading->nr_walk = 0;
	world_counters(w, SERVER)->closed++;
	world_sample(w, 2 * SECOND);
	s = world_filter(w, channel);
	assert_int_equal(s->n.opened, 1);
	assert_int_equal(s->n.closed, 1);
	assert_int_equal(s->n.received, 7);
	assert_int_equal(s->duration.count, 0); /* nobody has said yet how it ended */
	world_close_record(w, 60 * SECOND,
			   (struct event_close){.event.id = id,
						.duration_ns = 1500000000,
						.received = 9,
						.bytes_sent = 90,
						.has_close = 1,
						.close_code = 1000});
	world_sample(w, 61 * SECOND);
	s = world_filter(w, channel);
	assert_int_equal(s->n.closed, 1);
	assert_int_equal(s->n.received, 9);
	assert_int_equal(s->n.bytes_sent, 90);
	assert_int_equal(s->duration.count, 1);
	assert_true(s->duration.no_percentiles);
	assert_near(s->duration.min_ns, 1.5e9);
}

static void a_lost_record_is_made_up_for(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	struct walk_record lost = {.id = 77, .received = 3, .path_hash = path_hash("/a")};

	world_open(w, 0, (struct open_args){.path = "/a", .id = 1});
	world_walk(w, (struct walk_record){.id = 1});
	/* no open record, but walks and a close */
	address_v4(lost.peer.addr, 192, 0, 2, 55);
	world_walk(w, lost);
	world_counters(w, SERVER)->opened++;
	world_sample(w, SECOND);
	s = world_filter(w, (struct filter){.channel = "/a", .user = "192.0.2.55"});
	assert_int_equal(s->active, 1);
	assert_int_equal(s->n.received, 3);
	w->reading->nr_walk = 1;
	world_close(w, 2 * SECOND,
		    (struct event_close){.event.id = 77, .received = 4, .has_close = 1});
	/* and one of which only the close was heard */
	world_counters(w, SERVER)->opened++;
	world_close(
		w, 2 * SECOND,
		(struct event_close){
			.event.id = 78, .channel = CHANNEL_FIRST, .received = 5, .has_close = 1});
	world_sample(w, 3 * SECOND);
	s = world_filter(w, (struct filter){.channel = "/a"});
	assert_int_equal(s->n.opened, 3);
	assert_int_equal(s->n.closed, 2);
	assert_int_equal(s->n.received, 9);
	/* whose that was is not known, so no user's numbers are sure */
	assert_true(world_filter(w, (struct filter){.user = "192.0.2.55"})->partial);
	assert_int_equal(w->summary->n.received, 4);
	assert_false(world_filter(w, (struct filter){.channel = "/a"})->partial);
}

static void a_path_that_becomes_known_takes_its_connections_along(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	world_counters(w, SERVER)->opened++;
	world_walk(w,
		   (struct walk_record){.id = 77, .received = 3, .path_hash = path_hash("/late")});
	world_sample(w, SECOND);
	assert_int_equal(world_filter(w, (struct filter){.channel = "/late"})->active, 0);
	assert_int_equal(world_filter(w, (struct filter){.channel = "other"})->active, 1);
	world_walk(w, (struct walk_record){
			      .id = world_open(w, SECOND, (struct open_args){.path = "/late"})});
	world_sample(w, 2 * SECOND);
	s = world_filter(w, (struct filter){.channel = "/late"});
	assert_int_equal(s->active, 2);
	assert_int_equal(s->n.opened, 2);
	assert_int_equal(s->n.received, 3);
	s = world_filter(w, (struct filter){.channel = "other"});
	assert_int_equal(s->active, 0);
	assert_int_equal(s->n.opened, 0);
	assert_int_equal(s->n.received, 0);
}

static void the_record_knows_better_than_the_walk(void **state)
{
	struct world *w = *state;
	const struct summary *s;

	world_counters(w, SERVER)->opened++;
	world_walk(w, (struct walk_record){.id = 77, .received = 3, .sent = 2});
	world_sample(w, SECOND);
	assert_int_equal(world_filter(w, (struct filter){.user = "192.0.2.1"})->active, 1);
	/* the user is behind a proxy */
	world_open(w, SECOND,
		   (struct open_args){.id = 77,
				      .path = "/a",
				      .ip = {127, 0, 0, 1},
				      .headers = "X-Forwarded-For: 198.51.100.9\r\n",
				      .counted = 1});
	s = world_filter(w, (struct filter){.user = "198.51.100.9", .channel = "/a"});
	assert_int_equal(s->active, 1);
	assert_int_equal(s->n.opened, 1);
	assert_int_equal(s->n.received, 3);
	assert_int_equal(s->n.sent, 2);
	s = world_filter(w, (struct filter){.user = "192.0.2.1"});
	assert_int_equal(s->active + s->n.opened + s->n.received + s->n.sent, 0);
}

static void between_walks_records_go_on(void **state)
{
	struct world *w = *state;
	struct filter channel = {.channel = "/a"};
	uint64_t id[3];

	for (int i = 0; i < 2; i++) {
		id[i] = world_open(w, 0, (struct open_args){.path = "/a"});
		world_walk(w, (struct walk_record){.id = id[i]});
	}
	world_sample(w, SECOND);
	id[2] = world_open(w, SECOND, (struct open_args){.path = "/a"});
	world_close(w, 2 * SECOND,
		    (struct event_close){.event.id = id[0], .has_close = 1, .received = 4});
	world_sample_parts(w, 2 * SECOND, 0);
	assert_int_equal(world_filter(w, channel)->active, 2);
	assert_int_equal(w->summary->n.opened, 3);
	assert_int_equal(w->summary->n.closed, 1);
	assert_int_equal(w->summary->n.received, 4);
	/* one that the last walk did not meet any more is not taken off twice */
	w->reading->nr_walk = 0;
	world_walk(w, (struct walk_record){.id = id[2]});
	world_counters(w, SERVER)->closed++;
	world_sample(w, 3 * SECOND);
	world_close_record(w, 4 * SECOND, (struct event_close){.event.id = id[1]});
	world_sample_parts(w, 4 * SECOND, 0);
	assert_int_equal(world_filter(w, channel)->active, 1);
	assert_int_equal(w->summary->n.closed, 2);
}

/* --- the largest --- */

static void the_largest_users_are_found_in_any_order(void **state)
{
	struct user_count counts[600];
	struct top top;
	char label[LABEL_USER_SIZE];

	(void)state;
	/* user u has u connections in pieces of one to three, but for ties: 150 and 151 have 150 */
	for (int order = 0; order < 2; order++) {
		uint64_t sum = 0, all = 0;
		size_t nr = 0;

		for (uint64_t i = 1; i <= 200; i++) {
			uint64_t u = order ? 201 - i : i, count = u == 151 ? 150 : u;

			counts[nr++] = (struct user_count){u, count - count / 2};
			counts[nr++] = (struct user_count){u, count / 2};
			all += count;
		}
		counts[nr++] = (struct user_count){USER_OTHER, 1000};
		top_users(counts, nr, &top);
		assert_int_equal(top.nr, SUMMARY_TOP);
		for (size_t i = 0; i < top.nr; i++) {
			uint64_t user = 200 - i;

			/* the lower name first where two are equal */
			user = user == 151 ? 150 : user == 150 ? 151 : user;
			label_user_text(user, label);
			assert_string_equal(top.rows[i].label, label);
			assert_int_equal(top.rows[i].count, user == 151 ? 150 : user);
			sum += top.rows[i].count;
		}
		assert_true(top.more);
		assert_int_equal(sum + top.other, all + 1000);
	}
}

/* --- bounds --- */

static uint64_t flood(struct world *w, uint32_t server, uint32_t users)
{
	char text[32];

	for (uint32_t i = 0; i < users; i++) {
		uint64_t id = world_open(w, 0,
					 (struct open_args){.path = "/flood",
							    .server = server,
							    .ip = {10, (uint8_t)(i >> 16),
								   (uint8_t)(i >> 8), (uint8_t)i}});

		world_close(w, SECOND,
			    (struct event_close){.event.id = id,
						 .server = (uint16_t)server,
						 .received = 2,
						 .has_close = 1,
						 .close_code = (uint16_t)(3000 + i % 2000)});
	}
	snprintf(text, sizeof(text), "10.0.0.%u", 5);
	return world_filter(w, (struct filter){.user = text})->n.received;
}

static void invented_users_and_codes_harm_no_neighbour(void **state)
{
	struct world *w = *state;
	const struct summary *s;
	uint64_t codes = 0;

	world_server(w, SERVER + 1, "python3", 9000);
	world_sample(w, SECOND / 2);
	assert_int_equal(flood(w, SERVER, 100000), 2);
	assert_int_equal(flood(w, SERVER + 1, 1000), 4);
	world_sample(w, SECOND);
	s = world_filter(w, (struct filter){.channel = "/flood", .server = "node:8000"});
	assert_int_equal(s->n.opened, 100000);
	assert_int_equal(s->n.received, 200000);
	assert_int_equal(s->duration.count, 100000);
	for (size_t i = 0; i < s->close_codes.nr; i++)
		codes += s->close_codes.rows[i].count[BY_CLIENT];
	assert_int_equal(codes + s->close_codes.other[BY_CLIENT], 100000);
	/* the neighbour's users have their rows; the numbers of the flood's say that they may lack */
	s = world_filter(w, (struct filter){.server = "python3:9000", .user = "10.0.3.7"});
	assert_int_equal(s->n.received, 2);
	assert_false(s->partial);
	s = world_filter(w, (struct filter){.user = "10.0.3.7"});
	assert_true(s->partial);
}

static void rows_are_bounded(void **state)
{
	struct usage *usage = usage_new();
	uint64_t others = 0, sum = 0;

	(void)state;
	for (uint16_t server = 2; server < MAX_SERVERS; server++)
		for (uint64_t user = 0; user < 40000; user++) {
			uint32_t row = usage_place(usage, server, CHANNEL_OTHER, user);

			usage_row(usage, row)->opened++;
		}
	assert_true(usage_count(usage) <= USAGE_ROWS + NR_SERIES);
	for (uint32_t i = 0; i < usage_count(usage); i++) {
		others += usage_row(usage, i)->user == USER_OTHER;
		sum += usage_row(usage, i)->opened;
	}
	assert_int_equal(others, MAX_SERVERS - 2);
	assert_int_equal(sum, (MAX_SERVERS - 2) * 40000);
	usage_free(usage);
}

static void outcomes_are_bounded_and_what_is_lost_is_told(void **state)
{
	struct usage *usage = usage_new();
	const struct usage_outcome *outcome;
	uint64_t sum = 0, places = 0;
	size_t at = 0;

	(void)state;
	for (uint64_t user = 0; user < 100; user++)
		for (uint16_t code = 0; code < 2000; code++) {
			struct outcome_key key = {.kind = OUTCOME_CLOSE,
						  .code = (uint16_t)(code + user * 20)};

			usage_outcome(usage, usage_place(usage, 2, 2, user), &key);
		}
	while ((outcome = usage_outcome_next(usage, &at))) {
		sum += outcome->count;
		places++;
	}
	assert_true(places <= USAGE_OUTCOMES + USAGE_OUTCOMES / 4);
	assert_int_equal(sum + usage_lost(usage), 100 * 2000);
	assert_int_equal(usage_lost(usage), 0); /* 3980 codes of "other" had room */
	for (uint32_t channel = 2; channel < 42; channel++)
		for (uint16_t code = 0; code < 1000; code++) {
			struct outcome_key key = {.kind = OUTCOME_CLOSE, .code = code};

			usage_outcome(usage, usage_place(usage, 3, (uint16_t)channel, USER_OTHER),
				      &key);
		}
	assert_true(usage_lost(usage) > 0);
	usage_free(usage);
}

#define CASE(text, fn)                                                                             \
	{                                                                                          \
		.name = (text), .test_func = (fn), .setup_func = setup, .teardown_func = teardown  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE("every filter agrees with a list of connections",
		     every_filter_agrees_with_a_list_of_connections),
		CASE("counting begins anew for every filter",
		     counting_begins_anew_for_every_filter),
		CASE("after a reset the books balance", after_a_reset_the_books_balance),
		CASE("a record on its way at a reset is not lost",
		     a_record_on_its_way_at_a_reset_is_not_lost),
		CASE("distributions begin anew", distributions_begin_anew),
		CASE("a server has everything", a_server_has_everything),
		CASE("peaks are of the server or channel", peaks_are_of_the_server_or_channel),
		CASE("a close of long ago spoils no peak", a_close_of_long_ago_spoils_no_peak),
		CASE("a channel has rates and latency", a_channel_has_rates_and_latency),
		CASE("errors of a channel are per minute", errors_of_a_channel_are_per_minute),
		CASE("refused upgrades are their user's", refused_upgrades_are_their_users),
		CASE("recent errors are looked for in the last hundred",
		     recent_errors_are_looked_for_in_the_last_hundred),
		CASE("what nobody is called matches nothing",
		     what_nobody_is_called_matches_nothing),
		CASE("a user is known by both names", a_user_is_known_by_both_names),
		CASE("what lingers is closed but not forgotten",
		     what_lingers_is_closed_but_not_forgotten),
		CASE("a lost record is made up for", a_lost_record_is_made_up_for),
		CASE("a path that becomes known takes its connections along",
		     a_path_that_becomes_known_takes_its_connections_along),
		CASE("the record knows better than the walk",
		     the_record_knows_better_than_the_walk),
		CASE("between walks records go on", between_walks_records_go_on),
		CASE("invented users and codes harm no neighbour",
		     invented_users_and_codes_harm_no_neighbour),
		SENTENCE("the largest users are found in any order",
			 the_largest_users_are_found_in_any_order),
		SENTENCE("rows are bounded", rows_are_bounded),
		SENTENCE("outcomes are bounded, and what is lost is told",
			 outcomes_are_bounded_and_what_is_lost_is_told),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("filter", NULL, NULL, 0, 0, tests, COUNT(tests));
}

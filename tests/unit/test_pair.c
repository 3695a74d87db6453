// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * pair.h: each sentence of SPEC 2 is a row: a little history of reads and writes, and the books at
 * its end. Every step of every history is also held against the model.
 */
static void meanwhile(void);
#define PAIR_MEANWHILE() meanwhile()

#include "check.h"

#include <stdbool.h>
#include <stdio.h>

#include "pair_model.h"
#include "random.h"

#define MS 1000000ull
#define SECOND 1000000000ull

/* dt: time since the step before. */
struct step {
	enum { END, READ, WRITE, OTHER_BYTES, CLOSE } what;
	uint64_t dt;
	uint32_t n; /* messages read, or begun by the write */
	uint32_t ended;
};

struct row {
	const char *name;
	struct step steps[12];
	uint32_t timed, ambiguous, unanswered, waiting, push, answers;
	uint64_t took[6]; /* all latencies, in order */
};

/* clang-format off */
#define R(dt, n) {READ, dt, n, 0}
#define W(dt, started, ended) {WRITE, dt, started, ended}
#define B(dt) {OTHER_BYTES, dt, 0, 0}
#define C(dt) {CLOSE, dt, 0, 0}

static const struct row rows[] = {
	{"a message and its answer are timed", {R(0, 1), W(7, 1, 1)}, .timed = 1, .took = {7}},
	{"a message that waits is waiting", {R(0, 1)}, .waiting = 1},
	{"a message sent while none waits is a push", {W(0, 1, 1)}, .push = 1},
	{"the second answer to one message is a push", {R(0, 1), W(7, 1, 1), W(3, 1, 1)}, .timed = 1,
	 .push = 1, .took = {7}},
	{"two answers in one write: one is timed, one a push", {R(0, 1), W(7, 2, 2)}, .timed = 1, .push = 1,
	 .took = {7}},
	{"a push before a message times nothing", {W(0, 3, 3), R(5, 1), W(7, 1, 1)}, .timed = 1, .push = 3,
	 .took = {7}},

	{"the messages of one read are a batch with one start", {R(0, 3), W(7, 1, 1), W(5, 1, 1), W(2, 1, 1)},
	 .timed = 3, .took = {7, 12, 14}},
	{"one write may answer a whole batch", {R(0, 3), W(7, 3, 3)}, .timed = 3, .took = {7, 7, 7}},
	{"one write may answer part of a batch", {R(0, 3), W(7, 2, 2)}, .timed = 2, .waiting = 1,
	 .took = {7, 7}},
	{"one write may answer a batch and push", {R(0, 2), W(7, 3, 3)}, .timed = 2, .push = 1, .took = {7, 7}},
	{"a batch after an answered one starts clean", {R(0, 1), W(7, 1, 1), R(1, 1), W(9, 1, 1)}, .timed = 2,
	 .took = {7, 9}},
	{"a read without messages changes nothing", {R(0, 1), B(5), W(7, 1, 1)}, .timed = 1, .took = {12}},

	/* partial writes */
	{"an answer is timed to the write of its first bytes", {R(0, 1), W(7, 1, 0), W(100, 0, 1)}, .timed = 1,
	 .took = {7}},
	{"until its last byte has passed, what it answers waits", {R(0, 1), W(7, 1, 0)}, .waiting = 1},
	{"bytes in the middle of an answer change nothing", {R(0, 1), W(7, 1, 0), B(50), W(50, 0, 1)},
	 .timed = 1, .took = {7}},
	{"a push is counted when its last byte has passed", {W(0, 1, 0)}, .push = 0},
	{"a push in two writes", {W(0, 1, 0), W(5, 0, 1)}, .push = 1},
	{"a push that began before a read does not answer it", {W(0, 1, 0), R(5, 1), W(5, 0, 1)}, .push = 1,
	 .waiting = 1},
	{"a push that began before a read, then the answer",
	 {W(0, 1, 0), R(5, 1), W(5, 0, 1), W(6, 1, 1)}, .push = 1, .timed = 1, .took = {11}},
	{"one write ends an answer and begins the next", {R(0, 2), W(7, 1, 0), W(5, 1, 1), W(9, 0, 1)},
	 .timed = 2, .took = {7, 12}},
	{"one write ends an answer and carries another whole", {R(0, 2), W(7, 1, 0), W(5, 1, 2)}, .timed = 2,
	 .took = {7, 12}},
	{"one write carries an answer whole and begins a push", {R(0, 1), W(7, 2, 1), W(5, 0, 1)}, .timed = 1,
	 .push = 1, .took = {7}},
	{"one write carries two answers and begins a third", {R(0, 3), W(7, 3, 2), W(5, 0, 1)}, .timed = 3,
	 .took = {7, 7, 7}},
	{"one write ends a push and carries an answer", {W(0, 1, 0), R(5, 1), W(5, 1, 2)}, .push = 1,
	 .timed = 1, .took = {5}},
	{"a read while the last answer is being written starts clean",
	 {R(0, 1), W(7, 1, 0), R(1, 1), W(2, 0, 1), W(3, 1, 1)}, .timed = 2, .took = {7, 5}},
	{"a read while the first answer of two is being written is ambiguous with the second",
	 {R(0, 2), W(7, 1, 0), R(1, 1), W(2, 0, 1), W(3, 2, 2)}, .timed = 1, .ambiguous = 2, .answers = 2,
	 .took = {7}},

	/* ambiguous */
	{"a read while one waits makes both ambiguous", {R(0, 1), R(5, 1)}, .ambiguous = 2},
	{"answers to ambiguous messages are not timed", {R(0, 1), R(5, 1), W(5, 1, 1), W(5, 1, 1)},
	 .ambiguous = 2, .answers = 2},
	{"what is already timed stays timed", {R(0, 2), W(7, 1, 1), R(1, 1)}, .timed = 1, .ambiguous = 2,
	 .took = {7}},
	{"all messages of the second batch are ambiguous", {R(0, 2), R(5, 3)}, .ambiguous = 5},
	{"after as many answers as waited, pairing starts clean",
	 {R(0, 1), R(5, 1), W(5, 2, 2), R(1, 1), W(7, 1, 1)}, .ambiguous = 2, .answers = 2, .timed = 1,
	 .took = {7}},
	{"before as many answers as waited, a read is ambiguous too",
	 {R(0, 1), R(5, 1), W(5, 1, 1), R(1, 1), W(7, 2, 2)}, .ambiguous = 3, .answers = 3},
	{"after as many answers as waited, the next sent is a push", {R(0, 1), R(5, 1), W(5, 3, 3)},
	 .ambiguous = 2, .answers = 2, .push = 1},
	{"an answer to an ambiguous message in two writes", {R(0, 1), R(5, 1), W(5, 2, 1), W(5, 0, 1)},
	 .ambiguous = 2, .answers = 2},
	{"an answer to an ambiguous message is counted at its last byte", {R(0, 1), R(5, 1), W(5, 2, 1)},
	 .ambiguous = 2, .answers = 1},
	{"a read while the last answer to ambiguous ones is being written starts clean",
	 {R(0, 1), R(5, 1), W(5, 2, 1), R(1, 1), W(4, 1, 2)}, .ambiguous = 2, .answers = 2, .timed = 1,
	 .took = {4}},

	/* silence */
	{"after a second of silence the waiting one is unanswered", {R(0, 1), R(SECOND, 1), W(7, 1, 1)},
	 .unanswered = 1, .timed = 1, .took = {7}},
	{"the whole waiting rest of a batch is unanswered", {R(0, 3), W(7, 1, 1), R(SECOND, 2)}, .timed = 1,
	 .unanswered = 2, .waiting = 2, .took = {7}},
	{"0.99 s are no second", {R(0, 1), R(990 * MS, 1)}, .ambiguous = 2},
	{"bytes in between break the silence", {R(0, 1), B(600 * MS), R(600 * MS, 1)}, .ambiguous = 2},
	{"a write in between breaks the silence", {R(0, 2), W(600 * MS, 1, 1), R(600 * MS, 1)}, .timed = 1,
	 .ambiguous = 2, .took = {600 * MS}},
	{"bytes in between and then a second", {R(0, 1), B(600 * MS), R(SECOND, 1)}, .unanswered = 1,
	 .waiting = 1},
	{"silence alone ends nothing: a late answer is timed", {R(0, 1), W(30 * SECOND, 1, 1)}, .timed = 1,
	 .took = {30 * SECOND}},
	{"after silence nothing is owed to ambiguous ones",
	 {R(0, 1), R(5, 1), R(SECOND, 1), W(7, 1, 1)}, .ambiguous = 2, .timed = 1, .took = {7}},
	{"ambiguous ones do not become unanswered", {R(0, 1), R(5, 1), R(2 * SECOND, 1)}, .ambiguous = 2,
	 .waiting = 1},
	{"silence in the middle of an answer leaves it an answer",
	 {R(0, 2), W(7, 1, 0), R(SECOND, 1), W(5, 0, 1)}, .timed = 1, .unanswered = 1, .waiting = 1,
	 .took = {7}},
	{"an hour of silence", {R(0, 1), R(3600 * SECOND, 1)}, .unanswered = 1, .waiting = 1},

	/* the end */
	{"what waits at the close is unanswered", {R(0, 2), C(5)}, .unanswered = 2},
	{"what is being answered at the close is unanswered", {R(0, 2), W(7, 1, 0), C(5)}, .unanswered = 2},
	{"an unfinished push at the close counts nowhere", {W(0, 1, 0), C(5)}, .push = 0},
	{"ambiguous ones stay ambiguous at the close", {R(0, 1), R(5, 1), C(5)}, .ambiguous = 2},
	{"a second close changes nothing", {R(0, 2), C(5), C(5)}, .unanswered = 2},
	{"bytes after the close still count", {R(0, 1), C(5), W(5, 1, 1), R(5, 1), C(5)}, .unanswered = 2,
	 .push = 1},
	{"the rest of a message after the close is a push", {R(0, 1), W(7, 1, 0), C(5), W(5, 0, 1)},
	 .unanswered = 1, .push = 1},

	/* streams of which a part is missing */
	{"the end of a message whose start nobody saw is a push", {R(0, 1), W(7, 0, 1)}, .push = 1,
	 .waiting = 1},
	{"the end of an unseen start, then the answer", {R(0, 1), W(7, 1, 2)}, .push = 1, .timed = 1,
	 .took = {7}},
	{"a message whose end was lost leaves its question unanswered",
	 {R(0, 1), W(7, 1, 0), W(5, 1, 0), W(5, 0, 1)}, .unanswered = 1, .push = 1},
	{"of two that began and one that ended, the end is not that of a lost one",
	 {R(0, 1), W(7, 1, 0), R(1, 2), W(5, 2, 1), W(4, 0, 1)}, .unanswered = 1, .timed = 2,
	 .took = {5, 5}},
	{"a push whose end was lost counts nowhere", {W(0, 1, 0), R(5, 1), W(6, 1, 0), W(1, 0, 1)},
	 .timed = 1, .took = {6}},
};
/* clang-format on */

struct world {
	struct pair pair;
	struct pair_books books;
	uint64_t took[64];
	size_t nr_took;
};

static struct pair_model model;

static void take(struct world *w, const struct step *s, uint64_t now)
{
	struct pair_tally t = {0};
	const char *differs;

	switch (s->what) {
	case READ:
		pair_received(&w->pair, &t, s->n, now);
		pair_touch(&w->pair, now);
		pair_model_received(&model, s->n, now);
		w->books.received += s->n;
		break;
	case WRITE:
		pair_sent(&w->pair, &t, s->n, s->ended, now);
		pair_touch(&w->pair, now);
		pair_model_sent(&model, s->n, s->ended, now);
		w->books.sent += s->ended;
		break;
	case OTHER_BYTES:
		pair_touch(&w->pair, now);
		model.last_ns = now;
		model.nr_took = 0;
		break;
	default:
		pair_closed(&w->pair, &t);
		pair_model_closed(&model);
		break;
	}
	pair_books_add(&w->books, &t);
	for (uint32_t i = 0; i < t.timed && w->nr_took < COUNT(w->took); i++)
		w->took[w->nr_took++] = i < t.carried ? t.carried_ns : t.latency_ns;
	differs = pair_model_differs(&model, &w->books, &w->pair, &t);
	if (differs)
		fail_msg("not as in the model, or not balanced: %s", differs);
}

static void history_ends_with_these_books(void **state)
{
	const struct row *r = *state;
	uint64_t now = 12345 * SECOND;
	struct world w = {0};

	pair_model_reset(&model);
	for (const struct step *s = r->steps; s->what; s++) {
		now += s->dt;
		take(&w, s, now);
	}
	assert_int_equal(w.books.timed, r->timed);
	assert_int_equal(w.books.ambiguous, r->ambiguous);
	assert_int_equal(w.books.unanswered, r->unanswered);
	assert_int_equal(w.books.push, r->push);
	assert_int_equal(w.books.answers_to_ambiguous, r->answers);
	assert_int_equal(pair_waiting(&w.pair), r->waiting);
	assert_int_equal(w.nr_took, r->timed);
	for (size_t i = 0; i < w.nr_took; i++)
		assert_int_equal(w.took[i], r->took[i]);
}

static void random_histories(void **state)
{
	static const uint64_t pauses[] = {0, 1, 1000, MS, 40 * MS, 990 * MS, SECOND, 5 * SECOND};
	uint64_t seed = 99;
	uint64_t timed = 0, ambiguous = 0, unanswered = 0, push = 0;

	(void)state;
	for (int round = 0; round < 4000; round++) {
		struct world w = {0};
		uint64_t now = 1 + random_below(&seed, 60 * SECOND);
		int lossy = round % 4 == 0; /* starts and ends may be missing */

		pair_model_reset(&model);
		for (int i = 0; i < 120; i++) {
			struct step s = {.dt = pauses[random_below(&seed, COUNT(pauses))]};

			now += s.dt;
			s.n = 1 + (uint32_t)random_below(&seed, 4);
			switch (random_below(&seed, 8)) {
			case 0:
			case 1:
			case 2:
				s.what = READ;
				break;
			case 3:
				s.what = OTHER_BYTES;
				break;
			case 4:
				s.what = i % 50 == 49 ? CLOSE : OTHER_BYTES;
				break;
			default:
				s.what = WRITE;
				s.n = (uint32_t)random_below(&seed, 4);
				s.ended = s.n +
					  (model.sending || (lossy && !random_below(&seed, 4)));
				if (s.ended && random_below(&seed, 3) == 0)
					s.ended--;
				if (lossy && s.n == 1 && random_below(&seed, 4) == 0)
					s.ended =
						0; /* perhaps instead of the end of what was out */
				break;
			}
			take(&w, &s, now);
		}
		take(&w, &(struct step){.what = CLOSE}, now);
		assert_int_equal(pair_waiting(&w.pair), 0);
		timed += w.books.timed;
		ambiguous += w.books.ambiguous;
		unanswered += w.books.unanswered;
		push += w.books.push;
	}
	/* the histories are worth something only if everything happens in them */
	assert_true(timed > 10000 && ambiguous > 10000 && unanswered > 10000 && push > 10000);
}

/* A second, in units of 2^20 ns and rounded down on both sides, may be 2 ms short but never longer. */
static void silence_is_a_second(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t now = random_next(&seed) >> 8;
		struct pair p = {0};

		pair_touch(&p, now);
		assert_false(pair_silent(&p, now));
		assert_false(pair_silent(&p, now + 998 * MS));
		assert_true(pair_silent(&p, now + SECOND));
		assert_true(pair_silent(&p, now + 30 * 86400 * SECOND));
		assert_false(pair_silent(&p, now - SECOND));
	}
}

static void large_batches(void **state)
{
	struct pair p = {0};
	struct pair_tally t = {0};

	(void)state;
	pair_received(&p, &t, 3000000000u, 1);
	assert_int_equal(pair_waiting(&p), 3000000000u);
	pair_sent(&p, &t, 2999999999u, 2999999999u, 5);
	assert_int_equal(t.timed, 2999999999u);
	assert_int_equal(t.latency_ns, 4);
	assert_int_equal(pair_waiting(&p), 1);
}

/* Two CPUs look at the clock and then at the connection, in that order but not in each other's. */
static void a_write_that_a_read_overtook(void **state)
{
	struct pair p = {0};
	struct pair_tally t = {0};

	(void)state;
	pair_received(&p, &t, 1, 1000);
	pair_touch(&p, 1000);
	pair_sent(&p, &t, 1, 1, 999);
	assert_int_equal(t.timed, 1);
	assert_int_equal(t.latency_ns, 0);
}

/* ---- a read, a write and the end of a connection at the same time */

enum role { READS, WRITES, CLOSES, NR_ROLES };

static struct {
	struct pair pair;
	struct pair_books books;
	uint64_t seed, now;
	uint64_t met;    /* how often one came in between */
	unsigned chance; /* of that, out of 8; 0 = nobody is there */
	bool busy[NR_ROLES];
	bool open; /* the writer's: a message whose end it has not written */
} race;

static void race_act(enum role role)
{
	uint64_t now = race.now += random_below(&race.seed, 64) ? 1000 : 2 * SECOND;
	struct pair_tally t = {0};
	uint32_t n, ended;

	race.busy[role] = true;
	switch (role) {
	case READS:
		n = 1 + (uint32_t)random_below(&race.seed, 3);
		race.books.received += n;
		pair_received(&race.pair, &t, n, now);
		break;
	case WRITES:
		n = (uint32_t)random_below(&race.seed, 6);
		ended = n + race.open;
		race.open = ended && random_below(&race.seed, 4) == 0;
		ended -= race.open;
		race.books.sent += ended;
		pair_sent(&race.pair, &t, n, ended, now);
		assert_true(t.timed == t.carried || t.latency_ns < now);
		assert_true(!t.carried || t.carried_ns < now);
		break;
	default:
		pair_closed(&race.pair, &t);
		break;
	}
	pair_touch(&race.pair, now);
	pair_books_add(&race.books, &t);
	race.busy[role] = false;
}

/* pair.h looks at a connection here; somebody else may change it first. */
static void meanwhile(void)
{
	enum role role;

	if (random_below(&race.seed, 8) >= race.chance)
		return;
	role = (enum role)random_below(&race.seed, NR_ROLES);
	if (race.busy[role] || (role == CLOSES && random_below(&race.seed, 16)))
		return;
	race.met++;
	race_act(role);
}

static void directions_at_the_same_time(void **state)
{
	const struct pair_books *b = &race.books;
	uint64_t least = ~0ull;

	(void)state;
	race.seed = 3;
	for (unsigned chance = 1; chance <= 8; chance++) {
		memset(&race.pair, 0, sizeof(race.pair));
		memset(&race.books, 0, sizeof(race.books));
		race.chance = chance;
		race.met = 0;
		for (int i = 0; i < 100000; i++) {
			race_act(random_below(&race.seed, 64)
					 ? (enum role)random_below(&race.seed, CLOSES)
					 : CLOSES);
			race.chance = 0; /* now nobody is in the middle of anything */
			assert_int_equal(b->received, b->timed + b->ambiguous + b->unanswered +
							      pair_waiting(&race.pair));
			assert_int_equal(b->sent, b->timed + b->push + b->answers_to_ambiguous);
			race.chance = chance;
		}
		assert_true(race.met > 1000);
		least = b->timed < least ? b->timed : least;
		least = b->ambiguous < least ? b->ambiguous : least;
		least = b->unanswered < least ? b->unanswered : least;
		least = b->push < least ? b->push : least;
	}
	/* worth something only if everything happens */
	assert_true(least > 100);
	race.chance = 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("the books balance and agree with the model in every step of random "
			 "histories",
			 random_histories),
		SENTENCE("silence is a second, at most 2 ms less", silence_is_a_second),
		SENTENCE("a batch of three thousand million messages", large_batches),
		SENTENCE("a write that a read overtook took no time", a_write_that_a_read_overtook),
		SENTENCE("the books balance when reads, writes and closes meet",
			 directions_at_the_same_time),
	};

	return check_run("pair", history_ends_with_these_books, rows, sizeof(rows[0]), COUNT(rows),
			 tests, COUNT(tests));
}

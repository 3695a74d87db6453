// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* spread.c, window.c, rate.c: distributions and rates against numbers that are known exactly. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "random.h"
#include "rate.h"
#include "spread.h"
#include "window.h"

#define SECOND 1000000000ull
#define START (1000 * SECOND)
#define MINUTE (60 * SECOND)
#define FIVE (5 * MINUTE)

static void add(struct hist *hist, uint64_t v)
{
	hist->bucket[hist_bucket(v)]++;
	hist->sum += v;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void assert_near(double value, double truth, double share)
{
	if (fabs(value - truth) > truth * share)
		fail_msg("%f is more than %.1f %% from %f", value, share * 100, truth);
}

/* --- spread --- */

static void percentiles_are_within_the_bound_of_the_contract(void **state)
{
	static uint64_t values[20000];
	uint64_t seed = 7;

	(void)state;
	for (int round = 0; round < 200; round++) {
		size_t nr = 1 + random_below(&seed, COUNT(values));
		unsigned bits = 1 + (unsigned)random_below(&seed, HIST_MAX_BITS);
		struct hist hist = {0};
		struct spread spread;
		double sum = 0;

		for (size_t i = 0; i < nr; i++) {
			values[i] = random_next(&seed) >> (64 - bits);
			add(&hist, values[i]);
			sum += (double)values[i];
		}
		qsort(values, nr, sizeof(values[0]), compare);
		spread = spread_of(&hist, values[0], values[nr - 1], 1);
		assert_int_equal(spread.count, nr);
		assert_near(spread.p50_ns, (double)values[(nr * 50 + 99) / 100 - 1], 0.032);
		assert_near(spread.p95_ns, (double)values[(nr * 95 + 99) / 100 - 1], 0.032);
		assert_near(spread.p99_ns, (double)values[(nr * 99 + 99) / 100 - 1], 0.032);
		assert_near(spread.avg_ns, sum / (double)nr, 1e-9);
		assert_true(spread.min_ns == (double)values[0]);
		assert_true(spread.max_ns == (double)values[nr - 1]);
		assert_true(spread.p50_ns >= spread.min_ns && spread.p99_ns <= spread.max_ns);
	}
}

static void without_extremes_the_buckets_bound_them(void **state)
{
	struct hist hist = {0};
	struct spread spread;

	(void)state;
	add(&hist, 1000000);
	add(&hist, 5000000);
	spread = spread_of(&hist, UINT64_MAX, 0, 1);
	assert_true(spread.min_ns <= 1000000 && spread.min_ns > 1000000 * 0.93);
	assert_true(spread.max_ns >= 5000000 && spread.max_ns < 5000000 * 1.07);
}

static void extremes_of_other_times_are_not_believed(void **state)
{
	struct hist hist = {0};
	struct spread spread;

	(void)state;
	add(&hist, 1000000);
	/* a neighbouring second was faster and slower: only the bucket is certain */
	spread = spread_of(&hist, 10, 900000000, 1);
	assert_near(spread.min_ns, 1000000, 0.0625);
	assert_near(spread.max_ns, 1000000, 0.0625);
}

static void what_is_too_large_keeps_its_maximum(void **state)
{
	struct hist hist = {0};
	struct spread spread;

	(void)state;
	add(&hist, 1ull << 39);
	spread = spread_of(&hist, 1ull << 39, 1ull << 39, 1);
	assert_true(spread.max_ns == (double)(1ull << 39));
	assert_true(spread.min_ns == (double)(1ull << 39));
}

static void an_empty_distribution_has_no_count(void **state)
{
	struct hist hist = {0};

	(void)state;
	assert_int_equal(spread_of(&hist, UINT64_MAX, 0, 1).count, 0);
	assert_true(spread_of(&hist, UINT64_MAX, 0, 1).available);
}

static void units_scale_everything(void **state)
{
	struct hist hist = {0};
	struct spread spread;

	(void)state;
	add(&hist, 20); /* ms */
	spread = spread_of(&hist, 20, 20, 1000000);
	assert_true(spread.p50_ns == 20e6 && spread.avg_ns == 20e6 && spread.min_ns == 20e6);
}

static void values_below_a_bound_are_counted_exactly(void **state)
{
	struct hist hist = {0};
	uint64_t seed = 3, values[1000];

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		values[i] = random_next(&seed) >> (64 - 36);
		add(&hist, values[i]);
	}
	for (unsigned e = 5; e <= 37; e++) {
		uint64_t below = 0, below_half = 0;

		for (size_t i = 0; i < COUNT(values); i++) {
			below += values[i] < 1ull << e;
			below_half += values[i] < 3ull << (e - 1);
		}
		assert_int_equal(hist_below(&hist, 1ull << e), below);
		if (e < 37)
			assert_int_equal(hist_below(&hist, 3ull << (e - 1)), below_half);
	}
	assert_int_equal(hist_below(&hist, ~0ull), COUNT(values));
}

/* --- window --- */

static struct window *window_of_servers(void)
{
	return window_new(&(struct window_config){START, MAX_SERVERS, WINDOW_STEPS_SURE, 12 << 20});
}

static struct rates *rates_of_servers(void)
{
	return rates_new(&(struct rates_config){START, SECOND, MAX_SERVERS, 1024});
}

struct source {
	struct window *window;
	struct server_hists hists;
	struct server_counters counters;
};

static struct source source_new(void)
{
	return (struct source){.window = window_of_servers()};
}

static void source_value(struct source *s, uint64_t at, uint64_t v)
{
	uint64_t epoch = at >> EPOCH_SHIFT;
	struct extreme *e = &s->counters.latency[epoch % EPOCH_SLOTS];

	add(&s->hists.latency, v);
	if (e->epoch != epoch)
		*e = (struct extreme){.epoch = epoch, .min_ns = ~0ull};
	e->count++;
	if (v < e->min_ns)
		e->min_ns = v;
	if (v > e->max_ns)
		e->max_ns = v;
	s->counters.n.received++;
	s->counters.n.timed++;
}

static void source_sample(struct source *s, uint64_t now, bool hists)
{
	assert_int_equal(window_extremes(s->window, SLOT_FIRST, &s->counters), 0);
	if (!hists)
		return;
	assert_int_equal(window_hist(s->window, SLOT_FIRST, MEASURE_LATENCY, &s->hists.latency), 0);
	assert_int_equal(
		window_hist(s->window, SLOT_FIRST, MEASURE_QUEUE_WAIT, &s->hists.queue_wait), 0);
	assert_int_equal(
		window_counts(s->window, SLOT_FIRST, s->counters.n.received, s->counters.n.timed),
		0);
	assert_int_equal(window_sample(s->window, now), 0);
}

static struct window_sum source_sum(struct source *s, uint64_t window_ns, uint64_t now)
{
	struct window_sum sum;

	window_sum_empty(s->window, window_ns, now, &sum);
	window_add(s->window, SLOT_FIRST, window_ns, now, &sum);
	return sum;
}

static struct spread source_spread(struct source *s, uint64_t window_ns, uint64_t now)
{
	struct window_sum sum = source_sum(s, window_ns, now);

	return spread_of(&sum.hist[MEASURE_LATENCY], sum.min[MEASURE_LATENCY],
			 sum.max[MEASURE_LATENCY], 1);
}

static void the_step_that_is_not_complete_counts(void **state)
{
	struct source s = source_new();

	(void)state;
	source_value(&s, START + SECOND, 1000);
	source_sample(&s, START + 2 * SECOND, true);
	assert_int_equal(source_spread(&s, FIVE, START + 2 * SECOND).count, 1);
	assert_int_equal(window_bytes(s.window), 0); /* no step has ended */
	window_free(s.window);
}

/* A value each second: v = seconds since the start, in µs. Hists every 10 s. */
static void run_seconds(struct source *s, uint64_t from, uint64_t to)
{
	for (uint64_t t = from; t <= to; t++) {
		source_value(s, START + t * SECOND - SECOND / 2, t * 1000);
		source_sample(s, START + t * SECOND, t % 10 == 0);
	}
}

static void values_leave_the_window_in_steps_of_ten_seconds(void **state)
{
	struct source s = source_new();
	struct spread spread;
	struct window_sum sum;

	(void)state;
	run_seconds(&s, 1, 600);
	spread = source_spread(&s, FIVE, START + 600 * SECOND);
	assert_int_equal(spread.count, 300);
	/* exact, of values that were seen; an epoch may reach into the window from before it */
	assert_true(spread.min_ns == 301 * 1000 || spread.min_ns == 300 * 1000);
	assert_true(spread.max_ns == 600 * 1000);
	assert_near(spread.avg_ns, 450.5 * 1000, 1e-9);
	sum = source_sum(&s, FIVE, START + 600 * SECOND);
	assert_int_equal(sum.received, 300);
	assert_int_equal(sum.timed, 300);
	assert_int_equal(sum.from_ns, START + 300 * SECOND);
	assert_int_equal(source_spread(&s, MINUTE, START + 600 * SECOND).count, 60);
	assert_int_equal(source_spread(&s, 60 * MINUTE, START + 600 * SECOND).count, 600);
	window_free(s.window);
}

static void at_most_an_hour_is_kept(void **state)
{
	struct source s = source_new();

	(void)state;
	run_seconds(&s, 1, 5000);
	assert_int_equal(source_spread(&s, 10000 * SECOND, START + 5000 * SECOND).count, 3600);
	window_free(s.window);
}

static void a_second_that_was_missed_costs_a_bucket(void **state)
{
	struct source s = source_new();
	struct spread spread;

	(void)state;
	source_value(&s, START + SECOND, 1000000);
	/* nobody looked for a minute: the epoch's slot has been used again */
	for (int i = 0; i < EPOCH_SLOTS; i++)
		source_value(&s, START + MINUTE + (uint64_t)i * SECOND * 11 / 10, 3000000);
	source_sample(&s, START + 70 * SECOND, true);
	spread = source_spread(&s, FIVE, START + 70 * SECOND);
	assert_int_equal(spread.count, 1 + EPOCH_SLOTS);
	assert_true(spread.min_ns <= 1000000 && spread.min_ns > 1000000 * 0.93);
	assert_true(spread.max_ns == 3000000);
	window_free(s.window);
}

static void an_idle_server_costs_nothing(void **state)
{
	struct source s = source_new();
	size_t bytes;

	(void)state;
	run_seconds(&s, 1, 10);
	bytes = window_bytes(s.window);
	assert_true(bytes > 0);
	for (uint64_t t = 11; t <= 300; t++)
		source_sample(&s, START + t * SECOND, t % 10 == 0);
	assert_int_equal(window_bytes(s.window), bytes);
	window_free(s.window);
}

static void memory_is_bounded_and_five_minutes_are_sure(void **state)
{
	struct window *window = window_of_servers();
	struct server_hists hists = {0};
	struct window_sum sum;

	(void)state;
	/* the worst: every bucket of every server in every step, for an hour */
	for (uint64_t step = 1; step <= 360; step++) {
		for (size_t i = 0; i < HIST_BUCKETS; i++) {
			hists.latency.bucket[i]++;
			hists.queue_wait.bucket[i]++;
		}
		for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
			window_hist(window, slot, MEASURE_LATENCY, &hists.latency);
			window_hist(window, slot, MEASURE_QUEUE_WAIT, &hists.queue_wait);
			assert_int_equal(window_counts(window, slot, step, step), 0);
		}
		assert_int_equal(window_sample(window, START + step * WINDOW_STEP_NS), 0);
		assert_true(window_bytes(window) < 20u << 20);
	}
	window_sum_empty(window, FIVE, START + 3600 * SECOND, &sum);
	window_add(window, SLOT_FIRST, FIVE, START + 3600 * SECOND, &sum);
	assert_int_equal(hist_count(&sum.hist[MEASURE_LATENCY]), 30 * HIST_BUCKETS);
	window_free(window);
}

static void what_is_not_sure_goes_when_memory_is_used_up(void **state)
{
	const struct window_config config = {START, MAX_CHANNELS, 0, 4 << 20};
	struct window *window = window_new(&config);
	struct window_sum sum;
	struct hist hist = {0};

	(void)state;
	for (uint64_t step = 1; step <= 60; step++) {
		for (size_t i = 0; i < HIST_BUCKETS; i += 2)
			hist.bucket[i]++;
		for (uint32_t series = 0; series < MAX_CHANNELS; series++)
			assert_int_equal(window_hist(window, series, MEASURE_LATENCY, &hist), 0);
		assert_int_equal(window_sample(window, START + step * WINDOW_STEP_NS), 0);
		assert_true(window_bytes(window) < 2 * (4u << 20));
	}
	/* and the window says so */
	window_sum_empty(window, FIVE, START + 600 * SECOND, &sum);
	window_add(window, MAX_CHANNELS - 1, FIVE, START + 600 * SECOND, &sum);
	assert_int_equal(sum.from_ns, START + 580 * SECOND);
	assert_int_equal(hist_count(&sum.hist[MEASURE_LATENCY]), 2 * (HIST_BUCKETS / 2));
	window_free(window);
}

static void a_window_that_restarts_forgets_what_was(void **state)
{
	struct source s = source_new();

	(void)state;
	for (uint64_t t = 1; t <= 25; t++) {
		source_value(&s, START + t * SECOND - 1, 1000 * t);
		source_sample(&s, START + t * SECOND, true);
	}
	window_restart(s.window, START + 25 * SECOND);
	assert_int_equal(window_bytes(s.window), 0);
	assert_int_equal(source_spread(&s, FIVE, START + 25 * SECOND).count, 0);
	source_value(&s, START + 28 * SECOND, 500);
	source_sample(&s, START + 29 * SECOND, true);
	assert_int_equal(source_sum(&s, FIVE, START + 29 * SECOND).received, 1);
	assert_int_equal(source_sum(&s, FIVE, START + 29 * SECOND).from_ns, START + 25 * SECOND);
	/* the second of the restart may have its extremes from before it */
	assert_true(source_spread(&s, FIVE, START + 29 * SECOND).max_ns >= 500);
	assert_true(source_spread(&s, FIVE, START + 29 * SECOND).max_ns <
		    (double)hist_upper(hist_bucket(500)));
	window_free(s.window);
}

static void a_step_may_hold_more_than_32_bits(void **state)
{
	struct source s = source_new();

	(void)state;
	s.hists.latency.bucket[100] = (5ull << 32) + 7;
	source_sample(&s, START + 20 * SECOND, true);
	assert_true(window_bytes(s.window) > 0);
	assert_true(source_spread(&s, FIVE, START + 20 * SECOND).count == (5ull << 32) + 7);
	window_free(s.window);
}

/* --- rates --- */

static void a_short_time_divides_by_itself(void **state)
{
	struct rates *rates = rates_of_servers();

	(void)state;
	rates_set(rates, SLOT_FIRST, RATE_MESSAGES, 50);
	assert_true(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, MINUTE) == 0); /* no time yet */
	rates_sample(rates, START + 5 * SECOND);
	assert_near(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, MINUTE), 10, 1e-9);
	assert_near(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, 15 * MINUTE), 10, 1e-9);
	assert_true(rates_get(rates, SLOT_FIRST, RATE_ERRORS, MINUTE) == 0);
	assert_true(rates_get(rates, 9, RATE_MESSAGES, MINUTE) == 0); /* no such server */
	rates_free(rates);
}

static void each_window_sees_its_own_time(void **state)
{
	struct rates *rates = rates_of_servers();
	uint64_t count = 0;

	(void)state;
	/* 10 a second for 20 minutes, then 100 a second for 2 */
	for (uint64_t t = 1; t <= 1320; t++) {
		count += t <= 1200 ? 10 : 100;
		rates_set(rates, SLOT_FIRST, RATE_MESSAGES, count);
		rates_sample(rates, START + t * SECOND);
	}
	assert_near(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, MINUTE), 100, 1e-9);
	assert_near(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, FIVE),
		    (180 * 10 + 120 * 100) / 300.0, 1e-9);
	assert_near(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, 15 * MINUTE),
		    (780 * 10 + 120 * 100) / 900.0, 1e-9);
	rates_free(rates);
}

static void samples_in_a_hurry_do_not_use_up_the_ring(void **state)
{
	struct rates *rates = rates_of_servers();

	(void)state;
	/* ten a second, as when the end is awaited, for 16 minutes */
	for (uint64_t t = 1; t <= 9600; t++) {
		rates_set(rates, SLOT_FIRST, RATE_MESSAGES, t);
		rates_sample(rates, START + t * SECOND / 10);
	}
	assert_near(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, 15 * MINUTE), 10, 1e-3);
	rates_free(rates);
}

static void a_server_that_came_later_began_with_zero(void **state)
{
	struct rates *rates = rates_of_servers();

	(void)state;
	for (uint64_t t = 1; t <= 100; t++) {
		if (t > 90)
			rates_set(rates, SLOT_FIRST, RATE_MESSAGES, (t - 90) * 6);
		rates_sample(rates, START + t * SECOND);
	}
	assert_near(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, MINUTE), 1, 1e-9);
	rates_free(rates);
}

static void a_count_that_was_corrected_is_no_negative_rate(void **state)
{
	struct rates *rates = rates_of_servers();

	(void)state;
	rates_set(rates, SLOT_FIRST, RATE_ERRORS, 5);
	rates_sample(rates, START + 1 * SECOND);
	rates_set(rates, SLOT_FIRST, RATE_ERRORS, 4);
	rates_sample(rates, START + 62 * SECOND);
	assert_true(rates_get(rates, SLOT_FIRST, RATE_ERRORS, MINUTE) == 0);
	rates_free(rates);
}

static void rates_that_restart_begin_with_zero(void **state)
{
	struct rates *rates = rates_of_servers();

	(void)state;
	for (uint64_t t = 1; t <= 100; t++) {
		rates_set(rates, SLOT_FIRST, RATE_MESSAGES, t * 1000);
		rates_sample(rates, START + t * SECOND);
	}
	rates_restart(rates, START + 100 * SECOND);
	assert_true(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, MINUTE) == 0);
	rates_set(rates, SLOT_FIRST, RATE_MESSAGES, 100 * 1000 + 30);
	rates_set(rates, SLOT_FIRST + 1, RATE_MESSAGES, 60); /* came after it */
	rates_sample(rates, START + 110 * SECOND);
	assert_near(rates_get(rates, SLOT_FIRST, RATE_MESSAGES, MINUTE), 3, 1e-9);
	assert_near(rates_get(rates, SLOT_FIRST + 1, RATE_MESSAGES, 15 * MINUTE), 6, 1e-9);
	rates_free(rates);
}

static void coarse_samples_divide_by_the_time_between_them(void **state)
{
	struct rates *rates = rates_new(&(struct rates_config){START, 10 * SECOND, 2, 104});

	(void)state;
	/* 5 a second for twenty minutes, seen every second, kept every ten */
	for (uint64_t t = 1; t <= 1203; t++) {
		rates_set(rates, 1, RATE_MESSAGES, 5 * t);
		rates_sample(rates, START + t * SECOND);
		assert_near(rates_get(rates, 1, RATE_MESSAGES, MINUTE), 5, 1e-9);
		assert_near(rates_get(rates, 1, RATE_MESSAGES, 15 * MINUTE), 5, 1e-9);
	}
	/* what happened before the window, and the step that it begins in, is not in it */
	for (uint64_t t = 1204; t <= 1274; t++)
		rates_sample(rates, START + t * SECOND);
	assert_true(rates_get(rates, 1, RATE_MESSAGES, MINUTE) == 0);
	rates_free(rates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("percentiles of random data are within 3.2 %, the rest is exact",
			 percentiles_are_within_the_bound_of_the_contract),
		SENTENCE("without extremes the buckets bound them",
			 without_extremes_the_buckets_bound_them),
		SENTENCE("extremes of other times are not believed",
			 extremes_of_other_times_are_not_believed),
		SENTENCE("what is too large keeps its maximum",
			 what_is_too_large_keeps_its_maximum),
		SENTENCE("an empty distribution has no count", an_empty_distribution_has_no_count),
		SENTENCE("units scale everything", units_scale_everything),
		SENTENCE("values below a bound are counted exactly",
			 values_below_a_bound_are_counted_exactly),
		SENTENCE("the step that is not complete counts",
			 the_step_that_is_not_complete_counts),
		SENTENCE("values leave the window in steps of ten seconds",
			 values_leave_the_window_in_steps_of_ten_seconds),
		SENTENCE("at most an hour is kept", at_most_an_hour_is_kept),
		SENTENCE("a second that was missed costs a bucket's width, no more",
			 a_second_that_was_missed_costs_a_bucket),
		SENTENCE("an idle server costs nothing", an_idle_server_costs_nothing),
		SENTENCE("memory is bounded, and five minutes are sure",
			 memory_is_bounded_and_five_minutes_are_sure),
		SENTENCE("a step may hold more than 32 bits count",
			 a_step_may_hold_more_than_32_bits),
		SENTENCE("a short time divides by itself", a_short_time_divides_by_itself),
		SENTENCE("each window sees its own time", each_window_sees_its_own_time),
		SENTENCE("samples in a hurry do not use up the ring",
			 samples_in_a_hurry_do_not_use_up_the_ring),
		SENTENCE("a server that came later began with zero",
			 a_server_that_came_later_began_with_zero),
		SENTENCE("a count that was corrected is no negative rate",
			 a_count_that_was_corrected_is_no_negative_rate),
		SENTENCE("what is not sure goes when memory is used up",
			 what_is_not_sure_goes_when_memory_is_used_up),
		SENTENCE("a window that restarts forgets what was",
			 a_window_that_restarts_forgets_what_was),
		SENTENCE("rates that restart begin with zero", rates_that_restart_begin_with_zero),
		SENTENCE("coarse samples divide by the time between them",
			 coarse_samples_divide_by_the_time_between_them),
	};

	return check_run("window", NULL, NULL, 0, 0, tests, COUNT(tests));
}

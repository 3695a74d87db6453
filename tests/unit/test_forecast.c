// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* forecast.c: on a day and a week with noise it is nearer than "same time last week". */
#include <errno.h>
#include <math.h>

#include "check.h"
#include "forecast.h"
#include "random.h"

#define DAY 24
#define WEEK 168
#define BEGIN 1764000000ll /* a whole hour: 490 000 of them */

/* Normal, by the sum of twelve uniforms. */
static double normal(uint64_t *state)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += (double)random_below(state, 1000000) / 1e6;
	return sum;
}

/* Busy at noon, less on two days of seven, whose noon is later. */
static double season(size_t hour)
{
	bool weekend = hour / DAY % 7 >= 5;
	double angle = 2 * M_PI * ((double)(hour % DAY) - (weekend ? 16 : 12)) / DAY;

	return (weekend ? 400 : 1000) + (weekend ? 150 : 600) * cos(angle);
}

static void fill(double *values, size_t nr, double noise, uint64_t seed)
{
	for (size_t i = 0; i < nr; i++)
		values[i] = season(i) + noise * normal(&seed);
}

struct errors {
	double ours, naive, within, hours;
};

static void add_errors(const double *values, size_t past, struct errors *errors)
{
	static struct forecast forecast;
	size_t missing;

	assert_int_equal(forecast_make(BEGIN, values, past, DAY, &forecast, &missing), 0);
	assert_true(forecast.weekly);
	for (size_t i = 0; i < DAY; i++) {
		const struct forecast_hour *hour = &forecast.hours[i];

		assert_int_equal(hour->time_s, BEGIN + (int64_t)(past + i) * 3600);
		assert_true(hour->low <= hour->value && hour->value <= hour->high);
		errors->ours += fabs(hour->value - values[past + i]);
		errors->naive += fabs(values[past + i - WEEK] - values[past + i]);
		errors->within += values[past + i] >= hour->low && values[past + i] <= hour->high;
		errors->hours++;
	}
}

static void it_is_nearer_than_the_same_time_last_week(void **state)
{
	static const double noises[] = {20, 80, 200};
	static double values[8 * WEEK];

	(void)state;
	for (size_t n = 0; n < COUNT(noises); n++)
		for (size_t weeks = 2; weeks <= 6; weeks += 2) {
			struct errors errors = {0};

			for (uint64_t seed = 1; seed <= 20; seed++) {
				fill(values, COUNT(values), noises[n], seed * 77);
				for (size_t day = 0; day < 7; day++)
					add_errors(values, weeks * WEEK + day * DAY, &errors);
			}
			print_message("noise %3.0f, %zu weeks: off by %.1f, last week by %.1f; "
				      "%.0f %% within the interval\n",
				      noises[n], weeks, errors.ours / errors.hours,
				      errors.naive / errors.hours,
				      100 * errors.within / errors.hours);
			assert_true(errors.ours < 0.9 * errors.naive);
			/* the interval is of four fifths */
			assert_true(errors.within / errors.hours > 0.7 &&
				    errors.within / errors.hours < 0.92);
		}
}

static void what_was_above_the_season_fades(void **state)
{
	static double values[6 * WEEK];
	static struct forecast with, without;
	uint64_t seed = 5;
	double rest = 0;
	size_t missing;

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		rest = 0.9 * rest + 20 * normal(&seed);
		values[i] = season(i) + rest;
	}
	assert_int_equal(forecast_make(BEGIN, values, COUNT(values), 48, &without, &missing), 0);
	values[COUNT(values) - 1] += 300;
	assert_int_equal(forecast_make(BEGIN, values, COUNT(values), 48, &with, &missing), 0);
	assert_true(with.hours[0].value > without.hours[0].value + 150);
	assert_true(with.hours[24].value < without.hours[24].value + 60);
	assert_true(with.hours[0].high - with.hours[0].low <
		    with.hours[47].high - with.hours[47].low);
}

static void a_short_history_says_how_much_is_missing(void **state)
{
	static double values[WEEK];
	static struct forecast forecast;
	size_t missing = 0;

	(void)state;
	fill(values, COUNT(values), 10, 3);
	assert_int_equal(forecast_make(BEGIN, values, 0, 6, &forecast, &missing), -ENODATA);
	assert_int_equal(missing, FORECAST_DAILY_MIN);
	assert_int_equal(forecast_make(BEGIN, values, 40, 6, &forecast, &missing), -ENODATA);
	assert_int_equal(missing, 8);
	values[3] = NAN;
	assert_int_equal(forecast_make(BEGIN, values, 48, 6, &forecast, &missing), -ENODATA);
	assert_int_equal(missing, 1);
	assert_int_equal(forecast_make(BEGIN, values, 49, 6, &forecast, &missing), 0);
	assert_false(forecast.weekly);
	assert_false(forecast.yesterday.known);
	assert_int_equal(forecast_make(BEGIN, values, 80, 6, &forecast, &missing), 0);
	assert_true(forecast.yesterday.known);
	assert_int_equal(forecast.yesterday.hours, 24);
}

static void holes_are_no_zeros(void **state)
{
	static double values[4 * WEEK], whole[4 * WEEK];
	static struct forecast forecast;
	size_t missing;

	(void)state;
	fill(values, COUNT(values), 5, 9);
	fill(whole, COUNT(whole), 5, 9);
	for (size_t i = 0; i < COUNT(values); i += 3) /* each third hour, another one each day */
		values[i + i / DAY % 3] = NAN;
	assert_int_equal(forecast_make(BEGIN, values, COUNT(values), DAY, &forecast, &missing), 0);
	for (size_t i = 0; i < DAY; i++)
		assert_true(fabs(forecast.hours[i].value - season(i)) < 20);
}

static void yesterday_is_told_honestly(void **state)
{
	static double values[5 * WEEK];
	static struct forecast forecast, then;
	double error = 0;
	size_t missing;

	(void)state;
	fill(values, COUNT(values), 60, 11);
	for (size_t i = COUNT(values) - DAY; i < COUNT(values); i++)
		values[i] *= 2; /* a day like no other */
	assert_int_equal(forecast_make(BEGIN, values, COUNT(values), 6, &forecast, &missing), 0);
	assert_int_equal(forecast_make(BEGIN, values, COUNT(values) - DAY, DAY, &then, &missing),
			 0);
	for (size_t i = 0; i < DAY; i++)
		error += fabs(then.hours[i].value - values[COUNT(values) - DAY + i]) / DAY;
	assert_true(fabs(forecast.yesterday.error - error) < 1e-9);
	assert_true(forecast.yesterday.share_error > 0.3);
	assert_true(forecast.yesterday.within < 0.3);
}

static void nothing_is_below_zero(void **state)
{
	static double values[3 * WEEK];
	static struct forecast forecast;
	uint64_t seed = 13;
	size_t missing;

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++)
		values[i] = random_below(&seed, 20) ? 0 : 30;
	assert_int_equal(forecast_make(BEGIN, values, COUNT(values), WEEK, &forecast, &missing), 0);
	for (size_t i = 0; i < WEEK; i++)
		assert_true(forecast.hours[i].low >= 0 && forecast.hours[i].value >= 0);
	for (size_t i = 0; i < COUNT(values); i++)
		values[i] = 7;
	assert_int_equal(forecast_make(BEGIN, values, COUNT(values), WEEK, &forecast, &missing), 0);
	for (size_t i = 0; i < WEEK; i++)
		assert_true(fabs(forecast.hours[i].value - 7) < 1e-9 &&
			    forecast.hours[i].high - forecast.hours[i].low < 1e-9);
}

static void bad_input_is_refused(void **state)
{
	static double values[WEEK];
	static struct forecast forecast;
	size_t missing;

	(void)state;
	assert_int_equal(forecast_make(BEGIN + 1, values, WEEK, 6, &forecast, &missing), -EINVAL);
	assert_int_equal(forecast_make(-3600, values, WEEK, 6, &forecast, &missing), -EINVAL);
	assert_int_equal(forecast_make(BEGIN, values, WEEK, 0, &forecast, &missing), -EINVAL);
	assert_int_equal(
		forecast_make(BEGIN, values, WEEK, FORECAST_HOURS_MAX + 1, &forecast, &missing),
		-EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("it is nearer than the same time last week",
			 it_is_nearer_than_the_same_time_last_week),
		SENTENCE("what was above the season fades", what_was_above_the_season_fades),
		SENTENCE("a short history says how much is missing",
			 a_short_history_says_how_much_is_missing),
		SENTENCE("holes are no zeros", holes_are_no_zeros),
		SENTENCE("yesterday is told honestly", yesterday_is_told_honestly),
		SENTENCE("nothing is below zero", nothing_is_below_zero),
		SENTENCE("bad input is refused", bad_input_is_refused),
	};

	return check_run("forecast", NULL, NULL, 0, 0, tests, COUNT(tests));
}

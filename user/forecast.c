// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* A season and a residual that fades: AR(1) around an average by time of day or of week. */
#include "forecast.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY 24
#define WEEK 168
#define LOW 0.1 /* of the residuals are below the interval, as many above it */
#define FADE_MAX 0.98

/* What the past says about a time of the week, and how far it was wrong. */
struct model {
	bool weekly;
	double season[WEEK]; /* by hour since the epoch modulo a week */
	double residual;     /* of the last hours */
	double fade;         /* of it, an hour */
	double low, high;    /* quantiles of the residuals of hours it did not see */
};

static size_t hour_of_week(int64_t begin_s, size_t i)
{
	return (size_t)((begin_s / FORECAST_STEP_S + (int64_t)i) % WEEK);
}

static size_t count_known(const double *values, size_t nr)
{
	size_t known = 0;

	for (size_t i = 0; i < nr; i++)
		known += !isnan(values[i]);
	return known;
}

/* Average by time of day; where none is known, of all. */
static void daily_season(int64_t begin_s, const double *values, size_t nr, double season[WEEK])
{
	double sum[DAY] = {0}, all = 0;
	size_t count[DAY] = {0}, known = 0;

	for (size_t i = 0; i < nr; i++) {
		size_t hour = hour_of_week(begin_s, i) % DAY;

		if (isnan(values[i]))
			continue;
		sum[hour] += values[i];
		all += values[i];
		count[hour]++;
		known++;
	}
	for (size_t i = 0; i < WEEK; i++)
		season[i] = count[i % DAY] ? sum[i % DAY] / (double)count[i % DAY]
					   : all / (double)known;
}

/*
 * Two-way: time of day + day of week, plus what a time of the week has of its own. Of that only the
 * part is kept that is not noise: with k weeks, the average of k values of variance v varies by v/k
 * without meaning anything (James and Stein 1961).
 */
static void weekly_season(int64_t begin_s, const double *values, size_t nr, double season[WEEK])
{
	double sum[WEEK] = {0}, square[WEEK] = {0}, day_shift[7] = {0};
	double noise = 0, own = 0, own_noise = 0, keep;
	size_t count[WEEK] = {0}, freedom = 0, slots = 0;

	daily_season(begin_s, values, nr, season);
	for (size_t i = 0; i < nr; i++) {
		size_t at = hour_of_week(begin_s, i);

		if (isnan(values[i]))
			continue;
		sum[at] += values[i];
		square[at] += values[i] * values[i];
		count[at]++;
	}
	for (size_t day = 0; day < 7; day++) {
		double shift = 0;
		size_t n = 0;

		for (size_t i = day * DAY; i < (day + 1) * DAY; i++) {
			shift += sum[i] - (double)count[i] * season[i];
			n += count[i];
		}
		day_shift[day] = n ? shift / (double)n : 0;
	}
	for (size_t i = 0; i < WEEK; i++) {
		season[i] += day_shift[i / DAY];
		if (count[i] < 2)
			continue;
		noise += square[i] - sum[i] * sum[i] / (double)count[i];
		freedom += count[i] - 1;
	}
	noise = freedom ? noise / (double)freedom : 0;
	for (size_t i = 0; i < WEEK; i++) {
		double rest;

		if (!count[i])
			continue;
		rest = sum[i] / (double)count[i] - season[i];
		own += rest * rest;
		own_noise += noise / (double)count[i];
		slots++;
	}
	if (!slots || own <= 0)
		return;
	keep = 1 - own_noise / own;
	if (keep <= 0)
		return;
	for (size_t i = 0; i < WEEK; i++)
		if (count[i])
			season[i] += keep * (sum[i] / (double)count[i] - season[i]);
}

/* How much of a residual is still there an hour later. */
static double fade_of(const double *residuals, size_t nr)
{
	double both = 0, square = 0;

	for (size_t i = 1; i < nr; i++) {
		if (isnan(residuals[i]) || isnan(residuals[i - 1]))
			continue;
		both += residuals[i] * residuals[i - 1];
		square += residuals[i - 1] * residuals[i - 1];
	}
	if (square <= 0 || both <= 0)
		return 0;
	return both / square > FADE_MAX ? FADE_MAX : both / square;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double quantile(const double *sorted, size_t nr, double share)
{
	double at = share * (double)(nr - 1);
	size_t below = (size_t)at;

	if (below + 1 >= nr)
		return sorted[nr - 1];
	return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

/* The season has seen these values, so what it does not see will be further from it. */
static double unseen(size_t nr, bool weekly)
{
	double each = (double)nr / (weekly ? WEEK : DAY);

	return each > 1.5 ? sqrt((each + 1) / (each - 1)) : 2;
}

static int fit(int64_t begin_s, const double *values, size_t nr, struct model *ret_model)
{
	double *residuals = malloc(2 * nr * sizeof(*residuals)), *known = residuals + nr, wider;
	struct model model = {.weekly = count_known(values, nr) >= FORECAST_WEEKLY_MIN};
	size_t nr_known = 0;

	if (!residuals)
		return -ENOMEM;
	if (model.weekly)
		weekly_season(begin_s, values, nr, model.season);
	else
		daily_season(begin_s, values, nr, model.season);
	for (size_t i = 0; i < nr; i++) {
		residuals[i] = values[i] - model.season[hour_of_week(begin_s, i)];
		if (!isnan(residuals[i]))
			known[nr_known++] = residuals[i];
	}
	model.fade = fade_of(residuals, nr);
	model.residual = isnan(residuals[nr - 1]) ? 0 : residuals[nr - 1];
	qsort(known, nr_known, sizeof(*known), by_value);
	wider = unseen(nr_known, model.weekly);
	model.low = quantile(known, nr_known, LOW) * wider;
	model.high = quantile(known, nr_known, 1 - LOW) * wider;
	free(residuals);
	*ret_model = model;
	return 0;
}

static struct forecast_hour hour_of(const struct model *model, int64_t begin_s, size_t nr,
				    size_t ahead)
{
	double left = pow(model->fade, (double)ahead + 1);
	double value = model->season[hour_of_week(begin_s, nr + ahead)] + left * model->residual;
	/* the fading residual explains that much of the spread: AR(1) */
	double width = sqrt(1 - left * left);
	struct forecast_hour hour = {
		.time_s = begin_s + (int64_t)(nr + ahead) * FORECAST_STEP_S,
		.value = value,
		.low = value + model->low * width,
		.high = value + model->high * width,
	};

	/* counts and rates are never below 0 */
	hour.value = hour.value < 0 ? 0 : hour.value;
	hour.low = hour.low < 0 ? 0 : hour.low;
	hour.high = hour.high < 0 ? 0 : hour.high;
	return hour;
}

/* What would have been said a day ago, against what came. */
static int look_back(int64_t begin_s, const double *values, size_t nr,
		     struct forecast_accuracy *ret_accuracy)
{
	struct forecast_accuracy accuracy = {0};
	size_t past = nr - DAY, naive = 0;
	double came = 0;
	struct model model;
	int err;

	*ret_accuracy = accuracy;
	if (nr < DAY || count_known(values, past) < FORECAST_DAILY_MIN)
		return 0;
	err = fit(begin_s, values, past, &model);
	if (err)
		return err;
	for (size_t i = 0; i < DAY; i++) {
		struct forecast_hour hour = hour_of(&model, begin_s, past, i);
		double value = values[past + i];
		size_t back = model.weekly ? WEEK : DAY;

		if (isnan(value))
			continue;
		accuracy.error += fabs(value - hour.value);
		accuracy.within += value >= hour.low && value <= hour.high;
		accuracy.hours++;
		came += value;
		if (past + i >= back && !isnan(values[past + i - back])) {
			accuracy.naive_error += fabs(value - values[past + i - back]);
			naive++;
		}
	}
	if (!accuracy.hours)
		return 0;
	accuracy.known = true;
	accuracy.error /= (double)accuracy.hours;
	accuracy.within /= (double)accuracy.hours;
	accuracy.naive_error = naive ? accuracy.naive_error / (double)naive : NAN;
	came /= (double)accuracy.hours;
	accuracy.share_error = came > 0 ? accuracy.error / came : 0;
	*ret_accuracy = accuracy;
	return 0;
}

int forecast_make(int64_t begin_s, const double *values, size_t nr, size_t hours,
		  struct forecast *ret_forecast, size_t *ret_missing)
{
	struct model model;
	size_t known;
	int err;

	if (begin_s < 0 || begin_s % FORECAST_STEP_S || !hours || hours > FORECAST_HOURS_MAX)
		return -EINVAL;
	if (nr > FORECAST_PAST_MAX) {
		begin_s += (int64_t)(nr - FORECAST_PAST_MAX) * FORECAST_STEP_S;
		values += nr - FORECAST_PAST_MAX;
		nr = FORECAST_PAST_MAX;
	}
	known = count_known(values, nr);
	if (known < FORECAST_DAILY_MIN) {
		*ret_missing = FORECAST_DAILY_MIN - known;
		return -ENODATA;
	}
	err = fit(begin_s, values, nr, &model);
	if (err)
		return err;
	err = look_back(begin_s, values, nr, &ret_forecast->yesterday);
	if (err)
		return err;
	ret_forecast->weekly = model.weekly;
	ret_forecast->nr_hours = hours;
	for (size_t i = 0; i < hours; i++)
		ret_forecast->hours[i] = hour_of(&model, begin_s, nr, i);
	return 0;
}

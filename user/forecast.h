/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the next hours will bring. In: hourly values of the past, with holes. Out: a value an hour
 * with the interval in which four of five values fall, and how good yesterday's forecast would have
 * been. Pure.
 *
 * A value is a season (time of day; from two weeks on time of week) plus what the last hours were
 * above or below it, which fades. With two weeks and more the shape of the week is drawn towards the
 * shape of the day as far as the noise explains their difference: an average over all days is less
 * noisy than "same time last week".
 */
#ifndef WSVITALS_FORECAST_H
#define WSVITALS_FORECAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORECAST_STEP_S 3600
#define FORECAST_HOURS_MAX 168
#define FORECAST_PAST_MAX (8 * 168)   /* hours that are looked at: the last eight weeks */
#define FORECAST_DAILY_MIN (2 * 24)   /* hours that must be there, for the daily season */
#define FORECAST_WEEKLY_MIN (14 * 24) /* and for the weekly one */

struct forecast_hour {
	int64_t time_s;
	double value, low, high; /* the middle four fifths */
};

struct forecast_accuracy {
	bool known;         /* the history was long enough a day ago */
	double error;       /* average distance from what came, in the unit of the values */
	double naive_error; /* the same of "same time last week" (or yesterday) */
	double share_error; /* error / average of what came; 0 if that is 0 */
	double within;      /* share of the hours whose value fell into the interval */
	size_t hours;
};

struct forecast {
	bool weekly; /* false: only times of day are known */
	size_t nr_hours;
	struct forecast_hour hours[FORECAST_HOURS_MAX];
	struct forecast_accuracy yesterday;
};

/*
 * values[i] is of the hour that begins at begin_s + i * 3600, NAN where nothing was counted; begin_s
 * is a whole hour. Forecasts the hours behind them. 0; -EINVAL; -ENODATA: *ret_missing hours more
 * are needed.
 */
int forecast_make(int64_t begin_s, const double *values, size_t nr, size_t hours,
		  struct forecast *ret_forecast, size_t *ret_missing);

#endif

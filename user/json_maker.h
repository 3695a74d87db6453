/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* How values become JSON, for the two files that know jansson: json.c and json_history.c. */
#ifndef WSVITALS_JSON_MAKER_H
#define WSVITALS_JSON_MAKER_H

#include <jansson.h>
#include <math.h>
#include <time.h>

#include "spread.h"

/*
 * jansson's *_set_new accept a NULL value and say so by their result; one flag instead of a hundred
 * checks. What could not be made makes the whole answer NULL.
 */
struct maker {
	bool failed;
};

static inline void put(struct maker *m, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value))
		m->failed = true;
}

static inline void put_count(struct maker *m, json_t *object, const char *key, uint64_t count)
{
	put(m, object, key, json_integer((json_int_t)count));
}

/* null what has no source. */
static inline void put_count_if(struct maker *m, json_t *object, const char *key, bool known,
				uint64_t count)
{
	put(m, object, key, known ? json_integer((json_int_t)count) : json_null());
}

static inline void put_text(struct maker *m, json_t *object, const char *key, const char *text)
{
	put(m, object, key, text && *text ? json_string(text) : json_null());
}

static inline json_t *put_object(struct maker *m, json_t *parent, const char *key)
{
	json_t *object = json_object();

	put(m, parent, key, object);
	return object;
}

/* null what is not known: JSON has no NaN, and jansson makes none. */
static inline json_t *real(double value, double steps)
{
	double rounded = round(value * steps) / steps;

	return isfinite(rounded) ? json_real(rounded) : json_null();
}

/* Six digits after the point keep every nanosecond of a millisecond. */
static inline json_t *milliseconds(double ns)
{
	return real(ns / 1e6, 1e6);
}

static inline json_t *seconds(double ns)
{
	return real(ns / 1e9, 1e3);
}

static inline json_t *per_time(double rate)
{
	return real(rate, 1e4);
}

static inline void put_time(struct maker *m, json_t *object, const char *key, uint64_t wall_ns)
{
	time_t at = (time_t)(wall_ns / 1000000000);
	char text[32];
	struct tm tm;

	if (!gmtime_r(&at, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm)) {
		put(m, object, key, json_null());
		return;
	}
	put_text(m, object, key, text);
}

/* p50, p95, p99, avg, min, max, count in milliseconds; null what cannot be taken. */
static inline json_t *put_latency(struct maker *m, json_t *parent, const char *key,
				  const struct spread *spread)
{
	const struct {
		const char *key;
		double ns;
	} rows[] = {
		{"p50", spread->p50_ns}, {"p95", spread->p95_ns}, {"p99", spread->p99_ns},
		{"avg", spread->avg_ns}, {"min", spread->min_ns}, {"max", spread->max_ns},
	};
	json_t *object;

	if (!spread->available) {
		put(m, parent, key, json_null());
		return NULL;
	}
	object = put_object(m, parent, key);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put(m, object, rows[i].key, spread->count ? milliseconds(rows[i].ns) : json_null());
	put_count(m, object, "count", spread->count);
	return object;
}

/* avg, median, min, max, count in seconds; null what cannot be taken. */
static inline void put_duration(struct maker *m, json_t *parent, const char *key,
				const struct spread *spread)
{
	bool median = spread->count && !spread->no_percentiles;
	json_t *object;

	if (!spread->available) {
		put(m, parent, key, json_null());
		return;
	}
	object = put_object(m, parent, key);
	put(m, object, "avg", spread->count ? seconds(spread->avg_ns) : json_null());
	put(m, object, "median", median ? seconds(spread->p50_ns) : json_null());
	put(m, object, "min", spread->count ? seconds(spread->min_ns) : json_null());
	put(m, object, "max", spread->count ? seconds(spread->max_ns) : json_null());
	put_count(m, object, "count", spread->count);
}

static inline const char *initiator_key(enum initiator initiator)
{
	return initiator == BY_SERVER ? "server" : "client";
}

#endif

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * checksum (2 bytes, big endian), then numbers as varint.h writes them:
 *   number of fields that are not 0, then of each: distance to the previous number, value
 *   set of histograms that are not empty, one bit each, then of each:
 *     sum; first bucket; buckets in use; of each count * 2 + (gap ? 1 : 0), gap - 1 if there is one
 *     min - lower bound of the first bucket + 1, or 0 = not known; the same of max and the last one
 */
#include "point.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "spread.h"
#include "varint.h"

#define CHECKSUM_BYTES 2

static const struct field {
	uint8_t number;
	uint16_t offset;
} fields[] = {
#define X(number, member) {number, offsetof(struct point_counts, member)},
	POINT_FIELDS(X)
#undef X
};
#define NR_FIELDS (sizeof(fields) / sizeof(fields[0]))

/* A new counter or error type needs a number, or history would forget it. */
_Static_assert(NR_FIELDS == 3 + NR_ERROR_TYPES + sizeof(struct server_counters_fields) / 8,
	       "POINT_FIELDS");
_Static_assert(CHECKSUM_BYTES + 2 + NR_FIELDS * (1 + VARINT_MAX) +
			       NR_POINT_HISTS *
				       (4 * VARINT_MAX + HIST_BUCKETS * (VARINT_MAX + 1)) <=
		       POINT_BLOB_MAX,
	       "POINT_BLOB_MAX");

/* Where the values go; a histogram of NULL is only looked at. */
struct sink {
	struct point_counts *counts;
	struct point_gauge *gauge;
	struct hist *hist[NR_POINT_HISTS];
	uint64_t *min[NR_POINT_HISTS], *max[NR_POINT_HISTS];
};

/* What a blob says: read once, and added when all of it is known to be good. */
struct content {
	uint64_t fields[NR_FIELDS]; /* by place in the table */
	unsigned set;               /* of histograms, one bit each */
	struct content_hist {
		uint64_t values, min, max;
		size_t end; /* of its cells; they begin where those before it end */
	} hist[NR_POINT_HISTS];
	struct cell {
		uint64_t count;
		uint32_t bucket;
	} cells[NR_POINT_HISTS * HIST_BUCKETS];
};

static uint64_t *member(struct point_counts *counts, const struct field *field)
{
	return (uint64_t *)((char *)counts + field->offset);
}

static uint64_t value_of(const struct point *point, const struct field *field)
{
	return *(const uint64_t *)((const char *)&point->counts + field->offset);
}

static bool is_gauge(const struct field *field)
{
	return field->offset == offsetof(struct point_counts, active) ||
	       field->offset == offsetof(struct point_counts, peak);
}

/* FNV-1a, folded: cheap, and any flipped byte changes it but for one in 65 536. */
uint16_t point_checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return (uint16_t)(hash >> 16 ^ hash);
}

void point_reset(struct point *ret_point)
{
	memset(ret_point, 0, sizeof(*ret_point));
	for (size_t i = 0; i < NR_POINT_HISTS; i++)
		ret_point->min[i] = UINT64_MAX;
}

static bool hist_is_empty(const struct hist *hist)
{
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		if (hist->bucket[i])
			return false;
	return true;
}

int point_is_empty(const struct point *point)
{
	for (size_t i = 0; i < NR_FIELDS; i++)
		if (value_of(point, &fields[i]))
			return false;
	for (size_t i = 0; i < NR_POINT_HISTS; i++)
		if (!hist_is_empty(&point->hist[i]))
			return false;
	return true;
}

static void widen(uint64_t *sum_min, uint64_t *sum_max, uint64_t min, uint64_t max)
{
	if (min < *sum_min)
		*sum_min = min;
	if (max > *sum_max)
		*sum_max = max;
}

void point_add_hist(struct point *sum, enum point_hist which, const struct hist *after,
		    const struct hist *before, uint64_t min, uint64_t max)
{
	static const struct hist zero;

	hist_add_difference(&sum->hist[which], after, before ? before : &zero);
	widen(&sum->min[which], &sum->max[which], min, max);
}

void point_add(struct point *sum, const struct point *part)
{
	for (size_t i = 0; i < NR_FIELDS; i++)
		if (!is_gauge(&fields[i]))
			*member(&sum->counts, &fields[i]) += value_of(part, &fields[i]);
	for (size_t i = 0; i < NR_POINT_HISTS; i++)
		point_add_hist(sum, i, &part->hist[i], NULL, part->min[i], part->max[i]);
}

static uint64_t bucket_last(uint32_t bucket)
{
	return bucket == HIST_BUCKETS - 1 ? UINT64_MAX : hist_upper(bucket) - 1;
}

/* An extreme outside its bucket is not believed by spread_of either: it is written as not known. */
static uint8_t *put_extreme(uint8_t *at, uint32_t bucket, uint64_t value)
{
	uint64_t lower = hist_lower(bucket);
	/* UINT64_MAX is how a minimum is not known */
	bool known = value >= lower && value <= bucket_last(bucket) && value != UINT64_MAX;

	return varint_put(at, known ? value - lower + 1 : 0);
}

static uint8_t *put_hist(uint8_t *at, const struct hist *hist, uint64_t min, uint64_t max)
{
	uint32_t first = HIST_BUCKETS, last = 0, used = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		if (!hist->bucket[i])
			continue;
		if (!used++)
			first = i;
		last = i;
	}
	at = varint_put(at, hist->sum);
	at = varint_put(at, first);
	at = varint_put(at, used);
	for (uint32_t i = first, next = first; i <= last; i++) {
		uint64_t count = hist->bucket[i];

		if (!count)
			continue;
		if (count > UINT64_MAX >> 1) /* more than can be: the bit is needed for the gap */
			count = UINT64_MAX >> 1;
		at = varint_put(at, count << 1 | (i > next));
		if (i > next)
			at = varint_put(at, i - next - 1);
		next = i + 1;
	}
	at = put_extreme(at, first, min);
	return put_extreme(at, last, max);
}

size_t point_encode(const struct point *point, uint8_t ret_blob[POINT_BLOB_MAX])
{
	uint8_t *at = ret_blob + CHECKSUM_BYTES;
	unsigned used = 0, previous = 0, set = 0;
	uint16_t checksum;

	for (size_t i = 0; i < NR_FIELDS; i++)
		used += value_of(point, &fields[i]) != 0;
	at = varint_put(at, used);
	for (size_t i = 0; i < NR_FIELDS; i++) {
		uint64_t value = value_of(point, &fields[i]);

		if (!value)
			continue;
		at = varint_put(at, fields[i].number - previous);
		at = varint_put(at, value);
		previous = fields[i].number;
	}
	for (unsigned i = 0; i < NR_POINT_HISTS; i++)
		if (!hist_is_empty(&point->hist[i]))
			set |= 1u << i;
	at = varint_put(at, set);
	for (unsigned i = 0; i < NR_POINT_HISTS; i++)
		if (set & 1u << i)
			at = put_hist(at, &point->hist[i], point->min[i], point->max[i]);
	checksum = point_checksum(ret_blob + CHECKSUM_BYTES,
				  (size_t)(at - ret_blob) - CHECKSUM_BYTES);
	ret_blob[0] = (uint8_t)(checksum >> 8);
	ret_blob[1] = (uint8_t)checksum;
	return (size_t)(at - ret_blob);
}

/* The extreme that was written for this bucket; unknown where none was. False: out of bounds. */
static bool get_extreme(struct varint_reader *in, uint32_t bucket, uint64_t unknown,
			uint64_t *ret_value)
{
	uint64_t offset;

	if (bucket >= HIST_BUCKETS || !varint_get(in, &offset) ||
	    offset > bucket_last(bucket) - hist_lower(bucket) + 1)
		return false;
	*ret_value = offset ? hist_lower(bucket) + offset - 1 : unknown;
	/* what would have been written otherwise */
	return offset ? *ret_value != UINT64_MAX : bucket > 0 || unknown;
}

static bool read_hist(struct varint_reader *in, struct content_hist *hist, struct cell *cell)
{
	uint64_t first, used, token, gap;
	uint32_t bucket;

	if (!varint_get(in, &hist->values) || !varint_get(in, &first) || !varint_get(in, &used) ||
	    !used || used > HIST_BUCKETS || first >= HIST_BUCKETS)
		return false;
	bucket = (uint32_t)first;
	for (uint64_t i = 0; i < used; i++) {
		if (!varint_get(in, &token) || token < 2)
			return false;
		bucket += i > 0;
		if (token & 1) {
			/* the first bucket is where it is said to be */
			if (i == 0 || !varint_get(in, &gap) || gap >= HIST_BUCKETS)
				return false;
			bucket += (uint32_t)gap + 1;
		}
		if (bucket >= HIST_BUCKETS)
			return false;
		cell[i] = (struct cell){token >> 1, bucket};
	}
	hist->end += used;
	return get_extreme(in, (uint32_t)first, UINT64_MAX, &hist->min) &&
	       get_extreme(in, bucket, 0, &hist->max);
}

static bool read_fields(struct varint_reader *in, uint64_t ret_fields[NR_FIELDS])
{
	uint64_t used, number = 0;
	size_t at = 0;

	if (!varint_get(in, &used) || used > NR_FIELDS)
		return false;
	memset(ret_fields, 0, NR_FIELDS * sizeof(*ret_fields));
	while (used--) {
		uint64_t distance, value;

		if (!varint_get(in, &distance) || !distance || distance > UINT8_MAX ||
		    !varint_get(in, &value) || !value)
			return false;
		number += distance;
		while (at < NR_FIELDS && fields[at].number < number)
			at++;
		if (at == NR_FIELDS || fields[at].number != number)
			return false;
		ret_fields[at] = value;
	}
	return true;
}

static bool read_content(struct varint_reader in, struct content *ret_content)
{
	uint64_t set;
	size_t at = 0;

	if (!read_fields(&in, ret_content->fields) || !varint_get(&in, &set) ||
	    set >> NR_POINT_HISTS)
		return false;
	ret_content->set = (unsigned)set;
	for (unsigned i = 0; i < NR_POINT_HISTS; i++) {
		struct content_hist *hist = &ret_content->hist[i];

		hist->end = at;
		if (set & 1u << i && !read_hist(&in, hist, &ret_content->cells[at]))
			return false;
		at = hist->end;
	}
	return in.at == in.end;
}

static void add_fields(const struct sink *sink, const uint64_t values[NR_FIELDS])
{
	for (size_t i = 0; i < NR_FIELDS; i++) {
		if (fields[i].offset == offsetof(struct point_counts, active))
			sink->gauge->active += values[i];
		else if (fields[i].offset == offsetof(struct point_counts, peak))
			sink->gauge->peak += values[i];
		else
			*member(sink->counts, &fields[i]) += values[i];
	}
}

static void add_content(const struct sink *sink, const struct content *content)
{
	const struct cell *cell = content->cells;

	add_fields(sink, content->fields);
	for (unsigned i = 0; i < NR_POINT_HISTS; i++) {
		const struct content_hist *hist = &content->hist[i];
		const struct cell *end = &content->cells[hist->end];

		if (!(content->set & 1u << i) || !sink->hist[i]) {
			cell = end;
			continue;
		}
		for (; cell < end; cell++)
			sink->hist[i]->bucket[cell->bucket] += cell->count;
		sink->hist[i]->sum += hist->values;
		widen(sink->min[i], sink->max[i], hist->min, hist->max);
	}
}

static int add_blob(const struct sink *sink, const void *blob, size_t len)
{
	const uint8_t *bytes = blob;
	struct varint_reader in;
	struct content content;

	if (len < CHECKSUM_BYTES || len > POINT_BLOB_MAX)
		return -EBADMSG;
	in = (struct varint_reader){.at = bytes + CHECKSUM_BYTES, .end = bytes + len};
	if (point_checksum(in.at, len - CHECKSUM_BYTES) != (bytes[0] << 8 | bytes[1]) ||
	    !read_content(in, &content))
		return -EBADMSG;
	add_content(sink, &content);
	return 0;
}

int point_add_blob(struct point *sum, struct point_gauge *gauge, const void *blob, size_t len)
{
	struct sink sink = {.counts = &sum->counts, .gauge = gauge};

	for (size_t i = 0; i < NR_POINT_HISTS; i++) {
		sink.hist[i] = &sum->hist[i];
		sink.min[i] = &sum->min[i];
		sink.max[i] = &sum->max[i];
	}
	return add_blob(&sink, blob, len);
}

int point_add_blob_brief(struct point_brief *sum, struct point_gauge *gauge, const void *blob,
			 size_t len)
{
	struct sink sink = {
		.counts = &sum->counts,
		.gauge = gauge,
		.hist[POINT_LATENCY] = &sum->latency,
		.min[POINT_LATENCY] = &sum->min,
		.max[POINT_LATENCY] = &sum->max,
	};

	return add_blob(&sink, blob, len);
}

static const struct {
	const char *key;
	uint64_t unit_ns;
} hists[] = {
#define X(NAME, key, unit_ns) {key, unit_ns},
	POINT_HISTS(X)
#undef X
};

const char *point_hist_key(enum point_hist which)
{
	return hists[which].key;
}

uint64_t point_hist_unit(enum point_hist which)
{
	return hists[which].unit_ns;
}

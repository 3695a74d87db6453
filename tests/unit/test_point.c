// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* point.c and roster.c: what is written is read back, adds up, and nothing else is accepted. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "guard.h"
#include "point.h"
#include "random.h"
#include "roster.h"
#include "spread.h"
#include "varint.h"
#include "value.h"

static uint64_t seed = 11;

/* Numbers of all sizes. */
static uint64_t any(void)
{
	return random_next(&seed) >> random_below(&seed, 64);
}

static void random_point(struct point *point, bool full)
{
	uint64_t *counts = (uint64_t *)&point->counts;

	point_reset(point);
	for (size_t i = 0; i < sizeof(point->counts) / 8; i++)
		counts[i] = full || random_below(&seed, 3) ? any() : 0;
	for (size_t i = 0; i < NR_POINT_HISTS; i++)
		for (uint64_t n = random_below(&seed, full ? 2000 : 40); n; n--)
			value_add(point, i, random_next(&seed) >> (20 + random_below(&seed, 44)));
}

static void assert_same(const struct point *a, const struct point *b)
{
	assert_memory_equal(&a->counts, &b->counts, sizeof(a->counts));
	for (size_t i = 0; i < NR_POINT_HISTS; i++) {
		struct spread x = spread_of(&a->hist[i], a->min[i], a->max[i], 1);
		struct spread y = spread_of(&b->hist[i], b->min[i], b->max[i], 1);

		assert_memory_equal(&a->hist[i], &b->hist[i], sizeof(a->hist[i]));
		assert_int_equal(x.count, y.count);
		if (!x.count)
			continue;
		assert_true(x.min_ns == y.min_ns && x.max_ns == y.max_ns && x.p95_ns == y.p95_ns);
	}
}

static void decode(const uint8_t *blob, size_t len, struct point *ret_point)
{
	struct point_gauge gauge = {0};

	point_reset(ret_point);
	assert_int_equal(point_add_blob(ret_point, &gauge, blob, len), 0);
	ret_point->counts.active = gauge.active;
	ret_point->counts.peak = gauge.peak;
}

static void what_is_written_is_read_back(void **state)
{
	struct guard guard = guard_new(POINT_BLOB_MAX);
	static struct point before, after;
	static uint8_t blob[POINT_BLOB_MAX];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		size_t len;

		random_point(&before, i % 10 == 0);
		len = point_encode(&before, blob);
		decode(guard_copy(&guard, blob, len), len, &after);
		assert_same(&before, &after);
	}
	guard_free(&guard);
}

static void the_fullest_point_fits(void **state)
{
	static struct point before, after;
	static uint8_t blob[POINT_BLOB_MAX];
	uint64_t *counts = (uint64_t *)&before.counts;

	(void)state;
	point_reset(&before);
	for (size_t i = 0; i < sizeof(before.counts) / 8; i++)
		counts[i] = UINT64_MAX;
	for (size_t i = 0; i < NR_POINT_HISTS; i++) {
		before.hist[i].sum = UINT64_MAX;
		for (size_t k = 0; k < HIST_BUCKETS; k++)
			before.hist[i].bucket[k] = UINT64_MAX >> 1;
		before.min[i] = 0;
		before.max[i] = UINT64_MAX - 1;
	}
	decode(blob, point_encode(&before, blob), &after);
	assert_same(&before, &after);
}

static void an_empty_point_is_empty(void **state)
{
	static struct point point;

	(void)state;
	point_reset(&point);
	assert_true(point_is_empty(&point));
	point.counts.by_type[ERROR_WEBSOCKET] = 1;
	assert_false(point_is_empty(&point));
	point_reset(&point);
	value_add(&point, POINT_PING_RTT, 0);
	assert_false(point_is_empty(&point));
}

static void blobs_add_up_to_what_their_points_do(void **state)
{
	static struct point part, sum, from_blobs;
	static uint8_t blob[POINT_BLOB_MAX];

	(void)state;
	point_reset(&sum);
	point_reset(&from_blobs);
	for (int i = 0; i < 200; i++) {
		struct point_gauge gauge = {0};

		random_point(&part, false);
		point_add(&sum, &part);
		assert_int_equal(
			point_add_blob(&from_blobs, &gauge, blob, point_encode(&part, blob)), 0);
		assert_int_equal(gauge.active, part.counts.active);
		assert_int_equal(gauge.peak, part.counts.peak);
	}
	assert_same(&sum, &from_blobs);
}

static void the_brief_sum_is_the_sum(void **state)
{
	static struct point part, sum;
	static struct point_brief brief = {.min = UINT64_MAX};
	static uint8_t blob[POINT_BLOB_MAX];
	struct point_gauge gauge = {0};

	(void)state;
	point_reset(&sum);
	for (int i = 0; i < 100; i++) {
		random_point(&part, false);
		point_add(&sum, &part);
		assert_int_equal(
			point_add_blob_brief(&brief, &gauge, blob, point_encode(&part, blob)), 0);
	}
	assert_memory_equal(&brief.counts, &sum.counts, sizeof(sum.counts));
	assert_memory_equal(&brief.latency, &sum.hist[POINT_LATENCY], sizeof(brief.latency));
	assert_int_equal(brief.min, sum.min[POINT_LATENCY]);
}

static void a_flipped_byte_is_refused_and_adds_nothing(void **state)
{
	static struct point point, sum, before;
	static uint8_t blob[POINT_BLOB_MAX];
	struct point_gauge gauge = {1, 2};
	unsigned accepted = 0, tried = 0;

	(void)state;
	random_point(&before, false);
	sum = before;
	for (int i = 0; i < 50; i++) {
		size_t len;

		random_point(&point, false);
		len = point_encode(&point, blob);
		for (size_t at = 0; at < len; at++) {
			uint8_t flip = (uint8_t)(1 + random_below(&seed, 255));

			blob[at] ^= flip;
			tried++;
			if (!point_add_blob(&sum, &gauge, blob, len)) {
				accepted++;
				sum = before;
			} else {
				assert_memory_equal(&sum, &before, sizeof(sum));
			}
			blob[at] ^= flip;
		}
	}
	/* one byte within four changes the whole hash: none may pass but by a fold of 1 : 65 536 */
	assert_in_range(accepted, 0, 1 + tried / 10000);
}

static void every_cut_is_refused(void **state)
{
	struct guard guard = guard_new(POINT_BLOB_MAX);
	static struct point point, sum;
	static uint8_t blob[POINT_BLOB_MAX];
	struct point_gauge gauge = {0};
	size_t len;

	(void)state;
	random_point(&point, false);
	len = point_encode(&point, blob);
	point_reset(&sum);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = guard_copy(&guard, blob, cut);

		if (cut >= 2) { /* with the checksum of what is left: the structure must tell */
			uint16_t checksum = point_checksum(copy + 2, cut - 2);

			copy[0] = (uint8_t)(checksum >> 8);
			copy[1] = (uint8_t)checksum;
		}
		assert_int_equal(point_add_blob(&sum, &gauge, copy, cut), -EBADMSG);
	}
	guard_free(&guard);
}

static void error_types_keep_their_numbers(void **state)
{
	/* On disk: a change here makes history lie about what was written before. */
	static const char *const keys[] = {
		"none",
		"authentication_error",
		"rate_limit_error",
		"handshake_error",
		"protocol_error",
		"message_too_big",
		"policy_violation",
		"internal_error",
		"service_restart",
		"abnormal_closure",
		"application_error",
		"websocket_error",
	};

	(void)state;
	assert_int_equal(COUNT(keys), NR_ERROR_TYPES);
	for (enum error_type type = 0; type < NR_ERROR_TYPES; type++)
		assert_string_equal(error_key(type), keys[type]);
}

static void blobs_written_by_version_1_are_read(void **state)
{
	/* received 3, sent 5, errors 1, latency of 1000 and 2000000 ns */
	static const uint8_t blob[] = {0xd8, 0x7e, 0x03, 0x03, 0x01, 0x03, 0x03, 0x01,
				       0x05, 0x01, 0xe8, 0x90, 0x7a, 0x6f, 0x02, 0x02,
				       0x03, 0xad, 0x01, 0x09, 0x81, 0x89, 0x02};
	static struct point point, want;
	static uint8_t written[POINT_BLOB_MAX];
	size_t len;

	(void)state;
	point_reset(&want);
	want.counts.n.received = 3;
	want.counts.n.sent = 5;
	want.counts.errors = 1;
	value_add(&want, POINT_LATENCY, 1000);
	value_add(&want, POINT_LATENCY, 2000000);
	len = point_encode(&want, written);
	assert_int_equal(len, sizeof(blob));
	assert_memory_equal(written, blob, len);
	decode(blob, sizeof(blob), &point);
	assert_same(&point, &want);
}

static void a_longer_varint_is_refused(void **state)
{
	static const struct {
		uint8_t bytes[11];
		size_t len;
	} bad[] = {
		{{0x80, 0x00}, 2},
		{{0xff, 0x80, 0x00}, 3},
		{{0x80}, 1},
		{{0}, 0},
		{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10},
		{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 11},
	};
	uint64_t value = 77;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct varint_reader in = {bad[i].bytes, bad[i].bytes + bad[i].len};

		assert_false(varint_get(&in, &value));
		assert_int_equal(value, 77);
	}
	for (int i = 0; i < 10000; i++) {
		uint8_t bytes[VARINT_MAX];
		uint64_t want = i ? any() : UINT64_MAX;
		struct varint_reader in = {bytes, varint_put(bytes, want)};

		assert_true(varint_get(&in, &value));
		assert_int_equal(value, want);
		assert_ptr_equal(in.at, in.end);
	}
}

static void rosters_are_read_back(void **state)
{
	struct guard guard = guard_new(ROSTER_BLOB_MAX);
	struct roster_entry before[ROSTER_MAX], after[ROSTER_MAX];
	static uint8_t blob[ROSTER_BLOB_MAX];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		size_t nr = random_below(&seed, ROSTER_MAX + 1), len, got;

		for (size_t k = 0; k < nr; k++) {
			uint64_t *numbers = (uint64_t *)&before[k].n;

			before[k].label = 1 + k * 1000 + random_below(&seed, 1000);
			for (size_t n = 0; n < ROSTER_NR; n++)
				numbers[n] = any();
		}
		len = roster_encode(before, nr, blob);
		assert_int_equal(roster_decode(guard_copy(&guard, blob, len), len, after, &got), 0);
		assert_int_equal(got, nr);
		assert_memory_equal(before, after, nr * sizeof(before[0]));
		blob[random_below(&seed, len)] ^= 0x10;
		assert_int_equal(roster_decode(blob, len, after, &got), -EBADMSG);
	}
	guard_free(&guard);
}

static void beyond_the_top_users_are_other(void **state)
{
	struct roster_entry entries[300] = {0};
	uint64_t messages = 0, left = 0;
	size_t nr;

	(void)state;
	for (size_t i = 0; i < COUNT(entries); i++) {
		entries[i].label = 1 + (i * 7) % COUNT(entries);
		entries[i].n.received = 10 * entries[i].label;
		entries[i].n.active = 1;
		messages += entries[i].n.received;
	}
	nr = roster_cut(entries, COUNT(entries), 5);
	assert_int_equal(nr, ROSTER_MAX);
	for (size_t i = 0; i < nr; i++) {
		left += entries[i].n.received;
		if (entries[i].label != 5) /* 5 is "other", however small it was */
			assert_true(entries[i].label > 200);
		else
			assert_int_equal(entries[i].n.active, 200);
	}
	assert_int_equal(left, messages);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("what is written is read back", what_is_written_is_read_back),
		SENTENCE("the fullest point fits", the_fullest_point_fits),
		SENTENCE("an empty point is empty", an_empty_point_is_empty),
		SENTENCE("blobs add up to what their points do",
			 blobs_add_up_to_what_their_points_do),
		SENTENCE("the brief sum is the sum", the_brief_sum_is_the_sum),
		SENTENCE("a flipped byte is refused and adds nothing",
			 a_flipped_byte_is_refused_and_adds_nothing),
		SENTENCE("every cut is refused", every_cut_is_refused),
		SENTENCE("error types keep their numbers", error_types_keep_their_numbers),
		SENTENCE("blobs written by version 1 are read",
			 blobs_written_by_version_1_are_read),
		SENTENCE("a longer varint is refused", a_longer_varint_is_refused),
		SENTENCE("rosters are read back", rosters_are_read_back),
		SENTENCE("beyond the top, users are other", beyond_the_top_users_are_other),
	};

	return check_run("point", NULL, NULL, 0, 0, tests, COUNT(tests));
}

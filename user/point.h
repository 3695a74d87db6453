/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What one series did within one interval, as a few dozen bytes. In: counts, gauges and histograms.
 * Out: a blob for the store; and back, added to a sum, so that intervals of any length are made of
 * shorter ones and a percentile over any span comes from buckets, never from percentiles. Pure.
 *
 * The blob may come from a damaged file: every length, order and bound is checked, a checksum says
 * that a byte was flipped, and one value has exactly one encoding.
 */
#ifndef WSVITALS_POINT_H
#define WSVITALS_POINT_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "event.h"

/* On disk by position: add at the end only. X(NAME, key, unit_ns) */
#define POINT_HISTS(X)                                                                             \
	X(LATENCY, "latency", 1)                                                                   \
	X(QUEUE_WAIT, "queue_wait", 1)                                                             \
	X(DURATION, "duration", 1000000)                                                           \
	X(HANDSHAKE, "handshake", 1)                                                               \
	X(PING_RTT, "ping_rtt", 1)
#define X(NAME, key, unit_ns) POINT_##NAME,
enum point_hist { POINT_HISTS(X) NR_POINT_HISTS };
#undef X

struct point_counts {
	uint64_t active;                  /* connections open at the interval's end */
	uint64_t peak;                    /* the most of them within it */
	uint64_t errors;                  /* without the quiet ones */
	uint64_t by_type[NR_ERROR_TYPES]; /* with them */
	struct server_counters_fields n;  /* what was counted within the interval */
};

struct point {
	struct point_counts counts;
	struct hist hist[NR_POINT_HISTS];
	uint64_t min[NR_POINT_HISTS], max[NR_POINT_HISTS]; /* as for spread_of */
};

/* On disk by number: never change one, add new ones. X(number, member) */
#define POINT_FIELDS(X)                                                                            \
	X(1, active)                                                                               \
	X(2, peak)                                                                                 \
	X(3, errors)                                                                               \
	X(4, n.opened)                                                                             \
	X(5, n.closed)                                                                             \
	X(6, n.received)                                                                           \
	X(7, n.sent)                                                                               \
	X(8, n.text)                                                                               \
	X(9, n.binary)                                                                             \
	X(10, n.bytes_received)                                                                    \
	X(11, n.bytes_sent)                                                                        \
	X(12, n.timed)                                                                             \
	X(13, n.ambiguous)                                                                         \
	X(14, n.unanswered)                                                                        \
	X(15, n.push)                                                                              \
	X(16, n.answers_to_ambiguous)                                                              \
	X(17, n.ping_received)                                                                     \
	X(18, n.pong_received)                                                                     \
	X(19, n.close_received)                                                                    \
	X(20, n.ping_sent)                                                                         \
	X(21, n.pong_sent)                                                                         \
	X(22, n.close_sent)                                                                        \
	X(23, n.seen_received)                                                                     \
	X(24, n.header_received)                                                                   \
	X(25, n.payload_received)                                                                  \
	X(26, n.gap_received)                                                                      \
	X(27, n.seen_sent)                                                                         \
	X(28, n.header_sent)                                                                       \
	X(29, n.payload_sent)                                                                      \
	X(30, n.gap_sent)                                                                          \
	X(31, n.resynced)                                                                          \
	X(64, by_type[ERROR_NONE])                                                                 \
	X(65, by_type[ERROR_AUTHENTICATION])                                                       \
	X(66, by_type[ERROR_RATE_LIMIT])                                                           \
	X(67, by_type[ERROR_HANDSHAKE])                                                            \
	X(68, by_type[ERROR_PROTOCOL])                                                             \
	X(69, by_type[ERROR_TOO_BIG])                                                              \
	X(70, by_type[ERROR_POLICY])                                                               \
	X(71, by_type[ERROR_INTERNAL])                                                             \
	X(72, by_type[ERROR_RESTART])                                                              \
	X(73, by_type[ERROR_ABNORMAL])                                                             \
	X(74, by_type[ERROR_APPLICATION])                                                          \
	X(75, by_type[ERROR_WEBSOCKET])

/*
 * Gauges do not add up over time: of two intervals the later active and the higher peak count, of
 * two series in one interval the sum of both. Who merges knows which of the two it is.
 */
struct point_gauge {
	uint64_t active, peak;
};

/* What is kept of a series where many are summed up at once. */
struct point_brief {
	struct point_counts counts;
	struct hist latency;
	uint64_t min, max;
};

#define POINT_BLOB_MAX (32u << 10) /* of any point: all fields and buckets at their longest */

void point_reset(struct point *ret_point); /* nothing counted, no extremes known */
/* Whether a blob of it would say nothing: such points are not kept. */
int point_is_empty(const struct point *point);
/* *sum += (after - before), with the extremes of what lies between; before may be NULL. */
void point_add_hist(struct point *sum, enum point_hist which, const struct hist *after,
		    const struct hist *before, uint64_t min, uint64_t max);
/* *sum += *part, without the gauges. */
void point_add(struct point *sum, const struct point *part);

size_t point_encode(const struct point *point, uint8_t ret_blob[POINT_BLOB_MAX]);
/*
 * *sum += the blob, *gauge += its gauges. 0, or -EBADMSG for bytes that point_encode did not write,
 * and nothing was added.
 */
int point_add_blob(struct point *sum, struct point_gauge *gauge, const void *blob, size_t len);

/* The same, without the other histograms. */
int point_add_blob_brief(struct point_brief *sum, struct point_gauge *gauge, const void *blob,
			 size_t len);

/* 16 bits that stand before the bytes of a blob. */
uint16_t point_checksum(const void *data, size_t len);

const char *point_hist_key(enum point_hist which);
uint64_t point_hist_unit(enum point_hist which);

#endif

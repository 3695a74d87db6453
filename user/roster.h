/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Who was there in an interval: counts of the top 100 users and of all others, as a blob for the
 * store. In: numbers by label. Out: bytes, and back. Pure. The blob may come from a damaged file and
 * is checked as in point.h.
 */
#ifndef WSVITALS_ROSTER_H
#define WSVITALS_ROSTER_H

#include <stddef.h>
#include <stdint.h>

#define ROSTER_TOP 100 /* SPEC 4 */
#define ROSTER_MAX (ROSTER_TOP + 1)

/* On disk by position: a new one means a new version of the schema. X(name) */
#define ROSTER_NUMBERS(X)                                                                          \
	X(active) /* connections open at the end */                                                \
	X(opened)                                                                                  \
	X(closed)                                                                                  \
	X(received)                                                                                \
	X(sent)                                                                                    \
	X(bytes_received)                                                                          \
	X(bytes_sent)
#define X(name) uint64_t name;
struct roster_numbers {
	ROSTER_NUMBERS(X)
};
#undef X
#define ROSTER_NR (sizeof(struct roster_numbers) / sizeof(uint64_t))

struct roster_entry {
	uint64_t label; /* id of a text; not 0 */
	struct roster_numbers n;
};

#define ROSTER_BLOB_MAX (16u << 10)

/* Sorts the entries by label, which must differ. nr at most ROSTER_MAX. */
size_t roster_encode(struct roster_entry *entries, size_t nr, uint8_t ret_blob[ROSTER_BLOB_MAX]);
/* 0, or -EBADMSG for bytes that roster_encode did not write; then the outputs mean nothing. */
int roster_decode(const void *blob, size_t len, struct roster_entry ret_entries[ROSTER_MAX],
		  size_t *ret_nr);

/* *sum += *later: counts add up, active is the later one's. */
void roster_add(struct roster_numbers *sum, const struct roster_numbers *later);

/*
 * Keeps the ROSTER_TOP with most messages, then most connections, and adds the rest to the entry
 * whose label is other, which may be among them. Returns how many are left, in no order.
 */
size_t roster_cut(struct roster_entry *entries, size_t nr, uint64_t other);

#endif

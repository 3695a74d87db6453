// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * checksum (2 bytes, big endian), number of entries, then of each, by ascending label: distance to
 * the previous label, and the numbers.
 */
#include "roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "point.h"
#include "varint.h"

#define CHECKSUM_BYTES 2

_Static_assert(CHECKSUM_BYTES + 2 + ROSTER_MAX * (1 + ROSTER_NR) * VARINT_MAX <= ROSTER_BLOB_MAX,
	       "ROSTER_BLOB_MAX");

static int by_label(const void *a, const void *b)
{
	const struct roster_entry *x = a, *y = b;

	return (x->label > y->label) - (x->label < y->label);
}

size_t roster_encode(struct roster_entry *entries, size_t nr, uint8_t ret_blob[ROSTER_BLOB_MAX])
{
	uint8_t *at = ret_blob + CHECKSUM_BYTES;
	uint64_t previous = 0, numbers[ROSTER_NR];
	uint16_t checksum;

	qsort(entries, nr, sizeof(*entries), by_label);
	at = varint_put(at, nr);
	for (size_t i = 0; i < nr; i++) {
		at = varint_put(at, entries[i].label - previous);
		previous = entries[i].label;
		memcpy(numbers, &entries[i].n, sizeof(numbers));
		for (size_t k = 0; k < ROSTER_NR; k++)
			at = varint_put(at, numbers[k]);
	}
	checksum = point_checksum(ret_blob + CHECKSUM_BYTES,
				  (size_t)(at - ret_blob) - CHECKSUM_BYTES);
	ret_blob[0] = (uint8_t)(checksum >> 8);
	ret_blob[1] = (uint8_t)checksum;
	return (size_t)(at - ret_blob);
}

int roster_decode(const void *blob, size_t len, struct roster_entry ret_entries[ROSTER_MAX],
		  size_t *ret_nr)
{
	const uint8_t *bytes = blob;
	struct varint_reader in;
	uint64_t nr, label = 0, distance, numbers[ROSTER_NR];

	if (len < CHECKSUM_BYTES || len > ROSTER_BLOB_MAX)
		return -EBADMSG;
	in = (struct varint_reader){.at = bytes + CHECKSUM_BYTES, .end = bytes + len};
	if (point_checksum(in.at, len - CHECKSUM_BYTES) != (bytes[0] << 8 | bytes[1]) ||
	    !varint_get(&in, &nr) || nr > ROSTER_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < nr; i++) {
		if (!varint_get(&in, &distance) || !distance || label + distance < label)
			return -EBADMSG;
		label += distance;
		for (size_t k = 0; k < ROSTER_NR; k++)
			if (!varint_get(&in, &numbers[k]))
				return -EBADMSG;
		ret_entries[i].label = label;
		memcpy(&ret_entries[i].n, numbers, sizeof(numbers));
	}
	if (in.at != in.end)
		return -EBADMSG;
	*ret_nr = nr;
	return 0;
}

void roster_add(struct roster_numbers *sum, const struct roster_numbers *later)
{
	uint64_t active = later->active;

#define X(name) sum->name += later->name;
	ROSTER_NUMBERS(X)
#undef X
	sum->active = active;
}

static int by_weight(const void *a, const void *b)
{
	const struct roster_entry *x = a, *y = b;
	uint64_t mx = x->n.received + x->n.sent, my = y->n.received + y->n.sent;

	if (mx != my)
		return mx < my ? 1 : -1;
	if (x->n.active != y->n.active)
		return x->n.active < y->n.active ? 1 : -1;
	return by_label(a, b);
}

size_t roster_cut(struct roster_entry *entries, size_t nr, uint64_t other)
{
	struct roster_entry rest = {.label = other};
	size_t kept = 0, folded = 0;

	qsort(entries, nr, sizeof(*entries), by_weight);
	for (size_t i = 0; i < nr; i++) {
		if (entries[i].label != other && kept < ROSTER_TOP) {
			entries[kept++] = entries[i];
			continue;
		}
#define X(name) rest.n.name += entries[i].n.name;
		ROSTER_NUMBERS(X)
#undef X
		folded++;
	}
	if (folded)
		entries[kept++] = rest;
	return kept;
}

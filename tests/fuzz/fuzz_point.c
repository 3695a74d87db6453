// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * point.c and roster.c: bytes of a damaged file. Whatever is accepted is what would be written for
 * it again, and what is refused adds nothing. First byte: which of the two; the checksum is made
 * right, or nothing would get behind it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "point.h"
#include "require.h"
#include "roster.h"

static void try_point(const uint8_t *blob, size_t len)
{
	static struct point sum, zero;
	static uint8_t again[POINT_BLOB_MAX];
	struct point_gauge gauge = {0};

	point_reset(&zero);
	point_reset(&sum);
	if (point_add_blob(&sum, &gauge, blob, len)) {
		REQUIRE(!memcmp(&sum, &zero, sizeof(sum)) && !gauge.active && !gauge.peak);
		return;
	}
	sum.counts.active = gauge.active;
	sum.counts.peak = gauge.peak;
	REQUIRE(point_encode(&sum, again) == len);
	REQUIRE(!memcmp(again, blob, len));
}

static void try_roster(const uint8_t *blob, size_t len)
{
	struct roster_entry entries[ROSTER_MAX];
	static uint8_t again[ROSTER_BLOB_MAX];
	size_t nr;

	if (roster_decode(blob, len, entries, &nr))
		return;
	REQUIRE(nr <= ROSTER_MAX);
	REQUIRE(roster_encode(entries, nr, again) == len);
	REQUIRE(!memcmp(again, blob, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size ? size - 1 : 0;
	uint8_t *blob = malloc(len ? len : 1); /* of its size, so that one byte too many is seen */
	uint16_t checksum;

	REQUIRE(blob);
	if (len)
		memcpy(blob, data + 1, len);
	if (len >= 2) {
		checksum = point_checksum(blob + 2, len - 2);
		blob[0] = (uint8_t)(checksum >> 8);
		blob[1] = (uint8_t)checksum;
	}
	if (size && data[0] & 1)
		try_roster(blob, len);
	else
		try_point(blob, len);
	free(blob);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* reading.c: what is costly is only read when it is due. Readings themselves: tests/e2e. */
#include "check.h"
#include "reading.h"

#define SECOND 1000000000ull
#define NOW (100000 * SECOND)
#define MANY (READING_FEW_SERVERS + 1)

/* Last read so many seconds ago (-1: never), and so many connections were walked. */
struct row {
	const char *sentence;
	int hists, walk;
	size_t nr_walk;
	unsigned due;
	size_t servers; /* in use */
	int channels;   /* as hists */
};

static const struct row rows[] = {
	{"everything at first", -1, -1, 0, READING_ALL, MANY, -1},
	{"few connections are walked every second", 1, 1, READING_FEW - 1, READING_WALK, MANY, 1},
	{"many connections are not", 1, 1, READING_FEW, 0, MANY, 1},
	{"histograms after ten seconds", 10, 9, READING_FEW, READING_HISTS, MANY, 1},
	{"many connections after ten seconds", 9, 10, READING_FEW, READING_WALK, MANY, 1},
	{"both after a long sleep", 86400, 86400, READING_FEW, READING_ALL, MANY, 86400},
	{"nothing in the same moment", 0, 0, READING_FEW, 0, MANY, 1},
	{"a walk that never came is due", 1, -1, READING_FEW, READING_WALK, MANY, 1},
	{"histograms of few servers every second", 1, 1, READING_FEW, READING_HISTS,
	 READING_FEW_SERVERS, 1},
	{"channels after ten seconds, and a walk with them", 9, 9, READING_FEW,
	 READING_CHANNELS | READING_WALK, MANY, 10},
	{"channels not every second", 0, 0, READING_FEW, 0, MANY, 9},
};

static void one_moment(void **state)
{
	const struct row *row = *state;
	struct reading *reading = reading_new(NULL, NULL);

	assert_non_null(reading);
	reading->hists_ns = row->hists < 0 ? 0 : NOW - (uint64_t)row->hists * SECOND;
	reading->walk_ns = row->walk < 0 ? 0 : NOW - (uint64_t)row->walk * SECOND;
	reading->channels_ns = row->channels < 0 ? 0 : NOW - (uint64_t)row->channels * SECOND;
	reading->nr_walk = row->nr_walk;
	for (size_t i = 0; i < row->servers; i++)
		reading->servers[i].used = true;
	assert_int_equal(reading_due(reading, NOW), row->due);
	reading_free(reading);
}

int main(void)
{
	return check_run("reading", one_moment, rows, sizeof(rows[0]), COUNT(rows), NULL, 0);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * wsvitals store: what the store holds, file by file, and whether it is whole. Reads the files
 * themselves, so it works with and without a running agent, and changes nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "log.h"
#include "options.h"
#include "store_query.h"

#define GROUPS (OPTIONS_PLACES | 1 * OPTIONS_WORD)

struct listing {
	bool check;
	size_t files, damaged;
	uint64_t bytes;
	int64_t points;
	uint64_t point_bytes;
};

static void print_count(int64_t count, bool has)
{
	if (has)
		printf("  %10" PRId64, count);
	else
		printf("  %10s", "-");
}

static int print_file(const struct store_file_info *info, void *ctx)
{
	struct listing *listing = ctx;
	bool points = info->intervals || info->points;

	printf("%-36s  %8.1f", info->name, (double)info->bytes / 1048576);
	print_count(info->intervals, points);
	print_count(info->series, points);
	print_count(points ? info->points : info->rows, points || info->rows);
	printf("  %s\n", info->problem ? info->problem : listing->check ? "whole" : "");
	listing->files++;
	listing->damaged += info->damaged;
	listing->bytes += info->bytes;
	if (points) {
		listing->points += info->points;
		listing->point_bytes += info->bytes;
	}
	return 0;
}

static int list(const char *dir, bool check)
{
	struct listing listing = {.check = check};
	struct store_config config = {.dir = dir};
	struct store *store;
	int err = store_new(&config, &store);

	if (!err) {
		printf("%-36s  %8s  %10s  %10s  %10s\n", "file", "MB", "intervals", "series",
		       "rows");
		err = store_files(store, check, print_file, &listing);
		store_free(store);
	}
	if (err) {
		log_error("cannot read the store in %s: %s", dir, strerror(-err));
		return EXIT_FAILED;
	}
	printf("\n%zu files, %.1f MB", listing.files, (double)listing.bytes / 1048576);
	if (listing.points)
		printf(", %.0f bytes a point",
		       (double)listing.point_bytes / (double)listing.points);
	putchar('\n');
	if (!listing.damaged)
		return EXIT_OK;
	log_error("damaged: %zu; the agent goes on without these files, and what they held is "
		  "lost: they can be removed",
		  listing.damaged);
	return EXIT_FAILED;
}

int cli_store(int argc, char **argv)
{
	struct options options;
	struct settings settings;
	char error[512];
	bool check;

	if (options_parse(argc, argv, GROUPS, &options, error, sizeof(error))) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	if (options.help) {
		printf("wsvitals store info: the files of the store and what is in them\n"
		       "wsvitals store check: the same, and reads all of it; the exit status is 1 "
		       "if anything is damaged\n\nOptions:\n");
		options_describe(GROUPS);
		return EXIT_OK;
	}
	check = options.nr_words && !strcmp(options.words[0], "check");
	if (!options.nr_words || (!check && strcmp(options.words[0], "info") != 0)) {
		log_error("give `store info' or `store check'");
		return EXIT_USAGE;
	}
	options_places(&options, &settings);
	return list(settings_text(&settings, SETTING_DB), check);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* Runs a fuzz target over files and directories without libFuzzer: replay PATH... */
#define _GNU_SOURCE
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

static int replay(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	uint8_t *data = NULL;
	FILE *file;

	(void)ftw;
	if (type != FTW_F)
		return type == FTW_D ? 0 : -1;
	/* exactly the file's size, so that AddressSanitizer sees one byte too many */
	data = malloc((size_t)st->st_size + !st->st_size);
	file = fopen(path, "rb");
	if (!data || !file || fread(data, 1, (size_t)st->st_size, file) != (size_t)st->st_size)
		return -1;
	fclose(file);
	LLVMFuzzerTestOneInput(data, (size_t)st->st_size);
	free(data);
	inputs++;
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (nftw(argv[i], replay, 8, FTW_PHYS)) {
			fprintf(stderr, "%s: cannot read %s\n", argv[0], argv[i]);
			return EXIT_FAILURE;
		}
	}
	printf("%lu inputs\n", inputs);
	return inputs ? EXIT_SUCCESS : EXIT_FAILURE; /* nothing replayed is not passed */
}

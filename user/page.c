// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "page.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* The assembler includes them: an array in C of the same bytes is six times as long to compile. The
 * Makefile packs them into PAGE_DIRECTORY. */
#define X(NAME, file, type)                                                                        \
	__asm__(".section .rodata\n"                                                               \
		"page_begin_" #NAME ":\n"                                                          \
		".incbin \"" PAGE_DIRECTORY "/" file ".gz\"\n"                                     \
		"page_end_" #NAME ":\n"                                                            \
		".previous\n");                                                                    \
	extern const unsigned char page_begin_##NAME[], page_end_##NAME[];
PAGE_FILES(X)
#undef X

static const struct {
	const char *type;
	const unsigned char *begin, *end;
} files[NR_PAGE_FILES] = {
#define X(NAME, file, type_) [PAGE_##NAME] = {type_, page_begin_##NAME, page_end_##NAME},
	PAGE_FILES(X)
#undef X
};

void page_bytes(enum page_file file, struct page_bytes *ret_bytes)
{
	*ret_bytes = (struct page_bytes){
		.type = files[file].type,
		.gzip = files[file].begin,
		.len = (size_t)(files[file].end - files[file].begin),
	};
}

/* RFC 1952 2.3.1: the last four bytes, little-endian, are the length before packing. */
static size_t length_of(const struct page_bytes *bytes)
{
	const unsigned char *end = bytes->gzip + bytes->len;

	return end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 | (size_t)end[-1] << 24;
}

char *page_plain(enum page_file file, const char *message, size_t *ret_len)
{
	size_t message_len = strlen(message), len, after;
	struct page_bytes bytes;
	z_stream z = {0};
	char *text, *mark;
	int err;

	page_bytes(file, &bytes);
	len = length_of(&bytes);
	text = malloc(len + message_len + 1);
	if (!text || inflateInit2(&z, MAX_WBITS + 16) != Z_OK) {
		free(text);
		return NULL;
	}
	z.next_in = (Bytef *)bytes.gzip;
	z.avail_in = (uInt)bytes.len;
	z.next_out = (Bytef *)text;
	z.avail_out = (uInt)len;
	err = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (err != Z_STREAM_END) {
		free(text);
		return NULL;
	}
	mark = memmem(text, len, PAGE_MARK, strlen(PAGE_MARK));
	if (mark) {
		after = (size_t)(text + len - mark) - strlen(PAGE_MARK);
		memmove(mark + message_len, mark + strlen(PAGE_MARK), after);
		for (size_t i = 0; i < message_len; i++)
			mark[i] = message[i];
		len = len - strlen(PAGE_MARK) + message_len;
	}
	text[len] = '\0';
	*ret_len = len;
	return text;
}

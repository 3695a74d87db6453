/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The dashboard's files as they are embedded in the program: web/dist, packed at build time. In: which
 * one. Out: its bytes.
 */
#ifndef WSVITALS_PAGE_H
#define WSVITALS_PAGE_H

#include <stddef.h>

/* X(NAME, file in web/dist, Content-Type) */
#define PAGE_FILES(X)                                                                              \
	X(INDEX, "index.html", "text/html; charset=utf-8")                                         \
	X(LOGIN, "login.html", "text/html; charset=utf-8")                                         \
	X(SCRIPT, "page.js", "text/javascript; charset=utf-8")                                     \
	X(STYLE, "page.css", "text/css; charset=utf-8")                                            \
	X(ICON, "icon.svg", "image/svg+xml")

#define X(NAME, ...) PAGE_##NAME,
enum page_file { PAGE_FILES(X) NR_PAGE_FILES };
#undef X

/* Where page_plain puts its message. */
#define PAGE_MARK "{message}"

struct page_bytes {
	const char *type;
	const unsigned char *gzip;
	size_t len;
};

void page_bytes(enum page_file file, struct page_bytes *ret_bytes);

/* Unpacked, with a NUL behind it, for free(), with the first PAGE_MARK in it replaced by message, which must not come from a
 * stranger. NULL: out of memory. */
char *page_plain(enum page_file file, const char *message, size_t *ret_len);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A copy of some bytes that ends where a page without access begins: reading one byte too many is a
 * fault, not luck. Works without a sanitizer, and also behind bpf_probe_read_user().
 */
#ifndef WSVITALS_TESTS_GUARD_H
#define WSVITALS_TESTS_GUARD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
	uint8_t *map;
	size_t room; /* bytes before the page without access */
	size_t page;
};

/* Room for inputs of up to max bytes. Aborts when there is no memory. */
static inline struct guard guard_new(size_t max)
{
	struct guard g = {.page = (size_t)sysconf(_SC_PAGESIZE)};

	g.room = (max + g.page) / g.page * g.page;
	g.map = mmap(NULL, g.room + g.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	if (g.map == MAP_FAILED || mprotect(g.map + g.room, g.page, PROT_NONE))
		abort();
	return g;
}

static inline void guard_free(struct guard *g)
{
	munmap(g->map, g->room + g->page);
}

/* The copy is valid until the next call. */
static inline uint8_t *guard_copy(struct guard *g, const void *bytes, size_t len)
{
	uint8_t *at = g->map + g->room - len;

	if (len > g->room)
		abort();
	if (len)
		memcpy(at, bytes, len);
	return at;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A ring-buffer record, checked. In: bytes as the kernel half wrote them. Out: the fixed part by
 * value (no alignment is asked of the input), the heads as slices of the input, a piece of a close
 * reason unmasked. Every length, slot and enum is checked here and nowhere later; what does not fit
 * is -EBADMSG, which the caller counts and survives.
 */
#ifndef WSVITALS_DECODE_H
#define WSVITALS_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

/* Bytes that belong to somebody else; not NUL-terminated. */
struct text {
	const char *at;
	size_t len;
};

struct record {
	enum event_type type;
	union {
		struct event event;
		struct event_open open;     /* EVENT_OPEN, EVENT_REFUSED */
		struct event_reason reason; /* EVENT_REASON */
		struct event_close close;   /* EVENT_CLOSE */
	};
	struct text request;  /* EVENT_OPEN, EVENT_REFUSED; may be empty or cut */
	struct text response; /* the same */
};

/* 0, or -EBADMSG and *ret_record untouched. The slices live as long as data. */
int decode_record(const void *data, size_t len, struct record *ret_record);

#endif

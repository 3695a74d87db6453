/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the two heads of an upgrade say. In: the bytes of the request's and the response's head as
 * far as they were kept (either may be empty, or cut at REQUEST_MAX / RESPONSE_MAX). Out: slices of
 * these bytes, still untrusted (label_clean before anybody sees them). Whether it was an upgrade,
 * and whether it was accepted, the kernel has already decided; here it only gets its labels.
 */
#ifndef WSVITALS_HANDSHAKE_H
#define WSVITALS_HANDSHAKE_H

#include "decode.h"

struct handshake {
	struct text path;          /* without scheme, host, query; empty when there is none */
	struct text forwarded_for; /* last entry of the last X-Forwarded-For of the request */
	struct text status_line;   /* of the response */
	struct text subprotocol;   /* that the server chose */
	struct text extensions;    /* that the server chose */
};

/* Fields that are absent are empty; a header line that was cut does not count. */
void handshake_parse(struct text request, struct text response, struct handshake *ret_handshake);

#endif

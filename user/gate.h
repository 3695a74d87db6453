/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What a request says about the way it came: to which name, from which page, through which proxy. In:
 * headers and the settings. Out: the client's address, whether it speaks TLS, and whether the request
 * may pass. Who asks is auth.h's matter. Pure.
 *
 * A page of somebody else that has its own name point at us (DNS rebinding) is told by Host; a form of
 * somebody else that is sent to us is told by Sec-Fetch-Site or Origin. Neither header can be set by a
 * page. A request without any of them comes from no browser and is left to its credentials.
 */
#ifndef WSVITALS_GATE_H
#define WSVITALS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

struct gate_request {
	/* headers; NULL = none */
	const char *host, *origin, *fetch_site;
	const char *forwarded_for, *forwarded_host, *forwarded_proto;
	uint8_t peer[16]; /* v4-mapped */
	bool tls;
};

struct gate {
	uint8_t address[16]; /* of the client */
	bool secure;         /* the client's connection is TLS, to us or to the proxy */
	bool host_is_ours;
	bool page_is_ours; /* what sent it is no page of somebody else */
};

void gate_look(const struct settings *settings, const struct gate_request *request,
	       struct gate *ret_gate);

#endif

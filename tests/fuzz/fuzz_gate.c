// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * gate.c, network.c, form.c: what strangers write into headers and forms. Invariants: a name that is
 * ours is loopback, a given one or an address that is listened on; headers of proxies change nothing
 * unless the peer is one; a form's value is no longer than its room and holds no NUL. Input: a byte of
 * switches, then lines: Host, Origin, Sec-Fetch-Site, X-Forwarded-For, -Host, -Proto, a form.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "form.h"
#include "gate.h"
#include "network.h"
#include "require.h"

#define LINES 7

static struct settings settings;

static void set(enum setting_id id, const char *value)
{
	char error[256];

	REQUIRE(!settings_set(&settings, id, value, false, "x", "fuzz", error, sizeof(error)));
}

static void check_form(const char *line)
{
	size_t len = strlen(line);
	char *exact = malloc(len ? len : 1), value[16];
	int n;

	memcpy(exact, line, len);
	n = form_field(exact, len, "token", value, sizeof(value));
	REQUIRE(n == -ENOENT || n == -EINVAL || (n >= 0 && n < (int)sizeof(value)));
	REQUIRE(n < 0 || strlen(value) == (size_t)n);
	free(exact);
}

static void check_gate(const struct gate_request *request)
{
	struct gate_request plain = *request;
	struct gate gate, without;

	gate_look(&settings, request, &gate);
	plain.forwarded_for = plain.forwarded_host = plain.forwarded_proto = NULL;
	gate_look(&settings, &plain, &without);
	if (request->peer[12] != 10) { /* no proxy: what it says is not heard */
		REQUIRE(!memcmp(gate.address, request->peer, 16));
		REQUIRE(gate.secure == request->tls);
		REQUIRE(gate.host_is_ours == without.host_is_ours);
		REQUIRE(gate.page_is_ours == without.page_is_ours);
		REQUIRE(!gate.host_is_ours || (request->host && *request->host));
	}
	if (request->fetch_site && !strcmp(request->fetch_site, "cross-site"))
		REQUIRE(!gate.page_is_ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gate_request request = {.peer = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
	char *text, *line[LINES] = {0}, *rest;
	struct network network;

	if (!size)
		return 0;
	if (!settings.of[SETTING_LISTEN].nr) {
		settings_default(&settings);
		set(SETTING_HOST, "metrics.example.org,b");
		set(SETTING_TRUSTED_PROXY, "10.0.0.0/8");
	}
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	rest = text;
	for (int i = 0; i < LINES && rest; i++)
		line[i] = strsep(&rest, "\n");
	request.tls = data[0] & 1;
	request.peer[12] = data[0] & 2 ? 10 : 127;
	request.host = line[0];
	request.origin = data[0] & 4 ? line[1] : NULL;
	request.fetch_site = data[0] & 8 ? line[2] : NULL;
	request.forwarded_for = line[3];
	request.forwarded_host = data[0] & 16 ? line[4] : NULL;
	request.forwarded_proto = line[5];
	check_gate(&request);
	if (line[6])
		check_form(line[6]);
	if (line[0] && !network_parse(line[0], &network))
		REQUIRE(network.bits <= 128 && network_holds(&network, network.address));
	free(text);
	return 0;
}

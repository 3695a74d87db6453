// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "gate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "label.h"
#include "network.h"

#define HOST_SIZE 260 /* 253 of a name, a port */

/* --- proxies --- */

static bool is_trusted(const struct settings *settings, const uint8_t address[16])
{
	const char *value;
	size_t at = 0;

	while ((value = settings_next(settings, SETTING_TRUSTED_PROXY, &at))) {
		char text[SETTING_TEXT], *rest = text, *piece;

		snprintf(text, sizeof(text), "%s", value);
		while ((piece = strsep(&rest, ","))) {
			struct network network;

			if (!network_parse(piece, &network) && network_holds(&network, address))
				return true;
		}
	}
	return false;
}

static struct text trim(struct text text)
{
	while (text.len && strchr(" \t", text.at[0]))
		text.at++, text.len--;
	while (text.len && strchr(" \t", text.at[text.len - 1]))
		text.len--;
	return text;
}

/* Takes the last entry off a list with commas. */
static struct text take_last(struct text *list)
{
	const char *comma = memrchr(list->at, ',', list->len);
	struct text last = *list;

	if (comma) {
		last = (struct text){comma + 1, (size_t)(list->at + list->len - comma) - 1};
		list->len = (size_t)(comma - list->at);
	} else {
		list->len = 0;
	}
	return trim(last);
}

/* Each proxy appends whom it heard: from the right, the first one that is no proxy of ours is the
 * client. What stands to the left of it may be made up. */
static void client_of(const struct settings *settings, const char *forwarded_for,
		      uint8_t address[16])
{
	struct text list = {forwarded_for, strlen(forwarded_for)};
	uint8_t hop[16];

	while (list.len && is_trusted(settings, address)) {
		if (!label_parse_address(take_last(&list), hop))
			return;
		memcpy(address, hop, sizeof(hop));
	}
}

/* --- names --- */

/* Without port and brackets; false: too long or empty. */
static bool name_of(struct text host, char ret_name[HOST_SIZE])
{
	const char *colon = memrchr(host.at, ':', host.len);
	size_t len = host.len;

	if (len && host.at[0] == '[') {
		const char *end = memchr(host.at, ']', len);

		if (!end)
			return false;
		host.at++;
		len = (size_t)(end - host.at);
	} else if (colon) {
		len = (size_t)(colon - host.at);
	}
	if (len && host.at[len - 1] == '.')
		len--; /* a name may end with the root's dot */
	if (!len || len >= HOST_SIZE)
		return false;
	memcpy(ret_name, host.at, len);
	ret_name[len] = '\0';
	return true;
}

static bool is_named(const struct settings *settings, const char *name)
{
	const char *value;
	size_t at = 0;

	while ((value = settings_next(settings, SETTING_HOST, &at))) {
		while (*value) {
			size_t len = strcspn(value, ",");

			if (strlen(name) == len && !strncasecmp(value, name, len))
				return true;
			value += len + (value[len] == ',');
		}
	}
	return false;
}

/* An address cannot be made to point elsewhere; what is left to check is that it is ours. */
static bool address_is_ours(const struct settings *settings, const uint8_t address[16])
{
	static const uint8_t any_v4[16] = {[10] = 0xff, [11] = 0xff}, any_v6[16];
	struct listen_address listen;

	if (label_is_loopback(address))
		return true;
	if (listen_address_parse(settings_text(settings, SETTING_LISTEN), &listen))
		return false;
	return !memcmp(listen.addr, address, 16) || !memcmp(listen.addr, any_v4, 16) ||
	       !memcmp(listen.addr, any_v6, 16);
}

static bool is_ours(const struct settings *settings, struct text host)
{
	uint8_t address[16];
	char name[HOST_SIZE];

	if (!name_of(host, name))
		return false;
	if (!strcasecmp(name, "localhost") || is_named(settings, name))
		return true;
	return label_parse_address((struct text){name, strlen(name)}, address) &&
	       address_is_ours(settings, address);
}

/* "https://metrics.example.org:8443": the same host as the request's, or one of ours by name. */
static bool origin_is_ours(const struct settings *settings, const char *origin, struct text host)
{
	const char *scheme = strstr(origin, "://");
	struct text from;
	char name[HOST_SIZE];

	if (!scheme)
		return false; /* "null" */
	from = (struct text){scheme + 3, strlen(scheme + 3)};
	if (from.len == host.len && !strncasecmp(from.at, host.at, host.len))
		return true;
	return name_of(from, name) && is_named(settings, name);
}

void gate_look(const struct settings *settings, const struct gate_request *request,
	       struct gate *ret_gate)
{
	struct gate gate = {.secure = request->tls};
	struct text host = {request->host ? request->host : "", 0};

	host.len = strlen(host.at);
	memcpy(gate.address, request->peer, sizeof(gate.address));
	if (is_trusted(settings, request->peer)) {
		if (request->forwarded_for)
			client_of(settings, request->forwarded_for, gate.address);
		if (request->forwarded_proto)
			gate.secure = !strcasecmp(request->forwarded_proto, "https");
		if (request->forwarded_host) {
			struct text list = {request->forwarded_host,
					    strlen(request->forwarded_host)};

			host = take_last(&list);
		}
	}
	gate.host_is_ours = is_ours(settings, host);
	if (request->fetch_site)
		gate.page_is_ours = !strcmp(request->fetch_site, "same-origin") ||
				    !strcmp(request->fetch_site, "none");
	else if (request->origin)
		gate.page_is_ours = origin_is_ours(settings, request->origin, host);
	else
		gate.page_is_ours = true;
	*ret_gate = gate;
}

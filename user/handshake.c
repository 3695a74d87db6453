// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE /* memmem, memrchr */
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "handshake.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct text text_trim(struct text text)
{
	while (text.len > 0 && is_blank(text.at[0])) {
		text.at++;
		text.len--;
	}
	while (text.len > 0 && is_blank(text.at[text.len - 1]))
		text.len--;
	return text;
}

/*
 * Takes one line off the front, without its CRLF or LF (RFC 9112 2.2 lets a recipient take a bare
 * LF). Returns whether its end was there.
 */
static bool text_take_line(struct text *rest, struct text *ret_line)
{
	const char *end = rest->len ? memchr(rest->at, '\n', rest->len) : NULL;
	size_t len = end ? (size_t)(end - rest->at) : rest->len;

	*ret_line = (struct text){rest->at, len};
	if (ret_line->len > 0 && ret_line->at[ret_line->len - 1] == '\r')
		ret_line->len--;
	rest->at += end ? len + 1 : len;
	rest->len -= end ? len + 1 : len;
	return end;
}

/* Whether this line is the header; if so its value. */
static bool header_is(struct text line, const char *name, struct text *ret_value)
{
	size_t len = strlen(name);

	if (line.len <= len || line.at[len] != ':' || strncasecmp(line.at, name, len) != 0)
		return false;
	*ret_value = text_trim((struct text){line.at + len + 1, line.len - len - 1});
	return true;
}

/* "GET /chat?x=1 HTTP/1.1" -> "/chat"; also the absolute form of RFC 9112 3.2.2. */
static struct text request_path(struct text line)
{
	struct text path = {0};
	const char *space = line.len ? memchr(line.at, ' ', line.len) : NULL;
	size_t i = 0;

	if (!space)
		return path;
	path.at = space + 1;
	path.len = line.len - (size_t)(path.at - line.at);
	while (i < path.len && path.at[i] != ' ' && path.at[i] != '?' && path.at[i] != '#')
		i++;
	path.len = i;
	if (path.len > 0 && path.at[0] != '/') {
		const char *scheme = memmem(path.at, path.len, "://", 3);
		const char *end = path.at + path.len, *slash;

		if (scheme) {
			scheme += 3;
			slash = memchr(scheme, '/', (size_t)(end - scheme));
			path.at = slash ? slash : end; /* a host alone is no path */
			path.len = (size_t)(end - path.at);
		}
	}
	return path;
}

static struct text last_entry(struct text list)
{
	const char *comma = list.len ? memrchr(list.at, ',', list.len) : NULL;

	if (!comma)
		return list;
	comma++;
	return text_trim((struct text){comma, list.len - (size_t)(comma - list.at)});
}

void handshake_parse(struct text request, struct text response, struct handshake *ret_handshake)
{
	struct handshake found = {0};
	struct text line, value;

	text_take_line(&request, &line);
	found.path = request_path(line);
	while (text_take_line(&request, &line) && line.len > 0) {
		if (header_is(line, "x-forwarded-for", &value))
			found.forwarded_for = last_entry(value);
	}

	text_take_line(&response, &found.status_line);
	while (text_take_line(&response, &line) && line.len > 0) {
		if (header_is(line, "sec-websocket-protocol", &value))
			found.subprotocol = value;
		else if (header_is(line, "sec-websocket-extensions", &value))
			found.extensions = value;
	}
	*ret_handshake = found;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * handshake.c: what is found lies inside its own head and is what the lines say, read one by one;
 * neither the case of letters, nor the kind of line ends, nor what follows the head changes it; and
 * heads written from it say the same again. Input: the request's length (16 bits, little-endian),
 * the request, the response.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handshake.h"
#include "require.h"

/* A head in memory of its own, which ends where it ends. */
struct head {
	char *at;
	size_t len;
};

static struct head head_new(size_t len)
{
	struct head head = {malloc(len), len};

	REQUIRE(head.at);
	return head;
}

static void parse(struct head request, struct head response, struct handshake *h)
{
	memset(h, 0xa5, sizeof(*h));
	handshake_parse((struct text){request.at, request.len},
			(struct text){response.at, response.len}, h);
}

/* --- lines --- */

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/* The line that begins here, with its end; behind the last one: nothing. */
static struct text line_at(struct head head, size_t at)
{
	size_t end = at;

	while (end < head.len && head.at[end] != '\n')
		end++;
	end += end < head.len;
	return (struct text){head.at + at, end - at};
}

/* Without its LF or CRLF. */
static struct text content_of(struct text line)
{
	if (line.len && line.at[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static struct text trimmed(struct text text)
{
	for (; text.len && is_one_of(*text.at, " \t"); text.len--)
		text.at++;
	while (text.len && is_one_of(text.at[text.len - 1], " \t"))
		text.len--;
	return text;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* The last header of this name that was not cut. */
static struct text header_of(struct head head, const char *name)
{
	struct text found = {0}, line = line_at(head, 0);

	for (size_t at = line.len;; at += line.len) {
		struct text content;
		size_t i = 0;

		line = line_at(head, at);
		content = content_of(line);
		if (!line.len || line.at[line.len - 1] != '\n' || !content.len)
			return found;
		while (i < content.len && name[i] && lower(content.at[i]) == name[i])
			i++;
		if (!name[i] && i < content.len && content.at[i] == ':')
			found = trimmed((struct text){content.at + i + 1, content.len - i - 1});
	}
}

/* How much of a head there is, its empty line included. */
static size_t len_of(struct head head)
{
	size_t at = line_at(head, 0).len;

	while (at < head.len) {
		struct text line = line_at(head, at);

		at += line.len;
		if (!content_of(line).len)
			break;
	}
	return at;
}

/* --- what must be true --- */

static void require_inside(struct text text, struct head head)
{
	if (!text.len)
		return;
	REQUIRE(text.at >= head.at && text.len <= head.len);
	REQUIRE((size_t)(text.at - head.at) <= head.len - text.len);
	REQUIRE(!memchr(text.at, '\n', text.len));
}

static void require_equal(struct text a, struct text b)
{
	REQUIRE(a.len == b.len && (!a.len || !memcmp(a.at, b.at, a.len)));
}

/* Either what stands between the first blank and the next, or this without "scheme://host". */
static void require_path(struct text path, struct head request)
{
	struct text line = content_of(line_at(request, 0)), target = line;
	const char *slash;

	while (target.len && *target.at != ' ') {
		target.at++;
		target.len--;
	}
	if (target.len) {
		target.at++;
		for (target.len = 0; target.at + target.len < line.at + line.len; target.len++)
			if (is_one_of(target.at[target.len], " ?#"))
				break;
	}
	for (size_t i = 0; i + 3 <= target.len && *target.at != '/'; i++) {
		if (memcmp(target.at + i, "://", 3) != 0)
			continue;
		slash = memchr(target.at + i + 3, '/', target.len - i - 3);
		REQUIRE(path.len == (slash ? (size_t)(target.at + target.len - slash) : 0));
		REQUIRE(!path.len || path.at == slash);
		return;
	}
	REQUIRE(path.len == target.len && (!path.len || path.at == target.at));
}

static void require_model(const struct handshake *h, struct head request, struct head response)
{
	struct text forwarded = header_of(request, "x-forwarded-for");

	require_inside(h->path, request);
	require_inside(h->forwarded_for, request);
	require_inside(h->status_line, response);
	require_inside(h->subprotocol, response);
	require_inside(h->extensions, response);
	require_path(h->path, request);
	require_equal(h->status_line, content_of(line_at(response, 0)));
	require_equal(h->subprotocol, header_of(response, "sec-websocket-protocol"));
	require_equal(h->extensions, header_of(response, "sec-websocket-extensions"));
	for (size_t i = forwarded.len; i > 0; i--)
		if (forwarded.at[i - 1] == ',') {
			forwarded = (struct text){forwarded.at + i, forwarded.len - i};
			break;
		}
	require_equal(h->forwarded_for, trimmed(forwarded));
}

static void require_same(const struct handshake *a, const struct handshake *b)
{
	require_equal(a->path, b->path);
	require_equal(a->forwarded_for, b->forwarded_for);
	require_equal(a->status_line, b->status_line);
	require_equal(a->subprotocol, b->subprotocol);
	require_equal(a->extensions, b->extensions);
}

/* The same place and length, if there is any. */
static void require_place(struct text a, struct head a_head, struct text b, struct head b_head)
{
	REQUIRE(a.len == b.len);
	REQUIRE(!a.len || a.at - a_head.at == b.at - b_head.at);
}

/* --- heads that say the same --- */

static struct head other_case(struct head head)
{
	struct head other = head_new(head.len);

	for (size_t i = 0; i < head.len; i++) {
		char c = lower(head.at[i]);

		other.at[i] = c >= 'a' && c <= 'z' ? (char)(head.at[i] ^ 32) : c;
	}
	return other;
}

static struct head with_crlf(struct head head)
{
	struct head other = head_new(2 * head.len);

	other.len = 0;
	for (size_t i = 0; i < head.len; i++) {
		if (head.at[i] == '\n' && (!i || head.at[i - 1] != '\r'))
			other.at[other.len++] = '\r';
		other.at[other.len++] = head.at[i];
	}
	if (other.len)
		other.at = realloc(other.at, other.len);
	REQUIRE(other.at);
	return other;
}

static struct head up_to(struct head head, size_t len)
{
	struct head other = head_new(len);

	if (len)
		memcpy(other.at, head.at, len);
	return other;
}

/* The strings and texts in turn, the last string is NULL. */
static struct head written(const char *string, ...)
{
	struct head head = head_new(8192);
	va_list args;

	head.len = 0;
	va_start(args, string);
	while (string) {
		struct text text = va_arg(args, struct text);

		memcpy(head.at + head.len, string, strlen(string));
		head.len += strlen(string);
		if (text.len)
			memcpy(head.at + head.len, text.at, text.len);
		head.len += text.len;
		string = va_arg(args, const char *);
	}
	va_end(args);
	head.at = realloc(head.at, head.len);
	REQUIRE(head.at);
	return head;
}

static void parse_same(const struct handshake *h, struct head request, struct head response)
{
	struct handshake again;

	parse(request, response, &again);
	require_model(&again, request, response);
	require_same(h, &again);
	free(request.at);
	free(response.at);
}

static void parse_other_case(const struct handshake *h, struct head request, struct head response)
{
	struct head a = other_case(request), b = other_case(response);
	struct handshake other;

	parse(a, b, &other);
	require_place(h->path, request, other.path, a);
	require_place(h->forwarded_for, request, other.forwarded_for, a);
	require_place(h->status_line, response, other.status_line, b);
	require_place(h->subprotocol, response, other.subprotocol, b);
	require_place(h->extensions, response, other.extensions, b);
	free(a.at);
	free(b.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct text none = {0};
	struct head request, response;
	struct handshake h;
	size_t len;

	if (size < 2 || size > 4096)
		return 0;
	len = data[0] | (size_t)data[1] << 8;
	if (len > size - 2)
		len = size - 2;
	request = up_to((struct head){(char *)data + 2, len}, len);
	response = up_to((struct head){(char *)data + 2 + len, size - 2 - len}, size - 2 - len);

	parse(request, response, &h);
	require_model(&h, request, response);
	parse_other_case(&h, request, response);
	parse_same(&h, with_crlf(request), with_crlf(response));
	parse_same(&h, up_to(request, len_of(request)), up_to(response, len_of(response)));
	parse_same(&h,
		   written("GET ", h.path, " HTTP/1.1\r\nX-Forwarded-For:", h.forwarded_for,
			   "\r\n\r\n", none, NULL),
		   written("", h.status_line, "\r\nSec-WebSocket-Protocol: ", h.subprotocol,
			   "\r\nSEC-WEBSOCKET-EXTENSIONS:\t", h.extensions, " \r\n\r\n", none,
			   NULL));
	free(request.at);
	free(response.at);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* handshake.c: what two heads say, whole or cut anywhere. */
#include <string.h>

#include "check.h"
#include "guard.h"
#include "handshake.h"

struct row {
	const char *sentence;
	const char *request, *response;
	const char *path, *forwarded, *status, *protocol, *extensions;
};

#define OK "HTTP/1.1 101 Switching Protocols\r\n"

static const struct row rows[] = {
	{"the path ends before the query", "GET /chat?room=1 HTTP/1.1\r\n\r\n", .path = "/chat"},
	{"the path ends before a fragment", "GET /chat#x HTTP/1.1\r\n\r\n", .path = "/chat"},
	{"a path of one slash", "GET / HTTP/1.1\r\n\r\n", .path = "/"},
	{"a query without a path", "GET ?x HTTP/1.1\r\n\r\n", .path = ""},
	{"the absolute form loses scheme and host", "GET http://h:80/ws?x HTTP/1.1\r\n\r\n",
	 .path = "/ws"},
	{"an absolute form that is a host alone has no path", "GET http://h HTTP/1.1\r\n\r\n",
	 .path = ""},
	{"a path that is no path stays as it is", "GET other HTTP/1.1\r\n\r\n", .path = "other"},
	{"a path that holds a scheme later is not absolute", "GET /r/http://x/y HTTP/1.1\r\n\r\n",
	 .path = "/r/http://x/y"},
	{"a request line that was cut gives what there is", "GET /very/long", .path = "/very/long"},
	{"no request at all", "", .path = ""},
	{"a request without a blank", "GET", .path = ""},
	{"one forwarded address", "GET / H\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n", .path = "/",
	 .forwarded = "192.0.2.7"},
	{"the last entry is the one that our proxy wrote",
	 "GET / H\r\nx-forwarded-for: 6.6.6.6, 10.0.0.1 ,  192.0.2.7 \r\n\r\n", .path = "/",
	 .forwarded = "192.0.2.7"},
	{"the last of several headers",
	 "GET / H\r\nX-Forwarded-For: 6.6.6.6\r\nX-FORWARDED-FOR: 192.0.2.7\r\n\r\n", .path = "/",
	 .forwarded = "192.0.2.7"},
	{"a last entry that is empty is empty", "GET / H\r\nX-Forwarded-For: 1.2.3.4,\r\n\r\n",
	 .path = "/", .forwarded = ""},
	{"a header that only begins alike is another", "GET / H\r\nX-Forwarded-For-2: 1\r\n\r\n",
	 .path = "/", .forwarded = ""},
	{"a header after the empty line is body", "GET / H\r\n\r\nX-Forwarded-For: 1.2.3.4\r\n",
	 .path = "/", .forwarded = ""},
	{"a header that was cut does not count", "GET / H\r\nX-Forwarded-For: 192.0.2.7",
	 .path = "/", .forwarded = ""},
	{"lines may end in LF alone", "GET /a H\nX-Forwarded-For: 192.0.2.7\n\n", .path = "/a",
	 .forwarded = "192.0.2.7"},
	{"the status line without its end", "GET / H\r\n\r\n",
	 "HTTP/1.1 401 Unauthorized\r\nA: b\r\n\r\n", .path = "/",
	 .status = "HTTP/1.1 401 Unauthorized"},
	{"what the server chose", "GET / H\r\n\r\n",
	 OK "Sec-WebSocket-Protocol: graphql-ws\r\nsec-websocket-extensions:permessage-deflate; "
	    "a=1\r\n\r\n",
	 .path = "/", .status = "HTTP/1.1 101 Switching Protocols", .protocol = "graphql-ws",
	 .extensions = "permessage-deflate; a=1"},
	{"what the client offered is not what was chosen",
	 "GET / H\r\nSec-WebSocket-Protocol: a, b\r\n\r\n", OK "\r\n", .path = "/",
	 .status = "HTTP/1.1 101 Switching Protocols"},
};

static void assert_text(struct text text, const char *expected)
{
	char copy[512] = "";

	if (!expected)
		expected = "";
	assert_true(text.len < sizeof(copy));
	if (text.len)
		memcpy(copy, text.at, text.len);
	assert_string_equal(copy, expected);
}

static void heads(void **state)
{
	const struct row *row = *state;
	struct guard requests = guard_new(512), responses = guard_new(512);
	const char *response = row->response ? row->response : "";
	size_t request_len = strlen(row->request), response_len = strlen(response);
	struct handshake h;

	handshake_parse(
		(struct text){(char *)guard_copy(&requests, row->request, request_len),
			      request_len},
		(struct text){(char *)guard_copy(&responses, response, response_len), response_len},
		&h);
	assert_text(h.path, row->path);
	assert_text(h.forwarded_for, row->forwarded);
	assert_text(h.status_line, row->status);
	assert_text(h.subprotocol, row->protocol);
	assert_text(h.extensions, row->extensions);
	guard_free(&requests);
	guard_free(&responses);
}

static void no_truncation_reads_beyond_its_end(void **state)
{
	struct guard guard = guard_new(512);

	(void)state;
	for (size_t r = 0; r < COUNT(rows); r++) {
		size_t len = strlen(rows[r].request);

		for (size_t cut = 0; cut <= len; cut++) {
			const char *at = (char *)guard_copy(&guard, rows[r].request, cut);
			struct handshake h;

			handshake_parse((struct text){at, cut}, (struct text){0}, &h);
			handshake_parse((struct text){0}, (struct text){at, cut}, &h);
		}
	}
	guard_free(&guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("no truncation reads beyond its end", no_truncation_reads_beyond_its_end),
	};

	return check_run("handshake", heads, rows, sizeof(rows[0]), COUNT(rows), tests,
			 COUNT(tests));
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * http1.h. A row is a head and what must be found in it. Up to its last byte a head asks for more at
 * every byte, so a head may be cut anywhere; the state is all that is carried.
 */
#include "check.h"

#include <stdio.h>

#include "guard.h"
#include "http1_model.h"
#include "random.h"

static struct guard guard;

enum { Q = HTTP1_REQUEST, A = HTTP1_RESPONSE };
enum { UP = HTTP1_UPGRADE, BAD = HTTP1_BAD };

struct row {
	const char *name;
	int kind;
	const char *head;
	const char *body; /* follows the head, belongs to nobody here */
	int other_at;     /* after so many bytes it is known to be no head */
	int more;         /* 1: the head is not complete */
	int flags;
	const char *key;
	const char *path;
	int status;
};

#define UPGRADE "Upgrade: websocket\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n"
#define OK101 "HTTP/1.1 101 Switching Protocols\r\n"
#define KEY24 "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT28 "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* clang-format off */
static const struct row rows[] = {
	/* whole heads */
	{"the request of RFC 6455 1.2", Q, GET("/chat") "Host: server.example.com\r\n" UPGRADE
	 "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY24 "\r\nOrigin: http://example.com\r\n"
	 "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n",
	 .flags = UP, .key = KEY24, .path = "/chat"},
	{"the response of RFC 6455 1.2", A, OK101 UPGRADE "Connection: Upgrade\r\n"
	 "Sec-WebSocket-Accept: " ACCEPT28 "\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
	 .flags = UP, .key = ACCEPT28, .status = 101},
	{"a request without headers", Q, GET("/") "\r\n", .path = "/"},
	{"a response without headers", A, "HTTP/1.1 404 Not Found\r\n\r\n", .status = 404},
	{"lines that end in LF alone", Q, "GET /x HTTP/1.1\nupgrade: websocket\nsec-websocket-key: abc\n\n",
	 .flags = UP, .key = "abc", .path = "/x"},
	{"a response with LF alone", A, "HTTP/1.1 403 No\nX: y\n\n", .status = 403},
	{"LF and CRLF mixed", Q, "GET / HTTP/1.1\r\nA: b\nUpgrade: websocket\r\n\n", .flags = UP, .path = "/"},
	{"LF lines before a CRLF empty line", Q, "GET / HTTP/1.1\nA: b\n\r\n", .path = "/"},
	{"a CR inside a line ends nothing", Q, GET("/") "A: b\rc\r\r\n\r\n", .path = "/"},
	{"an empty line with a space in it is not empty", Q, GET("/") " \r\n\r\n", .path = "/"},
	{"a line that begins with CR and goes on is not empty", Q, GET("/") "\rA: b\r\n\r\n", .path = "/"},

	/* path */
	{"the query is not part of the path", Q, GET("/a/b?token=secret") "\r\n", .path = "/a/b"},
	{"a second question mark changes nothing", Q, GET("/a?b?c") "\r\n", .path = "/a"},
	{"an empty query", Q, GET("/a?") "\r\n", .path = "/a"},
	{"an empty path", Q, "GET  HTTP/1.1\r\n\r\n", .path = ""},
	{"a path of escapes, UTF-8 and a hash sign", Q, GET("/%20/\xc3\xa9#x") "\r\n", .path = "/%20/\xc3\xa9#x"},
	{"the path's case matters", Q, GET("/A") "\r\n", .path = "/A"},
	{"a request line without a version", Q, "GET /x\r\n\r\n", .path = "/x"},
	{"a request line without a version, LF alone", Q, "GET /x\n\n", .path = "/x"},
	{"an upgrade in the query is none", Q, GET("/?Upgrade: websocket") "\r\n", .path = "/"},

	/* no heads */
	{"POST is no upgrade request", Q, "POST / HTTP/1.1\r\n\r\n", .other_at = 1},
	{"get in lower case is no method", Q, "get / HTTP/1.1\r\n\r\n", .other_at = 1},
	{"GETS is not GET", Q, "GETS / HTTP/1.1\r\n\r\n", .other_at = 4},
	{"GE is not GET", Q, "GE / HTTP/1.1\r\n\r\n", .other_at = 3},
	{"a TLS record is no request", Q, "\x16\x03\x01\x02", .other_at = 1},
	{"an empty line before a request is no request", Q, "\r\nGET / HTTP/1.1\r\n\r\n", .other_at = 1},
	{"a request is no response", A, GET("/") "\r\n", .other_at = 1},
	{"a response is no request", Q, "HTTP/1.1 101 X\r\n\r\n", .other_at = 1},
	{"HTTP/2 is no HTTP/1", A, "HTTP/2 200\r\n\r\n", .other_at = 6},
	{"a version that is no digit", A, "HTTP/1.x 200 OK\r\n\r\n", .other_at = 8},
	{"a version of two digits", A, "HTTP/1.10 200 OK\r\n\r\n", .other_at = 9},
	{"http in lower case", A, "http/1.1 200 OK\r\n\r\n", .other_at = 1},

	/* status */
	{"HTTP/1.0 answers too", A, "HTTP/1.0 200 OK\r\n\r\n", .status = 200},
	{"status 101", A, "HTTP/1.1 101 X\r\n\r\n", .status = 101},
	{"status 426", A, "HTTP/1.1 426 Upgrade Required\r\n" UPGRADE "\r\n", .flags = UP, .status = 426},
	{"status 599", A, "HTTP/1.1 599 \r\n\r\n", .status = 599},
	{"a status without a reason and without the space", A, "HTTP/1.1 200\r\n\r\n", .status = 200},
	{"a status without a reason, LF alone", A, "HTTP/1.1 200\n\n", .status = 200},
	{"a status whose first byte is no digit", A, "HTTP/1.1 x01 X\r\n\r\n", .other_at = 10},
	{"a status whose second byte is no digit", A, "HTTP/1.1 1x1 X\r\n\r\n", .other_at = 11},
	{"a status whose third byte is no digit", A, "HTTP/1.1 10x X\r\n\r\n", .other_at = 12},
	{"a status of two digits", A, "HTTP/1.1 10 X\r\n\r\n", .other_at = 12},
	{"a status of two digits at the line's end", A, "HTTP/1.1 10\r\n\r\n", .other_at = 12},
	{"a status of four digits", A, "HTTP/1.1 1011 X\r\n\r\n", .other_at = 13},
	{"a status with letters behind", A, "HTTP/1.1 101Switching\r\n\r\n", .other_at = 13},
	{"a status of 0 would mean that there was no answer", A, "HTTP/1.1 000 X\r\n\r\n", .other_at = 10},
	{"a status after two spaces", A, "HTTP/1.1  101 X\r\n\r\n", .other_at = 10},
	{"a status cut short is partial", A, "HTTP/1.1 10", .more = 1, .status = 10},

	/* Upgrade */
	{"websocket in capitals", Q, GET("/") "UPGRADE: WEBSOCKET\r\n\r\n", .flags = UP, .path = "/"},
	{"WebSocket as some write it", Q, GET("/") "upgrade: WebSocket\r\n\r\n", .flags = UP, .path = "/"},
	{"no space after the colon", Q, GET("/") "Upgrade:websocket\r\n\r\n", .flags = UP, .path = "/"},
	{"blanks around", Q, GET("/") "Upgrade: \t websocket \t \r\n\r\n", .flags = UP, .path = "/"},
	{"websocket second in a list", Q, GET("/") "Upgrade: h2c, WebSocket\r\n\r\n", .flags = UP, .path = "/"},
	{"websocket first in a list", Q, GET("/") "Upgrade: websocket,h2c\r\n\r\n", .flags = UP, .path = "/"},
	{"websocket between others without spaces", Q, GET("/") "Upgrade: a,websocket,b\r\n\r\n", .flags = UP,
	 .path = "/"},
	{"websocket after empty elements", Q, GET("/") "Upgrade: ,,websocket\r\n\r\n", .flags = UP, .path = "/"},
	{"a second Upgrade header", Q, GET("/") "Upgrade: h2c\r\n" UPGRADE "\r\n", .flags = UP, .path = "/"},
	{"a later Upgrade header takes nothing back", Q, GET("/") UPGRADE "Upgrade: h2c\r\n\r\n", .flags = UP,
	 .path = "/"},
	{"Upgrade as the last header with LF alone", Q, "GET / HTTP/1.1\nUpgrade: websocket\n\n", .flags = UP,
	 .path = "/"},
	{"h2c is no websocket", Q, GET("/") "Upgrade: h2c\r\n\r\n", .path = "/"},
	{"websockets is no websocket", Q, GET("/") "Upgrade: websockets\r\n\r\n", .path = "/"},
	{"xwebsocket is none", Q, GET("/") "Upgrade: xwebsocket\r\n\r\n", .path = "/"},
	{"websocke is none", Q, GET("/") "Upgrade: websocke\r\n\r\n", .path = "/"},
	{"websocketwebsocket is none", Q, GET("/") "Upgrade: websocketwebsocket\r\n\r\n", .path = "/"},
	{"websocket-2 and my_websocket are none", Q, GET("/") "Upgrade: websocket-2, my_websocket\r\n\r\n",
	 .path = "/"},
	{"web socket in two words is none", Q, GET("/") "Upgrade: web socket\r\n\r\n", .path = "/"},
	{"a token over two lines is none", Q, GET("/") "Upgrade: web\r\nsocket: x\r\n\r\n", .path = "/"},
	{"an empty Upgrade", Q, GET("/") "Upgrade:\r\n\r\n", .path = "/"},
	{"Upgrade-Insecure-Requests is another header", Q, GET("/") "Upgrade-Insecure-Requests: websocket\r\n\r\n",
	 .path = "/"},
	{"X-Upgrade is another header", Q, GET("/") "X-Upgrade: websocket\r\n\r\n", .path = "/"},
	{"an upgrade in another header's value is none", Q, GET("/") "X: Upgrade: websocket\r\n\r\n", .path = "/"},
	{"Connection: upgrade alone is none", Q, GET("/") "Connection: upgrade, websocket\r\n\r\n", .path = "/"},
	{"a space before the colon makes another name", Q, GET("/") "Upgrade : websocket\r\n\r\n", .path = "/"},
	{"a space before the name makes another name", Q, GET("/") " Upgrade: websocket\r\n\r\n", .path = "/"},
	{"Upgrade without a colon", Q, GET("/") "Upgrade websocket\r\n\r\n", .path = "/"},
	{"Upgrad: is another header", Q, GET("/") "Upgrad: websocket\r\n\r\n", .path = "/"},
	{"upgrade on the first line is none", A, "HTTP/1.1 200 Upgrade: websocket\r\n\r\n", .status = 200},

	/* key and accept */
	{"a key without a space", Q, GET("/") "Sec-WebSocket-Key:abc\r\n\r\n", .key = "abc", .path = "/"},
	{"a key's name in any case", Q, GET("/") "SEC-WEBSOCKET-KEY: aBc\r\n\r\n", .key = "aBc", .path = "/"},
	{"blanks around a key", Q, GET("/") "Sec-WebSocket-Key: \t abc \t \r\n\r\n", .key = "abc", .path = "/"},
	{"a key's value ends at the first blank", Q, GET("/") "Sec-WebSocket-Key: abc def\r\n\r\n", .key = "abc",
	 .path = "/"},
	{"an empty key is none", Q, GET("/") "Sec-WebSocket-Key:  \r\n\r\n", .path = "/"},
	{"an empty key and then one", Q, GET("/") "Sec-WebSocket-Key:\r\nSec-WebSocket-Key: abc\r\n\r\n",
	 .key = "abc", .path = "/"},
	{"a repeated key is bad, and the first stands", Q,
	 GET("/") "Sec-WebSocket-Key: abc\r\nSec-WebSocket-Key: defg\r\n\r\n", .flags = BAD, .key = "abc",
	 .path = "/"},
	{"a repeated accept is bad", A,
	 OK101 "Sec-WebSocket-Accept: abc\r\nSec-WebSocket-Accept: abc\r\n\r\n", .flags = BAD, .key = "abc",
	 .status = 101},
	{"64 bytes of key are not too many", Q, GET("/") "Sec-WebSocket-Key: "
	 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n\r\n",
	 .key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", .path = "/"},
	{"65 bytes of key are bad", Q, GET("/") "Sec-WebSocket-Key: "
	 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0\r\n\r\n", .flags = BAD,
	 .key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", .path = "/"},
	{"Sec-WebSocket-Key1 of an old draft is no key", Q, GET("/") "Sec-WebSocket-Key1: abc\r\n\r\n",
	 .path = "/"},
	{"Sec-WebSocket-Version and -Protocol are no keys", Q,
	 GET("/") "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Extensions: b\r\n\r\n",
	 .path = "/"},
	{"Sec-Fetch-Mode: websocket is nothing to us", Q, GET("/") "Sec-Fetch-Mode: websocket\r\n\r\n",
	 .path = "/"},
	{"an accept in a request is nothing to us", Q,
	 GET("/") "Sec-WebSocket-Accept: abc\r\nSec-WebSocket-Key: def\r\n\r\n", .key = "def", .path = "/"},
	{"a key that a response repeats is nothing to us", A,
	 OK101 "Sec-WebSocket-Key: abc\r\nSec-WebSocket-Accept: def\r\n\r\n", .key = "def", .status = 101},
	{"Upgrade between key and accept", A, OK101 "Sec-WebSocket-Accept: abc\r\n" UPGRADE "\r\n",
	 .flags = UP, .key = "abc", .status = 101},

	/* what follows */
	{"a body that looks like a head is not read", A,
	 "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
	 .body = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: abc\r\n\r\n", .status = 200},
	{"frames after a 101 are not read", A, OK101 "\r\n", .body = "\x81\x05hello", .status = 101},
	{"a pipelined request is not read", Q, GET("/a") "\r\n", .body = GET("/b") UPGRADE "\r\n",
	 .path = "/a"},

	/* heads that stop early */
	{"no byte at all", Q, "", .more = 1, .path = NULL},
	{"a request line without its end", Q, "GET /x HTTP/1.1", .more = 1, .path = "/x"},
	{"a head without its empty line", Q, GET("/x") UPGRADE, .more = 1, .flags = UP, .path = "/x"},
	{"a head with half of its empty line", Q, GET("/x") "\r", .more = 1, .path = "/x"},
	{"an Upgrade value without its end", Q, GET("/x") "Upgrade: websocket", .more = 1, .path = "/x"},
};
/* clang-format on */

static void check_against_model(const struct http1 *h, const char *bytes, size_t n,
				enum http1_kind kind)
{
	struct http1_model m = http1_model_read(bytes, n, kind);

	assert_int_equal(h->phase == HTTP1_END, m.ended);
	assert_int_equal(h->phase == HTTP1_OTHER, m.other);
	assert_int_equal(h->len, m.len);
	if (m.other)
		return;
	if (m.ended || kind == HTTP1_RESPONSE)
		assert_int_equal(h->status, m.status);
	if (!m.ended)
		return;
	if (kind == HTTP1_REQUEST)
		assert_int_equal(h->path_hash, m.hash);
	assert_int_equal(h->flags, m.flags);
	assert_int_equal(h->body, m.body);
	assert_int_equal(h->key_off, m.key_off);
	assert_int_equal(h->key_len, m.key_len);
}

/* Feeds up to n bytes; each byte finds the state in other memory, as after another call. */
static struct http1 feed(const char *bytes, size_t n, enum http1_kind kind)
{
	struct http1 h[2] = {0};
	size_t i = 0;
	int more = 1;

	for (; i < n && more; i++) {
		h[(i + 1) & 1] = h[i & 1];
		memset(&h[i & 1], 0xee, sizeof(h[0]));
		more = http1_byte(&h[(i + 1) & 1], (__u8)bytes[i], kind);
	}
	return h[i & 1];
}

/* The same, eight bytes at a time wherever http1_pass takes them. */
static struct http1 feed_fast(const char *bytes, size_t n, enum http1_kind kind)
{
	struct http1 h = {0};
	size_t i = 0;
	int more = 1;

	while (i < n && more) {
		__u64 word;
		__u32 taken = 0;

		if (i + 8 <= n) {
			memcpy(&word, bytes + i, 8);
			taken = http1_pass(&h, word);
		}
		if (!taken)
			more = http1_byte(&h, (__u8)bytes[i], kind);
		i += taken ? taken : 1;
	}
	return h;
}

static void row_is_read_and_every_cut_asks_for_more(void **state)
{
	const struct row *r = *state;
	enum http1_kind kind = r->kind;
	size_t len = strlen(r->head), body = r->body ? strlen(r->body) : 0;
	size_t ends = r->other_at ? (size_t)r->other_at : len;
	char all[1024];
	const char *bytes;
	struct http1 h, fast;

	memcpy(all, r->head, len);
	if (body)
		memcpy(all + len, r->body, body);
	bytes = (const char *)guard_copy(&guard, all, len + body);
	h = feed(bytes, len + body, kind);
	check_against_model(&h, bytes, len + body, kind);
	fast = feed_fast(bytes, len + body, kind);
	assert_memory_equal(&fast, &h, sizeof(h));
	assert_int_equal(h.len, ends);
	if (r->other_at) {
		assert_int_equal(h.phase, HTTP1_OTHER);
	} else {
		assert_int_equal(h.phase == HTTP1_END, !r->more);
		assert_int_equal(h.flags, r->flags);
		assert_int_equal(h.status, r->status);
		assert_int_equal(h.key_len, r->key ? strlen(r->key) : 0);
		if (r->key)
			assert_memory_equal(bytes + h.key_off, r->key, h.key_len);
		else
			assert_int_equal(h.key_off, 0);
		if (r->path)
			assert_int_equal(h.path_hash, http1_model_hash(r->path, strlen(r->path)));
		else
			assert_int_equal(h.path_hash, 0);
	}
	for (size_t cut = 0; cut < ends; cut++) {
		bytes = (const char *)guard_copy(&guard, all, cut);
		h = feed(bytes, cut, kind);
		if (h.phase == HTTP1_END || h.phase == HTTP1_OTHER)
			fail_msg("no more is wanted after %zu of %zu bytes", cut, ends);
		assert_int_equal(h.len, cut);
		check_against_model(&h, bytes, cut, kind);
	}
}

/* Published vectors of FNV-1a 64 (Fowler, Noll, Vo), for the model. */
static void model_of_the_hash_is_right(void **state)
{
	(void)state;
	assert_int_equal(http1_model_hash("", 0), 0xcbf29ce484222325);
	assert_int_equal(http1_model_hash("a", 1), 0xaf63dc4c8601ec8c);
	assert_int_equal(http1_model_hash("foobar", 6), 0x85944171f73967e8);
}

static void hash_of_random_paths(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		char head[512] = "GET ";
		size_t n = 4, len = random_below(&seed, 200);
		struct http1 h;

		for (size_t i = 0; i < len; i++) {
			char c = (char)random_next(&seed);

			head[n++] = c == ' ' || c == '?' || c == '\r' || c == '\n' ? '/' : c;
		}
		head[n++] = round & 1 ? ' ' : '?';
		h = feed(head, n, HTTP1_REQUEST);
		assert_int_equal(h.path_hash, http1_model_hash(head + 4, len));
	}
}

/* A head with filler of so many bytes before the headers that count. */
static void long_head(size_t filler, int want_key)
{
	static const char start[] = GET("/long") "Cookie: ";
	static const char rest[] = "\r\n" UPGRADE "Sec-WebSocket-Key: " KEY24 "\r\n\r\n";
	size_t len = sizeof(start) - 1 + filler + sizeof(rest) - 1;
	char *head = malloc(len);
	struct http1 h;

	memcpy(head, start, sizeof(start) - 1);
	memset(head + sizeof(start) - 1, 'c', filler);
	memcpy(head + sizeof(start) - 1 + filler, rest, sizeof(rest) - 1);
	h = feed(head, len, HTTP1_REQUEST);
	check_against_model(&h, head, len, HTTP1_REQUEST);
	assert_int_equal(h.phase, HTTP1_END);
	assert_int_equal(h.len, len);
	assert_int_equal(h.flags, HTTP1_UPGRADE);
	assert_int_equal(h.path_hash, http1_model_hash("/long", 5));
	if (want_key) {
		assert_int_equal(h.key_len, 24);
		assert_memory_equal(head + h.key_off, KEY24, 24);
	} else {
		assert_int_equal(h.key_off, 0);
	}
	free(head);
}

/* RFC 9110 5.6.2 has a few more, which no protocol's name uses; '/' joins name and version. */
static void every_byte_beside_a_token(void **state)
{
	static const char joins[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-/_.+";

	(void)state;
	for (int c = 1; c < 256; c++) {
		char before[64], after[64];
		int want = strchr(joins, c) ? 0 : HTTP1_UPGRADE;
		struct http1 h;

		sprintf(before, "%sUpgrade: %cwebsocket\r\n\r\n", GET("/"), c);
		sprintf(after, "%sUpgrade: websocket%c\r\n\r\n", GET("/"), c);
		h = feed(after, strlen(after), HTTP1_REQUEST);
		assert_int_equal(h.flags, want);
		h = feed(before, strlen(before), HTTP1_REQUEST);
		assert_int_equal(h.flags, c == '\n' ? 0 : want);
	}
}

/* '\0' is what lies beyond a name in http1.h's tables, and must equal nothing. */
static void nul_matches_nothing(void **state)
{
	static const char version[] = "HTTP/1.\0 101 X\r\n\r\n";
	static const char name[] = GET(
		"/") "Upgrade\0: websocket\r\nSec-WebSocket-Key\0: a\r\n\r\n";
	static const char method[] = "GET\0/";
	struct http1 h;

	(void)state;
	h = feed(version, sizeof(version) - 1, HTTP1_RESPONSE);
	assert_int_equal(h.phase, HTTP1_OTHER);
	assert_int_equal(h.len, 8);
	h = feed(method, sizeof(method) - 1, HTTP1_REQUEST);
	assert_int_equal(h.phase, HTTP1_OTHER);
	h = feed(name, sizeof(name) - 1, HTTP1_REQUEST);
	assert_int_equal(h.phase, HTTP1_END);
	assert_int_equal(h.flags, 0);
	assert_int_equal(h.key_off, 0);
}

/* A head of that kind, fed whole. */
static struct http1 read_head(const char *text, enum http1_kind kind)
{
	struct http1 h = {0};

	for (const char *c = text; *c; c++)
		if (!http1_byte(&h, (__u8)*c, kind))
			break;
	return h;
}

static void a_request_says_how_long_its_body_is(void **state)
{
	(void)state;
	assert_int_equal(
		read_head("POST /a HTTP/1.1\r\nContent-Length: 120\r\n\r\n", HTTP1_ANY).body, 120);
	assert_int_equal(read_head("PUT /a HTTP/1.1\r\ncontent-length:7\r\n\r\n", HTTP1_ANY).body,
			 7);
	assert_int_equal(
		read_head("GET /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n", HTTP1_REQUEST).body, 3);
	assert_int_equal(
		read_head("POST /a HTTP/1.1\r\nContent-Lengths: 120\r\n\r\n", HTTP1_ANY).body, 0);
	assert_int_equal(read_head("POST /a HTTP/1.1\r\nX: 1\r\n\r\n", HTTP1_ANY).body, 0);
	assert_int_equal(
		read_head("POST /a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", HTTP1_ANY)
			.body,
		~0u);
}

static void a_chunked_body_is_told(void **state)
{
	(void)state;
	assert_int_equal(
		read_head("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_ANY).flags,
		HTTP1_CHUNKED);
	assert_int_equal(
		read_head("POST / HTTP/1.1\r\nTransfer-Coding: chunked\r\n\r\n", HTTP1_ANY).flags,
		0);
}

static void an_agreed_extension_is_told(void **state)
{
	static const char with[] =
		"HTTP/1.1 101 X\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
	static const char empty[] = "HTTP/1.1 101 X\r\nSec-WebSocket-Extensions: \r\n\r\n";

	(void)state;
	assert_int_equal(read_head(with, HTTP1_RESPONSE).flags, HTTP1_EXTENDED);
	assert_int_equal(read_head(empty, HTTP1_RESPONSE).flags, 0);
}

static void any_method_is_a_request(void **state)
{
	(void)state;
	assert_int_equal(read_head("DELETE /a HTTP/1.1\r\n\r\n", HTTP1_ANY).phase, HTTP1_END);
	assert_int_equal(read_head("OPTIONS * HTTP/1.1\n\n", HTTP1_ANY).phase, HTTP1_END);
	assert_int_equal(read_head("delete /a HTTP/1.1\r\n\r\n", HTTP1_ANY).phase, HTTP1_OTHER);
	assert_int_equal(read_head(" / HTTP/1.1\r\n\r\n", HTTP1_ANY).phase, HTTP1_OTHER);
	assert_int_equal(read_head("ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\n\r\n", HTTP1_ANY).phase,
			 HTTP1_OTHER);
}

static void head_of_20_kb(void **state)
{
	(void)state;
	long_head(20000, 1);
}

static void key_beyond_64_kb(void **state)
{
	(void)state;
	long_head(65000, 1);
	long_head(65466, 1); /* the value's first byte has offset 65535, */
	long_head(65467, 0); /* and here one more */
	long_head(70000, 0);
}

static void a_thousand_headers(void **state)
{
	char *head = malloc(30000);
	struct http1 h;
	int len = sprintf(head, "%s", GET("/"));

	(void)state;
	for (int i = 0; i < 1000; i++)
		len += sprintf(head + len, "Upgrade-%d: websocket\r\n", i);
	len += sprintf(head + len, "\r\n");
	h = feed(head, (size_t)len, HTTP1_REQUEST);
	assert_int_equal(h.phase, HTTP1_END);
	assert_int_equal(h.flags, 0);
	free(head);
}

/* 256 and more bytes of name or value must not wrap the 8-bit column. */
static void names_and_tokens_longer_than_a_column(void **state)
{
	(void)state;
	for (size_t filler = 240; filler < 300; filler++) {
		char head[1024];
		int len;
		struct http1 h;

		len = sprintf(head, "%s%0*d", GET("/") "Upgrade: websocket", (int)filler, 0);
		len += sprintf(head + len, "\r\n%0*d%s", (int)filler, 0,
			       "upgrade: websocket\r\n\r\n");
		h = feed(head, (size_t)len, HTTP1_REQUEST);
		check_against_model(&h, head, (size_t)len, HTTP1_REQUEST);
		assert_int_equal(h.phase, HTTP1_END);
		assert_int_equal(h.flags, 0);
	}
}

/* Heads put together from pieces that matter, with damage. */
static void random_heads(void **state)
{
	static const char *const parts[] = {
		"Upgrade",
		":",
		" ",
		"websocket",
		",",
		"\r\n",
		"\n",
		"\r",
		"Sec-WebSocket-Key",
		"Sec-WebSocket-Accept",
		"abc",
		KEY24,
		"s",
		"\t",
		"h2c",
		"\r\n\r\n",
		": ",
		"Upgrade: ",
		"\r\nUpgrade: websocket\r\n",
		"\r\nSec-WebSocket-Key: ",
		"\r\nsec-websocket-accept:",
		"\x80",
		"X",
		"?",
		"-",
		"upgrade:websocket",
	};
	uint64_t seed = 11;
	int ended = 0, upgrades = 0, keys = 0;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		enum http1_kind kind = (enum http1_kind)(round & 1);
		char head[1024];
		size_t n = (size_t)sprintf(head, "%s", kind ? "HTTP/1.1 101 X\r\n" : GET("/p"));
		uint64_t nr = random_below(&seed, 24);
		struct http1 h, fast;

		while (nr--)
			n += (size_t)sprintf(head + n, "%s",
					     parts[random_below(&seed, COUNT(parts))]);
		if (random_below(&seed, 8) == 0)
			head[random_below(&seed, n)] = (char)random_next(&seed);
		h = feed(head, n, kind);
		check_against_model(&h, head, n, kind);
		fast = feed_fast(head, n, kind);
		assert_memory_equal(&fast, &h, sizeof(h));
		ended += h.phase == HTTP1_END;
		upgrades += h.phase == HTTP1_END && (h.flags & HTTP1_UPGRADE);
		keys += h.phase == HTTP1_END && h.key_len;
	}
	/* the generator is worth something only if it gets there */
	assert_true(ended > 10000 && upgrades > 1000 && keys > 1000);
}

/* Every byte at every place of a word, after nothing and after a line's end that may be the last. */
static void words_are_passed_over_as_bytes_are(void **state)
{
	static const char *const before[] = {"GET /p HTTP/1.1\r\nX:",
					     "GET /p HTTP/1.1\r\n",
					     "GET /p HTTP/1.1\r\nX: \r",
					     "GET /p",
					     "GE",
					     ""};

	(void)state;
	for (size_t i = 0; i < COUNT(before); i++) {
		for (int round = 0; round < 256 * 8 * 3; round++) {
			char text[64] = "";
			size_t n = strlen(before[i]);
			struct http1 slow, fast;

			memcpy(text, before[i], n);
			memset(text + n, round % 3 == 0 ? 'x' : round % 3 == 1 ? '\r' : '\x8a', 8);
			text[n + (size_t)(round / 3 % 8)] = (char)(round / 24);
			memcpy(text + n + 8, "\n\r\n\n", 4);
			slow = feed(text, n + 12, HTTP1_REQUEST);
			fast = feed_fast(text, n + 12, HTTP1_REQUEST);
			assert_memory_equal(&fast, &slow, sizeof(slow));
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("the model's hash agrees with published vectors",
			 model_of_the_hash_is_right),
		SENTENCE("the path's hash is FNV-1a of its bytes", hash_of_random_paths),
		SENTENCE("a letter, digit or - / _ . + beside websocket makes another token",
			 every_byte_beside_a_token),
		SENTENCE("a NUL byte matches nothing", nul_matches_nothing),
		SENTENCE("a request says how long its body is",
			 a_request_says_how_long_its_body_is),
		SENTENCE("a chunked body is told", a_chunked_body_is_told),
		SENTENCE("an agreed extension is told", an_agreed_extension_is_told),
		SENTENCE("any method is a request", any_method_is_a_request),
		SENTENCE("a head of 20 KB is read to its end", head_of_20_kb),
		SENTENCE("a key that begins beyond 64 KB is not told", key_beyond_64_kb),
		SENTENCE("a thousand headers that begin like Upgrade", a_thousand_headers),
		SENTENCE("names and tokens of 240 to 300 bytes match nothing",
			 names_and_tokens_longer_than_a_column),
		SENTENCE("random heads agree with the model", random_heads),
		SENTENCE("eight bytes are passed over as each of them would be",
			 words_are_passed_over_as_bytes_are),
	};

	guard = guard_new(4096);
	return check_run("http1", row_is_read_and_every_cut_asks_for_more, rows, sizeof(rows[0]),
			 COUNT(rows), tests, COUNT(tests));
}

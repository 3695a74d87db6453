// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * http.c, api.c and auth.c as the agent runs them, on bytes as strangers send them: whatever comes,
 * every answer is well formed and of a kind that there is, nothing that needs a token is answered
 * without one, and what is local stays local. Input: see input.h; of its first byte bit 0 chooses
 * the local listener, bit 1 a base path. Pieces are sent one by one; those that "pass unread" are
 * not sent at all. In the stream stand the secrets below where a client would have one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>

#include "http.h"
#include "input.h"
#include "log.h"
#include "page.h"
#include "require.h"
#include "synthetic.h"

#define STAFF "wsv_SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS"
#define SCRAPE "wsv_PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP"
#define CODE "wsv_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
#define BASE "/admin/ws"
#define ANSWERS_MAX (1u << 24) /* bytes; more than 4096 bytes can ask for */

/* What lives from one input to the next. */
struct fixture {
	struct settings plain, based;
	struct world *world;
	struct api api;
	struct http *http;
	char dir[32];
	struct sockaddr_un tcp, local;
	unsigned commands; /* reset or reload were called */
	char *answers;
};

/* What a client has sent and got. */
struct talk {
	char sent[INPUT_CUTS * 512 + 4096];
	size_t nr_sent;
	const char *at, *end; /* answers that are not looked at yet */
	bool local, closed;
	unsigned kept; /* answers after which the connection stayed */
};

/* Else each input's struct auth lies in memory that was never touched before. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8";
}

/* --- the fixture --- */

static int command(char *ret_text, size_t size, void *ctx)
{
	struct fixture *f = ctx;

	f->commands++;
	snprintf(ret_text, size, "done");
	return 0;
}

static int listen_at(const char *dir, const char *name, struct sockaddr_un *ret_at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ret_at->sun_family = AF_UNIX;
	snprintf(ret_at->sun_path, sizeof(ret_at->sun_path), "%s/%s", dir, name);
	REQUIRE(fd >= 0 && !bind(fd, (struct sockaddr *)ret_at, sizeof(*ret_at)) && !listen(fd, 8));
	return fd;
}

static void write_token(FILE *file, const char *role, const char *secret)
{
	uint8_t hash[TOKEN_HASH_BYTES];

	token_hash(secret, hash);
	fprintf(file, "%s %s 2024-01-01T00:00:00Z sha256:", role, role);
	for (size_t i = 0; i < sizeof(hash); i++)
		fprintf(file, "%02x", hash[i]);
	fputc('\n', file);
}

static void fixture_tokens(struct fixture *f)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tokens", f->dir);
	file = fopen(path, "we");
	REQUIRE(file);
	write_token(file, "staff", STAFF);
	write_token(file, "scrape", SCRAPE);
	REQUIRE(!fclose(file));
}

static void fixture_remove(void);

static struct fixture *fixture(void)
{
	static struct fixture f;
	struct world *w;
	char error[256];

	if (f.http)
		return &f;
	log_set_level(LOG_ERROR);
	strcpy(f.dir, "/tmp/wsvitals-fuzz-XXXXXX");
	REQUIRE(mkdtemp(f.dir));
	atexit(fixture_remove);
	fixture_tokens(&f);
	settings_default(&f.plain);
	REQUIRE(!settings_set(&f.plain, SETTING_HOST, "x", false, "host", "test", error,
			      sizeof(error)));
	f.based = f.plain;
	REQUIRE(!settings_set(&f.based, SETTING_BASE_PATH, BASE, false, "base-path", "test", error,
			      sizeof(error)));
	w = f.world = world_new();
	world_open(w, SECOND, (struct open_args){.path = "/room/1"});
	/* without histograms: to print those takes longer than all the rest */
	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++) {
		free(w->reading->servers[slot].hists);
		free(w->reading->servers[slot].rare);
		w->reading->servers[slot].hists = NULL;
		w->reading->servers[slot].rare = NULL;
	}
	world_sample_parts(w, 2 * SECOND, READING_WALK);
	f.api = (struct api){
		.aggregate = w->aggregate,
		.summary = w->summary,
		.settings = &f.plain,
		.scope = "port 8000",
		.sandbox = "none",
		.counted = true,
		.reset = command,
		.reload = command,
		.ctx = &f,
	};
	f.answers = malloc(ANSWERS_MAX);
	f.http = http_new(&f.api, listen_at(f.dir, "tcp", &f.tcp),
			  listen_at(f.dir, "local", &f.local), error, sizeof(error));
	REQUIRE(f.answers && f.http);
	return &f;
}

static void fixture_remove(void)
{
	static const char *const names[] = {"tokens", "tokens.used", "first-token", "tcp", "local"};
	struct fixture *f = fixture();
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		unlink(path);
	}
	rmdir(f->dir);
}

/* --- talking --- */

/* Until nothing more is to be had; returns whether the other side has closed. */
static bool read_all(struct fixture *f, int fd, size_t *nr)
{
	for (;;) {
		ssize_t n = recv(fd, f->answers + *nr, ANSWERS_MAX - *nr, MSG_DONTWAIT);

		if (n > 0) {
			*nr += (size_t)n;
			REQUIRE(*nr < ANSWERS_MAX);
			continue;
		}
		if (!n || errno == ECONNRESET)
			return true;
		return false;
	}
}

/* The agent's loop, until it has nothing left to do. */
static bool run(struct fixture *f, int fd, size_t *nr)
{
	bool closed = false;

	/* libmicrohttpd accepts, reads, answers and closes in different rounds */
	for (int idle = 0; idle < 3 && !closed; idle++) {
		size_t before = *nr;

		http_run(f->http);
		closed = read_all(f, fd, nr);
		if (*nr != before || !http_timeout_ms(f->http))
			idle = -1;
	}
	return closed;
}

static void talk(struct fixture *f, const struct input *in, struct talk *talk)
{
	const struct sockaddr_un *to = in->what & 1 ? &f->local : &f->tcp;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t nr = 0;

	REQUIRE(fd >= 0 && !connect(fd, (const struct sockaddr *)to, sizeof(*to)));
	talk->local = in->what & 1;
	for (size_t i = 0; i < in->nr && !talk->closed; i++) {
		const struct input_piece *p = &in->piece[i];

		if (p->gap)
			continue;
		if (send(fd, p->bytes, p->len, MSG_NOSIGNAL) != (ssize_t)p->len)
			break;
		memcpy(talk->sent + talk->nr_sent, p->bytes, p->len);
		talk->nr_sent += p->len;
		talk->closed = run(f, fd, &nr);
	}
	if (!talk->closed)
		talk->closed = run(f, fd, &nr); /* also when nothing was sent: it is accepted */
	talk->at = f->answers;
	talk->end = f->answers + nr;
	/* every kind of request ends when its time is over */
	http_expire(f->http, UINT64_MAX / 2);
	for (int i = 0; i < 8 && !talk->closed; i++) {
		http_run(f->http);
		talk->closed = read_all(f, fd, &nr);
	}
	REQUIRE(talk->closed && talk->end == f->answers + nr);
	close(fd);
}

static bool sent(const struct talk *talk, const char *text)
{
	return memmem(talk->sent, talk->nr_sent, text, strlen(text));
}

static unsigned count_sent(const struct talk *talk, const char *text)
{
	const char *at = talk->sent, *end = talk->sent + talk->nr_sent;
	unsigned nr = 0;

	while ((at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
		at += strlen(text);
		nr++;
	}
	return nr;
}

/* How many heads of requests there can be; with what http.c cannot see in place of a CR. */
static unsigned count_heads(const struct talk *talk)
{
	const char *s = talk->sent;
	unsigned nr = 0;

	for (size_t i = 3; i < talk->nr_sent; i++)
		nr += s[i] == '\n' && s[i - 2] == '\n' &&
		      (s[i - 1] == '\r' || s[i - 1] == ':' || !s[i - 1]) &&
		      (s[i - 3] == '\r' || !s[i - 3]);
	return nr;
}

/* --- answers --- */

struct answer {
	int status;
	const char *head, *head_end;
	char type[64], length[24];
	bool ours, closes, packed, allow, retry, challenge, cookie;
	const char *body, *text; /* text: before it was packed */
	size_t len, text_len;
};

static void take_header(struct answer *a, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t name = colon ? (size_t)(colon - line) : 0, value_len;
	const char *value;

	REQUIRE(name && colon[1] == ' ');
	for (size_t i = 0; i < len; i++)
		REQUIRE((unsigned char)line[i] >= 0x20 && (unsigned char)line[i] < 0x7f);
	value = colon + 2;
	value_len = len - name - 2;
#define IS(text) (name == strlen(text) && !strncasecmp(line, text, name))
	if (IS("Content-Type"))
		snprintf(a->type, sizeof(a->type), "%.*s", (int)value_len, value);
	else if (IS("Content-Length"))
		snprintf(a->length, sizeof(a->length), "%.*s", (int)value_len, value);
	a->ours |= IS("Cache-Control");
	a->closes |= IS("Connection") && !strncasecmp(value, "close", value_len);
	a->packed |= IS("Content-Encoding");
	a->allow |= IS("Allow");
	a->retry |= IS("Retry-After");
	a->challenge |= IS("WWW-Authenticate");
	a->cookie |= IS("Set-Cookie");
#undef IS
}

static void parse_head(struct talk *talk, struct answer *a)
{
	const char *line = talk->at, *end;
	size_t left = (size_t)(talk->end - talk->at);

	a->head = line;
	a->head_end = memmem(line, left, "\r\n\r\n", 4);
	REQUIRE(a->head_end);
	REQUIRE(left > 13 && (!memcmp(line, "HTTP/1.1 ", 9) || !memcmp(line, "HTTP/1.0 ", 9)));
	a->status = atoi(line + 9);
	line = memmem(line, left, "\r\n", 2);
	for (; line < a->head_end; line = end) {
		line += 2;
		end = memmem(line, (size_t)(talk->end - line), "\r\n", 2);
		take_header(a, line, (size_t)(end - line));
	}
	a->body = a->head_end + 4;
}

/* The body as it was before it was packed. */
static void unpack(struct answer *a)
{
	static char text[1 << 20];
	z_stream z = {.next_in = (Bytef *)(uintptr_t)a->body,
		      .avail_in = (uInt)a->len,
		      .next_out = (Bytef *)text,
		      .avail_out = sizeof(text)};

	a->text = a->body;
	a->text_len = a->len;
	if (!a->packed)
		return;
	REQUIRE(inflateInit2(&z, MAX_WBITS + 16) == Z_OK);
	REQUIRE(inflate(&z, Z_FINISH) == Z_STREAM_END && !z.avail_in);
	inflateEnd(&z);
	a->text = text;
	a->text_len = z.total_out;
}

static void require_json(const struct answer *a)
{
	json_t *root;

	root = json_loadb(a->text, a->text_len, JSON_REJECT_DUPLICATES, NULL);
	REQUIRE(json_is_object(root));
	REQUIRE(a->status == 200 || a->status == 503 ||
		json_is_string(json_object_get(root, "error")));
	json_decref(root);
}

/* Whether it is this one of the dashboard's files. */
static bool is_file(const struct answer *a, enum page_file file)
{
	size_t len;
	char *plain;
	bool same;

	plain = page_plain(file, "", &len);
	REQUIRE(plain);
	same = a->text_len == len && !memcmp(a->text, plain, len);
	free(plain);
	return same;
}

/* No answer but what somebody with these credentials may have. */
static void require_allowed(const struct talk *talk, const struct answer *a)
{
	bool json = !strcmp(a->type, "application/json; charset=utf-8");
	bool health = a->len < 64; /* {"status":"ok",…}, and {} of a logout */

	if (a->cookie && !talk->local)
		REQUIRE(sent(talk, CODE) || sent(talk, STAFF));
	if (a->status != 200 || talk->local)
		return;
	REQUIRE(strcmp(a->type, "text/plain; charset=utf-8") != 0);
	if (json && !health)
		REQUIRE(sent(talk, STAFF) && sent(talk, "/api/websocket/"));
	else if (is_file(a, PAGE_INDEX) || is_file(a, PAGE_SCRIPT))
		REQUIRE(sent(talk, STAFF));
	else if (!json && !is_file(a, PAGE_LOGIN) && !is_file(a, PAGE_STYLE) &&
		 !is_file(a, PAGE_ICON))
		REQUIRE((sent(talk, STAFF) || sent(talk, SCRAPE)) && sent(talk, "/metrics"));
}

static void require_kind(const struct answer *a)
{
	static const int ours[] = {200, 303, 304, 400, 401, 403, 404, 405, 413, 415, 421, 429, 503};
	bool known = false;

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		known |= a->status == ours[i];
	REQUIRE(known);
	REQUIRE(a->challenge == (a->status == 401) && a->allow == (a->status == 405));
	REQUIRE(a->retry || a->status != 429);
	REQUIRE(a->closes || (a->status != 413));
}

/* libmicrohttpd's own words end the connection, whatever it writes behind their head. */
static void require_library(struct talk *talk, const struct answer *a)
{
	REQUIRE(a->closes && (a->status == 400 || a->status == 413 || a->status == 414 ||
			      a->status == 431 || a->status == 505));
	REQUIRE(!memmem(a->body, (size_t)(talk->end - a->body), "HTTP/1.1 2", 10));
	talk->at = talk->end;
}

static void next_answer(struct talk *talk)
{
	struct answer a = {0};
	size_t left, len;

	parse_head(talk, &a);
	if (!a.ours) {
		require_library(talk, &a);
		return;
	}
	require_kind(&a);
	len = (size_t)strtoul(a.length, NULL, 10);
	left = (size_t)(talk->end - a.body);
	REQUIRE(*a.length || a.status == 304);
	/* the answer to a HEAD has the length of what it leaves out */
	if (a.status != 304 && !(sent(talk, "HEAD") && (!left || !strncmp(a.body, "HTTP/1.", 7)))) {
		REQUIRE(left >= len);
		a.len = len;
		unpack(&a);
		if (len && !strncmp(a.type, "application/json", 16))
			require_json(&a);
		require_allowed(talk, &a);
	}
	talk->at = a.body + a.len;
	if (a.closes)
		REQUIRE(talk->at == talk->end);
	else
		talk->kept++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct talk t;
	struct fixture *f = fixture();
	struct input in;
	unsigned commands = f->commands;

	input_parse(&in, data, size);
	t = (struct talk){0};
	f->api.auth = auth_new(f->dir, CODE);
	f->api.settings = in.what & 2 ? &f->based : &f->plain;
	REQUIRE(f->api.auth);
	talk(f, &in, &t);
	while (t.at < t.end)
		next_answer(&t);
	REQUIRE(t.kept <= count_heads(&t)); /* each was to a whole one */
	REQUIRE(f->commands - commands <= (t.local ? count_sent(&t, "POST /local/re") : 0));
	auth_free(f->api.auth);
	f->api.auth = NULL;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "http.h"

#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "log.h"
#include "tls.h"

#define GZIP_FROM 512 /* bytes; less does not get smaller */
#define ETAG_SIZE 40
#define FEED_BLOCK 32768 /* bytes of a stream that are asked for at a time */
#define GIVING_WAY 64    /* connections that we have ended and libmicrohttpd has not closed yet */

#define API_POLICY "default-src 'none'; frame-ancestors 'none'"
#define PAGE_POLICY                                                                                \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                \
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "        \
	"require-trusted-types-for 'script'; trusted-types 'none'"

/* A connection, and since when its next answer is due. The ring of all of them has the one that began
 * last at its front. */
struct client {
	struct client *next, *previous;
	struct listener *listener;
	int fd;
	bool ended; /* by us: libmicrohttpd is about to see it */
	uint64_t since_ns;
};

struct listener {
	struct http *http;
	struct MHD_Daemon *daemon;
	unsigned nr, most; /* connections */
	bool local;
};

struct http {
	struct api *api;
	struct listener tcp, local;
	struct client clients; /* head of the ring */
};

/* One request and its answer. */
struct exchange {
	char *uri;    /* as it came; NULL: no memory */
	bool started; /* the head has been looked at */
	char body[API_BODY];
	size_t body_len;
};

static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* --- headers --- */

struct headers {
	const char *authorization, *cookie, *accept, *accept_encoding, *if_none_match;
	const char *type;
	struct gate_request from;
	const char *next; /* where the line behind this one must begin */
	bool broken;      /* repeated where it must not be, or a byte that is no header's */
	bool body;
	bool chunked;              /* or with another way of sending that no login needs */
	unsigned long long length; /* of the body, as announced */
};

/* RFC 9110 5.6.2 */
static bool is_token(const char *text)
{
	const char *c = text;

	while (isalnum((unsigned char)*c) || (*c && strchr("!#$%&'*+-.^_`|~", *c)))
		c++;
	return *text && !*c;
}

static bool take_once(const char **place, const char *value)
{
	bool first = !*place;

	*place = value;
	return first;
}

/* What gate.h decides by: each at most once, a list may come in several. */
static void take_origin(struct headers *h, const char *key, const char *value)
{
	struct gate_request *from = &h->from;

	if (!strcasecmp(key, MHD_HTTP_HEADER_HOST))
		from->host = value;
	else if (!strcasecmp(key, MHD_HTTP_HEADER_CONTENT_TYPE))
		h->broken |= !take_once(&h->type, value);
	else if (!strcasecmp(key, MHD_HTTP_HEADER_ORIGIN))
		h->broken |= !take_once(&from->origin, value);
	else if (!strcasecmp(key, "Sec-Fetch-Site"))
		h->broken |= !take_once(&from->fetch_site, value);
	else if (!strcasecmp(key, "X-Forwarded-For"))
		from->forwarded_for = value; /* the last one is the nearest proxy's */
	else if (!strcasecmp(key, "X-Forwarded-Host"))
		from->forwarded_host = value;
	else if (!strcasecmp(key, "X-Forwarded-Proto"))
		from->forwarded_proto = value;
}

static enum MHD_Result take_header(void *ctx, enum MHD_ValueKind kind, const char *key,
				   size_t key_size, const char *value, size_t value_size)
{
	struct headers *h = ctx;

	(void)kind, (void)key_size;
	if (!value) {
		h->broken = true;
		return MHD_YES;
	}
	h->broken |= key != h->next;
	h->next = value + value_size + strlen("\r\n");
	for (const unsigned char *c = (const unsigned char *)value; *c; c++)
		h->broken |= (*c < 0x20 && *c != '\t') || *c == 0x7f;
	h->broken |= !is_token(key); /* so no white space before the colon, RFC 9112 5.1 */
	if (!strcasecmp(key, MHD_HTTP_HEADER_AUTHORIZATION))
		h->broken |= !take_once(&h->authorization, value);
	else if (!strcasecmp(key, MHD_HTTP_HEADER_COOKIE))
		h->broken |= !take_once(&h->cookie, value);
	else if (!strcasecmp(key, MHD_HTTP_HEADER_ACCEPT))
		h->accept = value;
	else if (!strcasecmp(key, MHD_HTTP_HEADER_ACCEPT_ENCODING))
		h->accept_encoding = value;
	else if (!strcasecmp(key, MHD_HTTP_HEADER_IF_NONE_MATCH))
		h->if_none_match = value;
	else if (!strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) ||
		 !strcasecmp(key, MHD_HTTP_HEADER_EXPECT))
		h->body = h->chunked = true;
	else if (!strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH))
		h->length = strtoull(value, NULL, 10), h->body |= strcmp(value, "0") != 0;
	else
		take_origin(h, key, value);
	return MHD_YES;
}

/* How often a header is there. */
struct occurrence {
	const char *key;
	unsigned nr;
};

static enum MHD_Result count_header(void *ctx, enum MHD_ValueKind kind, const char *key,
				    const char *value)
{
	struct occurrence *occurrence = ctx;

	(void)kind, (void)value;
	occurrence->nr += !strcasecmp(key, occurrence->key);
	return MHD_YES;
}

static unsigned count_of(struct MHD_Connection *connection, const char *key)
{
	struct occurrence occurrence = {.key = key};

	MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &occurrence);
	return occurrence.nr;
}

/*
 * For libmicrohttpd (0.9.75) a NUL ends a request line, a header and even the head, a bare line feed
 * ends a line, and a folded line is glued to the one before: what comes behind would be lost, or taken
 * for the next request. But all that it hands out lies in the one buffer that the head was read into,
 * so no byte of it may be between two parts but the blank, the blanks behind a colon, and CRLF.
 */
static bool request_line_is_whole(const char *method, const char *url, const char *uri,
				  const char *version)
{
	return url == method + strlen(method) + 1 && version == url + strlen(uri) + 1;
}

static bool head_is_whole(struct MHD_Connection *connection, const char *method,
			  const struct headers *headers)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return info && method + info->header_size == headers->next + strlen("\r\n");
}

static struct headers headers_of(struct MHD_Connection *connection, const char *version)
{
	struct headers h = {.next = version + strlen(version) + strlen("\r\n")};
	unsigned hosts = count_of(connection, MHD_HTTP_HEADER_HOST);

	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, take_header, &h);
	/* RFC 9112 3.2: from HTTP/1.1 on there is one */
	h.broken |= hosts > 1 || (!hosts && strcmp(version, MHD_HTTP_VERSION_1_0) != 0) ||
		    count_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH) > 1 ||
		    count_of(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING) > 1;
	return h;
}

/* The quality of a coding or media type in a list of RFC 9110 12.5, times 1000; -1: not named. */
static int quality_of(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list && *list) {
		const char *end = list + strcspn(list, ","), *q;
		size_t token;

		list += strspn(list, " \t");
		token = strcspn(list, " \t;,");
		if (token == len && !strncasecmp(list, name, len)) {
			q = memmem(list, (size_t)(end - list), "q=", 2);
			return q ? (int)(strtod(q + 2, NULL) * 1000) : 1000;
		}
		list = *end ? end + 1 : end;
	}
	return -1;
}

static bool takes_gzip(const struct headers *h)
{
	int quality = quality_of(h->accept_encoding, "gzip");

	if (quality < 0)
		quality = quality_of(h->accept_encoding, "*");
	return quality > 0;
}

static bool wants_openmetrics(const struct headers *h)
{
	int open = quality_of(h->accept, "application/openmetrics-text");
	int text = quality_of(h->accept, "text/plain");

	return open > 0 && open >= text;
}

/* --- the request --- */

/* Only what RFC 3986 lets stand in a request's URI, and no escaped NUL. */
static bool uri_is_good(const char *uri)
{
	if (uri[0] != '/')
		return false;
	for (const char *c = uri; *c; c++) {
		if (*c <= 0x20 || *c >= 0x7f || strchr("\"#<>\\^`{|}", *c))
			return false;
		if (*c == '%' && (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2])))
			return false;
	}
	return !strstr(uri, "%00");
}

static enum MHD_Result take_parameter(void *ctx, enum MHD_ValueKind kind, const char *key,
				      size_t key_size, const char *value, size_t value_size)
{
	struct api_request *request = ctx;

	(void)kind, (void)key_size, (void)value_size;
	if (request->nr_parameters == API_PARAMETERS) {
		request->too_many_parameters = true;
		return MHD_NO;
	}
	request->parameters[request->nr_parameters++] = (struct api_parameter){key, value};
	return MHD_YES;
}

static enum api_method method_of(const char *method)
{
	if (!strcmp(method, MHD_HTTP_METHOD_GET))
		return API_GET;
	if (!strcmp(method, MHD_HTTP_METHOD_HEAD))
		return API_HEAD;
	return strcmp(method, MHD_HTTP_METHOD_POST) ? API_OTHER : API_POST;
}

static void address_of(struct MHD_Connection *connection, uint8_t ret_address[16])
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *from = info ? info->client_addr : NULL;

	memset(ret_address, 0, 16);
	if (from && from->sa_family == AF_INET6) {
		memcpy(ret_address, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
	} else if (from && from->sa_family == AF_INET) {
		ret_address[10] = ret_address[11] = 0xff;
		memcpy(ret_address + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
	}
}

/* --- the answer --- */

/* Replaces the body by its gzip, if that is smaller. */
static bool compress_body(struct api_answer *answer)
{
	z_stream z = {0};
	size_t room;
	char *packed;
	bool done;

	/* 16: a gzip header and trailer around it (zlib.h) */
	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return false;
	room = deflateBound(&z, answer->len);
	packed = malloc(room);
	z.next_in = (Bytef *)answer->body;
	z.avail_in = (uInt)answer->len;
	z.next_out = (Bytef *)packed;
	z.avail_out = (uInt)room;
	done = packed && deflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out < answer->len;
	deflateEnd(&z);
	if (!done) {
		free(packed);
		return false;
	}
	free(answer->body);
	answer->body = packed;
	answer->len = z.total_out;
	return true;
}

/* Weak, because the same body may go out packed or not (RFC 9110 8.8.1). */
static void etag_of(const struct api_answer *answer, char ret_etag[ETAG_SIZE])
{
	uint8_t hash[crypto_generichash_BYTES_MIN];
	char hex[2 * sizeof(hash) + 1];

	crypto_generichash(hash, sizeof(hash), (const unsigned char *)answer->body, answer->len,
			   NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	snprintf(ret_etag, ETAG_SIZE, "W/\"%s\"", hex);
}

static bool etag_matches(const char *list, const char *etag)
{
	/* our tags are hex of a hash: no other tag holds one */
	return list && (!strcmp(list, "*") || strstr(list, etag + 2));
}

static void add(struct MHD_Response *response, const char *key, const char *value)
{
	MHD_add_response_header(response, key, value);
}

static void add_headers(struct MHD_Response *response, const struct api_answer *answer,
			const char *base, const char *etag, bool packed)
{
	char text[384];

	if ((answer->len || answer->status == 200) && answer->status != MHD_HTTP_NOT_MODIFIED)
		add(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	/* the dashboard's own files are asked for again by their tag */
	add(response, MHD_HTTP_HEADER_CACHE_CONTROL,
	    answer->page && answer->status < 400 ? "private, no-cache" : "no-store");
	add(response, MHD_HTTP_HEADER_VARY, "Accept, Accept-Encoding, Authorization, Cookie");
	add(response, "X-Content-Type-Options", "nosniff");
	add(response, "X-Frame-Options", "DENY");
	add(response, "Cross-Origin-Resource-Policy", "same-origin");
	add(response, "Content-Security-Policy", answer->page ? PAGE_POLICY : API_POLICY);
	/* The one-time link's code must not reach another site. Under no-referrer a form of the
	 * page would send `Origin: null' (Fetch, "append a request `Origin' header"). */
	add(response, "Referrer-Policy", answer->page ? "same-origin" : "no-referrer");
	if (answer->page)
		add(response, "Cross-Origin-Opener-Policy", "same-origin");
	if (*etag)
		add(response, MHD_HTTP_HEADER_ETAG, etag);
	if (packed)
		add(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	if (answer->allow)
		add(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
	if (answer->challenge)
		add(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"wsvitals\"");
	if (*answer->location)
		add(response, MHD_HTTP_HEADER_LOCATION, answer->location);
	if (*answer->file) { /* RFC 6266 */
		snprintf(text, sizeof(text), "attachment; filename=\"%s\"", answer->file);
		add(response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, text);
	}
	if (answer->retry_s) {
		snprintf(text, sizeof(text), "%u", answer->retry_s);
		add(response, MHD_HTTP_HEADER_RETRY_AFTER, text);
	}
	if (*answer->session || answer->end_session) {
		snprintf(text, sizeof(text),
			 AUTH_COOKIE "=%s; Path=%s/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
			 answer->session, base, answer->end_session ? 0 : AUTH_SESSION_S,
			 answer->secure ? "; Secure" : "");
		add(response, MHD_HTTP_HEADER_SET_COOKIE, text);
	}
}

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void client_link(struct client *client, struct client *head)
{
	client->next = head->next;
	client->previous = head;
	head->next->previous = client;
	head->next = client;
}

static void client_unlink(struct client *client)
{
	client->next->previous = client->previous;
	client->previous->next = client->next;
}

/* The wait for a request of it begins. */
static void client_begin(struct client *client)
{
	client->since_ns = now_ns();
	client_unlink(client);
	client_link(client, &client->listener->http->clients);
}

/* libmicrohttpd sees the end and closes it. */
static void client_end(struct client *client)
{
	if (client->ended || client->fd < 0)
		return;
	shutdown(client->fd, SHUT_RDWR);
	client->ended = true;
	client->listener->nr--;
}

/* Whoever has taken longest gives way to one that comes: at its limit libmicrohttpd would accept
 * nobody, for as long as many slow clients like. */
static void make_room(const struct listener *listener)
{
	const struct client *head = &listener->http->clients;

	for (struct client *c = head->previous; c != head && listener->nr > listener->most;
	     c = c->previous)
		if (c->listener == listener)
			client_end(c);
}

/* --- bodies that are made while they are sent --- */

struct feed {
	struct api_stream *stream;
	struct client *client; /* NULL: not known */
	char *text;            /* the piece at hand */
	size_t len, at;
};

static ssize_t feed_read(void *ctx, uint64_t position, char *to, size_t max)
{
	struct feed *feed = ctx;
	size_t len;
	int err;

	(void)position; /* libmicrohttpd asks in order */
	if (feed->at == feed->len) {
		free(feed->text);
		feed->text = NULL;
		feed->at = feed->len = 0;
		err = feed->stream->more(feed->stream, &feed->text, &feed->len);
		if (err)
			return err == -ENODATA ? MHD_CONTENT_READER_END_OF_STREAM
					       : MHD_CONTENT_READER_END_WITH_ERROR;
		if (feed->client) /* who takes what he asked for is not slow */
			client_begin(feed->client);
	}
	len = feed->len - feed->at < max ? feed->len - feed->at : max;
	memcpy(to, feed->text + feed->at, len);
	feed->at += len;
	return (ssize_t)len;
}

static void feed_free(void *ctx)
{
	struct feed *feed = ctx;

	feed->stream->free(feed->stream);
	free(feed->text);
	free(feed);
}

/* Takes the stream over. */
static struct MHD_Response *feed_response(struct api_stream *stream, struct client *client)
{
	struct feed *feed = calloc(1, sizeof(*feed));
	struct MHD_Response *response = NULL;

	if (feed) {
		*feed = (struct feed){.stream = stream, .client = client};
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, FEED_BLOCK,
							     feed_read, feed, feed_free);
	}
	if (!response) {
		stream->free(stream);
		free(feed);
	}
	return response;
}

/* Sends the answer and gives its body away. close_after: the rest of what came is not to be read. */
static enum MHD_Result send_answer(struct http *http, struct MHD_Connection *connection,
				   const struct headers *headers, struct api_answer *answer,
				   bool close_after)
{
	const char *base = settings_text(http->api->settings, SETTING_BASE_PATH);
	struct MHD_Response *response;
	char etag[ETAG_SIZE] = "";
	bool packed = answer->packed;
	enum MHD_Result result;

	if (answer->status == 200 && !answer->stream) {
		etag_of(answer, etag);
		/* libmicrohttpd leaves the body out but needs it: a 304 has the length of the 200
		 * (RFC 9110 8.6) */
		if (headers && etag_matches(headers->if_none_match, etag))
			answer->status = MHD_HTTP_NOT_MODIFIED;
	}
	if (!packed && headers && answer->len >= GZIP_FROM && takes_gzip(headers))
		packed = compress_body(answer);
	if (answer->stream)
		response = feed_response(answer->stream, client_of(connection));
	else
		response = MHD_create_response_from_buffer(answer->len, answer->body,
							   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(answer->body);
		return MHD_NO;
	}
	add_headers(response, answer, base, etag, packed);
	if (close_after)
		add(response, MHD_HTTP_HEADER_CONNECTION, "close");
	result = MHD_queue_response(connection, (unsigned)answer->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_error(struct http *http, struct MHD_Connection *connection, int status,
				  const char *text)
{
	struct api_answer answer = {.status = status, .type = "application/json; charset=utf-8"};

	if (asprintf(&answer.body, "{\"error\":\"%s\"}", text) < 0)
		return MHD_NO; /* closes the connection */
	answer.len = strlen(answer.body);
	return send_answer(http, connection, NULL, &answer, true);
}

/* --- libmicrohttpd's callbacks --- */

/* Called with the URI before libmicrohttpd decodes it in place. */
static void *begin_exchange(void *ctx, const char *uri, struct MHD_Connection *connection)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	(void)ctx, (void)connection;
	if (exchange)
		exchange->uri = strdup(uri);
	return exchange;
}

static void end_exchange(void *ctx, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode why)
{
	struct exchange *exchange = *context;
	struct client *client = client_of(connection);

	(void)ctx, (void)why;
	if (exchange) {
		sodium_memzero(exchange->body, sizeof(exchange->body)); /* a token */
		free(exchange->uri);
	}
	free(exchange);
	*context = NULL;
	if (client)
		client_begin(client);
}

static void connection_changed(void *ctx, struct MHD_Connection *connection, void **context,
			       enum MHD_ConnectionNotificationCode what)
{
	struct listener *listener = ctx;
	struct client *client = *context;
	const union MHD_ConnectionInfo *info;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		client = calloc(1, sizeof(*client));
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		if (!client)
			return;
		client->listener = listener;
		client->fd = info ? info->connect_fd : -1;
		client->since_ns = now_ns();
		client_link(client, &listener->http->clients);
		listener->nr++;
		make_room(listener);
		*context = client;
	} else if (client) {
		client_unlink(client);
		listener->nr -= !client->ended;
		free(client);
		*context = NULL;
	}
}

static bool is_form(const char *type)
{
	static const char form[] = "application/x-www-form-urlencoded";

	return type && !strncasecmp(type, form, sizeof(form) - 1) &&
	       strchr("; \t", type[sizeof(form) - 1]);
}

static enum MHD_Result answer_request(struct listener *listener, struct MHD_Connection *connection,
				      const struct exchange *exchange, const char *method,
				      const struct headers *headers)
{
	struct api_request request = {
		.method = method_of(method),
		.local = listener->local,
		.openmetrics = wants_openmetrics(headers),
		.gzip = takes_gzip(headers),
		.authorization = headers->authorization,
		.cookie = headers->cookie,
		.from = headers->from,
		.body = is_form(headers->type) ? exchange->body : NULL,
		.body_len = exchange->body_len,
		.now_ns = now_ns(),
		.wall = time(NULL),
	};
	char *path = strndup(exchange->uri, strcspn(exchange->uri, "?"));
	struct api_answer answer;
	enum MHD_Result result;

	if (!path)
		return MHD_NO;
	request.path = path;
	address_of(connection, request.from.peer);
	request.from.tls = listener->http->api->tls && !listener->local;
	MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, take_parameter, &request);
	if (api_handle(listener->http->api, &request, &answer)) {
		log_problem(LOG_ERROR, "no memory to answer a request");
		result = send_error(listener->http, connection, 503, "out of memory");
	} else {
		result = send_answer(listener->http, connection, headers, &answer, false);
	}
	free(path);
	return result;
}

/* A form of the few bytes that a login takes; its length has been said before. */
static bool may_have_body(const struct listener *listener, const struct exchange *exchange,
			  const char *method, const struct headers *headers)
{
	char path[SETTINGS_BASE_MAX + 64];
	size_t len = strcspn(exchange->uri, "?");

	if (listener->local || headers->chunked || headers->length > API_BODY ||
	    len >= sizeof(path))
		return false;
	memcpy(path, exchange->uri, len);
	path[len] = '\0';
	return api_takes_body(listener->http->api, method_of(method), path);
}

static void take_body(struct exchange *exchange, const char *bytes, size_t *size)
{
	size_t room = sizeof(exchange->body) - exchange->body_len;
	size_t n = *size < room ? *size : room;

	memcpy(exchange->body + exchange->body_len, bytes, n);
	exchange->body_len += n;
	*size = 0;
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **context)
{
	struct listener *listener = ctx;
	struct exchange *exchange = *context;
	struct headers headers = headers_of(connection, version);

	if (!exchange || !exchange->uri)
		return MHD_NO;
	if (exchange->started && *upload_size) {
		take_body(exchange, upload, upload_size);
		return MHD_YES;
	}
	/* RFC 9110 13.1.2: with another method it would not ask for a 304 */
	if (method_of(method) != API_GET && method_of(method) != API_HEAD)
		headers.if_none_match = NULL;
	if (exchange->started)
		return answer_request(listener, connection, exchange, method, &headers);
	exchange->started = true;
	/* An answer in the first call closes the connection: what follows is never taken for a
	 * request. */
	if (headers.broken || !is_token(method) || !uri_is_good(exchange->uri) ||
	    !request_line_is_whole(method, url, exchange->uri, version) ||
	    !head_is_whole(connection, method, &headers))
		return send_error(listener->http, connection, 400,
				  "this request is malformed or has headers twice");
	if (headers.body && !may_have_body(listener, exchange, method, &headers))
		return send_error(listener->http, connection, 413,
				  "no request of this API has a body");
	return MHD_YES;
}

static void log_library(void *ctx, const char *format, va_list args)
{
	char text[256];

	(void)ctx;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_problem(LOG_DEBUG, "http: %s", text);
}

/* --- */

static struct MHD_Daemon *start(struct listener *listener, int fd, unsigned per_address)
{
	bool tls = listener->http->api->tls && !listener->local;
	const struct MHD_OptionItem certificate[] = {
		{MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, tls_callback()},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES},
		{MHD_OPTION_END, 0, NULL},
	};

	/* Not strict: for a missing Host it would write its own answer twice (0.9.75), and hang up
	 * on a blank in a URI without one. Both are refused above. */
	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, handle,
		listener, MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET,
		fd, MHD_OPTION_CONNECTION_LIMIT, listener->most + GIVING_WAY,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY,
		MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_URI_LOG_CALLBACK, begin_exchange, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, end_exchange, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		connection_changed, listener, MHD_OPTION_ARRAY, tls ? certificate : certificate + 2,
		MHD_OPTION_END);
}

struct http *http_new(struct api *api, int tcp_fd, int local_fd, char *ret_error, size_t error_size)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http) {
		snprintf(ret_error, error_size, "out of memory");
		return NULL;
	}
	http->api = api;
	http->clients.next = http->clients.previous = &http->clients;
	http->tcp = (struct listener){.http = http, .most = HTTP_CONNECTIONS};
	http->local = (struct listener){
		.http = http, .most = HTTP_LOCAL_CONNECTIONS, .local = true};
	http->tcp.daemon = start(&http->tcp, tcp_fd, HTTP_PER_ADDRESS);
	http->local.daemon = start(&http->local, local_fd, 0);
	if (!http->tcp.daemon || !http->local.daemon) {
		snprintf(ret_error, error_size, "cannot start the HTTP server: %s",
			 strerror(errno));
		http_free(http);
		return NULL;
	}
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	if (http->tcp.daemon)
		MHD_stop_daemon(http->tcp.daemon);
	if (http->local.daemon)
		MHD_stop_daemon(http->local.daemon);
	free(http);
}

void http_fds(const struct http *http, int ret_fds[2])
{
	const struct listener *listeners[2] = {&http->tcp, &http->local};

	for (int i = 0; i < 2; i++)
		ret_fds[i] = MHD_get_daemon_info(listeners[i]->daemon, MHD_DAEMON_INFO_EPOLL_FD)
				     ->epoll_fd;
}

int http_timeout_ms(struct http *http)
{
	struct MHD_Daemon *daemons[2] = {http->tcp.daemon, http->local.daemon};
	MHD_UNSIGNED_LONG_LONG wait;
	int least = -1;

	for (int i = 0; i < 2; i++)
		if (MHD_get_timeout(daemons[i], &wait) == MHD_YES &&
		    (least < 0 || wait < (MHD_UNSIGNED_LONG_LONG)least))
			least = wait < 60000 ? (int)wait : 60000;
	return least;
}

void http_run(struct http *http)
{
	MHD_run(http->tcp.daemon);
	MHD_run(http->local.daemon);
}

void http_expire(struct http *http, uint64_t now_ns_)
{
	for (struct client *c = http->clients.previous; c != &http->clients; c = c->previous)
		if (now_ns_ - c->since_ns > HTTP_REQUEST_S * 1000000000ull)
			client_end(c);
}

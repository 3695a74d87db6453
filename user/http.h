/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * HTTP on two sockets: TCP for browsers, scrapers and programs, the local one for commands. In:
 * sockets that listen, and the API. Out: answers. The only file that knows libmicrohttpd; it runs in
 * the agent's own event loop, without a thread.
 *
 * No client can starve another: connections, their memory and their time are bounded, in all and by
 * address, and at the limit the connection that has taken longest gives way. Requests with a body that
 * is not the login's, with repeated or broken headers, or with bytes that the library would pass over
 * are refused and their connection closed. What it cannot see: a NUL in place of the CR that ends a
 * line, a colon in place of the CR of the empty line, and whole lines before a request that begin with
 * a NUL, which the library drops as if they were empty.
 */
#ifndef WSVITALS_HTTP_H
#define WSVITALS_HTTP_H

#include "api.h"

#define HTTP_CONNECTIONS 1024 /* at a time */
#define HTTP_PER_ADDRESS 256  /* of these from one address */
#define HTTP_MEMORY 16384     /* bytes for the head of a request */
#define HTTP_IDLE_S 10        /* without a byte */
#define HTTP_REQUEST_S 30     /* from an answer, or the start, to the end of the next */
#define HTTP_LOCAL_CONNECTIONS 64

struct http;

/* Takes the sockets over. NULL: ret_error says why. */
struct http *http_new(struct api *api, int tcp_fd, int local_fd, char *ret_error,
		      size_t error_size);
void http_free(struct http *http);

/* Two descriptors: when one is readable, or after http_timeout_ms, http_run is due. */
void http_fds(const struct http *http, int ret_fds[2]);
/* -1: nothing is due. */
int http_timeout_ms(struct http *http);
void http_run(struct http *http);
/* Ends connections whose time is over. Call it every second or so. */
void http_expire(struct http *http, uint64_t now_ns);

#endif

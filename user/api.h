/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The paths of SPEC 4 and the agent's local ones. In: a path, a query, who asks. Out: status, type
 * and body. Knows nothing of HTTP's wire (http.c) and nothing of SQL.
 *
 * Paths below /local/ exist on the local socket only, which root and our group can open; they need no
 * token, and what they answer is text for the commands to print.
 */
#ifndef WSVITALS_API_H
#define WSVITALS_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregate.h"
#include "auth.h"
#include "gate.h"
#include "recorder.h"
#include "settings.h"

#define API_PARAMETERS 16
#define API_TEXT 512
#define API_BODY 512

enum api_method { API_GET, API_HEAD, API_POST, API_OTHER };

struct api_parameter {
	const char *key;
	const char *value; /* NULL: "?key" without a value */
};

struct api_request {
	enum api_method method;
	const char *path; /* as it came, without the query */
	struct api_parameter parameters[API_PARAMETERS];
	size_t nr_parameters;
	bool too_many_parameters;
	bool local;
	bool openmetrics; /* the client would rather have this than text */
	bool gzip;        /* the client can take it */
	const char *authorization, *cookie;
	struct gate_request from; /* of TCP */
	const char *body;         /* of a form; NULL = none */
	size_t body_len;
	uint64_t now_ns;
	time_t wall;
};

/* A body that is made while it is sent, piece by piece, so that memory does not grow with it. */
struct api_stream {
	/* 0 with a piece for free(); -ENODATA: that was all; another negative errno: it is cut. */
	int (*more)(struct api_stream *stream, char **ret_text, size_t *ret_len);
	void (*free)(struct api_stream *stream);
};

struct api_answer {
	int status;
	const char *type; /* Content-Type */
	char *body;       /* for free() */
	size_t len;
	bool packed;                           /* body is gzip already */
	char file[96];                         /* what it is saved as; "" = it is shown */
	bool page;                             /* a part of the dashboard: its own policy */
	struct api_stream *stream;             /* instead of a body; NULL: there is a body */
	const char *allow;                     /* 405 */
	unsigned retry_s;                      /* 429; 0 = none */
	bool challenge;                        /* 401: WWW-Authenticate */
	char location[SETTINGS_BASE_MAX + 64]; /* 303 */
	char session[TOKEN_TEXT_SIZE];         /* a new cookie; "" = none */
	bool end_session;                      /* the cookie goes */
	bool secure;                           /* the cookie travels over TLS only */
};

/* What answers are made from. The agent owns it and keeps it true. */
struct api {
	struct aggregate *aggregate;
	struct recorder *recorder; /* NULL: no history is kept */
	struct summary *summary;   /* scratch of one answer */
	struct auth *auth;
	const struct settings *settings;
	const char *scope;     /* in words */
	bool counted;          /* there is a sample */
	char engine[API_TEXT]; /* what is wrong with the engine; "" = nothing */
	const char *sandbox;   /* in words */
	bool tls;              /* is what TCP speaks */
	/* 0, or a negative errno; ret_text: what there is to say. */
	int (*reset)(char *ret_text, size_t size, void *ctx);
	int (*reload)(char *ret_text, size_t size, void *ctx);
	void *ctx;
};

/* Whether a request may bring a body: of at most API_BODY bytes. */
bool api_takes_body(const struct api *api, enum api_method method, const char *path);

/* Always an answer. -ENOMEM: there is none. */
int api_handle(struct api *api, const struct api_request *request, struct api_answer *ret_answer);

#endif

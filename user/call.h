/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * One answer in the making: what the files that answer paths share. In: a request. Out: its answer.
 */
#ifndef WSVITALS_CALL_H
#define WSVITALS_CALL_H

#include "api.h"

#define JSON_TYPE "application/json; charset=utf-8"
#define TEXT_TYPE "text/plain; charset=utf-8"

struct call {
	struct api *api;
	const struct api_request *request;
	struct api_answer *answer;
	struct gate gate; /* of TCP */
};

/* 0 with the answer made, or -ENOMEM. */
typedef int (*handler_fn)(struct call *call);

/* Takes the body, which may be NULL for want of memory. */
int answer_text(struct call *call, int status, const char *type, char *body);
__attribute__((format(printf, 3, 4))) int answer_error(struct call *call, int status,
						       const char *format, ...);
/* path: below the base */
int answer_redirect(struct call *call, const char *path);

const char *parameter(const struct call *call, const char *key);
/* Each at most once, each known, each with a value. accepted: "a, b". Returns 1 when the answer is
 * made: something was wrong. */
int check_parameters(struct call *call, const char *const *known, size_t nr, const char *accepted,
		     int *ret_err);
int no_parameters(struct call *call, int *ret_err);

#endif

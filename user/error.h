/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* The table of SPEC 3: close codes, statuses, causes and violations to types of errors. Pure. */
#ifndef WSVITALS_ERROR_H
#define WSVITALS_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

/* X(NAME, key) */
#define ERROR_TYPES(X)                                                                             \
	X(NONE, "none")                                                                            \
	X(AUTHENTICATION, "authentication_error")                                                  \
	X(RATE_LIMIT, "rate_limit_error")                                                          \
	X(HANDSHAKE, "handshake_error")                                                            \
	X(PROTOCOL, "protocol_error")                                                              \
	X(TOO_BIG, "message_too_big")                                                              \
	X(POLICY, "policy_violation")                                                              \
	X(INTERNAL, "internal_error")                                                              \
	X(RESTART, "service_restart")                                                              \
	X(ABNORMAL, "abnormal_closure")                                                            \
	X(APPLICATION, "application_error")                                                        \
	X(WEBSOCKET, "websocket_error")
#define X(NAME, key) ERROR_##NAME,
enum error_type { ERROR_TYPES(X) NR_ERROR_TYPES };
#undef X

/* ERROR_NONE for the normal ones: 1000, 1001, CLOSE_NO_CODE */
enum error_type error_of_close(uint16_t code);
/* of a refused upgrade; 0 = no answer, 101 = wrong Sec-WebSocket-Accept */
enum error_type error_of_status(uint16_t status);

const char *error_key(enum error_type type);
const char *cause_key(enum cause cause);
const char *violation_key(enum violation violation);

/* Close codes where each one is a series: 1000–1015 alone, 3xxx, 4xxx, and the rest as "other". */
#define CLOSE_CLASSES 19
size_t close_class(uint16_t code);
void close_class_text(size_t class, char ret_text[8]);

#endif

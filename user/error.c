// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include <stdio.h>

#include "error.h"

#define X(NAME, key) key,
static const char *const error_keys[] = {ERROR_TYPES(X)};
static const char *const cause_keys[] = {CAUSES(X)};
static const char *const violation_keys[] = {VIOLATIONS(X)};
#undef X

enum error_type error_of_close(uint16_t code)
{
	switch (code) {
	case 1000:
	case 1001:
	case CLOSE_NO_CODE:
		return ERROR_NONE;
	case 1002:
	case 1003:
	case 1007:
	case 1010:
		return ERROR_PROTOCOL;
	case 1008:
		return ERROR_POLICY;
	case 1009:
		return ERROR_TOO_BIG;
	case 1011:
	case 1014:
		return ERROR_INTERNAL;
	case 1012:
		return ERROR_RESTART;
	case 1013:
	case 4029:
	case 4429:
		return ERROR_RATE_LIMIT;
	case CLOSE_OTHER_APPLICATION:
		return ERROR_APPLICATION;
	case 3000:
	case 3003:
	case 4401:
	case 4403:
		return ERROR_AUTHENTICATION;
	default:
		return code >= 3000 && code <= 4999 ? ERROR_APPLICATION : ERROR_WEBSOCKET;
	}
}

enum error_type error_of_status(uint16_t status)
{
	switch (status) {
	case 401:
	case 403:
		return ERROR_AUTHENTICATION;
	case 429:
		return ERROR_RATE_LIMIT;
	default:
		return ERROR_HANDSHAKE;
	}
}

const char *error_key(enum error_type type)
{
	return type < NR_ERROR_TYPES ? error_keys[type] : "unknown";
}

const char *cause_key(enum cause cause)
{
	return cause < NR_CAUSES ? cause_keys[cause] : "unknown";
}

const char *violation_key(enum violation violation)
{
	return violation < NR_VIOLATIONS ? violation_keys[violation] : "unknown";
}

size_t close_class(uint16_t code)
{
	if (code >= 1000 && code <= 1015)
		return code - 1000;
	if (code >= 3000 && code <= 3999)
		return 16;
	if (code >= 4000 && code <= 4999)
		return 17;
	return 18;
}

void close_class_text(size_t class, char ret_text[8])
{
	static const char *const names[] = {"3xxx", "4xxx", "other"};

	if (class < 16)
		snprintf(ret_text, 8, "%u", 1000 + (unsigned)class);
	else
		snprintf(ret_text, 8, "%s", names[class < CLOSE_CLASSES ? class - 16 : 2]);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "form.h"

#include <errno.h>
#include <string.h>

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Returns the length of what comes out, or -EINVAL. ret_value: NULL = only look. */
static int decode(const char *from, size_t len, char *ret_value, size_t size)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		char c = from[i] == '+' ? ' ' : from[i];

		if (c == '%') {
			int high = len - i > 2 ? digit_of(from[i + 1]) : -1;
			int low = len - i > 2 ? digit_of(from[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c || out + 1 >= size)
			return -EINVAL;
		if (ret_value)
			ret_value[out] = c;
		out++;
	}
	if (ret_value)
		ret_value[out] = '\0';
	return (int)out;
}

int form_field(const char *body, size_t len, const char *key, char *ret_value, size_t size)
{
	size_t key_len = strlen(key), at = 0;
	const char *value = NULL;
	size_t value_len = 0;

	while (at < len) {
		const char *end = memchr(body + at, '&', len - at);
		size_t piece = end ? (size_t)(end - body) - at : len - at;

		if (piece > key_len && !memcmp(body + at, key, key_len) &&
		    body[at + key_len] == '=') {
			if (value)
				return -EINVAL;
			value = body + at + key_len + 1;
			value_len = piece - key_len - 1;
		}
		at += piece + 1;
	}
	if (!value)
		return -ENOENT;
	if (decode(value, value_len, NULL, size) < 0)
		return -EINVAL;
	return decode(value, value_len, ret_value, size);
}

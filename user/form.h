/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Fields of an HTML form (application/x-www-form-urlencoded). In: bytes from a stranger. Out: one
 * field's value. Pure.
 */
#ifndef WSVITALS_FORM_H
#define WSVITALS_FORM_H

#include <stddef.h>

/* The length of the value; -ENOENT: no such field; -EINVAL: given twice, a broken escape, a NUL, or
 * longer than size - 1 bytes. */
int form_field(const char *body, size_t len, const char *key, char *ret_value, size_t size);

#endif

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* form.c: one field of a form, as browsers send it and as strangers do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "form.h"

struct row {
	const char *sentence, *body, *value; /* NULL: refused */
	int err;
};

static const struct row rows[] = {
	{"one field", "token=wsv_abc", "wsv_abc", 0},
	{"a field among others", "a=1&token=x&b=2", "x", 0},
	{"an empty field", "token=", "", 0},
	{"blanks and escapes", "token=a+b%20%2B%2f", "a b +/", 0},
	{"a name that only ends like it", "mytoken=x", NULL, -ENOENT},
	{"a name that only begins like it", "tokens=x", NULL, -ENOENT},
	{"a name without a value", "token", NULL, -ENOENT},
	{"nothing", "", NULL, -ENOENT},
	{"separators alone", "&&&", NULL, -ENOENT},
	{"given twice", "token=a&token=b", NULL, -EINVAL},
	{"an escape that is cut", "token=a%2", NULL, -EINVAL},
	{"an escape without digits", "token=%zz", NULL, -EINVAL},
	{"an escape that the next field would complete", "token=a%2&b=0", NULL, -EINVAL},
	{"a NUL", "token=a%00b", NULL, -EINVAL},
	{"as long as there is room", "token=1234567", "1234567", 0},
	{"longer than there is room", "token=12345678", NULL, -EINVAL},
	{"escapes that fit once they are read", "token=%31%32%33%34%35%36%37", "1234567", 0},
};

static void reads(void **state)
{
	const struct row *row = *state;
	size_t len = strlen(row->body);
	char value[8] = "before", *exact = malloc(len + 1);
	int n;

	assert_non_null(exact);
	memcpy(exact, row->body, len); /* without the NUL, so that ASan sees who reads on */
	exact = realloc(exact, len ? len : 1);
	n = form_field(exact, len, "token", value, sizeof(value));
	if (row->value) {
		assert_int_equal(n, strlen(row->value));
		assert_string_equal(value, row->value);
	} else {
		assert_int_equal(n, row->err);
		assert_string_equal(value, "before");
	}
	free(exact);
}

int main(void)
{
	return check_run("form", reads, rows, sizeof(rows[0]), COUNT(rows), NULL, 0);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "csv.h"

#include <stdbool.h>
#include <string.h>

/* OWASP: CSV injection. Full-width forms are taken for the same by some. */
static bool begins_formula(const char *text)
{
	static const char *const wide[] = {"＝", "＋", "－", "＠"};

	if (*text && strchr("=+-@\t\r\n", *text))
		return true;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		if (!strncmp(text, wide[i], strlen(wide[i])))
			return true;
	return false;
}

void csv_text(FILE *out, const char *text)
{
	bool formula = begins_formula(text),
	     quoted = formula || strpbrk(text, "\",;\t\r\n") || *text == ' ';

	if (!quoted) {
		fputs(text, out);
		return;
	}
	fputs(formula ? "\"'" : "\"", out);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', out);
		putc(*text, out);
	}
	putc('"', out);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A field of RFC 4180. In: text from strangers. Out: quoted where it must be; what a spreadsheet would
 * take for a formula gets an apostrophe in front (SPEC 5).
 */
#ifndef WSVITALS_CSV_H
#define WSVITALS_CSV_H

#include <stdio.h>

void csv_text(FILE *out, const char *text);

#endif

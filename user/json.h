/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A summary as JSON, in the shape of SPEC 4. In: a summary. Out: text. The only file that knows
 * jansson.
 */
#ifndef WSVITALS_JSON_H
#define WSVITALS_JSON_H

#include "aggregate.h"

/* For free(). NULL: out of memory. */
char *json_of_summary(const struct summary *summary);
/* {"error": …} */
char *json_of_error(const char *error);
/* What /healthz says; problem: NULL when all is well. */
char *json_of_health(const char *problem);

#endif

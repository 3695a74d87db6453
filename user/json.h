/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A summary as JSON, in the shape of SPEC 4. In: a summary. Out: text. The only file that knows
 * jansson.
 */
#ifndef WSVITALS_JSON_H
#define WSVITALS_JSON_H

#include "aggregate.h"
#include "settings.h"

/* For free(). NULL: out of memory. */
char *json_of_summary(const struct summary *summary);
/* {"error": …} */
char *json_of_error(const char *error);
/* What the dashboard has to know of the agent: scope in words; engine: what is wrong with it, or "". */
char *json_of_about(const struct settings *settings, const char *scope, const char *engine);
/* What /healthz says; problem: NULL when all is well. */
char *json_of_health(const char *problem);

#endif

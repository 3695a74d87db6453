/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* The paths of SPEC 4 that history answers. Each a handler of api.c's table. */
#ifndef WSVITALS_API_HISTORY_H
#define WSVITALS_API_HISTORY_H

#include "call.h"

int history_get(struct call *call);
int heatmap_get(struct call *call);
int connections_get(struct call *call);
int errors_get(struct call *call);
int servers_get(struct call *call);
int channels_get(struct call *call);
int users_get(struct call *call);
int events_get(struct call *call);
int compare_get(struct call *call);
int forecast_get(struct call *call);
int openapi_get(struct call *call);

#endif

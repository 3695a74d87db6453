/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A summary for Prometheus. In: a summary of everything (no filter). Out: text exposition format
 * 0.0.4 or OpenMetrics 1.0.0. Base units (seconds, bytes), counters since counting began, the same histogram bounds on every host. One set of
 * series per server (at most MAX_SERVERS), none per user, channel or close code of strangers.
 */
#ifndef WSVITALS_PROMETHEUS_H
#define WSVITALS_PROMETHEUS_H

#include <stdio.h>

#include "aggregate.h"

enum prometheus_format {
	PROMETHEUS_TEXT,        /* text/plain; version=0.0.4 */
	PROMETHEUS_OPENMETRICS, /* application/openmetrics-text; version=1.0.0 */
};

void prometheus_print(FILE *out, const struct summary *summary, enum prometheus_format format);

#endif

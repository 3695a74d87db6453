/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * A summary for Prometheus: text exposition format 0.0.4. In: a summary. Out: text. Base units
 * (seconds, bytes), counters since the start, the same histogram bounds on every host. One set of
 * series per server (at most MAX_SERVERS), none per user, channel or close code of strangers.
 */
#ifndef WSVITALS_PROMETHEUS_H
#define WSVITALS_PROMETHEUS_H

#include <stdio.h>

#include "aggregate.h"

void prometheus_print(FILE *out, const struct summary *summary);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* Answers from history as text, for commands: handlers of api.c's table for the local socket. */
#ifndef WSVITALS_API_LOCAL_H
#define WSVITALS_API_LOCAL_H

#include "call.h"

int history_local(struct call *call);
int connections_local(struct call *call);
int errors_local(struct call *call);
int compare_local(struct call *call);

#endif

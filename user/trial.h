/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * For tests only (`make trial`, -DWSVITALS_TRIAL): calls that a process that was taken over would
 * make, tried from inside the agent, a signal on which the keeper loses a hook, maps that are small
 * enough to be filled, and a kernel that lacks tracepoints. In the program that people run, this is nothing.
 */
#ifndef WSVITALS_TRIAL_H
#define WSVITALS_TRIAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "loader.h"

#ifdef WSVITALS_TRIAL
/* Tries the call; false: no such trial. *ret_err: 0 when it went through, else the errno. */
bool trial_call(const char *name, int *ret_err);
void trial_keeper_signals(sigset_t *signals);
void trial_keeper_signal(int signal, struct loader *loader);
/* How many entries (or bytes) the map of this name shall have; 0 = as many as it has. From the
 * environment: WSVITALS_TRIAL_MAPS=name=4,other=8 */
uint32_t trial_entries(const char *map);
/* Whether the kernel is to be taken for one without it: WSVITALS_TRIAL_LACKS=tracepoint,other */
bool trial_lacks(const char *tracepoint);
#else
static inline bool trial_call(const char *name, int *ret_err)
{
	(void)name, (void)ret_err;
	return false;
}
static inline void trial_keeper_signals(sigset_t *signals)
{
	(void)signals;
}
static inline void trial_keeper_signal(int signal, struct loader *loader)
{
	(void)signal, (void)loader;
}
static inline uint32_t trial_entries(const char *map)
{
	(void)map;
	return 0;
}
static inline bool trial_lacks(const char *tracepoint)
{
	(void)tracepoint;
	return false;
}
#endif

#endif

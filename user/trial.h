/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * For tests only (`make trial`, -DWSVITALS_TRIAL): calls that a process that was taken over would
 * make, tried from inside the agent, and a signal on which the keeper loses a hook. In the program
 * that people run, this is nothing.
 */
#ifndef WSVITALS_TRIAL_H
#define WSVITALS_TRIAL_H

#include <signal.h>
#include <stdbool.h>

#include "loader.h"

#ifdef WSVITALS_TRIAL
/* Tries the call; false: no such trial. *ret_err: 0 when it went through, else the errno. */
bool trial_call(const char *name, int *ret_err);
void trial_keeper_signals(sigset_t *signals);
void trial_keeper_signal(int signal, struct loader *loader);
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
#endif

#endif

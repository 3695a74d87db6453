/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What a process is, for the labels of servers. In: its number. Out: name, executable, service or
 * container, read from /proc. Others' executables are readable with CAP_SYS_PTRACE only, so in the
 * agent the keeper looks.
 */
#ifndef WSVITALS_PROCESS_H
#define WSVITALS_PROCESS_H

#include <sys/types.h>

#include "label.h"

struct process {
	char comm[COMM_LEN];
	char unit[LABEL_UNIT_SIZE];  /* "" = none */
	char executable[LABEL_SIZE]; /* path, cleaned; "" = cannot be read */
	bool gone; /* there is no such process; false also when nobody could look */
};

/* All "" and gone when there is none. */
void process_read(pid_t pid, struct process *ret_process);

#endif

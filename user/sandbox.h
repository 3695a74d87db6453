/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the two processes of `run` give up (SPEC 7). Both become another user; the keeper keeps the
 * capabilities that attaching and reading other processes need, the agent keeps none and can do
 * only what a reader of maps that serves HTTP must do: seccomp says which calls, Landlock which
 * files. Everything that needs privilege (maps, sockets, directories) is opened before.
 *
 * Functions return 0 or a negative errno with one sentence in ret_error.
 */
#ifndef WSVITALS_SANDBOX_H
#define WSVITALS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct identity {
	uid_t uid;
	gid_t gid;
	char name[32];
	bool own; /* the user is ours: its group may open the local socket */
};

/* User wsvitals, or nobody where it does not exist. */
int identity_find(struct identity *ret_identity, char *ret_error, size_t error_size);

/* Capabilities of the keeper: X(name). What raw uprobe links and the links of /proc need. */
#define KEEPER_CAPABILITIES(X)                                                                     \
	X(BPF)                                                                                     \
	X(PERFMON)                                                                                 \
	X(SYS_PTRACE)                                                                              \
	X(DAC_READ_SEARCH)                                                                         \
	X(CHECKPOINT_RESTORE)

int sandbox_keeper(const struct identity *identity, char *ret_error, size_t error_size);

/* db, run_dir: the only directories in which files can be opened afterwards. ret_landlock: the
 * version of the kernel's Landlock, 0 where it has none: then only the user's rights protect files. */
int sandbox_agent(const struct identity *identity, const char *db, const char *run_dir,
		  int *ret_landlock, char *ret_error, size_t error_size);

#endif

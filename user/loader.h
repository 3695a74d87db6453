/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The kernel half seen from user space: load, attach, read maps, receive records. The only file
 * besides its .c that knows libbpf. The phases are the interface: new, attach, read…, free.
 *
 * Functions return 0 or a negative errno and do not print; what went wrong in words, with what to
 * do about it, is loader_error(). Outputs named ret_* are untouched on failure. A callback that
 * returns non-zero ends the iteration, which returns that value.
 */
#ifndef WSVITALS_LOADER_H
#define WSVITALS_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "scope.h"

struct loader;

/* A hook in the kernel and whether it could be attached. Strings live as long as the loader. */
struct loader_hook {
	const char *name;    /* "tp_btf/sock_recv_length" */
	const char *purpose; /* "data received" */
	bool required;
	bool available; /* the running kernel has it */
	bool needed;    /* the scope asks for it */
	bool attached;
	const char *reason; /* why not, in words; NULL when attached */
	uint64_t runs;      /* from the kernel's run statistics, 0 unless these are enabled */
	uint64_t run_ns;
	uint64_t missed; /* runs skipped by the kernel because of recursion */
};

/*
 * Opens and loads the programs for this scope; nothing is attached yet, nothing is pinned.
 * *ret_loader is set even on failure when there is something to say (loader_error), and is always
 * to be given to loader_free. -EPERM: privilege missing; -EOPNOTSUPP: kernel feature missing.
 */
int loader_new(const struct scope *scope, struct loader **ret_loader);
int loader_attach(struct loader *loader);
/* Detaches and unloads everything. NULL is fine. */
void loader_free(struct loader *loader);
/* One sentence on the last failure: what, why, what to do. Never NULL. */
const char *loader_error(const struct loader *loader);

/* Waits up to timeout_ms for records and hands each over; returns how many, or -errno. The record
 * is valid during the call only. */
typedef void (*loader_record_fn)(const void *record, size_t len, void *ctx);
int loader_receive(struct loader *loader, int timeout_ms, loader_record_fn fn, void *ctx);

/* Sums over CPUs. An epoch's extremes are merged over CPUs; slots of older epochs are kept as they
 * are, so the reader compares extreme.epoch with the epochs it wants (see EPOCH_SHIFT). */
int loader_counters(struct loader *loader, uint32_t slot, struct server_counters *ret_counters);
int loader_hists(struct loader *loader, uint32_t slot, struct server_hists *ret_hists);
int loader_rare(struct loader *loader, uint32_t slot, struct server_rare *ret_rare);
int loader_books(struct loader *loader, struct book_fields *ret_books);

/* Server slots in use, SLOT_OTHER and SLOT_UPSTREAM excepted. */
typedef int (*loader_server_fn)(const struct server_key *key, const struct server_info *info,
				void *ctx);
int loader_each_server(struct loader *loader, loader_server_fn fn, void *ctx);
/* Channels on which something was counted. */
typedef int (*loader_channel_fn)(uint16_t slot, const struct channel_stats *stats, void *ctx);
int loader_each_channel(struct loader *loader, loader_channel_fn fn, void *ctx);
typedef int (*loader_outcome_fn)(const struct outcome_key *key, uint64_t count, void *ctx);
int loader_each_outcome(struct loader *loader, loader_outcome_fn fn, void *ctx);
typedef int (*loader_unseen_fn)(const struct unseen_key *key, uint64_t count, void *ctx);
int loader_each_unseen(struct loader *loader, loader_unseen_fn fn, void *ctx);
/* Walks the open connections in the kernel. */
typedef int (*loader_walk_fn)(const struct walk_record *connection, void *ctx);
int loader_walk(struct loader *loader, loader_walk_fn fn, void *ctx);
typedef int (*loader_hook_fn)(const struct loader_hook *hook, void *ctx);
int loader_each_hook(struct loader *loader, loader_hook_fn fn, void *ctx);

/* From now on, connections with this path count for this channel slot (1..MAX_CHANNELS-1). */
int loader_name_channel(struct loader *loader, const struct channel_key *key, uint16_t slot);

/*
 * After a fork of the process that has attached: the keeper keeps the hooks and nothing that can be
 * read, the agent what can be read and no hook. When the keeper ends, so do the hooks.
 */
void loader_keep_attaching(struct loader *loader);
void loader_keep_reading(struct loader *loader);

/* Readable when there are records. */
int loader_ring_fd(const struct loader *loader);

/* Whether a hook that was attached is not any more; its name. */
bool loader_lost_hook(const struct loader *loader, char *ret_name, size_t size);
/* Detaches one tracepoint's hooks: for tests of the above. */
void loader_drop_hook(struct loader *loader, const char *tracepoint);

/* What this host can do, without loading anything: every hook with available/reason set. */
int loader_probe(loader_hook_fn fn, void *ctx);

#endif

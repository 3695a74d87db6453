// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Loads, attaches and reads the kernel half. In: a scope. Out: maps as structs, records as bytes.
 * What the running kernel has is looked up in its BTF, never guessed from its version.
 */
#define _GNU_SOURCE
#include "loader.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "socket.skel.h"
#include "trial.h"

/* Longer than any path in /proc or the cgroup tree that a message has to quote. */
#define ERROR_MAX 512

/* One row per program that is attached to a tracepoint. */
struct hook_row {
	const char *name;
	const char *tracepoint; /* as in BTF: btf_trace_<tracepoint> */
	const char *purpose;
	bool required;
	bool for_pids;  /* only when the scope names processes */
	size_t program; /* offset of its bpf_program in struct socket_bpf */
	size_t link;
};

#define HOOK(prog, tp, why, need, pids)                                                            \
	{                                                                                          \
		.name = "tp_btf/" #tp, .tracepoint = #tp, .purpose = why, .required = need,        \
		.for_pids = pids, .program = offsetof(struct socket_bpf, progs.prog),              \
		.link = offsetof(struct socket_bpf, links.prog)                                    \
	}

/*
 * In the order of attaching: what ends connections before what begins them, and reads before
 * writes, because a socket whose first sight is the server's write is taken for another protocol.
 */
static const struct hook_row hook_rows[] = {
	HOOK(on_fork, sched_process_fork, "descendants of --pid", true, true),
	HOOK(on_exit, sched_process_exit, "processes of --pid that end", true, true),
	HOOK(on_destroy, tcp_destroy_sock, "ends of connections", true, false),
	HOOK(on_destroy_twin, tcp_destroy_sock, "the same, while it interrupts itself", true,
	     false),
	HOOK(on_set_state, inet_sock_set_state, "closing of connections and its cause", true,
	     false),
	HOOK(on_set_state_twin, inet_sock_set_state, "the same, while it interrupts itself", true,
	     false),
	HOOK(on_receive_reset, tcp_receive_reset, "resets by the peer", true, false),
	HOOK(on_send_reset, tcp_send_reset, "resets by the server", true, false),
	HOOK(on_data_ready, sk_data_ready, "queue wait", false, false),
	HOOK(on_uring_file, io_uring_file_get, "bytes that io_uring moves", false, false),
	HOOK(on_uring_submit, io_uring_submit_req, "the same, of registered files", false, false),
	HOOK(on_uring_arm, io_uring_poll_arm, "the same, after waiting", false, false),
	HOOK(on_recv, sock_recv_length, "bytes received", true, false),
	HOOK(on_send, sock_send_length, "bytes sent", true, false),
};
#define NR_HOOKS (sizeof(hook_rows) / sizeof(hook_rows[0]))

/* Iterators: attached while there is privilege to, run later without. */
enum { WALK_CONNS, WALK_UNIX, SWEEP_UNIX, NR_WALKS };

struct loader {
	struct socket_bpf *skel;
	struct ring_buffer *ring;
	struct bpf_link *walks[NR_WALKS];
	struct loader_hook hooks[NR_HOOKS];
	void *percpu; /* one value of the largest per-CPU map, for each CPU */
	int nr_cpus;
	loader_record_fn record_fn;
	void *record_ctx;
	int nr_records;
	char error[ERROR_MAX];
};

static struct bpf_program *hook_program(struct loader *loader, const struct hook_row *row)
{
	return *(struct bpf_program **)((char *)loader->skel + row->program);
}

static struct bpf_link **hook_link(struct loader *loader, const struct hook_row *row)
{
	return (struct bpf_link **)((char *)loader->skel + row->link);
}

/* Notes what went wrong and returns err. */
__attribute__((format(printf, 3, 4))) static int fail(struct loader *loader, int err,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(loader->error, sizeof(loader->error), format, args);
	va_end(args);
	return err;
}

const char *loader_error(const struct loader *loader)
{
	if (!loader)
		return "out of memory";
	return loader->error[0] ? loader->error : "no error";
}

/* libbpf's own words go to nobody unless somebody debugs: the caller gets one sentence instead. */
static int libbpf_words(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_DEBUG || !getenv("WSVITALS_DEBUG_LIBBPF"))
		return 0;
	return vfprintf(stderr, format, args);
}

static bool kernel_has(const struct btf *btf, const struct hook_row *row)
{
	char type[128];

	snprintf(type, sizeof(type), "btf_trace_%s", row->tracepoint);
	return btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF) > 0;
}

static void hooks_fill(struct loader_hook *hooks, const struct btf *btf)
{
	for (size_t i = 0; i < NR_HOOKS; i++) {
		hooks[i] = (struct loader_hook){
			.name = hook_rows[i].name,
			.purpose = hook_rows[i].purpose,
			.required = hook_rows[i].required && !hook_rows[i].for_pids,
			.available = btf && kernel_has(btf, &hook_rows[i]) &&
				     !trial_lacks(hook_rows[i].tracepoint),
			.needed = true,
		};
		if (!btf)
			hooks[i].reason = "this kernel has no BTF (/sys/kernel/btf/vmlinux)";
		else if (!hooks[i].available)
			hooks[i].reason = "this kernel does not have the tracepoint";
		else
			hooks[i].reason = "not attached";
	}
}

int loader_probe(loader_hook_fn fn, void *ctx)
{
	struct btf *btf;
	struct loader_hook hooks[NR_HOOKS];
	int err = 0;

	libbpf_set_print(libbpf_words);
	btf = btf__load_vmlinux_btf();
	hooks_fill(hooks, btf);
	for (size_t i = 0; i < NR_HOOKS && !err; i++)
		err = fn(&hooks[i], ctx);
	btf__free(btf);
	return err;
}

/* ---------------------------------------------------------------------------------- scope */

/* The id of a cgroup directory is its file handle in cgroup2. */
static int cgroup_id(const char *path, uint64_t *ret_id)
{
	struct {
		struct file_handle handle;
		uint64_t id;
	} h = {.handle.handle_bytes = sizeof(uint64_t)};
	int mount_id;

	if (name_to_handle_at(AT_FDCWD, path, &h.handle, &mount_id, 0))
		return -errno;
	if (h.handle.handle_bytes != sizeof(uint64_t))
		return -EINVAL;
	memcpy(ret_id, h.handle.f_handle, sizeof(*ret_id));
	return 0;
}

/* A path in cgroup2: as it is, or below the mount point. */
static int cgroup_resolve(const char *name, uint64_t *ret_id)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char path[4096];
	int err = -ENOENT;

	if (!strncmp(name, "/sys/fs/cgroup", strlen("/sys/fs/cgroup")))
		return cgroup_id(name, ret_id);
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s/cgroup.procs", mounts[i], name);
		if (access(path, F_OK))
			continue;
		path[strlen(path) - strlen("/cgroup.procs")] = '\0';
		err = cgroup_id(path, ret_id);
		if (!err)
			break;
	}
	return err;
}

static int scope_value(struct loader *loader, struct bpf_map *map, const void *key)
{
	uint8_t one = 1;

	if (bpf_map_update_elem(bpf_map__fd(map), key, &one, BPF_ANY))
		return fail(loader, -errno, "cannot set the scope: %s", strerror(errno));
	return 0;
}

static int scope_set(struct loader *loader, const struct scope *scope)
{
	int err = 0;

	for (size_t i = 0; i < scope->nr_pids && !err; i++) {
		uint32_t pid = scope->pids[i];
		char path[32];

		snprintf(path, sizeof(path), "/proc/%u", pid);
		if (access(path, F_OK))
			return fail(loader, -ESRCH, "no process has the number %u (--pid)", pid);
		err = scope_value(loader, loader->skel->maps.scope_pids, &pid);
	}
	for (size_t i = 0; i < scope->nr_comms && !err; i++)
		err = scope_value(loader, loader->skel->maps.scope_comms, scope->comms[i]);
	for (size_t i = 0; i < scope->nr_cgroups && !err; i++) {
		uint64_t id;

		err = cgroup_resolve(scope->cgroups[i], &id);
		if (err)
			return fail(loader, err,
				    "cannot find the cgroup `%s' in the cgroup2 hierarchy: %s "
				    "(give its path, absolute or below the mount)",
				    scope->cgroups[i], strerror(-err));
		err = scope_value(loader, loader->skel->maps.scope_cgroups, &id);
	}
	for (size_t i = 0; i < scope->nr_netns && !err; i++) {
		struct stat st;
		uint32_t inum;

		if (stat(scope->netns[i], &st))
			return fail(loader, -errno,
				    "cannot open the network namespace `%s': %s (give a path such "
				    "as /run/netns/NAME or /proc/PID/ns/net)",
				    scope->netns[i], strerror(errno));
		inum = st.st_ino;
		err = scope_value(loader, loader->skel->maps.scope_netns, &inum);
	}
	return err;
}

static pid_t parent_of(const char *pid)
{
	char path[300], stat[512];
	pid_t parent = 0;
	const char *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(stat, sizeof(stat), file)) {
		end = strrchr(stat, ')');   /* the name before it may hold anything */
		if (end && strlen(end) > 4) /* ") S PARENT …" */
			parent = strtol(end + 4, NULL, 10);
	}
	fclose(file);
	return parent;
}

/* Descendants that are already there. The fork hook is attached, so a pass that finds no more has
 * found all. */
static int scope_descendants(struct loader *loader)
{
	int fd = bpf_map__fd(loader->skel->maps.scope_pids);
	bool found;

	do {
		DIR *proc = opendir("/proc");
		struct dirent *entry;

		found = false;
		if (!proc)
			return fail(loader, -errno, "cannot read /proc: %s", strerror(errno));
		while ((entry = readdir(proc))) {
			uint32_t pid = strtoul(entry->d_name, NULL, 10);
			uint32_t parent;
			uint8_t one;

			if (!pid || !bpf_map_lookup_elem(fd, &pid, &one))
				continue;
			parent = parent_of(entry->d_name);
			if (!parent || bpf_map_lookup_elem(fd, &parent, &one))
				continue;
			one = 1;
			if (!bpf_map_update_elem(fd, &pid, &one, BPF_ANY))
				found = true;
		}
		closedir(proc);
	} while (found);
	return 0;
}

/* ---------------------------------------------------------------------------------- load */

static int record_seen(void *ctx, void *data, size_t len)
{
	struct loader *loader = ctx;

	loader->record_fn(data, len, loader->record_ctx);
	loader->nr_records++;
	return 0;
}

static void configure(struct loader *loader, const struct scope *scope)
{
	struct config *config = (struct config *)&loader->skel->rodata->config;
	__u64 *bits = (__u64 *)loader->skel->rodata->scope_port_bits;

	config->scope_ports = scope->nr_ports > 0;
	config->scope_pids = scope->nr_pids > 0;
	config->scope_comms = scope->nr_comms > 0;
	config->scope_cgroup = scope->nr_cgroups > 0;
	config->scope_netns = scope->nr_netns > 0;
	config->scope_port_min = UINT16_MAX;
	for (size_t i = 0; i < scope->nr_ports; i++) {
		bits[scope->ports[i] / 64] |= 1ull << (scope->ports[i] % 64);
		if (scope->ports[i] < config->scope_port_min)
			config->scope_port_min = scope->ports[i];
		if (scope->ports[i] > config->scope_port_max)
			config->scope_port_max = scope->ports[i];
	}
}

/* Minima begin above every value. */
static int rare_init(struct loader *loader)
{
	struct server_rare rare = {
		.handshake_ns.min = ~0ull,
		.ping_rtt_ns.min = ~0ull,
		.duration_range_ms.min = ~0ull,
	};

	for (uint32_t slot = 0; slot < MAX_SERVERS; slot++)
		if (bpf_map_update_elem(bpf_map__fd(loader->skel->maps.server_rare), &slot, &rare,
					BPF_ANY))
			return fail(loader, -errno, "cannot write a map: %s", strerror(errno));
	return 0;
}

/* Where the programs of the data hooks go on for a Unix socket. */
static int unix_set(struct loader *loader)
{
	struct socket_bpf *skel = loader->skel;
	int recv_fd = bpf_program__fd(skel->progs.on_recv_unix);
	int send_fd = bpf_program__fd(skel->progs.on_send_unix);
	uint32_t zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(skel->maps.unix_recv), &zero, &recv_fd, BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.unix_send), &zero, &send_fd, BPF_ANY))
		return fail(loader, -errno, "cannot write a map: %s", strerror(errno));
	return 0;
}

static int load_failed(struct loader *loader, int err)
{
	if (err == -EPERM || err == -EACCES)
		return fail(loader, -EPERM,
			    "the kernel does not let this process load BPF programs: run as root "
			    "(CAP_BPF and CAP_PERFMON are needed)");
	return fail(loader, err,
		    "the kernel refuses the BPF programs: %s (WSVITALS_DEBUG_LIBBPF=1 shows its "
		    "words)",
		    strerror(-err));
}

int loader_new(const struct scope *scope, struct loader **ret_loader)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	size_t value = sizeof(struct server_hists);
	struct bpf_map *map;
	struct btf *btf;
	int err;

	if (!loader)
		return -ENOMEM;
	*ret_loader = loader;
	libbpf_set_print(libbpf_words);
	if (geteuid())
		return fail(loader, -EPERM,
			    "observing sockets needs root: run it with sudo (CAP_BPF and "
			    "CAP_PERFMON are needed)");
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return fail(loader, -EOPNOTSUPP,
			    "this kernel does not describe its types (no /sys/kernel/btf/vmlinux): "
			    "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' "
			    "kernels are");
	hooks_fill(loader->hooks, btf);
	btf__free(btf);
	for (size_t i = 0; i < NR_HOOKS; i++)
		if (loader->hooks[i].required && !loader->hooks[i].available)
			return fail(loader, -EOPNOTSUPP,
				    "this kernel does not have the tracepoint %s, which tells of "
				    "%s: use Linux 6.3 or newer",
				    hook_rows[i].tracepoint, hook_rows[i].purpose);

	loader->skel = socket_bpf__open();
	if (!loader->skel)
		return load_failed(loader, -errno);
	configure(loader, scope);
	for (size_t i = 0; i < NR_HOOKS; i++)
		bpf_program__set_autoload(hook_program(loader, &hook_rows[i]),
					  loader->hooks[i].available &&
						  (!hook_rows[i].for_pids || scope->nr_pids));
	/* no Unix socket has a port: half of the work of loading can be saved */
	bpf_program__set_autoload(loader->skel->progs.on_recv_unix, !scope->nr_ports);
	bpf_program__set_autoload(loader->skel->progs.on_send_unix, !scope->nr_ports);
	bpf_object__for_each_map(map, loader->skel->obj)
	{
		uint32_t entries = trial_entries(bpf_map__name(map));

		if (entries)
			bpf_map__set_max_entries(map, entries);
	}
	err = socket_bpf__load(loader->skel);
	if (err)
		return load_failed(loader, err);
	if (!scope->nr_ports) {
		err = unix_set(loader);
		if (err)
			return err;
	}

	loader->nr_cpus = libbpf_num_possible_cpus();
	if (loader->nr_cpus < 1)
		return fail(loader, -EIO, "cannot tell the number of CPUs");
	loader->percpu = calloc(loader->nr_cpus, (value + 7) & ~7ul);
	if (!loader->percpu)
		return fail(loader, -ENOMEM, "out of memory");
	err = rare_init(loader);
	if (err)
		return err;
	loader->ring = ring_buffer__new(bpf_map__fd(loader->skel->maps.events), record_seen, loader,
					NULL);
	if (!loader->ring)
		return fail(loader, -errno, "cannot map the ring buffer: %s", strerror(errno));
	return scope_set(loader, scope);
}

static struct bpf_link *walk_attach(struct bpf_program *program, struct bpf_map *map)
{
	union bpf_iter_link_info info = {.map.map_fd = bpf_map__fd(map)};
	DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info,
			    .link_info_len = sizeof(info));

	return bpf_program__attach_iter(program, &opts);
}

static int walks_attach(struct loader *loader)
{
	struct socket_bpf *skel = loader->skel;

	loader->walks[WALK_CONNS] = walk_attach(skel->progs.walk, skel->maps.conns);
	loader->walks[WALK_UNIX] = walk_attach(skel->progs.walk_unix, skel->maps.unix_marks);
	loader->walks[SWEEP_UNIX] = walk_attach(skel->progs.sweep_unix, skel->maps.unix_owners);
	for (int i = 0; i < NR_WALKS; i++)
		if (!loader->walks[i])
			return fail(loader, -errno,
				    "cannot attach the iterators over connections: %s",
				    strerror(errno));
	return 0;
}

static void walks_detach(struct loader *loader)
{
	for (int i = 0; i < NR_WALKS; i++) {
		bpf_link__destroy(loader->walks[i]);
		loader->walks[i] = NULL;
	}
}

/* Runs the iterator over all files of all tasks once; it writes nothing. */
static int adopt_sockets(struct loader *loader)
{
	struct bpf_link *link = bpf_program__attach_iter(loader->skel->progs.adopt, NULL);
	char nothing[64];
	ssize_t n;
	int fd, err = 0;

	if (!link)
		return fail(loader, -errno, "cannot look for connections that are open already: %s",
			    strerror(errno));
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		err = -errno;
	while (!err) {
		n = read(fd, nothing, sizeof(nothing));
		if (!n)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			err = -errno;
	}
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return err ? fail(loader, err, "cannot look for connections that are open already: %s",
			  strerror(-err))
		   : 0;
}

int loader_attach(struct loader *loader)
{
	bool with_pids = false;
	int err;

	for (size_t i = 0; i < NR_HOOKS; i++) {
		struct bpf_program *program = hook_program(loader, &hook_rows[i]);
		struct bpf_link **link = hook_link(loader, &hook_rows[i]);

		if (!bpf_program__autoload(program)) {
			if (hook_rows[i].for_pids) {
				loader->hooks[i].reason = "not needed: the scope names no process";
				loader->hooks[i].needed = false;
			}
			continue;
		}
		*link = bpf_program__attach(program);
		if (*link) {
			loader->hooks[i].attached = true;
			loader->hooks[i].reason = NULL;
			with_pids |= hook_rows[i].for_pids;
		} else if (hook_rows[i].required || hook_rows[i].for_pids) {
			return fail(loader, -errno, "cannot attach to the tracepoint %s: %s",
				    hook_rows[i].tracepoint, strerror(errno));
		} else {
			loader->hooks[i].reason = "the kernel refused to attach";
		}
	}
	err = walks_attach(loader);
	if (!err && with_pids)
		err = scope_descendants(loader);
	if (err)
		return err;
	/* before, so that no event of an older Unix socket is taken for its first; and after, for what was
	 * accepted in between */
	err = adopt_sockets(loader);
	if (err)
		return err;
	loader->skel->bss->counting = 1;
	return adopt_sockets(loader);
}

void loader_free(struct loader *loader)
{
	if (!loader)
		return;
	ring_buffer__free(loader->ring);
	walks_detach(loader);
	socket_bpf__destroy(loader->skel);
	free(loader->percpu);
	free(loader);
}

/* ---------------------------------------------------------------------------------- read */

int loader_receive(struct loader *loader, int timeout_ms, loader_record_fn fn, void *ctx)
{
	int err;

	loader->record_fn = fn;
	loader->record_ctx = ctx;
	loader->nr_records = 0;
	err = ring_buffer__poll(loader->ring, timeout_ms);
	return err < 0 && err != -EINTR ? err : loader->nr_records;
}

/* All CPUs' values of a slot, one behind the other, size bytes each; NULL when unreadable. */
static const char *percpu_read(struct loader *loader, struct bpf_map *map, uint32_t slot)
{
	if (bpf_map_lookup_elem(bpf_map__fd(map), &slot, loader->percpu))
		return NULL;
	return loader->percpu;
}

/* Structs of nothing but __u64 add up word by word. */
static void add_words(void *sum, const void *add, size_t size)
{
	uint64_t *to = sum;
	const uint64_t *from = add;

	for (size_t i = 0; i < size / sizeof(uint64_t); i++)
		to[i] += from[i];
}

static void extreme_merge(struct extreme *into, const struct extreme *from)
{
	if (!from->count || from->epoch < into->epoch)
		return;
	if (from->epoch > into->epoch) {
		*into = *from;
		return;
	}
	into->count += from->count;
	if (from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
}

int loader_counters(struct loader *loader, uint32_t slot, struct server_counters *ret_counters)
{
	const char *values = percpu_read(loader, loader->skel->maps.server_counters, slot);
	struct server_counters sum = {0};

	if (!values)
		return -errno;
	for (int cpu = 0; cpu < loader->nr_cpus; cpu++) {
		const struct server_counters *c =
			(const void *)(values + cpu * sizeof(struct server_counters));

		add_words(&sum.n, &c->n, sizeof(sum.n));
		for (int i = 0; i < EPOCH_SLOTS; i++) {
			extreme_merge(&sum.latency[i], &c->latency[i]);
			extreme_merge(&sum.queue_wait[i], &c->queue_wait[i]);
		}
	}
	*ret_counters = sum;
	return 0;
}

int loader_hists(struct loader *loader, uint32_t slot, struct server_hists *ret_hists)
{
	const char *values = percpu_read(loader, loader->skel->maps.server_hists, slot);

	if (!values)
		return -errno;
	memset(ret_hists, 0, sizeof(*ret_hists));
	for (int cpu = 0; cpu < loader->nr_cpus; cpu++)
		add_words(ret_hists, values + cpu * sizeof(*ret_hists), sizeof(*ret_hists));
	return 0;
}

int loader_books(struct loader *loader, struct book_fields *ret_books)
{
	const char *values = percpu_read(loader, loader->skel->maps.books, 0);

	if (!values)
		return -errno;
	memset(ret_books, 0, sizeof(*ret_books));
	for (int cpu = 0; cpu < loader->nr_cpus; cpu++)
		add_words(ret_books, values + cpu * sizeof(*ret_books), sizeof(*ret_books));
	return 0;
}

int loader_rare(struct loader *loader, uint32_t slot, struct server_rare *ret_rare)
{
	return bpf_map_lookup_elem(bpf_map__fd(loader->skel->maps.server_rare), &slot, ret_rare)
		       ? -errno
		       : 0;
}

int loader_name_channel(struct loader *loader, const struct channel_key *key, uint16_t slot)
{
	return bpf_map_update_elem(bpf_map__fd(loader->skel->maps.channels), key, &slot, BPF_ANY)
		       ? -errno
		       : 0;
}

int loader_each_channel(struct loader *loader, loader_channel_fn fn, void *ctx)
{
	int fd = bpf_map__fd(loader->skel->maps.channel_stats), err = 0;
	struct channel_stats stats;

	/* Slots are named one after the other, but not all in this life of the program. */
	for (uint32_t slot = 1; slot < MAX_CHANNELS && !err; slot++) {
		if (bpf_map_lookup_elem(fd, &slot, &stats))
			return -errno;
		if (stats.opened || stats.received || stats.sent || stats.bytes_received ||
		    stats.bytes_sent || stats.closed)
			err = fn((uint16_t)slot, &stats, ctx);
	}
	return err;
}

int loader_each_server(struct loader *loader, loader_server_fn fn, void *ctx)
{
	int fd = bpf_map__fd(loader->skel->maps.servers);
	struct server_key key, *previous = NULL;
	struct server_info info;
	int err;

	while (!bpf_map_get_next_key(fd, previous, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &info)) {
			err = fn(&key, &info, ctx);
			if (err)
				return err;
		}
		previous = &key;
	}
	return 0;
}

int loader_each_outcome(struct loader *loader, loader_outcome_fn fn, void *ctx)
{
	int fd = bpf_map__fd(loader->skel->maps.outcomes);
	struct outcome_key key, *previous = NULL;
	__u64 count;
	int err;

	while (!bpf_map_get_next_key(fd, previous, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &count)) {
			err = fn(&key, count, ctx);
			if (err)
				return err;
		}
		previous = &key;
	}
	return 0;
}

int loader_each_unseen(struct loader *loader, loader_unseen_fn fn, void *ctx)
{
	int fd = bpf_map__fd(loader->skel->maps.unseen);
	struct unseen_key key, *previous = NULL;
	__u64 count;
	int err;

	while (!bpf_map_get_next_key(fd, previous, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &count)) {
			err = fn(&key, count, ctx);
			if (err)
				return err;
		}
		previous = &key;
	}
	return 0;
}

/* Reads the iterator to its end; a record may be cut by the buffer's end and goes on in the next. */
static int walk_read(int fd, loader_walk_fn fn, void *ctx)
{
	struct walk_record rows[64];
	size_t have = 0;
	ssize_t n;
	int err;

	for (;;) {
		n = read(fd, (char *)rows + have, sizeof(rows) - have);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return have ? -EIO : 0;
		have += n;
		for (size_t i = 0; i < have / sizeof(rows[0]); i++) {
			err = fn(&rows[i], ctx);
			if (err)
				return err;
		}
		memmove(rows, (char *)rows + have / sizeof(rows[0]) * sizeof(rows[0]),
			have % sizeof(rows[0]));
		have %= sizeof(rows[0]);
	}
}

static int iterate(struct bpf_link *link, loader_walk_fn fn, void *ctx)
{
	int fd = bpf_iter_create(bpf_link__fd(link)), err;

	if (fd < 0)
		return -errno;
	err = walk_read(fd, fn, ctx);
	close(fd);
	return err;
}

int loader_walk(struct loader *loader, loader_walk_fn fn, void *ctx)
{
	struct socket_bpf *skel = loader->skel;
	int err = iterate(loader->walks[WALK_CONNS], fn, ctx);

	if (err || !skel->bss->unix_any)
		return err;
	/* which Unix sockets live, then the end of those that do not */
	skel->bss->unix_epoch++;
	err = iterate(loader->walks[WALK_UNIX], fn, ctx);
	return err ? err : iterate(loader->walks[SWEEP_UNIX], fn, ctx);
}

int loader_each_hook(struct loader *loader, loader_hook_fn fn, void *ctx)
{
	for (size_t i = 0; i < NR_HOOKS; i++) {
		struct loader_hook *hook = &loader->hooks[i];
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);
		int err;

		if (hook->attached &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(hook_program(loader, &hook_rows[i])),
					    &info, &len)) {
			hook->runs = info.run_cnt;
			hook->run_ns = info.run_time_ns;
			hook->missed = info.recursion_misses;
		}
		err = fn(hook, ctx);
		if (err)
			return err;
	}
	return 0;
}

/* ---------------------------------------------------------------------------------- two processes */

void loader_keep_reading(struct loader *loader)
{
	for (size_t i = 0; i < NR_HOOKS; i++) {
		struct bpf_link **link = hook_link(loader, &hook_rows[i]);

		bpf_link__destroy(*link); /* closes our descriptor; the keeper's keeps the hook */
		*link = NULL;
	}
}

void loader_keep_attaching(struct loader *loader)
{
	struct bpf_map *map;

	ring_buffer__free(loader->ring);
	loader->ring = NULL;
	walks_detach(loader);
	bpf_object__for_each_map(map, loader->skel->obj)
	{
		int fd = bpf_map__fd(map);

		/* libbpf would close the number again: it must stay taken until loader_free */
		if (fd >= 0 && dup3(STDERR_FILENO, fd, O_CLOEXEC) < 0)
			close(fd);
	}
}

int loader_ring_fd(const struct loader *loader)
{
	return ring_buffer__epoll_fd(loader->ring);
}

bool loader_lost_hook(const struct loader *loader, char *ret_name, size_t size)
{
	for (size_t i = 0; i < NR_HOOKS; i++) {
		struct bpf_link *link = *(struct bpf_link **)((char *)loader->skel +
							      hook_rows[i].link);
		struct bpf_link_info info = {0};
		__u32 len = sizeof(info);

		if (!loader->hooks[i].attached ||
		    (link && !bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len)))
			continue;
		snprintf(ret_name, size, "%s", loader->hooks[i].name);
		return true;
	}
	return false;
}

void loader_drop_hook(struct loader *loader, const char *tracepoint)
{
	for (size_t i = 0; i < NR_HOOKS; i++)
		if (!strcmp(hook_rows[i].tracepoint, tracepoint)) {
			bpf_link__destroy(*hook_link(loader, &hook_rows[i]));
			*hook_link(loader, &hook_rows[i]) = NULL;
		}
}

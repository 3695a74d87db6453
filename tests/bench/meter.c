// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * How long the programs of a running wsvitals take, from the kernel's own run statistics, beside
 * programs that do nothing on the same hooks at the same time.
 *
 *   meter [-f] PORT SECONDS PID...    the processes of wsvitals; prints one JSON object:
 *     programs  of these processes on tracepoints: name, hook, runs, ns, missed
 *     hooks     by name: runs and ns of the empty program; events of sockets on PORT (server), of
 *               sockets connected to PORT (client), of others, and those that moved no bytes; with -f
 *               ns of the unavoidable calls on the server's sockets (floor_ns)
 *     strangers how many more programs are attached to these hooks: they disturb
 *
 * Which programs are theirs is read from their descriptors, of programs or links: several wsvitals
 * may run on a host, and their programs have the same names. Statistics are on from here to the end of this process only,
 * unless somebody else has them on.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "meter.h"
#include "meter.skel.h"

#define MAX_PROGRAMS 64
#define SETTLE_S 0.2 /* between attaching and the first reading */

static const char *const hook_names[] = {
#define X(NAME, tracepoint) #tracepoint,
	HOOKS(X)
#undef X
};

struct program {
	int fd;
	struct bpf_prog_info before, after;
};

static struct program programs[MAX_PROGRAMS], empties[NR_HOOKS], floors[NR_HOOKS];
static int nr_programs;

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "meter: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void info_of(int fd, struct bpf_prog_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	if (bpf_obj_get_info_by_fd(fd, info, &len))
		die("bpf_obj_get_info_by_fd");
}

/* The tracepoint's name, or NULL if the program is of another kind. */
static const char *hook_of(const struct btf *btf, const struct bpf_prog_info *info)
{
	static const char prefix[] = "btf_trace_";
	const struct btf_type *type;
	const char *name;

	if (info->type != BPF_PROG_TYPE_TRACING || !info->attach_btf_id)
		return NULL;
	type = btf__type_by_id(btf, info->attach_btf_id);
	name = type ? btf__name_by_offset(btf, type->name_off) : NULL;
	return name && !strncmp(name, prefix, sizeof(prefix) - 1) ? name + sizeof(prefix) - 1
								  : NULL;
}

static bool hook_is_ours(const char *hook)
{
	for (int i = 0; hook && i < NR_HOOKS; i++)
		if (!strcmp(hook, hook_names[i]))
			return true;
	return false;
}

/* prog_id of a descriptor that is a program's or a link's, else 0 */
static __u32 prog_id(const char *pid, const char *fd)
{
	char path[300], line[128];
	unsigned id = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, fd);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (!id && fgets(line, sizeof(line), file))
		sscanf(line, "prog_id: %u", &id);
	fclose(file);
	return id;
}

static bool known(__u32 id)
{
	for (int i = 0; i < nr_programs; i++)
		if (programs[i].before.id == id)
			return true;
	return false;
}

static void find_programs(const char *pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		die(path);
	while ((entry = readdir(dir))) {
		__u32 id = entry->d_name[0] == '.' ? 0 : prog_id(pid, entry->d_name);

		if (!id || known(id))
			continue;
		if (nr_programs == MAX_PROGRAMS) {
			errno = E2BIG;
			die("programs of this process");
		}
		programs[nr_programs].fd = bpf_prog_get_fd_by_id(id);
		if (programs[nr_programs].fd < 0)
			die("bpf_prog_get_fd_by_id");
		info_of(programs[nr_programs].fd, &programs[nr_programs].before);
		nr_programs++;
	}
	closedir(dir);
}

/* Programs of others on our hooks. Called before ours are attached. */
static int strangers(const struct btf *btf)
{
	struct bpf_prog_info info;
	__u32 id = 0;
	int nr = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue;
		info_of(fd, &info);
		close(fd);
		nr += !known(id) && hook_is_ours(hook_of(btf, &info));
	}
	return nr;
}

static void sleep_for(double seconds)
{
	struct timespec ts = {.tv_sec = (time_t)seconds};

	ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* One reading of everything. */
static void read_all(struct meter_bpf *skel, bool first, __u64 *counts)
{
	int nr_cpus = libbpf_num_possible_cpus();
	__u64 *percpu = calloc((size_t)nr_cpus, sizeof(*percpu));

	if (!percpu)
		die("memory");
	for (int i = 0; i < nr_programs; i++)
		info_of(programs[i].fd, first ? &programs[i].before : &programs[i].after);
	for (int i = 0; i < NR_HOOKS; i++) {
		info_of(empties[i].fd, first ? &empties[i].before : &empties[i].after);
		if (floors[i].fd)
			info_of(floors[i].fd, first ? &floors[i].before : &floors[i].after);
	}
	for (__u32 i = 0; i < NR_HOOKS * NR_CLASSES; i++) {
		if (bpf_map_lookup_elem(bpf_map__fd(skel->maps.counts), &i, percpu))
			die("bpf_map_lookup_elem");
		counts[i] = 0;
		for (int cpu = 0; cpu < nr_cpus; cpu++)
			counts[i] += percpu[cpu];
	}
	free(percpu);
}

static void print_runs(const struct program *program)
{
	printf("\"runs\": %llu, \"ns\": %llu, \"missed\": %llu",
	       program->after.run_cnt - program->before.run_cnt,
	       program->after.run_time_ns - program->before.run_time_ns,
	       program->after.recursion_misses - program->before.recursion_misses);
}

static void print_programs(const struct btf *btf)
{
	const char *comma = "";

	printf("\"programs\": [");
	for (int i = 0; i < nr_programs; i++) {
		const char *hook = hook_of(btf, &programs[i].after);

		if (!hook)
			continue;
		printf("%s\n {\"name\": \"%s\", \"hook\": \"%s\", ", comma, programs[i].after.name,
		       hook);
		print_runs(&programs[i]);
		printf("}");
		comma = ",";
	}
	printf("],\n");
}

static void print_hooks(const __u64 *from, const __u64 *to)
{
	printf("\"hooks\": {");
	for (int i = 0; i < NR_HOOKS; i++) {
		const __u64 *a = from + i * NR_CLASSES, *b = to + i * NR_CLASSES;

		printf("%s\n \"%s\": {", i ? "," : "", hook_names[i]);
		print_runs(&empties[i]);
		printf(", \"floor_ns\": %llu",
		       floors[i].after.run_time_ns - floors[i].before.run_time_ns);
		printf(", \"server\": %llu, \"client\": %llu, \"other\": %llu, \"no_data\": %llu}",
		       b[CLASS_SERVER] - a[CLASS_SERVER], b[CLASS_CLIENT] - a[CLASS_CLIENT],
		       b[CLASS_OTHER] - a[CLASS_OTHER], b[CLASS_NO_DATA] - a[CLASS_NO_DATA]);
	}
	printf("}}\n");
}

static struct meter_bpf *load(int port, bool with_floor)
{
	struct meter_bpf *skel = meter_bpf__open();
	struct bpf_program *empty[] = {
#define X(NAME, tracepoint) skel ? skel->progs.empty_##tracepoint : NULL,
		HOOKS(X)
#undef X
	};
	struct bpf_program *floor[NR_HOOKS] = {
#define X(NAME, tracepoint) [HOOK_##NAME] = skel ? skel->progs.floor_##tracepoint : NULL,
		DATA_HOOKS(X)
#undef X
	};

	if (!skel)
		die("meter.bpf.o");
	skel->rodata->port = (__u16)port;
	for (int i = 0; i < NR_HOOKS; i++)
		if (floor[i])
			bpf_program__set_autoload(floor[i], with_floor);
	if (meter_bpf__load(skel) || meter_bpf__attach(skel))
		die("cannot attach");
	for (int i = 0; i < NR_HOOKS; i++) {
		empties[i].fd = bpf_program__fd(empty[i]);
		floors[i].fd = with_floor && floor[i] ? bpf_program__fd(floor[i]) : 0;
	}
	return skel;
}

int main(int argc, char **argv)
{
	__u64 from[NR_HOOKS * NR_CLASSES], to[NR_HOOKS * NR_CLASSES];
	struct btf *btf = btf__load_vmlinux_btf();
	bool with_floor = argc > 1 && !strcmp(argv[1], "-f");
	struct meter_bpf *skel;
	int nr_strangers;
	double start;

	if (with_floor) {
		argc--;
		argv++;
	}
	if (argc < 4) {
		fprintf(stderr, "usage: meter [-f] PORT SECONDS PID...\n");
		return 2;
	}
	if (!btf)
		die("this kernel has no BTF");
	for (int i = 3; i < argc; i++)
		find_programs(argv[i]);
	if (!nr_programs) {
		errno = ENOENT;
		die("BPF programs of these processes");
	}
	nr_strangers = strangers(btf);
	skel = load(atoi(argv[1]), with_floor);
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		die("cannot enable run statistics");
	sleep_for(SETTLE_S);
	start = now();
	read_all(skel, true, from);
	sleep_for(atof(argv[2]));
	read_all(skel, false, to);
	printf("{\"seconds\": %.3f, \"strangers\": %d, ", now() - start, nr_strangers);
	print_programs(btf);
	print_hooks(from, to);
	meter_bpf__destroy(skel);
	btf__free(btf);
	return 0;
}

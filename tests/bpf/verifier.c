// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * What the running kernel's verifier says to every program of the given objects, one by one: how
 * many instructions it had to look at, of the million that it looks at before it refuses.
 *
 *     verifier [--json FILE] OBJECT...
 *
 * Read-only configuration is a constant to the verifier, which skips what it switches off. So each
 * program is loaded twice: as it is, and with every byte of `config` set to 1.
 *
 * Fails when a program is refused, or needs more than half of the limit. A section marked optional
 * ("?") may be refused: it is for other kernels.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define INSN_LIMIT 1000000 /* BPF_COMPLEXITY_LIMIT_INSNS, Linux 5.2 */
#define LOG_BYTES (16u << 20)

struct stats {
	unsigned insns; /* processed */
	unsigned states;
	unsigned stack; /* bytes, all frames */
	int err;
};

static char *log_buffer;

static int keep_quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

/* Where a read-only variable is in .rodata. */
static const struct btf_var_secinfo *rodata_var(const struct btf *btf, const char *name)
{
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	const struct btf_type *section = id < 0 ? NULL : btf__type_by_id(btf, (__u32)id);
	const struct btf_var_secinfo *var = section ? btf_var_secinfos(section) : NULL;

	for (int i = 0; section && i < btf_vlen(section); i++, var++) {
		const struct btf_type *type = btf__type_by_id(btf, var->type);

		if (!strcmp(btf__name_by_offset(btf, type->name_off), name))
			return var;
	}
	return NULL;
}

/* Sets every byte of `config`. Returns whether there is one. */
static bool configure(struct bpf_object *object)
{
	const struct btf_var_secinfo *var = rodata_var(bpf_object__btf(object), "config");
	const void *initial = NULL;
	struct bpf_map *map;
	size_t size = 0;
	char *value;
	bool done;

	if (!var)
		return false;
	bpf_object__for_each_map(map, object)
	{
		if (strstr(bpf_map__name(map), ".rodata"))
			initial = bpf_map__initial_value(map, &size);
		if (initial)
			break;
	}
	value = initial ? malloc(size) : NULL;
	if (!value || var->offset + var->size > size) {
		free(value);
		return false;
	}
	memcpy(value, initial, size);
	memset(value + var->offset, 1, var->size);
	done = !bpf_map__set_initial_value(map, value, size);
	free(value);
	return done;
}

/* Loads the one program alone. Returns false when it has no second configuration. */
static bool load(const char *path, const char *name, bool configured, struct stats *ret_stats)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	struct stats stats = {0};
	const char *line;

	if (!object) {
		ret_stats->err = -errno;
		return true;
	}
	if (configured && !configure(object)) {
		bpf_object__close(object);
		return false;
	}
	bpf_object__for_each_program(program, object)
	{
		bool wanted = !strcmp(bpf_program__name(program), name);

		bpf_program__set_autoload(program, wanted);
		if (wanted) {
			log_buffer[0] = '\0';
			bpf_program__set_log_buf(program, log_buffer, LOG_BYTES);
			bpf_program__set_log_level(program, 4); /* BPF_LOG_STATS */
		}
	}
	stats.err = bpf_object__load(object);
	line = strstr(log_buffer, "stack depth ");
	if (line) {
		const char *p = line + strlen("stack depth ");
		char *end;

		do { /* "512+32+0" */
			stats.stack += (unsigned)strtoul(p, &end, 10);
			p = end + 1;
		} while (*end == '+');
	}
	line = strstr(log_buffer, "processed ");
	if (line)
		sscanf(line,
		       "processed %u insns (limit %*u) max_states_per_insn %*u total_states %u",
		       &stats.insns, &stats.states);
	bpf_object__close(object);
	*ret_stats = stats;
	return true;
}

/* The last lines of the verifier's log say why. */
static void print_reason(void)
{
	size_t len = strlen(log_buffer);
	const char *at = log_buffer + len;

	for (int lines = 0; at > log_buffer && lines < 25; at--)
		lines += at[-1] == '\n';
	printf("%s\n", at);
}

static int check_program(const char *path, const char *name, const char *section, json_t *rows)
{
	bool optional = section[0] == '?';
	struct stats plain = {0}, configured = {0};
	const char *verdict = "ok";
	unsigned most;
	bool twice;
	int failed;

	load(path, name, false, &plain);
	if (plain.err && !optional)
		print_reason();
	twice = load(path, name, true, &configured);
	if (twice && configured.err && !plain.err && !optional)
		print_reason();
	most = configured.insns > plain.insns ? configured.insns : plain.insns;
	failed = plain.err || (twice && configured.err);
	if (failed)
		verdict = optional ? "not on this kernel" : "REFUSED";
	else if (most > INSN_LIMIT / 2)
		verdict = "TOO LARGE";
	else if (!most)
		verdict = "NO STATISTICS";
	printf("%-28s %-36s %8u %8u %7.2f %% %6u  %s\n", name, section, plain.insns,
	       twice ? configured.insns : plain.insns, 100.0 * most / INSN_LIMIT, plain.stack,
	       verdict);
	json_array_append_new(
		rows, json_pack("{s:s s:s s:s s:i s:i s:i s:i s:f s:s}", "object", path, "program",
				name, "section", section, "insns", (int)plain.insns,
				"insns_configured", (int)(twice ? configured.insns : plain.insns),
				"states", (int)plain.states, "stack", (int)plain.stack, "share",
				(double)most / INSN_LIMIT, "verdict", verdict));
	return strcmp(verdict, "ok") && strcmp(verdict, "not on this kernel");
}

static int check_object(const char *path, json_t *rows, unsigned *programs)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	int failed = 0;

	if (!object) {
		printf("cannot open %s: %s\n", path, strerror(errno));
		return 1;
	}
	printf("%s\n", path);
	bpf_object__for_each_program(program, object)
	{
		failed += check_program(path, bpf_program__name(program),
					bpf_program__section_name(program), rows);
		++*programs;
	}
	bpf_object__close(object);
	return failed;
}

int main(int argc, char **argv)
{
	const char *json_path = NULL;
	json_t *rows = json_array(), *root;
	unsigned programs = 0;
	struct utsname host;
	int failed = 0;

	log_buffer = malloc(LOG_BYTES);
	if (!log_buffer || uname(&host))
		return EXIT_FAILURE;
	libbpf_set_print(keep_quiet);
	printf("%-28s %-36s %8s %8s %9s %6s\n", "program", "section", "insns", "all on", "of 1 M",
	       "stack");
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json") && i + 1 < argc)
			json_path = argv[++i];
		else
			failed += check_object(argv[i], rows, &programs);
	}
	root = json_pack("{s:s s:i s:o}", "kernel", host.release, "limit", INSN_LIMIT, "programs",
			 rows);
	if (json_path && json_dump_file(root, json_path, JSON_INDENT(2) | JSON_REAL_PRECISION(4))) {
		printf("cannot write %s: %s\n", json_path, strerror(errno));
		failed++;
	}
	json_decref(root);
	free(log_buffer);
	if (!programs)
		failed++; /* nothing loaded is not passed */
	printf("%d passed, %d failed\n", failed > (int)programs ? 0 : (int)programs - failed,
	       failed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

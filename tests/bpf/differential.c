// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The pure headers, compiled for BPF and run by the kernel (harness.bpf.c), against the same headers
 * compiled for the host: the corpora, then random inputs. Outputs are compared byte by byte.
 *
 *     differential [--random N] CORPUS
 *
 * Streams lie before a page without access, so a program that reads too far fails a read that the
 * host does not even try, and the two differ.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/input.h"
#include "../fuzz/pair_steps.h"
#include "../unit/guard.h"
#include "../unit/random.h"

#include "types.h"

static struct guard streams[2];

/* As the kernel does it: the whole read fails, and leaves zeros, when any byte cannot be read. */
static int ws_read(void *to, __u32 len, __u64 from)
{
	for (int i = 0; i < 2; i++) {
		const struct guard *g = &streams[i];
		__u64 end = (__u64)(uintptr_t)(g->map + g->room);

		if (from >= (__u64)(uintptr_t)g->map && from < end + g->page) {
			if (from + len > end) {
				memset(to, 0, len);
				return -EFAULT;
			}
			memcpy(to, (const void *)(uintptr_t)from, len);
			return 0;
		}
	}
	return -EFAULT;
}

#include "scenario.h"

#include "harness.skel.h"

#define INPUT_BYTES 65536

struct result {
	const char *name;
	unsigned long inputs;
	unsigned long mismatches;
	unsigned long units; /* of work, so that "equal" does not mean "nothing happened" */
};

enum { WS, RESYNC, HTTP1, PAIR, HIST, ACCEPT, NR_HEADERS };

static struct result results[NR_HEADERS] = {
	{.name = "ws"},   {.name = "resync"}, {.name = "http1"},
	{.name = "pair"}, {.name = "hist"},   {.name = "accept"},
};
static struct harness *harness;

static void run(int header, const struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int err = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);

	if (err || opts.retval) {
		printf("%s: BPF_PROG_RUN failed: %s\n", results[header].name, strerror(-err));
		results[header].mismatches++;
	}
}

static void compare(int header, const void *kernel, const void *host, size_t len, const char *what)
{
	const uint8_t *a = kernel, *b = host;
	size_t at = 0;

	results[header].inputs++;
	while (at < len && a[at] == b[at])
		at++;
	if (at == len)
		return;
	if (++results[header].mismatches <= 10)
		printf("%s: %s: byte %zu is %02x in the kernel, %02x on the host\n",
		       results[header].name, what, at, a[at], b[at]);
}

static void differ_ws(const struct ws_in *in, const char *what)
{
	static struct ws_out host;

	memset(&host, 0, sizeof(host));
	for (uint32_t i = 0; i < SCENARIO_STEPS && !scenario_ws_step(in, &host); i++)
		;
	harness->bss->ws_in = *in;
	memset(&harness->bss->ws_out, 0, sizeof(host));
	run(WS, harness->progs.run_ws);
	results[WS].units += host.steps;
	compare(WS, &harness->bss->ws_out, &host, sizeof(host), what);
}

static void differ_resync(const struct resync_in *in, const char *what)
{
	static struct resync_out host;

	memset(&host, 0, sizeof(host));
	for (uint32_t i = 0; i < SCENARIO_STEPS && !scenario_resync_step(in, &host); i++)
		;
	harness->bss->resync_in = *in;
	memset(&harness->bss->resync_out, 0, sizeof(host));
	run(RESYNC, harness->progs.run_resync);
	results[RESYNC].units += host.proven;
	compare(RESYNC, &harness->bss->resync_out, &host, sizeof(host), what);
}

static void differ_http1(const struct http1_in *in, const char *what)
{
	static struct http1_out host;

	memset(&host, 0, sizeof(host));
	for (uint32_t i = 0; i < SCENARIO_STEPS && !scenario_http1_step(in, &host); i++)
		;
	harness->bss->http1_in = *in;
	memset(&harness->bss->http1_out, 0, sizeof(host));
	run(HTTP1, harness->progs.run_http1);
	results[HTTP1].units += host.head.len;
	compare(HTTP1, &harness->bss->http1_out, &host, sizeof(host), what);
}

static void differ_pair(const struct pair_in *in, const char *what)
{
	static struct pair_out host;

	memset(&host, 0, sizeof(host));
	for (uint32_t i = 0; i < SCENARIO_OPS && !scenario_pair_step(in, &host, i); i++)
		;
	harness->bss->pair_in = *in;
	memset(&harness->bss->pair_out, 0, sizeof(host));
	run(PAIR, harness->progs.run_pair);
	results[PAIR].units += in->ops;
	compare(PAIR, &harness->bss->pair_out, &host, sizeof(host), what);
}

static void differ_hist(const struct hist_in *in, const char *what)
{
	static struct hist_out host;

	memset(&host, 0, sizeof(host));
	for (uint32_t i = 0; i < SCENARIO_VALUES; i++)
		scenario_hist_step(in, &host, i);
	harness->bss->hist_in = *in;
	memset(&harness->bss->hist_out, 0, sizeof(host));
	run(HIST, harness->progs.run_hist);
	results[HIST].units += SCENARIO_VALUES;
	compare(HIST, &harness->bss->hist_out, &host, sizeof(host), what);
}

static void differ_accept(const struct accept_in *in, const char *what)
{
	static struct accept_out host;

	memset(&host, 0, sizeof(host));
	host.fits = accept_fits(&host.work, in->key, in->accept);
	harness->bss->accept_in = *in;
	memset(&harness->bss->accept_out, 0, sizeof(host));
	run(ACCEPT, harness->progs.run_accept);
	results[ACCEPT].units += host.fits;
	compare(ACCEPT, &harness->bss->accept_out, &host, sizeof(host), what);
}

/* ------------------------------------------------------------------------------------------ */
/* From bytes to inputs */

/* The pieces of a file, by their addresses in guarded memory. */
static uint32_t pieces_of(struct piece *to, const struct input *in)
{
	uint8_t *stream = guard_copy(&streams[0], in->stream, in->len);

	for (size_t i = 0; i < in->nr; i++) {
		to[i] = (struct piece){.len = in->piece[i].len,
				       .kind = in->piece[i].gap ? PIECE_GAP : PIECE_BYTES,
				       .direction = in->what & 1u,
				       .now_ns = 1000 * (i + 1)};
		if (in->piece[i].bytes)
			to[i].from = (uintptr_t)stream + (in->piece[i].bytes - in->stream);
	}
	return (uint32_t)in->nr;
}

static void input_ws(const uint8_t *data, size_t size, const char *what)
{
	struct ws_in in = {0};
	struct input input;

	input_parse(&input, data, size);
	in.pieces = pieces_of(in.piece, &input);
	in.extended = input.what >> 1 & 1;
	differ_ws(&in, what);
}

static void input_resync(const uint8_t *data, size_t size, const char *what)
{
	struct resync_in in = {0};
	struct input input;

	input_parse(&input, data, size);
	in.pieces = pieces_of(in.piece, &input);
	in.need = input.what >> 1 & 1;
	differ_resync(&in, what);
}

static void input_http1(const uint8_t *data, size_t size, const char *what)
{
	struct http1_in in = {0};
	struct input input;

	input_parse(&input, data, size);
	in.kind = input.what % 3u;
	for (size_t i = 0; i < input.nr; i++) /* heads have no gaps */
		if (!input.piece[i].bytes)
			input.piece[i].len = 0;
	in.pieces = pieces_of(in.piece, &input);
	differ_http1(&in, what);
}

static void input_pair(const uint8_t *data, size_t size, const char *what)
{
	static const uint32_t kinds[] = {
		[PAIR_STEP_RECEIVED] = OP_RECEIVED,
		[PAIR_STEP_SENT] = OP_SENT,
		[PAIR_STEP_TOUCH] = OP_TOUCH,
		[PAIR_STEP_CLOSED] = OP_CLOSED,
	};
	struct pair_in in = {0};
	uint64_t now = 0;

	for (; size >= 4 && in.ops < SCENARIO_OPS; data += 4, size -= 4) {
		struct pair_step s = pair_step_read(data, data[2] & 0x80);

		now += s.pause_ns;
		in.op[in.ops++] = (struct pair_op){
			.now_ns = now, .kind = kinds[s.kind], .n = s.n, .ended = s.ended};
	}
	differ_pair(&in, what);
}

static void input_hist(const uint8_t *data, size_t size, const char *what)
{
	struct hist_in in = {0};

	memcpy(in.value, data, (size < sizeof(in.value) ? size : sizeof(in.value)) & ~7ul);
	differ_hist(&in, what);
}

static void input_accept(const uint8_t *data, size_t size, const char *what)
{
	struct accept_in in = {0};

	if (size < ACCEPT_KEY_LEN + ACCEPT_LEN)
		return;
	memcpy(in.key, data, ACCEPT_KEY_LEN);
	memcpy(in.accept, data + ACCEPT_KEY_LEN, ACCEPT_LEN);
	differ_accept(&in, what);
}

typedef void (*input_fn)(const uint8_t *data, size_t size, const char *what);
static const input_fn input_fns[NR_HEADERS] = {input_ws,   input_resync, input_http1,
					       input_pair, input_hist,   input_accept};

/* ------------------------------------------------------------------------------------------ */
/* Where inputs come from */

static int differ_folder(int header, const char *corpus)
{
	static uint8_t data[INPUT_BYTES];
	char path[4096];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", corpus, results[header].name);
	dir = opendir(path);
	if (!dir) {
		printf("cannot open %s: %s\n", path, strerror(errno));
		return -1;
	}
	while ((entry = readdir(dir))) {
		char name[8192];
		size_t size;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		file = fopen(name, "rb");
		if (!file) {
			printf("cannot open %s: %s\n", name, strerror(errno));
			closedir(dir);
			return -1;
		}
		size = fread(data, 1, sizeof(data), file);
		fclose(file);
		input_fns[header](data, size, name);
	}
	closedir(dir);
	return 0;
}

/* A conversation: both directions, each from its own memory, cut and with gaps, times that go on. */
static void random_ws(uint64_t *seed, const char *what)
{
	static uint8_t bytes[INPUT_BYTES];
	struct ws_in in = {.extended = (uint32_t)random_below(seed, 2)};
	size_t at[NR_DIRECTIONS] = {0}, len[NR_DIRECTIONS] = {0};
	uint8_t *stream[NR_DIRECTIONS];
	uint64_t now = 1 + random_below(seed, 1ull << 40);

	for (int d = 0; d < NR_DIRECTIONS; d++) {
		static const uint8_t opcodes[] = {0x81, 0x82, 0x81, 0x82, 0x01,
						  0x80, 0x88, 0x89, 0x8a};
		static const uint16_t lens[] = {0, 1, 2, 5, 30, 125, 126, 127, 1000};

		for (uint64_t n = 1 + random_below(seed, 24); n; n--) {
			uint8_t *p = bytes + len[d];
			uint32_t payload = lens[random_below(seed, sizeof(lens) / sizeof(*lens))];
			size_t head = 2;

			p[0] = opcodes[random_below(seed, sizeof(opcodes))];
			if (p[0] & 8 && payload > 125)
				payload %= 126;
			p[1] = (uint8_t)(payload > 125 ? 126 : payload);
			if (payload > 125) {
				p[2] = (uint8_t)(payload >> 8);
				p[3] = (uint8_t)payload;
				head = 4;
			}
			if (d == RECEIVED) {
				p[1] |= 0x80;
				for (int i = 0; i < 4; i++)
					p[head++] = (uint8_t)random_next(seed);
			}
			for (uint32_t i = 0; i < payload; i++)
				p[head++] = (uint8_t)random_next(seed);
			if (random_below(seed, 60) == 0)
				p[random_below(seed, 2)] ^= (uint8_t)random_next(seed);
			len[d] += head;
		}
		stream[d] = guard_copy(&streams[d], bytes, len[d]);
	}
	while (in.pieces < SCENARIO_PIECES) {
		struct piece *p = &in.piece[in.pieces++];
		uint32_t d = (uint32_t)random_below(seed, 2);
		size_t left = len[d] - at[d];

		now += 1ull << random_below(seed, 32);
		p->direction = d;
		p->now_ns = now;
		p->len = 1 + random_below(seed, random_below(seed, 2) ? 12 : 1500);
		p->kind = random_below(seed, 40) ? PIECE_BYTES : PIECE_GAP;
		/* now and then bytes that are not there: both sides must say so */
		if (p->len > left && random_below(seed, 30))
			p->len = left;
		p->from = (uintptr_t)stream[d] + at[d];
		at[d] += p->len < left ? p->len : left;
	}
	differ_ws(&in, what);
	/* the same without the handshake before it: one direction, as events */
	for (uint32_t d = 0; d < NR_DIRECTIONS; d++) {
		struct resync_in late = {.need = (uint32_t)random_below(seed, 2)};

		for (uint32_t i = 0; i < in.pieces; i++)
			if (in.piece[i].direction == d)
				late.piece[late.pieces++] = in.piece[i];
		differ_resync(&late, what);
	}
}

static void random_http1(uint64_t *seed, const char *what)
{
	static const char *const parts[] = {
		"Upgrade",
		":",
		" ",
		"websocket",
		",",
		"\r\n",
		"\n",
		"\r",
		"Sec-WebSocket-Key: ",
		"Sec-WebSocket-Accept:",
		"dGhlIHNhbXBsZSBub25jZQ==",
		"h2c",
		"\r\n\r\n",
		"Upgrade: websocket\r\n",
		"Host: example.com\r\n",
		"\t",
		"x",
	};
	uint8_t bytes[2048] = {0};
	size_t len = 2, cuts = random_below(seed, 12);
	int kind = (int)random_below(seed, 2);

	bytes[0] = (uint8_t)kind;
	bytes[1] = (uint8_t)cuts;
	for (size_t i = 0; i < cuts; i++)
		bytes[len++] = (uint8_t)random_below(seed, 128);
	len += (size_t)sprintf((char *)bytes + len, "%s",
			       kind ? "HTTP/1.1 101 OK\r\n" : "GET /a/b?c HTTP/1.1\r\n");
	for (uint64_t n = random_below(seed, 60); n; n--)
		len += (size_t)sprintf((char *)bytes + len, "%s",
				       parts[random_below(seed, sizeof(parts) / sizeof(*parts))]);
	if (random_below(seed, 3) == 0)
		bytes[2 + cuts + random_below(seed, len - 2 - cuts)] = (uint8_t)random_next(seed);
	input_http1(bytes, len, what);
}

static void random_bytes(int header, uint64_t *seed, size_t max, const char *what)
{
	uint8_t bytes[4096];
	size_t len = 1 + random_below(seed, max);

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)random_next(seed);
	if (header == HIST) { /* values of all magnitudes */
		for (size_t i = 0; i + 8 <= len; i += 8) {
			uint64_t v = random_next(seed) >> random_below(seed, 64);

			memcpy(bytes + i, &v, 8);
		}
	}
	input_fns[header](bytes, header == ACCEPT ? ACCEPT_KEY_LEN + ACCEPT_LEN : len, what);
}

static void differ_random(unsigned long rounds)
{
	uint64_t seed = 20240101;

	for (unsigned long i = 0; i < rounds; i++) {
		char what[64];

		snprintf(what, sizeof(what), "random input %lu", i);
		random_ws(&seed, what);
		random_http1(&seed, what);
		random_bytes(PAIR, &seed, 4 * SCENARIO_OPS, what);
		random_bytes(HIST, &seed, 8 * SCENARIO_VALUES, what);
		random_bytes(ACCEPT, &seed, 64, what);
		random_bytes(WS, &seed, 512, what);
		random_bytes(RESYNC, &seed, 512, what);
	}
}

int main(int argc, char **argv)
{
	unsigned long rounds = 5000;
	unsigned long passed = 0, failed = 0;
	const char *corpus = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--random") && i + 1 < argc)
			rounds = strtoul(argv[++i], NULL, 10);
		else
			corpus = argv[i];
	}
	if (!corpus) {
		fprintf(stderr, "usage: differential [--random N] CORPUS\n");
		return 2;
	}
	for (int i = 0; i < 2; i++)
		streams[i] = guard_new(INPUT_BYTES);
	harness = harness__open_and_load();
	if (!harness) {
		printf("cannot load the harness: %s (needs root and Linux 5.17)\n",
		       strerror(errno));
		printf("0 passed, %d failed\n", NR_HEADERS);
		return EXIT_FAILURE;
	}
	for (int header = 0; header < NR_HEADERS; header++)
		if (differ_folder(header, corpus))
			results[header].mismatches++;
	differ_random(rounds);
	printf("%-8s %10s %12s %11s\n", "header", "inputs", "work", "mismatches");
	for (int header = 0; header < NR_HEADERS; header++) {
		struct result *r = &results[header];

		printf("%-8s %10lu %12lu %11lu\n", r->name, r->inputs, r->units, r->mismatches);
		passed += r->inputs && r->units && !r->mismatches;
		failed += !r->inputs || !r->units || r->mismatches;
	}
	printf("%lu passed, %lu failed\n", passed, failed);
	harness__destroy(harness);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

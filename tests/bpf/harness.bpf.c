// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The pure headers in the kernel, one program each, for differential.c: it fills the inputs, calls
 * BPF_PROG_RUN and compares the outputs with its own build of the same headers.
 *
 * SEC("syscall") runs in the test's own context, so ws_read() is the very helper of the real
 * programs, bpf_probe_read_user(), on the test's own memory, guard pages included. It does not prove
 * the hooks: tracing programs cannot be fed by BPF_PROG_RUN.
 */
#include "types.h"

#include <bpf/bpf_helpers.h>

static inline __attribute__((always_inline)) int ws_read(void *to, __u32 len, __u64 from)
{
	return (int)bpf_probe_read_user(to, len, (const void *)from);
}

#include "scenario.h"

struct ws_in ws_in;
struct ws_out ws_out;
struct resync_in resync_in;
struct resync_out resync_out;
struct http1_in http1_in;
struct http1_out http1_out;
struct pair_in pair_in;
struct pair_out pair_out;
struct hist_in hist_in;
struct hist_out hist_out;
struct accept_in accept_in;
struct accept_out accept_out;

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static long ws_next(__u32 i, void *ctx)
{
	return scenario_ws_step(&ws_in, &ws_out);
}

static long resync_next(__u32 i, void *ctx)
{
	return scenario_resync_step(&resync_in, &resync_out);
}

static long http1_next(__u32 i, void *ctx)
{
	return scenario_http1_step(&http1_in, &http1_out);
}

static long pair_next(__u32 i, void *ctx)
{
	return scenario_pair_step(&pair_in, &pair_out, i);
}

static long hist_next(__u32 i, void *ctx)
{
	return scenario_hist_step(&hist_in, &hist_out, i);
}

SEC("syscall")
int run_ws(void *ctx)
{
	bpf_loop(SCENARIO_STEPS, ws_next, NULL, 0);
	return 0;
}

SEC("syscall")
int run_resync(void *ctx)
{
	bpf_loop(SCENARIO_STEPS, resync_next, NULL, 0);
	return 0;
}

SEC("syscall")
int run_http1(void *ctx)
{
	bpf_loop(SCENARIO_STEPS, http1_next, NULL, 0);
	return 0;
}

SEC("syscall")
int run_pair(void *ctx)
{
	bpf_loop(SCENARIO_OPS, pair_next, NULL, 0);
	return 0;
}

SEC("syscall")
int run_hist(void *ctx)
{
	bpf_loop(SCENARIO_VALUES, hist_next, NULL, 0);
	return 0;
}

SEC("syscall")
int run_accept(void *ctx)
{
	accept_out.fits = accept_fits(&accept_out.work, accept_in.key, accept_in.accept);
	return 0;
}

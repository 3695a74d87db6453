// SPDX-License-Identifier: GPL-2.0
/*
 * What wsvitals is measured against, on each of its hooks:
 *   empty_  a program that does nothing
 *   count_  counts whose events these were: a run statistic is one sum over all events of the host
 *   floor_  where bytes pass: makes the calls that no program can avoid that finds a message, and
 *           nothing else, on the server's sockets: the socket's state, the clock, the registers, one
 *           read of the user's memory. What these cost differs a lot between machines.
 */
#include "types.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "meter.h"

#define AF_INET 2
#define AF_INET6 10

char LICENSE[] SEC("license") = "GPL";

/* The server's port, in host order. */
const volatile __u16 port = 0;

/* counts[enum hook * NR_CLASSES + enum class] */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_HOOKS *NR_CLASSES);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(struct sock *sk, __u32 hook, int bytes)
{
	__u32 class = CLASS_OTHER;
	__u64 *n;

	if (bytes <= 0)
		class = CLASS_NO_DATA;
	else if (sk && (sk->__sk_common.skc_family == AF_INET ||
			sk->__sk_common.skc_family == AF_INET6)) {
		if (sk->__sk_common.skc_num == port)
			class = CLASS_SERVER;
		else if (bpf_ntohs(sk->__sk_common.skc_dport) == port)
			class = CLASS_CLIENT;
	}
	class += hook * NR_CLASSES;
	n = bpf_map_lookup_elem(&counts, &class);
	if (n)
		__sync_fetch_and_add(n, 1);
}

#define HOOK(NAME, tracepoint)                                                                     \
	SEC("tp_btf/" #tracepoint)                                                                 \
	int BPF_PROG(empty_##tracepoint)                                                           \
	{                                                                                          \
		return 0;                                                                          \
	}
HOOKS(HOOK)
#undef HOOK

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} floor_state SEC(".maps");

__u64 floor_sink; /* so that no call is optimised away */

static __always_inline void floor_calls(struct sock *sk, int bytes)
{
	struct pt_regs *regs;
	__u64 *state, data = 0;

	if (bytes <= 0 || !sk || sk->__sk_common.skc_num != port)
		return;
	state = bpf_sk_storage_get(&floor_state, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	/* the buffer, or the head of one: the second argument of every call that moves bytes */
	if (!state || bpf_probe_read_user(&data, sizeof(data), (const void *)regs->si))
		return;
	*state = bpf_ktime_get_ns();
	floor_sink = data;
}

#define HOOK(NAME, tracepoint)                                                                     \
	SEC("tp_btf/" #tracepoint)                                                                 \
	int BPF_PROG(floor_##tracepoint, struct sock *sk, int ret)                                 \
	{                                                                                          \
		floor_calls(sk, ret);                                                              \
		return 0;                                                                          \
	}
DATA_HOOKS(HOOK)
#undef HOOK

#define HOOK(NAME, tracepoint)                                                                     \
	SEC("tp_btf/" #tracepoint)                                                                 \
	int BPF_PROG(count_##tracepoint, struct sock *sk, int ret)                                 \
	{                                                                                          \
		count(sk, HOOK_##NAME, ret);                                                       \
		return 0;                                                                          \
	}
DATA_HOOKS(HOOK)
#undef HOOK

/* The other hooks move no bytes: each event counts. */
#define HOOK(NAME, tracepoint)                                                                     \
	SEC("tp_btf/" #tracepoint)                                                                 \
	int BPF_PROG(count_##tracepoint, struct sock *sk)                                          \
	{                                                                                          \
		count(sk, HOOK_##NAME, 1);                                                         \
		return 0;                                                                          \
	}
LIFE_HOOKS(HOOK)
#undef HOOK

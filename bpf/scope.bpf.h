/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether a socket is to be observed (SPEC 6). Decided once, at its first data event, before any
 * byte of a payload is read; the answer stays in the connection's state.
 */
#ifndef WSVITALS_SCOPE_BPF_H
#define WSVITALS_SCOPE_BPF_H

#include "compat.bpf.h"

#define SCOPE_CGROUP_DEPTH 16

static __always_inline __u32 sock_netns(struct sock *sk)
{
	return sk->__sk_common.skc_net.net->ns.inum;
}

/* A connecting socket whose other end is on this host too: loopback, or its own address. */
static __always_inline int sock_peer_is_local(struct sock *sk)
{
	if (sk->__sk_common.skc_family == AF_INET) {
		__u32 to = sk->__sk_common.skc_daddr;

		return to == sk->__sk_common.skc_rcv_saddr ||
		       (to & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	}
	return sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[0] ==
		       sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0] &&
	       sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[1] ==
		       sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1] &&
	       sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[2] ==
		       sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2] &&
	       sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[3] ==
		       sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3];
}

/* The server's listening port; for an upstream leg, of the server that it leads to on this host
 * (elsewhere the number says nothing about a server here): 0 when there is none. */
static __always_inline __u16 sock_server_port(struct sock *sk, int upstream)
{
	if (!upstream)
		return sk->__sk_common.skc_num;
	return sock_peer_is_local(sk) ? bpf_ntohs(sk->__sk_common.skc_dport) : 0;
}

/*
 * A first look, at every event and before anything else: for strangers it is the only one. What it
 * needs lies in the first bytes of struct sock, which the kernel has just used; a socket's state does
 * not. A socket without a port may have had one: what waits in it can be read after a reset.
 */
static __always_inline int scope_excludes(struct sock *sk)
{
	__u16 dport = bpf_ntohs(sk->__sk_common.skc_dport);
	__u16 num = sk->__sk_common.skc_num;

	if (!config.scope_ports || !num)
		return 0;
	return (num < config.scope_port_min || num > config.scope_port_max) &&
	       (dport < config.scope_port_min || dport > config.scope_port_max);
}

static __always_inline int scope_port(struct sock *sk, int upstream)
{
	__u16 port = sock_server_port(sk, upstream);

	return scope_port_bits[port >> 6] >> (port & 63) & 1;
}

static __always_inline int scope_netns_of(struct sock *sk)
{
	__u32 inum = sock_netns(sk);

	return bpf_map_lookup_elem(&scope_netns, &inum) != NULL;
}

static __always_inline int scope_pid(struct task_struct *task)
{
	__u32 tgid = task->tgid;

	return bpf_map_lookup_elem(&scope_pids, &tgid) != NULL;
}

/* The name of the process is its leader's: threads may have their own. */
static __always_inline int scope_comm(struct task_struct *task)
{
	char comm[COMM_LEN] = {};

	bpf_core_read_str(comm, sizeof(comm), &task->group_leader->comm);
	return bpf_map_lookup_elem(&scope_comms, comm) != NULL;
}

/* The task's cgroup in the v2 hierarchy, or one above it, is named. */
static __always_inline int scope_cgroup(void)
{
	for (int level = 0; level < SCOPE_CGROUP_DEPTH; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id)
			break;
		if (bpf_map_lookup_elem(&scope_cgroups, &id))
			return 1;
	}
	return 0;
}

/* All but the port, which is looked at first because it needs no state. */
static __always_inline int scope_task(struct sock *sk, struct task_struct *task)
{
	if (config.scope_netns && !scope_netns_of(sk))
		return 0;
	if (config.scope_pids && !scope_pid(task))
		return 0;
	if (config.scope_comms && !scope_comm(task))
		return 0;
	if (config.scope_cgroup && !scope_cgroup())
		return 0;
	return 1;
}

/* A child of a process in scope is in scope. */
static __always_inline void scope_fork(struct task_struct *parent, struct task_struct *child)
{
	__u32 from = parent->tgid;
	__u32 to = child->tgid;
	__u8 one = 1;

	if (from != to && bpf_map_lookup_elem(&scope_pids, &from))
		bpf_map_update_elem(&scope_pids, &to, &one, BPF_ANY);
}

/* The number may be given to a stranger next. */
static __always_inline void scope_exit(struct task_struct *task)
{
	__u32 tgid = task->tgid;

	if (task->pid == task->tgid)
		bpf_map_delete_elem(&scope_pids, &tgid);
}

#endif

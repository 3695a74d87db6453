/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unix stream sockets: a proxy in front of an application. They have no sequence numbers, no states and
 * no tracepoint at their end, so a connection's state outlives the socket in a hash (maps.bpf.h): it ends
 * when one side learns that the other is gone, or when user space's walk finds that the socket is
 * (unix_walk, unix_sweep). It cannot see bytes that splice takes from a Unix socket.
 */
#ifndef WSVITALS_UNIX_BPF_H
#define WSVITALS_UNIX_BPF_H

#include "end.bpf.h"
#include "scope.bpf.h"

#define SOCK_DEAD 0 /* bit of sk_flags (include/net/sock.h): the last descriptor is gone */

extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak; /* Linux 6.2 */
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

/* 1 when no such process is left. */
static __always_inline int unix_process_gone(__u32 tgid)
{
	struct task_struct *task;

	if (!bpf_task_from_pid || !bpf_task_release)
		return 0;
	task = bpf_task_from_pid((s32)tgid);
	if (!task)
		return 1;
	bpf_task_release(task);
	return 0;
}

/* The end of the connection at this address: its socket is gone, or will never be seen again. A function
 * of its own, because the record of an end is more than its callers' stacks have left; the address is in
 * memory, because Linux 6.12 lets none be an argument. */
__noinline int unix_end(__u64 *at)
{
	struct unix_owner *owner;
	struct conn *conn;
	__u64 key;

	if (!at) /* the verifier knows no caller here */
		return 0;
	key = *at;
	conn = bpf_map_lookup_elem(&unix_conns, &key);
	owner = bpf_map_lookup_elem(&unix_owners, &key);
	if (conn && owner) {
		if (conn->state == CONN_OPEN) {
			if (!(conn->bits & (CONN_CLOSED | CONN_UPSTREAM)) &&
			    unix_process_gone(owner->tgid))
				end_note(conn, CAUSE_SERVER_EXIT);
			__sync_fetch_and_or(&conn->bits, CONN_LEFT);
			end_open(NULL, conn, owner->id);
		} else if (conn->state == CONN_UPGRADING) {
			end_upgrade(key, conn, owner->id);
		}
	}
	head_drop_at(key);
	bpf_map_delete_elem(&unix_conns, &key);
	bpf_map_delete_elem(&unix_owners, &key);
	return 0;
}

/* Not one of ours after all: from now on its events cost one look at its mark. */
static __always_inline void unix_ignore(struct sock *sk)
{
	struct unix_mark *mark = unix_mark_of(sk, 0);
	__u64 key = (__u64)sk;

	if (mark)
		mark->kept = 0;
	unix_end(&key);
}

/* The name that the socket has from its listener. */
static __always_inline void unix_path(struct sock *sk, char *ret_path)
{
	struct unix_address *addr = BPF_CORE_READ((struct unix_sock *)sk, addr);
	__u32 len;

	if (!addr)
		return;
	len = (__u32)BPF_CORE_READ(addr, len) - sizeof(__u16);
	if (len > UNIX_PATH)
		len = UNIX_PATH;
	KEEP(len);
	if (len > UNIX_PATH || bpf_probe_read_kernel(ret_path, len, addr->name[0].sun_path))
		return;
	if (!ret_path[0])
		ret_path[0] = '@';
}

/* A state for the socket: 0 when there is no room. */
static __always_inline int unix_keep(struct sock *sk, struct unix_mark *mark, __u32 tgid,
				     int upstream)
{
	struct unix_new new = {.tgid = tgid, .bits = upstream ? CONN_UPSTREAM : 0};

	new.key = (__u64)sk;
	new.id = cookie_of(sk);
	unix_end(&new.key); /* of a socket that had this address and is not yet found missing */
	mark->kept = unix_make(&new);
	return mark->kept;
}

/* First sight: 0 when nothing is to be kept. Its listener's address is an accepted socket's too. */
static __always_inline int unix_first(struct sock *sk, __u32 wire)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct unix_sock *un = (struct unix_sock *)sk;
	struct unix_mark *mark;
	struct sock *peer;
	int named, peer_named = 0;

	if (sk->sk_type != SOCK_STREAM)
		return 0;
	mark = unix_mark_of(sk, 1);
	if (!mark) {
		BOOK(conn_full);
		return 0;
	}
	if (!scope_task(sk, task))
		return 0;
	named = BPF_CORE_READ(un, addr) != NULL;
	peer = BPF_CORE_READ(un, peer);
	if (peer)
		peer_named = BPF_CORE_READ((struct unix_sock *)peer, addr) != NULL;
	if (!named && !peer_named)
		return 0; /* a socketpair: nobody accepted it */
	if (task_is_32bit(task)) {
		BOOK(unsupported);
		return 0;
	}
	return unix_keep(sk, mark, task->tgid, named && peer_named ? wire == SENT : !named);
}

/* The state of a Unix socket; NULL when it is none of ours. */
static __always_inline struct conn *unix_conn_of(struct sock *sk, __u32 wire)
{
	struct unix_mark *mark = unix_mark_of(sk, 0);
	__u64 key = (__u64)sk;

	if (mark ? !mark->kept : !unix_first(sk, wire))
		return NULL;
	return bpf_map_lookup_elem(&unix_conns, &key);
}

/* An event without bytes: the peer has closed (shutdown(2) alone leaves one direction), or is gone. */
static __always_inline void unix_idle(struct sock *sk, __u32 wire, int ret)
{
	struct unix_mark *mark;
	struct conn *conn;
	__u64 key = (__u64)sk;

	if (ret ? ret != -EPIPE && ret != -ECONNRESET
		: wire != RECEIVED || (sk->sk_shutdown & SHUTDOWN_MASK) != SHUTDOWN_MASK)
		return;
	mark = unix_mark_of(sk, 0);
	if (!mark || !mark->kept)
		return;
	conn = bpf_map_lookup_elem(&unix_conns, &key);
	if (!conn || conn->state != CONN_OPEN)
		return;
	if (ret == -ECONNRESET)
		end_note(conn,
			 conn->bits & CONN_UPSTREAM ? CAUSE_RESET_BY_SERVER : CAUSE_RESET_BY_PEER);
	__sync_fetch_and_or(&conn->bits, CONN_LEFT);
	end_closed(NULL, conn, bpf_ktime_get_ns());
	count_unanswered(conn);
}

/* ------------------------------------------------------------------------------------------ */
/* In user space's walk: first all sockets that live, then all states. */

static __always_inline struct conn *unix_walk(struct sock *sk, struct unix_mark *mark,
					      __u64 *ret_id)
{
	__u64 key = (__u64)sk;
	struct unix_owner *owner;

	if (!mark->kept || sk->__sk_common.skc_flags >> SOCK_DEAD & 1)
		return NULL;
	owner = bpf_map_lookup_elem(&unix_owners, &key);
	if (!owner)
		return NULL;
	owner->epoch = unix_epoch;
	*ret_id = owner->id;
	return bpf_map_lookup_elem(&unix_conns, &key);
}

static __always_inline void unix_sweep(__u64 key)
{
	struct unix_owner *owner = bpf_map_lookup_elem(&unix_owners, &key);

	if (owner && owner->epoch != unix_epoch)
		unix_end(&key);
}

#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * The programs on sockets, in the order in which a connection meets them. Each takes its context
 * apart, calls one function and returns; policy and parsing are in the headers:
 *
 *   tap (where are the bytes?) -> stream (what do they mean?) -> count (maps), emit (records)
 *                                 late (the same, of what began before us)
 */
#include "end.bpf.h"
#include "late.bpf.h"
#include "stream.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/*
 * Unix sockets have programs of their own, which the two below jump to: the verifier then looks at each
 * kind of state alone, and the hot path pays one comparison.
 */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_recv_unix, struct sock *sk, int ret, int flags)
{
	stream_unix_event(sk, ret, flags, RECEIVED);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send_unix, struct sock *sk, int ret, int flags)
{
	stream_unix_event(sk, ret, flags, SENT);
	return 0;
}

/* A jump's target must have the same tracepoint as its origin, so one table for each; filled by user
 * space, or empty: then Unix sockets are left alone. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} unix_recv SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} unix_send SEC(".maps");

/* Bytes received: every read, recv…, io_uring. Linux 6.3 (net/socket.c, sock_recvmsg_nosec). */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_recv, struct sock *sk, int ret, int flags)
{
	if (!counting)
		return 0;
	if (sk->__sk_common.skc_family != AF_UNIX)
		stream_event(sk, ret, flags, RECEIVED);
	else
		bpf_tail_call(ctx, &unix_recv, 0);
	return 0;
}

/* Bytes sent: every write, send…, sendfile, io_uring. Linux 6.3 (net/socket.c, sock_sendmsg_nosec). */
SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int ret, int flags)
{
	if (!counting)
		return 0;
	if (sk->__sk_common.skc_family != AF_UNIX)
		stream_event(sk, ret, flags, SENT);
	else
		bpf_tail_call(ctx, &unix_send, 0);
	return 0;
}

/* Bytes wait to be read. Softirq, or the backlog of a task that held the socket. Linux 6.3. */
SEC("tp_btf/sk_data_ready")
int BPF_PROG(on_data_ready, struct sock *sk)
{
	struct conn *conn = scope_excludes(sk) ? NULL : conn_of(sk);

	if (conn && conn->state == CONN_OPEN && !(conn->bits & CONN_UPSTREAM))
		count_data_ready(conn, tcp_of(sk));
	return 0;
}

static __always_inline void state_changed(struct sock *sk, int from, int to)
{
	struct conn *conn;

	if (from != TCP_ESTABLISHED && from != TCP_CLOSE_WAIT && to != TCP_CLOSE)
		return;
	conn = conn_of(sk);
	if (conn && conn->state == CONN_OPEN)
		end_state_change(sk, conn, from, to);
}

/*
 * The kernel skips a program that interrupts itself: a softirq that ends one connection while a task
 * is in the same program for another. A twin on the same tracepoint is not running then, and what
 * these programs do, they do once for a socket. Deeper than task and softirq it does not nest.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_set_state, struct sock *sk, int from, int to)
{
	state_changed(sk, from, to);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_set_state_twin, struct sock *sk, int from, int to)
{
	state_changed(sk, from, to);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_receive_reset, struct sock *sk)
{
	struct conn *conn = conn_of(sk);

	if (conn && conn->state == CONN_OPEN)
		end_note(conn,
			 conn->bits & CONN_UPSTREAM ? CAUSE_RESET_BY_SERVER : CAUSE_RESET_BY_PEER);
	return 0;
}

/* sk is NULL for a segment that belongs to no socket; bpf_sk_storage_get answers that with NULL. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_send_reset, struct sock *sk)
{
	struct conn *conn = conn_of(sk);

	if (conn && conn->state == CONN_OPEN)
		end_note(conn,
			 conn->bits & CONN_UPSTREAM ? CAUSE_RESET_BY_PEER : CAUSE_RESET_BY_SERVER);
	return 0;
}

static __always_inline void destroyed(struct sock *sk)
{
	struct conn *conn = conn_of(sk);

	armed_drop(sk); /* noted before it is known whether the socket is in scope */
	if (conn)
		end_destroyed(sk, conn);
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy, struct sock *sk)
{
	destroyed(sk);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy_twin, struct sock *sk)
{
	destroyed(sk);
	return 0;
}

/*
 * Which request of io_uring runs on a task is not written down anywhere: noted when it gets its file,
 * which is right before it is issued, also as a part of a chain. Linux 5.19.
 */
SEC("tp_btf/io_uring_file_get")
int BPF_PROG(on_uring_file, struct io_kiocb *req, int fd)
{
	uring_issue(req);
	return 0;
}

/* Registered files are not got one by one: noted when submitted. Linux 6.4 (io_uring_submit_sqe before). */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_uring_submit, struct io_kiocb *req)
{
	if (req->flags & REQ_F_FIXED_FILE)
		uring_issue(req);
	return 0;
}

/* The socket was not ready: the request is issued again when it is, by task work. */
SEC("tp_btf/io_uring_poll_arm")
int BPF_PROG(on_uring_arm, struct io_kiocb *req)
{
	uring_arm(req);
	return 0;
}

/* Only loaded for --pid. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	scope_fork(parent, child);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	scope_exit(task);
	return 0;
}

/*
 * Run once after attaching, over the open files of every task: which sockets were accepted before
 * anything was counted. A cgroup in the scope is that of the reading task, which here is us: then
 * they are found when they first move bytes.
 */
SEC("iter/task_file")
int adopt(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;

	if (!task || !file || config.scope_cgroup)
		return 0;
	socket = bpf_sock_from_file(file);
	if (socket && socket->sk)
		late_adopt(socket->sk, task, bpf_ktime_get_ns());
	return 0;
}

/* Whether the socket was accepted by a listener that is known to speak WebSocket. */
static __always_inline int server_is_known(struct sock *sk)
{
	struct server_key key = {};

	server_key_of(sk, &key);
	return server_find(&key) != NULL;
}

static __always_inline void walk_write(struct seq_file *seq, struct sock *sk, struct conn *conn,
				       __u64 id)
{
	struct walk_record row = {};

	row.id = id;
	row.candidate = conn->state == CONN_CANDIDATE;
	row.open_ns = conn->open_ns;
	if (row.candidate)
		goto out;
	row.bytes_received = conn->bytes[RECEIVED];
	row.bytes_sent = conn->bytes[SENT];
	row.path_hash = conn->path_hash;
	row.received = conn->messages[RECEIVED];
	row.sent = conn->messages[SENT];
	row.waiting = pair_waiting(&conn->pair);
	row.server = conn->server;
	row.channel = conn->channel;
	row.upstream = !!(conn->bits & CONN_UPSTREAM);
	row.resync = !!(conn->bits & CONN_RESYNC);
out:
	endpoints_of(sk, &row.local, &row.peer);
	bpf_seq_write(seq, &row, sizeof(row));
}

/* One struct walk_record per open connection: `active` is counted here, never by subtraction. */
SEC("iter/bpf_sk_storage_map")
int walk(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct conn *conn = ctx->value;

	if (!sk || !conn)
		return 0;
	if (conn->state == CONN_CANDIDATE) {
		/* sockets that were passed over once are here too, but not those that connect, nor those of
		 * servers that have shown no WebSocket */
		if (conn->bits & CONN_UPSTREAM || sk->__sk_common.skc_state != TCP_ESTABLISHED ||
		    !server_is_known(sk))
			return 0;
	} else if (conn->state != CONN_OPEN || (conn->bits & CONN_CLOSED)) {
		return 0;
	}
	walk_write(ctx->meta->seq, sk, conn, bpf_get_socket_cookie(sk));
	return 0;
}

/* The same for Unix sockets; and their states know afterwards that the socket lives … */
SEC("iter/bpf_sk_storage_map")
int walk_unix(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct unix_mark *mark = ctx->value;
	struct sock *sk = ctx->sk;
	struct conn *conn;
	__u64 id;

	if (!sk || !mark)
		return 0;
	conn = unix_walk(sk, mark, &id);
	if (!conn)
		return 0;
	if (conn->state == CONN_CANDIDATE ? server_is_known(sk)
					  : conn->state == CONN_OPEN && !(conn->bits & CONN_CLOSED))
		walk_write(ctx->meta->seq, sk, conn, id);
	return 0;
}

/* … and those that do not, end. */
SEC("iter/bpf_map_elem")
int sweep_unix(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key;

	if (key)
		unix_sweep(*key);
	return 0;
}

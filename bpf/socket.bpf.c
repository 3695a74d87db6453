// SPDX-License-Identifier: GPL-2.0
/*
 * The programs on sockets, in the order in which a connection meets them. Each takes its context
 * apart, calls one function and returns; policy and parsing are in the headers:
 *
 *   tap (where are the bytes?) -> stream (what do they mean?) -> count (maps), emit (records)
 */
#include "end.bpf.h"
#include "stream.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Bytes received: every read, recv…, io_uring. Linux 6.3 (net/socket.c, sock_recvmsg_nosec). */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_recv, struct sock *sk, int ret, int flags)
{
	stream_event(sk, ret, flags, RECEIVED);
	return 0;
}

/* Bytes sent: every write, send…, sendfile, io_uring. Linux 6.3 (net/socket.c, sock_sendmsg_nosec). */
SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int ret, int flags)
{
	stream_event(sk, ret, flags, SENT);
	return 0;
}

/* Bytes wait to be read. Softirq, or the backlog of a task that held the socket. Linux 6.3. */
SEC("tp_btf/sk_data_ready")
int BPF_PROG(on_data_ready, struct sock *sk)
{
	struct conn *conn = conn_of(sk);
	struct tcp_sock *tp;

	if (!conn || conn->state != CONN_OPEN || (conn->bits & CONN_UPSTREAM))
		return 0;
	tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (tp)
		count_data_ready(conn, tp, bpf_ktime_get_ns());
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

/* One struct walk_record per open connection: `active` is counted here, never by subtraction. */
SEC("iter/bpf_sk_storage_map")
int walk(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct conn *conn = ctx->value;
	struct walk_record row = {};

	if (!sk || !conn || conn->state != CONN_OPEN || (conn->bits & CONN_CLOSED))
		return 0;
	row.id = bpf_get_socket_cookie(sk);
	row.open_ns = conn->open_ns;
	row.bytes_received = conn->bytes[RECEIVED];
	row.bytes_sent = conn->bytes[SENT];
	row.path_hash = conn->path_hash;
	endpoints_of(sk, &row.local, &row.peer);
	row.received = conn->messages[RECEIVED];
	row.sent = conn->messages[SENT];
	row.waiting = pair_waiting(&conn->pair);
	row.server = conn->server;
	row.channel = conn->channel;
	row.upstream = !!(conn->bits & CONN_UPSTREAM);
	row.resync = !!(conn->bits & CONN_RESYNC);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

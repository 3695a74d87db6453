/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The end of a connection. Causes are noted when they show, because at the very end `current` is
 * somebody else and the ports are 0; the row is written once, at tcp_destroy_sock, which is never
 * skipped and where the state can still be read (MECHANISMS 0.3, 0.4).
 */
#ifndef WSVITALS_END_BPF_H
#define WSVITALS_END_BPF_H

#include "count.bpf.h"
#include "emit.bpf.h"

static __always_inline void end_note(struct conn *conn, __u32 cause)
{
	__sync_fetch_and_or(&conn->bits, 1u << cause);
}

static __always_inline __u8 end_cause(struct sock *sk, __u32 bits)
{
	for (int cause = 0; cause < CAUSE_FIN_WITHOUT_CLOSE; cause++)
		if (bits >> cause & 1)
			return cause;
	/* It is over, but neither did we leave nor has the peer said FIN: its RST came in a softirq
	 * that interrupted another program, where the kernel may skip ours. */
	if (sk && !(bits & CONN_LEFT) && !(sk->__sk_common.skc_flags >> SOCK_DONE & 1))
		return bits & CONN_UPSTREAM ? CAUSE_RESET_BY_SERVER : CAUSE_RESET_BY_PEER;
	return CAUSE_FIN_WITHOUT_CLOSE;
}

/* How the connection ended, as far as it is known now. */
static __always_inline void end_outcome(struct sock *sk, struct conn *conn, struct outcome_key *key)
{
	__u32 bits = conn->bits;

	key->server = conn->server;
	key->shadowed = !!conn->violation;
	if (bits & CONN_HAS_CLOSE) {
		key->kind = OUTCOME_CLOSE;
		key->code = conn->close_code;
		key->initiator = bits & CONN_CLOSE_SERVER ? BY_SERVER : BY_CLIENT;
		outcome_bound(key);
	} else {
		key->kind = OUTCOME_ABNORMAL;
		key->code = end_cause(sk, bits);
	}
}

static __always_inline void end_violation(struct conn *conn)
{
	struct outcome_key key = {
		.kind = OUTCOME_VIOLATION,
		.server = conn->server,
		.code = conn->violation,
		.initiator = conn->bits & CONN_VIOLATED_SERVER ? BY_SERVER : BY_CLIENT,
	};

	outcome_add(&key);
}

/* Closed: counted with its outcome at once, because what follows may be skipped (see end_cause). */
static __always_inline void end_closed(struct sock *sk, struct conn *conn, __u64 now)
{
	struct outcome_key key = {};

	if (!count_closed(conn, now))
		return;
	end_outcome(sk, conn, &key);
	conn->outcome = key;
	outcome_add(&key);
	if (conn->violation)
		end_violation(conn);
}

/* Bytes read after an RST, or our own RST after the close, may tell better how it ended. */
static __always_inline void end_correct(struct sock *sk, struct conn *conn)
{
	struct outcome_key old = conn->outcome;
	struct outcome_key key = {};

	end_outcome(sk, conn, &key);
	if (key.kind == old.kind && key.code == old.code && key.initiator == old.initiator &&
	    key.shadowed == old.shadowed)
		return;
	outcome_take_back(&old);
	outcome_add(&key);
	if (key.shadowed && !old.shadowed)
		end_violation(conn);
	conn->outcome = key;
}

/* An open connection's socket changes state. */
static __always_inline void end_state_change(struct sock *sk, struct conn *conn, int from, int to)
{
	__u64 now = bpf_ktime_get_ns();
	/* tcp_close sets this before the change; when the peer's RST ends it, it is set after */
	int by_us = (sk->sk_shutdown & SHUTDOWN_MASK) == SHUTDOWN_MASK;

	if (from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT) {
		struct task_struct *task = bpf_get_current_task_btf();
		/* once the peer has said FIN, a later exit of the server is not the cause */
		int first = !(__sync_fetch_and_or(&conn->bits, CONN_LEFT) & CONN_LEFT);

		struct tcp_sock *tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);

		if (by_us && tp)
			count_unseen(sk, conn, tp, now);
		if (by_us && first && (task->flags & PF_EXITING))
			end_note(conn, conn->bits & CONN_UPSTREAM ? CAUSE_FIN_WITHOUT_CLOSE
								  : CAUSE_SERVER_EXIT);
	} else if (to != TCP_CLOSE) {
		return;
	}
	if (to == TCP_CLOSE && sk->sk_err == ETIMEDOUT)
		end_note(conn, CAUSE_TIMEOUT);
	if (by_us || to == TCP_CLOSE)
		end_closed(sk, conn, now);
	/* after our own close nothing is sent; an RST may overtake the end of the write that it answers,
	 * so then it waits for the end of the socket */
	if (by_us)
		count_unanswered(conn);
}

/* sk: NULL where there is none any more; its errors have been noted then. */
static __always_inline void end_open(struct sock *sk, struct conn *conn, __u64 id)
{
	__u64 now = bpf_ktime_get_ns();
	struct event_close row = {};
	__u32 bits;

	if (sk && sk->sk_err == ETIMEDOUT)
		end_note(conn, CAUSE_TIMEOUT);
	end_closed(sk, conn, now);
	end_correct(sk, conn);
	count_unanswered(conn); /* of messages read after the close */
	bits = conn->bits;

	emit_header(&row.event, EVENT_CLOSE, sizeof(row), id, now);
	row.duration_ns = conn->open_ns;
	row.open_ns = now - conn->open_ns;
	row.bytes_received = conn->bytes[RECEIVED];
	row.bytes_sent = conn->bytes[SENT];
	row.received = conn->messages[RECEIVED];
	row.sent = conn->messages[SENT];
	row.server = conn->server;
	row.channel = conn->channel;
	row.close_code = conn->close_code;
	row.closed_by = bits & CONN_CLOSE_SERVER ? BY_SERVER : BY_CLIENT;
	row.has_close = !!(bits & CONN_HAS_CLOSE);
	row.cause = row.has_close ? 0 : conn->outcome.code;
	row.violation = conn->violation;
	row.violated_by = bits & CONN_VIOLATED_SERVER ? BY_SERVER : BY_CLIENT;
	row.upstream = !!(bits & CONN_UPSTREAM);
	row.resync = !!(bits & CONN_RESYNC);
	row.brief_sum = conn->brief_sum;
	row.brief_top = conn->pair.spare;
	emit(&row, sizeof(row));
}

/* An upgrade that never got a whole answer. Who the server was is known only if another upgrade
 * went before: this is no place to make a slot. */
static __always_inline void end_upgrade(__u64 at, struct conn *conn, __u64 id)
{
	struct head *head = bpf_map_lookup_elem(&heads, &at);
	struct outcome_key key = {.kind = OUTCOME_REFUSED, .initiator = BY_SERVER};
	__u64 now = bpf_ktime_get_ns();

	if (!head)
		return;
	key.code = head->response.status;
	key.server = conn->bits & CONN_UPSTREAM ? SLOT_UPSTREAM : conn->server;
	outcome_add(&key);
	head->open.server = key.server;
	head->open.status = key.code;
	head->open.path_hash = conn->path_hash;
	head->open.upstream = !!(conn->bits & CONN_UPSTREAM);
	head->open.response_len = 0;
	head->open.handshake_ns = now - head->read_ns;
	emit_head(head, EVENT_REFUSED, id, now);
}

static __always_inline void end_destroyed(struct sock *sk, struct conn *conn)
{
	if (__sync_fetch_and_or(&conn->bits, CONN_ENDED) & CONN_ENDED)
		return;
	if (conn->state == CONN_OPEN)
		end_open(sk, conn, bpf_get_socket_cookie(sk));
	else if (conn->state == CONN_UPGRADING)
		end_upgrade((__u64)sk, conn, bpf_get_socket_cookie(sk));
	if (conn->state == CONN_UPGRADING ||
	    (conn->state == CONN_HTTP &&
	     (conn->http_mode == HTTP_GET || conn->http_mode == HTTP_METHOD)))
		head_drop(sk);
}

#endif

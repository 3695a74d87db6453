/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sockets that are older than we are, and streams that have lost their boundary: resync.h, event by
 * event, until it is proven that this is a WebSocket and where its frames begin. In: the events that
 * stream.bpf.h leaves over. Out: an open connection with origin=resync, a stream that is in step
 * again, or a socket that is ignored.
 *
 * It cannot see who asked for the connection: no path, no user but the address.
 */
#ifndef WSVITALS_LATE_BPF_H
#define WSVITALS_LATE_BPF_H

#include "stream.bpf.h"

#define REARM_FIRST 256       /* events until a socket that was given up is looked at again */
#define REARM_LAST (1u << 20) /* … doubled each time, up to this */

/* What the loop below shares. */
struct late {
	struct conn *conn;
	struct run *run;
	__u32 direction;
};

static long late_step(__u64 i, struct late *late)
{
	struct run *run = late->run;
	__u32 direction = late->direction & 1;
	struct ws_stream *ws = &late->conn->ws[direction];
	struct resync_piece *piece = &run->piece;
	long len;

	if (!run->left || !(ws->flags & WS_UNKNOWN))
		return 1;
	len = tap_piece(run);
	if (len < 0) {
		BOOK(read_failed);
		resync_gap(ws, &run->held, run->left);
		run->left = 0;
		return 1;
	}
	if (!len)
		return 0;
	piece->from = run->base;
	piece->len = len;
	piece->left = run->left;
	tap_take(run, resync_step(ws, &run->held, &run->tally, run->scratch, piece));
	return 0;
}

/* Follows the chain through the event, up to where it is proven or the event ends. */
static __always_inline void late_follow(struct late *late)
{
	struct ws_stream *ws = &late->conn->ws[late->direction & 1];
	struct run *run = late->run;

	bpf_loop(STREAM_STEPS, late_step, late, 0);
	if (run->tally.unread)
		BOOK_ADD(read_failed, run->tally.unread);
	run->tally.unread = 0;
	if (run->left && ws->flags & WS_UNKNOWN) {
		BOOK(frames_capped);
		resync_gap(ws, &run->held, run->left);
		run->left = 0;
	}
}

/* Nothing of the candidate is left in what other states use. */
static __always_inline void candidate_clear(struct conn *conn)
{
	__builtin_memset(conn->held, 0, sizeof(conn->held));
	conn->rearm_left = 0;
	conn->rearm_next = 0;
}

/* Looked at in vain; the longer, the more seldom. */
static __always_inline void candidate_give_up(struct conn *conn)
{
	__u32 next = conn->rearm_next * 2;

	conn->rearm_next = next < REARM_FIRST ? REARM_FIRST : next > REARM_LAST ? REARM_LAST : next;
	conn->rearm_left = conn->rearm_next;
	conn->state = CONN_IGNORED;
}

/* A request begins, so this goes the way of new connections. */
static __always_inline void candidate_is_http(struct conn *conn)
{
	candidate_clear(conn);
	__builtin_memset(conn->ws, 0, sizeof(conn->ws));
	conn->http_body = 0;
	conn->http_mode = HTTP_IDLE;
	conn->http_ahead = 0;
	conn->state = CONN_HTTP;
}

/* What the beginning of an event tells at once of a socket that shows no frames so far: 1 when that
 * was enough. */
static __always_inline int candidate_sign(struct conn *conn, struct run *run, __u32 direction)
{
	__u8 b[4] = {};

	if (resync_alive(&conn->ws[direction & 1]) || tap_piece(run) < (long)sizeof(b) ||
	    ws_read(b, sizeof(b), run->base))
		return 0;
	if (b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 && b[2] <= 4) { /* RFC 8446 5.1 */
		if (!conn->rearm_next)                                /* the first time */
			not_seen(conn, UNSEEN_TLS);
		candidate_give_up(conn);
		return 1;
	}
	if (direction == RECEIVED && b[0] == 'G' && b[1] == 'E' && b[2] == 'T' && b[3] == ' ') {
		candidate_is_http(conn);
		return 1;
	}
	return 0;
}

/* One direction is proven: the connection opens. */
static __always_inline void late_recognised(struct conn *conn, struct run *run, __u32 direction)
{
	__u32 other = (direction ^ 1) & 1;

	resync_accept(&conn->ws[other], &conn->held[other]);
	__builtin_memcpy(run->opened, conn->held, sizeof(run->opened));
	candidate_clear(conn);
	conn->path_hash = 0;
	conn->channel = 0;
	conn->ping_at = 0;
	conn->server = conn->bits & CONN_UPSTREAM ? SLOT_UPSTREAM : server_slot_now(run);
	__sync_fetch_and_or(&conn->bits, CONN_RESYNC);
	conn->wait_next = run->rcv_nxt;
	count_recognised(conn);
	count_held(conn, &run->opened[RECEIVED], &run->opened[SENT]);
	/* the other direction waits for our lock, and finds everything in place after it */
	conn->state = CONN_OPEN;
}

/*
 * An event of a socket that may turn out to be a WebSocket, or of an open connection's direction
 * whose boundary is lost: there all is a gap, until it is found again. What run->left holds after
 * that is frames. run->gap counts for a candidate; hole: the event's bytes cannot be read.
 *
 * A function of its own to the verifier, so that it is looked at once and not behind each way that
 * leads here.
 */
__noinline int late_look(struct conn *conn, struct run *run, __u32 direction, int hole)
{
	struct late late = {.conn = conn, .run = run, .direction = direction & 1};
	struct ws_stream *ws;
	int candidate;
	__u64 before;

	if (!conn || !run) /* the verifier knows no caller here */
		return 0;
	ws = &conn->ws[direction & 1];
	candidate = conn->state == CONN_CANDIDATE;
	before = run->left;
	run->piece.total = before;
	run->piece.direction = direction & 1;
	run->piece.need = RESYNC_UNKNOWN_PORT;
	if (candidate) {
		/* one place for both, so that the verifier follows the chain once */
		run->held = conn->held[direction & 1];
		if (run->gap > 0)
			resync_gap(ws, &run->held, run->gap);
		else if (run->gap < 0)
			resync_drop(ws, &run->held);
		conn->held[direction & 1] = run->held;
		if (!hole && candidate_sign(conn, run, direction))
			return 0;
		if (!(conn->bits & CONN_UPSTREAM) && server_find(&run->server))
			run->piece.need = RESYNC_KNOWN_PORT;
	}
	if (!candidate && !resync_wanted(ws)) {
		resync_tried(ws);
		run->left = 0;
	} else if (hole) {
		resync_gap(ws, &run->held, run->left);
		run->left = 0;
	} else {
		late_follow(&late);
	}
	if (candidate) {
		conn->held[direction & 1] = run->held;
		if (!(ws->flags & WS_UNKNOWN))
			late_recognised(conn, run, direction);
		else if (conn->ws[RECEIVED].chain.tries + conn->ws[SENT].chain.tries >=
			 RESYNC_TRIES)
			candidate_give_up(conn);
		return 0;
	}
	run->tally.gap += before - run->left;
	if (!(ws->flags & WS_UNKNOWN))
		BOOK(resync);
	return 0;
}

/* The socket's state is there: a candidate, unless somebody else, or an event, was first. tp: NULL for a
 * Unix socket. */
static __always_inline void late_begin(struct conn *conn, struct tcp_sock *tp, __u64 now)
{
	if (conn->state != CONN_NEW || __sync_val_compare_and_swap(&conn->lock[0], 0, 1))
		return;
	if (conn->state == CONN_NEW) {
		if (tp) {
			conn->seq[RECEIVED] = tp->copied_seq;
			conn->seq[SENT] = tp->write_seq;
		}
		candidate_begin(conn, now);
	}
	barrier();
	conn->lock[0] = 0;
}

/*
 * A socket that task holds at the start: if it was accepted and is in scope, it is a candidate even
 * before it moves a byte, and can be shown as one.
 */
static __always_inline void late_adopt_tcp(struct sock *sk, struct task_struct *task, __u64 now)
{
	struct conn *conn;

	if (sk->sk_protocol != IPPROTO_TCP || !sk->sk_max_ack_backlog)
		return;
	if ((config.scope_ports && !scope_port(sk, 0)) || !scope_task(sk, task))
		return;
	conn = conn_make(sk);
	if (!conn) {
		BOOK(conn_full);
		return;
	}
	late_begin(conn, tcp_of(sk), now);
}

/* The same of a Unix socket. Nothing tells later that it is older than we are, so one that is not held
 * by a task now, but on its way to one, is not found. */
static __always_inline void late_adopt_unix(struct sock *sk, struct task_struct *task, __u64 now)
{
	struct unix_mark *mark;
	struct conn *conn;
	__u64 key = (__u64)sk;

	if (config.scope_ports || !BPF_CORE_READ((struct unix_sock *)sk, addr) ||
	    !scope_task(sk, task) || unix_mark_of(sk, 0))
		return;
	mark = unix_mark_of(sk, 1);
	if (!mark) {
		BOOK(conn_full);
		return;
	}
	if (!unix_keep(sk, mark, task->tgid, 0))
		return;
	conn = bpf_map_lookup_elem(&unix_conns, &key);
	if (conn)
		late_begin(conn, NULL, now);
}

static __always_inline void late_adopt(struct sock *sk, struct task_struct *task, __u64 now)
{
	__u16 family = sk->__sk_common.skc_family;

	if (sk->sk_type != SOCK_STREAM || sk->__sk_common.skc_state != TCP_ESTABLISHED)
		return;
	if (family == AF_INET || family == AF_INET6)
		late_adopt_tcp(sk, task, now);
	else if (family == AF_UNIX)
		late_adopt_unix(sk, task, now);
}

#endif

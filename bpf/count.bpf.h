/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From what an event held to the cumulative numbers: counters, histograms, the pairing rule. Counts
 * never depend on a record reaching user space.
 */
#ifndef WSVITALS_COUNT_BPF_H
#define WSVITALS_COUNT_BPF_H

#include "compat.bpf.h"

/* n values v into a histogram that only this CPU writes */
static __always_inline void hist_add(struct hist *hist, __u64 v, __u32 n)
{
	__u64 bucket = hist_bucket(v);

	KEEP(bucket);
	hist->sum += v * n;
	if (bucket < HIST_BUCKETS)
		hist->bucket[bucket] += n;
}

/* … and into one that all CPUs write */
static __always_inline void hist_add_shared(struct hist *hist, __u64 v, __u32 n)
{
	__u64 bucket = hist_bucket(v);

	KEEP(bucket);
	__sync_fetch_and_add(&hist->sum, v * n);
	if (bucket < HIST_BUCKETS)
		__sync_fetch_and_add(&hist->bucket[bucket], n);
}

static __always_inline void minmax_add(struct minmax *m, __u64 v)
{
	/* a lost race costs one more try; four are enough for anything but a test of patience */
	for (int i = 0; i < 4; i++) {
		__u64 old = m->min;

		if (v >= old || __sync_val_compare_and_swap(&m->min, old, v) == old)
			break;
	}
	for (int i = 0; i < 4; i++) {
		__u64 old = m->max;

		if (v <= old || __sync_val_compare_and_swap(&m->max, old, v) == old)
			break;
	}
}

static __always_inline void extreme_add(struct extreme *slots, __u64 now, __u64 v, __u32 n)
{
	__u64 epoch = now >> EPOCH_SHIFT;
	struct extreme *e = &slots[epoch & (EPOCH_SLOTS - 1)];

	if (e->epoch != epoch) {
		e->epoch = epoch;
		e->count = 0;
		e->min_ns = ~0ull;
		e->max_ns = 0;
	}
	e->count += n;
	if (v < e->min_ns)
		e->min_ns = v;
	if (v > e->max_ns)
		e->max_ns = v;
}

static __always_inline void count_latency(struct conn *conn, struct channel_stats *channel,
					  struct server_counters *c, __u64 now, __u64 v, __u32 n)
{
	struct server_hists *hists = hists_of(conn->server);

	brief_add(&conn->brief_sum, &conn->pair.spare, v, n);

	if (hists)
		hist_add(&hists->latency, v, n);
	extreme_add(c->latency, now, v, n);
	if (channel)
		hist_add_shared(&channel->latency, v, n);
}

/*
 * Queue wait (SPEC 1). At sk_data_ready the queue was empty if everything that had been there then
 * has been read by now; the read that takes the first new byte ends the wait. It began when TCP began
 * to work on the segment: tcp_rcv_established and tcp_rcv_state_process note CLOCK_MONOTONIC first
 * (net/ipv4/tcp_input.c, tcp_mstamp_refresh), about a microsecond ago, which saves us the clock.
 */
static __always_inline void count_data_ready(struct conn *conn, struct tcp_sock *tp)
{
	__u32 first = conn->wait_next;
	__u64 now = tp->tcp_clock_cache;

	conn->wait_next = tp->rcv_nxt;
	if (tp->copied_seq != first || tp->rcv_nxt == first)
		return;
	if (!conn->wait_ns[0]) {
		conn->wait_seq[0] = first;
		barrier();
		conn->wait_ns[0] = now;
	} else {
		conn->wait_seq[1] = first;
		barrier();
		conn->wait_ns[1] = now;
	}
}

static __always_inline void count_wait(struct conn *conn, __u32 copied_seq, __u32 n, __u64 now)
{
	for (int i = 0; i < 2; i++) {
		__u64 since = conn->wait_ns[i];
		struct server_hists *hists;
		struct server_counters *c;
		__u32 behind = copied_seq - conn->wait_seq[i] - 1;

		if (!since || behind >> 31) /* it is still to be read */
			continue;
		conn->wait_ns[i] = 0;
		/* it went by without an event, and may not be taken for a later one */
		if (behind >= n)
			continue;
		hists = hists_of(conn->server);
		c = counters_of(conn->server);
		if (!hists || !c)
			return;
		since = now > since ? now - since : 0;
		hist_add(&hists->queue_wait, since, 1);
		extreme_add(c->queue_wait, now, since, 1);
	}
}

static __always_inline void count_open(struct conn *conn, __u64 handshake_ns)
{
	struct server_counters *c = counters_of(conn->server);
	struct channel_stats *channel = channel_of(conn->channel);
	struct server_rare *rare = rare_of(conn->server);

	if (c)
		__sync_fetch_and_add(&c->n.opened, 1);
	if (channel)
		__sync_fetch_and_add(&channel->opened, 1);
	if (rare) {
		hist_add_shared(&rare->handshake, handshake_ns, 1);
		minmax_add(&rare->handshake_ns, handshake_ns);
	}
}

/* A connection that was open before us: how long its handshake took is not known. */
static __always_inline void count_recognised(struct conn *conn)
{
	struct server_counters *c = counters_of(conn->server);

	if (c) {
		__sync_fetch_and_add(&c->n.opened, 1);
		__sync_fetch_and_add(&c->n.resynced, 1);
	}
}

/*
 * What passed before a connection was recognised: the frames that proved it, and a gap before them.
 * When each message passed is not known any more, so none is timed.
 */
static __always_inline void count_held(struct conn *conn, const struct resync_held *received,
				       const struct resync_held *sent)
{
	struct server_counters *c = counters_of(conn->server);
	__u32 in = received->text + received->binary;
	__u32 out = sent->text + sent->binary;
	__u64 payload;

	conn->messages[RECEIVED] = in;
	conn->messages[SENT] = out;
	conn->bytes[RECEIVED] = received->data;
	conn->bytes[SENT] = sent->data;
	if (!c)
		return;
	payload = (__u64)received->data - received->skipped + received->control;
	c->n.seen_received += received->gap + received->skipped + received->header + payload;
	c->n.gap_received += received->gap + received->skipped;
	c->n.header_received += received->header;
	c->n.payload_received += payload;
	c->n.bytes_received += received->data;
	c->n.received += in;
	c->n.ambiguous += in;
	payload = (__u64)sent->data - sent->skipped + sent->control;
	c->n.seen_sent += sent->gap + sent->skipped + sent->header + payload;
	c->n.gap_sent += sent->gap + sent->skipped;
	c->n.header_sent += sent->header;
	c->n.payload_sent += payload;
	c->n.bytes_sent += sent->data;
	c->n.sent += out;
	c->n.answers_to_ambiguous += out < in ? out : in;
	c->n.push += out < in ? 0 : out - in;
	c->n.text += received->text + sent->text;
	c->n.binary += received->binary + sent->binary;
	c->n.ping_received += received->ping;
	c->n.pong_received += received->pong;
	c->n.close_received += received->close;
	c->n.ping_sent += sent->ping;
	c->n.pong_sent += sent->pong;
	c->n.close_sent += sent->close;
}

/* conn.pings: how many are out, and whether there were several at a time since there was none */
#define PINGS_OUT 0x7f
#define PINGS_OVERLAP 0x80
#define PING_GIVEN_UP ((__u32)(10000000000ull >> 6)) /* in the unit of conn.ping_at */

/* Server's pings and their pongs. With more than one ping out, which one a pong answers cannot be
 * told (RFC 6455 5.5.3), so it is not timed; nor are those that follow until none is out, as a pong
 * may be an earlier ping's. A client may answer the last of several alone: pings that are followed by
 * none for a while are given up at the next. */
static __always_inline void count_ping(struct conn *conn, struct ws_tally *t, __u32 direction,
				       __u64 now)
{
	if (direction == SENT && t->ping) {
		__u32 at = (__u32)(now >> 6) | 1, out = t->ping;

		if (at - conn->ping_at < PING_GIVEN_UP)
			out += conn->pings & PINGS_OUT;
		if (out > PINGS_OUT)
			out = PINGS_OUT;
		conn->ping_at = at;
		conn->pings = out > 1 ? out | PINGS_OVERLAP : out;
	} else if (direction == RECEIVED && t->pong && conn->pings) {
		struct server_rare *rare = rare_of(conn->server);
		__u32 out = conn->pings & PINGS_OUT;

		if (conn->pings == 1 && rare) {
			__u64 rtt = (__u64)((__u32)(now >> 6) - conn->ping_at) << 6;

			hist_add_shared(&rare->ping_rtt, rtt, 1);
			minmax_add(&rare->ping_rtt_ns, rtt);
		}
		conn->pings = out > t->pong ? (out - t->pong) | PINGS_OVERLAP : 0;
	}
}

static __always_inline void count_control(struct conn *conn, struct server_counters *c,
					  struct ws_tally *t, __u32 direction, __u64 now)
{
	if (direction == RECEIVED) {
		c->n.ping_received += t->ping;
		c->n.pong_received += t->pong;
		c->n.close_received += t->close;
	} else {
		c->n.ping_sent += t->ping;
		c->n.pong_sent += t->pong;
		c->n.close_sent += t->close;
	}
	count_ping(conn, t, direction, now);
	if (t->close_told && !(conn->bits & CONN_HAS_CLOSE)) {
		conn->close_code = t->close_code;
		__sync_fetch_and_or(&conn->bits,
				    CONN_HAS_CLOSE | (direction == SENT ? CONN_CLOSE_SERVER : 0));
	}
	if (t->violation && !conn->violation) {
		conn->violation = t->violation;
		if (direction == SENT)
			__sync_fetch_and_or(&conn->bits, CONN_VIOLATED_SERVER);
		BOOK(desync);
	}
}

/* The pairing of one event's messages. A function of its own to the verifier, which would else follow
 * each of its results through all that is counted after it. */
__noinline int count_pair(struct pair *pair, struct ws_tally *t, struct pair_tally *p,
			  __u32 direction, __u64 now)
{
	if (!pair || !t || !p) /* the verifier knows no caller here */
		return 0;
	if (direction == RECEIVED) {
		if (t->ended)
			pair_received(pair, p, t->ended, now);
	} else if (t->started || t->ended) {
		pair_sent(pair, p, t->started, t->ended, now);
	}
	pair_touch(pair, now);
	return 0;
}

/*
 * One event's share of an open connection: total bytes passed, the parser's tally says as what. A
 * function of its own to the verifier: it is looked at once, and not once for each way that leads here,
 * and its stack is not its callers'.
 */
__noinline int count_tally(struct conn *conn, struct ws_tally *t, __u32 direction, __u64 total,
			   __u64 now)
{
	struct pair_tally tally = {}, *p = &tally;
	struct channel_stats *channel;
	struct server_counters *c;

	if (!conn || !t) /* the verifier knows no caller here */
		return 0;
	c = counters_of(conn->server);
	if (!c)
		return 0;
	if (!conn->channel && !(conn->bits & CONN_CLOSED))
		conn->channel = channel_lookup(conn->server, conn->path_hash);
	channel = channel_of(conn->channel);
	conn->messages[direction & 1] += t->ended;
	conn->bytes[direction & 1] += t->data;

	count_pair(&conn->pair, t, p, direction, now);

	if (direction == RECEIVED) {
		c->n.seen_received += total;
		c->n.header_received += t->header;
		c->n.payload_received += t->payload;
		c->n.gap_received += t->gap;
		c->n.bytes_received += t->data;
		c->n.received += t->ended;
		c->n.ambiguous += p->ambiguous;
		if (p->unanswered)
			__sync_fetch_and_add(&c->n.unanswered, p->unanswered);
	} else {
		c->n.seen_sent += total;
		c->n.header_sent += t->header;
		c->n.payload_sent += t->payload;
		c->n.gap_sent += t->gap;
		c->n.bytes_sent += t->data;
		c->n.sent += t->ended;
		c->n.timed += p->timed;
		c->n.push += p->push;
		c->n.answers_to_ambiguous += p->answers_to_ambiguous;
		if (p->carried)
			count_latency(conn, channel, c, now, p->carried_ns, 1);
		if (p->timed > p->carried)
			count_latency(conn, channel, c, now, p->latency_ns, p->timed - p->carried);
	}
	c->n.text += t->text;
	c->n.binary += t->binary;
	if (t->ping || t->pong || t->close || t->close_told || t->violation)
		count_control(conn, c, t, direction, now);
	if (!channel)
		return 0;
	if (direction == RECEIVED) {
		__sync_fetch_and_add(&channel->received, t->ended);
		__sync_fetch_and_add(&channel->bytes_received, t->data);
	} else {
		__sync_fetch_and_add(&channel->sent, t->ended);
		__sync_fetch_and_add(&channel->bytes_sent, t->data);
	}
	return 0;
}

/* The FIN takes a sequence number too, and may be consumed with the last bytes: 1 when it was. */
static __always_inline __u32 anchor_fin(struct sock *sk, struct tcp_sock *tp, __u32 wire)
{
	return wire == RECEIVED && (sk->__sk_common.skc_flags >> SOCK_DONE & 1) &&
	       tp->copied_seq == tp->rcv_nxt;
}

/*
 * At the server's own close: bytes that were received since the last event on a path without events
 * (splice, TCP_ZEROCOPY_RECEIVE), which the next event would have found. In the task that closes:
 * counters are added to without a lock on the other CPUs' behalf only.
 */
static __always_inline void count_unseen(struct sock *sk, struct conn *conn, struct tcp_sock *tp,
					 __u64 now)
{
	__u32 direction = conn->bits & CONN_UPSTREAM ? SENT : RECEIVED;
	struct ws_stream *ws = &conn->ws[direction & 1];
	struct ws_tally tally = {};
	__u8 before = ws->flags;
	__u32 gap;

	gap = tp->copied_seq - conn->seq[direction & 1];
	if (!gap || tp->inet_conn.icsk_ulp_ops)
		return;
	gap -= anchor_fin(sk, tp, RECEIVED);
	if (!gap || gap >= 0x80000000u)
		return;
	if (__sync_val_compare_and_swap(&conn->lock[direction & 1], 0, 1))
		return; /* a read is under way, so this is no close of the last descriptor */
	conn->seq[direction & 1] += gap;
	ws_gap(ws, &tally, gap);
	if (ws->flags & WS_UNKNOWN & ~before)
		BOOK(desync);
	count_tally(conn, &tally, direction & 1, gap, now);
	barrier();
	conn->lock[direction & 1] = 0;
}

/* What waits for an answer will not get one. Also after the close: reads may come later than an RST. */
static __always_inline void count_unanswered(struct conn *conn)
{
	struct server_counters *c = counters_of(conn->server);
	struct pair_tally p = {};

	pair_closed(&conn->pair, &p);
	if (c && p.unanswered)
		__sync_fetch_and_add(&c->n.unanswered, p.unanswered);
}

/* closed (SPEC 1), at most once: 1 when this was the time. */
static __always_inline int count_closed(struct conn *conn, __u64 now)
{
	struct server_counters *c = counters_of(conn->server);
	struct channel_stats *channel = channel_of(conn->channel);
	struct server_rare *rare = rare_of(conn->server);
	__u64 duration = now > conn->open_ns ? now - conn->open_ns : 0;

	if (__sync_fetch_and_or(&conn->bits, CONN_CLOSED) & CONN_CLOSED)
		return 0;
	conn->open_ns = duration;
	if (c)
		__sync_fetch_and_add(&c->n.closed, 1);
	if (channel)
		__sync_fetch_and_add(&channel->closed, 1);
	if (rare) {
		__u64 ms = duration / 1000000;

		hist_add_shared(&rare->duration_ms, ms, 1);
		minmax_add(&rare->duration_range_ms, ms);
	}
	return 1;
}

#endif

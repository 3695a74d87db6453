/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Records for user space: reserve or count. Whatever is lost here costs a label or a row, never a
 * count: those live in maps.
 */
#ifndef WSVITALS_EMIT_BPF_H
#define WSVITALS_EMIT_BPF_H

#include "compat.bpf.h"

static __always_inline void emit_header(struct event *event, __u32 type, __u32 len, __u64 id,
					__u64 now)
{
	event->type = type;
	event->len = len;
	event->id = id;
	event->now_ns = now;
}

static __always_inline void emit(void *record, __u32 len)
{
	BOOK(events_submitted);
	if (bpf_ringbuf_output(&events, record, len, 0))
		BOOK(events_dropped_ring);
}

static __always_inline void endpoint_v4(struct endpoint *e, __be32 addr)
{
	__builtin_memset(e->addr, 0, 10);
	e->addr[10] = 0xff;
	e->addr[11] = 0xff;
	__builtin_memcpy(e->addr + 12, &addr, 4);
}

static __always_inline void endpoints_of(struct sock *sk, struct endpoint *local,
					 struct endpoint *peer)
{
	if (sk->__sk_common.skc_family == AF_UNIX) {
		__builtin_memset(local, 0, sizeof(*local));
		__builtin_memset(peer, 0, sizeof(*peer));
		return;
	}
	if (sk->__sk_common.skc_family == AF_INET) {
		endpoint_v4(local, sk->__sk_common.skc_rcv_saddr);
		endpoint_v4(peer, sk->__sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&local->addr, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&peer->addr, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	}
	local->port = sk->__sk_common.skc_num;
	peer->port = bpf_ntohs(sk->__sk_common.skc_dport);
}

/* The record that stands at the beginning of a head, with both heads' text behind it. */
static __always_inline void emit_head(struct head *head, __u32 type, __u64 id, __u64 now)
{
	__u32 len = sizeof(head->open) + head->open.request_len + head->open.response_len;

	KEEP(len);
	if (len > sizeof(head->open) + REQUEST_MAX + RESPONSE_MAX)
		return;
	emit_header(&head->open.event, type, len, id, now);
	emit(head, len);
}

/* The piece of a close frame's payload that the last step of the parser passed over. */
static __always_inline void emit_reason(struct ws_tally *t, __u64 id, __u64 now, __u8 by)
{
	struct event_reason *reason;
	__u32 len = t->close_len;

	BOOK(events_submitted);
	reason = bpf_ringbuf_reserve(&events, sizeof(*reason), 0);
	if (!reason) {
		BOOK(events_dropped_ring);
		return;
	}
	__builtin_memset(reason, 0, sizeof(*reason));
	emit_header(&reason->event, EVENT_REASON, sizeof(*reason), id, now);
	__builtin_memcpy(reason->mask, t->close_mask, sizeof(reason->mask));
	reason->offset = t->close_offset;
	reason->by = by;
	if (len <= sizeof(reason->text) && !ws_read(reason->text, len, t->close_from))
		reason->text_len = len;
	bpf_ringbuf_submit(reason, 0);
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls that move several messages, each with an event of its own: sendmmsg, recvmmsg, io_submit.
 * In: an event inside such a call. Out: which of the call's messages it is. The kernel does not say,
 * so events are counted per task, and the count is checked against what the kernel has written into
 * the entry before. It cannot see a call that ended without an event although entries were left (a
 * bad pointer among them): then the check fails or, with equal lengths, cannot.
 */
#ifndef WSVITALS_VECTOR_BPF_H
#define WSVITALS_VECTOR_BPF_H

#include "compat.bpf.h"

#define VECTOR_MAX 1024 /* net/socket.c: vlen and iovlen are cut at, or held to, UIO_MAXIOV */
#define VECTOR_LOST (1u << 31) /* which message comes next can no longer be told */

struct user_iovec {
	__u64 base;
	__u64 len;
};

struct user_msghdr {
	__u64 name;
	__u64 namelen; /* int, and padding */
	struct user_iovec *iov;
	__u64 iovlen;
	/* not read: control, controllen, flags */
};

struct user_mmsghdr {
	struct user_msghdr hdr;
	__u64 control[3];
	__u32 len; /* written by the kernel after the message's event */
	__u32 pad;
};
_Static_assert(sizeof(struct user_mmsghdr) == 64, "as in linux/socket.h");

struct iovec_sum {
	__u64 iov;
	__u64 len;
};

static long iovec_add(__u32 i, struct iovec_sum *sum)
{
	struct user_iovec v;

	if (bpf_probe_read_user(&v, sizeof(v), (const void *)(sum->iov + i * sizeof(v))))
		return 1;
	sum->len += v.len;
	return 0;
}

/* net/socket.c: sendmmsg goes on only after a message that was sent whole. */
static __always_inline int vector_goes_on(struct user_mmsghdr *entry, __u32 wire, int ret)
{
	struct user_msghdr msg;
	struct iovec_sum sum = {};

	if (wire == RECEIVED || ret < 0)
		return ret >= 0;
	if (bpf_probe_read_user(&msg, sizeof(msg), entry))
		return 0;
	sum.iov = (__u64)msg.iov;
	bpf_loop(msg.iovlen < VECTOR_MAX ? (__u32)msg.iovlen : VECTOR_MAX, iovec_add, &sum, 0);
	return (__u64)ret >= sum.len;
}

/*
 * Which message of a sendmmsg or recvmmsg this event is: its index, 0 in any other call, -1 when it
 * cannot be told. A function of its own to the verifier, because it is rarely more than its first
 * line. Called for every event of a socket in scope: those without bytes count as well.
 */
__noinline int vector_index(__u32 wire, int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct run *run = run_here(wire & 1);
	struct user_mmsghdr *vec;
	struct vector *state;
	__u32 index = 0;
	__u32 nr, len;
	struct call call;

	if (!run || call_of(task, &call) ||
	    call.nr != (wire == RECEIVED ? NR_RECVMMSG : NR_SENDMMSG))
		return 0;
	vec = (struct user_mmsghdr *)call.arg[1];
	nr = (__u32)call.arg[2];
	if (nr <= 1)
		return 0;
	if (nr > VECTOR_MAX)
		nr = VECTOR_MAX;
	if (wire == RECEIVED && call.arg[4])
		return -1; /* its timeout ends the call between two messages, without an event */
	state = vector_of(task, ret > 0);
	if (!state)
		return -1;
	if (state->sk == run->sk && state->vec == (__u64)vec) {
		index = state->next;
		if (index && index != VECTOR_LOST &&
		    (bpf_probe_read_user(&len, sizeof(len), &vec[index - 1].len) ||
		     len != state->len))
			index = VECTOR_LOST;
	}
	state->sk = run->sk;
	state->vec = (__u64)vec;
	state->len = ret;
	if (index == VECTOR_LOST) {
		state->next = ret < 0 ? 0 : VECTOR_LOST;
		return -1;
	}
	state->next = index + 1 < nr && vector_goes_on(vec + index, wire, ret) ? index + 1 : 0;
	return (int)index;
}

/* The first line of the above, for the hot path. */
static __always_inline int vector_event(struct sock *sk, __u32 wire, int ret)
{
	struct run *run;

	if (call_nr(bpf_get_current_task_btf()) != (wire == RECEIVED ? NR_RECVMMSG : NR_SENDMMSG))
		return 0;
	run = run_here(wire);
	if (!run)
		return -1;
	run->sk = (__u64)sk;
	return vector_index(wire, ret);
}

/* ------------------------------------------------------------------------------------------ */

/* include/uapi/linux/aio_abi.h, little endian */
struct user_iocb {
	__u64 data;
	__u32 key;
	__u32 rw_flags;
	__u16 opcode;
	__s16 reqprio;
	__u32 fd;
	__u64 buf;
	__u64 nbytes;
};

enum { IOCB_PREAD = 0, IOCB_PWRITE = 1, IOCB_PREADV = 7, IOCB_PWRITEV = 8 };

struct iocb_search {
	struct task_struct *task;
	__u64 file;
	__u64 iocbs;
	struct user_iocb found;
	__u32 wire;
	__u32 nr_found;
};

static long iocb_look(__u32 i, struct iocb_search *search)
{
	struct user_iocb iocb;
	__u64 at;

	if (bpf_probe_read_user(&at, sizeof(at), (const void *)(search->iocbs + i * sizeof(at))) ||
	    bpf_probe_read_user(&iocb, sizeof(iocb), (const void *)at))
		return 1;
	if (search->wire == RECEIVED ? iocb.opcode != IOCB_PREAD && iocb.opcode != IOCB_PREADV
				     : iocb.opcode != IOCB_PWRITE && iocb.opcode != IOCB_PWRITEV)
		return 0;
	if (!fd_is(search->task, iocb.fd, search->file))
		return 0;
	search->found = iocb;
	search->nr_found++;
	return 0;
}

/*
 * Points this CPU's run at the buffers of the one control block of an io_submit for run->file and
 * this direction; 0, or -1. With several nobody writes down which of them have been done: -1 then too.
 */
__noinline int iocb_find(__u32 wire)
{
	struct iocb_search search = {.wire = wire};
	struct run *run = run_here(wire & 1);
	struct call call;

	search.task = bpf_get_current_task_btf();
	if (!run || call_of(search.task, &call) || call.arg[1] > VECTOR_MAX)
		return -1;
	search.file = run->file;
	search.iocbs = call.arg[2];
	bpf_loop((__u32)call.arg[1], iocb_look, &search, 0);
	if (search.nr_found != 1)
		return -1;
	if (search.found.opcode == IOCB_PREADV || search.found.opcode == IOCB_PWRITEV)
		run_iov(run, search.found.buf, search.found.nbytes);
	else
		run_buffer(run, search.found.buf, search.found.nbytes);
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a socket event to the bytes: where in user memory are the `ret` bytes that this socket just
 * moved? The tracepoint does not say; the system call's arguments do, but only if it is this call
 * that moved them. Every condition below was seen to fail alone (MECHANISMS 0.1, 1.3). Not found is
 * an answer: the bytes become a gap, never a guess.
 */
#ifndef WSVITALS_TAP_BPF_H
#define WSVITALS_TAP_BPF_H

#include "uring.bpf.h"
#include "vector.bpf.h"

static __always_inline int tap_msghdr(struct run *run, __u64 address)
{
	struct user_msghdr msg;

	if (bpf_probe_read_user(&msg, sizeof(msg), (const void *)address))
		return -1;
	return run_iov(run, (__u64)msg.iov, msg.iovlen);
}

static __always_inline int tap_message(struct run *run, __u64 vec)
{
	if (run->message < 0)
		return -1;
	return tap_msghdr(run, vec + (__u64)run->message * sizeof(struct user_mmsghdr));
}

/* The task is in no call on this socket's descriptor. */
__noinline int tap_elsewhere(__u32 wire)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call call;

	if (task->flags & PF_KTHREAD)
		return -1;
	if (task->flags & PF_IO_WORKER || call_of(task, &call) || call.nr == NR_IO_URING_ENTER)
		return uring_find(wire);
	return call.nr == NR_IO_SUBMIT ? iocb_find(wire) : -1;
}

/*
 * Points this CPU's run at the buffers of this event. wire: RECEIVED for a receive call, SENT for a send
 * call. 0; -1 when the bytes cannot be found; 1 when the task is in no call on this socket's descriptor.
 * A function of its own to the verifier, which would else follow each call with its buffers through all
 * that comes after.
 */
__noinline int tap_buffers(__u32 wire)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct run *run = run_here(wire & 1);
	struct call call;

	if (!run)
		return -1;
	if (task->flags & (PF_KTHREAD | PF_IO_WORKER) || call_of(task, &call) ||
	    !fd_is(task, (__u32)call.arg[0], run->file))
		return 1;
	if (wire == RECEIVED) {
		switch (call.nr) {
		case NR_READ:
		case NR_RECVFROM:
			return run_buffer(run, call.arg[1], call.arg[2]);
		case NR_READV:
		case NR_PREADV2:
			return run_iov(run, call.arg[1], call.arg[2]);
		case NR_RECVMSG:
			return tap_msghdr(run, call.arg[1]);
		case NR_RECVMMSG:
			return tap_message(run, call.arg[1]);
		}
	} else {
		switch (call.nr) {
		case NR_WRITE:
		case NR_SENDTO:
			return run_buffer(run, call.arg[1], call.arg[2]);
		case NR_WRITEV:
		case NR_PWRITEV2:
			return run_iov(run, call.arg[1], call.arg[2]);
		case NR_SENDMSG:
			return tap_msghdr(run, call.arg[1]);
		case NR_SENDMMSG:
			return tap_message(run, call.arg[1]);
		}
	}
	return -1;
}

/* 0, or not when the bytes cannot be found. */
static __always_inline int tap_find(struct run *run, struct sock *sk, __u32 wire)
{
	int found;

	run->file = (__u64)sk->sk_socket->file;
	run->sk = (__u64)sk;
	found = tap_buffers(wire);
	if (found > 0) /* from here, because the stacks of such a chain add up */
		found = tap_elsewhere(wire);
	return found;
}

/*
 * The next stretch of contiguous bytes at run->base: its length, 0 when the segments are used up
 * (which they are not before run->left is, unless the user changed them under us), or -1.
 */
static __always_inline long tap_piece(struct run *run)
{
	struct user_iovec v;

	if (!run->seg_len) {
		if (!run->nr_iov ||
		    (run->iov_is_kernels
			     ? bpf_probe_read_kernel(&v, sizeof(v), (const void *)run->iov)
			     : bpf_probe_read_user(&v, sizeof(v), (const void *)run->iov)))
			return -1;
		run->iov += sizeof(v);
		run->nr_iov--;
		run->base = v.base;
		run->seg_len = v.len;
	}
	return run->seg_len < run->left ? run->seg_len : run->left;
}

static __always_inline void tap_take(struct run *run, __u64 n)
{
	run->base += n;
	run->seg_len -= n;
	run->left -= n;
}

#endif

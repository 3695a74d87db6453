/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a socket event to the bytes: where in user memory are the `ret` bytes that this socket just
 * moved? The tracepoint does not say; the system call's arguments do, but only if it is this call
 * that moved them. Every condition below was seen to fail alone (MECHANISMS 0.1, 1.3). Not found is
 * an answer: the bytes become a gap, never a guess.
 */
#ifndef WSVITALS_TAP_BPF_H
#define WSVITALS_TAP_BPF_H

#include "compat.bpf.h"

/* User ABI of 64-bit tasks. */
struct user_iovec {
	__u64 base;
	__u64 len;
};

struct user_msghdr {
	__u64 name;
	__u64 namelen; /* int, and padding */
	struct user_iovec *iov;
	__u64 iovlen;
};

/* The descriptor fd of the task leads to this very socket. */
static __always_inline int tap_fd_is(struct task_struct *task, __u32 fd, struct sock *sk)
{
	struct fdtable *fdt = task->files->fdt;
	struct file *file = NULL;

	if (fd >= fdt->max_fds)
		return 0;
	if (bpf_probe_read_kernel(&file, sizeof(file), fdt->fd + fd))
		return 0;
	return file && file == sk->sk_socket->file;
}

static __always_inline int tap_iov(struct run *run, __u64 iov, __u64 nr)
{
	run->iov = iov;
	run->nr_iov = nr;
	run->seg_len = 0;
	return 0;
}

static __always_inline int tap_msghdr(struct run *run, __u64 address)
{
	struct user_msghdr msg;

	if (bpf_probe_read_user(&msg, sizeof(msg), (const void *)address))
		return -1;
	return tap_iov(run, (__u64)msg.iov, msg.iovlen);
}

static __always_inline int tap_buffer(struct run *run, __u64 base, __u64 len)
{
	run->base = base;
	run->seg_len = len;
	run->nr_iov = 0;
	return 0;
}

/*
 * Points run at the buffers of this event. wire: RECEIVED for a receive call, SENT for a send call.
 * 0, or -1 when the bytes cannot be found.
 */
static __always_inline int tap_find(struct run *run, struct sock *sk, __u32 wire)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call call;

	if (task->flags & (PF_KTHREAD | PF_IO_WORKER))
		return -1;
	if (call_of(task, &call) || !tap_fd_is(task, (__u32)call.arg[0], sk))
		return -1;
	if (wire == RECEIVED) {
		switch (call.nr) {
		case NR_READ:
		case NR_RECVFROM:
			return tap_buffer(run, call.arg[1], call.arg[2]);
		case NR_READV:
		case NR_PREADV2:
			return tap_iov(run, call.arg[1], call.arg[2]);
		case NR_RECVMSG:
			return tap_msghdr(run, call.arg[1]);
		case NR_RECVMMSG:
			return call.arg[2] == 1 ? tap_msghdr(run, call.arg[1]) : -1;
		}
	} else {
		switch (call.nr) {
		case NR_WRITE:
		case NR_SENDTO:
			return tap_buffer(run, call.arg[1], call.arg[2]);
		case NR_WRITEV:
		case NR_PWRITEV2:
			return tap_iov(run, call.arg[1], call.arg[2]);
		case NR_SENDMSG:
			return tap_msghdr(run, call.arg[1]);
		case NR_SENDMMSG: /* of several messages, which one this is would have to be guessed */
			return call.arg[2] == 1 ? tap_msghdr(run, call.arg[1]) : -1;
		}
	}
	return -1;
}

/*
 * The next stretch of contiguous bytes at run->base: its length, 0 when the segments are used up
 * (which they are not before run->left is, unless the user changed them under us), or -1.
 */
static __always_inline long tap_piece(struct run *run)
{
	struct user_iovec v;

	if (!run->seg_len) {
		if (!run->nr_iov || bpf_probe_read_user(&v, sizeof(v), (const void *)run->iov))
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

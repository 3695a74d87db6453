/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where kernels and architectures differ: one accessor each, with the version or commit. Constants
 * that headers for user space do not carry stand here too.
 */
#ifndef WSVITALS_COMPAT_BPF_H
#define WSVITALS_COMPAT_BPF_H

#include "maps.bpf.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

#define SHUTDOWN_MASK 3 /* include/net/sock.h: RCV_SHUTDOWN | SEND_SHUTDOWN */
#define SOCK_DONE 1     /* bit of sk_flags: the peer's FIN has come (include/net/sock.h) */
#define EPIPE 32
#define ECONNRESET 104
#define ETIMEDOUT 110
#define ENOSYS 38

#define PF_EXITING 0x00000004   /* include/linux/sched.h */
#define PF_IO_WORKER 0x00000010 /* since 5.12: threads of io-wq and of SQPOLL */
#define PF_KTHREAD 0x00200000

/* include/net/tcp_states.h */
#define TCP_ESTABLISHED 1
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8

/*
 * Linux 6.2. The same address as a pointer to read through: the load itself is checked, where
 * bpf_probe_read_kernel and bpf_skc_to_tcp_sock are calls of 10 to 30 ns, and an event has few of
 * these to spare.
 */
extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym;

#define as_type(type, address)                                                                     \
	((type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(type)))

/* The word that stands at an address; rb_node because it begins with a word that is no pointer to the
 * verifier, which would tell pointers apart where we do not. */
#define word_at(address) (as_type(struct rb_node, address)->__rb_parent_color)

/* For sockets that are known to be TCP: those that have a struct conn which is not CONN_IGNORED. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	struct tcp_sock *tp = as_type(struct tcp_sock, sk);

	__builtin_assume(tp != NULL); /* which else the verifier would follow */
	return tp;
}

/* The socket's cookie, which the first who asks for it makes (net/core/sock_diag.c). */
static __always_inline __u64 cookie_of(struct sock *sk)
{
	__u64 cookie = (__u64)sk->__sk_common.skc_cookie.counter;

	return cookie ? cookie : bpf_get_socket_cookie(sk);
}

/* Where the registers of a task's system call are, counted from its stack: the same for all tasks. */
__u64 regs_offset; /* 0 = not known yet */

/* bpf_task_pt_regs is asked once; after that its answer is calculated. To the verifier of Linux 6.12 a
 * stack is a number, which it does not take from a pointer; a pointer it does. */
static __always_inline struct pt_regs *regs_of(struct task_struct *task)
{
	if (!regs_offset)
		regs_offset = (__u64)bpf_task_pt_regs(task) -
			      (__u64)as_type(struct rb_node, task->stack);
	return as_type(struct pt_regs, (__u64)task->stack + regs_offset);
}

/* The arguments of the system call that a task is in. */
struct call {
	long nr;
	__u64 arg[6];
};

#if defined(__TARGET_ARCH_x86)

#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h: 32-bit system call in progress */

#define NR_READ 0
#define NR_WRITE 1
#define NR_READV 19
#define NR_WRITEV 20
#define NR_SENDTO 44
#define NR_RECVFROM 45
#define NR_SENDMSG 46
#define NR_RECVMSG 47
#define NR_RECVMMSG 299
#define NR_SENDMMSG 307
#define NR_IO_SUBMIT 209
#define NR_PREADV2 327
#define NR_PWRITEV2 328
#define NR_IO_URING_ENTER 426

/* The number alone, of whichever call was the last: a first look for what is rare. */
static __always_inline long call_nr(struct task_struct *task)
{
	return (long)regs_of(task)->orig_ax;
}

/*
 * 0 when the task is inside a 64-bit system call, whose number and arguments are then in *call.
 * At entry ax is -ENOSYS and stays so until the call returns; task work (io_uring) runs after that
 * with stale registers (MECHANISMS 0.1: wrong buffer in 60 of 60 tries without this check).
 */
static __always_inline int call_of(struct task_struct *task, struct call *call)
{
	struct pt_regs *regs = regs_of(task);

	if ((long)regs->ax != -ENOSYS || (task->thread_info.status & TS_COMPAT))
		return -1;
	call->nr = (long)regs->orig_ax;
	call->arg[0] = regs->di;
	call->arg[1] = regs->si;
	call->arg[2] = regs->dx;
	call->arg[3] = regs->r10;
	call->arg[4] = regs->r8;
	call->arg[5] = regs->r9;
	return 0;
}

static __always_inline int task_is_32bit(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

#else
#error "system call numbers and registers are known for x86-64 only"
#endif

/* The descriptor fd of the task leads to the file at this address. */
static __always_inline int fd_is(struct task_struct *task, __u32 fd, __u64 wanted)
{
	struct fdtable *fdt = task->files->fdt;
	__u64 file;

	if (fd >= fdt->max_fds)
		return 0;
	file = word_at(fdt->fd + fd);
	return file && file == wanted;
}

#endif

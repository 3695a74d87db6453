/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's types, as far as the BPF programs look at them: only the members that are read, in
 * any order, because CO-RE relocates each access to the running kernel's layout. How to extend it
 * and what checks it: vmlinux/README.md.
 */
#ifndef WSVITALS_VMLINUX_H
#define WSVITALS_VMLINUX_H

#include <linux/bpf.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __kernel_size_t size_t;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	long long counter;
} atomic64_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	short unsigned int skc_family;
	volatile unsigned char skc_state;
	long unsigned int skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

struct inode {
	unsigned short i_mode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	struct socket *sk_socket;
	u16 sk_protocol;
	u16 sk_type;
	u8 sk_shutdown;
	u32 sk_max_ack_backlog;
};

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct tcp_ulp_ops;

struct inet_connection_sock {
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 copied_seq;
	u32 write_seq;
	u32 rcv_nxt;
	u64 tcp_clock_cache;
	u32 snd_una;
	u64 bytes_received;
	u64 bytes_acked;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct thread_info {
	u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	char comm[16];
	struct files_struct *files;
	void *worker_private;
	void *stack;
};

struct rb_node {
	long unsigned int __rb_parent_color;
};

struct pt_regs {
	long unsigned int r10;
	long unsigned int r9;
	long unsigned int r8;
	long unsigned int ax;
	long unsigned int dx;
	long unsigned int si;
	long unsigned int di;
	long unsigned int orig_ax;
};

struct iovec {
	void *iov_base;
	__kernel_size_t iov_len;
};

enum iter_type {
	ITER_UBUF,
	ITER_IOVEC,
	ITER_BVEC,
};

struct iov_iter {
	u8 iter_type;
	size_t iov_offset;
	const struct iovec *__iov;
	void *ubuf;
	size_t count;
	unsigned long nr_segs;
};

struct msghdr {
	struct iov_iter msg_iter;
};

struct io_wq_work {
	int cancel_seq;
};

struct io_worker {
	struct io_wq_work *cur_work;
};

/* io_uring: a request; the operation's own part begins at its first member. */
struct io_kiocb {
	struct file *file;
	u8 opcode;
	unsigned int flags;
	void *async_data;
	struct io_wq_work work;
};

struct io_sr_msg {
	void *buf;
	int len;
	unsigned int done_io;
};

struct io_rw {
	u64 addr;
	u32 len;
};

struct iou_vec {
	struct iovec *iovec;
};

struct io_async_msghdr {
	struct iou_vec vec; /* since 6.15 */
	struct iovec fast_iov;
	struct msghdr msg;
};

struct io_async_msghdr___6_12 {
	struct iovec *free_iov;
};

struct io_async_rw {
	struct iov_iter iter;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

#pragma clang attribute pop

#endif

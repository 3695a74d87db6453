/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bytes that io_uring moves. In: requests, when they are issued and when they wait; an event of a
 * socket. Out: the request whose event it is, and its buffers. The kernel does not say which request
 * runs, so the one that waits for this socket and the last ones of the task are asked: it must have
 * been issued with this file, go this way, and its iterator must stand where exactly this event leaves
 * it. A request that is done has lost its iterator (io_uring: io_netmsg_recycle, io_rw_recycle,
 * io_clean_op). Two that read, or two that write, one stream at a time have no order for anybody.
 *
 * It cannot see requests before 6.10, which had their msghdr on the stack.
 */
#ifndef WSVITALS_URING_BPF_H
#define WSVITALS_URING_BPF_H

#include "compat.bpf.h"

#define URING_SEGMENTS 1024 /* UIO_MAXIOV */

/* include/uapi/linux/io_uring.h */
enum {
	OP_READV = 1,
	OP_WRITEV = 2,
	OP_READ_FIXED = 4,
	OP_WRITE_FIXED = 5,
	OP_SENDMSG = 9,
	OP_RECVMSG = 10,
	OP_READ = 22,
	OP_WRITE = 23,
	OP_SEND = 26,
	OP_RECV = 27,
	OP_SEND_ZC = 47,
	OP_SENDMSG_ZC = 48,
	OP_READ_MULTISHOT = 49,
};
#define OP_RECEIVES                                                                                \
	(1ull << OP_READV | 1ull << OP_READ_FIXED | 1ull << OP_RECVMSG | 1ull << OP_READ |         \
	 1ull << OP_RECV | 1ull << OP_READ_MULTISHOT)
#define OP_SENDS                                                                                   \
	(1ull << OP_WRITEV | 1ull << OP_WRITE_FIXED | 1ull << OP_SENDMSG | 1ull << OP_WRITE |      \
	 1ull << OP_SEND | 1ull << OP_SEND_ZC | 1ull << OP_SENDMSG_ZC)
#define OP_NET                                                                                     \
	(1ull << OP_SENDMSG | 1ull << OP_RECVMSG | 1ull << OP_SEND | 1ull << OP_RECV |             \
	 1ull << OP_SEND_ZC | 1ull << OP_SENDMSG_ZC)

/* io_uring_types.h: these two are bits of the submission, and so of its ABI. */
#define REQ_F_FIXED_FILE (1 << 0)
#define REQ_F_BUFFER_SELECT (1 << 5)

static __always_inline int uring_is(__u32 opcode, __u64 set)
{
	return opcode < 64 && set >> opcode & 1;
}

static __always_inline void uring_issue(struct io_kiocb *req)
{
	struct issuer *issuer;
	__u32 at;

	if (!uring_is(req->opcode, OP_RECEIVES | OP_SENDS))
		return;
	issuer = issuer_of(bpf_get_current_task_btf(), 1);
	if (!issuer)
		return;
	at = issuer->next++ & (ISSUED_MAX - 1);
	issuer->request[at] = (__u64)req;
}

static __always_inline void uring_arm(struct io_kiocb *req)
{
	struct file *file = req->file;
	struct socket *socket;

	if (!uring_is(req->opcode, OP_RECEIVES | OP_SENDS) || !file ||
	    (file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return;
	socket = file->private_data;
	armed_set((__u64)BPF_CORE_READ(socket, sk), uring_is(req->opcode, OP_SENDS), (__u64)req);
}

/* ------------------------------------------------------------------------------------------ */

/* Goes backwards over the segments that an iterator has left behind. */
struct rewind {
	__u64 segments; /* the array */
	__u64 at;       /* index of the current segment */
	__u64 total;    /* bytes that are behind the iterator, as far as we went */
	__u64 back;     /* bytes still to go */
	__u64 begin;    /* index, and … */
	__u64 offset;   /* … offset in it, where going back ended */
};

static long rewind_step(__u32 i, struct rewind *r)
{
	struct iovec v;

	if (bpf_probe_read_kernel(
		    &v, sizeof(v),
		    (const void *)(r->segments + (r->at - 1 - i) * sizeof(struct iovec))))
		return 1;
	r->total += v.iov_len;
	if (!r->back)
		return 0;
	if (v.iov_len >= r->back) {
		r->begin = r->at - 1 - i;
		r->offset = v.iov_len - r->back;
		r->back = 0;
	} else {
		r->back -= v.iov_len;
	}
	return 0;
}

/* The array of an iterator's segments from its start; what is in it is the same on all kernels. */
static __always_inline __u64 uring_segments(struct io_async_msghdr *async)
{
	struct iovec *vec;

	if (bpf_core_field_exists(async->vec))
		vec = BPF_CORE_READ(async, vec.iovec);
	else
		vec = BPF_CORE_READ((struct io_async_msghdr___6_12 *)async, free_iov);
	return vec ? (__u64)vec : (__u64)&async->fast_iov;
}

static __always_inline int run_segments(struct run *run, __u64 segments, __u64 offset, __u64 nr)
{
	struct iovec v;

	if (bpf_probe_read_kernel(&v, sizeof(v), (const void *)segments) || v.iov_len < offset)
		return -1;
	run->base = (__u64)v.iov_base + offset;
	run->seg_len = v.iov_len - offset;
	run->iov = segments + sizeof(v);
	run->nr_iov = nr - 1;
	run->iov_is_kernels = 1;
	return 0;
}

/* send, recv, sendmsg, recvmsg: their iterator is moved by the socket itself. */
static __always_inline int uring_net(struct run *run, struct io_kiocb *req, __u32 opcode,
				     struct io_async_msghdr *async, __u32 n)
{
	struct io_sr_msg *op = (struct io_sr_msg *)&req->file;
	struct rewind r = {.back = n};
	struct iov_iter iter;
	__u64 done = BPF_CORE_READ(op, done_io);
	__u32 picks = BPF_CORE_READ(req, flags) & REQ_F_BUFFER_SELECT;

	iter.iter_type = BPF_CORE_READ(async, msg.msg_iter.iter_type);
	iter.iov_offset = BPF_CORE_READ(async, msg.msg_iter.iov_offset);
	if (iter.iter_type == bpf_core_enum_value(enum iter_type, ITER_BVEC)) {
		/* registered buffers: of these only send_zc says where they are */
		if (opcode != OP_SEND_ZC ||
		    BPF_CORE_READ(op, len) - BPF_CORE_READ(async, msg.msg_iter.count) != n)
			return -1;
		return run_buffer(run, (__u64)BPF_CORE_READ(op, buf), n);
	}
	if (iter.iter_type == bpf_core_enum_value(enum iter_type, ITER_UBUF)) {
		if (iter.iov_offset != done + n && (!picks || iter.iov_offset != n))
			return -1;
		return run_buffer(
			run, (__u64)BPF_CORE_READ(async, msg.msg_iter.ubuf) + iter.iov_offset - n,
			n);
	}
	if (iter.iter_type != bpf_core_enum_value(enum iter_type, ITER_IOVEC))
		return -1;
	r.segments = uring_segments(async);
	r.at = (__u64)BPF_CORE_READ(async, msg.msg_iter.__iov) - r.segments;
	if (r.at > URING_SEGMENTS * sizeof(struct iovec) || r.at % sizeof(struct iovec))
		return -1;
	r.at /= sizeof(struct iovec);
	r.total = iter.iov_offset;
	if (iter.iov_offset >= n) {
		r.begin = r.at;
		r.offset = iter.iov_offset - n;
		r.back = 0;
	} else {
		r.back = n - iter.iov_offset;
	}
	bpf_loop((__u32)r.at, rewind_step, &r, 0);
	if (r.back || (r.total != done + n && (!picks || r.total != n)))
		return -1;
	return run_segments(run, r.segments + r.begin * sizeof(struct iovec), r.offset,
			    r.at - r.begin + 1);
}

/* read, write and their vectors: the socket moves a copy of the iterator (net/socket.c,
 * sock_read_iter), and the request's own follows after the event. */
static __always_inline int uring_rw(struct run *run, struct io_kiocb *req,
				    struct io_async_rw *async, __u32 n)
{
	struct io_rw *op = (struct io_rw *)&req->file;
	__u64 offset = BPF_CORE_READ(async, iter.iov_offset);
	__u64 count = BPF_CORE_READ(async, iter.count);
	__u32 type = BPF_CORE_READ(async, iter.iter_type);

	if (count < n)
		return -1;
	if (type == bpf_core_enum_value(enum iter_type, ITER_BVEC)) {
		if (count != BPF_CORE_READ(op, len))
			return -1;
		return run_buffer(run, BPF_CORE_READ(op, addr), n);
	}
	if (offset)
		return -1; /* done already */
	if (type == bpf_core_enum_value(enum iter_type, ITER_UBUF))
		return run_buffer(run, (__u64)BPF_CORE_READ(async, iter.ubuf), n);
	if (type != bpf_core_enum_value(enum iter_type, ITER_IOVEC))
		return -1;
	return run_segments(run, (__u64)BPF_CORE_READ(async, iter.__iov), 0,
			    BPF_CORE_READ(async, iter.nr_segs));
}

/* Whether this CPU's event is this request's: 0, and run is pointed at its buffers, or -1. */
__noinline int uring_look(__u64 address, __u32 wire)
{
	struct io_kiocb *req = (struct io_kiocb *)address;
	struct run *run = run_here(wire & 1);
	void *async;
	__u32 opcode;

	if (!run || !address || (__u64)BPF_CORE_READ(req, file) != run->file)
		return -1;
	opcode = BPF_CORE_READ(req, opcode);
	async = BPF_CORE_READ(req, async_data);
	if (!async || !uring_is(opcode, wire == RECEIVED ? OP_RECEIVES : OP_SENDS))
		return -1;
	if (uring_is(opcode, OP_NET))
		return uring_net(run, req, opcode, async, (__u32)run->left);
	return uring_rw(run, req, async, (__u32)run->left);
}

/* The request of an io-wq worker. */
static __always_inline __u64 uring_of_worker(struct task_struct *task)
{
	struct io_worker *worker = task->worker_private;
	__u64 work;

	if (!(task->flags & PF_IO_WORKER) || !worker)
		return 0;
	work = (__u64)BPF_CORE_READ(worker, cur_work);
	return work ? work - bpf_core_field_offset(struct io_kiocb, work) : 0;
}

struct search {
	struct issuer *issuer;
	__u32 wire;
	__u32 found;
};

static long search_step(__u32 i, struct search *search)
{
	__u64 request = search->issuer->request[(search->issuer->next - 1 - i) & (ISSUED_MAX - 1)];

	search->found = !uring_look(request, search->wire);
	return search->found;
}

/* Points this CPU's run at the buffers of the request that moved run->left bytes of run->sk; 0, or -1. */
__noinline int uring_find(__u32 wire)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct run *run = run_here(wire & 1);
	__u64 request = uring_of_worker(task);
	struct search search = {.wire = wire};

	if (!run)
		return -1;
	if (request)
		return uring_look(request, wire);
	request = armed_of(run->sk, wire & 1);
	if (request && !uring_look(request, wire))
		return 0;
	search.issuer = issuer_of(task, 0);
	if (search.issuer)
		bpf_loop(ISSUED_MAX, search_step, &search, 0);
	return search.found ? 0 : -1;
}

#endif

/*
 * The modes of paths.c that move bytes by io_uring: one thread, one ring, and a coroutine for each
 * connection, which submits and gives way until its completion comes.
 */
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4) /* Linux 6.10 */
#endif

#define STACK (256 << 10)
#define QUEUE 64
#define SLOTS 64 /* registered files, and registered buffers */
#define FIXED (1 << 16)
#define GROUP_BUFFERS 64

enum { OP, STREAM, NOTIFICATION, NR_TAGS }; /* in user_data, below the coroutine's address */

enum {
	ASYNC = 1,       /* IOSQE_ASYNC: by a worker */
	FILES = 2,       /* registered files */
	WAITALL = 4,     /* MSG_WAITALL, and a small send buffer */
	POLL_FIRST = 8,  /* IORING_RECVSEND_POLL_FIRST */
	BUNDLE = 16,     /* several provided buffers a completion */
	PLAIN_READ = 32, /* by read(2) */
	PLAIN_WRITE = 64,
	BLOCKING = 128, /* that write(2) waits, and completions with it */
};

struct completion {
	int res;
	unsigned flags;
};

struct co {
	ucontext_t context;
	struct link *link;
	int slot; /* in the tables of registered files and buffers */
	int streaming;
	struct completion queue[NR_TAGS][QUEUE];
	unsigned head[NR_TAGS], tail[NR_TAGS];
	int over;
};

struct uring_mode {
	struct mode mode; /* first: links point at it */
	unsigned setup;
	unsigned options;
	size_t group_size; /* size of a provided buffer */
};

static struct io_uring ring;
static ucontext_t loop;
static const struct uring_mode *uring_mode;
static struct io_uring_buf_ring *group;
static char *group_memory, *fixed_memory;
static char slot_used[SLOTS];

static struct io_uring_sqe *sqe_new(void)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring);
	return sqe;
}

static void sqe_ready(struct io_uring_sqe *sqe, struct co *co, int tag)
{
	io_uring_sqe_set_data64(sqe, (unsigned long)co | (unsigned)tag);
	if (uring_mode->options & ASYNC)
		sqe->flags |= IOSQE_ASYNC;
	if (co && uring_mode->options & FILES) {
		sqe->fd = co->slot;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
}

static struct completion co_wait(struct co *co, int tag)
{
	while (co->head[tag] == co->tail[tag])
		swapcontext(&co->context, &loop);
	return co->queue[tag][co->head[tag]++ % QUEUE];
}

static int co_do(struct co *co, struct io_uring_sqe *sqe)
{
	sqe_ready(sqe, co, OP);
	return co_wait(co, OP).res;
}

static struct co *co_of(struct link *link)
{
	return link->data;
}

/* ---- receive */

static ssize_t get_recv(struct link *link, char *to, size_t room, size_t want)
{
	unsigned options = uring_mode->options;
	struct io_uring_sqe *sqe;

	if (options & PLAIN_READ) {
		ssize_t n;

		while ((n = read(link->fd, to, room)) < 0 && errno == EAGAIN) {
			sqe = sqe_new();
			io_uring_prep_poll_add(sqe, link->fd, 1 /* POLLIN */);
			co_do(co_of(link), sqe);
		}
		return n;
	}
	sqe = sqe_new();
	io_uring_prep_recv(sqe, link->fd, to, options & WAITALL ? want : room,
			   options & WAITALL ? MSG_WAITALL : 0);
	if (options & POLL_FIRST)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	return co_do(co_of(link), sqe);
}

static ssize_t get_recvmsg(struct link *link, char *to, size_t room, size_t want)
{
	struct iovec iov[4] = {{to, 1}, {to + 1, 2}, {to + 3, 9}, {to + 12, room - 12}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 4};
	struct io_uring_sqe *sqe = sqe_new();

	(void)want;
	io_uring_prep_recvmsg(sqe, link->fd, &msg, 0);
	return co_do(co_of(link), sqe);
}

static ssize_t get_read(struct link *link, char *to, size_t room, size_t want)
{
	struct io_uring_sqe *sqe = sqe_new();

	(void)want;
	io_uring_prep_read(sqe, link->fd, to, room, 0);
	return co_do(co_of(link), sqe);
}

static ssize_t get_readv(struct link *link, char *to, size_t room, size_t want)
{
	struct iovec iov[4] = {{to, 1}, {to + 1, 2}, {to + 3, 9}, {to + 12, room - 12}};
	struct io_uring_sqe *sqe = sqe_new();

	(void)want;
	io_uring_prep_readv(sqe, link->fd, iov, 4, 0);
	return co_do(co_of(link), sqe);
}

static ssize_t get_fixed(struct link *link, char *to, size_t room, size_t want)
{
	struct co *co = co_of(link);
	char *at = fixed_memory + (size_t)co->slot * FIXED + 100;
	struct io_uring_sqe *sqe = sqe_new();
	int n;

	(void)want;
	io_uring_prep_read_fixed(sqe, link->fd, at, room < FIXED / 2 ? room : FIXED / 2, 0,
				 co->slot);
	n = co_do(co, sqe);
	if (n > 0)
		memcpy(to, at, (size_t)n);
	return n;
}

static void group_give(int id)
{
	size_t size = uring_mode->group_size;

	io_uring_buf_ring_add(group, group_memory + (size_t)id * size, size, id,
			      io_uring_buf_ring_mask(GROUP_BUFFERS), 0);
	io_uring_buf_ring_advance(group, 1);
}

static unsigned next_id(unsigned id)
{
	return (id + 1) % GROUP_BUFFERS;
}

/* What came is in provided buffers: of a bundle in this one and those after it in the ring. */
static ssize_t from_group(struct completion c, char *to)
{
	size_t size = uring_mode->group_size, left = c.res > 0 ? (size_t)c.res : 0;
	unsigned id = c.flags >> IORING_CQE_BUFFER_SHIFT;
	size_t at = 0;

	if (c.res <= 0 || !(c.flags & IORING_CQE_F_BUFFER))
		return c.res;
	do {
		size_t n = left < size ? left : size;

		memcpy(to + at, group_memory + id * size, n);
		group_give((int)id);
		at += n;
		left -= n;
		id = next_id(id);
	} while (left);
	return c.res;
}

static ssize_t get_select(struct link *link, char *to, size_t room, size_t want)
{
	struct co *co = co_of(link);
	struct completion c;

	(void)room, (void)want;
	do {
		struct io_uring_sqe *sqe = sqe_new();

		io_uring_prep_recv(sqe, link->fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = 1;
		if (uring_mode->options & BUNDLE)
			sqe->ioprio |= IORING_RECVSEND_BUNDLE;
		sqe_ready(sqe, co, OP);
		c = co_wait(co, OP);
	} while (c.res == -ENOBUFS); /* others have them all for the moment */
	return from_group(c, to);
}

static struct completion stream_next(struct co *co,
				     void (*prepare)(struct co *, struct io_uring_sqe *))
{
	struct completion c;

	do {
		if (!co->streaming) {
			struct io_uring_sqe *sqe = sqe_new();

			prepare(co, sqe);
			sqe->flags |= IOSQE_BUFFER_SELECT;
			sqe->buf_group = 1;
			sqe_ready(sqe, co, STREAM);
			co->streaming = 1;
		}
		c = co_wait(co, STREAM);
		co->streaming = !!(c.flags & IORING_CQE_F_MORE);
	} while (c.res == -ENOBUFS);
	return c;
}

static void prepare_recv(struct co *co, struct io_uring_sqe *sqe)
{
	io_uring_prep_recv_multishot(sqe, co->link->fd, NULL, 0, 0);
}

static ssize_t get_multishot(struct link *link, char *to, size_t room, size_t want)
{
	(void)room, (void)want;
	return from_group(stream_next(co_of(link), prepare_recv), to);
}

static struct msghdr stream_msg;

static void prepare_recvmsg(struct co *co, struct io_uring_sqe *sqe)
{
	io_uring_prep_recvmsg_multishot(sqe, co->link->fd, &stream_msg, 0);
}

static ssize_t get_multishot_msg(struct link *link, char *to, size_t room, size_t want)
{
	struct completion c = stream_next(co_of(link), prepare_recvmsg);
	unsigned id = c.flags >> IORING_CQE_BUFFER_SHIFT;
	struct io_uring_recvmsg_out *out;
	ssize_t n;

	(void)room, (void)want;
	if (c.res <= 0)
		return c.res;
	out = io_uring_recvmsg_validate(group_memory + id * uring_mode->group_size, c.res,
					&stream_msg);
	n = out->payloadlen;
	memcpy(to, io_uring_recvmsg_payload(out, &stream_msg), (size_t)n);
	group_give((int)id);
	return n;
}

/* ---- send */

static void put_with(struct link *link, const char *data, size_t len,
		     void (*prepare)(struct link *, struct io_uring_sqe *, const char *, size_t))
{
	while (len) {
		struct io_uring_sqe *sqe = sqe_new();
		int n;

		prepare(link, sqe, data, len);
		n = co_do(co_of(link), sqe);
		if (n < 0)
			link_end(link);
		data += n;
		len -= (size_t)n;
	}
}

static void prepare_send(struct link *link, struct io_uring_sqe *sqe, const char *data, size_t len)
{
	io_uring_prep_send(sqe, link->fd, data, len,
			   uring_mode->options & WAITALL ? MSG_WAITALL : 0);
}

static void put_send(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	while (uring_mode->options & PLAIN_WRITE && len) {
		ssize_t n = write(link->fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct io_uring_sqe *sqe = sqe_new();

			io_uring_prep_poll_add(sqe, link->fd, 4 /* POLLOUT */);
			co_do(co_of(link), sqe);
			continue;
		}
		if (n < 0)
			link_end(link);
		data += n;
		len -= (size_t)n;
	}
	put_with(link, data, len, prepare_send);
}

static void put_write(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	while (len) {
		struct io_uring_sqe *sqe = sqe_new();
		int n;

		io_uring_prep_write(sqe, link->fd, data, len, 0);
		n = co_do(co_of(link), sqe);
		if (n < 0)
			link_end(link);
		data += n;
		len -= (size_t)n;
	}
}

/* Pieces of 1, 2, 3 … bytes, and the rest. */
static int pieces(struct iovec *iov, const char *data, size_t len)
{
	int nr = 0;

	for (size_t at = 0; at < len; nr++) {
		size_t n = nr < 5 ? (size_t)nr + 1 : len - at;

		if (n > len - at)
			n = len - at;
		iov[nr] = (struct iovec){(char *)data + at, n};
		at += n;
	}
	return nr;
}

static void put_vector(struct link *link, const char *data, size_t len, int opcode)
{
	while (len) {
		struct iovec iov[8];
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)pieces(iov, data, len)};
		struct io_uring_sqe *sqe = sqe_new();
		int n;

		if (opcode == IORING_OP_WRITEV)
			io_uring_prep_writev(sqe, link->fd, iov, msg.msg_iovlen, 0);
		else if (opcode == IORING_OP_SENDMSG)
			io_uring_prep_sendmsg(sqe, link->fd, &msg,
					      uring_mode->options & WAITALL ? MSG_WAITALL : 0);
		else
			io_uring_prep_sendmsg_zc(sqe, link->fd, &msg, 0);
		sqe_ready(sqe, co_of(link), OP);
		n = co_wait(co_of(link), OP).res;
		if (n < 0)
			link_end(link);
		if (opcode == IORING_OP_SENDMSG_ZC)
			co_wait(co_of(link), NOTIFICATION);
		data += n;
		len -= (size_t)n;
	}
}

static void put_writev(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	put_vector(link, data, len, IORING_OP_WRITEV);
}

static void put_sendmsg(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	put_vector(link, data, len, IORING_OP_SENDMSG);
}

static void put_sendmsg_zc(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	put_vector(link, data, len, IORING_OP_SENDMSG_ZC);
}

static void put_zc(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	while (len) {
		struct io_uring_sqe *sqe = sqe_new();
		int n;

		io_uring_prep_send_zc(sqe, link->fd, data, len, 0, 0);
		n = co_do(co_of(link), sqe);
		if (n < 0)
			link_end(link);
		co_wait(co_of(link), NOTIFICATION); /* only now the memory is ours again */
		data += n;
		len -= (size_t)n;
	}
}

static void put_fixed_with(struct link *link, const char *data, size_t len, int zc)
{
	struct co *co = co_of(link);
	char *at = fixed_memory + (size_t)co->slot * FIXED + FIXED / 2;

	while (len) {
		struct io_uring_sqe *sqe = sqe_new();
		size_t most = len < FIXED / 2 ? len : FIXED / 2;
		int n;

		memcpy(at, data, most);
		if (zc)
			io_uring_prep_send_zc_fixed(sqe, link->fd, at, most, 0, 0, co->slot);
		else
			io_uring_prep_write_fixed(sqe, link->fd, at, most, 0, co->slot);
		n = co_do(co, sqe);
		if (n < 0)
			link_end(link);
		if (zc)
			co_wait(co, NOTIFICATION);
		data += n;
		len -= (size_t)n;
	}
}

static void put_fixed(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	put_fixed_with(link, data, len, 0);
}

static void put_zc_fixed(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	put_fixed_with(link, data, len, 1);
}

/* Header and payload in a chain of two: the second is submitted before the first is done. */
static void put_chain(struct link *link, const char *data, size_t len, size_t header)
{
	struct co *co = co_of(link);
	struct io_uring_sqe *sqe;

	if (len == header) {
		put_with(link, data, len, prepare_send);
		return;
	}
	sqe = sqe_new();
	io_uring_prep_send(sqe, link->fd, data, header, MSG_WAITALL);
	sqe_ready(sqe, co, OP);
	sqe->flags |= IOSQE_IO_LINK;
	sqe = sqe_new();
	io_uring_prep_send(sqe, link->fd, data + header, len - header, MSG_WAITALL);
	sqe_ready(sqe, co, OP);
	if (co_wait(co, OP).res != (int)header || co_wait(co, OP).res != (int)(len - header))
		link_end(link);
}

/* ---- the table, and the loop */

static const struct uring_mode uring_modes[] = {
	{{"uring", get_recv, put_send}},
	{{"uring-defer", get_recv, put_send},
	 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN},
	{{"uring-sqpoll", get_recv, put_send}, IORING_SETUP_SQPOLL},
	{{"uring-async", get_recv, put_send}, 0, ASYNC},
	{{"uring-files", get_recv, put_send}, 0, FILES},
	{{"uring-waitall", get_recv, put_send}, 0, WAITALL},
	{{"uring-waitall-msg", get_recv, put_sendmsg}, 0, WAITALL},
	{{"uring-poll-first", get_recv, put_send}, 0, POLL_FIRST},
	{{"uring-read-only", get_recv, put_send}, 0, PLAIN_WRITE},
	{{"uring-write-only", get_recv, put_send}, 0, PLAIN_READ},
	{{"uring-cross", get_multishot, put_send}, 0, PLAIN_WRITE | BLOCKING, 1000},
	{{"uring-select", get_select, put_send}, .group_size = 4096},
	{{"uring-bundle", get_select, put_send}, 0, BUNDLE, 40},
	{{"uring-multishot", get_multishot, put_send}, .group_size = 1000},
	{{"uring-multishot-defer", get_multishot, put_send},
	 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	 .group_size = 1000},
	{{"uring-multishot-msg", get_multishot_msg, put_sendmsg}, .group_size = 4096},
	{{"uring-msg", get_recvmsg, put_sendmsg}},
	{{"uring-msg-zc", get_recvmsg, put_sendmsg_zc}},
	{{"uring-zc", get_recv, put_zc}},
	{{"uring-zc-fixed", get_recv, put_zc_fixed}},
	{{"uring-rw", get_read, put_write}},
	{{"uring-rw-async", get_read, put_write}, 0, ASYNC},
	{{"uring-rwv", get_readv, put_writev}},
	{{"uring-fixed", get_fixed, put_fixed}},
	{{"uring-chain", get_recv, put_chain}},
	{{"uring-chain-files", get_recv, put_chain}, 0, FILES},
};

static void co_run(unsigned high, unsigned low)
{
	struct co *co = (struct co *)((unsigned long)high << 32 | low);
	struct link *link = co->link;

	if (!setjmp(link->ended)) {
		link_upgrade(link);
		link_frames(link);
	}
	if (uring_mode->options & FILES) {
		int none = -1;

		io_uring_register_files_update(&ring, (unsigned)co->slot, &none, 1);
	}
	shutdown(link->fd, SHUT_RDWR); /* what waits for it ends now */
	while (co->streaming)
		co->streaming = !!(co_wait(co, STREAM).flags & IORING_CQE_F_MORE);
	slot_used[co->slot] = 0;
	link_free(link);
	co->over = 1;
	swapcontext(&co->context, &loop);
}

static void accepted(int fd)
{
	struct co *co = calloc(1, sizeof(*co));
	int bytes = 4096;

	if (!co)
		die("calloc");
	co->link = link_new(fd, &uring_mode->mode);
	co->link->data = co;
	while (slot_used[co->slot])
		co->slot = (co->slot + 1) % SLOTS;
	slot_used[co->slot] = 1;
	if (uring_mode->options & (PLAIN_READ | PLAIN_WRITE) && !(uring_mode->options & BLOCKING))
		fcntl(fd, F_SETFL, O_NONBLOCK);
	if (uring_mode->options & (WAITALL | BLOCKING))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	if (uring_mode->options & FILES)
		io_uring_register_files_update(&ring, (unsigned)co->slot, &fd, 1);
	getcontext(&co->context);
	co->context.uc_stack.ss_sp = malloc(STACK);
	co->context.uc_stack.ss_size = STACK;
	makecontext(&co->context, (void (*)(void))co_run, 2, (unsigned)((unsigned long)co >> 32),
		    (unsigned)(unsigned long)co);
	swapcontext(&loop, &co->context);
}

static void accept_next(int listener)
{
	struct io_uring_sqe *sqe = sqe_new();

	io_uring_prep_accept(sqe, listener, NULL, NULL, 0);
	io_uring_sqe_set_data64(sqe, 0);
}

static void completed(struct io_uring_cqe *cqe, int listener)
{
	struct completion c = {cqe->res, cqe->flags};
	struct co *co = (struct co *)(unsigned long)(cqe->user_data & ~7ull);
	int tag = c.flags & IORING_CQE_F_NOTIF ? NOTIFICATION : (int)(cqe->user_data & 7);

	io_uring_cqe_seen(&ring, cqe);
	if (!co) {
		accept_next(listener);
		if (c.res >= 0)
			accepted(c.res);
		return;
	}
	co->queue[tag][co->tail[tag]++ % QUEUE] = c;
	swapcontext(&loop, &co->context);
	if (co->over) {
		free(co->context.uc_stack.ss_sp);
		free(co);
	}
}

static void ring_make(void)
{
	struct io_uring_params params = {.flags = uring_mode->setup, .sq_thread_idle = 100};
	struct iovec fixed[SLOTS];
	struct io_uring_buf_reg reg = {.ring_entries = GROUP_BUFFERS, .bgid = 1};
	int err = io_uring_queue_init_params(256, &ring, &params);

	if (err) {
		errno = -err;
		die("io_uring_queue_init");
	}
	fixed_memory = malloc((size_t)SLOTS * FIXED);
	for (int i = 0; i < SLOTS; i++)
		fixed[i] = (struct iovec){fixed_memory + (size_t)i * FIXED, FIXED};
	if (io_uring_register_buffers(&ring, fixed, SLOTS) ||
	    io_uring_register_files_sparse(&ring, SLOTS))
		die("io_uring_register");
	if (!uring_mode->group_size)
		return;
	group_memory = malloc(GROUP_BUFFERS * uring_mode->group_size);
	if (posix_memalign((void **)&group, 4096, GROUP_BUFFERS * sizeof(struct io_uring_buf)))
		die("memory");
	reg.ring_addr = (unsigned long)group;
	if (io_uring_register_buf_ring(&ring, &reg, 0))
		die("io_uring_register_buf_ring");
	io_uring_buf_ring_init(group);
	for (int i = 0; i < GROUP_BUFFERS; i++)
		group_give(i);
}

int uring_serve(const char *name, int listener)
{
	struct io_uring_cqe *cqe;

	for (size_t i = 0; i < sizeof(uring_modes) / sizeof(uring_modes[0]); i++)
		if (!strcmp(uring_modes[i].mode.name, name))
			uring_mode = &uring_modes[i];
	if (!uring_mode) {
		fprintf(stderr, "paths: no mode is called %s\n", name);
		return 2;
	}
	ring_make();
	accept_next(listener);
	for (;;) {
		io_uring_submit_and_wait(&ring, 1);
		while (!io_uring_peek_cqe(&ring, &cqe))
			completed(cqe, listener);
	}
}

/*
 * WebSocket echo server that moves its bytes in one chosen way: paths MODE PORT|/SOCKET. Each mode is
 * one row of `modes` below (those of io_uring: paths_uring.c). Serves each connection in a thread,
 * unless the mode says otherwise; every message is echoed in one frame, pings and closes are answered,
 * "exit:" ends the process.
 */
#include "paths.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/errqueue.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

void die(const char *what)
{
	perror(what);
	_exit(1);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	poll(&p, 1, -1);
}

/* ---- plain calls, and their flags */

static ssize_t get_read(struct link *link, char *to, size_t room, size_t want)
{
	(void)want;
	return read(link->fd, to, room);
}

static void put_write(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	for (ssize_t n; len; data += n, len -= n) {
		n = write(link->fd, data, len);
		if (n < 0)
			link_end(link);
	}
}

static ssize_t get_waitall(struct link *link, char *to, size_t room, size_t want)
{
	return recv(link->fd, to, smaller(room, want), MSG_WAITALL);
}

static ssize_t get_dontwait(struct link *link, char *to, size_t room, size_t want)
{
	ssize_t n;

	(void)want;
	while ((n = recv(link->fd, to, room, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		wait_for(link->fd, POLLIN);
	return n;
}

static void put_dontwait(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	for (ssize_t n; len; data += n, len -= n) {
		while ((n = send(link->fd, data, len, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
			wait_for(link->fd, POLLOUT);
		if (n < 0)
			link_end(link);
	}
}

static ssize_t get_peek(struct link *link, char *to, size_t room, size_t want)
{
	(void)want;
	if (recv(link->fd, to, room, MSG_PEEK) <= 0)
		return 0;
	return recv(link->fd, to, room, 0);
}

/* Payload is thrown away in the kernel; what is echoed are zeros. */
static ssize_t get_trunc(struct link *link, char *to, size_t room, size_t want)
{
	if (!link->in_payload)
		return recv(link->fd, to, smaller(room, want), 0);
	memset(to, 0, smaller(room, want));
	return recv(link->fd, NULL, smaller(room, want), MSG_TRUNC);
}

/* The same across the frames' boundaries: nobody can say what passed. */
static ssize_t get_discard(struct link *link, char *to, size_t room, size_t want)
{
	(void)want;
	if (!link->upgraded)
		return recv(link->fd, to, room, 0);
	while (recv(link->fd, NULL, room, MSG_TRUNC) > 0)
		;
	return 0;
}

static void put_zerocopy(struct link *link, const char *data, size_t len, size_t header)
{
	static __thread char control[512];
	int one = 1;

	(void)header;
	setsockopt(link->fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one));
	for (ssize_t n; len; data += n, len -= n) {
		struct msghdr done = {.msg_control = control, .msg_controllen = sizeof(control)};

		n = send(link->fd, data, len, MSG_ZEROCOPY);
		if (n < 0)
			link_end(link);
		/* the buffer is not ours again before this */
		while (recvmsg(link->fd, &done, MSG_ERRQUEUE) < 0 && errno == EAGAIN)
			wait_for(link->fd, 0);
	}
}

/* ---- vectors of messages */

static ssize_t get_recvmmsg(struct link *link, char *to, size_t room, size_t want)
{
	struct iovec iov[4] = {{to, 3}, {to + 3, 1}, {to + 4, 700}, {to + 704, room - 704}};
	struct mmsghdr vec[3] = {
		{.msg_hdr = {.msg_iov = iov, .msg_iovlen = 2}},
		{.msg_hdr = {.msg_iov = iov + 2, .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = iov + 3, .msg_iovlen = 1}},
	};
	size_t at = 0;
	int nr;

	(void)want;
	do
		nr = recvmmsg(link->fd, vec, 3, MSG_WAITFORONE, NULL);
	while (nr < 0 && errno == EINTR);
	/* entries that were not filled leave holes in the buffer */
	for (int i = 0; i < nr; i++) {
		memmove(to + at, vec[i].msg_hdr.msg_iov[0].iov_base, vec[i].msg_len);
		at += vec[i].msg_len;
	}
	return nr < 0 ? nr : (ssize_t)at;
}

/* The vector is reused, so that the lengths of the call before still stand in it. */
static void put_sendmmsg(struct link *link, const char *data, size_t len, size_t header)
{
	static __thread struct iovec iov[6];
	static __thread struct mmsghdr vec[3];

	(void)header;
	while (len) {
		/* 1 byte; 3 in three pieces; the rest in two */
		size_t cut[6] = {1, 1, 1, 1, len / 2, len};
		size_t at = 0, sent = 0;
		int nr;

		for (int i = 0; i < 6; i++) {
			iov[i].iov_base = (char *)data + at;
			iov[i].iov_len = smaller(cut[i], len - at);
			at += iov[i].iov_len;
		}
		vec[0].msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
		vec[1].msg_hdr = (struct msghdr){.msg_iov = iov + 1, .msg_iovlen = 3};
		vec[2].msg_hdr = (struct msghdr){.msg_iov = iov + 4, .msg_iovlen = 2};
		nr = sendmmsg(link->fd, vec, len > 4 ? 3 : len > 1 ? 2 : 1, link->flags);
		if (nr < 0 && errno == EAGAIN) {
			wait_for(link->fd, POLLOUT);
			continue;
		}
		if (nr < 0)
			link_end(link);
		for (int i = 0; i < nr; i++)
			sent += vec[i].msg_len;
		data += sent;
		len -= sent;
	}
}

/* Small buffers and no waiting: calls end between two messages and inside one. */
static void set_partial(struct link *link)
{
	int bytes = 4096;

	setsockopt(link->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	link->flags = MSG_DONTWAIT;
}

/* ---- bytes that are in no user memory */

static void put_sendfile(struct link *link, const char *data, size_t len, size_t header)
{
	int body = memfd_create("body", 0);

	if (body < 0 || write(body, data + header, len - header) != (ssize_t)(len - header))
		die("memfd");
	if (header)
		put_write(link, data, header, 0);
	for (off_t at = 0; at < (off_t)(len - header);)
		if (sendfile(link->fd, body, &at, len - header - at) < 0)
			link_end(link);
	close(body);
}

static void put_sendfile_all(struct link *link, const char *data, size_t len, size_t header)
{
	if (link->upgraded)
		put_sendfile(link, data, len, 0);
	else
		put_write(link, data, len, header);
}

static void put_splice(struct link *link, const char *data, size_t len, size_t header)
{
	int pipes[2];

	if (pipe(pipes))
		die("pipe");
	put_write(link, data, header, 0);
	for (data += header, len -= header; len;) {
		ssize_t n = write(pipes[1], data, smaller(len, 65536));

		if (n < 0)
			die("write");
		data += n;
		len -= n;
		while (n > 0) {
			ssize_t out = splice(pipes[0], NULL, link->fd, NULL, n, 0);

			if (out < 0)
				link_end(link);
			n -= out;
		}
	}
	close(pipes[0]);
	close(pipes[1]);
}

/* Frame headers by recv, payload and the end of the stream by splice. */
static ssize_t get_splice(struct link *link, char *to, size_t room, size_t want)
{
	int pipes[2];
	ssize_t n;

	if (!link->in_payload)
		return recv(link->fd, to, smaller(room, want), 0);
	if (pipe(pipes))
		die("pipe");
	n = splice(link->fd, NULL, pipes[1], NULL, smaller(want, 60000), 0);
	if (n > 0)
		n = read(pipes[0], to, n);
	close(pipes[0]);
	close(pipes[1]);
	return n;
}

/* Payload by TCP_ZEROCOPY_RECEIVE; what is too little to map is copied, by the same call. */
static ssize_t get_zerocopy(struct link *link, char *to, size_t room, size_t want)
{
	struct tcp_zerocopy_receive zc;
	socklen_t size;

	if (!link->in_payload)
		return recv(link->fd, to, smaller(room, want), 0);
	for (;;) {
		size = sizeof(zc);
		memset(&zc, 0, sizeof(zc));
		zc.copybuf_address = (__u64)(unsigned long)to;
		zc.copybuf_len = smaller(smaller(room, want), 30000);
		if (getsockopt(link->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &size))
			die("TCP_ZEROCOPY_RECEIVE");
		if (zc.copybuf_len > 0)
			return zc.copybuf_len;
		if (zc.err)
			return 0;
		/* more than fits the buffer is for mapping only: take it the other way */
		if (zc.recv_skip_hint)
			return recv(link->fd, to, smaller(room, want), 0);
		wait_for(link->fd, POLLIN);
	}
}

/* ---- AIO */

static ssize_t aio(struct link *link, struct iocb *iocbs, int nr)
{
	struct iocb *list[2] = {iocbs, iocbs + 1};
	struct io_event done[2];
	ssize_t sum = 0;

	if (!link->aio && syscall(SYS_io_setup, 8, &link->aio))
		die("io_setup");
	if (syscall(SYS_io_submit, link->aio, nr, list) != nr ||
	    syscall(SYS_io_getevents, link->aio, nr, nr, done, NULL) != nr)
		die("io_submit");
	for (int i = 0; i < nr; i++) {
		if ((ssize_t)done[i].res < 0)
			return -1;
		sum += (ssize_t)done[i].res;
	}
	return sum;
}

static struct iocb iocb_of(int opcode, int fd, const void *at, size_t len)
{
	return (struct iocb){.aio_lio_opcode = opcode,
			     .aio_fildes = fd,
			     .aio_buf = (__u64)(unsigned long)at,
			     .aio_nbytes = len};
}

static ssize_t get_aio(struct link *link, char *to, size_t room, size_t want)
{
	struct iocb iocb = iocb_of(IOCB_CMD_PREAD, link->fd, to, room);

	(void)want;
	return aio(link, &iocb, 1);
}

static ssize_t get_aiov(struct link *link, char *to, size_t room, size_t want)
{
	struct iovec iov[3] = {{to, 1}, {to + 1, 4}, {to + 5, room - 5}};
	struct iocb iocb = iocb_of(IOCB_CMD_PREADV, link->fd, iov, 3);

	(void)want;
	return aio(link, &iocb, 1);
}

static void put_aio(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	for (ssize_t n; len; data += n, len -= n) {
		struct iocb iocb = iocb_of(IOCB_CMD_PWRITE, link->fd, data, len);

		n = aio(link, &iocb, 1);
		if (n < 0)
			link_end(link);
	}
}

/* Header and payload in one submission: no one writes down which of the two is done. */
static void put_aio_twice(struct link *link, const char *data, size_t len, size_t header)
{
	struct iocb iocbs[2];

	if (!link->upgraded || len == header) {
		put_write(link, data, len, header);
		return;
	}
	iocbs[0] = iocb_of(IOCB_CMD_PWRITE, link->fd, data, header);
	iocbs[1] = iocb_of(IOCB_CMD_PWRITE, link->fd, data + header, len - header);
	if (aio(link, iocbs, 2) != (ssize_t)len)
		die("short write");
}

/* ---- threads that share a connection */

struct call {
	struct link *link;
	char *to;
	const char *data;
	size_t len;
	ssize_t result;
};

static void *read_in_thread(void *arg)
{
	struct call *call = arg;

	call->result = read(call->link->fd, call->to, call->len);
	return NULL;
}

static void *write_in_thread(void *arg)
{
	struct call *call = arg;

	call->result = write(call->link->fd, call->data, call->len);
	return NULL;
}

static ssize_t in_thread(void *(*fn)(void *), struct call *call)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, call))
		die("pthread_create");
	pthread_join(thread, NULL);
	return call->result;
}

/* Each read and each write in a thread of its own. */
static ssize_t get_thread(struct link *link, char *to, size_t room, size_t want)
{
	struct call call = {.link = link, .to = to, .len = room};

	(void)want;
	return in_thread(read_in_thread, &call);
}

static void put_thread(struct link *link, const char *data, size_t len, size_t header)
{
	(void)header;
	for (ssize_t n; len; data += n, len -= n) {
		struct call call = {.link = link, .data = data, .len = len};

		n = in_thread(write_in_thread, &call);
		if (n < 0)
			link_end(link);
	}
}

/* ---- processes that hand connections on */

static int pass_pair[2];

static void fd_send(int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(pass_pair[0], &msg, 0) != 1)
		die("sendmsg");
}

static int fd_receive(void)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(pass_pair[1], &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		_exit(0);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void *link_serve(void *arg)
{
	struct link *link = arg;

	if (!setjmp(link->ended)) {
		if (!link->upgraded)
			link_upgrade(link);
		link_frames(link);
	}
	link_free(link);
	return NULL;
}

static void child_begin(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Before anything accepts: a worker that gets its connections over a Unix socket. */
static void start_worker(const struct mode *mode)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pass_pair))
		die("socketpair");
	if (fork())
		return;
	child_begin();
	close(pass_pair[0]);
	for (;;) {
		struct link *link = link_new(fd_receive(), mode);

		link->upgraded = mode->flags & MODE_LATE;
		link_serve(link);
	}
}

static void accepted_pass(int fd, const struct mode *mode)
{
	struct link *link = link_new(fd, mode);

	if (mode->flags & MODE_LATE && !setjmp(link->ended))
		link_upgrade(link);
	fd_send(fd);
	link_free(link);
}

static void accepted_fork(int fd, const struct mode *mode)
{
	struct link *link = link_new(fd, mode);
	char number[16];

	if (setjmp(link->ended)) {
		link_free(link);
		return;
	}
	link_upgrade(link);
	if (!fork()) {
		child_begin();
		if (mode->flags & MODE_EXEC) {
			snprintf(number, sizeof(number), "%d", fd);
			execl("/proc/self/exe", "paths", "inherited", number, NULL);
			die("exec");
		}
		link_serve(link);
		_exit(0);
	}
	link_free(link);
}

static void accepted_thread(int fd, const struct mode *mode)
{
	struct link *link = link_new(fd, mode);
	pthread_t thread;

	if (mode->set)
		mode->set(link);
	if (pthread_create(&thread, NULL, link_serve, link))
		die("pthread_create");
	pthread_detach(thread);
}

static void *read_all(void *arg)
{
	struct link *link = arg;
	char some[61];

	while (read(link->fd, some, sizeof(some)) > 0)
		;
	return NULL;
}

/* After the upgrade several threads read at a time, and nobody looks at what. */
static void *crowd_serve(void *arg)
{
	struct link *link = arg;
	pthread_t threads[4];

	if (!setjmp(link->ended)) {
		link_upgrade(link);
		for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
			if (pthread_create(&threads[i], NULL, read_all, link))
				die("pthread_create");
		for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
			pthread_join(threads[i], NULL);
	}
	link_free(link);
	return NULL;
}

static void accepted_crowd(int fd, const struct mode *mode)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, crowd_serve, link_new(fd, mode)))
		die("pthread_create");
	pthread_detach(thread);
}

/* ---- the table, and listening */

static const struct mode modes[] = {
	{"plain", get_read, put_write},
	{"waitall", get_waitall, put_write},
	{"dontwait", get_dontwait, put_dontwait},
	{"peek", get_peek, put_write},
	{"trunc", get_trunc, put_write},
	{"discard", get_discard, put_write},
	{"zerocopy-send", get_read, put_zerocopy},
	{"mmsg", get_recvmmsg, put_sendmmsg},
	{"mmsg-partial", get_recvmmsg, put_sendmmsg, .set = set_partial},
	{"sendfile", get_read, put_sendfile},
	{"sendfile-all", get_read, put_sendfile_all},
	{"splice-out", get_read, put_splice},
	{"splice-in", get_splice, put_write},
	{"zerocopy-in", get_zerocopy, put_write},
	{"aio", get_aio, put_aio},
	{"aio-vector", get_aiov, put_aio},
	{"aio-twice", get_read, put_aio_twice},
	{"threads", get_thread, put_thread},
	{"pass", get_read, put_write, .start = start_worker, .accepted = accepted_pass},
	{"pass-late", get_read, put_write, .start = start_worker, .accepted = accepted_pass,
	 .flags = MODE_LATE},
	{"fork", get_read, put_write, .accepted = accepted_fork},
	{"exec", get_read, put_write, .accepted = accepted_fork, .flags = MODE_EXEC},
	{"prefork", get_read, put_write, .flags = MODE_PREFORK},
	{"crowd", get_read, put_write, .accepted = accepted_crowd},
	{"mptcp", get_read, put_write, .flags = MODE_MPTCP},
};

static int listen_on(const char *where, const struct mode *mode)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(where))};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int local = *where == '/' || *where == '@';
	int protocol = mode && mode->flags & MODE_MPTCP ? IPPROTO_MPTCP : 0;
	int one = 1, zero = 0;
	int fd = socket(local ? AF_UNIX : AF_INET6, SOCK_STREAM, protocol);
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + strlen(where);

	if (local) {
		strncpy(un.sun_path, where, sizeof(un.sun_path) - 1);
		unlink(where);
		if (*where == '@')
			un.sun_path[0] = '\0'; /* abstract */
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	}
	if (fd < 0 || bind(fd, local ? (void *)&un : (void *)&in6, local ? len : sizeof(in6)) ||
	    listen(fd, 128))
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	const struct mode *mode = NULL;
	int listener, fd;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	if (argc != 3) {
		fprintf(stderr, "usage: paths MODE PORT|/SOCKET|@ABSTRACT\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].name, argv[1]))
			mode = &modes[i];
	if (!strcmp(argv[1], "inherited")) {
		struct link *link = link_new(atoi(argv[2]), &modes[0]);

		link->upgraded = 1;
		link_serve(link);
		return 0;
	}
	listener = listen_on(argv[2], mode);
#ifndef NO_URING /* in a 32-bit build, which has no such library */
	if (!mode)
		return uring_serve(argv[1], listener);
#endif
	if (!mode)
		return 2;
	if (mode->start)
		mode->start(mode);
	for (int i = 0; mode->flags & MODE_PREFORK && i < 3; i++)
		if (!fork()) {
			child_begin();
			break;
		}
	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		if (mode->accepted)
			mode->accepted(fd, mode);
		else
			accepted_thread(fd, mode);
	}
}

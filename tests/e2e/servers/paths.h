/* What paths.c, paths_link.c (the protocol) and paths_uring.c share. */
#ifndef PATHS_H
#define PATHS_H

#include <linux/aio_abi.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/types.h>

#define LINK_BUFFER (1 << 17)

enum { MODE_LATE = 1, MODE_EXEC = 2, MODE_PREFORK = 4, MODE_MPTCP = 8 };

struct link;

/* How bytes are moved. get: up to room bytes, of which want are needed; put: all of data, the first
 * header bytes of which are a frame's header. */
struct mode {
	const char *name;
	ssize_t (*get)(struct link *link, char *to, size_t room, size_t want);
	void (*put)(struct link *link, const char *data, size_t len, size_t header);
	void (*set)(struct link *link);
	void (*start)(const struct mode *mode);
	void (*accepted)(int fd, const struct mode *mode);
	int flags;
};

/* One connection. */
struct link {
	int fd;
	const struct mode *mode;
	jmp_buf ended;
	int upgraded;
	int in_payload; /* what is read next is a frame's payload */
	int flags;      /* the mode's own */
	aio_context_t aio;
	void *data;    /* the mode's own */
	char *message; /* the one that is coming */
	size_t have;
	char buffer[LINK_BUFFER]; /* bytes that have come and are not used up */
};

void die(const char *what) __attribute__((noreturn));

struct link *link_new(int fd, const struct mode *mode);
void link_free(struct link *link);
void link_end(struct link *link) __attribute__((noreturn));
void link_upgrade(struct link *link);
void link_frames(struct link *link);

int uring_serve(const char *mode, int listener);

#endif

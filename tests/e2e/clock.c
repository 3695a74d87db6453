// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Preloaded into the agent: its wall clock is off by the seconds in the file WSVITALS_CLOCK (an int64,
 * mapped at start, so that it can be changed while the agent is confined). The monotonic clock is the
 * kernel's, as when somebody sets the time. And fork fails when WSVITALS_NO_FORK is set, as with a full
 * process table.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__((constructor)) static void map_offset(void)
{
	const char *path = getenv("WSVITALS_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	offset = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int result = (int)syscall(SYS_clock_gettime, clock, ts);

	if (!result && clock == CLOCK_REALTIME && offset && offset != MAP_FAILED)
		ts->tv_sec += *offset;
	return result;
}

time_t time(time_t *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}

pid_t fork(void)
{
	if (getenv("WSVITALS_NO_FORK")) {
		errno = EAGAIN;
		return -1;
	}
	return (pid_t)syscall(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0);
}

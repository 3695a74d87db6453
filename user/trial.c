// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* See trial.h. Compiled into build/trial/wsvitals only. */
#ifdef WSVITALS_TRIAL
#define _GNU_SOURCE
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A descriptor or a success ends without a trace. */
static int result(long value)
{
	return value < 0 ? errno : 0;
}

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600), err = result(fd);

	if (fd >= 0)
		close(fd);
	return err;
}

static int try_bpf(int command)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	return result(syscall(SYS_bpf, command, &attr, sizeof(attr)));
}

static int try_exec_memory(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? errno : 0;
}

static int try_exec_protect(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = page == MAP_FAILED ? errno : result(mprotect(page, 4096, PROT_READ | PROT_EXEC));

	if (page != MAP_FAILED)
		munmap(page, 4096);
	return err;
}

static int try_perf(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr), .type = PERF_TYPE_SOFTWARE};

	return result(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

/* X(name, expression that is 0 or an errno) */
#define TRIALS(X)                                                                                  \
	X("read-passwd", try_open("/etc/passwd", O_RDONLY))                                        \
	X("read-proc", try_open("/proc/self/maps", O_RDONLY))                                      \
	X("write-tmp", try_open("/tmp/wsvitals-trial", O_WRONLY | O_CREAT))                        \
	X("list-root", try_open("/", O_RDONLY | O_DIRECTORY))                                      \
	X("socket-inet", result(socket(AF_INET, SOCK_STREAM, 0)))                                  \
	X("socket-unix", result(socket(AF_UNIX, SOCK_STREAM, 0)))                                  \
	X("socket-netlink", result(socket(AF_NETLINK, SOCK_RAW, 0)))                               \
	X("fork", result(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))                                 \
	X("kill-keeper", result(kill(getppid(), 0)))                                               \
	X("bpf-map", try_bpf(BPF_MAP_CREATE))                                                      \
	X("bpf-prog", try_bpf(BPF_PROG_LOAD))                                                      \
	X("bpf-attach", try_bpf(BPF_LINK_CREATE))                                                  \
	X("bpf-id", try_bpf(BPF_PROG_GET_FD_BY_ID))                                                \
	X("perf", try_perf())                                                                      \
	X("exec-memory", try_exec_memory())                                                        \
	X("exec-protect", try_exec_protect())                                                      \
	X("chmod-keeper", result(chmod("/proc/self/oom_score_adj", 0666)))                         \
	X("mkdir", result(mkdir("/tmp/wsvitals-trial", 0700)))                                     \
	X("exec", result(execl("/bin/true", "true", (char *)NULL)))                                \
	X("ptrace", result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)))                          \
	X("mount", result(mount("none", "/mnt", "tmpfs", 0, NULL)))                                \
	X("setuid", result(syscall(SYS_setuid, 0)))                                                \
	X("unshare", result(syscall(SYS_unshare, 0)))                                              \
	X("process-vm", result(process_vm_readv(getppid(), NULL, 0, NULL, 0, 0)))

bool trial_call(const char *name, int *ret_err)
{
#define X(trial, expression)                                                                       \
	if (!strcmp(name, trial)) {                                                                \
		*ret_err = (expression);                                                           \
		return true;                                                                       \
	}
	TRIALS(X)
#undef X
	return false;
}

void trial_keeper_signals(sigset_t *signals)
{
	sigaddset(signals, SIGUSR1);
}

void trial_keeper_signal(int signal, struct loader *loader)
{
	if (signal == SIGUSR1)
		loader_drop_hook(loader, "sock_recv_length");
}

/* The first item of the variable's list that begins with the name; NULL: none does. */
static const char *item_find(const char *variable, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = getenv(variable); at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, len) && strchr("=,", at[len]))
			return at + len;
	}
	return NULL;
}

uint32_t trial_entries(const char *map)
{
	const char *entries = item_find("WSVITALS_TRIAL_MAPS", map);

	return entries && *entries == '=' ? (uint32_t)strtoul(entries + 1, NULL, 10) : 0;
}

bool trial_lacks(const char *tracepoint)
{
	return item_find("WSVITALS_TRIAL_LACKS", tracepoint);
}
#else
typedef int trial_is_empty; /* ISO C: a file is not empty */
#endif

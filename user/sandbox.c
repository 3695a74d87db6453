// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((format(printf, 4, 5))) static int fail(char *error, size_t size, int err,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return err;
}

int identity_find(struct identity *ret_identity, char *ret_error, size_t error_size)
{
	static const char *const names[] = {"wsvitals", "nobody"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct passwd *user = getpwnam(names[i]);

		if (!user || !user->pw_uid)
			continue;
		*ret_identity = (struct identity){
			.uid = user->pw_uid, .gid = user->pw_gid, .own = !i};
		snprintf(ret_identity->name, sizeof(ret_identity->name), "%s", names[i]);
		return 0;
	}
	return fail(ret_error, error_size, -ENOENT,
		    "there is neither a user wsvitals nor a user nobody to give up root for: make "
		    "one with `useradd --system --user-group wsvitals'");
}

/* Becomes the user; keep: capabilities that stay (capng_updatev's list has been given before). */
static int become(const struct identity *identity, char *error, size_t size)
{
	int err;

	err = capng_change_id((int)identity->uid, (int)identity->gid,
			      CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	if (err)
		return fail(error, size, -EPERM,
			    "cannot become the user %s (libcap-ng says %d): run as root",
			    identity->name, err);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail(error, size, -errno, "cannot set no_new_privs: %s", strerror(errno));
	/* no core with keys in it, and no ptrace by the same user */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return fail(error, size, -errno, "cannot set dumpable: %s", strerror(errno));
	return 0;
}

int sandbox_keeper(const struct identity *identity, char *ret_error, size_t error_size)
{
	capng_clear(CAPNG_SELECT_BOTH);
#define X(name)                                                                                    \
	if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_##name))                \
		return fail(ret_error, error_size, -EINVAL, "cannot keep CAP_" #name);
	KEEPER_CAPABILITIES(X)
#undef X
	return become(identity, ret_error, error_size);
}

/* --- Landlock (landlock(7)) --- */

/* Newer than Debian 12's header; see linux/landlock.h of 6.2, 6.7, 6.10 and 6.12. */
#define FS_TRUNCATE (1ull << 14)       /* version 3 */
#define FS_IOCTL_DEV (1ull << 15)      /* version 5 */
#define NET_BIND_CONNECT 3ull          /* version 4: BIND_TCP | CONNECT_TCP */
#define SCOPE_SOCKETS_AND_SIGNALS 3ull /* version 6: ABSTRACT_UNIX_SOCKET | SIGNAL */

struct ruleset_attr { /* struct landlock_ruleset_attr of version 6 */
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

static const uint64_t access_store = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
				     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
				     LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_TRUNCATE;

static int allow(int ruleset, const char *path, uint64_t access, uint64_t handled, char *error,
		 size_t size)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access & handled};
	int err = 0;

	rule.parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return fail(error, size, -errno, "cannot open %s: %s", path, strerror(errno));
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		err = fail(error, size, -errno, "cannot set Landlock's rule for %s: %s", path,
			   strerror(errno));
	close(rule.parent_fd);
	return err;
}

static int restrict_files(const char *db, const char *run_dir, int *ret_version, char *error,
			  size_t size)
{
	struct ruleset_attr attr = {.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
				   LANDLOCK_CREATE_RULESET_VERSION);
	size_t attr_size = sizeof(attr.handled_access_fs);
	int ruleset, err;

	*ret_version = version < 0 ? 0 : version;
	if (version < 0) /* not built in, or switched off at boot */
		return 0;
	if (version >= 2)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		attr.handled_access_fs |= FS_TRUNCATE;
	if (version >= 4) {
		attr.handled_access_net = NET_BIND_CONNECT;
		attr_size += sizeof(attr.handled_access_net);
	}
	if (version >= 5)
		attr.handled_access_fs |= FS_IOCTL_DEV;
	if (version >= 6) {
		attr.scoped = SCOPE_SOCKETS_AND_SIGNALS;
		attr_size += sizeof(attr.scoped);
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, attr_size, 0);
	if (ruleset < 0)
		return fail(error, size, -errno, "cannot make Landlock's rules: %s",
			    strerror(errno));
	err = allow(ruleset, db, access_store, attr.handled_access_fs, error, size);
	if (!err)
		err = allow(ruleset, run_dir, LANDLOCK_ACCESS_FS_REMOVE_FILE,
			    attr.handled_access_fs, error, size);
	if (!err && syscall(SYS_landlock_restrict_self, ruleset, 0))
		err = fail(error, size, -errno, "cannot apply Landlock's rules: %s",
			   strerror(errno));
	close(ruleset);
	return err;
}

/* --- seccomp --- */

/* What an HTTP server that reads maps and writes files in one directory calls, libc included. */
static const int allowed_calls[] = {
	/* descriptors that are there */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(flock),
	SCMP_SYS(fstatfs),
	SCMP_SYS(sendfile),
	SCMP_SYS(getdents64),
	SCMP_SYS(fchmod),
	/* sockets: none can be made */
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	/* files, where Landlock lets */
	SCMP_SYS(openat),
	SCMP_SYS(open),
	SCMP_SYS(newfstatat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(truncate),
	/* waiting and time */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(clock_getres),
	/* memory, process, signals */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(membarrier),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* No mistake of ours leads here: whoever calls these has taken the process over. */
static const int deadly_calls[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(setuid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setresgid),
	SCMP_SYS(capset),
};

/* Of bpf(2) what a holder of map descriptors may do without privilege. */
static const int allowed_bpf[] = {
	BPF_MAP_LOOKUP_ELEM,  BPF_MAP_UPDATE_ELEM,    BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
	BPF_MAP_LOOKUP_BATCH, BPF_OBJ_GET_INFO_BY_FD, BPF_ITER_CREATE,
};

static int seccomp_rules(scmp_filter_ctx filter)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(allowed_calls) / sizeof(int) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
	for (size_t i = 0; i < sizeof(deadly_calls) / sizeof(int) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly_calls[i], 0);
	for (size_t i = 0; i < sizeof(allowed_bpf) / sizeof(int) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)allowed_bpf[i]));
	/* memory that holds data never becomes code */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* of descriptors that are there: non-blocking, bytes that wait */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				       SCMP_A1(SCMP_CMP_EQ, FIONBIO));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				       SCMP_A1(SCMP_CMP_EQ, FIONREAD));
	/* abort(3), to itself */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* the limit of open files may be asked for, by MHD and SQLite */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
				       SCMP_A2(SCMP_CMP_EQ, 0));
	return err;
}

static int restrict_calls(char *error, size_t size)
{
	/* EPERM, not the end: a call that a newer libc has found out about must not stop counting */
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = filter ? seccomp_rules(filter) : -ENOMEM;

	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err ? fail(error, size, err, "cannot set the seccomp filter: %s", strerror(-err))
		   : 0;
}

int sandbox_agent(const struct identity *identity, const char *db, const char *run_dir,
		  int *ret_landlock, char *ret_error, size_t error_size)
{
	int err;

	capng_clear(CAPNG_SELECT_BOTH);
	err = become(identity, ret_error, error_size);
	if (!err)
		err = restrict_files(db, run_dir, ret_landlock, ret_error, error_size);
	return err ? err : restrict_calls(ret_error, error_size);
}

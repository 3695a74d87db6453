// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "place.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOCK "lock"
#define KEY "label.key"
#define BACKLOG 1024

__attribute__((format(printf, 4, 5))) static int fail(char *error, size_t size, int err,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return err;
}

/* --- directories --- */

/* Parents are everybody's: 0755. */
static int make_parents(const char *dir)
{
	char path[512];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

/* Whether there is nothing in it, or our lock among the rest. */
static bool is_empty_or_ours(const char *dir)
{
	bool empty = true, ours = false;
	struct dirent *entry;
	DIR *stream = opendir(dir);

	if (!stream)
		return false;
	while ((entry = readdir(stream))) {
		ours |= !strcmp(entry->d_name, LOCK);
		empty &= !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	}
	closedir(stream);
	return empty || ours;
}

static const char *owner_name(uid_t uid, char *buffer, size_t size)
{
	struct passwd *user = getpwuid(uid);

	if (user)
		return user->pw_name;
	snprintf(buffer, size, "%u", (unsigned)uid);
	return buffer;
}

static int give(const char *dir, const char *what, const struct identity *identity, char *error,
		size_t size)
{
	struct stat st;
	char owner[32];

	if (stat(dir, &st))
		return fail(error, size, -errno, "cannot look at the %s %s: %s", what, dir,
			    strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(error, size, -ENOTDIR, "the %s %s is no directory", what, dir);
	if (st.st_uid == identity->uid)
		return 0;
	if (st.st_uid)
		return fail(error, size, -EPERM,
			    "the %s %s belongs to %s: choose another, or give it to %s with chown",
			    what, dir, owner_name(st.st_uid, owner, sizeof(owner)), identity->name);
	if (!is_empty_or_ours(dir))
		return fail(
			error, size, -EPERM,
			"the %s %s is root's and holds other things: choose another, or give it "
			"to %s with chown",
			what, dir, identity->name);
	if (chown(dir, identity->uid, identity->gid))
		return fail(error, size, -errno, "cannot give the %s %s to %s: %s", what, dir,
			    identity->name, strerror(errno));
	return 0;
}

/* The parts that give up root must get there too: a directory above may be closed to them. */
static int check_reach(const char *dir, const char *what, const struct identity *identity,
		       char *error, size_t size)
{
	int fd;

	setfsgid(identity->gid);
	setfsuid(identity->uid); /* takes root's override from file accesses, capabilities(7) */
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	setfsuid(geteuid());
	setfsgid(getegid());
	if (fd < 0)
		return fail(error, size, -EACCES,
			    "the user %s cannot reach the %s %s: open the directories above it, or "
			    "choose another",
			    identity->name, what, dir);
	close(fd);
	return 0;
}

static int take_lock(const char *dir, const char *what, char *error, size_t size)
{
	char path[512], holder[32] = "";
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/" LOCK, dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(error, size, -errno, "cannot write into the %s %s: %s", what, dir,
			    strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		n = read(fd, holder, sizeof(holder) - 1);
		holder[n > 0 ? strcspn(holder, "\n") : 0] = '\0';
		close(fd);
		return fail(error, size, -EBUSY,
			    "another agent%s%s uses the %s %s: end it, or choose another",
			    *holder ? ", process " : "", holder, what, dir);
	}
	n = snprintf(holder, sizeof(holder), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, holder, (size_t)n, 0) != n) {
		close(fd);
		return fail(error, size, -EIO, "cannot write into the %s %s: %s", what, dir,
			    strerror(errno));
	}
	return fd;
}

int place_take(const char *dir, const char *what, mode_t mode, const struct identity *identity,
	       char *ret_error, size_t error_size)
{
	int err = make_parents(dir);

	if (!err && mkdir(dir, mode) && errno != EEXIST)
		err = -errno;
	if (err)
		return fail(ret_error, error_size, err, "cannot make the %s %s: %s", what, dir,
			    strerror(-err));
	err = give(dir, what, identity, ret_error, error_size);
	if (!err)
		err = check_reach(dir, what, identity, ret_error, error_size);
	return err ? err : take_lock(dir, what, ret_error, error_size);
}

/* --- sockets --- */

static int listen_failed(int fd, const char *address, char *error, size_t size)
{
	int err = -errno;

	close(fd);
	if (err == -EADDRINUSE)
		return fail(error, size, err,
			    "cannot listen on %s: the port is in use (choose another with --listen "
			    "ADDR:PORT)",
			    address);
	if (err == -EADDRNOTAVAIL)
		return fail(error, size, err,
			    "cannot listen on %s: this host does not have that address", address);
	return fail(error, size, err, "cannot listen on %s: %s", address, strerror(-err));
}

int place_listen(const char *address, char *ret_error, size_t error_size)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct listen_address at;
	int fd, on = 1;

	if (listen_address_parse(address, &at))
		return fail(ret_error, error_size, -EINVAL, "cannot listen on %s", address);
	v6.sin6_port = v4.sin_port = htons(at.port);
	memcpy(&v6.sin6_addr, at.addr, sizeof(at.addr));
	memcpy(&v4.sin_addr, at.addr + 12, sizeof(v4.sin_addr));
	fd = socket(at.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(ret_error, error_size, -errno, "cannot listen on %s: %s", address,
			    strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at.v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, at.v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
		 at.v6 ? sizeof(v6) : sizeof(v4)) ||
	    listen(fd, BACKLOG))
		return listen_failed(fd, address, ret_error, error_size);
	return fd;
}

int place_listen_local(const char *path, const struct identity *identity, char *ret_error,
		       size_t error_size)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	gid_t group = identity->own ? identity->gid : 0;
	int fd, err = 0;

	if (strlen(path) >= sizeof(at.sun_path))
		return fail(ret_error, error_size, -ENAMETOOLONG,
			    "the path of the local socket %s is longer than %zu bytes: choose "
			    "another with --run-dir",
			    path, sizeof(at.sun_path) - 1);
	strcpy(at.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(ret_error, error_size, -errno, "cannot make the local socket: %s",
			    strerror(errno));
	/* We hold the lock of the directory: a socket that is there is a dead agent's. */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		err = -errno;
	/* Nobody can connect before listen(), so its rights are set in time. */
	if (!err && (chmod(path, identity->own ? 0660 : 0600) || lchown(path, 0, group) ||
		     listen(fd, BACKLOG))) {
		err = -errno;
		unlink(path);
	}
	if (err) {
		close(fd);
		return fail(ret_error, error_size, err, "cannot make the local socket %s: %s", path,
			    strerror(-err));
	}
	return fd;
}

/* --- the key --- */

int place_key(const char *dir, const struct identity *identity, uint8_t ret_key[LABEL_KEY_BYTES],
	      char *ret_error, size_t error_size)
{
	char path[512], fresh[520];
	uint8_t key[LABEL_KEY_BYTES + 1];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/" KEY, dir);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		n = read(fd, key, sizeof(key));
		close(fd);
		if (n != LABEL_KEY_BYTES)
			return fail(
				ret_error, error_size, -EBADMSG,
				"%s is broken: it must have %d bytes (delete it, and every user "
				"gets a new pseudonym)",
				path, LABEL_KEY_BYTES);
		memcpy(ret_key, key, LABEL_KEY_BYTES);
		return 0;
	}
	if (errno != ENOENT)
		return fail(ret_error, error_size, -errno, "cannot read %s: %s", path,
			    strerror(errno));
	randombytes_buf(key, LABEL_KEY_BYTES);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchown(fd, identity->uid, identity->gid) ||
	    write(fd, key, LABEL_KEY_BYTES) != LABEL_KEY_BYTES || fsync(fd) ||
	    rename(fresh, path)) {
		int err = -errno;

		if (fd >= 0)
			close(fd);
		unlink(fresh);
		return fail(ret_error, error_size, err, "cannot write %s: %s", path,
			    strerror(-err));
	}
	close(fd);
	memcpy(ret_key, key, LABEL_KEY_BYTES);
	return 0;
}

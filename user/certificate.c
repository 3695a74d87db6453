// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Appends a file to text; returns its length or a negative errno. */
static int append(const char *path, char *text, size_t room, char *error, size_t error_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	size_t len = 0;
	ssize_t n = 1;

	while (fd >= 0 && n > 0 && len < room) {
		n = read(fd, text + len, room - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (fd < 0 || n < 0)
		err = -errno;
	else if (len == room)
		err = -EFBIG;
	else if (!len)
		err = -ENODATA;
	if (fd >= 0)
		close(fd);
	if (!err)
		return (int)len;
	snprintf(error, error_size, "cannot read %s: %s%s", path, strerror(-err),
		 err == -EFBIG ? " (certificates and key together take at most 20 kB)" : "");
	return err;
}

int certificate_read(const char *chain, const char *key, struct certificate *ret_certificate,
		     char *ret_error, size_t error_size)
{
	struct certificate *c = ret_certificate;
	int chain_len, key_len;

	chain_len = append(chain, c->text, sizeof(c->text), ret_error, error_size);
	if (chain_len < 0)
		return chain_len;
	key_len = append(key, c->text + chain_len, sizeof(c->text) - (size_t)chain_len, ret_error,
			 error_size);
	if (key_len < 0)
		return key_len;
	c->chain_len = (uint32_t)chain_len;
	c->key_len = (uint32_t)key_len;
	return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool certificate_changed(const char *chain, const char *key, struct certificate_seen *seen)
{
	struct certificate_seen now = {0};
	bool changed;

	if (stat(chain, &now.of[0]) || stat(key, &now.of[1]))
		return false;
	changed = !is_same(&now.of[0], &seen->of[0]) || !is_same(&now.of[1], &seen->of[1]);
	*seen = now;
	return changed;
}

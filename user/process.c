// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "process.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Returns the length; 0 when it cannot be read. */
static size_t read_file(pid_t pid, const char *name, char *to, size_t size)
{
	char path[64];
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, to, size);
		close(fd);
	}
	return len > 0 ? (size_t)len : 0;
}

void process_read(pid_t pid, struct process *ret_process)
{
	struct process process = {0};
	char path[64], text[8192];
	ssize_t linked;
	size_t len;

	label_unit((struct text){text, read_file(pid, "cgroup", text, sizeof(text))}, process.unit);
	len = read_file(pid, "comm", text, sizeof(text));
	process.gone = !len;
	if (len) /* with a line end; a process may name itself as it likes */
		label_clean((struct text){text, len - 1}, process.comm, sizeof(process.comm));
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	linked = readlink(path, text, PATH_MAX);
	if (linked > 0)
		label_clean((struct text){text, (size_t)linked}, process.executable,
			    sizeof(process.executable));
	*ret_process = process;
}

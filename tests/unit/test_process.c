// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* process.c: what is known of a process that is there, and of one that is not. */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "check.h"
#include "process.h"

static void our_own_process(void **state)
{
	struct process process;
	char path[512] = "";

	(void)state;
	assert_int_equal(prctl(PR_SET_NAME, "fifteen-letters"), 0);
	process_read(getpid(), &process);
	assert_string_equal(process.comm, "fifteen-letters");
	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	assert_int_equal(strncmp(process.executable, path, strlen(process.executable)), 0);
	assert_true(strlen(process.executable) > 0);
	assert_true(strlen(process.unit) < sizeof(process.unit));
}

static void a_process_that_is_gone(void **state)
{
	struct process process;

	(void)state;
	memset(&process, 'x', sizeof(process));
	process_read(0x7fffffff, &process);
	assert_string_equal(process.comm, "");
	assert_string_equal(process.unit, "");
	assert_string_equal(process.executable, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("name and executable of a running process", our_own_process),
		SENTENCE("nothing of a process that is gone", a_process_that_is_gone),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}

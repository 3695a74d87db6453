/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* cmocka in the order in which it wants its includes, and test names that are sentences. */
#ifndef WSVITALS_TESTS_CHECK_H
#define WSVITALS_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SENTENCE(text, fn)                                                                         \
	{                                                                                          \
		.name = (text), .test_func = (fn)                                                  \
	}
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * One test per row of a table whose first member is the row's sentence, then the tests that are
 * functions. Returns what main() returns.
 */
static inline int check_run(const char *group, CMUnitTestFunction row_fn, const void *rows,
			    size_t row_size, size_t nr_rows, const struct CMUnitTest *tests,
			    size_t nr_tests)
{
	struct CMUnitTest *all = calloc(nr_rows + nr_tests, sizeof(*all));
	int failed;

	if (!all)
		return EXIT_FAILURE;
	for (size_t i = 0; i < nr_rows; i++) {
		const char *row = (const char *)rows + i * row_size;

		all[i].name = *(const char *const *)row;
		all[i].test_func = row_fn;
		all[i].initial_state = (void *)(uintptr_t)row;
	}
	for (size_t i = 0; i < nr_tests; i++)
		all[nr_rows + i] = tests[i];
	failed = _cmocka_run_group_tests(group, all, nr_rows + nr_tests, NULL, NULL);
	free(all);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* An invariant of a fuzz target: says which one broke, then stops where the fuzzer sees it. */
#ifndef WSVITALS_TESTS_REQUIRE_H
#define WSVITALS_TESTS_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif

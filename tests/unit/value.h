/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* One value more in a distribution of a point, as the agent would have counted it: for tests and fillers. */
#ifndef WSVITALS_TESTS_VALUE_H
#define WSVITALS_TESTS_VALUE_H

#include "point.h"

static inline void value_add(struct point *point, enum point_hist which, uint64_t value)
{
	point->hist[which].sum += value;
	point->hist[which].bucket[hist_bucket(value)]++;
	if (value < point->min[which])
		point->min[which] = value;
	if (value > point->max[which])
		point->max[which] = value;
}

#endif

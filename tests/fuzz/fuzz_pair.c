// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * pair.h: the books of SPEC 2 balance at every step, and every message has the fate that the model
 * gives it. Four bytes are a step: what, how many, how many ended, how long after the last one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pair_model.h"
#include "pair_steps.h"
#include "require.h"

static struct pair_model model;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pair_books books = {0};
	struct pair pair = {0};
	uint64_t now = 0;

	if (size > 4 * PAIR_STEPS)
		size = 4 * PAIR_STEPS;
	pair_model_reset(&model);
	for (; size >= 4; data += 4, size -= 4) {
		struct pair_step s = pair_step_read(data, model.sending);
		struct pair_tally t = {0};

		now += s.pause_ns;
		model.nr_took = 0;
		switch (s.kind) {
		case PAIR_STEP_RECEIVED:
			pair_received(&pair, &t, s.n, now);
			pair_touch(&pair, now);
			pair_model_received(&model, s.n, now);
			books.received += s.n;
			break;
		case PAIR_STEP_SENT:
			pair_sent(&pair, &t, s.n, s.ended, now);
			pair_touch(&pair, now);
			pair_model_sent(&model, s.n, s.ended, now);
			books.sent += s.ended;
			break;
		case PAIR_STEP_TOUCH:
			pair_touch(&pair, now);
			model.last_ns = now;
			break;
		default:
			pair_closed(&pair, &t);
			pair_model_closed(&model);
			break;
		}
		pair_books_add(&books, &t);
		REQUIRE(pair_model_differs(&model, &books, &pair, &t) == NULL);
	}
	return 0;
}

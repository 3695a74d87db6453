// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* accept.h: whether an accept belongs to a key, against another implementation's SHA-1 and base64. */
#include "check.h"

#include "accept.h"
#include "accept_vectors.h"
#include "guard.h"

static struct guard keys, accepts;

static int fits(const char *key, const char *accept)
{
	struct accept_work work;

	memset(&work, 0xee, sizeof(work)); /* scratch: what is in it before does not matter */
	return accept_fits(&work, guard_copy(&keys, key, ACCEPT_KEY_LEN),
			   guard_copy(&accepts, accept, ACCEPT_LEN));
}

static void example_of_the_rfc(void **state)
{
	(void)state;
	assert_int_equal(fits("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), 1);
}

static void vectors_of_another_implementation(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(accept_vectors); i++)
		if (!fits(accept_vectors[i].key, accept_vectors[i].accept))
			fail_msg("key %s, accept %s", accept_vectors[i].key,
				 accept_vectors[i].accept);
}

static void another_keys_accept(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(accept_vectors); i++)
		for (size_t j = 0; j < COUNT(accept_vectors); j++)
			assert_int_equal(fits(accept_vectors[i].key, accept_vectors[j].accept),
					 i == j);
}

static void any_other_bit(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < 8 * ACCEPT_LEN; bit++) {
		char accept[ACCEPT_LEN + 1];

		memcpy(accept, accept_vectors[0].accept, sizeof(accept));
		accept[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(fits(accept_vectors[0].key, accept), 0);
	}
	for (size_t bit = 0; bit < 8 * ACCEPT_KEY_LEN; bit++) {
		char key[ACCEPT_KEY_LEN + 1];

		memcpy(key, accept_vectors[0].key, sizeof(key));
		key[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(fits(key, accept_vectors[0].accept), 0);
	}
}

static void all_of_base64(void **state)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(accept_base64(i), alphabet[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("the example of RFC 6455 1.3 fits", example_of_the_rfc),
		SENTENCE("50 vectors of another implementation fit",
			 vectors_of_another_implementation),
		SENTENCE("the accept of another key does not fit", another_keys_accept),
		SENTENCE("one other bit, in key or accept, does not fit", any_other_bit),
		SENTENCE("base64 has the right 64 letters", all_of_base64),
	};

	keys = guard_new(64);
	accepts = guard_new(64);
	return check_run("accept", NULL, NULL, 0, 0, tests, COUNT(tests));
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* channel.c, connection.c: tables that strangers fill, and that stay bounded and right. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "check.h"
#include "connection.h"
#include "random.h"

static const uint8_t key[LABEL_KEY_BYTES] = {42};

__attribute__((format(printf, 3, 4))) static uint16_t place(struct channels *c, uint16_t server,
							    const char *format, ...)
{
	char path[256];
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	return channels_place(c, server, (struct text){path, strlen(path)});
}

static void a_path_has_one_slot(void **state)
{
	struct channels *c = channels_new(key);
	uint16_t a = place(c, 2, "/a"), b = place(c, 2, "/b");

	(void)state;
	assert_true(a >= CHANNEL_FIRST && b >= CHANNEL_FIRST && a != b);
	assert_int_equal(place(c, 2, "/a"), a);
	assert_string_equal(channels_name(c, a), "/a");
	assert_true(place(c, 3, "/a") != a); /* of another server */
	assert_int_equal(place(c, 2, "%s", ""), CHANNEL_OTHER);
	assert_int_equal(place(c, 2, "other"), CHANNEL_OTHER); /* one name, one channel */
	assert_string_equal(channels_name(c, CHANNEL_OTHER), "other");
	assert_string_equal(channels_name(c, MAX_CHANNELS - 1), "other");
	channels_free(c);
}

static void ids_stay_until_there_are_200_channels_then_fold(void **state)
{
	struct channels *c = channels_new(key);
	uint16_t folded;

	(void)state;
	for (int i = 0; i < CHANNELS_PLAIN; i++)
		assert_true(place(c, 2, "/room/%d", i) != CHANNEL_OTHER);
	folded = place(c, 2, "/room/%d", 100000);
	assert_string_equal(channels_name(c, folded), "/room/{id}");
	assert_int_equal(place(c, 2, "/room/%d", 100001), folded);
	/* what has a name keeps it */
	assert_string_equal(channels_name(c, place(c, 2, "/room/7")), "/room/7");
	/* a new path without an id still has a place of its own */
	assert_string_equal(channels_name(c, place(c, 2, "/lobby")), "/lobby");
	channels_free(c);
}

static void a_million_paths_harm_no_neighbour(void **state)
{
	struct channels *c = channels_new(key);
	unsigned others = 0;

	(void)state;
	for (int i = 0; i < 1000000; i++)
		others += place(c, 2, "/x%d", i) == CHANNEL_OTHER;
	assert_int_equal(others, 1000000 - CHANNELS_PLAIN - CHANNELS_FOLDED);
	assert_string_equal(channels_name(c, place(c, 3, "/chat")), "/chat");
	channels_free(c);
}

static void many_servers_do_not_exceed_the_kernels_slots(void **state)
{
	struct channels *c = channels_new(key);
	uint16_t slot, highest = 0;

	(void)state;
	for (uint16_t server = 0; server < MAX_SERVERS; server++)
		for (int i = 0; i < 300; i++) {
			slot = place(c, server, "/x%d", i);
			highest = slot > highest ? slot : highest;
		}
	assert_int_equal(highest, MAX_CHANNELS - 1);
	channels_free(c);
}

static void hashes_are_learned_once_and_bounded(void **state)
{
	struct channels *c = channels_new(key);
	struct channel_key path = {.path_hash = 99, .server = 2};
	unsigned learned = 1;

	(void)state;
	assert_int_equal(channels_lookup(c, &path), CHANNEL_NONE);
	assert_true(channels_learn(c, &path, 5));
	assert_false(channels_learn(c, &path, 5));
	assert_int_equal(channels_lookup(c, &path), 5);
	path.server = 3;
	assert_int_equal(channels_lookup(c, &path), CHANNEL_NONE);
	for (uint64_t i = 0; i < 100000; i++) {
		path.path_hash = i;
		learned += channels_learn(c, &path, 6);
	}
	assert_int_equal(learned, CHANNELS_PATHS);
	channels_free(c);
}

static void a_long_path_is_cut_and_clean(void **state)
{
	struct channels *c = channels_new(key);
	char path[500];
	uint16_t slot;

	(void)state;
	memset(path, 0x1b, sizeof(path));
	slot = channels_place(c, 2, (struct text){path, sizeof(path)});
	assert_true(strlen(channels_name(c, slot)) <= LABEL_MAX);
	assert_null(strchr(channels_name(c, slot), 0x1b));
	channels_free(c);
}

/* --- connections --- */

static void what_is_put_is_found_until_it_is_removed(void **state)
{
	struct connections *c = connections_new();

	(void)state;
	assert_null(connections_find(c, 5));
	assert_int_equal(connections_put(c, &(struct connection){.id = 5, .user = 1}), 0);
	assert_int_equal(connections_put(c, &(struct connection){.id = 5, .user = 2}), 0);
	assert_int_equal(connections_count(c), 1);
	assert_int_equal(connections_find(c, 5)->user, 2);
	connections_remove(c, 6);
	connections_remove(c, 0);
	assert_int_equal(connections_count(c), 1);
	connections_remove(c, 5);
	assert_null(connections_find(c, 5));
	assert_int_equal(connections_count(c), 0);
	assert_int_equal(connections_put(c, &(struct connection){.id = 0}), -EINVAL);
	assert_null(connections_find(c, 0));
	connections_free(c);
}

/* Against an array of flags: every id of a small range is there exactly when it should be. */
static void coming_and_going_loses_nobody(void **state)
{
	const uint64_t ids = 5000;
	struct connections *c = connections_new();
	static bool there[5001];
	uint64_t seed = 5;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint64_t id = 1 + random_below(&seed, ids);

		if (random_below(&seed, 100) < 55u - (unsigned)(i / 50000) * 5) {
			assert_int_equal(
				connections_put(c, &(struct connection){.id = id, .user = id}), 0);
			count += !there[id];
			there[id] = true;
		} else {
			connections_remove(c, id);
			count -= there[id];
			there[id] = false;
		}
		assert_int_equal(connections_count(c), count);
	}
	for (uint64_t id = 1; id <= ids; id++) {
		struct connection *found = connections_find(c, id);

		assert_int_equal(found != NULL, there[id]);
		if (found)
			assert_int_equal(found->user, id);
	}
	connections_free(c);
}

static void a_sweep_keeps_what_the_walk_saw(void **state)
{
	struct connections *c = connections_new();

	(void)state;
	for (uint64_t id = 1; id <= 10000; id++)
		connections_put(c, &(struct connection){.id = id, .seen = id % 3 == 0});
	connections_sweep(c, 1);
	assert_int_equal(connections_count(c), 3333);
	for (uint64_t id = 1; id <= 10000; id++)
		assert_int_equal(connections_find(c, id) != NULL, id % 3 == 0);
	connections_free(c);
}

static void a_full_table_says_so(void **state)
{
	struct connections *c = connections_new();

	(void)state;
	for (uint64_t id = 1; id <= CONNECTIONS_MAX; id++)
		assert_int_equal(connections_put(c, &(struct connection){.id = id}), 0);
	assert_int_equal(connections_put(c, &(struct connection){.id = CONNECTIONS_MAX + 1}),
			 -ENOSPC);
	assert_int_equal(connections_put(c, &(struct connection){.id = 7}), 0); /* known already */
	connections_remove(c, 8);
	assert_int_equal(connections_put(c, &(struct connection){.id = CONNECTIONS_MAX + 1}), 0);
	connections_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("a path has one slot, per server", a_path_has_one_slot),
		SENTENCE("ids stay until there are 200 channels, then fold",
			 ids_stay_until_there_are_200_channels_then_fold),
		SENTENCE("a million paths harm no neighbour", a_million_paths_harm_no_neighbour),
		SENTENCE("many servers do not exceed the kernel's slots",
			 many_servers_do_not_exceed_the_kernels_slots),
		SENTENCE("path hashes are learned once, and bounded",
			 hashes_are_learned_once_and_bounded),
		SENTENCE("a long path of control bytes is cut and clean",
			 a_long_path_is_cut_and_clean),
		SENTENCE("what is put is found until it is removed",
			 what_is_put_is_found_until_it_is_removed),
		SENTENCE("coming and going loses nobody", coming_and_going_loses_nobody),
		SENTENCE("a sweep keeps what the walk saw", a_sweep_keeps_what_the_walk_saw),
		SENTENCE("a full table says so", a_full_table_says_so),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("channel", NULL, NULL, 0, 0, tests, COUNT(tests));
}

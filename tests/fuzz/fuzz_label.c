// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * label.c, channel.c: whatever strangers send, names are well-formed UTF-8 without a character that
 * a terminal obeys, within their bound, the same when they are made again, and no more changed than
 * they must be. Input: size of the label; a server (bit 7: that has no plain channel left); a text,
 * whose lines are also paths of channels.
 */
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "label.h"
#include "require.h"

#define PATHS_MAX 32

static const uint8_t key[LABEL_KEY_BYTES] = {42};

/* --- characters --- */

/* Bytes that this character takes in UTF-8 (RFC 3629 3), 0 if it is none. */
static size_t encode(uint32_t c, uint8_t bytes[4])
{
	if (c < 0x80) {
		bytes[0] = (uint8_t)c;
		return 1;
	}
	bytes[0] = c < 0x800 ? 0xc0 | c >> 6 : c < 0x10000 ? 0xe0 | c >> 12 : 0xf0 | (c >> 18 & 7);
	if (c < 0x800) {
		bytes[1] = 0x80 | (c & 63);
		return 2;
	}
	bytes[1] = 0x80 | (c >> (c < 0x10000 ? 6 : 12) & 63);
	bytes[2] = 0x80 | (c >> (c < 0x10000 ? 0 : 6) & 63);
	bytes[3] = 0x80 | (c & 63);
	if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	return c < 0x10000 ? 3 : 4;
}

/* Length of the character at the front; 0 if there is none, or its bits do not give it again. */
static size_t decode(struct text text, uint32_t *ret_char)
{
	const uint8_t *s = (const uint8_t *)text.at;
	size_t len = text.len == 0 ? 0 : s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c = len == 0 ? 0 : s[0] & (0xff >> (len == 1 ? 0 : len + 1));
	uint8_t again[4];

	if (len == 0 || len > text.len)
		return 0;
	for (size_t i = 1; i < len; i++)
		c = c << 6 | (s[i] & 63);
	if (encode(c, again) != len || memcmp(again, s, len) != 0)
		return 0;
	*ret_char = c;
	return len;
}

/* General category Cc, line and paragraph separators, property Bidi_Control, and the BOM */
static bool is_unsafe(uint32_t c)
{
	static const uint32_t others[] = {0x061c, 0x200e, 0x200f, 0x2028, 0x2029,
					  0x202a, 0x202b, 0x202c, 0x202d, 0x202e,
					  0x2066, 0x2067, 0x2068, 0x2069, 0xfeff};

	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return true;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (c == others[i])
			return true;
	return false;
}

static void require_clean(const char *label, size_t size)
{
	size_t len = strnlen(label, size);

	REQUIRE(len < size);
	for (size_t at = 0, step; at < len; at += step) {
		uint32_t c;

		step = decode((struct text){label + at, len - at}, &c);
		REQUIRE(step && !is_unsafe(c));
	}
}

/* --- names of text --- */

/* In memory that ends where the label must end. */
static char *cleaned(struct text text, size_t size)
{
	char *label = malloc(size);

	REQUIRE(label);
	memset(label, 0x1b, size);
	REQUIRE(label_clean(text, label, size) == strnlen(label, size));
	require_clean(label, size);
	return label;
}

/* Every character is either itself or U+FFFD; what does not fit is cut before it. */
static void require_model(struct text text, const char *label, size_t size)
{
	size_t used = 0;

	while (text.len) {
		const char *from = text.at;
		uint32_t c = 0;
		size_t len = decode(text, &c), step = len ? len : 1;

		if (!len || is_unsafe(c)) {
			from = "\xef\xbf\xbd";
			len = 3;
		}
		if (used + len > size - 1)
			break;
		REQUIRE(!memcmp(label + used, from, len));
		used += len;
		text = (struct text){text.at + step, text.len - step};
	}
	REQUIRE(!label[used]);
}

static void clean_any(struct text text, size_t size)
{
	char *label = cleaned(text, size), *whole = cleaned(text, 3 * text.len + 1);
	char *again = cleaned((struct text){label, strlen(label)}, size);

	require_model(text, label, size);
	require_model(text, whole, 3 * text.len + 1);
	REQUIRE(!strcmp(label, again));
	REQUIRE(!strncmp(label, whole, strlen(label)));
	free(label);
	free(whole);
	free(again);
}

static char *folded(const char *path, size_t size)
{
	char *fold = malloc(size);

	REQUIRE(fold);
	memset(fold, 0x1b, size);
	REQUIRE(label_fold(path, fold, size) == strnlen(fold, size));
	require_clean(fold, size);
	return fold;
}

/* Every segment is itself or {id}, which only what begins like an id can become. */
static void require_fold(const char *path, const char *fold)
{
	for (;;) {
		size_t len = strcspn(path, "/"), folded_len = strcspn(fold, "/");
		bool same = len == folded_len && !memcmp(path, fold, len);

		REQUIRE(same || (folded_len == 4 && !memcmp(fold, "{id}", 4)));
		REQUIRE(same || strcspn(path, "0123456789abcdefABCDEF") == 0);
		path += len;
		fold += folded_len;
		REQUIRE(*path == *fold);
		if (!*path)
			return;
		path++;
		fold++;
	}
}

static void fold_any(struct text text, size_t size)
{
	char *label = cleaned(text, LABEL_SIZE), *fold = folded(label, size);
	char *again = folded(fold, size), *room = folded(label, 4 * LABEL_SIZE);

	REQUIRE(!strcmp(fold, again));
	REQUIRE(!strncmp(fold, room, strlen(fold)));
	require_fold(label, room);
	free(label);
	free(fold);
	free(again);
	free(room);
}

static void server_any(struct text text, uint16_t port)
{
	char unit[LABEL_UNIT_SIZE], label[LABEL_SIZE];
	char *comm = malloc(COMM_LEN), *name;

	REQUIRE(comm);
	memset(comm, 0, COMM_LEN);
	memcpy(comm, text.at, text.len < COMM_LEN ? text.len : COMM_LEN);
	memset(unit, 0x1b, sizeof(unit));
	label_unit(text, unit);
	require_clean(unit, sizeof(unit));
	REQUIRE(!strchr(unit, '/'));
	memset(label, 0x1b, sizeof(label));
	label_server(comm, &(struct server_key){.port = port}, unit, label);
	require_clean(label, sizeof(label));
	/* nothing was cut */
	name = cleaned((struct text){comm, strnlen(comm, COMM_LEN)}, 3 * COMM_LEN + 1);
	REQUIRE(!strncmp(label, name, strlen(name)) && label[strlen(name)] == ':');
	REQUIRE(strtoul(label + strlen(name) + 1, NULL, 10) == port);
	REQUIRE(!strcmp(label + strlen(label) - strlen(unit), unit));
	free(name);
	free(comm);
}

/* Only two hierarchies count (cgroups(7)): "0::path" and "number:name=systemd:path". */
static void unit_any(struct text text)
{
	static const char *const begins[] = {"0::", ":name=systemd:"};
	char *lines = malloc(text.len + 1), unit[LABEL_UNIT_SIZE], same[LABEL_UNIT_SIZE];
	size_t len = 0;

	REQUIRE(lines);
	for (size_t at = 0, end; at < text.len; at = end) {
		size_t colon;

		for (end = at; end < text.len && text.at[end] != '\n'; end++)
			;
		for (colon = at; colon < end && text.at[colon] != ':'; colon++)
			;
		if ((end - at >= 3 && !memcmp(text.at + at, begins[0], 3)) ||
		    (end - colon >= 14 && !memcmp(text.at + colon, begins[1], 14))) {
			memcpy(lines + len, text.at + at, end - at);
			len += end - at;
			lines[len++] = '\n';
		}
		end += end < text.len;
	}
	label_unit(text, unit);
	label_unit((struct text){lines, len}, same);
	REQUIRE(!strcmp(unit, same));
	free(lines);
}

/* --- addresses and users --- */

static void address_any(struct text text)
{
	uint8_t addr[16], again[16];
	char shown[LABEL_ADDRESS_SIZE];

	memset(addr, 0x5a, sizeof(addr));
	if (!label_parse_address(text, addr)) {
		for (size_t i = 0; i < sizeof(addr); i++)
			REQUIRE(addr[i] == 0x5a);
		memcpy(addr, text.at, text.len < sizeof(addr) ? text.len : sizeof(addr));
	} else if (!memchr(text.at, ':', text.len) && !memchr(text.at, '[', text.len)) {
		for (size_t i = 0; i < text.len; i++)
			REQUIRE(text.at[i] == '.' || (text.at[i] >= '0' && text.at[i] <= '9'));
	}
	memset(shown, 0x1b, sizeof(shown));
	label_address(addr, shown);
	require_clean(shown, sizeof(shown));
	REQUIRE(strspn(shown, "0123456789abcdef:.") == strlen(shown));
	REQUIRE(label_parse_address((struct text){shown, strlen(shown)}, again));
	REQUIRE(!memcmp(addr, again, sizeof(addr)));
}

static void user_any(struct text text)
{
	static const uint8_t loopback[16] = {[15] = 1}, peer[16] = {0x20, 1, [15] = 9};
	uint64_t user = label_user(key, loopback, text), alone = label_user(key, peer, text);
	char shown[LABEL_USER_SIZE];
	uint8_t addr[16];

	label_user_text(user, shown);
	REQUIRE(strspn(shown, "0123456789abcdef") == 12 && !shown[12]);
	REQUIRE(strtoull(shown, NULL, 16) == user);
	REQUIRE(user == label_user(key, loopback, text));
	/* only a proxy of this host says who the client is, and it is the one who comes alone */
	REQUIRE(alone == label_user(key, peer, (struct text){0}));
	if (label_parse_address(text, addr))
		REQUIRE(user == label_user(key, addr, (struct text){0}));
	else if (!text.len)
		REQUIRE(user == label_user(key, loopback, (struct text){0}));
}

/* --- channels --- */

struct place {
	struct text path;
	uint16_t slot;
};

/* Takes all plain channels of a server. */
static void fill(struct channels *channels, uint16_t server)
{
	char path[] = "/fill-\x01\x01";

	for (int i = 0; i < CHANNELS_PLAIN; i++) {
		path[6] = (char)('!' + i / 14);
		path[7] = (char)('!' + i % 14);
		REQUIRE(channels_place(channels, server, (struct text){path, 8}) >= CHANNEL_FIRST);
	}
}

static void require_place(struct channels *channels, uint16_t server, const struct place *p,
			  bool full)
{
	const char *name = channels_name(channels, p->slot);
	char label[LABEL_SIZE];
	bool named = label_clean(p->path, label, sizeof(label)) && strcmp(label, "other") != 0;
	char *fold = folded(label, LABEL_SIZE);

	REQUIRE(p->slot >= CHANNEL_OTHER && p->slot < MAX_CHANNELS);
	REQUIRE(channels_place(channels, server, p->path) == p->slot);
	REQUIRE((p->slot == CHANNEL_OTHER) == !named); /* few paths: all have room */
	require_clean(name, LABEL_SIZE);
	if (!named)
		REQUIRE(!strcmp(name, "other"));
	else if (full && strncmp(label, "/fill-", 6) != 0)
		REQUIRE(!strcmp(name, fold));
	else
		REQUIRE(!strcmp(name, label) || (full && !strcmp(name, fold)));
	free(fold);
}

static void learn(struct channels *channels, uint16_t server, const struct place *places, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct channel_key path = {.path_hash = i * i, .server = server};

		REQUIRE(channels_lookup(channels, &path) == CHANNEL_NONE);
		REQUIRE(channels_learn(channels, &path, places[i].slot));
		REQUIRE(!channels_learn(channels, &path, CHANNEL_OTHER));
	}
	for (size_t i = 0; i < nr; i++) {
		struct channel_key path = {.path_hash = i * i, .server = server};

		REQUIRE(channels_lookup(channels, &path) == places[i].slot);
		path.server ^= 1;
		REQUIRE(channels_lookup(channels, &path) == CHANNEL_NONE);
	}
}

static void channels_any(struct text text, uint16_t server, bool full)
{
	struct channels *channels = channels_new(key);
	struct place places[PATHS_MAX];
	size_t nr = 0;

	REQUIRE(channels);
	if (full)
		fill(channels, server);
	for (size_t at = 0; at < text.len && nr < PATHS_MAX; nr++) {
		const char *end = memchr(text.at + at, '\n', text.len - at);
		size_t len = end ? (size_t)(end - text.at) - at : text.len - at;

		places[nr].path = (struct text){text.at + at, len};
		places[nr].slot = channels_place(channels, server, places[nr].path);
		at += len + 1;
	}
	for (size_t i = 0; i < nr; i++) {
		uint16_t slot = places[i].slot;

		require_place(channels, server, &places[i], full);
		for (size_t j = 0; j < i; j++) /* one name, one slot */
			REQUIRE((places[j].slot == slot) ==
				!strcmp(channels_name(channels, places[j].slot),
					channels_name(channels, slot)));
		if (slot != CHANNEL_OTHER)
			REQUIRE(channels_place(channels, server ^ 1, places[i].path) != slot);
	}
	learn(channels, server, places, nr);
	channels_free(channels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text text;
	char *copy;

	if (size < 2)
		return 0;
	REQUIRE(sodium_init() >= 0);
	copy = malloc(size - 2);
	REQUIRE(copy);
	memcpy(copy, data + 2, size - 2);
	text = (struct text){copy, size - 2};
	clean_any(text, 1 + data[0] % LABEL_SIZE);
	fold_any(text, 1 + data[0] % LABEL_SIZE);
	server_any(text, (uint16_t)(data[0] << 8 | data[1]));
	unit_any(text);
	address_any(text);
	user_any(text);
	channels_any(text, data[1] % MAX_SERVERS, data[1] >> 7);
	free(copy);
	return 0;
}

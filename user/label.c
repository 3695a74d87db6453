// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE /* memrchr */
#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "label.h"

_Static_assert(LABEL_KEY_BYTES == crypto_generichash_KEYBYTES, "key of the keyed hash");
_Static_assert(LABEL_ADDRESS_SIZE == INET6_ADDRSTRLEN, "room for any address");

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/*
 * Length of the well-formed character at the front (Unicode table 3-7: no overlong forms, no
 * surrogates, nothing above U+10FFFF), 0 if there is none.
 */
static size_t utf8_next(struct text text, uint32_t *ret_char)
{
	const uint8_t *s = (const uint8_t *)text.at;
	uint8_t low = 0x80, high = 0xbf; /* of the second byte */
	uint32_t c;
	size_t len;

	if (text.len == 0)
		return 0;
	if (s[0] < 0x80) {
		*ret_char = s[0];
		return 1;
	}
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		len = 2;
		c = s[0] & 0x1f;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		len = 3;
		c = s[0] & 0x0f;
		if (s[0] == 0xe0)
			low = 0xa0;
		else if (s[0] == 0xed)
			high = 0x9f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		len = 4;
		c = s[0] & 0x07;
		if (s[0] == 0xf0)
			low = 0x90;
		else if (s[0] == 0xf4)
			high = 0x8f;
	} else {
		return 0;
	}
	if (text.len < len || s[1] < low || s[1] > high)
		return 0;
	c = c << 6 | (s[1] & 0x3f);
	for (size_t i = 2; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	*ret_char = c;
	return len;
}

/* Characters that a terminal obeys, that end a line, or that make a line read differently. */
static bool char_is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

size_t label_clean(struct text text, char *ret_label, size_t size)
{
	size_t used = 0;

	while (text.len > 0) {
		const char *from = text.at;
		uint32_t c = 0;
		size_t len = utf8_next(text, &c);
		size_t step = len ? len : 1;

		if (len == 0 || char_is_unsafe(c)) {
			from = replacement;
			len = sizeof(replacement) - 1;
		}
		if (used + len >= size)
			break;
		memcpy(ret_label + used, from, len);
		used += len;
		text.at += step;
		text.len -= step;
	}
	ret_label[used] = '\0';
	return used;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_uuid(const char *s, size_t len)
{
	if (len != 36)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !is_hex(s[i]))
			return false;
	}
	return true;
}

static bool segment_is_id(const char *s, size_t len)
{
	bool digits = len > 0, hex = len >= 12;

	for (size_t i = 0; i < len && (digits || hex); i++) {
		digits = digits && is_digit(s[i]);
		hex = hex && is_hex(s[i]);
	}
	return digits || hex || is_uuid(s, len);
}

size_t label_fold(const char *path, char *ret_path, size_t size)
{
	size_t used = 0;

	while (*path) {
		size_t len = strcspn(path, "/");
		const char *from = path;
		size_t take = len;

		if (len == 0) { /* the slash itself */
			len = take = 1;
		} else if (segment_is_id(path, len)) {
			from = "{id}";
			take = 4;
		}
		if (used + take >= size)
			break;
		memcpy(ret_path + used, from, take);
		used += take;
		path += len;
	}
	ret_path[used] = '\0';
	return used;
}

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

bool label_is_loopback(const uint8_t addr[16])
{
	static const uint8_t none[16];
	static const uint8_t v6_loopback[16] = {[15] = 1};

	if (memcmp(addr, v4_mapped, sizeof(v4_mapped)) == 0)
		return addr[12] == 127;
	return memcmp(addr, v6_loopback, sizeof(v6_loopback)) == 0 ||
	       memcmp(addr, none, sizeof(none)) == 0;
}

void label_address(const uint8_t addr[16], char ret_text[LABEL_ADDRESS_SIZE])
{
	bool v4 = memcmp(addr, v4_mapped, sizeof(v4_mapped)) == 0;

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr + 12 : addr, ret_text, LABEL_ADDRESS_SIZE);
}

bool label_parse_address(struct text text, uint8_t ret_addr[16])
{
	char copy[LABEL_ADDRESS_SIZE];
	uint8_t addr[16];
	const char *end;

	if (text.len > 0 && text.at[0] == '[') {
		end = memchr(text.at, ']', text.len);
		if (!end)
			return false;
		text = (struct text){text.at + 1, (size_t)(end - text.at) - 1};
	} else if (text.len > 0) {
		end = memchr(text.at, ':', text.len);
		/* One colon: a port. More: v6 without brackets. */
		if (end && end == memrchr(text.at, ':', text.len))
			text.len = (size_t)(end - text.at);
	}
	if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.at, '\0', text.len))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';

	memcpy(addr, v4_mapped, sizeof(v4_mapped));
	if (inet_pton(AF_INET, copy, addr + 12) != 1 && inet_pton(AF_INET6, copy, addr) != 1)
		return false;
	memcpy(ret_addr, addr, sizeof(addr));
	return true;
}

uint64_t label_user(const uint8_t key[LABEL_KEY_BYTES], const uint8_t addr[16],
		    struct text forwarded_for)
{
	uint8_t hash[crypto_generichash_BYTES_MIN], forwarded[16];
	const void *value = addr;
	size_t len = 16;
	uint64_t user = 0;

	if (forwarded_for.len > 0 && label_is_loopback(addr)) {
		/* As bytes, so that a client is the same one with and without the proxy. */
		if (label_parse_address(forwarded_for, forwarded)) {
			value = forwarded;
		} else {
			value = forwarded_for.at;
			len = forwarded_for.len;
		}
	}
	crypto_generichash(hash, sizeof(hash), value, len, key, LABEL_KEY_BYTES);
	for (int i = 0; i < 6; i++)
		user = user << 8 | hash[i];
	return user;
}

void label_user_text(uint64_t user, char ret_text[LABEL_USER_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < LABEL_USER_SIZE - 1; i++)
		ret_text[i] = digits[user >> (44 - 4 * i) & 0xf];
	ret_text[LABEL_USER_SIZE - 1] = '\0';
}

/* Bytes of a label that a path may take, so that room is left for the unit. */
#define UNIX_LABEL 64

void label_server(const char comm[COMM_LEN], const struct server_key *key, const char *unit,
		  char ret_label[LABEL_SIZE])
{
	char path[UNIX_LABEL];

	/* A name of 15 bytes may become 15 replacement characters. */
	char name[3 * COMM_LEN + 1];

	label_clean((struct text){comm, strnlen(comm, COMM_LEN)}, name, sizeof(name));
	if (key->path[0]) {
		label_clean((struct text){key->path, strnlen(key->path, UNIX_PATH)}, path,
			    sizeof(path));
		snprintf(ret_label, LABEL_SIZE, "%s:%s%s%s", name, path, *unit ? "@" : "", unit);
		return;
	}
	snprintf(ret_label, LABEL_SIZE, "%s:%u%s%s", name, key->port, *unit ? "@" : "", unit);
}

/* A container id: 64 hex digits, alone or between other characters ("docker-<id>.scope"). */
static bool find_container(struct text part, struct text *ret_id)
{
	size_t run = 0;

	for (size_t i = 0; i <= part.len; i++) {
		if (i < part.len && is_hex(part.at[i])) {
			run++;
			continue;
		}
		if (run == 64) {
			*ret_id = (struct text){part.at + i - run, 12};
			return true;
		}
		run = 0;
	}
	return false;
}

static bool text_ends_with(struct text text, const char *end)
{
	size_t len = strlen(end);

	return text.len > len && memcmp(text.at + text.len - len, end, len) == 0;
}

static bool text_begins_with(struct text text, const char *begin)
{
	size_t len = strlen(begin);

	return text.len >= len && memcmp(text.at, begin, len) == 0;
}

/* From the innermost part outwards: a service may have cgroups of its own below it. */
static bool path_unit(struct text path, char ret_unit[LABEL_UNIT_SIZE])
{
	while (path.len > 0) {
		const char *slash = memrchr(path.at, '/', path.len);
		size_t begin = slash ? (size_t)(slash - path.at) + 1 : 0;
		struct text part = {path.at + begin, path.len - begin}, id;

		if (find_container(part, &id)) {
			label_clean(id, ret_unit, LABEL_UNIT_SIZE);
			return true;
		}
		/* user@1000.service holds a whole login, not one server. */
		if (text_ends_with(part, ".service") && !text_begins_with(part, "user@")) {
			label_clean(part, ret_unit, LABEL_UNIT_SIZE);
			return true;
		}
		path.len = slash ? (size_t)(slash - path.at) : 0;
	}
	return false;
}

void label_unit(struct text cgroup, char ret_unit[LABEL_UNIT_SIZE])
{
	struct text unified = {0}, named = {0};

	while (cgroup.len > 0) {
		const char *end = memchr(cgroup.at, '\n', cgroup.len);
		size_t len = end ? (size_t)(end - cgroup.at) : cgroup.len;
		struct text line = {cgroup.at, len}, rest = {0};
		const char *colon = memchr(line.at, ':', line.len);

		if (colon) /* the first one: paths may have more */
			rest = (struct text){colon, line.len - (size_t)(colon - line.at)};
		if (text_begins_with(line, "0::"))
			unified = (struct text){line.at + 3, line.len - 3};
		else if (text_begins_with(rest, ":name=systemd:"))
			named = (struct text){rest.at + 14, rest.len - 14};
		cgroup.at += end ? len + 1 : len;
		cgroup.len -= end ? len + 1 : len;
	}
	/* Where both hierarchies are mounted the unified one may be empty ("/"). */
	if (!path_unit(unified, ret_unit) && !path_unit(named, ret_unit))
		ret_unit[0] = '\0';
}

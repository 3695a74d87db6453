// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* label.c: names that are clean, short, stable and say no more than they should. */
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "guard.h"
#include "label.h"

#define FFFD "\xef\xbf\xbd"
#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum what { CLEAN, FOLD, UNIT, ADDRESS };

struct row {
	const char *sentence;
	enum what what;
	const char *in, *out;
};

static const struct row rows[] = {
	{"plain text stays", CLEAN, "going away", "going away"},
	{"letters of the world stay", CLEAN, "żółw 亀 🐢", "żółw 亀 🐢"},
	{"an escape sequence loses its escape", CLEAN, "\x1b[31mred", FFFD "[31mred"},
	{"line ends and tabs go", CLEAN, "a\nb\tc\rd", "a" FFFD "b" FFFD "c" FFFD "d"},
	{"DEL and C1 go", CLEAN, "a\x7f\xc2\x9b", "a" FFFD FFFD},
	{"characters that turn a line around go", CLEAN,
	 "a\xe2\x80\xae"
	 "b\xe2\x81\xa6",
	 "a" FFFD "b" FFFD},
	{"the Arabic letter mark goes", CLEAN, "\xd8\x9c", FFFD},
	{"line separators go", CLEAN,
	 "a\xe2\x80\xa8"
	 "b",
	 "a" FFFD "b"},
	{"a byte that is no UTF-8 is replaced alone", CLEAN,
	 "a\xff"
	 "b",
	 "a" FFFD "b"},
	{"an overlong form is no UTF-8", CLEAN, "\xc0\xaf", FFFD FFFD},
	{"a surrogate is no UTF-8", CLEAN, "\xed\xa0\x80", FFFD FFFD FFFD},
	{"above U+10FFFF is no UTF-8", CLEAN, "\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD},
	{"a character that was cut is replaced", CLEAN, "a\xe2\x82", "a" FFFD FFFD},
	{"quotes and markup are only text", CLEAN, "\"<b>\\", "\"<b>\\"},

	{"numbers fold", FOLD, "/room/42/", "/room/{id}/"},
	{"UUIDs fold", FOLD, "/u/123e4567-e89b-12d3-a456-426614174000", "/u/{id}"},
	{"almost a UUID stays", FOLD, "/u/123e4567-e89b-12d3-a456-42661417400",
	 "/u/123e4567-e89b-12d3-a456-42661417400"},
	{"hex of 12 folds", FOLD, "/x/deadBEEF0123/y", "/x/{id}/y"},
	{"hex of 11 stays", FOLD, "/x/deadbeef012", "/x/deadbeef012"},
	{"11 digits fold", FOLD, "/x/12345678901", "/x/{id}"},
	{"words stay", FOLD, "/ws/chat-2/v1", "/ws/chat-2/v1"},
	{"several fold", FOLD, "/1/a/2", "/{id}/a/{id}"},
	{"slashes stay", FOLD, "//1//", "//{id}//"},
	{"the root stays", FOLD, "/", "/"},

	{"a service", UNIT, "0::/system.slice/chat.service\n", "chat.service"},
	{"a service with a cgroup of its own", UNIT, "0::/system.slice/chat.service/worker\n",
	 "chat.service"},
	{"a template instance", UNIT, "0::/system.slice/system-ws.slice/ws@8000.service\n",
	 "ws@8000.service"},
	{"docker with systemd", UNIT, "0::/system.slice/docker-" ID64 ".scope\n", "0123456789ab"},
	{"podman", UNIT, "0::/machine.slice/libpod-" ID64 ".scope/container\n", "0123456789ab"},
	{"containerd in Kubernetes", UNIT,
	 "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID64 ".scope\n", "0123456789ab"},
	{"containerd with colons", UNIT,
	 "0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:" ID64
	 "\n",
	 "0123456789ab"},
	{"Kubernetes without systemd", UNIT, "0::/kubepods/burstable/pod1/" ID64 "\n",
	 "0123456789ab"},
	{"docker in the first hierarchy", UNIT,
	 "12:pids:/docker/" ID64 "\n1:name=systemd:/docker/" ID64 "\n0::/\n", "0123456789ab"},
	{"a path that holds the name of a hierarchy is a path", UNIT,
	 "3:cpu:/x:name=systemd:/system.slice/a.service\n0::/\n", ""},
	{"the named hierarchy when the unified one says nothing", UNIT,
	 "3:cpu:/x.service\n1:name=systemd:/system.slice/a.service\n0::/\n", "a.service"},
	{"the unified one first", UNIT,
	 "1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n", "b.service"},
	{"a controller's path is not looked at", UNIT, "3:cpu:/system.slice/a.service\n", ""},
	{"a user's service", UNIT,
	 "0::/user.slice/user-1000.slice/user@1000.service/app.slice/ws.service\n", "ws.service"},
	{"a user's session manager is no unit", UNIT,
	 "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", ""},
	{"a login session is none", UNIT, "0::/user.slice/user-0.slice/session-3.scope\n", ""},
	{"init is none", UNIT, "0::/init.scope\n", ""},
	{"the root is none", UNIT, "0::/\n", ""},
	{"nothing at all is none", UNIT, "", ""},
	{"63 hex digits are no container", UNIT,
	 "0::/docker-1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde.scope\n", ""},
	{"a unit from a stranger is cleaned", UNIT, "0::/a\x1b.service\n", "a" FFFD ".service"},

	{"v4", ADDRESS, "192.0.2.7", "192.0.2.7"},
	{"v4 with a port", ADDRESS, "192.0.2.7:1234", "192.0.2.7"},
	{"v6", ADDRESS, "2001:DB8::1", "2001:db8::1"},
	{"v6 in brackets", ADDRESS, "[2001:db8::1]", "2001:db8::1"},
	{"v6 with a port", ADDRESS, "[2001:db8::1]:443", "2001:db8::1"},
	{"v4-mapped is shown as v4", ADDRESS, "::ffff:192.0.2.7", "192.0.2.7"},
	{"a word is no address", ADDRESS, "unknown", NULL},
	{"nothing is no address", ADDRESS, "", NULL},
	{"an open bracket is no address", ADDRESS, "[::1", NULL},
	{"empty brackets are no address", ADDRESS, "[]", NULL},
	{"more than an address is no address", ADDRESS, "192.0.2.7 x", NULL},
};

static void one(void **state)
{
	const struct row *row = *state;
	struct guard guard = guard_new(4096);
	size_t len = strlen(row->in);
	struct text text = {(char *)guard_copy(&guard, row->in, len), len};
	char out[LABEL_SIZE] = "", unit[LABEL_UNIT_SIZE], shown[LABEL_ADDRESS_SIZE];
	uint8_t addr[16];

	switch (row->what) {
	case CLEAN:
		assert_int_equal(label_clean(text, out, sizeof(out)), strlen(row->out));
		assert_string_equal(out, row->out);
		break;
	case FOLD:
		label_fold(row->in, out, sizeof(out));
		assert_string_equal(out, row->out);
		break;
	case UNIT:
		label_unit(text, unit);
		assert_string_equal(unit, row->out);
		break;
	case ADDRESS:
		assert_int_equal(label_parse_address(text, addr), row->out != NULL);
		if (row->out) {
			label_address(addr, shown);
			assert_string_equal(shown, row->out);
		}
		break;
	}
	guard_free(&guard);
}

static void a_label_is_cut_between_characters(void **state)
{
	char out[LABEL_SIZE], in[300];

	(void)state;
	memset(in, 'x', sizeof(in));
	assert_int_equal(label_clean((struct text){in, sizeof(in)}, out, sizeof(out)), 123);
	/* 122 bytes, then a character of three */
	memcpy(in + 122, "\xe2\x82\xac", 3);
	assert_int_equal(label_clean((struct text){in, sizeof(in)}, out, sizeof(out)), 122);
	/* 120 bytes, then a character of three */
	memcpy(in + 120, "\xe2\x82\xac", 3);
	assert_int_equal(label_clean((struct text){in, sizeof(in)}, out, sizeof(out)), 123);
	/* a NUL is a byte like others */
	assert_int_equal(label_clean((struct text){"a\0b", 3}, out, sizeof(out)), 5);
}

static void a_folded_path_stays_within_its_bound(void **state)
{
	char path[LABEL_SIZE] = "", out[LABEL_SIZE];

	(void)state;
	for (int i = 0; i < 61; i++)
		strcat(path, "/1"); /* each becomes longer */
	assert_true(label_fold(path, out, sizeof(out)) <= LABEL_MAX);
	assert_true(strlen(out) % 5 <= 1); /* "/{id}" again and again, at most a slash more */
}

static void loopback(uint8_t addr[16])
{
	const uint8_t bytes[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};

	memcpy(addr, bytes, 16);
}

static void users_are_pseudonyms(void **state)
{
	uint8_t key[LABEL_KEY_BYTES] = {1}, other[LABEL_KEY_BYTES] = {2};
	uint8_t local[16], local6[16] = {[15] = 1}, direct[16];
	struct text forwarded = {"192.0.2.7", 9}, mapped = {"::ffff:192.0.2.7", 16};
	struct text word = {"unknown", 7};
	char text[LABEL_USER_SIZE];
	uint64_t user;

	(void)state;
	loopback(local);
	assert_true(label_parse_address(forwarded, direct));
	user = label_user(key, direct, (struct text){0});
	assert_int_equal(user >> 48, 0);
	label_user_text(user, text);
	assert_int_equal(strspn(text, "0123456789abcdef"), 12);
	assert_int_equal(strtoull(text, NULL, 16), user);
	/* the same client behind our proxy is the same user */
	assert_int_equal(label_user(key, local, forwarded), user);
	assert_int_equal(label_user(key, local6, forwarded), user);
	assert_int_equal(label_user(key, local, mapped), user);
	/* a header counts only where a proxy of this host wrote it */
	assert_int_equal(label_user(key, direct, word), user);
	assert_true(label_user(key, local, word) != label_user(key, local, (struct text){0}));
	/* without the key nothing can be told */
	assert_true(label_user(other, direct, (struct text){0}) != user);
}

static void a_server_is_comm_port_and_unit(void **state)
{
	char label[LABEL_SIZE];
	char comm[COMM_LEN] = "node", evil[COMM_LEN];

	(void)state;
	label_server(comm, &(struct server_key){.port = 8000}, "", label);
	assert_string_equal(label, "node:8000");
	label_server(comm, &(struct server_key){.port = 8000}, "chat.service", label);
	assert_string_equal(label, "node:8000@chat.service");
	memset(evil, '\n', sizeof(evil)); /* and no NUL */
	label_server(evil, &(struct server_key){.port = 65535}, "x", label);
	assert_int_equal(strlen(label), 16 * 3 + 8);
	assert_null(strchr(label, '\n'));
}

static void a_server_on_a_unix_socket_is_comm_path_and_unit(void **state)
{
	struct server_key key = {.path = "/run/app.sock"};
	char label[LABEL_SIZE];
	char comm[COMM_LEN] = "node";

	(void)state;
	label_server(comm, &key, "", label);
	assert_string_equal(label, "node:/run/app.sock");
	label_server(comm, &key, "chat.service", label);
	assert_string_equal(label, "node:/run/app.sock@chat.service");
	memcpy(key.path, "@abst\nract", 11);
	label_server(comm, &key, "", label);
	assert_null(strchr(label, '\n'));
	memset(key.path, 'x', sizeof(key.path)); /* and no NUL */
	label_server(comm, &key, "chat.service", label);
	assert_int_equal(strlen(label), 4 + 1 + 63 + 1 + strlen("chat.service"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENTENCE("a label is cut between characters", a_label_is_cut_between_characters),
		SENTENCE("a folded path stays within its bound",
			 a_folded_path_stays_within_its_bound),
		SENTENCE("users are pseudonyms of their address", users_are_pseudonyms),
		SENTENCE("a server is comm, port and unit", a_server_is_comm_port_and_unit),
		SENTENCE("a server on a Unix socket is comm, path and unit",
			 a_server_on_a_unix_socket_is_comm_path_and_unit),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("label", one, rows, sizeof(rows[0]), COUNT(rows), tests, COUNT(tests));
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* auth.c: who is let through, how often, and what one stranger can do to another. */
#define _GNU_SOURCE
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth.h"
#include "check.h"
#include "scratch.h"

#define SECOND 1000000000ull
#define START (1000 * SECOND)
#define NOW 1704110400
#define CODE "wsv_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"

struct world {
	struct scratch s;
	struct auth *auth;
	char staff[TOKEN_TEXT_SIZE], scrape[TOKEN_TEXT_SIZE];
	uint64_t now_ns;
	uint8_t address[16];
	unsigned retry_s;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char error[512];

	if (!w)
		return -1;
	scratch_new(&w->s);
	w->now_ns = START;
	w->address[10] = w->address[11] = 0xff;
	w->address[12] = 127;
	w->address[15] = 1;
	if (tokens_add(w->s.dir, "ops", ROLE_STAFF, NOW, w->staff, error, sizeof(error)) ||
	    tokens_add(w->s.dir, "prom", ROLE_SCRAPE, NOW, w->scrape, error, sizeof(error)))
		return -1;
	w->auth = auth_new(w->s.dir, CODE);
	*state = w;
	return !w->auth || auth_refresh(w->auth, error, sizeof(error));
}

static int teardown(void **state)
{
	struct world *w = *state;

	auth_free(w->auth);
	scratch_free(&w->s);
	free(w);
	return 0;
}

static void refresh(struct world *w)
{
	char error[512];

	assert_int_equal(auth_refresh(w->auth, error, sizeof(error)), 0);
}

static enum auth_verdict ask(struct world *w, const char *authorization, const char *cookie,
			     enum role *ret_role)
{
	struct auth_request request = {
		.authorization = authorization,
		.cookie = cookie,
		.address = w->address,
		.now_ns = w->now_ns,
		.wall = NOW + (time_t)((w->now_ns - START) / SECOND),
	};
	struct auth_answer answer;

	auth_check(w->auth, &request, &answer);
	w->retry_s = answer.retry_s;
	if (ret_role)
		*ret_role = answer.role;
	return answer.verdict;
}

static enum auth_verdict with(struct world *w, const char *secret)
{
	char header[128];

	snprintf(header, sizeof(header), "Bearer %s", secret);
	return ask(w, header, NULL, NULL);
}

static enum auth_verdict with_session(struct world *w, const char *session)
{
	char header[128];

	snprintf(header, sizeof(header), "a=b; " AUTH_COOKIE "=%s; c=d", session);
	return ask(w, NULL, header, NULL);
}

static enum auth_verdict login(struct world *w, const char *secret, char *ret_session)
{
	char session[TOKEN_TEXT_SIZE] = "";
	enum auth_verdict verdict = auth_login(w->auth, secret, w->address, w->now_ns, session,
					       &w->retry_s);

	assert_int_equal(verdict == AUTH_GRANTED, strlen(session) == TOKEN_TEXT_SIZE - 1);
	if (ret_session)
		strcpy(ret_session, session);
	return verdict;
}

/* --- who --- */

static void roles_of_tokens(void **state)
{
	struct world *w = *state;
	char header[128];
	enum role role;

	assert_int_equal(ask(w, NULL, NULL, &role), AUTH_NONE);
	assert_int_equal(role, ROLE_NONE);
	snprintf(header, sizeof(header), "Bearer %s", w->staff);
	assert_int_equal(ask(w, header, NULL, &role), AUTH_GRANTED);
	assert_int_equal(role, ROLE_STAFF);
	snprintf(header, sizeof(header), "bEARER   %s", w->scrape);
	assert_int_equal(ask(w, header, NULL, &role), AUTH_GRANTED);
	assert_int_equal(role, ROLE_SCRAPE);
}

static void what_is_no_token(void **state)
{
	struct world *w = *state;
	char text[128];

	assert_int_equal(with(w, ""), AUTH_WRONG);
	assert_int_equal(with(w, CODE), AUTH_WRONG); /* the code is for logging in only */
	snprintf(text, sizeof(text), "%sx", w->staff);
	assert_int_equal(with(w, text), AUTH_WRONG);
	snprintf(text, sizeof(text), "%s ", w->staff);
	assert_int_equal(with(w, text), AUTH_WRONG);
	snprintf(text, sizeof(text), "%.*s", TOKEN_TEXT_SIZE - 2, w->staff);
	assert_int_equal(with(w, text), AUTH_WRONG);
	snprintf(text, sizeof(text), "%s", w->staff);
	text[20] ^= 'a' ^ 'A';
	assert_int_equal(with(w, text), AUTH_WRONG);
	snprintf(text, sizeof(text), "Bearer%s", w->staff);
	assert_int_equal(ask(w, text, NULL, NULL), AUTH_NONE);
	assert_int_equal(ask(w, w->staff, NULL, NULL), AUTH_NONE);
}

/* A proxy in front that asks for a password passes it on. */
static void another_scheme_is_not_ours(void **state)
{
	char session[TOKEN_TEXT_SIZE], cookie[128];
	struct world *w = *state;

	for (int i = 0; i < 3 * AUTH_FAILURES; i++)
		assert_int_equal(ask(w, "Basic dXNlcjpwYXNz", NULL, NULL), AUTH_NONE);
	assert_int_equal(login(w, w->staff, session), AUTH_GRANTED);
	snprintf(cookie, sizeof(cookie), AUTH_COOKIE "=%s", session);
	assert_int_equal(ask(w, "Basic dXNlcjpwYXNz", cookie, NULL), AUTH_GRANTED);
	/* but a token that is wrong is not made good by a session */
	assert_int_equal(ask(w, "Bearer x", cookie, NULL), AUTH_WRONG);
}

/* --- how often --- */

static void twenty_requests_in_any_second(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < AUTH_REQUESTS; i++, w->now_ns += 10000000)
		assert_int_equal(with(w, w->staff), AUTH_GRANTED);
	assert_int_equal(with(w, w->staff), AUTH_TOO_MANY);
	assert_int_equal(w->retry_s, 1);
	assert_int_equal(with(w, w->scrape), AUTH_GRANTED); /* another token has its own */
	w->now_ns = START + SECOND - 1;
	assert_int_equal(with(w, w->staff), AUTH_TOO_MANY); /* what was refused does not count */
	w->now_ns = START + SECOND;
	assert_int_equal(with(w, w->staff), AUTH_GRANTED); /* the first is a second old */
	assert_int_equal(with(w, w->staff), AUTH_TOO_MANY);
	w->now_ns = START + SECOND + 10000000;
	assert_int_equal(with(w, w->staff), AUTH_GRANTED); /* the second is */
	assert_int_equal(with(w, w->staff), AUTH_TOO_MANY);
}

/* Whatever the rhythm: no window of a second has more than twenty, and twenty do pass. */
static void the_limit_slides(void **state)
{
	struct world *w = *state;
	uint64_t passed[4096];
	size_t nr = 0;

	for (int i = 0; i < 40000; i++) {
		w->now_ns += 1000000 * (1 + (uint64_t)(i * 7919 % 13) / 6);
		if (with(w, w->staff) == AUTH_GRANTED)
			passed[nr++] = w->now_ns;
	}
	for (size_t i = AUTH_REQUESTS; i < nr; i++)
		assert_true(passed[i] - passed[i - AUTH_REQUESTS] >= SECOND);
	assert_true(nr >= (w->now_ns - START) / SECOND * AUTH_REQUESTS);
}

static void sessions_have_a_pace_of_their_own(void **state)
{
	char one[TOKEN_TEXT_SIZE], two[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(login(w, w->staff, one), AUTH_GRANTED);
	assert_int_equal(login(w, w->staff, two), AUTH_GRANTED);
	for (int i = 0; i < AUTH_REQUESTS; i++)
		assert_int_equal(with_session(w, one), AUTH_GRANTED);
	assert_int_equal(with_session(w, one), AUTH_TOO_MANY);
	assert_int_equal(w->retry_s, 1);
	assert_int_equal(with_session(w, two), AUTH_GRANTED);
	assert_int_equal(with(w, w->staff), AUTH_GRANTED);
}

static void a_change_of_the_file_gives_no_new_pace(void **state)
{
	char error[512], other[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	for (int i = 0; i < AUTH_REQUESTS; i++)
		assert_int_equal(with(w, w->scrape), AUTH_GRANTED);
	/* prom moves to the front of the file, and another comes behind it */
	assert_int_equal(tokens_revoke(w->s.dir, "ops", error, sizeof(error)), 0);
	assert_int_equal(tokens_add(w->s.dir, "new", ROLE_STAFF, NOW, other, error, sizeof(error)),
			 0);
	refresh(w);
	assert_int_equal(with(w, w->scrape), AUTH_TOO_MANY);
	assert_int_equal(with(w, other), AUTH_GRANTED);
	assert_int_equal(with(w, w->staff), AUTH_WRONG);
}

/* --- strangers --- */

static void lock(struct world *w)
{
	for (int i = 0; i < AUTH_FAILURES; i++)
		assert_int_equal(with(w, "wrong"), AUTH_WRONG);
	assert_int_equal(with(w, "wrong"), AUTH_LOCKED);
}

static void failures_of_an_address(void **state)
{
	struct world *w = *state;

	lock(w);
	assert_int_equal(w->retry_s, 61);
	w->now_ns += 45 * SECOND;
	assert_int_equal(with(w, "wrong"), AUTH_LOCKED);
	assert_int_equal(w->retry_s, 16);
	assert_int_equal(login(w, "wrong", NULL), AUTH_LOCKED);
	assert_int_equal(login(w, w->staff, NULL), AUTH_LOCKED); /* not even tried */
	assert_int_equal(login(w, CODE, NULL), AUTH_LOCKED);
	w->now_ns = START + 60 * SECOND;
	assert_int_equal(with(w, "wrong"), AUTH_WRONG);
	assert_int_equal(login(w, CODE, NULL), AUTH_GRANTED); /* it was not used up */
}

static void whoever_is_right_is_not_locked_out(void **state)
{
	char session[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(login(w, w->staff, session), AUTH_GRANTED);
	lock(w);
	assert_int_equal(with(w, w->scrape), AUTH_GRANTED);
	assert_int_equal(with_session(w, session), AUTH_GRANTED);
	session[10] ^= 1;
	assert_int_equal(with_session(w, session), AUTH_LOCKED);
	assert_int_equal(ask(w, NULL, NULL, NULL), AUTH_NONE);
}

static void all_ways_to_be_wrong_count(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < AUTH_FAILURES; i += 2) {
		assert_int_equal(login(w, "wrong", NULL), AUTH_WRONG);
		assert_int_equal(with_session(w, "wrong"), AUTH_WRONG);
	}
	assert_int_equal(with(w, "wrong"), AUTH_LOCKED);
}

static void a_scraper_s_token_cannot_log_in(void **state)
{
	struct world *w = *state;

	assert_int_equal(login(w, w->scrape, NULL), AUTH_WRONG);
}

static void addresses_are_apart(void **state)
{
	static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8};
	struct world *w = *state;

	lock(w);
	w->address[15] = 2;
	lock(w);
	memcpy(w->address, v6, sizeof(v6));
	lock(w);
	w->address[8] ^= 0xff; /* a host has the /64 */
	w->address[15] ^= 0xff;
	assert_int_equal(with(w, "wrong"), AUTH_LOCKED);
	w->address[7] ^= 1; /* the next /64 */
	assert_int_equal(with(w, "wrong"), AUTH_WRONG);
}

/* More addresses than are remembered: those that came last are, and nobody else is hurt. */
static void a_flood_of_addresses(void **state)
{
	char session[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(login(w, w->staff, session), AUTH_GRANTED);
	for (unsigned i = 0; i < 3000; i++) {
		w->now_ns += 1000000;
		w->address[12] = 10;
		w->address[13] = (uint8_t)(i >> 8);
		w->address[14] = (uint8_t)i;
		assert_int_equal(with(w, "wrong"), AUTH_WRONG);
	}
	w->address[13] = 0xff;
	lock(w);
	assert_int_equal(with(w, w->staff), AUTH_GRANTED);
	assert_int_equal(with_session(w, session), AUTH_GRANTED);
}

/* --- sessions --- */

static void a_session_lasts_twelve_hours(void **state)
{
	char session[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(login(w, w->staff, session), AUTH_GRANTED);
	w->now_ns += AUTH_SESSION_S * SECOND;
	assert_int_equal(with_session(w, session), AUTH_GRANTED);
	w->now_ns += 1;
	assert_int_equal(with_session(w, session), AUTH_WRONG);
}

static void a_session_goes_with_its_token(void **state)
{
	char of_ops[TOKEN_TEXT_SIZE], of_other[TOKEN_TEXT_SIZE], error[512], other[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(tokens_add(w->s.dir, "x", ROLE_STAFF, NOW, other, error, sizeof(error)),
			 0);
	refresh(w);
	assert_int_equal(login(w, w->staff, of_ops), AUTH_GRANTED);
	assert_int_equal(login(w, other, of_other), AUTH_GRANTED);
	assert_int_equal(tokens_revoke(w->s.dir, "ops", error, sizeof(error)), 0);
	refresh(w);
	assert_int_equal(with_session(w, of_ops), AUTH_WRONG);
	assert_int_equal(with_session(w, of_other), AUTH_GRANTED);
	/* a new one of the same name does not bring it back */
	assert_int_equal(tokens_add(w->s.dir, "ops", ROLE_STAFF, NOW, other, error, sizeof(error)),
			 0);
	refresh(w);
	assert_int_equal(with_session(w, of_ops), AUTH_WRONG);
}

static void logging_out_ends_one_session(void **state)
{
	char one[TOKEN_TEXT_SIZE], two[TOKEN_TEXT_SIZE], cookie[128];
	struct world *w = *state;

	assert_int_equal(login(w, w->staff, one), AUTH_GRANTED);
	assert_int_equal(login(w, w->staff, two), AUTH_GRANTED);
	snprintf(cookie, sizeof(cookie), AUTH_COOKIE "=%s", one);
	auth_logout(w->auth, cookie, w->now_ns);
	auth_logout(w->auth, cookie, w->now_ns);
	auth_logout(w->auth, NULL, w->now_ns);
	assert_int_equal(with_session(w, one), AUTH_WRONG);
	assert_int_equal(with_session(w, two), AUTH_GRANTED);
}

static void the_code_is_good_once(void **state)
{
	char session[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(login(w, CODE, session), AUTH_GRANTED);
	assert_int_equal(with_session(w, session), AUTH_GRANTED);
	assert_int_equal(login(w, CODE, NULL), AUTH_WRONG);
}

static void the_code_stands_for_the_first_token(void **state)
{
	char session[TOKEN_TEXT_SIZE], error[512], first[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(
		tokens_add(w->s.dir, "first", ROLE_STAFF, NOW, first, error, sizeof(error)), 0);
	scratch_write(&w->s, "first-token", "x\n");
	refresh(w);
	assert_int_equal(login(w, CODE, session), AUTH_GRANTED);
	assert_null(scratch_read(&w->s, "first-token"));
	assert_int_equal(tokens_revoke(w->s.dir, "first", error, sizeof(error)), 0);
	refresh(w);
	assert_int_equal(with_session(w, session), AUTH_WRONG);
}

static void the_first_token_is_done_when_it_has_logged_in(void **state)
{
	char error[512], first[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(
		tokens_add(w->s.dir, "first", ROLE_STAFF, NOW, first, error, sizeof(error)), 0);
	scratch_write(&w->s, "first-token", "x\n");
	refresh(w);
	assert_int_equal(login(w, w->staff, NULL), AUTH_GRANTED);
	assert_non_null(scratch_read(&w->s, "first-token"));
	assert_int_equal(login(w, first, NULL), AUTH_GRANTED);
	assert_null(scratch_read(&w->s, "first-token"));
}

static void the_oldest_session_gives_way(void **state)
{
	char first[TOKEN_TEXT_SIZE], session[TOKEN_TEXT_SIZE], second[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(login(w, w->staff, first), AUTH_GRANTED);
	w->now_ns++;
	assert_int_equal(login(w, w->staff, second), AUTH_GRANTED);
	for (int i = 0; i < 255; i++) {
		w->now_ns++;
		assert_int_equal(login(w, w->staff, session), AUTH_GRANTED);
	}
	assert_int_equal(with_session(w, first), AUTH_WRONG);
	assert_int_equal(with_session(w, second), AUTH_GRANTED);
	assert_int_equal(with_session(w, session), AUTH_GRANTED);
}

/* %s: the session */
static const struct {
	const char *cookie;
	enum auth_verdict verdict;
} cookies[] = {
	{AUTH_COOKIE "=%s", AUTH_GRANTED},
	{"a=b;" AUTH_COOKIE "=%s", AUTH_GRANTED},
	{" ; ;a=b;  " AUTH_COOKIE "=%s;", AUTH_GRANTED},
	{"a=\"x\"; " AUTH_COOKIE "=%s; " AUTH_COOKIE "=other", AUTH_GRANTED},
	{AUTH_COOKIE "=other; " AUTH_COOKIE "=%s", AUTH_WRONG}, /* the first is it */
	{AUTH_COOKIE "=%s ", AUTH_NONE},                        /* too long to be one */
	{AUTH_COOKIE "=%.46s", AUTH_WRONG},
	{AUTH_COOKIE "=\"%.45s\"", AUTH_WRONG},
	{AUTH_COOKIE "=", AUTH_NONE},
	{AUTH_COOKIE, AUTH_NONE},
	{"x" AUTH_COOKIE "=%s", AUTH_NONE},
	{AUTH_COOKIE "x=%s", AUTH_NONE},
	{"a=" AUTH_COOKIE "=%s", AUTH_NONE},
	{"WSVITALS_SESSION=%s", AUTH_NONE},
	{AUTH_COOKIE " =%s", AUTH_NONE},
	{"a,%s", AUTH_NONE},
	{"", AUTH_NONE},
	{";;;", AUTH_NONE},
	{"=", AUTH_NONE},
};

static void cookies_are_read_as_they_are_written(void **state)
{
	char session[TOKEN_TEXT_SIZE], header[256];
	struct world *w = *state;

	assert_int_equal(login(w, w->staff, session), AUTH_GRANTED);
	for (size_t i = 0; i < COUNT(cookies); i++) {
		snprintf(header, sizeof(header), cookies[i].cookie, session);
		if (ask(w, NULL, header, NULL) != cookies[i].verdict)
			fail_msg("`%s' is judged otherwise", cookies[i].cookie);
		w->now_ns += SECOND;
	}
}

/* --- the file --- */

static void a_change_is_seen(void **state)
{
	char error[512], other[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(tokens_add(w->s.dir, "x", ROLE_STAFF, NOW, other, error, sizeof(error)),
			 0);
	assert_int_equal(with(w, other), AUTH_WRONG);
	refresh(w);
	assert_int_equal(with(w, other), AUTH_GRANTED);
	unlink(scratch_path(&w->s, "tokens"));
	refresh(w);
	assert_int_equal(with(w, other), AUTH_WRONG);
	assert_int_equal(with(w, w->staff), AUTH_WRONG);
}

static void a_broken_file_leaves_what_was_known(void **state)
{
	char error[512] = "", wanted[512], session[TOKEN_TEXT_SIZE];
	struct world *w = *state;

	assert_int_equal(login(w, w->staff, session), AUTH_GRANTED);
	scratch_write(&w->s, "tokens", "# x\nbroken\n");
	snprintf(wanted, sizeof(wanted), "%s/tokens:2: this is no token", w->s.dir);
	for (int i = 0; i < 3; i++) {
		assert_true(auth_refresh(w->auth, error, sizeof(error)) < 0);
		assert_int_equal(strncmp(error, wanted, strlen(wanted)), 0);
		assert_int_equal(with(w, w->staff), AUTH_GRANTED);
		assert_int_equal(with_session(w, session), AUTH_GRANTED);
	}
	scratch_write(&w->s, "tokens", "");
	refresh(w);
	assert_int_equal(with(w, w->staff), AUTH_WRONG);
	assert_int_equal(with_session(w, session), AUTH_WRONG);
}

static void when_tokens_were_used_is_kept(void **state)
{
	char error[512];
	struct world *w = *state;
	struct tokens tokens;

	assert_int_equal(auth_save(w->auth, error, sizeof(error)), 0);
	assert_null(scratch_read(&w->s, "tokens.used")); /* there is nothing to say */
	w->now_ns += 7 * SECOND;
	assert_int_equal(with(w, w->scrape), AUTH_GRANTED);
	assert_int_equal(auth_save(w->auth, error, sizeof(error)), 0);
	assert_string_equal(scratch_read(&w->s, "tokens.used"), "prom 1704110407\n");
	assert_int_equal(tokens_read(w->s.dir, &tokens, error, sizeof(error)), 0);
	assert_int_equal(tokens.of[1].used, NOW + 7);
	/* and stays when the file is read again before it was saved */
	w->now_ns += SECOND;
	assert_int_equal(with(w, w->scrape), AUTH_GRANTED);
	assert_int_equal(tokens_revoke(w->s.dir, "ops", error, sizeof(error)), 0);
	refresh(w);
	assert_int_equal(auth_save(w->auth, error, sizeof(error)), 0);
	assert_string_equal(scratch_read(&w->s, "tokens.used"), "prom 1704110408\n");
}

static void without_a_code_nobody_logs_in_with_one(void **state)
{
	struct world *w = *state;
	char error[512];

	auth_free(w->auth);
	w->auth = auth_new(w->s.dir, NULL);
	assert_non_null(w->auth);
	assert_int_equal(auth_refresh(w->auth, error, sizeof(error)), 0);
	assert_int_equal(login(w, "", NULL), AUTH_WRONG);
	assert_int_equal(login(w, CODE, NULL), AUTH_WRONG);
}

#define TEST(text, fn)                                                                             \
	{                                                                                          \
		.name = (text), .test_func = (fn), .setup_func = setup, .teardown_func = teardown  \
	}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST("tokens and their roles", roles_of_tokens),
		TEST("what is no token", what_is_no_token),
		TEST("another scheme is not ours", another_scheme_is_not_ours),
		TEST("twenty requests in any second", twenty_requests_in_any_second),
		TEST("the limit slides", the_limit_slides),
		TEST("sessions have a pace of their own", sessions_have_a_pace_of_their_own),
		TEST("a change of the file gives no new pace",
		     a_change_of_the_file_gives_no_new_pace),
		TEST("failures of an address", failures_of_an_address),
		TEST("whoever is right is not locked out", whoever_is_right_is_not_locked_out),
		TEST("all ways to be wrong count", all_ways_to_be_wrong_count),
		TEST("a scraper's token cannot log in", a_scraper_s_token_cannot_log_in),
		TEST("addresses are apart, those of a /64 are one", addresses_are_apart),
		TEST("a flood of addresses", a_flood_of_addresses),
		TEST("a session lasts twelve hours", a_session_lasts_twelve_hours),
		TEST("a session goes with its token", a_session_goes_with_its_token),
		TEST("logging out ends one session", logging_out_ends_one_session),
		TEST("the code is good once", the_code_is_good_once),
		TEST("the code stands for the first token", the_code_stands_for_the_first_token),
		TEST("the first token is done when it has logged in",
		     the_first_token_is_done_when_it_has_logged_in),
		TEST("the oldest session gives way", the_oldest_session_gives_way),
		TEST("cookies are read as they are written", cookies_are_read_as_they_are_written),
		TEST("a change of the file is seen", a_change_is_seen),
		TEST("a broken file leaves what was known", a_broken_file_leaves_what_was_known),
		TEST("when tokens were used is kept", when_tokens_were_used_is_kept),
		TEST("without a code nobody logs in with one",
		     without_a_code_nobody_logs_in_with_one),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}

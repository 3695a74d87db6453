// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* api.c: the table of paths, who may have what, and what is wrong with a request. */
#define _GNU_SOURCE
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "check.h"
#include "scratch.h"
#include "synthetic.h"

#define JSON "application/json; charset=utf-8"
#define TEXT "text/plain; charset=utf-8"
#define CODE "wsv_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
#define METRICS "/api/websocket/metrics"
#define UNKNOWN "unknown parameter "
#define ACCEPTED "; accepted: server, channel, user, window"
#define WINDOW "window takes 1m, 5m, 15m or 1h, not "

enum who { NOBODY, STRANGER, SCRAPER, STAFF, LOCAL };

/* A request, and the status and error that it gets. */
struct row {
	const char *sentence;
	enum who who;
	const char *path; /* with the query, each value as it is when it is decoded */
	int status;
	const char *error; /* NULL: not looked at */
	enum api_method method;
	const char *base;
};

static const struct row rows[] = {
	{"metrics", STAFF, METRICS, .status = 200},
	{"metrics with a slash", STAFF, METRICS "/", .status = 200},
	{"metrics with two slashes", STAFF, METRICS "//", .status = 404},
	{"metrics of a HEAD", STAFF, METRICS "/", .status = 200, .method = API_HEAD},
	{"metrics for a scraper", SCRAPER, METRICS, .status = 403,
	 .error = "Only staff can view metrics"},
	{"metrics for a stranger", STRANGER, METRICS, .status = 401,
	 .error = "this token is not known, or has been revoked"},
	{"metrics for nobody", NOBODY, METRICS, .status = 401},
	{"metrics for a command", LOCAL, METRICS, .status = 200},
	{"metrics by POST", STAFF, METRICS, .status = 405,
	 .error = "this path takes GET, HEAD only", .method = API_POST},
	{"metrics by something else", STAFF, METRICS, .status = 405, .method = API_OTHER},
	{"metrics by POST for nobody", NOBODY, METRICS, .status = 401, .method = API_POST},
	{"metrics by POST for a scraper", SCRAPER, METRICS, .status = 403, .method = API_POST},
	{"scraping", SCRAPER, "/metrics", .status = 200},
	{"scraping with a slash", SCRAPER, "/metrics/", .status = 200},
	{"scraping by staff", STAFF, "/metrics", .status = 200},
	{"scraping by a command", LOCAL, "/metrics", .status = 200},
	{"scraping by nobody", NOBODY, "/metrics", .status = 401},
	{"scraping by POST", SCRAPER, "/metrics", .status = 405, .method = API_POST},
	{"scraping takes no parameter", SCRAPER, "/metrics?x=1", .status = 400,
	 .error = UNKNOWN "`x'; accepted: none"},
	{"health for everybody", NOBODY, "/healthz", .status = 200},
	{"health with a slash", STRANGER, "/healthz/", .status = 200},
	{"health by POST", NOBODY, "/healthz", .status = 405,
	 .error = "this path takes GET, HEAD only", .method = API_POST},
	{"health takes no parameter", NOBODY, "/healthz?verbose=1", .status = 400,
	 .error = UNKNOWN "`verbose'; accepted: none"},
	{"the root is the page", STAFF, "/", .status = 200},
	{"the page takes what it wants", STAFF, "/?window=x&y", .status = 200},
	{"the page's script", STAFF, "/page.js", .status = 200},
	{"the page's script for nobody", NOBODY, "/page.js", .status = 401},
	{"the page's style for everybody", NOBODY, "/page.css", .status = 200},
	{"its icon too", NOBODY, "/icon.svg", .status = 200},
	{"about", STAFF, "/api/websocket/about", .status = 200},
	{"about for a scraper", SCRAPER, "/api/websocket/about", .status = 403},
	{"the root without a slash", STAFF, "", .status = 303},
	{"the root for a scraper", SCRAPER, "/", .status = 403},
	{"the root for nobody", NOBODY, "/", .status = 303},
	{"the root for a stranger", STRANGER, "/", .status = 401},
	{"the form", NOBODY, "/login", .status = 200},
	{"the form with a slash", NOBODY, "/login/", .status = 303},
	{"the form takes no parameter", NOBODY, "/login?x=1", .status = 400},
	{"logging in with a wrong code", NOBODY, "/login?code=x", .status = 401},
	{"logging in with the code", NOBODY, "/login?code=" CODE, .status = 303},
	{"logging out by GET", STAFF, "/logout", .status = 405,
	 .error = "this path takes POST only"},
	{"logging out", STAFF, "/logout", .status = 200, .method = API_POST},
	{"logging out a scraper", SCRAPER, "/logout", .status = 403, .method = API_POST},

	{"nothing", STAFF, "/nothing", .status = 404, .error = "there is nothing here"},
	{"nothing for a scraper", SCRAPER, "/nothing", .status = 404},
	{"nothing for nobody says nothing", NOBODY, "/nothing", .status = 401},
	{"a part of a path", STAFF, "/api/websocket", .status = 404},
	{"more than a path", STAFF, METRICS "/x", .status = 404},
	{"more than a name", STAFF, METRICS "x", .status = 404},
	{"two slashes in front", STAFF, "//metrics", .status = 404},
	{"dots", STAFF, "/./metrics", .status = 404},
	{"capitals", STAFF, "/Metrics", .status = 404},
	{"escapes are not undone", STAFF, "/%6detrics", .status = 404},
	{"a path parameter", STAFF, "/metrics;a=b", .status = 404},

	{"local paths are not there for staff", STAFF, "/local/version", .status = 404},
	{"nor for nobody", NOBODY, "/local/version", .status = 401},
	{"nor by POST", STAFF, "/local/reset", .status = 404, .method = API_POST},
	{"version", LOCAL, "/local/version", .status = 200},
	{"doctor", LOCAL, "/local/doctor", .status = 200},
	{"the table", LOCAL, "/local/table?width=80&bold=1", .status = 200},
	{"the table of no width", LOCAL, "/local/table?width=x", .status = 200},
	{"the table of any width", LOCAL, "/local/table?width=99999999999999999999", .status = 200},
	{"configuration", LOCAL, "/local/config", .status = 200},
	{"a reset", LOCAL, "/local/reset", .status = 200, .method = API_POST},
	{"a reset by GET", LOCAL, "/local/reset", .status = 405},
	{"a reload that is refused", LOCAL, "/local/reload", .status = 409, .method = API_POST},
	{"a reload by HEAD", LOCAL, "/local/reload", .status = 405, .method = API_HEAD},
	{"a trial, of which there is none", LOCAL, "/local/trial?call=setuid", .status = 404},
	{"local and unknown", LOCAL, "/local/nothing", .status = 404},

	{"below the base", STAFF, "/admin/ws" METRICS, .status = 200, .base = "/admin/ws"},
	{"the base itself", STAFF, "/admin/ws", .status = 303, .base = "/admin/ws"},
	{"the base with a slash", STAFF, "/admin/ws/", .status = 200, .base = "/admin/ws"},
	{"health below the base", NOBODY, "/admin/ws/healthz", .status = 200, .base = "/admin/ws"},
	{"beside the base", STAFF, METRICS, .status = 404, .base = "/admin/ws"},
	{"health beside the base", NOBODY, "/healthz", .status = 401, .base = "/admin/ws"},
	{"a name that begins like the base", STAFF, "/admin/wsx" METRICS, .status = 404,
	 .base = "/admin/ws"},
	{"half of the base", STAFF, "/admin", .status = 404, .base = "/admin/ws"},
	{"the base twice", STAFF, "/admin/ws/admin/ws/metrics", .status = 404, .base = "/admin/ws"},
	{"commands know no base", LOCAL, "/local/version", .status = 200, .base = "/admin/ws"},
	{"not even metrics", LOCAL, "/admin/ws/metrics", .status = 404, .base = "/admin/ws"},

	{"a window", STAFF, METRICS "?window=1m", .status = 200},
	{"the default window", STAFF, METRICS "?window=5m", .status = 200},
	{"a longer window", STAFF, METRICS "?window=15m", .status = 200},
	{"the longest window", STAFF, METRICS "?window=1h", .status = 200},
	{"a window that there is not", STAFF, METRICS "?window=2m", .status = 400,
	 .error = WINDOW "`2m'"},
	{"a window in capitals", STAFF, METRICS "?window=1M", .status = 400,
	 .error = WINDOW "`1M'"},
	{"a window in seconds", STAFF, METRICS "?window=60", .status = 400, .error = WINDOW "`60'"},
	{"a window with a blank", STAFF, METRICS "?window=1m ", .status = 400,
	 .error = WINDOW "`1m '"},
	{"a window of control characters", STAFF, METRICS "?window=\x1b[1m\n", .status = 400,
	 .error = WINDOW "`\xef\xbf\xbd[1m\xef\xbf\xbd'"},
	{"all filters", STAFF, METRICS "?server=node:8000&channel=/&user=x&window=1h",
	 .status = 200},
	{"an unknown parameter", STAFF, METRICS "?hours=1", .status = 400,
	 .error = UNKNOWN "`hours'" ACCEPTED},
	{"a parameter in capitals", STAFF, METRICS "?Window=1m", .status = 400,
	 .error = UNKNOWN "`Window'" ACCEPTED},
	{"a parameter without a name", STAFF, METRICS "?=1m", .status = 400,
	 .error = UNKNOWN "`'" ACCEPTED},
	{"a name of control characters", STAFF, METRICS "?\x07=1", .status = 400,
	 .error = UNKNOWN "`\xef\xbf\xbd'" ACCEPTED},
	{"an empty value", STAFF, METRICS "?window=", .status = 400,
	 .error = "window needs a value of 1 to 256 bytes"},
	{"no value", STAFF, METRICS "?user", .status = 400,
	 .error = "user needs a value of 1 to 256 bytes"},
	{"a parameter twice", STAFF, METRICS "?window=1m&server=x&window=1m", .status = 400,
	 .error = "window is given twice"},
	{"a bad parameter of a scraper is not looked at", SCRAPER, METRICS "?x=1", .status = 403},
};

struct fixture {
	struct scratch s;
	struct world *world;
	struct settings settings;
	struct api api;
	char staff[TOKEN_TEXT_SIZE], scrape[TOKEN_TEXT_SIZE];
	unsigned resets, reloads;
	struct api_answer answer;
	char text[2048]; /* of the request's path and parameters */
};

static int reset(char *ret_text, size_t size, void *ctx)
{
	struct fixture *f = ctx;

	f->resets++;
	snprintf(ret_text, size, "done");
	return 0;
}

static int reload(char *ret_text, size_t size, void *ctx)
{
	struct fixture *f = ctx;

	f->reloads++;
	snprintf(ret_text, size, "the configuration stays as it was");
	return -22;
}

static struct fixture *fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char error[512];

	if (!f)
		abort();
	log_set_level(LOG_ERROR);
	scratch_new(&f->s);
	assert_int_equal(tokens_add(f->s.dir, "ops", ROLE_STAFF, 1, f->staff, error, sizeof(error)),
			 0);
	assert_int_equal(
		tokens_add(f->s.dir, "prom", ROLE_SCRAPE, 1, f->scrape, error, sizeof(error)), 0);
	f->world = world_new();
	world_sample(f->world, SECOND);
	settings_default(&f->settings);
	f->api = (struct api){
		.aggregate = f->world->aggregate,
		.summary = f->world->summary,
		.auth = auth_new(f->s.dir, CODE),
		.settings = &f->settings,
		.scope = "port 8000",
		.sandbox = "none",
		.counted = true,
		.reset = reset,
		.reload = reload,
		.ctx = f,
	};
	return f;
}

static void fixture_free(struct fixture *f)
{
	free(f->answer.body);
	auth_free(f->api.auth);
	world_free(f->world);
	scratch_free(&f->s);
	free(f);
}

/* As http.c takes a URI apart, without the escapes. */
static void take_query(struct fixture *f, const char *path, struct api_request *request)
{
	char *at;

	snprintf(f->text, sizeof(f->text), "%s", path);
	at = strchr(f->text, '?');
	request->path = f->text;
	if (at)
		*at++ = '\0';
	while (at && request->nr_parameters < API_PARAMETERS) {
		char *key = strsep(&at, "&"), *value = strchr(key, '=');

		if (value)
			*value++ = '\0';
		request->parameters[request->nr_parameters++] = (struct api_parameter){
			.key = key, .value = value};
	}
}

static const struct api_answer *ask(struct fixture *f, enum who who, enum api_method method,
				    const char *path, const struct api_request *more)
{
	struct api_request request = more ? *more : (struct api_request){0};
	static const uint8_t loopback[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
	char authorization[128];

	snprintf(authorization, sizeof(authorization), "Bearer %s",
		 who == STAFF     ? f->staff
		 : who == SCRAPER ? f->scrape
				  : "wsv_stranger");
	request.method = method;
	request.local = who == LOCAL;
	if (who != NOBODY && who != LOCAL)
		request.authorization = authorization;
	request.now_ns = request.now_ns ? request.now_ns : START;
	request.wall = 1704110400;
	if (!request.from.host)
		request.from.host = "127.0.0.1:9797";
	memcpy(request.from.peer, loopback, sizeof(loopback));
	take_query(f, path, &request);
	free(f->answer.body);
	f->answer = (struct api_answer){0};
	assert_int_equal(api_handle(&f->api, &request, &f->answer), 0);
	assert_non_null(f->answer.body);
	return &f->answer;
}

/* What every answer has, whatever was asked. */
static void check_shape(const struct api_answer *a, bool local)
{
	json_t *root = NULL;

	assert_int_equal(a->challenge, a->status == 401);
	assert_int_equal(!!a->allow, a->status == 405);
	assert_int_equal(!!a->retry_s, a->status == 429 || (a->status == 503 && a->retry_s));
	assert_int_equal(*a->location != 0, a->status == 303);
	if (!local && a->status != 303 && !a->page && !strstr(a->type, "version="))
		assert_string_equal(a->type, JSON);
	if (!a->page)
		assert_int_equal(strlen(a->body), a->len);
	if (!strcmp(a->type, JSON)) {
		root = json_loads(a->body, JSON_REJECT_DUPLICATES, NULL);
		assert_true(json_is_object(root));
		if (a->status >= 400 && a->status != 503)
			assert_int_equal(json_object_size(root), 1);
		json_decref(root);
	}
}

static void check_row(void **state)
{
	const struct row *row = *state;
	struct fixture *f = fixture_new();
	const struct api_answer *a;
	char error[512];
	json_t *root;

	if (row->base)
		assert_int_equal(settings_set(&f->settings, SETTING_BASE_PATH, row->base, false,
					      "base-path", "test", error, sizeof(error)),
				 0);
	a = ask(f, row->who, row->method, row->path, NULL);
	if (a->status != row->status)
		fail_msg("%s gets %d: %s", row->path, a->status, a->body);
	check_shape(a, row->who == LOCAL);
	if (row->error) {
		root = json_loads(a->body, 0, NULL);
		assert_string_equal(json_string_value(json_object_get(root, "error")), row->error);
		json_decref(root);
	}
	assert_int_equal(f->resets,
			 row->who == LOCAL && a->status == 200 && strstr(row->path, "reset"));
	assert_int_equal(f->reloads, a->status == 409);
	fixture_free(f);
}

static void values_have_a_length(void **state)
{
	struct fixture *f = fixture_new();
	char path[1024];

	(void)state;
	snprintf(path, sizeof(path), METRICS "?user=%0256d", 1);
	assert_int_equal(ask(f, STAFF, API_GET, path, NULL)->status, 200);
	snprintf(path, sizeof(path), METRICS "?user=%0257d", 1);
	assert_int_equal(ask(f, STAFF, API_GET, path, NULL)->status, 400);
	assert_non_null(strstr(f->answer.body, "user needs a value of 1 to 256 bytes"));
	/* of a name, only so much is said as fits */
	snprintf(path, sizeof(path), METRICS "?%0900d=1", 1);
	assert_int_equal(ask(f, STAFF, API_GET, path, NULL)->status, 400);
	check_shape(&f->answer, false);
	assert_true(f->answer.len < 200);
	fixture_free(f);
}

static void more_parameters_than_there_can_be(void **state)
{
	struct api_request more = {.too_many_parameters = true};
	struct fixture *f = fixture_new();

	(void)state;
	assert_int_equal(ask(f, STAFF, API_GET, METRICS, &more)->status, 400);
	assert_non_null(strstr(f->answer.body, "too many parameters" ACCEPTED));
	assert_int_equal(ask(f, STAFF, API_GET, "/metrics", &more)->status, 400);
	fixture_free(f);
}

static void before_the_first_count(void **state)
{
	static const char *const paths[] = {METRICS, "/metrics"};
	struct fixture *f = fixture_new();

	(void)state;
	f->api.counted = false;
	for (size_t i = 0; i < COUNT(paths); i++) {
		assert_int_equal(ask(f, STAFF, API_GET, paths[i], NULL)->status, 503);
		assert_int_equal(f->answer.retry_s, 1);
		check_shape(&f->answer, false);
	}
	assert_int_equal(ask(f, NOBODY, API_GET, METRICS, NULL)->status, 401);
	assert_int_equal(ask(f, NOBODY, API_GET, "/healthz", NULL)->status, 503);
	assert_non_null(strstr(f->answer.body, "nothing has been counted yet"));
	assert_int_equal(ask(f, LOCAL, API_POST, "/local/reset", NULL)->status, 503);
	assert_int_equal(f->resets, 0);
	fixture_free(f);
}

static void a_lost_hook_is_no_health(void **state)
{
	struct fixture *f = fixture_new();

	(void)state;
	strcpy(f->api.engine, "the engine has lost its hook x");
	assert_int_equal(ask(f, NOBODY, API_GET, "/healthz", NULL)->status, 503);
	assert_string_equal(
		f->answer.body,
		"{\"status\":\"failed\",\"engine\":\"the engine has lost its hook x\"}");
	assert_int_equal(ask(f, LOCAL, API_GET, "/local/doctor", NULL)->status, 503);
	assert_non_null(strstr(f->answer.body, "the engine has lost its hook x"));
	assert_int_equal(ask(f, STAFF, API_GET, METRICS, NULL)->status, 200); /* what there is */
	fixture_free(f);
}

static void formats_of_prometheus(void **state)
{
	struct api_request more = {.openmetrics = true};
	struct fixture *f = fixture_new();

	(void)state;
	ask(f, SCRAPER, API_GET, "/metrics", NULL);
	assert_string_equal(f->answer.type, "text/plain; version=0.0.4; charset=utf-8");
	assert_null(strstr(f->answer.body, "# EOF"));
	ask(f, SCRAPER, API_GET, "/metrics", &more);
	assert_string_equal(f->answer.type,
			    "application/openmetrics-text; version=1.0.0; charset=utf-8");
	assert_string_equal(f->answer.body + f->answer.len - 6, "# EOF\n");
	fixture_free(f);
}

static void limits_of_a_token_and_an_address(void **state)
{
	struct api_request later = {.now_ns = START + SECOND};
	struct fixture *f = fixture_new();

	(void)state;
	for (int i = 0; i < AUTH_REQUESTS; i++)
		assert_int_equal(ask(f, STAFF, API_GET, "/nothing", NULL)->status, 404);
	assert_int_equal(ask(f, STAFF, API_GET, METRICS, NULL)->status, 429);
	check_shape(&f->answer, false);
	assert_string_equal(f->answer.body,
			    "{\"error\":\"more than 20 requests a second with one token\"}");
	assert_int_equal(ask(f, NOBODY, API_GET, "/healthz", NULL)->status, 200);
	assert_int_equal(ask(f, LOCAL, API_GET, METRICS, NULL)->status, 200);
	assert_int_equal(ask(f, STAFF, API_GET, METRICS, &later)->status, 200);

	for (int i = 0; i < AUTH_FAILURES; i++)
		assert_int_equal(ask(f, STRANGER, API_GET, METRICS, NULL)->status, 401);
	assert_int_equal(ask(f, STRANGER, API_GET, METRICS, NULL)->status, 429);
	assert_true(f->answer.retry_s > 50);
	assert_int_equal(ask(f, NOBODY, API_GET, "/login?code=" CODE, NULL)->status, 429);
	assert_true(f->answer.retry_s > 50);
	assert_string_equal(f->answer.session, "");
	assert_int_equal(ask(f, NOBODY, API_GET, METRICS, NULL)->status, 401);
	assert_int_equal(ask(f, SCRAPER, API_GET, "/metrics", NULL)->status, 200);
	fixture_free(f);
}

static void logging_in_and_out(void **state)
{
	struct api_request with = {0};
	struct fixture *f = fixture_new();
	char cookie[128], error[512];

	(void)state;
	assert_int_equal(settings_set(&f->settings, SETTING_BASE_PATH, "/x", false, "base-path",
				      "test", error, sizeof(error)),
			 0);
	assert_int_equal(ask(f, NOBODY, API_GET, "/x/login?code=" CODE, NULL)->status, 303);
	assert_string_equal(f->answer.location, "/x/");
	assert_int_equal(strlen(f->answer.session), TOKEN_TEXT_SIZE - 1);
	snprintf(cookie, sizeof(cookie), AUTH_COOKIE "=%s", f->answer.session);
	with.cookie = cookie;
	assert_int_equal(ask(f, NOBODY, API_GET, "/x" METRICS, &with)->status, 200);
	assert_int_equal(ask(f, NOBODY, API_GET, "/x/", &with)->status, 200);
	assert_int_equal(ask(f, NOBODY, API_GET, "/x/metrics", &with)->status, 200);
	assert_int_equal(ask(f, NOBODY, API_GET, "/x/login?code=" CODE, NULL)->status, 401);
	assert_int_equal(ask(f, NOBODY, API_POST, "/x/logout", &with)->status, 200);
	assert_true(f->answer.end_session);
	assert_int_equal(ask(f, NOBODY, API_GET, "/x" METRICS, &with)->status, 401);
	fixture_free(f);
}

static enum auth_verdict post_login(struct fixture *f, const char *body, size_t len)
{
	struct api_request form = {.body = body, .body_len = len};

	ask(f, NOBODY, API_POST, "/login", &form);
	check_shape(&f->answer, false);
	return f->answer.status == 303   ? AUTH_GRANTED
	       : f->answer.status == 429 ? AUTH_LOCKED
	       : f->answer.status == 401 ? AUTH_WRONG
					 : AUTH_NONE;
}

static void logging_in_with_a_form(void **state)
{
	struct fixture *f = fixture_new();
	char body[API_BODY];

	(void)state;
	snprintf(body, sizeof(body), "token=%s", f->staff);
	assert_int_equal(post_login(f, body, strlen(body)), AUTH_GRANTED);
	assert_int_equal(strlen(f->answer.session), TOKEN_TEXT_SIZE - 1);
	snprintf(body, sizeof(body), "a=b&token=+%s+%%0d%%0a&c", f->staff);
	assert_int_equal(post_login(f, body, strlen(body)), AUTH_GRANTED); /* as it is pasted */
	snprintf(body, sizeof(body), "token=%s", f->scrape);
	assert_int_equal(post_login(f, body, strlen(body)), AUTH_WRONG);
	assert_int_equal(post_login(f, "token=", 6), AUTH_WRONG);
	assert_int_equal(post_login(f, "token=\0", 7), AUTH_WRONG);
	assert_int_equal(post_login(f, "", 0), AUTH_NONE);
	assert_int_equal(f->answer.status, 400);
	ask(f, NOBODY, API_POST, "/login", NULL);
	assert_int_equal(f->answer.status, 415); /* no form */
	for (int i = 0; i < AUTH_FAILURES - 3; i++)
		assert_int_equal(post_login(f, "token=x", 7), AUTH_WRONG);
	snprintf(body, sizeof(body), "token=%s", f->staff);
	assert_int_equal(post_login(f, body, strlen(body)), AUTH_LOCKED);
	assert_true(f->answer.retry_s > 50);
	fixture_free(f);
}

static void names_that_are_not_ours(void **state)
{
	struct api_request other = {.from = {.host = "rebound.example"}};
	struct fixture *f = fixture_new();

	(void)state;
	assert_int_equal(ask(f, STAFF, API_GET, METRICS, &other)->status, 421);
	check_shape(&f->answer, false);
	assert_int_equal(ask(f, NOBODY, API_GET, "/login", &other)->status, 421);
	assert_int_equal(ask(f, NOBODY, API_GET, "/nothing", &other)->status, 421);
	assert_int_equal(ask(f, NOBODY, API_GET, "/healthz", &other)->status, 200);
	assert_int_equal(ask(f, LOCAL, API_GET, METRICS, &other)->status, 200);
	other.from.host = "127.0.0.1:9797";
	other.from.fetch_site = "cross-site";
	assert_int_equal(ask(f, STAFF, API_POST, "/logout", &other)->status, 403);
	assert_int_equal(ask(f, STAFF, API_GET, METRICS, &other)->status, 200);
	fixture_free(f);
}

/* The first request after a change of the tokens may be a login. */
static void a_login_sees_the_tokens_of_now(void **state)
{
	char path[128], error[512], fresh[TOKEN_TEXT_SIZE];
	struct fixture *f = fixture_new();

	(void)state;
	snprintf(path, sizeof(path), "/login?code=%s", f->staff);
	assert_int_equal(ask(f, NOBODY, API_GET, path, NULL)->status, 303);
	assert_int_equal(tokens_add(f->s.dir, "new", ROLE_STAFF, 1, fresh, error, sizeof(error)),
			 0);
	snprintf(path, sizeof(path), "/login?code=%s", fresh);
	assert_int_equal(ask(f, NOBODY, API_GET, path, NULL)->status, 303);
	assert_int_equal(tokens_revoke(f->s.dir, "new", error, sizeof(error)), 0);
	assert_int_equal(ask(f, NOBODY, API_GET, path, NULL)->status, 401);
	fixture_free(f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SENTENCE("values have a length", values_have_a_length),
		SENTENCE("more parameters than there can be", more_parameters_than_there_can_be),
		SENTENCE("before the first count", before_the_first_count),
		SENTENCE("a lost hook is no health", a_lost_hook_is_no_health),
		SENTENCE("formats of Prometheus", formats_of_prometheus),
		SENTENCE("limits of a token and an address", limits_of_a_token_and_an_address),
		SENTENCE("logging in and out", logging_in_and_out),
		SENTENCE("logging in with a form", logging_in_with_a_form),
		SENTENCE("names that are not ours", names_that_are_not_ours),
		SENTENCE("a login sees the tokens of now", a_login_sees_the_tokens_of_now),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return check_run("api", check_row, rows, sizeof(rows[0]), COUNT(rows), tests, COUNT(tests));
}

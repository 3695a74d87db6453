// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_history.h"
#include "api_local.h"
#include "call.h"
#include "json.h"
#include "log.h"
#include "login.h"
#include "prometheus.h"
#include "table.h"
#include "trial.h"

#define NOTHING "there is nothing here"
#define VALUE_MAX 256 /* bytes of a filter's value */

/* --- answers --- */

int answer_text(struct call *call, int status, const char *type, char *body)
{
	if (!body)
		return -ENOMEM;
	call->answer->status = status;
	call->answer->type = type;
	call->answer->body = body;
	call->answer->len = strlen(body);
	return 0;
}

int answer_error(struct call *call, int status, const char *format, ...)
{
	char text[API_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return answer_text(call, status, JSON_TYPE, json_of_error(text));
}

int answer_redirect(struct call *call, const char *path)
{
	snprintf(call->answer->location, sizeof(call->answer->location), "%s%s",
		 settings_text(call->api->settings, SETTING_BASE_PATH), path);
	return answer_text(call, 303, TEXT_TYPE, strdup(""));
}

/* --- parameters --- */

const char *parameter(const struct call *call, const char *key)
{
	for (size_t i = 0; i < call->request->nr_parameters; i++)
		if (!strcmp(call->request->parameters[i].key, key))
			return call->request->parameters[i].value;
	return NULL;
}

int check_parameters(struct call *call, const char *const *known, size_t nr, const char *accepted,
		     int *ret_err)
{
	const struct api_request *request = call->request;

	for (size_t i = 0; i < request->nr_parameters; i++) {
		const struct api_parameter *p = &request->parameters[i];
		char key[64];
		bool found = false;

		label_clean((struct text){p->key, strlen(p->key)}, key, sizeof(key));
		for (size_t k = 0; k < nr; k++)
			found |= !strcmp(p->key, known[k]);
		if (!found) {
			*ret_err = answer_error(call, 400, "unknown parameter `%s'; accepted: %s",
						key, accepted);
			return 1;
		}
		if (!p->value || !*p->value || strlen(p->value) > VALUE_MAX) {
			*ret_err = answer_error(call, 400, "%s needs a value of 1 to %d bytes", key,
						VALUE_MAX);
			return 1;
		}
		for (size_t k = 0; k < i; k++) {
			if (strcmp(request->parameters[k].key, p->key) != 0)
				continue;
			*ret_err = answer_error(call, 400, "%s is given twice", key);
			return 1;
		}
	}
	if (request->too_many_parameters) {
		*ret_err = answer_error(call, 400, "too many parameters; accepted: %s", accepted);
		return 1;
	}
	return 0;
}

int no_parameters(struct call *call, int *ret_err)
{
	return check_parameters(call, NULL, 0, "none", ret_err);
}

static const struct {
	const char *name;
	uint64_t seconds;
} windows[] = {{"1m", 60}, {"5m", 300}, {"15m", 900}, {"1h", 3600}};

/* Returns 1 when the answer is made. */
static int filter_of(struct call *call, struct filter *ret_filter, int *ret_err)
{
	static const char *const known[] = {"server", "channel", "user", "window"};
	const char *window = parameter(call, "window");

	if (check_parameters(call, known, sizeof(known) / sizeof(known[0]),
			     "server, channel, user, window", ret_err))
		return 1;
	*ret_filter = (struct filter){
		.server = parameter(call, "server"),
		.channel = parameter(call, "channel"),
		.user = parameter(call, "user"),
	};
	for (size_t i = 0; window && i < sizeof(windows) / sizeof(windows[0]); i++)
		if (!strcmp(window, windows[i].name))
			ret_filter->window_ns = windows[i].seconds * 1000000000;
	if (window && !ret_filter->window_ns) {
		char shown[64];

		label_clean((struct text){window, strlen(window)}, shown, sizeof(shown));
		*ret_err = answer_error(call, 400, "window takes 1m, 5m, 15m or 1h, not `%s'",
					shown);
		return 1;
	}
	return 0;
}

/* Returns 1 when the answer is made: nothing has been counted yet. */
static int not_counted(struct call *call, int *ret_err)
{
	if (call->api->counted)
		return 0;
	call->answer->retry_s = 1;
	*ret_err = answer_error(call, 503, "counting has only just begun; ask again in a second");
	return 1;
}

/* --- paths for everybody --- */

static int get_metrics(struct call *call)
{
	char store[RECORDER_TEXT];
	struct filter filter;
	int err;

	if (filter_of(call, &filter, &err) || not_counted(call, &err))
		return err;
	aggregate_summary(call->api->aggregate, &filter, call->api->summary);
	if (call->api->recorder) {
		recorder_state(call->api->recorder, store);
		call->api->summary->store = store;
	}
	return answer_text(call, 200, JSON_TYPE, json_of_summary(call->api->summary));
}

static int get_prometheus(struct call *call)
{
	enum prometheus_format format = call->request->openmetrics ? PROMETHEUS_OPENMETRICS
								   : PROMETHEUS_TEXT;
	size_t len = 0;
	char *text = NULL;
	FILE *out;
	int err;

	if (no_parameters(call, &err) || not_counted(call, &err))
		return err;
	out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	aggregate_summary(call->api->aggregate, NULL, call->api->summary);
	prometheus_print(out, call->api->summary, format);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	return answer_text(call, 200,
			   format == PROMETHEUS_TEXT
				   ? "text/plain; version=0.0.4; charset=utf-8"
				   : "application/openmetrics-text; version=1.0.0; charset=utf-8",
			   text);
}

static int get_health(struct call *call)
{
	const char *engine = call->api->engine;
	int err;

	if (no_parameters(call, &err))
		return err;
	return answer_text(call, *engine || !call->api->counted ? 503 : 200, JSON_TYPE,
			   json_of_health(*engine              ? engine
					  : call->api->counted ? NULL
							       : "nothing has been counted yet"));
}

/* What the dashboard has to know of the agent, but its numbers. */
static int get_about(struct call *call)
{
	const struct settings *settings = call->api->settings;
	int err;

	return no_parameters(call, &err)
		       ? err
		       : answer_text(call, 200, JSON_TYPE,
				     json_of_about(settings, call->api->scope, call->api->engine));
}

/* --- paths of the local socket --- */

/* ?width=N&bold=1 */
static int local_table(struct call *call)
{
	static const char *const known[] = {"width", "bold"};
	const char *width = parameter(call, "width");
	struct table_style style = {.scope = call->api->scope, .left_s = -1};
	size_t len = 0;
	char *text = NULL;
	FILE *out;
	int err;

	if (check_parameters(call, known, 2, "width, bold", &err) || not_counted(call, &err))
		return err;
	style.width = width ? (unsigned)strtoul(width, NULL, 10) : TABLE_WIDTH_MAX;
	style.bold = parameter(call, "bold") != NULL;
	out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	aggregate_summary(call->api->aggregate, NULL, call->api->summary);
	table_print(out, call->api->summary, &style);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	return answer_text(call, 200, TEXT_TYPE, text);
}

static void print_hooks(FILE *out, const struct summary *s)
{
	fputs("Hooks of the running agent\n", out);
	for (size_t i = 0; i < s->nr_hooks; i++) {
		const struct reading_hook *hook = &s->hooks[i];

		fprintf(out, "  %-4s %-32s %s%s%s\n", hook->attached ? "ok" : "NO", hook->name,
			hook->purpose, hook->attached ? "" : ": ",
			hook->attached ? "" : hook->reason);
	}
}

static void print_books(FILE *out, const struct summary *s)
{
	unsigned long long lost = s->missed_runs + s->labels_full;

	fprintf(out, "\nBooks\n  %-4s %-32s %s\n", summary_is_balanced(s) ? "ok" : "NO", "balance",
		summary_is_balanced(s) ? "every equation holds"
				       : "an equation does not hold: do not trust the numbers");
#define X(name, text)                                                                              \
	if (s->books.name && strcmp(#name, "events_submitted") != 0) {                             \
		fprintf(out, "  %-4s %-32s %llu %s\n", "-", #name,                                 \
			(unsigned long long)s->books.name, text);                                  \
		lost++;                                                                            \
	}
	BOOKS(X)
#undef X
	if (s->missed_runs)
		fprintf(out, "  %-4s %-32s %llu runs of programs that the kernel skipped\n", "-",
			"missed_runs", (unsigned long long)s->missed_runs);
	if (!lost)
		fputs("  ok   losses                           nothing was lost\n", out);
}

static void print_unseen(FILE *out, const struct summary *s)
{
	fputs("\nProcesses that cannot be seen\n", out);
	for (size_t i = 0; i < s->nr_unseen; i++) {
		const struct reading_unseen *u = &s->unseen[i];
		char who[64];

		snprintf(who, sizeof(who), "%s, process %u", u->process.comm, u->key.tgid);
		fprintf(out, "  -    %-32s it %s: %llu sockets; %s%s%s\n", who,
			unseen_words(u->key.reason), (unsigned long long)u->count,
			*u->process.executable ? u->process.executable : "it is gone",
			*u->process.unit ? ", " : "", u->process.unit);
	}
	if (!s->nr_unseen)
		fputs("  ok   none                             every socket in scope can be "
		      "followed\n",
		      out);
}

static int local_doctor(struct call *call)
{
	struct api *api = call->api;
	size_t len = 0;
	char *text = NULL;
	FILE *out;
	int err;

	if (no_parameters(call, &err) || not_counted(call, &err))
		return err;
	out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	aggregate_summary(api->aggregate, NULL, api->summary);
	fprintf(out, "Agent\n  %-4s %-32s %s\n  %-4s %-32s %s\n  %-4s %-32s %s\n\n",
		*api->engine ? "NO" : "ok", "engine", *api->engine ? api->engine : "it counts",
		"ok", "watches", api->scope, "ok", "confinement", api->sandbox);
	print_hooks(out, api->summary);
	print_books(out, api->summary);
	print_unseen(out, api->summary);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	/* the command's exit status follows ours */
	return answer_text(call, *api->engine || !summary_is_balanced(api->summary) ? 503 : 200,
			   TEXT_TYPE, text);
}

static int local_version(struct call *call)
{
	int err;

	return no_parameters(call, &err)
		       ? err
		       : answer_text(call, 200, TEXT_TYPE, strdup(WSVITALS_VERSION "\n"));
}

static int local_config(struct call *call)
{
	size_t len = 0;
	char *text = NULL;
	FILE *out;
	int err;

	if (no_parameters(call, &err))
		return err;
	out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	settings_print(out, call->api->settings);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	return answer_text(call, 200, TEXT_TYPE, text);
}

static int local_command(struct call *call, int (*command)(char *, size_t, void *))
{
	char text[API_TEXT] = "", line[API_TEXT + 2];
	int err;

	if (no_parameters(call, &err))
		return err;
	err = command(text, sizeof(text), call->api->ctx);
	snprintf(line, sizeof(line), "%s\n", text);
	return answer_text(call, err ? 409 : 200, TEXT_TYPE, strdup(line));
}

static int local_reset(struct call *call)
{
	int err;

	return not_counted(call, &err) ? err : local_command(call, call->api->reset);
}

static int local_reload(struct call *call)
{
	return local_command(call, call->api->reload);
}

/* For tests: see trial.h. */
static int local_trial(struct call *call)
{
	const char *name = parameter(call, "call");
	char line[32];
	int err = 0;

	if (!name || !trial_call(name, &err))
		return answer_error(call, 404, NOTHING);
	snprintf(line, sizeof(line), "%d\n", err);
	return answer_text(call, 200, TEXT_TYPE, strdup(line));
}

/* --- the table --- */

static const struct path {
	const char *path; /* without the optional slash at its end */
	enum role role;   /* ROLE_NONE: everybody */
	bool local;       /* exists on the local socket only */
	handler_fn get;   /* GET and HEAD; NULL: not allowed */
	handler_fn post;  /* NULL: not allowed */
} paths[] = {
	{"/api/websocket/metrics", ROLE_STAFF, false, get_metrics, NULL},
	{"/api/websocket/metrics/history", ROLE_STAFF, false, history_get, NULL},
	{"/api/websocket/heatmap", ROLE_STAFF, false, heatmap_get, NULL},
	{"/api/websocket/connections", ROLE_STAFF, false, connections_get, NULL},
	{"/api/websocket/errors", ROLE_STAFF, false, errors_get, NULL},
	{"/api/websocket/servers", ROLE_STAFF, false, servers_get, NULL},
	{"/api/websocket/channels", ROLE_STAFF, false, channels_get, NULL},
	{"/api/websocket/users", ROLE_STAFF, false, users_get, NULL},
	{"/api/websocket/events", ROLE_STAFF, false, events_get, NULL},
	{"/api/websocket/compare", ROLE_STAFF, false, compare_get, NULL},
	{"/api/websocket/forecast", ROLE_STAFF, false, forecast_get, NULL},
	{"/api/openapi.json", ROLE_STAFF, false, openapi_get, NULL},
	{"/metrics", ROLE_SCRAPE, false, get_prometheus, NULL},
	{"/healthz", ROLE_NONE, false, get_health, NULL},
	{"/api/websocket/about", ROLE_STAFF, false, get_about, NULL},
	{"/login", ROLE_NONE, false, login_get, login_post},
	{"/logout", ROLE_STAFF, false, NULL, logout_post},
	{"", ROLE_STAFF, false, page_get_index, NULL},
	{"/page.js", ROLE_STAFF, false, page_get_script, NULL},
	{"/page.css", ROLE_NONE, false, page_get_style, NULL}, /* of the login too */
	{"/icon.svg", ROLE_NONE, false, page_get_icon, NULL},
	{"/local/table", ROLE_NONE, true, local_table, NULL},
	{"/local/history", ROLE_NONE, true, history_local, NULL},
	{"/local/connections", ROLE_NONE, true, connections_local, NULL},
	{"/local/errors", ROLE_NONE, true, errors_local, NULL},
	{"/local/compare", ROLE_NONE, true, compare_local, NULL},
	{"/local/doctor", ROLE_NONE, true, local_doctor, NULL},
	{"/local/version", ROLE_NONE, true, local_version, NULL},
	{"/local/config", ROLE_NONE, true, local_config, NULL},
	{"/local/reset", ROLE_NONE, true, NULL, local_reset},
	{"/local/reload", ROLE_NONE, true, NULL, local_reload},
	{"/local/trial", ROLE_NONE, true, local_trial, NULL},
};

/* The path below the base, or NULL when it is not below it. The local socket has no base. */
static const char *below_base(const struct api *api, bool local, const char *path)
{
	const char *base = settings_text(api->settings, SETTING_BASE_PATH);
	size_t len = strlen(base);

	if (local)
		return path;
	if (strncmp(path, base, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

static const struct path *find_path(const struct api *api, bool local, const char *path_)
{
	const char *path = below_base(api, local, path_);
	size_t len = path ? strlen(path) : 0;

	if (!path)
		return NULL;
	if (len && path[len - 1] == '/')
		len--; /* one slash at the end is optional */
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (strlen(paths[i].path) == len && !memcmp(paths[i].path, path, len) &&
		    (!paths[i].local || local))
			return &paths[i];
	return NULL;
}

static const char *why_unauthorized(enum auth_verdict verdict)
{
	return verdict == AUTH_NONE ? "a token is needed: Authorization: Bearer TOKEN (`wsvitals "
				      "token add NAME` "
				      "makes one)"
				    : "this token is not known, or has been revoked";
}

/* A change of the tokens counts from the next request on. */
static void refresh_tokens(struct api *api)
{
	char error[API_TEXT];

	if (auth_refresh(api->auth, error, sizeof(error)))
		log_problem(LOG_ERROR, "the tokens known so far stay in force: %s", error);
}

/* Returns 1 when the answer is made: access is refused. path: NULL where there is none, which only
 * those may learn who have a token. */
static int refuse_access(struct call *call, const struct path *path, int *ret_err)
{
	const struct api_request *request = call->request;
	enum role need = path ? path->role : ROLE_SCRAPE;
	struct auth_request who = {
		.authorization = request->authorization,
		.cookie = request->cookie,
		.address = call->gate.address,
		.now_ns = request->now_ns,
		.wall = request->wall,
	};
	struct auth_answer is;

	if (request->local)
		return 0;
	refresh_tokens(call->api);
	if (need == ROLE_NONE)
		return 0;
	auth_check(call->api->auth, &who, &is);
	call->answer->retry_s = is.retry_s;
	switch (is.verdict) {
	case AUTH_GRANTED:
		if (is.role >= need)
			return 0;
		*ret_err = answer_error(call, 403, "Only staff can view metrics");
		return 1;
	case AUTH_TOO_MANY:
		*ret_err = answer_error(call, 429, "more than %d requests a second with one token",
					AUTH_REQUESTS);
		return 1;
	case AUTH_LOCKED:
		*ret_err = answer_error(call, 429, "too many wrong credentials from this address");
		return 1;
	default:
		/* a person with a browser */
		if (path && path->get == page_get_index && !request->authorization) {
			*ret_err = answer_redirect(call, "/login");
			return 1;
		}
		call->answer->challenge = true;
		*ret_err = answer_error(call, 401, "%s", why_unauthorized(is.verdict));
		return 1;
	}
}

/* Returns 1 when the answer is made: the request did not come the way it should have. */
static int refuse_way(struct call *call, const struct path *path, int *ret_err)
{
	const struct api_request *request = call->request;

	if (request->local)
		return 0;
	gate_look(call->api->settings, &request->from, &call->gate);
	/* whoever asks for nothing but health may call us as he likes */
	if (!call->gate.host_is_ours && !(path && path->get == get_health)) {
		*ret_err = answer_error(call, 421,
					"this agent is not known under the name in Host; name it "
					"in the configuration: host = NAME");
		return 1;
	}
	if (request->method == API_POST && !call->gate.page_is_ours) {
		*ret_err = answer_error(call, 403, "a page of another site has sent this");
		return 1;
	}
	return 0;
}

static const char *methods_of(const struct path *path)
{
	if (path->get && path->post)
		return "GET, HEAD, POST";
	return path->get ? "GET, HEAD" : "POST";
}

bool api_takes_body(const struct api *api, enum api_method method, const char *path)
{
	const struct path *found = find_path(api, false, path);

	return method == API_POST && found && found->post == login_post;
}

int api_handle(struct api *api, const struct api_request *request, struct api_answer *ret_answer)
{
	struct api_answer answer = {0};
	struct call call = {.api = api, .request = request, .answer = &answer};
	const struct path *path = find_path(api, request->local, request->path);
	handler_fn handler = NULL;
	int err = 0;

	if (!refuse_way(&call, path, &err) && !refuse_access(&call, path, &err)) {
		if (path && (request->method == API_GET || request->method == API_HEAD))
			handler = path->get;
		else if (path && request->method == API_POST)
			handler = path->post;
		if (!path) {
			err = answer_error(&call, 404, NOTHING);
		} else if (handler) {
			err = handler(&call);
		} else {
			answer.allow = methods_of(path);
			err = answer_error(&call, 405, "this path takes %s only", answer.allow);
		}
	}
	if (err)
		return err;
	*ret_answer = answer;
	return 0;
}

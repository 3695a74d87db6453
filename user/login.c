// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#define _GNU_SOURCE
#include "login.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "form.h"
#include "label.h"
#include "log.h"
#include "page.h"

/* --- the files --- */

static int answer_file(struct call *call, enum page_file file)
{
	struct api_answer *answer = call->answer;
	struct page_bytes bytes;
	int err;

	if (no_parameters(call, &err))
		return err;
	page_bytes(file, &bytes);
	if (call->request->gzip) {
		answer->body = malloc(bytes.len);
		if (answer->body)
			memcpy(answer->body, bytes.gzip, bytes.len);
		answer->len = bytes.len;
		answer->packed = true;
	} else {
		answer->body = page_plain(file, "", &answer->len);
	}
	if (!answer->body)
		return -ENOMEM;
	answer->status = 200;
	answer->type = bytes.type;
	answer->page = true;
	return 0;
}

/* The page's own references are relative: where it lies must be where it is asked for. */
static bool ends_with_slash(const struct call *call)
{
	size_t len = strlen(call->request->path);

	return len && call->request->path[len - 1] == '/';
}

int page_get_index(struct call *call)
{
	/* the page keeps its state in the query, for itself */
	struct api_request without = *call->request;
	struct call plain = *call;

	if (!ends_with_slash(call))
		return answer_redirect(call, "/");
	without.nr_parameters = 0;
	without.too_many_parameters = false;
	plain.request = &without;
	return answer_file(&plain, PAGE_INDEX);
}

int page_get_script(struct call *call)
{
	return answer_file(call, PAGE_SCRIPT);
}

int page_get_style(struct call *call)
{
	return answer_file(call, PAGE_STYLE);
}

int page_get_icon(struct call *call)
{
	return answer_file(call, PAGE_ICON);
}

/* --- in and out --- */

static int answer_form(struct call *call, int status, const char *message)
{
	struct api_answer *answer = call->answer;
	struct page_bytes bytes;

	page_bytes(PAGE_LOGIN, &bytes);
	answer->body = page_plain(PAGE_LOGIN, message, &answer->len);
	if (!answer->body)
		return -ENOMEM;
	answer->status = status;
	answer->type = bytes.type;
	answer->page = true;
	answer->challenge = status == 401; /* RFC 9110 15.5.2; no browser asks for a Bearer token */
	return 0;
}

/* Who came with what, for the record. Neither a token nor a code is ever written. */
static void audit(const struct call *call, enum auth_verdict verdict, const char *way)
{
	char address[LABEL_ADDRESS_SIZE];

	label_address(call->gate.address, address);
	switch (verdict) {
	case AUTH_GRANTED:
		log_info("login from %s with %s: session of token `%s' begins", address, way,
			 auth_session_name(call->api->auth, call->answer->session,
					   call->request->now_ns));
		break;
	case AUTH_LOCKED:
		log_problem(LOG_WARNING, "login from %s with %s: refused, too many wrong ones",
			    address, way);
		break;
	default:
		log_warning("login from %s with %s: refused, it is wrong or has been used", address,
			    way);
	}
}

static int enter(struct call *call, const char *secret, const char *way)
{
	struct api_answer *answer = call->answer;
	enum auth_verdict verdict;

	verdict = auth_login(call->api->auth, secret, call->gate.address, call->request->now_ns,
			     answer->session, &answer->retry_s);
	audit(call, verdict, way);
	switch (verdict) {
	case AUTH_GRANTED:
		answer->secure = call->gate.secure;
		return answer_redirect(call, "/");
	case AUTH_LOCKED:
		return answer_form(call, 429,
				   "Too many wrong tokens came from your address. Wait a minute, "
				   "then try again.");
	default:
		return answer_form(call, 401,
				   "That is not a staff token, or the link has been used already.");
	}
}

int login_get(struct call *call)
{
	static const char *const known[] = {"code"};
	const char *code = parameter(call, "code");
	int err;

	if (check_parameters(call, known, 1, "code", &err))
		return err;
	if (code)
		return enter(call, code, "the one-time link");
	return ends_with_slash(call) ? answer_redirect(call, "/login") : answer_form(call, 200, "");
}

int login_post(struct call *call)
{
	const struct api_request *request = call->request;
	char token[2 * TOKEN_TEXT_SIZE];
	int err, len;

	if (no_parameters(call, &err))
		return err;
	if (!request->body)
		return answer_error(call, 415,
				    "a login is a form: application/x-www-form-urlencoded with the "
				    "field token");
	len = form_field(request->body, request->body_len, "token", token, sizeof(token));
	if (len == -ENOENT)
		return answer_form(call, 400, "Paste a staff token.");
	/* blanks come along when it is pasted */
	while (len > 0 && strchr(" \t\r\n", token[len - 1]))
		token[--len] = '\0';
	/* what cannot be one counts as a wrong one */
	err = enter(call, len < 0 ? "" : token + strspn(token, " \t\r\n"), "a token");
	sodium_memzero(token, sizeof(token));
	return err;
}

int logout_post(struct call *call)
{
	const struct api_request *request = call->request;
	char address[LABEL_ADDRESS_SIZE];
	int err;

	if (no_parameters(call, &err))
		return err;
	label_address(call->gate.address, address);
	auth_logout(call->api->auth, request->cookie, request->now_ns);
	log_info("logout from %s", address);
	call->answer->end_session = true;
	call->answer->secure = call->gate.secure;
	return answer_text(call, 200, JSON_TYPE, strdup("{}\n"));
}

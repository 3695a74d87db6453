// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place.h"

#define WAIT_S 10L
#define BODY_MAX (64u << 20)
#define URL_MAX 4096

struct body {
	char *text;
	size_t len;
	CURL *curl;
	FILE *out; /* of a 200; NULL: it is kept */
};

static size_t take(char *data, size_t size, size_t nr, void *ctx)
{
	struct body *body = ctx;
	long status = 0;
	char *bigger;

	if (body->out)
		curl_easy_getinfo(body->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		return fwrite(data, size, nr, body->out) * size;
	if (body->len + size * nr > BODY_MAX)
		return 0;
	bigger = realloc(body->text, body->len + size * nr + 1);
	if (!bigger)
		return 0;
	body->text = bigger;
	memcpy(body->text + body->len, data, size * nr);
	body->len += size * nr;
	body->text[body->len] = '\0';
	return size * nr;
}

/* Why nobody could be asked, in the words of somebody who must do something about it. */
static int explain(const char *socket, const char *words, char *error, size_t size)
{
	struct stat st;

	if (stat(socket, &st) && (errno == ENOENT || errno == ENOTDIR)) {
		snprintf(error, size,
			 "no agent runs here (%s is not there): start one with `wsvitals run', or "
			 "name its directory with --run-dir",
			 socket);
		return -ENOENT;
	}
	if (access(socket, W_OK)) {
		snprintf(error, size,
			 "the agent's socket %s cannot be opened: use sudo, or join the group "
			 "wsvitals",
			 socket);
		return -EACCES;
	}
	snprintf(error, size, "the agent at %s does not answer: %s", socket, words);
	return -EIO;
}

static int ask(const char *run_dir, bool post, const char *path, FILE *out,
	       struct client_answer *ret_answer, char *ret_error, size_t error_size)
{
	char socket[300], url[URL_MAX];
	CURL *curl = curl_easy_init();
	struct body body = {.curl = curl, .out = out};
	CURLcode code;
	long status = 0;

	if (!curl) {
		snprintf(ret_error, error_size, "out of memory");
		return -ENOMEM;
	}
	snprintf(socket, sizeof(socket), "%s/" PLACE_SOCKET, run_dir);
	snprintf(url, sizeof(url), "http://wsvitals%s", path);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
	if (out) {                                 /* as long as something comes */
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, WAIT_S);
	} else {
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, WAIT_S);
	}
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	if (post) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
	}
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (!code && !body.text)
		body.text = strdup("");
	if (code || !body.text) {
		free(body.text);
		return explain(socket, curl_easy_strerror(code), ret_error, error_size);
	}
	*ret_answer = (struct client_answer){.status = status, .body = body.text};
	return 0;
}

int client_ask(const char *run_dir, bool post, const char *path, struct client_answer *ret_answer,
	       char *ret_error, size_t error_size)
{
	return ask(run_dir, post, path, NULL, ret_answer, ret_error, error_size);
}

int client_copy(const char *run_dir, const char *path, FILE *out, struct client_answer *ret_answer,
		char *ret_error, size_t error_size)
{
	return ask(run_dir, false, path, out, ret_answer, ret_error, error_size);
}

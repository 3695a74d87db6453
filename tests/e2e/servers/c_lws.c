/* Echo server on libwebsockets. The commands it understands are listed in ../servers.py. */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One frame that waits until the socket is writable; libwebsockets writes one per callback. */
struct item {
	struct item *next;
	enum lws_write_protocol kind;
	size_t len;
	unsigned char data[]; /* LWS_PRE bytes of headroom, then the payload */
};

struct session {
	struct item *head, *tail;
	char *in;
	size_t in_len;
	char *delayed;  /* what "sleep:" will echo */
	int close_code; /* 0: stay open; -1: close without a code */
};

static void put(struct lws *wsi, struct session *s, enum lws_write_protocol kind, const void *data,
		size_t len)
{
	struct item *item = malloc(sizeof(*item) + LWS_PRE + len);

	item->next = NULL;
	item->kind = kind;
	item->len = len;
	memcpy(item->data + LWS_PRE, data, len);
	if (s->tail)
		s->tail->next = item;
	else
		s->head = item;
	s->tail = item;
	lws_callback_on_writable(wsi);
}

static void push(struct lws *wsi, struct session *s, int count)
{
	char text[32];

	for (int i = 0; i < count; i++)
		put(wsi, s, LWS_WRITE_TEXT, text,
		    (size_t)snprintf(text, sizeof(text), "push %d", i));
}

static void message(struct lws *wsi, struct session *s, int binary)
{
	char command[32] = "", *value;

	if (!binary && s->in_len < sizeof(command))
		memcpy(command, s->in, s->in_len);
	value = strchr(command, ':');
	if (value)
		*value++ = 0;
	else
		command[0] = 0;
	if (!strcmp(command, "ignore"))
		return;
	if (!strcmp(command, "exit"))
		exit(0);
	if (!strcmp(command, "close")) {
		s->close_code = *value ? atoi(value) : -1;
		lws_callback_on_writable(wsi);
		return;
	}
	if (!strcmp(command, "sleep")) {
		s->delayed = strndup(s->in, s->in_len);
		lws_set_timer_usecs(wsi, atoi(value) * 1000);
		return;
	}
	put(wsi, s, binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT, s->in, s->in_len);
	if (!strcmp(command, "push"))
		push(wsi, s, atoi(value));
	if (!strcmp(command, "ping"))
		put(wsi, s, LWS_WRITE_PING, "beat", 4);
}

static int writable(struct lws *wsi, struct session *s)
{
	struct item *item = s->head;

	if (item) {
		s->head = item->next;
		if (!s->head)
			s->tail = NULL;
		lws_write(wsi, item->data + LWS_PRE, item->len, item->kind);
		free(item);
		lws_callback_on_writable(wsi);
		return 0;
	}
	if (!s->close_code)
		return 0;
	if (s->close_code > 0)
		lws_close_reason(wsi, (enum lws_close_status)s->close_code, NULL, 0);
	return -1;
}

/* The number after `prefix` in the request's path, -1 if the path is another one. */
static int path_number(struct lws *wsi, const char *prefix)
{
	char path[64] = "";

	lws_hdr_copy(wsi, path, sizeof(path), WSI_TOKEN_GET_URI);
	return strncmp(path, prefix, strlen(prefix)) ? -1 : atoi(path + strlen(prefix));
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		    size_t len)
{
	struct session *s = user;
	int number;

	switch (reason) {
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		number = path_number(wsi, "/refuse/");
		return number > 0 ? (lws_return_http_status(wsi, (unsigned int)number, NULL), 1)
				  : 0;
	case LWS_CALLBACK_HTTP:
		lws_return_http_status(wsi, 200, "plain");
		return lws_http_transaction_completed(wsi) ? -1 : 0;
	case LWS_CALLBACK_ESTABLISHED:
		number = path_number(wsi, "/push/");
		if (number > 0)
			push(wsi, s, number);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		s->in = realloc(s->in, s->in_len + len + 1);
		memcpy(s->in + s->in_len, in, len);
		s->in_len += len;
		if (lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi)) {
			message(wsi, s, lws_frame_is_binary(wsi));
			s->in_len = 0;
		}
		return 0;
	case LWS_CALLBACK_TIMER:
		if (s->delayed)
			put(wsi, s, LWS_WRITE_TEXT, s->delayed, strlen(s->delayed));
		free(s->delayed);
		s->delayed = NULL;
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return writable(wsi, s);
	case LWS_CALLBACK_CLOSED:
		while (s->head) {
			struct item *next = s->head->next;
			free(s->head);
			s->head = next;
		}
		free(s->in);
		free(s->delayed);
		return 0;
	default:
		return 0;
	}
}

int main(void)
{
	struct lws_protocols protocols[] = {
		{"echo", callback, sizeof(struct session), 65536, 0, NULL, 0}, {0}};
	struct lws_context_creation_info info = {0};
	struct lws_context *context;

	info.port = atoi(getenv("PORT"));
	info.iface = "lo";
	info.protocols = protocols;
	lws_set_log_level(LLL_ERR, NULL);
	context = lws_create_context(&info);
	if (!context)
		return 1;
	while (lws_service(context, 0) >= 0)
		;
	return 0;
}

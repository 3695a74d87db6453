/* Echo server on libsoup and GLib. The commands it understands are listed in ../servers.py. */
#include <libsoup/soup.h>
#include <stdlib.h>
#include <string.h>

/* A reply that waits, for "sleep:". */
struct delayed {
	SoupWebsocketConnection *connection;
	GBytes *message;
};

static gboolean delayed_send(gpointer user)
{
	struct delayed *delayed = user;

	soup_websocket_connection_send_message(delayed->connection, SOUP_WEBSOCKET_DATA_TEXT,
					       delayed->message);
	g_object_unref(delayed->connection);
	g_bytes_unref(delayed->message);
	g_free(delayed);
	return G_SOURCE_REMOVE;
}

static void push(SoupWebsocketConnection *connection, int count)
{
	for (int i = 0; i < count; i++) {
		char *text = g_strdup_printf("push %d", i);

		soup_websocket_connection_send_text(connection, text);
		g_free(text);
	}
}

static void on_message(SoupWebsocketConnection *connection, gint type, GBytes *message,
		       gpointer user)
{
	char command[32] = "", *value;
	gsize len;
	const char *data = g_bytes_get_data(message, &len);

	(void)user;
	if (type == SOUP_WEBSOCKET_DATA_TEXT && len < sizeof(command))
		memcpy(command, data, len);
	value = strchr(command, ':');
	if (value)
		*value++ = 0;
	else
		command[0] = 0;
	if (!strcmp(command, "ignore"))
		return;
	if (!strcmp(command, "exit"))
		_exit(0);
	if (!strcmp(command, "close")) {
		soup_websocket_connection_close(
			connection, *value ? (gushort)atoi(value) : SOUP_WEBSOCKET_CLOSE_NO_STATUS,
			NULL);
		return;
	}
	if (!strcmp(command, "sleep")) {
		struct delayed *delayed = g_new(struct delayed, 1);

		delayed->connection = g_object_ref(connection);
		delayed->message = g_bytes_ref(message);
		g_timeout_add((guint)atoi(value), delayed_send, delayed);
		return;
	}
	soup_websocket_connection_send_message(connection, (SoupWebsocketDataType)type, message);
	if (!strcmp(command, "push"))
		push(connection, atoi(value));
}

static void on_closed(SoupWebsocketConnection *connection, gpointer user)
{
	(void)user;
	g_object_unref(connection);
}

static void on_websocket(SoupServer *server, SoupServerMessage *request, const char *path,
			 SoupWebsocketConnection *connection, gpointer user)
{
	(void)server, (void)request, (void)user;
	soup_websocket_connection_set_max_incoming_payload_size(connection, 0);
	g_object_ref(connection);
	g_signal_connect(connection, "message", G_CALLBACK(on_message), NULL);
	g_signal_connect(connection, "closed", G_CALLBACK(on_closed), NULL);
	if (g_str_has_prefix(path, "/push/"))
		push(connection, atoi(path + strlen("/push/")));
}

static void on_refuse(SoupServer *server, SoupServerMessage *request, const char *path,
		      GHashTable *query, gpointer user)
{
	(void)server, (void)query, (void)user;
	soup_server_message_set_status(request, (guint)atoi(path + strlen("/refuse/")), NULL);
	/* it does not notice that an idle client has left */
	soup_message_headers_replace(soup_server_message_get_response_headers(request),
				     "Connection", "close");
}

static void on_plain(SoupServer *server, SoupServerMessage *request, const char *path,
		     GHashTable *query, gpointer user)
{
	(void)server, (void)path, (void)query, (void)user;
	soup_server_message_set_response(request, "text/plain", SOUP_MEMORY_STATIC, "plain\n", 6);
	soup_server_message_set_status(request, SOUP_STATUS_OK, NULL);
}

int main(void)
{
	SoupServer *server = soup_server_new(NULL, NULL);
	GError *error = NULL;
	int ipv6 = strchr(getenv("HOST"), ':') != NULL;

	soup_server_add_websocket_handler(server, "/", NULL, NULL, on_websocket, NULL, NULL);
	soup_server_add_handler(server, "/refuse", on_refuse, NULL, NULL);
	soup_server_add_handler(server, "/plain", on_plain, NULL, NULL);
	if (!soup_server_listen_local(
		    server, (guint)atoi(getenv("PORT")),
		    ipv6 ? SOUP_SERVER_LISTEN_IPV6_ONLY : SOUP_SERVER_LISTEN_IPV4_ONLY, &error)) {
		g_printerr("%s\n", error->message);
		return 1;
	}
	g_main_loop_run(g_main_loop_new(NULL, FALSE));
	return 0;
}

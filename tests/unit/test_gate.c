// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* gate.c: to which name, from which page and through which proxy a request came. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "gate.h"
#include "label.h"

struct row {
	const char *sentence;
	const char *listen; /* NULL: the default */
	const char *hosts, *proxies;
	struct gate_request request;
	const char *peer; /* NULL: 127.0.0.1 */
	bool host, page, secure;
	const char *address; /* NULL: the peer's */
};

#define HOST(text)                                                                                 \
	{                                                                                          \
		.host = (text)                                                                     \
	}
#define FROM(origin_)                                                                              \
	{                                                                                          \
		.host = "localhost:9797", .origin = (origin_)                                      \
	}
#define SITE(site)                                                                                 \
	{                                                                                          \
		.host = "localhost:9797", .origin = "http://localhost:9797", .fetch_site = (site)  \
	}
#define PROXIED(...)                                                                               \
	{                                                                                          \
		.host = "localhost", __VA_ARGS__                                                   \
	}

static const struct row rows[] = {
	{"loopback by address", .request = HOST("127.0.0.1:9797"), .host = true, .page = true},
	{"another address of loopback", .request = HOST("127.9.9.9"), .host = true, .page = true},
	{"loopback by name", .request = HOST("localhost:9797"), .host = true, .page = true},
	{"a name in capitals", .request = HOST("LOCALHOST"), .host = true, .page = true},
	{"a name with the root's dot", .request = HOST("localhost.:80"), .host = true,
	 .page = true},
	{"loopback of IPv6", .request = HOST("[::1]:9797"), .host = true, .page = true},
	{"any port: a tunnel may have another", .request = HOST("localhost:1"), .host = true,
	 .page = true},
	{"a name of somebody else", .request = HOST("rebind.example.org:9797"), .page = true},
	{"a name that begins like ours", .request = HOST("localhost.example.org"), .page = true},
	{"a name that ends like ours", .request = HOST("evil-localhost"), .page = true},
	{"a name that looks like loopback", .request = HOST("127.0.0.1.example.org"), .page = true},
	{"no name", .request = HOST(NULL), .page = true},
	{"an empty name", .request = HOST(""), .page = true},
	{"a port alone", .request = HOST(":9797"), .page = true},
	{"brackets that do not end", .request = HOST("[::1"), .page = true},
	{"an address that is not ours", .request = HOST("192.0.2.1:9797"), .page = true},
	{"the address that is listened on", .listen = "192.0.2.1:9797",
	 .request = HOST("192.0.2.1:9797"), .host = true, .page = true},
	{"another address than that", .listen = "192.0.2.1:9797", .request = HOST("192.0.2.2"),
	 .page = true},
	{"any address when all are listened on", .listen = "0.0.0.0:9797",
	 .request = HOST("192.0.2.2"), .host = true, .page = true},
	{"any name is not, even then", .listen = "[::]:9797", .request = HOST("rebind.example.org"),
	 .page = true},
	{"a name that was given", .hosts = "metrics.example.org",
	 .request = HOST("Metrics.example.org:443"), .host = true, .page = true},
	{"the second name that was given", .hosts = "a.example.org,b.example.org",
	 .request = HOST("b.example.org"), .host = true, .page = true},
	{"part of a name that was given", .hosts = "a.example.org", .request = HOST("example.org"),
	 .page = true},
	{"more than a name that was given", .hosts = "example.org",
	 .request = HOST("a.example.org"), .page = true},

	{"our own page by Origin", .request = FROM("http://localhost:9797"), .host = true,
	 .page = true},
	{"our own page over TLS", .request = FROM("https://localhost:9797"), .host = true,
	 .page = true},
	{"a page of another port of this host", .request = FROM("http://localhost:8000"),
	 .host = true},
	{"a page of somebody else", .request = FROM("https://evil.example.org"), .host = true},
	{"an Origin that is hidden", .request = FROM("null"), .host = true},
	{"an empty Origin", .request = FROM(""), .host = true},
	{"a page under a name that was given", .hosts = "metrics.example.org",
	 .request = FROM("https://metrics.example.org"), .host = true, .page = true},
	{"a page that the browser says is ours", .request = SITE("same-origin"), .host = true,
	 .page = true},
	{"an address that was typed", .request = SITE("none"), .host = true, .page = true},
	{"a page that the browser says is not ours, whatever Origin says",
	 .request = SITE("cross-site"), .host = true},
	{"a page of a neighbour", .request = SITE("same-site"), .host = true},

	{"X-Forwarded-* of nobody in particular does not count",
	 .request = PROXIED(.forwarded_for = "192.0.2.9", .forwarded_proto = "https",
			    .forwarded_host = "a.example.org"),
	 .host = true, .page = true},
	{"it counts from a proxy that was named", .proxies = "127.0.0.1",
	 .request = PROXIED(.forwarded_for = "192.0.2.9", .forwarded_proto = "https"), .host = true,
	 .page = true, .secure = true, .address = "192.0.2.9"},
	{"it counts from a network that was named", .proxies = "10.0.0.0/8", .peer = "10.1.2.3",
	 .request = PROXIED(.forwarded_for = "192.0.2.9"), .host = true, .page = true,
	 .address = "192.0.2.9"},
	{"it does not count from beside the network", .proxies = "10.0.0.0/8", .peer = "11.1.2.3",
	 .request = PROXIED(.forwarded_for = "192.0.2.9"), .host = true, .page = true},
	{"what the client made up stands to the left", .proxies = "127.0.0.1",
	 .request = PROXIED(.forwarded_for = "198.51.100.1, 192.0.2.9"), .host = true, .page = true,
	 .address = "192.0.2.9"},
	{"a chain of proxies is followed", .proxies = "127.0.0.1,10.0.0.0/8",
	 .request = PROXIED(.forwarded_for = "192.0.2.9, 10.0.0.7"), .host = true, .page = true,
	 .address = "192.0.2.9"},
	{"an entry that is no address ends the way", .proxies = "127.0.0.1",
	 .request = PROXIED(.forwarded_for = "unknown"), .host = true, .page = true},
	{"plain HTTP to the proxy is not secure", .proxies = "127.0.0.1",
	 .request = PROXIED(.tls = true, .forwarded_proto = "http"), .host = true, .page = true},
	{"TLS to us is secure", .request = PROXIED(.tls = true), .host = true, .page = true,
	 .secure = true},
	{"the name that the proxy was called by is what counts", .proxies = "127.0.0.1",
	 .request = PROXIED(.forwarded_host = "rebind.example.org"), .page = true},
	{"and a given one passes", .proxies = "127.0.0.1", .hosts = "metrics.example.org",
	 .request = PROXIED(.forwarded_host = "metrics.example.org",
			    .origin = "https://metrics.example.org"),
	 .host = true, .page = true},
};

static void set(struct settings *settings, enum setting_id id, const char *value)
{
	char error[256] = "";

	if (value && settings_set(settings, id, value, false, "x", "test", error, sizeof(error)))
		fail_msg("%s", error);
}

static void parse(const char *text, uint8_t ret_address[16])
{
	if (!label_parse_address((struct text){text, strlen(text)}, ret_address))
		fail_msg("%s is no address", text);
}

static void looks(void **state)
{
	const struct row *row = *state;
	static struct settings settings;
	struct gate_request request = row->request;
	const char *peer = row->peer ? row->peer : "127.0.0.1";
	uint8_t expected[16];
	struct gate gate;
	char shown[LABEL_ADDRESS_SIZE];

	settings_default(&settings);
	set(&settings, SETTING_LISTEN, row->listen);
	set(&settings, SETTING_HOST, row->hosts);
	set(&settings, SETTING_TRUSTED_PROXY, row->proxies);
	parse(peer, request.peer);
	parse(row->address ? row->address : peer, expected);
	gate_look(&settings, &request, &gate);
	label_address(gate.address, shown);
	assert_string_equal(shown, row->address ? row->address : peer);
	assert_memory_equal(gate.address, expected, 16);
	assert_int_equal(gate.host_is_ours, row->host);
	assert_int_equal(gate.page_is_ours, row->page);
	assert_int_equal(gate.secure, row->secure);
}

int main(void)
{
	return check_run("gate", looks, rows, sizeof(rows[0]), COUNT(rows), NULL, 0);
}

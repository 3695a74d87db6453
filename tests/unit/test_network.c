// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* network.c: networks by their text, and which addresses lie in them. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "label.h"
#include "network.h"

struct row {
	const char *sentence, *network;
	const char *in, *out; /* NULL in: refused */
};

static const struct row rows[] = {
	{"an address", "192.0.2.7", "192.0.2.7", "192.0.2.6"},
	{"a network", "10.0.0.0/8", "10.255.0.1", "11.0.0.1"},
	{"bits that end inside a byte", "192.0.2.128/25", "192.0.2.200", "192.0.2.127"},
	{"all of IPv4 and nothing of IPv6", "0.0.0.0/0", "203.0.113.9", "[2001:db8::1]"},
	{"an address of IPv6", "2001:db8::1", "[2001:db8::1]", "[2001:db8::2]"},
	{"a network of IPv6", "2001:db8::/33", "[2001:db8:7fff::1]", "[2001:db8:8000::1]"},
	{"bits behind the length", "10.0.0.1/8", NULL, NULL},
	{"a length too long", "10.0.0.0/33", NULL, NULL},
	{"a length without digits", "10.0.0.0/", NULL, NULL},
	{"a length with a sign", "10.0.0.0/-1", NULL, NULL},
	{"a length that is no number", "10.0.0.0/8x", NULL, NULL},
	{"a length that would wrap", "10.0.0.0/4294967304", NULL, NULL},
	{"an address with a port", "10.0.0.1:80", NULL, NULL},
	{"an address in brackets", "[::1]", NULL, NULL},
	{"a name", "localhost", NULL, NULL},
	{"nothing", "", NULL, NULL},
	{"a blank before it", " 10.0.0.1", NULL, NULL},
};

static bool holds(const struct network *network, const char *text)
{
	uint8_t address[16];

	if (!label_parse_address((struct text){text, strlen(text)}, address))
		fail_msg("%s is no address", text);
	return network_holds(network, address);
}

static void reads(void **state)
{
	const struct row *row = *state;
	struct network network;

	if (!row->in) {
		assert_int_equal(network_parse(row->network, &network), -EINVAL);
		return;
	}
	assert_int_equal(network_parse(row->network, &network), 0);
	assert_true(holds(&network, row->in));
	assert_false(holds(&network, row->out));
}

int main(void)
{
	return check_run("network", reads, rows, sizeof(rows[0]), COUNT(rows), NULL, 0);
}

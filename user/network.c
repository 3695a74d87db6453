// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define V4_BITS 96 /* of a v4-mapped address before the v4 one */

bool network_holds(const struct network *network, const uint8_t address[16])
{
	unsigned bytes = network->bits / 8, rest = network->bits % 8;

	if (memcmp(network->address, address, bytes) != 0)
		return false;
	return !rest || (uint8_t)(network->address[bytes] ^ address[bytes]) >> (8 - rest) == 0;
}

/* Whether only the bits that count are set. */
static bool is_exact(const struct network *network)
{
	for (unsigned i = network->bits; i < 128; i++)
		if (network->address[i / 8] >> (7 - i % 8) & 1)
			return false;
	return true;
}

int network_parse(const char *text, struct network *ret_network)
{
	struct network network = {.bits = 128};
	size_t len = strcspn(text, "/");
	const char *digits = text + len + 1;
	char copy[INET6_ADDRSTRLEN];
	bool v4;

	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	v4 = inet_pton(AF_INET, copy, network.address + V4_BITS / 8) == 1;
	if (v4)
		network.address[10] = network.address[11] = 0xff;
	else if (inet_pton(AF_INET6, copy, network.address) != 1)
		return -EINVAL;
	if (text[len]) {
		if (!*digits || strlen(digits) > 3 || digits[strspn(digits, "0123456789")])
			return -EINVAL;
		network.bits = (unsigned)strtoul(digits, NULL, 10) + (v4 ? V4_BITS : 0);
		if (network.bits > 128 || !is_exact(&network))
			return -EINVAL;
	}
	*ret_network = network;
	return 0;
}

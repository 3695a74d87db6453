/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Networks of IP addresses: "192.0.2.7", "10.0.0.0/8", "2001:db8::/32". In: their text. Out: whether
 * an address lies in them. Pure.
 */
#ifndef WSVITALS_NETWORK_H
#define WSVITALS_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

struct network {
	uint8_t address[16]; /* network order, v4 as v4-mapped */
	unsigned bits;       /* of these 128 that count */
};

/* 0 or -EINVAL; bits behind the length must be 0, as a typing error would not be seen otherwise. */
int network_parse(const char *text, struct network *ret_network);
bool network_holds(const struct network *network, const uint8_t address[16]);

#endif

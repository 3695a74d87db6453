// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * accept.h: for any 24 bytes the one accept that fits is what a textbook SHA-1 and base64 give, and
 * no other fits. Input: key, accept, and an offset at which the right one is spoilt.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "accept.h"
#include "require.h"

static uint32_t rotate(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

/* FIPS 180-4 6.1, for messages of 60 bytes: they need two blocks */
static void sha1_60(const uint8_t *message, uint8_t *digest)
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t padded[128] = {0};

	memcpy(padded, message, 60);
	padded[60] = 0x80;
	padded[126] = 480 >> 8;
	padded[127] = 480 & 255;
	for (int block = 0; block < 2; block++) {
		uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

		for (int t = 0; t < 80; t++) {
			const uint8_t *p = padded + 64 * block + 4 * t;
			uint32_t f, k, temp;

			w[t] = t < 16 ? (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]
				      : rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
			f = t < 20   ? d ^ (b & (c ^ d))
			    : t < 40 ? b ^ c ^ d
			    : t < 60 ? ((b | c) & d) | (b & c)
				     : b ^ c ^ d;
			k = t < 20   ? 0x5a827999
			    : t < 40 ? 0x6ed9eba1
			    : t < 60 ? 0x8f1bbcdc
				     : 0xca62c1d6;
			temp = rotate(a, 5) + f + e + k + w[t];
			e = d;
			d = c;
			c = rotate(b, 30);
			b = a;
			a = temp;
		}
		h[0] += a;
		h[1] += b;
		h[2] += c;
		h[3] += d;
		h[4] += e;
	}
	for (int i = 0; i < 20; i++)
		digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64_20(const uint8_t *in, uint8_t *out)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t padded[21] = {0};

	memcpy(padded, in, 20);
	for (int i = 0; i < 7; i++, out += 4) {
		const uint8_t *p = padded + 3 * i;

		out[0] = alphabet[p[0] >> 2];
		out[1] = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
		out[2] = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
		out[3] = alphabet[p[2] & 63];
	}
	out[-1] = '=';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t message[61], digest[20], right[ACCEPT_LEN];
	uint8_t *key, *accept;
	struct accept_work work;

	if (size < ACCEPT_KEY_LEN + ACCEPT_LEN + 2)
		return 0;
	key = malloc(ACCEPT_KEY_LEN);
	accept = malloc(ACCEPT_LEN);
	REQUIRE(key && accept);
	memcpy(key, data, ACCEPT_KEY_LEN);
	memcpy(accept, data + ACCEPT_KEY_LEN, ACCEPT_LEN);
	memcpy(message, key, ACCEPT_KEY_LEN);
	memcpy(message + ACCEPT_KEY_LEN, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 37);
	sha1_60(message, digest);
	base64_20(digest, right);
	memset(&work, data[size - 1], sizeof(work));
	REQUIRE(accept_fits(&work, key, accept) == !memcmp(accept, right, ACCEPT_LEN));
	memcpy(accept, right, ACCEPT_LEN);
	REQUIRE(accept_fits(&work, key, accept));
	accept[data[size - 2] % ACCEPT_LEN] ^= data[size - 1] | 1;
	REQUIRE(!accept_fits(&work, key, accept));
	free(accept);
	free(key);
	return 0;
}

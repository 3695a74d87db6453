/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Whether a Sec-WebSocket-Accept fits its Sec-WebSocket-Key (RFC 6455 4.2.2): the base64 of the
 * SHA-1 (RFC 3174) of key and GUID. In the kernel, because a wrong one makes the upgrade a
 * handshake error, which is counted where every other count is made; once per connection.
 */
#ifndef WSVITALS_ACCEPT_H
#define WSVITALS_ACCEPT_H

#include "types.h"

#define ACCEPT_KEY_LEN 24 /* base64 of 16 bytes */
#define ACCEPT_LEN 28     /* base64 of 20 bytes */

/* Scratch of the computation: too large for the BPF stack beside its callers. */
struct accept_work {
	__u32 w[80]; /* message schedule */
	__u32 h[5];
};

PURE __u32 accept_rotl(__u32 x, __u32 n)
{
	return x << n | x >> (32 - n);
}

/* Round i (0..79) of one block. v = a, b, c, d, e */
PURE void accept_round(__u32 *v, __u32 w, __u32 i)
{
	__u32 f, k, t;

	if (i < 20) {
		f = (v[1] & v[2]) | (~v[1] & v[3]);
		k = 0x5a827999;
	} else if (i < 40) {
		f = v[1] ^ v[2] ^ v[3];
		k = 0x6ed9eba1;
	} else if (i < 60) {
		f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
		k = 0x8f1bbcdc;
	} else {
		f = v[1] ^ v[2] ^ v[3];
		k = 0xca62c1d6;
	}
	t = accept_rotl(v[0], 5) + f + v[4] + k + w;
	v[4] = v[3];
	v[3] = v[2];
	v[2] = accept_rotl(v[1], 30);
	v[1] = v[0];
	v[0] = t;
}

/* w[0..15] is set: extends the schedule and folds the block into h. */
PURE void accept_block(struct accept_work *a)
{
	__u32 v[5];

	for (__u32 i = 16; i < 80; i++)
		a->w[i] = accept_rotl(a->w[i - 3] ^ a->w[i - 8] ^ a->w[i - 14] ^ a->w[i - 16], 1);
	for (__u32 i = 0; i < 5; i++)
		v[i] = a->h[i];
	for (__u32 i = 0; i < 80; i++)
		accept_round(v, a->w[i], i);
	for (__u32 i = 0; i < 5; i++)
		a->h[i] += v[i];
}

PURE __u32 accept_be32(const __u8 *p)
{
	return (__u32)p[0] << 24 | (__u32)p[1] << 16 | (__u32)p[2] << 8 | p[3];
}

PURE __u8 accept_base64(__u32 six)
{
	if (six < 26)
		return 'A' + six;
	if (six < 52)
		return 'a' + (six - 26);
	if (six < 62)
		return '0' + (six - 52);
	return six == 62 ? '+' : '/';
}

/* key: ACCEPT_KEY_LEN bytes, accept: ACCEPT_LEN bytes, both as they stand in the heads. */
PURE int accept_fits(struct accept_work *a, const __u8 *key, const __u8 *accept)
{
	/* "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", then the padding bit */
	static const __u32 guid[10] = {0x32353845, 0x41464135, 0x2d453931, 0x342d3437, 0x44412d39,
				       0x3543412d, 0x43354142, 0x30444338, 0x35423131, 0x80000000};
	__u32 differ = 0;

	a->h[0] = 0x67452301;
	a->h[1] = 0xefcdab89;
	a->h[2] = 0x98badcfe;
	a->h[3] = 0x10325476;
	a->h[4] = 0xc3d2e1f0;
	for (__u32 i = 0; i < 6; i++)
		a->w[i] = accept_be32(key + 4 * i);
	for (__u32 i = 0; i < 10; i++)
		a->w[6 + i] = guid[i];
	accept_block(a);
	for (__u32 i = 0; i < 15; i++)
		a->w[i] = 0;
	a->w[15] = (ACCEPT_KEY_LEN + 36) * 8; /* length in bits */
	accept_block(a);
	/* 20 bytes are six groups of 3 and one of 2; bits are taken straight from the words */
	for (__u32 i = 0; i < 27; i++) {
		__u32 bit = 6 * i;
		__u32 word = bit / 32, off = bit % 32;
		__u64 pair = (__u64)a->h[word] << 32 | (word < 4 ? a->h[word + 1] : 0);
		__u32 six = (__u32)(pair >> (58 - off)) & 63;

		differ |= accept_base64(six) ^ accept[i];
	}
	differ |= accept[27] ^ '=';
	return !differ;
}

#endif

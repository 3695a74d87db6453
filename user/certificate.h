/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The files of certificate and key, read by the part that has the right to. In: their paths. Out:
 * their bytes, as they are (tls.h looks at them), of fixed size, for the agent.
 */
#ifndef WSVITALS_CERTIFICATE_H
#define WSVITALS_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* A chain of three RSA-4096 certificates and a key are 9 kB. */
#define CERTIFICATE_BYTES 20000

struct certificate {
	uint32_t chain_len, key_len;
	char text[CERTIFICATE_BYTES]; /* the chain, then the key */
};

/* 0, or a negative errno and a sentence. */
int certificate_read(const char *chain, const char *key, struct certificate *ret_certificate,
		     char *ret_error, size_t error_size);

/* Of both files when they were last looked at. */
struct certificate_seen {
	struct stat of[2];
};

/* Whether either file is another one than it was; seen: all 0 at first. A file that is not there, as
 * in the middle of being replaced, has not changed. */
bool certificate_changed(const char *chain, const char *key, struct certificate_seen *seen);

#endif

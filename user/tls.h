/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * TLS of our own listener. In: the bytes of a certificate chain and its key. Out: what the HTTP
 * library asks for at each handshake. The only file that knows GnuTLS.
 */
#ifndef WSVITALS_TLS_H
#define WSVITALS_TLS_H

#include "certificate.h"

/* What may be spoken, in GnuTLS's words: TLS 1.2 and 1.3. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* From the next handshake on. -EINVAL with a sentence: they are broken or do not belong together, and
 * what was used before stays. */
int tls_use(const struct certificate *certificate, char *ret_error, size_t error_size);
void tls_forget(void);

/* Of the type gnutls_certificate_retrieve_function3, for the HTTP library. */
void *tls_callback(void);

#endif

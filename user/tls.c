// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
#include "tls.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 16 /* certificates */

/* The callback has no argument of ours: GnuTLS's session pointer belongs to libmicrohttpd. */
static struct certificate *in_use;

static int parse_chain(const struct certificate *c, gnutls_pcert_st *chain, unsigned *nr)
{
	const gnutls_datum_t text = {(unsigned char *)c->text, c->chain_len};

	return gnutls_pcert_list_import_x509_raw(chain, nr, &text, GNUTLS_X509_FMT_PEM, 0);
}

static int parse_key(const struct certificate *c, gnutls_privkey_t *key)
{
	const gnutls_datum_t text = {(unsigned char *)c->text + c->chain_len, c->key_len};
	int err = gnutls_privkey_init(key);

	if (err)
		return err;
	err = gnutls_privkey_import_x509_raw(*key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (err)
		gnutls_privkey_deinit(*key);
	return err;
}

/* Each handshake gets copies of its own, which GnuTLS frees: the files may change in the middle. */
static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
		    gnutls_pcert_st **ret_chain, unsigned *ret_nr, gnutls_ocsp_data_st **ret_ocsp,
		    unsigned *ret_nr_ocsp, gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
	gnutls_pcert_st *chain = gnutls_calloc(CHAIN_MAX, sizeof(*chain));
	unsigned nr = CHAIN_MAX;
	gnutls_privkey_t key;

	(void)session, (void)info;
	if (!chain || !in_use || parse_chain(in_use, chain, &nr)) {
		gnutls_free(chain);
		return -1;
	}
	if (parse_key(in_use, &key)) {
		for (unsigned i = 0; i < nr; i++)
			gnutls_pcert_deinit(&chain[i]);
		gnutls_free(chain);
		return -1;
	}
	*ret_chain = chain;
	*ret_nr = nr;
	*ret_ocsp = NULL;
	*ret_nr_ocsp = 0;
	*ret_key = key;
	*ret_flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return 0;
}

int tls_use(const struct certificate *certificate, char *ret_error, size_t error_size)
{
	const struct certificate *c = certificate;
	const gnutls_datum_t chain = {(unsigned char *)c->text, c->chain_len};
	const gnutls_datum_t key = {(unsigned char *)c->text + c->chain_len, c->key_len};
	gnutls_certificate_credentials_t credentials = NULL;
	int err;

	if ((size_t)c->chain_len + c->key_len > sizeof(c->text))
		return -EINVAL;
	/* this also looks whether the two belong together */
	err = gnutls_certificate_allocate_credentials(&credentials);
	if (!err)
		err = gnutls_certificate_set_x509_key_mem2(credentials, &chain, &key,
							   GNUTLS_X509_FMT_PEM, NULL, 0);
	if (credentials)
		gnutls_certificate_free_credentials(credentials);
	if (!in_use && err >= 0)
		in_use = malloc(sizeof(*in_use));
	if (err < 0 || !in_use) {
		snprintf(ret_error, error_size, "the TLS certificate cannot be used: %s",
			 err < 0 ? gnutls_strerror(err) : "out of memory");
		return -EINVAL;
	}
	*in_use = *c;
	return 0;
}

void tls_forget(void)
{
	if (in_use)
		sodium_memzero(in_use, sizeof(*in_use));
	free(in_use);
	in_use = NULL;
}

void *tls_callback(void)
{
	union {
		gnutls_certificate_retrieve_function3 *function;
		void *object;
	} callback = {.function = retrieve};

	return callback.object;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/tls_end.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* NULL: this libcurl uses another library. */
static SSL *ssl_of(CURL *easy)
{
	struct curl_tlssessioninfo *info = NULL;

	if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info ||
	    info->backend != CURLSSLBACKEND_OPENSSL)
		return NULL;
	return info->internals;
}

bool tls_end_possible(CURL *easy)
{
	return ssl_of(easy);
}

int tls_end(CURL *easy)
{
	SSL *ssl = ssl_of(easy);
	int code = SSL_shutdown(ssl), error = code < 0 ? SSL_get_error(ssl, code) : 0;

	if (error == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	ERR_clear_error(); /* of a connection that is broken its reader tells */
	return 0;
}

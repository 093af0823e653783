/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of a sender, by OpenSSL on its socket, which does not block. The receiver is verified, by an authority and by the
 * name or address in `to`, unless tls_verify is false.
 */
#include "sinks.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Why a file is no good. */
static int bad_file(struct gantry_error *err, const char *field, const char *file)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_GET_LIB(code) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(code))
							      : ERR_reason_error_string(code);

	gantry_error_field(err, -EINVAL, field, "%s: %s", file, reason ? reason : "no PEM found");
	ERR_clear_error();
	return -EINVAL;
}

static int load(SSL_CTX *context, const struct tls_settings *settings, struct gantry_error *err)
{
	if (!settings->certificate != !settings->key)
		return gantry_error_field(err, -EINVAL,
					  settings->key ? "tls_certificate" : "tls_key",
					  "tls_certificate and tls_key belong together");
	ERR_clear_error();
	if (settings->ca && SSL_CTX_load_verify_locations(context, settings->ca, NULL) != 1)
		return bad_file(err, "tls_ca", settings->ca);
	if (!settings->ca)
		SSL_CTX_set_default_verify_paths(context);
	if (settings->certificate &&
	    SSL_CTX_use_certificate_chain_file(context, settings->certificate) != 1)
		return bad_file(err, "tls_certificate", settings->certificate);
	if (settings->key &&
	    (SSL_CTX_use_PrivateKey_file(context, settings->key, SSL_FILETYPE_PEM) != 1 ||
	     SSL_CTX_check_private_key(context) != 1))
		return bad_file(err, "tls_key", settings->key);
	SSL_CTX_set_verify(context, settings->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return 0;
}

int tls_open(const struct tls_settings *settings, struct ssl_ctx_st **ret_context,
	     struct gantry_error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int code;

	if (!context)
		return gantry_error_set(err, -ENOMEM, "TLS: out of memory");
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* what could not be written may have moved by the next attempt */
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	code = load(context, settings, err);
	if (code < 0)
		SSL_CTX_free(context);
	else
		*ret_context = context;
	return code;
}

void tls_close(struct ssl_ctx_st *context)
{
	SSL_CTX_free(context);
}

struct ssl_st *tls_begin(struct ssl_ctx_st *context, int fd, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	bool is_address =
		inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
	SSL *ssl = SSL_new(context);

	if (!ssl || SSL_set_fd(ssl, fd) != 1 ||
	    (is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
			: SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host)) != 1)
		abort(); /* out of memory, as in take_memory */
	SSL_set_connect_state(ssl);
	return ssl;
}

int tls_handshake(struct ssl_st *ssl, bool *ret_writes, const char **ret_why)
{
	int code, error;
	long verified;

	ERR_clear_error();
	code = SSL_do_handshake(ssl);
	if (code == 1)
		return 0;
	error = SSL_get_error(ssl, code);
	*ret_writes = error == SSL_ERROR_WANT_WRITE;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	verified = SSL_get_verify_result(ssl);
	*ret_why = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
					 : ERR_reason_error_string(ERR_peek_error());
	if (!*ret_why)
		*ret_why = "the receiver has closed the connection";
	ERR_clear_error();
	return -EPROTO;
}

/* What a call that has moved nothing means. */
static ssize_t trouble(SSL *ssl, int code)
{
	int error = SSL_get_error(ssl, code);

	ERR_clear_error();
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -EAGAIN
	       : error == SSL_ERROR_ZERO_RETURN                              ? 0
									     : -EPROTO;
}

ssize_t tls_write(struct ssl_st *ssl, const void *data, size_t length)
{
	size_t count;
	int code;

	ERR_clear_error();
	code = SSL_write_ex(ssl, data, length, &count);
	return code == 1 ? (ssize_t)count : trouble(ssl, code);
}

ssize_t tls_read(struct ssl_st *ssl, void *data, size_t size)
{
	size_t count;
	int code;

	ERR_clear_error();
	code = SSL_read_ex(ssl, data, size, &count);
	return code == 1 ? (ssize_t)count : trouble(ssl, code);
}

void tls_end(struct ssl_st *ssl)
{
	if (SSL_is_init_finished(ssl))
		SSL_shutdown(ssl);
	ERR_clear_error();
	SSL_free(ssl);
}

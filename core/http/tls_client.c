/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of connections that gantryd makes: of plugins, by OpenSSL on their sockets; and the end of libcurl's. */
#include "http/tls.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct gantry_tls {
	SSL_CTX *context; /* owned */
};

struct gantry_tls_socket {
	SSL *ssl; /* owned */
};

static int bad_file(struct gantry_error *err, const char *field, const char *file)
{
	return gantry_error_field(err, -EINVAL, field, "%s: %s", file, tls_file_trouble());
}

static int load(SSL_CTX *context, const struct gantry_tls_settings *settings,
		struct gantry_error *err)
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

int tls_client_open(const struct gantry_tls_settings *settings, struct gantry_tls **ret_tls,
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
	if (code < 0) {
		SSL_CTX_free(context);
		return code;
	}
	*ret_tls = xcalloc(1, sizeof(**ret_tls));
	(*ret_tls)->context = context;
	return 0;
}

void tls_client_close(struct gantry_tls *tls)
{
	SSL_CTX_free(tls->context);
	free(tls);
}

struct gantry_tls_socket *tls_client_begin(struct gantry_tls *tls, int fd, const char *host)
{
	struct gantry_tls_socket *socket = xcalloc(1, sizeof(*socket));
	unsigned char address[sizeof(struct in6_addr)];
	bool is_address =
		inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
	SSL *ssl = SSL_new(tls->context);

	if (!ssl || SSL_set_fd(ssl, fd) != 1 ||
	    (is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
			: SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host)) != 1)
		abort(); /* out of memory, as in xmalloc */
	SSL_set_connect_state(ssl);
	socket->ssl = ssl;
	return socket;
}

int tls_client_handshake(struct gantry_tls_socket *socket, bool *ret_writes, const char **ret_why)
{
	int code, error;
	long verified;

	ERR_clear_error();
	code = SSL_do_handshake(socket->ssl);
	if (code == 1)
		return 0;
	error = SSL_get_error(socket->ssl, code);
	*ret_writes = error == SSL_ERROR_WANT_WRITE;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	verified = SSL_get_verify_result(socket->ssl);
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

ssize_t tls_client_write(struct gantry_tls_socket *socket, const void *data, size_t length)
{
	size_t count;
	int code;

	ERR_clear_error();
	code = SSL_write_ex(socket->ssl, data, length, &count);
	return code == 1 ? (ssize_t)count : trouble(socket->ssl, code);
}

ssize_t tls_client_read(struct gantry_tls_socket *socket, void *data, size_t size)
{
	size_t count;
	int code;

	ERR_clear_error();
	code = SSL_read_ex(socket->ssl, data, size, &count);
	return code == 1 ? (ssize_t)count : trouble(socket->ssl, code);
}

void tls_client_end(struct gantry_tls_socket *socket)
{
	if (SSL_is_init_finished(socket->ssl))
		SSL_shutdown(socket->ssl);
	ERR_clear_error();
	SSL_free(socket->ssl);
	free(socket);
}

int tls_end(void *ssl)
{
	int code = SSL_shutdown(ssl), error = code < 0 ? SSL_get_error(ssl, code) : 0;

	if (error == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	ERR_clear_error(); /* of a connection that is broken its reader tells */
	return 0;
}

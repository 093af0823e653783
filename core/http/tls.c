/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS by memory BIOs: what the socket brings goes into one, what it is to send comes out of the
 * other, and OpenSSL never sees the socket. Both are worked in steps of one record, so that they
 * stay small. Resumption is off: there is nothing to gain on connections that are kept.
 */
#include "http/tls.h"
#include "http/internal.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct tls_context {
	SSL_CTX *context; /* owned */
};

struct tls {
	SSL *ssl;          /* owned, with both BIOs */
	BIO *input;        /* borrowed */
	BIO *output;       /* borrowed */
	bool ready;        /* the handshake is through */
	bool broken;       /* nothing more may be sent */
	char *subject;     /* owned */
	char *common_name; /* owned */
};

const char *tls_file_trouble(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	/* the file's own trouble (missing, unreadable) says more than the parser's */
	if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_SYS)
		reason = strerror(ERR_GET_REASON(ERR_peek_error()));
	ERR_clear_error();
	return reason ? reason : "no PEM found";
}

static int openssl_error(struct gantry_error *err, const char *what, const char *file)
{
	return gantry_error_set(err, -EINVAL, "%s %s: %s", what, file, tls_file_trouble());
}

int tls_context_new(const struct http_tls *settings, struct tls_context **ret_context,
		    struct gantry_error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	STACK_OF(X509_NAME) * names;
	int code = 0;

	if (!context)
		return gantry_error_set(err, -ENOMEM, "TLS: out of memory");
	ERR_clear_error();
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					     SSL_OP_NO_COMPRESSION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_use_certificate_chain_file(context, settings->certificate_file) != 1)
		code = openssl_error(err, "certificate", settings->certificate_file);
	else if (SSL_CTX_use_PrivateKey_file(context, settings->key_file, SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(context) != 1)
		code = openssl_error(err, "key", settings->key_file);
	if (code == 0 && settings->client_ca_file) {
		names = SSL_load_client_CA_file(settings->client_ca_file);
		if (!names ||
		    SSL_CTX_load_verify_locations(context, settings->client_ca_file, NULL) != 1) {
			code = openssl_error(err, "authority of clients", settings->client_ca_file);
			sk_X509_NAME_pop_free(names, X509_NAME_free);
		} else {
			SSL_CTX_set_client_CA_list(context, names);
			SSL_CTX_set_verify(context,
					   SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		}
	}
	if (code < 0) {
		SSL_CTX_free(context);
		return code;
	}
	*ret_context = xcalloc(1, sizeof(**ret_context));
	(*ret_context)->context = context;
	return 0;
}

void tls_context_free(struct tls_context *context)
{
	if (!context)
		return;
	SSL_CTX_free(context->context);
	free(context);
}

struct tls *tls_new(struct tls_context *context)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));

	tls->ssl = SSL_new(context->context);
	tls->input = BIO_new(BIO_s_mem());
	tls->output = BIO_new(BIO_s_mem());
	if (!tls->ssl || !tls->input || !tls->output)
		abort(); /* out of memory, as in xmalloc */
	BIO_set_mem_eof_return(tls->input, -1);
	SSL_set_bio(tls->ssl, tls->input, tls->output);
	SSL_set_accept_state(tls->ssl);
	return tls;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	free(tls->subject);
	free(tls->common_name);
	free(tls);
}

bool tls_ready(const struct tls *tls)
{
	return tls->ready;
}

const char *tls_subject(const struct tls *tls)
{
	return tls->subject;
}

const char *tls_common_name(const struct tls *tls)
{
	return tls->common_name;
}

/* The last CN; NULL where there is none or it has a NUL in it. */
static char *read_common_name(X509_NAME *name)
{
	unsigned char *text;
	char *copy = NULL;
	int place = -1, found, length;

	while ((found = X509_NAME_get_index_by_NID(name, NID_commonName, place)) >= 0)
		place = found;
	if (place < 0)
		return NULL;
	length = ASN1_STRING_to_UTF8(&text,
				     X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, place)));
	if (length < 0)
		return NULL;
	if (length > 0 && !memchr(text, '\0', (size_t)length))
		copy = xasprintf("%.*s", length, (const char *)text);
	OPENSSL_free(text);
	return copy;
}

static void handshake_done(struct tls *tls)
{
	X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
	BIO *text;
	char *data;
	long length;

	tls->ready = true;
	if (!certificate)
		return;
	text = BIO_new(BIO_s_mem());
	if (text &&
	    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0,
			       XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
		length = BIO_get_mem_data(text, &data);
		tls->subject = xasprintf("%.*s", (int)length, data);
	}
	BIO_free(text);
	tls->common_name = read_common_name(X509_get_subject_name(certificate));
	X509_free(certificate);
}

static void flush(struct conn *conn)
{
	char *data;
	long length = BIO_get_mem_data(conn->tls->output, &data);

	if (length <= 0)
		return;
	conn_send_raw(conn, data, (size_t)length);
	(void)BIO_reset(conn->tls->output);
}

/* Takes out of TLS what it has. 0, or -EPROTO. */
static int pump(struct conn *conn)
{
	struct tls *tls = conn->tls;
	char *plain = conn->server->plain_buffer;
	int count, error;

	for (;;) {
		ERR_clear_error();
		count = SSL_read(tls->ssl, plain, (int)RECORD_BYTES);
		error = SSL_get_error(tls->ssl, count);
		if (!tls->ready && SSL_is_init_finished(tls->ssl))
			handshake_done(tls);
		if (count <= 0)
			break;
		conn_feed(conn, plain, (size_t)count);
		if (conn->closing || conn->finishing)
			return 0;
	}
	flush(conn);
	if (error == SSL_ERROR_ZERO_RETURN)
		conn_eof(conn);
	else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		tls->broken = true;
	ERR_clear_error();
	return tls->broken ? -EPROTO : 0;
}

int tls_receive(struct conn *conn, const char *data, size_t length)
{
	while (length && !conn->closing && !conn->finishing) {
		size_t piece = length < RECORD_BYTES ? length : RECORD_BYTES;

		BIO_write(conn->tls->input, data, (int)piece);
		data += piece;
		length -= piece;
		if (pump(conn) < 0)
			return -EPROTO;
	}
	return 0;
}

void tls_send(struct conn *conn, const void *data, size_t length)
{
	struct tls *tls = conn->tls;
	const char *from = data;

	while (length && !tls->broken && !conn->closing) {
		size_t piece = length < RECORD_BYTES ? length : RECORD_BYTES;

		ERR_clear_error();
		if (SSL_write(tls->ssl, from, (int)piece) <= 0) {
			tls->broken = true; /* a memory BIO always takes: this is no lack of room */
			ERR_clear_error();
			conn_kill(conn);
			return;
		}
		from += piece;
		length -= piece;
		flush(conn);
	}
}

void tls_goodbye(struct conn *conn)
{
	struct tls *tls = conn->tls;

	if (tls->broken || !tls->ready)
		return;
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
	ERR_clear_error();
	flush(conn);
}

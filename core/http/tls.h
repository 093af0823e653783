/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of OpenSSL for connections that are not the server's. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include <gantry/host.h>

/* As the host offers them to plugins: gantry/host.h has their manual. */
int tls_client_open(const struct gantry_tls_settings *settings, struct gantry_tls **ret_tls,
		    struct gantry_error *err);
void tls_client_close(struct gantry_tls *tls);
struct gantry_tls_socket *tls_client_begin(struct gantry_tls *tls, int fd, const char *host);
int tls_client_handshake(struct gantry_tls_socket *socket, bool *ret_writes, const char **ret_why);
ssize_t tls_client_read(struct gantry_tls_socket *socket, void *data, size_t size);
ssize_t tls_client_write(struct gantry_tls_socket *socket, const void *data, size_t length);
void tls_client_end(struct gantry_tls_socket *socket);

/* Why OpenSSL did not take the file that it was given last; forgets it. */
const char *tls_file_trouble(void);

/*
 * The end of our side; what the peer sends is read as before. ssl is an SSL of OpenSSL's. 0, or -EAGAIN: once more when it
 * can be written to. A stream_tls_end_fn of loop/http_stream.h.
 */
int tls_end(void *ssl);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of OpenSSL for a connection that is not the server's. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

/*
 * The end of our side; what the peer sends is read as before. ssl is an SSL of OpenSSL's. 0, or -EAGAIN: once more when it
 * can be written to. A stream_tls_end_fn of loop/http_stream.h.
 */
int tls_end(void *ssl);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests that turn their connection into a stream of bytes (Upgrade). What one means and
 * what its callbacks may expect stands in gantry/host.h.
 */
#ifndef LOOP_HTTP_STREAM_H
#define LOOP_HTTP_STREAM_H

#include <gantry/host.h>

#include "loop/loop.h"

struct http_streams;

/* Ends our side of a TLS connection, for which libcurl has no word: see http/tls.h. */
typedef int (*stream_tls_end_fn)(void *ssl);

/* No I/O. 0, or -ENOMEM. */
int http_streams_open(struct loop *loop, stream_tls_end_fn tls_end,
		      struct http_streams **ret_streams);
/* No stream may be left. Gone at return, but for handles of the loop. NULL is fine. */
void http_streams_close(struct http_streams *streams);

/* The functions of gantry/host.h. */
struct gantry_stream *http_stream_start(struct http_streams *streams,
					const struct gantry_upgrade *upgrade);
bool http_stream_send(struct gantry_stream *stream, const void *data, size_t length);
int http_stream_shutdown(struct gantry_stream *stream);
void http_stream_pause(struct gantry_stream *stream, bool paused);
void http_stream_cancel(struct gantry_stream *stream);

/* How many have not ended. NULL: none. */
size_t http_streams_pending(const struct http_streams *streams);
/* Calls fn with "POST http://localhost/…" and the age of each. NULL is fine. */
void http_streams_walk(struct http_streams *streams,
		       void (*fn)(void *arg, const char *name, int64_t age_ms), void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 exchanges on the loop, over TCP, TLS or a unix socket, with kept-alive connections.
 * What a request means and what its callbacks may expect stands in gantry/host.h.
 *
 * A POST is sent once: where its kept-alive connection breaks before a byte of the reply came, the
 * exchange fails with -ECONNRESET, because the server may have done the work. GET, HEAD, PUT and
 * DELETE are then tried anew on a fresh connection. Proxies from the environment are not used,
 * redirects are not followed. An upload has a connection of its own, and is sent once.
 */
#ifndef LOOP_HTTP_CLIENT_H
#define LOOP_HTTP_CLIENT_H

#include <gantry/host.h>

#include "loop/loop.h"

struct http_client;

/* No I/O. 0, or -ENOMEM. */
int http_client_open(struct loop *loop, struct http_client **ret_client);
/*
 * Closes the kept connections; no exchange may be under way. Gone at return, but for handles of the
 * loop, which it closes in its next turn. NULL is fine.
 */
void http_client_close(struct http_client *client);

/* Starts an exchange; never NULL. A failure to start is told by on_done, like any other. */
struct gantry_http *http_client_start(struct http_client *client,
				      const struct gantry_http_request *request);
/* Likewise, with a body that comes in pieces. */
struct gantry_http *http_client_upload(struct http_client *client,
				       const struct gantry_http_request *request,
				       void (*on_drain)(void *arg));
bool http_client_write(struct gantry_http *http, const void *data, size_t length);
void http_client_write_end(struct gantry_http *http);
/* A header of the reply, NULL: none; from on_data only. */
const char *http_client_header(struct gantry_http *http, const char *name);
/* A request; on_done still comes, with -ECANCELED. Not after on_done. May be called from on_data. */
void http_client_cancel(struct gantry_http *http);
/* Stops reading, or goes on; see gantry/host.h. Not after on_done. */
void http_client_pause(struct gantry_http *http, bool paused);

/* How many exchanges are under way. */
size_t http_client_pending(const struct http_client *client);
/* Calls fn with "GET http://localhost/info" and so on for each, and its age. */
void http_client_walk(struct http_client *client,
		      void (*fn)(void *arg, const char *name, int64_t age_ms), void *arg);

#endif

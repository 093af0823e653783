/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's end of a WebSocket to gantryd (RFC 6455): libcurl connects, wslay does the frames. It
 * never blocks after the handshake: the caller polls the descriptor.
 */
#ifndef CTL_WEBSOCKET_H
#define CTL_WEBSOCKET_H

#include "ctl/client.h"

#define WEBSOCKET_HANDSHAKE_MS 60000

struct websocket;

/* A message; length 0 is possible. Nothing of the WebSocket may be closed from it. */
typedef void (*websocket_message_fn)(void *arg, const char *data, size_t length);

/*
 * Connects and shakes hands. 0 with *ret_websocket NULL: refused, *ret_reply says why. Otherwise as
 * client_call. The client must outlive it.
 */
int websocket_open(struct client *client, const char *path, const char *protocol,
		   websocket_message_fn message, void *arg, struct websocket **ret_websocket,
		   struct client_reply *ret_reply, struct gantry_error *err);
void websocket_free(struct websocket *websocket); /* NULL is fine */

int websocket_fd(const struct websocket *websocket);
/* Messages that could not be sent yet: also poll for writing. */
size_t websocket_queued(const struct websocket *websocket);
/* Queues a copy, as a binary message. */
void websocket_send(struct websocket *websocket, const void *data, size_t length);
/* Says goodbye; websocket_work goes on until the peer has answered. */
void websocket_close(struct websocket *websocket);
/*
 * Reads and writes what goes without waiting; calls message. 0: go on. 1: it is closed, see below.
 * -ECONNRESET: the connection broke. -EPROTO: the peer speaks otherwise.
 */
int websocket_work(struct websocket *websocket);
/* How the peer closed. */
int websocket_close_code(const struct websocket *websocket);
const char *websocket_close_reason(const struct websocket *websocket);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that becomes a WebSocket (RFC 6455).
 *
 *	on_request    http_websocket_check: is the handshake right? Then, in this call or later,
 *	              http_websocket_accept instead of an answer. Who may come (Origin, cookies, actor)
 *	              is the handler's to judge before; any plain answer refuses.
 *	then          on_message for every message; http_websocket_send at any time. Pings are answered
 *	              here, and sent to a peer that is silent (limits.ping_ms).
 *	the end       by http_websocket_close: nothing is called after. Or by on_gone of the request: the
 *	              peer closed, broke the protocol or vanished (http_websocket_close_code), or the
 *	              server stops and nobody has set http_stream_on_stop (the peer is told 1001).
 *
 * A WebSocket is a stream as far as server.h is concerned: http_stream_on_drain and
 * http_stream_on_stop work for it, and the limits of a stream's queue are its own.
 */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "http/server.h"

/* Of one message, whole; a peer that sends more is closed with 1009. */
#define HTTP_WEBSOCKET_MESSAGE_BYTES ((size_t)1024 * 1024)
/* Of a close's reason; what is over is cut. */
#define HTTP_WEBSOCKET_REASON_BYTES ((size_t)123)

/* Close codes of RFC 6455 that are used here. */
enum {
	HTTP_WEBSOCKET_NORMAL = 1000,
	HTTP_WEBSOCKET_GOING_AWAY = 1001,
	HTTP_WEBSOCKET_PROTOCOL_ERROR = 1002,
	HTTP_WEBSOCKET_NO_CODE = 1005, /* the peer closed without one; never sent */
	HTTP_WEBSOCKET_CUT = 1006,     /* there was no close; never sent */
	HTTP_WEBSOCKET_FAILED = 1011,
};

/* The request asks for a WebSocket and its handshake is right. Else it is answered (400, 426), false. */
bool http_websocket_check(struct http_request *request);
/*
 * The first of `spoken` (NULL-terminated, best first) that the client names too; NULL: it names none
 * of them. *ret_named: it names any at all.
 */
const char *http_websocket_protocol(const struct http_request *request, const char *const *spoken,
				    bool *ret_named);
/*
 * Answers 101. False where nobody is there any more. protocol NULL: none. on_message has taken the
 * message when it returns; with false it asks for a rest: no more is read until
 * http_websocket_resume, but what was read already, up to 4 KiB, still comes.
 */
bool http_websocket_accept(struct http_request *request, const char *protocol,
			   bool (*on_message)(void *arg, bool binary, const char *data,
					      size_t length),
			   void *arg);
void http_websocket_resume(struct http_request *request);

/* Queues a copy. False: stop, the peer is behind (on_drain will come) or gone; see http_stream_write. */
bool http_websocket_send(struct http_request *request, bool binary, const void *data,
			 size_t length);
/* Sends what is queued and a close, and ends the connection. */
void http_websocket_close(struct http_request *request, int code, const char *reason);

/* In on_gone: how the peer closed, or HTTP_WEBSOCKET_CUT. */
int http_websocket_close_code(const struct http_request *request);

#endif

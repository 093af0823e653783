/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain bytes over TCP: listeners, and the connections that come to them.
 *
 *	accepted ─▶ tcp_start ─▶ data, drain … ─▶ gone, or tcp_close
 *
 * A peer that ends its sending side is gone, also where nothing of it is read for a while; so is one that takes
 * nothing of what waits for it. Nothing is called from inside a function of this header.
 */
#ifndef LOOP_TCP_H
#define LOOP_TCP_H

#include <gantry/error.h>

#include "loop/loop.h"

struct tcp_listener;
struct tcp_conn;

/* Of a connection's queue, over which tcp_send returns false; drain comes when it is empty. */
#define TCP_HIGH_BYTES ((size_t)128 * 1024)

struct tcp_events {
	void (*data)(void *arg, const char *data, size_t length);
	void (*drain)(void *arg); /* after a tcp_send that returned false */
	/* The last call: the connection is no more; stalled: as the peer took nothing. */
	void (*gone)(void *arg, bool stalled);
};

/*
 * Listens on an IPv4 or IPv6 address literal. accepted has to start or to close what it is given. The
 * error names no address.
 */
int tcp_listen(struct loop *loop, const char *address, int port,
	       void (*accepted)(void *arg, struct tcp_conn *conn), void *arg,
	       struct tcp_listener **ret_listener, struct gantry_error *err);
/* Its connections stay. NULL is fine. */
void tcp_listener_close(struct tcp_listener *listener);

/* The peer's address without and with its port, as "192.0.2.1" and "192.0.2.1:4711". */
const char *tcp_address(const struct tcp_conn *conn);
const char *tcp_name(const struct tcp_conn *conn);

/* stall_ms: how long the peer may take nothing of what waits for it. */
void tcp_start(struct tcp_conn *conn, int64_t stall_ms, const struct tcp_events *events, void *arg);
/* Queues a copy. False: stop, the peer is behind. */
bool tcp_send(struct tcp_conn *conn, const void *data, size_t length);
void tcp_pause(struct tcp_conn *conn, bool paused);
/* Sends what is queued, for a moment. No call after. */
void tcp_close(struct tcp_conn *conn);

#endif

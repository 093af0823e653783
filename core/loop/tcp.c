/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's end has three ways, and all lead through uv_close:
 *
 *	the peer ends or is lost   gone is told, then closed at once; so is one that takes nothing for stall_ms
 *	tcp_close, all is sent     shut down, so that the last words arrive, then closed
 *	tcp_close, it takes none   closed when LINGER_MS are over
 */
#include "loop/tcp.h"
#include "base/str.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG     128
#define LINGER_MS   1000
#define LOOK_MS     1000 /* at one that is paused: it may have left */
#define LOOKS       10   /* so long what came before its end may still be wanted */
#define KEEPALIVE_S 60   /* one that vanished is found out */

struct tcp_listener {
	uv_tcp_t handle;
	struct loop *loop; /* borrowed */
	void (*accepted)(void *arg, struct tcp_conn *conn);
	void *arg; /* borrowed */
};

struct tcp_conn {
	uv_tcp_t handle;
	uv_shutdown_t shutdown;
	struct loop *loop; /* borrowed */
	struct loop_timer linger;
	struct loop_timer look;  /* while it is paused */
	int looks;               /* at one that has ended its side */
	struct loop_timer stall; /* while something waits for the peer */
	int64_t stall_ms;
	uint64_t queued, taken;          /* bytes in all; taken at the last look */
	const struct tcp_events *events; /* NULL before tcp_start and after tcp_close */
	void *arg;                       /* borrowed */
	bool behind, closing;
	char address[INET6_ADDRSTRLEN], name[INET6_ADDRSTRLEN + 8];
	char buffer[16 * 1024];
};

struct tcp_write {
	uv_write_t request;
	char data[];
};

/* --- connections --------------------------------------------------------------------------------- */

static void on_conn_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void kill_conn(struct tcp_conn *conn)
{
	conn->events = NULL;
	loop_timer_stop(conn->loop, &conn->linger);
	loop_timer_stop(conn->loop, &conn->look);
	loop_timer_stop(conn->loop, &conn->stall);
	if (!uv_is_closing((uv_handle_t *)&conn->handle))
		uv_close((uv_handle_t *)&conn->handle, on_conn_closed);
}

static void on_linger(struct loop_timer *timer)
{
	kill_conn(LIST_ENTRY(timer, struct tcp_conn, linger));
}

static void lose(struct tcp_conn *conn, bool stalled)
{
	const struct tcp_events *events = conn->events;
	void *arg = conn->arg;

	kill_conn(conn);
	if (events)
		events->gone(arg, stalled);
}

static size_t waiting(const struct tcp_conn *conn)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&conn->handle);
}

static void watch_stall(struct tcp_conn *conn)
{
	conn->taken = conn->queued - waiting(conn);
	loop_timer_start(conn->loop, &conn->stall, conn->stall_ms);
}

static void on_stall(struct loop_timer *timer)
{
	struct tcp_conn *conn = LIST_ENTRY(timer, struct tcp_conn, stall);

	if (conn->queued - waiting(conn) == conn->taken)
		lose(conn, true);
	else
		watch_stall(conn);
}

/* What is not read does not tell of its end; the kernel does. */
static void on_look(struct loop_timer *timer)
{
	struct tcp_conn *conn = LIST_ENTRY(timer, struct tcp_conn, look);
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&conn->handle, &fd) < 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
	    info.tcpi_state == TCP_CLOSE ||
	    (info.tcpi_state == TCP_CLOSE_WAIT && ++conn->looks > LOOKS))
		lose(conn, false);
	else
		loop_timer_start(conn->loop, timer, LOOK_MS);
}

static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buffer)
{
	struct tcp_conn *conn = handle->data;

	(void)wanted;
	*ret_buffer = uv_buf_init(conn->buffer, sizeof(conn->buffer));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct tcp_conn *conn = stream->data;

	if (length < 0)
		lose(conn, false);
	else if (length > 0 && conn->events)
		conn->events->data(conn->arg, buffer->base, (size_t)length);
}

static void on_written(uv_write_t *request, int status)
{
	uv_stream_t *stream = request->handle;
	struct tcp_conn *conn = stream->data;

	free(LIST_ENTRY(request, struct tcp_write, request));
	if (uv_is_closing((uv_handle_t *)&conn->handle))
		return;
	if (status < 0) {
		lose(conn, false);
		return;
	}
	if (waiting(conn))
		return;
	loop_timer_stop(conn->loop, &conn->stall);
	if (conn->behind) {
		conn->behind = false;
		if (conn->events)
			conn->events->drain(conn->arg);
	}
}

static void on_shut(uv_shutdown_t *request, int status)
{
	(void)status;
	kill_conn(request->handle->data);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct tcp_listener *listener = stream->data;
	struct tcp_conn *conn;
	struct sockaddr_storage peer;
	int length = sizeof(peer);

	if (status < 0)
		return;
	conn = xcalloc(1, sizeof(*conn));
	conn->loop = listener->loop;
	conn->handle.data = conn;
	loop_timer_init(&conn->linger, on_linger);
	loop_timer_init(&conn->look, on_look);
	loop_timer_init(&conn->stall, on_stall);
	uv_tcp_init(&listener->loop->uv, &conn->handle);
	if (uv_accept(stream, (uv_stream_t *)&conn->handle) < 0 ||
	    uv_tcp_getpeername(&conn->handle, (struct sockaddr *)&peer, &length) < 0 ||
	    uv_ip_name((struct sockaddr *)&peer, conn->address, sizeof(conn->address)) < 0) {
		kill_conn(conn);
		return;
	}
	/* the port is at the same place in both kinds of address */
	snprintf(conn->name, sizeof(conn->name), peer.ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d",
		 conn->address, ntohs(((struct sockaddr_in *)&peer)->sin_port));
	uv_tcp_nodelay(&conn->handle, 1);
	uv_tcp_keepalive(&conn->handle, 1, KEEPALIVE_S);
	listener->accepted(listener->arg, conn);
}

const char *tcp_address(const struct tcp_conn *conn)
{
	return conn->address;
}

const char *tcp_name(const struct tcp_conn *conn)
{
	return conn->name;
}

void tcp_start(struct tcp_conn *conn, int64_t stall_ms, const struct tcp_events *events, void *arg)
{
	conn->stall_ms = stall_ms;
	conn->events = events;
	conn->arg = arg;
	uv_read_start((uv_stream_t *)&conn->handle, give_buffer, on_read);
}

bool tcp_send(struct tcp_conn *conn, const void *data, size_t length)
{
	struct tcp_write *write = xmalloc(sizeof(*write) + length);
	uv_buf_t buffer = uv_buf_init(write->data, (unsigned)length);
	bool waited = waiting(conn);

	memcpy(write->data, data, length);
	if (uv_write(&write->request, (uv_stream_t *)&conn->handle, &buffer, 1, on_written) < 0) {
		free(write); /* it is lost, and the reading side will say so */
		return false;
	}
	conn->queued += length;
	if (!waited && waiting(conn))
		watch_stall(conn);
	if (waiting(conn) > TCP_HIGH_BYTES)
		conn->behind = true;
	return !conn->behind;
}

void tcp_pause(struct tcp_conn *conn, bool paused)
{
	conn->looks = 0;
	if (paused) {
		uv_read_stop((uv_stream_t *)&conn->handle);
		loop_timer_start(conn->loop, &conn->look, LOOK_MS);
	} else {
		uv_read_start((uv_stream_t *)&conn->handle, give_buffer, on_read);
		loop_timer_stop(conn->loop, &conn->look);
	}
}

void tcp_close(struct tcp_conn *conn)
{
	conn->events = NULL;
	uv_read_stop((uv_stream_t *)&conn->handle);
	loop_timer_stop(conn->loop, &conn->look);
	loop_timer_stop(conn->loop, &conn->stall);
	if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->handle, on_shut) < 0)
		kill_conn(conn);
	else
		loop_timer_start(conn->loop, &conn->linger, LINGER_MS);
}

/* --- listeners ----------------------------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int tcp_listen(struct loop *loop, const char *address, int port,
	       void (*accepted)(void *arg, struct tcp_conn *conn), void *arg,
	       struct tcp_listener **ret_listener, struct gantry_error *err)
{
	struct tcp_listener *listener;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name;
	int code;

	if (uv_ip4_addr(address, port, &name.v4) < 0 && uv_ip6_addr(address, port, &name.v6) < 0)
		return gantry_error_set(err, -EINVAL, "is not an IPv4 or IPv6 address");
	listener = xcalloc(1, sizeof(*listener));
	listener->loop = loop;
	listener->accepted = accepted;
	listener->arg = arg;
	listener->handle.data = listener;
	uv_tcp_init(&loop->uv, &listener->handle);
	code = uv_tcp_bind(&listener->handle, &name.any, 0);
	if (code == 0)
		code = uv_listen((uv_stream_t *)&listener->handle, BACKLOG, on_connection);
	if (code < 0) {
		tcp_listener_close(listener);
		return gantry_error_set(err, code, "%s", uv_strerror(code));
	}
	*ret_listener = listener;
	return 0;
}

void tcp_listener_close(struct tcp_listener *listener)
{
	if (listener && !uv_is_closing((uv_handle_t *)&listener->handle))
		uv_close((uv_handle_t *)&listener->handle, on_listener_closed);
}

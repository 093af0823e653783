/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection. The happy path:
 *
 *	accept → read → (TLS) → conn_feed → parse_run → the handler → conn_output → (TLS) → write
 *
 * While a request waits for its answer the socket is still read, so that a client that leaves is
 * noticed; what comes is kept in `pending`. While a body's reader has paused, it is not.
 *
 * It ends in one of these ways, and every one leads to uv_close and on_conn_closed, which frees:
 *	conn_finish  the answer was the last: flush, say goodbye (TLS), shut our side, drop what the
 *	             peer still sends until it ends or linger_ms have passed. Closing at once would
 *	             make the kernel reset the connection and could take the answer from the client.
 *	conn_fail    a protocol error or limit: a problem document, then conn_finish.
 *	conn_kill    the peer is gone, or does not take what we send: at once.
 * Any write may end it (closing is set, memory stays): whoever goes on looks at closing.
 */
#include "http/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Of a unix socket: the system makes twice as much of it, which is twice as much as there is else. The two at its ends wake
 * each other as often as it is full.
 */
#define SEND_BYTES (208 << 10)

struct write {
	uv_write_t request;
	struct conn *conn; /* borrowed: uv calls back before the connection is freed */
	size_t length;
	char data[];
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer);
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);
static void on_written(uv_write_t *request, int status);
static void on_conn_closed(uv_handle_t *handle);
static void on_later(struct loop_later *later);
static void settle(struct conn *conn);
static void let_reset(struct conn *conn);

/* --- its life ----------------------------------------------------------------------------------- */

static void learn_peer(struct conn *conn)
{
	struct sockaddr_storage name;
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	int length = sizeof(name), send_bytes = SEND_BYTES, fd;

	if (!conn->listener->path) {
		uv_tcp_nodelay(&conn->tcp, 1);
		uv_tcp_keepalive(&conn->tcp, 1, 60);
		if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&name, &length) == 0)
			uv_ip_name((struct sockaddr *)&name, conn->address, sizeof(conn->address));
		return;
	}
	uv_send_buffer_size(&conn->handle, &send_bytes);
	/* nobody, where the kernel would not tell */
	conn->uid = (uid_t)-1;
	conn->gid = (gid_t)-1;
	if (uv_fileno(&conn->handle, &fd) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
		conn->uid = credentials.uid;
		conn->gid = credentials.gid;
		conn->pid = credentials.pid;
	}
}

void conn_accept(struct http_listener *listener)
{
	struct http_server *server = listener->server;
	struct conn *conn = xcalloc(1, sizeof(*conn));

	conn->server = server;
	conn->listener = listener;
	conn->take_ms = server->limits.progress_ms;
	loop_later_init(&conn->later, on_later);
	list_append(&server->conns, &conn->link);
	listener->connections++;
	server->counters.connections_open++;
	server->counters.connections_total++;
	if (listener->path)
		uv_pipe_init(&server->loop->uv, &conn->pipe, 0);
	else
		uv_tcp_init(&server->loop->uv, &conn->tcp);
	if (uv_accept(&listener->stream, &conn->stream) < 0) {
		conn_kill(conn);
		return;
	}
	if (listener->connections > server->limits.connections) {
		server->counters.connections_refused_total++;
		if (listener->tls ||
		    listener->connections > server->limits.connections + REFUSED_CONNECTIONS)
			conn_kill(conn);
		else
			conn_fail(conn, 503, "too many connections");
		return;
	}
	learn_peer(conn);
	if (listener->tls)
		conn->tls = tls_new(listener->tls);
	conn_read_due(conn, server->limits.header_ms);
	settle(conn);
}

void conn_kill(struct conn *conn)
{
	if (conn->closing)
		return;
	conn->closing = true;
	conn->read_due_ms = conn->write_due_ms = 0;
	loop_later_cancel(conn->server->loop, &conn->later);
	let_reset(conn);
	request_detach(conn);
	uv_close(&conn->handle, on_conn_closed);
}

/* Where the end of the connection would pass for the end of the answer, it must be a reset. */
static void let_reset(struct conn *conn)
{
	const struct http_request *request = conn->request;
	struct linger linger = {.l_onoff = 1, .l_linger = 0};
	int fd;

	if (conn->queued == 0 &&
	    !(request && request->begun && !request->answered && !request->chunked))
		return;
	if (!conn->listener->path && uv_fileno(&conn->handle, &fd) == 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void on_conn_closed(uv_handle_t *handle)
{
	struct conn *conn = LIST_ENTRY(handle, struct conn, handle);
	struct http_server *server = conn->server;

	list_remove(&conn->link);
	conn->listener->connections--;
	server->counters.connections_open--;
	tls_free(conn->tls);
	str_fini(&conn->pending);
	free(conn);
	server_check_closed(server);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	struct conn *conn = LIST_ENTRY(request, struct conn, shutdown);

	if (conn->closing)
		return;
	if (status < 0 || conn->eof) {
		conn_kill(conn);
		return;
	}
	conn->shut = true;
	conn_read_due(conn, conn->server->limits.linger_ms);
}

static void shut_down(struct conn *conn)
{
	if (conn->tls && !conn->cut)
		tls_goodbye(conn);
	if (!conn->closing && uv_shutdown(&conn->shutdown, &conn->stream, on_shutdown) < 0)
		conn_kill(conn);
}

void conn_finish(struct conn *conn)
{
	if (conn->finishing || conn->closing)
		return;
	conn->finishing = true;
	conn->read_due_ms = 0;
	request_detach(conn);
	if (conn->server->corked != conn) { /* else at the end of what is on the stack */
		shut_down(conn);
		settle(conn);
	}
}

void conn_fail(struct conn *conn, int status, const char *detail)
{
	struct http_request *request = conn->request;

	if (conn->finishing || conn->closing)
		return;
	if (conn->tls && !tls_ready(conn->tls)) {
		conn_kill(conn);
		return;
	}
	conn->server->counters.bad_requests_total++;
	if (request && request->begun && !request->answered) {
		conn_kill(conn);
		return;
	}
	if (!request || !request->answered) {
		reply_problem(conn->server, status, detail, request && request->head_only);
		conn_output(conn, conn->server->scratch.data, conn->server->scratch.length);
	}
	conn_finish(conn);
}

void conn_eof(struct conn *conn)
{
	if (conn->closing || conn->eof)
		return;
	conn->eof = true;
	if (conn->finishing) {
		if (conn->shut)
			conn_kill(conn);
	} else if (conn->phase == PHASE_IDLE || (conn->request && conn->request->answered)) {
		conn_finish(conn);
	} else {
		conn_kill(conn);
	}
}

/* --- reading ------------------------------------------------------------------------------------ */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
	struct conn *conn = LIST_ENTRY(handle, struct conn, handle);

	(void)suggested;
	*ret_buffer = uv_buf_init(conn->server->read_buffer, READ_BYTES);
}

static void cork(struct conn *conn)
{
	conn->server->corked = conn;
}

static void flush_cork(struct conn *conn)
{
	struct str *gathered = &conn->server->cork;

	if (gathered->length && !conn->closing) {
		if (conn->tls)
			tls_send(conn, gathered->data, gathered->length);
		else
			conn_send_raw(conn, gathered->data, gathered->length);
	}
	str_clear(gathered);
	if (gathered->capacity > 2 * CORK_BYTES)
		str_fini(gathered);
}

static void uncork(struct conn *conn)
{
	flush_cork(conn);
	conn->server->corked = NULL;
	if (conn->finishing && !conn->closing)
		shut_down(conn);
	settle(conn);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
	struct conn *conn = LIST_ENTRY(stream, struct conn, stream);

	if (conn->closing || count == 0)
		return;
	if (count < 0) {
		if (count != UV_EOF)
			conn_kill(conn);
		else
			conn_eof(conn);
		return;
	}
	if (conn->finishing)
		return; /* lingering */
	cork(conn);
	if (!conn->tls) {
		conn_feed(conn, buffer->base, (size_t)count);
	} else if (tls_receive(conn, buffer->base, (size_t)count) < 0) {
		if (!tls_ready(conn->tls))
			conn->server->counters.handshakes_failed_total++;
		conn->cut = true; /* nothing can be said any more */
		conn_finish(conn);
	}
	uncork(conn);
}

void conn_feed(struct conn *conn, const char *data, size_t length)
{
	size_t used;

	if (conn->finishing || conn->closing)
		return;
	if (conn->pending.length) {
		str_add_bytes(&conn->pending, data, length);
		data = conn->pending.data;
		length = conn->pending.length;
	}
	used = parse_run(conn, data, length);
	if (conn->finishing || conn->closing)
		return;
	if (conn->pending.length) {
		str_consume(&conn->pending, used);
		if (conn->pending.length == 0)
			str_fini(&conn->pending);
	} else if (used < length) {
		str_add_bytes(&conn->pending, data + used, length - used);
	}
}

void conn_continue(struct conn *conn)
{
	if (!conn->parsing && !conn->closing)
		loop_later(conn->server->loop, &conn->later);
}

static void tell_drain(struct conn *conn)
{
	struct http_request *request = conn->request;

	if (!request || !request->behind || request->answered ||
	    conn_backlog(conn) > HTTP_STREAM_HIGH_BYTES / 2)
		return;
	request->behind = false;
	if (request->on_drain)
		request->on_drain(request->drain_arg);
}

static void on_later(struct loop_later *later)
{
	struct conn *conn = LIST_ENTRY(later, struct conn, later);

	if (conn->closing || conn->finishing)
		return;
	tell_drain(conn);
	cork(conn);
	conn_feed(conn, "", 0);
	uncork(conn);
}

/* --- writing ------------------------------------------------------------------------------------ */

void conn_output(struct conn *conn, const void *data, size_t length)
{
	if (conn->closing || conn->finishing)
		return;
	if (conn->server->corked == conn) {
		if (conn->server->cork.length + length <= CORK_BYTES) {
			str_add_bytes(&conn->server->cork, data, length);
			return;
		}
		flush_cork(conn);
	}
	if (conn->closing)
		return;
	if (conn->tls)
		tls_send(conn, data, length);
	else
		conn_send_raw(conn, data, length);
}

bool conn_gathers(const struct conn *conn)
{
	return conn->tls || conn->server->corked == conn;
}

/* Queues what is behind the first `sent` bytes of the parts. */
static void queue(struct conn *conn, const uv_buf_t *parts, unsigned count, size_t sent,
		  size_t length)
{
	struct write *write = xmalloc(sizeof(*write) + length);
	uv_buf_t buffer = uv_buf_init(write->data, (unsigned)length);

	write->conn = conn;
	write->length = 0;
	for (unsigned i = 0; i < count; i++) {
		size_t skipped = sent < parts[i].len ? sent : parts[i].len;
		size_t left = parts[i].len - skipped;

		sent -= skipped;
		if (left)
			memcpy(write->data + write->length, parts[i].base + skipped, left);
		write->length += left;
	}
	if (conn->queued == 0) {
		conn->write_due_ms = server_now_ms(conn->server) + conn->take_ms;
		server_due(conn->server, conn->write_due_ms);
	}
	conn->queued += length;
	conn->added += length;
	if (uv_write(&write->request, &conn->stream, &buffer, 1, on_written) < 0) {
		conn->queued -= length;
		free(write);
		conn_kill(conn);
	}
}

void conn_send_parts(struct conn *conn, const uv_buf_t *parts, unsigned count)
{
	size_t length = 0;
	int sent = 0;

	if (conn->closing)
		return;
	for (unsigned i = 0; i < count; i++)
		length += parts[i].len;
	if (conn->queued == 0) {
		sent = uv_try_write(&conn->stream, parts, count);
		if (sent == UV_EAGAIN)
			sent = 0;
		if (sent < 0) {
			conn_kill(conn);
			return;
		}
	}
	if ((size_t)sent < length)
		queue(conn, parts, count, (size_t)sent, length - (size_t)sent);
}

void conn_send_raw(struct conn *conn, const void *data, size_t length)
{
	const uv_buf_t part = uv_buf_init((char *)(uintptr_t)data, (unsigned)length);

	conn_send_parts(conn, &part, 1);
}

static void on_written(uv_write_t *request, int status)
{
	struct write *write = LIST_ENTRY(request, struct write, request);
	struct conn *conn = write->conn;

	conn->queued -= write->length;
	free(write);
	if (conn->closing)
		return;
	if (status < 0) {
		conn_kill(conn);
		return;
	}
	conn->write_due_ms = 0;
	if (conn->queued) {
		conn->write_due_ms = server_now_ms(conn->server) + conn->take_ms;
		server_due(conn->server, conn->write_due_ms);
	}
	if (!conn->finishing)
		tell_drain(conn);
}

size_t conn_backlog(const struct conn *conn)
{
	return conn->queued + (conn->server->corked == conn ? conn->server->cork.length : 0);
}

void conn_answered(struct conn *conn)
{
	conn->served = true;
	if (conn->phase != PHASE_COMPLETE && !conn->keep_alive)
		conn_finish(conn);
	else
		conn_continue(conn);
}

/* --- deadlines ---------------------------------------------------------------------------------- */

void conn_read_due(struct conn *conn, int64_t after_ms)
{
	conn->read_due_ms = server_now_ms(conn->server) + after_ms;
	server_due(conn->server, conn->read_due_ms);
}

/* After anything has happened: is the socket read, and until when must something come? */
static void settle(struct conn *conn)
{
	struct http_request *request = conn->request;
	bool want;

	if (conn->closing)
		return;
	want = !conn->eof && conn->pending.length < PENDING_BYTES &&
	       !(request && request->paused) && !websocket_rests(conn);
	if (want && !conn->reading) {
		if (uv_read_start(&conn->stream, on_alloc, on_read) < 0) {
			conn_kill(conn);
			return;
		}
	} else if (!want && conn->reading) {
		uv_read_stop(&conn->stream);
	}
	conn->reading = want;
	if (conn->finishing) {
		str_fini(&conn->pending);
		return;
	}
	if (request && request->websocket) {
		if (!want)
			conn->read_due_ms = 0;
		else if (!conn->read_due_ms)
			conn_read_due(conn, conn->server->limits.ping_ms);
	} else if (conn->phase == PHASE_BODY && want)
		conn_read_due(conn, request && request->give_ms ? request->give_ms
								: conn->server->limits.progress_ms);
	else if (conn->phase == PHASE_BODY || conn->phase == PHASE_COMPLETE)
		conn->read_due_ms = 0;
	/* output that was gathered has gone out with no callback to come */
	if (request && request->behind && conn->queued == 0)
		conn_continue(conn);
}

static void read_overdue(struct conn *conn)
{
	if (conn->request && conn->request->websocket)
		websocket_overdue(conn);
	else if (conn->finishing || (conn->phase == PHASE_IDLE && !conn->served))
		conn_kill(conn);
	else if (conn->phase == PHASE_IDLE)
		conn_finish(conn);
	else if (conn->phase == PHASE_HEAD)
		conn_fail(conn, 408, "the request's headers took too long");
	else
		conn_fail(conn, 408, "the request's body has stalled");
}

int64_t conn_sweep(struct conn *conn, int64_t now_ms)
{
	int64_t next_ms;

	if (conn->closing)
		return 0;
	if (conn->write_due_ms && conn->write_due_ms <= now_ms) {
		uint64_t taken = conn->added - uv_stream_get_write_queue_size(&conn->stream);

		/* one long write calls back at its end only */
		if (taken == conn->taken) {
			conn_kill(conn);
			return 0;
		}
		conn->taken = taken;
		conn->write_due_ms = now_ms + conn->take_ms;
	}
	if (conn->read_due_ms && conn->read_due_ms <= now_ms) {
		conn->read_due_ms = 0;
		read_overdue(conn);
		if (conn->closing)
			return 0;
	}
	next_ms = conn->read_due_ms;
	if (conn->write_due_ms && (!next_ms || conn->write_due_ms < next_ms))
		next_ms = conn->write_due_ms;
	return next_ms;
}

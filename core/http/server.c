/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

#include <signal.h>
#include <stdlib.h>

/* The deadlines of all connections stand in the connections; one timer looks at them. Most move
 * with every request, and moving one costs nothing that way. It never looks more often than this. */
#define SWEEP_MIN_MS 20

static void on_sweep(struct loop_timer *timer);
static void on_grace(struct loop_timer *timer);
static void on_closed(struct loop_later *later);

static void limit_size(size_t *value, size_t fallback)
{
	if (*value == 0)
		*value = fallback;
}

static void limit_time(int64_t *value_ms, int64_t fallback_ms)
{
	if (*value_ms <= 0)
		*value_ms = fallback_ms;
}

struct http_server *http_server_new(struct loop *loop, const struct http_limits *limits,
				    http_request_fn on_request, void *arg)
{
	struct http_server *server = xcalloc(1, sizeof(*server));

	server->loop = loop;
	if (limits)
		server->limits = *limits;
	limit_size(&server->limits.header_bytes, HTTP_HEADER_BYTES_DEFAULT);
	limit_size(&server->limits.header_count, HTTP_HEADER_COUNT_DEFAULT);
	limit_size(&server->limits.url_bytes, HTTP_URL_BYTES_DEFAULT);
	limit_size(&server->limits.body_bytes, HTTP_BODY_BYTES_DEFAULT);
	limit_size(&server->limits.connections, HTTP_CONNECTIONS_DEFAULT);
	limit_time(&server->limits.header_ms, HTTP_HEADER_MS_DEFAULT);
	limit_time(&server->limits.idle_ms, HTTP_IDLE_MS_DEFAULT);
	limit_time(&server->limits.progress_ms, HTTP_PROGRESS_MS_DEFAULT);
	limit_time(&server->limits.ping_ms, HTTP_PING_MS_DEFAULT);
	limit_time(&server->limits.linger_ms, HTTP_LINGER_MS_DEFAULT);
	server->on_request = on_request;
	server->arg = arg;
	list_init(&server->conns);
	list_init(&server->listeners);
	loop_timer_init(&server->sweep, on_sweep);
	loop_timer_init(&server->grace, on_grace);
	loop_later_init(&server->closed_later, on_closed);
	signal(SIGPIPE, SIG_IGN);
	return server;
}

const struct http_counters *http_server_counters(const struct http_server *server)
{
	return &server->counters;
}

static void drain_conn(struct conn *conn)
{
	struct http_request *request = conn->request;

	if (conn->closing)
		return;
	if (conn->finishing ? conn->shut : conn->phase == PHASE_IDLE) {
		if (conn->queued) {
			conn_finish(conn);
			return;
		}
		if (conn->tls && !conn->finishing)
			tls_goodbye(conn);
		conn_kill(conn);
	} else if (request && request->begun && !request->answered) {
		if (!request->on_stop) {
			stream_cut(request);
		} else {
			request->stop = true;
			request_notify(request);
		}
	}
}

void http_server_drain(struct http_server *server, int64_t grace_ms, void (*closed)(void *arg),
		       void *arg)
{
	int64_t due_ms = server_now_ms(server) + grace_ms;

	if (server->draining) {
		if (due_ms < server->grace_due_ms) {
			server->grace_due_ms = due_ms;
			loop_timer_start(server->loop, &server->grace, grace_ms);
		}
		return;
	}
	server->draining = true;
	server->closed = closed;
	server->closed_arg = arg;
	server->grace_due_ms = due_ms;
	loop_timer_start(server->loop, &server->grace, grace_ms);
	LIST_FOREACH (node, &server->listeners)
		listener_close(LIST_ENTRY(node, struct http_listener, link));
	LIST_FOREACH (node, &server->conns)
		drain_conn(LIST_ENTRY(node, struct conn, link));
	server_check_closed(server);
}

int64_t server_now_ms(const struct http_server *server)
{
	return (int64_t)uv_now(&server->loop->uv);
}

void server_due(struct http_server *server, int64_t due_ms)
{
	int64_t after_ms;

	if (server->sweep_due_ms && server->sweep_due_ms <= due_ms)
		return;
	after_ms = due_ms - server_now_ms(server);
	if (after_ms < SWEEP_MIN_MS)
		after_ms = SWEEP_MIN_MS;
	server->sweep_due_ms = server_now_ms(server) + after_ms;
	loop_timer_start(server->loop, &server->sweep, after_ms);
}

static void on_sweep(struct loop_timer *timer)
{
	struct http_server *server = LIST_ENTRY(timer, struct http_server, sweep);
	int64_t now_ms = server_now_ms(server), next_ms = 0;

	server->sweep_due_ms = 0;
	LIST_FOREACH (node, &server->conns) {
		int64_t due_ms = conn_sweep(LIST_ENTRY(node, struct conn, link), now_ms);

		if (due_ms && (!next_ms || due_ms < next_ms))
			next_ms = due_ms;
	}
	if (next_ms)
		server_due(server, next_ms);
}

static void on_grace(struct loop_timer *timer)
{
	struct http_server *server = LIST_ENTRY(timer, struct http_server, grace);

	LIST_FOREACH (node, &server->conns) {
		struct conn *conn = LIST_ENTRY(node, struct conn, link);

		if (conn->request && conn->request->handed && !conn->request->answered &&
		    !conn->request->begun && !conn->finishing)
			conn_fail(conn, 503, "the server is shutting down");
		conn_kill(conn);
	}
}

void server_check_closed(struct http_server *server)
{
	if (server->draining && server->open_listeners == 0 && server->notices == 0 &&
	    list_empty(&server->conns))
		loop_later(server->loop, &server->closed_later);
}

static void on_closed(struct loop_later *later)
{
	struct http_server *server = LIST_ENTRY(later, struct http_server, closed_later);

	loop_timer_stop(server->loop, &server->grace);
	loop_timer_stop(server->loop, &server->sweep);
	if (server->closed)
		server->closed(server->closed_arg);
	LIST_FOREACH (node, &server->listeners)
		listener_free(LIST_ENTRY(node, struct http_listener, link));
	str_fini(&server->cork);
	str_fini(&server->scratch);
	free(server);
}

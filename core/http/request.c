/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void on_notice(struct loop_later *later);

struct http_request *request_new(struct conn *conn)
{
	struct http_request *request = xcalloc(1, sizeof(*request));
	struct http_peer *peer = &request->peer;

	request->references = 1;
	request->server = conn->server;
	request->conn = conn;
	request->listener_arg = conn->listener->arg;
	loop_later_init(&request->notice, on_notice);
	peer->uid = conn->uid;
	peer->gid = conn->gid;
	peer->pid = conn->pid;
	peer->local = conn->listener->path != NULL;
	if (conn->address[0])
		peer->address = arena_strdup(&request->arena, conn->address);
	if (conn->tls) {
		peer->subject = arena_strdup(&request->arena, tls_subject(conn->tls));
		peer->common_name = arena_strdup(&request->arena, tls_common_name(conn->tls));
	}
	return request;
}

struct http_request *http_request_ref(struct http_request *request)
{
	request->references++;
	return request;
}

void http_request_unref(struct http_request *request)
{
	if (--request->references)
		return;
	arena_fini(&request->arena);
	str_fini(&request->head);
	str_fini(&request->body);
	str_fini(&request->reply_headers);
	websocket_free(request->websocket);
	free(request->fields);
	free(request);
}

void request_notify(struct http_request *request)
{
	loop_later(request->server->loop, &request->notice);
}

/* Always from the later-queue: the handler may be on the stack, and may look at its request still. */
void request_detach(struct conn *conn)
{
	struct http_request *request = conn->request;

	if (!request)
		return;
	conn->request = NULL;
	request->conn = NULL;
	request->let_go = true;
	request->gone = request->handed && !request->answered;
	request->server->notices++;
	request_notify(request);
}

static void on_notice(struct loop_later *later)
{
	struct http_request *request = LIST_ENTRY(later, struct http_request, notice);
	struct http_server *server = request->server;
	void (*on_gone)(void *) = request->on_gone;

	if (request->stop && !request->answered && !request->gone) {
		void (*on_stop)(void *) = request->on_stop;

		request->stop = false;
		request->on_stop = NULL;
		if (on_stop)
			on_stop(request->stop_arg);
	}
	/* on_stop may have detached it: then this runs again */
	if (!request->let_go || !list_empty(&request->notice.link))
		return;
	request->on_gone = NULL;
	if (request->gone && on_gone)
		on_gone(request->gone_arg);
	request->server = NULL;
	http_request_unref(request);
	server->notices--;
	server_check_closed(server);
}

struct arena *http_request_arena(struct http_request *request)
{
	return &request->arena;
}

const struct http_peer *http_request_peer(const struct http_request *request)
{
	return &request->peer;
}

void *http_request_listener_arg(const struct http_request *request)
{
	return request->listener_arg;
}

bool http_request_open(const struct http_request *request)
{
	return request->conn && !request->answered;
}

const char *http_request_method(const struct http_request *request)
{
	return request->method;
}

const char *http_request_path(const struct http_request *request)
{
	return request->path;
}

const char *http_request_query_raw(const struct http_request *request)
{
	return request->query;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
	for (unsigned i = 0; i < request->field_count; i++)
		if (strcasecmp(request->head.data + request->fields[i].name, name) == 0)
			return request->head.data + request->fields[i].value;
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *http_url_decode(struct arena *arena, const char *text, size_t length, bool form)
{
	char *decoded = arena_alloc(arena, length + 1);
	size_t count = 0;

	for (size_t i = 0; i < length; i++) {
		int high, low;

		if (text[i] != '%') {
			decoded[count++] = form && text[i] == '+' ? ' ' : text[i];
			continue;
		}
		high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
		low = high >= 0 ? hex_digit(text[i + 2]) : -1;
		if (low < 0 || (high == 0 && low == 0))
			return NULL;
		decoded[count++] = (char)(high << 4 | low);
		i += 2;
	}
	decoded[count] = '\0';
	return decoded;
}

bool http_request_query_next(struct http_request *request, size_t *position, const char **ret_name,
			     const char **ret_value)
{
	const char *text = request->query + *position;
	size_t length, name_length;

	while (*text == '&')
		text++;
	if (!*text)
		return false;
	length = strcspn(text, "&");
	name_length = strcspn(text, "&=");
	*ret_name = http_url_decode(&request->arena, text, name_length, true);
	*ret_value = "";
	if (name_length < length)
		*ret_value = http_url_decode(&request->arena, text + name_length + 1,
					     length - name_length - 1, true);
	*position = (size_t)(text + length - request->query);
	return true;
}

const char *http_request_query(struct http_request *request, const char *name)
{
	const char *key, *value;
	size_t position = 0;

	while (http_request_query_next(request, &position, &key, &value))
		if (str_equal(key, name))
			return value;
	return NULL;
}

void http_request_on_gone(struct http_request *request, void (*on_gone)(void *arg), void *arg)
{
	request->on_gone = on_gone;
	request->gone_arg = arg;
}

/* The handler wants the body: is there room, and does the client wait to be asked for it? */
static void want_body(struct http_request *request, uint64_t max_bytes)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct conn *conn = request->conn;

	request->body_max = max_bytes;
	if (max_bytes && request->content_length > 0 &&
	    (uint64_t)request->content_length > max_bytes) {
		conn_fail(conn, 413, "the request's body is too large");
	} else if (request->expects_continue && request->content_length != 0) {
		request->expects_continue = false;
		conn_output(conn, go_on, sizeof(go_on) - 1);
	}
}

void http_request_read_body(struct http_request *request, size_t max_bytes, http_request_fn on_body,
			    void *arg)
{
	if (!http_request_open(request) || request->body_mode != BODY_DROP)
		return;
	request->body_mode = BODY_BUFFER;
	request->on_body = on_body;
	request->body_arg = arg;
	want_body(request, max_bytes ? max_bytes : request->server->limits.body_bytes);
}

const char *http_request_body(const struct http_request *request, size_t *ret_length)
{
	*ret_length = request->body.length;
	return str_text(&request->body);
}

static bool set_stream(struct http_request *request,
		       bool (*on_data)(void *arg, struct http_request *request, const char *data,
				       size_t length),
		       http_request_fn on_end, void *arg)
{
	if (!http_request_open(request) || request->body_mode != BODY_DROP)
		return false;
	request->body_mode = BODY_STREAM;
	request->on_data = on_data;
	request->on_body = on_end;
	request->body_arg = arg;
	return true;
}

void http_request_stream_body(struct http_request *request, uint64_t max_bytes,
			      bool (*on_data)(void *arg, struct http_request *request,
					      const char *data, size_t length),
			      http_request_fn on_end, void *arg)
{
	if (set_stream(request, on_data, on_end, arg))
		want_body(request, max_bytes);
}

void http_request_hold_body(struct http_request *request, uint64_t max_bytes,
			    bool (*on_data)(void *arg, struct http_request *request,
					    const char *data, size_t length),
			    http_request_fn on_end, void *arg)
{
	if (!set_stream(request, on_data, on_end, arg))
		return;
	request->body_max = max_bytes;
	request->held = request->paused = true;
}

void http_request_resume(struct http_request *request)
{
	request->resumed = true;
	if (!request->paused || !request->conn)
		return;
	request->paused = false;
	if (request->held)
		want_body(request, request->body_max);
	request->held = false;
	conn_continue(request->conn);
}

void http_request_set_stall(struct http_request *request, int64_t limit_ms)
{
	request->give_ms = limit_ms;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

#include <string.h>
#include <time.h>

/* Answers up to this go out with their head in one piece. */
#define SMALL_BODY_BYTES ((size_t)16 * 1024)

static void add_head(struct http_request *request, int status, const char *content_type,
		     int64_t length);
static void add_first_lines(struct http_server *server, int status, const char *content_type);
static bool has_body(const struct http_request *request, int status);
static void answered(struct http_request *request);

/* --- whole answers ------------------------------------------------------------------------------ */

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
	struct str *headers = &request->reply_headers;

	if (!http_request_open(request) || request->begun)
		return;
	str_addf(headers, "%s: ", name);
	for (; *value; value++)
		str_add_char(headers, (unsigned char)*value < ' ' || *value == 0x7f ? ' ' : *value);
	str_add(headers, "\r\n");
}

void http_reply(struct http_request *request, int status, const char *content_type,
		const void *body, size_t length)
{
	struct str *out;
	bool sends_body;

	if (!http_request_open(request) || request->begun)
		return;
	out = &request->server->scratch;
	add_head(request, status, content_type, (int64_t)length);
	sends_body = has_body(request, status) && length;
	if (sends_body && length <= SMALL_BODY_BYTES)
		str_add_bytes(out, body, length);
	conn_output(request->conn, out->data, out->length);
	/* the write may have ended the connection */
	if (sends_body && length > SMALL_BODY_BYTES && request->conn)
		conn_output(request->conn, body, length);
	answered(request);
}

/* "Not Found"; "Unknown" for a status without a name. */
static const char *status_text(int status)
{
	switch (status) {
	case 100:
		return "Continue";
	case 101:
		return "Switching Protocols";
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 202:
		return "Accepted";
	case 204:
		return "No Content";
	case 206:
		return "Partial Content";
	case 301:
		return "Moved Permanently";
	case 302:
		return "Found";
	case 303:
		return "See Other";
	case 304:
		return "Not Modified";
	case 307:
		return "Temporary Redirect";
	case 308:
		return "Permanent Redirect";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 406:
		return "Not Acceptable";
	case 408:
		return "Request Timeout";
	case 409:
		return "Conflict";
	case 410:
		return "Gone";
	case 411:
		return "Length Required";
	case 412:
		return "Precondition Failed";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 415:
		return "Unsupported Media Type";
	case 416:
		return "Range Not Satisfiable";
	case 417:
		return "Expectation Failed";
	case 422:
		return "Unprocessable Content";
	case 423:
		return "Locked";
	case 424:
		return "Failed Dependency";
	case 426:
		return "Upgrade Required";
	case 428:
		return "Precondition Required";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	case 505:
		return "HTTP Version Not Supported";
	case 507:
		return "Insufficient Storage";
	default:
		return "Unknown";
	}
}

static void add_problem(struct str *out, int status, const char *detail)
{
	str_add(out, "{\"type\":\"about:blank\",\"title\":\"");
	str_add(out, status_text(status));
	str_addf(out, "\",\"status\":%d,\"detail\":\"", status);
	str_add_json(out, detail, strlen(detail));
	str_add(out, "\"}\n");
}

void http_reply_problem(struct http_request *request, int status, const char *detail)
{
	struct str body = STR_INIT;

	add_problem(&body, status, detail);
	http_reply(request, status, "application/problem+json", body.data, body.length);
	str_fini(&body);
}

void reply_problem(struct http_server *server, int status, const char *detail, bool head_only)
{
	struct str body = STR_INIT;

	add_problem(&body, status, detail);
	add_first_lines(server, status, "application/problem+json");
	str_addf(&server->scratch, "%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
		 status == 503 ? "Retry-After: 2\r\n" : "", body.length);
	if (!head_only)
		str_add_bytes(&server->scratch, body.data, body.length);
	str_fini(&body);
}

/* --- answers in pieces -------------------------------------------------------------------------- */

bool http_stream_begin(struct http_request *request, int status, const char *content_type)
{
	struct str *out;

	if (!http_request_open(request) || request->begun)
		return false;
	out = &request->server->scratch;
	request->chunked = !request->http_1_0;
	if (!request->chunked)
		request->conn->keep_alive = false; /* the end of the connection is the end of it */
	add_head(request, status, content_type, -1);
	request->begun = true;
	conn_output(request->conn, out->data, out->length);
	if (!has_body(request, status)) {
		answered(request);
		return false;
	}
	return request->conn != NULL;
}

static uv_buf_t part_of(const void *data, size_t length)
{
	return uv_buf_init((char *)(uintptr_t)data, (unsigned)length);
}

static void write_chunk(struct http_request *request, const void *head, size_t head_length,
			const void *data, size_t length)
{
	size_t total = head_length + length;
	char size[20];
	const uv_buf_t parts[] = {
		part_of(size, (size_t)snprintf(size, sizeof(size),
					       request->chunked ? "%zx\r\n" : "", total)),
		part_of(head, head_length),
		part_of(data, length),
		part_of("\r\n", request->chunked ? 2 : 0),
	};
	struct str *out = &request->server->scratch;

	if (!conn_gathers(request->conn)) {
		conn_send_parts(request->conn, parts, sizeof(parts) / sizeof(*parts));
		return;
	}
	str_clear(out);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		str_add_bytes(out, parts[i].base, parts[i].len);
	conn_output(request->conn, out->data, out->length);
	if (out->capacity > 4 * CORK_BYTES)
		str_fini(out);
}

bool http_stream_write(struct http_request *request, const void *data, size_t length)
{
	return http_stream_write_behind(request, NULL, 0, data, length);
}

bool http_stream_write_behind(struct http_request *request, const void *head, size_t head_length,
			      const void *data, size_t length)
{
	if (!http_request_open(request) || !request->begun)
		return false;
	if (head_length + length)
		write_chunk(request, head, head_length, data, length);
	if (!request->conn)
		return false;
	if (conn_backlog(request->conn) > HTTP_STREAM_MAX_BYTES) {
		conn_kill(request->conn);
		return false;
	}
	if (conn_backlog(request->conn) <= HTTP_STREAM_HIGH_BYTES)
		return true;
	request->behind = true;
	return false;
}

void http_stream_set_stall(struct http_request *request, int64_t limit_ms)
{
	if (http_request_open(request))
		request->conn->take_ms = limit_ms;
}

void http_stream_on_drain(struct http_request *request, void (*on_drain)(void *arg), void *arg)
{
	request->on_drain = on_drain;
	request->drain_arg = arg;
}

void http_stream_on_stop(struct http_request *request, void (*on_stop)(void *arg), void *arg)
{
	request->on_stop = on_stop;
	request->stop_arg = arg;
}

void http_stream_end(struct http_request *request)
{
	if (!http_request_open(request) || !request->begun)
		return;
	if (request->chunked)
		conn_output(request->conn, "0\r\n\r\n", 5);
	answered(request);
}

void http_stream_abort(struct http_request *request)
{
	if (!http_request_open(request) || !request->begun)
		return;
	request->on_gone = NULL; /* this is the handler's own end of it */
	stream_cut(request);
}

void http_request_cut(struct http_request *request, const char *reason)
{
	if (!http_request_open(request))
		return;
	if (request->websocket)
		websocket_bye(request->conn, 1001, reason);
	else
		stream_cut(request);
}

void stream_cut(struct http_request *request)
{
	if (request->websocket) {
		websocket_bye(request->conn, 1001, "the server stops");
		return;
	}
	if (!request->chunked) {
		conn_kill(request->conn);
		return;
	}
	request->conn->cut = true;
	conn_finish(request->conn);
}

/* --- the head ----------------------------------------------------------------------------------- */

static bool has_body(const struct http_request *request, int status)
{
	return !request->head_only && status != 204 && status != 304;
}

/* May the connection go on after this answer? Not where a body is still to come that nobody wants
 * and that is large, of unknown length, or may never come. */
static bool keeps_alive(const struct http_request *request)
{
	const struct conn *conn = request->conn;

	if (!conn->keep_alive || request->server->draining)
		return false;
	if (conn->phase == PHASE_COMPLETE || request->content_length == 0)
		return true;
	if (request->expects_continue)
		return false;
	return request->content_length > 0 &&
	       (uint64_t)request->content_length - request->body_received <= DROP_BYTES;
}

static const char *date_text(struct http_server *server)
{
	time_t now = time(NULL);
	struct tm parts;

	if (now != server->date_s) {
		server->date_s = now;
		gmtime_r(&now, &parts);
		strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
	}
	return server->date;
}

static void add_first_lines(struct http_server *server, int status, const char *content_type)
{
	struct str *out = &server->scratch;

	str_clear(out);
	str_addf(out, "HTTP/1.1 %d ", status);
	str_add(out, status_text(status));
	str_add(out, "\r\nDate: ");
	str_add(out, date_text(server));
	str_add(out, "\r\n");
	if (content_type) {
		str_add(out, "Content-Type: ");
		str_add(out, content_type);
		str_add(out, "\r\n");
	}
}

/* length -1: in pieces. */
static void add_head(struct http_request *request, int status, const char *content_type,
		     int64_t length)
{
	struct str *out = &request->server->scratch;
	struct conn *conn = request->conn;

	conn->take_ms = conn->server->limits.progress_ms;
	conn->keep_alive = keeps_alive(request);
	add_first_lines(request->server, status, content_type);
	if (status == 204 || status == 304)
		; /* neither has a body, and 204 no length */
	else if (length >= 0)
		str_addf(out, "Content-Length: %lld\r\n", (long long)length);
	else if (request->chunked)
		str_add(out, "Transfer-Encoding: chunked\r\n");
	if (!conn->keep_alive)
		str_add(out, "Connection: close\r\n");
	else if (request->http_1_0)
		str_add(out, "Connection: keep-alive\r\n");
	if (request->reply_headers.length)
		str_add_bytes(out, request->reply_headers.data, request->reply_headers.length);
	str_add(out, "\r\n");
}

static void answered(struct http_request *request)
{
	struct conn *conn = request->conn;

	if (!conn) /* gone meanwhile: on_gone is on its way */
		return;
	request->answered = true;
	request->paused = false;
	request->behind = false;
	request->body_max = request->body_received + DROP_BYTES;
	conn_answered(conn);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to requests. llhttp (strict) does the grammar; what it leaves to us is checked here: size
 * and number of headers, length of the target, exactly one Host, version, Transfer-Encoding exactly
 * "chunked", folded lines, the ends of lines, the form of the target.
 *
 * The head is fed line by line, so that its size is counted to the byte and a folded line is seen.
 * The parser is paused at the end of the head, when a body's reader asks for it, and at the end of
 * the message: the handler is called from here, never from inside llhttp, and the next request is
 * not looked at before this one is answered. After a pause the parser may have something to say
 * that needs no input (`kick`): without that call the end of a message might never come.
 */
#include "http/internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int on_url(llhttp_t *parser, const char *at, size_t length);
static int on_url_complete(llhttp_t *parser);
static int on_header_field(llhttp_t *parser, const char *at, size_t length);
static int on_header_field_complete(llhttp_t *parser);
static int on_header_value(llhttp_t *parser, const char *at, size_t length);
static int on_header_value_complete(llhttp_t *parser);
static int on_headers_complete(llhttp_t *parser);
static int on_body(llhttp_t *parser, const char *at, size_t length);
static int on_extension(llhttp_t *parser, const char *at, size_t length);
static int on_message_complete(llhttp_t *parser);

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_url_complete = on_url_complete,
	.on_header_field = on_header_field,
	.on_header_field_complete = on_header_field_complete,
	.on_header_value = on_header_value,
	.on_header_value_complete = on_header_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_chunk_extension_name = on_extension,
	.on_chunk_extension_value = on_extension,
	.on_message_complete = on_message_complete,
};

static size_t head_line(struct conn *conn, const char *data, size_t length);
static size_t execute(struct conn *conn, const char *data, size_t length);
static void begin(struct conn *conn);
static void next(struct conn *conn);
static void deliver(struct conn *conn);

static bool stopped(const struct conn *conn)
{
	return conn->finishing || conn->closing;
}

size_t parse_run(struct conn *conn, const char *data, size_t length)
{
	size_t used = 0;

	conn->parsing = true;
	while (!stopped(conn)) {
		if (conn->phase == PHASE_IDLE) {
			if (used == length)
				break;
			begin(conn);
		} else if (conn->phase == PHASE_HEAD) {
			if (used == length)
				break;
			used += head_line(conn, data + used, length - used);
		} else if (conn->phase == PHASE_BODY) {
			if (conn->request->paused || (used == length && !conn->kick))
				break;
			used += execute(conn, data + used, length - used);
		} else if (conn->request->websocket) {
			if (used == length || websocket_rests(conn))
				break;
			used += websocket_feed(conn, data + used, length - used);
		} else {
			if (!conn->request->answered)
				break;
			next(conn);
		}
	}
	conn->parsing = false;
	return used;
}

/* --- steps -------------------------------------------------------------------------------------- */

static void begin(struct conn *conn)
{
	conn->request = request_new(conn);
	conn->phase = PHASE_HEAD;
	conn->head_bytes = 0;
	conn->line_start = true;
	conn->target_seen = false;
	conn->fail_status = 0;
	llhttp_init(&conn->parser, HTTP_REQUEST, &settings);
	conn->parser.data = conn;
	conn_read_due(conn, conn->server->limits.header_ms);
}

static void next(struct conn *conn)
{
	bool go_on = conn->keep_alive && !conn->server->draining;

	request_detach(conn);
	conn->phase = PHASE_IDLE;
	if (go_on)
		conn_read_due(conn, conn->server->limits.idle_ms);
	else
		conn_finish(conn);
}

static size_t head_line(struct conn *conn, const char *data, size_t length)
{
	const char *end = memchr(data, '\n', length);

	if (conn->line_start && conn->target_seen && memchr(" \t:", *data, 3)) {
		conn_fail(conn, 400,
			  *data == ':' ? "a header has no name" : "a header line is folded");
		return 0;
	}
	if (end)
		length = (size_t)(end - data) + 1;
	if (end && (end > data ? end[-1] : conn->last) != '\r') {
		conn_fail(conn, 400, "a line does not end with CR LF");
		return 0;
	}
	conn->last = data[length - 1];
	conn->line_start = end != NULL;
	conn->head_bytes += length;
	if (conn->head_bytes > conn->server->limits.header_bytes) {
		/* in the first line it is the target that is too long; empty lines may come before */
		if (!conn->target_seen && length > 2)
			conn_fail(conn, 414, "the request's target is too long");
		else
			conn_fail(conn, 431, "the request's headers are too large");
		return 0;
	}
	return execute(conn, data, length);
}

static const char *error_text(struct conn *conn, enum llhttp_errno error, char *text, size_t size)
{
	const char *reason = llhttp_get_error_reason(&conn->parser);

	if (!reason || !*reason)
		reason = llhttp_errno_name(error);
	snprintf(text, size, "ill-formed request: %s", reason);
	return text;
}

static size_t execute(struct conn *conn, const char *data, size_t length)
{
	enum phase phase = conn->phase;
	enum llhttp_errno error;
	char text[128];

	conn->kick = false;
	error = llhttp_execute(&conn->parser, data, length);
	if (stopped(conn))
		return 0;
	if (conn->fail_status) {
		conn_fail(conn, conn->fail_status, conn->fail_detail);
		return 0;
	}
	if (error == HPE_OK)
		return length;
	if (error == HPE_PAUSED) {
		length = (size_t)(llhttp_get_error_pos(&conn->parser) - data);
		llhttp_resume(&conn->parser);
		conn->kick = true;
		/* what the parser stopped for */
		if (phase == PHASE_HEAD || conn->phase == PHASE_COMPLETE)
			deliver(conn);
		return length;
	}
	if (error == HPE_INVALID_VERSION || error == HPE_PAUSED_H2_UPGRADE)
		conn_fail(conn, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
	else
		conn_fail(conn, 400, error_text(conn, error, text, sizeof(text)));
	return 0;
}

/* --- the head is in ----------------------------------------------------------------------------- */

static int refuse(struct conn *conn, int status, const char *detail)
{
	conn_fail(conn, status, detail);
	return -1;
}

/* Takes the target apart; it stands at the beginning of head, ended by NUL. */
static int check_target(struct conn *conn, struct http_request *request)
{
	char *target = request->head.data, *query;

	for (const unsigned char *c = (unsigned char *)target; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '#')
			return refuse(conn, 400, "the target has a character that must be encoded");
	if (strcmp(target, "*") == 0) {
		if (conn->parser.method != HTTP_OPTIONS)
			return refuse(conn, 400, "the target \"*\" is for OPTIONS alone");
		request->path = "*";
		request->query = "";
		return 0;
	}
	if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
		target = strstr(target, "//") + 2;
		if (strcspn(target, "/?") == 0)
			return refuse(conn, 400, "the target names no host");
		target += strcspn(target, "/?");
	} else if (*target != '/') {
		return refuse(conn, 400, "the target must be a path or an http URL");
	}
	query = strchr(target, '?');
	request->query = query ? query + 1 : "";
	request->path = target;
	if (query == target || !*target)
		request->path = "/";
	else if (query)
		*query = '\0';
	return 0;
}

static int check_headers(struct conn *conn, struct http_request *request)
{
	unsigned hosts = 0, encodings = 0;

	for (unsigned i = 0; i < request->field_count; i++) {
		const char *name = request->head.data + request->fields[i].name;
		const char *value = request->head.data + request->fields[i].value;

		if (strcasecmp(name, "Host") == 0) {
			hosts++;
			if (value[strcspn(value, " \t/\\?#@,")])
				return refuse(conn, 400, "the Host header is no host");
		} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
			encodings++;
			if (strcasecmp(value, "chunked") != 0)
				return refuse(conn, 501, "Transfer-Encoding must be \"chunked\"");
		} else if (strcasecmp(name, "Expect") == 0) {
			if (strcasecmp(value, "100-continue") != 0)
				return refuse(conn, 417, "only 100-continue can be expected");
			request->expects_continue = !request->http_1_0;
		}
	}
	if (hosts > 1)
		return refuse(conn, 400, "there is more than one Host header");
	if (hosts == 0 && !request->http_1_0)
		return refuse(conn, 400, "the Host header is missing");
	if (encodings > 1 || (encodings && request->http_1_0))
		return refuse(conn, 400, "Transfer-Encoding is not allowed so");
	return 0;
}

static void head_complete(struct conn *conn)
{
	struct http_request *request = conn->request;
	llhttp_t *parser = &conn->parser;

	if (parser->http_major != 1 || parser->http_minor > 1) {
		conn_fail(conn, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
		return;
	}
	request->http_1_0 = parser->http_minor == 0;
	request->method = llhttp_method_name((enum llhttp_method)parser->method);
	request->head_only = parser->method == HTTP_HEAD;
	if (parser->method == HTTP_CONNECT) {
		conn_fail(conn, 405, "CONNECT is not served here");
		return;
	}
	if (check_target(conn, request) < 0 || check_headers(conn, request) < 0)
		return;
	/* the parser stops behind the request all the same: what follows waits for the answer, and is
	 * the WebSocket's where that is one */
	parser->upgrade = 0;
	if (parser->content_length > INT64_MAX) {
		conn_fail(conn, 413, "the request's body is too large");
		return;
	}
	if (parser->flags & F_CHUNKED)
		request->content_length = -1;
	else if (parser->flags & F_CONTENT_LENGTH)
		request->content_length = (int64_t)parser->content_length;
	conn->keep_alive = llhttp_should_keep_alive(parser);
	conn->phase = PHASE_BODY;
	request->body_max = conn->server->limits.body_bytes;
	request->handed = true;
	conn->server->counters.requests_total++;
	conn->server->on_request(conn->server->arg, request);
}

/* Calls the handler for what the parser has stopped at. */
static void deliver(struct conn *conn)
{
	struct http_request *request = conn->request;

	if (conn->phase == PHASE_HEAD)
		head_complete(conn);
	else if (request->on_body && !request->answered)
		request->on_body(request->body_arg, request);
}

/* --- callbacks of the parser -------------------------------------------------------------------- */

static int fail(struct conn *conn, int status, const char *detail)
{
	conn->fail_status = status;
	conn->fail_detail = detail;
	return HPE_USER;
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
	struct conn *conn = parser->data;
	struct str *head = &conn->request->head;

	str_add_bytes(head, at, length);
	return head->length > conn->server->limits.url_bytes
		       ? fail(conn, 414, "the request's target is too long")
		       : 0;
}

static int on_url_complete(llhttp_t *parser)
{
	struct conn *conn = parser->data;

	conn->target_seen = true;
	str_add_char(&conn->request->head, '\0');
	return 0;
}

/* Trailers are read and dropped. */
static int drop(struct conn *conn, size_t length)
{
	conn->request->trailer_bytes += length;
	return conn->request->trailer_bytes > TRAILER_BYTES
		       ? fail(conn, 431, "trailers or chunk extensions are too large")
		       : 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t length)
{
	struct conn *conn = parser->data;
	struct http_request *request = conn->request;

	if (conn->phase != PHASE_HEAD)
		return drop(conn, length);
	/* a name may come in pieces: it is new where the one before has its value */
	if (request->field_count == 0 || request->fields[request->field_count - 1].value) {
		if (request->field_count >= conn->server->limits.header_count)
			return fail(conn, 431, "the request has too many headers");
		if (request->field_count == request->field_room) {
			request->field_room = request->field_room ? 2 * request->field_room : 8;
			request->fields = xrealloc(request->fields,
						   request->field_room * sizeof(*request->fields));
		}
		request->fields[request->field_count++] =
			(struct http_field){.name = (uint32_t)request->head.length};
	}
	str_add_bytes(&request->head, at, length);
	return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
	struct conn *conn = parser->data;
	struct http_request *request = conn->request;

	if (conn->phase != PHASE_HEAD)
		return 0;
	if (request->field_count == 0 || request->fields[request->field_count - 1].value)
		return fail(conn, 400, "a header has no name");
	str_add_char(&request->head, '\0');
	request->fields[request->field_count - 1].value = (uint32_t)request->head.length;
	return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t length)
{
	struct conn *conn = parser->data;

	if (conn->phase != PHASE_HEAD)
		return drop(conn, length);
	str_add_bytes(&conn->request->head, at, length);
	return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
	struct conn *conn = parser->data;
	struct http_request *request = conn->request;
	struct str *head = &request->head;
	uint32_t start;

	if (conn->phase != PHASE_HEAD)
		return 0;
	start = request->fields[request->field_count - 1].value;
	while (head->length > start &&
	       (head->data[head->length - 1] == ' ' || head->data[head->length - 1] == '\t'))
		head->length--;
	str_add_char(head, '\0');
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

static int on_extension(llhttp_t *parser, const char *at, size_t length)
{
	(void)at;
	return drop(parser->data, length);
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
	struct conn *conn = parser->data;
	struct http_request *request = conn->request;

	request->body_received += length;
	if (request->answered) /* the rest is read for the connection's sake, up to a point */
		return request->body_received > request->body_max
			       ? fail(conn, 413, "the rest of the body is too large")
			       : 0;
	if (request->body_max && request->body_received > request->body_max)
		return fail(conn, 413, "the request's body is too large");
	if (request->body_mode == BODY_BUFFER) {
		str_add_bytes(&request->body, at, length);
	} else if (request->body_mode == BODY_STREAM) {
		request->resumed = false;
		if (!request->on_data(request->body_arg, request, at, length) && !stopped(conn) &&
		    !request->answered && !request->resumed) {
			request->paused = true;
			return HPE_PAUSED;
		}
	}
	return stopped(conn) ? HPE_USER : 0;
}

static int on_message_complete(llhttp_t *parser)
{
	struct conn *conn = parser->data;

	conn->phase = PHASE_COMPLETE;
	return HPE_PAUSED;
}

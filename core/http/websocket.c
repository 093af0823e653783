/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket on a connection of the server; wslay does frames, masks, UTF-8 and control messages.
 *
 *	http_websocket_accept → 101 → parse_run hands input to websocket_feed → wslay → on_message
 *	http_websocket_send → wslay's queue → flush → conn_output
 *
 * wslay is fed from memory and writes to memory, so that it never sees the socket. While it is fed,
 * sends are only queued: they go out together when it is through.
 *
 * It ends
 *	by us         http_websocket_close, websocket_bye: a close frame, then conn_finish, which
 *	              lingers until the peer has ended too. Its close frame is among what is dropped.
 *	by the peer   its close is answered, then conn_finish.
 *	by its fault  wslay queues a close with the code (1002, 1007, 1009) and reads no more.
 *	by silence    a ping after ping_ms; conn_kill where that is not answered either.
 */
#include "http/websocket.h"
#include "base/websocket_key.h"
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <wslay/wslay.h>

struct websocket {
	struct http_request *request;    /* borrowed: it owns this */
	wslay_event_context_ptr context; /* owned */
	const char *input;               /* borrowed while it is fed */
	size_t left;
	struct str output;
	bool (*on_message)(void *arg, bool binary, const char *data, size_t length);
	void *arg; /* borrowed */
	int close_code;
	bool feeding, rests, pinged;
	bool ends; /* a close was asked for while it was fed */
};

static ssize_t give_input(wslay_event_context_ptr context, uint8_t *place, size_t room, int flags,
			  void *arg);
static ssize_t take_output(wslay_event_context_ptr context, const uint8_t *data, size_t length,
			   int flags, void *arg);
static void on_message(wslay_event_context_ptr context,
		       const struct wslay_event_on_msg_recv_arg *message, void *arg);

/* --- the handshake ------------------------------------------------------------------------------- */

/* Walks the words of a list over all headers of that name: false at the end. */
struct words {
	const struct http_request *request;
	const char *name;
	unsigned field;
	const char *at; /* NULL: at the beginning of a field */
};

static bool next_word(struct words *words, const char **ret_word, size_t *ret_length)
{
	const struct http_request *request = words->request;

	for (; words->field < request->field_count; words->field++, words->at = NULL) {
		const struct http_field *field = &request->fields[words->field];

		if (strcasecmp(request->head.data + field->name, words->name) != 0)
			continue;
		if (!words->at)
			words->at = request->head.data + field->value;
		words->at += strspn(words->at, ", \t");
		if (!*words->at)
			continue;
		*ret_word = words->at;
		words->at += strcspn(words->at, ",");
		*ret_length = (size_t)(words->at - *ret_word);
		while (*ret_length && strchr(" \t", (*ret_word)[*ret_length - 1]))
			--*ret_length;
		return true;
	}
	return false;
}

static bool has_word(const struct http_request *request, const char *name, const char *wanted)
{
	struct words words = {.request = request, .name = name};
	const char *word;
	size_t length;

	while (next_word(&words, &word, &length))
		if (length == strlen(wanted) && strncasecmp(word, wanted, length) == 0)
			return true;
	return false;
}

static bool key_is_right(const char *key)
{
	return key && strlen(key) == WEBSOCKET_KEY_LENGTH &&
	       strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") ==
		       WEBSOCKET_KEY_LENGTH - 2 &&
	       str_equal(key + WEBSOCKET_KEY_LENGTH - 2, "==");
}

static bool refuse(struct http_request *request, int status, const char *detail)
{
	if (status == 426) {
		http_reply_header(request, "Upgrade", "websocket");
		http_reply_header(request, "Sec-WebSocket-Version", "13");
	}
	http_reply_problem(request, status, detail);
	return false;
}

bool http_websocket_check(struct http_request *request)
{
	const char *version = http_request_header(request, "Sec-WebSocket-Version");

	if (!has_word(request, "Upgrade", "websocket") ||
	    !has_word(request, "Connection", "upgrade"))
		return refuse(request, 426, "this address is a WebSocket");
	if (!str_equal(request->method, "GET") || request->http_1_0 || request->content_length != 0)
		return refuse(request, 400,
			      "a WebSocket begins with GET in HTTP/1.1, without a body");
	if (!str_equal(version, "13"))
		return refuse(request, 426, "version 13 of WebSocket is spoken here");
	if (!key_is_right(http_request_header(request, "Sec-WebSocket-Key")))
		return refuse(request, 400, "Sec-WebSocket-Key must be 16 bytes in base64");
	return true;
}

const char *http_websocket_protocol(const struct http_request *request, const char *const *spoken,
				    bool *ret_named)
{
	static const char name[] = "Sec-WebSocket-Protocol";

	*ret_named = http_request_header(request, name) != NULL;
	for (; *spoken; spoken++)
		if (has_word(request, name, *spoken))
			return *spoken;
	return NULL;
}

bool http_websocket_accept(struct http_request *request, const char *protocol,
			   bool (*message)(void *arg, bool binary, const char *data, size_t length),
			   void *arg)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = give_input,
		.send_callback = take_output,
		.on_msg_recv_callback = on_message,
	};
	char accept[WEBSOCKET_ACCEPT_LENGTH + 1];
	struct websocket *websocket;
	struct str *out;

	if (!http_request_open(request) || request->begun)
		return false;
	websocket = xcalloc(1, sizeof(*websocket));
	websocket->request = request;
	websocket->on_message = message;
	websocket->arg = arg;
	websocket->close_code = HTTP_WEBSOCKET_CUT;
	if (wslay_event_context_server_init(&websocket->context, &callbacks, websocket) < 0)
		abort(); /* out of memory, as in xmalloc */
	wslay_event_config_set_max_recv_msg_length(websocket->context,
						   HTTP_WEBSOCKET_MESSAGE_BYTES);
	websocket_key_accept(http_request_header(request, "Sec-WebSocket-Key"), accept);
	out = &request->server->scratch;
	str_clear(out);
	str_addf(out,
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Accept: %s\r\n",
		 accept);
	if (protocol)
		str_addf(out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
	if (request->reply_headers.length)
		str_add_bytes(out, request->reply_headers.data, request->reply_headers.length);
	str_add(out, "\r\n");
	request->websocket = websocket;
	request->begun = true;
	conn_output(request->conn, out->data, out->length);
	if (!request->conn)
		return false;
	conn_continue(request->conn);
	return true;
}

/* --- writing ------------------------------------------------------------------------------------- */

static ssize_t take_output(wslay_event_context_ptr context, const uint8_t *data, size_t length,
			   int flags, void *arg)
{
	struct websocket *websocket = arg;

	(void)context, (void)flags;
	str_add_bytes(&websocket->output, data, length);
	return (ssize_t)length;
}

/* Sends what is queued, unless wslay is on the stack. */
static void flush(struct websocket *websocket)
{
	struct conn *conn = websocket->request->conn;

	if (websocket->feeding || !conn)
		return;
	wslay_event_send(websocket->context);
	if (websocket->output.length)
		conn_output(conn, websocket->output.data, websocket->output.length);
	if (websocket->output.capacity > CORK_BYTES)
		str_fini(&websocket->output);
	else
		str_clear(&websocket->output);
}

bool http_websocket_send(struct http_request *request, bool binary, const void *data, size_t length)
{
	struct websocket *websocket = request->websocket;
	struct wslay_event_msg message = {
		.opcode = binary ? WSLAY_BINARY_FRAME : WSLAY_TEXT_FRAME,
		.msg = data,
		.msg_length = length,
	};
	size_t backlog;

	if (!http_request_open(request) || !websocket || websocket->ends)
		return false;
	/* refused only where a close is queued already: the end is near */
	if (wslay_event_queue_msg(websocket->context, &message) < 0)
		return false;
	flush(websocket);
	if (!request->conn)
		return false;
	backlog =
		conn_backlog(request->conn) + wslay_event_get_queued_msg_length(websocket->context);
	if (backlog <= HTTP_STREAM_HIGH_BYTES)
		return true;
	request->behind = true;
	if (backlog > HTTP_STREAM_MAX_BYTES)
		conn_kill(request->conn);
	return false;
}

static void queue_close(struct websocket *websocket, int code, const char *reason)
{
	size_t length = reason ? strlen(reason) : 0;

	if (length > HTTP_WEBSOCKET_REASON_BYTES) {
		length = HTTP_WEBSOCKET_REASON_BYTES;
		while (length && ((unsigned char)reason[length] & 0xc0) == 0x80)
			length--; /* not amid a character */
	}
	wslay_event_queue_close(websocket->context, (uint16_t)code, (const uint8_t *)reason,
				length);
}

void http_websocket_close(struct http_request *request, int code, const char *reason)
{
	struct websocket *websocket = request->websocket;

	if (!http_request_open(request) || !websocket || websocket->ends)
		return;
	queue_close(websocket, code, reason);
	websocket->ends = true;
	if (websocket->feeding)
		return; /* websocket_feed ends it */
	flush(websocket);
	request->answered = true;
	if (request->conn)
		conn_finish(request->conn);
}

void websocket_bye(struct conn *conn, int code, const char *reason)
{
	struct websocket *websocket = conn->request->websocket;

	queue_close(websocket, code, reason);
	flush(websocket);
	conn_finish(conn);
}

/* --- reading ------------------------------------------------------------------------------------- */

static ssize_t give_input(wslay_event_context_ptr context, uint8_t *place, size_t room, int flags,
			  void *arg)
{
	struct websocket *websocket = arg;
	size_t length = websocket->left < room ? websocket->left : room;

	(void)flags;
	if (length == 0 || websocket->rests) {
		wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(place, websocket->input, length);
	websocket->input += length;
	websocket->left -= length;
	return (ssize_t)length;
}

static void on_message(wslay_event_context_ptr context,
		       const struct wslay_event_on_msg_recv_arg *message, void *arg)
{
	struct websocket *websocket = arg;

	(void)context;
	if (wslay_is_ctrl_frame(message->opcode) || websocket->ends ||
	    !http_request_open(websocket->request))
		return;
	if (!websocket->on_message(websocket->arg, message->opcode == WSLAY_BINARY_FRAME,
				   message->msg_length ? (const char *)message->msg : "",
				   message->msg_length))
		websocket->rests = true;
}

/* The peer has closed, or wslay has for what it did: with which code? */
static void read_close(struct websocket *websocket)
{
	static const unsigned char protocol_error[] = {0x88, 2, HTTP_WEBSOCKET_PROTOCOL_ERROR >> 8,
						       HTTP_WEBSOCKET_PROTOCOL_ERROR & 0xff};
	struct str *out = &websocket->output;

	if (wslay_event_get_close_received(websocket->context)) {
		websocket->close_code = wslay_event_get_status_code_received(websocket->context);
		return;
	}
	websocket->close_code = wslay_event_get_status_code_sent(websocket->context);
	if (websocket->close_code != HTTP_WEBSOCKET_NO_CODE || out->length < 2)
		return;
	/* for what is no frame at all wslay closes without a code; that is the last thing it wrote */
	websocket->close_code = HTTP_WEBSOCKET_PROTOCOL_ERROR;
	out->length -= 2;
	str_add_bytes(out, protocol_error, sizeof(protocol_error));
}

size_t websocket_feed(struct conn *conn, const char *data, size_t length)
{
	struct http_request *request = conn->request;
	struct websocket *websocket = request->websocket;
	wslay_event_context_ptr context = websocket->context;
	int code;

	websocket->input = data;
	websocket->left = length;
	websocket->pinged = false;
	websocket->feeding = true;
	code = wslay_event_recv(context);
	websocket->feeding = false;
	conn_read_due(conn, conn->server->limits.ping_ms);
	wslay_event_send(context);
	if (code < 0 || !wslay_event_get_read_enabled(context))
		read_close(websocket);
	flush(websocket);
	if (conn->closing || conn->finishing)
		return 0;
	if (websocket->ends) {
		request->answered = true;
		conn_finish(conn);
	} else if (code < 0 || !wslay_event_get_read_enabled(context)) {
		conn_finish(conn);
	}
	return length - websocket->left;
}

bool websocket_rests(const struct conn *conn)
{
	return conn->request && conn->request->websocket && conn->request->websocket->rests;
}

void http_websocket_resume(struct http_request *request)
{
	if (!request->websocket || !request->websocket->rests)
		return;
	request->websocket->rests = false;
	if (request->conn)
		conn_continue(request->conn);
}

void websocket_overdue(struct conn *conn)
{
	struct websocket *websocket = conn->request->websocket;
	const struct wslay_event_msg ping = {.opcode = WSLAY_PING};

	if (websocket->pinged) {
		conn_kill(conn);
		return;
	}
	websocket->pinged = true;
	wslay_event_queue_msg(websocket->context, &ping);
	flush(websocket);
	if (!conn->closing)
		conn_read_due(conn, conn->server->limits.ping_ms);
}

/* --- its end ------------------------------------------------------------------------------------- */

int http_websocket_close_code(const struct http_request *request)
{
	return request->websocket ? request->websocket->close_code : HTTP_WEBSOCKET_CUT;
}

void websocket_free(struct websocket *websocket)
{
	if (!websocket)
		return;
	wslay_event_context_free(websocket->context);
	str_fini(&websocket->output);
	free(websocket);
}

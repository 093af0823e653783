/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/websocket.h"
#include "base/clock.h"
#include "base/http_head.h"
#include "base/websocket_key.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <curl/curl.h>
#include <wslay/wslay.h>

#define HEAD_BYTES    ((size_t)64 * 1024)
#define MESSAGE_BYTES ((size_t)16 * 1024 * 1024)
#define READ_BYTES    ((size_t)64 * 1024)

struct websocket {
	struct client *client; /* borrowed */
	CURL *easy;            /* owned, given back to the client */
	curl_socket_t socket;
	wslay_event_context_ptr context; /* owned; NULL until hands are shaken */
	struct str input;                /* read and not yet used */
	size_t used;                     /* of it */
	websocket_message_fn message;
	void *arg;
	bool broken;
	int close_code;
	char close_reason[128];
};

/* --- what wslay asks for ------------------------------------------------------------------------- */

static ssize_t give_input(wslay_event_context_ptr context, uint8_t *place, size_t room, int flags,
			  void *arg)
{
	struct websocket *websocket = arg;
	size_t length = websocket->input.length - websocket->used;
	char buffer[READ_BYTES];
	CURLcode code;

	(void)flags;
	if (length == 0) {
		code = curl_easy_recv(websocket->easy, buffer, sizeof(buffer), &length);
		if (code == CURLE_AGAIN) {
			wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
			return -1;
		}
		if (code != CURLE_OK || length == 0) {
			websocket->broken = true;
			wslay_event_set_error(context, WSLAY_ERR_CALLBACK_FAILURE);
			return -1;
		}
		str_clear(&websocket->input);
		str_add_bytes(&websocket->input, buffer, length);
		websocket->used = 0;
	}
	if (length > room)
		length = room;
	memcpy(place, websocket->input.data + websocket->used, length);
	websocket->used += length;
	return (ssize_t)length;
}

static ssize_t take_output(wslay_event_context_ptr context, const uint8_t *data, size_t length,
			   int flags, void *arg)
{
	struct websocket *websocket = arg;
	size_t sent = 0;
	CURLcode code = curl_easy_send(websocket->easy, data, length, &sent);

	(void)flags;
	if (code == CURLE_OK)
		return (ssize_t)sent;
	if (code != CURLE_AGAIN)
		websocket->broken = true;
	wslay_event_set_error(context, code == CURLE_AGAIN ? WSLAY_ERR_WOULDBLOCK
							   : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static int make_mask(wslay_event_context_ptr context, uint8_t *place, size_t length, void *arg)
{
	(void)context, (void)arg;
	return getrandom(place, length, 0) == (ssize_t)length ? 0 : -1;
}

static void on_message(wslay_event_context_ptr context,
		       const struct wslay_event_on_msg_recv_arg *message, void *arg)
{
	struct websocket *websocket = arg;

	(void)context;
	if (message->opcode == WSLAY_CONNECTION_CLOSE) {
		websocket->close_code = message->status_code;
		if (message->msg_length > 2)
			snprintf(websocket->close_reason, sizeof(websocket->close_reason), "%.*s",
				 (int)(message->msg_length - 2), (const char *)message->msg + 2);
	} else if (!wslay_is_ctrl_frame(message->opcode)) {
		websocket->message(websocket->arg,
				   message->msg_length ? (const char *)message->msg : "",
				   message->msg_length);
	}
}

/* --- the handshake ------------------------------------------------------------------------------- */

/* Waits for the socket; false at the limit. */
static bool await(const struct websocket *websocket, short events, int64_t due_us)
{
	struct pollfd poll_fd = {.fd = websocket->socket, .events = events};
	int64_t left_us = due_us - clock_monotonic_us();

	return left_us > 0 && poll(&poll_fd, 1, (int)(left_us / 1000) + 1) > 0;
}

static int lost(const struct client *client, struct gantry_error *err)
{
	return gantry_error_set(err, -ECONNRESET, "lost the connection to gantryd at %s",
				client_host(client));
}

static int send_all(struct websocket *websocket, const struct str *text, int64_t due_us,
		    struct gantry_error *err)
{
	size_t at = 0, count;
	CURLcode code;

	while (at < text->length) {
		code = curl_easy_send(websocket->easy, text->data + at, text->length - at, &count);
		if (code == CURLE_OK)
			at += count;
		else if (code != CURLE_AGAIN)
			return lost(websocket->client, err);
		else if (!await(websocket, POLLOUT, due_us))
			return gantry_error_set(err, -ETIMEDOUT, "gantryd at %s does not answer",
						client_host(websocket->client));
	}
	return 0;
}

/* Reads until the head is whole (its length in *ret_head, 0: not yet) and `wanted` bytes are behind it. */
static int read_answer(struct websocket *websocket, size_t wanted, size_t *ret_head, int64_t due_us,
		       struct gantry_error *err)
{
	struct str *input = &websocket->input;
	char buffer[4096], *end;
	CURLcode code;
	size_t count;

	for (;;) {
		end = input->length ? memmem(input->data, input->length, "\r\n\r\n", 4) : NULL;
		*ret_head = end ? (size_t)(end - input->data) + 4 : 0;
		if (end && input->length - *ret_head >= wanted)
			return 0;
		if (input->length > HEAD_BYTES + wanted)
			break;
		code = curl_easy_recv(websocket->easy, buffer, sizeof(buffer), &count);
		if (code == CURLE_OK && count)
			str_add_bytes(input, buffer, count);
		else if (code != CURLE_AGAIN)
			return lost(websocket->client, err);
		else if (!await(websocket, POLLIN, due_us))
			return gantry_error_set(err, -ETIMEDOUT, "gantryd at %s does not answer",
						client_host(websocket->client));
	}
	return gantry_error_set(err, -EPROTO, "gantryd at %s: not an answer in HTTP",
				client_host(websocket->client));
}

static int shake_hands(struct websocket *websocket, const char *path, const char *protocol,
		       struct client_reply *ret_reply, struct gantry_error *err)
{
	int64_t due_us = clock_monotonic_us() + WEBSOCKET_HANDSHAKE_MS * 1000;
	char key[WEBSOCKET_KEY_LENGTH + 1], accept[WEBSOCKET_ACCEPT_LENGTH + 1];
	struct client *client = websocket->client;
	struct str text = STR_INIT;
	const char *length, *answer;
	size_t head = 0;
	int code;

	websocket_key_make(key);
	websocket_key_accept(key, accept);
	str_addf(&text,
		 "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gantry\r\nUpgrade: websocket\r\n"
		 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
		 "Sec-WebSocket-Protocol: %s\r\n\r\n",
		 path, client_authority(client), key, protocol);
	code = send_all(websocket, &text, due_us, err);
	str_fini(&text);
	if (code == 0)
		code = read_answer(websocket, 0, &head, due_us, err);
	if (code < 0)
		return code;
	if (sscanf(websocket->input.data, "HTTP/1.1 %d", &ret_reply->status) != 1)
		return gantry_error_set(err, -EPROTO, "gantryd at %s: not an answer in HTTP",
					client_host(client));
	if (ret_reply->status == 101) {
		answer = http_head_find(websocket->input.data, "Sec-WebSocket-Accept");
		if (!answer || strncmp(answer, accept, WEBSOCKET_ACCEPT_LENGTH) != 0)
			return gantry_error_set(err, -EPROTO, "gantryd at %s is no WebSocket",
						client_host(client));
		websocket->used = head;
		return 0;
	}
	length = http_head_find(websocket->input.data, "Content-Length");
	if (length)
		code = read_answer(websocket, strtoul(length, NULL, 10), &head, due_us, err);
	if (code < 0)
		return code;
	str_add_bytes(&ret_reply->body, websocket->input.data + head,
		      websocket->input.length - head);
	json_parse(str_text(&ret_reply->body), ret_reply->body.length, &ret_reply->json, NULL);
	return 0;
}

int websocket_open(struct client *client, const char *path, const char *protocol,
		   websocket_message_fn message, void *arg, struct websocket **ret_websocket,
		   struct client_reply *ret_reply, struct gantry_error *err)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = give_input,
		.send_callback = take_output,
		.genmask_callback = make_mask,
		.on_msg_recv_callback = on_message,
	};
	struct websocket *websocket = xcalloc(1, sizeof(*websocket));
	void *easy = NULL;
	int code;

	*ret_websocket = NULL;
	*ret_reply = (struct client_reply){0};
	websocket->client = client;
	websocket->message = message;
	websocket->arg = arg;
	code = client_connect(client, &easy, err);
	websocket->easy = easy;
	if (code == 0) {
		curl_easy_getinfo(websocket->easy, CURLINFO_ACTIVESOCKET, &websocket->socket);
		code = shake_hands(websocket, path, protocol, ret_reply, err);
	}
	if (code < 0 || ret_reply->status != 101) {
		if (code < 0)
			client_reply_fini(ret_reply);
		websocket_free(websocket);
		return code;
	}
	if (wslay_event_context_client_init(&websocket->context, &callbacks, websocket) < 0)
		abort(); /* out of memory, as in xmalloc */
	wslay_event_config_set_max_recv_msg_length(websocket->context, MESSAGE_BYTES);
	*ret_websocket = websocket;
	return 0;
}

void websocket_free(struct websocket *websocket)
{
	if (!websocket)
		return;
	if (websocket->context)
		wslay_event_context_free(websocket->context);
	if (websocket->easy)
		client_disconnect(websocket->client, websocket->easy);
	str_fini(&websocket->input);
	free(websocket);
}

/* --- at work ------------------------------------------------------------------------------------- */

int websocket_fd(const struct websocket *websocket)
{
	return websocket->socket;
}

size_t websocket_queued(const struct websocket *websocket)
{
	return wslay_event_want_write(websocket->context)
		       ? wslay_event_get_queued_msg_length(websocket->context) + 1
		       : 0;
}

void websocket_send(struct websocket *websocket, const void *data, size_t length)
{
	const struct wslay_event_msg message = {
		.opcode = WSLAY_BINARY_FRAME, .msg = data, .msg_length = length};

	wslay_event_queue_msg(websocket->context, &message);
}

void websocket_close(struct websocket *websocket)
{
	wslay_event_queue_close(websocket->context, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
}

int websocket_work(struct websocket *websocket)
{
	wslay_event_context_ptr context = websocket->context;
	int read = 0, sent = 0;

	if (wslay_event_get_read_enabled(context))
		read = wslay_event_recv(context);
	if (wslay_event_want_write(context))
		sent = wslay_event_send(context);
	if (websocket->close_code || wslay_event_get_close_received(context))
		return 1;
	if (websocket->broken)
		return -ECONNRESET;
	return read < 0 || sent < 0 || !wslay_event_get_read_enabled(context) ? -EPROTO : 0;
}

int websocket_close_code(const struct websocket *websocket)
{
	return websocket->close_code;
}

const char *websocket_close_reason(const struct websocket *websocket)
{
	return websocket->close_reason;
}

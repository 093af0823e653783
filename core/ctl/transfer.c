/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl asks for what to send and hands over what has come; here the caller does both. Between the two is a
 * buffer: where it is full (in) or empty (out) libcurl is told to pause, and goes on when the caller has
 * taken or given something.
 */
#include "ctl/transfer.h"
#include "ctl/client_internal.h"

#include <stdlib.h>

#define BUFFER_BYTES ((size_t)256 * 1024)

struct transfer_body {
	struct client *client; /* borrowed */
	struct transfer transfer;
	struct client_reply reply; /* of an upload; a download's is the caller's */
	struct str buffer;
	size_t used; /* of the buffer: read by the caller, or sent */
	bool paused; /* libcurl is */
	bool given;  /* the upload is whole */
	bool over;   /* the exchange has ended */
	CURLcode code;
};

static size_t left(const struct transfer_body *body)
{
	return body->buffer.length - body->used;
}

static void go_on(struct transfer_body *body)
{
	if (!body->paused || body->over)
		return;
	body->paused = false;
	curl_easy_pause(body->transfer.easy, CURLPAUSE_CONT);
}

static struct transfer_body *body_new(struct client *client)
{
	struct transfer_body *body = xcalloc(1, sizeof(*body));

	body->client = client;
	body->transfer.arg = body;
	return body;
}

static void body_free(struct transfer_body *body)
{
	client_disconnect(body->client, body->transfer.easy);
	client_reply_fini(&body->reply);
	str_fini(&body->buffer);
	free(body);
}

/* --- in ------------------------------------------------------------------------------------------ */

static int on_piece(void *arg, const char *data, size_t length)
{
	struct transfer_body *body = arg;

	if (left(body) >= BUFFER_BYTES) {
		body->paused = true;
		return -EAGAIN;
	}
	str_consume(&body->buffer, body->used);
	body->used = 0;
	str_add_bytes(&body->buffer, data, length);
	return 0;
}

/* Until there is something to read, or nothing more. */
static int fill(struct transfer_body *body)
{
	int error = 0;

	while (!left(body) && !body->over && error >= 0) {
		body->over = client_turn(body->client, &body->code);
		if (!body->over && !left(body))
			error = client_rest(body->client);
	}
	return error < 0 ? error : 0;
}

int download_open(struct client *client, const char *path, struct transfer_body **ret_body,
		  struct client_reply *ret_reply, struct gantry_error *err)
{
	struct transfer_body *body = body_new(client);
	int error;

	*ret_reply = (struct client_reply){0};
	*ret_body = NULL;
	body->transfer.reply = ret_reply;
	body->transfer.data = on_piece;
	client_set_up(client, &body->transfer, "GET", path, NULL, NULL);
	curl_multi_add_handle(client->multi, body->transfer.easy);
	error = fill(body);
	error = client_judge(client, &body->transfer, error, body->code, err);
	if (error < 0 || ret_reply->status >= 400) {
		body_free(body);
		if (error < 0)
			client_reply_fini(ret_reply);
		return error;
	}
	*ret_body = body;
	return 0;
}

ssize_t download_read(struct transfer_body *body, const char **ret_data, struct gantry_error *err)
{
	struct client_reply rest = {0};
	int error = 0;

	if (!left(body)) { /* what came while it was opened is not read yet */
		body->used = 0;
		str_clear(&body->buffer);
		go_on(body);
		error = fill(body);
	}
	if (error == 0 && left(body)) {
		ssize_t length = (ssize_t)left(body);

		*ret_data = body->buffer.data + body->used;
		body->used = body->buffer.length;
		return length;
	}
	body->transfer.reply = &rest;
	error = client_judge(body->client, &body->transfer, error, body->code, err);
	client_reply_fini(&rest);
	return error;
}

void download_close(struct transfer_body *body)
{
	body_free(body);
}

/* --- out ----------------------------------------------------------------------------------------- */

static size_t on_send(char *data, size_t one, size_t room, void *arg)
{
	struct transfer_body *body = arg;
	size_t length = left(body) < one * room ? left(body) : one * room;

	if (length == 0) {
		body->paused = !body->given;
		return body->given ? 0 : CURL_READFUNC_PAUSE;
	}
	memcpy(data, body->buffer.data + body->used, length);
	body->used += length;
	return length;
}

struct transfer_body *upload_open(struct client *client, const char *method, const char *path)
{
	struct transfer_body *body = body_new(client);
	struct transfer *transfer = &body->transfer;

	transfer->reply = &body->reply;
	client_set_up(client, transfer, "PUT", path, NULL, NULL);
	curl_easy_setopt(transfer->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(transfer->easy, CURLOPT_READFUNCTION, on_send);
	curl_easy_setopt(transfer->easy, CURLOPT_READDATA, body);
	curl_multi_add_handle(client->multi, transfer->easy);
	return body;
}

/* Until no more than so much is left, or it is over. */
static int drain(struct transfer_body *body, size_t most)
{
	int error = 0;

	go_on(body);
	while (left(body) > most && !body->over && error >= 0) {
		body->over = client_turn(body->client, &body->code);
		if (!body->over && left(body) > most)
			error = client_rest(body->client);
	}
	return error < 0 ? error : 0;
}

int upload_write(struct transfer_body *body, const void *data, size_t length,
		 struct gantry_error *err)
{
	int error;

	if (body->over)
		return -EPIPE;
	if (body->used) {
		str_consume(&body->buffer, body->used);
		body->used = 0;
	}
	str_add_bytes(&body->buffer, data, length);
	error = left(body) < BUFFER_BYTES ? 0 : drain(body, BUFFER_BYTES / 2);
	if (error < 0)
		return gantry_error_set(err, error, "interrupted");
	return body->over ? -EPIPE : 0;
}

int upload_end(struct transfer_body *body, struct client_reply *ret_reply, struct gantry_error *err)
{
	int error = 0;

	body->given = true;
	go_on(body);
	while (!body->over && error == 0) {
		body->over = client_turn(body->client, &body->code);
		if (!body->over)
			error = client_rest(body->client);
	}
	error = client_judge(body->client, &body->transfer, error < 0 ? error : 0, body->code, err);
	if (error == 0) {
		*ret_reply = body->reply;
		body->reply = (struct client_reply){0};
	}
	body_free(body);
	return error;
}

void upload_abort(struct transfer_body *body)
{
	body_free(body);
}

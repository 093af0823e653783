/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's log endpoint, message by message with its time: for logs whose files are not on this host.
 *
 *	inspect (a terminal?) ─▶ logs?timestamps=1&since=… ─▶ messages … ─▶ the end
 *
 * Without a terminal a frame is a message; with one a message ends with its line, or at 16 KiB as the engine cuts
 * them. Each begins with its time and a space.
 */
#include "docker.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_SIZE 16384
/* More is no message of an engine, which cuts at 16 KiB; Podman gives whole lines. */
#define MESSAGE_MOST ((size_t)4 << 20)

struct log_read {
	struct docker_call call;
	const char *container;
	int64_t since_ns;
	bool follow, terminal;
	gantry_log_message_fn fn;
	void *arg;
	struct docker_frames frames;
	char *text; /* owned: the message at hand, with its time in front */
	size_t length, capacity;
	size_t time_length; /* of a terminal's message: its time and the space; 0: not all here */
};

static void add(struct log_read *read, const char *data, size_t length)
{
	if (read->length + length > read->capacity) {
		read->capacity = 2 * (read->length + length);
		read->text = realloc(read->text, read->capacity);
		if (!read->text)
			abort();
	}
	memcpy(read->text + read->length, data, length);
	read->length += length;
}

static int tell(struct log_read *read, int stream)
{
	char *space = memchr(read->text, ' ', read->length);
	size_t length = read->length;
	int64_t ns = 0;

	read->length = read->time_length = 0;
	if (space) {
		*space = '\0';
		ns = docker_time_ns(read->text);
	}
	if (ns == 0)
		return -EPROTO; /* cursors need times */
	return read->fn(read->arg, stream, ns, space + 1,
			length - (size_t)(space + 1 - read->text));
}

static int frame_bytes(struct log_read *read, const char *data, size_t length)
{
	struct docker_piece piece;
	int code;

	while ((code = docker_frames_next(&read->frames, &data, &length, &piece)) > 0) {
		if (read->length + piece.length > MESSAGE_MOST)
			return -EFBIG;
		add(read, piece.data, piece.length);
		code = piece.last ? tell(read, piece.stream) : 0;
		if (code < 0)
			return code;
	}
	return code;
}

static int terminal_bytes(struct log_read *read, const char *data, size_t length)
{
	int code = 0;

	for (; length > 0 && code == 0; data++, length--) {
		add(read, data, 1);
		if (read->time_length == 0 && *data == ' ')
			read->time_length = read->length;
		else if (read->time_length == 0 && read->length > 64)
			code = -EPROTO;
		else if (read->time_length &&
			 (*data == '\n' || read->length - read->time_length == MESSAGE_SIZE))
			code = tell(read, 1);
	}
	return code;
}

static int on_data(struct docker_call *call, const char *data, size_t length)
{
	struct log_read *read = (struct log_read *)call;

	return read->terminal ? terminal_bytes(read, data, length)
			      : frame_bytes(read, data, length);
}

static void ended(struct docker_call *call, const struct gantry_error *err,
		  struct json_object *reply)
{
	struct log_read *read = (struct log_read *)call;
	struct gantry_error why;

	(void)reply;
	if (!err && docker_frames_amid(&read->frames)) {
		gantry_error_set(&why, -EIO, "docker: the log ended amid a frame");
		err = &why;
	} else if (!err && read->terminal && read->time_length &&
		   read->length > read->time_length) {
		tell(read, 1); /* it is the last, and has no newline */
	}
	free(read->text);
	call->node->host->op_done(call->op, err, NULL);
}

static void inspected(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct log_read *read = (struct log_read *)call;

	if (err) {
		call->node->host->op_done(call->op, err, NULL);
		return;
	}
	read->terminal = docker_bool(docker_get(reply, "Config"), "Tty");
	call->done = ended;
	call->on_data = on_data;
	call->stall_ms = read->follow ? -1 : 0;
	docker_call(
		call, "GET", NULL,
		"/containers/%s/logs?stdout=1&stderr=1&follow=%d&timestamps=1&since=%lld.%09lld",
		read->container, read->follow, (long long)(read->since_ns / 1000000000),
		(long long)(read->since_ns % 1000000000));
}

void docker_log_read(void *arg, const char *container, int64_t since_ns, bool follow,
		     gantry_log_message_fn fn, void *fn_arg, struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct log_read *read = node->host->op_alloc(op, sizeof(*read));

	read->call.node = node;
	read->call.op = op;
	read->call.done = inspected;
	read->container = docker_keep(node, op, container);
	read->since_ns = since_ns;
	read->follow = follow;
	read->fn = fn;
	read->arg = fn_arg;
	docker_call(&read->call, "GET", NULL, "/containers/%s/json", container);
}

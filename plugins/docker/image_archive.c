/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as archives, neither of which is ever whole in memory.
 *
 *	save   GET /images/NAME/get; the engine puts it together first, and says nothing meanwhile
 *	load   ping ─▶ POST /images/load ─▶ open ─▶ pieces ─▶ its words: progress, names, or why not
 *
 * The engine is asked whether it is there before the first piece is wanted. It takes the archive as a
 * whole before it looks at it: one that is broken off leaves nothing. Why it refuses one comes amid an
 * answer with status 200.
 */
#include "docker.h"

#include <stdlib.h>

#define NAMES_MAX 64

struct save {
	struct docker_call call;
	gantry_archive_fn fn;
	void *arg;
	int refused; /* what fn answered, where negative */
};

/* --- save --- */

static int on_piece(struct docker_call *call, const char *data, size_t length)
{
	struct save *save = (struct save *)call;

	if (length > 0)
		save->refused = save->fn(save->arg, data, length);
	return save->refused;
}

static void saved(struct docker_call *call, const struct gantry_error *err,
		  struct json_object *reply)
{
	struct save *save = (struct save *)call;

	(void)reply;
	if (err && save->refused < 0)
		docker_fail(call->node, call->op, -ECANCELED, "ended by the reader");
	else
		call->node->host->op_done(call->op, err, NULL);
}

void docker_image_save(void *arg, const char *image, gantry_archive_fn fn, void *fn_arg,
		       struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct save *save = node->host->op_alloc(op, sizeof(*save));
	char *encoded = docker_url(image);

	save->call.node = node;
	save->call.op = op;
	save->call.done = saved;
	save->call.on_data = on_piece;
	save->call.stall_ms = -1;
	save->fn = fn;
	save->arg = fn_arg;
	docker_call(&save->call, "GET", NULL, "/images/%s/get", encoded);
	free(encoded);
}

/* --- load --- */

struct load {
	struct gantry_upload upload;
	struct docker_stream stream;
	struct gantry_strings names; /* in the op's memory */
	char failure[400];
};

/* "Loaded image: busybox:latest", "Loaded image ID: sha256:…"; Podman's may have several, by commas. */
static void read_loaded(struct load *load, const char *text)
{
	const char *at = strncmp(text, "Loaded image", 12) == 0 ? strstr(text, ": ") : NULL;

	while (at && load->names.count < NAMES_MAX) {
		size_t length;
		char name[512];

		at += strspn(at, ":, ");
		length = strcspn(at, ",\r\n");
		if (length == 0)
			return;
		snprintf(name, sizeof(name), "%.*s", (int)length, at);
		load->names.items[load->names.count++] =
			docker_keep(load->upload.call.node, load->upload.call.op, name);
		at = strchr(at, ',');
	}
}

static int on_word(void *arg, struct json_object *message)
{
	struct load *load = arg;
	const char *failure = docker_text(docker_get(message, "errorDetail"), "message");
	const char *text = docker_text(message, "stream"), *stage = docker_text(message, "status");
	struct json_object *detail = docker_get(message, "progressDetail");
	struct gantry_progress progress = {
		.stage = stage,
		.done_bytes = docker_int(detail, "current", 0),
		.total_bytes = docker_int(detail, "total", 0),
	};

	if (!failure)
		failure = docker_text(message, "error");
	if (failure)
		snprintf(load->failure, sizeof(load->failure), "%s", failure);
	if (text)
		read_loaded(load, text);
	if (stage)
		load->upload.call.node->host->op_progress(load->upload.call.op, &progress);
	return 0;
}

static int on_answer(struct docker_call *call, const char *data, size_t length)
{
	struct load *load = (struct load *)call;

	return docker_stream_feed(&load->stream, data, length, on_word, load);
}

static void loaded(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct load *load = (struct load *)call;
	struct docker_node *node = call->node;

	(void)reply;
	docker_stream_fini(&load->stream);
	if (err)
		node->host->op_done(call->op, err, NULL);
	else if (docker_says(load->failure, "no space left"))
		docker_fail(node, call->op, -EIO, "%s", load->failure);
	else if (load->failure[0])
		docker_fail(node, call->op, -EINVAL, "the engine takes no image from it: %s",
			    load->failure);
	else if (load->names.count == 0)
		docker_fail(node, call->op, -EINVAL, "the engine finds no image in it");
	else
		node->host->op_done(call->op, NULL, &load->names);
}

static void on_open(struct docker_call *call)
{
	struct load *load = (struct load *)call;

	load->upload.sink.upload.open(load->upload.sink.upload.arg, &load->upload);
}

static void on_drain(struct docker_call *call)
{
	struct load *load = (struct load *)call;

	load->upload.sink.upload.drain(load->upload.sink.upload.arg);
}

static void pinged(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	(void)reply;
	if (err) {
		call->node->host->op_done(call->op, err, NULL);
		return;
	}
	call->done = loaded;
	call->on_data = on_answer;
	call->on_open = on_open;
	call->on_drain = on_drain;
	call->stall_ms = call->node->settings->pull_stall_ms;
	docker_call(call, "POST", NULL, "/images/load?quiet=0");
}

void docker_image_load(void *arg, const struct gantry_upload_sink *sink, struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct load *load = node->host->op_alloc(op, sizeof(*load));

	load->upload.call.node = node;
	load->upload.call.op = op;
	load->upload.call.done = pinged;
	load->upload.sink.upload = *sink;
	load->names.items = node->host->op_alloc(op, NAMES_MAX * sizeof(char *));
	if (!GANTRY_HOST_HAS(node->host, http_write_end))
		docker_fail(node, op, -ENOTSUP, "this gantryd has no uploads");
	else
		docker_call(&load->upload.call, "GET", NULL, "/_ping");
}

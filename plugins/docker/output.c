/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output of a container. First an inspect: without a terminal the engine sends frames (a head of
 * eight bytes with stream and length, then the text), with one it sends the bytes as they are. Frames
 * are cut anywhere by the network.
 */
#include "docker.h"

struct output {
	struct docker_call call;
	const char *container;
	bool follow, terminal;
	gantry_output_fn fn;
	void *arg;
	unsigned char head[8];
	size_t head_length;
	uint32_t left; /* bytes of the frame at hand */
	bool ended_by_reader;
};

static int frames(struct output *output, const char *data, size_t length)
{
	while (length > 0) {
		size_t part;
		int code;

		if (output->left == 0) {
			output->head[output->head_length++] = (unsigned char)*data++;
			length--;
			if (output->head_length < sizeof(output->head))
				continue;
			if (output->head[0] > 3 || output->head[1] || output->head[2] ||
			    output->head[3])
				return -EPROTO;
			output->left = (uint32_t)output->head[4] << 24 |
				       (uint32_t)output->head[5] << 16 |
				       (uint32_t)output->head[6] << 8 | output->head[7];
			output->head_length = 0;
			continue;
		}
		part = length < output->left ? length : output->left;
		code = output->fn(output->arg, output->head[0] == 2 ? 2 : 1, data, part);
		if (code < 0) {
			output->ended_by_reader = true;
			return code;
		}
		data += part;
		length -= part;
		output->left -= (uint32_t)part;
	}
	return 0;
}

static int on_data(struct docker_call *call, const char *data, size_t length)
{
	struct output *output = (struct output *)call;
	int code;

	if (length == 0)
		return 0;
	if (!output->terminal)
		return frames(output, data, length);
	code = output->fn(output->arg, 1, data, length);
	output->ended_by_reader = code < 0;
	return code;
}

static void ended(struct docker_call *call, const struct gantry_error *err,
		  struct json_object *reply)
{
	struct output *output = (struct output *)call;

	(void)reply;
	if (err && output->ended_by_reader)
		docker_fail(call->node, call->op, -ECANCELED, "ended by the reader");
	else if (!err && (output->left > 0 || output->head_length > 0))
		docker_fail(call->node, call->op, -EIO, "the output ended amid a frame");
	else
		call->node->host->op_done(call->op, err, NULL);
}

static void inspected(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct output *output = (struct output *)call;

	if (err) {
		call->node->host->op_done(call->op, err, NULL);
		return;
	}
	output->terminal = docker_bool(docker_get(reply, "Config"), "Tty");
	call->done = ended;
	call->on_data = on_data;
	call->stall_ms = output->follow ? -1 : 0;
	docker_call(call, "GET", NULL, "/containers/%s/logs?stdout=1&stderr=1&follow=%d",
		    output->container, output->follow);
}

void docker_output(void *arg, const char *container, bool follow, gantry_output_fn fn, void *fn_arg,
		   struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct output *output = node->host->op_alloc(op, sizeof(*output));

	output->call.node = node;
	output->call.op = op;
	output->call.done = inspected;
	output->container = docker_keep(node, op, container);
	output->follow = follow;
	output->fn = fn;
	output->arg = fn_arg;
	docker_call(&output->call, "GET", NULL, "/containers/%s/json", container);
}

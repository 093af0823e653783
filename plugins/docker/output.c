/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output of a container.
 *
 *   inspect   without a terminal the engine sends frames (a head of eight bytes with stream and length,
 *             then a message), with one it sends the messages as they are. Both are cut anywhere by
 *             the network
 *   read      all that there is; a follower goes on to the end of the process
 *   tail      for a follower: what the engine lost at the end
 *
 * Docker up to 20.10 ends a follower without the last messages where the process wrote them just
 * before its end. So a follower asks for times, takes them off again, and reads once more what came
 * after the last one that it had. Times of one stream never go back; several messages may have the same.
 */
#include "docker.h"

/* Lines longer than this are several messages. */
#define MESSAGE_SIZE 16384
/* How far the times of the two streams may be out of order. */
#define SKEW_NS 10000000000

struct output {
	struct docker_call call;
	const char *container;
	bool follow, terminal, tail;
	gantry_output_fn fn;
	void *arg;
	bool ended_by_reader;

	struct docker_frames frames;

	/* The message at hand, where it begins with its time */
	char time[40];
	size_t time_length, length;
	bool in_time, skip;
	struct {
		int64_t ns, same; /* of the last message told, and how many had the same time */
	} told[2];
	int64_t passed[2]; /* of those, in the tail */
};

static int tell(struct output *output, int stream, const char *data, size_t length)
{
	int code = output->skip ? 0 : output->fn(output->arg, stream, data, length);

	output->ended_by_reader = code < 0;
	return code;
}

static void begin_message(struct output *output)
{
	output->in_time = output->follow;
	output->time_length = output->length = 0;
	output->skip = false;
}

/* The time of a message is whole: is it one that was told already? */
static int end_time(struct output *output, int stream)
{
	int64_t ns;

	output->in_time = false;
	output->time[output->time_length] = '\0';
	ns = output->time[output->time_length - 1] == ' ' ? docker_time_ns(output->time) : 0;
	if (ns == 0) { /* an engine that gives no times: its output as it is */
		output->skip = output->tail;
		return tell(output, stream, output->time, output->time_length);
	}
	if (output->tail) {
		output->skip = ns < output->told[stream - 1].ns ||
			       (ns == output->told[stream - 1].ns &&
				output->passed[stream - 1]++ < output->told[stream - 1].same);
	} else if (ns == output->told[stream - 1].ns) {
		output->told[stream - 1].same++;
	} else {
		output->told[stream - 1].ns = ns;
		output->told[stream - 1].same = 1;
	}
	return 0;
}

/* Bytes of one message. */
static int message(struct output *output, int stream, const char *data, size_t length)
{
	int code = 0;

	while (output->in_time && length > 0) {
		output->time[output->time_length++] = *data++;
		length--;
		if (output->time[output->time_length - 1] == ' ' ||
		    output->time_length == sizeof(output->time) - 1)
			code = end_time(output, stream);
		if (code < 0)
			return code;
	}
	return length > 0 ? tell(output, stream, data, length) : 0;
}

/* Bytes of a terminal: a message ends with its line, or at its greatest size. */
static int terminal_bytes(struct output *output, const char *data, size_t length)
{
	while (length > 0) {
		size_t part = 0;
		int code;

		if (output->in_time) {
			part = 1;
		} else {
			while (part < length && output->length < MESSAGE_SIZE) {
				output->length++;
				if (data[part++] == '\n')
					output->length = MESSAGE_SIZE;
			}
		}
		code = message(output, 1, data, part);
		if (code < 0)
			return code;
		if (output->length == MESSAGE_SIZE)
			begin_message(output);
		data += part;
		length -= part;
	}
	return 0;
}

static int frame_bytes(struct output *output, const char *data, size_t length)
{
	struct docker_piece piece;
	int code;

	while ((code = docker_frames_next(&output->frames, &data, &length, &piece)) > 0) {
		if (piece.first)
			begin_message(output);
		code = message(output, piece.stream, piece.data, piece.length);
		if (code == 0 && piece.last &&
		    output->in_time) /* shorter than a time: it has none */
			code = end_time(output, piece.stream);
		if (code < 0)
			return code;
	}
	return code;
}

static int on_data(struct docker_call *call, const char *data, size_t length)
{
	struct output *output = (struct output *)call;

	return output->terminal ? terminal_bytes(output, data, length)
				: frame_bytes(output, data, length);
}

/* No message that is to be told is older than this. */
static int64_t tail_since(const struct output *output)
{
	int64_t first = output->told[0].ns, second = output->told[1].ns;
	int64_t newest = first > second ? first : second, since = newest - SKEW_NS;

	if (first > 0 && first < since)
		since = first;
	if (second > 0 && second < since)
		since = second;
	return since > 0 ? since : 0;
}

static void read_messages(struct output *output)
{
	int64_t since = output->tail ? tail_since(output) : 0;

	begin_message(output);
	output->call.stall_ms = output->follow && !output->tail ? -1 : 0;
	docker_call(
		&output->call, "GET", NULL,
		"/containers/%s/logs?stdout=1&stderr=1&follow=%d&timestamps=%d&since=%lld.%09lld",
		output->container, output->follow && !output->tail, output->follow,
		(long long)(since / 1000000000), (long long)(since % 1000000000));
}

static void ended(struct docker_call *call, const struct gantry_error *err,
		  struct json_object *reply)
{
	struct output *output = (struct output *)call;

	(void)reply;
	if (err && output->ended_by_reader) {
		docker_fail(call->node, call->op, -ECANCELED, "ended by the reader");
	} else if (err && output->tail && err->code == -ENOENT) { /* removed meanwhile */
		call->node->host->op_done(call->op, NULL, NULL);
	} else if (!err && (docker_frames_amid(&output->frames))) {
		docker_fail(call->node, call->op, -EIO, "the output ended amid a frame");
	} else if (!err && output->follow && !output->tail) {
		output->tail = true;
		read_messages(output);
	} else {
		call->node->host->op_done(call->op, err, NULL);
	}
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
	read_messages(output);
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

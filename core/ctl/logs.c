/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `gantry logs`. The log comes in frames: a head of 32 bytes (stream, flags, two of zero, then big-endian
 * length in 32 bits, and time, boot and sequence in 64 each) and the bytes of a line, or of many with their
 * newlines. Each goes to the stream it was written to, as it was; a gap is told on standard error.
 *
 * A stream that is cut, as the daemon restarts, is asked for again from the last line that was read.
 */
#include <endian.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "ctl/operation.h"
#include "ctl/output.h"

#define HEAD_SIZE  32
#define PARTIAL    1
#define NO_NEWLINE 2
#define TEXT       8

struct printer {
	struct ctl *ctl;
	const char *name; /* borrowed */
	bool timestamps;
	bool inside
		[3]; /* the line before on this stream was a part: no time in front of the next */
	struct str rest;    /* of a frame that is not whole yet */
	struct str text;    /* to be written, … */
	int stream;         /* … there */
	char cursor[48];    /* of the last line; "": none yet */
	int64_t started_us; /* of the tries to connect again */
	int error;          /* of writing; 0: none */
};

static uint64_t number_at(const char *bytes, size_t at)
{
	uint64_t value;

	memcpy(&value, bytes + at, sizeof(value));
	return be64toh(value);
}

static uint32_t length_of(const char *head)
{
	uint32_t value;

	memcpy(&value, head + 4, sizeof(value));
	return be32toh(value);
}

static int flush(struct printer *printer)
{
	int error = output_write(printer->stream, printer->text.data, printer->text.length);

	str_clear(&printer->text);
	return error;
}

static char *gap_span(struct json_object *gap)
{
	const char *from = json_get_string(gap, "from", NULL),
		   *to = json_get_string(gap, "to", NULL);

	if (from && to)
		return str_equal(from, to) ? xasprintf(" (at %s)", to)
					   : xasprintf(" (from %s to %s)", from, to);
	return to     ? xasprintf(" (until %s)", to)
	       : from ? xasprintf(" (since %s)", from)
		      : xstrdup("");
}

static void tell_gap(const struct printer *printer, const char *text, size_t length)
{
	struct json_object *object = NULL, *gap;
	struct gantry_error err;
	const char *why;
	int64_t lines;
	char *span;

	if (json_parse(text, length, &object, &err) < 0)
		return;
	gap = json_get(object, "gap");
	lines = json_get_int(gap, "lines", -1);
	why = json_get_string(gap, "why", "?");
	span = gap_span(gap);
	if (lines > 0)
		output_error("%s: %lld line%s missing here: %s%s", printer->name, (long long)lines,
			     lines == 1 ? " is" : "s are", why, span);
	else
		output_error("%s: %s%s%s", printer->name,
			     lines < 0 ? "lines are missing here: " : "", why, span);
	free(span);
	json_object_put(object);
}

static int print_frame(struct printer *printer, const char *head, size_t length)
{
	const char *data = head + HEAD_SIZE;
	int stream = head[0], error = 0;
	char time[CLOCK_NS_SIZE];

	if (stream == 0 && length == 0)
		return 0;
	if (stream < 0 || stream > 2)
		return -EPROTO;
	if (stream != printer->stream)
		error = flush(printer);
	if (stream == 0) {
		tell_gap(printer, data, length);
		return error;
	}
	printer->stream = stream;
	if (head[1] & TEXT) {
		error = flush(printer);
		return error < 0 ? error : output_write(stream, data, length);
	}
	if (printer->timestamps && !printer->inside[stream]) {
		clock_format_ns((int64_t)number_at(head, 8), time);
		str_addf(&printer->text, "%s ", time);
	}
	printer->inside[stream] = head[1] & PARTIAL;
	str_add_bytes(&printer->text, data, length);
	if (!(head[1] & (PARTIAL | NO_NEWLINE)))
		str_add_char(&printer->text, '\n');
	return error;
}

/* Prints the whole frames; how many bytes they had, or a negative error. */
static ssize_t print_frames(struct printer *printer, const char *bytes, size_t length)
{
	const char *last = NULL;
	size_t used = 0;
	int error = 0;

	while (error == 0 && length - used >= HEAD_SIZE) {
		size_t size = length_of(bytes + used);

		if (size > CLIENT_LINE_MAX)
			error = -EPROTO;
		if (error < 0 || length - used < HEAD_SIZE + size)
			break;
		error = print_frame(printer, bytes + used, size);
		if (bytes[used] || size) /* else only a sign of life */
			last = bytes + used;
		used += HEAD_SIZE + size;
	}
	if (last)
		snprintf(printer->cursor, sizeof(printer->cursor), "%lld.%lld",
			 (long long)number_at(last, 16), (long long)number_at(last, 24));
	return error < 0 ? error : (ssize_t)used;
}

/* The bytes that the frame at hand is short of, or its head. */
static size_t missing(const struct str *rest)
{
	return HEAD_SIZE + (rest->length < HEAD_SIZE ? 0 : length_of(rest->data)) - rest->length;
}

static int on_bytes(void *arg, const char *bytes, size_t length)
{
	struct printer *printer = arg;
	ssize_t used = 0;

	printer->started_us = 0;
	while (used >= 0 && length && printer->rest.length) {
		size_t more = missing(&printer->rest);

		if (more > length)
			more = length;
		str_add_bytes(&printer->rest, bytes, more);
		bytes += more;
		length -= more;
		used = print_frames(printer, printer->rest.data, printer->rest.length);
		if (used > 0)
			str_consume(&printer->rest, (size_t)used);
	}
	if (used >= 0)
		used = print_frames(printer, bytes, length);
	if (used >= 0)
		str_add_bytes(&printer->rest, bytes + used, length - (size_t)used);
	printer->error = used < 0 ? (int)used : flush(printer);
	return printer->error;
}

static int on_object(void *arg, struct json_object *object, const char *text)
{
	struct printer *printer = arg;

	printer->started_us = 0;
	snprintf(printer->cursor, sizeof(printer->cursor), "%s",
		 json_get_string(object, "cursor", printer->cursor));
	puts(text);
	fflush(stdout);
	return 0;
}

/* A span is so long ago; all else is the API's to judge. */
static void add_time(struct str *path, struct ctl *ctl, const char *name)
{
	const char *text = args_text(ctl->args, name, NULL);
	char time[CLOCK_NS_SIZE];
	int64_t ago_ms;

	if (text && units_parse_duration(text, &ago_ms) == 0) {
		clock_format(clock_wall_ms() - ago_ms, time, sizeof(time));
		text = time;
	}
	if (text)
		path_query(path, name, text);
}

static char *make_path(struct ctl *ctl, const struct printer *printer)
{
	static const char *const words[] = {"stream", "grep", NULL};
	char *start = instance_path(ctl, printer->name, "/logs");
	struct str path = STR_INIT;

	str_add(&path, start);
	free(start);
	if (!ctl->json)
		path_query(&path, "format", "frames");
	if (printer->timestamps && !ctl->json)
		path_query(&path, "timestamps", "true");
	if (args_has(ctl->args, "follow"))
		path_query(&path, "follow", "true");
	add_time(&path, ctl, "since");
	add_time(&path, ctl, "until");
	for (size_t i = 0; words[i]; i++)
		if (args_text(ctl->args, words[i], NULL))
			path_query(&path, words[i], args_text(ctl->args, words[i], NULL));
	if (printer->cursor[0])
		path_query(&path, "after", printer->cursor);
	else if (args_text(ctl->args, "after", NULL))
		path_query(&path, "after", args_text(ctl->args, "after", NULL));
	if (!printer->cursor[0] && args_text(ctl->args, "tail", NULL))
		path_query(&path, "tail", args_text(ctl->args, "tail", NULL));
	return str_take(&path);
}

int logs_command(struct ctl *ctl)
{
	struct printer printer = {
		.ctl = ctl,
		.name = ctl->args->words[0],
		.timestamps = args_has(ctl->args, "timestamps"),
		.stream = STDOUT_FILENO,
	};
	struct client_reply reply;
	struct gantry_error err;
	int error, interrupted, status = CTL_OK;

	for (;;) {
		char *path = make_path(ctl, &printer);

		str_clear(&printer.rest);
		error = ctl->json
				? client_lines(ctl->client, path, on_object, &printer, &reply, &err)
				: client_stream(ctl->client, path, on_bytes, &printer, &reply,
						&err);
		free(path);
		/* Cut, not ended: go on where it was, once there was anything to lose. */
		if (!printer.cursor[0] || (error != -ECONNRESET && error != -ECONNREFUSED) ||
		    !client_retry_pause(ctl->client, &printer.started_us, &interrupted))
			break;
	}
	str_fini(&printer.rest);
	str_fini(&printer.text);
	if (error < 0) {
		if (printer.error == -EPROTO)
			gantry_error_set(&err, -EPROTO,
					 "gantryd answers in a form that is not known here");
		else if (printer.error < 0)
			gantry_error_set(&err, error, "the log cannot be written: %s",
					 strerror(-error));
		return output_fail(printer.name, &err);
	}
	if (reply.status >= 400)
		status = output_problem(printer.name, reply.status, reply.json);
	client_reply_fini(&reply);
	return status;
}

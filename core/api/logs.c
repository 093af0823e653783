/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of an instance, in three forms:
 *
 *	ndjson   a JSON object a line
 *	raw      the bytes and a newline, with the time in front where asked for
 *	frames   a head of 32 bytes and the bytes: exact, with cursors, and as cheap as raw; for the command.
 *	         One may have many lines
 *
 * Lines come in pieces from the reader (flows/log/logs.h), which waits while the client is behind. A quiet
 * stream says something empty now and then, where the form has a way to.
 */
#include "api/call.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/str.h"
#include "flows/log/log_kept.h"
#include "flows/log/logs.h"

#include <gantry/text.h>

#include <endian.h>
#include <stdlib.h>

#define IDLE_MS  15000
#define TEXT_MAX 1024
#define PIECE_BYTES                                                                                \
	((size_t)32 << 10) /* of what is written at once: larger ones leave the caches */
#define LINES_BYTES                                                                                \
	((size_t)1 << 10) /* many lines in one of so many are written from where they are */

enum form { FORM_NDJSON, FORM_RAW, FORM_FRAMES };

static const struct {
	const char *name, *content_type;
} forms[] = {
	[FORM_NDJSON] = {"ndjson", "application/x-ndjson"},
	[FORM_RAW] = {"raw", "application/octet-stream"},
	[FORM_FRAMES] = {"frames", "application/vnd.gantry.log"},
};

/* In the request's arena. */
struct log_stream {
	struct call *call;
	struct log_reader reader;
	enum form form;
	bool timestamps, begun;
	struct loop_timer idle;
	struct str text; /* of the piece at hand */
};

/* --- one line ------------------------------------------------------------------------------------ */

static void add_gap(struct str *text, const struct gantry_log_line *line)
{
	char time[CLOCK_NS_SIZE];

	str_add(text, "\"gap\":{\"why\":\"");
	str_add_json(text, line->data, line->length);
	str_add(text, "\"");
	if (line->lost >= 0)
		str_addf(text, ",\"lines\":%lld", (long long)line->lost);
	if (line->gap_since_ns) {
		clock_format_ns(line->gap_since_ns, time);
		str_addf(text, ",\"from\":\"%s\"", time);
	}
	if (line->time_ns) {
		clock_format_ns(line->time_ns, time);
		str_addf(text, ",\"to\":\"%s\"", time);
	}
	str_add(text, "}");
}

static void add_tags(struct str *text, const struct gantry_pairs *tags)
{
	for (size_t i = 0; i < tags->count; i++) {
		str_add(text, i ? ",\"" : ",\"tags\":{\"");
		str_add(text, tags->items[i].name);
		str_add(text, "\":\"");
		str_add_json(text, tags->items[i].value, strlen(tags->items[i].value));
		str_add(text, "\"");
	}
	str_add(text, "}");
}

static void add_ndjson(struct str *text, const struct gantry_log_line *line)
{
	char time[CLOCK_NS_SIZE];

	str_add(text, "{\"cursor\":\"");
	str_add_int(text, line->boot);
	str_add_char(text, '.');
	str_add_int(text, line->sequence);
	str_add(text, "\",");
	if (line->stream == 0) {
		add_gap(text, line);
		str_add(text, "}\n");
		return;
	}
	clock_format_ns(line->time_ns, time);
	str_add(text, "\"time\":\"");
	str_add(text, time);
	str_add(text,
		line->stream == 2 ? "\",\"stream\":\"stderr\"," : "\",\"stream\":\"stdout\",");
	if (gantry_is_utf8(line->data, line->length)) {
		str_add(text, "\"text\":\"");
		str_add_json(text, line->data, line->length);
	} else {
		str_add(text, "\"data\":\"");
		str_add_base64(text, line->data, line->length);
	}
	str_add(text, "\"");
	if (line->flags & GANTRY_LOG_PARTIAL)
		str_add(text, ",\"partial\":true");
	if (line->flags & GANTRY_LOG_NO_NEWLINE)
		str_add(text, ",\"no_newline\":true");
	if (line->flags & GANTRY_LOG_LOSSY)
		str_add(text, ",\"lossy_source\":true");
	if (line->tags)
		add_tags(text, line->tags);
	str_add(text, "}\n");
}

/* Gaps are not told: there is no place for them. */
static void add_raw(struct str *text, const struct gantry_log_line *line, bool timestamps)
{
	char time[CLOCK_NS_SIZE];

	if (line->stream == 0)
		return;
	if (timestamps) {
		clock_format_ns(line->time_ns, time);
		str_add(text, time);
		str_add_char(text, ' ');
	}
	str_add_bytes(text, line->data, line->length);
	if (!(line->flags & (GANTRY_LOG_PARTIAL | GANTRY_LOG_NO_NEWLINE | GANTRY_LOG_LINES)))
		str_add_char(text, '\n');
}

struct frame_head {
	uint8_t stream, flags, zero[2];
	uint32_t length;
	uint64_t time_ns, boot, sequence;
};

static struct frame_head head_of(const struct gantry_log_line *line, size_t length)
{
	return (struct frame_head){
		.stream = (uint8_t)line->stream,
		.flags = (uint8_t)line->flags,
		.length = htobe32((uint32_t)length),
		.time_ns = htobe64((uint64_t)line->time_ns),
		.boot = htobe64((uint64_t)line->boot),
		.sequence = htobe64((uint64_t)line->sequence),
	};
}

static void add_frame(struct str *text, const struct gantry_log_line *line)
{
	struct str gap = STR_INIT;
	struct frame_head head = head_of(line, line->length);

	if (line->stream == 0) {
		str_add(&gap, "{");
		add_gap(&gap, line);
		str_add(&gap, "}");
		head.length = htobe32((uint32_t)gap.length);
		str_add_bytes(text, &head, sizeof(head));
		str_add_bytes(text, gap.data, gap.length);
		str_fini(&gap);
		return;
	}
	str_add_bytes(text, &head, sizeof(head));
	str_add_bytes(text, line->data, line->length);
}

/* --- the stream ---------------------------------------------------------------------------------- */

static void let_go(struct log_stream *stream)
{
	loop_timer_stop(stream->call->daemon->loop, &stream->idle);
	http_request_on_gone(stream->call->request, NULL, NULL);
}

static void on_idle(struct loop_timer *timer)
{
	struct log_stream *stream = LIST_ENTRY(timer, struct log_stream, idle);
	const struct frame_head nothing = {0};

	loop_timer_start(stream->call->daemon->loop, timer, IDLE_MS);
	if (stream->form == FORM_NDJSON)
		http_stream_write(stream->call->request, "\n", 1);
	else if (stream->form == FORM_FRAMES)
		http_stream_write(stream->call->request, &nothing, sizeof(nothing));
}

static void on_drain(void *arg)
{
	log_reader_resume(&((struct log_stream *)arg)->reader);
}

/* False: there is nothing to write to. */
static bool begin(struct log_stream *stream)
{
	struct http_request *request = stream->call->request;

	if (stream->begun)
		return true;
	if (!http_stream_begin(request, 200, forms[stream->form].content_type))
		return false;
	stream->begun = true;
	http_stream_on_drain(request, on_drain, stream);
	loop_timer_start(stream->call->daemon->loop, &stream->idle, IDLE_MS);
	return true;
}

/* False: the client is behind. */
static bool write_text(struct log_stream *stream)
{
	bool room =
		!stream->text.length ||
		http_stream_write(stream->call->request, stream->text.data, stream->text.length);

	str_clear(&stream->text);
	return room;
}

/* Many lines are written from where they are. False: they are few. */
static bool write_lines(struct log_stream *stream, const struct gantry_log_line *lines, bool *room)
{
	struct frame_head head = head_of(lines, lines->length);

	if (!(lines->flags & GANTRY_LOG_LINES) || lines->length < LINES_BYTES)
		return false;
	*room = write_text(stream) && *room;
	*room = http_stream_write_behind(stream->call->request, &head,
					 stream->form == FORM_FRAMES ? sizeof(head) : 0,
					 lines->data, lines->length) &&
		*room;
	return true;
}

static bool on_lines(void *arg, const struct gantry_log_line *lines, size_t count)
{
	struct log_stream *stream = arg;
	bool room = true;

	if (!begin(stream)) { /* HEAD: answered */
		let_go(stream);
		log_reader_close(&stream->reader);
		return false;
	}
	loop_timer_start(stream->call->daemon->loop, &stream->idle, IDLE_MS);
	for (size_t i = 0; i < count; i++) {
		if (write_lines(stream, &lines[i], &room))
			continue;
		if (stream->form == FORM_NDJSON)
			add_ndjson(&stream->text, &lines[i]);
		else if (stream->form == FORM_RAW)
			add_raw(&stream->text, &lines[i], stream->timestamps);
		else
			add_frame(&stream->text, &lines[i]);
		if (stream->text.length >= PIECE_BYTES)
			room = write_text(stream) && room;
	}
	room = write_text(stream) && room;
	str_fini(&stream->text); /* one that is quiet holds nothing */
	return room;
}

static void on_end(void *arg, const struct gantry_error *err)
{
	struct log_stream *stream = arg;

	let_go(stream);
	if (err)
		call_fail_stream(stream->call, stream->begun, err);
	else if (begin(stream)) {
		loop_timer_stop(stream->call->daemon->loop, &stream->idle);
		http_stream_end(stream->call->request);
	}
}

static void on_gone(void *arg)
{
	struct log_stream *stream = arg;

	loop_timer_stop(stream->call->daemon->loop, &stream->idle);
	log_reader_close(&stream->reader);
}

/* --- the request --------------------------------------------------------------------------------- */

static int read_time(struct call *call, const char *name, int64_t *ret_ns)
{
	const char *text = http_request_query(call->request, name);

	*ret_ns = 0;
	if (!text || clock_parse_ns(text, ret_ns) == 0)
		return 0;
	return call_bad_parameter(call, name, text, "a time as 2026-01-02T03:04:05Z");
}

static int read_stream(struct call *call, int *ret_stream)
{
	const char *text = http_request_query(call->request, "stream");

	*ret_stream = !text                       ? 0
		      : str_equal(text, "stdout") ? 1
		      : str_equal(text, "stderr") ? 2
						  : -1;
	return *ret_stream >= 0 ? 0 : call_bad_parameter(call, "stream", text, "stdout or stderr");
}

static int read_form(struct call *call, enum form *ret_form)
{
	const char *text = http_request_query(call->request, "format");

	*ret_form = FORM_NDJSON;
	if (!text)
		return 0;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (str_equal(text, forms[i].name)) {
			*ret_form = (enum form)i;
			return 0;
		}
	}
	return call_bad_parameter(call, "format", text, "ndjson, raw or frames");
}

static int read_text(struct call *call, struct gantry_log_query *query)
{
	query->text = http_request_query(call->request, "grep");
	query->text_length = query->text ? strlen(query->text) : 0;
	if (query->text_length == 0)
		query->text = NULL;
	return query->text_length <= TEXT_MAX ? 0
					      : call_bad_parameter(call, "grep", query->text,
								   "at most 1024 bytes of text");
}

/*
 * The instance that {id} means, or what was kept of one that was removed; false: neither, answered. Who says a whole name or
 * id means that, also where it is the beginning of another one's.
 */
static bool find_log(struct call *call, struct instance **ret_instance, struct kept_log **ret_kept)
{
	const char *word = call->parameter;
	struct gantry_error err;
	int code = fleet_resolve(&call->daemon->fleet, word, call->project, ret_instance, &err);
	bool whole = code == 0 && (str_equal((*ret_instance)->id, word) || strchr(word, '/') ||
				   str_equal((*ret_instance)->spec.name, word));

	*ret_kept = whole ? NULL : log_kept_find(call->daemon, word, call->project, false);
	if (code == -ENOENT && !*ret_kept)
		*ret_kept = log_kept_find(call->daemon, word, call->project, true);
	if (code == 0 || *ret_kept)
		return true;
	call_fail(call, &err);
	return false;
}

void handle_instance_logs(struct call *call)
{
	struct instance *instance;
	struct kept_log *kept;
	const struct gantry_log_sink sink = {
		.arg = ARENA_NEW(http_request_arena(call->request), struct log_stream),
		.lines = on_lines,
		.end = on_end,
	};
	struct log_stream *stream = sink.arg;
	struct gantry_log_query query = {0};
	struct gantry_error err;
	int code;

	stream->call = call;
	loop_timer_init(&stream->idle, on_idle);
	if (!find_log(call, &instance, &kept) || call_bool(call, "follow", &query.follow) < 0 ||
	    call_bool(call, "timestamps", &stream->timestamps) < 0 ||
	    call_integer(call, "tail", 0, INT64_MAX, -1, &query.tail) < 0 ||
	    read_time(call, "since", &query.since_ns) < 0 ||
	    read_time(call, "until", &query.until_ns) < 0 ||
	    call_cursor(call, "after", &query.after) < 0 || read_stream(call, &query.stream) < 0 ||
	    read_form(call, &stream->form) < 0 || read_text(call, &query) < 0)
		return;
	query.lines = stream->form != FORM_NDJSON && !stream->timestamps;
	code = kept ? log_reader_open_kept(&stream->reader, call->daemon, kept, &query, &sink, &err)
		    : log_reader_open(&stream->reader, call->daemon, instance, &query, &sink, &err);
	if (code < 0)
		call_fail(call, &err);
	else
		http_request_on_gone(call->request, on_gone, stream);
}

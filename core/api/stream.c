/* SPDX-License-Identifier: Apache-2.0 */
#include "api/stream.h"
#include "base/str.h"

#define IDLE_MS 15000

static void rearm(struct stream *stream)
{
	loop_timer_start(stream->call->daemon->loop, &stream->idle, IDLE_MS);
}

static void on_idle(struct loop_timer *timer)
{
	struct stream *stream = LIST_ENTRY(timer, struct stream, idle);

	rearm(stream);
	http_stream_write(stream->call->request, stream->server_sent_events ? ":\n\n" : "\n",
			  stream->server_sent_events ? 3 : 1);
}

static void on_drain(void *arg)
{
	struct stream *stream = arg;

	stream->behind = false;
	if (stream->drained)
		stream->drained(stream);
}

static void on_gone(void *arg)
{
	struct stream *stream = arg;

	loop_timer_stop(stream->call->daemon->loop, &stream->idle);
	stream->gone(stream);
}

bool stream_begin(struct stream *stream, struct call *call, void (*drained)(struct stream *stream),
		  void (*gone)(struct stream *stream))
{
	const char *accept = http_request_header(call->request, "Accept");

	stream->call = call;
	stream->server_sent_events = accept && strstr(accept, "text/event-stream");
	stream->behind = false;
	stream->drained = drained;
	stream->gone = gone;
	loop_timer_init(&stream->idle, on_idle);
	if (!http_stream_begin(call->request, 200,
			       stream->server_sent_events ? "text/event-stream"
							  : "application/x-ndjson"))
		return false;
	http_stream_on_drain(call->request, on_drain, stream);
	http_request_on_gone(call->request, on_gone, stream);
	rearm(stream);
	return true;
}

void stream_write(struct stream *stream, const char *json, int64_t id)
{
	struct str text = STR_INIT;

	if (!stream->server_sent_events)
		str_addf(&text, "%s\n", json);
	else if (id)
		str_addf(&text, "id: %lld\ndata: %s\n\n", (long long)id, json);
	else
		str_addf(&text, "data: %s\n\n", json);
	if (!http_stream_write(stream->call->request, text.data, text.length))
		stream->behind = true;
	str_fini(&text);
	rearm(stream);
}

static void let_go(struct stream *stream)
{
	loop_timer_stop(stream->call->daemon->loop, &stream->idle);
	http_request_on_gone(stream->call->request, NULL, NULL);
}

void stream_end(struct stream *stream)
{
	let_go(stream);
	http_stream_end(stream->call->request);
}

void stream_abort(struct stream *stream)
{
	let_go(stream);
	http_stream_abort(stream->call->request);
}

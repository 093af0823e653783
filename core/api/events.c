/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of events. A reader has a cursor, the sequence it has; one function moves it on:
 *
 *	older than what is in memory   a page from the store
 *	in memory                      from there
 *	at the end                     done, or with follow wait for the next
 *
 * It stops where the client is behind and goes on when it has caught up: a slow client costs its
 * cursor and nothing else.
 */
#include "api/call.h"
#include "api/handlers.h"
#include "api/stream.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdlib.h>

#define PAGE_ROWS 200

struct reader {
	struct stream stream;
	struct event_follower follower;
	int64_t cursor;
	int64_t asked_at;                /* what was published when the store was asked */
	char instance[INSTANCE_ID_SIZE]; /* "": all */
	bool follow, reading, gone, told_gap;
};

static void move_on(struct reader *reader);

/* What was asked for is not kept: said in the stream, once. sequence: where to resume after it. */
static void write_gap(struct reader *reader, int64_t sequence, int64_t from, int64_t to)
{
	struct json_object *object = json_object_new_object();

	reader->told_gap = true;
	json_add_int(object, "sequence", sequence);
	json_add_time(object, "at", clock_wall_ms());
	json_add_string(object, "kind", "gap");
	json_add_int(object, "from", from);
	if (to)
		json_add_int(object, "to", to);
	stream_write(&reader->stream,
		     json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN), sequence);
	json_object_put(object);
}

static void tell_gap(struct reader *reader, int64_t next)
{
	if (!reader->told_gap && reader->cursor > 0 && !reader->instance[0] &&
	    next > reader->cursor + 1)
		write_gap(reader, next - 1, reader->cursor + 1, next - 1);
}

/* A cursor of a store that was lost: sequences have begun anew, and all of them are news. */
static void tell_lost(struct reader *reader)
{
	const struct event_log *log = &reader->stream.call->daemon->events;

	if (reader->cursor <= log->last_sequence)
		return;
	write_gap(reader, 0, reader->cursor + 1, 0);
	reader->cursor = 0;
}

static int64_t sequence_of(const char *json)
{
	const char *at = strstr(json, "\"sequence\":");

	return at ? strtoll(at + strlen("\"sequence\":"), NULL, 10) : 0;
}

static void on_page(void *arg, const struct gantry_error *err, char *const *rows, size_t count)
{
	struct reader *reader = arg;
	struct http_request *request = reader->stream.call->request;

	reader->reading = false;
	if (reader->gone) {
		http_request_unref(request);
		return;
	}
	if (err) {
		event_log_unfollow(&reader->follower);
		stream_abort(&reader->stream);
		http_request_unref(request);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		int64_t sequence = sequence_of(rows[i]);

		if (i == 0)
			tell_gap(reader, sequence);
		stream_write(&reader->stream, rows[i], sequence);
		reader->cursor = sequence;
	}
	if (count < PAGE_ROWS) {
		int64_t oldest = event_log_oldest(&reader->stream.call->daemon->events);
		int64_t reached = reader->asked_at;

		/* the store had no more: what is left of then is in memory, or was never committed */
		if (oldest && oldest - 1 < reached)
			reached = oldest - 1;
		tell_gap(reader, reached + 1);
		if (reached > reader->cursor)
			reader->cursor = reached;
	}
	move_on(reader);
	http_request_unref(request);
}

static bool in_memory(const struct reader *reader)
{
	const struct event_log *log = &reader->stream.call->daemon->events;
	int64_t oldest = event_log_oldest(log);

	return reader->cursor >= log->published_sequence ||
	       (oldest && oldest <= reader->cursor + 1);
}

static void write_kept(struct reader *reader)
{
	const struct event_log *log = &reader->stream.call->daemon->events;
	const struct list *at = &log->kept;

	/* from the end back to the first one that is new: mostly a step */
	while (at->prev != &log->kept &&
	       LIST_ENTRY(at->prev, struct event, link)->sequence > reader->cursor)
		at = at->prev;
	for (; at != &log->kept && !reader->stream.behind; at = at->next) {
		const struct event *event = LIST_ENTRY(at, struct event, link);

		reader->cursor = event->sequence;
		if (!reader->instance[0] || str_equal(reader->instance, event->instance))
			stream_write(&reader->stream, event->json, event->sequence);
	}
}

static void move_on(struct reader *reader)
{
	struct daemon *daemon = reader->stream.call->daemon;

	if (reader->stream.behind || reader->reading || reader->gone)
		return;
	if (!in_memory(reader)) {
		reader->reading = true;
		reader->asked_at = daemon->events.published_sequence;
		http_request_ref(reader->stream.call->request);
		store_read_events(daemon->store, reader->cursor,
				  reader->instance[0] ? reader->instance : NULL, PAGE_ROWS, on_page,
				  reader);
		return;
	}
	write_kept(reader);
	if (!reader->follow && reader->cursor >= daemon->events.published_sequence) {
		event_log_unfollow(&reader->follower);
		stream_end(&reader->stream);
	}
}

static void on_event(struct event_follower *follower, const struct event *event)
{
	(void)event;
	move_on(LIST_ENTRY(follower, struct reader, follower));
}

static void on_drained(struct stream *stream)
{
	move_on(LIST_ENTRY(stream, struct reader, stream));
}

static void on_gone(struct stream *stream)
{
	struct reader *reader = LIST_ENTRY(stream, struct reader, stream);

	reader->gone = true;
	event_log_unfollow(&reader->follower);
}

static int read_start(struct call *call, struct reader *reader)
{
	const char *last_id = http_request_header(call->request, "Last-Event-ID");
	int64_t fallback = 0;

	struct gantry_error err;
	char *end = NULL;

	if (last_id) {
		errno = 0;
		fallback = strtoll(last_id, &end, 10);
		if (errno || end == last_id || *end || fallback < 0) {
			gantry_error_field(&err, -EINVAL, "Last-Event-ID",
					   "\"%.80s\" is no sequence of an event", last_id);
			call_fail(call, &err);
			return -EINVAL;
		}
	} else if (reader->follow) {
		fallback = call->daemon->events.published_sequence;
	}
	return call_integer(call, "after", 0, INT64_MAX, fallback, &reader->cursor);
}

static int read_instance(struct call *call, struct reader *reader)
{
	const char *word = http_request_query(call->request, "instance");

	if (!word)
		return 0;
	word = call_instance_id(call, word);
	if (!word)
		return -ENOENT;
	snprintf(reader->instance, sizeof(reader->instance), "%s", word);
	return 0;
}

void handle_event_list(struct call *call)
{
	struct reader *reader = ARENA_NEW(http_request_arena(call->request), struct reader);

	reader->follower.event = on_event;
	list_init(&reader->follower.link);
	if (call_bool(call, "follow", &reader->follow) < 0 || read_start(call, reader) < 0 ||
	    read_instance(call, reader) < 0)
		return;
	if (!stream_begin(&reader->stream, call, on_drained, on_gone))
		return;
	event_log_follow(&call->daemon->events, &reader->follower);
	tell_lost(reader);
	move_on(reader);
}

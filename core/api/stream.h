/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of JSON objects to a client: NDJSON, or server-sent events where it asked for them. An
 * idle one sends an empty line now and then, so that both sides find out about the other.
 *
 * It is embedded in its owner, in the request's arena. gone is called once when the client left or
 * the server stops: then nothing more may be written.
 */
#ifndef API_STREAM_H
#define API_STREAM_H

#include "api/call.h"

struct stream {
	struct call *call;
	bool server_sent_events;
	bool behind; /* the client is: wait for drained */
	struct loop_timer idle;
	void (*drained)(struct stream *stream);
	void (*gone)(struct stream *stream);
};

/* False where there is nothing to write (HEAD). drained may be NULL. */
bool stream_begin(struct stream *stream, struct call *call, void (*drained)(struct stream *stream),
		  void (*gone)(struct stream *stream));
/* One object as text. id is the event's sequence, 0: none. */
void stream_write(struct stream *stream, const char *json, int64_t id);
/* The good end. */
void stream_end(struct stream *stream);
/* Cuts it, so that the client can tell that there was more. gone is not called. */
void stream_abort(struct stream *stream);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch: a session that follows the events of an engine.
 *
 *	SUBSCRIBING ─headers of both streams─▶ PROVING ─▶ LISTING ─▶ FOLLOWING
 *	     └──────────────┴───────────────────┴───────────┴─ any failure, cancel ─▶ ENDING ─▶ op_done
 *
 * The happy path
 *   1. Two streams. Of containers, with the label of our owner: filters of one key are alternatives and
 *      filters of different keys must all hold, so that one stream could not bring both our containers
 *      and images; and without the label the health checks of strangers would come here, three events
 *      each. And one of images, which only says "list them anew".
 *      The first begins a little before the anchor, so that what happened since is repeated.
 *   2. Is anything missing? The engine keeps the last 256 events of all kinds, in memory. The anchor
 *      is one of them: if it is still there, then all that came after it is too. It is asked for by its
 *      exact time, which is the engine's own, so that no difference of clocks matters.
 *   3. The list, after the subscription. What was received before it was asked for is in it.
 *   4. sync with the list; what was repeated, each once; then whatever comes.
 *
 * Where the anchor is gone (or there is none, and the list differs from what is known), a GAP comes
 * after sync, then what the engine still repeats, then what must have happened besides, as inferred
 * events (events.c). With no anchor and nothing to tell there is no gap: nothing is claimed.
 *
 * Each once: an event is known by (time, id, action). Those that were told last are remembered in the
 * anchor's key as hashes, the newest first; of the repeated ones what is older than the overlap, or
 * is in the key, was told before. `fresh` is an anchor that also counts events that are not told
 * (exec, attach, …); it lives with the node and is used where the core comes back with the anchor of
 * the last told event.
 *
 * An engine whose clock is set back tells events that are older than the anchor: they are new, for
 * older ones than were asked for do not come. The anchor stays at the newest time, so that until the
 * clock is there again a reconnect proves nothing: what was missed comes as inferred after a gap, and
 * nothing comes twice.
 *
 * A connection that is dead without being closed brings no error, and a stream may stall while the
 * engine answers everything else (a proxy in between, a half-dead connection). So each ping_interval the
 * engine is asked for the events after the newest that the stream brought, up to a second ago: an
 * answer in that time is a sign of life, and one with an event that did not come by the stream by then
 * ends the watch, as no answer does. The next watch repeats what was missed. "A second ago" is by the
 * engine's clock: /info told it, and ours that is never set went on from there. Where that is not known
 * (Podman), or where the engine's clock was set back so that it answers late, /_ping is asked instead,
 * and a stalled stream is not noticed until it closes.
 */
#include "docker.h"

#include <stdlib.h>
#include <time.h>

#define OVERLAP_NS     100000000  /* events are stamped before they are put in order */
#define SINCE_SLACK_NS 1000000000 /* some engines look at seconds only */
#define REMEMBERED     9          /* hashes in a key: 9 * 17 < 160 */
#define SETUP_MS       60000
#define STALL_NS       1000000000 /* an event is in the stream by then */
#define PING_LIMIT_MS  10000

enum phase { SUBSCRIBING, PROVING, LISTING, FOLLOWING, ENDING };

struct watch {
	struct docker_node *node;
	struct gantry_op *op;
	struct gantry_watch_sink sink;
	struct gantry_anchor anchor; /* as passed in, or the fresher one of it */
	struct gantry_anchor fresh;
	enum phase phase;
	struct docker_call containers, images, proof, list, ping;
	struct docker_stream container_stream, image_stream, proof_stream, ping_stream;
	bool containers_on, images_on, proven, closed;
	struct gantry_timer *timer;      /* limit of the set-up, then the next ping */
	int64_t newest_ns, settled_ns;   /* of the events; of the list */
	int64_t followed_ns;             /* since when; the engine's clock, 0: not known */
	int64_t asked_newest_ns;         /* of the events that the last ping brought */
	bool clock_moved;                /* the engine's: only /_ping is asked */
	uint64_t remembered[REMEMBERED]; /* newest first; 0: none */
	uint64_t past[REMEMBERED];       /* those of the anchor that was passed in */
	struct docker_beliefs beliefs;
	struct docker_event *held; /* owned: what comes before FOLLOWING */
	size_t held_count, held_capacity, held_at_list;
	struct gantry_error end;
};

static void tick(struct watch *watch);
static void end_watch(struct watch *watch, const struct gantry_error *err);

/* --- anchors --- */

static void write_anchor(struct watch *watch, struct gantry_anchor *anchor)
{
	size_t used = 0;

	anchor->time_ns = watch->newest_ns;
	anchor->key[0] = '\0';
	for (size_t i = 0; i < REMEMBERED && watch->remembered[i]; i++)
		used += (size_t)snprintf(anchor->key + used, sizeof(anchor->key) - used,
					 "%s%016llx", i ? "." : "",
					 (unsigned long long)watch->remembered[i]);
}

static void read_anchor(struct watch *watch, const struct gantry_anchor *anchor)
{
	const char *at = anchor->key;

	watch->newest_ns = anchor->time_ns;
	for (size_t i = 0; i < REMEMBERED && *at; i++) {
		watch->remembered[i] = strtoull(at, NULL, 16);
		at = strchr(at, '.') ? strchr(at, '.') + 1 : "";
	}
	memcpy(watch->past, watch->remembered, sizeof(watch->past));
}

static bool same_anchor(const struct gantry_anchor *a, const struct gantry_anchor *b)
{
	return a->time_ns == b->time_ns && strcmp(a->key, b->key) == 0;
}

/* An event was seen. The newest by time stays in front, because the proof asks for it. */
static void remember(struct watch *watch, const struct docker_event *event)
{
	size_t at = event->event.time_ns >= watch->newest_ns ? 0 : 1;

	memmove(&watch->remembered[at + 1], &watch->remembered[at],
		(REMEMBERED - at - 1) * sizeof(*watch->remembered));
	watch->remembered[at] = event->hash;
	if (at == 0)
		watch->newest_ns = event->event.time_ns;
	write_anchor(watch, &watch->fresh);
	watch->node->fresh = watch->fresh;
}

/* It was told before the anchor was left. The stream itself says nothing twice. */
static bool told_before(const struct watch *watch, const struct docker_event *event)
{
	if (event->event.time_ns > watch->anchor.time_ns)
		return false;
	/* older than what was asked for: the engine's clock was set back, and this is new */
	if (event->event.time_ns < watch->anchor.time_ns - OVERLAP_NS - SINCE_SLACK_NS)
		return false;
	for (size_t i = 0; i < REMEMBERED; i++)
		if (watch->past[i] == event->hash)
			return true;
	/* older than all that is remembered: it was told, and has been forgotten since */
	return event->event.time_ns < watch->anchor.time_ns - OVERLAP_NS ||
	       watch->past[REMEMBERED - 1] != 0;
}

/* --- telling --- */

static void tell(struct watch *watch, struct gantry_event *event)
{
	event->anchor = watch->fresh;
	watch->node->told = event->anchor;
	watch->sink.event(watch->sink.arg, event);
}

static void tell_seen(struct watch *watch, struct docker_event *event)
{
	if (event->event.kind != GANTRY_EVENT_IMAGE) {
		if (told_before(watch, event))
			return;
		remember(watch, event);
		event->event.container_id = event->id;
		event->event.instance = event->instance[0] ? event->instance : NULL;
	}
	if (!event->told)
		return;
	event->event.text = event->text[0] ? event->text : NULL;
	tell(watch, &event->event);
}

static void tell_inferred(void *arg, struct gantry_event *event)
{
	struct watch *watch = arg;

	event->time_ns = watch->settled_ns;
	tell(watch, event);
}

static void hold(struct watch *watch, const struct docker_event *event)
{
	if (watch->held_count == watch->held_capacity) {
		watch->held_capacity = watch->held_capacity ? 2 * watch->held_capacity : 64;
		watch->held = realloc(watch->held, watch->held_capacity * sizeof(*watch->held));
		if (!watch->held)
			abort();
	}
	watch->held[watch->held_count] = *event;
	watch->held[watch->held_count++].event.repeated = true;
}

static int on_message(void *arg, struct json_object *message)
{
	struct watch *watch = arg;
	struct docker_event event;

	if (watch->phase == ENDING || !docker_read_event(message, &event))
		return 0;
	if (watch->phase == FOLLOWING)
		tell_seen(watch, &event);
	else
		hold(watch, &event);
	return 0;
}

/* --- the two streams --- */

static int on_container_data(struct docker_call *call, const char *data, size_t length)
{
	struct watch *watch = call->arg;

	if (length == 0) {
		watch->containers_on = true;
		tick(watch);
		return 0;
	}
	return docker_stream_feed(&watch->container_stream, data, length, on_message, watch);
}

static int on_image_data(struct docker_call *call, const char *data, size_t length)
{
	struct watch *watch = call->arg;

	if (length == 0) {
		watch->images_on = true;
		tick(watch);
		return 0;
	}
	return docker_stream_feed(&watch->image_stream, data, length, on_message, watch);
}

static void stream_ended(struct docker_call *call, const struct gantry_error *err,
			 struct json_object *reply)
{
	struct gantry_error ended;

	(void)reply;
	end_watch(call->arg, docker_events_ended(err, &ended));
}

/* Seconds and nanoseconds, as the engine wants them. */
static void format_time(char *text, size_t size, int64_t ns)
{
	snprintf(text, size, "%lld.%09lld", (long long)(ns / 1000000000),
		 (long long)(ns % 1000000000));
}

/* Events of our containers, for a URL; the caller frees. */
static char *container_filters(const struct watch *watch)
{
	char *filters = NULL, *encoded;

	if (asprintf(&filters,
		     "{\"type\":[\"container\"],\"label\":[\"" GANTRY_LABEL_OWNER "=%s\"]}",
		     watch->node->owner) < 0)
		abort();
	encoded = docker_url(filters);
	free(filters);
	return encoded;
}

static void subscribe(struct watch *watch)
{
	char *encoded = container_filters(watch);
	char since[64] = "", stamp[48];

	if (watch->anchor.time_ns) {
		format_time(stamp, sizeof(stamp), watch->anchor.time_ns - OVERLAP_NS);
		snprintf(since, sizeof(since), "&since=%s", stamp);
	}
	docker_call(&watch->containers, "GET", NULL, "/events?filters=%s%s", encoded, since);
	free(encoded);
	encoded = docker_url(
		"{\"type\":[\"image\"],\"event\":[\"pull\",\"delete\",\"import\",\"load\",\"tag\",\"untag\",\"remove\",\"build\"]}");
	docker_call(&watch->images, "GET", NULL, "/events?filters=%s", encoded);
	free(encoded);
}

/* --- the proof --- */

static int on_proof_message(void *arg, struct json_object *message)
{
	struct watch *watch = arg;
	struct docker_event event;

	if (docker_read_event(message, &event) && event.hash == watch->remembered[0])
		watch->proven = true;
	return 0;
}

static int on_proof_data(struct docker_call *call, const char *data, size_t length)
{
	struct watch *watch = call->arg;

	return docker_stream_feed(&watch->proof_stream, data, length, on_proof_message, watch);
}

static void proof_done(struct docker_call *call, const struct gantry_error *err,
		       struct json_object *reply)
{
	struct watch *watch = call->arg;

	(void)reply;
	/* an engine whose clock went back would answer late: that is no proof, and no reason to fail */
	if (err && err->code != -ETIMEDOUT) {
		end_watch(watch, err);
		return;
	}
	if (err) /* it has the anchor, but would not repeat what came after, with earlier times */
		watch->proven = false;
	watch->phase = watch->phase == PROVING ? LISTING : watch->phase;
	tick(watch);
}

static void ask_proof(struct watch *watch)
{
	char stamp[48];
	char *filters;

	/* without an anchor this is a turn to the engine and back: by then the streams stand */
	if (watch->anchor.time_ns == 0) {
		watch->proof.on_data = NULL;
		docker_call(&watch->proof, "GET", NULL, "/_ping");
		return;
	}
	filters = docker_url("{\"type\":[\"container\"]}");
	format_time(stamp, sizeof(stamp), watch->anchor.time_ns);
	watch->proof.stall_ms = 5000;
	docker_call(&watch->proof, "GET", NULL, "/events?filters=%s&since=%s&until=%s", filters,
		    stamp, stamp);
	free(filters);
}

/* --- the list, and what follows from it --- */

static void settle(struct watch *watch, const struct gantry_containers *listed)
{
	bool anchored = watch->anchor.time_ns != 0;
	int64_t from_ns = watch->anchor.time_ns;
	struct gantry_event gap = {.kind = GANTRY_EVENT_GAP, .gap_from_ns = from_ns};
	struct timespec now;
	bool missing;

	/* the list tells no time; ours stands in for the engine's */
	clock_gettime(CLOCK_REALTIME, &now);
	watch->settled_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (watch->settled_ns < watch->newest_ns)
		watch->settled_ns = watch->newest_ns;
	for (size_t i = 0; i < watch->held_at_list; i++)
		if (!told_before(watch, &watch->held[i]))
			docker_believe_event(&watch->beliefs, &watch->held[i]);
	for (size_t i = watch->held_at_list; i < watch->held_count; i++)
		docker_undecide(&watch->beliefs, &watch->held[i]);
	missing = anchored ? !watch->proven
			   : watch->beliefs.count > 0 &&
				     docker_infer(&watch->beliefs, listed, NULL, NULL) > 0;

	watch->sink.sync(watch->sink.arg, listed);
	if (watch->phase == ENDING)
		return;
	if (missing) {
		/* what is lost is older than the first that is repeated */
		gap.time_ns = watch->settled_ns;
		for (size_t i = 0; i < watch->held_at_list && gap.time_ns == watch->settled_ns; i++)
			if (!told_before(watch, &watch->held[i]))
				gap.time_ns = watch->held[i].event.time_ns;
		tell(watch, &gap);
	}
	for (size_t i = 0; i < watch->held_at_list && watch->phase != ENDING; i++)
		tell_seen(watch, &watch->held[i]);
	if (missing && watch->phase != ENDING)
		docker_infer(&watch->beliefs, listed, tell_inferred, watch);
	for (size_t i = watch->held_at_list; i < watch->held_count && watch->phase != ENDING; i++)
		tell_seen(watch, &watch->held[i]);
	free(watch->held);
	watch->held = NULL;
	watch->held_count = 0;
	docker_beliefs_fini(&watch->beliefs);
}

/* --- signs of life --- */

/* The engine's clock as it should be now; 0: not known. */
static int64_t engine_now_ns(const struct watch *watch)
{
	return watch->node->clock_ahead_ns ? docker_monotonic_ns() + watch->node->clock_ahead_ns
					   : 0;
}

static int on_ping_message(void *arg, struct json_object *message)
{
	struct watch *watch = arg;
	struct docker_event event;

	if (docker_read_event(message, &event) && event.event.time_ns > watch->asked_newest_ns)
		watch->asked_newest_ns = event.event.time_ns;
	return 0;
}

static int on_ping_data(struct docker_call *call, const char *data, size_t length)
{
	struct watch *watch = call->arg;

	return docker_stream_feed(&watch->ping_stream, data, length, on_ping_message, watch);
}

static void ask_ping(struct watch *watch)
{
	int64_t after_ns =
		watch->newest_ns > watch->followed_ns ? watch->newest_ns : watch->followed_ns;
	int64_t until_ns = engine_now_ns(watch) - STALL_NS;
	char since[48], until[48], *filters;

	docker_stream_fini(&watch->ping_stream);
	watch->asked_newest_ns = 0;
	watch->ping.on_data = NULL;
	if (!watch->followed_ns || watch->clock_moved || until_ns <= after_ns) {
		docker_call(&watch->ping, "GET", NULL, "/_ping");
		return;
	}
	format_time(since, sizeof(since), after_ns);
	format_time(until, sizeof(until), until_ns);
	filters = container_filters(watch);
	watch->ping.on_data = on_ping_data;
	docker_call(&watch->ping, "GET", NULL, "/events?filters=%s&since=%s&until=%s", filters,
		    since, until);
	free(filters);
}

static void ping_done(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct watch *watch = call->arg;
	struct gantry_error stalled;

	(void)reply;
	if (watch->phase == ENDING) {
		tick(watch);
	} else if (err && err->code == -ETIMEDOUT && call->on_data) {
		watch->clock_moved = true; /* or it is dead: the next one tells */
		ask_ping(watch);
	} else if (err) {
		end_watch(watch, err);
	} else if (watch->asked_newest_ns > watch->newest_ns) {
		gantry_error_set(
			&stalled, -ETIMEDOUT,
			"docker: the stream of events stalls: the engine has some that did "
			"not come");
		end_watch(watch, &stalled);
	} else {
		tick(watch);
	}
}

static void on_timer(void *arg)
{
	struct watch *watch = arg;
	struct gantry_error err;

	watch->timer = NULL;
	if (watch->phase != FOLLOWING) {
		gantry_error_set(&err, -ETIMEDOUT, "docker: no watch within %d s", SETUP_MS / 1000);
		end_watch(watch, &err);
		return;
	}
	ask_ping(watch);
}

static void set_timer(struct watch *watch, int64_t after_ms)
{
	const struct gantry_host *host = watch->node->host;

	if (watch->timer)
		host->timer_stop(watch->timer);
	watch->timer =
		after_ms > 0 ? host->timer_start(host->core, after_ms, on_timer, watch) : NULL;
}

static void list_done(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct watch *watch = call->arg;
	struct gantry_containers listed;

	if (err || watch->phase == ENDING) {
		end_watch(watch, err);
		return;
	}
	docker_read_list(watch->node, watch->op, reply, &listed);
	settle(watch, &listed);
	if (watch->phase != ENDING)
		watch->phase = FOLLOWING;
	watch->followed_ns = engine_now_ns(watch);
	tick(watch);
}

/* --- the machine --- */

static bool quiet(const struct watch *watch)
{
	return !watch->containers.busy && !watch->images.busy && !watch->proof.busy &&
	       !watch->list.busy && !watch->ping.busy;
}

static void close_watch(struct watch *watch)
{
	if (watch->closed)
		return;
	watch->closed = true;
	set_timer(watch, 0);
	docker_stream_fini(&watch->container_stream);
	docker_stream_fini(&watch->image_stream);
	docker_stream_fini(&watch->proof_stream);
	docker_stream_fini(&watch->ping_stream);
	docker_beliefs_fini(&watch->beliefs);
	free(watch->held);
	watch->held = NULL;
	watch->node->host->op_on_cancel(watch->op, NULL, NULL);
	watch->node->host->op_done(watch->op, &watch->end, NULL);
}

static void tick(struct watch *watch)
{
	char *path;

	switch (watch->phase) {
	case SUBSCRIBING:
		if (!watch->containers_on || !watch->images_on)
			return;
		watch->phase = PROVING;
		ask_proof(watch);
		return;
	case PROVING:
		return;
	case LISTING:
		if (watch->list.busy)
			return;
		watch->held_at_list = watch->held_count;
		path = docker_list_path(watch->node);
		docker_call(&watch->list, "GET", NULL, "%s", path);
		free(path);
		return;
	case FOLLOWING:
		if (!watch->ping.busy)
			set_timer(watch, watch->node->settings->ping_interval_ms);
		return;
	case ENDING:
		if (quiet(watch))
			close_watch(watch);
		return;
	}
}

/* The first reason stays; the op ends when the last call has. */
static void end_watch(struct watch *watch, const struct gantry_error *err)
{
	if (watch->phase != ENDING) {
		watch->phase = ENDING;
		watch->end = *err;
		docker_call_cancel(&watch->containers);
		docker_call_cancel(&watch->images);
		docker_call_cancel(&watch->proof);
		docker_call_cancel(&watch->list);
		docker_call_cancel(&watch->ping);
	}
	tick(watch);
}

static void on_cancel(void *arg)
{
	struct watch *watch = arg;
	struct gantry_error err;

	gantry_error_set(&err, -ECANCELED, "docker: cancelled");
	end_watch(watch, &err);
}

static void prepare(struct watch *watch, struct docker_call *call,
		    void (*done)(struct docker_call *call, const struct gantry_error *err,
				 struct json_object *reply),
		    int (*on_data)(struct docker_call *call, const char *data, size_t length))
{
	call->node = watch->node;
	call->done = done;
	call->on_data = on_data;
	call->arg = watch;
}

void docker_watch(void *arg, const struct gantry_anchor *anchor,
		  const struct gantry_containers *known, const struct gantry_watch_sink *sink,
		  struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct watch *watch = node->host->op_alloc(op, sizeof(*watch));

	watch->node = node;
	watch->op = op;
	watch->sink = *sink;
	watch->anchor = *anchor;
	if (anchor->time_ns && same_anchor(anchor, &node->told))
		watch->anchor = node->fresh;
	watch->fresh = watch->anchor;
	read_anchor(watch, &watch->anchor);
	docker_believe(&watch->beliefs, known);
	prepare(watch, &watch->containers, stream_ended, on_container_data);
	prepare(watch, &watch->images, stream_ended, on_image_data);
	prepare(watch, &watch->proof, proof_done, on_proof_data);
	prepare(watch, &watch->list, list_done, NULL);
	prepare(watch, &watch->ping, ping_done, NULL);
	watch->containers.stall_ms = watch->images.stall_ms = -1;
	watch->ping.stall_ms = node->settings->stall_timeout_ms < PING_LIMIT_MS
				       ? node->settings->stall_timeout_ms
				       : PING_LIMIT_MS;
	set_timer(watch, SETUP_MS);
	subscribe(watch);
	node->host->op_on_cancel(op, on_cancel, watch);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds: the logs of instances on their way to a sink.
 *
 *	look ─▶ WAITING ─▶ OPENING ─▶ READING ─▶ … ─▶ IDLE at the end of the log ─▶ look …
 *
 * Few are opened at a time, so that a start with hundreds of instances is no burst of reads.
 *
 * The queue fills up
 *   amid what a reader gives    it is all taken, and the reader pauses (PAUSED); it goes on where it is
 *   before it gives anything    it is closed, and waits in line to be opened again where it was: many
 *                               readers at a queue that is full hold neither memory nor files
 * The log cannot be read        FAILED; again after a while, or when something has happened to it
 * The instance is removed       what is open is read to its end; what is not is read from what was kept of the log, and
 *                               told as a gap where nothing was
 */
#include "flows/log/log_sink.h"
#include "flows/log/log_kept.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

#define OPENING_MAX  4
#define RESUMED_MAX  2 /* at a time, while something is queued */
#define RETRY_MS     1000
#define RETRY_MAX_MS 60000
#define GAP_REMOVED  "the instance was removed before the rest of its log was forwarded"

static void set_idle(struct log_feed *feed);
static void tell_rest_lost(struct log_feed *feed);
static void wait_in_line(struct log_feed *feed);

static bool is_open(const struct log_feed *feed)
{
	return feed->state == LOG_FEED_OPENING || feed->state == LOG_FEED_READING ||
	       feed->state == LOG_FEED_PAUSED;
}

/* Out of its state, into none that has anything of it. */
static void leave(struct log_feed *feed)
{
	list_remove(&feed->line);
	loop_timer_stop(feed->sink->daemon->loop, &feed->retry);
	if (feed->state == LOG_FEED_OPENING)
		feed->sink->opening--;
	feed->error[0] = '\0';
	feed->state = LOG_FEED_IDLE;
}

/* --- reading ------------------------------------------------------------------------------------- */

static bool on_lines(void *arg, const struct gantry_log_line *lines, size_t count)
{
	struct log_feed *feed = arg;
	struct log_sink *sink = feed->sink;
	bool opened = feed->state == LOG_FEED_OPENING;

	leave(feed); /* it may be PAUSED: a few pieces more come then */
	feed->state = LOG_FEED_READING;
	feed->retry_ms = 0;
	/* of one that was removed nothing can be read again later */
	if (count > 0 && feed->instance && log_sink_full(sink)) {
		log_reader_close(&feed->reader);
		wait_in_line(feed);
		return false;
	}
	for (size_t i = 0; i < count; i++)
		log_sink_add(sink, feed, &lines[i]);
	log_sink_send(sink);
	if (log_sink_full(sink)) {
		feed->state = LOG_FEED_PAUSED;
		list_append(&sink->paused, &feed->line);
		return false;
	}
	if (opened)
		log_feeds_go_on(sink);
	return true;
}

static void fail(struct log_feed *feed, const struct gantry_error *err)
{
	leave(feed);
	feed->state = LOG_FEED_FAILED;
	snprintf(feed->error, sizeof(feed->error), "%s", err->text);
	feed->retry_ms = feed->retry_ms ? 2 * feed->retry_ms : RETRY_MS;
	if (feed->retry_ms > RETRY_MAX_MS)
		feed->retry_ms = RETRY_MAX_MS;
	if (err->code != -ENOTSUP) /* that does not change by itself */
		loop_timer_start(feed->sink->daemon->loop, &feed->retry, feed->retry_ms);
}

static void on_end(void *arg, const struct gantry_error *err)
{
	struct log_feed *feed = arg;
	struct log_sink *sink = feed->sink;

	leave(feed);
	if (err && feed->instance)
		fail(feed, err);
	else if (err)
		tell_rest_lost(feed);
	else
		set_idle(feed);
	log_feeds_go_on(sink);
}

static void on_retry(struct loop_timer *timer)
{
	struct log_feed *feed = LIST_ENTRY(timer, struct log_feed, retry);

	log_feed_look(feed);
}

static void keep(struct log_feed *feed, const char **text, const char *now)
{
	if (!str_equal(*text, now))
		*text = arena_strdup(&feed->arena, now);
}

/* NULL: nothing was kept, or not any more. */
static struct kept_log *kept_of(const struct log_feed *feed)
{
	return log_kept_find(feed->sink->daemon, feed->origin.instance, NULL, false);
}

static void open_feed(struct log_feed *feed)
{
	const struct gantry_log_query query = {.follow = true, .tail = -1, .after = feed->read};
	const struct gantry_log_sink sink = {.arg = feed, .lines = on_lines, .end = on_end};
	struct kept_log *kept = feed->instance ? NULL : kept_of(feed);
	struct instance *instance = kept ? kept->instance : feed->instance;
	struct daemon *daemon = feed->sink->daemon;
	struct gantry_error err;
	int code;

	leave(feed);
	if (!instance) {
		tell_rest_lost(feed);
		return;
	}
	keep(feed, &feed->origin.node, instance->node);
	keep(feed, &feed->origin.container, instance->container_id);
	code = kept ? log_reader_open_kept(&feed->reader, daemon, kept, &query, &sink, &err)
		    : log_reader_open(&feed->reader, daemon, instance, &query, &sink, &err);
	if (code < 0 && !feed->instance)
		tell_rest_lost(feed);
	else if (code < 0)
		fail(feed, &err);
	if (code < 0)
		return;
	feed->state = LOG_FEED_OPENING;
	feed->sink->opening++;
}

static void wait_in_line(struct log_feed *feed)
{
	feed->state = LOG_FEED_WAITING;
	list_append(&feed->sink->waiting, &feed->line);
}

static struct log_feed *first(struct list *line)
{
	return list_empty(line) ? NULL : LIST_ENTRY(line->next, struct log_feed, line);
}

void log_feeds_go_on(struct log_sink *sink)
{
	size_t most = sink->queued ? RESUMED_MAX : SIZE_MAX;
	struct log_feed *feed;

	if (sink->closing || 2 * sink->queued_bytes > (size_t)sink->settings->queue_bytes)
		return;
	for (; most > 0 && (feed = first(&sink->paused)); most--) {
		list_remove(&feed->line);
		feed->state = LOG_FEED_READING;
		log_reader_resume(&feed->reader);
	}
	while (sink->opening < OPENING_MAX && (feed = first(&sink->waiting)))
		open_feed(feed);
}

/* --- life ---------------------------------------------------------------------------------------- */

static bool has_labels(const struct instance *instance, const struct gantry_pairs *wanted)
{
	const struct gantry_pairs *labels = &instance->spec.labels;

	for (size_t i = 0; i < wanted->count; i++) {
		size_t at = 0;

		while (at < labels->count &&
		       !(str_equal(labels->items[at].name, wanted->items[i].name) &&
			 str_equal(labels->items[at].value, wanted->items[i].value)))
			at++;
		if (at == labels->count)
			return false;
	}
	return true;
}

bool log_feed_wanted(const struct log_sink *sink, const struct instance *instance)
{
	const char *project = sink->settings->project;

	return (!project || str_equal(project, instance->spec.project)) &&
	       has_labels(instance, &sink->settings->labels);
}

struct log_feed *log_feed_new(struct log_sink *sink, struct instance *instance)
{
	struct log_feed *feed = xcalloc(1, sizeof(*feed));
	struct arena *arena = &feed->arena;

	feed->sink = sink;
	feed->instance = instance;
	feed->origin = (struct gantry_log_origin){
		.instance = arena_strdup(arena, instance->id),
		.name = arena_strdup(arena, instance->spec.name),
		.project = arena_strdup(arena, instance->spec.project),
		.image = arena_strdup(arena, instance->spec.image),
	};
	feed->read = feed->delivered = feed->saved = -1;
	list_init(&feed->line);
	loop_timer_init(&feed->retry, on_retry);
	list_append(&sink->feeds, &feed->link);
	list_append(&instance->feeds, &feed->feeding);
	return feed;
}

void log_feed_look(struct log_feed *feed)
{
	if (feed->sink->closing || (feed->instance && !feed->instance->container_id[0]) ||
	    (feed->state != LOG_FEED_IDLE && feed->state != LOG_FEED_FAILED))
		return;
	leave(feed);
	wait_in_line(feed);
	log_feeds_go_on(feed->sink);
}

static void put_fact(const struct log_feed *feed, struct store_batch *batch, const char *value)
{
	char *fact =
		xasprintf(LOG_SINK_FACT "%s %s", feed->sink->settings->name, feed->origin.instance);

	store_put_fact(batch, fact, value);
	free(fact);
}

static void put_cursor(const struct log_feed *feed, struct store_batch *batch)
{
	char value[24];

	snprintf(value, sizeof(value), "%lld", (long long)feed->delivered);
	put_fact(feed, batch, value);
}

static void forget(struct log_feed *feed)
{
	struct store_batch *batch = store_batch_new(feed->sink->daemon->store);

	put_fact(feed, batch, NULL);
	store_batch_commit(batch, NULL, NULL);
	log_feed_free(feed);
}

/* All that can be read was; with the instance and its last line the feed goes. */
static void set_idle(struct log_feed *feed)
{
	feed->state = LOG_FEED_IDLE;
	if (!feed->instance && feed->items == 0 && !feed->sink->closing)
		forget(feed);
}

static void tell_rest_lost(struct log_feed *feed)
{
	const struct gantry_log_line gap = {
		.sequence = feed->read,
		.time_ns = clock_wall_ns(),
		.data = GAP_REMOVED,
		.length = strlen(GAP_REMOVED),
		.lost = -1,
	};

	leave(feed);
	log_sink_add(feed->sink, feed, &gap);
	log_sink_send(feed->sink);
}

/* It is opened from the loop. */
static void look_soon(struct log_feed *feed)
{
	leave(feed);
	feed->state = LOG_FEED_FAILED;
	loop_timer_start(feed->sink->daemon->loop, &feed->retry, 0);
}

void log_feed_removed(struct log_feed *feed, struct store_batch *batch)
{
	feed->instance = NULL;
	list_remove(&feed->feeding);
	/* a life that finds no instance finds its log by this, also where nothing was delivered yet */
	if (feed->state != LOG_FEED_IDLE || feed->items > 0)
		put_cursor(feed, batch);
	if (is_open(feed))
		return; /* it ends by itself */
	if (feed->state == LOG_FEED_IDLE)
		set_idle(feed);
	else if (kept_of(feed))
		look_soon(feed);
	else
		tell_rest_lost(feed);
}

void log_feed_go_on_kept(struct log_feed *feed, int64_t sequence)
{
	feed->read = feed->delivered = feed->saved = sequence;
	feed->instance = NULL;
	list_remove(&feed->feeding);
	look_soon(feed);
}

void log_feed_close(struct log_feed *feed)
{
	if (is_open(feed))
		log_reader_close(&feed->reader);
	leave(feed);
}

void log_feed_free(struct log_feed *feed)
{
	list_remove(&feed->link);
	list_remove(&feed->feeding);
	arena_fini(&feed->arena);
	free(feed);
}

/* --- cursors ------------------------------------------------------------------------------------- */

void log_feed_delivered(struct log_feed *feed)
{
	if (feed->state == LOG_FEED_IDLE)
		set_idle(feed);
}

static void on_saved(void *arg, const struct gantry_error *err)
{
	struct log_sink *sink = arg;

	if (err && !sink->save_failed)
		log_warn("how far sink %s has come cannot be recorded: after a restart lines come "
			 "again: %s",
			 sink->settings->name, err->text);
	sink->save_failed = err != NULL;
	LIST_FOREACH (node, &sink->feeds) {
		struct log_feed *feed = LIST_ENTRY(node, struct log_feed, link);

		if (err)
			feed->saved = -1; /* with the next ones */
	}
}

void log_feeds_save(struct log_sink *sink)
{
	struct store_batch *batch = store_batch_new(sink->daemon->store);

	LIST_FOREACH (node, &sink->feeds) {
		struct log_feed *feed = LIST_ENTRY(node, struct log_feed, link);

		if (feed->delivered == feed->saved)
			continue;
		put_cursor(feed, batch);
		feed->saved = feed->delivered;
	}
	store_batch_commit(batch, on_saved, sink);
}

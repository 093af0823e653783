/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink: the queue, and what becomes of a batch.
 *
 *	feeds ─▶ queue ─▶ sending ─▶ delivered: the feed's cursor moves on ─▶ sent, for a while
 *	           ▲         │                                                  │
 *	           ├─failed──┘ again after a while, longer each time            │
 *	           └─lost: the receiver went away with what it had not read ────┘
 *
 * Protocols without an acknowledgement cannot tell what the receiver has read of what its system has
 * taken. So what was sent is kept for RESEND_US, up to the size of the queue, and sent again where the
 * receiver went away meanwhile: some lines come twice then, none is missing.
 */
#include "flows/log/log_sink.h"
#include "flows/log/log_kept.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

#define BATCH_BYTES  ((size_t)128 << 10)
#define BATCH_ITEMS  1000
#define ITEM_BYTES   128 /* what an item costs beside its text */
#define RETRY_MS     250
#define RETRY_MAX_MS 30000
#define SAVE_MS      1000
#define RESEND_US    (10 * 1000000LL)

static void on_retry(struct loop_timer *timer);
static void on_save(struct loop_timer *timer);

static size_t cost(const struct log_item *item)
{
	return item->item.line.length + ITEM_BYTES + 64 * item->tags.count;
}

static struct log_item *first(const struct list *list)
{
	return list_empty(list) ? NULL : LIST_ENTRY(list->next, struct log_item, link);
}

/* All of from in front of what is in to. */
static void put_in_front(struct list *to, struct list *from)
{
	struct list rest;

	list_init(&rest);
	list_move_all(&rest, to);
	list_move_all(to, from);
	list_move_all(to, &rest);
}

static void free_items(struct list *list)
{
	LIST_FOREACH (node, list) {
		list_remove(node);
		free(LIST_ENTRY(node, struct log_item, link));
	}
}

/* --- sending ------------------------------------------------------------------------------------- */

/* What was sent long ago, or is too much. */
static void forget_sent(struct log_sink *sink)
{
	int64_t before_us = clock_monotonic_us() - RESEND_US;
	struct log_item *item;

	while ((item = first(&sink->sent)) &&
	       (item->sent_us < before_us ||
		sink->sent_bytes > (size_t)sink->settings->queue_bytes)) {
		struct log_feed *feed = item->feed;

		sink->sent_bytes -= cost(item);
		list_remove(&item->link);
		free(item);
		feed->items--;
		log_feed_delivered(feed);
	}
}

static void note_error(struct log_sink *sink, const struct gantry_error *err)
{
	snprintf(sink->error, sizeof(sink->error), "%s", err->text);
	sink->counts.error_ms = clock_wall_ms();
	sink->counts.failures++;
}

static void wait_and_retry(struct log_sink *sink)
{
	sink->retry_ms = sink->retry_ms ? 2 * sink->retry_ms : RETRY_MS;
	if (sink->retry_ms > RETRY_MAX_MS)
		sink->retry_ms = RETRY_MAX_MS;
	sink->retry_at_ms = clock_wall_ms() + sink->retry_ms;
	sink->retrying = true;
	loop_timer_start(sink->daemon->loop, &sink->retry, sink->retry_ms);
}

static void failed(struct log_sink *sink, const struct gantry_error *err)
{
	if (!sink->retry_ms)
		log_warn("sink %s: %s; its lines wait", sink->settings->name, err->text);
	note_error(sink, err);
	put_in_front(&sink->queue, &sink->sending);
	wait_and_retry(sink);
}

static void save_soon(struct log_sink *sink)
{
	if (!sink->saving)
		loop_timer_start(sink->daemon->loop, &sink->save, SAVE_MS);
	sink->saving = true;
}

static void delivered(struct log_sink *sink)
{
	struct log_item *item;
	int64_t now_us = clock_monotonic_us();

	if (sink->retry_ms)
		log_info("sink %s: it takes lines again", sink->settings->name);
	sink->retry_ms = 0;
	while ((item = first(&sink->sending))) {
		sink->counts.sent++;
		sink->counts.gaps += item->item.line.stream == 0;
		sink->counts.sent_bytes += (int64_t)item->item.line.length;
		sink->queued--;
		sink->queued_bytes -= cost(item);
		sink->sent_bytes += cost(item);
		item->sent_us = now_us;
		item->feed->delivered = item->item.line.sequence;
		list_remove(&item->link);
		list_append(&sink->sent, &item->link);
	}
	sink->counts.sent_ms = clock_wall_ms();
	forget_sent(sink);
	save_soon(sink);
}

static void shut(struct log_sink *sink)
{
	if (sink->handle)
		sink->kind->close(sink->handle);
	sink->handle = NULL;
	if (sink->saving)
		log_feeds_save(sink);
	sink->saving = false;
}

static void on_sent(void *arg, const struct gantry_error *err, const void *result)
{
	struct log_sink *sink = arg;
	struct gantry_error gone;

	(void)result;
	if (!err && sink->broken) {
		gantry_error_set(&gone, -EPIPE, "the receiver went away");
		err = &gone;
	}
	sink->broken = false;
	sink->op = NULL;
	free(sink->batch);
	sink->batch = NULL;
	if (!err)
		delivered(sink);
	if (sink->closing) {
		shut(sink);
		return;
	}
	if (err)
		failed(sink, err);
	log_feeds_go_on(sink);
	log_sink_send(sink);
}

void log_sink_send(struct log_sink *sink)
{
	size_t count = 0, bytes = 0;
	struct log_item *item;

	if (sink->op || sink->retrying || sink->closing || list_empty(&sink->queue))
		return;
	sink->batch = xcalloc(BATCH_ITEMS, sizeof(*sink->batch));
	while (count < BATCH_ITEMS && (item = first(&sink->queue)) &&
	       (count == 0 || bytes + cost(item) <= BATCH_BYTES)) {
		bytes += cost(item);
		sink->counts.resent += item->tried;
		item->tried = true;
		sink->batch[count++] = item->item;
		list_remove(&item->link);
		list_append(&sink->sending, &item->link);
	}
	sink->op = op_new(&sink->daemon->scope, "forward lines of logs", on_sent, sink);
	op_set_deadline(sink->op, sink->settings->timeout_ms);
	sink->kind->send(sink->handle, sink->batch, count, sink->op);
}

static void on_retry(struct loop_timer *timer)
{
	struct log_sink *sink = LIST_ENTRY(timer, struct log_sink, retry);

	sink->retrying = false;
	sink->retry_at_ms = 0;
	log_sink_send(sink);
}

static void on_save(struct loop_timer *timer)
{
	struct log_sink *sink = LIST_ENTRY(timer, struct log_sink, save);

	sink->saving = false;
	log_feeds_save(sink);
}

void log_sink_lost(void *arg, const struct gantry_error *err)
{
	struct log_sink *sink = arg;

	if (sink->closing)
		return;
	sink->broken = sink->op != NULL;
	forget_sent(sink);
	if (list_empty(&sink->sent))
		return;
	note_error(sink, err);
	/* the last first, so that in the end each cursor is before the first line of its feed */
	for (struct list *node = sink->sent.prev; node != &sink->sent; node = node->prev) {
		struct log_item *item = LIST_ENTRY(node, struct log_item, link);

		sink->queued++;
		sink->queued_bytes += cost(item);
		item->feed->delivered = item->item.line.sequence - 1;
	}
	sink->sent_bytes = 0;
	save_soon(sink);
	put_in_front(sink->op ? &sink->sending : &sink->queue, &sink->sent);
	log_sink_send(sink);
}

/* --- the queue ----------------------------------------------------------------------------------- */

bool log_sink_full(const struct log_sink *sink)
{
	return sink->queued_bytes >= (size_t)sink->settings->queue_bytes;
}

/* Of a copy: the pairs, with room to be aligned, and the texts. */
static size_t tags_size(const struct gantry_pairs *tags)
{
	size_t size = sizeof(struct gantry_pair);

	for (size_t i = 0; tags && i < tags->count; i++)
		size += sizeof(struct gantry_pair) + strlen(tags->items[i].name) +
			strlen(tags->items[i].value) + 2;
	return tags ? size : 0;
}

static char *put(char **to, const char *text)
{
	char *copy = *to;

	*to = stpcpy(copy, text) + 1;
	return copy;
}

static void copy_tags(struct log_item *item, const struct gantry_pairs *tags, char *to)
{
	size_t align = _Alignof(struct gantry_pair);

	to += (align - (uintptr_t)to % align) % align;
	item->tags = (struct gantry_pairs){.items = (struct gantry_pair *)(void *)to,
					   .count = tags->count};
	to += tags->count * sizeof(struct gantry_pair);
	for (size_t i = 0; i < tags->count; i++) {
		item->tags.items[i].name = put(&to, tags->items[i].name);
		item->tags.items[i].value = put(&to, tags->items[i].value);
	}
	item->item.line.tags = &item->tags;
}

void log_sink_add(struct log_sink *sink, struct log_feed *feed, const struct gantry_log_line *line)
{
	struct log_item *item = xmalloc(sizeof(*item) + line->length + 1 + tags_size(line->tags));

	*item = (struct log_item){
		.feed = feed,
		.item = {.origin = &feed->origin, .line = *line},
	};
	memcpy(item->data, line->data, line->length);
	item->data[line->length] = '\0';
	item->item.line.data = item->data;
	if (line->tags)
		copy_tags(item, line->tags, item->data + line->length + 1);
	list_append(&sink->queue, &item->link);
	sink->queued++;
	sink->queued_bytes += cost(item);
	feed->items++;
	feed->read = line->sequence;
}

/* --- all of them --------------------------------------------------------------------------------- */

struct log_sink *log_sink_new(struct daemon *daemon, const struct settings_sink *settings)
{
	struct log_sink *sink = xcalloc(1, sizeof(*sink));

	sink->daemon = daemon;
	sink->settings = settings;
	list_init(&sink->feeds);
	list_init(&sink->waiting);
	list_init(&sink->paused);
	list_init(&sink->queue);
	list_init(&sink->sending);
	list_init(&sink->sent);
	loop_timer_init(&sink->retry, on_retry);
	loop_timer_init(&sink->save, on_save);
	list_append(&daemon->log_sinks, &sink->link);
	return sink;
}

void log_sink_attach(struct log_sink *sink, const struct gantry_log_kind *kind, void *handle)
{
	sink->kind = kind;
	sink->handle = handle;
}

/* NAME INSTANCE VALUE: where a feed had come to, or what nobody needs any more. */
static void load_cursor(void *arg, const char *fact, const char *value)
{
	struct daemon *daemon = arg;
	const char *name = fact + strlen(LOG_SINK_FACT), *id = strchr(name, ' ');
	struct kept_log *kept = id ? log_kept_find(daemon, id + 1, NULL, false) : NULL;
	struct store_batch *batch;

	LIST_FOREACH (node, &daemon->log_sinks) {
		struct log_sink *sink = LIST_ENTRY(node, struct log_sink, link);

		if (!id || strlen(sink->settings->name) != (size_t)(id - name) ||
		    !str_starts_with(name, sink->settings->name))
			continue;
		LIST_FOREACH (entry, &sink->feeds) {
			struct log_feed *feed = LIST_ENTRY(entry, struct log_feed, link);

			if (!str_equal(feed->origin.instance, id + 1))
				continue;
			feed->read = feed->delivered = feed->saved = atoll(value);
			return;
		}
		if (kept) {
			log_feed_go_on_kept(log_feed_new(sink, kept->instance), atoll(value));
			return;
		}
	}
	batch = store_batch_new(daemon->store);
	store_put_fact(batch, fact, NULL);
	store_batch_commit(batch, NULL, NULL);
}

static bool has_feed(const struct log_sink *sink, const struct instance *instance)
{
	LIST_FOREACH (node, &instance->feeds) {
		if (LIST_ENTRY(node, struct log_feed, feeding)->sink == sink)
			return true;
	}
	return false;
}

static void make_feeds(struct daemon *daemon, struct instance *instance)
{
	LIST_FOREACH (node, &daemon->log_sinks) {
		struct log_sink *sink = LIST_ENTRY(node, struct log_sink, link);

		if (log_feed_wanted(sink, instance) && !has_feed(sink, instance))
			log_feed_new(sink, instance);
	}
}

int log_sinks_load(struct daemon *daemon, struct gantry_error *err)
{
	LIST_FOREACH (node, &daemon->fleet.instances) {
		make_feeds(daemon, LIST_ENTRY(node, struct instance, link));
	}
	return store_load_facts(daemon->store, LOG_SINK_FACT, load_cursor, daemon, err);
}

void log_sinks_look(struct daemon *daemon, struct instance *instance)
{
	make_feeds(daemon, instance);
	LIST_FOREACH (node, &instance->feeds) {
		log_feed_look(LIST_ENTRY(node, struct log_feed, feeding));
	}
}

void log_sinks_removed(struct instance *instance, struct store_batch *batch)
{
	LIST_FOREACH (node, &instance->feeds) {
		log_feed_removed(LIST_ENTRY(node, struct log_feed, feeding), batch);
	}
}

void log_sinks_close(struct daemon *daemon)
{
	LIST_FOREACH (node, &daemon->log_sinks) {
		struct log_sink *sink = LIST_ENTRY(node, struct log_sink, link);

		sink->closing = true;
		loop_timer_stop(daemon->loop, &sink->retry);
		loop_timer_stop(daemon->loop, &sink->save);
		LIST_FOREACH (entry, &sink->feeds) {
			log_feed_close(LIST_ENTRY(entry, struct log_feed, link));
		}
		if (!sink->op)
			shut(sink);
	}
}

void log_sinks_free(struct daemon *daemon)
{
	LIST_FOREACH (node, &daemon->log_sinks) {
		struct log_sink *sink = LIST_ENTRY(node, struct log_sink, link);

		free_items(&sink->queue);
		free_items(&sink->sending);
		free_items(&sink->sent);
		LIST_FOREACH (entry, &sink->feeds) {
			log_feed_free(LIST_ENTRY(entry, struct log_feed, link));
		}
		list_remove(&sink->link);
		free(sink);
	}
}

/* --- what people see ----------------------------------------------------------------------------- */

static int64_t age_ms(const struct log_sink *sink)
{
	const struct log_item *item = first(&sink->sending);
	int64_t age_ns;

	if (!item)
		item = first(&sink->queue);
	if (!item)
		return 0;
	age_ns = clock_wall_ns() - item->item.line.time_ns;
	return item->item.line.time_ns && age_ns > 0 ? age_ns / 1000000 : 0;
}

static void count_feeds(const struct log_sink *sink, struct log_sink_report *report)
{
	LIST_FOREACH (node, &sink->feeds) {
		const struct log_feed *feed = LIST_ENTRY(node, struct log_feed, link);

		report->instances++;
		report->behind += feed->state == LOG_FEED_WAITING || feed->state == LOG_FEED_PAUSED;
		if (feed->state != LOG_FEED_FAILED)
			continue;
		report->unread_count++;
		report->unread = feed->error;
	}
}

void log_sinks_report(const struct daemon *daemon,
		      void (*fn)(void *arg, const struct log_sink_report *report), void *arg)
{
	LIST_FOREACH (node, &daemon->log_sinks) {
		const struct log_sink *sink = LIST_ENTRY(node, struct log_sink, link);
		struct log_sink_report report = sink->counts;

		report.settings = sink->settings;
		report.error = sink->error[0] ? sink->error : NULL;
		report.failing = sink->retry_ms > 0;
		report.retry_ms = sink->retry_at_ms;
		report.queued = (int64_t)sink->queued;
		report.queued_bytes = (int64_t)sink->queued_bytes;
		report.lag_ms = age_ms(sink);
		count_feeds(sink, &report);
		fn(arg, &report);
	}
}

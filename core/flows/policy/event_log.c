/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/policy/event_log.h"
#include "base/clock.h"
#include "base/str.h"
#include "model/instance.h"

#include <stdlib.h>

static void event_free(struct event *event)
{
	list_remove(&event->link);
	free(event->json);
	free(event);
}

void event_log_init(struct event_log *log, struct store *store)
{
	*log = (struct event_log){.store = store};
	list_init(&log->kept);
	list_init(&log->unpublished);
	list_init(&log->followers);
	log->last_sequence = log->published_sequence = store_last_event(store);
}

void event_log_fini(struct event_log *log)
{
	LIST_FOREACH (kept, &log->kept) {
		event_free(LIST_ENTRY(kept, struct event, link));
	}
	LIST_FOREACH (left, &log->unpublished) {
		event_free(LIST_ENTRY(left, struct event, link));
	}
}

void event_add(struct event_log *log, struct store_batch *batch, const char *kind,
	       const struct instance *instance, const char *node, struct json_object *detail)
{
	struct json_object *object = json_object_new_object();
	struct event *event = xcalloc(1, sizeof(*event));
	int64_t now_ms = clock_wall_ms();

	event->sequence = ++log->last_sequence;
	json_add_int(object, "sequence", event->sequence);
	json_add_time(object, "at", now_ms);
	json_add_string(object, "kind", kind);
	if (instance) {
		snprintf(event->instance, sizeof(event->instance), "%s", instance->id);
		json_add_string(object, "instance", instance->id);
		json_add_string(object, "name", instance->spec.name);
		json_add_string(object, "project", instance->spec.project);
		node = instance->node;
	}
	json_add_string(object, "node", node);
	if (detail) {
		json_object_object_foreach(detail, key, value)
		{
			json_object_object_add(object, key, json_object_get(value));
		}
		json_object_put(detail);
	}
	event->json = xstrdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
	list_append(&log->unpublished, &event->link);
	store_put_event(batch, event->sequence, now_ms, event->instance, event->json);
}

int64_t event_log_mark(const struct event_log *log)
{
	return log->last_sequence;
}

void event_log_publish(struct event_log *log, int64_t mark)
{
	while (!list_empty(&log->unpublished)) {
		struct event *event = LIST_ENTRY(log->unpublished.next, struct event, link);

		if (event->sequence > mark)
			break;
		list_remove(&event->link);
		list_append(&log->kept, &event->link);
		log->published_sequence = event->sequence;
		if (++log->kept_count > EVENT_LOG_KEPT) {
			event_free(LIST_ENTRY(log->kept.next, struct event, link));
			log->kept_count--;
		}
		LIST_FOREACH (node, &log->followers) {
			struct event_follower *follower =
				LIST_ENTRY(node, struct event_follower, link);

			follower->event(follower, event);
		}
	}
}

void event_log_follow(struct event_log *log, struct event_follower *follower)
{
	list_append(&log->followers, &follower->link);
}

void event_log_unfollow(struct event_follower *follower)
{
	list_remove(&follower->link);
}

int64_t event_log_oldest(const struct event_log *log)
{
	return list_empty(&log->kept) ? 0
				      : LIST_ENTRY(log->kept.next, struct event, link)->sequence;
}

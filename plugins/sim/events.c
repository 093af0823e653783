/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events that a node remembers: a ring with the last ones, numbered from 1 on. As an engine it
 * forgets the oldest, but none that who watches now was not told yet.
 */
#include "sim.h"

#include <stdlib.h>

static struct sim_event *place_of(const struct sim_node *node, size_t index)
{
	return &node->events[(node->event_head + index) % node->event_capacity];
}

static void drop_oldest(struct sim_node *node)
{
	free(place_of(node, 0)->text);
	node->event_head = (node->event_head + 1) % node->event_capacity;
	node->event_count--;
}

static void grow(struct sim_node *node)
{
	size_t capacity = node->event_capacity ? 2 * node->event_capacity : 8;
	struct sim_event *events = sim_alloc(capacity * sizeof(*events));

	for (size_t i = 0; i < node->event_count; i++)
		events[i] = *place_of(node, i);
	free(node->events);
	node->events = events;
	node->event_capacity = capacity;
	node->event_head = 0;
}

static struct sim_event *push(struct sim_node *node)
{
	while (node->event_count >= (size_t)node->settings->events &&
	       sim_watch_wants(node) > node->sequence - node->event_count + 1)
		drop_oldest(node);
	if (node->event_count == node->event_capacity)
		grow(node);
	node->sequence++;
	return place_of(node, node->event_count++);
}

static void add(struct sim_node *node, const struct sim_event *event)
{
	struct sim_event *kept = push(node);

	*kept = *event;
	kept->text = event->text ? sim_strdup(event->text) : NULL;
	sim_state_event(node, kept);
	sim_watch_wake(node);
}

void sim_event(struct sim_container *container, enum gantry_event_kind kind, int number,
	       const char *text)
{
	const char *instance = sim_label(container, GANTRY_LABEL_INSTANCE);
	struct sim_event event = {
		.key = container->key,
		.time_ns = sim_now_ns(container->node),
		.text = (char *)text,
		.kind = (uint8_t)kind,
		.signal = (uint8_t)(kind == GANTRY_EVENT_KILL ? number : 0),
		.exit_code = kind == GANTRY_EVENT_DIE ? number : 0,
	};

	if (!container->ours)
		return;
	snprintf(event.instance, sizeof(event.instance), "%s", instance ? instance : "");
	add(container->node, &event);
}

void sim_event_image(struct sim_node *node, const char *image)
{
	struct sim_event event = {
		.time_ns = sim_now_ns(node),
		.text = (char *)image,
		.kind = GANTRY_EVENT_IMAGE,
	};

	add(node, &event);
}

void sim_events_restore(struct sim_node *node, uint64_t sequence, const struct sim_event *event)
{
	struct sim_event *kept;

	if (node->event_count > 0 && sequence != node->sequence + 1)
		sim_events_forget(node);
	node->sequence = sequence - 1;
	kept = push(node);
	*kept = *event;
	kept->text = event->text ? sim_strdup(event->text) : NULL;
	if (event->time_ns > node->last_ns)
		node->last_ns = event->time_ns;
}

const struct sim_event *sim_events_at(const struct sim_node *node, uint64_t sequence)
{
	uint64_t oldest = node->sequence - node->event_count + 1;

	if (sequence < oldest || sequence > node->sequence)
		return NULL;
	return place_of(node, (size_t)(sequence - oldest));
}

void sim_events_forget(struct sim_node *node)
{
	while (node->event_count > 0)
		drop_oldest(node);
}

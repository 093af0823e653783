/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/engine_events.h"
#include "flows/engine/exits.h"
#include "flows/engine/reach.h"
#include "flows/engine/restarts.h"
#include "flows/engine/takeover.h"
#include "flows/flow.h"
#include "flows/log/logs.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

void engine_event_expect(struct instance *instance, enum gantry_event_kind kind)
{
	instance->echoes[kind]++;
}

void engine_event_unexpect(struct instance *instance, enum gantry_event_kind kind)
{
	if (instance->echoes[kind] > 0)
		instance->echoes[kind]--;
}

static bool is_echo(struct instance *instance, const struct gantry_event *event)
{
	if (event->inferred || instance->echoes[event->kind] == 0)
		return false;
	instance->echoes[event->kind]--;
	return true;
}

/*
 * An echo of a pause is not to be heard again after a kill, when nobody knows any more that it was ours.
 * Other echoes are nothing the second time, as the state is reached.
 */
static void heard(struct node_link *link, const struct instance *instance)
{
	if (!instance->busy) /* else the flow puts the anchor in with its end */
		takeover_commit(link->daemon, store_batch_new(link->daemon->store));
}

/* Commits what changed, one event with it. */
static void tell(struct node_link *link, struct instance *instance, const char *kind,
		 const struct gantry_event *event, const char *key, const char *value)
{
	struct daemon *daemon = link->daemon;
	struct store_batch *batch = store_batch_new(daemon->store);
	struct json_object *detail = json_object_new_object();

	if (event->inferred)
		json_add_bool(detail, "inferred", true);
	if (key)
		json_add_string(detail, key, value);
	instance->changed = true;
	event_add(&daemon->events, batch, kind, instance, NULL, detail);
	daemon_save_instance(batch, instance);
	takeover_commit(daemon, batch);
}

static void gap(struct node_link *link, const struct gantry_event *event)
{
	struct daemon *daemon = link->daemon;
	struct store_batch *batch = store_batch_new(daemon->store);
	struct json_object *detail = json_object_new_object();

	link->after_gap = true;
	json_add_time(detail, "from", event->gap_from_ns / 1000000);
	json_add_time(detail, "to", event->time_ns / 1000000);
	event_add(&daemon->events, batch, "node.gap", NULL, link->node.name, detail);
	log_warn("node %s: events may be missing for a while; what changed is inferred",
		 link->node.name);
	takeover_commit(daemon, batch);
	reach_look_all(link, true);
}

/*
 * What an engine still repeats after a gap may be its own word: one that crashed ends what it finds
 * running when it comes back, and tells it as any exit.
 */
static void died(struct node_link *link, struct instance *instance,
		 const struct gantry_event *event)
{
	instance->died_ns = event->inferred ? 0 : event->time_ns;
	exits_died(link->daemon, instance,
		   &(struct instance_death){
			   .code = event->exit_code,
			   .inferred = event->inferred,
			   .engine_gone = event->repeated && link->after_gap,
		   });
}

/* Repeated by a watch that does not know that it was told: that run has ended, as we know by the same clock. */
static bool is_over(const struct instance *instance, const struct gantry_event *event)
{
	const struct instance_exit *exit = &instance->last_exit;

	return event->repeated && exit->known && exit->at_engines &&
	       event->time_ns / 1000000 < exit->at_ms;
}

/* Somebody beside us started it. */
static void started(struct node_link *link, struct instance *instance,
		    const struct gantry_event *event)
{
	if (is_over(instance, event))
		return;
	if (instance->state == INSTANCE_RUNNING) { /* again, and nobody saw it end */
		instance->reach_known = false;
		instance->started_us = 0;
		reach_look(link->daemon, instance);
	}
	if (instance->busy || instance->state == INSTANCE_RUNNING)
		return;
	if (!instance_move(instance, INSTANCE_RUNNING))
		return;
	instance->boots++;
	instance->started_ms = event->time_ns / 1000000;
	instance->started_us = event->inferred || event->repeated ? 0 : clock_monotonic_us();
	logs_was_started(link->daemon, instance);
	instance->exit_pending = false;
	instance->considered = false;
	restarts_forget(link->daemon, instance);
	tell(link, instance, "instance.started", event, "cause", "outside");
	reach_look(link->daemon, instance);
}

/*
 * Paused or let go on, by somebody beside us or by the engine itself, which lets a paused process go on
 * to give it a signal, and holds one of which it makes an image. Only from the state that the event is about: one that comes late, when the
 * process has ended meanwhile, is no news.
 */
static void moved(struct node_link *link, struct instance *instance, enum instance_state from,
		  enum instance_state to, const char *kind, const struct gantry_event *event)
{
	const struct flow *flow = instance->busy;

	if (instance->state == from && instance_move(instance, to))
		tell(link, instance, kind, event, "cause", flow ? flow->kind->name : "outside");
}

void engine_event(struct node_link *link, const struct gantry_event *event)
{
	struct instance *instance;

	if (event->kind == GANTRY_EVENT_GAP) {
		gap(link, event);
		return;
	}
	instance = event->instance ? fleet_find(&link->daemon->fleet, event->instance) : NULL;
	if (!instance || !str_equal(instance->container_id, event->container_id))
		return; /* a container that we are just making, or have just removed */
	switch (event->kind) {
	case GANTRY_EVENT_DIE:
		died(link, instance, event);
		break;
	case GANTRY_EVENT_OOM:
		instance->oom_seen = true;
		tell(link, instance, "instance.oom", event, NULL, NULL);
		break;
	case GANTRY_EVENT_HEALTH:
		snprintf(instance->health, sizeof(instance->health), "%s", event->text);
		tell(link, instance, "instance.health", event, "health", event->text);
		break;
	case GANTRY_EVENT_START:
		if (!is_echo(instance, event))
			started(link, instance, event);
		break;
	case GANTRY_EVENT_PAUSE:
		if (is_echo(instance, event))
			heard(link, instance);
		else
			moved(link, instance, INSTANCE_RUNNING, INSTANCE_PAUSED, "instance.paused",
			      event);
		break;
	case GANTRY_EVENT_UNPAUSE:
		if (is_echo(instance, event))
			heard(link, instance);
		else
			moved(link, instance, INSTANCE_PAUSED, INSTANCE_RUNNING,
			      "instance.unpaused", event);
		break;
	case GANTRY_EVENT_REMOVE:
		if (!is_echo(instance, event))
			exits_gone(link->daemon, instance);
		break;
	case GANTRY_EVENT_CREATE:
	case GANTRY_EVENT_KILL:
	case GANTRY_EVENT_RENAME:
	case GANTRY_EVENT_UPDATE:
	case GANTRY_EVENT_IMAGE:
	case GANTRY_EVENT_GAP:
		break;
	}
}

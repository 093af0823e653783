/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/exits.h"
#include "flows/engine/restarts.h"
#include "flows/engine/takeover.h"
#include "flows/flow.h"
#include "flows/log/logs.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <signal.h>
#include <stdlib.h>

#define LOOK_LIMIT_MS 30000

/* One look at a container whose process ended. The instance may be gone when it comes back. */
struct look {
	struct daemon *daemon;
	struct node_link *link; /* borrowed; its untold counts this look */
	char instance[INSTANCE_ID_SIZE];
	struct instance_death death;
	int64_t mark;
	int64_t died_us; /* the monotonic clock when it was heard of */
};

static void on_recorded(void *arg, const struct gantry_error *err)
{
	struct look *look = arg;
	struct instance *instance = fleet_find(&look->daemon->fleet, look->instance);

	if (err) {
		log_error("an exit could not be recorded: %s", err->text);
		look->daemon->unsaved = true;
	}
	event_log_publish(&look->daemon->events, look->mark);
	if (instance && exits_is_over(instance)) {
		exits_tell(instance, false);
		restarts_consider(look->daemon, instance, false);
	} else if (instance && instance->state == INSTANCE_UNKNOWN) {
		restarts_engine_gone(look->daemon, instance);
	}
	if (instance)
		logs_settled(look->daemon, instance);
	free(look);
}

static void fill_signal(struct instance *instance)
{
	struct instance_exit *end = &instance->last_exit;

	if (end->code <= 128 || end->code >= 128 + NSIG)
		return;
	end->signal = end->code - 128;
	end->signal_sent = instance->signal_sent == end->signal;
}

/* By the clock that cannot be set, where both ends were seen; else by the engine's. */
static int64_t ran_ms(const struct look *look, const struct instance *instance,
		      const struct gantry_container *container)
{
	int64_t from_ms = instance->started_ms, to_ms = instance->last_exit.at_ms;

	if (instance->started_us && !look->death.inferred)
		return (look->died_us - instance->started_us) / 1000;
	if (container && container->finished_ms) {
		from_ms = container->started_ms;
		to_ms = container->finished_ms;
	}
	return to_ms > from_ms ? to_ms - from_ms : 0;
}

static void record(struct look *look, struct instance *instance,
		   const struct gantry_container *container)
{
	struct daemon *daemon = look->daemon;
	struct instance_exit *end = &instance->last_exit;
	struct store_batch *batch = store_batch_new(daemon->store);
	struct json_object *detail = json_object_new_object();

	*end = (struct instance_exit){
		.known = true,
		.code = container ? container->exit_code : look->death.code,
		.oom_seen = instance->oom_seen,
		.oom_killed = container && container->oom_killed,
		.inferred = look->death.inferred,
		.engine_gone = look->death.engine_gone,
		.at_ms = container && container->finished_ms ? container->finished_ms
							     : clock_wall_ms(),
		.at_engines = container && container->finished_ms,
	};
	end->ran_ms = ran_ms(look, instance, container);
	instance->started_us = 0;
	fill_signal(instance);
	instance->signal_sent = 0;
	instance->considered = false;
	instance->oom_seen = false;
	instance->health[0] = '\0';
	instance->changed = true;
	instance_move(instance, INSTANCE_STOPPED);
	json_object_object_add(detail, "exit", instance_exit_print(end));
	if (end->inferred)
		json_add_bool(detail, "inferred", true);
	event_add(&daemon->events, batch, "instance.exited", instance, NULL, detail);
	daemon_save_instance(batch, instance);
	takeover_put_anchors(daemon, batch);
	look->mark = event_log_mark(&daemon->events);
	store_batch_commit(batch, on_recorded, look);
}

static void on_inspected(void *arg, const struct gantry_error *err, const void *result)
{
	struct look *look = arg;
	const struct gantry_container *container = result;
	struct daemon *daemon = look->daemon;
	struct instance *instance = fleet_find(&daemon->fleet, look->instance);

	look->link->untold--;
	if (!instance) {
		free(look);
		return;
	}
	instance->looking = false;
	if (err && err->code == -ENOENT) {
		record(look, instance, NULL);
		exits_gone(daemon, instance);
	} else if (err) {
		/* the engine went away in between: what it said of the death is all there is */
		record(look, instance, NULL);
	} else if (container->state == GANTRY_CONTAINER_RUNNING ||
		   container->state == GANTRY_CONTAINER_PAUSED) {
		free(look); /* somebody started it again at once */
	} else if (instance->last_exit.known && instance->state == INSTANCE_STOPPED &&
		   instance->last_exit.at_ms == container->finished_ms) {
		exits_tell(instance, false); /* told already, but not to those who came since */
		free(look);
	} else {
		record(look, instance, container);
	}
	if (instance->gone_pending)
		exits_gone(daemon, instance);
}

void exits_died(struct daemon *daemon, struct instance *instance,
		const struct instance_death *death)
{
	const struct flow *flow = instance->busy;
	struct node_link *link = node_link_find(daemon, instance->node);
	struct look *look;
	struct gantry_op *op;

	if (flow &&
	    (flow->awaiting_node || flow->phase == FLOW_BACK || flow_step_at(flow)->boots)) {
		instance->exit_pending = true;
		instance->pending = *death;
		return;
	}
	instance->exit_pending = false;
	if (instance->looking || !link || exits_is_over(instance))
		return;
	instance->looking = true;
	look = xcalloc(1, sizeof(*look));
	look->daemon = daemon;
	look->link = link;
	link->untold++;
	look->death = *death;
	look->died_us = clock_monotonic_us();
	snprintf(look->instance, sizeof(look->instance), "%s", instance->id);
	op = op_new(&daemon->scope, "inspect after an exit", on_inspected, look);
	op_set_deadline(op, LOOK_LIMIT_MS);
	link->runtime->inspect(link->handle, instance->container_id, op);
}

static void on_gone_recorded(void *arg, const struct gantry_error *err)
{
	struct look *look = arg;

	if (err) {
		log_error("a lost container could not be recorded: %s", err->text);
		look->daemon->unsaved = true;
	}
	event_log_publish(&look->daemon->events, look->mark);
	free(look);
}

void exits_gone(struct daemon *daemon, struct instance *instance)
{
	struct store_batch *batch;
	struct look *look;

	if (instance->busy || instance->looking) { /* what these find out is told first */
		instance->gone_pending = true;
		return;
	}
	instance->gone_pending = false;
	if (instance->state == INSTANCE_FAILED && !instance->container_id[0])
		return;
	batch = store_batch_new(daemon->store);
	look = xcalloc(1, sizeof(*look));
	look->daemon = daemon;
	log_warn("the container of %s was removed by somebody else", instance->spec.name);
	instance_move(instance, INSTANCE_FAILED);
	instance->container_id[0] = '\0';
	instance->changed = true;
	snprintf(instance->last_exit.reason, sizeof(instance->last_exit.reason),
		 "the container was removed, and not through gantryd");
	event_add(&daemon->events, batch, "instance.lost", instance, NULL, NULL);
	daemon_save_instance(batch, instance);
	look->mark = event_log_mark(&daemon->events);
	store_batch_commit(batch, on_gone_recorded, look);
	exits_tell(instance, false);
	logs_settled(daemon, instance);
}

void exits_after_flow(struct daemon *daemon, struct instance *instance,
		      const struct operation *operation)
{
	bool failed = operation->err.code != 0;

	if (instance->exit_pending && !instance->busy) {
		const struct instance_death death = instance->pending;

		instance->exit_pending = false;
		exits_died(daemon, instance, &death);
	}
	if (instance->gone_pending)
		exits_gone(daemon, instance);
	if (!exits_is_over(instance))
		return;
	exits_tell(instance, false);
	if (failed)
		instance->considered = false; /* it was to be started, and is not */
	if (!instance->considered)
		restarts_consider(daemon, instance, failed);
	logs_settled(daemon, instance);
}

bool exits_is_over(const struct instance *instance)
{
	return (instance->state == INSTANCE_STOPPED || instance->state == INSTANCE_FAILED) &&
	       !instance->exit_pending && !instance->looking;
}

void exits_tell(struct instance *instance, bool gone)
{
	while (!list_empty(&instance->waiters)) {
		struct exit_waiter *waiter =
			LIST_ENTRY(instance->waiters.next, struct exit_waiter, link);

		list_remove(&waiter->link);
		waiter->told(waiter, instance, gone);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* pause and unpause: the engine freezes the processes, or lets them go on. */
#include "flows/flows.h"
#include "flows/engine/engine_events.h"
#include "flows/engine/takeover.h"
#include "flows/steps.h"

#include <stddef.h>

static void on_paused(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err)
		engine_event_unexpect(flow->instance, GANTRY_EVENT_PAUSE);
	flow_answer_next_if_there(flow, err, result);
}

static void pause_run(struct flow *flow)
{
	engine_event_expect(flow->instance, GANTRY_EVENT_PAUSE);
	flow->node->runtime->pause(flow->node->handle, flow->instance->container_id,
				   flow_op(flow, "pause", on_paused));
}

static void unpause_run(struct flow *flow)
{
	engine_event_expect(flow->instance, GANTRY_EVENT_UNPAUSE);
	flow->node->runtime->unpause(flow->node->handle, flow->instance->container_id,
				     flow_op(flow, "unpause", step_on_unpaused));
}

static void announce(struct flow *flow, enum instance_state state, enum instance_intent intent,
		     const char *event)
{
	struct json_object *detail = json_object_new_object();

	/* the process may have been killed in this very moment: then that is what it is */
	if (flow->instance->state == INSTANCE_RUNNING || flow->instance->state == INSTANCE_PAUSED)
		instance_move(flow->instance, state);
	flow->instance->intent = intent;
	flow->instance->changed = true;
	takeover_put_anchors(flow->daemon, flow_batch(flow));
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), event, flow->instance, NULL, detail);
	flow_next(flow);
}

static void announce_paused(struct flow *flow)
{
	announce(flow, INSTANCE_PAUSED, INTENT_SUSPENDED, "instance.paused");
}

static void announce_unpaused(struct flow *flow)
{
	announce(flow, INSTANCE_RUNNING, INTENT_RUNNING, "instance.unpaused");
}

static const struct flow_step pause_steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	{.name = "pause", .run = pause_run, .limit_ms = STEP_SIGNAL_MS},
	{.name = "announce", .run = announce_paused},
	{0},
};

static const struct flow_step unpause_steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	{.name = "unpause", .run = unpause_run, .limit_ms = STEP_SIGNAL_MS},
	{.name = "announce", .run = announce_unpaused},
	{0},
};

const struct flow_kind flow_pause = {
	.name = "pause",
	.steps = pause_steps,
	.failed = step_back_to_before,
};
const struct flow_kind flow_unpause = {
	.name = "unpause",
	.steps = unpause_steps,
	.failed = step_back_to_before,
};

static int begin(struct daemon *daemon, const struct flow_kind *kind, enum instance_verb verb,
		 const struct flows_ask *ask, struct instance *instance,
		 struct operation **ret_operation, struct gantry_error *err)
{
	const struct node_link *link = node_link_find(daemon, instance->node);
	struct flow *flow;
	int code = step_check_verb(daemon, instance, verb, err);

	if (code == 0 && (!link || !link->runtime->pause || !link->runtime->unpause))
		code = gantry_error_set(err, -ENOTSUP, "node %s cannot pause", instance->node);
	if (code == 0)
		code = flow_new(daemon, kind, instance, ask->actor, ask->idempotency_key, &flow,
				err);
	if (code < 0)
		return code;
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

int flows_pause(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		struct operation **ret_operation, struct gantry_error *err)
{
	return begin(daemon, &flow_pause, VERB_PAUSE, ask, instance, ret_operation, err);
}

int flows_unpause(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		  struct operation **ret_operation, struct gantry_error *err)
{
	return begin(daemon, &flow_unpause, VERB_UNPAUSE, ask, instance, ret_operation, err);
}

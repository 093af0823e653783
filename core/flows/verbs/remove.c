/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remove: the container, what is left of its ports, and then the instance. One that runs is only removed
 * where asked with force; then it is killed first, so that its exit is known. What it printed is kept before
 * the engine forgets it.
 *
 * A remove that fails leaves the instance failed, with its container in sight; removing it again
 * goes on from there. One whose node was taken out of the settings is forgotten, with force. Killed in between: the step is done once more, and a container that is gone
 * already is a success.
 */
#include "flows/flows.h"
#include "flows/engine/engine_events.h"
#include "flows/engine/restarts.h"
#include "flows/log/log_kept.h"
#include "flows/log/logs.h"
#include "flows/steps.h"
#include "flows/verbs/wire.h"

static bool has_container(const struct flow *flow)
{
	return flow->node && flow->instance->container_id[0];
}

static bool kill_wanted(const struct flow *flow)
{
	return has_container(flow) && step_wants_signal(flow);
}

static void kill_first(struct flow *flow)
{
	if (flow->instance->state != INSTANCE_STOPPING) {
		flow->instance->known_state = flow->instance->state;
		instance_move(flow->instance, INSTANCE_STOPPING);
	}
	step_kill(flow);
}

static void remove_run(struct flow *flow)
{
	if (flow->instance->state != INSTANCE_REMOVING) {
		instance_move(flow->instance, INSTANCE_REMOVING);
		flow->instance->changed = true;
	}
	engine_event_expect(flow->instance, GANTRY_EVENT_REMOVE);
	flow->node->runtime->remove(flow->node->handle, flow->instance->container_id,
				    flow_op(flow, "remove", flow_answer_next_if_there));
}

static void announce(struct flow *flow)
{
	struct instance *instance = flow->instance;
	struct json_object *detail = json_object_new_object();

	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), "instance.removed", instance, NULL,
		  detail);
	store_delete_instance(flow_batch(flow), instance->id);
	if (flow->node)
		node_promise(&flow->node->node, &instance->spec, -1);
	exits_tell(instance, true);
	logs_removed(flow->daemon, instance, flow_batch(flow));
	flow->instance = NULL;
	fleet_remove(&flow->daemon->fleet, instance);
	flow_next(flow);
}

static const struct flow_step steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	{.name = "kill", .run = kill_first, .wanted = kill_wanted, .limit_ms = STEP_DEATH_MS},
	{.name = "keep", .run = log_keep_run, .wanted = log_keep_wanted, .limit_ms = STEP_KEEP_MS},
	{.name = "remove", .run = remove_run, .wanted = has_container, .limit_ms = STEP_REMOVE_MS},
	{.name = "unwire",
	 .run = step_unwire,
	 .wanted = step_wire_wanted,
	 .limit_ms = STEP_WIRE_MS},
	{.name = "announce", .run = announce},
	{0},
};

const struct flow_kind flow_remove = {
	.name = "remove",
	.steps = steps,
	.failed = step_back_to_before,
};

int flows_remove(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		 bool force, struct operation **ret_operation, struct gantry_error *err)
{
	struct flow *flow;
	int code;

	code = step_check_verb(daemon, instance, VERB_REMOVE, err);
	if (code == 0 && !force && instance->state == INSTANCE_UNKNOWN)
		return gantry_error_set(err, -EBUSY,
					"%s is unknown: node %s is not in the settings; removed "
					"with force it is forgotten, and its container left",
					instance->spec.name, instance->node);
	if (code == 0 && !force && instance->container_id[0] && !instance->busy &&
	    instance->state != INSTANCE_STOPPED && instance->state != INSTANCE_FAILED)
		code = gantry_error_set(err, -EBUSY,
					"%s is %s; stop it first, or remove it with force",
					instance->spec.name, instance_state_text(instance->state));
	if (code == 0)
		code = flow_new(daemon, &flow_remove, instance, ask->actor, ask->idempotency_key,
				&flow, err);
	if (code < 0)
		return code;
	restarts_forget(daemon, instance);
	flow->force = force;
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resize: new limits for a container that goes on running. The plugin applies all of them or none,
 * and reads back what holds; that is what the instance's spec says then. The container's label
 * keeps the limits of its creation: engines cannot change labels.
 */
#include "flows/flows.h"
#include "flows/steps.h"
#include "model/spec.h"

static void apply(struct flow *flow);
static void announce(struct flow *flow);
static size_t resume(struct flow *flow, size_t step);

static const struct flow_step steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	{.name = "update", .run = apply, .limit_ms = STEP_SIGNAL_MS},
	{.name = "announce", .run = announce},
	{0},
};

const struct flow_kind flow_resize = {
	.name = "resize",
	.steps = steps,
	.failed = step_back_to_before,
	.resume = resume,
};

static void take(int64_t *place, int64_t asked, int64_t now)
{
	if (asked != GANTRY_UNSET)
		*place = now != GANTRY_UNSET ? now : asked;
}

static void on_applied(struct flow *flow, const struct gantry_error *err, const void *result)
{
	const struct gantry_limits *now = result, *asked = &flow->limits;
	struct gantry_spec *spec = &flow->instance->spec;

	if (err) {
		flow_fail_node(flow, err);
		return;
	}
	node_promise(&flow->node->node, spec, -1);
	take(&spec->memory_bytes, asked->memory_bytes, now->memory_bytes);
	take(&spec->memory_swap_bytes, asked->memory_swap_bytes, now->memory_swap_bytes);
	take(&spec->nano_cpus, asked->nano_cpus, now->nano_cpus);
	take(&spec->cpu_shares, asked->cpu_shares, now->cpu_shares);
	take(&spec->pids, asked->pids, now->pids);
	if (asked->cpuset)
		spec->cpuset = arena_strdup(&flow->instance->arena, asked->cpuset);
	fleet_count(&flow->daemon->fleet, flow->instance);
	node_promise(&flow->node->node, spec, 1);
	flow->instance->changed = true;
	flow_next(flow);
}

static void apply(struct flow *flow)
{
	flow->node->runtime->update(flow->node->handle, flow->instance->container_id, &flow->limits,
				    flow_op(flow, "update", on_applied));
}

static void announce(struct flow *flow)
{
	struct json_object *detail = json_object_new_object();

	json_object_object_add(detail, "limits", json_object_get(flow->operation->request));
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), "instance.resized", flow->instance, NULL,
		  detail);
	flow_next(flow);
}

static size_t resume(struct flow *flow, size_t step)
{
	struct gantry_error err;

	if (spec_parse_resize(flow->operation->request, &flow->arena, &flow->limits, &err) < 0) {
		flow->err = err;
		flow->phase = FLOW_BACK;
	}
	return step;
}

/* What is asked for, over what is. */
static void set_limits(struct gantry_spec *spec, const struct gantry_limits *asked)
{
	take(&spec->memory_bytes, asked->memory_bytes, GANTRY_UNSET);
	take(&spec->memory_swap_bytes, asked->memory_swap_bytes, GANTRY_UNSET);
	take(&spec->nano_cpus, asked->nano_cpus, GANTRY_UNSET);
	take(&spec->cpu_shares, asked->cpu_shares, GANTRY_UNSET);
	take(&spec->pids, asked->pids, GANTRY_UNSET);
	if (asked->cpuset)
		spec->cpuset = asked->cpuset;
}

/* The new limits have to fit the ones that stay: memory+swap is never under memory. */
static int check_limits(const struct instance *instance, const struct gantry_limits *asked,
			struct gantry_error *err)
{
	struct gantry_spec after = instance->spec;

	set_limits(&after, asked);
	return spec_check_limits(after.memory_bytes, after.memory_swap_bytes, err);
}

int flows_resize(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		 struct json_object *limits, struct operation **ret_operation,
		 struct gantry_error *err)
{
	const struct node_link *link = node_link_find(daemon, instance->node);
	struct arena arena = {0};
	struct gantry_limits parsed;
	struct flow *flow;
	int code = spec_parse_resize(limits, &arena, &parsed, err);

	if (code == 0)
		code = step_check_verb(daemon, instance, VERB_RESIZE, err);
	if (code == 0)
		code = check_limits(instance, &parsed, err);
	if (code == 0 && (!link || !link->runtime->update))
		code = gantry_error_set(err, -ENOTSUP, "node %s cannot change limits",
					instance->node);
	if (code == 0)
		code = flow_new(daemon, &flow_resize, instance, ask->actor, ask->idempotency_key,
				&flow, err);
	if (code < 0) {
		arena_fini(&arena);
		return code;
	}
	flow->arena = arena;
	flow->limits = parsed;
	spec_copy(&instance->spec, &flow->arena, &flow->spec); /* policies see it as it would be */
	set_limits(&flow->spec, &parsed);
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	flow->operation->request = json_object_get(limits);
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

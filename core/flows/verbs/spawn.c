/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn: from a spec to a running instance.
 *
 *	policy    admit, environment, resources: may it, and with what
 *	reserve   filter and score choose the node; the node promises memory and CPUs
 *	pull      only where the node does not have the image
 *	create    the container, with labels from which everything can be rebuilt
 *	wire      only where the instance has ports of networks
 *	start     unless it is to be made only
 *	finish    of the ports, where something is left to do
 *	announce
 *
 * Where the node is to blame (start_faults.h) it is tried on another one that the policies accept, on
 * TRIES_MAX at most: all is walked back first, the operation keeps what each said, and the container
 * of the next try is of a new generation. What a node out of reach may still have is a stray.
 *
 * It is all or nothing: where a step fails, the container is removed, the promise is taken back and
 * the instance goes; the operation keeps the reason. Killed in between, it is taken up again: a
 * container that is there is gone on with, otherwise everything begins anew. What cannot be had
 * again then are values of secrets, which no journal holds: such a spawn is taken back.
 */
#include "flows/flows.h"
#include "flows/engine/engine_events.h"
#include "flows/engine/start_faults.h"
#include "flows/engine/strays.h"
#include "flows/log/logs.h"
#include "flows/policy/placements.h"
#include "flows/steps.h"
#include "flows/verbs/borrow.h"
#include "flows/verbs/wire.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "model/spec.h"

static void policy(struct flow *flow);
static void reserve(struct flow *flow);
static void reserve_undo(struct flow *flow);
static void pull(struct flow *flow);
static bool pull_wanted(const struct flow *flow);
static void create(struct flow *flow);
static void create_undo(struct flow *flow);
static bool start_wanted(const struct flow *flow);
static void announce(struct flow *flow);
#define TRIES_MAX 3 /* nodes */

static bool again(struct flow *flow);
static void leave(struct flow *flow);
static void failed(struct flow *flow);
static size_t resume(struct flow *flow, size_t step);

enum { POLICY, RESERVE, PULL, CREATE, WIRE, START, FINISH, ANNOUNCE };

static const struct flow_step steps[] = {
	[POLICY] = {.name = "policy", .run = policy, .memory = true},
	[RESERVE] = {.name = "reserve", .run = reserve, .undo = reserve_undo, .memory = true},
	[PULL] = {.name = "pull", .run = pull, .wanted = pull_wanted},
	[CREATE] = {.name = "create",
		    .run = create,
		    .undo = create_undo,
		    .limit_ms = STEP_CREATE_MS,
		    .slot = true},
	[WIRE] = {.name = "wire",
		  .run = step_wire,
		  .undo = step_wire_undo,
		  .wanted = step_wire_wanted,
		  .limit_ms = STEP_WIRE_MS,
		  .slot = true},
	[START] = {.name = "start",
		   .run = step_start,
		   .wanted = start_wanted,
		   .limit_ms = STEP_START_MS,
		   .slot = true,
		   .boots = true},
	[FINISH] = {.name = "finish",
		    .run = step_finish,
		    .wanted = step_finish_wanted,
		    .limit_ms = STEP_WIRE_MS,
		    .boots = true},
	[ANNOUNCE] = {.name = "announce", .run = announce, .boots = true},
	{0},
};

const struct flow_kind flow_spawn = {
	.name = "spawn",
	.steps = steps,
	.again = again,
	.leave = leave,
	.failed = failed,
	.resume = resume,
};

/* --- the request -------------------------------------------------------------------------------- */

static char *make_name(const struct gantry_spec *spec, const char *id, struct arena *arena)
{
	const char *base = strrchr(spec->image, '/');
	char *name;

	base = base ? base + 1 : spec->image;
	name = arena_printf(arena, "%.*s-%.8s",
			    (int)(strcspn(base, ":@") < 40 ? strcspn(base, ":@") : 40), base, id);
	for (char *p = name; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9')))
			*p = '-';
	return name;
}

int flows_spawn(struct daemon *daemon, const struct flows_ask *ask, struct json_object *spec,
		bool start, struct operation **ret_operation, struct gantry_error *err)
{
	char id[INSTANCE_ID_SIZE];
	struct instance *instance;
	struct flow *flow;
	int code;

	instance_make_id(id);
	instance = instance_new(id);
	code = spec_parse(spec, &instance->arena, &instance->spec, err);
	if (code == 0)
		code = wire_check(daemon, instance, &instance->spec, err);
	if (code == 0) {
		if (!instance->spec.project)
			instance->spec.project = arena_strdup(
				&instance->arena, ask->project ? ask->project : "default");
		if (!instance->spec.name)
			instance->spec.name = make_name(&instance->spec, id, &instance->arena);
		if (instance->spec.network_ports.count > 0 && !instance->spec.network)
			instance->spec.network = "none"; /* of the engine's own */
		instance->created_ms = clock_wall_ms();
		instance->generation = 1;
		instance->intent = start ? INTENT_RUNNING : INTENT_STOPPED;
		instance->changed = true;
		code = borrow_resolve(daemon, instance, err);
	}
	if (code == 0 && start)
		code = borrow_check_start(daemon, instance, err);
	if (code == 0) {
		code = daemon->stopping ? gantry_error_set(err, -EAGAIN, "gantryd is going down")
					: fleet_add(&daemon->fleet, instance, err);
	}
	if (code < 0) {
		instance_free(instance);
		return code;
	}
	code = flow_new(daemon, &flow_spawn, instance, ask->actor, ask->idempotency_key, &flow,
			err);
	if (code < 0) {
		fleet_remove(&daemon->fleet, instance);
		return code;
	}
	spec_copy(&instance->spec, &flow->arena, &flow->spec);
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	flow->operation->request = spec_print(&flow->spec, SPEC_VALUES_PLAIN);
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

/* --- steps -------------------------------------------------------------------------------------- */

static void policy(struct flow *flow)
{
	struct script_set *set = flow->daemon->policies;
	struct script_request request;
	struct gantry_error err;
	int64_t began_us = clock_monotonic_us();
	int code = step_admit(flow, &request, &err);

	if (code == 0)
		code = script_environment(set, &request, &flow->arena, &flow->spec, &flow->decision,
					  &err);
	if (code == 0)
		code = script_resources(set, &request, &flow->arena, &flow->spec, &flow->decision,
					&err);
	flow->operation->timings.policy_us += clock_monotonic_us() - began_us;
	if (code == 0)
		code = spec_check_complete(&flow->spec, &err);
	if (code < 0) {
		flow_fail(flow, &err);
		return;
	}
	spec_copy(&flow->spec, &flow->instance->arena, &flow->instance->spec);
	fleet_count(&flow->daemon->fleet, flow->instance);
	flow_next(flow);
}

/* Nodes that a spawn may go to: up, not drained, not tried before by this one, and with what it mounts. */
static size_t find_nodes(const struct flow *flow, struct node **nodes)
{
	const struct fleet *fleet = &flow->daemon->fleet;
	const char *only = borrow_node(flow->daemon, &flow->instance->spec);
	size_t count = 0;

	for (size_t i = 0; i < fleet->node_count; i++) {
		struct node *node = fleet->nodes[i];

		if (node->state == NODE_UP && !node->drained &&
		    (!only || str_equal(node->name, only)) &&
		    !operation_was_tried(flow->operation, node->name))
			nodes[count++] = node;
	}
	return count;
}

/* No node. Where some were tried, what the last of them said is the reason. */
static void fail_reserve(struct flow *flow, const struct gantry_error *err)
{
	const struct operation *operation = flow->operation;

	flow_fail(flow,
		  operation->try_count ? &operation->tries[operation->try_count - 1].err : err);
}

static void reserve(struct flow *flow)
{
	struct daemon *daemon = flow->daemon;
	struct node **nodes =
		ARENA_ARRAY(&flow->arena, struct node *, daemon->fleet.node_count + 1);
	struct script_request request;
	struct gantry_error err;
	struct node *chosen;
	size_t count = find_nodes(flow, nodes), first = flow->decision.count;
	int64_t began_us = clock_monotonic_us();
	int code;

	if (count == 0) {
		gantry_error_set(&err, -EHOSTUNREACH, "no node is up and takes instances%s%s",
				 daemon->fleet.node_count ? "; the first says: " : "",
				 daemon->fleet.node_count ? daemon->fleet.nodes[0]->last_error
							  : "");
		fail_reserve(flow, &err);
		return;
	}
	step_request(flow, &request);
	request.usage = fleet_usage_placed(&daemon->fleet, request.project, flow->instance);
	code = script_place(daemon->policies, &request, nodes, count, &chosen, &flow->decision,
			    &err);
	placements_keep(daemon, &request, nodes, count, flow->operation, &flow->decision, first);
	flow->operation->timings.policy_us += clock_monotonic_us() - began_us;
	flow->decision_saved = false;
	if (code < 0) {
		fail_reserve(flow, &err);
		return;
	}
	fleet_place(flow->instance, chosen);
	fleet_count(&daemon->fleet, flow->instance);
	flow->instance->changed = true;
	flow->node = node_link_find(daemon, chosen->name);
	node_promise(chosen, &flow->instance->spec, 1);
	flow->promised = true;
	flow_next(flow);
}

static void reserve_undo(struct flow *flow)
{
	if (flow->promised)
		node_promise(&flow->node->node, &flow->instance->spec, -1);
	flow->promised = false;
	flow_undone(flow);
}

static bool pull_wanted(const struct flow *flow)
{
	return flow->node->runtime->pull && !node_link_has_image(flow->node, flow->spec.image);
}

static void on_pulled(struct flow *flow, const struct gantry_error *err, const void *result)
{
	struct gantry_error failure;

	node_link_refresh_images(flow->node);
	if (err) {
		failure = *err;
		gantry_error_prefix(&failure, "image %s", flow->spec.image);
		err = &failure;
	}
	flow_answer_next(flow, err, result);
}

static void on_present(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err && err->code == -ENOENT) {
		flow->node->runtime->pull(flow->node->handle, flow->spec.image,
					  flow_op(flow, "pull", on_pulled));
		return;
	}
	if (!err)
		node_link_refresh_images(flow->node);
	flow_answer_next(flow, err, result);
}

static void pull(struct flow *flow)
{
	/* the list may be a moment old: ask before downloading */
	flow->node->runtime->image_present(flow->node->handle, flow->spec.image,
					   flow_op(flow, "look for the image", on_present));
}

static void on_created(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err) {
		start_faults_failed(flow->node, err);
		flow_fail_node(flow, err);
		return;
	}
	snprintf(flow->instance->container_id, sizeof(flow->instance->container_id), "%s",
		 (const char *)result);
	flow->instance->listed = GANTRY_CONTAINER_CREATED;
	flow->instance->changed = true;
	flow_next(flow);
}

static void add_label(struct gantry_pairs *labels, const char *name, const char *value)
{
	labels->items[labels->count++] = (struct gantry_pair){name, value};
}

static void create(struct flow *flow)
{
	struct instance *instance = flow->instance;
	struct json_object *printed;
	struct gantry_create create;
	struct gantry_spec spec;
	struct gantry_error err;

	if (instance->container_id[0]) { /* made before the daemon was killed */
		flow_next(flow);
		return;
	}
	if (borrow_containers(flow, &spec, &err) < 0) {
		flow_fail(flow, &err);
		return;
	}
	if (instance->state == INSTANCE_PENDING)
		instance_move(instance, INSTANCE_CREATING);
	create = (struct gantry_create){
		.name = instance_container_name(instance, &flow->arena),
		.spec = &spec,
	};
	create.labels.items =
		ARENA_ARRAY(&flow->arena, struct gantry_pair, flow->spec.labels.count + 5);
	for (size_t i = 0; i < flow->spec.labels.count; i++)
		create.labels.items[create.labels.count++] = flow->spec.labels.items[i];
	printed = spec_print(&flow->spec, SPEC_VALUES_NONE);
	add_label(&create.labels, GANTRY_LABEL_OWNER, flow->daemon->settings->owner);
	add_label(&create.labels, GANTRY_LABEL_INSTANCE, instance->id);
	add_label(&create.labels, GANTRY_LABEL_PROJECT, flow->spec.project);
	add_label(&create.labels, GANTRY_LABEL_GENERATION,
		  arena_printf(&flow->arena, "%lld", (long long)instance->generation));
	add_label(&create.labels, GANTRY_LABEL_SPEC,
		  arena_strdup(&flow->arena,
			       json_object_to_json_string_ext(printed, JSON_C_TO_STRING_PLAIN)));
	json_object_put(printed);
	flow->node->runtime->create(flow->node->handle, &create,
				    flow_op(flow, "create", on_created));
}

static void remove_container(struct flow *flow)
{
	engine_event_expect(flow->instance, GANTRY_EVENT_REMOVE);
	flow->node->runtime->remove(flow->node->handle, flow->instance->container_id,
				    flow_op(flow, "remove", flow_answer_undone));
}

/* After a create without an answer nobody knows whether the container exists: look for our label. */
static void on_listed(struct flow *flow, const struct gantry_error *err, const void *result)
{
	const struct gantry_containers *containers = result;

	if (err) {
		flow_answer_undone(flow, err, NULL);
		return;
	}
	for (size_t i = 0; i < containers->count; i++) {
		const struct gantry_pairs *labels = &containers->items[i].labels;

		for (size_t j = 0; j < labels->count; j++) {
			if (!str_equal(labels->items[j].name, GANTRY_LABEL_INSTANCE) ||
			    !str_equal(labels->items[j].value, flow->instance->id))
				continue;
			snprintf(flow->instance->container_id, sizeof(flow->instance->container_id),
				 "%s", containers->items[i].container_id);
			remove_container(flow);
			return;
		}
	}
	flow_undone(flow);
}

static bool outcome_is_known(int code)
{
	return code == -ENOENT || code == -EEXIST || code == -EINVAL || code == -ENOTSUP;
}

static void create_undo(struct flow *flow)
{
	if (!flow->node)
		flow_undone(flow);
	else if (flow->instance->container_id[0])
		remove_container(flow);
	else if (outcome_is_known(flow->err.code))
		flow_undone(flow);
	else
		flow->node->runtime->list(flow->node->handle,
					  flow_op(flow, "look for a container", on_listed));
}

static bool start_wanted(const struct flow *flow)
{
	return flow->instance->intent == INTENT_RUNNING;
}

static void announce_created(struct flow *flow)
{
	struct instance *instance = flow->instance;
	struct json_object *detail = json_object_new_object();

	instance_move(instance, INSTANCE_STOPPED);
	instance->changed = true;
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), "instance.created", instance, NULL,
		  detail);
}

static void announce(struct flow *flow)
{
	if (start_wanted(flow))
		step_started(flow, "spawn");
	else
		announce_created(flow);
	flow_next(flow);
}

static bool has_lost_secrets(const struct gantry_spec *spec)
{
	for (size_t i = 0; i < spec->environment.count; i++)
		if (!spec->environment.items[i].value)
			return true;
	return false;
}

/* The spec as it was asked for, of a flow that was taken up again. */
static int take_request(struct flow *flow, struct gantry_error *err)
{
	if (spec_parse(flow->operation->request, &flow->arena, &flow->spec, err) == 0 &&
	    !has_lost_secrets(&flow->spec))
		return 0;
	return gantry_error_set(
		err, -ECANCELED,
		"gantryd was restarted before the container was made, and values of secrets are not "
		"stored: ask again");
}

/* --- another node ---------------------------------------------------------------------------------- */

static void leave(struct flow *flow)
{
	strays_add(flow->node, flow->instance);
}

/* On the node nothing is left of it, or a stray. */
static void take_off(struct flow *flow)
{
	struct instance *instance = flow->instance;

	fleet_unplace(instance);
	fleet_count(&flow->daemon->fleet, instance);
	flow->node = NULL;
	instance->container_id[0] = '\0';
	instance->generation++;
	instance->listed = GANTRY_CONTAINER_CREATED;
	instance->exit_pending = instance->gone_pending = false;
	instance->oom_seen = false;
	memset(instance->echoes, 0, sizeof(instance->echoes));
	if (instance->state == INSTANCE_STARTING)
		instance_move(instance, INSTANCE_CREATING);
	instance->changed = true;
}

static bool again(struct flow *flow)
{
	struct operation *operation = flow->operation;
	struct node **nodes =
		ARENA_ARRAY(&flow->arena, struct node *, flow->daemon->fleet.node_count + 1);
	bool asked = flow->spec.name != NULL; /* the policies, by this gantryd */
	struct gantry_error err;

	if (!flow->node || !start_fault_is_nodes(&flow->err) ||
	    operation_was_tried(operation, flow->node->node.name))
		return false;
	operation_add_try(operation, flow->node->node.name, &flow->err);
	if (flow->decision.id)
		script_decision_tried(&flow->decision, flow->node->node.name, flow->err.text);
	flow->decision_saved = false;
	if (operation->try_count == TRIES_MAX || flow->daemon->stopping ||
	    find_nodes(flow, nodes) == 0 || (!asked && take_request(flow, &err) < 0))
		return false;
	if (flow->undo_failed)
		strays_add(flow->node, flow->instance);
	flow->undo_failed = false;
	log_info("it is tried on another node: %s", flow->err.text);
	take_off(flow);
	if (!asked)
		spec_copy(&flow->spec, &flow->instance->arena, &flow->instance->spec);
	flow->step = asked ? RESERVE : POLICY;
	return true;
}

/* "…; tried on n1, n2" */
static void tell_tries(struct flow *flow)
{
	const struct operation *operation = flow->operation;
	size_t used = strlen(flow->err.text);
	struct str names = STR_INIT;

	if (operation->try_count < 2)
		return;
	for (size_t i = 0; i < operation->try_count; i++)
		str_addf(&names, "%s%s", i ? ", " : "", operation->tries[i].node);
	snprintf(flow->err.text + used, sizeof(flow->err.text) - used, "; tried on %s",
		 str_text(&names));
	str_fini(&names);
}

/* --- the other ends ------------------------------------------------------------------------------ */

static void failed(struct flow *flow)
{
	struct instance *instance = flow->instance;
	struct json_object *detail = json_object_new_object();

	tell_tries(flow);
	json_object_object_add(detail, "error", operation_problem(&flow->err));
	event_add(&flow->daemon->events, flow_batch(flow), "instance.spawn_failed", instance, NULL,
		  detail);
	if (flow->undo_failed) { /* something may be left on the node: keep it in sight */
		instance_move(instance, INSTANCE_FAILED);
		instance->changed = true;
		if (flow->node)
			node_promise(&flow->node->node, &instance->spec, 1);
		return;
	}
	store_delete_instance(flow_batch(flow), instance->id);
	exits_tell(instance, true);
	flow->instance = NULL;
	logs_removed(flow->daemon, instance, flow_batch(flow));
	fleet_remove(&flow->daemon->fleet, instance);
}

static size_t resume(struct flow *flow, size_t step)
{
	struct instance *instance = flow->instance;
	struct gantry_error err;

	if (instance->container_id[0]) {
		if (instance->state == INSTANCE_PENDING)
			instance_move(instance, INSTANCE_CREATING);
		return WIRE;
	}
	if (take_request(flow, &err) < 0) {
		flow->step = step;
		flow->err = err;
		flow->phase = FLOW_BACK;
		return step;
	}
	if (flow->promised)
		node_promise(&flow->node->node, &instance->spec, -1);
	flow->promised = false;
	spec_copy(&flow->spec, &instance->arena, &instance->spec);
	return POLICY;
}

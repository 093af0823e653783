/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_attach, port_detach: a port more or less, of a container that runs or not.
 *
 *	policy, wire, finish, unplug, announce
 *
 * Of a port that is detached from what does not run no engine lets go: unplug does. Where it fails the
 * container gets the ports back that it had, and no other is left. The container's label keeps the ports of its
 * creation, and its name servers: engines can change neither.
 */
#include "flows/flows.h"
#include "flows/steps.h"
#include "flows/verbs/wire.h"
#include "base/str.h"
#include "model/spec.h"

static void wire_undo(struct flow *flow);
static void unplug(struct flow *flow);
static bool unplug_wanted(const struct flow *flow);
static void announce(struct flow *flow);
static size_t resume(struct flow *flow, size_t step);

static const struct flow_step steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	{.name = "wire", .run = step_wire, .undo = wire_undo, .limit_ms = STEP_WIRE_MS},
	{.name = "finish",
	 .run = step_finish,
	 .wanted = step_finish_wanted,
	 .limit_ms = STEP_WIRE_MS},
	{.name = "unplug", .run = unplug, .wanted = unplug_wanted, .limit_ms = STEP_WIRE_MS},
	{.name = "announce", .run = announce},
	{0},
};

const struct flow_kind flow_port_attach = {
	.name = "port_attach",
	.steps = steps,
	.failed = step_back_to_before,
	.resume = resume,
};

const struct flow_kind flow_port_detach = {
	.name = "port_detach",
	.steps = steps,
	.failed = step_back_to_before,
	.resume = resume,
};

/* --- what there is too much of ---------------------------------------------------------------------- */

/* Unplugs the ports of one spec that the other lacks. */
static void
unplug_others(struct flow *flow, const struct gantry_spec *of, const struct gantry_spec *lacks,
	      void (*answer)(struct flow *flow, const struct gantry_error *err, const void *result))
{
	const struct gantry_network_ports *from = &of->network_ports, *to = &lacks->network_ports;
	struct gantry_network_ports ports = {
		.items = ARENA_ARRAY(&flow->arena, struct gantry_network_port, from->count + 1),
	};
	struct gantry_wiring wiring = {.instance = flow->instance->id, .ports = &ports};

	for (size_t i = 0; i < from->count; i++) {
		size_t at = 0;

		while (at < to->count && !str_equal(to->items[at].id, from->items[i].id))
			at++;
		if (at == to->count)
			ports.items[ports.count++] = from->items[i];
	}
	flow->daemon->network->unplug(flow->daemon->network_handle, &wiring,
				      flow_op(flow, "unplug", answer));
}

static bool unplug_wanted(const struct flow *flow)
{
	return flow->daemon->network && flow->kind == &flow_port_detach;
}

static void unplug(struct flow *flow)
{
	unplug_others(flow, &flow->instance->spec, &flow->spec, flow_answer_next);
}

static void on_wired_again(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err && err->code != -ENOENT)
		flow_answer_undone(flow, err, result);
	else
		unplug_others(flow, &flow->spec, &flow->instance->spec, flow_answer_undone);
}

/* Where a bridge that it had is gone, it was not brought to any other ports. */
static void on_plugged_again(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err && err->code == -ENODEV)
		on_wired_again(flow, NULL, NULL);
	else if (err)
		flow_answer_undone(flow, err, NULL);
	else
		flow->node->runtime->wire(flow->node->handle, flow->instance->container_id, result,
					  flow_op(flow, "wire as before", on_wired_again));
}

static void wire_undo(struct flow *flow)
{
	const struct gantry_wiring wiring = {
		.instance = flow->instance->id,
		.ports = &flow->instance->spec.network_ports,
	};

	if (flow->daemon->network && flow->node->runtime->wire)
		flow->daemon->network->plug(flow->daemon->network_handle, &wiring,
					    flow_op(flow, "plug as before", on_plugged_again));
	else
		flow_undone(flow);
}

static void announce(struct flow *flow)
{
	struct json_object *detail = json_object_new_object();
	struct instance *instance = flow->instance;
	struct gantry_spec spec;

	spec_copy(&flow->spec, &instance->arena, &spec);
	fleet_set_ports(&flow->daemon->fleet, instance, &spec.network_ports);
	instance->changed = true;
	json_object_object_add(detail, "port",
			       json_object_get(json_get(flow->operation->request, "port")));
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow),
		  flow->kind == &flow_port_attach ? "instance.port_attached"
						  : "instance.port_detached",
		  instance, NULL, detail);
	flow_next(flow);
}

/* --- what is asked for ----------------------------------------------------------------------------- */

static int with_port(const struct gantry_spec *now, struct json_object *port, struct arena *arena,
		     struct gantry_spec *spec, struct gantry_error *err)
{
	struct gantry_network_port one;
	struct gantry_network_ports *ports = &spec->network_ports;
	int code = spec_parse_port(port, arena, &one, err);

	spec_copy(now, arena, spec);
	if (code < 0)
		return code;
	for (size_t i = 0; i < ports->count; i++)
		if (str_equal(ports->items[i].id, one.id))
			return gantry_error_field(err, -EALREADY, "port.id",
						  "%s has port %s already", now->name, one.id);
	ports->items = ARENA_ARRAY(arena, struct gantry_network_port, now->network_ports.count + 1);
	if (ports->count)
		memcpy(ports->items, now->network_ports.items,
		       ports->count * sizeof(*ports->items));
	ports->items[ports->count++] = one;
	return 0;
}

static int without_port(const struct gantry_spec *now, const char *id, struct arena *arena,
			struct gantry_spec *spec, struct gantry_error *err)
{
	struct gantry_network_ports *ports = &spec->network_ports;

	spec_copy(now, arena, spec);
	for (size_t i = 0; i < ports->count; i++) {
		if (!str_equal(ports->items[i].id, id))
			continue;
		ports->count--;
		memmove(&ports->items[i], &ports->items[i + 1],
			(ports->count - i) * sizeof(*ports->items));
		return 0;
	}
	return gantry_error_set(err, -ENOENT, "%s has no port %s", now->name, id);
}

static int read_request(const struct flow_kind *kind, const struct gantry_spec *now,
			struct json_object *request, struct arena *arena, struct gantry_spec *spec,
			struct gantry_error *err)
{
	struct json_object *port = json_get(request, "port");

	if (kind == &flow_port_attach)
		return with_port(now, port, arena, spec, err);
	return without_port(now, json_object_get_string(port), arena, spec, err);
}

/* Killed after the end of the step before "announce", the instance is as before, and so is the request. */
static size_t resume(struct flow *flow, size_t step)
{
	struct gantry_error err;

	if (read_request(flow->kind, &flow->instance->spec, flow->operation->request, &flow->arena,
			 &flow->spec, &err) < 0) {
		flow->err = err;
		flow->phase = FLOW_BACK;
	}
	return step;
}

static int begin(const struct flow_kind *kind, struct daemon *daemon, const struct flows_ask *ask,
		 struct instance *instance, struct json_object *request,
		 struct operation **ret_operation, struct gantry_error *err)
{
	const struct node_link *link = node_link_find(daemon, instance->node);
	struct arena arena = {0};
	struct gantry_spec spec;
	struct flow *flow;
	int code = read_request(kind, &instance->spec, request, &arena, &spec, err);

	if (code == 0)
		code = step_check_verb(daemon, instance, VERB_PORTS, err);
	if (code == 0 && !str_equal(instance->spec.network, "none"))
		code = gantry_error_set(err, -EINVAL,
					"%s is on a network of the engine's; run with network none "
					"it can have ports",
					instance->spec.name);
	if (code == 0 && (!link || !link->runtime->wire))
		code = wire_not_offered(instance->node, err);
	if (code == 0)
		code = wire_check(daemon, instance, &spec, err);
	if (code == 0)
		code = flow_new(daemon, kind, instance, ask->actor, ask->idempotency_key, &flow,
				err);
	if (code < 0) {
		arena_fini(&arena);
		return code;
	}
	flow->arena = arena;
	flow->spec = spec;
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	flow->operation->request = json_object_get(request);
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

int flows_port_attach(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		      struct json_object *request, struct operation **ret_operation,
		      struct gantry_error *err)
{
	return begin(&flow_port_attach, daemon, ask, instance, request, ret_operation, err);
}

int flows_port_detach(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		      const char *port, struct operation **ret_operation, struct gantry_error *err)
{
	struct json_object *request = json_object_new_object();
	int code;

	json_add_string(request, "port", port);
	code = begin(&flow_port_detach, daemon, ask, instance, request, ret_operation, err);
	json_object_put(request);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: the network's plugin makes the ends of all ports, then the container gets the endpoints by which its
 * engine comes for them. Whatever was there before is brought to the ports that are wanted now, so that a
 * start, a port more and a port less are one and the same.
 */
#include "flows/verbs/wire.h"
#include "flows/steps.h"
#include "base/log.h"
#include "base/str.h"
#include "model/spec.h"

#include <signal.h>

/* As the flow would have it; a spec of its own is what will be. */
static const struct gantry_spec *spec_of(const struct flow *flow)
{
	return flow->spec.name ? &flow->spec : &flow->instance->spec;
}

static struct gantry_wiring wiring_of(const struct flow *flow)
{
	return (struct gantry_wiring){
		.instance = flow->instance->id,
		.ports = &spec_of(flow)->network_ports,
	};
}

int wire_not_offered(const char *node, struct gantry_error *err)
{
	return gantry_error_set(err, -ENOTSUP, "node %s cannot wire ports of networks", node);
}

int wire_check(struct daemon *daemon, const struct instance *instance,
	       const struct gantry_spec *spec, struct gantry_error *err)
{
	char field[48];

	if (spec->network_ports.count == 0)
		return 0;
	if (!daemon->network)
		return gantry_error_field(err, -ENOTSUP, "network_ports", WIRE_NO_PLUGIN);
	for (size_t i = 0; i < spec->network_ports.count; i++) {
		const char *id = spec->network_ports.items[i].id;
		const struct instance *other = fleet_port_owner(&daemon->fleet, id, instance);

		if (!other)
			continue;
		snprintf(field, sizeof(field), "network_ports[%zu].id", i);
		return gantry_error_field(err, -EEXIST, field, "port %s is of instance %s", id,
					  other->spec.name);
	}
	return 0;
}

/* --- wire ---------------------------------------------------------------------------------------- */

static void keep_endpoints(struct flow *flow, const struct gantry_endpoints *from)
{
	struct gantry_endpoints *to = &flow->endpoints;

	*to = *from;
	to->driver = arena_strdup(&flow->arena, from->driver);
	to->items = ARENA_ARRAY(&flow->arena, struct gantry_endpoint, from->count + 1);
	for (size_t i = 0; i < from->count; i++) {
		const struct gantry_pairs *options = &from->items[i].options;
		struct gantry_endpoint *endpoint = &to->items[i];

		endpoint->port = arena_strdup(&flow->arena, from->items[i].port);
		endpoint->options.count = options->count;
		endpoint->options.items =
			ARENA_ARRAY(&flow->arena, struct gantry_pair, options->count + 1);
		for (size_t j = 0; j < options->count; j++)
			endpoint->options.items[j] = (struct gantry_pair){
				arena_strdup(&flow->arena, options->items[j].name),
				arena_strdup(&flow->arena, options->items[j].value)};
	}
}

static void on_plugged(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err) {
		flow_fail(flow, err);
		return;
	}
	keep_endpoints(flow, result);
	flow->unfinished = flow->endpoints.unfinished;
	flow->node->runtime->wire(flow->node->handle, flow->instance->container_id,
				  &flow->endpoints, flow_op(flow, "wire", flow_answer_next));
}

bool step_wire_wanted(const struct flow *flow)
{
	return spec_of(flow)->network_ports.count > 0;
}

void step_wire(struct flow *flow)
{
	const struct gantry_wiring wiring = wiring_of(flow);
	struct daemon *daemon = flow->daemon;
	struct gantry_error err;

	if (wire_check(daemon, flow->instance, spec_of(flow), &err) < 0) {
		flow_fail(flow, &err);
	} else if (!daemon->network || !flow->node->runtime->wire) {
		wire_not_offered(flow->node->node.name, &err);
		flow_fail(flow, &err);
	} else {
		daemon->network->plug(daemon->network_handle, &wiring,
				      flow_op(flow, "plug", on_plugged));
	}
}

static void unplug(struct flow *flow,
		   void (*answer)(struct flow *flow, const struct gantry_error *err,
				  const void *result))
{
	const struct gantry_wiring wiring = wiring_of(flow);

	flow->daemon->network->unplug(flow->daemon->network_handle, &wiring,
				      flow_op(flow, "unplug", answer));
}

/* An engine that was at a start while gantryd was killed may have taken ends of which it was not told. */
static void on_unplugged(struct flow *flow, const struct gantry_error *err, const void *result)
{
	(void)result;
	if (err)
		log_warn("something of its ports may be left: %s", err->text);
	flow_next(flow);
}

void step_unwire(struct flow *flow)
{
	if (flow->daemon->network)
		unplug(flow, on_unplugged);
	else
		flow_next(flow);
}

void step_wire_undo(struct flow *flow)
{
	if (flow->daemon->network)
		unplug(flow, flow_answer_undone);
	else
		flow_undone(flow);
}

/* --- finish ---------------------------------------------------------------------------------------- */

/* It may have ended before: then there was nothing to be finished. */
static void on_ended(struct flow *flow, const struct gantry_error *err, const void *result)
{
	const struct gantry_error failure = flow->err;

	(void)result;
	if (err && (err->code == -ENOENT || err->code == -EALREADY)) {
		flow->err = (struct gantry_error){0};
		flow_next(flow);
		return;
	}
	if (err)
		log_error("what runs without its ports could not be ended: %s", err->text);
	if (flow->kind->failed == step_back_to_before) { /* its exit is recorded as any other */
		instance_move(flow->instance, INSTANCE_RUNNING);
		flow->instance->changed = true;
	}
	flow_fail(flow, &failure);
}

/* What a flow has started does not run with half of its ports. */
static void fail_finish(struct flow *flow, const struct gantry_error *err)
{
	if (!flow_step_at(flow)->boots) {
		flow_fail(flow, err);
		return;
	}
	flow->err = *err;
	flow->node->runtime->kill(flow->node->handle, flow->instance->container_id, SIGKILL,
				  flow_op(flow, "kill", on_ended));
}

static void on_finished(struct flow *flow, const struct gantry_error *err, const void *result)
{
	(void)result;
	if (err && err->code != -ENOENT && err->code != -ESRCH)
		fail_finish(flow, err);
	else
		flow_next(flow);
}

static void on_looked(struct flow *flow, const struct gantry_error *err, const void *result)
{
	const struct gantry_container *container = result;
	struct gantry_wiring wiring = wiring_of(flow);

	if (err && err->code != -ENOENT) {
		fail_finish(flow, err);
		return;
	}
	if (err || container->pid <= 0) {
		flow_next(flow);
		return;
	}
	wiring.pid = container->pid;
	flow->daemon->network->finish(flow->daemon->network_handle, &wiring,
				      flow_op(flow, "finish", on_finished));
}

bool step_finish_wanted(const struct flow *flow)
{
	return flow->daemon->network && step_wire_wanted(flow) &&
	       (flow->unfinished || flow->resumed);
}

void step_finish(struct flow *flow)
{
	flow->node->runtime->inspect(flow->node->handle, flow->instance->container_id,
				     flow_op(flow, "look for its process", on_looked));
}

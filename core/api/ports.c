/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of networks of an instance: one more, one less, and what is wrong with them. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/node_link.h"
#include "flows/wire.h"
#include "model/spec.h"

#define LOOK_LIMIT_MS 30000

static void answer(struct call *call, int code, struct operation *const *operation,
		   const struct gantry_error *err)
{
	if (code < 0)
		call_fail(call, err);
	else
		call_answer_operation(call, *operation, 200);
}

void handle_port_attach(struct call *call)
{
	static const char *const members[] = {"port", NULL};
	struct operation *operation = NULL;
	struct instance *instance;
	struct gantry_error err;
	struct flows_ask ask;

	if (call_check_members(call, members) < 0 || call_ask(call, 200, &ask) != 0)
		return;
	instance = call_instance(call);
	if (instance)
		answer(call,
		       flows_port_attach(call->daemon, &ask, instance, call->body, &operation,
					 &err),
		       &operation, &err);
}

void handle_port_detach(struct call *call)
{
	const char *port = http_request_query(call->request, "port");
	struct operation *operation = NULL;
	struct instance *instance;
	struct gantry_error err;
	struct flows_ask ask;

	if (!port || !port[0]) {
		call_bad_parameter(call, "port", "", "the id of a port of the instance");
		return;
	}
	if (call_ask(call, 200, &ask) != 0)
		return;
	instance = call_instance(call);
	if (instance)
		answer(call,
		       flows_port_detach(call->daemon, &ask, instance, port, &operation, &err),
		       &operation, &err);
}

/* --- what is wrong --------------------------------------------------------------------------------- */

/* One look; in the request's arena. */
struct look {
	struct call *call;
	struct gantry_op *op;
	char instance[INSTANCE_ID_SIZE];
};

static void on_gone(void *arg)
{
	op_forget(((struct look *)arg)->op);
}

static void fail(struct look *look, const struct gantry_error *err)
{
	http_request_on_gone(look->call->request, NULL, NULL);
	call_fail(look->call, err);
}

/* NULL: answered. It may have been removed since the question was asked. */
static struct instance *instance_of(struct look *look)
{
	struct instance *instance = fleet_find(&look->call->daemon->fleet, look->instance);
	struct gantry_error err;

	if (instance)
		return instance;
	gantry_error_set(&err, -ENOENT, "there is no instance %s any more", look->instance);
	fail(look, &err);
	return NULL;
}

static void on_examined(void *arg, const struct gantry_error *err, const void *result)
{
	struct json_object *object, *list, *one, *texts;
	const struct gantry_findings *findings = result;
	struct look *look = arg;
	struct instance *instance;

	if (err) {
		fail(look, err);
		return;
	}
	instance = instance_of(look);
	if (!instance)
		return;
	object = json_object_new_object();
	list = json_object_new_array();
	for (size_t i = 0; i < instance->spec.network_ports.count; i++) {
		const struct gantry_network_port *port = &instance->spec.network_ports.items[i];

		one = json_object_new_object();
		texts = json_object_new_array();
		json_add_string(one, "id", port->id);
		json_add_string(one, "type", port->type);
		json_add_string(one, "bridge", port->bridge);
		for (size_t j = 0; j < findings->count; j++)
			if (str_equal(findings->items[j].port, port->id))
				json_object_array_add(
					texts, json_object_new_string(findings->items[j].text));
		json_object_object_add(one, "findings", texts);
		json_object_array_add(list, one);
	}
	json_object_object_add(object, "ports", list);
	http_request_on_gone(look->call->request, NULL, NULL);
	call_reply(look->call, 200, object);
}

static struct gantry_op *look_op(struct look *look, const char *name,
				 void (*done)(void *arg, const struct gantry_error *err,
					      const void *result))
{
	look->op = op_new(&look->call->daemon->scope, name, done, look);
	op_set_deadline(look->op, LOOK_LIMIT_MS);
	return look->op;
}

static void examine(struct look *look, const struct instance *instance, int64_t pid)
{
	struct daemon *daemon = look->call->daemon;
	const struct gantry_wiring wiring = {
		.instance = instance->id,
		.ports = &instance->spec.network_ports,
		.pid = pid,
	};

	daemon->network->examine(daemon->network_handle, &wiring,
				 look_op(look, "examine", on_examined));
}

static void on_inspected(void *arg, const struct gantry_error *err, const void *result)
{
	const struct gantry_container *container = result;
	struct look *look = arg;
	struct instance *instance = err ? NULL : instance_of(look);

	if (err)
		fail(look, err);
	else if (instance)
		examine(look, instance, container->pid);
}

void handle_port_list(struct call *call)
{
	struct daemon *daemon = call->daemon;
	struct instance *instance = call_instance(call);
	struct node_link *link = instance ? node_link_find(daemon, instance->node) : NULL;
	struct gantry_error err;
	struct look *look;

	if (!instance)
		return;
	if (!daemon->network) {
		gantry_error_set(&err, -ENOTSUP, WIRE_NO_PLUGIN);
		call_fail(call, &err);
		return;
	}
	look = ARENA_NEW(http_request_arena(call->request), struct look);
	look->call = call;
	snprintf(look->instance, sizeof(look->instance), "%s", instance->id);
	http_request_on_gone(call->request, on_gone, look);
	if (link && (instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_PAUSED))
		link->runtime->inspect(link->handle, instance->container_id,
				       look_op(look, "inspect", on_inspected));
	else
		examine(look, instance, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of networks of an instance: one more, one less, and what is wrong with them. */
#include "api/call.h"
#include "api/handlers.h"
#include "api/question.h"
#include "base/str.h"
#include "flows/engine/node_link.h"
#include "flows/verbs/wire.h"
#include "model/spec.h"

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

static void take_findings(struct question *question, const void *result)
{
	struct json_object *object, *list, *one, *texts;
	const struct gantry_findings *findings = result;
	struct instance *instance = question_instance(question);

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
	question_answer(question, object);
}

static void examine(struct question *question, const struct instance *instance, int64_t pid)
{
	struct daemon *daemon = question->call->daemon;
	const struct gantry_wiring wiring = {
		.instance = instance->id,
		.ports = &instance->spec.network_ports,
		.pid = pid,
	};

	daemon->network->examine(daemon->network_handle, &wiring,
				 question_op(question, "examine", take_findings));
}

static void take_container(struct question *question, const void *result)
{
	const struct gantry_container *container = result;
	struct instance *instance = question_instance(question);

	if (instance)
		examine(question, instance, container->pid);
}

void handle_port_list(struct call *call)
{
	struct instance *instance = call_instance(call);
	struct node_link *link = instance ? node_link_find(call->daemon, instance->node) : NULL;
	struct question *question;
	struct gantry_error err;

	if (!instance)
		return;
	if (!call->daemon->network) {
		gantry_error_set(&err, -ENOTSUP, WIRE_NO_PLUGIN);
		call_fail(call, &err);
		return;
	}
	question = question_new(call, instance, link);
	if (link && (instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_PAUSED))
		link->runtime->inspect(link->handle, instance->container_id,
				       question_op(question, "inspect", take_container));
	else
		examine(question, instance, 0);
}

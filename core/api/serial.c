/* SPDX-License-Identifier: Apache-2.0 */
/* An instance's serial port. Answers come once the store has it: a port that was told is kept. */
#include "api/call.h"
#include "api/handlers.h"
#include "flows/console/serial.h"

/* In the request's arena. */
struct serial_answer {
	struct call *call;
	struct http_request *request; /* a reference of ours */
	char instance[INSTANCE_ID_SIZE];
	struct json_object *(*print)(const struct instance *instance);
};

static struct json_object *print_port(const struct instance *instance)
{
	return instance_serial_print(&instance->serial);
}

static struct serial_answer *answer_new(struct call *call, const struct instance *instance,
					struct json_object *(*print)(const struct instance *))
{
	struct serial_answer *answer =
		ARENA_NEW(http_request_arena(call->request), struct serial_answer);

	answer->call = call;
	answer->request = http_request_ref(call->request);
	answer->print = print;
	snprintf(answer->instance, sizeof(answer->instance), "%s", instance->id);
	return answer;
}

static void on_saved(void *arg, const struct gantry_error *err)
{
	struct serial_answer *answer = arg;
	struct call *call = answer->call;
	struct instance *instance = fleet_find(&call->daemon->fleet, answer->instance);
	struct gantry_error failure;

	if (err)
		failure = operation_store_error(err);
	else if (!instance)
		gantry_error_set(&failure, -ENOENT, "the instance was removed");
	if (http_request_open(answer->request)) {
		if (err || !instance)
			call_fail(call, &failure);
		else
			call_reply(call, 200, answer->print(instance));
	}
	http_request_unref(answer->request);
}

static void begun(struct serial_answer *answer, int code, const struct gantry_error *err)
{
	if (code == 0)
		return;
	call_fail(answer->call, err);
	http_request_unref(answer->request);
}

void handle_instance_serial(struct call *call)
{
	struct instance *instance;
	struct serial_answer *answer;
	struct gantry_error err;
	struct flows_ask ask;

	if (call_ask(call, 200, &ask) != 0 || !(instance = call_instance(call)))
		return;
	answer = answer_new(call, instance, print_port);
	begun(answer, serial_open(call->daemon, &ask, instance, on_saved, answer, &err), &err);
}

void handle_instance_serial_close(struct call *call)
{
	struct instance *instance = call_instance(call);
	struct serial_answer *answer;
	struct gantry_error err;

	if (!instance)
		return;
	answer = answer_new(call, instance, instance_print);
	begun(answer, serial_shut(call->daemon, instance, on_saved, answer, &err), &err);
}

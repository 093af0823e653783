/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns the process: waiting for its end, output. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/engine/exits.h"
#include "flows/engine/node_link.h"

#include <arpa/inet.h>

#define WAIT_DEFAULT_MS 3600000
/* A reader may be a pager that somebody has left open. */
#define OUTPUT_STALL_MS 3600000

/* --- wait ---------------------------------------------------------------------------------------- */

struct wait {
	struct call *call;
	struct exit_waiter waiter;
	struct loop_timer timer;
	char instance[INSTANCE_ID_SIZE];
};

static void answer_wait(struct call *call, const struct instance *instance, bool gone,
			bool timed_out)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "id", instance->id);
	json_add_string(object, "state",
			instance_state_text(gone ? INSTANCE_REMOVING : instance->state));
	json_add_bool(object, "timed_out", timed_out);
	if (instance->last_exit.known)
		json_object_object_add(object, "last_exit",
				       instance_exit_print(&instance->last_exit));
	call_reply(call, 200, object);
}

static void let_go(void *arg)
{
	struct wait *wait = arg;

	list_remove(&wait->waiter.link);
	loop_timer_stop(wait->call->daemon->loop, &wait->timer);
}

static void on_told(struct exit_waiter *waiter, struct instance *instance, bool gone)
{
	struct wait *wait = LIST_ENTRY(waiter, struct wait, waiter);

	let_go(wait);
	http_request_on_gone(wait->call->request, NULL, NULL);
	answer_wait(wait->call, instance, gone, false);
}

static void on_time_up(struct loop_timer *timer)
{
	struct wait *wait = LIST_ENTRY(timer, struct wait, timer);
	struct instance *instance = fleet_find(&wait->call->daemon->fleet, wait->instance);

	let_go(wait);
	http_request_on_gone(wait->call->request, NULL, NULL);
	answer_wait(wait->call, instance, false, true); /* a removed one would have told us */
}

void handle_instance_wait(struct call *call)
{
	struct instance *instance = call_instance(call);
	int64_t timeout_ms;
	struct wait *wait;

	if (!instance || call_seconds(call, "timeout", &timeout_ms) < 0)
		return;
	if ((exits_is_over(instance) && !instance->busy) || timeout_ms == 0) {
		answer_wait(call, instance, false, !exits_is_over(instance));
		return;
	}
	wait = ARENA_NEW(http_request_arena(call->request), struct wait);
	wait->call = call;
	wait->waiter.told = on_told;
	snprintf(wait->instance, sizeof(wait->instance), "%s", instance->id);
	list_append(&instance->waiters, &wait->waiter.link);
	loop_timer_init(&wait->timer, on_time_up);
	loop_timer_start(call->daemon->loop, &wait->timer,
			 timeout_ms > 0 ? timeout_ms : WAIT_DEFAULT_MS);
	http_request_on_gone(call->request, let_go, wait);
}

/* --- output -------------------------------------------------------------------------------------- */

/*
 * The engine is read as fast as the client takes it: where our queue to the client is over
 * HTTP_STREAM_HIGH_BYTES the op is paused, until half of that is left.
 */
struct output {
	struct call *call;
	struct gantry_op *op;
	bool begun;
};

static void on_output_drained(void *arg)
{
	op_pause(((struct output *)arg)->op, false);
}

static bool begin_output(struct output *output)
{
	struct http_request *request = output->call->request;

	if (output->begun)
		return true;
	output->begun = http_stream_begin(request, 200, "application/vnd.gantry.output");
	http_stream_on_drain(request, on_output_drained, output);
	http_stream_set_stall(request, OUTPUT_STALL_MS);
	return output->begun;
}

static int on_output(void *arg, int stream, const char *data, size_t length)
{
	struct output *output = arg;
	unsigned char head[8] = {(unsigned char)stream};
	uint32_t size = htonl((uint32_t)length);

	if (!begin_output(output))
		return -ECANCELED;
	memcpy(head + 4, &size, sizeof(size));
	http_stream_write(output->call->request, head, sizeof(head));
	if (!http_stream_write(output->call->request, data, length))
		op_pause(output->op, true);
	return 0;
}

static void on_output_over(void *arg, const struct gantry_error *err, const void *result)
{
	struct output *output = arg;

	(void)result;
	http_request_on_gone(output->call->request, NULL, NULL);
	if (err)
		call_fail_stream(output->call, output->begun, err);
	else if (begin_output(output))
		http_stream_end(output->call->request);
}

static void on_output_gone(void *arg)
{
	op_forget(((struct output *)arg)->op);
}

void handle_instance_output(struct call *call)
{
	struct node_link *link;
	struct instance *instance = call_container(call, &link);
	struct output *output;
	bool follow;

	if (!instance || call_bool(call, "follow", &follow) < 0)
		return;
	if (!link->runtime->output) {
		call_fail_not_offered(call, link, "output");
		return;
	}
	output = ARENA_NEW(http_request_arena(call->request), struct output);
	output->call = call;
	output->op = op_new(&call->daemon->scope, "read output", on_output_over, output);
	http_request_on_gone(call->request, on_output_gone, output);
	link->runtime->output(link->handle, instance->container_id, follow, on_output, output,
			      output->op);
}

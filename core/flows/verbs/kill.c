/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill: any signal to the process. It does not change the intent: a process that ends on it ended by
 * itself. SIGKILL is over when the process is gone.
 */
#include "flows/flows.h"
#include "flows/steps.h"

#include <signal.h>

static void send_signal(struct flow *flow)
{
	flow->instance->signal_sent = flow->signal;
	flow->node->runtime->kill(flow->node->handle, flow->instance->container_id, flow->signal,
				  flow_op(flow, "signal", flow_answer_next));
}

static bool ends_surely(const struct flow *flow)
{
	return flow->signal == SIGKILL;
}

static void announce(struct flow *flow)
{
	struct json_object *detail = json_object_new_object();

	json_add_int(detail, "signal", flow->signal);
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), "instance.signalled", flow->instance,
		  NULL, detail);
	flow_next(flow);
}

/* A signal may be sent to a process that is being stopped: that is how one makes it quick. */
static bool beside(const struct flow *busy)
{
	return (busy->kind == &flow_stop || busy->kind == &flow_restart) &&
	       !flow_step_at(busy)->boots;
}

static size_t resume(struct flow *flow, size_t step)
{
	flow->signal = (int)json_get_int(flow->operation->request, "signal", SIGTERM);
	return step;
}

/* Beside a stop, the state is the stop's. */
static void failed(struct flow *flow)
{
	if (flow->instance->busy == flow)
		step_back_to_before(flow);
}

static const struct flow_step steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	{.name = "signal", .run = send_signal, .limit_ms = STEP_SIGNAL_MS},
	{.name = "exit", .run = step_kill, .wanted = ends_surely, .limit_ms = STEP_DEATH_MS},
	{.name = "announce", .run = announce},
	{0},
};

const struct flow_kind flow_kill = {
	.name = "kill",
	.steps = steps,
	.failed = failed,
	.beside = beside,
	.resume = resume,
};

int flows_kill(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
	       int signal, struct operation **ret_operation, struct gantry_error *err)
{
	struct flow *flow;
	int code = step_check_verb(daemon, instance, VERB_KILL, err);

	if (code == 0)
		code = flow_new(daemon, &flow_kill, instance, ask->actor, ask->idempotency_key,
				&flow, err);
	if (code < 0)
		return code;
	flow->signal = signal;
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	flow->operation->request = json_object_new_object();
	json_add_int(flow->operation->request, "signal", signal);
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

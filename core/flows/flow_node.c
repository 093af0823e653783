/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow and its node: what it asks of the runtime, what it makes of the answer, and what it does
 * where the node is out of reach: it waits until it is back, or leaves and goes on without.
 */
#include "flows/crash_point.h"
#include "flows/flow.h"
#include "base/clock.h"
#include "base/log.h"

#define UNDO_TRIES    5
#define UNDO_AGAIN_MS 1000

static void on_op_done(void *arg, const struct gantry_error *err, const void *result)
{
	struct flow *flow = arg;
	struct log_context context[3];

	flow->op = NULL;
	flow->operation->timings.engine_us += clock_monotonic_us() - flow->wait_began_us;
	flow_push_context(flow, context);
	flow->op_answer(flow, err, result);
	flow_pop_context(context);
}

static void on_op_progress(void *arg, const struct gantry_progress *progress)
{
	struct operation *operation = ((struct flow *)arg)->operation;

	snprintf(operation->progress_stage, sizeof(operation->progress_stage), "%s",
		 progress->stage);
	operation->progress_done_bytes = progress->done_bytes;
	operation->progress_total_bytes = progress->total_bytes;
	operation_changed(operation);
}

struct gantry_op *flow_op(struct flow *flow, const char *name,
			  void (*answer)(struct flow *flow, const struct gantry_error *err,
					 const void *result))
{
	crash_point(flow, "during");
	flow->op = op_new(&flow->daemon->scope, name, on_op_done, flow);
	flow->op_answer = answer;
	flow->wait_began_us = clock_monotonic_us();
	op_set_deadline(flow->op, flow_step_at(flow)->limit_ms);
	op_set_progress(flow->op, on_op_progress);
	return flow->op;
}

void flow_op_forget(struct flow *flow)
{
	if (!flow->op)
		return;
	flow->operation->timings.engine_us += clock_monotonic_us() - flow->wait_began_us;
	op_forget(flow->op);
	flow->op = NULL;
}

bool flow_can_leave(const struct flow *flow)
{
	return flow->phase == FLOW_BACK && flow->kind->leave;
}

static void leave(struct flow *flow)
{
	flow->awaiting_node = false;
	flow->kind->leave(flow);
	flow_undone(flow);
}

void flow_on_timer(struct loop_timer *timer)
{
	struct flow *flow = LIST_ENTRY(timer, struct flow, timer);

	if (flow->phase == FLOW_FORTH) { /* what a step sets it for: a grace that is over */
		flow_stop_awaiting(
			flow); /* else an exit that is told now would be one more way on */
		flow_op_forget(flow);
		flow_next(flow);
	} else if (flow->node->node.state == NODE_UP) {
		flow->awaiting_node = false;
		loop_later(flow->daemon->loop, &flow->later); /* an undo is tried again */
	} else if (flow_can_leave(flow)) {
		leave(flow);
	}
}

/* A node that was taken out of the settings is never up again. A spawn that has made nothing yet may
 * begin anew elsewhere. */
static bool is_node_gone(const struct flow *flow)
{
	const struct instance *instance = flow->instance;

	if (flow->node)
		return false;
	return !instance || (instance->node &&
			     (instance->container_id[0] || instance->state != INSTANCE_PENDING));
}

static void give_up_node(struct flow *flow)
{
	const char *name = flow->instance ? flow->instance->node
					  : json_get_string(flow->operation->request, "node", "");

	if (!flow->err.code)
		gantry_error_set(&flow->err, -EHOSTUNREACH, "node %s is not in the settings", name);
	flow->phase = FLOW_BACK;
	flow->undo_failed = true; /* what is on the node stays there */
}

void flow_node_is_up(struct flow *flow)
{
	if (!flow->awaiting_node)
		return;
	if (flow_can_leave(flow) && flow->daemon->links_untried > 0)
		return; /* it may go on on a node that is not up yet */
	flow->awaiting_node = false;
	loop_timer_stop(flow->daemon->loop, &flow->timer);
	if (is_node_gone(flow))
		give_up_node(flow);
	if (flow->phase == FLOW_FORTH)
		flow_go_on(flow);
	else
		loop_later(flow->daemon->loop, &flow->later);
}

void flow_fail_node(struct flow *flow, const struct gantry_error *err)
{
	struct gantry_error failure = *err;

	gantry_error_prefix(&failure, "node %s", flow->node->node.name);
	flow_fail(flow, &failure);
}

void flow_answer_next(struct flow *flow, const struct gantry_error *err, const void *result)
{
	(void)result;
	if (err)
		flow_fail_node(flow, err);
	else
		flow_next(flow);
}

void flow_answer_next_if_there(struct flow *flow, const struct gantry_error *err,
			       const void *result)
{
	if (err && (err->code == -ENOENT || err->code == -EALREADY))
		err = NULL;
	flow_answer_next(flow, err, result);
}

void flow_answer_undone(struct flow *flow, const struct gantry_error *err, const void *result)
{
	(void)result;
	if (!err || err->code == -ENOENT) {
		flow_undone(flow);
		return;
	}
	if (flow->node->node.state != NODE_UP && flow_can_leave(flow)) {
		leave(flow);
		return;
	}
	if (flow->node->node.state != NODE_UP) {
		flow->awaiting_node = true;
		return;
	}
	if (++flow->undo_tries < UNDO_TRIES) {
		/* it is up as far as we know: now and then until the link has found out */
		flow->awaiting_node = true;
		loop_timer_start(flow->daemon->loop, &flow->timer, UNDO_AGAIN_MS);
		return;
	}
	log_error("undo: node %s: %s", flow->node->node.name, err->text);
	flow->undo_failed = true;
	flow_undone(flow);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/flow.h"
#include "flows/crash_point.h"
#include "flows/engine/exits.h"
#include "flows/engine/reach.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

struct commit {
	struct flow *flow;
	int64_t mark; /* events to publish */
	void (*then)(struct flow *flow, const struct gantry_error *err);
};

static void tick(struct loop_later *later);
static void on_slot(struct start_slot *slot);

void flow_push_context(const struct flow *flow, struct log_context context[3])
{
	context[0] = (struct log_context){
		.key = "instance",
		.value = flow->operation->instance_name,
	};
	context[1] = (struct log_context){.key = "operation", .value = flow->operation->id};
	context[2] = (struct log_context){.key = "step", .value = flow->operation->step};
	for (int i = 0; i < 3; i++)
		log_push(&context[i]);
}

void flow_pop_context(struct log_context context[3])
{
	for (int i = 2; i >= 0; i--)
		log_pop(&context[i]);
}

/* --- life ------------------------------------------------------------------------------------- */

static struct flow *make(struct daemon *daemon, const struct flow_kind *kind,
			 struct operation *operation, struct instance *instance)
{
	struct flow *flow = xcalloc(1, sizeof(*flow));

	flow->daemon = daemon;
	flow->kind = kind;
	flow->operation = operation;
	flow->instance = instance;
	flow->grace_ms = GANTRY_UNSET;
	flow->began_us = flow->step_began_us = clock_monotonic_us();
	list_init(&flow->exit_waiter.link);
	loop_later_init(&flow->later, tick);
	start_slot_init(&flow->slot, on_slot);
	loop_timer_init(&flow->timer, flow_on_timer);
	loop_timer_init(&flow->ask_timer, NULL);
	list_append(&daemon->flows, &flow->link);
	if (instance) {
		if (instance->busy)
			instance->besides++; /* one of the two, see flow_kind.beside */
		if (!instance->busy || !kind->beside)
			instance->busy = flow;
		flow->node = node_link_find(daemon, instance->node);
	}
	return flow;
}

static bool may_begin(const struct flow_kind *kind, const struct instance *instance)
{
	if (kind->beside && instance->busy)
		return kind->beside(instance->busy);
	return !instance->busy && instance->besides == 0;
}

int flow_new(struct daemon *daemon, const struct flow_kind *kind, struct instance *instance,
	     const char *actor, const char *idempotency_key, struct flow **ret_flow,
	     struct gantry_error *err)
{
	struct operation *operation;

	if (daemon->stopping)
		return gantry_error_set(err, -EAGAIN, "gantryd is going down");
	if (instance && !may_begin(kind, instance)) {
		const struct flow *other = instance->busy;

		return gantry_error_set(err, -EBUSY, "%s is busy: operation %s (%s) is under way",
					instance->spec.name,
					other ? other->operation->id : "(a signal)",
					other ? other->kind->name : "kill");
	}
	operation = operation_new(&daemon->operations, NULL, kind->name, instance, actor,
				  idempotency_key);
	*ret_flow = make(daemon, kind, operation, instance);
	return 0;
}

void flow_begin(struct flow *flow)
{
	loop_later(flow->daemon->loop, &flow->later);
}

static size_t step_named(const struct flow_kind *kind, const char *name)
{
	for (size_t i = 0; kind->steps[i].name; i++)
		if (str_equal(kind->steps[i].name, name))
			return i;
	return 0;
}

struct flow *flow_resume(struct daemon *daemon, const struct flow_kind *kind,
			 struct operation *operation, struct instance *instance)
{
	struct flow *flow = make(daemon, kind, operation, instance);

	flow->resumed = true;
	flow->promised = flow->node != NULL; /* counted when the instance was loaded */
	if (str_starts_with(operation->step, "undo ")) {
		flow->phase = FLOW_BACK;
		flow->step = step_named(kind, operation->step + 5);
		flow->err = operation->err;
		if (!flow->err.code)
			gantry_error_set(&flow->err, -ECANCELED, "gantryd was restarted");
	} else {
		flow->step = step_named(kind, operation->step);
	}
	return flow;
}

void flow_go_on(struct flow *flow)
{
	struct log_context context[3];

	flow_push_context(flow, context);
	log_info("%s goes on after a restart of gantryd", flow->kind->name);
	flow_pop_context(context);
	if (flow->phase == FLOW_FORTH && flow->kind->resume)
		flow->step = flow->kind->resume(flow, flow->step);
	loop_later(flow->daemon->loop, &flow->later);
}

static void leave_window(struct flow *flow, bool good)
{
	if (flow->node)
		start_window_leave(&flow->node->window, &flow->slot, good);
}

bool flow_await_besides(struct flow *flow)
{
	flow->awaiting_besides = flow->instance->besides > 0;
	return flow->awaiting_besides;
}

static void end_beside(struct instance *instance)
{
	struct flow *busy = instance->busy;

	if (--instance->besides > 0 || !busy || !busy->awaiting_besides)
		return;
	busy->awaiting_besides = false;
	loop_later(busy->daemon->loop, &busy->later);
}

void flow_stop_awaiting(struct flow *flow)
{
	list_remove(&flow->exit_waiter.link);
	loop_timer_stop(flow->daemon->loop, &flow->timer);
	loop_timer_stop(flow->daemon->loop, &flow->ask_timer);
}

static void flow_free(struct flow *flow)
{
	leave_window(flow, false);
	if (flow->instance && flow->instance->busy == flow)
		flow->instance->busy = NULL;
	else if (flow->instance)
		end_beside(flow->instance);
	list_remove(&flow->link);
	flow_stop_awaiting(flow);
	loop_later_cancel(flow->daemon->loop, &flow->later);
	if (flow->decision.id)
		script_decision_fini(&flow->decision);
	arena_fini(&flow->arena);
	free(flow);
}

void flow_abandon(struct flow *flow)
{
	flow->abandoned = true;
	if (flow->op)
		op_forget(flow->op);
	flow->op = NULL;
	if (flow->pending_commits == 0)
		flow_free(flow);
}

const struct flow_step *flow_step_at(const struct flow *flow)
{
	return &flow->kind->steps[flow->step];
}

/* --- commits ---------------------------------------------------------------------------------- */

static void on_committed(void *arg, const struct gantry_error *err)
{
	struct commit *commit = arg;
	struct flow *flow = commit->flow;
	void (*then)(struct flow *, const struct gantry_error *) = commit->then;

	flow->operation->timings.store_us += clock_monotonic_us() - flow->wait_began_us;
	if (err)
		flow->daemon->unsaved = true;
	flow->pending_commits--;
	event_log_publish(&flow->daemon->events, commit->mark);
	free(commit);
	if (flow->abandoned) {
		if (flow->pending_commits == 0)
			flow_free(flow);
		return;
	}
	then(flow, err);
}

static void commit_batch(struct flow *flow, struct store_batch *batch,
			 void (*then)(struct flow *flow, const struct gantry_error *err))
{
	struct commit *commit = xcalloc(1, sizeof(*commit));

	commit->flow = flow;
	commit->then = then;
	commit->mark = event_log_mark(&flow->daemon->events);
	flow->wait_began_us = clock_monotonic_us();
	flow->pending_commits++;
	store_batch_commit(batch, on_committed, commit);
}

static void save_decision(struct flow *flow, struct store_batch *batch)
{
	if (!flow->decision.id || flow->decision_saved)
		return;
	flow->decision_saved = true;
	daemon_put_decision(batch, &flow->decision, flow->operation->instance);
}

static void set_step(struct flow *flow, const char *prefix)
{
	snprintf(flow->operation->step, sizeof(flow->operation->step), "%s%s", prefix,
		 flow_step_at(flow)->name);
}

/* --- forth ------------------------------------------------------------------------------------ */

static bool is_last(const struct flow *flow)
{
	return !flow->kind->steps[flow->step + 1].name;
}

static void note_step_time(struct flow *flow)
{
	struct operation_timings *timings = &flow->operation->timings;
	int64_t now_us = clock_monotonic_us();

	if (flow->phase == FLOW_FORTH && timings->step_count < OPERATION_STEPS_MAX) {
		timings->steps[timings->step_count].name = flow_step_at(flow)->name;
		timings->steps[timings->step_count++].us = now_us - flow->step_began_us;
	}
	flow->step_began_us = now_us;
}

static void run_now(struct flow *flow)
{
	struct log_context context[3];

	flow_push_context(flow, context);
	log_debug("%s", flow->kind->name);
	crash_point(flow, "before");
	flow_step_at(flow)->run(flow);
	flow_pop_context(context);
	operation_changed(flow->operation);
}

static void on_slot(struct start_slot *slot)
{
	run_now(LIST_ENTRY(slot, struct flow, slot));
}

static void run_step(struct flow *flow, const struct gantry_error *err)
{
	struct gantry_error failure;

	if (!err)
		flow->operation->recorded = true;
	if (err) {
		failure = operation_store_error(err);
		flow_fail(flow, &failure);
	} else if (flow_step_at(flow)->slot) {
		start_window_enter(&flow->node->window, &flow->slot);
	} else {
		run_now(flow);
	}
}

/* The instance's busy flow is gone; what happened to its process meanwhile can be told now. */
static void finish(struct flow *flow, const struct gantry_error *err)
{
	struct daemon *daemon = flow->daemon;
	struct operation *operation = flow->operation;
	struct instance *instance = flow->instance;
	struct log_context context[3];

	crash_point(flow, "end");
	operation->timings.total_us = clock_monotonic_us() - flow->began_us;
	flow_push_context(flow, context);
	if (err)
		log_error("the end of %s could not be recorded: %s", flow->kind->name, err->text);
	if (flow->err.code)
		log_info("%s failed: %s", flow->kind->name, flow->err.text);
	else
		log_debug("%s done", flow->kind->name);
	flow_pop_context(context);
	flow_free(flow);
	operation_end(&daemon->operations, operation);
	if (instance && fleet_find(&daemon->fleet, operation->instance) == instance) {
		exits_after_flow(daemon, instance, operation);
		reach_look(daemon, instance);
	}
	if (daemon->stopping && list_empty(&daemon->flows))
		loop_timer_start(daemon->loop, &daemon->stop_timer, 0);
}

struct store_batch *flow_batch(struct flow *flow)
{
	if (!flow->batch)
		flow->batch = store_batch_new(flow->daemon->store);
	return flow->batch;
}

/* Puts the end of the operation into the batch and commits it. */
static void conclude(struct flow *flow)
{
	struct store_batch *batch = flow_batch(flow);
	struct operation *operation = flow->operation;

	operation->ended_ms = clock_wall_ms();
	operation->state = flow->err.code ? OPERATION_FAILED : OPERATION_DONE;
	operation->err = flow->err;
	operation->timings.total_us = clock_monotonic_us() - flow->began_us;
	if (flow->instance && !flow->err.code)
		operation->result = json_pack(instance_print(flow->instance));
	if (flow->err.code == -EACCES)
		flow->daemon->flows_denied++;
	else if (flow->err.code)
		flow->daemon->flows_failed++;
	else
		flow->daemon->flows_done++;
	flow->phase = FLOW_OVER;
	flow->batch = NULL;
	save_decision(flow, batch);
	if (flow->instance)
		daemon_save_instance(batch, flow->instance);
	operation_save(batch, operation);
	commit_batch(flow, batch, finish);
}

static void step_forth(struct flow *flow)
{
	const struct flow_step *step;
	struct store_batch *batch;

	while (flow_step_at(flow)->wanted && !flow_step_at(flow)->wanted(flow))
		flow->step++;
	step = flow_step_at(flow);
	set_step(flow, "");
	if (is_last(flow)) {
		step->run(flow); /* changes memory only, and calls flow_next: see tick */
		return;
	}
	if (step->memory) {
		run_now(flow);
		return;
	}
	batch = store_batch_new(flow->daemon->store);
	save_decision(flow, batch);
	if (flow->instance)
		daemon_save_instance(batch, flow->instance);
	if (!flow->operation->recorded || flow->begins_anew)
		operation_save(batch, flow->operation);
	else
		store_put_step(batch, flow->operation->id, flow->operation->step);
	flow->begins_anew = false;
	commit_batch(flow, batch, run_step);
}

/* --- back ------------------------------------------------------------------------------------- */

static void run_undo(struct flow *flow, const struct gantry_error *err)
{
	struct log_context context[3];

	flow_push_context(flow, context);
	if (err)
		log_error("undo goes on without its journal: %s", err->text);
	crash_point(flow, "undo");
	flow_step_at(flow)->undo(flow);
	flow_pop_context(context);
}

static void begin_anew(struct flow *flow)
{
	flow->phase = FLOW_FORTH;
	flow->resumed = false;
	flow->err = flow->operation->err = (struct gantry_error){0};
	flow->begins_anew = true;
	flow->step_began_us = clock_monotonic_us();
	loop_later(flow->daemon->loop, &flow->later);
}

static void end_back(struct flow *flow)
{
	if (flow->kind->again && flow->kind->again(flow)) {
		begin_anew(flow);
		return;
	}
	if (flow->kind->failed)
		flow->kind->failed(flow);
	conclude(flow);
}

static void step_back(struct flow *flow)
{
	struct store_batch *batch;

	while (flow->step > 0 && !flow_step_at(flow)->undo)
		flow->step--;
	if (!flow_step_at(flow)->undo) { /* the first one has none: all is walked back */
		end_back(flow);
		return;
	}
	batch = store_batch_new(flow->daemon->store);
	set_step(flow, "undo ");
	flow->operation->err = flow->err;
	save_decision(flow, batch);
	operation_save(batch, flow->operation);
	commit_batch(flow, batch, run_undo);
}

/* --- the one place where a flow moves ----------------------------------------------------------- */

static void tick(struct loop_later *later)
{
	struct flow *flow = LIST_ENTRY(later, struct flow, later);

	if (flow->phase == FLOW_FORTH)
		step_forth(flow);
	else if (flow->phase == FLOW_BACK)
		step_back(flow);
}

void flow_next(struct flow *flow)
{
	note_step_time(flow);
	crash_point(flow, "after");
	flow->resumed = false;
	if (is_last(flow)) {
		conclude(flow);
		return;
	}
	flow->step++;
	if (!flow_step_at(flow)->slot)
		leave_window(flow, true);
	loop_later(flow->daemon->loop, &flow->later);
}

void flow_fail(struct flow *flow, const struct gantry_error *err)
{
	note_step_time(flow);
	flow->err = *err;
	flow->phase = FLOW_BACK;
	leave_window(flow, false);
	flow_stop_awaiting(flow);
	loop_later(flow->daemon->loop, &flow->later);
}

void flow_undone(struct flow *flow)
{
	flow->undo_tries = 0;
	if (flow->step == 0) {
		end_back(flow);
		return;
	}
	flow->step--;
	loop_later(flow->daemon->loop, &flow->later);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start, stop and restart of an instance that has its container.
 *
 *	start    policy, wire, start, finish, announce
 *	stop     policy, signal, grace, kill, announce: the spec's stop signal, then SIGKILL
 *	restart  the two after each other, as one operation
 *
 * A stop that fails leaves the instance as it was; a start that fails leaves it stopped. Killed in
 * between, they go on with the step that was under way: each can be done a second time.
 */
#include "flows/flows.h"
#include "flows/engine/restarts.h"
#include "flows/steps.h"
#include "flows/verbs/wire.h"
#include "base/str.h"

static void announce_start(struct flow *flow)
{
	step_started(flow, flow->kind->name);
	flow_next(flow);
}

static void announce_stop(struct flow *flow)
{
	struct instance *instance = flow->instance;
	struct json_object *detail = json_object_new_object();

	if (instance->state == INSTANCE_STOPPING) /* its container went away meanwhile */
		instance_move(instance, INSTANCE_STOPPED);
	instance->intent = INTENT_STOPPED;
	instance->changed = true;
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), "instance.stopped", instance, NULL,
		  detail);
	flow_next(flow);
}

#define SIGNAL                                                                                     \
	{                                                                                          \
		.name = "signal", .run = step_signal, .wanted = step_wants_signal,                 \
		.limit_ms = STEP_SIGNAL_MS                                                         \
	}
#define GRACE                                                                                      \
	{                                                                                          \
		.name = "grace", .run = step_grace, .wanted = step_wants_signal                    \
	}
#define KILL                                                                                       \
	{                                                                                          \
		.name = "kill", .run = step_kill, .wanted = step_wants_signal,                     \
		.limit_ms = STEP_DEATH_MS                                                          \
	}
#define START                                                                                      \
	{                                                                                          \
		.name = "start", .run = step_start, .limit_ms = STEP_START_MS, .slot = true,       \
		.boots = true                                                                      \
	}

#define WIRE                                                                                       \
	{                                                                                          \
		.name = "wire", .run = step_wire, .undo = step_wire_undo,                          \
		.wanted = step_wire_wanted, .limit_ms = STEP_WIRE_MS                               \
	}
#define FINISH                                                                                     \
	{                                                                                          \
		.name = "finish", .run = step_finish, .wanted = step_finish_wanted,                \
		.limit_ms = STEP_WIRE_MS, .boots = true                                            \
	}

static const struct flow_step start_steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},     WIRE, START, FINISH,
	{.name = "announce", .run = announce_start, .boots = true}, {0},
};

static const struct flow_step stop_steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	SIGNAL,
	GRACE,
	KILL,
	{.name = "announce", .run = announce_stop},
	{0},
};

static const struct flow_step restart_steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	SIGNAL,
	GRACE,
	KILL,
	WIRE,
	START,
	FINISH,
	{.name = "announce", .run = announce_start, .boots = true},
	{0},
};

const struct flow_kind flow_start = {
	.name = "start",
	.steps = start_steps,
	.failed = step_back_to_before,
};
const struct flow_kind flow_stop = {
	.name = "stop",
	.steps = stop_steps,
	.failed = step_back_to_before,
};
const struct flow_kind flow_restart = {
	.name = "restart",
	.steps = restart_steps,
	.failed = step_back_to_before,
};

static int begin(struct daemon *daemon, const struct flow_kind *kind, enum instance_verb verb,
		 const struct flows_ask *ask, struct instance *instance, int64_t grace_ms,
		 struct operation **ret_operation, struct gantry_error *err)
{
	struct flow *flow;
	int code = step_check_verb(daemon, instance, verb, err);

	if (code == 0)
		code = flow_new(daemon, kind, instance, ask->actor, ask->idempotency_key, &flow,
				err);
	if (code < 0)
		return code;
	if (!str_equal(ask->actor, RESTARTS_ACTOR))
		restarts_forget(daemon, instance);
	flow->grace_ms = grace_ms;
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	if (grace_ms != GANTRY_UNSET) {
		flow->operation->request = json_object_new_object();
		json_add_int(flow->operation->request, "grace_ms", grace_ms);
	}
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

int flows_start(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		struct operation **ret_operation, struct gantry_error *err)
{
	return begin(daemon, &flow_start, VERB_START, ask, instance, GANTRY_UNSET, ret_operation,
		     err);
}

int flows_stop(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
	       int64_t grace_ms, struct operation **ret_operation, struct gantry_error *err)
{
	return begin(daemon, &flow_stop, VERB_STOP, ask, instance, grace_ms, ret_operation, err);
}

int flows_restart(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		  int64_t grace_ms, struct operation **ret_operation, struct gantry_error *err)
{
	return begin(daemon, &flow_restart, VERB_RESTART, ask, instance, grace_ms, ret_operation,
		     err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/steps.h"
#include "flows/console/console.h"
#include "flows/engine/engine_events.h"
#include "flows/engine/start_faults.h"
#include "flows/log/log_sinks.h"
#include "flows/log/logs.h"
#include "flows/verbs/borrow.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "model/spec.h"

#include <gantry/text.h>

#include <signal.h>

int step_check_verb(struct daemon *daemon, const struct instance *instance, enum instance_verb verb,
		    struct gantry_error *err)
{
	const struct node_link *link = node_link_find(daemon, instance->node);
	struct gantry_error check;
	int code;

	if (instance->node && !link && verb == VERB_REMOVE)
		return 0; /* only to be forgotten: see flows_remove */
	if (instance->node && !link)
		return gantry_error_set(err, -EHOSTUNREACH, "%s: node %s is not in the settings",
					instance->spec.name, instance->node);
	code = instance_verb_check(instance, verb, &check);
	if (code == -EHOSTUNREACH && link && link->node.last_error[0])
		return gantry_error_set(err, code, "%s: %s", check.text, link->node.last_error);
	if (code < 0)
		*err = check;
	else if ((verb == VERB_START || verb == VERB_RESTART) && !instance->container_id[0])
		code = gantry_error_set(err, -EBUSY,
					"%s has no container%s; remove it, and run it anew",
					instance->spec.name,
					instance->boots ? " any more: somebody removed it at the "
							  "engine, not through gantryd"
							: ": its spawn failed");
	else if (verb == VERB_START)
		code = borrow_check_start(daemon, instance, err);
	else if (verb == VERB_REMOVE || verb == VERB_COMMIT)
		code = borrow_check(daemon, instance, err);
	return code;
}

/* --- policy ------------------------------------------------------------------------------------- */

void step_request(struct flow *flow, struct script_request *ret_request)
{
	const struct gantry_spec *spec =
		flow->spec.name || !flow->instance ? &flow->spec : &flow->instance->spec;

	*ret_request = (struct script_request){
		.verb = flow->kind->name,
		.actor = flow->operation->actor,
		.user = flow->operation->user,
		.project = flow->operation->project ? flow->operation->project : "default",
		.spec = spec,
		.instance = flow->spec.name ? NULL : flow->instance,
		.now_ms = clock_wall_ms(),
		.seed = gantry_hash(GANTRY_HASH_SEED, flow->operation->id,
				    strlen(flow->operation->id)),
	};
	ret_request->usage =
		fleet_usage(&flow->daemon->fleet, ret_request->project, flow->instance);
	spec_unsafe(spec, &flow->arena, &ret_request->unsafe);
}

int step_admit(struct flow *flow, struct script_request *ret_request, struct gantry_error *err)
{
	step_request(flow, ret_request);
	if (flow->decision.id) /* asked before the daemon was killed, and now again */
		script_decision_fini(&flow->decision);
	script_decision_init(&flow->decision, flow->daemon->policies, ret_request,
			     daemon_next_decision(flow->daemon));
	flow->decision_saved = false;
	flow->operation->decision = flow->decision.id;
	return script_admit(flow->daemon->policies, ret_request, &flow->decision, err);
}

void step_policy(struct flow *flow)
{
	struct script_request request;
	struct gantry_error err;
	int64_t began_us = clock_monotonic_us();
	int code = step_admit(flow, &request, &err);

	flow->operation->timings.policy_us += clock_monotonic_us() - began_us;
	if (code < 0)
		flow_fail(flow, &err);
	else
		flow_next(flow);
}

/* --- the end of a process ------------------------------------------------------------------------ */

static bool is_dead(const struct instance *instance)
{
	return instance->state == INSTANCE_STOPPED || instance->state == INSTANCE_FAILED;
}

bool step_wants_signal(const struct flow *flow)
{
	return !is_dead(flow->instance);
}

static void stop_awaiting(struct flow *flow)
{
	flow_stop_awaiting(flow);
	flow_op_forget(flow);
}

static void on_exit_told(struct exit_waiter *waiter, struct instance *instance, bool gone)
{
	struct flow *flow = LIST_ENTRY(waiter, struct flow, exit_waiter);

	(void)instance;
	(void)gone;
	stop_awaiting(flow);
	flow_next(flow);
}

#define ASK_TRIES    10
#define ASK_AGAIN_MS 200

/* The engine's own word that the process is gone, for where its event is late or lost. */
static void on_waited(struct flow *flow, const struct gantry_error *err, const void *result)
{
	const struct gantry_exit *end = result;

	if (err && err->code != -ENOENT && ++flow->asked < ASK_TRIES) {
		/* the question failed, not the stop: the event may still come */
		loop_timer_start(flow->daemon->loop, &flow->ask_timer, ASK_AGAIN_MS);
		return;
	}
	if (err && err->code != -ENOENT) {
		stop_awaiting(flow);
		flow_fail_node(flow, err);
		return;
	}
	if (err || is_dead(flow->instance)) {
		stop_awaiting(flow);
		flow_next(flow);
		return;
	}
	exits_died(flow->daemon, flow->instance, /* tells us in its time */
		   &(struct instance_death){.code = end->exit_code});
}

static void ask_exit(struct flow *flow)
{
	flow->node->runtime->wait(flow->node->handle, flow->instance->container_id,
				  flow_op(flow, "wait for the exit", on_waited));
}

static void on_ask_again(struct loop_timer *timer)
{
	ask_exit(LIST_ENTRY(timer, struct flow, ask_timer));
}

static void await_exit(struct flow *flow)
{
	flow->asked = 0;
	flow->exit_waiter.told = on_exit_told;
	list_append(&flow->instance->waiters, &flow->exit_waiter.link);
	loop_timer_init(&flow->ask_timer, on_ask_again);
	ask_exit(flow);
}

static int stop_signal(const struct flow *flow)
{
	const char *name = flow->instance->spec.stop_signal;
	int number = name ? instance_signal_parse(name) : SIGTERM;

	return number ? number : SIGTERM;
}

static int64_t grace_ms(const struct flow *flow)
{
	if (flow->grace_ms != GANTRY_UNSET)
		return flow->grace_ms;
	if (flow->instance->spec.stop_grace_ms != GANTRY_UNSET)
		return flow->instance->spec.stop_grace_ms;
	return 10000;
}

void step_on_unpaused(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err) /* the engine lets it go on by itself at some signals, Docker at the stop signal */
		engine_event_unexpect(flow->instance, GANTRY_EVENT_UNPAUSE);
	flow_answer_next_if_there(flow, err, result);
}

/* A paused process takes no signal but KILL before it goes on. */
static void on_signalled(struct flow *flow, const struct gantry_error *err, const void *result)
{
	const struct gantry_runtime *runtime = flow->node->runtime;

	if (!err && flow->instance->known_state == INSTANCE_PAUSED && runtime->unpause) {
		flow->instance->known_state = INSTANCE_RUNNING;
		engine_event_expect(flow->instance, GANTRY_EVENT_UNPAUSE);
		runtime->unpause(flow->node->handle, flow->instance->container_id,
				 flow_op(flow, "let it go on", step_on_unpaused));
		return;
	}
	flow_answer_next_if_there(flow, err, result);
}

void step_signal(struct flow *flow)
{
	struct instance *instance = flow->instance;

	instance->signal_sent = stop_signal(flow);
	if (instance->state != INSTANCE_STOPPING) {
		instance->known_state = instance->state;
		instance_move(instance, INSTANCE_STOPPING);
		instance->changed = true;
	}
	flow->node->runtime->kill(flow->node->handle, instance->container_id, instance->signal_sent,
				  flow_op(flow, "signal", on_signalled));
}

void step_grace(struct flow *flow)
{
	if (is_dead(flow->instance)) {
		flow_next(flow);
		return;
	}
	await_exit(flow);
	loop_timer_start(flow->daemon->loop, &flow->timer, grace_ms(flow));
}

static void on_killed(struct flow *flow, const struct gantry_error *err, const void *result)
{
	(void)result;
	if (err && err->code != -ENOENT && err->code != -EALREADY) {
		flow_fail_node(flow, err);
		return;
	}
	if (is_dead(flow->instance) || (err && err->code == -ENOENT))
		flow_next(flow);
	else
		await_exit(flow);
}

void step_kill(struct flow *flow)
{
	if (is_dead(flow->instance)) {
		flow_next(flow);
		return;
	}
	flow->instance->signal_sent = SIGKILL;
	flow->node->runtime->kill(flow->node->handle, flow->instance->container_id, SIGKILL,
				  flow_op(flow, "kill", on_killed));
}

/* --- starting ----------------------------------------------------------------------------------- */

static void on_started(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err)
		engine_event_unexpect(flow->instance, GANTRY_EVENT_START);
	if (err && err->code == -ENOEXEC) {
		flow->instance->last_exit = (struct instance_exit){
			.known = true,
			.code = 127,
			.start_failed = true,
			.at_ms = clock_wall_ms(),
		};
		snprintf(flow->instance->last_exit.reason, sizeof(flow->instance->last_exit.reason),
			 "%s", err->text);
		flow->instance->changed = true;
	}
	if (err && err->code == -EALREADY)
		err = NULL;
	if (err)
		start_faults_failed(flow->node, err);
	else
		start_faults_started(flow->node);
	if (!err)
		log_sinks_look(flow->daemon, flow->instance);
	flow_answer_next(flow, err, result);
}

static void start_now(struct flow *flow)
{
	struct instance *instance = flow->instance;

	logs_starting(flow->daemon, instance);
	engine_event_expect(instance, GANTRY_EVENT_START);
	flow->node->runtime->start(flow->node->handle, instance->container_id,
				   flow_op(flow, "start", on_started));
}

/*
 * Whether a container that has ended ran since its last exit that we recorded. The engine's time of its
 * end tells; where we have no such time of the exit before, its start has to be after the operation's.
 */
static bool ran_since(const struct flow *flow, const struct gantry_container *container)
{
	const struct instance_exit *before = &flow->instance->last_exit;

	if (before->known && before->at_engines)
		return container->finished_ms != before->at_ms;
	return container->started_ms >= flow->operation->created_ms;
}

static void on_looked(struct flow *flow, const struct gantry_error *err, const void *result)
{
	const struct gantry_container *container = result;
	struct instance *instance = flow->instance;

	if (err) {
		flow_fail_node(flow, err);
	} else if (!instance->exit_pending && !ran_since(flow, container)) {
		start_now(flow);
	} else {
		if (!instance->exit_pending)
			instance->pending.inferred = true;
		instance->exit_pending = true;
		flow_next(flow);
	}
}

/*
 * The daemon was killed at this step: the start may have had its effect, and must not have it twice. A
 * process that runs was started; one that has ended may have, and the engine is asked.
 */
static void start_again(struct flow *flow)
{
	struct instance *instance = flow->instance;

	/* a new container that is not "created" any more was started */
	if (instance->listed == GANTRY_CONTAINER_EXITED && instance->boots == 0 &&
	    !instance->exit_pending)
		instance->exit_pending = instance->pending.inferred = true;
	if (instance->listed == GANTRY_CONTAINER_RUNNING ||
	    instance->listed == GANTRY_CONTAINER_PAUSED || instance->exit_pending)
		flow_next(flow);
	else if (instance->listed == GANTRY_CONTAINER_EXITED)
		flow->node->runtime->inspect(flow->node->handle, instance->container_id,
					     flow_op(flow, "was it started", on_looked));
	else
		start_now(flow);
}

/* Whoever comes to its console misses nothing, and its input is not at its end at once. */
static void on_prepared(struct flow *flow, const struct gantry_error *err, const void *result)
{
	(void)err, (void)result;
	start_now(flow);
}

void step_start(struct flow *flow)
{
	struct instance *instance = flow->instance;
	struct gantry_error err;

	if (flow_await_besides(flow))
		return; /* a signal that is meant for the process before must not hit the new one */
	if (instance->state != INSTANCE_STARTING) {
		if (borrow_check_start(flow->daemon, instance, &err) < 0) {
			flow_fail(flow, &err);
			return;
		}
		instance_move(instance, INSTANCE_STARTING);
		instance->changed = true;
	}
	if (flow->resumed)
		start_again(flow);
	else if (console_wants_prepare(flow->daemon, instance))
		console_prepare(flow->daemon, instance, flow_op(flow, "attach", on_prepared));
	else
		start_now(flow);
}

void step_started(struct flow *flow, const char *cause)
{
	struct instance *instance = flow->instance;
	struct json_object *detail = json_object_new_object();

	instance_move(instance, INSTANCE_RUNNING);
	instance->intent = INTENT_RUNNING;
	instance->boots++;
	instance->started_ms = clock_wall_ms();
	instance->started_us = clock_monotonic_us();
	instance->oom_seen = false;
	instance->considered = false;
	instance->changed = true;
	json_add_string(detail, "cause", cause);
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), "instance.started", instance, NULL,
		  detail);
}

void step_back_to_before(struct flow *flow)
{
	struct instance *instance = flow->instance;

	switch (instance->state) {
	case INSTANCE_STOPPING:
		instance_move(instance, instance->known_state == INSTANCE_PAUSED
						? INSTANCE_PAUSED
						: INSTANCE_RUNNING);
		break;
	case INSTANCE_STARTING:
		instance_move(instance, INSTANCE_STOPPED);
		break;
	case INSTANCE_REMOVING:
		instance->state = INSTANCE_FAILED; /* nothing else leads out of removing */
		break;
	default:
		break;
	}
	instance->changed = true;
	if ((!flow->node || flow->node->node.state != NODE_UP) && instance->container_id[0] &&
	    instance->state != INSTANCE_UNKNOWN) {
		instance->known_state = instance->state;
		instance_move(instance, INSTANCE_UNKNOWN);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/restarts.h"
#include "flows/engine/still_there.h"
#include "flows/engine/takeover.h"
#include "flows/flow.h"
#include "flows/flows.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

#define AFTER_MAX_MS    (24 * 3600 * 1000LL)
#define FAILED_FIRST_MS 1000
#define FAILED_MAX_MS   60000

/* A restart that is planned; instance->restart points to it. */
struct restart {
	struct list link; /* in daemon->restarts */
	struct daemon *daemon;
	struct instance *instance;
	struct loop_timer due;
	bool waits_for_node;
};

static void drop(struct instance *instance)
{
	struct restart *restart = instance->restart;

	if (!restart)
		return;
	loop_timer_stop(restart->daemon->loop, &restart->due);
	list_remove(&restart->link);
	free(restart);
	instance->restart = NULL;
}

static void save(struct daemon *daemon, struct instance *instance, const char *event,
		 struct json_object *detail)
{
	struct store_batch *batch = store_batch_new(daemon->store);

	instance->changed = true;
	if (event)
		event_add(&daemon->events, batch, event, instance, NULL, detail);
	daemon_save_instance(batch, instance);
	takeover_commit(daemon, batch);
}

static void start_now(struct restart *restart)
{
	struct daemon *daemon = restart->daemon;
	struct instance *instance = restart->instance;
	const struct flows_ask ask = {.actor = RESTARTS_ACTOR};
	struct operation *operation;
	struct gantry_error err;

	if (instance->state == INSTANCE_UNKNOWN) {
		restart->waits_for_node = true;
		return;
	}
	drop(instance);
	instance->restart_at_ms = 0;
	instance->restarts++;
	instance->changed = true;
	if (flows_start(daemon, &ask, instance, &operation, &err) < 0)
		log_info("%s is not restarted: %s", instance->spec.name, err.text);
}

static void on_due(struct loop_timer *timer)
{
	start_now(LIST_ENTRY(timer, struct restart, due));
}

static void plan(struct daemon *daemon, struct instance *instance)
{
	struct restart *restart = xcalloc(1, sizeof(*restart));
	int64_t wait_ms = instance->restart_at_ms - clock_wall_ms();

	drop(instance);
	restart->daemon = daemon;
	restart->instance = instance;
	instance->restart = restart;
	list_append(&daemon->restarts, &restart->link);
	loop_timer_init(&restart->due, on_due);
	if (wait_ms > instance->restart_after_ms) /* the clock was set back meanwhile */
		wait_ms = instance->restart_after_ms;
	loop_timer_start(daemon->loop, &restart->due, wait_ms > 0 ? wait_ms : 0);
}

static void save_decision(struct daemon *daemon, const struct script_decision *decision)
{
	struct store_batch *batch = store_batch_new(daemon->store);

	daemon_put_decision(batch, decision, decision->instance);
	store_batch_commit(batch, NULL, NULL);
}

/* What the hook answers, but not at once again and again where nothing can be started. */
static int64_t wait_ms(const struct instance *instance, int64_t after_ms)
{
	int64_t least_ms = 0;

	for (int i = 0; i < instance->failed_starts && least_ms < FAILED_MAX_MS; i++)
		least_ms = least_ms ? least_ms * 2 : FAILED_FIRST_MS;
	if (least_ms > FAILED_MAX_MS)
		least_ms = FAILED_MAX_MS;
	if (after_ms < least_ms)
		return least_ms;
	return after_ms < AFTER_MAX_MS ? after_ms : AFTER_MAX_MS;
}

static void obey(struct daemon *daemon, struct instance *instance,
		 const struct script_restart *answer, const struct script_decision *decision)
{
	struct json_object *detail = json_object_new_object();

	json_add_int(detail, "decision", decision->id);
	json_add_string(detail, "reason", answer->reason);
	if (answer->what == SCRIPT_RESTART_FAIL) {
		instance_move(instance, INSTANCE_FAILED);
		save(daemon, instance, "instance.failed", detail);
		return;
	}
	instance->restart_after_ms = wait_ms(instance, answer->after_ms);
	instance->restart_at_ms = clock_wall_ms() + instance->restart_after_ms;
	json_add_time(detail, "restart_at", instance->restart_at_ms);
	json_add_int(detail, "restarts", instance->restarts);
	save(daemon, instance, "instance.restart_planned", detail);
	plan(daemon, instance);
}

static const char *cause_of(struct daemon *daemon, const struct instance *instance)
{
	const struct instance_exit *end = &instance->last_exit;
	const struct node_link *link;

	if (instance->failed_starts)
		return "start";
	if (end->inferred || end->engine_gone) {
		link = instance->node ? node_link_find(daemon, instance->node) : NULL;
		return link && instance->started_ms < link->booted_ms ? "host" : "engine";
	}
	return end->oom_killed ? "oom" : "exit";
}

/* It ended, and nobody wanted that. */
static bool is_ours(const struct daemon *daemon, const struct instance *instance)
{
	return !daemon->stopping && !instance->busy && !instance->restart &&
	       instance->intent == INTENT_RUNNING && instance->state == INSTANCE_STOPPED &&
	       script_has_restart(daemon->policies);
}

void restarts_engine_there(struct daemon *daemon, struct instance *instance)
{
	const struct instance_exit *end = &instance->last_exit;
	struct script_exit told = {
		.end = end,
		.cause = cause_of(daemon, instance),
		.restarts = instance->restarts,
	};
	struct script_request request = {
		.verb = "restart",
		.actor = RESTARTS_ACTOR,
		.project = instance->spec.project,
		.spec = &instance->spec,
		.instance = instance,
		.now_ms = clock_wall_ms(),
		.seed = (uint64_t)end->at_ms,
	};
	struct script_decision decision;
	struct script_restart answer;

	if (!is_ours(daemon, instance))
		return;
	instance->considered = true;
	script_decision_init(&decision, daemon->policies, &request, daemon_next_decision(daemon));
	script_restart(daemon->policies, &request, &told, &decision, &answer);
	save_decision(daemon, &decision);
	if (answer.what == SCRIPT_RESTART_LEAVE)
		save(daemon, instance, NULL, NULL);
	else
		obey(daemon, instance, &answer, &decision);
	script_decision_fini(&decision);
}

void restarts_engine_gone(struct daemon *daemon, struct instance *instance)
{
	instance->last_exit.engine_gone = true;
	if (instance->failed_starts && instance->restarts > 0)
		instance->restarts--; /* the next one is the same */
	instance->failed_starts = 0;
	save(daemon, instance, NULL, NULL);
}

void restarts_consider(struct daemon *daemon, struct instance *instance, bool failed)
{
	struct node_link *link = node_link_find(daemon, instance->node);

	instance->failed_starts = failed ? instance->failed_starts + 1 : 0;
	if (!link || !is_ours(daemon, instance))
		return;
	if (link->node.state == NODE_UP)
		still_there_ask(link, instance);
	else if (!link->synced)
		restarts_engine_gone(daemon, instance);
	/* else it is about to be up, and then all are considered that were not */
}

void restarts_forget(struct daemon *daemon, struct instance *instance)
{
	(void)daemon;
	drop(instance);
	if (instance->restart_at_ms || instance->restarts)
		instance->changed = true;
	instance->restart_at_ms = 0;
	instance->restarts = 0;
	instance->failed_starts = 0;
}

void restarts_load(struct daemon *daemon)
{
	LIST_FOREACH (node, &daemon->fleet.instances) {
		struct instance *instance = LIST_ENTRY(node, struct instance, link);

		if (instance->restart_at_ms && !instance->busy)
			plan(daemon, instance);
	}
}

/* A process that ended while nobody could be asked: the daemon was killed in between. */
static bool was_missed(const struct instance *instance)
{
	return instance->state == INSTANCE_STOPPED && instance->intent == INTENT_RUNNING &&
	       !instance->considered && !instance->restart && !instance->looking;
}

void restarts_node_is_up(struct daemon *daemon, const struct node *node)
{
	LIST_FOREACH (link, &daemon->fleet.instances) {
		struct instance *instance = LIST_ENTRY(link, struct instance, link);
		struct restart *restart = instance->restart;

		if (!str_equal(instance->node, node->name))
			continue;
		if (restart && restart->waits_for_node)
			start_now(restart);
		else if (was_missed(instance))
			restarts_consider(daemon, instance, false);
	}
}

void restarts_close(struct daemon *daemon)
{
	LIST_FOREACH (link, &daemon->restarts) {
		drop(LIST_ENTRY(link, struct restart, link)->instance);
	}
}

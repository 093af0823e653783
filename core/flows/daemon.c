/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/daemon.h"
#include "flows/console/exec.h"
#include "flows/console/serial.h"
#include "flows/engine/restarts.h"
#include "flows/engine/takeover.h"
#include "flows/flow.h"
#include "flows/flows.h"
#include "flows/log/log_kept.h"
#include "flows/log/log_policy.h"
#include "flows/log/log_sinks.h"
#include "flows/policy/event_hooks.h"
#include "flows/policy/placements.h"
#include "flows/policy/policy_reload.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <unistd.h>

#define PRUNE_EVERY_MS 3600000
#define READY_LIMIT_MS 5000
#define ID_FACT        "daemon_id"

/* All kinds by name, for taking up flows again and for tests that walk every step. NULL-terminated. */
static const struct flow_kind *const flows_kinds[] = {
	&flow_spawn,        &flow_start,  &flow_stop,        &flow_restart,     &flow_pause,
	&flow_unpause,      &flow_kill,   &flow_resize,      &flow_remove,      &flow_pull,
	&flow_image_remove, &flow_commit, &flow_port_attach, &flow_port_detach, NULL,
};

static void on_scope_empty(struct op_scope *scope);
static void on_stop_timer(struct loop_timer *timer);
static void on_prune_timer(struct loop_timer *timer);
static void on_ready_timer(struct loop_timer *timer);
static void load_identity(struct daemon *daemon);

void daemon_init(struct daemon *daemon, struct loop *loop, struct store *store,
		 const struct settings *settings, struct script_set *policies)
{
	*daemon = (struct daemon){
		.loop = loop,
		.store = store,
		.settings = settings,
		.policies = policies,
		.started_us = clock_monotonic_us(),
		.last_decision = store_last_decision(store),
		.crash_at = getenv("GANTRY_CRASH_AT"),
	};
	fleet_init(&daemon->fleet);
	operations_init(&daemon->operations);
	event_log_init(&daemon->events, store);
	op_scope_init(&daemon->scope, loop, on_scope_empty);
	list_init(&daemon->flows);
	list_init(&daemon->anchors);
	list_init(&daemon->reload_waiters);
	list_init(&daemon->restarts);
	list_init(&daemon->consoles);
	list_init(&daemon->execs);
	list_init(&daemon->recordings.list);
	list_init(&daemon->usage_streams);
	list_init(&daemon->log_sinks);
	log_kept_init(daemon);
	list_init(&daemon->image_loads);
	loop_timer_init(&daemon->stop_timer, on_stop_timer);
	loop_timer_init(&daemon->prune_timer, on_prune_timer);
	loop_timer_init(&daemon->ready_timer, on_ready_timer);
	load_identity(daemon);
}

static void on_prune_timer(struct loop_timer *timer)
{
	struct daemon *daemon = LIST_ENTRY(timer, struct daemon, prune_timer);

	store_prune(daemon->store, clock_wall_ms() - daemon->settings->keep_history_ms);
	loop_timer_start(daemon->loop, timer, PRUNE_EVERY_MS);
}

void daemon_print_steps(void)
{
	for (size_t i = 0; flows_kinds[i]; i++)
		for (const struct flow_step *step = flows_kinds[i]->steps; step->name; step++)
			printf("%s %s%s\n", flows_kinds[i]->name, step->name,
			       step->memory ? " memory" : "");
}

/* --- loading ------------------------------------------------------------------------------------ */

/* What makes it one daemon among those with its owner: the store, and where that is. */
static void load_identity(struct daemon *daemon)
{
	char *saved = store_load_fact(daemon->store, ID_FACT);
	char *path = realpath(daemon->settings->store, NULL), host[256] = "";

	if (saved && strlen(saved) == INSTANCE_ID_SIZE - 1) {
		memcpy(daemon->id, saved, INSTANCE_ID_SIZE);
	} else {
		struct store_batch *batch = store_batch_new(daemon->store);

		instance_make_id(daemon->id);
		store_put_fact(batch, ID_FACT, daemon->id);
		store_batch_commit(batch, NULL, NULL);
	}
	gethostname(host, sizeof(host) - 1);
	daemon->holder =
		xasprintf("host %s, store %s", host, path ? path : daemon->settings->store);
	free(path);
	free(saved);
}

static int load_instance(void *arg, const char *id, const char *json)
{
	struct daemon *daemon = arg;
	struct json_object *object = NULL;
	struct instance *instance;
	struct gantry_error err;
	struct node *node;
	int code = json_parse(json, strlen(json), &object, &err);

	if (code == 0)
		code = instance_load(object, &instance, &err);
	json_object_put(object);
	if (code < 0) {
		log_error("instance %s in the store cannot be read: %s", id, err.text);
		return 0; /* its container, if it has one, is taken in anew */
	}
	if (instance->state != INSTANCE_UNKNOWN)
		instance->known_state = instance->state;
	if (fleet_add(&daemon->fleet, instance, &err) < 0) {
		log_error("instance %s in the store is left out: %s", id, err.text);
		instance_free(instance);
		return 0;
	}
	node = fleet_node(&daemon->fleet, instance->node);
	if (instance->node) /* its project has it, also where the node is not in the settings */
		fleet_count(&daemon->fleet, instance);
	if (node) {
		fleet_place(instance, node);
		node_promise(node, &instance->spec, 1);
	}
	return 0;
}

static const struct flow_kind *kind_named(const char *name)
{
	for (size_t i = 0; flows_kinds[i]; i++)
		if (str_equal(flows_kinds[i]->name, name))
			return flows_kinds[i];
	return NULL;
}

static int load_operation(void *arg, const struct store_operation *row)
{
	struct daemon *daemon = arg;
	const struct flow_kind *kind = kind_named(row->kind);
	struct operation *operation;
	struct instance *instance;
	struct flow *flow;

	if (!kind)
		return 0;
	operation = operation_load(&daemon->operations, row, kind->name);
	if (operation->state != OPERATION_RUNNING)
		return 0;
	instance = fleet_find(&daemon->fleet, operation->instance);
	if (operation->instance[0] && !instance) {
		/* its last step had removed it */
		operation->state = OPERATION_FAILED;
		operation->ended_ms = clock_wall_ms();
		gantry_error_set(&operation->err, -ECANCELED, "gantryd was restarted");
		operation_end(&daemon->operations, operation);
		return 0;
	}
	flow = flow_resume(daemon, kind, operation, instance);
	if (!instance)
		flow->node =
			node_link_find(daemon, json_get_string(operation->request, "node", NULL));
	if (instance)
		flow->grace_ms = json_get_int(operation->request, "grace_ms", GANTRY_UNSET);
	flow->awaiting_node = true;
	return 0;
}

/* While its node was not listed, nobody knows what became of an instance. */
static void make_unknown(struct daemon *daemon)
{
	LIST_FOREACH (node, &daemon->fleet.instances) {
		struct instance *instance = LIST_ENTRY(node, struct instance, link);

		if (instance->busy || !instance->container_id[0] ||
		    instance->state == INSTANCE_UNKNOWN)
			continue;
		instance->known_state = instance->state;
		instance_move(instance, INSTANCE_UNKNOWN);
	}
}

/* --- whose engines they are ---------------------------------------------------------------------- */

static void tell_ready(struct daemon *daemon, const struct gantry_error *err)
{
	void (*ready)(struct daemon *, const struct gantry_error *) = daemon->ready;

	loop_timer_stop(daemon->loop, &daemon->ready_timer);
	daemon->ready = NULL;
	if (ready)
		ready(daemon, err);
}

static void on_ready_timer(struct loop_timer *timer)
{
	tell_ready(LIST_ENTRY(timer, struct daemon, ready_timer), NULL);
}

void daemon_node_claimed(struct daemon *daemon, const struct gantry_error *err)
{
	daemon->links_unclaimed--;
	if (err || daemon->links_unclaimed == 0)
		tell_ready(daemon, err);
}

/* --- loading, the whole ---------------------------------------------------------------------------- */

int daemon_load(struct daemon *daemon,
		void (*ready)(struct daemon *daemon, const struct gantry_error *err),
		struct gantry_error *err)
{
	int code = store_load_instances(daemon->store, load_instance, daemon, err);

	if (code == 0)
		code = log_kept_load(daemon, err);
	if (code == 0)
		code = log_sinks_load(daemon, err);
	if (code == 0)
		code = store_load_operations(daemon->store, OPERATIONS_KEPT, load_operation, daemon,
					     err);
	if (code < 0)
		return code;
	make_unknown(daemon);
	on_prune_timer(&daemon->prune_timer);
	policy_reload_open(daemon);
	event_hooks_open(daemon);
	restarts_load(daemon);
	serials_open(daemon);
	daemon->ready = ready;
	/* also where there is no node: ready never comes before the loop runs */
	loop_timer_start(daemon->loop, &daemon->ready_timer,
			 daemon->fleet.node_count ? READY_LIMIT_MS : 0);
	for (size_t i = 0; i < daemon->fleet.node_count; i++)
		node_link_open(daemon->links[i]);
	takeover_node_tried(daemon); /* there may be no node at all */
	return 0;
}

/* --- stopping ----------------------------------------------------------------------------------- */

static void name_pending(void *arg, const char *name, int64_t age_ms)
{
	(void)arg;
	log_info("still pending: %s, since %lld ms", name, (long long)age_ms);
}

static void let_go(struct daemon *daemon)
{
	daemon->let_go = true;
	LIST_FOREACH (pending, &daemon->flows) {
		const struct operation *operation =
			LIST_ENTRY(pending, struct flow, link)->operation;

		log_warn(
			"%s of %s is left at its step %s; it goes on at the next start (operation %s)",
			operation->kind,
			operation->instance_name ? operation->instance_name : "an image",
			operation->step, operation->id);
	}
	if (!list_empty(&daemon->anchors))
		takeover_commit(daemon, store_batch_new(daemon->store));
	op_scope_walk(&daemon->scope, name_pending, NULL);
	for (size_t i = 0; i < daemon->fleet.node_count; i++)
		start_window_close(&daemon->links[i]->window);
	LIST_FOREACH (node, &daemon->flows) {
		flow_abandon(LIST_ENTRY(node, struct flow, link));
	}
	for (size_t i = 0; i < daemon->fleet.node_count; i++)
		node_link_close(daemon->links[i]);
	op_scope_cancel_all(&daemon->scope);
	if (daemon->scope.count == 0)
		loop_later(daemon->loop, &daemon->scope.empty_later);
}

static void on_stop_timer(struct loop_timer *timer)
{
	let_go(LIST_ENTRY(timer, struct daemon, stop_timer));
}

static void on_scope_empty(struct op_scope *scope)
{
	struct daemon *daemon = LIST_ENTRY(scope, struct daemon, scope);
	void (*stopped)(struct daemon *) = daemon->stopped;

	if (!daemon->let_go || !stopped)
		return; /* flows still have their grace, or it was told already */
	daemon->stopped = NULL;
	stopped(daemon);
}

/* Those that wait for their node will hardly end within a grace. */
static bool any_can_end(const struct daemon *daemon)
{
	LIST_FOREACH (node, &daemon->flows) {
		if (!LIST_ENTRY(node, struct flow, link)->awaiting_node)
			return true;
	}
	return false;
}

void daemon_stop(struct daemon *daemon, int64_t grace_ms, void (*stopped)(struct daemon *daemon))
{
	loop_timer_stop(daemon->loop, &daemon->prune_timer);
	loop_timer_stop(daemon->loop, &daemon->ready_timer);
	policy_reload_close(daemon);
	event_hooks_close(daemon);
	restarts_close(daemon);
	execs_close(daemon);
	serials_close(daemon);
	log_sinks_close(daemon);
	log_kept_close(daemon);
	daemon->stopping = true;
	daemon->stopped = stopped;
	loop_timer_start(daemon->loop, &daemon->stop_timer, any_can_end(daemon) ? grace_ms : 0);
}

void daemon_fini(struct daemon *daemon)
{
	size_t count = daemon->fleet.node_count;

	loop_timer_stop(daemon->loop, &daemon->stop_timer);
	event_log_fini(&daemon->events);
	operations_fini(&daemon->operations);
	log_sinks_free(daemon);
	log_kept_free(daemon);
	log_policy_free(daemon);
	fleet_fini(&daemon->fleet);
	for (size_t i = 0; i < count; i++)
		node_link_free(daemon->links[i]);
	free(daemon->links);
	free(daemon->holder);
	script_set_free(daemon->policies);
	placements_free(daemon->placements);
	event_hooks_free(daemon->event_hooks);
}

/* --- small services ------------------------------------------------------------------------------ */

void daemon_save_instance(struct store_batch *batch, struct instance *instance)
{
	struct json_object *object;

	if (!instance->changed)
		return;
	instance->changed = false;
	object = instance_save(instance);
	store_put_instance(batch, instance->id,
			   json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

int64_t daemon_next_decision(struct daemon *daemon)
{
	return ++daemon->last_decision;
}

void daemon_put_decision(struct store_batch *batch, const struct script_decision *decision,
			 const char *instance)
{
	struct json_object *object = script_decision_print(decision);

	store_put_decision(batch, decision->id, instance, decision->at_ms,
			   json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

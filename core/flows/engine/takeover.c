/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/takeover.h"
#include "flows/engine/engine_events.h"
#include "flows/engine/strays.h"
#include "flows/flow.h"
#include "flows/log/logs.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "model/spec.h"

#include <stdlib.h>

#define INSPECT_LIMIT_MS 30000

/* The containers that nobody knows, looked at one after the other. */
struct intake {
	struct node_link *link;
	char **container_ids; /* owned */
	size_t count, at;
	void (*done)(struct node_link *link);
};

struct commit {
	struct daemon *daemon;
	int64_t mark;
};

static void on_committed(void *arg, const struct gantry_error *err)
{
	struct commit *commit = arg;

	if (err) {
		log_error("what happened could not be recorded: %s", err->text);
		commit->daemon->unsaved = true;
	}
	event_log_publish(&commit->daemon->events, commit->mark);
	free(commit);
}

/* What a failed commit has left out. Instances with a flow are the flow's to save. */
static void save_again(struct daemon *daemon, struct store_batch *batch)
{
	if (!daemon->unsaved)
		return;
	daemon->unsaved = false;
	LIST_FOREACH (node, &daemon->fleet.instances) {
		struct instance *instance = LIST_ENTRY(node, struct instance, link);

		instance->changed = true;
		if (!instance->busy)
			daemon_save_instance(batch, instance);
	}
}

void takeover_put_anchors(struct daemon *daemon, struct store_batch *batch)
{
	save_again(daemon, batch);
	LIST_FOREACH (moved, &daemon->anchors) {
		struct node_link *link = LIST_ENTRY(moved, struct node_link, anchor_moved);
		char fact[100], value[200];

		if (link->untold == 0) {
			link->firm = link->anchor;
			list_remove(moved);
		}
		if (!link->firm.time_ns)
			continue;
		snprintf(fact, sizeof(fact), "anchor.%s", link->node.name);
		snprintf(value, sizeof(value), "%lld %s", (long long)link->firm.time_ns,
			 link->firm.key);
		store_put_fact(batch, fact, value);
	}
}

void takeover_commit(struct daemon *daemon, struct store_batch *batch)
{
	struct commit *commit = xcalloc(1, sizeof(*commit));

	takeover_put_anchors(daemon, batch);
	commit->daemon = daemon;
	commit->mark = event_log_mark(&daemon->events);
	store_batch_commit(batch, on_committed, commit);
}

static enum gantry_container_state believed_state(const struct instance *instance)
{
	switch (instance->state == INSTANCE_UNKNOWN ? instance->known_state : instance->state) {
	case INSTANCE_RUNNING:
	case INSTANCE_STOPPING:
		return GANTRY_CONTAINER_RUNNING;
	case INSTANCE_PAUSED:
		return GANTRY_CONTAINER_PAUSED;
	case INSTANCE_STOPPED:
	case INSTANCE_FAILED:
	case INSTANCE_REMOVING:
		return GANTRY_CONTAINER_EXITED;
	default:
		return GANTRY_CONTAINER_CREATED;
	}
}

void takeover_known(struct node_link *link, struct arena *arena,
		    struct gantry_containers *ret_known)
{
	size_t count = 0;

	LIST_FOREACH (counted, &link->node.placed) {
		count++;
	}
	ret_known->items = ARENA_ARRAY(arena, struct gantry_container, count + 1);
	ret_known->count = 0;
	LIST_FOREACH (entry, &link->node.placed) {
		struct instance *instance = LIST_ENTRY(entry, struct instance, placed);
		struct gantry_container *container = &ret_known->items[ret_known->count];
		struct gantry_pair *label;

		if (!instance->container_id[0])
			continue;
		label = ARENA_NEW(arena, struct gantry_pair);
		*label = (struct gantry_pair){GANTRY_LABEL_INSTANCE,
					      arena_strdup(arena, instance->id)};
		container->container_id = arena_strdup(arena, instance->container_id);
		container->labels = (struct gantry_pairs){label, 1};
		container->state = believed_state(instance);
		ret_known->count++;
	}
}

const char *takeover_label(const struct gantry_container *container, const char *name)
{
	for (size_t i = 0; i < container->labels.count; i++)
		if (str_equal(container->labels.items[i].name, name))
			return container->labels.items[i].value;
	return NULL;
}

/* --- taking in -------------------------------------------------------------------------------- */

static enum instance_state state_of(const struct gantry_container *container)
{
	switch (container->state) {
	case GANTRY_CONTAINER_RUNNING:
		return INSTANCE_RUNNING;
	case GANTRY_CONTAINER_PAUSED:
		return INSTANCE_PAUSED;
	default:
		return INSTANCE_STOPPED;
	}
}

/*
 * The limits may have been changed since: the engine's word counts. But a sum of memory and swap that
 * nobody asked for, as much swap as there was memory at first, is no limit of the spec: it would hold
 * the memory down in a later resize.
 */
static void take_limits(struct gantry_spec *spec, const struct gantry_limits *limits,
			struct arena *arena)
{
	bool derived = spec->memory_swap_bytes == GANTRY_UNSET &&
		       spec->memory_bytes != GANTRY_UNSET &&
		       limits->memory_swap_bytes == limits->memory_bytes + spec->memory_bytes;

	spec->memory_bytes = limits->memory_bytes;
	spec->memory_swap_bytes = derived ? GANTRY_UNSET : limits->memory_swap_bytes;
	spec->nano_cpus = limits->nano_cpus;
	spec->cpu_shares = limits->cpu_shares;
	spec->pids = limits->pids;
	spec->cpuset = arena_strdup(arena, limits->cpuset);
}

static int read_spec(struct instance *instance, const struct gantry_container *container,
		     struct gantry_error *err)
{
	const char *text = takeover_label(container, GANTRY_LABEL_SPEC);
	struct json_object *object = NULL;
	int code;

	if (!text)
		return gantry_error_set(err, -EBADMSG, "it has no label " GANTRY_LABEL_SPEC);
	code = json_parse(text, strlen(text), &object, err);
	if (code == 0)
		code = spec_parse(object, &instance->arena, &instance->spec, err);
	json_object_put(object);
	return code;
}

static void take_in(struct node_link *link, const struct gantry_container *container)
{
	struct daemon *daemon = link->daemon;
	const char *id = takeover_label(container, GANTRY_LABEL_INSTANCE);
	const char *generation = takeover_label(container, GANTRY_LABEL_GENERATION);
	struct instance *instance;
	struct store_batch *batch;
	struct gantry_error err;

	if (!id || strlen(id) != INSTANCE_ID_SIZE - 1 || fleet_find(&daemon->fleet, id))
		return;
	instance = instance_new(id);
	if (read_spec(instance, container, &err) < 0 ||
	    fleet_add(&daemon->fleet, instance, &err) < 0) {
		log_warn("container %s on node %s has our label but cannot be taken in: %s",
			 container->name, link->node.name, err.text);
		instance_free(instance);
		return;
	}
	take_limits(&instance->spec, &container->limits, &instance->arena);
	fleet_place(instance, &link->node);
	snprintf(instance->container_id, sizeof(instance->container_id), "%s",
		 container->container_id);
	snprintf(instance->health, sizeof(instance->health), "%s",
		 container->health ? container->health : "");
	instance->generation = generation ? atoll(generation) : 1;
	instance->boots = container->started_ms ? 1 : 0;
	instance->created_ms = container->created_ms;
	instance->started_ms = container->started_ms;
	instance->state = state_of(container); /* the first one: not a move */
	if (instance->state != INSTANCE_STOPPED)
		instance_take_reach(instance, container);
	instance->intent = instance->state == INSTANCE_STOPPED ? INTENT_STOPPED : INTENT_RUNNING;
	if (instance->state == INSTANCE_STOPPED && container->finished_ms) {
		instance->last_exit = (struct instance_exit){
			.known = true,
			.code = container->exit_code,
			.oom_killed = container->oom_killed,
			.inferred = true,
			.at_ms = container->finished_ms,
			.at_engines = true,
			.ran_ms = container->finished_ms > container->started_ms
					  ? container->finished_ms - container->started_ms
					  : 0,
		};
	}
	instance->changed = true;
	fleet_count(&daemon->fleet, instance);
	node_promise(&link->node, &instance->spec, 1);
	daemon->rebuilt++;
	batch = store_batch_new(daemon->store);
	event_add(&daemon->events, batch, "instance.found", instance, NULL, NULL);
	daemon_save_instance(batch, instance);
	takeover_commit(daemon, batch);
}

static void intake_next(struct intake *intake);

static void intake_free(struct intake *intake)
{
	for (size_t i = 0; i < intake->count; i++)
		free(intake->container_ids[i]);
	free(intake->container_ids);
	free(intake);
}

static void on_inspected(void *arg, const struct gantry_error *err, const void *result)
{
	struct intake *intake = arg;

	if (intake->link->closing || !intake->link->synced) {
		intake_free(intake); /* the node went away: it is all done again when it is back */
		return;
	}
	if (err)
		log_warn("node %s: a container could not be taken in: %s", intake->link->node.name,
			 err->text);
	else
		take_in(intake->link, result);
	intake_next(intake);
}

static void intake_next(struct intake *intake)
{
	struct node_link *link = intake->link;
	struct gantry_op *op;

	if (intake->at == intake->count) {
		void (*done)(struct node_link *) = intake->done;

		intake_free(intake);
		done(link);
		return;
	}
	op = op_new(&link->daemon->scope, "inspect a found container", on_inspected, intake);
	op_set_deadline(op, INSPECT_LIMIT_MS);
	link->runtime->inspect(link->handle, intake->container_ids[intake->at++], op);
}

static void know_again(struct daemon *daemon, struct instance *instance)
{
	memset(instance->echoes, 0, sizeof(instance->echoes));
	if (instance->state == INSTANCE_UNKNOWN)
		instance_move(instance, instance_may_move(INSTANCE_UNKNOWN, instance->known_state)
						? instance->known_state
						: INSTANCE_STOPPED);
	/* who came to its log meanwhile takes it for one that may run */
	logs_settled(daemon, instance);
}

/* --- a node that was renamed ---------------------------------------------------------------------- */

/* On a node that is not in the settings any more, as far as we know; the engine of this one has it. */
static bool was_renamed(const struct node_link *link, const struct instance *instance,
			const struct gantry_container *container)
{
	return instance->node && !str_equal(instance->node, link->node.name) &&
	       !fleet_node(&link->daemon->fleet, instance->node) &&
	       (!instance->container_id[0] ||
		str_equal(instance->container_id, container->container_id));
}

static void infer(struct node_link *link, struct instance *instance,
		  const struct gantry_container *container, enum gantry_event_kind kind)
{
	engine_event(link, &(struct gantry_event){
				   .kind = kind,
				   .time_ns = clock_wall_ms() * 1000000,
				   .container_id = container->container_id,
				   .instance = instance->id,
				   .exit_code = container->exit_code,
				   .inferred = true,
			   });
}

/* What became of it meanwhile; the watch was not told that we know it. */
static void infer_moves(struct node_link *link, struct instance *instance,
			const struct gantry_container *container)
{
	enum instance_state now = state_of(container);

	if (now == INSTANCE_STOPPED) {
		infer(link, instance, container, GANTRY_EVENT_DIE);
		return;
	}
	infer(link, instance, container, GANTRY_EVENT_START); /* each is nothing where it is so */
	infer(link, instance, container,
	      now == INSTANCE_PAUSED ? GANTRY_EVENT_PAUSE : GANTRY_EVENT_UNPAUSE);
}

static void adopt(struct node_link *link, struct instance *instance,
		  const struct gantry_container *container)
{
	struct daemon *daemon = link->daemon;
	struct store_batch *batch = store_batch_new(daemon->store);

	log_warn("%s was on node %s, which is not in the settings; its container is on the engine "
		 "of node %s: it belongs to that one from now on",
		 instance->spec.name, instance->node, link->node.name);
	fleet_place(instance, &link->node);
	fleet_count(&daemon->fleet, instance);
	node_promise(&link->node, &instance->spec, 1);
	LIST_FOREACH (entry, &daemon->flows) {
		struct flow *flow = LIST_ENTRY(entry, struct flow, link);

		if (flow->instance == instance && !flow->node)
			flow->node = link;
	}
	know_again(link->daemon, instance);
	instance->changed = true;
	daemon_save_instance(batch, instance);
	takeover_commit(daemon, batch);
	if (!instance->busy) /* else the flow that was interrupted goes by the list */
		infer_moves(link, instance, container);
}

/* --- the whole ---------------------------------------------------------------------------------- */

void takeover_begin(struct node_link *link, const struct gantry_containers *containers,
		    void (*done)(struct node_link *link))
{
	struct intake *intake = xcalloc(1, sizeof(*intake));

	intake->link = link;
	intake->done = done;
	intake->container_ids = xcalloc(containers->count + 1, sizeof(*intake->container_ids));
	LIST_FOREACH (entry, &link->node.placed) {
		know_again(link->daemon, LIST_ENTRY(entry, struct instance, placed));
	}
	strays_listed(link, containers);
	for (size_t i = 0; i < containers->count; i++) {
		const struct gantry_container *container = &containers->items[i];
		const char *id = takeover_label(container, GANTRY_LABEL_INSTANCE);
		struct instance *instance = id ? fleet_find(&link->daemon->fleet, id) : NULL;
		bool renamed;

		if (strays_has(link, container))
			continue;
		if (!instance) {
			intake->container_ids[intake->count++] = xstrdup(container->container_id);
			continue;
		}
		renamed = was_renamed(link, instance, container);
		if (!renamed && !str_equal(instance->node, link->node.name)) {
			log_warn("node %s: container %s is of %s, which is on %s: left alone",
				 link->node.name, container->name, instance->spec.name,
				 instance->node ? instance->node : "no node yet");
			continue;
		}
		instance->listed = container->state;
		if (!instance->container_id[0])
			snprintf(instance->container_id, sizeof(instance->container_id), "%s",
				 container->container_id);
		if (renamed)
			adopt(link, instance, container);
	}
	intake_next(intake);
}

void takeover_node_tried(struct daemon *daemon)
{
	if (daemon->links_untried > 0)
		return;
	LIST_FOREACH (node, &daemon->flows) {
		struct flow *flow = LIST_ENTRY(node, struct flow, link);

		if (!flow->node || flow_can_leave(flow))
			flow_node_is_up(flow);
	}
}

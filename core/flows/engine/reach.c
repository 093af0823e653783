/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/reach.h"
#include "flows/engine/takeover.h"
#include "base/log.h"
#include "base/str.h"

#define LOOK_LIMIT_MS 30000

static void look_next(struct node_link *link);

static bool runs(const struct instance *instance)
{
	return instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_PAUSED;
}

static bool is_up(const struct gantry_container *container)
{
	return container->state == GANTRY_CONTAINER_RUNNING ||
	       container->state == GANTRY_CONTAINER_PAUSED;
}

static void take(struct daemon *daemon, struct instance *instance,
		 const struct gantry_container *container)
{
	struct store_batch *batch;

	instance_take_reach(instance, container);
	if (instance->busy)
		return; /* the flow saves it */
	batch = store_batch_new(daemon->store);
	daemon_save_instance(batch, instance);
	takeover_commit(daemon, batch);
}

static void on_looked(void *arg, const struct gantry_error *err, const void *result)
{
	struct node_link *link = arg;
	const struct gantry_container *container = result;
	struct instance *instance = fleet_find(&link->daemon->fleet, link->reach_of);

	link->reach_op = NULL;
	if (err)
		log_debug("node %s: an address could not be had: %s", link->node.name, err->text);
	else if (instance && runs(instance) && is_up(container) &&
		 str_equal(instance->container_id, container->container_id))
		take(link->daemon, instance, container);
	look_next(link);
}

static void look_next(struct node_link *link)
{
	struct instance *instance;

	while (link->node.state != NODE_UP && !list_empty(&link->reach_line))
		list_remove(link->reach_line.next); /* all are looked for when it is up again */
	if (link->reach_op || list_empty(&link->reach_line) || link->closing)
		return;
	instance = LIST_ENTRY(link->reach_line.next, struct instance, reach);
	list_remove(&instance->reach);
	snprintf(link->reach_of, sizeof(link->reach_of), "%s", instance->id);
	link->reach_op = op_new(&link->daemon->scope, "look for an address", on_looked, link);
	op_set_deadline(link->reach_op, LOOK_LIMIT_MS);
	link->runtime->inspect(link->handle, instance->container_id, link->reach_op);
}

void reach_look(struct daemon *daemon, struct instance *instance)
{
	struct node_link *link = node_link_find(daemon, instance->node);

	if (!link || link->node.state != NODE_UP || !runs(instance) || instance->reach_known ||
	    !list_empty(&instance->reach))
		return;
	list_append(&link->reach_line, &instance->reach);
	look_next(link);
}

void reach_look_all(struct node_link *link, bool again)
{
	LIST_FOREACH (entry, &link->node.placed) {
		struct instance *instance = LIST_ENTRY(entry, struct instance, placed);

		if (again)
			instance->reach_known = false;
		reach_look(link->daemon, instance);
	}
}

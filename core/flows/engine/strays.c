/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/strays.h"
#include "flows/engine/takeover.h"
#include "flows/steps.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

struct stray {
	struct list link; /* in the node link's strays */
	struct node_link *node;
	char instance[INSTANCE_ID_SIZE];
	int64_t generation;
	bool removing;
};

static void fact_name(const struct node_link *link, char *text, size_t size)
{
	snprintf(text, size, "strays.%s", link->node.name);
}

static void add(struct node_link *link, const char *instance, int64_t generation)
{
	struct stray *stray = xcalloc(1, sizeof(*stray));

	stray->node = link;
	snprintf(stray->instance, sizeof(stray->instance), "%s", instance);
	stray->generation = generation;
	list_append(&link->strays, &stray->link);
}

static void drop(struct stray *stray)
{
	list_remove(&stray->link);
	free(stray);
}

static void save(struct node_link *link)
{
	struct store_batch *batch = store_batch_new(link->daemon->store);
	struct str text = STR_INIT;
	char name[100];

	LIST_FOREACH (node, &link->strays) {
		const struct stray *stray = LIST_ENTRY(node, struct stray, link);

		str_addf(&text, "%s%s.%lld", text.length ? " " : "", stray->instance,
			 (long long)stray->generation);
	}
	fact_name(link, name, sizeof(name));
	store_put_fact(batch, name, text.length ? str_text(&text) : NULL);
	takeover_commit(link->daemon, batch);
	str_fini(&text);
}

void strays_init(struct node_link *link)
{
	char name[100], *saved, *rest, *word;

	list_init(&link->strays);
	fact_name(link, name, sizeof(name));
	saved = store_load_fact(link->daemon->store, name);
	for (word = saved ? strtok_r(saved, " ", &rest) : NULL; word;
	     word = strtok_r(NULL, " ", &rest)) {
		char *dot = strchr(word, '.');

		if (!dot)
			continue;
		*dot = '\0';
		add(link, word, atoll(dot + 1));
	}
	free(saved);
}

void strays_fini(struct node_link *link)
{
	LIST_FOREACH (node, &link->strays) {
		drop(LIST_ENTRY(node, struct stray, link));
	}
}

void strays_add(struct node_link *link, const struct instance *instance)
{
	log_warn("node %s: what %s left there is removed when the node comes up the next time",
		 link->node.name, instance->spec.name);
	add(link, instance->id, instance->generation);
	save(link);
}

static bool is_of(const struct stray *stray, const struct gantry_container *container)
{
	const char *generation = takeover_label(container, GANTRY_LABEL_GENERATION);

	return str_equal(takeover_label(container, GANTRY_LABEL_INSTANCE), stray->instance) &&
	       stray->generation == (generation ? atoll(generation) : 1);
}

bool strays_has(const struct node_link *link, const struct gantry_container *container)
{
	LIST_FOREACH (node, &link->strays) {
		if (is_of(LIST_ENTRY(node, struct stray, link), container))
			return true;
	}
	return false;
}

static void on_removed(void *arg, const struct gantry_error *err, const void *result)
{
	struct stray *stray = arg;
	struct node_link *link = stray->node;

	(void)result;
	stray->removing = false;
	if (err && err->code != -ENOENT) {
		log_warn("node %s: a container that a spawn left there cannot be removed: %s",
			 link->node.name, err->text);
		return; /* once more when the node comes up the next time */
	}
	log_info("node %s: removed what a spawn had left there (instance %s)", link->node.name,
		 stray->instance);
	drop(stray);
	if (!link->closing)
		save(link);
}

static void remove_container(struct stray *stray, const char *container_id)
{
	struct node_link *link = stray->node;
	struct gantry_op *op =
		op_new(&link->daemon->scope, "remove what a spawn left", on_removed, stray);

	stray->removing = true;
	op_set_deadline(op, STEP_REMOVE_MS);
	link->runtime->remove(link->handle, container_id, op);
}

void strays_listed(struct node_link *link, const struct gantry_containers *containers)
{
	bool dropped = false;

	LIST_FOREACH (node, &link->strays) {
		struct stray *stray = LIST_ENTRY(node, struct stray, link);
		const char *found = NULL;

		for (size_t i = 0; i < containers->count && !found; i++)
			if (is_of(stray, &containers->items[i]))
				found = containers->items[i].container_id;
		if (stray->removing)
			continue;
		if (found) {
			remove_container(stray, found);
		} else {
			drop(stray);
			dropped = true;
		}
	}
	if (dropped)
		save(link);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes are found by name whatever their order, and each knows the instances that are placed on it. */
#include "tap.h"

#include "base/str.h"
#include "model/fleet.h"

#define NODES 300

static size_t count_placed(const struct node *node)
{
	size_t count = 0;

	LIST_FOREACH (entry, &node->placed) {
		count++;
	}
	return count;
}

static struct instance *add(struct fleet *fleet, const char *name)
{
	char id[INSTANCE_ID_SIZE];
	struct instance *instance;
	struct gantry_error err;

	instance_make_id(id);
	instance = instance_new(id);
	instance->spec.name = arena_strdup(&instance->arena, name);
	instance->spec.project = "default";
	if (fleet_add(fleet, instance, &err) < 0)
		bail_out("%s", err.text);
	return instance;
}

int main(void)
{
	static struct node nodes[NODES];
	static char names[NODES][8];
	struct fleet fleet;
	struct instance *a, *b;
	size_t wrong = 0;

	fleet_init(&fleet);
	ok(!fleet_node(&fleet, "n1"), "a fleet without nodes has none");
	for (size_t i = 0; i < NODES; i++) {
		/* 7 and 300 have no common divisor: each number once, in no order */
		snprintf(names[i], sizeof(names[i]), "n%zu", i * 7 % NODES);
		nodes[i].name = names[i];
		fleet_add_node(&fleet, &nodes[i]);
	}
	for (size_t i = 0; i < NODES; i++)
		wrong += fleet_node(&fleet, names[i]) != &nodes[i] || fleet.nodes[i] != &nodes[i];
	is_int((int64_t)wrong, 0, "each of %d nodes is found by name, and is where it was added",
	       NODES);
	ok(!fleet_node(&fleet, "n"), "a beginning is no name");
	ok(!fleet_node(&fleet, "n300"), "nor is one that nobody has");
	ok(!fleet_node(&fleet, "zz"), "nor one behind the last");
	ok(!fleet_node(&fleet, NULL), "none is none");

	a = add(&fleet, "a");
	b = add(&fleet, "b");
	ok(list_empty(&a->placed), "an instance is nowhere at first");
	fleet_place(a, &nodes[3]);
	fleet_place(b, &nodes[3]);
	is_str(a->node, nodes[3].name, "placed, it names its node");
	is_int((int64_t)count_placed(&nodes[3]), 2, "the node has both");
	fleet_place(a, &nodes[4]);
	is_int((int64_t)count_placed(&nodes[3]), 1, "one that is placed anew leaves its node");
	is_int((int64_t)count_placed(&nodes[4]), 1, "and is on the other");
	is_str(a->node, nodes[4].name, "which it names");
	fleet_remove(&fleet, a);
	is_int((int64_t)count_placed(&nodes[4]), 0, "one that is removed leaves its node");
	fleet_fini(&fleet);
	is_int((int64_t)count_placed(&nodes[3]), 0, "as do all at the end");
	done_testing();
	return tap_end();
}

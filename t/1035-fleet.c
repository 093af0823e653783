/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes are found by name whatever their order, and each knows the instances on it; ports are found with their instances. */
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

static struct instance *add(struct fleet *fleet, const char *name,
			    struct gantry_network_port *ports, size_t count)
{
	char id[INSTANCE_ID_SIZE];
	struct instance *instance;
	struct gantry_error err;

	instance_make_id(id);
	instance = instance_new(id);
	instance->spec.name = arena_strdup(&instance->arena, name);
	instance->spec.project = "default";
	instance->spec.network_ports = (struct gantry_network_ports){ports, count};
	if (fleet_add(fleet, instance, &err) < 0)
		bail_out("%s", err.text);
	return instance;
}

static void port_owners(struct fleet *fleet)
{
	static struct gantry_network_port ports[NODES], two[2] = {{.id = "p-7"}, {.id = "x"}};
	static struct instance *owners[NODES];
	static char names[NODES][8], ids[NODES][8];
	const struct gantry_network_ports none = {0}, one = {&two[1], 1};
	struct instance *twin;
	size_t wrong = 0;

	for (size_t i = 0; i < NODES; i++) {
		snprintf(names[i], sizeof(names[i]), "i%zu", i);
		snprintf(ids[i], sizeof(ids[i]), "p-%zu", i * 7 % NODES);
		ports[i].id = ids[i];
		owners[i] = add(fleet, names[i], &ports[i], 1);
	}
	for (size_t i = 0; i < NODES; i++)
		wrong += fleet_port_owner(fleet, ids[i], NULL) != owners[i] ||
			 fleet_port_owner(fleet, ids[i], owners[i]) != NULL;
	is_int((int64_t)wrong, 0, "each of %d ports is found with its instance, but for itself",
	       NODES);
	ok(!fleet_port_owner(fleet, "p-", NULL) && !fleet_port_owner(fleet, "q", NULL),
	   "one that nobody has is nobody's");
	twin = add(fleet, "twin", two, 2); /* as may be found on engines */
	ok(fleet_port_owner(fleet, "p-7", owners[1]) == twin &&
		   fleet_port_owner(fleet, "p-7", twin) == owners[1],
	   "of two with one port each is told of the other");
	fleet_set_ports(fleet, twin, &one);
	ok(!fleet_port_owner(fleet, "p-7", owners[1]), "a port that is taken off is left");
	ok(fleet_port_owner(fleet, "x", NULL) == twin, "the other stays");
	fleet_set_ports(fleet, owners[2], &none);
	fleet_remove(fleet, twin);
	ok(!fleet_port_owner(fleet, "x", NULL), "what is removed has none");
	for (size_t i = 0; i < NODES; i++)
		fleet_remove(fleet, owners[i]);
	is_int((int64_t)fleet->port_count, 0, "at the end no port is known");
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

	a = add(&fleet, "a", NULL, 0);
	b = add(&fleet, "b", NULL, 0);
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
	port_owners(&fleet);
	fleet_fini(&fleet);
	is_int((int64_t)count_placed(&nodes[3]), 0, "as do all at the end");
	done_testing();
	return tap_end();
}

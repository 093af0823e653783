/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of placement: nodes made on the spot, and a policy set asked for them. */
#ifndef T_PLACING_H
#define T_PLACING_H

#include "policy.h"

#define NODES_MAX 1000

static struct node nodes[NODES_MAX], *list[NODES_MAX];
static char names[NODES_MAX][16];
static struct gantry_pair zone_labels[2][1] = {{{"zone", "a"}}, {{"zone", "b"}}};
static struct gantry_pairs labels[2] = {{zone_labels[0], 1}, {zone_labels[1], 1}};

/* n000, n001, …: memory grows with the number, instances too; zones a and b in turn. */
static void make_nodes(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "n%03zu", i);
		nodes[i] = (struct node){
			.name = names[i],
			.plugin = "sim",
			.labels = &labels[i % 2],
			.state = NODE_UP,
			.memory_bytes = (int64_t)(i + 1) << 30,
			.memory_promised_bytes = 1 << 29,
			.nano_cpus = 4000000000,
			.nano_cpus_promised = 1500000000,
			.instances = (int64_t)i,
			.version = (int64_t)i + 100,
			.facts = {.engine = "docker", .storage_driver = "overlay2", .cpus = 4},
		};
		list[i] = &nodes[i];
	}
}

__attribute__((unused)) static void place(struct trial *trial, struct script_set *set, size_t count)
{
	trial_begin(trial, set, "{\"image\":\"a\",\"memory\":\"1GiB\"}");
	trial->code = script_place(set, &trial->request, list, count, &trial->chosen,
				   &trial->decision, &trial->err);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/node.h"

const char *node_state_text(enum node_state state)
{
	static const char *const names[] = {"connecting", "up", "down"};

	return names[state];
}

void node_promise(struct node *node, const struct gantry_spec *spec, int sign)
{
	node->instances += sign;
	if (spec->memory_bytes != GANTRY_UNSET)
		node->memory_promised_bytes += sign * spec->memory_bytes;
	if (spec->nano_cpus != GANTRY_UNSET)
		node->nano_cpus_promised += sign * spec->nano_cpus;
	label_counts_add(&node->label_counts, spec->project, &spec->labels, sign);
	node->version++;
	if (node->past)
		past_promised(node->past, node->index, spec, sign);
}

void node_changed(struct node *node)
{
	node->version++;
	if (node->past)
		past_broken(node->past, node->index);
}

static struct json_object *print_facts(const struct gantry_node_facts *facts)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "engine", facts->engine);
	json_add_string(object, "engine_version", facts->engine_version);
	json_add_string(object, "api_version", facts->api_version);
	json_add_string(object, "engine_id", facts->engine_id);
	json_add_string(object, "boot_id", facts->boot_id);
	json_add_string(object, "storage_driver", facts->storage_driver);
	json_add_string(object, "cgroup_version", facts->cgroup_version);
	json_add_string(object, "kernel", facts->kernel);
	json_add_string(object, "operating_system", facts->operating_system);
	json_add_string(object, "architecture", facts->architecture);
	json_add_int(object, "cpus", facts->cpus);
	json_add_int(object, "memory_bytes", facts->memory_bytes);
	json_add_bool(object, "memory_limit", facts->memory_limit);
	json_add_bool(object, "swap_limit", facts->swap_limit);
	json_add_bool(object, "cpu_quota", facts->cpu_quota);
	json_add_bool(object, "pids_limit", facts->pids_limit);
	return object;
}

static struct json_object *print_amount(int64_t memory_bytes, int64_t nano_cpus)
{
	struct json_object *object = json_object_new_object();

	json_add_int(object, "memory_bytes", memory_bytes);
	json_add_int(object, "nano_cpus", nano_cpus);
	return object;
}

struct json_object *node_print(const struct node *node)
{
	struct json_object *object = json_object_new_object(), *labels = json_object_new_object();
	struct json_object *promised =
		print_amount(node->memory_promised_bytes, node->nano_cpus_promised);

	json_add_string(object, "name", node->name);
	json_add_string(object, "plugin", node->plugin);
	json_add_string(object, "state", node_state_text(node->state));
	json_add_bool(object, "drained", node->drained);
	for (size_t i = 0; node->labels && i < node->labels->count; i++)
		json_add_string(labels, node->labels->items[i].name, node->labels->items[i].value);
	json_object_object_add(object, "labels", labels);
	if (node->facts.engine)
		json_object_object_add(object, "facts", print_facts(&node->facts));
	json_object_object_add(object, "capacity",
			       print_amount(node->memory_bytes, node->nano_cpus));
	json_add_int(promised, "instances", node->instances);
	json_object_object_add(object, "promised", promised);
	json_add_int(object, "version", node->version);
	json_add_string(object, "last_error", node->last_error[0] ? node->last_error : NULL);
	json_add_time(object, "next_retry_at", node->next_retry_ms);
	json_add_time(object, "up_since", node->up_since_ms);
	return object;
}

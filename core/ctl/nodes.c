/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: node ls, node show. */
#include <stdlib.h>

#include "ctl/operation.h"
#include "ctl/output.h"

static void add_cpus(struct table *table, struct json_object *node, const char *part)
{
	struct json_object *amount = json_get(node, part);

	if (json_get(amount, "nano_cpus"))
		table_addf(table, "%.4g", (double)json_get_int(amount, "nano_cpus", 0) / 1e9);
	else
		table_add(table, NULL);
}

int node_list_command(struct ctl *ctl)
{
	static const char *const titles[] = {"NAME", "STATE",    "ENGINE", "INSTANCES",
					     "CPUS", "PROMISED", "MEMORY", "PROMISED"};
	struct client_reply reply;
	struct json_object *list;
	struct table table;
	int status = call(ctl, NULL, "GET", "/v1/nodes", NULL, 0, &reply, NULL);

	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	list = json_get(reply.json, "nodes");
	table_init(&table, 8, titles);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *node = json_object_array_get_idx(list, i);
		struct json_object *facts = json_get(node, "facts"),
				   *promised = json_get(node, "promised");
		char size[24];

		table_add(&table, json_get_string(node, "name", NULL));
		table_addf(&table, "%s%s", json_get_string(node, "state", "?"),
			   json_get_bool(node, "drained", false) ? ", drained" : "");
		if (json_get_string(facts, "engine", NULL))
			table_addf(&table, "%s %s", json_get_string(facts, "engine", ""),
				   json_get_string(facts, "engine_version", ""));
		else
			table_add(&table, json_get_string(node, "plugin", NULL));
		table_addf(&table, "%lld", (long long)json_get_int(promised, "instances", 0));
		add_cpus(&table, node, "capacity");
		add_cpus(&table, node, "promised");
		output_bytes(json_get(node, "capacity"), "memory_bytes", size, sizeof(size));
		table_add(&table, size);
		output_bytes(promised, "memory_bytes", size, sizeof(size));
		table_add(&table, size);
	}
	table_print(&table);
	client_reply_fini(&reply);
	return CTL_OK;
}

/* Members line by line; an object's below its name. */
static void show_members(struct json_object *object, int depth)
{
	json_object_object_foreach(object, key, value)
	{
		if (json_object_is_type(value, json_type_object)) {
			output_line("%*s%s", 2 * depth, "", key);
			show_members(value, depth + 1);
		} else if (str_starts_with(key, "memory_bytes")) {
			char size[24];

			output_bytes(object, key, size, sizeof(size));
			output_line("%*s%-*s %s", 2 * depth, "", 20 - 2 * depth, "memory", size);
		} else if (strcmp(key, "nano_cpus") == 0) {
			output_line("%*s%-*s %.4g", 2 * depth, "", 20 - 2 * depth, "cpus",
				    (double)json_object_get_int64(value) / 1e9);
		} else if (value) {
			output_line("%*s%-*s %s", 2 * depth, "", 20 - 2 * depth, key,
				    json_object_get_string(value));
		}
	}
}

int node_show_command(struct ctl *ctl)
{
	int status = CTL_OK;
	bool shown = false;

	for (size_t i = 0; i < ctl->args->word_count; i++) {
		struct client_reply reply;
		struct str path = STR_INIT;
		int one;

		str_add(&path, "/v1/nodes/");
		str_add_url(&path, ctl->args->words[i]);
		one = call(ctl, ctl->args->words[i], "GET", str_text(&path), NULL, 0, &reply, NULL);
		str_fini(&path);
		if (status == CTL_OK)
			status = one;
		if (one != CTL_OK)
			continue;
		if (shown && !ctl->json)
			output_line("%s", "");
		if (ctl->json)
			output_raw(&reply);
		else
			show_members(reply.json, 0);
		shown = true;
		client_reply_fini(&reply);
	}
	return status;
}

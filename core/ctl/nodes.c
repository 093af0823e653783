/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and the images on them: node ls, node show, images, pull. */
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

int images_command(struct ctl *ctl)
{
	static const char *const titles[] = {"IMAGE", "ID", "NODE", "SIZE", "CREATED"};
	const char *node = args_text(ctl->args, "node", NULL);
	struct json_object *list, *unreachable;
	struct client_reply reply;
	struct str path = STR_INIT;
	struct table table;
	int status;

	if (node) {
		str_add(&path, "/v1/nodes/");
		str_add_url(&path, node);
		str_add(&path, "/images");
	} else {
		str_add(&path, "/v1/images");
	}
	status = call(ctl, node, "GET", str_text(&path), NULL, 0, &reply, NULL);
	str_fini(&path);
	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	list = json_get(reply.json, "images");
	table_init(&table, 5, titles);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *image = json_object_array_get_idx(list, i);
		struct json_object *tags = json_get(image, "tags");
		const char *id = json_get_string(image, "image_id", "");
		size_t count = tags ? json_object_array_length(tags) : 0;
		char size[24], age[16];

		if (str_starts_with(id, "sha256:"))
			id += strlen("sha256:");
		output_bytes(image, "size_bytes", size, sizeof(size));
		output_age(json_get_string(image, "created_at", NULL), age, sizeof(age));
		for (size_t j = 0; j < (count ? count : 1); j++) {
			table_add(&table,
				  count ? json_object_get_string(json_object_array_get_idx(tags, j))
					: "<none>");
			table_addf(&table, "%.12s", id);
			table_add(&table, json_get_string(image, "node", node));
			table_add(&table, size);
			table_add(&table, age);
		}
	}
	table_print(&table);
	unreachable = json_get(reply.json, "unreachable");
	for (size_t i = 0; unreachable && i < json_object_array_length(unreachable); i++) {
		output_error("node %s cannot be asked",
			     json_object_get_string(json_object_array_get_idx(unreachable, i)));
		status = CTL_FAILED;
	}
	client_reply_fini(&reply);
	return status;
}

static int pull_one(struct ctl *ctl, const char *node, const char *image)
{
	struct json_object *body = json_object_new_object(), *operation = NULL;
	struct str path = STR_INIT;
	int status;

	json_add_string(body, "image", image);
	str_add(&path, "/v1/nodes/");
	str_add_url(&path, node);
	str_add(&path, "/images");
	status = operation_run(ctl, image, "POST", str_text(&path), body, &operation, NULL);
	if (status == CTL_OK && ctl->json)
		output_json(operation);
	else if (status == CTL_OK)
		output_line("%s: %s", node, image);
	fflush(stdout);
	json_object_put(operation);
	json_object_put(body);
	str_fini(&path);
	return status;
}

int pull_command(struct ctl *ctl)
{
	const char *node = args_text(ctl->args, "node", NULL);
	struct client_reply reply = {0};
	struct json_object *list = NULL;
	int status = CTL_OK;

	if (!node) {
		status = call(ctl, NULL, "GET", "/v1/nodes", NULL, 0, &reply, NULL);
		if (status != CTL_OK)
			return status;
		list = json_get(reply.json, "nodes");
	}
	for (size_t i = 0; i < ctl->args->word_count; i++)
		for (size_t j = 0; j < (node   ? 1
					: list ? json_object_array_length(list)
					       : 0);
		     j++) {
			const char *name =
				node ? node
				     : json_get_string(json_object_array_get_idx(list, j), "name",
						       "");
			int one = pull_one(ctl, name, ctl->args->words[i]);

			if (status == CTL_OK)
				status = one;
		}
	client_reply_fini(&reply);
	return status;
}

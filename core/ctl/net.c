/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of networks: one more, one less, and what is wrong with them. */
#include <stdlib.h>

#include "ctl/operation.h"
#include "ctl/output.h"

int net_attach_command(struct ctl *ctl)
{
	const char *name = ctl->args->words[0];
	char *path = instance_path(ctl, name, "/ports");
	struct json_object *body = json_object_new_object();
	int status;

	json_add_string(body, "port", ctl->args->words[1]);
	status = operation_print(ctl, name, "POST", path, body, name);
	json_object_put(body);
	free(path);
	return status;
}

int net_detach_command(struct ctl *ctl)
{
	const char *name = ctl->args->words[0];
	char *path = instance_path(ctl, name, "/ports");
	struct str whole = STR_INIT;
	int status;

	str_add(&whole, path);
	path_query(&whole, "port", ctl->args->words[1]);
	status = operation_print(ctl, name, "DELETE", str_text(&whole), NULL, name);
	str_fini(&whole);
	free(path);
	return status;
}

/* Answers CTL_FAILED where a port has a finding. */
static int show_ports(struct json_object *ports)
{
	static const char *const titles[] = {"PORT", "BRIDGE", "FINDING"};
	int status = CTL_OK;
	struct table table;

	table_init(&table, 3, titles);
	for (size_t i = 0; ports && i < json_object_array_length(ports); i++) {
		struct json_object *port = json_object_array_get_idx(ports, i);
		struct json_object *findings = json_get(port, "findings");
		size_t count = findings ? json_object_array_length(findings) : 0;

		for (size_t j = 0; j < (count ? count : 1); j++) {
			table_add(&table, json_get_string(port, "id", NULL));
			table_add(&table, json_get_string(port, "bridge", NULL));
			table_add(&table, count ? json_object_get_string(
							  json_object_array_get_idx(findings, j))
						: "ok");
		}
		if (count)
			status = CTL_FAILED;
	}
	table_print(&table);
	return status;
}

int net_doctor_command(struct ctl *ctl)
{
	struct client_reply reply;
	int status = instance_call(ctl, "GET", "/ports", &reply);

	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	status = show_ports(json_get(reply.json, "ports"));
	client_reply_fini(&reply);
	return status;
}

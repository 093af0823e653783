/* SPDX-License-Identifier: Apache-2.0 */
/* gantry top. */
#include "ctl/operation.h"
#include "ctl/output.h"

int top_command(struct ctl *ctl)
{
	struct json_object *titles, *rows;
	struct client_reply reply;
	struct table table = {0};
	int status = instance_call(ctl, "GET", "/top", &reply);

	if (status != CTL_OK)
		return status;
	titles = json_get(reply.json, "titles");
	rows = json_get(reply.json, "rows");
	if (ctl->json) {
		output_raw(&reply);
	} else if (json_object_is_type(titles, json_type_array) &&
		   json_object_array_length(titles)) {
		table.columns = json_object_array_length(titles);
		for (size_t i = 0; i < table.columns; i++)
			table_add(&table,
				  json_object_get_string(json_object_array_get_idx(titles, i)));
		for (size_t row = 0; rows && row < json_object_array_length(rows); row++)
			for (size_t i = 0; i < table.columns; i++)
				table_add(&table,
					  json_object_get_string(json_object_array_get_idx(
						  json_object_array_get_idx(rows, row), i)));
		table_print(&table);
	}
	client_reply_fini(&reply);
	return CTL_OK;
}

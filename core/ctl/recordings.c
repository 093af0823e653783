/* SPDX-License-Identifier: Apache-2.0 */
/* gantry recordings. */
#include "ctl/operation.h"
#include "ctl/output.h"

#include <stdlib.h>

static int print_list(struct ctl *ctl)
{
	static const char *const titles[] = {"RECORDING", "INSTANCE", "VERB",   "ACTOR",
					     "SIZE",      "BEGAN",    "COMMAND"};
	struct json_object *list;
	struct client_reply reply;
	struct table table;
	int status = call(ctl, NULL, "GET", "/v1/recordings", NULL, 0, &reply, NULL);

	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	list = json_get(reply.json, "recordings");
	table_init(&table, 7, titles);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		char size[24], age[16];

		output_bytes(one, "bytes", size, sizeof(size));
		output_age(json_get_string(one, "at", NULL), age, sizeof(age));
		table_add(&table, json_get_string(one, "id", ""));
		table_add(&table, json_get_string(one, "name", ""));
		table_add(&table, json_get_string(one, "verb", ""));
		table_add(&table, json_get_string(one, "actor", ""));
		table_add(&table, size);
		table_add(&table, age);
		table_add(&table, json_get_string(one, "command", ""));
	}
	table_print(&table);
	table_fini(&table);
	client_reply_fini(&reply);
	return status;
}

static int on_bytes(void *arg, const char *bytes, size_t length)
{
	(void)arg;
	return output_write(1, bytes, length);
}

int recordings_command(struct ctl *ctl)
{
	const char *id = ctl->args->word_count ? ctl->args->words[0] : NULL;
	struct str path = STR_INIT;
	struct client_reply reply;
	struct gantry_error err;
	int status = CTL_OK;

	if (!id)
		return print_list(ctl);
	str_add(&path, "/v1/recordings/");
	str_add_url(&path, id);
	if (client_stream(ctl->client, str_text(&path), on_bytes, NULL, &reply, &err) < 0) {
		status = output_fail(id, &err);
	} else {
		if (reply.status >= 400)
			status = output_problem(id, reply.status, reply.json);
		client_reply_fini(&reply);
	}
	str_fini(&path);
	return status;
}

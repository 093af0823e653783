/* SPDX-License-Identifier: Apache-2.0 */
/* The console by other ways: on a TCP port of its own (serial), in a browser (console). */
#include <stdlib.h>

#include "ctl/operation.h"
#include "ctl/output.h"

int serial_command(struct ctl *ctl)
{
	const char *name = ctl->args->words[0];
	bool closes = args_has(ctl->args, "close");
	char *path = instance_path(ctl, name, "/serial");
	struct client_reply reply;
	int status = call(ctl, name, closes ? "DELETE" : "POST", path, NULL, 0, &reply, NULL);

	free(path);
	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	if (!closes)
		output_line("%s %lld", json_get_string(reply.json, "host", ""),
			    (long long)json_get_int(reply.json, "port", 0));
	client_reply_fini(&reply);
	return CTL_OK;
}

int console_command(struct ctl *ctl)
{
	const char *name = ctl->args->words[0];
	char *path = instance_path(ctl, name, "/console");
	struct client_reply reply;
	int status = call(ctl, name, "POST", path, NULL, 0, &reply, NULL);

	free(path);
	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	output_line("%s", json_get_string(reply.json, "url", ""));
	client_reply_fini(&reply);
	return CTL_OK;
}

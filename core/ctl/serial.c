/* SPDX-License-Identifier: Apache-2.0 */
/* The console by other ways: on a TCP port of its own (serial), in a browser (console). */
#include "ctl/operation.h"
#include "ctl/output.h"

int serial_command(struct ctl *ctl)
{
	bool closes = args_has(ctl->args, "close");
	struct client_reply reply;
	int status = instance_call(ctl, closes ? "DELETE" : "POST", "/serial", &reply);

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
	struct client_reply reply;
	int status = instance_call(ctl, "POST", "/console", &reply);

	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	output_line("%s", json_get_string(reply.json, "url", ""));
	client_reply_fini(&reply);
	return CTL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon itself: doctor and version. */
#include "ctl/operation.h"
#include "ctl/output.h"

int doctor_command(struct ctl *ctl)
{
	struct client_reply reply;
	struct json_object *checks;
	int status = call(ctl, NULL, "GET", "/v1/doctor", NULL, 0, &reply, NULL);

	if (status != CTL_OK)
		return status;
	checks = json_get(reply.json, "checks");
	if (ctl->json)
		output_raw(&reply);
	for (size_t i = 0; checks && i < json_object_array_length(checks); i++) {
		struct json_object *check = json_object_array_get_idx(checks, i);
		const char *result = json_get_string(check, "status", "?");
		const char *hint = json_get_string(check, "hint", NULL);

		if (strcmp(result, "fail") == 0)
			status = CTL_FAILED;
		if (ctl->json)
			continue;
		output_line("%-4s  %s: %s", result, json_get_string(check, "name", "?"),
			    json_get_string(check, "detail", ""));
		if (hint)
			output_line("      %s", hint);
	}
	client_reply_fini(&reply);
	return status;
}

int version_command(struct ctl *ctl)
{
	struct json_object *plugins;
	struct client_reply reply;
	int status;

	if (!ctl->json) {
		output_line("gantry   %s", CTL_VERSION);
		fflush(stdout);
	}
	status = call(ctl, NULL, "GET", "/v1/version", NULL, 0, &reply, NULL);
	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	output_line("gantryd  %s at %s, API %s", json_get_string(reply.json, "version", "?"),
		    client_host(ctl->client), json_get_string(reply.json, "api", "?"));
	plugins = json_get(reply.json, "plugins");
	for (size_t i = 0; plugins && i < json_object_array_length(plugins); i++) {
		struct json_object *plugin = json_object_array_get_idx(plugins, i);

		output_line("plugin   %s %s", json_get_string(plugin, "name", "?"),
			    json_get_string(plugin, "version", "?"));
	}
	client_reply_fini(&reply);
	return CTL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that do one thing to each instance named. One that fails does not stop the others. */
#include <stdlib.h>

#include "ctl/operation.h"
#include "ctl/output.h"
#include "ctl/spec.h"

/*
 * Asks for the verb on every instance; prints each name as it is done. The answer is the status of
 * the first that failed. body is borrowed, NULL: none.
 */
static int each(struct ctl *ctl, const char *method, const char *rest, const char *query,
		struct json_object *body)
{
	int status = CTL_OK;

	for (size_t i = 0; i < ctl->args->word_count; i++) {
		const char *name = ctl->args->words[i];
		char *path = instance_path(ctl, name, rest);
		struct str whole = STR_INIT;
		int one;

		str_add(&whole, path);
		if (query)
			path_query(&whole, query, "true");
		one = operation_print(ctl, name, method, str_text(&whole), body, name);
		fflush(stdout);
		if (status == CTL_OK)
			status = one;
		str_fini(&whole);
		free(path);
	}
	return status;
}

static int each_with(struct ctl *ctl, const char *rest, const char *key, const char *value)
{
	struct json_object *body = json_object_new_object();
	int status;

	json_add_string(body, key, value);
	status = each(ctl, "POST", rest, NULL, body);
	json_object_put(body);
	return status;
}

int start_command(struct ctl *ctl)
{
	return each(ctl, "POST", "/start", NULL, NULL);
}

int stop_command(struct ctl *ctl)
{
	return each_with(ctl, "/stop", "grace", args_text(ctl->args, "grace", NULL));
}

int restart_command(struct ctl *ctl)
{
	return each_with(ctl, "/restart", "grace", args_text(ctl->args, "grace", NULL));
}

int pause_command(struct ctl *ctl)
{
	return each(ctl, "POST", "/pause", NULL, NULL);
}

int unpause_command(struct ctl *ctl)
{
	return each(ctl, "POST", "/unpause", NULL, NULL);
}

int kill_command(struct ctl *ctl)
{
	return each_with(ctl, "/kill", "signal", args_text(ctl->args, "signal", NULL));
}

int remove_command(struct ctl *ctl)
{
	return each(ctl, "DELETE", "", args_has(ctl->args, "force") ? "force" : NULL, NULL);
}

int resize_command(struct ctl *ctl)
{
	struct json_object *body;
	struct gantry_error err;
	int status;

	if (spec_build(ctl->args, NULL, NULL, 0, &body, &err) < 0)
		return output_usage("resize", "%s", err.text);
	if (json_object_object_length(body) == 0)
		status = output_usage("resize",
				      "what is to change? Give --memory, --cpus or another");
	else
		status = each(ctl, "POST", "/resize", NULL, body);
	json_object_put(body);
	return status;
}

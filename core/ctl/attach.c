/* SPDX-License-Identifier: Apache-2.0 */
/* gantry attach, gantry exec. */
#include "ctl/console.h"
#include "ctl/operation.h"
#include "ctl/output.h"
#include "ctl/spec.h"

#include <stdlib.h>
#include <unistd.h>

int attach_command(struct ctl *ctl)
{
	const char *name = ctl->args->words[0];
	struct client_reply reply;
	struct json_object *spec;
	struct console_ask ask = {
		.command = "attach",
		.subject = name,
		.keys = args_text(ctl->args, "detach-keys", CONSOLE_DETACH_KEYS),
		.observes = args_has(ctl->args, "observe"),
	};
	struct str query = STR_INIT;
	int status, code = 0;

	status = instance_call(ctl, "GET", "", &reply);
	if (status != CTL_OK)
		return status;
	spec = json_get(reply.json, "spec");
	ask.id = json_get_string(reply.json, "id", "");
	ask.tty = json_get_bool(spec, "tty", false);
	ask.input = json_get_bool(spec, "stdin_open", false) && !ask.observes &&
		    !args_has(ctl->args, "no-input");
	str_addf(&query, "/v1/instances/%s/attach?role=%s&take=%s&scrollback=%s", ask.id,
		 ask.observes ? "observer" : "driver",
		 args_has(ctl->args, "take") ? "true" : "false", ask.tty ? "true" : "false");
	if (args_has(ctl->args, "tail"))
		path_query(&query, "tail", args_text(ctl->args, "tail", ""));
	ask.path = str_text(&query);
	switch (console_run(ctl, &ask, &code)) {
	case CONSOLE_ENDED:
		status = instance_wait(ctl, name, ask.id, &code);
		code = status == CTL_OK ? code : status;
		break;
	case CONSOLE_DETACHED:
		output_error("detached from %s, which runs on", name);
		code = CTL_OK;
		break;
	case CONSOLE_OVER:
	case CONSOLE_FAILED:
		break;
	}
	str_fini(&query);
	client_reply_fini(&reply);
	return code;
}

/* Asks for the process; *ret_reply says where to sit at it. */
static int ask_for_exec(struct ctl *ctl, struct client_reply *ret_reply)
{
	const struct args *args = ctl->args;
	struct json_object *body;
	struct gantry_error err;
	char *path;
	int status;

	if (spec_build(args, NULL, args->words + 1, args->word_count - 1, &body, &err) < 0)
		return output_usage("exec", "%s", err.text);
	path = instance_path(ctl, args->words[0], "/exec");
	status = call(ctl, args->words[0], "POST", path, body, 0, ret_reply, NULL);
	free(path);
	json_object_put(body);
	return status;
}

int exec_command(struct ctl *ctl)
{
	const struct args *args = ctl->args;
	struct console_ask ask = {
		.command = "exec",
		.subject = args->words[0],
		.keys = args_text(args, "detach-keys", ""),
		.input = args_has(args, "interactive"),
		.tty = args_has(args, "tty"),
	};
	struct client_reply reply;
	int code = ask_for_exec(ctl, &reply);

	if (code != CTL_OK)
		return code;
	ask.path = json_get_string(reply.json, "path", "");
	if (console_run(ctl, &ask, &code) == CONSOLE_DETACHED)
		output_error("left %s; what was started in it runs on", args->words[0]);
	client_reply_fini(&reply);
	return code;
}

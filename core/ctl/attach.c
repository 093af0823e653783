/* SPDX-License-Identifier: Apache-2.0 */
/* gantry attach, gantry exec. */
#include "ctl/console.h"
#include "ctl/operation.h"
#include "ctl/output.h"

#include <stdlib.h>
#include <unistd.h>

int attach_command(struct ctl *ctl)
{
	const char *name = ctl->args->words[0];
	char *path = instance_path(ctl, name, "");
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

	status = call(ctl, name, "GET", path, NULL, 0, &reply, NULL);
	free(path);
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
	char *start = instance_path(ctl, args->words[0], "/exec");
	struct str path = STR_INIT;
	int code = 0;

	str_add(&path, start);
	free(start);
	path_query(&path, "tty", ask.tty ? "true" : "false");
	path_query(&path, "stdin", ask.input ? "true" : "false");
	for (size_t i = 0; i < args->count; i++)
		if (str_equal(args->items[i].option->name, "env"))
			path_query(&path, "environment", args->items[i].value);
	if (args_has(args, "user"))
		path_query(&path, "user", args_text(args, "user", ""));
	if (args_has(args, "workdir"))
		path_query(&path, "working_dir", args_text(args, "workdir", ""));
	for (size_t i = 1; i < args->word_count; i++)
		path_query(&path, "command", args->words[i]);
	ask.path = str_text(&path);
	if (console_run(ctl, &ask, &code) == CONSOLE_DETACHED)
		output_error("left %s; what was started in it runs on", args->words[0]);
	str_fini(&path);
	return code;
}

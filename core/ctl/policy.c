/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: what is in force, a check of files, a dry run. */
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/explain.h"
#include "ctl/operation.h"
#include "ctl/output.h"
#include "ctl/spec.h"

/* What became of the events that a policy's event hook was given. */
static void show_events(struct json_object *policy)
{
	struct json_object *events = json_get(policy, "events");
	const char *error = json_get_string(events, "last_error", NULL);

	if (!events)
		return;
	output_line("%s: event hook: %lld done, %lld failed, %lld dropped, %lld queued%s%s",
		    json_get_string(policy, "name", "?"),
		    (long long)json_get_int(events, "done", 0),
		    (long long)json_get_int(events, "failed", 0),
		    (long long)json_get_int(events, "dropped", 0),
		    (long long)json_get_int(events, "queued", 0), error ? "; last error: " : "",
		    error ? error : "");
}

/* What a policy's log hook has made of lines. */
static void show_log(struct json_object *policy)
{
	struct json_object *log = json_get(policy, "log");
	int64_t lines = json_get_int(log, "lines", 0);

	if (!log)
		return;
	output_line(
		"%s: log hook: %lld lines, %lld dropped, %lld changed, %lld tagged, %lld failed, "
		"%.1f us a line",
		json_get_string(policy, "name", "?"), (long long)lines,
		(long long)json_get_int(log, "dropped", 0),
		(long long)json_get_int(log, "changed", 0),
		(long long)json_get_int(log, "tagged", 0),
		(long long)json_get_int(log, "failed", 0),
		lines ? (double)json_get_int(log, "took_us", 0) / (double)lines : 0.0);
}

/* Asks for the set in force, by whatever route answers it, and shows it. */
static int show_set(struct ctl *ctl, const char *method, const char *route)
{
	static const char *const titles[] = {"POLICY", "MODE", "ON ERROR", "HOOKS", "FILE"};
	struct client_reply reply;
	struct json_object *list;
	struct table table;
	int status = call(ctl, NULL, method, route, NULL, 0, &reply, NULL);

	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	output_line("revision %s", json_get_string(reply.json, "revision", "?"));
	if (json_get_string(reply.json, "refused", NULL))
		output_line("the folder's policies are not in force: %s",
			    json_get_string(reply.json, "refused", ""));
	list = json_get(reply.json, "policies");
	table_init(&table, 5, titles);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *policy = json_object_array_get_idx(list, i);
		struct json_object *hooks = json_get(policy, "hooks");
		struct str text = STR_INIT;

		for (size_t j = 0; hooks && j < json_object_array_length(hooks); j++)
			str_addf(&text, "%s%s", j ? " " : "",
				 json_object_get_string(json_object_array_get_idx(hooks, j)));
		table_add(&table, json_get_string(policy, "name", NULL));
		table_add(&table, json_get_string(policy, "mode", NULL));
		table_add(&table, json_get_string(policy, "on_error", NULL));
		table_add(&table, str_text(&text));
		table_add(&table, json_get_string(policy, "file", NULL));
		str_fini(&text);
	}
	table_print(&table);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		show_events(json_object_array_get_idx(list, i));
		show_log(json_object_array_get_idx(list, i));
	}
	client_reply_fini(&reply);
	return CTL_OK;
}

int policy_status_command(struct ctl *ctl)
{
	return show_set(ctl, "GET", "/v1/policies");
}

int policy_reload_command(struct ctl *ctl)
{
	return show_set(ctl, "POST", "/v1/policies/reload");
}

/* gantryd has the Lua host: the one beside this program, else the one in PATH. */
int policy_check_command(struct ctl *ctl)
{
	char self[PATH_MAX], *beside;
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *path = ctl->args->words[0];

	fflush(NULL);
	if (length > 0) {
		self[length] = '\0';
		beside = xasprintf("%s/gantryd", dirname(self));
		execl(beside, "gantryd", "--check-policies", path, NULL);
		free(beside);
	}
	execlp("gantryd", "gantryd", "--check-policies", path, NULL);
	output_error("policy check runs gantryd, which is neither beside gantry nor in PATH: %s",
		     strerror(errno));
	return CTL_FAILED;
}

int policy_eval_command(struct ctl *ctl)
{
	struct json_object *body, *spec, *decision;
	struct args *args = ctl->args;
	struct client_reply reply;
	struct gantry_error err;
	int status;

	if (args->word_count == 0 && !args_has(args, "spec"))
		return output_usage("policy eval", "which image?");
	if (spec_build(args, args->word_count ? args->words[0] : NULL, args->words + 1,
		       args->word_count > 1 ? args->word_count - 1 : 0, &spec, &err) < 0)
		return output_usage("policy eval", "%s", err.text);
	body = json_object_new_object();
	json_object_object_add(body, "spec", spec);
	json_add_string(body, "verb", args_text(args, "verb", NULL));
	json_add_string(body, "actor", args_text(args, "actor", NULL));
	if (args_has(args, "line")) {
		json_object_object_add(body, "line", json_object_new_object());
		json_add_string(json_get(body, "line"), "text", args_text(args, "line", ""));
	}
	status = call(ctl, NULL, "POST", "/v1/policies/eval", body, 0, &reply, NULL);
	json_object_put(body);
	if (status != CTL_OK)
		return status;
	decision = json_get(reply.json, "decision");
	if (ctl->json)
		output_raw(&reply);
	else
		explain_decision(decision);
	status = json_get_bool(decision, "allowed", false) ? CTL_OK : CTL_REFUSED;
	client_reply_fini(&reply);
	return status;
}

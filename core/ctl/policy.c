/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: what is in force, a check of files, a dry run, and why something was decided. */
#include <ctype.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/operation.h"
#include "ctl/output.h"
#include "ctl/spec.h"

/* Asks for the set in force, by whatever route answers it, and shows it. */
static int show_set(struct ctl *ctl, const char *method, const char *route)
{
	static const char *const titles[] = {"POLICY", "MODE", "ON ERROR", "HOOKS", "FILE"};
	struct client_reply reply;
	struct json_object *list;
	struct table table;
	int status = call(ctl, NULL, method, route, NULL, 0, &reply, NULL);

	if (status != CTL_OK)
		return status;
	if (ctl->json) {
		output_raw(&reply);
		client_reply_fini(&reply);
		return CTL_OK;
	}
	output_line("revision %s", json_get_string(reply.json, "revision", "?"));
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

static void show_record(struct json_object *record)
{
	struct json_object *answer = json_get(record, "answer");
	const char *subject = json_get_string(record, "subject", NULL);
	const char *reason = json_get_string(record, "reason", NULL);
	const char *file = json_get_string(record, "file", NULL);
	struct str line = STR_INIT;

	str_addf(&line, "  %-11s %-16s %-6s", json_get_string(record, "hook", "?"),
		 json_get_string(record, "policy", "?"), json_get_string(record, "outcome", "?"));
	if (subject)
		str_addf(&line, " %s", subject);
	if (answer)
		str_addf(&line, " %s",
			 json_object_to_json_string_ext(
				 answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	if (reason)
		str_addf(&line, ": %s", reason);
	if (file && json_get_int(record, "line", 0))
		str_addf(&line, " (%s:%lld)", file, (long long)json_get_int(record, "line", 0));
	else if (file)
		str_addf(&line, " (%s)", file);
	if (json_get_bool(record, "shadow", false))
		str_add(&line, " [shadow: without effect]");
	if (json_get_bool(record, "conflict", false))
		str_add(&line, " [conflict: changes what another policy set]");
	output_line("%s", str_text(&line));
	str_fini(&line);
}

static void show_decision(struct json_object *decision)
{
	struct json_object *records = json_get(decision, "records");
	int64_t id = json_get_int(decision, "id", 0);
	const char *instance = json_get_string(decision, "instance", NULL);
	const char *reason = json_get_string(decision, "reason", NULL);
	struct str line = STR_INIT;

	if (id)
		str_addf(&line, "decision %lld: ", (long long)id);
	str_addf(&line, "%s%s%s by %s in project %s ", json_get_string(decision, "verb", "?"),
		 instance ? " of " : "", instance ? instance : "",
		 json_get_string(decision, "actor", "?"),
		 json_get_string(decision, "project", "?"));
	str_add(&line, json_get_bool(decision, "allowed", false) ? "allowed" : "refused");
	if (json_get_string(decision, "node", NULL))
		str_addf(&line, ", node %s", json_get_string(decision, "node", ""));
	output_line("%s", str_text(&line));
	str_fini(&line);
	output_line("at %s under revision %s", json_get_string(decision, "at", "?"),
		    json_get_string(decision, "revision", "?"));
	if (reason)
		output_line("because %s", reason);
	for (size_t i = 0; records && i < json_object_array_length(records); i++)
		show_record(json_object_array_get_idx(records, i));
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
	status = call(ctl, NULL, "POST", "/v1/policies/eval", body, 0, &reply, NULL);
	json_object_put(body);
	if (status != CTL_OK)
		return status;
	decision = json_get(reply.json, "decision");
	if (ctl->json)
		output_raw(&reply);
	else
		show_decision(decision);
	status = json_get_bool(decision, "allowed", false) ? CTL_OK : CTL_REFUSED;
	client_reply_fini(&reply);
	return status;
}

static bool is_number(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isdigit((unsigned char)*p))
			return false;
	return *text != '\0';
}

int policy_explain_command(struct ctl *ctl)
{
	const char *word = ctl->args->words[0];
	struct client_reply reply;
	struct json_object *list;
	size_t count;
	char *path;
	int status;

	if (is_number(word))
		path = xasprintf("/v1/decisions/%s", word);
	else
		path = instance_path(ctl, word, "/decisions");
	status = call(ctl, word, "GET", path, NULL, 0, &reply, NULL);
	free(path);
	if (status != CTL_OK)
		return status;
	list = json_get(reply.json, "decisions");
	count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	if (ctl->json) {
		output_raw(&reply);
	} else if (!list) {
		show_decision(reply.json);
	} else if (count == 0) {
		output_error("%s: no decision is kept", word);
		status = CTL_NOT_FOUND;
	} else {
		for (size_t i = 0; i < count && (i == 0 || args_has(ctl->args, "all")); i++) {
			if (i)
				output_line("%s", "");
			show_decision(json_object_array_get_idx(list, i));
		}
	}
	client_reply_fini(&reply);
	return status;
}

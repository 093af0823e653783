/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: the set in force, a dry run, and the decisions of the past. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/str.h"
#include "flows/policy/event_hooks.h"
#include "flows/policy/placements.h"
#include "flows/policy/policy_reload.h"
#include "script/log_hook.h"
#include "model/spec.h"

#include <stdlib.h>

/* The set's own list, with what became of the events that its hooks were given. */
static struct json_object *print_policies(const struct daemon *daemon)
{
	struct json_object *list = script_set_print(daemon->policies);

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *policy = json_object_array_get_idx(list, i);
		struct json_object *events =
			event_hooks_print(daemon, json_get_string(policy, "name", ""));

		if (events)
			json_object_object_add(policy, "events", events);
	}
	return list;
}

void handle_policy_show(struct call *call)
{
	const struct daemon *daemon = call->daemon;
	struct json_object *object = json_object_new_object();

	json_add_string(object, "revision", script_set_revision(daemon->policies));
	json_add_string(object, "folder", daemon->settings->policies);
	json_add_time(object, "loaded_at", daemon->policies_loaded_ms);
	json_add_string(object, "refused",
			daemon->policies_error[0] ? daemon->policies_error : NULL);
	json_object_object_add(object, "policies", print_policies(daemon));
	call_reply(call, 200, object);
}

/* --- reload -------------------------------------------------------------------------------------- */

struct reload_wait {
	struct call *call;
	struct reload_waiter waiter;
};

static void on_reloaded(struct reload_waiter *waiter, const struct gantry_error *err)
{
	struct reload_wait *wait = LIST_ENTRY(waiter, struct reload_wait, waiter);
	struct gantry_error refused;

	http_request_on_gone(wait->call->request, NULL, NULL);
	if (!err) {
		handle_policy_show(wait->call);
		return;
	}
	refused = *err;
	refused.code = -EINVAL; /* whatever it was: the folder's set is not good */
	call_fail(wait->call, &refused);
}

static void on_reload_gone(void *arg)
{
	list_remove(&((struct reload_wait *)arg)->waiter.link);
}

void handle_policy_reload(struct call *call)
{
	struct reload_wait *wait = ARENA_NEW(http_request_arena(call->request), struct reload_wait);

	wait->call = call;
	wait->waiter.done = on_reloaded;
	http_request_on_gone(call->request, on_reload_gone, wait);
	policy_reload(call->daemon, &wait->waiter);
}

/* --- eval ---------------------------------------------------------------------------------------- */

static int ask_all(struct call *call, const struct script_request *request, struct arena *arena,
		   struct gantry_spec *spec, struct script_decision *decision,
		   struct gantry_error *err)
{
	struct script_set *set = call->daemon->policies;
	const struct fleet *fleet = &call->daemon->fleet;
	struct node **nodes = ARENA_ARRAY(arena, struct node *, fleet->node_count + 1);
	struct node *chosen;
	size_t count = 0;
	int code = script_admit(set, request, decision, err);

	if (code < 0 || !str_equal(request->verb, "spawn"))
		return code;
	code = script_environment(set, request, arena, spec, decision, err);
	if (code == 0)
		code = script_resources(set, request, arena, spec, decision, err);
	if (code < 0)
		return code;
	for (size_t i = 0; i < fleet->node_count; i++)
		if (fleet->nodes[i]->state == NODE_UP && !fleet->nodes[i]->drained)
			nodes[count++] = fleet->nodes[i];
	if (count == 0)
		return 0; /* placement is not asked where there is no choice */
	return script_place(set, request, nodes, count, &chosen, decision, err);
}

/* What would be made of a line. -EINVAL: answered. */
static int ask_log(struct call *call, struct arena *arena, const struct gantry_spec *spec,
		   struct script_decision *decision)
{
	struct json_object *given = json_get(call->body, "line");
	const char *text = json_get_string(given, "text", NULL);
	const char *stream = json_get_string(given, "stream", "stdout");
	const struct script_origin origin = {
		.name = spec->name,
		.project = spec->project,
		.image = spec->image,
		.labels = &spec->labels,
	};
	struct script_line line = {
		.origin = &origin,
		.sequence = 1,
		.boot = 1,
		.time_ns = clock_wall_ns(),
		.stream = str_equal(stream, "stderr") ? 2 : 1,
		.text = text,
		.length = text ? strlen(text) : 0,
	};
	struct gantry_error err;

	if (!text || (line.stream == 1 && !str_equal(stream, "stdout"))) {
		gantry_error_field(&err, -EINVAL, "line",
				   "must be a text and maybe a stream, as "
				   "{\"text\": \"x\", \"stream\": \"stderr\"}");
		call_fail(call, &err);
		return -EINVAL;
	}
	script_log_decide(call->daemon->policies, &line, arena, decision);
	return 0;
}

/* Those members that are there must be texts. */
static int check_texts(struct call *call, const char *const *names)
{
	struct json_object *value;
	struct gantry_error err;

	for (; *names; names++) {
		value = json_get(call->body, *names);
		if (!value || json_object_is_type(value, json_type_string))
			continue;
		gantry_error_field(&err, -EINVAL, *names, "must be a text, not %s",
				   json_type_text(value));
		call_fail(call, &err);
		return -EINVAL;
	}
	return 0;
}

void handle_policy_eval(struct call *call)
{
	static const char *const members[] = {"spec",    "verb", "actor", "user",
					      "project", "exec", "line",  NULL};
	static const char *const texts[] = {"verb", "actor", "user", "project", NULL};
	struct arena *arena = http_request_arena(call->request);
	struct script_decision decision;
	struct script_request request;
	struct json_object *object;
	struct gantry_spec spec;
	struct gantry_exec exec;
	struct gantry_error err;

	if (call_check_members(call, members) < 0 || check_texts(call, texts) < 0)
		return;
	if (!json_get(call->body, "spec")) {
		gantry_error_field(&err, -EINVAL, "spec", "is required: what to run");
		call_fail(call, &err);
		return;
	}
	if (spec_parse(json_get(call->body, "spec"), arena, &spec, &err) < 0 ||
	    (json_get(call->body, "exec") &&
	     spec_parse_exec(json_get(call->body, "exec"), arena, &exec, &err) < 0)) {
		call_fail(call, &err);
		return;
	}
	if (!spec.project)
		spec.project = arena_strdup(
			arena, json_get_string(call->body, "project",
					       call->project ? call->project : "default"));
	if (!spec.name)
		spec.name = "unnamed";
	request = (struct script_request){
		.verb = json_get_string(call->body, "verb",
					json_get(call->body, "exec") ? "exec" : "spawn"),
		.actor = json_get_string(call->body, "actor", call->actor),
		.user = json_get_string(call->body, "user", call->user),
		.project = spec.project,
		.spec = &spec,
		.exec = json_get(call->body, "exec") ? &exec : NULL,
		.now_ms = clock_wall_ms(),
		.seed = (uint64_t)clock_wall_ms(),
		.usage = fleet_usage(&call->daemon->fleet, spec.project, NULL),
	};
	spec_unsafe(&spec, arena, &request.unsafe);
	if (json_get(call->body, "line"))
		request.verb = "log";
	script_decision_init(&decision, call->daemon->policies, &request, 0);
	if (!json_get(call->body, "line"))
		ask_all(call, &request, arena, &spec, &decision, &err);
	else if (ask_log(call, arena, &spec, &decision) < 0) {
		script_decision_fini(&decision);
		return;
	}
	object = json_object_new_object();
	json_object_object_add(object, "decision", script_decision_print(&decision));
	json_object_object_add(object, "spec", spec_print(&spec, SPEC_VALUES_PLAIN));
	script_decision_fini(&decision);
	call_reply(call, 200, object);
}

/* --- decisions ----------------------------------------------------------------------------------- */

static void answer_decision(struct call *call, const struct gantry_error *err, char *const *rows,
			    size_t count)
{
	struct gantry_error missing;

	if (!err && count == 0) {
		gantry_error_set(&missing, -ENOENT, "there is no decision %.40s", call->parameter);
		err = &missing;
	}
	if (err)
		call_fail(call, err);
	else
		http_reply(call->request, 200, "application/json", rows[0], strlen(rows[0]));
}

/* The number in the path, 0: answered. */
static int64_t decision_id(struct call *call)
{
	char *end;
	long long id = strtoll(call->parameter, &end, 10);
	struct gantry_error err;

	if (!*end && id >= 1)
		return id;
	gantry_error_field(&err, -EINVAL, "id", "must be a decision's number, not \"%.40s\"",
			   call->parameter);
	call_fail(call, &err);
	return 0;
}

void handle_decision_show(struct call *call)
{
	int64_t id = decision_id(call);

	if (id)
		store_read_decision(call->daemon->store, id, call_rows,
				    call_lookup(call, answer_decision));
}

/* There is such a decision, and no placement of it is in memory. */
static void answer_without_matrix(struct call *call, const struct gantry_error *err,
				  char *const *rows, size_t count)
{
	struct json_object *decision = NULL;
	bool placed = false;

	if (err || count == 0) {
		answer_decision(call, err, rows, count);
		return;
	}
	if (json_parse(rows[0], strlen(rows[0]), &decision, NULL) == 0)
		placed = json_get_string(decision, "node", NULL) != NULL;
	call_reply(call, 200,
		   placements_no_matrix(
			   json_get_int(decision, "id", 0),
			   placed ? "it is not kept any more: only the last placements since "
				    "gantryd started are"
				  : "it chose no node, or is not kept any more: only the last "
				    "placements since gantryd started are"));
	json_object_put(decision);
}

void handle_decision_matrix(struct call *call)
{
	int64_t id = decision_id(call);
	struct json_object *matrix = id ? placements_matrix(call->daemon, id) : NULL;

	if (matrix)
		call_reply(call, 200, matrix);
	else if (id)
		store_read_decision(call->daemon->store, id, call_rows,
				    call_lookup(call, answer_without_matrix));
}

static void answer_decisions(struct call *call, const struct gantry_error *err, char *const *rows,
			     size_t count)
{
	struct str text = STR_INIT;

	if (err) {
		call_fail(call, err);
		return;
	}
	str_add(&text, "{\"decisions\":[");
	for (size_t i = 0; i < count; i++)
		str_addf(&text, "%s%s", i ? "," : "", rows[i]);
	str_add(&text, "]}");
	http_reply(call->request, 200, "application/json", text.data, text.length);
	str_fini(&text);
}

void handle_instance_decisions(struct call *call)
{
	const char *id;
	int64_t limit;

	if (call_integer(call, "limit", 1, 1000, 100, &limit) < 0)
		return;
	id = call_instance_id(call, call->parameter);
	if (id)
		store_read_decisions(call->daemon->store, id, (size_t)limit, call_rows,
				     call_lookup(call, answer_decisions));
}

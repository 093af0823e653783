/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: list, show, and the verbs that start a flow. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "base/units.h"

#include <stdlib.h>

/* --- reading ------------------------------------------------------------------------------------- */

struct selection {
	const char *project, *node, *states;
	struct gantry_pair labels[16]; /* value NULL: any */
	size_t label_count;
};

static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ',') && (at[length] == '\0' || at[length] == ','))
			return true;
	return false;
}

static bool has_label(const struct instance *instance, const struct gantry_pair *wanted)
{
	for (size_t i = 0; i < instance->spec.labels.count; i++) {
		const struct gantry_pair *label = &instance->spec.labels.items[i];

		if (str_equal(label->name, wanted->name) &&
		    (!wanted->value || str_equal(label->value, wanted->value)))
			return true;
	}
	return false;
}

static bool fits(const struct selection *selection, const struct instance *instance)
{
	if (selection->project && !str_equal(selection->project, instance->spec.project))
		return false;
	if (selection->node && !str_equal(selection->node, instance->node))
		return false;
	if (selection->states && !has_word(selection->states, instance_state_text(instance->state)))
		return false;
	for (size_t i = 0; i < selection->label_count; i++)
		if (!has_label(instance, &selection->labels[i]))
			return false;
	return true;
}

static int read_states(struct call *call, const char *text, struct gantry_error *err)
{
	char *copy = arena_strdup(http_request_arena(call->request), text), *rest = copy, *word;
	enum instance_state state;

	while ((word = strsep(&rest, ",")))
		if (instance_state_parse(word, &state) < 0)
			return gantry_error_field(err, -EINVAL, "state",
						  "there is no state \"%.60s\"", word);
	return 0;
}

static int read_selection(struct call *call, struct selection *ret_selection,
			  struct gantry_error *err)
{
	const char *name, *value;
	size_t position = 0;

	*ret_selection = (struct selection){
		.project = call->project,
		.node = http_request_query(call->request, "node"),
		.states = http_request_query(call->request, "state"),
	};
	while (http_request_query_next(call->request, &position, &name, &value)) {
		struct gantry_pair *label = &ret_selection->labels[ret_selection->label_count];
		char *equals;

		if (!name || !value || !str_equal(name, "label"))
			continue;
		if (ret_selection->label_count == 16)
			return gantry_error_field(err, -EINVAL, "label", "at most 16 can be given");
		label->name = arena_strdup(http_request_arena(call->request), value);
		equals = strchr(label->name, '=');
		if (equals) {
			*equals = '\0';
			label->value = equals + 1;
		}
		ret_selection->label_count++;
	}
	return ret_selection->states ? read_states(call, ret_selection->states, err) : 0;
}

void handle_instance_list(struct call *call)
{
	struct json_object *object, *list;
	struct selection selection;
	struct gantry_error err;

	if (read_selection(call, &selection, &err) < 0) {
		call_fail(call, &err);
		return;
	}
	object = json_object_new_object();
	list = json_object_new_array();
	LIST_FOREACH (node, &call->daemon->fleet.instances) {
		struct instance *instance = LIST_ENTRY(node, struct instance, link);

		if (fits(&selection, instance))
			json_object_array_add(list, instance_print(instance));
	}
	json_object_object_add(object, "instances", list);
	call_reply(call, 200, object);
}

void handle_instance_show(struct call *call)
{
	struct instance *instance = call_instance(call);

	if (instance)
		call_reply(call, 200, instance_print(instance));
}

/* --- verbs --------------------------------------------------------------------------------------- */

/* operation is read after the verb in the same call has set it, so it comes by its address. */
static void answer(struct call *call, int code, struct operation *const *operation,
		   const struct gantry_error *err, int success_status)
{
	if (code < 0)
		call_fail(call, err);
	else
		call_answer_operation(call, *operation, success_status);
}

void handle_instance_spawn(struct call *call)
{
	struct operation *operation = NULL;
	struct gantry_error err;
	struct flows_ask ask;
	bool start = true;

	if (http_request_query(call->request, "start") && call_bool(call, "start", &start) < 0)
		return;
	if (call_ask(call, 201, &ask) == 0)
		answer(call, flows_spawn(call->daemon, &ask, call->body, start, &operation, &err),
		       &operation, &err, 201);
}

/* What all verbs on an instance begin with; NULL: answered. */
static struct instance *begin(struct call *call, struct flows_ask *ret_ask)
{
	return call_ask(call, 200, ret_ask) == 0 ? call_instance(call) : NULL;
}

void handle_instance_remove(struct call *call)
{
	struct operation *operation = NULL;
	struct instance *instance;
	struct gantry_error err;
	struct flows_ask ask;
	bool force;

	if (call_bool(call, "force", &force) < 0)
		return;
	instance = begin(call, &ask);
	if (instance)
		answer(call, flows_remove(call->daemon, &ask, instance, force, &operation, &err),
		       &operation, &err, 200);
}

typedef int (*plain_verb)(struct daemon *daemon, const struct flows_ask *ask,
			  struct instance *instance, struct operation **ret_operation,
			  struct gantry_error *err);

static void handle_plain(struct call *call, plain_verb verb)
{
	struct operation *operation = NULL;
	struct gantry_error err;
	struct flows_ask ask;
	struct instance *instance = begin(call, &ask);

	if (instance)
		answer(call, verb(call->daemon, &ask, instance, &operation, &err), &operation, &err,
		       200);
}

void handle_instance_start(struct call *call)
{
	handle_plain(call, flows_start);
}

void handle_instance_pause(struct call *call)
{
	handle_plain(call, flows_pause);
}

void handle_instance_unpause(struct call *call)
{
	handle_plain(call, flows_unpause);
}

static int read_grace(struct call *call, int64_t *ret_ms)
{
	static const char *const members[] = {"grace", NULL};
	struct json_object *value = json_get(call->body, "grace");
	struct gantry_error err;
	int code = 0;

	*ret_ms = GANTRY_UNSET;
	if (call_check_members(call, members) < 0)
		return -EINVAL;
	if (!value)
		return 0;
	if (json_object_is_type(value, json_type_string))
		code = units_parse_duration(json_object_get_string(value), ret_ms);
	else if (json_object_is_type(value, json_type_int) ||
		 json_object_is_type(value, json_type_double))
		*ret_ms = (int64_t)(json_object_get_double(value) * 1000);
	else
		code = -EINVAL;
	if (code == 0 && *ret_ms >= 0 && *ret_ms <= 3600000)
		return 0;
	gantry_error_field(&err, -EINVAL, "grace",
			   "%s is no duration; write one as \"10s\", at most an hour",
			   json_object_to_json_string(value));
	call_fail(call, &err);
	return -EINVAL;
}

typedef int (*grace_verb)(struct daemon *daemon, const struct flows_ask *ask,
			  struct instance *instance, int64_t grace_ms,
			  struct operation **ret_operation, struct gantry_error *err);

static void handle_with_grace(struct call *call, grace_verb verb)
{
	struct operation *operation = NULL;
	struct instance *instance;
	struct gantry_error err;
	struct flows_ask ask;
	int64_t grace_ms;

	if (read_grace(call, &grace_ms) < 0)
		return;
	instance = begin(call, &ask);
	if (instance)
		answer(call, verb(call->daemon, &ask, instance, grace_ms, &operation, &err),
		       &operation, &err, 200);
}

void handle_instance_stop(struct call *call)
{
	handle_with_grace(call, flows_stop);
}

void handle_instance_restart(struct call *call)
{
	handle_with_grace(call, flows_restart);
}

static int read_signal(struct call *call, int *ret_signal)
{
	static const char *const members[] = {"signal", NULL};
	struct json_object *value = json_get(call->body, "signal");
	struct gantry_error err;

	if (call_check_members(call, members) < 0)
		return -EINVAL;
	*ret_signal = instance_signal_parse(value ? json_object_get_string(value) : "KILL");
	if (*ret_signal > 0)
		return 0;
	gantry_error_field(&err, -EINVAL, "signal",
			   "%s is no signal; write a name as \"TERM\" or a number",
			   json_object_to_json_string(value));
	call_fail(call, &err);
	return -EINVAL;
}

void handle_instance_kill(struct call *call)
{
	struct operation *operation = NULL;
	struct instance *instance;
	struct gantry_error err;
	struct flows_ask ask;
	int signal;

	if (read_signal(call, &signal) < 0)
		return;
	instance = begin(call, &ask);
	if (instance)
		answer(call, flows_kill(call->daemon, &ask, instance, signal, &operation, &err),
		       &operation, &err, 200);
}

void handle_instance_resize(struct call *call)
{
	struct operation *operation = NULL;
	struct gantry_error err;
	struct flows_ask ask;
	struct instance *instance = begin(call, &ask);

	if (instance)
		answer(call,
		       flows_resize(call->daemon, &ask, instance, call->body, &operation, &err),
		       &operation, &err, 200);
}

void handle_instance_commit(struct call *call)
{
	static const char *const members[] = {"image", "pause", NULL};
	struct operation *operation = NULL;
	struct gantry_error err;
	struct flows_ask ask;
	struct instance *instance;

	if (call_check_members(call, members) < 0)
		return;
	instance = begin(call, &ask);
	if (instance)
		answer(call,
		       flows_commit(call->daemon, &ask, instance,
				    json_get_string(call->body, "image", NULL),
				    json_get_bool(call->body, "pause", true), &operation, &err),
		       &operation, &err, 200);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Why: a decision in words; who set a variable or a limit, over what. */
#include "ctl/explain.h"
#include "base/units.h"
#include "ctl/operation.h"
#include "ctl/output.h"

#include <ctype.h>
#include <stdlib.h>

/* --- a decision ---------------------------------------------------------------------------------- */

/* " (FILE:LINE)", where the record has them. */
void explain_add_place(struct str *line, struct json_object *record)
{
	const char *file = json_get_string(record, "file", NULL);
	int64_t number = json_get_int(record, "line", 0);

	if (file && number)
		str_addf(line, " (%s:%lld)", file, (long long)number);
	else if (file)
		str_addf(line, " (%s)", file);
}

void explain_add_marks(struct str *line, struct json_object *record)
{
	if (json_get_bool(record, "shadow", false))
		str_add(line, " [shadow: without effect]");
	if (json_get_bool(record, "conflict", false))
		str_add(line, " [conflict: changes what another policy set]");
}

/* What a filter or a score answered about many nodes: "3 nodes: a, b, c", "3 nodes, best b 7, a 6.5". */
static void add_nodes(struct str *line, struct json_object *answer)
{
	struct json_object *nodes = json_get(answer, "nodes"), *top = json_get(answer, "top");
	int64_t count = json_get_int(answer, "count", 0);

	str_addf(line, " %lld node%s", (long long)count, count == 1 ? "" : "s");
	for (size_t i = 0; nodes && i < json_object_array_length(nodes); i++)
		str_addf(line, "%s %s", i ? "," : ":",
			 json_object_get_string(json_object_array_get_idx(nodes, i)));
	for (size_t i = 0; top && i < json_object_array_length(top); i++) {
		struct json_object *one = json_object_array_get_idx(top, i);

		str_addf(line, "%s %s %.6g", i ? "," : ", best", json_get_string(one, "node", "?"),
			 json_object_get_double(json_get(one, "score")));
	}
}

static void show_record(struct json_object *record)
{
	struct json_object *answer = json_get(record, "answer"),
			   *before = json_get(record, "before");
	const char *subject = json_get_string(record, "subject", NULL);
	const char *reason = json_get_string(record, "reason", NULL);
	struct str line = STR_INIT;

	str_addf(&line, "  %-11s %-16s %-6s", json_get_string(record, "hook", "?"),
		 json_get_string(record, "policy", "?"), json_get_string(record, "outcome", "?"));
	if (answer && json_get(answer, "count")) {
		add_nodes(&line, answer);
	} else {
		if (subject)
			str_addf(&line, " %s", subject);
		if (answer)
			str_addf(&line, " %s", json_line(answer));
	}
	if (before)
		str_addf(&line, " over %s", json_line(before));
	if (reason)
		str_addf(&line, ": %s", reason);
	explain_add_place(&line, record);
	explain_add_marks(&line, record);
	output_line("%s", str_text(&line));
	str_fini(&line);
}

void explain_decision(struct json_object *decision)
{
	struct json_object *records = json_get(decision, "records");
	int64_t id = json_get_int(decision, "id", 0);
	const char *instance = json_get_string(decision, "instance", NULL);
	const char *reason = json_get_string(decision, "reason", NULL);
	const char *user = json_get_string(decision, "user", NULL);
	struct str line = STR_INIT;

	if (id)
		str_addf(&line, "decision %lld: ", (long long)id);
	str_addf(&line, "%s%s%s by %s%s%s in project %s ", json_get_string(decision, "verb", "?"),
		 instance ? " of " : "", instance ? instance : "",
		 json_get_string(decision, "actor", "?"), user ? " for " : "", user ? user : "",
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

/* --- where a value comes from -------------------------------------------------------------------- */

struct origin {
	const char *name; /* of the variable or the limit */
	const char *hook;
	bool is_size;            /* a number is one of bytes */
	struct json_object *now; /* borrowed: the value as it is, NULL: there is none */
	bool now_secret;
	bool now_known; /* the instance is still there */
};

/* The variable's or limit's value as the instance has it. */
static void find_now(struct origin *origin, struct json_object *instance)
{
	struct json_object *spec = json_get(instance, "spec"), *list, *at = spec;
	char *path, *rest, *part;

	origin->now_known = spec != NULL;
	if (strcmp(origin->hook, "environment") == 0) {
		list = json_get(spec, "environment");
		for (size_t i = 0; list && i < json_object_array_length(list); i++) {
			struct json_object *item = json_object_array_get_idx(list, i);

			if (!str_equal(json_get_string(item, "name", NULL), origin->name))
				continue;
			origin->now = json_get(item, "value");
			origin->now_secret = json_get_bool(item, "secret", false);
		}
		return;
	}
	if (strcmp(origin->name, "block_io_weight") == 0) {
		origin->now = json_get(json_get(spec, "block_io"), "weight");
		return;
	}
	rest = path = xstrdup(origin->name);
	while (at && (part = strsep(&rest, ".")) != NULL)
		at = json_get(at, part);
	free(path);
	origin->now = at;
}

static void add_value(struct str *line, const struct origin *origin, struct json_object *value)
{
	char text[32];

	if (json_object_is_type(value, json_type_object) && json_get_bool(value, "secret", false)) {
		str_addf(line, "a secret");
		if (json_get_string(value, "value", NULL))
			str_addf(line, " (%s)", json_get_string(value, "value", ""));
	} else if (origin->is_size && json_object_is_type(value, json_type_int)) {
		units_format_size(json_object_get_int64(value), text, sizeof(text));
		str_add(line, text);
	} else {
		str_add(line, json_line(value));
	}
}

static bool is_drop(struct json_object *answer)
{
	return json_object_is_type(answer, json_type_boolean) && !json_object_get_boolean(answer);
}

/* Whether the value that a policy set is the one that is there; true where that cannot be told. */
static bool is_still(const struct origin *origin, struct json_object *answer)
{
	int64_t bytes;

	if (!origin->now_known || !answer || origin->now_secret)
		return true;
	if (is_drop(answer))
		return !origin->now;
	if (json_object_is_type(answer, json_type_object))
		return true;
	if (!origin->now)
		return false;
	if (origin->is_size && json_object_is_type(answer, json_type_string))
		return units_parse_size(json_object_get_string(answer), &bytes) == 0 &&
		       bytes == json_object_get_int64(origin->now);
	if (json_object_is_type(origin->now, json_type_string))
		return str_equal(json_object_get_string(origin->now),
				 json_object_get_string(answer));
	return json_object_get_double(origin->now) == json_object_get_double(answer);
}

static void show_first(const struct origin *origin, struct json_object *before)
{
	struct str line = STR_INIT;

	if (before) {
		str_add(&line, "  the request gave ");
		add_value(&line, origin, before);
	} else {
		str_add(&line, "  the request gave none");
	}
	output_line("%s", str_text(&line));
	str_fini(&line);
}

static void show_step(const struct origin *origin, struct json_object *record)
{
	struct json_object *answer = json_get(record, "answer"),
			   *before = json_get(record, "before");
	struct str line = STR_INIT;

	str_addf(&line, "  policy %s %s", json_get_string(record, "policy", "?"),
		 is_drop(answer) ? "took it away" : "set ");
	if (!is_drop(answer))
		add_value(&line, origin, answer);
	if (before) {
		str_add(&line, is_drop(answer) ? ", it was " : " over ");
		add_value(&line, origin, before);
	}
	explain_add_place(&line, record);
	explain_add_marks(&line, record);
	output_line("%s", str_text(&line));
	str_fini(&line);
}

/* The records on the subject, in order: a new list. */
static struct json_object *steps_of(const struct origin *origin, struct json_object *decision)
{
	struct json_object *records = json_get(decision, "records"), *steps;

	steps = json_object_new_array();
	for (size_t i = 0; records && i < json_object_array_length(records); i++) {
		struct json_object *record = json_object_array_get_idx(records, i);

		if (str_equal(json_get_string(record, "hook", NULL), origin->hook) &&
		    str_equal(json_get_string(record, "outcome", NULL), "set") &&
		    str_equal(json_get_string(record, "subject", NULL), origin->name))
			json_object_array_add(steps, json_object_get(record));
	}
	return steps;
}

static void show_now(const struct origin *origin)
{
	struct str line = STR_INIT;

	str_addf(&line, "%s is ", origin->name);
	if (origin->now)
		add_value(&line, origin, origin->now);
	else
		str_add(&line, origin->now_secret ? "a secret" : "not set");
	output_line("%s", str_text(&line));
	str_fini(&line);
}

static void print_origin(const struct origin *origin, struct json_object *decision,
			 struct json_object *steps)
{
	size_t count = json_object_array_length(steps);
	struct json_object *last = NULL;

	if (origin->now_known)
		show_now(origin);
	if (count == 0)
		output_line("  the request gave it: no policy set it");
	else
		show_first(origin, json_get(json_object_array_get_idx(steps, 0), "before"));
	for (size_t i = 0; i < count; i++) {
		struct json_object *record = json_object_array_get_idx(steps, i);

		show_step(origin, record);
		if (!json_get_bool(record, "shadow", false))
			last = record;
	}
	if (last && !is_still(origin, json_get(last, "answer")))
		output_line("  and it was changed later, as by a resize");
	output_line("  decision %lld", (long long)json_get_int(decision, "id", 0));
}

static int show_origin(struct ctl *ctl, struct origin *origin, const char *word,
		       struct json_object *decision)
{
	struct json_object *steps = steps_of(origin, decision), *answer;
	int status = CTL_OK;

	if (json_object_array_length(steps) == 0 && !origin->now && !origin->now_secret) {
		output_error("%s: neither the request nor a policy set %s", word, origin->name);
		status = CTL_NOT_FOUND;
	} else if (ctl->json) {
		answer = json_object_new_object();
		json_add_int(answer, "decision", json_get_int(decision, "id", 0));
		json_add_string(answer, "hook", origin->hook);
		json_add_string(answer, "subject", origin->name);
		if (origin->now)
			json_object_object_add(answer, "value", json_object_get(origin->now));
		json_object_object_add(answer, "steps", json_object_get(steps));
		output_json(answer);
		json_object_put(answer);
	} else {
		print_origin(origin, decision, steps);
	}
	json_object_put(steps);
	return status;
}

static bool is_number(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isdigit((unsigned char)*p))
			return false;
	return *text != '\0';
}

static int explain_origin(struct ctl *ctl, const char *word, struct json_object *decision)
{
	static const char *const sizes[] = {"memory", "memory_swap", "log.size", NULL};
	const char *variable = args_text(ctl->args, "env", NULL);
	struct origin origin = {.name = variable ? variable : args_text(ctl->args, "field", NULL),
				.hook = variable ? "environment" : "resources"};
	struct client_reply reply = {0};
	struct gantry_error err;
	int status;

	for (size_t i = 0; !variable && sizes[i]; i++)
		origin.is_size |= strcmp(origin.name, sizes[i]) == 0;
	if (!is_number(word)) { /* one that is gone has no value any more, and that is all */
		char *path = instance_path(ctl, word, "");

		if (client_call(ctl->client, "GET", path, NULL, 0, &reply, &err) == 0 &&
		    reply.status == 200)
			find_now(&origin, reply.json);
		free(path);
	}
	status = show_origin(ctl, &origin, word, decision);
	client_reply_fini(&reply);
	return status;
}

/* --- the command --------------------------------------------------------------------------------- */

/* The newest decision on how the instance was made, NULL: none is kept. */
static struct json_object *find_spawn(struct json_object *list)
{
	size_t count = json_object_array_length(list);

	for (size_t i = 0; i < count; i++) {
		struct json_object *decision = json_object_array_get_idx(list, i);

		if (str_equal(json_get_string(decision, "verb", NULL), "spawn"))
			return decision;
	}
	return NULL;
}

static int explain_part(struct ctl *ctl, const char *word, struct json_object *answer)
{
	struct json_object *list = json_get(answer, "decisions");
	struct json_object *decision = list ? find_spawn(list) : answer;

	if (!decision) {
		output_error("%s: no decision on how it was made is kept", word);
		return CTL_NOT_FOUND;
	}
	if (args_has(ctl->args, "env") || args_has(ctl->args, "field"))
		return explain_origin(ctl, word, decision);
	return explain_matrix(ctl, word, decision);
}

static int explain_all(struct ctl *ctl, const char *word, const struct client_reply *reply)
{
	struct json_object *list = json_get(reply->json, "decisions");
	size_t count = list ? json_object_array_length(list) : 0;

	if (ctl->json) {
		output_raw(reply);
		return CTL_OK;
	}
	if (!list) {
		explain_decision(reply->json);
		return CTL_OK;
	}
	if (count == 0) {
		output_error("%s: no decision is kept", word);
		return CTL_NOT_FOUND;
	}
	for (size_t i = 0; i < count && (i == 0 || args_has(ctl->args, "all")); i++) {
		if (i)
			output_line("%s", "");
		explain_decision(json_object_array_get_idx(list, i));
	}
	return CTL_OK;
}

int policy_explain_command(struct ctl *ctl)
{
	static const char *const parts[] = {"env", "field", "matrix", "why-not"};
	const char *word = ctl->args->words[0];
	struct client_reply reply;
	int given = 0, status;
	char *path;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		given += args_has(ctl->args, parts[i]);
	if (given > 1)
		return output_usage("policy explain",
				    "one of --env, --field, --matrix and --why-not");
	if (is_number(word))
		path = xasprintf("/v1/decisions/%s", word);
	else
		path = instance_path(ctl, word, given ? "/decisions?limit=1000" : "/decisions");
	status = call(ctl, word, "GET", path, NULL, 0, &reply, NULL);
	free(path);
	if (status != CTL_OK)
		return status;
	status = given ? explain_part(ctl, word, reply.json) : explain_all(ctl, word, &reply);
	client_reply_fini(&reply);
	return status;
}

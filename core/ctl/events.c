/* SPDX-License-Identifier: Apache-2.0 */
/* What happened and what is under way: events and ops. */
#include <stdlib.h>

#include "ctl/operation.h"
#include "ctl/output.h"

struct follower {
	struct ctl *ctl;
	int64_t after;      /* go on after this sequence; -1: as the command line says */
	int64_t started_us; /* of the tries to connect again */
};

/* One more member of an event, short where it has a short form. */
static void add_detail(struct str *line, const char *key, struct json_object *value)
{
	str_addf(line, "  %s=", key);
	if (strcmp(key, "exit") == 0)
		output_exit(line, value);
	else if (strcmp(key, "error") == 0)
		str_add(line, json_get_string(value, "detail", "?"));
	else
		str_add(line, json_text(value));
}

static int on_event(void *arg, struct json_object *event, const char *text)
{
	static const char *const columns[] = {"sequence", "at",      "kind", "instance",
					      "name",     "project", "node", NULL};
	struct follower *follower = arg;
	struct str line = STR_INIT;

	follower->after = json_get_int(event, "sequence", follower->after);
	follower->started_us = 0;
	if (follower->ctl->json) {
		puts(text);
		fflush(stdout);
		return 0;
	}
	str_addf(&line, "%s  %lld  %s", json_get_string(event, "at", "-"),
		 (long long)json_get_int(event, "sequence", 0),
		 json_get_string(event, "kind", "?"));
	if (json_get_string(event, "name", NULL))
		str_addf(&line, "  %s", json_get_string(event, "name", ""));
	if (json_get_string(event, "node", NULL))
		str_addf(&line, "  node=%s", json_get_string(event, "node", ""));
	json_object_object_foreach(event, key, value)
	{
		bool known = false;

		for (size_t i = 0; columns[i]; i++)
			known |= strcmp(key, columns[i]) == 0;
		if (!known && value)
			add_detail(&line, key, value);
	}
	output_line("%s", str_text(&line));
	fflush(stdout);
	str_fini(&line);
	return 0;
}

/* Where events to come begin: with it nothing is lost, should the stream be cut before the first. */
static int find_end(struct ctl *ctl, int64_t *ret_sequence)
{
	struct client_reply reply;
	int status = call(ctl, NULL, "GET", "/v1/health", NULL, 0, &reply, NULL);

	if (status != CTL_OK)
		return status;
	*ret_sequence = json_get_int(reply.json, "last_event", -1);
	client_reply_fini(&reply);
	return CTL_OK;
}

int events_command(struct ctl *ctl)
{
	const char *after = args_text(ctl->args, "after", NULL);
	const char *instance = args_text(ctl->args, "instance", NULL);
	bool follow = args_has(ctl->args, "follow"), lost = false;
	struct follower follower = {.ctl = ctl, .after = -1};
	struct client_reply reply;
	struct gantry_error err;
	int error, interrupted, status = CTL_OK;

	if (follow && !after)
		status = find_end(ctl, &follower.after);
	if (status != CTL_OK)
		return status;
	for (;;) {
		struct str path = STR_INIT;
		char number[24];

		str_add(&path, "/v1/events");
		snprintf(number, sizeof(number), "%lld", (long long)follower.after);
		if (follower.after >= 0)
			path_query(&path, "after", number);
		else if (after)
			path_query(&path, "after", after);
		if (follow)
			path_query(&path, "follow", "true");
		if (instance)
			path_query(&path, "instance", instance);
		error = client_lines(ctl->client, str_text(&path), on_event, &follower, &reply,
				     &err);
		str_fini(&path);
		/* Cut, not ended: go on where it was. */
		lost |= error == -ECONNRESET;
		if (!follow || !lost || (error != -ECONNRESET && error != -ECONNREFUSED) ||
		    !client_retry_pause(ctl->client, &follower.started_us, &interrupted))
			break;
	}
	if (error < 0)
		return output_fail(NULL, &err);
	if (reply.status >= 400)
		status = output_problem(NULL, reply.status, reply.json);
	client_reply_fini(&reply);
	return status;
}

static void show_operation(struct json_object *operation)
{
	struct json_object *timings = json_get(operation, "timings"),
			   *steps = json_get(timings, "steps");
	struct json_object *error = json_get(operation, "error");
	const char *instance = json_get_string(operation, "instance_name", NULL);
	char total[16], policy[16], store[16], engine[16], other[16];

	output_line("operation %s", json_get_string(operation, "id", "?"));
	output_line("%s%s%s by %s: %s", json_get_string(operation, "kind", "?"),
		    instance ? " " : "", instance ? instance : "",
		    json_get_string(operation, "actor", "?"),
		    json_get_string(operation, "state", "?"));
	output_line("began %s%s%s", json_get_string(operation, "created_at", "?"),
		    json_get_string(operation, "ended_at", NULL) ? ", ended " : "",
		    json_get_string(operation, "ended_at", ""));
	if (json_get_string(operation, "step", NULL))
		output_line("step %s", json_get_string(operation, "step", ""));
	if (json_get_int(operation, "decision", 0))
		output_line("decision %lld; why: gantry policy explain %lld",
			    (long long)json_get_int(operation, "decision", 0),
			    (long long)json_get_int(operation, "decision", 0));
	if (json_object_is_type(error, json_type_object))
		output_line("failed: %s", json_get_string(error, "detail", "?"));
	if (!timings)
		return;
	output_span(json_get_int(timings, "total_us", 0), total, sizeof(total));
	output_span(json_get_int(timings, "policy_us", 0), policy, sizeof(policy));
	output_span(json_get_int(timings, "store_us", 0), store, sizeof(store));
	output_span(json_get_int(timings, "engine_us", 0), engine, sizeof(engine));
	output_span(json_get_int(timings, "other_us", 0), other, sizeof(other));
	output_line("took %s: policy %s, store %s, engine %s, other %s", total, policy, store,
		    engine, other);
	for (size_t i = 0; steps && i < json_object_array_length(steps); i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);

		output_span(json_get_int(step, "us", 0), total, sizeof(total));
		output_line("  %-12s %s", json_get_string(step, "name", "?"), total);
	}
}

static int operation_show(struct ctl *ctl, const char *id)
{
	struct str path = STR_INIT;
	struct json_object *operation;
	struct client_reply reply;
	int status;

	str_add(&path, "/v1/operations/");
	str_add_url(&path, id);
	status = call(ctl, id, "GET", str_text(&path), NULL, 0, &reply, NULL);
	str_fini(&path);
	if (status != CTL_OK)
		return status;
	operation = json_object_get(reply.json);
	client_reply_fini(&reply);
	if (args_has(ctl->args, "wait"))
		status = operation_follow(ctl, json_get_string(operation, "instance_name", id),
					  &operation, NULL);
	if (ctl->json)
		output_json(operation);
	else
		show_operation(operation);
	json_object_put(operation);
	return status;
}

int operations_command(struct ctl *ctl)
{
	static const char *const titles[] = {"ID",   "KIND", "INSTANCE", "STATE",
					     "STEP", "TOOK", "BEGAN",    "ACTOR"};
	const char *instance = args_text(ctl->args, "instance", NULL);
	const char *limit = args_text(ctl->args, "limit", NULL);
	struct client_reply reply;
	struct json_object *list;
	struct str path = STR_INIT;
	struct table table;
	int status;

	if (ctl->args->word_count)
		return operation_show(ctl, ctl->args->words[0]);
	str_add(&path, "/v1/operations");
	if (instance)
		path_query(&path, "instance", instance);
	if (limit)
		path_query(&path, "limit", limit);
	status = call(ctl, instance, "GET", str_text(&path), NULL, 0, &reply, NULL);
	str_fini(&path);
	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	list = json_get(reply.json, "operations");
	table_init(&table, 8, titles);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *operation = json_object_array_get_idx(list, i);
		struct json_object *timings = json_get(operation, "timings");
		char text[16];

		table_add(&table, json_get_string(operation, "id", NULL));
		table_add(&table, json_get_string(operation, "kind", NULL));
		table_add(&table, json_get_string(operation, "instance_name",
						  json_get_string(operation, "instance", NULL)));
		table_add(&table, json_get_string(operation, "state", NULL));
		table_add(&table, json_get_string(operation, "step", NULL));
		output_span(json_get_int(timings, "total_us", 0), text, sizeof(text));
		table_add(&table, timings ? text : NULL);
		output_age(json_get_string(operation, "created_at", NULL), text, sizeof(text));
		table_add(&table, text);
		table_add(&table, json_get_string(operation, "actor", NULL));
	}
	table_print(&table);
	client_reply_fini(&reply);
	return CTL_OK;
}

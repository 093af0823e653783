/* SPDX-License-Identifier: Apache-2.0 */
#include "api/call.h"
#include "base/str.h"

#include <math.h>
#include <stdlib.h>

/* --- answers ------------------------------------------------------------------------------------- */

static void reply_text(struct call *call, int status, const char *type, struct json_object *object)
{
	size_t length;
	const char *text =
		json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);

	http_reply(call->request, status, type, text, length);
	json_object_put(object);
}

void call_reply(struct call *call, int status, struct json_object *object)
{
	reply_text(call, status, "application/json", object);
}

void call_reply_problem(struct call *call, struct json_object *problem, const char *operation)
{
	int status = (int)json_get_int(problem, "status", 500);

	json_add_string(problem, "operation", operation);
	if (status == 503)
		http_reply_header(call->request, "Retry-After", "2");
	reply_text(call, status, "application/problem+json", problem);
}

void call_fail(struct call *call, const struct gantry_error *err)
{
	call_reply_problem(call, operation_problem(err), NULL);
}

/* --- operations ---------------------------------------------------------------------------------- */

/* Somebody waits for the end of an operation; in the request's arena. */
struct operation_wait {
	struct call *call;
	struct operation *operation; /* borrowed: one that is watched is kept */
	struct operation_watcher watcher;
	struct loop_timer timer;
	int success_status;
	bool accepting; /* only until it is recorded: what was accepted survives a kill */
};

static void reply_accepted(struct call *call, const struct operation *operation)
{
	char address[80];

	snprintf(address, sizeof(address), "/v1/operations/%s", operation->id);
	http_reply_header(call->request, "Location", address);
	call_reply(call, 202, operation_print(operation));
}

static void reply_ended(struct call *call, const struct operation *operation, int success_status)
{
	if (operation->state == OPERATION_FAILED)
		call_reply_problem(call, operation_problem(&operation->err), operation->id);
	else
		call_reply(call, success_status, operation_print(operation));
}

static void let_go(struct operation_wait *wait)
{
	operation_unwatch(&wait->watcher);
	loop_timer_stop(wait->call->daemon->loop, &wait->timer);
	http_request_on_gone(wait->call->request, NULL, NULL);
}

static void on_gone(void *arg)
{
	struct operation_wait *wait = arg;

	operation_unwatch(&wait->watcher);
	loop_timer_stop(wait->call->daemon->loop, &wait->timer);
}

static void on_changed(struct operation_watcher *watcher, struct operation *operation)
{
	struct operation_wait *wait = LIST_ENTRY(watcher, struct operation_wait, watcher);
	bool running = operation->state == OPERATION_RUNNING;

	if (running && !(wait->accepting && operation->recorded))
		return;
	let_go(wait);
	if (wait->accepting && operation->state != OPERATION_FAILED)
		reply_accepted(wait->call, operation);
	else
		reply_ended(wait->call, operation, wait->success_status);
}

static void on_time_up(struct loop_timer *timer)
{
	struct operation_wait *wait = LIST_ENTRY(timer, struct operation_wait, timer);

	let_go(wait);
	reply_accepted(wait->call, wait->operation);
}

void call_answer_operation(struct call *call, struct operation *operation, int success_status)
{
	struct operation_wait *wait;
	int64_t wait_ms;

	if (call_seconds(call, "wait", &wait_ms) < 0)
		return;
	if (wait_ms >= 0 && operation->state != OPERATION_RUNNING) {
		reply_ended(call, operation, success_status);
		return;
	}
	if (wait_ms < 0 && (operation->recorded || operation->state != OPERATION_RUNNING)) {
		reply_accepted(call, operation);
		return;
	}
	wait = ARENA_NEW(http_request_arena(call->request), struct operation_wait);
	wait->call = call;
	wait->operation = operation;
	wait->success_status = success_status;
	wait->watcher.changed = on_changed;
	loop_timer_init(&wait->timer, on_time_up);
	wait->accepting = wait_ms < 0;
	if (!wait->accepting)
		loop_timer_start(call->daemon->loop, &wait->timer, wait_ms);
	operation_watch(operation, &wait->watcher);
	http_request_on_gone(call->request, on_gone, wait);
}

/* --- parameters ---------------------------------------------------------------------------------- */

struct instance *call_instance(struct call *call)
{
	struct instance *instance;
	struct gantry_error err;

	if (fleet_resolve(&call->daemon->fleet, call->parameter, call->project, &instance, &err) <
	    0) {
		call_fail(call, &err);
		return NULL;
	}
	return instance;
}

static int bad_parameter(struct call *call, const char *name, const char *text, const char *wanted)
{
	struct gantry_error err;

	gantry_error_field(&err, -EINVAL, name, "\"%.80s\" is not right; it must be %s", text,
			   wanted);
	call_fail(call, &err);
	return -EINVAL;
}

int call_seconds(struct call *call, const char *name, int64_t *ret_ms)
{
	const char *text = http_request_query(call->request, name);
	double seconds;
	char *end;

	*ret_ms = -1;
	if (!text)
		return 0;
	seconds = strtod(text, &end);
	if (end == text || *end || !(seconds >= 0 && seconds <= 3600))
		return bad_parameter(call, name, text, "seconds from 0 to 3600");
	*ret_ms = (int64_t)ceil(seconds * 1000);
	return 0;
}

int call_bool(struct call *call, const char *name, bool *ret_value)
{
	const char *text = http_request_query(call->request, name);

	*ret_value = text && str_equal(text, "true");
	if (!text || *ret_value || str_equal(text, "false"))
		return 0;
	return bad_parameter(call, name, text, "true or false");
}

int call_integer(struct call *call, const char *name, int64_t minimum, int64_t maximum,
		 int64_t fallback, int64_t *ret_value)
{
	const char *text = http_request_query(call->request, name);
	char *end, wanted[80];

	*ret_value = fallback;
	if (!text)
		return 0;
	errno = 0;
	*ret_value = strtoll(text, &end, 10);
	if (errno == 0 && end != text && !*end && *ret_value >= minimum && *ret_value <= maximum)
		return 0;
	snprintf(wanted, sizeof(wanted), "a whole number from %lld to %lld", (long long)minimum,
		 (long long)maximum);
	return bad_parameter(call, name, text, wanted);
}

int call_check_members(struct call *call, const char *const *names)
{
	struct gantry_error err;

	if (!call->body)
		return 0;
	json_object_object_foreach(call->body, key, value)
	{
		const char *const *name = names;
		const char *near = str_nearest(key, names);

		(void)value;
		while (*name && !str_equal(*name, key))
			name++;
		if (*name)
			continue;
		gantry_error_field(&err, -EINVAL, key, "there is no field \"%.60s\"%s%s%s", key,
				   near ? "; did you mean \"" : "", near ? near : "",
				   near ? "\"?" : "");
		call_fail(call, &err);
		return -EINVAL;
	}
	return 0;
}

int call_ask(struct call *call, int success_status, struct flows_ask *ret_ask)
{
	const char *key = http_request_header(call->request, "Idempotency-Key");
	struct operation *before;
	struct gantry_error err;

	*ret_ask = (struct flows_ask){
		.actor = call->actor,
		.user = call->user,
		.project = call->project,
		.idempotency_key = key,
		.request_hash = call->request_hash,
	};
	if (!key)
		return 0;
	if (!*key || strlen(key) > 128)
		return bad_parameter(call, "Idempotency-Key", key, "1 to 128 characters");
	before = operation_find_key(&call->daemon->operations, call->actor, key);
	if (!before)
		return 0;
	if (before->request_hash != call->request_hash) {
		gantry_error_set(&err, -EEXIST,
				 "the idempotency key was used for another request (operation %s)",
				 before->id);
		call_fail(call, &err);
		return -EEXIST;
	}
	call_answer_operation(call, before, success_status);
	return 1;
}

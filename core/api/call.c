/* SPDX-License-Identifier: Apache-2.0 */
#include "api/call.h"
#include "base/str.h"
#include "flows/engine/node_link.h"

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

void call_fail_stream(struct call *call, bool begun, const struct gantry_error *err)
{
	if (begun)
		http_stream_abort(call->request);
	else
		call_fail(call, err);
}

void call_fail_not_offered(struct call *call, const struct node_link *link, const char *what)
{
	struct gantry_error err;

	gantry_error_set(&err, -ENOTSUP, "node %s offers no %s", link->node.name, what);
	call_fail(call, &err);
}

/* --- operations ---------------------------------------------------------------------------------- */

/* Somebody waits for an operation; in the request's arena. */
struct operation_wait {
	struct call *call;
	struct operation *operation; /* borrowed: one that is watched is kept */
	struct operation_watcher watcher;
	struct loop_timer timer;
	int success_status;
	bool until_recorded; /* not until it has ended: what was accepted survives a kill */
	void (*answer)(struct operation_wait *wait);
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

static void answer_accepted(struct operation_wait *wait)
{
	if (wait->operation->state == OPERATION_FAILED)
		reply_ended(wait->call, wait->operation, 0);
	else
		reply_accepted(wait->call, wait->operation);
}

static void answer_waited(struct operation_wait *wait)
{
	if (wait->operation->state == OPERATION_RUNNING) /* the time is up */
		reply_accepted(wait->call, wait->operation);
	else
		reply_ended(wait->call, wait->operation, wait->success_status);
}

static void answer_shown(struct operation_wait *wait)
{
	call_reply(wait->call, 200, operation_print(wait->operation));
}

static void on_gone(void *arg)
{
	struct operation_wait *wait = arg;

	operation_unwatch(&wait->watcher);
	loop_timer_stop(wait->call->daemon->loop, &wait->timer);
}

static void finish(struct operation_wait *wait)
{
	on_gone(wait);
	http_request_on_gone(wait->call->request, NULL, NULL);
	wait->answer(wait);
}

static void on_changed(struct operation_watcher *watcher, struct operation *operation)
{
	struct operation_wait *wait = LIST_ENTRY(watcher, struct operation_wait, watcher);

	if (operation->state != OPERATION_RUNNING || (wait->until_recorded && operation->recorded))
		finish(wait);
}

static void on_time_up(struct loop_timer *timer)
{
	finish(LIST_ENTRY(timer, struct operation_wait, timer));
}

/* Waits with a copy of what is given, in the request's arena. time_ms under 0: as long as it takes. */
static void begin_wait(const struct operation_wait *given, int64_t time_ms)
{
	struct call *call = given->call;
	struct operation_wait *wait =
		ARENA_NEW(http_request_arena(call->request), struct operation_wait);

	*wait = *given;
	wait->watcher.changed = on_changed;
	loop_timer_init(&wait->timer, on_time_up);
	if (time_ms >= 0)
		loop_timer_start(call->daemon->loop, &wait->timer, time_ms);
	operation_watch(wait->operation, &wait->watcher);
	http_request_on_gone(call->request, on_gone, wait);
}

void call_answer_operation(struct call *call, struct operation *operation, int success_status)
{
	struct operation_wait wait = {
		.call = call,
		.operation = operation,
		.success_status = success_status,
	};
	bool running = operation->state == OPERATION_RUNNING;
	int64_t wait_ms;

	if (call_seconds(call, "wait", &wait_ms) < 0)
		return;
	wait.until_recorded = wait_ms < 0;
	wait.answer = wait_ms < 0 ? answer_accepted : answer_waited;
	if (running && !(wait.until_recorded && operation->recorded))
		begin_wait(&wait, wait_ms);
	else if (wait_ms < 0)
		reply_accepted(call, operation);
	else
		reply_ended(call, operation, success_status);
}

void call_show_operation(struct call *call, struct operation *operation, int64_t wait_ms)
{
	struct operation_wait wait = {
		.call = call,
		.operation = operation,
		.answer = answer_shown,
	};

	if (wait_ms > 0 && operation->state == OPERATION_RUNNING)
		begin_wait(&wait, wait_ms);
	else
		answer_shown(&wait);
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

struct instance *call_container(struct call *call, struct node_link **ret_link)
{
	struct instance *instance = call_instance(call);
	struct gantry_error err;

	if (!instance)
		return NULL;
	*ret_link = node_link_find(call->daemon, instance->node);
	if (*ret_link && instance->container_id[0])
		return instance;
	gantry_error_set(&err, -EBUSY, "%s is %s: it has no container", instance->spec.name,
			 instance_state_text(instance->state));
	call_fail(call, &err);
	return NULL;
}

struct node_link *call_node(struct call *call, const char *name)
{
	struct node_link *link = node_link_find(call->daemon, name);
	struct gantry_error err;

	if (!link) {
		gantry_error_set(&err, -ENOENT, "there is no node \"%.80s\"", name);
		call_fail(call, &err);
	}
	return link;
}

const char *call_instance_id(struct call *call, const char *word)
{
	struct instance *instance;
	struct gantry_error err;
	int code = fleet_resolve(&call->daemon->fleet, word, call->project, &instance, &err);

	if (code == 0)
		return instance->id;
	if (code == -ENOENT && strlen(word) == INSTANCE_ID_SIZE - 1)
		return word;
	call_fail(call, &err);
	return NULL;
}

int call_bad_parameter(struct call *call, const char *name, const char *text, const char *wanted)
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
	/* digits alone: strtod knows hexadecimal, exponents and infinity, too */
	if (end == text || *end || text[strspn(text, "0123456789.")] || seconds > 3600)
		return call_bad_parameter(call, name, text, "seconds from 0 to 3600");
	*ret_ms = (int64_t)ceil(seconds * 1000);
	return 0;
}

int call_bool(struct call *call, const char *name, bool *ret_value)
{
	const char *text = http_request_query(call->request, name);

	*ret_value = text && str_equal(text, "true");
	if (!text || *ret_value || str_equal(text, "false"))
		return 0;
	return call_bad_parameter(call, name, text, "true or false");
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
	return call_bad_parameter(call, name, text, wanted);
}

int call_cursor(struct call *call, const char *name, int64_t *ret_sequence)
{
	const char *text = http_request_query(call->request, name), *dot;
	char *end;

	*ret_sequence = -1;
	if (!text)
		return 0;
	dot = strchr(text, '.');
	errno = 0;
	*ret_sequence = dot && dot[1] >= '0' && dot[1] <= '9' ? strtoll(dot + 1, &end, 10) : -1;
	if (*ret_sequence >= 0 && !errno && !*end && strspn(text, "0123456789.") == strlen(text))
		return 0;
	return call_bad_parameter(call, name, text, "the cursor of a line, as 1.42");
}

int call_check_members(struct call *call, const char *const *names)
{
	struct gantry_error err;

	if (!call->body)
		return 0;
	json_object_object_foreach(call->body, key, value)
	{
		const char *near = str_nearest(key, names);

		(void)value;
		if (str_find(key, names))
			continue;
		gantry_error_field(&err, -EINVAL, key, "there is no field \"%.60s\"%s%s%s", key,
				   near ? "; did you mean \"" : "", near ? near : "",
				   near ? "\"?" : "");
		call_fail(call, &err);
		return -EINVAL;
	}
	return 0;
}

struct flows_ask call_asker(const struct call *call)
{
	return (struct flows_ask){
		.actor = call->actor,
		.user = call->user,
		.via = call->via,
		.project = call->project,
	};
}

int call_ask(struct call *call, int success_status, struct flows_ask *ret_ask)
{
	const char *key = http_request_header(call->request, "Idempotency-Key");
	struct operation *before;
	struct gantry_error err;

	*ret_ask = call_asker(call);
	ret_ask->idempotency_key = key;
	ret_ask->request_hash = call->request_hash;
	if (!key)
		return 0;
	if (!*key || strlen(key) > 128)
		return call_bad_parameter(call, "Idempotency-Key", key, "1 to 128 characters");
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

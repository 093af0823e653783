/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of an event hook, from start to its end.
 *
 * The happy path
 *   1. start reads the event, makes the coroutine and resumes it with `ev`.
 *   2. gantry.sleep or gantry.http (lib_event.c) writes down the wait and yields: the coroutine is
 *      kept in the registry, and the caller is told what to wait for.
 *   3. go_on resumes it with the answer; so on, until the hook returns.
 *
 * The ways it fails, each leaving its reason in `error` and nothing of the run behind
 *   - an error that the hook does not catch: what is pending (__close) runs, and the coroutine is dropped;
 *   - over the budget of one stretch: the sandbox is killed as for every hook, and made anew;
 *   - over the budget of the whole run, or ended by the caller: the coroutine, which is in the middle of a
 *     wait, could only be gone on with or be leaked into a later run; so the sandbox is made anew.
 */
#include "script/copies.h"
#include "script/event_call.h"
#include "script/exposed.h"
#include "script/policy.h"
#include "script/value.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdlib.h>

struct script_runner {
	struct policy *policy; /* owned */
	struct event_call call;
	int64_t spent_instructions, spent_us; /* of this run */
	struct gantry_error error;            /* of the last one that failed */
};

/* One stretch: from start or go_on to the next wait or the end. */
struct stretch {
	struct script_runner *runner;
	const struct event_facts *facts;    /* of the first stretch, else NULL */
	const struct script_answer *answer; /* of the others */
	enum script_run result;
};

static const char thread_key;

/* --- inside of Lua --------------------------------------------------------------------------------- */

/* Both push what the coroutine is resumed with; the number of it. */
static int begin(lua_State *L, struct stretch *stretch)
{
	struct script_runner *runner = stretch->runner;

	runner->call.thread = lua_newthread(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &thread_key);
	policy_push_hook(L, runner->policy, HOOK_EVENT);
	lua_xmove(L, runner->call.thread, 1);
	copies_push(L, FACT_EVENT, stretch->facts);
	return 1;
}

static int push_answer(lua_State *L, const struct stretch *stretch)
{
	const struct script_answer *answer = stretch->answer;

	if (stretch->runner->call.wait.what == SCRIPT_WAIT_TIME)
		return 0;
	if (answer->error) {
		lua_pushnil(L);
		lua_pushstring(L, answer->error);
		return 2;
	}
	lua_createtable(L, 0, 2);
	lua_pushinteger(L, answer->status);
	lua_setfield(L, -2, "status");
	lua_pushlstring(L, answer->body, answer->length);
	lua_setfield(L, -2, "body");
	return 1;
}

static int run_stretch(lua_State *L)
{
	struct stretch *stretch = lua_touserdata(L, 1);
	struct sandbox *sandbox = sandbox_of(L);
	struct event_call *call = &stretch->runner->call;
	int count = stretch->facts ? begin(L, stretch) : push_answer(L, stretch), results, status;

	if (!lua_checkstack(call->thread, count + 1))
		return luaL_error(L, "out of stack");
	lua_xmove(L, call->thread, count);
	sandbox_switch(sandbox, call->thread);
	status = lua_resume(call->thread, L, count, &results);
	if (status == LUA_YIELD && !sandbox->killed) {
		sandbox_switch(sandbox, L);
		stretch->result = SCRIPT_RUN_WAITS;
		return 0;
	}
	if (status != LUA_OK && !sandbox->killed) {
		sandbox_keep_error(call->thread);
		call->ending = true;
		lua_resetthread(call->thread); /* its pending __close; another error is of no use */
	}
	sandbox_switch(sandbox, L);
	if (sandbox->killed)
		sandbox_raise(L);
	lua_settop(call->thread, 0); /* with something on its stack it could be resumed */
	stretch->result = status == LUA_OK ? SCRIPT_RUN_DONE : SCRIPT_RUN_FAILED;
	return 0;
}

static int drop_thread(lua_State *L)
{
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &thread_key);
	return 0;
}

/* --- a run ----------------------------------------------------------------------------------------- */

static void set_error(struct script_runner *runner, int line, const char *text)
{
	const char *file = runner->policy->source.name;

	if (line)
		gantry_error_set(&runner->error, -EINVAL, "%s:%d: %s", file, line, text);
	else
		gantry_error_set(&runner->error, -EINVAL, "%s: %s", file, text);
}

/* The run is over, well or not. */
static void finish(struct script_runner *runner)
{
	struct sandbox *sandbox = runner->policy->sandbox;

	runner->call.thread = NULL;
	runner->call.ending = false;
	if (sandbox && !sandbox->killed)
		sandbox_run(sandbox, drop_thread, NULL, true);
	policy_end(runner->policy);
}

static enum script_run enter(struct stretch *stretch, const struct script_moment *moment)
{
	struct script_runner *runner = stretch->runner;
	struct sandbox *sandbox = runner->policy->sandbox;
	int64_t began_us = sandbox_cpu_us();
	int code;

	stretch->result = SCRIPT_RUN_FAILED;
	runner->call.fleet = moment->fleet;
	runner->call.now_ms = moment->now_ms;
	sandbox->event = &runner->call;
	code = sandbox_run(sandbox, run_stretch, stretch, false);
	sandbox->event = NULL;
	runner->call.fleet = NULL;
	runner->spent_instructions += sandbox->used_instructions;
	runner->spent_us += sandbox_cpu_us() - began_us;
	if (code < 0)
		stretch->result = SCRIPT_RUN_FAILED;
	if (stretch->result == SCRIPT_RUN_WAITS)
		return SCRIPT_RUN_WAITS;
	if (stretch->result == SCRIPT_RUN_FAILED)
		set_error(runner, policy_error_line(runner->policy), policy_error(runner->policy));
	finish(runner);
	return stretch->result;
}

/* The event's own members to *facts, all else to facts->detail (owned by the caller). */
static void read_facts(struct json_object *event, const struct fleet *fleet,
		       struct event_facts *ret_facts)
{
	static const char *const own[] = {"sequence", "at",   "kind",  "instance",  "name",
					  "project",  "node", "actor", "operation", NULL};
	int64_t at_ns = 0;

	clock_parse_ns(json_get_string(event, "at", ""), &at_ns);
	*ret_facts = (struct event_facts){
		.kind = json_get_string(event, "kind", NULL),
		.sequence = json_get_int(event, "sequence", 0),
		.at_ms = at_ns / 1000000,
		.instance_id = json_get_string(event, "instance", NULL),
		.name = json_get_string(event, "name", NULL),
		.project = json_get_string(event, "project", NULL),
		.node = json_get_string(event, "node", NULL),
		.actor = json_get_string(event, "actor", NULL),
		.operation = json_get_string(event, "operation", NULL),
		.detail = json_object_new_object(),
	};
	if (ret_facts->instance_id)
		ret_facts->instance = fleet_find(fleet, ret_facts->instance_id);
	json_object_object_foreach(event, key, value)
	{
		if (!str_find(key, own))
			json_object_object_add(ret_facts->detail, key, json_object_get(value));
	}
}

enum script_run script_runner_start(struct script_runner *runner, const char *event,
				    const struct script_moment *moment)
{
	struct stretch stretch = {.runner = runner};
	struct json_object *object = NULL;
	struct event_facts facts;
	enum script_run result;

	runner->call = (struct event_call){0};
	runner->spent_instructions = runner->spent_us = 0;
	if (!runner->policy->sandbox) {
		set_error(runner, 0, policy_error(runner->policy));
		return SCRIPT_RUN_FAILED;
	}
	if (json_parse(event, strlen(event), &object, &runner->error) < 0)
		return SCRIPT_RUN_FAILED;
	read_facts(object, moment->fleet, &facts);
	stretch.facts = &facts;
	runner->policy->sandbox->random = (uint64_t)facts.sequence;
	result = enter(&stretch, moment);
	json_object_put(facts.detail);
	json_object_put(object);
	return result;
}

const struct script_wait *script_runner_wait(const struct script_runner *runner)
{
	return &runner->call.wait;
}

enum script_run script_runner_go_on(struct script_runner *runner,
				    const struct script_answer *answer,
				    const struct script_moment *moment)
{
	const struct script_budget *budget = &runner->policy->budget;
	struct stretch stretch = {.runner = runner, .answer = answer};
	char text[100] = "";

	if (runner->spent_instructions > SCRIPT_RUN_BUDGETS * budget->instructions)
		snprintf(text, sizeof(text), "over its budget of %lld instructions for one event",
			 (long long)(SCRIPT_RUN_BUDGETS * budget->instructions));
	else if (runner->spent_us > SCRIPT_RUN_BUDGETS * budget->time_ms * 1000)
		snprintf(text, sizeof(text), "over its budget of %lld ms for one event",
			 (long long)(SCRIPT_RUN_BUDGETS * budget->time_ms));
	if (text[0]) {
		script_runner_end(runner, text);
		return SCRIPT_RUN_FAILED;
	}
	return enter(&stretch, moment);
}

void script_runner_end(struct script_runner *runner, const char *reason)
{
	set_error(runner, sandbox_line(runner->call.thread), reason);
	runner->policy->sandbox->killed = SANDBOX_TIME;
	finish(runner);
}

const char *script_runner_error(const struct script_runner *runner)
{
	return runner->error.text;
}

/* --- life ------------------------------------------------------------------------------------------ */

size_t script_set_count(const struct script_set *set)
{
	return set->count;
}

struct script_runner *script_runner_take(struct script_set *set, size_t index)
{
	struct policy *policy = set->policies[index];
	struct script_runner *runner;

	if (!policy->for_events)
		return NULL;
	runner = xcalloc(1, sizeof(*runner));
	runner->policy = policy->for_events;
	policy->for_events = NULL;
	return runner;
}

void script_runner_free(struct script_runner *runner)
{
	if (!runner)
		return;
	policy_free(runner->policy);
	free(runner);
}

const char *script_runner_name(const struct script_runner *runner)
{
	return runner->policy->name;
}

bool script_runner_same(const struct script_runner *runner, const struct script_runner *other)
{
	const struct source *a = &runner->policy->source, *b = &other->policy->source;

	return str_equal(a->name, b->name) && a->length == b->length &&
	       memcmp(a->text, b->text, a->length) == 0;
}

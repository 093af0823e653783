/* SPDX-License-Identifier: Apache-2.0 */
#include "script/policy.h"
#include "base/log.h"
#include "base/str.h"
#include "script/lines.h"
#include "script/selftest.h"
#include "script/value.h"

#include <ctype.h>
#include <stdlib.h>

static const char *const hook_names[] = {"admit",   "environment", "resources", "filter", "score",
					 "restart", "event",       "log",       NULL};
static const char *const known_keys[] = {
	"name",  "mode",    "on_error", "admit", "environment", "resources", "filter",
	"score", "restart", "event",    "log",   "tests",       NULL};

const char *hook_text(enum hook hook)
{
	return hook_names[hook];
}

/* --- loading --------------------------------------------------------------------------------------- */

/* What the table of a policy file says; key is the key at fault, for its line. */
struct loading {
	struct policy *policy;
	bool with_tests; /* they are kept; else only known */
	char key[64];
};

static int wrong(lua_State *L, struct loading *loading, const char *text)
{
	lua_pushfstring(L, "%s %s", loading->key, text);
	return lua_error(L);
}

static void read_name(lua_State *L, struct loading *loading)
{
	size_t length;
	const char *name;

	if (lua_type(L, -1) != LUA_TSTRING)
		wrong(L, loading, "must be text");
	name = lua_tolstring(L, -1, &length);
	if (length == 0 || length >= sizeof(loading->policy->name))
		wrong(L, loading, "must be 1 to 63 bytes long");
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			wrong(L, loading, "may have letters, digits, \"-\", \"_\" and \".\" only");
	memcpy(loading->policy->name, name, length + 1);
}

/* The value on top, one of two words. */
static bool read_choice(lua_State *L, struct loading *loading, const char *yes, const char *no)
{
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;

	if (str_equal(text, yes))
		return true;
	if (!str_equal(text, no)) {
		lua_pushfstring(L, "%s must be \"%s\" or \"%s\"", loading->key, yes, no);
		lua_error(L);
	}
	return false;
}

static void read_hook(lua_State *L, struct loading *loading, enum hook hook)
{
	struct sandbox *sandbox = sandbox_of(L);

	_Static_assert(HOOK_COUNT <= SANDBOX_ROOTS, "room for all hooks");
	if (lua_type(L, -1) != LUA_TFUNCTION || lua_iscfunction(L, -1))
		wrong(L, loading, "must be a function of this file");
	lua_pushvalue(L, -1);
	loading->policy->hooks[hook] = luaL_ref(L, LUA_REGISTRYINDEX);
	sandbox->roots[sandbox->roots_count++] = loading->policy->hooks[hook];
}

static void read_tests(lua_State *L, struct loading *loading)
{
	struct json_object **tests = &loading->policy->tests;
	struct gantry_error err;

	if (lua_type(L, -1) != LUA_TTABLE)
		wrong(L, loading, "must be a list of tests");
	if (!loading->with_tests)
		return;
	if (value_to_json(L, -1, "tests", VALUE_ANSWER_VALUES, tests, &err) < 0) {
		snprintf(loading->key, sizeof(loading->key), "%s", err.field);
		wrong(L, loading, err.text);
	}
	if (!json_object_is_type(*tests, json_type_array))
		wrong(L, loading, "must be a list of tests");
	if (json_object_array_length(*tests) > SELFTEST_TESTS_MAX)
		luaL_error(L, "tests has more than %d tests", SELFTEST_TESTS_MAX);
}

static void read_entry(lua_State *L, struct loading *loading)
{
	const char *key = loading->key, *near;

	for (int hook = 0; hook < HOOK_COUNT; hook++)
		if (str_equal(key, hook_names[hook])) {
			read_hook(L, loading, hook);
			return;
		}
	if (str_equal(key, "name")) {
		read_name(L, loading);
	} else if (str_equal(key, "mode")) {
		loading->policy->shadow = read_choice(L, loading, "shadow", "enforce");
	} else if (str_equal(key, "on_error")) {
		loading->policy->on_error =
			read_choice(L, loading, "deny", "skip") ? ON_ERROR_DENY : ON_ERROR_SKIP;
	} else if (str_equal(key, "tests")) {
		read_tests(L, loading);
	} else {
		near = str_nearest(key, known_keys);
		if (near)
			luaL_error(L, "unknown key \"%s\"; did you mean \"%s\"?", key, near);
		luaL_error(L, "unknown key \"%s\"", key);
	}
}

static int load(lua_State *L)
{
	struct loading *loading = lua_touserdata(L, 1);
	struct policy *policy = loading->policy;
	char chunk[256];

	snprintf(chunk, sizeof(chunk), "@%s", policy->source.name);
	sandbox_compile(L, policy->source.text, policy->source.length, chunk);
	lua_call(L, 0, 1);
	if (lua_type(L, -1) != LUA_TTABLE)
		return luaL_error(
			L, "a policy file must return a table of hooks, as \"return { admit = "
			   "function(req) … end }\"");
	if (lua_getmetatable(L, -1))
		return luaL_error(L, "the table that a policy file returns must have no metatable");
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || lua_rawlen(L, -2) >= sizeof(loading->key))
			return luaL_error(L, "a policy's table has short names as keys only");
		memcpy(loading->key, lua_tostring(L, -2), lua_rawlen(L, -2) + 1);
		read_entry(L, loading);
	}
	loading->key[0] = '\0';
	sandbox_lock(L);
	return 0;
}

/* The line of a key that is at fault: in the source, since no line of the file runs any more. */
static int line_of_key(const struct policy *policy, const char *key)
{
	struct script_lines *lines = lines_scan(policy->source.text, policy->source.length);
	char path[80];
	int line;

	snprintf(path, sizeof(path), "return.%s", key);
	line = script_lines_find(lines, path);
	script_lines_free(lines);
	return line;
}

static int make_sandbox(struct policy *policy, bool with_tests, struct gantry_error *err)
{
	struct loading loading = {.policy = policy, .with_tests = with_tests};
	const char *dot = strrchr(policy->source.name, '.');
	int line;

	snprintf(policy->name, sizeof(policy->name), "%.*s",
		 (int)(dot ? dot - policy->source.name : 63), policy->source.name);
	for (int hook = 0; hook < HOOK_COUNT; hook++)
		policy->hooks[hook] = LUA_NOREF;
	policy->sandbox = sandbox_new(policy->source.name, &policy->budget);
	if (!policy->sandbox)
		return gantry_error_set(err, -ENOMEM,
					"%s: the memory budget is too small for Lua itself",
					policy->source.name);
	if (sandbox_run(policy->sandbox, load, &loading, false) == 0)
		return 0;
	line = policy->sandbox->error_line;
	if (loading.key[0])
		line = line_of_key(policy, loading.key);
	if (line)
		return gantry_error_set(err, -EINVAL, "%s:%d: %s", policy->source.name, line,
					policy->sandbox->error);
	return gantry_error_set(err, -EINVAL, "%s: %s", policy->source.name,
				policy->sandbox->error);
}

/* The policy over the source that it has. */
static int open_policy(struct policy *policy, const struct script_budget *budget, bool with_tests,
		       struct gantry_error *err)
{
	policy->budget = *budget;
	policy->returns = lines_of_returns(policy->source.text, policy->source.length,
					   &policy->returns_count);
	return make_sandbox(policy, with_tests, err);
}

int policy_load(struct source *source, const struct script_budget *budget,
		struct policy **ret_policy, struct gantry_error *err)
{
	struct policy *policy = xcalloc(1, sizeof(*policy));
	int code;

	policy->source = *source;
	*source = (struct source){0};
	code = open_policy(policy, budget, true, err);
	if (code == 0 && policy_has(policy, HOOK_EVENT) && !policy->shadow) {
		code = policy_copy(policy, &policy->for_events, err);
	}
	if (code < 0) {
		policy_free(policy);
		return code;
	}
	*ret_policy = policy;
	return 0;
}

int policy_copy(const struct policy *policy, struct policy **ret_copy, struct gantry_error *err)
{
	struct policy *copy = xcalloc(1, sizeof(*copy));
	int code;

	source_copy(&policy->source, &copy->source);
	code = open_policy(copy, &policy->budget, false, err);
	if (code < 0) {
		policy_free(copy);
		return code;
	}
	*ret_copy = copy;
	return 0;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	policy_free(policy->for_events);
	sandbox_free(policy->sandbox);
	json_object_put(policy->tests);
	source_fini(&policy->source);
	free(policy->returns);
	free(policy);
}

/* --- asking ---------------------------------------------------------------------------------------- */

bool policy_denies(const struct policy *policy, enum hook hook)
{
	if (policy->on_error != ON_ERROR_DEFAULT)
		return policy->on_error == ON_ERROR_DENY;
	return hook == HOOK_ADMIT || hook == HOOK_FILTER;
}

int policy_run(struct policy *policy, enum hook hook, const struct script_request *request,
	       lua_CFunction body, void *context, bool batch)
{
	if (!policy->sandbox)
		return -1;
	if (!batch) {
		policy->sandbox->random = request->seed + (uint64_t)hook * 0x632be59bd9b4e019;
		sandbox_want_line(policy->sandbox, true);
	}
	return sandbox_run(policy->sandbox, body, context, batch);
}

void policy_end(struct policy *policy)
{
	struct gantry_error err;

	if (!policy->sandbox)
		return;
	sandbox_forget(policy->sandbox);
	if (!policy->sandbox->killed)
		return;
	sandbox_free(policy->sandbox);
	if (make_sandbox(policy, false, &err) < 0) {
		log_error("policy %s fails until the policies are loaded again: %s", policy->name,
			  err.text);
		sandbox_free(policy->sandbox);
		policy->sandbox = NULL;
	}
}

int policy_line(const struct policy *policy)
{
	int line = policy->sandbox ? policy->sandbox->line : 0, found = line;

	for (size_t i = 0; i < policy->returns_count && policy->returns[i] <= line; i++)
		found = policy->returns[i];
	return found;
}

void policy_push_hook(lua_State *L, const struct policy *policy, enum hook hook)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, policy->hooks[hook]);
}

const char *policy_error(const struct policy *policy)
{
	return policy->sandbox ? policy->sandbox->error : "could not be started again";
}

int policy_error_line(const struct policy *policy)
{
	return policy->sandbox ? policy->sandbox->error_line : 0;
}

bool policy_killed(const struct policy *policy)
{
	return !policy->sandbox || policy->sandbox->killed;
}

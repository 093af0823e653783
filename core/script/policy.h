/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One policy: a file, its sandbox and its hooks; and the set of them. Internal to script/.
 *
 * A policy that was killed gets a new sandbox from the source that was read at load: it may hold all
 * of its memory in tables of its own, or have been in the middle of changing them.
 */
#ifndef SCRIPT_POLICY_H
#define SCRIPT_POLICY_H

#include "script/kept.h"
#include "script/log_hook.h"
#include "script/sandbox.h"
#include "script/source.h"

enum hook {
	HOOK_ADMIT,
	HOOK_ENVIRONMENT,
	HOOK_RESOURCES,
	HOOK_FILTER,
	HOOK_SCORE,
	HOOK_RESTART,
	HOOK_EVENT,
	HOOK_LOG,
	HOOK_COUNT
};

const char *hook_text(enum hook hook);

enum on_error { ON_ERROR_DEFAULT, ON_ERROR_DENY, ON_ERROR_SKIP };

struct policy {
	struct source source; /* source.name is the file's base name */
	char name[64];
	bool shadow;
	enum on_error on_error;
	struct script_budget budget;
	struct sandbox *sandbox; /* owned; NULL: it could not be made anew */
	int hooks[HOOK_COUNT];   /* references in the sandbox's registry, LUA_NOREF */
	int *returns;            /* owned: the lines with a return statement, in order */
	size_t returns_count;
	struct script_log_counts log_counts;
	int64_t log_warned_us;     /* when its log hook was last told to fail; 0: never */
	struct json_object *tests; /* owned: a list, see selftest.h; NULL: it has none */
	struct policy
		*for_events; /* owned; the same file in a state of its own, see event.h; NULL */
};

struct script_set {
	struct policy **policies; /* owned, in the order they are asked */
	size_t count;
	char revision[20];
	struct kept_nodes kept;
};

/* Takes the source over, also on failure. err says file and line. Where it has an event hook that is to be
 * run, for_events is made as well. */
int policy_load(struct source *source, const struct script_budget *budget,
		struct policy **ret_policy, struct gantry_error *err);
/* The same file in a state of its own, without its tests. */
int policy_copy(const struct policy *policy, struct policy **ret_copy, struct gantry_error *err);
void policy_free(struct policy *policy);

static inline bool policy_has(const struct policy *policy, enum hook hook)
{
	return policy->hooks[hook] != LUA_NOREF;
}

/* How many tests the file has. */
static inline size_t policy_tests(const struct policy *policy)
{
	return policy->tests ? json_object_array_length(policy->tests) : 0;
}

/* Whether a failure of this hook refuses the request. */
bool policy_denies(const struct policy *policy, enum hook hook);

/*
 * Runs body in the policy's sandbox (see sandbox_run), with the clock and the random numbers of the
 * request.  On failure -1 and policy_error; policy_killed
 * tells whether it was for the budget.
 */
int policy_run(struct policy *policy, enum hook hook, const struct script_request *request,
	       lua_CFunction body, void *context, bool batch);
/*
 * The line of the return that gave the last answer, 0: not known. Lua knows where the statement ends;
 * this is where it begins. Not for an answer of nil, which may come from no return.
 */
int policy_line(const struct policy *policy);
/* After the last run of a hook: facts die, and a sandbox that was killed is made anew. */
void policy_end(struct policy *policy);

/* Pushes the hook's function. */
void policy_push_hook(lua_State *L, const struct policy *policy, enum hook hook);

const char *policy_error(const struct policy *policy);
int policy_error_line(const struct policy *policy);
bool policy_killed(const struct policy *policy);

#endif

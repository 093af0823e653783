/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admit, environment, resources: each policy that has the hook is asked in turn.
 *
 * A body runs inside the sandbox: it calls the hook and takes the answer out as plain data, raising on
 * nonsense. What the answer means is decided after, outside of Lua. Either may fail, and then the
 * policy's failure rule is applied.
 */
#include "base/clock.h"
#include "base/str.h"
#include "script/answers.h"
#include "script/decision.h"
#include "script/facts.h"
#include "script/value.h"
#include "script/verdict.h"

#define REASON_BYTES_MAX 4096

struct asking {
	struct policy *policy;
	enum hook hook;
	const struct script_request *request;
	struct script_decision *decision;
	const struct gantry_spec *spec; /* as it is now */

	enum verdict verdict;
	enum script_recorded record; /* with VERDICT_ALLOW */
	const char *reason;          /* in the decision's arena */
	struct json_object *answer;  /* owned; NULL: no opinion */
	struct gantry_error err;
};

enum verdict verdict_read(lua_State *L, const char **ret_reason, size_t *ret_length)
{
	*ret_reason = NULL;
	switch (lua_type(L, -2)) {
	case LUA_TNIL:
		return VERDICT_NONE;
	case LUA_TBOOLEAN:
		if (lua_toboolean(L, -2))
			return VERDICT_ALLOW;
		break;
	default:
		luaL_error(L, "the answer must be true, false and a reason, or nil, not a %s value",
			   luaL_typename(L, -2));
	}
	if (lua_isnil(L, -1))
		return VERDICT_DENY;
	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "the reason must be text, not a %s value", luaL_typename(L, -1));
	*ret_reason = lua_tolstring(L, -1, ret_length);
	if (*ret_length > REASON_BYTES_MAX)
		luaL_error(L, "the reason must have at most %d bytes", REASON_BYTES_MAX);
	return VERDICT_DENY;
}

/* The second result of an admit that allows: { record = true } or { record = "input" }. */
static enum script_recorded read_terms(lua_State *L, const struct script_request *request)
{
	enum script_recorded record = SCRIPT_UNRECORDED;

	if (!lua_istable(L, -1)) /* `return x == y, "why not"` */
		return record;
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		if (lua_type(L, -2) != LUA_TSTRING || !str_equal(lua_tostring(L, -2), "record"))
			luaL_error(
				L,
				"what goes with true is { record = true } or { record = \"input\" }");
		if (!str_equal(request->verb, "attach") && !str_equal(request->verb, "exec"))
			luaL_error(L, "only attach and exec can be recorded, not %s",
				   request->verb);
		if (lua_type(L, -1) == LUA_TSTRING && str_equal(lua_tostring(L, -1), "input"))
			record = SCRIPT_RECORD_INPUT;
		else if (lua_isboolean(L, -1))
			record = lua_toboolean(L, -1) ? SCRIPT_RECORD_OUTPUT : SCRIPT_UNRECORDED;
		else
			luaL_error(L, "record must be true, false or \"input\"");
		lua_pop(L, 1);
	}
	return record;
}

static int ask_verdict(lua_State *L)
{
	struct asking *asking = lua_touserdata(L, 1);
	const char *reason;
	size_t length;

	policy_push_hook(L, asking->policy, asking->hook);
	facts_push(L, FACT_REQUEST, asking->request);
	lua_call(L, 1, 2);
	asking->verdict = verdict_read(L, &reason, &length);
	if (asking->verdict == VERDICT_ALLOW)
		asking->record = read_terms(L, asking->request);
	if (reason)
		asking->reason = decision_text(asking->decision, reason, length);
	return 0;
}

static int ask_values(lua_State *L)
{
	struct asking *asking = lua_touserdata(L, 1);
	char text[700];

	policy_push_hook(L, asking->policy, asking->hook);
	facts_push(L, FACT_REQUEST, asking->request);
	if (asking->hook == HOOK_ENVIRONMENT)
		facts_push(L, FACT_ENV, &asking->spec->environment);
	else
		facts_push(L, FACT_RESOURCES, asking->spec);
	lua_call(L, 2, 1);
	if (lua_isnil(L, -1))
		return 0;
	if (lua_type(L, -1) != LUA_TTABLE)
		return luaL_error(
			L, "the answer must be a table of what to set, or nil, not a %s value",
			luaL_typename(L, -1));
	if (value_to_json(L, -1, "", VALUE_ANSWER_VALUES, &asking->answer, &asking->err) < 0)
		return luaL_error(L, "wrong answer: %s",
				  value_error_text(&asking->err, text, sizeof(text)));
	return 0;
}

/* Runs the hook of one policy. 0, or -1 where it failed; then a record tells why. */
static int ask(struct asking *asking, lua_CFunction body, int64_t *ret_took_us)
{
	int64_t began_us = clock_monotonic_us();
	int code = policy_run(asking->policy, asking->hook, asking->request, body, asking, false);

	*ret_took_us = clock_monotonic_us() - began_us;
	return code;
}

/* What follows from a failure: 0 to go on, -EACCES. */
static int fail(struct asking *asking, struct script_record *record, struct gantry_error *err)
{
	if (record->shadow || !policy_denies(asking->policy, asking->hook))
		return 0;
	return decision_deny(asking->decision, record, err);
}

int script_admit(struct script_set *set, const struct script_request *request,
		 struct script_decision *decision, struct gantry_error *err)
{
	int code = 0;

	for (size_t i = 0; i < set->count; i++) {
		struct asking asking = {.policy = set->policies[i],
					.hook = HOOK_ADMIT,
					.request = request,
					.decision = decision};
		struct script_record *record;
		int64_t took_us;
		int failed;

		if (!policy_has(asking.policy, HOOK_ADMIT))
			continue;
		failed = ask(&asking, ask_verdict, &took_us);
		record = decision_add(decision, asking.policy, HOOK_ADMIT,
				      asking.verdict == VERDICT_DENY    ? "deny"
				      : asking.verdict == VERDICT_ALLOW ? "allow"
									: "none");
		record->took_us = took_us;
		if (failed < 0) {
			decision_set_error(decision, record, asking.policy);
			if (fail(&asking, record, code == 0 ? err : NULL) < 0)
				code = -EACCES;
		} else {
			record->line =
				asking.verdict == VERDICT_NONE ? 0 : policy_line(asking.policy);
			record->reason = asking.reason;
			if (asking.record)
				record->answer = asking.record == SCRIPT_RECORD_INPUT
							 ? "{\"record\":\"input\"}"
							 : "{\"record\":true}";
			if (!record->shadow && asking.record > decision->record)
				decision->record = asking.record;
			if (asking.verdict == VERDICT_DENY && !record->shadow) {
				decision_deny(decision, record, code == 0 ? err : NULL);
				code = -EACCES;
			}
		}
		policy_end(asking.policy);
	}
	return code;
}

/* Takes one policy's answer in; 0, or a failure that says what is wrong with it. */
typedef int (*take_fn)(struct asking *asking, struct json_object *answer, int line,
		       struct arena *arena, struct gantry_spec *spec, struct gantry_error *err);

static int ask_for_values(struct script_set *set, enum hook hook,
			  const struct script_request *request, struct arena *arena,
			  struct gantry_spec *spec, struct script_decision *decision, take_fn take,
			  struct gantry_error *err)
{
	int code = 0;

	for (size_t i = 0; i < set->count && code == 0; i++) {
		struct asking asking = {.policy = set->policies[i],
					.hook = hook,
					.request = request,
					.decision = decision,
					.spec = spec};
		struct script_record *record;
		size_t first = decision->count;
		int64_t took_us;
		int line, failed;
		bool answered;

		if (!policy_has(asking.policy, hook))
			continue;
		failed = ask(&asking, ask_values, &took_us);
		line = policy_line(asking.policy);
		if (failed == 0 && asking.answer)
			failed = take(&asking, asking.answer, line, arena, spec, &asking.err);
		answered = asking.answer;
		json_object_put(asking.answer);
		if (failed < 0) {
			char text[700];
			const char *why = asking.err.text;

			record = decision_add(decision, asking.policy, hook, "error");
			if (answered) {
				why = value_error_text(&asking.err, text, sizeof(text));
				record->reason = decision_text(decision, why, strlen(why));
				record->line = line;
			} else {
				decision_set_error(decision, record, asking.policy);
			}
			code = fail(&asking, record, err);
		} else if (decision->count == first) {
			record = decision_add(decision, asking.policy, hook, "none");
		}
		decision->records[first].took_us = took_us;
		policy_end(asking.policy);
	}
	return code;
}

static int take_environment(struct asking *asking, struct json_object *answer, int line,
			    struct arena *arena, struct gantry_spec *spec, struct gantry_error *err)
{
	return answer_environment(answer, asking->policy, line, arena, spec, asking->decision, err);
}

/* Who asks may tell by labels where values of the request are from: the decision has it. */
static void record_origins(const struct gantry_pairs *labels, struct script_decision *decision)
{
	for (size_t i = 0; i < labels->count; i++) {
		const struct gantry_pair *label = &labels->items[i];
		struct script_record *record;

		if (!str_starts_with(label->name, SCRIPT_ORIGIN))
			continue;
		record = decision_add(decision, NULL, HOOK_ENVIRONMENT, "none");
		record->subject =
			arena_strdup(&decision->arena, label->name + strlen(SCRIPT_ORIGIN));
		record->reason = decision_text(decision, label->value, strlen(label->value));
	}
}

int script_environment(struct script_set *set, const struct script_request *request,
		       struct arena *arena, struct gantry_spec *spec,
		       struct script_decision *decision, struct gantry_error *err)
{
	record_origins(&spec->labels, decision);
	return ask_for_values(set, HOOK_ENVIRONMENT, request, arena, spec, decision,
			      take_environment, err);
}

static int take_resources(struct asking *asking, struct json_object *answer, int line,
			  struct arena *arena, struct gantry_spec *spec, struct gantry_error *err)
{
	return answer_resources(answer, asking->policy, line, arena, spec, asking->decision, err);
}

int script_resources(struct script_set *set, const struct script_request *request,
		     struct arena *arena, struct gantry_spec *spec,
		     struct script_decision *decision, struct gantry_error *err)
{
	return ask_for_values(set, HOOK_RESOURCES, request, arena, spec, decision, take_resources,
			      err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* restart: after an exit, each policy that has the hook is asked until one has an opinion. */
#include "base/clock.h"
#include "script/decision.h"
#include "script/exposed.h"
#include "script/facts.h"
#include "script/policy.h"

#include <math.h>

#define REASON_BYTES_MAX 4096
#define AFTER_S_MAX      (7 * 86400.0)

struct asking {
	struct policy *policy;
	const struct script_request *request;
	const struct script_exit *told;
	struct script_decision *decision;

	bool answered;
	struct script_restart answer;
};

static void read_answer(lua_State *L, struct asking *asking)
{
	lua_Number seconds;

	asking->answered = true;
	switch (lua_type(L, -2)) {
	case LUA_TNIL:
		asking->answered = false;
		return;
	case LUA_TNUMBER:
		seconds = lua_tonumber(L, -2);
		if (!(seconds >= 0 && seconds <= AFTER_S_MAX))
			luaL_error(L, "the seconds must be from 0 to %d", (int)AFTER_S_MAX);
		asking->answer.what = SCRIPT_RESTART_AFTER;
		asking->answer.after_ms = (int64_t)ceil(seconds * 1000);
		return;
	case LUA_TBOOLEAN:
		if (!lua_toboolean(L, -2)) {
			asking->answer.what = SCRIPT_RESTART_LEAVE;
			return;
		}
		break;
	case LUA_TSTRING:
		if (strcmp(lua_tostring(L, -2), "fail") == 0) {
			asking->answer.what = SCRIPT_RESTART_FAIL;
			return;
		}
		break;
	default:
		break;
	}
	luaL_error(L, "the answer must be seconds, false, \"fail\" or nil, not %s",
		   exposed_text(L, -2, NULL)); /* no address: a replay is exact */
}

static int ask(lua_State *L)
{
	struct asking *asking = lua_touserdata(L, 1);
	const char *reason;
	size_t length;

	policy_push_hook(L, asking->policy, HOOK_RESTART);
	facts_push(L, FACT_INSTANCE, asking->request->instance);
	facts_push(L, FACT_EXIT, asking->told);
	lua_call(L, 2, 2);
	read_answer(L, asking);
	if (lua_isnil(L, -1))
		return 0;
	if (lua_type(L, -1) != LUA_TSTRING)
		return luaL_error(L, "the reason must be text, not a %s value",
				  luaL_typename(L, -1));
	reason = lua_tolstring(L, -1, &length);
	if (length > REASON_BYTES_MAX)
		return luaL_error(L, "the reason must have at most %d bytes", REASON_BYTES_MAX);
	asking->answer.reason = decision_text(asking->decision, reason, length);
	return 0;
}

static const char *answer_text(const struct asking *asking, struct arena *arena)
{
	if (!asking->answered)
		return NULL;
	if (asking->answer.what == SCRIPT_RESTART_FAIL)
		return "\"fail\"";
	if (asking->answer.what == SCRIPT_RESTART_LEAVE)
		return "false";
	return arena_printf(arena, "%lld.%03d", (long long)asking->answer.after_ms / 1000,
			    (int)(asking->answer.after_ms % 1000));
}

/* Records the policy's answer; true where it decides. */
static bool take(struct asking *asking, int failed, int64_t took_us)
{
	const struct policy *policy = asking->policy;
	struct script_record *record = decision_add(asking->decision, policy, HOOK_RESTART,
						    asking->answered ? "set" : "none");

	record->took_us = took_us;
	if (failed < 0) {
		decision_set_error(asking->decision, record, policy);
		asking->answer = (struct script_restart){.what = SCRIPT_RESTART_LEAVE,
							 .reason = record->reason};
		return !record->shadow && policy_denies(policy, HOOK_RESTART);
	}
	record->answer = answer_text(asking, &asking->decision->arena);
	record->reason = asking->answer.reason;
	record->line = asking->answered ? policy_line(policy) : 0;
	return asking->answered && !record->shadow;
}

bool script_has_restart(const struct script_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (policy_has(set->policies[i], HOOK_RESTART))
			return true;
	return false;
}

void script_restart(struct script_set *set, const struct script_request *request,
		    const struct script_exit *told, struct script_decision *decision,
		    struct script_restart *ret_answer)
{
	*ret_answer = (struct script_restart){.what = SCRIPT_RESTART_LEAVE};
	for (size_t i = 0; i < set->count; i++) {
		struct asking asking = {.policy = set->policies[i],
					.request = request,
					.told = told,
					.decision = decision};
		int64_t began_us = clock_monotonic_us();
		bool decides;
		int failed;

		if (!policy_has(asking.policy, HOOK_RESTART))
			continue;
		failed = policy_run(asking.policy, HOOK_RESTART, request, ask, &asking, false);
		decides = take(&asking, failed, clock_monotonic_us() - began_us);
		policy_end(asking.policy);
		if (decides) {
			*ret_answer = asking.answer;
			return;
		}
	}
}

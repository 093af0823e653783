/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: filter, then score, over all nodes.
 *
 *   1. each policy's filter is asked for each node that is still in; what it refuses is out;
 *   2. each policy's score is asked for each node that is left; scores add up;
 *   3. the highest sum wins, then fewer instances, then the name; but nodes at which starts fail
 *      (lowered) come after all others.
 *
 * One stage is one policy's filter or score over all nodes: it runs in one protected call, which goes
 * on behind the node at which the script failed. The budget of instructions is for one node, that of
 * time for the stage; a stage that was killed is not gone on with, and its failure rule is applied to
 * the nodes it was not asked for.
 *
 * A node's fact is made once a placement and state, not once a call. Answers are recorded as groups
 * with the same reason. The line of a `return` costs a hook at each return, so that it is looked for
 * at the first nodes, and again for some after each reason whose line is not known; for reasons whose
 * line is not known at the end of the stage, one node is asked once more.
 */
#include "base/clock.h"
#include "script/alarm.h"
#include "script/decision.h"
#include "script/facts.h"
#include "script/kept.h"
#include "script/matrix.h"
#include "script/placing.h"
#include "script/verdict.h"

#include <math.h>
#include <stdlib.h>

#define UNCOUNTED_NODES 64 /* at least, for an alarm to pay */
#define UNCOUNTED_FEW   16
#define TOP_MAX         5
#define SCORE_MAX       1e12

/* --- inside the sandbox ---------------------------------------------------------------------------- */

/* Pushes the fact of the node at hand; the table of them is at index 2. */
static void push_node(lua_State *L, const struct placing *placing)
{
	lua_Integer key = (lua_Integer)placing->at + 1;

	if (lua_rawgeti(L, 2, key) != LUA_TNIL)
		return;
	lua_pop(L, 1);
	facts_push(L, FACT_NODE, placing->nodes[placing->at]);
	lua_pushvalue(L, -1);
	lua_rawseti(L, 2, key);
}

static void take_verdict(lua_State *L, struct placing *placing)
{
	const char *reason;
	size_t length = 0;

	switch (verdict_read(L, &reason, &length)) {
	case VERDICT_NONE:
		if (placing->matrix)
			matrix_answer(placing->matrix, placing->at, "none", NULL, 0, 0);
		return;
	case VERDICT_ALLOW:
		placing->answered++;
		if (placing->matrix)
			matrix_answer(placing->matrix, placing->at, "allow", NULL, 0, 0);
		return;
	case VERDICT_DENY:
		placing_refuse(placing, placing->at, reason, length, policy_line(placing->policy),
			       false);
		return;
	}
}

/* The number that was answered; raises where it is none. */
static double read_score(lua_State *L)
{
	double score;

	if (lua_type(L, -2) != LUA_TNUMBER)
		luaL_error(L, "the answer must be a number or nil, not a %s value",
			   luaL_typename(L, -2));
	score = lua_tonumber(L, -2);
	if (!(fabs(score) <= SCORE_MAX))
		luaL_error(L, "the score must be a finite number within plus or minus 1e12");
	return score;
}

static void take_score(lua_State *L, struct placing *placing)
{
	double score;

	if (lua_isnil(L, -2)) {
		if (placing->matrix)
			matrix_answer(placing->matrix, placing->at, "none", NULL, 0, 0);
		return;
	}
	score = read_score(L);
	placing->given[placing->at] = score;
	placing->answered++;
	if (placing->matrix)
		matrix_score(placing->matrix, placing->at, score);
}

/*
 * Many short calls run uncounted. An alarm that rings after few of them tells of a slow script: it is
 * counted from there on; after many it was only a long list, and is set anew.
 */
static void decide_count(struct placing *placing, struct sandbox *sandbox)
{
	if (sandbox->uncounted) {
		placing->uncounted++;
	} else if (!placing->counted && placing->count - placing->at >= UNCOUNTED_NODES) {
		placing->counted = placing->uncounted < UNCOUNTED_FEW;
		placing->uncounted = 0;
		if (!placing->counted)
			sandbox_uncount(sandbox);
	}
}

/* Whether the node at hand is to be asked again, with the same random numbers. */
static bool ask_again(struct placing *placing, struct sandbox *sandbox)
{
	if (!sandbox_doubts(sandbox))
		return false;
	sandbox_count(sandbox);
	placing->counted = true;
	sandbox->random = placing->random;
	return true;
}

static int ask_nodes(lua_State *L)
{
	struct placing *placing = lua_touserdata(L, 1);
	struct sandbox *sandbox = sandbox_of(L);

	kept_push(L, placing->request, placing->kept, placing->count);
	policy_push_hook(L, placing->policy, placing->hook);
	lua_rawgeti(L, 2, 0);
	while (placing->at < placing->count) {
		if (placing->out[placing->at]) {
			placing->at++;
			continue;
		}
		decide_count(placing, sandbox);
		sandbox_next(sandbox);
		placing->random = sandbox->random;
		sandbox_want_line(sandbox, placing->lines_left > 0);
		placing->lines_left--;
		lua_pushvalue(L, 3);
		lua_pushvalue(L, 4);
		push_node(L, placing);
		lua_call(L, 2, 2);
		if (!ask_again(placing, sandbox)) {
			if (placing->hook == HOOK_FILTER)
				take_verdict(L, placing);
			else
				take_score(L, placing);
			placing->at++;
		}
		lua_settop(L, 4);
	}
	return 0;
}

/* A node is asked once more, for the line of its answer alone: placing->group's first. */
static int ask_for_line(lua_State *L)
{
	struct placing *placing = lua_touserdata(L, 1);
	struct group *group = placing->group;
	const char *reason;
	size_t length = 0;

	sandbox_of(L)->random = group->random;
	placing->at = group->first;
	kept_push(L, placing->request, placing->kept, placing->count);
	policy_push_hook(L, placing->policy, placing->hook);
	lua_rawgeti(L, 2, 0);
	push_node(L, placing);
	lua_call(L, 2, 2);
	if (placing->hook == HOOK_SCORE)
		read_score(L);
	else if (verdict_read(L, &reason, &length) == VERDICT_DENY && length == group->length &&
		 (!reason || placing_is_reason(group, reason, length)))
		group->line = policy_line(placing->policy);
	return 0;
}

/* --- stages ---------------------------------------------------------------------------------------- */

/* Runs the stage to its end, going on after each node at which the script fails. */
static void run_stage(struct placing *placing, void (*fail)(struct placing *placing))
{
	bool batch = false;

	placing->at = 0;
	placing->counted = false;
	placing->uncounted = UNCOUNTED_FEW;
	placing->lines_left = placing->hook == HOOK_FILTER ? LINE_NODES : 0;
	while (policy_run(placing->policy, placing->hook, placing->request, ask_nodes, placing,
			  batch) < 0) {
		batch = true;
		if (!policy_killed(placing->policy) && ask_again(placing, placing->policy->sandbox))
			continue;
		placing->counted = true;
		fail(placing);
		if (policy_killed(placing->policy))
			return;
		placing->at++;
	}
}

static void filter_failed(struct placing *placing)
{
	const char *text = policy_error(placing->policy);
	size_t last = policy_killed(placing->policy) ? placing->count : placing->at + 1;
	bool deny = policy_denies(placing->policy, HOOK_FILTER) && !placing->policy->shadow;

	for (size_t i = placing->at; i < last && i < placing->count; i++) {
		bool was_out = placing->out[i];

		if (was_out)
			continue;
		placing_refuse(placing, i, text, strlen(text), policy_error_line(placing->policy),
			       true);
		placing->out[i] = deny;
	}
}

static void score_failed(struct placing *placing)
{
	const char *text = policy_error(placing->policy);
	bool out = placing->out[placing->at];

	placing_refuse(placing, placing->at, text, strlen(text), policy_error_line(placing->policy),
		       true);
	placing->out[placing->at] = out;
}

/* Whatever is not as it was keeps its answer, without a line. */
static void find_lines(struct placing *placing)
{
	struct policy *policy = placing->policy;

	if (policy_killed(policy))
		return;
	sandbox_want_line(policy->sandbox, true);
	for (size_t i = 0; i < placing->groups_count; i++) {
		struct group *group = placing->group = &placing->groups[i];
		const char *text;

		if (group->line || policy_run(policy, placing->hook, placing->request, ask_for_line,
					      placing, true) == 0)
			continue;
		text = policy_error(policy);
		if (policy_killed(policy))
			return;
		if (group->error && placing_is_reason(group, text, strlen(text)))
			group->line = policy_error_line(policy);
	}
}

static void filter(struct placing *placing)
{
	int64_t began_us = clock_monotonic_us();

	run_stage(placing, filter_failed);
	find_lines(placing);
	placing_record_groups(placing, clock_monotonic_us() - began_us);
	placing_sum_up(placing);
}

/* --- scores ---------------------------------------------------------------------------------------- */

/* Whether node a comes before node b. */
static bool is_better(const struct placing *placing, const double *scores, size_t a, size_t b)
{
	const struct node *left = placing->nodes[a], *right = placing->nodes[b];

	if (left->lowered != right->lowered)
		return right->lowered;
	if (scores[a] != scores[b])
		return scores[a] > scores[b];
	if (left->instances != right->instances)
		return left->instances < right->instances;
	return strcmp(left->name, right->name) < 0;
}

/* The best nodes that are in, best first; how many there are. */
static size_t find_top(const struct placing *placing, const double *scores, size_t *top)
{
	size_t found = 0;

	for (size_t i = 0; i < placing->count; i++) {
		size_t k;

		if (placing->out[i])
			continue;
		for (k = found; k > 0 && is_better(placing, scores, i, top[k - 1]); k--)
			if (k < TOP_MAX)
				top[k] = top[k - 1];
		if (k < TOP_MAX)
			top[k] = i;
		if (found < TOP_MAX)
			found++;
	}
	return found;
}

static const char *print_top(struct placing *placing, const double *scores, const size_t *top,
			     size_t found, size_t asked)
{
	struct str json = STR_INIT;
	const char *text;

	str_addf(&json, "{\"count\":%zu,\"top\":[", asked);
	for (size_t k = 0; k < found; k++) {
		const struct node *node = placing->nodes[top[k]];

		str_add(&json, k ? ",{\"node\":" : "{\"node\":");
		decision_add_text(&json, node->name, false);
		str_addf(&json, ",\"score\":%.14g,\"instances\":%lld,\"version\":%lld}",
			 scores[top[k]], (long long)node->instances, (long long)node->version);
	}
	str_add(&json, "]}");
	text = decision_answer(placing->decision, &json);
	str_fini(&json);
	return text;
}

static void record_scores(struct placing *placing, int64_t took_us)
{
	size_t top[TOP_MAX], found = find_top(placing, placing->given, top);
	struct script_record *record = decision_add(placing->decision, placing->policy, HOOK_SCORE,
						    placing->answered ? "score" : "none");

	record->took_us = took_us;
	if (placing->answered)
		record->answer = print_top(placing, placing->given, top, found, placing->answered);
}

/* 0, or -EACCES where the policy failed and is to refuse then. */
static int score(struct placing *placing, struct gantry_error *err)
{
	int64_t began_us = clock_monotonic_us();
	size_t first = placing->decision->count;

	memset(placing->given, 0, placing->count * sizeof(placing->given[0]));
	run_stage(placing, score_failed);
	find_lines(placing);
	began_us = clock_monotonic_us() - began_us;
	placing_record_groups(placing, began_us);
	if (placing->groups_count > 0 && !placing->policy->shadow &&
	    policy_denies(placing->policy, HOOK_SCORE))
		return decision_deny(placing->decision, &placing->decision->records[first], err);
	if (policy_killed(placing->policy)) { /* some nodes would have its score and some not */
		if (placing->matrix)
			matrix_void(placing->matrix, "does not count: it went over its budget");
		return 0;
	}
	record_scores(placing, placing->groups_count ? 0 : began_us);
	if (!placing->policy->shadow)
		for (size_t i = 0; i < placing->count; i++)
			placing->scores[i] += placing->given[i];
	return 0;
}

/* --- the whole ------------------------------------------------------------------------------------- */

static size_t count_in(const struct placing *placing)
{
	size_t count = 0;

	for (size_t i = 0; i < placing->count; i++)
		count += !placing->out[i];
	return count;
}

static void start_stage(struct placing *placing, struct policy *policy, enum hook hook)
{
	placing->policy = policy;
	placing->hook = hook;
	placing->answered = 0;
	placing->groups_count = 0;
	if (placing->matrix)
		matrix_stage(placing->matrix, policy, hook);
}

static int refuse_all(struct placing *placing, struct gantry_error *err)
{
	char text[480];

	if (placing->count == 0)
		return decision_deny_text(placing->decision, "no node is up and takes instances",
					  err);
	snprintf(text, sizeof(text), "no node is left of %zu: %.400s", placing->count,
		 str_text(&placing->reasons));
	return decision_deny_text(placing->decision, text, err);
}

static struct node *choose(struct placing *placing)
{
	size_t top[TOP_MAX], found = find_top(placing, placing->scores, top);
	struct script_record *record = decision_add(placing->decision, NULL, HOOK_SCORE, "score");
	struct node *chosen = placing->nodes[top[0]];

	record->subject = arena_strdup(&placing->decision->arena, chosen->name);
	record->answer = print_top(placing, placing->scores, top, found, count_in(placing));
	placing->decision->node = record->subject;
	return chosen;
}

static int ask_all(struct placing *placing, struct script_set *set, struct gantry_error *err)
{
	int code = 0;

	for (size_t i = 0; i < set->count && count_in(placing) > 0; i++) {
		if (!policy_has(set->policies[i], HOOK_FILTER))
			continue;
		start_stage(placing, set->policies[i], HOOK_FILTER);
		filter(placing);
		placing->dead[i] = policy_killed(set->policies[i]);
	}
	if (count_in(placing) == 0)
		return refuse_all(placing, err);
	for (size_t i = 0; i < set->count && code == 0; i++) {
		struct policy *policy = set->policies[i];

		if (!policy_has(policy, HOOK_SCORE) || placing->dead[i])
			continue;
		start_stage(placing, policy, HOOK_SCORE);
		code = score(placing, err);
	}
	return code;
}

static int place(struct script_set *set, const struct script_request *request,
		 struct node *const *nodes, size_t count, struct node **ret_node,
		 struct script_decision *decision, struct json_object **ret_matrix,
		 struct gantry_error *err)
{
	struct group *groups = xcalloc(GROUPS_MAX, sizeof(*groups));
	struct placing placing = {.request = request,
				  .decision = decision,
				  .nodes = nodes,
				  .kept = &set->kept,
				  .count = count,
				  .out = xcalloc(count + 1, sizeof(bool)),
				  .scores = xcalloc(count + 1, sizeof(double)),
				  .given = xcalloc(count + 1, sizeof(double)),
				  .dead = xcalloc(set->count + 1, sizeof(bool)),
				  .groups = groups,
				  .matrix = ret_matrix ? matrix_new(nodes, count) : NULL};
	int code;

	kept_compare(&set->kept, nodes, count);
	code = ask_all(&placing, set, err);
	alarm_clear();
	for (size_t i = 0; i < set->count; i++) {
		struct policy *policy = set->policies[i];

		if (!policy_has(policy, HOOK_FILTER) && !policy_has(policy, HOOK_SCORE))
			continue;
		policy_end(policy); /* makes a full sandbox anew, and with it the facts */
		if (policy->sandbox)
			sandbox_run(policy->sandbox, kept_end, NULL, false);
	}
	if (code == 0)
		*ret_node = choose(&placing);
	if (ret_matrix) {
		*ret_matrix = matrix_print(placing.matrix, placing.scores, placing.out);
		matrix_free(placing.matrix);
	}
	str_fini(&placing.reasons);
	free(placing.out);
	free(placing.scores);
	free(placing.given);
	free(placing.dead);
	free(groups);
	return code;
}

void script_decision_tried(struct script_decision *decision, const char *node, const char *why)
{
	struct script_record *record = decision_add(decision, NULL, HOOK_SCORE, "error");

	record->hook = "try";
	record->subject = arena_strdup(&decision->arena, node);
	record->reason = decision_text(decision, why, strlen(why));
}

int script_place(struct script_set *set, const struct script_request *request,
		 struct node *const *nodes, size_t count, struct node **ret_node,
		 struct script_decision *decision, struct gantry_error *err)
{
	return place(set, request, nodes, count, ret_node, decision, NULL, err);
}

struct json_object *script_matrix(struct script_set *set, const struct script_request *request,
				  struct node *const *nodes, size_t count,
				  struct script_decision *decision)
{
	struct json_object *matrix;
	struct node *chosen;

	place(set, request, nodes, count, &chosen, decision, &matrix, NULL);
	return matrix;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of a policy. A test is a request, and what one hook of the file is to make of it:
 *
 *   1. the test is read: what it says of the request, the node, the exit; all else has a default;
 *   2. the hook is asked as for a real request (script_admit, script_place, …), with a whole budget,
 *      of a set that has this file alone, in a state of its own and in mode enforce;
 *   3. a hook that fails fails the test, whatever on_error says;
 *   4. what came is held against what is expected. For values, what is expected is taken in as if it
 *      were one more policy's answer: where that changes something, the hook did something else.
 *
 * The first test that fails ends it. An error has the field of the test that it is about.
 */
#include "script/selftest.h"
#include "script/lines.h"
#include "script/trial.h"

/* A refusal is no failure here: it is in the decision. */
static void ask(struct trial *trial, struct script_restart *ret_restart)
{
	struct node *nodes[] = {&trial->node}, *chosen;
	const struct script_request *request = &trial->request;
	struct script_decision *decision = &trial->decision;

	script_decision_init(decision, trial->set, request, 0);
	switch (trial->hook) {
	case HOOK_ADMIT:
		script_admit(trial->set, request, decision, NULL);
		break;
	case HOOK_ENVIRONMENT:
		script_environment(trial->set, request, &trial->arena, &trial->spec, decision,
				   NULL);
		break;
	case HOOK_RESOURCES:
		script_resources(trial->set, request, &trial->arena, &trial->spec, decision, NULL);
		break;
	case HOOK_FILTER:
	case HOOK_SCORE:
		script_place(trial->set, request, nodes, 1, &chosen, decision, NULL);
		break;
	case HOOK_RESTART:
		script_restart(trial->set, request, &trial->told, decision, ret_restart);
		break;
	case HOOK_LOG:
		script_log_decide(trial->set, &trial->line, &trial->arena, decision);
		break;
	case HOOK_EVENT:
	case HOOK_COUNT:
		break; /* trial_read takes none of them */
	}
}

static int run_test(struct script_set *set, struct json_object *test, struct gantry_error *err)
{
	struct trial trial = {.set = set, .test = test};
	struct script_restart restart = {0};
	int code = trial_read(&trial, err);

	if (code == 0) {
		ask(&trial, &restart);
		code = trial_judge(&trial, &restart, err);
		script_decision_fini(&trial.decision);
	}
	instance_free(trial.instance);
	arena_fini(&trial.arena);
	return code;
}

/* Puts file, line and test in front of an error. */
static int tell(const struct policy *policy, size_t index, struct gantry_error *err)
{
	struct script_lines *lines = lines_scan(policy->source.text, policy->source.length);
	struct json_object *name =
		json_get(json_object_array_get_idx(policy->tests, index), "name");
	char path[sizeof(err->field) + 40], label[100];
	const char *dot = err->field[0] ? "." : "";

	snprintf(path, sizeof(path), "return.tests[%zu]%s%s", index + 1, dot, err->field);
	if (json_object_is_type(name, json_type_string))
		snprintf(label, sizeof(label), "test %s",
			 json_object_to_json_string_ext(name, JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		snprintf(label, sizeof(label), "test %zu", index + 1);
	if (err->field[0])
		gantry_error_prefix(err, "%s", err->field);
	gantry_error_prefix(err, "%s:%d: %s", policy->source.name, script_lines_find(lines, path),
			    label);
	err->field[0] = '\0'; /* it names no field of a request */
	script_lines_free(lines);
	return err->code;
}

int selftest_run(const struct policy *policy, struct gantry_error *err)
{
	size_t count = policy_tests(policy);
	struct policy *copy;
	struct script_set set = {.policies = &copy, .count = 1};
	struct gantry_error wrong;
	int code;

	if (count == 0)
		return 0;
	code = policy_copy(policy, &copy, err);
	if (code < 0)
		return code;
	copy->shadow = false;
	for (size_t i = 0; i < count && code == 0; i++) {
		code = run_test(&set, json_object_array_get_idx(policy->tests, i), &wrong);
		if (code < 0)
			tell(policy, i, &wrong);
	}
	if (code < 0)
		gantry_error_set(err, code, "%s", wrong.text);
	kept_nodes_fini(&set.kept);
	policy_free(copy);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the restart hook may answer, what is made of it, and what is said of a wrong answer. */
#include "base/str.h"
#include "policy.h"

static struct script_restart ask(const char *answer, const char *on_error,
				 struct script_decision *decision)
{
	struct instance_exit last_exit = {.known = true, .code = 7, .ran_ms = 1500};
	struct instance instance = {.state = INSTANCE_STOPPED, .last_exit = last_exit};
	const struct script_exit told = {&last_exit, "exit", 0};
	struct script_request request = {
		.verb = "restart", .actor = "gantry", .project = "p", .instance = &instance};
	struct script_restart ret;
	char *source = xasprintf("return { on_error = '%s', restart = function(instance, exit)\n"
				 "return %s end }",
				 on_error, answer);
	struct script_set *set = policy_one(source);

	ok(script_has_restart(set), "%s: the hook is there", answer);
	script_decision_init(decision, set, &request, 1);
	script_restart(set, &request, &told, decision, &ret);
	script_set_free(set);
	free(source);
	return ret;
}

static const struct {
	const char *answer;
	int what;
	int64_t after_ms;
	const char *reason;
} good[] = {
	{"0", SCRIPT_RESTART_AFTER, 0, NULL},
	{"0.0001", SCRIPT_RESTART_AFTER, 1, NULL},
	{"exit.code, 'seven'", SCRIPT_RESTART_AFTER, 7000, "seven"},
	{"7 * 86400", SCRIPT_RESTART_AFTER, 7 * 86400000LL, NULL},
	{"false", SCRIPT_RESTART_LEAVE, 0, NULL},
	{"false, 'enough'", SCRIPT_RESTART_LEAVE, 0, "enough"},
	{"'fail', 'broken'", SCRIPT_RESTART_FAIL, 0, "broken"},
	{"nil", SCRIPT_RESTART_LEAVE, 0, NULL},
};

static const struct {
	const char *answer, *reason;
} bad[] = {
	{"true", "the answer must be seconds, false, \"fail\" or nil, not true"},
	{"'later'", "the answer must be seconds, false, \"fail\" or nil, not later"},
	/* no addresses: the same exit gives the same decision */
	{"{}", "the answer must be seconds, false, \"fail\" or nil, not table"},
	{"instance", "the answer must be seconds, false, \"fail\" or nil, not fact"},
	{"function() end", "the answer must be seconds, false, \"fail\" or nil, not function"},
	{"-1", "the seconds must be from 0 to 604800"},
	{"0/0", "the seconds must be from 0 to 604800"},
	{"1e300", "the seconds must be from 0 to 604800"},
	{"1, {}", "the reason must be text, not a table value"},
	{"1, ('x'):rep(5000)", "the reason must have at most 4096 bytes"},
};

int main(void)
{
	struct script_decision decision;
	struct script_restart got;

	policy_start();
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		got = ask(good[i].answer, "skip", &decision);
		is_int(got.what, good[i].what, "%s: what", good[i].answer);
		is_int(got.after_ms, good[i].after_ms, "%s: when", good[i].answer);
		is_str(got.reason, good[i].reason, "%s: why", good[i].answer);
		script_decision_fini(&decision);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct script_record *record;

		got = ask(bad[i].answer, "deny", &decision);
		record = policy_record(&decision, "p", "restart", NULL);
		is_int(got.what, SCRIPT_RESTART_LEAVE, "%s: it is left", bad[i].answer);
		is_str(record->outcome, "error", "%s: an error", bad[i].answer);
		is_str(record->reason, bad[i].reason, "%s: the reason", bad[i].answer);
		is_int(record->line, 2, "%s: the line", bad[i].answer);
		script_decision_fini(&decision);
	}
	policy_stop();
	done_testing();
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies at random in the real sandbox. Each is one of three in a set, between two that are good, and
 * all hooks are asked, twice over; the event hook is told how its waits end. Whatever it does:
 *
 *	- each call ends within the budget (of all that it asks) and 100 ms;
 *	- the good policies answer as ever;
 *	- memory stays within the budget, nothing is left of it after, records are few and small;
 *	- an error says something; what is recorded is JSON;
 *	- the same again, in a new set, gives the same answers.
 *
 * The policy of a finding is left in the folder that is named. SHOW=1 writes it out.
 */
#include "fuzz.h"

#include "../policy.h"
#include "base/log.h"
#include "grammar.h"
#include "script/event.h"
#include "script/policy.h"

#define NODES        4
#define SLACK_MS     100
#define RECORD_BYTES (1 << 20)   /* of one decision */
#define LEFT_BYTES   (512 << 10) /* the heap may move by, over all cases */

static const char first_source[] =
	"return {\n"
	"  admit = function(req) return req.image:match('^debian:(%d+)$') == '12' end,\n"
	"  environment = function(req, env) return { GOOD = req.name:upper():rep(3, '-') } end,\n"
	"  resources = function(req, res) return { pids = 100 + #req.command } end,\n"
	"  filter = function(req, node) return true end,\n"
	"  score = function(req, node) return 1 end,\n"
	"  restart = function(instance, exit) return nil end,\n"
	"}\n";
static const char last_source[] =
	"return {\n"
	"  admit = function(req)\n"
	"    local t = {}\n"
	"    for k, v in pairs(req.labels) do t[#t + 1] = k .. v end\n"
	"    return false, table.concat(t, ',')\n"
	"  end,\n"
	"  restart = function(instance, exit) return exit.code, 'last' end,\n"
	"}\n";
static const char spec_json[] =
	"{\"image\":\"debian:12\",\"name\":\"web\",\"project\":\"blue\",\"labels\":{\"a\":\"1\",\"b\":\"2\"},"
	"\"command\":[\"sleep\",\"9\"],\"environment\":[\"PATH=/bin\",{\"name\":\"TOKEN\",\"value\":\"hush\","
	"\"secret\":true}],\"memory\":\"64MiB\",\"mounts\":[\"/etc:/mnt:ro\"],\"ulimits\":[\"nofile=10:20\"]}";

static struct gantry_pair node_pairs[] = {{"zone", "a"}};
static struct gantry_pairs node_labels = {node_pairs, 1};
static struct node nodes[NODES], *node_list[NODES];
static int64_t heap_bytes; /* before any case, but for what is taken once */

/* One policy, asked everything. */
struct run {
	struct script_budget budget;
	struct script_set *set;
	struct arena arena;
	struct gantry_spec spec;
	struct script_request request;
	double load_ms;
	bool by_clock;   /* the clock or memory ended something: not the same again */
	struct str told; /* a line for each record */
};

/* --- judging --------------------------------------------------------------------------------------- */

static void judge_time(const struct run *trial, const char *call, double began_ms, int hooks)
{
	double took_ms = cpu_ms() - began_ms;
	/* the budget is scaled already; a policy that was killed is loaded anew, once a hook */
	double limit_ms = hooks * ((double)trial->budget.time_ms + 1.5 * trial->load_ms) +
			  SLACK_MS * slowness();

	if (took_ms > limit_ms)
		fuzz_finding("%s took %.0f ms, over %.0f ms", call, took_ms, limit_ms);
}

static void judge_records(struct run *trial, struct script_decision *decision, const char *call)
{
	struct json_object *printed, *again = NULL;
	struct gantry_error err;
	const char *text;

	for (size_t i = 0; i < decision->count; i++) {
		const struct script_record *record = &decision->records[i];
		bool error = strcmp(record->outcome, "error") == 0;

		if (error && (!record->reason || !record->reason[0]))
			fuzz_finding("%s: an error of %s without a reason", call, record->policy);
		if (error && strcmp(record->policy, "fuzz") != 0)
			fuzz_finding("%s: the good policy %s fails: %s", call, record->policy,
				     record->reason);
		if (error &&
		    (strstr(record->reason, "over its budget") || strstr(record->reason, "memory")))
			trial->by_clock = true;
		fuzz_note(error ? "errors" : "answers");
		if (error && strstr(record->reason, "over its budget"))
			fuzz_note("over budget");
		if (!record->answer)
			continue;
		again = NULL;
		if (json_parse(record->answer, strlen(record->answer), &again, &err) < 0)
			fuzz_finding("%s: an answer is no JSON: %s: %.500s", call, err.text,
				     record->answer);
		json_object_put(again);
	}
	if (decision->arena.used_bytes > RECORD_BYTES)
		fuzz_finding("%s: %zu bytes of records", call, decision->arena.used_bytes);
	printed = script_decision_print(decision);
	text = json_object_to_json_string_ext(printed, JSON_C_TO_STRING_PLAIN);
	again = NULL;
	if (json_parse(text, strlen(text), &again, &err) < 0)
		fuzz_finding("%s: the decision is no JSON: %s: %.500s", call, err.text, text);
	json_object_put(again);
	json_object_put(printed);
}

static void judge_memory(const struct run *trial, const char *call)
{
	for (size_t i = 0; i < trial->set->count; i++) {
		const struct policy *policy = trial->set->policies[i];

		if (policy->sandbox && policy->sandbox->used_bytes > trial->budget.memory_bytes)
			fuzz_finding("%s: %lld bytes in the state of %s", call,
				     (long long)policy->sandbox->used_bytes, policy->name);
		if (policy->sandbox && policy->sandbox->used_bytes < 0)
			fuzz_finding("%s: the state of %s counts %lld bytes", call, policy->name,
				     (long long)policy->sandbox->used_bytes);
	}
}

static void must_have(const struct script_decision *decision, const char *policy, const char *hook,
		      const char *subject, const char *outcome, const char *text)
{
	const struct script_record *record = policy_record(decision, policy, hook, subject);

	if (!record)
		fuzz_finding("%s: the policy %s has no record", hook, policy);
	else if (strcmp(record->outcome, outcome) != 0)
		fuzz_finding("%s: the policy %s: %s, not %s", hook, policy, record->outcome,
			     outcome);
	else if (text && !str_equal(record->answer, text) && !str_equal(record->reason, text))
		fuzz_finding("%s: the policy %s gives %s (%s), not %s", hook, policy,
			     record->answer, record->reason, text);
}

/* --- asking ---------------------------------------------------------------------------------------- */

static void end_call(struct run *trial, struct script_decision *decision, const char *call,
		     int code, const struct gantry_error *err)
{
	judge_records(trial, decision, call);
	judge_memory(trial, call);
	if (code != 0 && code != -EACCES)
		fuzz_finding("%s gives %d", call, code);
	if (code != 0 && !err->text[0])
		fuzz_finding("%s is refused without a reason", call);
	for (size_t i = 0; i < decision->count; i++) {
		const struct script_record *record = &decision->records[i];

		str_addf(&trial->told, "%s: %s %s %s %s, answer %s, reason %s, line %d\n", call,
			 record->policy, record->hook, record->outcome,
			 record->subject ? record->subject : "-",
			 record->answer ? record->answer : "-",
			 record->reason ? record->reason : "-", record->line);
	}
	str_addf(&trial->told, "%s: %d, node %s\n", call, code,
		 decision->node ? decision->node : "-");
	script_decision_fini(decision);
}

static void ask_admit(struct run *trial)
{
	struct script_decision decision;
	struct gantry_error err = {0};
	double began_ms = cpu_ms();
	int code;

	script_decision_init(&decision, trial->set, &trial->request, 1);
	code = script_admit(trial->set, &trial->request, &decision, &err);
	judge_time(trial, "admit", began_ms, 1);
	if (code != -EACCES)
		fuzz_finding("admit gives %d", code);
	must_have(&decision, "a", "admit", NULL, "allow", NULL);
	must_have(&decision, "z", "admit", NULL, "deny", "a1,b2");
	end_call(trial, &decision, "admit", code, &err);
}

/* What is set is what a spec may hold. */
static void judge_spec(const struct gantry_spec *spec, const char *call)
{
	struct json_object *printed = spec_print(spec, SPEC_VALUES_ALL);
	struct arena arena = {0};
	struct gantry_spec again;
	struct gantry_error err;

	if (spec_parse(printed, &arena, &again, &err) < 0)
		fuzz_finding("%s: the spec is refused after: %s: %s", call, err.field, err.text);
	json_object_put(printed);
	arena_fini(&arena);
}

static void ask_values(struct run *trial)
{
	struct gantry_spec spec = trial->spec;
	struct script_request request = trial->request;
	struct script_decision decision;
	struct gantry_error err = {0};
	double began_ms = cpu_ms();
	int code;

	request.spec = &spec;
	script_decision_init(&decision, trial->set, &request, 2);
	code = script_environment(trial->set, &request, &trial->arena, &spec, &decision, &err);
	judge_time(trial, "environment", began_ms, 1);
	must_have(&decision, "a", "environment", "GOOD", "set", "\"WEB-WEB-WEB\"");
	judge_spec(&spec, "environment");
	end_call(trial, &decision, "environment", code, &err);

	began_ms = cpu_ms();
	err = (struct gantry_error){0};
	script_decision_init(&decision, trial->set, &request, 3);
	code = script_resources(trial->set, &request, &trial->arena, &spec, &decision, &err);
	judge_time(trial, "resources", began_ms, 1);
	must_have(&decision, "a", "resources", "pids", "set", "102");
	if (code == 0)
		judge_spec(&spec, "resources");
	end_call(trial, &decision, "resources", code, &err);
}

static void ask_place(struct run *trial)
{
	struct script_decision decision;
	struct gantry_error err = {0};
	struct node *chosen = NULL;
	struct json_object *rows;
	double began_ms = cpu_ms();
	bool known = false;
	int code;

	script_decision_init(&decision, trial->set, &trial->request, 4);
	code = script_place(trial->set, &trial->request, node_list, NODES, &chosen, &decision,
			    &err);
	judge_time(trial, "place", began_ms, 2);
	for (int i = 0; i < NODES; i++)
		known = known || chosen == &nodes[i];
	if (code == 0 && !known)
		fuzz_finding("place gives a node that was not asked about");
	end_call(trial, &decision, "place", code, &err);

	began_ms = cpu_ms();
	script_decision_init(&decision, trial->set, &trial->request, 4);
	rows = script_matrix(trial->set, &trial->request, node_list, NODES, &decision);
	judge_time(trial, "matrix", began_ms, 2);
	json_object_put(rows);
	end_call(trial, &decision, "matrix", 0, &err);
}

static void ask_restart(struct run *trial)
{
	struct instance_exit last = {.known = true, .code = 7, .at_ms = 1, .ran_ms = 1500};
	struct instance instance = {.state = INSTANCE_STOPPED, .node = "n0", .last_exit = last};
	const struct script_exit told = {&last, "exit", 3};
	struct script_request request = trial->request;
	struct script_decision decision;
	struct script_restart answer;
	double began_ms = cpu_ms();
	const struct script_record *record;

	strcpy(instance.id, "i-1");
	instance.spec = trial->spec;
	request.verb = "restart";
	request.instance = &instance;
	script_decision_init(&decision, trial->set, &request, 5);
	script_restart(trial->set, &request, &told, &decision, &answer);
	judge_time(trial, "restart", began_ms, 1);
	if (answer.what == SCRIPT_RESTART_AFTER &&
	    (answer.after_ms < 0 || answer.after_ms > 7 * 86400000LL))
		fuzz_finding("restart after %lld ms", (long long)answer.after_ms);
	must_have(&decision, "a", "restart", NULL, "none", NULL);
	record = policy_record(&decision, "z", "restart", NULL);
	if (record && (answer.what != SCRIPT_RESTART_AFTER || answer.after_ms != 7000))
		fuzz_finding("restart: the last policy was asked and its answer is not taken");
	end_call(trial, &decision, "restart", 0, &(struct gantry_error){0});
}

/* One event; each wait ends at once, by turns well and badly, and the run is ended where they are many. */
static void tell_event(struct run *trial, struct script_runner *runner)
{
	static const char event[] =
		"{\"sequence\":9,\"at\":\"2026-01-02T03:04:05Z\",\"kind\":\"instance.exited\",\"instance\":"
		"\"i-1\",\"name\":\"web\",\"exit\":{\"code\":7}}";
	const struct script_answer ends[] = {{.status = 200, .body = "fine", .length = 4},
					     {.error = "nobody listens there"}};
	struct instance *instance = instance_new("i-1");
	struct script_moment moment = {.now_ms = 1700000000000};
	struct gantry_error err;
	struct fleet fleet;
	enum script_run run;
	double began_ms = cpu_ms();
	int waits = 0;

	fleet_init(&fleet);
	moment.fleet = &fleet;
	spec_copy(&trial->spec, &instance->arena, &instance->spec);
	if (fleet_add(&fleet, instance, &err) < 0)
		bail_out("%s", err.text);
	run = script_runner_start(runner, event, &moment);
	judge_time(trial, "event", began_ms, 1);
	for (; run == SCRIPT_RUN_WAITS && waits < 12; waits++) {
		fuzz_note("waits");
		began_ms = cpu_ms();
		run = script_runner_go_on(runner, &ends[waits % 2], &moment);
		judge_time(trial, "event, after a wait", began_ms, 1);
	}
	if (run == SCRIPT_RUN_WAITS)
		script_runner_end(runner, "too many waits");
	if (run != SCRIPT_RUN_DONE) {
		const char *why = script_runner_error(runner);

		if (!why[0])
			fuzz_finding("event: an error without a reason");
		if (strstr(why, "over its budget") || strstr(why, "memory"))
			trial->by_clock = true;
	}
	str_addf(&trial->told, "event %d after %d waits: %s\n", (int)run, waits,
		 run == SCRIPT_RUN_DONE ? "" : script_runner_error(runner));
	fleet_fini(&fleet);
}

/* A new set, asked everything, rounds times. false: it does not load. */
static bool run(struct run *trial, int rounds)
{
	struct script_runner *runner = NULL;
	struct gantry_error err = {0};
	double began_ms = cpu_ms();
	int code = script_set_load(policy_folder, &trial->budget, &trial->set, &err);

	judge_time(trial, "the load", began_ms, 1);
	trial->load_ms = cpu_ms() - began_ms;
	if (code < 0) {
		if (strstr(err.text, "fuzz.lua") != err.text)
			fuzz_finding("the load fails: %s", err.text);
		if (getenv("SHOW"))
			diag("load: %s", err.text);
		return false;
	}
	policy_spec(spec_json, &trial->arena, &trial->spec);
	trial->request = policy_request(&trial->spec, &trial->arena);
	for (size_t i = 0; i < script_set_count(trial->set) && !runner; i++)
		runner = script_runner_take(trial->set, i);
	for (int round = 0; round < rounds; round++) {
		ask_admit(trial);
		ask_values(trial);
		ask_place(trial);
		ask_restart(trial);
		if (runner)
			tell_event(trial, runner);
	}
	script_runner_free(runner);
	script_set_free(trial->set);
	arena_fini(&trial->arena);
	return true;
}

/* --- cases ----------------------------------------------------------------------------------------- */

/* Tells the first line that differs. */
static void judge_same(const char *first, const char *second)
{
	size_t at = 0, line = 0;

	if (strcmp(first, second) == 0)
		return;
	for (; first[at] && first[at] == second[at]; at++)
		if (first[at] == '\n')
			line = at + 1;
	fuzz_finding("the same again gives other answers:\n%.*s\n%.*s",
		     (int)strcspn(first + line, "\n"), first + line,
		     (int)strcspn(second + line, "\n"), second + line);
}

static void one(void)
{
	struct grammar grammar;
	struct run trial = {.budget = SCRIPT_BUDGET_DEFAULT}, again;
	int64_t left;

	make_policy(&grammar);
	policy_write("fuzz.lua", str_text(&grammar.text));
	if (getenv("SHOW"))
		diag("%s", str_text(&grammar.text));
	if (choose(3) == 0) {
		trial.budget.memory_bytes = (256 << 10) << choose(5);
		trial.budget.instructions = 20000 << choose(5);
	}
	trial.budget.time_ms = (int64_t)((double)trial.budget.time_ms * slowness());
	again = trial;
	if (run(&trial, 2)) {
		fuzz_note("loaded");
		run(&again, 2);
		if (grammar.in_order && !trial.by_clock && !again.by_clock) {
			fuzz_note("replayed");
			judge_same(str_text(&trial.told), str_text(&again.told));
		}
	} else {
		fuzz_note("refused at load");
	}
	str_fini(&trial.told);
	str_fini(&again.told);
	str_fini(&grammar.text);
	left = fuzz_heap_bytes();
	if (fuzz->cases <= 5)
		heap_bytes = left;
	else if (left > heap_bytes + LEFT_BYTES)
		fuzz_finding("%lld bytes of heap are left, %lld before", (long long)left,
			     (long long)heap_bytes);
}

static void start(void)
{
	static char names[NODES][8];

	log_set_level(LOG_LEVEL_ERROR);
	for (int i = 0; i < NODES; i++) {
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		nodes[i] = (struct node){.name = names[i],
					 .labels = &node_labels,
					 .state = NODE_UP,
					 .memory_bytes = 64LL << 30,
					 .memory_promised_bytes = (int64_t)i << 30,
					 .instances = i};
		node_list[i] = &nodes[i];
	}
}

int main(void)
{
	policy_start();
	policy_write("a.lua", first_source);
	policy_write("z.lua", last_source);
	if (fuzz_run("policies", start, one, NULL)) {
		policy_remove("a.lua");
		policy_remove("z.lua");
		policy_remove("fuzz.lua");
		policy_stop();
	} else {
		diag("the policy is %s/fuzz.lua", policy_folder);
	}
	ok(fuzz->cases < 100 || fuzz_noted("loaded") > fuzz->cases / 2, "most of them load");
	done_testing();
	return tap_end();
}

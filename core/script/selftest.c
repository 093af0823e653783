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
#include "base/clock.h"
#include "base/option.h"
#include "base/units.h"
#include "model/spec.h"
#include "script/answers.h"
#include "script/decision.h"
#include "script/lines.h"
#include "script/value.h"

#include <math.h>
#include <stddef.h>

/* What a test says, beside its request and what it expects. All texts are in the trial's arena. */
struct words {
	const char *name, *hook, *deny;
	const char *verb, *actor, *user, *now;
};

struct words_of_node {
	const char *name, *plugin;
	struct gantry_pairs labels;
	int64_t memory_bytes, memory_promised_bytes, cpus, cpus_promised, instances;
};

struct words_of_usage {
	int64_t instances, memory_bytes, cpus;
};

struct words_of_exit {
	const char *cause;
	int64_t code, signal, ran_ms, restarts;
	bool oom_seen, oom_killed, start_failed;
};

struct trial {
	struct script_set *set;     /* borrowed: of the one policy */
	struct json_object *test;   /* borrowed */
	struct json_object *expect; /* borrowed from test; NULL: the test has `deny` */
	enum hook hook;
	struct words words;
	struct words_of_node words_of_node;
	struct arena arena;
	struct gantry_spec spec;   /* of the request; with what was set, after */
	struct instance *instance; /* owned; NULL: of a spawn */
	struct node node;
	struct instance_exit end;
	struct script_exit told;
	struct script_request request;
	struct script_decision decision; /* none before it is asked */
};

/* --- reading --------------------------------------------------------------------------------------- */

#define WORD(word, kind, member, default)                                                          \
	{                                                                                          \
		.key = word, .type = GANTRY_OPTION_##kind, .fallback = default,                    \
		.offset = offsetof(struct WORDS, member)                                           \
	}

/* A member that is read apart; with the words so that a misspelt one is told from it. */
static const char part[] = "a part";
#define PART(word)                                                                                 \
	{                                                                                          \
		.key = word, .help = part                                                          \
	}

#define WORDS words
static const struct gantry_option test_words[] = {
	WORD("name", STRING, name, NULL),
	WORD("hook", STRING, hook, NULL),
	WORD("deny", STRING, deny, NULL),
	WORD("verb", STRING, verb, NULL),
	WORD("actor", STRING, actor, "uid:0"),
	WORD("on_behalf_of", STRING, user, NULL),
	WORD("now", STRING, now, "2026-01-05T12:00:00Z"), /* a Monday */
	PART("request"),
	PART("project_usage"),
	PART("node"),
	PART("exit"),
	PART("expect"),
	{0},
};
#undef WORDS

#define WORDS words_of_node
static const struct gantry_option node_words[] = {
	WORD("name", STRING, name, "node"),
	WORD("plugin", STRING, plugin, "docker"),
	WORD("labels", PAIRS, labels, NULL),
	WORD("memory", SIZE, memory_bytes, NULL),
	WORD("memory_promised", SIZE, memory_promised_bytes, NULL),
	WORD("cpus", INT, cpus, NULL),
	WORD("cpus_promised", INT, cpus_promised, NULL),
	WORD("instances", INT, instances, NULL),
	{0},
};
#undef WORDS

#define WORDS words_of_usage
static const struct gantry_option usage_words[] = {
	WORD("instances", INT, instances, NULL),
	WORD("memory", SIZE, memory_bytes, NULL),
	WORD("cpus", INT, cpus, NULL),
	{0},
};
#undef WORDS

#define WORDS words_of_exit
static const struct gantry_option exit_words[] = {
	WORD("cause", STRING, cause, "exit"),
	WORD("code", INT, code, NULL),
	WORD("signal", INT, signal, NULL),
	WORD("ran", DURATION, ran_ms, NULL),
	WORD("restarts", INT, restarts, NULL),
	WORD("oom_seen", BOOL, oom_seen, NULL),
	WORD("oom_killed", BOOL, oom_killed, NULL),
	WORD("start_failed", BOOL, start_failed, NULL),
	{0},
};
#undef WORDS

static bool is_part(const char *key)
{
	for (const struct gantry_option *word = test_words; word->key; word++)
		if (word->help == part && str_equal(key, word->key))
			return true;
	return false;
}

static int read_words(struct trial *trial, struct gantry_error *err)
{
	struct json_object *words = json_object_new_object();
	int code;

	json_object_object_foreach(trial->test, key, value)
	{
		if (!is_part(key))
			json_object_object_add(words, key, json_object_get(value));
	}
	code = option_apply(test_words, words, "", &trial->arena, &trial->words, err);
	json_object_put(words);
	return code;
}

static int read_hook(struct trial *trial, struct gantry_error *err)
{
	const struct policy *policy = trial->set->policies[0];
	const char *hook = trial->words.hook;

	if (!hook)
		return gantry_error_field(err, -EINVAL, "hook",
					  "must name the hook that is asked, as \"admit\"");
	for (trial->hook = 0; trial->hook < HOOK_COUNT; trial->hook++)
		if (str_equal(hook, hook_text(trial->hook)) && policy_has(policy, trial->hook))
			break;
	if (trial->hook == HOOK_COUNT)
		return gantry_error_field(err, -EINVAL, "hook", "this file has no hook \"%.40s\"",
					  hook);
	if (trial->hook == HOOK_EVENT)
		return gantry_error_field(err, -EINVAL, "hook",
					  "event gives no answer that could be tested");
	return 0;
}

/* A member that belongs to some hooks only. */
static int check_place(const struct trial *trial, const char *key, bool belongs,
		       struct gantry_error *err)
{
	if (belongs || !json_get(trial->test, key))
		return 0;
	return gantry_error_field(err, -EINVAL, key, "does not belong to a test of %s",
				  hook_text(trial->hook));
}

static bool gives_verdict(enum hook hook)
{
	return hook == HOOK_ADMIT || hook == HOOK_FILTER;
}

/* What may be expected of which hook. */
static int check_expect(const struct trial *trial, struct gantry_error *err)
{
	struct json_object *expect = trial->expect;
	bool number = json_object_is_type(expect, json_type_int) ||
		      json_object_is_type(expect, json_type_double);
	bool no =
		json_object_is_type(expect, json_type_boolean) && !json_object_get_boolean(expect);
	const char *wanted = NULL;

	if (trial->words.deny && !expect)
		return 0;
	if (trial->words.deny || !expect)
		return gantry_error_field(err, -EINVAL, "expect",
					  "a test has either expect or, for a refusal, deny");
	switch (trial->hook) {
	case HOOK_ADMIT:
	case HOOK_FILTER:
		wanted = json_object_is_type(expect, json_type_boolean) ? NULL : "true or false";
		break;
	case HOOK_SCORE:
		wanted = number ? NULL : "a number";
		break;
	case HOOK_RESTART:
		if (!number && !no && !str_equal(json_object_get_string(expect), "fail"))
			wanted = "a number of seconds, false or \"fail\"";
		break;
	default:
		if (!json_object_is_type(expect, json_type_object))
			wanted = "a table of what is set after, as the hook's answer";
	}
	if (wanted)
		return gantry_error_field(err, -EINVAL, "expect", "must be %s", wanted);
	return 0;
}

static int read_request(struct trial *trial, struct gantry_error *err)
{
	struct json_object *given = json_get(trial->test, "request");
	struct json_object *spec = json_object_new_object();
	struct gantry_error wrong;
	int code;

	json_add_string(spec, "image", "example"); /* a spec has one */
	json_add_string(spec, "name", "example");
	json_add_string(spec, "project", "default");
	if (json_object_is_type(given, json_type_object)) {
		json_object_object_foreach(given, key, value)
			json_object_object_add(spec, key, json_object_get(value));
	} else if (given && !(json_object_is_type(given, json_type_array) &&
			      json_object_array_length(given) == 0)) { /* not Lua's {} */
		json_object_put(spec);
		return gantry_error_field(err, -EINVAL, "request",
					  "must be a table as { image = \"debian:12\" }");
	}
	code = spec_parse(spec, &trial->arena, &trial->spec, &wrong);
	json_object_put(spec);
	if (code < 0) {
		char field[sizeof(wrong.field) + 10];

		snprintf(field, sizeof(field), "request%s%s", wrong.field[0] ? "." : "",
			 wrong.field);
		return gantry_error_field(err, code, field, "%s", wrong.text);
	}
	return 0;
}

static int read_node(struct trial *trial, struct gantry_error *err)
{
	struct words_of_node *words = &trial->words_of_node;
	int code = option_apply(node_words, json_get(trial->test, "node"), "node", &trial->arena,
				words, err);

	trial->node = (struct node){.name = words->name,
				    .plugin = words->plugin,
				    .labels = &words->labels,
				    .state = NODE_UP,
				    .memory_bytes = words->memory_bytes,
				    .nano_cpus = words->cpus * 1000000000,
				    .memory_promised_bytes = words->memory_promised_bytes,
				    .nano_cpus_promised = words->cpus_promised * 1000000000,
				    .instances = words->instances};
	return code;
}

static int read_exit(struct trial *trial, struct gantry_error *err)
{
	struct words_of_exit words = {0};
	int code = option_apply(exit_words, json_get(trial->test, "exit"), "exit", &trial->arena,
				&words, err);

	trial->end = (struct instance_exit){.known = true,
					    .code = (int)words.code,
					    .signal = (int)words.signal,
					    .oom_seen = words.oom_seen,
					    .oom_killed = words.oom_killed,
					    .start_failed = words.start_failed,
					    .ran_ms = words.ran_ms};
	trial->told = (struct script_exit){
		.end = &trial->end, .cause = words.cause, .restarts = words.restarts};
	return code;
}

static int read_usage(struct trial *trial, struct gantry_error *err)
{
	struct words_of_usage words = {0};
	int code = option_apply(usage_words, json_get(trial->test, "project_usage"),
				"project_usage", &trial->arena, &words, err);

	trial->request.usage = (struct fleet_usage){.instances = words.instances,
						    .memory_bytes = words.memory_bytes,
						    .nano_cpus = words.cpus * 1000000000};
	return code;
}

/* What is said of the request beside its spec. Another verb than spawn is about an instance of that spec. */
static int make_request(struct trial *trial, struct gantry_error *err)
{
	const struct words *words = &trial->words;
	const char *verb = words->verb;
	int64_t now_ns;

	if (!verb)
		verb = trial->hook == HOOK_RESTART ? "restart" : "spawn";
	if (clock_parse_ns(words->now, &now_ns) < 0)
		return gantry_error_field(err, -EINVAL, "now",
					  "must be a time as \"2026-01-05T12:00:00Z\"");
	trial->request.verb = verb;
	trial->request.actor = words->actor;
	trial->request.user = words->user;
	trial->request.project = trial->spec.project;
	trial->request.spec = &trial->spec;
	trial->request.now_ms = now_ns / 1000000;
	spec_unsafe(&trial->spec, &trial->arena, &trial->request.unsafe);
	if (str_equal(verb, "spawn"))
		return 0;
	trial->instance = instance_new("00000000-0000-4000-8000-000000000000");
	trial->instance->spec = trial->spec; /* its strings stay the trial's */
	trial->instance->node = "node";
	trial->instance->state = trial->hook == HOOK_RESTART ? INSTANCE_STOPPED : INSTANCE_RUNNING;
	trial->instance->boots = 1;
	trial->request.instance = trial->instance;
	return 0;
}

static int read_test(struct trial *trial, struct gantry_error *err)
{
	bool places;
	int code;

	if (!json_object_is_type(trial->test, json_type_object))
		return gantry_error_field(err, -EINVAL, "",
					  "must be a table as { hook = \"admit\", request = { … }, "
					  "expect = true }");
	if ((code = read_words(trial, err)) < 0 || (code = read_hook(trial, err)) < 0)
		return code;
	places = trial->hook == HOOK_FILTER || trial->hook == HOOK_SCORE;
	trial->expect = json_get(trial->test, "expect");
	if ((code = check_place(trial, "node", places, err)) < 0 ||
	    (code = check_place(trial, "exit", trial->hook == HOOK_RESTART, err)) < 0 ||
	    (code = check_place(trial, "deny", gives_verdict(trial->hook), err)) < 0 ||
	    (code = check_expect(trial, err)) < 0 || (code = read_request(trial, err)) < 0 ||
	    (code = read_node(trial, err)) < 0 || (code = read_exit(trial, err)) < 0 ||
	    (code = read_usage(trial, err)) < 0)
		return code;
	return make_request(trial, err);
}

/* --- judging --------------------------------------------------------------------------------------- */

/* The first record of the policy with the outcome; hook NULL: of any. */
static const struct script_record *find_record(const struct trial *trial, const char *hook,
					       const char *outcome)
{
	const struct script_decision *decision = &trial->decision;

	for (size_t i = 0; i < decision->count; i++)
		if (decision->records[i].file && str_equal(decision->records[i].outcome, outcome) &&
		    (!hook || str_equal(decision->records[i].hook, hook)))
			return &decision->records[i];
	return NULL;
}

static int judge_verdict(const struct trial *trial, struct gantry_error *err)
{
	const struct script_record *record = find_record(trial, hook_text(trial->hook), "deny");
	const char *deny = trial->words.deny, *reason;

	if (!record) {
		if (deny)
			return gantry_error_set(err, -EINVAL,
						"should be refused with \"%s\", is not refused",
						deny);
		if (!json_object_get_boolean(trial->expect))
			return gantry_error_set(err, -EINVAL, "should be refused, is not refused");
		return 0;
	}
	reason = record->reason ? record->reason : "no reason given";
	if (deny && strstr(reason, deny))
		return 0;
	if (deny)
		return gantry_error_set(
			err, -EINVAL,
			"should be refused with \"%s\", is refused with \"%s\" (%s:%d)", deny,
			reason, record->file, record->line);
	if (json_object_get_boolean(trial->expect))
		return gantry_error_set(err, -EINVAL,
					"should not be refused, is refused with \"%s\" (%s:%d)",
					reason, record->file, record->line);
	return 0;
}

static int judge_score(const struct trial *trial, struct gantry_error *err)
{
	const struct script_record *record = find_record(trial, "filter", "deny");
	double wanted = json_object_get_double(trial->expect), got;
	struct json_object *answer;

	if (record)
		return gantry_error_set(
			err, -EINVAL, "should score %.14g, its filter refuses the node: %s", wanted,
			record->reason ? record->reason : "no reason given");
	record = find_record(trial, "score", "score");
	if (!record || json_parse(record->answer, strlen(record->answer), &answer, err) < 0)
		return gantry_error_set(err, -EINVAL, "should score %.14g, has no opinion", wanted);
	got = json_object_get_double(
		json_get(json_object_array_get_idx(json_get(answer, "top"), 0), "score"));
	json_object_put(answer);
	if (fabs(got - wanted) > 1e-9 * fmax(1, fabs(wanted)))
		return gantry_error_set(err, -EINVAL, "should score %.14g, scores %.14g", wanted,
					got);
	return 0;
}

static const char *restart_text(const struct script_restart *answer, char *text, size_t size)
{
	if (answer->what == SCRIPT_RESTART_LEAVE)
		return "left stopped";
	if (answer->what == SCRIPT_RESTART_FAIL)
		return "marked failed";
	snprintf(text, size, "started after %.14g s", (double)answer->after_ms / 1000);
	return text;
}

static int judge_restart(const struct trial *trial, const struct script_restart *got,
			 struct gantry_error *err)
{
	struct script_restart wanted = {.what = SCRIPT_RESTART_AFTER};
	char wanted_text[60], got_text[60];

	if (json_object_is_type(trial->expect, json_type_boolean))
		wanted.what = SCRIPT_RESTART_LEAVE;
	else if (json_object_is_type(trial->expect, json_type_string))
		wanted.what = SCRIPT_RESTART_FAIL;
	else
		wanted.after_ms = (int64_t)ceil(json_object_get_double(trial->expect) * 1000);
	if (wanted.what == got->what &&
	    (wanted.what != SCRIPT_RESTART_AFTER || wanted.after_ms == got->after_ms))
		return 0;
	return gantry_error_set(err, -EINVAL, "should be %s, is %s",
				restart_text(&wanted, wanted_text, sizeof(wanted_text)),
				restart_text(got, got_text, sizeof(got_text)));
}

static const struct gantry_env *find_variable(const struct gantry_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->environment.count; i++)
		if (str_equal(spec->environment.items[i].name, name))
			return &spec->environment.items[i];
	return NULL;
}

static const char *variable_text(const struct gantry_env *variable, struct arena *arena)
{
	if (!variable)
		return "not set";
	if (variable->secret)
		return "a secret";
	return arena_printf(arena, "\"%.200s\"", variable->value ? variable->value : "");
}

static int compare_environment(struct trial *trial, const struct gantry_spec *wanted,
			       struct gantry_error *err)
{
	json_object_object_foreach(trial->expect, name, value)
	{
		const struct gantry_env *want = find_variable(wanted, name);
		const struct gantry_env *got = find_variable(&trial->spec, name);

		(void)value;
		if (!want && !got)
			continue;
		if (!want || !got || want->secret != got->secret)
			return gantry_error_set(err, -EINVAL, "%s should be %s, is %s", name,
						variable_text(want, &trial->arena),
						variable_text(got, &trial->arena));
		if (!str_equal(want->value, got->value))
			return gantry_error_set(err, -EINVAL, "%s should be %s, is %s%s", name,
						variable_text(want, &trial->arena),
						got->secret ? "another one" : "",
						got->secret ? ""
							    : variable_text(got, &trial->arena));
	}
	return 0;
}

/* A field of a spec as a person reads it. */
static const char *value_text(const char *key, struct json_object *value, struct arena *arena)
{
	const struct spec_field *field = spec_field_find(key);
	char text[24];

	if (!value)
		return "not set";
	if (field && field->kind == GANTRY_FIELD_SIZE &&
	    json_object_is_type(value, json_type_int)) {
		units_format_size(json_object_get_int64(value), text, sizeof(text));
		return arena_strdup(arena, text);
	}
	return arena_strdup(arena, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
}

static int compare_resources(struct trial *trial, const struct gantry_spec *wanted,
			     struct gantry_error *err)
{
	struct json_object *want = spec_print(wanted, SPEC_VALUES_NONE);
	struct json_object *got = spec_print(&trial->spec, SPEC_VALUES_NONE);
	int code = 0;

	for (const struct spec_field *field = spec_fields; field->key && code == 0; field++) {
		struct json_object *left = json_get(want, field->key);
		struct json_object *right = json_get(got, field->key);

		if (!json_object_equal(left, right))
			code = gantry_error_set(err, -EINVAL, "%s should be %s, is %s", field->key,
						value_text(field->key, left, &trial->arena),
						value_text(field->key, right, &trial->arena));
	}
	json_object_put(want);
	json_object_put(got);
	return code;
}

/* What is expected is one more answer: it must change nothing. */
static int judge_values(struct trial *trial, struct gantry_error *err)
{
	const struct policy *policy = trial->set->policies[0];
	struct script_decision scratch;
	struct gantry_error wrong;
	struct gantry_spec wanted;
	char text[700];
	int code;

	spec_copy(&trial->spec, &trial->arena, &wanted);
	script_decision_init(&scratch, trial->set, &trial->request, 0);
	if (trial->hook == HOOK_ENVIRONMENT)
		code = answer_environment(trial->expect, policy, 0, &trial->arena, &wanted,
					  &scratch, &wrong);
	else
		code = answer_resources(trial->expect, policy, 0, &trial->arena, &wanted, &scratch,
					&wrong);
	script_decision_fini(&scratch);
	if (code < 0)
		return gantry_error_field(err, code, "expect", "%s",
					  value_error_text(&wrong, text, sizeof(text)));
	return trial->hook == HOOK_ENVIRONMENT ? compare_environment(trial, &wanted, err)
					       : compare_resources(trial, &wanted, err);
}

/* --- running --------------------------------------------------------------------------------------- */

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
	case HOOK_EVENT:
	case HOOK_COUNT:
		break; /* read_hook takes none of them */
	}
}

static int judge(struct trial *trial, const struct script_restart *restart,
		 struct gantry_error *err)
{
	const struct script_record *failure = find_record(trial, NULL, "error");

	if (failure && failure->line)
		return gantry_error_set(err, -EINVAL, "%s fails: %s (%s:%d)", failure->hook,
					failure->reason, failure->file, failure->line);
	if (failure)
		return gantry_error_set(err, -EINVAL, "%s fails: %s", failure->hook,
					failure->reason);
	switch (trial->hook) {
	case HOOK_SCORE:
		return judge_score(trial, err);
	case HOOK_RESTART:
		return judge_restart(trial, restart, err);
	case HOOK_ENVIRONMENT:
	case HOOK_RESOURCES:
		return judge_values(trial, err);
	default:
		return judge_verdict(trial, err);
	}
}

static int run_test(struct script_set *set, struct json_object *test, struct gantry_error *err)
{
	struct trial trial = {.set = set, .test = test};
	struct script_restart restart = {0};
	int code = read_test(&trial, err);

	if (code == 0) {
		ask(&trial, &restart);
		code = judge(&trial, &restart, err);
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

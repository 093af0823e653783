/* SPDX-License-Identifier: Apache-2.0 */
/* What a test of a policy says: its words, each checked, and the request that is made of them. */
#include "script/trial.h"
#include "base/clock.h"
#include "base/option.h"
#include "base/str.h"
#include "model/spec.h"

#include <stddef.h>

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

struct words_of_line {
	const char *text, *stream;
	int64_t sequence, boot;
	bool partial;
};

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

#define WORDS trial_words
static const struct gantry_option test_words[] = {
	WORD("name", STRING, name, NULL),
	WORD("hook", STRING, hook, NULL),
	WORD("deny", STRING, deny, NULL),
	WORD("verb", STRING, verb, NULL),
	WORD("actor", STRING, actor, "uid:0"),
	WORD("on_behalf_of", STRING, user, NULL),
	WORD("via", STRING, via, NULL),
	WORD("now", STRING, now, "2026-01-05T12:00:00Z"), /* a Monday */
	PART("request"),
	PART("exec"),
	PART("recording"),
	PART("project_usage"),
	PART("node"),
	PART("exit"),
	PART("line"),
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

#define WORDS script_recording
static const struct gantry_option recording_words[] = {
	WORD("id", STRING, id, "20260105T120000Z-000000000001"),
	WORD("instance", STRING, instance, "example"),
	WORD("name", STRING, name, "example"),
	WORD("project", STRING, project, "default"),
	WORD("verb", STRING, verb, "attach"),
	WORD("actor", STRING, actor, "uid:0"),
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

#define WORDS words_of_line
static const struct gantry_option line_words[] = {
	WORD("text", STRING, text, ""),       WORD("stream", STRING, stream, "stdout"),
	WORD("sequence", INT, sequence, "1"), WORD("boot", INT, boot, "1"),
	WORD("partial", BOOL, partial, NULL), {0},
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
	case HOOK_LOG:
		if (!json_object_is_type(expect, json_type_boolean) &&
		    !json_object_is_type(expect, json_type_string) &&
		    !json_object_is_type(expect, json_type_object))
			wanted =
				"true (as it is), false (dropped), a text, or a table of text and tags";
		break;
	default:
		if (!json_object_is_type(expect, json_type_object))
			wanted = "a table of what is set after, as the hook's answer";
	}
	if (wanted)
		return gantry_error_field(err, -EINVAL, "expect", "must be %s", wanted);
	return 0;
}

/* What was wrong in a part of the test, as an error of the test. */
static int part_error(const char *key, const struct gantry_error *wrong, struct gantry_error *err)
{
	char field[sizeof(wrong->field) + 10];

	snprintf(field, sizeof(field), "%s%s%s", key, wrong->field[0] ? "." : "", wrong->field);
	return gantry_error_field(err, wrong->code, field, "%s", wrong->text);
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
	return code < 0 ? part_error("request", &wrong, err) : 0;
}

/* A test of an exec that says nothing of it runs something. */
static int read_exec(struct trial *trial, struct gantry_error *err)
{
	struct json_object *given = json_get(trial->test, "exec");
	struct json_object *exec = given ? json_object_get(given) : json_object_new_object();
	struct gantry_error wrong;
	int code;

	if (given && !trial->words.verb)
		trial->words.verb = "exec";
	if (!str_equal(trial->words.verb, "exec")) {
		json_object_put(exec);
		return given ? gantry_error_field(err, -EINVAL, "exec",
						  "belongs to a test of the verb exec")
			     : 0;
	}
	if (!json_get(exec, "command") && json_object_is_type(exec, json_type_object)) {
		json_object_object_add(exec, "command", json_object_new_array());
		json_object_array_add(json_get(exec, "command"), json_object_new_string("example"));
	}
	code = spec_parse_exec(exec, &trial->arena, &trial->exec, &wrong);
	json_object_put(exec);
	trial->request.exec = &trial->exec;
	return code < 0 ? part_error("exec", &wrong, err) : 0;
}

static int read_recording(struct trial *trial, struct gantry_error *err)
{
	struct json_object *given = json_get(trial->test, "recording");

	if (given && !trial->words.verb)
		trial->words.verb = "recording";
	if (!str_equal(trial->words.verb, "recording"))
		return given ? gantry_error_field(err, -EINVAL, "recording",
						  "belongs to a test of the verb recording")
			     : 0;
	trial->request.recording = &trial->recording;
	return option_apply(recording_words, given, "recording", &trial->arena, &trial->recording,
			    err);
}

static int read_node(struct trial *trial, struct gantry_error *err)
{
	struct words_of_node words = {0};
	int code = option_apply(node_words, json_get(trial->test, "node"), "node", &trial->arena,
				&words, err);

	trial->node_labels = words.labels;
	trial->node = (struct node){.name = words.name,
				    .plugin = words.plugin,
				    .labels = &trial->node_labels,
				    .state = NODE_UP,
				    .memory_bytes = words.memory_bytes,
				    .nano_cpus = words.cpus * 1000000000,
				    .memory_promised_bytes = words.memory_promised_bytes,
				    .nano_cpus_promised = words.cpus_promised * 1000000000,
				    .instances = words.instances};
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

static int read_line(struct trial *trial, struct gantry_error *err)
{
	struct json_object *given = json_get(trial->test, "line");
	struct json_object *object = NULL;
	struct words_of_line words = {0};
	int code;

	if (json_object_is_type(given, json_type_string)) { /* its text alone */
		object = json_object_new_object();
		json_object_object_add(object, "text", json_object_get(given));
		given = object;
	}
	code = option_apply(line_words, given, "line", &trial->arena, &words, err);
	json_object_put(object);
	if (code == 0 && !str_equal(words.stream, "stdout") && !str_equal(words.stream, "stderr"))
		code = gantry_error_field(err, -EINVAL, "line.stream",
					  "must be \"stdout\" or \"stderr\"");
	trial->origin = (struct script_origin){.instance = "00000000-0000-4000-8000-000000000000",
					       .name = trial->spec.name,
					       .project = trial->spec.project,
					       .node = "node",
					       .image = trial->spec.image,
					       .labels = &trial->spec.labels};
	trial->line = (struct script_line){.origin = &trial->origin,
					   .sequence = words.sequence,
					   .boot = words.boot,
					   .stream = str_equal(words.stream, "stderr") ? 2 : 1,
					   .partial = words.partial,
					   .text = words.text,
					   .length = words.text ? strlen(words.text) : 0};
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
	const struct trial_words *words = &trial->words;
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
	trial->request.via = words->via;
	trial->request.project = trial->spec.project;
	trial->request.spec = &trial->spec;
	trial->request.now_ms = now_ns / 1000000;
	trial->line.time_ns = now_ns;
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

int trial_read(struct trial *trial, struct gantry_error *err)
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
	    (code = check_place(trial, "line", trial->hook == HOOK_LOG, err)) < 0 ||
	    (code = check_place(trial, "deny", gives_verdict(trial->hook), err)) < 0 ||
	    (code = check_expect(trial, err)) < 0 || (code = read_request(trial, err)) < 0 ||
	    (code = read_exec(trial, err)) < 0 || (code = read_recording(trial, err)) < 0 ||
	    (code = read_node(trial, err)) < 0 || (code = read_exit(trial, err)) < 0 ||
	    (code = read_line(trial, err)) < 0 || (code = read_usage(trial, err)) < 0)
		return code;
	return make_request(trial, err);
}

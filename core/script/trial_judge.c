/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a test of a policy, held against what it expects. */
#include "script/trial.h"
#include "base/str.h"
#include "base/units.h"
#include "model/spec.h"
#include "script/answers.h"
#include "script/value.h"

#include <math.h>

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

static const char *line_text(const struct trial *trial, bool dropped, const char *text,
			     size_t length)
{
	if (dropped)
		return "dropped";
	return arena_printf((struct arena *)&trial->arena, "shown as \"%.*s\"",
			    length > 200 ? 200 : (int)length, text);
}

static int judge_tags(const struct trial *trial, struct json_object *wanted,
		      struct gantry_error *err)
{
	const struct gantry_pairs *tags = &trial->line.tags;
	size_t found = 0;

	if (!wanted)
		return 0;
	for (size_t i = 0; i < tags->count; i++)
		found += str_equal(json_get_string(wanted, tags->items[i].name, NULL),
				   tags->items[i].value);
	if (found == tags->count && found == (size_t)json_object_object_length(wanted))
		return 0;
	return gantry_error_set(err, -EINVAL, "should have the tags %s, has %zu of its own",
				json_object_to_json_string_ext(wanted, JSON_C_TO_STRING_PLAIN),
				tags->count);
}

static int judge_line(const struct trial *trial, struct gantry_error *err)
{
	struct json_object *expect = trial->expect;
	bool table = json_object_is_type(expect, json_type_object);
	bool dropped = trial->line.fate == SCRIPT_LINE_DROPPED;
	bool wants_drop =
		json_object_is_type(expect, json_type_boolean) && !json_object_get_boolean(expect);
	const char *given = json_get_string(json_get(trial->test, "line"), "text", NULL), *text;

	if (!given && json_object_is_type(json_get(trial->test, "line"), json_type_string))
		given = json_object_get_string(json_get(trial->test, "line"));
	text = json_object_is_type(expect, json_type_string) ? json_object_get_string(expect)
	       : table ? json_get_string(expect, "text", given)
		       : given;
	text = text ? text : "";
	if (dropped != wants_drop ||
	    (!dropped && (strlen(text) != trial->line.length ||
			  memcmp(text, trial->line.text, trial->line.length) != 0)))
		return gantry_error_set(
			err, -EINVAL, "should be %s, is %s",
			line_text(trial, wants_drop, text, strlen(text)),
			line_text(trial, dropped, trial->line.text, trial->line.length));
	return judge_tags(trial, table ? json_get(expect, "tags") : NULL, err);
}

int trial_judge(struct trial *trial, const struct script_restart *restart, struct gantry_error *err)
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
	case HOOK_LOG:
		return judge_line(trial, err);
	case HOOK_RESTART:
		return judge_restart(trial, restart, err);
	case HOOK_ENVIRONMENT:
	case HOOK_RESOURCES:
		return judge_values(trial, err);
	default:
		return judge_verdict(trial, err);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * { NAME = "value", NAME2 = { value = "x", secret = true }, NAME3 = false }: a variable that is set,
 * one that is set and secret, one that is dropped. A variable that was secret stays so.
 */
#include "script/answers.h"
#include "script/decision.h"

#include <math.h>

#define NAME_BYTES_MAX  255
#define VALUE_BYTES_MAX (128 << 10) /* as execve has it */
#define VARIABLES_MAX   1024

struct change {
	const char *name, *value; /* in the arena; a NULL value drops */
	bool secret;
};

static int check_name(const char *name, struct gantry_error *err)
{
	if (!name[0] || strlen(name) > NAME_BYTES_MAX)
		return gantry_error_field(err, -EINVAL, name,
					  "the name of a variable has 1 to %d bytes",
					  NAME_BYTES_MAX);
	for (const char *at = name; *at; at++)
		if (*at == '=' || (unsigned char)*at <= ' ' || *at == 0x7f)
			return gantry_error_field(
				err, -EINVAL, name,
				"the name of a variable has no \"=\", space or control character");
	return 0;
}

/* A text, or a number as text. */
static int read_value(struct json_object *value, const char *name, struct arena *arena,
		      const char **ret_value, struct gantry_error *err)
{
	switch (json_object_get_type(value)) {
	case json_type_string:
		if (json_object_get_string_len(value) > VALUE_BYTES_MAX)
			return gantry_error_field(err, -E2BIG, name, "is longer than %d KiB",
						  VALUE_BYTES_MAX >> 10);
		*ret_value = arena_strdup(arena, json_object_get_string(value));
		return 0;
	case json_type_int:
		*ret_value = arena_printf(arena, "%lld", (long long)json_object_get_int64(value));
		return 0;
	case json_type_double:
		*ret_value = arena_printf(arena, "%.14g", json_object_get_double(value));
		return 0;
	default:
		return gantry_error_field(
			err, -EINVAL, name,
			"must be text, { value = …, secret = true } or false, not %s",
			json_type_text(value));
	}
}

static int read_long_form(struct json_object *object, const char *name, struct arena *arena,
			  struct change *change, struct gantry_error *err)
{
	static const char *const keys[] = {"value", "secret", NULL};
	struct json_object *value = json_get(object, "value");
	int code;

	json_object_object_foreach(object, key, member)
	{
		const char *near = str_nearest(key, keys);

		if (str_equal(key, "value"))
			continue;
		if (!str_equal(key, "secret"))
			return gantry_error_field(
				err, -EINVAL, name, "has no key \"%s\"; %s%s%s", key,
				near ? "did you mean \"" : "there are value and secret",
				near ? near : "", near ? "\"?" : "");
		if (!json_object_is_type(member, json_type_boolean))
			return gantry_error_field(err, -EINVAL, name,
						  "secret must be true or false, not %s",
						  json_type_text(member));
		change->secret = json_object_get_boolean(member);
	}
	if (!value)
		return gantry_error_field(err, -EINVAL, name, "needs a value");
	code = read_value(value, name, arena, &change->value, err);
	return code;
}

static int read_change(const char *name, struct json_object *value, struct arena *arena,
		       struct change *change, struct gantry_error *err)
{
	int code = check_name(name, err);

	if (code < 0)
		return code;
	change->name = arena_strdup(arena, name);
	if (json_object_is_type(value, json_type_object))
		return read_long_form(value, name, arena, change, err);
	if (json_object_is_type(value, json_type_boolean)) {
		if (!json_object_get_boolean(value))
			return 0;
		return gantry_error_field(err, -EINVAL, name,
					  "true is no value: write \"true\", or false to drop it");
	}
	return read_value(value, name, arena, &change->value, err);
}

static struct gantry_env *find(const struct gantry_envs *environment, const char *name)
{
	for (size_t i = 0; i < environment->count; i++)
		if (str_equal(environment->items[i].name, name))
			return &environment->items[i];
	return NULL;
}

/* A value as records have it: a secret as its keyed hash. */
static void add_value(struct str *json, const char *value, bool secret)
{
	if (!secret) {
		decision_add_text(json, value, false);
		return;
	}
	str_add(json, "{");
	if (value) { /* one that is not known any more is just a secret */
		str_add(json, "\"value\":");
		decision_add_text(json, value, true);
		str_add_char(json, ',');
	}
	str_add(json, "\"secret\":true}");
}

static void record_change(const struct change *change, const struct gantry_env *before, bool secret,
			  const struct policy *policy, int line, struct script_decision *decision)
{
	const char *owner = decision_owner(decision, HOOK_ENVIRONMENT, change->name);
	const char *was = before ? before->value : NULL;
	struct script_record *record;
	struct str json = STR_INIT;

	if (!change->value)
		str_add(&json, "false");
	else
		add_value(&json, change->value, secret);
	record = decision_add(decision, policy, HOOK_ENVIRONMENT, "set");
	record->subject = arena_strdup(&decision->arena, change->name);
	record->answer = decision_answer(decision, &json);
	if (before) {
		str_clear(&json);
		add_value(&json, was, before->secret || !was);
		record->before = decision_answer(decision, &json);
	}
	record->line = line;
	record->conflict = !policy->shadow && owner && !str_equal(owner, policy->name) &&
			   !str_equal(was, change->value);
	str_fini(&json);
}

/* *environment has room for one more. */
static void apply_change(const struct change *change, bool secret, struct gantry_envs *environment)
{
	struct gantry_env *variable = find(environment, change->name);

	if (change->value) {
		if (!variable)
			variable = &environment->items[environment->count++];
		*variable = (struct gantry_env){change->name, change->value, secret};
	} else if (variable) {
		memmove(variable, variable + 1,
			(size_t)(environment->items + environment->count - variable - 1) *
				sizeof(*variable));
		environment->count--;
	}
}

static void apply(const struct change *changes, size_t count, const struct policy *policy, int line,
		  struct arena *arena, struct gantry_spec *spec, struct script_decision *decision)
{
	struct gantry_envs after = {.count = spec->environment.count};

	after.items = ARENA_ARRAY(arena, struct gantry_env, after.count + count + 1);
	if (after.count > 0)
		memcpy(after.items, spec->environment.items, after.count * sizeof(after.items[0]));
	for (size_t i = 0; i < count; i++) {
		const struct gantry_env *before = find(&after, changes[i].name);
		bool secret = changes[i].secret || (before && before->secret);

		record_change(&changes[i], before, secret, policy, line, decision);
		if (!policy->shadow)
			apply_change(&changes[i], secret, &after);
	}
	if (!policy->shadow)
		spec->environment = after;
}

int answer_environment(struct json_object *answer, const struct policy *policy, int line,
		       struct arena *arena, struct gantry_spec *spec,
		       struct script_decision *decision, struct gantry_error *err)
{
	struct change *changes;
	size_t count = 0;
	int code;

	if (json_object_is_type(answer, json_type_array)) {
		if (json_object_array_length(answer) == 0)
			return 0; /* {} */
		return gantry_error_set(
			err, -EINVAL,
			"the answer must be a table by name, as { TZ = \"UTC\" }, not a "
			"list");
	}
	if (json_object_object_length(answer) > VARIABLES_MAX)
		return gantry_error_set(err, -E2BIG, "the answer has over %d variables",
					VARIABLES_MAX);
	changes = ARENA_ARRAY(&decision->arena, struct change,
			      (size_t)json_object_object_length(answer) + 1);
	json_object_object_foreach(answer, name, value)
	{
		code = read_change(name, value, arena, &changes[count++], err);
		if (code < 0)
			return code;
	}
	apply(changes, count, policy, line, arena, spec, decision);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to spec: a walk over the table of fields. A value is read by its kind, then checked by its
 * rule; an item of a compound field is read from its short form or its members, then each member is
 * checked by its rule, then the item as a whole.
 */
#include "model/spec_shape.h"
#include "base/str.h"

#include <stdlib.h>

static int parse_value(struct json_object *value, int kind, const struct spec_rule *rule,
		       struct arena *arena, void *place, const char *field,
		       struct gantry_error *err);

static void join(char *path, const char *field, const char *key)
{
	snprintf(path, SPEC_FIELD_SIZE, "%s%s%s", field, field[0] ? "." : "", key);
}

static void index_of(char *path, const char *field, size_t index)
{
	snprintf(path, SPEC_FIELD_SIZE, "%s[%zu]", field, index);
}

/* --- strings --- */

static int check_text(const char *text, const struct spec_rule *rule, const char *field,
		      struct gantry_error *err)
{
	size_t max = rule->text_max ? rule->text_max : SPEC_TEXT_MAX;

	if (!*text && !rule->may_be_empty)
		return gantry_error_field(err, -EINVAL, field,
					  "must not be empty; leave it out or fill it");
	if (strlen(text) > max)
		return gantry_error_field(err, -E2BIG, field,
					  "must be at most %zu KiB, not %zu bytes", max >> 10,
					  strlen(text));
	return rule->check ? rule->check((char *)text, field, err) : 0;
}

/* A copy that may be written to; the caller checks it. */
static int copy_text(struct json_object *value, struct arena *arena, char **ret_text,
		     const char *field, struct gantry_error *err)
{
	const char *text = json_object_get_string(value);
	size_t length = (size_t)json_object_get_string_len(value);

	if (memchr(text, '\0', length))
		return gantry_error_field(err, -EINVAL, field,
					  "must not have a NUL character in it");
	*ret_text = arena_strndup(arena, text, length);
	return 0;
}

static int parse_string(struct json_object *value, const struct spec_rule *rule,
			struct arena *arena, const char **place, const char *field,
			struct gantry_error *err)
{
	char *text;
	int code;

	if (!json_object_is_type(value, json_type_string))
		return spec_wrong_type(value, GANTRY_FIELD_STRING, field, err);
	code = copy_text(value, arena, &text, field, err);
	*place = code < 0 ? NULL : text;
	return code < 0 ? code : check_text(text, rule, field, err);
}

static int check_count(size_t count, const char *field, struct gantry_error *err)
{
	if (count <= SPEC_LIST_MAX)
		return 0;
	return gantry_error_field(err, -E2BIG, field, "must have at most %d entries, not %zu",
				  SPEC_LIST_MAX, count);
}

static int parse_strings(struct json_object *value, const struct spec_rule *rule,
			 struct arena *arena, struct gantry_strings *strings, const char *field,
			 struct gantry_error *err)
{
	char path[SPEC_FIELD_SIZE];
	size_t count;
	int code;

	if (!json_object_is_type(value, json_type_array))
		return spec_wrong_type(value, GANTRY_FIELD_STRINGS, field, err);
	count = json_object_array_length(value);
	code = check_count(count, field, err);
	if (code < 0 || count == 0)
		return code;
	strings->items = ARENA_ARRAY(arena, const char *, count);
	strings->count = count;
	for (size_t i = 0; i < count; i++) {
		index_of(path, field, i);
		code = parse_string(json_object_array_get_idx(value, i), rule, arena,
				    &strings->items[i], path, err);
		if (code < 0)
			return code;
	}
	return 0;
}

static int parse_test(struct json_object *value, const struct spec_rule *rule, struct arena *arena,
		      struct gantry_strings *strings, const char *field, struct gantry_error *err)
{
	if (json_object_is_type(value, json_type_array))
		return parse_strings(value, rule, arena, strings, field, err);
	if (!json_object_is_type(value, json_type_string))
		return spec_wrong_type(value, SPEC_MEMBER_TEST, field, err);
	strings->items = ARENA_ARRAY(arena, const char *, 2);
	strings->items[0] = "CMD-SHELL";
	strings->count = 2;
	return parse_string(value, rule, arena, &strings->items[1], field, err);
}

/* --- pairs --- */

static int check_pair(struct gantry_pairs *pairs, size_t index, const struct spec_rule *rule,
		      const char *field, struct gantry_error *err)
{
	static const struct spec_rule any = {.may_be_empty = true};
	struct gantry_pair *pair = &pairs->items[index];
	int code = check_text(pair->name, rule, field, err);

	for (size_t i = 0; code == 0 && i < index; i++)
		if (str_equal(pairs->items[i].name, pair->name))
			return gantry_error_field(err, -EINVAL, field, "\"%.60s\" is given twice",
						  pair->name);
	return code < 0 ? code : check_text(pair->value, &any, field, err);
}

static int parse_pair_list(struct json_object *list, const struct spec_rule *rule,
			   struct arena *arena, struct gantry_pairs *pairs, const char *field,
			   struct gantry_error *err)
{
	char path[SPEC_FIELD_SIZE];

	for (size_t i = 0; i < pairs->count; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		char *text, *equals;
		int code;

		index_of(path, field, i);
		if (!json_object_is_type(item, json_type_string))
			return gantry_error_field(err, -EINVAL, path,
						  "must be \"NAME=VALUE\", not %s",
						  json_type_text(item));
		code = copy_text(item, arena, &text, path, err);
		if (code < 0)
			return code;
		equals = strchr(text, '=');
		if (!equals)
			return gantry_error_field(err, -EINVAL, path,
						  "\"%.60s\" has no value; write \"NAME=VALUE\"",
						  text);
		*equals = '\0';
		pairs->items[i] = (struct gantry_pair){text, equals + 1};
		code = check_pair(pairs, i, rule, path, err);
		if (code < 0)
			return code;
	}
	return 0;
}

static int parse_pairs(struct json_object *value, const struct spec_rule *rule, struct arena *arena,
		       struct gantry_pairs *pairs, const char *field, struct gantry_error *err)
{
	bool list = json_object_is_type(value, json_type_array);
	char path[SPEC_FIELD_SIZE];
	size_t count = 0;
	int code;

	if (!list && !json_object_is_type(value, json_type_object))
		return spec_wrong_type(value, GANTRY_FIELD_PAIRS, field, err);
	pairs->count =
		list ? json_object_array_length(value) : (size_t)json_object_object_length(value);
	code = check_count(pairs->count, field, err);
	if (code < 0 || pairs->count == 0)
		return code;
	pairs->items = ARENA_ARRAY(arena, struct gantry_pair, pairs->count);
	if (list)
		return parse_pair_list(value, rule, arena, pairs, field, err);
	json_object_object_foreach(value, key, item)
	{
		char *text;

		join(path, field, key);
		if (!json_object_is_type(item, json_type_string))
			return spec_wrong_type(item, GANTRY_FIELD_STRING, path, err);
		code = copy_text(item, arena, &text, path, err);
		if (code < 0)
			return code;
		pairs->items[count] = (struct gantry_pair){arena_strdup(arena, key), text};
		code = check_pair(pairs, count++, rule, path, err);
		if (code < 0)
			return code;
	}
	return 0;
}

/* --- compound fields --- */

static int unknown_key(const char *key, const char *const *keys, const char *field,
		       struct gantry_error *err)
{
	const char *near = str_nearest(key, keys);
	struct str all = STR_INIT;
	int code;

	if (near)
		return gantry_error_field(err, -EINVAL, field,
					  "there is no field \"%.60s\"; did you mean \"%s\"?", key,
					  near);
	for (; *keys; keys++)
		str_addf(&all, "%s%s", all.length ? ", " : "", *keys);
	code = gantry_error_field(err, -EINVAL, field, "there is no field \"%.60s\"; there are: %s",
				  key, str_text(&all));
	str_fini(&all);
	return code;
}

static int parse_members(struct json_object *object, const struct spec_shape *shape,
			 struct arena *arena, char *item, const char *field,
			 struct gantry_error *err)
{
	const char *keys[16];
	char path[SPEC_FIELD_SIZE];
	size_t count = 0;
	int code;

	for (const struct spec_member *member = shape->members; member->key; member++)
		keys[count++] = member->key;
	keys[count] = NULL;
	json_object_object_foreach(object, key, value)
	{
		const struct spec_member *member = shape->members;

		join(path, field, key);
		while (member->key && !str_equal(member->key, key))
			member++;
		if (!member->key)
			return unknown_key(key, keys, path, err);
		if (!value)
			continue;
		code = parse_value(value, member->kind, &member->rule, arena, item + member->offset,
				   path, err);
		if (code < 0)
			return code;
	}
	for (const struct spec_member *member = shape->members; member->key; member++) {
		join(path, field, member->key);
		if (member->required && !json_get(object, member->key))
			return gantry_error_field(err, -EINVAL, path, "is required; write %s",
						  shape->form);
	}
	return 0;
}

static int check_texts(const struct gantry_strings *texts, const struct spec_rule *rule,
		       const char *field, struct gantry_error *err)
{
	char path[SPEC_FIELD_SIZE];
	int code = 0;

	for (size_t i = 0; code == 0 && i < texts->count; i++) {
		index_of(path, field, i);
		code = check_text(texts->items[i], rule, path, err);
	}
	return code;
}

/* The rules over what the short form gave. */
static int check_members(const struct spec_shape *shape, char *item, const char *field,
			 struct gantry_error *err)
{
	char path[SPEC_FIELD_SIZE];
	int code = 0;

	for (const struct spec_member *member = shape->members; code == 0 && member->key;
	     member++) {
		const char *text;
		uint16_t port;
		int64_t number;

		join(path, field, member->key);
		switch (member->kind) {
		case GANTRY_FIELD_STRING:
			memcpy(&text, item + member->offset, sizeof(text));
			if (text)
				code = check_text(text, &member->rule, path, err);
			break;
		case SPEC_MEMBER_PORT:
			memcpy(&port, item + member->offset, sizeof(port));
			code = spec_number_check(port, member->kind, &member->rule, path, err);
			break;
		case GANTRY_FIELD_SIZE:
		case GANTRY_FIELD_INT:
			memcpy(&number, item + member->offset, sizeof(number));
			if (number != GANTRY_UNSET)
				code = spec_number_check(number, member->kind, &member->rule, path,
							 err);
			break;
		case GANTRY_FIELD_STRINGS:
			code = check_texts((const void *)(item + member->offset), &member->rule,
					   path, err);
			break;
		}
	}
	return code;
}

static int parse_item(struct json_object *value, const struct spec_shape *shape,
		      struct arena *arena, void *item, const char *field, struct gantry_error *err)
{
	char *text;
	int code;

	if (shape->init)
		shape->init(item);
	if (shape->from_text && json_object_is_type(value, json_type_string)) {
		code = copy_text(value, arena, &text, field, err);
		if (code == 0)
			code = shape->from_text(text, arena, item, field, err);
		if (code == 0)
			code = check_members(shape, item, field, err);
	} else if (json_object_is_type(value, json_type_object)) {
		code = parse_members(value, shape, arena, item, field, err);
	} else {
		return gantry_error_field(err, -EINVAL, field, "must be %s, not %s", shape->form,
					  json_type_text(value));
	}
	return code == 0 && shape->check ? shape->check(item, field, err) : code;
}

static const char *unique_text(const struct spec_shape *shape, const void *items, size_t index)
{
	const char *text;

	memcpy(&text, (const char *)items + index * shape->item_size + shape->unique->offset,
	       sizeof(text));
	return text;
}

static int parse_items(struct json_object *value, const struct spec_shape *shape,
		       struct arena *arena, void *place, const char *field,
		       struct gantry_error *err)
{
	struct spec_list list = {0};
	char path[SPEC_FIELD_SIZE], other[SPEC_FIELD_SIZE];
	int code;

	if (!json_object_is_type(value, json_type_array))
		return gantry_error_field(err, -EINVAL, field, "must be a list of %s, not %s",
					  shape->form, json_type_text(value));
	list.count = json_object_array_length(value);
	code = check_count(list.count, field, err);
	if (code < 0 || list.count == 0)
		return code;
	list.items = arena_alloc(arena, list.count * shape->item_size);
	for (size_t i = 0; i < list.count; i++) {
		index_of(path, field, i);
		code = parse_item(json_object_array_get_idx(value, i), shape, arena,
				  (char *)list.items + i * shape->item_size, path, err);
		if (code < 0)
			return code;
		for (size_t j = 0; shape->unique && j < i; j++) {
			const char *text = unique_text(shape, list.items, i);

			if (!str_equal(text, unique_text(shape, list.items, j)))
				continue;
			index_of(other, field, j);
			return gantry_error_field(err, -EINVAL, path,
						  "has the same %s as %s, \"%.60s\"",
						  shape->unique->key, other, text);
		}
	}
	memcpy(place, &list, sizeof(list));
	return 0;
}

/* --- the walk --- */

static int parse_value(struct json_object *value, int kind, const struct spec_rule *rule,
		       struct arena *arena, void *place, const char *field,
		       struct gantry_error *err)
{
	const struct spec_shape *shape = spec_shape_of(kind);
	int64_t number = 0;
	int code = 0, type = 0;

	if (shape)
		return shape->is_list ? parse_items(value, shape, arena, place, field, err)
				      : parse_item(value, shape, arena, place, field, err);
	switch (kind) {
	case GANTRY_FIELD_STRING:
		return parse_string(value, rule, arena, place, field, err);
	case GANTRY_FIELD_BOOL:
		if (!json_object_is_type(value, json_type_boolean))
			return spec_wrong_type(value, kind, field, err);
		*(bool *)place = json_object_get_boolean(value);
		return 0;
	case GANTRY_FIELD_STRINGS:
		return parse_strings(value, rule, arena, place, field, err);
	case SPEC_MEMBER_TEST:
		return parse_test(value, rule, arena, place, field, err);
	case GANTRY_FIELD_PAIRS:
		return parse_pairs(value, rule, arena, place, field, err);
	case SPEC_MEMBER_MOUNT_TYPE:
		if (!json_object_is_type(value, json_type_string))
			return spec_wrong_type(value, kind, field, err);
		while (spec_mount_types[type] &&
		       !str_equal(spec_mount_types[type], json_object_get_string(value)))
			type++;
		if (!spec_mount_types[type])
			return gantry_error_field(err, -EINVAL, field, "must be %s, not %s",
						  spec_kind_text(kind),
						  json_object_to_json_string(value));
		*(enum gantry_mount_type *)place = (enum gantry_mount_type)type;
		return 0;
	}
	code = spec_number_parse(value, kind, &number, field, err);
	if (code == 0 && !(kind == SPEC_MEMBER_PROCESS_LIMIT && number == -1))
		code = spec_number_check(number, kind, rule, field, err);
	if (code < 0)
		return code;
	if (kind == SPEC_MEMBER_PORT)
		*(uint16_t *)place = (uint16_t)number;
	else
		*(int64_t *)place = number;
	return 0;
}

/* Keys of all fields that have the flags, NULL-terminated; the caller frees. */
static const char **field_keys(unsigned flags)
{
	const char **keys;
	size_t count = 0;

	while (spec_fields[count].key)
		count++;
	keys = xcalloc(count + 1, sizeof(*keys));
	count = 0;
	for (const struct spec_field *field = spec_fields; field->key; field++)
		if ((field->flags & flags) == flags)
			keys[count++] = field->key;
	return keys;
}

static int unknown_field(const char *key, unsigned flags, struct gantry_error *err)
{
	const char **keys = field_keys(flags);
	int code;

	if (flags && spec_field_find(key)) {
		struct str all = STR_INIT;

		for (const char **p = keys; *p; p++)
			str_addf(&all, "%s%s", all.length ? ", " : "", *p);
		code = gantry_error_field(
			err, -EINVAL, key, "%s: %s",
			flags & GANTRY_FIELD_EXEC
				? "is the container's, not that of a process in it, which has"
				: "cannot be changed after the create; what can",
			str_text(&all));
		str_fini(&all);
	} else {
		code = unknown_key(key, keys, key, err);
	}
	free(keys);
	return code;
}

/* Reads the fields that have the flags; any other key is an error. */
static int parse_fields(struct json_object *object, unsigned flags, struct arena *arena,
			struct gantry_spec *spec, size_t *ret_given, struct gantry_error *err)
{
	size_t given = 0;

	spec_init(spec);
	if (!json_object_is_type(object, json_type_object))
		return gantry_error_set(err, -EINVAL, "must be a JSON object, not %s",
					json_type_text(object));
	json_object_object_foreach(object, key, value)
	{
		const struct spec_field *field = spec_field_find(key);
		int code;

		if (!field || (field->flags & flags) != flags)
			return unknown_field(key, flags, err);
		if (!value)
			continue;
		code = parse_value(value, (int)field->kind, spec_rule_of(field->offset), arena,
				   (char *)spec + field->offset, key, err);
		if (code < 0)
			return code;
		given++;
	}
	*ret_given = given;
	return 0;
}

int spec_parse(struct json_object *object, struct arena *arena, struct gantry_spec *ret_spec,
	       struct gantry_error *err)
{
	size_t given;
	int code = parse_fields(object, 0, arena, ret_spec, &given, err);

	if (code < 0)
		return code;
	for (const struct spec_field *field = spec_fields; field->key; field++)
		if ((field->flags & GANTRY_FIELD_REQUIRED) && !json_get(object, field->key))
			return gantry_error_field(err, -EINVAL, field->key, "is required: %s",
						  field->help);
	return spec_check_limits(ret_spec->memory_bytes, ret_spec->memory_swap_bytes, err);
}

int spec_parse_resize(struct json_object *object, struct arena *arena,
		      struct gantry_limits *ret_limits, struct gantry_error *err)
{
	struct gantry_spec spec;
	size_t given;
	int code = parse_fields(object, GANTRY_FIELD_RESIZE, arena, &spec, &given, err);

	if (code < 0)
		return code;
	if (given == 0) {
		const char **keys = field_keys(GANTRY_FIELD_RESIZE);
		struct str all = STR_INIT;

		for (const char **p = keys; *p; p++)
			str_addf(&all, "%s%s", all.length ? ", " : "", *p);
		code = gantry_error_set(err, -EINVAL, "nothing to change; give one of: %s",
					str_text(&all));
		str_fini(&all);
		free(keys);
		return code;
	}
	*ret_limits = (struct gantry_limits){
		.memory_bytes = spec.memory_bytes,
		.memory_swap_bytes = spec.memory_swap_bytes,
		.nano_cpus = spec.nano_cpus,
		.cpu_shares = spec.cpu_shares,
		.pids = spec.pids,
		.cpuset = spec.cpuset,
	};
	return spec_check_limits(ret_limits->memory_bytes, ret_limits->memory_swap_bytes, err);
}

int spec_parse_exec(struct json_object *object, struct arena *arena, struct gantry_exec *ret_exec,
		    struct gantry_error *err)
{
	struct gantry_spec spec;
	size_t given;
	int code = parse_fields(object, GANTRY_FIELD_EXEC, arena, &spec, &given, err);

	if (code == 0)
		code = spec_check_values(&spec.environment, err);
	if (code == 0 && spec.command.count == 0)
		code = gantry_error_field(err, -EINVAL, "command", "is required: what to run");
	*ret_exec = (struct gantry_exec){
		.command = spec.command,
		.environment = spec.environment,
		.user = spec.user,
		.working_dir = spec.working_dir,
		.tty = spec.tty,
		.input = spec.stdin_open,
	};
	return code;
}

int spec_parse_port(struct json_object *value, struct arena *arena,
		    struct gantry_network_port *ret_port, struct gantry_error *err)
{
	*ret_port = (struct gantry_network_port){0};
	return parse_item(value, spec_shape_of(GANTRY_FIELD_NETWORK_PORTS), arena, ret_port, "port",
			  err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Spec to JSON: the walk of the parser the other way. Compound items are printed as objects. */
#include "model/spec_shape.h"
#include "base/str.h"

/* A decimal number with as many digits as it needs. */
static struct json_object *print_cpus(int64_t nano)
{
	char text[40];

	if (nano % 1000000000 == 0)
		return json_object_new_int64(nano / 1000000000);
	snprintf(text, sizeof(text), "%lld.%09lld", (long long)(nano / 1000000000),
		 (long long)(nano % 1000000000));
	for (char *end = text + strlen(text) - 1; *end == '0'; end--)
		*end = '\0';
	return json_object_new_double_s((double)nano / 1e9, text);
}

static struct json_object *print_duration(int64_t ms)
{
	char text[40];

	spec_number_text(ms, GANTRY_FIELD_DURATION, text, sizeof(text));
	return json_object_new_string(text);
}

static struct json_object *print_strings(const struct gantry_strings *strings)
{
	struct json_object *list;

	if (strings->count == 0)
		return NULL;
	list = json_object_new_array_ext((int)strings->count);
	for (size_t i = 0; i < strings->count; i++)
		json_object_array_add(list, json_object_new_string(strings->items[i]));
	return list;
}

static struct json_object *print_pairs(const struct gantry_pairs *pairs)
{
	struct json_object *object;

	if (pairs->count == 0)
		return NULL;
	object = json_object_new_object();
	for (size_t i = 0; i < pairs->count; i++)
		json_add_string(object, pairs->items[i].name, pairs->items[i].value);
	return object;
}

static struct json_object *print_value(const char *place, int kind, enum spec_values values);

/* The object, or NULL where no member is given. */
static struct json_object *print_item(const char *item, int kind, const struct spec_shape *shape,
				      enum spec_values values)
{
	struct json_object *object = json_object_new_object();
	const struct gantry_env *env = kind == GANTRY_FIELD_ENV ? (const void *)item : NULL;
	bool hidden =
		env && (values == SPEC_VALUES_NONE || (values == SPEC_VALUES_PLAIN && env->secret));

	for (const struct spec_member *member = shape->members; member->key; member++) {
		struct json_object *value;

		if (hidden && member->offset == offsetof(struct gantry_env, value))
			continue;
		value = print_value(item + member->offset, member->kind, values);
		if (value)
			json_object_object_add(object, member->key, value);
	}
	if (json_object_object_length(object) > 0)
		return object;
	json_object_put(object);
	return NULL;
}

static struct json_object *print_items(const char *place, int kind, const struct spec_shape *shape,
				       enum spec_values values)
{
	struct json_object *list;
	struct spec_list items;

	memcpy(&items, place, sizeof(items));
	if (items.count == 0)
		return NULL;
	list = json_object_new_array_ext((int)items.count);
	for (size_t i = 0; i < items.count; i++)
		json_object_array_add(list, print_item((char *)items.items + i * shape->item_size,
						       kind, shape, values));
	return list;
}

/* NULL where nothing is given. */
static struct json_object *print_value(const char *place, int kind, enum spec_values values)
{
	const struct spec_shape *shape = spec_shape_of(kind);
	const char *text;
	int64_t number;

	if (shape)
		return shape->is_list ? print_items(place, kind, shape, values)
				      : print_item(place, kind, shape, values);
	switch (kind) {
	case GANTRY_FIELD_STRING:
		text = *(const char *const *)(const void *)place;
		return text ? json_object_new_string(text) : NULL;
	case GANTRY_FIELD_BOOL:
		return *(const bool *)place ? json_object_new_boolean(true) : NULL;
	case GANTRY_FIELD_STRINGS:
	case SPEC_MEMBER_TEST:
		return print_strings((const void *)place);
	case GANTRY_FIELD_PAIRS:
		return print_pairs((const void *)place);
	case SPEC_MEMBER_MOUNT_TYPE:
		return json_object_new_string(
			spec_mount_types[*(const enum gantry_mount_type *)(const void *)place]);
	case SPEC_MEMBER_PORT:
		return json_object_new_int(*(const uint16_t *)(const void *)place);
	}
	number = *(const int64_t *)(const void *)place;
	if (kind == SPEC_MEMBER_PROCESS_LIMIT)
		return json_object_new_int64(number);
	if (number == GANTRY_UNSET)
		return NULL;
	if (kind == GANTRY_FIELD_CPUS)
		return print_cpus(number);
	if (kind == GANTRY_FIELD_DURATION)
		return print_duration(number);
	return json_object_new_int64(number);
}

struct json_object *spec_print(const struct gantry_spec *spec, enum spec_values values)
{
	struct json_object *object = json_object_new_object();

	for (const struct spec_field *field = spec_fields; field->key; field++) {
		struct json_object *value =
			print_value((const char *)spec + field->offset, (int)field->kind, values);

		if (value)
			json_object_object_add(object, field->key, value);
	}
	return object;
}

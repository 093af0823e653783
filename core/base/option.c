/* SPDX-License-Identifier: Apache-2.0 */
#include "base/option.h"
#include "base/str.h"
#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>

/* "a size as 64MiB", … for messages and help. */
static const char *type_text(enum gantry_option_type type)
{
	switch (type) {
	case GANTRY_OPTION_STRING:
		return "a string";
	case GANTRY_OPTION_BOOL:
		return "true or false";
	case GANTRY_OPTION_INT:
		return "a whole number";
	case GANTRY_OPTION_SIZE:
		return "a size as \"64MiB\"";
	case GANTRY_OPTION_DURATION:
		return "a duration as \"10s\" or \"500ms\"";
	case GANTRY_OPTION_STRINGS:
		return "a list of strings";
	case GANTRY_OPTION_PAIRS:
		return "a table from string to string";
	case GANTRY_OPTION_DECIMAL:
		return "a number above 0, as 1.5";
	}
	return "a value";
}

/* A value as one would write it. size >= 24. */
static const char *number_text(const struct gantry_option *option, int64_t value, char *text,
			       size_t size)
{
	if (option->type == GANTRY_OPTION_SIZE)
		units_format_size(value, text, size);
	else if (option->type == GANTRY_OPTION_DURATION)
		units_format_duration(value, text, size);
	else
		snprintf(text, size, "%lld", (long long)value);
	return text;
}

static int check_range(const struct gantry_option *option, int64_t value, const char *field,
		       struct gantry_error *err)
{
	int64_t maximum = option->maximum ? option->maximum : INT64_MAX;
	char least[24], most[24], given[24];

	if (value >= option->minimum && value <= maximum)
		return 0;
	number_text(option, option->minimum, least, sizeof(least));
	number_text(option, value, given, sizeof(given));
	if (option->maximum)
		return gantry_error_field(err, -ERANGE, field, "must be from %s to %s, not %s",
					  least, number_text(option, maximum, most, sizeof(most)),
					  given);
	return gantry_error_field(err, -ERANGE, field, "must be %s or more, not %s", least, given);
}

/* Numbers reach us as int or, from Lua floats, as double. */
static int read_number(const struct gantry_option *option, struct json_object *value,
		       int64_t *ret_number)
{
	if (json_object_is_type(value, json_type_string)) {
		const char *text = json_object_get_string(value);

		if (option->type == GANTRY_OPTION_SIZE)
			return units_parse_size(text, ret_number);
		if (option->type == GANTRY_OPTION_DURATION)
			return units_parse_duration(text, ret_number);
		return -EINVAL;
	}
	if (!json_object_is_type(value, json_type_int) &&
	    !json_object_is_type(value, json_type_double))
		return -EINVAL;
	if (option->type == GANTRY_OPTION_DURATION) {
		*ret_number = (int64_t)(json_object_get_double(value) * 1000);
		return 0;
	}
	*ret_number = json_object_get_int64(value);
	return json_object_get_double(value) == (double)*ret_number ? 0 : -EINVAL;
}

/* 0 where it is none. */
static double read_decimal(struct json_object *value)
{
	const char *text = json_object_get_string(value);
	double number;

	if (json_object_is_type(value, json_type_string) &&
	    (!text[0] || text[strspn(text, "0123456789.")]))
		return 0;
	if (!json_object_is_type(value, json_type_string) &&
	    !json_object_is_type(value, json_type_int) &&
	    !json_object_is_type(value, json_type_double))
		return 0;
	number = json_object_get_double(value);
	return number > 0 && number < 1e9 ? number : 0;
}

static int set_value(const struct gantry_option *option, struct json_object *value,
		     const char *field, struct arena *arena, void *place, struct gantry_error *err)
{
	int64_t number;
	double decimal;
	size_t count = 0;

	switch (option->type) {
	case GANTRY_OPTION_STRING:
		if (!json_object_is_type(value, json_type_string))
			break;
		*(const char **)place = arena_strdup(arena, json_object_get_string(value));
		return 0;
	case GANTRY_OPTION_BOOL:
		if (!json_object_is_type(value, json_type_boolean))
			break;
		*(bool *)place = json_object_get_boolean(value);
		return 0;
	case GANTRY_OPTION_INT:
	case GANTRY_OPTION_SIZE:
	case GANTRY_OPTION_DURATION:
		if (read_number(option, value, &number) < 0)
			break;
		*(int64_t *)place = number;
		return check_range(option, number, field, err);
	case GANTRY_OPTION_STRINGS: {
		struct gantry_strings *strings = place;

		if (!json_object_is_type(value, json_type_array))
			break;
		count = json_object_array_length(value);
		strings->items = ARENA_ARRAY(arena, const char *, count);
		for (size_t i = 0; i < count; i++) {
			struct json_object *item = json_object_array_get_idx(value, i);

			if (!json_object_is_type(item, json_type_string))
				return gantry_error_field(err, -EINVAL, field,
							  "entry %zu must be a string, not %s",
							  i + 1, json_type_text(item));
			strings->items[i] = arena_strdup(arena, json_object_get_string(item));
		}
		strings->count = count;
		return 0;
	}
	case GANTRY_OPTION_PAIRS: {
		struct gantry_pairs *pairs = place;

		if (json_object_is_type(value, json_type_array) &&
		    json_object_array_length(value) == 0)
			return 0; /* Lua's {} */
		if (!json_object_is_type(value, json_type_object))
			break;
		pairs->items = ARENA_ARRAY(arena, struct gantry_pair,
					   (size_t)json_object_object_length(value));
		json_object_object_foreach(value, key, item)
		{
			if (!json_object_is_type(item, json_type_string))
				return gantry_error_field(err, -EINVAL, field,
							  "%s must be a string, not %s", key,
							  json_type_text(item));
			pairs->items[count].name = arena_strdup(arena, key);
			pairs->items[count++].value =
				arena_strdup(arena, json_object_get_string(item));
		}
		pairs->count = count;
		return 0;
	}
	case GANTRY_OPTION_DECIMAL:
		decimal = read_decimal(value);
		if (decimal == 0)
			break;
		*(double *)place = decimal;
		return 0;
	}
	return gantry_error_field(
		err, -EINVAL, field, "must be %s, not %s", type_text(option->type),
		json_object_is_type(value, json_type_string) ? json_object_to_json_string(value)
							     : json_type_text(value));
}

/* The default is kept as text; for what is no text it is read as one would read it from a file. */
static void set_default(const struct gantry_option *option, struct arena *arena, void *place)
{
	int64_t number = 0;

	if (!option->fallback)
		return;
	switch (option->type) {
	case GANTRY_OPTION_STRING:
		*(const char **)place = arena_strdup(arena, option->fallback);
		break;
	case GANTRY_OPTION_BOOL:
		*(bool *)place = str_equal(option->fallback, "true");
		break;
	case GANTRY_OPTION_INT:
	case GANTRY_OPTION_SIZE:
		units_parse_size(option->fallback, &number);
		*(int64_t *)place = number;
		break;
	case GANTRY_OPTION_DURATION:
		units_parse_duration(option->fallback, &number);
		*(int64_t *)place = number;
		break;
	case GANTRY_OPTION_DECIMAL:
		*(double *)place = strtod(option->fallback, NULL);
		break;
	case GANTRY_OPTION_STRINGS:
	case GANTRY_OPTION_PAIRS:
		break;
	}
}

static int unknown_key(const struct gantry_option *table, const char *key, const char *field,
		       struct gantry_error *err)
{
	const char *keys[64], *near;
	size_t count = 0;

	for (; table->key && count < 63; table++)
		keys[count++] = table->key;
	keys[count] = NULL;
	near = str_nearest(key, keys);
	if (near)
		return gantry_error_field(err, -EINVAL, field,
					  "there is no option \"%s\"; did you mean \"%s\"?", key,
					  near);
	return gantry_error_field(err, -EINVAL, field, "there is no option \"%s\"", key);
}

int option_apply(const struct gantry_option *table, struct json_object *values, const char *where,
		 struct arena *arena, void *settings, struct gantry_error *err)
{
	const char *dot = where[0] ? "." : "";
	char field[sizeof(err->field)];
	int code;

	if (json_object_is_type(values, json_type_array) && json_object_array_length(values) == 0)
		values = NULL; /* Lua's {} */
	if (values && !json_object_is_type(values, json_type_object))
		return gantry_error_field(err, -EINVAL, where, "must be a table, not %s",
					  json_type_text(values));
	if (values) {
		json_object_object_foreach(values, key, value)
		{
			const struct gantry_option *option = table;

			(void)value;
			while (option->key && !str_equal(option->key, key))
				option++;
			snprintf(field, sizeof(field), "%s%s%s", where, dot, key);
			if (!option->key)
				return unknown_key(table, key, field, err);
		}
	}
	for (; table->key; table++) {
		struct json_object *value = json_get(values, table->key);
		void *place = (char *)settings + table->offset;

		snprintf(field, sizeof(field), "%s%s%s", where, dot, table->key);
		if (!value && table->required)
			return gantry_error_field(err, -EINVAL, field, "is required: %s",
						  table->help);
		if (!value) {
			set_default(table, arena, place);
			continue;
		}
		code = set_value(table, value, field, arena, place, err);
		if (code < 0)
			return code;
	}
	return 0;
}

void option_print(struct roff *page, const char *title, const struct gantry_option *options)
{
	if (page && options && options->key)
		roff_subheading(page, title);
	else if (!page)
		printf("%s\n", title);
	for (const struct gantry_option *option = options; option && option->key; option++) {
		char *text = option->required ? xasprintf("%s (required)", option->help)
			     : option->fallback
				     ? xasprintf("%s (default %s)", option->help, option->fallback)
				     : xstrdup(option->help);

		if (page)
			roff_entry(page, option->key, "", text);
		else
			printf("  %-22s %s\n", option->key, text);
		free(text);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Plain values: what each kind is called in messages, and numbers in all their written forms. */
#include "model/spec_shape.h"
#include "base/str.h"
#include "base/units.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#define NUMBER_MAX (1LL << 62)

const char *spec_kind_text(int kind)
{
	switch (kind) {
	case GANTRY_FIELD_STRING:
		return "a string";
	case GANTRY_FIELD_BOOL:
		return "true or false";
	case GANTRY_FIELD_INT:
		return "a whole number";
	case SPEC_MEMBER_PORT:
		return "a port number";
	case GANTRY_FIELD_SIZE:
		return "a size: bytes or a number with KiB, MiB, GiB, as \"64MiB\"";
	case GANTRY_FIELD_CPUS:
		return "a number of CPUs, as 1.5";
	case GANTRY_FIELD_DURATION:
		return "a duration: seconds or text as \"10s\", \"500ms\", \"2m\"";
	case GANTRY_FIELD_STRINGS:
		return "a list of strings";
	case GANTRY_FIELD_PAIRS:
		return "an object from string to string, or a list of \"NAME=VALUE\"";
	case SPEC_MEMBER_MOUNT_TYPE:
		return "\"bind\", \"volume\", \"tmpfs\" or \"instance\"";
	case SPEC_MEMBER_PROCESS_LIMIT:
		return "a whole number or \"unlimited\"";
	case SPEC_MEMBER_TEST:
		return "a shell command or a list as [\"CMD\", PROGRAM, …]";
	}
	return "a value";
}

int spec_wrong_type(struct json_object *value, int kind, const char *field,
		    struct gantry_error *err)
{
	return gantry_error_field(err, -EINVAL, field, "must be %s, not %s", spec_kind_text(kind),
				  json_type_text(value));
}

void spec_number_text(int64_t number, int kind, char *text, size_t size)
{
	if (kind == GANTRY_FIELD_SIZE)
		units_format_size(number, text, size);
	else if (kind == GANTRY_FIELD_CPUS)
		snprintf(text, size, "%.10g", (double)number / 1e9);
	else if (kind == GANTRY_FIELD_DURATION)
		snprintf(text, size, number % 1000 ? "%lldms" : "%llds",
			 (long long)(number % 1000 ? number : number / 1000));
	else
		snprintf(text, size, "%lld", (long long)number);
}

int spec_number_check(int64_t number, int kind, const struct spec_rule *rule, const char *field,
		      struct gantry_error *err)
{
	int64_t maximum = rule->maximum ? rule->maximum : NUMBER_MAX;
	char low[32], high[32], got[32];

	if (number >= rule->minimum && number <= maximum)
		return 0;
	spec_number_text(rule->minimum, kind, low, sizeof(low));
	spec_number_text(maximum, kind, high, sizeof(high));
	spec_number_text(number, kind, got, sizeof(got));
	if (!rule->maximum)
		return gantry_error_field(err, -ERANGE, field, "must be %s or more, not %s", low,
					  got);
	return gantry_error_field(err, -ERANGE, field, "must be from %s to %s, not %s", low, high,
				  got);
}

/* A JSON number times factor, whole. */
static int scale_number(struct json_object *value, double factor, int64_t *ret_number)
{
	double number;

	if (json_object_is_type(value, json_type_int) && factor == 1) {
		*ret_number = json_object_get_int64(value);
		return 0;
	}
	if (!json_object_is_type(value, json_type_int) &&
	    !json_object_is_type(value, json_type_double))
		return -EINVAL;
	number = json_object_get_double(value) * factor;
	if (!(fabs(number) <= (double)NUMBER_MAX) || (factor == 1 && number != floor(number)))
		return -EINVAL;
	*ret_number = llround(number);
	return 0;
}

static int read_cpus(const char *text, int64_t *ret_nano)
{
	char *end;
	double number = strtod(text, &end);

	if (!isdigit((unsigned char)text[0]) || strspn(text, "0123456789.") != strlen(text) ||
	    *end || number > 1e6)
		return -EINVAL;
	*ret_nano = llround(number * 1e9);
	return 0;
}

int spec_number_parse(struct json_object *value, int kind, int64_t *place, const char *field,
		      struct gantry_error *err)
{
	const char *text =
		json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
	char quoted[80];
	int code;

	if (!text)
		code = scale_number(value,
				    kind == GANTRY_FIELD_CPUS       ? 1e9
				    : kind == GANTRY_FIELD_DURATION ? 1e3
								    : 1,
				    place);
	else if (kind == GANTRY_FIELD_SIZE)
		code = units_parse_size(text, place);
	else if (kind == GANTRY_FIELD_DURATION)
		code = units_parse_duration(text, place);
	else if (kind == GANTRY_FIELD_CPUS)
		code = read_cpus(text, place);
	else if (kind == SPEC_MEMBER_PROCESS_LIMIT && str_equal(text, "unlimited"))
		code = 0, *place = -1;
	else
		return spec_wrong_type(value, kind, field, err);
	if (code == 0)
		return 0;
	if (!text && !json_object_is_type(value, json_type_double) &&
	    !json_object_is_type(value, json_type_int))
		return spec_wrong_type(value, kind, field, err);
	spec_quote(text ? text : json_object_to_json_string(value), quoted, sizeof(quoted));
	if (kind == GANTRY_FIELD_SIZE)
		return gantry_error_field(
			err, -EINVAL, field,
			"\"%s\" is no size; write bytes or a number with KiB, MiB, "
			"GiB, as \"64MiB\"",
			quoted);
	if (kind == GANTRY_FIELD_DURATION)
		return gantry_error_field(
			err, -EINVAL, field,
			"\"%s\" is no duration; write seconds or a number with ms, s, "
			"m, h, as \"10s\"",
			quoted);
	if (kind == GANTRY_FIELD_CPUS)
		return gantry_error_field(
			err, -EINVAL, field,
			"\"%s\" is no number of CPUs; write a decimal number, as 1.5", quoted);
	return gantry_error_field(err, -EINVAL, field, "must be %s, not %s", spec_kind_text(kind),
				  quoted);
}

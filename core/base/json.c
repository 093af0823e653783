/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/str.h"
#include "base/clock.h"

#include <gantry/text.h>

#include <ctype.h>

/*
 * json-c's strict mode still takes NaN, Infinity and 'quotes'. Outside of strings JSON has no letter
 * of them: the offset of one, or -1.
 */
static long find_extension(const char *text, size_t length)
{
	bool in_string = false;

	for (size_t i = 0; i < length; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == 'N' || text[i] == 'I' || text[i] == '\''))
			return (long)i;
	}
	return -1;
}

int json_parse(const char *text, size_t length, struct json_object **ret_value,
	       struct gantry_error *err)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	struct json_object *value;
	enum json_tokener_error code;
	long extension;
	size_t end;

	if (!tokener)
		return gantry_error_set(err, -ENOMEM, "out of memory");
	if (length > INT32_MAX) {
		json_tokener_free(tokener);
		return gantry_error_set(err, -E2BIG, "JSON text is over 2 GiB");
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
						JSON_TOKENER_ALLOW_TRAILING_CHARS);
	value = json_tokener_parse_ex(tokener, text, (int)length);
	code = json_tokener_get_error(tokener);
	if (code == json_tokener_continue) { /* a bare number ends only with what follows it */
		value = json_tokener_parse_ex(tokener, "\n", 1);
		code = json_tokener_get_error(tokener);
		end = length;
	} else {
		end = json_tokener_get_parse_end(tokener);
	}
	json_tokener_free(tokener);
	if (code != json_tokener_success) {
		json_object_put(value);
		return gantry_error_set(err, -EINVAL, "not JSON: %s at byte %zu",
					code == json_tokener_continue
						? "the text ends too early"
						: json_tokener_error_desc(code),
					end);
	}
	while (end < length && isspace((unsigned char)text[end]))
		end++;
	extension = find_extension(text, length);
	if (extension >= 0) {
		json_object_put(value);
		return gantry_error_set(err, -EINVAL, "not JSON: unexpected \"%c\" at byte %ld",
					text[extension], extension);
	}
	if (end < length) {
		json_object_put(value);
		return gantry_error_set(err, -EINVAL, "not JSON: text after the value at byte %zu",
					end);
	}
	*ret_value = value;
	return 0;
}

struct json_object *json_get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

const char *json_get_string(struct json_object *object, const char *key, const char *fallback)
{
	struct json_object *value = json_get(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value)
							    : fallback;
}

int64_t json_get_int(struct json_object *object, const char *key, int64_t fallback)
{
	struct json_object *value = json_get(object, key);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : fallback;
}

bool json_get_bool(struct json_object *object, const char *key, bool fallback)
{
	struct json_object *value = json_get(object, key);

	return json_object_is_type(value, json_type_boolean) ? json_object_get_boolean(value)
							     : fallback;
}

/* A copy with U+FFFD for each byte that is no UTF-8. */
static struct json_object *new_clean_string(const char *text, size_t length)
{
	struct str clean = STR_INIT;
	struct json_object *value;

	for (size_t at = 0, n; at < length; at += n ? n : 1) {
		n = gantry_utf8_length(text + at, length - at);
		if (n)
			str_add_bytes(&clean, text + at, n);
		else
			str_add(&clean, "\xef\xbf\xbd");
	}
	value = json_object_new_string_len(str_text(&clean), (int)clean.length);
	str_fini(&clean);
	return value;
}

void json_add_string(struct json_object *object, const char *key, const char *text)
{
	size_t length, at = 0, n;

	if (!text)
		return;
	length = strlen(text);
	while (at < length && (n = gantry_utf8_length(text + at, length - at)))
		at += n;
	json_object_object_add(object, key,
			       at == length ? json_object_new_string_len(text, (int)length)
					    : new_clean_string(text, length));
}

void json_add_int(struct json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

void json_add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

void json_add_time(struct json_object *object, const char *key, int64_t wall_ms)
{
	char stamp[40];

	if (wall_ms == 0)
		return;
	clock_format(wall_ms, stamp, sizeof(stamp));
	json_add_string(object, key, stamp);
}

struct json_object *json_pack(struct json_object *value)
{
	struct json_object *packed;
	char *text;

	if (!value)
		return NULL;
	text = xstrdup(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
	json_object_put(value);
	packed = json_object_new_boolean(false); /* the smallest; only printing it is of use */
	json_object_set_serializer(packed, json_object_userdata_to_json_string, text,
				   json_object_free_userdata);
	return packed;
}

const char *json_line(struct json_object *value)
{
	return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE);
}

const char *json_text(struct json_object *value)
{
	return json_object_is_type(value, json_type_string) ? json_object_get_string(value)
							    : json_line(value);
}

const char *json_type_text(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return "null";
	case json_type_boolean:
		return "true or false";
	case json_type_double:
	case json_type_int:
		return "a number";
	case json_type_object:
		return "an object";
	case json_type_array:
		return "a list";
	case json_type_string:
		return "a string";
	}
	return "nothing";
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every field of the spec: JSON to struct to JSON gives the whole form, that form gives itself, a
 * copy gives the same.
 */
#include "spec_cases.h"
#include "tap.h"

#include "model/spec.h"
#include "base/str.h"

#define PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static struct json_object *parse_json(const char *text)
{
	struct json_object *value;
	struct gantry_error err;

	if (json_parse(text, strlen(text), &value, &err) < 0)
		bail_out("%s: %s", err.text, text);
	return value;
}

/* text → spec → text; the caller frees. */
static char *round_trip(const char *text, bool copy)
{
	struct json_object *object = parse_json(text), *printed;
	struct arena arena = {0}, other = {0};
	struct gantry_spec spec, again;
	struct gantry_error err;
	char *result;

	if (spec_parse(object, &arena, &spec, &err) < 0) {
		result = xasprintf("%s: %s", err.field, err.text);
	} else {
		if (copy) {
			spec_copy(&spec, &other, &again);
			arena_fini(&arena);
			memset(&spec, 0xaa, sizeof(spec));
			spec = again;
		}
		printed = spec_print(&spec, SPEC_VALUES_ALL);
		result = xstrdup(json_object_to_json_string_ext(printed, PLAIN));
		json_object_put(printed);
	}
	json_object_put(object);
	arena_fini(&arena);
	arena_fini(&other);
	return result;
}

/* One object that has the value of each field; name and image only where the case is not of them. */
static char *wrap(const char *key, const char *value)
{
	return str_equal(key, "image") ? xasprintf("{\"image\":%s}", value)
	       : str_equal(key, "name") || str_equal(key, "project") || str_equal(key, "labels")
		       ? xasprintf("{\"%s\":%s,\"image\":\"a\"}", key, value)
		       : xasprintf("{\"image\":\"a\",\"%s\":%s}", key, value);
}

static void each_field(void)
{
	for (const struct spec_field *field = spec_fields; field->key; field++) {
		size_t found = 0;

		for (size_t i = 0; i < SPEC_CASES; i++) {
			char *given, *wanted, *got, *again, *copied;

			if (!str_equal(spec_cases[i].key, field->key))
				continue;
			found++;
			given = wrap(field->key, spec_cases[i].given);
			wanted = wrap(field->key, spec_cases[i].printed ? spec_cases[i].printed
									: spec_cases[i].given);
			got = round_trip(given, false);
			again = round_trip(got, false);
			copied = round_trip(given, true);
			is_str(got, wanted, "%s: read and printed (case %zu)", field->key, i);
			is_str(again, wanted, "%s: what was printed is read as the same",
			       field->key);
			is_str(copied, wanted, "%s: a copy stands alone and is the same",
			       field->key);
			free(given);
			free(wanted);
			free(got);
			free(again);
			free(copied);
		}
		ok(found > 0, "%s has a case here", field->key);
		ok(spec_field_find(field->key) == field, "%s is found by its key", field->key);
	}
}

/* Everything at once. */
static void whole(void)
{
	struct str all = STR_INIT;
	char *got, *again;
	size_t fields = 0, printed_fields;
	struct json_object *object;

	for (const struct spec_field *field = spec_fields; field->key; field++) {
		for (size_t i = 0; i < SPEC_CASES; i++) {
			if (!str_equal(spec_cases[i].key, field->key))
				continue;
			str_addf(&all, "%s\"%s\":%s", fields++ ? "," : "{", field->key,
				 spec_cases[i].given);
			break;
		}
	}
	str_add(&all, "}");
	got = round_trip(str_text(&all), false);
	again = round_trip(got, true);
	is_str(again, got, "all fields at once: read, printed, read, copied, printed");
	object = parse_json(got);
	printed_fields = (size_t)json_object_object_length(object);
	is_int(printed_fields, fields, "all of them are in what was printed");
	json_object_put(object);
	free(got);
	free(again);
	str_fini(&all);
}

static void nothing_given(void)
{
	struct gantry_spec spec;
	struct json_object *printed;
	char *got;

	spec_init(&spec);
	printed = spec_print(&spec, SPEC_VALUES_ALL);
	is_str(json_object_to_json_string_ext(printed, PLAIN), "{}",
	       "a spec with nothing given prints nothing");
	json_object_put(printed);
	is_int(spec.memory_bytes, GANTRY_UNSET, "an unset size");
	is_int(spec.health_check.retries, GANTRY_UNSET, "an unset number inside a compound field");
	is_int(spec.log.files, GANTRY_UNSET, "and in another");
	got = round_trip(
		"{\"image\":\"a\",\"memory\":null,\"mounts\":[],\"labels\":{},\"tty\":false,"
		"\"log\":{\"size\":null}}",
		false);
	is_str(got, "{\"image\":\"a\"}", "null, empty and false are as not given");
	free(got);
}

static void secrets(void)
{
	struct json_object *object = parse_json(
		"{\"image\":\"a\",\"environment\":[\"A=1\",{\"name\":\"S\",\"value\":\"hush\",\"secret\":true}]}");
	static const struct {
		enum spec_values values;
		const char *printed, *name;
	} forms[] = {
		{SPEC_VALUES_NONE, "[{\"name\":\"A\"},{\"name\":\"S\",\"secret\":true}]", "none"},
		{SPEC_VALUES_PLAIN,
		 "[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"S\",\"secret\":true}]", "plain"},
		{SPEC_VALUES_ALL,
		 "[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"S\",\"value\":\"hush\",\"secret\":true}]",
		 "all"},
	};
	struct arena arena = {0};
	struct gantry_spec spec, stored;
	struct gantry_error err;

	is_int(spec_parse(object, &arena, &spec, &err), 0, "a secret is read");
	is_int(spec_check_complete(&spec, &err), 0, "and complete");
	for (size_t i = 0; i < 3; i++) {
		struct json_object *printed = spec_print(&spec, forms[i].values);

		is_str(json_object_to_json_string_ext(json_get(printed, "environment"), PLAIN),
		       forms[i].printed, "values: %s", forms[i].name);
		if (forms[i].values == SPEC_VALUES_PLAIN) {
			is_int(spec_parse(printed, &arena, &stored, &err), 0,
			       "the stored form is read");
			ok(!stored.environment.items[1].value && stored.environment.items[1].secret,
			   "the value of the secret is not known");
			is_int(spec_check_complete(&stored, &err), -EINVAL,
			       "such a spec is not complete");
			is_str(err.field, "environment[1].value", "the variable is named");
		}
		json_object_put(printed);
	}
	json_object_put(object);
	arena_fini(&arena);
}

static void unsafe(void)
{
	struct json_object *object = parse_json(
		"{\"image\":\"a\",\"mounts\":[\"//etc/.:/x\",\"/srv:/y:ro\",\"v:/z\",\"tmpfs:/t\"],"
		"\"network\":\"container:x\",\"cap_add\":[\"cap_sys_admin\"],\"cap_drop\":[\"ALL\"],"
		"\"devices\":[\"/dev/kvm:/dev/zero\"],\"sysctls\":[\"kernel.msgmax=1\"]}");
	static const char *const wanted[] = {"mounts: bind /etc rw", "mounts: bind /srv ro",
					     "network: container:x", "cap_add: SYS_ADMIN",
					     "devices: /dev/kvm",    "sysctls: kernel.msgmax"};
	static const struct {
		const char *network;
		size_t count;
	} networks[] = {{NULL, 0}, {"bridge", 0}, {"none", 0}, {"host", 1}, {"backend", 1}};
	struct arena arena = {0};
	struct gantry_spec spec;
	struct gantry_strings lines;
	struct gantry_error err;

	is_int(spec_parse(object, &arena, &spec, &err), 0, "unsafe options are read");
	spec_unsafe(&spec, &arena, &lines);
	is_int(lines.count, 6, "six of them");
	for (size_t i = 0; i < lines.count && i < 6; i++)
		is_str(lines.items[i], wanted[i], "in the form policies match");
	for (size_t i = 0; i < 5; i++) {
		spec_init(&spec);
		spec.network = networks[i].network;
		spec_unsafe(&spec, &arena, &lines);
		is_int(lines.count, networks[i].count, "network %s",
		       networks[i].network ? networks[i].network : "not given");
	}
	json_object_put(object);
	arena_fini(&arena);
}

int main(void)
{
	each_field();
	whole();
	nothing_given();
	secrets();
	unsafe();
	done_testing();
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* JSON with our errors, and option tables over it. */
#include "tap.h"

#include "base/json.h"
#include "base/option.h"
#include "base/str.h"

static void texts(void)
{
	static const struct {
		const char *text, *error; /* NULL: good */
	} cases[] = {
		{"{}", NULL},
		{" [1, 2.5, \"a\", true, null] \n", NULL},
		{"7", NULL},
		{"null", NULL},
		{"\"\\u00e4\\ud83d\\ude00\"", NULL},
		{"", "ends too early"},
		{"{", "ends too early"},
		{"{\"a\":1", "ends too early"},
		{"{\"a\":}", "at byte 5"},
		{"{\"a\":1,}", "not JSON"},
		{"{} {}", "text after the value at byte 3"},
		{"[1 2]", "not JSON"},
		{"nul", "not JSON"},
		{"[NaN]", "unexpected \"N\" at byte 1"},
		{"-Infinity", "not JSON"},
		{"{'a':1}", "not JSON"},
		{"[\"NaN, 'I'\"]", NULL},
		{"\"\xff\"", "not JSON"},
		{"{\"a\" 1}", "not JSON"},
	};
	struct json_object *value;
	struct gantry_error err;
	char deep[2 * JSON_DEPTH_MAX + 8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int code;

		memset(&err, 0, sizeof(err));
		value = NULL;
		code = json_parse(cases[i].text, strlen(cases[i].text), &value, &err);
		is_int(code, cases[i].error ? -EINVAL : 0, "parse of text %zu", i);
		like(err.text, cases[i].error ? cases[i].error : "", "the error tells where");
		json_object_put(value);
	}
	memset(deep, '[', sizeof(deep));
	is_int(json_parse(deep, sizeof(deep), &value, &err), -EINVAL, "too deep");
	like(err.text, "nesting", "is told so");
	memset(deep, '[', JSON_DEPTH_MAX - 1);
	memset(deep + JSON_DEPTH_MAX - 1, ']', JSON_DEPTH_MAX - 1);
	is_int(json_parse(deep, 2 * (JSON_DEPTH_MAX - 1), &value, &err), 0, "just not too deep");
	json_object_put(value);
}

static void packed(void)
{
	static const char text[] = "{\"s\":\"\u00e4\\n\",\"list\":[1,2.5,null,{}]}";
	struct json_object *value = NULL, *outer = json_object_new_object();
	struct gantry_error err;

	ok(!json_pack(NULL), "null stays null");
	is_int(json_parse(text, strlen(text), &value, &err), 0, "parse");
	json_object_object_add(outer, "value", json_pack(json_pack(value)));
	is_str(json_object_to_json_string_ext(outer, JSON_C_TO_STRING_PLAIN),
	       "{\"value\":{\"s\":\"\u00e4\\n\",\"list\":[1,2.5,null,{}]}}",
	       "a packed value prints as the tree did, packed twice too");
	json_object_put(outer);
}

static void members(void)
{
	static const char text[] =
		"{\"s\":\"x\",\"i\":7,\"b\":true,\"n\":null,\"d\":1.5,\"a\":1,\"a\":2}";
	struct json_object *object, *made = json_object_new_object();

	if (json_parse(text, strlen(text), &object, NULL) < 0)
		bail_out("the sample");
	is_str(json_get_string(object, "s", "f"), "x", "a string");
	is_str(json_get_string(object, "i", "f"), "f", "no string: the fallback");
	is_int(json_get_int(object, "i", 1), 7, "a number");
	is_int(json_get_int(object, "d", 1), 1, "not a whole one: the fallback");
	is_int(json_get_bool(object, "b", false), true, "a flag");
	is_int(json_get_bool(object, "x", true), true, "missing: the fallback");
	ok(!json_get(object, "n"), "null is as missing");
	ok(!json_get(NULL, "a") && !json_get(json_get(object, "i"), "a"), "no object: nothing");
	is_int(json_get_int(object, "a", 0), 2, "of two alike the last");
	is_str(json_type_text(json_get(object, "d")), "a number", "types have names");
	is_str(json_type_text(NULL), "null", "null too");
	json_add_string(made, "s", "x");
	json_add_string(made, "no", NULL);
	json_add_string(made, "u", "caf\xc3\xa9");
	json_add_string(made, "cut", "caf\xc3");
	json_add_string(made, "wrong", "\xff|\xed\xa0\x80|\xe2\x82");
	json_add_int(made, "i", 1LL << 60);
	json_add_bool(made, "b", false);
	json_add_time(made, "t", 1000);
	json_add_time(made, "never", 0);
	is_str(json_object_to_json_string_ext(made, JSON_C_TO_STRING_PLAIN),
	       "{\"s\":\"x\",\"u\":\"caf\xc3\xa9\",\"cut\":\"caf\xef\xbf\xbd\",\"wrong\":\"\xef\xbf\xbd|"
	       "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\",\"i\":1152921504606846976,\"b\":false,\"t\":\"1970-01-01T00:00:01.000Z\"}",
	       "members are added, nothing is not");
	json_object_put(made);
	json_object_put(object);
}

struct settings {
	const char *text, *plain;
	bool flag;
	int64_t number, size, time_ms;
	struct gantry_strings list;
	struct gantry_pairs pairs;
	double decimal;
};

static const struct gantry_option table[] = {
	{"text", GANTRY_OPTION_STRING, "hello", offsetof(struct settings, text), "a text", false, 0,
	 0},
	{"plain", GANTRY_OPTION_STRING, NULL, offsetof(struct settings, plain), "needed", true, 0,
	 0},
	{"flag", GANTRY_OPTION_BOOL, "true", offsetof(struct settings, flag), "a flag", false, 0,
	 0},
	{"number", GANTRY_OPTION_INT, "5", offsetof(struct settings, number), "a number", false, 1,
	 10},
	{"size", GANTRY_OPTION_SIZE, "1MiB", offsetof(struct settings, size), "a size", false, 0,
	 0},
	{"time", GANTRY_OPTION_DURATION, "10s", offsetof(struct settings, time_ms), "a time", false,
	 100, 0},
	{"list", GANTRY_OPTION_STRINGS, NULL, offsetof(struct settings, list), "a list", false, 0,
	 0},
	{"pairs", GANTRY_OPTION_PAIRS, NULL, offsetof(struct settings, pairs), "pairs", false, 0,
	 0},
	{"decimal", GANTRY_OPTION_DECIMAL, "1.5", offsetof(struct settings, decimal), "a decimal",
	 false, 0, 0},
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

static int apply(const char *text, struct arena *arena, struct settings *settings,
		 struct gantry_error *err)
{
	struct json_object *values = NULL;
	int code;

	if (text && json_parse(text, strlen(text), &values, err) < 0)
		bail_out("%s: %s", err->text, text);
	memset(settings, 0, sizeof(*settings));
	code = option_apply(table, values, "nodes.local", arena, settings, err);
	json_object_put(values);
	return code;
}

static void options(void)
{
	static const struct {
		const char *text;
		int code;
		const char *field, *part;
	} bad[] = {
		{"{}", -EINVAL, "nodes.local.plain", "is required: needed"},
		{"{\"plain\":7}", -EINVAL, "nodes.local.plain", "must be a string, not a number"},
		{"{\"plain\":\"\",\"sise\":1}", -EINVAL, "nodes.local.sise",
		 "did you mean \"size\"?"},
		{"{\"plain\":\"\",\"qqqqqqq\":1}", -EINVAL, "nodes.local.qqqqqqq",
		 "there is no option"},
		{"{\"plain\":\"\",\"flag\":\"yes\"}", -EINVAL, "nodes.local.flag",
		 "true or false, not \"yes\""},
		{"{\"plain\":\"\",\"number\":11}", -ERANGE, "nodes.local.number",
		 "from 1 to 10, not 11"},
		{"{\"plain\":\"\",\"number\":1.5}", -EINVAL, "nodes.local.number",
		 "a whole number"},
		{"{\"plain\":\"\",\"size\":\"12 parsecs\"}", -EINVAL, "nodes.local.size",
		 "a size as \"64MiB\""},
		{"{\"plain\":\"\",\"size\":-1}", -ERANGE, "nodes.local.size",
		 "0B or more, not -1B"},
		{"{\"plain\":\"\",\"time\":\"50ms\"}", -ERANGE, "nodes.local.time",
		 "100ms or more, not 50ms"},
		{"{\"plain\":\"\",\"list\":\"a\"}", -EINVAL, "nodes.local.list",
		 "a list of strings"},
		{"{\"plain\":\"\",\"list\":[\"a\",7]}", -EINVAL, "nodes.local.list",
		 "entry 2 must be a string"},
		{"{\"plain\":\"\",\"pairs\":{\"a\":1}}", -EINVAL, "nodes.local.pairs",
		 "a must be a string"},
		{"{\"plain\":\"\",\"decimal\":\"much\"}", -EINVAL, "nodes.local.decimal",
		 "a number above 0, as 1.5, not \"much\""},
		{"{\"plain\":\"\",\"decimal\":\"1.2.3\"}", -EINVAL, "nodes.local.decimal",
		 "above 0"},
		{"{\"plain\":\"\",\"decimal\":\"\"}", -EINVAL, "nodes.local.decimal", "above 0"},
		{"{\"plain\":\"\",\"decimal\":0}", -EINVAL, "nodes.local.decimal", "above 0"},
		{"{\"plain\":\"\",\"decimal\":-2.5}", -EINVAL, "nodes.local.decimal", "above 0"},
		{"{\"plain\":\"\",\"decimal\":true}", -EINVAL, "nodes.local.decimal", "above 0"},
		{"7", -EINVAL, "nodes.local", "must be a table, not a number"},
	};
	struct arena arena = {0};
	struct settings settings;
	struct gantry_error err;

	is_int(apply("{\"plain\":\"p\"}", &arena, &settings, &err), 0, "defaults");
	is_str(settings.text, "hello", "of a text");
	ok(settings.flag, "of a flag");
	is_int(settings.number, 5, "of a number");
	is_int(settings.size, 1 << 20, "of a size");
	is_int(settings.time_ms, 10000, "of a duration");
	is_int(settings.list.count + settings.pairs.count, 0, "of lists: none");
	ok(settings.decimal == 1.5, "of a decimal");
	is_int(apply("{\"plain\":\"p\",\"text\":\"t\",\"flag\":false,\"number\":10.0,\"size\":\"2k\",\"time\":"
		     "0.5,\"list\":[\"a\",\"b\"],\"pairs\":{\"x\":\"y\"},\"decimal\":\"7.25\"}",
		     &arena, &settings, &err),
	       0, "all given");
	is_str(settings.text, "t", "a text");
	ok(settings.decimal == 7.25, "a decimal as text");
	ok(!settings.flag, "a flag");
	is_int(settings.number, 10, "a whole number as Lua has it");
	is_int(settings.size, 2048, "a size");
	is_int(settings.time_ms, 500, "half a second");
	is_str(settings.list.items[1], "b", "a list");
	is_str(settings.pairs.items[0].value, "y", "pairs");
	is_int(apply("{\"plain\":\"p\",\"pairs\":[]}", &arena, &settings, &err), 0,
	       "Lua's empty table");
	is_int(apply("{\"plain\":\"p\",\"decimal\":6}", &arena, &settings, &err), 0, "a decimal");
	ok(settings.decimal == 6, "as a whole number");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		is_int(apply(bad[i].text, &arena, &settings, &err), bad[i].code, "refused: %s",
		       bad[i].text);
		is_str(err.field, bad[i].field, "the key is named");
		like(err.text, bad[i].part, "and what would be right");
	}
	is_int(option_apply(table, NULL, "", &arena, &settings, &err), -EINVAL, "nothing at all");
	is_str(err.field, "plain", "a key at the top has no dot");
	arena_fini(&arena);
}

static void printed(void)
{
	static const char text[] = "{\"a\":[\"/b\",null]}";
	struct json_object *object = NULL, *string = json_object_new_string("/b");

	json_parse(text, strlen(text), &object, NULL);
	is_str(json_line(object), text, "a value on one line");
	is_str(json_text(object), text, "its text");
	is_str(json_line(string), "\"/b\"", "a string on one line");
	is_str(json_text(string), "/b", "its text");
	is_str(json_text(NULL), "null", "no value");
	json_object_put(object);
	json_object_put(string);
}

int main(void)
{
	texts();
	packed();
	printed();
	members();
	options();
	done_testing();
	return tap_end();
}

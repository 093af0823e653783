/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Specs with damage: some fields out of spec_cases.h, changed at random, as values and as text. Each is
 * refused with a reason, or what is printed of it is read as the same.
 */
#include "../spec_cases.h"
#include "base/str.h"
#include "fuzz.h"
#include "model/spec.h"

#define PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* --- making ---------------------------------------------------------------------------------------- */

static const char *const texts[] = {
	"",
	"a",
	"0",
	"-1",
	"/",
	"//",
	"/a/../b",
	"a:b",
	":",
	"::",
	"[::1]:1",
	"=",
	"a=",
	"64MiB",
	"1e9",
	"0x10",
	"1.5s",
	"99999999999999999999",
	"9223372036854775807",
	"NaN",
	"unlimited",
	"tmpfs:/x",
	"tmpfs:/x:1",
	"a:/b:ro",
	"80/tcp",
	"1:2:3:4",
	"bind",
	"host",
	"CMD",
	"NONE",
	"ALL",
	"CAP_ALL",
	"caf\xc3\xa9",
	"\x7f",
	"a b",
	"a\nb",
	"\"",
	"container:",
	"SIGRTMIN+3",
	"0-3,5",
	"5-1",
	"%s%n",
	"sha256:00",
	"a@b",
	"1.0000000000000001",
};

static const char *const keys[] = {
	"name",   "value",     "secret",   "type",     "source",  "target",  "size",     "soft",
	"hard",   "test",      "retries",  "weight",   "devices", "device",  "read_bps", "files",
	"driver", "host_port", "protocol", "interval", "memory",  "unknown", "",         "a.b/c"};

static struct json_object *make_text(void)
{
	static const unsigned char bytes[] = "abz019/:=.-_,[]{}\"\\ \t\n\x01\x7f%$\xc3\xa9\xff";
	char text[2000];
	size_t length = 0, most = choose(20) ? 12 : sizeof(text);

	if (choose(3))
		return json_object_new_string(PICK(texts));
	for (length = 0; length < most && choose(most > 12 ? 1000 : 8); length++)
		text[length] = (char)bytes[choose(sizeof(bytes))]; /* the NUL too */
	return json_object_new_string_len(text, (int)length);
}

static struct json_object *make_number(void)
{
	static const int64_t whole[] = {0,
					1,
					-1,
					2,
					3,
					64,
					1000,
					1024,
					65535,
					65536,
					6291456,
					1LL << 31,
					1LL << 32,
					1LL << 53,
					INT64_MAX,
					INT64_MIN,
					INT64_MAX - 1,
					-2};
	static const double broken[] = {0.0,   0.1,         -0.0,   1.5,        1e-9,
					1e-12, 0.123456789, 1e18,   9.3e18,     -9.3e18,
					1e300, 67108864.0,  0.0005, 4096.000001};

	if (choose(3))
		return json_object_new_int64(choose(2) ? PICK(whole) : (int64_t)choose(5000));
	return json_object_new_double(choose(2) ? PICK(broken)
						: (double)choose(1000000) / (1 + choose(1000000)));
}

static struct json_object *make_value(int depth)
{
	struct json_object *value;

	switch (choose(depth > 3 ? 8 : 10)) {
	case 0:
		return NULL;
	case 1:
		return json_object_new_boolean((int)choose(2));
	case 2:
	case 3:
	case 4:
		return make_number();
	case 8:
		value = json_object_new_array();
		for (unsigned n = choose(choose(40) ? 4 : 300); n > 0; n--)
			json_object_array_add(value, make_value(depth + 1));
		return value;
	case 9:
		value = json_object_new_object();
		for (unsigned n = choose(4); n > 0; n--)
			json_object_object_add(value, PICK(keys), make_value(depth + 1));
		return value;
	}
	return make_text();
}

static void change(struct json_object *value, int depth);

static void change_list(struct json_object *list, int depth)
{
	size_t count = json_object_array_length(list), at = count ? choose((unsigned)count) : 0;
	struct json_object *item = count ? json_object_array_get_idx(list, at) : NULL;

	switch (choose(6)) {
	case 0:
		json_object_array_add(list, make_value(depth));
		break;
	case 1:
		if (item) /* twice the same */
			json_object_array_add(list, json_object_get(item));
		break;
	case 2:
		if (count)
			json_object_array_del_idx(list, at, 1);
		break;
	case 3:
		if (count)
			json_object_array_put_idx(list, at, make_value(depth));
		break;
	default:
		change(item, depth + 1);
	}
}

static void change_object(struct json_object *object, int depth)
{
	unsigned at = (unsigned)json_object_object_length(object);
	struct json_object *member = NULL;
	char *name = NULL;

	at = at ? choose(at) : 0;
	json_object_object_foreach(object, key, value)
	{
		if (at-- == 0) {
			name = xstrdup(key);
			member = value;
			break;
		}
	}
	switch (name ? choose(8) : 0) {
	case 0:
		json_object_object_add(object, PICK(keys), make_value(depth));
		break;
	case 1:
		json_object_object_del(object, name);
		break;
	case 2:
		json_object_object_add(object, name, make_value(depth));
		break;
	case 3:
		json_object_object_add(object, PICK(keys), json_object_get(member));
		break;
	default:
		change(member, depth + 1);
	}
	free(name);
}

/* Never to an empty text, which is among texts: json-c 0.16 leaks a long one that is set to it. */
static void change_text(struct json_object *value)
{
	int length = json_object_get_string_len(value);
	char *text = xcalloc(1, (size_t)length + 1);
	unsigned at = length ? choose((unsigned)length) : 0;

	memcpy(text, json_object_get_string(value), (size_t)length);
	if (length == 0 || choose(3) == 0) {
		const char *other = PICK(texts);
		char *joined = xasprintf("%.*s%s%s", (int)at, text, other, text + at);

		if (joined[0])
			json_object_set_string(value, joined);
		free(joined);
	} else if (choose(2)) {
		text[at] = ":=/.-0a,\xc3 9"[choose(11)];
		json_object_set_string_len(value, text, length);
	} else {
		json_object_set_string_len(value, text, (int)at + 1);
	}
	free(text);
}

/* Changes one thing somewhere in the value. */
static void change(struct json_object *value, int depth)
{
	if (json_object_is_type(value, json_type_array))
		change_list(value, depth);
	else if (json_object_is_type(value, json_type_object))
		change_object(value, depth);
	else if (json_object_is_type(value, json_type_string))
		change_text(value);
	else if (json_object_is_type(value, json_type_int))
		json_object_set_int64(value, choose(2) ? (int64_t)choose(70000) - 2
						       : INT64_MAX - choose(3));
	else if (json_object_is_type(value, json_type_double))
		json_object_set_double(value, (double)choose(100000000) / (1 + choose(10000)));
	else if (json_object_is_type(value, json_type_boolean))
		json_object_set_boolean(value, (int)choose(2));
}

static void must_parse(const char *text, struct json_object **ret_value)
{
	struct gantry_error err;

	if (json_parse(text, strlen(text), ret_value, &err) < 0)
		bail_out("%s: %s", err.text, text);
}

/* Text of an object with an image and some fields, changed; or changed as text. */
static void make_spec(struct str *text)
{
	struct json_object *object = json_object_new_object(), *value;
	unsigned most = choose(4) ? 6 : (unsigned)SPEC_CASES;

	json_object_object_add(object, "image", json_object_new_string("a"));
	for (unsigned n = choose(most); n > 0; n--) {
		unsigned at = choose(SPEC_CASES);

		must_parse(spec_cases[at].given, &value);
		json_object_object_add(object, spec_cases[at].key, value);
	}
	for (unsigned n = choose(4); n > 0; n--)
		change(object, 0);
	str_add(text, json_object_to_json_string_ext(object, PLAIN));
	json_object_put(object);
	if (choose(8))
		return;
	for (unsigned n = choose(4) + 1; n > 0; n--)
		text->data[choose((unsigned)text->length)] =
			"{}[]:,\"\\0919eE+-.tfnu\x00\xff a"[choose(26)];
}

/* --- judging --------------------------------------------------------------------------------------- */

static char *print(const struct gantry_spec *spec, enum spec_values values)
{
	struct json_object *printed = spec_print(spec, values);
	char *text = xstrdup(json_object_to_json_string_ext(printed, PLAIN));

	json_object_put(printed);
	return text;
}

/* What is printed of the spec is read, and printed the same. */
static void judge_form(const struct gantry_spec *spec, enum spec_values values)
{
	struct arena arena = {0};
	struct gantry_spec again;
	struct gantry_error err;
	struct json_object *object = NULL;
	char *first = print(spec, values), *second;

	if (json_parse(first, strlen(first), &object, &err) < 0) {
		fuzz_finding("what is printed is no JSON: %s: %s", err.text, first);
	} else if (spec_parse(object, &arena, &again, &err) < 0) {
		fuzz_finding("what is printed is refused: %s: %s: %s", err.field, err.text, first);
	} else {
		second = print(&again, values);
		if (!str_equal(first, second))
			fuzz_finding("printed   %s\nand again %s", first, second);
		free(second);
	}
	json_object_put(object);
	arena_fini(&arena);
	free(first);
}

static void judge_copy(const struct gantry_spec *spec)
{
	struct arena arena = {0};
	struct gantry_spec copy;
	char *first = print(spec, SPEC_VALUES_ALL), *second;

	spec_copy(spec, &arena, &copy);
	second = print(&copy, SPEC_VALUES_ALL);
	if (!str_equal(first, second))
		fuzz_finding("spec %s\ncopy %s", first, second);
	free(first);
	free(second);
	arena_fini(&arena);
}

/* A refusal says why, and can be told as JSON. */
static void judge_error(int code, const struct gantry_error *err, const char *what)
{
	struct json_object *problem = json_object_new_object(), *again = NULL;
	struct gantry_error wrong;
	const char *text;

	json_add_string(problem, "detail", err->text);
	json_add_string(problem, "field", err->field);
	text = json_object_to_json_string_ext(problem, PLAIN);
	if (code != -EINVAL && code != -ERANGE && code != -E2BIG)
		fuzz_finding("%s gives %d: %s", what, code, err->text);
	else if (!err->text[0])
		fuzz_finding("%s is refused without a reason", what);
	else if (json_parse(text, strlen(text), &again, &wrong) < 0)
		fuzz_finding("what is said of %s is no JSON: %s: %s", what, wrong.text, text);
	json_object_put(again);
	json_object_put(problem);
}

static void judge(struct json_object *object)
{
	struct arena arena = {0};
	struct gantry_strings lines;
	struct gantry_limits limits;
	struct gantry_spec spec;
	struct gantry_error err = {0};
	int code = spec_parse(object, &arena, &spec, &err);

	if (code < 0) {
		fuzz_note("refused");
		judge_error(code, &err, "the spec");
	} else {
		fuzz_note("read");
		judge_form(&spec, SPEC_VALUES_ALL);
		judge_form(&spec, SPEC_VALUES_PLAIN);
		judge_form(&spec, SPEC_VALUES_NONE);
		judge_copy(&spec);
		spec_unsafe(&spec, &arena, &lines);
		for (size_t i = 0; i < lines.count; i++)
			if (strchr(lines.items[i], '\n'))
				fuzz_finding("an unsafe option in two lines: %s", lines.items[i]);
		err = (struct gantry_error){0};
		code = spec_check_complete(&spec, &err);
		if (code < 0)
			judge_error(code, &err, "what is not complete");
	}
	err = (struct gantry_error){0};
	code = spec_parse_resize(object, &arena, &limits, &err);
	if (code < 0)
		judge_error(code, &err, "the resize");
	arena_fini(&arena);
}

static void one(void)
{
	struct str text = STR_INIT;
	struct json_object *object = NULL;
	struct gantry_error err = {0};
	int code;

	make_spec(&text);
	code = json_parse(text.data, text.length, &object, &err);
	if (code < 0) {
		fuzz_note("no JSON");
		judge_error(code, &err, "the text");
	} else {
		judge(object);
	}
	if (fuzz->finding[0])
		diag("of the spec %s", str_text(&text));
	json_object_put(object);
	str_fini(&text);
}

int main(void)
{
	fuzz_run("specs", NULL, one, NULL);
	ok(fuzz->cases < 1000 || (fuzz_noted("read") > fuzz->cases / 10 &&
				  fuzz_noted("refused") > fuzz->cases / 10),
	   "some are read and some are refused");
	done_testing();
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/spec.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include <gantry/spec.h>

#include "base/str.h"

#define FILE_MAX (1u << 20) /* bytes of --spec and --env-file */

struct field {
	const char *key;
	enum gantry_field_kind kind;
	unsigned flags;
	const char *option;
};

#define FIELD(member, key, kind, flags, option, metavar, help)                                     \
	{key, GANTRY_FIELD_##kind, flags, option},
static const struct field fields[] = {GANTRY_SPEC_FIELDS(FIELD){NULL, 0, 0, NULL}};

#define IS(option, text) (__builtin_strcmp(option, text) == 0)
#define LETTER(option)                                                                             \
	(IS(option, "env")           ? 'e'                                                         \
	 : IS(option, "mount")       ? 'v'                                                         \
	 : IS(option, "publish")     ? 'p'                                                         \
	 : IS(option, "interactive") ? 'i'                                                         \
	 : IS(option, "tty")         ? 't'                                                         \
	 : IS(option, "label")       ? 'l'                                                         \
	 : IS(option, "memory")      ? 'm'                                                         \
	 : IS(option, "user")        ? 'u'                                                         \
	 : IS(option, "workdir")     ? 'w'                                                         \
				     : 0)
#define IS_LIST(kind)                                                                              \
	(kind == GANTRY_FIELD_STRINGS || kind == GANTRY_FIELD_PAIRS || kind == GANTRY_FIELD_ENV || \
	 kind == GANTRY_FIELD_MOUNTS || kind == GANTRY_FIELD_PORTS ||                              \
	 kind == GANTRY_FIELD_NETWORK_PORTS || kind == GANTRY_FIELD_DEVICES ||                     \
	 kind == GANTRY_FIELD_ULIMITS)
#define OPTION(member, key, kind, flags, option, metavar, help)                                    \
	{option, LETTER(option), metavar, help, IS_LIST(GANTRY_FIELD_##kind)},
const struct ctl_option spec_options[] = {GANTRY_SPEC_FIELDS(OPTION){NULL, 0, NULL, NULL, false}};

#define RESIZE_OPTION(member, key, kind, flags, option, metavar, help)                             \
	{(flags)&GANTRY_FIELD_RESIZE ? option : "", LETTER(option), metavar, help, false},
const struct ctl_option spec_resize_options[] = {
	GANTRY_SPEC_FIELDS(RESIZE_OPTION){NULL, 0, NULL, NULL, false}};

#define EXEC_OPTION(member, key, kind, flags, option, metavar, help)                               \
	{(flags)&GANTRY_FIELD_EXEC ? option : "", LETTER(option), metavar, help,                   \
	 IS_LIST(GANTRY_FIELD_##kind)},
const struct ctl_option spec_exec_options[] = {
	GANTRY_SPEC_FIELDS(EXEC_OPTION){NULL, 0, NULL, NULL, false}};

const struct ctl_option spec_more_options[] = {
	{"secret", 0, "NAME[=VALUE]", "secret environment variable; without a value, ours", true},
	{"env-file", 0, "FILE", "file of environment variables, one NAME=VALUE a line", true},
	{"health-interval", 0, "TIME", "time between two health checks", false},
	{"health-timeout", 0, "TIME", "time that a health check may take", false},
	{"health-start", 0, "TIME", "time after the start in which a failed check does not count",
	 false},
	{"health-retries", 0, "NUMBER", "failures in a row that make it unhealthy", false},
	{"log-driver", 0, "local|json-file", "form in which the engine keeps the log", false},
	{"log-files", 0, "NUMBER", "log files kept", false},
	{"spec", 0, "FILE", "JSON of a spec to begin with, \"-\" for standard input", false},
	{NULL, 0, NULL, NULL, false},
};

/* The field that an option of the spec's tables gives; NULL for any other option. */
static const struct field *find_field(const struct ctl_option *option)
{
	size_t count = sizeof(fields) / sizeof(fields[0]) - 1;

	if (option >= spec_options && option < spec_options + count)
		return &fields[option - spec_options];
	if (option >= spec_resize_options && option < spec_resize_options + count)
		return &fields[option - spec_resize_options];
	if (option >= spec_exec_options && option < spec_exec_options + count)
		return &fields[option - spec_exec_options];
	return NULL;
}

const char *spec_option(const char *field_path)
{
	size_t length = strcspn(field_path, ".[");

	for (const struct field *field = fields; field->key; field++)
		if (strlen(field->key) == length && memcmp(field->key, field_path, length) == 0)
			return field->option[0] ? field->option : NULL;
	return NULL;
}

/* A number where it is one as a whole, else the text: gantryd says what would be right. */
static struct json_object *number(const char *text, bool whole)
{
	char *end;

	if (!isdigit((unsigned char)text[0]) && text[0] != '-' && text[0] != '.')
		return json_object_new_string(text);
	errno = 0;
	if (whole) {
		long long value = strtoll(text, &end, 10);

		if (*end == '\0' && end != text && errno == 0)
			return json_object_new_int64(value);
	} else {
		double value = strtod(text, &end);

		if (*end == '\0' && end != text && errno == 0 && isfinite(value) &&
		    !strpbrk(text, "xX"))
			return json_object_new_double(value);
	}
	return json_object_new_string(text);
}

/* The member of that type; one of another type (from --spec) gives way. */
static struct json_object *member(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *value = json_get(object, key);

	if (!value || !json_object_is_type(value, type)) {
		value = type == json_type_array ? json_object_new_array()
						: json_object_new_object();
		json_object_object_add(object, key, value);
	}
	return value;
}

static int add_pair(struct json_object *spec, const struct field *field, const char *text,
		    struct gantry_error *err)
{
	const char *equals = strchr(text, '=');
	char *name;

	if (!equals || equals == text)
		return gantry_error_set(err, -EINVAL, "--%s wants NAME=VALUE, not \"%s\"",
					field->option, text);
	name = xasprintf("%.*s", (int)(equals - text), text);
	json_object_object_add(member(spec, field->key, json_type_object), name,
			       json_object_new_string(equals + 1));
	free(name);
	return 0;
}

/* Adds an entry, "NAME=VALUE" or an object, in place of an earlier one of that name. Takes entry. */
static void put_variable(struct json_object *spec, const char *name, struct json_object *entry)
{
	struct json_object *list = member(spec, "environment", json_type_array);
	size_t length = strlen(name);

	for (size_t i = json_object_array_length(list); i-- > 0;) {
		struct json_object *other = json_object_array_get_idx(list, i);
		const char *text = json_object_is_type(other, json_type_string)
					   ? json_object_get_string(other)
					   : json_get_string(other, "name", "");

		if (strncmp(text, name, length) == 0 && (text[length] == '=' || !text[length]))
			json_object_array_del_idx(list, i, 1);
	}
	json_object_array_add(list, entry);
}

/* NAME takes the value of our own environment, and nothing where there is none. */
static void add_environment(struct json_object *spec, const char *text)
{
	const char *equals = strchr(text, '=');
	char *name =
		xasprintf("%.*s", (int)(equals ? equals - text : (ptrdiff_t)strlen(text)), text);
	const char *value = equals ? equals + 1 : getenv(name);
	char *joined = xasprintf("%s=%s", name, value ? value : "");

	if (value)
		put_variable(spec, name, json_object_new_string(joined));
	free(joined);
	free(name);
}

static int add_secret(struct json_object *spec, const char *text, struct gantry_error *err)
{
	const char *equals = strchr(text, '=');
	char *name =
		xasprintf("%.*s", (int)(equals ? equals - text : (ptrdiff_t)strlen(text)), text);
	const char *value = equals ? equals + 1 : getenv(name);
	struct json_object *entry;

	if (!name[0] || !value) {
		int error = gantry_error_set(err, -EINVAL,
					     name[0] ? "--secret %s: it is not in the environment; "
						       "set it there, or give --secret NAME=VALUE"
						     : "--secret wants NAME=VALUE%s",
					     name);
		free(name);
		return error;
	}
	entry = json_object_new_object();
	json_add_string(entry, "name", name);
	json_add_string(entry, "value", value);
	json_add_bool(entry, "secret", true);
	put_variable(spec, name, entry);
	free(name);
	return 0;
}

/* The whole file; "-" is standard input. */
static int read_file(const char *option, const char *path, struct str *ret_text,
		     struct gantry_error *err)
{
	bool standard_input = strcmp(path, "-") == 0;
	FILE *file = standard_input ? stdin : fopen(path, "re");
	char buffer[16384];
	size_t length;
	int error = 0;

	if (!file)
		return gantry_error_set(err, -EINVAL, "--%s: cannot open %s: %s", option, path,
					strerror(errno));
	while ((length = fread(buffer, 1, sizeof(buffer), file)) > 0 &&
	       ret_text->length <= FILE_MAX)
		str_add_bytes(ret_text, buffer, length);
	if (ferror(file))
		error = gantry_error_set(err, -EINVAL, "--%s: cannot read %s: %s", option, path,
					 strerror(errno));
	else if (ret_text->length > FILE_MAX)
		error = gantry_error_set(err, -EINVAL, "--%s: %s is over 1 MiB", option, path);
	if (!standard_input)
		fclose(file);
	return error;
}

static int add_environment_file(struct json_object *spec, const char *path,
				struct gantry_error *err)
{
	struct str text = STR_INIT;
	int error = read_file("env-file", path, &text, err);
	char *rest = text.data, *line;

	while (error == 0 && (line = strsep(&rest, "\n"))) {
		size_t length = strlen(line);

		if (length && line[length - 1] == '\r')
			line[length - 1] = '\0';
		while (*line == ' ' || *line == '\t')
			line++;
		if (*line && *line != '#')
			add_environment(spec, line);
	}
	str_fini(&text);
	return error;
}

static int read_spec(const char *path, struct json_object **ret_spec, struct gantry_error *err)
{
	struct str text = STR_INIT;
	int error = read_file("spec", path, &text, err);

	if (error == 0) {
		error = json_parse(str_text(&text), text.length, ret_spec, err);
		if (error < 0)
			gantry_error_prefix(err, "--spec: %s", path);
	}
	if (error == 0 && !json_object_is_type(*ret_spec, json_type_object)) {
		error = gantry_error_set(err, -EINVAL, "--spec: %s must hold a JSON object, not %s",
					 path, json_type_text(*ret_spec));
		json_object_put(*ret_spec);
	}
	str_fini(&text);
	return error;
}

static int add_field(struct json_object *spec, const struct field *field, const char *value,
		     struct gantry_error *err)
{
	switch (field->kind) {
	case GANTRY_FIELD_BOOL:
		json_add_bool(spec, field->key, true);
		return 0;
	case GANTRY_FIELD_INT:
	case GANTRY_FIELD_CPUS:
		json_object_object_add(spec, field->key,
				       number(value, field->kind == GANTRY_FIELD_INT));
		return 0;
	case GANTRY_FIELD_PAIRS:
		return add_pair(spec, field, value, err);
	case GANTRY_FIELD_ENV:
		add_environment(spec, value);
		return 0;
	case GANTRY_FIELD_STRINGS:
	case GANTRY_FIELD_MOUNTS:
	case GANTRY_FIELD_PORTS:
	case GANTRY_FIELD_NETWORK_PORTS:
	case GANTRY_FIELD_DEVICES:
	case GANTRY_FIELD_ULIMITS:
		json_object_array_add(member(spec, field->key, json_type_array),
				      json_object_new_string(value));
		return 0;
	case GANTRY_FIELD_BLOCK_IO:
		json_object_object_add(member(spec, field->key, json_type_object), "weight",
				       number(value, true));
		return 0;
	case GANTRY_FIELD_LOG:
		json_add_string(member(spec, field->key, json_type_object), "size", value);
		return 0;
	case GANTRY_FIELD_STRING:
	case GANTRY_FIELD_SIZE:
	case GANTRY_FIELD_DURATION:
	case GANTRY_FIELD_HEALTH:
		json_add_string(spec, field->key, value);
		return 0;
	}
	return 0;
}

/* The health check as an object, whatever form it has until now. */
static struct json_object *health_check(struct json_object *spec)
{
	struct json_object *value = json_get(spec, "health_check");
	struct json_object *object, *test;

	if (json_object_is_type(value, json_type_object))
		return value;
	object = json_object_new_object();
	if (json_object_is_type(value, json_type_string)) {
		test = json_object_new_array();
		json_object_array_add(test, json_object_new_string("CMD-SHELL"));
		json_object_array_add(test, json_object_get(value));
		json_object_object_add(object, "test", test);
	}
	json_object_object_add(spec, "health_check", object);
	return object;
}

static int add_more(struct json_object *spec, const char *option, const char *value,
		    struct gantry_error *err)
{
	static const struct {
		const char *option, *field, *key;
		bool whole;
	} parts[] = {
		{"health-interval", "health_check", "interval", false},
		{"health-timeout", "health_check", "timeout", false},
		{"health-start", "health_check", "start_period", false},
		{"health-retries", "health_check", "retries", true},
		{"log-driver", "log", "driver", false},
		{"log-files", "log", "files", true},
	};

	if (strcmp(option, "secret") == 0)
		return add_secret(spec, value, err);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct json_object *object;

		if (strcmp(parts[i].option, option) != 0)
			continue;
		object = strcmp(parts[i].field, "log") == 0 ? member(spec, "log", json_type_object)
							    : health_check(spec);
		json_object_object_add(object, parts[i].key,
				       parts[i].whole ? number(value, true)
						      : json_object_new_string(value));
	}
	return 0;
}

/* A list given by options takes the place of the file's; later ones add to the first. */
static void drop_lists(struct json_object *spec, const struct args *args)
{
	for (size_t i = 0; i < args->count; i++) {
		const struct field *field = find_field(args->items[i].option);

		if (field && IS_LIST(field->kind) && field->kind != GANTRY_FIELD_PAIRS &&
		    field->kind != GANTRY_FIELD_ENV)
			json_object_object_del(spec, field->key);
	}
}

int spec_build(const struct args *args, const char *image, char *const *command,
	       size_t command_count, struct json_object **ret_spec, struct gantry_error *err)
{
	const char *file = args_text(args, "spec", NULL);
	struct json_object *spec = NULL, *list;
	int error = 0;

	if (file)
		error = read_spec(file, &spec, err);
	else
		spec = json_object_new_object();
	if (error < 0)
		return error;
	drop_lists(spec, args);
	/* Files first: what is given by hand wins. A part of the health check goes into the check. */
	for (size_t i = 0; i < args->count && error == 0; i++)
		if (strcmp(args->items[i].option->name, "env-file") == 0)
			error = add_environment_file(spec, args->items[i].value, err);
	for (size_t i = 0; i < args->count && error == 0; i++) {
		const struct field *field = find_field(args->items[i].option);

		if (field)
			error = add_field(spec, field, args->items[i].value, err);
	}
	for (size_t i = 0; i < args->count && error == 0; i++)
		if (!find_field(args->items[i].option) && args->items[i].value)
			error = add_more(spec, args->items[i].option->name, args->items[i].value,
					 err);
	if (image)
		json_add_string(spec, "image", image);
	if (command_count) {
		list = json_object_new_array();
		for (size_t i = 0; i < command_count; i++)
			json_object_array_add(list, json_object_new_string(command[i]));
		json_object_object_add(spec, "command", list);
	}
	if (error < 0)
		json_object_put(spec);
	else
		*ret_spec = spec;
	return error;
}

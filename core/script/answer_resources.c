/* SPDX-License-Identifier: Apache-2.0 */
/*
 * { memory = "64MiB", cpus = 0.5, pids = 100, log = { size = "10MiB" }, ulimits = { nofile = 1024 } }.
 * Values are written and checked as in a spec (model/spec.h reads them); false takes a limit away.
 */
#include "model/spec.h"
#include "script/answers.h"
#include "script/decision.h"
#include "script/facts.h"

#include <stddef.h>

/* What is one number or text in the spec, by its key in the answer. */
static const struct {
	const char *key;    /* in the answer and in records */
	const char *member; /* of an object in the answer, NULL */
	size_t offset;
	bool is_text;
} places[] = {
	{"memory", NULL, offsetof(struct gantry_spec, memory_bytes), false},
	{"memory_swap", NULL, offsetof(struct gantry_spec, memory_swap_bytes), false},
	{"cpus", NULL, offsetof(struct gantry_spec, nano_cpus), false},
	{"cpu_shares", NULL, offsetof(struct gantry_spec, cpu_shares), false},
	{"cpuset", NULL, offsetof(struct gantry_spec, cpuset), true},
	{"pids", NULL, offsetof(struct gantry_spec, pids), false},
	{"block_io_weight", NULL, offsetof(struct gantry_spec, block_io.weight), false},
	{"log", "driver", offsetof(struct gantry_spec, log.driver), true},
	{"log", "size", offsetof(struct gantry_spec, log.size_bytes), false},
	{"log", "files", offsetof(struct gantry_spec, log.files), false},
};

#define PLACES_COUNT (sizeof(places) / sizeof(places[0]))

struct taking {
	struct json_object *answer;
	const struct policy *policy;
	int line;
	struct arena *arena;
	struct gantry_spec *spec;      /* as it was */
	struct gantry_spec after;      /* a copy of spec's struct that changes are made to */
	const struct gantry_spec *got; /* the answer as a spec */
	struct script_decision *decision;
};

/* --- reading --------------------------------------------------------------------------------------- */

static bool is_false(struct json_object *value)
{
	return json_object_is_type(value, json_type_boolean) && !json_object_get_boolean(value);
}

/* ulimits = { nofile = 1024, nproc = { soft = 10, hard = 20 } } as the list that a spec has. */
static struct json_object *ulimits_as_list(struct json_object *value)
{
	struct json_object *list;

	if (!json_object_is_type(value, json_type_object))
		return json_object_get(value);
	list = json_object_new_array();
	json_object_object_foreach(value, name, limit)
	{
		struct json_object *object = json_object_new_object();

		json_add_string(object, "name", name);
		if (json_object_is_type(limit, json_type_object)) {
			json_object_object_foreach(limit, key, member)
				json_object_object_add(object, key, json_object_get(member));
		} else {
			json_object_object_add(object, "soft", json_object_get(limit));
			json_object_object_add(object, "hard", json_object_get(limit));
		}
		json_object_array_add(list, object);
	}
	return list;
}

static int check_keys(struct json_object *answer, struct gantry_error *err)
{
	const char *const *keys = facts_resource_keys(), *near;

	json_object_object_foreach(answer, key, value)
	{
		bool known = false;

		for (const char *const *row = keys; *row; row++)
			known |= str_equal(key, *row);
		(void)value;
		if (known)
			continue;
		near = str_nearest(key, keys);
		if (near)
			return gantry_error_field(err, -EINVAL, key,
						  "is no resource; did you mean \"%s\"?", near);
		return gantry_error_field(err, -EINVAL, key, "is no resource that can be set");
	}
	return 0;
}

/* A spec has names that a request has; the answer's block_io_weight is a member there. */
static void rename_field(struct gantry_error *err)
{
	if (err && strcmp(err->field, "block_io.weight") == 0)
		snprintf(err->field, sizeof(err->field), "block_io_weight");
}

static int parse(struct json_object *answer, struct arena *arena, struct gantry_spec *ret_spec,
		 struct gantry_error *err)
{
	struct json_object *spec = json_object_new_object(), *block_io;
	int code;

	json_add_string(spec, "image", "none"); /* a spec has one */
	json_object_object_foreach(answer, key, value)
	{
		if (is_false(value))
			continue;
		if (str_equal(key, "ulimits")) {
			json_object_object_add(spec, key, ulimits_as_list(value));
		} else if (str_equal(key, "block_io_weight")) {
			block_io = json_object_new_object();
			json_object_object_add(block_io, "weight", json_object_get(value));
			json_object_object_add(spec, "block_io", block_io);
		} else if (json_object_is_type(value, json_type_array) &&
			   json_object_array_length(value) == 0) {
			continue; /* log = {} */
		} else {
			json_object_object_add(spec, key, json_object_get(value));
		}
	}
	code = spec_parse(spec, arena, ret_spec, err);
	json_object_put(spec);
	if (code < 0)
		rename_field(err);
	return code;
}

/* --- taking ---------------------------------------------------------------------------------------- */

static void record(struct taking *taking, const char *subject, const char *answer,
		   const char *before, bool changes)
{
	const char *owner = decision_owner(taking->decision, HOOK_RESOURCES, subject);
	struct script_record *record =
		decision_add(taking->decision, taking->policy, HOOK_RESOURCES, "set");

	record->subject = arena_strdup(&taking->decision->arena, subject);
	record->answer = arena_strdup(&taking->decision->arena, answer);
	record->before = arena_strdup(&taking->decision->arena, before);
	record->line = taking->line;
	record->conflict = !taking->policy->shadow && owner &&
			   !str_equal(owner, taking->policy->name) && changes;
}

/* Takes one number or text over; whether it differs from what was there. */
static bool copy_place(struct taking *taking, size_t offset, bool is_text, bool clear)
{
	char *to = (char *)&taking->after + offset;
	const char *from = (const char *)taking->got + offset;
	bool changes;

	if (is_text) {
		const char *text = clear ? NULL : *(const char *const *)from;

		changes = !str_equal(*(const char **)to, text);
		*(const char **)to = text;
	} else {
		int64_t number = clear ? GANTRY_UNSET : *(const int64_t *)from;

		changes = *(int64_t *)to != number;
		*(int64_t *)to = number;
	}
	return changes;
}

/* What the spec had there, as JSON; false where it had nothing. */
static bool print_before(const struct taking *taking, size_t i, struct str *json)
{
	const char *place = (const char *)taking->spec + places[i].offset;
	int64_t number;

	if (places[i].is_text) {
		const char *text = *(const char *const *)(const void *)place;

		if (text)
			decision_add_text(json, text, false);
		return text != NULL;
	}
	number = *(const int64_t *)(const void *)place;
	if (number == GANTRY_UNSET)
		return false;
	if (str_equal(places[i].key, "cpus"))
		str_addf(json, "%.9g", (double)number / 1e9);
	else
		str_addf(json, "%lld", (long long)number);
	return true;
}

static void take_place(struct taking *taking, size_t i, bool only_record, bool *ret_changes)
{
	struct json_object *value = json_get(taking->answer, places[i].key), *member = value;
	struct str before = STR_INIT;
	char subject[64];
	bool had;

	if (value && places[i].member && !is_false(value))
		member = json_get(value, places[i].member);
	if (!member)
		return;
	if (!only_record) {
		*ret_changes =
			copy_place(taking, places[i].offset, places[i].is_text, is_false(value));
		return;
	}
	snprintf(subject, sizeof(subject), "%s%s%s", places[i].key, places[i].member ? "." : "",
		 places[i].member ? places[i].member : "");
	had = print_before(taking, i, &before);
	record(taking, subject, json_object_to_json_string_ext(member, JSON_C_TO_STRING_PLAIN),
	       had ? str_text(&before) : NULL, *ret_changes);
	str_fini(&before);
}

static struct gantry_ulimit *find_ulimit(const struct gantry_ulimits *ulimits, const char *name)
{
	for (size_t i = 0; i < ulimits->count; i++)
		if (str_equal(ulimits->items[i].name, name))
			return &ulimits->items[i];
	return NULL;
}

/* Process limits are set one by one; those that the answer does not name stay. */
static void take_ulimits(struct taking *taking, bool *changes)
{
	const struct gantry_ulimits *got = &taking->got->ulimits, *had = &taking->spec->ulimits;
	struct gantry_ulimits after = {.count = had->count};

	after.items = ARENA_ARRAY(taking->arena, struct gantry_ulimit, had->count + got->count + 1);
	if (had->count > 0)
		memcpy(after.items, had->items, had->count * sizeof(after.items[0]));
	for (size_t i = 0; i < got->count; i++) {
		struct gantry_ulimit *place = find_ulimit(&after, got->items[i].name);

		changes[i] = !place || place->soft != got->items[i].soft ||
			     place->hard != got->items[i].hard;
		if (!place)
			place = &after.items[after.count++];
		*place = got->items[i];
	}
	taking->after.ulimits = after;
}

static void print_ulimit(const struct gantry_ulimit *ulimit, char *text, size_t size)
{
	snprintf(text, size, "{\"soft\":%lld,\"hard\":%lld}", (long long)ulimit->soft,
		 (long long)ulimit->hard);
}

static void record_ulimits(struct taking *taking, const bool *changes)
{
	char subject[64], answer[80], before[80];

	for (size_t i = 0; i < taking->got->ulimits.count; i++) {
		const struct gantry_ulimit *ulimit = &taking->got->ulimits.items[i];
		const struct gantry_ulimit *had = find_ulimit(&taking->spec->ulimits, ulimit->name);

		if (had)
			print_ulimit(had, before, sizeof(before));
		snprintf(subject, sizeof(subject), "ulimits.%s", ulimit->name);
		print_ulimit(ulimit, answer, sizeof(answer));
		record(taking, subject, answer, had ? before : NULL, changes[i]);
	}
}

int answer_resources(struct json_object *answer, const struct policy *policy, int line,
		     struct arena *arena, struct gantry_spec *spec,
		     struct script_decision *decision, struct gantry_error *err)
{
	struct gantry_spec got;
	struct taking taking = {.answer = answer,
				.policy = policy,
				.line = line,
				.arena = arena,
				.spec = spec,
				.after = *spec,
				.got = &got,
				.decision = decision};
	bool changes[PLACES_COUNT] = {false}, *ulimit_changes;
	int code;

	if (json_object_is_type(answer, json_type_array)) {
		if (json_object_array_length(answer) == 0)
			return 0; /* {} */
		return gantry_error_set(
			err, -EINVAL,
			"the answer must be a table by name, as { memory = \"64MiB\" }, "
			"not a list");
	}
	code = check_keys(answer, err);
	if (code == 0)
		code = parse(answer, arena, &got, err);
	if (code < 0)
		return code;
	for (size_t i = 0; i < PLACES_COUNT; i++)
		take_place(&taking, i, false, &changes[i]);
	ulimit_changes = ARENA_ARRAY(arena, bool, got.ulimits.count + 1);
	if (is_false(json_get(answer, "ulimits")))
		taking.after.ulimits = (struct gantry_ulimits){0};
	else
		take_ulimits(&taking, ulimit_changes);
	code = spec_check_limits(taking.after.memory_bytes, taking.after.memory_swap_bytes, err);
	if (code < 0)
		return code;
	for (size_t i = 0; i < PLACES_COUNT; i++)
		take_place(&taking, i, true, &changes[i]);
	record_ulimits(&taking, ulimit_changes);
	if (is_false(json_get(answer, "ulimits")))
		record(&taking, "ulimits", "false", NULL, spec->ulimits.count > 0);
	if (!policy->shadow)
		*spec = taking.after;
	return 0;
}

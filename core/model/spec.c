/* SPDX-License-Identifier: Apache-2.0 */
/* The table of fields at run time, and what is done with a spec as a whole. */
#include "model/spec_shape.h"
#include "base/str.h"
#include "base/units.h"

#define ROW(member, key_, kind_, flags_, option_, metavar_, help_)                                 \
	{.key = key_,                                                                              \
	 .kind = GANTRY_FIELD_##kind_,                                                             \
	 .flags = flags_,                                                                          \
	 .offset = offsetof(struct gantry_spec, member),                                           \
	 .option = option_,                                                                        \
	 .metavar = metavar_,                                                                      \
	 .help = help_},
const struct spec_field spec_fields[] = {GANTRY_SPEC_FIELDS(ROW){.key = NULL}};

const struct spec_field *spec_field_find(const char *key)
{
	for (const struct spec_field *field = spec_fields; field->key; field++)
		if (str_equal(field->key, key))
			return field;
	return NULL;
}

void spec_init(struct gantry_spec *spec)
{
	*spec = (struct gantry_spec){0};
	for (const struct spec_field *field = spec_fields; field->key; field++) {
		const struct spec_shape *shape = spec_shape_of((int)field->kind);
		char *place = (char *)spec + field->offset;

		if (shape && !shape->is_list && shape->init)
			shape->init(place);
		else if (field->kind == GANTRY_FIELD_INT || field->kind == GANTRY_FIELD_SIZE ||
			 field->kind == GANTRY_FIELD_CPUS || field->kind == GANTRY_FIELD_DURATION)
			*(int64_t *)(void *)place = GANTRY_UNSET;
	}
}

/* --- copy: the struct was copied flat; what it points to follows --- */

static void copy_value(char *place, int kind, struct arena *arena);

static void copy_members(char *item, const struct spec_shape *shape, struct arena *arena)
{
	for (const struct spec_member *member = shape->members; member->key; member++)
		copy_value(item + member->offset, member->kind, arena);
}

static void copy_items(char *place, const struct spec_shape *shape, struct arena *arena)
{
	struct spec_list list;
	char *items;

	memcpy(&list, place, sizeof(list));
	if (list.count == 0)
		return;
	items = arena_alloc(arena, list.count * shape->item_size);
	memcpy(items, list.items, list.count * shape->item_size);
	for (size_t i = 0; i < list.count; i++)
		copy_members(items + i * shape->item_size, shape, arena);
	list.items = items;
	memcpy(place, &list, sizeof(list));
}

static void copy_strings(struct gantry_strings *strings, struct arena *arena)
{
	const char **from = strings->items;

	if (strings->count == 0)
		return;
	strings->items = ARENA_ARRAY(arena, const char *, strings->count);
	for (size_t i = 0; i < strings->count; i++)
		strings->items[i] = arena_strdup(arena, from[i]);
}

static void copy_pairs(struct gantry_pairs *pairs, struct arena *arena)
{
	struct gantry_pair *from = pairs->items;

	if (pairs->count == 0)
		return;
	pairs->items = ARENA_ARRAY(arena, struct gantry_pair, pairs->count);
	for (size_t i = 0; i < pairs->count; i++)
		pairs->items[i] = (struct gantry_pair){arena_strdup(arena, from[i].name),
						       arena_strdup(arena, from[i].value)};
}

static void copy_value(char *place, int kind, struct arena *arena)
{
	const struct spec_shape *shape = spec_shape_of(kind);

	if (shape && shape->is_list)
		copy_items(place, shape, arena);
	else if (shape)
		copy_members(place, shape, arena);
	else if (kind == GANTRY_FIELD_STRING)
		*(char **)(void *)place = arena_strdup(arena, *(char **)(void *)place);
	else if (kind == GANTRY_FIELD_STRINGS || kind == SPEC_MEMBER_TEST)
		copy_strings((void *)place, arena);
	else if (kind == GANTRY_FIELD_PAIRS)
		copy_pairs((void *)place, arena);
}

void spec_copy(const struct gantry_spec *from, struct arena *arena, struct gantry_spec *ret_spec)
{
	*ret_spec = *from;
	for (const struct spec_field *field = spec_fields; field->key; field++)
		copy_value((char *)ret_spec + field->offset, (int)field->kind, arena);
}

/* --- checks of more than one field --- */

int spec_check_limits(int64_t memory_bytes, int64_t memory_swap_bytes, struct gantry_error *err)
{
	char memory[32], swap[32];

	if (memory_bytes == GANTRY_UNSET || memory_swap_bytes == GANTRY_UNSET ||
	    memory_swap_bytes >= memory_bytes)
		return 0;
	units_format_size(memory_bytes, memory, sizeof(memory));
	units_format_size(memory_swap_bytes, swap, sizeof(swap));
	return gantry_error_field(
		err, -ERANGE, "memory_swap",
		"counts memory and swap together: must be at least memory (%s), not %s", memory,
		swap);
}

static int check_networks(const struct gantry_spec *spec, struct gantry_error *err)
{
	if (spec->network_ports.count == 0 || !spec->network || str_equal(spec->network, "none"))
		return 0;
	return gantry_error_field(
		err, -EINVAL, "network",
		"\"%s\" cannot be had beside network_ports; leave one of them out", spec->network);
}

int spec_check_complete(const struct gantry_spec *spec, struct gantry_error *err)
{
	int code;

	for (const struct spec_field *row = spec_fields; row->key; row++)
		if ((row->flags & GANTRY_FIELD_REQUIRED) && row->kind == GANTRY_FIELD_STRING &&
		    !*(const char *const *)(const void *)((const char *)spec + row->offset))
			return gantry_error_field(err, -EINVAL, row->key, "is required: %s",
						  row->help);
	if (spec->memory_swap_bytes != GANTRY_UNSET && spec->memory_bytes == GANTRY_UNSET)
		return gantry_error_field(
			err, -EINVAL, "memory_swap",
			"needs memory as well: it counts memory and swap together");
	code = check_networks(spec, err);
	if (code == 0)
		code = spec_check_values(&spec->environment, err);
	return code < 0 ? code
			: spec_check_limits(spec->memory_bytes, spec->memory_swap_bytes, err);
}

int spec_check_values(const struct gantry_envs *environment, struct gantry_error *err)
{
	char field[SPEC_FIELD_SIZE];

	for (size_t i = 0; i < environment->count; i++) {
		if (environment->items[i].value)
			continue;
		snprintf(field, sizeof(field), "environment[%zu].value", i);
		return gantry_error_field(err, -EINVAL, field, "is required: %.60s has no value",
					  environment->items[i].name);
	}
	return 0;
}

/* --- unsafe options --- */

static void count_unsafe(void *arg, const char *line)
{
	(void)line;
	++*(size_t *)arg;
}

struct unsafe_lines {
	struct arena *arena;
	struct gantry_strings *strings;
};

static void keep_unsafe(void *arg, const char *line)
{
	struct unsafe_lines *lines = arg;

	lines->strings->items[lines->strings->count++] = arena_strdup(lines->arena, line);
}

static bool is_safe_network(const char *network)
{
	return !network || str_equal(network, "bridge") || str_equal(network, "none") ||
	       str_equal(network, "default");
}

static void walk_unsafe(const struct gantry_spec *spec, void (*fn)(void *arg, const char *line),
			void *arg)
{
	struct str line = STR_INIT;

#define UNSAFE(...) (str_clear(&line), str_addf(&line, __VA_ARGS__), fn(arg, str_text(&line)))
	for (size_t i = 0; i < spec->mounts.count; i++)
		if (spec->mounts.items[i].type == GANTRY_MOUNT_BIND ||
		    spec->mounts.items[i].type == GANTRY_MOUNT_INSTANCE)
			UNSAFE("mounts: %s %s %s", spec_mount_types[spec->mounts.items[i].type],
			       spec->mounts.items[i].source,
			       spec->mounts.items[i].read_only ? "ro" : "rw");
	if (!is_safe_network(spec->network))
		UNSAFE("network: %s", spec->network);
	for (size_t i = 0; i < spec->network_ports.count; i++)
		UNSAFE("network_ports: %s", spec->network_ports.items[i].bridge);
	for (size_t i = 0; i < spec->cap_add.count; i++)
		UNSAFE("cap_add: %s", spec->cap_add.items[i]);
	for (size_t i = 0; i < spec->devices.count; i++)
		UNSAFE("devices: %s", spec->devices.items[i].host_path);
	for (size_t i = 0; i < spec->sysctls.count; i++)
		UNSAFE("sysctls: %s", spec->sysctls.items[i].name);
#undef UNSAFE
	str_fini(&line);
}

void spec_unsafe(const struct gantry_spec *spec, struct arena *arena, struct gantry_strings *ret)
{
	struct unsafe_lines lines = {arena, ret};
	size_t count = 0;

	walk_unsafe(spec, count_unsafe, &count);
	*ret = (struct gantry_strings){0};
	if (count == 0)
		return;
	ret->items = ARENA_ARRAY(arena, const char *, count);
	walk_unsafe(spec, keep_unsafe, &lines);
}

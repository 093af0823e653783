/* SPDX-License-Identifier: Apache-2.0 */
#include "script/value.h"
#include "base/str.h"

#include <math.h>
#include <stdlib.h>

#define DEPTH_MAX      16
#define TEXT_BYTES_MAX (4 << 20) /* of all texts: the same one may be in it many times */

struct walk {
	lua_State *L;
	struct gantry_error *err;
	char path[sizeof(((struct gantry_error *)0)->field)];
	size_t length; /* of path */
	int depth, count, count_max;
	size_t text_bytes;
};

static struct json_object *convert(struct walk *walk, int index);

__attribute__((format(printf, 2, 3))) static struct json_object *refuse(struct walk *walk,
									const char *format, ...)
{
	va_list args;

	va_start(args, format);
	gantry_error_setv(walk->err, -EINVAL, format, args);
	va_end(args);
	if (walk->err)
		snprintf(walk->err->field, sizeof(walk->err->field), "%s", walk->path);
	return NULL;
}

/* The entry on top, as member key or as entry number of a list. */
static struct json_object *convert_entry(struct walk *walk, const char *key, lua_Integer number)
{
	size_t before = walk->length;
	size_t room = sizeof(walk->path) - before;
	struct json_object *value;
	int added;

	if (key)
		added = snprintf(walk->path + before, room, "%s%s", before ? "." : "", key);
	else
		added = snprintf(walk->path + before, room, "[%lld]", (long long)number);
	walk->length += (size_t)added < room ? (size_t)added : room - 1;
	value = convert(walk, lua_gettop(walk->L));
	if (value) { /* on failure the path stays for the message */
		walk->length = before;
		walk->path[before] = '\0';
	}
	return value;
}

struct member {
	const char *key; /* borrowed from Lua */
	int index;       /* of the key on the stack */
};

static int compare_members(const void *left, const void *right)
{
	return strcmp(((const struct member *)left)->key, ((const struct member *)right)->key);
}

static struct json_object *convert_list(struct walk *walk, int index, lua_Integer size)
{
	struct json_object *list = json_object_new_array(), *value;

	for (lua_Integer i = 1; i <= size; i++) {
		lua_rawgeti(walk->L, index, i);
		value = convert_entry(walk, NULL, i);
		lua_pop(walk->L, 1);
		if (!value) {
			json_object_put(list);
			return NULL;
		}
		json_object_array_add(list, value);
	}
	return list;
}

/* In the order of the keys, also to find what is wrong: Lua's own order is by luck. */
static struct json_object *convert_members(struct walk *walk, int index, size_t size)
{
	struct json_object *object = NULL, *value;
	lua_State *L = walk->L;
	struct member *members;
	size_t count = 0, length;

	if (!lua_checkstack(L, (int)size + 8))
		return refuse(walk, "has more values than memory is left for");
	members = xcalloc(size, sizeof(*members));
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		members[count].key = lua_tolstring(L, -2, &length);
		if (strlen(members[count].key) != length) {
			refuse(walk, "has a key with a NUL byte");
			goto out;
		}
		lua_pushvalue(L, -2);
		lua_insert(L, -3); /* below what lua_next works on */
		members[count++].index = lua_gettop(L) - 2;
	}
	qsort(members, count, sizeof(*members), compare_members);
	object = json_object_new_object();
	for (size_t i = 0; i < count; i++) {
		lua_pushvalue(L, members[i].index);
		lua_rawget(L, index);
		value = convert_entry(walk, members[i].key, 0);
		lua_pop(L, 1);
		if (!value) {
			json_object_put(object);
			object = NULL;
			goto out;
		}
		json_object_object_add(object, members[i].key, value);
	}
	lua_pop(L, (int)count);
out: /* where it is refused, the stack is cleared in value_to_json */
	free(members);
	return object;
}

static bool is_in_list(lua_State *L, int index, lua_Integer size)
{
	return lua_isinteger(L, index) && lua_tointeger(L, index) >= 1 &&
	       lua_tointeger(L, index) <= size;
}

static struct json_object *convert_table(struct walk *walk, int index)
{
	lua_State *L = walk->L;
	lua_Integer size = (lua_Integer)lua_rawlen(L, index), numbers = 0;
	int wrong = LUA_TNONE; /* the least type of a key that is none */
	size_t count = 0;

	if (lua_getmetatable(L, index)) {
		lua_pop(L, 1);
		return refuse(walk, "must be a plain table, not one with a metatable");
	}
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		int type = lua_type(L, -2);

		if (++walk->count > walk->count_max) {
			lua_pop(L, 2);
			return refuse(walk, "has over %d values", walk->count_max);
		}
		if (is_in_list(L, -2, size))
			numbers++;
		else if (type == LUA_TSTRING)
			count++;
		else if (wrong == LUA_TNONE || type < wrong)
			wrong = type;
	}
	if (wrong != LUA_TNONE)
		return refuse(walk, "has a key that is a %s value%s", lua_typename(L, wrong),
			      wrong == LUA_TNUMBER ? ": a list must go from 1 on without holes"
						   : "");
	if (count == 0)
		return numbers == size ? convert_list(walk, index, size)
				       : refuse(walk, "is a list with holes");
	if (numbers > 0)
		return refuse(walk, "mixes a list with named values");
	return convert_members(walk, index, count);
}

static struct json_object *convert(struct walk *walk, int index)
{
	struct json_object *value;
	lua_State *L = walk->L;
	const char *text;
	size_t length;

	switch (lua_type(L, index)) {
	case LUA_TBOOLEAN:
		return json_object_new_boolean(lua_toboolean(L, index));
	case LUA_TNUMBER:
		if (lua_isinteger(L, index))
			return json_object_new_int64(lua_tointeger(L, index));
		if (!isfinite(lua_tonumber(L, index)))
			return refuse(walk, "must be a finite number");
		return json_object_new_double(lua_tonumber(L, index));
	case LUA_TSTRING:
		text = lua_tolstring(L, index, &length);
		if (strlen(text) != length)
			return refuse(walk, "has a NUL byte in it");
		walk->text_bytes += length;
		if (walk->text_bytes > TEXT_BYTES_MAX)
			return refuse(walk, "has over %d MiB of text", TEXT_BYTES_MAX >> 20);
		return json_object_new_string_len(text, (int)length);
	case LUA_TTABLE:
		if (++walk->depth > DEPTH_MAX || !lua_checkstack(L, 8))
			return refuse(walk, "is nested deeper than %d levels; does it hold itself?",
				      DEPTH_MAX);
		value = convert_table(walk, index);
		walk->depth--;
		return value;
	case LUA_TUSERDATA:
		return refuse(walk, "must be a plain value, not a fact");
	}
	return refuse(walk, "must be plain data, not a %s", luaL_typename(L, index));
}

int value_to_json(lua_State *L, int index, const char *name, int values_max,
		  struct json_object **ret_value, struct gantry_error *err)
{
	struct walk walk = {.L = L, .err = err, .count_max = values_max};
	int top = lua_gettop(L);
	struct json_object *value;

	snprintf(walk.path, sizeof(walk.path), "%s", name);
	walk.length = strlen(walk.path);
	if (!lua_checkstack(L, 8))
		return gantry_error_set(err, -ENOMEM, "out of memory");
	value = convert(&walk, lua_absindex(L, index));
	lua_settop(L, top);
	if (!value)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

void value_push_json(lua_State *L, struct json_object *value)
{
	luaL_checkstack(L, 4, "JSON");
	sandbox_charge(L, 2);
	switch (json_object_get_type(value)) {
	case json_type_null:
		lua_pushnil(L);
		return;
	case json_type_boolean:
		lua_pushboolean(L, json_object_get_boolean(value));
		return;
	case json_type_int:
		lua_pushinteger(L, json_object_get_int64(value));
		return;
	case json_type_double:
		lua_pushnumber(L, json_object_get_double(value));
		return;
	case json_type_string:
		lua_pushlstring(L, json_object_get_string(value),
				(size_t)json_object_get_string_len(value));
		return;
	case json_type_array:
		lua_createtable(L, (int)json_object_array_length(value), 0);
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			value_push_json(L, json_object_array_get_idx(value, i));
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		}
		return;
	case json_type_object:
		lua_createtable(L, 0, json_object_object_length(value));
		json_object_object_foreach(value, key, member)
		{
			value_push_json(L, member);
			lua_setfield(L, -2, key);
		}
		return;
	}
}

const char *value_error_text(const struct gantry_error *err, char *text, size_t size)
{
	if (!err->field[0])
		return err->text;
	snprintf(text, size, "%s: %s", err->field, err->text);
	return text;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "script/copies.h"
#include "script/exposed.h"
#include "script/fields.h"

/* The userdata; its user value is a table of the fields that are given. */
struct copy {
	enum fact_kind kind;
};
_Static_assert(sizeof(struct copy) < sizeof(uint64_t), "its size tells it from a fact");

static const char metatable_key;

static void push_pairs(lua_State *L, const struct gantry_pairs *pairs)
{
	lua_createtable(L, 0, (int)pairs->count);
	for (size_t i = 0; i < pairs->count; i++) {
		lua_pushstring(L, pairs->items[i].value);
		lua_setfield(L, -2, pairs->items[i].name);
	}
	sandbox_charge(L, (int64_t)pairs->count);
}

/* A map that is kept by reference in a fact is a table of its own in a copy. */
static void push_field(lua_State *L, const struct field *field, const void *data)
{
	if (field->value == GANTRY_FIELD_PAIRS)
		push_pairs(L, (const struct gantry_pairs *)((const char *)data + field->offset));
	else
		facts_push_field(L, field, data);
}

void copies_push(lua_State *L, enum fact_kind kind, const void *data)
{
	struct copy *copy;

	luaL_checkstack(L, 10, "a copy of facts");
	sandbox_charge(L, 30);
	copy = lua_newuserdatauv(L, sizeof(*copy), 1);
	copy->kind = kind;
	lua_newtable(L);
	for (int row = 0; row < fact_fields_count; row++) {
		if (fact_fields[row].kind != kind)
			continue;
		push_field(L, &fact_fields[row], data);
		lua_setfield(L, -2, fact_fields[row].key);
	}
	lua_setiuservalue(L, -2, 1);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
	lua_setmetatable(L, -2);
}

/* Only a script that has a copy reaches its metatable's functions, and always with that copy. */
static int on_index(lua_State *L)
{
	const struct copy *copy = lua_touserdata(L, 1);

	lua_getiuservalue(L, 1, 1);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) == LUA_TNIL)
		facts_check_field(L, copy->kind, 2);
	return 1;
}

static int on_newindex(lua_State *L)
{
	return luaL_error(L, "facts are read-only");
}

static int on_pairs(lua_State *L)
{
	lua_settop(L, 1);
	lua_getiuservalue(L, 1, 1);
	lua_replace(L, 1);
	return base_pairs(L);
}

void copies_install(lua_State *L)
{
	static const luaL_Reg functions[] = {{"__index", on_index},
					     {"__newindex", on_newindex},
					     {"__pairs", on_pairs},
					     {NULL, NULL}};

	facts_new_metatable(L, functions);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

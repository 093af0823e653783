/* SPDX-License-Identifier: Apache-2.0 */
/* Globals that are ours: protected calls, metatables, iteration in a fixed order, text, print. */
#include "script/exposed.h"
#include "base/log.h"

#include <stdlib.h>

/* --- protected calls --------------------------------------------------------------------------- */

/* Where a protected call of the script ends, also after a yield; below is what pcall was given. */
static int protected_end(lua_State *L, int status, lua_KContext below)
{
	if (sandbox_of(L)->killed)
		sandbox_raise(L);
	if (status != LUA_OK && status != LUA_YIELD) {
		lua_pushboolean(L, false);
		lua_insert(L, -2);
		return 2;
	}
	return lua_gettop(L) - (int)below;
}

int base_pcall(lua_State *L)
{
	int status;

	luaL_checkany(L, 1);
	sandbox_charge(L, 2);
	lua_pushboolean(L, true);
	lua_insert(L, 1);
	status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, protected_end);
	return protected_end(L, status, 0);
}

/* What Lua sees as the handler: a killed script's own is not called any more. */
static int handle_error(lua_State *L)
{
	if (sandbox_of(L)->killed)
		return 1;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 1, 1);
	return 1;
}

int base_xpcall(lua_State *L)
{
	int status, count = lua_gettop(L);

	luaL_checktype(L, 2, LUA_TFUNCTION);
	sandbox_charge(L, 3);
	lua_pushvalue(L, 2);
	lua_pushcclosure(L, handle_error, 1);
	lua_replace(L, 2);
	lua_pushboolean(L, true);
	lua_pushvalue(L, 1);
	lua_rotate(L, 3, 2); /* function, handler, true, function, arguments */
	status = lua_pcallk(L, count - 2, LUA_MULTRET, 2, 2, protected_end);
	return protected_end(L, status, 2);
}

/* --- metatables ---------------------------------------------------------------------------------- */

static const char original_key; /* in the copy: the table that the script gave */

static const char *const events[] = {
	"__add",   "__sub",      "__mul",      "__div",       "__mod",  "__pow",   "__unm",
	"__idiv",  "__band",     "__bor",      "__bxor",      "__shl",  "__shr",   "__bnot",
	"__len",   "__eq",       "__lt",       "__le",        "__call", "__close", "__concat",
	"__index", "__newindex", "__tostring", "__metatable", "__name", "__pairs", NULL,
};

static void refuse_event(lua_State *L, const char *event, const char *why)
{
	lua_pushstring(L, event);
	if (lua_rawget(L, 2) != LUA_TNIL)
		luaL_error(L, "a metatable with %s is refused: %s", event, why);
	lua_pop(L, 1);
}

/*
 * Lua gets a copy, since it reads some fields much later (__gc, __mode), when nobody could say no any
 * more. getmetatable finds the table that was given.
 */
int base_setmetatable(lua_State *L)
{
	int type = lua_type(L, 2);

	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
	lua_settop(L, 2);
	if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
		return luaL_error(L, "cannot change a protected metatable");
	sandbox_charge(L, 10);
	if (type == LUA_TTABLE) {
		refuse_event(L, "__gc", "finalizers would run outside of the budget");
		refuse_event(L, "__mode", "weak tables would be cleared outside of the budget");
		lua_createtable(L, 0, 4);
		for (const char *const *event = events; *event; event++) {
			lua_pushstring(L, *event);
			lua_pushvalue(L, -1);
			if (lua_rawget(L, 2) != LUA_TNIL)
				lua_rawset(L, 3);
			else
				lua_pop(L, 2);
		}
		lua_pushvalue(L, 2);
		lua_rawsetp(L, 3, &original_key);
	}
	lua_setmetatable(L, 1);
	lua_settop(L, 1);
	return 1;
}

int base_getmetatable(lua_State *L)
{
	luaL_checkany(L, 1);
	if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
		return 1;
	if (!lua_getmetatable(L, 1)) {
		lua_pushnil(L);
		return 1;
	}
	lua_rawgetp(L, -1, &original_key);
	return 1;
}

int base_rawset(lua_State *L)
{
	luaL_checkany(L, 2);
	luaL_checkany(L, 3);
	exposed_check_writable(L, 1);
	lua_settop(L, 3);
	lua_rawset(L, 1);
	return 1;
}

/* --- pairs ----------------------------------------------------------------------------------------- */

/*
 * Lua's own order of keys differs from run to run (it depends on a seed and on addresses), and a
 * decision must not: numbers first, then strings by their bytes, then the rest as Lua has it.
 */
struct sort_key {
	enum { KEY_NUMBER, KEY_STRING, KEY_OTHER } group;
	int index; /* in the table of keys */
	size_t length;
	const char *text; /* borrowed from the table of keys */
	lua_Number number;
	lua_Integer integer;
};

static int compare_keys(const void *left, const void *right)
{
	const struct sort_key *a = left, *b = right;
	int order = 0;

	if (a->group != b->group)
		return a->group < b->group ? -1 : 1;
	if (a->group == KEY_NUMBER) {
		if (a->number != b->number)
			return a->number < b->number ? -1 : 1;
		order = a->integer < b->integer ? -1 : a->integer > b->integer;
	} else if (a->group == KEY_STRING) {
		order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
		if (order == 0)
			order = a->length < b->length ? -1 : a->length > b->length;
	}
	return order ? order : (a->index < b->index ? -1 : a->index > b->index);
}

static void read_key(lua_State *L, struct sort_key *key, int index)
{
	key->index = index;
	key->group = KEY_OTHER;
	if (lua_type(L, -1) == LUA_TNUMBER) {
		key->group = KEY_NUMBER;
		key->number = lua_tonumber(L, -1);
		key->integer = lua_tointeger(L, -1);
	} else if (lua_type(L, -1) == LUA_TSTRING) {
		key->group = KEY_STRING;
		key->text = lua_tolstring(L, -1, &key->length);
	}
}

/* Upvalues: the table, its keys in order, the position. A key that is gone meanwhile is left out. */
static int next_in_order(lua_State *L)
{
	lua_Integer position = lua_tointeger(L, lua_upvalueindex(3));

	sandbox_charge(L, 1);
	lua_settop(L, 0);
	while (lua_rawgeti(L, lua_upvalueindex(2), ++position) != LUA_TNIL) {
		lua_pushvalue(L, -1);
		if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) {
			lua_pushinteger(L, position);
			lua_replace(L, lua_upvalueindex(3));
			return 2;
		}
		lua_pop(L, 2);
	}
	return 1;
}

static int pairs_of_metafield(lua_State *L, int status, lua_KContext context)
{
	(void)L;
	(void)status;
	(void)context;
	return 3;
}

int base_pairs(lua_State *L)
{
	struct sort_key few[16], *keys = few;
	int64_t work = 0;
	int count = 0;

	luaL_checkany(L, 1);
	lua_settop(L, 1);
	if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
		lua_pushvalue(L, 1);
		lua_callk(L, 1, 3, 0, pairs_of_metafield);
		return 3;
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_newtable(L); /* 2: keys as they come */
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		lua_pop(L, 1);
		if (lua_type(L, -1) == LUA_TSTRING)
			work += (int64_t)lua_rawlen(L, -1) / 64;
		lua_pushvalue(L, -1);
		lua_rawseti(L, 2, ++count);
		if (count % 64 == 0)
			sandbox_charge(L, 64);
	}
	for (int left = count; left > 0; left /= 2)
		work += count;
	sandbox_charge(L, work);
	if (count > 16)
		keys = lua_newuserdatauv(L, sizeof(*keys) * (size_t)count, 0);
	for (int i = 0; i < count; i++) {
		lua_rawgeti(L, 2, i + 1);
		read_key(L, &keys[i], i + 1);
		lua_pop(L, 1);
	}
	qsort(keys, (size_t)count, sizeof(*keys), compare_keys);
	lua_pushvalue(L, 1);
	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		lua_rawgeti(L, 2, keys[i].index);
		lua_rawseti(L, -2, i + 1);
	}
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, next_in_order, 3);
	lua_pushvalue(L, 1);
	lua_pushnil(L);
	return 3;
}

/* --- text ------------------------------------------------------------------------------------------ */

const char *exposed_text(lua_State *L, int index, size_t *ret_length)
{
	int type;

	index = lua_absindex(L, index);
	if (luaL_callmeta(L, index, "__tostring")) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "'__tostring' must return a string");
		return lua_tolstring(L, -1, ret_length);
	}
	switch (lua_type(L, index)) {
	case LUA_TNIL:
	case LUA_TBOOLEAN:
	case LUA_TNUMBER:
	case LUA_TSTRING:
		return luaL_tolstring(L, index, ret_length);
	}
	type = luaL_getmetafield(L, index, "__name");
	if (type != LUA_TSTRING && type != LUA_TNIL)
		lua_pop(L, 1);
	if (type != LUA_TSTRING)
		lua_pushstring(
			L, luaL_typename(L, index)); /* an address would differ from run to run */
	return lua_tolstring(L, -1, ret_length);
}

int base_tostring(lua_State *L)
{
	luaL_checkany(L, 1);
	exposed_text(L, 1, NULL);
	return 1;
}

int base_print(lua_State *L)
{
	struct sandbox *sandbox = sandbox_of(L);
	char line[400];
	size_t used = 0, length;
	int count = lua_gettop(L);

	sandbox_charge(L, 50);
	for (int i = 1; i <= count && used < sizeof(line) - 1; i++) {
		const char *text = exposed_text(L, i, &length);

		if (i > 1)
			line[used++] = ' ';
		for (size_t k = 0; k < length && used < sizeof(line) - 1; k++)
			line[used++] = (unsigned char)text[k] < ' ' ? ' ' : text[k];
		lua_pop(L, 1);
	}
	line[used] = '\0';
	if (sandbox->print_count++ < SANDBOX_PRINT_LINES)
		log_info("%s: %s", sandbox->name, line);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table library, on raw tables: lengths are raw, elements are read and written without
 * metamethods, so that no script can lie about how much there is to do. concat and unpack also take
 * a list of facts.
 */
#include "script/exposed.h"
#include "script/facts.h"

#define ELEMENTS_MAX 65536
#define RESULTS_MAX  4096

/* Charges in steps, so that a long run of moves looks at the clock now and then. */
static void work(lua_State *L, lua_Integer i)
{
	if (i % 64 == 0)
		sandbox_charge(L, 64);
}

static lua_Integer length_of(lua_State *L, int index)
{
	if (facts_is_list(L, index))
		return facts_length(L, index);
	luaL_checktype(L, index, LUA_TTABLE);
	return (lua_Integer)lua_rawlen(L, index);
}

static int push_element(lua_State *L, int index, lua_Integer i)
{
	if (lua_type(L, index) == LUA_TUSERDATA)
		return lua_geti(L, index, i);
	return lua_rawgeti(L, index, i);
}

/* Raises unless last - first + 1 elements are within the bound; the count, 0 for an empty range. */
static lua_Integer check_range(lua_State *L, const char *name, lua_Integer first, lua_Integer last,
			       lua_Integer bound)
{
	if (first > last)
		return 0;
	if ((lua_Unsigned)last - (lua_Unsigned)first >= (lua_Unsigned)bound)
		luaL_error(L, "table.%s over more than %I elements", name, (LUAI_UACINT)bound);
	return last - first + 1;
}

int table_concat(lua_State *L)
{
	size_t separator_length, length, total = 0;
	lua_Integer size = length_of(L, 1), first = luaL_optinteger(L, 3, 1);
	lua_Integer last = luaL_optinteger(L, 4, size);
	const char *separator = luaL_optlstring(L, 2, "", &separator_length);
	lua_Integer count = check_range(L, "concat", first, last, ELEMENTS_MAX);
	luaL_Buffer buffer;

	lua_settop(L, 4);
	luaL_buffinit(L, &buffer);
	for (lua_Integer i = 0; i < count; i++) {
		work(L, i + 1);
		push_element(L, 1, first + i);
		if (!lua_isstring(L, -1))
			return luaL_error(L, "element %I is a %s value, not text or a number",
					  (LUAI_UACINT)(first + i), luaL_typename(L, -1));
		lua_tolstring(L, -1, &length);
		total += length + separator_length;
		if (total > SANDBOX_STRING_BYTES + separator_length)
			return luaL_error(L, "table.concat would make a string of over %d bytes",
					  SANDBOX_STRING_BYTES);
		luaL_addvalue(&buffer);
		if (i + 1 < count)
			luaL_addlstring(&buffer, separator, separator_length);
	}
	luaL_pushresult(&buffer);
	sandbox_charge(L, (int64_t)total / 16);
	return 1;
}

int table_insert(lua_State *L)
{
	lua_Integer size, position;

	exposed_check_writable(L, 1);
	size = length_of(L, 1);
	switch (lua_gettop(L)) {
	case 2:
		lua_rawseti(L, 1, size + 1);
		return 0;
	case 3:
		position = luaL_checkinteger(L, 2);
		luaL_argcheck(L, (lua_Unsigned)position - 1u < (lua_Unsigned)size + 1u, 2,
			      "position out of bounds");
		check_range(L, "insert", position, size, ELEMENTS_MAX);
		for (lua_Integer i = size; i >= position; i--) {
			work(L, i);
			lua_rawgeti(L, 1, i);
			lua_rawseti(L, 1, i + 1);
		}
		lua_rawseti(L, 1, position);
		return 0;
	}
	return luaL_error(L, "wrong number of arguments to 'insert'");
}

int table_remove(lua_State *L)
{
	lua_Integer size, position;

	exposed_check_writable(L, 1);
	size = length_of(L, 1);
	position = luaL_optinteger(L, 2, size);
	if (lua_gettop(L) >= 2)
		luaL_argcheck(L, (lua_Unsigned)position - 1u <= (lua_Unsigned)size, 2,
			      "position out of bounds");
	check_range(L, "remove", position, size, ELEMENTS_MAX);
	lua_rawgeti(L, 1, position);
	for (; position < size; position++) {
		work(L, position);
		lua_rawgeti(L, 1, position + 1);
		lua_rawseti(L, 1, position);
	}
	lua_pushnil(L);
	lua_rawseti(L, 1, position);
	return 1;
}

int table_move(lua_State *L)
{
	lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
	lua_Integer to = luaL_checkinteger(L, 4), count;
	int target = lua_isnoneornil(L, 5) ? 1 : 5;

	luaL_checktype(L, 1, LUA_TTABLE);
	exposed_check_writable(L, target);
	count = check_range(L, "move", first, last, ELEMENTS_MAX);
	luaL_argcheck(L, count == 0 || to <= LUA_MAXINTEGER - count + 1, 4,
		      "destination wrap around");
	if (to > last || to <= first || !lua_rawequal(L, 1, target)) {
		for (lua_Integer i = 0; i < count; i++) {
			work(L, i + 1);
			lua_rawgeti(L, 1, first + i);
			lua_rawseti(L, target, to + i);
		}
	} else { /* the ranges overlap: from the end */
		for (lua_Integer i = count - 1; i >= 0; i--) {
			work(L, i);
			lua_rawgeti(L, 1, first + i);
			lua_rawseti(L, target, to + i);
		}
	}
	lua_pushvalue(L, target);
	return 1;
}

int table_unpack(lua_State *L)
{
	lua_Integer size = length_of(L, 1), first = luaL_optinteger(L, 2, 1);
	lua_Integer last = luaL_optinteger(L, 3, size);
	lua_Integer count = check_range(L, "unpack", first, last, RESULTS_MAX);

	sandbox_charge(L, count / 4);
	luaL_checkstack(L, (int)count, "too many results to unpack");
	for (lua_Integer i = 0; i < count; i++)
		push_element(L, 1, first + i);
	return (int)count;
}

/* --- sort: a heap sort, so that n log n holds whatever the comparison answers ---------------------- */

/* Whether the value at a comes before the one at b (stack indexes). */
static bool before(lua_State *L, int a, int b)
{
	bool answer;

	if (lua_isnil(L, 2)) {
		if (lua_type(L, a) == LUA_TSTRING)
			sandbox_charge(L, 2 + (int64_t)lua_rawlen(L, a) / 64);
		else
			sandbox_charge(L, 2);
		return lua_compare(L, a, b, LUA_OPLT);
	}
	sandbox_charge(L, 2);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, a);
	lua_pushvalue(L, b);
	lua_call(L, 2, 1);
	answer = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return answer;
}

/* Lets the value on top sink from the place into the heap of size elements; pops it. */
static void sink(lua_State *L, lua_Integer place, lua_Integer size)
{
	int value = lua_gettop(L);

	for (;;) {
		lua_Integer child = 2 * place;

		if (child > size)
			break;
		lua_rawgeti(L, 1, child);
		if (child < size) {
			lua_rawgeti(L, 1, child + 1);
			if (before(L, value + 1, value + 2)) {
				child++;
				lua_remove(L, value + 1);
			} else {
				lua_pop(L, 1);
			}
		}
		if (!before(L, value, value + 1)) {
			lua_pop(L, 1);
			break;
		}
		lua_rawseti(L, 1, place);
		/* The table holds the value somewhere at any time: an error in `before` loses none. */
		lua_pushvalue(L, value);
		lua_rawseti(L, 1, child);
		place = child;
	}
	lua_rawseti(L, 1, place);
}

int table_sort(lua_State *L)
{
	lua_Integer size;

	exposed_check_writable(L, 1);
	size = length_of(L, 1);
	if (!lua_isnoneornil(L, 2))
		luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	if (size > ELEMENTS_MAX)
		return luaL_error(L, "table.sort over more than %d elements", ELEMENTS_MAX);
	for (lua_Integer place = size / 2; place >= 1; place--) {
		lua_rawgeti(L, 1, place);
		sink(L, place, size);
	}
	for (lua_Integer last = size; last > 1; last--) {
		lua_rawgeti(L, 1, last);
		lua_rawgeti(L, 1, 1);
		lua_rawseti(L, 1, last);
		lua_pushvalue(L, -1);
		lua_rawseti(L, 1, 1);
		sink(L, 1, last - 1);
	}
	return 0;
}

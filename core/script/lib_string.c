/* SPDX-License-Identifier: Apache-2.0 */
/* Functions on strings that need a bound before Lua's own may run. Patterns are in pattern.c. */
#include "script/exposed.h"

#define FORMAT_BYTES_MAX 2048
#define PACK_BYTES_MAX   256

int string_rep(lua_State *L)
{
	size_t length, separator;
	lua_Integer count = luaL_checkinteger(L, 2), total;

	luaL_checklstring(L, 1, &length);
	luaL_optlstring(L, 3, "", &separator);
	if (count <= 0 || length + separator == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	if (count > SANDBOX_STRING_BYTES ||
	    (total = (lua_Integer)(length + separator) * count) > SANDBOX_STRING_BYTES)
		return luaL_error(L, "string.rep would make a string of over %d bytes",
				  SANDBOX_STRING_BYTES);
	sandbox_charge(L, total / 16 + count / 8);
	return sandbox_of(L)->functions[lua_tointeger(L, lua_upvalueindex(1))](L);
}

/*
 * Tables, functions and the like are turned into text here, since Lua's own would show addresses,
 * which differ from run to run.
 */
int string_format(lua_State *L)
{
	size_t length;
	const char *format = luaL_checklstring(L, 1, &length), *end = format + length;
	int argument = 1, count = lua_gettop(L);
	int64_t amount = (int64_t)length;

	if (length > FORMAT_BYTES_MAX)
		return luaL_error(L, "a format of over %d bytes", FORMAT_BYTES_MAX);
	for (const char *at = format; at < end; at++) {
		if (*at != '%')
			continue;
		if (++at < end && *at == '%')
			continue;
		argument++;
		while (at < end && strchr("-+ #0123456789.", *at) && *at)
			at++;
		if (at >= end)
			break;
		if (*at == 'p')
			return luaL_error(L, "%%p is refused: addresses differ from run to run");
		if (*at == 's' && argument <= count) {
			exposed_text(L, argument, NULL);
			lua_replace(L, argument);
		}
		if (argument <= count && lua_type(L, argument) == LUA_TSTRING)
			amount += (int64_t)lua_rawlen(L, argument) / 4;
	}
	sandbox_charge(L, amount);
	return sandbox_of(L)->functions[lua_tointeger(L, lua_upvalueindex(1))](L);
}

/* pack, packsize and unpack: their work is bounded by format, arguments and result. */
int string_pack(lua_State *L)
{
	size_t length;

	luaL_checklstring(L, 1, &length);
	if (length > PACK_BYTES_MAX)
		return luaL_error(L, "a format of over %d bytes", PACK_BYTES_MAX);
	return exposed_charged(L);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "script/exposed.h"
#include "base/str.h"

#define CHARGED  exposed_charged
#define CONSTANT "constant"
#define LINEAR   "n, charged"
#define CALLS    "constant, and what it calls"

/* "n" is the length of the arguments; one string is SANDBOX_STRING_BYTES at the most. */
const struct exposed exposed[] = {
	{"", "assert", NULL, CONSTANT,
	 "raises its second argument where the first is false or nil"},
	{"", "error", NULL, CONSTANT, "raises an error; the policy's on_error rule is applied"},
	{"", "getmetatable", base_getmetatable, CONSTANT, "the metatable as given to setmetatable"},
	{"", "ipairs", NULL, CONSTANT, "iterates over 1, 2, … of a table or a list of facts"},
	{"", "next", NULL, "one scan over a table's slots, at most 2 MiB of them",
	 "the next key and value, in no order; next(t) == nil tells an empty table"},
	{"", "pairs", base_pairs, "n log n, charged; 40,000 keys",
	 "iterates over all keys in a fixed order: numbers, then strings, then the rest"},
	{"", "pcall", base_pcall, CALLS, "calls and catches errors, but not the end of the budget"},
	{"", "print", base_print, "20 lines a call, 400 bytes a line",
	 "writes a line to gantryd's log"},
	{"", "rawequal", NULL, LINEAR, "equality without metamethods"},
	{"", "rawget", NULL, CONSTANT, "reads a table without metamethods"},
	{"", "rawlen", NULL, "log n", "length without metamethods"},
	{"", "rawset", base_rawset, CONSTANT, "writes a table of your own without metamethods"},
	{"", "select", NULL, "the number of arguments",
	 "arguments from the n-th on, or their number"},
	{"", "setmetatable", base_setmetatable, CONSTANT,
	 "sets a metatable; its fields are read now, and __gc and __mode are refused"},
	{"", "tonumber", NULL, "n", "a number from text"},
	{"", "tostring", base_tostring, CALLS, "text from a value, without addresses"},
	{"", "type", NULL, CONSTANT, "the name of a value's type"},
	{"", "xpcall", base_xpcall, CALLS, "pcall with a handler of errors"},

	{"coroutine", "close", coroutine_close, CALLS ", 16 deep", "ends a suspended coroutine"},
	{"coroutine", "create", coroutine_create, CONSTANT ", charged", "makes a coroutine"},
	{"coroutine", "isyieldable", NULL, CONSTANT, "whether yield would work here"},
	{"coroutine", "resume", coroutine_resume, CALLS, "goes on with a coroutine"},
	{"coroutine", "running", NULL, CONSTANT, "the coroutine that runs"},
	{"coroutine", "status", NULL, CONSTANT, "state of a coroutine"},
	{"coroutine", "wrap", coroutine_wrap, CONSTANT ", charged", "a coroutine as a function"},
	{"coroutine", "yield", coroutine_yield, "the number of arguments",
	 "leaves a coroutine for now; not the hook itself"},

	{"math", "abs", NULL, CONSTANT, "absolute value"},
	{"math", "acos", NULL, CONSTANT, "arc cosine"},
	{"math", "asin", NULL, CONSTANT, "arc sine"},
	{"math", "atan", NULL, CONSTANT, "arc tangent of y / x"},
	{"math", "ceil", NULL, CONSTANT, "rounds up"},
	{"math", "cos", NULL, CONSTANT, "cosine"},
	{"math", "deg", NULL, CONSTANT, "degrees from radians"},
	{"math", "exp", NULL, CONSTANT, "e to a power"},
	{"math", "floor", NULL, CONSTANT, "rounds down"},
	{"math", "fmod", NULL, CONSTANT, "remainder, rounding towards zero"},
	{"math", "log", NULL, CONSTANT, "logarithm"},
	{"math", "max", NULL, "the number of arguments", "the largest"},
	{"math", "min", NULL, "the number of arguments", "the smallest"},
	{"math", "modf", NULL, CONSTANT, "whole part and fraction"},
	{"math", "rad", NULL, CONSTANT, "radians from degrees"},
	{"math", "random", gantry_lua_random, CONSTANT,
	 "a random number; the request seeds it, so that a replay gives the same"},
	{"math", "sin", NULL, CONSTANT, "sine"},
	{"math", "sqrt", NULL, CONSTANT, "square root"},
	{"math", "tan", NULL, CONSTANT, "tangent"},
	{"math", "tointeger", NULL, "n", "a whole number, or nil"},
	{"math", "type", NULL, CONSTANT, "\"integer\", \"float\" or nil"},
	{"math", "ult", NULL, CONSTANT, "unsigned comparison"},

	{"string", "byte", CHARGED, LINEAR, "codes of bytes"},
	{"string", "char", NULL, "the number of arguments", "a string from codes of bytes"},
	{"string", "find", pattern_find, "steps of our matcher, charged", "finds a pattern"},
	{"string", "format", string_format, "2 KiB of format, charged",
	 "formatted text; without %p"},
	{"string", "gmatch", pattern_gmatch, LINEAR, "iterates over all matches"},
	{"string", "gsub", pattern_gsub, "steps of our matcher, charged", "replaces matches"},
	{"string", "len", NULL, CONSTANT, "length in bytes"},
	{"string", "lower", CHARGED, LINEAR, "lower case, ASCII"},
	{"string", "match", pattern_match, "steps of our matcher, charged",
	 "captures of the first match"},
	{"string", "pack", string_pack, "256 bytes of format, charged", "binary form of values"},
	{"string", "packsize", string_pack, "256 bytes of format", "size of a binary form"},
	{"string", "rep", string_rep, "length of the result, charged", "repeats a string"},
	{"string", "reverse", CHARGED, LINEAR, "reversed bytes"},
	{"string", "sub", CHARGED, LINEAR, "a part of a string"},
	{"string", "unpack", string_pack, "256 bytes of format, charged",
	 "values from a binary form"},
	{"string", "upper", CHARGED, LINEAR, "upper case, ASCII"},

	{"table", "concat", table_concat, "65536 elements, charged",
	 "joins the elements of a table or of a list of facts"},
	{"table", "insert", table_insert, "65536 elements to move, charged", "inserts an element"},
	{"table", "move", table_move, "65536 elements, charged", "copies elements"},
	{"table", "pack", NULL, "the number of arguments", "a table from arguments, with field n"},
	{"table", "remove", table_remove, "65536 elements to move, charged", "removes an element"},
	{"table", "sort", table_sort, "65536 elements, n log n comparisons, charged",
	 "sorts in place"},
	{"table", "unpack", table_unpack, "4096 results", "the elements of a table as results"},

	{"utf8", "char", NULL, "the number of arguments", "text from code points"},
	{"utf8", "codepoint", CHARGED, LINEAR, "code points of text"},
	{"utf8", "codes", NULL, CONSTANT, "iterates over code points"},
	{"utf8", "len", CHARGED, LINEAR, "number of code points"},
	{"utf8", "offset", CHARGED, LINEAR, "the byte where a code point starts"},

	{"gantry", "calendar", gantry_lua_calendar, CONSTANT,
	 "calendar(seconds[, offset_minutes]): {year, month, day, hour, minute, second, weekday} in "
	 "UTC plus the offset; weekday 1 is Monday"},
	{"gantry", "count", gantry_lua_count, LINEAR,
	 "count(node, name, value[, project]): how many instances on the node have the label, of one "
	 "project or of all"},
	{"gantry", "http", event_http, "64 KiB of body, 4 KiB of headers; 100 waits in a run",
	 "in `event` only: http{url=[, method=][, headers=][, body=][, timeout=]} asks an address that "
	 "gantry.lua allows; {status, body}, or nil and why"},
	{"gantry", "instance", event_instance, CONSTANT ", charged",
	 "in `event` only: instance(word[, project]), by id or name, as it is now; or nil and why"},
	{"gantry", "instances", event_instances, "one step an instance, charged; 1,000 results",
	 "in `event` only: instances{[project=][, label=][, node=][, state=][, limit=100]}: a list, and "
	 "how many there are in all"},
	{"gantry", "json", gantry_lua_json, "20,000 values, charged",
	 "text in JSON of plain data; an empty table is a list"},
	{"gantry", "now", event_now, CONSTANT, "in `event` only: seconds since 1970"},
	{"gantry", "size", gantry_lua_size, "64 bytes of text", "bytes of a size as \"64MiB\""},
	{"gantry", "size_text", gantry_lua_size_text, CONSTANT, "a size in bytes as \"64MiB\""},
	{"gantry", "sleep", event_sleep, CONSTANT "; 100 waits in a run",
	 "in `event` only: waits for so many seconds"},

	/* what operators on strings call: "10" + 1 */
	{"(string)", "__add", NULL, "n", "+"},
	{"(string)", "__sub", NULL, "n", "-"},
	{"(string)", "__mul", NULL, "n", "*"},
	{"(string)", "__mod", NULL, "n", "%"},
	{"(string)", "__pow", NULL, "n", "^"},
	{"(string)", "__div", NULL, "n", "/"},
	{"(string)", "__idiv", NULL, "n", "//"},
	{"(string)", "__unm", NULL, "n", "-"},

	{NULL, NULL, NULL, NULL, NULL},
};

static const char *const libraries[] = {"coroutine", "math", "string", "table", "utf8", "gantry"};

/* Names that people miss: the error says that it is meant so. */
static const char *const refused[] = {
	"collectgarbage", "debug", "dofile",  "io",      "load", "loadfile",
	"loadstring",     "os",    "package", "require", "warn", NULL,
};

static const char lock_key; /* its address marks the metatable of what is read-only */

int exposed_charged(lua_State *L)
{
	struct sandbox *sandbox = sandbox_of(L);
	int64_t amount = 1;

	for (int i = lua_gettop(L); i > 0; i--)
		if (lua_type(L, i) == LUA_TSTRING)
			amount += (int64_t)lua_rawlen(L, i) / 16;
	sandbox_charge(L, amount);
	return sandbox->functions[lua_tointeger(L, lua_upvalueindex(1))](L);
}

/* --- read-only tables ------------------------------------------------------------------------------ */

static int refuse_write(lua_State *L)
{
	if (lua_type(L, 2) == LUA_TSTRING)
		return luaL_error(L,
				  "\"%s\" cannot be set: globals and libraries are read-only after "
				  "the file was loaded; use a local",
				  lua_tostring(L, 2));
	return luaL_error(L, "globals and libraries are read-only after the file was loaded");
}

static int pairs_sealed(lua_State *L)
{
	lua_settop(L, 0);
	lua_pushvalue(L, lua_upvalueindex(1));
	return base_pairs(L);
}

static void push_seal(lua_State *L, int real, bool writable)
{
	real = lua_absindex(L, real);
	lua_createtable(L, 0, 5);
	lua_pushvalue(L, real);
	lua_setfield(L, -2, "__index");
	if (!writable) {
		lua_pushcfunction(L, refuse_write);
		lua_setfield(L, -2, "__newindex");
	}
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pushvalue(L, real);
	lua_pushcclosure(L, pairs_sealed, 1);
	lua_setfield(L, -2, "__pairs");
	lua_pushboolean(L, !writable);
	lua_rawsetp(L, -2, &lock_key);
}

/* Pushes a read-only stand-in for the table on top of the stack, in place of it. */
static void seal(lua_State *L)
{
	lua_newtable(L);
	push_seal(L, -2, false);
	lua_setmetatable(L, -2);
	lua_remove(L, -2);
}

bool exposed_is_sealed(lua_State *L, int index)
{
	bool sealed;

	if (!lua_getmetatable(L, index))
		return false;
	sealed = lua_rawgetp(L, -1, &lock_key) != LUA_TNIL;
	lua_pop(L, 2);
	return sealed;
}

void exposed_push_globals(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_getmetatable(L, -1);
	lua_getfield(L, -1, "__index");
	lua_replace(L, -3);
	lua_pop(L, 1);
}

void exposed_check_writable(lua_State *L, int index)
{
	bool locked;

	luaL_checktype(L, index, LUA_TTABLE);
	if (!lua_getmetatable(L, index))
		return;
	lua_rawgetp(L, -1, &lock_key);
	locked = lua_toboolean(L, -1);
	lua_pop(L, 2);
	if (locked)
		luaL_error(L, "globals and libraries are read-only after the file was loaded");
}

/* Reading a global that is not there is most likely a slip of the pen. */
static int missing_global(lua_State *L)
{
	const char *names[128], *near, *name = lua_tostring(L, 2);
	size_t count = 0;

	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	for (const char *const *word = refused; *word; word++)
		if (str_equal(name, *word))
			return luaL_error(L, "there is no \"%s\" in the sandbox", name);
	if (strlen(name) > 64)
		return luaL_error(L, "there is no global with so long a name");
	lua_pushnil(L);
	while (count < 127 && lua_next(L, 1)) {
		lua_pop(L, 1);
		if (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) <= 64)
			names[count++] = lua_tostring(L, -1);
	}
	names[count] = NULL;
	near = str_nearest(name, names);
	if (near)
		return luaL_error(L, "there is no global \"%s\"; did you mean \"%s\"?", name, near);
	return luaL_error(L, "there is no global \"%s\"", name);
}

void sandbox_lock(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_getmetatable(L, -1);
	lua_getfield(L, -1, "__index"); /* all goes there, so that a write never finds a key */
	lua_pushnil(L);
	while (lua_next(L, -4)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -4);
		lua_pushvalue(L, -1);
		lua_pushnil(L);
		lua_rawset(L, -6);
	}
	lua_pushcfunction(L, refuse_write);
	lua_setfield(L, -3, "__newindex");
	lua_pushboolean(L, true);
	lua_rawsetp(L, -3, &lock_key);
	lua_pop(L, 3);
	sandbox_of(L)->locked = true;
}

/* --- filling --------------------------------------------------------------------------------------- */

/* Sets the rows of one library in the table on top; Lua's own functions come from the table below. */
static void fill(lua_State *L, const char *library)
{
	struct sandbox *sandbox = sandbox_of(L);

	for (int row = 0; exposed[row].name; row++) {
		if (!str_equal(exposed[row].library, library))
			continue;
		lua_getfield(L, -2, exposed[row].name);
		sandbox->functions[row] = lua_tocfunction(L, -1);
		if (exposed[row].function) {
			lua_pop(L, 1);
			lua_pushinteger(L, row);
			lua_pushcclosure(L, exposed[row].function, 1);
		}
		lua_setfield(L, -2, exposed[row].name);
	}
}

static const lua_CFunction openers[] = {luaopen_coroutine, luaopen_math, luaopen_string,
					luaopen_table,     luaopen_utf8, NULL};

static void take_constant(lua_State *L, const char *name)
{
	lua_getfield(L, -2, name);
	lua_setfield(L, -2, name);
}

/* Strings have a metatable of their own: its __index is our library, and nobody gets at it. */
static void set_string_metatable(lua_State *L)
{
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1);
	lua_newtable(L);
	fill(L, "(string)");
	lua_pushvalue(L, -4); /* the library */
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_remove(L, -2);
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

void exposed_install(lua_State *L)
{
	lua_newtable(L); /* 1: what Lua's base library fills */
	lua_pushvalue(L, 1);
	lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_pushcfunction(L, luaopen_base);
	lua_call(L, 0, 0);
	lua_settop(L, 1);
	lua_newtable(L); /* 2: the globals, behind the table that scripts see */
	fill(L, "");
	take_constant(L, "_VERSION");
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		if (openers[i]) {
			lua_pushcfunction(L, openers[i]);
			lua_call(L, 0, 1);
		} else {
			lua_newtable(L);
		}
		lua_newtable(L);
		fill(L, libraries[i]);
		if (openers[i] == luaopen_math) {
			take_constant(L, "pi");
			take_constant(L, "huge");
			take_constant(L, "maxinteger");
			take_constant(L, "mininteger");
		} else if (openers[i] == luaopen_utf8) {
			take_constant(L, "charpattern");
		} else if (openers[i] == luaopen_string) {
			set_string_metatable(L);
		}
		lua_remove(L, -2);
		seal(L);
		lua_setfield(L, 2, libraries[i]);
	}
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, missing_global);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, 2);

	lua_newtable(L); /* 3: what scripts see */
	push_seal(L, 2, true);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_setfield(L, 2, "_G");
	lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_settop(L, 0);
}

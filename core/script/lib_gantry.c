/* SPDX-License-Identifier: Apache-2.0 */
/* What policies need beside Lua's own: sizes, the calendar, JSON, random numbers of the request, labels on a node. */
#include "script/exposed.h"
#include "base/units.h"
#include "script/facts.h"
#include "script/value.h"

/* splitmix64: small, and its numbers are the same on every machine. */
static uint64_t next_random(struct sandbox *sandbox)
{
	uint64_t z = sandbox->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* An even choice of 0 to limit. */
static uint64_t random_up_to(struct sandbox *sandbox, uint64_t limit)
{
	uint64_t mask = limit, value;

	for (unsigned shift = 1; shift < 64; shift *= 2)
		mask |= mask >> shift;
	do
		value = next_random(sandbox) & mask;
	while (value > limit);
	return value;
}

/* As Lua's own: random(), random(high), random(low, high), random(0) for all bits. */
int gantry_lua_random(lua_State *L)
{
	struct sandbox *sandbox = sandbox_of(L);
	lua_Integer low = 1, high;

	switch (lua_gettop(L)) {
	case 0:
		lua_pushnumber(L, (lua_Number)(next_random(sandbox) >> 11) * 0x1p-53);
		return 1;
	case 1:
		high = luaL_checkinteger(L, 1);
		if (high == 0) {
			lua_pushinteger(L, (lua_Integer)next_random(sandbox));
			return 1;
		}
		break;
	case 2:
		low = luaL_checkinteger(L, 1);
		high = luaL_checkinteger(L, 2);
		break;
	default:
		return luaL_error(L, "wrong number of arguments to 'random'");
	}
	luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
	lua_pushinteger(L, (lua_Integer)(random_up_to(sandbox, (uint64_t)high - (uint64_t)low) +
					 (uint64_t)low));
	return 1;
}

/* Days since 1970-01-01 to a date; March is the first month of a year here, so that leap days end it. */
static void set_date(lua_State *L, lua_Integer days)
{
	lua_Integer since = days + 719468, era = (since >= 0 ? since : since - 146096) / 146097;
	lua_Integer day = since - era * 146097;
	lua_Integer year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	lua_Integer of_year = day - (365 * year + year / 4 - year / 100);
	lua_Integer month = (5 * of_year + 2) / 153;

	lua_pushinteger(L, of_year - (153 * month + 2) / 5 + 1);
	lua_setfield(L, -2, "day");
	month = month < 10 ? month + 3 : month - 9;
	lua_pushinteger(L, month);
	lua_setfield(L, -2, "month");
	lua_pushinteger(L, year + era * 400 + (month <= 2));
	lua_setfield(L, -2, "year");
	lua_pushinteger(L, ((days + 3) % 7 + 7) % 7 + 1);
	lua_setfield(L, -2, "weekday");
}

int gantry_lua_calendar(lua_State *L)
{
	lua_Number seconds = luaL_checknumber(L, 1), offset = luaL_optnumber(L, 2, 0);
	lua_Integer at, days, rest;

	luaL_argcheck(L, seconds > -1e11 && seconds < 1e11, 1, "seconds since 1970 expected");
	luaL_argcheck(L, offset >= -1440 && offset <= 1440, 2, "minutes expected");
	at = (lua_Integer)(seconds < 0 ? seconds - 0.999 : seconds) + (lua_Integer)(offset * 60);
	days = at >= 0 ? at / 86400 : (at - 86399) / 86400;
	rest = at - days * 86400;
	lua_createtable(L, 0, 7);
	set_date(L, days);
	lua_pushinteger(L, rest / 3600);
	lua_setfield(L, -2, "hour");
	lua_pushinteger(L, rest / 60 % 60);
	lua_setfield(L, -2, "minute");
	lua_pushinteger(L, rest % 60);
	lua_setfield(L, -2, "second");
	return 1;
}

int gantry_lua_size(lua_State *L)
{
	size_t length;
	const char *text = luaL_checklstring(L, 1, &length);
	int64_t bytes;

	if (length > 64 || strlen(text) != length || units_parse_size(text, &bytes) < 0)
		return luaL_error(L, "not a size as \"64MiB\": \"%.64s\"", text);
	lua_pushinteger(L, bytes);
	return 1;
}

int gantry_lua_size_text(lua_State *L)
{
	lua_Number bytes = luaL_checknumber(L, 1);
	char text[32];

	luaL_argcheck(L, bytes >= 0 && bytes < 0x1p62, 1, "a number of bytes expected");
	units_format_size((int64_t)bytes, text, sizeof(text));
	lua_pushstring(L, text);
	return 1;
}

int gantry_lua_count(lua_State *L)
{
	const struct node *node = facts_check(L, 1, FACT_NODE);
	size_t name_length, value_length, project_length = 0;
	const char *name = luaL_checklstring(L, 2, &name_length);
	const char *value = luaL_checklstring(L, 3, &value_length);
	const char *project = luaL_optlstring(L, 4, NULL, &project_length);

	sandbox_charge(L, 1 + (int64_t)(name_length + value_length + project_length) / 16);
	lua_pushinteger(L, label_counts_get(&node->label_counts, project, name, value));
	return 1;
}

int gantry_lua_json(lua_State *L)
{
	struct sandbox *sandbox = sandbox_of(L);
	struct json_object *value;
	struct gantry_error err = {0};
	size_t length;
	const char *text;
	char wrong[700];

	luaL_checkany(L, 1);
	sandbox_charge(L, 20);
	if (value_to_json(L, 1, "", VALUE_ANSWER_VALUES, &value, &err) < 0)
		return luaL_error(L, "not JSON: %s", value_error_text(&err, wrong, sizeof(wrong)));
	text = json_object_to_json_string_length(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
	str_clear(&sandbox->scratch);
	str_add_bytes(&sandbox->scratch, text, length);
	json_object_put(value);
	sandbox_charge(L, (int64_t)length / 16);
	lua_pushlstring(L, str_text(&sandbox->scratch), length);
	if (sandbox->scratch.capacity > SANDBOX_STRING_BYTES)
		str_fini(&sandbox->scratch);
	return 1;
}

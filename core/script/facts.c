/* SPDX-License-Identifier: Apache-2.0 */
#include "script/facts.h"
#include "base/str.h"
#include "script/fields.h"

#include <stddef.h>

struct fact {
	uint64_t epoch;
	const void *data;
	uint32_t count; /* of a list */
	uint8_t kind;
	uint8_t item_kind; /* of a list */
	uint16_t item_size;
};

/* What a request without a spec reads. */
static const struct gantry_spec empty_spec = {
	.stop_grace_ms = GANTRY_UNSET,
	.memory_bytes = GANTRY_UNSET,
	.memory_swap_bytes = GANTRY_UNSET,
	.nano_cpus = GANTRY_UNSET,
	.cpu_shares = GANTRY_UNSET,
	.pids = GANTRY_UNSET,
	.block_io = {.weight = GANTRY_UNSET},
	.log = {.size_bytes = GANTRY_UNSET, .files = GANTRY_UNSET},
};

static const struct gantry_spec *spec_of(const struct script_request *request)
{
	if (request->spec)
		return request->spec;
	return request->instance ? &request->instance->spec : &empty_spec;
}

static const char *const kind_names[] = {
	[FACT_REQUEST] = "the request",
	[FACT_SPEC] = "the spec",
	[FACT_RESOURCES] = "resources",
	[FACT_INSTANCE] = "an instance",
	[FACT_EXIT] = "an exit",
	[FACT_EVENT] = "an event",
	[FACT_USAGE] = "what a project has",
	[FACT_NODE] = "a node",
	[FACT_ENGINE] = "an engine",
	[FACT_MOUNT] = "a mount",
	[FACT_PORT] = "a port",
	[FACT_NETWORK_PORT] = "a network port",
	[FACT_DEVICE] = "a device",
	[FACT_ULIMIT] = "a ulimit",
	[FACT_HEALTH] = "a health check",
	[FACT_BLOCK_IO] = "block_io",
	[FACT_BLOCK_LIMIT] = "a device of block_io",
	[FACT_LOG] = "log",
	[FACT_EXEC] = "an exec",
	[FACT_RECORDING] = "a recording",
	[FACT_LINE] = "a line",
};

const char *const *facts_resource_keys(void)
{
	static const char *keys[16];
	int count = 0;

	if (!keys[0])
		for (int row = 0; row < fact_fields_count; row++)
			if (fact_fields[row].kind == FACT_RESOURCES)
				keys[count++] = fact_fields[row].key;
	return keys;
}

/* Whether a row is a field of facts of the kind: a request has the fields of its spec too. */
static bool row_is_of(int row, enum fact_kind kind)
{
	if (fact_fields[row].kind == kind)
		return true;
	return kind == FACT_REQUEST && fact_fields[row].kind == FACT_SPEC &&
	       !str_equal(fact_fields[row].key, "project"); /* the request has its own */
}

/* --- pushing --------------------------------------------------------------------------------------- */

static const char names_key;

static struct fact *push_fact(lua_State *L, enum fact_kind kind, const void *data)
{
	struct fact *fact = lua_newuserdatauv(L, sizeof(*fact), 0);

	fact->epoch = sandbox_of(L)->epoch;
	fact->data = data;
	fact->kind = (uint8_t)kind;
	fact->count = 0;
	facts_push_metatable(L);
	lua_setmetatable(L, -2);
	return fact;
}

void facts_push(lua_State *L, enum fact_kind kind, const void *data)
{
	push_fact(L, kind, data);
}

static void push_list(lua_State *L, enum fact_kind item_kind, const void *items, size_t count,
		      size_t item_size)
{
	struct fact *fact = push_fact(L, FACT_LIST, items);

	fact->count = (uint32_t)count;
	fact->item_kind = (uint8_t)item_kind;
	fact->item_size = (uint16_t)item_size;
}

#define PUSH_LIST(L, kind, list)                                                                   \
	push_list((L), (kind), (list)->items, (list)->count, sizeof((list)->items[0]))

static void push_integer(lua_State *L, int64_t value, bool given)
{
	if (given)
		lua_pushinteger(L, value);
	else
		lua_pushnil(L);
}

static void push_number(lua_State *L, double value, bool given)
{
	if (given)
		lua_pushnumber(L, value);
	else
		lua_pushnil(L);
}

void facts_push_field(lua_State *L, const struct field *field, const void *data)
{
	const void *place = (const char *)data + field->offset;
	const char *text;
	int64_t number;

	switch (field->value) {
	case GANTRY_FIELD_STRING:
		lua_pushstring(L, *(const char *const *)place); /* NULL gives nil */
		return;
	case GANTRY_FIELD_BOOL:
		lua_pushboolean(L, *(const bool *)place);
		return;
	case GANTRY_FIELD_INT:
	case GANTRY_FIELD_SIZE:
		number = *(const int64_t *)place;
		push_integer(L, number, number != GANTRY_UNSET);
		return;
	case GANTRY_FIELD_CPUS:
		number = *(const int64_t *)place;
		push_number(L, (double)number / 1e9, number != GANTRY_UNSET);
		return;
	case GANTRY_FIELD_DURATION:
		number = *(const int64_t *)place;
		push_number(L, (double)number / 1e3, number != GANTRY_UNSET);
		return;
	case GANTRY_FIELD_STRINGS:
		facts_push(L, FACT_STRINGS, place);
		return;
	case GANTRY_FIELD_PAIRS:
		facts_push(L, FACT_PAIRS, place);
		return;
	case GANTRY_FIELD_ENV:
		facts_push(L, FACT_ENV, place);
		return;
	case GANTRY_FIELD_MOUNTS:
		PUSH_LIST(L, FACT_MOUNT, (const struct gantry_mounts *)place);
		return;
	case GANTRY_FIELD_PORTS:
		PUSH_LIST(L, FACT_PORT, (const struct gantry_ports *)place);
		return;
	case GANTRY_FIELD_NETWORK_PORTS:
		PUSH_LIST(L, FACT_NETWORK_PORT, (const struct gantry_network_ports *)place);
		return;
	case GANTRY_FIELD_DEVICES:
		PUSH_LIST(L, FACT_DEVICE, (const struct gantry_devices *)place);
		return;
	case GANTRY_FIELD_ULIMITS:
		PUSH_LIST(L, FACT_ULIMIT, (const struct gantry_ulimits *)place);
		return;
	case GANTRY_FIELD_HEALTH:
		if (((const struct gantry_health_check *)place)->test.count > 0)
			facts_push(L, FACT_HEALTH, place);
		else
			lua_pushnil(L);
		return;
	case GANTRY_FIELD_BLOCK_IO:
		facts_push(L, FACT_BLOCK_IO, place);
		return;
	case GANTRY_FIELD_LOG:
		facts_push(L, FACT_LOG, place);
		return;
	case VALUE_TEXT:
		text = place;
		lua_pushstring(L, text[0] ? text : NULL);
		return;
	case VALUE_COUNT:
		lua_pushinteger(L, *(const int64_t *)place);
		return;
	case VALUE_AMOUNT:
		number = *(const int64_t *)place;
		push_integer(L, number, number > 0);
		return;
	case VALUE_NANO:
		number = *(const int64_t *)place;
		push_number(L, (double)number / 1e9, number > 0);
		return;
	case VALUE_TIME:
		number = *(const int64_t *)place;
		push_number(L, (double)number / 1e3, number != 0);
		return;
	case VALUE_PORT:
		lua_pushinteger(L, *(const uint16_t *)place);
		return;
	case VALUE_BLOCK_LIMITS:
		PUSH_LIST(L, FACT_BLOCK_LIMIT, (const struct gantry_block_io *)data);
		return;
	case VALUE_FUNCTION:
		field->push(L, data);
		return;
	}
	lua_pushnil(L);
}

static void push_row(lua_State *L, const struct fact *fact, int row)
{
	const void *data = fact->data;

	if (fact_fields[row].kind == FACT_SPEC && fact->kind == FACT_REQUEST)
		data = spec_of(data);
	facts_push_field(L, &fact_fields[row], data);
}

/* --- reading --------------------------------------------------------------------------------------- */

static void check_alive(lua_State *L, const struct fact *fact)
{
	if (fact->epoch != sandbox_of(L)->epoch)
		luaL_error(
			L,
			"this fact is from an earlier call: facts live only while the hook runs; "
			"keep the value, not the fact");
}

static unsigned slot_of(const void *name, int kind)
{
	return (unsigned)((uintptr_t)name >> 3 ^ (uintptr_t)name >> 11 ^ (unsigned)kind * 41) %
	       SANDBOX_KEYS;
}

/* Lua keeps one copy of a short string, so that its address tells which field it names. */
static int find_row(const struct sandbox *sandbox, int kind, const void *name)
{
	unsigned slot = slot_of(name, kind);

	while (sandbox->keys[slot].name) {
		if (sandbox->keys[slot].name == name && sandbox->keys[slot].kind == kind)
			return sandbox->keys[slot].row;
		slot = (slot + 1) % SANDBOX_KEYS;
	}
	return -1;
}

static int wrong_key(lua_State *L, int index)
{
	return luaL_error(L, "a fact's field is named by text, not by a %s value",
			  luaL_typename(L, index));
}

static int unknown_field(lua_State *L, int kind, const char *key)
{
	const char *names[FACT_FIELDS_MAX + 1], *near = NULL;
	size_t count = 0;

	for (int row = 0; row < fact_fields_count; row++)
		if (row_is_of(row, kind))
			names[count++] = fact_fields[row].key;
	names[count] = NULL;
	if (strlen(key) <= 64)
		near = str_nearest(key, names);
	if (near)
		return luaL_error(L, "%s has no field \"%s\"; did you mean \"%s\"?",
				  kind_names[kind], key, near);
	return luaL_error(L, "%s has no field \"%s\"", kind_names[kind], key);
}

/* The row of the field of an object that the key at index names; raises where there is none. */
static int row_of(lua_State *L, int kind, int index)
{
	int row = find_row(sandbox_of(L), kind, lua_topointer(L, index));

	if (row >= 0)
		return row;
	if (lua_type(L, index) != LUA_TSTRING)
		wrong_key(L, index);
	return unknown_field(L, kind, lua_tostring(L, index));
}

void facts_check_field(lua_State *L, int kind, int index)
{
	row_of(L, kind, index);
}

static size_t list_count(const struct fact *fact)
{
	switch (fact->kind) {
	case FACT_STRINGS:
		return ((const struct gantry_strings *)fact->data)->count;
	case FACT_PAIRS:
		return ((const struct gantry_pairs *)fact->data)->count;
	case FACT_ENV:
		return ((const struct gantry_envs *)fact->data)->count;
	}
	return fact->count;
}

static void push_item(lua_State *L, const struct fact *fact, size_t index)
{
	if (fact->kind == FACT_STRINGS)
		lua_pushstring(L, ((const struct gantry_strings *)fact->data)->items[index]);
	else
		facts_push(L, fact->item_kind, (const char *)fact->data + index * fact->item_size);
}

/* What a policy sees of a variable: a secret's value is none of its business. */
static void push_variable(lua_State *L, const struct gantry_env *variable)
{
	if (variable->secret || !variable->value)
		lua_pushboolean(L, true);
	else
		lua_pushstring(L, variable->value);
}

/* Pushes the name and value of a map's entry. */
static void push_entry(lua_State *L, const struct fact *fact, size_t index)
{
	if (fact->kind == FACT_PAIRS) {
		const struct gantry_pair *pair =
			&((const struct gantry_pairs *)fact->data)->items[index];

		lua_pushstring(L, pair->name);
		lua_pushstring(L, pair->value);
	} else {
		const struct gantry_env *variable =
			&((const struct gantry_envs *)fact->data)->items[index];

		lua_pushstring(L, variable->name);
		push_variable(L, variable);
	}
}

static int index_map(lua_State *L, const struct fact *fact, const char *key)
{
	size_t count = list_count(fact);

	for (size_t i = 0; i < count; i++) {
		const char *name =
			fact->kind == FACT_PAIRS
				? ((const struct gantry_pairs *)fact->data)->items[i].name
				: ((const struct gantry_envs *)fact->data)->items[i].name;

		if (name[0] == key[0] && strcmp(name, key) == 0) {
			push_entry(L, fact, i);
			return 1;
		}
	}
	sandbox_charge(L, (int64_t)count / 16);
	return 0;
}

int facts_index(lua_State *L)
{
	const struct fact *fact = lua_touserdata(L, 1);
	const char *key;

	check_alive(L, fact);
	if (fact->kind < FACT_OBJECTS) {
		push_row(L, fact, row_of(L, fact->kind, 2));
		return 1;
	}
	if (lua_type(L, 2) != LUA_TSTRING) {
		lua_Integer index;
		int exact;

		if (fact->kind != FACT_STRINGS && fact->kind != FACT_LIST)
			return wrong_key(L, 2);
		index = lua_tointegerx(L, 2, &exact);
		if (!exact || index < 1 || (size_t)index > list_count(fact))
			return 0;
		push_item(L, fact, (size_t)index - 1);
		return 1;
	}
	key = lua_tostring(L, 2);
	if (fact->kind == FACT_PAIRS || fact->kind == FACT_ENV)
		return index_map(L, fact, key);
	return luaL_error(L, "a list has no field \"%s\"; its entries are 1 to %d", key,
			  (int)list_count(fact));
}

static int on_newindex(lua_State *L)
{
	return luaL_error(L, "facts are read-only; a hook returns what is to change");
}

static int on_length(lua_State *L)
{
	const struct fact *fact = lua_touserdata(L, 1);

	check_alive(L, fact);
	if (fact->kind < FACT_OBJECTS)
		return luaL_error(L, "%s has no length", kind_names[fact->kind]);
	lua_pushinteger(L, (lua_Integer)list_count(fact));
	return 1;
}

/* Upvalues: the fact, where to go on. */
static int next_fact(lua_State *L)
{
	const struct fact *fact = lua_touserdata(L, lua_upvalueindex(1));
	lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));

	check_alive(L, fact);
	sandbox_charge(L, 1);
	lua_settop(L, 0);
	if (fact->kind < FACT_OBJECTS) {
		for (; at < fact_fields_count && lua_gettop(L) == 0; at++) {
			if (!row_is_of((int)at, fact->kind))
				continue;
			lua_pushstring(L, fact_fields[at].key);
			push_row(L, fact, (int)at);
			if (lua_isnil(L, -1))
				lua_settop(L, 0);
		}
	} else if ((size_t)at < list_count(fact)) {
		if (fact->kind == FACT_PAIRS || fact->kind == FACT_ENV) {
			push_entry(L, fact, (size_t)at);
		} else {
			lua_pushinteger(L, at + 1);
			push_item(L, fact, (size_t)at);
		}
		at++;
	}
	lua_pushinteger(L, at);
	lua_replace(L, lua_upvalueindex(2));
	return lua_gettop(L);
}

static int on_pairs(lua_State *L)
{
	check_alive(L, lua_touserdata(L, 1));
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, next_fact, 2);
	return 1;
}

/* NULL where it is none: a script may also have copies (copies.c), which are smaller. */
static const struct fact *to_fact(lua_State *L, int index)
{
	if (lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) != sizeof(struct fact))
		return NULL;
	return lua_touserdata(L, index);
}

const void *facts_check(lua_State *L, int index, enum fact_kind kind)
{
	const struct fact *fact = to_fact(L, index);

	if (!fact || fact->kind != kind)
		luaL_error(L, "bad argument #%d (%s is wanted, not a %s value)", index,
			   kind_names[kind], luaL_typename(L, index));
	check_alive(L, fact);
	return fact->data;
}

bool facts_is_list(lua_State *L, int index)
{
	const struct fact *fact = to_fact(L, index);

	return fact && (fact->kind == FACT_STRINGS || fact->kind == FACT_LIST);
}

lua_Integer facts_length(lua_State *L, int index)
{
	const struct fact *fact = to_fact(L, index);

	check_alive(L, fact);
	return (lua_Integer)list_count(fact);
}

/* --- for kept facts -------------------------------------------------------------------------------- */

void facts_push_metatable(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->fact_metatable);
}

enum fact_kind facts_kind(lua_State *L, int index)
{
	return ((const struct fact *)lua_touserdata(L, index))->kind;
}

void facts_revive(lua_State *L, int index)
{
	((struct fact *)lua_touserdata(L, index))->epoch = sandbox_of(L)->epoch;
}

/* --- setting up ------------------------------------------------------------------------------------ */

static void add_key(struct sandbox *sandbox, const void *name, int kind, int row)
{
	unsigned slot = slot_of(name, kind);

	while (sandbox->keys[slot].name)
		slot = (slot + 1) % SANDBOX_KEYS;
	sandbox->keys[slot] = (struct sandbox_key){name, row, kind};
}

void facts_new_metatable(lua_State *L, const luaL_Reg *functions)
{
	lua_newtable(L);
	luaL_setfuncs(L, functions, 0);
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pushliteral(L, "fact");
	lua_setfield(L, -2, "__name");
}

void facts_install(lua_State *L)
{
	static const luaL_Reg functions[] = {{"__index", facts_index},
					     {"__newindex", on_newindex},
					     {"__len", on_length},
					     {"__pairs", on_pairs},
					     {NULL, NULL}};
	struct sandbox *sandbox = sandbox_of(L);

	_Static_assert(2 * FACT_FIELDS_MAX < SANDBOX_KEYS,
		       "the table of keys is at most half full");
	facts_new_metatable(L, functions);
	sandbox->fact_metatable = luaL_ref(L, LUA_REGISTRYINDEX);

	lua_createtable(L, fact_fields_count, 0); /* keeps the names where they are */
	for (int row = 0; row < fact_fields_count; row++) {
		const void *name;

		lua_pushstring(L, fact_fields[row].key);
		name = lua_topointer(L, -1);
		lua_rawseti(L, -2, row + 1);
		add_key(sandbox, name, fact_fields[row].kind, row);
		if (fact_fields[row].kind == FACT_SPEC && row_is_of(row, FACT_REQUEST))
			add_key(sandbox, name, FACT_REQUEST, row);
	}
	lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
}

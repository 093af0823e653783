/* SPDX-License-Identifier: Apache-2.0 */
#include "script/kept.h"
#include "base/str.h"
#include "script/exposed.h"
#include "script/facts.h"

#include <stdlib.h>

#define HOLD_DEPTH  8
#define HOLD_VALUES 500

static const char facts_key, reader_key; /* in the registry */
static const char fact_key;              /* in what was read: the fact it is of */

/* --- which nodes have changed ---------------------------------------------------------------------- */

void kept_compare(struct kept_nodes *kept, struct node *const *nodes, size_t count)
{
	if (kept->count < count) {
		kept->items = xrealloc(kept->items, count * sizeof(kept->items[0]));
		memset(kept->items + kept->count, 0,
		       (count - kept->count) * sizeof(kept->items[0]));
		kept->count = count;
	}
	for (size_t i = 0; i < count; i++) {
		struct kept_node *item = &kept->items[i];

		if (item->node == nodes[i] && memcmp(item->copy, nodes[i], sizeof(item->copy)) == 0)
			continue;
		item->node = nodes[i];
		memcpy(item->copy, nodes[i], sizeof(item->copy));
		item->stamp = ++kept->last_stamp;
	}
}

void kept_nodes_fini(struct kept_nodes *kept)
{
	free(kept->items);
}

/* --- reading --------------------------------------------------------------------------------------- */

static bool is_kept(lua_State *L, int index, enum fact_kind kind)
{
	int type = lua_type(L, index);

	return kind == FACT_REQUEST || type == LUA_TNUMBER || type == LUA_TBOOLEAN;
}

/* __index of what was read: (what was read, key). */
static int on_first_read(lua_State *L)
{
	lua_rawgetp(L, 1, &fact_key);
	lua_insert(L, 1);
	lua_pushvalue(L, 3);
	lua_insert(L, 2); /* the fact, key, what was read, key */
	facts_index(L);
	if (!is_kept(L, -1, facts_kind(L, 1)))
		return 1;
	lua_pushvalue(L, -1);
	lua_insert(L, 3);
	lua_rawset(L, 4);
	lua_settop(L, 3);
	return 1;
}

/* --- making ---------------------------------------------------------------------------------------- */

/* Pushes the metatable of all that was read. */
static void push_reader(lua_State *L)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &reader_key) == LUA_TTABLE)
		return;
	lua_pop(L, 1);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, on_first_read);
	lua_setfield(L, -2, "__index");
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &reader_key);
}

static void push_kept(lua_State *L, enum fact_kind kind, const void *data)
{
	facts_push(L, kind, data);
	lua_createtable(L, 0, 8);
	facts_push_metatable(L);
	for (lua_pushnil(L); lua_next(L, -2);) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -5);
	}
	lua_pop(L, 1);
	lua_createtable(L, 0, 4); /* what was read */
	lua_pushvalue(L, -3);
	lua_rawsetp(L, -2, &fact_key);
	push_reader(L);
	lua_setmetatable(L, -2);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
}

/* --- what a script may hold ------------------------------------------------------------------------ */

/*
 * A fact that a script has kept must be dead in the next placement, so that only facts that it cannot
 * have kept live on. Whether the value at index may lead to a fact: no for plain values, the library,
 * and functions and tables that hold nothing else; yes for all that is not looked through.
 */
static bool may_hold(lua_State *L, int index, int depth, int *left);

static bool entries_may_hold(lua_State *L, int index, int depth, int *left)
{
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
		if (may_hold(L, lua_gettop(L), depth, left) ||
		    may_hold(L, lua_gettop(L) - 1, depth, left))
			return true;
	return false;
}

static bool table_may_hold(lua_State *L, int index, int depth, int *left)
{
	if (exposed_is_sealed(L, index))
		return false;
	return lua_getmetatable(L, index) || entries_may_hold(L, index, depth, left);
}

static bool function_may_hold(lua_State *L, int index, int depth, int *left)
{
	for (int i = 1; lua_getupvalue(L, index, i); i++) {
		if (may_hold(L, lua_gettop(L), depth, left))
			return true;
		lua_pop(L, 1);
	}
	return false;
}

static bool may_hold(lua_State *L, int index, int depth, int *left)
{
	switch (lua_type(L, index)) {
	case LUA_TNIL:
	case LUA_TBOOLEAN:
	case LUA_TNUMBER:
	case LUA_TSTRING:
		return --*left < 0;
	case LUA_TFUNCTION:
		return depth == HOLD_DEPTH || function_may_hold(L, index, depth + 1, left);
	case LUA_TTABLE:
		return depth == HOLD_DEPTH || table_may_hold(L, index, depth + 1, left);
	}
	return true;
}

/* Whether a hook may, or a global. */
static bool script_may_hold(lua_State *L)
{
	struct sandbox *sandbox = sandbox_of(L);
	int top = lua_gettop(L), left = HOLD_VALUES;
	bool may = !lua_checkstack(L, 4 * HOLD_DEPTH + 8);

	if (may)
		return true;
	exposed_push_globals(L);
	may = entries_may_hold(L, top + 1, 0, &left);
	for (int i = 0; i < sandbox->roots_count && !may; i++) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox->roots[i]);
		may = may_hold(L, lua_gettop(L), 0, &left);
	}
	lua_settop(L, top);
	return may;
}

/* --- a placement ----------------------------------------------------------------------------------- */

/* How many nodes may be kept in this sandbox. */
static size_t limit_of(const struct sandbox *sandbox)
{
	if (sandbox->kept_never)
		return 0;
	return (size_t)sandbox->budget.memory_bytes / 8 / KEPT_NODE_BYTES;
}

/* The table of facts is on top. */
static void begin(lua_State *L, const struct script_request *request,
		  const struct kept_nodes *nodes, size_t count)
{
	uint64_t *stamps = sandbox_of(L)->kept_stamps;

	push_kept(L, FACT_REQUEST, request);
	lua_rawseti(L, -2, 0);
	for (size_t i = 0; i < count; i++) {
		lua_Integer at = (lua_Integer)i + 1;

		if (stamps[i] == nodes->items[i].stamp) {
			lua_rawgeti(L, -1, at);
			facts_revive(L, -1);
			lua_pop(L, 1);
			continue;
		}
		stamps[i] = 0;
		push_kept(L, FACT_NODE, nodes->items[i].node);
		lua_rawseti(L, -2, at);
		stamps[i] = nodes->items[i].stamp;
	}
}

void kept_push(lua_State *L, const struct script_request *request, const struct kept_nodes *nodes,
	       size_t count)
{
	struct sandbox *sandbox = sandbox_of(L);
	size_t limit;

	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &facts_key) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_createtable(L, (int)count, 1);
		lua_pushvalue(L, -1);
		lua_rawsetp(L, LUA_REGISTRYINDEX, &facts_key);
	}
	if (sandbox->kept_epoch == sandbox->epoch)
		return;
	if (!sandbox->kept_stamps && !sandbox->kept_never)
		sandbox->kept_never = script_may_hold(L);
	limit = limit_of(sandbox);
	if (!sandbox->kept_stamps)
		sandbox->kept_stamps = xcalloc(limit + 1, sizeof(sandbox->kept_stamps[0]));
	sandbox->kept_count = count;
	begin(L, request, nodes, count < limit ? count : limit);
	sandbox->kept_epoch = sandbox->epoch;
}

/* All that the script may hold dies, and no more is kept. */
static void drop(lua_State *L)
{
	struct sandbox *sandbox = sandbox_of(L);

	facts_push_metatable(L);
	for (size_t i = 0; i <= sandbox->kept_count; i++) {
		if (lua_rawgeti(L, 1, (lua_Integer)i) == LUA_TUSERDATA) {
			lua_pushvalue(L, 2);
			lua_setmetatable(L, 3);
		}
		lua_settop(L, 2);
	}
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &facts_key);
	sandbox->kept_never = true;
}

int kept_end(lua_State *L)
{
	struct sandbox *sandbox = sandbox_of(L);

	lua_settop(L, 0);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &facts_key) != LUA_TTABLE)
		return 0;
	if (sandbox->kept_never || script_may_hold(L))
		drop(L);
	for (size_t i = limit_of(sandbox) + 1; i <= sandbox->kept_count; i++) {
		lua_pushnil(L);
		lua_rawseti(L, 1, (lua_Integer)i);
	}
	sandbox->kept_count = 0;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a script can reach: each function has a row in the table, with a bound and a help; each, called
 * with hostile arguments, comes back in time; nothing of one policy is seen by another.
 */
#include "base/log.h"
#include "base/str.h"
#include "policy.h"
#include "script/exposed.h"

#include <math.h>

#define CALL_MS 100

/* --- the walk -------------------------------------------------------------------------------------- */

struct walk {
	int functions, unknown;
	int seen; /* index of the table of what was seen */
	bool rows[SANDBOX_FUNCTIONS_MAX];
};

static int find_row(const struct sandbox *sandbox, lua_CFunction function, const char *name)
{
	for (int row = 0; exposed[row].name; row++) {
		lua_CFunction want =
			exposed[row].function ? exposed[row].function : sandbox->functions[row];

		if (want == function && str_equal(exposed[row].name, name))
			return row;
	}
	return -1;
}

static void walk_value(lua_State *L, struct walk *walk, const char *name, int depth);

static void walk_table(lua_State *L, struct walk *walk, int depth)
{
	int table = lua_gettop(L);

	for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";

		walk_value(L, walk, name, depth + 1);
	}
	/* what is read through it is reached as well, but for what only Lua itself calls */
	if (lua_getmetatable(L, table)) {
		if (lua_getfield(L, -1, "__index") == LUA_TTABLE)
			walk_value(L, walk, "__index", depth + 1);
		lua_pop(L, 2);
	}
}

/* The value on top stays there. */
static void walk_value(lua_State *L, struct walk *walk, const char *name, int depth)
{
	int row;

	luaL_checkstack(L, 20, "deep");
	if (lua_type(L, -1) != LUA_TTABLE && lua_type(L, -1) != LUA_TFUNCTION)
		return;
	lua_pushvalue(L, -1);
	if (lua_rawget(L, walk->seen) != LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	lua_pop(L, 1);
	lua_pushvalue(L, -1);
	lua_pushboolean(L, true);
	lua_rawset(L, walk->seen);
	if (lua_type(L, -1) == LUA_TTABLE) {
		walk_table(L, walk, depth);
		return;
	}
	walk->functions++;
	row = find_row(sandbox_of(L), lua_tocfunction(L, -1), name);
	if (row < 0) {
		walk->unknown++;
		diag("%s has no row in exposed[]", name);
	} else {
		walk->rows[row] = true;
	}
}

static int walk_globals(lua_State *L)
{
	struct walk *walk = lua_touserdata(L, 1);

	lua_newtable(L);
	walk->seen = lua_gettop(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	walk_value(L, walk, "_G", 0);
	lua_pop(L, 1);
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1); /* operators on strings call what is in there */
	walk_value(L, walk, "string metatable", 0);
	return 0;
}

static struct sandbox *new_sandbox(void)
{
	struct script_budget budget = SCRIPT_BUDGET_DEFAULT;
	struct sandbox *sandbox;

	budget.time_ms = (int64_t)((double)budget.time_ms * slowness());
	sandbox = sandbox_new("t.lua", &budget);
	if (!sandbox)
		bail_out("no sandbox");
	return sandbox;
}

static void test_walk(void)
{
	struct sandbox *sandbox = new_sandbox();
	struct walk walk = {0};
	int rows = 0, missing = 0, bad = 0;

	is_int(sandbox_run(sandbox, walk_globals, &walk, false), 0, "the walk: %s", sandbox->error);
	ok(walk.functions > 80, "%d functions are reached", walk.functions);
	is_int(walk.unknown, 0, "each has its row");
	for (; exposed[rows].name; rows++) {
		if (!walk.rows[rows]) {
			missing++;
			diag("%s.%s is in the table and not reached", exposed[rows].library,
			     exposed[rows].name);
		}
		bad += !exposed[rows].bound || !exposed[rows].bound[0] || !exposed[rows].help ||
		       !exposed[rows].help[0];
	}
	is_int(missing, 0, "each row is reached");
	is_int(bad, 0, "each row has a bound and a help");
	ok(rows < SANDBOX_FUNCTIONS_MAX, "there is room for %d rows", rows);
	sandbox_free(sandbox);
}

/* A function that slips in is found: the walk must be able to fail. */
static int add_stranger(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_pushcfunction(L, luaopen_os);
	lua_setfield(L, -2, "stranger");
	return 0;
}

static void test_stranger(void)
{
	struct sandbox *sandbox = new_sandbox();
	struct walk walk = {0};

	sandbox_run(sandbox, add_stranger, NULL, false);
	sandbox_run(sandbox, walk_globals, &walk, false);
	is_int(walk.unknown, 1, "a function without a row is found");
	sandbox_free(sandbox);
}

/* --- each function with hostile arguments ---------------------------------------------------------- */

/* A table of values and a loop over all pairs and triples of them; FUNCTION is the one at hand. */
static const char hostile[] =
	"local big = ('x'):rep(200000)\n"
	"local spaces = (' '):rep(200000)\n"
	"local long = {} for i = 1, 20000 do long[i] = i % 7 end\n"
	"local liar = setmetatable({}, {__len = function() return 1 << 50 end, __index = function(t, k) "
	"return k end, __lt = function() return true end, __tostring = function() return big end,\n"
	"  __pairs = function(t) return function(t, k) return (k or 0) + 1, 1 end, t end})\n"
	"local values = {1 << 62, -(1 << 62), 0, 1, 0/0, 1/0, big, spaces, '%s', '.-.-.-b', '%f[', "
	"'c1000000000', long, liar, {}, true, function() return true end,\n"
	"  function() error('no') end, coroutine.create(function() coroutine.yield() end)}\n"
	"return function(target, first)\n"
	"  local n = #values\n"
	"  pcall(target)\n"
	"  pcall(target, values[first])\n"
	"  for i = 1, n do pcall(target, values[first], values[i]) end\n"
	"  for i = 1, n, 2 do for k = 1, n, 3 do pcall(target, values[first], values[i], values[k]) end "
	"end\n"
	"end, #values\n";

struct attack {
	int row;
	int first; /* argument */
	int count; /* of first arguments */
};

static int prepare(lua_State *L)
{
	struct attack *attack = lua_touserdata(L, 1);

	sandbox_compile(L, hostile, sizeof(hostile) - 1, "@t.lua");
	lua_call(L, 0, 2);
	attack->count = (int)lua_tointeger(L, -1);
	lua_pop(L, 1);
	lua_setfield(L, LUA_REGISTRYINDEX, "attack");
	return 0;
}

static int run_attack(lua_State *L)
{
	struct attack *attack = lua_touserdata(L, 1);
	const struct exposed *row = &exposed[attack->row];

	lua_getfield(L, LUA_REGISTRYINDEX, "attack");
	if (row->library[0] == '(') {
		lua_pushcfunction(L, sandbox_of(L)->functions[attack->row]);
	} else {
		lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
		if (row->library[0])
			lua_getfield(L, -1, row->library);
		lua_getfield(L, -1, row->name);
		lua_replace(L, 3);
		lua_settop(L, 3);
	}
	lua_pushinteger(L, attack->first);
	lua_call(L, 2, 0);
	return 0;
}

static void test_hostile_arguments(void)
{
	/* budget, the longest C call, and the machine */
	const double limit_ms = (50 + CALL_MS) * slowness();
	int rows = 0;

	while (exposed[rows].name)
		rows++;
	for (int row = 0; row < rows; row++) {
		struct attack attack = {.row = row};
		double worst_ms = 0;
		struct sandbox *sandbox = NULL;
		int step = slowness() > 20 ? 4 : 1;

		for (attack.first = 1; attack.first == 1 || attack.first <= attack.count;
		     attack.first += step) {
			double began_ms;

			if (!sandbox || sandbox->killed == SANDBOX_MEMORY) {
				sandbox_free(sandbox);
				sandbox = new_sandbox();
				if (sandbox_run(sandbox, prepare, &attack, false) < 0)
					bail_out("%s", sandbox->error);
			}
			began_ms = cpu_ms();
			sandbox_run(sandbox, run_attack, &attack, false);
			if (cpu_ms() - began_ms > worst_ms)
				worst_ms = cpu_ms() - began_ms;
		}
		sandbox_free(sandbox);
		ok(worst_ms < limit_ms, "%s.%s with hostile arguments ends in time",
		   exposed[row].library, exposed[row].name);
		if (worst_ms >= limit_ms || getenv("SHOW"))
			diag("%s.%s: %.1f ms", exposed[row].library, exposed[row].name, worst_ms);
	}
}

/* --- two policies ---------------------------------------------------------------------------------- */

static void test_apart(void)
{
	struct arena arena = {0};
	struct gantry_spec spec;
	struct script_request request;
	struct script_decision decision;
	struct gantry_error err = {0};
	struct script_set *set;

	policy_write("a.lua",
		     "shared = {1} string_of_a = 'a' return { admit = function() shared.x = 1 "
		     "return true end }");
	policy_write("b.lua",
		     "return { admit = function(req) return not pcall(function() return shared "
		     "end), 'sees a' end }");
	set = policy_load_set();
	policy_remove("a.lua");
	policy_remove("b.lua");
	policy_spec("{\"image\":\"a\"}", &arena, &spec);
	request = policy_request(&spec, &arena);
	script_decision_init(&decision, set, &request, 1);
	is_int(script_admit(set, &request, &decision, &err), 0,
	       "a policy does not see another's globals");
	script_decision_fini(&decision);
	script_set_free(set);
	arena_fini(&arena);
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR); /* print is called with all that is hostile, too */
	policy_start();
	test_walk();
	test_stranger();
	test_hostile_arguments();
	test_apart();
	policy_stop();
	done_testing();
	return tap_end();
}

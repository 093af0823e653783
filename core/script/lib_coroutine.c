/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coroutines that a killed script cannot go on in: whoever resumed a killed coroutine raises on, and
 * nobody closes it (its pending __close would run with hooks off).
 */
#include "script/event_call.h"
#include "script/exposed.h"

#define CLOSE_DEPTH_MAX 16 /* Lua 5.4.4 does not count C calls over a close */

static lua_State *check_coroutine(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1);

	luaL_argexpected(L, co, 1, "coroutine");
	return co;
}

int coroutine_create(lua_State *L)
{
	lua_State *co;

	luaL_checktype(L, 1, LUA_TFUNCTION);
	sandbox_charge(L, 100);
	co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	return 1;
}

/* Moves count arguments over, resumes; returns how many results are on L, or -1 with the error there. */
static int resume(lua_State *L, lua_State *co, int count)
{
	struct sandbox *sandbox = sandbox_of(L);
	int status, results;

	sandbox_charge(L, 20);
	if (!lua_checkstack(co, count)) {
		lua_pushliteral(L, "too many arguments to resume");
		return -1;
	}
	lua_xmove(L, co, count);
	sandbox_switch(sandbox, co);
	status = lua_resume(co, L, count, &results);
	sandbox_switch(sandbox, L);
	if (sandbox->killed)
		sandbox_raise(L);
	if (status != LUA_OK && status != LUA_YIELD) {
		lua_xmove(co, L, 1);
		return -1;
	}
	if (!lua_checkstack(L, results + 1)) {
		lua_pop(co, results);
		lua_pushliteral(L, "too many results to resume");
		return -1;
	}
	lua_xmove(co, L, results);
	return results;
}

int coroutine_resume(lua_State *L)
{
	lua_State *co = check_coroutine(L);
	int results = resume(L, co, lua_gettop(L) - 1);

	if (results < 0) {
		lua_pushboolean(L, false);
		lua_insert(L, -2);
		return 2;
	}
	lua_pushboolean(L, true);
	lua_insert(L, -(results + 1));
	return results + 1;
}

/* Ends a coroutine; its pending __close functions run. The status; an error is left on co. */
static int end(lua_State *L, lua_State *co)
{
	struct sandbox *sandbox = sandbox_of(L);
	int status;

	sandbox_charge(L, 20);
	if (sandbox->close_depth >= CLOSE_DEPTH_MAX)
		luaL_error(L, "coroutines that close coroutines, %d deep", CLOSE_DEPTH_MAX);
	sandbox->close_depth++;
	sandbox_switch(sandbox, co);
	status = lua_resetthread(co);
	sandbox_switch(sandbox, L);
	sandbox->close_depth--;
	if (sandbox->killed)
		sandbox_raise(L);
	return status;
}

int coroutine_close(lua_State *L)
{
	lua_State *co = check_coroutine(L);
	lua_Debug ar;

	if (co == L || (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar)))
		return luaL_error(L, "cannot close a running coroutine");
	if (end(L, co) == LUA_OK) {
		lua_pushboolean(L, true);
		return 1;
	}
	lua_pushboolean(L, false);
	lua_xmove(co, L, 1);
	return 2;
}

static int wrapped(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(1));
	int results = resume(L, co, lua_gettop(L)), status;

	if (results >= 0)
		return results;
	status = lua_status(co);
	if (status != LUA_OK && status != LUA_YIELD && end(L, co) != LUA_OK)
		lua_xmove(co, L, 1); /* the error may be another one now */
	if (lua_type(L, -1) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

int coroutine_wrap(lua_State *L)
{
	coroutine_create(L);
	lua_pushcclosure(L, wrapped, 1);
	return 1;
}

/* The coroutine that an event hook runs in is ours: nobody would resume it. */
int coroutine_yield(lua_State *L)
{
	const struct event_call *call = sandbox_of(L)->event;

	if (call && call->thread == L)
		return luaL_error(L, "coroutine.yield in the event hook itself, which nobody "
				     "resumes; gantry.sleep waits");
	return lua_yield(L, lua_gettop(L));
}

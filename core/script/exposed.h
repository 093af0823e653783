/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a script may call: one table, each function with its bound. Internal to script/.
 *
 * A function that is reachable from a script and has no row here fails a test. Functions of Lua's
 * own library are taken as they are where the lengths of their arguments bound them; all else is
 * ours (lib_*.c, pattern.c) and charges the budget for what it does.
 */
#ifndef SCRIPT_EXPOSED_H
#define SCRIPT_EXPOSED_H

#include "script/sandbox.h"

struct exposed {
	const char *library; /* "" for a global; in parentheses what only Lua itself calls */
	const char *name;
	lua_CFunction function; /* NULL: Lua's own as it is; exposed_charged: Lua's own, charged */
	const char *bound;      /* the worst case, in words; "n" is the length of the arguments */
	const char *help;
};

/* Ends with a row whose name is NULL. */
extern const struct exposed exposed[];

/* Charges for the arguments' length, then calls Lua's own function of the row in upvalue 1. */
int exposed_charged(lua_State *L);

/* Fills the state's globals; raises where memory is out. */
void exposed_install(lua_State *L);

/* Whether the table at index is one of those, or the globals that scripts see. */
bool exposed_is_sealed(lua_State *L, int index);
/* Pushes the table behind the globals. */
void exposed_push_globals(lua_State *L);
/* Raises where the table at index is sealed or locked. */
void exposed_check_writable(lua_State *L, int index);
/* The text of the value at index as tostring gives it, pushed; no addresses. */
const char *exposed_text(lua_State *L, int index, size_t *ret_length);

/* lib_base.c */
int base_getmetatable(lua_State *L);
int base_pairs(lua_State *L);
int base_pcall(lua_State *L);
int base_print(lua_State *L);
int base_rawset(lua_State *L);
int base_setmetatable(lua_State *L);
int base_tostring(lua_State *L);
int base_xpcall(lua_State *L);

/* lib_coroutine.c */
int coroutine_create(lua_State *L);
int coroutine_close(lua_State *L);
int coroutine_resume(lua_State *L);
int coroutine_wrap(lua_State *L);
int coroutine_yield(lua_State *L);

/* lib_string.c */
int string_format(lua_State *L);
int string_pack(lua_State *L);
int string_rep(lua_State *L);

/* lib_pattern.c */
int pattern_find(lua_State *L);
int pattern_match(lua_State *L);
int pattern_gmatch(lua_State *L);
int pattern_gsub(lua_State *L);

/* lib_table.c */
int table_concat(lua_State *L);
int table_insert(lua_State *L);
int table_move(lua_State *L);
int table_remove(lua_State *L);
int table_sort(lua_State *L);
int table_unpack(lua_State *L);

/* lib_gantry.c */
int gantry_lua_calendar(lua_State *L);
int gantry_lua_count(lua_State *L);
int gantry_lua_json(lua_State *L);
int gantry_lua_random(lua_State *L);
int gantry_lua_size(lua_State *L);
int gantry_lua_size_text(lua_State *L);

/* lib_event.c */
int event_http(lua_State *L);
int event_instance(lua_State *L);
int event_instances(lua_State *L);
int event_now(lua_State *L);
int event_sleep(lua_State *L);

#endif

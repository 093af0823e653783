/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies: facts for code that waits. What a fact (facts.h) is over may be gone after a wait; a copy has
 * the same fields with their values of when it was made, in Lua's own memory, and lives on. It is
 * read-only too, and a name that does not exist raises as with a fact. Internal to script/.
 */
#ifndef SCRIPT_COPIES_H
#define SCRIPT_COPIES_H

#include "script/facts.h"

/* Makes the metatable; raises where memory is out. */
void copies_install(lua_State *L);

/* Pushes a copy of data: an instance or an event. */
void copies_push(lua_State *L, enum fact_kind kind, const void *data);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts: what a script is told, as read-only userdata over our structs. Internal to script/.
 *
 * A fact is a kind, a pointer and the epoch it belongs to; nothing is copied. After the call
 * (sandbox_forget) a fact that a script kept raises an error when it is used. A field that is not
 * given reads as nil, one that does not exist raises with a "did you mean".
 *
 *   objects  req.image, node.engine.storage_driver; pairs() goes over the fields that are given
 *   lists    req.command[1], #req.command, ipairs(), table.concat(), table.unpack()
 *   maps     req.labels.tier, req.labels["a.b"], pairs(), #
 */
#ifndef SCRIPT_FACTS_H
#define SCRIPT_FACTS_H

#include "script/sandbox.h"

enum fact_kind {
	FACT_REQUEST,   /* struct script_request */
	FACT_SPEC,      /* struct gantry_spec; its fields are read through a request */
	FACT_RESOURCES, /* struct gantry_spec, only what `resources` may set */
	FACT_INSTANCE,
	FACT_EXIT,  /* struct script_exit */
	FACT_EVENT, /* struct event_facts; only as a copy, see copies.h */
	FACT_USAGE, /* struct fleet_usage */
	FACT_NODE,
	FACT_ENGINE, /* struct gantry_node_facts */
	FACT_MOUNT,
	FACT_PORT,
	FACT_NETWORK_PORT,
	FACT_DEVICE,
	FACT_ULIMIT,
	FACT_HEALTH,
	FACT_BLOCK_IO,
	FACT_BLOCK_LIMIT,
	FACT_LOG,
	FACT_EXEC,                   /* struct gantry_exec */
	FACT_RECORDING,              /* struct script_recording */
	FACT_LINE,                   /* struct script_line */
	FACT_OBJECTS,                /* from here on no objects */
	FACT_STRINGS = FACT_OBJECTS, /* struct gantry_strings */
	FACT_PAIRS,                  /* struct gantry_pairs */
	FACT_ENV,                    /* struct gantry_envs: values, true for a secret one */
	FACT_LIST,                   /* items of one kind */
};

/* Makes the metatable and the table of names; raises where memory is out. */
void facts_install(lua_State *L);
/* Pushes a metatable of facts, which scripts cannot get at, with these functions. */
void facts_new_metatable(lua_State *L, const luaL_Reg *functions);

/* Pushes a fact of this epoch over data (borrowed). Not for FACT_LIST. */
void facts_push(lua_State *L, enum fact_kind kind, const void *data);

struct field;
/* Pushes one field of data, nil where it is not given. */
void facts_push_field(lua_State *L, const struct field *field, const void *data);
/* Raises where facts of the kind have no field that the key at index names. */
void facts_check_field(lua_State *L, int kind, int index);

/* For facts with a metatable of their own (kept.c): what facts have, its __index, the kind of the fact
 * at index, and a new epoch for one whose data is still there. */
void facts_push_metatable(lua_State *L);
int facts_index(lua_State *L);
enum fact_kind facts_kind(lua_State *L, int index);
void facts_revive(lua_State *L, int index);

/* What the fact at index is over; raises where it is another kind or dead. */
const void *facts_check(lua_State *L, int index, enum fact_kind kind);

/* Whether the value is a list of facts, and its length; raises where it is dead. */
bool facts_is_list(lua_State *L, int index);
lua_Integer facts_length(lua_State *L, int index);

/* The keys of resource answers, NULL at the end: from the same table as the facts. */
const char *const *facts_resource_keys(void);

#endif

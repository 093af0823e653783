/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facts of a placement, which remember what was read of them. Internal to script/.
 *
 * Reading a field of a fact calls C, which costs more than all else where hooks are asked for a
 * thousand nodes. A kept fact has a metatable of its own, whose __index is a table of what was read
 * already: Lua finds it there without a call, and comes to C for the rest.
 *
 *   the request  keeps all that is read, for one placement;
 *   a node       keeps numbers and booleans, also for placements to come, until any byte of it changes.
 *
 * Where a script may hold a fact, it must be dead after the placement, as any other. So facts live on
 * only where the hooks and globals of the script, looked through after each placement, hold nothing
 * but plain values: nobody sees them in between. All others get the metatable of all facts, which
 * raises, and from then on nodes have plain facts in this sandbox.
 *
 * Memory of the sandbox: KEPT_NODE_BYTES a node, an eighth of its budget at most; the nodes behind that
 * have plain facts.
 */
#ifndef SCRIPT_KEPT_H
#define SCRIPT_KEPT_H

#include "script/sandbox.h"

#define KEPT_NODE_BYTES 768

/* The nodes of a set's last placement, byte by byte: which of them are as they were. */
struct kept_nodes {
	struct kept_node *items; /* owned */
	size_t count;
	uint64_t last_stamp;
};

struct kept_node {
	const struct node *node;    /* only compared */
	char copy[NODE_SEEN_BYTES]; /* its pointers are only compared */
	uint64_t stamp;             /* another one for each change */
};

/* Brings the stamps up to date: items[i] is about nodes[i] then. */
void kept_compare(struct kept_nodes *kept, struct node *const *nodes, size_t count);
void kept_nodes_fini(struct kept_nodes *kept);

/* Pushes the table of facts of a placement: the request at 0, kept nodes; their room may be nil. */
void kept_push(lua_State *L, const struct script_request *request, const struct kept_nodes *nodes,
	       size_t count);
/* Ends the placement: a body for sandbox_run. */
int kept_end(lua_State *L);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How nodes were a while ago: each change of a node is kept, the last PAST_CHANGES of all nodes
 * together, and taken back on copies. So a placement can be asked again over what it was asked over.
 *
 * A promise can be taken back. A node that went down, came up or told new facts cannot: it is told
 * so for that node.
 */
#ifndef MODEL_PAST_H
#define MODEL_PAST_H

#include <gantry/spec.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAST_CHANGES 2048

struct fleet;
struct node;

struct past_change {
	size_t node; /* in the fleet */
	int sign;    /* of the promise; 0: a change that cannot be taken back */
	int64_t memory_bytes, nano_cpus;
	struct past_labels *labels; /* owned; NULL: none */
};

struct past {
	struct past_change *changes; /* owned: a ring of PAST_CHANGES */
	int64_t next;                /* number of the next change: a point in time */
};

void past_init(struct past *past);
void past_fini(struct past *past);

/* A promise of the spec was counted in or out. */
void past_promised(struct past *past, size_t node, const struct gantry_spec *spec, int sign);
/* Anything else about the node has changed. */
void past_broken(struct past *past, size_t node);

/*
 * Copies of all nodes of the fleet as they were at the time. lost[i] is set where that is not known
 * of a node. -ESTALE: the time is out of memory. The copies borrow from the nodes; past_forget lets
 * go of them.
 */
int past_nodes(const struct fleet *fleet, int64_t at, struct node *ret_nodes, bool *ret_lost);
void past_forget(struct node *nodes, size_t count);

#endif

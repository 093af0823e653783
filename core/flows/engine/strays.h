/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strays: containers that a spawn left on a node that could not be asked to remove them, while the
 * instance went elsewhere or was given up. Each is removed when its node is back.
 *
 * Who they are is kept in the store, a fact a node: "ID.GENERATION …", committed before the spawn
 * goes on. The generation is part of it because each try makes a container of a new one: what the
 * instance itself has on a node is never taken for a stray. Where the list of the engine does not
 * have one, it was never made, and is forgotten.
 */
#ifndef FLOWS_STRAYS_H
#define FLOWS_STRAYS_H

#include "flows/engine/node_link.h"

void strays_init(struct node_link *link); /* from the store */
void strays_fini(struct node_link *link);
/* What the instance has on the node, if anything, is one from now on. */
void strays_add(struct node_link *link, const struct instance *instance);
/* The engine's list came: removes those that are in it, forgets the others. */
void strays_listed(struct node_link *link, const struct gantry_containers *containers);
/* It is one: not to be taken in. */
bool strays_has(const struct node_link *link, const struct gantry_container *container);

#endif

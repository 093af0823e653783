/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reach: the address of a running instance and the host's ports that the engine picked for it.
 *
 * Only an inspect tells these, and only after the start. It is made when the start has been answered, so
 * that nobody waits for it: one at a time a node, in line. What it says goes into the instance, without
 * an event. A look that fails is not repeated before the node is up anew or the process is started anew.
 */
#ifndef FLOWS_REACH_H
#define FLOWS_REACH_H

#include "flows/engine/node_link.h"

/* Where it runs and nobody knows how to reach it, its engine is asked in a while. */
void reach_look(struct daemon *daemon, struct instance *instance);
/* The same of all on the node. again: also of those that are known, as that may be old. */
void reach_look_all(struct node_link *link, bool again);

#endif

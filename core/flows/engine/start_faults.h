/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts that fail because of the node, and what that means for it.
 *
 * A node that says it has a terabyte and has none looks like the best one: each start that fails there
 * leaves it empty, and the next one comes too. So a node at which several starts failed in a row, with
 * none between that went well, is lowered for a while: it is chosen only where no other node is left.
 *
 *	3 failed in a row      lowered for 5 s
 *	then each that fails   for twice as long as the last time, at most 5 minutes
 *	one that goes well     it is a node like the others, and the count begins anew
 *
 * What fails while it is lowered counts once it is over: a burst that was under way does not make it
 * longer. A failure that the request is to blame for (no such image, a port that is taken, bad values,
 * a command that cannot be run) does not count.
 */
#ifndef FLOWS_START_FAULTS_H
#define FLOWS_START_FAULTS_H

#include "flows/engine/node_link.h"

/* The node, or the way to it, is to blame: another node may do better. */
bool start_fault_is_nodes(const struct gantry_error *err);
/* A create or a start failed there. */
void start_faults_failed(struct node_link *link, const struct gantry_error *err);
void start_faults_started(struct node_link *link);

void start_faults_init(struct node_link *link);
void start_faults_close(struct node_link *link);

#endif

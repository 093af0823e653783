/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the engine still there? Asked before the restart hook is.
 *
 * An engine that goes down in order closes its socket first. Then it ends its containers one by one, tells
 * of each as of any exit, and would start one again on a connection that stands: what it starts then is
 * lost to it, and may stand in the way of every later start. So after an exit the engine is asked for a
 * sign on a new connection:
 *
 *	it answers          it was no end of the engine's: the hook is asked
 *	it does not         the node is taken down, the exit has the cause `engine`, and the hook is asked
 *	                    when the node is up again
 *
 * One ping at a time a node serves all that came before it; who comes meanwhile waits for the next.
 */
#ifndef FLOWS_STILL_THERE_H
#define FLOWS_STILL_THERE_H

#include "flows/engine/node_link.h"

/* The node is up. restarts_engine_there or restarts_engine_gone is called later, or neither where the
 * instance is gone by then. */
void still_there_ask(struct node_link *link, struct instance *instance);
/* The node went down: all who wait are told. */
void still_there_lost(struct node_link *link);

#endif

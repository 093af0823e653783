/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takeover: making what we believe equal to what an engine holds, each time a node comes up.
 *
 *	1. instances that were unknown are again what they were
 *	2. a container of an instance that we know is given to it; strays are removed (strays.h)
 *	   and where its node was renamed in the settings, it is this node's from now on
 *	3. a container that nobody knows is inspected and taken in (the store was lost)
 *	4. what differs for known ones then comes as events of the watch, seen or inferred
 *	5. flows that were interrupted go on
 */
#ifndef FLOWS_TAKEOVER_H
#define FLOWS_TAKEOVER_H

#include "flows/engine/node_link.h"

/* What we believe to be on the node, for the watch. In the arena. */
void takeover_known(struct node_link *link, struct arena *arena,
		    struct gantry_containers *ret_known);
/* Steps 1 to 3; done is called at once or later. containers are borrowed for the call. */
void takeover_begin(struct node_link *link, const struct gantry_containers *containers,
		    void (*done)(struct node_link *link));
/* The container's label, NULL where it has none. */
const char *takeover_label(const struct gantry_container *container, const char *name);
/* Every node was tried once: flows that need none go on. Called at each node's first result. */
void takeover_node_tried(struct daemon *daemon);

/* Puts in the anchors that moved, those before an exit that is not recorded yet: a daemon that is
 * killed then hears of it again. For the same reason rows that a failed commit has left out
 * go in with them. */
void takeover_put_anchors(struct daemon *daemon, struct store_batch *batch);
/* Commits a batch with its events; a failure is logged. Also keeps the anchors that moved. */
void takeover_commit(struct daemon *daemon, struct store_batch *batch);

#endif

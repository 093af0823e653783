/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What instances use, as it goes on: one stream from the engine an instance, however many follow it, and none where
 * nobody does.
 */
#ifndef FLOWS_USAGE_H
#define FLOWS_USAGE_H

#include <gantry/runtime.h>

#include "flows/daemon.h"
#include "model/instance.h"

struct node_link;
struct usage_stream;

/* Embedded in its owner. */
struct usage_follower {
	struct list link;
	struct usage_stream *stream; /* borrowed; NULL: it follows none */
	struct loop_later later;     /* it is to be given the last reading */
	void (*reading)(struct usage_follower *follower, const struct gantry_stats *stats);
	/* Once, off the stream. err NULL: the process has ended. */
	void (*ended)(struct usage_follower *follower, const struct gantry_error *err);
};

/* Of an instance whose process runs. The last reading, where there is one, comes at once, but not from inside. -ENOTSUP. */
int usage_follow(struct daemon *daemon, const struct instance *instance,
		 const struct node_link *link, struct usage_follower *follower,
		 struct gantry_error *err);
void usage_unfollow(struct usage_follower *follower); /* nothing is called after */

/* What a plugin filled; one that is older than the core knows less. size: of its struct, see runtime.h. */
struct gantry_stats usage_known(const void *filled, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload of the policies: on a change in their folder, or where somebody asks.
 *
 * The new set is compiled, checked and self-tested by a thread beside the old one, and swapped on the loop between
 * two events. A bad set changes nothing: the old one stays in force, and the error is in the log, in
 * `policy status` and in `doctor` until a good one is loaded. One reload at a time; a change that
 * comes meanwhile makes one more.
 */
#ifndef FLOWS_POLICY_RELOAD_H
#define FLOWS_POLICY_RELOAD_H

#include "flows/daemon.h"

struct reload_waiter {
	struct list link;
	/* err NULL: the set in force is that of the folder. Off the list already. */
	void (*done)(struct reload_waiter *waiter, const struct gantry_error *err);
};

/* Begins to watch the folder. A folder that cannot be watched is logged; reload by hand works. */
void policy_reload_open(struct daemon *daemon);
void policy_reload_close(struct daemon *daemon);
/* Reloads. waiter may be NULL; it may be taken off its list at any time. */
void policy_reload(struct daemon *daemon, struct reload_waiter *waiter);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of type instance: the filesystem of one that is stopped in another, of its project and on its node.
 * A filesystem is mounted once: neither starts while the process of the other is there, and meanwhile
 * the one whose it is can neither be removed nor looked into.
 */
#ifndef FLOWS_BORROW_H
#define FLOWS_BORROW_H

#include "flows/flow.h"

/* Of a new instance: what its mounts call by name is called by id from now on. */
int borrow_resolve(struct daemon *daemon, struct instance *instance, struct gantry_error *err);
/* The node that has what it mounts; NULL: it mounts nothing of others, or that has gone. */
const char *borrow_node(const struct daemon *daemon, const struct gantry_spec *spec);
/* The spec as a runtime has it, with containers for ids; in the flow's arena. */
int borrow_containers(struct flow *flow, struct gantry_spec *ret_spec, struct gantry_error *err);
/* -EBUSY: the process of another is there that has, or whose filesystem is, mounted. */
int borrow_check_start(const struct daemon *daemon, const struct instance *instance,
		       struct gantry_error *err);
/* -EBUSY: its filesystem is mounted in another. */
int borrow_check(const struct daemon *daemon, const struct instance *instance,
		 struct gantry_error *err);

#endif

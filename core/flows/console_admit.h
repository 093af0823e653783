/* SPDX-License-Identifier: Apache-2.0 */
/* May somebody sit at an instance's process, or start one beside it? */
#ifndef FLOWS_CONSOLE_ADMIT_H
#define FLOWS_CONSOLE_ADMIT_H

#include <gantry/runtime.h>

#include "flows/flows.h"

struct node_link;

/* Whether it can be done now. -EAGAIN, -EHOSTUNREACH, -EBUSY, -ENOTSUP. */
int console_check(struct daemon *daemon, const struct instance *instance,
		  const struct node_link **ret_link, struct gantry_error *err);
/* Asks policies for "attach", or with an exec for that; the decision is kept. -EACCES. */
int console_admit(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		  const struct gantry_exec *exec, struct gantry_error *err);

#endif

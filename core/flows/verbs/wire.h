/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of networks in flows: "wire" before a start, "finish" after it. */
#ifndef FLOWS_WIRE_H
#define FLOWS_WIRE_H

#include "flows/flow.h"

#define STEP_WIRE_MS   60000
#define WIRE_NO_PLUGIN "no plugin that wires ports is loaded: name net in plugins of gantry.lua"

bool step_wire_wanted(const struct flow *flow); /* the instance has ports */
void step_wire(struct flow *flow);
/* The ends that no engine has taken, or that it gave back, go. */
void step_unwire(struct flow *flow);
void step_wire_undo(struct flow *flow);

/* What the engine cannot be given. A process that has ended meanwhile needs nothing more. */
bool step_finish_wanted(const struct flow *flow);
void step_finish(struct flow *flow);

/* -ENOTSUP: the node's plugin has no such call. */
int wire_not_offered(const char *node, struct gantry_error *err);

/* Whether such ports can be had: there is a plugin that wires, and no other instance has one of them. */
int wire_check(struct daemon *daemon, const struct instance *instance,
	       const struct gantry_spec *spec, struct gantry_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network role: wires the ports of an instance at each of its starts, whoever asked for it.
 *
 * A port has two ends: one on the node, plugged into a bridge, and one that is the interface inside. The plugin
 * makes both. An engine comes for the inner one by a network driver of its own, which the plugin is: at
 * each start the engine asks it, and has the interface inside before the first instruction of the program.
 *
 *	plug    before a start: the ends are made, and the engine is told which endpoints to ask for
 *	finish  after it: what the engine cannot do
 *	unplug  where no engine came for it; where one did, it tells when it lets go
 *
 * All are repeated without harm. What is unplugged already is unplugged.
 */
#ifndef GANTRY_NETWORK_H
#define GANTRY_NETWORK_H

#include <gantry/runtime.h>

/* What is wrong with a port. */
struct gantry_finding {
	const char *port; /* its id */
	const char *text;
};

struct gantry_findings {
	struct gantry_finding *items;
	size_t count;
};

/* Of one instance. Borrowed until the op has ended. */
struct gantry_wiring {
	const char *instance; /* its id */
	const struct gantry_network_ports *ports;
	int64_t pid; /* of a process of it; 0: it does not run */
};

struct gantry_network {
	uint32_t size; /* of this struct in the plugin */

	/* First, once. Engines of this host are served from now on; owner tells our things from those of others. */
	int (*serve)(void *plugin, const char *owner, struct gantry_error *err);
	/* Last, once, after every op has ended. */
	void (*stop)(void *plugin);
	/* struct gantry_endpoints, in the order of the ports. -ENODEV: there is no such bridge. */
	void (*plug)(void *plugin, const struct gantry_wiring *wiring, struct gantry_op *op);
	void (*finish)(void *plugin, const struct gantry_wiring *wiring, struct gantry_op *op);
	void (*unplug)(void *plugin, const struct gantry_wiring *wiring, struct gantry_op *op);
	/* struct gantry_findings: none where all is as it should be. */
	void (*examine)(void *plugin, const struct gantry_wiring *wiring, struct gantry_op *op);
};

#endif

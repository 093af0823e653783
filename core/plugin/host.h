/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's side of a plugin: the function table of gantry/host.h over ops, the HTTP client and the
 * loop's timers. One for each plugin, so that what is under way is known by plugin: at its close
 * nothing may be left.
 */
#ifndef PLUGIN_HOST_H
#define PLUGIN_HOST_H

#include <gantry/host.h>

#include "loop/loop.h"

struct gantry_core;

/* name is borrowed and put in front of the plugin's log lines. Never NULL. */
struct gantry_core *host_open(struct loop *loop, const char *name);
/* The table to pass to `open`; valid until host_close. */
const struct gantry_host *host_table(struct gantry_core *core);
/* HTTP exchanges, timers, work and watches that the plugin has not seen the end of. */
size_t host_pending(const struct gantry_core *core);
/* Calls fn for each: "GET http://localhost/events?…", "timer". */
void host_walk(struct gantry_core *core, void (*fn)(void *arg, const char *name, int64_t age_ms),
	       void *arg);
/*
 * Timers and watches that are left are stopped and told in the log as a defect of the plugin. Exchanges
 * and work that are left would call into it later: then -EBUSY, and everything stays.
 */
int host_close(struct gantry_core *core);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading plugins: the file, its one symbol, the check of its ABI, its options, open and close.
 *
 * Same major, any minor. The plugin's struct is copied up to the smaller of its size and ours; what is
 * missing at its end is NULL, that is, not offered. The table of a role is copied likewise. Both
 * copies are the plugin's, here, so that callers never look at the size.
 */
#ifndef PLUGIN_LOADER_H
#define PLUGIN_LOADER_H

#include <gantry/error.h>
#include <gantry/plugin.h>

#include "base/json.h"
#include "loop/loop.h"

struct plugin;

/*
 * Loads the file, applies values (the plugin's options from the settings, or NULL) to its option
 * table, and opens it. where is what gantry.lua calls the place of the values ("plugins.docker"): it
 * is in front of err->field. Errors name the file, what was found and what is wanted: -ENOENT (no such
 * file), -ENOEXEC (no plugin), -EPROTO (another ABI), -EINVAL and -ERANGE (options), or what open
 * returned.
 */
int plugin_load(struct loop *loop, const char *path, struct json_object *values, const char *where,
		struct plugin **ret_plugin, struct gantry_error *err);
/* As above, for a plugin that is linked in; from is what errors call it. For tests. */
int plugin_load_static(struct loop *loop, const struct gantry_plugin *offer, const char *from,
		       struct json_object *values, const char *where, struct plugin **ret_plugin,
		       struct gantry_error *err);
/*
 * Closes and unloads. All ops and nodes of it must have ended: -EBUSY where exchanges of it are still
 * under way (host_walk names them); then nothing happened.
 */
int plugin_unload(struct plugin *plugin);

const char *plugin_name(const struct plugin *plugin);
/* The plugin's struct as we hold it: ours in size, the tail zero. */
const struct gantry_plugin *plugin_info(const struct plugin *plugin);
struct gantry_core *plugin_core(struct plugin *plugin);
/* NULL: it has no such role. */
const struct gantry_runtime *plugin_runtime(const struct plugin *plugin);
/* Likewise; *ret_handle is what its operations are called with. */
const struct gantry_logger *plugin_logger(const struct plugin *plugin, void **ret_handle);
const struct gantry_network *plugin_network(const struct plugin *plugin, void **ret_handle);

/*
 * Opens a node of a plugin with the runtime role. values: the node's own keys, without those of the
 * core (plugin, labels, drained, memory, cpus, overcommit); NULL: none. err->field begins with
 * "nodes.NAME". *ret_node is the plugin's; close it with plugin_runtime(plugin)->node_close.
 */
int plugin_node_open(struct plugin *plugin, const char *name, struct json_object *values,
		     const char *owner, void **ret_node, struct gantry_error *err);

/*
 * Opens a sink of a plugin with the logger role; values: its keys without those of the core. where is as
 * of plugin_load ("logs.sinks[1]"), and what lost is, is told in gantry/logger.h. *ret_kind is the plugin's, and closes it.
 */
int plugin_sink_open(struct plugin *plugin, const char *kind, const char *name,
		     struct json_object *values, const char *where,
		     void (*lost)(void *arg, const struct gantry_error *err), void *arg,
		     const struct gantry_log_kind **ret_kind, void **ret_sink,
		     struct gantry_error *err);

#endif

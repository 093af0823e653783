/* SPDX-License-Identifier: Apache-2.0 */
/* The plugins that are loaded, by name. A name is loaded once. */
#ifndef PLUGIN_REGISTRY_H
#define PLUGIN_REGISTRY_H

#include "plugin/loader.h"

struct plugin_registry {
	struct loop *loop;     /* borrowed */
	char *folder;          /* owned: where NAME.so are */
	struct plugin **items; /* owned */
	size_t count;
};

/* No I/O. folder NULL: only paths can be loaded. */
void plugin_registry_init(struct plugin_registry *registry, struct loop *loop, const char *folder);
/*
 * Loads FOLDER/NAME.so with the options of the settings' plugins.NAME; does nothing where it is loaded.
 * The error of a file that is not there lists those that are.
 */
int plugin_registry_load(struct plugin_registry *registry, const char *name,
			 struct json_object *values, struct plugin **ret_plugin,
			 struct gantry_error *err);
/* Loads each plugin of the folder, without options from settings; one that cannot be is logged. */
void plugin_registry_load_all(struct plugin_registry *registry);
/*
 * Where plugins are unless the settings say so: beside the program where it was built, in
 * ../lib/gantry/plugins where it was installed. The caller frees.
 */
char *plugin_registry_folder(void);
/* NULL: not loaded. */
struct plugin *plugin_registry_find(const struct plugin_registry *registry, const char *name);
/* Unloads all; their nodes are closed and their ops ended. -EBUSY: some had work left and stay loaded. */
int plugin_registry_fini(struct plugin_registry *registry);

#endif

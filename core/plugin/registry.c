/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/registry.h"
#include "base/beside.h"
#include "base/log.h"
#include "base/str.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

void plugin_registry_init(struct plugin_registry *registry, struct loop *loop, const char *folder)
{
	*registry = (struct plugin_registry){.loop = loop, .folder = xstrdup(folder)};
}

struct plugin *plugin_registry_find(const struct plugin_registry *registry, const char *name)
{
	for (size_t i = 0; i < registry->count; i++)
		if (str_equal(plugin_name(registry->items[i]), name))
			return registry->items[i];
	return NULL;
}

static int is_plugin(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

/* Calls fn with the name of each plugin of the folder, in the order of names. */
static void walk_folder(const char *folder, void (*fn)(void *arg, const char *name), void *arg)
{
	struct dirent **entries = NULL;
	int count = folder ? scandir(folder, &entries, is_plugin, alphasort) : 0;

	for (int i = 0; i < count; i++) {
		char *name = entries[i]->d_name;

		name[strlen(name) - 3] = '\0';
		fn(arg, name);
		free(entries[i]);
	}
	free(entries);
}

/* "build, docker" */
static void add_name(void *arg, const char *name)
{
	struct str *names = arg;

	str_addf(names, "%s%s", names->length ? ", " : "", name);
}

static int not_there(const struct plugin_registry *registry, const char *name,
		     struct gantry_error *err)
{
	const char *folder = registry->folder ? registry->folder : "(no plugin folder)";
	struct str names = STR_INIT;
	int code;

	walk_folder(registry->folder, add_name, &names);
	code = gantry_error_set(err, -ENOENT, "there is no plugin \"%s\" in %s; it has: %s", name,
				folder, names.length ? str_text(&names) : "none");
	str_fini(&names);
	return code;
}

int plugin_registry_load(struct plugin_registry *registry, const char *name,
			 struct json_object *values, struct plugin **ret_plugin,
			 struct gantry_error *err)
{
	struct plugin *plugin = plugin_registry_find(registry, name);
	char *path, *where;
	int code;

	if (plugin) {
		*ret_plugin = plugin;
		return 0;
	}
	if (!registry->folder || strchr(name, '/'))
		return not_there(registry, name, err);
	path = xasprintf("%s/%s.so", registry->folder, name);
	where = xasprintf("plugins.%s", name);
	code = access(path, F_OK) < 0
		       ? not_there(registry, name, err)
		       : plugin_load(registry->loop, path, values, where, &plugin, err);
	if (code == 0 && !str_equal(plugin_name(plugin), name)) {
		code = gantry_error_set(
			err, -EINVAL,
			"%s: holds a plugin named \"%s\"; the file must be named after it", path,
			plugin_name(plugin));
		plugin_unload(plugin);
	}
	free(path);
	free(where);
	if (code < 0)
		return code;
	registry->items =
		xrealloc(registry->items, (registry->count + 1) * sizeof(struct plugin *));
	registry->items[registry->count++] = plugin;
	*ret_plugin = plugin;
	return 0;
}

static void load_one(void *arg, const char *name)
{
	struct gantry_error err;
	struct plugin *plugin;

	if (plugin_registry_load(arg, name, NULL, &plugin, &err) < 0)
		log_error("%s", err.text);
}

void plugin_registry_load_all(struct plugin_registry *registry)
{
	walk_folder(registry->folder, load_one, registry);
}

char *plugin_registry_folder(void)
{
	return beside_program("plugins", "lib/gantry/plugins");
}

int plugin_registry_fini(struct plugin_registry *registry)
{
	size_t kept = 0;

	for (size_t i = 0; i < registry->count; i++)
		if (plugin_unload(registry->items[i]) < 0)
			registry->items[kept++] = registry->items[i];
	registry->count = kept;
	if (kept > 0)
		return -EBUSY;
	free(registry->items);
	free(registry->folder);
	*registry = (struct plugin_registry){0};
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/registry.h"
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

/* "build, docker" */
static void list_folder(const char *folder, struct str *names)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		size_t length = strlen(entries[i]->d_name);

		if (length > 3 && strcmp(entries[i]->d_name + length - 3, ".so") == 0)
			str_addf(names, "%s%.*s", names->length ? ", " : "", (int)length - 3,
				 entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

static int not_there(const struct plugin_registry *registry, const char *name,
		     struct gantry_error *err)
{
	const char *folder = registry->folder ? registry->folder : "(no plugin folder)";
	struct str names = STR_INIT;
	int code;

	if (registry->folder)
		list_folder(registry->folder, &names);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/loader.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/option.h"
#include "base/str.h"
#include "plugin/host.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

struct plugin {
	struct gantry_plugin info;     /* a copy; what it points to is the plugin's */
	struct gantry_runtime runtime; /* a copy; size 0: no such role */
	struct gantry_logger logger;   /* likewise */
	struct gantry_network network; /* likewise */
	char *path;                    /* owned */
	void *library;                 /* of dlopen, owned; NULL: linked in */
	void *handle;                  /* the plugin's own, owned: close */
	struct gantry_core *core;      /* owned */
	struct arena arena;            /* settings of the plugin and of its nodes */
};

/* With a struct that ends before this nothing can be done. */
#define PLUGIN_SIZE_LEAST   (offsetof(struct gantry_plugin, close) + sizeof(void (*)(void)))
#define RUNTIME_SIZE_LEAST  (offsetof(struct gantry_runtime, inspect) + sizeof(void (*)(void)))
#define RUNTIME_MINOR_LEAST 13 /* struct gantry_node_facts has grown */
#define LOGGER_MINOR_LEAST  11 /* struct gantry_log_line has grown, and comes in rows */
#define LOGGER_SIZE_LEAST   (offsetof(struct gantry_logger, removed) + sizeof(void (*)(void)))

#define NETWORK_SIZE_LEAST (offsetof(struct gantry_network, examine) + sizeof(void (*)(void)))

static const struct gantry_option no_options[] = {{0}};

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* What every runtime must offer. The name of the first that is missing, or NULL. */
static const char *missing_operation(const struct gantry_runtime *runtime)
{
#define NEED(operation)                                                                            \
	if (!runtime->operation)                                                                   \
	return #operation
	NEED(node_open);
	NEED(node_close);
	NEED(probe);
	NEED(list);
	NEED(watch);
	NEED(create);
	NEED(start);
	NEED(kill);
	NEED(wait);
	NEED(remove);
	NEED(inspect);
#undef NEED
	return NULL;
}

static int check_minor(const struct plugin *plugin, unsigned least, const char *what,
		       const char *from, struct gantry_error *err)
{
	if (plugin->info.abi_minor >= least)
		return 0;
	return gantry_error_set(err, -EPROTO,
				"%s: built for plugin ABI %u.%u, whose %s have another size; build "
				"it anew against these headers",
				from, plugin->info.abi_major, plugin->info.abi_minor, what);
}

static int take_runtime(struct plugin *plugin, const char *from, struct gantry_error *err)
{
	const struct gantry_runtime *offer = plugin->info.runtime;
	const char *missing;

	if (!offer)
		return 0;
	if (offer->size < RUNTIME_SIZE_LEAST)
		return gantry_error_set(
			err, -EPROTO, "%s: its runtime table has %u bytes; at least %zu are wanted",
			from, offer->size, RUNTIME_SIZE_LEAST);
	if (check_minor(plugin, RUNTIME_MINOR_LEAST, "facts of a node", from, err) < 0)
		return -EPROTO;
	memcpy(&plugin->runtime, offer, smaller(offer->size, sizeof(plugin->runtime)));
	plugin->runtime.size = sizeof(plugin->runtime);
	missing = missing_operation(&plugin->runtime);
	if (missing)
		return gantry_error_set(
			err, -EPROTO,
			"%s: its runtime lacks \"%s\", which every runtime must offer", from,
			missing);
	return 0;
}

static int take_logger(struct plugin *plugin, const char *from, struct gantry_error *err)
{
	const struct gantry_logger *offer = plugin->info.logger;

	if (!offer)
		return 0;
	if (offer->size < LOGGER_SIZE_LEAST)
		return gantry_error_set(
			err, -EPROTO, "%s: its logger table has %u bytes; at least %zu are wanted",
			from, offer->size, LOGGER_SIZE_LEAST);
	if (check_minor(plugin, LOGGER_MINOR_LEAST, "lines of logs", from, err) < 0)
		return -EPROTO;
	memcpy(&plugin->logger, offer, smaller(offer->size, sizeof(plugin->logger)));
	plugin->logger.size = sizeof(plugin->logger);
	if (!offer->read || !offer->resume || !offer->close || !offer->started || !offer->ended ||
	    !offer->removed)
		return gantry_error_set(err, -EPROTO,
					"%s: its logger lacks an operation; every one is needed",
					from);
	return 0;
}

static int take_network(struct plugin *plugin, const char *from, struct gantry_error *err)
{
	const struct gantry_network *offer = plugin->info.network;

	if (!offer)
		return 0;
	if (offer->size < NETWORK_SIZE_LEAST)
		return gantry_error_set(
			err, -EPROTO, "%s: its network table has %u bytes; at least %zu are wanted",
			from, offer->size, NETWORK_SIZE_LEAST);
	memcpy(&plugin->network, offer, smaller(offer->size, sizeof(plugin->network)));
	plugin->network.size = sizeof(plugin->network);
	if (!offer->serve || !offer->stop || !offer->plug || !offer->finish || !offer->unplug ||
	    !offer->examine)
		return gantry_error_set(err, -EPROTO,
					"%s: its network lacks an operation; every one is needed",
					from);
	return 0;
}

static int take_info(struct plugin *plugin, const struct gantry_plugin *offer, const char *from,
		     struct gantry_error *err)
{
	if (offer->abi_major != GANTRY_ABI_MAJOR)
		return gantry_error_set(
			err, -EPROTO,
			"%s: built for plugin ABI %u.%u; this gantryd wants %d.x: build it anew against these headers",
			from, offer->abi_major, offer->abi_minor, GANTRY_ABI_MAJOR);
	if (offer->size < PLUGIN_SIZE_LEAST)
		return gantry_error_set(
			err, -EPROTO,
			"%s: its struct gantry_plugin has %u bytes; at least %zu are wanted", from,
			offer->size, PLUGIN_SIZE_LEAST);
	memcpy(&plugin->info, offer, smaller(offer->size, sizeof(plugin->info)));
	plugin->info.size = sizeof(plugin->info);
	if (!plugin->info.name || !plugin->info.name[0])
		return gantry_error_set(err, -EPROTO, "%s: it has no name", from);
	if (!plugin->info.open || !plugin->info.close)
		return gantry_error_set(err, -EPROTO, "%s: plugin %s lacks open or close", from,
					plugin->info.name);
	if (take_runtime(plugin, from, err) < 0 || take_logger(plugin, from, err) < 0)
		return -EPROTO;
	return take_network(plugin, from, err);
}

static int apply(struct plugin *plugin, const struct gantry_option *table, size_t size,
		 struct json_object *values, const char *where, void **ret_settings,
		 struct gantry_error *err)
{
	*ret_settings = arena_alloc(&plugin->arena, size ? size : 1);
	return option_apply(table ? table : no_options, values, where, &plugin->arena,
			    *ret_settings, err);
}

static void free_plugin(struct plugin *plugin)
{
	arena_fini(&plugin->arena);
	if (plugin->library)
		dlclose(plugin->library);
	free(plugin->path);
	free(plugin);
}

static int load(struct loop *loop, struct plugin *plugin, const struct gantry_plugin *offer,
		struct json_object *values, const char *where, struct plugin **ret_plugin,
		struct gantry_error *err)
{
	void *settings = NULL;
	int code = take_info(plugin, offer, plugin->path, err);

	if (code == 0)
		code = apply(plugin, plugin->info.options, plugin->info.settings_size, values,
			     where, &settings, err);
	if (code < 0)
		goto fail;
	plugin->core = host_open(loop, plugin->info.name);
	code = plugin->info.open(host_table(plugin->core), settings, &plugin->handle, err);
	if (code < 0) {
		gantry_error_prefix(err, "plugin %s", plugin->info.name);
		if (host_close(plugin->core) < 0)
			log_error("plugin %s: failed to open and left work behind",
				  plugin->info.name);
		goto fail;
	}
	*ret_plugin = plugin;
	return 0;
fail:
	free_plugin(plugin);
	return code;
}

int plugin_load(struct loop *loop, const char *path, struct json_object *values, const char *where,
		struct plugin **ret_plugin, struct gantry_error *err)
{
	const struct gantry_plugin *offer;
	struct plugin *plugin;
	void *library;
	char *file;

	if (access(path, R_OK) < 0) {
		int code = -errno;

		return gantry_error_set(err, code, "%s: %s", path, strerror(-code));
	}
	/* without a slash dlopen would search the system's folders */
	file = strchr(path, '/') ? xstrdup(path) : xasprintf("./%s", path);
	library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	free(file);
	if (!library)
		return gantry_error_set(err, -ENOEXEC, "%s: not loadable: %s", path, dlerror());
	offer = dlsym(library, "gantry_plugin");
	if (!offer) {
		dlclose(library);
		return gantry_error_set(
			err, -ENOEXEC,
			"%s: no plugin of gantryd: it does not export \"gantry_plugin\"", path);
	}
	plugin = xcalloc(1, sizeof(*plugin));
	plugin->library = library;
	plugin->path = xstrdup(path);
	return load(loop, plugin, offer, values, where, ret_plugin, err);
}

int plugin_load_static(struct loop *loop, const struct gantry_plugin *offer, const char *from,
		       struct json_object *values, const char *where, struct plugin **ret_plugin,
		       struct gantry_error *err)
{
	struct plugin *plugin = xcalloc(1, sizeof(*plugin));

	plugin->path = xstrdup(from);
	return load(loop, plugin, offer, values, where, ret_plugin, err);
}

static void tell_left(void *arg, const char *name, int64_t age_ms)
{
	log_error("plugin %s: still under way after %lld ms: %s", (const char *)arg,
		  (long long)age_ms, name);
}

int plugin_unload(struct plugin *plugin)
{
	if (host_pending(plugin->core) > 0)
		host_walk(plugin->core, tell_left, (void *)plugin->info.name);
	if (host_pending(plugin->core) > 0)
		return -EBUSY;
	plugin->info.close(plugin->handle);
	host_close(plugin->core);
	free_plugin(plugin);
	return 0;
}

const char *plugin_name(const struct plugin *plugin)
{
	return plugin->info.name;
}

const struct gantry_plugin *plugin_info(const struct plugin *plugin)
{
	return &plugin->info;
}

struct gantry_core *plugin_core(struct plugin *plugin)
{
	return plugin->core;
}

const struct gantry_runtime *plugin_runtime(const struct plugin *plugin)
{
	return plugin->runtime.size ? &plugin->runtime : NULL;
}

const struct gantry_logger *plugin_logger(const struct plugin *plugin, void **ret_handle)
{
	*ret_handle = plugin->handle;
	return plugin->logger.size ? &plugin->logger : NULL;
}

const struct gantry_network *plugin_network(const struct plugin *plugin, void **ret_handle)
{
	*ret_handle = plugin->handle;
	return plugin->network.size ? &plugin->network : NULL;
}

int plugin_node_open(struct plugin *plugin, const char *name, struct json_object *values,
		     const char *owner, void **ret_node, struct gantry_error *err)
{
	char *where = xasprintf("nodes.%s", name);
	void *settings = NULL;
	int code;

	if (!plugin_runtime(plugin)) {
		code = gantry_error_field(err, -ENOTSUP, where,
					  "plugin %s runs no containers: it has no runtime",
					  plugin->info.name);
		free(where);
		return code;
	}
	code = apply(plugin, plugin->info.node_options, plugin->info.node_settings_size, values,
		     where, &settings, err);
	if (code == 0)
		code = plugin->runtime.node_open(plugin->handle, arena_strdup(&plugin->arena, name),
						 settings, arena_strdup(&plugin->arena, owner),
						 ret_node, err);
	if (code < 0 && err && !err->field[0])
		snprintf(err->field, sizeof(err->field), "%s", where);
	free(where);
	return code;
}

static int unknown_kind(const struct plugin *plugin, const char *kind, const char *field,
			struct gantry_error *err)
{
	const struct gantry_log_kind *const *kinds = plugin->logger.kinds;
	struct str names = STR_INIT;
	int code;

	for (size_t i = 0; kinds && kinds[i]; i++)
		str_addf(&names, "%s%s", i ? ", " : "", kinds[i]->name);
	code = gantry_error_field(
		err, -EINVAL, field, "plugin %s knows no kind \"%s\" of sinks; it has: %s",
		plugin->info.name, kind, names.length ? str_text(&names) : "none");
	str_fini(&names);
	return code;
}

int plugin_sink_open(struct plugin *plugin, const char *kind, const char *name,
		     struct json_object *values, const char *where,
		     void (*lost)(void *arg, const struct gantry_error *err), void *arg,
		     const struct gantry_log_kind **ret_kind, void **ret_sink,
		     struct gantry_error *err)
{
	const struct gantry_log_kind *const *kinds = plugin->logger.kinds;
	char field[sizeof(err->field)];
	void *settings = NULL;
	int code;

	snprintf(field, sizeof(field), "%s.kind", where);
	while (kinds && *kinds && !str_equal((*kinds)->name, kind))
		kinds++;
	if (!kinds || !*kinds)
		return unknown_kind(plugin, kind, field, err);
	code = apply(plugin, (*kinds)->options, (*kinds)->settings_size, values, where, &settings,
		     err);
	if (code == 0)
		code = (*kinds)->open(plugin->handle, arena_strdup(&plugin->arena, name), settings,
				      lost, arg, ret_sink, err);
	if (code < 0 && err && err->field[0] && !str_starts_with(err->field, where)) {
		snprintf(field, sizeof(field), "%s.%.60s", where, err->field);
		snprintf(err->field, sizeof(err->field), "%s", field);
	} else if (code < 0 && err && !err->field[0]) {
		snprintf(err->field, sizeof(err->field), "%s", where);
	}
	*ret_kind = *kinds;
	return code;
}

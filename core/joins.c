/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings name, joined: plugins and nodes, the plugin that reads logs and its sinks, policies. */
#include "gantryd.h"
#include "base/log.h"
#include "base/str.h"
#include "flows/engine/node_link.h"
#include "flows/log/log_sinks.h"

#include <stdlib.h>

#define LOGGER_DEFAULT "stdout"

void gantryd_init_plugins(struct gantryd *gantryd)
{
	const char *path = gantryd->settings.plugin_path;
	char *folder = path ? xstrdup(path) : plugin_registry_folder();

	plugin_registry_init(&gantryd->plugins, &gantryd->loop, folder);
	free(folder);
}

/* NULL: no plugin reads logs. */
static struct plugin *find_logger(const struct gantryd *gantryd)
{
	void *handle;

	for (size_t i = 0; i < gantryd->plugins.count; i++)
		if (plugin_logger(gantryd->plugins.items[i], &handle))
			return gantryd->plugins.items[i];
	return NULL;
}

/* The one that is named in the settings, else the one that comes with gantryd, where it is there. */
static int load_logger(struct gantryd *gantryd, struct gantry_error *err)
{
	struct plugin *plugin;
	int code;

	if (find_logger(gantryd))
		return 0;
	code = plugin_registry_load(&gantryd->plugins, LOGGER_DEFAULT, NULL, &plugin, err);
	if (code != -ENOENT)
		return code;
	log_warn("logs cannot be read: %s", err->text);
	return 0;
}

/* sink NULL: it is only checked, and closed again. */
static int open_sink(struct gantryd *gantryd, const struct settings_sink *settings,
		     struct log_sink *sink, struct gantry_error *err)
{
	struct plugin *logger = find_logger(gantryd);
	const struct gantry_log_kind *kind;
	void *handle;
	int code;

	if (!logger)
		return gantry_error_field(err, -ENOTSUP, settings->where,
					  "no plugin that reads logs is loaded");
	code = plugin_sink_open(logger, settings->kind, settings->name, settings->options,
				settings->where, log_sink_lost, sink, &kind, &handle, err);
	if (code == 0 && sink)
		log_sink_attach(sink, kind, handle);
	else if (code == 0)
		kind->close(handle);
	return code;
}

int gantryd_open_sinks(struct gantryd *gantryd, struct gantry_error *err)
{
	const struct settings *settings = &gantryd->settings;
	int code = 0;

	for (size_t i = 0; code == 0 && i < settings->sink_count; i++)
		code = open_sink(gantryd, &settings->sinks[i],
				 log_sink_new(&gantryd->daemon, &settings->sinks[i]), err);
	return code;
}

void gantryd_take_logger(struct gantryd *gantryd)
{
	struct plugin *logger = find_logger(gantryd);

	if (logger)
		gantryd->daemon.logger = plugin_logger(logger, &gantryd->daemon.logger_handle);
}

int gantryd_take_network(struct gantryd *gantryd, struct gantry_error *err)
{
	struct daemon *daemon = &gantryd->daemon;
	int code = 0;

	for (size_t i = 0; !daemon->network && i < gantryd->plugins.count; i++) {
		struct plugin *plugin = gantryd->plugins.items[i];

		daemon->network = plugin_network(plugin, &daemon->network_handle);
		if (!daemon->network)
			continue;
		code = daemon->network->serve(daemon->network_handle, gantryd->settings.owner, err);
		if (code < 0)
			gantry_error_prefix(err, "plugin %s", plugin_name(plugin));
	}
	return code;
}

int gantryd_load_plugins(struct gantryd *gantryd, struct gantry_error *err)
{
	struct settings *settings = &gantryd->settings;
	struct plugin *plugin;
	int code = 0;

	gantryd_init_plugins(gantryd);
	for (size_t i = 0; code == 0 && i < settings->plugin_count; i++)
		code = plugin_registry_load(&gantryd->plugins, settings->plugins[i].name,
					    settings->plugins[i].options, &plugin, err);
	for (size_t i = 0; code == 0 && i < settings->node_count; i++) {
		const struct settings_node *node = &settings->nodes[i];

		code = plugin_registry_load(&gantryd->plugins, node->plugin, NULL, &plugin, err);
		if (code == 0 && !plugin_runtime(plugin))
			code = gantry_error_set(err, -EINVAL, "plugin %s runs no instances",
						node->plugin);
		if (code < 0 && !err->field[0])
			snprintf(err->field, sizeof(err->field), "nodes.%s.plugin", node->name);
	}
	return code == 0 ? load_logger(gantryd, err) : code;
}

int gantryd_open_nodes(struct gantryd *gantryd, struct gantry_error *err)
{
	struct settings *settings = &gantryd->settings;

	for (size_t i = 0; i < settings->node_count; i++) {
		const struct settings_node *node = &settings->nodes[i];
		struct plugin *plugin = plugin_registry_find(&gantryd->plugins, node->plugin);
		void *handle;
		int code = plugin_node_open(plugin, node->name, node->options, settings->owner,
					    &handle, err);

		if (code < 0)
			return code;
		node_link_new(&gantryd->daemon, node, plugin_runtime(plugin), handle);
	}
	return 0;
}

int gantryd_load_policies(struct gantryd *gantryd, struct gantry_error *err)
{
	const struct script_budget budget = {
		.instructions = gantryd->settings.policy_instructions,
		.time_ms = gantryd->settings.policy_time_ms,
		.memory_bytes = gantryd->settings.policy_memory_bytes,
	};

	return script_set_load(gantryd->settings.policies, &budget, &gantryd->policies, err);
}

int gantryd_try_settings(struct gantryd *gantryd, struct gantry_error *err)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < gantryd->settings.node_count; i++) {
		const struct settings_node *node = &gantryd->settings.nodes[i];
		struct plugin *plugin = plugin_registry_find(&gantryd->plugins, node->plugin);
		void *handle;

		code = plugin_node_open(plugin, node->name, node->options, gantryd->settings.owner,
					&handle, err);
		if (code == 0)
			plugin_runtime(plugin)->node_close(handle);
	}
	for (size_t i = 0; code == 0 && i < gantryd->settings.sink_count; i++)
		code = open_sink(gantryd, &gantryd->settings.sinks[i], NULL, err);
	return code;
}

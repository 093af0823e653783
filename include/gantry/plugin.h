/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin: a shared object that exports one symbol, `gantry_plugin`.
 *
 *   load     the core checks abi_major (must be its own), abi_minor (late enough for its roles) and size, and copies up to
 *            the smaller size; a missing tail is "not offered".
 *   settings both option tables are applied to gantry.lua before anything is called.
 *   open     once; the host table is valid until close.
 *   close    once, after every op and node of it has ended.
 *
 * See plugins/skeleton for the smallest one, plugins/README.md for how to write one.
 */
#ifndef GANTRY_PLUGIN_H
#define GANTRY_PLUGIN_H

#include <gantry/host.h>
#include <gantry/logger.h>
#include <gantry/network.h>
#include <gantry/option.h>
#include <gantry/runtime.h>

#define GANTRY_ABI_MAJOR 1
#define GANTRY_ABI_MINOR 13

struct gantry_plugin {
	uint16_t abi_major, abi_minor;
	uint32_t size; /* sizeof(struct gantry_plugin) of the plugin */
	const char *name, *version, *summary;

	const struct gantry_option *options; /* plugins.NAME in gantry.lua; NULL: none */
	size_t settings_size;
	const struct gantry_option *node_options; /* a node's, beside the core's own; NULL: none */
	size_t node_settings_size;

	int (*open)(const struct gantry_host *host, const void *settings, void **ret_plugin,
		    struct gantry_error *err);
	void (*close)(void *plugin);

	const struct gantry_runtime *runtime; /* NULL: no runtime */
	const struct gantry_logger *logger;   /* NULL: no logger; since ABI 1.2 */
	const struct gantry_network *network; /* NULL: no network; since ABI 1.12 */
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gantryd as a whole: all that one is made of. gantryd.c takes it up and down, joins.c has what its settings name. */
#ifndef GANTRYD_H
#define GANTRYD_H

#include "api/api.h"
#include "flows/daemon.h"
#include "plugin/registry.h"
#include "script/script.h"

struct log_sink;

struct gantryd {
	const char *config; /* borrowed: the path of the settings */
	struct settings settings;
	struct script_lines *lines; /* of the settings, owned */
	struct loop loop;
	struct store *store;
	struct script_set *policies; /* until the daemon takes it over */
	struct plugin_registry plugins;
	struct daemon daemon;
	struct api api;
	unsigned char secret_key[32];
	uv_signal_t terminate, interrupt;
	struct loop_timer watchdog;
	int64_t watchdog_ms;
	bool going_down;
	int status; /* of the process's end */
};

/* Reads and checks the settings file; log_level NULL: theirs. An error is told on stderr. -1 on one. */
int gantryd_read_settings(struct gantryd *gantryd, const char *log_level);
/* Tries all that the settings name, and opens nothing for good. The exit status. */
int gantryd_check_config(struct gantryd *gantryd);
/* Serves until a signal. The exit status. */
int gantryd_serve(struct gantryd *gantryd);

/* --- joins.c --- */

/* The registry, with no plugin loaded. */
void gantryd_init_plugins(struct gantryd *gantryd);
/* Those that the settings name, and one that reads logs. */
int gantryd_load_plugins(struct gantryd *gantryd, struct gantry_error *err);
int gantryd_load_policies(struct gantryd *gantryd, struct gantry_error *err);
void gantryd_take_logger(struct gantryd *gantryd);
/* Engines are served from then on. */
int gantryd_take_network(struct gantryd *gantryd, struct gantry_error *err);
int gantryd_open_nodes(struct gantryd *gantryd, struct gantry_error *err);
int gantryd_open_sinks(struct gantryd *gantryd, struct gantry_error *err);
/* Opens nodes and sinks, and closes them again. */
int gantryd_try_settings(struct gantryd *gantryd, struct gantry_error *err);

#endif

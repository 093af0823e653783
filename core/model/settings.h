/* SPDX-License-Identifier: Apache-2.0 */
/* What gantry.lua says, checked against option tables. Reading the file is the script host's work. */
#ifndef MODEL_SETTINGS_H
#define MODEL_SETTINGS_H

#include <gantry/error.h>
#include <gantry/option.h>

#include "base/arena.h"
#include "base/cidr.h"
#include "base/json.h"
#include "base/url.h"

struct settings_listener {
	const char *unix_path; /* either this … */
	const char *mode;      /* octal, "0660" */
	const char *group;
	const char *tcp; /* … or "ADDRESS:PORT" with mutual TLS */
	const char *ca, *certificate, *key;
	const char *console; /* … or "ADDRESS:PORT" that serves consoles to browsers */
	const char *url;     /* of the console listener, as browsers see it; NULL: its address */
	bool plain;
};

struct settings_node {
	const char *name;
	const char *plugin;
	struct gantry_pairs labels;
	bool drained;
	int64_t memory_bytes; /* 0: what the engine's host has, times overcommit */
	double cpus;          /* 0: likewise */
	double overcommit;
	struct json_object *options; /* the plugin's own keys; owned */
};

struct settings_plugin {
	const char *name;
	struct json_object *options; /* owned */
};

/* A receiver of log lines. */
struct settings_sink {
	const char *kind, *name;
	const char *project; /* NULL: of all */
	struct gantry_pairs labels;
	int64_t queue_bytes, timeout_ms;
	char where[32];              /* "logs.sinks[1]", for errors */
	struct json_object *options; /* the kind's own keys; owned */
};

struct settings {
	struct arena arena; /* owns the strings */
	const char *owner;
	const char *policies;
	const char *store;
	const char *plugin_path;
	const char *log_level;
	struct gantry_strings trusted_actors;
	int64_t keep_history_ms;               /* of events, decisions and ended operations */
	int64_t recordings_bytes;              /* of all recordings of consoles */
	int64_t keep_logs_ms, keep_logs_bytes; /* of instances that were removed */
	int64_t policy_instructions, policy_time_ms, policy_memory_bytes;
	int64_t policy_event_time_ms;
	struct gantry_strings policy_http_allow;
	struct url *http_allow; /* the same, read */
	size_t http_allow_count;
	const char *console_path;
	int64_t console_token_ms, console_idle_ms;
	const char *serial_address;
	const char *serial_ports;
	int serial_first_port, serial_last_port; /* the same, read */
	struct gantry_strings serial_allow;
	struct cidr *serial_peers; /* the same, read */
	size_t serial_peer_count;
	int64_t serial_idle_ms, serial_stall_ms;
	struct settings_listener *listeners;
	size_t listener_count;
	struct settings_node *nodes;
	size_t node_count;
	struct settings_plugin *plugins;
	size_t plugin_count;
	struct settings_sink *sinks;
	size_t sink_count;
};

/* The tables, for help; each ends with a NULL key. */
extern const struct gantry_option settings_options[], settings_listener_options[],
	settings_node_options[], settings_sink_options[];

/* Fills *ret_settings from the globals of gantry.lua. err->field is the path of what is wrong. */
int settings_parse(struct json_object *values, struct settings *ret_settings,
		   struct gantry_error *err);
void settings_fini(struct settings *settings);

#endif

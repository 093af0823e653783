/* SPDX-License-Identifier: Apache-2.0 */
#include "model/settings.h"
#include "base/option.h"
#include "base/str.h"

#include <ctype.h>

#define TOP(member) offsetof(struct settings, member)
const struct gantry_option settings_options[] = {
	{"owner", GANTRY_OPTION_STRING, NULL, TOP(owner),
	 "name that marks this daemon's containers; letters, digits and \"-\"; written by gantryd --init",
	 true, 0, 0},
	{"policies", GANTRY_OPTION_STRING, "/etc/gantry/policies", TOP(policies),
	 "folder of the policies", false, 0, 0},
	{"store", GANTRY_OPTION_STRING, "/var/lib/gantry/gantry.db", TOP(store),
	 "file of the store", false, 0, 0},
	{"plugin_path", GANTRY_OPTION_STRING, NULL, TOP(plugin_path),
	 "folder of the plugins; beside gantryd unless given", false, 0, 0},
	{"log_level", GANTRY_OPTION_STRING, "info", TOP(log_level), "debug, info, warn or error",
	 false, 0, 0},
	{"trusted_actors", GANTRY_OPTION_STRINGS, NULL, TOP(trusted_actors),
	 "actors that may name a project and user of their own, as \"uid:0\" or \"cn:nova-compute\"",
	 false, 0, 0},
	{"keep_history", GANTRY_OPTION_DURATION, "30d", TOP(keep_history_ms),
	 "how long events, decisions and ended operations are kept", false, 3600000, 0},
	{"recordings_size", GANTRY_OPTION_SIZE, "1GiB", TOP(recordings_bytes),
	 "how much recordings of consoles may take; the oldest go, one has at most an eighth",
	 false, 1 << 16, 0},
	{"keep_logs", GANTRY_OPTION_DURATION, "24h", TOP(keep_logs_ms),
	 "how long the log of an instance that was removed is kept; 0: not at all", false, 0, 0},
	{"keep_logs_size", GANTRY_OPTION_SIZE, "1GiB", TOP(keep_logs_bytes),
	 "how much logs of instances that were removed may take; the oldest go, as they do of more than 10,000",
	 false, 0, 0},
	{"policy_instructions", GANTRY_OPTION_INT, "1000000", TOP(policy_instructions),
	 "Lua instructions that one hook may use", false, 1000, 1000000000},
	{"policy_time", GANTRY_OPTION_DURATION, "50ms", TOP(policy_time_ms),
	 "time that one hook may use", false, 1, 10000},
	{"policy_memory", GANTRY_OPTION_SIZE, "8MiB", TOP(policy_memory_bytes),
	 "memory that one policy may use", false, 1 << 18, 1 << 30},
	{"policy_event_time", GANTRY_OPTION_DURATION, "60s", TOP(policy_event_time_ms),
	 "time that one run of an event hook may take, with all its waits", false, 100, 3600000},
	{"policy_http_allow", GANTRY_OPTION_STRINGS, NULL, TOP(policy_http_allow),
	 "URLs that event hooks may ask, each with all below it, as \"https://hooks.example.org/gantry/\"",
	 false, 0, 0},
	{"console_path", GANTRY_OPTION_STRING, NULL, TOP(console_path),
	 "folder of the files of the console's page; those that come with gantryd unless given",
	 false, 0, 0},
	{"console_token", GANTRY_OPTION_DURATION, "1m", TOP(console_token_ms),
	 "how long the address that gantry console prints is good, once", false, 1000, 3600000},
	{"console_idle", GANTRY_OPTION_DURATION, "30m", TOP(console_idle_ms),
	 "after which time without a sign of its user a console in a browser is closed", false,
	 1000, 0},
	{"serial_address", GANTRY_OPTION_STRING, "127.0.0.1", TOP(serial_address),
	 "address of serial ports; one that is not loopback needs serial_allow", false, 0, 0},
	{"serial_ports", GANTRY_OPTION_STRING, "10000-10999", TOP(serial_ports),
	 "range of serial ports, one an instance that is asked for one", false, 0, 0},
	{"serial_allow", GANTRY_OPTION_STRINGS, NULL, TOP(serial_allow),
	 "who may connect to a serial port, as \"192.0.2.7\" or \"10.0.0.0/24\": whoever does owns the console; "
	 "this host unless given",
	 false, 0, 0},
	{"serial_idle", GANTRY_OPTION_DURATION, "15m", TOP(serial_idle_ms),
	 "how long a serial port stays open with nobody connected", false, 1000, 0},
	{"serial_stall", GANTRY_OPTION_DURATION, "30s", TOP(serial_stall_ms),
	 "how long who is connected to a serial port may take nothing of the output before it is let go",
	 false, 1000, 0},
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

#define LISTENER(member) offsetof(struct settings_listener, member)
const struct gantry_option settings_listener_options[] = {
	{"unix", GANTRY_OPTION_STRING, NULL, LISTENER(unix_path), "path of a unix socket", false, 0,
	 0},
	{"mode", GANTRY_OPTION_STRING, "0660", LISTENER(mode), "mode of the socket, octal", false,
	 0, 0},
	{"group", GANTRY_OPTION_STRING, NULL, LISTENER(group), "group of the socket", false, 0, 0},
	{"tcp", GANTRY_OPTION_STRING, NULL, LISTENER(tcp), "ADDRESS:PORT, with mutual TLS", false,
	 0, 0},
	{"ca", GANTRY_OPTION_STRING, NULL, LISTENER(ca),
	 "authority that clients' certificates are signed by", false, 0, 0},
	{"certificate", GANTRY_OPTION_STRING, NULL, LISTENER(certificate),
	 "certificate of this daemon", false, 0, 0},
	{"key", GANTRY_OPTION_STRING, NULL, LISTENER(key), "its key", false, 0, 0},
	{"console", GANTRY_OPTION_STRING, NULL, LISTENER(console),
	 "ADDRESS:PORT that serves nothing but consoles to browsers, with TLS", false, 0, 0},
	{"url", GANTRY_OPTION_STRING, NULL, LISTENER(url),
	 "how browsers reach the console listener, as \"https://gantry.example.org\"; by its address unless given",
	 false, 0, 0},
	{"plain", GANTRY_OPTION_BOOL, "false", LISTENER(plain),
	 "consoles without TLS, on loopback only", false, 0, 0},
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

#define NODE(member) offsetof(struct settings_node, member)
const struct gantry_option settings_node_options[] = {
	{"plugin", GANTRY_OPTION_STRING, "docker", NODE(plugin), "plugin that drives it", false, 0,
	 0},
	{"labels", GANTRY_OPTION_PAIRS, NULL, NODE(labels), "labels that policies see", false, 0,
	 0},
	{"drained", GANTRY_OPTION_BOOL, "false", NODE(drained), "takes no new instances", false, 0,
	 0},
	{"memory", GANTRY_OPTION_SIZE, "0", NODE(memory_bytes),
	 "memory that may be promised; the host's times overcommit unless given", false, 0, 0},
	{"cpus", GANTRY_OPTION_DECIMAL, NULL, NODE(cpus),
	 "CPUs that may be promised, as 7.5; the host's times overcommit unless given", false, 0,
	 0},
	{"overcommit", GANTRY_OPTION_DECIMAL, "1.0", NODE(overcommit),
	 "how often memory and CPUs may be promised, as 1.5", false, 0, 0},
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

#define SINK(member) offsetof(struct settings_sink, member)
const struct gantry_option settings_sink_options[] = {
	{"kind", GANTRY_OPTION_STRING, NULL, SINK(kind), "file, syslog, journald or fluent", true,
	 0, 0},
	{"name", GANTRY_OPTION_STRING, NULL, SINK(name),
	 "its name, which keeps its place in the logs; the kind unless given", false, 0, 0},
	{"project", GANTRY_OPTION_STRING, NULL, SINK(project), "only instances of this project",
	 false, 0, 0},
	{"labels", GANTRY_OPTION_PAIRS, NULL, SINK(labels),
	 "only instances that have all of these labels", false, 0, 0},
	{"queue", GANTRY_OPTION_SIZE, "1MiB", SINK(queue_bytes),
	 "what may wait in memory; further lines wait in the log", false, 1 << 16, 1 << 28},
	{"timeout", GANTRY_OPTION_DURATION, "30s", SINK(timeout_ms),
	 "how long the receiver may take for a batch of lines", false, 100, 3600000},
	{NULL, 0, NULL, 0, NULL, false, 0, 0},
};

static bool valid_name(const char *text)
{
	if (!isalnum((unsigned char)*text) || strlen(text) > 63)
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '-')
			return false;
	return true;
}

static int check_console(const struct settings_listener *listener, const char *where,
			 struct gantry_error *err)
{
	struct gantry_error wrong;
	struct url url;

	if (!listener->plain && (!listener->certificate || !listener->key))
		return gantry_error_field(
			err, -EINVAL, where,
			"console needs certificate and key, or plain = true on loopback");
	if (listener->ca)
		return gantry_error_field(
			err, -EINVAL, where,
			"console asks for no certificate of clients: ca is for tcp");
	if (listener->url && url_parse(listener->url, &url, &wrong) < 0)
		return gantry_error_field(err, -EINVAL, where, "url %s", wrong.text);
	if (listener->url &&
	    (!str_equal(url.path, "/") || listener->url[strlen(listener->url) - 1] == '/'))
		return gantry_error_field(
			err, -EINVAL, where,
			"url ends with the host or port, as \"https://gantry.example.org\"");
	return 0;
}

static int parse_listeners(struct settings *settings, struct json_object *values,
			   struct gantry_error *err)
{
	size_t count;

	if (!json_object_is_type(values, json_type_array) ||
	    (count = json_object_array_length(values)) == 0)
		return gantry_error_field(
			err, -EINVAL, "listen",
			"must be a list with at least one { unix = PATH } or { tcp = ADDRESS }");
	settings->listeners = ARENA_ARRAY(&settings->arena, struct settings_listener, count);
	for (size_t i = 0; i < count; i++) {
		struct settings_listener *listener = &settings->listeners[i];
		char where[32];
		int code;

		snprintf(where, sizeof(where), "listen[%zu]", i + 1);
		code = option_apply(settings_listener_options, json_object_array_get_idx(values, i),
				    where, &settings->arena, listener, err);
		if (code < 0)
			return code;
		if (!!listener->unix_path + !!listener->tcp + !!listener->console != 1)
			return gantry_error_field(err, -EINVAL, where,
						  "must have one of unix, tcp and console");
		if (listener->console)
			code = check_console(listener, where, err);
		if (code < 0)
			return code;
		if (listener->tcp && (!listener->ca || !listener->certificate || !listener->key))
			return gantry_error_field(
				err, -EINVAL, where,
				"tcp needs ca, certificate and key: it is served with mutual TLS only");
	}
	settings->listener_count = count;
	return 0;
}

/* Splits a table into the core's keys, by their options, and others. Both are the caller's. */
static void split(struct json_object *value, const struct gantry_option *options,
		  struct json_object **ret_ours, struct json_object **ret_others)
{
	*ret_ours = json_object_new_object();
	*ret_others = json_object_new_object();
	json_object_object_foreach(value, key, item)
	{
		const struct gantry_option *option = options;

		while (option->key && !str_equal(option->key, key))
			option++;
		json_object_object_add(option->key ? *ret_ours : *ret_others, key,
				       json_object_get(item));
	}
}

static int parse_node(struct settings *settings, struct settings_node *node, const char *name,
		      struct json_object *value, struct gantry_error *err)
{
	struct json_object *ours;
	char where[80];
	int code;

	snprintf(where, sizeof(where), "nodes.%s", name);
	if (!valid_name(name))
		return gantry_error_field(
			err, -EINVAL, where,
			"a node's name has letters, digits and \"-\", at most 63");
	if (!json_object_is_type(value, json_type_object))
		return gantry_error_field(err, -EINVAL, where, "must be a table, not %s",
					  json_type_text(value));
	node->name = arena_strdup(&settings->arena, name);
	split(value, settings_node_options, &ours, &node->options);
	code = option_apply(settings_node_options, ours, where, &settings->arena, node, err);
	json_object_put(ours);
	return code;
}

static int parse_nodes(struct settings *settings, struct json_object *values,
		       struct gantry_error *err)
{
	int code;

	if (!json_object_is_type(values, json_type_object))
		return gantry_error_field(
			err, -EINVAL, "nodes",
			"must be a table of nodes by name, as { [\"local\"] = { plugin = \"docker\" } }");
	settings->nodes = ARENA_ARRAY(&settings->arena, struct settings_node,
				      (size_t)json_object_object_length(values));
	json_object_object_foreach(values, name, value)
	{
		code = parse_node(settings, &settings->nodes[settings->node_count++], name, value,
				  err);
		if (code < 0)
			return code;
	}
	return 0;
}

static int parse_plugins(struct settings *settings, struct json_object *values,
			 struct gantry_error *err)
{
	if (!values ||
	    (json_object_is_type(values, json_type_array) && json_object_array_length(values) == 0))
		return 0;
	if (!json_object_is_type(values, json_type_object))
		return gantry_error_field(err, -EINVAL, "plugins",
					  "must be a table of plugins' options by name");
	settings->plugins = ARENA_ARRAY(&settings->arena, struct settings_plugin,
					(size_t)json_object_object_length(values));
	json_object_object_foreach(values, name, value)
	{
		struct settings_plugin *plugin = &settings->plugins[settings->plugin_count++];

		plugin->name = arena_strdup(&settings->arena, name);
		plugin->options = json_object_get(value);
	}
	return 0;
}

static int parse_sink(struct settings *settings, struct settings_sink *sink,
		      struct json_object *value, struct gantry_error *err)
{
	struct json_object *ours;
	char field[40];
	int code;

	if (!json_object_is_type(value, json_type_object))
		return gantry_error_field(err, -EINVAL, sink->where, "must be a table, not %s",
					  json_type_text(value));
	split(value, settings_sink_options, &ours, &sink->options);
	code = option_apply(settings_sink_options, ours, sink->where, &settings->arena, sink, err);
	json_object_put(ours);
	if (code < 0)
		return code;
	if (!sink->name)
		sink->name = sink->kind;
	snprintf(field, sizeof(field), "%s.name", sink->where);
	if (!valid_name(sink->name))
		return gantry_error_field(
			err, -EINVAL, field,
			"a sink's name has letters, digits and \"-\", at most 63");
	for (const struct settings_sink *other = settings->sinks; other < sink; other++)
		if (str_equal(other->name, sink->name))
			return gantry_error_field(
				err, -EINVAL, field,
				"there is another sink named \"%s\": give each a name", sink->name);
	return 0;
}

/* logs = { sinks = { { kind = … }, … } } */
static int parse_logs(struct settings *settings, struct json_object *values,
		      struct gantry_error *err)
{
	static const struct gantry_option known[] = {{.key = "sinks"}, {0}};
	struct json_object *sinks = json_get(values, "sinks"), *others, *ours;
	int code = 0;

	if (!values ||
	    (json_object_is_type(values, json_type_array) && json_object_array_length(values) == 0))
		return 0;
	if (!json_object_is_type(values, json_type_object))
		return gantry_error_field(err, -EINVAL, "logs",
					  "must be a table, as { sinks = { { kind = KIND } } }");
	split(values, known, &ours, &others);
	json_object_put(ours);
	code = option_apply(known, others, "logs", &settings->arena, NULL, err);
	json_object_put(others);
	if (code < 0 || !sinks)
		return code;
	if (!json_object_is_type(sinks, json_type_array))
		return gantry_error_field(err, -EINVAL, "logs.sinks",
					  "must be a list, as { { kind = KIND } }");
	settings->sinks = ARENA_ARRAY(&settings->arena, struct settings_sink,
				      json_object_array_length(sinks));
	for (size_t i = 0; code == 0 && i < json_object_array_length(sinks); i++) {
		struct settings_sink *sink = &settings->sinks[settings->sink_count++];

		snprintf(sink->where, sizeof(sink->where), "logs.sinks[%zu]", i + 1);
		code = parse_sink(settings, sink, json_object_array_get_idx(sinks, i), err);
	}
	return code;
}

static int parse_http_allow(struct settings *settings, struct gantry_error *err)
{
	const struct gantry_strings *texts = &settings->policy_http_allow;
	struct gantry_error wrong;
	char where[40];

	settings->http_allow = ARENA_ARRAY(&settings->arena, struct url, texts->count);
	for (size_t i = 0; i < texts->count; i++) {
		int code = url_parse(texts->items[i], &settings->http_allow[i], &wrong);

		if (code == 0 && strchr(settings->http_allow[i].path, '?'))
			code = gantry_error_set(&wrong, -EINVAL, "must have no query");
		snprintf(where, sizeof(where), "policy_http_allow[%zu]", i + 1);
		if (code < 0)
			return gantry_error_field(err, code, where, "%s: \"%.200s\"", wrong.text,
						  texts->items[i]);
	}
	settings->http_allow_count = texts->count;
	return 0;
}

static int parse_serial_ports(struct settings *settings, struct gantry_error *err)
{
	int end = 0, *first = &settings->serial_first_port, *last = &settings->serial_last_port;

	if (sscanf(settings->serial_ports, "%5d-%5d%n", first, last, &end) == 2 &&
	    !settings->serial_ports[end] && *first > 0 && *first <= *last && *last <= 65535)
		return 0;
	return gantry_error_field(err, -EINVAL, "serial_ports",
				  "must be a range of ports as \"10000-10999\", not \"%.40s\"",
				  settings->serial_ports);
}

/* Whoever reaches a serial port owns the console: by default that is this host alone. */
static int parse_serial(struct settings *settings, struct gantry_error *err)
{
	static const char *const host_alone[] = {"127.0.0.0/8", "::1"};
	struct gantry_strings texts = settings->serial_allow;
	struct gantry_error wrong;
	struct cidr address;
	char where[40];

	if (cidr_parse(settings->serial_address, &address, NULL) < 0 || address.bits < 128)
		return gantry_error_field(err, -EINVAL, "serial_address",
					  "must be an IPv4 or IPv6 address, not \"%.60s\"",
					  settings->serial_address);
	if (cidr_is_any(settings->serial_address))
		return gantry_error_field(err, -EINVAL, "serial_address",
					  "%s is every address of this host: name the one of its "
					  "management network",
					  settings->serial_address);
	if (!texts.count && !cidr_is_loopback(settings->serial_address))
		return gantry_error_field(
			err, -EINVAL, "serial_address",
			"%s can be reached from elsewhere, and whoever connects to a serial port owns "
			"the console: say in serial_allow who may",
			settings->serial_address);
	if (!texts.count)
		texts = (struct gantry_strings){(const char **)host_alone, 2};
	settings->serial_peers = ARENA_ARRAY(&settings->arena, struct cidr, texts.count);
	for (size_t i = 0; i < texts.count; i++) {
		snprintf(where, sizeof(where), "serial_allow[%zu]", i + 1);
		if (cidr_parse(texts.items[i], &settings->serial_peers[i], &wrong) < 0)
			return gantry_error_field(err, -EINVAL, where, "\"%.60s\" %s",
						  texts.items[i], wrong.text);
	}
	settings->serial_peer_count = texts.count;
	return parse_serial_ports(settings, err);
}

int settings_parse(struct json_object *values, struct settings *ret_settings,
		   struct gantry_error *err)
{
	struct settings *settings = ret_settings;
	struct json_object *top = json_object_new_object();
	int code;

	*settings = (struct settings){0};
	json_object_object_foreach(values, key, value)
	{
		if (!str_equal(key, "listen") && !str_equal(key, "nodes") &&
		    !str_equal(key, "plugins") && !str_equal(key, "logs"))
			json_object_object_add(top, key, json_object_get(value));
	}
	code = option_apply(settings_options, top, "", &settings->arena, settings, err);
	json_object_put(top);
	if (code == 0 && !valid_name(settings->owner))
		code = gantry_error_field(err, -EINVAL, "owner",
					  "has letters, digits and \"-\", at most 63, not \"%s\"",
					  settings->owner);
	if (code == 0)
		code = parse_http_allow(settings, err);
	if (code == 0)
		code = parse_serial(settings, err);
	if (code == 0)
		code = parse_listeners(settings, json_get(values, "listen"), err);
	if (code == 0)
		code = parse_nodes(settings, json_get(values, "nodes"), err);
	if (code == 0)
		code = parse_plugins(settings, json_get(values, "plugins"), err);
	if (code == 0)
		code = parse_logs(settings, json_get(values, "logs"), err);
	if (code < 0)
		settings_fini(settings);
	return code;
}

void settings_fini(struct settings *settings)
{
	for (size_t i = 0; i < settings->node_count; i++)
		json_object_put(settings->nodes[i].options);
	for (size_t i = 0; i < settings->plugin_count; i++)
		json_object_put(settings->plugins[i].options);
	for (size_t i = 0; i < settings->sink_count; i++)
		json_object_put(settings->sinks[i].options);
	arena_fini(&settings->arena);
	*settings = (struct settings){0};
}

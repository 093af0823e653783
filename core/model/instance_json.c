/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance as JSON: for the API (print), and for the store (save and load).
 *
 * The store's form gives back all but values of secrets: those are in the engine, and nowhere else.
 */
#include "model/instance.h"
#include "model/spec.h"
#include "base/str.h"

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_add_string(object, key, text && *text ? text : NULL);
}

struct json_object *instance_exit_print(const struct instance_exit *last_exit)
{
	struct json_object *object = json_object_new_object();

	json_add_int(object, "code", last_exit->code);
	if (last_exit->signal) {
		json_add_int(object, "signal", last_exit->signal);
		json_add_string(object, "signal_source",
				last_exit->signal_sent ? "sent" : "inferred");
	}
	json_add_bool(object, "oom_seen", last_exit->oom_seen);
	json_add_bool(object, "oom_killed", last_exit->oom_killed);
	json_add_bool(object, "start_failed", last_exit->start_failed);
	json_add_bool(object, "inferred", last_exit->inferred);
	json_add_time(object, "at", last_exit->at_ms);
	if (!last_exit->start_failed)
		json_add_int(object, "ran_ms", last_exit->ran_ms);
	add_text(object, "reason", last_exit->reason);
	return object;
}

static struct json_object *print_ports(const struct gantry_ports *ports)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ports->count; i++) {
		const struct gantry_port *port = &ports->items[i];
		struct json_object *object = json_object_new_object();

		add_text(object, "host_ip", port->host_ip);
		json_add_int(object, "host_port", port->host_port);
		json_add_int(object, "container_port", port->container_port);
		json_add_string(object, "protocol", port->protocol);
		json_object_array_add(list, object);
	}
	return list;
}

/* What instance_save wrote; the strings stay the list's. */
static void load_ports(struct json_object *list, struct gantry_ports *ports, struct arena *arena)
{
	ports->count = list ? json_object_array_length(list) : 0;
	ports->items = ARENA_ARRAY(arena, struct gantry_port, ports->count);
	for (size_t i = 0; i < ports->count; i++) {
		struct json_object *object = json_object_array_get_idx(list, i);

		ports->items[i] = (struct gantry_port){
			.host_ip = json_get_string(object, "host_ip", NULL),
			.host_port = (uint16_t)json_get_int(object, "host_port", 0),
			.container_port = (uint16_t)json_get_int(object, "container_port", 0),
			.protocol = json_get_string(object, "protocol", "tcp"),
		};
	}
}

/* What is not of the process that runs is not there. */
static void load_reach(struct json_object *object, struct instance *instance)
{
	struct arena arena = {0};
	struct gantry_container container = {
		.address = json_get_string(object, "address", NULL),
	};

	if (!object)
		return;
	load_ports(json_get(object, "ports"), &container.ports, &arena);
	instance_take_reach(instance, &container);
	instance->changed = false;
	arena_fini(&arena);
}

static struct json_object *save_reach(const struct instance *instance)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "address", instance->address);
	json_object_object_add(object, "ports", print_ports(&instance->ports));
	return object;
}

struct json_object *instance_serial_print(const struct instance_serial *serial)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "host", serial->host);
	json_add_int(object, "port", serial->port);
	json_add_int(object, "peers", serial->peers);
	json_add_time(object, "until", serial->until_ms);
	return object;
}

struct json_object *instance_print(const struct instance *instance)
{
	struct json_object *object = json_object_new_object(), *spec, *labels;

	json_add_string(object, "id", instance->id);
	json_add_string(object, "name", instance->spec.name);
	json_add_string(object, "project", instance->spec.project);
	add_text(object, "node", instance->node);
	json_add_string(object, "state", instance_state_text(instance->state));
	if (instance->state == INSTANCE_UNKNOWN)
		json_add_string(object, "known_state", instance_state_text(instance->known_state));
	json_add_string(object, "intent", instance_intent_text(instance->intent));
	json_add_string(object, "image", instance->spec.image);
	add_text(object, "container_id", instance->container_id);
	json_add_int(object, "generation", instance->generation);
	json_add_int(object, "boots", instance->boots);
	if (instance->restarts)
		json_add_int(object, "restarts", instance->restarts);
	json_add_time(object, "restart_at", instance->restart_at_ms);
	add_text(object, "health", instance->health);
	add_text(object, "address", instance->address);
	if (instance->ports.count)
		json_object_object_add(object, "ports", print_ports(&instance->ports));
	if (instance->serial.port)
		json_object_object_add(object, "serial", instance_serial_print(&instance->serial));
	if (instance->log.driver && str_equal(instance->log.container_id, instance->container_id))
		json_add_string(object, "log_source",
				instance->log.path ? instance->log.path : "endpoint");
	json_add_time(object, "created_at", instance->created_ms);
	json_add_time(object, "started_at", instance->started_ms);
	if (instance->last_exit.known)
		json_object_object_add(object, "last_exit",
				       instance_exit_print(&instance->last_exit));
	spec = spec_print(&instance->spec, SPEC_VALUES_PLAIN);
	labels = json_get(spec, "labels");
	json_object_object_add(object, "labels",
			       labels ? json_object_get(labels) : json_object_new_object());
	json_object_object_add(object, "spec", spec);
	return object;
}

static struct json_object *save_exit(const struct instance_exit *last_exit)
{
	struct json_object *object = json_object_new_object();

	json_add_int(object, "code", last_exit->code);
	json_add_int(object, "signal", last_exit->signal);
	json_add_bool(object, "signal_sent", last_exit->signal_sent);
	json_add_bool(object, "oom_seen", last_exit->oom_seen);
	json_add_bool(object, "oom_killed", last_exit->oom_killed);
	json_add_bool(object, "start_failed", last_exit->start_failed);
	json_add_bool(object, "inferred", last_exit->inferred);
	json_add_bool(object, "engine_gone", last_exit->engine_gone);
	json_add_int(object, "at_ms", last_exit->at_ms);
	json_add_bool(object, "at_engines", last_exit->at_engines);
	json_add_int(object, "ran_ms", last_exit->ran_ms);
	add_text(object, "reason", last_exit->reason);
	return object;
}

static void load_exit(struct json_object *object, struct instance_exit *last_exit)
{
	if (!object)
		return;
	last_exit->known = true;
	last_exit->code = (int)json_get_int(object, "code", 0);
	last_exit->signal = (int)json_get_int(object, "signal", 0);
	last_exit->signal_sent = json_get_bool(object, "signal_sent", false);
	last_exit->oom_seen = json_get_bool(object, "oom_seen", false);
	last_exit->oom_killed = json_get_bool(object, "oom_killed", false);
	last_exit->start_failed = json_get_bool(object, "start_failed", false);
	last_exit->inferred = json_get_bool(object, "inferred", false);
	last_exit->engine_gone = json_get_bool(object, "engine_gone", false);
	last_exit->at_ms = json_get_int(object, "at_ms", 0);
	last_exit->at_engines = json_get_bool(object, "at_engines", false);
	last_exit->ran_ms = json_get_int(object, "ran_ms", 0);
	snprintf(last_exit->reason, sizeof(last_exit->reason), "%s",
		 json_get_string(object, "reason", ""));
}

/* [[boot, since], …] */
static struct json_object *save_boots(const struct instance *instance)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < instance->log_boot_count; i++) {
		struct json_object *pair = json_object_new_array();

		json_object_array_add(pair, json_object_new_int64(instance->log_boots[i].boot));
		json_object_array_add(pair, json_object_new_int64(instance->log_boots[i].since_ns));
		json_object_array_add(list, pair);
	}
	return list;
}

static void load_boots(struct json_object *list, struct instance *instance)
{
	size_t count =
		json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < count && i < INSTANCE_LOG_BOOTS; i++) {
		struct json_object *pair = json_object_array_get_idx(list, i);

		if (!json_object_is_type(pair, json_type_array) ||
		    json_object_array_length(pair) != 2)
			return;
		instance->log_boots[instance->log_boot_count++] = (struct gantry_log_boot){
			.boot = json_object_get_int64(json_object_array_get_idx(pair, 0)),
			.since_ns = json_object_get_int64(json_object_array_get_idx(pair, 1)),
		};
	}
}

struct json_object *instance_save(const struct instance *instance)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "id", instance->id);
	add_text(object, "node", instance->node);
	add_text(object, "container_id", instance->container_id);
	json_add_string(object, "state", instance_state_text(instance->state));
	if (instance->state == INSTANCE_UNKNOWN)
		json_add_string(object, "known_state", instance_state_text(instance->known_state));
	json_add_string(object, "intent", instance_intent_text(instance->intent));
	json_add_int(object, "generation", instance->generation);
	json_add_int(object, "boots", instance->boots);
	json_object_object_add(object, "log_boots", save_boots(instance));
	json_add_int(object, "restarts", instance->restarts);
	json_add_int(object, "restart_at_ms", instance->restart_at_ms);
	json_add_int(object, "restart_after_ms", instance->restart_after_ms);
	json_add_bool(object, "considered", instance->considered);
	if (instance->last_exit.known)
		json_object_object_add(object, "last_exit", save_exit(&instance->last_exit));
	add_text(object, "health", instance->health);
	if (instance->reach_known)
		json_object_object_add(object, "reach", save_reach(instance));
	json_add_int(object, "created_ms", instance->created_ms);
	json_add_int(object, "started_ms", instance->started_ms);
	json_add_int(object, "signal_sent", instance->signal_sent);
	json_add_bool(object, "oom_seen", instance->oom_seen);
	json_object_object_add(object, "spec", spec_print(&instance->spec, SPEC_VALUES_PLAIN));
	return object;
}

/* A short text into its array; 0 where it does not fit. */
static bool load_text(struct json_object *object, const char *key, char *text, size_t size)
{
	const char *value = json_get_string(object, key, "");

	return snprintf(text, size, "%s", value) < (int)size;
}

static int load(struct json_object *object, struct instance *instance, struct gantry_error *err)
{
	if (instance_state_parse(json_get_string(object, "state", ""), &instance->state) < 0)
		return gantry_error_field(err, -EINVAL, "state",
					  "\"%.40s\" is no state of an instance",
					  json_get_string(object, "state", ""));
	instance->known_state = instance->state;
	if (instance->state == INSTANCE_UNKNOWN &&
	    instance_state_parse(json_get_string(object, "known_state", ""),
				 &instance->known_state) < 0)
		return gantry_error_field(err, -EINVAL, "known_state",
					  "is no state of an instance");
	if (instance_intent_parse(json_get_string(object, "intent", ""), &instance->intent) < 0)
		return gantry_error_field(err, -EINVAL, "intent", "\"%.40s\" is no intent",
					  json_get_string(object, "intent", ""));
	if (!load_text(object, "container_id", instance->container_id,
		       sizeof(instance->container_id)) ||
	    !load_text(object, "health", instance->health, sizeof(instance->health)))
		return gantry_error_set(err, -EINVAL, "container_id or health is too long");
	load_reach(json_get(object, "reach"), instance);
	instance->node = arena_strdup(&instance->arena, json_get_string(object, "node", NULL));
	instance->generation = json_get_int(object, "generation", 1);
	instance->boots = json_get_int(object, "boots", 0);
	load_boots(json_get(object, "log_boots"), instance);
	instance->restarts = json_get_int(object, "restarts", 0);
	instance->restart_at_ms = json_get_int(object, "restart_at_ms", 0);
	instance->restart_after_ms = json_get_int(object, "restart_after_ms", 0);
	instance->considered = json_get_bool(object, "considered", false);
	load_exit(json_get(object, "last_exit"), &instance->last_exit);
	instance->created_ms = json_get_int(object, "created_ms", 0);
	instance->started_ms = json_get_int(object, "started_ms", 0);
	instance->signal_sent = (int)json_get_int(object, "signal_sent", 0);
	instance->oom_seen = json_get_bool(object, "oom_seen", false);
	if (spec_parse(json_get(object, "spec"), &instance->arena, &instance->spec, err) < 0)
		return gantry_error_prefix(err, "spec");
	if (!instance->spec.name || !instance->spec.project)
		return gantry_error_set(err, -EINVAL, "spec: name and project are required");
	return 0;
}

int instance_load(struct json_object *object, struct instance **ret_instance,
		  struct gantry_error *err)
{
	const char *id = json_get_string(object, "id", NULL);
	struct gantry_error why;
	struct instance *instance;

	if (!id || !*id || strlen(id) >= INSTANCE_ID_SIZE)
		return gantry_error_field(err, -EINVAL, "id", "a stored instance has no id");
	instance = instance_new(id);
	if (load(object, instance, &why) < 0) {
		instance_free(instance);
		gantry_error_prefix(&why, "stored instance %.36s", id);
		if (err)
			*err = why;
		return why.code;
	}
	*ret_instance = instance;
	return 0;
}

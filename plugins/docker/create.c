/* SPDX-License-Identifier: Apache-2.0 */
/* Spec to the body of POST /containers/create: every field of GANTRY_SPEC_FIELDS has its place here. */
#include "docker.h"

#include <stdlib.h>

static struct json_object *strings_json(const struct gantry_strings *list)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < list->count; i++)
		json_object_array_add(array, json_object_new_string(list->items[i]));
	return array;
}

static struct json_object *pairs_json(const struct gantry_pairs *pairs)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < pairs->count; i++)
		docker_add(object, pairs->items[i].name, pairs->items[i].value);
	return object;
}

void docker_add_strings(struct json_object *object, const char *key,
			const struct gantry_strings *list)
{
	if (list->count > 0)
		json_object_object_add(object, key, strings_json(list));
}

static void add_limit(struct json_object *object, const char *key, int64_t value)
{
	if (value != GANTRY_UNSET)
		docker_add_int(object, key, value);
}

void docker_add_true(struct json_object *object, const char *key, bool value)
{
	if (value)
		json_object_object_add(object, key, json_object_new_boolean(true));
}

void docker_add_environment(struct json_object *body, const struct gantry_envs *environment)
{
	struct json_object *array = json_object_new_array();
	char *text;

	for (size_t i = 0; i < environment->count; i++) {
		const struct gantry_env *env = &environment->items[i];

		if (asprintf(&text, "%s=%s", env->name, env->value ? env->value : "") < 0)
			abort();
		json_object_array_add(array, json_object_new_string(text));
		free(text);
	}
	json_object_object_add(body, "Env", array);
}

/* The same container port may be published more than once. */
static void add_ports(struct json_object *body, struct json_object *host,
		      const struct gantry_ports *ports)
{
	struct json_object *exposed, *bindings;

	if (ports->count == 0)
		return;
	exposed = json_object_new_object();
	bindings = json_object_new_object();
	for (size_t i = 0; i < ports->count; i++) {
		const struct gantry_port *port = &ports->items[i];
		struct json_object *binding = json_object_new_object(), *list;
		char key[32], number[8] = "";

		snprintf(key, sizeof(key), "%u/%s", port->container_port,
			 port->protocol ? port->protocol : "tcp");
		if (port->host_port)
			snprintf(number, sizeof(number), "%u", port->host_port);
		docker_add(binding, "HostIp", port->host_ip ? port->host_ip : "127.0.0.1");
		docker_add(binding, "HostPort", number);
		list = docker_get(bindings, key);
		if (!list) {
			list = json_object_new_array();
			json_object_object_add(bindings, key, list);
			json_object_object_add(exposed, key, json_object_new_object());
		}
		json_object_array_add(list, binding);
	}
	json_object_object_add(body, "ExposedPorts", exposed);
	json_object_object_add(host, "PortBindings", bindings);
}

/* As "Mounts", not "Binds": the engine then refuses a host path that is not there; Binds would make it. */
static void add_mounts(struct json_object *host, const struct gantry_mounts *mounts)
{
	static const char *const types[] = {
		[GANTRY_MOUNT_BIND] = "bind",
		[GANTRY_MOUNT_VOLUME] = "volume",
		[GANTRY_MOUNT_TMPFS] = "tmpfs",
		[GANTRY_MOUNT_INSTANCE] = DOCKER_BORROWED,
	};
	struct json_object *array;

	if (mounts->count == 0)
		return;
	array = json_object_new_array();
	for (size_t i = 0; i < mounts->count; i++) {
		const struct gantry_mount *mount = &mounts->items[i];
		struct json_object *one = json_object_new_object(), *options;

		docker_add(one, "Type", types[mount->type]);
		docker_add(one, "Source", mount->source);
		docker_add(one, "Target", mount->target);
		docker_add_true(one, "ReadOnly", mount->read_only);
		if (mount->type == GANTRY_MOUNT_TMPFS && mount->size_bytes != GANTRY_UNSET) {
			options = json_object_new_object();
			docker_add_int(options, "SizeBytes", mount->size_bytes);
			json_object_object_add(one, "TmpfsOptions", options);
		}
		json_object_array_add(array, one);
	}
	json_object_object_add(host, "Mounts", array);
}

static void add_devices(struct json_object *host, const struct gantry_devices *devices)
{
	struct json_object *array;

	if (devices->count == 0)
		return;
	array = json_object_new_array();
	for (size_t i = 0; i < devices->count; i++) {
		const struct gantry_device *device = &devices->items[i];
		struct json_object *one = json_object_new_object();

		docker_add(one, "PathOnHost", device->host_path);
		docker_add(one, "PathInContainer",
			   device->container_path ? device->container_path : device->host_path);
		docker_add(one, "CgroupPermissions",
			   device->permissions ? device->permissions : "rwm");
		json_object_array_add(array, one);
	}
	json_object_object_add(host, "Devices", array);
}

static void add_ulimits(struct json_object *host, const struct gantry_ulimits *ulimits)
{
	struct json_object *array;

	if (ulimits->count == 0)
		return;
	array = json_object_new_array();
	for (size_t i = 0; i < ulimits->count; i++) {
		struct json_object *one = json_object_new_object();

		docker_add(one, "Name", ulimits->items[i].name);
		docker_add_int(one, "Soft", ulimits->items[i].soft);
		docker_add_int(one, "Hard", ulimits->items[i].hard);
		json_object_array_add(array, one);
	}
	json_object_object_add(host, "Ulimits", array);
}

static void add_rate(struct json_object *host, const char *key, const char *device, int64_t rate)
{
	struct json_object *array = docker_get(host, key), *one;

	if (rate == GANTRY_UNSET)
		return;
	if (!array) {
		array = json_object_new_array();
		json_object_object_add(host, key, array);
	}
	one = json_object_new_object();
	docker_add(one, "Path", device);
	docker_add_int(one, "Rate", rate);
	json_object_array_add(array, one);
}

static void add_block_io(struct json_object *host, const struct gantry_block_io *block_io)
{
	add_limit(host, "BlkioWeight", block_io->weight);
	for (size_t i = 0; i < block_io->count; i++) {
		const struct gantry_block_limit *limit = &block_io->items[i];

		add_rate(host, "BlkioDeviceReadBps", limit->device, limit->read_bps);
		add_rate(host, "BlkioDeviceWriteBps", limit->device, limit->write_bps);
		add_rate(host, "BlkioDeviceReadIOps", limit->device, limit->read_iops);
		add_rate(host, "BlkioDeviceWriteIOps", limit->device, limit->write_iops);
	}
}

static void add_health(struct json_object *body, const struct gantry_health_check *check)
{
	struct json_object *health;

	if (check->test.count == 0)
		return;
	health = json_object_new_object();
	docker_add_strings(health, "Test", &check->test);
	if (check->interval_ms > 0)
		docker_add_int(health, "Interval", check->interval_ms * 1000000);
	if (check->timeout_ms > 0)
		docker_add_int(health, "Timeout", check->timeout_ms * 1000000);
	if (check->start_period_ms > 0)
		docker_add_int(health, "StartPeriod", check->start_period_ms * 1000000);
	if (check->retries > 0)
		docker_add_int(health, "Retries", check->retries);
	json_object_object_add(body, "Healthcheck", health);
}

/* A log always has an end: driver, size and number of files are set on every container. */
static void add_log(struct docker_node *node, struct json_object *host,
		    const struct gantry_log_limits *log)
{
	const struct docker_node_settings *settings = node->settings;
	const char *driver = log->driver ? log->driver : settings->log_driver;
	int64_t size = log->size_bytes != GANTRY_UNSET ? log->size_bytes : settings->log_size_bytes;
	int64_t files = log->files != GANTRY_UNSET ? log->files : settings->log_files;
	struct json_object *config = json_object_new_object(), *options = json_object_new_object();
	char number[32];

	/* Podman has neither "local" nor more than one file */
	if (node->podman && (strcmp(driver, "local") == 0 || strcmp(driver, "json-file") == 0))
		driver = "k8s-file";
	if (strcmp(driver, "local") == 0 || strcmp(driver, "json-file") == 0 ||
	    strcmp(driver, "k8s-file") == 0) {
		snprintf(number, sizeof(number), "%lld", (long long)size);
		docker_add(options, "max-size", number);
	}
	if (strcmp(driver, "local") == 0 || strcmp(driver, "json-file") == 0) {
		snprintf(number, sizeof(number), "%lld", (long long)files);
		docker_add(options, "max-file", number);
		/* the engine refuses to compress where there is one file only */
		docker_add(options, "compress", files > 1 ? "true" : "false");
	}
	docker_add(config, "Type", driver);
	json_object_object_add(config, "Config", options);
	json_object_object_add(host, "LogConfig", config);
}

/* The spec's own name servers first, then those of its ports. */
static void add_dns(struct json_object *host, const struct gantry_spec *spec)
{
	struct json_object *list = strings_json(&spec->dns);

	for (size_t i = 0; i < spec->network_ports.count; i++) {
		const struct gantry_strings *dns = &spec->network_ports.items[i].dns;

		for (size_t j = 0; j < dns->count; j++)
			json_object_array_add(list, json_object_new_string(dns->items[j]));
	}
	if (json_object_array_length(list) > 0)
		json_object_object_add(host, "Dns", list);
	else
		json_object_put(list);
}

static struct json_object *host_config(struct docker_node *node, const struct gantry_spec *spec,
				       struct json_object *body)
{
	struct json_object *host = json_object_new_object();
	struct json_object *restart = json_object_new_object();

	add_limit(host, "Memory", spec->memory_bytes);
	add_limit(host, "MemorySwap", spec->memory_swap_bytes);
	add_limit(host, "NanoCpus", spec->nano_cpus);
	add_limit(host, "CpuShares", spec->cpu_shares);
	docker_add(host, "CpusetCpus", spec->cpuset);
	add_limit(host, "PidsLimit", spec->pids);
	add_block_io(host, &spec->block_io);
	add_ulimits(host, &spec->ulimits);
	if (spec->sysctls.count > 0)
		json_object_object_add(host, "Sysctls", pairs_json(&spec->sysctls));
	add_devices(host, &spec->devices);
	docker_add_strings(host, "CapAdd", &spec->cap_add);
	docker_add_strings(host, "CapDrop", &spec->cap_drop);
	docker_add_true(host, "ReadonlyRootfs", spec->read_only);
	docker_add_true(host, "Init", spec->init);
	add_dns(host, spec);
	docker_add_strings(host, "DnsSearch", &spec->dns_search);
	add_mounts(host, &spec->mounts);
	add_ports(body, host, &spec->ports);
	docker_add(host, "NetworkMode", spec->network);
	add_log(node, host, &spec->log);
	/* gantryd alone restarts */
	docker_add(restart, "Name", "no");
	json_object_object_add(host, "RestartPolicy", restart);
	return host;
}

static struct json_object *create_body(struct docker_node *node, const struct gantry_create *create)
{
	const struct gantry_spec *spec = create->spec;
	struct json_object *body = json_object_new_object();

	docker_add(body, "Image", spec->image);
	docker_add_strings(body, "Cmd", &spec->command);
	docker_add_strings(body, "Entrypoint", &spec->entrypoint);
	docker_add_environment(body, &spec->environment);
	docker_add(body, "User", spec->user);
	docker_add(body, "WorkingDir", spec->working_dir);
	docker_add(body, "Hostname", spec->hostname);
	docker_add_true(body, "Tty", spec->tty);
	docker_add_true(body, "OpenStdin", spec->stdin_open);
	/* without it the end of a session's input would not be the end of the process's */
	docker_add_true(body, "StdinOnce", spec->stdin_open && !spec->tty);
	docker_add(body, "StopSignal", spec->stop_signal);
	if (spec->stop_grace_ms != GANTRY_UNSET)
		docker_add_int(body, "StopTimeout", (spec->stop_grace_ms + 999) / 1000);
	add_health(body, &spec->health_check);
	json_object_object_add(body, "Labels", pairs_json(&create->labels));
	json_object_object_add(body, "HostConfig", host_config(node, spec, body));
	return body;
}

/* A limit that the engine's kernel cannot hold is dropped with no more than a warning. */
static void log_warnings(struct docker_node *node, struct json_object *reply)
{
	struct json_object *warnings = docker_get(reply, "Warnings");

	for (size_t i = 0; warnings && i < json_object_array_length(warnings); i++)
		node->host->log(node->host->core, GANTRY_LOG_WARN, "node %s: the engine warns: %s",
				node->name,
				json_object_get_string(json_object_array_get_idx(warnings, i)));
}

static void created(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	struct docker_node *node = call->node;
	const char *id = docker_keep(node, call->op, docker_text(reply, "Id"));
	struct gantry_error mapped;

	if (err) {
		mapped = *err;
		/* a 404 may also mean the container of network "container:ID" */
		if (call->status == 404 && !docker_says(err->text, "image") &&
		    !docker_says(err->text, "manifest"))
			mapped.code = -EINVAL;
		if (call->status == 409 && err->code != -EEXIST)
			mapped.code = -EINVAL;
		/* Podman tells bad values, and a name that is taken, as a fault of its own */
		if (node->podman && call->status == 500 && err->code == -EIO)
			mapped.code = docker_says(err->text, "no such image") ||
						      docker_says(err->text, "image not known")
					      ? -ENOENT
					      : -EINVAL;
		node->host->op_done(call->op, &mapped, NULL);
	} else if (!id) {
		docker_fail(node, call->op, -EIO, "the engine told no id of the new container");
	} else {
		log_warnings(node, reply);
		node->host->op_done(call->op, NULL, id);
	}
}

void docker_create(void *arg, const struct gantry_create *create, struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct docker_call *call = docker_call_new(node, op, created);
	struct json_object *body = create_body(node, create);
	char *name = docker_url(create->name);

	docker_borrow_create(call, body, name);
	json_object_put(body);
	free(name);
}

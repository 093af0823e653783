/* SPDX-License-Identifier: Apache-2.0 */
#include "docker.h"

#include <stdlib.h>

static enum gantry_container_state read_state(const char *text)
{
	static const struct {
		const char *text;
		enum gantry_container_state state;
	} states[] = {
		{"created", GANTRY_CONTAINER_CREATED},
		{"running", GANTRY_CONTAINER_RUNNING},
		{"restarting", GANTRY_CONTAINER_RUNNING},
		{"paused", GANTRY_CONTAINER_PAUSED},
		{"exited", GANTRY_CONTAINER_EXITED},
		{"removing", GANTRY_CONTAINER_REMOVING},
		{"dead", GANTRY_CONTAINER_DEAD},
		/* Podman's */
		{"configured", GANTRY_CONTAINER_CREATED},
		{"initialized", GANTRY_CONTAINER_CREATED},
		{"stopping", GANTRY_CONTAINER_RUNNING},
		{"stopped", GANTRY_CONTAINER_EXITED},
	};

	for (size_t i = 0; text && i < sizeof(states) / sizeof(*states); i++)
		if (strcmp(text, states[i].text) == 0)
			return states[i].state;
	return GANTRY_CONTAINER_DEAD;
}

const char *docker_label(const struct gantry_pairs *labels, const char *name)
{
	for (size_t i = 0; i < labels->count; i++)
		if (strcmp(labels->items[i].name, name) == 0)
			return labels->items[i].value;
	return NULL;
}

/* --- list --- */

char *docker_list_path(struct docker_node *node)
{
	char *filters = NULL, *encoded, *path = NULL;

	if (asprintf(&filters, "{\"label\":[\"" GANTRY_LABEL_OWNER "=%s\"]}", node->owner) < 0)
		abort();
	encoded = docker_url(filters);
	if (asprintf(&path, "/containers/json?all=1&filters=%s", encoded) < 0)
		abort();
	free(filters);
	free(encoded);
	return path;
}

/* A link's name has a second slash: "/web/db". */
static const char *own_name(struct json_object *names)
{
	for (size_t i = 0; names && i < json_object_array_length(names); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(names, i));

		if (name && name[0] == '/' && !strchr(name + 1, '/'))
			return name + 1;
		if (name && name[0] != '/')
			return name;
	}
	return "";
}

static void read_entry(struct docker_node *node, struct gantry_op *op, struct json_object *entry,
		       struct gantry_container *container)
{
	const char *status = docker_text(entry, "Status");

	container->container_id = docker_keep(node, op, docker_text(entry, "Id"));
	container->name = docker_keep(node, op, own_name(docker_get(entry, "Names")));
	container->image = docker_keep(node, op, docker_text(entry, "Image"));
	container->labels = docker_keep_pairs(node, op, docker_get(entry, "Labels"));
	container->state = read_state(docker_text(entry, "State"));
	container->created_ms = docker_int(entry, "Created", 0) * 1000;
	/* the one place where a list tells the exit code: "Exited (137) 2 minutes ago" */
	if (status && sscanf(status, "Exited (%d)", &container->exit_code) != 1)
		container->exit_code = 0;
	container->limits = (struct gantry_limits){GANTRY_UNSET, GANTRY_UNSET, GANTRY_UNSET,
						   GANTRY_UNSET, GANTRY_UNSET, NULL};
}

void docker_read_list(struct docker_node *node, struct gantry_op *op, struct json_object *reply,
		      struct gantry_containers *ret_containers)
{
	size_t count =
		json_object_is_type(reply, json_type_array) ? json_object_array_length(reply) : 0;

	*ret_containers = (struct gantry_containers){0};
	ret_containers->items =
		node->host->op_alloc(op, (count + 1) * sizeof(*ret_containers->items));
	for (size_t i = 0; i < count; i++) {
		struct json_object *entry = json_object_array_get_idx(reply, i);

		if (docker_text(entry, "Id"))
			read_entry(node, op, entry,
				   &ret_containers->items[ret_containers->count++]);
	}
}

static void list_done(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct gantry_containers *containers;

	if (err) {
		call->node->host->op_done(call->op, err, NULL);
		return;
	}
	containers = call->node->host->op_alloc(call->op, sizeof(*containers));
	docker_read_list(call->node, call->op, reply, containers);
	call->node->host->op_done(call->op, NULL, containers);
}

void docker_list(void *arg, struct gantry_op *op)
{
	struct docker_node *node = arg;
	char *path = docker_list_path(node);

	docker_call(docker_call_new(node, op, list_done), "GET", NULL, "%s", path);
	free(path);
}

/* --- inspect --- */

/* 0 is the engine's word for "not set". */
static int64_t limit_of(struct json_object *host, const char *key)
{
	int64_t value = docker_int(host, key, 0);

	return value == 0 ? GANTRY_UNSET : value;
}

void docker_read_limits(struct json_object *inspected, struct gantry_limits *ret_limits)
{
	struct json_object *host = docker_get(inspected, "HostConfig");
	int64_t quota = docker_int(host, "CpuQuota", 0), period = docker_int(host, "CpuPeriod", 0);
	const char *cpuset = docker_text(host, "CpusetCpus");

	ret_limits->memory_bytes = limit_of(host, "Memory");
	ret_limits->memory_swap_bytes = limit_of(host, "MemorySwap");
	ret_limits->nano_cpus = limit_of(host, "NanoCpus");
	if (ret_limits->nano_cpus == GANTRY_UNSET && quota > 0)
		ret_limits->nano_cpus = quota * 1000000000 / (period > 0 ? period : 100000);
	ret_limits->cpu_shares = limit_of(host, "CpuShares");
	ret_limits->pids = limit_of(host, "PidsLimit");
	ret_limits->cpuset = cpuset && cpuset[0] ? cpuset : NULL;
}

static void read_ports(struct docker_node *node, struct gantry_op *op, struct json_object *ports,
		       struct gantry_ports *ret_ports)
{
	size_t count = 0;

	if (!json_object_is_type(ports, json_type_object))
		return;
	json_object_object_foreach(ports, ignored, counted)
	{
		(void)ignored;
		if (json_object_is_type(counted, json_type_array))
			count += json_object_array_length(counted);
	}
	ret_ports->items = node->host->op_alloc(op, (count + 1) * sizeof(*ret_ports->items));
	json_object_object_foreach(ports, key, list)
	{
		unsigned number = 0;
		char protocol[8] = "tcp";

		if (!json_object_is_type(list, json_type_array))
			continue; /* exposed, not published */
		sscanf(key, "%u/%7s", &number, protocol);
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *one = json_object_array_get_idx(list, i);
			struct gantry_port *port = &ret_ports->items[ret_ports->count++];
			const char *host_port = docker_text(one, "HostPort");

			port->host_ip = docker_keep(node, op, docker_text(one, "HostIp"));
			port->host_port = (uint16_t)(host_port ? atoi(host_port) : 0);
			port->container_port = (uint16_t)number;
			port->protocol = docker_keep(node, op, protocol);
		}
	}
}

static const char *first_address(struct json_object *settings)
{
	struct json_object *networks = docker_get(settings, "Networks");
	const char *address;

	if (json_object_is_type(networks, json_type_object)) {
		json_object_object_foreach(networks, name, network)
		{
			(void)name;
			address = docker_text(network, "IPAddress");
			if (address && address[0])
				return address;
		}
	}
	address = docker_text(settings, "IPAddress");
	return address && address[0] ? address : NULL;
}

static void inspect_done(struct docker_call *call, const struct gantry_error *err,
			 struct json_object *reply)
{
	struct docker_node *node = call->node;
	struct gantry_op *op = call->op;
	struct json_object *state = docker_get(reply, "State"),
			   *config = docker_get(reply, "Config");
	struct json_object *network = docker_get(reply, "NetworkSettings");
	struct gantry_container *c;
	const char *text;

	if (err) {
		node->host->op_done(op, err, NULL);
		return;
	}
	c = node->host->op_alloc(op, sizeof(*c));
	c->container_id = docker_keep(node, op, docker_text(reply, "Id"));
	text = docker_text(reply, "Name");
	c->name = docker_keep(node, op, text && text[0] == '/' ? text + 1 : text);
	c->image = docker_keep(node, op, docker_text(config, "Image"));
	c->labels = docker_keep_pairs(node, op, docker_get(config, "Labels"));
	c->state = read_state(docker_text(state, "Status"));
	c->created_ms = docker_time_ns(docker_text(reply, "Created")) / 1000000;
	c->started_ms = docker_time_ns(docker_text(state, "StartedAt")) / 1000000;
	c->finished_ms = docker_time_ns(docker_text(state, "FinishedAt")) / 1000000;
	c->exit_code = (int)docker_int(state, "ExitCode", 0);
	c->oom_killed = docker_bool(state, "OOMKilled");
	text = docker_text(state, "Error");
	c->error = text && text[0] ? docker_keep(node, op, text) : NULL;
	text = docker_text(docker_get(state, "Health"), "Status");
	c->health =
		text && text[0] && strcmp(text, "none") != 0 ? docker_keep(node, op, text) : NULL;
	c->pid = docker_int(state, "Pid", 0);
	c->address = docker_keep(node, op, first_address(network));
	read_ports(node, op, docker_get(network, "Ports"), &c->ports);
	docker_read_limits(reply, &c->limits);
	c->limits.cpuset = docker_keep(node, op, c->limits.cpuset);
	node->host->op_done(op, NULL, c);
}

void docker_inspect(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, inspect_done), "GET", NULL, "/containers/%s/json",
		    container);
}

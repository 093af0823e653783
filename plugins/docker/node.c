/* SPDX-License-Identifier: Apache-2.0 */
#include "docker.h"

#include <stdlib.h>

static int read_endpoint(struct docker_node *node, struct gantry_error *err)
{
	const struct docker_node_settings *settings = node->settings;
	const char *endpoint = settings->endpoint;
	bool tls = settings->tls_ca || settings->tls_certificate || !settings->tls_verify;
	int code = 0;

	if (strncmp(endpoint, "unix://", 7) == 0 && endpoint[7] == '/') {
		node->unix_socket = strdup(endpoint + 7);
		node->base_url = strdup("http://localhost");
		return 0;
	}
	if (strncmp(endpoint, "tcp://", 6) == 0 && endpoint[6])
		code = asprintf(&node->base_url, "%s://%s", tls ? "https" : "http", endpoint + 6);
	else if (strncmp(endpoint, "https://", 8) == 0 || strncmp(endpoint, "http://", 7) == 0)
		code = asprintf(&node->base_url, "%s", endpoint);
	else
		return gantry_error_set(err, -EINVAL,
					"must be unix:///PATH or tcp://HOST:PORT, not \"%s\"",
					endpoint);
	if (code < 0)
		return gantry_error_set(err, -ENOMEM, "out of memory");
	code = (int)strlen(node->base_url);
	if (node->base_url[code - 1] == '/')
		node->base_url[code - 1] = '\0';
	return 0;
}

int docker_node_open(void *plugin, const char *name, const void *settings, const char *owner,
		     void **ret_node, struct gantry_error *err)
{
	struct docker_node *node = calloc(1, sizeof(*node));
	char field[96];
	int code;

	if (!node)
		return gantry_error_set(err, -ENOMEM, "out of memory");
	node->host = plugin;
	node->name = name;
	node->owner = owner;
	node->settings = settings;
	code = read_endpoint(node, err);
	if (code < 0) {
		snprintf(field, sizeof(field), "nodes.%s.endpoint", name);
		goto fail;
	}
	if (!node->settings->tls_certificate != !node->settings->tls_key) {
		snprintf(field, sizeof(field), "nodes.%s.%s", name,
			 node->settings->tls_key ? "tls_certificate" : "tls_key");
		code = gantry_error_set(
			err, -EINVAL,
			"a certificate and its key come together: this one is missing");
		goto fail;
	}
	node->peer = (struct gantry_http_peer){
		.unix_socket = node->unix_socket,
		.base_url = node->base_url,
		.ca_file = node->settings->tls_ca,
		.certificate_file = node->settings->tls_certificate,
		.key_file = node->settings->tls_key,
		.insecure = !node->settings->tls_verify,
	};
	node->fresh_peer = node->peer;
	node->fresh_peer.fresh = true;
	if (node->peer.insecure)
		node->host->log(node->host->core, GANTRY_LOG_WARN,
				"node %s: tls_verify is false: anybody in between can read and act",
				name);
	*ret_node = node;
	return 0;
fail:
	if (err)
		snprintf(err->field, sizeof(err->field), "%s", field);
	docker_node_close(node);
	return code;
}

void docker_node_close(void *arg)
{
	struct docker_node *node = arg;

	free(node->unix_socket);
	free(node->base_url);
	free(node);
}

/* An engine at a unix socket is on this host. */
static const char *boot_id(struct docker_node *node, struct gantry_op *op)
{
	char text[64];
	FILE *file = node->unix_socket ? fopen("/proc/sys/kernel/random/boot_id", "re") : NULL;
	bool read = file && fgets(text, sizeof(text), file);

	if (file)
		fclose(file);
	if (!read)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return docker_keep(node, op, text);
}

/* --- probe: GET /version (by way of the version that is agreed anew), then GET /info --- */

static void probed(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct docker_node *node = call->node;
	struct gantry_node_facts *facts = call->arg;
	int64_t system_ns;

	if (err) {
		node->host->op_done(call->op, err, NULL);
		return;
	}
#define KEEP(key) docker_keep(node, call->op, docker_text(reply, key))
	facts->engine_id = KEEP("ID");
	facts->boot_id = boot_id(node, call->op);
	if (!facts->engine_version)
		facts->engine_version = KEEP("ServerVersion");
	facts->storage_driver = KEEP("Driver");
	facts->cgroup_version = KEEP("CgroupVersion");
	if (!facts->cgroup_version)
		facts->cgroup_version = "1"; /* older engines know no other */
	facts->kernel = KEEP("KernelVersion");
	facts->operating_system = KEEP("OperatingSystem");
	facts->architecture = KEEP("Architecture");
#undef KEEP
	system_ns = docker_time_ns(docker_text(reply, "SystemTime"));
	node->clock_ahead_ns = system_ns > 0 ? system_ns - docker_monotonic_ns() : 0;
	facts->cpus = docker_int(reply, "NCPU", 0);
	facts->memory_bytes = docker_int(reply, "MemTotal", 0);
	node->cpus = facts->cpus;
	node->memory_bytes = facts->memory_bytes;
	facts->memory_limit = docker_bool(reply, "MemoryLimit");
	facts->swap_limit = docker_bool(reply, "SwapLimit");
	facts->cpu_quota = docker_bool(reply, "CpuCfsQuota");
	facts->pids_limit = docker_bool(reply, "PidsLimit");
	node->host->op_done(call->op, NULL, facts);
}

static void versioned(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct docker_node *node = call->node;
	struct gantry_node_facts *facts = call->arg;
	char version[16];

	if (err) {
		node->host->op_done(call->op, err, NULL);
		return;
	}
	snprintf(version, sizeof(version), "1.%d", node->api_minor);
	facts->engine = node->podman ? "podman" : "docker";
	facts->engine_version = docker_keep(node, call->op, docker_text(reply, "Version"));
	facts->api_version = docker_keep(node, call->op, version);
	call->done = probed;
	docker_call(call, "GET", NULL, "/info");
}

void docker_probe(void *arg, struct gantry_op *op)
{
	struct docker_node *node = arg;
	struct docker_call *call = docker_call_new(node, op, versioned);

	docker_forget_version(node);
	call->arg = node->host->op_alloc(op, sizeof(struct gantry_node_facts));
	docker_call(call, "GET", NULL, "/version");
}

/* --- ping --- */

static void pinged(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	(void)reply;
	call->node->host->op_done(call->op, err, NULL);
}

void docker_ping(void *arg, struct gantry_op *op)
{
	struct docker_call *call = docker_call_new(arg, op, pinged);

	call->fresh = true;
	docker_call(call, "GET", NULL, "/_ping");
}

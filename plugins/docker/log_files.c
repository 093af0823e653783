/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the engine keeps what a container prints. json-file is told by inspect; of local it is known:
 * local-logs/container.log in the container's folder, which is that of its /etc/hosts.
 */
#include "docker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder_file(struct docker_node *node, struct gantry_op *op,
			       struct json_object *reply, const char *name)
{
	const char *hosts = docker_text(reply, "HostsPath"), *slash, *kept;
	char *path = NULL;

	if (!hosts || !hosts[0])
		hosts = docker_text(reply,
				    "ResolvConfPath"); /* Hosts: with a network of another's */
	slash = hosts ? strrchr(hosts, '/') : NULL;
	if (!slash)
		return NULL;
	if (asprintf(&path, "%.*s/%s", (int)(slash - hosts), hosts, name) < 0)
		abort();
	kept = docker_keep(node, op, path);
	free(path);
	return kept;
}

/* The folder of the file is on this host: an engine behind a socket may be in another world. */
static bool is_here(const struct docker_node *node, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	char *folder;
	bool here;

	if (!node->unix_socket || !slash)
		return false;
	folder = strndup(path, (size_t)(slash - path));
	here = folder && access(folder, R_OK | X_OK) == 0;
	free(folder);
	return here;
}

static void inspected(struct docker_call *call, const struct gantry_error *err,
		      struct json_object *reply)
{
	struct docker_node *node = call->node;
	struct json_object *log = docker_get(docker_get(reply, "HostConfig"), "LogConfig");
	const char *driver = docker_text(log, "Type"), *most, *path;
	struct gantry_log_files *files;

	if (err) {
		node->host->op_done(call->op, err, NULL);
		return;
	}
	files = node->host->op_alloc(call->op, sizeof(*files));
	files->driver = docker_keep(node, call->op, driver ? driver : "");
	most = docker_text(docker_get(log, "Config"), "max-file");
	if (strcmp(files->driver, "local") == 0) {
		files->path = folder_file(node, call->op, reply, "local-logs/container.log");
		files->files_max = most ? atoll(most) : 5;
	} else if (strcmp(files->driver, "json-file") == 0) {
		path = docker_text(reply, "LogPath");
		files->path = path && path[0] ? docker_keep(node, call->op, path) : NULL;
		files->files_max = most ? atoll(most) : 1;
	}
	if (node->podman) /* which calls its own k8s-file json-file */
		files->driver = "k8s-file";
	if (node->podman || !is_here(node, files->path))
		files->path = NULL;
	node->host->op_done(call->op, NULL, files);
}

void docker_log_files(void *arg, const char *container, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, inspected), "GET", NULL, "/containers/%s/json",
		    container);
}

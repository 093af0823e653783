/* SPDX-License-Identifier: Apache-2.0 */
#include "docker.h"

#define ROW(KEY, TYPE, DEFAULT, MEMBER, HELP, ...)                                                 \
	{                                                                                          \
		.key = KEY, .type = GANTRY_OPTION_##TYPE, .fallback = DEFAULT,                     \
		.offset = offsetof(struct docker_node_settings, MEMBER), .help = HELP, __VA_ARGS__ \
	}

/* clang-format off */
static const struct gantry_option node_options[] = {
	ROW("endpoint", STRING, "unix:///var/run/docker.sock", endpoint,
	    "where the engine is: unix:///PATH or tcp://HOST:PORT"),
	ROW("tls_ca", STRING, NULL, tls_ca,
	    "authority that signed the engine's certificate, a PEM file; this or a certificate makes tcp:// TLS"),
	ROW("tls_certificate", STRING, NULL, tls_certificate, "our certificate, a PEM file"),
	ROW("tls_key", STRING, NULL, tls_key, "its key, a PEM file"),
	ROW("tls_verify", BOOL, "true", tls_verify,
	    "verify the engine's certificate and name; false lets anybody in between read and act"),
	ROW("connect_timeout", DURATION, "10s", connect_timeout_ms,
	    "how long a connection may take to stand", .minimum = 10),
	ROW("stall_timeout", DURATION, "2m", stall_timeout_ms,
	    "how long the engine may say nothing in an ordinary call", .minimum = 100),
	ROW("pull_stall", DURATION, "2m", pull_stall_ms,
	    "how long a pull may make no progress", .minimum = 100),
	ROW("ping_interval", DURATION, "30s", ping_interval_ms,
	    "how often an engine that is quiet is asked for a sign of life; 0: never"),
	ROW("claim_wait", DURATION, "2s", claim_wait_ms,
	    "how long another gantryd with our owner has to show that it lives before its engine is taken over",
	    .minimum = 100),
	ROW("log_driver", STRING, "local", log_driver, "log driver of containers that do not name one"),
	ROW("log_size", SIZE, "20MiB", log_size_bytes,
	    "size of one log file before it is rotated", .minimum = 4096),
	ROW("log_files", INT, "5", log_files, "log files kept for a container",
	    .minimum = 1, .maximum = 1000),
	{.key = NULL},
};
/* clang-format on */

static const struct gantry_runtime runtime = {
	.size = sizeof(runtime),
	.node_open = docker_node_open,
	.node_close = docker_node_close,
	.probe = docker_probe,
	.list = docker_list,
	.watch = docker_watch,
	.create = docker_create,
	.start = docker_start,
	.kill = docker_kill,
	.wait = docker_wait,
	.remove = docker_remove,
	.inspect = docker_inspect,
	.pause = docker_pause,
	.unpause = docker_unpause,
	.update = docker_update,
	.rename = docker_rename,
	.stats = docker_stats,
	.stats_size = sizeof(struct gantry_stats),
	.stats_follow = docker_stats_follow,
	.top = docker_top,
	.images = docker_images,
	.image_present = docker_image_present,
	.pull = docker_pull,
	.output = docker_output,
	.attach = docker_attach,
	.exec = docker_exec,
	.session_write = docker_session_write,
	.session_shutdown = docker_session_shutdown,
	.session_resize = docker_session_resize,
	.claim = docker_claim,
	.log_files = docker_log_files,
	.log_read = docker_log_read,
	.ping = docker_ping,
	.path_look = docker_path_look,
	.archive_get = docker_archive_get,
	.archive_put = docker_archive_put,
	.upload_write = docker_upload_write,
	.upload_end = docker_upload_end,
	.commit = docker_commit,
	.image_remove = docker_image_remove,
	.image_save = docker_image_save,
	.image_load = docker_image_load,
	.wire = docker_wire,
};

/* The host's table is all that the plugin keeps; nodes take it from here. */
static int open_plugin(const struct gantry_host *host, const void *settings, void **ret_plugin,
		       struct gantry_error *err)
{
	(void)settings, (void)err;
	*ret_plugin = (void *)host;
	return 0;
}

static void close_plugin(void *plugin)
{
	(void)plugin;
}

extern const struct gantry_plugin gantry_plugin;
const struct gantry_plugin gantry_plugin = {
	.abi_major = GANTRY_ABI_MAJOR,
	.abi_minor = GANTRY_ABI_MINOR,
	.size = sizeof(gantry_plugin),
	.name = "docker",
	.version = "1",
	.summary =
		"runs containers on a Docker Engine, or on Podman by its Docker-compatible socket",
	.node_options = node_options,
	.node_settings_size = sizeof(struct docker_node_settings),
	.open = open_plugin,
	.close = close_plugin,
	.runtime = &runtime,
};

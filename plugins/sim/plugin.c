/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#define ROW(KEY, TYPE, DEFAULT, MEMBER, HELP, ...)                                                 \
	{                                                                                          \
		.key = KEY, .type = GANTRY_OPTION_##TYPE, .fallback = DEFAULT,                     \
		.offset = offsetof(struct sim_settings, MEMBER), .help = HELP, __VA_ARGS__         \
	}

/* clang-format off */
static const struct gantry_option node_options[] = {
	ROW("host_memory", SIZE, "64GiB", host_memory_bytes,
	    "memory that the engine says its host has", .minimum = 1 << 20),
	ROW("host_cpus", INT, "16", host_cpus, "CPUs that it says its host has",
	    .minimum = 1, .maximum = 65536),
	ROW("host_disk", SIZE, "64MiB", host_disk_bytes,
	    "what files that were put into its containers and images may take, in gantryd's memory"),
	ROW("true_memory", SIZE, "0", true_memory_bytes,
	    "memory that is really there: a start that goes over it fails; 0: there is no end of it"),
	ROW("create_latency", DURATION, "0", create_latency_ms, "how long a create takes"),
	ROW("start_latency", DURATION, "0", start_latency_ms, "how long a start takes"),
	ROW("stop_latency", DURATION, "0", stop_latency_ms,
	    "how long a process takes to end after a signal that asks it to; SIGKILL ends it at once"),
	ROW("pull_latency", DURATION, "0", pull_latency_ms, "how long a pull takes"),
	ROW("call_latency", DURATION, "0", call_latency_ms, "how long any other call takes"),
	ROW("jitter", DURATION, "0", jitter_ms,
	    "up to so much is added at random to each create, start and pull"),
	ROW("parallel", INT, "0", parallel,
	    "creates and starts that are worked on at a time, the others wait; 0: all"),
	ROW("fail", STRINGS, NULL, fail,
	    "what fails how often, as \"create:EIO:0.01\": operation or *, error (or lost, hang), share"),
	ROW("seed", INT, "1", seed, "of the random numbers: the same seed, the same faults"),
	ROW("down_after", DURATION, "0", down_after_ms,
	    "the node is out of reach so long after gantryd started; 0: never"),
	ROW("up_after", DURATION, "0", up_after_ms,
	    "and is back so long after that; 0: it stays away"),
	ROW("flap", BOOL, "false", flap, "it goes away again and again"),
	ROW("reboot", BOOL, "false", reboot,
	    "what ran is dead when it comes back, as after a restart of the host"),
	ROW("images", STRINGS, NULL, images,
	    "images that are there; \"*\" at the end of a name stands for anything; all where none is named"),
	ROW("registry", STRINGS, NULL, registry,
	    "images that can be pulled, written likewise; all where none is named"),
	ROW("events", INT, "256", events, "events that the engine remembers",
	    .minimum = 1, .maximum = 1000000),
	ROW("state", STRING, NULL, state,
	    "file of the containers, which then outlive gantryd; without one they end with it"),
	{.key = NULL},
};
/* clang-format on */

static const struct gantry_runtime runtime = {
	.size = sizeof(runtime),
	.node_open = sim_node_open,
	.node_close = sim_node_close,
	.probe = sim_probe,
	.list = sim_list,
	.watch = sim_watch,
	.create = sim_create,
	.start = sim_start,
	.kill = sim_kill,
	.wait = sim_wait,
	.remove = sim_remove,
	.inspect = sim_inspect,
	.pause = sim_pause,
	.unpause = sim_unpause,
	.update = sim_update,
	.rename = sim_rename,
	.stats = sim_stats,
	.stats_size = sizeof(struct gantry_stats),
	.stats_follow = sim_stats_follow,
	.top = sim_top,
	.images = sim_images,
	.image_present = sim_image_present,
	.pull = sim_pull,
	.output = sim_output,
	.attach = sim_attach,
	.exec = sim_exec,
	.session_write = sim_session_write,
	.session_shutdown = sim_session_shutdown,
	.session_resize = sim_session_resize,
	.log_files = sim_log_files,
	.log_read = sim_log_read,
	.path_look = sim_path_look,
	.archive_get = sim_archive_get,
	.archive_put = sim_archive_put,
	.upload_write = sim_upload_write,
	.upload_end = sim_upload_end,
	.commit = sim_commit,
	.image_remove = sim_image_remove,
	.image_save = sim_image_save,
	.image_load = sim_image_load,
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
	.name = "sim",
	.version = "1",
	.summary = "nodes in memory, to try policies and placement with no engine",
	.node_options = node_options,
	.node_settings_size = sizeof(struct sim_settings),
	.open = open_plugin,
	.close = close_plugin,
	.runtime = &runtime,
};

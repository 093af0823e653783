/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks.h"
#include "stdout.h"

static const struct gantry_option options[] = {
	{
		.key = "kept_bytes",
		.type = GANTRY_OPTION_SIZE,
		.fallback = "32MiB",
		.offset = offsetof(struct stdout_settings, kept_bytes),
		.help = "how much of an instance's output is kept where the engine's files are not on this host, "
			"and of one that was removed",
		.minimum = 256 << 10,
		.maximum = (int64_t)1 << 40,
	},
	{
		.key = "follow_rate",
		.type = GANTRY_OPTION_SIZE,
		.fallback = "4MiB",
		.offset = offsetof(struct stdout_settings, rate_bytes),
		.help = "how many bytes that an instance prints in a second a follower or sink is given; the rest is left "
			"out and told as a gap; 0: all",
	},
	{
		.key = "follow_burst",
		.type = GANTRY_OPTION_SIZE,
		.fallback = "64MiB",
		.offset = offsetof(struct stdout_settings, burst_bytes),
		.help = "how many more at once, where less was printed before",
	},
	{0},
};

static int open_plugin(const struct gantry_host *host, const void *settings, void **ret_plugin,
		       struct gantry_error *err)
{
	struct stdout_plugin *plugin = take_memory(NULL, sizeof(*plugin));

	if (!GANTRY_HOST_HAS(host, poll_close)) {
		free(plugin);
		return gantry_error_set(err, -ENOTSUP,
					"this gantryd is too old for it: it watches no sockets");
	}
	*plugin = (struct stdout_plugin){
		.host = host, .settings = settings, .lookups = {.host = host}};
	*ret_plugin = plugin;
	return 0;
}

static void close_plugin(void *plugin)
{
	lookups_close(&((struct stdout_plugin *)plugin)->lookups);
	free(plugin); /* its sessions went with their readers */
}

static const struct gantry_log_kind *const kinds[] = {&sink_file, &sink_syslog, &sink_journald,
						      &sink_fluent, NULL};

static const struct gantry_logger logger = {
	.size = sizeof(logger),
	.read = session_read,
	.resume = session_resume,
	.close = session_close,
	.started = session_started,
	.ended = session_ended,
	.removed = session_removed,
	.kinds = kinds,
	.keep = kept_keep,
	.drop = kept_drop,
};

extern const struct gantry_plugin gantry_plugin;
const struct gantry_plugin gantry_plugin = {
	.abi_major = GANTRY_ABI_MAJOR,
	.abi_minor = GANTRY_ABI_MINOR,
	.size = sizeof(gantry_plugin),
	.name = "stdout",
	.version = "1",
	.summary =
		"reads what instances print, from the files of the engine's log drivers, and forwards it",
	.options = options,
	.settings_size = sizeof(struct stdout_settings),
	.open = open_plugin,
	.close = close_plugin,
	.logger = &logger,
};

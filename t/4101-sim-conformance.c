/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance list of runtimes: the sim plugin, at once, with latencies, and one start at a time. */
#include "fake/conformance.h"

static void run_list(const char *options, const char *prefix)
{
	static const char *const run[] = {"sleep", "1000", NULL}, *const exit3[] = {"exit", "3",
										    NULL};
	static const char *const hello[] = {"echo", "hello", NULL}, *const oops[] = {"warn", "oops",
										     NULL};
	struct rig rig;
	struct conformance list = {&rig, "base", run, exit3, hello, oops, prefix, 8099};

	diag("%s", options);
	rig_open(&rig);
	rig_load(&rig, "sim", options);
	conformance(&list);
	rig_close(&rig);
}

int main(void)
{
	char state[64] = "/tmp/gantry-sim.XXXXXX", options[256];
	int fd = mkstemp(state);

	run_list("{\"images\": [\"base\"]}", "c-");
	run_list(
		"{\"images\": [\"base\"], \"create_latency\": \"3ms\", \"start_latency\": \"3ms\", "
		"\"stop_latency\": \"3ms\", \"call_latency\": \"1ms\", \"jitter\": \"3ms\", "
		"\"parallel\": 1}",
		"l-");
	snprintf(options, sizeof(options), "{\"images\": [\"base\"], \"state\": \"%s\"}", state);
	run_list(options, "s-");
	unlink(state);
	close(fd);
	done_testing();
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance list of runtimes: the docker plugin on the fake engine. */
#include "fake/conformance.h"

int main(void)
{
	static const char *const run[] = {"sleep", "1000", NULL}, *const exit3[] = {"exit", "3",
										    NULL};
	static const char *const hello[] = {"echo", "hello", NULL}, *const oops[] = {"warn", "oops",
										     NULL};
	struct rig rig;
	struct conformance list = {&rig, "base", run, exit3, hello, oops, "c-", 8099};

	rig_open(&rig);
	rig_engine(&rig);
	rig_load(&rig, "docker", NULL);
	conformance(&list);
	rig_close(&rig);
	done_testing();
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of a spec reaches the engine: the body of create, as the fake engine got it. */
#include "fake/fields.h"

int main(void)
{
	static const char *const run[] = {"sleep", "1000", NULL};
	struct rig rig;
	struct conformance list = {&rig, "base", run, run, run, run, "f-", 0};

	rig_open(&rig);
	rig_engine(&rig);
	rig_load(&rig, "docker", NULL);
	fields_check(&list, "/dev/vda");
	rig_close(&rig);
	done_testing();
	return tap_end();
}

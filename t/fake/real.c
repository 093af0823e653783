/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The docker plugin on an engine that is no fake. Not a test by itself: see t/9010-docker-real.t.
 *
 *	real conformance|fields SOCKET IMAGE [DISK]
 */
#include "fields.h"

int main(int argc, char **argv)
{
	static const char *const run[] = {
		"sh", "-c", "trap 'exit 143' TERM; while :; do sleep 0.05; done", NULL};
	static const char *const exit3[] = {"sh", "-c", "exit 3", NULL};
	static const char *const hello[] = {"echo", "hello", NULL};
	static const char *const oops[] = {"sh", "-c", "echo oops >&2", NULL};
	struct rig rig;
	struct conformance list = {&rig, NULL, run, exit3, hello, oops, "gantry-test-", 18098};
	char owner[32];

	if (argc < 4) {
		fprintf(stderr, "usage: real conformance|fields SOCKET IMAGE [DISK]\n");
		return 2;
	}
	rig_open(&rig);
	/* an owner of its own: the engine may be in use by others */
	snprintf(owner, sizeof(owner), "tester-%d", getpid());
	rig.owner = owner;
	snprintf(rig.socket, sizeof(rig.socket), "%s", argv[2]);
	snprintf(rig.endpoint, sizeof(rig.endpoint), "unix://%s", argv[2]);
	list.image = argv[3];
	rig_load(&rig, "docker", NULL);
	if (strcmp(argv[1], "fields") == 0)
		fields_check(&list, argc > 4 ? argv[4] : NULL);
	else
		conformance(&list);
	rig_close(&rig);
	done_testing();
	return tap_end();
}

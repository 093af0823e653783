/* SPDX-License-Identifier: Apache-2.0 */
/* Limits as the kernel holds them: cgroup v1 and v2 in a folder that looks like /proc and /sys. */
#include "../plugins/docker/cgroup.c"

#include "tap.h"

#include <ftw.h>
#include <sys/stat.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char root[64];

/* Makes the file with its folders. */
static void put(const char *path, const char *text)
{
	char whole[600];
	FILE *file;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	for (char *at = strchr(whole + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		mkdir(whole, 0755);
		*at = '/';
	}
	file = fopen(whole, "w");
	if (!file)
		bail_out("%s cannot be made", whole);
	fputs(text, file);
	fclose(file);
}

static int drop(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status, (void)type, (void)where;
	return remove(path);
}

static const struct gantry_stats unknown = {
	.oom_kills = GANTRY_UNSET,
	.cpu_pressure_percent = GANTRY_UNSET,
	.memory_pressure_percent = GANTRY_UNSET,
	.io_pressure_percent = GANTRY_UNSET,
};

static void version_1(void)
{
	struct docker_cgroup held;
	struct gantry_stats stats;

	put("proc/7/cgroup", "12:pids:/d/" ID "\n11:cpuset:/d/" ID "\n5:cpu,cpuacct:/d/" ID
			     "\n4:memory:/d/" ID "\n1:name=systemd:/d/" ID "\n0::/\n");
	put("sys/fs/cgroup/memory/d/" ID "/memory.limit_in_bytes", "67108864\n");
	put("sys/fs/cgroup/memory/d/" ID "/memory.memsw.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/cpu/d/" ID "/cpu.cfs_quota_us", "50000\n");
	put("sys/fs/cgroup/cpu/d/" ID "/cpu.cfs_period_us", "100000\n");
	put("sys/fs/cgroup/cpu/d/" ID "/cpu.shares", "512\n");
	put("sys/fs/cgroup/pids/d/" ID "/pids.max", "max\n");
	put("sys/fs/cgroup/cpuset/d/" ID "/cpuset.cpus", "0-1,5\n");
	ok(docker_read_cgroup(root, 7, ID, &held), "v1: it is the container's process");
	is_int(held.memory_bytes, 64 << 20, "v1: memory");
	ok(held.memory_swap_bytes == DOCKER_CGROUP_NONE, "v1: no limit of memory and swap");
	is_int(held.nano_cpus, 500000000, "v1: CPUs");
	is_int(held.cpu_shares, 512, "v1: shares");
	ok(held.pids == DOCKER_CGROUP_NONE, "v1: no limit of processes");
	is_str(held.cpuset, "0-1,5", "v1: the set of CPUs");
	put("sys/fs/cgroup/memory/d/" ID "/memory.oom_control",
	    "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
	stats = unknown;
	docker_read_cgroup_stats(root, 7, ID, &stats);
	is_int(stats.oom_kills, 3, "v1: kills for memory");
	ok(stats.cpu_pressure_percent < 0, "v1: there is no pressure");
	stats = unknown;
	docker_read_cgroup_stats(root, 7, "another", &stats);
	is_int(stats.oom_kills, GANTRY_UNSET, "kills of another container are not read");
	ok(!docker_read_cgroup(root, 7, "another", &held),
	   "a process of another container is not read");
	ok(!docker_read_cgroup(root, 8, ID, &held) && !docker_read_cgroup(root, 0, ID, &held),
	   "nor one that is not on this host");
}

static void version_2(void)
{
	struct docker_cgroup held;
	struct gantry_stats stats = unknown;

	put("proc/9/cgroup", "0::/s/docker-" ID ".scope\n");
	put("sys/fs/cgroup/s/docker-" ID ".scope/memory.max", "67108864\n");
	put("sys/fs/cgroup/s/docker-" ID ".scope/memory.swap.max", "33554432\n");
	put("sys/fs/cgroup/s/docker-" ID ".scope/cpu.max", "150000 100000\n");
	put("sys/fs/cgroup/s/docker-" ID ".scope/pids.max", "77\n");
	ok(docker_read_cgroup(root, 9, ID, &held), "v2: it is the container's process");
	is_int(held.memory_bytes, 64 << 20, "v2: memory");
	is_int(held.memory_swap_bytes, 96 << 20, "v2: memory and swap are added");
	is_int(held.nano_cpus, 1500000000, "v2: CPUs");
	is_int(held.pids, 77, "v2: processes");
	ok(held.cpu_shares == DOCKER_CGROUP_UNREAD && !held.cpuset[0],
	   "v2: what is not there is not known");
	put("sys/fs/cgroup/s/docker-" ID ".scope/cpu.max", "max 100000\n");
	docker_read_cgroup(root, 9, ID, &held);
	ok(held.nano_cpus == DOCKER_CGROUP_NONE, "v2: no limit of CPUs");
	put("sys/fs/cgroup/s/docker-" ID ".scope/memory.events",
	    "low 0\nmax 9\noom 4\noom_kill 2\noom_group_kill 1\n");
	put("sys/fs/cgroup/s/docker-" ID ".scope/cpu.pressure",
	    "some avg10=1.25 avg60=0.50 avg300=0.00 total=9\nfull avg10=0.75 avg60=0.00 avg300=0.00 total=1\n");
	put("sys/fs/cgroup/s/docker-" ID ".scope/memory.pressure",
	    "some avg10=0.00 avg60=0.50 avg300=0.00 total=9\n");
	docker_read_cgroup_stats(root, 9, ID, &stats);
	is_int(stats.oom_kills, 2, "v2: kills for memory");
	ok(stats.cpu_pressure_percent > 1.24 && stats.cpu_pressure_percent < 1.26 &&
		   stats.memory_pressure_percent >= 0 && stats.memory_pressure_percent < 0.01,
	   "v2: pressure on CPUs and memory");
	ok(stats.io_pressure_percent < 0,
	   "v2: pressure that the kernel does not tell is not known");
}

int main(void)
{
	strcpy(root, "/tmp/gantry-cgroup-XXXXXX");
	if (!mkdtemp(root))
		bail_out("no folder for the test");
	version_1();
	version_2();
	ok(docker_cgroup_holds(100000001, 98304000, 4 << 20) && !docker_cgroup_holds(64, 65, 1),
	   "what differs by less than a step is the same");
	ok(docker_cgroup_holds(GANTRY_UNSET, 5, 1) &&
		   docker_cgroup_holds(5, DOCKER_CGROUP_UNREAD, 1),
	   "what was not asked for, or is not known, is no difference");
	ok(!docker_cgroup_holds(5, DOCKER_CGROUP_NONE, 1), "no limit is none that was asked for");
	ok(docker_cgroup_holds_set("0,1", "0-1") && !docker_cgroup_holds_set("0", "0-1"),
	   "sets of CPUs are compared as sets");
	nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
	done_testing();
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the kernel knows of a container, where the engine is on this host: figures that the engine does
 * not tell, and the limits as they are held: the last word on an update, as an engine may accept one, tell
 * it, and not have applied it (Docker 20.10 does so with a sum of memory and swap of -1).
 *
 *	pid of the container ─▶ /proc/PID/cgroup ─▶ has the container's id? ─▶ files of cgroup v1 or v2
 *
 * The files are read at once: they are the kernel's memory, no disk. What cannot be read, as with an
 * engine elsewhere or in another namespace, is left as not known.
 */
#include "docker.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE_BYTES 4096

struct place {
	const char *root;
	char memory[512], cpu[512], pids[512], cpuset[512]; /* folders, "": none */
	bool v2;
};

/* What the file holds, as far as it fits; false where it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	if (length < 0)
		return false;
	text[length] = '\0';
	return true;
}

static bool read_file(const char *folder, const char *name, char *text, size_t size)
{
	char path[600];

	return folder[0] &&
	       snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path) &&
	       read_text(path, text, size);
}

static bool read_line(const char *folder, const char *name, char *text, size_t size)
{
	if (!read_file(folder, name, text, size))
		return false;
	text[strcspn(text, "\n")] = '\0';
	return true;
}

/* "max", and what v1 has in its place, is DOCKER_CGROUP_NONE. */
static int64_t read_number(const char *folder, const char *name)
{
	char text[64], *end;
	int64_t number;

	if (!read_line(folder, name, text, sizeof(text)))
		return DOCKER_CGROUP_UNREAD;
	number = strtoll(text, &end, 10);
	if (strcmp(text, "max") == 0 || number < 0 || number > INT64_MAX - PAGE_BYTES)
		return DOCKER_CGROUP_NONE;
	return end == text ? DOCKER_CGROUP_UNREAD : number;
}

static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ',') && (at[length] == '\0' || at[length] == ','))
			return true;
	return false;
}

static void find_folder(const struct place *place, const char *controller, const char *controllers,
			const char *path, char folder[512])
{
	if (has_word(controllers, controller))
		snprintf(folder, 512, "%s/sys/fs/cgroup/%s%s", place->root, controller, path);
}

/* Reads "4:memory:/docker/ID" and the like; false where it is not this container's process. */
static bool find(struct place *place, int64_t pid, const char *container_id)
{
	char path[600], text[8192], *line, *rest = text;
	bool found = false;

	snprintf(path, sizeof(path), "%s/proc/%lld/cgroup", place->root, (long long)pid);
	if (pid <= 0 || !container_id || !container_id[0] || !read_text(path, text, sizeof(text)))
		return false;
	while ((line = strsep(&rest, "\n")) && *line) {
		char *controllers = strchr(line, ':');
		char *own = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!own || !strstr(own, container_id))
			continue;
		*own++ = '\0';
		controllers++;
		found = true;
		if (!*controllers && !place->memory[0]) { /* "0::" is v2, also beside v1 */
			place->v2 = true;
			snprintf(place->memory, sizeof(place->memory), "%s/sys/fs/cgroup%s",
				 place->root, own);
		}
		find_folder(place, "memory", controllers, own, place->memory);
		find_folder(place, "cpu", controllers, own, place->cpu);
		find_folder(place, "pids", controllers, own, place->pids);
		find_folder(place, "cpuset", controllers, own, place->cpuset);
		if (*controllers)
			place->v2 = false;
	}
	return found;
}

static int64_t quota(int64_t quota_us, int64_t period_us)
{
	if (quota_us == DOCKER_CGROUP_UNREAD || quota_us == DOCKER_CGROUP_NONE)
		return quota_us;
	return period_us > 0 ? quota_us * 1000000000 / period_us : DOCKER_CGROUP_UNREAD;
}

static void read_v1(const struct place *place, struct docker_cgroup *ret)
{
	ret->memory_bytes = read_number(place->memory, "memory.limit_in_bytes");
	ret->memory_swap_bytes = read_number(place->memory, "memory.memsw.limit_in_bytes");
	ret->nano_cpus = quota(read_number(place->cpu, "cpu.cfs_quota_us"),
			       read_number(place->cpu, "cpu.cfs_period_us"));
	ret->cpu_shares = read_number(place->cpu, "cpu.shares");
	ret->pids = read_number(place->pids, "pids.max");
	if (!read_line(place->cpuset, "cpuset.cpus", ret->cpuset, sizeof(ret->cpuset)))
		ret->cpuset[0] = '\0';
}

/* Shares are turned into a weight there, by a rule that differs between runtimes: not compared. */
static void read_v2(const struct place *place, struct docker_cgroup *ret)
{
	const char *folder = place->memory;
	char text[64];
	long long quota_us, period_us;

	ret->memory_bytes = read_number(folder, "memory.max");
	ret->memory_swap_bytes = read_number(folder, "memory.swap.max"); /* without the memory */
	if (ret->memory_swap_bytes >= 0 && ret->memory_swap_bytes != DOCKER_CGROUP_NONE)
		ret->memory_swap_bytes = ret->memory_bytes < 0 ? DOCKER_CGROUP_UNREAD
					 : ret->memory_bytes == DOCKER_CGROUP_NONE
						 ? DOCKER_CGROUP_NONE
						 : ret->memory_swap_bytes + ret->memory_bytes;
	if (!read_line(folder, "cpu.max", text, sizeof(text)))
		ret->nano_cpus = DOCKER_CGROUP_UNREAD;
	else if (sscanf(text, "%lld %lld", &quota_us, &period_us) == 2)
		ret->nano_cpus = quota(quota_us, period_us);
	else
		ret->nano_cpus = DOCKER_CGROUP_NONE;
	ret->cpu_shares = DOCKER_CGROUP_UNREAD;
	ret->pids = read_number(folder, "pids.max");
	if (!read_line(folder, "cpuset.cpus", ret->cpuset, sizeof(ret->cpuset)))
		ret->cpuset[0] = '\0';
}

bool docker_read_cgroup(const char *root, int64_t pid, const char *container_id,
			struct docker_cgroup *ret_cgroup)
{
	struct place place = {.root = root};

	if (!find(&place, pid, container_id))
		return false;
	if (place.v2)
		read_v2(&place, ret_cgroup);
	else
		read_v1(&place, ret_cgroup);
	return true;
}

/* "oom_kill 3" is a line of its own, beside "oom_kill_disable 0". */
static int64_t read_row(const char *folder, const char *name, const char *row)
{
	char text[1024], *line, *rest = text;
	size_t length = strlen(row);

	if (read_file(folder, name, text, sizeof(text)))
		while ((line = strsep(&rest, "\n")))
			if (strncmp(line, row, length) == 0 && line[length] == ' ')
				return strtoll(line + length, NULL, 10);
	return GANTRY_UNSET;
}

/* "some avg10=1.25 avg60=…" */
static double read_pressure(const char *folder, const char *name)
{
	char text[256];
	double percent;

	return read_line(folder, name, text, sizeof(text)) &&
			       sscanf(text, "some avg10=%lf", &percent) == 1
		       ? percent
		       : GANTRY_UNSET;
}

/* v1 has no pressure of a group. */
void docker_read_cgroup_stats(const char *root, int64_t pid, const char *container_id,
			      struct gantry_stats *stats)
{
	struct place place = {.root = root};

	if (!find(&place, pid, container_id))
		return;
	stats->oom_kills = read_row(place.memory, place.v2 ? "memory.events" : "memory.oom_control",
				    "oom_kill");
	if (!place.v2)
		return;
	stats->cpu_pressure_percent = read_pressure(place.memory, "cpu.pressure");
	stats->memory_pressure_percent = read_pressure(place.memory, "memory.pressure");
	stats->io_pressure_percent = read_pressure(place.memory, "io.pressure");
}

bool docker_cgroup_holds(int64_t wanted, int64_t held, int64_t step)
{
	return wanted == GANTRY_UNSET || held == DOCKER_CGROUP_UNREAD ||
	       (held != DOCKER_CGROUP_NONE && wanted - held < step && held - wanted < step);
}

/* "0-2,5" as bits; false where it is none. */
static bool read_set(const char *text, unsigned char bits[128])
{
	memset(bits, 0, 128);
	while (*text) {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (end == text)
			return false;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (unsigned long cpu = first; cpu <= last && cpu < 1024; cpu++)
			bits[cpu / 8] |= (unsigned char)(1 << cpu % 8);
		text = *end == ',' ? end + 1 : end;
		if (*end && *end != ',')
			return false;
	}
	return true;
}

bool docker_cgroup_holds_set(const char *wanted, const char *held)
{
	unsigned char a[128], b[128];

	return !wanted || !held[0] || !read_set(wanted, a) || !read_set(held, b) ||
	       memcmp(a, b, sizeof(a)) == 0;
}

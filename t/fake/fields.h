/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every field of GANTRY_SPEC_FIELDS, set to something and found again in what the engine says of the
 * container. A field without a row here is a failure.
 */
#ifndef FAKE_FIELDS_H
#define FAKE_FIELDS_H

#include "conformance.h"

/* member of the spec → where inspect has it → what it must be, as JSON. */
struct field_row {
	const char *member, *path, *want;
};

static const struct field_row field_rows[] = {
	{"name", "Name", "\"/f-fields\""},
	{"project", "Config.Labels.gantry\\.project", "\"shop\""},
	{"labels", "Config.Labels.tier", "\"gold \\\"quoted\\\"\""},
	{"command", "Config.Cmd", "[\"-c\",\"trap 'exit 143' TERM; sleep 1000 & wait\"]"},
	{"entrypoint", "Config.Entrypoint", "[\"/bin/sh\"]"},
	{"environment", "Config.Env.0", "\"COLOUR=blue=green\""},
	{"environment", "Config.Env.1", "\"EMPTY=\""},
	{"user", "Config.User", "\"0:0\""},
	{"working_dir", "Config.WorkingDir", "\"/tmp\""},
	{"hostname", "Config.Hostname", "\"fields\""},
	{"tty", "Config.Tty", "true"},
	{"stdin_open", "Config.OpenStdin", "true"},
	{"mounts", "HostConfig.Mounts.0.Type", "\"bind\""},
	{"mounts", "HostConfig.Mounts.0.Source", "\"/usr\""},
	{"mounts", "HostConfig.Mounts.0.Target", "\"/host\""},
	{"mounts", "HostConfig.Mounts.0.ReadOnly", "true"},
	{"mounts", "HostConfig.Mounts.1.Type", "\"volume\""},
	{"mounts", "HostConfig.Mounts.1.Source", "\"gantry-test-fields\""},
	{"mounts", "HostConfig.Mounts.2.TmpfsOptions.SizeBytes", "1048576"},
	{"ports", "HostConfig.PortBindings.80/tcp.0.HostIp", "\"127.0.0.1\""},
	{"ports", "HostConfig.PortBindings.80/tcp.0.HostPort", "\"18099\""},
	{"ports", "HostConfig.PortBindings.80/tcp.1.HostPort", "\"\""},
	{"ports", "Config.ExposedPorts.53/udp", "{}"},
	{"network", "HostConfig.NetworkMode", "\"bridge\""},
	{"dns", "HostConfig.Dns", "[\"192.0.2.53\"]"},
	{"dns_search", "HostConfig.DnsSearch", "[\"example.test\"]"},
	{"cap_add", "HostConfig.CapAdd.0", NULL},
	{"cap_drop", "HostConfig.CapDrop.0", NULL},
	{"devices", "HostConfig.Devices.0.PathOnHost", "\"/dev/zero\""},
	{"devices", "HostConfig.Devices.0.PathInContainer", "\"/dev/nought\""},
	{"devices", "HostConfig.Devices.0.CgroupPermissions", "\"r\""},
	{"ulimits", "HostConfig.Ulimits.0.Name", "\"nofile\""},
	{"ulimits", "HostConfig.Ulimits.0.Soft", "512"},
	{"ulimits", "HostConfig.Ulimits.0.Hard", "1024"},
	{"sysctls", "HostConfig.Sysctls.net\\.ipv4\\.ip_unprivileged_port_start", "\"80\""},
	{"read_only", "HostConfig.ReadonlyRootfs", "true"},
	{"init", "HostConfig.Init", "true"},
	{"stop_signal", "Config.StopSignal", "\"SIGINT\""},
	{"stop_grace_ms", "Config.StopTimeout", "3"},
	{"health_check", "Config.Healthcheck.Test", "[\"CMD-SHELL\",\"true\"]"},
	{"health_check", "Config.Healthcheck.Interval", "30000000000"},
	{"health_check", "Config.Healthcheck.Timeout", "2500000000"},
	{"health_check", "Config.Healthcheck.StartPeriod", "1000000000"},
	{"health_check", "Config.Healthcheck.Retries", "7"},
	{"memory_bytes", "HostConfig.Memory", "67108864"},
	{"memory_swap_bytes", "HostConfig.MemorySwap", "100663296"},
	{"nano_cpus", "HostConfig.NanoCpus", "500000000"},
	{"cpu_shares", "HostConfig.CpuShares", "512"},
	{"cpuset", "HostConfig.CpusetCpus", "\"0\""},
	{"pids", "HostConfig.PidsLimit", "33"},
	{"log", "HostConfig.LogConfig.Type", "\"json-file\""},
	{"log", "HostConfig.LogConfig.Config.max-size", "\"65536\""},
	{"log", "HostConfig.LogConfig.Config.max-file", "\"2\""},
	{"log", "HostConfig.LogConfig.Config.compress", "\"true\""},
	{"", "HostConfig.RestartPolicy.Name", "\"no\""},
	{NULL, NULL, NULL},
};

/* Where the engine's host has block I/O control and a disk; else the engine refuses or warns. */
static const struct field_row field_block_rows[] = {
	{"block_io", "HostConfig.BlkioWeight", "300"},
	{"block_io", "HostConfig.BlkioDeviceReadBps.0.Rate", "1000001"},
	{"block_io", "HostConfig.BlkioDeviceWriteBps.0.Rate", "1000002"},
	{"block_io", "HostConfig.BlkioDeviceReadIOps.0.Rate", "1003"},
	{"block_io", "HostConfig.BlkioDeviceWriteIOps.0.Rate", "1004"},
	{NULL, NULL, NULL},
};

/* "a.b.0.c"; a dot in a key is written "\.". */
static struct json_object *field_find(struct json_object *at, const char *path)
{
	char key[128];

	while (*path && at) {
		size_t length = 0;

		for (; *path && *path != '.'; path++) {
			if (*path == '\\')
				path++;
			key[length++] = *path;
		}
		key[length] = '\0';
		path += *path == '.';
		at = json_object_is_type(at, json_type_array)
			     ? json_object_array_get_idx(at, (size_t)atoi(key))
			     : json_get(at, key);
	}
	return at;
}

static struct json_object *field_inspect(struct rig *rig, const char *id)
{
	char path[128];
	char *answer;
	struct json_object *inspected;

	snprintf(path, sizeof(path), "/containers/%s/json", id);
	answer = rig_ask(rig, "GET", path, NULL, NULL);
	inspected = json_tokener_parse(answer);
	free(answer);
	return inspected;
}

static void field_compare(struct json_object *inspected, const struct field_row *rows)
{
	for (; rows->path; rows++) {
		struct json_object *value = field_find(inspected, rows->path);
		const char *got = value ? json_object_to_json_string_ext(
						  value, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE)
					: NULL;

		if (got && strstr(rows->path, "BlkioWeight") && strcmp(got, "0") == 0)
			skip(1,
			     "this kernel has no block I/O weight; the engine drops it with a warning");
		else if (rows->want)
			is_str(got, rows->want, "%s is at %s",
			       rows->member[0] ? rows->member : "always", rows->path);
		else
			ok(got && got[0], "%s is at %s: %s", rows->member, rows->path,
			   got ? got : "");
	}
}

static void field_coverage(void)
{
#define COVERED(place, key, kind, flags, option, metavar, help)                                    \
	{                                                                                          \
		/* ports of networks are put on by "wire", not by "create" */                      \
		bool found = strcmp(#place, "image") == 0 || strcmp(#place, "block_io") == 0 ||    \
			     strcmp(#place, "network_ports") == 0;                                 \
		for (size_t i = 0; field_rows[i].path; i++)                                        \
			found = found || strcmp(field_rows[i].member, #place) == 0;                \
		ok(found, "the field %s is checked", key);                                         \
	}
	GANTRY_SPEC_FIELDS(COVERED)
#undef COVERED
}

/* device: a disk of the engine's host for block I/O limits, or NULL. */
static void fields_check(struct conformance *c, const char *device)
{
	static const char *words[] = {"-c", "trap 'exit 143' TERM; sleep 1000 & wait"};
	static const char *entry[] = {"/bin/sh"}, *dns[] = {"192.0.2.53"},
			  *search[] = {"example.test"};
	static const char *add[] = {"NET_ADMIN"}, *drop[] = {"MKNOD"},
			  *test[] = {"CMD-SHELL", "true"};
	struct gantry_pair labels[] = {{GANTRY_LABEL_OWNER, c->rig->owner},
				       {GANTRY_LABEL_INSTANCE, "i-1"},
				       {GANTRY_LABEL_PROJECT, "shop"},
				       {"tier", "gold \"quoted\""}};
	struct gantry_pair sysctls[] = {{"net.ipv4.ip_unprivileged_port_start", "80"}};
	struct gantry_env environment[] = {{"COLOUR", "blue=green", false}, {"EMPTY", "", true}};
	struct gantry_mount mounts[] = {
		{GANTRY_MOUNT_BIND, "/usr", "/host", true, GANTRY_UNSET},
		{GANTRY_MOUNT_VOLUME, "gantry-test-fields", "/volume", false, GANTRY_UNSET},
		{GANTRY_MOUNT_TMPFS, NULL, "/scratch", false, 1 << 20},
	};
	struct gantry_port ports[] = {{"127.0.0.1", 18099, 80, "tcp"},
				      {"127.0.0.1", 0, 80, "tcp"},
				      {"127.0.0.1", 0, 53, "udp"}};
	struct gantry_device devices[] = {{"/dev/zero", "/dev/nought", "r"}};
	struct gantry_ulimit ulimits[] = {{"nofile", 512, 1024}};
	struct gantry_block_limit block[] = {{device, 1000001, 1000002, 1003, 1004}};
	struct gantry_spec spec;
	struct gantry_create create = {.name = "f-fields", .labels = {labels, 4}, .spec = &spec};
	struct json_object *inspected;
	char id[80];

	field_coverage();
	spec_init(&spec);
	spec.name = "fields";
	spec.project = "shop";
	spec.image = c->image;
	spec.command = (struct gantry_strings){words, 2};
	spec.entrypoint = (struct gantry_strings){entry, 1};
	spec.environment = (struct gantry_envs){environment, 2};
	spec.user = "0:0";
	spec.working_dir = "/tmp";
	spec.hostname = "fields";
	spec.tty = spec.stdin_open = spec.read_only = spec.init = true;
	spec.mounts = (struct gantry_mounts){mounts, 3};
	spec.ports = (struct gantry_ports){ports, 3};
	spec.network = "bridge";
	spec.dns = (struct gantry_strings){dns, 1};
	spec.dns_search = (struct gantry_strings){search, 1};
	spec.cap_add = (struct gantry_strings){add, 1};
	spec.cap_drop = (struct gantry_strings){drop, 1};
	spec.devices = (struct gantry_devices){devices, 1};
	spec.ulimits = (struct gantry_ulimits){ulimits, 1};
	spec.sysctls = (struct gantry_pairs){sysctls, 1};
	spec.stop_signal = "SIGINT";
	spec.stop_grace_ms = 2500;
	spec.health_check = (struct gantry_health_check){{test, 2}, 30000, 2500, 1000, 7};
	spec.memory_bytes = 64 << 20;
	spec.memory_swap_bytes = 96 << 20;
	spec.nano_cpus = 500000000;
	spec.cpu_shares = 512;
	spec.cpuset = "0";
	spec.pids = 33;
	spec.log = (struct gantry_log_limits){"json-file", 65536, 2};
	c->rig->take = conf_take_id;
	is_int(RUN(c->rig, create, &create), 0, "create with every field: %s", c->rig->err.text);
	snprintf(id, sizeof(id), "%s", conf_text);
	is_int(RUN(c->rig, start, id), 0, "it starts: %s", c->rig->err.text);
	inspected = field_inspect(c->rig, id);
	field_compare(inspected, field_rows);
	json_object_put(inspected);
	is_int(RUN(c->rig, remove, id), 0, "remove it");

	spec_init(&spec);
	spec.image = c->image;
	mounts[0].source = "/nowhere/at/all";
	spec.mounts = (struct gantry_mounts){mounts, 1};
	is_int(RUN(c->rig, create, &create), -EINVAL,
	       "a host path that is not there is not made: -EINVAL");
	like(c->rig->err.text, "/nowhere/at/all", "the error names it");
	ok(access("/nowhere", F_OK) < 0, "and it is not there now");

	spec_init(&spec);
	spec.image = c->image;
	spec.command = (struct gantry_strings){words, 1};
	c->rig->take = conf_take_id;
	is_int(RUN(c->rig, create, &create), 0, "create with an image and a command only");
	snprintf(id, sizeof(id), "%s", conf_text);
	inspected = field_inspect(c->rig, id);
	is_str(json_object_get_string(field_find(inspected, "HostConfig.LogConfig.Type")), "local",
	       "the log driver is the node's");
	is_str(json_object_get_string(
		       field_find(inspected, "HostConfig.LogConfig.Config.max-size")),
	       "20971520", "its size has an end");
	is_str(json_object_get_string(field_find(inspected, "HostConfig.RestartPolicy.Name")), "no",
	       "nobody but gantryd restarts it");
	json_object_put(inspected);
	is_int(RUN(c->rig, remove, id), 0, "remove it");
	if (!device)
		return;

	spec_init(&spec);
	spec.image = c->image;
	spec.command = (struct gantry_strings){words, 1};
	spec.block_io = (struct gantry_block_io){300, block, 1};
	c->rig->take = conf_take_id;
	is_int(RUN(c->rig, create, &create), 0, "create with block I/O limits: %s",
	       c->rig->err.text);
	snprintf(id, sizeof(id), "%s", conf_text);
	inspected = field_inspect(c->rig, id);
	field_compare(inspected, field_block_rows);
	json_object_put(inspected);
	is_int(RUN(c->rig, remove, id), 0, "remove it");
}

#endif

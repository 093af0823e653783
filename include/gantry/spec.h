/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instance's spec: what a person or Nova asks for, as a struct, and the one table of its fields.
 *
 * From GANTRY_SPEC_FIELDS come the JSON parser and printer (core/model/spec.c), the options of
 * `gantry run` and their help (core/ctl), the schema in core/api/openapi.yaml (held by a test) and
 * the label `gantry.spec`. A runtime plugin gets the struct and must bring every field across.
 *
 * All pointers are owned by the spec's arena and live as long as the call that passes the spec.
 * A string that was not given is NULL, a number that was not given is GANTRY_UNSET, a list is empty.
 */
#ifndef GANTRY_SPEC_H
#define GANTRY_SPEC_H

#include <gantry/option.h>

#define GANTRY_UNSET (-1)

struct gantry_env {
	const char *name;
	const char *
		value; /* NULL where it is not known to this side (labels and stores keep names only) */
	bool secret; /* never logged, stored or shown but as a keyed hash */
};

struct gantry_envs {
	struct gantry_env *items;
	size_t count;
};

enum gantry_mount_type {
	GANTRY_MOUNT_BIND,
	GANTRY_MOUNT_VOLUME,
	GANTRY_MOUNT_TMPFS,
	GANTRY_MOUNT_INSTANCE, /* the filesystem of another one; since ABI 1.13 */
};

struct gantry_mount {
	enum gantry_mount_type type;
	/* host path for bind, name for volume, NULL for tmpfs, id for instance: to a runtime, the container */
	const char *source;
	const char *target; /* absolute path in the container */
	bool read_only;
	int64_t size_bytes; /* tmpfs only; GANTRY_UNSET: the engine's default */
};

struct gantry_mounts {
	struct gantry_mount *items;
	size_t count;
};

struct gantry_port {
	const char *host_ip; /* default "127.0.0.1" */
	uint16_t host_port;  /* 0: the engine picks one */
	uint16_t container_port;
	const char *protocol; /* "tcp", "udp" or "sctp" */
};

struct gantry_ports {
	struct gantry_port *items;
	size_t count;
};

struct gantry_device {
	const char *host_path;
	const char *container_path;
	const char *permissions; /* of r, w, m */
};

struct gantry_devices {
	struct gantry_device *items;
	size_t count;
};

struct gantry_ulimit {
	const char *name; /* "nofile", … */
	int64_t soft, hard;
};

struct gantry_ulimits {
	struct gantry_ulimit *items;
	size_t count;
};

/*
 * A port of a virtual network: an interface inside, plugged into a bridge of the node at each start. The engine
 * names it eth0, eth1, … in the order of the list.
 */
struct gantry_network_port {
	const char *id;                  /* letters, digits and "-"; on a node no other has it */
	const char *type;                /* "bridge" (Linux) or "ovs" (Open vSwitch) */
	const char *bridge;              /* its name on the node */
	bool create_bridge;              /* where it is not there; Linux bridges only */
	const char *mac;                 /* NULL: made of the id, the same at each start */
	struct gantry_strings addresses; /* "10.0.0.5/24", "fd00::5/64" */
	struct gantry_strings routes;    /* "default via 10.0.0.1", "10.1.0.0/16 via 10.0.0.254" */
	struct gantry_strings dns;       /* name servers, beside the spec's own */
	int64_t mtu;                     /* GANTRY_UNSET: 1500 */
};

struct gantry_network_ports {
	struct gantry_network_port *items;
	size_t count;
};

/* A health check is set where test.count > 0. test[0] is "CMD", "CMD-SHELL" or "NONE". */
struct gantry_health_check {
	struct gantry_strings test;
	int64_t interval_ms, timeout_ms, start_period_ms, retries;
};

/* Block I/O: weight 10 to 1000, and limits for one device each. */
struct gantry_block_limit {
	const char *device; /* host path, "/dev/vda" */
	int64_t read_bps, write_bps, read_iops, write_iops;
};

struct gantry_block_io {
	int64_t weight;
	struct gantry_block_limit *items;
	size_t count;
};

/* Log limits: the engine's rotation. */
struct gantry_log_limits {
	const char *driver; /* "local" or "json-file"; NULL: the node's default */
	int64_t size_bytes; /* of one file */
	int64_t files;
};

struct gantry_spec {
	const char *name;    /* letters, digits and "-", at most 63 */
	const char *project; /* letters, digits and "-", at most 63; default "default" */
	struct gantry_pairs labels;
	const char *image;
	struct gantry_strings command;
	struct gantry_strings entrypoint;
	struct gantry_envs environment;
	const char *user;
	const char *working_dir;
	const char *hostname;
	bool tty;
	bool stdin_open;
	struct gantry_mounts mounts;
	struct gantry_ports ports;
	const char *network; /* "bridge", "host", "none", "container:ID" or a network's name */
	struct gantry_network_ports network_ports;
	struct gantry_strings dns;
	struct gantry_strings dns_search;
	struct gantry_strings cap_add;
	struct gantry_strings cap_drop;
	struct gantry_devices devices;
	struct gantry_ulimits ulimits;
	struct gantry_pairs sysctls;
	bool read_only;
	bool init;
	const char *stop_signal;
	int64_t stop_grace_ms;
	struct gantry_health_check health_check;
	int64_t memory_bytes;
	int64_t memory_swap_bytes; /* memory and swap together */
	int64_t nano_cpus;         /* billionths of a CPU */
	int64_t cpu_shares;
	const char *cpuset;
	int64_t pids;
	struct gantry_block_io block_io;
	struct gantry_log_limits log;
};

/* The kinds of fields: how a value is written. */
enum gantry_field_kind {
	GANTRY_FIELD_STRING,
	GANTRY_FIELD_BOOL,
	GANTRY_FIELD_INT,      /* whole number */
	GANTRY_FIELD_SIZE,     /* bytes, or text as "64MiB" */
	GANTRY_FIELD_CPUS,     /* a decimal number of CPUs; nano CPUs in the struct */
	GANTRY_FIELD_DURATION, /* text as "10s"; milliseconds in the struct; a bare number is seconds */
	GANTRY_FIELD_STRINGS,
	GANTRY_FIELD_PAIRS, /* an object from string to string */
	GANTRY_FIELD_ENV,   /* a list of "NAME=VALUE" or {name, value, secret} */
	GANTRY_FIELD_MOUNTS, /* "SOURCE:TARGET[:ro]", "tmpfs:TARGET[:SIZE]" or {type, source, target, read_only, size} */
	GANTRY_FIELD_PORTS, /* "[IP:][HOST:]CONTAINER[/PROTOCOL]" or {host_ip, host_port, container_port, protocol} */
	GANTRY_FIELD_NETWORK_PORTS, /* "ID,bridge=NAME[,KEY=VALUE…]" or an object with the members of the struct */
	GANTRY_FIELD_DEVICES, /* "HOST[:CONTAINER[:rwm]]" or {host_path, container_path, permissions} */
	GANTRY_FIELD_ULIMITS, /* "NAME=SOFT[:HARD]" or {name, soft, hard} */
	GANTRY_FIELD_HEALTH, /* a shell command, or {test, interval, timeout, start_period, retries} */
	GANTRY_FIELD_BLOCK_IO, /* {weight, devices: [{device, read_bps, write_bps, read_iops, write_iops}]} */
	GANTRY_FIELD_LOG, /* {driver, size, files} */
};

enum gantry_field_flags {
	GANTRY_FIELD_UNSAFE = 1, /* may break out of the container: `admit` must name it */
	GANTRY_FIELD_RESIZE = 2, /* may be changed while the instance runs */
	GANTRY_FIELD_REQUIRED = 4,
	GANTRY_FIELD_EXEC = 8, /* a process beside the instance's has it as well */
};

/*
 * The table. X(member, key, kind, flags, option, metavar, help)
 *   member   of struct gantry_spec
 *   key      in JSON
 *   option   of `gantry run` ("" where a positional argument or another option gives it)
 *   metavar  what the help calls the value
 */
#define GANTRY_SPEC_FIELDS(X)                                                                      \
	X(name, "name", STRING, 0, "name", "NAME", "name of the instance; made up when not given") \
	X(project, "project", STRING, 0, "project", "PROJECT", "project the instance belongs to")  \
	X(labels, "labels", PAIRS, 0, "label", "NAME=VALUE", "label, shown and selected by")       \
	X(image, "image", STRING, GANTRY_FIELD_REQUIRED, "", "IMAGE", "image to run")              \
	X(command, "command", STRINGS, GANTRY_FIELD_EXEC, "", "COMMAND",                           \
	  "command and arguments in place of the image's")                                         \
	X(entrypoint, "entrypoint", STRINGS, 0, "entrypoint", "WORD",                              \
	  "entry point in place of the image's")                                                   \
	X(environment, "environment", ENV, GANTRY_FIELD_EXEC, "env", "NAME=VALUE",                 \
	  "environment variable")                                                                  \
	X(user, "user", STRING, GANTRY_FIELD_EXEC, "user", "USER[:GROUP]",                         \
	  "user the process runs as")                                                              \
	X(working_dir, "working_dir", STRING, GANTRY_FIELD_EXEC, "workdir", "PATH",                \
	  "working folder")                                                                        \
	X(hostname, "hostname", STRING, 0, "hostname", "NAME", "host name inside")                 \
	X(tty, "tty", BOOL, GANTRY_FIELD_EXEC, "tty", "", "give the process a terminal")           \
	X(stdin_open, "stdin_open", BOOL, GANTRY_FIELD_EXEC, "interactive", "",                    \
	  "keep standard input open")                                                              \
	X(mounts, "mounts", MOUNTS, GANTRY_FIELD_UNSAFE, "mount", "MOUNT",                         \
	  "SOURCE:TARGET[:ro] (a path, a volume's name or instance/NAME), tmpfs:TARGET[:SIZE]")    \
	X(ports, "ports", PORTS, 0, "publish", "PORT",                                             \
	  "[IP:][HOST:]CONTAINER[/PROTOCOL]; IP is 127.0.0.1 unless given")                        \
	X(network, "network", STRING, GANTRY_FIELD_UNSAFE, "network", "MODE",                      \
	  "bridge, host, none, container:ID or a network's name")                                  \
	X(network_ports, "network_ports", NETWORK_PORTS, GANTRY_FIELD_UNSAFE, "port-spec", "PORT", \
	  "ID,bridge=NAME[,type=ovs][,mac=][,address=][,route=][,dns=][,mtu=]: port of a network") \
	X(dns, "dns", STRINGS, 0, "dns", "ADDRESS", "name server")                                 \
	X(dns_search, "dns_search", STRINGS, 0, "dns-search", "DOMAIN", "search domain")           \
	X(cap_add, "cap_add", STRINGS, GANTRY_FIELD_UNSAFE, "cap-add", "NAME",                     \
	  "capability to add")                                                                     \
	X(cap_drop, "cap_drop", STRINGS, 0, "cap-drop", "NAME", "capability to drop")              \
	X(devices, "devices", DEVICES, GANTRY_FIELD_UNSAFE, "device", "DEVICE",                    \
	  "HOST[:CONTAINER[:rwm]]")                                                                \
	X(ulimits, "ulimits", ULIMITS, 0, "ulimit", "NAME=SOFT[:HARD]", "process limit")           \
	X(sysctls, "sysctls", PAIRS, GANTRY_FIELD_UNSAFE, "sysctl", "NAME=VALUE",                  \
	  "kernel setting of the container's namespaces")                                          \
	X(read_only, "read_only", BOOL, 0, "read-only", "", "root filesystem cannot be written")   \
	X(init, "init", BOOL, 0, "init", "", "run an init that reaps and passes signals on")       \
	X(stop_signal, "stop_signal", STRING, 0, "stop-signal", "SIGNAL",                          \
	  "signal that asks the process to end")                                                   \
	X(stop_grace_ms, "stop_grace", DURATION, 0, "stop-grace", "TIME",                          \
	  "time between that signal and SIGKILL")                                                  \
	X(health_check, "health_check", HEALTH, 0, "health-cmd", "COMMAND",                        \
	  "shell command that tells health")                                                       \
	X(memory_bytes, "memory", SIZE, GANTRY_FIELD_RESIZE, "memory", "SIZE", "memory limit")     \
	X(memory_swap_bytes, "memory_swap", SIZE, GANTRY_FIELD_RESIZE, "memory-swap", "SIZE",      \
	  "limit of memory and swap together")                                                     \
	X(nano_cpus, "cpus", CPUS, GANTRY_FIELD_RESIZE, "cpus", "NUMBER", "CPU quota in CPUs")     \
	X(cpu_shares, "cpu_shares", INT, GANTRY_FIELD_RESIZE, "cpu-shares", "NUMBER",              \
	  "relative CPU weight, 2 to 262144")                                                      \
	X(cpuset, "cpuset", STRING, GANTRY_FIELD_RESIZE, "cpuset", "CPUS",                         \
	  "CPUs it may use, as 0-2,4")                                                             \
	X(pids, "pids", INT, GANTRY_FIELD_RESIZE, "pids", "NUMBER", "process limit")               \
	X(block_io, "block_io", BLOCK_IO, 0, "blkio-weight", "WEIGHT",                             \
	  "block I/O weight, 10 to 1000")                                                          \
	X(log, "log", LOG, 0, "log-size", "SIZE", "size of one log file before it is rotated")

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The compound kinds: their members, short forms, and what one item as a whole must hold. */
#include "model/spec_shape.h"
#include "base/str.h"
#include "base/units.h"

#include <ctype.h>
#include <stdlib.h>

#define DAY (24 * 3600 * 1000LL)

#define MEMBER(type, member, name, kind_, ...)                                                     \
	{                                                                                          \
		.key = name, .kind = kind_, .offset = offsetof(struct type, member), __VA_ARGS__   \
	}
#define END_OF_MEMBERS                                                                             \
	{                                                                                          \
		.key = NULL                                                                        \
	}

static int bad_form(const char *text, int kind, const char *field, struct gantry_error *err)
{
	char quoted[120];

	return gantry_error_field(err, -EINVAL, field, "\"%s\" cannot be read; write %s",
				  spec_quote(text, quoted, sizeof(quoted)),
				  spec_shape_of(kind)->form);
}

/* Cuts text at each c into at most max parts; 0 where there are more. */
static size_t split(char *text, char c, char **parts, size_t max)
{
	size_t count = 0;

	while (count < max) {
		parts[count++] = text;
		text = strchr(text, c);
		if (!text)
			return count;
		*text++ = '\0';
	}
	return 0;
}

/* --- environment --- */

static int env_from_text(char *text, struct arena *arena, void *item, const char *field,
			 struct gantry_error *err)
{
	struct gantry_env *env = item;
	char *equals = strchr(text, '=');

	(void)arena;
	if (!equals)
		return bad_form(text, GANTRY_FIELD_ENV, field, err);
	*equals = '\0';
	env->name = text;
	env->value = equals + 1;
	return 0;
}

static const struct spec_member env_members[] = {
	MEMBER(gantry_env, name, "name", GANTRY_FIELD_STRING, .required = true,
	       .rule = {.check = spec_rule_variable}),
	MEMBER(gantry_env, value, "value", GANTRY_FIELD_STRING,
	       .rule = {.text_max = SPEC_LONG_TEXT_MAX, .may_be_empty = true}),
	MEMBER(gantry_env, secret, "secret", GANTRY_FIELD_BOOL),
	END_OF_MEMBERS,
};

/* --- mounts --- */

#define SPEC_INSTANCE "instance/" /* no volume's name has a slash */

const char *const spec_mount_types[] = {"bind", "volume", "tmpfs", "instance", NULL};

static void mount_init(void *item)
{
	((struct gantry_mount *)item)->size_bytes = GANTRY_UNSET;
}

static int mount_from_text(char *text, struct arena *arena, void *item, const char *field,
			   struct gantry_error *err)
{
	struct gantry_mount *mount = item;
	char *parts[3], *whole = arena_strdup(arena, text);
	size_t count = split(text, ':', parts, 3);

	if (count < 2)
		return bad_form(whole, GANTRY_FIELD_MOUNTS, field, err);
	mount->target = parts[1];
	if (str_equal(parts[0], "tmpfs")) {
		mount->type = GANTRY_MOUNT_TMPFS;
		if (count == 3 && units_parse_size(parts[2], &mount->size_bytes) < 0)
			return bad_form(whole, GANTRY_FIELD_MOUNTS, field, err);
		return 0;
	}
	mount->type = parts[0][0] == '/' ? GANTRY_MOUNT_BIND : GANTRY_MOUNT_VOLUME;
	mount->source = parts[0];
	if (str_starts_with(parts[0], SPEC_INSTANCE)) {
		mount->type = GANTRY_MOUNT_INSTANCE;
		mount->source = parts[0] + strlen(SPEC_INSTANCE);
	}
	if (count == 3 && str_equal(parts[2], "ro"))
		mount->read_only = true;
	else if (count == 3 && !str_equal(parts[2], "rw"))
		return bad_form(whole, GANTRY_FIELD_MOUNTS, field, err);
	return 0;
}

static int mount_check(void *item, const char *field, struct gantry_error *err)
{
	struct gantry_mount *mount = item;
	char path[SPEC_FIELD_SIZE];

	snprintf(path, sizeof(path), "%s.target", field);
	if (str_equal(mount->target, "/"))
		return gantry_error_field(err, -EINVAL, path,
					  "must not be \"/\": the image is there; write a folder");
	snprintf(path, sizeof(path), "%s.size", field);
	if (mount->size_bytes != GANTRY_UNSET && mount->type != GANTRY_MOUNT_TMPFS)
		return gantry_error_field(err, -EINVAL, path, "is for tmpfs only; leave it out");
	snprintf(path, sizeof(path), "%s.source", field);
	if (mount->type == GANTRY_MOUNT_TMPFS)
		return mount->source ? gantry_error_field(err, -EINVAL, path,
							  "a tmpfs has no source; leave it out")
				     : 0;
	if (!mount->source)
		return gantry_error_field(err, -EINVAL, path, "is required: %s",
					  mount->type == GANTRY_MOUNT_BIND ? "a path on the node"
					  : mount->type == GANTRY_MOUNT_INSTANCE
						  ? "an instance's name or id"
						  : "a volume's name");
	if (mount->type == GANTRY_MOUNT_INSTANCE)
		return 0; /* whose it is, is found out where instances are known */
	if (mount->type == GANTRY_MOUNT_BIND)
		return spec_rule_path((char *)mount->source, path, err);
	return spec_rule_volume(mount->source, path, err);
}

static const struct spec_member mount_members[] = {
	MEMBER(gantry_mount, type, "type", SPEC_MEMBER_MOUNT_TYPE, .required = true),
	MEMBER(gantry_mount, source, "source", GANTRY_FIELD_STRING),
	MEMBER(gantry_mount, target, "target", GANTRY_FIELD_STRING, .required = true,
	       .rule = {.check = spec_rule_path}),
	MEMBER(gantry_mount, read_only, "read_only", GANTRY_FIELD_BOOL),
	MEMBER(gantry_mount, size_bytes, "size", GANTRY_FIELD_SIZE,
	       .rule = {.minimum = 4096, .maximum = 1LL << 50}),
	END_OF_MEMBERS,
};

/* --- ports --- */

static void port_init(void *item)
{
	struct gantry_port *port = item;

	port->host_ip = "127.0.0.1";
	port->protocol = "tcp";
}

static bool read_port(const char *text, uint16_t *ret_port)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)text[0]) || *end || number > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)number;
	return true;
}

/* Reads from the end: protocol, container's port, host's port (digits only or nothing), address. */
static int port_from_text(char *text, struct arena *arena, void *item, const char *field,
			  struct gantry_error *err)
{
	struct gantry_port *port = item;
	char *whole = arena_strdup(arena, text), *part = strchr(text, '/');

	if (part) {
		*part = '\0';
		port->protocol = part + 1;
	}
	part = strrchr(text, ':');
	if (!read_port(part ? part + 1 : text, &port->container_port))
		return bad_form(whole, GANTRY_FIELD_PORTS, field, err);
	if (!part)
		return 0;
	*part = '\0';
	part = strrchr(text, ':');
	part = part ? part + 1 : text;
	if (strspn(part, "0123456789") == strlen(part)) { /* HOST, or IP: with HOST left out */
		if (*part ? !read_port(part, &port->host_port) : part == text)
			return bad_form(whole, GANTRY_FIELD_PORTS, field, err);
		if (part == text)
			return 0;
		part[-1] = '\0';
	}
	port->host_ip = text;
	return 0;
}

static const struct spec_member port_members[] = {
	MEMBER(gantry_port, host_ip, "host_ip", GANTRY_FIELD_STRING,
	       .rule = {.check = spec_rule_address}),
	MEMBER(gantry_port, host_port, "host_port", SPEC_MEMBER_PORT, .rule = {.maximum = 65535}),
	MEMBER(gantry_port, container_port, "container_port", SPEC_MEMBER_PORT, .required = true,
	       .rule = {.minimum = 1, .maximum = 65535}),
	MEMBER(gantry_port, protocol, "protocol", GANTRY_FIELD_STRING,
	       .rule = {.check = spec_rule_protocol}),
	END_OF_MEMBERS,
};

/* --- ports of networks --- */

static void network_port_init(void *item)
{
	struct gantry_network_port *port = item;

	port->type = "bridge";
	port->mtu = GANTRY_UNSET;
}

static void add_word(struct gantry_strings *list, const char *word, struct arena *arena)
{
	const char **items = ARENA_ARRAY(arena, const char *, list->count + 1);

	if (list->count)
		memcpy(items, list->items, list->count * sizeof(*items));
	items[list->count++] = word;
	list->items = items;
}

static bool set_port(struct gantry_network_port *port, const char *key, const char *value,
		     struct arena *arena)
{
	const struct {
		const char *key, **text;
		struct gantry_strings *list;
	} places[] = {
		{"bridge", &port->bridge, NULL}, {"type", &port->type, NULL},
		{"mac", &port->mac, NULL},       {"address", NULL, &port->addresses},
		{"route", NULL, &port->routes},  {"dns", NULL, &port->dns},
	};
	char *end;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!str_equal(key, places[i].key))
			continue;
		if (places[i].text)
			*places[i].text = value;
		else
			add_word(places[i].list, value, arena);
		return true;
	}
	if (!str_equal(key, "mtu") || !isdigit((unsigned char)value[0]))
		return false;
	port->mtu = strtoll(value, &end, 10);
	return !*end;
}

static int network_port_from_text(char *text, struct arena *arena, void *item, const char *field,
				  struct gantry_error *err)
{
	struct gantry_network_port *port = item;
	char *whole = arena_strdup(arena, text), *rest = text, *word, *value;

	port->id = strsep(&rest, ",");
	while ((word = strsep(&rest, ","))) {
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (str_equal(word, "create_bridge") && !value)
			port->create_bridge = true;
		else if (!value || !set_port(port, word, value, arena))
			return bad_form(whole, GANTRY_FIELD_NETWORK_PORTS, field, err);
	}
	return 0;
}

#define MTU_MIN_IPV6 1280 /* RFC 8200; below it the kernel has no IPv6 on an interface */

static int network_port_check(void *item, const char *field, struct gantry_error *err)
{
	const struct gantry_network_port *port = item;
	char path[SPEC_FIELD_SIZE];

	snprintf(path, sizeof(path), "%s.bridge", field);
	if (!port->bridge)
		return gantry_error_field(err, -EINVAL, path,
					  "is required: the bridge of the node that it goes to");
	snprintf(path, sizeof(path), "%s.create_bridge", field);
	if (port->create_bridge && !str_equal(port->type, "bridge"))
		return gantry_error_field(err, -EINVAL, path,
					  "is for type bridge only; leave it out");
	snprintf(path, sizeof(path), "%s.mtu", field);
	for (size_t i = 0; i < port->addresses.count; i++)
		if (port->mtu != GANTRY_UNSET && port->mtu < MTU_MIN_IPV6 &&
		    strchr(port->addresses.items[i], ':'))
			return gantry_error_field(err, -EINVAL, path,
						  "must be at least %d with an address of IPv6",
						  MTU_MIN_IPV6);
	return 0;
}

static const struct spec_member network_port_members[] = {
	MEMBER(gantry_network_port, id, "id", GANTRY_FIELD_STRING, .required = true,
	       .rule = {.check = spec_rule_port_id}),
	MEMBER(gantry_network_port, type, "type", GANTRY_FIELD_STRING,
	       .rule = {.check = spec_rule_port_type}),
	MEMBER(gantry_network_port, bridge, "bridge", GANTRY_FIELD_STRING,
	       .rule = {.check = spec_rule_bridge}),
	MEMBER(gantry_network_port, create_bridge, "create_bridge", GANTRY_FIELD_BOOL),
	MEMBER(gantry_network_port, mac, "mac", GANTRY_FIELD_STRING,
	       .rule = {.check = spec_rule_mac}),
	MEMBER(gantry_network_port, addresses, "addresses", GANTRY_FIELD_STRINGS,
	       .rule = {.check = spec_rule_prefix}),
	MEMBER(gantry_network_port, routes, "routes", GANTRY_FIELD_STRINGS,
	       .rule = {.check = spec_rule_route}),
	MEMBER(gantry_network_port, dns, "dns", GANTRY_FIELD_STRINGS,
	       .rule = {.check = spec_rule_address}),
	MEMBER(gantry_network_port, mtu, "mtu", GANTRY_FIELD_INT,
	       .rule = {.minimum = 68, .maximum = 65535}),
	END_OF_MEMBERS,
};

/* --- devices --- */

static void device_init(void *item)
{
	((struct gantry_device *)item)->permissions = "rwm";
}

static int device_from_text(char *text, struct arena *arena, void *item, const char *field,
			    struct gantry_error *err)
{
	struct gantry_device *device = item;
	char *parts[3], *whole = arena_strdup(arena, text);
	size_t count = split(text, ':', parts, 3);

	if (count == 0)
		return bad_form(whole, GANTRY_FIELD_DEVICES, field, err);
	device->host_path = parts[0];
	device->container_path = count > 1 ? parts[1] : arena_strdup(arena, parts[0]);
	if (count > 2)
		device->permissions = parts[2];
	return 0;
}

static int device_check(void *item, const char *field, struct gantry_error *err)
{
	struct gantry_device *device = item;

	(void)field;
	(void)err;
	if (!device->container_path)
		device->container_path = device->host_path;
	return 0;
}

static const struct spec_member device_members[] = {
	MEMBER(gantry_device, host_path, "host_path", GANTRY_FIELD_STRING, .required = true,
	       .rule = {.check = spec_rule_path}),
	MEMBER(gantry_device, container_path, "container_path", GANTRY_FIELD_STRING,
	       .rule = {.check = spec_rule_path}),
	MEMBER(gantry_device, permissions, "permissions", GANTRY_FIELD_STRING,
	       .rule = {.check = spec_rule_permissions}),
	END_OF_MEMBERS,
};

/* --- process limits --- */

#define AS_SOFT INT64_MIN /* the hard limit was not given */

static void ulimit_init(void *item)
{
	((struct gantry_ulimit *)item)->hard = AS_SOFT;
}

static bool read_process_limit(const char *text, int64_t *ret_limit)
{
	char *end;

	if (str_equal(text, "unlimited") || str_equal(text, "-1")) {
		*ret_limit = -1;
		return true;
	}
	errno = 0;
	*ret_limit = strtoll(text, &end, 10);
	return isdigit((unsigned char)text[0]) && !*end && errno == 0;
}

static int ulimit_from_text(char *text, struct arena *arena, void *item, const char *field,
			    struct gantry_error *err)
{
	struct gantry_ulimit *limit = item;
	char *parts[2], *whole = arena_strdup(arena, text), *equals = strchr(text, '=');
	size_t count;

	if (!equals)
		return bad_form(whole, GANTRY_FIELD_ULIMITS, field, err);
	*equals = '\0';
	limit->name = text;
	count = split(equals + 1, ':', parts, 2);
	if (count == 0 || !read_process_limit(parts[0], &limit->soft) ||
	    !read_process_limit(parts[count - 1], &limit->hard))
		return bad_form(whole, GANTRY_FIELD_ULIMITS, field, err);
	return 0;
}

static int ulimit_check(void *item, const char *field, struct gantry_error *err)
{
	struct gantry_ulimit *limit = item;

	if (limit->hard == AS_SOFT)
		limit->hard = limit->soft;
	if (limit->hard == -1 || (limit->soft != -1 && limit->soft <= limit->hard))
		return 0;
	return gantry_error_field(err, -ERANGE, field,
				  "the soft limit must not be over the hard one");
}

static const struct spec_member ulimit_members[] = {
	MEMBER(gantry_ulimit, name, "name", GANTRY_FIELD_STRING, .required = true,
	       .rule = {.check = spec_rule_process_limit}),
	MEMBER(gantry_ulimit, soft, "soft", SPEC_MEMBER_PROCESS_LIMIT, .required = true),
	MEMBER(gantry_ulimit, hard, "hard", SPEC_MEMBER_PROCESS_LIMIT),
	END_OF_MEMBERS,
};

/* --- health --- */

static void health_init(void *item)
{
	struct gantry_health_check *health = item;

	health->interval_ms = health->timeout_ms = GANTRY_UNSET;
	health->start_period_ms = health->retries = GANTRY_UNSET;
}

static int health_from_text(char *text, struct arena *arena, void *item, const char *field,
			    struct gantry_error *err)
{
	struct gantry_health_check *health = item;

	(void)field;
	(void)err;
	health->test.items = ARENA_ARRAY(arena, const char *, 2);
	health->test.items[0] = "CMD-SHELL";
	health->test.items[1] = text;
	health->test.count = 2;
	return 0;
}

static int health_check(void *item, const char *field, struct gantry_error *err)
{
	struct gantry_health_check *health = item;
	const char *how = health->test.count ? health->test.items[0] : "";
	char path[SPEC_FIELD_SIZE];

	if ((str_equal(how, "CMD") && health->test.count > 1) ||
	    (str_equal(how, "CMD-SHELL") && health->test.count == 2 && *health->test.items[1]) ||
	    (str_equal(how, "NONE") && health->test.count == 1))
		return 0;
	snprintf(path, sizeof(path), "%s.test", field);
	return gantry_error_field(err, -EINVAL, path,
				  "must be a shell command, [\"CMD\", PROGRAM, …], [\"CMD-SHELL\", "
				  "COMMAND] or [\"NONE\"]");
}

static const struct spec_member health_members[] = {
	MEMBER(gantry_health_check, test, "test", SPEC_MEMBER_TEST, .required = true,
	       .rule = {.may_be_empty = true}),
	MEMBER(gantry_health_check, interval_ms, "interval", GANTRY_FIELD_DURATION,
	       .rule = {.minimum = 1, .maximum = DAY}),
	MEMBER(gantry_health_check, timeout_ms, "timeout", GANTRY_FIELD_DURATION,
	       .rule = {.minimum = 1, .maximum = DAY}),
	MEMBER(gantry_health_check, start_period_ms, "start_period", GANTRY_FIELD_DURATION,
	       .rule = {.maximum = DAY}),
	MEMBER(gantry_health_check, retries, "retries", GANTRY_FIELD_INT,
	       .rule = {.maximum = 1000}),
	END_OF_MEMBERS,
};

/* --- block I/O --- */

static void block_limit_init(void *item)
{
	struct gantry_block_limit *limit = item;

	limit->read_bps = limit->write_bps = GANTRY_UNSET;
	limit->read_iops = limit->write_iops = GANTRY_UNSET;
}

static int block_limit_check(void *item, const char *field, struct gantry_error *err)
{
	struct gantry_block_limit *limit = item;

	if (limit->read_bps != GANTRY_UNSET || limit->write_bps != GANTRY_UNSET ||
	    limit->read_iops != GANTRY_UNSET || limit->write_iops != GANTRY_UNSET)
		return 0;
	return gantry_error_field(
		err, -EINVAL, field,
		"limits nothing; give read_bps, write_bps, read_iops or write_iops");
}

static const struct spec_member block_limit_members[] = {
	MEMBER(gantry_block_limit, device, "device", GANTRY_FIELD_STRING, .required = true,
	       .rule = {.check = spec_rule_path}),
	MEMBER(gantry_block_limit, read_bps, "read_bps", GANTRY_FIELD_SIZE,
	       .rule = {.minimum = 1, .maximum = 1LL << 50}),
	MEMBER(gantry_block_limit, write_bps, "write_bps", GANTRY_FIELD_SIZE,
	       .rule = {.minimum = 1, .maximum = 1LL << 50}),
	MEMBER(gantry_block_limit, read_iops, "read_iops", GANTRY_FIELD_INT,
	       .rule = {.minimum = 1, .maximum = INT32_MAX}),
	MEMBER(gantry_block_limit, write_iops, "write_iops", GANTRY_FIELD_INT,
	       .rule = {.minimum = 1, .maximum = INT32_MAX}),
	END_OF_MEMBERS,
};

static void block_io_init(void *item)
{
	((struct gantry_block_io *)item)->weight = GANTRY_UNSET;
}

static const struct spec_member block_io_members[] = {
	MEMBER(gantry_block_io, weight, "weight", GANTRY_FIELD_INT,
	       .rule = {.minimum = 10, .maximum = 1000}),
	MEMBER(gantry_block_io, items, "devices", SPEC_MEMBER_BLOCK_LIMITS),
	END_OF_MEMBERS,
};

/* --- log --- */

static void log_init(void *item)
{
	struct gantry_log_limits *log = item;

	log->size_bytes = log->files = GANTRY_UNSET;
}

static const struct spec_member log_members[] = {
	MEMBER(gantry_log_limits, driver, "driver", GANTRY_FIELD_STRING,
	       .rule = {.check = spec_rule_log_driver}),
	MEMBER(gantry_log_limits, size_bytes, "size", GANTRY_FIELD_SIZE,
	       .rule = {.minimum = 4096, .maximum = 1LL << 40}),
	MEMBER(gantry_log_limits, files, "files", GANTRY_FIELD_INT,
	       .rule = {.minimum = 1, .maximum = 1000}),
	END_OF_MEMBERS,
};

/* --- the table --- */

#define LIST_OF(type) .item_size = sizeof(struct type), .is_list = true
#define ONE(type)     .item_size = sizeof(struct type)

static const struct {
	int kind;
	struct spec_shape shape;
} shapes[] = {
	{GANTRY_FIELD_ENV,
	 {LIST_OF(gantry_env), .members = env_members, .unique = &env_members[0],
	  .from_text = env_from_text, .form = "\"NAME=VALUE\" or {name, value, secret}"}},
	{GANTRY_FIELD_MOUNTS,
	 {LIST_OF(gantry_mount), .members = mount_members, .unique = &mount_members[2],
	  .init = mount_init, .from_text = mount_from_text, .check = mount_check,
	  .form = "\"SOURCE:TARGET[:ro]\", \"instance/NAME:TARGET[:ro]\", "
		  "\"tmpfs:TARGET[:SIZE]\" or {type, source, target, read_only, size}"}},
	{GANTRY_FIELD_PORTS,
	 {LIST_OF(gantry_port), .members = port_members, .init = port_init,
	  .from_text = port_from_text,
	  .form = "\"[IP:][HOST:]CONTAINER[/PROTOCOL]\" or {host_ip, host_port, container_port, "
		  "protocol}"}},
	{GANTRY_FIELD_NETWORK_PORTS,
	 {LIST_OF(gantry_network_port), .members = network_port_members,
	  .unique = &network_port_members[0], .init = network_port_init,
	  .from_text = network_port_from_text, .check = network_port_check,
	  .form = "\"ID,bridge=NAME[,type=ovs][,create_bridge][,mac=MAC][,address=IP/BITS][,route=DEST "
		  "via IP][,dns=IP][,mtu=N]\" or {id, bridge, type, create_bridge, mac, addresses, "
		  "routes, dns, mtu}"}},
	{GANTRY_FIELD_DEVICES,
	 {LIST_OF(gantry_device), .members = device_members, .unique = &device_members[1],
	  .init = device_init, .from_text = device_from_text, .check = device_check,
	  .form = "\"HOST[:CONTAINER[:rwm]]\" or {host_path, container_path, permissions}"}},
	{GANTRY_FIELD_ULIMITS,
	 {LIST_OF(gantry_ulimit), .members = ulimit_members, .unique = &ulimit_members[0],
	  .init = ulimit_init, .from_text = ulimit_from_text, .check = ulimit_check,
	  .form = "\"NAME=SOFT[:HARD]\" (a number or \"unlimited\") or {name, soft, hard}"}},
	{GANTRY_FIELD_HEALTH,
	 {ONE(gantry_health_check), .members = health_members, .init = health_init,
	  .from_text = health_from_text, .check = health_check,
	  .form = "a shell command or {test, interval, timeout, start_period, retries}"}},
	{GANTRY_FIELD_BLOCK_IO,
	 {ONE(gantry_block_io), .members = block_io_members, .init = block_io_init,
	  .form = "{weight, devices}"}},
	{GANTRY_FIELD_LOG,
	 {ONE(gantry_log_limits), .members = log_members, .init = log_init,
	  .form = "{driver, size, files}"}},
	{SPEC_MEMBER_BLOCK_LIMITS,
	 {LIST_OF(gantry_block_limit), .members = block_limit_members,
	  .unique = &block_limit_members[0], .init = block_limit_init, .check = block_limit_check,
	  .form = "{device, read_bps, write_bps, read_iops, write_iops}"}},
};

const struct spec_shape *spec_shape_of(int kind)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (shapes[i].kind == kind)
			return &shapes[i].shape;
	return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every bad value of a spec names its field, and says what would be right. */
#include "tap.h"

#include "model/spec.h"
#include "base/str.h"

static const struct {
	const char
		*body; /* members beside the image, or the whole object where it starts with "{" */
	const char *field, *text;
} cases[] = {
	{"{}", "image", "is required"},
	{"{\"image\":null}", "image", "is required"},
	{"[]", "", "must be a JSON object, not a list"},
	{"\"memroy\":1", "memroy", "did you mean \"memory\"?"},
	{"\"zzzzzzzzzzzz\":1", "zzzzzzzzzzzz", "there are: name, project, labels"},
	{"\"name\":7", "name", "must be a string, not a number"},
	{"\"name\":\"\"", "name", "must not be empty"},
	{"\"name\":\"-a\"", "name", "letters, digits and \"-\""},
	{"\"name\":\"a_b\"", "name", "\"a_b\" is no name"},
	{"\"name\":\"0123456789012345678901234567890123456789012345678901234567890123\"", "name",
	 "at most 63"},
	{"\"name\":\"a\\u0000b\"", "name", "NUL"},
	{"\"project\":\"a.b\"", "project", "is no name"},
	{"\"labels\":\"a=b\"", "labels", "must be an object from string to string, or a list"},
	{"\"labels\":{\"a\":1}", "labels.a", "must be a string, not a number"},
	{"\"labels\":[\"a\"]", "labels[0]", "write \"NAME=VALUE\""},
	{"\"labels\":[\"a=1\",7]", "labels[1]", "must be \"NAME=VALUE\""},
	{"\"labels\":[\"a=1\",\"a=2\"]", "labels[1]", "\"a\" is given twice"},
	{"\"labels\":{\"gantry.owner\":\"me\"}", "labels.gantry.owner", "Gantry's own"},
	{"\"labels\":[\"gantry.x=1\"]", "labels[0]", "Gantry's own"},
	{"\"labels\":{\"\":\"x\"}", "labels.", "must not be empty"},
	{"{\"image\":\"a b\"}", "image", "is no image; write [REGISTRY/]NAME"},
	{"{\"image\":\"-a\"}", "image", "is no image"},
	{"{\"image\":[\"a\"]}", "image", "must be a string, not a list"},
	{"\"command\":\"ls -l\"", "command", "must be a list of strings, not a string"},
	{"\"command\":[\"ls\",1]", "command[1]", "must be a string, not a number"},
	{"\"command\":[null]", "command[0]", "must be a string, not null"},
	{"\"entrypoint\":{}", "entrypoint", "must be a list of strings, not an object"},
	{"\"environment\":{\"A\":\"1\"}", "environment", "must be a list of \"NAME=VALUE\""},
	{"\"environment\":[\"A\"]", "environment[0]", "\"A\" cannot be read; write \"NAME=VALUE\""},
	{"\"environment\":[\"=1\"]", "environment[0].name", "must not be empty"},
	{"\"environment\":[{\"name\":\"A=B\",\"value\":\"\"}]", "environment[0].name",
	 "without \"=\""},
	{"\"environment\":[{\"value\":\"1\"}]", "environment[0].name", "is required"},
	{"\"environment\":[{\"name\":\"A\",\"secrte\":true}]", "environment[0].secrte",
	 "did you mean \"secret\"?"},
	{"\"environment\":[{\"name\":\"A\",\"secret\":1}]", "environment[0].secret",
	 "true or false"},
	{"\"environment\":[\"A=1\",\"A=2\"]", "environment[1]",
	 "same name as environment[0], \"A\""},
	{"\"environment\":[7]", "environment[0]", "not a number"},
	{"\"user\":\"a b\"", "user", "USER:GROUP"},
	{"\"working_dir\":\"srv\"", "working_dir", "from \"/\" on"},
	{"\"hostname\":\"a_b\"", "hostname", "is no host name"},
	{"\"tty\":1", "tty", "must be true or false, not a number"},
	{"\"stdin_open\":\"yes\"", "stdin_open", "must be true or false, not a string"},
	{"\"mounts\":\"/a:/b\"", "mounts", "must be a list of \"SOURCE:TARGET[:ro]\""},
	{"\"mounts\":[\"/a\"]", "mounts[0]", "\"/a\" cannot be read; write \"SOURCE:TARGET[:ro]\""},
	{"\"mounts\":[\"/a:/b:ro:x\"]", "mounts[0]", "cannot be read"},
	{"\"mounts\":[\"/a:/b:rx\"]", "mounts[0]", "\"/a:/b:rx\" cannot be read"},
	{"\"mounts\":[\"v:/b\",\"/a:b\"]", "mounts[1].target", "is no absolute path"},
	{"\"mounts\":[\"/a:/b/../c\"]", "mounts[0].target", "must not have \"..\""},
	{"\"mounts\":[\"/srv/..:/c\"]", "mounts[0].source", "must not have \"..\""},
	{"\"mounts\":[\"/a:/\"]", "mounts[0].target", "must not be \"/\""},
	{"\"mounts\":[\"/a://\"]", "mounts[0].target", "must not be \"/\""},
	{"\"mounts\":[\"./a:/b\"]", "mounts[0].source", "is no volume"},
	{"\"mounts\":[\":/b\"]", "mounts[0].source", "must not be empty"},
	{"\"mounts\":[\"a:/b\",\"c:/b/\"]", "mounts[1]", "same target as mounts[0], \"/b\""},
	{"\"mounts\":[\"tmpfs:/b:lots\"]", "mounts[0]", "cannot be read"},
	{"\"mounts\":[\"tmpfs:/b:1\"]", "mounts[0].size", "must be from 4KiB"},
	{"\"mounts\":[{\"type\":\"nfs\",\"target\":\"/b\"}]", "mounts[0].type",
	 "must be \"bind\", \"volume\", \"tmpfs\" or \"instance\", not \"nfs\""},
	{"\"mounts\":[{\"source\":\"/a\",\"target\":\"/b\"}]", "mounts[0].type", "is required"},
	{"\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\"}]", "mounts[0].target", "is required"},
	{"\"mounts\":[{\"type\":\"bind\",\"target\":\"/a\"}]", "mounts[0].source",
	 "a path on the node"},
	{"\"mounts\":[{\"type\":\"bind\",\"source\":\"a\",\"target\":\"/a\"}]", "mounts[0].source",
	 "is no absolute path"},
	{"\"mounts\":[{\"type\":\"volume\",\"target\":\"/a\"}]", "mounts[0].source",
	 "a volume's name"},
	{"\"mounts\":[{\"type\":\"instance\",\"target\":\"/a\"}]", "mounts[0].source",
	 "an instance's name or id"},
	{"\"mounts\":[\"instance/:/a\"]", "mounts[0].source", "must not be empty"},
	{"\"mounts\":[{\"type\":\"tmpfs\",\"source\":\"x\",\"target\":\"/a\"}]", "mounts[0].source",
	 "has no source"},
	{"\"mounts\":[{\"type\":\"volume\",\"source\":\"x\",\"target\":\"/a\",\"size\":9999}]",
	 "mounts[0].size", "tmpfs only"},
	{"\"mounts\":[{\"type\":\"bind\",\"src\":\"/x\",\"target\":\"/a\"}]", "mounts[0].src",
	 "there is no field \"src\""},
	{"\"ports\":[\"http\"]", "ports[0]", "cannot be read; write \"[IP:][HOST:]CONTAINER"},
	{"\"ports\":[\"0\"]", "ports[0].container_port", "must be from 1 to 65535, not 0"},
	{"\"ports\":[\"65536\"]", "ports[0]", "cannot be read"},
	{"\"ports\":[\":80\"]", "ports[0]", "cannot be read"},
	{"\"ports\":[\"99999:80\"]", "ports[0]", "cannot be read"},
	{"\"ports\":[\"localhost:1:80\"]", "ports[0].host_ip", "is no IP address"},
	{"\"ports\":[\"80/tpc\"]", "ports[0].protocol", "did you mean \"tcp\"?"},
	{"\"ports\":[80]", "ports[0]", "not a number"},
	{"\"ports\":[{\"host_port\":80}]", "ports[0].container_port", "is required"},
	{"\"ports\":[{\"container_port\":70000}]", "ports[0].container_port", "not 70000"},
	{"\"ports\":[{\"container_port\":80,\"host_port\":-1}]", "ports[0].host_port", "not -1"},
	{"\"ports\":[{\"container_port\":\"80\"}]", "ports[0].container_port", "a port number"},
	{"\"ports\":[{\"container_port\":80.5}]", "ports[0].container_port",
	 "a port number, not 80.5"},
	{"\"network\":\"a b\"", "network", "bridge, host, none"},
	{"\"network\":\"container:\"", "network", "container:ID"},
	{"\"network_ports\":[\"p\"]", "network_ports[0].bridge", "is required"},
	{"\"network_ports\":[\"p,bridge\"]", "network_ports[0]", "cannot be read"},
	{"\"network_ports\":[\"p,bridge=b,mtu=x\"]", "network_ports[0]", "cannot be read"},
	{"\"network_ports\":[\"p,bridge=b,mtu=6\"]", "network_ports[0].mtu", "must be from 68"},
	{"\"network_ports\":[\"p,bridge=b,mtu=1279,address=fd00::1/64\"]", "network_ports[0].mtu",
	 "at least 1280"},
	{"\"network_ports\":[\"a/b,bridge=b\"]", "network_ports[0].id", "is no id of a port"},
	{"\"network_ports\":[\"p,bridge=a-bridge-of-16ch\"]", "network_ports[0].bridge",
	 "is no bridge"},
	{"\"network_ports\":[\"p,bridge=b,type=ovz\"]", "network_ports[0].type",
	 "did you mean \"ovs\"?"},
	{"\"network_ports\":[\"p,bridge=b,type=ovs,create_bridge\"]",
	 "network_ports[0].create_bridge", "type bridge only"},
	{"\"network_ports\":[\"p,bridge=b,mac=01:00:5e:00:00:01\"]", "network_ports[0].mac",
	 "is no MAC"},
	{"\"network_ports\":[\"p,bridge=b,mac=fa:16\"]", "network_ports[0].mac", "six bytes"},
	{"\"network_ports\":[\"p,bridge=b,address=10.0.0.5\"]", "network_ports[0].addresses[0]",
	 "write it as \"10.0.0.5/24\""},
	{"\"network_ports\":[\"p,bridge=b,address=10.0.0.5/33\"]", "network_ports[0].addresses[0]",
	 "is no address"},
	{"\"network_ports\":[\"p,bridge=b,route=default\"]", "network_ports[0].routes[0]",
	 "is no route"},
	{"\"network_ports\":[\"p,bridge=b,route=10.0.0.1/8 via 10.0.0.1\"]",
	 "network_ports[0].routes[0]", "is no route"},
	{"\"network_ports\":[\"p,bridge=b,route=10.0.0.0/8 via ::1\"]",
	 "network_ports[0].routes[0]", "is no route"},
	{"\"network_ports\":[\"p,bridge=b\",\"p,bridge=c\"]", "network_ports[1]",
	 "same id as network_ports[0]"},
	{"\"network_ports\":[{\"id\":\"p\",\"bridge\":\"b\",\"dns\":[\"x\"]}]",
	 "network_ports[0].dns[0]", "is no IP address"},
	{"\"dns\":[\"ns.example\"]", "dns[0]", "is no IP address"},
	{"\"dns\":[\"\"]", "dns[0]", "must not be empty"},
	{"\"dns_search\":[\"a b\"]", "dns_search[0]", "is no search domain"},
	{"\"cap_add\":[\"SYS_ADMNI\"]", "cap_add[0]", "did you mean \"SYS_ADMIN\"?"},
	{"\"cap_drop\":[\"ALL\",\"qqqqqqqqqqqqqqqq\"]", "cap_drop[1]", "there are: ALL"},
	{"\"devices\":[\"kvm\"]", "devices[0].host_path", "is no absolute path"},
	{"\"devices\":[\"/dev/a:/dev/b:x\"]", "devices[0].permissions", "r, w and m"},
	{"\"devices\":[\"/dev/a:/dev/b:rr\"]", "devices[0].permissions", "each once"},
	{"\"devices\":[\"/dev/a:/dev/b:r:w\"]", "devices[0]", "cannot be read"},
	{"\"devices\":[\"/dev/../etc\"]", "devices[0].host_path", "must not have \"..\""},
	{"\"devices\":[\"/dev/a:/dev/c\",\"/dev/b:/dev/c\"]", "devices[1]", "same container_path"},
	{"\"ulimits\":[\"nofile\"]", "ulimits[0]", "NAME=SOFT[:HARD]"},
	{"\"ulimits\":[\"nofile=a\"]", "ulimits[0]", "cannot be read"},
	{"\"ulimits\":[\"nofiles=1\"]", "ulimits[0].name", "did you mean \"nofile\"?"},
	{"\"ulimits\":[\"nofile=2:1\"]", "ulimits[0]", "must not be over"},
	{"\"ulimits\":[\"nofile=-1:1\"]", "ulimits[0]", "must not be over"},
	{"\"ulimits\":[{\"name\":\"nofile\",\"hard\":1}]", "ulimits[0].soft", "is required"},
	{"\"ulimits\":[{\"name\":\"nofile\",\"soft\":-2,\"hard\":1}]", "ulimits[0].soft", "not -2"},
	{"\"sysctls\":{\"net/ipv4/ip_forward\":\"1\"}", "sysctls.net/ipv4/ip_forward", "with dots"},
	{"\"read_only\":null,\"init\":0", "init", "true or false"},
	{"\"stop_signal\":\"SIGFOO\"", "stop_signal", "is no signal"},
	{"\"stop_signal\":\"0\"", "stop_signal", "is no signal"},
	{"\"stop_signal\":\"65\"", "stop_signal", "is no signal"},
	{"\"stop_grace\":\"soon\"", "stop_grace", "\"soon\" is no duration; write seconds"},
	{"\"stop_grace\":3601", "stop_grace", "must be from 0s to 3600s, not 3601s"},
	{"\"stop_grace\":-1", "stop_grace", "must be from 0s"},
	{"\"stop_grace\":1e300", "stop_grace", "is no duration"},
	{"\"stop_grace\":[]", "stop_grace", "must be a duration"},
	{"\"health_check\":\"\"", "health_check.test", "must be a shell command"},
	{"\"health_check\":{}", "health_check.test", "is required"},
	{"\"health_check\":[\"true\"]", "health_check", "must be a shell command or {test"},
	{"\"health_check\":{\"test\":[\"true\"]}", "health_check.test", "[\"CMD\", PROGRAM"},
	{"\"health_check\":{\"test\":7}", "health_check.test", "a shell command or a list"},
	{"\"health_check\":{\"test\":[\"NONE\"],\"retries\":1001}", "health_check.retries",
	 "from 0 to 1000"},
	{"\"health_check\":{\"test\":\"true\",\"interval\":0}", "health_check.interval",
	 "from 1ms"},
	{"\"memory\":\"12 parsecs\"", "memory",
	 "\"12 parsecs\" is no size; write bytes or a number with KiB, MiB, GiB, as \"64MiB\""},
	{"\"memory\":\"5MiB\"", "memory", "must be from 6MiB to 1024TiB, not 5MiB"},
	{"\"memory\":-1", "memory", "must be from 6MiB"},
	{"\"memory\":67108864.5", "memory", "is no size"},
	{"\"memory\":99999999999999999999999", "memory", "must be from 6MiB to"},
	{"\"memory\":true", "memory", "must be a size: bytes or a number with KiB"},
	{"\"memory\":\"64MiB\",\"memory_swap\":\"32MiB\"", "memory_swap",
	 "must be at least memory (64MiB), not 32MiB"},
	{"\"memory_swap\":1", "memory_swap", "must be from 6MiB"},
	{"\"cpus\":0", "cpus", "must be from 0.01 to 4096, not 0"},
	{"\"cpus\":4097", "cpus", "not 4097"},
	{"\"cpus\":\"two\"", "cpus", "\"two\" is no number of CPUs"},
	{"\"cpus\":\"1.5.5\"", "cpus", "is no number of CPUs"},
	{"\"cpu_shares\":1", "cpu_shares", "must be from 2 to 262144, not 1"},
	{"\"cpu_shares\":\"many\"", "cpu_shares", "must be a whole number, not a string"},
	{"\"cpu_shares\":2.5", "cpu_shares", "must be a whole number, not 2.5"},
	{"\"cpuset\":\"0-\"", "cpuset", "as \"0-2,4\""},
	{"\"cpuset\":\"2-1\"", "cpuset", "as \"0-2,4\""},
	{"\"cpuset\":\"1,,2\"", "cpuset", "as \"0-2,4\""},
	{"\"pids\":0", "pids", "must be from 1 to 4194304, not 0"},
	{"\"pids\":4194305", "pids", "not 4194305"},
	{"\"block_io\":500", "block_io", "must be {weight, devices}, not a number"},
	{"\"block_io\":{\"weight\":9}", "block_io.weight", "from 10 to 1000"},
	{"\"block_io\":{\"devices\":[{\"read_bps\":1}]}", "block_io.devices[0].device",
	 "is required"},
	{"\"block_io\":{\"devices\":[{\"device\":\"/dev/a\"}]}", "block_io.devices[0]",
	 "limits nothing"},
	{"\"block_io\":{\"devices\":[{\"device\":\"/dev/a\",\"read_bps\":\"x\"}]}",
	 "block_io.devices[0].read_bps", "is no size"},
	{"\"log\":{\"driver\":\"syslog\"}", "log.driver",
	 "is no log driver; there are: local, json-file"},
	{"\"log\":{\"files\":0}", "log.files", "from 1 to 1000"},
	{"\"log\":\"10m\"", "log", "must be {driver, size, files}, not a string"},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static struct json_object *parse_json(const char *text)
{
	struct json_object *value;
	struct gantry_error err;

	if (json_parse(text, strlen(text), &value, &err) < 0)
		bail_out("%s: %s", err.text, text);
	return value;
}

static int try(const char *text, struct gantry_error *err)
{
	struct json_object *object = parse_json(text);
	struct arena arena = {0};
	struct gantry_spec spec;
	int code = spec_parse(object, &arena, &spec, err);

	json_object_put(object);
	arena_fini(&arena);
	return code;
}

static void bad_values(void)
{
	for (size_t i = 0; i < CASES; i++) {
		const char *body = cases[i].body;
		char *text = strchr("{[", body[0]) ? xstrdup(body)
						   : xasprintf("{\"image\":\"a\",%s}", body);
		struct gantry_error err = {0};
		int code = try(text, &err);

		ok(code < 0 && code == err.code, "refused: %s", body);
		is_str(err.field, cases[i].field, "the field is named");
		like(err.text, cases[i].text, "and what would be right");
		free(text);
	}
}

/* A wrong type for every field of the table: the error names the field. */
static void wrong_types(void)
{
	for (const struct spec_field *field = spec_fields; field->key; field++) {
		char *text = xasprintf("{\"%s\":%s}", field->key,
				       field->kind == GANTRY_FIELD_BOOL ? "7" : "true");
		struct gantry_error err = {0};

		is_int(try(text, &err), -EINVAL, "%s of a wrong type", field->key);
		is_str(err.field, field->key, "the field is named");
		like(err.text, "must be ", "%s: says what would be right", field->key);
		free(text);
	}
}

/* "[X,X,…]" as the value of key. */
static char *many(const char *key, const char *item, size_t count)
{
	struct str s = STR_INIT;

	str_addf(&s, "{\"image\":\"a\",\"%s\":[", key);
	for (size_t i = 0; i < count; i++)
		str_addf(&s, "%s\"%s%zu\"", i ? "," : "", item, i);
	str_add(&s, "]}");
	return str_take(&s);
}

static char *long_text(const char *before, size_t length, const char *after)
{
	struct str s = STR_INIT;

	str_add(&s, before);
	for (size_t i = 0; i < length; i++)
		str_add_char(&s, 'x');
	str_add(&s, after);
	return str_take(&s);
}

/* Each limit at its edge and one over. */
static void limits(void)
{
	static const struct {
		const char *before, *after, *field;
		size_t max;
	} texts[] = {
		{"{\"image\":\"a\",\"labels\":{\"a\":\"", "\"}}", "labels.a", 64 << 10},
		{"{\"image\":\"a\",\"user\":\"", "\"}", "user", 64 << 10},
		{"{\"image\":\"a\",\"command\":[\"", "\"]}", "command[0]", 128 << 10},
		{"{\"image\":\"a\",\"environment\":[\"A=", "\"]}", "environment[0].value",
		 128 << 10},
		{"{\"image\":\"a\",\"environment\":[{\"name\":\"A\",\"value\":\"", "\"}]}",
		 "environment[0].value", 128 << 10},
	};
	static const char *const lists[] = {"command", "labels", "environment"};
	static const char *const items[] = {"x", "a=", "A="};
	struct gantry_error err;
	char *text;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		text = long_text(texts[i].before, texts[i].max, texts[i].after);
		is_int(try(text, &err), 0, "%s of %zu bytes", texts[i].field, texts[i].max);
		free(text);
		text = long_text(texts[i].before, texts[i].max + 1, texts[i].after);
		is_int(try(text, &err), -E2BIG, "one more is too many");
		is_str(err.field, texts[i].field, "the field is named");
		free(text);
	}
	text = many("command", "x", 1024);
	is_int(try(text, &err), 0, "1024 entries");
	free(text);
	for (size_t i = 0; i < 3; i++) {
		text = many(lists[i], items[i], 1025);
		is_int(try(text, &err), -E2BIG, "1025 entries of %s are too many", lists[i]);
		is_str(err.field, lists[i], "the field is named");
		free(text);
	}
}

static void resize(void)
{
	static const struct {
		const char *text;
		int code;
		const char *field, *part;
	} bad[] = {
		{"{}", -EINVAL, "", "nothing to change; give one of: memory, memory_swap, cpus"},
		{"{\"memory\":null}", -EINVAL, "", "nothing to change"},
		{"{\"image\":\"a\"}", -EINVAL, "image",
		 "cannot be changed after the create; what can: memory"},
		{"{\"memroy\":1}", -EINVAL, "memroy", "did you mean \"memory\"?"},
		{"{\"memory\":\"1KiB\"}", -ERANGE, "memory", "must be from 6MiB"},
		{"{\"memory\":\"64MiB\",\"memory_swap\":\"32MiB\"}", -ERANGE, "memory_swap",
		 "at least memory"},
		{"7", -EINVAL, "", "must be a JSON object"},
	};
	struct json_object *object = parse_json(
		"{\"memory\":\"64MiB\",\"memory_swap\":\"128MiB\",\"cpus\":0.5,\"cpu_shares\":"
		"7,\"cpuset\":\"0\",\"pids\":9}");
	struct arena arena = {0};
	struct gantry_limits held;
	struct gantry_error err;

	is_int(spec_parse_resize(object, &arena, &held, &err), 0, "all that can be resized");
	is_int(held.memory_bytes, 64 << 20, "memory");
	is_int(held.memory_swap_bytes, 128 << 20, "memory and swap");
	is_int(held.nano_cpus, 500000000, "cpus");
	is_int(held.cpu_shares, 7, "cpu shares");
	is_int(held.pids, 9, "pids");
	is_str(held.cpuset, "0", "cpuset");
	json_object_put(object);
	object = parse_json("{\"pids\":9}");
	is_int(spec_parse_resize(object, &arena, &held, &err), 0, "one alone");
	is_int(held.memory_bytes, GANTRY_UNSET, "leaves the others");
	ok(!held.cpuset, "all of them");
	json_object_put(object);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		object = parse_json(bad[i].text);
		is_int(spec_parse_resize(object, &arena, &held, &err), bad[i].code, "resize: %s",
		       bad[i].text);
		is_str(err.field, bad[i].field, "the field is named");
		like(err.text, bad[i].part, "and what would be right");
		json_object_put(object);
	}
	/* each resizable field of the table reaches the limits */
	for (const struct spec_field *field = spec_fields; field->key; field++) {
		char *text;

		if (!(field->flags & GANTRY_FIELD_RESIZE))
			continue;
		text = xasprintf("{\"%s\":%s}", field->key,
				 field->kind == GANTRY_FIELD_STRING ? "\"1\""
				 : field->kind == GANTRY_FIELD_SIZE ? "99999999"
								    : "77");
		object = parse_json(text);
		memset(&held, 0, sizeof(held));
		is_int(spec_parse_resize(object, &arena, &held, &err), 0, "resize of %s",
		       field->key);
		is_int((held.memory_bytes != -1) + (held.memory_swap_bytes != -1) +
			       (held.nano_cpus != -1) + (held.cpu_shares != -1) +
			       (held.pids != -1) + (held.cpuset != NULL),
		       1, "%s reaches the limits", field->key);
		json_object_put(object);
		free(text);
	}
	arena_fini(&arena);
}

static void complete(void)
{
	struct arena arena = {0};
	struct gantry_spec spec;
	struct gantry_error err;

	spec_init(&spec);
	is_int(spec_check_complete(&spec, &err), -EINVAL, "no image");
	is_str(err.field, "image", "it is named");
	spec.image = "a";
	is_int(spec_check_complete(&spec, &err), 0, "an image is enough");
	spec.memory_swap_bytes = 64 << 20;
	is_int(spec_check_complete(&spec, &err), -EINVAL, "memory_swap without memory");
	is_str(err.field, "memory_swap", "it is named");
	spec.memory_bytes = 128 << 20;
	is_int(spec_check_complete(&spec, &err), -ERANGE, "memory_swap under memory");
	spec.memory_swap_bytes = 128 << 20;
	is_int(spec_check_complete(&spec, NULL), 0, "both alike");
	arena_fini(&arena);
}

int main(void)
{
	bad_values();
	wrong_types();
	limits();
	resize();
	complete();
	done_testing();
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What policies are told: every field of the spec, of instances and nodes, read-only. */
#include "base/str.h"
#include "policy.h"

static const char spec_json[] =
	"{\"name\":\"web\",\"project\":\"blue\",\"labels\":{\"tier\":\"front\",\"a.b\":\"c\"},\"image\":\"debian:12\","
	"\"command\":[\"sleep\",\"9\"],\"entrypoint\":[\"/e\"],\"environment\":[\"A=1\",{\"name\":\"S\",\"value\":"
	"\"x\",\"secret\":true}],\"user\":\"root\",\"working_dir\":\"/srv\",\"hostname\":\"h\",\"tty\":true,"
	"\"mounts\":[\"/etc:/mnt:ro\",\"data:/data\",\"tmpfs:/tmp:64MiB\"],\"ports\":[\"127.0.0.1:8080:80/tcp\"],"
	"\"network\":\"host\",\"dns\":[\"192.0.2.1\"],\"dns_search\":[\"example.org\"],\"cap_add\":[\"SYS_ADMIN\"],"
	"\"cap_drop\":[\"CHOWN\"],\"devices\":[\"/dev/kvm\"],\"ulimits\":[\"nofile=10:20\"],\"sysctls\":{"
	"\"net.core.somaxconn\":\"9\"},\"read_only\":true,\"stop_signal\":\"TERM\",\"stop_grace\":\"1500ms\","
	"\"health_check\":{\"test\":\"true\",\"interval\":\"10s\"},\"memory\":\"64MiB\",\"memory_swap\":\"128MiB\","
	"\"cpus\":1.5,\"cpu_shares\":512,\"cpuset\":\"0-1\",\"pids\":100,\"block_io\":{\"weight\":500,\"devices\":[{"
	"\"device\":\"/dev/vda\",\"read_bps\":1000}]},\"log\":{\"driver\":\"local\",\"size\":\"1MiB\",\"files\":3}}";

/* Each line is a Lua expression that must be true. */
static const char *const expressions[] = {
	"req.verb == 'spawn' and req.actor == 'uid:0' and req.project == 'blue'",
	"req.on_behalf_of == 'alice'",
	"req.via == 'serial'",
	"req.now == 1700000000.123",
	"req.name == 'web' and req.image == 'debian:12' and req.user == 'root'",
	"req.labels.tier == 'front' and req.labels['a.b'] == 'c' and req.labels.none == nil and #req.labels == 2",
	"#req.command == 2 and req.command[1] == 'sleep' and req.command[3] == nil and req.command[0] == nil",
	"table.concat(req.command, ' ') == 'sleep 9' and select('#', table.unpack(req.command)) == 2",
	"req.entrypoint[1] == '/e'",
	"req.environment.A == '1' and req.environment.S == true and req.environment.B == nil",
	"req.working_dir == '/srv' and req.hostname == 'h' and req.tty == true and req.stdin_open == false",
	"req.mounts[1].type == 'bind' and req.mounts[1].source == '/etc' and req.mounts[1].target == '/mnt' and "
	"req.mounts[1].read_only == true and req.mounts[1].size == nil",
	"req.mounts[2].type == 'volume' and req.mounts[3].type == 'tmpfs' and req.mounts[3].size == 64 << 20",
	"req.ports[1].host_ip == '127.0.0.1' and req.ports[1].host_port == 8080 and req.ports[1].container_port == "
	"80 and req.ports[1].protocol == 'tcp'",
	"req.network == 'host' and req.dns[1] == '192.0.2.1' and req.dns_search[1] == 'example.org'",
	"req.cap_add[1] == 'SYS_ADMIN' and req.cap_drop[1] == 'CHOWN'",
	"req.devices[1].host_path == '/dev/kvm' and req.devices[1].permissions == 'rwm'",
	"req.ulimits[1].name == 'nofile' and req.ulimits[1].soft == 10 and req.ulimits[1].hard == 20",
	"req.sysctls['net.core.somaxconn'] == '9'",
	"req.read_only and not req.init and req.stop_grace == 1.5",
	"req.health_check.interval == 10 and req.health_check.test[1] == 'CMD-SHELL'",
	"req.memory == 64 << 20 and req.memory_swap == 128 << 20 and req.cpus == 1.5 and req.cpu_shares == 512",
	"req.cpuset == '0-1' and req.pids == 100",
	"req.block_io.weight == 500 and req.block_io.devices[1].device == '/dev/vda' and "
	"req.block_io.devices[1].read_bps == 1000",
	"req.log.driver == 'local' and req.log.size == 1 << 20 and req.log.files == 3",
	"(function() local t = {} for i, line in ipairs(req.unsafe) do t[i] = line end table.sort(t) return "
	"table.concat(t, '|') end)() == 'cap_add: SYS_ADMIN|devices: /dev/kvm|mounts: bind /etc ro|network: host|"
	"sysctls: net.core.somaxconn'",
	"(function() local t = {} for k, v in pairs(req.labels) do t[#t + 1] = k .. '=' .. v end return "
	"table.concat(t, ' ') end)() == 'tier=front a.b=c'",
	"(function() local n = 0 for k, v in pairs(req.mounts[1]) do n = n + 1 end return n end)() == 4",
	"(function() local seen = {} for k, v in pairs(req) do assert(not seen[k]) seen[k] = true end return "
	"seen.memory and seen.verb and seen.project and not seen.instance end)()",
	"req.project_usage.instances == 3 and req.project_usage.memory == 1 << 30 and req.project_usage.cpus == 1.5",
	"select(2, pcall(gantry.count, req, 'a', 'b')):find('a node is wanted', 1, true)",
	"(function() for k in pairs(req.environment) do if k == 'S' then return true end end end)()",
	"tostring(req) == 'fact' and type(req) == 'userdata'",
	"not pcall(function() req.verb = 'x' end) and not pcall(rawset, req, 'verb', 'x')",
	"not pcall(function() return req.labels.tier.x.y end)",
	"select(2, pcall(function() return req.mounts[1].sorce end)):find('did you mean \"source\"', 1, true)",
	"select(2, pcall(function() return req.mounts.x end)):find('entries are 1 to 3', 1, true)",
	"not pcall(function() return #req end) and not pcall(function() return req[1] end)",
	"not pcall(table.insert, req.command, 'x')",
};

/* The same on a request of another kind, on an instance and without a spec. */
static const char *const bare_expressions[] = {
	"req.on_behalf_of == nil and req.via == nil",
	"req.verb == 'kill' and req.memory == nil and #req.command == 0 and req.labels.x == nil",
	"req.health_check == nil and req.log.size == nil and req.block_io.weight == nil",
	"req.image == 'busybox' or req.instance == nil",
	"req.instance == nil or (req.instance.id == 'i-1' and req.instance.state == 'running' and "
	"req.instance.intent == 'running' and req.instance.boots == 2 and req.instance.started == nil and "
	"req.instance.created == 1.5 and req.instance.health == nil and req.instance.node == 'n1')",
};

static void expect(const char *expression, const struct script_request *request)
{
	struct script_decision decision;
	struct gantry_error err;
	char *source = xasprintf(
		"return { admit = function(req) if not (%s) then return false, 'not so' end "
		"return true end }",
		expression);
	struct script_set *set = policy_one(source);
	int code;

	script_decision_init(&decision, set, request, 1);
	code = script_admit(set, request, &decision, &err);
	is_int(code, 0, "%s", expression);
	if (code < 0)
		diag("%s", err.text);
	script_decision_fini(&decision);
	script_set_free(set);
	free(source);
}

int main(void)
{
	struct arena arena = {0};
	struct gantry_spec spec;
	struct script_request request;
	struct instance instance = {.id = "i-1",
				    .node = "n1",
				    .state = INSTANCE_RUNNING,
				    .intent = INTENT_RUNNING,
				    .boots = 2,
				    .created_ms = 1500};

	policy_start();
	policy_spec(spec_json, &arena, &spec);
	request = policy_request(&spec, &arena);
	request.user = "alice";
	request.via = "serial";
	request.usage = (struct fleet_usage){3, 1 << 30, 1500000000};
	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++)
		expect(expressions[i], &request);
	request = policy_request(NULL, &arena);
	request.verb = "kill";
	for (size_t i = 0; i < sizeof(bare_expressions) / sizeof(bare_expressions[0]); i++)
		expect(bare_expressions[i], &request);
	spec_init(&instance.spec);
	instance.spec.image = "busybox";
	request.instance = &instance;
	for (size_t i = 0; i < sizeof(bare_expressions) / sizeof(bare_expressions[0]); i++)
		expect(bare_expressions[i], &request);
	arena_fini(&arena);
	policy_stop();
	done_testing();
	return tap_end();
}

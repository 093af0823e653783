/* SPDX-License-Identifier: Apache-2.0 */
#include "script/fields.h"
#include "model/spec.h"
#include "script/copies.h"
#include "script/event_call.h"
#include "script/log_hook.h"
#include "script/value.h"

#include <stddef.h>

/* --- values that are worked out -------------------------------------------------------------------- */

static void push_request_instance(lua_State *L, const void *data)
{
	const struct script_request *request = data;

	if (request->instance)
		facts_push(L, FACT_INSTANCE, request->instance);
	else
		lua_pushnil(L);
}

static void push_request_exec(lua_State *L, const void *data)
{
	const struct script_request *request = data;

	if (request->exec)
		facts_push(L, FACT_EXEC, request->exec);
	else
		lua_pushnil(L);
}

static void push_request_recording(lua_State *L, const void *data)
{
	const struct script_request *request = data;

	if (request->recording)
		facts_push(L, FACT_RECORDING, request->recording);
	else
		lua_pushnil(L);
}

static void push_request_usage(lua_State *L, const void *data)
{
	facts_push(L, FACT_USAGE, &((const struct script_request *)data)->usage);
}

static void push_usage_cpus(lua_State *L, const void *data)
{
	lua_pushnumber(L, (lua_Number)((const struct fleet_usage *)data)->nano_cpus / 1e9);
}

static void push_instance_state(lua_State *L, const void *data)
{
	lua_pushstring(L, instance_state_text(((const struct instance *)data)->state));
}

static void push_instance_intent(lua_State *L, const void *data)
{
	lua_pushstring(L, instance_intent_text(((const struct instance *)data)->intent));
}

#define PUSH_EXIT(name, push, value)                                                               \
	static void push_exit_##name(lua_State *L, const void *data)                               \
	{                                                                                          \
		const struct script_exit *told = data;                                             \
                                                                                                   \
		push(L, value);                                                                    \
	}

PUSH_EXIT(code, lua_pushinteger, told->end->code)
PUSH_EXIT(oom_seen, lua_pushboolean, told->end->oom_seen)
PUSH_EXIT(oom_killed, lua_pushboolean, told->end->oom_killed)
PUSH_EXIT(start_failed, lua_pushboolean, told->end->start_failed)
PUSH_EXIT(inferred, lua_pushboolean, told->end->inferred)
PUSH_EXIT(ran, lua_pushnumber, (lua_Number)told->end->ran_ms / 1000)

static void push_exit_signal(lua_State *L, const void *data)
{
	const struct script_exit *told = data;

	if (told->end->signal)
		lua_pushinteger(L, told->end->signal);
	else
		lua_pushnil(L);
}

static void push_event_instance(lua_State *L, const void *data)
{
	const struct event_facts *event = data;

	if (event->instance)
		copies_push(L, FACT_INSTANCE, event->instance);
	else
		lua_pushnil(L);
}

static void push_event_detail(lua_State *L, const void *data)
{
	value_push_json(L, ((const struct event_facts *)data)->detail);
}

static void push_node_state(lua_State *L, const void *data)
{
	lua_pushstring(L, node_state_text(((const struct node *)data)->state));
}

static void push_node_labels(lua_State *L, const void *data)
{
	static const struct gantry_pairs none;
	const struct node *node = data;

	facts_push(L, FACT_PAIRS, node->labels ? node->labels : &none);
}

static int64_t room(int64_t capacity, int64_t promised)
{
	return capacity > promised ? capacity - promised : 0;
}

static void push_memory_free(lua_State *L, const void *data)
{
	const struct node *node = data;

	if (node->memory_bytes > 0)
		lua_pushinteger(L, room(node->memory_bytes, node->memory_promised_bytes));
	else
		lua_pushnil(L);
}

static void push_cpus_free(lua_State *L, const void *data)
{
	const struct node *node = data;

	if (node->nano_cpus > 0)
		lua_pushnumber(L,
			       (lua_Number)room(node->nano_cpus, node->nano_cpus_promised) / 1e9);
	else
		lua_pushnil(L);
}

static void push_cpus_promised(lua_State *L, const void *data)
{
	lua_pushnumber(L, (lua_Number)((const struct node *)data)->nano_cpus_promised / 1e9);
}

static void push_node_engine(lua_State *L, const void *data)
{
	facts_push(L, FACT_ENGINE, &((const struct node *)data)->facts);
}

static void push_mount_type(lua_State *L, const void *data)
{
	lua_pushstring(L, spec_mount_types[((const struct gantry_mount *)data)->type]);
}

#define PUSH_LINE(name, push, value)                                                               \
	static void push_line_##name(lua_State *L, const void *data)                               \
	{                                                                                          \
		const struct script_line *line = data;                                             \
                                                                                                   \
		push(L, value);                                                                    \
	}

PUSH_LINE(stream, lua_pushstring, line->stream == 2 ? "stderr" : "stdout")
PUSH_LINE(time, lua_pushnumber, (lua_Number)line->time_ns / 1e9)
PUSH_LINE(instance, lua_pushstring, line->origin->instance)
PUSH_LINE(name, lua_pushstring, line->origin->name)
PUSH_LINE(project, lua_pushstring, line->origin->project)
PUSH_LINE(node, lua_pushstring, line->origin->node)
PUSH_LINE(image, lua_pushstring, line->origin->image)

static void push_line_text(lua_State *L, const void *data)
{
	const struct script_line *line = data;

	sandbox_charge(L, (int64_t)line->length / 16);
	lua_pushlstring(L, line->text, line->length);
}

static void push_line_labels(lua_State *L, const void *data)
{
	facts_push(L, FACT_PAIRS, ((const struct script_line *)data)->origin->labels);
}

/* --- the table ------------------------------------------------------------------------------------- */

#define AT(type, member) offsetof(struct type, member)
#define SPEC_FIELD(member, key, kind, ...)                                                         \
	{FACT_SPEC, key, GANTRY_FIELD_##kind, AT(gantry_spec, member), NULL},
#define RESOURCE(member, key, kind)                                                                \
	{                                                                                          \
		FACT_RESOURCES, key, kind, AT(gantry_spec, member), NULL                           \
	}
#define FIELD(fact, key, kind, type, member)                                                       \
	{                                                                                          \
		fact, key, kind, AT(type, member), NULL                                            \
	}
#define WORKED_OUT(fact, key, function)                                                            \
	{                                                                                          \
		fact, key, VALUE_FUNCTION, 0, function                                             \
	}

/* clang-format off */
const struct field fact_fields[] = {
	FIELD(FACT_REQUEST, "verb", GANTRY_FIELD_STRING, script_request, verb),
	FIELD(FACT_REQUEST, "actor", GANTRY_FIELD_STRING, script_request, actor),
	/* "user" is the spec's: as whom the process runs */
	FIELD(FACT_REQUEST, "on_behalf_of", GANTRY_FIELD_STRING, script_request, user),
	FIELD(FACT_REQUEST, "via", GANTRY_FIELD_STRING, script_request, via),
	FIELD(FACT_REQUEST, "project", GANTRY_FIELD_STRING, script_request, project),
	FIELD(FACT_REQUEST, "unsafe", GANTRY_FIELD_STRINGS, script_request, unsafe),
	FIELD(FACT_REQUEST, "now", VALUE_TIME, script_request, now_ms),
	WORKED_OUT(FACT_REQUEST, "instance", push_request_instance),
	WORKED_OUT(FACT_REQUEST, "exec", push_request_exec),
	WORKED_OUT(FACT_REQUEST, "recording", push_request_recording),
	WORKED_OUT(FACT_REQUEST, "project_usage", push_request_usage),

	GANTRY_SPEC_FIELDS(SPEC_FIELD)

	RESOURCE(memory_bytes, "memory", GANTRY_FIELD_SIZE),
	RESOURCE(memory_swap_bytes, "memory_swap", GANTRY_FIELD_SIZE),
	RESOURCE(nano_cpus, "cpus", GANTRY_FIELD_CPUS),
	RESOURCE(cpu_shares, "cpu_shares", GANTRY_FIELD_INT),
	RESOURCE(cpuset, "cpuset", GANTRY_FIELD_STRING),
	RESOURCE(pids, "pids", GANTRY_FIELD_INT),
	RESOURCE(block_io.weight, "block_io_weight", GANTRY_FIELD_INT),
	RESOURCE(ulimits, "ulimits", GANTRY_FIELD_ULIMITS),
	RESOURCE(log, "log", GANTRY_FIELD_LOG),

	FIELD(FACT_INSTANCE, "id", VALUE_TEXT, instance, id),
	FIELD(FACT_INSTANCE, "name", GANTRY_FIELD_STRING, instance, spec.name),
	FIELD(FACT_INSTANCE, "project", GANTRY_FIELD_STRING, instance, spec.project),
	FIELD(FACT_INSTANCE, "image", GANTRY_FIELD_STRING, instance, spec.image),
	FIELD(FACT_INSTANCE, "labels", GANTRY_FIELD_PAIRS, instance, spec.labels),
	FIELD(FACT_INSTANCE, "node", GANTRY_FIELD_STRING, instance, node),
	WORKED_OUT(FACT_INSTANCE, "state", push_instance_state),
	WORKED_OUT(FACT_INSTANCE, "intent", push_instance_intent),
	FIELD(FACT_INSTANCE, "generation", VALUE_COUNT, instance, generation),
	FIELD(FACT_INSTANCE, "boots", VALUE_COUNT, instance, boots),
	FIELD(FACT_INSTANCE, "health", VALUE_TEXT, instance, health),
	FIELD(FACT_INSTANCE, "address", VALUE_TEXT, instance, address),
	FIELD(FACT_INSTANCE, "created", VALUE_TIME, instance, created_ms),
	FIELD(FACT_INSTANCE, "started", VALUE_TIME, instance, started_ms),

	FIELD(FACT_EXIT, "cause", GANTRY_FIELD_STRING, script_exit, cause),
	FIELD(FACT_EXIT, "restarts", VALUE_COUNT, script_exit, restarts),
	WORKED_OUT(FACT_EXIT, "code", push_exit_code),
	WORKED_OUT(FACT_EXIT, "signal", push_exit_signal),
	WORKED_OUT(FACT_EXIT, "oom_seen", push_exit_oom_seen),
	WORKED_OUT(FACT_EXIT, "oom_killed", push_exit_oom_killed),
	WORKED_OUT(FACT_EXIT, "start_failed", push_exit_start_failed),
	WORKED_OUT(FACT_EXIT, "inferred", push_exit_inferred),
	WORKED_OUT(FACT_EXIT, "ran", push_exit_ran),

	FIELD(FACT_EVENT, "kind", GANTRY_FIELD_STRING, event_facts, kind),
	FIELD(FACT_EVENT, "sequence", VALUE_COUNT, event_facts, sequence),
	FIELD(FACT_EVENT, "time", VALUE_TIME, event_facts, at_ms),
	WORKED_OUT(FACT_EVENT, "instance", push_event_instance),
	FIELD(FACT_EVENT, "instance_id", GANTRY_FIELD_STRING, event_facts, instance_id),
	FIELD(FACT_EVENT, "name", GANTRY_FIELD_STRING, event_facts, name),
	FIELD(FACT_EVENT, "project", GANTRY_FIELD_STRING, event_facts, project),
	FIELD(FACT_EVENT, "node", GANTRY_FIELD_STRING, event_facts, node),
	FIELD(FACT_EVENT, "actor", GANTRY_FIELD_STRING, event_facts, actor),
	FIELD(FACT_EVENT, "operation", GANTRY_FIELD_STRING, event_facts, operation),
	WORKED_OUT(FACT_EVENT, "detail", push_event_detail),

	FIELD(FACT_USAGE, "instances", VALUE_COUNT, fleet_usage, instances),
	FIELD(FACT_USAGE, "memory", VALUE_COUNT, fleet_usage, memory_bytes),
	WORKED_OUT(FACT_USAGE, "cpus", push_usage_cpus),

	FIELD(FACT_NODE, "name", GANTRY_FIELD_STRING, node, name),
	FIELD(FACT_NODE, "plugin", GANTRY_FIELD_STRING, node, plugin),
	WORKED_OUT(FACT_NODE, "labels", push_node_labels),
	WORKED_OUT(FACT_NODE, "state", push_node_state),
	FIELD(FACT_NODE, "drained", GANTRY_FIELD_BOOL, node, drained),
	FIELD(FACT_NODE, "cpus", VALUE_NANO, node, nano_cpus),
	WORKED_OUT(FACT_NODE, "cpus_free", push_cpus_free),
	WORKED_OUT(FACT_NODE, "cpus_promised", push_cpus_promised),
	FIELD(FACT_NODE, "memory", VALUE_AMOUNT, node, memory_bytes),
	WORKED_OUT(FACT_NODE, "memory_free", push_memory_free),
	FIELD(FACT_NODE, "memory_promised", VALUE_COUNT, node, memory_promised_bytes),
	FIELD(FACT_NODE, "instances", VALUE_COUNT, node, instances),
	WORKED_OUT(FACT_NODE, "engine", push_node_engine),

	FIELD(FACT_ENGINE, "name", GANTRY_FIELD_STRING, gantry_node_facts, engine),
	FIELD(FACT_ENGINE, "version", GANTRY_FIELD_STRING, gantry_node_facts, engine_version),
	FIELD(FACT_ENGINE, "api_version", GANTRY_FIELD_STRING, gantry_node_facts, api_version),
	FIELD(FACT_ENGINE, "storage_driver", GANTRY_FIELD_STRING, gantry_node_facts, storage_driver),
	FIELD(FACT_ENGINE, "cgroup_version", GANTRY_FIELD_STRING, gantry_node_facts, cgroup_version),
	FIELD(FACT_ENGINE, "kernel", GANTRY_FIELD_STRING, gantry_node_facts, kernel),
	FIELD(FACT_ENGINE, "operating_system", GANTRY_FIELD_STRING, gantry_node_facts, operating_system),
	FIELD(FACT_ENGINE, "architecture", GANTRY_FIELD_STRING, gantry_node_facts, architecture),
	FIELD(FACT_ENGINE, "cpus", VALUE_AMOUNT, gantry_node_facts, cpus),
	FIELD(FACT_ENGINE, "memory", VALUE_AMOUNT, gantry_node_facts, memory_bytes),
	FIELD(FACT_ENGINE, "memory_limit", GANTRY_FIELD_BOOL, gantry_node_facts, memory_limit),
	FIELD(FACT_ENGINE, "swap_limit", GANTRY_FIELD_BOOL, gantry_node_facts, swap_limit),
	FIELD(FACT_ENGINE, "cpu_quota", GANTRY_FIELD_BOOL, gantry_node_facts, cpu_quota),
	FIELD(FACT_ENGINE, "pids_limit", GANTRY_FIELD_BOOL, gantry_node_facts, pids_limit),

	WORKED_OUT(FACT_MOUNT, "type", push_mount_type),
	FIELD(FACT_MOUNT, "source", GANTRY_FIELD_STRING, gantry_mount, source),
	FIELD(FACT_MOUNT, "target", GANTRY_FIELD_STRING, gantry_mount, target),
	FIELD(FACT_MOUNT, "read_only", GANTRY_FIELD_BOOL, gantry_mount, read_only),
	FIELD(FACT_MOUNT, "size", GANTRY_FIELD_SIZE, gantry_mount, size_bytes),

	FIELD(FACT_PORT, "host_ip", GANTRY_FIELD_STRING, gantry_port, host_ip),
	FIELD(FACT_PORT, "host_port", VALUE_PORT, gantry_port, host_port),
	FIELD(FACT_PORT, "container_port", VALUE_PORT, gantry_port, container_port),
	FIELD(FACT_PORT, "protocol", GANTRY_FIELD_STRING, gantry_port, protocol),

	FIELD(FACT_NETWORK_PORT, "id", GANTRY_FIELD_STRING, gantry_network_port, id),
	FIELD(FACT_NETWORK_PORT, "type", GANTRY_FIELD_STRING, gantry_network_port, type),
	FIELD(FACT_NETWORK_PORT, "bridge", GANTRY_FIELD_STRING, gantry_network_port, bridge),
	FIELD(FACT_NETWORK_PORT, "create_bridge", GANTRY_FIELD_BOOL, gantry_network_port, create_bridge),
	FIELD(FACT_NETWORK_PORT, "mac", GANTRY_FIELD_STRING, gantry_network_port, mac),
	FIELD(FACT_NETWORK_PORT, "addresses", GANTRY_FIELD_STRINGS, gantry_network_port, addresses),
	FIELD(FACT_NETWORK_PORT, "routes", GANTRY_FIELD_STRINGS, gantry_network_port, routes),
	FIELD(FACT_NETWORK_PORT, "dns", GANTRY_FIELD_STRINGS, gantry_network_port, dns),
	FIELD(FACT_NETWORK_PORT, "mtu", GANTRY_FIELD_INT, gantry_network_port, mtu),

	FIELD(FACT_DEVICE, "host_path", GANTRY_FIELD_STRING, gantry_device, host_path),
	FIELD(FACT_DEVICE, "container_path", GANTRY_FIELD_STRING, gantry_device, container_path),
	FIELD(FACT_DEVICE, "permissions", GANTRY_FIELD_STRING, gantry_device, permissions),

	FIELD(FACT_ULIMIT, "name", GANTRY_FIELD_STRING, gantry_ulimit, name),
	FIELD(FACT_ULIMIT, "soft", VALUE_COUNT, gantry_ulimit, soft),
	FIELD(FACT_ULIMIT, "hard", VALUE_COUNT, gantry_ulimit, hard),

	FIELD(FACT_HEALTH, "test", GANTRY_FIELD_STRINGS, gantry_health_check, test),
	FIELD(FACT_HEALTH, "interval", GANTRY_FIELD_DURATION, gantry_health_check, interval_ms),
	FIELD(FACT_HEALTH, "timeout", GANTRY_FIELD_DURATION, gantry_health_check, timeout_ms),
	FIELD(FACT_HEALTH, "start_period", GANTRY_FIELD_DURATION, gantry_health_check, start_period_ms),
	FIELD(FACT_HEALTH, "retries", GANTRY_FIELD_INT, gantry_health_check, retries),

	FIELD(FACT_BLOCK_IO, "weight", GANTRY_FIELD_INT, gantry_block_io, weight),
	FIELD(FACT_BLOCK_IO, "devices", VALUE_BLOCK_LIMITS, gantry_block_io, items),

	FIELD(FACT_BLOCK_LIMIT, "device", GANTRY_FIELD_STRING, gantry_block_limit, device),
	FIELD(FACT_BLOCK_LIMIT, "read_bps", GANTRY_FIELD_INT, gantry_block_limit, read_bps),
	FIELD(FACT_BLOCK_LIMIT, "write_bps", GANTRY_FIELD_INT, gantry_block_limit, write_bps),
	FIELD(FACT_BLOCK_LIMIT, "read_iops", GANTRY_FIELD_INT, gantry_block_limit, read_iops),
	FIELD(FACT_BLOCK_LIMIT, "write_iops", GANTRY_FIELD_INT, gantry_block_limit, write_iops),

	FIELD(FACT_LOG, "driver", GANTRY_FIELD_STRING, gantry_log_limits, driver),
	FIELD(FACT_LOG, "size", GANTRY_FIELD_SIZE, gantry_log_limits, size_bytes),
	FIELD(FACT_LOG, "files", GANTRY_FIELD_INT, gantry_log_limits, files),

	FIELD(FACT_EXEC, "command", GANTRY_FIELD_STRINGS, gantry_exec, command),
	FIELD(FACT_EXEC, "environment", GANTRY_FIELD_ENV, gantry_exec, environment),
	FIELD(FACT_EXEC, "user", GANTRY_FIELD_STRING, gantry_exec, user),
	FIELD(FACT_EXEC, "working_dir", GANTRY_FIELD_STRING, gantry_exec, working_dir),
	FIELD(FACT_EXEC, "tty", GANTRY_FIELD_BOOL, gantry_exec, tty),
	FIELD(FACT_EXEC, "stdin_open", GANTRY_FIELD_BOOL, gantry_exec, input),

	FIELD(FACT_RECORDING, "id", GANTRY_FIELD_STRING, script_recording, id),
	FIELD(FACT_RECORDING, "instance", GANTRY_FIELD_STRING, script_recording, instance),
	FIELD(FACT_RECORDING, "name", GANTRY_FIELD_STRING, script_recording, name),
	FIELD(FACT_RECORDING, "project", GANTRY_FIELD_STRING, script_recording, project),
	FIELD(FACT_RECORDING, "verb", GANTRY_FIELD_STRING, script_recording, verb),
	FIELD(FACT_RECORDING, "actor", GANTRY_FIELD_STRING, script_recording, actor),

	WORKED_OUT(FACT_LINE, "text", push_line_text),
	WORKED_OUT(FACT_LINE, "stream", push_line_stream),
	WORKED_OUT(FACT_LINE, "time", push_line_time),
	FIELD(FACT_LINE, "sequence", VALUE_COUNT, script_line, sequence),
	FIELD(FACT_LINE, "boot", VALUE_COUNT, script_line, boot),
	FIELD(FACT_LINE, "partial", GANTRY_FIELD_BOOL, script_line, partial),
	WORKED_OUT(FACT_LINE, "instance", push_line_instance),
	WORKED_OUT(FACT_LINE, "name", push_line_name),
	WORKED_OUT(FACT_LINE, "project", push_line_project),
	WORKED_OUT(FACT_LINE, "node", push_line_node),
	WORKED_OUT(FACT_LINE, "image", push_line_image),
	WORKED_OUT(FACT_LINE, "labels", push_line_labels),
};
/* clang-format on */

const int fact_fields_count = sizeof(fact_fields) / sizeof(fact_fields[0]);
_Static_assert(sizeof(fact_fields) / sizeof(fact_fields[0]) <= FACT_FIELDS_MAX, "room for names");

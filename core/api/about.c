/* SPDX-License-Identifier: Apache-2.0 */
/* About the daemon: health, version, doctor. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/str.h"
#include "flows/flow.h"
#include "flows/log/log_sinks.h"
#include "flows/policy/event_hooks.h"

void handle_health(struct call *call)
{
	const struct daemon *daemon = call->daemon;
	struct json_object *object = json_object_new_object(), *nodes = json_object_new_object();
	const char *status = daemon->stopping ? "stopping" : "ok";

	for (size_t i = 0; i < daemon->fleet.node_count; i++) {
		const struct node *node = daemon->fleet.nodes[i];

		json_add_string(nodes, node->name, node_state_text(node->state));
		if (node->state != NODE_UP && !daemon->stopping)
			status = "degraded";
	}
	json_add_string(object, "status", status);
	json_object_object_add(object, "nodes", nodes);
	json_add_int(object, "instances", (int64_t)daemon->fleet.count);
	json_add_int(object, "last_event", daemon->events.published_sequence);
	json_add_int(object, "uptime_ms", (clock_monotonic_us() - daemon->started_us) / 1000);
	call_reply(call, 200, object);
}

void handle_version(struct call *call)
{
	const struct plugin_registry *registry = call->api->plugins;
	struct json_object *object = json_object_new_object(), *plugins = json_object_new_array();

	json_add_string(object, "version", API_VERSION);
	json_add_string(object, "api", "1");
	for (size_t i = 0; i < registry->count; i++) {
		const struct gantry_plugin *info = plugin_info(registry->items[i]);
		struct json_object *plugin = json_object_new_object();

		json_add_string(plugin, "name", info->name);
		json_add_string(plugin, "version", info->version);
		json_add_string(plugin, "summary", info->summary);
		json_object_array_add(plugins, plugin);
	}
	json_object_object_add(object, "plugins", plugins);
	json_add_string(object, "policies", script_set_revision(call->daemon->policies));
	json_add_string(object, "owner", call->daemon->settings->owner);
	call_reply(call, 200, object);
}

/* --- doctor -------------------------------------------------------------------------------------- */

static void add_check(struct json_object *checks, const char *name, const char *status,
		      const char *hint, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void add_check(struct json_object *checks, const char *name, const char *status,
		      const char *hint, const char *format, ...)
{
	struct json_object *check = json_object_new_object();
	struct str detail = STR_INIT;
	va_list args;

	va_start(args, format);
	str_addv(&detail, format, args);
	va_end(args);
	json_add_string(check, "name", name);
	json_add_string(check, "status", status);
	json_add_string(check, "detail", str_text(&detail));
	json_add_string(check, "hint", hint);
	json_object_array_add(checks, check);
	str_fini(&detail);
}

static void check_node(struct json_object *checks, const struct node *node)
{
	char name[100];

	snprintf(name, sizeof(name), "node %s", node->name);
	if (node->state != NODE_UP) {
		add_check(
			checks, name, "fail",
			node->last_error_code == -EBUSY
				? "stop one of the two, or give it an owner of its own; this one takes over when that one has ended"
				: "see that the engine runs and that its endpoint in gantry.lua is right",
			"is %s: %s", node_state_text(node->state),
			node->last_error[0] ? node->last_error : "not tried yet");
		return;
	}
	if (!node->facts.memory_limit || !node->facts.pids_limit)
		add_check(
			checks, name, "warn",
			"the kernel of the node lacks cgroup controllers: limits of memory or processes do not hold",
			"%s %s, limits: memory %s, pids %s", node->facts.engine,
			node->facts.engine_version, node->facts.memory_limit ? "yes" : "no",
			node->facts.pids_limit ? "yes" : "no");
	else
		add_check(checks, name, "ok", NULL, "%s %s, API %s, %s, cgroup %s, %lld CPUs",
			  node->facts.engine, node->facts.engine_version, node->facts.api_version,
			  node->facts.storage_driver, node->facts.cgroup_version,
			  (long long)node->facts.cpus);
}

static void check_event_hook(void *checks, const char *policy, const char *text)
{
	add_check(
		checks, "event hooks", "warn",
		"see gantryd's log and `gantry policy status`; a file that is changed counts anew",
		"policy %s: %s", policy, text);
}

static void check_sink(void *checks, const struct log_sink_report *report)
{
	char name[100];

	snprintf(name, sizeof(name), "log sink %s", report->settings->name);
	if (report->failing)
		add_check(
			checks, name, "fail",
			"see that the receiver runs; lines wait meanwhile, in memory and in the "
			"engine's logs, until the engine drops them",
			"%s; %lld lines wait, the oldest for %lld s, and %lld instances are behind",
			report->error, (long long)report->queued, (long long)report->lag_ms / 1000,
			(long long)report->behind);
	else if (report->unread)
		add_check(checks, name, "warn",
			  "what an instance prints is forwarded where gantryd can read its log",
			  "logs of %lld instances are not forwarded: %s",
			  (long long)report->unread_count, report->unread);
	else
		add_check(checks, name, "ok", NULL,
			  "%s, %lld lines sent from %lld instances, %lld wait",
			  report->settings->kind, (long long)report->sent,
			  (long long)report->instances, (long long)report->queued);
}

static void check_flows(struct json_object *checks, const struct daemon *daemon)
{
	size_t waiting = 0;

	LIST_FOREACH (node, &daemon->flows) {
		waiting += LIST_ENTRY(node, struct flow, link)->awaiting_node;
	}
	if (waiting)
		add_check(checks, "operations", "warn", "they go on when their node is up again",
			  "%zu interrupted operations wait for their node", waiting);
	else
		add_check(checks, "operations", "ok", NULL, "none is stuck");
}

void handle_doctor(struct call *call)
{
	const struct daemon *daemon = call->daemon;
	struct json_object *object = json_object_new_object(), *checks = json_object_new_array();

	add_check(checks, "settings", "ok", NULL, "owner %s, %zu listeners, %zu nodes",
		  daemon->settings->owner, daemon->settings->listener_count,
		  daemon->settings->node_count);
	if (daemon->store_was_new && daemon->rebuilt)
		add_check(
			checks, "store", "warn",
			"nothing is to be done; what is lost cannot be had again",
			"%s was made anew at this start: %lld instances were rebuilt from the engines; "
			"lost are events, decisions, operations, idempotency keys and intents",
			daemon->settings->store, (long long)daemon->rebuilt);
	else
		add_check(checks, "store", "ok", NULL, "%s, %lld events", daemon->settings->store,
			  (long long)daemon->events.last_sequence);
	if (daemon->key_was_damaged)
		add_check(
			checks, "secret key", "warn",
			"nothing is to be done but to look after the disk; put back a copy of the store to have the old key",
			"it was damaged and made anew at this start: hashes of secrets in older decisions do not "
			"equal new ones, and older idempotency keys are refused");
	if (daemon->policies_error[0])
		add_check(checks, "policies", "fail",
			  "mend the file; it is read again as soon as it changes",
			  "revision %s stays in force: %s", script_set_revision(daemon->policies),
			  daemon->policies_error);
	else
		add_check(checks, "policies", "ok", NULL, "%s, revision %s",
			  daemon->settings->policies, script_set_revision(daemon->policies));
	event_hooks_complain(daemon, check_event_hook, checks);
	for (size_t i = 0; i < daemon->fleet.node_count; i++)
		check_node(checks, daemon->fleet.nodes[i]);
	if (daemon->fleet.node_count == 0)
		add_check(checks, "nodes", "fail", "add one to nodes in gantry.lua",
			  "there is no node to run anything on");
	check_flows(checks, daemon);
	log_sinks_report(daemon, check_sink, checks);
	json_object_object_add(object, "checks", checks);
	call_reply(call, 200, object);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/admit.h"
#include "base/clock.h"
#include "flows/node_link.h"
#include "model/spec.h"

int console_check(struct daemon *daemon, const struct instance *instance,
		  const struct node_link **ret_link, struct gantry_error *err)
{
	const struct node_link *link = node_link_find(daemon, instance->node);

	*ret_link = link;
	if (daemon->stopping)
		return gantry_error_set(err, -EAGAIN, "gantryd stops");
	if (instance->state == INSTANCE_UNKNOWN && link)
		return gantry_error_set(err, -EHOSTUNREACH, "%s is unknown: node %s: %s",
					instance->spec.name, instance->node, link->node.last_error);
	if (!link || (instance->state != INSTANCE_RUNNING && instance->state != INSTANCE_PAUSED &&
		      instance->state != INSTANCE_STOPPING))
		return gantry_error_set(err, -EBUSY, "%s is %s: it has no process",
					instance->spec.name, instance_state_text(instance->state));
	if (!link->runtime->attach)
		return gantry_error_set(err, -ENOTSUP, "node %s offers no sessions",
					link->node.name);
	return 0;
}

int admit(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
	  const char *verb, const struct gantry_exec *exec, struct gantry_error *err)
{
	struct arena arena = {0};
	struct script_request request = {
		.verb = verb,
		.exec = exec,
		.actor = ask->actor,
		.user = ask->user,
		.via = ask->via ? ask->via : "api",
		.project = instance->spec.project ? instance->spec.project : "default",
		.spec = &instance->spec,
		.instance = instance,
		.now_ms = clock_wall_ms(),
		.usage = fleet_usage(&daemon->fleet, instance->spec.project, instance),
	};
	struct script_decision decision;
	struct store_batch *batch;
	int code;

	spec_unsafe(&instance->spec, &arena, &request.unsafe);
	request.seed = (uint64_t)daemon_next_decision(daemon);
	script_decision_init(&decision, daemon->policies, &request, (int64_t)request.seed);
	code = script_admit(daemon->policies, &request, &decision, err);
	batch = store_batch_new(daemon->store);
	daemon_put_decision(batch, &decision, instance->id);
	store_batch_commit(batch, NULL, NULL);
	script_decision_fini(&decision);
	arena_fini(&arena);
	return code;
}

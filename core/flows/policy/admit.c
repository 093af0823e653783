/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/policy/admit.h"
#include "base/clock.h"
#include "flows/engine/node_link.h"
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

/* Asks, and keeps the decision. The request is filled but for what all have in common. */
static int ask_policies(struct daemon *daemon, const struct flows_ask *ask,
			struct script_request *request, struct console_terms *ret_terms,
			struct gantry_error *err)
{
	struct arena arena = {0};
	struct script_decision decision;
	struct store_batch *batch;
	int code;

	request->actor = ask->actor;
	request->user = ask->user;
	request->via = ask->via ? ask->via : "api";
	request->now_ms = clock_wall_ms();
	request->usage = fleet_usage(&daemon->fleet, request->project, request->instance);
	spec_unsafe(request->spec, &arena, &request->unsafe);
	request->seed = (uint64_t)daemon_next_decision(daemon);
	script_decision_init(&decision, daemon->policies, request, (int64_t)request->seed);
	code = script_admit(daemon->policies, request, &decision, err);
	if (ret_terms)
		*ret_terms =
			(struct console_terms){.decision = decision.id, .record = decision.record};
	batch = store_batch_new(daemon->store);
	daemon_put_decision(batch, &decision, request->instance ? request->instance->id : "");
	store_batch_commit(batch, NULL, NULL);
	script_decision_fini(&decision);
	arena_fini(&arena);
	return code;
}

int admit(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
	  const char *verb, const struct gantry_exec *exec, struct console_terms *ret_terms,
	  struct gantry_error *err)
{
	struct script_request request = {
		.verb = verb,
		.exec = exec,
		.project = instance->spec.project ? instance->spec.project : "default",
		.spec = &instance->spec,
		.instance = instance,
	};

	return ask_policies(daemon, ask, &request, ret_terms, err);
}

int admit_recording(struct daemon *daemon, const struct flows_ask *ask,
		    const struct script_recording *recording, struct gantry_error *err)
{
	struct instance *instance = fleet_find(&daemon->fleet, recording->instance);
	struct gantry_spec spec;
	struct script_request request = {
		.verb = "recording",
		.project = recording->project,
		.spec = instance ? &instance->spec : &spec,
		.instance = instance,
		.recording = recording,
	};

	spec_init(&spec);
	return ask_policies(daemon, ask, &request, NULL, err);
}

int admit_image(struct daemon *daemon, const struct flows_ask *ask, const char *image,
		const char *verb, struct gantry_error *err)
{
	struct gantry_spec spec;
	struct script_request request = {
		.verb = verb,
		.project = ask->project ? ask->project : "default",
		.spec = &spec,
	};

	spec_init(&spec);
	spec.image = image;
	return ask_policies(daemon, ask, &request, NULL, err);
}

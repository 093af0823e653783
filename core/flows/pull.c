/* SPDX-License-Identifier: Apache-2.0 */
/* pull: an image to a node, asked for by a person. The plugin makes one download of many asks. */
#include "flows/flows.h"
#include "flows/steps.h"
#include "model/spec.h"

static void on_pulled(struct flow *flow, const struct gantry_error *err, const void *result)
{
	node_link_refresh_images(flow->node);
	flow_answer_next(flow, err, result);
}

static void pull(struct flow *flow)
{
	flow->node->runtime->pull(flow->node->handle, flow->image,
				  flow_op(flow, "pull", on_pulled));
}

static void announce(struct flow *flow)
{
	struct json_object *detail = json_object_new_object();

	json_add_string(detail, "image", flow->image);
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), "image.pulled", NULL,
		  flow->node->node.name, detail);
	flow_next(flow);
}

static void set_image(struct flow *flow, const char *image)
{
	flow->image = arena_strdup(&flow->arena, image);
	spec_init(&flow->spec);
	flow->spec.image = flow->image;
}

static size_t resume(struct flow *flow, size_t step)
{
	set_image(flow, json_get_string(flow->operation->request, "image", ""));
	return step;
}

static const struct flow_step steps[] = {
	{.name = "policy", .run = step_policy},
	{.name = "pull", .run = pull},
	{.name = "announce", .run = announce},
	{0},
};

const struct flow_kind flow_pull = {.name = "pull", .steps = steps, .resume = resume};

int flows_pull(struct daemon *daemon, const struct flows_ask *ask, const char *node,
	       const char *image, struct operation **ret_operation, struct gantry_error *err)
{
	struct node_link *link = node_link_find(daemon, node);
	struct flow *flow;
	int code;

	if (!link)
		return gantry_error_set(err, -ENOENT, "there is no node \"%s\"", node);
	if (!link->runtime->pull)
		return gantry_error_set(err, -ENOTSUP, "node %s cannot pull", node);
	if (!image || !*image)
		return gantry_error_field(err, -EINVAL, "image", "is required: the image to pull");
	code = flow_new(daemon, &flow_pull, NULL, ask->actor, ask->idempotency_key, &flow, err);
	if (code < 0)
		return code;
	flow->node = link;
	set_image(flow, image);
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	flow->operation->request = json_object_new_object();
	json_add_string(flow->operation->request, "image", image);
	json_add_string(flow->operation->request, "node", link->node.name);
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull and image_remove: an image comes to a node, or goes, asked for by a person. The plugin makes one
 * download of many asks.
 */
#include "flows/flows.h"
#include "flows/steps.h"
#include "model/spec.h"

static void on_changed(struct flow *flow, const struct gantry_error *err, const void *result)
{
	node_link_refresh_images(flow->node);
	flow_answer_next(flow, err, result);
}

static void pull(struct flow *flow)
{
	flow->node->runtime->pull(flow->node->handle, flow->image,
				  flow_op(flow, "pull", on_changed));
}

/* Killed in between, it may be gone already. */
static void on_removed(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (err && err->code == -ENOENT && flow->resumed)
		err = NULL;
	on_changed(flow, err, result);
}

static void remove_image(struct flow *flow)
{
	flow->node->runtime->image_remove(flow->node->handle, flow->image,
					  flow_op(flow, "remove the image", on_removed));
}

static void announce(struct flow *flow, const char *event)
{
	struct json_object *detail = json_object_new_object();

	json_add_string(detail, "image", flow->image);
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), event, NULL, flow->node->node.name,
		  detail);
	flow_next(flow);
}

static void announce_pulled(struct flow *flow)
{
	announce(flow, "image.pulled");
}

static void announce_removed(struct flow *flow)
{
	announce(flow, "image.removed");
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

static const struct flow_step pull_steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	{.name = "pull", .run = pull},
	{.name = "announce", .run = announce_pulled},
	{0},
};

static const struct flow_step remove_steps[] = {
	{.name = "policy", .run = step_policy, .memory = true},
	{.name = "remove", .run = remove_image, .limit_ms = STEP_REMOVE_MS},
	{.name = "announce", .run = announce_removed},
	{0},
};

const struct flow_kind flow_pull = {.name = "pull", .steps = pull_steps, .resume = resume};
const struct flow_kind flow_image_remove = {
	.name = "image_remove",
	.steps = remove_steps,
	.resume = resume,
};

static int begin(struct daemon *daemon, const struct flow_kind *kind, const struct flows_ask *ask,
		 struct node_link *link, const char *image, struct operation **ret_operation,
		 struct gantry_error *err)
{
	struct flow *flow;
	int code;

	if (!image || !*image)
		return gantry_error_field(err, -EINVAL, "image", "is required: the image to %s",
					  kind == &flow_pull ? "pull" : "remove");
	code = flow_new(daemon, kind, NULL, ask->actor, ask->idempotency_key, &flow, err);
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

int flows_pull(struct daemon *daemon, const struct flows_ask *ask, const char *node,
	       const char *image, struct operation **ret_operation, struct gantry_error *err)
{
	struct node_link *link = node_link_find(daemon, node);

	if (!link)
		return gantry_error_set(err, -ENOENT, "there is no node \"%s\"", node);
	if (!link->runtime->pull)
		return gantry_error_set(err, -ENOTSUP, "node %s cannot pull", node);
	return begin(daemon, &flow_pull, ask, link, image, ret_operation, err);
}

int flows_image_remove(struct daemon *daemon, const struct flows_ask *ask, struct node_link *link,
		       const char *image, struct operation **ret_operation,
		       struct gantry_error *err)
{
	if (!link->runtime->image_remove)
		return gantry_error_set(err, -ENOTSUP, "node %s cannot remove images",
					link->node.name);
	return begin(daemon, &flow_image_remove, ask, link, image, ret_operation, err);
}

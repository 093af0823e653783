/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: the filesystem of an instance, as it is now, becomes an image on its node.
 *
 * The engine holds the processes meanwhile, and lets them go on whatever becomes of us; its events of
 * that are heard as any. The operation's id is the mark by which a commit that is done again after a kill
 * finds what it had made. Nothing is taken back: an image that was made is whole.
 */
#include "flows/flows.h"
#include "flows/steps.h"
#include "base/str.h"

#include <stdlib.h>

enum { POLICY, COMMIT, ANNOUNCE };

static void on_committed(struct flow *flow, const struct gantry_error *err, const void *result)
{
	if (!err) {
		flow->image_id = arena_strdup(&flow->arena, result);
		node_link_refresh_images(flow->node);
	}
	flow_answer_next(flow, err, result);
}

static void commit(struct flow *flow)
{
	const struct gantry_commit asked = {
		.image = flow->image,
		.mark = flow->operation->id,
		.pause = flow->rests && flow->instance->state == INSTANCE_RUNNING,
	};

	flow->node->runtime->commit(flow->node->handle, flow->instance->container_id, &asked,
				    flow_op(flow, "commit", on_committed));
}

static void announce(struct flow *flow)
{
	struct json_object *detail = json_object_new_object();

	json_add_string(detail, "image", flow->image);
	json_add_string(detail, "image_id", flow->image_id);
	json_add_string(detail, "operation", flow->operation->id);
	event_add(&flow->daemon->events, flow_batch(flow), "instance.committed", flow->instance,
		  NULL, detail);
	flow_next(flow);
}

static void take_request(struct flow *flow)
{
	flow->image =
		arena_strdup(&flow->arena, json_get_string(flow->operation->request, "image", ""));
	flow->rests = json_get_bool(flow->operation->request, "pause", true);
}

static size_t resume(struct flow *flow, size_t step)
{
	take_request(flow);
	return step == ANNOUNCE ? COMMIT : step; /* the image's id is told by the engine only */
}

static const struct flow_step steps[] = {
	[POLICY] = {.name = "policy", .run = step_policy, .memory = true},
	[COMMIT] = {.name = "commit", .run = commit},
	[ANNOUNCE] = {.name = "announce", .run = announce},
	{0},
};

const struct flow_kind flow_commit = {
	.name = "commit",
	.steps = steps,
	.failed = step_back_to_before,
	.resume = resume,
};

/* "NAME" or "NAME:TAG", as engines take it. */
static int read_image(const char *text, char **ret_image, struct gantry_error *err)
{
	const char *slash = text ? strrchr(text, '/') : NULL;
	const char *tag = text ? strchr(slash ? slash : text, ':') : NULL;
	size_t length = !text ? 0 : tag ? (size_t)(tag - text) : strlen(text);

	if (!text || !*text)
		return gantry_error_field(err, -EINVAL, "image",
					  "is required: the name of the image to be made");
	if (strchr(text, '@'))
		return gantry_error_field(err, -EINVAL, "image",
					  "a digest cannot be chosen: NAME or NAME:TAG is wanted");
	if (length == 0 || (tag && (!tag[1] || strlen(tag + 1) > 128)) || strlen(text) > 400 ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-/:") < length ||
	    (tag && tag[1 + strspn(tag + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789._-")]))
		return gantry_error_field(err, -EINVAL, "image",
					  "\"%.80s\" is no name of an image: NAME or NAME:TAG, the "
					  "name in lower case",
					  text);
	*ret_image = tag ? xstrdup(text) : xasprintf("%s:latest", text);
	return 0;
}

int flows_commit(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		 const char *image, bool pause, struct operation **ret_operation,
		 struct gantry_error *err)
{
	const struct node_link *link = node_link_find(daemon, instance->node);
	int code = step_check_verb(daemon, instance, VERB_COMMIT, err);
	char *whole = NULL;
	struct flow *flow;

	if (code == 0 && (!link || !link->runtime->commit))
		code = gantry_error_set(err, -ENOTSUP, "node %s makes no images of instances",
					instance->node);
	if (code == 0 && !instance->container_id[0])
		code = gantry_error_set(err, -EBUSY, "%s has no container", instance->spec.name);
	if (code == 0)
		code = read_image(image, &whole, err);
	if (code == 0)
		code = flow_new(daemon, &flow_commit, instance, ask->actor, ask->idempotency_key,
				&flow, err);
	if (code < 0) {
		free(whole);
		return code;
	}
	operation_asked_by(flow->operation, ask->user, ask->request_hash);
	flow->operation->request = json_object_new_object();
	json_add_string(flow->operation->request, "image", whole);
	json_add_bool(flow->operation->request, "pause", pause);
	take_request(flow);
	free(whole);
	*ret_operation = flow->operation;
	flow_begin(flow);
	return 0;
}

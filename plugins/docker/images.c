/* SPDX-License-Identifier: Apache-2.0 */
#include "docker.h"

#include <stdlib.h>

/*
 * Names as people write them: "<none>:<none>" is none; Podman's "docker.io/library/busybox:latest"
 * is told as "busybox:latest" too, so that either finds it.
 */
static struct gantry_strings read_names(struct docker_node *node, struct gantry_op *op,
					struct json_object *array)
{
	static const char *const fronts[] = {"docker.io/library/", "docker.io/"};
	struct gantry_strings list = docker_keep_list(node, op, array), names = {0};

	if (list.count == 0)
		return list;
	names.items = node->host->op_alloc(op, 2 * list.count * sizeof(char *));
	for (size_t i = 0; i < list.count; i++) {
		if (strncmp(list.items[i], "<none>", 6) == 0)
			continue;
		names.items[names.count++] = list.items[i];
		for (size_t j = 0; j < 2; j++) {
			if (strncmp(list.items[i], fronts[j], strlen(fronts[j])) != 0)
				continue;
			names.items[names.count++] = list.items[i] + strlen(fronts[j]);
			break;
		}
	}
	return names;
}

static void listed(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct docker_node *node = call->node;
	struct gantry_images *images;

	if (err) {
		node->host->op_done(call->op, err, NULL);
		return;
	}
	images = node->host->op_alloc(call->op, sizeof(*images));
	images->count =
		json_object_is_type(reply, json_type_array) ? json_object_array_length(reply) : 0;
	images->items =
		node->host->op_alloc(call->op, (images->count + 1) * sizeof(*images->items));
	for (size_t i = 0; i < images->count; i++) {
		struct json_object *entry = json_object_array_get_idx(reply, i);
		struct gantry_image *image = &images->items[i];

		image->image_id = docker_keep(node, call->op, docker_text(entry, "Id"));
		image->tags = read_names(node, call->op, docker_get(entry, "RepoTags"));
		image->digests = read_names(node, call->op, docker_get(entry, "RepoDigests"));
		image->size_bytes = docker_int(entry, "Size", 0);
		image->created_ms = docker_int(entry, "Created", 0) * 1000;
	}
	node->host->op_done(call->op, NULL, images);
}

void docker_images(void *arg, struct gantry_op *op)
{
	docker_call(docker_call_new(arg, op, listed), "GET", NULL, "/images/json");
}

static void looked(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	(void)reply;
	call->node->host->op_done(call->op, err, NULL);
}

void docker_image_present(void *arg, const char *image, struct gantry_op *op)
{
	char *encoded = docker_url(image);

	docker_call(docker_call_new(arg, op, looked), "GET", NULL, "/images/%s/json", encoded);
	free(encoded);
}

static void removed(struct docker_call *call, const struct gantry_error *err,
		    struct json_object *reply)
{
	struct gantry_error mapped;

	(void)reply;
	if (err && call->status == 409) {
		mapped = *err;
		mapped.code = -EBUSY;
		err = &mapped;
	}
	call->node->host->op_done(call->op, err, NULL);
}

void docker_image_remove(void *arg, const char *image, struct gantry_op *op)
{
	char *encoded = docker_url(image);

	docker_call(docker_call_new(arg, op, removed), "DELETE", NULL, "/images/%s", encoded);
	free(encoded);
}

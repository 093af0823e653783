/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and the images on them. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/node_link.h"

#define IMAGES_LIMIT_MS 60000

static struct json_object *print_node(const struct node_link *link)
{
	struct json_object *object = node_print(&link->node);
	struct json_object *starts = json_object_new_object();

	json_add_int(starts, "width", link->window.width);
	json_add_int(starts, "at_work", link->window.at_work);
	json_add_int(starts, "waiting", link->window.in_line);
	json_add_int(starts, "mean_us", link->window.mean_us);
	json_add_int(starts, "failed_in_a_row", link->node.failed_starts);
	json_add_bool(starts, "lowered", link->node.lowered);
	json_add_time(starts, "lowered_until", link->node.lowered_until_ms);
	json_object_object_add(object, "starts", starts);
	return object;
}

void handle_node_list(struct call *call)
{
	struct json_object *object = json_object_new_object(), *list = json_object_new_array();

	for (size_t i = 0; i < call->daemon->fleet.node_count; i++)
		json_object_array_add(list, print_node(call->daemon->links[i]));
	json_object_object_add(object, "nodes", list);
	call_reply(call, 200, object);
}

static struct node_link *named_node(struct call *call)
{
	struct node_link *link = node_link_find(call->daemon, call->parameter);
	struct gantry_error err;

	if (!link) {
		gantry_error_set(&err, -ENOENT, "there is no node \"%.80s\"", call->parameter);
		call_fail(call, &err);
	}
	return link;
}

void handle_node_show(struct call *call)
{
	struct node_link *link = named_node(call);

	if (link)
		call_reply(call, 200, print_node(link));
}

/* --- images: asked of one node, or of all that are up --------------------------------------------- */

struct asked_node {
	struct image_list *list;
	struct node_link *link;
	struct gantry_op *op; /* NULL: answered */
};

struct image_list {
	struct call *call;
	struct asked_node *nodes;
	size_t count, open;
	struct json_object *images, *unreachable;
	bool single;
	struct gantry_error err;
};

static struct json_object *print_image(const struct node_link *link,
				       const struct gantry_image *image)
{
	struct json_object *object = json_object_new_object();
	struct json_object *tags = json_object_new_array(), *digests = json_object_new_array();

	for (size_t i = 0; i < image->tags.count; i++)
		json_object_array_add(tags, json_object_new_string(image->tags.items[i]));
	for (size_t i = 0; i < image->digests.count; i++)
		json_object_array_add(digests, json_object_new_string(image->digests.items[i]));
	json_add_string(object, "node", link->node.name);
	json_add_string(object, "image_id", image->image_id);
	json_object_object_add(object, "tags", tags);
	json_object_object_add(object, "digests", digests);
	json_add_int(object, "size_bytes", image->size_bytes);
	json_add_time(object, "created_at", image->created_ms);
	return object;
}

static void answer_when_complete(struct image_list *list)
{
	struct json_object *object;

	if (list->open > 0)
		return;
	http_request_on_gone(list->call->request, NULL, NULL);
	if (list->single && list->err.code) {
		json_object_put(list->images);
		json_object_put(list->unreachable);
		call_fail(list->call, &list->err);
		return;
	}
	object = json_object_new_object();
	json_object_object_add(object, "images", list->images);
	json_object_object_add(object, "unreachable", list->unreachable);
	call_reply(list->call, 200, object);
}

static void on_images(void *arg, const struct gantry_error *err, const void *result)
{
	struct asked_node *asked = arg;
	struct image_list *list = asked->list;
	const struct gantry_images *images = result;

	asked->op = NULL;
	list->open--;
	if (err) {
		list->err = *err;
		gantry_error_prefix(&list->err, "node %s", asked->link->node.name);
		json_object_array_add(list->unreachable,
				      json_object_new_string(asked->link->node.name));
	}
	for (size_t i = 0; !err && i < images->count; i++)
		json_object_array_add(list->images, print_image(asked->link, &images->items[i]));
	answer_when_complete(list);
}

static void on_gone(void *arg)
{
	struct image_list *list = arg;

	for (size_t i = 0; i < list->count; i++)
		if (list->nodes[i].op)
			op_forget(list->nodes[i].op);
	json_object_put(list->images);
	json_object_put(list->unreachable);
}

static void ask_images(struct call *call, struct node_link *const *links, size_t count, bool single)
{
	struct arena *arena = http_request_arena(call->request);
	struct image_list *list = ARENA_NEW(arena, struct image_list);

	list->call = call;
	list->single = single;
	list->nodes = ARENA_ARRAY(arena, struct asked_node, count + 1);
	list->images = json_object_new_array();
	list->unreachable = json_object_new_array();
	http_request_on_gone(call->request, on_gone, list);
	for (size_t i = 0; i < count; i++) {
		struct asked_node *asked = &list->nodes[list->count];

		if (!links[i]->runtime->images)
			continue;
		*asked = (struct asked_node){.list = list, .link = links[i]};
		asked->op = op_new(&call->daemon->scope, "list images", on_images, asked);
		op_set_deadline(asked->op, IMAGES_LIMIT_MS);
		list->count++;
		list->open++;
		links[i]->runtime->images(links[i]->handle, asked->op);
	}
	answer_when_complete(list);
}

void handle_node_images(struct call *call)
{
	struct node_link *link = named_node(call);

	if (link && !link->runtime->images)
		call_fail_not_offered(call, link, "images");
	else if (link)
		ask_images(call, &link, 1, true);
}

void handle_image_list(struct call *call)
{
	ask_images(call, call->daemon->links, call->daemon->fleet.node_count, false);
}

void handle_image_pull(struct call *call)
{
	static const char *const members[] = {"image", NULL};
	struct operation *operation;
	struct gantry_error err;
	struct flows_ask ask;

	if (call_check_members(call, members) < 0 || call_ask(call, 200, &ask) != 0)
		return;
	if (flows_pull(call->daemon, &ask, call->parameter,
		       json_get_string(call->body, "image", NULL), &operation, &err) < 0)
		call_fail(call, &err);
	else
		call_answer_operation(call, operation, 200);
}

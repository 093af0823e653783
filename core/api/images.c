/* SPDX-License-Identifier: Apache-2.0 */
/* Images: listed, pulled, removed, and as archives that go by piece by piece. */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/engine/image_stream.h"
#include "flows/engine/node_link.h"

#define IMAGES_LIMIT_MS 60000
/* A client may be a pipe into something slow. */
#define ARCHIVE_STALL_MS 600000

/* --- the list: of one node, or of all that are up ------------------------------------------------ */

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
	struct node_link *link = call_node(call, call->parameter);

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

/* --- one image, on one node ----------------------------------------------------------------------- */

/*
 * The node that ?node= names. Without it the one that there is, or, of several, the first that has the
 * image. NULL: answered.
 */
static struct node_link *image_node(struct call *call, const char *image)
{
	const char *name = http_request_query(call->request, "node");
	struct node_link *const *links = call->daemon->links;
	size_t count = call->daemon->fleet.node_count;
	struct gantry_error err;

	if (name)
		return call_node(call, name);
	if (count == 1)
		return links[0];
	for (size_t i = 0; image && i < count; i++)
		if (links[i]->node.state == NODE_UP && node_link_has_image(links[i], image))
			return links[i];
	if (image)
		gantry_error_set(&err, -ENOENT, "no node has the image %.300s", image);
	else
		gantry_error_field(&err, -EINVAL, "node", "is required: there are %zu nodes",
				   count);
	call_fail(call, &err);
	return NULL;
}

void handle_image_remove(struct call *call)
{
	struct node_link *link = image_node(call, call->parameter);
	struct operation *operation;
	struct gantry_error err;
	struct flows_ask ask;

	if (!link || call_ask(call, 200, &ask) != 0)
		return;
	if (flows_image_remove(call->daemon, &ask, link, call->parameter, &operation, &err) < 0)
		call_fail(call, &err);
	else
		call_answer_operation(call, operation, 200);
}

/* --- out: the archive of an image ----------------------------------------------------------------- */

struct saving {
	struct call *call;
	struct image_saver saver;
	bool begun;
};

static void on_save_drained(void *arg)
{
	image_save_resume(&((struct saving *)arg)->saver);
}

static void on_save_gone(void *arg)
{
	image_save_close(&((struct saving *)arg)->saver);
}

static bool begin_archive(struct saving *saving)
{
	struct http_request *request = saving->call->request;

	if (saving->begun)
		return true;
	saving->begun = http_stream_begin(request, 200, "application/x-tar");
	http_stream_on_drain(request, on_save_drained, saving);
	http_stream_set_stall(request, ARCHIVE_STALL_MS);
	return saving->begun;
}

static bool on_archive(struct image_saver *saver, const char *data, size_t length)
{
	struct saving *saving = LIST_ENTRY(saver, struct saving, saver);

	return begin_archive(saving) && http_stream_write(saving->call->request, data, length);
}

static void on_saved(struct image_saver *saver, const struct gantry_error *err)
{
	struct saving *saving = LIST_ENTRY(saver, struct saving, saver);

	http_request_on_gone(saving->call->request, NULL, NULL);
	if (err && !saving->begun)
		call_fail(saving->call, err);
	else if (err)
		http_stream_abort(saving->call->request);
	else
		http_stream_end(saving->call->request);
}

void handle_image_save(struct call *call)
{
	static const struct image_save_events events = {.data = on_archive, .done = on_saved};
	struct node_link *link = image_node(call, call->parameter);
	struct saving *saving;
	const struct flows_ask ask = call_asker(call);
	struct gantry_error err;

	if (!link)
		return;
	if (str_equal(http_request_method(call->request),
		      "HEAD")) { /* the engine is not asked for it */
		http_stream_begin(call->request, 200, "application/x-tar");
		return;
	}
	saving = ARENA_NEW(http_request_arena(call->request), struct saving);
	saving->call = call;
	if (image_save_open(&saving->saver, call->daemon, &ask, link, call->parameter, &events,
			    &err) < 0)
		call_fail(call, &err);
	else
		http_request_on_gone(call->request, on_save_gone, saving);
}

/* --- in ------------------------------------------------------------------------------------------- */

struct loading {
	struct call *call;
	const struct node_link *link;
	struct image_loader loader;
};

static void on_load_more(struct image_loader *loader)
{
	http_request_resume(LIST_ENTRY(loader, struct loading, loader)->call->request);
}

static void on_loaded(struct image_loader *loader, const struct gantry_error *err,
		      const struct gantry_strings *names, bool loaded)
{
	struct loading *loading = LIST_ENTRY(loader, struct loading, loader);
	struct json_object *object, *list;

	http_request_on_gone(loading->call->request, NULL, NULL);
	if (err) {
		call_fail(loading->call, err);
		return;
	}
	object = json_object_new_object();
	list = json_object_new_array();
	for (size_t i = 0; i < names->count; i++)
		json_object_array_add(list, json_object_new_string(names->items[i]));
	json_add_string(object, "node", loading->link->node.name);
	json_object_object_add(object, "images", list);
	json_add_bool(object, "loaded", loaded);
	call_reply(loading->call, 200, object);
}

static bool on_body_data(void *arg, struct http_request *request, const char *data, size_t length)
{
	struct loading *loading = arg;

	(void)request;
	return image_load_write(&loading->loader, data, length);
}

static void on_body_end(void *arg, struct http_request *request)
{
	struct loading *loading = arg;

	(void)request;
	image_load_end(&loading->loader);
}

static void on_load_gone(void *arg)
{
	image_load_leave(&((struct loading *)arg)->loader);
}

void handle_image_load(struct call *call)
{
	static const struct image_load_events events = {.more = on_load_more, .done = on_loaded};
	struct image_load_request asked = {.name = http_request_query(call->request, "name")};
	struct node_link *link = image_node(call, NULL);
	struct loading *loading;
	const struct flows_ask ask = call_asker(call);
	struct gantry_error err;

	if (!link || call_bool(call, "once", &asked.once) < 0)
		return;
	loading = ARENA_NEW(http_request_arena(call->request), struct loading);
	loading->call = call;
	loading->link = link;
	if (image_load_open(&loading->loader, call->daemon, &ask, link, &asked, &events, &err) <
	    0) {
		call_fail(call, &err);
		return;
	}
	http_request_on_gone(call->request, on_load_gone, loading);
	http_request_hold_body(call->request, 0, on_body_data, on_body_end, loading);
}

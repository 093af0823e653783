/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load, however many wait for it:
 *
 *	LOOKING ──it is not there──▶ OPENING ──open──▶ TAKING ──end──▶ GIVEN ──the op ends──▶ all are told
 *	   └── the name is there: all are told             └─ the giver leaves ─▶ OPENING with the next, or gone
 *
 * The first of the loaders is the giver. The op of the engine is its life; what the archive lacks is kept
 * in err, the op is cancelled, and err is what all are told.
 */
#include "flows/engine/image_stream.h"
#include "base/str.h"
#include "flows/engine/node_link.h"
#include "flows/engine/takeover.h"
#include "flows/policy/admit.h"

#include <stdlib.h>

#define LOOK_LIMIT_MS 30000

struct image_loading {
	struct list link; /* in daemon->image_loads */
	struct daemon *daemon;
	struct node_link *node;        /* borrowed */
	char *name;                    /* owned; NULL: as the archive says */
	bool once;                     /* others may join */
	struct list loaders;           /* the first one gives */
	struct gantry_op *op;          /* of the look, then of the load */
	struct gantry_upload *upload;  /* borrowed; NULL until it is open */
	struct image_archive *archive; /* owned; NULL before the load */
	bool behind;                   /* the engine is */
	struct gantry_error err;       /* code 0: none */
};

static void begin_load(struct image_loading *loading);

static struct image_loader *giver(const struct image_loading *loading)
{
	return list_empty(&loading->loaders)
		       ? NULL
		       : LIST_ENTRY(loading->loaders.next, struct image_loader, link);
}

static int check(const struct daemon *daemon, const struct node_link *link, bool offered,
		 const char *what, struct gantry_error *err)
{
	if (daemon->stopping)
		return gantry_error_set(err, -EAGAIN, "gantryd is going down");
	if (!offered)
		return gantry_error_set(err, -ENOTSUP, "node %s cannot %s images", link->node.name,
					what);
	if (link->node.state != NODE_UP)
		return gantry_error_set(err, -EHOSTUNREACH, "node %s: %s", link->node.name,
					link->node.last_error[0] ? link->node.last_error
								 : "it is not up");
	return 0;
}

/* --- the end of a load --------------------------------------------------------------------------- */

static void free_loading(struct image_loading *loading)
{
	list_remove(&loading->link);
	image_archive_free(loading->archive);
	free(loading->name);
	free(loading);
}

static void tell_all(struct image_loading *loading, const struct gantry_error *err,
		     const struct gantry_strings *names, bool loaded)
{
	list_remove(&loading->link); /* who comes now begins anew */
	while (giver(loading)) {
		struct image_loader *loader = giver(loading);

		list_remove(&loader->link);
		loader->loading = NULL;
		loader->events->done(loader, err, names, loaded);
	}
	free_loading(loading);
}

static void announce(struct image_loading *loading, const struct gantry_strings *names)
{
	struct daemon *daemon = loading->daemon;
	struct store_batch *batch = store_batch_new(daemon->store);

	for (size_t i = 0; i < names->count; i++) {
		struct json_object *detail = json_object_new_object();

		json_add_string(detail, "image", names->items[i]);
		event_add(&daemon->events, batch, "image.loaded", NULL, loading->node->node.name,
			  detail);
	}
	takeover_commit(daemon, batch);
	node_link_refresh_images(loading->node);
}

static void on_loaded(void *arg, const struct gantry_error *err, const void *result)
{
	struct image_loading *loading = arg;
	const struct gantry_strings *names = result;
	struct gantry_error failure;

	loading->op = NULL;
	loading->upload = NULL;
	if (!err) {
		announce(loading, names);
		tell_all(loading, NULL, names, true);
		return;
	}
	failure = loading->err.code ? loading->err : *err;
	gantry_error_prefix(&failure, "%s", loading->node->node.name);
	tell_all(loading, &failure, NULL, false);
}

/* --- bytes --------------------------------------------------------------------------------------- */

static void to_engine(void *arg, const char *data, size_t length)
{
	struct image_loading *loading = arg;

	if (!loading->node->runtime->upload_write(loading->upload, data, length))
		loading->behind = true;
}

static void on_open(void *arg, struct gantry_upload *upload)
{
	struct image_loading *loading = arg;

	loading->upload = upload;
	giver(loading)->events->more(giver(loading));
}

static void on_drain(void *arg)
{
	struct image_loading *loading = arg;

	if (!loading->behind)
		return;
	loading->behind = false;
	if (giver(loading))
		giver(loading)->events->more(giver(loading));
}

static void begin_load(struct image_loading *loading)
{
	const struct gantry_runtime *runtime = loading->node->runtime;
	const struct gantry_upload_sink sink = {.arg = loading, .open = on_open, .drain = on_drain};
	const struct image_archive_settings settings = {
		.name = loading->name,
		.machine = loading->node->node.facts.architecture,
		.out = to_engine,
		.arg = loading,
	};

	image_archive_free(loading->archive);
	loading->archive = image_archive_new(&settings);
	loading->behind = false;
	loading->op = op_new(&loading->daemon->scope, "load an image", on_loaded, loading);
	runtime->image_load(loading->node->handle, &sink, loading->op);
}

static void refuse(struct image_loading *loading)
{
	loading->upload = NULL;
	op_cancel(loading->op);
}

bool image_load_write(struct image_loader *loader, const char *data, size_t length)
{
	struct image_loading *loading = loader->loading;

	if (!loading || !loading->upload || giver(loading) != loader)
		return false;
	if (image_archive_feed(loading->archive, data, length, &loading->err) < 0) {
		refuse(loading);
		return false;
	}
	return !loading->behind;
}

void image_load_end(struct image_loader *loader)
{
	struct image_loading *loading = loader->loading;

	if (!loading || !loading->upload || giver(loading) != loader)
		return;
	if (image_archive_end(loading->archive, &loading->err) < 0)
		refuse(loading);
	else
		loading->node->runtime->upload_end(loading->upload);
}

/* --- its beginning ------------------------------------------------------------------------------- */

static void on_looked(void *arg, const struct gantry_error *err, const void *result)
{
	struct image_loading *loading = arg;
	const char *name = loading->name;
	const struct gantry_strings names = {&name, 1};

	(void)result;
	loading->op = NULL;
	if (!err)
		tell_all(loading, NULL, &names, false);
	else if (err->code == -ENOENT)
		begin_load(loading);
	else
		on_loaded(loading, err, NULL);
}

static struct image_loading *find(const struct daemon *daemon, const struct node_link *link,
				  const char *name)
{
	LIST_FOREACH (node, &daemon->image_loads) {
		struct image_loading *loading = LIST_ENTRY(node, struct image_loading, link);

		if (loading->once && loading->node == link && str_equal(loading->name, name))
			return loading;
	}
	return NULL;
}

static struct image_loading *loading_new(struct daemon *daemon, struct node_link *link,
					 const struct image_load_request *request)
{
	struct image_loading *loading = xcalloc(1, sizeof(*loading));

	loading->daemon = daemon;
	loading->node = link;
	loading->name = xstrdup(request->name);
	loading->once = request->once;
	list_init(&loading->loaders);
	list_append(&daemon->image_loads, &loading->link);
	return loading;
}

int image_load_open(struct image_loader *loader, struct daemon *daemon, const struct flows_ask *ask,
		    struct node_link *link, const struct image_load_request *request,
		    const struct image_load_events *events, struct gantry_error *err)
{
	struct image_loading *loading;
	int code = check(daemon, link, link->runtime->image_load != NULL, "load", err);

	if (code == 0 && request->once && !request->name)
		code = gantry_error_field(err, -EINVAL, "name", "is required with once");
	if (code == 0)
		code = admit_image(daemon, ask, request->name, "image_load", err);
	if (code < 0)
		return code;
	*loader = (struct image_loader){.events = events};
	loading = request->once ? find(daemon, link, request->name) : NULL;
	if (loading) {
		loader->loading = loading;
		list_append(&loading->loaders, &loader->link);
		return 0;
	}
	loader->loading = loading = loading_new(daemon, link, request);
	list_append(&loading->loaders, &loader->link);
	if (request->once && link->runtime->image_present) {
		loading->op = op_new(&daemon->scope, "look for an image", on_looked, loading);
		op_set_deadline(loading->op, LOOK_LIMIT_MS);
		link->runtime->image_present(link->handle, request->name, loading->op);
	} else {
		begin_load(loading);
	}
	return 0;
}

void image_load_leave(struct image_loader *loader)
{
	struct image_loading *loading = loader->loading;
	bool gave = giver(loading) == loader;

	list_remove(&loader->link);
	loader->loading = NULL;
	if (!gave || (giver(loading) && !loading->archive))
		return; /* another gives, or nobody was asked to yet */
	op_forget(loading->op);
	loading->upload = NULL;
	loading->err = (struct gantry_error){0};
	if (giver(loading))
		begin_load(loading);
	else
		free_loading(loading);
}

/* --- saving -------------------------------------------------------------------------------------- */

static void to_client(void *arg, const char *data, size_t length)
{
	struct image_saver *saver = arg;

	if (!saver->events->data(saver, data, length))
		op_pause(saver->op, true);
}

static int on_piece(void *arg, const char *data, size_t length)
{
	struct image_saver *saver = arg;

	return image_archive_feed(saver->archive, data, length, &saver->err);
}

static void on_saved(void *arg, const struct gantry_error *err, const void *result)
{
	struct image_saver *saver = arg;
	struct image_archive *archive = saver->archive;

	(void)result;
	if (!err && image_archive_end(archive, &saver->err) < 0)
		err = &saver->err;
	else if (err && saver->err.code)
		err = &saver->err;
	saver->op = NULL;
	saver->archive = NULL;
	saver->events->done(saver, err);
	image_archive_free(archive);
}

int image_save_open(struct image_saver *saver, struct daemon *daemon, const struct flows_ask *ask,
		    struct node_link *link, const char *image,
		    const struct image_save_events *events, struct gantry_error *err)
{
	const struct image_archive_settings settings = {.out = to_client, .arg = saver};
	int code = check(daemon, link, link->runtime->image_save != NULL, "save", err);

	if (code == 0)
		code = admit_image(daemon, ask, image, "image_save", err);
	if (code < 0)
		return code;
	*saver = (struct image_saver){.events = events};
	saver->archive = image_archive_new(&settings);
	saver->op = op_new(&daemon->scope, "save an image", on_saved, saver);
	link->runtime->image_save(link->handle, image, on_piece, saver, saver->op);
	return 0;
}

void image_save_resume(struct image_saver *saver)
{
	if (saver->op)
		op_pause(saver->op, false);
}

void image_save_close(struct image_saver *saver)
{
	if (saver->op)
		op_forget(saver->op);
	image_archive_free(saver->archive);
	saver->op = NULL;
	saver->archive = NULL;
}

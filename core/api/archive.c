/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of an instance, as tars: out, in, and what stands at a path.
 *
 *	GET    admit ─▶ the engine's tar begins: headers ─▶ pieces ─▶ end; cut where the engine fails amid it
 *	PUT    admit ─▶ pieces wait until the engine takes them ─▶ end ─▶ 204
 *
 * Nothing is kept but what is on its way: where the client is behind the engine is paused, where the engine
 * is behind the client is.
 */
#include "api/call.h"
#include "api/handlers.h"
#include "base/str.h"
#include "flows/engine/node_link.h"
#include "flows/policy/admit.h"
#include "flows/verbs/borrow.h"

#include <sys/stat.h>

#define LOOK_LIMIT_MS 30000
/* A tar may come from, or go to, something that a person sits at. */
#define STALL_MS 3600000

/* One GET, HEAD or PUT; in the request's arena. */
struct archive {
	struct call *call;
	struct gantry_op *op;
	const struct gantry_runtime *runtime; /* borrowed */

	bool begun; /* GET: the headers are out */

	/* PUT */
	struct gantry_upload *upload; /* borrowed; NULL until the engine takes something */
	struct str early;             /* what came before */
	bool ended;                   /* the tar is whole */
};

/* --- what all begin with ------------------------------------------------------------------------- */

static const char *read_path(struct call *call)
{
	const char *path = http_request_query(call->request, "path");

	if (path && path[0] == '/')
		return path;
	call_bad_parameter(call, "path", path ? path : "",
			   "a path from the root on, as /etc/hosts");
	return NULL;
}

static bool may(struct call *call, struct instance *instance, const char *verb)
{
	const struct flows_ask ask = call_asker(call);
	struct gantry_error err;

	if (borrow_check(call->daemon, instance, &err) == 0 &&
	    admit(call->daemon, &ask, instance, verb, NULL, NULL, &err) == 0)
		return true;
	call_fail(call, &err);
	return false;
}

static void on_gone(void *arg)
{
	struct archive *archive = arg;

	op_forget(archive->op);
	str_fini(&archive->early);
}

static struct archive *begin(struct call *call, const struct node_link *link, const char *name,
			     op_done_fn done)
{
	struct archive *archive = ARENA_NEW(http_request_arena(call->request), struct archive);

	archive->call = call;
	archive->runtime = link->runtime;
	archive->op = op_new(&call->daemon->scope, name, done, archive);
	http_request_on_gone(call->request, on_gone, archive);
	return archive;
}

/* --- out ----------------------------------------------------------------------------------------- */

static const char *type_text(uint32_t mode)
{
	return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "folder" : S_ISLNK(mode) ? "link" : "other";
}

static void add_path_header(struct call *call, const struct gantry_path *path)
{
	struct json_object *object = json_object_new_object();

	json_add_string(object, "name", path->name);
	json_add_string(object, "type", type_text(path->mode));
	json_add_int(object, "mode", path->mode & 07777);
	json_add_int(object, "size_bytes", path->size_bytes);
	json_add_time(object, "modified_at", path->modified_ms);
	json_add_string(object, "link_target", path->link_target);
	http_reply_header(call->request, "X-Gantry-Path",
			  json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

static void on_drained(void *arg)
{
	op_pause(((struct archive *)arg)->op, false);
}

static void on_path(void *arg, const struct gantry_path *path)
{
	struct archive *archive = arg;
	struct http_request *request = archive->call->request;

	add_path_header(archive->call, path);
	archive->begun = http_stream_begin(request, 200, "application/x-tar");
	http_stream_on_drain(request, on_drained, archive);
	http_stream_set_stall(request, STALL_MS);
}

static int on_data(void *arg, const char *data, size_t length)
{
	struct archive *archive = arg;

	if (!archive->begun)
		return -ECANCELED;
	if (!http_stream_write(archive->call->request, data, length))
		op_pause(archive->op, true);
	return 0;
}

static void on_got(void *arg, const struct gantry_error *err, const void *result)
{
	struct archive *archive = arg;
	struct http_request *request = archive->call->request;

	(void)result;
	http_request_on_gone(request, NULL, NULL);
	if (err)
		call_fail_stream(archive->call, archive->begun, err);
	else
		http_stream_end(request);
}

static void on_looked(void *arg, const struct gantry_error *err, const void *result)
{
	struct archive *archive = arg;
	struct http_request *request = archive->call->request;

	http_request_on_gone(request, NULL, NULL);
	if (err) {
		call_fail(archive->call, err);
		return;
	}
	add_path_header(archive->call, result);
	http_stream_begin(request, 200, "application/x-tar"); /* a HEAD: this answers it */
}

void handle_archive_get(struct call *call)
{
	bool look = str_equal(http_request_method(call->request), "HEAD");
	const char *path = read_path(call);
	struct gantry_archive_sink sink = {.path = on_path, .data = on_data};
	struct node_link *link;
	struct instance *instance = path ? call_container(call, &link) : NULL;
	struct archive *archive;

	if (!instance)
		return;
	if (!link->runtime->archive_get) {
		call_fail_not_offered(call, link, "files");
	} else if (look) {
		archive = begin(call, link, "look at a path", on_looked);
		op_set_deadline(archive->op, LOOK_LIMIT_MS);
		link->runtime->path_look(link->handle, instance->container_id, path, archive->op);
	} else if (may(call, instance, "copy_out")) {
		sink.arg = archive = begin(call, link, "copy out", on_got);
		link->runtime->archive_get(link->handle, instance->container_id, path, &sink,
					   archive->op);
	}
}

/* --- in ------------------------------------------------------------------------------------------ */

static void on_open(void *arg, struct gantry_upload *upload)
{
	struct archive *archive = arg;
	bool room = true;

	archive->upload = upload;
	if (archive->early.length)
		room = archive->runtime->upload_write(upload, archive->early.data,
						      archive->early.length);
	str_fini(&archive->early);
	if (archive->ended)
		archive->runtime->upload_end(upload);
	else if (room)
		http_request_resume(archive->call->request);
}

static void on_drain(void *arg)
{
	http_request_resume(((struct archive *)arg)->call->request);
}

static bool on_body(void *arg, struct http_request *request, const char *data, size_t length)
{
	struct archive *archive = arg;

	(void)request;
	if (archive->upload)
		return archive->runtime->upload_write(archive->upload, data, length);
	str_add_bytes(&archive->early, data, length);
	return false;
}

static void on_body_end(void *arg, struct http_request *request)
{
	struct archive *archive = arg;

	(void)request;
	archive->ended = true;
	if (archive->upload)
		archive->runtime->upload_end(archive->upload);
}

static void on_put(void *arg, const struct gantry_error *err, const void *result)
{
	struct archive *archive = arg;

	(void)result;
	http_request_on_gone(archive->call->request, NULL, NULL);
	str_fini(&archive->early);
	if (err)
		call_fail(archive->call, err);
	else
		http_reply(archive->call->request, 204, NULL, NULL, 0);
}

void handle_archive_put(struct call *call)
{
	const char *path = read_path(call);
	struct gantry_upload_sink sink = {.open = on_open, .drain = on_drain};
	struct node_link *link;
	struct instance *instance = path ? call_container(call, &link) : NULL;
	struct archive *archive;

	if (!instance)
		return;
	if (!link->runtime->archive_put) {
		call_fail_not_offered(call, link, "files");
		return;
	}
	if (!may(call, instance, "copy_in"))
		return;
	sink.arg = archive = begin(call, link, "copy in", on_put);
	http_request_set_stall(call->request, STALL_MS);
	http_request_stream_body(call->request, 0, on_body, on_body_end, archive);
	link->runtime->archive_put(link->handle, instance->container_id, path, &sink, archive->op);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a container, in and out as tars: the engine packs and unpacks, in a root of the container's.
 *
 *	look   HEAD …/archive: a header tells what is there
 *	get    GET …/archive: the same header, then the tar as it comes
 *	put    look, so that a path which is no folder is told before anything is sent; then PUT …/archive
 *
 * A put that the engine refuses amid the tar is answered at once; what it had unpacked stays.
 */
#include "docker.h"

#include <gantry/text.h>

#include <stdlib.h>
#include <sys/stat.h>

#define STAT_HEADER "X-Docker-Container-Path-Stat"

/* Of Go's os.FileMode, which is what the engine tells */
#define GO_DIRECTORY (1u << 31)
#define GO_LINK      (1u << 27)
#define GO_DEVICE    (1u << 26)
#define GO_PIPE      (1u << 25)
#define GO_SOCKET    (1u << 24)
#define GO_SETUID    (1u << 23)
#define GO_SETGID    (1u << 22)
#define GO_CHARACTER (1u << 21)
#define GO_STICKY    (1u << 20)

/* --- what stands there --------------------------------------------------------------------------- */

static uint32_t read_mode(int64_t go)
{
	uint32_t mode = (uint32_t)go & 0777;

	mode |= go & GO_SETUID ? S_ISUID : 0;
	mode |= go & GO_SETGID ? S_ISGID : 0;
	mode |= go & GO_STICKY ? S_ISVTX : 0;
	return mode | (go & GO_DIRECTORY                 ? S_IFDIR
		       : go & GO_LINK                    ? S_IFLNK
		       : go & GO_PIPE                    ? S_IFIFO
		       : go & GO_SOCKET                  ? S_IFSOCK
		       : go & (GO_DEVICE | GO_CHARACTER) ? (go & GO_CHARACTER ? S_IFCHR : S_IFBLK)
							 : S_IFREG);
}

/* Base64 as a text of its own; the caller frees. */
static char *decode(const char *text)
{
	char *bytes = malloc(strlen(text) + 1);

	if (!bytes)
		abort();
	bytes[gantry_base64_read(text, bytes)] = '\0';
	return bytes;
}

static int read_found(struct gantry_upload *archive)
{
	struct docker_node *node = archive->call.node;
	struct gantry_op *op = archive->call.op;
	const char *header = node->host->http_header(archive->call.http, STAT_HEADER);
	char *text = header ? decode(header) : NULL;
	struct json_object *object = text ? json_tokener_parse(text) : NULL;
	struct gantry_path *found;

	free(text);
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		archive->unread = true;
		return -EPROTO;
	}
	found = node->host->op_alloc(op, sizeof(*found));
	found->name = docker_keep(node, op, docker_text(object, "name"));
	found->mode = read_mode(docker_int(object, "mode", 0));
	if (S_ISLNK(found->mode))
		found->link_target = docker_keep(node, op, docker_text(object, "linkTarget"));
	found->size_bytes = docker_int(object, "size", 0);
	found->modified_ms = docker_time_ns(docker_text(object, "mtime")) / 1000000;
	archive->found = found;
	json_object_put(object);
	return 0;
}

static void ask(struct gantry_upload *archive, const char *method)
{
	struct docker_call *call = &archive->call;
	char *url;

	if (!GANTRY_HOST_HAS(call->node->host, http_header)) {
		docker_fail(call->node, call->op, -ENOTSUP, "this gantryd is too old for files");
		return;
	}
	url = docker_url(archive->path);
	docker_call(call, method, NULL, "/containers/%s/archive?noOverwriteDirNonDir=1&path=%s",
		    archive->container, url);
	free(url);
}

/* The answer to a HEAD has no words. */
static void fail(struct gantry_upload *archive, const struct gantry_error *err)
{
	struct docker_call *call = &archive->call;

	if (err->code == -ENOENT && !archive->call.on_open)
		docker_fail(call->node, call->op, -ENOENT, "there is no %s in the container",
			    archive->path);
	else if (archive->unread)
		docker_fail(call->node, call->op, -EIO, "the engine does not tell what %s is",
			    archive->path);
	else
		call->node->host->op_done(call->op, err, NULL);
}

static struct gantry_upload *archive_new(struct docker_node *node, const char *container,
					 const char *path, struct gantry_op *op)
{
	struct gantry_upload *archive = node->host->op_alloc(op, sizeof(*archive));

	archive->call.node = node;
	archive->call.op = op;
	archive->container = docker_keep(node, op, container);
	archive->path = docker_keep(node, op, path);
	return archive;
}

static int on_look(struct docker_call *call, const char *data, size_t length)
{
	struct gantry_upload *archive = (struct gantry_upload *)call;

	(void)data, (void)length;
	return archive->found ? 0 : read_found(archive);
}

static void looked(struct docker_call *call, const struct gantry_error *err,
		   struct json_object *reply)
{
	struct gantry_upload *archive = (struct gantry_upload *)call;

	(void)reply;
	if (err)
		fail(archive, err);
	else
		call->node->host->op_done(call->op, NULL, archive->found);
}

void docker_path_look(void *node, const char *container, const char *path, struct gantry_op *op)
{
	struct gantry_upload *archive = archive_new(node, container, path, op);

	archive->call.on_data = on_look;
	archive->call.done = looked;
	ask(archive, "HEAD");
}

/* --- out ----------------------------------------------------------------------------------------- */

static int on_tar(struct docker_call *call, const char *data, size_t length)
{
	struct gantry_upload *archive = (struct gantry_upload *)call;
	const struct gantry_archive_sink *sink = &archive->sink.archive;
	int code;

	if (archive->found)
		return length ? sink->data(sink->arg, data, length) : 0;
	code = read_found(archive);
	if (code == 0)
		sink->path(sink->arg, archive->found);
	return code;
}

static void got(struct docker_call *call, const struct gantry_error *err, struct json_object *reply)
{
	struct gantry_upload *archive = (struct gantry_upload *)call;

	(void)reply;
	if (err)
		fail(archive, err);
	else
		call->node->host->op_done(call->op, NULL, NULL);
}

void docker_archive_get(void *node, const char *container, const char *path,
			const struct gantry_archive_sink *sink, struct gantry_op *op)
{
	struct gantry_upload *archive = archive_new(node, container, path, op);

	archive->sink.archive = *sink;
	archive->call.on_data = on_tar;
	archive->call.done = got;
	ask(archive, "GET");
}

/* --- in ------------------------------------------------------------------------------------------ */

static void on_open(struct docker_call *call)
{
	struct gantry_upload *archive = (struct gantry_upload *)call;

	archive->sink.upload.open(archive->sink.upload.arg, archive);
}

static void on_drain(struct docker_call *call)
{
	struct gantry_upload *archive = (struct gantry_upload *)call;

	archive->sink.upload.drain(archive->sink.upload.arg);
}

static void put(struct docker_call *call, const struct gantry_error *err, struct json_object *reply)
{
	(void)reply;
	call->node->host->op_done(call->op, err, NULL);
}

static void looked_before_put(struct docker_call *call, const struct gantry_error *err,
			      struct json_object *reply)
{
	struct gantry_upload *archive = (struct gantry_upload *)call;

	(void)reply;
	if (err) {
		fail(archive, err);
		return;
	}
	if (!S_ISDIR(archive->found->mode) && !S_ISLNK(archive->found->mode)) {
		docker_fail(call->node, call->op, -EINVAL, "%s is no folder", archive->path);
		return;
	}
	call->on_data = NULL;
	call->on_open = on_open;
	call->on_drain = on_drain;
	call->done = put;
	call->fresh =
		true; /* a connection that broke meanwhile cannot be told from one amid the tar */
	ask(archive, "PUT");
}

void docker_archive_put(void *node, const char *container, const char *path,
			const struct gantry_upload_sink *sink, struct gantry_op *op)
{
	struct gantry_upload *archive = archive_new(node, container, path, op);

	archive->sink.upload = *sink;
	archive->call.on_data = on_look;
	archive->call.done = looked_before_put;
	ask(archive, "HEAD");
}

bool docker_upload_write(struct gantry_upload *archive, const void *data, size_t length)
{
	return docker_call_write(&archive->call, data, length);
}

void docker_upload_end(struct gantry_upload *archive)
{
	docker_call_write_end(&archive->call);
}

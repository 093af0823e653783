/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that go out and come in piece by piece, and the files of a container as tars by them.
 *
 *	out   the whole is made ─▶ a piece a turn of the loop, none while the op is paused ─▶ done
 *	in    open ─▶ what comes is kept, within what is free of host_disk ─▶ end ─▶ take ─▶ done
 */
#include "sim.h"

#include <stdlib.h>
#include <sys/stat.h>

#define PIECE_BYTES ((size_t)64 * 1024)

/* --- out --- */

static void on_piece(void *arg)
{
	struct sim_sending *sending = arg;
	const struct gantry_host *host = sending->call.node->host;
	size_t left = sending->bytes.length - sending->at;
	size_t length = left < PIECE_BYTES ? left : PIECE_BYTES;
	const char *data = sending->bytes.data + sending->at;

	sending->timer = NULL;
	sending->at += length;
	if (length && sending->fn(sending->arg, data, length) < 0) {
		if (!sending->call.ended)
			sim_call_fail(&sending->call, -ECANCELED, "ended by the reader");
	} else if (!sending->call.ended && length == left) {
		sim_call_done(&sending->call, NULL);
	} else if (!sending->call.ended && !sending->paused && !sending->timer) {
		sending->timer = host->timer_start(host->core, 0, on_piece, sending);
	}
}

static void on_pause(void *arg, bool paused)
{
	struct sim_sending *sending = arg;
	const struct gantry_host *host = sending->call.node->host;

	sending->paused = paused;
	if (paused && sending->timer) {
		host->timer_stop(sending->timer);
		sending->timer = NULL;
	} else if (!paused && !sending->timer) {
		sending->timer = host->timer_start(host->core, 0, on_piece, sending);
	}
}

static void sending_leave(struct sim_call *call)
{
	struct sim_sending *sending = (struct sim_sending *)call;
	const struct gantry_host *host = call->node->host;

	if (sending->timer)
		host->timer_stop(sending->timer);
	host->op_on_pause(call->op, NULL, NULL);
	sim_bytes_fini(&sending->bytes);
}

void sim_sending_init(struct sim_sending *sending, gantry_archive_fn fn, void *arg)
{
	sending->fn = fn;
	sending->arg = arg;
	sending->call.by_timer = true;
	sending->call.leave = sending_leave;
}

void sim_sending_begin(struct sim_sending *sending)
{
	const struct gantry_host *host = sending->call.node->host;

	sim_call_pend(&sending->call);
	sending->timer = host->timer_start(host->core, 0, on_piece, sending);
	host->op_on_pause(sending->call.op, on_pause, sending);
}

/* --- in --- */

static void upload_leave(struct sim_call *call)
{
	struct gantry_upload *upload = (struct gantry_upload *)call;

	call->node->disk_bytes -= upload->counted;
	sim_bytes_fini(&upload->bytes);
}

struct gantry_upload *sim_upload_new(struct sim_node *node, struct gantry_op *op,
				     enum sim_verb verb, void (*act)(struct sim_call *call),
				     const char *container, const char *text,
				     const struct gantry_upload_sink *sink)
{
	struct gantry_upload *upload =
		sim_call_new(node, op, verb, sizeof(*upload), act, container, text);

	upload->sink = *sink;
	upload->call.by_timer = true;
	upload->call.leave = upload_leave;
	return upload;
}

void sim_upload_open(struct gantry_upload *upload, void (*take)(struct gantry_upload *upload))
{
	upload->take = take;
	sim_call_pend(&upload->call);
	upload->sink.open(upload->sink.arg, upload);
}

bool sim_upload_write(struct gantry_upload *upload, const void *data, size_t length)
{
	struct gantry_error err;

	if (upload->call.ended)
		return false;
	if (sim_disk_check(upload->call.node, (int64_t)length, &err) < 0) {
		sim_call_fail(&upload->call, err.code, "%s", err.text);
		return false;
	}
	upload->counted += (int64_t)length;
	upload->call.node->disk_bytes += (int64_t)length;
	sim_bytes_add(&upload->bytes, data, length);
	return true;
}

void sim_upload_end(struct gantry_upload *upload)
{
	if (upload->call.ended)
		return;
	upload->call.node->disk_bytes -= upload->counted; /* its files have their own */
	upload->counted = 0;
	upload->take(upload);
}

/* --- files of a container --- */

static struct sim_tree *tree_of(const struct sim_container *container)
{
	return sim_tree_or_base(container->node, container->tree);
}

/* What is at the path of the call; NULL: the call was failed. */
static const struct sim_file *look(struct sim_call *call, struct sim_container *container,
				   bool follow)
{
	const struct sim_file *file = sim_tree_find(tree_of(container), call->text, follow);

	if (!file)
		sim_call_fail(call, -ENOENT, "there is no %.300s in the container", call->text);
	return file;
}

/* Its name is that by which it was asked for, without slashes and "." at the end. */
static struct gantry_path *describe(struct sim_call *call, const struct sim_file *file)
{
	struct gantry_path *path = sim_call_alloc(call, sizeof(*path));
	char *text = (char *)sim_call_keep(call, call->text);
	size_t length = strlen(text);

	while (length > 1 &&
	       (text[length - 1] == '/' || (text[length - 1] == '.' && text[length - 2] == '/')))
		text[--length] = '\0';
	path->name = strrchr(text, '/') && strrchr(text, '/')[1] ? strrchr(text, '/') + 1 : "/";
	path->link_target = sim_call_keep(call, file->target);
	path->mode = file->mode;
	path->size_bytes = (int64_t)file->length;
	path->modified_ms = file->modified_s * 1000;
	return path;
}

static void look_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_container(call);
	const struct sim_file *file = container ? look(call, container, false) : NULL;

	if (file)
		sim_call_done(call, describe(call, file));
}

void sim_path_look(void *node, const char *container, const char *path, struct gantry_op *op)
{
	sim_call_begin(sim_call_new(node, op, SIM_PATH_LOOK, 0, look_act, container, path));
}

struct get_call {
	struct sim_sending sending;
	struct gantry_archive_sink sink;
};

static void get_act(struct sim_call *call)
{
	struct get_call *get = (struct get_call *)call;
	struct sim_container *container = sim_call_container(call);
	const struct sim_file *file = container ? look(call, container, false) : NULL;
	const struct gantry_path *path;

	if (!file)
		return;
	path = describe(call, file);
	sim_tree_pack(tree_of(container), file->path, path->name, &get->sending.bytes);
	sim_sending_begin(&get->sending);
	get->sink.path(get->sink.arg, path);
}

void sim_archive_get(void *node, const char *container, const char *path,
		     const struct gantry_archive_sink *sink, struct gantry_op *op)
{
	struct get_call *get =
		sim_call_new(node, op, SIM_ARCHIVE_GET, sizeof(*get), get_act, container, path);

	get->sink = *sink;
	sim_sending_init(&get->sending, sink->data, sink->arg);
	sim_call_begin(&get->sending.call);
}

static void put_take(struct gantry_upload *upload)
{
	struct sim_call *call = &upload->call;
	struct sim_container *container = sim_call_container(call);
	const struct sim_file *folder = container ? look(call, container, true) : NULL;
	struct sim_tree *tree = container ? container->tree : NULL;
	struct gantry_error err;
	char *path;
	int code = 0;

	if (!folder)
		return;
	path = sim_strdup(folder->path);
	if (!tree || tree->references > 1) {
		code = sim_tree_copy(call->node, tree_of(container), &tree, &err);
		if (code == 0) {
			sim_tree_unref(container->tree);
			container->tree = tree;
		}
	}
	if (code == 0)
		code = sim_tree_unpack(tree, path, &upload->bytes, false, &err);
	free(path);
	sim_state_files(container);
	if (code < 0)
		sim_call_fail(call, code, "%s", err.text);
	else
		sim_call_done(call, NULL);
}

static void put_act(struct sim_call *call)
{
	struct sim_container *container = sim_call_container(call);
	const struct sim_file *folder = container ? look(call, container, true) : NULL;

	if (!folder)
		return;
	if (!S_ISDIR(folder->mode)) {
		sim_call_fail(call, -EINVAL, "%.300s is no folder", call->text);
		return;
	}
	sim_call_pin(call, container);
	sim_upload_open((struct gantry_upload *)call, put_take);
}

void sim_archive_put(void *node, const char *container, const char *path,
		     const struct gantry_upload_sink *sink, struct gantry_op *op)
{
	sim_call_begin(
		&sim_upload_new(node, op, SIM_ARCHIVE_PUT, put_act, container, path, sink)->call);
}

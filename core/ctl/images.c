/* SPDX-License-Identifier: Apache-2.0 */
/* Images: images, pull, commit, save, load, rmi. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/operation.h"
#include "ctl/output.h"
#include "ctl/transfer.h"

int images_command(struct ctl *ctl)
{
	static const char *const titles[] = {"IMAGE", "ID", "NODE", "SIZE", "CREATED"};
	const char *node = args_text(ctl->args, "node", NULL);
	struct json_object *list, *unreachable;
	struct client_reply reply;
	struct str path = STR_INIT;
	struct table table;
	int status;

	if (node) {
		str_add(&path, "/v1/nodes/");
		str_add_url(&path, node);
		str_add(&path, "/images");
	} else {
		str_add(&path, "/v1/images");
	}
	status = call(ctl, node, "GET", str_text(&path), NULL, 0, &reply, NULL);
	str_fini(&path);
	if (status != CTL_OK || output_if_json(ctl, &reply))
		return status;
	list = json_get(reply.json, "images");
	table_init(&table, 5, titles);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *image = json_object_array_get_idx(list, i);
		struct json_object *tags = json_get(image, "tags");
		const char *id = json_get_string(image, "image_id", "");
		size_t count = tags ? json_object_array_length(tags) : 0;
		char size[24], age[16];

		if (str_starts_with(id, "sha256:"))
			id += strlen("sha256:");
		output_bytes(image, "size_bytes", size, sizeof(size));
		output_age(json_get_string(image, "created_at", NULL), age, sizeof(age));
		for (size_t j = 0; j < (count ? count : 1); j++) {
			table_add(&table,
				  count ? json_object_get_string(json_object_array_get_idx(tags, j))
					: "<none>");
			table_addf(&table, "%.12s", id);
			table_add(&table, json_get_string(image, "node", node));
			table_add(&table, size);
			table_add(&table, age);
		}
	}
	table_print(&table);
	unreachable = json_get(reply.json, "unreachable");
	for (size_t i = 0; unreachable && i < json_object_array_length(unreachable); i++) {
		output_error("node %s cannot be asked",
			     json_object_get_string(json_object_array_get_idx(unreachable, i)));
		status = CTL_FAILED;
	}
	client_reply_fini(&reply);
	return status;
}

static int pull_one(struct ctl *ctl, const char *node, const char *image)
{
	struct json_object *body = json_object_new_object(), *operation = NULL;
	struct str path = STR_INIT;
	int status;

	json_add_string(body, "image", image);
	str_add(&path, "/v1/nodes/");
	str_add_url(&path, node);
	str_add(&path, "/images");
	status = operation_run(ctl, image, "POST", str_text(&path), body, &operation, NULL);
	if (status == CTL_OK && ctl->json)
		output_json(operation);
	else if (status == CTL_OK)
		output_line("%s: %s", node, image);
	fflush(stdout);
	json_object_put(operation);
	json_object_put(body);
	str_fini(&path);
	return status;
}

int pull_command(struct ctl *ctl)
{
	const char *node = args_text(ctl->args, "node", NULL);
	struct client_reply reply = {0};
	struct json_object *list = NULL;
	int status = CTL_OK;

	if (!node) {
		status = call(ctl, NULL, "GET", "/v1/nodes", NULL, 0, &reply, NULL);
		if (status != CTL_OK)
			return status;
		list = json_get(reply.json, "nodes");
	}
	for (size_t i = 0; i < ctl->args->word_count; i++)
		for (size_t j = 0; j < (node   ? 1
					: list ? json_object_array_length(list)
					       : 0);
		     j++) {
			const char *name =
				node ? node
				     : json_get_string(json_object_array_get_idx(list, j), "name",
						       "");
			int one = pull_one(ctl, name, ctl->args->words[i]);

			if (status == CTL_OK)
				status = one;
		}
	client_reply_fini(&reply);
	return status;
}

int commit_command(struct ctl *ctl)
{
	const char *name = ctl->args->words[0];
	char *path = instance_path(ctl, name, "/commit");
	struct json_object *body = json_object_new_object();
	int status;

	json_add_string(body, "image", ctl->args->words[1]);
	if (args_has(ctl->args, "no-pause"))
		json_add_bool(body, "pause", false);
	status = operation_print(ctl, name, "POST", path, body, ctl->args->words[1]);
	json_object_put(body);
	free(path);
	return status;
}

/* "/v1/images/NAME", what follows, and the node where one is named. The caller frees. */
static char *image_path(struct ctl *ctl, const char *image, const char *rest)
{
	const char *node = args_text(ctl->args, "node", NULL);
	struct str path = STR_INIT;

	str_add(&path, "/v1/images/");
	str_add_url(&path, image);
	str_add(&path, rest);
	if (node)
		path_query(&path, "node", node);
	return str_take(&path);
}

int image_remove_command(struct ctl *ctl)
{
	int status = CTL_OK;

	for (size_t i = 0; i < ctl->args->word_count; i++) {
		const char *image = ctl->args->words[i];
		char *path = image_path(ctl, image, "");
		struct json_object *operation = NULL;
		int one = operation_run(ctl, image, "DELETE", path, NULL, &operation, NULL);

		if (one == CTL_OK && ctl->json)
			output_json(operation);
		else if (one == CTL_OK)
			output_line("%s", image);
		fflush(stdout);
		if (status == CTL_OK)
			status = one;
		json_object_put(operation);
		free(path);
	}
	return status;
}

/* --- archives ------------------------------------------------------------------------------------ */

static int on_archive(void *arg, const char *bytes, size_t length)
{
	return output_write(*(int *)arg, bytes, length);
}

/* A file is there in full, or not at all. */
static int save_to(struct ctl *ctl, const char *image, const char *file, int fd)
{
	char *path = image_path(ctl, image, "/archive");
	struct client_reply reply;
	struct gantry_error err;
	int status = CTL_OK;

	if (client_stream(ctl->client, path, on_archive, &fd, &reply, &err) < 0) {
		if (err.code == -ECONNRESET)
			gantry_error_set(&err, -EIO,
					 "the archive was cut: gantryd or the engine gave up");
		status = output_fail(image, &err);
	} else if (reply.status >= 400) {
		status = output_problem(image, reply.status, reply.json);
		client_reply_fini(&reply);
	} else {
		client_reply_fini(&reply);
	}
	if (file && close(fd) < 0 && status == CTL_OK)
		status = output_usage("save", "%s: %s", file, strerror(errno));
	if (file && status != CTL_OK)
		unlink(file);
	free(path);
	return status;
}

int save_command(struct ctl *ctl)
{
	const char *file = args_text(ctl->args, "output", NULL);
	int fd = STDOUT_FILENO;

	if (!file && isatty(fd))
		return output_usage("save", "an archive is nothing for a terminal: give --output "
					    "FILE, or send it on");
	if (file)
		fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return output_usage("save", "%s: %s", file, strerror(errno));
	return save_to(ctl, ctl->args->words[0], file, fd);
}

/* The file's bytes until its end, or the answer that came before. */
static int send_file(struct transfer_body *body, int fd, struct gantry_error *err)
{
	static char piece[65536];
	ssize_t count;
	int error = 0;

	while (error == 0 && (count = read(fd, piece, sizeof(piece))) != 0) {
		if (count > 0)
			error = upload_write(body, piece, (size_t)count, err);
		else if (errno != EINTR)
			return gantry_error_set(err, -errno, "cannot be read: %s", strerror(errno));
	}
	return error == -EPIPE ? 0 : error;
}

static int send(struct ctl *ctl, const char *path, int fd, struct client_reply *ret_reply,
		struct gantry_error *err)
{
	struct transfer_body *body = upload_open(ctl->client, "POST", path);
	int error = send_file(body, fd, err);

	if (error == 0)
		return upload_end(body, ret_reply, err);
	upload_abort(body);
	return error;
}

static int load_from(struct ctl *ctl, const char *file, int fd)
{
	static const char *const words[] = {"node", "name", NULL};
	struct client_reply reply;
	struct json_object *images;
	struct gantry_error err;
	struct str path = STR_INIT;
	int error;

	str_add(&path, "/v1/images");
	for (size_t i = 0; words[i]; i++)
		if (args_text(ctl->args, words[i], NULL))
			path_query(&path, words[i], args_text(ctl->args, words[i], NULL));
	error = send(ctl, str_text(&path), fd, &reply, &err);
	str_fini(&path);
	if (error < 0)
		return output_fail(file, &err);
	if (reply.status >= 400) {
		int status = output_problem(file, reply.status, reply.json);

		client_reply_fini(&reply);
		return status;
	}
	if (output_if_json(ctl, &reply))
		return CTL_OK;
	images = json_get(reply.json, "images");
	for (size_t i = 0; images && i < json_object_array_length(images); i++)
		output_line("%s", json_object_get_string(json_object_array_get_idx(images, i)));
	client_reply_fini(&reply);
	return CTL_OK;
}

int load_command(struct ctl *ctl)
{
	const char *file = args_text(ctl->args, "input", NULL);
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, status;

	if (fd < 0)
		return output_usage("load", "%s: %s", file, strerror(errno));
	if (!file && isatty(fd))
		return output_usage("load",
				    "an archive does not come from a terminal: give --input "
				    "FILE, or pipe it in");
	status = load_from(ctl, file ? file : "standard input", fd);
	if (file)
		close(fd);
	return status;
}

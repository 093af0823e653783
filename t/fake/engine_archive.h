/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake engine's files: what is put into a container as a tar is kept in memory, by path, and got back.
 * Plain files, folders and symbolic links with names up to 100 bytes; a "full" folder has no room. Included
 * once, by engine_containers.h.
 */
#ifndef FAKE_ENGINE_ARCHIVE_H
#define FAKE_ENGINE_ARCHIVE_H

#include "engine_state.h"
#include "tar.h"

struct file {
	struct list link;
	struct container *owner; /* borrowed */
	char path[600], target[128];
	unsigned mode, uid;
	char type; /* as in a tar: '0', '5', '2' */
	struct str data;
};

static struct list files = {&files, &files};

static struct file *file_find(struct container *k, const char *path)
{
	LIST_FOREACH (node, &files) {
		struct file *file = LIST_ENTRY(node, struct file, link);

		if (file->owner == k && strcmp(file->path, path) == 0)
			return file;
	}
	return NULL;
}

static struct file *file_make(struct container *k, const char *path, char type)
{
	struct file *file = file_find(k, path);

	if (!file) {
		file = xcalloc(1, sizeof(*file));
		file->owner = k;
		snprintf(file->path, sizeof(file->path), "%s", path);
		list_append(&files, &file->link);
	}
	file->type = type;
	str_clear(&file->data);
	return file;
}

static void files_forget(struct container *k)
{
	struct list *next;

	for (struct list *node = files.next; node != &files; node = next) {
		struct file *file = LIST_ENTRY(node, struct file, link);

		next = node->next;
		if (file->owner != k)
			continue;
		list_remove(&file->link);
		str_fini(&file->data);
		free(file);
	}
}

/* Every container has these. */
static void files_begin(struct container *k)
{
	if (file_find(k, "/"))
		return;
	file_make(k, "/", '5')->mode = 0755;
	file_make(k, "/tmp", '5')->mode = 01777;
	file_make(k, "/full", '5')->mode = 0755;
}

/* --- what a path is ------------------------------------------------------------------------------ */

static void file_describe(const struct file *file, struct str *out)
{
	struct json_object *object = json_object_new_object();
	const char *name = strrchr(file->path, '/') + 1, *text;
	int64_t mode = file->mode & 0777;

	mode |= file->type == '5' ? 1ll << 31 : file->type == '2' ? 1ll << 27 : 0;
	json_add_string(object, "name", *name ? name : "/");
	json_add_int(object, "size", (int64_t)file->data.length);
	json_add_int(object, "mode", mode);
	json_add_string(object, "mtime", "2026-01-02T03:04:05Z");
	json_add_string(object, "linkTarget", file->target);
	text = json_object_to_json_string(object);
	str_add_base64(out, text, strlen(text));
	json_object_put(object);
}

/* --- tars ---------------------------------------------------------------------------------------- */

static void add_to_tar(struct str *tar, const struct file *file, const char *name)
{
	bool has_data = file->type == '0';
	char path[100];

	snprintf(path, sizeof(path), "%s%s", name, file->type == '5' ? "/" : "");
	tar_add(tar, &(struct tar_entry){.type = file->type,
					 .name = path,
					 .target = file->target,
					 .mode = file->mode & 07777,
					 .uid = file->uid,
					 .data = file->data.data,
					 .length = has_data ? file->data.length : 0});
}

/* False: it is no tar. */
static bool tar_take(struct container *k, const char *folder, const char *tar, size_t length)
{
	for (size_t at = 0; at + 512 <= length && tar[at];) {
		size_t size = strtoul(tar + at + 124, NULL, 8);
		char type = tar[at + 156] ? tar[at + 156] : '0';
		char path[600], name[101];
		struct file *file;

		if (memcmp(tar + at + 257, "ustar", 5) != 0 || at + 512 + size > length)
			return false;
		snprintf(name, sizeof(name), "%.100s", tar + at);
		if (name[0] && name[strlen(name) - 1] == '/')
			name[strlen(name) - 1] = '\0';
		snprintf(path, sizeof(path), "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name);
		if (type == '0' || type == '5' || type == '2') {
			file = file_make(k, path, type);
			file->mode = (unsigned)strtoul(tar + at + 100, NULL, 8);
			file->uid = (unsigned)strtoul(tar + at + 108, NULL, 8);
			snprintf(file->target, sizeof(file->target), "%.100s", tar + at + 157);
			str_add_bytes(&file->data, tar + at + 512, size);
		}
		at += 512 + (size + 511) / 512 * 512;
	}
	return length >= 512;
}

/* --- the endpoint -------------------------------------------------------------------------------- */

static void archive_get(struct conn *c, struct container *k, const struct file *file)
{
	const char *base = strrchr(file->path, '/') + 1;
	size_t length = strcmp(file->path, "/") == 0 ? 0 : strlen(file->path);
	struct str tar = STR_INIT;

	LIST_FOREACH (node, &files) {
		struct file *each = LIST_ENTRY(node, struct file, link);
		char name[700];

		if (each->owner != k || strncmp(each->path, file->path, length) != 0 ||
		    (each->path[length] && each->path[length] != '/'))
			continue;
		snprintf(name, sizeof(name), "%s%s", base, each->path + length);
		add_to_tar(&tar, each, name);
	}
	tar_end(&tar);
	stream_send(c, tar.data, tar.length);
	str_fini(&tar);
	stream_end(c);
}

static void archive(struct conn *c, struct container *k)
{
	char path[512] = "", head[1024];
	struct str stat = STR_INIT;
	struct file *file;
	size_t length;

	files_begin(k);
	query_get(c, "path", path, sizeof(path));
	length = strlen(path);
	if (length > 1 && strcmp(path + length - 2, "/.") == 0)
		path[length - 1] = '\0';
	for (length = strlen(path); length > 1 && path[length - 1] == '/'; length--)
		path[length - 1] = '\0';
	file = file_find(k, path);
	if (!file) {
		reply_error(c, 404, "Could not find the file %s in container %s", path, k->id);
	} else if (strcmp(c->method, "PUT") == 0 && strcmp(path, "/full") == 0) {
		reply_error(
			c, 500,
			"Error processing tar file(exit status 1): write /full/x: no space left on device");
	} else if (strcmp(c->method, "PUT") == 0) {
		if (tar_take(k, path, str_text(&c->body), c->body.length))
			reply(c, 200, "");
		else
			reply_error(c, 500,
				    "Error processing tar file(exit status 1): unexpected EOF");
	} else {
		file_describe(file, &stat);
		snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\n"
			 "X-Docker-Container-Path-Stat: %s\r\n%s\r\n",
			 str_text(&stat),
			 strcmp(c->method, "HEAD") == 0 ? "" : "Transfer-Encoding: chunked\r\n");
		conn_send(c, head, strlen(head));
		if (strcmp(c->method, "HEAD") == 0)
			conn_end(c);
		else
			archive_get(c, k, file);
	}
	str_fini(&stat);
}

#endif

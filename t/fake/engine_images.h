/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake engine's images of containers, and archives of images. Included once, by engine.c.
 *
 * A saved archive has the shape of Docker's: a configuration, one layer of some bytes ("big…": 64 MiB)
 * and the manifest. Loading wants a manifest.json whose files are there, as Docker does.
 */
#ifndef FAKE_ENGINE_IMAGES_H
#define FAKE_ENGINE_IMAGES_H

#include "engine_containers.h"
#include "tar.h"

#include <stdlib.h>

static struct json_object *marks; /* comments of committed images: a map from reference to text */

static void commit(struct conn *c)
{
	char container[128], repo[512], tag[128], mark[128] = "", image[700], normal[700];
	struct container *k;

	query_get(c, "container", container, sizeof(container));
	k = container_find(container);
	if (!k) {
		reply_error(c, 404, "No such container: %s", container);
		return;
	}
	if (!query_get(c, "repo", repo, sizeof(repo)) || !query_get(c, "tag", tag, sizeof(tag))) {
		reply_error(c, 400, "repo and tag are missing");
		return;
	}
	query_get(c, "comment", mark, sizeof(mark));
	if (query_flag(c, "pause") && strcmp(k->state, "running") == 0) {
		emit_container(k, "pause", "");
		emit_container(k, "unpause", "");
	}
	snprintf(image, sizeof(image), "%s:%s", repo, tag);
	image_normal(image, normal, sizeof(normal));
	json_object_object_add(pulled, normal, json_object_new_string("sha256:committed"));
	json_object_object_add(marks, normal, json_object_new_string(mark));
	reply(c, 201, "{\"Id\":\"sha256:committed\"}");
}

/* --- archives --- */

static void add_file(struct str *tar, const char *name, const char *data, size_t length)
{
	tar_add(tar,
		&(struct tar_entry){
			.type = '0', .name = name, .mode = 0644, .data = data, .length = length});
}

static void save(struct conn *c, const char *name)
{
	size_t size = strncmp(name, "big", 3) == 0 ? 64 << 20 : 10000;
	char *layer = calloc(1, size), manifest[1024];
	struct str tar = STR_INIT;

	snprintf(
		manifest, sizeof(manifest),
		"[{\"Config\":\"c0ffee.json\",\"RepoTags\":[\"%s\"],\"Layers\":[\"l/layer.tar\"]}]",
		name);
	add_file(&tar, "c0ffee.json", "{}", 2);
	add_file(&tar, "l/layer.tar", layer, size);
	add_file(&tar, "manifest.json", manifest, strlen(manifest));
	tar_end(&tar);
	stream_start(c, "application/x-tar");
	stream_send(c, tar.data, strcmp(c->mode, "drop_after") == 0 ? tar.length / 2 : tar.length);
	stream_end(c);
	str_fini(&tar);
	free(layer);
}

/* A file's place in the tar; NULL: it is not there. */
static const char *find_file(const struct str *tar, const char *name, size_t *ret_length)
{
	for (size_t at = 0; at + 512 <= tar->length && tar->data[at];) {
		size_t length = strtoull(tar->data + at + 124, NULL, 8);

		if (strncmp(tar->data + at, name, 100) == 0 && at + 512 + length <= tar->length) {
			*ret_length = length;
			return tar->data + at + 512;
		}
		at += 512 + (length + 511) / 512 * 512;
	}
	return NULL;
}

static void load_one(struct conn *c, struct json_object *entry)
{
	struct json_object *tags = json_get(entry, "RepoTags");
	const char *config = json_get_string(entry, "Config", "");
	char text[1024], normal[600];
	size_t length;

	if (!find_file(&c->body, config, &length)) {
		snprintf(text, sizeof(text),
			 "{\"errorDetail\":{\"message\":\"open %s: no such file or directory\"}}\n",
			 config);
		stream_send(c, text, strlen(text));
		return;
	}
	snprintf(text, sizeof(text), "{\"stream\":\"Loaded image ID: sha256:%s\\n\"}\n", config);
	for (size_t i = 0; tags && i < json_object_array_length(tags); i++) {
		const char *tag = json_object_get_string(json_object_array_get_idx(tags, i));

		json_object_object_add(pulled, image_normal(tag, normal, sizeof(normal)),
				       json_object_new_string("sha256:loaded"));
		snprintf(text, sizeof(text), "{\"stream\":\"Loaded image: %s\\n\"}\n", tag);
	}
	stream_send(c, text, strlen(text));
}

static void load(struct conn *c)
{
	size_t length = 0;
	const char *manifest = find_file(&c->body, "manifest.json", &length);
	struct json_object *list = NULL;
	static const char no_image[] =
		"{\"errorDetail\":{\"message\":\"open repositories: no such file or directory\"}}\n";
	static const char progress[] =
		"{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":5,\"total\":10}}\n";

	if (manifest)
		json_parse(manifest, length, &list, NULL);
	stream_start(c, "application/json");
	stream_send(c, progress, strlen(progress));
	if (!json_object_is_type(list, json_type_array))
		stream_send(c, no_image, strlen(no_image));
	else
		for (size_t i = 0; i < json_object_array_length(list); i++)
			load_one(c, json_object_array_get_idx(list, i));
	json_object_put(list);
	stream_end(c);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as archives, in the shape of Docker's: a configuration, layers, and a manifest that names them.
 * Ours have one layer, and no digests: another engine does not take them. One of Docker's is taken.
 */
#include "sim.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ENTRIES_MAX 64

/* --- out --- */

static int add(struct sim_tree *archive, const char *path, const char *data, size_t length,
	       struct gantry_error *err)
{
	return sim_tree_put(archive,
			    &(struct sim_file){
				    .path = path,
				    .data = data,
				    .length = length,
				    .mode = S_IFREG | 0644,
			    },
			    err);
}

/* One item, which is taken over. */
static struct json_object *list_of(struct json_object *item)
{
	struct json_object *list = json_object_new_array();

	json_object_array_add(list, item);
	return list;
}

static void pack(struct sim_call *call, const struct sim_image *image, struct sim_bytes *out)
{
	static const char config[] = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{}}";
	const char *id = sim_image_id(call, image) + 7;
	struct json_object *entry = json_object_new_object(), *list = list_of(entry);
	struct sim_tree *archive = sim_tree_new(NULL);
	struct sim_bytes layer = {0};
	char path[SIM_ID_SIZE + 16];
	struct gantry_error err;
	const char *text;

	sim_tree_pack(sim_tree_or_base(call->node, image->tree), "/", "", &layer);
	snprintf(path, sizeof(path), "/%s/layer.tar", id);
	add(archive, path, layer.data, layer.length, &err);
	json_object_object_add(entry, "Layers", list_of(json_object_new_string(path + 1)));
	snprintf(path, sizeof(path), "/%s.json", id);
	add(archive, path, config, strlen(config), &err);
	json_object_object_add(entry, "Config", json_object_new_string(path + 1));
	if (strncmp(image->name, "sha256:", 7) != 0)
		json_object_object_add(entry, "RepoTags",
				       list_of(json_object_new_string(image->name)));
	text = json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE);
	add(archive, "/manifest.json", text, strlen(text), &err);
	sim_tree_pack(archive, "/", "", out);
	json_object_put(list);
	sim_bytes_fini(&layer);
	sim_tree_unref(archive);
}

static void save_act(struct sim_call *call)
{
	struct sim_sending *sending = (struct sim_sending *)call;
	const struct sim_image *image = sim_call_image(call);

	if (!image)
		return;
	pack(call, image, &sending->bytes);
	sim_sending_begin(sending);
}

void sim_image_save(void *node, const char *image, gantry_archive_fn fn, void *arg,
		    struct gantry_op *op)
{
	struct sim_sending *sending =
		sim_call_new(node, op, SIM_IMAGE_SAVE, sizeof(*sending), save_act, NULL, image);

	sim_sending_init(sending, fn, arg);
	sim_call_begin(&sending->call);
}

/* --- in --- */

static struct json_object *get(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return json_object_is_type(value, type) ? value : NULL;
}

static const struct sim_file *named(const struct sim_tree *archive, const char *name,
				    struct gantry_error *err)
{
	const struct sim_file *file = name ? sim_tree_find(archive, name, true) : NULL;

	if (!file)
		gantry_error_set(err, -EINVAL, "it names %.200s, which is not in it",
				 name ? name : "no configuration");
	return file;
}

static int unpack_layers(struct sim_tree *archive, struct json_object *layers,
			 struct sim_tree *tree, struct gantry_error *err)
{
	size_t count = layers ? json_object_array_length(layers) : 0;
	int code = sim_tree_put(tree, &(struct sim_file){.path = "/", .mode = S_IFDIR | 0755}, err);

	for (size_t i = 0; code == 0 && i < count; i++) {
		const struct sim_file *layer = named(
			archive, json_object_get_string(json_object_array_get_idx(layers, i)), err);
		const struct sim_bytes bytes = {
			.data = layer ? (char *)layer->data : NULL,
			.length = layer ? layer->length : 0,
		};

		code = layer ? sim_tree_unpack(tree, "/", &bytes, true, err) : err->code;
	}
	return code;
}

static void keep(struct sim_call *call, struct sim_image *image, const char *name,
		 struct gantry_strings *names)
{
	image->name = (char *)name;
	if (names->count < ENTRIES_MAX && sim_image_keep(call->node, image)) {
		names->items[names->count++] = sim_call_keep(call, name);
		sim_event_image(call->node, name);
	}
}

static int load_one(struct sim_call *call, struct sim_tree *archive, struct json_object *entry,
		    struct gantry_strings *names, struct gantry_error *err)
{
	const char *config = json_object_get_string(get(entry, "Config", json_type_string));
	struct json_object *tags = get(entry, "RepoTags", json_type_array);
	size_t count = tags ? json_object_array_length(tags) : 0;
	struct sim_image image = {.created_ms = sim_now_ns(call->node) / 1000000};
	char id[SIM_ID_SIZE] = "";
	int code;

	if (!named(archive, config, err))
		return err->code;
	snprintf(id, sizeof(id), "%s", strrchr(config, '/') ? strrchr(config, '/') + 1 : config);
	if (!sim_id_read(id, &image.key))
		image.key = sim_hash(config);
	image.tree = sim_tree_new(call->node);
	code = unpack_layers(archive, get(entry, "Layers", json_type_array), image.tree, err);
	for (size_t i = 0; code == 0 && i < count; i++)
		keep(call, &image, json_object_get_string(json_object_array_get_idx(tags, i)),
		     names);
	if (code == 0 && count == 0)
		keep(call, &image, sim_image_id(call, &image), names);
	sim_tree_unref(image.tree);
	return code;
}

static int load_all(struct sim_call *call, struct sim_tree *archive, struct gantry_strings *names,
		    struct gantry_error *err)
{
	const struct sim_file *file = sim_tree_find(archive, "/manifest.json", true);
	struct json_object *manifest = NULL;
	size_t count;
	char *text;
	int code = 0;

	if (file) {
		text = sim_alloc(file->length + 1);
		memcpy(text, file->data, file->length);
		manifest = json_tokener_parse(text);
		free(text);
	}
	count = json_object_is_type(manifest, json_type_array) ? json_object_array_length(manifest)
							       : 0;
	if (count == 0)
		code = gantry_error_set(err, -EINVAL, "there is no image in it");
	for (size_t i = 0; code == 0 && i < count; i++)
		code = load_one(call, archive, json_object_array_get_idx(manifest, i), names, err);
	json_object_put(manifest);
	return code;
}

static void load_take(struct gantry_upload *upload)
{
	struct sim_call *call = &upload->call;
	struct sim_tree *archive = sim_tree_new(call->node);
	struct gantry_strings *names = sim_call_alloc(call, sizeof(*names));
	struct gantry_error err;
	int code;

	names->items = sim_call_alloc(call, ENTRIES_MAX * sizeof(*names->items));
	code = sim_tree_put(archive, &(struct sim_file){.path = "/", .mode = S_IFDIR | 0755}, &err);
	if (code == 0)
		code = sim_tree_unpack(archive, "/", &upload->bytes, false, &err);
	if (code == 0)
		code = load_all(call, archive, names, &err);
	sim_tree_unref(archive);
	if (code < 0)
		sim_call_fail(call, code, "%s", err.text);
	else
		sim_call_done(call, names);
}

static void load_act(struct sim_call *call)
{
	sim_upload_open((struct gantry_upload *)call, load_take);
}

void sim_image_load(void *node, const struct gantry_upload_sink *sink, struct gantry_op *op)
{
	sim_call_begin(&sim_upload_new(node, op, SIM_IMAGE_LOAD, load_act, NULL, NULL, sink)->call);
}

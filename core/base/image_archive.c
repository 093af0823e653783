/* SPDX-License-Identifier: Apache-2.0 */
#include "base/image_archive.h"
#include "base/json.h"
#include "base/str.h"

#include <stdlib.h>

#define BLOCK         512
#define KEPT_MAX      ((size_t)4 << 20)   /* of one file that is kept whole */
#define BLOB_MAX      ((size_t)256 << 10) /* larger ones are layers */
#define BLOBS_MAX     256
#define INDEX_DEPTH   3
#define LOOKED_MAX    1024 /* descriptors, in all indexes */
#define DIGEST_LENGTH 71   /* "sha256:" and 64 digits */

/* What becomes of the entry at hand. */
enum entry {
	ENTRY_PASSED,
	ENTRY_HELD, /* it is about the next one, and goes with it */
	ENTRY_MANIFEST,
	ENTRY_INDEX,
	ENTRY_BLOB,
};

struct blob {
	char name[80]; /* "blobs/sha256/…" */
	struct str text;
};

struct image_archive {
	struct image_archive_settings settings;
	enum { STATE_HEAD, STATE_BODY, STATE_END, STATE_COMPRESSED } state;
	bool begun; /* the first head was one */
	char head[BLOCK];
	size_t head_length;
	enum entry entry;
	uint64_t left, padding; /* of the entry at hand */
	struct str body;        /* of an entry that is kept */
	struct str held;        /* entries about the next one, as they are */
	char *next_name;        /* what they say; owned, NULL: nothing */
	int64_t next_size;      /* -1: nothing */
	char name[256];
	struct str manifest, index;
	struct blob blobs[BLOBS_MAX];
	size_t blob_count;
	size_t looked; /* descriptors that were followed */
};

struct image_archive *image_archive_new(const struct image_archive_settings *settings)
{
	struct image_archive *archive = xcalloc(1, sizeof(*archive));

	archive->settings = *settings;
	archive->next_size = -1;
	return archive;
}

void image_archive_free(struct image_archive *archive)
{
	if (!archive)
		return;
	for (size_t i = 0; i < archive->blob_count; i++)
		str_fini(&archive->blobs[i].text);
	str_fini(&archive->body);
	str_fini(&archive->held);
	str_fini(&archive->manifest);
	str_fini(&archive->index);
	free(archive->next_name);
	free(archive);
}

static void put(struct image_archive *archive, const char *data, size_t length)
{
	if (length > 0)
		archive->settings.out(archive->settings.arg, data, length);
}

/* --- heads --------------------------------------------------------------------------------------- */

/* Octal digits, or, with the highest bit set, a number in base 256. -1: neither. */
static int64_t read_number(const char *field, size_t size)
{
	uint64_t value = 0;
	size_t i = 0;

	if ((unsigned char)field[0] & 0x80) {
		for (i = 1; i < size; i++)
			value = value << 8 | (unsigned char)field[i];
		return value > INT64_MAX / 2 ? -1 : (int64_t)value;
	}
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(field[i] - '0');
	return i < size && field[i] != '\0' && field[i] != ' ' ? -1 : (int64_t)value;
}

static bool is_zero(const char *block)
{
	return block[0] == '\0' && memcmp(block, block + 1, BLOCK - 1) == 0;
}

static int64_t checksum(const char *head)
{
	int64_t sum = 8 * ' ';

	for (size_t i = 0; i < BLOCK; i++)
		if (i < 148 || i >= 156)
			sum += (unsigned char)head[i];
	return sum;
}

static const char *compression(const char *head, size_t length)
{
	static const struct {
		const char *word, *magic;
		size_t length;
	} rows[] = {
		{"gzip", "\x1f\x8b", 2},
		{"bzip2", "BZh", 3},
		{"xz", "\xfd\x37zXZ", 5},
		{"zstd", "\x28\xb5\x2f\xfd", 4},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (length >= rows[i].length && memcmp(head, rows[i].magic, rows[i].length) == 0)
			return rows[i].word;
	return NULL;
}

/* The first bytes are no head of a tar's. */
static int begin_compressed(struct image_archive *archive, struct gantry_error *err)
{
	const char *word = compression(archive->head, archive->head_length);

	if (!word)
		return gantry_error_set(
			err, -EINVAL,
			"this is no archive of an image: it does not begin as a tar does");
	if (archive->settings.name)
		return gantry_error_set(err, -EINVAL,
					"the archive is compressed with %s: it has to be unpacked "
					"before its image can be given a name",
					word);
	put(archive, archive->head, archive->head_length);
	archive->state = STATE_COMPRESSED;
	return 0;
}

static void read_name(struct image_archive *archive)
{
	const char *head = archive->head, *name = archive->next_name;
	char text[256];

	if (!name && memcmp(head + 257, "ustar", 6) == 0 && head[345])
		snprintf(text, sizeof(text), "%.155s/%.100s", head + 345, head);
	else
		snprintf(text, sizeof(text), "%.100s", head);
	name = name ? name : text;
	while (str_starts_with(name, "./"))
		name += 2;
	snprintf(archive->name, sizeof(archive->name), "%s", name);
}

static enum entry classify(const struct image_archive *archive, uint64_t size)
{
	char type = archive->head[156];

	if (type == 'x' || type == 'L' || type == 'K')
		return ENTRY_HELD;
	if (type != '0' && type != '\0')
		return ENTRY_PASSED;
	if (str_equal(archive->name, "manifest.json"))
		return ENTRY_MANIFEST;
	if (str_equal(archive->name, "index.json"))
		return ENTRY_INDEX;
	if (str_starts_with(archive->name, "blobs/sha256/") && size <= BLOB_MAX &&
	    archive->blob_count < BLOBS_MAX)
		return ENTRY_BLOB;
	return ENTRY_PASSED;
}

static void forget_held(struct image_archive *archive)
{
	str_clear(&archive->held);
	free(archive->next_name);
	archive->next_name = NULL;
	archive->next_size = -1;
}

static int begin_entry(struct image_archive *archive, struct gantry_error *err)
{
	const char *head = archive->head;
	int64_t size = read_number(head + 124, 12);

	archive->head_length = 0;
	if (is_zero(head) && archive->begun) {
		archive->state = STATE_END;
		return 0;
	}
	if (read_number(head + 148, 8) != checksum(head) || size < 0) {
		archive->head_length = BLOCK;
		return archive->begun
			       ? gantry_error_set(err, -EINVAL,
						  "the archive is damaged: after %s comes no "
						  "head of an entry",
						  archive->name)
			       : begin_compressed(archive, err);
	}
	archive->begun = true;
	if (archive->next_size >= 0 && (head[156] == '0' || head[156] == '\0'))
		size = archive->next_size;
	read_name(archive);
	archive->entry = classify(archive, (uint64_t)size);
	if (archive->entry != ENTRY_PASSED && archive->entry != ENTRY_BLOB &&
	    archive->held.length + (size_t)size > KEPT_MAX)
		return gantry_error_set(err, -EINVAL, "the archive's %s is over %zu MiB",
					archive->name, KEPT_MAX >> 20);
	if (archive->entry == ENTRY_HELD) {
		str_add_bytes(&archive->held, head, BLOCK);
	} else {
		if (archive->entry != ENTRY_MANIFEST) {
			put(archive, archive->held.data, archive->held.length);
			put(archive, head, BLOCK);
		}
		forget_held(archive);
	}
	archive->left = (uint64_t)size;
	archive->padding = (BLOCK - (uint64_t)size % BLOCK) % BLOCK;
	archive->state = STATE_BODY;
	return 0;
}

/* --- bodies -------------------------------------------------------------------------------------- */

/* "27 path=blobs/sha256/1234\n…" */
static void read_extended(struct image_archive *archive)
{
	const char *at = str_text(&archive->body), *end = at + archive->body.length;

	while (at < end) {
		char *text;
		unsigned long length = strtoul(at, &text, 10);
		const char *value;

		if (*at < '0' || *at > '9' || length == 0 || length > (size_t)(end - at) ||
		    *text != ' ' || text >= at + length)
			return;
		value = memchr(text, '=', (size_t)(at + length - text));
		if (value && value + 1 >= at + length) /* it has no end of its own */
			return;
		if (value && str_starts_with(text, " path=")) {
			free(archive->next_name);
			archive->next_name =
				xasprintf("%.*s", (int)(at + length - value - 2), value + 1);
		} else if (value && str_starts_with(text, " size=")) {
			archive->next_size = strtoll(value + 1, NULL, 10);
		}
		at += length;
	}
}

static void keep_blob(struct image_archive *archive)
{
	struct blob *blob = &archive->blobs[archive->blob_count];

	if (str_text(&archive->body)[0] != '{')
		return;
	snprintf(blob->name, sizeof(blob->name), "%.79s", archive->name);
	blob->text = (struct str)STR_INIT;
	str_add_bytes(&blob->text, archive->body.data, archive->body.length);
	archive->blob_count++;
}

static void end_entry(struct image_archive *archive)
{
	switch (archive->entry) {
	case ENTRY_HELD:
		if (archive->head[156] == 'x') {
			read_extended(archive);
		} else if (archive->head[156] == 'L') {
			free(archive->next_name);
			archive->next_name = xstrdup(str_text(&archive->body));
		}
		break;
	case ENTRY_MANIFEST:
		str_clear(&archive->manifest);
		str_add_bytes(&archive->manifest, archive->body.data, archive->body.length);
		break;
	case ENTRY_INDEX:
		str_clear(&archive->index);
		str_add_bytes(&archive->index, archive->body.data, archive->body.length);
		break;
	case ENTRY_BLOB:
		keep_blob(archive);
		break;
	case ENTRY_PASSED:
		break;
	}
	str_clear(&archive->body);
	archive->state = STATE_HEAD;
}

/* Bytes of the entry at hand; returns how many there were. */
static size_t take_body(struct image_archive *archive, const char *data, size_t length)
{
	uint64_t whole = archive->left + archive->padding;
	size_t part = length < whole ? length : (size_t)whole;
	size_t content = part < archive->left ? part : (size_t)archive->left;

	if (archive->entry == ENTRY_HELD)
		str_add_bytes(&archive->held, data, part);
	else if (archive->entry != ENTRY_MANIFEST)
		put(archive, data, part);
	if (archive->entry != ENTRY_PASSED && content > 0)
		str_add_bytes(&archive->body, data, content);
	archive->left -= content;
	archive->padding -= part - content;
	if (archive->left + archive->padding == 0)
		end_entry(archive);
	return part;
}

int image_archive_feed(struct image_archive *archive, const char *data, size_t length,
		       struct gantry_error *err)
{
	while (length > 0 && archive->state != STATE_END) {
		size_t part = BLOCK - archive->head_length;
		int code = 0;

		if (archive->state == STATE_COMPRESSED) {
			put(archive, data, length);
			return 0;
		}
		if (archive->state == STATE_BODY) {
			part = take_body(archive, data, length);
		} else {
			part = part < length ? part : length;
			memcpy(archive->head + archive->head_length, data, part);
			archive->head_length += part;
			if (archive->head_length == BLOCK)
				code = begin_entry(archive, err);
			if (code == 0 && archive->state == STATE_BODY &&
			    archive->left + archive->padding == 0)
				end_entry(archive);
		}
		if (code < 0)
			return code;
		data += part;
		length -= part;
	}
	return 0;
}

/* --- OCI layouts --------------------------------------------------------------------------------- */

static const char *architecture_of(const char *machine)
{
	static const char *const words[][2] = {
		{"x86_64", "amd64"}, {"aarch64", "arm64"},   {"armv7l", "arm"},
		{"i686", "386"},     {"ppc64le", "ppc64le"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_equal(machine, words[i][0]))
			return words[i][1];
	return machine;
}

/* Where a digest's blob is; false: it is none. */
static bool blob_path(const char *digest, char *path, size_t size)
{
	if (!str_starts_with(digest, "sha256:") || strlen(digest) != DIGEST_LENGTH ||
	    strspn(digest + 7, "0123456789abcdef") != 64)
		return false;
	snprintf(path, size, "blobs/sha256/%s", digest + 7);
	return true;
}

/* The JSON that a descriptor is about, owned by the caller; NULL: it is not here, or none. */
static struct json_object *read_blob(struct image_archive *archive, struct json_object *descriptor)
{
	struct json_object *value = NULL;
	char path[80];

	if (!blob_path(json_get_string(descriptor, "digest", ""), path, sizeof(path)) ||
	    ++archive->looked > LOOKED_MAX)
		return NULL;
	for (size_t i = 0; i < archive->blob_count; i++)
		if (str_equal(archive->blobs[i].name, path) &&
		    json_parse(archive->blobs[i].text.data, archive->blobs[i].text.length, &value,
			       NULL) == 0)
			return value;
	return NULL;
}

/* One for another kind of machine, or no image, as a signature. */
static bool fits(const struct image_archive *archive, struct json_object *descriptor)
{
	struct json_object *platform = json_get(descriptor, "platform");
	const char *wanted = architecture_of(archive->settings.machine);

	return !platform || !wanted ||
	       (str_equal(json_get_string(platform, "os", ""), "linux") &&
		str_equal(json_get_string(platform, "architecture", ""), wanted));
}

static const char *name_of(struct json_object *descriptor)
{
	struct json_object *annotations = json_get(descriptor, "annotations");
	const char *name = json_get_string(annotations, "io.containerd.image.name", NULL);

	if (!name)
		name = json_get_string(annotations, "org.opencontainers.image.ref.name", NULL);
	return name && strpbrk(name, ":/") ? name : NULL; /* else it is a tag alone */
}

/* Adds where the descriptor's blob is. */
static bool add_path(struct json_object *list, struct json_object *descriptor)
{
	char path[80];

	if (!blob_path(json_get_string(descriptor, "digest", ""), path, sizeof(path)))
		return false;
	json_object_array_add(list, json_object_new_string(path));
	return true;
}

/* Adds the image's entry of a Docker archive. */
static void add_image(struct json_object *list, struct json_object *manifest, const char *name)
{
	struct json_object *entry = json_object_new_object(), *paths = json_object_new_array();
	struct json_object *layers = json_get(manifest, "layers"), *names = NULL;
	bool whole = true;
	char path[80];

	for (size_t i = 0; i < json_object_array_length(layers); i++)
		whole = add_path(paths, json_object_array_get_idx(layers, i)) && whole;
	if (name) {
		names = json_object_new_array();
		json_object_array_add(names, json_object_new_string(name));
	}
	json_object_object_add(entry, "RepoTags", names);
	json_object_object_add(entry, "Layers", paths);
	if (whole && blob_path(json_get_string(json_get(manifest, "config"), "digest", ""), path,
			       sizeof(path))) {
		json_add_string(entry, "Config", path);
		json_object_array_add(list, entry);
	} else {
		json_object_put(entry);
	}
}

static void add_images(struct image_archive *archive, struct json_object *index, const char *name,
		       int depth, struct json_object *list)
{
	struct json_object *descriptors = json_get(index, "manifests");

	if (depth > INDEX_DEPTH || !json_object_is_type(descriptors, json_type_array))
		return;
	for (size_t i = 0;
	     i < json_object_array_length(descriptors) && archive->looked <= LOOKED_MAX; i++) {
		struct json_object *descriptor = json_object_array_get_idx(descriptors, i);
		struct json_object *value;
		const char *own = name_of(descriptor);

		if (!fits(archive, descriptor))
			continue;
		value = read_blob(archive, descriptor);
		if (json_object_is_type(json_get(value, "layers"), json_type_array))
			add_image(list, value, own ? own : name);
		else
			add_images(archive, value, own ? own : name, depth + 1, list);
		json_object_put(value);
	}
}

/* --- the end ------------------------------------------------------------------------------------- */

static struct json_object *read_images(struct image_archive *archive, struct gantry_error *err)
{
	struct json_object *list = NULL, *index = NULL;

	if (archive->manifest.length > 0) {
		if (json_parse(archive->manifest.data, archive->manifest.length, &list, NULL) < 0 ||
		    !json_object_is_type(list, json_type_array) ||
		    json_object_array_length(list) == 0) {
			gantry_error_set(
				err, -EINVAL,
				"this is no archive of an image: its manifest.json names none");
			json_object_put(list);
			return NULL;
		}
		return list;
	}
	if (archive->index.length == 0) {
		gantry_error_set(err, -EINVAL,
				 "this is no archive of an image: it has neither manifest.json, as "
				 "Docker's, nor index.json, as OCI's");
		return NULL;
	}
	list = json_object_new_array();
	if (json_parse(archive->index.data, archive->index.length, &index, NULL) == 0)
		add_images(archive, index, NULL, 0, list);
	json_object_put(index);
	if (json_object_array_length(list) > 0)
		return list;
	gantry_error_set(err, -EINVAL, "the archive's index.json names no image for linux/%s",
			 archive->settings.machine ? architecture_of(archive->settings.machine)
						   : "…");
	json_object_put(list);
	return NULL;
}

static int give_name(const struct image_archive *archive, struct json_object *list,
		     struct gantry_error *err)
{
	struct json_object *names;

	if (!archive->settings.name)
		return 0;
	if (json_object_array_length(list) > 1)
		return gantry_error_set(
			err, -EINVAL,
			"the archive holds %zu images: a name can be given to one only",
			json_object_array_length(list));
	if (!json_object_is_type(json_object_array_get_idx(list, 0), json_type_object))
		return gantry_error_set(
			err, -EINVAL,
			"this is no archive of an image: its manifest.json names none");
	names = json_object_new_array();
	json_object_array_add(names, json_object_new_string(archive->settings.name));
	json_object_object_add(json_object_array_get_idx(list, 0), "RepoTags", names);
	return 0;
}

static void put_file(struct image_archive *archive, const char *name, const char *data,
		     size_t length)
{
	static const char zeros[BLOCK];
	char head[BLOCK] = {0};

	snprintf(head, 100, "%s", name);
	snprintf(head + 100, 8, "%07o", 0644u);
	snprintf(head + 108, 8, "%07o", 0u);
	snprintf(head + 116, 8, "%07o", 0u);
	snprintf(head + 124, 12, "%011llo", (unsigned long long)length);
	snprintf(head + 136, 12, "%011o", 0u);
	head[156] = '0';
	memcpy(head + 257, "ustar\00000", 8);
	snprintf(head + 148, 8, "%06llo", (unsigned long long)checksum(head));
	head[155] = ' ';
	put(archive, head, sizeof(head));
	put(archive, data, length);
	put(archive, zeros, (BLOCK - length % BLOCK) % BLOCK);
}

int image_archive_end(struct image_archive *archive, struct gantry_error *err)
{
	static const char zeros[2 * BLOCK];
	struct json_object *list;
	size_t length;
	const char *text;
	int code;

	if (archive->state == STATE_HEAD && !archive->begun) {
		code = begin_compressed(archive, err);
		if (code < 0)
			return code;
	}
	if (archive->state == STATE_COMPRESSED)
		return 0;
	if (archive->state != STATE_END)
		return gantry_error_set(err, -EINVAL, "the archive is cut: it ends %s %s",
					archive->state == STATE_BODY ? "amid" : "after",
					archive->name);
	list = read_images(archive, err);
	if (!list)
		return -EINVAL;
	code = give_name(archive, list, err);
	if (code == 0) {
		text = json_object_to_json_string_length(
			list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
		put_file(archive, "manifest.json", text, length);
		put(archive, zeros, sizeof(zeros));
	}
	json_object_put(list);
	return code;
}

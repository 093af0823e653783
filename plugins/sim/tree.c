/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in memory: a flat table of them by path, as tars fill and leave it.
 *
 * Containers and images share a tree until one of them changes it. What all trees of a node take is
 * counted, and is bounded by its option host_disk.
 */
#include "sim.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PATH_SIZE  1024
#define HOPS_MAX   40
#define FILE_BYTES 256 /* what a file takes beside its path and its bytes */

/* --- bytes --- */

void sim_bytes_add(struct sim_bytes *bytes, const void *data, size_t length)
{
	if (bytes->length + length > bytes->capacity) {
		bytes->capacity = 2 * (bytes->length + length);
		bytes->data = realloc(bytes->data, bytes->capacity);
		if (!bytes->data)
			abort();
	}
	if (length)
		memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

void sim_bytes_fini(struct sim_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct sim_bytes){0};
}

/* --- the table --- */

static int64_t cost(const struct sim_file *file)
{
	return FILE_BYTES + (int64_t)(strlen(file->path) + file->length);
}

static void count(struct sim_tree *tree, int64_t bytes)
{
	tree->bytes += bytes;
	if (tree->node)
		tree->node->disk_bytes += bytes;
}

int sim_disk_check(const struct sim_node *node, int64_t bytes, struct gantry_error *err)
{
	if (!node || node->disk_bytes + bytes <= node->settings->host_disk_bytes)
		return 0;
	return gantry_error_set(err, -EIO, "no space left on device: host_disk is %lld bytes",
				(long long)node->settings->host_disk_bytes);
}

/* The first that is not before the path. */
static size_t place_of(const struct sim_tree *tree, const char *path)
{
	size_t low = 0, high = tree->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(tree->files[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct sim_file *find(const struct sim_tree *tree, const char *path)
{
	size_t at = place_of(tree, path);

	return at < tree->count && strcmp(tree->files[at].path, path) == 0 ? &tree->files[at]
									   : NULL;
}

static void file_fini(struct sim_file *file)
{
	free((char *)file->path);
	free((char *)file->target);
	free((char *)file->data);
}

static void remove_at(struct sim_tree *tree, size_t at)
{
	count(tree, -cost(&tree->files[at]));
	file_fini(&tree->files[at]);
	tree->count--;
	memmove(&tree->files[at], &tree->files[at + 1], (tree->count - at) * sizeof(*tree->files));
}

static bool is_below(const char *path, const char *folder)
{
	size_t length = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

	return strncmp(path, folder, length) == 0 && path[length] == '/' && path[length + 1];
}

/* What is below a path, and with it the path itself where whole is set. */
static void remove_below(struct sim_tree *tree, const char *path, bool whole)
{
	for (size_t at = place_of(tree, path); at < tree->count;) {
		const char *name = tree->files[at].path;

		if (strncmp(name, path, strlen(path)) != 0)
			return;
		if (is_below(name, path) || (whole && strcmp(name, path) == 0))
			remove_at(tree, at);
		else
			at++;
	}
}

int sim_tree_put(struct sim_tree *tree, const struct sim_file *file, struct gantry_error *err)
{
	size_t at = place_of(tree, file->path);
	struct sim_file *kept;
	char *data;

	if (sim_disk_check(tree->node, cost(file), err) < 0)
		return err->code;
	if (at < tree->count && strcmp(tree->files[at].path, file->path) == 0) {
		remove_at(tree, at);
	} else if (tree->count == tree->capacity) {
		tree->capacity = tree->capacity ? 2 * tree->capacity : 8;
		tree->files = realloc(tree->files, tree->capacity * sizeof(*tree->files));
		if (!tree->files)
			abort();
	}
	kept = &tree->files[at];
	memmove(kept + 1, kept, (tree->count - at) * sizeof(*kept));
	tree->count++;
	*kept = *file;
	kept->path = sim_strdup(file->path);
	kept->target = file->target ? sim_strdup(file->target) : NULL;
	data = sim_alloc(file->length);
	if (file->length)
		memcpy(data, file->data, file->length);
	kept->data = data;
	count(tree, cost(kept));
	return 0;
}

struct sim_tree *sim_tree_new(struct sim_node *node)
{
	struct sim_tree *tree = sim_alloc(sizeof(*tree));

	tree->node = node;
	tree->references = 1;
	return tree;
}

static struct sim_tree *new_base(void)
{
	static const struct sim_file folders[] = {
		{.path = "/", .mode = S_IFDIR | 0755},
		{.path = "/bin", .mode = S_IFDIR | 0755},
		{.path = "/etc", .mode = S_IFDIR | 0755},
		{.path = "/root", .mode = S_IFDIR | 0700},
		{.path = "/tmp", .mode = S_IFDIR | 01777},
		{.path = "/var", .mode = S_IFDIR | 0755},
	};
	struct sim_tree *tree = sim_tree_new(NULL);

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		sim_tree_put(tree, &folders[i], NULL);
	return tree;
}

struct sim_tree *sim_tree_or_base(struct sim_node *node, struct sim_tree *tree)
{
	if (tree)
		return tree;
	if (!node->base)
		node->base = new_base();
	return node->base;
}

struct sim_tree *sim_tree_ref(struct sim_tree *tree)
{
	if (tree)
		tree->references++;
	return tree;
}

void sim_tree_unref(struct sim_tree *tree)
{
	if (!tree || --tree->references > 0)
		return;
	for (size_t i = 0; i < tree->count; i++)
		file_fini(&tree->files[i]);
	count(tree, -tree->bytes);
	free(tree->files);
	free(tree);
}

int sim_tree_copy(struct sim_node *node, const struct sim_tree *from, struct sim_tree **ret_tree,
		  struct gantry_error *err)
{
	struct sim_tree *tree = sim_tree_new(node);

	for (size_t i = 0; i < from->count; i++) {
		if (sim_tree_put(tree, &from->files[i], err) < 0) {
			sim_tree_unref(tree);
			return err->code;
		}
	}
	*ret_tree = tree;
	return 0;
}

/* --- paths --- */

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

/* Takes the next part off rest; false: there is none, or it is too long. */
static bool next_part(const char **rest, char part[PATH_SIZE])
{
	size_t length;

	*rest += strspn(*rest, "/");
	length = strcspn(*rest, "/");
	if (length == 0 || length >= PATH_SIZE)
		return false;
	memcpy(part, *rest, length);
	part[length] = '\0';
	*rest += length;
	return true;
}

const struct sim_file *sim_tree_find(const struct sim_tree *tree, const char *path, bool follow)
{
	char at[PATH_SIZE] = "", part[PATH_SIZE], left[2 * PATH_SIZE], turned[2 * PATH_SIZE];
	const struct sim_file *file = find(tree, "/");
	const char *rest = path;

	for (int hops = 0; file && next_part(&rest, part);) {
		if (strcmp(part, ".") == 0)
			continue;
		if (!S_ISDIR(file->mode))
			return NULL;
		if (strcmp(part, "..") == 0) {
			cut_last(at);
		} else {
			if (strlen(at) + strlen(part) + 2 > sizeof(at))
				return NULL;
			strcat(strcat(at, "/"), part);
		}
		file = find(tree, at[0] ? at : "/");
		if (!file || !S_ISLNK(file->mode) || (!*rest && !follow))
			continue;
		if (++hops > HOPS_MAX || strlen(file->target) + strlen(rest) + 2 > sizeof(turned))
			return NULL;
		snprintf(left, sizeof(left), "%s", rest); /* that is in turned, perhaps */
		snprintf(turned, sizeof(turned), "%s/%s", file->target, left);
		if (file->target[0] == '/')
			at[0] = '\0';
		else
			cut_last(at);
		rest = turned;
		file = find(tree, at[0] ? at : "/");
	}
	return *rest && strspn(rest, "/") < strlen(rest) ? NULL : file;
}

/*
 * Where an entry of a tar goes: below the folder, through links that lead to folders; what is missing
 * on the way is made. 0, or negative.
 */
static int place_entry(struct sim_tree *tree, const char *folder, const char *name,
		       char out[PATH_SIZE], struct gantry_error *err)
{
	char part[PATH_SIZE];
	const struct sim_file *file;

	snprintf(out, PATH_SIZE, "%s", strcmp(folder, "/") == 0 ? "" : folder);
	while (next_part(&name, part)) {
		if (strcmp(part, ".") == 0)
			continue;
		file = sim_tree_find(tree, out[0] ? out : "/", true);
		if (!file &&
		    sim_tree_put(tree, &(struct sim_file){.path = out, .mode = S_IFDIR | 0755},
				 err) < 0)
			return err->code;
		if (file)
			snprintf(out, PATH_SIZE, "%s",
				 strcmp(file->path, "/") == 0 ? "" : file->path);
		if (strcmp(part, "..") == 0)
			return gantry_error_set(err, -EINVAL, "%.200s leads out of the folder",
						name);
		if (file && !S_ISDIR(file->mode))
			return gantry_error_set(err, -EINVAL, "%.200s is no folder", file->path);
		if (strlen(out) + strlen(part) + 2 > PATH_SIZE)
			return gantry_error_set(err, -EINVAL, "a name is longer than %d bytes",
						PATH_SIZE);
		strcat(strcat(out, "/"), part);
	}
	if (!out[0])
		strcpy(out, "/");
	return 0;
}

/* --- tars --- */

static int tar_fail(struct archive *tar, struct gantry_error *err)
{
	const char *words = archive_error_string(tar);

	return gantry_error_set(err, -EINVAL, "it is no whole tar: %s", words ? words : "unknown");
}

/* A name that this program's locale has no letters for is taken as it is. */
static const char *either(const char *text, const char *utf8)
{
	return text ? text : utf8;
}

static int read_data(struct sim_tree *tree, struct archive *tar, struct sim_bytes *data,
		     struct gantry_error *err)
{
	char part[65536];
	la_ssize_t length;

	while ((length = archive_read_data(tar, part, sizeof(part))) > 0) {
		sim_bytes_add(data, part, (size_t)length);
		if (sim_disk_check(tree->node, (int64_t)data->length, err) < 0)
			return err->code;
	}
	return length < 0 ? tar_fail(tar, err) : 0;
}

/* In a layer of an image ".wh.NAME" takes NAME away, and ".wh..wh..opq" what is in the folder. */
static bool is_whiteout(struct sim_tree *tree, char *path)
{
	char *base = strrchr(path, '/') + 1;

	if (strncmp(base, ".wh.", 4) != 0)
		return false;
	if (strcmp(base, ".wh..wh..opq") == 0) {
		base[-1] = '\0';
		remove_below(tree, path[0] ? path : "/", false);
	} else {
		memmove(base, base + 4, strlen(base + 4) + 1);
		remove_below(tree, path, true);
	}
	return true;
}

static int unpack_entry(struct sim_tree *tree, const char *folder, struct archive *tar,
			struct archive_entry *entry, bool layer, struct gantry_error *err)
{
	const char *name =
		either(archive_entry_pathname(entry), archive_entry_pathname_utf8(entry));
	const char *linked =
		either(archive_entry_hardlink(entry), archive_entry_hardlink_utf8(entry));
	struct sim_file file = {
		.target = either(archive_entry_symlink(entry), archive_entry_symlink_utf8(entry)),
		.mode = archive_entry_mode(entry),
		.uid = (uint32_t)archive_entry_uid(entry),
		.gid = (uint32_t)archive_entry_gid(entry),
		.modified_s = archive_entry_mtime(entry),
	};
	const struct sim_file *there;
	struct sim_bytes data = {0};
	char path[PATH_SIZE], other[PATH_SIZE];
	int code;

	if (!name || place_entry(tree, folder, name, path, err) < 0)
		return name ? err->code
			    : gantry_error_set(err, -EINVAL, "an entry of the tar has no name");
	if (layer && is_whiteout(tree, path))
		return 0;
	there = find(tree, path);
	if (there && S_ISDIR(there->mode) != S_ISDIR(file.mode)) {
		if (!layer)
			return gantry_error_set(err, -EINVAL, "%.200s is %s folder", path,
						S_ISDIR(there->mode) ? "a" : "no");
		remove_below(tree, path, true);
	}
	file.path = path;
	if (linked) {
		if (place_entry(tree, folder, linked, other, err) < 0)
			return err->code;
		there = find(tree, other);
		if (!there)
			return gantry_error_set(err, -EINVAL,
						"%.200s is a link to what is not there", path);
		file.mode = there->mode;
		sim_bytes_add(&data, there->data, there->length);
	}
	code = linked ? 0 : read_data(tree, tar, &data, err);
	file.data = data.data;
	file.length = data.length;
	if (code == 0)
		code = sim_tree_put(tree, &file, err);
	sim_bytes_fini(&data);
	return code;
}

int sim_tree_unpack(struct sim_tree *tree, const char *folder, const struct sim_bytes *bytes,
		    bool layer, struct gantry_error *err)
{
	struct archive *tar = archive_read_new();
	struct archive_entry *entry;
	int code, failed = 0;

	if (!tar)
		abort();
	archive_read_support_format_tar(tar);
	archive_read_support_filter_gzip(tar);
	if (archive_read_open_memory(tar, bytes->data ? bytes->data : "", bytes->length) !=
	    ARCHIVE_OK)
		failed = tar_fail(tar, err);
	while (failed == 0) {
		code = archive_read_next_header(tar, &entry);
		if (code == ARCHIVE_EOF)
			break;
		failed = code < ARCHIVE_WARN ? tar_fail(tar, err)
					     : unpack_entry(tree, folder, tar, entry, layer, err);
	}
	archive_read_free(tar);
	return failed;
}

static la_ssize_t on_write(struct archive *tar, void *arg, const void *data, size_t length)
{
	(void)tar;
	sim_bytes_add(arg, data, length);
	return (la_ssize_t)length;
}

static void pack_file(struct archive *tar, const struct sim_file *file, const char *name)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_mode(entry, file->mode);
	archive_entry_set_uid(entry, file->uid);
	archive_entry_set_gid(entry, file->gid);
	archive_entry_set_mtime(entry, file->modified_s, 0);
	archive_entry_set_size(entry, S_ISREG(file->mode) ? (la_int64_t)file->length : 0);
	if (S_ISLNK(file->mode))
		archive_entry_set_symlink(entry, file->target);
	if (archive_write_header(tar, entry) >= ARCHIVE_WARN && S_ISREG(file->mode))
		archive_write_data(tar, file->data, file->length);
	archive_entry_free(entry);
}

void sim_tree_pack(const struct sim_tree *tree, const char *path, const char *name,
		   struct sim_bytes *out)
{
	struct archive *tar = archive_write_new();
	size_t length = strcmp(path, "/") == 0 ? 0 : strlen(path);
	bool bare = !*name || strcmp(name, "/") == 0; /* it ends with no part of a name */
	char whole[2 * PATH_SIZE];

	if (!tar)
		abort();
	archive_write_set_format_gnutar(tar);
	archive_write_set_bytes_in_last_block(tar, 512);
	archive_write_open(tar, out, NULL, on_write, NULL);
	for (size_t at = place_of(tree, path); at < tree->count; at++) {
		const struct sim_file *file = &tree->files[at];

		if (strncmp(file->path, path, strlen(path)) != 0)
			break;
		if (strcmp(file->path, path) == 0) {
			if (*name)
				pack_file(tar, file, name);
		} else if (is_below(file->path, path)) {
			snprintf(whole, sizeof(whole), "%s%s", name,
				 file->path + length + (bare ? 1 : 0));
			pack_file(tar, file, whole);
		}
	}
	archive_write_close(tar);
	archive_write_free(tar);
}

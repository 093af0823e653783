/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar that somebody else made, perhaps a hostile one, becomes files here.
 *
 *	entry ─▶ its name: below the first one's, no ".." ─▶ ours ─▶ libarchive writes it, and refuses to go
 *	through a symbolic link, out by ".." or to an absolute name ─▶ a file gets its name once it is whole
 *
 * Ends early: what was being written is taken away again, what is whole stays.
 */
#include "ctl/tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/str.h"
#include "ctl/output.h"

#define SECURE                                                                                     \
	(ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |                       \
	 ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS)

struct unpacker {
	struct archive *tar, *disk; /* owned */
	const char *name;
	char *root; /* owned: the first entry's name in the tar; NULL before it */
	bool owners;
	ssize_t (*read)(void *arg, const char **ret_data, struct gantry_error *err);
	void *arg;
	struct gantry_error read_error; /* code 0: none */
	struct tar_counts counts;
};

static la_ssize_t on_read(struct archive *tar, void *arg, const void **ret_data)
{
	struct unpacker *unpacker = arg;
	const char *data = NULL;
	ssize_t length = unpacker->read(unpacker->arg, &data, &unpacker->read_error);

	*ret_data = data;
	if (length < 0)
		archive_set_error(tar, (int)-length, "not read");
	return length < 0 ? -1 : (la_ssize_t)length;
}

static int fail(const struct unpacker *unpacker, struct archive *archive, const char *what,
		struct gantry_error *err)
{
	const char *words = archive_error_string(archive);
	int code = archive_errno(archive);

	if (unpacker->read_error.code < 0) {
		*err = unpacker->read_error;
		return err->code;
	}
	return gantry_error_set(err, code > 0 ? -code : -EIO, "%s: %s", what,
				words ? words : "it failed");
}

/* --- names --------------------------------------------------------------------------------------- */

/* Without "/" and "./" in front and slashes at the end; the caller frees. */
static char *plain(const char *path)
{
	char *copy;
	size_t length;

	while (path[0] == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	copy = xstrdup(path);
	length = strlen(copy);
	while (length > 0 && copy[length - 1] == '/')
		copy[--length] = '\0';
	if (strcmp(copy, ".") == 0)
		copy[0] = '\0';
	return copy;
}

static bool climbs(const char *path)
{
	for (const char *part = path; *part; part += strspn(part, "/")) {
		size_t length = strcspn(part, "/");

		if (length == 2 && part[0] == '.' && part[1] == '.')
			return true;
		part += length;
	}
	return false;
}

/* A name in the tar as a path here, or NULL where it is not below the root. The caller frees. */
static char *place(const struct unpacker *unpacker, const char *path)
{
	char *name = plain(path), *found = NULL;
	size_t length = strlen(unpacker->root);
	const char *rest = name + length;

	if (strncmp(name, unpacker->root, length) == 0 && (!*rest || *rest == '/' || !length) &&
	    !climbs(rest)) {
		rest += strspn(rest, "/");
		if (!*rest)
			found = xstrdup(unpacker->name);
		else if (strcmp(unpacker->name, ".") == 0)
			found = xstrdup(rest);
		else
			found = xasprintf("%s/%s", unpacker->name, rest);
	}
	free(name);
	return found;
}

/* Beside the file, hidden, and ours. The caller frees. */
static char *unfinished_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return xasprintf("%.*s.gantry-cp.%d", slash ? (int)(slash - path) + 1 : 0, path,
			 (int)getpid());
}

/* --- entries ------------------------------------------------------------------------------------- */

static int copy_data(struct unpacker *unpacker, const char *path, struct gantry_error *err)
{
	const void *data;
	size_t length;
	la_int64_t at;
	int code;

	while ((code = archive_read_data_block(unpacker->tar, &data, &length, &at)) == ARCHIVE_OK) {
		if (archive_write_data_block(unpacker->disk, data, length, at) < 0)
			return fail(unpacker, unpacker->disk, path, err);
		unpacker->counts.bytes += (int64_t)length;
	}
	return code == ARCHIVE_EOF ? 0 : fail(unpacker, unpacker->tar, path, err);
}

static int unpack_file(struct unpacker *unpacker, struct archive_entry *entry, const char *path,
		       struct gantry_error *err)
{
	char *unfinished = unfinished_name(path);
	int code = 0;

	archive_entry_copy_pathname(entry, unfinished);
	if (archive_write_header(unpacker->disk, entry) < ARCHIVE_WARN) {
		code = fail(unpacker, unpacker->disk, path, err);
		free(unfinished);
		return code;
	}
	code = copy_data(unpacker, path, err);
	if (archive_write_finish_entry(unpacker->disk) < ARCHIVE_WARN && code == 0)
		code = fail(unpacker, unpacker->disk, path, err);
	if (code == 0 && rename(unfinished, path) < 0)
		code = gantry_error_set(err, -errno, "%s: %s", path, strerror(errno));
	if (code < 0)
		unlink(unfinished);
	else
		unpacker->counts.files++;
	free(unfinished);
	return code;
}

static int unpack_other(struct unpacker *unpacker, struct archive_entry *entry, const char *path,
			struct gantry_error *err)
{
	archive_entry_copy_pathname(entry, path);
	if (archive_write_header(unpacker->disk, entry) < ARCHIVE_WARN ||
	    archive_write_finish_entry(unpacker->disk) < ARCHIVE_WARN)
		return fail(unpacker, unpacker->disk, path, err);
	if (archive_entry_hardlink(entry))
		unpacker->counts.files++;
	else if (archive_entry_filetype(entry) == AE_IFDIR)
		unpacker->counts.folders++;
	else if (archive_entry_filetype(entry) == AE_IFLNK)
		unpacker->counts.links++;
	return 0;
}

/* What an entry is a hard link to becomes a path here, too. */
static int place_hardlink(struct unpacker *unpacker, struct archive_entry *entry, const char *name,
			  struct gantry_error *err)
{
	const char *target = archive_entry_hardlink(entry);
	char *path = place(unpacker, target);

	if (!path)
		return gantry_error_set(err, -EPERM,
					"refused: %s is a link to %s, outside of what is copied",
					name, target);
	archive_entry_copy_hardlink(entry, path);
	free(path);
	return 0;
}

static int unpack_entry(struct unpacker *unpacker, struct archive_entry *entry,
			struct gantry_error *err)
{
	const char *name = archive_entry_pathname(entry);
	mode_t type = archive_entry_filetype(entry);
	char *path;
	int code = 0;

	if (!name)
		return gantry_error_set(err, -EINVAL, "an entry of the tar has no name");
	if (!unpacker->root)
		unpacker->root = plain(name);
	path = place(unpacker, name);
	if (!path)
		return gantry_error_set(err, -EPERM, "refused: %s is outside of what is copied",
					name);
	if (!unpacker->owners)
		archive_entry_set_perm(entry, archive_entry_perm(entry) & 01777);
	if (archive_entry_hardlink(entry)) {
		code = place_hardlink(unpacker, entry, name, err);
		if (code == 0)
			code = unpack_other(unpacker, entry, path, err);
	} else if (type == AE_IFBLK || type == AE_IFCHR) {
		output_error("%s: left out: a device", path);
		unpacker->counts.left_out++;
	} else if (type == AE_IFREG) {
		code = unpack_file(unpacker, entry, path, err);
	} else if (strcmp(path, ".") != 0) {
		code = unpack_other(unpacker, entry, path, err);
	}
	free(path);
	return code;
}

static int unpack_all(struct unpacker *unpacker, struct gantry_error *err)
{
	struct archive_entry *entry;
	const char *data;
	ssize_t length;
	int code, failed = 0;

	while (failed == 0) {
		code = archive_read_next_header(unpacker->tar, &entry);
		if (code == ARCHIVE_EOF)
			break;
		failed = code < ARCHIVE_WARN ? fail(unpacker, unpacker->tar, "the tar", err)
					     : unpack_entry(unpacker, entry, err);
	}
	/* a tar that was cut between two entries looks as one that has ended: its sender tells */
	while (failed == 0 && (length = unpacker->read(unpacker->arg, &data, err)) != 0)
		failed = length < 0 ? (int)length : 0;
	if (failed == 0 && !unpacker->root)
		failed = gantry_error_set(err, -EIO, "the tar is empty");
	if (archive_write_close(unpacker->disk) < ARCHIVE_WARN && failed == 0)
		failed = fail(unpacker, unpacker->disk, "the last folders", err);
	return failed;
}

int tar_unpack(const char *folder, const char *name, bool owners,
	       ssize_t (*read)(void *arg, const char **ret_data, struct gantry_error *err),
	       void *arg, struct tar_counts *ret_counts, struct gantry_error *err)
{
	struct unpacker unpacker = {
		.tar = archive_read_new(),
		.disk = archive_write_disk_new(),
		.name = name,
		.owners = owners,
		.read = read,
		.arg = arg,
	};
	int code;

	if (!unpacker.tar || !unpacker.disk)
		abort();
	archive_read_support_format_tar(unpacker.tar);
	archive_write_disk_set_options(unpacker.disk, SECURE | ARCHIVE_EXTRACT_PERM |
							      ARCHIVE_EXTRACT_TIME |
							      ARCHIVE_EXTRACT_SPARSE |
							      (owners ? ARCHIVE_EXTRACT_OWNER : 0));
	if (chdir(folder) < 0)
		code = gantry_error_set(err, -errno, "%s: %s", folder, strerror(errno));
	else if (archive_read_open(unpacker.tar, &unpacker, NULL, on_read, NULL) != ARCHIVE_OK)
		code = fail(&unpacker, unpacker.tar, "the tar", err);
	else
		code = unpack_all(&unpacker, err);
	archive_write_free(unpacker.disk);
	archive_read_free(unpacker.tar);
	free(unpacker.root);
	*ret_counts = unpacker.counts;
	return code;
}

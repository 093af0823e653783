/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/tar.h"

#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/str.h"

struct packer {
	struct archive *disk, *tar; /* owned */
	struct archive_entry_linkresolver *links;
	const char *source, *name;
	bool owners;
	int (*write)(void *arg, const void *data, size_t length);
	void *arg;
	int write_error; /* what write answered */
	struct tar_counts counts;
};

static la_ssize_t on_write(struct archive *tar, void *arg, const void *data, size_t length)
{
	struct packer *packer = arg;

	packer->write_error = packer->write(packer->arg, data, length);
	if (packer->write_error < 0) {
		archive_set_error(tar, -packer->write_error, "not taken");
		return -1;
	}
	return (la_ssize_t)length;
}

static int fail(const struct packer *packer, struct archive *archive, struct gantry_error *err)
{
	const char *words = archive_error_string(archive);
	int code = archive_errno(archive);

	if (packer->write_error < 0)
		return packer->write_error; /* who wrote knows why */
	return gantry_error_set(err, code > 0 ? -code : -EIO, "%s: %s", packer->source,
				words ? words : "cannot be read");
}

/* Where it is in the tar; NULL: not at all. The caller frees. */
static char *name_in_tar(const struct packer *packer, const char *path)
{
	const char *rest = path + strlen(packer->source);

	rest += strspn(rest, "/");
	if (strcmp(packer->name, ".") == 0)
		return *rest ? xstrdup(rest) : NULL;
	return *rest ? xasprintf("%s/%s", packer->name, rest) : xstrdup(packer->name);
}

static int copy_data(struct packer *packer, struct gantry_error *err)
{
	const void *data;
	size_t length;
	la_int64_t at, written = 0;
	int code;

	while ((code = archive_read_data_block(packer->disk, &data, &length, &at)) == ARCHIVE_OK) {
		static const char zeros[65536];

		/* the writer knows where the holes are, and wants the bytes between them at their place */
		for (; written < at; written += (la_int64_t)sizeof(zeros)) {
			size_t hole = (size_t)(at - written) < sizeof(zeros)
					      ? (size_t)(at - written)
					      : sizeof(zeros);

			if (archive_write_data(packer->tar, zeros, hole) < 0)
				return fail(packer, packer->tar, err);
			if (hole < sizeof(zeros))
				break;
		}
		if (archive_write_data(packer->tar, data, length) < 0)
			return fail(packer, packer->tar, err);
		written = at + (la_int64_t)length;
		packer->counts.bytes += (int64_t)length;
	}
	return code == ARCHIVE_EOF ? 0 : fail(packer, packer->disk, err);
}

static void count(struct tar_counts *counts, struct archive_entry *entry)
{
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		counts->files++;
		break;
	case AE_IFDIR:
		counts->folders++;
		break;
	case AE_IFLNK:
		counts->links++;
		break;
	default:
		break;
	}
}

static int pack_entry(struct packer *packer, struct archive_entry *entry, struct gantry_error *err)
{
	char *name = name_in_tar(packer, archive_entry_pathname(entry));
	struct archive_entry *later = NULL;
	int code = 0;

	if (!name)
		return 0;
	archive_entry_copy_pathname(entry, name);
	free(name);
	if (!packer->owners) {
		archive_entry_set_uid(entry, 0);
		archive_entry_set_gid(entry, 0);
		archive_entry_copy_uname(entry, NULL);
		archive_entry_copy_gname(entry, NULL);
	}
	archive_entry_linkify(packer->links, &entry, &later);
	count(&packer->counts, entry);
	if (archive_write_header(packer->tar, entry) < ARCHIVE_WARN)
		return fail(packer, packer->tar, err);
	if (archive_entry_filetype(entry) == AE_IFREG && archive_entry_size(entry) > 0)
		code = copy_data(packer, err);
	return code;
}

static int pack_all(struct packer *packer, struct gantry_error *err)
{
	struct archive_entry *entry = archive_entry_new2(packer->disk);
	int code, failed = 0;

	if (archive_read_disk_open(packer->disk, packer->source) != ARCHIVE_OK)
		failed = fail(packer, packer->disk, err);
	while (failed == 0) {
		archive_entry_clear(entry);
		code = archive_read_next_header2(packer->disk, entry);
		if (code == ARCHIVE_EOF)
			break;
		if (code < ARCHIVE_WARN)
			failed = fail(packer, packer->disk, err);
		else
			failed = pack_entry(packer, entry, err);
		if (failed == 0 && archive_read_disk_can_descend(packer->disk))
			archive_read_disk_descend(packer->disk);
	}
	archive_entry_free(entry);
	if (failed == 0 && archive_write_close(packer->tar) != ARCHIVE_OK)
		failed = fail(packer, packer->tar, err);
	return failed;
}

int tar_pack(const char *source, const char *name, bool owners,
	     int (*write)(void *arg, const void *data, size_t length), void *arg,
	     struct tar_counts *ret_counts, struct gantry_error *err)
{
	struct packer packer = {
		.disk = archive_read_disk_new(),
		.tar = archive_write_new(),
		.links = archive_entry_linkresolver_new(),
		.source = source,
		.name = name,
		.owners = owners,
		.write = write,
		.arg = arg,
	};
	int code;

	if (!packer.disk || !packer.tar || !packer.links)
		abort();
	archive_read_disk_set_symlink_hybrid(
		packer.disk); /* one that is named with a slash is followed */
	archive_read_disk_set_standard_lookup(packer.disk);
	archive_read_disk_set_behavior(packer.disk, ARCHIVE_READDISK_NO_XATTR |
							    ARCHIVE_READDISK_NO_ACL |
							    ARCHIVE_READDISK_NO_FFLAGS);
	archive_write_set_format_pax_restricted(packer.tar);
	archive_write_set_bytes_per_block(packer.tar, 65536);
	archive_write_set_bytes_in_last_block(packer.tar, 512);
	archive_entry_linkresolver_set_strategy(packer.links, archive_format(packer.tar));
	if (archive_write_open(packer.tar, &packer, NULL, on_write, NULL) != ARCHIVE_OK)
		code = fail(&packer, packer.tar, err);
	else
		code = pack_all(&packer, err);
	if (code < 0)
		archive_write_fail(packer.tar);
	archive_entry_linkresolver_free(packer.links);
	archive_write_free(packer.tar);
	archive_read_free(packer.disk);
	*ret_counts = packer.counts;
	return code;
}

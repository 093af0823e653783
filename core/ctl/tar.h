/* SPDX-License-Identifier: Apache-2.0 */
/* Files here to a tar, and back: what `cp` does at our end, by libarchive. */
#ifndef CTL_TAR_H
#define CTL_TAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <gantry/error.h>

struct tar_counts {
	int64_t files, folders, links, bytes; /* bytes: of the files' contents */
	int64_t left_out;                     /* told by tar_unpack on standard error */
};

/*
 * Packs what is at source (no slash at its end; a symbolic link: itself, but for one with "/.") and below. In the tar it is called
 * name; ".": what is in the folder, without the folder itself. owners: as they are, else root. write takes all,
 * or answers a negative errno, which ends it.
 */
int tar_pack(const char *source, const char *name, bool owners,
	     int (*write)(void *arg, const void *data, size_t length), void *arg,
	     struct tar_counts *ret_counts, struct gantry_error *err);

/*
 * Unpacks into the folder, which becomes the working folder: the first entry, whatever its name, is called
 * name (".": it is the folder itself, and left as it is) and all others must be below it. No entry reaches
 * anything outside, be it by name, by a link here or by one in the tar: that is an error. Devices are left out; set-id
 * bits too, unless owners are kept. A file appears once it is whole. read answers the next piece, 0 at the
 * end, or a negative errno; it fills *err then.
 */
int tar_unpack(const char *folder, const char *name, bool owners,
	       ssize_t (*read)(void *arg, const char **ret_data, struct gantry_error *err),
	       void *arg, struct tar_counts *ret_counts, struct gantry_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive of images, looked at as it goes by: a Docker archive ("docker save") or an OCI image
 * layout, as tar. Nothing of its layers is kept, however large they are.
 *
 *	feed   passes all on as it is, but for manifest.json, which is kept back
 *	end    passes manifest.json on, with the name that was asked for; an OCI layout without one gets
 *	       it, so that an engine that knows Docker archives only takes it too
 *
 * It fails where it is no tar, ends before its end mark or holds no image; then nothing is to be made
 * of what went out. One that is compressed is passed on as it is, and not looked at.
 */
#ifndef BASE_IMAGE_ARCHIVE_H
#define BASE_IMAGE_ARCHIVE_H

#include <gantry/error.h>

#include <stddef.h>

struct image_archive;

struct image_archive_settings {
	const char *name;    /* what its one image is called; NULL: as the archive says; borrowed */
	const char *machine; /* "x86_64": which of an OCI index; NULL: any; borrowed */
	void (*out)(void *arg, const char *data, size_t length);
	void *arg;
};

struct image_archive *image_archive_new(const struct image_archive_settings *settings);
void image_archive_free(struct image_archive *archive); /* NULL is fine */

/* -EINVAL: it is none. Nothing may be fed after. */
int image_archive_feed(struct image_archive *archive, const char *data, size_t length,
		       struct gantry_error *err);
/* It was whole, and holds an image; else -EINVAL. */
int image_archive_end(struct image_archive *archive, struct gantry_error *err);

#endif

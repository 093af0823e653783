/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives of images between a client and a node, piece by piece: neither is ever whole in memory, and
 * who is behind holds the other back.
 *
 *	save   engine ─▶ looked at (base/image_archive.h) ─▶ client
 *	load   client ─▶ looked at ─▶ engine
 *
 * A load may be asked for once: its name stands for one content. Where the node has that name, or somebody
 * is loading it, that is the answer, and the client's own archive is not wanted. Where the one who gives it
 * leaves amid it, the next one gives his.
 */
#ifndef FLOWS_IMAGE_STREAM_H
#define FLOWS_IMAGE_STREAM_H

#include "base/image_archive.h"
#include "flows/flows.h"

struct node_link;
struct image_loading;
struct image_loader;
struct image_saver;

/* From the loop, never from inside a call below. */
struct image_load_events {
	/* Its bytes are wanted, or again after a write that returned false. */
	void (*more)(struct image_loader *loader);
	/* The end. names: as gantry_runtime.image_load tells them; loaded: by this or another's bytes. */
	void (*done)(struct image_loader *loader, const struct gantry_error *err,
		     const struct gantry_strings *names, bool loaded);
};

/* Embedded in its owner. */
struct image_loader {
	struct list link;
	struct image_loading *loading; /* borrowed; NULL: over */
	const struct image_load_events *events;
};

struct image_load_request {
	const char *name; /* what the image is called then; NULL: as its archive says; copied */
	bool once;
};

/* Asks the policies for "image_load". 0: done will come, unless it leaves. */
int image_load_open(struct image_loader *loader, struct daemon *daemon, const struct flows_ask *ask,
		    struct node_link *link, const struct image_load_request *request,
		    const struct image_load_events *events, struct gantry_error *err);
/* After more. False: wait for more, or for done. */
bool image_load_write(struct image_loader *loader, const char *data, size_t length);
void image_load_end(struct image_loader *loader);
void image_load_leave(struct image_loader *loader); /* no call after; not after done */

struct image_save_events {
	/* False: it is behind; image_save_resume says when it is not. */
	bool (*data)(struct image_saver *saver, const char *data, size_t length);
	void (*done)(struct image_saver *saver, const struct gantry_error *err);
};

/* Embedded in its owner. */
struct image_saver {
	struct gantry_op *op;
	struct image_archive *archive; /* owned until done or close */
	const struct image_save_events *events;
	struct gantry_error err; /* of the archive; code 0: none */
};

/* Asks the policies for "image_save". */
int image_save_open(struct image_saver *saver, struct daemon *daemon, const struct flows_ask *ask,
		    struct node_link *link, const char *image,
		    const struct image_save_events *events, struct gantry_error *err);
void image_save_resume(struct image_saver *saver);
void image_save_close(struct image_saver *saver); /* no call after; not after done */

#endif

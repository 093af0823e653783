/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to a node: a session that keeps what we believe of an engine equal to what it holds.
 *
 *	DOWN ──timer──▶ CONNECTING: probe, images, claim, watch ──sync──▶ UP
 *	  ▲                  │ any failure                                 │ the watch or the claim ends
 *	  └──────────────────┴─────────────────────────────────────────────┘
 *
 * The claim comes before anything of ours on the engine is looked at: another daemon with our owner
 * may be at work there. Where one is, this one does not start; a node that finds it later stays down and
 * tries again, so that it takes over when that one is gone.
 * On sync: instances that were unknown are what they were; containers with our label that nobody
 * knows are taken in (the store was lost) or, where a flow is to go on with them, given to it; then
 * the interrupted flows of the node go on. On the way down every instance of it becomes unknown. The
 * time to the next try grows from half a second to half a minute.
 */
#ifndef FLOWS_NODE_LINK_H
#define FLOWS_NODE_LINK_H

#include <gantry/runtime.h>

#include "flows/daemon.h"
#include "flows/engine/start_window.h"

struct node_link {
	struct daemon *daemon;
	struct node node;
	const struct settings_node *settings; /* borrowed */
	const struct gantry_runtime *runtime; /* borrowed from the plugin */
	void *handle;                         /* the plugin's node, owned: node_close at the end */

	struct gantry_op *op; /* what the session waits for: probe or watch */
	struct gantry_op
		*claim_op; /* NULL: the engine is not ours, or its plugin offers no claim */
	struct gantry_claim claim;
	struct gantry_error
		lost; /* why it is to go down though the watch still runs; code 0: it is not */
	struct gantry_op *image_op; /* a refresh of the image list */
	bool images_stale;
	struct gantry_op *reach_op; /* see reach.h */
	struct list reach_line;     /* of instance->reach: who is to be looked at */
	char reach_of[INSTANCE_ID_SIZE];
	struct gantry_op *ping_op; /* see still_there.h */
	struct list proof_line,
		proof_asked; /* of instance->proof: for the next ping, for this one */
	struct arena images_arena;
	const char **image_names; /* sorted: tags, digests and ids */
	size_t image_count;

	struct start_window window;
	struct loop_timer lowered; /* how long it still is: see start_faults.h */
	int64_t lowered_ms;        /* of the last time, 0: none since a start went well */
	struct list strays;        /* owned: see strays.h */
	struct gantry_watch_sink sink;
	struct gantry_anchor anchor; /* of the last event */
	struct gantry_anchor firm;   /* up to here all exits are recorded: this one is stored */
	struct list anchor_moved;    /* in daemon->anchors until it is stored */
	int untold; /* exits that were heard of and not recorded yet: firm stays before them */
	char boot_id[64];  /* of its host, as it was told last */
	int64_t booted_ms; /* when it was seen to be another one than before; 0: never */
	struct loop_timer retry;
	int64_t retry_ms;
	bool claim_known; /* whether the engine is ours, at the first attempt */
	bool tried;       /* the first attempt is over, well or not */
	bool synced;      /* since it last went up */
	bool after_gap;   /* events were missed before it did */
	bool closing;
};

/* Takes the handle over. Does no I/O before node_link_open. */
struct node_link *node_link_new(struct daemon *daemon, const struct settings_node *settings,
				const struct gantry_runtime *runtime, void *handle);
void node_link_open(struct node_link *link);
/* Ends the session; its ops are gone when the daemon's scope is empty. */
void node_link_close(struct node_link *link);
void node_link_free(struct node_link *link);

/* Takes the node down: nothing more is asked of its engine before it answers anew. */
void node_link_lose(struct node_link *link, const struct gantry_error *err);
struct node_link *node_link_find(struct daemon *daemon, const char *name);
/* The image is on the node as far as the list says. */
bool node_link_has_image(const struct node_link *link, const char *image);
/* An image came or went by our own doing: list anew. */
void node_link_refresh_images(struct node_link *link);

#endif

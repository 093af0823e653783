/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of any length, read and written as the caller likes: the other side waits meanwhile. Memory is
 * bounded. The client's wake ends them as it ends a call.
 */
#ifndef CTL_TRANSFER_H
#define CTL_TRANSFER_H

#include <sys/types.h>

#include "ctl/client.h"

struct transfer_body;

/*
 * GET. Returns once the answer begins. *ret_body NULL: it is a problem, in *ret_reply, which is the
 * caller's in both cases (its path tells what is read).
 */
int download_open(struct client *client, const char *path, struct transfer_body **ret_body,
		  struct client_reply *ret_reply, struct gantry_error *err);
/* The next piece, good until the next call: its length, 0 at the end, or why not. */
ssize_t download_read(struct transfer_body *body, const char **ret_data, struct gantry_error *err);
void download_close(struct transfer_body *body); /* at any time */

/* PUT or POST of a tar. */
struct transfer_body *upload_open(struct client *client, const char *method, const char *path);
/* 0; -EPIPE: the answer is there already, go on with upload_end; or why not. */
int upload_write(struct transfer_body *body, const void *data, size_t length,
		 struct gantry_error *err);
/* Ends it, waits for the answer and closes. *ret_reply is the caller's where this is 0. */
int upload_end(struct transfer_body *body, struct client_reply *ret_reply,
	       struct gantry_error *err);
void upload_abort(struct transfer_body *body); /* amid it: the peer can tell */

#endif

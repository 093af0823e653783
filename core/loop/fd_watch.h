/* SPDX-License-Identifier: Apache-2.0 */
/* Tells when a descriptor can be read or written. */
#ifndef LOOP_FD_WATCH_H
#define LOOP_FD_WATCH_H

#include <gantry/error.h>

#include "loop/loop.h"

struct fd_watch;

/*
 * The descriptor is the caller's, and open as long as it is watched. Nothing is told until
 * fd_watch_set; from then on ready is called from the loop as long as it is so.
 */
int fd_watch_open(struct loop *loop, int fd, void (*ready)(void *arg, bool readable, bool writable),
		  void *arg, struct fd_watch **ret_watch, struct gantry_error *err);
void fd_watch_set(struct fd_watch *watch, bool readable, bool writable);
/* No call after this; the descriptor may be closed. NULL does nothing. */
void fd_watch_close(struct fd_watch *watch);

#endif

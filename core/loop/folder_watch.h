/* SPDX-License-Identifier: Apache-2.0 */
/* Tells when something in a folder was changed: at once, or when it has been quiet for a moment. */
#ifndef LOOP_FOLDER_WATCH_H
#define LOOP_FOLDER_WATCH_H

#include <gantry/error.h>

#include "loop/loop.h"

struct folder_watch;

/* changed is called from the loop, quiet_ms after the last change of a burst; 0: at each. */
int folder_watch_open(struct loop *loop, const char *path, int64_t quiet_ms,
		      void (*changed)(void *arg), void *arg, struct folder_watch **ret_watch,
		      struct gantry_error *err);
/* No call after this. NULL does nothing. */
void folder_watch_close(struct folder_watch *watch);

#endif

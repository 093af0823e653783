/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call for each of several instances, all at once: a thread and a connection for each, and what they bring is
 * printed by the main thread alone. What prints by itself, as a whole command, is many.c's.
 */
#ifndef CTL_EACH_H
#define CTL_EACH_H

#include <pthread.h>

#include "base/list.h"
#include "ctl/client.h"
#include "ctl/ctl.h"

struct each;

/* Embedded in its owner, zero-filled. */
struct each_call {
	struct each *each; /* borrowed */
	const char *name;  /* of the instance; borrowed */

	/* run's: the answer; error below 0: there is none */
	int error;
	struct gantry_error failure;
	struct client_reply reply;
	struct client *client;

	/* under the lock */
	bool ended;

	/* each.c's own */
	pthread_t thread;
	bool begun;
};

struct each {
	struct ctl *ctl;
	void (*run)(struct each_call *call); /* in the thread */
	pthread_mutex_t lock;
	pthread_cond_t changed;  /* there is something new; on the monotonic clock */
	struct each_call *first; /* that has ended; NULL: none has. Under the lock */
	int cancel_fd;           /* readable once nobody is to go on */
};

/* Here and below an exit status; what is wrong was printed. Where it fails nothing is to be let go. */
int each_init(struct each *each, struct ctl *ctl, void (*run)(struct each_call *call));
/* One that does not begin has ended. */
int each_begin(struct each *each, struct each_call *call, const char *name);
/* Those that are under way are broken off. */
void each_cancel(struct each *each);
/* Waits for its thread. */
void each_end(struct each_call *call);
void each_fini(struct each *each);

#endif

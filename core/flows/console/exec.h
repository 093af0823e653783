/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process beside an instance's that was asked for and admitted, and waits for the one who asked to come
 * and sit at it.
 *
 *	exec_create ─▶ exec_take, once, within EXEC_WAIT_MS ─▶ console_exec
 *
 * So what it is asked with (secrets in its environment) is in the body of a request, and the address of the
 * WebSocket, which logs show, holds no more than an id that is worth nothing once it was used.
 */
#ifndef FLOWS_EXEC_H
#define FLOWS_EXEC_H

#include <gantry/runtime.h>

#include "base/arena.h"
#include "flows/flows.h"
#include "flows/policy/admit.h"

#define EXEC_WAIT_MS 30000
#define EXECS_MAX    256 /* that wait */

struct exec {
	struct list link; /* in daemon->execs */
	struct daemon *daemon;
	struct arena arena;
	char id[INSTANCE_ID_SIZE]; /* random, and long enough to be no guess */
	char instance[INSTANCE_ID_SIZE];
	const char *actor;        /* in the arena; nobody else may take it */
	struct gantry_exec asked; /* in the arena */
	struct console_terms terms;
	int64_t expires_ms;
	struct loop_timer due;
};

/* body: see spec_parse_exec. Checks state and policies ("exec"). *ret_exec is the daemon's. */
int exec_create(struct daemon *daemon, const struct flows_ask *ask, struct instance *instance,
		struct json_object *body, const struct exec **ret_exec, struct gantry_error *err);
/* The one of that id, for its actor; it is the caller's, for console_exec. -ENOENT. */
int exec_take(struct daemon *daemon, const char *id, const char *actor, struct exec **ret_exec,
	      struct gantry_error *err);
void exec_free(struct exec *exec);
/* Those that wait, at the end of the daemon. */
void execs_close(struct daemon *daemon);

#endif

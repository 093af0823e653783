/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restarts: gantryd alone starts a process again that ended without anybody having asked for it; the
 * engine's own restart policy is always "no".
 *
 * After such an exit the `restart` hook of the policies is asked, with the cause:
 *
 *	exit     the process ended
 *	oom      it was killed for memory
 *	engine   the engine or its host went down and came back: nobody saw the process end, or the
 *	         engine was on its way down or gone when it told (still_there.h)
 *	start    the last start failed
 *
 * The answer may be a time; it is kept in the instance, so that it holds over a restart of the
 * daemon. When it has come, the flow `start` runs, inside the node's window of starts. Where the node is
 * down then, it runs when the node is back. An instance that is meant to be stopped is never asked
 * about. Without a policy that answers, nothing is restarted.
 *
 * Where starts fail in a row there is a least time before the next, whatever the hook says: a second,
 * and twice as long each time, up to a minute.
 */
#ifndef FLOWS_RESTARTS_H
#define FLOWS_RESTARTS_H

#include "flows/daemon.h"

/* Who asks for the starts. */
#define RESTARTS_ACTOR "gantryd:restart"

/* The process of an instance is over; failed: a start of it was tried and failed. */
void restarts_consider(struct daemon *daemon, struct instance *instance, bool failed);
/* The engine was there when it was asked after that. */
void restarts_engine_there(struct daemon *daemon, struct instance *instance);
/* It was not: the hook is asked when the node is up, and a start that failed meanwhile does not count. */
void restarts_engine_gone(struct daemon *daemon, struct instance *instance);
/* A person took it in hand: what was planned is off, and the count begins anew. */
void restarts_forget(struct daemon *daemon, struct instance *instance);
/* Plans again what the store says was planned. After the instances were loaded. */
void restarts_load(struct daemon *daemon);
/* The node is up: what came due meanwhile is started. */
void restarts_node_is_up(struct daemon *daemon, const struct node *node);
void restarts_close(struct daemon *daemon);

#endif

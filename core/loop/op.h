/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An op: one piece of work under way that somebody else does (a plugin, the store, a timer).
 *
 * It has two owners, and a reference each:
 *   the asker   made it (op_new), names it, hears its end once, may cancel, may let go;
 *   the worker  ends it (op_done) exactly once.
 *
 * The end is delivered from the later-queue: never from inside the call that started the work. When
 * a deadline passes or the asker cancels, the worker's cancel function is called; the asker hears
 * the end as soon as the worker gives it, or, for a deadline, after a further second, whatever
 * the worker does (code -ETIMEDOUT): then the op is dead and a late answer is dropped.
 *
 * Memory: the op's arena lives until the end was delivered and the worker is done. Scope: every op
 * belongs to one; a scope tells what is pending by name, and can cancel all of it.
 */
#ifndef LOOP_OP_H
#define LOOP_OP_H

#include <gantry/host.h>

#include "base/arena.h"
#include "loop/loop.h"

struct op_scope {
	struct loop *loop;
	struct list ops;
	size_t count;
	/* Called from the later-queue each time the last op is gone; may be NULL. */
	void (*on_empty)(struct op_scope *scope);
	struct loop_later empty_later;
};

void op_scope_init(struct op_scope *scope, struct loop *loop, void (*on_empty)(struct op_scope *));
void op_scope_cancel_all(struct op_scope *scope);
/* Calls fn with the name of each pending op and its age. */
void op_scope_walk(struct op_scope *scope, void (*fn)(void *arg, const char *name, int64_t age_ms),
		   void *arg);

/* err is NULL on success; result is the worker's, in the op's memory. Both borrowed for the call. */
typedef void (*op_done_fn)(void *arg, const struct gantry_error *err, const void *result);

struct gantry_op *op_new(struct op_scope *scope, const char *name, op_done_fn done, void *arg);
/* Ends it with -ETIMEDOUT when it takes longer; 0: never. */
void op_set_deadline(struct gantry_op *op, int64_t after_ms);
void op_set_progress(struct gantry_op *op,
		     void (*progress)(void *arg, const struct gantry_progress *progress));
/* Asks the worker to hold back, or to go on. */
void op_pause(struct gantry_op *op, bool paused);
/* A request; the end still comes. */
void op_cancel(struct gantry_op *op);
/* The asker goes away: no end will be delivered. Also cancels. */
void op_forget(struct gantry_op *op);

/* The worker's side. */
void *op_alloc(struct gantry_op *op, size_t size);
struct arena *op_arena(struct gantry_op *op);
void op_done(struct gantry_op *op, const struct gantry_error *err, const void *result);
void op_progress(struct gantry_op *op, const struct gantry_progress *progress);
void op_on_cancel(struct gantry_op *op, void (*cancel)(void *arg), void *arg);
void op_on_pause(struct gantry_op *op, void (*pause)(void *arg, bool paused), void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of an op, as bits that are set once each:
 *
 *   ended      the worker called op_done (its reference is gone)
 *   heard      the asker was told, or let go (its reference is gone)
 *
 * It is freed when both are set. cancelled says that the worker was asked to stop.
 */
#include "loop/op.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

#define OP_GRACE_MS 1000 /* what a worker has between the cancel and the end that is forced */

struct gantry_op {
	struct list link;       /* in the scope's list */
	struct op_scope *scope; /* borrowed */
	struct arena arena;
	char *name; /* in the arena */
	int64_t started_us;
	struct loop_later later;
	struct loop_timer deadline;
	bool ended, heard, cancelled, overdue;
	bool failed;
	struct gantry_error err;
	const void *result; /* in the arena, or static */
	op_done_fn done;
	void (*progress)(void *arg, const struct gantry_progress *progress);
	void *arg; /* borrowed from the asker */
	void (*cancel)(void *arg);
	void *cancel_arg; /* borrowed from the worker */
	bool paused;
	void (*pause)(void *arg, bool paused);
	void *pause_arg; /* borrowed from the worker */
};

static void scope_is_empty(struct loop_later *later)
{
	struct op_scope *scope = LIST_ENTRY(later, struct op_scope, empty_later);

	if (scope->count == 0 && scope->on_empty)
		scope->on_empty(scope);
}

void op_scope_init(struct op_scope *scope, struct loop *loop, void (*on_empty)(struct op_scope *))
{
	*scope = (struct op_scope){.loop = loop, .on_empty = on_empty};
	list_init(&scope->ops);
	loop_later_init(&scope->empty_later, scope_is_empty);
}

void op_scope_cancel_all(struct op_scope *scope)
{
	LIST_FOREACH (node, &scope->ops) {
		op_cancel(LIST_ENTRY(node, struct gantry_op, link));
	}
}

void op_scope_walk(struct op_scope *scope, void (*fn)(void *arg, const char *name, int64_t age_ms),
		   void *arg)
{
	LIST_FOREACH (node, &scope->ops) {
		struct gantry_op *op = LIST_ENTRY(node, struct gantry_op, link);

		fn(arg, op->name, (clock_monotonic_us() - op->started_us) / 1000);
	}
}

static void free_when_over(struct gantry_op *op)
{
	struct op_scope *scope = op->scope;

	if (!op->ended || !op->heard)
		return;
	list_remove(&op->link);
	loop_later_cancel(scope->loop, &op->later);
	loop_timer_stop(scope->loop, &op->deadline);
	arena_fini(&op->arena);
	free(op);
	if (--scope->count == 0 && scope->on_empty)
		loop_later(scope->loop, &scope->empty_later);
}

static void deliver(struct loop_later *later)
{
	struct gantry_op *op = LIST_ENTRY(later, struct gantry_op, later);

	if (!op->heard) {
		op->heard = true;
		loop_timer_stop(op->scope->loop, &op->deadline);
		op->done(op->arg, op->failed ? &op->err : NULL, op->result);
	}
	free_when_over(op);
}

static void on_deadline(struct loop_timer *timer)
{
	struct gantry_op *op = LIST_ENTRY(timer, struct gantry_op, deadline);

	if (!op->overdue) {
		op->overdue = true;
		loop_timer_start(op->scope->loop, timer, OP_GRACE_MS);
		op_cancel(op);
		return;
	}
	op->failed = true;
	gantry_error_set(&op->err, -ETIMEDOUT, "%s: no answer in time", op->name);
	loop_later(op->scope->loop, &op->later);
}

struct gantry_op *op_new(struct op_scope *scope, const char *name, op_done_fn done, void *arg)
{
	struct gantry_op *op = xcalloc(1, sizeof(*op));

	op->scope = scope;
	op->name = arena_strdup(&op->arena, name);
	op->started_us = clock_monotonic_us();
	op->done = done;
	op->arg = arg;
	loop_later_init(&op->later, deliver);
	loop_timer_init(&op->deadline, on_deadline);
	list_append(&scope->ops, &op->link);
	scope->count++;
	return op;
}

void op_set_deadline(struct gantry_op *op, int64_t after_ms)
{
	if (after_ms > 0 && !op->ended)
		loop_timer_start(op->scope->loop, &op->deadline, after_ms);
}

void op_set_progress(struct gantry_op *op,
		     void (*progress)(void *arg, const struct gantry_progress *progress))
{
	op->progress = progress;
}

void op_pause(struct gantry_op *op, bool paused)
{
	if (op->paused == paused || op->ended)
		return;
	op->paused = paused;
	if (op->pause)
		op->pause(op->pause_arg, paused);
}

void op_cancel(struct gantry_op *op)
{
	void (*cancel)(void *arg) = op->cancel;

	if (op->cancelled || op->ended)
		return;
	op->cancelled = true;
	op->cancel = NULL;
	if (cancel)
		cancel(op->cancel_arg);
}

void op_forget(struct gantry_op *op)
{
	if (op->heard)
		return;
	op_cancel(op);
	op->heard = true;
	/* the caller may be inside the worker's stack: free from the later-queue */
	if (op->ended)
		loop_later(op->scope->loop, &op->later);
	else
		loop_timer_stop(op->scope->loop, &op->deadline);
}

void *op_alloc(struct gantry_op *op, size_t size)
{
	return arena_alloc(&op->arena, size);
}

struct arena *op_arena(struct gantry_op *op)
{
	return &op->arena;
}

void op_done(struct gantry_op *op, const struct gantry_error *err, const void *result)
{
	if (op->ended) {
		log_error("%s: ended twice; the second end is dropped", op->name);
		return;
	}
	op->ended = true;
	op->cancel = NULL;
	if (!op->heard) {
		op->failed = err != NULL;
		if (err)
			op->err = *err;
		if (op->overdue && err && err->code == -ECANCELED)
			gantry_error_set(&op->err, -ETIMEDOUT, "no answer in time");
		op->result = result;
	}
	loop_later(op->scope->loop, &op->later);
}

void op_progress(struct gantry_op *op, const struct gantry_progress *progress)
{
	if (op->progress && !op->heard)
		op->progress(op->arg, progress);
}

void op_on_cancel(struct gantry_op *op, void (*cancel)(void *arg), void *arg)
{
	op->cancel = cancel;
	op->cancel_arg = arg;
	if (op->cancelled && cancel) {
		/* asked before the worker was there to hear it */
		op->cancel = NULL;
		cancel(arg);
	}
}

void op_on_pause(struct gantry_op *op, void (*pause)(void *arg, bool paused), void *arg)
{
	op->pause = pause;
	op->pause_arg = arg;
	if (op->paused && pause)
		pause(arg, true);
}

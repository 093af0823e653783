/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop and its later-queue.
 *
 * Later: a function to run from the loop, after everything that is on the stack now has returned.
 * Completions are delivered so, never from inside the call that started the work. The queue is
 * first in, first out; what is queued while it runs, runs in the next turn.
 *
 * Timers: embedded in their owner, plain to stop, and safe to free at once after loop_timer_stop:
 * they live in a list of ours, in order of time, under one uv_timer, so that no close callback is needed.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/list.h"

struct loop_later {
	struct list link; /* queued where not empty */
	void (*run)(struct loop_later *later);
};

struct loop_timer {
	struct list link;
	int64_t due_us;
	void (*fire)(struct loop_timer *timer);
};

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_idle_t idle; /* active while later is not empty, so that the loop does not sleep */
	uv_timer_t timer;
	struct list later;
	struct list timers; /* by due time */
	int64_t now_us;
};

int loop_init(struct loop *loop);
/* Runs until nothing is left to do. */
void loop_run(struct loop *loop);
/* Closes the loop's own handles and runs until all handles are closed. 0, or -EBUSY where some are left. */
int loop_fini(struct loop *loop);

void loop_later_init(struct loop_later *later, void (*run)(struct loop_later *later));
/* Queues; does nothing where it is queued already. */
void loop_later(struct loop *loop, struct loop_later *later);
void loop_later_cancel(struct loop *loop, struct loop_later *later);

void loop_timer_init(struct loop_timer *timer, void (*fire)(struct loop_timer *timer));
/* Sets, or sets anew. */
void loop_timer_start(struct loop *loop, struct loop_timer *timer, int64_t after_ms);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

#endif

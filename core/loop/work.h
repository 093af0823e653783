/* SPDX-License-Identifier: Apache-2.0 */
/* Work that would block the loop, done by a thread of the pool. */
#ifndef LOOP_WORK_H
#define LOOP_WORK_H

#include "loop/loop.h"

/*
 * Calls run(arg) on a thread of the pool, then done(arg) on the loop, exactly once, also while the
 * loop goes down: whoever frees arg in done has no leak. run touches nothing that the loop uses.
 */
void loop_work(struct loop *loop, void (*run)(void *arg), void (*done)(void *arg), void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many starts a node works at at one time. Engines get slower per start the more of them run side
 * by side, and some collapse; how many are best differs by engine, disk and load. So it is found out:
 *
 *	a round is as many ended starts as the window is wide. After it, with the mean time of a start
 *	in that round and the shortest mean ever seen,
 *	  - the time is flat (those that wait inside the engine would be under 1): one more
 *	  - it is twice the round's before, or more: half as many
 *	  - else as it is, or one less where more than 4 wait inside the engine
 *	The shortest mean is forgotten slowly, so that an engine that has become faster or slower is
 *	learned anew.
 *
 * Who finds the window full waits in line. A window that nobody fills does not grow.
 */
#ifndef FLOWS_START_WINDOW_H
#define FLOWS_START_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define START_WINDOW_FIRST 4
#define START_WINDOW_MAX   64

struct start_slot {
	struct list link; /* in line; empty otherwise */
	bool held;
	int64_t since_us;
	/* The slot is held now: go on. Called at once from start_window_enter, or when one leaves. */
	void (*go)(struct start_slot *slot);
};

struct start_window {
	int width; /* how many may be at work */
	int at_work;
	int in_line;
	struct list line;         /* struct start_slot, first come first */
	bool was_full;            /* in this round */
	bool closed;              /* see start_window_close */
	int ended;                /* in this round */
	int64_t sum_us;           /* of this round's times */
	int64_t mean_us, best_us; /* of the last round; the shortest so far. 0: none yet */
};

void start_window_init(struct start_window *window);
void start_slot_init(struct start_slot *slot, void (*go)(struct start_slot *slot));
void start_window_enter(struct start_window *window, struct start_slot *slot);
/* Gives the slot back, or leaves the line; does nothing for one that is in neither. good: the start
 * ended well, and its time counts. */
void start_window_leave(struct start_window *window, struct start_slot *slot, bool good);
/* Nobody goes on any more: who is in line stays there, also when slots come free. */
void start_window_close(struct start_window *window);

#endif

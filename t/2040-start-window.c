/* SPDX-License-Identifier: Apache-2.0 */
/* The window of starts: never over its width, first come first, grows while flat, halves on a rise. */
#include "flows/engine/start_window.h"
#include "base/clock.h"

#include "tap.h"

static struct start_window window;
static int gone_on[32], gone_count;
static struct start_slot slots[8];

static void go(struct start_slot *slot)
{
	gone_on[gone_count++] = (int)(slot - slots);
}

static void go_unheard(struct start_slot *slot)
{
	(void)slot;
}

/* A round of starts that each took so long; the clock is not waited for. */
static void round_of(int64_t each_us)
{
	int width = window.width;
	struct start_slot many[START_WINDOW_MAX + 1];

	for (int i = 0; i <= width; i++) {
		start_slot_init(&many[i], go_unheard);
		start_window_enter(&window, &many[i]);
	}
	for (int i = 0; i < width; i++) {
		many[i].since_us = clock_monotonic_us() - each_us;
		start_window_leave(&window, &many[i], true);
	}
	for (int i = width; i >= 0; i--)
		start_window_leave(&window, &many[i], false);
}

int main(void)
{
	int before;

	start_window_init(&window);
	for (int i = 0; i < 8; i++) {
		start_slot_init(&slots[i], go);
		start_window_enter(&window, &slots[i]);
	}
	is_int(gone_count, START_WINDOW_FIRST, "as many as it is wide go on at once");
	is_int(window.in_line, 8 - START_WINDOW_FIRST, "the others stand in line");
	start_window_enter(&window, &slots[0]);
	is_int(window.at_work, START_WINDOW_FIRST, "one that holds a slot goes on with it");
	start_window_leave(&window, &slots[5], false);
	start_window_leave(&window, &slots[0], false);
	is_int(gone_on[gone_count - 1], 4, "the first in line is the next");
	start_window_leave(&window, &slots[1], false);
	is_int(gone_on[gone_count - 1], 6, "one that left the line is passed over");
	for (int i = 0; i < 8; i++)
		start_window_leave(&window, &slots[i], false);
	is_int(window.at_work, 0, "all have left");

	for (int i = 0; i < 8; i++)
		start_window_enter(&window, &slots[i]);
	before = gone_count;
	start_window_close(&window);
	for (int i = 0; i < 4; i++)
		start_window_leave(&window, &slots[i], false);
	start_window_enter(&window, &slots[0]);
	is_int(gone_count, before, "once it is closed nobody goes on");
	for (int i = 0; i < 8; i++)
		start_window_leave(&window, &slots[i], false);
	is_int(window.at_work + window.in_line, 0, "and all can leave");
	start_window_init(&window);
	is_int(window.in_line, 0, "and the line is empty");
	is_int(window.width, START_WINDOW_FIRST, "failures teach it nothing");

	for (int i = 0; i < 10; i++)
		round_of(100000);
	ok(window.width > START_WINDOW_FIRST + 5, "a flat time makes it wider: %d", window.width);
	before = window.width;
	round_of(300000);
	is_int(window.width, before / 2, "a time that doubles halves it");
	before = window.width;
	round_of(250000);
	ok(window.width <= before, "while many wait in the engine it does not grow");
	for (int i = 0; i < 300; i++)
		round_of(100000);
	is_int(window.width, START_WINDOW_MAX, "never over its limit");
	for (int i = 0; i < 40; i++)
		round_of((int64_t)100000 << (i < 12 ? i : 12));
	ok(window.width >= 1, "never under one: %d", window.width);
	done_testing();
	return tap_end();
}

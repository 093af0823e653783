/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/engine/start_window.h"
#include "base/clock.h"

#define FLAT_WAITING 1.0
#define MUCH_WAITING 4.0

void start_window_init(struct start_window *window)
{
	*window = (struct start_window){.width = START_WINDOW_FIRST};
	list_init(&window->line);
}

void start_slot_init(struct start_slot *slot, void (*go)(struct start_slot *slot))
{
	*slot = (struct start_slot){.go = go};
	list_init(&slot->link);
}

static void take(struct start_window *window, struct start_slot *slot)
{
	window->at_work++;
	slot->held = true;
	slot->since_us = clock_monotonic_us();
	if (window->at_work >= window->width)
		window->was_full = true;
}

static void learn(struct start_window *window)
{
	int64_t mean_us = window->sum_us / window->ended, before_us = window->mean_us;
	double waiting;

	if (window->best_us == 0 || mean_us < window->best_us)
		window->best_us = mean_us;
	else
		window->best_us += (mean_us - window->best_us) / 32; /* the slow forgetting */
	/* Little's law: of the starts at work so many are in a queue inside the engine */
	waiting = window->width * (1.0 - (double)window->best_us / (double)mean_us);
	if (before_us && mean_us >= 2 * before_us)
		window->width = window->width > 1 ? window->width / 2 : 1;
	else if (waiting < FLAT_WAITING && window->was_full && window->width < START_WINDOW_MAX)
		window->width++;
	else if (waiting > MUCH_WAITING && window->width > 1)
		window->width--;
	window->mean_us = mean_us;
	window->ended = 0;
	window->sum_us = 0;
	window->was_full = window->at_work >= window->width;
}

void start_window_enter(struct start_window *window, struct start_slot *slot)
{
	if (slot->held) {
		slot->go(slot);
		return;
	}
	if (window->at_work < window->width && window->in_line == 0 && !window->closed) {
		take(window, slot);
		slot->go(slot);
		return;
	}
	window->was_full = true;
	window->in_line++;
	list_append(&window->line, &slot->link);
}

void start_window_leave(struct start_window *window, struct start_slot *slot, bool good)
{
	if (!list_empty(&slot->link)) {
		list_remove(&slot->link);
		window->in_line--;
		return;
	}
	if (!slot->held)
		return;
	slot->held = false;
	window->at_work--;
	if (good) {
		window->sum_us += clock_monotonic_us() - slot->since_us;
		if (++window->ended >= window->width)
			learn(window);
	}
	while (window->in_line > 0 && window->at_work < window->width && !window->closed) {
		struct start_slot *next = LIST_ENTRY(window->line.next, struct start_slot, link);

		list_remove(&next->link);
		window->in_line--;
		take(window, next);
		next->go(next);
	}
}

void start_window_close(struct start_window *window)
{
	window->closed = true;
}

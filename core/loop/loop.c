/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"
#include "base/clock.h"

#include <errno.h>

/* Timers are kept in a list by due time: most are set for the same few spans, so that the place of
 * a new one is found from the end in a step or two. */

static void run_later(struct loop *loop)
{
	struct list turn;

	if (list_empty(&loop->later))
		return;
	/* what is queued from now on belongs to the next turn */
	list_init(&turn);
	turn.next = loop->later.next;
	turn.prev = loop->later.prev;
	turn.next->prev = turn.prev->next = &turn;
	list_init(&loop->later);
	while (!list_empty(&turn)) {
		struct loop_later *later = LIST_ENTRY(turn.next, struct loop_later, link);

		list_remove(&later->link);
		later->run(later);
	}
	if (list_empty(&loop->later))
		uv_idle_stop(&loop->idle);
}

static void on_prepare(uv_prepare_t *prepare)
{
	run_later(prepare->data);
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* being active is its work: the poll does not block */
}

static void on_timer(uv_timer_t *uv_timer);

static void arm(struct loop *loop)
{
	struct loop_timer *first;
	int64_t wait_us;

	if (list_empty(&loop->timers)) {
		uv_timer_stop(&loop->timer);
		return;
	}
	first = LIST_ENTRY(loop->timers.next, struct loop_timer, link);
	wait_us = first->due_us - clock_monotonic_us();
	uv_update_time(&loop->uv);
	uv_timer_start(&loop->timer, on_timer, wait_us > 0 ? (uint64_t)(wait_us + 999) / 1000 : 0,
		       0);
}

static void on_timer(uv_timer_t *uv_timer)
{
	struct loop *loop = uv_timer->data;
	int64_t now_us = clock_monotonic_us();

	while (!list_empty(&loop->timers)) {
		struct loop_timer *timer = LIST_ENTRY(loop->timers.next, struct loop_timer, link);

		if (timer->due_us > now_us)
			break;
		list_remove(&timer->link);
		timer->fire(timer);
	}
	arm(loop);
}

int loop_init(struct loop *loop)
{
	int code = uv_loop_init(&loop->uv);

	if (code < 0)
		return code;
	loop->uv.data = loop;
	list_init(&loop->later);
	list_init(&loop->timers);
	uv_prepare_init(&loop->uv, &loop->prepare);
	uv_idle_init(&loop->uv, &loop->idle);
	uv_timer_init(&loop->uv, &loop->timer);
	loop->prepare.data = loop->idle.data = loop->timer.data = loop;
	uv_prepare_start(&loop->prepare, on_prepare);
	uv_unref((uv_handle_t *)&loop->prepare);
	return 0;
}

void loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

int loop_fini(struct loop *loop)
{
	uv_close((uv_handle_t *)&loop->prepare, NULL);
	uv_close((uv_handle_t *)&loop->idle, NULL);
	uv_close((uv_handle_t *)&loop->timer, NULL);
	uv_run(&loop->uv, UV_RUN_NOWAIT);
	return uv_loop_close(&loop->uv) == 0 ? 0 : -EBUSY;
}

void loop_later_init(struct loop_later *later, void (*run)(struct loop_later *later))
{
	list_init(&later->link);
	later->run = run;
}

void loop_later(struct loop *loop, struct loop_later *later)
{
	if (!list_empty(&later->link))
		return;
	list_append(&loop->later, &later->link);
	uv_idle_start(&loop->idle, on_idle);
}

void loop_later_cancel(struct loop *loop, struct loop_later *later)
{
	list_remove(&later->link);
	if (list_empty(&loop->later))
		uv_idle_stop(&loop->idle);
}

void loop_timer_init(struct loop_timer *timer, void (*fire)(struct loop_timer *timer))
{
	list_init(&timer->link);
	timer->fire = fire;
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, int64_t after_ms)
{
	struct list *place;
	bool was_first = loop->timers.next == &timer->link;

	list_remove(&timer->link);
	timer->due_us = clock_monotonic_us() + after_ms * 1000;
	for (place = loop->timers.prev; place != &loop->timers; place = place->prev)
		if (LIST_ENTRY(place, struct loop_timer, link)->due_us <= timer->due_us)
			break;
	list_append(place->next, &timer->link); /* before the one after place */
	if (was_first || loop->timers.next == &timer->link)
		arm(loop);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
	bool was_first = loop->timers.next == &timer->link;

	list_remove(&timer->link);
	if (was_first)
		arm(loop);
}

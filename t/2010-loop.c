/* SPDX-License-Identifier: Apache-2.0 */
/* The later-queue and the timers: order, re-queueing, cancel, and that nothing keeps the loop alive. */
#include "loop/loop.h"
#include "base/clock.h"
#include "base/str.h"

#include "tap.h"

static struct loop loop;
static struct str trace;

struct step {
	struct loop_later later;
	char mark;
	struct step *queues; /* what it queues when it runs */
};

static void run_step(struct loop_later *later)
{
	struct step *step = LIST_ENTRY(later, struct step, later);

	str_add_char(&trace, step->mark);
	if (step->queues) {
		loop_later(&loop, &step->queues->later);
		str_add_char(&trace, '+'); /* the queued one has not run inside of us */
	}
}

struct alarm {
	struct loop_timer timer;
	char mark;
	struct alarm *stops;
};

static void fire(struct loop_timer *timer)
{
	struct alarm *alarm = LIST_ENTRY(timer, struct alarm, timer);

	str_add_char(&trace, alarm->mark);
	if (alarm->stops)
		loop_timer_stop(&loop, &alarm->stops->timer);
}

static void test_later(void)
{
	struct step c = {.mark = 'c'}, b = {.mark = 'b', .queues = &c},
		    a = {.mark = 'a', .queues = &b};
	struct step d = {.mark = 'd'}, e = {.mark = 'e'};
	struct step *all[] = {&a, &b, &c, &d, &e};

	for (size_t i = 0; i < 5; i++)
		loop_later_init(&all[i]->later, run_step);
	loop_later(&loop, &a.later);
	loop_later(&loop, &d.later);
	loop_later(&loop, &d.later);
	loop_later(&loop, &e.later);
	loop_later_cancel(&loop, &e.later);
	is_str(str_text(&trace), "", "nothing runs before the loop does");
	loop_run(&loop);
	is_str(str_text(&trace), "a+db+c",
	       "first in, first out; what is queued meanwhile runs in the next turn; once only; a cancelled one never");
	str_clear(&trace);
}

static void test_timers(void)
{
	struct alarm d = {.mark = 'd'}, c = {.mark = 'c'}, b = {.mark = 'b', .stops = &c};
	struct alarm a = {.mark = 'a'};
	struct alarm *all[] = {&a, &b, &c, &d};
	int64_t began_us = clock_monotonic_us();

	for (size_t i = 0; i < 4; i++)
		loop_timer_init(&all[i]->timer, fire);
	loop_timer_start(&loop, &d.timer, 200);
	loop_timer_start(&loop, &b.timer, 10);
	loop_timer_start(&loop, &a.timer, 2000);
	loop_timer_start(&loop, &c.timer, 20);
	loop_timer_start(&loop, &a.timer, 1); /* anew, and first */
	loop_run(&loop);
	is_str(str_text(&trace), "abd",
	       "by due time; one that is set anew counts once; a stopped one never");
	ok(clock_monotonic_us() - began_us >= 200000, "not before its time");
	ok(clock_monotonic_us() - began_us < 2000000, "the first setting of a was forgotten");
	loop_timer_stop(&loop, &a.timer);
	loop_run(&loop);
	ok(true, "a loop without work ends at once");
	str_clear(&trace);
}

int main(void)
{
	plan(8);
	is_int(loop_init(&loop), 0, "init");
	test_later();
	test_timers();
	is_int(loop_fini(&loop), 0, "no handle is left");
	str_fini(&trace);
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Ops: one end, never from inside, deadlines, cancel, late answers, letting go, scopes. */
#include "loop/op.h"
#include "base/str.h"

#include "tap.h"

static struct loop loop;
static struct op_scope scope;
static int ends, empties, cancels, end_code;
static const char *end_result;
static struct gantry_op *held;

static void on_empty(struct op_scope *empty)
{
	(void)empty;
	empties++;
}

static void on_done(void *arg, const struct gantry_error *err, const void *result)
{
	(void)arg;
	ends++;
	end_code = err ? err->code : 0;
	end_result = result;
	if (result)
		like(result, "the result", "the result lives while it is heard");
}

static void on_cancel(void *arg)
{
	struct gantry_error err;

	(void)arg;
	cancels++;
	gantry_error_set(&err, -ECANCELED, "cancelled");
	op_done(held, &err, NULL);
}

static void on_cancel_ignored(void *arg)
{
	(void)arg;
	cancels++;
}

static void reset(void)
{
	ends = empties = cancels = 0;
	end_code = 1;
	end_result = NULL;
}

static void note_name(void *arg, const char *name, int64_t age_ms)
{
	str_addf(arg, "%s%s", name, age_ms >= 0 ? ";" : "?");
}

static void test_good_end(void)
{
	struct gantry_op *op = op_new(&scope, "good", on_done, NULL);
	char *result = op_alloc(op, 20);
	struct str names = STR_INIT;

	reset();
	strcpy(result, "the result");
	op_scope_walk(&scope, note_name, &names);
	is_str(str_text(&names), "good;", "the scope knows what is pending by name");
	str_fini(&names);
	op_done(op, NULL, result);
	is_int(ends, 0, "no end from inside op_done");
	loop_run(&loop);
	is_int(ends, 1, "one end");
	is_int(end_code, 0, "and a good one");
	is_int(empties, 1, "the scope tells that it is empty");
}

static void test_cancel(void)
{
	reset();
	held = op_new(&scope, "cancel", on_done, NULL);
	op_on_cancel(held, on_cancel, NULL);
	op_cancel(held);
	op_cancel(held);
	is_int(cancels, 1, "the worker is asked once");
	is_int(ends, 0, "the end comes later");
	loop_run(&loop);
	is_int(end_code, -ECANCELED, "through the one end");

	reset();
	held = op_new(&scope, "cancel before the worker", on_done, NULL);
	op_cancel(held);
	op_on_cancel(held, on_cancel, NULL);
	is_int(cancels, 1, "a worker that comes late is asked at once");
	loop_run(&loop);
	is_int(ends, 1, "and ends it");
}

static void late_answer(struct loop_timer *timer)
{
	(void)timer;
	op_done(held, NULL, NULL);
}

static void test_deadline(void)
{
	struct loop_timer timer;

	reset();
	held = op_new(&scope, "slow", on_done, NULL);
	op_on_cancel(held, on_cancel, NULL);
	op_set_deadline(held, 20);
	loop_run(&loop);
	is_int(end_code, -ETIMEDOUT, "a worker that obeys: the deadline is what the asker hears");
	is_int(ends, 1, "once");

	reset();
	held = op_new(&scope, "deaf", on_done, NULL);
	op_on_cancel(held, on_cancel_ignored, NULL);
	op_set_deadline(held, 20);
	loop_timer_init(&timer, late_answer);
	loop_timer_start(&loop, &timer, 1300);
	loop_run(&loop);
	is_int(end_code, -ETIMEDOUT, "a worker that does not: the end is forced after a second");
	is_int(ends, 1, "and its late answer is dropped");
	is_int(empties, 1, "only then the op is gone");
}

static void test_forget(void)
{
	reset();
	held = op_new(&scope, "forgotten", on_done, NULL);
	op_on_cancel(held, on_cancel, NULL);
	op_forget(held);
	loop_run(&loop);
	is_int(cancels, 1, "who lets go cancels");
	is_int(ends, 0, "and hears nothing");
	is_int(empties, 1, "nothing is left");

	reset();
	held = op_new(&scope, "done, then forgotten", on_done, NULL);
	op_done(held, NULL, NULL);
	op_forget(held);
	loop_run(&loop);
	is_int(ends, 0, "an end on its way is not delivered either");
	is_int(empties, 1, "nothing is left here either");
}

static void test_twice(void)
{
	reset();
	held = op_new(&scope, "twice", on_done, NULL);
	op_done(held, NULL, NULL);
	op_done(held, NULL, NULL);
	loop_run(&loop);
	is_int(ends, 1, "a second end is dropped");
}

static int pauses, resumes;

static void on_pause(void *arg, bool paused)
{
	(void)arg;
	pauses += paused;
	resumes += !paused;
}

static void test_pause(void)
{
	reset();
	held = op_new(&scope, "paused", on_done, NULL);
	op_pause(held, true);
	is_int(pauses, 0, "a pause that nobody hears of yet");
	op_on_pause(held, on_pause, NULL);
	is_int(pauses, 1, "is told to the worker as soon as it is there");
	op_pause(held, true);
	is_int(pauses, 1, "once");
	op_pause(held, false);
	op_pause(held, false);
	is_int(resumes, 1, "as is that it may go on");
	op_on_pause(held, NULL, NULL);
	op_pause(held, true);
	is_int(pauses, 1, "but not to one that took its name back");
	op_on_pause(held, on_pause, NULL);
	is_int(pauses, 2, "the next hears of it");
	op_done(held, NULL, NULL);
	op_pause(held, false);
	is_int(resumes, 1, "after the end nobody does");
	loop_run(&loop);
	is_int(end_code, 0, "which comes as ever");
}

static void test_cancel_all(void)
{
	reset();
	held = op_new(&scope, "one of all", on_done, NULL);
	op_on_cancel(held, on_cancel, NULL);
	op_scope_cancel_all(&scope);
	loop_run(&loop);
	is_int(end_code, -ECANCELED, "a scope can cancel all");
	is_int(empties, 1, "and is empty then");
}

int main(void)
{
	loop_init(&loop);
	op_scope_init(&scope, &loop, on_empty);
	test_good_end();
	test_cancel();
	test_deadline();
	test_forget();
	test_twice();
	test_pause();
	test_cancel_all();
	is_int(loop_fini(&loop), 0, "no handle is left");
	done_testing();
	return tap_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hook has a queue and at most one run:
 *
 *	idle ──event──→ next is queued ──→ start ──→ done, failed ──→ next where the queue has more
 *	                                     └─→ waits (an op) ──→ go on ──→ …
 *
 * The ways a run ends early: it is over a budget or its time, and its runner says so (failed); the set
 * is replaced or the daemon stops (cancelled): its op is forgotten, so that the end of the wait is
 * heard by nobody, and its runner is freed where it is.
 */
#include "flows/policy/event_hooks.h"
#include "flows/policy/event_wait.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

#define TELL_AGAIN_US (60 * 1000000LL) /* the same failure is in the log once in this time */

/* The text of an event, shared by the queues that hold it. */
struct news {
	int references;
	int64_t sequence;
	char *json; /* owned */
};

struct queued {
	struct list link;
	struct news *news; /* owned, by reference */
};

struct event_hook {
	struct list link;
	struct event_hooks *hooks;    /* borrowed */
	struct script_runner *runner; /* owned */
	struct list queue;            /* struct queued, oldest first; owned */
	struct loop_later next;       /* starts a run */
	struct gantry_op *wait; /* borrowed: what the run waits for; NULL: none is under way */
	int64_t sequence;       /* of the event that the run is for */
	int64_t ends_us;        /* when the run has had its time */
	struct event_hook_counts counts; /* since its file was loaded */
	bool overflowing, refused_told;
	char error[sizeof(((struct gantry_error *)0)->text)]; /* of the last that failed, "" */
	int64_t error_ms, told_us;
};

struct event_hooks {
	struct daemon *daemon; /* borrowed */
	struct event_follower follower;
	struct event_waits waits;
	struct list list; /* struct event_hook, in the order of the set; owned */
	struct event_hook_counts counts;
};

/* --- the queue ------------------------------------------------------------------------------------- */

static void news_drop(struct news *news)
{
	if (--news->references > 0)
		return;
	free(news->json);
	free(news);
}

static void queued_free(struct event_hook *hook, struct queued *queued)
{
	list_remove(&queued->link);
	hook->counts.queued--;
	hook->hooks->counts.queued--;
	news_drop(queued->news);
	free(queued);
}

/* Too much at once: what is told already stays in order, and the newest is lost. */
static void overflow(struct event_hook *hook, const struct news *news)
{
	hook->counts.dropped++;
	hook->hooks->counts.dropped++;
	if (!hook->overflowing)
		log_warn("policy %s: %d events wait for its event hook; events from %lld on are "
			 "dropped for it until it has caught up",
			 script_runner_name(hook->runner), EVENT_HOOKS_QUEUE,
			 (long long)news->sequence);
	hook->overflowing = true;
}

static void enqueue(struct event_hook *hook, struct news *news)
{
	struct queued *queued;

	if (hook->counts.queued >= EVENT_HOOKS_QUEUE) {
		overflow(hook, news);
		return;
	}
	queued = xcalloc(1, sizeof(*queued));
	queued->news = news;
	news->references++;
	list_append(&hook->queue, &queued->link);
	hook->counts.queued++;
	hook->hooks->counts.queued++;
	if (!hook->wait)
		loop_later(hook->hooks->daemon->loop, &hook->next);
}

static void on_event(struct event_follower *follower, const struct event *event)
{
	struct event_hooks *hooks = LIST_ENTRY(follower, struct event_hooks, follower);
	struct news *news;

	if (list_empty(&hooks->list))
		return;
	news = xcalloc(1, sizeof(*news));
	*news = (struct news){1, event->sequence, xstrdup(event->json)};
	LIST_FOREACH (node, &hooks->list) {
		enqueue(LIST_ENTRY(node, struct event_hook, link), news);
	}
	news_drop(news);
}

/* --- a run ----------------------------------------------------------------------------------------- */

static void take(struct event_hook *hook, enum script_run run);

static struct script_moment now(const struct event_hook *hook)
{
	return (struct script_moment){&hook->hooks->daemon->fleet, clock_wall_ms()};
}

static void tell_failure(struct event_hook *hook)
{
	const char *text = script_runner_error(hook->runner);
	int64_t now_us = clock_monotonic_us();
	bool news = !str_equal(hook->error, text) || now_us - hook->told_us >= TELL_AGAIN_US;

	hook->error_ms = clock_wall_ms();
	snprintf(hook->error, sizeof(hook->error), "%s", text);
	if (!news)
		return;
	hook->told_us = now_us;
	log_warn("policy %s: its event hook failed for event %lld: %s",
		 script_runner_name(hook->runner), (long long)hook->sequence, text);
}

static void over(struct event_hook *hook, bool failed)
{
	if (failed) {
		hook->counts.failed++;
		hook->hooks->counts.failed++;
		tell_failure(hook);
	} else {
		hook->counts.done++;
		hook->hooks->counts.done++;
	}
	if (list_empty(&hook->queue))
		hook->overflowing = false;
	else
		loop_later(hook->hooks->daemon->loop, &hook->next);
}

static bool out_of_time(struct event_hook *hook)
{
	char text[64];

	if (clock_monotonic_us() < hook->ends_us)
		return false;
	snprintf(text, sizeof(text), "over its time of %lld ms for one event",
		 (long long)hook->hooks->daemon->settings->policy_event_time_ms);
	script_runner_end(hook->runner, text);
	over(hook, true);
	return true;
}

static void on_waited(void *arg, const struct gantry_error *err, const void *result)
{
	struct event_hook *hook = arg;
	struct script_moment moment = now(hook);

	hook->wait = NULL;
	if (err) { /* all that is pending is cancelled; we hear of the daemon's end in a moment */
		script_runner_end(hook->runner, err->text);
		over(hook, true);
	} else if (!out_of_time(hook)) {
		take(hook, script_runner_go_on(hook->runner, result, &moment));
	}
}

static void begin_wait(struct event_hook *hook)
{
	const struct script_wait *wait = script_runner_wait(hook->runner);
	int64_t left_ms = (hook->ends_us - clock_monotonic_us() + 999) / 1000;
	char what[320], name[480];
	bool refused;

	event_wait_describe(wait, what, sizeof(what));
	snprintf(name, sizeof(name), "policy %s waits for event %lld: %s",
		 script_runner_name(hook->runner), (long long)hook->sequence, what);
	hook->wait = op_new(&hook->hooks->daemon->scope, name, on_waited, hook);
	event_wait_start(&hook->hooks->waits, wait, left_ms > 1 ? left_ms : 1, hook->wait,
			 &refused);
	if (refused && !hook->refused_told) {
		hook->refused_told = true;
		log_warn("policy %s: %s is refused: policy_http_allow in gantry.lua does not allow "
			 "this address",
			 script_runner_name(hook->runner), what);
	}
}

static void take(struct event_hook *hook, enum script_run run)
{
	if (run == SCRIPT_RUN_WAITS)
		begin_wait(hook);
	else
		over(hook, run == SCRIPT_RUN_FAILED);
}

static void on_next(struct loop_later *later)
{
	struct event_hook *hook = LIST_ENTRY(later, struct event_hook, next);
	struct queued *queued = LIST_ENTRY(hook->queue.next, struct queued, link);
	struct script_moment moment = now(hook);
	enum script_run run;

	hook->sequence = queued->news->sequence;
	hook->ends_us =
		clock_monotonic_us() + hook->hooks->daemon->settings->policy_event_time_ms * 1000;
	run = script_runner_start(hook->runner, queued->news->json, &moment);
	queued_free(hook, queued);
	take(hook, run);
}

static void cancel(struct event_hook *hook, const char *why)
{
	if (!hook->wait)
		return;
	op_forget(hook->wait);
	hook->wait = NULL;
	hook->hooks->counts.cancelled++;
	log_warn("policy %s: the run of its event hook for event %lld is cancelled: %s",
		 script_runner_name(hook->runner), (long long)hook->sequence, why);
}

/* --- hooks of a set -------------------------------------------------------------------------------- */

static struct event_hook *find(const struct list *list, const char *policy)
{
	LIST_FOREACH (node, list) {
		struct event_hook *hook = LIST_ENTRY(node, struct event_hook, link);

		if (str_equal(script_runner_name(hook->runner), policy))
			return hook;
	}
	return NULL;
}

static struct event_hook *hook_new(struct event_hooks *hooks, struct script_runner *runner)
{
	struct event_hook *hook = xcalloc(1, sizeof(*hook));

	hook->hooks = hooks;
	hook->runner = runner;
	list_init(&hook->link);
	list_init(&hook->queue);
	loop_later_init(&hook->next, on_next);
	return hook;
}

static void hook_free(struct event_hook *hook, const char *why)
{
	int64_t left = hook->counts.queued;

	cancel(hook, why);
	loop_later_cancel(hook->hooks->daemon->loop, &hook->next);
	while (!list_empty(&hook->queue))
		queued_free(hook, LIST_ENTRY(hook->queue.next, struct queued, link));
	hook->hooks->counts.dropped += left;
	if (left > 0)
		log_warn("policy %s: %lld events that waited for its event hook are dropped: %s",
			 script_runner_name(hook->runner), (long long)left, why);
	list_remove(&hook->link);
	script_runner_free(hook->runner);
	free(hook);
}

static void hand_over(struct event_hook *from, struct event_hook *to)
{
	list_move_all(&to->queue, &from->queue);
	to->counts.queued = from->counts.queued;
	from->counts.queued = 0;
	if (to->counts.queued > 0)
		loop_later(to->hooks->daemon->loop, &to->next);
}

/* The hook for a runner of the new set: the one that was there, or one that takes its queue over. */
static struct event_hook *replace(struct event_hooks *hooks, struct script_runner *runner)
{
	struct event_hook *old = find(&hooks->list, script_runner_name(runner)), *hook;

	if (old && script_runner_same(old->runner, runner)) {
		script_runner_free(runner);
		return old;
	}
	hook = hook_new(hooks, runner);
	if (old) {
		hand_over(old, hook);
		hook_free(old, "its file was changed");
	}
	return hook;
}

void event_hooks_reload(struct daemon *daemon)
{
	struct event_hooks *hooks = daemon->event_hooks;
	struct list fresh;

	list_init(&fresh);
	for (size_t i = 0; i < script_set_count(daemon->policies); i++) {
		struct script_runner *runner = script_runner_take(daemon->policies, i);
		struct event_hook *hook;

		if (!runner)
			continue;
		hook = replace(hooks, runner);
		list_remove(&hook->link);
		list_append(&fresh, &hook->link);
	}
	LIST_FOREACH (node, &hooks->list) {
		hook_free(LIST_ENTRY(node, struct event_hook, link),
			  "the policy is not in force any more");
	}
	list_move_all(&hooks->list, &fresh);
}

void event_hooks_open(struct daemon *daemon)
{
	struct event_hooks *hooks = xcalloc(1, sizeof(*hooks));

	hooks->daemon = daemon;
	hooks->waits = (struct event_waits){.loop = daemon->loop, .settings = daemon->settings};
	hooks->follower.event = on_event;
	list_init(&hooks->list);
	event_log_follow(&daemon->events, &hooks->follower);
	daemon->event_hooks = hooks;
	event_hooks_reload(daemon);
}

void event_hooks_close(struct daemon *daemon)
{
	struct event_hooks *hooks = daemon->event_hooks;

	if (!hooks)
		return;
	event_log_unfollow(&hooks->follower);
	LIST_FOREACH (node, &hooks->list) {
		hook_free(LIST_ENTRY(node, struct event_hook, link), "gantryd stops");
	}
}

void event_hooks_free(struct event_hooks *hooks)
{
	if (!hooks)
		return;
	event_waits_fini(&hooks->waits);
	free(hooks);
}

/* --- what is told of them -------------------------------------------------------------------------- */

struct event_hook_counts event_hooks_counts(const struct daemon *daemon)
{
	return daemon->event_hooks ? daemon->event_hooks->counts : (struct event_hook_counts){0};
}

struct json_object *event_hooks_print(const struct daemon *daemon, const char *policy)
{
	const struct event_hook *hook =
		daemon->event_hooks ? find(&daemon->event_hooks->list, policy) : NULL;
	struct json_object *object;

	if (!hook)
		return NULL;
	object = json_object_new_object();
	json_add_int(object, "queued", hook->counts.queued);
	if (hook->wait)
		json_add_int(object, "waits", hook->sequence);
	json_add_int(object, "done", hook->counts.done);
	json_add_int(object, "failed", hook->counts.failed);
	json_add_int(object, "dropped", hook->counts.dropped);
	json_add_string(object, "last_error", hook->error[0] ? hook->error : NULL);
	json_add_time(object, "last_error_at", hook->error_ms);
	return object;
}

void event_hooks_complain(const struct daemon *daemon,
			  void (*fn)(void *arg, const char *policy, const char *text), void *arg)
{
	char text[sizeof(((struct event_hook *)0)->error) + 160];

	if (!daemon->event_hooks)
		return;
	LIST_FOREACH (node, &daemon->event_hooks->list) {
		const struct event_hook *hook = LIST_ENTRY(node, struct event_hook, link);
		const struct event_hook_counts *counts = &hook->counts;

		if (counts->failed == 0 && counts->dropped == 0)
			continue;
		snprintf(text, sizeof(text),
			 "%lld of %lld runs of its event hook failed, %lld events were dropped%s%s",
			 (long long)counts->failed, (long long)(counts->done + counts->failed),
			 (long long)counts->dropped, hook->error[0] ? "; the last error: " : "",
			 hook->error);
		fn(arg, script_runner_name(hook->runner), text);
	}
}

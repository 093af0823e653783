/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event hooks: what the policies' event(ev) does about what happened (script/event.h).
 *
 * Each event, once it is committed and published, is put into a queue of each policy that has the
 * hook, and given to it from the later-queue: never on the path of a request. One run at a time per
 * policy, in the order of the events. What a run waits for is an op in the daemon's scope.
 *
 * Nothing is kept over a restart of the daemon: a hook is told of an event at most once, and of none
 * that came while it could not be told. Whoever must not miss one reads the events of the API.
 *
 * Bounds: EVENT_HOOKS_QUEUE events wait for a policy, further ones are dropped, counted and told once;
 * a run ends when it takes longer than `policy_event_time`.
 */
#ifndef FLOWS_EVENT_HOOKS_H
#define FLOWS_EVENT_HOOKS_H

#include "flows/daemon.h"

#define EVENT_HOOKS_QUEUE 1000

struct event_hook_counts {
	int64_t queued; /* now */
	int64_t done, failed, cancelled, dropped;
};

/* Begins to give events to the hooks of daemon->policies. */
void event_hooks_open(struct daemon *daemon);
/*
 * daemon->policies is another set. A policy whose file is the same goes on; else its run is cancelled,
 * and what waits in its queue is for the new one.
 */
void event_hooks_reload(struct daemon *daemon);
/* Cancels all; the scope tells when it is over. */
void event_hooks_close(struct daemon *daemon);
/* After the scope is empty. NULL is fine. */
void event_hooks_free(struct event_hooks *hooks);

/* Of all policies since the daemon was started. */
struct event_hook_counts event_hooks_counts(const struct daemon *daemon);
/* What `policy status` says of the hook of a policy since its file was loaded; NULL where it has none
 * that is run. */
struct json_object *event_hooks_print(const struct daemon *daemon, const char *policy);
/* Calls fn for each policy whose hook failed, or for which events were dropped, with the words for it. */
void event_hooks_complain(const struct daemon *daemon,
			  void (*fn)(void *arg, const char *policy, const char *text), void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/policy/policy_reload.h"
#include "flows/policy/event_hooks.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "flows/engine/takeover.h"
#include "loop/folder_watch.h"
#include "loop/work.h"

#include <stdlib.h>

#define QUIET_MS 200 /* an editor writes a file in several steps */

/* One load in a thread: what it reads is copied, what it makes is taken over on the loop. */
struct loading {
	struct daemon *daemon;
	struct script_budget budget;
	char *folder; /* owned */
	struct script_set *set;
	int code;
	struct gantry_error err;
	struct list waiters;
};

static void begin(struct daemon *daemon);

static void announce(struct daemon *daemon, const char *kind, const char *reason)
{
	struct store_batch *batch = store_batch_new(daemon->store);
	struct json_object *detail = json_object_new_object();

	json_add_string(detail, "revision", script_set_revision(daemon->policies));
	json_add_string(detail, "reason", reason);
	event_add(&daemon->events, batch, kind, NULL, NULL, detail);
	takeover_commit(daemon, batch);
}

static void run(void *arg)
{
	struct loading *loading = arg;

	loading->code =
		script_set_load(loading->folder, &loading->budget, &loading->set, &loading->err);
}

/* In a thread: to close the states of many policies takes longer than a request may wait. */
static void run_free(void *set)
{
	script_set_free(set);
}

static void on_freed(void *set)
{
	(void)set;
}

static void swap(struct daemon *daemon, struct script_set *set)
{
	bool same = str_equal(script_set_revision(set), script_set_revision(daemon->policies));

	loop_work(daemon->loop, run_free, on_freed, daemon->policies);
	daemon->policies = set;
	event_hooks_reload(daemon);
	daemon->policies_loaded_ms = clock_wall_ms();
	daemon->policies_error[0] = '\0';
	if (same)
		return;
	log_info("policies reloaded: revision %s", script_set_revision(set));
	announce(daemon, "policy.reloaded", NULL);
}

static void refuse(struct daemon *daemon, const struct gantry_error *err)
{
	bool news = !str_equal(daemon->policies_error, err->text);

	snprintf(daemon->policies_error, sizeof(daemon->policies_error), "%s", err->text);
	if (!news)
		return;
	log_error("policies are not reloaded, revision %s stays in force: %s",
		  script_set_revision(daemon->policies), err->text);
	announce(daemon, "policy.refused", err->text);
}

static void on_loaded(void *arg)
{
	struct loading *loading = arg;
	struct daemon *daemon = loading->daemon;

	daemon->reloading = false;
	if (daemon->stopping && loading->code == 0)
		script_set_free(loading->set);
	else if (loading->code == 0)
		swap(daemon, loading->set);
	else if (!daemon->stopping)
		refuse(daemon, &loading->err);
	while (!list_empty(&loading->waiters)) {
		struct reload_waiter *waiter =
			LIST_ENTRY(loading->waiters.next, struct reload_waiter, link);

		list_remove(&waiter->link);
		waiter->done(waiter, loading->code < 0 ? &loading->err : NULL);
	}
	free(loading->folder);
	free(loading);
	if (daemon->reload_again && !daemon->stopping)
		begin(daemon);
}

static void begin(struct daemon *daemon)
{
	const struct settings *settings = daemon->settings;
	struct loading *loading = xcalloc(1, sizeof(*loading));

	daemon->reloading = true;
	daemon->reload_again = false;
	loading->daemon = daemon;
	loading->budget =
		(struct script_budget){settings->policy_instructions, settings->policy_time_ms,
				       settings->policy_memory_bytes};
	loading->folder = xstrdup(settings->policies);
	/* those who ask from now on are told by the next load: this one may not see their change */
	list_init(&loading->waiters);
	list_move_all(&loading->waiters, &daemon->reload_waiters);
	loop_work(daemon->loop, run, on_loaded, loading);
}

void policy_reload(struct daemon *daemon, struct reload_waiter *waiter)
{
	if (waiter)
		list_append(&daemon->reload_waiters, &waiter->link);
	if (daemon->reloading)
		daemon->reload_again = true;
	else
		begin(daemon);
}

static void on_changed(void *arg)
{
	policy_reload(arg, NULL);
}

void policy_reload_open(struct daemon *daemon)
{
	struct gantry_error err;

	daemon->policies_loaded_ms = clock_wall_ms();
	if (folder_watch_open(daemon->loop, daemon->settings->policies, QUIET_MS, on_changed,
			      daemon, &daemon->policies_watch, &err) < 0)
		log_warn("policies are reloaded by hand only: %s", err.text);
}

void policy_reload_close(struct daemon *daemon)
{
	folder_watch_close(daemon->policies_watch);
	daemon->policies_watch = NULL;
}

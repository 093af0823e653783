/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all flows share: one struct, made by main.c and passed down. Everything in it is borrowed
 * but what has an init and a fini here.
 */
#ifndef FLOWS_DAEMON_H
#define FLOWS_DAEMON_H

#include <gantry/logger.h>
#include <gantry/network.h>

#include "flows/operation.h"
#include "flows/policy/event_log.h"
#include "loop/op.h"
#include "model/fleet.h"
#include "model/settings.h"
#include "script/script.h"
#include "store/store.h"

struct node_link;
struct folder_watch;
struct placements;
struct event_hooks;
struct kept_logs;
struct log_policy;
struct serials;

/* Recordings under way; see recording.c. */
struct recordings {
	struct list list;
	int64_t bytes, room_bytes; /* their size, and how far they may grow */
	bool clearing;             /* files are looked through for more room */
};

struct daemon {
	struct loop *loop;
	struct store *store;
	const struct settings *settings;
	struct script_set *policies; /* owned; see policy_reload.h */
	int64_t policies_loaded_ms;
	char policies_error[512]; /* why the folder's set is not in force, "": it is */
	struct folder_watch *policies_watch;
	struct list reload_waiters;
	bool reloading, reload_again;
	char id[INSTANCE_ID_SIZE]; /* of the store: another store is another daemon */
	char *holder;              /* where it is, for people who find it on an engine; owned */
	const struct gantry_logger *logger; /* of a plugin; NULL: no logs are read */
	void *logger_handle;
	const struct gantry_network *network; /* of a plugin; NULL: no ports are wired */
	void *network_handle;
	struct fleet fleet;
	struct operations operations;
	struct event_log events;
	struct op_scope scope; /* all ops of flows and nodes, for shutdown */
	struct list flows;     /* under way */
	struct list restarts;  /* planned; see restarts.h */
	struct list consoles;  /* that may be joined; see console.h */
	struct recordings recordings;
	struct list execs;         /* that were asked for; see exec.h */
	struct list usage_streams; /* see usage.h */
	struct list log_sinks;     /* owned; see log_sinks.h */
	struct list image_loads;   /* see image_stream.h */
	struct node_link **links;  /* one a node, same order as fleet.nodes; owned */
	size_t links_untried;      /* whose first attempt is not over */
	size_t links_unclaimed;    /* of which it is not known yet whether their engine is ours */
	struct list anchors;       /* links whose anchor moved since it was stored */
	int64_t last_decision;
	struct placements *placements;   /* owned; see placements.h */
	struct event_hooks *event_hooks; /* owned; see event_hooks.h. NULL before daemon_load */
	struct log_policy *log_policy;   /* owned; see log_policy.h. NULL before it is needed */
	struct kept_logs *kept_logs;     /* owned; see log_kept.h */
	struct serials *serials;         /* owned; see serial.h. NULL before daemon_load */
	int64_t started_us;              /* on the monotonic clock: the other may be set back */
	bool store_was_new;   /* the store was made at this start: history and intent are lost */
	bool key_was_damaged; /* the key of hashes was made anew at this start */
	int64_t rebuilt;      /* instances that were found on engines and not in the store */
	const char *crash_at; /* see crash_point.h; NULL outside of tests */
	bool unsaved;         /* a commit failed: rows of instances may be behind, see takeover.h */
	bool stopping;
	bool let_go; /* flows have had their grace: when the scope is empty it is over */
	/* see daemon_load; NULL once it was called */
	void (*ready)(struct daemon *daemon, const struct gantry_error *err);
	void (*stopped)(struct daemon *daemon); /* see daemon_stop */
	struct loop_timer stop_timer, prune_timer, ready_timer, kept_timer;
	int64_t flows_done, flows_failed, flows_denied; /* for metrics */
};

/* Takes the policies over. */
void daemon_init(struct daemon *daemon, struct loop *loop, struct store *store,
		 const struct settings *settings, struct script_set *policies);
/*
 * Loads instances and operations from the store; the flows that were under way are taken up again as
 * soon as their node was listed. Call after the nodes were added, before the loop runs.
 *
 * ready comes once, from the loop: as soon as each engine that answers is ours; engines that do not answer
 * are waited for some seconds. With err where another daemon with our owner is at work on one: this one
 * is to stop, and has touched nothing there.
 */
int daemon_load(struct daemon *daemon,
		void (*ready)(struct daemon *daemon, const struct gantry_error *err),
		struct gantry_error *err);
/* It is known of one more node whether its engine is ours; err: another daemon has it. */
void daemon_node_claimed(struct daemon *daemon, const struct gantry_error *err);
/*
 * No new flows; those under way get grace_ms, then they are let go (the journal has them), as are
 * the nodes; stopped is called when nothing is pending.
 */
void daemon_stop(struct daemon *daemon, int64_t grace_ms, void (*stopped)(struct daemon *daemon));
void daemon_fini(struct daemon *daemon);

/* Prints "KIND STEP" for each step of each flow, for tests that walk them all. */
void daemon_print_steps(void);
/* Writes the instance's row with the batch if it differs from the one in the store. */
void daemon_save_instance(struct store_batch *batch, struct instance *instance);
/* An id for a decision. */
int64_t daemon_next_decision(struct daemon *daemon);
/* instance: id of the one it is about; NULL: of none. */
void daemon_put_decision(struct store_batch *batch, const struct script_decision *decision,
			 const char *instance);

#endif

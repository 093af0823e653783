/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: what happened, in one sequence, for people, Nova and programs. No number is given twice; one
 * that is missing is an event that could not be committed, or was lost with the power.
 *
 * event_add numbers an event and puts its row into a batch; once that batch is committed the caller
 * publishes what it added (event_log_publish) and the followers hear of it. The last ones are kept
 * in memory; older ones are read from the store.
 */
#ifndef FLOWS_EVENT_LOG_H
#define FLOWS_EVENT_LOG_H

#include "base/json.h"
#include "base/list.h"
#include "store/store.h"

#define EVENT_LOG_KEPT 256

struct instance;

struct event {
	struct list link;
	int64_t sequence;
	char instance[37]; /* "" for an event of a node */
	char *json;        /* owned */
};

struct event_follower {
	struct list link;
	/* Each event once, in order. May take itself off the list. */
	void (*event)(struct event_follower *follower, const struct event *event);
};

struct event_log {
	struct store *store; /* borrowed */
	struct list kept;    /* struct event, oldest first, owned */
	size_t kept_count;
	struct list unpublished; /* numbered, not yet committed; owned */
	struct list followers;
	int64_t last_sequence;      /* given */
	int64_t published_sequence; /* heard by followers */
};

void event_log_init(struct event_log *log, struct store *store);
void event_log_fini(struct event_log *log);

/*
 * Adds an event. instance or node may be NULL. detail (an object or NULL) is taken over; its members
 * become members of the event.
 */
void event_add(struct event_log *log, struct store_batch *batch, const char *kind,
	       const struct instance *instance, const char *node, struct json_object *detail);
/* The sequence of the last event that was added: what to pass to publish. */
int64_t event_log_mark(const struct event_log *log);
/* Tells followers of everything up to the mark. Call when the batch was committed (or was lost). */
void event_log_publish(struct event_log *log, int64_t mark);

void event_log_follow(struct event_log *log, struct event_follower *follower);
void event_log_unfollow(struct event_follower *follower);
/* The oldest sequence still in memory, 0 where there is none. */
int64_t event_log_oldest(const struct event_log *log);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: instances, operations (the journal of their steps), events, decisions, and small facts
 * by name, in one SQLite file. Truth about what runs is in the engines; the file can be deleted.
 *
 * Writing: gather rows in a batch, then commit it. One writer thread takes what has queued up and
 * commits it in one transaction (group commit), with WAL and synchronous=NORMAL. `done` is called on
 * the loop, in the order of the commits. Reading while the daemon runs goes to the work pool with a
 * connection of its own; the loads at start are plain calls.
 *
 * Schema: PRAGMA user_version. An older one is migrated step by step in one transaction; a newer one is
 * refused; a file that is no database is refused with what to do.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <gantry/error.h>

#include "base/json.h"
#include "loop/loop.h"

struct store;
struct store_batch;

/*
 * Opens or makes the file (mode 0600). *ret_created: it was not there, or was empty. While it is open
 * PATH.lock is locked: a second daemon on the same file is refused with -EBUSY.
 */
int store_open(struct loop *loop, const char *path, struct store **ret_store, bool *ret_created,
	       struct gantry_error *err);
/*
 * Ends the reads, commits what is queued, stops the thread, then calls closed on the loop and is gone.
 * Batches and reads of later calls end with -ESHUTDOWN; none may come once closed was called.
 */
void store_close(struct store *store, void (*closed)(void *arg), void *arg);

/* --- writing --- */

/*
 * err is NULL on success. By the time it is called the numbers of events that could not be committed are
 * noted where it needs no room, so that they are not given again (lock.c). Disk full, file gone and so on come here; nothing of the batch is in then,
 * and the next commit is tried as if nothing had been.
 */
typedef void (*store_done_fn)(void *arg, const struct gantry_error *err);

struct store_batch *store_batch_new(struct store *store);
/* Each copies what it is given. */
void store_put_instance(struct store_batch *batch, const char *id, const char *json);
void store_delete_instance(struct store_batch *batch, const char *id);

struct store_operation {
	const char *id;              /* UUID */
	const char *kind;            /* "spawn", "stop", … */
	const char *instance;        /* id */
	const char *state;           /* "running", "done", "failed" */
	const char *step;            /* the step that is about to run or was last */
	const char *idempotency_key; /* NULL: none; unique with the actor: else -EEXIST */
	const char *actor;
	const char *json; /* the rest: request, result, error, times */
	int64_t created_ms;
};
/* Makes it, or changes state, step and json of the one with that id; its other columns stay. */
void store_put_operation(struct store_batch *batch, const struct store_operation *operation);
/* The short form before each step: only the step's name changes. */
void store_put_step(struct store_batch *batch, const char *operation_id, const char *step);
void store_put_event(struct store_batch *batch, int64_t sequence, int64_t at_ms,
		     const char *instance, const char *json);
void store_put_decision(struct store_batch *batch, int64_t id, const char *instance, int64_t at_ms,
			const char *json);
/* value NULL: takes it out. */
void store_put_fact(struct store_batch *batch, const char *name, const char *value);
/* done may be NULL. The batch is gone after. */
void store_batch_commit(struct store_batch *batch, store_done_fn done, void *arg);

/* --- loads at start: plain calls, before the loop runs --- */

int store_load_instances(struct store *store,
			 int (*row)(void *arg, const char *id, const char *json), void *arg,
			 struct gantry_error *err);
/* A negative answer of row ends a load with it.
 * All that are running, and of the others those among the newest so many of all; oldest first. */
int store_load_operations(struct store *store, size_t newest,
			  int (*row)(void *arg, const struct store_operation *operation), void *arg,
			  struct gantry_error *err);
/* NULL where there is none; the caller frees. */
char *store_load_fact(struct store *store, const char *name);
/* All whose names begin so, by name. */
int store_load_facts(struct store *store, const char *prefix,
		     void (*row)(void *arg, const char *name, const char *value), void *arg,
		     struct gantry_error *err);
/* A sequence not under any that was ever given, also where events were not committed; 0: none was. */
int64_t store_last_event(struct store *store);
int64_t store_last_decision(struct store *store); /* the highest id, 0 */

/* --- reading while the daemon runs: done comes on the loop, exactly once --- */

/*
 * rows are JSON texts in order; borrowed for the call. Reads are answered in the order asked. One gives
 * at most 10000 rows and stops after 64 MiB; where there were more, ask again from the last.
 */
typedef void (*store_rows_fn)(void *arg, const struct gantry_error *err, char *const *rows,
			      size_t count);
/* Events with a sequence over `after`, at most limit; instance NULL: all. */
void store_read_events(struct store *store, int64_t after, const char *instance, size_t limit,
		       store_rows_fn done, void *arg);
/* One decision, or none. */
void store_read_decision(struct store *store, int64_t id, store_rows_fn done, void *arg);
/* The newest decisions of an instance, newest first. */
void store_read_decisions(struct store *store, const char *instance, size_t limit,
			  store_rows_fn done, void *arg);
/* Operations, newest first; instance NULL: all. The json column with id, kind, state, step, instance, actor added. */
void store_read_operations(struct store *store, const char *instance, size_t limit,
			   store_rows_fn done, void *arg);
/* One operation in the same form, or none. */
void store_read_operation(struct store *store, const char *id, store_rows_fn done, void *arg);
/* The operation that the actor's idempotency key belongs to, or none. */
void store_read_operation_of_key(struct store *store, const char *actor, const char *key,
				 store_rows_fn done, void *arg);

/*
 * Drops events, decisions and ended operations from before that wall time, in the writer's idle time.
 * The newest event and decision stay, so that numbers go on from them.
 */
void store_prune(struct store *store, int64_t older_than_ms);

#endif

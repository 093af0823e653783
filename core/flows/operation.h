/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: the record of each flow that people can list, watch and wait for. A flow fills it; its
 * row in the store is the journal from which an interrupted flow is taken up again.
 *
 * Operations under way and the last ended ones are in memory; older ones are in the store only.
 */
#ifndef FLOWS_OPERATION_H
#define FLOWS_OPERATION_H

#include <uthash.h>

#include "base/json.h"
#include "base/list.h"
#include "model/instance.h"
#include "store/store.h"

#define OPERATIONS_KEPT     128 /* ended ones in memory */
#define OPERATION_STEPS_MAX 12

enum operation_state { OPERATION_RUNNING, OPERATION_DONE, OPERATION_FAILED };

/* Where the time went. The parts add up to the total: other is what is left. */
struct operation_timings {
	int64_t policy_us, store_us, engine_us, total_us;
	struct {
		const char *name; /* static, or in the flow's table */
		int64_t us;
	} steps[OPERATION_STEPS_MAX];
	size_t step_count;
};

/* A node where it did not work. */
struct operation_try {
	char *node; /* owned */
	struct gantry_error err;
};

struct operation {
	char id[INSTANCE_ID_SIZE];
	const char *kind; /* a flow kind's name; static */
	char instance[INSTANCE_ID_SIZE];
	char *instance_name, *project; /* owned */
	enum operation_state state;
	char step[32];
	bool recorded;         /* its row was committed: a kill does not lose it any more */
	char *actor;           /* owned */
	char *user;            /* owned: on whose behalf; NULL */
	char *idempotency_key; /* owned; NULL: none */
	uint64_t request_hash; /* of what came with the key */
	struct json_object
		*request; /* owned: what was asked for, without secrets; NULL, and at the end */
	struct json_object *result;  /* owned: the instance at the end, packed; NULL */
	struct gantry_error err;     /* code 0: none */
	struct operation_try *tries; /* owned: before it went elsewhere; NULL */
	size_t try_count;
	int64_t decision;
	int64_t created_ms, ended_ms;
	char progress_stage[48];
	int64_t progress_done_bytes, progress_total_bytes;
	struct operation_timings timings;

	struct list link; /* in operations: running or ended */
	struct list watchers;
	UT_hash_handle by_id, by_key;
	char *key; /* "ACTOR KEY" for by_key; owned; NULL */
};

struct operation_watcher {
	struct list link;
	/* After each change; the last call has a state that is not running. May take itself off. */
	void (*changed)(struct operation_watcher *watcher, struct operation *operation);
};

struct operations {
	struct list running, ended; /* oldest first */
	size_t ended_count;
	struct operation *by_id, *by_key; /* hash heads */
};

void operations_init(struct operations *operations);
void operations_fini(struct operations *operations);

/* Makes one that is running. kind must be static. The strings are copied. */
struct operation *operation_new(struct operations *operations, const char *id, const char *kind,
				const struct instance *instance, const char *actor,
				const char *idempotency_key);
/* user: on whose behalf the actor asked; NULL: its own. hash: of the request, see idempotency_key. */
void operation_asked_by(struct operation *operation, const char *user, uint64_t hash);
struct operation *operation_find(const struct operations *operations, const char *id);
/* The operation that the actor's key belongs to, or NULL. */
struct operation *operation_find_key(const struct operations *operations, const char *actor,
				     const char *key);
/* It was tried on the node and did not work. */
void operation_add_try(struct operation *operation, const char *node,
		       const struct gantry_error *err);
bool operation_was_tried(const struct operation *operation, const char *node);
/* Ends it: moves it to the ended ones, tells the watchers. Old ended ones go. */
void operation_end(struct operations *operations, struct operation *operation);
/* Tells the watchers of a change. */
void operation_changed(struct operation *operation);
void operation_watch(struct operation *operation, struct operation_watcher *watcher);
void operation_unwatch(struct operation_watcher *watcher);

/* As the API shows it. */
struct json_object *operation_print(const struct operation *operation);
/* The same of a row of the store; NULL where it is no JSON. *ret_hash: its request's; may be NULL. */
struct json_object *operation_print_row(const char *row, uint64_t *ret_hash);
/* Puts the whole row into the batch. */
void operation_save(struct store_batch *batch, const struct operation *operation);
/* Makes the operation of a row again; kind is the static name that the row's stands for. */
struct operation *operation_load(struct operations *operations, const struct store_operation *row,
				 const char *kind);

/* A failure of the store as people are told it: nothing of theirs, nor of the engine's. */
struct gantry_error operation_store_error(const struct gantry_error *err);
/* An RFC 9457 document. */
struct json_object *operation_problem(const struct gantry_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the store share. Two connections: the writer's belongs to the writer thread once
 * that runs; the reader's is used by one job of the work pool at a time, and by the loads at start.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/store.h"
#include "base/arena.h"

#define STORE_VERSION        2
#define STORE_TEXTS_MAX      8
#define STORE_NUMBERS_MAX    2
#define STORE_ROWS_MAX       10000      /* of one read */
#define STORE_ROWS_BYTES_MAX (64 << 20) /* of one read */

/* The statements of the writer; rows.c holds the table. */
enum store_kind {
	STORE_PUT_INSTANCE,
	STORE_DELETE_INSTANCE,
	STORE_PUT_OPERATION,
	STORE_PUT_STEP,
	STORE_PUT_EVENT,
	STORE_PUT_DECISION,
	STORE_PUT_FACT,
	STORE_DELETE_FACT,
	STORE_BEGIN,
	STORE_COMMIT,
	STORE_ROLLBACK,
	STORE_PRUNE_EVENTS, /* the three take the time and how many rows to look at */
	STORE_PRUNE_DECISIONS,
	STORE_PRUNE_OPERATIONS,
	STORE_KIND_COUNT,
};

/* Texts are bound first, then numbers. */
struct store_row {
	struct store_row *next;
	enum store_kind kind;
	const char *text[STORE_TEXTS_MAX]; /* in the batch's arena */
	int64_t number[STORE_NUMBERS_MAX];
};

struct store_statement {
	const char *sql;
	int texts, numbers;
};
extern const struct store_statement store_statements[STORE_KIND_COUNT];

struct store_batch {
	struct list link;
	struct store *store;
	struct arena arena;
	struct store_row *first, *last;
	store_done_fn done;
	void *arg;
	struct gantry_error *err; /* in the arena; NULL: it is in */
};

struct store {
	struct loop *loop;     /* borrowed */
	char *path;            /* owned */
	int lock_fd;           /* see lock.c */
	char boot[36];         /* of the machine; not terminated */
	int64_t lost_sequence; /* of an event that was told and not committed; the writer's */
	int64_t sequence_skip;

	/* the writer thread's */
	sqlite3 *writer;
	sqlite3_stmt *statements[STORE_KIND_COUNT];
	int wal_pages; /* in the WAL after the last commit */
	uv_thread_t thread;

	/* shared, under the mutex */
	uv_mutex_t mutex;
	uv_cond_t wake;
	struct list queued, finished; /* of struct store_batch */
	int64_t prune_before_ms;      /* 0: nothing to prune */
	int wal_pages_seen;
	bool stopping, stopped, ended;
	struct gantry_error prune_err; /* code 0: none */

	/* the loop's */
	uv_async_t async; /* referenced only while something is under way */
	struct loop_later deliver;
	size_t undelivered;
	sqlite3 *reader;
	struct list reads, refused; /* of struct store_read */
	bool reading, checkpoint_queued;
	int checkpoint_pages; /* the size of the WAL at which the next checkpoint is due */
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* Turns what SQLite says of the connection into words and a code. */
int store_error(const char *path, sqlite3 *db, int result, struct gantry_error *err);
/* lock.c */
int store_lock(struct store *store, struct gantry_error *err);
/* An event with this number could not be committed: the number is not given again. Needs no room. */
int store_lock_note_lost(struct store *store, int64_t sequence);
void store_unlock(struct store *store, bool in_order);
/* Brings the schema up to STORE_VERSION; *ret_created: it was an empty file. (schema.c) */
int store_migrate(const char *path, sqlite3 *db, bool *ret_created, struct gantry_error *err);

/* writer.c */
int store_writer_start(struct store *store, struct gantry_error *err);
void store_writer_stop(struct store *store); /* it ends when all that is queued is written */
void store_writer_deliver(struct store *store);

/* reader.c */
void store_reader_next(struct store *store); /* starts the next job where none runs */
void store_reader_deliver(struct store *store);
void store_reader_checkpoint(struct store *store);
/* Goes on with a close once reads are over. (store.c) */
void store_close_step(struct store *store);

#endif

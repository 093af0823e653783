/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread. It takes all that has queued up and commits it in one transaction; where that
 * fails and there was more than one batch, each is tried again alone, so that one bad batch does not
 * fail its neighbours. Nothing is remembered of a failure: the next commit is tried as the first was.
 *
 * With WAL and synchronous=NORMAL a commit is one write without an fsync. Those are in the
 * checkpoint, which is kept off this thread: when the WAL has grown, the loop has a job of the pool
 * do it (reader.c). Only where commits come so fast that such a checkpoint never gets to the end, the
 * writer does one itself, at a size well beyond. The WAL then begins anew in the same file, which is
 * not cut (store.c's journal_size_limit is that size): to cut it and let it grow again costs more
 * than the checkpoint, 30 ms and more in one commit.
 *
 * Idle time goes to pruning, in small transactions.
 */
#include "store/internal.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

#define CHECKPOINT_PAGES      4000
#define CHECKPOINT_MUST_PAGES 16000 /* of 4 KiB: a WAL of 64 MiB */
#define PRUNE_ROWS            200

/* --- the thread's side --- */

static int run(struct store *store, enum store_kind kind, const struct store_row *row,
	       struct gantry_error *err)
{
	const struct store_statement *form = &store_statements[kind];
	sqlite3_stmt **statement = &store->statements[kind];
	int result = SQLITE_OK;

	if (!*statement)
		result = sqlite3_prepare_v3(store->writer, form->sql, -1, SQLITE_PREPARE_PERSISTENT,
					    statement, NULL);
	for (int i = 0; result == SQLITE_OK && i < form->texts; i++)
		result = row->text[i] ? sqlite3_bind_text(*statement, i + 1, row->text[i], -1,
							  SQLITE_STATIC)
				      : sqlite3_bind_null(*statement, i + 1);
	for (int i = 0; result == SQLITE_OK && i < form->numbers; i++)
		result = sqlite3_bind_int64(*statement, form->texts + i + 1, row->number[i]);
	if (result == SQLITE_OK)
		result = sqlite3_step(*statement);
	if (result == SQLITE_DONE || result == SQLITE_ROW)
		result = SQLITE_OK;
	else
		store_error(store->path, store->writer, result, err);
	if (*statement)
		sqlite3_reset(*statement);
	return result == SQLITE_OK ? 0 : err->code;
}

static int begin(struct store *store, struct gantry_error *err)
{
	int moved = 0;

	sqlite3_file_control(store->writer, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	if (moved)
		return gantry_error_set(
			err, -ENOENT,
			"store %s: the file was removed or replaced while gantryd uses it; "
			"restart gantryd: instances are rebuilt from the engines",
			store->path);
	return run(store, STORE_BEGIN, NULL, err);
}

/* Whatever went wrong before, no transaction is open after. */
static void rollback(struct store *store)
{
	struct gantry_error ignored;

	if (!sqlite3_get_autocommit(store->writer))
		run(store, STORE_ROLLBACK, NULL, &ignored);
}

/* Commits the batches from first up to (not with) end, all or none. */
static int transaction(struct store *store, struct list *first, struct list *end,
		       struct gantry_error *err)
{
	int code = begin(store, err);

	for (struct list *link = first; code == 0 && link != end; link = link->next) {
		struct store_batch *batch = LIST_ENTRY(link, struct store_batch, link);

		for (struct store_row *row = batch->first; code == 0 && row; row = row->next)
			code = run(store, row->kind, row, err);
	}
	if (code == 0)
		code = run(store, STORE_COMMIT, NULL, err);
	if (code < 0)
		rollback(store);
	return code;
}

/* The batch is not in; what it had of events is told all the same. */
static void note_lost(struct store_batch *batch)
{
	int64_t highest = 0;
	int code;

	for (const struct store_row *row = batch->first; row; row = row->next)
		if (row->kind == STORE_PUT_EVENT && row->number[0] > highest)
			highest = row->number[0];
	code = store_lock_note_lost(batch->store, highest);
	if (code < 0)
		gantry_error_prefix(batch->err,
				    "numbers of events up to %lld may be given again after a "
				    "restart (%s)",
				    (long long)highest, strerror(-code));
}

static void commit_all(struct store *store, struct list *batches)
{
	struct gantry_error err;

	if (transaction(store, batches->next, batches, &err) == 0)
		return;
	LIST_FOREACH (link, batches) {
		struct store_batch *batch = LIST_ENTRY(link, struct store_batch, link);
		bool alone = batches->next == batches->prev;

		if (!alone && transaction(store, link, link->next, &err) == 0)
			continue;
		batch->err = ARENA_NEW(&batch->arena, struct gantry_error);
		*batch->err = err;
		note_lost(batch);
	}
}

/* One round over the tables. Less than 0, or how many rows went. */
static int prune_some(struct store *store, int64_t before_ms, struct gantry_error *err)
{
	struct store_row row = {.number = {before_ms, PRUNE_ROWS}};
	int changes = 0, code = begin(store, err);

	for (enum store_kind kind = STORE_PRUNE_EVENTS; code == 0 && kind <= STORE_PRUNE_OPERATIONS;
	     kind++) {
		code = run(store, kind, &row, err);
		changes += code == 0 ? sqlite3_changes(store->writer) : 0;
	}
	if (code == 0)
		code = run(store, STORE_COMMIT, NULL, err);
	if (code < 0)
		rollback(store);
	return code < 0 ? code : changes;
}

static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct store *store = arg;

	(void)db;
	(void)name;
	store->wal_pages = pages;
	return SQLITE_OK;
}

/* Moves all of from to the end of to. */
static void move_all(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	from->prev->next = to;
	to->prev->next = from->next;
	to->prev = from->prev;
	list_init(from);
}

static void prune_when_idle(struct store *store)
{
	struct gantry_error err;
	int64_t before_ms = store->prune_before_ms;
	int count;

	uv_mutex_unlock(&store->mutex);
	count = prune_some(store, before_ms, &err);
	uv_mutex_lock(&store->mutex);
	if (count > 0)
		return;
	if (store->prune_before_ms == before_ms)
		store->prune_before_ms = 0;
	if (count < 0) {
		store->prune_err = err;
		uv_async_send(&store->async);
	}
}

static void close_writer(struct store *store)
{
	for (int kind = 0; kind < STORE_KIND_COUNT; kind++)
		sqlite3_finalize(store->statements[kind]);
	sqlite3_close(store->writer); /* the last connection: checkpoints, and takes the WAL away */
}

static void write_loop(void *arg)
{
	struct store *store = arg;
	struct list batches;

	list_init(&batches);
	uv_mutex_lock(&store->mutex);
	for (;;) {
		if (!list_empty(&store->queued)) {
			move_all(&store->queued, &batches);
			uv_mutex_unlock(&store->mutex);
			commit_all(store, &batches);
			uv_mutex_lock(&store->mutex);
			move_all(&batches, &store->finished);
			store->wal_pages_seen = store->wal_pages;
			/* the loop is woken without the lock in hand: it would wait for it at once */
			uv_mutex_unlock(&store->mutex);
			uv_async_send(&store->async);
			if (store->wal_pages > CHECKPOINT_MUST_PAGES)
				sqlite3_wal_checkpoint_v2(store->writer, NULL,
							  SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
			uv_mutex_lock(&store->mutex);
		} else if (store->stopping) {
			break;
		} else if (store->prune_before_ms) {
			prune_when_idle(store);
		} else {
			uv_cond_wait(&store->wake, &store->mutex);
		}
	}
	store->stopped = true; /* what comes now is refused */
	uv_mutex_unlock(&store->mutex);
	close_writer(store);
	uv_mutex_lock(&store->mutex);
	store->ended = true;
	uv_async_send(&store->async);
	uv_mutex_unlock(&store->mutex);
}

/* --- the loop's side --- */

static void on_async(uv_async_t *async)
{
	struct store *store = async->data;

	loop_later(store->loop, &store->deliver);
}

static void on_deliver(struct loop_later *later)
{
	struct store *store = LIST_ENTRY(later, struct store, deliver);

	store_writer_deliver(store);
	store_reader_deliver(store);
	store_close_step(store);
}

int store_writer_start(struct store *store, struct gantry_error *err)
{
	int code;

	sqlite3_wal_hook(store->writer, on_commit, store);
	store->checkpoint_pages = CHECKPOINT_PAGES;
	loop_later_init(&store->deliver, on_deliver);
	code = uv_async_init(&store->loop->uv, &store->async, on_async);
	if (code < 0)
		return gantry_error_set(err, code, "store %s: %s", store->path, uv_strerror(code));
	store->async.data = store;
	uv_unref((uv_handle_t *)&store->async);
	code = uv_thread_create(&store->thread, write_loop, store);
	if (code == 0)
		return 0;
	uv_close((uv_handle_t *)&store->async, NULL);
	uv_run(&store->loop->uv, UV_RUN_NOWAIT); /* nothing else is on the loop at this time */
	return gantry_error_set(err, code, "store %s: no thread for the writer: %s", store->path,
				uv_strerror(code));
}

void store_writer_stop(struct store *store)
{
	uv_ref((uv_handle_t *)&store->async);
	uv_mutex_lock(&store->mutex);
	store->stopping = true;
	uv_cond_signal(&store->wake);
	uv_mutex_unlock(&store->mutex);
}

void store_batch_commit(struct store_batch *batch, store_done_fn done, void *arg)
{
	struct store *store = batch->store;
	bool stopped;

	batch->done = done;
	batch->arg = arg;
	if (store->undelivered++ == 0)
		uv_ref((uv_handle_t *)&store->async);
	uv_mutex_lock(&store->mutex);
	stopped = store->stopped;
	if (!stopped) {
		list_append(&store->queued, &batch->link);
	} else {
		batch->err = ARENA_NEW(&batch->arena, struct gantry_error);
		gantry_error_set(batch->err, -ESHUTDOWN, "store %s: it is closed", store->path);
		list_append(&store->finished, &batch->link);
		loop_later(store->loop, &store->deliver);
	}
	uv_mutex_unlock(&store->mutex);
	if (!stopped)
		uv_cond_signal(&store->wake);
}

void store_prune(struct store *store, int64_t older_than_ms)
{
	uv_mutex_lock(&store->mutex);
	store->prune_before_ms = older_than_ms;
	uv_cond_signal(&store->wake);
	uv_mutex_unlock(&store->mutex);
}

static void deliver_one(struct store *store, struct store_batch *batch)
{
	list_remove(&batch->link);
	if (--store->undelivered == 0 && !store->closing)
		uv_unref((uv_handle_t *)&store->async);
	if (batch->done)
		batch->done(batch->arg, batch->err);
	arena_fini(&batch->arena);
	free(batch);
}

void store_writer_deliver(struct store *store)
{
	struct gantry_error prune_err;
	struct list finished;
	int pages;

	list_init(&finished);
	uv_mutex_lock(&store->mutex);
	move_all(&store->finished, &finished);
	pages = store->wal_pages_seen;
	prune_err = store->prune_err;
	store->prune_err.code = 0;
	uv_mutex_unlock(&store->mutex);
	while (!list_empty(&finished))
		deliver_one(store, LIST_ENTRY(finished.next, struct store_batch, link));
	if (prune_err.code < 0)
		log_warn("old history could not be dropped: %s", prune_err.text);
	if (pages < CHECKPOINT_PAGES) {
		store->checkpoint_pages = CHECKPOINT_PAGES;
	} else if (pages >= store->checkpoint_pages && !store->closing) {
		store->checkpoint_pages = pages + CHECKPOINT_PAGES;
		store_reader_checkpoint(store);
	}
}

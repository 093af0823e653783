/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads while the daemon runs: jobs, one at a time, in the work pool, on the reader's connection. A
 * job reads its rows into memory (bounded), and tells them on the loop. Checkpoints are jobs too.
 */
#include "store/internal.h"
#include "base/str.h"

#include <stdlib.h>

enum read_kind {
	READ_EVENTS,
	READ_EVENTS_OF,
	READ_DECISION,
	READ_DECISIONS_OF,
	READ_OPERATIONS,
	READ_OPERATIONS_OF,
	READ_OPERATION,
	READ_OPERATION_OF_KEY,
	READ_CHECKPOINT,
};

/* The short form of a write leaves the step within the JSON as it was. */
#define OPERATION_COLUMNS                                                                          \
	"CASE WHEN json_valid(json) THEN json_replace(json, '$.step', step) ELSE json END,"        \
	" id, kind, state, step, instance, actor"

/* ?1 is the number, ?2 the text, ?3 the limit, ?4 the other text. */
static const char *const reads[] = {
	[READ_EVENTS] = "SELECT json FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT ?3",
	[READ_EVENTS_OF] = "SELECT json FROM events WHERE instance = ?2 AND sequence > ?1"
			   " ORDER BY sequence LIMIT ?3",
	[READ_DECISION] = "SELECT json FROM decisions WHERE id = ?1",
	[READ_DECISIONS_OF] =
		"SELECT json FROM decisions WHERE instance = ?2 ORDER BY id DESC LIMIT ?3",
	[READ_OPERATIONS] =
		"SELECT " OPERATION_COLUMNS " FROM operations ORDER BY number DESC LIMIT ?3",
	[READ_OPERATIONS_OF] = "SELECT " OPERATION_COLUMNS
			       " FROM operations WHERE instance = ?2 ORDER BY number DESC LIMIT ?3",
	[READ_OPERATION] = "SELECT " OPERATION_COLUMNS " FROM operations WHERE id = ?2",
	[READ_OPERATION_OF_KEY] = "SELECT " OPERATION_COLUMNS
				  " FROM operations WHERE actor = ?2 AND idempotency_key = ?4",
	[READ_CHECKPOINT] = NULL,
};

struct store_read {
	struct list link;
	uv_work_t work;
	struct store *store;
	enum read_kind kind;
	int64_t number, limit;
	char *text, *other; /* owned; NULL */
	store_rows_fn done;
	void *arg;
	char **rows; /* owned */
	size_t count, capacity, bytes;
	struct gantry_error err; /* code 0: none */
};

/* --- in the pool --- */

/* The json column as an object with the other columns put in front. */
static char *join_columns(sqlite3_stmt *statement)
{
	const char *json = (const char *)sqlite3_column_text(statement, 0);
	struct str row = STR_INIT;
	size_t rest;

	for (int i = 1; i < sqlite3_column_count(statement); i++) {
		const char *text = (const char *)sqlite3_column_text(statement, i);

		if (!text)
			continue;
		str_addf(&row, "%s\"%s\":\"", row.length ? "," : "{",
			 sqlite3_column_name(statement, i));
		str_add_json(&row, text, strlen(text));
		str_add_char(&row, '"');
	}
	json = json ? json + strspn(json, " \t\r\n") : "";
	json = json[0] == '{' ? json + 1 : "}";
	rest = strspn(json, " \t\r\n");
	if (json[rest] != '}')
		str_add_char(&row, row.length ? ',' : '{');
	str_add(&row, json);
	return str_take(&row);
}

static void keep_row(struct store_read *read, char *row)
{
	if (read->count == read->capacity) {
		read->capacity = read->capacity ? 2 * read->capacity : 16;
		read->rows = xrealloc(read->rows, read->capacity * sizeof(*read->rows));
	}
	read->bytes += strlen(row);
	read->rows[read->count++] = row;
}

static void run_read(uv_work_t *work)
{
	struct store_read *read = work->data;
	sqlite3 *db = read->store->reader;
	sqlite3_stmt *statement = NULL;
	int result;

	if (read->kind == READ_CHECKPOINT) { /* one that cannot be done now is done later */
		sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		return;
	}
	result = sqlite3_prepare_v2(db, reads[read->kind], -1, &statement, NULL);
	if (result == SQLITE_OK) {
		/* those that a statement does not have are refused without harm */
		sqlite3_bind_int64(statement, 1, read->number);
		sqlite3_bind_text(statement, 2, read->text, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, read->limit);
		sqlite3_bind_text(statement, 4, read->other, -1, SQLITE_STATIC);
		while (read->bytes < STORE_ROWS_BYTES_MAX &&
		       (result = sqlite3_step(statement)) == SQLITE_ROW) {
			if (sqlite3_column_count(statement) > 1)
				keep_row(read, join_columns(statement));
			else
				keep_row(read,
					 xstrdup((const char *)sqlite3_column_text(statement, 0)));
		}
	}
	if (result != SQLITE_DONE && result != SQLITE_ROW)
		store_error(read->store->path, db, result, &read->err);
	sqlite3_finalize(statement);
}

/* --- on the loop --- */

static void finish(struct store_read *read)
{
	if (read->done)
		read->done(read->arg, read->err.code ? &read->err : NULL, read->rows,
			   read->err.code ? 0 : read->count);
	for (size_t i = 0; i < read->count; i++)
		free(read->rows[i]);
	free(read->rows);
	free(read->text);
	free(read->other);
	free(read);
}

static void on_read(uv_work_t *work, int status)
{
	struct store_read *read = work->data;
	struct store *store = read->store;

	if (status < 0)
		gantry_error_set(&read->err, status, "store %s: %s", store->path,
				 uv_strerror(status));
	if (read->kind == READ_CHECKPOINT)
		store->checkpoint_queued = false;
	store->reading = false;
	finish(read);
	store_reader_next(store);
	store_close_step(store);
}

void store_reader_next(struct store *store)
{
	struct store_read *read;

	if (store->reading || list_empty(&store->reads))
		return;
	read = LIST_ENTRY(store->reads.next, struct store_read, link);
	list_remove(&read->link);
	store->reading = true;
	read->work.data = read;
	uv_queue_work(&store->loop->uv, &read->work, run_read, on_read);
}

static void queue_read(struct store *store, enum read_kind kind, int64_t number, const char *text,
		       const char *other, size_t limit, store_rows_fn done, void *arg)
{
	struct store_read *read = xcalloc(1, sizeof(*read));

	read->store = store;
	read->kind = kind;
	read->number = number;
	read->text = xstrdup(text);
	read->other = xstrdup(other);
	read->limit = limit < STORE_ROWS_MAX ? (int64_t)limit : STORE_ROWS_MAX;
	read->done = done;
	read->arg = arg;
	if (store->closing) {
		gantry_error_set(&read->err, -ESHUTDOWN, "store %s: it is being closed",
				 store->path);
		list_append(&store->refused, &read->link);
		loop_later(store->loop, &store->deliver);
		return;
	}
	list_append(&store->reads, &read->link);
	store_reader_next(store);
}

void store_reader_deliver(struct store *store)
{
	while (!list_empty(&store->refused)) {
		struct store_read *read = LIST_ENTRY(store->refused.next, struct store_read, link);

		list_remove(&read->link);
		finish(read);
	}
}

void store_reader_checkpoint(struct store *store)
{
	if (store->checkpoint_queued)
		return;
	store->checkpoint_queued = true;
	queue_read(store, READ_CHECKPOINT, 0, NULL, NULL, 0, NULL, NULL);
}

void store_read_events(struct store *store, int64_t after, const char *instance, size_t limit,
		       store_rows_fn done, void *arg)
{
	queue_read(store, instance ? READ_EVENTS_OF : READ_EVENTS, after, instance, NULL, limit,
		   done, arg);
}

void store_read_decision(struct store *store, int64_t id, store_rows_fn done, void *arg)
{
	queue_read(store, READ_DECISION, id, NULL, NULL, 1, done, arg);
}

void store_read_decisions(struct store *store, const char *instance, size_t limit,
			  store_rows_fn done, void *arg)
{
	queue_read(store, READ_DECISIONS_OF, 0, instance, NULL, limit, done, arg);
}

void store_read_operations(struct store *store, const char *instance, size_t limit,
			   store_rows_fn done, void *arg)
{
	queue_read(store, instance ? READ_OPERATIONS_OF : READ_OPERATIONS, 0, instance, NULL, limit,
		   done, arg);
}

void store_read_operation(struct store *store, const char *id, store_rows_fn done, void *arg)
{
	queue_read(store, READ_OPERATION, 0, id, NULL, 1, done, arg);
}

void store_read_operation_of_key(struct store *store, const char *actor, const char *key,
				 store_rows_fn done, void *arg)
{
	queue_read(store, READ_OPERATION_OF_KEY, 0, actor, key, 1, done, arg);
}

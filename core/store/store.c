/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, loading at start, closing.
 *
 * Open: lock PATH.lock, make the file where there is none, look whether it is sound, bring its schema
 * up to date, start the writer.
 * Close: reads that are queued end, the reader's connection goes, the writer commits what is queued
 * and closes its own (the last one, so that it also cleans up), the thread is joined, the handle is
 * closed, and the store is gone.
 */
#include "store/internal.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 2000
#define CHECK_BYTES_MAX (64LL << 20) /* a larger file is not looked through at the start */

#define WRITER_SETTINGS                                                                            \
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -256;"        \
	"PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY"
#define READER_SETTINGS                                                                            \
	"PRAGMA query_only = 1; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -256;"            \
	"PRAGMA temp_store = MEMORY"

/* Makes the file with a mode of ours; SQLite gives it to those beside. */
static int make_file(const char *path, struct gantry_error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	return errno == EEXIST
		       ? 0
		       : gantry_error_set(err, -errno, "store %s: the file cannot be made (%s)",
					  path, strerror(errno));
}

static int connect_to(const char *path, int flags, const char *settings, sqlite3 **ret_db,
		      struct gantry_error *err)
{
	int result = sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READWRITE | flags, NULL);

	if (result == SQLITE_OK) {
		sqlite3_extended_result_codes(*ret_db, 1);
		sqlite3_busy_timeout(*ret_db, BUSY_TIMEOUT_MS);
		result = sqlite3_exec(*ret_db, settings, NULL, NULL, NULL);
	}
	return result == SQLITE_OK ? 0 : store_error(path, *ret_db, result, err);
}

/* Pages and their order, not indexes: 10 ms for 10 MB. */
static int check(const char *path, sqlite3 *db, struct gantry_error *err)
{
	sqlite3_stmt *statement = NULL;
	struct stat status;
	int code = 0, result;

	if (stat(path, &status) == 0 && status.st_size > CHECK_BYTES_MAX)
		return 0;
	result = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	if (result != SQLITE_ROW)
		code = store_error(path, db, result, err);
	else if (!str_equal((const char *)sqlite3_column_text(statement, 0), "ok"))
		code = store_error(path, NULL, SQLITE_CORRUPT, err);
	sqlite3_finalize(statement);
	return code;
}

static void free_store(struct store *store, bool in_order)
{
	store_unlock(store, in_order);
	uv_cond_destroy(&store->wake);
	uv_mutex_destroy(&store->mutex);
	free(store->path);
	free(store);
}

int store_open(struct loop *loop, const char *path, struct store **ret_store, bool *ret_created,
	       struct gantry_error *err)
{
	struct store *store = xcalloc(1, sizeof(*store));
	int code;

	store->loop = loop;
	store->path = xstrdup(path);
	store->lock_fd = -1;
	list_init(&store->queued);
	list_init(&store->finished);
	list_init(&store->reads);
	list_init(&store->refused);
	uv_mutex_init(&store->mutex);
	uv_cond_init(&store->wake);

	code = store_lock(store, err);
	if (code == 0)
		code = make_file(path, err);
	/* one thread uses it at a time: first this one, then the writer's */
	if (code == 0)
		code = connect_to(path, SQLITE_OPEN_NOMUTEX, WRITER_SETTINGS, &store->writer, err);
	if (code == 0)
		code = check(path, store->writer, err);
	if (code == 0)
		code = store_migrate(path, store->writer, ret_created, err);
	if (code == 0)
		code = connect_to(path, SQLITE_OPEN_FULLMUTEX, READER_SETTINGS, &store->reader,
				  err);
	if (code == 0)
		code = store_writer_start(store, err);
	if (code == 0) {
		*ret_store = store;
		return 0;
	}
	sqlite3_close(store->reader);
	sqlite3_close(store->writer);
	free_store(store, false);
	return code;
}

/* --- closing --- */

static void on_async_closed(uv_handle_t *handle)
{
	struct store *store = handle->data;
	void (*closed)(void *arg) = store->closed;
	void *arg = store->closed_arg;

	free_store(store, true);
	if (closed)
		closed(arg);
}

/* Called whenever something ended; does the next part of a close whose time has come. */
void store_close_step(struct store *store)
{
	bool over;

	if (!store->closing || store->reading || !list_empty(&store->reads))
		return;
	if (store->reader) {
		sqlite3_close(store->reader);
		store->reader = NULL;
		store_writer_stop(store);
		return;
	}
	uv_mutex_lock(&store->mutex);
	over = store->ended && list_empty(&store->finished) && list_empty(&store->refused);
	uv_mutex_unlock(&store->mutex);
	if (!over || uv_is_closing((uv_handle_t *)&store->async) ||
	    !list_empty(&store->deliver.link))
		return; /* the delivery that is queued comes here again */
	uv_thread_join(&store->thread);
	uv_close((uv_handle_t *)&store->async, on_async_closed);
}

void store_close(struct store *store, void (*closed)(void *arg), void *arg)
{
	store->closing = true;
	store->closed = closed;
	store->closed_arg = arg;
	store_close_step(store);
}

/* --- loads at start --- */

static int load(struct store *store, const char *sql, int64_t number,
		int (*row)(void *arg, sqlite3_stmt *statement), void *arg, struct gantry_error *err)
{
	sqlite3_stmt *statement = NULL;
	int code = 0, result = sqlite3_prepare_v2(store->reader, sql, -1, &statement, NULL);

	if (result == SQLITE_OK) {
		sqlite3_bind_int64(statement, 1, number);
		while (code == 0 && (result = sqlite3_step(statement)) == SQLITE_ROW) {
			code = row(arg, statement);
			if (code < 0)
				gantry_error_set(err, code, "store %s: loading stopped at %.60s",
						 store->path, sqlite3_column_text(statement, 0));
		}
	}
	if (code == 0 && result != SQLITE_DONE)
		code = store_error(store->path, store->reader, result, err);
	sqlite3_finalize(statement);
	return code;
}

static const char *column(sqlite3_stmt *statement, int index)
{
	return (const char *)sqlite3_column_text(statement, index);
}

struct instance_rows {
	int (*row)(void *arg, const char *id, const char *json);
	void *arg;
};

static int on_instance(void *arg, sqlite3_stmt *statement)
{
	struct instance_rows *rows = arg;

	return rows->row(rows->arg, column(statement, 0), column(statement, 1));
}

int store_load_instances(struct store *store,
			 int (*row)(void *arg, const char *id, const char *json), void *arg,
			 struct gantry_error *err)
{
	struct instance_rows rows = {row, arg};

	return load(store, "SELECT id, json FROM instances ORDER BY rowid", 0, on_instance, &rows,
		    err);
}

struct operation_rows {
	int (*row)(void *arg, const struct store_operation *operation);
	void *arg;
};

static int on_operation(void *arg, sqlite3_stmt *statement)
{
	struct operation_rows *rows = arg;
	struct store_operation operation = {
		.id = column(statement, 0),
		.kind = column(statement, 1),
		.instance = column(statement, 2),
		.state = column(statement, 3),
		.step = column(statement, 4),
		.idempotency_key = column(statement, 5),
		.actor = column(statement, 6),
		.json = column(statement, 7),
		.created_ms = sqlite3_column_int64(statement, 8),
	};

	return rows->row(rows->arg, &operation);
}

int store_load_operations(struct store *store, size_t newest,
			  int (*row)(void *arg, const struct store_operation *operation), void *arg,
			  struct gantry_error *err)
{
	struct operation_rows rows = {row, arg};

	return load(
		store,
		"SELECT id, kind, instance, state, step, idempotency_key, actor, json, created_ms"
		" FROM operations WHERE state = 'running' OR number IN"
		" (SELECT number FROM operations ORDER BY number DESC LIMIT ?1) ORDER BY number",
		(int64_t)newest, on_operation, &rows, err);
}

int store_load_facts(struct store *store, const char *prefix,
		     void (*row)(void *arg, const char *name, const char *value), void *arg,
		     struct gantry_error *err)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(store->reader,
					"SELECT name, value FROM facts WHERE name >= ?1"
					" AND substr(name, 1, length(?1)) = ?1 ORDER BY name",
					-1, &statement, NULL);

	if (result == SQLITE_OK)
		result = sqlite3_bind_text(statement, 1, prefix, -1, SQLITE_STATIC);
	while (result == SQLITE_OK || result == SQLITE_ROW) {
		result = sqlite3_step(statement);
		if (result == SQLITE_ROW)
			row(arg, column(statement, 0), column(statement, 1));
	}
	sqlite3_finalize(statement);
	return result == SQLITE_DONE ? 0 : store_error(store->path, store->reader, result, err);
}

char *store_load_fact(struct store *store, const char *name)
{
	sqlite3_stmt *statement = NULL;
	char *value = NULL;

	if (sqlite3_prepare_v2(store->reader, "SELECT value FROM facts WHERE name = ?1", -1,
			       &statement, NULL) == SQLITE_OK) {
		sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
		if (sqlite3_step(statement) == SQLITE_ROW)
			value = xstrdup(column(statement, 0));
	}
	sqlite3_finalize(statement);
	return value;
}

static int on_number(void *arg, sqlite3_stmt *statement)
{
	*(int64_t *)arg = sqlite3_column_int64(statement, 0);
	return 0;
}

int64_t store_last_event(struct store *store)
{
	int64_t number = 0;

	load(store, "SELECT max(sequence) FROM events", 0, on_number, &number, NULL);
	if (number < store->lost_sequence)
		number = store->lost_sequence;
	return number ? number + store->sequence_skip : 0;
}

int64_t store_last_decision(struct store *store)
{
	int64_t number = 0;

	load(store, "SELECT max(id) FROM decisions", 0, on_number, &number, NULL);
	return number;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store meets on the disk: an older schema, a newer one, damage, a file of somebody else, no
 * folder, a second daemon, a file taken away, a full disk.
 */
#include "storage.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void run_sql(const char *name, const char *sql)
{
	char path[128], *why = NULL;
	sqlite3 *db;

	storage_path(path, sizeof(path), name);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		bail_out("%s: %s", name, why);
	sqlite3_close(db);
}

static int64_t read_number(const char *name, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t number = -1;
	char path[128];
	sqlite3 *db;

	storage_path(path, sizeof(path), name);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		bail_out("%s: %s", sql, sqlite3_errmsg(db));
	if (sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

static void write_file(const char *name, const char *data, size_t length, off_t offset)
{
	char path[128];
	int fd;

	storage_path(path, sizeof(path), name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	if (fd < 0 || pwrite(fd, data, length, offset) != (ssize_t)length)
		bail_out("%s cannot be written", path);
	close(fd);
}

/* --- schema --- */

/* A file as version 1 wrote it. */
static const char version_1[] =
	"PRAGMA application_id = 1198421106; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;"
	"CREATE TABLE instances (id TEXT PRIMARY KEY, json TEXT NOT NULL);"
	"CREATE TABLE operations (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
	" instance TEXT, state TEXT NOT NULL, step TEXT, idempotency_key TEXT, actor TEXT,"
	" json TEXT NOT NULL, created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL);"
	"CREATE INDEX operations_instance ON operations (instance, number);"
	"CREATE UNIQUE INDEX operations_key ON operations (actor, idempotency_key)"
	" WHERE idempotency_key IS NOT NULL;"
	"CREATE TABLE events (sequence INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, json TEXT NOT NULL);"
	"CREATE TABLE decisions (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, instance TEXT,"
	" json TEXT NOT NULL);"
	"CREATE INDEX decisions_instance ON decisions (instance, id);"
	"INSERT INTO instances VALUES ('i1', '{\"id\":\"i1\"}');"
	"INSERT INTO operations VALUES (1, 'o1', 'spawn', 'i1', 'running', 'create', NULL, NULL, '{}', 1, 1);"
	"INSERT INTO events VALUES (1, 1, '{\"instance\":\"i1\"}'), (2, 2, '{\"instance\":\"i2\"}'),"
	" (3, 3, '{}'), (4, 4, 'no json');"
	"INSERT INTO decisions VALUES (7, 1, 'i1', '{}');";

static int count_instance(void *arg, const char *id, const char *json)
{
	(void)id;
	(void)json;
	++*(int *)arg;
	return 0;
}

static void migrate(void)
{
	struct rows rows = {0};
	struct storage *s;
	struct store_batch *batch;
	int count = 0;
	char *fact;

	run_sql("old", version_1);
	s = storage_open("old");
	ok(!s->created, "a file of version 1 is opened, and is not new");
	store_load_instances(s->store, count_instance, &count, NULL);
	is_int(count, 1, "its instances are there");
	is_int(store_last_event(s->store), 4, "its events");
	is_int(store_last_decision(s->store), 7, "its decisions");
	store_read_events(s->store, 0, "i2", 10, rows_keep, &rows);
	loop_run(&s->loop);
	is_int(rows.count, 1, "old events are found by instance");
	rows_fini(&rows);
	batch = store_batch_new(s->store);
	store_put_fact(batch, "a", "b");
	store_put_event(batch, 5, 5, "i1", "{}");
	is_int(storage_commit(s, batch), 0, "what is new in version 2 can be written");
	fact = store_load_fact(s->store, "a");
	is_str(fact, "b", "and read");
	free(fact);
	storage_close(s);
	is_int(read_number("old", "PRAGMA user_version"), 2, "the file is of version 2 now");
	storage_close(storage_open("fresh"));
	is_int(read_number("fresh", "PRAGMA user_version"), 2, "as a new one is");
	/* the table by names and columns, so that old and new are the same to every statement */
	is_int(read_number("old", "SELECT count(*) FROM sqlite_master"),
	       read_number("fresh", "SELECT count(*) FROM sqlite_master"),
	       "with as many tables and indexes as a new one has");
	s = storage_open("old");
	is_int(store_last_event(s->store), 5, "a second start changes nothing");
	storage_close(s);
}

/* A migration that cannot be done leaves the file as it was. */
static void half_migrated(void)
{
	struct storage *s;

	run_sql("half", version_1);
	run_sql("half", "CREATE TABLE facts (x); INSERT INTO facts VALUES (1)");
	s = storage_try("half");
	ok(!s->store, "a migration that fails is a refusal");
	like(s->err.text, "cannot bring the schema from version 1 to 2", "told so");
	storage_close(s);
	is_int(read_number("half", "PRAGMA user_version"), 1, "the file is as it was");
	is_int(read_number("half", "SELECT count(*) FROM pragma_table_info('events')"), 3,
	       "no column was added");
	run_sql("half", "DROP TABLE facts");
	storage_close(storage_open("half"));
	is_int(read_number("half", "PRAGMA user_version"), 2, "once it can be done, it is");
}

static void refused(void)
{
	struct storage *s;
	char block[4096];

	storage_close(storage_open("newer"));
	run_sql("newer", "PRAGMA user_version = 7");
	s = storage_try("newer");
	is_int(s->code, -ENOTSUP, "a newer schema is refused");
	like(s->err.text, "schema version 7, this gantryd knows up to 2", "both versions are told");
	storage_close(s);
	is_int(read_number("newer", "PRAGMA user_version"), 7, "and the file is left alone");

	run_sql("foreign", "CREATE TABLE songs (title)");
	s = storage_try("foreign");
	is_int(s->code, -EBADMSG, "a database of another program is refused");
	like(s->err.text, "another program", "told so");
	storage_close(s);

	write_file("text", "This is my diary, and no database at all. It is long enough. ......",
		   64, 0);
	s = storage_try("text");
	is_int(s->code, -EBADMSG, "a file that is no database is refused");
	like(s->err.text, "move the file", "with what to do");
	like(s->err.text, "rebuilt from the engines", "and what is lost");
	storage_close(s);

	s = storage_open("torn");
	for (int i = 0; i < 200; i++) {
		struct store_batch *batch = store_batch_new(s->store);

		store_put_event(batch, i + 1, 1, "some-instance",
				"{\"a\":\"some text to fill pages\"}");
		store_batch_commit(batch, NULL, NULL);
	}
	storage_close(s);
	memset(block, 0xa5, sizeof(block));
	for (int page = 1; page < 8; page++)
		write_file("torn", block, sizeof(block), page * 4096);
	s = storage_try("torn");
	is_int(s->code, -EBADMSG, "a file with torn pages is refused");
	like(s->err.text, "move the file", "with what to do");
	storage_close(s);

	write_file("empty", "", 0, 0);
	s = storage_open("empty");
	ok(s->created, "an empty file is filled");
	storage_close(s);
}

static void places(void)
{
	struct storage *s, *t;
	struct stat status;
	char path[160];

	s = storage_open("mine");
	stat(s->path, &status);
	is_int(status.st_mode & 0777, 0600, "nobody else reads the file");
	snprintf(path, sizeof(path), "%s-wal", s->path);
	stat(path, &status);
	is_int(status.st_mode & 0777, 0600, "nor its WAL");
	t = storage_try("mine");
	is_int(t->code, -EBUSY, "a second daemon on one store is refused");
	like(t->err.text, "another gantryd (process ", "and told who has it");
	storage_close(t);
	is_int(storage_commit(s, store_batch_new(s->store)), 0, "the first goes on");
	storage_close(s);
	storage_close(storage_open("mine"));
	ok(true, "after its end the store is free");

	s = storage_try("no/such/folder/x");
	is_int(s->code, -ENOENT, "no folder");
	like(s->err.text, "its folder must be there", "told so");
	storage_close(s);
}

/* The file is taken away, and then replaced, while it is in use. */
static void taken_away(void)
{
	struct storage *s = storage_open("taken"), *other;
	struct store_batch *batch = store_batch_new(s->store);
	char away[160];

	store_put_event(batch, 1, 1, NULL, "{}");
	is_int(storage_commit(s, batch), 0, "a commit");
	snprintf(away, sizeof(away), "%s.away", s->path);
	rename(s->path, away);
	batch = store_batch_new(s->store);
	store_put_event(batch, 2, 1, NULL, "{}");
	is_int(storage_commit(s, batch), -ENOENT, "a file that was moved away is told");
	like(s->err.text, "removed or replaced while gantryd uses it; restart", "with what to do");
	rename(away, s->path);
	batch = store_batch_new(s->store);
	store_put_event(batch, 3, 1, NULL, "{}");
	is_int(storage_commit(s, batch), 0, "once it is back, all is well");
	unlink(s->path);
	batch = store_batch_new(s->store);
	store_put_event(batch, 4, 1, NULL, "{}");
	is_int(storage_commit(s, batch), -ENOENT, "one that was deleted is told");
	storage_close(s);
	other = storage_open("taken");
	ok(other->created, "the next start makes a new one");
	is_int(store_last_event(other->store), 4, "which does not give the number of the lost one");
	storage_close(other);
}

/* --- a full disk --- */

static int put_big(struct storage *s, int64_t sequence)
{
	static char json[100 << 10];
	struct store_batch *batch = store_batch_new(s->store);

	memset(json, 'x', sizeof(json) - 1);
	json[0] = json[sizeof(json) - 2] = '"';
	store_put_event(batch, sequence, sequence, NULL, json);
	return storage_commit(s, batch);
}

static void disk_full(void)
{
	static char block[64 << 10];
	char folder[100], filler[128];
	struct storage *s;
	int64_t in = 0;
	int code = 0, fd, ends[3] = {1, 1, 1};

	snprintf(folder, sizeof(folder), "%s/small", storage_folder);
	mkdir(folder, 0700);
	if (mount("tmpfs", folder, "tmpfs", 0, "size=2m") < 0) {
		skip(10, "no file system of our own to fill here");
		return;
	}
	s = storage_open("small/full");
	snprintf(filler, sizeof(filler), "%s/filler", folder);
	while (code == 0 && in < 100) {
		code = put_big(s, in + 1);
		in += code == 0;
	}
	is_int(code, -ENOSPC, "a full disk is told, after %d commits", (int)in);
	like(s->err.text, "the disk is full; make room", "with what to do");
	ok(in > 3, "commits of before are in");
	is_int(put_big(s, in + 1), -ENOSPC, "it is told each time");
	for (int i = 0; i < 3; i++) {
		struct store_batch *batch = store_batch_new(s->store);

		for (int n = 0; n < 50; n++)
			store_put_event(batch, 1000 + 50 * i + n, 1, NULL, "{\"a\":\"small row\"}");
		store_batch_commit(batch, storage_code, &ends[i]);
	}
	loop_run(&s->loop);
	ok((ends[0] == 0 || ends[0] == -ENOSPC) && (ends[2] == 0 || ends[2] == -ENOSPC),
	   "many at once all have an end: %d %d %d", ends[0], ends[1], ends[2]);
	if (mount("tmpfs", folder, "tmpfs", MS_REMOUNT, "size=16m") < 0)
		bail_out("no remount");
	is_int(put_big(s, 5000), 0, "with room again, the next commit is in, without a restart");
	is_int(store_last_event(s->store), 5000, "and can be read");
	storage_close(s);
	s = storage_open("small/full");
	is_int(store_last_event(s->store), 5000, "the file is sound after");
	storage_close(s);
	fd = open(filler, O_WRONLY | O_CREAT, 0600);
	for (size_t size = sizeof(block); size; size /= 2)
		while (write(fd, block, size) > 0)
			;
	close(fd);
	s = storage_try("small/second");
	is_int(s->code, -ENOSPC, "a store that cannot be made for want of room");
	like(s->err.text, "full", "is told so");
	storage_close(s);
	if (umount(folder) < 0)
		diag("%s is still mounted", folder);
}

int main(void)
{
	storage_init();
	migrate();
	half_migrated();
	refused();
	places();
	taken_away();
	disk_full();
	storage_fini();
	done_testing();
	return tap_end();
}

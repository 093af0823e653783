/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema, as steps: step n takes a file of version n to n + 1, so a new file goes through all.
 * A step that has been released is never changed; a new version is a new step at the end.
 */
#include "store/internal.h"

#define APPLICATION_ID 0x476e7472 /* "Gntr" */

static const char *const steps[STORE_VERSION] = {
	/* 0 → 1 */
	"PRAGMA application_id = 1198421106;"
	"CREATE TABLE instances (id TEXT PRIMARY KEY, json TEXT NOT NULL);"
	"CREATE TABLE operations ("
	"  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, instance TEXT,"
	"  state TEXT NOT NULL, step TEXT, idempotency_key TEXT, actor TEXT, json TEXT NOT NULL,"
	"  created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL);"
	"CREATE INDEX operations_instance ON operations (instance, number);"
	"CREATE UNIQUE INDEX operations_key ON operations (actor, idempotency_key)"
	"  WHERE idempotency_key IS NOT NULL;"
	"CREATE TABLE events (sequence INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, json TEXT NOT NULL);"
	"CREATE TABLE decisions ("
	"  id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, instance TEXT, json TEXT NOT NULL);"
	"CREATE INDEX decisions_instance ON decisions (instance, id);",
	/* 1 → 2: events are found by instance; small facts by name */
	"ALTER TABLE events ADD COLUMN instance TEXT;"
	"UPDATE events SET instance = json_extract(json, '$.instance') WHERE json_valid(json);"
	"CREATE INDEX events_instance ON events (instance, sequence);"
	"CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
};
_Static_assert(APPLICATION_ID == 1198421106, "the first step says the same");

static int read_number(sqlite3 *db, const char *sql, int64_t *ret_number)
{
	sqlite3_stmt *statement;
	int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (result != SQLITE_OK)
		return result;
	result = sqlite3_step(statement);
	*ret_number = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	sqlite3_finalize(statement);
	return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

static int run_steps(sqlite3 *db, int64_t version)
{
	char sql[64];
	int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (; result == SQLITE_OK && version < STORE_VERSION; version++)
		result = sqlite3_exec(db, steps[version], NULL, NULL, NULL);
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d; COMMIT", STORE_VERSION);
	return result == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : result;
}

int store_migrate(const char *path, sqlite3 *db, bool *ret_created, struct gantry_error *err)
{
	int64_t version, application, tables;
	int result = read_number(db, "PRAGMA user_version", &version);

	if (result == SQLITE_OK)
		result = read_number(db, "PRAGMA application_id", &application);
	if (result == SQLITE_OK)
		result = read_number(db, "SELECT count(*) FROM sqlite_master", &tables);
	if (result != SQLITE_OK)
		return store_error(path, db, result, err);
	if (tables > 0 && application != APPLICATION_ID)
		return gantry_error_set(err, -EBADMSG,
					"store %s: the file is a database of another program; name "
					"another path, or move it away",
					path);
	if (version > STORE_VERSION)
		return gantry_error_set(
			err, -ENOTSUP,
			"store %s: the file has schema version %lld, this gantryd knows up to %d; start "
			"the gantryd that wrote it, or move the file away: instances are then rebuilt "
			"from the engines, history is not",
			path, (long long)version, STORE_VERSION);
	*ret_created = tables == 0;
	if (tables > 0 && version == STORE_VERSION)
		return 0;
	result = run_steps(db, tables == 0 ? 0 : version);
	if (result == SQLITE_OK)
		return 0;
	store_error(path, db, result, err);
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return gantry_error_prefix(err, "cannot bring the schema from version %lld to %d",
				   (long long)version, STORE_VERSION);
}

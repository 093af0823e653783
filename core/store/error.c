/* SPDX-License-Identifier: Apache-2.0 */
/* What SQLite says, in words an operator can act on. */
#include "store/internal.h"

static int disk_full(const char *path, struct gantry_error *err)
{
	return gantry_error_set(
		err, -ENOSPC,
		"store %s: the disk is full; make room where the file is and ask again "
		"(nothing was changed, what runs goes on)",
		path);
}

static int damaged(const char *path, const char *why, struct gantry_error *err)
{
	return gantry_error_set(
		err, -EBADMSG,
		"store %s: the file is damaged (%s); stop gantryd, move the file and those "
		"beside it (-wal, -shm) away and start again: instances are rebuilt from "
		"the engines, history is lost",
		path, why);
}

int store_error(const char *path, sqlite3 *db, int result, struct gantry_error *err)
{
	const char *why = db ? sqlite3_errmsg(db) : sqlite3_errstr(result);
	int system = db ? sqlite3_system_errno(db) : 0;

	switch (result & 0xff) {
	case SQLITE_FULL:
		return disk_full(path, err);
	case SQLITE_IOERR:
		if (system == ENOSPC || system == EDQUOT || system == EFBIG)
			return disk_full(path, err);
		return gantry_error_set(
			err, -EIO,
			"store %s: the file cannot be read or written (%s%s%s); look at the "
			"disk and the kernel's log",
			path, why, system ? ": " : "", system ? strerror(system) : "");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return damaged(path, why, err);
	case SQLITE_CANTOPEN:
		return gantry_error_set(
			err, system ? -system : -ENOENT,
			"store %s: the file cannot be opened (%s); its folder must be there "
			"and be writable for gantryd",
			path, system ? strerror(system) : why);
	case SQLITE_READONLY:
		return gantry_error_set(
			err, -EROFS,
			"store %s: the file cannot be written (%s); look at its owner, mode "
			"and mount",
			path, why);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return gantry_error_set(err, -EBUSY,
					"store %s: another program holds the file locked; end it",
					path);
	case SQLITE_CONSTRAINT:
		return gantry_error_set(err, -EEXIST, "store %s: that is there already (%s)", path,
					why);
	case SQLITE_NOMEM:
		return gantry_error_set(err, -ENOMEM, "store %s: out of memory", path);
	}
	return gantry_error_set(err, -EIO, "store %s: %s", path, why);
}

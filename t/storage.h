/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the store: a loop and a store in a folder of the test's own, and what reads told. */
#ifndef STORAGE_H
#define STORAGE_H

#include "tap.h"

#include "base/str.h"
#include "store/store.h"

#include <ftw.h>
#include <unistd.h>

static char storage_folder[64];

struct storage {
	struct loop loop;
	struct store *store;
	char path[128];
	bool created, closed;
	int code; /* of the last storage_commit */
	struct gantry_error err;
};

struct rows {
	char **items;
	size_t count;
	int called, code;
};

__attribute__((unused)) static void storage_init(void)
{
	strcpy(storage_folder, "/tmp/gantry-store-XXXXXX");
	if (!mkdtemp(storage_folder))
		bail_out("no folder for the test");
}

__attribute__((unused)) static int storage_unlink(const char *path, const struct stat *status,
						  int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

__attribute__((unused)) static void storage_fini(void)
{
	nftw(storage_folder, storage_unlink, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

__attribute__((unused)) static void storage_path(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s.db", storage_folder, name);
}

/* A loop, and the store on it where it opens: else store is NULL, with code and err. */
__attribute__((unused)) static struct storage *storage_try(const char *name)
{
	struct storage *s = xcalloc(1, sizeof(*s));

	loop_init(&s->loop);
	storage_path(s->path, sizeof(s->path), name);
	s->code = store_open(&s->loop, s->path, &s->store, &s->created, &s->err);
	return s;
}

__attribute__((unused)) static struct storage *storage_open(const char *name)
{
	struct storage *s = storage_try(name);

	if (!s->store)
		bail_out("%s", s->err.text);
	return s;
}

__attribute__((unused)) static void storage_closed(void *arg)
{
	((struct storage *)arg)->closed = true;
}

/* Closes what is open, and frees. */
__attribute__((unused)) static void storage_close(struct storage *s)
{
	if (s->store)
		store_close(s->store, storage_closed, s);
	loop_run(&s->loop);
	if (s->closed != (s->store != NULL) || loop_fini(&s->loop) < 0)
		bail_out("%s did not close", s->path);
	free(s);
}

__attribute__((unused)) static void storage_code(void *arg, const struct gantry_error *err)
{
	*(int *)arg = err ? err->code : 0;
}

__attribute__((unused)) static void storage_done(void *arg, const struct gantry_error *err)
{
	struct storage *s = arg;

	s->code = err ? err->code : 0;
	if (err)
		s->err = *err;
}

/* Commits and waits. */
__attribute__((unused)) static int storage_commit(struct storage *s, struct store_batch *batch)
{
	s->code = 1;
	store_batch_commit(batch, storage_done, s);
	loop_run(&s->loop);
	return s->code;
}

__attribute__((unused)) static void rows_keep(void *arg, const struct gantry_error *err,
					      char *const *items, size_t count)
{
	struct rows *rows = arg;

	rows->called++;
	rows->code = err ? err->code : 0;
	rows->items = xcalloc(count, sizeof(*rows->items));
	rows->count = count;
	for (size_t i = 0; i < count; i++)
		rows->items[i] = xstrdup(items[i]);
}

__attribute__((unused)) static void rows_fini(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		free(rows->items[i]);
	free(rows->items);
	*rows = (struct rows){0};
}

#endif

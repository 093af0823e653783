/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a commit takes: from store_batch_commit to done, one step of an operation a batch, one
 * after another; then how many batches a second with many queued. `store-commit [FOLDER] [COUNT]`.
 */
#include "base/clock.h"
#include "base/str.h"
#include "store/store.h"

#include <stdlib.h>
#include <unistd.h>

struct bench {
	struct loop loop;
	struct store *store;
	int64_t *took_us, started_us;
	size_t count, done;
};

static void commit_one(struct bench *bench);

static void on_done(void *arg, const struct gantry_error *err)
{
	struct bench *bench = arg;

	if (err) {
		fprintf(stderr, "%s\n", err->text);
		exit(1);
	}
	bench->took_us[bench->done++] = clock_monotonic_us() - bench->started_us;
	if (bench->done < bench->count)
		commit_one(bench);
}

static void commit_one(struct bench *bench)
{
	struct store_batch *batch = store_batch_new(bench->store);

	bench->started_us = clock_monotonic_us();
	store_put_step(batch, "operation", bench->done % 2 ? "create" : "start");
	store_batch_commit(batch, on_done, bench);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void commit_many(struct bench *bench)
{
	int64_t started_us = clock_monotonic_us(), took_us;

	for (size_t i = 0; i < bench->count; i++) {
		struct store_batch *batch = store_batch_new(bench->store);

		store_put_event(batch, (int64_t)i + 1, 1, "instance", "{\"kind\":\"started\"}");
		store_batch_commit(batch, NULL, NULL);
	}
	loop_run(&bench->loop);
	took_us = clock_monotonic_us() - started_us;
	printf("commits queued at once: %.0f a second\n",
	       (double)bench->count * 1e6 / (double)took_us);
}

int main(int argc, char **argv)
{
	struct bench bench = {.count = argc > 2 ? (size_t)atoi(argv[2]) : 5000};
	struct store_operation operation = {"operation",
					    "spawn",
					    "instance",
					    "running",
					    "policy",
					    NULL,
					    "uid:0",
					    "{\"request\":{\"image\":\"nginx\"}}",
					    1};
	char folder[256], *path;
	struct gantry_error err;
	struct store_batch *batch;
	bool created;

	snprintf(folder, sizeof(folder), "%s/gantry-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
	if (!mkdtemp(folder) || bench.count < 100)
		return 1;
	path = xasprintf("%s/store.db", folder);
	loop_init(&bench.loop);
	if (store_open(&bench.loop, path, &bench.store, &created, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	bench.took_us = xcalloc(bench.count, sizeof(*bench.took_us));
	batch = store_batch_new(bench.store);
	store_put_operation(batch, &operation);
	store_batch_commit(batch, NULL, NULL);
	commit_one(&bench);
	loop_run(&bench.loop);
	qsort(bench.took_us, bench.count, sizeof(*bench.took_us), compare);
	printf("commit of one step: p50 %lld us, p90 %lld us, p99 %lld us, most %lld us (%zu commits)\n",
	       (long long)bench.took_us[bench.count / 2],
	       (long long)bench.took_us[bench.count * 9 / 10],
	       (long long)bench.took_us[bench.count * 99 / 100],
	       (long long)bench.took_us[bench.count - 1], bench.count);
	commit_many(&bench);
	store_close(bench.store, NULL, NULL);
	loop_run(&bench.loop);
	loop_fini(&bench.loop);
	for (int i = 0; i < 2; i++) {
		unlink(path);
		free(path);
		path = xasprintf("%s/store.db.lock", folder);
	}
	free(path);
	free(bench.took_us);
	return rmdir(folder) < 0;
}

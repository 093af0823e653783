/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs of instances that were removed: kept for `keep_logs`, all of them together up to `keep_logs_size`.
 *
 *	remove, step keep ─▶ the plugin keeps the files ─▶ a fact in the store ─▶ the container goes ─▶ announce:
 *	the fact has the instance, in the batch that takes it out of the store ─▶ … ─▶ expired: folder, then fact
 *
 * So at any time a folder of the store's `logs` belongs to an instance or to a fact; what belongs to neither, and was
 * not touched for as long as logs are kept, is swept away at a start, unless another store shares the folder.
 *
 * What cannot be kept does not hold up the removal: it is logged, and told to a reader as a gap.
 */
#ifndef FLOWS_LOG_KEPT_H
#define FLOWS_LOG_KEPT_H

#include "flows/flow.h"
#include "model/instance.h"

struct kept_log {
	struct list link; /* of all, the oldest first */
	char id[INSTANCE_ID_SIZE];
	struct instance *instance; /* owned: as it was, in no fleet. NULL: it is being removed */
	char *driver, *path;       /* owned; of its source */
	int64_t files_max, bytes, removed_ms;
	char *why; /* owned: the last lines are missing; NULL: none is */
};

/* A step of remove. */
bool log_keep_wanted(const struct flow *flow);
void log_keep_run(struct flow *flow);

void log_kept_init(struct daemon *daemon);
/* After the instances. */
int log_kept_load(struct daemon *daemon, struct gantry_error *err);
/* It goes, with the batch. False: nothing was kept of its log. */
bool log_kept_removed(struct daemon *daemon, const struct instance *instance,
		      struct store_batch *batch);
/*
 * The log that word means: by id, by name, the last one that had it, or by the beginning of an id. prefix false:
 * not by that. NULL: none.
 */
struct kept_log *log_kept_find(struct daemon *daemon, const char *word, const char *project,
			       bool prefix);
void log_kept_counts(const struct daemon *daemon, int64_t *ret_count, int64_t *ret_bytes);
void log_kept_close(struct daemon *daemon);
void log_kept_free(struct daemon *daemon);

#endif

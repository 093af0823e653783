/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of logs: joins an instance, its node (where is its output?) and the plugin that reads it.
 *
 *	open ─▶ the engine is asked where the files are, once a container ─▶ the plugin reads ─▶ sink.end
 *
 * The last lines that have a text (tail, grep) are found here where policies' hooks change lines: the log is read twice, and those
 * that have it as they are shown are counted first. Else who reads would learn of what he is not shown, as other lines than
 * those that he sees were the last.
 *
 * Flows tell here what happens to an instance; where nobody reads its log that costs nothing.
 */
#ifndef FLOWS_LOGS_H
#define FLOWS_LOGS_H

#include <gantry/logger.h>
#include <gantry/runtime.h>

#include "flows/daemon.h"
#include "flows/log/log_policy.h"
#include "model/instance.h"

struct kept_log;

/* Embedded in its owner. */
struct log_reader {
	struct list link; /* in the instance's readers */
	struct daemon *daemon;
	struct instance *instance; /* borrowed; NULL once it is gone */
	struct gantry_log_query query;
	struct gantry_log_sink sink;
	struct gantry_op *op; /* while the engine is asked */
	void *reader;         /* the plugin's, owned: closed by its end or by log_reader_close */
	const char *why; /* of one that was removed: why its last lines are missing; borrowed */
	int64_t sequence, boot;    /* of the last line */
	struct log_origin *origin; /* owned: a share of it */
	bool full;                 /* the sink wants no more for now */
	bool again;                /* it is about to be read on, line by line */
	bool own_tail; /* of lines that have a text as they are shown: the plugin knows them as printed */
	bool counts;           /* then it is read twice: how many are there? */
	int64_t matched, skip; /* the answer; how many of them are still to be passed over */
	bool closed, begun;
	bool raw; /* policies are not asked; set after it was opened, before the loop goes on */
	struct loop_later later;
};

/* query's text must live as long as the reader. The sink's end may come from the next turn of the loop on. */
int log_reader_open(struct log_reader *reader, struct daemon *daemon, struct instance *instance,
		    const struct gantry_log_query *query, const struct gantry_log_sink *sink,
		    struct gantry_error *err);
/* Of an instance that was removed: what was kept. */
int log_reader_open_kept(struct log_reader *reader, struct daemon *daemon, struct kept_log *kept,
			 const struct gantry_log_query *query, const struct gantry_log_sink *sink,
			 struct gantry_error *err);
void log_reader_resume(struct log_reader *reader);
/* No call after. Not after end. */
void log_reader_close(struct log_reader *reader);

/* It is about to be started: from now on its output is of the next boot. */
void logs_starting(struct daemon *daemon, struct instance *instance);
/* Somebody else has started it, and its boots count that. */
void logs_was_started(struct daemon *daemon, struct instance *instance);
/* Its state has changed, and no flow is at work on it. */
void logs_settled(struct daemon *daemon, struct instance *instance);
/* It goes, with the batch. */
void logs_removed(struct daemon *daemon, struct instance *instance, struct store_batch *batch);

/* --- for log_kept.c --- */

/* What a log leaves on the disk, beside the store; instance "": of all. The caller frees. */
char *logs_folder(const struct daemon *daemon, const char *instance);
/* Where the engine keeps it. */
bool logs_known(const struct instance *instance);
void logs_told(struct instance *instance, const struct gantry_log_files *files);
/* Of an instance of which that is known; folder and upstream must live as long as the source. */
void logs_source(struct daemon *daemon, const struct instance *instance, const char *folder,
		 struct gantry_log_upstream *upstream, struct gantry_log_source *ret_source);

#endif

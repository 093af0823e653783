/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of logs: joins an instance, its node (where is its output?) and the plugin that reads it.
 *
 *	open ─▶ the engine is asked where the files are, once a container ─▶ the plugin reads ─▶ sink.end
 *
 * Flows tell here what happens to an instance; where nobody reads its log that costs nothing.
 */
#ifndef FLOWS_LOGS_H
#define FLOWS_LOGS_H

#include <gantry/logger.h>

#include "flows/daemon.h"
#include "model/instance.h"

/* Embedded in its owner. */
struct log_reader {
	struct list link; /* in the instance's readers */
	struct daemon *daemon;
	struct instance *instance; /* borrowed; NULL once it is gone */
	struct gantry_log_query query;
	struct gantry_log_sink sink;
	struct gantry_op *op; /* while the engine is asked */
	void *reader;         /* the plugin's, owned: closed by its end or by log_reader_close */
};

/* query's text must live as long as the reader. The sink's end may come from the next turn of the loop on. */
int log_reader_open(struct log_reader *reader, struct daemon *daemon, struct instance *instance,
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
/* It goes. */
void logs_removed(struct daemon *daemon, struct instance *instance);

#endif

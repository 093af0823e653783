/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sinks: what instances print is forwarded to receivers that gantry.lua names.
 *
 *	an instance's log ─▶ feed ─▶ queue of the sink ─▶ batch ─▶ the plugin's kind ─▶ receiver
 *	                       ▲                            │
 *	                       └── cursor, in the store ◀───┘
 *
 * Each line is sent at least once, those of an instance in their order. The cursor moves on when the
 * receiver has a line, and is written a moment later: after a crash the last lines come again. A feed is
 * a reader like any other, so that a receiver that is slow or away slows nothing: the queue is bounded,
 * and what does not fit stays in the log. What the engine drops there meanwhile is forwarded as a gap.
 */
#ifndef FLOWS_LOG_SINKS_H
#define FLOWS_LOG_SINKS_H

#include "flows/daemon.h"

struct log_sink;

/* Makes a sink of the settings; the plugin is told the two when it opens it (plugin_sink_open). */
struct log_sink *log_sink_new(struct daemon *daemon, const struct settings_sink *settings);
void log_sink_lost(void *sink, const struct gantry_error *err);
/* What the plugin has opened. */
void log_sink_attach(struct log_sink *sink, const struct gantry_log_kind *kind, void *handle);

/* Feeds of the instances that the store has; before the loop runs. */
int log_sinks_load(struct daemon *daemon, struct gantry_error *err);
/* The instance may have something to read: it was started, or its node was listed. */
void log_sinks_look(struct daemon *daemon, struct instance *instance);
/* It goes, with the batch. What is open of it is read to its end. */
void log_sinks_removed(struct instance *instance, struct store_batch *batch);
/* Nothing more is sent; a batch that is under way has until the scope's end. */
void log_sinks_close(struct daemon *daemon);
/* After the scope is empty. */
void log_sinks_free(struct daemon *daemon);

/* What people see of a sink; times on the wall clock, 0: never. */
struct log_sink_report {
	const struct settings_sink *settings;
	const char *error;          /* the last one, NULL: none since it was started */
	bool failing;               /* that is why nothing is sent now */
	int64_t error_ms, retry_ms; /* when it came; when it is tried again, 0: it is not waiting */
	int64_t sent, resent, gaps; /* lines since the daemon was started; gaps are among sent */
	int64_t sent_bytes, sent_ms;  /* of lines; when the last ones were */
	int64_t failures;             /* batches, and losses of what was sent */
	int64_t queued, queued_bytes; /* in memory, with those under way */
	int64_t lag_ms;               /* the age of the oldest of these */
	int64_t instances, behind;    /* that it is fed by; of which lines wait in the log */
	const char *unread;           /* why one of them cannot be read, NULL: all can */
	int64_t unread_count;
};
void log_sinks_report(const struct daemon *daemon,
		      void (*fn)(void *arg, const struct log_sink_report *report), void *arg);

#endif

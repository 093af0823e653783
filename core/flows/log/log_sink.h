/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the sinks: log_sink.c has the queue and sends, log_feed.c reads and keeps cursors. */
#ifndef FLOWS_LOG_SINK_H
#define FLOWS_LOG_SINK_H

#include "flows/log/log_sinks.h"
#include "flows/log/logs.h"

/* A feed's way: WAITING ─▶ OPENING ─▶ READING ⇄ PAUSED; at its log's end IDLE; FAILED ─▶ WAITING. */
enum log_feed_state {
	LOG_FEED_IDLE,    /* nothing to read, or nobody knows yet whether there is */
	LOG_FEED_WAITING, /* in line to be opened */
	LOG_FEED_OPENING,
	LOG_FEED_READING,
	LOG_FEED_PAUSED, /* the queue is full: in line to go on */
	LOG_FEED_FAILED, /* the log cannot be read, for now */
};

/* An instance's log on its way to a sink. It outlives its instance while lines of it are in the sink. */
struct log_feed {
	struct list link;    /* in the sink's feeds */
	struct list feeding; /* in the instance's */
	struct list line;    /* in the sink's waiting or paused; empty otherwise */
	struct log_sink *sink;
	struct instance *instance; /* borrowed; NULL once it was removed */
	struct arena arena;
	struct gantry_log_origin origin; /* strings in the arena */
	enum log_feed_state state;
	struct log_reader reader; /* while OPENING, READING, PAUSED */
	struct loop_timer retry;
	int64_t retry_ms; /* the last wait; 0: the last attempt went well */
	char error[sizeof(((struct gantry_error *)0)->text)]; /* while FAILED */
	int64_t read, delivered, saved;                       /* sequences; -1: of none yet */
	size_t items;                                         /* of it in the sink */
};

/* A line in the sink. */
struct log_item {
	struct list link;
	struct log_feed *feed; /* borrowed */
	struct gantry_log_item item;
	struct gantry_pairs tags; /* what line has of them */
	int64_t sent_us;          /* when the receiver was given it */
	bool tried;               /* it was under way before */
	char data[];
};

struct log_sink {
	struct list link;
	struct daemon *daemon;                /* borrowed */
	const struct settings_sink *settings; /* borrowed */
	const struct gantry_log_kind *kind;   /* the plugin's */
	void *handle;                         /* owned; NULL: closed, or not open yet */
	struct list feeds;                    /* struct log_feed, owned */
	struct list waiting, paused;          /* feeds in line */
	size_t opening;                       /* feeds */
	struct list queue, sending, sent;     /* struct log_item, owned, each in its order */
	size_t queued, queued_bytes;          /* of queue and sending */
	size_t sent_bytes;                    /* of sent */
	struct gantry_op *op;                 /* while a batch is under way */
	bool broken; /* the receiver went away while one was: a success that is on its way is none */
	struct gantry_log_item *batch; /* owned: it */
	struct loop_timer retry, save;
	bool retrying, saving, closing, save_failed;
	int64_t retry_ms, retry_at_ms; /* the last wait, 0: none; when it ends */
	struct log_sink_report counts; /* of sent … failures, error_ms */
	char error[sizeof(((struct gantry_error *)0)->text)];
};

/* log_feed.c */
struct log_feed *log_feed_new(struct log_sink *sink, struct instance *instance);
bool log_feed_wanted(const struct log_sink *sink, const struct instance *instance);
/* There may be something to read. */
void log_feed_look(struct log_feed *feed);
/* With the batch it goes. */
void log_feed_removed(struct log_feed *feed, struct store_batch *batch);
/* A new one of an instance that was removed in a life before: what was kept of its log is read from there on. */
void log_feed_go_on_kept(struct log_feed *feed, int64_t sequence);
/* No more reading. */
void log_feed_close(struct log_feed *feed);
void log_feed_free(struct log_feed *feed);
/* The sink has room again, or one of its feeds has begun to read. */
void log_feeds_go_on(struct log_sink *sink);
/* Items of it were delivered. It may be gone after. */
void log_feed_delivered(struct log_feed *feed);
/* Writes the cursors that have moved. */
void log_feeds_save(struct log_sink *sink);

/* log_sink.c */
bool log_sink_full(const struct log_sink *sink);
void log_sink_add(struct log_sink *sink, struct log_feed *feed, const struct gantry_log_line *line);
/* Sends what waits, where nothing is under way. */
void log_sink_send(struct log_sink *sink);

#define LOG_SINK_FACT "log_sink " /* NAME INSTANCE: the last sequence that was delivered */

#endif

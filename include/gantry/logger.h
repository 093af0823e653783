/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logger role: reads what instances print, to any number of readers at once.
 *
 * A reader is opened with a source (where the output of an instance is) and a query (which lines of it).
 * It hands over lines in order, in pieces, until its end; `lines` answers false to ask for a pause.
 *
 *	read ─▶ lines … lines(false) ┄ resume ─▶ lines … ─▶ end
 *	                  └── close at any time: no call after it
 *
 * Every line has a sequence: it counts the lines of the instance from the first, over restarts,
 * rotation and lives of the daemon, and is never used twice. What was lost is told in its place, as a
 * gap; after one that cannot be counted the sequence goes on at a greater number.
 *
 * All calls are on the loop's thread; `lines` and `end` come from the loop, never from inside a call.
 *
 * It also knows kinds of receivers to which lines are forwarded (sinks). The core opens a sink for each
 * that gantry.lua names, and sends it a batch at a time; what is to be sent, and again, is the core's.
 */
#ifndef GANTRY_LOGGER_H
#define GANTRY_LOGGER_H

#include <gantry/host.h>

#define GANTRY_LOG_LINE_MAX ((size_t)1 << 20) /* longer ones come in parts */

enum gantry_log_flag {
	GANTRY_LOG_PARTIAL =
		1, /* longer than GANTRY_LOG_LINE_MAX: the next one of its stream goes on */
	GANTRY_LOG_NO_NEWLINE = 2, /* the process ended amid it */
	GANTRY_LOG_LOSSY = 4, /* the engine's driver replaces what is no UTF-8: bytes may differ */
	/*
	 * Only where the query allows it: data is many lines, each with its newline, of one stream and boot; sequence and
	 * time are those of the last. Since ABI 1.13.
	 */
	GANTRY_LOG_LINES = 8,
};

/* All borrowed for the call. */
struct gantry_log_line {
	int64_t sequence; /* of a gap: of the last line before it that can be known */
	int64_t boot;     /* how often the instance had been started when it was printed */
	int64_t time_ns;  /* the engine's clock; of the first byte, where it came in pieces */
	int stream;       /* 1, 2 (1 for a terminal); 0: a gap */
	unsigned flags;
	const char *data; /* without the newline; of a gap: why, in words */
	size_t length;
	int64_t lost;         /* of a gap: how many lines; -1: nobody knows */
	int64_t gap_since_ns; /* of a gap: lines from here on, 0: unknown; up to time_ns */
	const struct gantry_pairs
		*tags; /* of policies, set by the core; NULL: none. Since ABI 1.11 */
};

/* From since_ns on the process was started for the boot-th time. */
struct gantry_log_boot {
	int64_t boot, since_ns;
};

/* Takes what an upstream gives. */
struct gantry_log_feed {
	void *arg;
	/* A message, with its newline where it ends a line. A negative answer ends the reading. */
	int (*message)(void *arg, int stream, int64_t time_ns, const char *data, size_t length);
	/* Once, unless closed before; the handle is dead. err NULL: all was there. */
	void (*end)(void *arg, const struct gantry_error *err);
};

/* Reads an instance's log by the engine's own word. Since ABI 1.9. */
struct gantry_log_upstream {
	void *arg;
	/* From since_ns on; follow: until the process ends. Never NULL; all that comes comes later. */
	void *(*open)(void *arg, const char *instance, int64_t since_ns, bool follow,
		      const struct gantry_log_feed *feed);
	void (*pause)(void *handle, bool paused);
	void (*close)(void *handle); /* no call after it */
};

/* Where the output of an instance is. Borrowed for the call. */
struct gantry_log_source {
	const char *instance; /* id */
	const char *folder;   /* for what is to be remembered of its log; made when it is needed */
	const char *driver;   /* "local", "json-file"; with an upstream any */
	const char *path;     /* the file that is being written; NULL: there is an upstream */
	int64_t files_max; /* the engine keeps so many, PATH.1 or PATH.1.gz being the next older one */
	bool running;      /* there may be more */
	const struct gantry_log_boot *boots; /* oldest first; those before them are not known */
	size_t boot_count;
	const struct gantry_log_upstream *upstream; /* what it points to is copied */
};

/* What was kept of a log: what its source is from then on, running being false. */
struct gantry_log_kept {
	const char *driver; /* a word of the plugin's */
	const char *path;
	int64_t files_max;
	int64_t bytes;
	bool whole; /* to its end; else the last lines may be missing */
};

struct gantry_log_query {
	bool follow;                /* go on until the instance has ended for good */
	bool lines;                 /* lines may come as one, GANTRY_LOG_LINES. Since ABI 1.13 */
	int64_t tail;               /* only so many of the last ones; -1: all */
	int64_t after;              /* only lines of a greater sequence; -1: all */
	int64_t since_ns, until_ns; /* only lines of these times; 0: no bound */
	int stream;                 /* 0: both */
	const char *text;           /* only lines that contain it; NULL: all */
	size_t text_length;
};

struct gantry_log_sink {
	void *arg;
	/* First with none, as soon as reading has begun well. */
	bool (*lines)(void *arg, const struct gantry_log_line *lines, size_t count);
	/* Once. err NULL: all was read. The reader is gone after. */
	void (*end)(void *arg, const struct gantry_error *err);
};

/* Whose lines. */
struct gantry_log_origin {
	const char *instance; /* id */
	const char *name, *project, *node, *image;
	const char *container; /* the engine's id */
};

struct gantry_log_item {
	const struct gantry_log_origin *origin;
	struct gantry_log_line line;
};

/* A kind of receiver. */
struct gantry_log_kind {
	uint32_t size; /* of this struct in the plugin */
	const char *name, *summary;
	const struct gantry_option *options; /* of a sink, beside the core's own */
	size_t settings_size;

	/*
	 * No I/O yet. name and settings live as long as the sink. lost is called, from the loop, where what was sent
	 * with success may not have reached the receiver's hands: it has gone away. What is under way then
	 * fails as well.
	 */
	int (*open)(void *plugin, const char *name, const void *settings,
		    void (*lost)(void *arg, const struct gantry_error *err), void *arg,
		    void **ret_sink, struct gantry_error *err);
	/*
	 * Sends all of it, in order, connecting first where that is needed. The items live until the op's end,
	 * and there is one at a time. Success: the receiver has it, as far as its protocol can tell. After a
	 * failure, a cancel among them, nobody knows how much of it has arrived.
	 */
	void (*send)(void *sink, const struct gantry_log_item *items, size_t count,
		     struct gantry_op *op);
	/* Not while an op is under way. */
	void (*close)(void *sink);
};

struct gantry_logger {
	uint32_t size; /* of this struct in the plugin */

	/* Never NULL; a failure is told by end. */
	void *(*read)(void *plugin, const struct gantry_log_source *source,
		      const struct gantry_log_query *query, const struct gantry_log_sink *sink);
	void (*resume)(void *reader);
	void (*close)(void *reader);

	/* What happens to an instance; does nothing where nobody reads it. */
	void (*started)(void *plugin, const char *instance, const struct gantry_log_boot *boot);
	/* Its process has ended; for_good: and nothing is under way to start it again. */
	void (*ended)(void *plugin, const char *instance, bool for_good);
	/* It is removed: what its source's folder holds goes. folder NULL: it was kept, and stays. */
	void (*removed)(void *plugin, const char *instance, const char *folder);

	/* Since ABI 1.6: kinds of sinks, ended by NULL; NULL: none. */
	const struct gantry_log_kind *const *kinds;

	/* Since ABI 1.11, both or none. */

	/*
	 * Asked before the engine forgets the log of an instance that goes, maybe more than once: what can still be
	 * read of it is kept in the source's folder. The op's result is a struct gantry_log_kept, also where it fails.
	 */
	void (*keep)(void *plugin, const struct gantry_log_source *source, struct gantry_op *op);
	/* What was kept of it goes. */
	void (*drop)(void *plugin, const char *folder);
};

#endif

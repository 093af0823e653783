/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a session share; session.c begins with how it works. All here is the loop's.
 */
#ifndef STDOUT_SESSION_H
#define STDOUT_SESSION_H

#include "stdout.h"

enum reader_state { READER_OPENING, READER_READING, READER_JOINING, READER_LIVE };

/* One piece of work on a place. */
struct job {
	struct place *place;   /* borrowed: its owner leaves it alone while the job runs */
	struct filter *filter; /* likewise */
	bool opens;            /* it is to go to where the query begins first */
	struct batch batch;
	enum place_end end;
	int code;
	struct gantry_error err;
};

struct reader {
	struct reader *next;
	struct session *session; /* borrowed */
	struct gantry_log_sink sink;
	struct filter filter;
	int64_t tail;
	int64_t needs; /* with a feed: the read that has what it asked for */
	bool follow;
	enum reader_state state;
	struct place place; /* owned, but for LIVE */
	struct job job;
	int64_t given_ns, took_ns; /* when its last chunk was, and until there was room for more */
	bool busy, paused, closed, calling;
	bool ahead; /* the job was begun while the lines before it were not handed over yet */
	bool waits; /* what it has read is to be handed over when the client has room */
	struct limit limit;
	struct gantry_timer *gap_timer;    /* set while limit has a gap to tell; NULL: not */
	struct gantry_timer *resume_timer; /* NULL: not set */
};

struct session {
	struct session *next;
	struct stdout_plugin *plugin; /* borrowed */
	char *instance;               /* owned */
	struct log log;
	struct feed *feed; /* owned; NULL: the files are on this host */
	bool ended;    /* with a feed: the process has, and what it printed last is still to come */
	int64_t needs; /* then: the read that has it */
	bool over;     /* nobody is about to start it again */
	bool removed, kept; /* and what is on the disk stays */
	int holds;
	struct reader *readers; /* owned */

	struct place tail; /* the live end; owned where has_tail */
	bool has_tail, reading, again;
	int64_t tail_sequence; /* while the job runs: before it */
	struct filter tail_filter;
	struct job job;
	struct gantry_watch *watch; /* owned; NULL: none yet */
};

/* session.c */
/* Frees it where nothing is left to be done. */
void session_let_go(struct session *session);
/* A batch for a piece of work, and back. */
struct batch session_batch(struct stdout_plugin *plugin);
void session_batch_back(struct stdout_plugin *plugin, struct batch *batch);

/* reader.c */
void reader_set(struct reader *reader, enum reader_state state);
/* What is next for a reader that does not wait for the live end. */
void reader_tick(struct reader *reader);
void reader_resume(struct reader *reader);
/* At the end of what there is: live from here on, if that is where the session is. */
void reader_join(struct reader *reader);
/* A follower is given what its limit lets pass. False: it is closed, and freed. */
bool reader_give(struct reader *reader, const struct gantry_log_line *lines, size_t count);
bool reader_is_past(const struct reader *reader, int64_t time_ns);
/* Tells its end, and frees it. */
void reader_finish(struct reader *reader, const struct gantry_error *err);
void reader_free(struct reader *reader);

/* live.c */
/* The live end is to be looked at. */
void live_read(struct session *session);
/* From now on that is done when the system says that there is something. */
void live_watch(struct session *session);

#endif

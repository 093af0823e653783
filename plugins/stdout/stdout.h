/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the stdout plugin. From the bottom up, one file a subject:
 *
 *   json_file.c  one message of the engine's driver json-file
 *   local.c      one message of its driver local
 *   entry.c      which of the two; times
 *   lines.c      messages to lines: joined, numbered, filtered
 *   files.c      the files of a log: which there are, oldest first; reading one, compressed or not
 *   index.c      what is remembered of the files: the sequence at which each begins
 *   runs.c       what is known of the runs of the process
 *   place.c      a place in the log that moves on: from file to file, a chunk at a time
 *   spool.c      files of our own, for a log whose files are not on this host
 *   feed.c       reads such a log from the engine into a spool
 *   kept.c       what stays of a log whose instance is removed
 *   limit.c      how much of what is printed a follower is given
 *   session.c    an instance that is read
 *   reader.c     one of its readers
 *   live.c       the one place at its live end
 *   plugin.c     the exported struct
 *
 * All up to place.c runs on threads of the work pool and knows no loop; session.h and what is behind it is the loop's.
 */
#ifndef STDOUT_H
#define STDOUT_H

#include <gantry/plugin.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* --- entry.c: a message, as the engine wrote it --- */

#define ENTRY_PART 16384 /* a message without newline is as long, or the last of its process */

enum entry_format { ENTRY_JSON_FILE, ENTRY_LOCAL };

enum entry_result {
	ENTRY_OK,
	ENTRY_MORE,    /* it is not all there */
	ENTRY_DAMAGED, /* used bytes are none */
};

struct entry {
	size_t used;  /* bytes of it in the buffer */
	int stream;   /* 1, 2; 0: the mark of a gap, see spool.c */
	bool ends;    /* the line ends with it … */
	bool newline; /* … by a newline; else because the process ended */
	bool begins;  /* what is open of its stream was never ended: this is another line */
	bool goes_on; /* it is a later part of a line: where none is open, the beginning was dropped */
	bool damaged; /* what stood before it was not readable */
	char *data;   /* in the buffer */
	size_t length;
	bool escaped;       /* data is still as JSON writes it */
	const char *time;   /* json-file: as text, NULL: time_ns is set */
	size_t time_length; /* of it */
	int64_t time_ns;
};

/* Looks at the first message of length bytes at data. Changes nothing in them. */
enum entry_result entry_next(enum entry_format format, char *data, size_t length,
			     struct entry *ret_entry);
/* Puts the bytes that were printed to `to`, in the same memory and not behind data; once an entry. */
void entry_decode(struct entry *entry, char *to);
int64_t entry_time_ns(struct entry *entry);

/* A time up to its minute: those of lines that follow one another mostly have it in common. */
struct entry_minute {
	char text[17]; /* "2026-01-02T03:04:" */
	int64_t ns;
};
/* The same, by what was found last. */
int64_t entry_time_near(struct entry *entry, struct entry_minute *minute);

enum entry_result json_file_next(char *data, size_t length, struct entry *ret_entry);
void json_file_decode(struct entry *entry, char *to);
enum entry_result local_next(char *data, size_t length, struct entry *ret_entry);

/* Messages that follow one another, each a line of its own and all of one stream. */
struct local_run {
	char *to;    /* where the lines go, each with a newline: as for entry_decode */
	size_t most; /* bytes of them */
	int64_t since_ns, until_ns; /* printed in this time */

	/* What was found */
	size_t count;
	size_t used;   /* bytes of the messages in the buffer */
	size_t length; /* bytes at `to` */
	int stream;
	int64_t time_ns; /* of the last one */
};

/* As many as there are at the beginning of data. */
void local_run(char *data, size_t length, struct local_run *run);
/* RFC 3339 to nanoseconds since 1970; 0 where it is none. */
int64_t entry_parse_time(const char *text, size_t length);

/* --- lines.c --- */

/* Why there is a gap. */
#define GAP_DROPPED   "the engine had dropped these lines"
#define GAP_UNCOUNTED "the engine had dropped lines here, and nobody knows how many"
#define GAP_UNKEPT                                                                                 \
	"the engine had dropped these lines, or they were not kept when the instance was removed"
#define GAP_GONE      "the rest of the log has gone with its container"
#define GAP_RATE      "more was printed than a follower is given"
#define GAP_BEGINNING "the engine had dropped the beginning of a line"
#define GAP_DAMAGED   "a message in the log is damaged"
#define GAP_UNKNOWN   "the cursor is of no line of this log; it is read from its beginning"

/* Lines of one piece of work, with the memory that they point to. */
struct batch {
	struct gantry_log_line *lines; /* owned */
	size_t count, capacity;
	char *buffer; /* owned: what was read; most lines are moved up to its beginning, side by side */
	size_t size;
	char *to;     /* in buffer: where the next line goes; NULL: batch_room is to be asked */
	char **texts; /* owned, each: lines that were joined */
	size_t text_count;
	size_t matched; /* lines that passed the filter, also where they were only counted */
};

/* Room for so many bytes that are read, before there are lines. */
char *batch_room(struct batch *batch, size_t size);
/* Empties, keeping the memory. */
void batch_clear(struct batch *batch);
void batch_fini(struct batch *batch);

struct filter {
	int64_t after, since_ns, until_ns;
	int64_t skip; /* matching lines to pass over first */
	int stream;
	char *text; /* owned */
	size_t text_length;
	bool count_only; /* nothing is kept but batch->matched */
	bool lines;      /* they are to be as GANTRY_LOG_LINES, … */
	bool each;       /* … but not made one yet: lines_join does */
};

/* Those of the batch that match; the caller frees. */
struct gantry_log_line *batch_matching(const struct batch *batch, const struct filter *filter,
				       size_t *ret_count);

struct open_line {
	bool is_open;
	char *data; /* owned */
	size_t length, capacity;
	int64_t time_ns;
};

#define BOOTS_MAX 32

struct boots {
	struct gantry_log_boot items[BOOTS_MAX]; /* oldest first */
	size_t count;
};
void boots_add(struct boots *boots, const struct gantry_log_boot *boot);

/* Lines in the making. */
struct lines {
	int64_t sequence; /* of the last one */
	int64_t time_ns;  /* of the last one */
	struct open_line open[2];
	struct boots boots;
	struct entry_minute minute;
	unsigned flags; /* of every line */
};

/* Adds what has come to its end, where the filter wants it. The entry is of bytes in the batch's room. */
void lines_take(struct lines *lines, struct entry *entry, struct filter *filter,
		struct batch *batch);
/*
 * The same for as many messages as can be taken at once, as nobody wants to look at their lines. The bytes that were used; 0:
 * lines_take is to be given the next one.
 */
size_t lines_take_run(struct lines *lines, enum entry_format format, char *data, size_t length,
		      struct filter *filter, struct batch *batch);
/* Makes one of those that are side by side and may be one; how many are left. */
size_t lines_join(struct gantry_log_line *lines, size_t count);
/* The process ended: so do the lines that are open. */
void lines_end(struct lines *lines, struct filter *filter, struct batch *batch);
bool lines_open(const struct lines *lines);
/* A gap in front of the line that comes next; why lives as long as the program. */
void lines_gap(const struct lines *lines, const char *why, int64_t lost, int64_t since_ns,
	       int64_t time_ns, const struct filter *filter, struct batch *batch);
void lines_copy(struct lines *to, const struct lines *from);
void lines_fini(struct lines *lines);

/* --- files.c --- */

struct file {
	int fd;   /* owned; -1: none */
	void *gz; /* owned, of zlib: has the fd, then. NULL: not compressed */
	ino_t inode;
	uint64_t mark;   /* of its first message; 0: that cannot be read, or is not there yet */
	int64_t time_ns; /* of it */
	bool gap;        /* it is the mark of a gap */
	unsigned char head[32]; /* its first bytes: another start is another file in its place */
	size_t head_length;
	int64_t offset; /* bytes that were read */
};

int file_open(const char *path, bool compressed, enum entry_format format, struct file *file);
void file_close(struct file *file);
/* A second one, at another place in it. */
int file_copy(struct file *to, const struct file *from, int64_t offset);
/* The file at path is this one, still. */
bool file_is_at(const struct file *file, const char *path);
/* 0: at its end (for now). Reads up to size bytes; -ESTALE: it was cut short, or is another one now. */
ssize_t file_read(struct file *file, void *buffer, size_t size);
/* The bytes behind what was read, where they are of this file still; 0: none, or not known without a wait. */
size_t file_peek(const struct file *file);
/* Reads so many of them, if that needs no wait. */
bool file_read_now(struct file *file, void *buffer, size_t size);
/* Looks once more for the first message of one that had none. */
void file_look(struct file *file, enum entry_format format);

struct files {
	struct file *items; /* owned, oldest first */
	size_t count;
};
/* Opens all files of a log. -ENOENT: there is none, and no folder either. */
int files_open(const char *path, int64_t files_max, enum entry_format format,
	       struct files *ret_files);
void files_close(struct files *files);
/* PATH becomes PATH.1, that PATH.2, …; the last one goes. Where there is no PATH it was done before. */
int files_rotate(const char *path, int64_t files_max);
/* The one that is the same, or -1. */
int files_find(const struct files *files, const struct file *file);

/* --- index.c --- */

/* A file begins with the line after `sequence`. */
struct index_row {
	uint64_t mark;
	int64_t sequence, time_ns;
	bool open; /* a line was open at its start, as far as one knew */
};

#define INDEX_ROWS 64
#define INDEX_JUMP                                                                                 \
	1000000000 /* after a gap that cannot be counted the sequence goes on at the next such */

struct index {
	pthread_mutex_t lock;
	char *folder; /* owned */
	bool loaded;
	int error;                         /* of the last time that it was written; 0 */
	struct index_row rows[INDEX_ROWS]; /* by sequence */
	size_t count;
};

void index_init(struct index *index, const char *folder);
void index_fini(struct index *index);
/* False: not known. */
bool index_find(struct index *index, uint64_t mark, struct index_row *ret_row);
/* Remembers one, on disk too; a negative answer: not there. */
int index_put(struct index *index, const struct index_row *row);
/* The last row that begins at sequence or before; false: none. */
bool index_before(struct index *index, int64_t sequence, struct index_row *ret_row);
/* Makes an instance's folder, and the one that it is in. */
int index_make_folder(const char *folder);
/* Takes an instance's folder off the disk. */
void index_drop(const char *folder);
/* Where counting may begin anew: above all that was given out. 0: nothing was. */
int64_t index_above(struct index *index);
/* The same for a file in front of which nobody knows how many lines were. */
int64_t index_unknown(struct index *index);

/* --- runs.c --- */

/* What is known of the runs of the process. The loop changes it while threads of the pool read. */
struct runs {
	pthread_mutex_t lock;
	struct boots boots;
	bool ended; /* the last of them */
};

void runs_init(struct runs *runs);
void runs_fini(struct runs *runs);
/* Before the process can have printed anything. */
void runs_started(struct runs *runs, const struct gantry_log_boot *boot);
void runs_ended(struct runs *runs);
/* The boots as they are known now. True: the last of them has ended. */
bool runs_look(struct runs *runs, struct boots *ret_boots);

/* --- spool.c: files of our own --- */

#define SPOOL_GAP   "gap" /* source of the mark */
#define SPOOL_FILES 4
/* Of a message, beside its data. */
#define SPOOL_AROUND ((size_t)64)

/* The last message of a stream, and how many of it had that time. */
struct spool_seen {
	int64_t time_ns, count;
	bool open; /* its line goes on */
};

struct spool {
	char *path; /* owned; the file that is being written */
	int64_t file_bytes, files_max;
	int fd; /* owned */
	int64_t size;
	struct spool_seen seen[2]; /* when it was opened */
};

/* Of an instance with that folder; the caller frees. */
char *spool_path(const char *folder);
void spool_init(struct spool *spool, const char *path, int64_t file_bytes, int64_t files_max);
void spool_fini(struct spool *spool);
/* Looks at what is there, and makes what is not. */
int spool_open(struct spool *spool);
/* All or nothing of whole messages; gap_ns: messages before them were lost, up to then. 0: none. */
int spool_write(struct spool *spool, const char *data, size_t length, int64_t gap_ns);
void spool_count(struct spool_seen *seen, int stream, int64_t time_ns, bool ends);
/* Puts a message to `to`, which has room for SPOOL_AROUND + length; the bytes that it took. */
size_t spool_encode(char *to, const char *source, int64_t time_ns, const char *data, size_t length,
		    bool goes_on, bool newline);

/* --- place.c --- */

/* Bytes at a time: so many that handing on their lines, on each of which somebody may work, is soon done. */
#define PLACE_CHUNK ((size_t)512 << 10)
#define PLACE_PEEK  ((size_t)32 << 10)

/* What a log is; shared by all places in it, and constant but for runs and index. */
struct log {
	char *path;      /* owned */
	char *kept_path; /* owned: where what is kept of it is; NULL: where it always was */
	bool moved;      /* from path to there; see log_path */
	uint64_t cut; /* then: the file of which only the end is there, by its mark; see log_cut */
	enum entry_format format;
	int64_t files_max;
	bool lossy; /* the engine's driver replaces what is no UTF-8 */
	bool kept;  /* of an instance that was removed */
	struct runs runs;
	struct index index;
};

/*
 * Where the file is that is being written. The loop moves it, while threads of the pool read on: to what is kept, before
 * the container goes.
 */
static inline const char *log_path(const struct log *log)
{
	return __atomic_load_n(&log->moved, __ATOMIC_ACQUIRE) ? log->kept_path : log->path;
}
/* The file of which only the end is there; 0: none. */
static inline uint64_t log_cut(const struct log *log)
{
	return __atomic_load_n(&log->cut, __ATOMIC_ACQUIRE);
}
static inline void log_move(struct log *log, bool moved, uint64_t cut)
{
	__atomic_store_n(&log->cut, cut, __ATOMIC_RELEASE);
	__atomic_store_n(&log->moved, moved && log->kept_path, __ATOMIC_RELEASE);
}

enum place_end {
	PLACE_MORE, /* to be read at once */
	PLACE_END,  /* of what there is now */
	PLACE_OVER, /* likewise, and the process has ended: so have lines that were open */
};

struct place {
	struct log *log; /* borrowed */
	struct file file;
	struct lines lines;
	bool newest; /* the file was the last one when it was entered */
	char *rest;  /* owned: bytes read and not yet used */
	size_t rest_length;
	size_t chunk_bytes; /* to be read at a time */
	bool full;          /* so many were there */
};

/* Goes to where a query begins. Gaps go to the batch. */
int place_open(struct place *place, struct log *log, struct filter *filter, int64_t tail,
	       struct batch *batch, struct gantry_error *err);
/* Reads the next chunk. */
int place_read(struct place *place, struct filter *filter, struct batch *batch,
	       enum place_end *ret_end, struct gantry_error *err);
/*
 * What has come to the file since, where that is little and still in the system's memory: it does not wait for a disk,
 * and may be called on the loop. False: nothing was done, and place_read is to look.
 */
bool place_peek(struct place *place, struct filter *filter, struct batch *batch);
/* Of a place with a file: the next chunk of that. The bytes that were read. */
ssize_t place_skip(struct place *place, struct filter *filter, struct batch *batch);
/* Handing on the lines that were read took so long: more at a time, up to so many bytes, or fewer, from now on. */
void place_pace(struct place *place, int64_t took_ns, size_t most);
int64_t place_clock_ns(void);
int place_copy(struct place *to, const struct place *from);
void place_fini(struct place *place);

/* --- feed.c: one upstream read of a log whose files are not on this host, into a spool --- */

struct session;

struct feed {
	struct session *session;        /* borrowed */
	const struct gantry_host *host; /* borrowed */
	const char *instance;           /* borrowed of the session */
	struct gantry_log_upstream upstream;
	void *handle;               /* the upstream's; NULL: none */
	struct gantry_timer *retry; /* NULL: not set */
	struct spool spool;
	struct spool_seen accepted[2],
		written[2];        /* the last messages that came; that are written */
	struct spool_seen base[2]; /* accepted when the upstream was opened */
	int64_t passed[2];         /* of those with base's time */
	char *pending;             /* owned: messages to be written */
	size_t pending_length, pending_capacity;
	int64_t gap_ns; /* messages before them were lost; 0: none */
	bool is_open;   /* the spool */
	bool follows;   /* the upstream does */
	bool repeated;  /* it has told something that we had: nothing is missing before */
	bool news;      /* and something that we had not */
	bool paused, over, warned;
	bool gone; /* the instance was removed */
	int64_t begun,
		wanted; /* reads of what there is: the last one, and the one somebody waits for */
	int64_t done;   /* the last one that has ended well; -1: none */

	/* The job on the pool */
	bool busy;
	int code;
	char *writing; /* owned */
	size_t writing_length;
	int64_t writing_gap_ns;
	struct spool_seen writing_seen[2];
};

void feed_init(struct feed *feed, struct session *session, const struct gantry_host *host,
	       const char *instance, const struct gantry_log_upstream *upstream, const char *path,
	       int64_t kept_bytes);
/* False: a job is under way, and session_fed will come. feed_ask opens it again. */
bool feed_close(struct feed *feed);
/* Somebody wants all that there is now. The number of the read that has it, for feed_has. */
int64_t feed_ask(struct feed *feed);
/* The process has ended, or is started: what there is is read again. The number of that read. */
int64_t feed_again(struct feed *feed);
/* The instance was: nothing more is opened. */
void feed_removed(struct feed *feed);
/* All of this read is in the spool. */
bool feed_has(const struct feed *feed, int64_t read);

/* --- limit.c --- */

struct limit {
	int64_t rate_bytes; /* 0: there is none */
	int64_t most_bytes, left_bytes;
	int64_t second;             /* in which it was filled up last */
	struct gantry_log_line gap; /* what was left out and not told; lost 0: nothing */
};

void limit_init(struct limit *limit, int64_t rate_bytes, int64_t burst_bytes);
/* Those lines that pass, with gaps among them; ret_lines has room for twice as many. How many these are. */
size_t limit_take(struct limit *limit, const struct gantry_log_line *lines, size_t count,
		  struct gantry_log_line *ret_lines);
/* What is not told yet. False: nothing. */
bool limit_flush(struct limit *limit, struct gantry_log_line *ret_gap);

/* --- session.c --- */

/* The spool has grown, or a read has ended; err: it could not be, this time. */
void session_fed(struct session *session, const struct gantry_error *err);
/* Whether somebody follows a process that may print more. */
bool session_wants_more(const struct session *session);

struct stdout_settings {
	int64_t kept_bytes, rate_bytes, burst_bytes;
};

struct lookup;

struct lookups {
	const struct gantry_host *host; /* borrowed */
	struct lookup *first; /* of the line: the one on the pool. Each is its own owner */
};

struct stdout_plugin {
	const struct gantry_host *host;         /* borrowed */
	const struct stdout_settings *settings; /* borrowed */
	struct session *sessions;               /* owned */
	struct batch spare;                     /* owned */
	int reading;                            /* readers that are not at the live end … */
	int ahead;                              /* … and those that read ahead, of reader.c */
	struct lookups lookups;                 /* of sender.c */
};

/* The session of a log, which stays until it is released. */
struct session *session_hold(struct stdout_plugin *plugin, const struct gantry_log_source *source);
void session_release(struct session *session);
struct log *session_log(struct session *session);

void *session_read(void *plugin, const struct gantry_log_source *source,
		   const struct gantry_log_query *query, const struct gantry_log_sink *sink);
void session_resume(void *reader);
void session_close(void *reader);
void session_started(void *plugin, const char *instance, const struct gantry_log_boot *boot);
void session_ended(void *plugin, const char *instance, bool for_good);
void session_removed(void *plugin, const char *instance, const char *folder);

/* --- kept.c --- */

/* Whether files that were kept are of a spool, by the driver that they were told to be of. */
bool kept_is_lossy_spool(const char *driver);
void kept_keep(void *plugin, const struct gantry_log_source *source, struct gantry_op *op);
void kept_drop(void *plugin, const char *folder);

/* Memory for small things, which aborts where it is out. */
static inline void *take_memory(void *memory, size_t size)
{
	memory = realloc(memory, size ? size : 1);
	if (!memory)
		abort();
	return memory;
}

/* With a NUL behind it. */
static inline char *take_copy(const char *text, size_t length)
{
	char *memory = take_memory(NULL, length + 1);

	memcpy(memory, text, length);
	memory[length] = '\0';
	return memory;
}

#endif

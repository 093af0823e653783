/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance that is read. It is there as long as it has readers; nobody reads, nothing is done.
 *
 *	a reader      OPENING ──▶ READING ⇄ JOINING ──▶ LIVE
 *	                             ▲                   │ its client is behind
 *	                             └───────────────────┘
 *	the session   one place at the live end, moved on when the system says that the files have
 *	              changed; what it reads goes to all readers that are LIVE
 *
 * A reader that is READING has a place of its own and takes a chunk when its client has room, so that a slow
 * one costs a chunk and slows nobody; what the engine drops meanwhile it is told as a gap. At the end of
 * what there is it joins the live end, where both have the same sequence: nothing is missed or told twice.
 * While nobody is LIVE the place at the live end only counts, so that what slow readers lose is known.
 *
 * All here is the loop's; place_open and place_read run on the work pool, one at a time for a place.
 */
#include "stdout.h"

#include <string.h>

#define GAP_MS 1000 /* what was left out is told after so long at the most */

enum reader_state { READER_OPENING, READER_READING, READER_JOINING, READER_LIVE };

/* One piece of work on a place. */
struct job {
	struct place *place;   /* borrowed: its owner leaves it alone while the job runs */
	struct filter *filter; /* likewise */
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
	bool busy, paused, closed, calling;
	struct limit limit;
	struct gantry_timer *gap_timer; /* set while limit has a gap to tell; NULL: not */
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

static void tick(struct reader *reader);
static void read_tail(struct session *session);

/* --- life ---------------------------------------------------------------------------------------- */

static char *copy(const char *text, size_t length)
{
	char *memory = take_memory(NULL, length + 1);

	memcpy(memory, text, length);
	memory[length] = '\0';
	return memory;
}

/* What is left on the disk of an instance that was removed. */
static void run_drop(void *arg)
{
	index_drop(arg);
}

void kept_drop(void *arg, const char *folder)
{
	const struct stdout_plugin *plugin = arg;

	plugin->host->work(plugin->host->core, run_drop, free, copy(folder, strlen(folder)));
}

static void let_go(struct session *session)
{
	struct session **at = &session->plugin->sessions;

	if (session->readers || session->holds || session->reading ||
	    (session->feed && !feed_close(session->feed)))
		return;
	free(session->feed);
	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	if (session->watch)
		session->plugin->host->watch_close(session->watch);
	if (session->has_tail)
		place_fini(&session->tail);
	if (session->log.index.error < 0)
		session->plugin->host->log(
			session->plugin->host->core, GANTRY_LOG_WARN,
			"%s: cursors of this log do not survive a restart: its index cannot be "
			"written: %s",
			session->log.index.folder, strerror(-session->log.index.error));
	if (session->removed && !session->kept)
		kept_drop(session->plugin, session->log.index.folder);
	index_fini(&session->log.index);
	runs_fini(&session->log.runs);
	free(session->log.path);
	free(session->log.kept_path);
	free(session->instance);
	free(session);
}

static void free_reader(struct reader *reader)
{
	struct session *session = reader->session;
	struct reader **at = &session->readers;

	while (*at != reader)
		at = &(*at)->next;
	*at = reader->next;
	if (reader->gap_timer)
		session->plugin->host->timer_stop(reader->gap_timer);
	place_fini(&reader->place);
	free(reader->filter.text);
	free(reader);
	let_go(session);
}

/* False: it is closed, and freed. */
static bool hand_over(struct reader *reader, const struct gantry_log_line *lines, size_t count)
{
	reader->calling = true;
	reader->paused = !reader->sink.lines(reader->sink.arg, lines, count);
	reader->calling = false;
	if (!reader->closed)
		return true;
	if (!reader->busy) /* else on_read does */
		free_reader(reader);
	return false;
}

static void finish(struct reader *reader, const struct gantry_error *err)
{
	struct gantry_log_sink sink = reader->sink;
	struct gantry_error why = err ? *err : (struct gantry_error){0}; /* may be its job's */
	struct gantry_log_line gap;

	if (limit_flush(&reader->limit, &gap) && !hand_over(reader, &gap, 1))
		return;
	free_reader(reader);
	sink.end(sink.arg, err ? &why : NULL);
}

static struct session *find(struct stdout_plugin *plugin, const char *instance)
{
	struct session *session = plugin->sessions;

	while (session && (session->removed || strcmp(session->instance, instance) != 0))
		session = session->next;
	return session;
}

/* The first reader says how it stands; with readers it is told of what happens. */
static void brief(struct session *session, const struct gantry_log_source *source)
{
	for (size_t i = 0; i < source->boot_count; i++)
		runs_started(&session->log.runs, &source->boots[i]);
	session->ended = session->over = !source->running;
	if (session->ended && !session->feed)
		runs_ended(&session->log.runs);
}

static struct session *open_session(struct stdout_plugin *plugin,
				    const struct gantry_log_source *source)
{
	struct session *session = take_memory(NULL, sizeof(*session));
	bool json_file = strcmp(source->driver, "json-file") == 0;

	*session = (struct session){
		.next = plugin->sessions,
		.plugin = plugin,
		.instance = copy(source->instance, strlen(source->instance)),
		.log = {.format = json_file ? ENTRY_JSON_FILE : ENTRY_LOCAL,
			.lossy = json_file || kept_is_lossy_spool(source->driver)},
	};
	if (source->path) {
		session->log.path = copy(source->path, strlen(source->path));
		session->log.kept =
			strncmp(source->path, source->folder, strlen(source->folder)) == 0;
		session->log.kept_path = session->log.kept ? NULL : spool_path(source->folder);
		session->log.files_max = source->files_max > 0 ? source->files_max : 1;
	} else {
		session->log.path = spool_path(source->folder);
		session->log.files_max = SPOOL_FILES;
		session->log.format = ENTRY_LOCAL;
		session->feed = take_memory(NULL, sizeof(*session->feed));
		feed_init(session->feed, session, plugin->host, session->instance, source->upstream,
			  session->log.path, plugin->settings->kept_bytes);
	}
	index_init(&session->log.index, source->folder);
	runs_init(&session->log.runs);
	plugin->sessions = session;
	return session;
}

/* --- lines to a reader --------------------------------------------------------------------------- */

static void on_gap_timer(void *arg)
{
	struct reader *reader = arg;
	struct gantry_log_line gap;
	bool paused = reader->paused;

	reader->gap_timer = NULL;
	if (limit_flush(&reader->limit, &gap) && hand_over(reader, &gap, 1))
		reader->paused = reader->paused || paused;
}

/* A follower is given what its limit lets pass. */
static bool hand_over_limited(struct reader *reader, const struct gantry_log_line *lines,
			      size_t count)
{
	const struct gantry_host *host = reader->session->plugin->host;
	struct gantry_log_line *some;
	size_t passed;
	bool alive = true;

	if (!reader->follow || !reader->limit.rate_bytes || count == 0)
		return hand_over(reader, lines, count);
	some = take_memory(NULL, 2 * count * sizeof(*some));
	passed = limit_take(&reader->limit, lines, count, some);
	if (reader->limit.gap.lost && !reader->gap_timer)
		reader->gap_timer = host->timer_start(host->core, GAP_MS, on_gap_timer, reader);
	if (passed)
		alive = hand_over(reader, some, passed);
	free(some);
	return alive;
}

static bool hand_over_matching(struct reader *reader, const struct batch *batch)
{
	struct gantry_log_line *some;
	size_t count;
	bool alive;

	if (batch->count == 0)
		return true;
	some = batch_matching(batch, &reader->filter, &count);
	alive = count == 0 || hand_over_limited(reader, some, count);
	free(some);
	return alive;
}

static bool is_past(const struct reader *reader, int64_t time_ns)
{
	return reader->filter.until_ns && time_ns > reader->filter.until_ns;
}

/* --- a reader's own place ------------------------------------------------------------------------ */

static void read_place(struct job *job)
{
	job->code = place_read(job->place, job->filter, &job->batch, &job->end, &job->err);
}

/* On the pool. */
static void run_reader(void *arg)
{
	struct reader *reader = arg;
	struct job *job = &reader->job;

	if (reader->state == READER_OPENING)
		job->code = place_open(&reader->place, &reader->session->log, &reader->filter,
				       reader->tail, &job->batch, &job->err);
	else
		read_place(job);
}

static void watch_changed(void *arg)
{
	read_tail(arg);
}

/* Where the folder is not there yet, it is tried again when the process is started. */
static void watch_log(struct session *session)
{
	const struct gantry_host *host = session->plugin->host;
	char *folder = copy(session->log.path, strlen(session->log.path)), *slash;
	struct gantry_error err;

	slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
	if (!session->watch && !session->feed &&
	    host->watch(host->core, folder, watch_changed, session, &session->watch, &err) < 0) {
		session->watch = NULL;
		if (err.code != -ENOENT)
			host->log(host->core, GANTRY_LOG_WARN,
				  "the log of instance %s is not followed: %s", session->instance,
				  err.text);
	}
	free(folder);
}

/* At the end of what there is: live from here on, if that is where the session is. */
static void join(struct reader *reader)
{
	struct session *session = reader->session;

	reader->state = READER_JOINING;
	if (session->reading)
		return;
	watch_log(session);
	if (!session->has_tail) {
		session->tail = reader->place;
		session->has_tail = true;
		session->tail_sequence = session->tail.lines.sequence;
	} else if (reader->place.lines.sequence < session->tail_sequence) {
		reader->state = READER_READING;
		tick(reader);
		return;
	} else {
		if (reader->place.lines.sequence > reader->filter.after)
			reader->filter.after = reader->place.lines.sequence;
		place_fini(&reader->place);
	}
	reader->place = (struct place){.file = {.fd = -1}};
	reader->state = READER_LIVE;
	read_tail(session); /* it may have moved since */
}

static void on_read(void *arg)
{
	struct reader *reader = arg;
	struct job *job = &reader->job;
	struct batch batch = job->batch;
	bool opened = reader->state == READER_OPENING,
	     over = job->end == PLACE_OVER && reader->session->over;

	reader->busy = false;
	job->batch = (struct batch){0};
	if (reader->closed) {
		free_reader(reader);
	} else if (job->code < 0) {
		finish(reader, &job->err);
	} else {
		reader->state = READER_READING;
		/* the first time in any case: it tells that there is a log */
		if ((!opened && batch.count == 0) ||
		    hand_over_limited(reader, batch.lines, batch.count)) {
			if (is_past(reader, reader->place.lines.time_ns) || over ||
			    (job->end != PLACE_MORE && !reader->follow))
				finish(reader, NULL);
			else if (job->end != PLACE_MORE)
				join(reader);
			else
				tick(reader);
		}
	}
	batch_fini(&batch);
}

/* What is next for a reader that does not wait for the live end. */
static void tick(struct reader *reader)
{
	struct session *session = reader->session;
	const struct gantry_host *host = session->plugin->host;

	if (reader->busy || reader->paused || reader->state == READER_LIVE)
		return;
	if (reader->state == READER_OPENING && session->feed &&
	    !feed_has(session->feed, reader->needs))
		return; /* session_fed will come */
	reader->busy = true;
	reader->job = (struct job){.place = &reader->place, .filter = &reader->filter};
	host->work(host->core, run_reader, on_read, reader);
}

/* --- the live end -------------------------------------------------------------------------------- */

static void run_tail(void *arg)
{
	read_place(&((struct session *)arg)->job);
}

static bool anybody_live(const struct session *session)
{
	for (const struct reader *reader = session->readers; reader; reader = reader->next)
		if (reader->state == READER_LIVE)
			return true;
	return false;
}

/* It has all up to the live end, and cannot take more now: on by itself from there. */
static void fall_behind(struct reader *reader)
{
	struct gantry_error err;
	int code = place_copy(&reader->place, &reader->session->tail);

	reader->state = READER_READING;
	if (code == 0)
		return;
	gantry_error_set(&err, code, "stdout: %s: %s", reader->session->log.path, strerror(-code));
	finish(reader, &err);
}

static void tell_live(struct session *session, const struct job *job, const struct batch *batch)
{
	struct reader *next;

	for (struct reader *reader = session->readers; reader; reader = next) {
		next = reader->next;
		if (reader->state != READER_LIVE)
			continue;
		if (job->code < 0) {
			finish(reader, &job->err);
			continue;
		}
		if (!hand_over_matching(reader, batch))
			continue;
		if (is_past(reader, session->tail.lines.time_ns) ||
		    (job->end == PLACE_OVER && session->over))
			finish(reader, NULL);
		else if (reader->paused)
			fall_behind(reader);
	}
}

static void on_tail(void *arg)
{
	struct session *session = arg;
	struct job job = session->job;
	struct batch batch = job.batch;
	struct reader *next;

	session->job.batch = (struct batch){0};
	session->tail_sequence = session->tail.lines.sequence;
	tell_live(session, &job, &batch);
	batch_fini(&batch);
	/* as long as it is `reading` nobody frees the session, and nobody joins */
	session->reading = false;
	for (struct reader *reader = session->readers; reader; reader = next) {
		next = reader->next;
		if (reader->state == READER_JOINING && !session->reading)
			join(reader);
	}
	if (job.end == PLACE_MORE || session->again)
		read_tail(session);
	let_go(session);
}

static void read_tail(struct session *session)
{
	const struct gantry_host *host = session->plugin->host;

	session->again = true;
	if (session->reading || !session->has_tail)
		return;
	session->again = false;
	session->reading = true;
	session->tail_filter = (struct filter){.after = -1, .count_only = !anybody_live(session)};
	session->job = (struct job){.place = &session->tail, .filter = &session->tail_filter};
	host->work(host->core, run_tail, on_tail, session);
}

/* --- with a feed --------------------------------------------------------------------------------- */

bool session_wants_more(const struct session *session)
{
	for (const struct reader *reader = session->readers; reader; reader = reader->next)
		if (reader->follow)
			return !session->ended;
	return false;
}

void session_fed(struct session *session, const struct gantry_error *err)
{
	struct reader *next;

	if (!session->readers) {
		let_go(session);
		return;
	}
	if (!err && session->ended && feed_has(session->feed, session->needs))
		runs_ended(&session->log.runs);
	if (!err)
		read_tail(session);
	for (struct reader *reader = session->readers; reader; reader = next) {
		next = reader->next;
		if (reader->state != READER_OPENING || reader->busy)
			continue;
		if (err)
			finish(reader, err); /* the last one takes the session with it */
		else
			tick(reader);
	}
}

static void process_ended(struct session *session, bool for_good)
{
	session->over = for_good;
	session->ended = true;
	if (session->feed)
		session->needs = feed_again(session->feed);
	else
		runs_ended(&session->log.runs);
	read_tail(session);
}

/* --- held ---------------------------------------------------------------------------------------- */

struct session *session_hold(struct stdout_plugin *plugin, const struct gantry_log_source *source)
{
	struct session *session = find(plugin, source->instance);

	if (!session)
		session = open_session(plugin, source);
	session->holds++;
	return session;
}

void session_release(struct session *session)
{
	session->holds--;
	let_go(session);
}

struct log *session_log(struct session *session)
{
	return &session->log;
}

/* --- the role ------------------------------------------------------------------------------------ */

void *session_read(void *plugin, const struct gantry_log_source *source,
		   const struct gantry_log_query *query, const struct gantry_log_sink *sink)
{
	struct session *session = find(plugin, source->instance);
	struct reader *reader = take_memory(NULL, sizeof(*reader));
	bool first;

	if (!session)
		session = open_session(plugin, source);
	first = !session->readers; /* also of one whose last reader has just gone */
	if (first)
		brief(session, source);
	*reader = (struct reader){
		.next = session->readers,
		.session = session,
		.sink = *sink,
		.filter = {.after = query->after,
			   .since_ns = query->since_ns,
			   .until_ns = query->until_ns,
			   .stream = query->stream,
			   .text = query->text ? copy(query->text, query->text_length) : NULL,
			   .text_length = query->text_length},
		.tail = query->tail,
		.follow = query->follow,
		.place = {.file = {.fd = -1}},
	};
	limit_init(&reader->limit, session->plugin->settings->rate_bytes,
		   session->plugin->settings->burst_bytes);
	session->readers = reader;
	if (session->feed)
		reader->needs = feed_ask(session->feed);
	if (first)
		session->needs = reader->needs;
	tick(reader);
	return reader;
}

void session_resume(void *arg)
{
	struct reader *reader = arg;

	reader->paused = false;
	if (reader->state != READER_JOINING)
		tick(reader);
}

void session_close(void *arg)
{
	struct reader *reader = arg;

	reader->closed = true;
	if (!reader->busy && !reader->calling)
		free_reader(reader);
}

void session_started(void *plugin, const char *instance, const struct gantry_log_boot *boot)
{
	struct session *session = find(plugin, instance);

	if (!session)
		return;
	runs_started(&session->log.runs, boot);
	log_move(&session->log, false, 0); /* it was not removed after all */
	session->over = session->ended = false;
	if (session->feed)
		feed_again(session->feed);
	if (session->has_tail)
		watch_log(session);
	read_tail(session);
}

void session_ended(void *plugin, const char *instance, bool for_good)
{
	struct session *session = find(plugin, instance);

	if (session)
		process_ended(session, for_good);
}

void session_removed(void *plugin, const char *instance, const char *folder)
{
	struct session *session = find(plugin, instance);

	if (!session && folder)
		kept_drop(plugin, folder);
	if (!session)
		return;
	session->removed = true; /* it goes as soon as its readers are through */
	session->kept = !folder;
	if (session->feed)
		feed_removed(session->feed);
	process_ended(session, true);
	if (session->feed)
		session_fed(session, NULL);
}

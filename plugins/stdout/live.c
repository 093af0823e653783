/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live end of a session.
 *
 * When the system tells of a change, what a process has printed is mostly a line or two, just written and in the
 * system's memory: it is taken at once, on the loop (place_peek), as two threads would have to be woken otherwise. All
 * else is the pool's: much at once, the end of a file, another file, the end of the process.
 */
#include "session.h"

#include <string.h>

/* --- reading -------------------------------------------------------------------------------- */

static void run_tail(void *arg)
{
	struct job *job = &((struct session *)arg)->job;

	job->code = place_read(job->place, job->filter, &job->batch, &job->end, &job->err);
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

	reader_set(reader, READER_READING);
	reader->given_ns = place_clock_ns();
	if (code == 0)
		return;
	gantry_error_set(&err, code, "stdout: %s: %s", reader->session->log.path, strerror(-code));
	reader_finish(reader, &err);
}

static bool give_matching(struct reader *reader, const struct batch *batch)
{
	struct gantry_log_line *some;
	size_t count;
	bool alive;

	if (batch->count == 0)
		return true;
	some = batch_matching(batch, &reader->filter, &count);
	alive = count == 0 || reader_give(reader, some, count);
	free(some);
	return alive;
}

static void tell_live(struct session *session, const struct job *job)
{
	struct reader *next;

	for (struct reader *reader = session->readers; reader; reader = next) {
		next = reader->next;
		if (reader->state != READER_LIVE)
			continue;
		if (job->code < 0) {
			reader_finish(reader, &job->err);
			continue;
		}
		if (!give_matching(reader, &job->batch))
			continue;
		if (reader_is_past(reader, session->tail.lines.time_ns) ||
		    (job->end == PLACE_OVER && session->over))
			reader_finish(reader, NULL);
		else if (reader->paused)
			fall_behind(reader);
	}
}

/* What was read goes to the readers; then what was waiting for it. */
static void on_tail(void *arg)
{
	struct session *session = arg;
	struct job job = session->job;
	int64_t began_ns = place_clock_ns();
	struct reader *next;

	session->job.batch = (struct batch){0};
	session->tail_sequence = session->tail.lines.sequence;
	tell_live(session, &job);
	place_pace(&session->tail, place_clock_ns() - began_ns, PLACE_CHUNK);
	session_batch_back(session->plugin, &job.batch);
	/* as long as it is `reading` nobody frees the session, and nobody joins */
	session->reading = false;
	for (struct reader *reader = session->readers; reader; reader = next) {
		next = reader->next;
		if (reader->state == READER_JOINING && !session->reading)
			reader_join(reader);
	}
	if (job.end == PLACE_MORE || session->again)
		live_read(session);
	session_let_go(session);
}

/* False: there is nothing to read yet, or it is being read, and again after that. */
static bool begin(struct session *session)
{
	session->again = session->reading || !session->has_tail;
	if (session->again)
		return false;
	session->reading = true;
	session->tail_filter = (struct filter){.after = -1, .count_only = !anybody_live(session)};
	session->job = (struct job){.place = &session->tail,
				    .filter = &session->tail_filter,
				    .batch = session_batch(session->plugin)};
	return true;
}

static void read_on_pool(struct session *session)
{
	const struct gantry_host *host = session->plugin->host;

	host->work(host->core, run_tail, on_tail, session);
}

void live_read(struct session *session)
{
	if (begin(session))
		read_on_pool(session);
}

static void watch_changed(void *arg)
{
	struct session *session = arg;

	if (!begin(session))
		return;
	if (!place_peek(&session->tail, &session->tail_filter, &session->job.batch)) {
		read_on_pool(session);
		return;
	}
	session->job.end = PLACE_END; /* for now: of what comes next the system tells */
	on_tail(session);
}

/* Where the folder is not there yet, it is tried again when the process is started. */
void live_watch(struct session *session)
{
	const struct gantry_host *host = session->plugin->host;
	char *folder = take_copy(session->log.path, strlen(session->log.path)), *slash;
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

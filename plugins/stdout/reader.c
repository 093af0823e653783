/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of a session: what it is given, and its own place, until it joins the live end.
 *
 * While a chunk is on its way to the client the next one is read already, for AHEAD_MOST readers at a time: it takes
 * memory, and is held where the client has no room after all.
 */
#include "session.h"

#include <string.h>

#define GAP_MS     1000 /* what was left out is told after so long at the most */
#define AHEAD_MOST 8
#define CHUNK_MOST ((size_t)1 << 20) /* for a client that takes so much at once */

/* --- its life ------------------------------------------------------------------------------------ */

void reader_set(struct reader *reader, enum reader_state state)
{
	struct stdout_plugin *plugin = reader->session->plugin;

	plugin->reading += (state != READER_LIVE) - (reader->state != READER_LIVE);
	reader->state = state;
	session_batch_back(plugin, NULL);
}

/* What was read goes to whoever has asked for it, or nowhere. */
static struct job take_job(struct reader *reader)
{
	struct job job = reader->job;

	reader->job.batch = (struct batch){0};
	reader->waits = false;
	if (reader->ahead)
		reader->session->plugin->ahead--;
	reader->ahead = false;
	return job;
}

void reader_free(struct reader *reader)
{
	struct session *session = reader->session;
	struct reader **at = &session->readers;
	struct job job = take_job(reader);

	while (*at != reader)
		at = &(*at)->next;
	*at = reader->next;
	if (reader->gap_timer)
		session->plugin->host->timer_stop(reader->gap_timer);
	if (reader->resume_timer)
		session->plugin->host->timer_stop(reader->resume_timer);
	session_batch_back(session->plugin, &job.batch);
	reader_set(reader, READER_LIVE);
	place_fini(&reader->place);
	free(reader->filter.text);
	free(reader);
	session_let_go(session);
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
		reader_free(reader);
	return false;
}

void reader_finish(struct reader *reader, const struct gantry_error *err)
{
	struct gantry_log_sink sink = reader->sink;
	struct gantry_error why = err ? *err : (struct gantry_error){0}; /* may be its job's */
	struct gantry_log_line gap;

	if (limit_flush(&reader->limit, &gap) && !hand_over(reader, &gap, 1))
		return;
	reader_free(reader);
	sink.end(sink.arg, err ? &why : NULL);
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

bool reader_give(struct reader *reader, const struct gantry_log_line *lines, size_t count)
{
	const struct gantry_host *host = reader->session->plugin->host;
	struct gantry_log_line *some;
	size_t passed;
	bool alive = true;

	if (!reader->follow || !reader->limit.rate_bytes || count == 0)
		return hand_over(reader, lines, count);
	some = take_memory(NULL, 2 * count * sizeof(*some));
	passed = lines_join(some, limit_take(&reader->limit, lines, count, some));
	if (reader->limit.gap.lost && !reader->gap_timer)
		reader->gap_timer = host->timer_start(host->core, GAP_MS, on_gap_timer, reader);
	if (passed)
		alive = hand_over(reader, some, passed);
	free(some);
	return alive;
}

bool reader_is_past(const struct reader *reader, int64_t time_ns)
{
	return reader->filter.until_ns && time_ns > reader->filter.until_ns;
}

/* --- a reader's own place ------------------------------------------------------------------------ */

/* On the pool. */
static void run_reader(void *arg)
{
	struct reader *reader = arg;
	struct job *job = &reader->job;

	if (job->opens)
		job->code = place_open(&reader->place, &reader->session->log, &reader->filter,
				       reader->tail, &job->batch, &job->err);
	if (job->code == 0)
		job->code = place_read(job->place, job->filter, &job->batch, &job->end, &job->err);
}

static void on_read(void *arg);

static void read_next(struct reader *reader)
{
	struct session *session = reader->session;
	const struct gantry_host *host = session->plugin->host;

	place_pace(&reader->place, reader->took_ns, CHUNK_MOST);
	reader->busy = true;
	reader->job = (struct job){
		.place = &reader->place,
		.filter = &reader->filter,
		.opens = reader->state == READER_OPENING,
		.batch = session_batch(session->plugin),
	};
	host->work(host->core, run_reader, on_read, reader);
}

static void read_ahead(struct reader *reader)
{
	struct stdout_plugin *plugin = reader->session->plugin;

	if (plugin->ahead == AHEAD_MOST)
		return;
	plugin->ahead++;
	reader->ahead = true;
	read_next(reader);
}

void reader_join(struct reader *reader)
{
	struct session *session = reader->session;

	reader_set(reader, READER_JOINING);
	if (session->reading)
		return;
	live_watch(session);
	if (!session->has_tail) {
		session->tail = reader->place;
		session->has_tail = true;
		session->tail_sequence = session->tail.lines.sequence;
	} else if (reader->place.lines.sequence < session->tail_sequence) {
		reader_set(reader, READER_READING);
		reader_tick(reader);
		return;
	} else {
		if (reader->place.lines.sequence > reader->filter.after)
			reader->filter.after = reader->place.lines.sequence;
		place_fini(&reader->place);
	}
	reader->place = (struct place){.file = {.fd = -1}};
	reader_set(reader, READER_LIVE);
	live_read(session); /* it may have moved since */
}

/* There is room for more. */
static void taken(struct reader *reader)
{
	reader->took_ns = place_clock_ns() - reader->given_ns;
}

/* Its lines go to it. */
static void deliver(struct reader *reader)
{
	struct stdout_plugin *plugin = reader->session->plugin;
	struct job job = take_job(reader);
	bool over = (job.end == PLACE_OVER && reader->session->over) ||
		    reader_is_past(reader, reader->place.lines.time_ns);
	bool more = job.end == PLACE_MORE && !over, alive = true;

	if (job.code < 0) {
		reader_finish(reader, &job.err);
		session_batch_back(plugin, &job.batch);
		return;
	}
	reader_set(reader, READER_READING);
	if (more && !job.opens)
		read_ahead(reader);
	reader->given_ns = place_clock_ns();
	/* the first time in any case: it tells that there is a log */
	if (job.opens || job.batch.count > 0)
		alive = reader_give(reader, job.batch.lines, job.batch.count);
	session_batch_back(plugin, &job.batch);
	if (!alive)
		return;
	if (!reader->paused)
		taken(reader);
	if (more)
		reader_tick(reader);
	else if (over || !reader->follow)
		reader_finish(reader, NULL);
	else
		reader_join(reader);
}

static void on_read(void *arg)
{
	struct reader *reader = arg;

	reader->busy = false;
	if (reader->closed)
		reader_free(reader);
	else if (reader->paused)
		reader->waits = true;
	else
		deliver(reader);
}

static void on_resumed(void *arg)
{
	struct reader *reader = arg;

	reader->resume_timer = NULL;
	if (reader->waits && !reader->paused)
		deliver(reader);
}

void reader_resume(struct reader *reader)
{
	const struct gantry_host *host = reader->session->plugin->host;

	if (reader->paused)
		taken(reader);
	reader->paused = false;
	if (reader->waits && !reader->resume_timer)
		reader->resume_timer = host->timer_start(host->core, 0, on_resumed, reader);
	if (reader->state != READER_JOINING)
		reader_tick(reader);
}

void reader_tick(struct reader *reader)
{
	struct session *session = reader->session;

	if (reader->busy || reader->waits || reader->paused || reader->state == READER_LIVE)
		return;
	if (reader->state == READER_OPENING && session->feed &&
	    !feed_has(session->feed, reader->needs))
		return; /* session_fed will come */
	read_next(reader);
}

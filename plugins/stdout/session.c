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
#include "session.h"

#include <string.h>

/* --- batches ------------------------------------------------------------------------------------- */

/* While somebody reads one is kept: a system that is asked for fresh memory fills it with zeros first. */
struct batch session_batch(struct stdout_plugin *plugin)
{
	struct batch batch = plugin->spare;

	plugin->spare = (struct batch){0};
	return batch;
}

void session_batch_back(struct stdout_plugin *plugin, struct batch *batch)
{
	if (batch && plugin->spare.buffer == NULL) {
		plugin->spare = *batch;
		batch_clear(&plugin->spare);
	} else if (batch) {
		batch_fini(batch);
	}
	if (plugin->reading == 0)
		batch_fini(&plugin->spare);
}

/* --- life ---------------------------------------------------------------------------------------- */

/* What is left on the disk of an instance that was removed. */
static void run_drop(void *arg)
{
	index_drop(arg);
}

void kept_drop(void *arg, const char *folder)
{
	const struct stdout_plugin *plugin = arg;

	plugin->host->work(plugin->host->core, run_drop, free, take_copy(folder, strlen(folder)));
}

void session_let_go(struct session *session)
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
		.instance = take_copy(source->instance, strlen(source->instance)),
		.log = {.format = json_file ? ENTRY_JSON_FILE : ENTRY_LOCAL,
			.lossy = json_file || kept_is_lossy_spool(source->driver)},
	};
	if (source->path) {
		session->log.path = take_copy(source->path, strlen(source->path));
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
		session_let_go(session);
		return;
	}
	if (!err && session->ended && feed_has(session->feed, session->needs))
		runs_ended(&session->log.runs);
	if (!err)
		live_read(session);
	for (struct reader *reader = session->readers; reader; reader = next) {
		next = reader->next;
		if (reader->state != READER_OPENING || reader->busy)
			continue;
		if (err)
			reader_finish(reader, err); /* the last one takes the session with it */
		else
			reader_tick(reader);
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
	live_read(session);
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
	session_let_go(session);
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
			   .lines = query->lines,
			   .each = query->follow && session->plugin->settings->rate_bytes,
			   .text = query->text ? take_copy(query->text, query->text_length) : NULL,
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
	session->plugin->reading++;
	reader_tick(reader);
	return reader;
}

void session_resume(void *reader)
{
	reader_resume(reader);
}

void session_close(void *arg)
{
	struct reader *reader = arg;

	reader->closed = true;
	if (!reader->busy && !reader->calling)
		reader_free(reader);
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
		live_watch(session);
	live_read(session);
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

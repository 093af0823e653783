/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One upstream read of the engine's log endpoint, for an instance that is read; what it tells goes to the spool,
 * and from there to the readers.
 *
 *	open the spool ─▶ read what there is ─▶ synced ─▶ follow, where somebody does ┄ it ends ─▶ read what there is …
 *
 * Reads of what there is are numbered. Who asks needs one that begins later; one under way may have passed already
 * what was printed just now.
 *
 * Each read begins some seconds before the last message that we have, as the times of the two streams
 * may be out of order. What we had is passed over: times of one stream never go back, and of one time it is known
 * how many we had. Where nothing of what we had comes again, the engine has dropped it: a gap.
 *
 *   the engine is away     who asks first is told; who reads already waits: asked again every RETRY_MS
 *   nothing can be written what was not written is forgotten, and asked for again when it can be
 *   readers are behind     the spool keeps the last bytes of its budget; what it drops they are told as a gap
 *
 *   the instance is removed what there is, is all: what is under way is read to its end, or to its error
 *
 * An engine may end a follower without its last messages, so all that there is is read once more after it.
 */
#include "stdout.h"

#include <string.h>

#define OVERLAP_NS    10000000000
#define RETRY_MS      2000
#define IDLE_MS       200               /* between two looks at a process that does not run */
#define PENDING_BYTES ((size_t)1 << 20) /* more is not read before it is written */

static void go_on(struct feed *feed);

/* --- writing ------------------------------------------------------------------------------------- */

static void run_open(void *arg)
{
	struct feed *feed = arg;

	feed->code = spool_open(&feed->spool);
}

static void run_write(void *arg)
{
	struct feed *feed = arg;

	feed->code = spool_write(&feed->spool, feed->writing, feed->writing_length,
				 feed->writing_gap_ns);
}

static void close_upstream(struct feed *feed)
{
	if (feed->handle)
		feed->upstream.close(feed->handle);
	feed->handle = NULL;
	feed->follows = feed->paused = false;
}

static void on_retry(void *arg)
{
	struct feed *feed = arg;

	feed->retry = NULL;
	go_on(feed);
}

static void retry(struct feed *feed, int64_t after_ms)
{
	if (!feed->retry)
		feed->retry = feed->host->timer_start(feed->host->core, after_ms, on_retry, feed);
}

static void cannot_write(struct feed *feed)
{
	struct gantry_error err;

	gantry_error_set(&err, feed->code, "stdout: %s: %s", feed->spool.path,
			 strerror(-feed->code));
	if (!feed->warned)
		feed->host->log(feed->host->core, GANTRY_LOG_WARN,
				"%s: what the engine tells cannot be kept, and waits there: %s",
				feed->spool.path, strerror(-feed->code));
	feed->warned = true;
	close_upstream(feed);
	memcpy(feed->accepted, feed->written, sizeof(feed->accepted));
	feed->pending_length = 0;
	feed->gap_ns = 0;
	feed->done = feed->gone ? INT64_MAX : -1;
	feed->wanted = feed->begun + 1;
	if (!feed->gone)
		retry(feed, RETRY_MS);
	session_fed(feed->session, feed->gone ? NULL : &err);
}

static void on_job(void *arg)
{
	struct feed *feed = arg;
	bool wrote = feed->writing != NULL;

	feed->busy = false;
	free(feed->writing);
	feed->writing = NULL;
	if (feed->over) { /* nothing but its end is waited for */
		session_fed(feed->session, NULL);
		return;
	}
	if (feed->code < 0) {
		cannot_write(feed);
		return;
	}
	feed->warned = false;
	feed->is_open = true;
	if (!wrote)
		memcpy(feed->accepted, feed->spool.seen, sizeof(feed->accepted));
	memcpy(feed->written, wrote ? feed->writing_seen : feed->accepted, sizeof(feed->written));
	if (feed->paused && feed->pending_length < PENDING_BYTES) {
		feed->paused = false;
		feed->upstream.pause(feed->handle, false);
	}
	go_on(feed);
	if (wrote || feed->gone)
		session_fed(feed->session, NULL);
}

static void flush(struct feed *feed)
{
	if (feed->busy || feed->pending_length == 0)
		return;
	feed->writing = feed->pending;
	feed->writing_length = feed->pending_length;
	feed->writing_gap_ns = feed->gap_ns;
	feed->pending = NULL;
	feed->pending_length = feed->pending_capacity = 0;
	feed->gap_ns = 0;
	memcpy(feed->writing_seen, feed->accepted, sizeof(feed->writing_seen));
	feed->busy = true;
	feed->host->work(feed->host->core, run_write, on_job, feed);
}

/* --- the upstream -------------------------------------------------------------------------------- */

/* The spool has messages of 16 KiB at most, as the engine's own files; so many are one of the engine's. */
static int64_t parts_of(size_t length)
{
	return length > ENTRY_PART ? (int64_t)((length - 1) / ENTRY_PART) + 1 : 1;
}

static bool is_repeated(struct feed *feed, int stream, int64_t time_ns, size_t length)
{
	const struct spool_seen *base = &feed->base[stream - 1];
	int64_t passed = feed->passed[stream - 1];

	if (time_ns != base->time_ns)
		return time_ns < base->time_ns;
	feed->passed[stream - 1] += parts_of(length);
	return passed < base->count;
}

static void keep_part(struct feed *feed, int stream, int64_t time_ns, const char *data,
		      size_t length, bool newline)
{
	size_t most = feed->pending_length + length + SPOOL_AROUND;

	if (most > feed->pending_capacity) {
		feed->pending_capacity = 2 * most;
		feed->pending = take_memory(feed->pending, feed->pending_capacity);
	}
	feed->pending_length += spool_encode(feed->pending + feed->pending_length,
					     stream == 2 ? "stderr" : "stdout", time_ns, data,
					     length, feed->accepted[stream - 1].open, newline);
	spool_count(feed->accepted, stream, time_ns, newline || length < ENTRY_PART);
}

static int on_message(void *arg, int stream, int64_t time_ns, const char *data, size_t length)
{
	struct feed *feed = arg;
	bool newline = length > 0 && data[length - 1] == '\n';

	length -= newline;
	if (is_repeated(feed, stream, time_ns, length)) {
		feed->repeated = true;
		return 0;
	}
	if (!feed->repeated && (feed->base[0].time_ns || feed->base[1].time_ns))
		feed->gap_ns = time_ns;
	feed->repeated = feed->news = true;
	for (; length > ENTRY_PART; data += ENTRY_PART, length -= ENTRY_PART)
		keep_part(feed, stream, time_ns, data, ENTRY_PART, false);
	keep_part(feed, stream, time_ns, data, length, newline);
	flush(feed);
	if (feed->pending_length >= PENDING_BYTES && !feed->paused) {
		feed->paused = true;
		feed->upstream.pause(feed->handle, true);
	}
	return 0;
}

static void on_end(void *arg, const struct gantry_error *err)
{
	struct feed *feed = arg;
	bool followed = feed->follows;

	feed->handle = NULL;
	feed->follows = feed->paused = false;
	if (feed->gone) {
		err = NULL;
		feed->done = INT64_MAX;
	} else if (err) {
		retry(feed, RETRY_MS);
	} else if (followed) {
		feed->wanted = feed->begun + 1;
		if (!feed->news) /* it does not run yet, or not any more */
			retry(feed, IDLE_MS);
	} else {
		feed->done = feed->begun;
	}
	go_on(feed);
	if (!(err && followed))
		session_fed(feed->session, err);
}

static void open_upstream(struct feed *feed, bool follow)
{
	const struct gantry_log_feed to = {.arg = feed, .message = on_message, .end = on_end};
	int64_t since_ns = 0;

	memcpy(feed->base, feed->accepted, sizeof(feed->base));
	memset(feed->passed, 0, sizeof(feed->passed));
	feed->repeated = feed->news = false;
	for (int stream = 0; stream < 2; stream++)
		if (feed->base[stream].time_ns > since_ns)
			since_ns = feed->base[stream].time_ns;
	since_ns = since_ns > OVERLAP_NS ? since_ns - OVERLAP_NS : 0;
	feed->follows = follow;
	if (!follow)
		feed->begun++;
	feed->handle =
		feed->upstream.open(feed->upstream.arg, feed->instance, since_ns, follow, &to);
}

/* What is next. */
static void go_on(struct feed *feed)
{
	if (feed->over || feed->busy)
		return;
	if (feed->is_open && feed->pending_length > 0) { /* it came amid a write */
		flush(feed);
		return;
	}
	if (feed->handle || feed->retry || feed->gone)
		return;
	if (!feed->is_open) {
		feed->busy = true;
		feed->host->work(feed->host->core, run_open, on_job, feed);
	} else if (feed->done < feed->wanted) {
		open_upstream(feed, false);
	} else if (session_wants_more(feed->session)) {
		open_upstream(feed, true);
	}
}

/* --- life ---------------------------------------------------------------------------------------- */

void feed_init(struct feed *feed, struct session *session, const struct gantry_host *host,
	       const char *instance, const struct gantry_log_upstream *upstream, const char *path,
	       int64_t kept_bytes)
{
	*feed = (struct feed){
		.session = session,
		.host = host,
		.instance = instance,
		.upstream = *upstream,
		.done = -1,
	};
	spool_init(&feed->spool, path, kept_bytes / SPOOL_FILES, SPOOL_FILES);
}

bool feed_close(struct feed *feed)
{
	feed->over = true;
	close_upstream(feed);
	if (feed->retry)
		feed->host->timer_stop(feed->retry);
	feed->retry = NULL;
	if (feed->busy)
		return false;
	free(feed->pending);
	spool_fini(&feed->spool);
	return true;
}

int64_t feed_ask(struct feed *feed)
{
	feed->over = false;
	if (!feed->follows)
		feed->wanted = feed->begun + 1;
	go_on(feed);
	return feed->gone ? INT64_MAX : feed->wanted;
}

int64_t feed_again(struct feed *feed)
{
	if (feed->gone)
		return INT64_MAX;
	if (feed->follows)
		close_upstream(feed);
	feed->wanted = feed->begun + 1;
	go_on(feed);
	return feed->wanted;
}

void feed_removed(struct feed *feed)
{
	feed->gone = true;
	if (feed->retry)
		feed->host->timer_stop(feed->retry);
	feed->retry = NULL;
	if (!feed->handle)
		feed->done = INT64_MAX;
}

bool feed_has(const struct feed *feed, int64_t read)
{
	return feed->done >= read && !feed->busy && feed->pending_length == 0;
}

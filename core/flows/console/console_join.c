/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/console/console_join.h"
#include "base/clock.h"
#include "flows/log/logs.h"

#include <gantry/text.h>

#include <stdlib.h>

#define MATCH_BYTES 1024 /* of the log's end that are looked for */
#define MATCH_LEAST 64   /* fewer are no proof while output flows */
#define AGAIN_MS    20
#define PIECE_BYTES ((size_t)32 * 1024)

struct console_join {
	struct daemon *daemon;
	struct console_peer *peer; /* borrowed */
	void (*done)(struct console_peer *peer);
	char instance[INSTANCE_ID_SIZE];
	struct log_reader reader;
	bool reading;
	int64_t tail, boot, sequence; /* sequence: of the last line that was given; -1: none */
	int64_t opened_us;            /* the console */
	int64_t first_us, began_us;   /* the first reading of the log, and this one */
	bool lossy;                   /* the log does not keep bytes as they are */
	bool unended[3];    /* by stream: of its last line, which ended with the process */
	struct str ends[3]; /* of what the log has given, by stream: its last bytes */
	struct str piece;   /* lines in the making */
	struct loop_timer again;

	const struct console_kept *kept; /* borrowed; own after join_over. NULL: not open yet */
	struct console_kept own;
	bool over, failed, has_exit;
	struct gantry_error err;
	struct gantry_exit exit;
};

static void read_log(struct console_join *join);

/* --- what the log gives -------------------------------------------------------------------------- */

static void remember_end(struct str *end, const struct str *piece)
{
	str_add_bytes(end, piece->data, piece->length);
	if (end->length > MATCH_BYTES)
		str_consume(end, end->length - MATCH_BYTES);
}

static bool give_piece(struct console_join *join, int stream)
{
	bool room;

	if (!join->piece.length)
		return true;
	remember_end(&join->ends[stream], &join->piece);
	room = console_show(join->peer, stream, join->piece.data, join->piece.length);
	str_clear(&join->piece);
	return room;
}

/* Of the process that the console is at. */
static bool is_last_boot(const struct console_join *join)
{
	const struct instance *instance = fleet_find(&join->daemon->fleet, join->instance);

	return !instance || join->boot >= instance->boots;
}

static bool on_lines(void *arg, const struct gantry_log_line *lines, size_t count)
{
	struct console_join *join = arg;
	bool room = true;
	int stream = 1;

	for (size_t i = 0; i < count; i++) {
		const struct gantry_log_line *line = &lines[i];

		if (line->stream != stream || join->piece.length >= PIECE_BYTES)
			room = give_piece(join, stream) && room;
		join->boot = line->boot;
		join->sequence = line->sequence;
		if (line->stream == 0) {
			join->peer->events->missing(join->peer, line);
			continue;
		}
		stream = line->stream;
		join->lossy = line->flags & GANTRY_LOG_LOSSY;
		join->unended[stream] = line->flags & GANTRY_LOG_NO_NEWLINE && is_last_boot(join);
		str_add_bytes(&join->piece, line->data, line->length);
		if (!(line->flags & (GANTRY_LOG_PARTIAL | GANTRY_LOG_NO_NEWLINE)))
			str_add_char(&join->piece, '\n');
	}
	return give_piece(join, stream) && room;
}

/* --- where its end is in what is kept ------------------------------------------------------------ */

static bool rested(const struct console_join *join, int64_t since_us)
{
	return since_us + JOIN_REST_MS * 1000 <= join->began_us;
}

static size_t behind_last_line(const struct str *text)
{
	size_t at = text->length;

	while (at > 0 && text->data[at - 1] != '\n')
		at--;
	return at;
}

/* Where end stands in the text, behind it; how often, counted to two. */
static int find_end(const struct str *end, const struct str *text, size_t *ret_at)
{
	const char *from = text->data, *last = from + text->length, *found;
	int count = 0;

	*ret_at = behind_last_line(text);
	while (end->length && count < 2 &&
	       (found = memmem(from, (size_t)(last - from), end->data, end->length))) {
		*ret_at = (size_t)(found - text->data) + end->length;
		from = found + 1;
		count++;
	}
	return count;
}

/* What is kept before at is the log's end, as far as there is of both: a busy engine writes its log a good while later. */
static bool agrees(const struct console_join *join, int stream, const struct str *text, size_t at)
{
	const struct str *end = &join->ends[stream];
	size_t length = end->length < at ? end->length : at;

	return length == 0 ||
	       memcmp(end->data + end->length - length, text->data + at - length, length) == 0 ||
	       (join->lossy && !gantry_is_utf8(text->data, at));
}

/* False: it cannot be told yet; *ret_at is a guess. */
static bool find_place(const struct console_join *join, int stream, size_t *ret_at)
{
	struct str text = STR_INIT;
	const struct str *end = &join->ends[stream];
	bool found = true;
	size_t at;

	kept_text(join->kept, stream, &text);
	at = join->unended[stream] ? text.length : behind_last_line(&text);
	if (rested(join, join->kept->came_us[stream]) && agrees(join, stream, &text, at))
		*ret_at = at;
	else
		found = find_end(end, &text, ret_at) == 1 && end->length >= MATCH_LEAST;
	str_fini(&text);
	return found;
}

/* What is kept behind the places. */
static void give_rest(struct console_join *join, size_t skip[3])
{
	const struct console_kept *kept = join->kept;
	const char *data = str_text(&kept->bytes);

	for (size_t i = 0; i < kept->count; data += kept->pieces[i++].length) {
		const struct kept_piece *piece = &kept->pieces[i];
		size_t over =
			skip[piece->stream] < piece->length ? skip[piece->stream] : piece->length;

		skip[piece->stream] -= over;
		if (over < piece->length)
			console_show(join->peer, piece->stream, data + over, piece->length - over);
	}
}

static void try_join(struct console_join *join)
{
	bool late = join->began_us - join->first_us > JOIN_LIMIT_MS * 1000;
	size_t skip[3] = {0};
	bool exact = rested(join, join->opened_us);

	for (int stream = 1; stream <= 2; stream++)
		exact = find_place(join, stream, &skip[stream]) && exact;
	if (!exact && !late) {
		loop_timer_start(join->daemon->loop, &join->again, AGAIN_MS);
		return;
	}
	join->peer->events->joined(join->peer, join->boot, join->sequence, exact);
	give_rest(join, skip);
	join->done(join->peer);
}

/* --- the readings -------------------------------------------------------------------------------- */

static void on_end(void *arg, const struct gantry_error *err)
{
	struct console_join *join = arg;

	join->reading = false;
	if (err && !join->over)
		join_over(join, err, NULL);
	if (err)
		join->done(join->peer);
	else if (join->kept)
		try_join(join);
	/* else join_open goes on */
}

static void on_again(struct loop_timer *timer)
{
	read_log(LIST_ENTRY(timer, struct console_join, again));
}

static int open_reader(struct console_join *join, struct instance *instance,
		       struct gantry_error *err)
{
	const struct gantry_log_query query = {
		.tail = join->sequence < 0 ? join->tail : -1,
		.after = join->sequence,
	};
	const struct gantry_log_sink sink = {.arg = join, .lines = on_lines, .end = on_end};
	int code;

	join->began_us = clock_monotonic_us();
	code = log_reader_open(&join->reader, join->daemon, instance, &query, &sink, err);
	join->reader.raw = true; /* what the process prints is matched with it */
	join->reading = code == 0;
	return code;
}

static void read_log(struct console_join *join)
{
	struct instance *instance = fleet_find(&join->daemon->fleet, join->instance);
	struct gantry_error err;

	if (!instance)
		gantry_error_set(&err, -ENOENT, "the instance was removed");
	if (!instance || open_reader(join, instance, &err) < 0)
		on_end(join, &err);
}

/* --- life ---------------------------------------------------------------------------------------- */

int join_new(struct daemon *daemon, struct instance *instance, struct console_peer *peer,
	     void (*done)(struct console_peer *peer), struct console_join **ret_join,
	     struct gantry_error *err)
{
	struct console_join *join;

	if (!daemon->logger)
		return gantry_error_set(err, -ENOTSUP, "no plugin that reads logs is loaded");
	join = xcalloc(1, sizeof(*join));
	join->daemon = daemon;
	join->peer = peer;
	join->done = done;
	join->tail = peer->tail;
	join->sequence = peer->after;
	snprintf(join->instance, sizeof(join->instance), "%s", instance->id);
	loop_timer_init(&join->again, on_again);
	*ret_join = join;
	return 0;
}

void join_open(struct console_join *join, const struct console_kept *kept, int64_t opened_us)
{
	join->kept = kept;
	join->opened_us = opened_us;
	join->first_us = clock_monotonic_us();
	read_log(join);
}

void join_over(struct console_join *join, const struct gantry_error *err,
	       const struct gantry_exit *exit)
{
	join->over = true;
	if (join->kept && join->kept != &join->own) {
		kept_copy(join->kept, &join->own);
		join->kept = &join->own;
	}
	join->failed = err;
	if (err)
		join->err = *err;
	join->has_exit = exit;
	if (exit)
		join->exit = *exit;
}

void join_resume(struct console_join *join)
{
	if (join->reading)
		log_reader_resume(&join->reader);
}

bool join_is_over(const struct console_join *join, const struct gantry_error **ret_err,
		  const struct gantry_exit **ret_exit)
{
	*ret_err = join->failed ? &join->err : NULL;
	*ret_exit = join->has_exit ? &join->exit : NULL;
	return join->over;
}

void join_free(struct console_join *join)
{
	if (!join)
		return;
	loop_timer_stop(join->daemon->loop, &join->again);
	if (join->reading)
		log_reader_close(&join->reader);
	for (size_t i = 0; i < sizeof(join->ends) / sizeof(*join->ends); i++)
		str_fini(&join->ends[i]);
	str_fini(&join->piece);
	kept_fini(&join->own);
	free(join);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in a log, and its way through the files.
 *
 *	open     which files are there; at which sequence the oldest begins; where the query begins
 *	read     a chunk ▶ messages ▶ lines; at the end of a file that is not written any more on to the next
 *
 * What can go wrong
 *   half a message at the end    kept until the rest comes; damaged where the file is left behind
 *   the file was cut short       another file in its place: what was not read of it is gone
 *   our file is not among them   the engine has dropped it, and maybe others: on with the oldest. How many
 *                                lines that cost is known where somebody counted them meanwhile
 */
#include "stdout.h"

#include <string.h>
#include <time.h>

#define CHUNK_LEAST ((size_t)8 << 10)
#define CHUNK_FIRST ((size_t)64 << 10)
#define LONG_NS     4000000

/* --- sequences --- */

/* Lines went that nobody had counted. */
static void jump(struct place *place, struct filter *filter, struct batch *batch)
{
	struct lines *lines = &place->lines;
	int64_t above = index_above(&place->log->index);

	if (above <= lines->sequence)
		above = (lines->sequence / INDEX_JUMP + 1) * INDEX_JUMP;
	lines->sequence = above;
	lines_gap(lines, place->log->kept ? GAP_UNKEPT : GAP_UNCOUNTED, -1, lines->time_ns,
		  place->file.time_ns, filter, batch);
}

/*
 * The place is at the start of its file: what is known of it, or is to be known from now on. why: where lines are missing in
 * front of it that were counted. True: it has told a gap.
 */
static bool settle(struct place *place, const char *why, struct filter *filter, struct batch *batch)
{
	struct lines *lines = &place->lines;
	struct index_row row;

	if (!place->file.mark)
		return false;
	if (!index_find(&place->log->index, place->file.mark, &row)) {
		if (place->file.gap)
			jump(place, filter, batch);
		row = (struct index_row){
			.mark = place->file.mark,
			.sequence = lines->sequence,
			.time_ns = place->file.time_ns,
			.open = lines_open(lines),
		};
		index_put(&place->log->index, &row);
		return place->file.gap;
	}
	if (row.sequence > lines->sequence) {
		/* behind a jump nobody knows how many */
		int64_t lost = row.sequence / INDEX_JUMP == lines->sequence / INDEX_JUMP
				       ? row.sequence - lines->sequence
				       : -1;

		lines_fini(lines); /* what was open is among them */
		lines->sequence = row.sequence;
		lines_gap(lines,
			  place->log->kept ? GAP_UNKEPT
			  : lost < 0       ? GAP_UNCOUNTED
					   : why,
			  lost, lines->time_ns, place->file.time_ns, filter, batch);
		return true;
	}
	return false;
}

/* --- from file to file --- */

static void leave(struct place *place)
{
	file_close(&place->file);
	free(place->rest);
	place->rest = NULL;
	place->rest_length = 0;
}

static void enter(struct place *place, struct files *files, size_t number)
{
	leave(place);
	place->file = files->items[number];
	place->newest = number + 1 == files->count;
	files->items[number] = (struct file){.fd = -1};
}

/* A file that begins amid a line whose beginning is gone. Of the driver local each part says so itself. */
static void tell_beginning(struct place *place, const struct index_row *row, struct filter *filter,
			   struct batch *batch)
{
	if (row->open && place->log->format != ENTRY_LOCAL)
		lines_gap(&place->lines, GAP_BEGINNING, 0, 0, row->time_ns, filter, batch);
}

/* All files are in use: there may have been more before somebody read it for the first time. */
static bool may_have_dropped(const struct log *log, const struct files *files)
{
	return log->files_max > 1 && (int64_t)files->count >= log->files_max;
}

/* The oldest of which anything can be read: a compressed file that is damaged from the first message on has no numbers. */
static size_t oldest(const struct files *files)
{
	size_t at = 0;

	while (at + 1 < files->count && files->items[at].gz && !files->items[at].mark)
		at++;
	return at;
}

/* What is before the oldest is gone; lines has the last sequence and time that the reader knows of. */
static void enter_oldest(struct place *place, struct files *files, struct filter *filter,
			 struct batch *batch)
{
	struct log *log = place->log;
	struct lines *lines = &place->lines;
	struct index_row row;
	size_t at = oldest(files);
	bool known;

	lines_fini(lines);
	enter(place, files, at);
	known = place->file.mark && index_find(&log->index, place->file.mark, &row) &&
		row.sequence >= lines->sequence;
	if (!known && !place->file.gap &&
	    (lines->sequence > 0 || index_above(&log->index) > 0 || may_have_dropped(log, files)))
		jump(place, filter, batch);
	else if (known && row.sequence == lines->sequence)
		tell_beginning(place, &row, filter, batch); /* else settle tells of a gap */
	else if (!known && at > 0)
		lines_gap(lines, GAP_DAMAGED, -1, 0, place->file.time_ns, filter, batch);
	settle(place, at > 0 ? GAP_DAMAGED : GAP_DROPPED, filter, batch);
}

/* The file at hand is read to its end, breaks off, or is none. False: there is no next one, for now. */
static bool next_file(struct place *place, bool breaks_off, struct filter *filter,
		      struct batch *batch, int *ret_code)
{
	struct log *log = place->log;
	const char *path = log_path(log);
	bool rest = place->rest_length > 0, told = true;
	struct index_row row;
	struct files files;
	int at;

	*ret_code = files_open(path, log->files_max, log->format, &files);
	if (*ret_code == -ENOENT) { /* the container is gone, with all of it */
		*ret_code = 0;
		if (place->file.fd >= 0 && !place->newest) {
			lines_gap(&place->lines, GAP_GONE, -1, place->lines.time_ns, 0, filter,
				  batch);
			place->newest = true;
		}
	}
	if (files.count == 0)
		return false;
	at = place->file.fd < 0 ? -1 : files_find(&files, &place->file);
	if (at < 0 && path == log->kept_path && place->file.mark &&
	    place->file.mark == log_cut(log))
		at = 0; /* all of the oldest was read before it was cut */
	if (at >= 0 && (size_t)at + 1 == files.count) {
		files_close(&files);
		return false;
	}
	if (at >= 0) {
		enter(place, &files, (size_t)at + 1);
		if (breaks_off && !index_find(&log->index, place->file.mark, &row))
			lines_end(&place->lines, filter, batch); /* nobody has counted their rest */
		told = settle(place, GAP_DAMAGED, filter, batch);
	} else {
		enter_oldest(place, &files, filter, batch);
	}
	if ((breaks_off || rest) && !told)
		lines_gap(&place->lines, GAP_DAMAGED, breaks_off ? -1 : 0, 0, place->lines.time_ns,
			  filter, batch);
	files_close(&files);
	return true;
}

/* --- reading --- */

/* Lines of what is in the buffer; the bytes that were used. */
static size_t take_all(struct place *place, char *data, size_t length, struct filter *filter,
		       struct batch *batch)
{
	size_t used = 0;
	bool damaged = false;
	struct entry entry;

	for (;;) {
		size_t run = lines_take_run(&place->lines, place->log->format, data + used,
					    length - used, filter, batch);
		enum entry_result result;

		if (run) {
			used += run;
			damaged = false;
			continue;
		}
		result = entry_next(place->log->format, data + used, length - used, &entry);
		if (result == ENTRY_MORE)
			return used;
		used += entry.used;
		if (result == ENTRY_DAMAGED) {
			if (!damaged)
				lines_gap(&place->lines, GAP_DAMAGED, 0, 0, place->lines.time_ns,
					  filter, batch);
			damaged = true;
			continue;
		}
		damaged = false;
		if (entry.stream) /* else a mark: told when the file was entered */
			lines_take(&place->lines, &entry, filter, batch);
	}
}

/* The rest of what was read before, with room for so many bytes behind it. */
static char *begin_chunk(struct place *place, size_t size, struct batch *batch)
{
	char *data = batch_room(batch, place->rest_length + size);

	if (place->rest_length)
		memcpy(data, place->rest, place->rest_length);
	return data + place->rest_length;
}

/* count bytes are there behind the rest. */
static void take_chunk(struct place *place, size_t count, struct filter *filter,
		       struct batch *batch)
{
	size_t length = place->rest_length + count;
	size_t used = take_all(place, batch->buffer, length, filter, batch);

	free(place->rest);
	place->rest = NULL;
	place->rest_length = length - used;
	if (place->rest_length) {
		place->rest = take_memory(NULL, place->rest_length);
		memcpy(place->rest, batch->buffer + used, place->rest_length);
	}
}

static ssize_t read_chunk(struct place *place, struct filter *filter, struct batch *batch)
{
	size_t size = filter->count_only ? PLACE_CHUNK : place->chunk_bytes;
	ssize_t count = file_read(&place->file, begin_chunk(place, size, batch), size);

	/* now: what was read is of no run that is not known of here */
	runs_look(&place->log->runs, &place->lines.boots);
	if (count > 0 && !place->file.mark) { /* it was empty, or its first message was not whole */
		file_look(&place->file, place->log->format);
		settle(place, GAP_DROPPED, filter, batch);
	}
	place->full = count == (ssize_t)size;
	if (count > 0)
		take_chunk(place, (size_t)count, filter, batch);
	return count;
}

bool place_peek(struct place *place, struct filter *filter, struct batch *batch)
{
	size_t size = place->file.mark ? file_peek(&place->file) : 0;

	if (size == 0 || size > PLACE_PEEK ||
	    !file_read_now(&place->file, begin_chunk(place, size, batch), size))
		return false;
	runs_look(&place->log->runs, &place->lines.boots);
	take_chunk(place, size, filter, batch);
	return true;
}

ssize_t place_skip(struct place *place, struct filter *filter, struct batch *batch)
{
	return read_chunk(place, filter, batch);
}

static int64_t last_boot(const struct boots *boots)
{
	return boots->count ? boots->items[boots->count - 1].boot : 0;
}

int place_read(struct place *place, struct filter *filter, struct batch *batch,
	       enum place_end *ret_end, struct gantry_error *err)
{
	/* looked at first: what is read after it has ended, or was moved away, is all of it */
	struct boots boots;
	bool over = runs_look(&place->log->runs, &boots);
	bool current = file_is_at(&place->file, log_path(place->log));
	ssize_t count = place->file.fd < 0 ? 0 : read_chunk(place, filter, batch);
	bool breaks_off = count == -EIO; /* on with the next one */
	int code = 0;

	*ret_end = PLACE_MORE;
	if (count > 0)
		return 0;
	if (count == -ESTALE)
		leave(place);
	else if (count < 0 && !breaks_off)
		return gantry_error_set(err, (int)count, "stdout: %s: %s", log_path(place->log),
					strerror((int)-count));
	if ((count == 0 && current) || !next_file(place, breaks_off, filter, batch, &code)) {
		if (breaks_off)
			lines_gap(&place->lines, GAP_DAMAGED, -1, 0, place->lines.time_ns, filter,
				  batch);
		over = over && runs_look(&place->log->runs, &place->lines.boots) &&
		       last_boot(&place->lines.boots) == last_boot(&boots);
		*ret_end = over ? PLACE_OVER : PLACE_END;
		if (over)
			lines_end(&place->lines, filter, batch);
		if (filter->after > place->lines.sequence) {
			filter->after = place->lines.sequence;
			lines_gap(&place->lines, GAP_UNKNOWN, -1, 0, place->lines.time_ns, filter,
				  batch);
		}
	}
	if (code < 0)
		return gantry_error_set(err, code, "stdout: %s: %s", log_path(place->log),
					strerror(-code));
	return 0;
}

/* --- where a query begins --- */

/*
 * The newest file from which the line after `after` can be counted; -1: none. Where a line was open at its
 * start an older one is better, which has the beginning of that line.
 */
static int file_before(struct log *log, const struct files *files, int64_t after,
		       struct index_row *ret_row)
{
	struct index_row row;
	int found = -1;

	for (size_t i = files->count; i > 0; i--) {
		if (!files->items[i - 1].mark ||
		    !index_find(&log->index, files->items[i - 1].mark, &row) ||
		    row.sequence > after)
			continue;
		if (found < 0 || !row.open) {
			found = (int)i - 1;
			*ret_row = row;
		}
		if (!row.open)
			break;
	}
	return found;
}

static int begin(struct place *place, struct filter *filter, struct batch *batch,
		 struct gantry_error *err)
{
	struct log *log = place->log;
	struct lines *lines = &place->lines;
	int64_t after = filter->after > 0 ? filter->after : 0;
	struct index_row row;
	struct files files;
	int at, code = files_open(log_path(log), log->files_max, log->format, &files);

	lines_fini(lines);
	if (code < 0)
		return gantry_error_set(err, code, "stdout: %s: %s", log_path(log),
					strerror(-code));
	if (files.count == 0)
		return 0;
	at = file_before(log, &files, after, &row);
	if (at >= 0) {
		enter(place, &files, (size_t)at);
		lines->sequence = row.sequence;
		lines->time_ns = row.time_ns;
		tell_beginning(place, &row, filter, batch);
	} else {
		if (after && index_above(&log->index) == 0) {
			filter->after = -1;
			lines_gap(lines, GAP_UNKNOWN, -1, 0, files.items[0].time_ns, filter, batch);
			after = 0;
		}
		lines->sequence = after;
		lines->time_ns = index_before(&log->index, after, &row) ? row.time_ns : 0;
		enter_oldest(place, &files, filter, batch);
	}
	files_close(&files);
	return 0;
}

/* A spot to which one can go back, and how many lines that match are before it. */
struct spot {
	uint64_t mark;
	int64_t offset, sequence;
	size_t matched;
};

struct spots {
	struct spot *items; /* owned */
	size_t count, capacity;
};

static void add_spot(struct spots *spots, const struct place *place, size_t matched)
{
	if (lines_open(&place->lines) || !place->file.mark)
		return;
	if (spots->count == spots->capacity) {
		spots->capacity = spots->capacity ? 2 * spots->capacity : 64;
		spots->items = take_memory(spots->items, spots->capacity * sizeof(struct spot));
	}
	spots->items[spots->count++] = (struct spot){
		.mark = place->file.mark,
		.offset = place->file.offset - (int64_t)place->rest_length,
		.sequence = place->lines.sequence,
		.matched = matched,
	};
}

/* Reads all there is and counts. */
static int count(struct place *place, const struct filter *filter, struct spots *spots,
		 size_t *ret_matched, struct gantry_error *err)
{
	struct filter counting = *filter;
	struct batch batch = {0};
	enum place_end end = PLACE_MORE;
	int code;

	counting.count_only = true;
	*ret_matched = 0;
	code = begin(place, &counting, &batch, err);
	while (code == 0 && end == PLACE_MORE) {
		add_spot(spots, place, *ret_matched);
		code = place_read(place, &counting, &batch, &end, err);
		*ret_matched += batch.matched;
		batch_clear(&batch);
	}
	batch_fini(&batch);
	return code;
}

static bool go_to(struct place *place, const struct spot *spot)
{
	const struct file wanted = {.fd = -1, .mark = spot->mark};
	struct log *log = place->log;
	struct files files;
	int at = -1;

	if (files_open(log_path(log), log->files_max, log->format, &files) == 0)
		at = files_find(&files, &wanted);
	if (at >= 0) {
		leave(place);
		lines_fini(&place->lines);
		at = file_copy(&place->file, &files.items[at], spot->offset);
		place->lines.sequence = spot->sequence;
	}
	files_close(&files);
	return at >= 0;
}

/*
 * To before the last lines that match; filter->skip is what is too much: at least one line, as a gap in
 * front of the first that is wanted may be in front of the spot.
 */
static int begin_tail(struct place *place, struct filter *filter, int64_t tail, struct batch *batch,
		      struct gantry_error *err)
{
	struct spots spots = {0};
	size_t matched, from, at;
	int code = count(place, filter, &spots, &matched, err);

	if (code == 0 && matched <= (size_t)tail) {
		code = begin(place, filter, batch, err);
	} else if (code == 0) {
		from = matched - (size_t)tail;
		at = spots.count;
		while (at > 0 && spots.items[at - 1].matched >= from)
			at--;
		if (at > 0 && go_to(place, &spots.items[at - 1]))
			filter->skip = (int64_t)(from - spots.items[at - 1].matched);
		else
			code = begin(place, filter, batch, err);
	}
	free(spots.items);
	return code;
}

int place_open(struct place *place, struct log *log, struct filter *filter, int64_t tail,
	       struct batch *batch, struct gantry_error *err)
{
	*place = (struct place){.log = log, .file = {.fd = -1}, .chunk_bytes = CHUNK_FIRST};
	runs_look(&log->runs, &place->lines.boots);
	place->lines.flags = log->lossy ? GANTRY_LOG_LOSSY : 0;
	return tail < 0 ? begin(place, filter, batch, err)
			: begin_tail(place, filter, tail, batch, err);
}

void place_pace(struct place *place, int64_t took_ns, size_t most)
{
	if (took_ns > LONG_NS && place->chunk_bytes > CHUNK_LEAST)
		place->chunk_bytes /= 2;
	else if (took_ns < LONG_NS / 4 && place->full && place->chunk_bytes < most)
		place->chunk_bytes *= 2;
}

int64_t place_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int place_copy(struct place *to, const struct place *from)
{
	int code;

	*to = *from;
	to->rest = NULL;
	to->rest_length = 0;
	code = file_copy(&to->file, &from->file, from->file.offset - (int64_t)from->rest_length);
	lines_copy(&to->lines, &from->lines);
	return code;
}

void place_fini(struct place *place)
{
	leave(place);
	lines_fini(&place->lines);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to lines.
 *
 *   join     parts of one stream, up to GANTRY_LOG_LINE_MAX; never those of two runs of the process:
 *            what was open when it was started again is a line of its own, without newline
 *   number   a line counts when it has ended, so that the same files give the same numbers
 *   filter   what nobody wants is counted and not looked at
 */
#include "stdout.h"

#include <string.h>

#define LINES_BYTES                                                                                \
	((size_t)64 << 10) /* of lines that are made one, at the most: a client gathers them */

/* --- batch --- */

static inline void add(struct batch *batch, const struct gantry_log_line *line)
{
	if (batch->count == batch->capacity) {
		batch->capacity = batch->capacity ? 2 * batch->capacity : 256;
		batch->lines = take_memory(batch->lines, batch->capacity * sizeof(*batch->lines));
	}
	batch->lines[batch->count++] = *line;
}

char *batch_room(struct batch *batch, size_t size)
{
	if (size > batch->size) {
		free(batch->buffer);
		batch->buffer = take_memory(NULL, size);
		batch->size = size;
	}
	return batch->to = batch->buffer;
}

void batch_clear(struct batch *batch)
{
	for (size_t i = 0; i < batch->text_count; i++)
		free(batch->texts[i]);
	free(batch->texts);
	batch->texts = NULL;
	batch->to = NULL;
	batch->count = batch->text_count = batch->matched = 0;
}

void batch_fini(struct batch *batch)
{
	batch_clear(batch);
	free(batch->buffer);
	free(batch->lines);
	*batch = (struct batch){0};
}

/* The batch owns the text from here on. */
static void keep_text(struct batch *batch, char *text)
{
	batch->texts = take_memory(batch->texts, (batch->text_count + 1) * sizeof(char *));
	batch->texts[batch->text_count++] = text;
}

/* --- filter --- */

static inline bool filter_matches(const struct filter *filter, const struct gantry_log_line *line)
{
	if (line->stream == 0)
		return line->sequence >= filter->after && !filter->count_only && filter->skip == 0;
	if (line->sequence <= filter->after)
		return false;
	if (filter->stream && line->stream != filter->stream)
		return false;
	if (filter->since_ns && line->time_ns < filter->since_ns)
		return false;
	if (filter->until_ns && line->time_ns > filter->until_ns)
		return false;
	return !filter->text || memmem(line->data, line->length, filter->text, filter->text_length);
}

struct gantry_log_line *batch_matching(const struct batch *batch, const struct filter *filter,
				       size_t *ret_count)
{
	struct gantry_log_line *some = take_memory(NULL, batch->count * sizeof(*some));

	*ret_count = 0;
	for (size_t i = 0; i < batch->count; i++)
		if (filter_matches(filter, &batch->lines[i]))
			some[(*ret_count)++] = batch->lines[i];
	return some;
}

/* --- boots --- */

void boots_add(struct boots *boots, const struct gantry_log_boot *boot)
{
	if (boots->count && boots->items[boots->count - 1].boot >= boot->boot)
		return;
	if (boots->count == BOOTS_MAX)
		memmove(boots->items, boots->items + 1, --boots->count * sizeof(boots->items[0]));
	boots->items[boots->count++] = *boot;
}

static int64_t boot_at(const struct boots *boots, int64_t time_ns)
{
	int64_t first = boots->count ? boots->items[0].boot - 1 : 1;

	for (size_t i = boots->count; i > 0; i--)
		if (time_ns >= boots->items[i - 1].since_ns)
			return boots->items[i - 1].boot;
	return first > 0 ? first : 1;
}

/* The process was started between the two times. */
static bool boot_between(const struct boots *boots, int64_t from_ns, int64_t to_ns)
{
	for (size_t i = boots->count; i > 0 && boots->items[i - 1].since_ns > from_ns; i--)
		if (boots->items[i - 1].since_ns <= to_ns)
			return true;
	return false;
}

/* Leaves of the times, from the one to the other, those that are of the same run of the process as time_ns. */
static void boot_span(const struct boots *boots, int64_t time_ns, int64_t *since_ns,
		      int64_t *until_ns)
{
	for (size_t i = boots->count; i > 0; i--) {
		int64_t begun_ns = boots->items[i - 1].since_ns;

		if (time_ns >= begun_ns) {
			*since_ns = begun_ns;
			return;
		}
		if (begun_ns <= *until_ns)
			*until_ns = begun_ns - 1;
	}
}

/* --- lines --- */

bool lines_open(const struct lines *lines)
{
	return lines->open[0].is_open || lines->open[1].is_open;
}

static void add_gap(const struct lines *lines, int64_t sequence, const char *why, int64_t lost,
		    int64_t since_ns, int64_t time_ns, const struct filter *filter,
		    struct batch *batch)
{
	const struct gantry_log_line line = {
		.sequence = sequence,
		.boot = boot_at(&lines->boots, time_ns),
		.time_ns = time_ns,
		.data = why,
		.length = strlen(why),
		.lost = lost,
		.gap_since_ns = since_ns,
	};

	if (filter_matches(filter, &line))
		add(batch, &line);
}

/* What the filter needs to see of a line that is its entry's own. */
static inline void fill(struct lines *lines, struct gantry_log_line *line, struct entry *entry,
			const struct filter *filter, const struct batch *batch)
{
	if (!filter->count_only || filter->since_ns || filter->until_ns)
		line->time_ns = entry_time_near(entry, &lines->minute);
	if (!filter->count_only || filter->text) {
		entry_decode(entry, batch->to);
		line->data = entry->data;
		line->length = entry->length;
	}
}

/* Makes the line, which is GANTRY_LOG_LINES, a part of the one before it, where both are of one kind. */
static inline bool append(struct gantry_log_line *last, const struct gantry_log_line *line)
{
	/* two small fields that are compared one after the other would be written to memory, and be waited for there */
	if (last->stream != line->stream || last->data + last->length != line->data ||
	    last->flags != line->flags || last->boot != line->boot ||
	    last->length + line->length > LINES_BYTES)
		return false;
	last->length += line->length;
	last->sequence = line->sequence;
	last->time_ns = line->time_ns;
	return true;
}

static inline bool append_to(struct batch *batch, const struct gantry_log_line *line)
{
	return batch->count && append(&batch->lines[batch->count - 1], line);
}

size_t lines_join(struct gantry_log_line *lines, size_t count)
{
	size_t joined = count ? 1 : 0;

	for (size_t i = 1; i < count; i++)
		if (!(lines[i].flags & GANTRY_LOG_LINES) || !append(&lines[joined - 1], &lines[i]))
			lines[joined++] = lines[i];
	return joined;
}

/*
 * A line that is its entry's own is to stay where it was moved to, behind the one before. There is room for a newline: a
 * message is longer than its line with that.
 */
static inline bool settle_down(struct batch *batch, struct gantry_log_line *line, bool newline,
			       const struct filter *filter)
{
	batch->to += line->length;
	if (!newline || !filter->lines)
		return false;
	*batch->to++ = '\n';
	line->length++;
	line->flags |= GANTRY_LOG_LINES;
	return !filter->each && append_to(batch, line);
}

/*
 * A line has ended and gets its number. entry: it is the line's own, and not decoded yet; else text is the line's, and the
 * batch is to own it. The line is made in registers and written once, as there are many.
 */
static void emit(struct lines *lines, int stream, unsigned flags, struct entry *entry,
		 const struct open_line *text, struct filter *filter, struct batch *batch)
{
	struct gantry_log_line line = {
		.sequence = ++lines->sequence,
		.stream = stream,
		.flags = flags | lines->flags,
		.time_ns = text ? text->time_ns : 0,
		.data = text ? text->data : NULL,
		.length = text ? text->length : 0,
	};
	bool kept = false;

	if (entry && line.sequence > filter->after)
		fill(lines, &line, entry, filter, batch);
	if (line.time_ns)
		lines->time_ns = line.time_ns;
	if (filter_matches(filter, &line)) {
		batch->matched++;
		kept = filter->skip == 0 && !filter->count_only;
		filter->skip -= filter->skip > 0;
	}
	if (!kept) {
		if (text)
			free(text->data);
		return;
	}
	if (entry && entry->damaged)
		add_gap(lines, line.sequence - 1, GAP_DAMAGED, 0, 0, line.time_ns, filter, batch);
	line.boot = boot_at(&lines->boots, line.time_ns);
	if (text)
		keep_text(batch, text->data);
	if (text || !settle_down(batch, &line, entry->newline, filter))
		add(batch, &line);
}

static void end_open(struct lines *lines, int stream, unsigned flags, struct filter *filter,
		     struct batch *batch)
{
	struct open_line *open = &lines->open[stream - 1];
	const struct open_line text = *open;

	*open = (struct open_line){0};
	if (text.is_open)
		emit(lines, stream, flags, NULL, &text, filter, batch);
}

void lines_end(struct lines *lines, struct filter *filter, struct batch *batch)
{
	end_open(lines, 1, GANTRY_LOG_NO_NEWLINE, filter, batch);
	end_open(lines, 2, GANTRY_LOG_NO_NEWLINE, filter, batch);
}

static void join(struct open_line *open, struct entry *entry)
{
	if (!open->is_open) {
		open->is_open = true;
		open->time_ns = entry_time_ns(entry);
	}
	if (open->length + entry->length > open->capacity) {
		open->capacity = 2 * (open->length + entry->length);
		open->data = take_memory(open->data, open->capacity);
	}
	memcpy(open->data + open->length, entry->data, entry->length);
	open->length += entry->length;
}

void lines_take(struct lines *lines, struct entry *entry, struct filter *filter,
		struct batch *batch)
{
	struct open_line *open = &lines->open[entry->stream - 1];

	/* which of the two is older does not matter: the order must be the same each time */
	for (int stream = 1; lines_open(lines) && lines->boots.count && stream <= 2; stream++)
		if (lines->open[stream - 1].is_open &&
		    boot_between(&lines->boots, lines->open[stream - 1].time_ns,
				 entry_time_ns(entry)))
			end_open(lines, stream, GANTRY_LOG_NO_NEWLINE, filter, batch);
	if (entry->begins && open->is_open)
		end_open(lines, entry->stream, GANTRY_LOG_NO_NEWLINE, filter, batch);
	if (entry->goes_on && !open->is_open)
		lines_gap(lines, GAP_BEGINNING, 0, 0, entry_time_ns(entry), filter, batch);
	if (!open->is_open && entry->ends) {
		emit(lines, entry->stream, entry->newline ? 0 : GANTRY_LOG_NO_NEWLINE, entry, NULL,
		     filter, batch);
		return;
	}
	entry_decode(entry, entry->data);
	if (open->is_open && open->length + entry->length > GANTRY_LOG_LINE_MAX)
		end_open(lines, entry->stream, GANTRY_LOG_PARTIAL, filter, batch);
	join(open, entry);
	if (entry->ends)
		end_open(lines, entry->stream, entry->newline ? 0 : GANTRY_LOG_NO_NEWLINE, filter,
			 batch);
}

size_t lines_take_run(struct lines *lines, enum entry_format format, char *data, size_t length,
		      struct filter *filter, struct batch *batch)
{
	struct local_run run = {
		.to = batch->to,
		.most = LINES_BYTES,
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
	};
	struct gantry_log_line line;

	if (format != ENTRY_LOCAL || !(filter->count_only || (filter->lines && !filter->each)) ||
	    filter->text || filter->skip || lines->sequence < filter->after || lines_open(lines))
		return 0;
	if (!filter->count_only) /* another boot's first line is taken by itself */
		boot_span(&lines->boots, lines->time_ns, &run.since_ns, &run.until_ns);
	if (filter->since_ns > run.since_ns)
		run.since_ns = filter->since_ns;
	if (filter->until_ns && filter->until_ns < run.until_ns)
		run.until_ns = filter->until_ns;
	local_run(data, length, &run);
	if (run.count == 0)
		return 0;
	lines->sequence += (int64_t)run.count;
	lines->time_ns = run.time_ns;
	if (filter->stream && filter->stream != run.stream)
		return run.used;
	batch->matched += run.count;
	if (filter->count_only)
		return run.used;
	line = (struct gantry_log_line){
		.sequence = lines->sequence,
		.boot = boot_at(&lines->boots, run.time_ns),
		.time_ns = run.time_ns,
		.stream = run.stream,
		.flags = lines->flags | GANTRY_LOG_LINES,
		.data = run.to,
		.length = run.length,
	};
	batch->to += run.length;
	if (!append_to(batch, &line))
		add(batch, &line);
	return run.used;
}

void lines_gap(const struct lines *lines, const char *why, int64_t lost, int64_t since_ns,
	       int64_t time_ns, const struct filter *filter, struct batch *batch)
{
	add_gap(lines, lines->sequence, why, lost, since_ns, time_ns, filter, batch);
}

void lines_copy(struct lines *to, const struct lines *from)
{
	*to = *from;
	for (int i = 0; i < 2; i++) {
		struct open_line *open = &to->open[i];

		if (!open->is_open)
			continue;
		open->capacity = open->length;
		open->data = take_memory(NULL, open->length);
		memcpy(open->data, from->open[i].data, open->length);
	}
}

void lines_fini(struct lines *lines)
{
	free(lines->open[0].data);
	free(lines->open[1].data);
	lines->open[0] = lines->open[1] = (struct open_line){0};
}

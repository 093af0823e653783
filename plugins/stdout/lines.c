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

/* --- batch --- */

/* Where the next line is made; it is one of the batch as soon as that counts it. */
static struct gantry_log_line *next_line(struct batch *batch)
{
	if (batch->count == batch->capacity) {
		batch->capacity = batch->capacity ? 2 * batch->capacity : 256;
		batch->lines = take_memory(batch->lines, batch->capacity * sizeof(*batch->lines));
	}
	return &batch->lines[batch->count];
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
static const char *keep_text(struct batch *batch, char *text)
{
	batch->texts = take_memory(batch->texts, (batch->text_count + 1) * sizeof(char *));
	batch->texts[batch->text_count++] = text;
	return text;
}

/* --- filter --- */

static bool filter_matches(const struct filter *filter, const struct gantry_log_line *line)
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

/* --- lines --- */

bool lines_open(const struct lines *lines)
{
	return lines->open[0].is_open || lines->open[1].is_open;
}

static void add_gap(const struct lines *lines, int64_t sequence, const char *why, int64_t lost,
		    int64_t since_ns, int64_t time_ns, const struct filter *filter,
		    struct batch *batch)
{
	struct gantry_log_line *line = next_line(batch);

	*line = (struct gantry_log_line){
		.sequence = sequence,
		.boot = boot_at(&lines->boots, time_ns),
		.time_ns = time_ns,
		.data = why,
		.length = strlen(why),
		.lost = lost,
		.gap_since_ns = since_ns,
	};
	if (filter_matches(filter, line))
		batch->count++;
}

/* What the filter needs to see of a line that is its entry's own. */
static void fill(struct gantry_log_line *line, struct entry *entry, const struct filter *filter,
		 const struct batch *batch)
{
	if (!filter->count_only || filter->since_ns || filter->until_ns)
		line->time_ns = entry_time_ns(entry);
	if (!filter->count_only || filter->text) {
		entry_decode(entry, batch->to ? batch->to : entry->data);
		line->data = entry->data;
		line->length = entry->length;
	}
}

/* The line is to stay where it was moved to. There is room: a message is longer than its line with the newline. */
static void settle_down(struct batch *batch, struct gantry_log_line *line,
			const struct entry *entry)
{
	batch->to += line->length;
	if (!entry->newline)
		return;
	*batch->to++ = '\n';
	line->flags |= GANTRY_LOG_ENDED;
}

/* A message of the line was damaged, as shows when it is decoded. */
static struct gantry_log_line *put_damage(const struct lines *lines,
					  const struct gantry_log_line *line,
					  const struct filter *filter, struct batch *batch)
{
	const struct gantry_log_line moved = *line;

	add_gap(lines, moved.sequence - 1, GAP_DAMAGED, 0, 0, moved.time_ns, filter, batch);
	*next_line(batch) = moved;
	return next_line(batch);
}

/*
 * A line, the batch's next one, has ended and gets its number. entry: it is the line's own, and not decoded yet; else
 * text is the line's, and the batch is to own it.
 */
static void emit(struct lines *lines, struct gantry_log_line *line, struct entry *entry, char *text,
		 struct filter *filter, struct batch *batch)
{
	line->sequence = ++lines->sequence;
	line->flags |= lines->flags;
	if (entry && line->sequence > filter->after)
		fill(line, entry, filter, batch);
	if (line->time_ns)
		lines->time_ns = line->time_ns;
	if (filter_matches(filter, line)) {
		batch->matched++;
		if (filter->skip > 0) {
			filter->skip--;
		} else if (!filter->count_only) {
			if (entry && entry->damaged)
				line = put_damage(lines, line, filter, batch);
			line->boot = boot_at(&lines->boots, line->time_ns);
			if (text)
				line->data = keep_text(batch, text);
			else if (batch->to)
				settle_down(batch, line, entry);
			text = NULL;
			batch->count++;
		}
	}
	free(text);
}

static void end_open(struct lines *lines, int stream, unsigned flags, struct filter *filter,
		     struct batch *batch)
{
	struct open_line *open = &lines->open[stream - 1];
	struct gantry_log_line *line;
	char *text = open->data;

	if (!open->is_open)
		return;
	line = next_line(batch);
	*line = (struct gantry_log_line){
		.stream = stream,
		.flags = flags,
		.time_ns = open->time_ns,
		.data = open->data,
		.length = open->length,
	};
	*open = (struct open_line){0};
	emit(lines, line, NULL, text, filter, batch);
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
	struct gantry_log_line *line;

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
		line = next_line(batch);
		*line = (struct gantry_log_line){
			.stream = entry->stream,
			.flags = entry->newline ? 0 : GANTRY_LOG_NO_NEWLINE,
		};
		emit(lines, line, entry, NULL, filter, batch);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "flows/console/recording.h"
#include "base/clock.h"
#include "base/str.h"
#include "loop/work.h"

#include <gantry/text.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAITS_BYTES ((size_t)1024 * 1024) /* that are not written yet: wait */
#define SHARE       8    /* one recording has at most so small a part of what all may have */
#define STEP        16   /* for such a part of it those under way are given room at a time */
#define TOLD_BYTES  4096 /* of the command, in the header */

struct recording {
	struct list link; /* in daemon->recordings */
	struct daemon *daemon;
	char id[RECORDING_ID_SIZE];
	char *folder, *path; /* owned */
	void (*room)(void *arg);
	void (*failed)(void *arg, const char *why);
	void *arg;
	int64_t began_us, all_bytes;
	int64_t handed_bytes; /* to the pool, in all */
	bool input, waits, over, ended;
	char why_not[96]; /* it is over */
	char part[3][4];  /* by stream: the beginning of a character whose end is to come */
	size_t part_length[3];
	struct str pending;

	/* the pool's while it is busy */
	bool busy;
	struct str writing;
	int64_t written_bytes;
	int fd, code;
};

/* --- on the pool --------------------------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t count = write(fd, data, length);

		if (count < 0 && errno != EINTR)
			return -errno;
		if (count > 0) {
			data += count;
			length -= (size_t)count;
		}
	}
	return 0;
}

static void run_write(void *arg)
{
	struct recording *recording = arg;

	if (recording->fd < 0) {
		mkdir(recording->folder, 0700); /* what is wrong with it, open tells */
		recording->fd =
			open(recording->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (recording->fd < 0) {
		recording->code = -errno;
		return;
	}
	recording->code =
		write_all(recording->fd, recording->writing.data, recording->writing.length);
	if (recording->code == 0)
		recording->written_bytes += (int64_t)recording->writing.length;
	else if (ftruncate(recording->fd, recording->written_bytes) < 0) /* whole lines stay */
		recording->code = -errno;
}

/* --- room for those under way -------------------------------------------------------------------- */

/*
 * What has ended and what is under way are together never over the limit: the oldest that have ended go before those
 * under way are given room, by the step; all that are written to wait for that.
 */

static void go_on(struct recording *recording);

static void on_cleared(void *arg)
{
	struct recordings *all = &((struct daemon *)arg)->recordings;

	all->clearing = false;
	LIST_FOREACH (node, &all->list)
		go_on(LIST_ENTRY(node, struct recording, link));
}

static void make_room(struct daemon *daemon, int64_t room_bytes)
{
	struct recordings *all = &daemon->recordings;
	struct gantry_strings spared = {0};
	struct arena arena = {0};

	LIST_FOREACH (node, &all->list)
		spared.count++;
	spared.items = ARENA_ARRAY(&arena, const char *, spared.count);
	spared.count = 0;
	LIST_FOREACH (node, &all->list)
		spared.items[spared.count++] = LIST_ENTRY(node, struct recording, link)->id;
	all->clearing = true;
	all->room_bytes = room_bytes;
	recordings_clear(daemon, &spared, daemon->settings->recordings_bytes - room_bytes,
			 on_cleared, daemon);
	arena_fini(&arena);
}

static void stop(struct recording *recording, const char *why);

/* For what is pending. False: not now, or it was stopped. */
static bool has_room(struct recording *recording)
{
	const struct recordings *all = &recording->daemon->recordings;
	int64_t most_bytes = recording->all_bytes;
	int64_t wanted_bytes = all->bytes + (int64_t)recording->pending.length;

	if (all->clearing)
		return false;
	if (wanted_bytes <= all->room_bytes)
		return true;
	if (wanted_bytes > most_bytes) {
		str_clear(&recording->pending);
		stop(recording, "those under way are together as long as all may be");
		return false;
	}
	wanted_bytes += most_bytes / STEP;
	make_room(recording->daemon, wanted_bytes < most_bytes ? wanted_bytes : most_bytes);
	return false;
}

/* --- writing ------------------------------------------------------------------------------------- */

static void let_go(struct recording *recording)
{
	struct recordings *all = &recording->daemon->recordings;

	list_remove(&recording->link);
	all->bytes -=
		recording->handed_bytes; /* of those that have ended now: the sum is the same */
	all->room_bytes -= recording->handed_bytes;
	if (recording->fd >= 0)
		close(recording->fd);
	str_fini(&recording->pending);
	str_fini(&recording->writing);
	free(recording->folder);
	free(recording->path);
	free(recording);
}

static void stop(struct recording *recording, const char *why)
{
	if (recording->over)
		return;
	recording->over = true;
	snprintf(recording->why_not, sizeof(recording->why_not), "%s", why);
	if (!recording->ended)
		recording->failed(recording->arg, why);
}

static void on_written(void *arg)
{
	struct recording *recording = arg;

	recording->busy = false;
	if (recording->code < 0) {
		str_clear(&recording->pending);
		stop(recording, strerror(-recording->code));
	}
	go_on(recording);
}

static void write_on(struct recording *recording)
{
	struct str written = recording->writing;

	if (recording->busy || !recording->pending.length || !has_room(recording))
		return;
	recording->daemon->recordings.bytes += (int64_t)recording->pending.length;
	recording->handed_bytes += (int64_t)recording->pending.length;
	recording->writing = recording->pending;
	str_clear(&written);
	recording->pending = written;
	recording->busy = true;
	loop_work(recording->daemon->loop, run_write, on_written, recording);
}

static void go_on(struct recording *recording)
{
	write_on(recording);
	if (recording->ended && !recording->busy && !recording->pending.length) {
		let_go(recording);
	} else if (recording->waits && recording->pending.length < WAITS_BYTES / 2) {
		recording->waits = false;
		if (!recording->ended)
			recording->room(recording->arg);
	}
}

static bool is_part(const char *text, size_t left)
{
	unsigned char byte = (unsigned char)*text;
	size_t wanted = byte >= 0xf0 && byte < 0xf5   ? 4
			: byte >= 0xe0 && byte < 0xf0 ? 3
			: byte >= 0xc2 && byte < 0xe0 ? 2
						      : 1;

	for (size_t i = 1; i < left; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return false;
	return left < wanted;
}

/* Returns how much of it may be the beginning of a character, and is left. */
static size_t add_text(struct str *to, const char *data, size_t length, bool last)
{
	size_t from = 0, at = 0;

	while (at < length) {
		size_t part = gantry_utf8_length(data + at, length - at);

		if (part) {
			at += part;
			continue;
		}
		str_add_json(to, data + from, at - from);
		if (!last && is_part(data + at, length - at))
			return length - at;
		str_addf(to, "\\udc%02x", (unsigned char)data[at++]);
		from = at;
	}
	str_add_json(to, data + from, at - from);
	return 0;
}

static void begin_event(struct recording *recording, char kind)
{
	int64_t at_us = clock_monotonic_us() - recording->began_us;

	str_addf(&recording->pending, "[%lld.%06lld,\"%c\",\"", (long long)(at_us / 1000000),
		 (long long)(at_us % 1000000), kind);
}

static void end_event(struct recording *recording)
{
	int64_t most_bytes = recording->all_bytes / SHARE;

	str_add(&recording->pending, "\"]\n");
	write_on(recording);
	if (recording->handed_bytes + (int64_t)recording->pending.length > most_bytes)
		stop(recording, "it is as long as one may be");
}

static void add(struct recording *recording, char kind, int part, const char *data, size_t length,
		bool last)
{
	struct str whole = STR_INIT;
	size_t left;

	str_add_bytes(&whole, recording->part[part], recording->part_length[part]);
	str_add_bytes(&whole, data, length);
	begin_event(recording, kind);
	left = add_text(&recording->pending, str_text(&whole), whole.length, last);
	memcpy(recording->part[part], str_text(&whole) + whole.length - left, left);
	recording->part_length[part] = left;
	end_event(recording);
	str_fini(&whole);
}

bool recording_output(struct recording *recording, int stream, const char *data, size_t length)
{
	if (recording->over)
		return true;
	add(recording, 'o', stream, data, length, false);
	recording->waits = !recording->over && recording->pending.length > WAITS_BYTES;
	return !recording->waits;
}

void recording_input(struct recording *recording, const char *data, size_t length)
{
	if (recording->input && !recording->over)
		add(recording, 'i', 0, data, length, false);
}

void recording_resize(struct recording *recording, int rows, int columns)
{
	if (recording->over)
		return;
	begin_event(recording, 'r');
	str_addf(&recording->pending, "%dx%d", columns, rows);
	end_event(recording);
}

void recording_mark(struct recording *recording, const char *text)
{
	if (recording->over)
		return;
	begin_event(recording, 'm');
	str_add_json(&recording->pending, text, strlen(text));
	end_event(recording);
}

/* --- life ---------------------------------------------------------------------------------------- */

/* The text's beginning, to between two characters. */
static struct json_object *cut_text(const struct str *text)
{
	size_t length = text->length < TOLD_BYTES ? text->length : TOLD_BYTES;

	while (length > 0 && ((unsigned char)str_text(text)[length] & 0xc0) == 0x80)
		length--;
	return json_object_new_string_len(str_text(text), (int)length);
}

static void add_header(struct recording *recording, const struct recording_about *about)
{
	struct json_object *header = json_object_new_object(), *ours = json_object_new_object();
	struct str command = STR_INIT;

	json_add_int(header, "version", 2);
	json_add_int(header, "width", 80); /* until an event says otherwise */
	json_add_int(header, "height", 24);
	json_add_int(header, "timestamp", clock_wall_ms() / 1000);
	for (size_t i = 0; about->command && i < about->command->count; i++)
		str_addf(&command, "%s%s", i ? " " : "", about->command->items[i]);
	if (command.length) {
		json_object_object_add(header, "command", cut_text(&command));
		json_object_object_add(ours, "command", cut_text(&command));
	}
	json_add_string(header, "title", about->instance->spec.name);
	json_add_string(ours, "id", recording->id);
	json_add_string(ours, "instance", about->instance->id);
	json_add_string(ours, "name", about->instance->spec.name);
	json_add_string(ours, "project", about->instance->spec.project);
	json_add_string(ours, "verb", about->verb);
	json_add_string(ours, "actor", about->actor);
	json_add_int(ours, "decision", about->decision);
	json_add_bool(ours, "input", about->input);
	json_add_time(ours, "at", clock_wall_ms());
	json_object_object_add(header, "gantry", ours);
	str_add(&recording->pending,
		json_object_to_json_string_ext(header, JSON_C_TO_STRING_PLAIN));
	str_add(&recording->pending, "\n");
	json_object_put(header);
	str_fini(&command);
}

struct recording *recording_new(struct daemon *daemon, const struct recording_about *about,
				void (*room)(void *arg), void (*failed)(void *arg, const char *why),
				void *arg)
{
	struct recording *recording = xcalloc(1, sizeof(*recording));
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm utc;
	char time[24];

	recording->daemon = daemon;
	recording->fd = -1;
	recording->room = room;
	recording->failed = failed;
	recording->arg = arg;
	recording->input = about->input;
	recording->began_us = clock_monotonic_us();
	recording->all_bytes = daemon->settings->recordings_bytes;
	strftime(time, sizeof(time), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
	snprintf(recording->id, sizeof(recording->id), "%s-%012lld", time,
		 (long long)about->decision);
	recording->folder = recordings_folder(daemon);
	recording->path = recording_path(daemon, recording->id);
	list_append(&daemon->recordings.list, &recording->link);
	add_header(recording, about);
	write_on(recording);
	return recording;
}

const char *recording_id(const struct recording *recording)
{
	return recording->id;
}

const char *recording_why_not(const struct recording *recording)
{
	return recording->over ? recording->why_not : NULL;
}

void recording_end(struct recording *recording)
{
	if (!recording)
		return;
	for (int part = 0; part < 3 && !recording->over; part++)
		if (recording->part_length[part])
			add(recording, part ? 'o' : 'i', part, "", 0, true);
	recording->ended = true;
	go_on(recording);
}
